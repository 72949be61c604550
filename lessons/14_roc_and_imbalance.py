# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 14. ROC curves, and classes that are rare
#
# Most questions worth a network's while have a rare answer: the tumour in a thousand slices, the fraud in a million
# payments. There accuracy says nothing, a curve may look splendid and mean little, and the number that decides is the
# **threshold**. This lesson finds a rare digit, and keeps account.
#
#     python lessons/14_roc_and_imbalance.py

# %%
import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import minicnn as mc
from minicnn import data, metrics, nn, optim
from minicnn.analyse import plot_confusion_matrix, plot_precision_recall, plot_roc

SEEDS = (0, 1, 2, 3, 4)

# %% [markdown]
# ## 1. Never is right 95 times in 100
#
# The question: is it an 8? We keep 80 of the eights, so that one image in twenty is one, and look from afar, at 4 x 4
# pixels, so that the answer is not always clear. A large part goes to validation and test: with classes this rare, it
# is positive examples that make a measurement worth something.

# %%
bunch = load_digits()
eights = np.flatnonzero(bunch.target == 8)
kept = np.concatenate([np.random.default_rng(0).permutation(eights)[:80], np.flatnonzero(bunch.target != 8)])
afar = bunch.images[kept].reshape(-1, 1, 4, 2, 4, 2).mean(axis=(3, 5)) / 16
is_eight = (bunch.target[kept] == 8).astype(int)
classes = ("other", "8")
digits = data.normalise(data.split((afar, is_eight), validation=0.3, test=0.3, name="rare eights"))
x, y = digits.validation.x, digits.validation.y
print(digits)
print(f"validation: {y.sum()} eights and {(y == 0).sum()} others")

never = np.zeros_like(y)
print(f"saying never: accuracy {metrics.accuracy_score(y, never):.3f}, recall {metrics.recall_score(y, never):.3f}")
assert metrics.accuracy_score(y, never) > 0.95
assert metrics.recall_score(y, never) == 0


# %%
def train(seed, pos_weight=None):
    mc.seed(seed)
    model = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 1))
    loss = nn.BCEWithLogitsLoss(pos_weight=pos_weight)
    trainer = mc.Trainer(model, loss=loss, optimizer=optim.Adam(model.parameters(), lr=0.01))
    answers = digits.train.y[:, None].astype(np.float32)
    trainer.fit((digits.train.x, answers), epochs=30, batch_size=32, verbose=False)
    return trainer


def probability(trainer, x):
    """How sure a network is of an 8, (N,)."""
    return trainer.predict_proba(x)[:, 0]


def show(values, digits=3):
    return f"{np.mean(values):.{digits}f} ({np.min(values):.{digits}f} - {np.max(values):.{digits}f})"


plain = [train(seed) for seed in SEEDS]
p = [probability(trainer, x) for trainer in plain]

# %% [markdown]
# ## 2. Four numbers instead of one
#
# There are two ways of being right and two of being wrong. The **confusion matrix** counts all four; everything else is
# made of it:
#
# - **recall** (sensitivity): of the eights, the share that was found;
# - **precision**: of what was called an 8, the share that is one;
# - **specificity**: of the others, the share that was left alone; the rest are **false alarms**;
# - **F1**: the harmonic mean of precision and recall. It is close to the smaller of the two, so that neither makes up
#   for the other.

# %%
print("\nfive networks, an 8 where the probability is at least 0.5")
print("  others right   false alarms   missed   found   accuracy   recall   precision   specificity   F1")
at_half = []
for scores in p:
    called = (scores >= 0.5).astype(int)
    (tn, fp), (fn, tp) = metrics.confusion_matrix(y, called)
    measures = [
        measure(y, called)
        for measure in (
            metrics.accuracy_score,
            metrics.recall_score,
            metrics.precision_score,
            metrics.specificity_score,
            metrics.f1_score,
        )
    ]
    at_half.append(measures)
    accuracy, recall, precision, specificity, f1 = measures
    print(f"  {tn:>12}{fp:>15}{fn:>9}{tp:>8}{accuracy:11.3f}{recall:9.3f}{precision:12.3f}{specificity:14.3f}{f1:8.3f}")
    np.testing.assert_allclose(measures[:4], [(tp + tn) / len(y), tp / (tp + fn), tp / (tp + fp), tn / (tn + fp)])
    assert min(precision, recall) <= f1 <= (precision + recall) / 2
at_half = np.array(at_half)
assert (at_half[:, 0] - metrics.accuracy_score(y, never) < 0.03).all(), "hardly more accurate than never"
assert (at_half[:, 1] > 0.3).all()
assert (at_half[:, 1] < 0.8).all(), "and yet no network misses fewer than a fifth"

