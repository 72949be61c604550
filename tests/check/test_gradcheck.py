"""gradcheck: right gradients pass, wrong ones are named, kinks are neither."""

import copy
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import conv_cases, normal, pool_cases, seeds, spread

import minicnn as mc
from minicnn import nn, ops
from minicnn.errors import ArgumentError

rng = np.random.default_rng(0)
IMAGES = rng.normal(size=(3, 4, 7, 6))
VECTORS = rng.normal(size=(5, 6))

LAYERS = [
    (nn.Conv2d(4, 6, 3), IMAGES),
    (nn.Conv2d(4, 6, (3, 2), stride=2, padding=1, dilation=2), IMAGES),
    (nn.Conv2d(4, 6, (2, 3), stride=(3, 1), padding="same", groups=2), IMAGES),
    (nn.Conv2d(4, 4, 3, groups=4, bias=False), IMAGES),
    (nn.MaxPool2d(2), IMAGES),
    (nn.MaxPool2d(3, stride=2, padding=1), IMAGES),
    (nn.AvgPool2d((3, 2), stride=(2, 1), padding=1), IMAGES),
    (nn.GlobalAvgPool2d(), IMAGES),
    (nn.BatchNorm2d(4), IMAGES),
    (nn.BatchNorm2d(4).eval(), IMAGES),
    (nn.BatchNorm1d(6), VECTORS),
    (nn.Linear(6, 3), VECTORS),
    (nn.Flatten(), IMAGES),
    (nn.Identity(), VECTORS),
    (nn.Dropout(0.4), VECTORS),
    (nn.Dropout(0.4).eval(), VECTORS),
    (nn.DropConnect(6, 3, 0.4), VECTORS),
    (nn.DropConnect(6, 3, 0.4, activation=nn.Tanh(), bias=False), VECTORS),
    (nn.DropConnect(6, 3, 0.4, activation=nn.Tanh(), samples=5).eval(), VECTORS),
    (nn.DropConnect(6, 3, 0.4, activation=nn.Tanh(), inference="mean").eval(), VECTORS),
    (nn.FractionalMaxPool2d(2, output_ratio=0.7), IMAGES),
    (nn.FractionalMaxPool2d(2, output_size=(4, 5), overlapping=False, pseudorandom=False), IMAGES),
    (nn.FractionalMaxPool2d(2, output_ratio=0.7).eval(), IMAGES),
    (nn.StochasticDepth(nn.Linear(6, 6), survival=1.0), VECTORS),
    (nn.StochasticDepth(nn.Linear(6, 6), survival=0.0), VECTORS),
    (nn.StochasticDepth(nn.Linear(6, 3), nn.Linear(6, 3), survival=0.7).eval(), VECTORS),
    (nn.ReLU(), VECTORS),
    (nn.LeakyReLU(0.2), VECTORS),
    (nn.ELU(1.5), VECTORS),
    (nn.SELU(), VECTORS),
    (nn.GELU(), VECTORS),
    (nn.SiLU(), VECTORS),
    (nn.Sigmoid(), VECTORS),
    (nn.Tanh(), VECTORS),
    (nn.Softplus(2.0, 1.0), VECTORS),
    (nn.Residual(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Tanh())), IMAGES),
    (nn.Concat(nn.Identity(), nn.Conv2d(4, 2, 1), nn.Sequential(nn.Tanh())), IMAGES),
    (
        nn.Sequential(
            nn.Conv2d(4, 3, 3),
            nn.BatchNorm2d(3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(),
            nn.Linear(12, 5),
        ),
        IMAGES,
    ),
]


