"""LSTM and SimpleRNN as layers: PyTorch's numbers, lengths, single steps, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import assert_close64, needs_torch, tensor, torch
from strategies import normal, seeds

import minicnn as mc
from minicnn import nn, optim
from minicnn.errors import ArgumentError, DTypeError, ShapeError

both_kinds = pytest.mark.parametrize("kind", [nn.LSTM, nn.SimpleRNN])
sequences_or_last = pytest.mark.parametrize("return_sequences", [True, False])
LENGTHS = [3, 5, 1, 4]


def torchs(layer):
    """PyTorch's module of the same kind and size, with the layer's weights."""
    module = {nn.LSTM: torch.nn.LSTM, nn.SimpleRNN: torch.nn.RNN}[type(layer)](
        layer.input_size, layer.hidden_size, bias=layer.bias_ih_l0 is not None, batch_first=True
    )
    module.load_state_dict({name: torch.tensor(value) for name, value in layer.state_dict().items()})
    return module.double()


def run_torch(module, x, lengths, return_sequences, state=None):
    """What comes out of PyTorch's module for packed sequences: padded with zeros, or the last states."""
    if lengths is not None:
        x = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    y, last = module(x, state)
    if lengths is not None:
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
    return y if return_sequences else (last[0] if isinstance(last, tuple) else last)[0]


def random_state(layer, n):
    return tuple(normal(50 + i, n, layer.hidden_size) for i in range(layer.states))


@needs_torch
@both_kinds
@given(st.data())
def test_outputs_and_gradients_are_pytorchs(kind, data):
    n, steps, d, h = (data.draw(st.integers(1, 4)) for _ in range(4))
    bias, return_sequences, seed = data.draw(st.booleans()), data.draw(st.booleans()), data.draw(seeds)
    lengths = data.draw(st.none() | st.lists(st.integers(1, steps), min_size=n, max_size=n))
    if lengths is not None:
        lengths[0] = steps  # PyTorch cuts its padded output to the longest
    layer = kind(d, h, return_sequences=return_sequences, bias=bias, recurrent_init=nn.init.normal(0.5))
    module = torchs(layer.astype(np.float64))

    x = tensor(normal(seed, n, steps, d), grad=True)
    state = tuple(tensor(part, grad=True) for part in random_state(layer, n))
    in_layers = tuple(part[None] for part in state)
    want = run_torch(module, x, lengths, return_sequences, in_layers if kind is nn.LSTM else in_layers[0])
    y = layer(x.detach().numpy(), lengths, random_state(layer, n))
    assert_close64(y, want, 1e-10)

    dy = normal(seed + 1, *y.shape)
    want.backward(tensor(dy))
    assert_close64(layer.backward(dy), x.grad, 1e-10)
    for part, dpart in zip(state, layer.dstate, strict=True):
        assert_close64(dpart, part.grad, 1e-10)
    for name, parameter in module.named_parameters():
        assert_close64(layer.named_parameters()[name].grad, parameter.grad, 1e-10)


@needs_torch
@both_kinds
@pytest.mark.parametrize("bias", [True, False])
def test_the_state_dict_has_pytorchs_names_in_its_order(kind, bias):
    module, layer = torchs(kind(2, 3, bias=bias)), kind(2, 3, bias=bias)
    assert list(layer.state_dict()) == list(module.state_dict())
    layer.load_state_dict(module.state_dict())
    for name, value in module.state_dict().items():
        np.testing.assert_array_equal(layer.state_dict()[name], value)


class TorchClassifier(torch.nn.Module if torch is not None else object):
    """A recurrent module, and a linear one on the last states or on all states that belong to a sequence."""

    def __init__(self, recurrent, linear, inside):
        super().__init__()
        self.recurrent, self.linear, self.inside = recurrent, linear, inside

    def forward(self, x):
        y = run_torch(self.recurrent, x, LENGTHS, self.inside is not None)
        return self.linear(y if self.inside is None else y[torch.tensor(self.inside)])


