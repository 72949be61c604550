"""DropConnect: switch each weight off with probability p, by a mask of its own for every example.

Wan, Zeiler, Zhang, LeCun and Fergus, "Regularization of neural networks using DropConnect", ICML 2013. (The paper's p
is the probability that a weight is kept; here p is the probability that it is switched off, as in dropout.) A bias is
the weight of an input that is always 1, and is switched off like any other weight. Nothing is scaled in training.
"""

from collections.abc import Iterator, Sequence

from minicnn.backend import Array, Key, array_module, slot
from minicnn.ops.linear import linear_backward, linear_forward
from minicnn.ops.random import random_bits

CHUNK = 2**20
"""So many masked weights exist at once: a few MB, where every example's together may be GB."""


@slot("y, mask", uses=("random_bits",))
def drop_connect_forward(x: Array, w: Array, b: Array | None, *, p: float, key: Key) -> tuple[Array, Array]:
    """y[n] = (mask[n] * [w, b]) [x[n], 1], where each entry of the mask is True with probability 1 - p.

    x : (N, D)   w : (K, D)   b : (K,) or None   y : (N, K)
    mask : booleans (N, K, D + 1), the last column for the bias, a pure function of the key: the n-th entry in row-major
        order is True where the n-th 32-bit number of the key is at least p * 2^32

    The mask is what this costs: one byte for each weight and example, and several more while it is drawn.
    Section 3, "training", algorithm 1.
    """
    xp = array_module(x)
    with_bias = xp.concatenate([w, (xp.zeros_like(w[:, 0]) if b is None else b)[:, None]], axis=1)
    inputs = _with_ones(x)
    bits = random_bits(key, count=len(x) * with_bias.size, like=x)
    mask = ((bits >= min(int(p * 2**32), 2**32 - 1)) & (p < 1)).reshape(len(x), *with_bias.shape)
    y = xp.empty((len(x), len(w)), dtype=x.dtype)
    for some in _pieces(len(x), with_bias.size):
        y[some] = xp.einsum("nkd,nd->nk", mask[some] * with_bias, inputs[some])
    return y, mask


@slot("dx, dw, db")
def drop_connect_backward(dy: Array, x: Array, w: Array, mask: Array) -> tuple[Array, Array, Array]:
    """dx[n] = dy[n] (mask[n] * w)        [dw, db] = sum over n of mask[n] * (dy[n] outer [x[n], 1])

    dy : (N, K)   x, dx : (N, D)   w, dw : (K, D)   db : (K,)   mask : (N, K, D + 1)
    A weight that was off for an example gets nothing from it.
    """
    xp = array_module(dy)
    inputs = _with_ones(x)
    dx, both = xp.empty_like(x), xp.zeros(mask.shape[1:], dtype=dy.dtype)
    for some in _pieces(len(x), both.size):
        dx[some] = xp.einsum("nk,nkd->nd", dy[some], mask[some, :, :-1] * w)
        both += (mask[some] * dy[some, :, None] * inputs[some, None, :]).sum(axis=0)
    return dx, both[:, :-1].copy(), both[:, -1].copy()


@slot("y", uses=("linear_forward",))
def drop_connect_inference_forward(x: Array, w: Array, b: Array | None, *, p: float, z: Sequence[float]) -> Array:
    """y[s] = mean + z[s] * sqrt(variance): what a unit comes to under many masks, taken to be normal.

        mean = (1 - p) (x w^T + b)        variance = p (1 - p) (x^2 (w^2)^T + b^2)            (squares entry by entry)

    x : (N, D)   w : (K, D)   b : (K,) or None   z : S numbers, in the place of standard normal ones   y : (S, N, K)

    These are the exact mean and variance over all masks of the sum that `drop_connect_forward` computes. Section 3,
    "inference", and algorithm 2.
    """
    mean, std = _moments(x, w, b, float(p))
    return array_module(x).stack([mean + float(value) * std for value in z])


@slot("dx, dw, db", uses=("linear_backward", "linear_forward"))
def drop_connect_inference_backward(
    dy: Array, x: Array, w: Array, b: Array | None, *, p: float, z: Sequence[float]
) -> tuple[Array, Array, Array]:
    """Go back through the mean and through the standard deviation, d std = d variance / (2 std).

    dy : (S, N, K)   x, dx : (N, D)   w, dw : (K, D)   b, db : (K,)
    Where the variance is 0 nothing goes back through it.
    """
    p, xp = float(p), array_module(dy)
    _, std = _moments(x, w, b, p)
    d_std = sum(float(value) * d for value, d in zip(z, dy, strict=True))
    d_variance = xp.where(std > 0, d_std / xp.where(std > 0, 2 * std, 1), 0)
    dx, dw, db = linear_backward((1 - p) * dy.sum(axis=0), x, w)
    dx2, dw2, db2 = linear_backward(p * (1 - p) * d_variance, x * x, w * w)
    return dx + 2 * x * dx2, dw + 2 * w * dw2, db if b is None else db + 2 * b * db2


def _moments(x: Array, w: Array, b: Array | None, p: float) -> tuple[Array, Array]:
    mean = (1 - p) * linear_forward(x, w, b)
    variance = p * (1 - p) * linear_forward(x * x, w * w, None if b is None else b * b)
    return mean, array_module(x).sqrt(variance)


def _with_ones(x: Array) -> Array:
    xp = array_module(x)
    return xp.concatenate([x, xp.ones((len(x), 1), dtype=x.dtype)], axis=1)


def _pieces(count: int, size: int) -> Iterator[slice]:
    """Walk over `count` examples, so many at a time that together they have about `CHUNK` masked weights."""
    step = max(1, CHUNK // size)
    yield from (slice(start, start + step) for start in range(0, count, step))
