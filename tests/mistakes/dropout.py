"""Dropout as students write it."""

import numpy as np

from minicnn.ops import random_bits
from mistakes.honest import dropout_scale
from mistakes.registry import mistake


def _kept(x, p, key):
    """The mask that the key stands for."""
    return (random_bits(key, count=x.size) >= min(int(p * 2**32), 2**32 - 1)).reshape(x.shape)


@mistake("dropout_forward", "scale", where="y")
def drops_without_scaling(x, *, p, key):
    """Forgets 1 / (1 - p), so that the mean sinks."""
    mask = _kept(x, p, key)
    return x * mask, mask


@mistake("dropout_forward", "scale", where="y")
def scales_by_the_other_probability(x, *, p, key):
    """Divides by p, the probability of being dropped."""
    mask = _kept(x, p, key)
    return x * mask * (1 / p if p > 0 else 1.0), mask


@mistake("dropout_forward", "mask", where="y")
def keeps_what_should_go(x, *, p, key):
    """Uses the mask the wrong way round: what it keeps is set to zero."""
    mask = _kept(x, p, key)
    return np.where(mask, 0, x) * dropout_scale(p), mask


@mistake("dropout_forward", "nondeterministic", where="mask")
def draws_from_numpys_generator(x, *, p, key):
    """Takes the key and draws from a generator with a seed of its own."""
    mask = np.random.default_rng().random(x.shape) >= p
    return x * mask * dropout_scale(p), mask


@mistake("dropout_forward", "ignores-argument", where="mask")
def the_same_mask_in_every_step(x, *, p, key):
    """Uses the key's seed and stream and forgets the step."""
    mask = _kept(x, p, key._replace(step=0))
    return x * mask * dropout_scale(p), mask


@mistake("dropout_forward", "mutates-input", where="x")
def drops_in_place(x, *, p, key):
    """Multiplies x itself by the mask."""
    mask = _kept(x, p, key)
    x *= mask
    return x * dropout_scale(p), mask


@mistake("dropout_forward", "wrong-cache", where="mask")
def the_first_images_mask_for_all(x, *, p, key):
    """Draws a mask for one image and lays it on every image of the batch."""
    mask = np.broadcast_to(_kept(x[0], p, key), x.shape).copy()
    return x * mask * dropout_scale(p), mask


@mistake("dropout_forward", "dtype", where="y")
def scales_by_a_numpy_number(x, *, p, key):
    """Divides by np.float64(1 - p), which makes float64 of float32."""
    mask = _kept(x, p, key)
    return x * mask * np.float64(dropout_scale(p)), mask


@mistake("dropout_forward", "raises", where="y")
def draws_for_vectors_only(x, *, p, key):
    """Unpacks x.shape into two numbers, which an image's shape is not."""
    n, d = x.shape
    mask = _kept(x, p, key).reshape(n, d)
    return x * mask * dropout_scale(p), mask


@mistake("dropout_backward", "mask", where="dx")
def everything_learns(dy, mask, *, p):
    """Scales dy and forgets the mask."""
    return dy * dropout_scale(p)


@mistake("dropout_backward", "mask", where="dx")
def the_dropped_learn(dy, mask, *, p):
    """Lets the gradient through where the number was dropped."""
    return np.where(mask, 0, dy) * dropout_scale(p)


@mistake("dropout_backward", "scale", where="dx")
def gradient_without_the_scale(dy, mask, *, p):
    """Forgets that the forward pass scaled by 1 / (1 - p)."""
    return dy * mask


@mistake("dropout_backward", "scale", where="dx")
def multiplies_where_it_should_divide(dy, mask, *, p):
    """Takes the chain rule for an inverse and multiplies by 1 - p."""
    return dy * mask * (1 - p)


@mistake("dropout_backward", "nondeterministic", where="dx", also=("mask",))
def draws_another_mask(dy, mask, *, p):
    """Draws a mask anew on the way back."""
    mask = np.random.default_rng().random(dy.shape) >= p
    return dy * mask * dropout_scale(p)


@mistake("dropout_backward", "mask", where="dx")
def a_mask_of_a_fixed_seed(dy, mask, *, p):
    """Draws the mask again, from a generator seeded with 0, and hopes that it is the same."""
    mask = np.random.default_rng(0).random(dy.shape) >= p
    return dy * mask * dropout_scale(p)


@mistake("dropout_backward", "dtype", where="dx")
def divides_the_mask(dy, mask, *, p):
    """Scales the mask first: booleans times a number are float64."""
    return dy * (mask * dropout_scale(p))