@needs_torch
@both_kinds
@sequences_or_last
def test_a_training_step_with_lengths_is_pytorchs(kind, return_sequences):
    inside = np.arange(5) < np.array(LENGTHS)[:, None] if return_sequences else None
    recurrent = kind(3, 6, return_sequences=return_sequences).astype(np.float64)
    linear, loss = nn.Linear(6, 4).astype(np.float64), nn.CrossEntropyLoss()
    of_torch = torch.nn.Linear(6, 4).double()
    of_torch.load_state_dict({name: torch.tensor(value) for name, value in linear.state_dict().items()})
    oracle = TorchClassifier(torchs(recurrent), of_torch, inside)
    x, labels = normal(1, 4, 5, 3), np.arange(sum(LENGTHS) if return_sequences else 4) % 4

    h = recurrent(x, LENGTHS)
    rows = h[inside] if return_sequences else h
    got = loss(linear(rows), labels)
    drows = linear.backward(loss.backward())
    dh = drows
    if return_sequences:
        dh = np.zeros_like(h)
        dh[inside] = drows
    dx = recurrent.backward(dh)

    tx = tensor(x, grad=True)
    want = torch.nn.functional.cross_entropy(oracle(tx), torch.tensor(labels))
    want.backward()
    assert float(got) == pytest.approx(want.item(), rel=1e-10)
    assert_close64(dx, tx.grad, 1e-10)
    both = nn.Sequential({"recurrent": recurrent, "linear": linear})
    for name, parameter in oracle.named_parameters():
        assert_close64(both.named_parameters()[name].grad, parameter.grad, 1e-10)

    norm = optim.clip.clip_grad_norm(both.parameters(), 0.1)
    assert float(norm) == pytest.approx(torch.nn.utils.clip_grad_norm_(oracle.parameters(), 0.1).item(), rel=1e-10)
    optim.SGD(both.parameters(), lr=0.5).step()
    torch.optim.SGD(oracle.parameters(), lr=0.5).step()
    for name, parameter in oracle.named_parameters():
        assert_close64(both.named_parameters()[name].data, parameter, 1e-10)


# Lengths, single steps, edges


@both_kinds
@sequences_or_last
def test_what_stands_behind_an_end_is_not_looked_at(kind, return_sequences):
    layer = kind(3, 4, return_sequences=return_sequences).astype(np.float64)
    behind = np.arange(5) >= np.array(LENGTHS)[:, None]
    x, results = normal(0, 4, 5, 3), []
    for fill in (0.0, np.nan):
        x[behind] = fill
        layer.zero_grad()
        y = layer(x, np.array(LENGTHS))
        dy = normal(1, *y.shape)
        if return_sequences:
            dy[behind] = fill
        results.append([y, layer.backward(dy), *(parameter.grad for parameter in layer.parameters())])
    for clean, filled in zip(*results, strict=True):
        np.testing.assert_array_equal(filled, clean)
    assert not results[1][1][behind].any()
    if return_sequences:
        assert not results[1][0][behind].any()


@both_kinds
def test_lengths_of_all_steps_are_as_none(kind):
    layer, x = kind(3, 4), normal(0, 4, 5, 3, dtype=np.float32)
    np.testing.assert_array_equal(layer(x, [5, 5, 5, 5]), layer(x))


@both_kinds
def test_the_last_state_is_the_end_of_all_states(kind):
    layer, x = kind(3, 4), normal(0, 4, 5, 3, dtype=np.float32)
    last = layer(x, LENGTHS)
    layer.return_sequences = True
    np.testing.assert_array_equal(last, layer(x, LENGTHS)[range(4), np.array(LENGTHS) - 1])


@both_kinds
def test_step_by_step_is_as_all_at_once(kind):
    layer, x = kind(3, 4, return_sequences=True).astype(np.float64), normal(0, 2, 5, 3)
    y, state = layer(x), None
    for t in range(5):
        h, state = layer.step(x[:, t], state)
        assert_close64(h, y[:, t], 1e-14)
        assert state[0] is h
        assert len(state) == layer.states


def test_a_step_goes_on_from_rows_that_were_chosen():
    """As a beam search does: the second sequence wins, twice."""
    layer, x = nn.LSTM(3, 4).astype(np.float64), normal(0, 2, 2, 3)
    _, state = layer.step(x[:, 0])
    h, _ = layer.step(x[:, 1], tuple(part[[1, 1]] for part in state))
    both = np.stack([np.stack([x[1, 0], x[0, 1]]), np.stack([x[1, 0], x[1, 1]])])
    assert_close64(h, layer(both), 1e-14)


def test_a_step_keeps_what_the_backward_pass_needs():
    layer, x = nn.LSTM(3, 4).astype(np.float64), normal(0, 2, 5, 3)
    y = layer(x)
    want = layer.backward(np.ones_like(y))
    layer(x)
    layer.step(x[:, 0])
    np.testing.assert_array_equal(layer.backward(np.ones_like(y)), want)


