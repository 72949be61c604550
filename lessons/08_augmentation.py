# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 8. Augmentation: more images out of few
#
# A network that has seen a hundred digits knows those hundred by heart, and guesses about others. More images would
# help, and there are none. But we know something that the network does not: a digit that is turned a little is still
# the same digit. **Augmentation** tells it, by changing every training image at random, in every epoch anew, in ways
# that leave its meaning as it is. This lesson measures what that does to the gap between training and validation, and
# what happens when the meaning does *not* stay.
#
#     python lessons/08_augmentation.py

# %%
import numpy as np
from matplotlib.figure import Figure

import minicnn as mc
from minicnn import data, nn, optim
from minicnn.backend import Key
from minicnn.data import augment

digits = data.normalise(data.load("digits"))
BLACK = float(digits.train.x.min())
print(f"{len(digits.train)} training images; after normalisation black is {BLACK:.2f}, not 0")

# %% [markdown]
# ## 1. Look first
#
# An augmentation is a function of images, targets and a **key**, which names its random numbers: the same key gives the
# same result, on every machine and in every thread. Several of them make a `Compose`; here the first, `Affine`, turns,
# scales and shears with one interpolation.
#
# What comes in from outside the border? By default the nearest pixel goes on (`fill="edge"`), which is right for a
# photograph. These digits touch the upper and the lower border, and their strokes would be drawn out. So we fill with
# black, and black is what normalisation has made of it.

# %%
GENTLE = augment.Compose(augment.Affine(10, scale=1.1, shear=10, fill=BLACK), augment.Noise(0.3))
print(GENTLE)

x, y = digits.train.x[:4], digits.train.y[:4]
once, _ = GENTLE(x, y, key=Key(0, 0, 0))
again, _ = GENTLE(x, y, key=Key(0, 0, 0))
other, _ = GENTLE(x, y, key=Key(0, 0, 1))
print("the same key again:", "the same images;" if np.array_equal(once, again) else "other images;", end=" ")
print("another key:", "the same images" if np.array_equal(once, other) else "other images")
assert np.array_equal(once, again)
assert not np.array_equal(once, other)

augment.plot_augmentation(GENTLE, x, rows=4, columns=8).savefig("augmentation_grid.png")
print("drew augmentation_grid.png")

# %% [markdown]
# In the figure the first column shows the images as they are. Can you read all the others? If you cannot, the network
# should not be asked to.
#
# ## 2. The gap
#
# We train on 100 and on 400 images, with and without augmentation: the same number of steps, the same first weights and
# the same order for each seed. The seed changes all of that, and which images are taken. The **gap** is the accuracy on
# those very images, unchanged, minus that on 270 others.

# %%
SEEDS = (0, 1, 2, 3, 4)
STEPS, BATCH = 240, 25


def network(seed):
    mc.seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


