"""Mistakes in a formula of several terms: one is missing, has the wrong sign, or the wrong factor.

A right result is the sum of its terms. The wrong one is written as a sum of the same terms with unknown coefficients
(least squares): if that fits to the last digit, the coefficients say what happened. 1 is right, 0 is a missing term,
-1 a wrong sign.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from minicnn.backend import slots, special_functions
from minicnn.check.hypotheses.naming import names_of_factor
from minicnn.check.hypotheses.norms import normalised, rows, spread
from minicnn.check.hypotheses.resampled import centres, neighbour_weights
from minicnn.check.kinds import Kind
from minicnn.check.trial import Reading, Trial, largest
from minicnn.geometry import pair

Terms = dict[str, np.ndarray]
COUNT_THE_WAYS = "Draw all the ways from this input to the output and count the terms of your formula: one for each?"


def terms(trial: Trial) -> Iterator[Reading]:
    """Find the coefficients, and read those that are not 1."""
    found = coefficients(trial)
    if found is None:
        return
    wrong = {name: c for name, c in found.items() if not _near(c, 1)}
    missing = [name for name, c in wrong.items() if _near(c, 0)]
    negative = [name for name, c in wrong.items() if _near(c, -1)]
    scaled = [name for name in wrong if name not in missing and name not in negative]
    if missing and len(missing) < len(found):
        yield Reading(
            Kind.MISSING_TERM, f"{_joined(missing)} missing", lambda t: _agrees(t, missing, 0), hint=COUNT_THE_WAYS
        )
    if negative:
        yield Reading(Kind.SIGN, f"the sign of one term is wrong: {negative[0]}", lambda t: _agrees(t, negative, -1))
    for name in scaled:
        factor = abs(wrong[name])
        for text, _ in names_of_factor(trial, factor):
            yield Reading(
                Kind.SCALE,
                f"one term is {text} times what it should be: {name}",
                _is_scaled,
                values=(name, text),
                evidence={"factor": factor, "name": text},
            )
        yield Reading(
            Kind.SCALE,
            f"one term has the wrong factor: {name}",
            lambda t, name: name in _wrong(t),
            values=(name,),
            evidence={"factor": factor, "name": f"{factor:.6g}"},
            fallback=True,
        )


def coefficients(trial: Trial) -> dict[str, float] | None:
    """Return by what each term has to be multiplied to give the result; None if nothing fits."""
    key = "coefficients"
    if key not in trial.memory:
        trial.memory[key] = _coefficients(trial)
    return trial.memory[key]


def _coefficients(trial: Trial) -> dict[str, float] | None:
    if trial.got.shape != trial.expected.shape or trial.got.dtype.kind != "f" or not np.isfinite(trial.got).all():
        return None
    parts = {name: term for name, term in _terms_of(trial).items() if largest(term) > 0}
    if len(parts) < 2:
        return None
    told = ~np.isnan(trial.expected)
    columns = np.stack([np.broadcast_to(term, trial.expected.shape)[told] for term in parts.values()], axis=1)
    if columns.shape[0] <= columns.shape[1]:
        return None
    fit, _, rank, _ = np.linalg.lstsq(columns, trial.got[told], rcond=1e-10)
    size = max(largest(trial.got), largest(trial.expected))
    exact = np.abs(columns @ fit - trial.got[told]).max() <= 10 * trial.tolerance * size
    if rank < len(parts) or not exact or not trial.is_right(sum(parts.values())):  # type: ignore[arg-type]
        return None
    return dict(zip(parts, map(float, fit), strict=True))


def _terms_of(trial: Trial) -> Terms:
    make = _TERMS.get((trial.operation, trial.result))
    return {} if make is None else make(trial.arguments)


def _near(value: float, whole: float) -> bool:
    return abs(value - whole) < 1e-6


def _wrong(trial: Trial) -> dict[str, float]:
    found = coefficients(trial)
    return {} if found is None else {name: c for name, c in found.items() if not _near(c, 1)}


def _agrees(trial: Trial, names: list[str], value: float) -> bool:
    """Return whether the wrong coefficients of a trial are that value, for names among these."""
    wrong = _wrong(trial)
    return bool(wrong) and all(name in names and _near(c, value) for name, c in wrong.items())


def _is_scaled(trial: Trial, name: str, text: str) -> bool:
    wrong = _wrong(trial)
    value = dict(names_of_factor(trial, None)).get(text)
    return name in wrong and value is not None and bool(np.isclose(abs(wrong[name]), value, rtol=1e-6))


def _joined(names: list[str]) -> str:
    return names[0] + " is" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} are"


# The terms, operation by operation


def _per_channel(v: np.ndarray, x: np.ndarray) -> np.ndarray:
    return v.reshape(-1, *[1] * (x.ndim - 2))


def _batch_norm_dx(a: Mapping[str, Any]) -> Terms:
    dy, x = a["dy"], a["x"]
    axes = (0, *range(2, x.ndim))
    x_hat = (x - _per_channel(a["mean"], x)) * _per_channel(a["inv_std"], x)
    scale = _per_channel(a["gamma"] * a["inv_std"], x)
    return {
        "the direct way from x to y": scale * dy,
        "the way through the batch's mean": -scale * dy.mean(axis=axes, keepdims=True) * np.ones_like(x),
        "the way through the batch's variance": -scale * x_hat * (dy * x_hat).mean(axis=axes, keepdims=True),
    }


def _batch_norm_y(a: Mapping[str, Any]) -> Terms:
    x = a["x"]
    axes = (0, *range(2, x.ndim))
    given = "mean" in a
    mean = _per_channel(a["mean"], x) if given else x.mean(axis=axes, keepdims=True)
    scale = (
        _per_channel(a["gamma"] * a["inv_std"], x)
        if given
        else _per_channel(a["gamma"], x) / np.sqrt(x.var(axis=axes, keepdims=True) + a["eps"])
    )
    ones = np.ones_like(x)
    return {"x": x * scale, "the mean": -mean * scale * ones, "beta": _per_channel(a["beta"], x) * ones}


def _batch_norm_dgamma(a: Mapping[str, Any]) -> Terms:
    dy, x = a["dy"], a["x"]
    axes = (0, *range(2, x.ndim))
    return {"x": (dy * x).sum(axis=axes) * a["inv_std"], "the mean": -dy.sum(axis=axes) * a["mean"] * a["inv_std"]}


def _norm_dx(a: Mapping[str, Any]) -> Terms:
    x_hat, _, s = normalised(a)
    d = rows(spread(a["gamma"], a) * a["dy"], a)
    terms = {
        "the direct way from x to y": s * d,
        "the way through the mean": -s * d.mean(axis=1, keepdims=True) * np.ones_like(d),
        "the way through the variance": -s * x_hat * (d * x_hat).mean(axis=1, keepdims=True),
    }
    return {name: term.reshape(a["x"].shape) for name, term in terms.items()}


def _norm_y(a: Mapping[str, Any]) -> Terms:
    _, mean, s = normalised(a)
    scale = rows(spread(a["gamma"], a), a) * s
    terms = {"x": rows(a["x"], a) * scale, "the mean": -mean * scale, "beta": rows(spread(a["beta"], a), a)}
    return {name: term.reshape(a["x"].shape) for name, term in terms.items()}


def _soft_dlogits(a: Mapping[str, Any]) -> Terms:
    p, t = a["probabilities"], a["targets"]
    count = p.size // p.shape[1]
    return {
        "the part of the probabilities": p * t.sum(axis=1, keepdims=True) / count,
        "the part of the targets": -t / count,
    }


def _drop_connect_y(a: Mapping[str, Any]) -> Terms:
    body = slots()["drop_connect_inference_forward"].body
    z, arrays = tuple(a["z"]), (a["x"], a["w"], a["b"])
    mean = body(*arrays, p=a["p"], z=(0.0,) * len(z))
    whole = body(*arrays, p=a["p"], z=z)
    return {"the mean": mean, "the standard deviation": whole - mean}


def _drop_connect_back(result: int) -> Callable[[Mapping[str, Any]], Terms]:
    def make(a: Mapping[str, Any]) -> Terms:
        body = slots()["drop_connect_inference_backward"].body
        z, arrays = tuple(a["z"]), (a["dy"], a["x"], a["w"], a["b"])
        mean = body(*arrays, p=a["p"], z=(0.0,) * len(z))[result]
        whole = body(*arrays, p=a["p"], z=z)[result]
        return {"the way through the mean": mean, "the way through the standard deviation": whole - mean}

    return make


def _loss_dlogits(a: Mapping[str, Any]) -> Terms:
    p, labels = a["probabilities"], a["labels"]
    classes = np.arange(p.shape[1]).reshape(1, -1, *[1] * (p.ndim - 2))
    one_hot = (labels[:, None] == classes).astype(p.dtype)
    smoothing, weights = a.get("label_smoothing") or 0.0, a.get("class_weights")
    t = one_hot * (1 - smoothing) + smoothing / p.shape[1]
    total: Any = labels.size
    if weights is not None:
        weights = weights.reshape(classes.shape)
        t, total = t * weights, (one_hot * weights).sum()
    return {
        "the part of the probabilities": p * t.sum(axis=1, keepdims=True) / total,
        "the part of the one-hot labels": -t / total,
    }


def _with_bias(operation: str) -> Callable[[Mapping[str, Any]], Terms]:
    def make(a: Mapping[str, Any]) -> Terms:
        options = {name: value for name, value in a.items() if name not in ("x", "w", "b")}
        if a["b"] is None:
            return {}
        products = slots()[operation].body(a["x"], a["w"], None, **options)
        bias = a["b"].reshape(-1, *[1] * (products.ndim - 2))
        return {"the sum of products": products, "the bias": bias * np.ones_like(products)}

    return make


def _gelu(a: Mapping[str, Any]) -> Terms:
    x, dy = a["x"], a["dy"]
    density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return {"Phi(x)": dy * 0.5 * (1 + special_functions(x).erf(x / math.sqrt(2))), "x times phi(x)": dy * x * density}


def _silu(a: Mapping[str, Any]) -> Terms:
    x, dy = a["x"], a["dy"]
    s = 1 / (1 + np.exp(-np.clip(x, -700, 700)))
    return {"sigmoid(x)": dy * s, "x times the derivative of sigmoid": dy * x * s * (1 - s)}


def _bilinear(a: Mapping[str, Any]) -> Terms:
    return {"dy": a["dy"], "dy times the square of y": -a["dy"] * a["y"] ** 2}


def _sigmoid(a: Mapping[str, Any]) -> Terms:
    return {"dy times y": a["dy"] * a["y"], "dy times the square of y": -a["dy"] * a["y"] ** 2}


def _sgd(a: Mapping[str, Any]) -> tuple[Terms, Terms]:
    """The terms of the new w and of the new velocity."""
    g = {"the gradient dw": a["dw"], "weight decay": a["weight_decay"] * a["w"]}
    velocity = {"the old velocity": a["momentum"] * a["velocity"], **g}
    if a["nesterov"]:
        ahead = 1 + a["momentum"]
        step = {
            "the old velocity": a["momentum"] ** 2 * a["velocity"],
            **{name: ahead * term for name, term in g.items()},
        }
    else:
        step = velocity
    return {"the old w": a["w"], **{name: -a["lr"] * term for name, term in step.items()}}, velocity


def _adam_m(a: Mapping[str, Any]) -> Terms:
    rest = 1 - a["beta1"]
    return {
        "the old m": a["beta1"] * a["m"],
        "the gradient dw": rest * a["dw"],
        "weight decay": rest * a["weight_decay"] * a["w"],
    }


def _adam_v(a: Mapping[str, Any]) -> Terms:
    g = a["dw"] + a["weight_decay"] * a["w"]
    return {"the old v": a["beta2"] * a["v"], "the squared gradient": (1 - a["beta2"]) * g * g}


def _adam_w(a: Mapping[str, Any]) -> Terms:
    m, v = sum(_adam_m(a).values()), sum(_adam_v(a).values())
    m_hat, v_hat = m / (1 - a["beta1"] ** a["step"]), v / (1 - a["beta2"] ** a["step"])
    return {"the old w": a["w"], "the step": -a["lr"] * m_hat / (np.sqrt(v_hat) + a["eps"])}


_NEIGHBOURS = {
    "the neighbour above on the left": (0, 0),
    "the neighbour above on the right": (0, 1),
    "the neighbour below on the left": (1, 0),
    "the neighbour below on the right": (1, 1),
}


def _resized(a: Mapping[str, Any]) -> Terms:
    """Bilinear resizing, forwards or backwards, neighbour by neighbour."""
    size, out = (a["shape"][2:], a["dy"].shape[2:]) if "dy" in a else (a["x"].shape[2:], pair(a["size"], "size"))
    places = [np.clip(centres(length, count), 0, length - 1) for length, count in zip(size, out, strict=True)]
    sides = [neighbour_weights(place, length) for place, length in zip(places, size, strict=True)]
    weights = {name: (sides[0][down], sides[1][right]) for name, (down, right) in _NEIGHBOURS.items()}
    if "dy" in a:
        return {name: rows.T @ a["dy"] @ columns for name, (rows, columns) in weights.items()}
    return {name: rows @ a["x"] @ columns.T for name, (rows, columns) in weights.items()}


def _warped(a: Mapping[str, Any]) -> Terms:
    """Bilinear warping, neighbour by neighbour."""
    edge = 0 if a["fill"] is None else 1
    place = np.clip(a["coordinates"], -edge, np.reshape(a["x"].shape[2:], (1, 2, 1, 1)) - 1 + edge)
    first = np.floor(place)
    share = place - first
    found = {}
    for name, (down, right) in _NEIGHBOURS.items():
        weight = abs(1 - down - share[:, :1]) * abs(1 - right - share[:, 1:])
        pixel = first + np.reshape((down, right), (1, 2, 1, 1))
        found[name] = weight * slots()["warp"].body(a["x"], pixel, fill=a["fill"])
    return found


_TERMS: dict[tuple[str, str], Callable[[Mapping[str, Any]], Terms]] = {
    ("conv2d_forward", "y"): _with_bias("conv2d_forward"),
    ("conv_transpose2d_forward", "y"): _with_bias("conv_transpose2d_forward"),
    ("linear_forward", "y"): _with_bias("linear_forward"),
    ("upsample_bilinear_forward", "y"): _resized,
    ("upsample_bilinear_backward", "dx"): _resized,
    ("warp", "y"): _warped,
    ("batch_norm_backward", "dx"): _batch_norm_dx,
    ("batch_norm_backward", "dgamma"): _batch_norm_dgamma,
    ("batch_norm_inference_backward", "dgamma"): _batch_norm_dgamma,
    ("batch_norm_forward", "y"): _batch_norm_y,
    ("batch_norm_inference_forward", "y"): _batch_norm_y,
    ("layer_norm_forward", "y"): _norm_y,
    ("group_norm_forward", "y"): _norm_y,
    ("layer_norm_backward", "dx"): _norm_dx,
    ("group_norm_backward", "dx"): _norm_dx,
    ("softmax_cross_entropy_backward", "dlogits"): _loss_dlogits,
    ("soft_cross_entropy_backward", "dlogits"): _soft_dlogits,
    ("drop_connect_inference_forward", "y"): _drop_connect_y,
    **{
        ("drop_connect_inference_backward", result): _drop_connect_back(place)
        for place, result in enumerate(("dx", "dw", "db"))
    },
    ("gelu_backward", "dx"): _gelu,
    ("silu_backward", "dx"): _silu,
    ("tanh_backward", "dx"): _bilinear,
    ("sigmoid_backward", "dx"): _sigmoid,
    ("sgd_update", "w"): lambda a: _sgd(a)[0],
    ("sgd_update", "velocity"): lambda a: _sgd(a)[1],
    ("adam_update", "m"): _adam_m,
    ("adam_update", "v"): _adam_v,
    ("adam_update", "w"): _adam_w,
}
