"""The table of a model, against numbers worked out by hand."""

import numpy as np
import pytest

from minicnn import nn
from minicnn.errors import ShapeError

pytestmark = pytest.mark.usefixtures("backend")


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 10),
    )


def fields(*layers, shape=(1, 64, 64)):
    """The receptive fields as pairs, or None for all of the input."""
    rows = nn.Sequential(*layers).summary(shape).rows
    return [row.field and (row.field.height, row.field.width) for row in rows]


def test_output_shapes():
    assert [row.output_shape for row in lenet().summary((1, 28, 28)).rows] == [
        *[(6, 28, 28)] * 2,
        (6, 14, 14),
        *[(16, 10, 10)] * 2,
        (16, 5, 5),
        (400,),
        *[(120,)] * 2,
        (10,),
    ]


def test_parameters():
    summary = lenet().summary((1, 28, 28))
    own = [row.parameters for row in summary.rows]
    assert own == [5 * 5 * 6 + 6, 0, 0, 6 * 5 * 5 * 16 + 16, 0, 0, 0, 400 * 120 + 120, 0, 120 * 10 + 10]
    assert summary.parameters == summary.trainable == 156 + 2416 + 48120 + 1210


def test_multiply_adds():
    summary = lenet().summary((1, 28, 28))
    own = [row.multiply_adds for row in summary.rows]
    assert own == [25 * 6 * 28 * 28, 0, 0, 150 * 16 * 10 * 10, 0, 0, 0, 400 * 120, 0, 120 * 10]
    assert summary.multiply_adds == 117600 + 240000 + 48000 + 1200


def test_groups_cut_the_multiply_adds():
    row = nn.Conv2d(4, 8, 3, groups=2, bias=False).summary((4, 5, 6)).rows[0]
    assert row.parameters == 8 * 2 * 9
    assert row.multiply_adds == 8 * 2 * 9 * 3 * 4


def test_a_batch_norm_costs_one_a_number():
    assert nn.BatchNorm2d(3).summary((3, 4, 5)).multiply_adds == 60


def test_receptive_fields():
    grown = [(5, 5), (5, 5), (6, 6), (14, 14), (14, 14), (16, 16), (16, 16), None, None, None]
    assert fields(*lenet(), shape=(1, 28, 28)) == grown


def test_a_receptive_field_grows_by_dilation_and_stride():
    layers = nn.Conv2d(1, 1, 3, dilation=2), nn.Conv2d(1, 1, 3, stride=2), nn.Conv2d(1, 1, 3, dilation=3)
    assert fields(*layers) == [(5, 5), (7, 7), (7 + 6 * 2, 7 + 6 * 2)]


def test_a_receptive_field_knows_both_directions():
    layers = nn.Conv2d(1, 1, (3, 1), stride=(1, 2)), nn.AvgPool2d((1, 3), stride=(3, 1)), nn.Conv2d(1, 1, 2)
    assert fields(*layers) == [(3, 1), (3, 1 + 2 * 2), (3 + 3, 5 + 2)]


def test_a_global_pool_sees_everything():
    assert fields(nn.Conv2d(1, 2, 3), nn.GlobalAvgPool2d(), nn.Linear(2, 2)) == [(3, 3), None, None]


def test_a_residual_sees_what_its_wider_path_sees():
    body = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3, padding=1))
    layers = nn.Conv2d(1, 1, 3), nn.Residual(body), nn.Conv2d(1, 1, 2)
    assert fields(*layers) == [(3, 3), (5, 5), (7, 7), (3, 3), (8, 8)]


def test_a_residual_with_a_strided_shortcut_goes_on_in_its_steps():
    body = nn.Conv2d(1, 1, 3, stride=2, padding=1)
    layers = nn.Residual(body, nn.Conv2d(1, 1, 1, stride=2)), nn.Conv2d(1, 1, 3)
    assert fields(*layers) == [(3, 3), (1, 1), (3 + 2 * 2, 3 + 2 * 2)]


def test_a_concat_sees_what_its_widest_branch_sees():
    branches = nn.Identity(), nn.Conv2d(1, 1, 5, padding=2), nn.Conv2d(1, 1, (3, 7), padding=(1, 3))
    layers = nn.Concat(*branches), nn.Conv2d(3, 1, 2)
    assert fields(*layers) == [(1, 1), (5, 5), (3, 7), (6, 8)]


def test_names_are_dotted_paths():
    model = nn.Sequential({"a": nn.Residual(nn.Sequential(nn.ReLU())), "b": nn.Concat(nn.Tanh(), nn.ReLU())})
    names = [row.name for row in model.summary((2, 3, 3)).rows]
    assert names == ["a.body.0", "a.shortcut", "b.0", "b.1"]


def test_frozen_parameters_are_not_trainable():
    model = nn.Linear(3, 2)
    model.weight.frozen = True
    summary = model.summary((3,))
    assert (summary.parameters, summary.trainable) == (8, 2)
    assert "trainable parameters: 2 (the others are frozen)" in str(summary)


def test_the_table_prints_shapes_numbers_and_totals():
    lines = str(lenet().summary((1, 28, 28))).splitlines()
    assert [part.strip() for part in lines[2].split("  ") if part.strip()] == [
        "0",
        "Conv2d(1, 6, 5, padding=2)",
        "6 x 28 x 28",
        "156",
        "117,600",
        "5 x 5",
    ]
    assert "whole input" in lines[-3]
    assert lines[-1].split() == ["total", "51,902", "406,800"]


def test_a_summary_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 2))
    model[0].eval()
    before = model.state_dict()
    model.summary((3,))
    assert [layer.training for layer in model] == [False, True, True]
    assert model[1].rng.step == 0
    assert not any(layer._hooks for _, layer in model.named_layers())
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_a_summary_that_fails_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.Linear(3, 2))
    with pytest.raises(ShapeError, match="expected 3"):
        model.summary((4,))
    assert model.training
    assert not any(layer._hooks for _, layer in model.named_layers())


def test_a_float64_model_has_a_summary():
    assert nn.Linear(3, 2).astype(np.float64).summary((3,)).parameters == 8


def test_a_model_without_parameters_has_a_summary():
    summary = nn.MaxPool2d(2).summary((1, 4, 6))
    assert summary.rows[0].output_shape == (1, 2, 3)
    assert summary.parameters == 0
