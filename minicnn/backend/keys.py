"""Where randomness comes from: keys that name a draw, instead of a generator that remembers the last one.

A key is the triple `(seed, stream, step)`. The random numbers of a key are a pure function of it (`ops.random_bits`),
so a dropout mask is known from the seed, the layer and the step: the same on every backend, and the same again
when a run is resumed. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple

from minicnn.errors import ArgumentError


class Key(NamedTuple):
    """The name of one draw: `seed` of the run (64 bits), `stream` of whoever draws (32 bits), `step` (64 bits)."""

    seed: int
    stream: int
    step: int


@dataclass
class CounterRng:
    """A source of keys for one layer, loader or initialiser: a seed, a stream of its own, and a counter.

    The counter `step` is all that changes; write it down and set it back, and the same keys follow.
    """

    seed: int = 0
    stream: int = 0
    step: int = 0

    def __post_init__(self) -> None:
        self.seed = _checked("seed", self.seed, bits=64)
        self.stream = _checked("stream", self.stream, bits=32)
        self.step = _checked("step", self.step, bits=64)

    def next_key(self) -> Key:
        """Return a key that was not given out before."""
        key = Key(self.seed, self.stream, self.step)
        self.step += 1
        return key


class _Root:
    """The seed of the process and the next free stream under it."""

    def __init__(self, value: int) -> None:
        self.seed = value
        self.streams = itertools.count()


_root = _Root(0)
_inner_root: ContextVar[_Root | None] = ContextVar("minicnn_seed", default=None)


def seed(value: int) -> None:
    """Start all randomness anew from this seed: layers built from now on repeat exactly from run to run.

    Layers and trainers that are given no `rng` of their own take one stream each, in the order of construction.
    The seed is 0 where this is never called. Raises `ArgumentError` unless 0 <= value < 2**64.
    """
    global _root
    root = _Root(_checked("seed", value, bits=64))
    if _inner_root.get() is None:
        _root = root
    else:
        _inner_root.set(root)


@contextmanager
def seeded(value: int) -> Iterator[None]:
    """Start all randomness of a `with` block from this seed, in this thread alone; afterwards it goes on as before.

    `seed` within the block holds for the block. Raises `ArgumentError` unless 0 <= value < 2**64.
    """
    token = _inner_root.set(_Root(_checked("seed", value, bits=64)))
    try:
        yield
    finally:
        _inner_root.reset(token)


def default_rng() -> CounterRng:
    """Return a source of keys on the next free stream of the process' seed."""
    root = _inner_root.get() or _root
    return CounterRng(root.seed, next(root.streams))


def _checked(name: str, value: int, *, bits: int) -> int:
    """Return the value as Python's own int: one of NumPy's would overflow on the way through the cipher."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = -1
    if number != value or not 0 <= number < 2**bits:
        raise ArgumentError(f"{name} must be a whole number from 0 to 2**{bits} - 1, not {value!r}")
    return number
