"""A name of another library, or a misspelt one, is answered with what it is called here."""

import re

import pytest

import minicnn as mc
from minicnn import data, nn, optim
from minicnn.errors import DataError


@pytest.mark.parametrize(
    ("room", "name", "answer"),
    [
        (nn, "Dense", "did you mean Linear?"),
        (nn, "NLLLoss", "did you mean CrossEntropyLoss?"),
        (nn, "BatchNormalization", "did you mean BatchNorm2d?"),
        (nn, "LogSoftmax", "CrossEntropyLoss takes scores as they are"),
        (optim, "Adagrad", "did you mean AdaGrad?"),
        (optim, "ReduceLROnPlateau", "did you mean ReduceOnPlateau?"),
        (optim, "CosineAnnealingWarmRestarts", "did you mean CosineWarmRestarts?"),
        (optim, "StepLR", "did you mean Step?"),
        (mc, "Sequential", "did you mean minicnn.nn.Sequential?"),
        (mc, "Adam", "did you mean minicnn.optim.Adam?"),
    ],
)
def test_the_name_here_is_said(room, name, answer):
    with pytest.raises(AttributeError, match=re.escape(answer)):
        getattr(room, name)


@pytest.mark.parametrize("room", [nn, optim, mc])
def test_a_name_like_no_other_gets_no_suggestion(room):
    with pytest.raises(AttributeError) as error:
        room.Quux17  # noqa: B018
    assert "did you mean" not in str(error.value)


def test_a_data_set_is_found_under_any_spelling():
    with pytest.raises(DataError, match=r"did you mean 'fashion_mnist'\?"):
        data.load("Fashion-MNIST")
