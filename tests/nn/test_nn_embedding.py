"""Embedding: rows by number, and whole numbers all the way through a training."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import assert_close64, needs_torch, tensor, torch
from strategies import normal, seeds

import minicnn as mc
from minicnn import nn, ops, optim
from minicnn.data import ArrayDataset
from minicnn.errors import ArgumentError, DataError, DTypeError

WORDS = np.array([[3, 0, 3, 1], [4, 4, 3, 0]])


@needs_torch
@given(st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple), st.none() | st.integers(-5, 4), seeds)
def test_outputs_and_gradients_are_pytorchs(shape, padding_idx, seed):
    x = np.random.default_rng(seed).integers(0, 5, shape)
    layer = nn.Embedding(5, 3, padding_idx).astype(np.float64)
    module = torch.nn.Embedding(5, 3, padding_idx).double()
    assert not module.state_dict().keys() ^ layer.state_dict().keys()
    module.load_state_dict({name: torch.tensor(value) for name, value in layer.state_dict().items()})
    y, dy = layer(x), normal(seed, *shape, 3)
    want = module(torch.tensor(x))
    want.backward(tensor(dy))
    assert_close64(y, want, 1e-12)
    dx = layer.backward(dy)
    assert_close64(layer.weight.grad, module.weight.grad, 1e-12)
    assert dx.shape == x.shape
    assert dx.dtype == np.float64
    assert not dx.any()


def test_a_number_that_comes_more_than_once_gets_the_sum():
    dy = np.arange(8.0).reshape(2, 4, 1)
    dw = ops.embedding_backward(dy, WORDS, np.zeros((5, 1)))
    assert dw[:, 0].tolist() == [1 + 7, 3, 0, 0 + 2 + 6, 4 + 5]


def test_what_fills_up_starts_at_zeros_and_stays_there():
    layer = nn.Embedding(5, 3, padding_idx=-1)
    assert layer.padding_idx == 4
    layer(WORDS)
    layer.backward(np.ones((2, 4, 3), dtype=np.float32))
    assert not layer.weight.data[4].any()
    assert not layer.weight.grad[4].any()
    assert layer.weight.grad[3].tolist() == [3, 3, 3]
    assert layer.weight.data[:4].all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64])
def test_it_takes_whole_numbers_of_any_kind(dtype, kind):
    layer = nn.Embedding(5, 3).astype(dtype)
    y = layer(WORDS.astype(kind))
    assert y.dtype == dtype
    layer.backward(y)
    assert layer.weight.grad.dtype == dtype


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.array([[0, 1], [2, 5]]), DataError, r"Embedding\(5, 3\): x holds 5 at \(1, 1\); .* numbers from 0 to 4"),
        (np.array([-1, 2]), DataError, r"x holds -1 at \(0,\)"),
        (np.array([1.0, 2.0]), DTypeError, r"x is dtype float64, expected an array of whole numbers: x.astype"),
        (np.array([True]), DTypeError, "x is dtype bool"),
        ([1, 2], DTypeError, "x is a list"),
    ],
)
def test_other_numbers_are_refused(x, error, message):
    with pytest.raises(error, match=message):
        nn.Embedding(5, 3)(x)


def test_bad_arguments_are_refused():
    for padding_idx, message in ((5, "padding_idx 5 is out of range for 5"), (-6, "at least -5, not -6")):
        with pytest.raises(ArgumentError, match=message):
            nn.Embedding(5, 3, padding_idx)
    with pytest.raises(ArgumentError, match="Embedding: num_embeddings"):
        nn.Embedding(0, 3)


def test_the_gradient_check_passes():
    report = mc.gradcheck(nn.Sequential(nn.Embedding(5, 3), nn.LSTM(3, 2)), WORDS)
    assert report.ok, report
    assert report.tensors[0].name == "0.weight"


# Whole numbers through a training


def texts():
    """Three hundred sentences of six words; the label is the first word's, the others say nothing."""
    x = np.random.default_rng(0).integers(0, 4, (300, 6))
    return x, x[:, 0]


