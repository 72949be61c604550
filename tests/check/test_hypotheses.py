"""Hypotheses about mistakes: a result that was made wrong for the purpose is read as what was done to it.

With a little noise on top the same example fits no reading any more.
"""

import time

import numpy as np
import pytest
from examples import CONV, EXAMPLES, Example
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import normal, seeds

from minicnn.check import doctor, examine
from minicnn.check.doctor import diagnose
from minicnn.check.hypotheses import HYPOTHESES
from minicnn.check.hypotheses.naming import axis_names, names_of_factor, quantities
from minicnn.check.kinds import Kind
from minicnn.check.trial import Reading, Trial, same

by_example = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES.keys())


@by_example
def test_what_was_done_is_read(example):
    report = examine(example.operation, example.function())
    found = [f for f in report.findings if f.where == example.result]
    assert found, report
    assert found[0].kind == example.kind, report
    assert example.words in found[0].message, report
    evidence = {name: found[0].evidence.get(name) for name in example.evidence}
    assert evidence == pytest.approx(example.evidence) if "factor" in evidence else evidence == example.evidence
    assert {f.where for f in report.findings} == {example.result}, report


SEEN_AT_A_GLANCE = {"zero", "shape", "ignores-argument", "dtype"}  # for which the digits do not matter
NOBODY_KNOWS = {"unknown", "forward-differs"}


@by_example
def test_with_a_little_noise_nothing_fits_exactly(example):
    if example.result == "mask":
        pytest.skip("True and False have no noise")
    report = examine(example.operation, example.function(noise=1e-4))
    found = {str(f.kind) for f in report.findings}
    assert found & (NOBODY_KNOWS | SEEN_AT_A_GLANCE), report
    assert found <= NOBODY_KNOWS | SEEN_AT_A_GLANCE, report
    assert not report.ok


def test_noise_alone_is_not_read():
    example = Example(CONV, "dw", "unknown", "", lambda dw, a: dw)
    assert [f.kind for f in examine(CONV, example.function(noise=1e-4)).findings] == ["unknown"]


def test_rounding_is_no_noise():
    example = Example(CONV, "dw", "", "", lambda dw, a: dw)
    assert examine(CONV, example.function(noise=1e-12)).ok


# Names of factors


@pytest.mark.parametrize("result", ["dx", "dw", "db"])
@pytest.mark.parametrize(("name", "factor"), [("2", 2), ("3", 3), ("4", 4), ("1/2", 0.5)])
def test_a_number_is_not_taken_for_a_size_that_happens_to_be_the_same(result, name, factor):
    """Of two cases with a batch of two, N and 2 cannot be told apart; over all cases they can."""
    example = Example(CONV, result, "scale", "", lambda v, a: factor * v)
    scales = [f for f in examine(CONV, example.function()).findings if f.kind == "scale"]
    assert [f.evidence["name"] for f in scales] == [name]


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("N", lambda a: len(a["x"])),
        ("1/N", lambda a: 1 / len(a["x"])),
        ("C", lambda a: a["x"].shape[1]),
        ("F", lambda a: len(a["w"])),
        ("N*C", lambda a: len(a["x"]) * a["x"].shape[1]),
        ("1/(H*W)", lambda a: 1 / (a["x"].shape[2] * a["x"].shape[3])),
        ("N*oh*ow", lambda a: a["dy"][:, 0].size),
        ("1/(kh*kw)", lambda a: 1 / a["w"][0, 0].size),
    ],
)
def test_a_size_is_named_by_its_letter(name, factor):
    example = Example(CONV, "dx", "scale", "", lambda v, a: factor(a) * v)
    scales = [f for f in examine(CONV, example.function()).findings if f.kind == "scale"]
    assert [f.evidence["name"] for f in scales] == [name]


def test_sizes_are_read_from_whatever_arguments_there_are():
    image, w = np.zeros((5, 3, 7, 9)), np.zeros((4, 3, 2, 3))
    found = quantities({"x": image, "w": w, "p": 0.25}, {"y": np.zeros((5, 4, 6, 7))})
    assert {name: found[name] for name in ("N", "C", "H*W", "oh*ow", "kh*kw", "F", "p", "(1 - p)")} == {
        "N": 5,
        "C": 3,
        "H*W": 63,
        "oh*ow": 42,
        "kh*kw": 6,
        "F": 4,
        "p": 0.25,
        "(1 - p)": 0.75,
    }
    assert quantities({"shape": (6, 2, 3, 4), "kernel": (2, 2)}, {})["N"] == 6


@pytest.mark.parametrize(
    ("name", "ndim", "names"),
    [
        ("w", 4, ("kernel", "channel", "row", "column")),
        ("conv.weight", 4, ("kernel", "channel", "row", "column")),
        ("x", 4, ("sample", "channel", "row", "column")),
        ("w", 2, ("output", "input")),
        ("x", 2, ("sample", "feature")),
        ("cols", 3, ("sample", "kernel position", "window")),
        ("b", 1, ("axis 0",)),
    ],
)
def test_axes_have_names(name, ndim, names):
    assert axis_names(name, ndim) == names


# Without an operation: only the results are known


def trial(got, expected, **changes):
    """A trial of which nothing is known but a wrong result and the right one."""
    given = {
        "operation": "",
        "result": "dx",
        "label": "made for the purpose",
        "arguments": {"dy": np.zeros(0)},
        "batched": frozenset({"x"}),
        "quantities": {"N": 5.0},
        "truth": lambda **_: None,
        "ask": lambda **_: None,
    }
    return Trial(got=got, expected=expected, **{**given, **changes})


