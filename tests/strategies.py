"""What Hypothesis draws: geometries that are always valid, dtypes, memory orders, and numbers to fill arrays with."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from([np.float32, np.float64])


def pairs(least, most):
    """(vertical, horizontal)."""
    return st.tuples(st.integers(least, most), st.integers(least, most))


def normal(seed, *shape, dtype=np.float64):
    """Standard normal numbers of a float32's precision, so that both dtypes hold the same ones."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32).astype(dtype)


def spread(seed, *shape):
    """Float64 numbers, no two of them closer than 0.1 and none closer to 0: finite differences meet no kink."""
    size = int(np.prod(shape))
    return (np.random.default_rng(seed).permutation(size).reshape(shape) - size / 2 + 0.25) * 0.2


# Memory orders: each returns the same array, laid out otherwise.


def contiguous(x):
    """Rows one after the other."""
    return np.ascontiguousarray(x)


def channels_last(x):
    """Axis 1 innermost in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1) if x.ndim > 1 else x.copy()


def backwards(x):
    """Every axis runs from high addresses to low ones."""
    turn = (slice(None, None, -1),) * x.ndim
    return np.ascontiguousarray(x[turn])[turn]


def with_gaps(x):
    """Every second number of a larger array."""
    wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), 99, dtype=x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def columns_first(x):
    """Fortran's order."""
    return np.asfortranarray(x)


ORDERS = (contiguous, channels_last, backwards, with_gaps, columns_first)
memory_orders = st.sampled_from(ORDERS)


@dataclass(frozen=True)
class ConvCase:
    """One convolution: (batch, channels, *size) through `features` kernels."""

    batch: int
    channels: int
    features: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: int | tuple[int, int] | str
    dilation: tuple[int, int]
    groups: int
    seed: int

    @property
    def options(self):
        """The keyword arguments of conv2d_forward."""
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}

    @property
    def windows(self):
        """The keyword arguments of im2col."""
        return {"kernel": self.kernel, "stride": self.stride, "padding": self.padding, "dilation": self.dilation}

    def x(self, dtype=np.float64):
        """An image."""
        return normal(self.seed, self.batch, self.channels, *self.size, dtype=dtype)

    def w(self, dtype=np.float64):
        """Kernels."""
        return normal(self.seed + 1, self.features, self.channels // self.groups, *self.kernel, dtype=dtype)

    def b(self, dtype=np.float64):
        """A bias."""
        return normal(self.seed + 2, self.features, dtype=dtype)


@st.composite
def conv_cases(draw, *, min_batch=0, paddings=("number", "pair", "same", "valid"), largest_kernel=5, extra=4):
    """Convolutions whose kernel fits into the image, with padding or without."""
    kernel = draw(pairs(1, largest_kernel))
    stride = draw(pairs(1, 4))
    dilation = draw(pairs(1, 3))
    padding = draw(_paddings(paddings, (2, 2)))
    groups = draw(st.integers(1, 3))
    border = _border(padding)
    size = tuple(
        max(d * (k - 1) + 1 - 2 * p, 1) + draw(st.integers(0, extra))
        for k, d, p in zip(kernel, dilation, border, strict=True)
    )
    return ConvCase(
        batch=draw(st.integers(min_batch, 4)),
        channels=groups * draw(st.integers(1, 2)),
        features=groups * draw(st.integers(1, 2)),
        size=size,
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        seed=draw(seeds),
    )


@dataclass(frozen=True)
class PoolCase:
    """One pooling of (batch, channels, *size)."""

    batch: int
    channels: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] | None
    padding: int | tuple[int, int] | str
    seed: int

    @property
    def shape(self):
        """The image's shape."""
        return self.batch, self.channels, *self.size

    @property
    def steps(self):
        """The stride, which is the kernel's size unless given."""
        return self.stride or self.kernel

    @property
    def options(self):
        """The keyword arguments of the pooling operations."""
        return {"kernel": self.kernel, "stride": self.stride, "padding": self.padding}


@st.composite
def pool_cases(draw, *, min_batch=0, paddings=("number", "pair", "same", "valid"), largest_kernel=4, extra=4):
    """Poolings whose window fits; padding is at most half the kernel."""
    kernel = draw(pairs(1, largest_kernel))
    padding = draw(_paddings(paddings, tuple(k // 2 for k in kernel)))
    size = tuple(max(k - 2 * p, 1) + draw(st.integers(0, extra)) for k, p in zip(kernel, _border(padding), strict=True))
    return PoolCase(
        batch=draw(st.integers(min_batch, 3)),
        channels=draw(st.integers(1, 3)),
        size=size,
        kernel=kernel,
        stride=draw(st.none() | pairs(1, 5)),
        padding=padding,
        seed=draw(seeds),
    )


def _paddings(kinds, most):
    choices = {
        "number": st.integers(0, min(most)),
        "pair": st.tuples(st.integers(0, most[0]), st.integers(0, most[1])),
        "same": st.just("same"),
        "valid": st.just("valid"),
    }
    return st.one_of(*(choices[kind] for kind in kinds))


def _border(padding):
    """The border that is certain to be there; "same" may be counted on to make any kernel fit."""
    if padding == "same":
        return 10**6, 10**6
    return (0, 0) if padding == "valid" else padding if isinstance(padding, tuple) else (padding, padding)
