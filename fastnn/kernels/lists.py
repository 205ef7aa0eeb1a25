"""Lists of the inputs that are not zero, made batch by batch, in registers, from the data as they are.

The inputs are cut into blocks, so that the weights of a block stay in the nearest cache while a whole batch passes
over them. Two samples share a list: an entry is an input's number within its block and the values that both have
there, one of which may be zero. Neighbouring samples have many inputs in common, and each weight is then loaded, and
stored, once for both. A sparse matrix is lists already, one for each sample, and stays so.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnn.kernels.buffers import LIST_SLACK, LIST_TAIL, SAMPLES_PER_LIST, Data, Net
from fastnn.kernels.compile import caller, kernel, stage, woven
from fastnn.kernels.compress import bits_of, moved_together
from fastnn.kernels.elementary import fraction
from fastnn.kernels.host import CAN_COMPRESS, WIDTH
from fastnn.kernels.pointers import element_pointer, number
from fastnn.kernels.rows import sample_at
from fastnn.kernels.simd import (
    Vector,
    VectorType,
    broadcast,
    in_all_lanes,
    ir_vector,
    lane_count,
    load_at,
    load_bytes_at,
    splat,
    store,
    store_at,
)

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_BYTE = 8  # bits of a value beside its number, while a list of bytes is being made


class Place(NamedTuple):
    """Where a list is written: numbers in ``indices[numbers:]``, values of sample k in ``work[at + k * stride:]``."""

    numbers: int
    at: int
    stride: int


class Inputs(NamedTuple):
    """Inputs ``first`` to ``end``, which the list numbers from 0."""

    first: int
    end: int


@woven
def group_of(data):
    """How many samples share a list."""
    return np.int64(1) if data.starts else np.int64(SAMPLES_PER_LIST)


@woven
def block_inputs(lists, block, n_in):
    """The inputs of a block."""
    return Inputs(block * lists.block_size, min(n_in, (block + 1) * lists.block_size))


@woven
def list_place(lists, layer, row, block):
    """Where the list that begins with sample ``row`` has its entries of a block."""
    shift = block * (lists.block_size + LIST_SLACK)
    if lists.packed:
        shift = lists.shifts[count_at(lists, row, block)]
    return Place(row * lists.stride + shift, layer.input + row * layer.input_stride + shift, layer.input_stride)


@woven
def count_at(lists, row, block):
    """Where the length of a list stands in ``lists.counts``, and its shift in ``lists.shifts``."""
    return block * lists.count_stride + row


def append_kept(builder, keep, columns):
    """Write the lanes under the mask ``keep`` of every ``(vector, pointer)`` to the front of the pointer's list.

    Returns how many. Whole registers are written; what lies past the count is rubbish.
    """
    lanes = keep.type.count
    if CAN_COMPRESS:
        bits = bits_of(builder, keep)
        for data, pointer in columns:
            moved = moved_together(builder, data, bits)
            builder.store(moved, builder.bitcast(pointer, data.type.as_pointer())).align = 4
        return builder.zext(builder.ctpop(bits), _I64)
    count = _I64(0)
    for lane in range(lanes):  # write every lane, and let the next one overwrite it if it was zero
        for data, pointer in columns:
            builder.store(builder.extract_element(data, _I32(lane)), builder.gep(pointer, [count]))
        count = builder.add(count, builder.zext(builder.extract_element(keep, _I32(lane)), _I64))
    return count


def numbers_from(builder, first, lanes, step=1):
    """``step * (first, first + 1, ...)``, one 32-bit number per lane."""
    start = builder.mul(builder.trunc(first, _I32), _I32(step))
    steps = ir.VectorType(_I32, lanes)([lane * step for lane in range(lanes)])
    return builder.add(in_all_lanes(builder, start, lanes), steps)


def elements(builder, array_type, array, starts, offset):
    """A pointer to ``array[start + offset]`` for each of a tuple of starts."""
    count = starts.type.count
    return [
        element_pointer(builder, array_type, array, builder.add(builder.extract_value(starts, k), offset))
        for k in range(count)
    ]


def _is_bytes(values):
    return isinstance(values.dtype, types.Integer)


@intrinsic
def append_nonzero(_, values, factor, sources, i, number, work, indices, place, count):
    """Extend a list by the inputs ``values[source + i:]`` of every source, a register of them, numbered from there.

    Bytes times their inputs' factors. Returns how many there are.
    """
    vector = VectorType(work.dtype)

    def codegen(context, builder, signature, args):
        kinds = signature.args
        pointers = elements(builder, kinds[0], args[0], args[2], args[3])
        if _is_bytes(values):
            own = load_at(builder, vector, element_pointer(builder, kinds[1], args[1], args[3]))
            rows = [load_bytes_at(builder, vector, pointer) * own for pointer in pointers]
        else:
            rows = [load_at(builder, vector, pointer) for pointer in pointers]
        numbers, at, stride = (builder.extract_value(args[7], k) for k in range(3))
        zero = ir.Constant(ir_vector(vector), [0.0] * vector.lanes)
        keep = builder.fcmp_unordered("!=", rows[0].value, zero)
        for row in rows[1:]:
            keep = builder.or_(keep, builder.fcmp_unordered("!=", row.value, zero))
        index_pointer = element_pointer(builder, kinds[6], args[6], builder.add(numbers, args[8]))
        columns = [(numbers_from(builder, args[4], vector.lanes), index_pointer)]
        for k, row in enumerate(rows):
            target = builder.add(builder.add(at, builder.mul(stride, _I64(k))), args[8])
            columns.append((row.value, element_pointer(builder, kinds[5], args[5], target)))
        return append_kept(builder, keep, columns)

    return types.int64(values, factor, sources, i, number, work, indices, place, types.int64), codegen


@intrinsic
def number_at(_, values, factor, source, i):
    """One of those numbers."""

    def codegen(context, builder, signature, args):
        kinds = signature.args
        found = builder.load(element_pointer(builder, kinds[0], args[0], builder.add(args[2], args[3])))
        if not _is_bytes(values):
            return found
        wide = context.cast(builder, found, values.dtype, factor.dtype)
        return builder.fmul(wide, builder.load(element_pointer(builder, kinds[1], args[1], args[3])))

    return factor.dtype(values, factor, types.int64, types.int64), codegen


@intrinsic
def append_nonzero_bytes(_, pixels, sources, i, number, indices, at):
    """The same for the next ``WIDTH`` bytes; an entry is ``number``, then a byte for every source."""

    def codegen(context, builder, signature, args):
        wide = ir.VectorType(_I32, WIDTH)
        pointers = elements(builder, signature.args[0], args[0], args[1], args[2])
        bits = _BYTE * len(pointers)
        entry, seen = numbers_from(builder, args[3], WIDTH, 1 << bits), wide([0] * WIDTH)
        for k, pointer in enumerate(pointers):
            packed = builder.load(builder.bitcast(pointer, ir.VectorType(_I8, WIDTH).as_pointer()))
            packed.align = 1
            value = builder.zext(packed, wide)
            seen = builder.or_(seen, value)
            entry = builder.or_(entry, builder.shl(value, wide([_BYTE * k] * WIDTH)))
        keep = builder.icmp_unsigned("!=", seen, wide([0] * WIDTH))
        return append_kept(builder, keep, [(entry, element_pointer(builder, signature.args[4], *args[4:]))])

    return types.int64(pixels, sources, i, number, indices, types.int64), codegen


@intrinsic
def unpack_bytes(_, sources, indices, work, place, j, divisor):
    """Take a register of entries from ``j`` on apart: numbers stay in ``indices``, values / divisor go to ``work``."""
    vector = VectorType(work.dtype)

    def codegen(context, builder, signature, args):
        wide = ir.VectorType(_I32, vector.lanes)
        numbers, at, stride = (builder.extract_value(args[3], k) for k in range(3))
        index = element_pointer(builder, signature.args[1], args[1], builder.add(numbers, args[4]))
        pointer = builder.bitcast(index, wide.as_pointer())
        packed = builder.load(pointer)
        packed.align = 4
        count = sources.count
        scale = broadcast(builder, vector, context.cast(builder, args[5], types.float64, vector.dtype))
        one_over = context.cast(builder, builder.fdiv(ir.DoubleType()(1.0), args[5]), types.float64, vector.dtype)
        reciprocal = broadcast(builder, vector, one_over)
        builder.store(builder.lshr(packed, wide([_BYTE * count] * vector.lanes)), pointer).align = 4
        for k in range(count):
            value = builder.lshr(packed, wide([_BYTE * k] * vector.lanes))
            value = builder.and_(value, wide([255] * vector.lanes))
            whole = Vector(builder, vector, builder.sitofp(value, ir_vector(vector)))
            target = builder.add(builder.add(at, builder.mul(stride, _I64(k))), args[4])
            found = fraction.emit(whole, scale, reciprocal)
            store_at(element_pointer(builder, signature.args[2], args[2], target), found)
        return context.get_dummy_value()

    return types.none(sources, indices, work, place, types.int64, types.float64), codegen


@kernel
def list_pixels(data, sources, inputs, work, indices, place):
    """List the inputs at which a sample has a byte that is not zero, divided by their divisor; returns how many."""
    count = 0
    whole = inputs.end - (inputs.end - inputs.first) % WIDTH
    for i in range(inputs.first, whole, WIDTH):
        count += append_nonzero_bytes(data.pixels, sources, i, i - inputs.first, indices, place.numbers + count)
    for i in range(whole, inputs.end):
        entry, seen, shift = np.int64(i - inputs.first) << _BYTE * len(sources), np.int64(0), 0
        for source in sources:
            value = np.int64(data.pixels[source + i])
            entry, seen, shift = entry | value << shift, seen | value, shift + _BYTE
        indices[place.numbers + count] = np.int32(entry)
        count += seen != 0
    for j in range(0, count, lane_count(work)):
        unpack_bytes(sources, indices, work, place, j, data.divisor)
    return count


@kernel
def list_numbers(values, factor, sources, inputs, work, indices, place):
    """List the inputs at which a sample has a number that is not zero, of bytes times their factors; returns how many.

    values: numbers, or bytes; factor: (n_in,), for bytes alone.
    """
    lanes = lane_count(work)
    count = 0
    whole = inputs.end - (inputs.end - inputs.first) % lanes
    for i in range(inputs.first, whole, lanes):
        count += append_nonzero(values, factor, sources, i, i - inputs.first, work, indices, place, count)
    for i in range(whole, inputs.end):
        seen, at = False, place.at + count
        for source in sources:
            value = number_at(values, factor, source, i)
            work[at] = value
            seen, at = seen or value != 0, at + place.stride
        indices[place.numbers + count] = np.int32(i - inputs.first)
        count += seen
    return count


@stage
def list_scaled(
    net: Net, data: Data, sample: int, other: int, samples: int, first: int, end: int, numbers: int, at: int,
    stride: int,
) -> int:  # fmt: skip
    """The list of one sample, or of two, of bytes that have a factor for every input; a stage because few have."""
    inputs, place, n_in = Inputs(first, end), Place(numbers, at, stride), net.layers[0].n_in
    work, indices = net.work, net.lists.indices
    if samples == 1:
        return list_numbers(data.pixels, data.factor, (sample * n_in,), inputs, work, indices, place)
    return list_numbers(data.pixels, data.factor, (sample * n_in, other * n_in), inputs, work, indices, place)


call_list_scaled = caller(list_scaled)


@kernel
def first_entry(columns, first, end, column):
    """The first of the entries ``first`` to ``end``, which are in order, whose column is not below ``column``."""
    while first < end:
        middle = (first + end) // 2
        if columns[middle] < column:
            first = middle + 1
        else:
            end = middle
    return first


class Entries(NamedTuple):
    """Entries ``first`` to ``end`` of a CSR matrix."""

    first: int
    end: int


@kernel
def block_entries(data, sample, inputs):
    """A sample's entries in some columns."""
    first, end = data.starts[sample], data.starts[sample + 1]
    first = first_entry(data.columns, first, end, inputs.first)
    return Entries(first, first_entry(data.columns, first, end, inputs.end))


