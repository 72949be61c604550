"""Recurrent networks: one step after the other along a sequence, with a state that is handed on.

x is (N, T, D): N sequences of T steps with D features. Where some end earlier, `lengths` (N,) says after how many
steps. What stands behind an end is not looked at, whatever it is, and results and gradients there are 0.

What does not need the state is computed for all steps in one product: W_ih x_t in the forward pass, and in the backward
pass dx and the gradients of the weights, which are sums over the steps. Arrays called `..._by_step` have their steps
first: (T, N, ...).
"""

from minicnn.backend import Array, array_module, slot, special_functions


@slot("y")
def rnn_forward(
    x: Array, w_ih: Array, w_hh: Array, b: Array | None, h0: Array, *, lengths: Array | None = None
) -> Array:
    """h_t = tanh(W_ih x_t + W_hh h_{t-1} + b)      y[:, t] = h_t

    Elman, "Finding structure in time", 1990.

    x : (N, T, D)   w_ih : (H, D)   w_hh : (H, H)   b : (H,) or None   h0 : (N, H)   lengths : (N,), whole numbers
    y : (N, T, H)
    """
    xp = array_module(x)
    a_by_step = _input_products(_up_to_end(x, lengths), w_ih, b)
    y = xp.empty((*x.shape[:2], len(w_hh)), dtype=a_by_step.dtype)
    h = h0
    for t in range(x.shape[1]):
        h = xp.tanh(a_by_step[t] + h @ w_hh.T)
        y[:, t] = h
    return _up_to_end(y, lengths)


@slot("dx, dw_ih, dw_hh, db, dh0")
def rnn_backward(
    dy: Array, x: Array, w_ih: Array, w_hh: Array, h0: Array, y: Array, *, lengths: Array | None = None
) -> tuple[Array, Array, Array, Array, Array]:
    """Backpropagation through time: h_t went into y and into the next step, so from the last step to the first

        dh_t = dy_t + W_hh^T da_{t+1}        da_t = dh_t * (1 - h_t^2)

    and then   dx_t = W_ih^T da_t,   dW_ih = sum_t da_t x_t^T,   dW_hh = sum_t da_t h_{t-1}^T,   db = sum_t da_t.

    Werbos, "Backpropagation through time: what it does and how to do it", 1990.

    dy, y : (N, T, H)   x, dx : (N, T, D)   w_ih, dw_ih : (H, D)   w_hh, dw_hh : (H, H)   db : (H,)   h0, dh0 : (N, H)
    """
    xp = array_module(x)
    x, dy = _up_to_end(x, lengths), _up_to_end(dy, lengths)
    da_by_step = xp.empty((y.shape[1], y.shape[0], y.shape[2]), dtype=x.dtype)
    dh = xp.zeros_like(h0)  # from behind the last step nothing comes back
    for t in reversed(range(x.shape[1])):
        dh = dh + dy[:, t]
        da = dh * (1 - y[:, t] * y[:, t])
        da_by_step[t] = da
        dh = da @ w_hh
    return (*_input_gradients(da_by_step, x, w_ih, h0, y), dh)


@slot("y, c, gates")
def lstm_forward(
    x: Array, w_ih: Array, w_hh: Array, b: Array | None, h0: Array, c0: Array, *, lengths: Array | None = None
) -> tuple[Array, Array, Array]:
    """Long short-term memory: gates say what is written to a cell c, what is kept in it, and what is shown of it.

        a_t = W_ih x_t + W_hh h_{t-1} + b                                in four parts a_i, a_f, a_g, a_o of H numbers
        i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)               gates: input, forget, output
        g = tanh(a_g)                                                    what may be written
        c_t = f * c_{t-1} + i * g        h_t = o * tanh(c_t)             y[:, t] = h_t

    Hochreiter and Schmidhuber, "Long short-term memory", 1997, section 4, with the forget gate of Gers, Schmidhuber and
    Cummins, "Learning to forget: continual prediction with LSTM", 2000, section 3.

    x : (N, T, D)   w_ih : (4H, D)   w_hh : (4H, H)   b : (4H,) or None   h0, c0 : (N, H)
    lengths : (N,), whole numbers
    y, c : (N, T, H)   gates : (N, T, 4H), the values i, f, g, o side by side
    """
    xp = array_module(x)
    n, steps, _ = x.shape
    gates_by_step = _input_products(_up_to_end(x, lengths), w_ih, b)
    y = xp.empty((n, steps, h0.shape[1]), dtype=gates_by_step.dtype)
    c = xp.empty_like(y)
    h_t, c_t = h0, c0
    for t in range(steps):
        gates_by_step[t] += h_t @ w_hh.T
        i, f, g, o = _four(gates_by_step[t])  # views: until now of a_i, a_f, a_g, a_o
        i[...], f[...], o[...] = _sigmoid(i), _sigmoid(f), _sigmoid(o)
        g[...] = xp.tanh(g)
        c_t = f * c_t + i * g
        h_t = o * xp.tanh(c_t)
        y[:, t], c[:, t] = h_t, c_t
    gates = gates_by_step.transpose(1, 0, 2)
    return _up_to_end(y, lengths), _up_to_end(c, lengths), _up_to_end(gates, lengths)


