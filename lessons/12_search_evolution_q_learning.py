# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 12. Search, evolution, Q-learning
#
# How wide, how deep, which learning rate? Nobody knows beforehand, so one tries. This lesson compares ways of trying:
# all combinations or random ones; stopping the bad ones early; letting architectures evolve; letting an agent learn to
# draw them. Each way is given the same number of trainings as its rival, and three seeds, since with one seed every
# method is sometimes the best. At the end the test set is opened, once.
#
#     python lessons/12_search_evolution_q_learning.py

# %%
import numpy as np
from matplotlib.figure import Figure

import minicnn as mc
from minicnn import data, nn, optim
from minicnn.recipes import (
    SearchSpace,
    design_by_q_learning,
    evolve,
    grid_search,
    loguniform,
    random_architectures,
    random_search,
    successive_halving,
    train_architecture,
)

mc.set_num_threads(1)  # such small networks gain nothing from more, and the numbers depend on how many there are
digits = data.normalise(data.load("digits"))
SEEDS = (0, 1, 2)
print(digits)

# %% [markdown]
# ## 1. A grid, or random points
#
# Here are two hyper-parameters: the learning rate, and Adam's weight decay. In the range that we look at, one of them
# matters and the other hardly does; before the search we do not know which. A grid of 3 x 3 tries nine pairs, but only
# three learning rates. Nine random pairs try nine (Bergstra and Bengio, "Random search for hyper-parameter
# optimization", 2012, figure 1).


# %%
def make(*, lr, weight_decay):
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10))
    return mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=lr, weight_decay=weight_decay))


GRID = {"lr": list(np.geomspace(1e-4, 1e-1, 3)), "weight_decay": list(np.geomspace(1e-6, 1e-4, 3))}
RANGES = {"lr": loguniform(1e-4, 1e-1), "weight_decay": loguniform(1e-6, 1e-4)}
SHORT = {"epochs": 2, "batch_size": 64, "monitor": "val_loss"}

grids = [grid_search(make, GRID, digits, seed=seed, **SHORT) for seed in SEEDS]
randoms = [random_search(make, RANGES, digits, trials=9, seed=seed, **SHORT) for seed in SEEDS]
print("\nvalidation loss after two epochs, the best of nine trainings:")
for seed, grid, random in zip(SEEDS, grids, randoms, strict=True):
    print(
        f"  seed {seed}: grid {grid.best.score:.3f} at rate {grid.best.settings['lr']:.2g}, "
        f"random {random.best.score:.3f} at rate {random.best.settings['lr']:.2g}"
    )
table = np.mean([[trial.score for trial in grid.trials] for grid in grids], axis=0).reshape(3, 3)
print("the grid, mean over the seeds (a row is a learning rate, a column a weight decay):")
print(np.round(table, 2))
over_rates, over_decays = np.ptp(table.mean(axis=1)), np.ptp(table.mean(axis=0))
print(f"between learning rates the loss differs by {over_rates:.2f}, between weight decays by {over_decays:.2f}")
wins = sum(random.best.score < grid.best.score for grid, random in zip(grids, randoms, strict=True))
print(f"random search found the better pair with {wins} of {len(SEEDS)} seeds")
assert over_rates > 3 * over_decays, "one matters, the other hardly does"
assert all(len({trial.settings["lr"] for trial in grid.trials}) == 3 for grid in grids)
assert all(len({trial.settings["lr"] for trial in random.trials}) == 9 for random in randoms)
assert wins >= 2

# %%
figure = Figure(figsize=(8, 3.8), layout="constrained", dpi=120)
panels = figure.subplots(1, 2, sharey=True)
for axes, title, result in zip(panels, ("grid", "random"), (grids[0], randoms[0]), strict=True):
    lr, decay, loss = np.array([(t.settings["lr"], t.settings["weight_decay"], t.score) for t in result.trials]).T
    points = axes.scatter(lr, decay, c=np.log10(loss), cmap="cividis_r", vmin=-1, vmax=0.6, s=90, edgecolor="black")
    axes.plot(lr, np.full(len(lr), 5e-7), "|", color="#D55E00", markersize=12, markeredgewidth=2)
    best = result.best.settings
    axes.plot(best["lr"], best["weight_decay"], "o", color="none", markeredgecolor="#D55E00", markersize=16)
    axes.set_title(f"{title}: {len(set(lr))} learning rates, best loss {result.best.score:.2f}", fontsize=10)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(3e-7, 2e-4)
    axes.set_xlabel("learning rate")
