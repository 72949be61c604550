"""Wrong formulas that are met again and again, operation by operation: each is computed and compared."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from minicnn.backend.slots import slots
from minicnn.check.hypotheses.formulas_of_vectors import FORMULAS_OF_VECTORS, softmax_over_samples
from minicnn.check.hypotheses.regions import REGIONS
from minicnn.check.hypotheses.resampled import RESAMPLED
from minicnn.check.kinds import Kind
from minicnn.check.trial import Reading, Trial
from minicnn.geometry import pair, pool_windows, resolve_padding
from minicnn.ops.windows import pad, taps

Formula = Callable[[Mapping[str, Any]], np.ndarray | None]


def formulas(trial: Trial) -> Iterator[Reading]:
    """Compare with the wrong formulas that belong to this result."""
    for operation, result, kind, message, formula in (*_FORMULAS, *RESAMPLED, *REGIONS):
        if operation == trial.operation and result == trial.result:
            yield Reading(
                kind,
                message,
                lambda t, formula: t.matches(formula(t.arguments)),
                values=(formula,),
                priority=Kind.SCALE.rank - 0.5 if kind is Kind.FORWARD_DIFFERS else None,
            )
    if trial.operation in _PADDED:
        yield Reading(Kind.SHIFTED, "the padding is not the same on both sides", _is_padded_unevenly)


def _is_padded_unevenly(trial: Trial) -> bool:
    """Return whether the windows begin elsewhere: more padding on one side than on the other."""
    a = dict(trial.arguments)
    x, padding = a.get("x"), a.get("padding")
    if not isinstance(x, np.ndarray) or not isinstance(padding, tuple) or padding == (0, 0):
        return False
    body = slots()[trial.operation].body
    place = slots()[trial.operation].returns.index(trial.result)
    names = list(slots()[trial.operation].signature.parameters)
    value = -np.inf if "max_pool" in trial.operation else 0.0
    for top in range(2 * padding[0] + 1):
        for left in range(2 * padding[1] + 1):
            if (top, left) == padding:
                continue
            pads = ((top, 2 * padding[0] - top), (left, 2 * padding[1] - left))
            arguments = {name: v for name, v in {**a, "x": pad(x, pads, value), "padding": 0}.items() if name in names}
            results = body(**arguments)
            if trial.matches(results[place] if isinstance(results, tuple) else results):
                return True
    return False


def _axes(x: np.ndarray) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _channel(v: np.ndarray, x: np.ndarray) -> np.ndarray:
    return v.reshape(-1, *[1] * (x.ndim - 2))


def _batch_norm(inv_std: Callable[[np.ndarray, float], np.ndarray], *, ddof: int = 0) -> dict[str, Formula]:
    """Batch norm with another formula for the inverse of the standard deviation."""

    def statistic(a: Mapping[str, Any]) -> np.ndarray | None:
        x = a["x"]
        if x.size // x.shape[1] <= ddof:
            return None
        return inv_std(x.var(axis=_axes(x), ddof=ddof), a["eps"])

    def y(a: Mapping[str, Any]) -> np.ndarray | None:
        x, factor = a["x"], statistic(a)
        if factor is None:
            return None
        mean = x.mean(axis=_axes(x), keepdims=True)
        return (x - mean) * _channel(a["gamma"] * factor, x) + _channel(a["beta"], x)

    return {"inv_std": statistic, "y": y}


def _mean_inside(a: Mapping[str, Any], operation: str) -> np.ndarray:
    """Average pooling that divides by the number of pixels of the image in each window."""
    shape = a["x"].shape if "x" in a else a["shape"]
    kernel, stride, pads, out = pool_windows(shape, a["kernel"], a.get("stride"), a.get("padding", 0))
    inside = np.zeros((1, 1, *out))
    for tap in taps(pad(np.ones((1, 1, *shape[2:])), pads), kernel=kernel, stride=stride, out=out):
        inside += tap
    more = kernel[0] * kernel[1] / inside
    body = slots()[operation].body
    if "x" in a:
        return body(a["x"], kernel=kernel, stride=stride, padding=a.get("padding", 0)) * more
    return body(a["dy"] * more, shape=shape, kernel=kernel, stride=stride, padding=a.get("padding", 0))


def _argmax(
    a: Mapping[str, Any], number: Callable[[np.ndarray, np.ndarray, tuple[int, int], Any], np.ndarray]
) -> np.ndarray:
    """Maxima numbered in another way: by row p and column q in the window."""
    kernel, stride, pads, _ = pool_windows(a["x"].shape, a["kernel"], a.get("stride"), a.get("padding", 0))
    _, argmax = slots()["max_pool2d_forward"].body(a["x"], kernel=kernel, stride=stride, padding=a.get("padding", 0))
    p, q = np.divmod(argmax.astype(np.int64), kernel[1])
    return number(p, q, kernel, (stride, pads, a["x"].shape))


def _bordered_with_zeros(a: Mapping[str, Any], result: int) -> np.ndarray:
    """Max pooling of an image inside a border of zeros."""
    kernel, stride, pads, _ = pool_windows(a["x"].shape, a["kernel"], a.get("stride"), a.get("padding", 0))
    return slots()["max_pool2d_forward"].body(pad(a["x"], pads), kernel=kernel, stride=stride)[result]


def _in_image(p: np.ndarray, q: np.ndarray, kernel: tuple[int, int], rest: Any) -> np.ndarray:
    stride, ((top, _), (left, _)), shape = rest
    rows = np.arange(p.shape[2])[:, None] * stride[0] - top + p
    columns = np.arange(p.shape[3]) * stride[1] - left + q
    return rows * shape[3] + columns


def _adam_step(correct_m: bool, correct_v: bool) -> Formula:
    def formula(a: Mapping[str, Any]) -> np.ndarray:
        g = a["dw"] + a["weight_decay"] * a["w"]
        m = a["beta1"] * a["m"] + (1 - a["beta1"]) * g
        v = a["beta2"] * a["v"] + (1 - a["beta2"]) * g * g
        m = m / (1 - a["beta1"] ** a["step"]) if correct_m else m
        v = v / (1 - a["beta2"] ** a["step"]) if correct_v else v
        return a["w"] - a["lr"] * m / (np.sqrt(v) + a["eps"])

    return formula


def _uncut_pool(a: Mapping[str, Any]) -> np.ndarray:
    """The gradient of the padded image, for pooling."""
    kernel, stride, pads, _ = pool_windows(a["shape"], a["kernel"], a.get("stride"), a.get("padding", 0))
    n, c, h, w = a["shape"]
    shape = (n, c, h + sum(pads[0]), w + sum(pads[1]))
    given = {name: a[name] for name in ("dy", "argmax") if name in a}
    operation = slots()["max_pool2d_backward" if "argmax" in a else "avg_pool2d_backward"]
    return operation.body(**given, shape=shape, kernel=kernel, stride=stride)


def _uncut(a: Mapping[str, Any]) -> np.ndarray | None:
    """The gradient of the padded image, of which the middle should have been cut out."""
    if "shape" in a and "cols" not in a:
        return _uncut_pool(a)
    operation = slots()["col2im" if "cols" in a else "conv2d_backward"]
    shape = a["shape"] if "cols" in a else a["x"].shape
    kernel = a["kernel"] if "cols" in a else a["w"].shape[2:]
    pads = resolve_padding(
        a.get("padding", 0), size=shape[2:], kernel=pair(kernel, "kernel"), stride=a.get("stride", 1)
    )
    names = [name for name in operation.signature.parameters if name in a]
    arguments = {**{name: a[name] for name in names}, "padding": 0}
    if "cols" in a:
        return operation.body(**{**arguments, "shape": (*shape[:2], shape[2] + sum(pads[0]), shape[3] + sum(pads[1]))})
    return operation.body(**{**arguments, "x": pad(a["x"], pads)})[0]


def _corner(a: Mapping[str, Any]) -> np.ndarray | None:
    """The first H rows and W columns of the padded image's gradient."""
    whole = _uncut(a)
    h, w = (a["shape"] if "shape" in a else a["x"].shape)[2:]
    return None if whole is None else whole[:, :, :h, :w]


