# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 15. What did it learn?
#
# A network that is right may be right for a wrong reason. This lesson looks inside: at filters, at what excites a
# class, at maps of the pixels that a decision rests on, at what the network finds alike. Pictures of that kind please
# easily and prove little, so every one of them is tested here on a task whose answer we have planted ourselves.
#
#     python lessons/15_what_did_it_learn.py

# %%
import time

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.stats import spearmanr

import minicnn as mc
from minicnn import analyse, data, nn, optim
from minicnn.recipes import features

digits = data.normalise(data.load("digits"))
PAPER = float(digits.train.x.min())  # the value of an empty pixel
SEEDS = (0, 1, 2)
SIDE, BOX, NOISE = 24, 8, 0.4


def scenes(part, seed, copies=1):
    """Return noisy images (N, 1, 24, 24), each with a digit somewhere, their labels, and where: masks (N, 24, 24)."""
    random = np.random.default_rng(seed)
    y = np.tile(part.y, copies)
    x = np.full((len(y), 1, SIDE, SIDE), PAPER, dtype=np.float32)
    where = np.zeros((len(y), SIDE, SIDE), dtype=bool)
    for i, (top, left) in enumerate(random.integers(0, SIDE - BOX + 1, size=(len(y), 2))):
        place = slice(top, top + BOX), slice(left, left + BOX)
        x[i, 0][place] = part.x[i % len(part), 0]
        where[i][place] = True
    return x + NOISE * random.normal(size=x.shape).astype(np.float32), y, where


def spotter(seed):
    mc.seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(8),  # the strongest response anywhere: a digit may lie where it likes
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def trained(model, x, y, *, epochs, lr=5e-3):
    mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=lr)).fit(
        (x, y), epochs=epochs, batch_size=64, verbose=False
    )
    return model


def read_as(model, x):
    return mc.Trainer(model).predict(x).argmax(axis=1)


def accuracy(model, x, y):
    return float((read_as(model, x) == y).mean())


def row(name, values, form=".2f"):
    values = np.asarray(values, dtype=float)
    print(f"  {name:<44} {values.mean():{form}} ({values.min():{form}} - {values.max():{form}})")
    return values


# %% [markdown]
# ## 1. The first filters
#
# Random weights have no neighbourhood: the square of the difference of two neighbours is on average twice the mean
# square. A filter that looks for strokes is smoother. So the **roughness**, mean (difference)^2 / mean (weight)^2, is 2
# for noise, 0 for a constant and 4 for a chessboard.


# %%
def roughness(w):
    across, down = np.diff(w, axis=3) ** 2, np.diff(w, axis=2) ** 2
    return float((across.mean() + down.mean()) / 2 / (w**2).mean())


found_in = {seed: scenes(digits.validation, 100 + seed) for seed in SEEDS}
fresh = {seed: spotter(seed) for seed in SEEDS}
spotters = {}
for seed in SEEDS:
    x, y, _ = scenes(digits.train, seed, copies=2)
    spotters[seed] = trained(spotter(seed), x, y, epochs=6, lr=8e-3)

print("a digit planted in noise; mean of three seeds (lowest - highest)")
right = row("accuracy in validation", [accuracy(spotters[s], *found_in[s][:2]) for s in SEEDS])
before = row("roughness of the first filters, random", [roughness(fresh[s][0].weight.data) for s in SEEDS])
after = row("... trained", [roughness(spotters[s][0].weight.data) for s in SEEDS])
change = row(
    "... of what training added", [roughness(spotters[s][0].weight.data - fresh[s][0].weight.data) for s in SEEDS]
)
assert right.min() > 0.7
assert (after < before - 0.05).all()
assert (change < 1.85).all()

# %% [markdown]
# Training has added something smoother than noise to the noise that was there, and most of the noise is still there:
# nothing pushes it out. Do not expect neat edge detectors in a small network that was trained for seconds.
#
# ## 2. The picture that a class likes best
#
# Start from faint noise and climb the score of a class. Networks on the plain digits are asked, and the outcome is
# compared with the mean image of each class: does it resemble the mean of the class asked for the most?


# %%
def reader(seed):
    mc.seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


