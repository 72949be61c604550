"""Assignment 9: one step of SGD and of Adam. README.md, next to this file, says what to write."""

import numpy as np

ASSIGNMENT = "a09_sgd_adam"


def sgd_update(
    w: np.ndarray,
    dw: np.ndarray,
    velocity: np.ndarray,
    *,
    lr: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """g = dw + weight_decay * w      velocity = momentum * velocity + g      w = w - lr * velocity

    With nesterov, w = w - lr * (g + momentum * velocity), where the velocity is the new one.

    w, dw, velocity : any shape, all the same
    lr : the learning rate
    Returns the new w and the new velocity, of that shape.
    """
    raise NotImplementedError


def adam_update(
    w: np.ndarray,
    dw: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    *,
    step: int,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """g = dw + weight_decay * w      m = beta1 m + (1 - beta1) g      v = beta2 v + (1 - beta2) g^2

        w = w - lr * (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps)

    w, dw, m, v : any shape, all the same
    step : 1 in the first update, 2 in the second, ...
    Returns the new w, m and v, of that shape.
    """
    raise NotImplementedError
