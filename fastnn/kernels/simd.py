"""A vector type for Numba, and vector arithmetic that reads like the formula.

Two views of the same thing:

* ``Vector`` wraps an LLVM value while code is being generated. Its operators emit instructions, so an ordinary Python
  function on ``Vector`` arguments *is* a code generator.
* ``VectorType`` is what Numba sees. ``@vector_function`` turns such a Python function into an intrinsic that compiled
  kernels call on values of this type. Nothing is type-inferred or compiled twice, and everything is inlined.
"""

import inspect
import operator
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, register_model

from fastnn.kernels.host import HAS_FMA, lanes_of
from fastnn.kernels.pointers import element_pointer, named_intrinsic

FLOAT_NAMES = {types.float32: "f32", types.float64: "f64"}
_I8 = ir.IntType(8)
_I32 = ir.IntType(32)
_I64 = ir.IntType(64)


class VectorType(types.Type):
    """The Numba type of one register of ``dtype`` elements."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.lanes = lanes_of(dtype.bitwidth // 8)
        super().__init__(name=f"Vector({dtype} x {self.lanes})")


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: VectorType) -> None:
        super().__init__(dmm, fe_type, ir_vector(fe_type))


def ir_float(dtype: Any) -> Any:
    """LLVM's type for a Numba float."""
    return ir.FloatType() if dtype == types.float32 else ir.DoubleType()


def ir_vector(vector: VectorType) -> Any:
    """LLVM's type for a Numba vector."""
    return ir.VectorType(ir_float(vector.dtype), vector.lanes)


class Vector:
    """One register while code is generated; arithmetic on it emits instructions."""

    def __init__(self, builder: Any, type_: VectorType, value: Any) -> None:
        self.builder, self.type, self.value = builder, type_, value

    def lift(self, other: Any) -> "Vector":
        """``other`` as a vector of this type: unchanged, or a Python number in every lane."""
        return other if isinstance(other, Vector) else self.constant([float(other)] * self.type.lanes)

    def constant(self, numbers: list[float]) -> "Vector":
        """A constant with one number per lane."""
        return self.wrap(ir.Constant(ir_vector(self.type), numbers))

    def wrap(self, value: Any) -> "Vector":
        """An LLVM value of this vector's type."""
        return Vector(self.builder, self.type, value)

    def call(self, name: str, *args: Any) -> "Vector":
        """LLVM's overloaded math intrinsic ``llvm.<name>`` on this vector and others like it."""
        vector = ir_vector(self.type)
        full_name = f"llvm.{name}.v{self.type.lanes}{FLOAT_NAMES[self.type.dtype]}"
        values = [self.value, *(self.lift(arg).value for arg in args)]
        function_type = ir.FunctionType(vector, [vector] * len(values))
        function = cgutils.get_or_insert_function(self.builder.module, function_type, full_name)
        return self.wrap(self.builder.call(function, values))

    def _binary(self, emit: str, other: Any) -> "Vector":
        return self.wrap(getattr(self.builder, emit)(self.value, self.lift(other).value))

    def __add__(self, other: Any) -> "Vector":
        return self._binary("fadd", other)

    def __sub__(self, other: Any) -> "Vector":
        return self._binary("fsub", other)

    def __mul__(self, other: Any) -> "Vector":
        return self._binary("fmul", other)

    def __truediv__(self, other: Any) -> "Vector":
        return self._binary("fdiv", other)

    def __radd__(self, other: Any) -> "Vector":
        return self.lift(other) + self

    def __rsub__(self, other: Any) -> "Vector":
        return self.lift(other) - self

    def __rmul__(self, other: Any) -> "Vector":
        return self.lift(other) * self

    def __rtruediv__(self, other: Any) -> "Vector":
        return self.lift(other) / self

    def __neg__(self) -> "Vector":
        return self.wrap(self.builder.fneg(self.value))

    def __abs__(self) -> "Vector":
        return self.call("fabs")

    # Comparisons give a mask for ``where``; a comparison with NaN is false.
    def __gt__(self, other: Any) -> Any:
        return self.builder.fcmp_ordered(">", self.value, self.lift(other).value)

    def __lt__(self, other: Any) -> Any:
        return self.builder.fcmp_ordered("<", self.value, self.lift(other).value)

    def equal(self, other: Any) -> Any:
        """Mask of the lanes that agree."""
        return self.builder.fcmp_ordered("==", self.value, self.lift(other).value)


def where(mask: Any, yes: Any, no: Any) -> Vector:
    """``yes`` in the lanes where ``mask`` holds, ``no`` in the others (one of them a ``Vector``)."""
    like = yes if isinstance(yes, Vector) else no
    return like.wrap(like.builder.select(mask, like.lift(yes).value, like.lift(no).value))


