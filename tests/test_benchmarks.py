"""Every benchmark runs as it stands, at its smallest; what they share counts, compares and builds as it says."""

import dataclasses
import importlib.util
import json
import os
import re
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from oracles import needs_torch, torch

import minicnn as mc

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = ("first_run", "scaling", "inference", "train_step", "memory", "conv")
ONE_THREAD = dict.fromkeys(("MINICNN_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # two scripts run
RATIO = re.compile(r"^ *minicnn.* / PyTorch.*\d\.\d\d$")


def load(name):
    """Import a script from its file; its folder is no package."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


harness = load("harness")


def run(script, *options, **environment):
    done = subprocess.run(
        [sys.executable, str(FOLDER / f"{script}.py"), *options],
        env={**os.environ, **ONE_THREAD, "PYTHONWARNINGS": "error", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def without_torch(tmp_path):
    """Return an environment in which PyTorch cannot be imported."""
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\")\n")
    return {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])}


def test_all_scripts_are_tested():
    others = {
        "harness",
        "mnist_accuracy",
        "diagnosis",
        "augmentation",
        "callbacks",
    }  # the first takes minutes; three are below
    assert {path.stem for path in FOLDER.glob("*.py")} == {*SCRIPTS, *others}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Run all scripts, two at a time (the figures are not looked at); return what each prints, to be waited for."""
    folder = tmp_path_factory.mktemp("benchmarks")
    usual = "--contenders", "auto", "numba", "channels_last"
    options = dict.fromkeys(SCRIPTS, usual) | {"first_run": ("--backend", "numpy")}
    with ThreadPoolExecutor(2) as pool:
        yield folder, {
            script: pool.submit(
                run, script, "--quick", "--json", f"{folder}/{script}.json", "--figure", f"{folder}/{script}.png",
                *options[script],
            )
            for script in SCRIPTS
        }  # fmt: skip


@needs_torch
@pytest.mark.parametrize("script", SCRIPTS)
def test_script_runs_and_ends_with_a_ratio_to_pytorch(script, outputs):
    folder, printed = outputs
    assert RATIO.match(printed[script].result().splitlines()[-1])
    written = json.loads((folder / f"{script}.json").read_text())
    assert written["machine"]["sgemm_gflops"] > 1
    assert f"sgemm {written['machine']['sgemm_gflops']:.0f} GFLOP/s" in printed[script].result()
    assert written["command"].startswith(f"python benchmarks/{script}.py --quick")
    assert written["records"]
    assert (folder / f"{script}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_first_run_compiles_and_the_second_finds_it_done(tmp_path):
    run("first_run", "--quick", "--json", str(tmp_path / "out.json"), "--contenders", "numpy")
    runs = json.loads((tmp_path / "out.json").read_text())["records"]["runs"]
    assert runs["first run"]["compiling"] > 1 > runs["second run"]["compiling"]
    for times in runs.values():
        assert 0 < times["imported"] < times["first step"] < times["end"]
        assert times["imported"] + times["compiling"] < times["end"]


def test_without_pytorch_a_script_says_so_and_goes_on(without_torch):
    printed = run("train_step", "--quick", "--contenders", "numpy", "NCHW", **without_torch)
    assert "PyTorch NCHW is left out: No module named 'torch'" in printed
    assert re.search(r"^  minicnn numpy +\d", printed, flags=re.MULTILINE)
    assert printed.endswith("PyTorch did not take part, so there is no ratio\n")


def test_a_name_that_is_unknown_is_refused_with_the_known_ones():
    with pytest.raises(AssertionError, match="no workload lenett; they are digits, lenet"):
        run("train_step", "lenett")
    with pytest.raises(AssertionError, match="no contender has tensorflow in its name; they are minicnn numba"):
        run("train_step", "--contenders", "tensorflow")


def test_a_contender_that_fails_ends_the_script_with_its_error():
    with pytest.raises(SystemExit, match="KeyError: 'lenett'"):
        harness.run(str(FOLDER / "train_step.py"), {"workload": "lenett", "contender": "DeZero", "seconds": 0})


def test_record_compares_medians_with_the_better_layout():
    results = {
        "minicnn numba": [9.0, 3.0, 2.0],
        "PyTorch NCHW": [2.0, 2.0, 1.0],
        "PyTorch channels_last": [8.0, 8.0, 1.0],
    }
    record = harness.record("x", results, unit="ms")
    assert record["reference"] == "PyTorch NCHW"
    assert record["ratios"] == {"minicnn numba": 1.5, "PyTorch channels_last": 4.0}


def test_operations_are_counted():
    convolutions = 28 * 28 * 32 * 9, 14 * 14 * 64 * 32 * 9
    linear = 3136 * 128 + 128 * 10
    workload = dataclasses.replace(harness.WORKLOADS["lenet"], batch=2)
    assert workload.operations(training=False) == 4 * (sum(convolutions) + linear)
    assert workload.operations(training=True) == 4 * (2 * convolutions[0] + 3 * (convolutions[1] + linear))


def test_operations_and_bytes_of_a_convolution_are_counted(monkeypatch):
    monkeypatch.setitem(sys.modules, "harness", harness)
    layer = load("conv").Layer(2, 8, 3, 5, kernel=3, stride=2)
    x, w, y = 2 * 3 * 8 * 8, 5 * 3 * 3 * 3, 2 * 5 * 4 * 4
    assert [layer.operations(backward) for backward in (False, True)] == [2 * y * 27, 4 * y * 27]
    assert [layer.moved(backward) for backward in (False, True)] == [4 * (x + w + y), 4 * (2 * x + 2 * w + y)]


def test_a_layer_that_an_algorithm_refuses_is_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "harness", harness)
    conv = load("conv")
    strided, plain = (conv.Layer(2, 8, 16, 16, kernel=3, stride=stride) for stride in (2, 1))
    refused, done = conv.work("minicnn winograd", [strided, plain], seconds=0)
    assert refused is None
    assert len(done) == 2
    assert min(done) > 0


def test_exponents_are_those_of_a_power(monkeypatch):
    monkeypatch.setitem(sys.modules, "harness", harness)
    assert load("scaling").exponent([1, 2, 4, 8], [3.0, 12.0, 48.0, 192.0]) == pytest.approx(2)


@needs_torch
@pytest.mark.parametrize("name", harness.WORKLOADS)
def test_pytorch_is_given_the_same_network(name):
    workload = dataclasses.replace(harness.WORKLOADS[name], batch=2)
    ours, theirs = workload.network(mc.nn).eval(), workload.network(harness.torch_layers()).eval()
    theirs.load_state_dict({key: torch.tensor(value) for key, value in ours.state_dict().items()})
    x, _ = workload.data()
    with torch.no_grad():
        expected = theirs(torch.tensor(x)).numpy()
    np.testing.assert_allclose(ours(x), expected, rtol=1e-3, atol=1e-4)


@pytest.fixture
def dezero():
    """Return DeZero, which warns while it is imported."""
    if importlib.util.find_spec("dezero") is None:
        pytest.skip("DeZero (pip install dezero) is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        harness.dezero_layers()
    return sys.modules["dezero"]


def pairs_of_layers(ours, theirs):
    """Our layers and DeZero's in the same places, out of their containers."""
    if isinstance(ours, mc.nn.Sequential):
        for our, their in zip(ours, theirs.steps, strict=True):
            yield from pairs_of_layers(our, their)
    elif isinstance(ours, mc.nn.Residual):
        yield from pairs_of_layers(ours.body, theirs.body)
        if theirs.shortcut:
            yield from pairs_of_layers(ours.shortcut, theirs.shortcut)
    else:
        yield ours, theirs


@pytest.mark.parametrize("name", harness.WORKLOADS)
def test_dezero_is_given_the_same_network(name, dezero):
    workload = dataclasses.replace(harness.WORKLOADS[name], batch=2)
    ours, theirs = workload.network(mc.nn).eval(), workload.network(harness.dezero_layers())
    x, _ = workload.data()
    for our, their in pairs_of_layers(ours, theirs):
        if isinstance(our, mc.nn.Conv2d):
            their.W.data = our.weight.data
        elif isinstance(our, mc.nn.Linear):
            their.W.data = our.weight.data.T
    with dezero.test_mode(), dezero.no_grad():
        np.testing.assert_allclose(ours(x), theirs(x).data, rtol=1e-3, atol=1e-4)


def test_dezero_computes_in_float32(dezero, monkeypatch):
    types = set()
    optimizer = dezero.optimizers.MomentumSGD
    monkeypatch.setattr(optimizer, "update_one", lambda _, p: types.update({p.data.dtype, p.grad.data.dtype}))
    for name in ("lenet", "strided"):
        workload = dataclasses.replace(harness.WORKLOADS[name], batch=2)
        harness.contender("DeZero", workload, training=True)()
    assert types == {np.dtype(np.float32)}


@pytest.mark.alone
def test_diagnosis_counts_by_kind(tmp_path):
    file = tmp_path / "verdicts.json"
    printed = run("diagnosis", "sign", "zero", "--json", str(file))
    verdicts = json.loads(file.read_text())["mistakes"]
    assert {verdict["kind"] for verdict in verdicts} == {"sign", "zero"}
    named = sum(verdict["named"] in (verdict["kind"], *verdict["also"]) for verdict in verdicts)
    total = next(line.split() for line in printed.splitlines() if line.startswith("all "))
    assert total[:4] == ["all", str(len(verdicts)), str(len(verdicts)), str(named)]
    assert "0 false alarms" in printed


def test_diagnosis_knows_no_other_kinds(tmp_path):
    done = subprocess.run(
        [sys.executable, str(FOLDER / "diagnosis.py"), "sine"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "there is no kind sine" in done.stderr


def test_augmentation_is_held_against_the_training_step(tmp_path):
    file, image = tmp_path / "augmentation.json", tmp_path / "augmentation.png"
    printed = run("augmentation", "flip", "typical", "--quick", "--json", str(file), "--figure", str(image))
    records = json.loads(file.read_text())["records"]
    assert records["step_ms"] > 0
    for backend in ("minicnn numba", "minicnn numpy"):
        flip, typical = (records["milliseconds"][backend][name] for name in ("flip", "typical"))
        assert 0 < flip < typical
    ratio = records["milliseconds"]["minicnn numba"]["flip"] / records["step_ms"]
    assert re.search(rf"^  flip +\d\S+ +{ratio:.2f} ", printed, flags=re.MULTILINE)
    assert image.read_bytes().startswith(b"\x89PNG")


def test_augmentation_knows_no_other_names():
    with pytest.raises(AssertionError, match="no augmentation flipp; they are flip, shift"):
        run("augmentation", "flipp")


def test_what_watching_costs_is_held_against_an_epoch_alone(tmp_path):
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    file, image = tmp_path / "callbacks.json", tmp_path / "callbacks.png"
    shown = "--json", str(file), "--figure", str(image)
    printed = run("callbacks", "--quick", "--contenders", "histograms", *shown)
    records = json.loads(file.read_text())["records"]
    for kind in ("wall", "CPU"):
        (alone,), (histograms,) = (records[kind]["milliseconds"][who] for who in ("nobody", "histograms"))
        assert alone > 0
        ratio = records[kind]["median"]["histograms"]
        assert ratio == pytest.approx(histograms / alone)
        assert re.search(rf"^  histograms +\d\S+ +\d\S+ +{ratio:.3f} ", printed, flags=re.MULTILINE)
    assert image.read_bytes().startswith(b"\x89PNG")


def test_watching_is_compared_round_by_round(monkeypatch):
    monkeypatch.setitem(sys.modules, "harness", harness)
    turns = {"nobody": [10.0, 20.0, 40.0], "scalars": [11.0, 21.0, 60.0]}
    records = load("callbacks").compare(turns)
    assert records["ratios"] == {"scalars": [1.1, 1.05, 1.5]}
    assert records["median"] == {"scalars": 1.1}
    assert records["shortest"] == {"scalars": 1.1}


def test_without_tensorboardx_nobody_is_watched(tmp_path):
    (tmp_path / "tensorboardX.py").write_text("raise ModuleNotFoundError(\"No module named 'tensorboardX'\")\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    printed = run("callbacks", "--quick", "--contenders", "scalars", PYTHONPATH=path)
    assert "scalars is left out: the TensorBoard callback needs tensorboardX" in printed
