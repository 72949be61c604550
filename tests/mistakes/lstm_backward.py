"""Going back through long short-term memory, as students write it."""

import numpy as np

from mistakes.registry import mistake


def _inside(x, lengths):
    """Where a step belongs to its sequence: (N, T, 1)."""
    if lengths is None:
        return np.ones((*x.shape[:2], 1), dtype=bool)
    return (np.arange(x.shape[1]) < lengths[:, None])[:, :, None]


def _gradients(das, x, w_ih, h0, y):
    """What follows from da (T, N, 4H) of all steps: dx, dw_ih, dw_hh, db."""
    da = np.stack(das, axis=1)
    before = np.concatenate([h0[:, None], y], axis=1)[:, :-1]
    return da @ w_ih, np.einsum("nth,ntd->hd", da, x), np.einsum("nth,ntk->hk", da, before), da.sum(axis=(0, 1))


def _back(dy, x, w_ih, w_hh, h0, c0, y, c, gates, lengths, step):
    """Run `step(dh, dc, gates, c, c_before) -> da_i, da_f, da_g, da_o, dc` from the last step to the first."""
    inside = _inside(x, lengths)
    dy, x = np.where(inside, dy, 0), np.where(inside, x, 0)
    das, dh, dc = [], np.zeros_like(h0), np.zeros_like(c0)
    for t in reversed(range(x.shape[1])):
        *parts, dc = step(dh + dy[:, t], dc, np.split(gates[:, t], 4, axis=1), c[:, t], c[:, t - 1] if t else c0)
        das.insert(0, np.hstack(parts))
        dh = das[0] @ w_hh
    return (*_gradients(das, x, w_ih, h0, y), dh, dc)


def _right_parts(dh, dc, gates, tanh_c, before):
    """da_i, da_f, da_g, da_o for the whole dc."""
    i, f, g, o = gates
    return dc * g * i * (1 - i), dc * before * f * (1 - f), dc * i * (1 - g**2), dh * tanh_c * o * (1 - o)


@mistake("lstm_backward", "missing-term", where="dx")
def the_cell_hands_nothing_back(dy, x, w_ih, w_hh, h0, c0, y, c, gates, *, lengths=None):
    """Goes back from step to step through h alone; that c goes into the next cell is forgotten."""

    def step(dh, dc, gates, c, before):
        tanh_c = np.tanh(c)
        dc = dh * gates[3] * (1 - tanh_c**2)
        return (*_right_parts(dh, dc, gates, tanh_c, before), dc * gates[1])

    return _back(dy, x, w_ih, w_hh, h0, c0, y, c, gates, lengths, step)


@mistake("lstm_backward", "missing-term", where="dx")
def the_state_hands_nothing_back(dy, x, w_ih, w_hh, h0, c0, y, c, gates, *, lengths=None):
    """Goes back through the cell alone; that h goes into the next step's gates is forgotten."""
    inside = _inside(x, lengths)
    dy, x = np.where(inside, dy, 0), np.where(inside, x, 0)
    das, dc = [], np.zeros_like(c0)
    for t in reversed(range(x.shape[1])):
        i, f, g, o = np.split(gates[:, t], 4, axis=1)
        tanh_c = np.tanh(c[:, t])
        dc = dc + dy[:, t] * o * (1 - tanh_c**2)
        das.insert(0, np.hstack(_right_parts(dy[:, t], dc, (i, f, g, o), tanh_c, c[:, t - 1] if t else c0)))
        dc = dc * f
    return (*_gradients(das, x, w_ih, h0, y), das[0] @ w_hh, dc)


@mistake("lstm_backward", "wrong-cache", where="dx")
def the_cell_after_the_step(dy, x, w_ih, w_hh, h0, c0, y, c, gates, *, lengths=None):
    """Gives the forget gate c_t, where it was multiplied by c_{t-1}."""

    def step(dh, dc, gates, c, before):
        tanh_c = np.tanh(c)
        dc = dc + dh * gates[3] * (1 - tanh_c**2)
        return (*_right_parts(dh, dc, gates, tanh_c, c), dc * gates[1])

    return _back(dy, x, w_ih, w_hh, h0, c0, y, c, gates, lengths, step)


@mistake("lstm_backward", "wrong-cache", where="dx")
def the_last_cell_before_the_first(dy, x, w_ih, w_hh, h0, c0, y, c, gates, *, lengths=None):
    """Reads c[:, t - 1] for t = 0, too, which is the last step's cell and not c0."""
    inside = _inside(x, lengths)
    dy, x = np.where(inside, dy, 0), np.where(inside, x, 0)
    das, dh, dc = [], np.zeros_like(h0), np.zeros_like(c0)
    for t in reversed(range(x.shape[1])):
        parts, tanh_c = np.split(gates[:, t], 4, axis=1), np.tanh(c[:, t])
        dh = dh + dy[:, t]
        dc = dc + dh * parts[3] * (1 - tanh_c**2)
        das.insert(0, np.hstack(_right_parts(dh, dc, parts, tanh_c, c[:, t - 1])))
        dh, dc = das[0] @ w_hh, dc * parts[1]
    return (*_gradients(das, x, w_ih, h0, y), dh, dc)