def fma(x: Vector, y: Any, z: Any) -> Vector:
    """``x * y + z``, rounded once where the processor can."""
    return x.call("fma", y, z) if HAS_FMA else x * y + z


def polynomial(x: Vector, coefficients: list[float]) -> Vector:
    """Horner's scheme; ``coefficients`` from the highest power down to the constant."""
    result = x.lift(coefficients[0])
    for coefficient in coefficients[1:]:
        result = fma(result, x, coefficient)
    return result


class _Bits:
    """How a float is written: integer lanes of its size, and constants in them."""

    def __init__(self, type_: VectorType) -> None:
        integer, mantissa_bits, bias = (_I32, 23, 127) if type_.dtype == types.float32 else (_I64, 52, 1023)
        self.lanes = ir.VectorType(integer, type_.lanes)
        self.shift = self.constant(mantissa_bits)
        self.bias = self.constant(bias)
        self.one = self.constant(bias << mantissa_bits)
        self.mantissa = self.constant((1 << mantissa_bits) - 1)

    def constant(self, number: int) -> Any:
        return ir.Constant(self.lanes, [number] * self.lanes.count)


def power_of_two(n: Vector) -> Vector:
    """``2.0 ** n`` for a whole-numbered ``n`` in the normal exponent range, by writing the exponent's bits."""
    bits = _Bits(n.type)
    exponent = n.builder.add(n.builder.fptosi(n.value, bits.lanes), bits.bias)
    return n.wrap(n.builder.bitcast(n.builder.shl(exponent, bits.shift), ir_vector(n.type)))


def times_power_of_two(x: Vector, n: Vector) -> Vector:
    """``x * 2.0 ** n`` for a whole-numbered ``n``, rounded once; half of ``n`` must be in the normal range."""
    vector, lanes = ir_vector(x.type), x.type.lanes
    if x.type.dtype.bitwidth * lanes < 512:
        half = (n * 0.5).call("floor")
        return x * power_of_two(half) * power_of_two(n - half)
    # AVX-512 has an instruction for it. Its last arguments: what masked lanes get, no mask, no rounding of its own.
    name = f"llvm.x86.avx512.mask.scalef.{'ps' if x.type.dtype == types.float32 else 'pd'}.512"
    mask = ir.IntType(lanes)
    kind = ir.FunctionType(vector, [vector, vector, vector, mask, _I32])
    function = cgutils.get_or_insert_function(x.builder.module, kind, name)
    return x.wrap(x.builder.call(function, [x.value, n.value, x.value, mask(-1), _I32(4)]))


def estimate(name: str, x: Vector) -> Vector | None:
    """AVX-512's estimate "rcp14" or "rsqrt14" of a whole register, right to 14 bits; None where there is none."""
    suffix = {(types.float32, 16): "ps", (types.float64, 8): "pd"}.get((x.type.dtype, x.type.lanes))
    if suffix is None:
        return None
    vector, mask = ir_vector(x.type), ir.IntType(x.type.lanes)
    kind = ir.FunctionType(vector, [vector, vector, mask])
    function = cgutils.get_or_insert_function(x.builder.module, kind, f"llvm.x86.avx512.{name}.{suffix}.512")
    return x.wrap(x.builder.call(function, [x.value, x.value, mask(-1)]))


def leading_bits(x: Vector, count: int) -> Any:
    """Sign, exponent and the first ``count`` bits of the mantissa, as an LLVM vector of whole numbers."""
    bits = _Bits(x.type)
    dropped = x.builder.sub(bits.shift, bits.constant(count))
    return x.builder.lshr(x.builder.bitcast(x.value, bits.lanes), dropped)


def picks(x: Vector) -> bool:
    """Whether ``pick`` can be had: with AVX-512 in float32."""
    return x.type.dtype == types.float32 and x.type.lanes == 16


def pick(table: Sequence[float], places: Any, like: Vector) -> Vector:
    """``table[places % 32]``, a number for every lane: 32 numbers are two registers."""
    vector, lanes = ir_vector(like.type), like.type.lanes
    kind = ir.FunctionType(vector, [vector, places.type, vector])
    function = cgutils.get_or_insert_function(like.builder.module, kind, "llvm.x86.avx512.vpermi2var.ps.512")
    low, high = (like.constant(list(half)).value for half in (table[:lanes], table[lanes:]))
    return like.wrap(like.builder.call(function, [low, places, high]))


