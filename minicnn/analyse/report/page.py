"""Put the report together: one HTML file with everything in it, numbers, pictures, style and script."""

import html
import json
from collections.abc import Sequence
from importlib import metadata, resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from minicnn.analyse.report import sections
from minicnn.analyse.report.sections import Section
from minicnn.data import ArrayDataset, find_overlap
from minicnn.data.dataset import as_dataset
from minicnn.errors import ArgumentError, DataError, OutputError
from minicnn.train import Trainer
from minicnn.train.files import replace_file
from minicnn.train.predicting import dtype_of_model

DIGITS = 6
"""To so many decimals; counts and curves on the page are those of the rounded numbers."""


def write_report(
    trainer: Trainer,
    dataset: Any,
    path: str | Path,
    *,
    title: str = "Report on a training",
    classes: Sequence[str] | None = None,
) -> Path:
    """Write a page about a training and what came of it, and return its path.

    It holds the training's card, learning curves, confusion matrix, ROC and precision-recall curves with a threshold to
    be moved, the worst mistakes, the first filters, the features in the plane, and how often the test set was opened.
    It is one file that needs no network; browsers of the last years open it from disk.

    Parameters
    ----------
    trainer : Trainer
        What was trained, with its history. The model gives scores of K classes.
    dataset : ArrayDataset or (x, y)
        What its predictions are looked at for, labels (N,): the validation set. A sealed test set is refused: look at
        its mistakes and it is one no longer.
    path : path
        The file, such as "report.html".
    title : str
        The page's title.
    classes : sequence of K str, optional
        What the labels are called; by default what the data set says, or their numbers.

    Raises
    ------
    DataError
        If the data set is sealed or its targets are no labels of the model's classes.
    ArgumentError
        If there is not one name for each class.
    OutputError
        If the file cannot be written.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"{path} is a folder; give the file's name too: {path / 'report.html'}")
    dataset = as_dataset(dataset, dtype=dtype_of_model(trainer.model))
    if dataset.y.ndim != 1 or dataset.y.dtype.kind not in "iu":
        raise DataError(
            f"the report is about classifiers: y must be labels (N,), not {dataset.y.dtype} {dataset.y.shape}"
        )
    probabilities = trainer.predict_proba(dataset.x)
    k = probabilities.shape[1]
    given = classes if classes is not None else dataset.classes
    names = [str(name) for name in (given if given is not None else range(k))]
    if len(names) != k:
        raise ArgumentError(f"there are {len(names)} names of classes and {k} scores; one each is needed")
    if dataset.y.min() < 0 or dataset.y.max() >= k:
        raise DataError(f"y holds labels from {dataset.y.min()} to {dataset.y.max()}, the model knows 0 to {k - 1}")
    found = sections.Findings(trainer, dataset.x, dataset.y, probabilities, names)
    embedding, thumbnails = sections.embedding(found)
    shown = [
        sections.card(found),
        sections.curves(found),
        sections.confusion(found),
        sections.operating_point(found),
        sections.mistakes(found),
        sections.filters(found),
        embedding,
        sections.test_set(found),
    ]
    part = sections.some_of(len(dataset), sections.MOST_COUNTED)
    data = {
        "labels": dataset.y[part].tolist(),
        "scores": np.round(probabilities[part].astype(np.float64), DIGITS).tolist(),
        "thumbnails": thumbnails,
    }
    page = _page(title, _verdict(found), [section for section in shown if section is not None], data)
    replace_file(path, lambda file: file.write(page.encode()))
    return path


def _page(title: str, verdict: str, shown: Sequence[Section], data: dict[str, Any]) -> str:
    """Fill the template in."""
    files = resources.files("minicnn.analyse.report")
    links = " ".join(f'<a href="#{section.name}">{html.escape(section.title)}</a>' for section in shown)
    return Template((files / "page.html").read_text()).substitute(
        title=html.escape(title),
        verdict=html.escape(verdict),
        links=links,
        style=(files / "page.css").read_text(),
        sections="\n".join(map(str, shown)),
        version=metadata.version("minicnn"),
        data=json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),  # nothing in it may end the script
        script=(files / "page.js").read_text(),
    )


def _verdict(found: sections.Findings) -> str:
    right = int((found.read_as == found.y).sum())
    which = "that it was trained on" if _was_trained_on(found) else "that it was not trained on"
    share = right / len(found.y)
    return f"Of {len(found.y):,} examples {which}, the network classifies {right:,} correctly ({share:.1%})."


def _was_trained_on(found: sections.Findings) -> bool:
    """Return whether some of the examples are among those that the last `fit` was given."""
    fitting = found.trainer.fitting
    if fitting is None or fitting.train.x.shape[1:] != found.x.shape[1:]:
        return False
    return len(find_overlap(fitting.train, ArrayDataset(found.x, found.y, dtype=found.x.dtype))) > 0
