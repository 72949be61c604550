"""How well does the LeNet learn MNIST's 10,000 test images (8,000 to train on), and is it as good as in PyTorch?

    python benchmarks/mnist_accuracy.py --data-root DIR [--seeds 5] [--json FILE]

Each training is a process of its own: five epochs of batches of 128 with Adam at 1e-3. The seed decides the split, the
weights and the order. PyTorch, where it is installed, gets the same split and the same first weights.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import harness

EPOCHS, BATCH, LR = 5, 128, 1e-3


def train_minicnn(seed: int, data_root: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        options = (
            f"--dataset mnist --model lenet --epochs {EPOCHS} --batch-size {BATCH} --lr {LR} --seed {seed}".split()
        )
        command = [sys.executable, "-m", "minicnn", "train", *options, "--data-root", data_root, "--out", str(out)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.loads((out / "result.json").read_text())["test"]["accuracy"]


def train_torch(seed: int, data_root: str) -> float:
    command = [sys.executable, __file__, "--torch-worker", str(seed), "--data-root", data_root]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def torch_worker(seed: int, data_root: str) -> None:
    import torch
    from torch import nn

    import minicnn as mc

    splits = mc.data.normalise(mc.data.load("mnist", root=data_root, seed=seed))
    mc.seed(seed)
    start = mc.models.create("lenet", input_shape=(1, 28, 28), classes=10).state_dict()
    model = harness.lenet(nn)
    model.load_state_dict({name: torch.tensor(value) for name, value in start.items()})
    torch.manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    x, y = torch.tensor(splits.train.x), torch.tensor(splits.train.y)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    model.eval()
    test = splits.test.open("accuracy of the PyTorch model")
    with torch.no_grad():
        print((model(torch.tensor(test.x)).argmax(dim=1) == torch.tensor(test.y)).double().mean().item())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, help="folder with mnist/t10k-images-idx3-ubyte.gz and its labels")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--torch-worker", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.torch_worker is not None:
        return torch_worker(arguments.torch_worker, arguments.data_root)

    contenders = {"minicnn": train_minicnn}
    try:
        import torch  # noqa: F401

        contenders["PyTorch"] = train_torch
    except ImportError:
        print("PyTorch is not installed, so there is nothing to compare with")
    accuracies: dict[str, list[float]] = {name: [] for name in contenders}
    for seed in range(arguments.seeds):
        for name, train in contenders.items():
            accuracies[name].append(train(seed, arguments.data_root))
            print(f"seed {seed}  {name:<8} test accuracy {accuracies[name][-1]:.4f}", flush=True)
    for name, values in accuracies.items():
        print(f"{name:<8} mean {statistics.mean(values):.4f}, from {min(values):.4f} to {max(values):.4f}")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(accuracies, indent=1) + "\n")


if __name__ == "__main__":
    main()
