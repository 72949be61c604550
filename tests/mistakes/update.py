"""Steps of optimizers as students write them."""

import numpy as np

from mistakes.registry import mistake

_moments = {}


@mistake("sgd_update", "sign", where="w")
def climbs(w, dw, velocity, *, lr, momentum=0.0, weight_decay=0.0):
    """Adds the step, and so walks uphill."""
    velocity = momentum * velocity + dw + weight_decay * w
    return w + lr * velocity, velocity


@mistake("sgd_update", "sign", where="velocity")
def momentum_brakes(w, dw, velocity, *, lr, momentum=0.0, weight_decay=0.0):
    """Subtracts the old velocity from the gradient."""
    velocity = (dw + weight_decay * w) - momentum * velocity
    return w - lr * velocity, velocity


@mistake("sgd_update", "mutates-input", where="dw")
def adds_decay_to_the_gradient(w, dw, velocity, *, lr, momentum=0.0, weight_decay=0.0):
    """Writes dw += weight_decay * w into the caller's gradient."""
    dw += weight_decay * w
    velocity = momentum * velocity + dw
    return w - lr * velocity, velocity


@mistake("sgd_update", "ignores-argument", where="w")
def never_looks_ahead(w, dw, velocity, *, lr, momentum=0.0, nesterov=False, weight_decay=0.0):
    """Takes nesterov and makes the ordinary step."""
    velocity = momentum * velocity + (dw + weight_decay * w)
    return w - lr * velocity, velocity


@mistake("sgd_update", "ignores-argument", where="velocity", also=("missing-term", "not-accumulated"))
def forgets_the_old_velocity(w, dw, velocity, *, lr, momentum=0.0, weight_decay=0.0):
    """Replaces the velocity by the gradient, without momentum times what it was."""
    velocity = dw + weight_decay * w
    return w - lr * velocity, velocity


@mistake("sgd_update", "dtype", where="velocity")
def velocity_in_double_precision(w, dw, velocity, *, lr, momentum=0.0, weight_decay=0.0):
    """Collects the new velocity in np.zeros(w.shape)."""
    new = np.zeros(w.shape)
    new += momentum * velocity
    new += dw + weight_decay * w
    return (w - lr * new).astype(w.dtype), new


@mistake("sgd_update", "shape", where="w")
def returns_the_weights_alone(w, dw, velocity, *, lr, momentum=0.0, weight_decay=0.0):
    """Updates the velocity in place, which is allowed, but does not return it."""
    velocity *= momentum
    velocity += dw + weight_decay * w
    return w - lr * velocity


@mistake("sgd_update_all", "ignores-argument", where="ws")
def options_are_not_passed_on(ws, dws, velocities, *, lr, momentum=0.0, weight_decay=0.0):
    """Loops over the parameters and forgets momentum in the call of its own update."""

    def step(w, dw, velocity, lr, weight_decay, momentum=0.0):
        velocity = momentum * velocity + dw + weight_decay * w
        return w - lr * velocity, velocity

    results = [step(*arrays, lr, weight_decay) for arrays in zip(ws, dws, velocities, strict=True)]
    return [w for w, _ in results], [velocity for _, velocity in results]


@mistake("sgd_update_all", "shape", where="ws")
def the_last_parameter_is_left_out(ws, dws, velocities, *, lr, momentum=0.0, weight_decay=0.0):
    """Loops to len(ws) - 1 and returns a list that is one too short."""
    new_ws, new_velocities = [], []
    for k in range(len(ws) - 1):
        velocity = momentum * velocities[k] + (dws[k] + weight_decay * ws[k])
        new_ws.append(ws[k] - lr * velocity)
        new_velocities.append(velocity)
    return new_ws, new_velocities


def _moments_of(g, m, v, beta1, beta2):
    return beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * (g * g)


def _adam_step(w, m, v, step, lr, beta1, beta2, eps):
    return w - lr * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + eps)


