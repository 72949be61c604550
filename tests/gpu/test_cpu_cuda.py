"""The double of the CUDA language finds the mistakes that it is there for: each of these is one, and is seen."""

import numpy as np
import pytest

from gpu.cpu_cuda import ORDERS, ByValue, CpuModule, KernelError, signatures_of
from gpu.sources import needs_compiler

pytestmark = needs_compiler

F4, F8, I4 = np.float32, np.float64, np.int32
SOURCE = r"""
typedef REAL real;
#define THREADS 64
struct Place { int row; double weight; };
struct Table { const real *from[2]; real *to; long long size; };

__device__ real block_sum(real value)
{
    __shared__ real sums[THREADS];
    const int t = threadIdx.x;
    sums[t] = value;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (t < half) sums[t] += sums[t + half];
        __syncthreads();
    }
    const real total = sums[0];
    __syncthreads();
    return total;
}

extern "C" __global__ void __launch_bounds__(THREADS) row_sums(const real* __restrict__ x, real* y, int columns)
{
    real sum = 0;
    for (int i = threadIdx.x; i < columns; i += THREADS) sum += exp(x[blockIdx.x * (long long)columns + i]);
    sum = block_sum(sum);
    if (threadIdx.x == 0) y[blockIdx.x] = sum;
}

extern "C" __global__ void warp_sums(const real* x, real* y)
{
    real sum = x[threadIdx.x];
    for (int by = 16; by; by /= 2) sum += __shfl_down_sync(0xffffffffu, sum, by);
    if (threadIdx.x % 32 == 0) y[threadIdx.x / 32] = sum;
}

extern "C" __global__ void histogram(const int* where, unsigned* counts, long long n)
{
    const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i < n) atomicAdd(&counts[where[i]], 1u);
}

extern "C" __global__ void fill(unsigned char* y, const Place place, real scale)
{
    y[threadIdx.y * blockDim.x + threadIdx.x] = place.row * place.weight * scale;
}

extern "C" __global__ void add_all(const Table t)
{
    for (long long i = threadIdx.x; i < t.size; i += blockDim.x) t.to[i] = t.from[0][i] + t.from[1][i];
}

extern "C" __global__ void reversed(real* x)
{
    extern __shared__ real numbers[];
    numbers[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = numbers[blockDim.x - 1 - threadIdx.x];
}
"""
PLACE = np.dtype([("row", I4), ("weight", F8)], align=True)
TABLE = np.dtype([("from", np.uint64, 2), ("to", np.uint64), ("size", np.int64)])


def module(source=SOURCE, real="float"):
    return CpuModule(source, ("--std=c++17", f"-DREAL={real}"))


def run(body, *arguments, threads=32, blocks=1, order="forward", **options):
    """Launch `extern "C" __global__ void k(float* x, int n) { body }`."""
    source = f'extern "C" __global__ void k(float* x, int n) {{ const int t = threadIdx.x; {body} }}'
    CpuModule(source).kernel("k").launch((blocks,), (threads,), arguments, order=order, **options)


def numbers(*shape, dtype=F4):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


# ---- what is right runs


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("real", "dtype", "most"), [("float", F4, 1e-4), ("double", F8, 1e-12)])
def test_barriers_and_shuffles(real, dtype, most, order):
    x, y, z = numbers(5, 333, dtype=dtype), np.empty(5, dtype), np.empty(2, dtype)
    module(real=real).kernel("row_sums").launch((5,), (64,), (x, y, I4(333)), order=order)
    np.testing.assert_allclose(y, np.exp(x).sum(axis=1), rtol=most)
    module(real=real).kernel("warp_sums").launch((1,), (64,), (x[0, :64], z), order=order)
    np.testing.assert_allclose(z, x[0, :64].reshape(2, 32).sum(axis=1), atol=most)


@pytest.mark.parametrize("order", ORDERS)
def test_atomics_and_blocks(order):
    where, counts = np.random.default_rng(0).integers(0, 7, 1000).astype(I4), np.zeros(7, np.uint32)
    module().kernel("histogram").launch((8,), (128,), (where, counts, np.int64(1000)), order=order)
    np.testing.assert_array_equal(counts, np.bincount(where))


def test_structures_go_by_value():
    y = np.zeros((2, 3), np.uint8)
    module().kernel("fill").launch((1,), (3, 2), (y, ByValue(np.array((3, 2.5), PLACE)), F4(2)))
    np.testing.assert_array_equal(y, 15)


@pytest.mark.parametrize("order", ORDERS)
def test_dynamic_shared_memory(order):
    x = numbers(16)
    want = x[::-1].copy()
    module().kernel("reversed").launch((1,), (16,), (x,), shared_bytes=64, order=order)
    np.testing.assert_array_equal(x, want)


