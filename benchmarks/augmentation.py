"""How long does augmentation take, beside the training step that it prepares a batch for?

    python benchmarks/augmentation.py [rotate elastic ...] [--rounds 5] [--json FILE] [--figure FILE.png]

The batch is lenet's, 128 images of 28 x 28 in float32, and the step too: zero-grad, forward, loss, backward and SGD
with momentum, on Numba's kernels. Augmentation runs ahead in a thread of its own, so it costs nothing as long as
processors are free, and at most the ratio that is printed where they are not. "minicnn numpy" is the same without
Numba, held against the same step.
"""

import statistics
from typing import Any

import harness
import numpy as np

from minicnn.backend import Key, set_backend
from minicnn.data import augment

AUGMENTATIONS = {
    "flip": augment.HorizontalFlip(),
    "shift": augment.Shift(2),
    "rotate": augment.Rotate(15),
    "scale": augment.Scale(1.1),
    "shear": augment.Shear(10),
    "affine": augment.Affine(15, scale=1.1, shear=10, shift=2),
    "elastic": augment.Elastic(34, 4),
    "crop": augment.RandomCrop(padding=4),
    "brightness": augment.Brightness(0.2),
    "contrast": augment.Contrast(1.5),
    "gamma": augment.Gamma(1.5),
    "noise": augment.Noise(0.1),
    "blur": augment.Blur(1.0),
    "cutout": augment.Cutout(8),
    "mixup": augment.MixUp(0.2, classes=10),
    "cutmix": augment.CutMix(classes=10),
    "typical": augment.Compose(
        augment.Rotate(15), augment.Scale(1.1), augment.Shift(2), augment.Elastic(34, 4), augment.Noise(0.1)
    ),
}
"""Of each kind one; "typical" is what one would take for handwriting."""
OURS = ("minicnn numba", "minicnn numpy")
STEP = "the training step"


def work(contender: str, names: list[str], seconds: float) -> list[float]:
    """Return the median time of each augmentation of the batch, or of the training step alone, in milliseconds."""
    workload = harness.WORKLOADS["lenet"]
    if contender == STEP:
        return [1000 * harness.seconds_a_call(harness.contender(OURS[0], workload, training=True), 4 * seconds)]
    set_backend(contender.removeprefix("minicnn "))
    x, y = workload.data()
    steps = iter(range(10**9))

    def call(augmentation: augment.Augmentation) -> Any:
        return augmentation(x, y, key=Key(0, 0, next(steps)))

    return [1000 * harness.seconds_a_call(lambda a=AUGMENTATIONS[name]: call(a), seconds) for name in names]


def main() -> None:
    parser = harness.parser(__doc__, OURS, seconds=0.5)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(AUGMENTATIONS)} (default: all)")
    arguments = harness.parse(parser)
    names = arguments.names or list(AUGMENTATIONS)
    if unknown := sorted(set(names) - set(AUGMENTATIONS)):
        parser.error(f"no augmentation {', '.join(unknown)}; they are {', '.join(AUGMENTATIONS)}")
    machine = harness.machine(quick=arguments.quick)
    everyone = [*arguments.contenders, STEP]
    jobs = {who: {"contender": who, "names": names, "seconds": arguments.seconds} for who in everyone}
    turns = harness.take_turns(__file__, jobs, arguments.rounds)
    step = statistics.median(result[0] for result in turns.pop(STEP))
    records = {
        "step_ms": step,
        "milliseconds": {
            who: dict(zip(names, np.median(results, axis=0), strict=True)) for who, results in turns.items()
        },
        "turns": {who: [dict(zip(names, result, strict=True)) for result in results] for who, results in turns.items()},
    }
    show(records)
    harness.save(arguments, machine, records, lambda: draw(records))


def show(records: dict[str, Any]) -> None:
    """Print a row for each augmentation: its time with each backend, and its share of a training step."""
    step, times = records["step_ms"], records["milliseconds"]
    print(f"\none batch of lenet, {harness.WORKLOADS['lenet']}; a training step takes {harness.number(step)} ms")
    print(f"  {'':<12}" + "".join(f"{who:>16} ms  / step" for who in times))
    for name in next(iter(times.values())):
        cells = "".join(f"{harness.number(each[name]):>19}{each[name] / step:8.2f}" for each in times.values())
        print(f"  {name:<12}{cells}")


def draw(records: dict[str, Any]) -> "harness.Figure":
    """Draw a row for each augmentation, as a multiple of the training step."""
    step, times = records["step_ms"], records["milliseconds"]
    names = list(next(iter(times.values())))
    figure = harness.new_figure(7.5, 1.8 + 0.28 * len(names))
    axes = figure.subplots()
    for who, each in times.items():
        for row, name in enumerate(names):
            harness.dot(axes, each[name] / step, row, who)
    axes.axvline(1, color="0.3", linewidth=1)
    axes.set_xscale("log")
    harness.plain_ticks(axes.xaxis)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel(f"time, as a multiple of lenet's training step ({harness.number(step)} ms); left is better")
    axes.grid(axis="x", which="both", alpha=0.25)
    harness.legend(figure, {who: who for who in times})
    return figure


if __name__ == "__main__":
    harness.start(main, work)
