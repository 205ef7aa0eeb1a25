"""Lists of the inputs that are not zero, made batch by batch, in registers, from the data as they are.

The inputs are cut into blocks, so that the weights of a block stay in the nearest cache while a whole batch passes
over them. Four samples share a list: an entry is an input's number within its block and the values that all have there,
some of which may be zero. Samples have many inputs in common, and each weight is then loaded, and stored, once for all
four. The last samples of a batch may be fewer: their list is made as if the last one came several times. A sparse
matrix is lists already, one for each sample, and stays so.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.kernels.buffers import LIST_SLACK, LIST_TAIL, SAMPLES_PER_LIST, Data, Net
from fastnn.kernels.compile import caller, kernel, stage, woven
from fastnn.kernels.elementary import fraction
from fastnn.kernels.host import WIDTH
from fastnn.kernels.pointers import element_pointer, number
from fastnn.kernels.rows import sample_at
from fastnn.kernels.simd import (
    Vector,
    VectorType,
    broadcast,
    ir_vector,
    lane_count,
    load_at,
    load_bytes_at,
    splat,
    store,
    store_at,
)

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_BYTE = 8  # bits of a value beside those of other samples, while a list of bytes is being made


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
    shift = lists.shifts[count_at(lists, row, block)]
    return Place(row * lists.stride + shift, layer.input + row * layer.input_stride + shift, layer.input_stride)


@woven
def count_at(lists, row, block):
    """Where the length of a list stands in ``lists.counts``, and its shift in ``lists.shifts``."""
    return block * lists.count_stride + row


def _append(builder, keep, columns):
    """Write the lanes under the mask ``keep`` of every ``(vector, pointer)`` to the front of the pointer's list.

    Returns how many. Whole registers are written; what lies past the count is rubbish.
    """
    lanes = keep.type.count
    if WIDTH == 16:
        for data, pointer in columns:
            builder.store(_compress(builder, data, keep), builder.bitcast(pointer, data.type.as_pointer())).align = 4
        return builder.zext(builder.ctpop(builder.bitcast(keep, ir.IntType(lanes))), _I64)
    count = _I64(0)
    for lane in range(lanes):  # write every lane, and let the next one overwrite it if it was zero
        for data, pointer in columns:
            builder.store(builder.extract_element(data, _I32(lane)), builder.gep(pointer, [count]))
        count = builder.add(count, builder.zext(builder.extract_element(keep, _I32(lane)), _I64))
    return count


def _compress(builder, data, keep):
    """AVX-512's compress: the lanes under the mask, moved together to the front."""
    element = {"i32": "i32", "float": "f32", "double": "f64"}[str(data.type.element)]
    name = f"llvm.x86.avx512.mask.compress.v{data.type.count}{element}"
    kind = ir.FunctionType(data.type, [data.type, data.type, keep.type])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, [data, ir.Constant(data.type, None), keep])


def _count_from(builder, first, lanes, step=1):
    """``step * (first, first + 1, ...)``, one 32-bit number per lane."""
    numbers = ir.VectorType(_I32, lanes)
    empty = ir.Constant(numbers, ir.Undefined)
    scaled = builder.mul(builder.trunc(first, _I32), _I32(step))
    start = builder.insert_element(empty, scaled, _I32(0))
    steps = numbers([lane * step for lane in range(lanes)])
    return builder.add(builder.shuffle_vector(start, empty, numbers([0] * lanes)), steps)


def _elements(builder, array_type, array, starts, offset):
    """A pointer to ``array[start + offset]`` for each of a tuple of starts."""
    count = starts.type.count
    return [
        element_pointer(builder, array_type, array, builder.add(builder.extract_value(starts, k), offset))
        for k in range(count)
    ]


def _append_rows(builder, types_of, args, rows):
    """Extend a list by a register of every source's numbers; the arguments are those of ``append_nonzero``."""
    vector = rows[0].type
    numbers, at, stride = (builder.extract_value(args[6], k) for k in range(3))
    zero = ir.Constant(ir_vector(vector), [0.0] * vector.lanes)
    keep = builder.fcmp_unordered("!=", rows[0].value, zero)
    for row in rows[1:]:
        keep = builder.or_(keep, builder.fcmp_unordered("!=", row.value, zero))
    index_pointer = element_pointer(builder, types_of[5], args[5], builder.add(numbers, args[7]))
    columns = [(_count_from(builder, args[3], vector.lanes), index_pointer)]
    for k, row in enumerate(rows):
        target = builder.add(builder.add(at, builder.mul(stride, _I64(k))), args[7])
        columns.append((row.value, element_pointer(builder, types_of[4], args[4], target)))
    return _append(builder, keep, columns)