@mistake("adam_update", "scale", where="w", also=("missing-term",))
def no_bias_correction(w, dw, m, v, *, step, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """Uses the moments as they are, though they start at zero."""
    m, v = _moments_of(dw, m, v, beta1, beta2)
    return w - lr * m / (np.sqrt(v) + eps), m, v


@mistake("adam_update", "scale", where="w", also=("shifted",))
def steps_counted_one_too_far(w, dw, m, v, *, step, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """Adds 1 to the step, which starts at 1 already."""
    m, v = _moments_of(dw, m, v, beta1, beta2)
    return _adam_step(w, m, v, step + 1, lr, beta1, beta2, eps), m, v


@mistake("adam_update", "non-finite", where="w")
def steps_counted_from_zero(w, dw, m, v, *, step, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """Subtracts 1 from the step, so that the first correction divides by zero."""
    m, v = _moments_of(dw, m, v, beta1, beta2)
    return _adam_step(w, m, v, step - 1, lr, beta1, beta2, eps), m, v


@mistake("adam_update", "forward-differs", where="m")
def betas_change_places(w, dw, m, v, *, step, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """Takes beta2 for the first moment and beta1 for the second."""
    m, v = _moments_of(dw, m, v, beta2, beta1)
    return _adam_step(w, m, v, step, lr, beta2, beta1, eps), m, v


@mistake("adam_update", "forward-differs", where="w")
def divides_by_the_second_moment(w, dw, m, v, *, step, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """Forgets the square root."""
    m, v = _moments_of(dw, m, v, beta1, beta2)
    m_hat, v_hat = m / (1 - beta1**step), v / (1 - beta2**step)
    return w - lr * m_hat / (v_hat + eps), m, v


@mistake("adam_update", "missing-term", where="m", also=("not-accumulated", "ignores-argument"))
def first_moment_forgets(w, dw, m, v, *, step, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """Leaves beta1 * m out of the first moment."""
    _, v = _moments_of(dw, m, v, beta1, beta2)
    m = (1 - beta1) * dw
    return _adam_step(w, m, v, step, lr, beta1, beta2, eps), m, v


@mistake("adam_update", "forward-differs", where="v")
def second_moment_of_sizes(w, dw, m, v, *, step, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """Averages |g| where it should average g^2."""
    m, _ = _moments_of(dw, m, v, beta1, beta2)
    v = beta2 * v + (1 - beta2) * np.abs(dw)
    return _adam_step(w, m, v, step, lr, beta1, beta2, eps), m, v


@mistake("adam_update", "non-finite", where="w", also=("missing-term",))
def nothing_guards_the_division(w, dw, m, v, *, step, lr, beta1=0.9, beta2=0.999):
    """Leaves eps out: a weight that never had a gradient becomes 0 / 0."""
    m, v = _moments_of(dw, m, v, beta1, beta2)
    return w - lr * (m / (1 - beta1**step)) / np.sqrt(v / (1 - beta2**step)), m, v


@mistake("adam_update", "ignores-argument", where="w")
def adam_without_decay(w, dw, m, v, *, step, lr, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0):
    """Takes weight_decay and never uses it."""
    m, v = _moments_of(dw, m, v, beta1, beta2)
    return _adam_step(w, m, v, step, lr, beta1, beta2, eps), m, v


@mistake("adam_update", "mutates-input", where="dw")
def squares_the_gradient_in_place(w, dw, m, v, *, step, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """Squares dw itself for the second moment, after the first is done."""
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * np.square(dw, out=dw)
    return _adam_step(w, m, v, step, lr, beta1, beta2, eps), m, v


@mistake("adam_update", "wrong-cache", where="m", also=("ignores-argument", "nondeterministic"))
def moments_kept_by_shape(w, dw, m, v, *, step, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """Keeps the moments in a dictionary under the weights' shape, where parameters of one shape find each other's."""
    m, v = _moments.get((w.shape, w.dtype), (m, v))
    m, v = _moments[w.shape, w.dtype] = _moments_of(dw, m, v, beta1, beta2)
    return _adam_step(w, m, v, step, lr, beta1, beta2, eps), m.copy(), v.copy()


@mistake("adam_update_all", "ignores-argument", where="ws")
def the_first_parameters_step_for_all(ws, dws, ms, vs, *, steps, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """Corrects all moments by steps[0], though a parameter that was frozen for a while has made fewer."""
    pairs = [_moments_of(dw, m, v, beta1, beta2) for dw, m, v in zip(dws, ms, vs, strict=True)]
    moved = [_adam_step(w, m, v, steps[0], lr, beta1, beta2, eps) for w, (m, v) in zip(ws, pairs, strict=True)]
    return moved, [m for m, _ in pairs], [v for _, v in pairs]