def sentence_model():
    return nn.Sequential(nn.Embedding(4, 8), nn.LSTM(8, 16), nn.Linear(16, 4))


@pytest.mark.parametrize("as_dataset", [False, True])
def test_a_chain_that_begins_with_it_is_trained(as_dataset):
    x, y = texts()
    data = ArrayDataset(x, y, dtype=np.int64) if as_dataset else (x, y)
    model = sentence_model()
    trainer = mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=0.02), clip_norm=1.0)
    before = model[0].weight.data.copy()
    trainer.fit(data, validation=data, epochs=8, batch_size=32, verbose=False)
    assert (model[0].weight.data != before).any()
    assert trainer.evaluate(data)["accuracy"] > 0.95
    assert (trainer.predict_classes(x[:20]) == y[:20]).mean() > 0.9


def test_it_learns_in_the_middle_of_a_backward_pass_by_hand_too():
    model = sentence_model()
    y = model(texts()[0])
    assert model.backward(np.ones_like(y)).shape == (300, 6)
    assert model[0].weight.grad.any()
    with nn.without_input_gradient(model):
        assert model.backward(np.ones_like(y)) is None
    alone = nn.Embedding(5, 3)
    with nn.without_input_gradient(alone):
        assert alone.backward(alone(WORDS)) is None


def test_a_data_set_keeps_whole_numbers_where_it_is_told_to():
    x, y = texts()
    data = ArrayDataset(x.astype(np.uint8), y, dtype=np.int64)
    assert data.x.dtype == np.int64
    assert data.subset([0, 2]).x.dtype == np.int64
    np.testing.assert_array_equal(next(iter(mc.data.DataLoader(data, 5)))[0], x[:5])
    with pytest.raises(DTypeError, match=r"x is int64, expected floating point; .*x / 255; .*dtype=np.int64"):
        ArrayDataset(x, y)
    with pytest.raises(DTypeError, match=r"x is float64, expected whole numbers for an Embedding"):
        ArrayDataset(x / 2, y, dtype=np.int64)
    with pytest.raises(DTypeError, match="expected whole numbers for an Embedding"):
        mc.Trainer(sentence_model()).fit((x / 2, y), epochs=1, verbose=False)
    with pytest.raises(DTypeError, match="expected whole numbers for an Embedding"):
        mc.Trainer(sentence_model()).predict(x / 2)


def test_pixels_are_refused_as_before_by_a_model_that_computes_with_them():
    with pytest.raises(DTypeError, match="x is uint8, expected floating point; pixels"):
        mc.Trainer(nn.Linear(6, 2)).fit((np.zeros((4, 6), np.uint8), np.zeros(4, int)), epochs=1, verbose=False)


def test_containers_know_what_they_begin_with():
    assert sentence_model().takes_integers()
    assert nn.Sequential(sentence_model()).takes_integers()
    assert nn.TimeDistributed(nn.Embedding(4, 2)).takes_integers()
    assert not nn.Sequential(nn.Linear(2, 2), nn.ReLU()).takes_integers()
    assert not nn.Sequential().takes_integers()


def test_a_summary_begins_with_whole_numbers():
    rows = sentence_model().summary((6,)).rows
    assert [(row.output_shape, row.parameters) for row in rows] == [((6, 8), 32), ((16,), 1664), ((4,), 68)]


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Sequential(nn.Concat(nn.Sequential(nn.Embedding(5, 3), nn.LSTM(3, 2)), nn.Embedding(5, 2))),
        lambda: nn.Sequential(nn.Identity(), nn.Embedding(5, 3)),
        lambda: nn.Residual(nn.Embedding(5, 3), nn.Embedding(5, 3)),
    ],
    ids=["Concat", "Identity", "Residual"],
)
def test_words_go_through_what_stands_before(make):
    assert make().takes_integers()


def test_what_fills_up_stays_at_zeros_when_drawn_again():
    embedding = nn.Embedding(5, 3, padding_idx=1)
    nn.init.initialise(embedding, nn.init.constant(2.0))
    assert embedding.weight.data.tolist() == [[2] * 3, [0] * 3, [2] * 3, [2] * 3, [2] * 3]
