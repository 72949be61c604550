# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 21. A layer of your own
#
# Three steps, whatever the layer: write the formula and derive its gradient, let `mc.gradcheck` look for mistakes, and
# train with it. The first layer here works on the Fourier transform of an image and has complex numbers inside; the
# second one is made of layers that exist.

# %%
import numpy as np
from matplotlib.figure import Figure

import minicnn as mc
from minicnn import data, nn, optim

# %% [markdown]
# ## The formula
#
# A Fourier filter takes the transform of each channel, weighs every frequency by a number that is learned, and returns
# how strong each frequency then is:
#
# $$ F = \mathcal{F}(x), \qquad z = m \odot F, \qquad y = |z| $$
#
# x is real, F and z are complex, and the mask m is real, one number for every frequency. Why the magnitude? Moving an
# image (what leaves at one side comes in at the other) only turns each $F_k$ around 0 in the complex plane. Its phase
# changes, its magnitude does not: what such a layer gives out does not depend on where the object stands.
#
# ## The gradient
#
# A complex number is two real ones, so a gradient is two real numbers as well, one for each part. Written as one
# complex number, $g = \frac{\partial L}{\partial \mathrm{Re}\, z} + i \, \frac{\partial L}{\partial \mathrm{Im}\, z}$,
# the rules are short:
#
# 1. **Magnitude.** $|z| = \sqrt{a^2 + b^2}$ has the derivatives $a/|z|$ and $b/|z|$ with respect to its parts, so
#    $g_z = dy \cdot z / |z|$: the direction in which z grows. (At $z = 0$ there is none; 0 is as good as any.)
# 2. **Product with a real number.** $z = m F$ gives $g_F = m \, g_z$. With respect to m, both parts count:
#    $dm = \mathrm{Re}\, F \; \mathrm{Re}\, g_z + \mathrm{Im}\, F \; \mathrm{Im}\, g_z
#    = \mathrm{Re}(\overline{F} \, g_z)$, summed over all images and channels, since they share the mask. The bar, the
#    complex conjugate, is what is forgotten most often.
# 3. **Transform.** $\mathcal{F}$ is a matrix product. Going back through $y = Wx$ takes $W^T$, and for complex numbers
#    the conjugate of it as well. With `norm="ortho"` the transform is unitary: this matrix is the inverse transform.
#    x is real, so only the real part of what comes back counts.


# %%
class FourierFilter(nn.Layer):
    """y = |m F(x)|: a learned weight for every frequency, and the strength of what is left.

    x, y : (N, C, H, W)   m : (H, W)
    """

    def __init__(self, height, width):
        self.mask = nn.Parameter(np.ones((height, width), dtype=np.float32))

    def forward(self, x):
        F = np.fft.fft2(x, norm="ortho")
        z = self.mask.data * F
        y = np.abs(z)
        self.saved = F, z, y
        return y

    def backward(self, dy):
        F, z, y = self.saved
        g = dy * np.divide(z, y, out=np.zeros_like(z), where=y > 0)
        self.mask.add_grad((F.conj() * g).real.sum(axis=(0, 1)))
        return np.fft.ifft2(self.mask.data * g, norm="ortho").real


# %% [markdown]
# Nothing has to be registered: the engine finds the parameter, and with it saving, loading, moving and training.
#
# ## The check
#
# `gradcheck` compares with finite differences in float64, for x and for the mask.

# %%
mc.seed(21)
rng = np.random.default_rng(21)
x = rng.normal(size=(3, 2, 6, 5))  # a rectangle: on squares, mixed-up axes go unnoticed
report = mc.gradcheck(FourierFilter(6, 5), x)
print(report)
assert report.ok

# %% [markdown]
# And the three mistakes of which the derivation warned: the conjugate forgotten, the real part taken too early, and the
# transform where its inverse belongs.


# %%
class WithoutConjugate(FourierFilter):
    def backward(self, dy):
        F, z, y = self.saved
        g = dy * z / y
        self.mask.add_grad((F * g).real.sum(axis=(0, 1)))
        return np.fft.ifft2(self.mask.data * g, norm="ortho").real


