"""Assignment 2: a fully connected layer and the softmax cross-entropy. README.md says what to write."""

import numpy as np

ASSIGNMENT = "a02_linear_softmax"


def linear_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> np.ndarray:
    """y = x W^T + b

    x : (N, D), one example a row
    w : (K, D), one row for every output
    b : (K,) or None
    y : (N, K)
    """
    raise NotImplementedError


def linear_backward(dy: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return dx, dw, db, the gradients of the loss with respect to the inputs of `linear_forward`.

    dy : (N, K), the gradient of the loss with respect to y
    x, w : as in the forward pass
    dx : (N, D)
    dw : (K, D)
    db : (K,)
    """
    raise NotImplementedError


def softmax_cross_entropy_forward(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the loss, the mean over the batch of -log p[label], and the probabilities p = softmax(logits).

    logits : (N, K), one score for every class
    labels : (N,), integers from 0 to K - 1
    loss : one number, of the dtype of the logits
    probabilities : (N, K); every row adds up to 1
    """
    raise NotImplementedError


def softmax_cross_entropy_backward(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return dlogits, the gradient of the loss with respect to the logits.

    probabilities : (N, K), as the forward pass returned them
    labels : (N,)
    dlogits : (N, K)
    """
    raise NotImplementedError
