# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 16. Measures of images and of masks
#
# How good is a denoised image, a reconstructed one, a mask? One number is wanted, and every number forgets something.
# This lesson measures what the mean squared error, PSNR, SSIM, Dice and Jaccard look at and what they overlook.
#
#     python lessons/16_image_measures.py

# %%
import numpy as np
from matplotlib.figure import Figure
from scipy.fft import dctn, idctn
from scipy.ndimage import binary_dilation, binary_fill_holes, gaussian_filter, label
from sklearn.datasets import load_sample_images

from minicnn import metrics

china, flower = load_sample_images().images  # two photographs that scikit-learn brings along, 427 x 640 x 3
GREY = np.array([0.299, 0.587, 0.114])  # how bright red, green and blue are to the eye
SEEDS = (0, 1, 2)


def crop(photograph, top, left):
    """256 x 256 grey pixels, squeezed from 0 .. 255 to 32 .. 224, to leave room for distortions."""
    return 32 + photograph[top : top + 256, left : left + 256] @ GREY * (192 / 255)


PLACES = {"pagoda": (china, 50, 64), "trees": (china, 171, 376), "dahlia": (flower, 80, 178)}
images = {key: crop(*place) for key, place in PLACES.items()}

# %% [markdown]
# ## 1. Five ways to be equally wrong
#
# The mean squared error (MSE) is the average of $(x - y)^2$ over all pixels. We spoil an image in five ways, each with
# a strength, and turn every strength up until the MSE is 200: bisection, since the error grows with the strength. This
# is the experiment of Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to
# structural similarity", 2004, figure 2. In their example the compression was JPEG's; here it is JPEG's heart, the
# cosine transform of blocks of 8 x 8 pixels, rounded to multiples of the strength.


# %%
def compressed(x, step):
    blocks = x.reshape(32, 8, 32, 8)
    coefficients = dctn(blocks, axes=(1, 3), norm="ortho")
    return idctn(step * np.round(coefficients / step), axes=(1, 3), norm="ortho").reshape(x.shape)


DISTORTIONS = {
    "brighter": lambda x, strength, noise: x + strength,
    "more contrast": lambda x, strength, noise: x.mean() + (1 + strength) * (x - x.mean()),
    "compressed": lambda x, strength, noise: compressed(x, strength),
    "blurred": lambda x, strength, noise: gaussian_filter(x, strength),
    "noisy": lambda x, strength, noise: x + strength * noise,
}
TARGET = 200.0


def distorted(name, x, seed=0):
    """The image, spoiled until its mean squared error is TARGET."""
    noise = np.random.default_rng(seed).normal(size=x.shape)
    low, high = 1e-3, 500.0
    for _ in range(45):
        strength = (low + high) / 2
        y = DISTORTIONS[name](x, strength, noise).clip(0, 255)
        low, high = (strength, high) if metrics.mean_squared_error(x, y) < TARGET else (low, strength)
    return y


def ssim(x, y, **options):
    """SSIM with the settings of the paper."""
    settings = {"data_range": 255, "gaussian_weights": True, "use_sample_covariance": False}
    return metrics.structural_similarity(x, y, **{**settings, **options})


def psnr(x, y):
    return metrics.peak_signal_noise_ratio(x, y, data_range=255)


spoiled = {key: {name: distorted(name, x) for name in DISTORTIONS} for key, x in images.items()}

print(f"{'':<14}{'MSE':>9}{'PSNR':>10}" + "".join(f"{'SSIM, ' + key:>15}" for key in images))
for name in DISTORTIONS:
    errors = [metrics.mean_squared_error(x, spoiled[key][name]) for key, x in images.items()]
    ratios = [psnr(x, spoiled[key][name]) for key, x in images.items()]
    similar = [ssim(x, spoiled[key][name]) for key, x in images.items()]
    print(f"{name:<14}{errors[0]:9.3f}{ratios[0]:7.2f} dB" + "".join(f"{value:15.3f}" for value in similar))
    np.testing.assert_allclose(errors, TARGET, atol=0.01)
