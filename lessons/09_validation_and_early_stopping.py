# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 9. Validation, and when to stop
#
# A network with enough weights learns its training set by heart, mistakes included. What it is worth shows on examples
# that it has never seen, and only as long as nobody has looked at them too often. This lesson is about the ways in
# which a score lies, and how much each of them costs.
#
#     python lessons/09_validation_and_early_stopping.py

# %%
import warnings

import numpy as np
from matplotlib.figure import Figure

import minicnn as mc
from minicnn import data, nn, optim
from minicnn.data import ArrayDataset
from minicnn.errors import DataWarning
from minicnn.train import EarlyStopping

digits = data.load("digits")
SEEDS = (0, 1, 2, 3, 4)


def network(seed, width=64):
    mc.seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


def train(seed, images, validation=None, *, epochs, lr=0.01, width=64, callbacks=()):
    model = network(seed, width)
    trainer = mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=lr))
    trainer.fit(images, validation=validation, epochs=epochs, batch_size=50, callbacks=callbacks, verbose=False)
    return trainer


def accuracy(trainer, images):
    return float((trainer.predict_classes(images.x) == images.y).mean())


def show(values):
    return f"{np.mean(values):.3f} ({np.min(values):.3f} - {np.max(values):.3f})"


# %% [markdown]
# ## 1. The training curve lies
#
# We take 150 digits to learn from and give a fifth of them a label drawn at random, as tired people do who label
# thousands of images. The other 1,100 digits of the training set we put aside: they play the part of the world outside,
# in which the network will be used. Real projects do not have them; here they tell us what the scores are worth.


