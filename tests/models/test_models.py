"""The known networks: their sizes by hand and by the literature, what goes in and out, and that they learn."""

import inspect

import numpy as np
import pytest

import minicnn as mc
from minicnn import models, nn
from minicnn.errors import ArgumentError

# Convolutions: in * out * 3 * 3 weights (+ out biases in lenet). Batch norm: 2 a channel. Linear: in * out + out.
BY_HAND = {
    ("basic", (1, 8, 8)): 144 + 32 + 4608 + 64 + (32 * 2 * 2 * 10 + 10),
    ("basic", (1, 28, 28)): 144 + 32 + 4608 + 64 + (32 * 7 * 7 * 10 + 10),
    ("basic", (3, 32, 32)): 432 + 32 + 4608 + 64 + (32 * 8 * 8 * 10 + 10),
    ("lenet", (1, 8, 8)): 320 + 18496 + (64 * 2 * 2 * 128 + 128) + 1290,
    ("lenet", (1, 28, 28)): 320 + 18496 + (64 * 7 * 7 * 128 + 128) + 1290,
    ("lenet", (3, 32, 32)): 896 + 18496 + (64 * 8 * 8 * 128 + 128) + 1290,
    ("lenet5", (1, 32, 32)): 156 + 2416 + 48120 + 10164 + 850,
    ("vgg", (3, 32, 32)): 9 * (3 * 64 + 64 * 64 + 64 * 128 + 128 * 128 + 128 * 256 + 256 * 256) + 4 * 448 + 40970,
}
PUBLISHED = {  # of torchvision for 1000 classes, and of He et al., table 6 (in millions)
    "alexnet": 61_100_840,
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "resnet20": 0.27e6,
    "resnet32": 0.46e6,
    "resnet44": 0.66e6,
    "resnet56": 0.85e6,
    "resnet110": 1.7e6,
}
COUNTED = {  # in what the functions' docstrings say; PyTorch counts the same in test_models_torch.py
    "unet": 31_030_658,
    "segnet": 29_441_419,
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet44": 658_586,
    "resnet56": 853_018,
    "resnet110": 1_727_962,
    "vgg": 1_187_274,
}
SMALL = {  # what each takes that is quick
    "basic": ((2, 9, 14), {}),
    "lenet": ((2, 9, 14), {}),
    "lenet5": ((2, 17, 20), {}),
    "alexnet": ((2, 15, 32), {"width": 0.05}),
    "vgg": ((2, 9, 14), {"width": 4}),
    **{f"vgg{depth}": ((2, 32, 67), {"width": 2, "batch_norm": True}) for depth in (11, 13, 16, 19)},
    **{f"resnet{depth}": ((2, 9, 14), {"width": 4}) for depth in (20, 32, 44, 56, 110)},
    "unet": ((2, 8, 16), {"depth": 3, "width": 3}),
    "segnet": ((2, 8, 16), {"depth": 3, "width": 3}),
    "autoencoder": ((2, 8, 12), {"width": 4}),
}


def count(name, *given, **options):
    with nn.init.undrawn():
        return sum(parameter.data.size for parameter in models.create(name, *given, **options).parameters())


def small(name, classes=7, **more):
    shape, options = SMALL[name]
    if name in models.CLASSIFIERS or name in models.SEGMENTERS:
        more["classes"] = classes
    return models.create(name, shape, **options, **more), shape


# Sizes


@pytest.mark.parametrize(("name", "shape"), BY_HAND)
def test_it_has_as_many_parameters_as_worked_out_by_hand(name, shape):
    assert count(name, shape, 10) == BY_HAND[name, shape]


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_has_as_many_parameters_as_published(name):
    published = PUBLISHED[name]
    assert count(name) == (published if isinstance(published, int) else pytest.approx(published, rel=0.02))


@pytest.mark.parametrize("name", COUNTED)
def test_its_docstring_says_how_many_parameters_it_has(name):
    assert count(name) == COUNTED[name]
    assert f"{COUNTED[name]:,}" in models.MODELS[name].__doc__


def test_the_autoencoder_has_as_many_parameters_as_worked_out_by_hand():
    down = 9 * (3 * 4 + 4 * 8 + 8 * 16) + 4 + 8 + 16
    code = (16 * 5 + 5) + (5 * 16 + 16)
    up = 16 * (16 * 8 + 8 * 4 + 4 * 3) + 8 + 4 + 3
    assert count("autoencoder", (3, 16, 8), depth=3, width=4, code=5) == down + code + up


