"""The strict device refuses what CuPy refuses and counts what costs: each line below is a mistake, and is seen."""

import copy
import importlib
import pickle
import sys
import warnings

import numpy as np
import pytest

import minicnn as mc
from gpu import make_cupy_api, strict_cupy
from gpu.sources import needs_compiler
from gpu.strict_array import ndarray as strict_ndarray
from gpu.strict_events import API, ForbiddenError
from minicnn.backend import to_backend, to_host
from minicnn.errors import DeviceError

HOST = np.ones((4, 3), np.float32)
COPY = """extern "C" __global__ void copy(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x]; }"""


@pytest.fixture
def cp(device):
    return importlib.import_module("cupy")


@pytest.fixture
def x(cp, device):
    x = cp.asarray(HOST)
    device.counts.clear()
    return x


# ---- host and device do not mix

MIXTURES = {
    "x + host": lambda cp, x: x + HOST,
    "host + x": lambda cp, x: HOST + x,
    "host += x": lambda cp, x: HOST.copy().__iadd__(x),
    "x += host": lambda cp, x: x.__iadd__(HOST),
    "x > host": lambda cp, x: x > HOST,
    "host < x": lambda cp, x: x > HOST,
    "x @ host": lambda cp, x: x @ HOST.T,
    "x + list": lambda cp, x: x + [1, 2, 3],  # noqa: RUF005
    "x[...] = host": lambda cp, x: x.__setitem__(..., HOST),
    "host[...] = x": lambda cp, x: HOST.copy().__setitem__(..., x),
    "host[x]": lambda cp, x: HOST[cp.arange(2)],
    "list[x]": lambda cp, x: [1, 2][cp.asarray(1)],
    "range(x)": lambda cp, x: range(cp.asarray(3)),
    "np.asarray(x)": lambda cp, x: np.asarray(x),
    "np.array([x, x])": lambda cp, x: np.array([x, x]),
    "np.float32(x)": lambda cp, x: np.float32(x.sum()),
    "np.maximum(x, host)": lambda cp, x: np.maximum(x, HOST),
    "np.concatenate": lambda cp, x: np.concatenate([HOST, x]),
    "np.add(out=x)": lambda cp, x: np.add(HOST, HOST, out=x),
    "np.testing": lambda cp, x: np.testing.assert_allclose(x, HOST),
    "cp.exp(host)": lambda cp, x: cp.exp(HOST),
    "cp.maximum(x, host)": lambda cp, x: cp.maximum(x, HOST),
    "cp.where": lambda cp, x: cp.where(x > 0, HOST, x),
    "cp.concatenate": lambda cp, x: cp.concatenate([x, HOST]),
    "cp.einsum": lambda cp, x: cp.einsum("ij,ij->", x, HOST),
    "cp.add(out=host)": lambda cp, x: cp.add(x, x, out=HOST.copy()),
    "cp.add.at": lambda cp, x: cp.add.at(x, np.array([0]), x[:1]),
    "cp.empty_like(host)": lambda cp, x: cp.empty_like(HOST),
    "cp.take": lambda cp, x: cp.take(x, np.array([0])),
    "x.set(list)": lambda cp, x: x.set([1.0]),
    "x.set of another type": lambda cp, x: x.set(HOST.astype(np.float64)),
    "kernel(host)": lambda cp, x: cp.RawModule(code=COPY).get_function("copy")((1,), (12,), (x, HOST)),
    "x.sum(where=)": lambda cp, x: cp.sum(x, where=x > 0),
    "cp.exp(where=)": lambda cp, x: cp.exp(x, where=x > 0),
    "cp.max(initial=)": lambda cp, x: cp.max(x, initial=0),
    "cp.sort(stable=)": lambda cp, x: cp.sort(x, stable=True),
}


@needs_compiler
@pytest.mark.parametrize("mixture", MIXTURES)
def test_a_mixture_is_refused(cp, x, mixture):
    with pytest.raises((TypeError, IndexError)):
        MIXTURES[mixture](cp, x)


def test_the_engine_refuses_a_mixture_too(x):
    with pytest.raises(DeviceError, match=r"arrays of numpy and of cupy|arrays of cupy and of numpy"):
        mc.ops.relu_backward(x, HOST)


# ---- names


@pytest.mark.parametrize("name", ["errstate", "block", "insert", "frompyfunc", "nditer", "counts", "json"])
def test_a_name_that_cupy_lacks_is_missing(cp, name):
    with pytest.raises(AttributeError, match=f"module 'cupy' .CuPy .*. has no attribute '{name}'"):
        getattr(cp, name)


