"""Learning curves that grow while a network trains: in a notebook, in a window, or in a file."""

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from minicnn.analyse.curves import check_smoothing, draw_history, plot_history
from minicnn.errors import whole_number
from minicnn.train.callbacks import Callback
from minicnn.train.files import prepare_folder, replace_file
from minicnn.train.progress import in_notebook

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Place = Literal["notebook", "window", "file"]
TITLE = "minicnn: learning curves"
PATIENCE = 0.1
"""Seconds between two looks at what somebody does to the window."""


class LivePlot(Callback):
    """Draw the learning curves anew after every epoch, where somebody can see them.

        trainer.fit(train, validation=validation, epochs=30, callbacks=[analyse.LivePlot()])

    In a notebook the figure replaces the one before it. Elsewhere it has a window, if matplotlib has a back end with
    windows and there is a display. Otherwise it is a file, written anew each time in one step, so that a viewer never
    meets half of it. Whoever closes the window goes on training without it.

    A drawing takes a tenth of a second or two; where epochs are as short as that, draw every tenth.

    Parameters
    ----------
    path : path
        The file, where there is neither notebook nor window; its ending says of which kind (.png, .svg, .pdf).
    units : dict of str to str, optional
        The units of the measures, for the axes: `{"loss": "nats"}`.
    smoothing : float
        The weight of the past in smoothed curves, from 0 (none) on and below 1; see `plot_history`.
    every : int
        Every how many epochs it is drawn; at the end of the training it always is.

    Attributes
    ----------
    place : "notebook", "window" or "file", or None
        Where it is drawn; None until `open` has found out.

    Raises
    ------
    ArgumentError
        If an argument makes no sense.
    OutputError
        If the file is needed and its folder cannot be written to.
    """

    def __init__(
        self,
        path: str | Path = "curves.png",
        *,
        units: Mapping[str, str] | None = None,
        smoothing: float = 0.0,
        every: int = 1,
    ) -> None:
        self.path = Path(path)
        self.units = units
        self.smoothing = check_smoothing(smoothing)
        self.every = whole_number("every", every)
        self.place: Place | None = None
        self._output: Any = None  # what a notebook shows
        self._window: Figure | None = None
        self._drawn = 0  # the epoch of the last drawing
        self._looked = 0.0

    def open(self) -> Place:
        """Find out where to draw, open the window if it is one, and return the place. `fit` calls this itself."""
        if self.place is None or self._closed_by_hand():
            self._window = None if in_notebook() else _new_window()
            self.place = "notebook" if in_notebook() else "window" if self._window is not None else "file"
            if self.place == "file":
                prepare_folder(self.path.parent)
        return self.place

    def on_train_begin(self) -> None:
        """Open; of a run that goes on, show what it has measured so far."""
        self.open()
        self._output, self._drawn = None, 0
        if len(self.trainer.history):
            self._draw()

    def on_batch_end(self, batch: int, logs: Mapping[str, float]) -> None:
        """Let a window answer to mouse and keyboard; it would be frozen until the end of the epoch."""
        if self._window is not None and not self._closed_by_hand() and time.monotonic() - self._looked > PATIENCE:
            self._window.canvas.flush_events()
            self._looked = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Draw what was measured so far, in place of the last drawing."""
        if epoch % self.every == 0:
            self._draw()

    def on_train_end(self) -> None:
        """Draw the last epochs, if they were left out."""
        if self.trainer.history.epoch[-1:] > [self._drawn]:
            self._draw()

    def _draw(self) -> None:
        history = self.trainer.history
        options: dict[str, Any] = {"units": self.units, "smoothing": self.smoothing}
        self._drawn = history.epoch[-1]
        if self._window is not None:
            if not self._closed_by_hand():
                draw_history(self._window, history, **options)
                self._window.canvas.draw()
                self._window.canvas.flush_events()
            return
        figure = plot_history(history, **options)
        if self.place == "file":
            kind = self.path.suffix.removeprefix(".") or "png"
            replace_file(self.path, lambda file: figure.savefig(file, format=kind))
        else:
            self._show_in_notebook(figure)

    def _show_in_notebook(self, figure: "Figure") -> None:
        from IPython.display import Image, display

        png = io.BytesIO()
        figure.savefig(png, format="png")
        image = Image(data=png.getvalue(), format="png")  # not the figure: without pyplot IPython shows only its name
        if self._output is None:
            self._output = display(image, display_id=True)
        else:
            self._output.update(image)

    def _closed_by_hand(self) -> bool:
        from matplotlib import pyplot

        return self._window is not None and not pyplot.fignum_exists(TITLE)

    def __repr__(self) -> str:
        return f"LivePlot({str(self.path)!r})"


def _new_window() -> "Figure | None":
    """Return a figure in a window of its own, or None where matplotlib has no windows or there is no display."""
    from matplotlib import pyplot
    from matplotlib.backend_bases import FigureManagerBase

    try:
        figure = pyplot.figure(TITLE, figsize=(10.4, 4), layout="constrained", clear=True)
    except Exception:  # each toolkit has an error of its own for a display that is not there
        return None
    manager = figure.canvas.manager
    if manager is None or type(manager).show is FigureManagerBase.show:  # only a manager of windows overrides it
        pyplot.close(figure)
        return None
    manager.show()
    return figure
