"""SegNet: VGG-16 there and back; pooling remembers where the maxima stood, and unpooling puts them there.

Badrinarayanan, Kendall and Cipolla, "SegNet: a deep convolutional encoder-decoder architecture for image segmentation",
IEEE Transactions on Pattern Analysis and Machine Intelligence, 2017, figure 2.
"""

from minicnn.errors import ArgumentError, whole_number
from minicnn.models.parts import Image, conv_relu, convs, sides_of
from minicnn.models.vgg import CONVOLUTIONS
from minicnn.nn import Conv2d, Identity, Layer, PoolUnpool, Sequential

TIMES = (1, 2, 4, 8, 8)
"""The channels of VGG-16's stages, as multiples of the first one's."""


def segnet(*, input_shape: Image = (3, 352, 480), classes: int = 11, depth: int = 5, width: int = 64) -> Sequential:
    """(C, H, W) -> scores of the classes at every pixel, (classes, H, W).

    `depth` of VGG-16's five stages, the first of `width` channels, each followed by a halving; then the same stages
    backwards. No shortcut carries channels across: only the places of the maxima. Sides are multiples of 2^depth;
    the network takes images of other such sizes than it was built for. 29,441,419 parameters for three channels and
    eleven classes. The last of the 26 convolutions gives the scores, without batch norm.
    """
    depth, width = whole_number("segnet: depth", depth), whole_number("segnet: width", width)
    if depth > len(TIMES):
        raise ArgumentError(f"segnet: depth must be at most {len(TIMES)}, the stages of VGG-16, not {depth}")
    channels, _, _ = sides_of("segnet", input_shape, least=2**depth, multiple=2**depth)
    stages = [(times * width, count) for times, count in zip(TIMES, CONVOLUTIONS[16], strict=True)][:depth]
    return _stage(channels, stages, [Conv2d(width, classes, 3, padding=1)])


def _stage(before: int, stages: list[tuple[int, int]], last: list[Layer]) -> Sequential:
    """Convolutions to this stage's channels; what happens below, at half the size; as many back, ending with `last`."""
    (width, count), *deeper = stages
    below = _stage(width, deeper, conv_relu(deeper[0][0], width, batch_norm=True)) if deeper else Identity()
    return Sequential(
        {
            "encoder": convs(before, *[width] * count, batch_norm=True),
            "below": PoolUnpool(below),
            "decoder": Sequential(*convs(*[width] * count, batch_norm=True), *last),
        }
    )
