"""Samples that are mostly zero, packed: a bit for every input, and one after the other the numbers that are not zero.

In every epoch samples are read in another order, and so from afar. Packed, MNIST's images are a fifth of the memory
that they are as float32, and as fast as bytes. Their lists come out the same.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.kernels.buffers import BITS_PER_WORD, Data, Net
from fastnn.kernels.compile import entry, kernel, stage
from fastnn.kernels.lists import Inputs, Place, append_kept, numbers_from
from fastnn.kernels.pointers import element_pointer
from fastnn.kernels.records import Bytes, Int64s, Numbers
from fastnn.kernels.simd import VectorType, ir_vector, lane_count, load_at, store_at

_I16, _I64 = ir.IntType(16), ir.IntType(64)


def _bits_pointer(builder, kind, bits, at, lanes):
    """Pointer to the bits of ``lanes`` inputs, ``at`` bytes from the start."""
    return builder.bitcast(element_pointer(builder, kind, bits, at), ir.IntType(lanes).as_pointer())


@intrinsic
def pack_register(_, values, at, bits, byte, packed, count):
    """Append what is not zero of the register at ``values[at:]``, and write its bits; returns how many.

    Whole registers are written.
    """
    vector = VectorType(values.dtype)

    def codegen(context, builder, signature, args):
        kinds = signature.args
        row = load_at(builder, vector, element_pointer(builder, kinds[0], args[0], args[1]))
        keep = builder.fcmp_unordered("!=", row.value, ir.Constant(ir_vector(vector), [0.0] * vector.lanes))
        word = builder.bitcast(keep, ir.IntType(vector.lanes))
        builder.store(word, _bits_pointer(builder, kinds[2], args[2], args[3], vector.lanes)).align = 1
        return append_kept(builder, keep, [(row.value, element_pointer(builder, kinds[4], args[4], args[5]))])

    return types.int64(values, at, bits, byte, packed, count), codegen


@intrinsic
def ones_in_word(_, bits, at):
    """How many bits of the word at a byte are set."""

    def codegen(context, builder, signature, args):
        pointer = builder.bitcast(element_pointer(builder, signature.args[0], *args), _I16.as_pointer())
        word = builder.load(pointer)
        word.align = 1
        return builder.zext(builder.ctpop(word), _I64)

    return types.int64(bits, at), codegen


def _expand(builder, values, keep):
    """AVX-512's expand: the first lanes, put in order to the lanes under the mask; zero elsewhere."""
    element = {"float": "f32", "double": "f64"}[str(values.type.element)]
    name = f"llvm.x86.avx512.mask.expand.v{values.type.count}{element}"
    kind = ir.FunctionType(values.type, [values.type, values.type, keep.type])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, [values, ir.Constant(values.type, None), keep])


@intrinsic
def append_packed(_, bits, bytes_, values, places, number, work, indices, place, count):
    """Extend a list by a register of inputs, numbered from ``number``, of every source.

    Its bits are at ``bits[bytes_[k]:]``, its numbers begin at ``values[places[k]]``. Returns how many entries there
    are, and how many of each source.
    """
    vector = VectorType(work.dtype)

    def codegen(context, builder, signature, args):
        kinds, lanes, samples = signature.args, vector.lanes, bytes_.count
        masks, rows, own = [], [], []
        for k in range(samples):
            byte, at = (builder.extract_value(args[i], k) for i in (1, 3))
            word = builder.load(_bits_pointer(builder, kinds[0], args[0], byte, lanes))
            word.align = 1
            own.append(builder.zext(builder.ctpop(word), _I64))
            masks.append(builder.bitcast(word, ir.VectorType(ir.IntType(1), lanes)))
            packed = load_at(builder, vector, element_pointer(builder, kinds[2], args[2], at))
            rows.append(_expand(builder, packed.value, masks[k]))
        keep = masks[0]
        for mask in masks[1:]:
            keep = builder.or_(keep, mask)
        numbers, at, stride = (builder.extract_value(args[7], i) for i in range(3))
        index = element_pointer(builder, kinds[6], args[6], builder.add(numbers, args[8]))
        columns = [(numbers_from(builder, args[4], lanes), index)]
        for k, row in enumerate(rows):
            target = builder.add(builder.add(at, builder.mul(stride, _I64(k))), args[8])
            columns.append((row, element_pointer(builder, kinds[5], args[5], target)))
        found = append_kept(builder, keep, columns)
        return context.make_tuple(builder, signature.return_type, [found, *own])

    result = types.UniTuple(types.int64, 1 + bytes_.count)
    return result(bits, bytes_, values, places, number, work, indices, place, count), codegen


