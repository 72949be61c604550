# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 32. Annotating tomograms
#
# An electron cryo-tomogram is a picture of the inside of a frozen cell, a few hundred nanometres thick, in three
# dimensions. Before anyone can measure a membrane in it, somebody has to say which pixels *are* membrane, and that
# takes an expert a week per tomogram. Chen et al. ("Convolutional neural networks for automated annotation of cellular
# cryo-electron tomograms", Nature Methods 2017) let a small convolutional network learn it from a few slices that were
# painted by hand. We do the same with slices whose truth we know, and ask what a network has to **see** to do it.
#
#     python lessons/32_annotating_tomograms.py

# %%
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

import minicnn as mc
from minicnn import data, metrics, models, nn, optim
from minicnn.data.augment import Compose, HorizontalFlip, VerticalFlip
from minicnn.data.synthetic import tomogram_slices

SIZE = 64
CLASSES = ("background", "membrane", "filament", "ribosome")
COLOURS = ("#0072B2", "#D55E00", "#009E73")

# %% [markdown]
# ## 1. What the microscope leaves of a cell
#
# `tomogram_slices` draws membranes (two leaflets 4 nm apart), microtubules (tubes of 25 nm), threads of actin (7 nm)
# and ribosomes (25 nm) among small proteins, and then takes away what a microscope takes away:
#
# - The **contrast transfer function**: a cell is nearly transparent, so one photographs it out of focus. Edges and
#   thin lines come out, what is large and even does not.
# - The **missing wedge**: the specimen cannot be tilted beyond some 60 degrees. In our slices, with the direction of
#   the electrons (z) pointing down, all detail that runs across the electrons is lost.
# - **Noise**: electrons destroy what they show, so there are few of them.
#
# Each is an argument, so we can look at them one by one.

# %%
SEEN = {
    "what is there": {"defocus_um": None, "tilt": 90.0, "snr": None},
    "through the microscope": {"tilt": 90.0, "snr": None},
    "tilted by 60 degrees at most": {"snr": None},
    "with noise, SNR 1": {"snr": 1.0},
}
steps = {name: tomogram_slices(3, size=96, seed=4, **settings) for name, settings in SEEN.items()}
truth = steps["what is there"].y


def normal_to_z(slices):
    """For every pixel of a membrane or a filament the angle between z and what it is normal to, in degrees; else nan.

    The normal is where the distance from the shape grows fastest.
    """
    z, x = np.indices(slices.y.shape[1:]) * slices.pixel_nm
    angles = np.full(slices.y.shape, np.nan)
    for angle, y, shapes in zip(angles, slices.y, slices.shapes, strict=True):
        nearest = np.full(y.shape, np.inf)
        for shape in shapes:
            if shape.label == CLASSES.index("ribosome"):
                continue
            d = np.abs(shape.distance(z, x))
            closer = (d < nearest) & (y == shape.label) & (d <= shape.half_width)
            nearest[closer] = d[closer]
            along_z = shape.distance(z + 0.1, x) - shape.distance(z - 0.1, x)
            along_x = shape.distance(z, x + 0.1) - shape.distance(z, x - 0.1)
            angle[closer] = np.rad2deg(np.arctan2(np.abs(along_x), np.abs(along_z)))[closer]
    return angles


many = {name: tomogram_slices(16, size=96, seed=5, **SEEN[name]) for name in list(SEEN)[1:3]}
membrane = many["tilted by 60 degrees at most"].y == 1
angle = normal_to_z(many["tilted by 60 degrees at most"])
kept = {}
print("contrast of membranes (spread of the pixels), by what they face:")
for name, low, high in (("the electrons (top and bottom)", 0, 20), ("the side", 60, 90)):
    pixels = membrane & (angle >= low) & (angle < high)
    whole, cut = (slices.x[:, 0][pixels].std() for slices in many.values())
    kept[name] = cut / whole
    print(f"  {name:<32} all tilts {whole:.3f}   60 degrees {cut:.3f}   kept {cut / whole:.0%}")