# %% [markdown]
# The accuracy is one or two percent above that of never. Recall says what these networks are good for: they find half
# of the eights, or a little more.
#
# ## 3. The threshold is yours
#
# There is nothing holy about 0.5. A lower threshold finds more and raises more false alarms: precision is the price of
# recall.

# %%
print("\nnetwork of seed 0: threshold   found of", y.sum(), "  false alarms   recall   precision      F1")
THRESHOLDS = (0.9, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01)
rows = []
for threshold in THRESHOLDS:
    called = (p[0] >= threshold).astype(int)
    (_, fp), (_, tp) = metrics.confusion_matrix(y, called)
    rows.append([metrics.recall_score(y, called), metrics.precision_score(y, called, zero_division=0)])
    print(f"{threshold:>28}{tp:>14}{fp:>15}{rows[-1][0]:9.3f}{rows[-1][1]:12.3f}{metrics.f1_score(y, called):8.3f}")
recalls, precisions = np.array(rows).T
assert (np.diff(recalls) >= 0).all(), "recall can only rise"
assert recalls[-1] > recalls[2] + 0.2
assert precisions[-1] < 0.4 < precisions[2]

# %% [markdown]
# Which row is best? That depends on what a missed 8 costs and what a false alarm costs, which no network knows.
#
# ## 4. Two curves, and what rarity does to them
#
# Move the threshold through all values. The **ROC curve** draws recall against the false-alarm rate; the area under it
# is the chance that an 8 has a higher score than another digit. The **precision-recall curve** draws precision against
# recall; its area is the average precision.
#
# Recall looks at eights alone and the false-alarm rate at others alone. So it does not matter to ROC how many of either
# there are. Precision mixes them. We take the same networks and the same scores, and as few others as there are eights,
# drawn 200 times.


# %%
def balanced(seed):
    """All eights, and as many of the others."""
    others = np.random.default_rng(seed).permutation(np.flatnonzero(y == 0))[: y.sum()]
    return np.concatenate([np.flatnonzero(y == 1), others])


draws = [balanced(seed) for seed in range(200)]
areas = {"one in twenty": [], "one in two": []}
for scores in p:
    areas["one in twenty"].append([metrics.roc_auc_score(y, scores), metrics.average_precision_score(y, scores)])
    each = [[metrics.roc_auc_score(y[i], scores[i]), metrics.average_precision_score(y[i], scores[i])] for i in draws]
    areas["one in two"].append(np.mean(each, axis=0))
print("\neights among the images   area under ROC           average precision")
for name, pairs in areas.items():
    roc, average = np.array(pairs).T
    print(f"  {name:<24}{show(roc):<25}{show(average)}")
rare, even = (np.array(pairs) for pairs in areas.values())
assert (np.abs(rare[:, 0] - even[:, 0]) < 0.005).all(), "ROC is the same"
assert (even[:, 1] - rare[:, 1] > 0.15).all(), "precision is not"
assert (rare[:, 0] > 0.93).all()

# %%
figure = Figure(figsize=(10.5, 9.8), layout="constrained", dpi=120)
axes = figure.subplots(2, 2)
for row, (name, i) in zip(axes, {"one in twenty": np.arange(len(y)), "one in two": draws[0]}.items(), strict=True):
    some = {f"seed {seed}": p[seed][i] for seed in SEEDS[:3]}
    plot_roc(y[i], some, axes=row[0])
    plot_precision_recall(y[i], some, axes=row[1])
    for ax, curve in zip(row, ("ROC", "precision and recall"), strict=True):
        ax.set_title(f"{curve}; {name} is an 8", fontsize=10)
figure.savefig("roc_and_imbalance.png")
print("\ndrew roc_and_imbalance.png")

# %% [markdown]
# What to see in the figure: on the left the same curves twice, hugging the corner; the lower ones are rougher, since
# they are made of fewer others. On the right the curves hug theirs only where every other image is an 8. It is three
# networks and their scores in all four.
#
# With $\pi$ the share of eights, $R$ the recall and $F$ the false-alarm rate,
#
# $$\mathrm{precision} = \frac{\pi R}{\pi R + (1 - \pi) F}$$
#
# so a ROC curve, which gives $R$ and $F$, tells the precision anywhere, also where you have no data from.


# %%
def precision_at(share, recall, false_alarms):
    return share * recall / (share * recall + (1 - share) * false_alarms)