def table_of(*arrays, size):
    table = np.zeros((), TABLE)
    table["from"], table["to"], table["size"] = [a.ctypes.data for a in arrays[:2]], arrays[2].ctypes.data, size
    return ByValue(table), {array.ctypes.data: array for array in arrays}.get


def test_addresses_in_structures():
    a, b, c = numbers(9), numbers(9), np.empty(9, F4)
    table, array_at = table_of(a, b, c, size=9)
    module().kernel("add_all").launch((1,), (4,), (table,), array_at=array_at)
    np.testing.assert_array_equal(c, a + b)


def test_what_a_source_declares():
    signatures = signatures_of(SOURCE, ("-DREAL=double",))
    assert [str(p) for p in signatures["row_sums"].parameters] == ["const double* x", "double* y", "int columns"]
    assert signatures["row_sums"].max_threads == 64
    assert {name for name, s in signatures.items() if s.has_barriers} == {"row_sums", "warp_sums", "reversed"}


# ---- barriers


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_deleted_barrier_is_found_by_some_order(which):
    """Each of the three barriers of block_sum, in turn; a second sum needs the last one."""
    twice = SOURCE.replace("sum = block_sum(sum);", "sum = block_sum(block_sum(sum) / THREADS);")
    before, *after = twice.split("__syncthreads();")
    barriers = ["__syncthreads();" if i != which else "" for i in range(len(after))]
    broken = before + "".join(barrier + text for barrier, text in zip(barriers, after, strict=True))
    x = numbers(3, 500, dtype=F8)

    def is_right(source, order):
        y = np.empty(3, F8)
        module(source, "double").kernel("row_sums").launch((3,), (64,), (x, y, I4(500)), order=order)
        return np.allclose(y, np.exp(x).sum(axis=1))

    assert all(is_right(twice, order) for order in ORDERS)
    assert not all(is_right(broken, order) for order in ORDERS)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("if (t >= n) return; x[t] = 1; __syncthreads(); x[t] += 1;", r"not reached by 12 threads, which returned"),
        ("if (t < n) __syncthreads();", r"not reached by 12 threads"),
        ("if (t < n) __syncthreads();\n else __syncthreads();", r"some threads wait in line 1, others in line 2"),
        ("if (t < n) __syncthreads(); else __syncwarp();", r"divergent barrier: 32 threads wait"),
        ("if (t < n) x[t] = __shfl_down_sync(0xffffffffu, x[t], 1);", r"not reached by 12 threads"),
        ("x[t] = __shfl_down_sync(0xffffu, x[t], 1);", r"warps of all 32 lanes"),
    ],
)
def test_a_divergent_barrier_is_found(body, words):
    with pytest.raises(KernelError, match=words):
        run(body, numbers(32), I4(20))


def test_a_shuffle_from_a_lane_without_a_thread_is_found():
    with pytest.raises(KernelError, match="a shuffle reads lane 20, where the block has no thread"):
        run("x[t] = __shfl_xor_sync(0xffffffffu, x[t], 16);", numbers(32), I4(20), threads=20)


def test_two_threads_that_write_to_one_place_are_found_by_order():
    results = set()
    for order in ORDERS:
        x = np.zeros(1, F4)
        run("x[0] = t;", x, I4(1), order=order)
        results.add(float(x[0]))
    assert len(results) > 1


def test_two_blocks_that_write_to_one_place_are_found_by_order():
    results = set()
    for order in ORDERS:
        x = np.zeros(1, F4)
        run("x[0] = blockIdx.x;", x, I4(1), threads=1, blocks=9, order=order)
        results.add(float(x[0]))
    assert len(results) > 1


def test_shared_memory_holds_neither_zeros_nor_what_another_block_left():
    x = np.zeros(3, F4)
    run("__shared__ float s[1]; if (blockIdx.x == 0) s[0] = 7; x[blockIdx.x] = s[0];", x, I4(0), threads=1, blocks=3)
    assert x[0] == 7
    assert np.isnan(x[1:]).all()


# ---- memory


@pytest.mark.parametrize("place", [32, -1])
def test_a_write_beside_an_array_is_found(place):
    with pytest.raises(KernelError, match="k wrote outside of its array x"):
        run("x[t == 0 ? n : t] = 0;", numbers(32), I4(place))


def test_a_read_beside_an_array_brings_nan():
    x = np.ones(32, F4)
    run("x[t] = x[t + n];", x, I4(1))
    assert np.isnan(x[31])


def test_a_write_through_an_address_in_a_structure_is_found_too():
    a, b, c = numbers(10), numbers(10), np.empty(9, F4)
    table, array_at = table_of(a, b, c, size=10)
    with pytest.raises(KernelError, match="add_all wrote outside of its array to"):
        module().kernel("add_all").launch((1,), (4,), (table,), array_at=array_at)