readers = {seed: trained(reader(seed), digits.train.x, digits.train.y, epochs=6) for seed in SEEDS}
means = np.stack([digits.train.x[digits.train.y == k].mean(axis=0).ravel() for k in range(10)])
liked = {s: np.stack([analyse.maximise_class(readers[s], (1, 8, 8), k, steps=40) for k in range(10)]) for s in SEEDS}
print("\npictures that maximise a class")
own = row(
    "the network's probability of that class",
    [mc.Trainer(readers[s]).predict_proba(liked[s]).diagonal().mean() for s in SEEDS],
)
other = row(
    "share that another network reads so, too", [accuracy(readers[(s + 1) % 3], liked[s], np.arange(10)) for s in SEEDS]
)
like = row(
    "share that is most like that class's mean",
    [(np.corrcoef(liked[s].reshape(10, -1), means)[:10, 10:].argmax(axis=1) == np.arange(10)).mean() for s in SEEDS],
)
assert own.min() > 0.95
assert other.mean() > 0.5
assert like.mean() > 0.5

# %%
show = 0
figure = Figure(figsize=(11, 5.4), layout="constrained", dpi=120)
image = found_in[show][0][:1]
channels = features(spotters[show], image, 2, flatten=False)[0]
rows = {
    "filters,\nrandom": fresh[show][0].weight.data[:10, 0],
    "filters,\ntrained": spotters[show][0].weight.data[:10, 0],
    "image and\nchannels": [image[0, 0], *channels[:9]],
    "liked best\nas 0 to 9": liked[show][:, 0],
}
for axes_row, (name, pictures) in zip(figure.subplots(4, 10), rows.items(), strict=True):
    largest = max(abs(picture).max() for picture in pictures)
    for axes, picture in zip(axes_row, pictures, strict=True):
        limits = (-largest, largest) if name.startswith("filters") else (None, None)
        axes.imshow(picture, cmap="gray", vmin=limits[0], vmax=limits[1])
        axes.set_xticks([])
        axes.set_yticks([])
    axes_row[0].set_ylabel(name, rotation=0, ha="right", va="center")
figure.savefig("what_did_it_learn.png")
print("\ndrew what_did_it_learn.png")

# %% [markdown]
# What to see in the figure: some trained filters are brighter on one side or along a line, the channels answer where
# the digit is and to different strokes of it. In the pictures that a class likes best our eyes find few digits,
# although the correlation with the classes' means finds the right one: the network has learned strokes, not pictures.
# (`analyse.plot_filters(model)` and `analyse.plot_feature_maps(model, x[:1], layer=2)` draw two of these rows in one
# line.)
#
# ## 3. Maps, where the truth is known
#
# Three maps say which pixels a decision rests on. **Saliency**: how much the score changes with each pixel.
# **Grad-CAM**: where the last channels lie that speak for the class. **Occlusion**: how much the probability falls when
# a square is covered. Here we know that only the digit's 64 of 576 pixels can matter, and ask two things: which share
# of the map lies there, and whether its highest point does (the *pointing game*: Zhang et al., "Top-down neural
# attention by excitation backprop", 2016). Guessing gives 64 / 576 = 0.11.
#
# Then Adebayo et al.'s question ("Sanity checks for saliency maps", 2018): does the map change if the network is
# replaced by one with random weights? If not, it tells of the image and not of the network. For comparison there is a
# "map" that asks no network at all: the brightness of the image.


# %%
def brightness(model, x, target):
    return x[:, 0] - x[:, 0].min()


def covered(model, x, target):
    return np.maximum(analyse.occlusion(model, x, target=target, size=4, stride=2, fill=PAPER), 0)


MAPS = {
    "saliency": lambda model, x, target: analyse.saliency(model, x, target=target),
    "Grad-CAM": lambda model, x, target: analyse.grad_cam(model, x, target=target),
    "occlusion": covered,
    "brightness": brightness,
}
SHOWN = 50


def judged(maps, where):
    """Return the mean share of the maps' mass that lies in the boxes, and how often the highest point does."""
    share = np.mean((maps * where).sum(axis=(1, 2)) / np.maximum(maps.sum(axis=(1, 2)), 1e-12))
    return share, np.mean([box.ravel()[one.argmax()] for box, one in zip(where, maps, strict=True)])


