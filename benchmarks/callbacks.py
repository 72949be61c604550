"""What does it cost an epoch to be watched?

    python benchmarks/callbacks.py [--images 4096] [--rounds 5] [--json FILE] [--figure FILE.png]

An epoch of lenet, 28 x 28 in batches of 128, is trained with nobody watching, with the TensorBoard callback writing
loss, accuracy and learning rate of every step, and with it writing histograms of all weights and gradients after every
epoch, too. Histograms cost the same however long the epoch is, so their share falls as it grows: MNIST's epoch is
fifteen times as long as this one. A ratio compares two epochs of the same round; opening and closing the files is not
in it. "CPU" is the time that all threads of the process worked, those that write the files too: it can be trusted where
other programs are at work, and shows what a machine without a free processor would wait for.
"""

import statistics
import tempfile
import time
from collections.abc import Mapping
from typing import Any

import harness
import numpy as np

ALONE = "nobody"
WATCHERS: dict[str, dict[str, Any]] = {
    "scalars": {"update_freq": 1},
    "histograms": {"update_freq": 1, "histogram_freq": 1},
}
"""What the callback is told to write."""
COLOURS = {"scalars": "#0072B2", "histograms": "#D55E00"}


def work(watcher: str, images: int, epochs: int) -> dict[str, float]:
    """Return the time of an epoch in milliseconds, on the clock and of the CPU: medians, after one to warm up."""
    import minicnn as mc
    from minicnn.train import Callback, TensorBoard

    class Clock(Callback):
        """Notes when each epoch begins and, hearing of it before the other callbacks, when the last is over."""

        def __init__(self) -> None:
            self.times: list[tuple[float, float]] = []

        def on_epoch_begin(self, epoch: int) -> None:
            self.times.append((time.perf_counter(), time.process_time()))

        def on_train_end(self) -> None:
            self.on_epoch_begin(0)

    workload = harness.WORKLOADS["lenet"]
    rng = np.random.default_rng(0)
    data: tuple[np.ndarray, np.ndarray] = (
        rng.normal(size=(images, *workload.image)).astype(np.float32),
        rng.integers(0, 10, size=images),
    )
    model = workload.network(mc.nn)
    trainer = mc.Trainer(model, optimizer=mc.optim.SGD(model.parameters(), lr=0.01, momentum=0.9))
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        try:
            watching = [TensorBoard(folder, **WATCHERS[watcher])] if watcher in WATCHERS else []
        except mc.errors.DependencyError as error:
            raise harness.UnavailableError(str(error)) from None
        trainer.fit(data, epochs=1 + epochs, batch_size=workload.batch, callbacks=[clock, *watching], verbose=False)
    wall, cpu = 1000 * np.median(np.diff(clock.times, axis=0)[1:], axis=0)
    return {"wall": float(wall), "CPU": float(cpu)}


def main() -> None:
    parser = harness.parser(__doc__, (ALONE, *WATCHERS))
    parser.add_argument("--images", type=int, default=4096, help="images an epoch (default: 4096)")
    parser.add_argument("--epochs", type=int, default=5, help="epochs a turn, after one to warm up (default: 5)")
    arguments = harness.parse(parser)
    if arguments.quick:
        arguments.images, arguments.epochs = 256, 2
    machine = harness.machine(quick=arguments.quick)
    size = {"images": arguments.images, "epochs": arguments.epochs}
    jobs = {who: {"watcher": who, **size} for who in dict.fromkeys([ALONE, *arguments.contenders])}
    turns = harness.take_turns(__file__, jobs, arguments.rounds)
    kinds = {kind: {who: [time[kind] for time in times] for who, times in turns.items()} for kind in ("wall", "CPU")}
    records = {kind: compare(times) for kind, times in kinds.items()} | size
    show(records)
    harness.save(arguments, machine, records, lambda: draw(records))


def compare(turns: Mapping[str, list[float]]) -> dict[str, Any]:
    """Return the ratio to nobody's epoch in each round, their median, and the ratio of the shortest of all rounds."""
    alone = turns[ALONE]
    ratios = {
        who: [time / base for time, base in zip(times, alone, strict=True)]
        for who, times in turns.items()
        if who != ALONE
    }
    return {
        "milliseconds": dict(turns),
        "ratios": ratios,
        "median": {who: statistics.median(each) for who, each in ratios.items()},
        "shortest": {who: min(turns[who]) / min(alone) for who in ratios},
    }


def show(records: dict[str, Any]) -> None:
    """Print a row for each: its epoch, and by how much that is longer than nobody's."""
    print(f"\nan epoch of lenet, {records['images']} images")
    for kind in ("wall", "CPU"):
        record = records[kind]
        print(f"  {kind:<12}{'median ms':>10}{'shortest':>10}{'ratio':>8}{'of the shortest':>17}")
        for who, times in record["milliseconds"].items():
            cells = f"  {who:<12}{harness.number(statistics.median(times)):>10}{harness.number(min(times)):>10}"
            if who != ALONE:
                cells += f"{record['median'][who]:8.3f}{record['shortest'][who]:17.3f}"
            print(cells)


def draw(records: dict[str, Any]) -> "harness.Figure":
    """Draw a row for each watcher and kind of time: the ratio of every round, and their median."""
    rows = [(who, kind) for who in records["wall"]["ratios"] for kind in ("wall", "CPU")]
    figure = harness.new_figure(7.5, 1.6 + 0.5 * len(rows))
    axes = figure.subplots()
    for row, (who, kind) in enumerate(rows):
        ratios, median, colour = records[kind]["ratios"][who], records[kind]["median"][who], COLOURS[who]
        axes.plot(ratios, [row] * len(ratios), "o", color=colour, alpha=0.4)
        axes.plot(median, row, "|", color=colour, markersize=20, markeredgewidth=2.5)
        axes.annotate(
            f"{median:.2f}", (median, row), (0, 11), textcoords="offset points", ha="center", fontsize=9,
            fontweight="bold", color=colour,
        )  # fmt: skip
    axes.axvline(1, color="0.3", linewidth=1)
    axes.set_yticks(range(len(rows)), [f"{who}, {kind} time" for who, kind in rows])
    axes.set_ylim(len(rows) - 0.5, -0.8)
    alone = harness.number(statistics.median(records["wall"]["milliseconds"][ALONE]))
    axes.set_xlabel(f"an epoch that is watched, as a multiple of one that is not ({alone} ms); left is better")
    axes.grid(axis="x", alpha=0.25)
    return figure


if __name__ == "__main__":
    harness.start(main, work)
