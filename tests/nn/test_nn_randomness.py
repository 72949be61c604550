"""Layers that draw: what is drawn when, what stands in for it in evaluation, and training through them."""

import itertools

import numpy as np
import pytest
from oracles import assert_close64, needs_torch, tensor, torch
from strategies import normal

import minicnn as mc
from minicnn import nn, ops, optim
from minicnn.backend import CounterRng, Key
from minicnn.nn.drop_connect import normal_slices

pytestmark = pytest.mark.usefixtures("backend")

ROWS, IMAGES = normal(1, 5, 6), normal(2, 3, 4, 9, 8)
DRAWING = {
    "Dropout": (lambda: nn.Dropout(0.5), ROWS),
    "DropConnect": (lambda: nn.DropConnect(6, 3, activation=nn.Tanh()), ROWS),
    "FractionalMaxPool2d": (lambda: nn.FractionalMaxPool2d(2, 6), IMAGES),
    "FractionalMaxPool2d, shuffled": (lambda: nn.FractionalMaxPool2d(2, 6, pseudorandom=False), IMAGES),
    "StochasticDepth": (lambda: nn.StochasticDepth(nn.Linear(6, 6), survival=0.5), ROWS),
}
every_kind = pytest.mark.parametrize("kind", DRAWING)


def built(kind):
    make, x = DRAWING[kind]
    return make().astype(np.float64), x


@every_kind
def test_training_draws_anew_and_repeats_from_the_same_step(kind):
    layer, x = built(kind)
    assert layer.draws()
    begin = layer.rng.step
    outputs = [layer(x) for _ in range(8)]
    assert any(not np.array_equal(outputs[0], y) for y in outputs[1:])
    layer.rng.step = begin
    for y in outputs:
        np.testing.assert_array_equal(layer(x), y)


@every_kind
def test_evaluation_draws_nothing_and_treats_every_example_alone(kind):
    layer, x = built(kind)
    layer.eval()
    before = layer.rng.step
    y = layer(x)
    assert layer.rng.step == before
    np.testing.assert_array_equal(layer(x), y)
    assert_close64(layer(x[1:2]), y[1:2], 1e-14)


def test_a_layer_around_one_that_draws_does_not_draw_itself():
    assert not nn.Sequential(nn.Dropout(0.5)).draws()
    assert not nn.Linear(2, 2).draws()


# DropConnect


def test_drop_connect_in_training_is_a_of_the_masked_sum_and_scales_nothing():
    layer = nn.DropConnect(6, 3, 0.3, activation=nn.ReLU(), rng=CounterRng(4, 5)).astype(np.float64)
    layer.bias.data = normal(3, 3)
    y = layer(ROWS)
    _, mask = ops.drop_connect_forward(ROWS, layer.weight.data, None, p=0.3, key=Key(4, 5, 1))  # step 0 made W
    u = np.einsum("nkd,kd,nd->nk", mask[:, :, :-1], layer.weight.data, ROWS) + mask[:, :, -1] * layer.bias.data
    assert_close64(y, np.maximum(u, 0))


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU, nn.Sigmoid, None])
def test_the_gaussian_evaluation_is_near_the_mean_over_masks_and_nearer_than_the_mean_weights(activation):
    x = normal(7, 2, 60)
    make = lambda inference: nn.DropConnect(  # noqa: E731
        60, 3, activation=activation and activation(), inference=inference, rng=CounterRng(1, 1)
    ).astype(np.float64)
    layer = make("gaussian")
    masks = 6000
    want = layer(np.repeat(x, masks, axis=0)).reshape(2, masks, 3).mean(axis=1)
    gaussian, mean = (np.abs(make(i).eval()(x) - want).mean() for i in ("gaussian", "mean"))
    assert gaussian < 0.012
    assert gaussian < 0.5 * mean if activation in (nn.Tanh, nn.ReLU) else gaussian <= 1.05 * mean


def test_the_mean_evaluation_is_a_of_the_scaled_sum():
    layer = nn.DropConnect(6, 3, 0.3, activation=nn.Tanh(), inference="mean").astype(np.float64).eval()
    layer.bias.data = normal(3, 3)
    assert_close64(layer(ROWS), np.tanh(0.7 * (ROWS @ layer.weight.data.T + layer.bias.data)))


@pytest.mark.parametrize("count", [1, 2, 5, 32])
def test_slices_of_the_normal_distribution_are_its_means_between_quantiles(count):
    from scipy import stats

    edges = stats.norm.ppf(np.arange(count + 1) / count)
    want = [stats.truncnorm.mean(a, b) for a, b in itertools.pairwise(edges)]
    np.testing.assert_allclose(normal_slices(count), want, atol=1e-8)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.4, 0.8), (-1.0, 1.0), (2.0, 0.5)])