scores, drawn = {}, {}
for name, make in MAPS.items():
    scores[name] = []
    for seed in SEEDS:
        x, y, where = (array[:SHOWN] for array in found_in[seed])
        maps, random_maps = make(spotters[seed], x, y), make(fresh[seed], x, y)
        alike = [
            spearmanr(one.ravel(), two.ravel()).statistic
            for one, two in zip(maps, random_maps, strict=True)
            if np.ptp(one) > 0 and np.ptp(two) > 0  # a Grad-CAM that is zero everywhere has no ranks
        ]
        scores[name].append((*judged(maps, where), *judged(random_maps, where), np.mean(alike)))
        drawn.setdefault(name, (maps, random_maps))
    scores[name] = np.array(scores[name])

print(f"\n{'':<12}{'trained network':>24}{'random network':>24}{'rank correlation':>26}")
print(f"{'':<12}{'mass':>12}{'pointing':>12}{'mass':>12}{'pointing':>12}{'of both (3 seeds)':>26}")
for name, table in scores.items():
    spread = f"{table[:, 4].mean():.2f} ({table[:, 4].min():.2f} - {table[:, 4].max():.2f})"
    print(f"{name:<12}" + "".join(f"{value:12.2f}" for value in table[:, :4].mean(axis=0)) + f"{spread:>26}")
for name in ("saliency", "Grad-CAM", "occlusion"):
    assert (scores[name][:, 0] > 2 * 64 / 576).all(), name
assert (scores["occlusion"][:, 1] > 0.75).all()
assert (scores["saliency"][:, 1] > 0.75).all()
assert (abs(scores["occlusion"][:, 4]) < 0.3).all(), "occlusion changes with the weights"
assert (scores["saliency"][:, 4] > scores["occlusion"][:, 4] + 0.2).all(), "saliency changes far less"
assert (scores["saliency"][:, 3] > 3 * 64 / 576).all(), "a random network's saliency finds the digit, too"
assert np.allclose(scores["brightness"][:, 4], 1)

# %% [markdown]
# A surprise, and a warning. The saliency of a *random* network points at the digit in most images, and ranks the pixels
# much as that of the trained one: max pooling picks the strong responses, and those are where the ink is, whatever the
# weights. And brightness, which knows nothing of any network, wins the pointing game. That a map looks right says
# little; that it *changes* with the network is needed, too. Occlusion does best in both tests (a random network minds
# when ink is covered, too, but in other places), and it costs a forward pass for each place of the square. Grad-CAM
# changes, and is coarse: it sees an 8 x 8 map, whose gradient the max pooling behind it lets through at one point a
# channel.
#
# ## 4. Why one looks: a wrong cue
#
# Now a data set with a flaw: all threes in the training set carry a bright block in the corner, as if they had come
# from another scanner. Training and validation (with the same flaw) see nothing amiss.


# %%
def marked(x):
    x = x.copy()
    x[:, :, :2, :2] = digits.train.x.max()
    return x


def flawed(part):
    three = (part.y == 3)[:, None, None, None]
    return np.where(three, marked(part.x), part.x), part.y


misled = {seed: trained(reader(seed), *flawed(digits.train), epochs=6) for seed in SEEDS}
held, threes = digits.validation, digits.validation.y == 3
print("\nthrees with a bright corner in the training set")
flawed_right = row("accuracy on validation with the same flaw", [accuracy(misled[s], *flawed(held)) for s in SEEDS])
without = row(
    "threes without the block that are read as 3", [accuracy(misled[s], held.x[threes], held.y[threes]) for s in SEEDS]
)
with_block = row(
    "other digits with the block, read as 3",
    [(read_as(misled[s], marked(held.x[~threes])) == 3).mean() for s in SEEDS],
)
honest_block = row(
    "(the same for an honest network)", [(read_as(readers[s], marked(held.x[~threes])) == 3).mean() for s in SEEDS]
)
honest_right = row("(an honest network on threes)", [accuracy(readers[s], held.x[threes], 3) for s in SEEDS])


def share_in_corner(maps):
    maps = np.maximum(maps, 0)
    return float(np.mean(maps[:, :3, :3].sum(axis=(1, 2)) / np.maximum(maps.sum(axis=(1, 2)), 1e-12)))


