"""Layers and training on the strict device, with the CUDA kernels run on the CPU, against the plain bodies on NumPy."""

import contextlib
import inspect
import re

import numpy as np
import pytest
from strategies import normal

import minicnn as mc
from gpu import strict_cupy
from minicnn import nn, ops
from minicnn.backend import CounterRng, Key, to_backend, to_host, use_backend

pytestmark = pytest.mark.skipif(bool(strict_cupy.compiler_problem()), reason=strict_cupy.compiler_problem() or "")

NO_WAITING = ("sync", "h2d", "d2h")


@contextlib.contextmanager
def device():
    """The strict device as the backend "cupy", in use."""
    with strict_cupy.installed(), use_backend("cupy"):
        yield


class InRegions(nn.Layer):
    """Pooling of regions that are always the same ones, already on the device."""

    def __init__(self):
        self.pool = nn.RoIMaxPool2d((3, 2), spatial_scale=0.5)
        self.rois = nn.Buffer(to_backend(np.array([[0, 1, 2, 9, 11], [2, 0, 0, 3, 3], [2, -4, 5, 30, 9]], np.float32)))

    def forward(self, x):
        return self.pool(x, self.rois.data)

    def backward(self, dy):
        return self.pool.backward(dy)


IMAGE, ROWS, SEQUENCES, WORDS = (3, 4, 7, 6), (5, 6), (3, 5, 6), (3, 5)
LAYERS = {
    IMAGE: [
        lambda: nn.Conv2d(4, 6, 3, padding=1),
        lambda: nn.Conv2d(4, 6, (3, 2), stride=2, dilation=(1, 2), bias=False),
        lambda: nn.Conv2d(4, 8, 3, groups=2, padding="same"),
        lambda: nn.ConvTranspose2d(4, 6, 2, stride=2),
        lambda: nn.ConvTranspose2d(4, 6, 3, (2, 1), 1, (1, 0), groups=2, bias=False),
        lambda: nn.Upsample(scale_factor=2),
        lambda: nn.Upsample(size=(5, 13), mode="bilinear"),
        lambda: nn.AdaptiveAvgPool2d((3, 4)),
        lambda: nn.PoolUnpool(nn.Conv2d(4, 4, 3, padding=1)),
        lambda: nn.PoolUnpool(nn.ReLU(), 3, 2),
        InRegions,
        lambda: nn.MaxPool2d(2),
        lambda: nn.MaxPool2d(3, 2, 1),
        lambda: nn.AvgPool2d(3, 2, 1),
        nn.GlobalAvgPool2d,
        lambda: nn.BatchNorm2d(4),
        lambda: nn.LayerNorm((7, 6)),
        lambda: nn.GroupNorm(2, 4),
        lambda: nn.GroupNorm(2, 4, affine=False),
        lambda: nn.SeparableConv2d(4, 6, 3, padding=1),
        lambda: nn.SqueezeExcitation(4, 2),
        lambda: nn.Dropout(0.4),
        lambda: nn.FractionalMaxPool2d(2, output_ratio=0.7),
        lambda: nn.FractionalMaxPool2d(2, output_size=(4, 5), overlapping=False, pseudorandom=False),
        lambda: nn.StochasticDepth(nn.Conv2d(4, 4, 3, padding=1), survival=0.9),
        lambda: nn.ZeroPadShortcut(4, 7, stride=2),
        nn.Flatten,
        nn.Identity,
        lambda: nn.Sequential(nn.Conv2d(4, 3, 3), nn.ReLU(), nn.MaxPool2d(2)),
        lambda: nn.Sequential(nn.Conv2d(4, 3, 3), nn.BatchNorm2d(3), nn.ReLU()),
        lambda: nn.Residual(nn.Conv2d(4, 4, 3, padding=1)),
        lambda: nn.Concat(nn.Conv2d(4, 3, 1), nn.Identity()),
        *(nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Softplus),
    ],
    ROWS: [
        lambda: nn.Linear(6, 4),
        lambda: nn.Linear(6, 4, bias=False),
        lambda: nn.BatchNorm1d(6),
        *(
            lambda activation=activation: nn.DropConnect(6, 4, 0.4, activation=activation())
            for activation in (nn.ReLU, nn.Tanh)
        ),
    ],
    SEQUENCES: [
        lambda: nn.LSTM(6, 4),
        lambda: nn.LSTM(6, 4, return_sequences=True, bias=False),
        lambda: nn.SimpleRNN(6, 4),
        lambda: nn.SimpleRNN(6, 4, return_sequences=True),
        lambda: nn.LayerNorm(6),
        lambda: nn.TimeDistributed(nn.Linear(6, 4)),
    ],
    WORDS: [
        lambda: nn.Embedding(9, 4, padding_idx=2),
        lambda: nn.Sequential(nn.Embedding(9, 4), nn.LSTM(4, 3), nn.Linear(3, 2)),
    ],
}
CASES = [pytest.param(make, shape, id=repr(make())) for shape, makers in LAYERS.items() for make in makers]