def test_32_slices_integrate_relu_better_than_1000_random_numbers(mean, std):
    from scipy import stats

    exact = mean * stats.norm.cdf(mean / std) + std * stats.norm.pdf(mean / std)
    got = np.maximum(mean + std * np.array(normal_slices(32)), 0).mean()
    u = mean + std * np.random.default_rng(0).standard_normal((500, 1000))
    random = np.sqrt(((np.maximum(u, 0).mean(axis=1) - exact) ** 2).mean())
    assert abs(got - exact) < random / 5


def test_an_activation_that_changes_the_shape_is_refused():
    class Half(nn.Layer):
        def forward(self, x):
            return x[:, ::2]

    with pytest.raises(mc.errors.ShapeError, match=r"the activation made \(5, 2\) of \(5, 3\); it must keep the shape"):
        nn.DropConnect(6, 3, activation=Half())(ROWS.astype(np.float32))


# Fractional max pooling


@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize("pseudorandom", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_the_layer_s_regions_cover_the_image_and_the_output_has_the_size_asked_for(overlapping, pseudorandom, training):
    layer = nn.FractionalMaxPool2d(2, (6, 5), overlapping=overlapping, pseudorandom=pseudorandom).train(training)
    for _ in range(10):
        rows, columns = layer.draw((9, 8))
        assert (len(rows), len(columns)) == (6, 5)
        assert (rows[0][0], rows[-1][1], columns[0][0], columns[-1][1]) == (0, 9, 0, 8)
        for regions in (rows, columns):
            assert {stop - start for start, stop in regions} == {1 + overlapping, 2 + overlapping}
    x = normal(0, 2, 3, 9, 8)
    y = layer(x)
    assert y.shape == (2, 3, 6, 5)
    assert y.max() == x.max(), "no pixel is left out"


def test_the_ratio_is_one_of_sizes_and_rounds_down():
    assert nn.FractionalMaxPool2d(2, output_ratio=(0.7, 0.55))(IMAGES).shape == (3, 4, 6, 4)


def test_rows_and_columns_are_drawn_apart():
    layer = nn.FractionalMaxPool2d(2, 14, overlapping=False, pseudorandom=False)
    rows, columns = layer.draw((20, 20))
    assert rows != columns


def test_evaluation_takes_the_pseudorandom_regions_that_begin_in_the_middle():
    rows, columns = nn.FractionalMaxPool2d(2, (5, 3), overlapping=False, pseudorandom=False).eval().draw((7, 4))
    edges = [int(np.ceil(7 / 5 * (i + 0.5)) - np.ceil(7 / 5 * 0.5)) for i in range(6)]
    assert rows == tuple(itertools.pairwise(edges))
    assert columns == ((0, 1), (1, 3), (3, 4))  # ceil(4/3 (i + 1/2)) = 1, 2, 4, 5


def test_where_every_step_is_2_it_is_max_pooling():
    layer = nn.FractionalMaxPool2d(2, 4, overlapping=False)
    y = layer(IMAGES[:, :, :8])
    plain = nn.MaxPool2d(2)
    np.testing.assert_array_equal(y, plain(IMAGES[:, :, :8]))
    dy = normal(5, *y.shape)
    np.testing.assert_array_equal(layer.backward(dy), plain.backward(dy))


# Stochastic depth


def test_a_block_is_run_as_often_as_it_survives_and_left_out_wholly_otherwise():
    runs = []
    body = nn.Linear(6, 6)
    body.add_hook(lambda *_: runs.append(1))
    layer, x = nn.StochasticDepth(body, survival=0.3), ROWS.astype(np.float32)
    left_out = 0
    for _ in range(600):
        before = len(runs)
        y = layer(x)
        if len(runs) == before:
            left_out += 1
            np.testing.assert_array_equal(y, x)
            body.zero_grad()
            np.testing.assert_array_equal(layer.backward(x), x)
            assert body.weight.grad is None
        else:
            np.testing.assert_array_equal(y, body.forward(x) + x)
    assert left_out + len(runs) == 600
    assert abs(len(runs) / 600 - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 600)


@needs_torch
@pytest.mark.parametrize("training", [False, True])
def test_evaluation_weighs_the_body_and_training_does_not(training):
    """A survival that is certain enough for this one draw, and yet is not 1."""
    layer = nn.StochasticDepth(nn.Linear(6, 3), nn.Linear(6, 3), survival=0.75, rng=CounterRng(0, 0))
    layer = layer.astype(np.float64).train(training)
    if training:
        layer.rng.step = next(s for s in range(9) if ops.random_bits(Key(0, 0, s), count=1)[0] < 0.75 * 2**32)
    b = 1.0 if training else 0.75
    x, weights = tensor(ROWS, grad=True), {n: tensor(p.data, grad=True) for n, p in layer.named_parameters().items()}
    body, shortcut = (torch.nn.functional.linear(x, weights[f"{n}.weight"], weights[f"{n}.bias"]) for n in NAMES)
    want = b * body + shortcut
    y, dy = layer(ROWS), normal(4, 5, 3)
    want.backward(tensor(dy))
    assert_close64(y, want)
    assert_close64(layer.backward(dy), x.grad)
    for name, parameter in layer.named_parameters().items():
        assert_close64(parameter.grad, weights[name].grad)


NAMES = ("body", "shortcut")


def test_linear_decay_is_equation_4():
    assert nn.linear_decay(4) == [0.875, 0.75, 0.625, 0.5]
    assert nn.linear_decay(1, last=0.3) == [pytest.approx(0.3)]
    expected = np.mean(nn.linear_decay(54))
    assert abs(expected - (3 * 54 - 1) / (4 * 54)) < 1e-12  # the paper's expected share of blocks, section 4


def network(seed=0):
    """One of everything that draws, with batch norm inside the blocks."""
    mc.seed(seed)
    blocks = [
        nn.StochasticDepth(
            nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()), survival=survival
        )
        for survival in nn.linear_decay(3, last=0.3)
    ]
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.FractionalMaxPool2d(2, output_ratio=0.7), *blocks, nn.Flatten(),
        nn.Dropout(0.2), nn.DropConnect(4 * 5 * 5, 12, activation=nn.ReLU()), nn.Linear(12, 3),
    )  # fmt: skip


