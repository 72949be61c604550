# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 34. A denoising autoencoder
#
# An autoencoder squeezes an image through few numbers, its **code**, and draws it again. Shown noisy images and asked
# for the clean ones, it learns what images of its kind look like; noise looks like nothing, and stays behind.
#
# What is that worth, and compared with what? Blurring removes noise too, costs one line and needs no training. So every
# number below stands beside that of the best blur.

# %%
import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

import minicnn as mc
from minicnn import data, metrics, models, nn, optim
from minicnn.data import augment, synthetic

SEEDS = (1, 2, 3)

# %% [markdown]
# ## Measures
#
# **PSNR**, the peak signal-to-noise ratio, compares the squared error with the range of grey values $L$; 10 dB more is
# a tenth of the error. **SSIM** compares means, contrasts and structure window by window; 1 is the same image. Lesson
# 16 is about what each of them sees.
#
# $$ \mathrm{PSNR} = 10 \log_{10} \frac{L^2}{\mathrm{MSE}} $$


# %%
def quality(clean, images, data_range):
    """Return PSNR (dB) and SSIM, the means over images (N, 1, H, W)."""
    pairs = [(a[0], b[0]) for a, b in zip(clean, images, strict=True)]
    psnr = [metrics.peak_signal_noise_ratio(*pair, data_range=data_range) for pair in pairs]
    ssim = [metrics.structural_similarity(*pair, data_range=data_range) for pair in pairs]
    return float(np.mean(psnr)), float(np.mean(ssim))


def best_blur(clean, noisy, data_range):
    """Return the Gaussian blur of that width which comes nearest to the truth: better than anybody could choose."""
    blurred = [gaussian_filter(noisy, (0, 0, sigma, sigma)) for sigma in np.arange(0.4, 3.0, 0.1)]
    return max(blurred, key=lambda images: quality(clean, images, data_range)[0])


def report(title, results):
    """Print a row for each method: the mean, and over seeds the least and the largest."""
    print(f"\n{title:<34}{'PSNR (dB)':>22}{'SSIM':>24}")
    for name, runs in results.items():
        cells = [
            f"{np.mean(each):.2f}" + (f" ({min(each):.2f} to {max(each):.2f})" if len(each) > 1 else "")
            for each in zip(*runs, strict=True)
        ]
        print(f"{name:<34}{cells[0]:>22}{cells[1]:>24}")


# %% [markdown]
# ## Digits in noise
#
# The digits' grey values lie between 0 and 1; the noise has a standard deviation of 0.4. While training, every epoch
# sees the same digits under new noise: `augment=` changes x and leaves the target, the clean digit, as it is.

# %%
digits = data.load("digits")
clean = digits.validation.x
noisy = clean + 0.4 * np.random.default_rng(0).normal(size=clean.shape).astype(np.float32)


def trained_on_digits(seed):
    mc.seed(seed)
    model = models.create("autoencoder", (1, 8, 8), depth=2, width=16, code=16)
    trainer = mc.Trainer(model, loss=nn.MSELoss(), optimizer=optim.Adam(model.parameters(), lr=3e-3))
    x = digits.train.x
    trainer.fit((x, x), epochs=40, batch_size=64, augment=augment.Noise(0.4), verbose=False)
    return trainer


print(models.create("autoencoder", (1, 8, 8), depth=2, width=16, code=16).summary((1, 8, 8)))
autoencoders = [trained_on_digits(seed) for seed in SEEDS]
drawn_digits = autoencoders[0].predict(noisy)
blurred_digits = best_blur(clean, noisy, 1)
results = {
    "noisy": [quality(clean, noisy, 1)],
    "best Gaussian blur": [quality(clean, blurred_digits, 1)],
    "autoencoder": [quality(clean, trainer.predict(noisy), 1) for trainer in autoencoders],
}
report(f"{len(clean)} digits", results)
gain = np.array(results["autoencoder"])[:, 0] - results["noisy"][0][0]
print(f"\nthe autoencoder gains {gain.min():.1f} dB or more over the noisy digits in every seed")
assert gain.min() > 5
assert min(results["autoencoder"])[0] > results["best Gaussian blur"][0][0] + 1

