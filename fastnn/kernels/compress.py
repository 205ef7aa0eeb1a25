"""Lanes under a mask moved together, and put back: how lists of what is not zero are made, in registers.

AVX-512 has instructions for it. With AVX2 a register is permuted by numbers that a table has for every mask.
"""

from collections.abc import Callable, Sequence

from llvmlite import ir
from numba.core import cgutils

from fastnn.kernels.host import CAN_COMPRESS, WIDTH

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_WORDS = 8  # of 32 bits in a register, where there is no AVX-512
_NONE = -128  # in a table: nothing goes to this lane


def bits_of(builder, mask):
    """A mask's lanes as the bits of an integer, the first one lowest."""
    return builder.bitcast(mask, ir.IntType(mask.type.count))


def moved_together(builder, data, bits):
    """The lanes whose bit is set, in their order; what lies behind them is rubbish."""
    if WIDTH == 16:
        return _masked(builder, "compress", data, bits)
    return _permuted(builder, "together", data, bits)[0]


def put_back(builder, data, bits):
    """The first lanes, in their order, to those whose bit is set; zero elsewhere."""
    if WIDTH == 16:
        return _masked(builder, "expand", data, bits)
    if not CAN_COMPRESS:
        return _put_back_one_by_one(builder, data, bits)
    found, places = _permuted(builder, "back", data, bits)
    zero = places.type([0] * _WORDS)
    kept = builder.select(builder.icmp_signed("<", places, zero), zero, builder.bitcast(found, places.type))
    return builder.bitcast(kept, data.type)


def put_among(builder, data, bits, all_bits):
    """The first lanes to where theirs are among all those set, once these are moved together; zero for the others."""
    if WIDTH == 16:
        return put_back(builder, data, _extracted(builder, bits, all_bits))
    return moved_together(builder, put_back(builder, data, bits), all_bits)


def _masked(builder, name, data, bits):
    """AVX-512's compress or expand, zero in the lanes that are left."""
    element = {"i32": "i32", "float": "f32", "double": "f64"}[str(data.type.element)]
    mask = ir.VectorType(ir.IntType(1), data.type.count)
    kind = ir.FunctionType(data.type, [data.type, data.type, mask])
    name = f"llvm.x86.avx512.mask.{name}.v{data.type.count}{element}"
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, [data, ir.Constant(data.type, None), builder.bitcast(bits, mask)])


def _extracted(builder, bits, wanted):
    """BMI2's pext: the wanted bits, moved together."""
    kind = ir.FunctionType(_I32, [_I32, _I32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.bmi.pext.32")
    return builder.trunc(builder.call(function, [builder.zext(x, _I32) for x in (bits, wanted)]), bits.type)


def _put_back_one_by_one(builder, data, bits):
    """For registers too narrow to pack: code that holds it is made there, too, but never comes to it."""
    zero, found, place = data.type.element(0), ir.Constant(data.type, None), _I32(0)
    for lane in range(data.type.count):
        kept = builder.trunc(builder.lshr(bits, bits.type(lane)), ir.IntType(1))
        value = builder.select(kept, builder.extract_element(data, place), zero)
        found = builder.insert_element(found, value, _I32(lane))
        place = builder.add(place, builder.zext(kept, _I32))
    return found


# For lanes that are kept (1) or not (0), which one goes to each lane of the result.
_PLACES: dict[str, Callable[[Sequence[int]], list[int]]] = {
    "together": lambda kept: [lane for lane, is_kept in enumerate(kept) if is_kept],
    "back": lambda kept: [sum(kept[:lane]) if is_kept else _NONE for lane, is_kept in enumerate(kept)],
}


def _permuted(builder, name, data, bits):
    """A register permuted as a table says for the bits, and the 32-bit word that went to each place."""
    lanes, whole = data.type.count, ir.VectorType(_I32, _WORDS)
    words = 2 if data.type.element == ir.DoubleType() else 1  # of a lane
    half = lanes * words < _WORDS  # of a register, that numbers of inputs take beside float64
    wide = builder.shuffle_vector(data, data, whole([*range(lanes)] * 2)) if half else builder.bitcast(data, whole)
    places = _row_of_table(builder, name, bits, _WORDS // words)
    kind = ir.FunctionType(whole, [whole, whole])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx2.permd")
    found = builder.call(function, [wide, places])
    if half:
        return builder.shuffle_vector(found, found, ir.VectorType(_I32, lanes)([*range(lanes)])), places
    return builder.bitcast(found, data.type), places


def _row_of_table(builder, name, bits, lanes):
    """The places of a register's words for these bits: 8 bytes of a table, of which a module has one."""
    row = ir.ArrayType(_I8, _WORDS)
    table_name = f"fastnn_{name}_{lanes}"
    table = builder.module.globals.get(table_name)
    if table is None:
        table = ir.GlobalVariable(builder.module, ir.ArrayType(row, 1 << lanes), table_name)
        table.linkage, table.global_constant = "internal", True
        table.initializer = ir.Constant(table.value_type, [row(_row(name, mask, lanes)) for mask in range(1 << lanes)])
    place = builder.gep(table, [_I64(0), builder.zext(bits, _I64), _I64(0)])
    packed = builder.load(builder.bitcast(place, ir.VectorType(_I8, _WORDS).as_pointer()))
    packed.align = 1
    return builder.sext(packed, ir.VectorType(_I32, _WORDS))


def _row(name: str, mask: int, lanes: int) -> list[int]:
    found = _PLACES[name]([mask >> lane & 1 for lane in range(lanes)])
    found += [0] * (lanes - len(found))
    words = _WORDS // lanes
    return [lane * words + word if lane != _NONE else _NONE for lane in found for word in range(words)]
