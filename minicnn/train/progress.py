"""Showing a training in the terminal."""

from collections.abc import Mapping

from tqdm import tqdm

from minicnn.train.callbacks import Callback


class ProgressBar(Callback):
    """A bar an epoch: images done, time left, images per second, loss and measures. Silent without a terminal."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Start a bar."""
        width = len(str(self.trainer.last_epoch))
        self.bar = tqdm(
            total=self.trainer.images_per_epoch,
            desc=f"epoch {epoch:{width}}/{self.trainer.last_epoch}",
            unit=" images",
            bar_format="{desc} |{bar:10}| {rate_fmt} {remaining} left{postfix}",
            disable=None,  # None: shown on a terminal only
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
        if hasattr(self, "bar"):
            self.bar.close()


class EpochLines(Callback):
    """A printed line an epoch, for logs and pipes."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Print it at once."""
        width = len(str(self.trainer.last_epoch))
        print(f"epoch {epoch:{width}}/{self.trainer.last_epoch}  {as_text(logs)}", flush=True)


def as_text(logs: Mapping[str, float]) -> str:
    """Write measures for a line: `loss 0.1234 accuracy 0.9876`."""
    return " ".join(f"{name} {logs[name]:.4f}" for name in logs if name != "lr")
