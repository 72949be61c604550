# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 3. Is my gradient right?
#
# A wrong gradient seldom crashes. The network trains, only worse, and nobody knows why. There is a way to know: a
# gradient says how the output changes when an input changes a little, and that can simply be tried.

# %%
import numpy as np

import minicnn as mc
from minicnn import nn, ops

rng = np.random.default_rng(3)

# %% [markdown]
# ## One number
#
# $f(x) = x^3$ has the derivative $3x^2$. Finite differences need no calculus:
#
# $$ \text{forward: } \frac{f(x+h) - f(x)}{h} \qquad\qquad \text{central: } \frac{f(x+h) - f(x-h)}{2h} $$
#
# How small should $h$ be?

# %%
x = 1.5
true = 3 * x**2
print(f"{'h':>8}  {'forward':>12} {'error':>9}   {'central':>12} {'error':>9}")
for exponent in range(1, 14, 2):
    h = 10.0**-exponent
    forward = ((x + h) ** 3 - x**3) / h
    central = ((x + h) ** 3 - (x - h) ** 3) / (2 * h)
    print(f"{h:8.0e}  {forward:12.8f} {abs(forward - true):9.1e}   {central:12.8f} {abs(central - true):9.1e}")

# %% [markdown]
# The error first falls with $h$ (like $h$ for the forward difference, like $h^2$ for the central one), then rises
# again: two nearly equal numbers are subtracted, and what is left is rounding. For central differences in float64,
# $h = 10^{-5}$ is a good choice. In float32 there is no good choice, which is why gradients are checked in float64.
#
# ## A whole layer
#
# A layer has many outputs, and the backward pass never computes all their derivatives. It gets `dy`, the gradient
# of the loss with respect to the output, and returns the gradient of $L = \sum dy \cdot y$. So choose a **random**
# `dy`, and differentiate that one number $L$ by each entry in turn. With `dy` all ones, mistakes cancel and hide.

# %%
x = rng.normal(size=(4, 3))
w = rng.normal(size=(2, 3))
b = rng.normal(size=2)
dy = rng.normal(size=(4, 2))


def loss():
    return (dy * ops.linear_forward(x, w, b)).sum()


def numeric_gradient(array, h=1e-5):
    gradient = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        value = array[index]
        array[index] = value + h
        above = loss()
        array[index] = value - h
        below = loss()
        array[index] = value  # put it back
        gradient[index] = (above - below) / (2 * h)
    return gradient


dx, dw, db = ops.linear_backward(dy, x, w)
for name, array, analytic in (("x", x, dx), ("w", w, dw), ("b", b, db)):
    numeric = numeric_gradient(array)
    error = np.abs(analytic - numeric).max() / np.abs(numeric).max()
    print(f"d{name}: largest relative error {error:.1e}")
    assert error < 1e-7

# %% [markdown]
# ## The same in one line
#
# `mc.gradcheck` does this for any layer, for its input and all its parameters, and prints where it compared worst.

# %%
report = mc.gradcheck(nn.Linear(3, 2), x)
print(report)
assert report.ok

# %% [markdown]
# ## Catching a mistake
#
# Somebody forgot that a convolution's bias is added at every pixel of every image, and sums its gradient over the
# images only at the first pixel. `mc.plug` puts this version into the engine for the length of a `with` block.

# %%


def forgetful_backward(dy, x, w, **geometry):
    dx, dw, db = ops.conv2d_backward.body(dy, x, w, **geometry)
    return dx, dw, dy[:, :, 0, 0].sum(axis=0)


images = rng.normal(size=(2, 2, 6, 5))
with mc.plug(conv2d_backward=forgetful_backward):
    report = mc.gradcheck(nn.Conv2d(2, 3, kernel_size=3, stride=2, padding=1), images)
print(report)
assert not report.ok
assert {finding.where for finding in report.findings} == {"bias"}

# %% [markdown]
# Only `bias` fails, and the report says where, by how much, and what kind of mistake it is: lesson 4 is about those.
# Check at a stride of 2 and on rectangles: a mistake that only shows there is easily missed on squares with stride 1.
#
# ## Kinks
#
# ReLU has no derivative at 0: from the left the slope is 0, from the right it is 1, and central differences give
# 1/2. No gradient is right or wrong there. `gradcheck` notices that the slopes to both sides disagree, and skips
# such entries.

# %%
x = rng.normal(size=(3, 4))
x[0, :2] = 0.0
report = mc.gradcheck(nn.ReLU(), x)
print(report)
assert report.ok
assert report.tensors[0].skipped == 2

# %% [markdown]
# ## A network, with everything in it
#
# Dropout draws the same mask for every evaluation during the check, and batch norm's running statistics are put back.

# %%
model = nn.Sequential(
    nn.Conv2d(1, 4, 3, padding="same"),
    nn.BatchNorm2d(4),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Dropout(0.25),
    nn.Linear(36, 5),
)
report = mc.gradcheck(model, rng.normal(size=(3, 1, 6, 6)))
print(report)
assert report.ok

# %% [markdown]
# Look at `0.bias`: both columns are zero up to rounding. The batch norm behind it subtracts the mean, and with it any
# bias: that parameter can do nothing, which is why `Conv2d(..., bias=False)` stands before a batch norm.
#
# ## Try
#
# 1. Break `relu_backward` with `mc.plug`: let it return `dy` where `y >= 0`. Does the check see it? Why (not)? (`y`
#    is the output.)
# 2. Write a layer `class Square(nn.Layer)` with `y = x * x`, and check it. Then forget the 2 in its gradient.
# 3. Check `nn.MaxPool2d(2)` at `np.ones((1, 1, 4, 4))`. What does the report say, and why is that neither right nor
#    wrong?
