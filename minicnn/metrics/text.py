"""Measures of sentences, held against one or several right ones.

A sentence is a str, taken apart at its spaces, or a sequence of words or of their numbers. Case and full stops count.
"""

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

from minicnn.errors import ArgumentError, DataError, ShapeError, whole_number

Sentence = tuple[Hashable, ...]


def bleu_score(
    candidates: Sequence[Any],
    references: Sequence[Sequence[Any]],
    *,
    max_n: int = 4,
    smoothing: str | None = None,
) -> float:
    """Return BLEU, from 0 to 1: how many runs of 1 to N words of the candidates occur in their references.

        BLEU = BP * exp(mean over n = 1 .. N of log p_n)        BP = 1 if c > r, else exp(1 - r / c)

    p_n = runs of n words that occur / runs of n words, where a run counts at most as often as in the one reference that
    has it most often; c = words of all candidates, r = the sum over candidates of the length of the reference nearest
    in length (the shorter of two equally near). All is counted over the whole corpus, not a sentence at a time.
    Papineni et al., "BLEU: a method for automatic evaluation of machine translation", 2002, sections 2.1 to 2.3.

    Parameters
    ----------
    candidates : sequence of sentences
        What was said.
    references : sequence of lists of sentences
        For each candidate, what would have been right.
    max_n : int
        N, the longest run.
    smoothing : None or "add-one"
        Without, BLEU is 0 as soon as no run of some length is right (or none is there). "add-one" adds 1 to both counts
        of p_n for n > 1, for single sentences: Lin and Och, "ORANGE: a method for evaluating automatic evaluation
        metrics for machine translation", 2004, section 4.

    Raises
    ------
    ShapeError, DataError
        If there is not one list of references for each candidate, a list is empty, or there are no candidates.
    ArgumentError
        For another smoothing, or max_n below 1.
    """
    N = whole_number("max_n", max_n)
    if smoothing not in (None, "add-one"):
        raise ArgumentError(f"smoothing must be None or 'add-one', not {smoothing!r}")
    pairs = _checked(candidates, references)
    c = sum(len(candidate) for candidate, _ in pairs)
    r = sum(min((abs(len(right) - len(said)), len(right)) for right in several)[1] for said, several in pairs)
    log_p = 0.0
    for n in range(1, N + 1):
        occur = sum(_occurring(candidate, several, n) for candidate, several in pairs)
        runs = sum(max(len(candidate) - n + 1, 0) for candidate, _ in pairs)
        if smoothing == "add-one" and n > 1:
            occur, runs = occur + 1, runs + 1
        if not occur:
            return 0.0
        log_p += math.log(occur / runs) / N
    return (1.0 if c > r else math.exp(1 - r / c)) * math.exp(log_p)


def exact_match(candidates: Sequence[Any], references: Sequence[Sequence[Any]]) -> float:
    """Return the share of candidates that equal one of their references, word by word.

    Arguments and errors are those of `bleu_score`.
    """
    pairs = _checked(candidates, references)
    return sum(candidate in several for candidate, several in pairs) / len(pairs)


def _occurring(candidate: Sentence, references: list[Sentence], n: int) -> int:
    """Return how many runs of n words occur in a reference, each as often as in the one that has it most often."""
    most: Counter = Counter()
    for reference in references:
        most |= _runs(reference, n)  # the larger count of each
    return (_runs(candidate, n) & most).total()


def _runs(sentence: Sentence, n: int) -> Counter:
    return Counter(sentence[i : i + n] for i in range(len(sentence) - n + 1))


def _checked(candidates: Sequence[Any], references: Sequence[Sequence[Any]]) -> list[tuple[Sentence, list[Sentence]]]:
    """Return each candidate with its references, all as tuples of words."""
    for name, several in (("candidates", candidates), ("references", references)):
        if isinstance(several, str):
            raise ShapeError(f"{name} is one str, expected a list: one entry for each sentence")
    if len(candidates) != len(references):
        raise ShapeError(f"{len(candidates)} candidates and {len(references)} lists of references; each needs its own")
    if not len(candidates):
        raise DataError("there are no sentences to be measured")
    for i, several in enumerate(references):
        if isinstance(several, str):
            raise ShapeError(f"references[{i}] is one str, expected a list of right sentences: [{several!r}]")
        if not len(several):
            raise DataError(f"references[{i}] is empty; each candidate needs at least one right sentence")
        words = isinstance(candidates[i], str)
        if any(not hasattr(sentence, "__len__") or (isinstance(sentence, str) and not words) for sentence in several):
            raise ShapeError(
                f"references[{i}] holds words, expected a list of right sentences; if it is one, one list more: [[...]]"
            )
    return [
        (_words(candidate), [_words(reference) for reference in several])
        for candidate, several in zip(candidates, references, strict=True)
    ]


def _words(sentence: Any) -> Sentence:
    return tuple(sentence.split()) if isinstance(sentence, str) else tuple(sentence)
