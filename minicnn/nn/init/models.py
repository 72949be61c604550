"""Starting a whole model: by a scheme, or by what the data show."""

import math
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.backend import Array, CounterRng, array_module, default_rng, to_host
from minicnn.errors import ArgumentError, ShapeError, listed, whole_number
from minicnn.nn.init.schemes import Initialiser, orthogonal
from minicnn.nn.modes import evaluating, observing

if TYPE_CHECKING:
    from minicnn.nn.layer import Layer
    from minicnn.nn.parameter import Parameter


def initialise(
    model: "Layer",
    init: Initialiser,
    *,
    names: str | None = None,
    kind: Any = None,
    rng: CounterRng | None = None,
) -> list[str]:
    """Give parameters of a built model new values, and return the names of those that got some.

    Parameters
    ----------
    model : Layer
        What is changed, in place: values and gradients; dtype and device stay.
    init : initialiser
        A function (shape, rng) -> array of that shape.
    names : str, optional
        Which parameters, as a pattern of dotted names: "*.bias", "features.*.weight". By default all weights:
        what has two axes or more and is no scale or shift.
    kind : class of layers, or tuple of them, optional
        Only the parameters that such layers own: `nn.Conv2d`.
    rng : CounterRng, optional
        Where the random numbers come from; by default a stream of its own under `mc.seed`.

    Frozen parameters stay as they are.

    Raises
    ------
    ArgumentError
        If no parameter that is not frozen is meant.
    ShapeError
        If the initialiser returns another shape, or needs two axes where there is one. The model then stays as it was.
    """
    chosen = {
        name: parameter
        for name, parameter in _owned(model, kind)
        if not parameter.frozen and (parameter.is_weight if names is None else fnmatchcase(name, names))
    }
    if not chosen:
        wanted = "with two axes or more" if names is None else f"called {names!r}"
        within = "" if kind is None else " in layers of that kind"
        raise ArgumentError(
            f"no parameter {wanted}{within} that is not frozen; the model has {listed(model.named_parameters())}"
        )
    rng = rng if rng is not None else default_rng()
    values = {name: _drawn(name, parameter, init, rng) for name, parameter in chosen.items()}
    for name, parameter in chosen.items():
        parameter.data = values[name]
        parameter.zero_grad()
    return list(chosen)


def lsuv(
    model: "Layer",
    x: Array,
    *,
    init: Initialiser | None = orthogonal,
    tolerance: float = 0.1,
    most: int = 10,
    rng: CounterRng | None = None,
) -> dict[str, float]:
    """Scale the weights, layer after layer, until each layer's outputs on a batch x have variance 1 (LSUV).

    For each layer whose weights are called `weight` (recurrent layers stay as they are), in the order in which the
    model runs them:

        while |Var(y) - 1| >= tolerance, at most `most` times:    W = W / sqrt(Var(y)),    y the layer's output on x

    Mishkin and Matas, "All you need is a good init", 2016, algorithm 1. It needs no formula for the activation. The
    model runs in evaluation mode, so that nothing is random and no running statistics change.

    Parameters
    ----------
    model : Layer
        What is changed, in place.
    x : (N, ...)
        A batch of real inputs as the model takes them: a hundred or more.
    init : initialiser or None
        How the weights start before; None keeps those that there are.
    tolerance, most : float, int
        How close to 1 is close enough, and how often a layer is scaled at most.
    rng : CounterRng, optional
        For `init`.

    Returns
    -------
    dict of str to float
        Each layer's variance at the end, by its name.

    Raises
    ------
    ArgumentError
        If a layer's outputs do not vary, are not finite or do not come to variance 1; it then has the weights it began
        with. If there is no layer to scale, or an argument makes no sense.
    """
    most = whole_number("most", most)
    if not tolerance > 0:
        raise ArgumentError(f"tolerance must be above 0, not {tolerance}")
    order = [layer for layer in _variances(model, x) if not _weight(layer).frozen]
    if not order:
        raise ArgumentError(
            "lsuv scales weights of two axes or more that are not frozen; this model runs no layer with such"
        )
    paths = {id(layer): path for path, layer in model.named_layers()}
    if init is not None:
        rng = rng if rng is not None else default_rng()
        for layer in order:
            initialise(layer, init, names="weight", rng=rng)
    reached = {}
    for layer in order:
        variance = _scale(model, x, layer, tolerance, most)
        reached[paths[id(layer)] or repr(layer)] = variance
    return reached


def _scale(model: "Layer", x: Array, layer: "Layer", tolerance: float, most: int) -> float:
    """Scale one layer's weights, and return the variance of its outputs."""
    weight = _weight(layer)
    began_with = weight.data
    for left in range(most, -1, -1):
        variance = _variances(model, x)[layer]
        if not 0 < variance < math.inf:
            raise ArgumentError(
                f"{layer!r}: its outputs on x have variance {variance}, which no factor makes 1; is x all alike, or is "
                "every unit before it dead?"
            )
        if abs(variance - 1) < tolerance:
            return variance
        if left == 0:
            break
        weight.data = weight.data / weight.data.dtype.type(math.sqrt(variance))
    weight.data = began_with
    raise ArgumentError(
        f"{layer!r}: scaling its weights {most} times does not bring its outputs to variance 1 (it is {variance:.3g}); "
        "an activation belongs behind the layer, not into it; or allow more"
    )


def _variances(model: "Layer", x: Array) -> dict["Layer", float]:
    """Return the variance of each weighted layer's first output, in the order in which they run."""
    found: dict[Layer, float] = {}

    def look(layer: "Layer", x: Array, y: Array) -> None:
        if layer not in found and _weight(layer) is not None:
            found[layer] = float(to_host(y.var(dtype=np.float64)))

    with evaluating(model), observing(model, look), np.errstate(over="ignore", invalid="ignore"):
        model(x)
    return found


def _weight(layer: "Layer") -> Any:
    """Return what a layer has under the name `weight` if it is one, else None."""
    weight = getattr(layer, "weight", None)
    return weight if getattr(weight, "is_weight", False) else None


def _owned(model: "Layer", kind: Any) -> Iterator[tuple[str, "Parameter"]]:
    """Walk over the parameters that layers of a kind own themselves, with their names."""
    if kind is None:
        yield from model.named_parameters().items()
        return
    own = {id(value) for _, layer in model.named_layers() if isinstance(layer, kind) for _, value in layer._members()}
    yield from ((name, p) for name, p in model.named_parameters().items() if id(p) in own)


def _drawn(name: str, parameter: "Parameter", init: Initialiser, rng: CounterRng) -> Array:
    """Return new values for a parameter, of its dtype and where it lives."""
    shape = tuple(parameter.data.shape)
    try:
        values = parameter.drawn(init, rng)
    except ShapeError as error:
        raise ShapeError(f"{name}: {error}") from None
    if values.shape != shape:
        raise ShapeError(f"{name}: the initialiser returned shape {values.shape}, expected {shape}")
    return array_module(parameter.data).asarray(values, dtype=parameter.data.dtype)
