# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 10. Ensembles: asking more than once
#
# Train the same network twice from different random weights, and the two make about as many mistakes, but not the same
# ones. So ask both. This lesson measures what that brings, why it brings less than arithmetic promises, and what three
# cheaper kinds of averaging are worth: over one training, over weights, and over views of one image.
#
#     python lessons/10_ensembles.py

# %%
import math

import numpy as np
from matplotlib.figure import Figure

import minicnn as mc
from minicnn import data, nn, optim
from minicnn.recipes import Ensemble, train_ensemble
from minicnn.train import Callback, MovingAverage, Snapshots

# %% [markdown]
# ## 1. Voting coins
#
# Let $M$ voters be right with probability $p$ each, and let one's mistake say nothing about the others'. The majority
# is right if more than half of them are:
#
# $$P(M, p) = \sum_{k > M/2} \binom{M}{k}\, p^k (1 - p)^{M - k}$$
#
# This is Condorcet's argument of 1785, and it works both ways.


# %%
def chance(k, count, p):
    return math.comb(count, k) * p**k * (1 - p) ** (count - k)


def majority_of_coins(count, p):
    """Where there is a tie, one half."""
    return sum(chance(k, count, p) * (1 if 2 * k > count else 0.5 if 2 * k == count else 0) for k in range(count + 1))


print("how often a majority of independent voters is right:")
print("  voters        1      3      5      9")
for p in (0.45, 0.55, 0.9):
    print(f"  p = {p:<4}" + "".join(f"{majority_of_coins(count, p):7.3f}" for count in (1, 3, 5, 9)))
assert majority_of_coins(5, 0.9) > 0.99
assert majority_of_coins(9, 0.45) < 0.45, "if each is wrong more often than right, together they are worse"

# %% [markdown]
# Five voters with 10% mistakes each would have less than 1% together. Do networks?
#
# ## 2. Five networks
#
# We learn from 300 digits only, so that there are mistakes to look at, and measure on the 1,227 other images of
# training and validation set. The test set stays sealed: nothing here needs it. The members differ by their seed alone,
# that is by the weights they began with and the order of the images. All of it is done three times, with other seeds.

# %%
digits = data.load("digits")
normaliser = data.Normaliser.fit(digits.train.x[:300])  # what is measured on has no say in it
few = data.ArrayDataset(normaliser(digits.train.x[:300]), digits.train.y[:300], classes=digits.classes)
others = data.ArrayDataset(
    normaliser(np.concatenate([digits.train.x[300:], digits.validation.x])),
    np.concatenate([digits.train.y[300:], digits.validation.y]),
    classes=digits.classes,
)
BATCH, STEPS = 32, math.ceil(len(few) / 32)
MEMBERS, REPEATS = 10, 3


def network():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def with_adam(lr=3e-3, schedule=None):
    model = network()
    return mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=lr), schedule=schedule)


def fit(trainer, dataset, epochs, *callbacks):
    trainer.fit(dataset, epochs=epochs, batch_size=BATCH, callbacks=callbacks, verbose=False)


def accuracy(probabilities):
    return np.mean(probabilities.argmax(axis=1) == others.y)


ensembles = [
    train_ensemble(
        lambda seed: with_adam(), few, members=MEMBERS, seed=100 * repeat, epochs=15, batch_size=BATCH, verbose=False
    )
    for repeat in range(REPEATS)
]
fives = [Ensemble(ensemble.models[:5]) for ensemble in ensembles]

print(f"\naccuracy of five members alone and together, {REPEATS} times:")
print("        mean member   best member   together")
gains, over_best = [], []
for repeat, five in enumerate(fives):
    result = five.contributions(others)
    gains.append(result.ensemble - result.own.mean())
    over_best.append(result.ensemble - result.own.max())
    print(f"  {repeat}: {result.own.mean():12.3f} {result.own.max():13.3f} {result.ensemble:10.3f}")
