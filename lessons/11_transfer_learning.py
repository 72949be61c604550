# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 11. Transfer learning
#
# A network that has learned one task has learned things that other tasks need too: strokes, edges, corners. If there
# are few images for a new task, why begin with random weights? This lesson measures when it pays to begin with trained
# ones, and what to do with them, in the four corners of a famous table: **little or much data**, a **similar or a
# different task**.
#
#     python lessons/11_transfer_learning.py

# %%
import copy

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits, load_sample_images
from sklearn.linear_model import LogisticRegression

import minicnn as mc
from minicnn import nn, optim
from minicnn.recipes import features, freeze, replace_head

SEEDS = (0, 1, 2)
SIDE = 12

# %% [markdown]
# ## 1. Three tasks
#
# The **old** task: the digits 0 to 4, each upright and turned by 90, 180 and 270 degrees, 20 classes in all. The
# turning is there for a reason, to which we come back in section 6. The **similar** task: the digits 5 to 9, which the
# network has never seen. So that they are not too easy, all lie *somewhere* in a larger picture, with a little noise.


# %%
def somewhere(images, draw):
    """Put 8 x 8 digits at random places into noisy pictures.   (N, 8, 8) -> (N, 1, SIDE, SIDE)"""
    pictures = draw.normal(0, 0.05, (len(images), 1, SIDE, SIDE))
    for picture, image, (i, j) in zip(pictures, images, draw.integers(0, SIDE - 7, (len(images), 2)), strict=True):
        picture[0, i : i + 8, j : j + 8] += image / 16
    return ((pictures - 0.15) / 0.3).astype(np.float32)


bunch = load_digits()
is_old = bunch.target < 5
turned = np.concatenate([np.rot90(bunch.images[is_old], turn, (1, 2)) for turn in range(4)])
turned_labels = np.concatenate([bunch.target[is_old] + 5 * turn for turn in range(4)])


def similar_task(seed):
    draw = np.random.default_rng(seed)
    order = draw.permutation(np.flatnonzero(~is_old))
    x, y = somewhere(bunch.images[order], draw), bunch.target[order] - 5
    return (x[:400], y[:400]), (x[400:], y[400:])


# %% [markdown]
# The **different** task: small patches of two photographs, a temple and a flower, of which only the texture is left
# (every patch gets mean 0 and spread 1). Which photograph is it from? The photographs are cut into squares like a
# chessboard; we learn from patches inside the black ones and test on patches inside the white ones, so that no pixel is
# in both.


