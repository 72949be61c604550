"""Saliency against finite differences, Grad-CAM against class activation maps, occlusion against loops."""

import numpy as np
import pytest

from minicnn import nn
from minicnn.analyse import grad_cam, maximise_class, occlusion, saliency
from minicnn.analyse.attribution import stretched
from minicnn.errors import ArgumentError, ShapeError
from minicnn.train.predicting import softmax

METHODS = {"saliency": saliency, "grad_cam": grad_cam, "occlusion": occlusion}


def scores(model, x):
    with nn.evaluating(model):
        return model(x)


def test_saliency_is_the_slope_of_the_score(trained, images):
    got = saliency(trained, images, target=3)
    for n, i, j in [(0, 0, 0), (1, 4, 5), (3, 2, 3)]:
        step = np.zeros_like(images)
        step[n, 0, i, j] = 1e-6
        slope = (scores(trained, images + step) - scores(trained, images - step))[n, 3] / 2e-6
        assert got[n, i, j] == pytest.approx(abs(slope), rel=1e-5, abs=1e-8)


def test_by_default_the_class_with_the_largest_score_is_meant(trained, images):
    largest = scores(trained, images).argmax(axis=1)
    for method in METHODS.values():
        np.testing.assert_array_equal(method(trained, images), method(trained, images, target=largest))
        assert not np.array_equal(method(trained, images), method(trained, images, target=(largest + 1) % 10))


def test_grad_cam_is_the_class_activation_map_where_there_is_one(images):
    """Selvaraju et al., 2017, section 3.1: with global average pooling before the last layer both are the same."""
    model = nn.Sequential(nn.Conv2d(1, 5, 3, padding=1), nn.ReLU(), nn.GlobalAvgPool2d(), nn.Linear(5, 3))
    model.astype(np.float64)
    a = model[:2].eval()(images)
    want = np.maximum(np.einsum("k,nkhw->nhw", model[3].weight.data[2] / 64, a), 0)
    np.testing.assert_allclose(grad_cam(model, images, target=2, layer="1"), want, atol=1e-12)
    np.testing.assert_allclose(grad_cam(model, images, target=2), want, atol=1e-12)  # the last map


def test_grad_cam_is_as_large_as_the_image(trained, images):
    assert grad_cam(trained, images, layer="3").shape == (4, 8, 8)


def test_maps_are_stretched_along_straight_lines():
    ramp = np.arange(4.0)[None, :, None] * np.ones((1, 4, 4))
    got = stretched(ramp, (8, 8))
    np.testing.assert_allclose(got[0, 1:7, 0], 0.25 + 0.5 * np.arange(6))
    np.testing.assert_allclose(stretched(ramp, (4, 4)), ramp)


def test_occlusion_is_the_mean_fall_over_the_squares_that_cover_a_pixel(trained, images):
    got = occlusion(trained, images, target=1, size=4, stride=3, fill=-0.5)
    total, covered = np.zeros((4, 8, 8)), np.zeros((8, 8))
    for top in (0, 3, 4):
        for left in (0, 3, 4):
            hidden = images.copy()
            hidden[:, :, top : top + 4, left : left + 4] = -0.5
            fall = softmax(scores(trained, images))[:, 1] - softmax(scores(trained, hidden))[:, 1]
            for i in range(top, top + 4):
                for j in range(left, left + 4):
                    total[:, i, j] += fall
                    covered[i, j] += 1
    np.testing.assert_allclose(got, total / covered, atol=1e-12)


def test_the_image_that_maximises_a_class_is_read_as_that_class(trained):
    for target in (0, 7):
        image = maximise_class(trained, (1, 8, 8), target, steps=30)
        assert image.shape == (1, 8, 8)
        assert softmax(scores(trained, image[None]))[0, target] > 0.95


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_the_model_stays_as_it_was(trained, images, method):
    trained.train()
    trained.zero_grad()
    x = images.copy()
    trained(x)
    saved = [layer._saved for _, layer in trained.named_layers()]
    state = {name: value.tobytes() for name, value in trained.state_dict().items()}
    method(trained, images)
    assert all(layer.training for _, layer in trained.named_layers())
    assert all(layer._saved is value for (_, layer), value in zip(trained.named_layers(), saved, strict=True))
    assert all(parameter.grad is None for parameter in trained.parameters())
    assert {name: value.tobytes() for name, value in trained.state_dict().items()} == state
    assert all("backward" not in vars(layer) and not layer._hooks for _, layer in trained.named_layers())
    np.testing.assert_array_equal(x, images)


BAD = {
    "one image": (lambda m, x: saliency(m, x[0]), ShapeError, r"x\[None\]"),
    "class": (lambda m, x: saliency(m, x, target=10), ArgumentError, "from 0 to 9"),
    "targets": (lambda m, x: grad_cam(m, x, target=[1, 2]), ShapeError, "one for each of 4"),
    "layer": (lambda m, x: grad_cam(m, x, layer="conv9"), ArgumentError, "there are '0', '1'"),
    "flat layer": (lambda m, x: grad_cam(m, x, layer="6"), ArgumentError, "before Flatten"),
    "number": (lambda m, x: grad_cam(m, x, layer=7), ArgumentError, "from -7 to 6"),
    "stranger": (lambda m, x: grad_cam(m, x, layer=nn.ReLU()), ArgumentError, "not a layer of this model"),
    "no picture": (lambda m, x: grad_cam(m[4:], x[:, :, :, :9].repeat(9, 1)[:, :, :4, :2]), ArgumentError, "layer="),
    "square": (lambda m, x: occlusion(m, x, size=9), ArgumentError, "does not fit"),
    "no classes": (lambda m, x: saliency(m[:3], x), ShapeError, r"\(N, K\)"),
}


@pytest.mark.parametrize(("call", "error", "match"), BAD.values(), ids=BAD.keys())
def test_bad_inputs_are_refused(trained, images, call, error, match):
    with pytest.raises(error, match=match):
        call(trained, images)


def test_grad_cam_weighs_a_channel_by_the_mean_of_its_gradient(images):
    """Behind Flatten and Linear the gradient of a score with respect to the maps is the linear layer's row."""
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)).astype(np.float64)
    a = model[:2].eval()(images)
    alpha = model[3].weight.data[1].reshape(4, 36).mean(axis=1)
    want = np.maximum(np.einsum("k,nkhw->nhw", alpha, a), 0)
    np.testing.assert_allclose(grad_cam(model, images, target=1, layer="1"), stretched(want, (8, 8)), atol=1e-12)


def test_squares_that_leave_gaps_are_refused(trained, images):
    with pytest.raises(ArgumentError, match="leave gaps"):
        occlusion(trained, images, size=2, stride=3)