@intrinsic
def expand_register(_, bits, byte, values, place, work, at):
    """Put back a register of inputs to ``work[at:]``: their bits, and where their numbers begin; returns how many."""
    vector = VectorType(work.dtype)

    def codegen(context, builder, signature, args):
        kinds, lanes = signature.args, vector.lanes
        word = builder.load(_bits_pointer(builder, kinds[0], args[0], args[1], lanes))
        word.align = 1
        packed = load_at(builder, vector, element_pointer(builder, kinds[2], args[2], args[3]))
        row = _expand(builder, packed.value, builder.bitcast(word, ir.VectorType(ir.IntType(1), lanes)))
        store_at(element_pointer(builder, kinds[4], args[4], args[5]), packed.wrap(row))
        return builder.zext(builder.ctpop(word), _I64)

    return types.int64(bits, byte, values, place, work, at), codegen


@kernel
def expand_row(data, sample, n_in, work, at):
    """Put a sample's inputs (n_in,) to ``work[at:]``, whole registers."""
    byte, place = sample * data.row_bytes, data.firsts[sample]
    for i in range(0, n_in, lane_count(work)):
        place += expand_register(data.bits, byte + i // 8, data.features, place, work, at + i)


@kernel
def pack_row(values, source, n_in, bits, byte, packed, count):
    """Pack one sample (n_in,); returns where the next one's numbers begin."""
    lanes = lane_count(values)
    whole, kept = n_in - n_in % lanes, np.int64(0)
    for i in range(0, whole, lanes):
        count += pack_register(values, source + i, bits, byte + i // 8, packed, count)
    for i in range(whole, n_in):
        value = values[source + i]
        packed[count] = value
        kept |= np.int64(value != 0) << (i - whole)
        count += value != 0
    for i in range(whole, n_in, 8):
        bits[byte + i // 8] = np.uint8(kept >> (i - whole) & 255)
    return count


@entry
def pack(
    values: Numbers, n_in: int, first: int, end: int, bits: Bytes, row_bytes: int, starts: Int64s, packed: Numbers
) -> None:
    """Pack samples ``first`` to ``end`` of (n, n_in), after those before them; see ``Data.bits``."""
    for sample in range(first, end):
        starts[sample + 1] = pack_row(
            values, sample * n_in, n_in, bits, sample * row_bytes, packed, starts[sample]
        )  # fmt: skip


@kernel
def numbers_before(bits, byte, inputs):
    """How many of a sample's numbers are of inputs before these; its bits begin at a byte."""
    count = 0
    for i in range(0, inputs.first, BITS_PER_WORD):
        count += ones_in_word(bits, byte + i // 8)
    return count


@stage
def list_packed(
    net: Net, data: Data, sample: int, other: int, samples: int, first: int, end: int, numbers: int, at: int,
    stride: int,
) -> int:  # fmt: skip
    """The list of one sample, or of two, of packed data; like ``lists.list_scaled``."""
    work, indices, place, inputs = net.work, net.lists.indices, Place(numbers, at, stride), Inputs(first, end)
    lanes, count, byte = lane_count(work), 0, sample * data.row_bytes
    own = data.firsts[sample] + numbers_before(data.bits, byte, inputs)
    if samples == 1:
        for i in range(first, end, lanes):
            found, mine = append_packed(
                data.bits, (byte + i // 8,), data.features, (own,), i - first, work, indices, place, count
            )  # fmt: skip
            count, own = count + found, own + mine
        return count
    beside = other * data.row_bytes
    theirs = data.firsts[other] + numbers_before(data.bits, beside, inputs)
    for i in range(first, end, lanes):
        found, mine, its = append_packed(
            data.bits, (byte + i // 8, beside + i // 8), data.features, (own, theirs), i - first, work, indices, place,
            count,
        )  # fmt: skip
        count, own, theirs = count + found, own + mine, theirs + its
    return count
