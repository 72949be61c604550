"""How much memory does training need, beside PyTorch's and DeZero's?

    python benchmarks/memory.py [digits lenet conv5x5 strided vgg] [--json FILE] [--figure FILE.png]

"Steps" is the peak of the resident memory in four training steps, above what the process held when library, model and
data were ready, the library having made a step with two images and one of a small network: so what it loads and sets up
once is not in it.
"Process" is the peak of all that the process held, with interpreter and library.
"""

import resource
import sys
from dataclasses import replace
from pathlib import Path

import harness
from harness import CONTENDERS, WORKLOADS


def peak() -> float:
    """Return the greatest resident memory since the peak was last forgotten, in MB."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line[:6] == "VmHWM:") * 1.024e-3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1e-6 if sys.platform == "darwin" else 1.024e-3)


def forget_peak() -> bool:
    """Let the peak be what is held now; where the system cannot, what importing took may hide what a step takes."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def work(workload: str, contender: str) -> dict[str, float]:
    """Return both peaks in MB, and whether the first is more than a lower bound."""
    for name, batch in (("digits", 16), (workload, 2)):  # a library may have other kernels for the larger batch
        harness.contender(contender, replace(WORKLOADS[name], batch=batch), training=True)()
    step = harness.contender(contender, WORKLOADS[workload], training=True)
    exact = forget_peak()
    before = peak()
    for _ in range(4):
        step()
    return {"steps": peak() - before, "process": peak(), "exact": exact}


def main() -> None:
    parser = harness.parser(__doc__, CONTENDERS)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)} (default: all)")
    arguments = harness.parse(parser)
    machine = harness.machine(quick=arguments.quick)
    records = []
    for name in arguments.workloads:
        jobs = {contender: {"workload": name, "contender": contender} for contender in arguments.contenders}
        turns = harness.take_turns(__file__, jobs, arguments.rounds)
        for what in ("steps", "process"):
            results = {contender: [turn[what] for turn in own] for contender, own in turns.items()}
            records.append(harness.record(f"{name}, {what}", results, unit="MB"))
            harness.show(records[-1])
    if not all(turn["exact"] for own in turns.values() for turn in own):
        print("\nthe peak cannot be reset on this system, so what steps take is a lower bound")
    for what in ("process", "steps"):
        harness.summarise([record for record in records if record["name"].endswith(what)], what)
    title = "Peak of resident memory in training"
    harness.save(arguments, machine, records, lambda: harness.draw_ratios(records, title, "memory"))


if __name__ == "__main__":
    harness.start(main, work)