print("\nprecision at the same threshold of 0.1, by how rare the eights are")
for seed, scores in enumerate(p):
    called = scores >= 0.1
    R, F = called[y == 1].mean(), called[y == 0].mean()
    measured = np.mean([metrics.precision_score(y[i], called[i].astype(int)) for i in draws])
    told = {share: precision_at(share, R, F) for share in (0.5, y.mean(), 0.005)}
    print(
        f"  seed {seed}: R {R:.2f}, F {F:.3f}; one in two {told[0.5]:.3f} (measured {measured:.3f}), "
        f"one in twenty {told[y.mean()]:.3f}, one in two hundred {told[0.005]:.3f}"
    )
    assert abs(told[0.5] - measured) < 0.02
    assert abs(told[y.mean()] - metrics.precision_score(y, called.astype(int))) < 1e-9
    assert told[0.005] < 0.15, "nearly all alarms would be false"

# %% [markdown]
# This is how a test that was splendid in the clinic, where every second visitor is ill, drowns in false alarms
# when everybody is screened.
#
# ## 5. An operating point, and what it is worth
#
# The customer says: find nine eights in ten. We choose the highest threshold that does so **on the validation set**.
# The test set is opened once, to measure what was chosen.


# %%
def threshold_for(recall, y, scores):
    """The highest threshold whose recall is at least this."""
    _, tpr, thresholds = metrics.roc_curve(y, scores, drop_intermediate=False)
    return thresholds[np.argmax(tpr >= recall)]


REQUIRED = 0.9
chosen = threshold_for(REQUIRED, y, p[0])
test = digits.test.open("the operating point chosen on the validation set, once")
test_p = probability(plain[0], test.x)
print(f"\nthreshold {chosen:.4f}, chosen for a recall of at least {REQUIRED}")
for name, labels, scores in (("validation", y, p[0]), ("test", test.y, test_p)):
    called = (scores >= chosen).astype(int)
    print(f"  {name}, {labels.sum()} eights:")
    for measure in (metrics.recall_score, metrics.precision_score, metrics.specificity_score):
        interval = metrics.bootstrap_interval(measure, labels, called)
        print(f"    {measure.__name__[:-6]:<12} {interval}")
        if measure is metrics.recall_score and name == "validation":
            assert interval.value >= REQUIRED
            assert interval.high - interval.low > 0.1, "24 eights promise little"
print(f"  {digits.test}")
assert len(digits.test.seal.openings) == 1
assert metrics.recall_score(test.y, (test_p >= chosen).astype(int)) > 0.75

# %% [markdown]
# The interval comes from the **bootstrap**: draw a test set of the same size from this one, with replacement, a
# thousand times, and see how the measure spreads. It is wide because of the number of *eights*, not of images: with
# $P$ positives a recall of $R$ is known to about $\pm 2 \sqrt{R (1 - R) / P}$. (And if all were found, the bootstrap
# says "1 to 1", since no draw misses one. It knows only what it has seen.)
#
# Does a threshold keep its promise? We cut the validation set in halves, 200 times: choose on the one, measure on the
# other.

