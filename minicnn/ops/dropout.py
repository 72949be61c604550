"""Dropout: switch each number off with probability p, and scale the others up so that the mean stays.

Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014. Scaling in training
rather than in testing ("inverted dropout") leaves nothing to do in testing.
"""

from minicnn.backend import Array, Key, slot
from minicnn.ops.random import random_bits


@slot("y, mask", uses=("random_bits",))
def dropout_forward(x: Array, *, p: float, key: Key) -> tuple[Array, Array]:
    """y = x * mask / (1 - p), where each entry of the mask is True with probability 1 - p.

    x, y : any shape
    mask : booleans of that shape, a pure function of the key: the n-th number of x in row-major order is kept
        where the n-th 32-bit number of the key is at least p * 2^32
    """
    bits = random_bits(key, count=x.size, like=x)
    mask = (bits >= min(int(p * 2**32), 2**32 - 1)).reshape(x.shape)
    return x * mask * _scale(p), mask


@slot("dx")
def dropout_backward(dy: Array, mask: Array, *, p: float) -> Array:
    """dx = dy * mask / (1 - p): what was switched off gets no gradient."""
    return dy * mask * _scale(p)


def _scale(p: float) -> float:
    return float(1 / (1 - p)) if p < 1 else 0.0  # with p = 1 all is off, and nothing may become 0 * infinity
