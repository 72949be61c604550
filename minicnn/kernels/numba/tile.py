"""The innermost loop of every convolution: a small tile of results that never leaves the registers.

    for r in range(rows):
        for k in range(depth):
            for m in range(MR):
                for v in range(NV):
                    acc[m][v] += a[m][r * a_row + k * a_step] * b[r * b_row + k * b_step + v * LANES : ... + LANES]

MR numbers of A are each spread over the lanes of a vector and multiplied with NV vectors of B: MR * NV multiply-adds
of whole vectors for MR + NV loads. That ratio is what keeps the multipliers busy. MR * NV accumulators, NV vectors of
B and one of A must fit into the processor's 32 (or 16) vector registers.
Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 2008, section 6.

Numba cannot be talked into keeping an array in registers, so the loop is written in LLVM's own language, which Numba
compiles along with the Python around it. (Numba's cache on disk watches the files of the functions that it compiled,
not this one: after a change here, delete `minicnn/kernels/numba/__pycache__`.)
"""

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

try:
    AVX512 = bool(llvm.get_host_cpu_features().get("avx512f"))
except RuntimeError:  # LLVM does not know this processor's features
    AVX512 = False
VECTOR_BYTES = 64 if AVX512 else 32
"""The width of a vector; where the processor's are narrower, LLVM makes two of one."""

REGISTERS = 32 if AVX512 else 16
MAX_VECTORS = 4


def tile_height(vectors: int) -> int:
    """Return MR, the number of rows of a tile of `vectors` vectors: as many as leave registers for A and B."""
    return min(8, (REGISTERS - vectors - 1) // vectors)


def make_tile(vectors: int) -> Any:
    """Return the compiled-in loop for tiles of this width, MR = tile_height(vectors) rows high.

    tile(out, a, offsets, a_row, a_step, b, b_row, b_step, rows, depth)

    out : (MR, vectors * lanes), contiguous; the sums are stored there
    a, b : flat arrays; row m of the tile reads A from `a[offsets[m]]` on
    """
    height = tile_height(vectors)

    @intrinsic
    def tile(context, out, a, offsets, a_row, a_step, b, b_row, b_step, rows, depth):  # type: ignore[no-untyped-def]
        signature = types.void(out, a, offsets, a_row, a_step, b, b_row, b_step, rows, depth)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            element = context.get_value_type(signature.args[1].dtype)
            _TileWriter(context, builder, signature, element, height, vectors).write(arguments)
            return context.get_dummy_value()

        return signature, generate

    return tile


class _TileWriter:
    """Writes the loop: a phi node for every accumulator, so that LLVM has no choice but to keep them in registers."""

    def __init__(self, context: Any, builder: Any, signature: Any, element: Any, height: int, vectors: int) -> None:
        self.context, self.builder, self.signature = context, builder, signature
        self.element = element
        self.lanes = VECTOR_BYTES // (4 if isinstance(element, ir.FloatType) else 8)
        self.vector = ir.VectorType(element, self.lanes)
        self.height, self.vectors = height, vectors
        suffix = f"v{self.lanes}f{32 if isinstance(element, ir.FloatType) else 64}"
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        self.fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.{suffix}")

    def write(self, arguments: Any) -> None:
        builder, index = self.builder, ir.IntType(64)
        out, a, offsets, a_row, a_step, b, b_row, b_step, rows, depth = arguments
        out, a, b, offsets = (self._data(i, v) for i, v in ((0, out), (1, a), (5, b), (2, offsets)))
        zero = ir.Constant(index, 0)
        starts = [builder.load(builder.gep(offsets, [ir.Constant(index, m)])) for m in range(self.height)]
        a_pointers = [builder.gep(a, [start]) for start in starts]
        before = builder.block
        row_loop = builder.append_basic_block("rows")
        depth_loop = builder.append_basic_block("depth")
        row_end = builder.append_basic_block("row.end")
        done = builder.append_basic_block("done")

        builder.branch(row_loop)
        builder.position_at_end(row_loop)
        r = builder.phi(index)
        r.add_incoming(zero, before)
        sums = self._phis(before, [[ir.Constant(self.vector, [0.0] * self.lanes)] * self.vectors] * self.height)
        a_base, b_base = builder.mul(r, a_row), builder.mul(r, b_row)
        builder.branch(depth_loop)

        builder.position_at_end(depth_loop)
        k = builder.phi(index)
        k.add_incoming(zero, row_loop)
        inner = self._phis(row_loop, sums)
        a_at = builder.add(a_base, builder.mul(k, a_step))
        b_at = builder.gep(b, [builder.add(b_base, builder.mul(k, b_step))])
        b_vectors = [self._load_vector(b_at, v) for v in range(self.vectors)]
        results = []
        for pointer, row in zip(a_pointers, inner, strict=True):
            spread = self._spread(builder.load(builder.gep(pointer, [a_at])))
            results.append([builder.call(self.fma, [spread, bv, acc]) for bv, acc in zip(b_vectors, row, strict=True)])
        k_next = builder.add(k, ir.Constant(index, 1))
        k.add_incoming(k_next, depth_loop)
        self._feed(inner, results, depth_loop)
        builder.cbranch(builder.icmp_signed("<", k_next, depth), depth_loop, row_end)

        builder.position_at_end(row_end)
        r_next = builder.add(r, ir.Constant(index, 1))
        r.add_incoming(r_next, row_end)
        self._feed(sums, results, row_end)
        builder.cbranch(builder.icmp_signed("<", r_next, rows), row_loop, done)

        builder.position_at_end(done)
        for m, row in enumerate(results):
            for v, value in enumerate(row):
                builder.store(value, self._vector_pointer(out, m * self.vectors + v), align=self._alignment())

    def _data(self, position: int, value: Any) -> Any:
        array_type = self.signature.args[position]
        return self.context.make_array(array_type)(self.context, self.builder, value).data

    def _phis(self, block: Any, values: Any) -> list:
        phis = [[self.builder.phi(self.vector) for _ in row] for row in values]
        self._feed(phis, values, block)
        return phis

    def _feed(self, phis: list, values: Any, block: Any) -> None:
        for phi_row, value_row in zip(phis, values, strict=True):
            for phi, value in zip(phi_row, value_row, strict=True):
                phi.add_incoming(value, block)

    def _vector_pointer(self, pointer: Any, number: int) -> Any:
        at = self.builder.gep(pointer, [ir.Constant(ir.IntType(64), number * self.lanes)])
        return self.builder.bitcast(at, self.vector.as_pointer())

    def _load_vector(self, pointer: Any, number: int) -> Any:
        return self.builder.load(self._vector_pointer(pointer, number), align=self._alignment())

    def _alignment(self) -> int:
        return VECTOR_BYTES // self.lanes

    def _spread(self, scalar: Any) -> Any:
        undefined = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, undefined, zeros)


TILE_1, TILE_2, TILE_3, TILE_4 = (make_tile(vectors) for vectors in range(1, MAX_VECTORS + 1))