@both_kinds
def test_float32_stays_float32(kind):
    layer = kind(3, 4)
    y = layer(normal(0, 2, 5, 3, dtype=np.float32), [2, 5])
    arrays = [y, layer.backward(np.ones_like(y)), *layer.dstate, *(p.grad for p in layer.parameters())]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}


@both_kinds
@sequences_or_last
@pytest.mark.parametrize("lengths", [None, []])
def test_an_empty_batch_is_empty(kind, return_sequences, lengths):
    layer = kind(3, 4, return_sequences=return_sequences)
    y = layer(np.zeros((0, 5, 3), dtype=np.float32), lengths)
    assert y.shape == ((0, 5, 4) if return_sequences else (0, 4))
    assert layer.backward(y).shape == (0, 5, 3)
    assert all(not parameter.grad.any() for parameter in layer.parameters())


# How they start, and what others make of them


def test_each_gate_starts_by_itself_and_the_forget_gates_bias_at_one():
    layer = nn.LSTM(3, 4)
    for gate in np.split(layer.weight_hh_l0.data, 4):
        np.testing.assert_allclose(gate @ gate.T, np.eye(4), atol=1e-6)
    assert np.abs(layer.weight_ih_l0.data).max() <= np.sqrt(6 / 7)  # Xavier's bound of 3 into 4
    np.testing.assert_array_equal(layer.bias_ih_l0.data, np.repeat([0, 1, 0, 0], 4))
    assert not layer.bias_hh_l0.data.any()
    assert not nn.SimpleRNN(3, 4).bias_ih_l0.data.any()


@both_kinds
def test_the_same_rng_starts_the_same(kind):
    one, two = (kind(3, 4, rng=mc.backend.CounterRng(5)) for _ in range(2))
    np.testing.assert_array_equal(one.weight_ih_l0.data, two.weight_ih_l0.data)
    np.testing.assert_array_equal(one.weight_hh_l0.data, two.weight_hh_l0.data)


@both_kinds
@sequences_or_last
def test_the_gradient_check_passes_with_lengths(kind, return_sequences):
    layer = kind(2, 3, return_sequences=return_sequences)
    report = mc.gradcheck(layer, normal(0, 4, 5, 2), context=(LENGTHS,))
    assert report.ok, report


def test_a_summary_counts_every_step():
    model = nn.Sequential(nn.LSTM(3, 4, return_sequences=True), nn.SimpleRNN(4, 2), nn.Linear(2, 5))
    rows = model.summary((7, 3)).rows
    assert [row.output_shape for row in rows] == [(7, 4), (2,), (5,)]
    assert [row.multiply_adds for row in rows] == [7 * 16 * (3 + 4), 7 * 2 * (4 + 2), 10]
    assert "LSTM(3, 4, return_sequences=True)" in str(model.summary((7, 3)))


@both_kinds
def test_what_comes_first_is_remembered_and_learned(kind):
    """The label is the sign of the first of 12 steps, all others are noise."""
    x = normal(0, 256, 12, 1, dtype=np.float32)
    y = (x[:, 0, 0] > 0).astype(np.int64)
    model = nn.Sequential(kind(1, 8), nn.Linear(8, 2))
    trainer = mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=0.03), clip_norm=1.0)
    trainer.fit((x, y), epochs=30, batch_size=32, verbose=False)
    assert trainer.evaluate((x, y))["accuracy"] > 0.9


# What is refused


