"""The sections of the report: each a title, a sentence on what to see, and something to look at."""

import base64
import html
import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from minicnn.analyse.curves import plot_history
from minicnn.analyse.embedding import embed_features
from minicnn.analyse.pictures import plot_filters
from minicnn.analyse.style import COLOURS
from minicnn.analyse.tracing import looking_at, placed_images, traced
from minicnn.backend import to_host
from minicnn.metrics import confusion_matrix
from minicnn.nn import Conv2d, Layer
from minicnn.train import Trainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_MISTAKES = 24
MANY = 15
"""A confusion matrix of more classes is set in small type."""
MOST_COUNTED = 4000
"""So many examples' probabilities at most go into the page, which is to stay small."""
MOST_POINTS = 400
"""t-SNE of more takes its time, and no eye sees more."""


@dataclass(frozen=True)
class Section:
    """A part of the page. `body` is HTML."""

    name: str
    title: str
    what: str
    body: str

    def __str__(self) -> str:
        return (
            f'<section id="{self.name}" aria-labelledby="{self.name}-title">\n'
            f'<h2 id="{self.name}-title">{html.escape(self.title)}</h2>\n'
            f'<p class="what">{html.escape(self.what)}</p>\n{self.body}\n</section>'
        )


@dataclass(frozen=True)
class Findings:
    """What the page is about: a training, and its predictions for some examples.

    x : (N, ...)   y : (N,)   probabilities : (N, K)   classes : K names
    """

    trainer: Trainer
    x: np.ndarray
    y: np.ndarray
    probabilities: np.ndarray
    classes: Sequence[str]

    @cached_property
    def read_as(self) -> np.ndarray:
        """What each example was taken for, (N,)."""
        return self.probabilities.argmax(axis=1)

    @property
    def are_images(self) -> bool:
        """Whether the examples can be shown."""
        return self.x.ndim == 4


def card(found: Findings) -> Section:
    """The table of what was trained."""
    rows = "\n".join(
        f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(value)}</td></tr>'
        for name, value in found.trainer.card().items()
    )
    what = "What one asks of any training before one believes its numbers."
    return Section("card", "Training", what, f'<div class="wide"><table class="card">{rows}</table></div>')


def curves(found: Findings) -> Section | None:
    """The learning curves, if there was a training."""
    if not found.trainer.history.rows:
        return None
    what = (
        "Where training goes on improving and validation does not, the network learns its training set by heart. "
        "The star is the best epoch."
    )
    return Section("curves", "Learning curves", what, _svg(plot_history(found.trainer.history), "Learning curves"))


