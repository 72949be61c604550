# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 13. Watching a training
#
# A training that fails seldom says so. It runs to its end and gives a bad network, and the error is somewhere among
# the data, the rate and the code. Most errors can be told from two curves and a few histograms, and often after a few
# epochs. This lesson makes six trainings, five of them bad ones, and learns to tell them apart.
#
#     python lessons/13_watching_training.py

# %%
import shutil

import numpy as np
from matplotlib.figure import Figure

import minicnn as mc
from minicnn import data, nn, optim
from minicnn.analyse import LivePlot, activation_statistics
from minicnn.analyse.curves import smooth
from minicnn.errors import DependencyError
from minicnn.train import Callback, TensorBoard

digits = data.normalise(data.load("digits"))
x, y = digits.train.x, digits.train.y
SEEDS = (0, 1, 2)
CHANCE = np.log(10)


def network(seed):
    mc.seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )


def fit(seed, *, lr=0.03, momentum=0.9, train=(x, y), epochs=12, optimizer=optim.SGD, callbacks=()):
    model = network(seed)
    trainer = mc.Trainer(model, optimizer=optimizer(model.parameters(), lr, momentum=momentum))
    trainer.fit(train, validation=digits.validation, epochs=epochs, batch_size=64, callbacks=callbacks)
    return trainer


def column(trainers, name):
    """What was measured, one row a seed, one column an epoch."""
    return np.array([trainer.history[name] for trainer in trainers])


def show(values):
    return f"{values.mean():.3f} ({values.min():.3f} - {values.max():.3f})"


# %% [markdown]
# ## 1. Curves that grow
#
# `LivePlot` draws the curves anew after every epoch: in a notebook below the cell, elsewhere in a window, and where
# there is no display into a file. (`minicnn train --plot` does the same on the command line.) So a bad training can be
# ended in its third epoch, instead of being noticed in its three-hundredth.

# %%
live = LivePlot("watching_live.png", units={"loss": "nats"}, every=4)
good = [fit(seed, callbacks=[live] if seed == 0 else []) for seed in SEEDS]
print(f"the curves of the first training are in a {live.place}" + (f", {live.path}" if live.place == "file" else ""))
print(f"a good training: training loss {show(column(good, 'loss')[:, -1])}, of three seeds (lowest - highest),")
print(f"validation loss {show(column(good, 'val_loss')[:, -1])}, accuracy {show(column(good, 'val_accuracy')[:, -1])}")
assert (column(good, "val_accuracy")[:, -1] > 0.9).all()

# %% [markdown]
# The loss of a network that knows nothing is $-\log 0.1 = 2.303$: ten classes, each as likely as the other. Keep the
# number in mind, it is the first thing to compare with.
#
# ## 2. Two wrong rates
#
# The same training with a hundredth of the rate, and with ten times as much.

# %%
slow = [fit(seed, lr=0.0003) for seed in SEEDS]
fast = [fit(seed, lr=0.3) for seed in SEEDS]

print(f"\n{'training loss':<28}{'epoch 1':>24}{'epoch 6':>24}{'epoch 12':>24}")
for name, trainers in {"rate 0.0003": slow, "rate 0.03": good, "rate 0.3": fast}.items():
    print(f"{name:<28}" + "".join(f"{show(column(trainers, 'loss')[:, epoch]):>24}" for epoch in (0, 5, 11)))
fall = 1 - column(slow, "loss")[:, -1] / column(slow, "loss")[:, -4]
print(f"with the small rate the loss fell by {show(fall)} of itself in the last three epochs: it is still on its way")
assert (fall > 0.05).all()
assert (column(slow, "loss")[:, -1] > 5 * column(good, "loss")[:, -1]).all()
assert (np.abs(column(fast, "loss")[:, -6:] - CHANCE) < 0.15).all(), "ten times the rate ends at log 10, and stays"

