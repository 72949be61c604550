"""One step of an optimizer, for one parameter, or for all of them by lists of arrays.

These operations are the exception to the rule that inputs are never written to: the parameter and what is remembered
of it (velocity, moments) are handed over, a filling may reuse their memory, and the caller goes on with what is
returned. The gradient is not written to. All arrays that belong to one parameter have its shape.
"""

from typing import Any

from minicnn.backend import Array, array_module, slot


@slot("w, velocity")
def sgd_update(
    w: Array,
    dw: Array,
    velocity: Array,
    *,
    lr: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> tuple[Array, Array]:
    """g = dw + weight_decay * w      velocity = momentum * velocity + g      w = w - lr * velocity

    With nesterov, w = w - lr * (g + momentum * velocity): momentum looks one step ahead.
    Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013, in PyTorch's form.
    """
    g = dw + weight_decay * w if weight_decay else dw
    velocity = momentum * velocity + g
    return w - lr * (g + momentum * velocity if nesterov else velocity), velocity


@slot("ws, velocities", uses=("sgd_update",))
def sgd_update_all(
    ws: list[Array], dws: list[Array], velocities: list[Array], **options: Any
) -> tuple[list[Array], list[Array]]:
    """`sgd_update` for every parameter, with the same options. A network has many small ones, so calls cost most."""
    results = [sgd_update(*arrays, **options) for arrays in zip(ws, dws, velocities, strict=True)]
    return [w for w, _ in results], [velocity for _, velocity in results]


@slot("w, m, v")
def adam_update(
    w: Array,
    dw: Array,
    m: Array,
    v: Array,
    *,
    step: int,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> tuple[Array, Array, Array]:
    """g = dw + weight_decay * w      m = beta1 m + (1 - beta1) g      v = beta2 v + (1 - beta2) g^2

        w = w - lr * (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps)          step = 1, 2, ...

    Kingma and Ba, "Adam", 2015, algorithm 1. The divisions undo the bias of moments that start at zero.
    """
    g = dw + weight_decay * w if weight_decay else dw
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * (g * g)
    m_hat = m / (1 - beta1**step)
    v_hat = v / (1 - beta2**step)
    return w - lr * m_hat / (array_module(w).sqrt(v_hat) + eps), m, v


@slot("ws, ms, vs", uses=("adam_update",))
def adam_update_all(
    ws: list[Array], dws: list[Array], ms: list[Array], vs: list[Array], *, steps: list[int], **options: Any
) -> tuple[list[Array], list[Array], list[Array]]:
    """`adam_update` for every parameter, each with its own number of steps, and with the same options."""
    cases = zip(ws, dws, ms, vs, steps, strict=True)
    results = [adam_update(*arrays, step=step, **options) for *arrays, step in cases]
    return [w for w, _, _ in results], [m for _, m, _ in results], [v for _, _, v in results]
