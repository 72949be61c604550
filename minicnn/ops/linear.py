"""The fully connected layer's operation: a matrix product and a bias."""

from minicnn.backend import Array, slot
from minicnn.errors import ShapeError


@slot("y")
def linear_forward(x: Array, w: Array, b: Array | None) -> Array:
    """y = x W^T + b.   x : (N, D)   w : (K, D)   b : (K,) or None   y : (N, K)"""
    if x.ndim != 2 or x.shape[1] != w.shape[1]:
        raise ShapeError(f"x must be (N, {w.shape[1]}) for weights of shape {w.shape}; x is {x.shape}")
    y = x @ w.T
    if b is not None:
        y += b
    return y


@slot("dx, dw, db")
def linear_backward(dy: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
    """dx = dy W        dW = dy^T x        db = sum of dy over the batch

    dy : (N, K)   x, dx : (N, D)   w, dw : (K, D)   db : (K,)
    """
    return dy @ w, dy.T @ x, dy.sum(axis=0)