# %% [markdown]
# A curve that still falls steadily at its end, training and validation side by side: too small a rate, or too few
# epochs. A curve that sits at 2.303 as if nailed there: the network gives every image the same ten probabilities. Why
# does it not get away from there? The curve does not say. Its insides do.
#
# ## 3. Dead units
#
# A ReLU whose input is negative for every image gives 0 and lets no gradient through: the weights before it never
# change again, it is **dead**. One step too long can do that. `activation_statistics` counts them.

# %%
some = digits.validation.x[:200], digits.validation.y[:200]
inside = {
    name: [activation_statistics(trainer.model, *some) for trainer in trainers]
    for name, trainers in {"rate 0.0003": slow, "rate 0.03": good, "rate 0.3": fast}.items()
}
print("\nwith the large rate, seed 0:")
print(inside["rate 0.3"][0])

dead = {name: np.array([[row.dead for row in one.activations()] for one in stats]) for name, stats in inside.items()}
reach = {name: np.array([one[0].weight_gradient for one in stats]) for name, stats in inside.items()}
print("\ndead units of the three ReLUs, mean of three seeds, and the gradient that the first weights get:")
for name, shares in dead.items():
    cells = "  ".join(f"{share:4.0%}" for share in shares.mean(axis=0))
    print(f"  {name:<12}{cells}   {reach[name].max():.2g} at most")
assert (dead["rate 0.3"][:, -1] > 0.95).all()
assert (dead["rate 0.03"][:, -1] < 0.7).all()
assert (reach["rate 0.3"] < 1e-3 * reach["rate 0.03"]).all()

# %% [markdown]
# All is dead behind the first layer, so nothing reaches it, and only the last biases can still move. Waiting is
# useless. Some dead units are normal, as the second line shows.
#
# ## 4. Curves that part
#
# Now the rate is right, and the data are wrong. First there are only a hundred training images. Then there are all,
# but the labels were sorted in some other way than the images, as happens when two files are shuffled separately.

# %%
few = [fit(seed, train=(x[:100], y[:100]), epochs=60) for seed in SEEDS]
torn = [fit(seed, train=(x, y[np.random.default_rng(seed).permutation(len(y))])) for seed in SEEDS]

gap = column(few, "val_loss")[:, -1] / column(few, "loss")[:, -1]
rise = column(few, "val_loss")[:, -1] / column(few, "val_loss").min(axis=1)
print(
    f"\na hundred images: at the end the validation loss is {gap.min():.0f} to {gap.max():.0f} times the training loss,"
)
print(f"and {show(rise)} times what it had been at its lowest")
print(f"labels of other images: training loss after four epochs {show(column(torn, 'loss')[:, 3])},")
print(f"with the right ones it was {show(column(good, 'loss')[:, 3])}; the validation loss is never below", end=" ")
print(f"{column(torn, 'val_loss').min():.3f}, the accuracy at the end {show(column(torn, 'val_accuracy')[:, -1])}")
assert (gap > 10).all()
assert (rise > 1.02).all()
assert (column(torn, "loss")[:, 3] > 2.1).all()
assert (column(torn, "val_loss") > 2.2).all()
assert (column(torn, "val_accuracy")[:, -1] < 0.3).all()

stirring = np.array([activation_statistics(trainer.model, *some)[0].weight_gradient for trainer in torn])
print(f"yet the first weights do get a gradient: {stirring.min():.2g} to {stirring.max():.2g}")
assert (stirring > 1e-3).all()

# %% [markdown]
# Little data: the training loss goes to zero, and the validation loss turns and rises. That network has learned its
# hundred images by heart. With foreign labels there is nothing to learn *but* by heart, which takes far longer. So both
# losses sit at 2.303, as with the dead network; but here the units are alive. That is how to tell the rate from the
# data.
#
# ## 5. A bug that the loss hides
#
# `optimizer.zero_grad()` is forgotten easily where one writes the loop oneself. Each gradient is then added to all
# those before it. Momentum is off in this section, and the rate is small.


# %%
class Forgetful(optim.SGD):
    def zero_grad(self):
        """Forget it."""


