"""Whole vectors as values in kernels: as many numbers as the processor works on at once.

    v, w = load(array, i), load(array, j)          the numbers from array[i] on, and from array[j] on
    store(array, k, 4 * v - w)                     4 array[i] - array[j] and so on, in one go

Numba turns many loops into such code by itself, but not reliably: it gives up where it cannot prove that arrays do not
overlap. Here nothing has to be proved. Indices count numbers of a flat array; nobody checks them.
"""

import operator
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core.datamodel import register_default
from numba.core.datamodel.models import PrimitiveModel
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin

try:
    AVX512 = bool(llvm.get_host_cpu_features().get("avx512f"))
except RuntimeError:  # LLVM does not know this processor's features
    AVX512 = False

VECTOR_BYTES = 64 if AVX512 else 32
REGISTERS = 32 if AVX512 else 16


class Vector(types.Type):
    """The type of a vector of float32 or float64 numbers, as Numba sees it."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.lanes = 8 * VECTOR_BYTES // dtype.bitwidth
        super().__init__(name=f"Vector({dtype} x {self.lanes})")


@register_default(Vector)
class _VectorModel(PrimitiveModel):
    """In LLVM it is a vector too."""

    def __init__(self, manager: Any, kind: Vector) -> None:
        element = manager.lookup(kind.dtype).get_value_type()
        super().__init__(manager, kind, ir.VectorType(element, kind.lanes))


@intrinsic
def load(context, array, index):  # type: ignore[no-untyped-def]
    """Return the vector of the numbers from array[index] on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], signature.return_type, *arguments)
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return Vector(array.dtype)(array, types.intp), generate


@intrinsic
def store(context, array, index, vector):  # type: ignore[no-untyped-def]
    """Write the vector to array[index] and the numbers after it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], vector, *arguments[:2])
        builder.store(arguments[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@intrinsic
def zeros_of(context, array):  # type: ignore[no-untyped-def]
    """Return a vector of zeros of the array's type."""
    kind = Vector(array.dtype)
    return kind(array), lambda context, builder, signature, arguments: ir.Constant(context.get_value_type(kind), None)


@intrinsic
def address(context, array, index):  # type: ignore[no-untyped-def]
    """Return where array[index] stands in memory, as a number. The array must outlive its use."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(builder.gep(data, [arguments[1]]), context.get_value_type(types.intp))

    return types.intp(array, types.intp), generate


@intrinsic
def lanes_of(context, array):  # type: ignore[no-untyped-def]
    """Return how many numbers a vector of the array's type holds."""
    lanes = Vector(array.dtype).lanes
    return types.intp(array), lambda context, builder, signature, arguments: context.get_constant(types.intp, lanes)


@intrinsic
def where_positive(context, condition, vector):  # type: ignore[no-untyped-def]
    """Return the vector's lanes where the other's are above 0, and 0 elsewhere."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zero = ir.Constant(arguments[0].type, None)
        return builder.select(builder.fcmp_ordered(">", arguments[0], zero), arguments[1], zero)

    return vector(condition, vector), generate


@intrinsic
def load_bytes(context, array, index, like):  # type: ignore[no-untyped-def]
    """Return bytes from array[index] on as numbers of the type of `like`, as many as a vector of them holds."""
    kind = Vector(like.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        few = ir.VectorType(ir.IntType(8), kind.lanes)
        pointer = builder.bitcast(builder.gep(data, [arguments[1]]), few.as_pointer())
        return builder.uitofp(builder.load(pointer, align=1), context.get_value_type(kind))

    return kind(array, types.intp, like), generate


@intrinsic
def store_bytes(context, array, index, vector):  # type: ignore[no-untyped-def]
    """Write a vector of whole numbers from 0 to 255 to array[index] and the bytes after it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        few = ir.VectorType(ir.IntType(8), vector.lanes)
        pointer = builder.bitcast(builder.gep(data, [arguments[1]]), few.as_pointer())
        builder.store(builder.fptoui(arguments[2], few), pointer, align=1)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@intrinsic
def where_equal(context, numbers, number, vector):  # type: ignore[no-untyped-def]
    """Return the vector's lanes where the other's are that number, and 0 elsewhere."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[2].type
        wanted = spread(builder, context.cast(builder, arguments[1], signature.args[1], vector.dtype), kind)
        same = builder.fcmp_ordered("==", arguments[0], wanted)
        return builder.select(same, arguments[2], ir.Constant(kind, None))

    return vector(numbers, number, vector), generate


@intrinsic
def where_greater(context, numbers, others, vector, other):  # type: ignore[no-untyped-def]
    """Return the vector's lanes where the numbers are greater than the others, or NaN; elsewhere the other vector's."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        new, old, yes, no = arguments
        greater, is_nan = builder.fcmp_ordered(">", new, old), builder.fcmp_unordered("uno", new, new)
        return builder.select(builder.or_(greater, is_nan), yes, no)

    return vector(numbers, others, vector, other), generate


@intrinsic
def positive_part(context, vector):  # type: ignore[no-untyped-def]
    """Return max(v, 0) in every lane; a NaN stays one."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zero = ir.Constant(arguments[0].type, None)
        return builder.select(builder.fcmp_ordered("<=", arguments[0], zero), zero, arguments[0])

    return vector(vector), generate


def _pointer(context: Any, builder: Any, array: Any, kind: Vector, value: Any, index: Any) -> Any:
    data = context.make_array(array)(context, builder, value).data
    return builder.bitcast(builder.gep(data, [index]), context.get_value_type(kind).as_pointer())


def spread(builder: Any, scalar: Any, kind: Any) -> Any:
    """Return the code that puts one number into every lane of a vector."""
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), kind.count), None))


# Arithmetic between vectors, and between a vector and a number, which is first spread over all lanes.


def _define(operation: Any, instruction: str) -> None:
    @infer_global(operation)
    class _Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            vectors = [kind for kind in args if isinstance(kind, Vector)]
            fits = len(args) == 2 and vectors and all(isinstance(kind, Vector | types.Number) for kind in args)
            return signature(vectors[0], *args) if fits and len(set(vectors)) == 1 else None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = signature.return_type
        kind = context.get_value_type(vector)
        sides = [
            value
            if isinstance(given, Vector)
            else spread(builder, context.cast(builder, value, given, vector.dtype), kind)
            for given, value in zip(signature.args, arguments, strict=True)
        ]
        return getattr(builder, instruction)(*sides, flags=("contract",))  # a * b + c may become one instruction

    for kinds in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(operation, *kinds)(generate)


for _operation, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _define(_operation, _instruction)