@slot("dx, dw_ih, dw_hh, db, dh0, dc0")
def lstm_backward(
    dy: Array,
    x: Array,
    w_ih: Array,
    w_hh: Array,
    h0: Array,
    c0: Array,
    y: Array,
    c: Array,
    gates: Array,
    *,
    lengths: Array | None = None,
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Backpropagation through time. h_t went into y and into the next step's a, c_t into h_t and into the next cell:

        dh_t = dy_t + W_hh^T da_{t+1}
        dc_t = dh_t * o * (1 - tanh(c_t)^2) + dc_{t+1} * f_{t+1}
        da_i = dc_t * g * i * (1 - i)                  da_f = dc_t * c_{t-1} * f * (1 - f)
        da_g = dc_t * i * (1 - g^2)                    da_o = dh_t * tanh(c_t) * o * (1 - o)

    and then   dx_t = W_ih^T da_t,   dW_ih = sum_t da_t x_t^T,   dW_hh = sum_t da_t h_{t-1}^T,   db = sum_t da_t.

    dy, y, c : (N, T, H)   x, dx : (N, T, D)   gates : (N, T, 4H)   h0, c0, dh0, dc0 : (N, H)
    w_ih, dw_ih : (4H, D)   w_hh, dw_hh : (4H, H)   db : (4H,)
    """
    xp = array_module(x)
    n, steps, _ = gates.shape
    x, dy = _up_to_end(x, lengths), _up_to_end(dy, lengths)
    da_by_step = xp.empty((steps, n, gates.shape[2]), dtype=x.dtype)
    dh, dc = xp.zeros_like(h0), xp.zeros_like(c0)  # from behind the last step nothing comes back
    for t in reversed(range(steps)):
        i, f, g, o = _four(gates[:, t])
        tanh_c, c_before = xp.tanh(c[:, t]), c[:, t - 1] if t else c0
        dh = dh + dy[:, t]
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        da_i, da_f, da_g, da_o = _four(da_by_step[t])
        da_i[...] = dc * g * i * (1 - i)
        da_f[...] = dc * c_before * f * (1 - f)
        da_g[...] = dc * i * (1 - g * g)
        da_o[...] = dh * tanh_c * o * (1 - o)
        dh = da_by_step[t] @ w_hh
        dc = dc * f
    return (*_input_gradients(da_by_step, x, w_ih, h0, y), dh, dc)


def _up_to_end(z: Array, lengths: Array | None) -> Array:
    """Return z (N, T, K) with zeros behind each sequence's end."""
    if lengths is None:
        return z
    xp = array_module(z)
    inside = xp.arange(z.shape[1]) < lengths[:, None]
    return xp.where(inside[:, :, None], z, 0)


def _rows_by_step(z: Array) -> Array:
    """(N, T, K) -> (T N, K): all sequences' first steps, then all their second ones, ..."""
    n, steps, k = z.shape
    return z.transpose(1, 0, 2).reshape(steps * n, k)


def _input_products(x: Array, w_ih: Array, b: Array | None) -> Array:
    """Return W_ih x_t + b for all steps: (T, N, K)."""
    a = _rows_by_step(x) @ w_ih.T
    if b is not None:
        a += b
    return a.reshape(x.shape[1], x.shape[0], len(w_ih))


def _input_gradients(
    da_by_step: Array, x: Array, w_ih: Array, h0: Array, y: Array
) -> tuple[Array, Array, Array, Array]:
    """Return dx, dw_ih, dw_hh and db from the gradients da (T, N, K) of all steps."""
    n, steps, d = x.shape
    da = da_by_step.reshape(steps * n, len(w_ih))
    h_before = array_module(x).concatenate([h0[:, None], y], axis=1)[:, :steps]
    dx = (da @ w_ih).reshape(steps, n, d).transpose(1, 0, 2)
    return dx, da.T @ _rows_by_step(x), da.T @ _rows_by_step(h_before), da.sum(axis=0)


def _four(a: Array) -> tuple[Array, Array, Array, Array]:
    """Return views of the four parts of (N, 4H): those of i, f, g and o."""
    h = a.shape[1] // 4
    return a[:, :h], a[:, h : 2 * h], a[:, 2 * h : 3 * h], a[:, 3 * h :]


def _sigmoid(a: Array) -> Array:
    return special_functions(a).expit(a)
