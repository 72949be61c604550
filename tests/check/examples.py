"""Examples of mistakes: each spoils one result of an operation's plain body, or one of its arguments.

With each stands what is to be said about it: which kind, in which words, with which evidence.
"""

import functools
from dataclasses import dataclass, field

import numpy as np

from minicnn.backend import slots

CONV, LINEAR, NORM = "conv2d_backward", "linear_backward", "batch_norm_backward"
LOSS = "softmax_cross_entropy_backward"


@dataclass(frozen=True)
class Example:
    """A result made wrong: `spoil(result, arguments)`, or the right one for `fed(argument)` in an argument's place."""

    operation: str
    result: str
    kind: str
    words: str
    spoil: object = None
    fed: dict = field(default_factory=dict)
    evidence: dict = field(default_factory=dict)

    def function(self, noise=0.0):
        """The plain body with the mistake."""
        slot = slots()[self.operation]

        @functools.wraps(slot.body)
        def wrong(*args, **kwargs):
            bound = slot.signature.bind(*args, **kwargs)
            bound.apply_defaults()
            known = dict(bound.arguments)
            right = _in_tuple(slot, slot.body(*args, **kwargs))
            place = slot.returns.index(self.result)
            for name, change in self.fed.items():
                if known[name] is not None:
                    bound.arguments[name] = change(known[name])
            result = _in_tuple(slot, slot.body(*bound.args, **bound.kwargs))[place] if self.fed else right[place]
            if self.spoil:
                result = self.spoil(result, known)
            result = np.asarray(result, dtype=right[place].dtype)
            if noise:
                wave = 1 + noise * np.cos(np.arange(result.size)).reshape(result.shape)
                result = (result * wave).astype(result.dtype)
            results = (*right[:place], result, *right[place + 1 :])
            return results if len(results) > 1 else results[0]

        return wrong


def _in_tuple(slot, results):
    return results if len(slot.returns) > 1 else (results,)


def channel(v, x):
    """One number a channel, to be multiplied with images or vectors."""
    return v.reshape(-1, *[1] * (x.ndim - 2))


def batch_norm_dx(mean=1.0, variance=1.0, direct=1.0):
    """Batch norm's dx with its three terms times these numbers."""

    def spoil(_, a):
        dy, x = a["dy"], a["x"]
        axes = (0, *range(2, x.ndim))
        x_hat = (x - channel(a["mean"], x)) * channel(a["inv_std"], x)
        through_mean = dy.mean(axis=axes, keepdims=True)
        through_variance = x_hat * (dy * x_hat).mean(axis=axes, keepdims=True)
        scale = channel(a["gamma"] * a["inv_std"], x)
        return scale * (direct * dy - mean * through_mean - variance * through_variance)

    return spoil


def each_window_overwrites(_, a):
    """col2im with `=` in the place of `+=`."""
    (kh, kw), (sh, sw), (ph, pw) = a["kernel"], a["stride"], a["padding"]
    (dh, dw), (n, c, h, w) = a["dilation"] if isinstance(a["dilation"], tuple) else (a["dilation"],) * 2, a["shape"]
    x = np.zeros((n, c, h + 2 * ph, w + 2 * pw))
    across = (w + 2 * pw - dw * (kw - 1) - 1) // sw + 1
    for window in range(a["cols"].shape[2]):
        i, j = divmod(window, across)
        rows = slice(i * sh, i * sh + dh * (kh - 1) + 1, dh)
        columns = slice(j * sw, j * sw + dw * (kw - 1) + 1, dw)
        x[:, :, rows, columns] = a["cols"][:, :, window].reshape(n, c, kh, kw)
    return x[:, :, ph : ph + h, pw : pw + w]


