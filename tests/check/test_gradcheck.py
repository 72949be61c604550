"""gradcheck: right gradients pass, wrong ones are named, kinks are neither."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