class Square(nn.Layer):
    """y = x^2, right unless told otherwise."""

    def __init__(self, mistake=None):
        self.mistake = mistake
        self.scale = nn.Parameter(np.ones(1, dtype=np.float32))

    def forward(self, x):
        self.saved = x
        if self.mistake == "writes":
            x *= 1.0000001
        if self.mistake == "noise":
            return x * x * self.scale.data + np.random.default_rng().normal(size=x.shape).astype(x.dtype)
        y = x * x * self.scale.data
        return y.astype(np.float64) if self.mistake == "output dtype" else y

    def backward(self, dy):
        x = self.saved
        d_scale = (dy * x * x).sum().reshape(1)
        if self.mistake == "replaces":
            self.scale.grad = d_scale
        elif self.mistake != "forgets":
            self.scale.add_grad(d_scale)
        dx = 2 * x * dy * self.scale.data
        if self.mistake == "factor":
            dx = dx / 2
        if self.mistake == "one entry":
            dx[1, 2] += 0.01
        if self.mistake == "shape":
            dx = dx[:, :-1]
        if self.mistake == "nan":
            dx[0, 0] = np.nan
        if self.mistake == "writes dy":
            dy *= 0.5
        return dx.astype(np.float64) if self.mistake == "gradient dtype" else dx


def kinds(report):
    return {finding.kind for finding in report.findings}


@pytest.mark.parametrize(("layer", "x"), LAYERS, ids=[repr(layer) for layer, _ in LAYERS])
def test_every_layer_passes(layer, x, backend):
    report = mc.gradcheck(layer, x)
    assert report.ok, report
    assert all(check.compared > check.skipped for check in report.tensors)


@pytest.mark.parametrize(
    "loss", [nn.CrossEntropyLoss(), nn.CrossEntropyLoss(label_smoothing=0.2, weight=[1, 2, 0.5, 1, 3, 1])], ids=repr
)
def test_losses_pass(loss):
    assert mc.gradcheck(loss, VECTORS, target=np.array([0, 5, 2, 2, 1])).ok


def test_segmentation_loss_passes():
    assert mc.gradcheck(nn.CrossEntropyLoss(), IMAGES, target=rng.integers(0, 4, size=(3, 7, 6))).ok


def test_a_pair_of_functions_passes():
    w = rng.normal(size=(6, 2))
    assert mc.gradcheck(lambda x, w: x @ w, (VECTORS, w), backward=lambda dy, x, w: (dy @ w.T, x.T @ dy)).ok


def test_a_wrong_pair_of_functions_fails_at_the_right_input():
    w = rng.normal(size=(6, 2))
    report = mc.gradcheck(lambda x, w: x @ w, (VECTORS, w), backward=lambda dy, x, w: (dy @ w.T, -x.T @ dy))
    assert [(finding.kind, finding.where) for finding in report.findings] == [("sign", "x[1]")]


def test_integer_inputs_of_a_function_are_held_fixed():
    index = np.array([2, 0, 2])

    def backward(dy, x, index):
        dx = np.zeros_like(x)
        np.add.at(dx, index, dy)
        return dx

    assert mc.gradcheck(lambda x, index: x[index], (VECTORS, index), backward=backward).ok


@pytest.mark.parametrize(
    ("mistake", "kind", "where"),
    [
        ("factor", "scale", "x"),
        ("one entry", "unknown", "x"),
        ("shape", "shape", "x"),
        ("nan", "non-finite", "x"),
        ("forgets", "zero", "scale"),
        ("replaces", "not-accumulated", "scale"),
        ("writes", "mutates-input", "x"),
        ("writes dy", "mutates-input", "dy"),
        ("noise", "nondeterministic", "y"),
        ("output dtype", "dtype", "y"),
        ("gradient dtype", "dtype", "x"),
    ],
)
def test_mistakes_are_found_where_they_are(mistake, kind, where):
    report = mc.gradcheck(Square(mistake), VECTORS)
    assert not report.ok
    assert (kind, where) in {(finding.kind, finding.where) for finding in report.findings}, report


def test_the_right_layer_of_one_s_own_passes():
    assert mc.gradcheck(Square(), VECTORS).ok


def test_the_report_names_the_entry_and_both_values():
    report = mc.gradcheck(Square("one entry"), VECTORS)
    assert report.findings[0].evidence["index"] == (1, 2)
    text = str(report)
    assert "FAILED" in text
    assert "x[1, 2]" in text
    assert f"{report.findings[0].evidence['numeric']:.8g}" in text
    assert f"{report.findings[0].evidence['analytic']:.8g}" in text