# %% [markdown]
# A blur knows that neighbours are alike. The autoencoder knows that these are digits: all its answers lie where digits
# lie. That is its strength, and the danger in it. What does it make of an image with nothing in it but noise?

# %%
nothing = 0.4 * np.random.default_rng(1).normal(size=clean.shape).astype(np.float32)
seen_in_it = autoencoders[0].predict(nothing)
ink = [float(np.abs(images).mean()) for images in (nothing, best_blur(0 * clean, nothing, 1), seen_in_it)]
print(f"mean grey value of an empty image: noisy {ink[0]:.2f}, blurred {ink[1]:.2f}, autoencoder {ink[2]:.2f}")
assert ink[2] > 2 * ink[1]

# %% [markdown]
# It draws strokes that are not there: trained on nothing but digits, it has never been allowed to say "no digit".
# Whoever measures on denoised images measures the training set too.
#
# ## Neurons in a few photons
#
# Calcium imaging counts photons, and the noise is theirs: a pixel that expects λ of them gets λ ± √λ. Here is the mean
# of eight frames of a field, and what infinitely many frames of it would show (lesson 31 has the story).

# %%
tissue = synthetic.CalciumImaging(size=64, neurons=8, out_of_focus=4)
fields = synthetic.calcium_frames(48, tissue, frames=8, seed=1)
unseen = synthetic.calcium_frames(16, tissue, frames=8, seed=2)
span = float(np.ptp(unseen.expected))
mean, std = fields.images.mean(), fields.images.std()


def trained_on_tissue(model, target):
    trainer = mc.Trainer(model, loss=nn.MSELoss(), optimizer=optim.Adam(model.parameters(), lr=3e-3))
    trainer.fit(((fields.images - mean) / std, (target - mean) / std), epochs=30, batch_size=8, verbose=False)
    return mean + std * trainer.predict((unseen.images - mean) / std)


denoised = {"autoencoder": [], "the same, target: the noisy image": [], "U-Net": []}
for seed in SEEDS:
    for name, target in (("autoencoder", fields.expected), ("the same, target: the noisy image", fields.images)):
        mc.seed(seed)
        model = models.create("autoencoder", (1, 64, 64), depth=2, width=16, code=16)
        denoised[name].append(trained_on_tissue(model, target))
    mc.seed(seed)
    model = models.create("unet", (1, 64, 64), classes=1, depth=1, width=8)
    denoised["U-Net"].append(trained_on_tissue(model, fields.expected))
blurred = best_blur(unseen.expected, unseen.images, span)
results = {
    "noisy": [quality(unseen.expected, unseen.images, span)],
    "best Gaussian blur": [quality(unseen.expected, blurred, span)],
    **{name: [quality(unseen.expected, images, span) for images in runs] for name, runs in denoised.items()},
}
report(f"{len(unseen)} fields of view", results)
psnr = {name: np.array(runs)[:, 0] for name, runs in results.items()}
print(f"\nthe autoencoder gains {(psnr['autoencoder'] - psnr['noisy']).min():.1f} dB or more in every seed")
assert (psnr["autoencoder"] - psnr["noisy"]).min() > 5
assert psnr["the same, target: the noisy image"].max() < psnr["autoencoder"].min() - 2
assert abs(psnr["autoencoder"].mean() - psnr["best Gaussian blur"][0]) < 2

# %% [markdown]
# Three things to read off this table.
#
# 1. Over the noisy image the autoencoder gains as much as on digits, or more. Over the best blur it gains **nothing
#    worth mentioning**: the microscope has blurred the tissue already, cells stand anywhere, and a field has little
#    in common with another but its smoothness. A blur knows that too.
# 2. The **target** matters more than the code. Asked for its own noisy input, the same network draws the noise again,
#    as far as it fits into the code. Few numbers alone do not denoise.
# 3. The U-Net has no bottleneck: skip connections carry details past the narrow part. For denoising that is no
#    drawback, since it is told what to leave out; as a summary of an image it would be useless.
#
# ## How few numbers?
#
# The code of a digit has 16 channels of 2 x 2: 64 numbers for 64 pixels. How many does a digit need?

