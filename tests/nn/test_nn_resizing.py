"""ConvTranspose2d, Upsample, AdaptiveAvgPool2d, PoolUnpool and RoIMaxPool2d: PyTorch's, checked, refused, counted."""

import numpy as np
import pytest
from oracles import assert_close64, assert_layer_is_torch32, assert_layer_is_torch64, needs_torch, tensor, torch
from strategies import normal, spread

import minicnn as mc
from minicnn import nn, ops
from minicnn.errors import ArgumentError, DTypeError, ShapeError

T = torch.nn if torch is not None else None

pytestmark = pytest.mark.usefixtures("backend")

ROIS = np.array([[0, 1, 0, 9, 7], [1, 2, 2, 5, 3], [1, -3, 6, 30, 11]], dtype=np.float64)


def networks():
    """Every new layer, with its input."""
    return {
        "ConvTranspose2d": (nn.ConvTranspose2d(3, 2, 2, stride=2), ()),
        "ConvTranspose2d, all options": (nn.ConvTranspose2d(3, 6, (3, 2), (2, 3), 1, (1, 0), 3, True, (1, 2)), ()),
        "Upsample": (nn.Upsample(scale_factor=2), ()),
        "Upsample, bilinear": (nn.Upsample((5, 9), mode="bilinear"), ()),
        "AdaptiveAvgPool2d": (nn.AdaptiveAvgPool2d((3, 4)), ()),
        "PoolUnpool": (nn.PoolUnpool(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Tanh())), ()),
        "PoolUnpool, overlapping": (nn.PoolUnpool(nn.Conv2d(3, 3, 1), 3, 2), ()),
        "RoIMaxPool2d": (nn.RoIMaxPool2d((2, 3), spatial_scale=0.5), (ROIS,)),
    }


every_network = pytest.mark.parametrize("name", networks())


@every_network
def test_gradients_are_right(name):
    layer, context = networks()[name]
    report = mc.gradcheck(layer, normal(3, 2, 3, 6, 5), context=context)
    assert report.ok, report


@every_network
def test_float32_stays_float32_and_an_empty_batch_empty(name):
    layer, context = networks()[name]
    x = normal(3, 2, 3, 6, 5, dtype=np.float32)
    y = layer(x, *context)
    assert y.dtype == layer.backward(y).dtype == np.float32
    if context:
        context = (np.zeros((0, 5)),)
    y = layer(x[:0], *context)
    assert len(y) == 0
    assert layer.backward(y).shape == (0, *x.shape[1:])


def test_the_regions_of_a_detector_can_be_a_list_or_none_at_all():
    x = normal(0, 2, 3, 6, 5)
    layer = nn.RoIMaxPool2d(2)
    np.testing.assert_array_equal(layer(x, ROIS.tolist()), layer(x, ROIS))
    assert layer(x, []).shape == (0, 3, 2, 2)
    assert layer.backward(np.zeros((0, 3, 2, 2))).shape == x.shape


# PyTorch's


@needs_torch
@pytest.mark.parametrize(
    "arguments",
    [
        (3, 2, 2, 2),
        (4, 6, (3, 2), (2, 3), (1, 0), (1, 2), 2, False, (1, 2)),
        (3, 3, 3, 1, 1),
    ],
)
def test_conv_transpose2d_takes_pytorchs_arguments_in_pytorchs_order(arguments):
    pair = nn.ConvTranspose2d(*arguments), T.ConvTranspose2d(*arguments)
    assert_layer_is_torch64(*pair, normal(0, 2, arguments[0], 4, 5))
    pair = nn.ConvTranspose2d(*arguments), T.ConvTranspose2d(*arguments)
    assert_layer_is_torch32(*pair, normal(0, 2, arguments[0], 4, 5))


@needs_torch
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("arguments", [(None, 2), (None, (1, 3)), (7,), ((2, 9),)])
def test_upsample(mode, arguments):
    arguments = (*arguments, None)[:2]
    assert_layer_is_torch64(nn.Upsample(*arguments, mode), T.Upsample(*arguments, mode), normal(0, 2, 3, 4, 5))


@needs_torch
@pytest.mark.parametrize("size", [1, 3, (2, 7)])
def test_adaptive_avg_pool2d(size):
    assert_layer_is_torch64(nn.AdaptiveAvgPool2d(size), T.AdaptiveAvgPool2d(size), normal(0, 2, 3, 4, 5))


