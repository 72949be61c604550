# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 20. Making it fast
#
# One convolution in four ways: loops in Python, the same loops compiled, one matrix product, and an algorithm that
# multiplies less. All give the same numbers, and the engine needs a ten-thousandth of the first one's time, or less.
# No step is magic: each removes something that kept the processor waiting, or doing what need not be done.

# %%
import time

import numpy as np
from matplotlib.figure import Figure
from numba import njit
from numpy.lib.stride_tricks import sliding_window_view

import minicnn as mc
from minicnn import ops

# %% [markdown]
# A layer from the middle of a network: 8 images of 32 x 32 pixels, 64 channels in, 64 out, kernels of 3 x 3. The
# border of zeros (`padding=1`) is laid around x beforehand, so that no loop has to ask whether it has left the image:
#
# $$ y_{n,f,i,j} = \sum_{c=0}^{63} \sum_{p=0}^{2} \sum_{q=0}^{2} w_{f,c,p,q} \; x_{n,c,i+p,j+q} $$
#
# Every number of y takes 576 multiplications and 576 additions: the **operations of the direct algorithm**. Speed is
# counted in billions of them a second (GFLOP/s), also where a version finds a way to do fewer.

# %%
N, C, F, H, W = 8, 64, 64, 32, 32
rng = np.random.default_rng(20)
x = np.pad(rng.standard_normal((N, C, H, W), dtype=np.float32), ((0, 0), (0, 0), (1, 1), (1, 1)))
w = rng.standard_normal((F, C, 3, 3), dtype=np.float32)
y = np.empty((N, F, H, W), dtype=np.float32)
operations = 2 * y.size * w[0].size
print(f"one convolution: {operations / 1e9:.2f} billion operations")

# %% [markdown]
# ## The clock and the ceiling
#
# Whatever else the computer does can slow a program down, but never speed it up: the fastest of several runs tells
# most about the program. One run before the clock starts compiles what has to be compiled. The ceiling, the best that
# this machine can do, is the product of two large matrices: processors and libraries are built for it. And should
# memory be the limit, then x, w and y have to pass once at least.


# %%
def clock(run, seconds=0.3):
    """Return what run() returns, and the seconds that the fastest of some runs takes."""
    result, times = run(), []
    while sum(times) < seconds:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return result, min(times)


square = rng.standard_normal((1024, 1024), dtype=np.float32)
ceiling = 2 * 1024**3 / clock(lambda: square @ square)[1] / 1e9
source, target = np.ones((2, 2**24), dtype=np.float32)
bandwidth = (source.nbytes + target.nbytes) / clock(lambda: np.copyto(target, source))[1] / 1e9
print(f"ceiling: {ceiling:.0f} GFLOP/s; our convolution in {operations / ceiling / 1e6:.2f} ms")
print(f"memory: {bandwidth:.0f} GB/s; x, w and y in {(x.nbytes + w.nbytes + y.nbytes) / bandwidth / 1e6:.2f} ms")

# %% [markdown]
# Memory needs far less time: a convolution uses each number hundreds of times. So the ceiling is within reach, as
# long as we do not fetch the same numbers again and again. (Does it look low? Then something else is running, too.)
#
# ## What counts as equal?
#
# A float32 keeps 24 bits, so every product and every sum is rounded, by up to $\varepsilon/2$ of its size, with
# $\varepsilon = 2^{-23} \approx 1.2 \cdot 10^{-7}$. In a sum plus and minus cancel, but roundings stay. So we compare
# them with the sum **without signs**, $\sum |w|\,|x|$, and allow $8\varepsilon$ of it. (576 in a row could do more
# harm, but they go up and down at random.) The judge works in float64: nine products of matrices, one a tap.


# %%
def judge(x, w):
    taps = [(p, q) for p in range(3) for q in range(3)]
    y = sum(w[:, :, p, q] @ x[:, :, p : p + H, q : q + W].reshape(N, C, H * W) for p, q in taps)
    return y.reshape(N, F, H, W)


reference = judge(x.astype(np.float64), w.astype(np.float64))
epsilon = np.finfo(np.float32).eps * judge(np.abs(x), np.abs(w))
table = []


def report(way, y, seconds, allowed=8):
    """Check y, or a corner of it, against the judge, wipe it, and scale the time of a corner up to the whole."""
    corner = tuple(slice(length) for length in y.shape)
    rounding = (np.abs(y - reference[corner]) / epsilon[corner]).max()
    assert rounding < allowed, f"{way} is wrong by {rounding:.1f} eps"
    y.fill(np.nan)  # so that the next one cannot live on this one's result
    seconds *= reference.size / y.size
    table.append((way, seconds, operations / seconds / 1e9, rounding))
    print(f"{way}: {seconds * 1000:.1f} ms, {operations / seconds / 1e9:.3g} GFLOP/s")