panels[0].set_ylabel("weight decay")
figure.colorbar(points, ax=panels, label="log10 of the validation loss")
figure.savefig("search_grid_and_random.png")
print("drew search_grid_and_random.png")

# %% [markdown]
# What to see in the figure: the red marks at the bottom are the learning rates that were tried, three on the left and
# nine on the right (some nearly the same). From the left to the right the colours change, from below to above they do
# not. A grid with a rate of 0.03 in it would have done as well as chance. But who knew?
#
# ## 2. Successive halving
#
# Most settings are bad, and one sees it soon. So: train 8 for one epoch, keep the better 4 up to epoch two, and the
# better 2 of these up to epoch four (Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter
# optimization", 2016). That is 8 + 4 + 2 x 2 = 16 epochs: what four full trainings cost, which is what we compare it
# with. One seed draws the same settings for both, so the four are among the eight, and where one of them is the best
# of all the scores are the same.

# %%
LONGER = {"epochs": 4, "batch_size": 64, "monitor": "val_loss"}
WIDER = {**RANGES, "lr": loguniform(1e-4, 1)}
halved = [successive_halving(make, WIDER, digits, trials=8, factor=2, seed=seed, **LONGER) for seed in SEEDS]
fulls = [random_search(make, WIDER, digits, trials=4, seed=seed, **LONGER) for seed in SEEDS]
LENGTHS = (1, 2, 4)
costs = [sum(LENGTHS[len(trial.rungs) - 1] for trial in result.trials) for result in halved]
print(f"\nepochs in all: {costs[0]} with halving, {4 * 4} for four full trainings")
for seed, half, full in zip(SEEDS, halved, fulls, strict=True):
    rates = sorted(trial.settings["lr"] for trial in half.trials if len(trial.rungs) == 3)
    print(
        f"  seed {seed}: the best of 8 with halving {half.best.score:.3f}, of 4 in full {full.best.score:.3f}; "
        f"rates that were trained to the end: {', '.join(f'{rate:.2g}' for rate in rates)}"
    )
assert costs == [16, 16, 16]
half_best, full_best = (np.mean([result.best.score for result in results]) for results in (halved, fulls))
print(f"mean of the seeds: {half_best:.3f} and {full_best:.3f}")
assert half_best < full_best + 0.02, "at the same cost halving looks at twice as many settings, and is not worse"

# %% [markdown]
# Halving trusts the first epochs. That is its weakness: what starts slowly and ends well is thrown out. A small
# learning rate is such a thing.
#
# ## 3. Evolution, against chance
#
# Now the network itself is searched for: a chain of convolutions (kernel, width, stride, with or without batch norm and
# shortcut) and poolings. Such an architecture is written as a line of text, and a limit to its multiply-adds keeps all
# of them equally cheap. Real et al. ("Large-scale evolution of image classifiers", 2017) draw two from a population,
# remove the worse one, and add a child of the better one with one mutation. Fitness is the accuracy on the validation
# data after a single epoch.
#
# The rival is chance: as many architectures at random, from the same space. Both begin with the same six.

# %%
space = SearchSpace.of(digits, most_cells=4, most_multiply_adds=50_000)
BUDGET = {"space": space, "evaluations": 24, "epochs": 1, "lr": 0.02}
evolved = [evolve(digits, population=6, seed=seed, **BUDGET) for seed in SEEDS]
chance = [random_architectures(digits, seed=seed, **BUDGET) for seed in SEEDS]
print("\nvalidation accuracy after one epoch, 24 trainings each:")
for seed, e, r in zip(SEEDS, evolved, chance, strict=True):
    print(
        f"  seed {seed}: evolution's best {e.best.fitness:.3f}, chance's best {r.best.fitness:.3f}; "
        f"means after the first six: {e.fitness[6:].mean():.3f} and {r.fitness[6:].mean():.3f}"
    )
