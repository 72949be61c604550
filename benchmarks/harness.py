"""What the benchmarks share: networks, contenders, turns, the machine's ceilings, tables and figures.

    python benchmarks/harness.py          describes this machine and measures its ceilings

Each contender is a process of its own, since thread pools of two libraries in one process spoil each other's figures,
and contenders take turns, round after round, since machines are noisy: ratios are worth quoting, times hardly. What a
script measures is its function `work`; `start` runs it in the processes that `run` starts.
"""

import argparse
import contextlib
import importlib.metadata
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# The networks. `nn` is minicnn.nn, or another library's layers under the same names.


def digits(nn: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip


def lenet(nn: Any, side: int = 28, channels: int = 32) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(channels, 2 * channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(2 * channels * (side // 4) ** 2, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10),
    )  # fmt: skip


def vgg(nn: Any) -> Any:
    layers, before = [], 3
    for channels in (64, 128, 256):
        for last in (before, channels):
            layers += [nn.Conv2d(last, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
        layers, before = [*layers, nn.MaxPool2d(2)], channels
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4096, 10))


def conv5x5(nn: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(3, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1024, 10),
    )  # fmt: skip


def strided(nn: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(64, 128, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(128), nn.ReLU(),
        nn.Conv2d(128, 256, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(256), nn.ReLU(),
        nn.GlobalAvgPool2d(), nn.Linear(256, 10),
    )  # fmt: skip


def resnet20(nn: Any) -> Any:
    """He et al., 2016, section 4.2, with shortcuts of option B: every library has what they are made of."""

    def conv(before: int, after: int, kernel: int, stride: int) -> list[Any]:
        return [nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(after)]

    layers, before = [*conv(3, 16, 3, 1), nn.ReLU()], 16
    for channels in (16, 32, 64):
        for _ in range(3):
            stride = channels // before
            body = nn.Sequential(*conv(before, channels, 3, stride), nn.ReLU(), *conv(channels, channels, 3, 1))
            shortcut = [] if stride == 1 else [nn.Sequential(*conv(before, channels, 1, stride))]
            layers, before = [*layers, nn.Residual(body, *shortcut), nn.ReLU()], channels
    return nn.Sequential(*layers, nn.GlobalAvgPool2d(), nn.Linear(64, 10))


@dataclass(frozen=True)
class Workload:
    """A network, and the batch of images that it is given."""

    network: Callable[[Any], Any]
    batch: int
    image: tuple[int, int, int]

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Return random images and labels."""
        rng = np.random.default_rng(0)
        return rng.normal(size=(self.batch, *self.image)).astype(np.float32), rng.integers(0, 10, size=self.batch)

    def operations(self, *, training: bool) -> int:
        """Return the additions and multiplications of a pass through convolutions and linear layers, or of a step.

        A backward pass takes the forward pass's again for the weights, and again for the input of all but the first.
        """
        import minicnn as mc

        with mc.use_backend("numpy"):
            rows = self.network(mc.nn).summary(self.image).rows
        costs = [row.multiply_adds for row in rows if row.multiply_adds]
        return 2 * self.batch * (3 * sum(costs) - costs[0] if training else sum(costs))

    def __str__(self) -> str:
        return f"batch {self.batch}, images {'x'.join(map(str, self.image))}"


WORKLOADS = {
    "digits": Workload(digits, 64, (1, 8, 8)),
    "lenet": Workload(lenet, 128, (1, 28, 28)),
    "conv5x5": Workload(conv5x5, 64, (3, 32, 32)),
    "strided": Workload(strided, 64, (3, 64, 64)),
    "vgg": Workload(vgg, 64, (3, 32, 32)),
    "resnet20": Workload(resnet20, 64, (3, 32, 32)),
}

# The contenders. Each function returns a call that makes one training step, or one prediction, on the workload's batch.


class UnavailableError(Exception):
    """A contender cannot take part here; the message says why."""


def minicnn(backend: str, workload: Workload, *, training: bool) -> Callable[[], Any]:
    """minicnn on one of its backends."""
    import minicnn as mc
    from minicnn.backend import backend_problem, to_backend

    if problem := backend_problem(backend):
        raise UnavailableError(problem)
    mc.set_backend(backend)
    model = workload.network(mc.nn)
    x, y = map(to_backend, workload.data())
    if not training:
        model.eval()
        return waiting(lambda: model(x), backend == "cupy" and model.parameters()[0].data.device.synchronize)
    trainer = mc.Trainer(model, optimizer=mc.optim.SGD(model.parameters(), lr=0.01, momentum=0.9))
    return waiting(lambda: trainer.train_step(x, y), backend == "cupy" and x.device.synchronize)


def waiting(call: Callable[[], Any], synchronize: Callable[[], None] | Literal[False]) -> Callable[[], Any]:
    """Return a call that also waits for a GPU, which goes on working when the call has returned."""
    return (lambda: (call(), synchronize())) if synchronize else call


def pytorch(layout: str, workload: Workload, *, training: bool) -> Callable[[], Any]:
    """PyTorch in one of its memory layouts, on the CPU or, as "CUDA NCHW", on a GPU."""
    import torch

    order = torch.channels_last if layout.endswith("channels_last") else torch.contiguous_format
    on_gpu = layout.startswith("CUDA")
    if on_gpu and not torch.cuda.is_available():
        raise UnavailableError("PyTorch finds no CUDA device")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = os.environ.get("CUPY_TF32") == "1"
    device, synchronize = ("cuda", torch.cuda.synchronize) if on_gpu else ("cpu", False)
    model = workload.network(torch_layers()).to(device, memory_format=order)
    x, y = (torch.tensor(array, device=device) for array in workload.data())
    x = x.contiguous(memory_format=order)
    if not training:
        model.eval()
        return waiting(torch.inference_mode()(lambda: model(x)), synchronize)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return waiting(step, synchronize)


def dezero(_: str, workload: Workload, *, training: bool) -> Callable[[], Any]:
    """DeZero, a framework to learn from that is written in NumPy."""
    layers = dezero_layers()
    import dezero

    model = workload.network(layers)
    x, y = workload.data()
    y = y.astype(np.int8)  # a one-hot matrix of wider labels would turn its gradients into float64

    def predict() -> Any:
        with dezero.test_mode(), dezero.no_grad():
            return model(x)

    predict()  # batch norm makes its parameters at the first call
    for parameter in model.params():
        parameter.data = parameter.data.astype(np.float32)  # under NumPy 2 they start in float64
    if not training:
        return predict
    optimizer = dezero.optimizers.MomentumSGD(lr=0.01, momentum=0.9).setup(model)

    def step() -> None:
        model.cleargrads()
        dezero.functions.softmax_cross_entropy(model(x), y).backward()
        optimizer.update()

    return step


def torch_layers() -> SimpleNamespace:
    """Return `torch.nn` and the two layers that it lacks."""
    from torch import nn

    class Residual(nn.Module):
        def __init__(self, body: Any, shortcut: Any = None) -> None:
            super().__init__()
            self.body, self.shortcut = body, shortcut or nn.Identity()

        def forward(self, x: Any) -> Any:
            return self.body(x) + self.shortcut(x)

    return SimpleNamespace(
        **vars(nn),
        GlobalAvgPool2d=lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        Residual=Residual,
    )


def dezero_layers() -> SimpleNamespace:
    """Return DeZero's layers and functions under PyTorch's names, as far as the networks above need them."""
    np.int = int  # noqa: NPY001  # DeZero 0.0.13 was written for NumPy 1, and asks for this while it is imported
    try:
        import dezero
        from dezero import functions, layers
    finally:
        del np.int  # noqa: NPY001
    # It makes arrays of float64 of plain numbers, which under NumPy 2 would turn all that they meet into float64.
    dezero.core.as_array = lambda x, xp=np: xp.array(x, dtype=np.float32) if np.isscalar(x) else x

    class Sequential(dezero.Layer):
        def __init__(self, *steps: Any) -> None:
            super().__init__()
            self.steps = steps
            for i, step in enumerate(steps):
                setattr(self, f"step{i}", step)  # an attribute is how DeZero finds a layer's parameters

        def forward(self, x: Any) -> Any:
            for step in self.steps:
                x = step(x)
            return x

    class Residual(dezero.Layer):
        def __init__(self, body: Any, shortcut: Any = None) -> None:
            super().__init__()
            self.body, self.shortcut = body, shortcut

        def forward(self, x: Any) -> Any:
            return self.body(x) + (self.shortcut(x) if self.shortcut else x)

    def conv2d(in_channels: int, out_channels: int, kernel: int, stride: int = 1, padding: int = 0, bias: bool = True):
        return layers.Conv2d(out_channels, kernel, stride, padding, nobias=not bias, in_channels=in_channels)

    return SimpleNamespace(
        Sequential=Sequential,
        Residual=Residual,
        Conv2d=conv2d,
        BatchNorm2d=lambda channels: layers.BatchNorm(),
        ReLU=lambda: functions.relu,
        MaxPool2d=lambda kernel, stride=None, padding=0: (
            lambda x: functions.pooling(x, kernel, stride or kernel, padding)
        ),
        GlobalAvgPool2d=lambda: lambda x: functions.flatten(functions.average_pooling(x, x.shape[2:])),
        Flatten=lambda: functions.flatten,
        Dropout=lambda p: lambda x: functions.dropout(x, p),
        Linear=lambda in_features, out_features: layers.Linear(out_features, in_size=in_features),
    )


CONTENDERS = {
    "minicnn numba": minicnn,
    "minicnn numpy": minicnn,
    "PyTorch channels_last": pytorch,
    "PyTorch NCHW": pytorch,
    "DeZero": dezero,
}
GPU_CONTENDERS = {"minicnn cupy": minicnn, "PyTorch CUDA channels_last": pytorch, "PyTorch CUDA NCHW": pytorch}


def contender(name: str, workload: Workload, *, training: bool) -> Callable[[], Any]:
    """Build a contender for a workload."""
    return {**CONTENDERS, **GPU_CONTENDERS}[name](name.partition(" ")[2], workload, training=training)


# Running and timing


def seconds_a_call(call: Callable[[], Any], budget: float) -> float:
    """Return the median time of a call, after two to warm up, from at least five and as many as the budget holds."""
    for _ in range(2):
        call()
    times: list[float] = []
    end = time.perf_counter() + budget
    while len(times) < 5 or time.perf_counter() < end:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def start(main: Callable[[], Any], work: Callable[..., Any]) -> None:
    """Run a script: `work` with the arguments that a parent sends and its answer printed as JSON, or else `main`."""
    if sys.argv[1:2] != ["--worker"]:
        main()
        return
    with contextlib.redirect_stdout(sys.stderr):  # the answer stands alone on the standard output
        try:
            answer = {"result": work(**json.loads(sys.argv[2]))}
        except (UnavailableError, ModuleNotFoundError) as reason:
            answer = {"unavailable": str(reason)}
    print(json.dumps(answer))


def run(script: str, job: dict[str, Any], environment: dict[str, str] | None = None) -> Any:
    """Return what the script's `work(**job)` returns in a process of its own, or raise its `UnavailableError`."""
    command = [sys.executable, script, "--worker", json.dumps(job)]
    done = subprocess.run(command, env={**os.environ, **(environment or {})}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\nended with status {done.returncode}:\n{done.stderr}")
    answer = json.loads(done.stdout)
    if "unavailable" in answer:
        raise UnavailableError(answer["unavailable"])
    return answer["result"]


def take_turns(script: str, jobs: dict[str, dict[str, Any]], rounds: int, **environment: str) -> dict[str, list]:
    """Run each job once a round, and return the results by name; a job that cannot run says why and drops out."""
    results: dict[str, list] = {}
    for _ in range(rounds):
        for name, job in list(jobs.items()):
            try:
                result = run(script, job, environment)
            except UnavailableError as reason:
                print(f"  {name} is left out: {reason}", flush=True)
                jobs = {other: job for other, job in jobs.items() if other != name}
            else:
                results.setdefault(name, []).append(result)
    return results


# The machine


def measure_ceilings(seconds: float) -> dict[str, float]:
    """Return what no contender's plain multiplication can beat: GFLOP/s of sgemm, and GB/s of copying memory.

    Both are NumPy's, at their best; a copy of 128 MiB, by all processors, reads and writes each byte. "free" is the
    share of the processors that sgemm got: less than 1 if other programs are at work.
    """
    import minicnn as mc

    n, copied, workers = 2048, 1 << 27, mc.get_num_threads()
    a, b = np.random.default_rng(0).random((2, n, n), dtype=np.float32)
    source, target = np.ones((2, workers, copied // 4 // workers), dtype=np.float32)
    pool = ThreadPoolExecutor(workers)

    def best(call: Callable[[], Any]) -> tuple[float, float]:
        """Return the shortest time of a call after one to warm up, and how many processors were at work for it."""
        call()
        times: list[float] = []
        worked = time.process_time()
        while len(times) < 2 or sum(times) < seconds:
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
        return min(times), (time.process_time() - worked) / sum(times)

    multiplying, at_work = best(lambda: a @ b)
    copying, _ = best(lambda: list(pool.map(np.copyto, target, source)))
    return {
        "sgemm_gflops": 2 * n**3 / multiplying / 1e9,
        "copy_gbytes": 2 * source.nbytes / copying / 1e9,
        "free": at_work / workers,
    }


def machine(*, quick: bool = False) -> dict[str, Any]:
    """Describe this machine and measure its ceilings, in a process of its own; print both."""
    import minicnn as mc

    facts = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*: (.*)", facts)
    widest = next((f" ({name})" for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in facts), "")
    versions = {"Python": platform.python_version()}
    for name in ("NumPy", "Numba", "torch", "dezero"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    found = {
        "cpu": (model[1] if model else platform.processor() or platform.machine()) + widest,
        "threads": mc.get_num_threads(),
        "versions": versions,
        **run(__file__, {"seconds": 0.1 if quick else 1.0}),
    }
    print(caption(found), flush=True)
    if found["free"] < 0.9:
        print(
            f"OTHER PROGRAMS ARE AT WORK, {found['free']:.0%} of the processors are free: nothing here is worth quoting"
        )
    return found


def caption(machine: dict[str, Any]) -> str:
    """Name the machine and its ceilings in two lines."""
    return (
        f"{machine['cpu']}, {machine['threads']} threads; {', '.join(map(' '.join, machine['versions'].items()))}\n"
        f"ceilings measured beside: sgemm {machine['sgemm_gflops']:.0f} GFLOP/s, "
        f"copying memory {machine['copy_gbytes']:.1f} GB/s"
    )


# Options, tables, files


def parser(doc: str | None, contenders: Iterable[str], *, seconds: float | None = None) -> argparse.ArgumentParser:
    """Return a parser with the options that all scripts share; the docstring is the help.

    seconds : what a figure takes in each turn unless the user says otherwise; None where no option for it makes sense
    """
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.set_defaults(all_contenders=list(contenders))
    add = made.add_argument
    add("--rounds", type=int, default=3, metavar="N", help="turns for each contender (default: 3)")
    if seconds:
        add("--seconds", type=float, default=seconds, metavar="X", help=f"for a figure in a turn (default: {seconds})")
    add("--contenders", nargs="+", default=[""], metavar="WORD", help="only those with one of these words in the name")
    add("--quick", action="store_true", help="one short round of the smallest: to see it run, not to quote")
    add("--json", metavar="FILE", help="write the figures to this file")
    add("--figure", metavar="FILE", help="draw them into this file (.png, .svg, .pdf)")
    return made


def parse(made: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the command line, find the contenders and workloads that it names, and shrink everything for `--quick`."""
    arguments = made.parse_args()
    everyone, words = arguments.all_contenders, arguments.contenders
    arguments.contenders = [name for name in everyone if any(word.lower() in name.lower() for word in words)]
    if not arguments.contenders:
        made.error(f"no contender has {' or '.join(words)} in its name; they are {', '.join(everyone)}")
    if unknown := set(getattr(arguments, "workloads", ())) - set(WORKLOADS):
        made.error(f"no workload {', '.join(sorted(unknown))}; they are {', '.join(WORKLOADS)}")
    arguments.workloads = getattr(arguments, "workloads", []) or list(WORKLOADS)[: 1 if arguments.quick else None]
    if arguments.quick:
        arguments.rounds, arguments.seconds = 1, 0.05
    return arguments


def record(name: str, results: dict[str, list[float]], *, unit: str, gflop: float | None = None) -> dict[str, Any]:
    """Return the results of all turns with their medians, and each median's ratio to PyTorch's better layout.

    gflop : the work behind each result, where that is a time in milliseconds
    """
    medians = {contender: statistics.median(values) for contender, values in results.items()}
    better = min((c for c in medians if c.startswith("PyTorch")), key=medians.__getitem__, default=None)
    ratios = {c: median / medians[better] for c, median in medians.items() if c != better} if better else {}
    return {
        "name": name, "unit": unit, "gflop": gflop,
        "results": results, "medians": medians, "reference": better, "ratios": ratios,
    }  # fmt: skip


def show(record: dict[str, Any], detail: str = "", *, ceiling: float = math.inf) -> None:
    """Print the median, the least and the greatest result of each contender, its speed, and minicnn's ratios."""
    gflop = record["gflop"]
    print(f"\n{record['name']}{': ' * bool(detail)}{detail}")
    print(f"  {'':<22}{record['unit']:>12}      from        to{'  GFLOP/s  of sgemm' if gflop else ''}")
    for contender, values in record["results"].items():
        median = record["medians"][contender]
        speed = f"{1e3 * gflop / median:9.1f}{1e5 * gflop / median / ceiling:8.0f} %" if gflop else ""
        print(f"  {contender:<22}{number(median):>12}{number(min(values)):>10}{number(max(values)):>10}{speed}")
    for contender, ratio in record["ratios"].items():
        if contender.startswith("minicnn"):
            print(f"  {contender} / {record['reference']}: {ratio:.2f}")
    sys.stdout.flush()


def number(value: float) -> str:
    """Write three digits, or all of a whole number."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def summarise(records: list[dict[str, Any]], what: str = "", *, each: bool = True) -> None:
    """Print each minicnn's ratios to PyTorch's better layout, unless they stand above, and their geometric mean."""
    print(f"\n{what}")
    for contender in {name: None for record in records for name in record["ratios"] if name.startswith("minicnn")}:
        ratios = {record["name"]: record["ratios"][contender] for record in records if contender in record["ratios"]}
        listed = "".join(f"{name} {ratio:.2f}; " for name, ratio in ratios.items()) if each else ""
        mean = statistics.geometric_mean(ratios.values())
        print(f"{contender} / PyTorch's better layout: {listed}geometric mean of {len(ratios)}: {mean:.2f}")
    if not any(record["reference"] for record in records):
        print("PyTorch did not take part, so there is no ratio")


def save(arguments: argparse.Namespace, machine: dict[str, Any], records: Any, draw: Callable[[], "Figure"]) -> None:
    """Write the JSON and the figure that were asked for; the machine is named in both."""
    if arguments.json:
        command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
        content = {"command": command, "machine": machine, "records": records}
        Path(arguments.json).write_text(json.dumps(content, indent=1) + "\n")
    if arguments.figure:
        figure = draw()
        figure.supxlabel(caption(machine), fontsize=7.5, color="0.4")
        figure.savefig(arguments.figure, dpi=160)


# Figures

STYLES = {  # Okabe and Ito's colours: apart for every eye
    "minicnn numba": ("#0072B2", "o"),
    "minicnn numpy": ("#56B4E9", "s"),
    "PyTorch channels_last": ("#D55E00", "D"),
    "PyTorch NCHW": ("#E69F00", "^"),
    "DeZero": ("#888888", "v"),
    "minicnn cupy": ("#0072B2", "o"),
    "PyTorch CUDA channels_last": ("#D55E00", "D"),
    "PyTorch CUDA NCHW": ("#E69F00", "^"),
}
OURS = ("minicnn numba", "minicnn cupy")
"""Whose figures are written out."""


def new_figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def draw_ratios(records: list[dict[str, Any]], title: str, what: str) -> "Figure":
    """Draw a row for each record: every contender at its ratio to PyTorch's better layout, on a logarithmic axis."""
    figure = new_figure(8.5, 1.9 + 0.55 * len(records))
    axes = figure.subplots()
    names = list(dict.fromkeys(name for record in records for name in record["medians"]))
    labels = []
    for row, record in enumerate(records):
        base = record["medians"][record["reference"] or names[0]]
        for name, median in record["medians"].items():
            dot(axes, median / base, row, name)
            if name in OURS:
                axes.annotate(
                    f"{median / base:.2f}", (median / base, row), (0, 7), textcoords="offset points", ha="center",
                    fontsize=9, fontweight="bold", color=STYLES[name][0],
                )  # fmt: skip
        shown = {
            "minicnn": next((record["medians"][name] for name in OURS if name in record["medians"]), None),
            "PyTorch": record["medians"].get(record["reference"]),
        }
        values = ", ".join(
            f"{name} {number(v)} {record['unit'].split()[0]}" for name, v in shown.items() if v is not None
        )
        labels.append(f"{record['name']}\n{values}")
    axes.axvline(1, color="0.3", linewidth=1, zorder=1)
    axes.set_xscale("log")
    plain_ticks(axes.xaxis)
    left, right = axes.get_xlim()
    axes.set_xlim(min(left / 1.1, 0.6), max(right * 1.1, 2))
    axes.axvspan(axes.get_xlim()[0], 1, color=STYLES["minicnn numba"][0], alpha=0.05, linewidth=0)
    axes.set_yticks(range(len(records)), labels, fontsize=9)
    axes.set_ylim(len(records) - 0.5, -0.6)
    other = "PyTorch's better layout" if any(record["reference"] for record in records) else names[0]
    axes.set_xlabel(f"{what}, as a multiple of that of {other}; left is better")
    axes.grid(axis="x", which="both", alpha=0.25)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    legend(figure, {name: name for name in names})
    axes.set_title(title, fontsize=11)
    return figure


def dot(axes: "Axes", x: float, y: float, contender: str) -> None:
    """Put a contender's mark at a point."""
    colour, marker = STYLES[contender]
    axes.plot(x, y, marker, color=colour, markersize=8, markeredgecolor="white", zorder=3)


def legend(figure: "Figure", labels: dict[str, str]) -> None:
    """Explain, above everything, whose marks are whose: a contender's for each label."""
    from matplotlib.lines import Line2D

    styles = {label: STYLES[contender] for label, contender in labels.items()}
    handles = [
        Line2D([], [], linestyle="", color=colour, marker=marker, markersize=8, label=label)
        for label, (colour, marker) in styles.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=9)


def plain_ticks(axis: "Axis") -> None:
    """Write 0.5, 1, 2, 5, 10 at a logarithmic axis, not powers of ten."""
    from matplotlib.ticker import LogLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")


if __name__ == "__main__":
    start(machine, measure_ceilings)
