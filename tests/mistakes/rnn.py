"""A recurrent network, rnn_forward and rnn_backward, as students write it."""

import numpy as np

from mistakes.registry import mistake


def _inside(x, lengths):
    """Where a step belongs to its sequence: (N, T, 1)."""
    if lengths is None:
        return np.ones((*x.shape[:2], 1), dtype=bool)
    return (np.arange(x.shape[1]) < lengths[:, None])[:, :, None]


def _bias(b, w):
    return np.zeros_like(w[:, 0]) if b is None else b


@mistake("rnn_forward", "wrong-cache", where="y")
def every_step_from_the_first_state(x, w_ih, w_hh, b, h0, *, lengths=None):
    """Never hands the new state on: each step starts from h0."""
    y = np.tanh(x @ w_ih.T + _bias(b, w_ih) + (h0 @ w_hh.T)[:, None])
    return np.where(_inside(x, lengths), y, 0)


@mistake("rnn_forward", "transposed", where="y")
def state_times_w(x, w_ih, w_hh, b, h0, *, lengths=None):
    """Writes h @ W_hh; the matrix is square, so no shape protests."""
    x, h, states = np.where(_inside(x, lengths), x, 0), h0, []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ w_ih.T + h @ w_hh + _bias(b, w_ih))
        states.append(h)
    return np.where(_inside(x, lengths), np.stack(states, axis=1), 0)


@mistake("rnn_forward", "ignores-argument", where="y", also=("missing-term",))
def always_starts_from_nothing(x, w_ih, w_hh, b, h0, *, lengths=None):
    """Starts from zeros and never looks at h0."""
    h, states = np.zeros_like(h0), []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ w_ih.T + h @ w_hh.T + _bias(b, w_ih))
        states.append(h)
    return np.where(_inside(x, lengths), np.stack(states, axis=1), 0)


@mistake("rnn_forward", "ignores-argument", where="y", also=("mask",))
def goes_on_behind_the_end(x, w_ih, w_hh, b, h0, *, lengths=None):
    """Takes lengths and never uses them."""
    h, states = h0, []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ w_ih.T + h @ w_hh.T + _bias(b, w_ih))
        states.append(h)
    return np.stack(states, axis=1)


@mistake("rnn_forward", "mask", where="y", also=("ignores-argument",))
def the_last_state_stays(x, w_ih, w_hh, b, h0, *, lengths=None):
    """Keeps the state behind an end, which is what one wants of the state, but not of the outputs."""
    h, states, inside = h0, [], _inside(x, lengths)
    for t in range(x.shape[1]):
        h = np.where(inside[:, t], np.tanh(x[:, t] @ w_ih.T + h @ w_hh.T + _bias(b, w_ih)), h)
        states.append(h)
    return np.stack(states, axis=1)


@mistake("rnn_forward", "shifted", where="y", also=("wrong-cache",))
def notes_the_state_before(x, w_ih, w_hh, b, h0, *, lengths=None):
    """Writes the state down before it is renewed, so that y begins with h0."""
    y = np.empty((*x.shape[:2], len(w_hh)), dtype=x.dtype)
    h = h0
    for t in range(x.shape[1]):
        y[:, t] = h
        h = np.tanh(x[:, t] @ w_ih.T + h @ w_hh.T + _bias(b, w_ih))
    return np.where(_inside(x, lengths), y, 0)


@mistake("rnn_forward", "flipped", where="y", also=("shifted",))
def from_the_last_step_to_the_first(x, w_ih, w_hh, b, h0, *, lengths=None):
    """Lets time run backwards."""
    y = np.empty((*x.shape[:2], len(w_hh)), dtype=x.dtype)
    h = h0
    for t in reversed(range(x.shape[1])):
        h = np.tanh(x[:, t] @ w_ih.T + h @ w_hh.T + _bias(b, w_ih))
        y[:, t] = h
    return np.where(_inside(x, lengths), y, 0)


@mistake("rnn_forward", "transposed", where="y")
def steps_before_samples(x, w_ih, w_hh, b, h0, *, lengths=None):
    """Stacks the states along axis 0: (T, N, H)."""
    h, states = h0, []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ w_ih.T + h @ w_hh.T + _bias(b, w_ih))
        states.append(h if lengths is None else h * (t < lengths)[:, None])
    return np.stack(states)


@mistake("rnn_forward", "mutates-input", where="h0")
def renews_h0_itself(x, w_ih, w_hh, b, h0, *, lengths=None):
    """Saves an array for the state: h is h0, and is written to."""
    y = np.empty((*x.shape[:2], len(w_hh)), dtype=x.dtype)
    h = h0
    for t in range(x.shape[1]):
        h[:] = np.tanh(x[:, t] @ w_ih.T + h @ w_hh.T + _bias(b, w_ih))
        y[:, t] = h
    return np.where(_inside(x, lengths), y, 0)