for key, x in images.items():
    scores = {name: ssim(x, y) for name, y in spoiled[key].items()}
    assert min(scores["brighter"], scores["more contrast"]) > 0.9
    assert max(scores["compressed"], scores["blurred"], scores["noisy"]) < 0.85
noisy = [ssim(images["pagoda"], distorted("noisy", images["pagoda"], seed)) for seed in SEEDS]
print(f"other noise of the same strength, {len(SEEDS)} seeds: {min(noisy):.4f} - {max(noisy):.4f}")
assert np.ptp(noisy) < 0.01

# %% [markdown]
# One MSE, and SSIM from 0.99 down to 0.6 or less. To the MSE a photograph in better light is as bad as one through
# frosted glass.
#
# **PSNR** is $10 \log_{10} (L^2 / \mathrm{MSE})$ decibels, where $L$ is the largest difference two pixels can have. So
# it is the MSE on another scale: half the error is 3 dB more, and it cannot tell these images apart either. Its use
# is that pixels from 0 to 255 and from 0 to 1 give the same number, as long as $L$ is told.

# %%
x, y = images["pagoda"], spoiled["pagoda"]["noisy"]
half = x + (y - x) / np.sqrt(2)
small_range = metrics.peak_signal_noise_ratio(x / 255, y / 255, data_range=1.0)
print(
    f"\nPSNR {psnr(x, y):.2f} dB; with half the error {psnr(x, half):.2f} dB; pixels from 0 to 1: {small_range:.2f} dB"
)
assert abs(psnr(x, half) - psnr(x, y) - 10 * np.log10(2)) < 1e-9
assert abs(small_range - psnr(x, y)) < 1e-9

# %% [markdown]
# ## 2. Lightness, contrast, structure
#
# SSIM looks through a small window, a Gaussian of 11 x 11 pixels, and compares three things in it (the paper's
# equations 6, 9 and 10):
#
# $$l = \frac{2 \mu_x \mu_y + C_1}{\mu_x^2 + \mu_y^2 + C_1} \qquad
#   c = \frac{2 \sigma_x \sigma_y + C_2}{\sigma_x^2 + \sigma_y^2 + C_2} \qquad
#   s = \frac{\sigma_{xy} + C_2 / 2}{\sigma_x \sigma_y + C_2 / 2}$$
#
# the means, the spreads, and how the pixels go up and down together (a correlation). SSIM is $l\,c\,s$, at every pixel,
# and the mean of that.


# %%
def three_factors(x, y, sigma=1.5, C1=(0.01 * 255) ** 2, C2=(0.03 * 255) ** 2):
    def mean(values):
        return gaussian_filter(values, sigma, truncate=3.5)

    mu_x, mu_y = mean(x), mean(y)
    var_x, var_y = (np.maximum(mean(v * v) - mu * mu, 0) for v, mu in ((x, mu_x), (y, mu_y)))
    cov, both = mean(x * y) - mu_x * mu_y, np.sqrt(var_x * var_y)
    lightness = (2 * mu_x * mu_y + C1) / (mu_x**2 + mu_y**2 + C1)
    contrast = (2 * both + C2) / (var_x + var_y + C2)
    structure = (cov + C2 / 2) / (both + C2 / 2)
    inside = (slice(5, -5), slice(5, -5))  # where the whole window lies on the image
    return [factor[inside] for factor in (lightness, contrast, structure)]


print(f"\nthe pagoda, means of     {'lightness':>10}{'contrast':>10}{'structure':>10}")
parts = {}
for name, y in spoiled["pagoda"].items():
    factors = three_factors(x, y)
    parts[name] = [factor.mean() for factor in factors]
    print(f"  {name:<22}" + "".join(f"{part:10.3f}" for part in parts[name]))
    assert abs(np.prod(factors, axis=0).mean() - ssim(x, y)) < 1e-9, "their product is what the library computes"
assert min(parts["brighter"][1:]) > 0.999, "a brighter image has the same contrast and structure"
assert parts["more contrast"][2] > 0.999, "and one with more contrast the same structure"
assert all(parts[name][0] > 0.99 for name in ("compressed", "blurred", "noisy"))
assert all(parts[name][2] < 0.95 for name in ("compressed", "blurred", "noisy"))