def test_a_report_is_true_when_ok():
    assert mc.gradcheck(Square(), VECTORS)
    assert not mc.gradcheck(Square("factor"), VECTORS)


@given(st.sampled_from(["conv2d_backward", "linear_backward", "relu_backward"]), st.floats(0.5, 0.999))
def test_a_small_factor_in_any_result_is_found(name, factor):
    slot = mc.backend.slots()[name]

    def scaled(*args, **kwargs):
        results = slot.body(*args, **kwargs)
        return results * factor if len(slot.returns) == 1 else (*results[:-1], results[-1] * factor)

    model = nn.Sequential(nn.Conv2d(1, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    with mc.plug(**{name: scaled}):
        assert "scale" in kinds(mc.gradcheck(model, rng.normal(size=(2, 1, 3, 3))))


# Kinks


def test_entries_on_a_kink_are_skipped_and_counted():
    x = VECTORS.copy()
    x[0, :3] = 0
    report = mc.gradcheck(nn.ReLU(), x)
    assert report.ok
    assert (report.tensors[0].compared, report.tensors[0].skipped) == (27, 3)


@given(st.floats(-0.99, 0.99))
def test_a_kink_anywhere_within_the_step_is_seen(position):
    x = VECTORS.copy()
    x[0, 0] = position * 1e-5
    report = mc.gradcheck(nn.ReLU(), x)
    assert report.ok
    assert report.tensors[0].skipped == (0 if abs(position) > 0.999 else 1)


@pytest.mark.parametrize(
    ("layer", "x"), [(nn.ReLU(), np.zeros((3, 4))), (nn.MaxPool2d(2), np.ones((1, 1, 4, 4)))], ids=repr
)
def test_a_check_at_nothing_but_kinks_is_inconclusive(layer, x):
    report = mc.gradcheck(layer, x)
    assert not report.ok
    assert kinds(report) == {"ties"}
    assert "random normal numbers" in str(report)


@given(st.floats(1, 100))
def test_a_curved_function_is_not_taken_for_a_kink(sharpness):
    report = mc.gradcheck(
        lambda x: np.sin(sharpness * x), VECTORS, backward=lambda dy, x: dy * sharpness * np.cos(sharpness * x)
    )
    assert report.ok, report
    assert report.tensors[0].skipped == 0


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_the_size_of_the_numbers_does_not_matter(scale):
    assert mc.gradcheck(nn.Linear(6, 3), scale * VECTORS).ok


def test_a_gradient_of_zero_is_right_when_it_is():
    model = nn.Sequential(nn.Conv2d(4, 3, 3), nn.BatchNorm2d(3))
    report = mc.gradcheck(model, IMAGES)
    assert report.ok
    assert abs(next(check for check in report.tensors if check.name == "0.bias").numeric) < 1e-8


# What it checks at, and what it leaves behind


class Weighted(nn.Layer):
    """y = w * scale * x, for a scale that comes beside x, as a pair with a word."""

    def __init__(self):
        self.w = nn.Parameter(np.ones(1, dtype=np.float32))

    def forward(self, x, pair):
        scale, word = pair
        assert word == "twice"
        self.saved = x, scale
        return self.w.data * scale * x

    def backward(self, dy):
        x, scale = self.saved
        self.w.add_grad((dy * scale * x).sum().reshape(1))
        return self.w.data * scale * dy


def test_what_a_layer_takes_beside_x_is_handed_to_it_in_x_s_type_and_left_alone():
    scale = normal(1, 3, 4)
    before = scale.copy()
    report = mc.gradcheck(Weighted(), normal(0, 3, 4), context=((scale, "twice"),))
    assert report.ok, report
    assert [check.name for check in report.tensors] == ["x", "w"]
    np.testing.assert_array_equal(scale, before)
    with pytest.raises(ArgumentError, match="a loss or a function has none"):
        mc.gradcheck(nn.MSELoss(), normal(0, 3), target=normal(1, 3), context=(scale,))


def test_a_wrong_layer_inside_one_that_takes_more_is_named():
    class WrongHalf(nn.Linear):
        def backward(self, dy):
            return super().backward(dy) / 2

    class Chosen(nn.Layer):
        def __init__(self):
            self.inside = WrongHalf(4, 2)

        def forward(self, x, rows):
            self.saved = x.shape, rows
            return self.inside(x[rows])

        def backward(self, dy):
            shape, rows = self.saved
            dx = np.zeros(shape, dtype=dy.dtype)
            dx[rows] = self.inside.backward(dy)
            return dx

    report = mc.gradcheck(Chosen(), normal(0, 5, 4), context=(np.array([3, 0, 2]),))
    assert {finding.where for finding in report.findings} == {"inside.x"}


def test_large_tensors_are_checked_at_random_entries_that_repeat():
    layer = nn.Linear(100, 20)
    x = rng.normal(size=(4, 100))
    first, again = (mc.gradcheck(layer, x, entries=50) for _ in range(2))
    other = mc.gradcheck(layer, x, entries=50, seed=1)
    assert first.tensors[1].compared == 50
    assert first.tensors[1] == again.tensors[1]
    assert first.tensors[1] != other.tensors[1]


def test_the_layer_stays_as_it_was():
    layer = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Dropout(0.3))
    layer[0].weight.frozen = True
    before, step = copy.deepcopy(layer.state_dict()), layer[2].rng.step
    x = VECTORS.astype(np.float32)
    mc.gradcheck(layer, x)
    assert all(np.array_equal(before[name], value) for name, value in layer.state_dict().items())
    assert layer[0].weight.frozen
    assert layer[0].weight.grad is None
    assert layer[2].rng.step == step
    assert layer.training
    assert np.array_equal(x, VECTORS.astype(np.float32))


def test_zero_biases_do_not_hide_mistakes():
    """A backward that multiplies by the bias is right where the bias is zero; the check must not look only there."""

    def scaled_by_bias(dy, x, gamma, mean, inv_std):
        dx, dgamma, dbeta = ops.batch_norm_backward.body(dy, x, gamma, mean, inv_std)
        return dx / gamma[None], dgamma, dbeta

    with mc.plug(batch_norm_backward=scaled_by_bias):
        assert not mc.gradcheck(nn.BatchNorm1d(6), VECTORS).ok


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((nn.ReLU, VECTORS), {}, "is a class"),
        ((np.sin, VECTORS), {}, "backward=backward"),
        ((nn.CrossEntropyLoss(), VECTORS), {}, "target="),
        ((nn.ReLU(), np.zeros((0, 3))), {}, "empty"),
        ((nn.ReLU(), VECTORS), {"entries": 0}, "entries"),
        ((nn.ReLU(), VECTORS), {"tolerance": 0}, "tolerance"),
    ],
)
def test_what_cannot_be_checked_is_refused(arguments, options, words):
    with pytest.raises(ArgumentError, match=words):
        mc.gradcheck(*arguments, **options)


