"""A convolutional autoencoder, to be trained to give back what it was given, or the clean image of a noisy one.

Masci, Meier, Ciresan and Schmidhuber, "Stacked convolutional auto-encoders for hierarchical feature extraction", ICANN
2011; denoising after Vincent et al., "Extracting and composing robust features with denoising autoencoders", ICML 2008.
"""

from minicnn.errors import whole_number
from minicnn.models.parts import Image, sides_of
from minicnn.nn import Conv2d, ConvTranspose2d, Layer, ReLU, Sequential


def autoencoder(*, input_shape: Image = (1, 28, 28), depth: int = 2, width: int = 16, code: int = 8) -> Sequential:
    """(C, H, W) -> a code of (code, H / 2^depth, W / 2^depth) -> an image of (C, H, W).

    Convolutions with stride 2 halve the sides `depth` times (the first has `width` channels, each further one twice as
    many), a 1 x 1 convolution makes the code, and transposed convolutions go back. Their kernels of 4 are a multiple of
    the stride, so that every pixel is made of equally many terms and no checkerboard shows (Odena, Dumoulin and Olah,
    "Deconvolution and checkerboard artifacts", Distill 2016). The last layer is linear: train with `nn.MSELoss`.
    Sides are multiples of 2^depth. `model["encoder"](x)` is the code.
    """
    depth, width = whole_number("autoencoder: depth", depth), whole_number("autoencoder: width", width)
    code = whole_number("autoencoder: code", code)
    channels, _, _ = sides_of("autoencoder", input_shape, least=2**depth, multiple=2**depth)
    widths = [width * 2**level for level in range(depth)]
    encoder: list[Layer] = []
    for before, after in zip([channels, *widths], widths, strict=False):
        encoder += [Conv2d(before, after, 3, stride=2, padding=1), ReLU()]
    decoder: list[Layer] = [Conv2d(code, widths[-1], 1), ReLU()]
    for before, after in zip(reversed(widths), [*reversed(widths[:-1]), channels], strict=True):
        decoder += [ConvTranspose2d(before, after, 4, stride=2, padding=1), ReLU()]
    return Sequential(
        {
            "encoder": Sequential(*encoder, Conv2d(widths[-1], code, 1)),
            "decoder": Sequential(*decoder[:-1]),  # grey values may be any, also below zero
        }
    )