print(f"together they beat their mean by {np.mean(gains):.3f} ({min(gains):.3f} - {max(gains):.3f})")
assert min(gains) > 0.01
assert np.mean(over_best) > 0

# %% [markdown]
# About half of the mistakes are gone. And you need not know which member is the best one: together they do better than
# it, too.
#
# ## 3. What each member adds
#
# `contributions` shows each member alone, the ensemble without it, the ensemble of all members up to it, and on what
# share of the images it disagrees with another member, on average.

# %%
print()
print(fives[0].contributions(others))

first = np.array([ensemble.contributions(others).first for ensemble in ensembles])
votes = np.array([Ensemble(e.models, vote="majority").contributions(others).first for e in ensembles])
print("\naccuracy by the number of members, mean of three repeats:")
print("  members                " + "".join(f"{count:7d}" for count in range(1, MEMBERS + 1)))
print("  mean of probabilities  " + "".join(f"{value:7.3f}" for value in first.mean(axis=0)))
print("  majority               " + "".join(f"{value:7.3f}" for value in votes.mean(axis=0)))
early, late = first[:, 2] - first[:, 0], first[:, -1] - first[:, 4]
print(f"members 2 and 3 add {early.mean():.3f}, members 6 to 10 together {late.mean():+.3f}")
assert early.mean() > late.mean() + 0.01
assert abs(first[:, 2:] - votes[:, 2:]).max() < 0.015

# %% [markdown]
# The second and the third member add most; after five there is little to gain. A member may even take something away:
# look for a minus in the column "it adds", and do not believe it, since it stands for a few images of 1,227.
#
# Means of probabilities and majorities differ by a few images. The mean is the default: it has no ties, and hears that
# one member is sure and another only guesses.
#
# ## 4. Networks are no coins
#
# If the mistakes were independent, the number of members that are wrong about one image would follow the binomial
# distribution. Count them.

# %%
wrong = np.stack([ensemble.member_probabilities(others.x).argmax(axis=2) != others.y for ensemble in ensembles])
p = 1 - wrong.mean()
measured = np.array([(wrong.sum(axis=1) == k).mean() for k in range(MEMBERS + 1)])
coins = np.array([chance(k, MEMBERS, 1 - p) for k in range(MEMBERS + 1)])
print(f"\nshare of images that k of {MEMBERS} members are wrong about, each being wrong about {1 - p:.3f}:")
for k in range(MEMBERS + 1):
    print(f"  k = {k:2d}   measured {measured[k]:.4f}   if they were independent {coins[k]:.2g}")
