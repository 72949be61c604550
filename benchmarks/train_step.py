"""How long does a training step take, beside PyTorch's and DeZero's?

    python benchmarks/train_step.py [digits lenet conv5x5 strided vgg] [--rounds 5] [--json FILE] [--figure FILE.png]

A step is zero-grad, forward, loss, backward and SGD with momentum, in float32. PyTorch runs in both of its memory
layouts where it is installed; the ratio is to the better of the two.
"""

import harness
from harness import CONTENDERS, WORKLOADS


def work(workload: str, contender: str, seconds: float) -> float:
    """Return the median time of a step in milliseconds."""
    return 1000 * harness.seconds_a_call(harness.contender(contender, WORKLOADS[workload], training=True), seconds)


def main() -> None:
    parser = harness.parser(__doc__, CONTENDERS, seconds=2)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)} (default: all)")
    arguments = harness.parse(parser)
    machine = harness.machine(quick=arguments.quick)
    records = []
    for name in arguments.workloads:
        jobs = {c: {"workload": name, "contender": c, "seconds": arguments.seconds} for c in arguments.contenders}
        times = harness.take_turns(__file__, jobs, arguments.rounds)
        gflop = WORKLOADS[name].operations(training=True) / 1e9
        records.append(harness.record(name, times, unit="ms a step", gflop=gflop))
        harness.show(records[-1], str(WORKLOADS[name]), ceiling=machine["sgemm_gflops"])
    harness.summarise(records)
    harness.save(arguments, machine, records, lambda: harness.draw_ratios(records, "One training step", "time"))


if __name__ == "__main__":
    harness.start(main, work)
