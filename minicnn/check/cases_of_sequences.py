"""Cases of the operations for sequences, and of the normalisations that are used with them."""

from collections.abc import Iterator

import numpy as np

from minicnn.check.case import Case, normal


def _sequences(number: int, n: int, steps: int, d: int, h: int, gates: int) -> dict[str, np.ndarray | None]:
    """Return what a recurrent operation takes: `gates` blocks of h rows in its weights."""
    return {
        "x": normal(number, 31, n, steps, d),
        "w_ih": normal(number, 32, gates * h, d),
        "w_hh": 0.7 * normal(number, 33, gates * h, h),
        "b": 0.5 * normal(number, 34, gates * h),
        "h0": 0.5 * normal(number, 35, n, h),
    }


def _recurrent_cases(gates: int, memory: bool) -> Iterator[Case]:
    for number, (label, n, steps, d, h, lengths) in enumerate[tuple[str, int, int, int, int, list[int] | None]](
        [
            ("plain", 3, 4, 2, 3, None),
            ("a batch of one", 1, 4, 2, 3, None),
            ("square", 3, 3, 3, 3, None),
            ("one step", 3, 1, 2, 3, None),
            ("one unit", 3, 4, 2, 1, None),
            ("lengths", 4, 5, 2, 3, [5, 1, 3, 4]),
            ("no bias", 3, 4, 2, 3, None),
        ]
    ):
        arrays = _sequences(number, n, steps, d, h, gates)
        if memory:
            arrays["c0"] = normal(number, 36, n, h)
        if label == "no bias":
            arrays["b"] = None
        options = {"lengths": None if lengths is None else np.array(lengths)}
        yield Case(label, arrays, options, optional=label == "no bias")


def rnn_cases() -> Iterator[Case]:
    """Sizes and lengths."""
    yield from _recurrent_cases(1, memory=False)


def lstm_cases() -> Iterator[Case]:
    """Sizes and lengths."""
    yield from _recurrent_cases(4, memory=True)


def embedding_cases() -> Iterator[Case]:
    """Numbers that come twice, and some that never come."""
    for number, (label, x) in enumerate(
        [
            ("plain", np.array([[2, 0, 2], [3, 2, 2]])),
            ("a batch of one", np.array([[1, 1, 4]])),
            ("one number an example", np.array([3, 0, 3, 4, 3])),
            ("square", np.array([[0, 1], [1, 0]])),
        ]
    ):
        yield Case(label, {"x": x, "w": normal(number, 37, 5, 3)})


def layer_norm_cases() -> Iterator[Case]:
    """Sequences, vectors and whole images."""
    for number, (label, shape, own) in enumerate[tuple[str, tuple[int, ...], int]](
        [
            ("plain", (3, 4, 5), 1),
            ("a batch of one", (1, 4, 5), 1),
            ("square", (4, 4, 4), 1),
            ("vectors (N, D)", (3, 6), 1),
            ("whole images", (3, 2, 4, 5), 3),
        ]
    ):
        yield Case(label, _norm_arrays(number, shape, shape[-own:]), {"eps": 1e-5})
    yield Case("eps 0.5", _norm_arrays(5, (3, 4, 5), (5,)), {"eps": 0.5})


def group_norm_cases() -> Iterator[Case]:
    """Groups of channels, of images and of vectors."""
    for number, (label, shape, groups) in enumerate[tuple[str, tuple[int, ...], int]](
        [
            ("plain", (3, 4, 3, 5), 2),
            ("a batch of one", (1, 4, 3, 5), 2),
            ("square", (4, 4, 4, 4), 2),
            ("one group", (3, 4, 3, 5), 1),
            ("as many groups as channels", (3, 4, 3, 5), 4),
            ("vectors (N, C)", (3, 6), 2),
        ]
    ):
        yield Case(label, _norm_arrays(number, shape, shape[1:2]), {"groups": groups, "eps": 1e-5})
    yield Case("eps 0.5", _norm_arrays(6, (3, 4, 3, 5), (4,)), {"groups": 2, "eps": 0.5})


def _norm_arrays(number: int, shape: tuple[int, ...], own: tuple[int, ...]) -> dict[str, np.ndarray]:
    x = 2 * normal(number, 38, *shape) + 1.5
    return {"x": x, "gamma": 1 + 0.5 * normal(number, 39, *own), "beta": normal(number, 40, *own)}
