"""Sentences from a model that knows how likely each next word is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.backend import to_host
from minicnn.errors import ArgumentError, DataError, ShapeError, whole_number


@dataclass(frozen=True)
class Said:
    """A sentence that a search found.

    Attributes
    ----------
    words : tuple of int
        Without the mark of the start; the last one is `end`, unless the sentence was cut off at its greatest length.
    log_probability : float
        The sum of the logarithms of its words' probabilities, each given the words before.
    """

    words: tuple[int, ...]
    log_probability: float


def beam_search(
    step: Callable[[np.ndarray, Any], tuple[Any, Any]],
    state: Any,
    *,
    start: int,
    end: int,
    width: int = 3,
    max_length: int = 20,
) -> list[Said]:
    """Return the likeliest sentences that were found, at most `width`, the likeliest first.

    Sentences grow by a word at a time. Of all ways to add a word to those in the beam, the `width` likeliest are
    kept; those that end with `end` leave the beam. The search stops when no sentence in the beam can overtake the
    `width` best that have ended, since a further word makes none likelier. With a width of 1 it is the greedy search.
    Sutskever, Vinyals and Le, "Sequence to sequence learning with neural networks", 2014, section 3.2.

    Parameters
    ----------
    step : callable
        `step(words, state) -> log_p, state`, for B sentences at once: from the last word of each, (B,) int64, and what
        is remembered of the words before, to the logarithms of the probabilities of each next word, (B, V).
    state : array, or tuple, list or dict of states, or None
        What is remembered at the start, for one sentence: the first axis of each array counts sentences, (1, ...). The
        search picks rows of these arrays.
    start, end : int
        The words that stand for the start and the end of a sentence.
    width : int
        How many sentences are kept.
    max_length : int
        Sentences are cut off at so many words, `end` among them.

    Raises
    ------
    ArgumentError
        If width or max_length is below 1, or `end` is no word.
    ShapeError, DataError
        If the step's probabilities are not (B, V), or NaN.
    """
    width, max_length = whole_number("width", width), whole_number("max_length", max_length)
    ended: list[Said] = []
    beam: list[Said] = [Said((), 0.0)]
    words = np.array([start], dtype=np.int64)
    for _ in range(max_length):
        log_p, state = step(words, state)
        scores = np.array([[said.log_probability] for said in beam]) + _checked(log_p, len(beam), end)
        best = np.argsort(-scores, axis=None, kind="stable")[:width]
        parents, words = np.unravel_index(best, scores.shape)
        grown = [
            Said((*beam[parent].words, int(word)), float(scores[parent, word]))
            for parent, word in zip(parents, words, strict=True)
            if scores[parent, word] > -np.inf
        ]
        ended = _likeliest(ended + [said for said in grown if said.words[-1] == end], width)
        going = np.flatnonzero([said.words[-1] != end for said in grown])
        beam = [grown[i] for i in going]
        if not beam or (len(ended) == width and ended[-1].log_probability >= beam[0].log_probability):
            return ended
        words, state = words[going], _rows(state, parents[going])
    return _likeliest(ended + beam, width)


def _likeliest(sentences: list[Said], count: int) -> list[Said]:
    return sorted(sentences, key=lambda said: -said.log_probability)[:count]


def _rows(state: Any, chosen: np.ndarray) -> Any:
    """Return some sentences' part of a state."""
    if isinstance(state, tuple | list):
        return type(state)(_rows(part, chosen) for part in state)
    if isinstance(state, dict):
        return {name: _rows(part, chosen) for name, part in state.items()}
    return None if state is None else state[chosen]


def _checked(log_p: Any, sentences: int, end: int) -> np.ndarray:
    log_p = np.asarray(to_host(log_p), dtype=np.float64)
    if log_p.ndim != 2 or len(log_p) != sentences:
        raise ShapeError(f"step gave log-probabilities of shape {log_p.shape}, expected ({sentences}, V)")
    if not 0 <= end < log_p.shape[1]:
        raise ArgumentError(f"end is {end}, expected one of the words 0 to {log_p.shape[1] - 1}")
    if np.isnan(log_p).any():
        raise DataError("step gave log-probabilities that are NaN")
    return log_p
