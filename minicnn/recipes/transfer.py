"""Transfer learning: freezing, a new head, features for another classifier, and rates that fall towards the input.

Yosinski et al., "How transferable are features in deep neural networks?", 2014; Razavian et al., "CNN features
off-the-shelf: an astounding baseline for recognition", 2014.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from minicnn.backend import Array, CounterRng, backend_of
from minicnn.data import SealedDataset
from minicnn.data.dataset import ArrayDataset
from minicnn.errors import ArgumentError, DataError, expect_kind, listed, whole_number
from minicnn.nn import Concat, Layer, Linear, Parameter, Residual, Sequential
from minicnn.nn.init import Initialiser, he_normal
from minicnn.nn.lookup import find_layer, no_such_layer
from minicnn.nn.parameter import Parameters
from minicnn.train.predicting import outputs


def freeze(model: Layer, *which: str | Layer, keep: int = 0) -> list[str]:
    """Freeze parameters: they get no gradient, and no optimizer moves them.

        freeze(model)                    all of them
        freeze(model, "0", "features")   what is in these layers (or parameters), by dotted name
        freeze(model, model[:4])         what is in these layers
        freeze(model, keep=1)            all but the last layer that has parameters

    A backward pass in training ends at the first layer that is trained, so for what is frozen before it there is the
    forward pass alone to pay. Batch norm whose weight and bias are frozen normalises by its running statistics, in
    training too, and leaves them as they are. Dropout has no parameters: it goes on dropping.

    Parameters
    ----------
    model : Layer
        The network.
    *which : str or Layer
        What is meant: names, as `model.named_layers()` and `model.named_parameters()` have them, or layers themselves.
    keep : int
        How many layers at the end are left as they are; only layers with parameters count.

    Returns
    -------
    list of str
        The names of the parameters that are meant.

    Raises
    ------
    ArgumentError
        If there is no such layer (the message lists those with parameters), or not `keep` of them.
    """
    return _set_frozen(model, which, keep, True)


def unfreeze(model: Layer, *which: str | Layer, keep: int = 0) -> list[str]:
    """Let frozen parameters be trained again; the arguments are those of `freeze`."""
    return _set_frozen(model, which, keep, False)


def replace_head(model: Layer, classes: int, *, init: Initialiser = he_normal, rng: CounterRng | None = None) -> Linear:
    """Put a new `Linear` in the place of the last one, and return it.

    It takes as many features as the old one, and has a bias if that had one. Build the optimizer after this: one that
    was built before goes on training the old head, and `Trainer.fit` refuses it.

    Parameters
    ----------
    model : Layer
        The network; it is changed in place.
    classes : int
        The scores that the new head gives.
    init, rng
        How its weights start, and where the random numbers come from, as in `Linear`.

    Raises
    ------
    ArgumentError
        If the last layer with parameters is no `Linear`, or stands in one of several branches.
    """
    expect_kind(Layer, model, "model")
    classes = whole_number("classes", classes)
    layers = dict(model.named_layers())
    name, old = next(reversed(_with_parameters(model).items()), ("", None))
    if not isinstance(old, Linear):
        what = (
            f"its last layer with parameters is {name!r}, {old!r}"
            if old is not None
            else "it has no layer with parameters"
        )
        raise ArgumentError(f"{model!r} has no Linear at the end: {what}; build the new head yourself")
    if old is model:
        raise ArgumentError(
            f"the model is itself the head, {old!r}; build another: Linear({old.in_features}, {classes})"
        )
    parts = name.split(".")
    for end in range(len(parts)):
        outer = layers.get(".".join(parts[:end]))
        if isinstance(outer, Residual | Concat):
            raise ArgumentError(
                f"the last Linear, {name!r}, stands in a branch of {outer!r}; build the new head yourself"
            )
    new = Linear(old.in_features, classes, bias=old.bias is not None, init=init, rng=rng)
    new.to(backend_of(old.weight.data).name).astype(old.weight.data.dtype).train(old.training)
    _put(layers, name, new)
    return new


def features(
    model: Layer, x: Any, layer: int | str | Layer = -2, *, batch_size: int = 256, flatten: bool = True
) -> np.ndarray:
    """Return what a layer inside a network makes of inputs, for another classifier to learn from.

        classifier = LogisticRegression().fit(features(model, train.x), train.y)        # scikit-learn's

    Parameters
    ----------
    model : Layer
        The network; it runs in evaluation mode, and only as far as it has to.
    x : array (N, ...)
        Inputs, prepared as those that it was trained on.
    layer : int, str or Layer
        Whose output: an index in a Sequential (-2: what goes into its last layer), a dotted name, or the layer itself.
    batch_size : int
        Inputs at a time.
    flatten : bool
        Return (N, D), one row for each input, as scikit-learn takes them; otherwise (N, ...) as the layer gives it.

    Raises
    ------
    ArgumentError
        If there is no such layer, or the forward pass does not call it.
    DataError
        If x is a data set, is empty, or holds NaN or infinity.
    """
    expect_kind(Layer, model, "model")
    if isinstance(x, ArrayDataset | SealedDataset):
        raise DataError("features takes inputs, not a data set: features(model, dataset.x)")
    y = outputs(_Until(model, find_layer(model, layer)), x, batch_size)
    return np.ascontiguousarray(y.reshape(len(y), -1) if flatten else y)


def fine_tuning_groups(model: Layer, lr: float, *, decay: float = 1 / 2.6) -> list[dict[str, Any]]:
    """Return groups of parameters whose learning rates fall from the head towards the input.

        optimizer = optim.Adam(fine_tuning_groups(model, lr=1e-3))

    The last layer gets `lr`, each one before it `decay` times the rate of the one behind. Early layers see edges and
    strokes, which serve every task, and have the least to learn. Howard and Ruder, "Universal language model
    fine-tuning for text classification", 2018, section 3.2, whose factor is the default. A layer that has vectors
    alone, such as batch norm, shares the rate of the layer before it. Frozen parameters are left out.

    Raises `ArgumentError` if nothing is trained, or `decay` is not above 0 and at most 1.
    """
    expect_kind(Layer, model, "model")
    if not 0 < decay <= 1:
        raise ArgumentError(f"decay must lie above 0 and be at most 1, not {decay!r}")
    groups: list[dict[str, Parameter]] = []
    for path, layer in _with_parameters(model).items():
        trained = {f"{path}.{name}" if path else name: p for name, p in _own_parameters(layer) if not p.frozen}
        if groups and all(p.data.ndim < 2 for p in trained.values()):
            groups[-1].update(trained)
        elif trained:
            groups.append(trained)
    if not groups:
        raise ArgumentError(f"{model!r} has no parameters that are trained; unfreeze(model, ...) some")
    depths = range(len(groups) - 1, -1, -1)
    return [{"params": Parameters(g), "lr": lr * decay**depth} for g, depth in zip(groups, depths, strict=True)]


class _Enough(Exception):  # noqa: N818  it is no error
    """The layer that was asked for has given its output."""


class _Until(Layer):
    """A network as far as one of its layers."""

    def __init__(self, model: Layer, last: Layer) -> None:
        self.model = model
        self._watch, self._last = last.add_hook, repr(last)  # the layer itself is among the model's already

    def forward(self, x: Array) -> Array:
        """Return the output of the last layer that is wanted."""
        found: list[Array] = []

        def take(layer: Layer, x: Array, y: Array) -> None:
            found.append(y)
            raise _Enough

        remove = self._watch(take)
        try:
            self.model(x)
        except _Enough:
            return found[0]
        finally:
            remove()
        raise ArgumentError(f"the forward pass of {self.model!r} does not call the layer {self._last}")

    def __repr__(self) -> str:
        return f"{self.model!r} up to {self._last}"


def _set_frozen(model: Layer, which: tuple[str | Layer, ...], keep: int, frozen: bool) -> list[str]:
    """Set `frozen` for the parameters that are meant, and return their names."""
    expect_kind(Layer, model, "model")
    keep = whole_number("keep", keep, least=0)
    if which and keep:
        raise ArgumentError("give either names, or keep: how many layers at the end stay as they are")
    candidates = _with_parameters(model)
    if keep > len(candidates):
        names = listed(filter(None, candidates))
        raise ArgumentError(f"keep={keep}, but the model has {len(candidates)} layers with parameters: {names}")
    chosen = [p for one in which for p in _meant(model, one)]
    if not which:
        inside = list(candidates.values())[: len(candidates) - keep]
        chosen = [parameter for layer in inside for _, parameter in _own_parameters(layer)]
    wanted = {id(parameter) for parameter in chosen}
    for parameter in chosen:
        parameter.frozen = frozen
    return [name for name, parameter in model.named_parameters().items() if id(parameter) in wanted]


def _meant(model: Layer, which: str | Layer) -> list[Parameter]:
    """Return the parameters of a layer, or the one of that name. Raises `ArgumentError` if there is none such."""
    layers, parameters = dict(model.named_layers()), model.named_parameters()
    if isinstance(which, str):
        if which in layers:
            return list(layers[which].parameters())
        if which in parameters:
            return [parameters[which]]
        raise ArgumentError(no_such_layer(which, [*layers, *parameters], _with_parameters(model)))
    if not isinstance(which, Layer):
        raise ArgumentError(f"layers are meant by their names or are given themselves, not as {which!r}")
    own = {id(parameter) for parameter in parameters.values()}
    meant = list(which.parameters())
    if not all(id(parameter) in own for parameter in meant):
        raise ArgumentError(f"{which!r} is not a layer of this model")
    return meant


def _own_parameters(layer: Layer) -> Iterator[tuple[str, Parameter]]:
    """Walk over the parameters that hang on a layer itself, not on those inside it."""
    inside = {id(p) for child in layer.children().values() for p in child.parameters()}
    return ((name, p) for name, p in layer.named_parameters().items() if id(p) not in inside)


def _with_parameters(model: Layer) -> dict[str, Layer]:
    """Return the layers that have parameters of their own, by dotted name."""
    return {name: layer for name, layer in model.named_layers() if any(True for _ in _own_parameters(layer))}


def _put(layers: dict[str, Layer], name: str, new: Layer) -> None:
    """Put a layer in the place of the one of that name. Raises `ArgumentError` if it hangs in a way that hides it."""
    path, _, last = name.rpartition(".")
    outer = layers.get(path)
    if isinstance(outer, Sequential) and last in outer.layers:
        outer.layers = {**outer.layers, last: new}
    elif outer is not None and last in vars(outer):
        setattr(outer, last, new)
    else:
        raise ArgumentError(f"the last Linear, {name!r}, is kept in a list or a dict; put the new one there yourself")
