"""Residual networks for small images: 6n + 2 layers in three stages.

He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, section 4.2 and table 6.
"""

from minicnn.errors import whole_number
from minicnn.models.parts import Image, chosen, sides_of
from minicnn.nn import (
    BatchNorm2d,
    Conv2d,
    GlobalAvgPool2d,
    Layer,
    Linear,
    ReLU,
    Residual,
    Sequential,
    ZeroPadShortcut,
)


def resnet20(
    *, input_shape: Image = (3, 32, 32), classes: int = 10, width: int = 16, shortcut: str = "A"
) -> Sequential:
    """6 * 3 + 2 layers; 269,722 parameters for (3, 32, 32) and ten classes."""
    return _resnet(20, input_shape, classes, width, shortcut)


def resnet32(
    *, input_shape: Image = (3, 32, 32), classes: int = 10, width: int = 16, shortcut: str = "A"
) -> Sequential:
    """6 * 5 + 2 layers; 464,154 parameters for (3, 32, 32) and ten classes."""
    return _resnet(32, input_shape, classes, width, shortcut)


def resnet44(
    *, input_shape: Image = (3, 32, 32), classes: int = 10, width: int = 16, shortcut: str = "A"
) -> Sequential:
    """6 * 7 + 2 layers; 658,586 parameters for (3, 32, 32) and ten classes."""
    return _resnet(44, input_shape, classes, width, shortcut)


def resnet56(
    *, input_shape: Image = (3, 32, 32), classes: int = 10, width: int = 16, shortcut: str = "A"
) -> Sequential:
    """6 * 9 + 2 layers; 853,018 parameters for (3, 32, 32) and ten classes."""
    return _resnet(56, input_shape, classes, width, shortcut)


def resnet110(
    *, input_shape: Image = (3, 32, 32), classes: int = 10, width: int = 16, shortcut: str = "A"
) -> Sequential:
    """6 * 18 + 2 layers; 1,727,962 parameters for (3, 32, 32) and ten classes."""
    return _resnet(110, input_shape, classes, width, shortcut)


def _resnet(depth: int, input_shape: Image, classes: int, width: int, shortcut: str) -> Sequential:
    """(C, H, W) -> `width` maps -> twice as many of half the side -> again -> their means -> scores of the classes.

    Where a stage begins, the shortcut drops every second pixel and fills up with channels of zeros ("A", as the paper
    has it for such images: no parameters), or is a 1 x 1 convolution with batch norm ("B"). Any size of image will do
    from 4 pixels on, and the network takes images of other sizes than it was built for.
    """
    name = f"resnet{depth}"
    channels, _, _ = sides_of(name, input_shape, least=4)
    chosen(name, "shortcut", shortcut, ("A", "B"))
    width, blocks = whole_number(f"{name}: width", width), (depth - 2) // 6
    return Sequential(
        {
            "stem": Sequential(*_conv(channels, width), ReLU()),
            "stage1": _stage(width, width, blocks, 1, shortcut),
            "stage2": _stage(width, 2 * width, blocks, 2, shortcut),
            "stage3": _stage(2 * width, 4 * width, blocks, 2, shortcut),
            "pool": GlobalAvgPool2d(),
            "classifier": Linear(4 * width, classes),
        }
    )


def _stage(before: int, after: int, blocks: int, stride: int, shortcut: str) -> Sequential:
    """Return blocks of which the first changes the channels and takes the stride."""
    layers = [*_block(before, after, stride, shortcut)]
    for _ in range(blocks - 1):
        layers += _block(after, after, 1, shortcut)
    return Sequential(*layers)


def _block(before: int, after: int, stride: int, shortcut: str) -> list[Layer]:
    """Figure 2: two convolutions and a way past them; the last ReLU follows the sum."""
    way: Layer | None = None
    if stride > 1 or before != after:
        way = ZeroPadShortcut(before, after, stride) if shortcut == "A" else _conv(before, after, stride, kernel=1)
    body = Sequential(*_conv(before, after, stride), ReLU(), *_conv(after, after))
    return [Residual(body, way), ReLU()]


def _conv(before: int, after: int, stride: int = 1, kernel: int = 3) -> Sequential:
    """Return a convolution and its batch norm."""
    return Sequential(
        Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False),
        BatchNorm2d(after),
    )
