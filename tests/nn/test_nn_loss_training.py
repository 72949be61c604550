"""Losses in use: a trainer makes each of them small, and on a device they wait for nothing."""

import numpy as np
import pytest
from gpu import strict_cupy
from strategies import normal

import minicnn as mc
from minicnn import nn, optim
from minicnn.backend import to_backend, to_host, use_backend

rng = np.random.default_rng(0)
X = normal(0, 60, 6, dtype=np.float32)
TRUTH = X @ rng.normal(size=(6, 3))  # float64, as targets mostly are
IMAGES = normal(1, 20, 1, 6, 6, dtype=np.float32)
BRIGHT = IMAGES > 0.3


def rows():
    return nn.Sequential(nn.Linear(6, 3))


def images(channels):
    return lambda: nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, channels, 3, padding=1))


CASES = [
    pytest.param(loss, model, x, y, share, id=f"{loss!r} {model().__class__.__name__} {y.dtype} {y.shape}")
    for loss, model, x, y, share in [
        (nn.MSELoss(), rows, X, TRUTH, 0.1),
        (nn.L1Loss(), rows, X, TRUTH, 0.3),
        (nn.HuberLoss(), rows, X, TRUTH, 0.1),
        (nn.HingeLoss(), rows, X, TRUTH.argmax(axis=1), 0.3),
        (nn.HingeLoss(p=2), rows, X, TRUTH.argmax(axis=1), 0.4),
        (nn.BCEWithLogitsLoss(), rows, X, TRUTH > 0, 0.5),
        (nn.BCEWithLogitsLoss(pos_weight=[1, 2, 3]), rows, X, (TRUTH > 1).astype(np.float32), 0.5),
        (nn.BCEWithLogitsLoss(), images(1), IMAGES, BRIGHT, 0.5),
        (nn.DiceLoss(), images(1), IMAGES, BRIGHT, 0.5),
        (nn.DiceLoss(), images(2), IMAGES, BRIGHT[:, 0].astype(np.uint8), 0.5),
        (nn.CrossEntropyLoss(weight=[1, 2]), images(2), IMAGES, BRIGHT[:, 0].astype(np.int64), 0.5),
    ]
]


@pytest.mark.parametrize(("loss", "model", "x", "y", "share"), CASES)
def test_a_trainer_makes_it_small(loss, model, x, y, share, tmp_path):
    mc.seed(1)
    network = model()
    trainer = mc.Trainer(network, loss=loss, optimizer=optim.Adam(network.parameters(), lr=0.03))
    history = trainer.fit((x, y), validation=(x, y), epochs=20, batch_size=10, out=tmp_path / "run", verbose=False)
    assert history["val_loss"][-1] < share * history["loss"][0]
    assert network.parameters()[0].data.dtype == np.float32
    assert trainer.evaluate((x, y))["loss"] == pytest.approx(history["val_loss"][-1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("loss", "model", "x", "y", "share"), CASES)
def test_on_a_device_it_is_the_same_and_waits_for_nothing(loss, model, x, y, share, dtype):
    if isinstance(loss, nn.CrossEntropyLoss) and strict_cupy.compiler_problem():
        pytest.skip(strict_cupy.compiler_problem())  # it has a kernel in CUDA
    with use_backend("numpy"):
        prediction = model().astype(dtype)(x.astype(dtype))
        want, want_gradient = loss(prediction, y), loss.backward()
    with strict_cupy.installed(), use_backend("cupy"):
        on_device, target = to_backend(prediction, "cupy"), to_backend(y, "cupy")
        loss(on_device, target)  # weights are sent once
        with strict_cupy.forbidding("sync", "h2d", "d2h"):
            value = loss.forward(on_device, target)
            gradient = loss.backward()
        assert value.shape == ()
        value, gradient = to_host(value), to_host(gradient)
    tolerance = 100 * np.finfo(dtype).eps
    assert value.dtype == gradient.dtype == dtype
    np.testing.assert_allclose(value, want, rtol=tolerance)
    np.testing.assert_allclose(gradient, want_gradient, rtol=0, atol=tolerance * abs(want_gradient).max())


@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.BCEWithLogitsLoss(), nn.HingeLoss(), nn.DiceLoss()], ids=repr)
def test_arrays_of_two_devices_are_refused(loss):
    prediction, target = IMAGES.repeat(2, axis=1), BRIGHT[:, 0].astype(int)
    if not isinstance(loss, nn.HingeLoss):
        target = np.zeros(prediction.shape)
    with strict_cupy.installed(), use_backend("cupy"), pytest.raises(mc.errors.DeviceError, match="same device"):
        loss(to_backend(prediction, "cupy"), target)
