"""How long does one training step take, beside PyTorch's?

    python benchmarks/train_step.py [digits lenet vgg] [--rounds 5] [--json FILE]

A step is zero-grad, forward, loss, backward and SGD with momentum, in float32. Each contender is a process of its own,
and they take turns, round after round, since machines are noisy: only the ratios at the end are worth quoting. PyTorch
runs in both of its memory layouts where it is installed, and the ratio is to the better of the two.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

CONTENDERS = ("minicnn numpy", "minicnn numba", "PyTorch NCHW", "PyTorch channels_last")
WORKLOADS = {  # batch, image, layers: c = convolution 3x3 with padding 1, n = the same before a batch norm
    "digits": (64, (1, 8, 8), "c1,16 r p c16,32 r p f l128,10"),
    "lenet": (128, (1, 28, 28), "c1,32 r p c32,64 r p f l3136,128 r d l128,10"),
    "vgg": (64, (3, 32, 32), "n3,64 r n64,64 r p n64,128 r n128,128 r p n128,256 r n256,256 r p f l4096,10"),
}


def build(nn, layers: str):
    """The same words make the network of either library: the names of the layers are the same."""
    made = []
    for word in layers.split():
        sizes = [int(size) for size in word[1:].split(",") if size]
        if word[0] in "cn":
            made.append(nn.Conv2d(*sizes, 3, padding=1, bias=word[0] == "c"))
            made += [nn.BatchNorm2d(sizes[1])] if word[0] == "n" else []
        elif word[0] == "l":
            made.append(nn.Linear(*sizes))
        else:
            made.append({"r": nn.ReLU, "p": lambda: nn.MaxPool2d(2), "f": nn.Flatten, "d": nn.Dropout}[word[0]]())
    return nn.Sequential(*made)


def minicnn_step(backend: str, x, y, layers: str):
    import minicnn as mc

    mc.set_backend(backend)
    model = build(mc.nn, layers)
    trainer = mc.Trainer(model, optimizer=mc.optim.SGD(model.parameters(), lr=0.01, momentum=0.9))
    return lambda: trainer.train_step(x, y)


def torch_step(layout: str, x, y, layers: str):
    import torch

    memory_format = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    model = build(torch.nn, layers).to(memory_format=memory_format)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x, y = torch.tensor(x).contiguous(memory_format=memory_format), torch.tensor(y)

    def step():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def work(contender: str, workload: str) -> None:
    """Print the median time of a step in milliseconds."""
    batch, image, layers = WORKLOADS[workload]
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(batch, *image)).astype(np.float32), rng.integers(0, 10, size=batch)
    library, how = contender.split()
    step = (minicnn_step if library == "minicnn" else torch_step)(how, x, y, layers)
    for _ in range(3):
        step()
    times: list[float] = []
    while len(times) < 7 or sum(times) < 2:
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    print(1000 * statistics.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="turns for each contender (default: 3)")
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work(*arguments.worker)

    try:
        import torch  # noqa: F401

        contenders = CONTENDERS
    except ImportError:
        print("PyTorch is not installed, so there is nothing to compare with")
        contenders = CONTENDERS[:2]
    results: dict[str, dict[str, float]] = {}
    for workload in arguments.workloads or WORKLOADS:
        times: dict[str, list[float]] = {contender: [] for contender in contenders}
        for _ in range(arguments.rounds):
            for contender in contenders:
                command = [sys.executable, __file__, "--worker", contender, workload]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                times[contender].append(float(done.stdout))
        results[workload] = {contender: statistics.median(values) for contender, values in times.items()}
        print(f"\n{workload}: batch {WORKLOADS[workload][0]}, images {WORKLOADS[workload][1]}")
        for contender, median in results[workload].items():
            print(f"  {contender:<22} {median:8.2f} ms a step")
        reference = [median for contender, median in results[workload].items() if contender.startswith("PyTorch")]
        if reference:
            for contender in CONTENDERS[:2]:
                print(
                    f"  {contender} / PyTorch's better: {results[workload][contender] / min(reference):.2f}", flush=True
                )
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
