# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 7. Dropout and its relatives
#
# A network with more weights than images can learn the images by heart, and then it knows nothing about others. One way
# out is to never show it, or never let it be, the same thing twice: **chance in training, averaged out in testing**.
# Dropout is the famous case, and there are others: weights instead of numbers, pooling regions, whole layers. This
# lesson shows that they are one idea, measures what each of them is worth on few images, and uses the same chance once
# more, to ask a network how unsure it is.
#
#     python lessons/07_dropout_and_its_relatives.py

# %%
import numpy as np
from matplotlib.figure import Figure

import minicnn as mc
from minicnn import data, nn, ops, optim
from minicnn.backend import Key
from minicnn.recipes import predict_averaged

# %% [markdown]
# ## 1. Dropout by hand
#
# In training every number is switched off with probability $p$, and those that are left are divided by $1 - p$. Why
# divided? So that the mean over all masks is the number itself, and nothing has to be done in testing.

# %%
x = np.array([[1.0, -2.0, 3.0, 0.5]])
for step in range(3):
    y, mask = ops.dropout_forward(x, p=0.5, key=Key(seed=0, stream=0, step=step))
    print(f"mask {mask[0].astype(int)}   x * mask / (1 - p) = {y[0]}")

many, masks = ops.dropout_forward(np.repeat(x, 20_000, axis=0), p=0.5, key=Key(1, 0, 0))
print(f"\nover 20,000 masks: {100 * masks.mean():.1f} % survive, the mean is {many.mean(axis=0).round(2)}")
assert abs(masks.mean() - 0.5) < 0.01
assert np.abs(many.mean(axis=0) - x[0]).max() < 0.1

# %% [markdown]
# But behind dropout there are other layers, and the mean of a function is not the function of the mean. For a ReLU of a
# sum, say:

# %%
weights = np.array([[1.0, 1.0, -0.5, 1.0]])
with_masks, without = np.maximum(many @ weights.T, 0), np.maximum(x @ weights.T, 0)
print(f"ReLU(w x): {without.item():.2f} without masks, {with_masks.mean():.2f} on average with masks")
assert with_masks.mean() > without.item() + 0.3

# %% [markdown]
# So what a network says in evaluation mode is only near the mean of what it would say with all masks. Section 4 takes
# that mean itself.
#
# ## 2. One idea, five places
#
# | | chance in training | in its place in testing |
# |---|---|---|
# | `Dropout` | which numbers are 0 | nothing: the scale was put in in training |
# | `DropConnect` | which weights are 0, for each image | the mean over a normal number of the same mean and variance |
# | `FractionalMaxPool2d` | which pixels are pooled together | regular regions |
# | `StochasticDepth` | which residual blocks are run | all of them, each times its survival |
# | `BatchNorm2d` | which images share a batch, hence a mean | running means over many batches |
#
# What survives can be counted. With `nn.linear_decay` the first blocks survive more often than the last:

# %%
survivals = nn.linear_decay(4, last=0.5)
mc.seed(0)
blocks = [nn.StochasticDepth(nn.Linear(1, 1), survival=survival) for survival in survivals]
one = np.ones((1, 1), dtype=np.float32)
shares = []
for block in blocks:
    ran = []
    block.body.add_hook(lambda layer, x, y, ran=ran: ran.append(1))
    for _ in range(2000):
        block(one)
    shares.append(len(ran) / 2000)
print("\nsurvival of four blocks:     ", survivals)
print("share of 2,000 passes they ran:", [round(share, 3) for share in shares])
assert np.abs(np.array(shares) - survivals).max() < 0.05

rows, columns = nn.FractionalMaxPool2d(2, output_size=5, overlapping=False, pseudorandom=False).draw((8, 8))
print("8 rows pooled to 5, this time:", ["+".join(str(row) for row in range(*region)) for region in rows])
assert [row for region in rows for row in range(*region)] == list(range(8)), "every row once"