@needs_torch
def test_pool_unpool_is_pytorchs_pooling_and_unpooling_around_a_body():
    stage, body = nn.PoolUnpool(nn.Conv2d(3, 3, 3, padding=1)), T.Conv2d(3, 3, 3, padding=1).double()
    stage.body.load_state_dict(body.state_dict())
    stage.astype(np.float64)
    stage.body.load_state_dict(body.state_dict())
    x = spread(0, 2, 3, 7, 6)
    given = tensor(x).requires_grad_()
    pooled, indices = torch.nn.functional.max_pool2d(given, 2, return_indices=True)
    want = torch.nn.functional.max_unpool2d(body(pooled), indices, 2, output_size=x.shape[2:])
    dy = normal(1, *x.shape)
    want.backward(tensor(dy))
    assert_close64(stage(x), want.detach())
    assert_close64(stage.backward(dy), given.grad)
    assert_close64(stage.body.weight.grad, body.weight.grad)


# Sizes, fields and costs


def test_a_summary_counts_and_measures():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.PoolUnpool(nn.Conv2d(4, 4, 3, padding=1)),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.MaxPool2d(2),
        nn.ConvTranspose2d(4, 2, 2, stride=2),
        nn.Conv2d(2, 2, 3),
        nn.AdaptiveAvgPool2d(2),
    )
    rows = model.summary((1, 16, 12)).rows
    assert [row.name for row in rows][1:4] == ["1.pool", "1.body", "1.unpool"]
    large, small = (16, 12), (8, 6)
    sizes = [large, small, small, large, large, small, large, (14, 10), (2, 2)]
    assert [row.output_shape[1:] for row in rows] == sizes
    assert rows[6].multiply_adds == 4 * 2 * 4 * 8 * 6
    # 3, pooled 4, then 3 in steps of 2 give 8; back in steps of 1, 10; pooled 11; transposed the same; two halves more
    assert [row.field.height for row in rows[:8]] == [3, 4, 8, 8, 10, 11, 11, 13]


@pytest.mark.parametrize(("mode", "field"), [("nearest", "3 x 3"), ("bilinear", "4 x 4")])
def test_behind_upsampling_a_field_grows_by_fractions_and_is_shown_rounded_up(mode, field):
    convolutions = nn.Conv2d(1, 1, 2), nn.Conv2d(1, 1, 3)  # 2 1/2 pixels, or 3 1/2
    model = nn.Sequential(nn.Upsample(scale_factor=2, mode=mode), *convolutions)
    assert str(model.summary((1, 8, 8)).rows[-1].field) == field


@pytest.mark.parametrize(("mode", "reach"), [("nearest", 3), ("bilinear", 4)])
def test_that_field_is_what_an_output_can_depend_on(mode, reach):
    model = nn.Sequential(nn.Upsample(scale_factor=2, mode=mode), nn.Conv2d(1, 1, 5, init=nn.init.constant(1.0)))
    widest = 0
    for row in range(4, 10):
        dy = np.zeros_like(model(np.zeros((1, 1, 12, 12), dtype=np.float32)))
        dy[0, 0, row, 10] = 1
        widest = max(widest, int((model.backward(dy)[0, 0].sum(axis=1) != 0).sum()))
    assert widest == reach


def test_transposed_convolution_of_a_strided_one_gives_the_size_back():
    for height in range(5, 12):
        x = normal(0, 1, 2, height, 9)
        down = nn.Conv2d(2, 3, 3, stride=2, padding=1).astype(np.float64)
        small = down(x)
        extra = height - ((small.shape[2] - 1) * 2 - 2 + 3)
        up = nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1, output_padding=(extra, 0)).astype(np.float64)
        assert up(small).shape == x.shape


# What trains with them


def test_the_gradient_of_the_input_is_left_out_where_nobody_needs_it():
    asked = []

    def spy(dy, x, w, *, need_dx, **options):
        asked.append(need_dx)
        return ops.conv_transpose2d_backward.body(dy, x, w, need_dx=need_dx, **options)

    model = nn.Sequential(nn.ConvTranspose2d(1, 2, 2, stride=2), nn.ConvTranspose2d(2, 1, 2))
    y = model(normal(0, 2, 1, 3, 3, dtype=np.float32))
    with mc.plug(conv_transpose2d_backward=spy), nn.without_input_gradient(model):
        assert model.backward(y) is None
    assert asked == [True, False]