@pytest.mark.parametrize("name", ["ctypes", "resize", "setflags", "_numbers_", "__array_interface__"])
def test_an_attribute_that_cupys_array_lacks_is_missing(x, name):
    with pytest.raises(AttributeError):
        getattr(x, name)


@pytest.mark.parametrize("name", ["normal", "choice", "permutation", "shuffle"])
def test_a_method_that_cupys_generator_lacks_is_missing(cp, name):
    with pytest.raises(AttributeError, match="draw it on the host"):
        getattr(cp.random.default_rng(0), name)


def test_a_name_that_only_the_double_lacks_says_so(cp):
    with pytest.raises(AttributeError, match="not in the strict device"):
        cp.ElementwiseKernel  # noqa: B018


def test_nothing_is_there_that_cupy_lacks(device):
    names = {"Stream": "cupy.cuda", "Event": "cupy.cuda", "Device": "cupy.cuda", "MemoryPool": "cupy.cuda"}
    for path, module in {**names, "RawModule": "cupy", "RawKernel": "cupy"}.items():
        kind = getattr(importlib.import_module(module), path)
        public = {name for name in vars(kind) if not name.startswith("_")}
        assert public <= set(API["classes"][f"{module}.{path}"]), path


# ---- costs

WAITS = {
    "float(x)": lambda x: float(x.sum()),
    "bool(x)": lambda x: bool((x > 0).all()),
    "int(x)": lambda x: int(x.sum()),
    "format": lambda x: f"{x.sum():.3f}",
    "item": lambda x: x.sum().item(),
    "tolist": lambda x: x.tolist(),
    "get": lambda x: x.get(),
    "repr": lambda x: repr(x),
    "mask": lambda x: x[x > 0],
    "pickle": lambda x: pickle.dumps(x),
}


@pytest.mark.parametrize("how", WAITS)
def test_waiting_is_counted_and_can_be_forbidden(device, x, how):
    WAITS[how](x)
    assert device.counts["sync"] == 1
    with device.forbidding("sync"), pytest.raises(ForbiddenError, match="sync is forbidden here"):
        WAITS[how](x)
    WAITS[how](x)


def test_waiting_functions_are_counted(cp, device, x):
    cp.nonzero(x), cp.unique(x), cp.where(x > 0), cp.array_equal(x, x)
    assert device.counts["sync"] == 4
    cp.cuda.Device().synchronize()
    cp.cuda.Stream.null.synchronize()
    cp.cuda.runtime.deviceSynchronize()
    assert device.counts["sync"] == 7


def test_transfers_are_counted_and_can_be_forbidden(cp, device, x):
    cp.asarray(HOST), cp.array([1, 2]), x.set(HOST), x[[0, 1]], to_backend(HOST)
    assert device.counts["h2d"] == 5
    x.get(), cp.asnumpy(x), to_host(x)
    assert device.counts["d2h"] == 3
    with device.forbidding("h2d"), pytest.raises(ForbiddenError):
        cp.asarray(HOST)
    with device.forbidding("d2h"), pytest.raises(ForbiddenError):
        x.get()


def test_launches_are_counted_and_views_are_none(cp, device, x):
    x.reshape(3, 4).T[1:], cp.ascontiguousarray(x), x.astype(np.float32, copy=False), cp.broadcast_to(x, (2, 4, 3))
    assert device.counts["launch"] == 0
    x * 2 + 1, cp.exp(x)
    assert device.counts["launch"] == 3
    assert device.counts["sync"] == device.counts["h2d"] == device.counts["d2h"] == 0


def test_numpys_functions_are_counted(device, x):
    assert type(np.exp(x)) is type(x)
    assert device.counts["numpy", "np.exp"] == 1
    np.float32(2) * x
    assert device.counts["numpy"] == 1


# ---- what is right is as in CuPy


def test_arrays_behave_as_cupys(cp, x):
    part = x[1:3]
    part += 1
    assert x.get().sum() == 12 + 6
    assert x[0, 0].shape == ()
    assert isinstance(x[0, 0], cp.ndarray)
    assert isinstance(x.sum(), cp.ndarray)
    assert (x * 2.0).dtype == np.float32
    total = cp.zeros((), dtype=cp.float32)
    total += 2
    assert float(total) == 2
    assert copy.deepcopy(x).get().shape == pickle.loads(pickle.dumps(x)).get().shape == (4, 3)
    assert cp.get_array_module(x) is cp
    assert cp.get_array_module(HOST) is np
    out = cp.empty((4, 4), dtype=cp.float32)
    assert cp.matmul(x, x.T, out=out) is out


