"""Embedding: whole numbers, such as words in a vocabulary, stand for rows of a matrix."""

from minicnn.backend import Array, array_module, slot


@slot("y")
def embedding_forward(x: Array, w: Array) -> Array:
    """y[n, ...] = W[x[n, ...]].   x : (N, ...), whole numbers from 0 to V - 1   w : (V, D)   y : (N, ..., D)"""
    return w[x]


@slot("dw")
def embedding_backward(dy: Array, x: Array, w: Array) -> Array:
    """dW[v] = the sum of dy over all places where x is v. x itself has no derivative.

    dy : (N, ..., D)   x : (N, ...)   w, dw : (V, D)

    On a GPU the order of the sum is open, so its last bits may differ from call to call.
    """
    xp = array_module(dy)
    dw = xp.zeros(w.shape, dtype=dy.dtype)
    xp.add.at(dw, x.reshape(x.size), dy.reshape(x.size, w.shape[1]))
    return dw