# %% [markdown]
# ## 1. Loops in Python
#
# The formula as it stands. All of y would take minutes, so we compute a corner of it: 1 image, 4 kernels, 8 x 16
# pixels, 512 of 524,288 numbers. Its time is multiplied by 1024; that is fair, for all numbers of y are the same work.


# %%
def loops(x, w, y):
    for n in range(y.shape[0]):
        for f in range(y.shape[1]):
            for i in range(y.shape[2]):
                for j in range(y.shape[3]):
                    total = np.float32(0)
                    for c in range(w.shape[1]):
                        for p in range(3):
                            for q in range(3):
                                total += w[f, c, p, q] * x[n, c, i + p, j + q]
                    y[n, f, i, j] = total
    return y


report("loops in Python", *clock(lambda: loops(x, w, np.empty((1, 4, 8, 16), dtype=np.float32))))

# %% [markdown]
# ## 2. The same loops, compiled
#
# For one multiplication the interpreter reads a dozen instructions, asks every operand for its type, makes an object
# of every index and every result, and throws them away again. Numba compiles **the very same function**: types are
# settled once, before the loops, and what is left inside is the arithmetic.

# %%
compiled = njit(loops)
report("the same loops, compiled", *clock(lambda: compiled(x, w, y)))

# %% [markdown]
# Still far below the ceiling. There is one `total`, so each addition waits for the one before it, three or four ticks
# of the processor's clock. The compiler may not add in another order: (a + b) + c and a + (b + c) round differently.
#
# **Change the order of the loops.** With f innermost there are 64 sums, one a kernel, and none waits for another.
# Better still, a processor has **vector** instructions that multiply and add 8 or 16 numbers at a time, if they lie
# side by side. Do they? In w of shape (F, C, 3, 3) the next f is 576 numbers away. Memory comes in lines of 64 bytes;
# here a whole line is fetched for 4 bytes of it. So the new loops run three times: on the memory as it is, under a
# transposed view; on a copy with **channels last**, where the numbers of one pixel are neighbours; and then with the
# images, which do not need each other, shared among all cores. (`nogil` lets Python's threads run at the same time.)


# %%
@njit(nogil=True)
def kernels_innermost(x, w, y):
    """x (N, H+2, W+2, C), w (3, 3, C, F), y (N, H, W, F)"""
    sums = np.empty(y.shape[3], dtype=np.float32)
    for n in range(y.shape[0]):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                sums[:] = 0
                for p in range(3):
                    for q in range(3):
                        for c in range(w.shape[2]):
                            for f in range(y.shape[3]):
                                sums[f] += w[p, q, c, f] * x[n, i + p, j + q, c]
                y[n, i, j] = sums


memory_as_it_is = x.transpose(0, 2, 3, 1), w.transpose(2, 3, 1, 0), y.transpose(0, 2, 3, 1)
_, seconds = clock(lambda: kernels_innermost(*memory_as_it_is))
report("kernels innermost, channels first", y, seconds)

x_last, w_last, y_last = (np.ascontiguousarray(view) for view in memory_as_it_is)
_, seconds = clock(lambda: kernels_innermost(x_last, w_last, y_last))
report("kernels innermost, channels last", y_last.transpose(0, 3, 1, 2), seconds)

in_threads = mc.backend.in_threads  # gives every thread its part: the images from a up to b
_, seconds = clock(lambda: in_threads(lambda a, b: kernels_innermost(x_last[a:b], w_last, y_last[a:b]), N))
report(f"... and on all cores (here {mc.backend.get_num_threads()})", y_last.transpose(0, 3, 1, 2), seconds)

# %% [markdown]
# The same loops in the same order, only the numbers moved: that is why the engine keeps its images channels last.
#
# ## 3. im2col and one matrix product
#
# Still, for each multiplication these loops load a weight, load a sum and store the sum. A matrix product from a
# library (BLAS) keeps a small **tile** of results in registers, say 6 rows of 16. Then 6 numbers of one matrix and 16
# of the other are enough for 96 multiplications. The cheapest trick of this lesson is to turn our problem into that
# one: lay every window down as a row of a matrix.


# %%
def unfold(x):
    windows = sliding_window_view(x, (3, 3), axis=(1, 2))  # (N, H, W, C, 3, 3), a view: nothing is copied yet
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(N * H * W, 9 * C)  # copied here, in w_last's order


