"""The sweep against loops, and the fully convolutional form against the sweep."""

import time

import numpy as np
import pytest

import minicnn as mc
from minicnn import nn
from minicnn.analyse import Sweep, detections, fully_convolutional, sliding_window, sweep_fully_convolutional
from minicnn.errors import ArgumentError, ShapeError


def lenet():
    mc.seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 3),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 32),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(32, 10),
    )


def pooled():
    mc.seed(1)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(2, 4, 3, stride=2), nn.ReLU()), nn.GlobalAvgPool2d(), nn.Linear(4, 3, bias=False)
    )


def image(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("stride", [1, (4, 3)])
def test_each_score_is_that_of_its_window(trained, stride):
    large = image(1, 13, 15).astype(np.float64)
    sweep = sliding_window(trained, large, 8, stride=stride, batch_size=5)
    down, across = (stride, stride) if isinstance(stride, int) else stride
    assert sweep.scores.shape == (10, 5 // down + 1, 7 // across + 1)
    with nn.evaluating(trained):
        for i, top in enumerate(sweep.tops):
            for j, left in enumerate(sweep.lefts):
                alone = trained(large[None, :, top : top + 8, left : left + 8])[0]
                np.testing.assert_allclose(sweep.scores[:, i, j], alone, rtol=1e-9)


@pytest.mark.parametrize(
    ("make", "shape", "size", "stride"),
    [(lenet, (1, 61, 73), 28, 4), (pooled, (2, 20, 17), 9, 2)],
    ids=["dense layers", "global average"],
)
def test_the_fully_convolutional_map_is_that_of_the_windows(make, shape, size, stride):
    model = make()
    windows = sliding_window(model, image(*shape), size, stride=stride)
    at_once = sweep_fully_convolutional(model, image(*shape), size)
    np.testing.assert_array_equal(at_once.tops, windows.tops)
    np.testing.assert_array_equal(at_once.lefts, windows.lefts)
    np.testing.assert_allclose(at_once.scores, windows.scores, atol=2e-5)


@pytest.mark.alone
def test_it_is_ten_times_as_fast_on_256_x_256_pixels():
    model, large = lenet(), image(1, 256, 256)

    def seconds(sweep):
        begin = time.perf_counter()
        sweep()
        return time.perf_counter() - begin

    def ratio():
        slow = min(seconds(lambda: sliding_window(model, large, 28, stride=4)) for _ in range(2))
        return slow / min(seconds(lambda: sweep_fully_convolutional(model, large, 28)) for _ in range(10))

    assert max(ratio() for _ in range(3)) > 10  # 14 on an idle machine; others may be at work on this one


def test_the_new_layers_share_the_weights():
    model = pooled()
    convolutional, _ = fully_convolutional(model, (2, 9, 9))
    assert np.shares_memory(convolutional[3].weight.data, model[2].weight.data)


def test_overlapping_windows_are_averaged():
    scores = np.log(np.array([[[0.2, 0.6]], [[0.8, 0.4]]]))
    sweep = Sweep(scores, np.array([0]), np.array([0, 1]), (2, 2), (3, 3))
    np.testing.assert_allclose(sweep.averaged()[0, 0], [0.2, 0.4, 0.6])
    assert np.isnan(sweep.averaged()[:, 2]).all()


def test_detections_are_the_surest_of_overlapping_windows():
    p = np.full((3, 1, 5), 0.05)
    p[1, 0, [0, 1, 4]] = 0.90, 0.8, 0.7
    p[0, 0, [2, 3]] = 0.9
    sweep = Sweep(np.log(p), np.array([0]), np.arange(5), (4, 4), (4, 8))
    found = detections(sweep, threshold=0.5, overlap=0.3, background=0)
    assert [(d.label, d.left) for d in found] == [(1, 0), (1, 4)]
    assert [(d.label, d.left) for d in detections(sweep, overlap=0.7, background=0)] == [(1, 0), (1, 1), (1, 4)]
    assert {d.label for d in detections(sweep)} == {0, 1}


def test_windows_of_any_class_compete_where_objects_cannot_overlap():
    p = np.full((3, 1, 5), 0.05)
    p[1, 0, [0, 4]] = 0.9, 0.6
    p[2, 0, [1, 3]] = 0.7, 0.8
    sweep = Sweep(np.log(p), np.array([0]), np.arange(5), (4, 4), (4, 8))
    found = detections(sweep, overlap=0.3, background=0)
    assert [(d.label, d.left) for d in found] == [(1, 0), (2, 3), (1, 4)]  # 2 at 1 yields to 2 at 3
    found = detections(sweep, overlap=0.3, background=0, class_agnostic=True)
    assert [(d.label, d.left) for d in found] == [(1, 0), (2, 3)]


def branching():
    return nn.Sequential(nn.Residual(nn.Conv2d(1, 1, 1)), nn.Flatten(), nn.Linear(64, 2))


def same():
    return nn.Sequential(nn.Conv2d(1, 2, 3, padding="same"), nn.Flatten(), nn.Linear(128, 2))


BAD = {
    "small image": (lambda: sliding_window(lenet(), image(1, 20, 40), 28), ShapeError, "does not fit"),
    "axes": (lambda: sliding_window(lenet(), image(1, 1, 28, 28), 28), ShapeError, r"\(C, H, W\)"),
    "stride": (lambda: sliding_window(lenet(), image(28, 28), 28, stride=0), ArgumentError, "stride"),
    "no scores": (lambda: sliding_window(nn.ReLU(), image(28, 28), 28), ShapeError, r"\(N, K\)"),
    "padding": (lambda: sweep_fully_convolutional(same(), image(9, 9), 8), ArgumentError, "pads"),
    "branches": (lambda: sweep_fully_convolutional(branching(), image(9, 9), 8), ArgumentError, "branches"),
    "no chain": (lambda: fully_convolutional(nn.ReLU(), (1, 8, 8)), ArgumentError, "not a Sequential"),
    "threshold": (
        lambda: detections(Sweep(np.zeros((1, 1, 1)), np.zeros(1), np.zeros(1), (1, 1), (1, 1)), threshold=5),
        ArgumentError,
        "threshold",
    ),
}


@pytest.mark.parametrize(("call", "error", "match"), BAD.values(), ids=BAD.keys())
def test_bad_inputs_are_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


class Standardised(nn.Layer):
    """Looks at the whole picture."""

    def forward(self, x):
        return x - x.mean(axis=(1, 2, 3), keepdims=True)

    def backward(self, dy):
        return dy


@pytest.mark.parametrize("layer", [Standardised(), nn.FractionalMaxPool2d(2, output_ratio=0.7)], ids=repr)
def test_layers_that_may_not_treat_every_place_alike_are_refused(layer):
    with pytest.raises(ArgumentError, match="use sliding_window"):
        fully_convolutional(nn.Sequential(layer, nn.Flatten(), nn.Linear(25, 2)), (1, 5, 5))


def test_windows_are_copied_a_batch_at_a_time():
    import tracemalloc

    model = nn.Sequential(nn.GlobalAvgPool2d(), nn.Linear(1, 2))
    tracemalloc.start()
    sliding_window(model, image(1, 120, 120), 28, batch_size=64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6  # all windows together are 27 MB