_BIASED = "the variance is divided by m - 1; batch norm divides by m"
_OUTSIDE = "eps is added outside the square root"
_PADDED = ("conv2d_forward", "im2col", "avg_pool2d_forward", "max_pool2d_forward", "conv2d_relu_forward")
_CORRECTION = "the correction for moments that start at zero is missing"
_INSIDE = "the mean is taken over the pixels of the image alone; here the padding counts as zeros"
_FORMULAS: list[tuple[str, str, Kind, str, Formula]] = [
    *(
        ("batch_norm_forward", result, kind, message, formula)
        for kind, message, variant in (
            (Kind.SCALE, _BIASED, _batch_norm(lambda var, eps: 1 / np.sqrt(var + eps), ddof=1)),
            (Kind.FORWARD_DIFFERS, _OUTSIDE, _batch_norm(lambda var, eps: 1 / (np.sqrt(var) + eps))),
            (Kind.FORWARD_DIFFERS, "the square root is missing", _batch_norm(lambda var, eps: 1 / (var + eps))),
        )
        for result, formula in variant.items()
    ),
    *(
        ("batch_norm_forward", "inv_std", Kind.FORWARD_DIFFERS, message, _batch_norm(formula)["inv_std"])
        for message, formula in (
            ("it is the standard deviation; its inverse belongs here", lambda var, eps: np.sqrt(var + eps)),
            ("it is the variance; 1 / sqrt(variance + eps) belongs here", lambda var, eps: var),
            ("it is variance + eps; the inverse of its root belongs here", lambda var, eps: var + eps),
        )
    ),
    *(
        (name, result, kind, _INSIDE, functools.partial(_mean_inside, operation=name))
        for name, result, kind in (
            ("avg_pool2d_forward", "y", Kind.FORWARD_DIFFERS),
            ("avg_pool2d_backward", "dx", Kind.SCALE),
        )
    ),
    *(
        (
            "max_pool2d_forward",
            result,
            Kind.FORWARD_DIFFERS,
            "the border counts as zeros; minus infinity belongs there, so that no pixel of it ever wins",
            functools.partial(_bordered_with_zeros, result=place),
        )
        for place, result in enumerate(("y", "argmax"))
    ),
    (
        "max_pool2d_forward",
        "argmax",
        Kind.TRANSPOSED,
        "positions are counted column by column, q * kh + p; they go row by row, p * kw + q",
        lambda a: _argmax(a, lambda p, q, kernel, rest: q * kernel[0] + p),
    ),
    (
        "max_pool2d_forward",
        "argmax",
        Kind.FORWARD_DIFFERS,
        "positions are counted in the whole image; they count inside the window, p * kw + q",
        lambda a: _argmax(a, _in_image),
    ),
    (
        "softmax_cross_entropy_forward",
        "probabilities",
        Kind.FORWARD_DIFFERS,
        "the softmax runs over the samples; each sample's probabilities must add up to 1",
        softmax_over_samples,
    ),
    (
        "softmax_cross_entropy_backward",
        "dlogits",
        Kind.MASK,
        "1 is subtracted from the probability of every class; it belongs to the label's class alone",
        lambda a: (a["probabilities"] - 1) / a["labels"].size,
    ),
    ("adam_update", "w", Kind.MISSING_TERM, _CORRECTION, _adam_step(False, False)),
    ("adam_update", "w", Kind.MISSING_TERM, f"{_CORRECTION} from v", _adam_step(True, False)),
    ("adam_update", "w", Kind.MISSING_TERM, f"{_CORRECTION} from m", _adam_step(False, True)),
    *(
        (name, result, Kind.SHIFTED, "the padding is cut off on the wrong side", _corner)
        for name, result in (
            ("conv2d_backward", "dx"),
            ("col2im", "x"),
            ("max_pool2d_backward", "dx"),
            ("avg_pool2d_backward", "dx"),
        )
    ),
    *FORMULAS_OF_VECTORS,
]
