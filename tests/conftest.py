"""Hypothesis profiles, and the fixtures that every test shares."""

import os
import signal

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
