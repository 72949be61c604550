"""What flows through a network, layer by layer: do its numbers die out, explode, or sit where nothing can be learned?

A network learns where signals get through in both directions. Going forwards, each layer's outputs should keep their
spread; going backwards, the gradients should. Glorot and Bengio, "Understanding the difficulty of training deep
feedforward neural networks", 2010, sections 3 and 4, look at both like this.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import nn
from minicnn.backend import Array, Key, array_module, to_backend, to_host
from minicnn.data.dataset import checked_inputs
from minicnn.errors import ArgumentError, expect_kind
from minicnn.nn.modes import observing
from minicnn.ops import random_uniform
from minicnn.train.predicting import backend_of_model, dtype_of_inputs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEEPEST: dict[type, float] = {
    nn.ReLU: 1.0,
    nn.LeakyReLU: 1.0,
    nn.ELU: 1.0,
    nn.SELU: 1.7581,
    nn.GELU: 1.1289,
    nn.SiLU: 1.0998,
    nn.Sigmoid: 0.25,
    nn.Tanh: 1.0,
    nn.Softplus: 1.0,
}
"""The activations that work on each number alone, and the largest slope of each."""

FLAT = 0.05
"""Below this share of the largest slope an activation is saturated."""

SAMPLE = 20_000
COLOUR = "#0072B2"


@dataclass(frozen=True)
class LayerStatistics:
    """What one layer gave out on a batch.

    Attributes
    ----------
    name, layer : str
        Its dotted name, and how it shows itself.
    shape : tuple of int
        Of its output, without the batch axis.
    mean, std : float
        Over all numbers of the output.
    saturated : float or None
        For activations: the share of numbers at which the slope is below a twentieth of the steepest, so that next to
        nothing flows back through them. For ReLU, the share of zeros.
    dead : float or None
        For activations: the share of units (channels) that are saturated at every example and position. Gradient
        descent on examples like these cannot change such a unit.
    gradient : float or None
        The standard deviation of the loss's gradient with respect to the output, where a target was given.
    weight_gradient : float or None
        The same for the layer's weight, if it has one that is not frozen.
    sample : array
        Some thousand numbers of the output, for a histogram.
    """

    name: str
    layer: str
    shape: tuple[int, ...]
    mean: float
    std: float
    saturated: float | None
    dead: float | None
    gradient: float | None
    weight_gradient: float | None
    sample: np.ndarray = field(repr=False, compare=False)


class ActivationStatistics(list[LayerStatistics]):
    """One entry a layer, in the order in which they ran; printed, it is a table."""

    def of(self, *kinds: str) -> "ActivationStatistics":
        """Return the entries of layers of these kinds alone: `of("Linear", "Conv2d")`."""
        return ActivationStatistics(row for row in self if row.layer.partition("(")[0] in kinds)

    def activations(self) -> "ActivationStatistics":
        """Return the entries of activations alone."""
        return ActivationStatistics(row for row in self if row.saturated is not None)

    def __str__(self) -> str:
        titles = ("layer", "", "output", "mean", "std", "saturated", "dead", "dL/dy std", "dL/dW std")
        lines = [titles, *((*_first_cells(row), *_numbers(row)) for row in self)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(titles))]

        def write(line: tuple[str, ...]) -> str:
            left = [cell.ljust(width) for cell, width in zip(line[:3], widths[:3], strict=True)]
            right = [cell.rjust(width) for cell, width in zip(line[3:], widths[3:], strict=True)]
            return "  ".join(left + right).rstrip()

        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        return "\n".join([write(lines[0]), rule, *map(write, lines[1:])])

    __repr__ = __str__


def activation_statistics(
    model: nn.Layer, x: Any, target: Any = None, *, loss: nn.Loss | None = None
) -> ActivationStatistics:
    """Run a batch through the model, and back if there is a target, and measure every layer's outputs and gradients.

    The model runs in the mode it is in: in training, batch norm takes the batch's statistics. Afterwards everything is
    as before: gradients, running statistics, random streams, and what layers remember.

    Parameters
    ----------
    model : Layer
        Containers are looked into; they have no entries of their own.
    x : (N, ...)
        A batch of inputs: a hundred or more.
    target : (N, ...), optional
        What they should give, as the loss takes it.
    loss : Loss, optional
        Softmax cross-entropy by default.

    Raises
    ------
    ArgumentError
        If there is a loss but no target.
    DataError
        If x is empty or not finite.
    """
    expect_kind(nn.Layer, model, "model")
    if target is None and loss is not None:
        raise ArgumentError("a loss needs a target: activation_statistics(model, x, y, loss=...)")
    backend = backend_of_model(model)
    x = to_backend(checked_inputs(to_host(x), dtype_of_inputs(model)), backend)
    names = {id(layer): name for name, layer in model.named_layers()}
    seen: list[tuple[nn.Layer, dict[str, Any]]] = []

    def look(layer: nn.Layer, x: Array, y: Array) -> None:
        if not layer.children():
            seen.append((layer, {"name": names[id(layer)], "layer": repr(layer), **_measured(layer, y)}))

    gradients: dict[int, float] = {}
    with _left_as_it_was(model), observing(model, look), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        prediction = model(x)
        if target is not None:
            loss = expect_kind(nn.Loss, loss if loss is not None else nn.CrossEntropyLoss(), "loss")
            loss.forward(prediction, to_backend(np.asarray(to_host(target)), backend))
            with _backward_watched(model, gradients):
                model.backward(loss.backward())
        weights = {id(layer): _weight_gradient(layer) for layer, _ in seen}
    return ActivationStatistics(
        LayerStatistics(**values, gradient=gradients.get(id(layer)), weight_gradient=weights[id(layer)])
        for layer, values in seen
    )


def plot_activations(statistics: Sequence[LayerStatistics] | Mapping[str, Sequence[LayerStatistics]]) -> "Figure":
    """Draw a histogram of every activation's outputs (of every layer's, if there are no activations).

    statistics : what `activation_statistics` gave; or several by title, to be drawn one below the other

    Panels of one model have the same horizontal axis, so that shrinking is seen as such. Exact zeros are left out of
    the histograms; titles say how many there are. Returns a matplotlib figure.
    Raises `ArgumentError` if there is no layer to draw.
    """
    from matplotlib.figure import Figure  # slow to import; and without pyplot no display is needed

    rows = dict(statistics) if isinstance(statistics, Mapping) else {"": statistics}
    models = {title: [r for r in row if r.saturated is not None] or list(row) for title, row in rows.items()}
    longest = max(map(len, models.values()), default=0)
    if longest == 0:
        raise ArgumentError("there is no layer to draw; activation_statistics(model, x) measures some")
    columns = min(longest, 5) if len(models) == 1 else longest  # one model alone goes over several rows
    strips = [(title, row, i) for title, row in models.items() for i in range(0, max(len(row), 1), columns)]
    figure = Figure(figsize=(1.2 + 1.7 * columns, 0.4 + 1.75 * len(strips)), layout="constrained", dpi=120)
    for axes_of_row, (title, row, start) in zip(
        figure.subplots(len(strips), columns, squeeze=False), strips, strict=True
    ):
        limit = _limit(row)
        axes_of_row[0].set_ylabel(title or "share of numbers", fontsize=9)
        for axes, layer in zip_longest(axes_of_row, row[start : start + columns]):
            axes.set_axis_off() if layer is None else _draw(axes, layer, limit)
    return figure


def _limit(row: Sequence[LayerStatistics]) -> float:
    """Return what hardly any number of a model's layers exceeds."""
    return max((float(np.quantile(np.abs(r.sample), 0.999)) for r in row if r.sample.size), default=0.0) or 1.0


