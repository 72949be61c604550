"""From wrong results to the kind of mistake.

Every hypothesis proposes readings of one wrong result: "the sign is wrong", "only the last image counts". A reading is
tried on all wrong results of the same name, and believed if it explains each of them to the last digit; several may be.
Where none explains all, those that explain most are named, with what they leave unexplained.
"""

import time
from collections.abc import Iterator, Sequence

import numpy as np

from minicnn.check.hypotheses import HYPOTHESES, Hypothesis
from minicnn.check.kinds import Kind
from minicnn.check.trial import Reading, Trial

_CANNOT_BE_COMPUTED = (ValueError, IndexError, TypeError, KeyError, ArithmeticError, AssertionError, RuntimeError)
"""What a supposition raises that makes no sense for a result: it then explains nothing."""
PROPOSERS = 4  # trials that readings are taken from, while none explains all


def diagnose(trials: Sequence[Trial], *, seconds: float = 2.0) -> list[tuple[Reading, list[Trial]]]:
    """Return the readings that are believed, the most specific first, each with the trials that it explains.

    All trials are of one result. The list is empty if nothing fits, or if no time is left. `seconds` are of this
    thread's own processor time: a machine that is busy with others gives the same answer, later.
    """
    deadline = time.thread_time() + seconds
    covers: dict[tuple[Kind, str, str], tuple[Reading, list[Trial]]] = {}
    told = False  # whether a telling reading explains all, beside which fallbacks do not count
    for proposer in _spread(trials):
        for hypothesis in HYPOTHESES:
            for reading in _proposed(hypothesis, proposer):
                if not (told and reading.fallback) and reading.key not in covers and _holds(reading, proposer):
                    explained = [t for t in trials if t is proposer or _holds(reading, t)]
                    if len(explained) >= reading.least:
                        covers[reading.key] = reading, explained
                        told = told or (len(explained) == len(trials) and not reading.fallback)
            if time.thread_time() > deadline:
                break
        if time.thread_time() > deadline or any(len(explained) == len(trials) for _, explained in covers.values()):
            break
    complete = [(r, explained) for r, explained in covers.values() if len(explained) == len(trials)]
    return _most_specific(complete) if complete else _fewest(covers, trials)


def _proposed(hypothesis: Hypothesis, trial: Trial) -> Iterator[Reading]:
    try:
        with np.errstate(all="ignore"):
            yield from hypothesis(trial)
    except _CANNOT_BE_COMPUTED:
        return


def _holds(reading: Reading, trial: Trial) -> bool:
    try:
        with np.errstate(all="ignore"):
            return reading.holds(trial)
    except _CANNOT_BE_COMPUTED:
        return False


def _spread(trials: Sequence[Trial]) -> list[Trial]:
    """Return a few of the trials, the first and the last among them."""
    step = max(1, (len(trials) - 1) // (PROPOSERS - 1))
    return list(trials[::step])[:PROPOSERS]


def _most_specific(found: list[tuple[Reading, list[Trial]]]) -> list[tuple[Reading, list[Trial]]]:
    """Keep one reading a kind; fallbacks only where there is nothing else."""
    telling = [pair for pair in found if not pair[0].fallback] or found
    best: dict[Kind, tuple[Reading, list[Trial]]] = {}
    for reading, explained in sorted(telling, key=lambda pair: (pair[0].rank, pair[0].fallback)):
        best.setdefault(reading.kind, (reading, explained))
    return list(best.values())


def _fewest(
    covers: dict[tuple[Kind, str, str], tuple[Reading, list[Trial]]], trials: Sequence[Trial]
) -> list[tuple[Reading, list[Trial]]]:
    """Choose readings, the one that explains most first, until all trials are explained or nothing is left."""
    left, chosen = list(trials), []
    while left:
        gains = [
            (sum(t in left for t in explained), -reading.rank, reading, explained)
            for reading, explained in covers.values()
            if not reading.fallback
        ]
        gain, _, reading, explained = max(gains, key=lambda g: g[:2], default=(0, 0, None, []))
        if not gain or reading is None:
            break
        chosen.append((reading, explained))
        left = [t for t in left if not any(t is e for e in explained)]
    return chosen
