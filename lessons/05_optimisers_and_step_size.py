# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 5. Optimisers and the size of a step
#
# The gradient says in which direction to go, and nothing about how far. That is the **learning rate**'s part, and no
# other number decides as often whether a network learns. This lesson finds out what it depends on, how to find a good
# one, what the famous optimisers change about it, and what it is good for to lower it during the training.
#
#     python lessons/05_optimisers_and_step_size.py

# %%
import numpy as np
from matplotlib.figure import Figure

import minicnn as mc
from minicnn import data, nn, optim
from minicnn.errors import NonFiniteError
from minicnn.recipes import learning_rate_range_test

# %% [markdown]
# ## 1. A parabola
#
# Take the loss $L(w) = \frac{c}{2} w^2$. Its gradient is $c\,w$, so a step of gradient descent is
# $w \leftarrow w - \eta\,c\,w = (1 - \eta c)\,w$: every step multiplies $w$ by the same number. If that number lies
# between -1 and 1 we come closer to the minimum, else we are thrown away from it. So everything depends on $\eta$
# compared with $2 / c$, and $c$ is the **curvature**, the second derivative.


# %%
def descend(lr, curvature=10.0, steps=30):
    w = nn.Parameter(np.array([1.0]))
    optimizer = optim.SGD([w], lr=lr)
    for _ in range(steps):
        w.grad = curvature * w.data
        optimizer.step()
    return abs(w.data[0])


print("a parabola of curvature 10, from w = 1, after 30 steps:")
for lr in (0.001, 0.01, 0.1, 0.19, 0.21):
    print(f"  learning rate {lr:<5}  |w| = {descend(lr):.3g}")
assert descend(0.1) < 1e-15
assert descend(0.19) < 1 < descend(0.21), "the border is at 2 / curvature = 0.2"

# %% [markdown]
# Ten times too small costs ten times as many steps; slightly too large costs everything. A network's loss has a
# different curvature in every direction and at every place, and nobody knows them. So we measure.
#
# ## 2. The range test
#
# Train for a hundred steps while the rate rises from far too small to far too large, and look where the loss falls and
# where it diverges (Smith, "Cyclical learning rates for training neural networks", 2017, section 3.3). Here it takes a
# fraction of a second, and the model itself stays as it was.

# %%
digits = data.normalise(data.load("digits"))
SEEDS = (0, 1, 2)


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
        nn.Linear(64, 10),
    )


def momentum(parameters, lr=1e-3):
    return optim.SGD(parameters, lr, momentum=0.9)


KINDS = {
    "SGD": optim.SGD,
    "SGD, momentum 0.9": momentum,
    "AdaGrad": optim.AdaGrad,
    "RMSprop": optim.RMSprop,
    "Adam": optim.Adam,
    "AdamW": optim.AdamW,
}
result = learning_rate_range_test(network(0), nn.CrossEntropyLoss(), digits.train, optimizer=optim.Adam, batch_size=64)
result.plot().savefig("optimisers_range_test.png")
print(f"\nrange test with Adam: try {result.suggestion:.2g}; the curve is in optimisers_range_test.png")

# %% [markdown]
# In the figure the loss does nothing at first, then falls, and shoots up where steps are too long. The suggestion lies
# a factor of ten below the lowest point: a rate that a few steps just survive is too large for a whole training.
#
# ## 3. Six optimisers, seven rates, three seeds
#
# What do the optimisers do with the gradient $g$?
#
# - **SGD** multiplies it by the rate. **Momentum** adds up a fading sum of the gradients before it, about
#   $1 / (1 - 0.9) = 10$ of them where they agree, so it wants a rate about ten times smaller.
# - **AdaGrad** divides by the root of the sum of *all* $g^2$ so far: steps only become shorter.
# - **RMSprop** divides by the root of the running *mean* of $g^2$: steps are about as long as the rate, whatever the
#   gradient's size.
# - **Adam** is RMSprop with momentum, and undoes the bias of means that start at zero. **AdamW** moves weight decay out
#   of that division.
#
# Each is trained for five epochs from the same weights with the same order of the images; the seed changes both.


# %%
def final_loss(kind, lr, seed, *, epochs=5, schedule=None):
    model = network(seed)
    trainer = mc.Trainer(model, optimizer=KINDS[kind](model.parameters(), lr=lr), schedule=schedule)
    try:
        return trainer.fit(digits.train, validation=digits.validation, epochs=epochs, batch_size=64)["val_loss"][-1]
    except NonFiniteError:
        return np.inf


rates = np.geomspace(1e-3, 1, 7)
losses = {kind: np.array([[final_loss(kind, lr, seed) for seed in SEEDS] for lr in rates]) for kind in KINDS}

print("\nvalidation loss after five epochs, mean of three seeds (lowest - highest)")
print(f"{'':<18}" + "".join(f"{lr:>9.1g}" for lr in rates) + "   best")
for kind, rows in losses.items():
    means = rows.mean(axis=1)
    best = means.argmin()
    spread = f"{means[best]:.3f} ({rows[best].min():.3f} - {rows[best].max():.3f}) at {rates[best]:.1g}"
    print(f"{kind:<18}" + "".join(f"{mean:9.3f}" for mean in means) + f"   {spread}")