def exponent_and_mantissa(x: Vector) -> tuple[Vector, Vector]:
    """``(n, m)`` with ``x = 2^n m``, n whole, ``1 <= m < 2``, for normal ``x > 0``, by reading its bits."""
    bits, builder = _Bits(x.type), x.builder
    pattern = builder.bitcast(x.value, bits.lanes)
    exponent = builder.sub(builder.lshr(pattern, bits.shift), bits.bias)
    mantissa = builder.or_(builder.and_(pattern, bits.mantissa), bits.one)
    return x.wrap(builder.sitofp(exponent, ir_vector(x.type))), x.wrap(builder.bitcast(mantissa, ir_vector(x.type)))


def _reduce(x: Vector, combine: Callable[[Vector, Vector], Vector]) -> Any:
    """One number from all lanes, halving the vector each time: always the same order."""
    lanes = x.type.lanes
    while lanes > 1:
        lanes //= 2
        upper = ir.Constant(
            ir.VectorType(_I32, x.type.lanes), [(i + lanes) % x.type.lanes for i in range(x.type.lanes)]
        )
        x = combine(x, x.wrap(x.builder.shuffle_vector(x.value, x.value, upper)))
    return x.builder.extract_element(x.value, _I32(0))


def exchange(a: Vector, b: Vector, step: int) -> tuple[Vector, Vector]:
    """Two rows of a square after one step of its transposition: their off-diagonal blocks of ``step`` lanes swapped."""
    lanes, builder = a.type.lanes, a.builder
    low = [lane if not lane & step else lanes + lane - step for lane in range(lanes)]
    high = [lane + step if not lane & step else lanes + lane for lane in range(lanes)]
    masks = (ir.Constant(ir.VectorType(_I32, lanes), places) for places in (low, high))
    first, second = (a.wrap(builder.shuffle_vector(a.value, b.value, mask)) for mask in masks)
    return first, second


def fold(a: Vector, b: Vector, step: int) -> Vector:
    """The sums of two rows' off-diagonal blocks of ``step`` lanes, as if added up after ``exchange``, in less time."""
    lanes, builder = a.type.lanes, a.builder
    kept = [lane if not lane & step else lanes + lane for lane in range(lanes)]
    crossed = [lane + step if not lane & step else lanes + lane - step for lane in range(lanes)]
    masks = (ir.Constant(ir.VectorType(_I32, lanes), places) for places in (kept, crossed))
    first, second = (a.wrap(builder.shuffle_vector(a.value, b.value, mask)) for mask in masks)
    return first + second


def lane_numbers(like: Vector) -> Vector:
    """``0, 1, 2, ...``, one per lane."""
    return like.constant([float(lane) for lane in range(like.type.lanes)])


def lane_sums(sums: list[Vector]) -> Vector:
    """The lanes of every vector added up, in one lane for each: in halves, as a square is transposed."""
    like, count, step = sums[0], len(sums), 1
    while step < like.type.lanes:
        if len(sums) == 1:
            sums = 2 * sums
        sums = sums + [like.lift(0.0)] * (len(sums) % 2)
        sums = [fold(a, b, step) for a, b in zip(sums[::2], sums[1::2], strict=True)]
        step *= 2
    return where(lane_numbers(like) < like.lift(float(count)), sums[0], 0.0)


def in_all_lanes(builder: Any, scalar: Any, lanes: int) -> Any:
    """An LLVM vector of so many lanes with an LLVM scalar, a whole number too, in every one."""
    empty = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    first = builder.insert_element(empty, scalar, _I32(0))
    return builder.shuffle_vector(first, empty, ir.VectorType(_I32, lanes)([0] * lanes))


def broadcast(builder: Any, type_: VectorType, scalar: Any) -> Vector:
    """An LLVM scalar in every lane."""
    return Vector(builder, type_, in_all_lanes(builder, scalar, type_.lanes))


def load_at(builder: Any, type_: VectorType, pointer: Any) -> Vector:
    """Read the vector that starts at an element pointer."""
    value = builder.load(builder.bitcast(pointer, ir_vector(type_).as_pointer()))
    value.align = type_.dtype.bitwidth // 8
    return Vector(builder, type_, value)


def load_first_at(builder: Any, type_: VectorType, pointer: Any, count: Any) -> Vector:
    """The first ``count`` lanes, an LLVM integer below 2^31, of the vector at an element pointer; zero in the others.

    Nothing behind them is read.
    """
    return Vector(builder, type_, load_first_of(builder, type_.dtype, type_.lanes, pointer, count))