@mistake("rnn_forward", "wrong-cache", where="y")
def a_list_of_one_state(x, w_ih, w_hh, b, h0, *, lengths=None):
    """Appends the same array in every step, which the next step writes over."""
    h, states = h0.copy(), []
    for t in range(x.shape[1]):
        h[:] = np.tanh(x[:, t] @ w_ih.T + h @ w_hh.T + _bias(b, w_ih))
        states.append(h)
    return np.where(_inside(x, lengths), np.stack(states, axis=1), 0)


@mistake("rnn_forward", "forward-differs", where="y")
def no_tanh(x, w_ih, w_hh, b, h0, *, lengths=None):
    """Forgets the activation."""
    h, states = h0, []
    for t in range(x.shape[1]):
        h = x[:, t] @ w_ih.T + h @ w_hh.T + _bias(b, w_ih)
        states.append(h)
    return np.where(_inside(x, lengths), np.stack(states, axis=1), 0)


def _gradients(das, x, w_ih, h0, y):
    """What follows from da (T, N, H) of all steps: dx, dw_ih, dw_hh, db."""
    da = np.stack(das, axis=1)
    before = np.concatenate([h0[:, None], y], axis=1)[:, :-1]
    return da @ w_ih, np.einsum("nth,ntd->hd", da, x), np.einsum("nth,ntk->hk", da, before), da.sum(axis=(0, 1))


def _cut(dy, x, lengths):
    inside = _inside(x, lengths)
    return np.where(inside, dy, 0), np.where(inside, x, 0)


@mistake("rnn_backward", "missing-term", where="dx")
def each_step_on_its_own(dy, x, w_ih, w_hh, h0, y, *, lengths=None):
    """Sends dy back through tanh and W_ih, and nothing from step to step."""
    dy, x = _cut(dy, x, lengths)
    das = [dy[:, t] * (1 - y[:, t] ** 2) for t in range(x.shape[1])]
    return (*_gradients(das, x, w_ih, h0, y), das[0] @ w_hh)


@mistake("rnn_backward", "missing-term", where="dx")
def only_what_comes_from_behind(dy, x, w_ih, w_hh, h0, y, *, lengths=None):
    """Starts from the gradient of the last step and forgets that earlier ones got a dy as well."""
    dy, x = _cut(dy, x, lengths)
    das, dh = [], dy[:, -1]
    for t in reversed(range(x.shape[1])):
        da = dh * (1 - y[:, t] ** 2)
        das.insert(0, da)
        dh = da @ w_hh
    return (*_gradients(das, x, w_ih, h0, y), dh)


@mistake("rnn_backward", "missing-term", where="dx", also=("scale",))
def forgets_the_slope_of_tanh(dy, x, w_ih, w_hh, h0, y, *, lengths=None):
    """Takes dh for da."""
    dy, x = _cut(dy, x, lengths)
    das, dh = [], np.zeros_like(h0)
    for t in reversed(range(x.shape[1])):
        da = dh + dy[:, t]
        das.insert(0, da)
        dh = da @ w_hh
    return (*_gradients(das, x, w_ih, h0, y), dh)


@mistake("rnn_backward", "wrong-cache", where="dx")
def tanh_of_tanh(dy, x, w_ih, w_hh, h0, y, *, lengths=None):
    """Writes 1 - tanh(y)^2, though y is the tanh already."""
    dy, x = _cut(dy, x, lengths)
    das, dh = [], np.zeros_like(h0)
    for t in reversed(range(x.shape[1])):
        da = (dh + dy[:, t]) * (1 - np.tanh(y[:, t]) ** 2)
        das.insert(0, da)
        dh = da @ w_hh
    return (*_gradients(das, x, w_ih, h0, y), dh)


def _steps(dy, w_hh, h0, y):
    """da of all steps and dh0, right."""
    das, dh = [], np.zeros_like(h0)
    for t in reversed(range(dy.shape[1])):
        da = (dh + dy[:, t]) * (1 - y[:, t] ** 2)
        das.insert(0, da)
        dh = da @ w_hh
    return das, dh


@mistake("rnn_backward", "wrong-cache", where="dw_hh", also=("shifted",))
def the_state_after_the_step(dy, x, w_ih, w_hh, h0, y, *, lengths=None):
    """Multiplies da_t by h_t; what W_hh was multiplied by is h_{t-1}."""
    dy, x = _cut(dy, x, lengths)
    das, dh0 = _steps(dy, w_hh, h0, y)
    dx, dw_ih, _, db = _gradients(das, x, w_ih, h0, y)
    return dx, dw_ih, np.einsum("nth,ntk->hk", np.stack(das, axis=1), y), db, dh0


@mistake("rnn_backward", "missing-term", where="dw_hh", also=("ignores-argument",))
def nothing_before_the_first_step(dy, x, w_ih, w_hh, h0, y, *, lengths=None):
    """Starts the sum of dw_hh at the second step, as if h0 were always zero."""
    dy, x = _cut(dy, x, lengths)
    das, dh0 = _steps(dy, w_hh, h0, y)
    dx, dw_ih, dw_hh, db = _gradients(das, x, w_ih, h0, y)
    dw_hh = np.zeros_like(w_hh)
    for t in range(1, x.shape[1]):
        dw_hh += das[t].T @ y[:, t - 1]
    return dx, dw_ih, dw_hh, db, dh0