@both_kinds
@pytest.mark.parametrize(
    ("x", "lengths", "error", "message"),
    [
        ((4, 3), None, ShapeError, r"\(3, 5\): x has shape \(4, 3\), expected \(N, T, 3\): sequences, steps, features"),
        ((4, 5, 2), None, ShapeError, r"x has shape \(4, 5, 2\), expected \(N, T, 3\)"),
        ((4, 0, 3), None, ShapeError, "sequences without a step; leave empty ones out"),
        ((4, 5, 3), [3, 5, 1], ShapeError, r"lengths have shape \(3,\), expected \(4,\): one a sequence"),
        ((4, 5, 3), [[3, 5, 1, 4]], ShapeError, r"lengths have shape \(1, 4\)"),
        ((4, 5, 3), 5, ShapeError, r"lengths have shape \(\)"),
        ((4, 5, 3), [3, 0, 1, 4], ArgumentError, "sequence 1 is to have 0 steps, expected 1 to 5.*leave empty"),
        ((4, 5, 3), [3, 5, 6, 7], ArgumentError, "sequence 2 is to have 6 steps, expected 1 to 5"),
        ((4, 5, 3), [3, 5, -1, 4], ArgumentError, "sequence 2 is to have -1 steps"),
        ((4, 5, 3), [3.0, 5, 1, 4], ArgumentError, "lengths must be whole numbers of steps, not float64"),
        ((4, 5, 3), [True] * 4, ArgumentError, "lengths must be whole numbers of steps, not bool"),
    ],
)
def test_shapes_and_lengths_that_do_not_fit_are_refused(kind, x, lengths, error, message):
    with pytest.raises(error, match=message):
        kind(3, 5)(np.zeros(x, dtype=np.float32), lengths)


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ((np.zeros((4, 5), np.float32),), ShapeError, r"state must be a tuple \(h, c\) of arrays \(4, 5\)"),
        (np.zeros((4, 5), np.float32), ShapeError, r"state must be a tuple \(h, c\).*not ndarray"),
        ((np.zeros((4, 5), np.float32), np.zeros((1, 5), np.float32)), ShapeError, r"array of shape \(1, 5\)"),
        ((np.zeros((4, 5)), np.zeros((4, 5))), DTypeError, r"state holds float64 and x float32"),
    ],
)
def test_states_that_do_not_fit_are_refused(state, error, message):
    layer = nn.LSTM(3, 5)
    with pytest.raises(error, match=message):
        layer(np.zeros((4, 5, 3), dtype=np.float32), None, state)
    with pytest.raises(error, match=message):
        layer.step(np.zeros((4, 3), dtype=np.float32), state)


def test_other_bad_arguments_are_refused():
    with pytest.raises(ShapeError, match=r"step takes one step of each sequence, \(N, 3\); x has shape \(4, 1, 3\)"):
        nn.LSTM(3, 5).step(np.zeros((4, 1, 3), dtype=np.float32))
    with pytest.raises(ShapeError, match=r"expected \(N, T, 3\)"):
        nn.LSTM(3, 5).step(np.zeros((4, 2), dtype=np.float32))
    with pytest.raises(DTypeError, match=r"LSTM\(3, 5\): x is float64 but the weights are float32"):
        nn.LSTM(3, 5)(np.zeros((4, 5, 3)))
    with pytest.raises(DTypeError, match="x is dtype int64"):
        nn.LSTM(3, 5)(np.zeros((4, 5, 3), dtype=np.int64))
    with pytest.raises(ArgumentError, match="LSTM: hidden_size must be a whole number of at least 1, not 0"):
        nn.LSTM(3, 0)
    with pytest.raises(ArgumentError, match="SimpleRNN: input_size must be"):
        nn.SimpleRNN(2.5, 3)
    with pytest.raises(mc.errors.BackwardError, match="backward was called before forward"):
        nn.LSTM(3, 5).backward(np.zeros((4, 5), dtype=np.float32))


def test_each_gate_is_drawn_again_by_itself():
    layer = nn.LSTM(8, 8)
    nn.init.initialise(layer, nn.init.orthogonal, names="weight_hh_l0")
    for gate in layer.weight_hh_l0.data.reshape(4, 8, 8):
        np.testing.assert_allclose(gate @ gate.T, np.eye(8), atol=1e-5)


@both_kinds
def test_nothing_is_drawn_where_weights_will_be_loaded(kind):
    with nn.init.undrawn():
        assert not any(p.data.any() for p in kind(3, 4).parameters() if p.is_weight)


def test_lengths_and_state_may_be_given_by_name():
    layer, x = nn.LSTM(2, 3), normal(1, 2, 4, 2, dtype=np.float32)
    state = tuple(normal(k, 2, 3, dtype=np.float32) for k in (2, 3))
    np.testing.assert_array_equal(layer(x, state=state, lengths=[1, 4]), layer(x, [1, 4], state))


def test_a_state_of_lists_is_refused():
    with pytest.raises(DTypeError, match=r"state holds a list, expected arrays"):
        nn.SimpleRNN(2, 3)(normal(1, 1, 4, 2, dtype=np.float32), None, ([[0.0, 0, 0]],))