# %% [markdown]
# Light and contrast can be turned back afterwards; structure that is gone is gone. Note the lightness of "brighter":
# moving all pixels by 14 costs next to nothing, because $l$ compares means by their ratio, as eyes do.
#
# ## 3. A map of the damage
#
# The window stands at every pixel, so SSIM comes with a map (`full=True`).

# %%
figure = Figure(figsize=(13, 4.6), layout="constrained", dpi=120)
axes = figure.subplots(2, 6)
pictures = {"original": x, **spoiled["pagoda"]}
for column, (name, y) in zip(axes.T, pictures.items(), strict=True):
    score, similarity = ssim(x, y, full=True)
    error = metrics.mean_squared_error(x, y)
    column[0].imshow(y, cmap="gray", vmin=0, vmax=255)
    column[0].set_title(f"{name}\nMSE {error:.0f}, SSIM {score:.3f}", fontsize=10)
    shown = column[1].imshow(similarity, cmap="gray", vmin=0, vmax=1)
for ax in axes.flat:
    ax.set_xticks([])
    ax.set_yticks([])
axes[0, 0].set_ylabel("image")
axes[1, 0].set_ylabel("SSIM map")
figure.colorbar(shown, ax=axes[1, -1], label="white: alike")
figure.savefig("image_measures.png")
print("\ndrew image_measures.png")


def by_busyness(x, similarity):
    """The mean of a map over the quarter of the image with the least contrast, and over that with the most."""
    spread = gaussian_filter(x * x, 1.5) - gaussian_filter(x, 1.5) ** 2
    quiet, busy = np.quantile(spread, [0.25, 0.75])
    return similarity[spread <= quiet].mean(), similarity[spread >= busy].mean()


print(f"{'SSIM in the quiet quarter / in the busy quarter of':<53}" + "".join(f"{key:>15}" for key in images))
for name in ("compressed", "blurred", "noisy"):
    pairs = [by_busyness(x, ssim(x, spoiled[key][name], full=True)[1]) for key, x in images.items()]
    print(f"  {name:<51}" + "".join(f"{f'{quiet:.2f} / {busy:.2f}':>15}" for quiet, busy in pairs))
    if name == "noisy":
        assert all(quiet < busy - 0.3 for quiet, busy in pairs)
x = images["pagoda"]
quiet, busy = by_busyness(x, ssim(x, spoiled["pagoda"]["blurred"], full=True)[1])
assert quiet > busy + 0.1, "the pagoda's sky cannot be blurred"

# %% [markdown]
# What to see in the figure: noise is seen in the sky and hides between the roof tiles, and its map is dark in the sky.
# Blur does nothing to the sky and takes the tiles away. Compression draws squares where little was to be seen before.
# The MSE of each of these is 200; *where* it lies makes the difference.
#
# Is SSIM the eye, then? No: it is a formula that agrees with people more often than the MSE does. Whether the noisy
# pagoda deserves the lowest number of all, look yourself.
#
# ## 4. Windows and constants
#
# Two people who report "SSIM" may have measured two things.

# %%
SETTINGS = {
    "the paper's: Gaussian": {},
    "square, 3 x 3": {"gaussian_weights": False, "win_size": 3},
    "square, 7 x 7": {"gaussian_weights": False, "win_size": 7},
    "square, 31 x 31": {"gaussian_weights": False, "win_size": 31},
    "Gaussian, K2 = 0.003": {"K2": 0.003},
}
print(f"\n{'SSIM of the pagoda':<24}" + "".join(f"{name:>15}" for name in DISTORTIONS))
table = {}
for setting, options in SETTINGS.items():
    table[setting] = [ssim(x, y, **options) for y in spoiled["pagoda"].values()]
    print(f"  {setting:<22}" + "".join(f"{value:15.3f}" for value in table[setting]))
spread = np.ptp([table[setting] for setting in SETTINGS], axis=0)
print(f"  {'highest - lowest':<22}" + "".join(f"{value:15.3f}" for value in spread))
assert all(min(row[:2]) > max(row[2:]) for row in table.values()), "light and contrast come first with every setting"
assert spread[-1] > 0.1