def test_no_layer_is_missing_here():
    ours = {type(layer) for makers in LAYERS.values() for make in makers for _, layer in make().named_layers()}
    theirs = {value for value in vars(nn).values() if inspect.isclass(value) and issubclass(value, nn.Layer)}
    assert theirs - {nn.Layer} <= ours


def passes(make, x, dy, backend, *, training):
    """The output, the gradients of input and parameters, and the buffers after both passes, on the host."""
    mc.seed(3)
    with use_backend("numpy"):
        layer = make().astype(dy.dtype)
    layer.to(backend)
    layer.train() if training else layer.eval()
    x, dy = to_backend(x, backend), to_backend(dy, backend)
    with strict_cupy.forbidding(*NO_WAITING):
        y = layer(x)
        dx = layer.backward(dy)
    grads = {name: to_host(parameter.grad) for name, parameter in layer.named_parameters().items()}
    buffers = {name: to_host(buffer.data) for name, buffer in layer.named_buffers().items()}
    return {"y": to_host(y), "dx": to_host(dx), **grads, **buffers}


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("make", "shape"), CASES)
def test_a_layer_is_the_same_as_on_numpy_and_waits_for_nothing(make, shape, dtype, training):
    x = normal(1, *shape, dtype=dtype)
    with use_backend("numpy"):
        mc.seed(3)
        layer = make().astype(dtype)
        if layer.takes_integers():
            x = (3 * np.abs(x)).astype(np.int64) % 9
        dy = normal(2, *layer(x).shape, dtype=dtype)
        want = passes(make, x, dy, "numpy", training=training)
    with device():
        got = passes(make, x, dy, "cupy", training=training)
    for name, value in want.items():
        scale = max(1.0, float(np.abs(value).max()))
        np.testing.assert_allclose(got[name], value, rtol=0, atol=200 * np.finfo(dtype).eps * scale, err_msg=name)
        assert got[name].dtype == value.dtype


@pytest.mark.parametrize("kind", [nn.LSTM, nn.SimpleRNN])
@pytest.mark.parametrize("return_sequences", [True, False])
def test_lengths_are_given_from_the_host_and_go_where_the_sequences_are(kind, return_sequences):
    def both_passes(backend):
        layer = kind(6, 4, return_sequences=return_sequences, rng=CounterRng(1)).to(backend)
        y = layer(to_backend(normal(1, *SEQUENCES, dtype=np.float32), backend), [2, 5, 1])
        dx = layer.backward(to_backend(normal(2, *y.shape, dtype=np.float32), backend))
        return [to_host(array) for array in (y, dx, *layer.dstate, *(p.grad for p in layer.parameters()))]

    with use_backend("numpy"):
        want = both_passes("numpy")
    with device():
        got = both_passes("cupy")
    for one, other in zip(got, want, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def vgg():
    """Two stages of VGG, with batch norm."""
    layers = []
    for before, channels in ((3, 8), (8, 16)):
        for last in (before, channels):
            layers += [nn.Conv2d(last, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * 8 * 8, 10))


NETWORKS = {
    "lenet": (lambda: mc.models.create("lenet", input_shape=(1, 28, 28), classes=10), (4, 1, 28, 28)),
    "vgg": (vgg, (4, 3, 32, 32)),
    "rows": (lambda: nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 10)), (5, 6)),
}
OPTIMIZERS = {
    "SGD": lambda parameters: mc.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "Adam": lambda parameters: mc.optim.Adam(parameters, lr=0.01),
    "AdamW": lambda parameters: mc.optim.AdamW(parameters, lr=0.01, weight_decay=0.1),
    "AdaGrad": lambda parameters: mc.optim.AdaGrad(parameters, lr=0.01, weight_decay=1e-3),
    "RMSprop": lambda parameters: mc.optim.RMSprop(parameters, lr=0.01, momentum=0.9, centered=True),
    "two groups": lambda parameters: mc.optim.Adam(
        [{"params": parameters[:2], "lr": 1e-3}, {"params": parameters[2:], "weight_decay": 1e-2}], lr=0.01
    ),
}


