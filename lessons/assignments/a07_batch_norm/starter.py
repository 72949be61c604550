"""Assignment 7: batch normalisation. README.md, next to this file, says what to write."""

import numpy as np

ASSIGNMENT = "a07_batch_norm"


def batch_norm_forward(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, *, eps: float = 1e-5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return y = gamma * x_hat + beta with x_hat = (x - mean) * inv_std, and the statistics of each channel.

    x, y : (N, C, ...), channels on axis 1
    gamma, beta : (C,)
    eps : is added to the variance
    mean : (C,), over all axes but the channels'
    inv_std : (C,), 1 / sqrt(var + eps) with the biased variance
    """
    raise NotImplementedError


def batch_norm_backward(
    dy: np.ndarray, x: np.ndarray, gamma: np.ndarray, mean: np.ndarray, inv_std: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return dx, dgamma, dbeta, the gradients of the loss with respect to the inputs of `batch_norm_forward`.

    dy, x, dx : (N, C, ...), channels on axis 1
    gamma, mean, inv_std : (C,), as in and from the forward pass
    dgamma, dbeta : (C,)
    """
    raise NotImplementedError


def batch_norm_inference_forward(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray, inv_std: np.ndarray
) -> np.ndarray:
    """y = gamma * (x - mean) * inv_std + beta, with statistics that are given.

    x, y : (N, C, ...), channels on axis 1
    gamma, beta, mean, inv_std : (C,)
    """
    raise NotImplementedError
