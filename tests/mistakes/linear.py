"""linear_forward and linear_backward as students write them."""

import numpy as np

from mistakes.registry import mistake

_inputs = {}


@mistake("linear_forward", "missing-term", where="y")
def multiplies_without_bias(x, w, b):
    """Takes b and never adds it."""
    return x @ w.T


@mistake("linear_forward", "raises", where="y")
def multiplies_the_weights_the_wrong_way_round(x, w, b):
    """Writes x @ w, as for weights of shape (D, K); here they are (K, D)."""
    y = x @ w
    return y if b is None else y + b


@mistake("linear_forward", "shape", where="y")
def returns_a_cache_besides(x, w, b):
    """Returns (y, cache), as another course wants it."""
    y = x.dot(w.T)
    if b is not None:
        y = y + b
    cache = (x, w, b)
    return y, cache


@mistake("linear_forward", "nondeterministic", where="y")
def draws_a_bias_where_there_is_none(x, w, b):
    """Starts a missing bias with random numbers, in every call anew."""
    if b is None:
        b = 0.01 * np.random.default_rng().normal(size=len(w)).astype(w.dtype)
    return np.einsum("nd,kd->nk", x, w) + b


@mistake("linear_forward", "dtype", where="y")
def adds_up_in_whole_numbers(x, w, b):
    """Makes the output with dtype=int, so that every product is cut down to a whole number."""
    y = np.zeros((len(x), len(w)), dtype=int)
    for n in range(len(x)):
        for k in range(len(w)):
            y[n, k] = x[n] @ w[k] + (0 if b is None else b[k])
    return y


@mistake("linear_forward", "not-accumulated", where="y")
def keeps_the_last_product(x, w, b):
    """Writes = in the innermost loop of a matrix product."""
    y = np.zeros((len(x), len(w)), dtype=x.dtype)
    for n in range(len(x)):
        for k in range(len(w)):
            for d in range(x.shape[1]):
                y[n, k] = x[n, d] * w[k, d]
            if b is not None:
                y[n, k] += b[k]
    return y


@mistake("linear_backward", "transposed", where="dw")
def dw_has_inputs_first(dy, x, w):
    """Computes x^T dy, which is (D, K), and returns it as it is."""
    return dy @ w, x.T @ dy, dy.sum(axis=0)


@mistake("linear_backward", "transposed", where="dw")
def dw_reshaped_where_a_transpose_was_meant(dy, x, w):
    """Sees that x^T dy has the wrong shape and mends it with a reshape."""
    return dy @ w, (x.T @ dy).reshape(w.shape), dy.sum(axis=0)


@mistake("linear_backward", "not-summed", where="db")
def db_for_each_sample(dy, x, w):
    """Takes dy itself for the bias's gradient."""
    return dy @ w, dy.T @ x, dy.copy()


@mistake("linear_backward", "scale", where="dw")
def dw_and_the_batch_size_again(dy, x, w):
    """Divides dw by N, though the loss is a mean and dy brings the 1/N along."""
    n = dy.shape[0]
    dw = np.einsum("nk,nd->kd", dy, x) / n
    return dy @ w, dw, dy.sum(axis=0)


@mistake("linear_backward", "partial-batch", where="dw", also=("not-accumulated",))
def dw_of_the_last_sample(dy, x, w):
    """Assigns the outer product where it should be added."""
    dw, db = np.zeros_like(w), np.zeros_like(w[:, 0])
    for g, sample in zip(dy, x, strict=True):
        dw = np.outer(g, sample)
        db += g
    return dy @ w, dw, db


@mistake("linear_backward", "shape", where="db")
def db_is_a_row(dy, x, w):
    """Keeps the batch's axis: db is (1, K)."""
    return dy @ w, dy.T @ x, dy.sum(axis=0, keepdims=True)


@mistake("linear_backward", "shape", where="dx")
def returns_nothing(dy, x, w):
    """Computes all three gradients and forgets the return."""
    dx = dy @ w
    dw = dy.T @ x
    db = dy.sum(axis=0)
    gradients = (dx, dw, db)  # noqa: F841


@mistake("linear_backward", "shape", where="dx")
def returns_in_another_order(dy, x, w):
    """Returns dw, db, dx."""
    return dy.T @ x, dy.sum(axis=0), dy @ w


@mistake("linear_backward", "dtype", where="dw")
def dw_collected_in_double_precision(dy, x, w):
    """Adds outer products into np.zeros(w.shape)."""
    dw = np.zeros(w.shape)
    for g, sample in zip(dy, x, strict=True):
        dw += np.outer(g, sample)
    return dy @ w, dw, dy.sum(axis=0)


@mistake("linear_backward", "zero", where="dx")
def dx_given_to_the_loop_variable(dy, x, w):
    """Assigns to `row`, a name that the loop gave to a row of dx, where row[:] was meant."""
    dx = np.zeros_like(x)
    for n, row in enumerate(dx):
        row = dy[n] @ w  # noqa: F841
    return dx, dy.T @ x, dy.sum(axis=0)


@mistake("linear_backward", "wrong-cache", where="dw")
def dw_from_an_input_of_long_ago(dy, x, w):
    """Keeps x under its shape in the first call, and never replaces it."""
    kept = _inputs.setdefault((x.shape, x.dtype), x.copy())
    return dy @ w, dy.T @ kept, dy.sum(axis=0)


@mistake("linear_backward", "mutates-input", where="dy")
def sums_db_up_in_dy(dy, x, w):
    """Saves an array: adds the rows of dy to its first row and calls that db."""
    dx, dw = dy @ w, dy.T @ x
    for row in dy[1:]:
        dy[0] += row
    return dx, dw, dy[0].copy()