def confusion(found: Findings) -> Section:
    """The confusion matrix as a table."""
    labels = np.arange(len(found.classes))
    counts = confusion_matrix(found.y, found.read_as, labels=labels)
    shares = confusion_matrix(found.y, found.read_as, labels=labels, normalize="true")
    names, signs = [html.escape(name) for name in found.classes], _signs(found)
    head = "".join(f'<th scope="col" title="{name}">{sign}</th>' for name, sign in zip(names, signs, strict=True))
    rows = []
    for i, (name, sign) in enumerate(zip(names, signs, strict=True)):
        cells = "".join(
            f'<td style="--share:{shares[i, j]:.3f}"'
            f' class="{"dark" if shares[i, j] > 0.5 else "none" if counts[i, j] == 0 else "light"}">{counts[i, j]}</td>'
            for j in labels
        )
        recall = f"{shares[i, i]:.1%}" if counts[i].sum() else "none there"
        row = name if name == sign else f"{name} &nbsp;{sign}"
        rows.append(f'<tr><th scope="row">{row}</th>{cells}<th>{recall}</th></tr>')
    size = (" many" if len(names) > MANY else "") + ("" if names == signs else " named")
    table = (
        f'<table class="confusion{size}"><thead><tr><th scope="col">true \\ read as</th>{head}'
        f'<th scope="col">recall</th></tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )
    what = "Rows are true classes, columns what they were taken for; the more colour, the larger the share."
    return Section("confusion", "Confusion matrix", what, f'<div class="wide">{table}</div>')


def operating_point(found: Findings) -> Section:
    """The two curves of one class against the others, with the threshold to be moved."""
    k = len(found.classes)
    mistakes = np.bincount(found.y[found.read_as != found.y], minlength=k)
    chosen = 1 if k == 2 else int(np.argmax(mistakes + (np.bincount(found.y, minlength=k) > 0)))  # one that is there
    options = "".join(
        f'<option value="{k}"{" selected" if k == chosen else ""}>{html.escape(name)}</option>'
        for k, name in enumerate(found.classes)
    )
    counts = "".join(
        f'<tr><th scope="row">{name}</th><td id="{short}"></td></tr>'
        for short, name in (
            ("tp", "found (TP)"),
            ("fn", "missed (FN)"),
            ("fp", "false alarms (FP)"),
            ("tn", "rightly left alone (TN)"),
            ("sensitivity", "sensitivity, recall"),
            ("specificity", "specificity"),
            ("precision", "precision"),
            ("f1", "F1"),
        )
    )
    size = 'class="plot" viewBox="0 0 300 300" role="img"'
    body = (
        '<div class="controls">'
        f'<label>class <select id="class">{options}</select></label>'
        '<label>called this class from a probability of <output id="threshold-value"></output><br>'
        '<input id="threshold" type="range" min="0" max="1" step="0.001" value="0.5"></label></div>'
        '<div class="operating">'
        f'<svg id="roc" {size} aria-label="ROC curve"></svg>'
        f'<svg id="precision-recall" {size} aria-label="Precision-recall curve"></svg>'
        f'<table class="counts" aria-live="polite"><tbody>{counts}</tbody></table></div>'
        "<noscript><p>The curves need JavaScript.</p></noscript>"
    )
    what = (
        "One class against all others. Moving the threshold trades missed ones for false alarms: the orange point "
        "moves along both curves."
    )
    if len(found.y) > MOST_COUNTED:
        what += f" Counts are of {MOST_COUNTED:,} of the {len(found.y):,} examples, evenly spread."
    return Section("operating", "Choosing a threshold", what, body)


def mistakes(found: Findings) -> Section | None:
    """The mistakes that were made most surely."""
    if not found.are_images:
        return None
    wrong = np.flatnonzero(found.read_as != found.y)
    surest = wrong[np.argsort(-found.probabilities[wrong].max(axis=1), kind="stable")][:MOST_MISTAKES]
    what = (
        f"{len(wrong):,} of {len(found.y):,} were misclassified; first those said most surely. Would you have known?"
        if len(wrong)
        else "There are none among these examples."
    )
    return Section(
        "mistakes", "Mistakes", what, f'<ul class="gallery">{"".join(_mistake(found, i) for i in surest)}</ul>'
    )


def _mistake(found: Findings, i: int) -> str:
    said, truth = found.classes[found.read_as[i]], found.classes[found.y[i]]
    text = f"read as {said} ({found.probabilities[i].max():.0%}), is {truth}"
    image = f'<img src="{thumbnail(found.x[i])}" alt="example {i}">'
    return f"<li>{image}<br>{html.escape(text)}</li>"


def filters(found: Findings) -> Section | None:
    """The kernels of the first convolution."""
    if not any(isinstance(layer, Conv2d) for _, layer in found.trainer.model.named_layers()):
        return None
    what = "What the first convolution looks for: edges and spots in a network that has learned, else noise."
    return Section("filters", "First filters", what, _svg(plot_filters(found.trainer.model), "Filters"))


def embedding(found: Findings) -> tuple[Section | None, list[str]]:
    """The features in the plane, and the thumbnails of the points."""
    if not found.are_images or len(found.y) < 4:
        return None, []
    part = some_of(len(found.y), MOST_POINTS)
    points = embed_features(_features(found.trainer.model, found.x[part]))
    span = np.ptp(points, axis=0)
    span[span == 0] = 1.0
    places = 12 + (points - points.min(axis=0)) / span * np.array([676, 426])
    signs = _signs(found)
    circles = []
    for number, (i, (x, y)) in enumerate(zip(part, places, strict=True)):
        label, said = found.classes[found.y[i]], found.classes[found.read_as[i]]
        text = html.escape(label if label == said else f"{label}, read as {said}", quote=True)
        colour = COLOURS[found.y[i] % len(COLOURS)]
        circles.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7" fill="{colour}" data-image="{number}" tabindex="-1" role="img" '
            f'aria-label="{text}"/><text x="{x:.1f}" y="{y + 3:.1f}" class="{_ink(colour)}">{signs[found.y[i]]}</text>'
        )
    key = "".join(
        f'<li><span class="{_ink(colour)}" style="background:{colour}">{signs[k]}</span>{html.escape(name)}</li>'
        for k, (name, colour) in enumerate(zip(found.classes, itertools.cycle(COLOURS), strict=False))
    )
    body = (
        f'<div class="wide"><svg id="embedding" class="plot embedding" viewBox="0 0 700 450" role="group" '
        f'aria-label="Features">{"".join(circles)}</svg></div><ul class="key">{key}</ul>'
    )
    what = (
        "Each point is an example, as the layer before the last sees it, laid into the plane by t-SNE: neighbours are "
        "alike, distances between groups mean nothing. Point at one to see it, or go through them with the arrow keys."
    )
    return Section("features", "Features", what, body), [thumbnail(found.x[i]) for i in part]


