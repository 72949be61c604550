"""The fixture that every test of a kernel shares."""

import pytest

from minicnn.backend import get_num_threads, set_num_threads


@pytest.fixture(params=[1, 2, 3])
def threads(request, monkeypatch):
    """That many threads, also for little work."""
    monkeypatch.setattr("minicnn.backend.threads.ENOUGH", 1)
    before = get_num_threads()
    set_num_threads(request.param)
    yield
    set_num_threads(before)
