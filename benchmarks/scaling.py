"""How does the cost of a training step grow with batch, image, channels and threads?

    python benchmarks/scaling.py [--rounds 5] [--json FILE] [--figure FILE.png]

The network is the LeNet of train_step.py, and one thing varies at a time. The exponent k is that of time ~ size^k,
fitted to the logarithms: 1 where the cost grows linearly, as it should with the batch; 2 for an image's side; -1 would
be perfect for threads.
"""

import math
import statistics
from functools import partial
from typing import Any

import harness
import numpy as np

CONTENDERS = ("minicnn numba", "PyTorch channels_last", "PyTorch NCHW")
USUAL = {"batch": 128, "side": 28, "channels": 32}
SIZES = {
    "batch": (16, 32, 64, 128, 256, 512),
    "side": (12, 16, 20, 28, 40, 56),
    "channels": (8, 16, 32, 64, 128),
}
EXPECTED = {"batch": 1, "side": 2, "threads": -1}
LABELS = {
    "batch": "images in a batch",
    "side": "side of the images",
    "channels": "channels of the first layer, half those of the second",
    "threads": "threads",
}


def work(contender: str, points: list[dict[str, int]], seconds: float) -> list[float]:
    """Return the median milliseconds of a training step for each batch, side and channels."""
    times = []
    for point in points:
        network = partial(harness.lenet, side=point["side"], channels=point["channels"])
        workload = harness.Workload(network, point["batch"], (1, point["side"], point["side"]))
        times.append(1000 * harness.seconds_a_call(harness.contender(contender, workload, training=True), seconds))
    return times


def exponent(sizes: list[int], times: list[float]) -> float:
    """Return k of time ~ size^k; not a number for a single size."""
    if len(sizes) == 1:
        return math.nan
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


def measure(arguments: Any, points: list[dict[str, int]], threads: int | None = None) -> list[dict[str, Any]]:
    """Return a record for each point, measured with all threads or with that many."""
    variables = ("MINICNN_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS") if threads else ()
    jobs = {c: {"contender": c, "points": points, "seconds": arguments.seconds} for c in arguments.contenders}
    turns = harness.take_turns(__file__, jobs, arguments.rounds, **dict.fromkeys(variables, str(threads)))
    return [
        harness.record("", {c: [turn[i] for turn in own] for c, own in turns.items()}, unit="ms a step")
        for i in range(len(points))
    ]


def show(what: str, records: list[dict[str, Any]]) -> None:
    """Print a row for each size, and the exponents."""
    contenders = list(records[0]["medians"])
    print(f"\n  {what:>8}{''.join(f'{name:>24}' for name in contenders)}   ratio")
    for record in records:
        cells = "".join(f"{record['medians'][name]:21.2f} ms" for name in contenders)
        ratio = record["ratios"].get("minicnn numba")
        print(f"  {record['size']:8}{cells}{f'{ratio:8.2f}' if ratio else ''}")
    fitted = (exponent([r["size"] for r in records], [r["medians"][n] for r in records]) for n in contenders)
    print(f"  exponent{''.join(f'{k:24.2f}' for k in fitted)}", flush=True)


def draw(groups: dict[str, list[dict[str, Any]]]) -> Any:
    """Draw time against size, both logarithmic: minicnn, and the layout of PyTorch's that is the better over all."""
    figure = harness.new_figure(9.5, 7)
    figure.suptitle("One training step of a LeNet", fontsize=11)
    names = list(next(iter(groups.values()))[0]["medians"])
    ours, theirs = ([name for name in names if name.startswith(library)] for library in ("minicnn", "PyTorch"))
    every = [record["medians"] for records in groups.values() for record in records]
    theirs = sorted(theirs, key=lambda name: statistics.geometric_mean(medians[name] for medians in every))[:1]
    for axes, (what, records) in zip(figure.subplots(2, 2).flat, groups.items(), strict=True):
        sizes = [record["size"] for record in records]
        for name in ours + theirs:
            colour, marker = harness.STYLES[name]
            times = [record["medians"][name] for record in records]
            label = f"{name}, exponent {exponent(sizes, times):.2f}"
            axes.plot(sizes, times, marker=marker, color=colour, markeredgecolor="white", markersize=8, label=label)
        if what in EXPECTED:
            guide = records[0]["medians"][(ours + theirs)[0]] * (np.array(sizes) / sizes[0]) ** EXPECTED[what]
            axes.plot(
                sizes, guide, color="0.5", linestyle=":", linewidth=1.2, label=f"exponent {EXPECTED[what]}", zorder=1
            )
        axes.set(xscale="log", yscale="log", xlabel=LABELS[what], ylabel="ms a step")
        axes.set_xticks(sizes, [str(size) for size in sizes], minor=False)
        axes.set_xticks([], minor=True)
        harness.plain_ticks(axes.yaxis)
        axes.grid(which="both", alpha=0.2)
        axes.legend(frameon=False, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    arguments = harness.parse(harness.parser(__doc__, CONTENDERS, seconds=0.5))
    machine = harness.machine(quick=arguments.quick)
    points = [(what, size) for what, sizes in SIZES.items() for size in sizes[: 2 if arguments.quick else None]]
    usual = USUAL | {"batch": 16} if arguments.quick else USUAL
    records = measure(arguments, [usual | {what: size} for what, size in points])
    counts = [2**i for i in range(10) if 2**i < machine["threads"]] + [machine["threads"]]
    points += [("threads", count) for count in counts]
    records += [measure(arguments, [usual], count)[0] for count in counts]
    groups: dict[str, list[dict[str, Any]]] = {}
    for (what, size), record in zip(points, records, strict=True):
        groups.setdefault(what, []).append({**record, "name": f"{what} {size}", "size": size})
    for what, group in groups.items():
        show(what, group)
    for what, records in groups.items():
        harness.summarise(records, f"against {what}", each=False)
    harness.save(arguments, machine, groups, lambda: draw(groups))


if __name__ == "__main__":
    harness.start(main, work)