def test_what_nobody_wrote_is_nan(cp, x):
    assert np.isnan(cp.empty((2, 3), dtype=cp.float32).get()).all()
    assert np.isnan(cp.empty_like(x).get()).all()
    assert (cp.empty(3, dtype=cp.int32).get() == -1).all()


def test_an_element_that_is_assigned_to_twice_is_refused(cp, x):
    with pytest.raises(ValueError, match="assigned to twice"):
        x[cp.asarray([0, 0])] = 5


def test_the_host_array_may_change_after_it_was_sent(cp):
    host = HOST.copy()
    x = cp.asarray(host)
    host[...] = 7
    np.testing.assert_array_equal(x.get(), HOST)


# ---- streams


def pinned_ones(shape=(3,)):
    cupyx = importlib.import_module("cupyx")
    host = cupyx.empty_pinned(shape, dtype=np.float32)
    host[...] = 1
    return host


def test_a_copy_that_is_not_waited_for_has_not_happened(cp):
    stream, x, host = cp.cuda.Stream(non_blocking=True), cp.empty(3, dtype=cp.float32), pinned_ones()
    x.set(host, stream=stream)
    assert np.isnan(x.get()).all()
    cp.cuda.get_current_stream().wait_event(stream.record())
    assert (x.get() == 1).all()


def test_pinned_memory_that_is_written_to_too_early_is_seen(cp):
    stream, x, host = cp.cuda.Stream(non_blocking=True), cp.empty(3, dtype=cp.float32), pinned_ones()
    x.set(host, stream=stream)
    arrived = stream.record()
    assert not arrived.done
    host[...] = 2
    arrived.synchronize()
    assert arrived.done
    assert (x.get() == 2).all()


@pytest.mark.parametrize("blocking_stream", [True, False])
def test_the_null_stream_waits_for_blocking_streams_alone(cp, blocking_stream):
    stream, x = cp.cuda.Stream(non_blocking=not blocking_stream), cp.empty(3, dtype=cp.float32)
    x.set(pinned_ones(), stream=stream)
    assert np.isfinite((x + 0).get()).all() == blocking_stream


def test_a_stream_waits_for_itself(cp):
    with cp.cuda.Stream(non_blocking=True) as stream:
        x = cp.asarray(pinned_ones())
        y = x + 1
    assert cp.cuda.get_current_stream() is cp.cuda.Stream.null
    assert stream.done
    assert (y.get() == 2).all()


def test_memory_that_is_not_pinned_is_copied_at_once(cp):
    x = cp.empty(3, dtype=cp.float32)
    x.set(np.ones(3, np.float32), stream=cp.cuda.Stream(non_blocking=True))
    assert (x.get() == 1).all()


# ---- kernels


@needs_compiler
def test_kernels_run_and_are_counted(cp, device, x):
    kernel, y = cp.RawModule(code=COPY, options=("--std=c++17",)).get_function("copy"), cp.empty_like(x)
    kernel((1,), (12,), (x, y))
    np.testing.assert_array_equal(y.get(), HOST)
    assert device.counts["launch", "copy"] == 1


@needs_compiler
def test_threads_take_turns_in_the_order_that_is_set(cp, device):
    code = 'extern "C" __global__ void last(float* x) { x[0] = threadIdx.x; }'
    kernel, x, last = cp.RawKernel(code, "last"), cp.empty(1, dtype=cp.float32), {}
    for order in device.ORDERS:
        with device.threads_in_order(order):
            kernel((1,), (9,), (x,))
        last[order] = float(x[0])
    assert last["forward"] == 8
    assert last["reverse"] == 0
    assert 0 < last["shuffled"] < 8


# ---- installing


def test_the_engine_takes_it_for_cupy_inside_and_forgets_it_after():
    before = {name: sys.modules.get(name) for name in ("cupy", "cupyx", "minicnn.kernels.cuda")}
    problem = mc.backend.backend_problem("cupy")
    with strict_cupy.installed():
        assert "cupy" in mc.available_backends()
        with mc.use_backend("cupy"):
            weight = mc.nn.Linear(2, 3).weight.data
            assert type(weight) is strict_ndarray
            mc.ops.relu_backward(weight, weight)
        assert sys.modules["minicnn.kernels.cuda"] is not before["minicnn.kernels.cuda"]
    assert {name: sys.modules.get(name) for name in before} == before
    assert mc.backend.backend_problem("cupy") == problem


def test_the_snapshot_is_of_the_installed_cupy():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CuPy warns where there is no GPU
        version = pytest.importorskip("cupy", reason="CuPy is not installed, whose names the snapshot has").__version__
        if version != API["version"]:
            pytest.skip(f"CuPy {version} is installed and the snapshot is of {API['version']}: run make_cupy_api.py")
        assert make_cupy_api.snapshot() == API
