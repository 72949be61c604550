# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 33. What will this cell become? A CNN that remembers
#
# A blood stem cell decides what its daughters will be days before a stain can show it. Buggenthin et al. ("Prospective
# identification of hematopoietic lineage choice by deep learning", Nature Methods 14, 2017) asked a network that
# watches the film: a CNN looks at every frame, and a recurrent network adds up what it saw and how the cell moved.
#
# We draw our films, so that we know what there is to be known. The first frame does not tell the two lineages apart,
# and no other one does so well: the difference is in what *changes*.
#
#     python lessons/33_cell_lineage.py

# %%
import numpy as np
from matplotlib.figure import Figure

import minicnn as mc
from minicnn import data, nn, ops, optim
from minicnn.backend import CounterRng

SEEDS = (0, 1, 2)
FRAMES = 16

# %% [markdown]
# ## 1. The films
#
# Cells crawl through a small well. Lineage 0 forgets its direction within a frame or so, lineage 1 keeps it for five,
# at the same speed: a persistent random walk. And the granules of lineage 1 slowly become stronger; but cells differ
# more in that from the beginning than a film's worth of change. Some films break off early, when the cell is lost.

# %%
films = data.synthetic.cell_time_lapse(1200, FRAMES, shortest=FRAMES // 2, seed=1)
test = data.synthetic.cell_time_lapse(600, FRAMES, seed=2)
print(films, "lengths from", films.lengths.min(), "to", films.lengths.max())
print(test)


def compare(name, values, lineage):
    """Print how far apart the lineages' means are, in standard deviations within a lineage."""
    a, b = values[lineage == 0], values[lineage == 1]
    apart = (b.mean() - a.mean()) / np.sqrt((a.var() + b.var()) / 2)
    print(f"  {name:<46}{apart:+.2f}")
    return apart


def turned(positions):
    """The cosine between each step and the one before, averaged over a film."""
    d = np.diff(positions, axis=1)
    length = np.maximum(np.linalg.norm(d, axis=2), 1e-9)
    return ((d[:, 1:] * d[:, :-1]).sum(axis=2) / (length[:, 1:] * length[:, :-1])).mean(axis=1)


print("\nhow far apart the lineages are, in standard deviations")
y = test.labels
apart = [
    compare("row in the well, last frame", test.positions[:, -1, 0], y),
    compare("granularity, first frame", test.granularity[:, 0], y),
    compare("granularity, last frame", test.granularity[:, -1], y),
    compare("change of granularity over the film", test.granularity[:, -1] - test.granularity[:, 0], y),
    compare("how straight the path is", turned(test.positions), y),
]
assert abs(apart[0]) < 0.35
assert abs(apart[1]) < 0.35
assert min(apart[3:]) > 1.75 > apart[2]

# %%
figure = Figure(figsize=(11, 5.6), layout="constrained", dpi=120)
above, below = figure.subfigures(2, 1, height_ratios=(1.15, 1))
shown = range(0, FRAMES, 2)
chosen = [next(i for i in np.flatnonzero(y == k) if test.divided[i, 5:12].any()) for k in (0, 1)]
for row, i in zip(above.subplots(2, len(shown)), chosen, strict=True):
    for ax, t in zip(row, shown, strict=True):
        ax.imshow(test.movies[i, t, 0], cmap="gray", vmin=0.1, vmax=0.9)
        ax.plot(test.positions[i, : t + 1, 1], test.positions[i, : t + 1, 0], color="#E69F00", linewidth=1)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_title(f"frame {t}", fontsize=8)
    row[0].set_ylabel(test.classes[y[i]])
above.suptitle("Two cells that crawl, grow and divide, with their paths. Which is which?", fontsize=11)
left, right = below.subplots(1, 2)
for k, colour in ((0, "#0072B2"), (1, "#D55E00")):
    some = np.flatnonzero(y == k)[:15]
    steps = test.positions[some] - test.positions[some, :1]
    for ax, lines in ((left, None), (right, test.granularity[some])):
        for j in range(len(some)):
            if lines is None:
                ax.plot(steps[j, :, 1], steps[j, :, 0], color=colour, linewidth=0.8, alpha=0.7)
            else:
                ax.plot(lines[j], color=colour, linewidth=0.8, alpha=0.6)
        ax.plot([], [], color=colour, label=test.classes[k])
left.set(xlabel="to the right (pixels)", ylabel="down (pixels)", title="Paths from a common start: knots and curves")
left.set_aspect("equal", "datalim")
left.invert_yaxis()
right.set(xlabel="frame", ylabel="granularity (spreads)", title="Granularity: slopes differ, levels overlap")
for ax in (left, right):
    ax.title.set_fontsize(10)
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)
figure.savefig("cell_lineage_films.png")
print("\ndrew cell_lineage_films.png")

