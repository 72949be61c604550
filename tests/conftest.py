"""Hypothesis profiles, and the fixtures that every test shares."""

import os
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from oracles import torch

from minicnn.backend import backend_problem, seed, use_backend

# Whoever started the tests in the background had them ignore Ctrl-C, and so would all processes that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


for _profile, _examples in {"default": 25, "thorough": 300}.items():
    settings.register_profile(
        _profile,
        max_examples=_examples,
        deadline=None,
        derandomize=True,  # CI repeats itself; `thorough` is for the search
        print_blob=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture],  # the backend may stay from example to example
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

if torch is not None:
    torch.set_num_threads(1)  # the oracle works on small arrays, where a second thread only waits


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Where several processes share the tests (`pytest -n 2`), let those marked `alone` run alone.

    All share the lock `running`, and such a test has it for itself. Whoever wants it goes through the lock `door`, so
    that a test which waits to be alone is not passed again and again.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    import fcntl

    alone = item.get_closest_marker("alone") is not None
    locks = Path(tempfile.gettempdir()) / f"minicnn-tests-{os.getuid()}"
    with open(f"{locks}.door", "w") as door, open(f"{locks}.running", "w") as running:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(running, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        return (yield)  # closing a file lets go of its lock


@pytest.fixture(params=["numpy", "numba"])
def backend(request):
    """Run the test once on each host backend."""
    problem = backend_problem(request.param)
    if problem:
        pytest.skip(problem)
    with use_backend(request.param):
        yield request.param


@pytest.fixture(autouse=True)
def _same_seed_for_every_test():
    seed(0)