@intrinsic
def append_nonzero(_, features, sources, i, number, work, indices, place, count):
    """Extend a list by the inputs ``features[source + i:]`` of every source, a register of them, numbered from there.

    Returns how many there are.
    """
    vector = VectorType(features.dtype)

    def codegen(context, builder, signature, args):
        pointers = _elements(builder, signature.args[0], args[0], args[1], args[2])
        rows = [load_at(builder, vector, pointer) for pointer in pointers]
        return _append_rows(builder, signature.args, args, rows)

    return types.int64(features, sources, i, number, work, indices, place, types.int64), codegen


@intrinsic
def append_scaled_bytes(_, pixels, sources, i, number, work, indices, place, count, factor):
    """The same for bytes, each times its input's factor."""
    vector = VectorType(work.dtype)

    def codegen(context, builder, signature, args):
        pointers = _elements(builder, signature.args[0], args[0], args[1], args[2])
        own = load_at(builder, vector, element_pointer(builder, signature.args[8], args[8], args[2]))
        rows = [load_bytes_at(builder, vector, pointer) * own for pointer in pointers]
        return _append_rows(builder, signature.args, args, rows)

    return types.int64(pixels, sources, i, number, work, indices, place, types.int64, factor), codegen


@intrinsic
def append_nonzero_bytes(_, pixels, sources, i, number, work, indices, place, count):
    """The same for the next ``WIDTH`` bytes: numbers, and in the place of the first source's values a byte of each."""

    def codegen(context, builder, signature, args):
        wide = ir.VectorType(_I32, WIDTH)
        numbers, at, _ = (builder.extract_value(args[6], k) for k in range(3))
        pointers = _elements(builder, signature.args[0], args[0], args[1], args[2])
        packed = wide([0] * WIDTH)
        for k, pointer in enumerate(pointers):
            loaded = builder.load(builder.bitcast(pointer, ir.VectorType(_I8, WIDTH).as_pointer()))
            loaded.align = 1
            packed = builder.or_(packed, builder.shl(builder.zext(loaded, wide), wide([_BYTE * k] * WIDTH)))
        keep = builder.icmp_unsigned("!=", packed, wide([0] * WIDTH))
        index = element_pointer(builder, signature.args[5], args[5], builder.add(numbers, args[7]))
        values = _packed_at(builder, signature.args[4], args[4], at, args[7])
        return _append(builder, keep, [(_count_from(builder, args[3], WIDTH), index), (packed, values)])

    return types.int64(pixels, sources, i, number, work, indices, place, types.int64), codegen


def _packed_at(builder, array_type, work, at, j):
    """Pointer to the 32 bits of entry j of a list in the making, whose values begin at ``work[at]``."""
    first = builder.bitcast(element_pointer(builder, array_type, work, at), _I32.as_pointer())
    return builder.gep(first, [j])


@intrinsic
def append_byte(_, work, at, count, packed):
    """Set the 32 bits of one entry of a list in the making."""

    def codegen(context, builder, signature, args):
        builder.store(builder.trunc(args[3], _I32), _packed_at(builder, signature.args[0], *args[:3]))
        return context.get_dummy_value()

    return types.none(work, types.int64, types.int64, types.int64), codegen


@intrinsic
def unpack_bytes(_, sources, work, place, j, divisor):
    """Take a register of entries from ``j`` on apart: values / divisor, every source's in its place.

    Where they are doubles they reach over packed entries that follow: take the last register first.
    """
    vector = VectorType(work.dtype)

    def codegen(context, builder, signature, args):
        wide = ir.VectorType(_I32, vector.lanes)
        _, at, stride = (builder.extract_value(args[2], k) for k in range(3))
        found = builder.load(
            builder.bitcast(_packed_at(builder, signature.args[1], args[1], at, args[3]), wide.as_pointer())
        )
        found.align = 4
        scale = broadcast(builder, vector, context.cast(builder, args[4], types.float64, vector.dtype))
        one_over = context.cast(builder, builder.fdiv(ir.DoubleType()(1.0), args[4]), types.float64, vector.dtype)
        reciprocal = broadcast(builder, vector, one_over)
        for k in range(sources.count):
            value = builder.lshr(found, wide([_BYTE * k] * vector.lanes))
            value = builder.and_(value, wide([255] * vector.lanes))
            whole = Vector(builder, vector, builder.sitofp(value, ir_vector(vector)))
            target = builder.add(builder.add(at, builder.mul(stride, _I64(k))), args[3])
            quotient = fraction.emit(whole, scale, reciprocal)
            store_at(element_pointer(builder, signature.args[1], args[1], target), quotient)
        return context.get_dummy_value()

    return types.none(sources, work, place, types.int64, types.float64), codegen


