# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 2. The forward pass by hand
#
# From one image and the weights to the loss, with loops and a pencil's arithmetic: every intermediate shape and
# value is shown. Then the engine does the same, and every number agrees.
#
#     image 8x8 --conv 3x3--> 2 maps 6x6 --ReLU--> 2 maps 6x6 --max pool 2--> 2 maps 3x3 --flatten--> 18 numbers
#           --linear--> 10 scores --softmax--> 10 probabilities --cross-entropy--> 1 loss

# %%
import math

import numpy as np

import minicnn as mc
from minicnn import data, nn

np.set_printoptions(precision=2, suppress=True, linewidth=110)


def show(name, values):
    values = np.asarray(values)
    print(f"\n{name}, shape {values.shape}:\n{values}")


# %% [markdown]
# ## The image and the weights
#
# Two kernels that we can read: the first answers to ink on the left of an empty place, the second to ink above one.
# (Large numbers are ink.) The linear layer's weights are random, as before any training.

# %%
digits = data.load("digits")
image, label = digits.train.x[0, 0].astype(np.float64), int(digits.train.y[0])
show(f"the image, a {label}", image)

W1 = np.array([[[1, 0, -1], [1, 0, -1], [1, 0, -1]], [[1, 1, 1], [0, 0, 0], [-1, -1, -1]]], dtype=np.float64)
b1 = np.array([0.0, -0.5])
W2 = nn.init.lecun_normal((10, 18), mc.backend.CounterRng(seed=2))
b2 = np.zeros(10)
show("the kernels W1", W1)
show("the weights of the linear layer W2", W2)

# %% [markdown]
# ## Convolution
#
# Lay the kernel on the image with its corner at (i, j), multiply number by number, add up, add the bias:
#
# $$ z_{f,i,j} = b_f + \sum_{p=0}^{2} \sum_{q=0}^{2} W_{f,p,q} \; x_{i+p,\,j+q} $$
#
# There are 8 - 3 + 1 = 6 places for the corner in each direction. (Mathematicians flip the kernel first and call this
# one a correlation; in this field nobody flips, since the kernel is learned anyway.)

# %%
z = np.zeros((2, 6, 6))
for f in range(2):
    for i in range(6):
        for j in range(6):
            z[f, i, j] = b1[f]
            for p in range(3):
                for q in range(3):
                    z[f, i, j] += W1[f, p, q] * image[i + p, j + q]
show("z, after the convolution", z)
products = W1[0] * image[0:3, 0:3]
print(f"\nits first number: the sum of\n{products}\nplus {b1[0]} is {products.sum() + b1[0]:.2f}")

# %% [markdown]
# ## ReLU
#
# Negative answers ("the opposite of this pattern") become zero: $a = \max(z, 0)$.

# %%
a = np.zeros_like(z)
for f in range(2):
    for i in range(6):
        for j in range(6):
            a[f, i, j] = z[f, i, j] if z[f, i, j] > 0 else 0.0
show("a, after the ReLU", a)

# %% [markdown]
# ## Max pooling
#
# Each 2 x 2 square gives its largest number.

# %%
m = np.zeros((2, 3, 3))
for f in range(2):
    for i in range(3):
        for j in range(3):
            m[f, i, j] = max(
                a[f, 2 * i, 2 * j], a[f, 2 * i, 2 * j + 1], a[f, 2 * i + 1, 2 * j], a[f, 2 * i + 1, 2 * j + 1]
            )
show("m, after max pooling", m)

# %% [markdown]
# ## Flatten and linear
#
# All 18 numbers in one row, map after map, row after row. Each score is a weighted sum of all of them:
#
# $$ s_k = b_k + \sum_{d=0}^{17} W_{k,d} \; v_d $$

# %%
v = [m[f, i, j] for f in range(2) for i in range(3) for j in range(3)]
show("v, flattened", v)
s = [b2[k] + sum(W2[k, d] * v[d] for d in range(18)) for k in range(10)]
show("s, the scores (logits)", s)

# %% [markdown]
# ## Softmax and cross-entropy
#
# Scores become probabilities, and the loss is how surprised the network is by the truth:
#
# $$ p_k = \frac{e^{s_k}}{\sum_j e^{s_j}}, \qquad \text{loss} = -\log p_\text{label} $$
#
# The largest score is subtracted first. That changes nothing ($e^{s-c} = e^s / e^c$, and $e^c$ cancels), but
# $e^{1000}$ is more than a computer's number can hold.

# %%
largest = max(s)
e = [math.exp(score - largest) for score in s]
p = [value / sum(e) for value in e]
loss = -math.log(p[label])
show("p, the probabilities", p)
print(f"\nthe probability of the truth, {label}, is {p[label]:.4f}, so the loss is -log {p[label]:.4f} = {loss:.4f}")
print(f"a network that knows nothing says 0.1 for every digit: -log 0.1 = {-math.log(0.1):.4f}")

# %% [markdown]
# ## The same by the engine
#
# The same weights are put into a network of layers, in float64. `x` has two axes more than our image: one for the
# batch, one for the channels.

# %%
model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 10)).astype(
    np.float64
)
model.load_state_dict({"0.weight": W1[:, None], "0.bias": b1, "4.weight": W2, "4.bias": b2})

x = image[None, None]
print(f"\n{'layer':<22}{'shape':<16}largest difference to the numbers above")
for layer, by_hand in zip(model, [z, a, m, v, s], strict=True):
    x = layer(x)
    difference = np.abs(x[0] - np.asarray(by_hand)).max()
    print(f"{layer!r:<22}{x.shape!s:<16}{difference:.1e}")
    assert difference < 1e-12, "the engine and the hand disagree"

engine_loss = nn.CrossEntropyLoss()(x, np.array([label]))
print(f"{'CrossEntropyLoss()':<22}{engine_loss.shape!s:<16}{abs(engine_loss - loss):.1e}")
assert abs(engine_loss - loss) < 1e-12, "the engine and the hand disagree"

# %% [markdown]
# ## Try
#
# 1. Give the convolution `padding=1` in both versions. Which loops change, and what size has everything now?
# 2. Replace the first kernel by nine numbers of 1/9. What does the first map show?
# 3. Put your own convolution into the engine: write `def mine(x, w, b, *, stride, padding)` with the loops above,
#    and run the model inside `with mc.plug(conv2d_forward=mine):`. There x is (N, C, H, W), w is (F, C, 3, 3), and
#    what you return is (N, F, 6, 6): two loops more, over images n and channels c.
