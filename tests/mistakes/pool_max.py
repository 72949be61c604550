"""max_pool2d_forward and max_pool2d_backward as students write them."""

import numpy as np

from mistakes.honest import bordered, counts, pair, window_view
from mistakes.registry import mistake


def _windows_in_rows(x, kernel, stride, padding, border=-np.inf):
    """Every window in one row: (N, C, oh, ow, kh*kw)."""
    views = window_view(x, kernel, kernel if stride is None else stride, padding, value=border)
    return views.reshape(*views.shape[:4], -1)


@mistake("max_pool2d_forward", "forward-differs", where="y")
def pads_with_zeros(x, *, kernel, stride=None, padding=0):
    """Pads with zeros, which are larger than the negative numbers at the image's edge; minus infinity is right."""
    rows = _windows_in_rows(x, kernel, stride, padding, border=0)
    return rows.max(axis=-1), rows.argmax(axis=-1)


@mistake("max_pool2d_forward", "forward-differs", where="y")
def starts_the_search_at_zero(x, *, kernel, stride=None, padding=0):
    """Starts with "the largest so far is 0", so that a window of negative numbers gives 0."""
    (kh, kw), (sh, sw) = pair(kernel), pair(kernel if stride is None else stride)
    oh, ow = counts(x.shape[2:], kernel, (sh, sw), padding)
    image = bordered(x, padding, -np.inf)
    y = np.zeros((*x.shape[:2], oh, ow), dtype=x.dtype)
    argmax = np.zeros(y.shape, dtype=int)
    for n, c, i, j in np.ndindex(*y.shape):
        best = 0
        for k in range(kh * kw):
            value = image[n, c, i * sh + k // kw, j * sw + k % kw]
            if value > best or value != value:
                best, argmax[n, c, i, j] = value, k
        y[n, c, i, j] = best
    return y, argmax


@mistake("max_pool2d_forward", "ties", where="argmax")
def the_last_of_equals_wins(x, *, kernel, stride=None, padding=0):
    """Compares with >=, so that of equal maxima the last is taken, not the first."""
    (kh, kw), (sh, sw) = pair(kernel), pair(kernel if stride is None else stride)
    oh, ow = counts(x.shape[2:], kernel, (sh, sw), padding)
    image = bordered(x, padding, -np.inf)
    y = np.full((*x.shape[:2], oh, ow), -np.inf, dtype=x.dtype)
    argmax = np.zeros(y.shape, dtype=int)
    for k in range(kh * kw):
        p, q = divmod(k, kw)
        tap = image[:, :, p : p + sh * oh : sh, q : q + sw * ow : sw]
        larger = (tap >= y) | (tap != tap)
        y[larger] = tap[larger]
        argmax[larger] = k
    return y, argmax


@mistake("max_pool2d_forward", "transposed", where="argmax")
def counts_positions_down_the_columns(x, *, kernel, stride=None, padding=0):
    """Numbers a window's pixels column by column."""
    views = window_view(x, kernel, kernel if stride is None else stride, padding, value=-np.inf)
    columns = views.swapaxes(4, 5).reshape(*views.shape[:4], -1)
    return columns.max(axis=-1), columns.argmax(axis=-1)


@mistake("max_pool2d_forward", "forward-differs", where="argmax")
def gives_the_place_in_the_image(x, *, kernel, stride=None, padding=0):
    """Returns where the maximum stands in the padded image, as PyTorch does, not where in its window."""
    kw, (sh, sw) = pair(kernel)[1], pair(kernel if stride is None else stride)
    rows = _windows_in_rows(x, kernel, stride, padding)
    p, q = np.divmod(rows.argmax(axis=-1), kw)
    oh, ow = p.shape[2:]
    row, column = p + sh * np.arange(oh)[:, None], q + sw * np.arange(ow)
    return rows.max(axis=-1), row * (x.shape[3] + 2 * pair(padding)[1]) + column


@mistake("max_pool2d_forward", "shifted", where="argmax", also=("forward-differs",))
def counts_positions_from_one(x, *, kernel, stride=None, padding=0):
    """Numbers a window's pixels from 1."""
    rows = _windows_in_rows(x, kernel, stride, padding)
    y, argmax = rows[..., 0].copy(), np.ones(rows.shape[:4], dtype=int)
    for number, tap in enumerate(np.moveaxis(rows, -1, 0), start=1):
        larger = (tap > y) | (tap != tap)
        y, argmax = np.where(larger, tap, y), np.where(larger, number, argmax)
    return y, argmax


@mistake("max_pool2d_forward", "ignores-argument", where="y", also=("shape",))
def pools_side_by_side(x, *, kernel, stride=None, padding=0):
    """Always steps by the size of the window, which is only what happens without a stride."""
    rows = _windows_in_rows(x, kernel, kernel, padding)
    return rows.max(axis=-1), rows.argmax(axis=-1)


@mistake("max_pool2d_forward", "nondeterministic", where="y")
def shakes_the_image_to_break_ties(x, *, kernel, stride=None, padding=0):
    """Adds a little noise, so that no two numbers of a window are equal."""
    noise = 1e-3 * np.random.default_rng().random(x.shape)
    rows = _windows_in_rows(x + noise.astype(x.dtype), kernel, stride, padding)
    return rows.max(axis=-1), rows.argmax(axis=-1)


@mistake("max_pool2d_forward", "dtype", where="argmax")
def positions_as_floats(x, *, kernel, stride=None, padding=0):
    """Makes room for the positions with np.zeros_like(y): they are floats."""
    rows = _windows_in_rows(x, kernel, stride, padding)
    y = rows.max(axis=-1)
    argmax = np.zeros_like(y)
    argmax[...] = rows.argmax(axis=-1)
    return y, argmax


@mistake("max_pool2d_forward", "raises", where="y")
def looks_beyond_the_image(x, *, kernel, stride=None, padding=0):
    """Has one window too many in each direction, and its last pixels do not exist."""
    (kh, kw), (sh, sw) = pair(kernel), pair(kernel if stride is None else stride)
    image = bordered(x, padding, -np.inf)
    oh, ow = (image.shape[2] - kh) // sh + 2, (image.shape[3] - kw) // sw + 2
    y, argmax = np.zeros((*x.shape[:2], oh, ow), dtype=x.dtype), np.zeros((*x.shape[:2], oh, ow), dtype=int)
    for n, c, i, j in np.ndindex(*y.shape):
        window = [image[n, c, i * sh + p, j * sw + q] for p in range(kh) for q in range(kw)]
        y[n, c, i, j], argmax[n, c, i, j] = max(window), np.argmax(window)
    return y, argmax


def _empty_gradient(dy, shape, kernel, stride, padding):
    """dx, still all zeros, and for each place in a window a view of the pixels that stand there in all windows."""
    (kh, kw), (sh, sw), (ph, pw) = pair(kernel), pair(kernel if stride is None else stride), pair(padding)
    padded = np.zeros((*shape[:2], shape[2] + 2 * ph, shape[3] + 2 * pw), dtype=dy.dtype)
    inner = padded[:, :, ph : ph + shape[2], pw : pw + shape[3]]
    oh, ow = dy.shape[2:]
    taps = [padded[:, :, p : p + sh * oh : sh, q : q + sw * ow : sw] for p in range(kh) for q in range(kw)]
    return inner, taps


@mistake("max_pool2d_backward", "not-accumulated", where="dx")
def winners_overwrite(dy, argmax, *, shape, kernel, stride=None, padding=0):
    """Writes = where a pixel may win in several windows."""
    (sh, sw), (ph, pw), kw = pair(kernel if stride is None else stride), pair(padding), pair(kernel)[1]
    dx = np.zeros((*shape[:2], shape[2] + 2 * ph, shape[3] + 2 * pw), dtype=dy.dtype)
    for n, c, i, j in np.ndindex(*dy.shape):
        p, q = divmod(int(argmax[n, c, i, j]), kw)
        dx[n, c, i * sh + p, j * sw + q] = dy[n, c, i, j]
    return dx[:, :, ph : ph + shape[2], pw : pw + shape[3]]


@mistake("max_pool2d_backward", "not-accumulated", where="dx")
def winners_added_by_index_once(dy, argmax, *, shape, kernel, stride=None, padding=0):
    """Uses dx[index] += dy, which adds once where an index comes twice."""
    (sh, sw), (ph, pw), kw = pair(kernel if stride is None else stride), pair(padding), pair(kernel)[1]
    n, c, i, j = np.indices(dy.shape)
    p, q = np.divmod(argmax.astype(int), kw)
    dx = np.zeros((*shape[:2], shape[2] + 2 * ph, shape[3] + 2 * pw), dtype=dy.dtype)
    dx[n, c, i * sh + p, j * sw + q] += dy
    return dx[:, :, ph : ph + shape[2], pw : pw + shape[3]]


@mistake("max_pool2d_backward", "mask", where="dx")
def everybody_in_the_window_wins(dy, argmax, *, shape, kernel, stride=None, padding=0):
    """Gives the gradient to all pixels of a window and not to the largest alone."""
    dx, taps = _empty_gradient(dy, shape, kernel, stride, padding)
    for tap in taps:
        tap += dy
    return dx


@mistake("max_pool2d_backward", "mask", where="dx")
def losers_get_the_gradient(dy, argmax, *, shape, kernel, stride=None, padding=0):
    """Compares with != and so sends the gradient to all pixels but the largest."""
    dx, taps = _empty_gradient(dy, shape, kernel, stride, padding)
    for k, tap in enumerate(taps):
        tap += dy * (argmax != k)
    return dx


@mistake("max_pool2d_backward", "shifted", where="dx")
def the_pixel_before_the_winner(dy, argmax, *, shape, kernel, stride=None, padding=0):
    """Numbers a window's pixels from 1, while argmax counts from 0."""
    dx, taps = _empty_gradient(dy, shape, kernel, stride, padding)
    for k, tap in enumerate(taps, start=1):
        tap += np.where(argmax == k, dy, 0)
    return dx


@mistake("max_pool2d_backward", "transposed", where="dx")
def winners_counted_down_the_columns(dy, argmax, *, shape, kernel, stride=None, padding=0):
    """Reads argmax as q * kh + p; it is p * kw + q."""
    kh, kw = pair(kernel)
    dx, taps = _empty_gradient(dy, shape, kernel, stride, padding)
    for p in range(kh):
        for q in range(kw):
            taps[p * kw + q] += np.where(argmax == q * kh + p, dy, 0)
    return dx


@mistake("max_pool2d_backward", "ignores-argument", where="dx")
def winners_with_stride_one(dy, argmax, *, shape, kernel, stride=None, padding=0):
    """Looks for window (i, j) at pixel (i, j), as if windows were one pixel apart."""
    (ph, pw), kw = pair(padding), pair(kernel)[1]
    n, c, i, j = np.indices(dy.shape)
    p, q = np.divmod(argmax.astype(int), kw)
    dx = np.zeros((*shape[:2], shape[2] + 2 * ph, shape[3] + 2 * pw), dtype=dy.dtype)
    np.add.at(dx, (n, c, i + p, j + q), dy)
    return dx[:, :, ph : ph + shape[2], pw : pw + shape[3]]


@mistake("max_pool2d_backward", "partial-batch", where="dx")
def the_first_images_winners_are_forgotten(dy, argmax, *, shape, kernel, stride=None, padding=0):
    """Loops over range(1, N), as if images were counted from 1."""
    dx, taps = _empty_gradient(dy, shape, kernel, stride, padding)
    for n in range(1, len(dy)):
        for k, tap in enumerate(taps):
            tap[n] += np.where(argmax[n] == k, dy[n], 0)
    return dx
