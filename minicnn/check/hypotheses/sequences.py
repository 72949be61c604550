"""Mistakes along a sequence: states of the wrong step, ends that nobody looked at, gradients that are not handed on.

Forwards the operation itself is run again, on single steps or backwards in time. The backward passes are written out
once more below, with switches: each switch is one thing that is forgotten or taken from the wrong step.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from minicnn.backend import special_functions
from minicnn.backend.slots import slots
from minicnn.check.kinds import Kind
from minicnn.check.trial import Reading, Trial

Arguments = Mapping[str, Any]
STATES = {"y": "h0", "c": "c0"}
"""The results that hold a state after every step, and what comes before the first."""
GATES = "ifgo"
EXCHANGED = ((0, 1, 3, 2), (1, 0, 2, 3), (0, 3, 2, 1), (3, 1, 2, 0), (0, 2, 1, 3), (2, 1, 0, 3))
"""Orders of the four parts of a gate's array in which two have changed places."""


def sequences(trial: Trial) -> Iterator[Reading]:
    """Compare with what wrong steps would give."""
    if trial.operation not in ("rnn_forward", "lstm_forward", "rnn_backward", "lstm_backward"):
        return
    for kind, message, formula in _FORWARD if trial.operation.endswith("_forward") else ():
        yield Reading(kind, message, _matches, (formula,), hint=_HINT)
    if trial.operation.endswith("_forward"):
        yield Reading(
            Kind.MASK,
            "it is right up to each sequence's end, but behind the end it is not 0",
            _is_right_inside,
            hint="What belongs into the output at steps that a sequence no longer has?",
            fallback=True,
        )
    for kind, message, switch in _BACKWARD if trial.operation.endswith("_backward") else ():
        if _concerns(switch, trial.arguments):
            # A way that is missing may look like contributions that overwrite each other, which says less.
            priority = Kind.NOT_ACCUMULATED.rank - 0.5 if kind is Kind.MISSING_TERM else None
            yield Reading(kind, message, _comes_with, tuple(switch.items()), hint=_HINT, priority=priority)
    for order in EXCHANGED if trial.operation.startswith("lstm") else ():
        read = ", ".join(GATES[part] for part in order)
        yield Reading(
            Kind.TRANSPOSED,
            f"the four parts of the gates are taken as {read}; they lie {', '.join(GATES)}",
            _has_its_parts_exchanged,
            (order,),
        )


_HINT = "Write the formula for one step, with t or t - 1 at every state: which of them does your line use?"


def _matches(trial: Trial, formula: Callable[[Trial], np.ndarray | None]) -> bool:
    return trial.matches(formula(trial))


def _inside(a: Arguments) -> np.ndarray | None:
    """Return where steps belong to their sequence, (N, T, 1), or None if all do."""
    if a.get("lengths") is None:
        return None
    return (np.arange(a["x"].shape[1]) < a["lengths"][:, None])[:, :, None]


def _cut(z: np.ndarray, a: Arguments) -> np.ndarray:
    inside = _inside(a)
    return z if inside is None else np.where(inside, z, 0)


def _run(trial: Trial, **changes: Any) -> np.ndarray:
    """Return the result of the operation itself for other arguments, whatever their shapes; no sequence ends early."""
    operation = slots()[trial.operation]
    results = operation.body(**{**trial.arguments, "lengths": None, **changes})
    return results[operation.returns.index(trial.result)] if isinstance(results, tuple) else results


def _each_from_the_start(trial: Trial) -> np.ndarray:
    x = trial.arguments["x"]
    steps = [_run(trial, x=x[:, t : t + 1]) for t in range(x.shape[1])]
    return _cut(np.concatenate(steps, axis=1), trial.arguments)


def _backwards_in_time(trial: Trial) -> np.ndarray:
    return _cut(_run(trial, x=trial.arguments["x"][:, ::-1])[:, ::-1], trial.arguments)


def _before_the_step(trial: Trial) -> np.ndarray:
    states, first = _run(trial), trial.arguments[STATES[trial.result]]
    return _cut(np.concatenate([first[:, None], states[:, :-1]], axis=1), trial.arguments)


def _last_everywhere(trial: Trial) -> np.ndarray:
    states = _run(trial)
    return _cut(np.broadcast_to(states[:, -1:], states.shape), trial.arguments)


def _is_right_inside(trial: Trial) -> bool:
    inside = _inside(trial.arguments)
    if inside is None or trial.got.shape != trial.expected.shape:
        return False
    return trial.is_right(np.where(inside, trial.got, 0)) and bool(trial.got[~inside[..., 0]].any())


def _without_tanh(trial: Trial) -> np.ndarray | None:
    """A recurrent network that is linear; cells that are shown, or filled, without tanh."""
    a = trial.arguments
    if trial.operation == "lstm_forward":
        return _cells(trial, show=lambda c: c)
    h, states = a["h0"], []
    for t in range(a["x"].shape[1]):
        h = a["x"][:, t] @ a["w_ih"].T + h @ a["w_hh"].T + (0 if a["b"] is None else a["b"])
        states.append(h)
    return _cut(np.stack(states, axis=1), a)


