"""The history: rows, columns, text."""

import csv
import io
import math

import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.train import History


@pytest.fixture
def history():
    history = History()
    history.add(1, {"loss": 0.5, "lr": 0.1})
    history.add(2, {"loss": 0.25, "lr": 0.1})
    return history


def test_a_column_is_a_list_an_epoch_long(history):
    assert history["loss"] == [0.5, 0.25]


def test_columns_as_keras_keeps_them(history):
    assert history.history == {"loss": [0.5, 0.25], "lr": [0.1, 0.1]}


def test_epochs_and_names(history):
    assert (history.epoch, history.names, len(history)) == ([1, 2], ["loss", "lr"], 2)


def test_rows_one_after_the_other(history):
    assert list(history) == history.rows
    assert history.rows[-1] == {"epoch": 2, "loss": 0.25, "lr": 0.1}


def test_whether_something_was_measured(history):
    assert "loss" in history
    assert "accuracy" not in history


def test_an_unknown_name_lists_the_known_ones(history):
    with pytest.raises(ArgumentError, match="'accuracy' was not measured; there are 'loss', 'lr'"):
        history["accuracy"]


def test_a_column_that_began_later_has_gaps(history):
    history.add(3, {"loss": 0.2, "val_loss": 0.3})
    assert history.names == ["loss", "lr", "val_loss"]
    assert [math.isnan(value) for value in history["val_loss"]] == [True, True, False]


def test_csv_has_a_line_of_names_and_a_line_an_epoch(history):
    assert history.to_csv() == "epoch,loss,lr\n1,0.5,0.1\n2,0.25,0.1\n"


def test_csv_keeps_every_digit(history):
    history.add(3, {"loss": 1 / 3, "lr": 0.1})
    assert float(list(csv.DictReader(io.StringIO(history.to_csv())))[2]["loss"]) == 1 / 3


def test_numbers_are_kept_as_plain_floats(history):
    history.add(3, {"loss": np.float32(0.5)})
    assert type(history["loss"][-1]) is float


def test_an_empty_history_has_no_columns():
    assert History().names == []
    assert History().to_csv() == "epoch\n"
    assert repr(History()) == "History(0 epochs)"


def test_repr_shows_the_last_epoch(history):
    assert repr(history) == "History(2 epochs; last: epoch 2, loss 0.25, lr 0.1)"