def steps(network, x, y, backend, optimizer, count, *, clip_norm=None):
    """Losses of some training steps, and the weights after them."""
    mc.seed(0)
    with use_backend("numpy"):
        model = network().astype(np.float64)
    model.to(backend)
    trainer = mc.Trainer(model, optimizer=OPTIMIZERS[optimizer](model.parameters()), clip_norm=clip_norm)
    x, y = to_backend(x, backend), to_backend(y, backend)
    losses = [trainer.train_step(x, y)[0]]  # what is set up once may be sent once
    with strict_cupy.forbidding(*NO_WAITING):
        losses += [trainer.train_step(x, y)[0] for _ in range(count - 1)]
    return [float(to_host(loss)) for loss in losses], {k: np.asarray(v) for k, v in model.state_dict().items()}


IN_TRAINING = [(name, optimizer) for name in ("lenet", "vgg") for optimizer in ("SGD", "Adam")]
IN_TRAINING += [("rows", optimizer) for optimizer in OPTIMIZERS]


@pytest.mark.parametrize(("name", "optimizer"), IN_TRAINING)
def test_a_training_step_neither_waits_nor_sends_anything(name, optimizer):
    network, shape = NETWORKS[name]
    x, y = normal(1, *shape), np.random.default_rng(0).integers(0, 10, size=shape[0])
    with use_backend("numpy"):
        want_losses, want = steps(network, x, y, "numpy", optimizer, 3, clip_norm=1.0)
    with device(), strict_cupy.without_guard_bands():
        losses, got = steps(network, x, y, "cupy", optimizer, 3, clip_norm=1.0)
    np.testing.assert_allclose(losses, want_losses, rtol=1e-9)
    for key, value in want.items():
        np.testing.assert_allclose(got[key], value, rtol=0, atol=1e-9, err_msg=key)


@pytest.mark.slow
def test_a_hundred_steps_are_those_of_numpy():
    def small():
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Dropout(0.25), nn.Linear(128, 10),
        )  # fmt: skip

    digits = mc.data.load("digits")
    x, y = digits.train.x[:16].astype(np.float64), digits.train.y[:16]
    with use_backend("numpy"):
        want_losses, want = steps(small, x, y, "numpy", "SGD", 100)
    with device(), strict_cupy.without_guard_bands():
        losses, got = steps(small, x, y, "cupy", "SGD", 100)
    assert want_losses[-1] < want_losses[0] / 10, "it has not learned, so that it says little"
    np.testing.assert_allclose(losses, want_losses, rtol=1e-7, atol=1e-9)
    for key, value in want.items():
        np.testing.assert_allclose(got[key], value, rtol=0, atol=1e-7, err_msg=key)


def test_masks_and_orders_are_the_same_on_all_backends():
    key, x = Key(2**63 + 5, 7, 2**40 + 1), np.ones((5, 7, 9), dtype=np.float32)
    masks, bits, orders = [], [], []
    for backend in ("numpy", "numba", "cupy"):
        with device() if backend == "cupy" else use_backend(backend):
            array = to_backend(x, backend)
            masks.append(to_host(ops.dropout_forward(array, p=0.3, key=key)[1]))
            bits.append(to_host(ops.random_bits(key, count=1003, like=array)))
            loader = mc.data.DataLoader((x[:, None], np.arange(5)), 2, shuffle=True, rng=CounterRng(1, 2))
            orders.append(np.concatenate([to_host(labels) for _, labels in loader]))
    for same in (masks, bits, orders):
        np.testing.assert_array_equal(same[1], same[0])
        np.testing.assert_array_equal(same[2], same[0])


def test_training_waits_once_an_epoch_and_sends_batches_alone():
    x, y = normal(0, 40, 1, 8, 8, dtype=np.float32), np.arange(40) % 10
    with device(), strict_cupy.without_guard_bands():
        model = mc.models.create("basic", input_shape=(1, 8, 8), classes=10).to("cupy")
        trainer = mc.Trainer(model)
        trainer.fit((x, y), epochs=1, batch_size=8, verbose=False)  # what is set up once
        counts = []
        for batch_size in (20, 4):  # 2 batches, 10 batches
            strict_cupy.counts.clear()
            trainer.fit((x, y), epochs=1, batch_size=batch_size, verbose=False)
            counts.append(dict(strict_cupy.counts))
    few, many = counts
    assert many["h2d"] - few["h2d"] == 2 * 8, "images and labels of 8 more batches"
    assert many.get("sync", 0) + many.get("d2h", 0) == few.get("sync", 0) + few.get("d2h", 0) <= 4


