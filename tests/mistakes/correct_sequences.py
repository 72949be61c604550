"""Correct implementations of what works along sequences, and of the normalisations there, by other ways."""

import numpy as np
from scipy.special import expit

from mistakes.honest import batch_axes, per_channel
from mistakes.registry import correct


@correct("layer_norm_forward")
def layer_norm_row_by_row(x, gamma, beta, *, eps=1e-5):
    """Brings everything that belongs together into one row, and takes the variance as E[x^2] - E[x]^2."""
    rows = x.reshape(-1, gamma.size).astype(np.float64)
    mean = rows.mean(axis=1)
    inv_std = ((rows**2).mean(axis=1) - mean**2 + eps) ** -0.5
    y = (rows - mean[:, None]) * inv_std[:, None] * gamma.reshape(-1) + beta.reshape(-1)
    of_rows = x.shape[: x.ndim - gamma.ndim]
    return tuple(v.astype(x.dtype) for v in (y.reshape(x.shape), mean.reshape(of_rows), inv_std.reshape(of_rows)))


def _through_jacobian(d, x_hat, inv_std):
    """Rows d (R, m) times dx_hat / dx = (I - 1/m - x_hat x_hat^T / m) / std, a matrix for each row."""
    m = d.shape[1]
    jacobian = np.eye(m, dtype=d.dtype) - (1 + x_hat[:, :, None] * x_hat[:, None, :]) / d.dtype.type(m)
    return np.einsum("rj,rji->ri", d, jacobian) * inv_std.reshape(-1, 1)


@correct("layer_norm_backward")
def layer_norm_by_its_jacobian(dy, x, gamma, mean, inv_std):
    """Multiplies by the Jacobian of each row."""
    rows, g = x.reshape(-1, gamma.size), dy.reshape(-1, gamma.size)
    x_hat = (rows - mean.reshape(-1, 1)) * inv_std.reshape(-1, 1)
    dx = _through_jacobian(g * gamma.reshape(-1), x_hat, inv_std)
    dgamma = np.einsum("rj,rj->j", g, x_hat)
    return dx.reshape(x.shape), dgamma.reshape(gamma.shape), g.sum(axis=0).reshape(gamma.shape)


@correct("group_norm_forward")
def one_group_after_the_other(x, gamma, beta, *, groups, eps=1e-5):
    """Cuts the channels apart and normalises each image's part in a loop."""
    y = np.empty_like(x)
    mean, inv_std = np.empty((2, len(x), groups), dtype=x.dtype)
    for g, part in enumerate(np.split(np.arange(x.shape[1]), groups)):
        for n in range(len(x)):
            own = x[n, part]
            mean[n, g], inv_std[n, g] = own.mean(), 1 / np.sqrt(own.var() + eps)
            for c in part:
                y[n, c] = gamma[c] * (x[n, c] - mean[n, g]) * inv_std[n, g] + beta[c]
    return y, mean, inv_std


@correct("group_norm_backward")
def group_norm_by_its_jacobian(dy, x, gamma, mean, inv_std, *, groups):
    """Multiplies by the Jacobian of each group."""
    each = x.shape[1] // groups
    centred = x - per_channel(np.repeat(mean, each, axis=1).reshape(-1), x.reshape(1, -1, *x.shape[2:])).reshape(
        *x.shape[:2], *[1] * (x.ndim - 2)
    )
    x_hat = centred * np.repeat(inv_std, each, axis=1).reshape(*x.shape[:2], *[1] * (x.ndim - 2))
    d = (dy * per_channel(gamma, x)).reshape(len(x) * groups, -1)
    dx = _through_jacobian(d, x_hat.reshape(d.shape), inv_std)
    return dx.reshape(x.shape), (dy * x_hat).sum(axis=batch_axes(x)), dy.sum(axis=batch_axes(x))


@correct("embedding_forward")
def rows_taken_one_by_one(x, w):
    """Fills an array in a loop over all places."""
    y = np.empty((*x.shape, w.shape[1]), dtype=w.dtype)
    for place in np.ndindex(x.shape):
        y[place] = w[x[place]]
    return y


@correct("embedding_backward")
def one_hot_times_dy(dy, x, w):
    """An embedding is a matrix product with one-hot rows; so is its gradient."""
    one_hot = (x.reshape(-1, 1) == np.arange(len(w))).astype(dy.dtype)
    return one_hot.T @ dy.reshape(-1, w.shape[1])


@correct("embedding_backward")
def rows_sorted_by_word(dy, x, w):
    """Sorts the places by word, and adds up each stretch of equal words."""
    dw = np.zeros_like(w)
    order = np.argsort(x, axis=None)
    words, begin = np.unique(x.reshape(-1)[order], return_index=True)
    dw[words] = np.add.reduceat(dy.reshape(-1, w.shape[1])[order], begin, axis=0)
    return dw


@correct("rnn_forward")
def one_sequence_after_the_other(x, w_ih, w_hh, b, h0, *, lengths=None):
    """Runs each sequence alone, for as many steps as it has, with x and h in one vector."""
    w = np.hstack([w_ih, w_hh])
    y = np.zeros((*x.shape[:2], len(w_hh)), dtype=x.dtype)
    for n in range(len(x)):
        h = h0[n]
        for t in range(x.shape[1] if lengths is None else lengths[n]):
            a = w @ np.concatenate([x[n, t], h])
            h = y[n, t] = np.tanh(a if b is None else a + b)
    return y


