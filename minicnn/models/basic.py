"""The network to start with: two blocks of convolution, normalisation, ReLU and pooling, then one linear layer."""

from minicnn.models.parts import Image, sides_of
from minicnn.nn import BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Sequential


def basic(*, input_shape: Image = (1, 28, 28), classes: int = 10) -> Sequential:
    """(C, H, W) -> 16 maps of half the side -> 32 maps of a quarter -> scores of the classes."""
    channels, height, width = sides_of("basic", input_shape, least=4)
    return Sequential(
        Conv2d(channels, 16, 3, padding=1, bias=False),  # batch norm brings a shift of its own
        BatchNorm2d(16),
        ReLU(),
        MaxPool2d(2),
        Conv2d(16, 32, 3, padding=1, bias=False),
        BatchNorm2d(32),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Dropout(0.25),
        Linear(32 * (height // 4) * (width // 4), classes),
    )
