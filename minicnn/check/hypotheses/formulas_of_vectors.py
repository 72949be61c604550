"""Wrong formulas of cross-entropy with shares, embeddings and DropConnect."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minicnn.backend.slots import slots
from minicnn.check.kinds import Kind

Formula = Callable[[Mapping[str, Any]], np.ndarray | None]


def softmax_over_samples(a: Mapping[str, Any]) -> np.ndarray:
    """Probabilities that add up to 1 over the batch."""
    e = np.exp(a["logits"] - a["logits"].max())
    return e / e.sum(axis=0, keepdims=True)


def _soft_loss(shares: Callable[[np.ndarray], np.ndarray], *, entropy: bool = False) -> Formula:
    """Cross-entropy with other targets, or with their entropy taken off."""

    def formula(a: Mapping[str, Any]) -> np.ndarray:
        t, logits = shares(a["targets"]), a["logits"]
        loss = slots()["soft_cross_entropy_forward"].body(logits, t)[0]
        own = np.where(t > 0, t * np.log(np.where(t > 0, t, 1)), 0).sum() / (t.size // t.shape[1])
        return loss + own if entropy else loss

    return formula


def _largest_share(t: np.ndarray) -> np.ndarray:
    return (np.arange(t.shape[1]).reshape(1, -1, *[1] * (t.ndim - 2)) == t.argmax(axis=1, keepdims=True)) * 1.0


def _soft_gradient(gradient: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Formula:
    return lambda a: gradient(a["probabilities"], a["targets"]) / (a["targets"].size // a["targets"].shape[1])


def _without_zero(a: Mapping[str, Any], result: str) -> np.ndarray:
    """An embedding in which the number 0 is left out."""
    if result == "y":
        return a["w"][a["x"]] * (a["x"] != 0)[..., None]
    dw = slots()["embedding_backward"].body(a["dy"], a["x"], a["w"])
    dw[0] = 0
    return dw


def _softmax(scores: np.ndarray) -> np.ndarray:
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _drop_connect(change: Callable[[np.ndarray], np.ndarray], result: int) -> Formula:
    """DropConnect with another mask."""

    def formula(a: Mapping[str, Any]) -> np.ndarray:
        mask = change(slots()["drop_connect_forward"].body(a["x"], a["w"], a["b"], p=a["p"], key=a["key"])[1])
        b = np.zeros_like(a["w"][:, 0]) if a["b"] is None else a["b"]
        y = np.einsum("nkd,kd,nd->nk", mask[:, :, :-1], a["w"], a["x"]) + mask[:, :, -1] * b
        return mask if result else y

    return formula


def _with_bias_kept(mask: np.ndarray) -> np.ndarray:
    return np.concatenate([mask[:, :, :-1], np.ones_like(mask[:, :, -1:])], axis=2)


def _uncertain(std: Callable[[Mapping[str, Any]], np.ndarray], *, whole_mean: bool = False) -> Formula:
    """DropConnect's inference with another standard deviation, or with the mean of all weights."""

    def formula(a: Mapping[str, Any]) -> np.ndarray:
        p, total = a["p"], _total(a)
        mean = total if whole_mean else (1 - p) * total
        return np.stack([mean + value * std(a) for value in a["z"]])

    return formula


def _total(a: Mapping[str, Any], power: int = 1, *, bias: bool = True) -> np.ndarray:
    """x w^T + b, or that of the squares."""
    b = 0.0 if a["b"] is None or not bias else a["b"] ** power
    return a["x"] ** power @ (a["w"] ** power).T + b


def _variance(a: Mapping[str, Any], *, bias: bool = True) -> np.ndarray:
    return a["p"] * (1 - a["p"]) * _total(a, 2, bias=bias)


FORMULAS_OF_VECTORS: tuple[tuple[str, str, Kind, str, Formula], ...] = (
    (
        "soft_cross_entropy_forward",
        "probabilities",
        Kind.FORWARD_DIFFERS,
        "the softmax runs over the samples; each sample's probabilities must add up to 1",
        softmax_over_samples,
    ),
    *(
        ("soft_cross_entropy_forward", "loss", Kind.FORWARD_DIFFERS, message, formula)
        for message, formula in (
            ("only the class with the largest share counts; all shares do", _soft_loss(_largest_share)),
            ("the entropy of the targets is taken off, as in a divergence", _soft_loss(lambda t: t, entropy=True)),
            (
                "the targets are brought to a sum of 1; they count as they come",
                _soft_loss(lambda t: t / t.sum(axis=1, keepdims=True)),
            ),
        )
    ),
    *(
        ("soft_cross_entropy_backward", "dlogits", kind, message, _soft_gradient(gradient))
        for kind, message, gradient in (
            (
                Kind.MISSING_TERM,
                "the probabilities are not multiplied by the sum of the targets, which need not be 1",
                lambda p, t: p - t,
            ),
            (
                Kind.MISSING_TERM,
                "it is the gradient of the probabilities; the way through the softmax is missing",
                lambda p, t: -t / p,
            ),
            (
                Kind.WRONG_CACHE,
                "softmax is taken once more, but the argument is its result already",
                lambda p, t: _softmax(p) * t.sum(axis=1, keepdims=True) - t,
            ),
            (
                Kind.NOT_SUMMED,
                "the targets are summed over the samples; they are summed over the classes",
                lambda p, t: p * t.sum(axis=0, keepdims=True) - t,
            ),
        )
    ),
    *(
        (
            name,
            result,
            Kind.MASK,
            "the number 0 counts as padding; here it is a number like any other",
            lambda a, result=result: _without_zero(a, result),
        )
        for name, result in (("embedding_forward", "y"), ("embedding_backward", "dw"))
    ),
    *(
        ("drop_connect_forward", result, Kind.MASK, message, _drop_connect(change, place))
        for message, change in (
            ("the bias is never switched off; it is a weight like the others", _with_bias_kept),
            ("the mask is not applied: the product takes all weights", np.ones_like),
            ("the mask is inverted: the weights that it keeps are switched off", np.logical_not),
        )
        for place, result in enumerate(("y", "mask"))
    ),
    *(
        ("drop_connect_inference_forward", "y", kind, message, formula)
        for kind, message, formula in (
            (Kind.FORWARD_DIFFERS, "the square root is missing: it is mean + z * variance", _uncertain(_variance)),
            (
                Kind.MISSING_TERM,
                "the bias is missing in the variance",
                _uncertain(lambda a: np.sqrt(_variance(a, bias=False))),
            ),
            (
                Kind.FORWARD_DIFFERS,
                "the sum is squared, where the squares are summed",
                _uncertain(lambda a: np.sqrt(a["p"] * (1 - a["p"])) * np.abs(_total(a))),
            ),
            (
                Kind.SCALE,
                "the mean lacks its factor 1 - p: that many of the weights are there",
                _uncertain(lambda a: np.sqrt(_variance(a)), whole_mean=True),
            ),
        )
    ),
)