def variance_over_m_minus_one(_, a):
    """The inverse of the standard deviation as statisticians estimate it."""
    x = a["x"]
    axes = (0, *range(2, x.ndim))
    return 1 / np.sqrt(x.var(axis=axes, ddof=min(1, x.size // x.shape[1] - 1)) + a["eps"])


def with_border(dx, a):
    """The gradient of the padded image."""
    ph, pw = a["padding"]
    return np.pad(dx, [(0, 0), (0, 0), (ph, ph), (pw, pw)])


def keep(chosen):
    """Zero but for these samples."""

    def change(v):
        kept = np.zeros_like(v)
        kept[chosen] = v[chosen]
        return kept

    return change


def square_transposed(v):
    """Rows and columns exchanged where that can be."""
    return v.swapaxes(-1, -2) if v.shape[-1] == v.shape[-2] else v


WHOLE = {
    "zero": Example(CONV, "dw", "zero", "all entries are 0", lambda dw, a: 0 * dw),
    "sign": Example(CONV, "dx", "sign", "the sign is wrong; everything else is right", lambda dx, a: -dx),
    "N": Example(CONV, "dw", "scale", "N times", lambda dw, a: dw * len(a["x"]), evidence={"name": "N"}),
    "1/N": Example(CONV, "dw", "scale", "1/N times", lambda dw, a: dw / len(a["x"]), evidence={"name": "1/N"}),
    "2": Example(CONV, "dw", "scale", "2 times", lambda dw, a: 2 * dw, evidence={"name": "2", "factor": 2.0}),
    "1/2": Example(CONV, "dw", "scale", "1/2 times", lambda dw, a: dw / 2, evidence={"name": "1/2"}),
    "3": Example(CONV, "dx", "scale", "3 times", lambda dx, a: 3 * dx, evidence={"name": "3"}),
    "H*W": Example(CONV, "dw", "scale", "H*W times", lambda dw, a: dw * a["x"][0, 0].size, evidence={"name": "H*W"}),
    "oh*ow": Example(
        CONV, "dx", "scale", "oh*ow times", lambda dx, a: dx * a["dy"][0, 0].size, evidence={"name": "oh*ow"}
    ),
    "1/(N*oh*ow)": Example(
        CONV, "dw", "scale", "1/(N*oh*ow)", lambda dw, a: dw / a["dy"][:, 0].size, evidence={"name": "1/(N*oh*ow)"}
    ),
    "kh*kw": Example(
        "avg_pool2d_forward",
        "y",
        "scale",
        "kh*kw times",
        lambda y, a: y * np.prod(a["kernel"]),
        evidence={"name": "kh*kw"},
    ),
    "1 - p": Example(
        "dropout_backward",
        "dx",
        "scale",
        "(1 - p) times",
        lambda dx, a: dx * (1 - a["p"]),
        evidence={"name": "(1 - p)"},
    ),
    "divided by p": Example(
        "dropout_backward",
        "dx",
        "scale",
        "it is (1 - p)/p times what it should be",
        lambda dx, a: _divided_by_p(**a),
        evidence={"name": "(1 - p)/p"},
    ),
    "a number": Example(CONV, "dx", "scale", "0.7 times", lambda dx, a: 0.7 * dx, evidence={"name": "0.7"}),
    "transposed": Example(
        CONV, "dw", "transposed", "column and row", lambda dw, a: dw.swapaxes(2, 3), evidence={"axes": (0, 1, 3, 2)}
    ),
    "channels and kernels": Example(
        CONV, "dw", "transposed", "channel and kernel", lambda dw, a: dw.swapaxes(0, 1), evidence={"axes": (1, 0, 2, 3)}
    ),
    "reshaped": Example(
        CONV, "dw", "transposed", "the wrong places", lambda dw, a: dw.transpose(0, 2, 3, 1).reshape(dw.shape)
    ),
    "flipped": Example(
        CONV,
        "dw",
        "flipped",
        "upside down and left to right",
        lambda dw, a: dw[:, :, ::-1, ::-1],
        evidence={"axes": (2, 3)},
    ),
    "upside down": Example(
        CONV, "dx", "flipped", "it is flipped upside down", lambda dx, a: dx[:, :, ::-1], evidence={"axes": (2,)}
    ),
    "shifted": Example(
        CONV, "dx", "shifted", "1 to the right", lambda dx, a: np.roll(dx, 1, 3), evidence={"down": 0, "right": 1}
    ),
    "shifted up": Example(
        CONV, "dx", "shifted", "by 1 up", lambda dx, a: np.roll(dx, -1, 2), evidence={"down": -1, "right": 0}
    ),
    "another sample's": Example(CONV, "dx", "wrong-cache", "the sample before", lambda dx, a: np.roll(dx, 1, 0)),
    "not summed": Example(
        CONV,
        "db",
        "not-summed",
        "1 of them is left over",
        lambda db, a: a["dy"].sum(axis=(0, 2)),
        evidence={"axes": (1,)},
    ),
    "not summed at all": Example(CONV, "db", "not-summed", "3 of them are left over", lambda db, a: a["dy"]),
    "a mean": Example(
        LINEAR,
        "db",
        "not-summed",
        "a mean where a sum belongs",
        lambda db, a: a["dy"].mean(axis=0),
        evidence={"name": "1/N"},
    ),
    "with a border": Example(CONV, "dx", "shape", "with a border around it", with_border),
}
MASKS = {
    "not applied": Example("relu_backward", "dx", "mask", "the mask is not applied", lambda dx, a: a["dy"]),
    "inverted": Example(
        "relu_backward", "dx", "mask", "the mask is inverted", lambda dx, a: np.where(a["y"] > 0, 0, a["dy"])
    ),
    "of dy": Example(
        "relu_backward",
        "dx",
        "mask",
        "lets through where dy > 0",
        lambda dx, a: np.maximum(a["dy"], 0),
        evidence={"argument": "dy"},
    ),
    "of booleans": Example("dropout_forward", "mask", "mask", "True stands where False belongs", lambda m, a: ~m),
    "branches exchanged": Example(
        "leaky_relu_backward",
        "dx",
        "mask",
        "the two branches are exchanged",
        lambda dx, a: np.where(a["x"] > 0, a["slope"], 1) * a["dy"],
    ),
    "one branch": Example("leaky_relu_backward", "dx", "mask", "both branches do the same", lambda dx, a: a["dy"]),
    "of dropout": Example(
        "dropout_backward", "dx", "mask", "the mask is not applied", lambda dx, a: a["dy"] / (1 - a["p"])
    ),
    "in a fused pass": Example(
        "conv2d_relu_backward",
        "dw",
        "mask",
        "the mask is not applied",
        fed={"y": np.ones_like},
        evidence={"argument": "y"},
    ),
}
PARTS = {
    "last sample": Example(
        CONV,
        "dw",
        "partial-batch",
        "of the samples only the last counts",
        fed={"dy": keep(np.s_[-1:])},
        evidence={"argument": "dy", "over": "sample"},
    ),
    "first sample": Example(
        CONV, "dx", "partial-batch", "of the samples only the first counts", fed={"dy": keep(np.s_[:1])}
    ),
    "all but the last": Example(
        CONV, "dw", "partial-batch", "the last sample does not count", fed={"dy": keep(np.s_[:-1])}
    ),
    "last kernel": Example(
        CONV,
        "dx",
        "not-accumulated",
        "as if `=` stood where `+=` is meant",
        fed={"w": keep(np.s_[-1:])},
        evidence={"summed": "the last"},
    ),
    "overlapping windows": Example(
        "col2im",
        "x",
        "not-accumulated",
        "only one of them is left",
        each_window_overwrites,
        evidence={"argument": "cols"},
    ),
    "statistics of one sample": Example(
        "batch_norm_forward", "mean", "partial-batch", "the first of the samples", lambda m, a: _mean(a["x"][:1])
    ),
}
TERMS = {
    "no mean": Example(NORM, "dx", "missing-term", "the batch's mean is missing", batch_norm_dx(mean=0)),
    "no variance": Example(NORM, "dx", "missing-term", "the batch's variance is missing", batch_norm_dx(variance=0)),
    "neither": Example(NORM, "dx", "missing-term", "variance are missing", batch_norm_dx(mean=0, variance=0)),
    "only statistics": Example(
        NORM, "dx", "missing-term", "direct way from x to y is missing", batch_norm_dx(direct=0)
    ),
    "sign of one": Example(NORM, "dx", "sign", "one term is wrong: the way through", batch_norm_dx(variance=-1)),
    "factor of one": Example(
        NORM, "dx", "scale", "one term is 2 times", batch_norm_dx(variance=2), evidence={"name": "2"}
    ),
    "not normalised": Example(NORM, "dgamma", "missing-term", "mean is missing", lambda _, a: _dgamma_uncentred(**a)),
    "no bias": Example("conv2d_forward", "y", "missing-term", "the bias is missing", fed={"b": np.zeros_like}),
    "no labels": Example(
        LOSS, "dlogits", "missing-term", "the one-hot labels is missing", lambda _, a: _probabilities_alone(**a)
    ),
    "sign of the old moment": Example(
        "adam_update", "m", "sign", "one term is wrong: the old m", fed={"m": np.negative}
    ),
}
FORMULAS = {
    "m - 1": Example("batch_norm_forward", "inv_std", "scale", "divided by m - 1", variance_over_m_minus_one),
    "standard deviation": Example(
        "batch_norm_forward", "inv_std", "forward-differs", "its inverse belongs here", lambda v, a: 1 / v
    ),
    "all classes": Example(
        LOSS, "dlogits", "mask", "the label's class alone", lambda d, a: (a["probabilities"] - 1) / a["labels"].size
    ),
    "uneven padding": Example(
        "im2col",
        "cols",
        "shifted",
        "the padding is not the same on both sides",
        lambda cols, a: _im2col_padded_behind(**a),
    ),
    "no correction": Example(
        "adam_update", "w", "missing-term", "moments that start at zero", lambda w, a: _adam_uncorrected(**a)
    ),
}
ARGUMENTS = {
    "flipped": Example(
        "conv2d_forward",
        "y",
        "flipped",
        "if w is turned by 180 degrees",
        fed={"w": lambda w: w[:, :, ::-1, ::-1]},
        evidence={"argument": "w"},
    ),
    "transposed": Example(
        "conv2d_forward",
        "y",
        "transposed",
        "if w has its axes",
        fed={"w": square_transposed},
        evidence={"argument": "w"},
    ),
    "of another sample": Example(
        CONV, "dw", "wrong-cache", "is that of the sample", fed={"x": lambda x: np.roll(x, 1, 0)}
    ),
    "absent": Example(
        "conv2d_relu_forward",
        "y",
        "missing-term",
        "b is missing",
        fed={"b": np.zeros_like},
        evidence={"argument": "b"},
    ),
    "absent factor": Example(
        "batch_norm_forward", "y", "scale", "the factor gamma is missing", fed={"gamma": np.ones_like}
    ),
    "default": Example(
        LOSS,
        "dlogits",
        "ignores-argument",
        "label_smoothing is ignored",
        fed={"label_smoothing": lambda v: 0.0},
        evidence={"argument": "label_smoothing"},
    ),
    "complement": Example(
        "dropout_backward",
        "dx",
        "scale",
        "1 - p stands where p belongs",
        fed={"p": lambda p: 1 - p},
        evidence={"argument": "p", "name": "(1 - p)"},
    ),
    "complement of a decay": Example(
        "adam_update",
        "m",
        "scale",
        "1 - beta1 stands where beta1 belongs",
        fed={"beta1": lambda beta1: 1 - beta1},
        evidence={"argument": "beta1", "name": "(1 - beta1)"},
    ),
    "step": Example("adam_update", "w", "shifted", "step is one too high", fed={"step": lambda s: s + 1}),
    "labels": Example(
        LOSS,
        "dlogits",
        "shifted",
        "the numbers in labels are read as if they were one too high",
        lambda d, a: _for_labels(a, (a["labels"] + 1) % a["probabilities"].shape[1]),
        evidence={"argument": "labels", "by": 1},
    ),
    "input for output": Example(
        "sigmoid_backward", "dx", "wrong-cache", "written for the input x", lambda dx, a: _as_if_y_were_x(**a)
    ),
}
EXAMPLES = {
    f"{group}: {name}": example
    for group, examples in {
        "whole": WHOLE,
        "masks": MASKS,
        "parts": PARTS,
        "terms": TERMS,
        "formulas": FORMULAS,
        "arguments": ARGUMENTS,
    }.items()
    for name, example in examples.items()
}


def _mean(x):
    return x.mean(axis=(0, *range(2, x.ndim)))


def _dgamma_uncentred(dy, x, inv_std, **_):
    return (dy * x).sum(axis=(0, *range(2, x.ndim))) * inv_std


def _probabilities_alone(probabilities, labels, label_smoothing, class_weights):
    if class_weights is None:
        return probabilities / labels.size
    t = np.full_like(probabilities, label_smoothing / probabilities.shape[1])
    np.put_along_axis(t, labels[:, None], t[:, :1] + 1 - label_smoothing, axis=1)
    return probabilities * (t * class_weights).sum(axis=1, keepdims=True) / class_weights[labels].sum()


def _im2col_padded_behind(x, padding, **windows):
    ph, pw = padding
    return slots()["im2col"].body(np.pad(x, [(0, 0), (0, 0), (0, 2 * ph), (0, 2 * pw)]), padding=0, **windows)


def _adam_uncorrected(w, dw, m, v, *, lr, beta1, beta2, eps, weight_decay, step):
    g = dw + weight_decay * w
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    return w - lr * m / (np.sqrt(v) + eps)


def _divided_by_p(dy, mask, p):
    return dy * mask / p if p else dy


def _for_labels(arguments, labels):
    known = {**arguments, "labels": labels}
    return slots()[LOSS].body(known.pop("probabilities"), known.pop("labels"), **known)


def _as_if_y_were_x(dy, y):
    s = 1 / (1 + np.exp(-y))
    return dy * s * (1 - s)
