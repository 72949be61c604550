# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 6. How weights start, and batch normalisation
#
# A network of one layer learns from nearly any start. A network of ten layers learns only if its first random weights
# are of the right size: too small, and the numbers die out on their way through; too large, and they explode or get
# stuck where no slope is left. This lesson measures both, finds the right size by a line of arithmetic, and shows how
# batch normalisation makes the question nearly superfluous.
#
#     python lessons/06_initialisation_and_batch_norm.py

# %%
import numpy as np
from matplotlib.figure import Figure

import minicnn as mc
from minicnn import data, nn, optim
from minicnn.analyse import activation_statistics, plot_activations
from minicnn.errors import NonFiniteError
from minicnn.nn import init

digits = data.normalise(data.load("digits"))
x, y = digits.train.x[:500], digits.train.y[:500]
SEEDS, DEPTH = (0, 1, 2), 10


def network(activation, start, seed, *, width=64, depth=DEPTH, batch_norm=False):
    """Ten fully connected layers with an activation each, and one that gives the ten scores."""
    mc.seed(seed)
    layers, before = [nn.Flatten()], 64
    for _ in range(depth):
        layers += [nn.Linear(before, width, init=start)]
        layers += [nn.BatchNorm1d(width)] if batch_norm else []
        layers += [activation()]
        before = width
    return nn.Sequential(*layers, nn.Linear(before, 10, init=start))


# %% [markdown]
# ## 1. Ten layers, three starts
#
# Five hundred real digits go through ten layers of 64 tanh units that have learned nothing yet. Only the size of the
# random weights differs. `activation_statistics` looks at every layer, and given the labels it goes backwards as well.

# %%
STARTS = {
    "too small: std 0.02": init.normal(0.02),
    "Xavier: std 0.125": init.xavier_normal,
    "too large: std 1": init.normal(1.0),
}
tanh = {
    name: [activation_statistics(network(nn.Tanh, start, s), x, y) for s in SEEDS] for name, start in STARTS.items()
}
print(tanh["too small: std 0.02"][0])


def of_layers(statistics, what, layers=(0, 4, 9)):
    """A measure of some of the activations, one row a seed."""
    return np.array([[getattr(one.activations()[i], what) for i in layers] for one in statistics])


def line(values):
    """Lowest to highest of the seeds, for each column."""
    return "".join(f"{f'{low:.2g} - {high:.2g}':>20}" for low, high in zip(values.min(0), values.max(0), strict=True))


print(f"\n{'lowest to highest of three seeds':<40}{'layer 1':>20}{'layer 5':>20}{'layer 10':>20}")
for name, statistics in tanh.items():
    for what in ("std", "saturated", "gradient"):
        print(f"{name:<22}{what:<18}{line(of_layers(statistics, what))}")

small, xavier, large = tanh.values()
assert (of_layers(small, "std")[:, 2] < 1e-6).all(), "the signal has died out"
assert (of_layers(small, "gradient")[:, 0] < 1e-6 * of_layers(small, "gradient")[:, 2]).all(), "so has the gradient"
assert (of_layers(xavier, "std") > 0.1).all(), "the signal is alive"
assert (of_layers(large, "saturated") > 0.5).all(), "most units are stuck at -1 or 1"

# %%
shown = {name: statistics[0].activations()[::3] for name, statistics in tanh.items()}
plot_activations(shown).savefig("initialisation_histograms.png")
print("\ndrew initialisation_histograms.png: what the activations 1, 4, 7 and 10 give out")

# %% [markdown]
# What to see in the figure: in the first row everything shrinks to a needle at zero, in the second row it stays spread
# out, in the third everything sits at the two ends of tanh.
#
# **Too small.** Each layer multiplies the spread by the same factor below 1. After ten layers all digits look alike.
# The gradient goes the same way back: at the first layer there is nothing left to learn from.
#
# **Too large.** Three quarters of the units are *saturated*: on the flat ends of tanh, where the slope is below a
# twentieth. One often reads that gradients vanish then. Look at the numbers: for tanh they *grow* on the way back. The
# few units that are not saturated pass the gradient on through large weights, and that wins. Such a gradient is of no
# use either: it is large, differs wildly from digit to digit, and points nowhere. With the sigmoid, whose slope is 1/4
# at best, gradients do vanish, and at Xavier's start, too:

