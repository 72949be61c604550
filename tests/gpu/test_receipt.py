"""The receipt of the GPU tests is for the sources as they are, or admits that it is not."""

import json
import os
import subprocess
import sys

import pytest

from gpu import receipt

GREEN = {"sources": "abc", "device": "H100", "date": "2026-01-01"}


def test_the_receipt_is_for_the_sources_as_they_are():
    problem = receipt.problem_of(receipt.read(), receipt.sources_hash())
    assert problem is None, problem


def test_a_green_receipt_holds_for_its_own_sources_alone():
    assert receipt.problem_of(GREEN, "abc") is None
    assert "changed since they were last seen green on H100; run `pytest -m gpu`" in receipt.problem_of(GREEN, "abd")


def test_a_missing_receipt_is_a_problem():
    assert "there is no receipt" in receipt.problem_of(None, "abc")


@pytest.mark.parametrize(
    ("pending", "is_fine"),
    [
        ({"reason": "no card at hand", "sources": "abd"}, True),
        ({"reason": "no card at hand", "sources": "abc"}, False),
        ({"reason": " ", "sources": "abd"}, False),
        ({"reason": "no card at hand"}, False),
    ],
)
def test_pending_needs_a_reason_and_holds_for_its_own_sources_alone(pending, is_fine):
    assert (receipt.problem_of({**GREEN, "pending": pending}, "abd") is None) == is_fine


def test_pending_is_not_forgotten_when_the_sources_go_back_to_the_green_state():
    """Then the receipt is to be written anew: it says two things."""
    assert receipt.problem_of({**GREEN, "pending": {"reason": "why", "sources": "abd"}}, "abc") is not None


def test_the_hash_sees_every_change(tmp_path):
    one, other = tmp_path / "a.cu", tmp_path / "b.py"
    one.write_text("x\n")
    other.write_text("y\n")
    before = receipt.hash_of([one, other], tmp_path)
    one.write_bytes(b"x\r\n")
    assert receipt.hash_of([one, other], tmp_path) == before
    one.write_text("z\n")
    assert receipt.hash_of([one, other], tmp_path) != before
    one.write_text("x\n")
    assert receipt.hash_of([one], tmp_path) != before
    moved = one.rename(tmp_path / "c.cu")
    assert receipt.hash_of([moved, other], tmp_path) != before


def test_the_sources_are_the_kernels_and_these_tests():
    names = {path.name for path in receipt.gpu_sources()}
    assert {"__init__.py", "cuda_shim.h", "test_receipt.py", "strict_cupy.py"} <= names
    assert "gpu-receipt.json" not in names


def test_pending_keeps_what_was_seen(tmp_path, monkeypatch, capsys):
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(GREEN))
    monkeypatch.setattr(receipt, "FILE", file)
    monkeypatch.setattr(receipt.read, "__defaults__", (file,))
    monkeypatch.setattr(receipt.write, "__defaults__", (file,))
    assert receipt.main([]) == 1
    assert receipt.main(["--pending", "no card at hand"]) == 0
    assert "green on H100, 2026-01-01; this state is pending: no card at hand" in capsys.readouterr().out
    assert json.loads(file.read_text())["device"] == "H100"


SESSION = """
import pytest
from gpu import conftest, receipt
from gpu.conftest import *
receipt.FILE = None
receipt.write = lambda content: open("written.txt", "w").write(" ".join(content))
receipt.receipt_of_a_run = lambda tests: sorted(tests)
conftest.backend_problem = lambda name: {problem!r}
"""
TESTS = """
import pytest

@pytest.mark.gpu
def test_on_a_card():
    assert {works}

@pytest.mark.gpu
def test_another():
    pass

def test_anywhere():
    pass
"""


def session(folder, *arguments, problem=None, works=True, **environment):
    """Run the hooks of conftest.py over two tests of a card, there or not; return the report, and what is signed."""
    (folder / "tests").mkdir()
    (folder / "tests" / "conftest.py").write_text(SESSION.format(problem=problem))
    (folder / "tests" / "test_card.py").write_text(TESTS.format(works=works))
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = gpu: needs a card\n")
    paths = os.pathsep.join([str(receipt.ROOT), str(receipt.ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
    )
    signed = folder / "written.txt"
    return done.stdout, signed.read_text() if signed.exists() else None


def test_a_green_run_on_a_card_signs(tmp_path):
    _, signed = session(tmp_path, "-m", "gpu", "tests")
    assert signed == "tests/test_card.py::test_another tests/test_card.py::test_on_a_card"


@pytest.mark.parametrize(
    ("arguments", "works"),
    [
        (["-m", "gpu", "tests"], False),
        (["tests"], True),
        (["-m", "gpu", "-k", "another", "tests"], True),
        (["-m", "gpu", "tests/test_card.py::test_another"], True),
    ],
)
def test_a_failure_or_a_selection_does_not_sign(tmp_path, arguments, works):
    assert session(tmp_path, *arguments, works=works)[1] is None


def test_without_a_card_the_tests_skip_and_say_why(tmp_path):
    report, signed = session(tmp_path, "-m", "gpu", "tests", problem="no driver")
    assert "2 skipped" in report
    assert "no GPU: no driver" in report
    assert signed is None


def test_a_card_can_be_demanded(tmp_path):
    report, signed = session(tmp_path, "tests", problem="no driver", MINICNN_REQUIRE_GPU="1")
    assert "1 passed" in report
    assert "2 errors" in report
    assert "MINICNN_REQUIRE_GPU=1, but no driver" in report
    assert signed is None
