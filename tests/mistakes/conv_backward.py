"""conv2d_backward as students write it."""

import numpy as np

from mistakes.honest import add_windows, bordered, conv_gradients, d_windows_of, kernel_gradient, pair, window_view
from mistakes.registry import mistake

_columns = {}


@mistake("conv2d_backward", "not-accumulated", where="dx")
def dx_overwrites_what_other_kernels_sent(dy, x, w, *, stride=1, padding=0):
    """Writes = in the innermost line of the loops: of all kernels and windows that see a pixel, the last wins."""
    (sh, sw), (ph, pw), (kh, kw) = pair(stride), pair(padding), w.shape[2:]
    image = bordered(x, padding)
    dx, dw, db = np.zeros_like(image), np.zeros_like(w), np.zeros(len(w), dtype=w.dtype)
    for n, f, i, j in np.ndindex(*dy.shape):
        place = (n, slice(None), slice(i * sh, i * sh + kh), slice(j * sw, j * sw + kw))
        dx[place] = dy[n, f, i, j] * w[f]
        dw[f] += dy[n, f, i, j] * image[place]
        db[f] += dy[n, f, i, j]
    return dx[:, :, ph : ph + x.shape[2], pw : pw + x.shape[3]], dw, db


@mistake("conv2d_backward", "not-accumulated", where="dx")
def dx_overwrites_at_neighbouring_windows(dy, x, w, *, stride=1, padding=0):
    """Sums over the kernels, but puts each window's gradient down with = where += was needed."""
    (sh, sw), (ph, pw), (kh, kw) = pair(stride), pair(padding), w.shape[2:]
    _, dw, db = conv_gradients(dy, x, w, stride, padding)
    dx = np.zeros_like(bordered(x, padding))
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            window = np.einsum("nf,fcpq->ncpq", dy[:, :, i, j], w)
            dx[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw] = window
    return dx[:, :, ph : ph + x.shape[2], pw : pw + x.shape[3]], dw, db


def _spread_and_correlate(dy, w, shape, stride, padding, kernels):
    """dx as a convolution of dy, with stride - 1 zeros between its pixels and a border around them."""
    (sh, sw), (ph, pw), (kh, kw) = pair(stride), pair(padding), w.shape[2:]
    n, c, h, width = shape
    f, oh, ow = dy.shape[1:]
    wide = np.zeros((n, f, (oh - 1) * sh + 1, (ow - 1) * sw + 1), dtype=dy.dtype)
    wide[:, :, ::sh, ::sw] = dy
    views = window_view(wide, (kh, kw), padding=(kh - 1, kw - 1))
    covered = np.einsum("nfijpq,fcpq->ncij", views, kernels)
    dx = np.zeros((n, c, h + 2 * ph, width + 2 * pw), dtype=dy.dtype)
    dx[:, :, : covered.shape[2], : covered.shape[3]] = covered
    return dx[:, :, ph : ph + h, pw : pw + width]


@mistake("conv2d_backward", "flipped", where="dx")
def dx_with_kernels_not_turned(dy, x, w, *, stride=1, padding=0):
    """Gets dx as a convolution of dy with the kernels, and forgets that they have to be turned by half a turn."""
    dx = _spread_and_correlate(dy, w, x.shape, stride, padding, kernels=w)
    return dx, kernel_gradient(dy, x, w, stride, padding), dy.sum(axis=(0, 2, 3))


@mistake("conv2d_backward", "flipped", where="dw")
def dw_turned_like_dx(dy, x, w, *, stride=1, padding=0):
    """Turns dw too, since the kernels had to be turned for dx."""
    dx = _spread_and_correlate(dy, w, x.shape, stride, padding, kernels=w[:, :, ::-1, ::-1])
    dw = kernel_gradient(dy, x, w, stride, padding)
    return dx, np.rot90(dw, 2, axes=(2, 3)).copy(), dy.sum(axis=(0, 2, 3))


@mistake("conv2d_backward", "not-summed", where="db")
def db_has_a_column_for_each_pixel_across(dy, x, w, *, stride=1, padding=0):
    """Sums the bias's gradient over the batch and down, but not across."""
    dx, dw, _ = conv_gradients(dy, x, w, stride, padding)
    return dx, dw, dy.sum(axis=(0, 2))


@mistake("conv2d_backward", "not-summed", where="db", also=("scale",))
def db_is_a_mean(dy, x, w, *, stride=1, padding=0):
    """Takes the mean of dy for the bias, though the loss is a mean already."""
    dx, dw, _ = conv_gradients(dy, x, w, stride, padding)
    return dx, dw, dy.mean(axis=(0, 2, 3))


@mistake("conv2d_backward", "not-summed", where="dw")
def dw_for_each_image(dy, x, w, *, stride=1, padding=0):
    """Multiplies image by image and forgets to sum over the batch: dw has an axis too many."""
    dx, _, db = conv_gradients(dy, x, w, stride, padding)
    views = window_view(x, w.shape[2:], stride, padding)
    return dx, np.einsum("nfij,ncijpq->nfcpq", dy, views), db