# %%
sigmoid = [activation_statistics(network(nn.Sigmoid, init.xavier_normal, seed), x, y) for seed in SEEDS]
print(f"\nsigmoid, Xavier{'':<7}{'gradient':<18}{line(of_layers(sigmoid, 'gradient'))}")
per_layer = (of_layers(sigmoid, "gradient")[:, 0] / of_layers(sigmoid, "gradient")[:, 2]) ** (1 / 9)
print(
    f"that is a factor of {per_layer.min():.3f} to {per_layer.max():.3f} a layer; the sigmoid's largest slope is 0.25"
)
assert (per_layer < 0.28).all()
assert (of_layers(large, "gradient")[:, 0] > 10 * of_layers(large, "gradient")[:, 2]).all(), "for tanh it grows"

# %% [markdown]
# ## 2. The arithmetic
#
# A unit sums $n$ products, $y = \sum_j w_j x_j$. With independent weights of mean 0 and variance $\sigma^2$,
#
# $$\operatorname{Var}(y) = n\,\sigma^2\,\operatorname{E}[x^2].$$
#
# Tanh is nearly the identity around 0 and takes little from that, so $\sigma^2 = 1/n$ keeps the spread. Backwards, a
# gradient is summed over the $n'$ outputs of a layer, which asks for $1/n'$; **Xavier** takes the mean of both,
# $\sigma^2 = 2 / (n + n')$ (Glorot and Bengio, 2010). **ReLU** sets half of the numbers to zero, so that
# $\operatorname{E}[x^2]$ is halved in every layer, and **He** makes up for it: $\sigma^2 = 2/n$ (He et al., 2015).
# Prediction: the variance falls by 1/2 a layer with ReLU and Xavier, and stays with He. We measure in layers of 256.

# %%
print("\nfactor of the variance per layer, ReLU, 256 units: measured over nine layers, three seeds")
PREDICTED = {"xavier_normal": 0.5, "he_normal": 1.0}
for scheme, expected in PREDICTED.items():
    factors = []
    for seed in SEEDS:
        linear = activation_statistics(network(nn.ReLU, getattr(init, scheme), seed, width=256), x).of("Linear")
        factors.append((linear[9].std / linear[0].std) ** (2 / 9))
    print(f"  {scheme:<14} predicted {expected:<4} measured " + "  ".join(f"{factor:.3f}" for factor in factors))
    assert abs(np.mean(factors) / expected - 1) < 0.15

# %% [markdown]
# Ten halvings are a factor of a thousand in variance; a hundred layers would leave nothing.
#
# ## 3. Why not zero?
#
# Zeros do not explode. But units that start alike get the same gradient, and stay alike for ever. A layer of 32 such
# units is one unit, 32 times.


# %%
def accuracy_of(model, *, epochs, lr=0.02):
    """Validation accuracy after a training; that of guessing where it diverged."""
    trainer = mc.Trainer(model, optimizer=optim.SGD(model.parameters(), lr=lr, momentum=0.9))
    try:
        return trainer.fit(digits.train, validation=digits.validation, epochs=epochs, batch_size=64)["val_accuracy"][-1]
    except NonFiniteError:
        return 0.1


alike = [network(nn.Tanh, init.constant(0.1), seed, width=32, depth=1) for seed in SEEDS]
single = [network(nn.Tanh, init.xavier_normal, seed, width=1, depth=1) for seed in SEEDS]
proper = [network(nn.Tanh, init.xavier_normal, seed, width=32, depth=1) for seed in SEEDS]
print("\none hidden layer, validation accuracy after ten epochs, three seeds:")
scores = {}
for name, models in (("32 units, all weights 0.1", alike), ("1 unit, Xavier", single), ("32 units, Xavier", proper)):
    scores[name] = np.array([accuracy_of(model, epochs=10) for model in models])
    print(f"  {name:<28}" + "  ".join(f"{score:.3f}" for score in scores[name]))
weight = alike[0][1].weight.data
print(f"  largest difference between two units' weights after training: {np.ptp(weight, axis=0).max():.2g},")
print(f"  while the weights of one unit spread by {weight.std(axis=1).mean():.2g}")
assert np.ptp(weight, axis=0).max() < 1e-3 * weight.std()
assert scores["32 units, all weights 0.1"].max() < scores["32 units, Xavier"].min() - 0.3

# %% [markdown]
# Randomness *breaks the symmetry*. (Biases may start at zero: the weights before them differ already.)
#
# ## 4. Without a formula
#
# What of GELU, dropout, residual connections? Instead of a formula one can measure: run a batch, divide each layer's
# weights by the spread of its outputs, go on to the next layer (LSUV: Mishkin and Matas, "All you need is a good
# init", 2016).