@correct("rnn_backward")
def what_each_state_changes_later(dy, x, w_ih, w_hh, h0, y, *, lengths=None):
    """Sums over all pairs of steps s <= t: dy_t, times dh_t / da_s as a product of matrices."""
    grads = [np.zeros_like(v) for v in (x, w_ih, w_hh, w_hh[:, 0], h0)]
    dx, dw_ih, dw_hh, db, dh0 = grads
    for n in range(len(x)):
        for t in range(x.shape[1] if lengths is None else lengths[n]):
            row = dy[n, t]
            for s in range(t, -1, -1):
                row = row * (1 - y[n, s] ** 2)  # dy_t dh_t / da_s
                dx[n, s] += row @ w_ih
                dw_ih += np.outer(row, x[n, s])
                dw_hh += np.outer(row, y[n, s - 1] if s else h0[n])
                db += row
                row = row @ w_hh
            dh0[n] += row
    return dx, dw_ih, dw_hh, db, dh0


@correct("lstm_forward")
def every_gate_with_weights_of_its_own(x, w_ih, w_hh, b, h0, c0, *, lengths=None):
    """Cuts the weights in four and stops each sequence at its end."""
    b = np.zeros(len(w_ih), dtype=x.dtype) if b is None else b
    weights = list(zip(*(np.split(v, 4) for v in (w_ih, w_hh, b)), (expit, expit, np.tanh, expit), strict=True))
    y, c, *gates = np.zeros((6, *x.shape[:2], h0.shape[1]), dtype=x.dtype)
    for n in range(len(x)):
        h, cell = h0[n], c0[n]
        for t in range(x.shape[1] if lengths is None else lengths[n]):
            i, f, g, o = (act(u @ x[n, t] + v @ h + own) for u, v, own, act in weights)
            cell = f * cell + i * g
            h = o * np.tanh(cell)
            y[n, t], c[n, t] = h, cell
            for gate, value in zip(gates, (i, f, g, o), strict=True):
                gate[n, t] = value
    return y, c, np.concatenate(gates, axis=2)


@correct("lstm_backward")
def one_sequence_back_at_a_time(dy, x, w_ih, w_hh, h0, c0, y, c, gates, *, lengths=None):
    """Goes back from each sequence's own end, and adds outer products up as it goes."""
    dx, dw_ih, dw_hh, dh0, dc0 = (np.zeros_like(v) for v in (x, w_ih, w_hh, h0, c0))
    db = np.zeros(len(w_ih), dtype=x.dtype)
    for n in range(len(x)):
        dh, dc = np.zeros_like(h0[n]), np.zeros_like(c0[n])
        for t in range((x.shape[1] if lengths is None else lengths[n]) - 1, -1, -1):
            i, f, g, o = gates[n, t].reshape(4, -1)
            h_before, c_before = (y[n, t - 1], c[n, t - 1]) if t else (h0[n], c0[n])
            dh = dh + dy[n, t]
            shown = np.tanh(c[n, t])
            dc = dc + dh * o / np.cosh(c[n, t]) ** 2
            da = np.array(
                [
                    dc * g * i * (1 - i),
                    dc * c_before * f * (1 - f),
                    dc * i * (1 + g) * (1 - g),
                    dh * shown * o * (1 - o),
                ]
            )
            da = da.reshape(-1)
            dw_ih += np.outer(da, x[n, t])
            dw_hh += np.outer(da, h_before)
            db += da
            dx[n, t], dh, dc = da @ w_ih, da @ w_hh, dc * f
        dh0[n], dc0[n] = dh, dc
    return dx, dw_ih, dw_hh, db, dh0, dc0


@correct("lstm_backward")
def closed_gates_behind_the_end(dy, x, w_ih, w_hh, h0, c0, y, c, gates, *, lengths=None):
    """Never asks for lengths: behind an end all gates are 0, and nothing comes through them."""
    steps = x.shape[1]
    h_before, c_before = (np.concatenate([first[:, None], v[:, :-1]], axis=1) for first, v in ((h0, y), (c0, c)))
    i, f, g, o = np.moveaxis(gates.reshape(len(x), steps, 4, -1), 2, 0)
    da = np.zeros_like(gates)
    dh, dc = np.zeros_like(h0), np.zeros_like(c0)
    for t in range(steps - 1, -1, -1):
        dh, shown = dh + dy[:, t], np.tanh(c[:, t])
        dc = dc + dh * o[:, t] * (1 - shown**2)
        to_gates = dc * g[:, t], dc * c_before[:, t], dc * i[:, t], dh * shown
        slopes = i * (1 - i), f * (1 - f), 1 - g**2, o * (1 - o)
        da[:, t] = np.hstack([one * slope[:, t] for one, slope in zip(to_gates, slopes, strict=True)])
        dh, dc = da[:, t] @ w_hh, dc * f[:, t]
    flat = da.reshape(-1, da.shape[2])
    dw_ih, dw_hh = (flat.T @ v.reshape(len(flat), -1) for v in (x, h_before))
    return da @ w_ih, dw_ih, dw_hh, flat.sum(axis=0), dh, dc
