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


def _normalised_examples(a: Values, r: Values) -> Any:
    """Layer norm, or group norm, with the mean and the inverse of the standard deviation that were returned."""
    x, gamma, beta = a["x"], a["gamma"], a["beta"]
    mean, inv_std = (np.asarray(r[name]) for name in ("mean", "inv_std"))
    if "groups" not in a:
        return gamma * (x - _with_axes(mean, x)) * _with_axes(inv_std, x) + beta
    count = mean.shape[-1]
    rows = x.reshape(len(x), count, -1)
    x_hat = ((rows - mean.reshape(-1, count, 1)) * inv_std.reshape(-1, count, 1)).reshape(x.shape)
    channels = (-1, *[1] * (x.ndim - 2))
    return gamma.reshape(channels) * x_hat + beta.reshape(channels)


def _with_axes(v: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Add axes of length 1 at the end where an array was summed over the last ones."""
    return v.reshape(*v.shape, *[1] * (like.ndim - v.ndim)) if v.shape == like.shape[: v.ndim] else v


def _masked_product(a: Values, r: Values) -> Any:
    mask, b = np.asarray(r["mask"]), np.zeros_like(a["w"][:, 0]) if a["b"] is None else a["b"]
    return np.einsum("nkd,kd,nd->nk", mask[:, :, :-1], a["w"], a["x"]) + mask[:, :, -1] * b


def _shown(a: Values, r: Values) -> Any:
    """The states that cells and gates make."""
    return np.split(np.asarray(r["gates"]), 4, axis=2)[3] * np.tanh(r["c"])


def _cells(a: Values, r: Values) -> Any:
    """The cells that the gates make."""
    i, f, g, _ = np.split(np.asarray(r["gates"]), 4, axis=2)
    before = np.concatenate([a["c0"][:, None], np.asarray(r["c"])[:, :-1]], axis=1)
    return f * before + i * g


def _gates(a: Values, r: Values) -> Any:
    """The gates that the states make, step by step."""
    before = np.concatenate([a["h0"][:, None], np.asarray(r["y"])[:, :-1]], axis=1)
    own = {**a, "lengths": None}
    run = slots()["lstm_forward"].body
    steps = [run(**{**own, "x": a["x"][:, t : t + 1], "h0": before[:, t]})[2][:, 0] for t in range(before.shape[1])]
    gates = np.stack(steps, axis=1)
    if a.get("lengths") is not None:
        gates = gates * (np.arange(gates.shape[1]) < a["lengths"][:, None])[:, :, None]
    return gates


def _soft_loss(a: Values, r: Values) -> Any:
    p, t = np.asarray(r["probabilities"]), a["targets"]
    return -(t * np.log(np.maximum(p, 1e-300))).sum() / (p.size // p.shape[1])


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
    ("layer_norm_forward", "y"): _normalised_examples,
    ("group_norm_forward", "y"): _normalised_examples,
    ("lstm_forward", "y"): _shown,
    ("lstm_forward", "c"): _cells,
    ("lstm_forward", "gates"): _gates,
    ("softmax_cross_entropy_forward", "loss"): _loss,
    ("soft_cross_entropy_forward", "loss"): _soft_loss,
    ("drop_connect_forward", "y"): _masked_product,
    ("dropout_forward", "y"): lambda a, r: a["x"] * r["mask"] / (1 - a["p"]),
    ("sgd_update", "w"): _sgd_step,
    ("adam_update", "w"): _adam_step,
}