class Spread(Callback):
    """Notes the standard deviation of the first weights' gradient, after the last batch of every epoch."""

    def on_train_begin(self):
        self.values = []

    def on_epoch_end(self, epoch, logs):
        self.values.append(float(self.trainer.model[0].weight.grad.std()))


def watched(seed, optimizer, *, lr=0.003, callbacks=()):
    spread = Spread()
    trainer = fit(seed, lr=lr, momentum=0.0, optimizer=optimizer, callbacks=[spread, *callbacks])
    return trainer, np.array(spread.values)


right, right_spread = zip(*[watched(seed, optim.SGD) for seed in SEEDS], strict=True)
wrong, wrong_spread = zip(*[watched(seed, Forgetful) for seed in SEEDS], strict=True)
larger = np.array(wrong_spread)[:, -1] / np.array(right_spread)[:, -1]
print(f"\nafter 12 epochs    as it should be: training loss {show(column(right, 'loss')[:, -1])}")
print(f"               without zero_grad(): training loss {show(column(wrong, 'loss')[:, -1])}: better!")
print(f"but the gradients of the first weights are {larger.min():.0f} to {larger.max():.0f} times as large")
assert column(wrong, "loss")[:, -1].mean() < column(right, "loss")[:, -1].mean()
assert (larger > 5).all()

later = np.array([watched(seed, Forgetful, lr=0.03)[0].history["loss"][-1] for seed in SEEDS])
sound = np.array([watched(seed, optim.SGD, lr=0.03)[0].history["loss"][-1] for seed in SEEDS])
print(f"at ten times the rate: {show(sound)} as it should be, {show(later)} without zero_grad()")
assert (later > 3 * sound).all()

# %% [markdown]
# To add up all gradients is momentum of 1.0: it rolls, and never forgets. At a rate that is too small this even helps,
# so the curve looks fine, and one is proud of the result. Only the gradients show it, and a rate that should have
# worked but does not.

# %%
SIX = {
    "good: rate 0.03": good,
    "rate too small": slow,
    "rate too large: dead": fast,
    "a hundred images: overfits": few,
    "foreign labels": torn,
    "no zero_grad(), rate 0.003": wrong,
}
figure = Figure(figsize=(11, 6), layout="constrained", dpi=120)
for axes, (name, trainers) in zip(figure.subplots(2, 3, sharey=True).flat, SIX.items(), strict=True):
    epochs = trainers[0].history.epoch
    for key, colour, line, label in (("loss", "#0072B2", "-", "training"), ("val_loss", "#D55E00", "--", "validation")):
        values = column(trainers, key)
        axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, linewidth=0)
        axes.plot(epochs, values.mean(axis=0), line, color=colour, label=label)
    axes.axhline(CHANCE, color="black", linewidth=0.8, linestyle=":", label="knows nothing: log 10")
    axes.set_title(name, fontsize=10)
    axes.set_yscale("log")
    axes.set_ylim(0.004, 8)
    axes.grid(alpha=0.3)
figure.axes[0].legend(fontsize=9, loc="lower left")
figure.supxlabel("epoch")
figure.supylabel("loss (nats)")
figure.savefig("watching_six_trainings.png")

figure = Figure(figsize=(10, 3.8), layout="constrained", dpi=120)
left, middle = figure.subplots(1, 2)
for place, (name, shares) in enumerate(dead.items()):
    at = np.arange(3) + 0.27 * (place - 1)
    left.bar(at, 100 * shares.mean(axis=0), width=0.25, color=("#009E73", "#0072B2", "#D55E00")[place], label=name)
    for seed in SEEDS:
        left.plot(at, 100 * shares[seed], ".", color="black", markersize=4)
left.set_xticks(range(3), ["first ReLU", "second", "third"])
left.set_ylabel("dead units (%)")
left.legend(fontsize=9)
for values, colour, label in (
    (right_spread, "#0072B2", "as it should be"),
    (wrong_spread, "#D55E00", "no zero_grad()"),
):
    for seed, row in enumerate(values):
        middle.plot(range(1, 13), row, color=colour, label=label if seed == 0 else None)