class RealTooEarly(FourierFilter):
    def backward(self, dy):
        F, z, y = self.saved
        g = dy * z / y
        self.mask.add_grad((F.conj() * g).real.sum(axis=(0, 1)))
        return np.fft.ifft2((self.mask.data * g).real, norm="ortho").real


class ForwardTwice(FourierFilter):
    def backward(self, dy):
        F, z, y = self.saved
        g = dy * z / y
        self.mask.add_grad((F.conj() * g).real.sum(axis=(0, 1)))
        return np.fft.fft2(self.mask.data * g, norm="ortho").real


for wrong, where in ((WithoutConjugate, "mask"), (RealTooEarly, "x"), (ForwardTwice, "x")):
    report = mc.gradcheck(wrong(6, 5), x)
    places = sorted({finding.where for finding in report.findings})
    print(f"{wrong.__name__:<17} {'ok' if report.ok else 'wrong in ' + ', '.join(places)}")
    assert not report.ok
    assert places == [where]

# %% [markdown]
# ## What the layer is good for
#
# Train on digits where they stand, and test on the same digits moved by up to three pixels, around the border. A
# linear classifier on pixels has learned *where* the ink is. One behind the Fourier filter cannot know where, and so
# cannot be misled. Both start from the same seeds; three of them.

# %%
digits = data.load("digits")


def moved(images, seed):
    """Shift each image by its own number of pixels, -3 to 3, down and across."""
    shifts = np.random.default_rng(seed).integers(-3, 4, size=(len(images), 2))
    return np.stack([np.roll(image, shift, axis=(1, 2)) for image, shift in zip(images, shifts, strict=True)])


def trained(model):
    trainer = mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=0.01))
    trainer.fit(digits.train, epochs=30, batch_size=50, verbose=False)
    return trainer


def accuracy(trainer, x):
    return float((trainer.predict(x).argmax(axis=1) == digits.validation.y).mean())


still, elsewhere = digits.validation.x, moved(digits.validation.x, seed=0)
results = {"pixels": [], "Fourier filter": []}
for seed in (1, 2, 3):
    for name, front in (("pixels", []), ("Fourier filter", [FourierFilter(8, 8)])):
        mc.seed(seed)
        trainer = trained(nn.Sequential(*front, nn.Flatten(), nn.Linear(64, 10)))
        results[name].append((accuracy(trainer, still), accuracy(trainer, elsewhere)))
print(f"\n{'linear classifier on':<22}{'where they stand':>26}{'moved':>26}")
for name, pairs in results.items():
    cells = [f"{np.mean(each):.3f} ({min(each):.3f} to {max(each):.3f})" for each in zip(*pairs, strict=True)]
    print(f"{name:<22}{cells[0]:>26}{cells[1]:>26}")
pixels, fourier = (np.array(results[name]) for name in results)
assert (fourier[:, 1] > pixels[:, 1] + 0.2).all()
assert np.abs(fourier[:, 0] - fourier[:, 1]).max() < 0.01
assert (pixels[:, 0] > fourier[:, 0]).all()

# %% [markdown]
# Moved, the pixels' classifier nearly guesses, while the other one answers as before, to the digit. It pays where the
# digits stand. Turning an image by 180 degrees conjugates the transform, so the magnitudes of a 6 and of the 9 that it
# becomes are the same. Are these two mixed up?

# %%
read_as, truth = trainer.predict(still).argmax(axis=1), digits.validation.y
wrong = [tuple(sorted(pair)) for pair in zip(truth[read_as != truth], read_as[read_as != truth], strict=True)]
pairs = sorted({(wrong.count(pair), *pair) for pair in wrong}, reverse=True)[:5]
print("\nmixed up most often: " + ", ".join(f"{a} and {b} ({count})" for count, a, b in pairs))