# No false alarm: the engine's own layers, drawn at random


@st.composite
def layers_and_inputs(draw):
    """A layer of any family and geometry with an input for it, small enough for many of them."""
    family = draw(st.sampled_from(["conv", "pool", "linear", "norm", "activation", "dropout", "several"]))
    seed = draw(seeds)
    if family == "conv":
        case = draw(conv_cases(min_batch=1, largest_kernel=3, extra=2))
        bias = draw(st.booleans())
        return nn.Conv2d(case.channels, case.features, case.kernel, bias=bias, **case.options), case.x()
    if family == "pool":
        case = draw(pool_cases(min_batch=1, largest_kernel=3, extra=2))
        pool = draw(st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]))
        return pool(case.kernel, case.stride, case.padding), spread(seed, *case.shape)
    shape = draw(st.tuples(*[st.integers(2, 4)] * draw(st.sampled_from([2, 4]))))
    x = spread(seed, *shape)
    if family == "linear":
        return nn.Linear(shape[1], draw(st.integers(1, 4)), bias=draw(st.booleans())), normal(seed, *shape[:2])
    if family == "norm":
        norm = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(shape[1], eps=draw(st.sampled_from([1e-5, 0.1])))
        return norm.train(draw(st.booleans())), x
    if family == "dropout":
        return nn.Dropout(draw(st.floats(0, 0.9))), x
    activation = draw(
        st.sampled_from([nn.ReLU(), nn.SELU(), nn.GELU(), nn.SiLU(), nn.Sigmoid(), nn.Tanh(), nn.Identity()])
        | st.builds(nn.LeakyReLU, st.floats(0.01, 0.9))
        | st.builds(nn.ELU, st.floats(0.1, 2.0))
        | st.builds(nn.Softplus, st.floats(0.5, 3.0), st.sampled_from([1.0, 20.0]))
    )
    if family == "activation":
        return activation, x
    linear = nn.Linear(int(np.prod(shape[1:])), 3)
    return nn.Sequential(nn.Residual(nn.Sequential(activation)), nn.Flatten(), linear), x