# %% [markdown]
# So a score without its settings says little, and only scores with the same settings can be compared.
#
# The constants $C_1 = (K_1 L)^2$ and $C_2 = (K_2 L)^2$ decide how much contrast counts as any. In a window of even grey
# they keep noise that nobody sees from being compared with nothing, and they hang on $L$: tell SSIM that pixels between
# 0 and 1 may differ by 255, and to it *every* image is even grey.

# %%
print("\nan even grey of 128, and noise of one grey level; SSIM with K2 = 0.03 and with K2 = 0:")
for seed in SEEDS:
    even = np.full((64, 64), 128.0)
    seen = even + np.random.default_rng(seed).normal(size=even.shape)
    usual, without = ssim(even, seen), ssim(even, seen, K2=0)
    print(f"  seed {seed}: {usual:.3f} and {without:.3f}")
    assert usual > 0.95
    assert without < 0.01
upside_down = images["pagoda"][::-1] / 255
wrong, right = (ssim(images["pagoda"] / 255, upside_down, data_range=L) for L in (255, 1))
print(
    f"the pagoda and itself upside down, pixels from 0 to 1: data_range=255 says {wrong:.4f}, data_range=1 {right:.4f}"
)
assert wrong > 0.98
assert right < 0.5

# %% [markdown]
# ## 5. A step to the side
#
# All these measures compare the pixel here with the pixel *here*. If the camera moved by a pixel, nothing is in its
# place. Four pixels to the side, which nobody would notice, cost more SSIM than any of the five distortions.

# %%
STEPS = (1, 2, 4)
print("\nSSIM (MSE) of an image moved sideways, pixels" + "".join(f"{f'by {step}':>18}" for step in STEPS))
moved = {}
for key, (photograph, top, left) in PLACES.items():
    others = [crop(photograph, top, left + step) for step in STEPS]
    moved[key] = [ssim(images[key], y) for y in others]
    errors = [metrics.mean_squared_error(images[key], y) for y in others]
    columns = (f"{score:.3f} ({error:.0f})" for score, error in zip(moved[key], errors, strict=True))
    print(f"  {key:<43}" + "".join(f"{column:>18}" for column in columns))
    assert moved[key][2] < min(ssim(images[key], y) for y in spoiled[key].values())
assert moved["pagoda"][2] > moved["pagoda"][1], "the tiles of its roofs repeat themselves after about four pixels"

y = crop(china, 50 + 2, 64 - 3)
core = images["pagoda"][8:-8, 8:-8]
tried = {
    (down, across): ssim(core, y[8 + down : 248 + down, 8 + across : 248 + across])
    for down in range(-4, 5)
    for across in range(-4, 5)
}
best = max(tried, key=tried.__getitem__)
print(f"moved by 2 and 3 pixels: SSIM {tried[0, 0]:.3f}; the best of {len(tried)} places to compare: {tried[best]:.3f}")
assert best == (-2, 3)
assert tried[best] > 0.999 > 0.6 > tried[0, 0]

# %% [markdown]
# So align images first, and then measure.
#
# ## 6. Masks: one overlap, counted two ways
#
# A segmentation says which pixels belong to the object. With $A$ the true mask and $B$ the predicted one,
#
# $$\mathrm{Dice} = \frac{2\,|A \cap B|}{|A| + |B|} \qquad \mathrm{Jaccard} = \frac{|A \cap B|}{|A \cup B|}
#   \qquad J = \frac{D}{2 - D}$$
#
# Jaccard is also called intersection over union. Our true mask: what is more red than blue in the photograph of the
# dahlia. It holds three objects.

# %%
red, blue = flower[..., 0].astype(int), flower[..., 2].astype(int)
pieces, _ = label(binary_fill_holes(gaussian_filter((red - blue).astype(float), 2) > 60))
sizes = np.bincount(pieces.ravel())
order = 1 + np.argsort(-sizes[1:])[:3]
dahlia, second, bud = (pieces == number for number in order)
truth = dahlia | second | bud
print(f"\nthe photograph has {truth.size} pixels; dahlia {dahlia.sum()}, half a flower {second.sum()}, bud {bud.sum()}")


