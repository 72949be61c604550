"""AlexNet, the network that won ImageNet in 2012.

Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", NIPS 2012, figure
2, in the form for one GPU that Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014,
gave it: 64 and 192 kernels first, no groups, no local response normalisation. It is the one in torchvision.
"""

import math
from numbers import Real

from minicnn.errors import ArgumentError
from minicnn.models.parts import Image, sides_of
from minicnn.nn import Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Sequential

LARGE = 63
"""From this side on the first layer takes steps of 4 pixels: fewer leave nothing for the last pooling."""


def alexnet(*, input_shape: Image = (3, 224, 224), classes: int = 1000, width: float = 1.0) -> Sequential:
    """(C, H, W) -> 64 -> 192 -> 384 -> 256 -> 256 maps -> 4096 -> 4096 features -> scores of the classes.

    61,100,840 parameters for (3, 224, 224), 1000 classes and width 1. `width` multiplies all channels and features.
    Images with a side below 63 pixels (CIFAR's 32, say; at least 15) get a first layer of 5 x 5 kernels in steps of one
    pixel, where larger ones get 11 x 11 in steps of 4.
    """
    channels, *sides = sides_of("alexnet", input_shape, least=15)
    if not isinstance(width, Real) or not 0 < width < math.inf:
        raise ArgumentError(f"alexnet: width must be a number above 0, not {width!r}")
    a, b, c, d, features = (max(1, round(width * maps)) for maps in (64, 192, 384, 256, 4096))
    large = min(sides) >= LARGE
    if large:
        first, sides = Conv2d(channels, a, 11, stride=4, padding=2), [(side - 7) // 4 + 1 for side in sides]
    else:
        first = Conv2d(channels, a, 5, padding=2)
    for _ in range(3):  # poolings
        sides = [(side - 3) // 2 + 1 for side in sides]
    return Sequential(
        {
            "features": Sequential(
                *(first, ReLU(), MaxPool2d(3, 2)),
                *(Conv2d(a, b, 5, padding=2), ReLU(), MaxPool2d(3, 2)),
                *(Conv2d(b, c, 3, padding=1), ReLU()),
                *(Conv2d(c, d, 3, padding=1), ReLU()),
                *(Conv2d(d, d, 3, padding=1), ReLU(), MaxPool2d(3, 2)),
            ),
            "flatten": Flatten(),
            "classifier": Sequential(
                *(Dropout(0.5), Linear(d * sides[0] * sides[1], features), ReLU()),
                *(Dropout(0.5), Linear(features, features), ReLU()),
                Linear(features, classes),
            ),
        }
    )