def assert_is_right(layer, x):
    report = mc.gradcheck(layer, x, entries=24)
    assert report.ok, report
    assert all(check.compared for check in report.tensors), report


@given(layers_and_inputs())
@settings(max_examples=100)
def test_no_right_layer_is_blamed(drawn):
    assert_is_right(*drawn)


@pytest.mark.slow
@given(layers_and_inputs())
@settings(max_examples=1000)
def test_no_right_layer_is_blamed_in_a_thousand_cases_on_each_backend(backend, drawn):
    assert_is_right(*drawn)


# What kind of mistake it is, without a reference


def first_finding(report, where):
    """The kind, the message and the evidence of the first finding on a tensor."""
    assert not report.ok
    found = [finding for finding in report.findings if finding.where == where]
    assert found, report
    return found[0]


class Dense(nn.Layer):
    """y = x W' + b, with a place to go wrong."""

    def __init__(self, outputs=3, inputs=6, mistake=None):
        self.weight = nn.Parameter(rng.normal(size=(outputs, inputs)).astype(np.float32))
        self.bias = nn.Parameter(np.zeros(outputs, dtype=np.float32))
        self.mistake, self.first = mistake, None

    def forward(self, x):
        if self.mistake == "remembers the first batch" and self.first is not None and self.first.dtype == x.dtype:
            x_kept = self.first
        else:
            self.first = x_kept = x.copy()
        self.saved = x_kept
        return x @ self.weight.data.T + self.bias.data

    def backward(self, dy):
        x, w = self.saved, self.weight.data
        if self.mistake == "raises":
            return dy @ w.reshape(99, 99)
        if self.mistake == "unwritten":
            raise NotImplementedError("the gradient of x")
        counted = slice(-1, None) if self.mistake == "last sample" else slice(None)
        dw = dy[counted].T @ x[counted]
        dw = {"sign": -dw, "mean": dw / len(x), "transposed": dw.T}.get(self.mistake, dw)
        self.weight.add_grad(np.ascontiguousarray(dw))
        self.bias.add_grad(dy.mean(axis=0) if self.mistake == "mean" else dy.sum(axis=0))
        dx = dy @ (w.T if self.mistake == "transposed for dx" else w)
        if self.mistake == "dx without the last":
            dx[-1] = 0
        return dx


def test_a_wrong_sign_is_named():
    finding = first_finding(mc.gradcheck(Dense(mistake="sign"), VECTORS), "weight")
    assert finding.kind == "sign"
    assert finding.evidence["analytic"] == pytest.approx(-finding.evidence["numeric"])
    assert "wrong in 18 of 18 entries" in finding.message


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_a_division_by_the_batch_is_named_n_whatever_n_is(n):
    report = mc.gradcheck(Dense(mistake="mean"), rng.normal(size=(n, 6)))
    finding = first_finding(report, "weight")
    assert finding.kind == "scale"
    assert finding.evidence["factor"] == pytest.approx(1 / n)
    assert finding.evidence["name"] == ("1/N" if n > 2 else finding.evidence["name"])
    assert first_finding(report, "bias").kind == "not-summed"
    assert {f.where for f in report.findings} == {"weight", "bias"}