assert measured[MEMBERS // 2 + 1 :].sum() > 10 * coins[MEMBERS // 2 + 1 :].sum()
assert measured[0] > coins[0]

figure = Figure(figsize=(10, 4), layout="constrained", dpi=120)
curve, bars = figure.subplots(1, 2)
counts = np.arange(1, MEMBERS + 1)
odd = counts[::2]
coin_curve = [majority_of_coins(count, p) for count in odd]
curve.plot(odd, coin_curve, "^--", color="#009E73", markersize=4, label="majority of independent voters")
curve.fill_between(counts, first.min(axis=0), first.max(axis=0), color="#0072B2", alpha=0.2, linewidth=0)
curve.plot(counts, first.mean(axis=0), "o-", color="#0072B2", markersize=4, label="mean of probabilities")
curve.plot(counts, votes.mean(axis=0), "s:", color="#D55E00", markersize=4, label="majority")
curve.set_xticks(counts)
curve.set_xlabel("members")
curve.set_ylabel("accuracy")
curve.set_title("Three repeats, band: lowest to highest", fontsize=10)
curve.grid(alpha=0.3)
curve.legend(fontsize=9)
ks = np.arange(MEMBERS + 1)
bars.bar(ks - 0.2, measured, 0.4, color="#0072B2", label="measured")
bars.bar(ks + 0.2, coins, 0.4, color="#009E73", label="independent voters")
bars.set_yscale("log")
bars.set_ylim(1e-4, 1)
bars.set_xticks(ks)
bars.set_xlabel(f"how many of {MEMBERS} members are wrong about an image")
bars.set_ylabel("share of images")
bars.set_title("Mistakes come together", fontsize=10)
bars.grid(alpha=0.3, axis="y")
bars.legend(fontsize=9)
figure.savefig("ensembles.png")
print("drew ensembles.png")

# %% [markdown]
# What to see in the figure: on the left the measured curves rise like that of the coins, and level off far below it. On
# the right is the reason: there are images that nearly all members get wrong, and no vote mends those. All members have
# learned from the same 300 images, and what is not in these none of them knows. An ensemble removes the part of the
# mistakes that comes from the seed, and leaves the part that comes from the data.
#
# ## 5. Several for the price of one
#
# Five members cost five trainings. Huang et al. ("Snapshot ensembles: train 1, get M for free", 2017) let the learning
# rate fall to nothing and restart, again and again, and keep the weights at the end of each cycle. We give 40 epochs to
# each of three: one long training, five cycles of eight epochs, and five trainings of eight epochs.

# %%
CYCLE, CYCLES = 8, 5


def with_momentum(schedule):
    model = network()
    return mc.Trainer(model, optimizer=optim.SGD(model.parameters(), lr=0.05, momentum=0.9), schedule=schedule)


def one_budget(seed):
    """Return name -> (loss, accuracy), and how often two snapshots and two trainings disagree."""
    mc.seed(seed)
    long = with_momentum(optim.Cosine(T_max=CYCLES * CYCLE * STEPS, per="batch"))
    fit(long, few, CYCLES * CYCLE)
    mc.seed(seed)
    cyclic, snapshots = with_momentum(optim.CosineWarmRestarts(CYCLE * STEPS, per="batch")), Snapshots(every=CYCLE)
    fit(cyclic, few, CYCLES * CYCLE, snapshots)
    apart = train_ensemble(
        lambda seed: with_momentum(optim.Cosine(T_max=CYCLE * STEPS, per="batch")),
        few, members=CYCLES, seed=100 * seed, epochs=CYCLE, batch_size=BATCH, verbose=False,
    )  # fmt: skip
    together = Ensemble(snapshots.models)
    results = {
        "one long training": Ensemble([long.model]),
        "the last snapshot": Ensemble(snapshots.models[-1:]),
        "all five snapshots": together,
        "five short trainings": apart,
    }
    disagreements = [e.contributions(others).disagreement.sum() / (CYCLES * (CYCLES - 1)) for e in (together, apart)]
    return {name: tuple(e.evaluate(others).values()) for name, e in results.items()}, disagreements


budgets, disagreements = zip(*(one_budget(seed) for seed in range(REPEATS)), strict=True)
budget = {name: np.array([results[name] for results in budgets]) for name in budgets[0]}
print(f"\n{CYCLES * CYCLE} epochs spent in three ways, mean of three seeds (lowest - highest):")
for name, values in budget.items():
    losses, accuracies = values.T
    print(
        f"  {name:<21} accuracy {accuracies.mean():.3f} ({accuracies.min():.3f} - {accuracies.max():.3f})"
        f"   loss {losses.mean():.3f} ({losses.min():.3f} - {losses.max():.3f})"
    )
of_snapshots, of_trainings = np.mean(disagreements, axis=0)
print(f"two snapshots disagree on {of_snapshots:.3f} of the images, two trainings on {of_trainings:.3f}")
assert of_snapshots < 0.8 * of_trainings
assert budget["all five snapshots"][:, 0].mean() < budget["the last snapshot"][:, 0].mean()
assert budget["five short trainings"][:, 1].mean() > budget["all five snapshots"][:, 1].mean() + 0.005

# %% [markdown]
# Here the snapshots gain no accuracy to speak of over the last of them; their loss is lower, because where they
# disagree they are less sure. The restarts do not throw the network far enough: snapshots are relatives, as their
# disagreement shows. Separate trainings win clearly, at the same price. But eight epochs are enough for this network to
# learn most of what it will ever learn. Where a fifth of the training is too little to get anywhere, as on the paper's
# data, separate trainings are no alternative. Measure before you believe either.
#
# ## 6. Averaging the weights
#
# With a large learning rate the weights never settle; they jump about a place that is better than each of them.
# `MovingAverage` keeps the mean of their path (Polyak and Juditsky, 1992), and it costs next to nothing. The weights of
# *separate* trainings cannot be averaged: their channels come in another order.

# %%
EPOCHS, LARGE = 12, 0.03


class Both(Callback):
    """After each epoch, the accuracy of the weights and that of their average."""

    def __init__(self, average):
        self.average, self.own, self.averaged = average, [], []

    def on_epoch_end(self, epoch, logs):
        self.own.append(self.trainer.evaluate(others)["accuracy"])
        with self.average.applied(self.trainer.model):
            self.averaged.append(self.trainer.evaluate(others)["accuracy"])


def watched(seed, schedule):
    mc.seed(seed)
    average = MovingAverage(0.99, apply_at_end=False)
    both = Both(average)
    fit(with_adam(LARGE, schedule), few, EPOCHS, average, both)
    return both.own, both.averaged


paths = {
    "a constant rate": np.array([watched(seed, None) for seed in range(5)]),
    "a rate that falls": np.array([watched(seed, optim.Cosine(EPOCHS * STEPS, per="batch")) for seed in range(5)]),
}
print(f"\naccuracy after {EPOCHS} epochs of Adam at {LARGE}, mean of five seeds (lowest - highest):")
for name, path in paths.items():
    own, averaged = path[:, :, -1].T
    print(
        f"  {name:<18} weights {own.mean():.3f} ({own.min():.3f} - {own.max():.3f})   "
        f"their average {averaged.mean():.3f} ({averaged.min():.3f} - {averaged.max():.3f}), "
        f"better in {(averaged > own).sum()} of 5"
    )
constant, falling = (path[:, 1, EPOCHS // 2 :].mean() - path[:, 0, EPOCHS // 2 :].mean() for path in paths.values())
print(f"over the second half of the epochs, averaging adds {constant:+.3f} and {falling:+.3f}")
assert constant > 0.003
assert constant > falling

figure = Figure(figsize=(10, 4), layout="constrained", dpi=120)
ways, average = figure.subplots(1, 2)
for row, values in enumerate(budget.values()):
    ways.plot(values[:, 1], [row] * REPEATS, "o", color="#0072B2", alpha=0.5)
    ways.plot(values[:, 1].mean(), row, "|", color="#D55E00", markersize=22, markeredgewidth=2.5)
ways.set_yticks(range(len(budget)), budget)
ways.set_ylim(len(budget) - 0.5, -0.5)
ways.set_xlabel("accuracy (dots: seeds, mark: their mean)")
ways.set_title(f"{CYCLES * CYCLE} epochs, spent in three ways", fontsize=10)
ways.grid(alpha=0.3)
epochs = np.arange(1, EPOCHS + 1)
for which, (label, colour) in enumerate([("the weights", "#D55E00"), ("their moving average", "#0072B2")]):
    values = paths["a constant rate"][:, which]
    average.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, linewidth=0)
    average.plot(epochs, values.mean(axis=0), "o-", color=colour, markersize=4, label=label)
average.set_xlim(2.5, EPOCHS + 0.5)
average.set_ylim(0.72, 0.97)
average.set_xlabel("epoch")
average.set_ylabel("accuracy")
average.set_title(f"Adam at a constant {LARGE}, five seeds", fontsize=10)
average.grid(alpha=0.3)
average.legend(fontsize=9, loc="lower right")
figure.savefig("ensembles_for_less.png")
print("drew ensembles_for_less.png")

# %% [markdown]
# What to see in the figure: on the left, the same 40 epochs are worth most when they are spent on networks that know
# nothing of each other. On the right the average follows the weights, a little better and with less up and down. With a
# rate that falls to nothing there is nothing left to average out: both do the same job.
#
# ## 7. Averaging over views
#
# Instead of several networks, ask one network about several views of an image: here the image itself and moved by one
# pixel to each side, with background coming in at the border. This is called test-time augmentation.

# %%
SHIFTS = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]
BACKGROUND = normaliser(np.zeros((1, 1, 1, 1), dtype=np.float32)).item()


def shifted(x, down, right):
    """x (N, C, H, W) moved by at most one pixel."""
    height, width = x.shape[2:]
    framed = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=BACKGROUND)
    return framed[:, :, 1 - down : 1 - down + height, 1 - right : 1 - right + width]


