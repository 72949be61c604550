"""Average pooling, over windows and over whole channels, as students write it."""

import numpy as np

from mistakes.honest import add_windows, bordered, counts, pair, window_view
from mistakes.registry import mistake


def _shares(dy, kernel):
    """Every window's gradient, once for each of its pixels: (N, C, oh, ow, kh, kw)."""
    return np.broadcast_to(dy[..., None, None], (*dy.shape, *pair(kernel)))


@mistake("avg_pool2d_forward", "scale", where="y")
def adds_the_window_up(x, *, kernel, stride=None, padding=0):
    """Sums the window and forgets to divide by its number of pixels."""
    views = window_view(x, kernel, kernel if stride is None else stride, padding)
    return views.sum(axis=(4, 5))


@mistake("avg_pool2d_forward", "forward-differs", where="y", also=("ignores-argument",))
def divides_by_the_pixels_on_the_image(x, *, kernel, stride=None, padding=0):
    """Leaves the border out of the mean; in this engine its zeros count."""
    stride = kernel if stride is None else stride
    total = window_view(x, kernel, stride, padding).sum(axis=(4, 5))
    return total / window_view(np.ones_like(x), kernel, stride, padding).sum(axis=(4, 5))


@mistake("avg_pool2d_forward", "not-summed", where="y")
def averages_across_alone(x, *, kernel, stride=None, padding=0):
    """Takes the mean over the window's columns and forgets its rows."""
    return window_view(x, kernel, kernel if stride is None else stride, padding).mean(axis=-1)


@mistake("avg_pool2d_forward", "dtype", where="y")
def averages_into_double_precision(x, *, kernel, stride=None, padding=0):
    """Writes the means into np.zeros((n, c, oh, ow))."""
    (kh, kw), (sh, sw) = pair(kernel), pair(kernel if stride is None else stride)
    image = bordered(x, padding)
    y = np.zeros((*x.shape[:2], *counts(x.shape[2:], kernel, (sh, sw), padding)))
    for n, c, i, j in np.ndindex(*y.shape):
        y[n, c, i, j] = np.mean(image[n, c, i * sh : i * sh + kh, j * sw : j * sw + kw])
    return y


@mistake("avg_pool2d_backward", "scale", where="dx")
def everybody_gets_the_whole_gradient(dy, *, shape, kernel, stride=None, padding=0):
    """Forgets to divide by the number of pixels in a window."""
    return add_windows(_shares(dy, kernel), shape, kernel if stride is None else stride, padding)


@mistake("avg_pool2d_backward", "not-accumulated", where="dx")
def shares_overwrite(dy, *, shape, kernel, stride=None, padding=0):
    """Writes = where windows overlap."""
    (kh, kw), (sh, sw), (ph, pw) = pair(kernel), pair(kernel if stride is None else stride), pair(padding)
    dx = np.zeros((*shape[:2], shape[2] + 2 * ph, shape[3] + 2 * pw), dtype=dy.dtype)
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            share = dy[:, :, i, j] / (kh * kw)
            dx[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw] = share[:, :, None, None]
    return dx[:, :, ph : ph + shape[2], pw : pw + shape[3]]


@mistake("avg_pool2d_backward", "zero", where="dx")
def shares_added_to_a_copy(dy, *, shape, kernel, stride=None, padding=0):
    """Pads dx with np.pad, which copies, adds the shares to the copy, and returns dx."""
    (kh, kw), (sh, sw) = pair(kernel), pair(kernel if stride is None else stride)
    dx = np.zeros(shape, dtype=dy.dtype)
    padded = bordered(dx, padding)
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            window = padded[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw]
            window += dy[:, :, i, j, None, None] / (kh * kw)
    return dx


@mistake("avg_pool2d_backward", "shifted", where="dx", also=("ignores-argument",))
def shares_with_the_border_cut_off_behind(dy, *, shape, kernel, stride=None, padding=0):
    """Cuts the padded gradient to shape from its first row on, border and all."""
    (kh, kw), (ph, pw) = pair(kernel), pair(padding)
    n, c, h, w = shape
    padded = add_windows(_shares(dy / (kh * kw), kernel), (n, c, h + 2 * ph, w + 2 * pw), stride or kernel)
    return padded[:, :, :h, :w]


@mistake("avg_pool2d_backward", "ignores-argument", where="dx")
def shares_with_stride_one(dy, *, shape, kernel, stride=None, padding=0):
    """Forgets the factor `stride` in the place of a window."""
    kh, kw = pair(kernel)
    return add_windows(_shares(dy / (kh * kw), kernel), shape, 1, padding)


@mistake("global_avg_pool2d_forward", "not-summed", where="y")
def averages_down_alone(x):
    """Takes the mean over axis 2 and forgets axis 3: y is (N, C, W)."""
    return x.mean(axis=2)


@mistake("global_avg_pool2d_forward", "shape", where="y")
def leaves_the_pixels_axes_there(x):
    """Keeps two axes of length 1, as other libraries do."""
    return x.mean(axis=(2, 3), keepdims=True)


@mistake("global_avg_pool2d_forward", "scale", where="y")
def sums_whole_channels(x):
    """Adds a channel up with einsum, which sums and does not average."""
    return np.einsum("nchw->nc", x)


@mistake("global_avg_pool2d_forward", "wrong-cache", where="y")
def averages_the_first_image_for_all(x):
    """Writes x[0] inside the loop over n."""
    y = np.zeros(x.shape[:2], dtype=x.dtype)
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            y[n, c] = x[0, c].mean()
    return y


@mistake("global_avg_pool2d_backward", "scale", where="dx")
def every_pixel_gets_all(dy, *, shape):
    """Copies dy to every pixel, without the 1/(H*W) of the mean."""
    n, c, h, w = shape
    return np.repeat(dy, h * w, axis=1).reshape(n, c, h, w)


@mistake("global_avg_pool2d_backward", "transposed", where="dx")
def channels_and_images_change_places(dy, *, shape):
    """Flattens dy's transpose, so that pixel and channel get the gradients of others."""
    n, c, h, w = shape
    return np.repeat(dy.T.reshape(n, c), h * w, axis=1).reshape(n, c, h, w) / (h * w)


@mistake("global_avg_pool2d_backward", "dtype", where="dx")
def every_pixel_in_double_precision(dy, *, shape):
    """Multiplies by np.ones(shape), which is float64."""
    return dy[:, :, None, None] * np.ones(shape) / (shape[2] * shape[3])