def corner_occlusion(model):
    return analyse.occlusion(model, marked(held.x[threes]), target=3, size=2, fill=PAPER)


def corner_saliency(model):
    return analyse.saliency(model, marked(held.x[threes]), target=3)


corner = {}
for name, make in (("occlusion", corner_occlusion), ("saliency", corner_saliency)):
    for who, models in (("misled", misled), ("honest", readers)):
        corner[name, who] = row(
            f"{name}: share in the corner's 9 of 64, {who}", [share_in_corner(make(models[s])) for s in SEEDS]
        )
assert flawed_right.min() > 0.9
assert (without < honest_right - 0.2).all()
assert with_block.mean() > honest_block.mean() + 0.08
assert (corner["occlusion", "misled"] > corner["occlusion", "honest"] + 0.2).all()
assert (corner["saliency", "misled"] > corner["saliency", "honest"]).all()

# %% [markdown]
# The score is excellent and the network useless. Nothing in the learning curves told of it, a map of a dozen threes
# did. This is not made up: networks have read the hospital's mark in X-ray images in place of the lungs (Zech et al.,
# "Variable generalization performance of a deep learning model to detect pneumonia in chest radiographs", 2018).
#
# ## 5. What it finds alike
#
# The layer before the last turns each image into 32 numbers. Are images of one digit neighbours there? The nearest ones
# among the training images are asked, once by pixels and once by those features.


# %%
def same_label(known, labels, queries, truth):
    """Return which share of the five rows of `known` nearest to each query has its label."""
    five = analyse.similar_images(known.reshape(len(known), -1), queries.reshape(len(queries), -1), k=5)
    return (labels[five.indices] == truth[:, None]).mean()


nearest = {"pixels": [], "features": []}
for seed in SEEDS:
    x, y, _ = scenes(digits.train, seed, copies=2)
    queries, truth, _ = found_in[seed]
    nearest["pixels"].append(same_label(x, y, queries, truth))
    nearest["features"].append(same_label(features(spotters[seed], x), y, features(spotters[seed], queries), truth))
print("\nshare of the five most similar images that show the same digit")
for name, values in nearest.items():
    row(f"digits planted in noise, by {name}", values)
train = digits.train
plain = {
    "pixels": same_label(train.x, train.y, held.x, held.y),
    "features": same_label(features(readers[0], train.x), train.y, features(readers[0], held.x), held.y),
}
print(f"  plain digits, one seed: by pixels {plain['pixels']:.2f}, by features {plain['features']:.2f}")
assert (np.array(nearest["features"]) > np.array(nearest["pixels"]) + 0.2).all()
assert abs(plain["features"] - plain["pixels"]) < 0.1, "where all digits are centred, pixels are as good"

# %% [markdown]
# Features are good where pixels are not: a digit that has moved by three pixels is another point among pixels and the
# same one among features. On plain digits, all centred and of one size, there is nothing to gain.
#
# t-SNE lays both spaces into the plane. A picture convinces too easily here as well, so count: how often has a point's
# nearest neighbour in the plane the same label?

# %%
queries, truth, _ = found_in[show]
planes = {
    "pixels": analyse.embed_features(queries.reshape(len(queries), -1)),
    "features": analyse.embed_features(features(spotters[show], queries)),
    "features, by PCA": analyse.embed_features(features(spotters[show], queries), method="pca"),
}
agree = {}
for name, points in planes.items():
    agree[name] = np.mean(truth[analyse.similar_images(points, points, k=2).indices[:, 1]] == truth)
    print(f"  nearest neighbour in the plane has the same label, {name:<17} {agree[name]:.2f}")
assert agree["features"] > agree["pixels"] + 0.2
assert agree["features"] > agree["features, by PCA"] + 0.05, "two directions are too few"

# %% [markdown]
# ## 6. From one digit to a page of them
#
# A classifier of 8 x 8 windows becomes a detector by looking at every window of a page. It has to know a further class,
# "nothing": noise, and digits that are cut off. Among windows that overlap only the surest is kept (*non-maximum
# suppression*), here whatever their classes: digits do not lie on top of each other.
#
# Neighbouring windows share nearly everything that the first layers compute. If the dense layer is written as a
# convolution as large as its input, one pass over the page gives all scores at once: `fully_convolutional`.

