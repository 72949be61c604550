"""The package's face: the names that are promised, and how quickly they are there."""

import subprocess
import sys

import pytest

import minicnn as mc


@pytest.mark.parametrize("name", mc.__all__)
def test_promised_names_are_there(name):
    assert getattr(mc, name) is not None


def test_the_design_s_names_are_promised():
    assert {
        "set_backend",
        "use_backend",
        "get_backend",
        "available_backends",
        "plug",
        "seed",
        "Trainer",
        "gradcheck",
    } <= set(mc.__all__)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'Trianer'"):
        _ = mc.Trianer


def test_import_leaves_slow_libraries_for_later():
    slow = ("numba", "matplotlib", "sklearn", "cupy", "tqdm")
    code = f"import sys, minicnn; print([name for name in {slow} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
