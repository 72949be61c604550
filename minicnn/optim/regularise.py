"""Regularisers: what keeps weights small, so that a network does not learn its training set by heart.

    loss + penalty(w)          L2, L1: `add_gradients` after the loss's backward pass, before clipping and the step
    |weights of a unit| <= c   MaxNorm: `project` after the step

All three take the parameters by name, as `model.named_parameters()` and `optimizer.parameters` hold them. Unless told
otherwise they choose those of at least two axes: the weights of convolutions and linear layers, and not the biases and
the scales of batch norm, which are few and need little data (Goodfellow, Bengio and Courville, "Deep learning", 2016,
section 7.1). Frozen parameters are not changed. Nothing waits for a GPU.
"""

import functools
import operator
from collections.abc import Callable, Mapping

from minicnn.backend import Array, array_module
from minicnn.errors import ArgumentError, listed
from minicnn.nn import Parameter

Chooser = Callable[[str, Parameter], bool]


class Regulariser:
    """The base of all regularisers; a subclass writes those of the three methods that have something to do.

    Parameters
    ----------
    only : function (name, parameter) -> bool, optional
        Which parameters are meant; by default those of at least two axes.
    """

    def __init__(self, *, only: Chooser | None = None) -> None:
        self.only = only if only is not None else _is_weight

    def penalty(self, parameters: Mapping[str, Parameter]) -> Array:
        """Return what is added to the loss: one number, an array without axes on the parameters' device."""
        data = next(iter(self.chosen(parameters).values())).data
        return array_module(data).zeros((), dtype=data.dtype)

    def add_gradients(self, parameters: Mapping[str, Parameter]) -> None:
        """Add d penalty / dw to the gradient of every parameter that has one."""

    def project(self, parameters: Mapping[str, Parameter]) -> None:
        """Bring the parameters back to where they are allowed to be."""

    def chosen(self, parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
        """Return the parameters that are meant, frozen ones too. Raises `ArgumentError` if there are none."""
        if not isinstance(parameters, Mapping):
            raise ArgumentError(
                f"{self!r} takes parameters by name, from model.named_parameters() or optimizer.parameters, "
                f"not a {type(parameters).__name__}"
            )
        chosen = {name: parameter for name, parameter in parameters.items() if self.only(name, parameter)}
        if not chosen:
            raise ArgumentError(f"{self!r}: none of the parameters is chosen; there are {listed(parameters) or 'none'}")
        return chosen


class _Penalty(Regulariser):
    """What L2 and L1 share: a sum over all weights of a function of one weight, times the strength."""

    def __init__(self, strength: float, *, only: Chooser | None = None) -> None:
        super().__init__(only=only)
        if not 0 <= strength < float("inf"):
            raise ArgumentError(f"{type(self).__name__}: strength must be at least 0, not {strength}")
        self.strength = float(strength)  # one of NumPy's numbers would turn float32 into float64

    def penalty(self, parameters: Mapping[str, Parameter]) -> Array:
        """Return the penalty of the chosen parameters, frozen ones too: one number, an array without axes."""
        return functools.reduce(operator.add, (self.of(p.data) for p in self.chosen(parameters).values()))

    def add_gradients(self, parameters: Mapping[str, Parameter]) -> None:
        """Add d penalty / dw to the gradient of every chosen parameter that has one and is not frozen."""
        for parameter in self.chosen(parameters).values():
            if parameter.grad is not None:
                parameter.add_grad(self.gradient(parameter.data))  # which leaves frozen ones alone

    def of(self, w: Array) -> Array:
        """Return the penalty of one array."""
        raise NotImplementedError

    def gradient(self, w: Array) -> Array:
        """Return d penalty / dw."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.strength})"


class L2(_Penalty):
    """penalty = strength / 2 * sum of w^2        d penalty / dw = strength * w

    (Keras' L2 has no 1/2: its `L2(s)` is `L2(2 * s)` here.)

    Weight decay is another thing, w = (1 - lr * decay) * w before each step. For plain SGD both come to the same: the
    step takes lr * strength * w away, which is decay with decay = strength. Adam divides the whole gradient, penalty
    included, by the size that the gradient usually has in that weight; so L2 pulls least at the weights with the
    largest gradients, and decay, which does not go through that division, pulls at all alike. Loshchilov and Hutter,
    "Decoupled weight decay regularization", 2019, section 2, propositions 1 and 2. `AdamW` decays. (The argument
    `weight_decay` of `SGD` and `Adam` is PyTorch's: an L2 penalty of all parameters, biases too.)

    Parameters
    ----------
    strength : float
        How much the penalty counts next to the loss. Raises `ArgumentError` if it is below 0.
    only : function (name, parameter) -> bool, optional
        Which parameters are meant; by default those of at least two axes.
    """

    def of(self, w: Array) -> Array:
        """Return strength / 2 * sum of w^2."""
        return self.strength / 2 * (w * w).sum()

    def gradient(self, w: Array) -> Array:
        """Return strength * w."""
        return self.strength * w


class L1(_Penalty):
    """penalty = strength * sum of |w|        d penalty / dw = strength * sign(w)

    It pulls equally hard at small weights and at large ones, so many of them end at zero: Goodfellow, Bengio and
    Courville, "Deep learning", 2016, section 7.1.2. At the kink, w = 0, the gradient is 0. Steps of gradient descent
    jump over zero and back, so weights that L1 has put out are as small as a step and seldom 0 exactly.

    Parameters
    ----------
    strength : float
        How much the penalty counts next to the loss. Raises `ArgumentError` if it is below 0.
    only : function (name, parameter) -> bool, optional
        Which parameters are meant; by default those of at least two axes.
    """

    def of(self, w: Array) -> Array:
        """Return strength * sum of |w|."""
        return self.strength * abs(w).sum()

    def gradient(self, w: Array) -> Array:
        """Return strength * sign(w)."""
        return self.strength * array_module(w).sign(w)


class MaxNorm(Regulariser):
    """|w| <= limit for the weights w that lead into each unit: a row of a linear layer, a filter of a convolution.

    `project` shortens those that are longer, in their direction, after every step; there is no penalty and nothing is
    added to gradients. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014,
    section 5.1, where large learning rates become possible so.

    A unit is an index of axis 0: weights are (out, in) or (out, in, kh, kw). A layer that keeps its outputs on another
    axis, as transposed convolutions do with (in, out, kh, kw), has to be left out with `only`.

    Parameters
    ----------
    limit : float
        The largest norm. Raises `ArgumentError` unless it is above 0.
    only : function (name, parameter) -> bool, optional
        Which parameters are meant; by default those of at least two axes.
    """

    def __init__(self, limit: float, *, only: Chooser | None = None) -> None:
        super().__init__(only=only)
        if not 0 < limit < float("inf"):
            raise ArgumentError(f"MaxNorm: limit must be above 0, not {limit}")
        self.limit = float(limit)

    def project(self, parameters: Mapping[str, Parameter]) -> None:
        """Shorten the weights of every unit of the chosen parameters to the limit; frozen ones are left alone."""
        for parameter in self.chosen(parameters).values():
            if parameter.frozen:
                continue
            w = parameter.data
            xp = array_module(w)
            norms = xp.sqrt((w * w).sum(axis=tuple(range(1, w.ndim)), keepdims=True))
            parameter.data = w * (self.limit / xp.maximum(norms, self.limit))  # a norm below the limit gives 1 exactly

    def __repr__(self) -> str:
        return f"MaxNorm({self.limit})"


def _is_weight(name: str, parameter: Parameter) -> bool:
    return parameter.is_weight
