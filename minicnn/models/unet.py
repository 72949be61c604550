"""U-Net: a way down that sees more and more, and a way up that remembers where it was.

Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image segmentation", MICCAI 2015, figure 1.
"""

from minicnn.errors import whole_number
from minicnn.models.parts import Image, convs, sides_of
from minicnn.nn import Concat, Conv2d, ConvTranspose2d, Identity, MaxPool2d, Sequential


def unet(
    *,
    input_shape: Image = (1, 256, 256),
    classes: int = 2,
    depth: int = 4,
    width: int = 64,
    batch_norm: bool = False,
) -> Sequential:
    """(C, H, W) -> scores of the classes at every pixel, (classes, H, W).

    `depth` halvings; the first level has `width` channels and each one below twice as many. Figure 1 is depth 4 and
    width 64, with 31,030,658 parameters for one channel and two classes. Unlike there the convolutions are padded, so
    that the output is as large as the image and nothing is cropped. Sides are multiples of 2^depth; the network takes
    images of other such sizes than it was built for.
    """
    depth, width = whole_number("unet: depth", depth), whole_number("unet: width", width)
    channels, _, _ = sides_of("unet", input_shape, least=2**depth, multiple=2**depth)
    return Sequential({"levels": _level(channels, width, depth, batch_norm), "scores": Conv2d(width, classes, 1)})


def _level(before: int, width: int, below: int, batch_norm: bool) -> Sequential:
    """Two convolutions to `width` channels; all that happens below, beside what it began with; two convolutions."""
    down = convs(before, width, width, batch_norm=batch_norm)
    if below == 0:
        return down
    deeper = Sequential(
        MaxPool2d(2),
        _level(width, 2 * width, below - 1, batch_norm),
        ConvTranspose2d(2 * width, width, 2, stride=2),
    )
    up = convs(2 * width, width, width, batch_norm=batch_norm)
    return Sequential({"down": down, "skip": Concat(Identity(), deeper), "up": up})