# %%
model = network(nn.GELU, init.normal(1.0), seed=0)
before = activation_statistics(model, x).of("Linear")
reached = init.lsuv(model, x)
after = activation_statistics(model, x).of("Linear")
print(f"\nGELU from std 1, layer 10's outputs: std {before[9].std:.3g}; after lsuv(model, x): std {after[9].std:.3g}")
assert all(abs(variance - 1) < 0.1 for variance in reached.values())

# %% [markdown]
# ## 5. Batch normalisation
#
# **Batch norm** does the same in every step: it gives each unit mean 0 and variance 1 over the batch, and then a scale
# and a shift that are learned (Ioffe and Szegedy, 2015). Multiply all weights of a layer by ten: its normalised output
# is what it was. So the start's size should hardly matter. We train ten layers for four epochs from five starts, with
# and without batch norm.

# %%
TRAINED = {
    "zeros": init.zeros,
    "std 0.01": init.normal(0.01),
    "Xavier": init.xavier_normal,
    "He": init.he_normal,
    "std 0.5": init.normal(0.5),
}
results = {
    (activation.__name__, batch_norm, name): np.array(
        [accuracy_of(network(activation, start, seed, batch_norm=batch_norm), epochs=4) for seed in SEEDS]
    )
    for activation in (nn.Tanh, nn.ReLU)
    for batch_norm in (False, True)
    for name, start in TRAINED.items()
}
print("\nvalidation accuracy after four epochs, mean of three seeds (lowest - highest)")
print(f"{'':<10}" + "".join(f"{kind:>24}" for kind in ("Tanh", "Tanh, batch norm", "ReLU", "ReLU, batch norm")))
for name in TRAINED:
    cells = [results[kind, batch_norm, name] for kind in ("Tanh", "ReLU") for batch_norm in (False, True)]
    print(f"{name:<10}" + "".join(f"{f'{c.mean():.2f} ({c.min():.2f} - {c.max():.2f})':>24}" for c in cells))

# %%
figure = Figure(figsize=(9, 3.6), layout="constrained", dpi=120)
for axes, kind in zip(figure.subplots(1, 2, sharey=True), ("Tanh", "ReLU"), strict=True):
    for batch_norm, colour, shift in ((False, "#D55E00", -0.1), (True, "#0072B2", 0.1)):
        for place, name in enumerate(TRAINED):
            values = results[kind, batch_norm, name]
            label = ("with" if batch_norm else "without") + " batch norm" if place == 0 else None
            axes.plot([place + shift] * 2, [values.min(), values.max()], color=colour, linewidth=2)
            axes.plot([place + shift] * len(values), values, "o", color=colour, markersize=5, label=label)
    axes.set_title(f"ten layers of {kind}", fontsize=10)
    axes.set_xticks(range(len(TRAINED)), TRAINED)
    axes.set_ylim(0, 1)
    axes.grid(alpha=0.3)
figure.supylabel("validation accuracy, four epochs", fontsize=10)
figure.axes[0].legend(fontsize=9, loc="center left")
figure.savefig("initialisation_and_batch_norm.png")
print("\ndrew initialisation_and_batch_norm.png: one dot a seed")

# %%
for kind in ("Tanh", "ReLU"):
    for name in ("std 0.01", "std 0.5"):
        assert results[kind, False, name].max() < 0.35, "a bad start without batch norm"
        assert results[kind, True, name].min() > 0.55, "the same start with it"
    assert results[kind, True, "zeros"].max() < 0.35, "batch norm cannot tell apart what is the same"
assert results["ReLU", False, "He"].mean() > 0.6

# %% [markdown]
# What to see: without batch norm only the starts in the middle learn; with it all but one do. Zeros stay zeros: where
# all numbers are the same there is nothing to normalise. And a good start is still a little better than a bad one with
# batch norm: batch norm is a help, no licence.
#
# ## Remember
#
# 1. The variance is multiplied in every layer: forwards by $n\sigma^2$ and what the activation leaves, backwards
#    likewise. The factor has to be near 1.
# 2. Xavier for tanh, He for ReLU; for anything else measure, with `activation_statistics`, or use `lsuv`.
# 3. Never all weights alike.
# 4. If a deep network does not learn at all, look at the spread and the gradient of each layer before anything else.
#
# ## Try
#
# 1. Put `nn.Sigmoid` into section 5. Which starts learn without batch norm? Does it help to start with std 1?
# 2. Lower the learning rate to 0.005, then raise it to 0.1: how far does batch norm widen the range that works?
# 3. `init.initialise(model, init.orthogonal)` instead of Xavier: how much closer to 1 does the factor stay?
# 4. Print `activation_statistics` after the training. Which layers have changed most?