assert (shifted(others.x, 1, 0)[:, :, 1:] == others.x[:, :, :-1]).all()


def views(seed, dataset, epochs):
    """Train a network; return its accuracy on the images, on shifted ones, and from the mean over views."""
    mc.seed(seed)
    trainer = with_adam()
    fit(trainer, dataset, epochs)
    p = [trainer.predict_proba(shifted(others.x, *shift)) for shift in SHIFTS]
    return accuracy(p[0]), np.mean([accuracy(view) for view in p[1:]]), accuracy(np.mean(p, axis=0))


moved = data.ArrayDataset(
    np.concatenate([shifted(few.x, *shift) for shift in SHIFTS]), np.tile(few.y, len(SHIFTS))
)  # five times as many images, so fewer epochs
results = {
    "has seen no shifts": np.array([views(seed, few, 15) for seed in range(REPEATS)]),
    "was trained on shifts": np.array([views(seed, moved, 7) for seed in range(REPEATS)]),
}
print("\naccuracy of one network, mean of three seeds:")
for name, values in results.items():
    alone, of_shifted, mean = values.mean(axis=0)
    change = values[:, 2] - values[:, 0]
    print(
        f"  {name:<22} the image {alone:.3f}   shifted ones {of_shifted:.3f}   mean over views {mean:.3f}: "
        f"{change.mean():+.3f} ({change.min():+.3f} - {change.max():+.3f})"
    )