top, side = kept.values()
assert top < 0.7 < 0.85 < side, "membranes across the beam are lost"

# %%
figure = Figure(figsize=(15, 3.7), layout="constrained", dpi=120)
axes = figure.subplots(1, 5)
for ax, (name, slices) in zip(axes, steps.items(), strict=False):
    picture = slices.x[2, 0]
    low, high = np.quantile(picture, [0.005, 0.995])
    ax.imshow(picture, cmap="gray", vmin=low, vmax=high)
    ax.set_title(name, fontsize=11)
overlay = ListedColormap(["white", *COLOURS])
axes[-1].imshow(truth[2], cmap=overlay, vmin=0, vmax=3, interpolation="nearest")
axes[-1].set_title("the truth to be found", fontsize=11)
for ax in axes:
    ax.set_xticks([0, 24.5, 49.5, 74.5], ["0", "50", "100", "150"])
    ax.set_yticks([0, 24.5, 49.5, 74.5], ["0", "50", "100", "150"])
    ax.set_xlabel("x (nm)")
axes[0].set_ylabel("z, along the electrons (nm)")
patches = [Patch(color=colour, label=name) for colour, name in zip(COLOURS, CLASSES[1:], strict=True)]
figure.legend(handles=patches, loc="outside right center", fontsize=10)
figure.suptitle("What a microscope leaves of a cell: tops and bottoms of vesicles fade, then noise covers the rest")
figure.savefig("tomograms_physics.png")
print("drew tomograms_physics.png")

# %% [markdown]
# What to see in the figure: microscope and noise are bad, but the wedge is worse, as it takes *whole parts* of things.
# A vesicle without its top is no closed line any more, and a thread that lies flat is gone. An expert fills in what
# must be there; that needs a look at the surroundings.
#
# ## 2. Few slices
#
# Training: 48 slices of 64 x 64 pixels of 2 nm, a third each at a signal-to-noise ratio of 0.3, 1 and 3, as tomograms
# of thick and thin specimens differ. For testing, 24 others at each. Every slice is brought to mean 0 and standard
# deviation 1, as one does with tomograms, whose grey levels have no unit.

# %%
LEVELS = (0.3, 1.0, 3.0)
normalised = data.ImageNormaliser()
training = {snr: tomogram_slices(16, size=SIZE, snr=snr, seed=seed) for seed, snr in enumerate(LEVELS, start=1)}
testing = {snr: tomogram_slices(24, size=SIZE, snr=snr, seed=10) for snr in LEVELS}  # the same shapes, three noises
x = normalised(np.concatenate([slices.x for slices in training.values()]))
y = np.concatenate([slices.y for slices in training.values()])
shares = np.bincount(y.ravel(), minlength=4) / y.size
print(
    f"\n{len(x)} slices to learn from; of their pixels",
    *(f"{c} {s:.1%}," for c, s in zip(CLASSES, shares, strict=True)),
)
print(f"'background' everywhere: accuracy {shares[0]:.2f}, mean Jaccard {shares[0] / 4:.2f}")
assert 0.5 < shares[0] < 0.8
assert shares[1:].min() > 0.02

# %% [markdown]
# "Background everywhere" has a fine accuracy and no use. So we measure the **Jaccard index** of each class, the overlap
# over the union, and their mean (lesson 16).
#
# Slices may be mirrored for augmentation, left to right and top to bottom: the wedge stays where it is. They must not
# be turned by 90 degrees: the wedge would turn with them, and no microscope has it there.
#
# ## 3. Two networks with as many parameters
#
# - **plain CNN**: four convolutions of 3 x 3, one after the other, at full resolution. (Chen et al. had four layers
#   too, and one network a class.)
# - **U-Net** (Ronneberger et al. 2015): it halves the image twice on the way down, and on the way up joins what it has
#   found with what it saw before at the same resolution.
#
# Both have about 30,000 parameters. They differ in how far a pixel's answer looks around. We measure it: change one
# pixel, and see whether the answer in the middle changes.


