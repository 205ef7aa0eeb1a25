"""Samples that are mostly zero, packed: a bit for every input, and behind them the numbers that are not zero.

In every epoch samples are read in another order, and so from afar. Packed, MNIST's images are a fifth of the memory
that they are as float32, and as fast as bytes. Their lists come out the same.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnn.kernels.buffers import BITS_PER_WORD, SAMPLES_PER_LIST, Data, Net, Rows
from fastnn.kernels.compile import entry, inlined, kernel, stage
from fastnn.kernels.compress import bits_of, put_among
from fastnn.kernels.lists import (
    Inputs,
    append_kept,
    block_inputs,
    count_at,
    elements,
    end_list,
    list_place,
    numbers_from,
)
from fastnn.kernels.pointers import element_pointer
from fastnn.kernels.records import Bytes, Int64s, Numbers
from fastnn.kernels.rows import sample_at
from fastnn.kernels.simd import VectorType, ir_vector, item_size, lane_count, load_at, prefetch_soon, store_at

_I16, _I64 = ir.IntType(16), ir.IntType(64)
_AHEAD = 1024  # numbers from what is packed to what is asked for
WORDS_TOGETHER = 32  # registers of inputs that are looked through at a time for those that have any


def _bits_at(builder, kind, pointer):
    """Bits as an LLVM type, from any byte on."""
    found = builder.load(builder.bitcast(pointer, kind.as_pointer()))
    found.align = 1
    return found


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
        word = bits_of(builder, keep)
        target = builder.bitcast(element_pointer(builder, kinds[2], args[2], args[3]), word.type.as_pointer())
        builder.store(word, target).align = 1
        return append_kept(builder, keep, [(row.value, element_pointer(builder, kinds[4], args[4], args[5]))])

    return types.int64(values, at, bits, byte, packed, count), codegen


@intrinsic
def ones_in_word(_, bits, at):
    """How many bits of the word at a byte are set."""

    def codegen(context, builder, signature, args):
        word = _bits_at(builder, _I16, element_pointer(builder, signature.args[0], *args))
        return builder.zext(builder.ctpop(word), _I64)

    return types.int64(bits, at), codegen


@intrinsic
def words_seen(_, bits, sources, byte, like):
    """A bit for each of the next ``WORDS_TOGETHER`` registers of inputs: whether a source has one that is not zero.

    The bits of source k are at ``bits[sources[k] + byte:]``.
    """

    def codegen(context, builder, signature, args):
        words = ir.VectorType(ir.IntType(VectorType(like.dtype).lanes), WORDS_TOGETHER)
        seen = words([0] * WORDS_TOGETHER)
        for pointer in elements(builder, bits, args[0], args[1], args[2]):
            seen = builder.or_(seen, _bits_at(builder, words, pointer))
        some = builder.icmp_unsigned("!=", seen, words([0] * WORDS_TOGETHER))
        return builder.zext(builder.bitcast(some, ir.IntType(WORDS_TOGETHER)), _I64)

    return types.int64(bits, sources, types.int64, like), codegen


@intrinsic
def lowest_bit(_, word):
    """The place of the lowest bit of a word that is set."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.IntType(1)(1))

    return types.int64(types.int64), codegen


@intrinsic
def append_packed(_, bits, sources, i, values, places, number, work, indices, place, count):
    """Extend a list by the register of inputs from ``i`` on, numbered from ``number``, of every source.

    The bits of source k are at ``bits[sources[k] + i / 8:]``, and its next numbers at ``values[places[k]:]``. Returns
    how many entries there are then, and where every source's next numbers are.
    """
    vector = VectorType(work.dtype)

    def codegen(context, builder, signature, args):
        kinds, lanes = signature.args, vector.lanes
        mask, word = ir.VectorType(ir.IntType(1), lanes), ir.IntType(lanes)
        numbers, at, stride = (builder.extract_value(args[8], k) for k in range(3))
        marks, seen = [], word(0)
        for pointer in elements(builder, bits, args[0], args[1], builder.lshr(args[2], _I64(3))):
            marks.append(_bits_at(builder, word, pointer))
            seen = builder.or_(seen, marks[-1])
        index = element_pointer(builder, kinds[7], args[7], builder.add(numbers, args[9]))
        entries, following = [(numbers_from(builder, args[5], lanes), index)], args[4]
        found = append_kept(builder, builder.bitcast(seen, mask), entries)
        for k, mark in enumerate(marks):
            own = builder.extract_value(args[4], k)
            packed = load_at(builder, vector, element_pointer(builder, kinds[3], args[3], own))
            target = builder.add(builder.add(at, builder.mul(stride, _I64(k))), args[9])
            row = packed.wrap(put_among(builder, packed.value, mark, seen))
            store_at(element_pointer(builder, kinds[6], args[6], target), row)
            taken = builder.zext(builder.ctpop(mark), _I64)
            following = builder.insert_value(following, builder.add(own, taken), k)
        return context.make_tuple(builder, signature.return_type, [builder.add(args[9], found), following])

    result = types.Tuple((types.int64, places))
    return result(bits, sources, types.int64, values, places, types.int64, work, indices, place, types.int64), codegen


