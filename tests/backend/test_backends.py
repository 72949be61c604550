"""Choosing a backend, and moving arrays between them."""

import importlib.util
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import minicnn as mc
from minicnn.backend import array_module, backend_problem, backends, special_functions, to_backend, to_host
from minicnn.backend.backends import Backend
from minicnn.errors import BackendError

without_cupy = pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="CuPy is installed")


@pytest.fixture(autouse=True)
def _restore_backend():
    before = mc.get_backend()
    yield
    mc.set_backend(before)


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_the_backend_set_is_the_one_in_use(name):
    mc.set_backend(name)
    assert mc.get_backend() == name


def test_numba_is_the_default_where_it_imports():
    assert mc.get_backend() == "numba"


def test_use_backend_holds_for_its_block():
    mc.set_backend("numba")
    with mc.use_backend("numpy"):
        assert mc.get_backend() == "numpy"
    assert mc.get_backend() == "numba"


def test_use_backend_can_be_nested():
    with mc.use_backend("numpy"):
        with mc.use_backend("numba"):
            assert mc.get_backend() == "numba"
        assert mc.get_backend() == "numpy"


def test_use_backend_restores_after_an_exception():
    mc.set_backend("numba")
    with pytest.raises(KeyError), mc.use_backend("numpy"):
        raise KeyError
    assert mc.get_backend() == "numba"


def test_use_backend_holds_in_its_own_thread_alone():
    mc.set_backend("numba")
    with mc.use_backend("numpy"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(mc.get_backend).result() == "numba"


def test_set_backend_holds_in_all_threads():
    mc.set_backend("numpy")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(mc.get_backend).result() == "numpy"


def test_numpy_is_always_available():
    assert "numpy" in mc.available_backends()


def test_what_cannot_run_is_not_available(monkeypatch):
    monkeypatch.setitem(backends.BACKENDS, "broken", Backend("broken", "numpy", None, lambda: "no luck"))
    assert "broken" not in mc.available_backends()
    assert backend_problem("broken") == "no luck"


@pytest.mark.parametrize("choose", [mc.set_backend, lambda name: mc.use_backend(name).__enter__(), backend_problem])
def test_an_unknown_name_is_answered_with_the_nearest(choose):
    with pytest.raises(BackendError, match=r"no backend 'nunpy'; .*'numba', 'cupy'; did you mean 'numpy'"):
        choose("nunpy")


def test_a_refused_backend_leaves_the_one_in_use(monkeypatch):
    monkeypatch.setitem(backends.BACKENDS, "broken", Backend("broken", "numpy", None, lambda: "no luck"))
    mc.set_backend("numpy")
    with pytest.raises(BackendError, match="'broken' cannot run here: no luck"):
        mc.set_backend("broken")
    with pytest.raises(BackendError), mc.use_backend("broken"):
        pass
    assert mc.get_backend() == "numpy"


@without_cupy
def test_cupy_without_cupy_says_which_command_installs_it():
    with pytest.raises(BackendError, match=r"cupy.*CuPy is not installed .*; run: pip install 'cupy-cuda13x\[ctk\]'"):
        mc.set_backend("cupy")


@without_cupy
def test_moving_an_array_to_cupy_without_cupy_says_which_command_installs_it():
    with pytest.raises(BackendError, match="pip install"):
        to_backend(np.ones(2), "cupy")


def test_moving_an_array_to_an_unknown_backend_is_refused():
    with pytest.raises(BackendError, match="no backend 'gpu'"):
        to_backend(np.ones(2), "gpu")


@pytest.mark.parametrize("name", ["numpy", "numba", None])
def test_an_array_that_is_there_already_is_not_copied(name):
    x = np.ones(2)
    assert to_backend(x, name) is x
    assert to_host(x) is x


def test_numbers_in_a_list_become_an_array():
    assert to_backend([1.0, 2.0], "numpy").tolist() == [1.0, 2.0]


def test_the_array_module_of_a_numpy_array_is_numpy():
    import scipy.special

    assert array_module(np.ones(2)) is np
    assert special_functions(np.ones(2)) is scipy.special


def test_a_numpy_scalar_is_no_array():
    assert backends.array_library_of(np.float64(1)) is None
    assert backends.array_library_of(np.array(1.0)) == "numpy"


@pytest.fixture
def second_library(monkeypatch):
    """A backend whose arrays are a class of their own, and can be brought to the host."""

    class DeviceArray:
        __module__ = "fakelib"
        dtype = np.dtype(np.float32)

        def __setitem__(self, index, value): ...

        def get(self):
            return np.array([7.0])

    monkeypatch.setattr(backends, "_library_of_type", {})
    monkeypatch.setattr(backends, "_library_of_types", {})
    monkeypatch.setitem(backends.BACKENDS, "fake", Backend("fake", "fakelib", None, lambda: None))
    return DeviceArray()


def test_to_host_fetches_from_the_device(second_library):
    assert to_host(second_library).tolist() == [7.0]


def test_to_numpy_fetches_from_the_device(second_library):
    assert to_backend(second_library, "numpy").tolist() == [7.0]
