"""Recurrent layers: sequences in, a state that is handed from step to step.

    lstm = nn.LSTM(8, 16)
    h = lstm(x)                     the state after the last step (N, 16) of x (N, T, 8)
    h = lstm(x, lengths)            after each sequence's own last step; what stands behind it is not looked at

With `return_sequences=True` the states of all steps come out, (N, T, 16), zeros behind a sequence's end.

A `Trainer` hands over x and nothing else. Lengths can travel in it, as one more feature that is 1 in every step there
is and 0 behind the end:

    class Reader(nn.Layer):
        def __init__(self):
            self.lstm, self.answer = nn.LSTM(8, 16), nn.Linear(16, 2)

        def forward(self, x):                                   x : (N, T, 7 + 1)
            return self.answer(self.lstm(x, x[:, :, -1].sum(axis=1).astype(int)))

        def backward(self, dy):
            return self.lstm.backward(self.answer.backward(dy))
"""

from typing import Any, NamedTuple

import numpy as np

from minicnn import ops
from minicnn.backend import Array, CounterRng, array_module, default_rng, to_host
from minicnn.errors import ArgumentError, DTypeError, ShapeError, whole_number
from minicnn.nn.init import Initialiser, orthogonal, xavier_uniform
from minicnn.nn.layer import Layer, check_input
from minicnn.nn.parameter import Parameter, new_vector, started

State = tuple[Array, ...]
"""What is handed from step to step, arrays (N, hidden_size): (h,) of a SimpleRNN, (h, c) of an LSTM."""


class Past(NamedTuple):
    """What a forward pass leaves for the backward pass."""

    x: Array
    state: State
    lengths: Array | None
    results: tuple[Array, ...]