def test_a_host_array_among_the_devices_is_refused():
    with device():
        w = to_backend(normal(0, 4, 3), "cupy")
        with pytest.raises(mc.errors.DeviceError, match="same device"):
            ops.linear_forward(normal(1, 2, 3), w, None)
        with pytest.raises(TypeError, match=r"host|Unsupported type"):
            w + normal(1, 4, 3)


# Mistakes that a machine without a GPU must find: kernels with one change each, run in all orders of threads


SOURCE = mc.__path__[0] + "/kernels/cuda/kernels.cu"


def _logits():
    """Rows at very different heights: the maximum of another one would do otherwise."""
    return normal(1, 5, 300) + np.array([[900.0], [-900.0], [0.0], [900.0], [-900.0]])


def kernel_results(source, monkeypatch):
    """What reductions, batch norm, the loss, folding and the matrix product come to, with this source."""
    import minicnn.kernels.cuda.module as module

    class Changed:
        @staticmethod
        def read_text():
            return source

    monkeypatch.setattr(module, "SOURCE", Changed)
    x, logits = normal(0, 6, 3, 9, 9), _logits()
    send = lambda array: to_backend(array, "cupy")  # noqa: E731
    results = [
        *ops.batch_norm_forward(send(x), send(normal(2, 3)), send(normal(3, 3))),
        *ops.softmax_cross_entropy_forward(send(logits), send(np.arange(5))),
        ops.im2col(send(x), kernel=3, padding=1),
        module.matmul(send(normal(4, 33, 50)), send(normal(5, 50, 21))),
    ]
    return [to_host(result) for result in results]


def is_caught(source, monkeypatch):
    """Whether any order of threads gives other results than the unchanged kernels, or an error."""
    with use_backend("numpy"):
        x = normal(0, 6, 3, 9, 9)
        want = [
            *ops.batch_norm_forward(x, normal(2, 3), normal(3, 3)),
            *ops.softmax_cross_entropy_forward(_logits(), np.arange(5)),
            ops.im2col(x, kernel=3, padding=1),
            normal(4, 33, 50) @ normal(5, 50, 21),
        ]
    for order in strict_cupy.ORDERS:
        with device(), strict_cupy.threads_in_order(order):
            try:
                got = kernel_results(source, monkeypatch)
            except strict_cupy.KernelError:
                return True
        if not all(np.allclose(a, b, rtol=1e-9, atol=1e-9) for a, b in zip(got, want, strict=True)):
            return True
    return False


def barriers():
    """The source without one of its barriers, for each."""
    with open(SOURCE) as file:
        text = file.read()
    places = [match.span() for match in re.finditer(r"__syncthreads\(\);", text.partition("#define TILE")[0])]
    places += [match.span() for match in re.finditer(r"__syncthreads\(\);", text) if match.start() > places[-1][0]]
    return [pytest.param(text[:a] + text[b:], id=f"line {text[:a].count(chr(10)) + 1}") for a, b in places]


@pytest.mark.parametrize("source", barriers())
def test_a_missing_barrier_is_caught(source, monkeypatch):
    assert is_caught(source, monkeypatch)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("p * g.dilation_h;\n        const int column", "p * g.dilation_h + 1;\n        const int column"),
        ("x[(rest * g.h + row) * g.w + column]", "x[(rest * g.h + row) * g.w + column + 1]"),
        ("i < m; i += THREADS) sum += x", "i < m - 1; i += THREADS) sum += x"),
        ("k < classes; k += THREADS) sum += exp", "k <= classes; k += THREADS) sum += exp"),
        ("k < TILE; ++k) sum", "k < TILE - 1; ++k) sum"),
    ],
)
def test_an_index_that_is_off_by_one_is_caught(right, wrong, monkeypatch):
    with open(SOURCE) as file:
        text = file.read()
    assert right in text
    assert is_caught(text.replace(right, wrong, 1), monkeypatch)


def test_unchanged_kernels_are_not_complained_of(monkeypatch):
    with open(SOURCE) as file:
        assert not is_caught(file.read(), monkeypatch)
