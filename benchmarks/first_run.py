"""How long does a newcomer wait: for `import minicnn`, for the first `minicnn train`, and for the second?

    python benchmarks/first_run.py [--epochs 30] [--backend numba] [--rounds 5] [--json FILE] [--figure FILE.png]

The first training finds an empty cache of compiled kernels, the second what the first has left there. Imports are timed
in fresh interpreters, beside PyTorch's.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import harness

MODULES = {"minicnn": "minicnn", "PyTorch": "torch", "NumPy": "numpy"}
HEAVY = ("numba", "matplotlib", "sklearn", "scipy")  # what `import minicnn` had better leave for later
IMPORT = """
import json, sys, time
began = time.perf_counter()
import {module}
print(json.dumps([time.perf_counter() - began, [name for name in {heavy} if name in sys.modules]]))
"""
PARTS = {"starting and importing": "#56B4E9", "compiling": "#D55E00", "all else": "#0072B2"}


def work(launched: float, options: list[str]) -> dict[str, float]:
    """Run `minicnn train` on the digits; return the seconds from launch to each stage, and those spent compiling."""
    from numba.core import event

    import minicnn as mc
    from minicnn.cli import main as minicnn_main

    stages = {"imported": time.time() - launched}
    train_step = mc.Trainer.train_step

    def timed_step(*args: Any, **kwargs: Any) -> Any:
        result = train_step(*args, **kwargs)
        stages.setdefault("first step", time.time() - launched)
        return result

    mc.Trainer.train_step = timed_step
    compiling = event.TimingListener()
    with tempfile.TemporaryDirectory() as folder, event.install_listener("numba:compile", compiling):
        status = minicnn_main(["train", *options, "--out", f"{folder}/run"])
    if status:
        raise SystemExit(status)
    return {**stages, "end": time.time() - launched, "compiling": compiling.duration if compiling.done else 0}


def time_imports(names: list[str], rounds: int) -> tuple[dict[str, list[float]], list[str]]:
    """Return the seconds that each import takes in fresh interpreters, and what heavy modules minicnn's brings."""
    seconds: dict[str, list[float]] = {}
    brought = []
    for _ in range(rounds):
        for name in names:
            command = [sys.executable, "-c", IMPORT.format(module=MODULES[name], heavy=HEAVY)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                print(f"  {name} is left out: {done.stderr.splitlines()[-1]}")
                continue
            took, found = json.loads(done.stdout)
            seconds.setdefault(name, []).append(took)
            brought = found if name == "minicnn" else brought
    return seconds, brought


def time_runs(options: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """Train twice a round, each time in a process of its own, with a cache that is empty at first; return medians."""
    turns: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            for name in ("first run", "second run"):
                job = {"launched": time.time(), "options": options}
                for result in harness.take_turns(__file__, {name: job}, 1, NUMBA_CACHE_DIR=cache).get(name, []):
                    turns.setdefault(name, []).append(result)
    return {name: {key: statistics.median(t[key] for t in own) for key in own[0]} for name, own in turns.items()}


def draw(imports: dict[str, Any], runs: dict[str, dict[str, float]]) -> Any:
    """Draw both trainings as bars made of their parts, with a mark at the first step, and the imports below."""
    figure = harness.new_figure(8.5, 4)
    above, below = figure.subplots(2, 1, height_ratios=(len(runs) or 1, len(imports["medians"])))
    for name, run in runs.items():
        lengths = run["imported"], run["compiling"], run["end"] - run["imported"] - run["compiling"]
        start = 0.0
        for (part, colour), length in zip(PARTS.items(), lengths, strict=True):
            above.barh(name, length, left=start, color=colour, height=0.55, label=part if name == "first run" else None)
            start += length
        above.plot(run["first step"], name, "D", color="white", markeredgecolor="black", markersize=7)
        above.annotate(f"{start:.1f} s", (start, name), (5, 0), textcoords="offset points", va="center", fontsize=9)
    above.plot([], [], "D", color="white", markeredgecolor="black", label="first training step done", linestyle="")
    above.set_title("minicnn train, from launch to end", fontsize=11, loc="left")
    for name, seconds in imports["medians"].items():
        below.barh(f"import {MODULES[name]}", seconds, color="#0072B2" if name == "minicnn" else "0.7", height=0.55)
        below.annotate(
            f"{seconds:.2f} s",
            (seconds, f"import {MODULES[name]}"),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    for axes in (above, below):
        axes.invert_yaxis()
        axes.margins(x=0.1)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    below.set_xlabel("seconds")
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    return figure


def main() -> None:
    parser = harness.parser(__doc__, MODULES)
    parser.add_argument("--epochs", type=int, default=30, metavar="N", help="of each training (default: 30)")
    parser.add_argument("--backend", default="numba", help="numba or numpy, which compiles nothing (default: numba)")
    arguments = harness.parse(parser)
    machine = harness.machine(quick=arguments.quick)
    options = ["--epochs", str(1 if arguments.quick else arguments.epochs), "--backend", arguments.backend]
    runs = time_runs(options, arguments.rounds)
    columns = ("imported", "first step", "end", "compiling")
    print(f"\nminicnn train {' '.join(options)}: seconds from launch, and of compiling in them")
    print(f"  {'':<10}{''.join(f'{column:>12}' for column in columns)}")
    for name, run in runs.items():
        print(f"  {name:<10}{''.join(f'{run[column]:12.2f}' for column in columns)}")
    if len(runs) == 2:
        print(f"  first run / second run: {runs['first run']['end'] / runs['second run']['end']:.2f}", flush=True)
    seconds, brought = time_imports(arguments.contenders, arguments.rounds)
    imports = harness.record("import", seconds, unit="s")
    imports["brought"] = brought
    harness.show(imports, f"minicnn's brings {', '.join(brought) or 'none'} of {', '.join(HEAVY)}")
    harness.save(arguments, machine, {"imports": imports, "runs": runs}, lambda: draw(imports, runs))


if __name__ == "__main__":
    harness.start(main, work)