changes = {name: (values[:, 2] - values[:, 0]).mean() for name, values in results.items()}
assert changes["has seen no shifts"] < 0 < changes["was trained on shifts"]

# %% [markdown]
# A pixel is an eighth of such an image, and to a network that never saw a shifted digit it is another image altogether:
# the other views are bad witnesses, and asking them does harm. A network that was trained on shifts gains. For views
# that are drawn at random, and for networks that are random themselves, there is `recipes.predict_averaged`, which also
# says how much the answers differ: `predict_averaged(model, x, augment=data.augment.Shift(1))`.
#
# ## Remember
#
# 1. An ensemble removes the mistakes that come from chance, so its members have to differ. Look at their disagreement.
# 2. Three to five members bring most of it, and cost three to five times as much, in training and ever after.
# 3. What all members get wrong needs other data or another kind of member.
# 4. A moving average of the weights costs almost nothing; it helps where the learning rate does not fall.
# 5. Average over views only if the network was trained on such views.
# 6. A comparison has to be made at the same price.
#
# ## Try
#
# 1. Let members differ by more than the seed: 5 x 5 kernels, another width, `nn.Tanh`. What does the disagreement do?
# 2. Give each member 300 images of its own. Is the curve closer to that of coins?
# 3. Put a network that was hardly trained among five good ones. Whom does it harm more, the mean or the majority?
# 4. Average the *weights* of two members of section 2 and measure the result. Why is it so bad?