@kernel
def copy_entries(data, entries, inputs, work, indices, place):
    """Copy a CSR matrix's entries, which are such a list already, and scale them; returns how many."""
    first, count = entries.first, entries.end - entries.first
    for j in range(count):
        work[place.at + j] = data.features[first + j]
        indices[place.numbers + j] = np.int32(data.columns[first + j] - inputs.first)
    if data.factor:
        for j in range(count):
            work[place.at + j] *= data.factor[data.columns[first + j]]
    elif data.divisor != 1:
        divisor = number(work, data.divisor)
        for j in range(count):
            work[place.at + j] /= divisor
    return count


@woven
def list_dense(data, sources, inputs, work, indices, place):
    """From bytes or from numbers."""
    if data.pixels:
        return list_pixels(data, sources, inputs, work, indices, place)
    return list_numbers(data.features, data.factor, sources, inputs, work, indices, place)


@kernel
def end_list(samples, count, work, indices, place):
    """Let a list end in entries that add nothing: the forward pass takes several at a time."""
    lanes = lane_count(work)
    for j in range(count, count + LIST_TAIL):
        indices[place.numbers + j] = np.int32(0)
    for k in range(samples):
        at = place.at + k * place.stride + count
        for j in range(at, at + LIST_TAIL, lanes):
            store(work, j, splat(work, 0))