# %%
def few_with_mistakes(seed, count=150):
    """Some digits with a fifth of their labels drawn anew, and all the others, with true labels."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(digits.train))
    chosen, world = digits.train.subset(order[:count]), digits.train.subset(order[count:])
    labels = chosen.y.copy()
    labels[: count // 5] = random.integers(0, 10, count // 5)
    return ArrayDataset(chosen.x, labels), world


EPOCHS = 80
few, world = zip(*(few_with_mistakes(seed) for seed in SEEDS), strict=True)
to_the_end = [train(seed, few[seed], digits.validation, epochs=EPOCHS) for seed in SEEDS]
curves = {
    name: np.array([trainer.history[name] for trainer in to_the_end])
    for name in ("loss", "val_loss", "accuracy", "val_accuracy")
}

print(f"150 digits, a fifth of the labels wrong; mean of {len(SEEDS)} seeds (lowest - highest)")
print(f"{'epoch':>6}  {'training loss':<22}  {'validation loss':<22}  {'validation accuracy':<22}")
for epoch in (5, 10, 20, 40, EPOCHS):
    columns = (show(curves[name][:, epoch - 1]) for name in ("loss", "val_loss", "val_accuracy"))
    print(f"{epoch:>6}  " + "  ".join(f"{column:<22}" for column in columns))

lowest = curves["val_loss"].min(axis=1)
print(f"the training loss fell to {curves['loss'][:, -1].mean():.3f} and was still falling;")
print(f"the validation loss was lowest, {show(lowest)}, in epochs {(curves['val_loss'].argmin(axis=1) + 1).tolist()}")
assert (curves["loss"][:, -1] < curves["loss"][:, 19]).all()
assert (curves["val_loss"][:, -1] > 1.1 * lowest).all(), "it rose again, in every seed"

# %% [markdown]
# The network learns what digits look like first, because that explains many labels at once; the wrong labels come
# later, one by one. The training loss cannot tell the one from the other. The validation loss can.
#
# ## 2. Stop early, and keep the best
#
# `EarlyStopping` watches a measure. When it has not improved for `patience` epochs, the training ends, and the model
# gets the weights of the best epoch back, not those of the last one. Patience is needed because the curve is rough.

# %%
stopped = []
for seed in SEEDS:
    stopping = EarlyStopping("val_loss", patience=15)
    stopped.append(train(seed, few[seed], digits.validation, epochs=EPOCHS, callbacks=[stopping]))
    print(f"seed {seed}: {stopped[-1].stop_reason}")
    assert stopped[-1].epoch < EPOCHS
    best = min(stopped[-1].history["val_loss"])
    again = stopped[-1].evaluate(digits.validation)["loss"]
    assert abs(again - best) < 1e-4, "the model is that of the best epoch"

outside = {
    "all epochs": np.array([accuracy(trainer, world[seed]) for seed, trainer in enumerate(to_the_end)]),
    "stopped early": np.array([accuracy(trainer, world[seed]) for seed, trainer in enumerate(stopped)]),
}
print("\naccuracy in the world outside, true labels:")
for name, scores in outside.items():
    print(f"  {name:<14} {show(scores)}")
gains = outside["stopped early"] - outside["all epochs"]
print(f"gained by stopping, seed by seed: {np.array2string(gains, precision=3, sign='+')}")
print(f"epochs trained: {[trainer.epoch for trainer in stopped]} instead of {EPOCHS}")
assert gains.mean() > 0.02
assert (gains > 0).sum() >= 4

# %%
figure = Figure(figsize=(10, 3.8), layout="constrained", dpi=120)
for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
    for key, colour, label in ((name, "#0072B2", "training"), (f"val_{name}", "#D55E00", "validation")):
        epochs = np.arange(1, EPOCHS + 1)
        axes.fill_between(
            epochs, curves[key].min(axis=0), curves[key].max(axis=0), color=colour, alpha=0.2, linewidth=0
        )
        axes.plot(epochs, curves[key].mean(axis=0), color=colour, label=label)
    for trainer in stopped:
        best_epoch = 1 + int(np.argmin(trainer.history["val_loss"]))
        axes.axvline(best_epoch, color="#009E73", linestyle="--", linewidth=0.8)
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss (nats per example)" if name == "loss" else "accuracy (share of examples)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
figure.suptitle("Band: lowest to highest of five seeds. Dashed: the epochs whose weights were kept", fontsize=11)
figure.savefig("validation_and_early_stopping.png")
print("drew validation_and_early_stopping.png")

# %% [markdown]
# What to see in the figure: the training curves look as good as one could wish, all the way. The validation curves turn
# round, and the dashed lines stand where they do.
#
# ## 3. Choosing uses the validation set up
#
# Fifty models, each with a width and a learning rate of its own and trained on 60 digits of its own; we take the one
# with the best validation score. Is that score what the model will reach outside? We hide the answer in advance: of the
# digits that none of the models has seen, some are drawn as the validation set, all the others are the world outside.
# The draw is repeated 600 times, which costs nothing, as the models stay the same.

# %%
MODELS, DRAWS = 50, 600


def hits_of_models(seed):
    """Which of 657 unseen digits each of 50 models gets right.   (MODELS, 657) bool"""
    random = np.random.default_rng(seed)
    order = random.permutation(len(digits.train))
    own, unseen = order[:600], digits.train.subset(order[600:])
    rows = []
    for number in range(MODELS):
        images = digits.train.subset(random.choice(own, 60, replace=False))
        options = {"width": int(random.integers(16, 97)), "lr": float(10 ** random.uniform(-2.3, -1.5))}
        trainer = train(100 * seed + number, images, epochs=20, **options)
        rows.append(trainer.predict_classes(unseen.x) == unseen.y)
    return np.array(rows)


def optimism(hits, models, validation, random):
    """Validation score of the model that is best there, minus its score on all others; mean over draws."""
    differences = []
    for _ in range(DRAWS):
        order = random.permutation(hits.shape[1])
        some = hits[random.choice(MODELS, models, replace=False)]
        scores = some[:, order[:validation]].mean(axis=1)
        winner = scores.argmax()
        differences.append(scores[winner] - some[winner, order[validation:]].mean())
    return np.mean(differences)


hits = [hits_of_models(seed) for seed in SEEDS[:3]]
sizes, numbers = (30, 100, 300), (1, 2, 5, 10, 20, MODELS)
table = np.array(
    [
        [[optimism(each, models, size, np.random.default_rng(7)) for models in numbers] for size in sizes]
        for each in hits
    ]
)
print(f"\n{MODELS} models get {show([row.mean() for each in hits for row in each])} of the unseen digits right")
print("validation score of the chosen model minus its true score, in points; mean of three sets of models")
print(f"{'chosen among':<22}" + "".join(f"{models:>7}" for models in numbers))
for size, row in zip(sizes, 100 * table.mean(axis=0), strict=True):
    print(f"{size:>4} validation digits " + "".join(f"{value:+7.1f}" for value in row))
assert (abs(table[:, :, 0]) < 0.015).all(), "one model that was not chosen: the score is right on average"
assert (table[:, 0, -1] > 0.02).all(), "the best of fifty, by 30 digits: points too good"
assert (table[:, 0, -1] > table[:, 2, -1]).all(), "more validation data, less of it"
assert (table[:, 0, -1] > table[:, 0, 1]).all(), "fewer candidates, less of it"

# %%
figure = Figure(figsize=(6.4, 4), layout="constrained", dpi=120)
axes = figure.subplots()
for number, (size, colour) in enumerate(zip(sizes, ("#0072B2", "#D55E00", "#009E73"), strict=True)):
    points = 100 * table[:, number]
    axes.fill_between(numbers, points.min(axis=0), points.max(axis=0), color=colour, alpha=0.2, linewidth=0)
    axes.plot(numbers, points.mean(axis=0), color=colour, marker="o", markersize=4, label=f"{size} validation digits")
axes.axhline(0, color="black", linewidth=0.8)
axes.set_xscale("log")
axes.set_xticks(numbers, [str(models) for models in numbers])
axes.minorticks_off()
axes.set_xlabel("models to choose from")
axes.set_ylabel("validation score too good by (points)")
axes.set_title("The more one chooses, the less the winner's score is worth", fontsize=10)
axes.grid(alpha=0.3)
axes.legend(fontsize=9)
figure.savefig("choosing_uses_validation_up.png")
print("drew choosing_uses_validation_up.png")

# %% [markdown]
# What to see in the figure: all lines begin at about zero. The score of a single model is honest. It becomes too good
# by choosing, for the winner is partly the best model and partly the one whom these digits happened to suit. Choosing
# by the validation set is right, that is what it is for; but its score is then no longer a measurement. Hence a third
# part, which nobody chooses by: the **test set**. In minicnn it is sealed, and counts how often it is opened.
#
# ## 4. One split or k folds
#
# A validation set of 40 digits gives a score that depends on which 40 they are. In k-fold cross-validation each example
# is validation data once, and the k scores are averaged. We do that ten times for the same 200 digits, with other parts
# and other weights each time.

# %%
two_hundred = digits.train.subset(np.arange(200))
fold_scores = np.array(
    [
        [
            accuracy(train(repeat, fold.train, epochs=20), fold.validation)
            for fold in data.k_fold(two_hundred, 5, seed=repeat)
        ]
        for repeat in range(10)
    ]
)
single, averaged = fold_scores.ravel(), fold_scores.mean(axis=1)
print(f"\none split:        {show(single)}, standard deviation {single.std():.3f}")
print(f"mean of 5 folds:  {show(averaged)}, standard deviation {averaged.std():.3f}")
assert averaged.std() < 0.7 * single.std()

# %% [markdown]
# Five trainings instead of one buy a much steadier number: two models can be compared by it. It says nothing about what
# 200 *other* digits would have given, and whoever chooses by it uses it up as any other score.
#
# `data.k_fold(splits)` makes its folds of the training and the validation set; the test set stays sealed.
#
# ## 5. A leak
#
# Somebody finds 150 digits too few, puts three copies of each into the data set, and splits then. Now the validation
# set holds images that are in the training set too, wrong labels and all.

# %%
seen, truth = [], []
for seed in SEEDS:
    copied = ArrayDataset(np.tile(few[seed].x, (3, 1, 1, 1)), np.tile(few[seed].y, 3))
    leaky = data.split(copied, seed=seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pairs = data.warn_of_overlap(leaky.train, leaky.validation)
        trainer = train(seed, leaky.train, leaky.validation, epochs=60)
    assert any(warning.category is DataWarning for warning in caught)
    i, j = pairs[0]
    np.testing.assert_array_equal(leaky.validation.x[i], leaky.train.x[j])
    seen.append(trainer.history["val_accuracy"][-1])
    truth.append(accuracy(trainer, world[seed]))
print(f"\n{caught[0].message}\n")
print(f"validation accuracy with the leak {show(seen)}")
print(f"accuracy in the world outside     {show(truth)}")
assert np.mean(seen) > 0.9
assert (np.array(seen) > np.array(truth) + 0.05).all()
assert len(data.find_overlap(digits.train, digits.validation)) == 0, "the digits themselves have no copies"
assert len(data.find_overlap(digits.train, digits.test)) == 0, "one may ask this of a sealed test set"

# %% [markdown]
# No curve would have shown it: the validation loss follows the training loss down, as everyone hopes it does. Only the
# images themselves tell. Copies that were turned or cut are not found by their numbers, so: **split first**.
#
# ## 6. Data in order
#
# Many data sets lie in files class by class. Who takes the last rows for validation takes the last classes.

# %%
order = np.argsort(digits.train.y, kind="stable")
by_class = digits.train.subset(order)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    in_order = data.split(by_class, shuffle=False)
print(f"\n{caught[0].message}\n")
mixed = data.split(by_class)
scores = {
    name: [accuracy(train(seed, parts.train, epochs=10), parts.validation) for seed in SEEDS[:3]]
    for name, parts in (("in order", in_order), ("mixed", mixed))
}
for name, values in scores.items():
    print(f"validation accuracy, {name:<9} {show(values)}")
assert max(scores["in order"]) < 0.3
assert min(scores["mixed"]) > 0.85

# %% [markdown]
# `shuffle=False` has its use: what was measured one after the other, such as the frames of a film, leaks from one part
# to the next when it is mixed.
#
# ## 7. At the end, once
#
# All that was decided above was decided by validation data. Now the test set is opened, for the model that was stopped
# early and has the lowest validation loss.

# %%
assert digits.test.seal.openings == []
chosen = min(stopped, key=lambda trainer: min(trainer.history["val_loss"]))
on_validation = chosen.evaluate(digits.validation)["accuracy"]
on_test = chosen.evaluate(digits.test)["accuracy"]
print(f"\nvalidation accuracy {on_validation:.3f}, test accuracy {on_test:.3f}")
print(f"the test set was opened {len(digits.test.seal.openings)} time: {digits.test.seal.openings}")
assert len(digits.test.seal.openings) == 1

# %% [markdown]
# Whether the test score is lower than the validation score, one such pair cannot tell: with 270 digits each, chance
# moves both by two points. Section 3 needed hundreds of draws for it.
#
# ## Remember
#
# 1. The training loss always looks good. Watch the validation loss, and keep the best epoch.
# 2. Choosing by a score makes the score too good: the more candidates and the fewer examples, the more so.
# 3. Look at the test set once, at the end.
# 4. Split first, then copy, augment and normalise. Mix before you split, unless time matters.
#
# ## Try
#
# 1. Give `few_with_mistakes` true labels only. How much does stopping early still gain?
# 2. Let `EarlyStopping` watch "val_accuracy". Why does it stop at other epochs?
# 3. In section 3, how much better is the best of fifty in truth than one taken blindly? Was the search worth it?