# %%
def patches(photograph, square=24):
    """Return patches of the black squares and of the white ones, (N, 1, SIDE, SIDE) each."""
    grey = photograph[:426].mean(axis=2).reshape(213, 2, 320, 2).mean(axis=(1, 3))
    found = [], []
    for row in range(grey.shape[0] // square):
        for column in range(grey.shape[1] // square):
            for i in range(row * square, row * square + square - SIDE + 1, 4):
                for j in range(column * square, column * square + square - SIDE + 1, 4):
                    found[(row + column) % 2].append(grey[i : i + SIDE, j : j + SIDE])
    x = [np.array(part)[:, None] for part in found]
    x = [part - part.mean(axis=(2, 3), keepdims=True) for part in x]
    return [(part / (part.std(axis=(2, 3), keepdims=True) + 5)).astype(np.float32) for part in x]


BLACK, WHITE = zip(*(patches(photograph) for photograph in load_sample_images().images), strict=True)


def labelled(parts):
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def different_task(seed):
    x, y = labelled(BLACK)
    order = np.random.default_rng(seed).permutation(len(x))[:400]
    return (x[order], y[order]), labelled([part[::4] for part in WHITE])


TASKS = {"similar: digits 5 to 9": (similar_task, 5), "different: two photographs": (different_task, 2)}
for name, (make, classes) in TASKS.items():
    (x, y), (test_x, _) = make(0)
    print(f"{name}: {classes} classes, {len(x)} images to learn from at most, {len(test_x)} to test on")

# %% [markdown]
# ## 2. The network that knows the old task


# %%
def network(classes, seed):
    mc.seed(seed)
    layers = []
    for channels in ((1, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(*channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels[1]), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if channels[1] < 64 else [nn.GlobalAvgPool2d()]
    return nn.Sequential(*layers, nn.Linear(64, classes))


def train(model, images, optimizer, steps=80):
    """Make about so many steps, however many images there are, at a rate that falls to nothing; return the model."""
    epochs = round(steps / np.ceil(len(images[0]) / 32))
    trainer = mc.Trainer(model, optimizer=optimizer, schedule=optim.Cosine(epochs))
    trainer.fit(images, epochs=epochs, batch_size=32, verbose=False)
    return model


def accuracy(model, images):
    return float((mc.Trainer(model).predict_classes(images[0]) == images[1]).mean())


def pretrained(seed, images, labels, classes, steps=350):
    draw = np.random.default_rng(100 + seed)
    twice = somewhere(np.concatenate([images, images]), draw), np.concatenate([labels, labels])
    model = network(classes, seed)
    return train(model, twice, optim.Adam(model.parameters(), lr=5e-3), steps)


old = [pretrained(seed, turned, turned_labels, 20) for seed in SEEDS]
fresh = somewhere(turned, np.random.default_rng(99)), turned_labels
print("\nold task, accuracy at new places:", [round(accuracy(model, fresh), 3) for model in old])
assert min(accuracy(model, fresh) for model in old) > 0.6

# %% [markdown]
# ## 3. Four ways to go on
#
# - **From scratch**: random weights; the old network is not used. It is what the others have to beat.
# - **Features**: the old network as it is, without its last layer, turns an image into 64 numbers; a linear classifier
#   of scikit-learn's learns from those (Razavian et al., "CNN features off-the-shelf", 2014). Nothing goes backwards.
# - **Head**: `replace_head` puts a new last layer onto the old network, `freeze(model, keep=1)` freezes all but that.
#   Frozen batch norm keeps its running statistics, too. In some libraries it does not, and "frozen" features change
#   under one's feet.
# - **Fine-tuning**: a new head, and everything is trained, what was learned before at a smaller rate than the head,
#   which begins with nothing. Groups of parameters say so.

# %%
LR = 1e-2


def from_scratch(before, images, classes, seed):
    model = network(classes, seed)
    return train(model, images, optim.Adam(model.parameters(), lr=LR))


def head_alone(before, images, classes, seed):
    model = copy.deepcopy(before)
    replace_head(model, classes)
    freeze(model, keep=1)
    return train(model, images, optim.Adam(model.parameters(), lr=LR))


def fine_tuned(before, images, classes, seed):
    model = copy.deepcopy(before)
    head = replace_head(model, classes)
    body = model[:-1].parameters()
    return train(model, images, optim.Adam([{"params": body, "lr": LR / 2}, {"params": head.parameters()}], lr=LR))


def score(way, before, images, test, classes, seed):
    if way == "features":
        linear = LogisticRegression(C=10, max_iter=2000).fit(features(before, images[0]), images[1])
        return float(linear.score(features(before, test[0]), test[1]))
    return accuracy(WAYS[way](before, images, classes, seed), test)


WAYS = {"from scratch": from_scratch, "features": None, "head": head_alone, "fine-tuning": fine_tuned}

frozen = copy.deepcopy(old[0])
replace_head(frozen, 5)
names = freeze(frozen, keep=1)
buffers = {name: buffer.data.copy() for name, buffer in frozen.named_buffers().items()}
train(frozen, similar_task(0)[0], optim.Adam(frozen.parameters(), lr=LR), steps=13)
print(f"\nfrozen: {len(names)} tensors; trained: {[n for n, p in frozen.named_parameters().items() if not p.frozen]}")
unmoved = all(np.array_equal(buffers[name], buffer.data) for name, buffer in frozen.named_buffers().items())
print("running statistics of the frozen batch norm after an epoch: as before?", unmoved)
assert unmoved

# %% [markdown]
# ## 4. The table, measured
#
# Little is 40 images, much is 400. Every way makes the same number of steps, and is run with three seeds, which change
# the old network, the images, their order and the new weights.

# %%
SIZES = {"little": 40, "much": 400}
results = {}
for task, (make, classes) in TASKS.items():
    for size in SIZES.values():
        for way in WAYS:
            runs = []
            for seed in SEEDS:
                (x, y), test = make(seed)
                runs.append(score(way, old[seed], (x[:size], y[:size]), test, classes, seed))
            results[task, size, way] = np.array(runs)

print("\naccuracy on the test images, mean of three seeds (lowest - highest)")
for task in TASKS:
    print(f"{task:<28}" + "".join(f"{f'{amount}: {size} images':<26}" for amount, size in SIZES.items()))
    for way in WAYS:
        cells = [results[task, size, way] for size in SIZES.values()]
        print(f"  {way:<26}" + "".join(f"{f'{c.mean():.3f} ({c.min():.3f} - {c.max():.3f})':<26}" for c in cells))

# %%
COLOURS = dict(zip(WAYS, ("#0072B2", "#E69F00", "#009E73", "#D55E00"), strict=True))
figure = Figure(figsize=(9, 6.4), layout="constrained", dpi=120)
for row, (task, (_, classes)) in zip(figure.subplots(2, 2, sharey="row", sharex=True), TASKS.items(), strict=True):
    for axes, (amount, size) in zip(row, SIZES.items(), strict=True):
        for place, way in enumerate(WAYS):
            runs = results[task, size, way]
            axes.bar(place, runs.mean(), color=COLOURS[way], width=0.7)
            axes.plot([place] * len(runs), runs, "o", color="black", markersize=4)
            axes.text(place, 0.02, f"{runs.mean():.2f}", ha="center", color="white", fontweight="bold")
        axes.axhline(1 / classes, color="grey", linestyle="--", linewidth=1)
        axes.set_title(f"{task}, {amount} data ({size})", fontsize=10)
        axes.set_xticks(range(len(WAYS)), list(WAYS))
        axes.set_ylim(0, 1.02)
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
figure.supylabel("accuracy on test images")
figure.suptitle("Bars: mean of three seeds. Dots: the seeds. Dashed: guessing", fontsize=11)
figure.savefig("transfer_learning.png")
print("\ndrew transfer_learning.png")

# %% [markdown]
# What to see in the figure: at the top left, where there is little data and the task is similar, everything that uses
# the old network beats the random weights. To the right, with much data, that advantage is gone, and whatever is frozen
# has become a limit: most of all below, where features of digits have to do for photographs.


# %%
def mean(task, size, way):
    return results[task, SIZES[size], way].mean()


similar, different = TASKS
gains = {
    (task, size): mean(task, size, "fine-tuning") - mean(task, size, "from scratch") for task in TASKS for size in SIZES
}
print("\nwhat fine-tuning gains over training from scratch:")
for (task, size), gain in gains.items():
    print(f"  {task:<28}{size:<8}{gain:+.3f}")
lost = mean(different, "much", "from scratch") - mean(different, "much", "head")
print(f"what a frozen body loses against training from scratch, on photographs, with much data: {lost:.3f}")
assert gains[similar, "little"] > 0.03
assert mean(similar, "little", "features") > mean(similar, "little", "from scratch")
assert gains[similar, "little"] > gains[similar, "much"] + 0.02, "the more data, the less the old network is worth"
assert abs(gains[similar, "much"]) < 0.06
assert abs(gains[different, "much"]) < 0.06
assert lost > 0.04

# %% [markdown]
# On the photographs fine-tuning with little data gains less than the seeds differ from each other: with these three
# tasks nobody can claim that digits help with textures, nor that they harm. And although the *head* and the *features*
# have the same numbers to go by, the classifier of scikit-learn's is ahead of the head: it is solved to the end, while
# the head makes its eighty steps.
#
# ## 5. A hundred images
#
# Forty images are very few. Does the old network still help with a hundred of the similar task?

# %%
hundred = {way: [] for way in ("from scratch", "fine-tuning")}
for seed in SEEDS:
    (x, y), test = similar_task(seed)
    for way, runs in hundred.items():
        runs.append(score(way, old[seed], (x[:100], y[:100]), test, 5, seed))
print("\nsimilar task, 100 images:")
for way, runs in hundred.items():
    print(f"  {way:<13} {np.mean(runs):.3f} ({min(runs):.3f} - {max(runs):.3f})")
assert np.mean(hundred["fine-tuning"]) > np.mean(hundred["from scratch"])

# %% [markdown]
# ## 6. Features are as rich as the task that they come from
#
# Why were the old digits turned? To tell five upright digits apart, a network needs few features, and it learns no
# more than it needs. Twenty classes, from the same images, ask for more. So we train an old network on the upright
# digits alone, and compare the features of the two.

# %%
upright = [pretrained(seed, bunch.images[is_old], bunch.target[is_old], 5, steps=150) for seed in SEEDS]
richness = {}
for name, networks in {"20 classes, turned": old, "5 classes, upright": upright}.items():
    runs = []
    for seed in SEEDS:
        (x, y), test = similar_task(seed)
        runs.append(score("features", networks[seed], (x[:40], y[:40]), test, 5, seed))
    richness[name] = np.mean(runs)
    print(f"features of the old task with {name}: {np.mean(runs):.3f} ({min(runs):.3f} - {max(runs):.3f})")
print(f"random weights, trained on the 40 images: {mean(similar, 'little', 'from scratch'):.3f}")
assert richness["20 classes, turned"] > richness["5 classes, upright"] + 0.04

# %% [markdown]
# The upright digits are as near to the new ones as the turned ones are, and yet their features are worth far less.
# That is why networks for real use are pretrained on a thousand classes, or on tasks that are made up, as turning is.
#
# ## Remember
#
# | | similar task | different task |
# |---|---|---|
# | **little data** | features and a linear classifier, or fine-tuning | try both; expect little |
# | **much data** | fine-tuning does no harm, and no wonders | fine-tuning or from scratch; do not freeze |
#
# 1. A new head comes first, then the optimizer: one that was built before still holds the old head.
# 2. What is trained already gets a smaller rate than what is new.
# 3. Prepare new images as those that the network was trained on.
# 4. What is frozen is frozen with its running statistics.
# 5. Compare with training from scratch, over several seeds. It is often closer than one would think.
#
# ## Try
#
# 1. `optim.Adam(fine_tuning_groups(model, LR))` from `minicnn.recipes` gives every layer a rate of its own, smaller and
#    smaller towards the input. Is it better than two groups?
# 2. Freeze the first block alone: `freeze(model, "0", "1")`. Where in the table does that help?
# 3. Pretrain on the photographs and go on to digits. Is the way back as far?
# 4. `minicnn.recipes.pretrained("digits-lenet")` is a network that knows all ten digits, in the middle of 8 x 8 pixels.
#    What are its features worth for the photographs, in patches of 8 x 8?