# %% [markdown]
# ## 2. What the network gets
#
# As in the paper, a tracking program has found the cell: we cut a patch around it, and keep how it moved since the
# frame before. A network is spared work if a displacement is described as the cell would: how far **forward**, in the
# direction of the step before, how far to the **side**, and how far in all.


# %%
def motion(positions):
    """(N, T, 2) -> (N, T, 3): forward, aside, length of each step, in pixels; zeros where there is no step yet."""
    step = np.diff(positions, axis=1, prepend=positions[:, :1])
    before = np.concatenate([np.zeros_like(step[:, :1]), step[:, :-1]], axis=1)
    ahead = before / np.maximum(np.linalg.norm(before, axis=2, keepdims=True), 1e-9)
    forward = (step * ahead).sum(axis=2)
    aside = np.abs(step[..., 0] * ahead[..., 1] - step[..., 1] * ahead[..., 0])
    return np.stack([forward, aside, np.linalg.norm(step, axis=2)], axis=2).astype(np.float32)


def inputs(films):
    return (films.patches(16) - 0.45) / 0.12, motion(films.positions)


x, moved = inputs(films)
test_x, test_moved = inputs(test)

# %% [markdown]
# ## 3. Eyes and a memory
#
# The **eyes** are a small CNN that makes eight numbers of a patch. `nn.TimeDistributed` shows it every frame of every
# film, as if each were an example of its own. The **memory** is an LSTM that takes the eight numbers and the motion,
# frame after frame, and after each of them a linear layer says what it thinks by then.


# %%
def new_eyes():
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2, padding=2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.GlobalAvgPool2d(),
        nn.Flatten(),
        nn.BatchNorm1d(8),
    )


class OneFrame(nn.Layer):
    """Patches (N, T, 1, 16, 16) -> logits (N, T, 1), each of its own frame alone."""

    def __init__(self):
        self.eyes = nn.TimeDistributed(new_eyes())
        self.answer = nn.TimeDistributed(nn.Linear(8, 1))

    def forward(self, x, lengths=None):
        return self.answer(self.eyes(x))

    def backward(self, dy):
        return self.eyes.backward(self.answer.backward(dy))


class Memory(nn.Layer):
    """What there is to know of each frame, (N, T, width) -> logits after each frame, (N, T, 1)."""

    def __init__(self, width):
        self.lstm = nn.LSTM(width, 16, return_sequences=True)
        self.answer = nn.TimeDistributed(nn.Linear(16, 1))

    def forward(self, x, lengths=None):
        return self.answer(self.lstm(x, lengths))

    def backward(self, dy):
        return self.lstm.backward(self.answer.backward(dy))


class Lineage(nn.Layer):
    """Patches, and the motion as context -> logits after each frame, (N, T, 1)."""

    def __init__(self, eyes, memory):
        self.eyes, self.memory = eyes, memory

    def forward(self, x, moved, lengths=None):
        return self.memory(np.concatenate([self.eyes(x), moved], axis=2), lengths)

    def backward(self, dy):
        dboth = self.memory.backward(dy)
        return self.eyes.backward(np.ascontiguousarray(dboth[:, :, :8]))  # motion was measured: it needs no gradient


mc.seed(0)
whole = Lineage(nn.TimeDistributed(new_eyes()), Memory(8 + 3)).eval()
report = mc.gradcheck(whole, x[:2, :3], context=(moved[:2, :3], np.array([2, 3])))
print(f"\nthe gradient from the last answer to the first frame's filters is right: {report.ok}")
assert report.ok

# %% [markdown]
# ## 4. Training
#
# The loss is the cross-entropy of the answers after every frame that there is; what stands behind a film's end is not
# asked for. As in the paper, the eyes learn first, from single frames. Then they stay as they are, and the memory
# learns from what they say, which takes no time. (The gradient goes all the way, so both may be trained together: Try
# 3.)


