"""Inside a network: which of its layers is wrong, which run twice, and whether all run back in the right order."""

import copy
import functools
import inspect
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from minicnn.backend import to_host
from minicnn.check.kinds import Kind
from minicnn.check.report import Finding, Report
from minicnn.check.subject import in_dtype
from minicnn.nn import Layer

Inputs = dict[str, list[np.ndarray]]


def inputs_of_layers(checked: Any, x: Any, context: tuple = ()) -> Inputs:
    """Return what each layer directly inside a layer gets in a forward pass, by name; once for every time it runs."""
    seen: Inputs = {}
    if not isinstance(checked, Layer) or not checked.children():
        return seen
    network = copy.deepcopy(checked).to("numpy").astype(np.float64)
    for name, layer in network.children().items():
        layer.add_hook(functools.partial(_keep, seen.setdefault(name, [])))
    try:
        x = np.asarray(to_host(x))
        x = x.astype(np.float64) if x.dtype.kind == "f" else x
        network.forward(x, *in_dtype(context, np.float64))
    except Exception:  # whatever it is, the check itself has reported it
        return {}
    return seen


def _keep(inputs: list[np.ndarray], layer: Layer, x: np.ndarray, y: np.ndarray) -> None:
    inputs.append(np.array(x))


def wrong_layer(checked: Any, inputs: Inputs, check: Callable[[Layer, np.ndarray], Report]) -> list[Finding]:
    """Check the layers inside, each at the input that it gets; return the findings of the first that is wrong."""
    for name, layer in checked.children().items() if isinstance(checked, Layer) else ():
        for x in inputs.get(name, ())[:1]:
            if x.dtype.kind != "f" or not x.size or not _takes_x_alone(layer):
                continue
            report = check(layer, x)
            if not report.ok and not report.undecided:
                return [replace(f, where=f"{name}.{f.where}", rank=f.rank) for f in report.findings if not f.remark]
    return []


def _takes_x_alone(layer: Layer) -> bool:
    """Return whether forward can be called with x; what else a layer needs, such as regions, nobody has kept."""
    given = inspect.signature(layer.forward).parameters.values()
    return sum(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in given) <= 1


def run_twice(inputs: Inputs) -> list[str]:
    """Return the layers that run more than once in a forward pass; each remembers its last run only."""
    return [name for name, times in inputs.items() if len(times) > 1]


def wrong_way_back(checked: Any, x: Any, dy: np.ndarray, context: tuple = ()) -> list[Finding]:
    """Say so if an author's container leaves a layer out on the way back, or runs a chain of layers from its beginning.

    The engine's own containers are right, and may run several layers in one step.
    """
    if not isinstance(checked, Layer) or type(checked).__module__.startswith("minicnn."):
        return []
    network = copy.deepcopy(checked).to("numpy").astype(np.float64)
    forwards: list[tuple[str, np.ndarray, np.ndarray]] = []
    backwards: list[str] = []
    for name, layer in network.children().items():
        layer.add_hook(functools.partial(_note, forwards, name))
        layer.backward = functools.partial(_note_and_run, backwards, name, layer.backward)  # type: ignore[method-assign]
    try:
        x = np.asarray(to_host(x))
        network.forward(x.astype(np.float64) if x.dtype.kind == "f" else x, *in_dtype(context, np.float64))
        network.backward(dy)
    except Exception:  # whatever it is, the check itself has reported it
        return []
    ran = [name for name, _, _ in forwards]
    forgotten = [name for name in ran if name not in backwards]
    if forgotten:
        message = f"{', '.join(forgotten)} runs in the forward pass, but its backward is never called"
        hint = "Through which layers does x go? On the way back the gradient goes through each of them."
        return [Finding(Kind.MISSING_TERM, "backward", message, {"layers": forgotten}, hint)]
    links = itertools.pairwise(forwards)
    is_chain = len(ran) > 1 and all(np.array_equal(one[2], other[1]) for one, other in links)
    if is_chain and len(set(ran)) == len(ran) and backwards != ran[::-1]:
        message = f"the layers run back in the order {', '.join(backwards)}, but x went through {', '.join(ran)}"
        hint = "Which layer does dy belong to? The way back begins with the last one."
        return [Finding(Kind.FLIPPED, "backward", message, {"layers": backwards}, hint)]
    return []


def _note(forwards: list[tuple[str, np.ndarray, np.ndarray]], name: str, layer: Layer, x: Any, y: Any) -> None:
    forwards.append((name, np.array(x), np.array(y)))


def _note_and_run(backwards: list[str], name: str, run: Callable[[np.ndarray], Any], dy: np.ndarray) -> Any:
    backwards.append(name)
    return run(dy)