@mistake("rnn_backward", "wrong-cache", where="dw_hh")
def minus_one_is_the_last_step(dy, x, w_ih, w_hh, h0, y, *, lengths=None):
    """Reads y[:, t - 1] for t = 0, too, which is the last step's state and not h0."""
    dy, x = _cut(dy, x, lengths)
    das, dh0 = _steps(dy, w_hh, h0, y)
    dx, dw_ih, _, db = _gradients(das, x, w_ih, h0, y)
    dw_hh = sum(das[t].T @ y[:, t - 1] for t in range(x.shape[1]))
    return dx, dw_ih, dw_hh, db, dh0


@mistake("rnn_backward", "not-accumulated", where="dw_hh")
def weights_gradient_of_one_step(dy, x, w_ih, w_hh, h0, y, *, lengths=None):
    """Writes = in the loop over the steps, so that dw_ih and dw_hh are those of the step that comes last: the first."""
    dy, x = _cut(dy, x, lengths)
    das, dh0 = _steps(dy, w_hh, h0, y)
    dx, _, _, db = _gradients(das, x, w_ih, h0, y)
    for t in reversed(range(x.shape[1])):
        dw_ih = das[t].T @ x[:, t]
        dw_hh = das[t].T @ (y[:, t - 1] if t else h0)
    return dx, dw_ih, dw_hh, db, dh0


@mistake("rnn_backward", "transposed", where="dx")
def back_through_w_transposed(dy, x, w_ih, w_hh, h0, y, *, lengths=None):
    """Goes back from step to step with da @ W_hh^T."""
    dy, x = _cut(dy, x, lengths)
    das, dh0 = _steps(dy, w_hh.T, h0, y)
    return (*_gradients(das, x, w_ih, h0, y), dh0)


@mistake("rnn_backward", "flipped", where="dx", also=("wrong-cache", "shifted"))
def forwards_through_time(dy, x, w_ih, w_hh, h0, y, *, lengths=None):
    """Forgets `reversed`: the gradient runs from the first step to the last."""
    dy, x = _cut(dy, x, lengths)
    das, dh = [], np.zeros_like(h0)
    for t in range(x.shape[1]):
        da = (dh + dy[:, t]) * (1 - y[:, t] ** 2)
        das.append(da)
        dh = da @ w_hh
    return (*_gradients(das, x, w_ih, h0, y), dh)


@mistake("rnn_backward", "ignores-argument", where="dx")
def learns_from_behind_the_end(dy, x, w_ih, w_hh, h0, y, *, lengths=None):
    """Takes lengths and never uses them, so that what comes to padding counts."""
    das, dh0 = _steps(dy, w_hh, h0, y)
    return (*_gradients(das, x, w_ih, h0, y), dh0)


@mistake("rnn_backward", "missing-term", where="dh0", also=("shifted", "wrong-cache"))
def dh0_before_the_weights(dy, x, w_ih, w_hh, h0, y, *, lengths=None):
    """Returns the gradient of a_0, and forgets that W_hh stands between a_0 and h0."""
    dy, x = _cut(dy, x, lengths)
    das, _ = _steps(dy, w_hh, h0, y)
    return (*_gradients(das, x, w_ih, h0, y), das[0])


@mistake("rnn_backward", "zero", where="dh0")
def nobody_asks_for_dh0(dy, x, w_ih, w_hh, h0, y, *, lengths=None):
    """Returns zeros for the first state, since it is zeros as a rule."""
    dy, x = _cut(dy, x, lengths)
    das, _ = _steps(dy, w_hh, h0, y)
    return (*_gradients(das, x, w_ih, h0, y), np.zeros_like(h0))


@mistake("rnn_backward", "not-summed", where="db")
def db_of_every_step(dy, x, w_ih, w_hh, h0, y, *, lengths=None):
    """Sums over the batch and not over the steps: (T, H)."""
    dy, x = _cut(dy, x, lengths)
    das, dh0 = _steps(dy, w_hh, h0, y)
    dx, dw_ih, dw_hh, _ = _gradients(das, x, w_ih, h0, y)
    return dx, dw_ih, dw_hh, np.stack(das).sum(axis=1), dh0


@mistake("rnn_backward", "scale", where="dw_ih", also=("not-summed",))
def mean_over_the_steps(dy, x, w_ih, w_hh, h0, y, *, lengths=None):
    """Divides the gradients of the weights by the number of steps."""
    dy, x = _cut(dy, x, lengths)
    das, dh0 = _steps(dy, w_hh, h0, y)
    dx, dw_ih, dw_hh, db = _gradients(das, x, w_ih, h0, y)
    steps = x.shape[1]
    return dx, dw_ih / steps, dw_hh / steps, db / steps, dh0