def test_a_factor_of_two_is_not_called_n():
    report = mc.gradcheck(lambda x: x**2, VECTORS, backward=lambda dy, x: 4 * x * dy)
    assert first_finding(report, "x").evidence["name"] == "2"


@pytest.mark.parametrize(("mistake", "where"), [("transposed", "weight"), ("transposed for dx", "x")])
def test_square_weights_do_not_hide_a_transposition(mistake, where):
    finding = first_finding(mc.gradcheck(Dense(4, 4, mistake), rng.normal(size=(3, 4))), where)
    assert finding.kind == "transposed"
    assert "output and input" in finding.message or "input and output" in finding.message


@pytest.mark.parametrize(("mistake", "where"), [("last sample", "weight"), ("dx without the last", "x")])
def test_a_part_of_the_batch_is_named(mistake, where):
    finding = first_finding(mc.gradcheck(Dense(mistake=mistake), VECTORS), where)
    assert finding.kind == "partial-batch"
    assert "last" in finding.message


def test_what_is_remembered_from_the_first_batch_is_found():
    finding = first_finding(mc.gradcheck(Dense(mistake="remembers the first batch"), VECTORS), "weight")
    assert finding.kind == "wrong-cache"
    assert "right for the first numbers that came" in finding.message


def test_an_exception_in_the_backward_pass_is_a_finding_with_its_line():
    finding = first_finding(mc.gradcheck(Dense(mistake="raises"), VECTORS), "backward")
    assert finding.kind == "raises"
    assert finding.message.startswith("ValueError: cannot reshape array")
    assert finding.message.endswith(": return dy @ w.reshape(99, 99)")
    assert finding.evidence["line"].startswith("line ")


def test_a_backward_pass_that_is_not_written_yet_is_said_so():
    finding = first_finding(mc.gradcheck(Dense(mistake="unwritten"), VECTORS), "backward")
    assert finding.message == "it is not written yet (the gradient of x)"


def test_an_exception_in_the_forward_pass_is_the_caller_s():
    with pytest.raises(ZeroDivisionError):
        mc.gradcheck(lambda x: 1 / 0, VECTORS, backward=lambda dy, x: dy)


class Norm(nn.Layer):
    """Batch norm by hand, of which ways through the statistics can be forgotten."""

    def __init__(self, channels, forgets=()):
        self.gamma = nn.Parameter(np.ones(channels, dtype=np.float32))
        self.beta = nn.Parameter(np.zeros(channels, dtype=np.float32))
        self.forgets = forgets

    def forward(self, x):
        mean, var = x.mean(axis=(0, 2, 3), keepdims=True), x.var(axis=(0, 2, 3), keepdims=True)
        inv_std = 1 / np.sqrt(var + x.dtype.type(1e-5))
        self.saved = (x - mean) * inv_std, inv_std
        return self.gamma.data[:, None, None] * self.saved[0] + self.beta.data[:, None, None]

    def backward(self, dy):
        x_hat, inv_std = self.saved
        self.gamma.add_grad((dy * x_hat).sum(axis=(0, 2, 3)))
        self.beta.add_grad(dy.sum(axis=(0, 2, 3)))
        dx = dy.copy()
        if "mean" not in self.forgets:
            dx -= dy.mean(axis=(0, 2, 3), keepdims=True)
        if "variance" not in self.forgets:
            dx -= x_hat * (dy * x_hat).mean(axis=(0, 2, 3), keepdims=True)
        return self.gamma.data[:, None, None] * inv_std * dx


@pytest.mark.parametrize("forgets", [("mean",), ("variance",), ("mean", "variance")])
def test_a_forgotten_way_through_the_statistics_is_named(forgets):
    finding = first_finding(mc.gradcheck(Norm(2, forgets), IMAGES[:, :2, :4, :3]), "x")
    assert finding.kind == "missing-term", finding
    assert {name for name in ("mean", "variance") if name in finding.message} == set(forgets)


