"""The examiner against the zoo of mistakes: each is caught and named, and nothing is found in what is right."""

import importlib.util
import warnings

import mistakes
import numpy as np
import pytest

from minicnn.check import Kind, examine

BEYOND_THE_USUAL = {"gradient_over_the_images_alone"}  # wrong for one prediction a pixel alone, which gives a remark


def by_name(entries):
    return pytest.mark.parametrize("entry", entries, ids=lambda entry: entry.name)


def check_name(entry, report):
    """The first finding is of the kind that a teacher would name; only ties are no mistake."""
    assert report.findings, "not caught"
    assert report.findings[0].kind in (entry.kind, *entry.also), report
    only_worth_knowing = report.findings[0].remark and (
        entry.kind in ("ties", "raises") or entry.name in BEYOND_THE_USUAL
    )
    assert not report.ok or only_worth_knowing, report


@by_name(mistakes.MISTAKES)
def test_a_mistake_in_an_operation_is_named(entry):
    check_name(entry, examine(entry.op, entry.function, seconds=3.0))


@by_name(mistakes.LAYER_MISTAKES)
def test_a_mistake_in_a_layer_is_named_without_a_reference(entry):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of the layers' own, such as 0 / 0
        check_name(entry, entry.check(entry.x(np.random.default_rng(0))))


@by_name(mistakes.CORRECT)
def test_a_correct_operation_passes(entry):
    if entry.needs and importlib.util.find_spec(entry.needs) is None:
        pytest.skip(f"{entry.needs} is not installed")
    report = examine(entry.op, entry.function)
    assert report.ok, report
    assert not report.findings, report


@by_name(mistakes.LAYER_CORRECT)
def test_a_correct_layer_passes(entry):
    report = entry.check(entry.x(np.random.default_rng(0)))
    assert report.ok, report


def test_the_zoo_is_large_and_of_all_kinds():
    assert len(mistakes.MISTAKES) >= 80
    assert len(mistakes.CORRECT) >= 15
    assert {entry.kind for entry in mistakes.MISTAKES} == set(Kind) - {Kind.UNKNOWN}