def load_first_of(builder: Any, dtype: Any, lanes: int, pointer: Any, count: Any) -> Any:
    """The same as an LLVM vector of any number of lanes."""
    vector, masks = ir.VectorType(ir_float(dtype), lanes), ir.VectorType(ir.IntType(1), lanes)
    numbers = ir.VectorType(_I32, lanes)([*range(lanes)])
    wanted = builder.icmp_signed("<", numbers, in_all_lanes(builder, builder.trunc(count, _I32), lanes))
    source = builder.bitcast(pointer, vector.as_pointer())
    kind = ir.FunctionType(vector, [source.type, _I32, masks, vector])
    name = f"llvm.masked.load.v{lanes}{FLOAT_NAMES[dtype]}.p0"
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, [source, _I32(dtype.bitwidth // 8), wanted, ir.Constant(vector, None)])


def quarter(like: Vector, number: int) -> Vector:
    """Lanes of a quarter of a vector as the first ones, zero in the others."""
    lanes = like.type.lanes
    first = number * (lanes // 4)
    places = [first + lane if lane < lanes // 4 else lanes for lane in range(lanes)]
    mask = ir.Constant(ir.VectorType(_I32, lanes), places)
    return like.wrap(like.builder.shuffle_vector(like.value, like.lift(0.0).value, mask))


def join_quarters(builder: Any, type_: VectorType, quarters: Sequence[Any]) -> Vector:
    """One vector of four LLVM vectors."""
    parts, size = list(quarters), type_.lanes // 4
    while len(parts) > 1:
        size *= 2
        places = ir.Constant(ir.VectorType(_I32, size), list(range(size)))
        parts = [builder.shuffle_vector(a, b, places) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return Vector(builder, type_, parts[0])


def load_bytes_at(builder: Any, type_: VectorType, pointer: Any) -> Vector:
    """Read the bytes that start at a pointer as numbers."""
    packed = builder.load(builder.bitcast(pointer, ir.VectorType(_I8, type_.lanes).as_pointer()))
    packed.align = 1
    wide = builder.zext(packed, ir.VectorType(_I32, type_.lanes))
    return Vector(builder, type_, builder.sitofp(wide, ir_vector(type_)))


def store_at(pointer: Any, vector: Vector) -> None:
    """Write a vector to where an element pointer points."""
    builder = vector.builder
    target = builder.bitcast(pointer, ir_vector(vector.type).as_pointer())
    builder.store(vector.value, target).align = vector.type.dtype.bitwidth // 8


def vector_function(function: Callable[..., Any]) -> Any:
    """Make a Python function on ``Vector`` arguments callable from compiled kernels.

    Every argument is a ``Vector``, or a float of the same precision, which is put in every lane. Inside other such
    functions call ``name.emit``.
    """

    def typing(_: Any, *args: Any) -> Any:
        vectors = [arg for arg in args if isinstance(arg, VectorType)]
        if not vectors:
            return None
        vector = vectors[0]

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            lifted = [
                Vector(builder, vector, value)
                if isinstance(arg, VectorType)
                else broadcast(builder, vector, context.cast(builder, value, arg, vector.dtype))
                for arg, value in zip(signature.args, values, strict=True)
            ]
            return function(*lifted).value

        return vector(*args), codegen

    typing.__doc__ = function.__doc__
    parameters = list(inspect.signature(function).parameters)
    result = named_intrinsic(function.__name__, parameters, typing)
    result.emit = function
    return result


multiply_add = vector_function(fma)
"""``x * y + z``, rounded once; in compiled kernels."""


@vector_function
def square_root(x: Vector) -> Vector:
    """The square root of every lane."""
    return x.call("sqrt")


@intrinsic
def load(_, array, index):
    """The vector starting at ``array[index]``; in compiled kernels."""
    vector = VectorType(array.dtype)

    def codegen(context, builder, signature, args):
        return load_at(builder, vector, element_pointer(builder, signature.args[0], *args)).value

    return vector(array, types.int64), codegen


@intrinsic
def store(_, array, index, vector):
    """Write ``vector`` to ``array[index:index + lanes]``; in compiled kernels."""

    def codegen(context, builder, signature, args):
        value = Vector(builder, signature.args[2], args[2])
        store_at(element_pointer(builder, signature.args[0], *args[:2]), value)
        return context.get_dummy_value()

    return types.none(array, types.int64, vector), codegen


@intrinsic
def load_first(_, array, index, count):
    """The first ``count`` lanes of the vector at ``array[index]``, zero in the others; in compiled kernels."""
    vector = VectorType(array.dtype)

    def codegen(context, builder, signature, args):
        place = element_pointer(builder, signature.args[0], *args[:2])
        return load_first_at(builder, vector, place, args[2]).value

    return vector(array, types.int64, types.int64), codegen


@intrinsic
def load_bytes(_, array, index, like):
    """Bytes ``array[index:index + lanes]`` as numbers in a vector of ``like``'s dtype; in compiled kernels."""
    vector = VectorType(like.dtype)

    def codegen(context, builder, signature, args):
        return load_bytes_at(builder, vector, element_pointer(builder, signature.args[0], *args[:2])).value

    return vector(array, types.int64, like), codegen


@intrinsic
def lane_count(_, array):
    """Elements of ``array`` in one register; in compiled kernels."""
    lanes = VectorType(array.dtype).lanes

    def codegen(context, builder, signature, args):
        return _I64(lanes)

    return types.int64(array), codegen


@intrinsic
def item_size(_, array):
    """Bytes of a number of ``array``; in compiled kernels."""
    size = array.dtype.bitwidth // 8

    def codegen(context, builder, signature, args):
        return _I64(size)

    return types.int64(array), codegen


NEAREST, _SECOND = 3, 2  # LLVM's names of the caches that a line may be asked into


def prefetch_at(builder: Any, pointer: Any, cache: int = _SECOND, for_writing: bool = False) -> None:
    """Ask for the cache line of an element pointer ahead of its use; harmless at any address."""
    line = builder.bitcast(pointer, _I8.as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [line.type, _I32, _I32, _I32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [line, _I32(int(for_writing)), _I32(cache), _I32(1)])  # the last one: data


@intrinsic
def prefetch(_, array, index):
    """Ask for the cache line of ``array[index]`` ahead of its use; in compiled kernels."""

    def codegen(context, builder, signature, args):
        prefetch_at(builder, element_pointer(builder, signature.args[0], *args))
        return context.get_dummy_value()

    return types.none(array, types.int64), codegen


@intrinsic
def prefetch_soon(_, array, index):
    """The same into the nearest cache, for what is used soon and is not much."""

    def codegen(context, builder, signature, args):
        prefetch_at(builder, element_pointer(builder, signature.args[0], *args), NEAREST)
        return context.get_dummy_value()

    return types.none(array, types.int64), codegen


@intrinsic
def prefetch_address(_, address):
    """Ask for the line of an address, as ``address_of`` tells it, ahead of its use."""

    def codegen(context, builder, signature, args):
        prefetch_at(builder, builder.inttoptr(args[0], _I8.as_pointer()))
        return context.get_dummy_value()

    return types.none(types.int64), codegen


@intrinsic
def address_of(_, array, index):
    """Where ``array[index]`` lies in memory; in compiled kernels."""

    def codegen(context, builder, signature, args):
        return builder.ptrtoint(element_pointer(builder, signature.args[0], *args), _I64)

    return types.int64(array, types.int64), codegen


@intrinsic
def splat(_, array, number):
    """``number`` in every lane of a vector of ``array``'s dtype; in compiled kernels."""
    vector = VectorType(array.dtype)

    def codegen(context, builder, signature, args):
        scalar = context.cast(builder, args[1], signature.args[1], vector.dtype)
        return broadcast(builder, vector, scalar).value

    return vector(array, number), codegen


@intrinsic
def lowest_number(_, array):
    """The lowest finite number of ``array``'s dtype in every lane of a vector; in compiled kernels."""
    vector = VectorType(array.dtype)
    lowest = -3.4028234663852886e38 if array.dtype == types.float32 else -1.7976931348623157e308

    def codegen(context, builder, signature, args):
        return ir.Constant(ir_vector(vector), [lowest] * vector.lanes)

    return vector(array), codegen


def _enable_operator(function: Callable[[Any, Any], Any]) -> None:
    """Let compiled kernels write ``x + y`` and the like on two vectors."""

    @infer_global(function)
    class Operator(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and all(isinstance(arg, VectorType) for arg in args):
                return signature(args[0], *args)
            return None

    @lower_builtin(function, VectorType, VectorType)
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, y = (Vector(builder, signature.return_type, value) for value in args)
        return function(x, y).value


for _function in (operator.add, operator.sub, operator.mul, operator.truediv):
    _enable_operator(_function)


def _reduction(name: str, combine: Callable[[Vector, Vector], Vector]) -> Any:
    """An intrinsic that folds the lanes of a vector into one number."""

    def typing(_: Any, vector: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _reduce(Vector(builder, vector, args[0]), combine)

        return vector.dtype(vector), codegen

    typing.__name__ = name
    return intrinsic(typing)


lane_sum = _reduction("lane_sum", lambda x, y: x + y)
