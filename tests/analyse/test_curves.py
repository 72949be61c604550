import math

import numpy as np
import pytest

from minicnn.analyse import plot_history
from minicnn.analyse.curves import smooth
from minicnn.errors import ArgumentError, DataError
from minicnn.train import History, StepHistory


def history(**columns):
    rows = History()
    for epoch, values in enumerate(zip(*columns.values(), strict=True), start=1):
        rows.add(epoch, dict(zip(columns, values, strict=True)))
    return rows


def test_each_measure_has_axes_with_names_and_units():
    figure = plot_history(history(loss=[2.0, 1.0], accuracy=[0.3, 0.6], val_loss=[1.5, 1.2], lr=[1e-3, 1e-3]))
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy (share of right answers)"]
    assert all(axes.get_xlabel() == "epoch" for axes in figure.axes)


def test_units_are_said_by_whoever_knows_the_loss():
    rows = history(loss=[2.0, 1.0], accuracy=[0.3, 0.6])
    figure = plot_history(rows, units={"loss": "nats"})
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss (nats)", "accuracy (share of right answers)"]
    assert (
        plot_history(rows, units={"accuracy": "share of pixels"}).axes[1].get_ylabel() == "accuracy (share of pixels)"
    )


def test_the_lines_are_the_history():
    figure = plot_history(history(loss=[2.0, 1.0, 0.5], val_loss=[1.5, 1.2, 1.3]))
    training, validation, best = figure.axes[0].get_lines()
    assert list(training.get_ydata()) == [2.0, 1.0, 0.5]
    assert list(validation.get_ydata()) == [1.5, 1.2, 1.3]
    assert (best.get_xdata()[0], best.get_ydata()[0]) == (2, 1.2)


def test_the_best_accuracy_is_the_largest():
    figure = plot_history(history(accuracy=[0.1, 0.2, 0.3], val_accuracy=[0.1, 0.5, 0.4]))
    assert "0.5, in epoch 2" in figure.axes[0].get_title()


def test_a_history_without_validation_is_drawn():
    assert len(plot_history(history(loss=[2.0, 1.0])).axes[0].get_lines()) == 1


def test_one_epoch_alone_is_not_split_into_thousandths():
    axes = plot_history(history(loss=[2.0], val_loss=[1.0])).axes[0]
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]


def test_an_empty_history_is_refused():
    with pytest.raises(DataError, match="train for an epoch"):
        plot_history(History())


def test_the_figure_can_be_saved_without_a_display(tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    plot_history(history(loss=[2.0, 1.0])).savefig(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.9, 0.999])
def test_smoothing_is_an_average_under_powers_of_the_weight(weight):
    values = np.random.default_rng(0).normal(size=30)
    want = [np.average(values[:n], weights=weight ** np.arange(n - 1, -1, -1.0)) for n in range(1, 31)]
    np.testing.assert_allclose(smooth(values, weight), want, rtol=1e-9)


def test_smoothing_passes_over_what_is_not_finite():
    values = [1.0, math.nan, 3.0, math.inf, 2.0]
    got = smooth(values, 0.6)
    np.testing.assert_array_equal(got[[1, 3]], [math.nan, math.inf])
    np.testing.assert_allclose(got[[0, 2, 4]], smooth([1.0, 3.0, 2.0], 0.6))


def test_smoothed_lines_are_strong_before_the_measured_ones():
    values, validation = [2.0, 1.0, 1.8, 0.5], [1.5, 0.9, 1.3, 1.0]
    axes = plot_history(history(loss=values, val_loss=validation), smoothing=0.8).axes[0]
    raw, training, raw_validation, smoothed_validation, best = axes.get_lines()
    for line, want in ((raw, values), (raw_validation, validation), (training, smooth(values, 0.8))):
        np.testing.assert_allclose(line.get_ydata(), want)
    np.testing.assert_allclose(smoothed_validation.get_ydata(), smooth(validation, 0.8))
    assert raw.get_alpha() < 0.5 < (training.get_alpha() or 1)
    assert raw.get_linewidth() < training.get_linewidth()
    assert raw.get_color() == training.get_color() != smoothed_validation.get_color()
    assert (best.get_xdata()[0], best.get_ydata()[0]) == (2, 0.9), "the best is that of the measured values"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "training",
        "validation",
        "best validation epoch",
    ]


@pytest.mark.parametrize("weight", [1, -0.1, math.nan, "0.5", True, None])
def test_a_weight_out_of_range_is_refused(weight):
    with pytest.raises(ArgumentError, match=r"smoothing must be a number from 0 .* on and below 1, not"):
        plot_history(history(loss=[1.0]), smoothing=weight)


def test_epochs_without_validation_take_no_part():
    axes = plot_history(history(loss=[1.0] * 3, val_loss=[math.nan, 0.7, 0.9])).axes[0]
    assert axes.get_title() == "loss: best in validation 0.7, in epoch 2"
    axes = plot_history(history(loss=[1.0] * 2, val_loss=[math.nan] * 2)).axes[0]
    assert axes.get_title() == "loss: training"


def test_the_best_error_is_the_smallest():
    axes = plot_history(history(error=[0.5, 0.4], val_error=[0.6, 0.3])).axes[0]
    assert "0.3, in epoch 2" in axes.get_title()


def stepped(ends, losses):
    steps = StepHistory()
    steps.load_state_dict(
        {
            "step": np.arange(1, len(losses) + 1),
            "ends": np.array(list(ends.items())),
            "measure/loss": np.array(losses),
        }
    )
    return steps


def test_against_the_step_validation_stands_where_its_epoch_ends():
    rows = history(loss=[2.0, 1.0], val_loss=[1.5, 1.2], error=[0.3, 0.2])
    figure = plot_history(rows, steps=stepped({1: 3, 2: 6}, [3.0, 2.0, 1.0, 1.5, 1.0, 0.5]))
    training, validation, best = figure.axes[0].get_lines()
    assert list(training.get_xdata()) == [1, 2, 3, 4, 5, 6]
    assert list(training.get_ydata()) == [3.0, 2.0, 1.0, 1.5, 1.0, 0.5]
    assert list(validation.get_xdata()) == [3, 6]
    assert best.get_xdata()[0] == 6
    assert [axes.get_xlabel() for axes in figure.axes] == ["training step"] * 2
    assert list(figure.axes[1].get_lines()[0].get_xdata()) == [3, 6]  # no steps of it: a point an epoch


def test_smoothing_the_steps_leaves_the_few_epochs_as_they_are():
    rows = history(loss=[2.0, 1.0], val_loss=[1.5, 1.2])
    figure = plot_history(rows, steps=stepped({1: 3, 2: 6}, [3.0, 2.0, 1.0, 1.5, 1.0, 0.5]), smoothing=0.9)
    measured, smoothed, validation, _ = figure.axes[0].get_lines()
    assert list(smoothed.get_ydata()) == list(smooth(measured.get_ydata(), 0.9))
    assert list(validation.get_ydata()) == [1.5, 1.2]


def test_steps_of_another_training_are_refused():
    with pytest.raises(ArgumentError, match="did not see epoch 2"):
        plot_history(history(loss=[2.0, 1.0]), steps=stepped({1: 3}, [1.0] * 3))