# %%
figure = Figure(figsize=(10, 5.6), layout="constrained", dpi=120)
for axes, (kind, rows) in zip(figure.subplots(2, 3, sharex=True, sharey=True).flat, losses.items(), strict=True):
    suggestions = [
        learning_rate_range_test(
            network(seed), nn.CrossEntropyLoss(), digits.train, optimizer=KINDS[kind], batch_size=64
        ).suggestion
        for seed in SEEDS
    ]
    axes.fill_between(rates, rows.min(axis=1), rows.max(axis=1), color="#0072B2", alpha=0.25, linewidth=0)
    axes.plot(rates, rows.mean(axis=1), color="#0072B2", marker="o", markersize=4)
    for suggestion in suggestions:
        axes.axvline(suggestion, color="#D55E00", linestyle="--", linewidth=1)
    axes.set_title(kind, fontsize=10)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(0.08, 6)
    axes.grid(alpha=0.3)
figure.supxlabel("learning rate")
figure.supylabel("validation loss after five epochs")
figure.suptitle("Band: lowest to highest of three seeds. Dashed: what the range test suggests", fontsize=11)
figure.savefig("optimisers_and_step_size.png")
print("\ndrew optimisers_and_step_size.png")

# %% [markdown]
# What to see in the figure: every curve is a valley, it lies at another rate for each optimiser, and its walls are far
# higher than the valleys' floors differ from one optimiser to the next.

# %%
means = {kind: rows.mean(axis=1) for kind, rows in losses.items()}
floors = np.array([mean.min() for mean in means.values()])
best_rates = {kind: rates[mean.argmin()] for kind, mean in means.items()}
print(f"the best and the worst optimiser, each at its own best rate: {floors.min():.3f} and {floors.max():.3f}")
worst_rate = min(np.interp(np.log10(best_rates[kind]) - 1, np.log10(rates), mean) for kind, mean in means.items())
print(f"any of them at a tenth of its best rate: {worst_rate:.3f} or worse")
assert worst_rate > floors.max(), "the rate mattered more than the optimiser"
assert best_rates["SGD"] > 3 * best_rates["SGD, momentum 0.9"], "momentum wants a smaller rate"
assert best_rates["SGD"] > 3 * best_rates["Adam"]

# %% [markdown]
# So a comparison of optimisers at *one* rate compares nothing but luck. Give each its own range first.
#
# ## 4. Lowering the rate
#
# Long steps get far, short steps get close. A **schedule** has both: `Cosine` falls along half a wave, `OneCycle` rises
# first. A schedule is a plain function of the epoch (or batch) number, so it can be printed before it is used.

# %%
print("\nrate per epoch:", [round(optim.Cosine(T_max=10).lr_at(epoch, 0.03), 4) for epoch in range(10)])

EPOCHS, BATCHES = 15, int(np.ceil(len(digits.train) / 64))
SCHEDULES = {
    "constant": lambda lr: None,
    "Cosine": lambda lr: optim.Cosine(T_max=EPOCHS * BATCHES, per="batch"),
    "OneCycle": lambda lr: optim.OneCycle(max_lr=lr, epochs=EPOCHS, steps_per_epoch=BATCHES),
}
LARGE = 0.03
ends = {
    name: np.array([final_loss("Adam", LARGE, seed, epochs=EPOCHS, schedule=make(LARGE)) for seed in range(6)])
    for name, make in SCHEDULES.items()
}
print(f"Adam at {LARGE}, which is rather large, validation loss after {EPOCHS} epochs, six seeds:")
for name, values in ends.items():
    print(f"  {name:<9} {values.mean():.3f} ({values.min():.3f} - {values.max():.3f})")
for name in ("Cosine", "OneCycle"):
    better = (ends[name] < ends["constant"]).sum()
    print(f"  {name} beats the constant rate in {better} of 6 seeds")
    assert better >= 4
    assert ends[name].mean() < ends["constant"].mean()

# %% [markdown]
# With a schedule that ends at nothing, a rate that is too large to end with is a good one to begin with. Look at the
# spread, too: with one seed you might have seen the contrary.
#
# ## Remember
#
# 1. Find the rate first; then ask whether another optimiser would do better.
# 2. Search in factors of ten, then of three. Digits after the first mean nothing.
# 3. Let the rate fall at the end.
# 4. Another batch size, another network or another optimiser is another rate.
#
# ## Try
#
# 1. Put `nn.BatchNorm2d` behind both convolutions. What happens to the right wall of SGD's valley?
# 2. `optim.Warmup(100, optim.Cosine(500, per="batch"))` before a rate that diverges: does it help?
# 3. Give the first convolution a rate of its own: `optim.Adam([{"params": model[0].parameters(), "lr": 1e-4},
#    {"params": model.parameters()[2:]}])`. When would you want that?