# %%
kept_recall = []
for scores in p:
    recalls = []
    for seed in range(200):
        random = np.random.default_rng(seed)
        half = np.zeros(len(y), dtype=bool)
        for label in (0, 1):
            half[random.permutation(np.flatnonzero(y == label))[: (y == label).sum() // 2]] = True
        t = threshold_for(REQUIRED, y[half], scores[half])
        recalls.append((scores[~half][y[~half] == 1] >= t).mean())
    kept_recall.append(recalls)
kept_recall = np.array(kept_recall)
low, high = np.quantile(kept_recall, [0.05, 0.95], axis=1)
print(f"\nchosen for {REQUIRED} on one half, recall on the other: mean {show(kept_recall.mean(axis=1))},")
short = (kept_recall < REQUIRED).mean()
print(f"  nine in ten lie between {low.mean():.2f} and {high.mean():.2f}; {short:.0%} fall short")
assert (high - low > 0.1).all()
assert short > 0.2

# %% [markdown]
# So if nine in ten is a must, choose for more than nine in ten, or collect eights.
#
# ## 6. Weights in the loss
#
# `pos_weight=20` counts every 8 twenty times, so that both classes weigh about the same. It is often called a cure for
# imbalance. What does it do?

# %%
WEIGHT = 20
weighted = [train(seed, pos_weight=WEIGHT) for seed in SEEDS]
q = [probability(trainer, x) for trainer in weighted]


def summary(scores, threshold):
    called = (scores >= threshold).astype(int)
    return [
        metrics.recall_score(y, called),
        metrics.precision_score(y, called),
        metrics.roc_auc_score(y, scores),
        metrics.average_precision_score(y, scores),
    ]


CASES = {
    "plain at 0.5": (p, 0.5),
    f"weight {WEIGHT} at 0.5": (q, 0.5),
    f"plain at 1/{WEIGHT + 1}": (p, 1 / (WEIGHT + 1)),
}
table = {name: np.array([summary(each, threshold) for each in scores]) for name, (scores, threshold) in CASES.items()}
print(f"\n{'':<17}{'recall':<24}{'precision':<24}{'area under ROC':<24}average precision")
for name, values in table.items():
    print(f"{name:<17}" + "".join(f"{show(column):<24}" for column in values.T))
half, heavy, moved = table.values()
assert (heavy[:, 0] > half[:, 0] + 0.1).all(), "more is found"
assert (heavy[:, 1] < half[:, 1] - 0.1).all(), "for more false alarms"
assert np.abs(heavy[:, 2] - half[:, 2]).mean() < 0.02, "on nearly the same curve"
assert abs(heavy[:, 0].mean() - moved[:, 0].mean()) < 0.1, "as by another threshold"

# %%
figure = Figure(figsize=(10.5, 9.8), layout="constrained", dpi=120)
axes = figure.subplots(2, 2)
for ax, name, scores in ((axes[0, 0], "plain", p[0]), (axes[0, 1], f"weight {WEIGHT}", q[0])):
    plot_confusion_matrix(y, (scores >= 0.5).astype(int), classes=classes, axes=ax)
    ax.set_title(f"{name}, threshold 0.5: " + ax.get_title().replace("; ", "\n"), fontsize=10)
both = {"plain": p[0], f"weight {WEIGHT}": q[0]}
plot_roc(y, both, threshold=0.5, axes=axes[1, 0])
plot_precision_recall(y, both, threshold=0.5, axes=axes[1, 1])
figure.savefig("roc_and_imbalance_weights.png")
print("\ndrew roc_and_imbalance_weights.png")

# %% [markdown]
# What to see in the figure: two curves that lie side by side, and two dots far apart on them. The weight bought recall
# with precision, and a lower threshold sells it at the same price or better, without another training (the average
# precision even fell a little, in the table). Indeed a network that is
# trained with weight $w$ says $\mathrm{logit} + \log w$ where the other says $\mathrm{logit}$, if both learn what they
# can: so 0.5 of the one is $1 / (1 + w)$ of the other. (Weights do help where a training would not find the rare class
# at all, or a fixed threshold of 0.5 cannot be changed.)
#
# ## 7. What the weight breaks
#
# Probabilities. Of all images of which a network says "30 %", three in ten should be eights; then it is **calibrated**,
# and a probability can be multiplied by a cost. The expected calibration error (ECE) is the mean gap. Since we know
# what the weight has done, we can undo it: subtract $\log w$ from the logit.


# %%
def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def calibration_error(scores):
    return metrics.expected_calibration_error(y, np.stack([1 - scores, scores], axis=1))


undone = [sigmoid(trainer.predict(x)[:, 0] - np.log(WEIGHT)) for trainer in weighted]
kinds = {"plain": p, f"weight {WEIGHT}": q, "and log w taken off": undone}
print(f"\nthe share of eights is {y.mean():.3f}")
print(f"{'':<22}{'mean probability':<26}ECE")
for name, scores in kinds.items():
    means, errors = [each.mean() for each in scores], [calibration_error(each) for each in scores]
    print(f"{name:<22}{show(means):<26}{show(errors)}")
means, errors = (
    np.array([[measure(each) for each in scores] for scores in kinds.values()])
    for measure in (np.mean, calibration_error)
)
assert (means[1] > 1.4 * y.mean()).all(), "the weighted networks see eights everywhere"
assert np.abs(means[[0, 2]] - y.mean()).max() < 0.03, "the others expect about as many as there are"
assert errors[1].mean() > 1.5 * errors[0].mean()
assert errors[1].mean() > 1.3 * errors[2].mean()

print("\nall five networks: of the images with a probability around ..., the share of eights")
for name, scores in kinds.items():
    true, said = metrics.calibration_curve(np.tile(y, len(SEEDS)), np.concatenate(scores), n_bins=5)
    print(f"  {name:<22}" + "   ".join(f"{b:.2f}: {a:.2f}" for a, b in zip(true, said, strict=True)))

# %% [markdown]
# The weighted networks say 0.7 of images of which far fewer are eights.
#
# ## Remember
#
# 1. Compare every accuracy with that of saying the commonest class.
# 2. A network gives scores; the threshold makes decisions. Choose it on validation data, by costs or by a required
#    recall, and measure once on the test set, with an interval. Count positives to know how wide it will be.
# 3. ROC does not see how rare a class is. Precision does. Show the precision at the rarity of the place of use.
# 4. Class weights move along the curve, as thresholds do, and spoil probabilities.
#
# ## Try
#
# 1. A missed 8 costs ten times a false alarm. Which threshold is the cheapest on the validation set? Compare it with
#    1 / 11, which is the best one if the probabilities are calibrated.
# 2. Keep 40 eights instead of 80. What happens to the intervals, and to average precision?
# 3. Instead of a weight, show every 8 twenty times (`np.repeat`). Is it the same?