def _cells(
    trial: Trial,
    *,
    show: Callable[[np.ndarray], np.ndarray] = np.tanh,
    forget: bool = True,
    write: Callable[[np.ndarray], np.ndarray] = np.tanh,
    before: bool = False,
    raw: bool = False,
) -> np.ndarray | None:
    """Return a result of `lstm_forward`, with a part of it changed."""
    a = trial.arguments
    if trial.operation != "lstm_forward":
        return None
    sigmoid = special_functions(a["x"]).expit
    x, h, c, found = _cut(a["x"], a), a["h0"], a["c0"], []
    for t in range(x.shape[1]):
        parts = x[:, t] @ a["w_ih"].T + h @ a["w_hh"].T + (0 if a["b"] is None else a["b"])
        i, f, g, o = np.split(parts, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), write(g), sigmoid(o)
        c, c_before = (f * c if forget else c) + i * g, c
        h = o * show(c_before if before else c)
        found.append({"y": h, "c": c, "gates": parts if raw else np.concatenate([i, f, g, o], axis=1)})
    return _cut(np.stack([step[trial.result] for step in found], axis=1), a)


def _sigmoid(v: np.ndarray) -> np.ndarray:
    return special_functions(v).expit(v)


_FORWARD: tuple[tuple[Kind, str, Callable[[Trial], np.ndarray | None]], ...] = (
    (Kind.WRONG_CACHE, "every step starts from the first state; the new state is not handed on", _each_from_the_start),
    (Kind.FLIPPED, "time runs backwards: from the last step to the first", _backwards_in_time),
    (Kind.SHIFTED, "it is the state before each step; the state after it belongs there", _before_the_step),
    (Kind.WRONG_CACHE, "every step has the last step's state: one array, which is written over", _last_everywhere),
    (Kind.FORWARD_DIFFERS, "a tanh is missing where the state is computed", _without_tanh),
    (Kind.SCALE, "the forget gate is missing: the old cell comes in whole", lambda t: _cells(t, forget=False)),
    (Kind.FORWARD_DIFFERS, "g is a sigmoid, as if it were a gate; it is a tanh", lambda t: _cells(t, write=_sigmoid)),
    (Kind.WRONG_CACHE, "the state is computed from the cell before the step", lambda t: _cells(t, before=True)),
    (
        Kind.FORWARD_DIFFERS,
        "these are the sums before sigmoid and tanh; the values of the gates belong there",
        lambda t: _cells(t, raw=True) if t.result == "gates" else None,
    ),
)


def _has_its_parts_exchanged(trial: Trial, order: tuple[int, ...]) -> bool:
    a = trial.arguments
    if trial.operation == "lstm_backward":
        return _comes_with(trial, ("order", order))
    exchanged = {name: _parts(a[name], 0, order) for name in ("w_ih", "w_hh", "b") if a[name] is not None}
    right = trial.truth(**exchanged)
    # what was read in another order is also put together in that order
    return right is not None and trial.matches(_parts(right, 2, order) if trial.result == "gates" else right)


def _parts(v: np.ndarray, axis: int, order: tuple[int, ...]) -> np.ndarray:
    parts = np.split(v, 4, axis=axis)
    return np.concatenate([parts[part] for part in order], axis=axis)


# The way back, with switches


def _comes_with(trial: Trial, *switch: tuple[str, Any]) -> bool:
    key = "sequences", switch
    if key not in trial.memory:
        trial.memory[key] = _gradients(trial.arguments, dict(switch))
    return trial.matches(trial.memory[key][trial.result])