def _draw(axes: "Axes", row: LayerStatistics, limit: float) -> None:
    """Draw one layer's histogram from -limit to limit, or from 0 if nothing is below."""
    zeros = float((row.sample == 0).mean()) if row.sample.size else 0.0
    shown = row.sample[row.sample != 0]
    low = -limit if (shown < 0).any() or not shown.size else 0.0
    weights = np.full(shown.shape, 1 / max(row.sample.size, 1))
    axes.hist(shown, bins=40, range=(low, limit), weights=weights, color=COLOUR)
    axes.set_xlim(low, limit)
    axes.set_yticks([])
    axes.tick_params(labelsize=7)
    axes.locator_params(axis="x", nbins=3)
    note = f", {zeros:.0%} zeros" if zeros > 0.005 else ""
    axes.set_title(f"{row.name}: std {row.std:.2g}{note}", fontsize=7.5)


def _measured(layer: nn.Layer, y: Array) -> dict[str, Any]:
    """Return what an output tells, right after the layer made it."""
    values = to_host(y)
    line = values.ravel()
    at = np.arange(line.size)
    if line.size > SAMPLE:  # at random: steps of equal length would see some channels alone
        at = (random_uniform(Key(0, 0, 0), shape=(SAMPLE,)) * line.size).astype(np.int64)
    sample = line[at].astype(np.float64)
    flat = _is_flat(layer, y)
    return {
        "shape": tuple(values.shape[1:]),
        "mean": float(values.mean(dtype=np.float64)),
        "std": float(values.std(dtype=np.float64)),
        "saturated": None if flat is None else float(flat.mean()),
        "dead": None if flat is None else float(flat.all(axis=tuple(i for i in range(flat.ndim) if i != 1)).mean()),
        "sample": sample[np.isfinite(sample)],
    }


