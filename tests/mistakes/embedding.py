"""Embeddings as students write them."""

import numpy as np

from mistakes.registry import mistake


@mistake("embedding_forward", "shifted", where="y")
def words_counted_from_one(x, w):
    """Looks up row x - 1."""
    return w[x - 1]


@mistake("embedding_forward", "shape", where="y")
def one_long_list_of_rows(x, w):
    """Flattens the batch to look the words up in a loop, and leaves the rows in one list."""
    return np.stack([w[word] for word in x.reshape(-1)])


@mistake("embedding_forward", "dtype", where="y")
def one_hot_in_double_precision(x, w):
    """Multiplies by rows of np.eye, which is float64."""
    return np.eye(len(w))[x] @ w


@mistake("embedding_forward", "scale", where="y")
def times_the_root_of_the_width(x, w):
    """Multiplies by sqrt(D), a habit from transformers."""
    return w[x] * w.dtype.type(np.sqrt(w.shape[1]))


@mistake("embedding_forward", "mask", where="y", also=("forward-differs",))
def zero_means_padding(x, w):
    """Sets the rows of word 0 to zero, which is padding elsewhere; here it is a word like any other."""
    y = w[x]
    y[x == 0] = 0
    return y


@mistake("embedding_backward", "not-accumulated", where="dw")
def adds_with_an_index(dy, x, w):
    """Writes dw[x] += dy; of a word that comes twice, one gradient is left."""
    dw = np.zeros_like(w)
    dw[x] += dy
    return dw


@mistake("embedding_backward", "not-accumulated", where="dw")
def assigns_row_by_row(dy, x, w):
    """Assigns each place's gradient to its word's row."""
    dw = np.zeros_like(w)
    for word, g in zip(x.reshape(-1), dy.reshape(-1, w.shape[1]), strict=True):
        dw[word] = g
    return dw


@mistake("embedding_backward", "not-summed", where="dw")
def mean_over_the_places_of_a_word(dy, x, w):
    """Divides each row by how often its word comes."""
    dw = np.zeros_like(w)
    np.add.at(dw, x, dy)
    count = np.bincount(x.reshape(-1), minlength=len(w)).astype(w.dtype)
    return dw / np.maximum(count, 1)[:, None]


@mistake("embedding_backward", "scale", where="dw", also=("not-summed",))
def divides_dw_by_the_batch(dy, x, w):
    """Divides by N, though the loss is a mean already."""
    dw = np.zeros_like(w)
    np.add.at(dw, x, dy)
    return dw / len(x)


@mistake("embedding_backward", "not-summed", where="dw", also=("partial-batch", "missing-term"))
def the_first_word_of_each_text(dy, x, w):
    """Was written for one number an example, and looks at x[:, 0] of sequences."""
    dw = np.zeros_like(w)
    words, gradients = (x[:, 0], dy[:, 0]) if x.ndim > 1 else (x, dy)
    np.add.at(dw, words, gradients)
    return dw


@mistake("embedding_backward", "partial-batch", where="dw")
def all_texts_but_the_first(dy, x, w):
    """Starts the loop over the examples at 1."""
    dw = np.zeros_like(w)
    for n in range(1, len(x)):
        np.add.at(dw, x[n], dy[n])
    return dw


@mistake("embedding_backward", "shape", where="dw")
def rows_of_words_that_came(dy, x, w):
    """Returns a row for each word that came, as a sparse gradient would; the others' rows are missing."""
    words, place = np.unique(x, return_inverse=True)
    dw = np.zeros((len(words), w.shape[1]), dtype=w.dtype)
    np.add.at(dw, place.reshape(-1), dy.reshape(-1, w.shape[1]))
    return dw


@mistake("embedding_backward", "shifted", where="dw")
def gradients_of_words_counted_from_one(dy, x, w):
    """Adds to row x - 1."""
    dw = np.zeros_like(w)
    np.add.at(dw, x - 1, dy)
    return dw


@mistake("embedding_backward", "dtype", where="dw")
def collects_rows_in_double_precision(dy, x, w):
    """Starts from np.zeros(w.shape)."""
    dw = np.zeros(w.shape)
    np.add.at(dw, x, dy)
    return dw
