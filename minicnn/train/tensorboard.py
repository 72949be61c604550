"""Watching a training in TensorBoard: event files that it reads while they are written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.backend import to_host
from minicnn.errors import ArgumentError, DependencyError, whole_number
from minicnn.nn import Conv2d
from minicnn.train.callbacks import Callback
from minicnn.train.card import make_card
from minicnn.train.means import RunningMeans, Totals, means_between

EXAMPLES = 25
"""How many training images are shown."""
BUCKETS = 30
"""Of equal width, in a histogram; TensorBoard's pages have no more either."""
QUEUE, FLUSH = 1000, 5
"""Events that may wait for the thread that writes them; seconds after which what it wrote is on the disk."""


class TensorBoard(Callback):
    """Write what is measured to event files under `log_dir`; `tensorboard --logdir runs` shows them in a browser.

        trainer.fit(train, validation=validation, callbacks=[TensorBoard("runs/first")])

    There are two runs, `train` and `validation`, so that their curves lie over each other: "epoch_loss" and the like
    against the epoch. Against the number of training steps there are "batch_loss" and the like of each batch in
    `train`, and "evaluation_loss_vs_iterations" and the like in `validation`. The card of the training and the model's
    table are among the texts, and what was chosen is under "HPARAMS" with what came of it. A run that is resumed goes
    on in the same folder. Tags and arguments are Keras'. It takes the extra `tensorboard`: tensorboardX writes,
    tensorboard shows.

    Parameters
    ----------
    log_dir : path
        The folder; each training needs its own.
    histogram_freq : int
        Every how many epochs histograms of the weights and of their gradients (those of the last batch) are written; 0
        for never.
    write_images : bool
        Write the filters of the first convolution every epoch, and some training images at the beginning.
    update_freq : int or "epoch"
        Every how many steps the measures of a batch are written; "epoch" leaves them out. On a GPU each time waits for
        the step to end.

    Raises
    ------
    ArgumentError
        If an argument makes no sense.
    DependencyError
        If tensorboardX is not installed.
    """

    def __init__(
        self,
        log_dir: str | Path = "logs",
        *,
        histogram_freq: int = 0,
        write_images: bool = False,
        update_freq: int | str = 1,
    ) -> None:
        self.log_dir = Path(log_dir)
        self.histogram_freq = whole_number("histogram_freq", histogram_freq, least=0)
        self.write_images = write_images
        if isinstance(update_freq, str) and update_freq != "epoch":
            raise ArgumentError(f"update_freq must be 'epoch' or a number of steps, not {update_freq!r}")
        self.update_freq = None if isinstance(update_freq, str) else whole_number("update_freq", update_freq)
        self._writer_class = _summary_writer()
        self._writers: dict[str, Any] = {}
        self._before: Totals = {}  # sums over the epoch's batches so far, and their weights

    def on_train_begin(self) -> None:
        """Say what is about to be trained. Steps after those done are hidden: they are of a run that was killed."""
        self._hide_after = self.trainer.pace.steps + 1 if self.trainer.pace.steps else None
        fitting = self.trainer.fitting
        assert fitting is not None
        train = self._writer("train")
        train.add_text("card", make_card(self.trainer).to_markdown())
        train.add_text("model", _preformatted(str(self.trainer.model.summary(fitting.train.x.shape[1:]))))
        if self.write_images and fitting.train.x.ndim == 4:
            train.add_image("training images", grid(fitting.train.x[:EXAMPLES]), 0)

    def on_epoch_begin(self, epoch: int) -> None:
        """Begin new sums."""
        self._before = {}

    def on_batch_end(self, batch: int, logs: Mapping[str, float]) -> None:
        """Write the measures of this batch alone."""
        if self.update_freq is None:
            return
        step = self.trainer.pace.steps
        if (step - 1) % self.update_freq and step % self.update_freq:
            return  # neither a batch to be written nor the one before it, which its sums are held against
        assert isinstance(logs, RunningMeans)
        totals = logs.totals()
        if (step - 1) % self.update_freq == 0:
            values = {f"batch_{name}": value for name, value in means_between(self._before, totals).items()}
            self._write_scalars("train", {**values, "batch_lr": self.trainer.optimizer.lr}, step)
        self._before = totals

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Write the means over the epoch, and what else was asked for."""
        validation = {name.removeprefix("val_"): value for name, value in logs.items() if name.startswith("val_")}
        self._write_scalars("train", {f"epoch_{n}": value for n, value in logs.items() if n[:4] != "val_"}, epoch)
        if validation:
            self._write_scalars("validation", {f"epoch_{n}": value for n, value in validation.items()}, epoch)
            by_step = {f"evaluation_{n}_vs_iterations": value for n, value in validation.items()}
            self._write_scalars("validation", by_step, self.trainer.pace.steps)
        train = self._writer("train")
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            for name, parameter in self.trainer.model.named_parameters().items():
                train.add_histogram_raw(f"weights/{name}", **buckets(to_host(parameter.data)), global_step=epoch)
                if parameter.grad is not None:
                    train.add_histogram_raw(f"gradients/{name}", **buckets(to_host(parameter.grad)), global_step=epoch)
        convolution = next((layer for _, layer in self.trainer.model.named_layers() if isinstance(layer, Conv2d)), None)
        if self.write_images and convolution is not None:
            train.add_image("filters of the first convolution", grid(to_host(convolution.weight.data)), epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self) -> None:
        """Write what was chosen and what came of it, and close the files."""
        if self.trainer.history.rows:
            self._write_hyperparameters()
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def __repr__(self) -> str:
        return f"TensorBoard({str(self.log_dir)!r})"

    def _writer(self, run: str) -> Any:
        if run not in self._writers:
            suffix = f".{self.trainer.pace.steps:09}"  # two files of one second are two files, in their order
            self._writers[run] = self._writer_class(
                str(self.log_dir / run),
                purge_step=self._hide_after,
                filename_suffix=suffix,
                max_queue=QUEUE,
                flush_secs=FLUSH,
            )
        return self._writers[run]

    def _write_scalars(self, run: str, values: Mapping[str, float], step: int) -> None:
        """Write several numbers as one event: it is the events that cost time."""
        from tensorboardX.proto.summary_pb2 import Summary

        named = [Summary.Value(tag=tag, simple_value=float(value)) for tag, value in values.items()]
        self._writer(run).file_writer.add_summary(Summary(value=named), step)

    def _write_hyperparameters(self) -> None:
        from tensorboardX.summary import hparams

        trainer = self.trainer
        group = (trainer.pace.initial or [trainer.optimizer.settings(trainer.optimizer.param_groups[0])])[0]
        chosen = {
            **{
                name: value if isinstance(value, bool | int | float | str) else str(value)
                for name, value in group.items()
            },
            "optimizer": type(trainer.optimizer).__name__,
            "loss": repr(trainer.loss),
            "batch_size": trainer.batch_size,
            "epochs": trainer.epoch,
            "parameters": sum(p.data.size for p in trainer.model.parameters()),
            "seed": trainer.rng.seed,
        }
        last = trainer.history.rows[-1]
        results = {f"final_{name}": value for name, value in last.items() if name not in ("epoch", "lr")}
        train = self._writer("train")
        for summary in hparams(chosen, results):
            train.file_writer.add_summary(summary)
        self._write_scalars("train", results, trainer.epoch)


def buckets(values: np.ndarray) -> dict[str, Any]:
    """Count an array's numbers in buckets of equal width from the least to the greatest, as an event keeps them.

    So does Keras; here what is not finite is left out. Finding the bucket of a number takes no search then, and less
    than half the time of tensorboardX's default, buckets of growing width.
    """
    exact = values.ravel().astype(np.float64)  # and no product of vectors: BLAS would wake its threads for it
    exact = exact[np.isfinite(exact)]
    if exact.size == 0:
        exact = np.zeros(1)
    least, most = float(exact.min()), float(exact.max())
    if most - least <= max(1e-9 * max(abs(least), abs(most)), 1e-300):  # too close together to be told apart
        counts, edges = np.array([exact.size]), np.array([least, most])
    else:
        counts, edges = np.histogram(exact, BUCKETS)
    return {
        "min": least,
        "max": most,
        "num": exact.size,
        "sum": float(exact.sum()),
        "sum_squares": float(np.square(exact).sum()),
        "bucket_limits": edges[1:].tolist(),
        "bucket_counts": counts.tolist(),
    }


def grid(images: np.ndarray) -> np.ndarray:
    """Return images (N, C, H, W) side by side in one, (3, rows, columns), pixels from 0 to 1, each stretched alike.

    One channel gives grey, three give colour, others are shown as their mean.
    """
    if images.shape[1] != 3:
        images = images.mean(axis=1, keepdims=True).repeat(3, axis=1)
    n, _, height, width = images.shape
    low, high = float(images.min()), float(images.max())
    images = (images - low) / (high - low or 1.0)
    magnify = max(1, 24 // height)
    images = images.repeat(magnify, axis=2).repeat(magnify, axis=3)
    height, width = height * magnify + 2, width * magnify + 2
    columns = int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    sheet = np.full((3, rows * height, columns * width), 0.5, dtype=np.float32)
    for i, image in enumerate(images):
        top, left = i // columns * height, i % columns * width
        sheet[:, top + 1 : top + height - 1, left + 1 : left + width - 1] = image
    return sheet


def _preformatted(text: str) -> str:
    """Return text that Markdown leaves as it is."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _summary_writer() -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise DependencyError(
            "the TensorBoard callback needs tensorboardX: pip install 'minicnn[tensorboard]', or from a checkout "
            "pip install -e '.[tensorboard]'; without it, fit(..., out=FOLDER) keeps history.csv"
        ) from None
    return SummaryWriter