def _gradients(a: Arguments, switch: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the gradients of a recurrent operation, right but for what the switch says."""
    x, dy, w_hh, y = _cut(a["x"], a), _cut(a["dy"], a), a["w_hh"], a["y"]
    steps = x.shape[1]
    das: list[Any] = [None] * steps
    dh, dc = np.zeros_like(a["h0"]), np.zeros_like(a["h0"])
    for t in range(steps) if "forwards" in switch else reversed(range(steps)):
        given = dy[:, t] if "last dy" not in switch or t == steps - 1 else np.zeros_like(dh)
        dh = given if "no state" in switch else given + dh
        da, dc_before = _cell_back(a, t, dh, dc, switch) if "gates" in a else (dh * _slope(y[:, t], switch), dc)
        das[t], dc = da, dc_before
        dh = da @ (w_hh.T if "transposed" in switch else w_hh)
    da = np.stack(das, axis=1)
    before = np.concatenate([a["h0"][:, None], y], axis=1)[:, :steps]
    if "wrapped" in switch:
        before = np.roll(y, 1, axis=1)
    elif "after" in switch:
        before = y
    elif "no first" in switch:
        before = np.concatenate([np.zeros_like(y[:, :1]), y[:, :-1]], axis=1)
    one = switch.get("one step")
    summed = slice(None) if one is None else slice(one, one + 1 or None)
    own, seen, states = da[:, summed], x[:, summed], before[:, summed]
    early = "early" in switch
    return {
        "dx": da @ a["w_ih"],
        "dw_ih": np.einsum("ntk,ntd->kd", own, seen),
        "dw_hh": np.einsum("ntk,nth->kh", own, states),
        "db": own.sum(axis=(0, 1)),
        "dh0": das[0] if early and "gates" not in a else dh,
        "dc0": dc / np.split(a["gates"][:, 0], 4, axis=1)[1] if early and "gates" in a else dc,
    }


def _slope(y: np.ndarray, switch: Mapping[str, Any]) -> Any:
    """The derivative of tanh, by its value."""
    if "no slope" in switch:
        return 1.0
    return 1 - (np.tanh(y) if "twice" in switch else y) ** 2


def _cell_back(
    a: Arguments, t: int, dh: np.ndarray, dc: np.ndarray, switch: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Return da of step t, and the gradient of the cell before it."""
    i, f, g, o = np.split(a["gates"][:, t], 4, axis=1)
    c, shown = a["c"][:, t], np.tanh(a["c"][:, t])
    before = a["c"][:, t - 1] if t or "wrapped cell" in switch else a["c0"]
    if "cell after" in switch:
        before = c
    dc = (0 if "no cell" in switch else dc) + dh * o * (1 if "no tanh" in switch else 1 - shown**2)
    slopes = {"i": i * (1 - i), "f": f * (1 - f), "g": 1 - g * g, "o": o * (1 - o)}
    if "flat" in switch:
        slopes[switch["flat"]] = np.ones_like(i)
    if "as sigmoid" in switch:
        slopes["g"] = g * (1 - g)
    parts = [dc * g * slopes["i"], dc * before * slopes["f"], dc * i * slopes["g"], dh * shown * slopes["o"]]
    return np.concatenate([parts[p] for p in switch.get("order", range(4))], axis=1), dc * f


_BACKWARD: tuple[tuple[Kind, str, dict[str, Any]], ...] = (
    (Kind.MISSING_TERM, "the way through the state into the next step is missing", {"no state": True}),
    (Kind.MISSING_TERM, "the way through the cell into the next step's cell is missing", {"no cell": True}),
    (
        Kind.MISSING_TERM,
        "state and cell hand nothing back to the step before: each step stands alone",
        {"no state": True, "no cell": True},
    ),
    (Kind.MISSING_TERM, "only the last step's dy comes in; earlier outputs had gradients too", {"last dy": True}),
    (Kind.MISSING_TERM, "the slope of the tanh is missing: 1 - h^2", {"no slope": True}),
    (Kind.WRONG_CACHE, "the slope of tanh is taken at y, but y is the value of the tanh already", {"twice": True}),
    (Kind.MISSING_TERM, "the slope of the tanh of the cell is missing: 1 - tanh(c)^2", {"no tanh": True}),
    *((Kind.MISSING_TERM, f"the slope of the gate {gate} is missing", {"flat": gate}) for gate in GATES),
    (Kind.SCALE, "g has the slope of a sigmoid, g (1 - g); it is a tanh: 1 - g^2", {"as sigmoid": True}),
    (Kind.WRONG_CACHE, "the cell after the step, c_t, stands where c_{t-1} belongs", {"cell after": True}),
    (Kind.WRONG_CACHE, "at the first step the last cell, c[:, -1], stands where c0 belongs", {"wrapped cell": True}),
    (Kind.WRONG_CACHE, "the state after the step, h_t, stands where h_{t-1} belongs", {"after": True}),
    (Kind.WRONG_CACHE, "at the first step the last state, y[:, -1], stands where h0 belongs", {"wrapped": True}),
    (Kind.MISSING_TERM, "the first step is missing, in which W_hh was multiplied by h0", {"no first": True}),
    (Kind.TRANSPOSED, "the gradient goes from step to step through W_hh transposed", {"transposed": True}),
    (Kind.FLIPPED, "the gradient runs from the first step to the last; it has to come back", {"forwards": True}),
    *(
        (
            Kind.NOT_ACCUMULATED,
            f"of the steps only the {which} counts, as if `=` stood where `+=` is meant",
            {"one step": t},
        )
        for which, t in (("first", 0), ("last", -1))
    ),
    (
        Kind.MISSING_TERM,
        "it is the gradient after the first step; what stands between (W_hh, the forget gate) is missing",
        {"early": True},
    ),
)
_OF_CELLS = {"no cell", "no tanh", "flat", "as sigmoid", "cell after", "wrapped cell"}
_OF_RNN = {"no slope", "twice"}


def _concerns(switch: Mapping[str, Any], a: Arguments) -> bool:
    """Return whether an operation has what the switch is about."""
    return not set(switch) & (_OF_RNN if "gates" in a else _OF_CELLS)
