# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 35. What is where: Fast R-CNN in the small
#
# A classifier says what an image shows. A detector says what is where: a box, a class and a score for every object, and
# it has to find out how many there are. This lesson builds the one of Girshick, "Fast R-CNN" (2015): somebody proposes
# regions that might hold an object; one convolutional network looks at the whole image once; for each region, a piece
# of its feature map is pooled to a fixed size; and two heads say which class the region shows and how its box should
# be moved.
#
#     python lessons/35_detection_fast_rcnn.py

# %%
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy import ndimage

import minicnn as mc
from minicnn import nn, optim
from minicnn.data.synthetic import shape_scenes
from minicnn.metrics import box_iou, mean_average_precision, non_max_suppression

mc.set_num_threads(1)  # such small maps gain nothing from more
SEEDS = (0, 1, 2)
SIZE = 64

train = shape_scenes(360, size=SIZE, clutter=3, seed=1)
test = shape_scenes(150, size=SIZE, clutter=3, seed=2)
CLASSES = train.shape_names
BACKGROUND = len(CLASSES)  # the class of a region with nothing in it
truths = list(zip(test.boxes, test.classes, strict=True))
print(f"{len(train)} scenes to learn from, {len(test)} others to test on; shapes: {', '.join(CLASSES)}")
print(f"{sum(map(len, test.boxes))} shapes in the test scenes, and three bars in each that are none of them")

# %% [markdown]
# ## 1. Regions that might hold something
#
# The paper takes its regions from selective search. Ours come from colour: smooth the image, subtract the median, and
# take the connected components of what differs by more than a threshold, for three thresholds and in each channel. That
# finds bars too, and takes two shapes that touch for one. So each box is also shifted, widened and narrowed. A region
# need not be right: it must only be near enough for the network to see the object in it.

# %%
VARIANTS = np.array([(0, 0, 1), (-0.2, -0.15, 1), (0.2, 0.15, 1), (0, 0, 1.3), (0, 0, 0.75)])  # moved by, times size


def components(mask):
    places = ndimage.find_objects(ndimage.label(mask)[0])
    boxes = np.array([(x.start, y.start, x.stop, y.stop) for y, x in places], dtype=float).reshape(-1, 4)
    return boxes[(boxes[:, 2:] - boxes[:, :2] > 5).all(axis=1)]


def middles_and_sizes(boxes):
    return (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]


def boxes_from(middles, sizes):
    return np.clip(np.concatenate([middles - sizes / 2, middles + sizes / 2], axis=1), 0, SIZE)


def propose(image):
    smooth = ndimage.gaussian_filter(image, (0, 1, 1))
    colour = smooth - np.median(smooth, axis=(1, 2), keepdims=True)
    masks = [m > t for t in (0.1, 0.2, 0.3) for m in (abs(colour).max(axis=0), *colour, *-colour)]
    found = np.concatenate([components(mask) for mask in masks])
    middles, sizes = middles_and_sizes(found)
    kept = non_max_suppression(found, sizes.prod(axis=1), iou_threshold=0.8)  # one of those that are nearly the same
    middles, sizes = middles[kept], sizes[kept]
    return np.concatenate([boxes_from(middles + (dx, dy) * sizes, scale * sizes) for dx, dy, scale in VARIANTS])


