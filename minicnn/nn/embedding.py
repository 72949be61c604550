"""The embedding layer: words, or whatever else is numbered, become vectors that are learned."""

import numpy as np

from minicnn import ops
from minicnn.backend import Array, CounterRng, array_module
from minicnn.errors import ArgumentError, DataError, DTypeError, whole_number
from minicnn.nn.init import Initialiser, normal
from minicnn.nn.layer import Layer
from minicnn.nn.parameter import Parameter, started


class Table(Parameter):
    """One vector a row; that of the number that only fills up starts at zeros."""

    def __init__(self, data: Array, padding_idx: int | None) -> None:
        super().__init__(data)
        self.padding_idx = padding_idx

    def drawn(self, init: Initialiser, rng: CounterRng) -> np.ndarray:
        """Draw all vectors but one."""
        values = np.array(super().drawn(init, rng))
        if self.padding_idx is not None:
            values[self.padding_idx] = 0
        return values


class Embedding(Layer):
    """y[n, ...] = W[x[n, ...]]

    x : (N, ...), whole numbers from 0 to num_embeddings - 1   W : (num_embeddings, embedding_dim)
    y : (N, ..., embedding_dim)

    x has no derivative. Where `backward` has to return one (in the middle of a chain) it is zeros.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        Size of the vocabulary, and numbers in a vector.
    padding_idx : int, optional
        The number that only fills up: its vector starts at zeros and gets no gradient. Negative ones count from the
        end, as in PyTorch.
    init : initialiser
        How W starts; as in PyTorch normal with standard deviation 1.
    rng : CounterRng, optional
        Where the random numbers come from; by default a stream of its own under `mc.seed`.

    Raises
    ------
    DTypeError
        If x holds anything but integers.
    DataError
        If a number is out of range; the message names it. It is looked for on the host alone: on a GPU, looking would
        make the program wait.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        init: Initialiser | None = None,
        rng: CounterRng | None = None,
    ) -> None:
        self.num_embeddings = whole_number("Embedding: num_embeddings", num_embeddings)
        self.embedding_dim = whole_number("Embedding: embedding_dim", embedding_dim)
        self.padding_idx = None if padding_idx is None else self._checked_index(padding_idx)
        table = Table(np.zeros((self.num_embeddings, self.embedding_dim), dtype=np.float32), self.padding_idx)
        self.weight = started(table, init if init is not None else normal(), rng)

    def _checked_index(self, padding_idx: int) -> int:
        index = whole_number("Embedding: padding_idx", padding_idx, least=-self.num_embeddings)
        if index >= self.num_embeddings:
            raise ArgumentError(f"Embedding: padding_idx {index} is out of range for {self.num_embeddings} embeddings")
        return index % self.num_embeddings

    def forward(self, x: Array) -> Array:
        """x : (N, ...), whole numbers -> y : (N, ..., embedding_dim)"""
        dtype = getattr(x, "dtype", None)
        if getattr(dtype, "kind", None) not in ("i", "u"):
            what = f"dtype {dtype}" if hasattr(dtype, "kind") else f"a {type(x).__name__}"
            raise DTypeError(f"{self!r}: x is {what}, expected an array of whole numbers: x.astype(np.int64)")
        if isinstance(x, np.ndarray) and ((x < 0) | (x >= self.num_embeddings)).any():
            place = tuple(int(i) for i in np.argwhere((x < 0) | (x >= self.num_embeddings))[0])
            raise DataError(
                f"{self!r}: x holds {x[place]} at {place}; {self.num_embeddings} embeddings have numbers from 0 to "
                f"{self.num_embeddings - 1}"
            )
        self.saved = x
        return ops.embedding_forward(x, self.weight.data)

    def backward(self, dy: Array) -> Array | None:
        """dy : (N, ..., embedding_dim); there is no dx, so zeros, or None where nobody needs them."""
        x = self.saved
        dw = ops.embedding_backward(dy, x, self.weight.data)
        if self.padding_idx is not None:
            dw[self.padding_idx] = 0
        self.weight.add_grad(dw)
        return array_module(dy).zeros(x.shape, dtype=dy.dtype) if self.need_dx else None

    def takes_integers(self) -> bool:
        """Return True."""
        return True

    def __repr__(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"Embedding({self.num_embeddings}, {self.embedding_dim}{padding})"
