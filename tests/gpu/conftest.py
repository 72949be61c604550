"""Tests marked `gpu` skip without a card, or fail with MINICNN_REQUIRE_GPU=1; where they pass, they sign a receipt.

The receipt is written by `pytest -m gpu` over all tests, when every test that is marked has passed on this machine.
"""

import os

import pytest

from gpu import receipt, strict_cupy
from minicnn.backend import backend_problem

_passed: set[str] = set()
_expected: set[str] = set()


def pytest_collection_modifyitems(config, items):
    """Skip what needs a card where there is none; all hooks here see the tests of all folders."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    problem = backend_problem("cupy") if marked else None
    if problem and os.environ.get("MINICNN_REQUIRE_GPU") != "1":
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=f"no GPU: {problem}"))
    _expected.clear()
    _passed.clear()
    if not problem and is_complete(config):
        _expected.update(item.nodeid for item in marked)


def is_complete(config):
    """Whether this run is of all tests marked gpu, and not of a selection."""
    options = config.option
    is_whole = options.markexpr == "gpu" and not options.keyword and not options.deselect
    paths = [argument.split("::")[0].rstrip("/") for argument in config.args]
    return (
        is_whole and all("::" not in argument for argument in config.args) and bool({"tests", "tests/gpu"} & {*paths})
    )


def pytest_runtest_setup(item):
    """With MINICNN_REQUIRE_GPU=1 a missing card is an error."""
    if item.get_closest_marker("gpu") and os.environ.get("MINICNN_REQUIRE_GPU") == "1":
        problem = backend_problem("cupy")
        if problem:
            raise RuntimeError(f"MINICNN_REQUIRE_GPU=1, but {problem}")


def pytest_runtest_logreport(report):
    if report.when == "call" and report.passed:
        _passed.add(report.nodeid)


def pytest_sessionfinish(session, exitstatus):
    if exitstatus == 0 and _expected and _expected == _passed:
        receipt.write(receipt.receipt_of_a_run(_passed))


@pytest.fixture
def device():
    """The strict device in the place of CuPy, and the engine's backend "cupy" in use on it."""
    from minicnn.backend import use_backend

    with strict_cupy.installed(), use_backend("cupy"):
        strict_cupy.counts.clear()
        yield strict_cupy
