"""Results that are wrong only because another one is: y follows from mean and inv_std, the loss from the probabilities.

A report names the cause and leaves out what follows from it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minicnn.backend.slots import slots

Values = Mapping[str, Any]
Follows = Callable[[Values, Values], Any]


def follows_from_others(operation: str, name: str, arguments: Values, results: Values) -> bool:
    """Return whether a result is what the other results, wrong as they may be, would make of it."""
    rule = _RULES.get((operation, name))
    if rule is None:
        return False
    try:
        with np.errstate(all="ignore"):
            expected = np.asarray(rule(arguments, results))
        got = np.asarray(results[name])
        return expected.shape == got.shape and np.allclose(expected, got, rtol=1e-6, atol=1e-9, equal_nan=True)
    except (ValueError, IndexError, TypeError, KeyError):
        return False


def _normalised(a: Values, r: Values) -> Any:
    def along(v: Any) -> Any:
        v = np.asarray(v)
        return v.reshape(-1, *[1] * (a["x"].ndim - 2)) if v.ndim == 1 else v

    return (a["x"] - along(r["mean"])) * along(r["inv_std"]) * along(a["gamma"]) + along(a["beta"])


def _loss(a: Values, r: Values) -> Any:
    p = np.asarray(r["probabilities"])
    logits = np.log(np.maximum(p, 1e-300))
    total = p.sum(axis=1, keepdims=True)
    options = {name: a[name] for name in ("label_smoothing", "class_weights") if name in a}
    loss = slots()["softmax_cross_entropy_forward"].body(logits, a["labels"], **options)[0]
    return loss if np.allclose(total, 1) else -np.log(p[np.arange(len(p)), a["labels"]]).mean()


def _sgd_step(a: Values, r: Values) -> Any:
    if not a["nesterov"]:
        return a["w"] - a["lr"] * r["velocity"]
    return a["w"] - a["lr"] * (a["dw"] + a["weight_decay"] * a["w"] + a["momentum"] * r["velocity"])


def _adam_step(a: Values, r: Values) -> Any:
    m_hat, v_hat = r["m"] / (1 - a["beta1"] ** a["step"]), r["v"] / (1 - a["beta2"] ** a["step"])
    return a["w"] - a["lr"] * m_hat / (np.sqrt(v_hat) + a["eps"])


_RULES: dict[tuple[str, str], Follows] = {
    ("batch_norm_forward", "y"): _normalised,
    ("batch_norm_relu_forward", "y"): lambda a, r: np.maximum(_normalised(a, r), 0),
    ("softmax_cross_entropy_forward", "loss"): _loss,
    ("dropout_forward", "y"): lambda a, r: a["x"] * r["mask"] / (1 - a["p"]),
    ("sgd_update", "w"): _sgd_step,
    ("adam_update", "w"): _adam_step,
}