def test_the_same_layer_without_a_mistake_passes():
    assert mc.gradcheck(Norm(4), IMAGES).ok
    assert mc.gradcheck(Dense(), VECTORS).ok


@pytest.mark.alone
@pytest.mark.parametrize("overwrites", [False, True])
def test_overlapping_windows_that_overwrite_each_other_are_named(overwrites):
    taps = [0.5, -1.0, 2.0]

    def forward(x):
        return sum(taps[q] * x[..., q : q + x.shape[-1] - 2] for q in range(3))

    def backward(dy, x):
        dx = np.zeros_like(x)
        for j in range(dy.shape[-1]):
            window = dy[..., j : j + 1] * np.array(taps, dtype=dy.dtype)
            dx[..., j : j + 3] = window if overwrites else dx[..., j : j + 3] + window
        return dx

    report = mc.gradcheck(forward, IMAGES[:2, :2, :4], backward=backward)
    assert report.ok is not overwrites
    if overwrites:
        finding = first_finding(report, "x")
        assert finding.kind == "not-accumulated"
        assert "only one of them is left" in finding.message


class Twice(nn.Layer):
    """One layer used two times in a row, which remembers its last input only."""

    def __init__(self):
        self.inner = nn.Linear(6, 6)

    def forward(self, x):
        return self.inner(self.inner(x))

    def backward(self, dy):
        return self.inner.backward(self.inner.backward(dy))


def test_a_layer_that_is_used_twice_is_named():
    finding = first_finding(mc.gradcheck(Twice(), VECTORS), "inner.weight")
    assert finding.kind == "wrong-cache"
    assert finding.message.startswith("inner runs more than once in a forward pass")


@pytest.mark.parametrize(
    ("backward", "kind", "words"),
    [
        (lambda dy, x: dy, "mask", "not applied"),
        (lambda dy, x: np.where(x > 0, 0, dy), "mask", "inverted"),
        (lambda dy, x: np.where(dy > 0, dy, 0), "mask", "dy > 0"),
        (lambda dy, x: np.zeros_like(x), "zero", "all entries are 0"),
        (lambda dy, x: (dy * (x > 0))[::-1].copy(), "wrong-cache", "reverse order"),
        (lambda dy, x: np.roll(dy * (x > 0), 1, axis=1), "shifted", "shifted by 1"),
    ],
)
def test_mistakes_of_a_function_are_named(backward, kind, words):
    finding = first_finding(mc.gradcheck(lambda x: np.maximum(x, 0), VECTORS, backward=backward), "x")
    assert finding.kind == kind, finding
    assert words in finding.message


def test_two_mistakes_in_two_inputs_are_both_named():
    w = rng.normal(size=(6, 2))
    report = mc.gradcheck(lambda x, w: x @ w, (VECTORS, w), backward=lambda dy, x, w: (np.zeros_like(x), -(x.T @ dy)))
    assert first_finding(report, "x[0]").kind == "zero"
    assert first_finding(report, "x[1]").kind == "sign"


@pytest.mark.parametrize("count", [1, 3])
def test_a_wrong_number_of_gradients_is_counted(count):
    with pytest.raises(ArgumentError, match=f"backward returned {count} gradients for 2 inputs"):
        mc.gradcheck(lambda a, b: a * b, (VECTORS, VECTORS), backward=lambda dy, a, b: (dy,) * count)


@pytest.mark.alone
def test_a_tensor_too_large_to_be_measured_whole_is_compared_all_the_same():
    begun = time.perf_counter()
    report = mc.gradcheck(Dense(40, 60, "sign"), rng.normal(size=(4, 60)))
    assert time.perf_counter() - begun < 5
    finding = first_finding(report, "weight")
    assert "wrong in 200 of 200 entries" in finding.message
    assert finding.message.endswith("too little time, to be measured whole: try a smaller example")
    assert "weight" not in report.comparisons


@pytest.mark.alone
def test_a_check_that_finds_something_takes_seconds_at_most():
    begun = time.perf_counter()
    assert not mc.gradcheck(Norm(4, ("mean",)), IMAGES).ok
    assert time.perf_counter() - begun < 5