# %%
def fit(model, inputs, seed, *, epochs, lr, batch=50):
    optimizer = optim.Adam(model.parameters(), lr=lr)
    loss, rng = nn.BCEWithLogitsLoss(), CounterRng(seed)
    batches = len(films) // batch
    model.train()
    for step in range(epochs * batches):
        if step % batches == 0:
            order = ops.random_permutation(rng.next_key(), len(films))
        i = order[step % batches * batch :][:batch]
        there = np.arange(FRAMES) < films.lengths[i, None]  # (batch, FRAMES)
        lineage = np.broadcast_to(films.labels[i, None], there.shape)
        optimizer.lr = lr * (1 + np.cos(np.pi * step / (epochs * batches))) / 2
        optimizer.zero_grad()
        logits = model(*(a[i] for a in inputs), films.lengths[i])[:, :, 0]
        loss.forward(logits[there], lineage[there].astype(np.float32))
        dlogits = np.zeros_like(logits)
        dlogits[there] = loss.backward()
        with nn.without_input_gradient(model):
            model.backward(dlogits[:, :, None])
        optim.clip_grad_norm(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()


def in_parts(function, *arrays):
    """Apply a network to 100 films at a time."""
    return np.concatenate([function(*(a[k : k + 100] for a in arrays)) for k in range(0, len(arrays[0]), 100)])


logits = {kind: [] for kind in ("one frame: CNN", "looks: CNN, LSTM", "motion: LSTM", "both: CNN, LSTM")}
for seed in SEEDS:
    mc.seed(seed)
    single = fit(OneFrame(), (x,), seed, epochs=8, lr=0.01)
    logits["one frame: CNN"].append(in_parts(single, test_x))
    seen, test_seen = (in_parts(single.eyes, a) for a in (x, test_x))
    both, test_both = np.concatenate([seen, moved], axis=2), np.concatenate([test_seen, test_moved], axis=2)
    for kind, told, test_told in (
        ("looks: CNN, LSTM", seen, test_seen),
        ("motion: LSTM", moved, test_moved),
        ("both: CNN, LSTM", both, test_both),
    ):
        memory = fit(Memory(told.shape[2]), (told,), seed, epochs=14, lr=0.01)
        logits[kind].append(in_parts(memory, test_told))
    whole = Lineage(single.eyes, memory).eval()

# %% [markdown]
# ## 5. Does the memory help?
#
# On 600 films that no network has seen, after the last frame. Since we know how the films were drawn, we can say how
# often the best possible judge would be right, who knows path and granularity exactly: `test.evidence` is the logarithm
# of the likelihood ratio, and nobody is right more often than its sign.

# %%
curves = {kind: ((np.array(values)[..., 0] > 0) == y[:, None]).mean(axis=1) for kind, values in logits.items()}
ceiling = ((test.evidence > 0) == y[:, None]).mean(axis=0)  # (T,)
print("\nshare of right answers after", FRAMES, "frames: mean of three seeds (lowest - highest)")
for kind, values in curves.items():
    last = values[:, -1]
    print(f"  {kind:<20}{last.mean():.3f} ({last.min():.3f} - {last.max():.3f})")
print(f"  {'who knows the truth':<20}{ceiling[-1]:.3f}")
single, looks, _, both = (values[:, -1] for values in curves.values())
assert 0.6 < single.min() <= single.max() < 0.82, "the last frame alone says something"
assert looks.mean() > single.mean() + 0.03, "the same eyes with a memory say more"
assert (both > single + 0.1).all()
assert (both > looks).all()
assert curves["both: CNN, LSTM"][:, 5:].mean() > curves["motion: LSTM"][:, 5:].mean(), "over frames 6 to 16"

# %% [markdown]
# The last frame alone says something, since granules have become stronger by then. The *same eyes* with a memory say
# more: they see them become stronger. Motion says most in these films, and both together say a little more than motion.
# The gap to the last row is what a small network does not get out of pixels and 1,200 films.
#
# ## 6. What stands behind a film's end is not looked at
#
# Films of unequal length lie in one array, with black frames behind the end of short ones. What if there were something
# else? With `lengths` the LSTM stops where the film does: the answers before stay the same to the bit.

# %%
i = np.arange(40)
lengths = films.lengths[i]
there = np.arange(FRAMES) < lengths[:, None]
spoilt_x, spoilt_moved = x[i].copy(), moved[i].copy()
spoilt_x[~there], spoilt_moved[~there] = 100, -50
clean = whole(x[i], moved[i], lengths)[:, :, 0]
spoilt = whole(spoilt_x, spoilt_moved, lengths)[:, :, 0]
print(f"\nframes behind the end filled with nonsense: the largest change is {np.abs(clean - spoilt)[there].max()}")
assert (clean[there] == spoilt[there]).all()
alone = np.array([whole(x[[k]][:, :n], moved[[k]][:, :n])[0, -1, 0] for k, n in zip(i, lengths, strict=True)])
together = clean[i, lengths - 1]
print(f"each film alone, cut where it ends: the largest difference is {np.abs(alone - together).max():.1g}")
np.testing.assert_allclose(alone, together, rtol=1e-3, atol=1e-4)

# %% [markdown]
# ## 7. How early can it be known?
#
# The sooner the better: that is what prospective means. We cut all test films after t frames, by their lengths. (An
# LSTM does not look ahead, so this is what it has answered after frame t anyhow; the lines below check it once.)

# %%
cut = np.full(100, 5)
after_five = whole(test_x[:100], test_moved[:100], cut)[np.arange(100), cut - 1, 0]
np.testing.assert_allclose(after_five, logits["both: CNN, LSTM"][-1][:100, 4, 0], rtol=1e-3, atol=1e-4)

print("\nshare of right answers after so many frames, mean of three seeds")
known = (1, 2, 4, 6, 8, 10, 12, 14, 16)
print(" " * 20 + "".join(f"{t:>7}" for t in known))
for kind, values in {**curves, "who knows the truth": ceiling[None]}.items():
    print(f"{kind:<20}" + "".join(f"{values[:, t - 1].mean():7.3f}" for t in known))
early, late = (curves["both: CNN, LSTM"][:, t - 1] for t in (1, FRAMES))
assert np.abs(curves["both: CNN, LSTM"][:, 0] - 0.5).max() < 0.1, "the first frame tells nothing"
assert (late > early + 0.25).all()
assert (np.diff(curves["both: CNN, LSTM"].mean(axis=0)[[0, 3, 7, 15]]) > 0).all()
mean = curves["both: CNN, LSTM"].mean(axis=0)
print(f"both: four in five are right after {np.argmax(mean >= 0.8) + 1} of {FRAMES} frames")
assert mean[FRAMES // 2] > 0.8

# %%
STYLES = {
    "one frame: CNN": ("#E69F00", ":"),
    "looks: CNN, LSTM": ("#CC79A7", "-."),
    "motion: LSTM": ("#009E73", "--"),
    "both: CNN, LSTM": ("#0072B2", "-"),
}
figure = Figure(figsize=(11, 4.6), layout="constrained", dpi=120)
left, right = figure.subplots(1, 2)
frames = np.arange(1, FRAMES + 1)
left.plot(frames, ceiling, color="black", linewidth=1, label="who knows path and granularity")
for kind, (colour, line) in reversed(STYLES.items()):
    values = curves[kind]
    left.fill_between(frames, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.25, linewidth=0)
    left.plot(frames, values.mean(axis=0), color=colour, linestyle=line, label=kind)
left.axhline(0.5, color="grey", linewidth=1, linestyle=":")
left.set(xlabel="frames that are known", ylabel="right answers (share)", ylim=(0.42, 1.02))
left.set_title("A memory gains with every frame, and more than single frames do", fontsize=10)
left.legend(fontsize=8, loc="lower right")
p = 1 / (1 + np.exp(-logits["both: CNN, LSTM"][0][..., 0]))
for k, colour in ((0, "#0072B2"), (1, "#D55E00")):
    for j in np.flatnonzero(y == k)[:20]:
        right.plot(frames, p[j], color=colour, linewidth=0.9, alpha=0.6)
    right.plot([], [], color=colour, label=f"20 cells of {test.classes[k]}")
right.axhline(0.5, color="grey", linewidth=1, linestyle=":")
right.set(xlabel="frame", ylabel="probability of lineage 1, says the network", ylim=(-0.02, 1.02))
right.set_title("It makes up its mind while it watches", fontsize=10)
right.legend(fontsize=8, loc="center right")
for ax in (left, right):
    ax.grid(alpha=0.3)
figure.savefig("cell_lineage.png")
print("\ndrew cell_lineage.png")

# %% [markdown]
# What to see in the figure: on the left all curves start at one half, and those with a memory climb; the bands are
# lowest to highest of three seeds. The curve of single frames rises more slowly, with the granules. On the
# right, cells are undecided first, and some change sides: early answers are to be given with their probability.
#
# ## Remember
#
# 1. Ask first whether a single image can hold the answer. If the difference is in what changes, a CNN alone is blind.
# 2. `TimeDistributed(cnn)` and an LSTM make a network for films; eyes may be trained first, on single frames.
# 3. Give lengths, and keep answers behind the end out of the loss. Then padding can hold anything.
# 4. Hand over what is measured already (here: the motion) in a form that spares the network work.
# 5. Draw accuracy against time. A single number hides how early it is known.
#
# ## Try
#
# 1. `persistence=(3, 3)`: now only granules tell. And with `rise=(0, 0)`, only motion. What is left of each curve?
# 2. Give the LSTM the plain displacement (rows and columns) instead of forward and aside. How many films does it take?
# 3. Train `whole` on end to end: `fit(whole, (x, moved), 0, epochs=2, lr=0.001)`. Then `Lineage` with new eyes, alone.
# 4. Answer only when the probability is below 0.1 or above 0.9. How many cells get an answer, when, and how many of
#    these answers are right?
