"""A LeNet with today's parts: ReLU, max pooling and dropout.

After LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998, figure 2, in
the wider form in which it serves as a first benchmark on MNIST.
"""

from minicnn.models.parts import Image, sides_of
from minicnn.nn import Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Sequential


def lenet(*, input_shape: Image = (1, 28, 28), classes: int = 10) -> Sequential:
    """(C, H, W) -> 32 maps of half the side -> 64 maps of a quarter -> 128 features -> scores of the classes."""
    channels, height, width = sides_of("lenet", input_shape, least=4)
    return Sequential(
        Conv2d(channels, 32, 3, padding=1),
        ReLU(),
        MaxPool2d(2),
        Conv2d(32, 64, 3, padding=1),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(64 * (height // 4) * (width // 4), 128),
        ReLU(),
        Dropout(0.5),
        Linear(128, classes),
    )