@mistake("lstm_backward", "missing-term", where="dx", also=("scale",))
def forgets_tanh_of_the_cell(dy, x, w_ih, w_hh, h0, c0, y, c, gates, *, lengths=None):
    """dc = dh * o, without the slope of tanh."""

    def step(dh, dc, gates, c, before):
        dc = dc + dh * gates[3]
        return (*_right_parts(dh, dc, gates, np.tanh(c), before), dc * gates[1])

    return _back(dy, x, w_ih, w_hh, h0, c0, y, c, gates, lengths, step)


@mistake("lstm_backward", "missing-term", where="dx", also=("scale",))
def output_gate_without_its_slope(dy, x, w_ih, w_hh, h0, c0, y, c, gates, *, lengths=None):
    """da_o = dh * tanh(c), without o (1 - o)."""

    def step(dh, dc, gates, c, before):
        tanh_c = np.tanh(c)
        dc = dc + dh * gates[3] * (1 - tanh_c**2)
        da_i, da_f, da_g, _ = _right_parts(dh, dc, gates, tanh_c, before)
        return da_i, da_f, da_g, dh * tanh_c, dc * gates[1]

    return _back(dy, x, w_ih, w_hh, h0, c0, y, c, gates, lengths, step)


@mistake("lstm_backward", "scale", where="dx", also=("missing-term", "wrong-cache"))
def slope_of_a_sigmoid_for_g(dy, x, w_ih, w_hh, h0, c0, y, c, gates, *, lengths=None):
    """Treats g like the gates: g (1 - g), where 1 - g^2 belongs."""

    def step(dh, dc, gates, c, before):
        i, f, g, o = gates
        tanh_c = np.tanh(c)
        dc = dc + dh * o * (1 - tanh_c**2)
        da_i, da_f, _, da_o = _right_parts(dh, dc, gates, tanh_c, before)
        return da_i, da_f, dc * i * g * (1 - g), da_o, dc * f

    return _back(dy, x, w_ih, w_hh, h0, c0, y, c, gates, lengths, step)


@mistake("lstm_backward", "missing-term", where="dc0", also=("scale",))
def dc0_before_the_forget_gate(dy, x, w_ih, w_hh, h0, c0, y, c, gates, *, lengths=None):
    """Returns the gradient of c_1, and forgets the gate between c0 and c_1."""
    kept = []

    def step(dh, dc, gates, c, before):
        tanh_c = np.tanh(c)
        dc = dc + dh * gates[3] * (1 - tanh_c**2)
        kept.append(dc)
        return (*_right_parts(dh, dc, gates, tanh_c, before), dc * gates[1])

    *others, _ = _back(dy, x, w_ih, w_hh, h0, c0, y, c, gates, lengths, step)
    return (*others, kept[-1])


def _right_step(dh, dc, gates, c, before):
    tanh_c = np.tanh(c)
    dc = dc + dh * gates[3] * (1 - tanh_c**2)
    return (*_right_parts(dh, dc, gates, tanh_c, before), dc * gates[1])


@mistake("lstm_backward", "transposed", where="dw_ih")
def rows_of_the_gates_exchanged(dy, x, w_ih, w_hh, h0, c0, y, c, gates, *, lengths=None):
    """Puts da together as i, f, o, g, while the weights lie i, f, g, o."""

    def step(*given):
        da_i, da_f, da_g, da_o, dc = _right_step(*given)
        return da_i, da_f, da_o, da_g, dc

    return _back(dy, x, w_ih, w_hh, h0, c0, y, c, gates, lengths, step)


@mistake("lstm_backward", "wrong-cache", where="dw_hh", also=("shifted",))
def states_of_the_same_step(dy, x, w_ih, w_hh, h0, c0, y, c, gates, *, lengths=None):
    """Multiplies da_t by h_t; the gates of step t saw h_{t-1}."""
    das = []

    def step(*given):
        found = _right_step(*given)
        das.insert(0, np.hstack(found[:4]))
        return found

    dx, dw_ih, _, db, dh0, dc0 = _back(dy, x, w_ih, w_hh, h0, c0, y, c, gates, lengths, step)
    dw_hh = np.einsum("nth,ntk->hk", np.stack(das, axis=1), y)
    return dx, dw_ih, dw_hh, db, dh0, dc0


@mistake("lstm_backward", "shape", where="call")
def no_gradient_for_c0(dy, x, w_ih, w_hh, h0, c0, y, c, gates, *, lengths=None):
    """Returns five gradients and not six."""
    return _back(dy, x, w_ih, w_hh, h0, c0, y, c, gates, lengths, _right_step)[:5]


@mistake("lstm_backward", "mutates-input", where="dy")
def adds_to_dy_in_place(dy, x, w_ih, w_hh, h0, c0, y, c, gates, *, lengths=None):
    """Adds what comes from the next step to dy itself."""
    if lengths is not None:
        dy[~_inside(x, lengths)[..., 0]] = 0
        x = np.where(_inside(x, lengths), x, 0)
    das, dc = [], np.zeros_like(c0)
    for t in reversed(range(x.shape[1])):
        parts = np.split(gates[:, t], 4, axis=1)
        *da, dc = _right_step(dy[:, t], dc, parts, c[:, t], c[:, t - 1] if t else c0)
        das.insert(0, np.hstack(da))
        if t:
            dy[:, t - 1] += das[0] @ w_hh
    return (*_gradients(das, x, w_ih, h0, y), das[0] @ w_hh, dc)