def dice(a, b):
    return metrics.dice_score(a, b)


def jaccard(a, b):
    return metrics.jaccard_score(a.ravel(), b.ravel())


def accuracy(a, b):
    return float(metrics.accuracy_score(a, b))


columns = np.arange(truth.shape[1])
predictions = {
    "the dahlia alone": dahlia,
    "3 pixels too far all around": binary_dilation(truth, iterations=3),
    "moved by 10 pixels": np.roll(truth, 10, axis=1),
    "its left half": truth & (columns < 310),
    "everything": np.ones_like(truth),
}
print(f"{'prediction':<30}{'Dice':>8}{'Jaccard':>9}{'D / (2 - D)':>13}{'accuracy':>10}")
for name, mask in predictions.items():
    D, J = dice(truth, mask), jaccard(truth, mask)
    print(f"  {name:<28}{D:8.3f}{J:9.3f}{D / (2 - D):13.3f}{accuracy(truth, mask):10.3f}")
    assert abs(J - D / (2 - D)) < 1e-12
    assert J < D

# %% [markdown]
# Jaccard is the lower number, always, and for *one* image both rank any two masks the same way. Means over
# *several* images are another matter. Two programs, two images:

# %%


def part_of(share):
    """The left part of the dahlia that holds this share of its pixels: its Jaccard index is that share."""
    counted = np.cumsum(dahlia.sum(axis=0)) / dahlia.sum()
    return dahlia & (columns <= np.searchsorted(counted, share))


even, uneven = (part_of(0.67), part_of(0.67)), (part_of(1.0), part_of(0.38))
mean_dice = {name: np.mean([dice(dahlia, m) for m in pair]) for name, pair in (("even", even), ("uneven", uneven))}
mean_jaccard = {
    name: np.mean([jaccard(dahlia, m) for m in pair]) for name, pair in (("even", even), ("uneven", uneven))
}
for name in ("even", "uneven"):
    print(f"the {name:<6} program: mean Dice {mean_dice[name]:.3f}, mean Jaccard {mean_jaccard[name]:.3f}")
assert mean_dice["even"] > mean_dice["uneven"] + 0.01
assert mean_jaccard["even"] < mean_jaccard["uneven"] - 0.01

# %% [markdown]
# Each measure has its winner. So choose one before you look. And say what was averaged: "the dahlia alone" overlooks
# two of three flowers and has a Dice score of 0.9 in the table above, because pixels were counted. Counted by flower:

# %%
found = {"dahlia": dahlia, "half a flower": second, "bud": bud}
each = [dice(piece, dahlia & piece) for piece in found.values()]
pooled = dice(truth, dahlia)
print("\nDice of the dahlia alone, by flower:", *(f"{name} {D:.2f}," for name, D in zip(found, each, strict=True)))
print(f"their mean is {np.mean(each):.2f}; of all pixels together {pooled:.2f}")
assert np.mean(each) < 0.4 < 0.8 < pooled

# %% [markdown]
# ## 7. Small objects are harsh
#
# A boundary that is one pixel off is as good as a human draws it. Move a disc of radius $r$ by one pixel: it loses a
# sickle of about $2r$ of its $\pi r^2$ pixels, so $D \approx 1 - 2 / (\pi r)$. We photograph the dahlia from farther
# and farther away, keeping one pixel in $k \times k$.