@pytest.mark.parametrize(("depth", "blocks"), [(20, 3), (32, 5), (44, 7), (56, 9), (110, 18)])
@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_a_resnet_has_as_many_layers_and_parameters_as_worked_out_by_hand(depth, blocks, shortcut):
    convolutions = 3 * 16 + 2 * blocks * (16**2 + 32**2 + 64**2) - 16 * 32 - 32 * 64  # stages begin with fewer channels
    norms = 2 * (16 + 2 * blocks * (16 + 32 + 64))
    projections = {"A": 0, "B": 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64}[shortcut]
    assert count(f"resnet{depth}", shortcut=shortcut) == 9 * convolutions + norms + 65 * 10 + projections
    with nn.init.undrawn():
        layers = [layer for _, layer in models.create(f"resnet{depth}", shortcut=shortcut).named_layers()]
    of_the_path = [layer for layer in layers if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)]
    assert len(of_the_path) + sum(isinstance(layer, nn.Linear) for layer in layers) == depth


@pytest.mark.parametrize("depth", [11, 13, 16, 19])
def test_a_vgg_is_called_by_its_layers_with_weights(depth):
    with nn.init.undrawn():
        layers = [layer for _, layer in models.create(f"vgg{depth}").named_layers()]
    assert sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in layers) == depth


def test_counting_draws_and_writes_nothing():
    with nn.init.undrawn():
        model = models.create("vgg19")
    assert not model["classifier"][0].weight.data[::512, ::512].any()


# What goes in and comes out


@pytest.mark.parametrize("name", models.MODELS)
def test_images_become_scores_and_gradients_come_back(name):
    model, shape = small(name)
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    y = model(x)
    want = (3, 7) if name in models.CLASSIFIERS else (3, 7 if name in models.SEGMENTERS else shape[0], *shape[1:])
    assert (y.shape, y.dtype) == (want, np.float32)
    dx = model.backward(np.ones_like(y))
    assert (dx.shape, dx.dtype) == (x.shape, x.dtype)
    assert all(np.isfinite(parameter.grad).all() for parameter in model.parameters())


@pytest.mark.parametrize("name", models.MODELS)
def test_a_few_steps_lower_the_loss(name):
    mc.seed(1)
    model, shape = small(name, classes=3)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, *shape)).astype(np.float32)
    loss = nn.MSELoss() if name == "autoencoder" else nn.CrossEntropyLoss()
    if name == "autoencoder":
        y = x
    elif name in models.SEGMENTERS:
        y = (x > 0).sum(axis=1)  # of the two channels, at every pixel
    else:
        y = rng.integers(0, 3, size=6)
    for _, layer in model.named_layers():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0  # the same network in all steps
    trainer = mc.Trainer(model, loss=loss, optimizer=mc.optim.Adam(model.parameters(), lr=3e-3))
    losses = [float(trainer.train_step(x, y)[0]) for _ in range(8)]
    assert min(losses[-2:]) < 0.95 * losses[0], losses


@pytest.mark.parametrize(
    ("name", "first"),
    [("alexnet", 256 * 6 * 6), ("vgg16", 512 * 7 * 7)],
)
def test_large_images_shrink_to_what_the_papers_say(name, first):
    with nn.init.undrawn():
        assert models.create(name)["classifier"][1 if name == "alexnet" else 0].weight.data.shape == (4096, first)


@pytest.mark.parametrize("side", [62, 63, 64, 99])
def test_alexnet_changes_its_first_layer_where_steps_of_four_leave_enough(side):
    model = models.create("alexnet", (1, side, side), 5, width=0.02).eval()
    assert model["features"][0].stride == ((1, 1) if side < 63 else (4, 4))
    assert model(np.zeros((1, 1, side, side), dtype=np.float32)).shape == (1, 5)


def test_lenet5_takes_mnists_images_in_a_border_as_the_paper_does():
    assert count("lenet5", (1, 28, 28), padding=2) == 61_706
    model = models.create("lenet5", (1, 8, 8), padding=4)
    assert model(np.zeros((1, 1, 8, 8), dtype=np.float32)).shape == (1, 10)


def test_a_resnet_takes_images_of_other_sizes_than_it_was_built_for():
    model = models.create("resnet20", (1, 8, 8), 5, width=2).eval()
    for side in (4, 7, 40):
        assert model(np.zeros((1, 1, side, side + 1), dtype=np.float32)).shape == (1, 5)


@pytest.mark.parametrize("name", ["unet", "segnet", "autoencoder"])
def test_images_of_other_sizes_come_back_in_theirs(name):
    model, (channels, *_) = small(name)
    for height, width in ((8, 8), (24, 16)):
        y = model.eval()(np.zeros((1, channels, height, width), dtype=np.float32))
        assert y.shape[2:] == (height, width)