def test_a_students_convolution_is_what_a_transposed_one_goes_back_through():
    used = []

    def mine(x, w, b, **options):
        used.append(x.shape)
        return ops.conv2d_forward.body(x, w, b, **options)

    layer = nn.ConvTranspose2d(2, 3, 2, stride=2)
    y = layer(normal(0, 2, 2, 3, 3, dtype=np.float32))
    with mc.plug(conv2d_forward=mine):
        layer.backward(y)
    assert used == [y.shape]


# What is refused


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: nn.ConvTranspose2d(4, 6, 3, groups=3), "4 channels in and 6 out do not divide into 3 groups"),
        (lambda: nn.ConvTranspose2d(4, 6, 3, 2, 0, 2), "output_padding 2 must be less than the stride 2"),
        (lambda: nn.ConvTranspose2d(4, 6, 3, padding="same"), "padding must be a whole number or a pair"),
        (lambda: nn.ConvTranspose2d(0, 6, 3), "in_channels must be a whole number of at least 1, not 0"),
        (lambda: nn.Upsample(), "give size or scale_factor, one of them, not neither"),
        (lambda: nn.Upsample(4, 2), "give size or scale_factor, one of them, not both"),
        (lambda: nn.Upsample(scale_factor=1.5), "scale_factor must be a whole number or a pair"),
        (lambda: nn.Upsample(scale_factor=0), "scale_factor must be at least 1"),
        (lambda: nn.Upsample(4, mode="cubic"), "mode must be one of 'nearest', 'bilinear', not 'cubic'"),
        (lambda: nn.AdaptiveAvgPool2d(0), "output_size must be at least 1"),
        (lambda: nn.PoolUnpool(nn.ReLU), r"body is the class ReLU; build one: ReLU\(...\)"),
        (lambda: nn.RoIMaxPool2d(0), "output_size must be at least 1"),
        (lambda: nn.RoIMaxPool2d(2, spatial_scale=-1), "spatial_scale must be a positive number, not -1"),
        (lambda: nn.RoIMaxPool2d(2, "1/16"), "spatial_scale must be a positive number, not '1/16'"),
    ],
)
def test_arguments_without_meaning_are_refused(build, message):
    with pytest.raises(ArgumentError, match=message):
        build()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.ConvTranspose2d(3, 2, 2), (1, 2, 4, 4), r"ConvTranspose2d\(3, 2, 2\): x has 2 channels, expected 3"),
        (
            nn.ConvTranspose2d(3, 2, 2, padding=3),
            (1, 3, 4, 4),
            r"padding=3\): an image of 4 x 4 .*become -1 x -1",
        ),
        (nn.Upsample(3), (3, 4, 4), r"Upsample\(size=3, mode='nearest'\): x has shape \(3, 4, 4\)"),
        (nn.Upsample(scale_factor=(2, 1)), (1, 3, 0, 4), r"scale_factor=\(2, 1\).*0 x 4 pixels has none to repeat"),
        (nn.AdaptiveAvgPool2d(2), (1, 3, 0, 4), r"AdaptiveAvgPool2d\(2\): an image of 0 x 4 pixels has no mean"),
        (nn.PoolUnpool(nn.Conv2d(3, 4, 1)), (1, 3, 4, 4), r"the body made \(1, 4, 2, 2\) of \(1, 3, 2, 2\)"),
        (nn.PoolUnpool(nn.ReLU(), 5), (1, 3, 4, 4), "window of 5 x 5 pixels does not fit"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(layer, shape, message):
    with pytest.raises(ShapeError, match=message):
        layer(np.ones(shape, dtype=np.float32))


def test_regions_that_cannot_be_name_layer_and_region():
    x, layer = np.ones((2, 1, 4, 4), dtype=np.float32), nn.RoIMaxPool2d(2, spatial_scale=0.5)
    with pytest.raises(ShapeError, match=r"RoIMaxPool2d\(2, spatial_scale=0.5\): rois\[0\] = .*not there"):
        layer(x, [[3, 0, 0, 1, 1]])
    with pytest.raises(ArgumentError, match=r"rois\[1\] = \[1.0, 3.0, 0.0, 1.0, 1.0\] ends before it begins"):
        layer(x, [[1, 0, 0, 1, 1], [1, 3, 0, 1, 1]])
    with pytest.raises(ShapeError, match=r"rois \(R, 5\)"):
        layer(x, [[0, 0, 1, 1]])
    with pytest.raises(DTypeError, match="x is dtype int64"):
        layer(np.ones((1, 1, 4, 4), dtype=int), ROIS)
