"""LeNet-5, with the parts of its time: tanh and averages.

LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of the IEEE,
1998, figure 2 and section II.B.
"""

from minicnn.errors import whole_number
from minicnn.models.parts import Image, sides_of
from minicnn.nn import AvgPool2d, Conv2d, Flatten, Linear, Sequential, Tanh, init


def lenet5(*, input_shape: Image = (1, 32, 32), classes: int = 10, padding: int = 0) -> Sequential:
    """(C, H, W) -> 6 maps -> 16 maps -> 120 -> 84 features -> scores of the classes.

    61,706 parameters for (1, 32, 32) and ten classes. `padding` zeros around the image make smaller ones large enough:
    2 for MNIST's 28 x 28, which the paper too puts into 32 x 32. Sides with padding are at least 16 pixels.

    The form in which it is built today. The paper's C3 sees 3 to 6 of the six maps before it (table I, 1,516 parameters
    where all of them make 2,416); its S2 and S4 scale and shift each map's averages (12 and 32 parameters) before the
    nonlinearity; that one is 1.7159 tanh(2 a / 3); and its last layer measures distances to bitmaps of the digits.
    """
    padding = whole_number("lenet5: padding", padding, least=0)
    channels, height, width = sides_of("lenet5", input_shape, least=max(1, 16 - 2 * padding))
    rows, columns = (((side + 2 * padding - 4) // 2 - 4) // 2 for side in (height, width))

    def conv(before: int, after: int, padding: int = 0) -> Conv2d:
        return Conv2d(before, after, 5, padding=padding, init=init.xavier_uniform)

    def linear(before: int, after: int) -> Linear:
        return Linear(before, after, init=init.xavier_uniform)

    return Sequential(
        {
            "C1": conv(channels, 6, padding),
            "tanh1": Tanh(),
            "S2": AvgPool2d(2),
            "C3": conv(6, 16),
            "tanh3": Tanh(),
            "S4": AvgPool2d(2),
            "flatten": Flatten(),
            "C5": linear(16 * rows * columns, 120),  # the paper's 5 x 5 convolution of 5 x 5 maps
            "tanh5": Tanh(),
            "F6": linear(120, 84),
            "tanh6": Tanh(),
            "output": linear(84, classes),
        }
    )