def train(augmentation, seed, images=100):
    """Return the trainer and the images it learned from."""
    part = digits.train.subset(np.random.default_rng(seed).permutation(len(digits.train))[:images])
    model = network(seed)
    schedule = optim.Cosine(T_max=STEPS, per="batch")
    trainer = mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=3e-3), schedule=schedule)
    trainer.fit(part, augment=augmentation, epochs=STEPS * BATCH // images, batch_size=BATCH, verbose=False)
    return trainer, part


def measure(augmentation, images=100):
    """Return accuracies in percent (seeds, 2), training and validation, and the probabilities in validation."""
    accuracies, chances = [], []
    for seed in SEEDS:
        trainer, part = train(augmentation, seed, images)
        chances.append(trainer.predict_proba(digits.validation.x))
        right = chances[-1].argmax(axis=1) == digits.validation.y
        accuracies.append([100 * trainer.evaluate(part)["accuracy"], 100 * right.mean()])
    return np.array(accuracies), np.array(chances)


def shown(values):
    return f"{values.mean():5.1f} ({values.min():.1f} - {values.max():.1f})"


print("\nmean of five seeds (lowest - highest), in percent")
print(f"{'images':>6}  {'':<12}{'training':<22}{'validation':<22}gap")
gaps, results = {}, {}
for images in (100, 400):
    for name, augmentation in (("as they are", None), ("augmented", GENTLE)):
        results[name, images] = measure(augmentation, images)
        training, validation = results[name, images][0].T
        gaps[name, images] = training - validation
        print(f"{images:>6}  {name:<12}{shown(training):<22}{shown(validation):<22}{shown(training - validation)}")
closed = {images: gaps["as they are", images] - gaps["augmented", images] for images in (100, 400)}
for images, values in closed.items():
    print(f"{images} images: augmentation closes the gap by {shown(values)}, in {(values > 0).sum()} of 5 seeds")
assert gaps["as they are", 100].mean() > gaps["as they are", 400].mean() + 3, "more images, a smaller gap"
assert closed[100].mean() > 0.5, "and augmentation makes it smaller"

# %% [markdown]
# Compare the rows. With a hundred images, augmentation is worth a few points in validation; three hundred images more
# are worth far more. With four hundred, the gap becomes smaller too, and hardly anything is won: the accuracy on the
# training images fell instead, for changed images take longer to learn, and we gave them no more steps. So look at
# validation, not at the gap alone.
#
# Look at the seeds, too. Which hundred images one happens to have matters as much as what is done to them; that is why
# each seed is compared with *itself*.
#
# ## 3. What may be changed
#
# Every augmentation is a claim about the world: that the label stays. For digits a mirror's claim is false. A mirrored
# 5 looks rather like a 2, and a 6 turned by half a circle *is* a 9, with the wrong label. Each is tried on a hundred
# images, and held against the same seed without augmentation.

# %%
TRIED = {
    "gentle: turn, scale, shear, noise": GENTLE,
    "shift by a pixel to the side": augment.Shift((0, 1), fill=BLACK),
    "mixup": augment.MixUp(0.4, classes=10),
    "left becomes right": augment.HorizontalFlip(),
    "top becomes bottom": augment.VerticalFlip(),
    "any angle": augment.Rotate(180, fill=BLACK),
}
plain, plain_chances = results["as they are", 100]
changes, chances = {}, {"as they are": plain_chances}
print("\nchange in validation accuracy on a hundred images, in points, mean of five seeds (lowest - highest)")
for name, augmentation in TRIED.items():
    accuracies, chances[name] = results["augmented", 100] if augmentation is GENTLE else measure(augmentation)
    changes[name] = accuracies[:, 1] - plain[:, 1]
    print(f"  {name:<36}{shown(changes[name])}   better in {(changes[name] > 0).sum()} of 5")
for wrong in ("left becomes right", "top becomes bottom"):
    assert changes[wrong].mean() < -0.5, "flips hurt"
    assert changes[wrong].mean() < changes["gentle: turn, scale, shear, noise"].mean() - 2
assert changes["any angle"].mean() < -8

# %%
figure = Figure(figsize=(8, 3.6), layout="constrained", dpi=120)
axes = figure.subplots()
for row, (name, values) in enumerate(changes.items()):
    colour = "#D55E00" if name in ("left becomes right", "top becomes bottom", "any angle") else "#0072B2"
    axes.plot(values, np.full(len(values), row), "o", color=colour, alpha=0.6, markersize=6)
    axes.plot(values.mean(), row, "|", color="black", markersize=18, markeredgewidth=2)
axes.axvline(0, color="0.4", linewidth=1)
axes.set_yticks(range(len(changes)), list(changes))
axes.invert_yaxis()
axes.grid(axis="x", alpha=0.3)
axes.set_xlabel("change in validation accuracy (percentage points)")
axes.set_title("Dots: one seed each. Bars: their means. Red: what changes a digit's meaning", fontsize=10)
figure.savefig("augmentation.png")
print("\ndrew augmentation.png")

# %% [markdown]
# What to see in the figure: what is right brings a few points, and with some seeds hardly any; what is wrong costs as
# much, or ten times that. The more digits an augmentation makes alike, the more it costs.
#
# Whom does a flip hurt? Hardly the 0, which looks the same in a mirror.


# %%
def by_digit(name):
    """Return the validation accuracy of each digit in percent, the mean of all seeds."""
    right = chances[name].argmax(axis=2) == digits.validation.y
    return np.array([100 * right[:, digits.validation.y == digit].mean() for digit in range(10)])


lost = by_digit("as they are") - by_digit("left becomes right")
print(f"\n{'validation accuracy of the digit':<34}" + "".join(f"{digit:>6}" for digit in range(10)))
for name in ("as they are", "left becomes right"):
    print(f"  {name:<32}" + "".join(f"{value:6.0f}" for value in by_digit(name)))
print("most is lost by", " and ".join(str(digit) for digit in np.sort(lost.argsort()[-2:])))
assert lost[0] < lost.max() - 3, "a 0 loses less than others"

# %% [markdown]
# ## 4. Mixtures
#
# **Mixup** goes further: it lays two images over each other, and asks for both labels in the same shares (Zhang and
# others, 2018). `CrossEntropyLoss` takes such targets as they come. There are no such images in the world, and the
# network learns something all the same: to be less sure of itself between the classes.

# %%
_, targets = TRIED["mixup"](x, y, key=Key(0, 0, 6))
print("\nlabels", y.tolist(), "become")
for row in targets:
    print("   " + ", ".join(f"{share:.2f} of a {digit}" for digit, share in enumerate(row) if share > 0.005))
assert np.allclose(targets.sum(axis=1), 1, atol=1e-6)

sure = {name: 100 * chances[name].max(axis=2).mean(axis=1) for name in ("as they are", "mixup")}
print("the validation images, mean of five seeds (lowest - highest), in percent")
for name, values in sure.items():
    right = 100 * (chances[name].argmax(axis=2) == digits.validation.y).mean(axis=1)
    print(f"  {name:<12} right {shown(right)}   probability of what is named {shown(values)}")
assert sure["mixup"].mean() < sure["as they are"].mean() - 3

# %% [markdown]
# Honest probabilities would show the same number twice: right in as many cases as they say. Without mixup this network
# is about as sure as it is right. With mixup it is right a little more often, and less sure than it could be.
#
# ## Remember
#
# 1. An augmentation is a claim that the label stays. Look at the figure, and say it aloud.
# 2. Compare each seed with itself, and look at several: gains are no larger than the spread.
# 3. Validation and test images are never augmented; the gap is measured on training images as they are, and a smaller
#    gap is not the aim.
# 4. More images are worth more than more augmentation.
#
# ## Try
#
# 1. `fill="edge"`, or `fill=0.0`, in place of black. Look at the grid, then measure.
# 2. `augment.Elastic(3, 1, fill=BLACK)`, and then with alpha 6: where do you stop reading the digits, and where does it
#    stop helping?
# 3. Train four times as long, with and without augmentation. Which of them gains? How sure is each of them then?
# 4. Write an augmentation that draws a line of black through each image, somewhere; `apply(self, x, y, key)` is all it
#    needs.
