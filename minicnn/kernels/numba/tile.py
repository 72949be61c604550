"""The innermost loop of every convolution: a small tile of results that never leaves the registers.

    sum[m][v] = start[m][v]
    for k in range(depth):
        for m in range(MR):
            for v in range(NV):
                sum[m][v] += A[m, k] * B[k, v]            a number times a vector
    out[m][v] = max(sum[m][v], floor)

MR numbers of A are each spread over the lanes of a vector and multiplied with NV vectors of B: MR * NV multiply-adds
of whole vectors for MR + NV loads. That ratio is what keeps the multipliers busy. MR * NV accumulators, NV vectors of
B and one of A must fit into the processor's 32 (or 16) vector registers.
Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 2008, section 6.

A need not lie in memory as a matrix. A[m, k] stands where row m begins and k's step leads from there; both are looked
up, so that A may be an image under a sliding window.

Numba cannot be talked into keeping an array in registers, so the loop is written in LLVM's own language, which Numba
compiles along with the Python around it.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minicnn.kernels.numba.vector import REGISTERS, VECTOR_BYTES, spread

MAX_VECTORS = 4 if REGISTERS == 32 else 3
"""Of 16 registers a fourth would leave enough for two rows: too few sums at once to hide how long each takes."""
MAX_HEIGHT = 8


def tile_height(vectors: int) -> int:
    """Return MR, the number of rows of a tile of `vectors` vectors: as many as leave registers for A and B."""
    return min(MAX_HEIGHT, (REGISTERS - vectors - 1) // vectors)


def make_tile(vectors: int) -> Any:
    """Return the compiled-in loop for tiles of this width, MR = tile_height(vectors) rows high.

    tile(out, out_row, start, start_row, floor, a, offsets, steps, b, b_step, depth)

    Arrays are handed over as addresses (see `address`), and what leads from place to place counts numbers.

    out, out_row : row m goes to out + m * out_row
    start, start_row : likewise what the sums begin with: zeros, a bias (with row 0), or what is there already
    floor : a number of the arrays' type; less than that does not come out. 0 is ReLU, and minus infinity lets all pass
    a, offsets, steps : A[m, k] stands at a + offsets[m] + steps[k]
    b, b_step : the vectors B[k] begin at b + k * b_step
    depth : at least 1
    """
    height = tile_height(vectors)

    @intrinsic
    def tile(context, out, out_row, start, start_row, floor, a, offsets, steps, b, b_step, depth):  # type: ignore[no-untyped-def]
        signature = types.void(*[types.intp] * 4, floor, *[types.intp] * 6)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _TileWriter(builder, context.get_value_type(floor), height, vectors).write(arguments)
            return context.get_dummy_value()

        return signature, generate

    return tile


class _TileWriter:
    """Writes the loop: a phi node for every accumulator, so that LLVM has no choice but to keep them in registers."""

    def __init__(self, builder: Any, element: Any, height: int, vectors: int) -> None:
        self.builder, self.element = builder, element
        self.lanes = VECTOR_BYTES // (4 if isinstance(element, ir.FloatType) else 8)
        self.vector = ir.VectorType(element, self.lanes)
        self.height, self.vectors = height, vectors
        suffix = f"v{self.lanes}f{32 if isinstance(element, ir.FloatType) else 64}"
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        self.fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.{suffix}")

    def write(self, arguments: Any) -> None:
        builder, index = self.builder, ir.IntType(64)
        out, out_row, start, start_row, floor, a, offsets, steps, b, b_step, depth = arguments
        out, start, a, b = (builder.inttoptr(value, self.element.as_pointer()) for value in (out, start, a, b))
        offsets, steps = (builder.inttoptr(value, index.as_pointer()) for value in (offsets, steps))
        a_rows = [
            builder.gep(a, [builder.load(builder.gep(offsets, [ir.Constant(index, m)]))]) for m in range(self.height)
        ]
        out_rows, start_rows = self._rows(out, out_row), self._rows(start, start_row)
        begin = [[self._load_vector(row, v) for v in range(self.vectors)] for row in start_rows]
        before = builder.block
        loop, done = builder.append_basic_block("depth"), builder.append_basic_block("done")

        builder.branch(loop)
        builder.position_at_end(loop)
        k = builder.phi(index)
        k.add_incoming(ir.Constant(index, 0), before)
        sums = [[builder.phi(self.vector) for _ in row] for row in begin]
        self._feed(sums, begin, before)
        a_place, b_place = builder.load(builder.gep(steps, [k])), builder.gep(b, [builder.mul(k, b_step)])
        b_vectors = [self._load_vector(b_place, v) for v in range(self.vectors)]
        results = []
        for a_row, row in zip(a_rows, sums, strict=True):
            number = spread(builder, builder.load(builder.gep(a_row, [a_place])), self.vector)
            results.append([builder.call(self.fma, [number, bv, acc]) for bv, acc in zip(b_vectors, row, strict=True)])
        # LLVM would unroll the loop and then run out of registers; it may not where there is something `convergent`.
        nothing = ir.InlineAsm(ir.FunctionType(ir.VoidType(), []), "", "", side_effect=True)
        builder.call(nothing, [], attrs=("convergent",))
        k_next = builder.add(k, ir.Constant(index, 1))
        k.add_incoming(k_next, loop)
        self._feed(sums, results, loop)
        builder.cbranch(builder.icmp_signed("<", k_next, depth), loop, done)

        builder.position_at_end(done)
        floors = spread(builder, floor, self.vector)
        for place, row in zip(out_rows, results, strict=True):
            for v, value in enumerate(row):
                least = builder.select(builder.fcmp_ordered("<", value, floors), floors, value)  # a NaN stays one
                builder.store(least, self._vector_pointer(place, v), align=self._alignment())

    def _rows(self, pointer: Any, step: Any) -> list:
        """Return pointers to the rows of the tile."""
        builder, index = self.builder, ir.IntType(64)
        return [builder.gep(pointer, [builder.mul(step, ir.Constant(index, m))]) for m in range(self.height)]

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


TILE_1, TILE_2, TILE_3, TILE_4 = (make_tile(vectors) for vectors in (1, 2, 3, 4))