product, seconds = clock(lambda: unfold(x_last) @ w_last.reshape(9 * C, F))
report("im2col + matrix product", product.reshape(N, H, W, F).transpose(0, 3, 1, 2), seconds)
rows, seconds = clock(lambda: unfold(x_last))
print(f"    {seconds * 1000:.1f} ms of that unfold {x.nbytes / 1e6:.1f} MB to {rows.nbytes / 1e6:.1f} MB")

# %% [markdown]
# ## 4. Winograd: fewer multiplications
#
# Take one dimension: two outputs next to each other, a kernel of three numbers. Directly, that is 6 multiplications.
# Winograd does it with 4. (Sums of the kernel alone do not count: made once, they serve everywhere in the image.)

# %%
d0, d1, d2, d3, g0, g1, g2 = rng.standard_normal(7)
direct = np.array([d0 * g0 + d1 * g1 + d2 * g2, d1 * g0 + d2 * g1 + d3 * g2])
plus, minus = (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2
m1, m2, m3, m4 = (d0 - d2) * g0, (d1 + d2) * plus, (d2 - d1) * minus, (d1 - d3) * g2
clever = np.array([m1 + m2 + m3, m2 - m3 - m4])
print(f"direct, 6 multiplications: {direct}\nF(2,3), 4 multiplications: {clever}")
assert np.allclose(direct, clever)

# %% [markdown]
# Work through it once with a pencil. As matrices: $y = A^T [(G g) \odot (B^T d)]$, that is, mix the kernel, mix the
# inputs, multiply number by number, mix the products. $F(m, 3)$ makes m outputs of m + 2 inputs with m + 2
# multiplications. Where do the matrices come from? Toom and Cook: a polynomial of degree m + 1 is known from its
# values at m + 2 points. So choose points $a_j$, the last of them infinity; column j of $A^T$ and row j of $G$ hold
# powers of $a_j$. Then $B^T$ has no choice, since $y_i = \sum_k g_k d_{i+k}$ must come out whatever g and d are:
#
# $$ \sum_j A^T_{ij} \; G_{jk} \; B^T_{jl} = 1 \text{ if } l = i + k, \text{ else } 0 $$

# %%
POINTS = np.array([0, 1, -1, 2, -2, 1 / 2, -1 / 2, 4, -1 / 4])


def matrices(m):
    """Return A^T (m, m+2), G (m+2, 3) and B^T (m+2, m+2) of F(m, 3)."""
    a = POINTS[: m + 1]
    scale = np.array([np.prod(a[j] - np.delete(a, j)) for j in range(m + 1)])  # so that B^T gets simple numbers
    AT = np.column_stack([np.vander(a, m, increasing=True).T, np.eye(m)[-1]])  # infinity: the highest power only
    G = np.vstack([np.vander(a, 3, increasing=True) / scale[:, None], np.eye(3)[-1]])
    left = np.einsum("ij,jk->ikj", AT, G).reshape(3 * m, m + 2)
    right = np.eye(m + 2)[np.add.outer(np.arange(m), np.arange(3))].reshape(3 * m, m + 2)
    return AT, G, np.linalg.lstsq(left, right)[0]


print("B^T of F(4,3):", matrices(4)[2].round(3) + 0, sep="\n")  # + 0 makes 0 of -0

# %% [markdown]
# In two dimensions, rows are mixed and then columns: $Y = A^T [(G g G^T) \odot (B^T d B)] A$. A tile of 4 x 4 outputs
# reads 6 x 6 inputs and takes **36** multiplications for each pair of channels; directly it is 16 times 9, **144**.
# Over all pairs and tiles these are once more matrix products, 36 of them, one for each place in the tile. Mixing
# costs additions, but once a channel, not once a *pair* of channels; with 64 of them that is soon repaid. (Lavin and
# Gray, "Fast algorithms for convolutional neural networks", 2016, whose matrices for F(4,3) these are.)


# %%
def both_sides(L, d):
    """Return L d L^T over the first two axes of d; whatever axes follow come along."""
    rows = (L @ d.reshape(len(d), -1)).reshape(len(L), d.shape[1], -1)
    return (L @ rows).reshape(len(L), len(L), *d.shape[2:])


def winograd(x, w, m=4):
    """x (N, H+2, W+2, C), w (3, 3, C, F) -> y (N, H, W, F), in tiles of m x m outputs; m divides H and W."""
    AT, G, BT = (matrix.astype(x.dtype) for matrix in matrices(m))
    tiles = sliding_window_view(x, (m + 2, m + 2), axis=(1, 2))[:, ::m, ::m]  # neighbours overlap by 2
    n, down, across, channels = tiles.shape[:4]
    d = tiles.transpose(4, 5, 0, 1, 2, 3).reshape(m + 2, m + 2, n * down * across, channels)
    products = both_sides(BT, d) @ both_sides(G, w)  # (m+2, m+2, tiles, C) @ (m+2, m+2, C, F)
    Y = both_sides(AT, products).reshape(m, m, n, down, across, w.shape[3])
    return Y.transpose(2, 3, 0, 4, 1, 5).reshape(n, m * down, m * across, w.shape[3])


y_winograd, seconds = clock(lambda: winograd(x_last, w_last))
report("Winograd F(4x4,3x3) in NumPy", y_winograd.transpose(0, 3, 1, 2), seconds, allowed=250)
V, U = np.ones((36, N * H * W // 16, C), dtype=np.float32), np.ones((36, C, F), dtype=np.float32)
print(f"    {clock(lambda: V @ U)[1] * 1000:.1f} ms of that are the 36 products; the rest is mixing and moving")

# %% [markdown]
# Here up to $250\varepsilon$ is allowed, and that is the price: on the way large numbers arise that cancel in the end,
# and their roundings stay. What would larger tiles bring, and cost? (On 24 x 24 pixels, which all four divide.)

# %%
print("\nF(m x m, 3 x 3)   multiplications      rounding   largest error / largest y")
for m in (2, 4, 6, 8):
    error = np.abs(winograd(x_last[:, :26, :26], w_last, m).transpose(0, 3, 1, 2) - reference[..., :24, :24])
    rounding, relative = (error / epsilon[..., :24, :24]).max(), error.max() / np.abs(reference).max()
    print(f"m = {m} {(m + 2) ** 2 / m**2:16.2f} instead of 9 {rounding:9.1f} eps {relative:17.0e}")

# %% [markdown]
# ## The engine
#
# `minicnn/kernels/numba` puts it together: channels last, images shared out to threads, a tile of results that stays
# in registers, and no matrix of windows, since what is not written need not be fetched. Which algorithm it runs may
# depend on the layer. The table tells: well above the ceiling there are only those who multiply less.

# %%
image = np.ascontiguousarray(x_last[:, 1:-1, 1:-1]).transpose(0, 3, 1, 2)  # as the layer before would leave it
with mc.use_backend("numba"):
    report("the engine's conv2d_forward", *clock(lambda: ops.conv2d_forward(image, w, None, padding=1)), allowed=250)

ceiling = max(ceiling, 2 * 1024**3 / clock(lambda: square @ square)[1] / 1e9)  # something may have disturbed the first
print(f"\n{'way':<36}{'ms':>10}{'GFLOP/s':>10}{'times':>9}{'of ceiling':>12}{'rounding':>12}")
for way, seconds, speed, rounding in table:
    times = table[0][1] / seconds
    print(f"{way:<36}{seconds * 1000:10.1f}{speed:10.3g}{times:9,.0f}{100 * speed / ceiling:11.3g}%{rounding:8.1f} eps")

figure = Figure(figsize=(9.2, 3.8), layout="constrained", dpi=120)
axes = figure.subplots()
ways, _, speeds, _ = zip(*table, strict=True)
bars = axes.barh(ways, speeds, color="#0072B2", log=True)
white = {"facecolor": "white", "edgecolor": "none", "pad": 1}
axes.bar_label(bars, [f"{speed:.3g}" for speed in speeds], padding=4, bbox=white)
axes.axvline(ceiling, color="#D55E00", linestyle="--", label=f"ceiling: a matrix product, {ceiling:.0f} GFLOP/s")
axes.set(xlabel="GFLOP/s, in operations of the direct algorithm", xlim=(None, 5 * max(*speeds, ceiling)))
axes.set_title(f"One convolution, {speeds[-1] / speeds[0]:,.0f} times as fast in the end")
axes.invert_yaxis()
axes.legend(loc="upper right")
figure.savefig("making_it_fast.png")
print("the bars are in making_it_fast.png")

# %% [markdown]
# ## Try
#
# 1. In `kernels_innermost`, make c the innermost loop and f the one around p and q. How must w lie now? Guess before
#    you measure. Then write `@njit(fastmath=True)`: what is the compiler allowed to do that it was not before?
# 2. Set N = 32. Whose GFLOP/s fall? Compare the size of im2col's matrix with your processor's cache.
# 3. Set C = 3, a network's first layer. Why does Winograd lose its lead? Count multiplications and additions.
# 4. Swap the points 2 and 1/2. How does the rounding of F(4,3) change, and which powers are to blame?
# 5. Train through your own convolution: put `def mine(x, w, b, **geometry):` around `winograd` (pad x, turn x and w
#    channels last and y back, add b), take the network of lesson 1, whose images of 8 x 8 and 4 x 4 fit the tiles, and
#    run `with mc.plug(conv2d_forward=mine): trainer.fit(...)`. Does the loss end where it ended before?