# %%
def plain(channels, kernel=3):
    layers, before = [], 1
    for _ in range(3):
        layers += [nn.Conv2d(before, channels, kernel, padding="same"), nn.BatchNorm2d(channels), nn.ReLU()]
        before = channels
    return nn.Sequential(*layers, nn.Conv2d(channels, len(CLASSES), kernel, padding="same"))


NETWORKS = {
    "plain CNN": lambda: plain(40),
    "U-Net": lambda: models.create("unet", (1, SIZE, SIZE), classes=4, depth=2, width=8, batch_norm=True),
}


def view(model):
    """How many pixels in a row the middle pixel's answer depends on."""
    with nn.evaluating(model):
        images = np.tile(np.random.default_rng(0).normal(size=(1, 1, SIZE, SIZE)), (SIZE + 1, 1, 1, 1))
        images[np.arange(SIZE), 0, SIZE // 2, np.arange(SIZE)] += 100  # one pixel in each, none in the last
        answers = model(images.astype(np.float32))[:, :, SIZE // 2, SIZE // 2]
    return int((np.abs(answers[:-1] - answers[-1]) > 1e-3).any(axis=1).sum())  # less is rounding


print(f"\n{'':<14}{'parameters':>12}{'multiply-adds a slice':>24}{'sees':>20}")
sizes, costs, views = {}, {}, {}
for name, make in NETWORKS.items():
    mc.seed(0)
    model = make()
    summary = model.summary((1, SIZE, SIZE))
    sizes[name], costs[name], views[name] = summary.parameters, summary.multiply_adds, view(model)
    seen = f"{views[name]} px = {2 * views[name]} nm"
    print(f"{name:<14}{sizes[name]:>12,}{costs[name] / 1e6:>21.0f} M{seen:>21}")
assert sizes["U-Net"] < sizes["plain CNN"], "the U-Net is given no more parameters"
assert costs["U-Net"] < 0.5 * costs["plain CNN"]
assert views["plain CNN"] == 1 + 4 * 2
assert views["U-Net"] > 30

# %% [markdown]
# A microtubule is 25 nm wide. The plain network's window of 18 nm holds *one* of its walls, and one wall looks like a
# membrane or a thread of actin.
#
# ## 4. Training
#
# The loss is cross-entropy at every pixel. Three seeds change the weights that training starts from and the order of
# the slices.

# %%
SEEDS, EPOCHS, BATCH = (0, 1, 2), 24, 4


def train(make, seed):
    mc.seed(seed)
    model = make()
    schedule = optim.Cosine(T_max=EPOCHS * len(x) // BATCH, per="batch")
    trainer = mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=0.01), schedule=schedule)
    mirrored = Compose(HorizontalFlip(), VerticalFlip())
    trainer.fit((x, y), epochs=EPOCHS, batch_size=BATCH, augment=mirrored, verbose=False)
    return trainer


def jaccard(y_true, y_pred):
    return metrics.jaccard_score(y_true.ravel(), y_pred.ravel(), average=None)


unets = []
found = {name: [] for name in NETWORKS}  # for each seed the classes (3 levels of noise, 24 slices, H, W)
for name, make in NETWORKS.items():
    for seed in SEEDS:
        trainer = train(make, seed)
        found[name].append(np.stack([trainer.predict_classes(normalised(test.x)) for test in testing.values()]))
        unets += [trainer] * (name == "U-Net")
truth = np.stack([test.y for test in testing.values()])
scores = {name: np.array([jaccard(truth, answer) for answer in answers]) for name, answers in found.items()}

print(f"\nJaccard index on the test slices, mean of {len(SEEDS)} seeds (lowest - highest)")
print(f"{'':<14}" + "".join(f"{column:>20}" for column in (*CLASSES, "mean")))
for name, table in scores.items():
    columns = [*table.T, table.mean(axis=1)]
    print(f"{name:<14}" + "".join(f"{f'{c.mean():.2f} ({c.min():.2f} - {c.max():.2f})':>20}" for c in columns))
means = {name: table.mean(axis=1) for name, table in scores.items()}
gain = scores["U-Net"].mean(axis=0) - scores["plain CNN"].mean(axis=0)
print("U-Net less plain CNN:", *(f"{c} {g:+.2f}," for c, g in zip(CLASSES, gain, strict=True)))
assert means["U-Net"].min() > means["plain CNN"].max() + 0.02, "U-Net beats the small plain network with every seed"
assert gain.argmax() == CLASSES.index("filament"), "most where context is needed"
assert gain[2] > 0.1 > gain[1] + 0.05

# %% [markdown]
# Ribosomes are found by both: a window of 18 nm is nearly as large as they are. Membranes gain nothing, as their two
# leaflets fit into the smallest window; that they even lose a little may be because the U-Net has only 8 channels at
# full resolution, where the plain CNN has 40 (see "Try"). The gain lies with the filaments, whose two walls only the
# U-Net sees at once, and it comes for a fifth of the multiplications: most of them are done on images of half and a
# quarter of the size.
#
# ## 5. Where the wedge has taken it
#
# We know what every pixel of a membrane or a filament faces. The **recall** (the share of its pixels that were found)
# where it faces the electrons, and so lies in the missing wedge, and where it does not:

# %%
facing = np.concatenate([normal_to_z(test) for test in testing.values()]).reshape(truth.shape)
lost, shown = facing < 30, facing >= 30
print(f"\nrecall, mean of the seeds{'membrane':>28}{'filament':>22}")
print(f"{'':<20}" + f"{'in the wedge':>16}{'not':>6}" * 2)
recall = {}
for name, answers in found.items():
    recall[name] = [
        np.mean([(answer == k)[part & (truth == k)].mean() for answer in answers])
        for k in (1, 2)
        for part in (lost, shown)
    ]
    print(f"{name:<20}" + "".join(f"{a:16.2f}{b:6.2f}" for a, b in np.reshape(recall[name], (2, 2))))
    assert recall[name][0] < recall[name][1] - 0.2, "what the wedge takes of a membrane, nobody finds"
assert recall["U-Net"][2] > recall["plain CNN"][2] + 0.15

# %% [markdown]
# Membranes in the wedge are found by nobody. A network of any kind reports what is in the data, or what the data around
# it make likely, and a few dozen vesicles do not teach how one closes. So the area of a vesicle must not be measured
# from such an annotation without a model of its shape.
#
# Filaments are another matter: of those that lie in the wedge, and whose walls nobody can see, the U-Net finds most.
# How? Perhaps by what is *not* there: small proteins are everywhere, but not inside a microtubule. An even band of
# 25 nm is seen by who looks far enough. That can be put to the test: the same slices without small proteins are even
# everywhere.

# %%
bare = tomogram_slices(24, size=SIZE, snr=1.0, seed=10, crowding=0.0)
background = bare.y == 0
print("\nbackground that the U-Net takes for a filament, with small proteins and without:")
for seed, trainer in zip(SEEDS, unets, strict=True):
    crowded, empty = (
        (trainer.predict_classes(normalised(slices.x)) == 2)[background].mean() for slices in (testing[1.0], bare)
    )
    print(f"  seed {seed}: {crowded:.1%} and {empty:.1%}")
    assert empty > 2 * crowded

# %% [markdown]
# It was so: what is even is a tube to this network. A cue as good as any in these slices, and a wrong one in a cell
# with emptier places. (Lesson 15 has other ways to find such cues.)
#
# ## 6. What noise does
#
# The same networks, the same slices, under three noises:

# %%
print("\nmean Jaccard index" + "".join(f"{f'SNR {snr:g}':>20}" for snr in LEVELS))
by_noise = {}
for name, answers in found.items():
    by_noise[name] = np.array([[jaccard(truth[i], a[i]).mean() for a in answers] for i in range(len(LEVELS))])
    print(f"{name:<18}" + "".join(f"{f'{v.mean():.2f} ({v.min():.2f} - {v.max():.2f})':>20}" for v in by_noise[name]))
    assert (np.diff(by_noise[name].mean(axis=1)) > 0.02).all(), "less noise, better answers"
gains = by_noise["U-Net"].mean(axis=1) - by_noise["plain CNN"].mean(axis=1)
print("U-Net less plain CNN" + "".join(f"{gain:+20.2f}" for gain in gains))
assert gains[0] > max(gains[-1], 0.03), "the more noise, the more it helps to see far"

# %% [markdown]
# The more noise there is, the more pixels one has to look at before one can say what is there.
#
# ## 7. Look at it

# %%
figure = Figure(figsize=(10.6, 8.6), layout="constrained", dpi=120)
columns = ("slice", "truth", *NETWORKS)
axes = figure.subplots(len(LEVELS), len(columns))
CHOSEN = 8
for i, (row, (snr, test)) in enumerate(zip(axes, testing.items(), strict=True)):
    masks = {"truth": truth[i, CHOSEN], **{name: answers[0][i, CHOSEN] for name, answers in found.items()}}
    picture = test.x[CHOSEN, 0]
    row[0].imshow(picture, cmap="gray", vmin=np.quantile(picture, 0.005), vmax=np.quantile(picture, 0.995))
    row[0].plot([3, 3 + 50 / test.pixel_nm], [60, 60], color="white", linewidth=3)
    row[0].set_ylabel(f"SNR {snr:g}", fontsize=12)
    for ax, (name, mask) in zip(row[1:], masks.items(), strict=True):
        ax.imshow(mask, cmap=overlay, vmin=0, vmax=3, interpolation="nearest")
        if name != "truth":
            each = metrics.jaccard_score(masks["truth"].ravel(), mask.ravel(), labels=[1, 2, 3], average=None)
            worded = ", ".join(f"{kind[:3]}. {score:.2f}" for kind, score in zip(CLASSES[1:], each, strict=True))
            ax.set_xlabel(f"Jaccard {worded}", fontsize=9)
for ax, name in zip(axes[0], columns, strict=True):
    ax.set_title(name, fontsize=12)
for ax in axes.flat:
    ax.set_xticks([])
    ax.set_yticks([])
figure.legend(handles=patches, loc="outside lower center", ncols=3, fontsize=11)
figure.suptitle(
    "One slice under three noises; white bar: 50 nm. The U-Net fills tubes that a small window leaves hollow"
)
figure.savefig("annotating_tomograms.png")
print("\ndrew annotating_tomograms.png")

# %% [markdown]
# What to see in the figure (below each answer the Jaccard index of its classes): the plain network finds the walls of
# the tube and leaves it hollow, or fills it here and there. Membranes end where they turn across the electrons, for
# both, though the truth is closed. And with the most noise it is the thin things that go first.
#
# ## Remember
#
# 1. Ask how far a network sees, in nanometres, and how large the thing is that it has to tell from others.
# 2. Going down and up again sees far at little cost; the joins keep the boundaries where they are.
# 3. Where the microscope shows nothing, an annotation is a guess, however smooth it looks. Report where those places
#    are.
# 4. Accuracy of pixels says little where most are background: Jaccard for each class, over seeds.
# 5. These slices are drawn, and their classes are cleaner than a cell's. A network trained on them would have to be
#    trained again, on a few real slices painted by hand.
#
# ## Try
#
# 1. Thin classes lose under cross-entropy: give it `weight=shares**-0.5`, or add `nn.DiceLoss` (its targets are masks,
#    one a class) to it. What becomes of the membranes, and at what cost?
# 2. `width=16`, or `depth=3`: is it channels that the U-Net lacks, or sight?
# 3. Train with `tilt=90.0`. How much of the error was the wedge's?
# 4. `plain(17, 7)` has large kernels, as many parameters, and sees 50 nm. Where does it come, and at what cost?
# 5. Train at an SNR of 3 alone and test at 0.3. Then the other way round.
