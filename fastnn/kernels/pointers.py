"""Records and arrays as compiled kernels see them: addresses with a type.

``record.field`` is a load, ``array[i]`` is one too (no bounds, no negative places), ``if array:`` asks whether there is
one, ``table[i]`` is a record. Nobody writes to a record while a kernel runs, and LLVM is told so.
"""

import inspect
import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, infer_global, signature
from numba.extending import (
    NativeValue,
    intrinsic,
    lower_builtin,
    lower_cast,
    lower_getattr_generic,
    register_model,
    unbox,
)

from fastnn.kernels.records import TableOf, fields_of

_I64 = ir.IntType(64)
_BYTES = ir.IntType(8).as_pointer()
_WORD = 8


class ArrayType(types.Type):
    """An array's first element, of ``dtype``."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(name=f"Array({dtype})")


class RecordType(types.Type):
    """A record of a class, whose numbers are of ``dtype``."""

    def __init__(self, record: type, dtype: Any) -> None:
        self.record, self.dtype = record, dtype
        super().__init__(name=f"{record.__name__}({dtype})")

    def place(self, name: str) -> int:
        """Number of a field."""
        return list(fields_of(self.record)).index(name)

    def field(self, name: str) -> Any:
        """Type of a field; None where there is no such field."""
        kinds = fields_of(self.record)
        return type_of(kinds[name], self.dtype) if name in kinds else None


class TableType(types.Type):
    """The first of several records of a type."""

    def __init__(self, row: RecordType) -> None:
        self.row = row
        super().__init__(name=f"Table({row})")


def type_of(kind: Any, dtype: Any) -> Any:
    """The type of a field or an argument of some kind, see ``records.fields_of``, where numbers are of ``dtype``."""
    plain = {int: types.int64, float: types.float64, type(None): types.none}
    if kind in plain:
        return plain[kind]
    if isinstance(kind, str):
        return ArrayType(dtype if kind == "numbers" else getattr(types, kind))
    return TableType(RecordType(kind.row, dtype)) if isinstance(kind, TableOf) else RecordType(kind, dtype)


for _type in (ArrayType, RecordType, TableType):

    @register_model(_type)
    class _AddressModel(models.PrimitiveModel):
        def __init__(self, dmm: Any, fe_type: Any) -> None:
            super().__init__(dmm, fe_type, _BYTES)

    @unbox(_type)
    def _from_address(kind: Any, number: Any, c: Any) -> Any:
        """Python hands over the address as a number."""
        address = c.pyapi.long_as_longlong(number)
        return NativeValue(c.builder.inttoptr(address, _BYTES))


def ir_scalar(dtype: Any) -> Any:
    """LLVM's type for a Numba number."""
    if isinstance(dtype, types.Float):
        return ir.FloatType() if dtype.bitwidth == 32 else ir.DoubleType()
    return ir.IntType(dtype.bitwidth)


def element_pointer(builder: Any, array_type: ArrayType, array: Any, index: Any) -> Any:
    """Pointer to element ``index`` of an array."""
    start = builder.bitcast(array, ir_scalar(array_type.dtype).as_pointer())
    return builder.gep(start, [index])


def _word(builder: Any, record: Any, place: Any, kind: Any) -> Any:
    """A word of a record, which stays what it is."""
    pointer = builder.bitcast(builder.gep(record, [place]), kind.as_pointer())
    value = builder.load(pointer)
    value.set_metadata("invariant.load", builder.module.add_metadata([]))
    return value


@infer_getattr
class _Fields(AttributeTemplate):
    key = RecordType

    def generic_resolve(self, kind: RecordType, name: str) -> Any:
        return kind.field(name)


@lower_getattr_generic(RecordType)
def _read_field(context: Any, builder: Any, kind: RecordType, record: Any, name: str) -> Any:
    return _word(builder, record, _I64(_WORD * kind.place(name)), context.get_value_type(kind.field(name)))


def _as_i64(context: Any, builder: Any, index: Any, kind: Any) -> Any:
    return context.cast(builder, index, kind, types.int64)


@infer_global(operator.getitem)
class _GetItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        container, index = args
        if not isinstance(index, types.Integer):
            return None
        if isinstance(container, ArrayType):
            # Loaded bytes and 32-bit numbers take part in 64-bit arithmetic.
            return signature(container.dtype, container, index)
        return signature(container.row, container, index) if isinstance(container, TableType) else None


@lower_builtin(operator.getitem, ArrayType, types.Integer)
def _read_element(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    index = _as_i64(context, builder, args[1], sig.args[1])
    return builder.load(element_pointer(builder, sig.args[0], args[0], index))


@lower_builtin(operator.getitem, TableType, types.Integer)
def _row(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    index = _as_i64(context, builder, args[1], sig.args[1])
    size = _WORD * len(fields_of(sig.args[0].row.record))
    return builder.gep(args[0], [builder.mul(index, _I64(size))])


@infer_global(operator.setitem)
class _SetItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        container, index, _ = args
        if isinstance(container, ArrayType) and isinstance(index, types.Integer):
            return signature(types.none, container, index, container.dtype)
        return None


@lower_builtin(operator.setitem, ArrayType, types.Integer, types.Any)
def _write_element(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    index = _as_i64(context, builder, args[1], sig.args[1])
    builder.store(args[2], element_pointer(builder, sig.args[0], args[0], index))
    return context.get_dummy_value()


@infer_global(bool)
class _Given(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        if len(args) == 1 and isinstance(args[0], ArrayType):
            return signature(types.boolean, *args)
        return None


@lower_builtin(bool, ArrayType)
def _is_given(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return cgutils.is_not_null(builder, args[0])


@lower_cast(ArrayType, types.boolean)
def _cast_given(context: Any, builder: Any, source: Any, target: Any, value: Any) -> Any:
    return cgutils.is_not_null(builder, value)


def named_intrinsic(name: str, parameters: list[str], typing: Any) -> Any:
    """An intrinsic of a function with ``*args``: Numba binds arguments by the signature, so it must show names."""
    kind = inspect.Parameter.POSITIONAL_ONLY
    typing.__signature__ = inspect.Signature([inspect.Parameter(p, kind) for p in ["context", *parameters]])
    typing.__name__ = name
    return intrinsic(typing)


@intrinsic
def moved(_, array, places):
    """The array that begins ``places`` elements further on; in compiled kernels."""

    def codegen(context, builder, sig, args):
        return builder.bitcast(element_pointer(builder, sig.args[0], *args), _BYTES)

    return array(array, types.int64), codegen


@intrinsic
def nothing(_, array):
    """An absent array of the same type; in compiled kernels."""

    def codegen(context, builder, sig, args):
        return ir.Constant(_BYTES, None)

    return array(array), codegen


@intrinsic
def number(_, array, value):
    """``value`` in the array's dtype: a Python float beside float32 numbers would make them float64."""

    def codegen(context, builder, sig, args):
        return context.cast(builder, args[1], sig.args[1], sig.return_type)

    return array.dtype(array, value), codegen
