"""Optimizers: all parameters of a network in one launch. On a GPU, calling costs more than computing.

A kernel gets a table by value, which says where each parameter, its gradient and its moments lie. Nothing is copied to
the device for it.
"""

from typing import Any

import numpy as np

from minicnn.backend import Array, plain_body
from minicnn.kernels.cuda.module import MOST_TENSORS, TENSOR, for_each, is_real


def sgd_update(w: Array, dw: Array, velocity: Array, **options: Any) -> tuple[Array, Array]:
    """One launch, in place."""
    ws, velocities = sgd_update_all([w], [dw], [velocity], **options)
    return ws[0], velocities[0]


def adam_update(w: Array, dw: Array, m: Array, v: Array, *, step: int, **options: Any) -> tuple[Array, Array, Array]:
    """One launch, in place."""
    ws, ms, vs = adam_update_all([w], [dw], [m], [v], steps=[step], **options)
    return ws[0], ms[0], vs[0]


def sgd_update_all(
    ws: list[Array],
    dws: list[Array],
    velocities: list[Array],
    *,
    lr: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> tuple[list[Array], list[Array]]:
    """One launch for up to 64 parameters, in place."""
    if not _fit(ws, dws, velocities):
        options = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
        return _one_by_one("sgd_update", (ws, dws, velocities), [options] * len(ws))
    rows = [
        (w.data.ptr, dw.data.ptr, v.data.ptr, 0, w.size, 0, 0) for w, dw, v in zip(ws, dws, velocities, strict=True)
    ]
    _launch("sgd_update", ws, rows, float(lr), float(momentum), bool(nesterov), float(weight_decay))
    return ws, velocities


def adam_update_all(
    ws: list[Array],
    dws: list[Array],
    ms: list[Array],
    vs: list[Array],
    *,
    steps: list[int],
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> tuple[list[Array], list[Array], list[Array]]:
    """One launch for up to 64 parameters, in place."""
    if not _fit(ws, dws, ms, vs):
        options = {"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps, "weight_decay": weight_decay}
        return _one_by_one("adam_update", (ws, dws, ms, vs), [{**options, "step": step} for step in steps])
    rows = [
        (*(array.data.ptr for array in arrays), arrays[0].size, lr / (1 - beta1**step), 1 / (1 - beta2**step))
        for *arrays, step in zip(ws, dws, ms, vs, steps, strict=True)
    ]
    _launch("adam_update", ws, rows, *map(float, (beta1, 1 - beta1, beta2, 1 - beta2, eps, weight_decay)))
    return ws, ms, vs


def _fit(*lists: list[Array]) -> bool:
    """Return whether all lie row by row and are of one type, and what belongs together has one shape."""
    cases = list(zip(*lists, strict=True))
    shapes_fit = all(array.shape == arrays[0].shape for arrays in cases for array in arrays)
    whole = all(array.flags.c_contiguous for arrays in cases for array in arrays)
    return bool(cases) and shapes_fit and whole and is_real(*(array for arrays in cases for array in arrays))


def _launch(name: str, ws: list[Array], rows: list[tuple], *numbers: Any) -> None:
    for first in range(0, len(rows), MOST_TENSORS):
        some = rows[first : first + MOST_TENSORS]
        tensors = np.zeros((), dtype=[("of", TENSOR, MOST_TENSORS)])
        tensors["of"][: len(some)] = some
        for_each(name, ws[0].dtype, max(row[4] for row in some), tensors, *numbers, rows=len(some))


def _one_by_one(name: str, lists: tuple[list[Array], ...], options: list[dict[str, Any]]) -> Any:
    body = plain_body(name)
    results = [body(*arrays, **own) for arrays, own in zip(zip(*lists, strict=True), options, strict=True)]
    return tuple(list(column) for column in zip(*results, strict=True))
