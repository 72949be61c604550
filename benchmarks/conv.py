"""How fast is one convolution, forward and backward, by each algorithm, beside PyTorch's?

    python benchmarks/conv.py [--rounds 5] [--json FILE] [--figure FILE.png]

Speeds are in GFLOP/s, counted as the direct algorithm's operations whatever an algorithm really does: so Winograd's may
pass the ceiling, which is sgemm's speed. A backward pass makes all three gradients. The figure is a roofline: a speed
is limited by the arithmetic, and by the memory that inputs and results must at least be moved through once.
"""

import math
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import harness
import numpy as np


class Layer(NamedTuple):
    """A convolution, padded by half its kernel, and the images that it is given."""

    batch: int
    side: int
    into: int
    out: int
    kernel: int
    stride: int = 1

    def __str__(self) -> str:
        return (
            f"{self.kernel}x{self.kernel}{f'/{self.stride}' * (self.stride > 1)} {self.into}-{self.out} on {self.side}"
        )

    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Return the shapes of x, w and y."""
        x = (self.batch, self.into, self.side, self.side)
        w = (self.out, self.into, self.kernel, self.kernel)
        return x, w, (self.batch, self.out, self.side // self.stride, self.side // self.stride)

    def operations(self, backward: bool) -> int:
        """Return the additions and multiplications of the direct algorithm; the two gradients take as many each."""
        _, w, y = self.shapes()
        return 2 * math.prod(y) * math.prod(w[1:]) * (1 + backward)

    def moved(self, backward: bool) -> int:
        """Return the bytes of all that goes in and comes out: x, w and y; or x, w, dy, dx and dw."""
        x, w, y = (4 * math.prod(shape) for shape in self.shapes())
        return (x + w) * (1 + backward) + y


LAYERS = (
    Layer(64, 32, 64, 64, kernel=3),
    Layer(64, 16, 64, 128, kernel=3),
    Layer(64, 16, 128, 128, kernel=3),
    Layer(64, 8, 128, 256, kernel=3),
    Layer(64, 8, 256, 256, kernel=3),
    Layer(64, 32, 3, 64, kernel=3),
    Layer(128, 28, 1, 32, kernel=3),
    Layer(64, 32, 64, 128, kernel=3, stride=2),
    Layer(64, 64, 3, 64, kernel=7, stride=2),
    Layer(64, 32, 3, 32, kernel=5),
    Layer(64, 16, 32, 32, kernel=5),
    Layer(64, 16, 256, 64, kernel=1),
)
CONTENDERS = (
    "minicnn auto", "minicnn im2col", "minicnn direct", "minicnn winograd", "PyTorch channels_last", "PyTorch NCHW",
)  # fmt: skip
Passes = tuple[Callable[[], Any], Callable[[Any], Any]]


def minicnn_passes(algorithm: str, layer: Layer, x: np.ndarray, dy: np.ndarray) -> Passes | None:
    """Return the forward pass, and the backward pass that takes its result; None if the algorithm refuses the layer."""
    import minicnn as mc

    conv = mc.nn.Conv2d(layer.into, layer.out, layer.kernel, layer.stride, layer.kernel // 2, algorithm=algorithm)
    try:
        y = conv(x)
    except mc.errors.ArgumentError:
        return None
    dy = in_order_of(y, dy)
    if layer.into > 3:
        x = in_order_of(y, x)  # inside a network; images lie as they are

    def backward(_: np.ndarray) -> None:
        conv.zero_grad()
        conv.backward(dy)

    return lambda: conv(x), backward


def in_order_of(like: np.ndarray, array: np.ndarray) -> np.ndarray:
    """Return a copy whose axes lie in memory in the same order."""
    order = np.argsort(like.strides, kind="stable")[::-1]
    return np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))


def torch_passes(layout: str, layer: Layer, x: np.ndarray, dy: np.ndarray) -> Passes:
    """Return the forward pass, and the backward pass that takes its result."""
    import torch

    order = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    conv = torch.nn.Conv2d(layer.into, layer.out, layer.kernel, layer.stride, layer.kernel // 2)
    conv, x, dy = conv.to(memory_format=order), *(torch.tensor(a).contiguous(memory_format=order) for a in (x, dy))
    inputs = [x.requires_grad_(), *conv.parameters()]
    return lambda: conv(x), lambda y: torch.autograd.grad(y, inputs, dy)


def time_both(forward: Callable[[], Any], backward: Callable[[Any], Any], budget: float) -> list[float]:
    """Return the median milliseconds of a forward pass and of the backward pass after it, after two to warm up."""
    for _ in range(2):
        backward(forward())
    times: list[list[float]] = []
    end = time.perf_counter() + budget
    while len(times) < 5 or time.perf_counter() < end:
        began = time.perf_counter()
        y = forward()
        between = time.perf_counter()
        backward(y)
        times.append([between - began, time.perf_counter() - between])
    return [1000 * statistics.median(each) for each in zip(*times, strict=True)]


def work(contender: str, layers: list[list[int]], seconds: float) -> list[list[float] | None]:
    """Return the milliseconds of both passes of each layer, None where an algorithm refuses it."""
    library, how = contender.split()
    results: list[list[float] | None] = []
    for layer in map(Layer._make, layers):
        rng = np.random.default_rng(0)
        x, _, dy = (rng.normal(size=shape).astype(np.float32) for shape in layer.shapes())
        passes = (minicnn_passes if library == "minicnn" else torch_passes)(how, layer, x, dy)
        results.append(time_both(*passes, seconds) if passes else None)
    return results


def show(records: list[dict[str, Any]], contenders: list[str], ceiling: float) -> None:
    """Print the speeds, a row for each layer and a column for each contender, and the ratio of the times."""
    titles = "".join(f"{name.removeprefix('minicnn ').removeprefix('PyTorch '):>15}" for name in contenders)
    print(f"\n  {'GFLOP/s, of sgemm':<26}{titles}   ratio")
    for record in records:
        speeds = {name: 1000 * record["gflop"] / time for name, time in record["medians"].items()}
        cells = [
            f"{speeds[n]:9.0f}{100 * speeds[n] / ceiling:4.0f} %" if n in speeds else f"{'-':>15}" for n in contenders
        ]
        ratio = record["ratios"].get("minicnn auto")
        print(f"  {record['name']:<26}{''.join(cells)}{f'{ratio:8.2f}' if ratio else ''}")


def draw(records: list[dict[str, Any]], machine: dict[str, Any]) -> Any:
    """Draw a roofline for each pass: minicnn's own choice and PyTorch's better layout, layer by layer."""
    figure = harness.new_figure(12, 5.4)
    left, right, key = figure.subplots(1, 3, width_ratios=(5, 5, 2), sharey=True)
    for axes, which in ((left, "forward"), (right, "backward")):
        draw_roof(axes, machine["sgemm_gflops"], machine["copy_gbytes"])
        for number, record in enumerate([r for r in records if r["name"].endswith(which)], start=1):
            draw_layer(axes, record, number)
        axes.set_title(f"{which} pass", fontsize=11)
        axes.set_xlabel("operations for each byte that must be moved")
    left.set_ylabel("GFLOP/s, counted as the direct algorithm's")
    names = [record["name"].removesuffix(", forward") for record in records if record["name"].endswith("forward")]
    key.text(0, 1, "kernel/stride, channels, side", transform=key.transAxes, fontsize=9, color="0.3")
    for number, name in enumerate(names, start=1):
        key.text(0.08, 0.99 - number / 15, f"{number}", transform=key.transAxes, ha="right", fontsize=9)
        key.text(0.16, 0.99 - number / 15, name, transform=key.transAxes, fontsize=9)
    key.axis("off")
    harness.legend(figure, {"minicnn": "minicnn numba", "PyTorch, better layout": "PyTorch channels_last"})
    return figure


def draw_roof(axes: Any, peak: float, bandwidth: float) -> None:
    """Draw what limits a speed at each intensity: moving memory on the left, arithmetic on the right."""
    ridge, (start, end) = peak / bandwidth, (0.8, 1500)
    axes.plot((start, ridge, end), (start * bandwidth, peak, peak), color="0.3", linewidth=1.2, zorder=1)
    note = {"textcoords": "offset points", "fontsize": 8, "color": "0.3"}
    axes.annotate(f"sgemm {peak:.0f} GFLOP/s", (ridge, peak), (4, 5), **note)
    axes.annotate(f"copying {bandwidth:.0f} GB/s", (ridge / 2, peak / 2), (6, -8), ha="left", **note)
    axes.set(xscale="log", yscale="log", xlim=(start, end))
    harness.plain_ticks(axes.xaxis)
    harness.plain_ticks(axes.yaxis)
    axes.grid(which="both", alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)


def draw_layer(axes: Any, record: dict[str, Any], number: int) -> None:
    """Draw both speeds of a layer above its intensity, joined, with its number at the upper."""
    shown = {"minicnn auto": "minicnn numba", record["reference"]: "PyTorch channels_last"}  # contender: style
    speeds = {n: 1000 * record["gflop"] / record["medians"][n] for n in shown if n in record["medians"]}
    axes.plot([record["intensity"]] * len(speeds), list(speeds.values()), color="0.75", linewidth=1, zorder=2)
    for name, speed in speeds.items():
        harness.dot(axes, record["intensity"], speed, shown[name])
    top = record["intensity"], max(speeds.values())
    axes.annotate(f"{number}", top, (0, 6), textcoords="offset points", ha="center", fontsize=8)


def main() -> None:
    arguments = harness.parse(harness.parser(__doc__, CONTENDERS, seconds=0.5))
    machine = harness.machine(quick=arguments.quick)
    layers = sorted(LAYERS, key=lambda layer: layer.operations(False))[:2] if arguments.quick else LAYERS
    jobs = {c: {"contender": c, "layers": layers, "seconds": arguments.seconds} for c in arguments.contenders}
    turns = harness.take_turns(__file__, jobs, arguments.rounds)
    records = []
    for which, name in enumerate(("forward", "backward")):
        for i, layer in enumerate(layers):
            times = {c: [turn[i][which] for turn in own] for c, own in turns.items() if own[0][i]}
            operations = layer.operations(backward=bool(which))
            record = harness.record(f"{layer}, {name}", times, unit="ms", gflop=operations / 1e9)
            records.append({**record, "intensity": operations / layer.moved(backward=bool(which))})
    show(records, list(turns), machine["sgemm_gflops"])
    for which in ("forward", "backward"):
        harness.summarise([record for record in records if record["name"].endswith(which)], which, each=False)
    harness.save(arguments, machine, records, lambda: draw(records, machine))


if __name__ == "__main__":
    harness.start(main, work)