def kinds_of(*trials):
    return [reading.kind for reading, _ in diagnose(trials)]


shapes = st.lists(st.integers(2, 5), min_size=1, max_size=4).map(tuple)


@given(shapes, seeds)
def test_a_sign_is_read_in_any_shape(shape, seed):
    x = normal(seed, *shape)
    assert kinds_of(trial(-x, x))[0] == "sign"


@given(shapes, seeds, st.floats(1e-6, 1e6).filter(lambda c: abs(c - 1) > 1e-3))
def test_a_factor_is_read_in_any_shape_and_size(shape, seed, factor):
    x = normal(seed, *shape)
    (reading, _), *_ = diagnose([trial(factor * x, x)])
    assert reading.kind == "scale"
    assert reading.evidence["factor"] == pytest.approx(factor)


@given(st.integers(2, 5), st.integers(2, 5), seeds)
def test_exchanged_axes_are_read_in_any_shape(rows, columns, seed):
    x = normal(seed, rows, columns)
    assert kinds_of(trial(x.T.copy(), x))[0] == "transposed"


@given(shapes, seeds, seeds)
def test_other_numbers_are_read_as_nothing(shape, seed, other):
    assume(seed != other and np.prod(shape) > 3)
    assert kinds_of(trial(normal(other, *shape), normal(seed, *shape))) == []


def test_what_explains_a_part_is_named_with_that_part():
    x, y = normal(1, 3, 4), normal(2, 4, 3)
    trials = [trial(-x, x), trial(-y, y), trial(y + 1, y)]
    ((reading, explained),) = diagnose(trials)
    assert reading.kind == "sign"
    assert explained == trials[:2]


def test_entries_that_cannot_be_told_are_left_out():
    x = normal(1, 3, 4)
    expected = x.copy()
    expected[0] = np.nan
    assert kinds_of(trial(-x, expected))[0] == "sign"
    assert kinds_of(trial(x, np.full_like(x, np.nan))) == []


def test_a_hypothesis_that_cannot_be_computed_explains_nothing():
    def fails(**_):
        raise ValueError("no such shape")

    x = normal(1, 3, 4)
    assert kinds_of(trial(normal(2, 3, 4), x, arguments={"dy": x, "x": x}, truth=fails)) == []


def test_hypotheses_do_not_change_what_they_are_tried_on():
    x, got = normal(1, 4, 3, 5, 5), normal(2, 4, 3, 5, 5)
    before = x.copy(), got.copy()
    tried = trial(got, x, arguments={"dy": got, "x": x})
    for hypothesis in HYPOTHESES:
        readings = []
        try:
            readings = list(hypothesis(tried))
        except (ValueError, IndexError, TypeError, KeyError, ArithmeticError):
            continue
        assert all(isinstance(reading, Reading) for reading in readings)
        assert all(reading.message and reading.kind.hint for reading in readings)
    diagnose([tried])
    assert np.array_equal(x, before[0])
    assert np.array_equal(got, before[1])


def test_the_time_for_reading_is_kept():
    x = normal(1, 3, 4)
    assert diagnose([trial(-x, x)], seconds=60.0)
    assert diagnose([trial(-x, x)], seconds=0.0) == []


def test_time_that_a_busy_machine_gives_to_others_does_not_count(monkeypatch):
    def waits(tried):
        time.sleep(0.3)
        return []

    monkeypatch.setattr(doctor, "HYPOTHESES", (waits, *HYPOTHESES))
    x = normal(1, 3, 4)
    (reading, _), *_ = diagnose([trial(-x, x)], seconds=0.2)
    assert reading.kind == Kind.SIGN


def test_every_kind_has_a_place_in_the_order_and_a_hint():
    assert sorted(kind.rank for kind in Kind) == list(range(len(Kind)))
    assert all(len(kind.hint) > 20 and kind.hint.endswith((".", "?")) for kind in Kind)
    assert Kind.RAISES.rank < Kind.SIGN.rank < Kind.IGNORES_ARGUMENT.rank < Kind.UNKNOWN.rank


@given(st.floats(-1e3, 1e3, allow_nan=False), st.floats(1e-14, 1e-9))
def test_numbers_are_the_same_up_to_the_tolerance(value, error):
    a = np.array([value, 1000.0])
    assert same(a, a + 1000 * error, 1e-8)
    assert not same(a, a + 1000 * 1e-7, 1e-8)


def test_infinities_are_the_same_as_themselves_alone():
    a = np.array([np.inf, 1.0])
    assert same(a, a, 1e-8)
    assert not same(a, -a, 1e-8)
    assert not same(a, np.array([1.0, 1.0]), 1e-8)
    assert not same(a, np.array([np.nan, 1.0]), 1e-8)


def test_all_names_of_a_factor_are_known():
    tried = trial(np.ones(3), np.ones(3), quantities={"N": 3.0, "H*W": 4.0, "one": 1.0})
    assert dict(names_of_factor(tried, 1 / 12)) == {"1/(N*H*W)": pytest.approx(1 / 12)}
    assert dict(names_of_factor(tried, 3**0.5)) == {"sqrt(N)": pytest.approx(3**0.5)}
    assert "one" not in dict(names_of_factor(tried, None))