def _is_flat(layer: nn.Layer, y: Array) -> np.ndarray | None:
    """Return where an activation lets next to nothing back: of gradients of one it makes its slopes."""
    steepest = STEEPEST.get(type(layer))
    if steepest is None:
        return None
    slopes = to_host(layer.backward(array_module(y).ones_like(y)))
    return np.abs(slopes) < FLAT * steepest


def _weight_gradient(layer: nn.Layer) -> float | None:
    grad = getattr(getattr(layer, "weight", None), "grad", None)
    return None if grad is None else float(to_host(grad).std(dtype=np.float64))


@contextmanager
def _left_as_it_was(model: nn.Layer) -> Iterator[None]:
    """Run without gradients of before; afterwards put back gradients, buffers and random streams."""
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    buffers = [(buffer, buffer.data) for buffer in model.named_buffers().values()]
    rngs = [(rng, rng.step) for rng in model.named_rngs().values()]
    model.zero_grad()
    try:
        yield
    finally:
        for parameter, grad in gradients:
            parameter.grad = grad
        for buffer, data in buffers:
            buffer.data = data
        for rng, step in rngs:
            rng.step = step


@contextmanager
def _backward_watched(model: nn.Layer, found: dict[int, float]) -> Iterator[None]:
    """In a `with` block, note the standard deviation of the gradient that comes back to every layer's output."""
    layers = [layer for _, layer in model.named_layers() if "backward" not in vars(layer)]

    def watched(layer: nn.Layer) -> Any:
        inner = layer.backward

        def backward(dy: Array) -> Array:
            found[id(layer)] = float(to_host(dy).std(dtype=np.float64))
            return inner(dy)

        return backward

    for layer in layers:
        vars(layer)["backward"] = watched(layer)
    try:
        yield
    finally:
        for layer in layers:
            del vars(layer)["backward"]


def _first_cells(row: LayerStatistics) -> tuple[str, str, str]:
    return row.name, row.layer, " x ".join(map(str, row.shape))


def _numbers(row: LayerStatistics) -> Iterator[str]:
    """Write the numbers of a row for the table."""
    for number in (row.mean, row.std):
        yield f"{number:.2g}"
    for share in (row.saturated, row.dead):
        yield "" if share is None else f"{share:.0%}"
    for gradient in (row.gradient, row.weight_gradient):
        yield "" if gradient is None else f"{gradient:.2g}"