# %% [markdown]
# They are, but so are others: few people's 9 is a 6 turned around, and the phases would have told more than these two
# apart. What a layer cannot see is chosen with its formula.
#
# Which frequencies did it keep? Low ones stand at the corners of the transform; `fftshift` brings them to the middle,
# with the mean of the image (no waves at all) at 0, 0.


# %%
def middle(spectrum):
    return np.fft.fftshift(np.abs(spectrum))


digit = digits.validation.x[0, 0]
figure = Figure(figsize=(9.6, 3.1), layout="constrained", dpi=120)
for axes, picture, title, colour_bar in zip(
    figure.subplots(1, 3),
    (digit, middle(np.fft.fft2(digit, norm="ortho")), middle(trainer.model[0].mask.data)),
    ("a digit", "|F|: the mean is strongest", "|m|: the mean counts least"),
    ("ink", "magnitude", "weight"),
    strict=True,
):
    pixels = colour_bar == "ink"
    drawn = axes.imshow(
        picture, cmap="gray" if pixels else "cividis", extent=None if pixels else (-4.5, 3.5, 3.5, -4.5)
    )
    axes.set_title(title, fontsize=9.5)
    axes.set_xlabel("pixels across" if pixels else "waves across the image")
    axes.set_ylabel("pixels down" if pixels else "waves down the image")
    figure.colorbar(drawn, ax=axes, shrink=0.85, label=colour_bar)
figure.savefig("fourier_filter.png")
print("\nwrote fourier_filter.png")

# %% [markdown]
# ## A layer made of layers
#
# Convolution, convolution, pooling is one thought in most networks; a layer can say it once. Its backward pass is the
# chain rule: the same layers, the other way round. Attributes that are layers are found like parameters are.


# %%
class ConvConvPool(nn.Layer):
    """y = maxpool(relu(conv(relu(conv(x))))).   x : (N, C, H, W)   y : (N, F, H/2, W/2)"""

    def __init__(self, in_channels, out_channels):
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.pool = nn.MaxPool2d(2)

    def forward(self, x):
        for layer in (self.conv1, self.relu1, self.conv2, self.relu2, self.pool):
            x = layer(x)
        return x

    def backward(self, dy):
        for layer in (self.pool, self.relu2, self.conv2, self.relu1, self.conv1):
            dy = layer.backward(dy)
        return dy


mc.seed(21)
block = ConvConvPool(2, 3)
report = mc.gradcheck(block, rng.normal(size=(2, 2, 6, 4)))
print(report)
assert report.ok

# %% [markdown]
# It trains, and its parameters have names that say where they are:

# %%
mc.seed(21)
model = nn.Sequential(ConvConvPool(1, 8), ConvConvPool(8, 16), nn.Flatten(), nn.Linear(64, 10))
print("\n" + " ".join(model.named_parameters()))
assert "1.conv2.weight" in model.named_parameters()
print(model.summary((1, 8, 8)))
trainer = mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=0.003))
history = trainer.fit(digits.train, validation=digits.validation, epochs=8, batch_size=50, verbose=False)
print(f"\nvalidation accuracy after {len(history)} epochs: {history['val_accuracy'][-1]:.3f}")
assert history["val_accuracy"][-1] > 0.93

# %% [markdown]
# `nn.Sequential(conv, relu, conv, relu, pool)` inside such a layer does the same, and lets the engine run neighbours in
# one step. Write the loop when the order is not a chain: when a value is used twice, the gradients of its uses add.
#
# ## Remember
#
# 1. For complex numbers keep one gradient for each part; conjugate where the transpose belongs.
# 2. Derive, check, train, in this order. Check on rectangles, more than one image and more than one channel.
# 3. A layer is a statement about what does not matter. Ask what it can no longer see.
#
# ## Try
#
# 1. Give the mask a channel axis, (C, H, W). Which sum in the gradient changes?
# 2. Return to pixels: y = Re(F^-1(m F)). Derive, check. What does a mask of low frequencies do to a digit?
# 3. Keep the phases too: give out Re z and Im z as two channels. What happens to the moved digits, and to 6 and 9?
# 4. Let the mask learn on noisy digits (`data.augment`). Which frequencies does it give up?