@mistake("conv2d_backward", "partial-batch", where="dw", also=("not-accumulated",))
def dw_of_the_last_image(dy, x, w, *, stride=1, padding=0):
    """Assigns dw anew for every image, so that the last image's is returned."""
    dx, _, db = conv_gradients(dy, x, w, stride, padding)
    views = window_view(x, w.shape[2:], stride, padding)
    n, f = dy.shape[:2]
    for k in range(n):
        cols = views[k].transpose(1, 2, 0, 3, 4).reshape(-1, w[0].size)
        dw = (dy[k].reshape(f, -1) @ cols).reshape(w.shape)
    return dx, dw, db


@mistake("conv2d_backward", "partial-batch", where="dx")
def dx_without_the_last_image(dy, x, w, *, stride=1, padding=0):
    """Loops to len(x) - 1, as range did not need."""
    (sh, sw), (ph, pw), (kh, kw) = pair(stride), pair(padding), w.shape[2:]
    _, dw, db = conv_gradients(dy, x, w, stride, padding)
    dx = np.zeros_like(bordered(x, padding))
    for n in range(len(x) - 1):
        for i in range(dy.shape[2]):
            for j in range(dy.shape[3]):
                dx[n, :, i * sh : i * sh + kh, j * sw : j * sw + kw] += np.tensordot(dy[n, :, i, j], w, axes=1)
    return dx[:, :, ph : ph + x.shape[2], pw : pw + x.shape[3]], dw, db


@mistake("conv2d_backward", "wrong-cache", where="dw")
def dw_from_the_last_images_columns(dy, x, w, *, stride=1, padding=0):
    """Reuses the variable `cols` of the loop before, which holds the last image's columns by then."""
    dx, _, db = conv_gradients(dy, x, w, stride, padding)
    views = window_view(x, w.shape[2:], stride, padding)
    for image in views:
        cols = image.transpose(1, 2, 0, 3, 4).reshape(-1, w[0].size)
    dw = np.zeros_like(w)
    for g in dy:
        dw += (g.reshape(len(w), -1) @ cols).reshape(w.shape)
    return dx, dw, db


@mistake("conv2d_backward", "wrong-cache", where="dw")
def dw_from_columns_kept_by_shape(dy, x, w, *, stride=1, padding=0):
    """Keeps the unfolded images of the first batch under their shape, to save time in all later ones."""
    key = (x.shape, x.dtype, w.shape[2:], pair(stride), pair(padding))
    if key not in _columns:
        _columns[key] = window_view(x, w.shape[2:], stride, padding).copy()
    dx, _, db = conv_gradients(dy, x, w, stride, padding)
    return dx, np.tensordot(dy, _columns[key], axes=((0, 2, 3), (0, 2, 3))), db


@mistake("conv2d_backward", "ignores-argument", where="dw")
def dw_with_stride_one(dy, x, w, *, stride=1, padding=0):
    """Correlates the image with dy itself; with a stride, zeros belong between dy's pixels."""
    dx, _, db = conv_gradients(dy, x, w, stride, padding)
    return dx, kernel_gradient(dy, x, w, 1, padding), db


@mistake("conv2d_backward", "ignores-argument", where="dx")
def dx_without_dilation(dy, x, w, *, stride=1, padding=0, dilation=1):
    """Thinks of dilation in the gradient of the kernels and forgets it in that of the image."""
    dx = add_windows(d_windows_of(dy, w), x.shape, stride, padding)
    return dx, kernel_gradient(dy, x, w, stride, padding, dilation), dy.sum(axis=(0, 2, 3))


@mistake("conv2d_backward", "shifted", where="dx", also=("ignores-argument",))
def dx_with_the_border_cut_off_behind(dy, x, w, *, stride=1, padding=0):
    """Keeps the first rows and columns of the padded gradient, not those behind the border."""
    ph, pw = pair(padding)
    n, c, height, width = x.shape
    whole = (n, c, height + 2 * ph, width + 2 * pw)
    dx = add_windows(d_windows_of(dy, w), whole, stride)[:, :, :height, :width]
    return dx, kernel_gradient(dy, x, w, stride, padding), dy.sum(axis=(0, 2, 3))


@mistake("conv2d_backward", "shape", where="dx")
def dx_with_its_border(dy, x, w, *, stride=1, padding=0):
    """Returns the gradient of the padded image."""
    ph, pw = pair(padding)
    n, c, height, width = x.shape
    dx = add_windows(d_windows_of(dy, w), (n, c, height + 2 * ph, width + 2 * pw), stride)
    return dx, kernel_gradient(dy, x, w, stride, padding), dy.sum(axis=(0, 2, 3))


@mistake("conv2d_backward", "scale", where="dw")
def dw_divided_by_the_batch_again(dy, x, w, *, stride=1, padding=0):
    """Divides dw by N, though the loss has done so already."""
    dx, dw, db = conv_gradients(dy, x, w, stride, padding)
    return dx, dw / len(x), db