# %%
print("\none pixel off            pixels     radius     Dice   1 - 2 / (pi r)   Jaccard")
radii, dices, jaccards = [], [], []
for k in (1, 2, 4, 8, 16, 32, 48):
    small = np.pad(dahlia[k // 2 :: k, k // 2 :: k], 2)
    radius = np.sqrt(small.sum() / np.pi)
    off = np.roll(small, 1, axis=1)
    D, J = dice(small, off), jaccard(small, off)
    print(f"  every {k:>2} pixels       {small.sum():8}{radius:11.1f}{D:9.3f}{1 - 2 / (np.pi * radius):17.3f}{J:10.3f}")
    radii, dices, jaccards = [*radii, radius], [*dices, D], [*jaccards, J]
    assert radius < 8 or abs(D - (1 - 2 / (np.pi * radius))) < 0.02
assert dices[0] > 0.99
assert dices[-1] < 0.8

# %%
figure = Figure(figsize=(11, 3.8), layout="constrained", dpi=120)
left, middle, right = figure.subplots(1, 3, width_ratios=(1.3, 1, 1))
left.imshow(flower)
left.contour(truth, levels=[0.5], colors="white", linewidths=1)
left.set_title("true mask: its outline", fontsize=10)
left.set_axis_off()
D = np.linspace(0, 1, 101)
middle.plot(D, D / (2 - D), color="#0072B2", label="J = D / (2 - D)")
middle.plot(D, D, color="grey", linestyle=":", linewidth=1, label="J = D")
for mask in predictions.values():
    middle.plot(dice(truth, mask), jaccard(truth, mask), "o", color="#D55E00", markersize=5)
middle.set_xlabel("Dice")
middle.set_ylabel("Jaccard")
middle.set_title("dots: the five predictions", fontsize=10)
middle.legend(fontsize=8)
right.plot(radii, dices, color="#0072B2", marker="o", markersize=4, label="Dice")
right.plot(radii, jaccards, color="#D55E00", marker="s", markersize=4, linestyle="--", label="Jaccard")
right.plot(r := np.geomspace(2, 140, 50), 1 - 2 / (np.pi * r), color="grey", linestyle=":", label="1 - 2 / (π r)")
right.set_xscale("log")
right.set_xlabel("radius of the object (pixels)")
right.set_title("a mask that is one pixel off", fontsize=10)
right.legend(fontsize=8, loc="lower right")
for ax in (middle, right):
    ax.grid(alpha=0.3)
figure.savefig("image_measures_masks.png")
print("\ndrew image_measures_masks.png")

# %% [markdown]
# What to see in the figure: the same slip of one pixel costs nothing on a large object; on one that is five pixels wide
# it costs a fifth of the Dice score and a third of the Jaccard index. Never compare the Dice of a
# lung with that of a nodule in it.
#
# ## 8. Accuracy of pixels
#
# The bud fills a fraction of a percent of the photograph. Who says "nothing" there is right in nearly all pixels.

# %%
nothing = np.zeros_like(bud)
generous = binary_dilation(bud, iterations=15)
print(f"\n{'the bud, ' + format(bud.mean(), '.2%') + ' of the pixels':<34}{'accuracy':>9}{'Dice':>8}{'Jaccard':>9}")
scores = {}
for name, mask in (("nothing", nothing), ("15 pixels too far all around", generous)):
    scores[name] = accuracy(bud, mask), dice(bud, mask), jaccard(bud, mask)
    print(f"  {name:<32}{scores[name][0]:9.4f}{scores[name][1]:8.3f}{scores[name][2]:9.3f}")
blind, sloppy = scores.values()
assert blind[0] > sloppy[0], "accuracy prefers the empty mask"
assert blind[1] == blind[2] == 0 < 0.4 < sloppy[1], "Dice and Jaccard prefer the one that found the bud"

# %% [markdown]
# Accuracy counts the background, of which there is as much as the camera was turned to. Dice and Jaccard do not look at
# pixels that neither mask holds. (If *both* masks are empty they are 0 / 0: `zero_division=1` calls that right.)
#
# ## Remember
#
# 1. MSE and PSNR are one measure. They count how much changed, not what, nor where.
# 2. SSIM compares means, spreads and structure in a window. Report the window, the constants and $L$ with it.
# 3. Align first: a shift of a pixel ruins every measure that compares pixel with pixel.
# 4. Dice and Jaccard are one measure too, until you average. Say over what.
# 5. The smaller the object, the lower the score of the same boundary. Accuracy of pixels misleads where objects are
#    small.
#
# ## Try
#
# 1. Put `nn.MSELoss` at the end of a denoising network, and look at what it does to the sky and to the tiles.
# 2. Spoil an image in two ways at once. Is there a pair of distortions that the MSE thinks harmless and SSIM does not?
# 3. Move a colour image's channels against each other by a pixel: `channel_axis=2`, and on the grey image. Which sees
#    it?
