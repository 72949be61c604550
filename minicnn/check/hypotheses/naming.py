"""Names for what a mistake did: factors by the quantities that they equal, axes by what they stand for."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from minicnn.check.trial import Trial

AXES = {
    "w": ("kernel", "channel", "row", "column"),
    "cols": ("sample", "kernel position", "window"),
    "x": ("sample", "channel", "row", "column"),
}


def quantities(arguments: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers by which a result may be too large, by the names that a course gives them."""
    found: dict[str, float] = {}
    arrays = {name: np.shape(value) for name, value in {**results, **arguments}.items() if np.ndim(value)}
    image = arrays.get("x", arguments.get("shape", arrays.get("logits", arrays.get("probabilities", ()))))
    if image:
        found["N"] = image[0]
    if len(image) > 1:
        found["C"] = image[1]
    if len(image) == 4:
        found["H*W"] = image[2] * image[3]
    if "labels" in arrays:
        found["labels.size"] = int(np.prod(arrays["labels"]))
    output = arrays.get("dy", arrays.get("y", ()))
    if len(output) == 4:
        found["oh*ow"] = output[2] * output[3]
    kernel = arrays["w"][2:] if len(arrays.get("w", ())) == 4 else arguments.get("kernel", ())
    if len(np.atleast_1d(kernel)) == 2:
        found["kh*kw"] = int(np.prod(kernel))
    if len(arrays.get("w", ())) in (2, 4) and "velocity" not in arrays and "m" not in arrays:
        found["F"] = arrays["w"][0]
    if "rois" in arrays:
        found["R"] = arrays["rois"][0]
    found.update({f"{length}": float(length) for length in (2, 3, 4)})
    for name, value in arguments.items():
        if isinstance(value, np.ndarray) and value.size == 1 and name not in ("x", "dy") and value.all():
            found[name] = abs(float(value.reshape(-1)[0]))
            found[f"{name}^2"] = found[name] ** 2
        if isinstance(value, float) and value > 0 and name != "threshold":
            found[name] = value
            if value < 1:
                found[f"(1 - {name})"] = 1 - value
                found[f"(1 - {name})/{name}"] = (1 - value) / value
    return found


def names_of_factor(trial: Trial, factor: float | None) -> Iterator[tuple[str, float]]:
    """Walk over the names that a factor may have, with their values; over all names if the factor is None."""
    singles = {name: value for name, value in trial.quantities.items() if value != 1}
    products = dict(singles)
    sizes = [name for name in ("N", "H*W", "oh*ow", "C", "kh*kw") if name in trial.quantities]
    for one, other in itertools.combinations(sizes, 2):
        products[f"{one}*{other}"] = trial.quantities[one] * trial.quantities[other]
    for name in list(products) if factor is None else products:
        for text, value in ((name, products[name]), (f"1/{_bracketed(name)}", 1 / products[name])):
            if factor is None or np.isclose(value, factor, rtol=max(1e-7, trial.tolerance)):
                yield text, value
    for size in ("N", "H*W"):
        root = trial.quantities.get(size, 1) ** 0.5
        for name, value in ((f"sqrt({size})", root), (f"1/sqrt({size})", 1 / root)):
            if factor is None or (value != 1 and np.isclose(value, factor, rtol=max(1e-7, trial.tolerance))):
                yield name, value


def name_axes(trial: Trial, order: tuple[int, ...]) -> str:
    """Say which axes changed places."""
    names = axis_names(trial.result.removeprefix("d"), trial.expected.ndim)
    moved = [names[axis] for place, axis in enumerate(order) if place != axis]
    return f"{', '.join(moved[:-1])} and {moved[-1]}"


def axis_names(name: str, ndim: int) -> tuple[str, ...]:
    """Return what the axes of an array stand for."""
    name = "w" if name.endswith("weight") else name
    if ndim == 4 and name == "w":
        return AXES["w"]
    if ndim == 3 and name == "cols":
        return AXES["cols"]
    if ndim == 4:
        return AXES["x"]
    if ndim == 2 and name in ("w", "w_ih", "w_hh"):
        return ("output", "input")
    if ndim == 2 and name in ("logits", "targets", "probabilities"):
        return ("sample", "class")
    if ndim == 2:
        return ("sample", "feature")
    return tuple(f"axis {axis}" for axis in range(ndim))


def _bracketed(name: str) -> str:
    return f"({name})" if "*" in name or "/" in name else name