# %% [markdown]
# ## 3. A hundred images
#
# A small network, and the same with dropout, with DropConnect, with fractional pooling; and a residual network, and the
# same with stochastic depth. Each learns from 100 digits only, 4 times: other images and other weights for each seed.

# %%
digits = data.normalise(data.load("digits"))
SEEDS = (0, 1, 2, 3)


def convolution():
    return [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU()]


def residual_blocks():
    return [
        nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1)) for _ in range(4)
    ]


NETWORKS = {
    "plain": lambda: [
        *convolution(), nn.MaxPool2d(2, padding=1), nn.Flatten(),
        nn.Linear(400, 64), nn.ReLU(), nn.Linear(64, 10),
    ],
    "Dropout": lambda: [
        *convolution(), nn.MaxPool2d(2, padding=1), nn.Flatten(), nn.Dropout(0.25),
        nn.Linear(400, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 10),
    ],
    "DropConnect": lambda: [
        *convolution(), nn.MaxPool2d(2, padding=1), nn.Flatten(),
        nn.DropConnect(400, 64, 0.5, activation=nn.ReLU()), nn.Linear(64, 10),
    ],
    "fractional pooling": lambda: [
        *convolution(), nn.FractionalMaxPool2d(2, 5, overlapping=False, pseudorandom=False), nn.Flatten(),
        nn.Linear(400, 64), nn.ReLU(), nn.Linear(64, 10),
    ],
    "residual": lambda: [
        *convolution(), nn.MaxPool2d(2), *[nn.Residual(body) for body in residual_blocks()], nn.Flatten(),
        nn.Linear(256, 10),
    ],
    "stochastic depth": lambda: [
        *convolution(), nn.MaxPool2d(2),
        *[nn.StochasticDepth(body, survival=s) for body, s in zip(residual_blocks(), survivals, strict=True)],
        nn.Flatten(), nn.Linear(256, 10),
    ],
}  # fmt: skip
WITHOUT = {
    "Dropout": "plain", "DropConnect": "plain", "fractional pooling": "plain", "stochastic depth": "residual",
}  # fmt: skip


def trained(kind, seed):
    mc.seed(seed)
    few = data.ArrayDataset(*(part[100 * seed : 100 * (seed + 1)] for part in (digits.train.x, digits.train.y)))
    model = nn.Sequential(*NETWORKS[kind]())
    trainer = mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=2e-3))
    trainer.fit(few, epochs=50, batch_size=25, verbose=False)
    return model, trainer.evaluate(few), trainer.evaluate(digits.validation)


models, training, validation = {}, {}, {}
for kind in NETWORKS:
    results = [trained(kind, seed) for seed in SEEDS]
    models[kind] = [model for model, _, _ in results]
    training[kind] = np.array([[m["loss"], m["accuracy"]] for _, m, _ in results])
    validation[kind] = np.array([[m["loss"], m["accuracy"]] for _, _, m in results])

print("\nloss on 100 training images and on 270 others, means of four seeds (lowest - highest)")
for kind in NETWORKS:
    seen, other = training[kind][:, 0], validation[kind][:, 0]
    print(
        f"{kind:<19} {seen.mean():.3f}  {other.mean():.3f} ({other.min():.3f} - {other.max():.3f})"
        f"   accuracy {training[kind][:, 1].mean():.3f}  {validation[kind][:, 1].mean():.3f}"
    )

# %% [markdown]
# All of them know their hundred images, and are worse on others: that is the gap. Now each relative against the network
# without it, seed by seed. Does it make the training images harder, the gap smaller, the others easier?

# %%
print("\nwith the relative and without it, and for how many of four seeds it is")
print(f"{'':<19} {'training loss':<22}{'gap between the two':<23}validation loss")
for kind, other in WITHOUT.items():
    cells = []
    for measure, sign, word in ((0, 1, "higher"), (1, -1, "smaller"), (2, -1, "lower")):
        with_it, without_it = (
            (training[k][:, 0], validation[k][:, 0] - training[k][:, 0], validation[k][:, 0])[measure]
            for k in (kind, other)
        )
        count = int((sign * with_it > sign * without_it).sum())
        cells.append(f"{with_it.mean():.3f} {without_it.mean():.3f} {word} {count}")
    print(f"{kind:<19} {cells[0]:<22}{cells[1]:<23}{cells[2]}")


