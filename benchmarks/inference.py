"""How long does a prediction take, of a batch and of a single image, beside PyTorch's and DeZero's?

    python benchmarks/inference.py [digits lenet conv5x5 strided vgg] [--rounds 5] [--json FILE] [--figure FILE.png]

The model is in evaluation mode and the images lie ready in memory; PyTorch works under `torch.inference_mode()`. The
networks and batches are those of train_step.py.
"""

from dataclasses import replace

import harness
from harness import CONTENDERS, WORKLOADS


def work(workload: str, batch: int, contender: str, seconds: float) -> float:
    """Return the median time of a prediction in milliseconds."""
    predict = harness.contender(contender, replace(WORKLOADS[workload], batch=batch), training=False)
    return 1000 * harness.seconds_a_call(predict, seconds)


def main() -> None:
    parser = harness.parser(__doc__, CONTENDERS, seconds=1)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)} (default: all)")
    arguments = harness.parse(parser)
    machine = harness.machine(quick=arguments.quick)
    records = []
    for name in arguments.workloads:
        for batch in (WORKLOADS[name].batch, 1):
            jobs = {
                contender: {"workload": name, "batch": batch, "contender": contender, "seconds": arguments.seconds}
                for contender in arguments.contenders
            }
            times = harness.take_turns(__file__, jobs, arguments.rounds)
            workload = replace(WORKLOADS[name], batch=batch)
            gflop = workload.operations(training=False) / 1e9
            record = harness.record(f"{name}, batch {batch}", times, unit="ms a batch", gflop=gflop)
            harness.show(record, ceiling=machine["sgemm_gflops"])
            records.append(record)
    harness.summarise(records)
    harness.save(arguments, machine, records, lambda: harness.draw_ratios(records, "Prediction", "time"))


if __name__ == "__main__":
    harness.start(main, work)
