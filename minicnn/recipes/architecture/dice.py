"""Random choices that are a pure function of (seed, stream, number): the searches' own randomness."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from minicnn import ops
from minicnn.backend import Key

T = TypeVar("T")

TRAINING, START, CHILD, EPISODE = range(4)
"""Streams: seeds of trainings, random architectures, tournaments and mutations, episodes of Q-learning."""
LOT = 32


class Dice:
    """Choices for one purpose (`stream`) and one occasion (`number`): the same whatever was thrown before."""

    def __init__(self, seed: int, stream: int, number: int) -> None:
        self._words = self._throw(seed, stream, number)

    @staticmethod
    def _throw(seed: int, stream: int, number: int) -> Iterator[int]:
        lot = 0
        while True:
            yield from ops.random_bits(Key(seed, stream, (number << 24) + lot), count=LOT).tolist()
            lot += 1

    def below(self, count: int) -> int:
        """Return a whole number from 0 to count - 1."""
        return next(self._words) * count >> 32  # uneven by a share of count / 2^32

    def pick(self, things: Sequence[T]) -> T:
        """Return one of the things."""
        return things[self.below(len(things))]

    def sample(self, things: Sequence[T], count: int) -> list[T]:
        """Return so many of the things, none of them twice, in random order."""
        left = list(things)
        return [left.pop(self.below(len(left))) for _ in range(count)]

    def chance(self, p: float) -> bool:
        """Return True with probability p."""
        return next(self._words) < p * 2**32


def training_seed(seed: int, number: int) -> int:
    """Return the seed (32 bits) of training number `number` in a search."""
    return Dice(seed, TRAINING, number).below(2**32)