# %%
NOTHING, PAGE, WRITTEN = 10, 64, 8


def page(part, seed, number=WRITTEN):
    """Return a page (1, 64, 64) with some of the images on it, and what is written where: (label, top, left)."""
    random = np.random.default_rng(seed)
    image, written = np.full((1, PAGE, PAGE), PAPER, dtype=np.float32), []
    cells = random.permutation(16)[:number]
    for cell, i in zip(cells, random.permutation(len(part))[:number], strict=True):
        top, left = 16 * np.array(divmod(int(cell), 4)) + random.integers(0, 9, size=2)
        image[:, top : top + 8, left : left + 8] = part.x[i]
        written.append((int(part.y[i]), top, left))
    return image + NOISE * random.normal(size=image.shape).astype(np.float32), written


def windows(part, seed, pages=100):
    """Return windows of pages: those on a digit or a pixel off, a third of them, and three times as many elsewhere."""
    random = np.random.default_rng(seed)
    x, y = [], []
    for number in range(pages):
        sheet, written = page(part, (seed, number), 16)
        nearby = np.full((PAGE, PAGE), NOTHING)
        for label, top, left in written:
            nearby[max(top - 1, 0) : top + 2, max(left - 1, 0) : left + 2] = label
        nearby = nearby[:-7, :-7]
        places = np.argwhere(nearby != NOTHING)[::3]
        others = random.permutation(np.argwhere(nearby == NOTHING))[: 3 * len(places)]
        for top, left in (*places, *others):
            x.append(sheet[:, top : top + 8, left : left + 8])
            y.append(nearby[top, left])
    return np.stack(x), np.array(y)


def window_reader(seed):
    mc.seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(512, NOTHING + 1)
    )


def hits(found, written):
    """Return how many of what is written was found: the right label, at most two pixels off."""
    return sum(
        any(one.label == label and abs(one.top - top) <= 2 and abs(one.left - left) <= 2 for one in found)
        for label, top, left in written
    )


def seconds(sweep, *arguments):
    times = []
    for _ in range(3):
        start = time.perf_counter()
        sweep(*arguments)
        times.append(time.perf_counter() - start)
    return min(times)


detectors = {seed: trained(window_reader(seed), *windows(digits.train, seed), epochs=3, lr=2e-3) for seed in SEEDS}
print(f"\npages of {PAGE} x {PAGE} pixels with {WRITTEN} digits, three pages a network")
recalls, precisions, per_class, quicker = [], [], [], []
for seed in SEEDS:
    right = said = twice = 0
    for number in range(3):
        sheet, written = page(held, (seed, number))
        fast = analyse.sweep_fully_convolutional(detectors[seed], sheet, 8)
        found = analyse.detections(fast, threshold=0.8, overlap=0.1, background=NOTHING, class_agnostic=True)
        right, said = right + hits(found, written), said + len(found)
        twice += len(analyse.detections(fast, threshold=0.8, overlap=0.1, background=NOTHING))
        if seed == show and number == 0:
            kept = sheet, written, found
    slow = analyse.sliding_window(detectors[seed], sheet, 8)
    np.testing.assert_allclose(fast.scores, slow.scores, atol=1e-3)
    times = [
        seconds(analyse.sliding_window, detectors[seed], sheet, 8),
        seconds(analyse.sweep_fully_convolutional, detectors[seed], sheet, 8),
    ]
    recalls.append(right / (3 * WRITTEN))
    precisions.append(right / max(said, 1))
    per_class.append(right / max(twice, 1))
    quicker.append(times[0] / times[1])
    print(f"  {slow.scores[0].size} windows one by one {times[0] * 1e3:.0f} ms, in one pass {times[1] * 1e3:.1f} ms")