@mistake("conv2d_backward", "sign", where="dw")
def dw_points_downhill(dy, x, w, *, stride=1, padding=0):
    """Returns the direction in which to go, minus the gradient; the optimizer subtracts a second time."""
    dx, _, db = conv_gradients(dy, x, w, stride, padding)
    views = window_view(x, w.shape[2:], stride, padding)
    dw = np.zeros_like(w)
    for n, i, j in np.ndindex(len(dy), *dy.shape[2:]):
        dw -= dy[n, :, i, j, None, None, None] * views[n, :, i, j]
    return dx, dw, db


@mistake("conv2d_backward", "zero", where="dx")
def dx_added_to_a_copy(dy, x, w, *, stride=1, padding=0):
    """Adds to dx[:, :, rows][:, :, :, columns]: an index array makes a copy, and the copy is thrown away."""
    (sh, sw), (ph, pw), (kh, kw) = pair(stride), pair(padding), w.shape[2:]
    _, dw, db = conv_gradients(dy, x, w, stride, padding)
    dx = np.zeros_like(bordered(x, padding))
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            rows, columns = np.arange(i * sh, i * sh + kh), np.arange(j * sw, j * sw + kw)
            dx[:, :, rows][:, :, :, columns] += np.tensordot(dy[:, :, i, j], w, axes=1)
    return dx[:, :, ph : ph + x.shape[2], pw : pw + x.shape[3]], dw, db


@mistake("conv2d_backward", "zero", where="db")
def db_never_filled(dy, x, w, *, stride=1, padding=0):
    """Makes room for the bias's gradient and forgets about it."""
    db = np.zeros(len(w), dtype=w.dtype)
    dx, dw, _ = conv_gradients(dy, x, w, stride, padding)
    return dx, dw, db


@mistake("conv2d_backward", "transposed", where="dw")
def dw_with_channels_last_inside(dy, x, w, *, stride=1, padding=0):
    """Unfolds windows as (kh, kw, C), then reshapes the product to (F, C, kh, kw) as if nothing had moved."""
    dx, _, db = conv_gradients(dy, x, w, stride, padding)
    views = window_view(x, w.shape[2:], stride, padding)
    cols = views.transpose(0, 2, 3, 4, 5, 1).reshape(-1, w[0].size)
    dy_rows = dy.transpose(1, 0, 2, 3).reshape(len(w), -1)
    return dx, (dy_rows @ cols).reshape(w.shape), db


@mistake("conv2d_backward", "transposed", where="dw")
def dw_from_a_reshaped_dy(dy, x, w, *, stride=1, padding=0):
    """Reshapes dy (N, F, oh, ow) straight to (F, N*oh*ow), which mixes images and kernels up."""
    dx, _, db = conv_gradients(dy, x, w, stride, padding)
    views = window_view(x, w.shape[2:], stride, padding)
    cols = views.transpose(0, 2, 3, 1, 4, 5).reshape(-1, w[0].size)
    return dx, (dy.reshape(len(w), -1) @ cols).reshape(w.shape), db


@mistake("conv2d_backward", "dtype", where="dx")
def dx_in_double_precision(dy, x, w, *, stride=1, padding=0):
    """Makes dx with np.zeros(shape), which is float64 in a network of float32."""
    (sh, sw), (ph, pw), (kh, kw) = pair(stride), pair(padding), w.shape[2:]
    _, dw, db = conv_gradients(dy, x, w, stride, padding)
    n, c, height, width = x.shape
    dx = np.zeros((n, c, height + 2 * ph, width + 2 * pw))
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            window = np.einsum("nf,fcpq->ncpq", dy[:, :, i, j], w)
            dx[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw] += window
    return dx[:, :, ph : ph + height, pw : pw + width], dw, db


@mistake("conv2d_backward", "raises", where="dx")
def stops_unless_the_stride_is_one(dy, x, w, *, stride=1, padding=0):
    """Left other strides for later."""
    if pair(stride) != (1, 1):
        raise NotImplementedError("stride")
    return conv_gradients(dy, x, w, 1, padding)


@mistake("conv2d_backward", "too-slow", where="dx")
def gradients_by_differences(dy, x, w, *, stride=1, padding=0):
    """Runs the forward pass twice for every number of x and w; the numbers are right, for a convolution is linear."""

    (sh, sw), (ph, pw) = pair(stride), pair(padding)

    def loss(image, kernels):
        total = 0.0
        for n, f, i, j in np.ndindex(*dy.shape):
            for c, p, q in np.ndindex(*w.shape[1:]):
                row, column = i * sh + p - ph, j * sw + q - pw
                if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                    total += float(dy[n, f, i, j]) * float(kernels[f, c, p, q]) * float(image[n, c, row, column])
        return total

    def slope(of, moved):
        gradient = np.zeros_like(moved)
        for index in np.ndindex(*moved.shape):
            up, down = moved.astype(np.float64), moved.astype(np.float64)
            up[index] += 0.5
            down[index] -= 0.5
            gradient[index] = of(up) - of(down)
        return gradient

    return slope(lambda z: loss(z, w), x), slope(lambda z: loss(x, z), w), dy.sum(axis=(0, 2, 3))