X, Y = normal(3, 48, 1, 8, 8, dtype=np.float32), np.arange(48) % 3


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.AdaGrad])
def test_a_step_leaves_blocks_alone_that_were_left_out(kind):
    model = network()
    trainer = mc.Trainer(
        model, optimizer=kind(model.parameters(), lr=0.01), clip_norm=1.0, regularisers=[optim.L2(0.1), optim.L1(0.1)]
    )
    seen = set()
    for _ in range(12):
        before = model.state_dict()
        trainer.train_step(X, Y)
        after = model.state_dict()
        changed = {name for name in after if not np.array_equal(after[name], before[name])}
        assert {"0.weight", "7.weight", "8.weight"} <= changed
        for block in ("2", "3", "4"):
            own = {name for name in changed if name.startswith(f"{block}.")}
            assert bool(own) == (model[int(block)].saved == 1)
            assert not own or f"{block}.body.1.running_mean" in own
            seen.add((block, bool(own)))
    assert {("4", True), ("4", False)} <= seen


def test_a_step_in_which_nothing_is_trained_changes_nothing():
    model = nn.StochasticDepth(nn.Linear(6, 6), survival=0.0)
    before = model.state_dict()
    mc.Trainer(model, clip_norm=1.0).train_step(ROWS.astype(np.float32), np.arange(5))
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_a_run_that_is_resumed_ends_with_the_same_bits(tmp_path):
    def trainer():
        model = network()
        return mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=0.01))

    whole = trainer()
    whole.fit((X, Y), epochs=3, batch_size=16, verbose=False)
    trainer().fit((X, Y), epochs=1, batch_size=16, out=tmp_path, verbose=False)
    resumed = trainer()
    resumed.fit((X, Y), epochs=3, batch_size=16, out=tmp_path, resume=True, verbose=False)
    for name, value in resumed.model.state_dict().items():
        np.testing.assert_array_equal(value, whole.model.state_dict()[name])


def test_a_nan_that_arose_inside_a_block_is_named_though_blocks_are_drawn():
    model = network()
    model[2].survival = 1.0
    model[2].body[0].weight.data[...] = 3e38
    with pytest.raises(mc.errors.NonFiniteError, match=r"arose in layer '2\.body\.0'"):
        mc.Trainer(model).train_step(X, Y)


def test_the_summary_knows_them():
    text = str(network().summary((1, 8, 8)))
    assert "FractionalMaxPool2d(2, output_ratio=0.7)" in text
    assert "DropConnect(100, 12, 0.5, activation=ReLU())" in text
    assert "2,400" in text, "a product for the mean and one for the variance"
