"""Showing a training in the terminal."""

import sys
from collections.abc import Mapping
from typing import Any

from tqdm import tqdm

from minicnn.backend import Compilation
from minicnn.train.callbacks import Callback

COMPILING = "compiling kernels for this machine, once"


class ProgressBar(Callback):
    """A bar an epoch: images done, time left, images per second, loss and measures; on a terminal or in a notebook.

    While kernels are being compiled, which the first training on a machine has to wait for, the bar says so.
    """

    bar: Any = None

    def on_train_begin(self) -> None:
        """Listen for compiling."""
        self.bar = None
        self.compilation = Compilation(self._tell)
        self.compilation.start()

    def _tell(self) -> None:
        if self.bar is not None:
            self.bar.set_postfix_str(COMPILING)

    def on_epoch_begin(self, epoch: int) -> None:
        """Start a bar."""
        width = len(str(self.trainer.last_epoch))
        self.bar = tqdm(
            total=self.trainer.images_per_epoch,
            desc=f"epoch {epoch:{width}}/{self.trainer.last_epoch}",
            unit=" images",
            bar_format="{desc} |{bar:10}| {rate_fmt} {remaining} left{postfix}",
            file=sys.stdout if in_notebook() else sys.stderr,  # a notebook shows stderr on red
            disable=False if in_notebook() else None,  # None: shown on a terminal only
            dynamic_ncols=True,
        )

    def on_batch_end(self, batch: int, logs: Mapping[str, float]) -> None:
        """Move on. The numbers are computed only when the bar is drawn, so that a GPU need not wait for every batch."""
        if self.bar.update(self.trainer.batch_images):
            self.bar.set_postfix_str(as_text(logs))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Leave the bar with the final numbers."""
        self.bar.set_postfix_str(as_text(logs))
        self.bar.close()

    def on_train_end(self) -> None:
        """Close a bar that an interruption left open."""
        self.compilation.stop()
        if self.bar is not None:
            self.bar.close()


class EpochLines(Callback):
    """A printed line an epoch, for logs and pipes, and one for compiling, if there is any."""

    def on_train_begin(self) -> None:
        """Listen for compiling."""
        self.told = False
        self.compilation = Compilation(self._tell)
        self.compilation.start()

    def _tell(self) -> None:
        if not self.told:
            print(f"{COMPILING} ...", flush=True)
        self.told = True

    def on_epoch_begin(self, epoch: int) -> None:
        """Remember how long was spent compiling so far."""
        self.before = self.compilation.seconds

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Print it at once."""
        width = len(str(self.trainer.last_epoch))
        seconds = self.compilation.seconds - self.before
        compiling = f"  (compiling took {seconds:.1f} s)" if seconds >= 0.05 else ""
        print(f"epoch {epoch:{width}}/{self.trainer.last_epoch}  {as_text(logs)}{compiling}", flush=True)

    def on_train_end(self) -> None:
        """Listen no more."""
        self.compilation.stop()


def in_notebook() -> bool:
    """Return whether this is a notebook's kernel: IPython runs (it need not be installed), and not in a terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def as_text(logs: Mapping[str, float]) -> str:
    """Write measures for a line: `loss 0.1234 accuracy 0.9876`."""
    return " ".join(f"{name} {logs[name]:.4f}" for name in logs if name != "lr")