@kernel
def list_row(data, sample, row, layer, net, blocks):
    """The lists of a sample of a sparse matrix, block by block.

    Where a sparse matrix's largest row tells that there are few entries, there is room for a sample's, and one block's
    follow on another's.
    """
    lists, begin = net.lists, 0
    for block in range(blocks.first, blocks.end):
        inputs, at = block_inputs(lists, block, layer.n_in), count_at(lists, row, block)
        entries = block_entries(data, sample, inputs)
        if block == blocks.first:
            begin = entries.first
        if lists.packed:
            lists.shifts[at] = block * LIST_SLACK + entries.first - begin
        place = list_place(lists, layer, row, block)
        lists.counts[at] = copy_entries(data, entries, inputs, net.work, lists.indices, place)
        end_list(1, lists.counts[at], net.work, lists.indices, place)


@kernel
def list_pair(data, sample, other, samples, row, layer, net, blocks):
    """The lists of one sample, or of two, of dense data, block by block."""
    lists, n_in, work, indices = net.lists, layer.n_in, net.work, net.lists.indices
    for block in range(blocks.first, blocks.end):
        inputs, place = block_inputs(lists, block, n_in), list_place(lists, layer, row, block)
        if data.factor:
            count = call_list_scaled(
                net.code.list_scaled, net, data, sample, other, samples, inputs.first, inputs.end, place.numbers,
                place.at, place.stride,
            )  # fmt: skip
        elif samples == 1:
            count = list_dense(data, (sample * n_in,), inputs, work, indices, place)
        else:
            count = list_dense(data, (sample * n_in, other * n_in), inputs, work, indices, place)
        end_list(samples, count, work, indices, place)
        lists.counts[count_at(lists, row, block)] = count


@kernel
def list_inputs(data, rows, layer, net, blocks):
    """List the inputs of rows ``rows.first`` to ``rows.end`` that are not zero, block by block."""
    if data.starts:
        for r in range(rows.first, rows.end):
            list_row(data, sample_at(rows, r), r, layer, net, blocks)
        return
    for r in range(rows.first, rows.end, SAMPLES_PER_LIST):
        samples = min(SAMPLES_PER_LIST, rows.end - r)
        list_pair(data, sample_at(rows, r), sample_at(rows, r + samples - 1), samples, r, layer, net, blocks)