# %%
print(f"\n{'numbers in the code':<22}{'PSNR (dB)':>10}{'SSIM':>8}")
by_code = {}
for code in (1, 4, 16):
    mc.seed(1)
    model = models.create("autoencoder", (1, 8, 8), depth=2, width=16, code=code)
    trainer = mc.Trainer(model, loss=nn.MSELoss(), optimizer=optim.Adam(model.parameters(), lr=3e-3))
    x = digits.train.x
    trainer.fit((x, x), epochs=20, batch_size=64, augment=augment.Noise(0.4), verbose=False)
    by_code[4 * code] = quality(clean, trainer.predict(noisy), 1)
    print(f"{4 * code:<22}{by_code[4 * code][0]:10.2f}{by_code[4 * code][1]:8.2f}")
assert by_code[64][0] > by_code[4][0] + 1

# %% [markdown]
# ## To look at


# %%
def shown(index):
    """Return one field under each method, in the order of the columns."""
    pictures = unseen.expected, unseen.images, blurred, denoised["autoencoder"][0], denoised["U-Net"][0]
    return [images[index, 0] for images in pictures]


figure = Figure(figsize=(11, 6.6), layout="constrained", dpi=120)
grid = figure.subplots(3, 5)
titles = ("truth", "noisy", "best blur", "autoencoder", "U-Net")
for column, (axes, picture) in enumerate(zip(grid[0], (clean, noisy, blurred_digits, drawn_digits), strict=False)):
    axes.imshow(picture[3, 0], cmap="gray", vmin=0, vmax=1)
    axes.set_title(f"a digit: {titles[column]}", fontsize=9)
    if column:
        axes.set_xlabel("{:.1f} dB, SSIM {:.2f}".format(*quality(clean[3:4], picture[3:4], 1)), fontsize=8)
grid[0, 4].imshow(seen_in_it[0, 0], cmap="gray", vmin=0, vmax=1)
grid[0, 4].set_title("what the autoencoder\nsees in mere noise", fontsize=9)
for index, row in enumerate(grid[1:]):
    pictures = shown(index)
    low, high = pictures[0].min(), pictures[0].max()
    for axes, picture, title in zip(row, pictures, titles, strict=True):
        drawn = axes.imshow(picture, cmap="gray", vmin=low, vmax=high)
        axes.set_title(f"neurons: {title}", fontsize=9)
        if title != "truth":
            values = quality(pictures[0][None, None], picture[None, None], span)
            axes.set_xlabel("{:.1f} dB, SSIM {:.2f}".format(*values), fontsize=8)
    figure.colorbar(drawn, ax=row[-1], label="photons a pixel and frame")
for axes in grid.flat:
    axes.set_xticks([])
    axes.set_yticks([])
figure.suptitle(
    "Strokes that all digits share come back; of neurons in few photons nothing finds much more than a blur does"
)
figure.savefig("denoising.png")
print("\nwrote denoising.png")

# %% [markdown]
# ## Remember
#
# 1. Compare with the best simple method, not with the noisy image alone.
# 2. A denoiser fills in what its training images have in common. Where they have little in common, it can only smooth.
# 3. It draws what it knows, also where there is nothing. Never measure on its output without saying so.
#
# ## Try
#
# 1. Train with noise of 0.2 and test with 0.4, and the other way round. Which mistake costs more?
# 2. Put empty images among the training digits. Does it still see strokes in noise? What does that cost?
# 3. No clean images? `synthetic.calcium_movie` gives frames of one field: train from the mean of the even frames to the
#    mean of the odd ones (Lehtinen et al., "Noise2Noise", 2018). Why does that work, when the noisy image itself as its
#    own target does not?
# 4. Draw the codes of clean digits in the plane (`analyse.embed_features` does it for any features). Do classes
#    separate, though no label was ever used?