@inlined
def begin_of(data, sample):
    """The first byte of a packed sample's bits, and where its numbers begin."""
    first = data.firsts[sample]
    return first * item_size(data.features), first + data.marks


@kernel
def pack_row(values, source, n_in, bits, packed, first, marks):
    """Pack one sample (n_in,) to ``packed[first:]``; returns where the next one begins."""
    lanes, byte, count = lane_count(values), first * item_size(values), first + marks
    whole, kept = n_in - n_in % lanes, np.int64(0)
    for i in range(0, whole, lanes):
        prefetch_soon(values, source + i + _AHEAD)
        count += pack_register(values, source + i, bits, byte + i // 8, packed, count)
    for i in range(whole, n_in):
        value = values[source + i]
        packed[count] = value
        kept |= np.int64(value != 0) << (i - whole)
        count += value != 0
    for i in range(whole, marks * item_size(values) * 8, 8):
        bits[byte + i // 8] = np.uint8(kept >> (i - whole) & 255)
    return count


@entry
def pack(
    values: Numbers, n_in: int, first: int, end: int, bits: Bytes, marks: int, firsts: Int64s, packed: Numbers
) -> None:
    """Pack samples ``first`` to ``end`` of (n, n_in), after those before them; see ``Data.bits``."""
    for sample in range(first, end):
        firsts[sample + 1] = pack_row(values, sample * n_in, n_in, bits, packed, firsts[sample], marks)


@kernel
def source_of(data, sample, first):
    """Where a packed sample's bits begin, and its numbers from input ``first`` on."""
    byte, place = begin_of(data, sample)
    for i in range(0, first, BITS_PER_WORD):
        place += ones_in_word(data.bits, byte + i // 8)
    return byte, place


@kernel
def list_block(data, sources, places, inputs, work, indices, place):
    """List some inputs of packed samples, register by register where one has any; see ``append_packed``."""
    lanes, count = lane_count(work), 0
    for first in range(inputs.first, inputs.end, WORDS_TOGETHER * lanes):
        words = words_seen(data.bits, sources, first // 8, work)
        words &= (1 << min(WORDS_TOGETHER, (inputs.end - first + lanes - 1) // lanes)) - 1
        while words != 0:
            i = first + lowest_bit(words) * lanes
            words &= words - 1
            count, places = append_packed(
                data.bits, sources, i, data.features, places, i - inputs.first, work, indices, place, count
            )  # fmt: skip
    return count, places


@kernel
def list_blocks(net, data, sources, places, row, blocks):
    """The list of some samples, block by block; the first one is row ``row`` of the batch."""
    lists, layer, samples = net.lists, net.layers[0], len(sources)
    for block in range(blocks.first, blocks.end):
        inputs, place = block_inputs(lists, block, layer.n_in), list_place(lists, layer, row, block)
        count, places = list_block(data, sources, places, inputs, net.work, lists.indices, place)
        end_list(samples, count, net.work, lists.indices, place)
        lists.counts[count_at(lists, row, block)] = count


@stage
def list_packed(net: Net, data: Data, order: Int64s, start: int, samples: int, first: int, end: int) -> None:
    """The lists of a batch of packed data in the blocks ``first`` to ``end``; like ``lists.list_inputs``."""
    if first == end:  # more threads than blocks
        return
    blocks, rows = Inputs(first, end), Rows(order, start, 0, samples)
    before = block_inputs(net.lists, first, net.layers[0].n_in).first
    for r in range(0, samples, SAMPLES_PER_LIST):
        source, own = source_of(data, sample_at(rows, r), before)
        if r + 1 == samples:
            list_blocks(net, data, (source,), (own,), r, blocks)
        else:
            beside, theirs = source_of(data, sample_at(rows, r + 1), before)
            list_blocks(net, data, (source, beside), (own, theirs), r, blocks)