def test_the_autoencoders_code_is_as_small_as_asked_for():
    model = models.create("autoencoder", (1, 28, 20), depth=2, width=4, code=3)
    x = np.zeros((2, 1, 28, 20), dtype=np.float32)
    code = model["encoder"](x)
    assert code.shape == (2, 3, 7, 5)
    np.testing.assert_array_equal(model["decoder"](code), model(x))


def test_the_lenet_for_mnist_is_the_benchmarks():
    kinds = [type(layer).__name__ for layer in models.create("lenet", input_shape=(1, 28, 28), classes=10)]
    assert " ".join(kinds) == "Conv2d ReLU MaxPool2d Conv2d ReLU MaxPool2d Flatten Linear ReLU Dropout Linear"


def test_the_same_seed_builds_the_same_network():
    def built(seed):
        mc.seed(seed)
        return models.create("basic", input_shape=(1, 8, 8), classes=10).state_dict()

    assert all((built(4)[name] == value).all() for name, value in built(4).items())
    assert (built(4)["0.weight"] != built(5)["0.weight"]).any()


# What is refused


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ArgumentError, match="no model 'googlenet'; the models are 'basic', 'lenet', 'lenet5'"):
        models.create("googlenet", input_shape=(1, 8, 8), classes=10)


def test_an_unknown_option_lists_the_known_ones():
    with pytest.raises(ArgumentError, match="resnet20 has no option 'widht'; it has 'input_shape', 'classes', 'width'"):
        models.create("resnet20", widht=3)


def test_options_have_values_that_make_sense():
    with pytest.raises(ArgumentError, match="resnet20: shortcut must be 'A' or 'B', not 'C'"):
        models.create("resnet20", shortcut="C")
    with pytest.raises(ArgumentError, match="resnet32: width must be a whole number of at least 1, not 0"):
        models.create("resnet32", width=0)
    with pytest.raises(ArgumentError, match="vgg: stages must be a whole number of at least 1, not 0"):
        models.create("vgg", stages=0)
    with pytest.raises(ArgumentError, match="alexnet: width must be a number above 0, not -1"):
        models.create("alexnet", width=-1)
    with pytest.raises(ArgumentError, match="lenet5: padding must be a whole number of at least 0, not -1"):
        models.create("lenet5", padding=-1)


@pytest.mark.parametrize(
    ("name", "least"),
    [("basic", 4), ("lenet", 4), ("lenet5", 16), ("alexnet", 15), ("vgg", 8), ("vgg16", 32), ("resnet56", 4)],
)
def test_an_image_too_small_for_the_network_is_refused(name, least):
    small = {"width": 1} if "width" in inspect.signature(models.MODELS[name]).parameters else {}
    small = {"width": 0.01} if name == "alexnet" else small
    with pytest.raises(ArgumentError, match=rf"{name}: input_shape must be .* at least {least} pixels, not \(1, "):
        models.create(name, (1, least - 1, 64), **small)
    model = models.create(name, (1, least, least), 3, **small).eval()
    assert model(np.zeros((1, 1, least, least), dtype=np.float32)).shape == (1, 3)


@pytest.mark.parametrize("name", ["unet", "segnet", "autoencoder"])
def test_sides_that_cannot_be_halved_so_often_are_refused(name):
    with pytest.raises(
        ArgumentError, match=rf"{name}: .* at least 8 pixels that are multiples of 8, not \(1, 16, 20\)"
    ):
        models.create(name, (1, 16, 20), depth=3)


def test_segnet_has_five_stages():
    with pytest.raises(ArgumentError, match="segnet: depth must be at most 5, the stages of VGG-16, not 6"):
        models.create("segnet", depth=6)


def test_the_autoencoder_has_no_classes():
    with pytest.raises(ArgumentError, match="autoencoder has no option 'classes'; it has 'input_shape', 'depth'"):
        models.create("autoencoder", classes=3)


@pytest.mark.parametrize("shape", [(8, 8), 8, (0, 8, 8), ("C", 8, 8)])
def test_an_input_shape_that_is_none_is_refused(shape):
    with pytest.raises(ArgumentError, match=r"basic: input_shape must be \(C, H, W\)"):
        models.create("basic", shape)


def test_create_gives_a_chain_that_can_be_taken_apart():
    assert isinstance(models.create("basic", input_shape=(1, 8, 8), classes=10)[:4], nn.Sequential)
