# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 4. When the gradient is wrong
#
# A gradient check says **that** a gradient is wrong. What you need at 23:00 is **what kind** of mistake it is.
# A mistake leaves a trace in the numbers: a forgotten sum, a kernel turned the wrong way, a mask of another array each
# spoil the result in a way of their own. `examine` tries to undo them, one after another, and names the one which,
# undone, makes the result right in *every* example that it tries.
#
# Six mistakes that are made every year, and their reports.

# %%
import numpy as np

import minicnn as mc
from minicnn import nn
from minicnn.check import examine

rng = np.random.default_rng(4)


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


# %% [markdown]
# ## 1. A convolution's backward pass, with two mistakes in it
#
# Read it first. Do you see them? (The loop over the windows is right.)


# %%
def conv2d_backward(dy, x, w, *, stride=1, padding=0):
    (sh, sw), (ph, pw), (kh, kw) = pair(stride), pair(padding), w.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    dpadded, dw = np.zeros_like(padded), np.zeros_like(w)
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            rows, columns = slice(i * sh, i * sh + kh), slice(j * sw, j * sw + kw)
            dw += np.einsum("nf,nchw->fchw", dy[:, :, i, j], padded[:, :, rows, columns])
            dpadded[:, :, rows, columns] = np.einsum("nf,fchw->nchw", dy[:, :, i, j], w)
    db = dy.mean(axis=(0, 2, 3))
    return dpadded[:, :, ph : ph + x.shape[2], pw : pw + x.shape[3]], dw, db


report = examine("conv2d_backward", conv2d_backward)
print(report)
assert [finding.kind for finding in report.findings if finding.where == "dx"] == ["not-accumulated"]
assert next(finding.kind for finding in report.findings if finding.where == "db") == "not-summed"

# %% [markdown]
# How to read it:
#
# - The first lines say which results are right. `dw` is: leave it alone.
# - Each star is a result, the kind of mistake in brackets, and what was seen. `dx` is right in just one of the calls,
#   the one in which windows do not overlap; everywhere else each pixel keeps the contribution of **one** window. So an
#   `=` stands where a `+=` is meant.
# - One entry is written out: what came, what was expected, and what finite differences of the forward pass measure.
#   The last two agree, as they should: the expectation was not made up.
# - `db` is the right number divided by $N \cdot oh \cdot ow$, in every call: a mean where the sum belongs.
# - The arrow is a hint where to look. It never tells the solution.
#
# `report.plot()` shows expected, got and difference as images; of several images, each row is a sample.

# %%
report.plot().savefig("when_the_gradient_is_wrong.png", dpi=100)
print("drew when_the_gradient_is_wrong.png")

# %% [markdown]
# ## 2. ReLU asks the wrong array
#
# Where the output was 0, nothing gets through. This one asks the gradient instead.


# %%
def relu_backward(dy, y):
    return np.where(dy > 0, dy, 0)


report = examine("relu_backward", relu_backward)
print(report)
assert report.findings[0].kind == "mask"
assert report.findings[0].evidence["argument"] == "dy"

# %% [markdown]
# ## 3. Batch norm, and a path that was forgotten
#
# $x$ reaches the output in three ways: directly, through the mean, and through the variance, for both are computed from
# $x$. The gradient has a term for each.


# %%
def batch_norm_backward(dy, x, gamma, mean, inv_std):
    axes = (0, *range(2, x.ndim))

    def per_channel(v):
        return v.reshape(-1, *[1] * (x.ndim - 2))

    x_hat = (x - per_channel(mean)) * per_channel(inv_std)
    dbeta, dgamma = dy.sum(axis=axes), (dy * x_hat).sum(axis=axes)
    m = x.size // x.shape[1]
    dx = per_channel(gamma * inv_std) * (dy - per_channel(dbeta / m))
    return dx, dgamma, dbeta


report = examine("batch_norm_backward", batch_norm_backward)
print(report)
assert report.findings[0].kind == "missing-term"
assert "variance" in report.findings[0].message

# %% [markdown]
# The examiner knows the terms of this formula. It writes your result as a sum of them with unknown factors and solves
# for those: a factor of 0 is a missing term, -1 a wrong sign, 2 a factor too many.
#
# ## 4. Right for stride 1
#
# A test at stride 1 would have passed this. That is why the examiner's calls differ from the plain one in a single
# respect each: what goes wrong with one of them points at the reason.


# %%
def im2col(x, *, kernel, stride=1, padding=0):
    (kh, kw), (sh, sw), (ph, pw) = pair(kernel), pair(stride), pair(padding)
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    oh, ow = (padded.shape[2] - kh) // sh + 1, (padded.shape[3] - kw) // sw + 1
    windows = [padded[:, :, i : i + kh, j : j + kw].reshape(len(x), -1) for i in range(oh) for j in range(ow)]
    return np.stack(windows, axis=2)


report = examine("im2col", im2col)
print(report)
assert report.findings[0].kind == "ignores-argument"
assert report.findings[0].evidence["argument"] == "stride"

# %% [markdown]
# ## 5. A clever cache
#
# The input is kept in the order in which the product needs it, so that it need not be turned twice. It is kept by its
# *shape*, and the next batch has the same one. A test that calls the function once cannot see it.

# %%
kept = {}


def linear_backward(dy, x, w):
    if x.shape not in kept:
        kept[x.shape] = np.ascontiguousarray(x.T)
    return dy @ w, (kept[x.shape] @ dy).T, dy.sum(axis=0)


report = examine("linear_backward", linear_backward)
print(report)
assert report.findings[0].kind == "wrong-cache"

# %% [markdown]
# ## 6. A layer of your own
#
# Nobody but you knows what your own layer should compute, so there is nothing to compare with, except finite
# differences. `mc.gradcheck` measures all derivatives with them and reads wrong gradients in the same way.


# %%
class Scale(nn.Layer):
    """y[n, c] = scale[c] * x[n, c] for images."""

    def __init__(self, channels):
        self.scale = nn.Parameter(np.ones((channels, 1, 1), dtype=np.float32))

    def forward(self, x):
        self.saved = x
        return self.scale.data * x

    def backward(self, dy):
        self.scale.add_grad((dy * self.saved)[-1].sum(axis=(1, 2), keepdims=True))
        return self.scale.data * dy


report = mc.gradcheck(Scale(3), rng.normal(size=(4, 3, 5, 6)))
print(report)
assert report.findings[0].kind == "partial-batch"
assert report.findings[0].where == "scale"

# %% [markdown]
# ## What it cannot do
#
# - It tries the mistakes that it knows, and says `unknown` if none fits to the last digit. Two mistakes in one result
#   can hide each other: mend what is named, and ask again.
# - `ties` is no mistake: at a kink, or where two maxima are equal, several gradients are as good as each other.
# - A report on your function is no proof. It is some twenty calls with small arrays.
#
# ## Try
#
# 1. In a file of your own, write `conv2d_backward` as above with both mistakes, and run `minicnn check yourfile.py
#    --watch` beside your editor. Mend them one by one.
# 2. Make the mistake of which you think that it cannot be named. Was it?
# 3. Take the last layer, forget the scale in `dx` instead, and start at `scale = 1`. The check still sees it. Why?
#    (Read the docstring of `mc.gradcheck`.)