def test_set(found: Findings) -> Section:
    """How often the sealed test set was opened, and why."""
    reasons = found.trainer.test_set_openings
    times = f"{len(reasons)} time{'' if len(reasons) == 1 else 's'}"
    what = f"The test set was opened {times}." + (
        " More than once: its result is no longer that of data which nobody has looked at." if len(reasons) > 1 else ""
    )
    body = f"<ol>{''.join(f'<li>{html.escape(reason)}</li>' for reason in reasons)}</ol>" if reasons else ""
    return Section("test-set", "Test set", what, body)


def some_of(count: int, most: int) -> np.ndarray:
    """Return the indices of `most` of `count` examples, evenly spread, or of all."""
    return np.linspace(0, count - 1, min(most, count)).astype(int)


def thumbnail(image: np.ndarray) -> str:
    """Return an image (C, H, W) as the address of a PNG that is the address's own content."""
    from PIL import Image

    if len(image) != 3:
        image = image.mean(axis=0, keepdims=True)
    low, high = float(image.min()), float(image.max())
    pixels = ((image - low) / (high - low or 1.0) * 255).round().astype(np.uint8)
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    picture.thumbnail((64, 64))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _signs(found: Findings) -> list[str]:
    """Return what stands for each class where there is little room: its name if all are short, else its number."""
    short = all(len(name) < 3 for name in found.classes)
    return [html.escape(name) if short else str(k) for k, name in enumerate(found.classes)]


def _ink(colour: str) -> str:
    """Return the class of what is to be read on a colour: "on-dark" or "on-light"."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "on-light" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "on-dark"


def _features(model: Layer, x: np.ndarray) -> np.ndarray:
    """Return what the layer before the last gives out, (N, D)."""
    leaves = [layer for _, layer in model.named_layers() if not layer.children()]
    with looking_at(model), traced(leaves[-2] if len(leaves) > 1 else leaves[-1]) as trace:
        model(placed_images(model, x))
    return to_host(trace.output).reshape(len(x), -1)


def _svg(figure: "Figure", name: str) -> str:
    """Return a figure as a drawing in the page, on white paper."""
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": name}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    drawing = file.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    return f'<div class="figure" role="img" aria-label="{html.escape(name)}">{drawing}</div>'
