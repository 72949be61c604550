"""What is said where a GPU cannot be used. The parts of the machine are replaced one by one: wheels, driver, device."""

import sys
from importlib.machinery import ModuleSpec
from types import SimpleNamespace

import pytest

import minicnn as mc
from minicnn.backend import cuda
from minicnn.errors import BackendError

CUPY = "minicnn.backend.cuda"


class Runtime:
    """cupy.cuda.runtime of a machine with so many GPUs, or with an error."""

    def __init__(self, devices=1, error=None):
        self.devices, self.error = devices, error

    def getDeviceCount(self):  # noqa: N802 (CUDA's own name)
        if self.error:
            raise self.error
        return self.devices


class Numbers(list):
    """What `cupy.ones` gives here."""

    def __matmul__(self, other):
        return self

    def sum(self):
        return self[0]


@pytest.fixture
def machine(monkeypatch):
    """Build a machine: its CuPy wheels, its driver's CUDA, its devices, and what sums come to."""

    def build(*, wheels=("cupy-cuda13x",), driver=(13, 0), runtime=None, total=8.0, fails=None):
        def ones(*args, **options):
            if fails:
                raise fails
            return Numbers([total])

        monkeypatch.setattr(cuda, "_works", False)
        monkeypatch.setattr(cuda, "installed_wheels", lambda: list(wheels))
        monkeypatch.setattr(cuda, "driver_version", lambda: driver)
        monkeypatch.setattr(cuda.importlib.util, "find_spec", lambda name: ModuleSpec(name, None) if wheels else None)
        fake = SimpleNamespace(cuda=SimpleNamespace(runtime=runtime or Runtime()), ones=ones, float32="float32")
        monkeypatch.setitem(sys.modules, "cupy", fake)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return build


def test_a_machine_that_works_has_no_problem_and_is_asked_once(machine, monkeypatch):
    machine()
    assert cuda.cupy_problem() is None
    monkeypatch.setattr(cuda, "installed_wheels", None)  # asking again would fail
    assert cuda.cupy_problem() is None


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (
            {"wheels": (), "driver": None},
            r"not installed \(no NVIDIA driver.*\); run: pip install 'cupy-cuda13x\[ctk\]'",
        ),
        (
            {"wheels": (), "driver": (12, 4)},
            r"not installed \(the driver runs CUDA 12\.4\); run: .*cupy-cuda12x\[ctk\]",
        ),
        ({"wheels": (), "driver": (13, 1)}, r"run: pip install 'cupy-cuda13x\[ctk\]'$"),
        (
            {"wheels": ("cupy-cuda12x", "cupy-cuda13x")},
            r"both installed.*run: pip uninstall cupy-cuda12x cupy-cuda13x, then: pip install 'cupy-cuda13x",
        ),
        ({"driver": None}, r"no NVIDIA driver was found.*nvidia-smi"),
        ({"driver": (12, 8)}, r"cupy-cuda13x needs a driver for CUDA 13.*CUDA 12\.8.*pip install 'cupy-cuda12x"),
        ({"runtime": Runtime(devices=0)}, r"finds no GPU \(RuntimeError: no device\); run nvidia-smi"),
        ({"runtime": Runtime(error=OSError("broken\nlong"))}, r"finds no GPU \(OSError: broken\); run nvidia-smi"),
        ({"fails": ImportError("libnvrtc.so.13")}, r"cannot compute on it \(ImportError: libnvrtc.*\); .*\[ctk\]"),
        ({"total": 4.0}, r"wrong results"),
    ],
)
def test_what_is_missing_is_said_with_what_mends_it(machine, parts, words):
    machine(**parts)
    with pytest.raises(BackendError, match=words):
        mc.set_backend("cupy")


def test_a_hidden_gpu_is_told_from_a_missing_one(machine, monkeypatch):
    machine(runtime=Runtime(devices=0))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "unset CUDA_VISIBLE_DEVICES" in cuda.cupy_problem()


def test_there_is_no_silent_fall_back(machine):
    machine(driver=None)
    before = mc.get_backend()
    with pytest.raises(BackendError):
        mc.nn.Linear(2, 3).to("cupy")
    assert mc.get_backend() == before