def mean_gap(kind):
    return (validation[kind] - training[kind])[:, 0].mean()


for kind, other in WITHOUT.items():
    assert training[kind][:, 0].mean() > 1.5 * training[other][:, 0].mean(), f"{kind} makes learning by heart harder"
    assert mean_gap(kind) < mean_gap(other), f"{kind} narrows the gap"
assert validation["stochastic depth"][:, 0].mean() < validation["residual"][:, 0].mean()
for kind in NETWORKS:
    assert (training[kind][:, 1] > 0.97).all(), "the training images are learned"
    assert (validation[kind][:, 0] > 3 * training[kind][:, 0]).all(), "the gap is there for all of them"

# %%
figure = Figure(figsize=(8, 3.8), layout="constrained", dpi=120)
axes = figure.subplots()
for place, kind in enumerate(NETWORKS):
    for values, colour, label in ((training, "#0072B2", "training"), (validation, "#D55E00", "validation")):
        losses = values[kind][:, 0]
        axes.plot([place] * len(losses), losses, "o", color=colour, markersize=4, alpha=0.5)
        axes.plot([place - 0.25, place + 0.25], [losses.mean()] * 2, color=colour, label=label if place == 0 else None)
axes.axvline(3.5, color="black", linewidth=0.6, linestyle=":")
axes.set_xticks(range(len(NETWORKS)), [kind.replace(" ", "\n") for kind in NETWORKS])
axes.set_yscale("log")
axes.set_ylabel("loss in evaluation mode")
axes.set_title("After 50 epochs on 100 images: a dot for each seed, a line for the mean", fontsize=11)
axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
axes.grid(alpha=0.3, axis="y")
figure.savefig("dropout_and_its_relatives.png")
print("\ndrew dropout_and_its_relatives.png")

# %% [markdown]
# What to see in the figure: with chance the blue dots are higher, always, and the gap is smaller. But a smaller gap is
# not yet a better network. The orange dots are lower on average for three of the four, most of all for the deep
# residual network, which needed it most; dropout, which takes away half of 64 numbers, gains nothing here. And for the
# small networks the seeds spread about as far as the kinds differ: with one seed we could have "shown" what we liked.
#
# ## 4. The mean itself
#
# `predict_averaged` leaves the layers that draw in training mode, asks the network 20 times, and averages the
# probabilities. Is the true mean better than the single network of evaluation mode? The answer differs.

# %%
xv, yv = digits.validation.x, digits.validation.y
averages = {kind: [predict_averaged(model, xv, samples=20) for model in models[kind]] for kind in WITHOUT}
print("\nvalidation loss and accuracy: one network, and 20 draws averaged, means of four seeds")
averaged_loss, averaged_accuracy = {}, {}
for kind, answers in averages.items():
    means = np.array([answer.mean for answer in answers], dtype=np.float64)
    losses = -np.log(means[:, np.arange(len(yv)), yv]).mean(axis=1)
    averaged_loss[kind] = losses
    averaged_accuracy[kind] = (means.argmax(axis=2) == yv).mean(axis=1)
    single = validation[kind].mean(axis=0)
    print(
        f"{kind:<19} loss {single[0]:.3f} -> {losses.mean():.3f}   "
        f"accuracy {single[1]:.3f} -> {averaged_accuracy[kind].mean():.3f}"
    )
assert averaged_accuracy["fractional pooling"].mean() > validation["fractional pooling"][:, 1].mean()
assert averaged_loss["fractional pooling"].mean() < validation["fractional pooling"][:, 0].mean()
assert averaged_loss["stochastic depth"].mean() < validation["stochastic depth"][:, 0].mean()
assert averaged_loss["Dropout"].mean() > validation["Dropout"][:, 0].mean(), "not for everybody"