def test_a_write_to_a_constant_array_does_not_compile():
    with pytest.raises(KernelError, match="read-only"):
        CpuModule('extern "C" __global__ void k(const float* x) { x[0] = 1; }')


# ---- arguments


X, Y = np.ones((2, 8), F4), np.ones(2, F4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((X, Y), r"takes 3 arguments \(const float\* x, float\* y, int columns\), not 2"),
        ((X.astype(F8), Y, I4(8)), r"const float\* x was given an array of float64; expected float32"),
        ((np.ones((2, 16), F4)[:, ::2], Y, I4(8)), r"not C-contiguous"),
        ((X.T, Y, I4(8)), r"not C-contiguous"),
        ((X, None, I4(8)), r"float\* y must be an array"),
        ((X, Y, 8), r"int columns was given 8, which CuPy sends as int64; write np.int32\(\.\.\.\)"),
        ((X, Y, np.int64(8)), r"which CuPy sends as int64"),
        ((X, Y, F4(8)), r"which CuPy sends as float32"),
        ((X, Y, np.uint32(8)), r"which CuPy sends as uint32"),
        ((X, Y, "8"), r"must be a number"),
    ],
)
def test_an_argument_that_does_not_fit_is_refused(arguments, words):
    with pytest.raises(KernelError, match=words):
        module().kernel("row_sums").launch((2,), (64,), arguments)


def test_real_decides_what_fits():
    y, place = np.zeros(1, np.uint8), ByValue(np.array((1, 1.0), PLACE))
    module(real="double").kernel("fill").launch((1,), (1,), (y, place, 2.0))
    with pytest.raises(KernelError, match=r"2\.0, which CuPy sends as float64"):
        module(real="float").kernel("fill").launch((1,), (1,), (y, place, 2.0))


def test_booleans_are_bytes():
    y = np.zeros(1, bool)
    module().kernel("fill").launch((1,), (1,), (y, ByValue(np.array((1, 1.0), PLACE)), F4(1)))
    assert y[0]


@pytest.mark.parametrize(
    "dtype",
    [
        np.dtype([("row", I4), ("weight", F8)]),  # packed
        np.dtype([("row", np.int64), ("weight", F8)]),
        np.dtype([("row", I4), ("weight", F4)], align=True),
        np.dtype([("weight", F8), ("row", I4)], align=True),
    ],
)
def test_a_structure_of_another_layout_is_refused(dtype):
    with pytest.raises(KernelError, match="has another layout"):
        module().kernel("fill").launch((1,), (1,), (np.zeros(1, np.uint8), ByValue(np.zeros((), dtype)), F4(1)))


def test_an_address_of_nothing_or_of_other_numbers_is_refused():
    a, b = numbers(9), numbers(9)
    table, _ = table_of(a, b, numbers(9), size=9)
    with pytest.raises(KernelError, match=r"address in from\[0\] is not that of a living array"):
        module().kernel("add_all").launch((1,), (4,), (table,))
    table, array_at = table_of(a, b, numbers(9, dtype=F8), size=9)
    with pytest.raises(KernelError, match="to was given an array of float64"):
        module().kernel("add_all").launch((1,), (4,), (table,), array_at=array_at)


@pytest.mark.parametrize(
    ("grid", "block", "words"),
    [
        ((2,), (65,), "at most 64 threads"),
        ((0,), (64,), "whole numbers from 1"),
        ((2.0,), (64,), "whole numbers from 1"),
        ((1, 65536), (64,), "at most"),
        (2, (64,), "must be a tuple"),
        ((1,), (1, 1, 1, 1), "one to three"),
    ],
)
def test_a_launch_that_a_gpu_refuses_is_refused(grid, block, words):
    with pytest.raises(KernelError, match=words):
        module().kernel("row_sums").launch(grid, block, (X, Y, I4(8)))


def test_no_block_has_more_than_1024_threads():
    with pytest.raises(KernelError, match="at most 1024 threads"):
        run("x[0] = 1;", numbers(1), I4(1), threads=1025)


def test_arguments_have_room_for_4_kib():
    source = 'struct S { int x[1025]; }; extern "C" __global__ void k(const S s) {}'
    value = ByValue(np.zeros((), [("x", I4, 1025)]))
    with pytest.raises(KernelError, match="4100 bytes of arguments; there is room for 4096"):
        CpuModule(source).kernel("k").launch((1,), (1,), (value,))


def test_an_unknown_kernel_and_an_unknown_option_are_refused():
    with pytest.raises(KernelError, match="no kernel 'nothing'; it has row_sums, "):
        module().kernel("nothing")
    with pytest.raises(KernelError, match="does not know the option"):
        CpuModule(SOURCE, ("--maxrregcount=32",))


def test_what_does_not_compile_says_where():
    with pytest.raises(KernelError, match=r"kernels\.cu:1:.*nothing"):
        run("x[0] = nothing;", numbers(1), I4(1))