wins = sum(e.best.fitness > r.best.fitness for e, r in zip(evolved, chance, strict=True))
ties = sum(e.best.fitness == r.best.fitness for e, r in zip(evolved, chance, strict=True))
print(f"evolution has the better best with {wins} of {len(SEEDS)} seeds, the same with {ties}")
means = [np.mean([result.best.fitness for result in results]) for results in (evolved, chance)]
print(f"mean of the bests: evolution {means[0]:.3f}, chance {means[1]:.3f}")
gains = [e.fitness[6:].mean() - r.fitness[6:].mean() for e, r in zip(evolved, chance, strict=True)]
assert np.mean(gains) > 0.05, "children of winners are better than strangers"

winner = max(evolved, key=lambda result: result.best.fitness)
print("\nthe ancestors of evolution's best:")
print(winner.lineage())
print(winner.best.architecture.describe())

# %% [markdown]
# Look at the two kinds of numbers. The *mean* of evolution's children lies above chance's: the population has moved to
# where good architectures are. The *best* is another matter. With 24 trainings neither is clearly ahead, since chance
# needs to be lucky only once, and evolution had time for a few steps only. Papers that report one run of each say
# little.
#
# And how good is the best? It is the highest of many numbers, each of which depends on chance, too. Train the same
# architectures again, from other weights:

# %%
spreads, luck = [], []
for best in (result.best for result in evolved):
    trainers = [train_architecture(best.architecture, digits, seed=seed, epochs=1, lr=0.02) for seed in (100, 101, 102)]
    again = [trainer.history["val_accuracy"][-1] for trainer in trainers]
    spreads.append(max(again) - min(again))
    luck.append(best.fitness - np.mean(again))
    print(
        f"  {best.fitness:.3f} in the search, then {', '.join(f'{value:.3f}' for value in again)}  {best.architecture}"
    )
print(f"one architecture's accuracy differs by {np.mean(spreads):.3f} from training to training, mean of three")
print(f"and in the search, where it was chosen for its accuracy, it was {np.mean(luck):+.3f} above what it has again")
assert np.mean(spreads) > 0.02
assert np.mean(luck) > 0, "the winner is good, and was lucky"

# %% [markdown]
# ## 4. Q-learning
#
# Baker et al. ("Designing neural network architectures using reinforcement learning", 2017) let an agent choose cell
# after cell. A state is where it stands: the last cell, the depth, about how large the image still is. An action is
# the next cell, or the end. The reward is the accuracy, and what the agent believes an action to be worth follows it
# slowly:
#
# $$Q(s,a) \leftarrow (1-\alpha)\,Q(s,a) + \alpha\,\big(r + \gamma \max_{a'} Q(s',a')\big)$$
#
# With probability $\epsilon$ it chooses at random. $\epsilon$ is 1 for more than half of the episodes, and then falls
# to 0.1: first look around, then use what you have learned. What it has drawn before is not trained again.

# %%
small = SearchSpace.of(
    digits,
    kernels=(3,),
    widths=(8, 16),
    strides=(1,),
    skip=(False,),
    batch_norm=(True,),
    most_cells=3,
    most_multiply_adds=150_000,
)
agents = [design_by_q_learning(digits, space=small, episodes=60, epochs=1, lr=0.02, seed=seed) for seed in SEEDS]
print("\nQ-learning, mean accuracy of what it designed:")
early, late = [], []
for seed, agent in zip(SEEDS, agents, strict=True):
    epsilon = np.array([episode.epsilon for episode in agent.episodes])
    early.append(agent.accuracy[epsilon == 1].mean())
    late.append(agent.accuracy[epsilon <= 0.3].mean())
    print(
        f"  seed {seed}: {early[-1]:.3f} at epsilon 1, {late[-1]:.3f} at 0.3 and below; "
        f"{len(agent.individuals)} trainings for 60 designs; best {agent.best.architecture}"
    )
assert np.mean(late) > np.mean(early) + 0.1, "it has learned something"
assert all(len(agent.individuals) < 60 for agent in agents)

# %%
figure = Figure(figsize=(10, 4), layout="constrained", dpi=120)
left, right = figure.subplots(1, 2)
numbers = np.arange(1, 25)
for name, colour, results in (("evolution", "#0072B2", evolved), ("chance", "#D55E00", chance)):
    curves = np.array([result.best_so_far for result in results])
    left.fill_between(
        numbers, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.15, linewidth=0, step="post"
    )
    left.step(numbers, curves.mean(axis=0), where="post", color=colour, linewidth=2, label=f"{name}: best so far")
    means = [np.mean([result.fitness[i : i + 6] for result in results]) for i in range(0, 24, 6)]
    left.plot(numbers[2::6] + 0.5, means, "o--", color=colour, label=f"{name}: mean of six")