class GateWeights(Parameter):
    """The weights of several gates, one below the other. Each starts by itself: its units are none of the others'."""

    def __init__(self, data: Array, *, gates: int) -> None:
        super().__init__(data)
        self.gates = gates

    def drawn(self, init: Initialiser, rng: CounterRng) -> np.ndarray:
        """Draw one gate after the other."""
        rows, columns = self.data.shape
        return np.concatenate([init((rows // self.gates, columns), rng) for _ in range(self.gates)])


class Recurrent(Layer):
    """What recurrent layers share."""

    first_biases: tuple[float, ...] = (0.0,)
    """Where the biases of each gate start. The weights have as many blocks of hidden_size rows below each other."""
    states = 1
    """Of how many arrays (N, hidden_size) the state consists."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        return_sequences: bool = False,
        bias: bool = True,
        init: Initialiser = xavier_uniform,
        recurrent_init: Initialiser = orthogonal,
        rng: CounterRng | None = None,
    ) -> None:
        self.input_size = whole_number(f"{type(self).__name__}: input_size", input_size)
        self.hidden_size = whole_number(f"{type(self).__name__}: hidden_size", hidden_size)
        self.return_sequences = return_sequences
        rng = rng if rng is not None else default_rng()
        self.weight_ih_l0 = self._new_weight(self.input_size, init, rng)
        self.weight_hh_l0 = self._new_weight(self.hidden_size, recurrent_init, rng)
        first = np.repeat(np.array(self.first_biases, dtype=np.float32), self.hidden_size)
        self.bias_ih_l0 = Parameter(first) if bias else None
        self.bias_hh_l0 = new_vector(len(first)) if bias else None

    def _new_weight(self, columns: int, init: Initialiser, rng: CounterRng) -> Parameter:
        shape = len(self.first_biases) * self.hidden_size, columns
        return started(GateWeights(np.zeros(shape, dtype=np.float32), gates=len(self.first_biases)), init, rng)

    def forward(self, x: Array, lengths: Any = None, state: State | None = None) -> Array:
        """x : (N, T, input_size) -> y : (N, hidden_size), or with return_sequences (N, T, hidden_size)

        Parameters
        ----------
        lengths : (N,) whole numbers from 1 to T, optional
            After how many steps each sequence ends; by default after all T. On a GPU they are best given from the host
            (a list will do), since they are looked at there.
        state : tuple of (N, hidden_size), optional
            What comes before the first step: (h,), for an LSTM (h, c); by default zeros. After `backward`,
            `self.dstate` holds its gradient.

        Raises
        ------
        ShapeError
            If x is no (N, T, input_size) with T of at least 1, or lengths or state have another shape than they should.
        ArgumentError
            If a length is no whole number from 1 to T; the message says which.
        """
        self._check(x)
        lengths = self._checked_lengths(x, lengths)
        state = self._checked_state(x, state)
        results = self._run(x, state, lengths)
        self.saved = Past(x, state, lengths, results)
        y = results[0]
        if self.return_sequences:
            return y
        return y[:, -1].copy() if lengths is None else y[array_module(x).arange(len(x)), lengths - 1]

    def backward(self, dy: Array) -> Array:
        """dy : like y -> dx : (N, T, input_size); `self.dstate` is the gradient of the state before the first step."""
        x, state, lengths, results = self.saved
        if not self.return_sequences:
            xp = array_module(dy)
            of_last, dy = dy, xp.zeros_like(results[0])
            if lengths is None:
                dy[:, -1] = of_last
            else:
                dy[xp.arange(len(x)), lengths - 1] = of_last
        dx, dw_ih, dw_hh, db, *dstate = self._run_back(dy, x, state, lengths, results)
        self.dstate = tuple(dstate)
        self.weight_ih_l0.add_grad(dw_ih)
        self.weight_hh_l0.add_grad(dw_hh)
        if self.bias_ih_l0 and self.bias_hh_l0:  # only their sum comes in
            self.bias_ih_l0.add_grad(db)
            self.bias_hh_l0.add_grad(db)
        return dx

    def step(self, x: Array, state: State | None = None) -> tuple[Array, State]:
        """Take one step, as a decoder does that chooses what comes next: x (N, input_size) -> h, the state after it.

            h, state = layer.step(first)
            h, state = layer.step(second, state)         # rows of x and of the state's arrays may be chosen between

        It is for use, not for training: nothing is kept for a backward pass.
        Raises `ShapeError` if x is no (N, input_size) or the state does not fit.
        """
        if getattr(x, "ndim", None) != 2:
            raise ShapeError(
                f"{self!r}: step takes one step of each sequence, (N, {self.input_size}); x has shape {np.shape(x)}"
            )
        x = x[:, None]
        self._check(x)
        results = self._run(x, self._checked_state(x, state), None)
        after = tuple(result[:, 0] for result in results[: self.states])
        return after[0], after

    def _run(self, x: Array, state: State, lengths: Array | None) -> tuple[Array, ...]:
        """Return what the operation makes of x: first the states of all steps, then what else its backward takes."""
        raise NotImplementedError

    def _run_back(
        self, dy: Array, x: Array, state: State, lengths: Array | None, results: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        """Return dx, dw_ih, dw_hh, db and the gradients of the state."""
        raise NotImplementedError

    def _weights(self) -> tuple[Array, Array, Array | None]:
        both = self.bias_ih_l0, self.bias_hh_l0
        b = both[0].data + both[1].data if both[0] and both[1] else None
        return self.weight_ih_l0.data, self.weight_hh_l0.data, b

    def _check(self, x: Array) -> None:
        check_input(self, x, like=self.weight_ih_l0.data)
        if x.ndim != 3 or x.shape[2] != self.input_size:
            raise ShapeError(
                f"{self!r}: x has shape {x.shape}, expected (N, T, {self.input_size}): sequences, steps, features"
            )
        if x.shape[1] == 0:
            raise ShapeError(f"{self!r}: x has shape {x.shape}, sequences without a step; leave empty ones out")

    def _checked_lengths(self, x: Array, lengths: Any) -> Array | None:
        """Return the lengths where x is. Raises `ShapeError` or `ArgumentError` if they do not fit."""
        if lengths is None:
            return None
        host = np.asarray(to_host(lengths) if hasattr(lengths, "dtype") else lengths)
        if host.shape != (len(x),):
            raise ShapeError(f"{self!r}: lengths have shape {host.shape}, expected ({len(x)},): one a sequence")
        if host.dtype.kind not in "iu" and host.size:
            raise ArgumentError(f"{self!r}: lengths must be whole numbers of steps, not {host.dtype}")
        wrong = np.flatnonzero((host < 1) | (host > x.shape[1]))
        if len(wrong):
            raise ArgumentError(
                f"{self!r}: sequence {wrong[0]} is to have {host[wrong[0]]} steps, expected 1 to {x.shape[1]} "
                f"(x shape {x.shape}); leave empty sequences out"
            )
        return array_module(x).asarray(host.astype(np.int64))

    def _checked_state(self, x: Array, state: State | None) -> State:
        """Return the state before the first step. Raises `ShapeError` or `DTypeError` if it does not fit."""
        shape = (len(x), self.hidden_size)
        if state is None:
            return tuple(array_module(x).zeros(shape, dtype=x.dtype) for _ in range(self.states))
        names = "(h,)" if self.states == 1 else "(h, c)"
        if not isinstance(state, tuple | list) or len(state) != self.states:
            raise ShapeError(f"{self!r}: state must be a tuple {names} of arrays {shape}, not {type(state).__name__}")
        for part in state:
            if not hasattr(part, "dtype"):
                raise DTypeError(
                    f"{self!r}: state holds a {type(part).__name__}, expected arrays: np.array(h, dtype=np.{x.dtype})"
                )
            if part.shape != shape:
                raise ShapeError(f"{self!r}: state has an array of shape {part.shape}, expected {names} of {shape}")
            if part.dtype != x.dtype:
                raise DTypeError(f"{self!r}: state holds {part.dtype} and x {x.dtype}; use state.astype(np.{x.dtype})")
        return tuple(state)

    def multiply_adds(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> int:
        """One for every weight in every step."""
        return x_shape[1] * (self.weight_ih_l0.data.size + self.weight_hh_l0.data.size)

    def window(self) -> None:
        """The last step has seen all of the input."""
        return None

    def __repr__(self) -> str:
        sequences = ", return_sequences=True" if self.return_sequences else ""
        bias = "" if self.bias_ih_l0 else ", bias=False"
        return f"{type(self).__name__}({self.input_size}, {self.hidden_size}{sequences}{bias})"


class SimpleRNN(Recurrent):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)

    x : (N, T, input_size)   W_ih : (hidden_size, input_size)   W_hh : (hidden_size, hidden_size)
    b_ih, b_hh : (hidden_size,); there are two so that PyTorch's weights of `RNN` fit, by its names weight_ih_l0, ...
    y : (N, hidden_size), or with return_sequences (N, T, hidden_size)

    Elman, "Finding structure in time", 1990.

    Parameters
    ----------
    input_size, hidden_size : int
        Features of a step, and numbers in the state.
    return_sequences : bool
        Whether the states of all steps come out, or the last alone (of each sequence, where lengths are given).
    bias : bool
        Whether there are biases; they start at zero.
    init, recurrent_init : initialiser
        How W_ih and W_hh start.
    rng : CounterRng, optional
        Where the random numbers come from; by default a stream of its own under `mc.seed`.
    """

    def _run(self, x: Array, state: State, lengths: Array | None) -> tuple[Array, ...]:
        return (ops.rnn_forward(x, *self._weights(), *state, lengths=lengths),)

    def _run_back(
        self, dy: Array, x: Array, state: State, lengths: Array | None, results: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        w_ih, w_hh, _ = self._weights()
        return ops.rnn_backward(dy, x, w_ih, w_hh, *state, *results, lengths=lengths)


class LSTM(Recurrent):
    """Long short-term memory: a state h with cells c behind it, which gates write to, keep and show.

        i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of the four parts of W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
        c_t = f * c_{t-1} + i * g        h_t = o * tanh(c_t)

    x : (N, T, input_size)   W_ih : (4 hidden_size, input_size)   W_hh : (4 hidden_size, hidden_size)
    b_ih, b_hh : (4 hidden_size,); there are two so that PyTorch's weights of `LSTM` fit, by its names weight_ih_l0, ...
    y : (N, hidden_size), or with return_sequences (N, T, hidden_size)

    Hochreiter and Schmidhuber, "Long short-term memory", 1997, section 4, with the forget gate of Gers, Schmidhuber and
    Cummins, "Learning to forget: continual prediction with LSTM", 2000, section 3.

    Parameters
    ----------
    input_size, hidden_size : int
        Features of a step, and numbers in the state.
    return_sequences : bool
        Whether the states of all steps come out, or the last alone (of each sequence, where lengths are given).
    bias : bool
        Whether there are biases. They start at zero, but b_ih of the forget gate at 1, so that cells keep what they
        have until they learn to forget (Jozefowicz, Zaremba and Sutskever, "An empirical exploration of recurrent
        network architectures", 2015; in PyTorch all are random).
    init, recurrent_init : initialiser
        How each gate's part of W_ih and W_hh starts.
    rng : CounterRng, optional
        Where the random numbers come from; by default a stream of its own under `mc.seed`.
    """

    first_biases = (0.0, 1.0, 0.0, 0.0)
    states = 2

    def _run(self, x: Array, state: State, lengths: Array | None) -> tuple[Array, ...]:
        return ops.lstm_forward(x, *self._weights(), *state, lengths=lengths)

    def _run_back(
        self, dy: Array, x: Array, state: State, lengths: Array | None, results: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        w_ih, w_hh, _ = self._weights()
        return ops.lstm_backward(dy, x, w_ih, w_hh, *state, *results, lengths=lengths)
