"""The wrong formulas and the terms that results are compared with: they can be computed, and are what they say."""

import inspect

import numpy as np
import pytest

from minicnn.backend import slots
from minicnn.check import examine
from minicnn.check.cases import examinations
from minicnn.check.hypotheses.groups import collected, dealt_out
from minicnn.check.hypotheses.regions import REGIONS
from minicnn.check.hypotheses.resampled import RESAMPLED, centres, neighbour_weights
from minicnn.check.hypotheses.terms import _TERMS


@pytest.mark.parametrize("entry", [*RESAMPLED, *REGIONS], ids=lambda entry: f"{entry[0]}-{entry[1]}-{entry[3][:40]}")
def test_a_wrong_formula_can_be_computed_and_is_wrong(entry):
    operation, result, _, message, formula = entry
    outcomes = []
    for examination in examinations(operation):
        try:
            value = formula(examination.case.everything)
        except ValueError:  # an empty region has no maximum
            assert message == "rows and columns are exchanged"
            continue
        if value is not None:
            expected = np.asarray(examination.expected[result])
            outcomes.append(value.shape == expected.shape and np.allclose(value, expected, rtol=1e-6))
    assert outcomes
    assert not all(outcomes)


@pytest.mark.parametrize(("operation", "result"), _TERMS)
def test_terms_add_up_to_the_right_result(operation, result):
    sums = 0
    for examination in examinations(operation):
        parts = _TERMS[operation, result](examination.case.everything)
        expected = examination.expected[result]
        if parts and not examination.case.tied and np.isfinite(np.asarray(sum(parts.values()))).all():
            np.testing.assert_allclose(sum(parts.values()), expected, rtol=1e-9, atol=1e-12)
            sums += 1
    assert sums > 3


def test_weights_of_the_two_neighbours():
    before, after = neighbour_weights(np.array([0.0, 0.25, 2.0]), 3)
    assert before.tolist() == [[1, 0, 0], [0.75, 0, 0], [0, 0, 1]]
    assert after.tolist() == [[0, 0, 0], [0, 0.25, 0], [0, 0, 0]]
    assert centres(2, 4).tolist() == [-0.25, 0.25, 0.75, 1.25]


def test_channels_dealt_out_and_collected():
    blocks = np.array([[0, 1, 2, 10, 11, 12]])  # three of group 0, three of group 1
    assert dealt_out(blocks, 1, 2).tolist() == [[0, 10, 1, 11, 2, 12]]
    assert collected(dealt_out(blocks, 1, 2), 1, 2).tolist() == blocks.tolist()


def test_a_size_that_nobody_asked_for_is_named():
    report = examine("upsample_bilinear_forward", lambda x, *, size: x.repeat(2, axis=2).repeat(3, axis=3))
    assert report.findings[0].kind == "ignores-argument"
    assert "does not depend on size" in report.findings[0].message


def test_height_and_width_are_not_blamed_where_an_option_decides():
    def gradients(dy, x, w, *, stride=1, padding=0):
        """Right for stride 1 alone, also where neither image nor kernel is square."""
        dx, dw, db = slots()["conv_transpose2d_backward"].body(dy, x, w, stride=stride, padding=padding)
        return dx * (1 if stride == (1, 1) else np.cos(np.arange(dx.size, dtype=dx.dtype)).reshape(dx.shape)), dw, db

    report = examine("conv_transpose2d_backward", gradients)
    assert [f.kind for f in report.findings] == ["ignores-argument"]
    assert report.findings[0].evidence["argument"] == "stride"


@pytest.mark.parametrize("name", ["conv_transpose2d_backward", "roi_max_pool2d_forward"])
def test_too_few_results_and_where_it_says_which(name):
    operation = slots()[name]
    parameters = inspect.signature(operation.body).parameters

    def first_alone(*args, **options):
        return operation.body(*args, **options)[0]

    first_alone.__signature__ = inspect.Signature(list(parameters.values()))
    finding = examine(name, first_alone).findings[0]
    assert finding.message.startswith(f"it returned 1 value; expected {len(operation.returns)}")
    assert f"help(ops.{name})" in finding.hint
