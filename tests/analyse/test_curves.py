import pytest

from minicnn.analyse import plot_history
from minicnn.errors import DataError
from minicnn.train import History


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