# %% [markdown]
# For fractional pooling it is clearly better, as Graham's paper found: no single choice of regions stands for all. For
# dropout it is not: with half of the numbers gone each draw is much less sure, and so is their mean, although it picks
# the same classes about as often. The usual approximation is a good one there, and does the work once.
#
# ## 5. How unsure?
#
# If the draws contradict each other the network does not know. `disagreement` is the entropy of the mean less the mean
# of the draws' entropies: 0 if all draws say the same. Do the images where it is largest turn out to be the wrong ones?

# %%
TENTH = len(yv) // 10
print("\nshare of wrong answers among the tenth of images with the largest disagreement, and among the others")
for kind, answers in averages.items():
    unsure, sure, single = [], [], []
    for model, answer in zip(models[kind], answers, strict=True):
        wrong = answer.mean.argmax(axis=1) != yv
        order = np.argsort(-answer.disagreement)
        unsure.append(wrong[order[:TENTH]].mean())
        sure.append(wrong[order[TENTH:]].mean())
        p = mc.Trainer(model).predict_proba(xv)
        entropy = -(p * np.log(np.maximum(p, 1e-30))).sum(axis=1)
        single.append((p.argmax(axis=1) != yv)[np.argsort(-entropy)[:TENTH]].mean())
    print(
        f"{kind:<19} {np.mean(unsure):.2f} ({min(unsure):.2f} - {max(unsure):.2f}) and {np.mean(sure):.2f}"
        f"   by one network's entropy: {np.mean(single):.2f}"
    )
    assert np.mean(unsure) > 2 * np.mean(sure), kind

# %% [markdown]
# Where the draws disagree, answers are wrong several times as often as elsewhere. And yet many of those unsure answers
# are right, some wrong ones are given without doubt, and the entropy of a single evaluation finds the wrong ones at
# least as well. Disagreement tells *why* a network is unsure, and not much better *whether*.

# %%
answer = averages["stochastic depth"][0]
order = np.argsort(-answer.disagreement)
figure = Figure(figsize=(9, 3.6), layout="constrained", dpi=120)
grid = figure.subplots(2, 8, height_ratios=[1, 0.8])
for column, index in enumerate([*order[:6], *order[-2:]]):
    prediction = answer.mean[index].argmax()
    grid[0, column].imshow(-xv[index, 0], cmap="gray")
    grid[0, column].set_title(
        f"is {yv[index]}, says {prediction}", fontsize=8, color="black" if prediction == yv[index] else "#D55E00"
    )
    grid[0, column].axis("off")
    grid[1, column].bar(range(10), answer.mean[index], color="#0072B2")
    grid[1, column].errorbar(range(10), answer.mean[index], answer.std[index], fmt="none", ecolor="#E69F00")
    grid[1, column].set_ylim(0, 1.05)
    grid[1, column].set_xticks([0, 3, 6, 9])
    grid[1, column].tick_params(labelsize=7, labelleft=column == 0)
figure.suptitle("The six digits with the largest disagreement, and the two with the least. Bars: mean, lines: std")
figure.savefig("dropout_unsure.png")
print("\ndrew dropout_unsure.png")

# %% [markdown]
# ## Remember
#
# 1. Chance in training keeps a network from learning images by heart; testing takes the mean, or something near it.
# 2. `model.train()` and `model.eval()` decide which of the two happens. A forgotten `eval()` is a random prediction.
# 3. Know what is scaled and when: dropout in training, DropConnect and stochastic depth in testing.
# 4. Look at the loss as well as the accuracy, and at more than one seed.
# 5. Draws that contradict each other are a warning. Draws that agree are no promise.
#
# ## Try
#
# 1. All 1,257 training images instead of 100. Which of the gains are left?
# 2. `nn.Dropout(0.9)`: what happens to the training loss, and what do 20 draws say?
# 3. A plain network 64 times as wide. Does the gap grow?
# 4. `nn.FractionalMaxPool2d(2, 4)` in the place of 5: regions that overlap, and a smaller image behind them.
