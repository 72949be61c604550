"""Beam search against all sentences there are, and against the best word at a time."""

import itertools

import numpy as np
import pytest

from minicnn.errors import ArgumentError, DataError, ShapeError
from minicnn.recipes import Said, beam_search

V, END, START, LENGTH = 4, 3, 0, 4


def table(seed):
    """Log-probabilities of a word, given the last two: a model that needs its state."""
    logits = np.random.default_rng(seed).normal(0, 1.5, (V, V, V))
    return logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))


def stepper(log_p):
    """The state holds the last word but one, in a dict and a tuple."""

    def step(words, state):
        before = state["before"][0][:, 0]
        return log_p[before, words], {"before": (words[:, None].copy(),), "nothing": None}

    return step, {"before": (np.array([[START]]),), "nothing": None}


def all_sentences(log_p):
    """Every sentence that ends, and every one that is cut off, with its probability: by counting up."""
    found = {}
    for length in range(1, LENGTH + 1):
        for words in itertools.product(range(V), repeat=length):
            if END in words[:-1] or (words[-1] != END and length < LENGTH):
                continue
            history = (START, START, *words)
            found[words] = sum(log_p[history[i], history[i + 1], history[i + 2]] for i in range(length))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_a_wide_beam_finds_the_best_of_all(seed):
    log_p = table(seed)
    step, state = stepper(log_p)
    said = beam_search(step, state, start=START, end=END, width=200, max_length=LENGTH)
    want = all_sentences(log_p)
    assert {one.words for one in said} == set(want)  # 3^4 that are cut off, 1 + 3 + 9 + 27 that end
    for one in said:
        assert one.log_probability == pytest.approx(want[one.words])
    assert [one.words for one in said[:5]] == sorted(want, key=lambda words: -want[words])[:5]


@pytest.mark.parametrize("seed", range(20))
def test_a_width_of_one_takes_the_best_word_each_time(seed):
    log_p = table(seed)
    step, state = stepper(log_p)
    (said,) = beam_search(step, state, start=START, end=END, width=1, max_length=LENGTH)
    words = [START, START]
    while len(words) < LENGTH + 2 and words[-1] != END:
        words.append(int(log_p[words[-2], words[-1]].argmax()))
    assert said.words == tuple(words[2:])


@pytest.mark.parametrize("width", [2, 3, 5])
def test_the_beam_is_that_of_the_plain_program(width):
    for seed in range(20):
        log_p = table(seed)
        step, state = stepper(log_p)
        beam, ended = [((START, START), 0.0)], []
        for _ in range(LENGTH):
            grown = [((*w, v), p + log_p[w[-2], w[-1], v]) for w, p in beam for v in range(V)]
            best = sorted(grown, key=lambda one: -one[1])[:width]
            ended += [one for one in best if one[0][-1] == END]
            beam = [one for one in best if one[0][-1] != END]
        want = sorted(ended + beam, key=lambda one: -one[1])[:width]
        said = beam_search(step, state, start=START, end=END, width=width, max_length=LENGTH)
        assert [one.words for one in said] == [words[2:] for words, _ in want]


def test_greed_misses_what_a_beam_finds():
    """ "1" is likelier than "2" at first, and then nothing is likely after it."""
    p = np.full((V, V), 1e-9)
    p[START] = [0, 0.6, 0.4, 0]
    p[1] = [0.3, 0.3, 0.1, 0.3]
    p[2] = [0, 0, 0.05, 0.95]
    with np.errstate(divide="ignore"):
        log_p = np.log(p)

    def step(words, state):
        return log_p[words], state

    (greedy,) = beam_search(step, None, start=START, end=END, width=1, max_length=2)
    best = beam_search(step, None, start=START, end=END, width=2, max_length=2)[0]
    assert best == Said((2, END), pytest.approx(np.log(0.4 * 0.95)))
    assert best.log_probability > greedy.log_probability


def test_it_stops_when_nothing_can_overtake():
    calls = []
    log_p = np.log([[0.02, 0.04, 0.04, 0.9]])

    def step(words, state):
        calls.append(len(words))
        return np.repeat(log_p, len(words), axis=0), state

    said = beam_search(step, None, start=START, end=END, width=1, max_length=50)
    assert (said[0].words, calls) == ((END,), [1])
    assert len(beam_search(step, None, start=START, end=END, width=2, max_length=50)) == 2
    assert calls == [1, 1, 1]


def test_impossible_words_are_never_said():
    with np.errstate(divide="ignore"):
        log_p = np.log([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    said = beam_search(lambda words, state: (log_p[words], state), None, start=0, end=3, width=3)
    assert said == [Said((1, 3), 0.0)]


def constant(log_p):
    return lambda words, state: (log_p, state)


BAD = {
    "width": ({"width": 0}, constant(np.zeros((1, V))), ArgumentError, "width"),
    "length": ({"max_length": 0}, constant(np.zeros((1, V))), ArgumentError, "max_length"),
    "end": ({"end": V}, constant(np.zeros((1, V))), ArgumentError, "end is 4, expected one of the words 0 to 3"),
    "shape": ({}, constant(np.zeros(V)), ShapeError, r"shape \(4,\), expected \(1, V\)"),
    "nan": ({}, constant(np.full((1, V), np.nan)), DataError, "NaN"),
}


@pytest.mark.parametrize(("options", "step", "error", "match"), BAD.values(), ids=BAD.keys())
def test_bad_arguments_are_refused(options, step, error, match):
    with pytest.raises(error, match=match):
        beam_search(step, None, **{"start": START, "end": END, **options})