left.set_xlabel("trainings")
left.set_ylabel("validation accuracy after one epoch")
left.set_title("Bands: lowest to highest of three seeds", fontsize=10)
rolling = np.array([agent.rolling_mean() for agent in agents])
episodes = np.arange(1, 61)
for agent in agents:
    right.plot(episodes, agent.accuracy, ".", color="#0072B2", alpha=0.4)
right.fill_between(episodes, rolling.min(axis=0), rolling.max(axis=0), color="#009E73", alpha=0.2, linewidth=0)
right.plot(episodes, rolling.mean(axis=0), color="#009E73", linewidth=2, label="Q-learning: mean of the last ten")
right.plot(episodes, [episode.epsilon for episode in agents[0].episodes], color="#E69F00", label="epsilon")
right.set_xlabel("episode")
right.set_title("Each dot is a design; three seeds", fontsize=10)
for axes in (left, right):
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="upper left" if axes is left else (0.02, 0.78))
figure.savefig("search_architectures.png")
print("drew search_architectures.png")

# %% [markdown]
# What to see in the figure: on the left the dashed lines part, evolution's rises faster than chance's, while
# the bands of the best so far overlap. On the right the green line stays low as long as epsilon is one, and rises as
# epsilon falls.
#
# ## 5. One winner, one look at the test set
#
# The best of each search is trained for longer, and the validation data choose between them. So the validation data
# have been used hundreds of times by now, and what they say about the winner is too good. That is what the test set was
# sealed for. It is opened once, for one model, after everything has been decided.

# %%
finalists = {
    "evolution": max(evolved, key=lambda result: result.best.fitness).best,
    "chance": max(chance, key=lambda result: result.best.fitness).best,
    "Q-learning": max(agents, key=lambda result: result.best.fitness).best,
}
trainers = {
    name: train_architecture(best.architecture, digits, seed=7, epochs=8, lr=0.01) for name, best in finalists.items()
}
print("\nafter eight epochs, on the validation data:")
for name, trainer in trainers.items():
    best = finalists[name]
    print(
        f"  {name:<10} {trainer.history['val_accuracy'][-1]:.3f}  {best.parameters:6,} parameters  {best.architecture}"
    )
chosen = max(trainers, key=lambda name: trainers[name].history["val_accuracy"][-1])
assert digits.test.seal.openings == [], "nobody has looked so far"

measured = trainers[chosen].evaluate(digits.test)
promise = trainers[chosen].history["val_accuracy"][-1]
print(f"chosen: {chosen}; validation accuracy {promise:.3f}, test accuracy {measured['accuracy']:.3f}")
print(f"the test set was opened {len(digits.test.seal.openings)} time: {digits.test.seal.openings[0]}")
assert len(digits.test.seal.openings) == 1
assert measured["accuracy"] > 0.85
assert abs(measured["accuracy"] - promise) < 0.08

# %% [markdown]
# With 270 images an accuracy near 0.95 is uncertain by about $\sqrt{0.95 \cdot 0.05 / 270} = 0.013$ each way, so small
# differences between finalists mean nothing, and neither does a test accuracy that is a hundredth above or below.
#
# ## Remember
#
# 1. Random points rather than a grid, as long as you do not know which settings matter.
# 2. Stop what is bad early, and spend the time on more tries.
# 3. Compare a clever search with chance at the same cost, over several seeds. The mean moves first, the best last.
# 4. The winner of many is good and lucky. Train it again before you believe its number.
# 5. Choose with the validation data; open the test set once.
#
# ## Try
#
# 1. `evolve(..., evaluations=100)`: when does evolution leave chance behind with every seed?
# 2. Let all begin from one: `start=Architecture.parse("conv3x8")`. What does the lineage look like?
# 3. Give the agent another schedule, `schedule={1.0: 1, 0.1: 1}`. Is it worth looking around for so long?
# 4. Put `folder="runs/evolution"` into `evolve`, stop it half-way, and start it again.