recalls, precisions = row("share of the digits found", recalls), row("share of the findings that are right", precisions)
per_class = row("... if only windows of one class compete", per_class)
row("the same scores in one pass: times faster", quicker, ".1f")
# Multiplications of the three layers: places times weights, window by window and on the page as a whole.
weights, apart, at_once = (3 * 3 * 16, 9 * 16 * 32, 512 * 11), (6, 4, 1), (62, 60, 57)
one_by_one = 57**2 * sum(side**2 * count for side, count in zip(apart, weights, strict=True))
one_pass = sum(side**2 * count for side, count in zip(at_once, weights, strict=True))
print(f"  multiplications: {one_by_one / 1e6:.0f} million one by one, {one_pass / 1e6:.0f} million in one pass")
assert recalls.mean() > 0.7
assert precisions.mean() > 0.7
assert precisions.mean() > per_class.mean()
assert one_by_one > 7 * one_pass
assert max(quicker) > 2

# %%
figure = Figure(figsize=(12, 9.4), layout="constrained", dpi=120)
grid = figure.subplots(3, 4)
x, y, where = (array[:SHOWN] for array in found_in[show])
example = 3
top, left = np.argwhere(where[example])[0]
for line, who in ((0, "trained"), (1, "random")):
    pictures = {f"a {y[example]}, planted": x[example, 0]} | {
        f"{name}, {who}": drawn[name][line][example] for name in ("saliency", "Grad-CAM", "occlusion")
    }
    if who == "random":
        pictures = {"brightness: no network asked": brightness(None, x, y)[example]} | dict(list(pictures.items())[1:])
    for axes, (name, picture) in zip(grid[line], pictures.items(), strict=True):
        axes.imshow(picture, cmap="gray")
        axes.add_patch(Rectangle((left - 0.5, top - 0.5), BOX, BOX, fill=False, edgecolor="#E69F00", linewidth=1.5))
        axes.set_title(name, fontsize=10)
for axes, name in ((grid[2, 0], "pixels"), (grid[2, 1], "features")):
    for k in range(10):
        for a, b in planes[name][truth == k]:
            colour = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")[k % 5]
            axes.text(a, b, str(k), color=colour, fontsize=6, ha="center", va="center")
    axes.set_xlim(planes[name][:, 0].min() - 2, planes[name][:, 0].max() + 2)
    axes.set_ylim(planes[name][:, 1].min() - 2, planes[name][:, 1].max() + 2)
    axes.set_title(f"t-SNE of {name}", fontsize=10)
beside = np.concatenate([marked(held.x[threes])[0, 0], corner_occlusion(misled[show])[0] * 3], axis=1)
grid[2, 2].imshow(beside, cmap="gray")
grid[2, 2].set_title("a marked 3, and what the misled saw of it", fontsize=10)
sheet, written, found = kept
grid[2, 3].imshow(sheet[0], cmap="gray")
for one in found:
    box = Rectangle((one.left - 0.5, one.top - 0.5), 8, 8, fill=False, edgecolor="#E69F00", linewidth=1.2)
    grid[2, 3].add_patch(box)
    grid[2, 3].text(
        one.left - 1, one.top - 1.5 if one.top > 5 else one.top + 12, str(one.label), color="#E69F00", fontsize=9
    )
grid[2, 3].set_title(f"{hits(found, written)} of {WRITTEN} found, {len(found)} said", fontsize=10)
for axes in grid.flat:
    axes.set_xticks([])
    axes.set_yticks([])
figure.savefig("what_did_it_learn_maps.png")
print("\ndrew what_did_it_learn_maps.png")

# %% [markdown]
# What to see in the figure: the saliencies of the trained and of the random network are hard to tell apart, the
# occlusions are not; t-SNE gathers digits by features and scatters them by pixels; the misled network saw the corner.
#
# ## Remember
#
# 1. Test a map where you know the truth before you believe it where you do not.
# 2. Compare with random weights, and with something that knows no network at all.
# 3. A high score on data with the same flaw proves nothing. Look at what the decision rests on, or test on data from
#    elsewhere.
# 4. Features are worth what a count of neighbours says, not what a scatter plot suggests.
# 5. A dense layer is a convolution; sweep it and save the work that windows share.
#
# ## Try
#
# 1. Replace `MaxPool2d(8)` by `GlobalAvgPool2d()`, as Grad-CAM's authors would. What happens to its pointing game?
# 2. Make the block fainter, or let half of the threes carry it. When does the network stop relying on it?
# 3. `analyse.write_report(trainer, digits.validation, "report.html")`: look for a mistake that you would make as well.