@kernel
def list_pixels(data, sources, inputs, work, indices, place):
    """List the inputs at which a sample has a byte that is not zero, divided by their divisor; returns how many."""
    count, lanes = 0, lane_count(work)
    whole = inputs.end - (inputs.end - inputs.first) % WIDTH
    for i in range(inputs.first, whole, WIDTH):
        count += append_nonzero_bytes(data.pixels, sources, i, i - inputs.first, work, indices, place, count)
    for i in range(whole, inputs.end):
        packed, shift = np.int64(0), 0
        for source in sources:
            packed, shift = packed | np.int64(data.pixels[source + i]) << shift, shift + _BYTE
        indices[place.numbers + count] = np.int32(i - inputs.first)
        append_byte(work, place.at, count, packed)
        count += packed != 0
    for j in range((count + lanes - 1) // lanes * lanes - lanes, -1, -lanes):
        unpack_bytes(sources, work, place, j, data.divisor)
    return count


@kernel
def list_features(data, sources, inputs, work, indices, place):
    """List the inputs at which a sample has a number that is not zero; returns how many."""
    lanes = lane_count(work)
    count = 0
    whole = inputs.end - (inputs.end - inputs.first) % lanes
    for i in range(inputs.first, whole, lanes):
        count += append_nonzero(data.features, sources, i, i - inputs.first, work, indices, place, count)
    for i in range(whole, inputs.end):
        seen, at = False, place.at + count
        for source in sources:
            value = data.features[source + i]
            work[at] = value
            seen, at = seen or value != 0, at + place.stride
        indices[place.numbers + count] = np.int32(i - inputs.first)
        count += seen
    return count


@kernel
def list_scaled_bytes(data, sources, inputs, work, indices, place):
    """List the inputs at which a sample has a byte that is not zero, times the input's factor; returns how many."""
    lanes = lane_count(work)
    count = 0
    whole = inputs.end - (inputs.end - inputs.first) % lanes
    for i in range(inputs.first, whole, lanes):
        count += append_scaled_bytes(
            data.pixels, sources, i, i - inputs.first, work, indices, place, count, data.factor
        )  # fmt: skip
    for i in range(whole, inputs.end):
        seen, at = False, place.at + count
        for source in sources:
            value = number(work, data.pixels[source + i]) * data.factor[i]
            work[at] = value
            seen, at = seen or value != 0, at + place.stride
        indices[place.numbers + count] = np.int32(i - inputs.first)
        count += seen
    return count


@stage
def list_scaled(
    net: Net, data: Data, a: int, b: int, c: int, d: int, samples: int, first: int, end: int, numbers: int, at: int,
    stride: int,
) -> int:  # fmt: skip
    """The list of samples of bytes that begin at a, b, c and d, and have a factor for every input.

    A stage because few have.
    """
    inputs, place = Inputs(first, end), Place(numbers, at, stride)
    if samples == 1:
        return list_scaled_bytes(data, (a,), inputs, net.work, net.lists.indices, place)
    return list_scaled_bytes(data, (a, b, c, d), inputs, net.work, net.lists.indices, place)


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
    return list_features(data, sources, inputs, work, indices, place)


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
def list_inputs(data, rows, layer, net, blocks, member):
    """List the inputs of rows ``rows.first`` to ``rows.end`` that are not zero, block by block.

    Each block of a sample has room for all its inputs; or, where a sparse matrix's largest row tells that there are
    few, each thread has room for a sample's, and one block's entries follow on another's. Threads must not share it:
    one may be at the next batch while another one still reads its lists of this one.
    """
    lists, group, n_in, begin = net.lists, group_of(data), layer.n_in, 0
    for r in range(rows.first, rows.end, group):
        samples = min(group, rows.end - r)
        sample, last = sample_at(rows, r), r + samples - 1
        a, d = sample * n_in, sample_at(rows, last) * n_in
        b, c = sample_at(rows, min(r + 1, last)) * n_in, sample_at(rows, min(r + 2, last)) * n_in
        for block in range(blocks.first, blocks.end):
            inputs, at = block_inputs(lists, block, n_in), count_at(lists, r, block)
            lists.shifts[at] = block * (lists.block_size + LIST_SLACK)
            if data.starts:
                entries = block_entries(data, sample, inputs)
                if block == blocks.first:
                    begin = entries.first
                if lists.share != 0:
                    lists.shifts[at] = member * lists.share + block * LIST_SLACK + entries.first - begin
            place = list_place(lists, layer, r, block)
            if data.starts:
                count = copy_entries(data, entries, inputs, net.work, lists.indices, place)
            elif data.factor:
                count = call_list_scaled(
                    net.code.list_scaled, net, data, a, b, c, d, samples, inputs.first, inputs.end, place.numbers,
                    place.at, place.stride,
                )  # fmt: skip
            elif samples == 1:
                count = list_dense(data, (a,), inputs, net.work, lists.indices, place)
            else:
                count = list_dense(data, (a, b, c, d), inputs, net.work, lists.indices, place)
            end_list(samples, count, net.work, lists.indices, place)
            lists.counts[at] = count