middle.set_yscale("log")
middle.set_xlabel("epoch")
middle.set_ylabel("std of the first weights' gradient")
middle.legend(fontsize=9)
for axes in (left, middle):
    axes.grid(alpha=0.3)
figure.savefig("watching_insides.png")
print("\ndrew watching_six_trainings.png and watching_insides.png")

# %% [markdown]
# What to see in the first figure: six shapes to know by heart. Look where the curves are compared with the dotted line,
# whether they part, and whether they still fall at the end. In the second: what the curves do not show. Dots and lines
# are single seeds.
#
# ## 6. The same in TensorBoard
#
# `train.TensorBoard` writes all of this while the network trains: losses of every batch and every epoch, and, given
# `histogram_freq`, histograms of all weights and gradients. `tensorboard --logdir watching_runs` shows them in a
# browser, with the two trainings of section 5 side by side. Here we read the files back without one.


# %%
def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(folder, size_guidance={"scalars": 0, "histograms": 0}).Reload()


def spread_of(histogram):
    """The standard deviation, from the sums that are kept with the buckets."""
    return np.sqrt(histogram.sum_squares / histogram.num - (histogram.sum / histogram.num) ** 2)


try:
    shutil.rmtree("watching_runs", ignore_errors=True)
    for name, optimizer in (("right", optim.SGD), ("forgetful", Forgetful)):
        watched(0, optimizer, callbacks=[TensorBoard(f"watching_runs/{name}", histogram_freq=1)])
    runs = {name: events(f"watching_runs/{name}/train") for name in ("right", "forgetful")}
except (DependencyError, ModuleNotFoundError) as missing:
    print(f"\nwithout TensorBoard this section is skipped: {missing}")
    runs = {}

noted = {"right": right_spread[0], "forgetful": wrong_spread[0]}
for name, run in runs.items():
    if name == "right":
        print("\nread back from the event files: the spread of gradients/0.weight, epoch by epoch")
    kept = [spread_of(event.histogram_value) for event in run.Histograms("gradients/0.weight")]
    print(f"  {name:<11}" + " ".join(f"{value:6.3f}" for value in kept))
    np.testing.assert_allclose(kept, noted[name], rtol=0.02)

# %% [markdown]
# The losses of single batches jump: each is the mean over 64 images, and they are always others. TensorBoard's slider
# **smooths** them, `plot_history(history, smoothing=0.9)` too: a running mean that forgets a tenth at every step.

# %%
if runs:
    losses = np.array([event.value for event in runs["right"].Scalars("batch_loss")])
    smoothed = smooth(losses, 0.9)
    jumps, calm = (np.abs(np.diff(values[20:])).mean() for values in (losses, smoothed))
    late = (smoothed - losses)[:40].mean()
    print(f"\n{len(losses)} batches: the loss jumps by {jumps:.3f} from one to the next, smoothed by {calm:.3f};")
    print(f"but while it falls fast, in the first forty, the smoothed curve lies too high by {late:.3f}: it comes late")
    assert calm < jumps / 3
    assert late > 0.05

# %% [markdown]
# So smooth to see where a noisy curve goes, and never to read a value off it, least of all the best one. That is why
# `plot_history` marks the best epoch on the measured values.
#
# ## Remember
#
# 1. Compare with the loss of a network that knows nothing, first of all.
# 2. Still falling: longer, or faster. Curves part: more data, or regularisation. Nailed to chance: look inside.
# 3. Dead units and no gradient: the rate. Alive and nothing to learn: the data.
# 4. A falling loss does not prove that the code is right. Look at gradients, too.
# 5. Smoothed curves are calm and late.
#
# ## Try
#
# 1. `nn.LeakyReLU()` in place of `nn.ReLU()` at the rate of 0.3: do units still die?
# 2. Train on twenty images until the training loss is zero, with the right labels and with foreign ones. Which of the
#    six trainings would that quick check have found out?
# 3. Start with biases of -3 in the first convolution. What do the histograms say before the first step?