def grid():
    """Square windows of three sizes, half their side apart."""
    windows = [
        (x, y, x + s, y + s)
        for s in (12, 16, 22)
        for y in range(0, SIZE - s + 1, s // 2)
        for x in range(0, SIZE - s + 1, s // 2)
    ]
    return np.array(windows, dtype=float)


def recall(regions, scenes, threshold):
    best = [box_iou(some, boxes).max(axis=0) for some, boxes in zip(regions, scenes.boxes, strict=True)]
    return (np.concatenate(best) >= threshold).mean()


proposals = [propose(image) for image in train.images]
REGIONS = {"grid of windows": [grid()] * len(test), "proposals": [propose(image) for image in test.images]}
segments = [some[: len(some) // len(VARIANTS)] for some in REGIONS["proposals"]]
print("\nshare of the shapes with a region that overlaps them by at least (intersection over union):")
print(f"{'':<34} {'0.5':>6} {'0.75':>6}   regions an image")
for name, regions in {"components": segments, **REGIONS}.items():
    shares = [recall(regions, test, threshold) for threshold in (0.5, 0.75)]
    print(f"  {name:<32} {shares[0]:6.2f} {shares[1]:6.2f}   {np.mean([len(some) for some in regions]):.0f}")
assert recall(REGIONS["proposals"], test, 0.5) > 0.9, "what is not proposed cannot be found"

# %% [markdown]
# No detector that only sorts regions can be better than this. The grid, which knows nothing of the image, has something
# near each shape, too, but hardly ever a good box.
#
# ## 2. One look at the image, many regions
#
# The convolutions run over the whole image. `nn.RoIMaxPool2d` cuts each region of the feature map into 7 x 7 bins and
# takes the maximum of each, so that regions of all sizes become inputs of one size. It is called with two arrays, the
# map and the regions, and its backward sends the gradient back to the places of the maxima: where regions overlap, it
# adds up. Behind the body there are two heads, so two gradients meet at h: **they add**.


# %%
class Detector(nn.Layer):
    def __init__(self):
        self.features = nn.Sequential(
            nn.Conv2d(3, 12, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(24, 32, 3, padding=1),
            nn.ReLU(),
        )
        self.pool = nn.RoIMaxPool2d(7, spatial_scale=1 / 2)
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(32 * 7 * 7, 96), nn.ReLU())
        self.classes = nn.Linear(96, len(CLASSES) + 1)
        self.boxes = nn.Linear(96, 4 * len(CLASSES))  # a box of its own for each class

    def heads(self, images, regions):
        """images (N, 3, H, W), regions: one list of boxes an image -> logits (R, K + 1), moves (R, K, 4)"""
        rois = np.concatenate([as_rois(i, boxes) for i, boxes in enumerate(regions)])
        h = self.body(self.pool(self.features(images - np.float32(0.45)), rois))
        return self.classes(h), self.boxes(h).reshape(-1, len(CLASSES), 4)

    def backward(self, dlogits, dmoves):
        dh = self.classes.backward(dlogits) + self.boxes.backward(dmoves.reshape(len(dmoves), -1))
        self.features.backward(self.pool.backward(self.body.backward(dh)))


def as_rois(i, boxes):
    """(image, first and last column and row): a box that ends at x = 20 has column 19 as its last."""
    return np.column_stack([np.full(len(boxes), i), boxes[:, :2], np.maximum(boxes[:, 2:] - 1, boxes[:, :2])])


def multiply_adds(layer, shape):
    return layer.summary(shape).multiply_adds


shared = multiply_adds(Detector().features, (3, SIZE, SIZE))
regions = np.mean([len(some) for some in REGIONS["proposals"]])
print(f"\nconvolutions of one image: {shared / 1e6:.1f} million multiply-adds")
print(
    f"if each of {regions:.0f} regions were resized to 32 x 32 and looked at by itself: "
    f"{regions * multiply_adds(Detector().features, (3, 32, 32)) / 1e6:.0f} million"
)

# %% [markdown]
# The last line is how its predecessor worked (R-CNN; Girshick et al., 2014), and why Fast R-CNN is called fast.
#
# ## 3. What to learn
#
# A region's class is that of the shape that it overlaps most, if by half or more; else it is background. A box head
# that gave pixels would have to know how large the region is. So it says how to move the region's box p to the true
# box g (Girshick et al., 2014, appendix C):
#
# $$t_x = \frac{g_x - p_x}{p_w} \quad t_y = \frac{g_y - p_y}{p_h} \quad t_w = \log \frac{g_w}{p_w} \quad
#   t_h = \log \frac{g_h}{p_h}$$
#
# with x, y the middles and w, h the sizes. These are small numbers, so they are divided by about their spread.

# %%
SPREAD = np.array([0.1, 0.1, 0.2, 0.2])


def encode(p, g):
    (p_xy, p_wh), (g_xy, g_wh) = middles_and_sizes(p), middles_and_sizes(g)
    return np.concatenate([(g_xy - p_xy) / p_wh, np.log(g_wh / p_wh)], axis=1) / SPREAD


def decode(p, t):
    (p_xy, p_wh), t = middles_and_sizes(p), t * SPREAD
    return boxes_from(p_xy + t[:, :2] * p_wh, p_wh * np.exp(t[:, 2:]))


def targets(regions, boxes, classes):
    """Regions, with the true boxes among them; what each should say; and how to move it."""
    p = np.concatenate([regions, boxes])
    iou = box_iou(p, boxes)
    nearest = iou.argmax(axis=1)
    labels = np.where(iou.max(axis=1) >= 0.5, classes[nearest], BACKGROUND)
    return p, labels, encode(p, boxes[nearest])


learned = [targets(*one) for one in zip(proposals, train.boxes, train.classes, strict=True)]
p, labels, moves = (np.concatenate(column) for column in zip(*learned, strict=True))
there = labels != BACKGROUND
print(f"\n{len(p)} regions to learn from, {there.mean():.0%} of them shapes")
print(f"moves of these: mean {moves[there].mean(axis=0).round(2)}, spread {moves[there].std(axis=0).round(2)}")
g = np.concatenate(
    [boxes[box_iou(p, boxes).argmax(axis=1)] for (p, _, _), boxes in zip(learned, train.boxes, strict=True)]
)
assert np.allclose(decode(p, moves), g, atol=1e-4), "one undoes the other"

# %% [markdown]
# Each step takes 32 regions of each of 8 images. Nearly all regions are background, and a network that only says
# "background" would nearly always be right; so a quarter of the 32 are shapes, as far as there are any (section 2.3 of
# the paper). The loss of a region with label u (equations 1 to 3) is
#
# $$L = -\log p_u + [u\ \text{is a shape}] \sum_{i \in x, y, w, h} \text{smooth}_{L1}(\hat t^u_i - t_i)$$
#
# where smooth L1 is `nn.HuberLoss` with delta 1: the box head is only asked about shapes, and only about the box of the
# right class. All other entries of its gradient stay zero.

# %%
IMAGES, REGIONS_EACH, EPOCHS, LR = 8, 32, 8, 5e-3
cross_entropy, huber = nn.CrossEntropyLoss(), nn.HuberLoss()


def loss_and_gradients(logits, moves, labels, t):
    """logits (R, K + 1), moves (R, K, 4), labels (R,), t (R, 4) -> the two losses, dlogits, dmoves"""
    loss_of_classes = cross_entropy(logits, labels)
    shapes = np.flatnonzero(labels != BACKGROUND)
    said = moves[shapes, labels[shapes]]
    share = moves.dtype.type(said.size / len(labels))  # HuberLoss takes a mean over what is said; we want a sum / R
    loss_of_boxes = share * huber(said, t[shapes].astype(said.dtype))
    dmoves = np.zeros_like(moves)
    dmoves[shapes, labels[shapes]] = share * huber.backward()
    return loss_of_classes, loss_of_boxes, cross_entropy.backward(), dmoves


def chosen(labels, rng):
    """A quarter shapes, the rest background, in random order."""
    shapes, others = (rng.permutation(np.flatnonzero(kind)) for kind in (labels != BACKGROUND, labels == BACKGROUND))
    shapes = shapes[: REGIONS_EACH // 4]
    return np.concatenate([shapes, others[: REGIONS_EACH - len(shapes)]])


def fit(seed):
    mc.seed(seed)
    rng = np.random.default_rng(seed)
    detector = Detector()
    optimizer = optim.Adam(detector.parameters(), lr=LR)
    schedule = optim.OneCycle(LR, total_steps=EPOCHS * (len(train) // IMAGES))
    losses = []
    for _ in range(EPOCHS):
        for images in rng.permutation(len(train)).reshape(-1, IMAGES):
            picked = [chosen(learned[i][1], rng) for i in images]
            regions, labels, t = (
                [learned[i][what][rows] for i, rows in zip(images, picked, strict=True)] for what in range(3)
            )
            optimizer.zero_grad()
            logits, moves = detector.heads(train.images[images], regions)
            *both, dlogits, dmoves = loss_and_gradients(logits, moves, np.concatenate(labels), np.concatenate(t))
            detector.backward(dlogits, dmoves)
            optimizer.lr = schedule.lr_at(len(losses))
            optimizer.step()
            losses.append(both)
    return detector, np.array(losses, dtype=float)


# %% [markdown]
# Gradients that were added by hand want to be checked: here by moving one weight of the first convolution, through
# which everything goes, a little in either direction.

# %%
mc.seed(0)
model = Detector().astype(np.float64)
pictures, some = train.images[:2].astype(np.float64), [learned[i][0][:20] for i in (0, 1)]
wanted, t = (np.concatenate([learned[i][what][:20] for i in (0, 1)]) for what in (1, 2))
*_, dlogits, dmoves = loss_and_gradients(*model.heads(pictures, some), wanted, t)
model.backward(dlogits, dmoves)
weight = model.features[0].weight
values = []
for step in (1e-6, -2e-6):
    weight.data[0, 0, 1, 1] += step
    values.append(sum(loss_and_gradients(*model.heads(pictures, some), wanted, t)[:2]))
print(f"\none weight's gradient: {weight.grad[0, 0, 1, 1]:.8f}, by differences {(values[0] - values[1]) / 2e-6:.8f}")
assert np.isclose(weight.grad[0, 0, 1, 1], (values[0] - values[1]) / 2e-6, rtol=1e-4, atol=1e-7)

# %%
print(f"\n{EPOCHS} epochs, with three seeds: cross-entropy and smooth L1, first and last epoch")
detectors = []
for seed in SEEDS:
    detector, losses = fit(seed)
    detectors.append(detector.eval())
    first, last = (part.mean(axis=0) for part in (losses[: len(losses) // EPOCHS], losses[-(len(losses) // EPOCHS) :]))
    print(f"  seed {seed}: {first[0]:.2f} -> {last[0]:.2f} and {first[1]:.2f} -> {last[1]:.2f}")
    assert (last < 0.8 * first).all()

# %% [markdown]
# ## 4. From scores to detections
#
# Of each region and class we have a score and a moved box, far too many. **Non-maximum suppression** keeps the surest
# of a class and drops those that overlap it too much, and goes on with the surest of the rest.
#
# How good is the outcome? The measure of the field is **mean average precision**: of each class, go through the
# detections from the surest to the least sure and draw precision against recall; take the area; take the mean over the
# classes (Everingham et al., "The PASCAL visual object classes challenge", 2010). A detection is right if it overlaps
# an object of its class by enough that was not found before.
#
# We compare regions of two kinds, each as it is and with its box moved by the box head.


# %%
def ask(detector, scenes, regions):
    """Class probabilities (R, K + 1) and moves (R, K, 4) of each scene's regions."""
    answers = []
    for i in range(0, len(scenes), IMAGES):
        logits, moves = detector.heads(scenes.images[i : i + IMAGES], regions[i : i + IMAGES])
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        ends = np.cumsum([len(some) for some in regions[i : i + IMAGES]])[:-1]
        answers += zip(np.split(p / p.sum(axis=1, keepdims=True), ends), np.split(moves, ends), strict=True)
    return answers


def detect(answer, regions, *, move, least=0.05):
    """boxes (D, 4), scores (D,), labels (D,)"""
    p, moves = answer
    region, label = np.nonzero(p[:, :BACKGROUND] > least)
    boxes = decode(regions[region], moves[region, label]) if move else regions[region]
    kept = non_max_suppression(boxes, p[region, label], iou_threshold=0.4, labels=label)
    return boxes[kept], p[region, label][kept], label[kept]


THRESHOLDS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.9)
KINDS = [(name, move) for name in REGIONS for move in (False, True)]
found = {}
for name, regions in REGIONS.items():
    for seed, detector in zip(SEEDS, detectors, strict=True):
        answers = ask(detector, test, regions)
        for move in (False, True):
            found[name, move, seed] = [detect(*one, move=move) for one in zip(answers, regions, strict=True)]


def precisions(detections):
    return [mean_average_precision(detections, truths, iou_threshold=threshold) for threshold in THRESHOLDS]


curves = {kind: np.array([precisions(found[*kind, seed]) for seed in SEEDS]) for kind in KINDS}
results = {kind: rows[:, [THRESHOLDS.index(0.5), THRESHOLDS.index(0.75)]] for kind, rows in curves.items()}
print("\nmean average precision on the test scenes, mean of three seeds (lowest - highest)")
print(f"{'':<34} {'overlap 0.5':<22} overlap 0.75")
for (name, move), scores in results.items():
    row = [f"{s.mean():.3f} ({s.min():.3f} - {s.max():.3f})" for s in scores.T]
    print(f"  {name + (', boxes moved' if move else ', as they are'):<32} {row[0]:<22} {row[1]}")
moved, as_they_are = results["proposals", True], results["proposals", False]
assert (moved[:, 0] > 0.6).all()
assert (moved[:, 1] > as_they_are[:, 1]).all(), "the box head matters where boxes have to be right"
assert moved[:, 1].mean() > as_they_are[:, 1].mean() + 0.08
assert (results["grid of windows", True][:, 1] > results["grid of windows", False][:, 1] + 0.1).all()
each = [mean_average_precision(found["proposals", True, seed], truths, average=None) for seed in SEEDS]
print(
    "average precision at 0.5 of each shape: "
    + ", ".join(f"{name} {np.mean([one[k] for one in each]):.2f}" for k, name in enumerate(CLASSES))
)

# %% [markdown]
# At an overlap of 0.5 nearly anything on an object counts. At 0.75 a box has to be right, and there the box head
# makes the difference: it even makes boxes of the windows of a grid, which know nothing of the image.
#
# ## 5. What is not found
#
# Which shapes are missed? Some lie behind others.

# %%
visible = np.concatenate(test.visible)


def is_found(detections, truth, least=0.5):
    """Of each shape: is there a detection of its class, at least so sure, that overlaps it by half?"""
    (boxes, scores, labels), (true_boxes, true_labels) = detections, truth
    right = (box_iou(boxes, true_boxes) >= 0.5) & (labels[:, None] == true_labels) & (scores[:, None] >= least)
    return right.any(axis=0)


hits = np.array(
    [
        np.concatenate([is_found(*one) for one in zip(found["proposals", True, seed], truths, strict=True)])
        for seed in SEEDS
    ]
)
print("\nshare of the shapes that are found with a score of at least 0.5, three seeds:")
for name, which in (("not covered", visible == 1), ("covered in part", visible < 1)):
    print(f"  {name:<16} {which.sum():>4} shapes: {', '.join(f'{row[which].mean():.2f}' for row in hits)}")
assert hits[:, visible == 1].mean() > hits[:, visible < 1].mean()

# %%
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
several = [i for i, boxes in enumerate(test.boxes) if len(boxes) > 1]
figure = Figure(figsize=(11, 5.2), layout="constrained", dpi=120)
rows = (("proposals", False), ("proposals", True))
for row, kind in zip(figure.subplots(2, 5), rows, strict=True):
    for axes, i in zip(row, several[:5], strict=True):
        axes.imshow(test.images[i].transpose(1, 2, 0), extent=(0, SIZE, SIZE, 0))
        for x1, y1, x2, y2 in test.boxes[i]:
            axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color="white", linestyle=":", linewidth=2))
        for (x1, y1, x2, y2), score, label in zip(*found[*kind, 0][i], strict=True):
            if score >= 0.5:
                axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color=COLOURS[label], linewidth=2))
                axes.text(
                    x1,
                    y1 - 1,
                    f"{CLASSES[label]} {score:.2f}",
                    color="white",
                    fontsize=7,
                    bbox={"color": COLOURS[label], "pad": 1},
                )
        axes.set_xticks([])
        axes.set_yticks([])
    row[0].set_ylabel("boxes moved" if kind[1] else "regions as they are", fontsize=11)
figure.suptitle("The box head moves boxes towards the truth (white, dotted); shown are scores of at least 0.5")
figure.savefig("detection_scenes.png")

figure = Figure(figsize=(7, 4.2), layout="constrained", dpi=120)
axes = figure.subplots()
for colour, ((name, move), rows) in zip(COLOURS, curves.items(), strict=False):
    axes.fill_between(THRESHOLDS, rows.min(axis=0), rows.max(axis=0), color=colour, alpha=0.25, linewidth=0)
    axes.plot(
        THRESHOLDS,
        rows.mean(axis=0),
        color=colour,
        linestyle="-" if move else "--",
        marker="o",
        markersize=4,
        label=f"{name}, {'boxes moved' if move else 'as they are'}",
    )
axes.set_xlabel("least overlap of a right box (intersection over union)")
axes.set_ylabel("mean average precision")
axes.set_ylim(0, 1)
axes.grid(alpha=0.3)
axes.legend(fontsize=9)
axes.set_title("The stricter one is about boxes, the more the box head matters. Band: three seeds", fontsize=10)
figure.savefig("detection_precision.png")
print("\ndrew detection_scenes.png and detection_precision.png")

# %% [markdown]
# What to see: in the upper row of the scenes the boxes are those that were proposed, and some are too wide, too narrow
# or off; in the lower row they fit better. In the other figure the dashed curves fall first. At 0.9 all are near the
# bottom: of a shape of 15 pixels, a box that is one pixel off on two sides has no more than that.
#
# ## Remember
#
# 1. A detector is a classifier of regions, and a regression of boxes. Without good regions neither helps.
# 2. Convolutions are computed once for the image; regions share them, and in the backward pass their gradients add up.
# 3. Background is a class. Choose what to train on, else it is all there is.
# 4. A box head learns moves relative to the region, and only for regions that hold the object.
# 5. Say at which overlap a precision was measured. At 0.5, boxes may be quite wrong.
#
# ## Try
#
# 1. Train with `share = 0`: no box head. Do the classes become better or worse?
# 2. Take the 0.5 in `targets` up to 0.7. What happens at the two overlaps, and why?
# 3. Learn with regions of the grid among the proposals. Is it now as good as they?
# 4. Set the `iou_threshold` of the suppression to 0.1 and to 0.9, and look at the scenes again.
