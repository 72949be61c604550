"""VGG: nothing but 3 x 3 convolutions, deeper and deeper.

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015, table 1: its
columns A, B, D and E are `vgg11`, `vgg13`, `vgg16` and `vgg19`, and `vgg` is the same idea for small images.
"""

from minicnn.errors import whole_number
from minicnn.models.parts import Image, convs, sides_of
from minicnn.nn import Dropout, Flatten, Linear, MaxPool2d, ReLU, Sequential

CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Of each of the five stages."""


def vgg11(
    *, input_shape: Image = (3, 224, 224), classes: int = 1000, width: int = 64, batch_norm: bool = False
) -> Sequential:
    """Table 1, column A: 8 convolutions and 3 linear layers; 132,863,336 parameters (224 x 224, 1000 classes)."""
    return _vgg(11, input_shape, classes, width, batch_norm)


def vgg13(
    *, input_shape: Image = (3, 224, 224), classes: int = 1000, width: int = 64, batch_norm: bool = False
) -> Sequential:
    """Table 1, column B: 10 convolutions and 3 linear layers; 133,047,848 parameters (224 x 224, 1000 classes)."""
    return _vgg(13, input_shape, classes, width, batch_norm)


def vgg16(
    *, input_shape: Image = (3, 224, 224), classes: int = 1000, width: int = 64, batch_norm: bool = False
) -> Sequential:
    """Table 1, column D: 13 convolutions and 3 linear layers; 138,357,544 parameters (224 x 224, 1000 classes)."""
    return _vgg(16, input_shape, classes, width, batch_norm)


def vgg19(
    *, input_shape: Image = (3, 224, 224), classes: int = 1000, width: int = 64, batch_norm: bool = False
) -> Sequential:
    """Table 1, column E: 16 convolutions and 3 linear layers; 143,667,240 parameters (224 x 224, 1000 classes)."""
    return _vgg(19, input_shape, classes, width, batch_norm)


def _vgg(depth: int, input_shape: Image, classes: int, width: int, batch_norm: bool) -> Sequential:
    """(C, H, W) -> five stages of 1, 2, 4, 8, 8 times `width` maps, each half as large -> features -> scores.

    The two hidden layers have 64 times `width` features, 4096 as in the paper. The paper has no batch norm, and needs
    care to start; with `batch_norm` the deep ones learn from any start. Sides are at least 32 pixels.
    """
    channels, rows, columns = sides_of(f"vgg{depth}", input_shape, least=32)
    width = whole_number(f"vgg{depth}: width", width)
    stages, before = [], channels
    for count, times in zip(CONVOLUTIONS[depth], (1, 2, 4, 8, 8), strict=True):
        stages += [convs(before, *[times * width] * count, batch_norm=batch_norm), MaxPool2d(2)]
        before = times * width
    features = 64 * width
    return Sequential(
        {
            "features": Sequential(*stages),
            "flatten": Flatten(),
            "classifier": Sequential(
                *(Linear(before * (rows // 32) * (columns // 32), features), ReLU(), Dropout(0.5)),
                *(Linear(features, features), ReLU(), Dropout(0.5)),
                Linear(features, classes),
            ),
        }
    )


def vgg(*, input_shape: Image = (3, 32, 32), classes: int = 10, width: int = 64, stages: int = 3) -> Sequential:
    """(C, H, W) -> `width` maps, twice as many in each stage, which halves the sides -> scores of the classes.

    Two convolutions with batch norm a stage, and one linear layer. Sides are at least 2^stages pixels.
    1,187,274 parameters for (3, 32, 32) and ten classes.
    """
    stages, width = whole_number("vgg: stages", stages), whole_number("vgg: width", width)
    channels, rows, columns = sides_of("vgg", input_shape, least=2**stages)
    layers, before = [], channels
    for stage in range(stages):
        after = width * 2**stage
        layers += [*convs(before, after, after, batch_norm=True), MaxPool2d(2)]
        before = after
    return Sequential(*layers, Flatten(), Linear(before * (rows >> stages) * (columns >> stages), classes))
