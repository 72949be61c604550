"""How long does a training step take, beside PyTorch's and DeZero's?

    python benchmarks/train_step.py [WORKLOAD ...] [--rounds 5] [--json FILE] [--figure FILE.png]
    python benchmarks/train_step.py --backend cupy [--batch 256] [--tf32]          on a GPU, beside PyTorch with cuDNN

A step is zero-grad, forward, loss, backward and SGD with momentum, in float32. PyTorch runs in both of its memory
layouts where it is installed; the ratio is to the better of the two. On a GPU a step ends when the GPU is done, and
products are in full float32 unless `--tf32` is given, for both.
"""

import dataclasses

import harness
from harness import CONTENDERS, GPU_CONTENDERS, WORKLOADS

from minicnn.backend import backend_problem, device_description


def work(workload: str, contender: str, seconds: float, batch: int | None = None) -> float:
    """Return the median time of a step in milliseconds."""
    case = dataclasses.replace(WORKLOADS[workload], batch=batch or WORKLOADS[workload].batch)
    return 1000 * harness.seconds_a_call(harness.contender(contender, case, training=True), seconds)


def main() -> None:
    parser = harness.parser(__doc__, [*CONTENDERS, *GPU_CONTENDERS], seconds=2)
    parser.add_argument("--backend", choices=["numba", "cupy"], default="numba", help="where (default: numba, a CPU)")
    parser.add_argument("--batch", type=int, metavar="N", help="images a step (default: the workload's)")
    parser.add_argument("--tf32", action="store_true", help="let GPUs round factors to 10 bits in matrix products")
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)} (default: all)")
    arguments = harness.parse(parser)
    there = GPU_CONTENDERS if arguments.backend == "cupy" else CONTENDERS
    arguments.contenders = [name for name in arguments.contenders if name in there]
    machine = harness.machine(quick=arguments.quick)
    on_gpu = arguments.backend == "cupy"
    if on_gpu and not backend_problem("cupy"):
        machine["cpu"] = f"{device_description()}, TF32 {'on' if arguments.tf32 else 'off'}; host: {machine['cpu']}"
    records = []
    for name in arguments.workloads:
        job = {"workload": name, "seconds": arguments.seconds, "batch": arguments.batch}
        jobs = {contender: {**job, "contender": contender} for contender in arguments.contenders}
        times = harness.take_turns(__file__, jobs, arguments.rounds, CUPY_TF32=str(int(arguments.tf32)))
        case = dataclasses.replace(WORKLOADS[name], batch=arguments.batch or WORKLOADS[name].batch)
        gflop = None if on_gpu else case.operations(training=True) / 1e9  # the ceiling that is measured is the CPU's
        records.append(harness.record(name, times, unit="ms a step", gflop=gflop))
        harness.show(records[-1], str(case), ceiling=machine["sgemm_gflops"])
    if not any(record["results"] for record in records):
        raise SystemExit("none of the contenders can run here")
    harness.summarise(records)
    harness.save(arguments, machine, records, lambda: harness.draw_ratios(records, "One training step", "time"))


if __name__ == "__main__":
    harness.start(main, work)
