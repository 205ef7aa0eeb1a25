"""A dense first layer that skips zeros which neighbours have in common.

Forward, a few samples go together through a list of the inputs at which at least one of them is not zero; on the way
back, a few neighbouring inputs through a list of the samples. Of images that is half of the inputs, or a quarter of the
samples, and the sums stay in registers, as in any tile. Where lists are of one or two samples, see lists.py, fewer
products are left, but every one of them fetches a weight, or also stores it, and what is no plain descent adds its
gradient up in memory first: they pay for small batches that are stepped in place.

Predictions go this way, too, with the bits of a dense layer. In training the inputs are cut into blocks, whose sums are
added up: of several threads each has its own, and no weight moves between cores.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnn.kernels.buffers import BITS_PER_WORD, CACHE_LINE, HYPER_SIZE, Data, Net, Rows, Stepper, Team
from fastnn.kernels.compile import caller, inlined, kernel, stage
from fastnn.kernels.elementary import if_equal
from fastnn.kernels.forward import bring_in, weighted_of_first
from fastnn.kernels.host import PANEL_VECTORS, SKIPPED_INPUTS, SKIPPED_SAMPLES, SKIPPED_VECTORS, WIDTH
from fastnn.kernels.lists import Inputs, append_kept, numbers_from
from fastnn.kernels.parts import Part, part_caller
from fastnn.kernels.pointers import element_pointer, moved
from fastnn.kernels.records import Int64s, Numbers
from fastnn.kernels.rows import batch_at, fetch_inputs, gather_inputs, sample_at
from fastnn.kernels.simd import Vector, VectorType, in_all_lanes, lane_count, lane_sum, load, load_at, splat, store
from fastnn.kernels.sparse import part_of
from fastnn.kernels.steps import Listed, update_listed
from fastnn.kernels.team import part_start, partial_sums, share_out, wait_for_all
from fastnn.kernels.tiles import (
    Matrix,
    Panels,
    Pointer,
    accumulate,
    empty_sums,
    for_each_shape,
    matrix_pointer,
    set_sums,
    store_sums,
)
from fastnn.kernels.update import step_biases

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_FEW_VECTORS = 2  # in a row of the sums: products with them take no longer than bringing in the inputs
_FEWEST_INPUTS, _MOST_SEEN = 64, 0.25  # of a layer, and the share that is not zero, for which looking for zeros pays
_LOOKED_AT = 4  # rows


# --- marks: a bit for every input of a word that is not zero ---


@intrinsic
def marks_of(_, values, at):
    """The marks of a register of numbers; also those of -0, infinity and NaN."""
    vector = VectorType(values.dtype)

    def codegen(context, builder, signature, args):
        kind = ir.VectorType(ir.IntType(vector.dtype.bitwidth), vector.lanes)
        pointer = element_pointer(builder, signature.args[0], *args)
        value = builder.load(builder.bitcast(pointer, kind.as_pointer()))
        value.align = vector.dtype.bitwidth // 8
        keep = builder.icmp_unsigned("!=", value, kind([0] * vector.lanes))
        return builder.zext(builder.bitcast(keep, ir.IntType(vector.lanes)), _I64)

    return types.int64(values, at), codegen


@kernel
def mark_rows(inputs, word, n_in, rows, marks):
    """Mark a word's inputs, row by row; those of an incomplete word whatever they are."""
    lanes, first = lane_count(inputs.data), word * BITS_PER_WORD
    left = min(BITS_PER_WORD, n_in - first)
    for r in range(rows):
        found, at = np.int64(0), inputs.at + r * inputs.stride + first
        for i in range(0, left - left % BITS_PER_WORD, lanes):
            found |= marks_of(inputs.data, at + i) << i
        marks[r] = np.int32(found if left == BITS_PER_WORD else (1 << left) - 1)


@intrinsic
def append_marked_rows(_, marks, wanted, row, rows, places, count):
    """Extend a list by those of a register of rows, from ``row`` on, that have a wanted mark; returns how many."""

    def codegen(context, builder, signature, args):
        kind = ir.VectorType(_I32, WIDTH)
        pointer = element_pointer(builder, signature.args[0], args[0], args[2])
        found = builder.load(builder.bitcast(pointer, kind.as_pointer()))
        found.align = 4
        wanted, end = (in_all_lanes(builder, builder.trunc(args[i], _I32), WIDTH) for i in (1, 3))
        numbers = numbers_from(builder, args[2], WIDTH)
        keep = builder.icmp_unsigned("!=", builder.and_(found, wanted), kind([0] * WIDTH))
        keep = builder.and_(keep, builder.icmp_unsigned("<", numbers, end))
        return append_kept(builder, keep, [(numbers, element_pointer(builder, signature.args[4], args[4], args[5]))])

    return types.int64(marks, types.int64, types.int64, types.int64, places, count), codegen


# --- forward ---


class ListShape(NamedTuple):
    """Rows, registers per row of the sums, number of products that are listed for each, and stride of the panels.

    ``ahead``: how far behind ``left`` lies what is fetched meanwhile, the next rows. The sums begin with the biases or
    with zero, and take the place of what is there or are added to it.
    """

    rows: int
    vectors: int
    depth: int
    panel_stride: int
    ahead: int
    biased: int
    added: int


def _emit_listed_product(builder, vector, rows, vectors, depth, panel_stride, ahead, biased, added, *pointers):
    """``out[r, :] = (out[r, :] +) (W[n_in, :] +) sum_j left[r, k] * W[k, :]``, where k is the j-th listed input.

    left: (rows, n_in), up to ``SKIPPED_SAMPLES`` rows; W: panels of weights with biases behind, the first of which is
    ``weights``; out: (rows, vectors * lanes).
    """
    left, left_stride, listed, weights, n_in, out, out_stride = pointers
    a, c = Pointer(builder, vector, left, left_stride), Pointer(builder, vector, out, out_stride)
    following, line = builder.gep(left, [ahead]), _I64(8 * CACHE_LINE // vector.dtype.bitwidth)
    biased, added = (builder.icmp_signed("!=", flag, _I64(0)) for flag in (biased, added))

    def next_line(step):
        return builder.gep(following, [builder.mul(step, line)])

    def held(slot):
        return Vector(builder, vector, builder.load(slot))

    def numbers_of(rows):
        return lambda k: [a.element(_I64(r), k) for r in range(rows)]

    def emit(r_count, v_count):
        b = Panels(builder, vector, weights, panel_stride, v_count)
        slots = empty_sums(builder, vector, r_count, v_count)
        with builder.if_then(biased):
            set_sums(slots, lambda _, v: load_at(builder, vector, b.register(n_in, v)))
        # More sums leave no registers for another address.
        fetched = next_line if v_count <= _FEW_VECTORS else None
        accumulate(slots, depth, numbers_of(r_count), b, fetched, listed)
        with builder.if_then(added):
            set_sums(slots, lambda r, v: load_at(builder, vector, c.vector_at(r, v)) + held(slots[r][v]))
        store_sums(c, slots)

    for_each_shape(builder, rows, vectors, SKIPPED_SAMPLES, emit, SKIPPED_VECTORS)


_LISTED_PRODUCT = "iiiiiiipinpipi"
LISTED_PRODUCT = Part("listed_product", _LISTED_PRODUCT, _emit_listed_product)
listed_product = part_caller("listed_product", ["shape", "left", "listed", "weights", "n_in", "out"], _LISTED_PRODUCT)
"""In kernels: ``listed_product(address, shape, left, listed, weights, n_in, out)``; ``weights`` is an array."""


@intrinsic
def append_seen(_, inputs, rows, i, places, count):
    """Extend a list by those of a register of inputs, from ``i`` on, that are not zero in some row; returns how many.

    inputs: a ``Matrix``; -0, infinity and NaN are not zero.
    """

    def codegen(context, builder, signature, args):
        matrix = matrix_pointer(builder, signature.args[0], args[0])
        vector, last = matrix.vector, builder.sub(args[1], _I64(1))
        kind = ir.VectorType(ir.IntType(vector.dtype.bitwidth), vector.lanes)
        seen = kind([0] * vector.lanes)
        for r in range(SKIPPED_SAMPLES):  # of fewer rows the last one again
            row = builder.select(builder.icmp_signed("<", last, _I64(r)), last, _I64(r))
            value = builder.load(builder.bitcast(matrix.element(row, args[2]), kind.as_pointer()))
            value.align = vector.dtype.bitwidth // 8
            seen = builder.or_(seen, value)
        keep = builder.icmp_unsigned("!=", seen, kind([0] * vector.lanes))
        numbers = numbers_from(builder, args[2], vector.lanes)
        target = element_pointer(builder, signature.args[3], args[3], args[4])
        return append_kept(builder, keep, [(numbers, target)])

    return types.int64(inputs, types.int64, types.int64, places, count), codegen


@kernel
def list_seen(matrix, rows, inputs, places):
    """List those of some inputs that are not zero in one of up to ``SKIPPED_SAMPLES`` rows; returns how many.

    Those that do not fill a register are listed whatever they are.
    """
    lanes, count = lane_count(matrix.data), np.int64(0)
    whole = inputs.end - (inputs.end - inputs.first) % lanes
    for i in range(inputs.first, whole, lanes):
        count += append_seen(matrix, rows, i, places, count)
    for i in range(whole, inputs.end):
        places[count] = np.int32(i)
        count += 1
    return count


@kernel
def pays_to_skip(inputs, layer, rows):
    """Whether few of the first layer's inputs are not zero, by a look at some of the rows."""
    lanes = lane_count(inputs.data)
    if layer.n_in < _FEWEST_INPUTS or layer.n_out <= lanes:
        return False
    zeros, seen = splat(inputs.data, 0), 0
    none, one = splat(inputs.data, 0), splat(inputs.data, 1)
    whole = layer.n_in - layer.n_in % lanes
    for r in range(0, rows, (rows + _LOOKED_AT - 1) // _LOOKED_AT):
        at, seen = inputs.at + r * inputs.stride, seen + whole
        for i in range(at, at + whole, lanes):
            zeros = zeros + if_equal(load(inputs.data, i), none, one, none)
    return lane_sum(zeros) >= (1 - _MOST_SEEN) * seen


@kernel
def words_of(n_in):
    """Words that hold so many inputs."""
    return (n_in + BITS_PER_WORD - 1) // BITS_PER_WORD


class Words(NamedTuple):
    """Words ``first`` to ``end`` of the inputs."""

    first: int
    end: int


@kernel
def words_in(data, n_in, blocks):
    """The words of some blocks."""
    share = share_out(words_of(n_in), data.skips)
    return Words(part_start(share, blocks.first), part_start(share, blocks.end))


@kernel
def inputs_in(words, n_in):
    """The inputs of some words."""
    return Inputs(min(n_in, words.first * BITS_PER_WORD), min(n_in, words.end * BITS_PER_WORD))


class Blocks(NamedTuple):
    """Blocks ``first`` to ``end`` of the inputs, whole words each."""

    first: int
    end: int


@kernel
def blocks_of(data, team):
    """The blocks of a thread, if each has some inputs of all rows; else every thread has all of them, of its rows."""
    if data.skips == 1 or team.size == 1:
        return Blocks(0, data.skips)
    share = share_out(data.skips, team.size)
    return Blocks(part_start(share, team.member), part_start(share, team.member + 1))


class Tile(NamedTuple):
    """The first rows of a matrix."""

    matrix: Matrix
    size: int


@kernel
def multiply_block(net, layer, rows, inputs, out, biased, added, ahead):
    """``out = (out +) (b +) rows @ W`` over some inputs; (rows, n_in) by (n_in, n_out), up to ``SKIPPED_SAMPLES``.

    ``rows`` is a ``Tile``; ``ahead`` is how far behind it the next ones lie, or 0.
    """
    params, lanes = net.params, lane_count(net.params)
    places = net.lists.indices
    depth = list_seen(rows.matrix, rows.size, inputs, places)
    for column in range(0, layer.n_out, SKIPPED_VECTORS * lanes):
        vectors = min(SKIPPED_VECTORS, (layer.n_out - column + lanes - 1) // lanes)
        block = Matrix(out.data, out.at + column, out.stride)
        panel_stride = (layer.n_in + 1) * PANEL_VECTORS * lanes
        shape = ListShape(rows.size, vectors, depth, panel_stride, ahead, int(biased), int(added))
        weights = moved(params, layer.weights + column * (layer.n_in + 1))
        listed_product(net.code.listed_product, shape, rows.matrix, places, weights, layer.n_in, block)
        ahead = 0


@inlined
def is_added(block, first):
    """Whether a block's sums are added to those of the one before; a thread has the blocks from ``first`` on."""
    return block % 2 == 1 and block > first


@kernel
def add_rows(source, rows, columns, out):
    """``out += source``."""
    for r in range(rows):
        for column in range(0, columns, lane_count(out.data)):
            at, other = out.at + r * out.stride + column, source.at + r * source.stride + column
            store(out.data, at, load(out.data, at) + load(source.data, other))


@kernel
def multiply_seen(net, data, layer, inputs, out, rows, blocks, apart):
    """``out = inputs @ W + b`` of the first layer, (rows, n_in) by (n_in, n_out) to (rows, n_out).

    Block by block, and two by two: the sums of blocks 0 and 1, then those of 2 and 3, and so on. If sums are kept
    ``apart``, those of two blocks, or of a thread's only one of two, stay by themselves.
    """
    tiles = (rows + SKIPPED_SAMPLES - 1) // SKIPPED_SAMPLES
    share = share_out(rows, tiles)
    for tile in range(tiles):
        row = part_start(share, tile)
        count = part_start(share, tile + 1) - row
        own = Tile(Matrix(inputs.data, inputs.at + row * inputs.stride, inputs.stride), count)
        ahead = count * inputs.stride if tile + 1 < tiles and data.skips == 1 else 0
        for block in range(blocks.first, blocks.end):
            added = is_added(block, blocks.first)
            sums = Matrix(out.data, out.at + (block - added) * apart + row * out.stride, out.stride)
            aside = apart == 0 and block > 1
            if aside:
                sums = Matrix(net.work, net.scratch.turned, out.stride)
            mine = inputs_in(words_in(data, layer.n_in, Blocks(block, block + 1)), layer.n_in)
            multiply_block(net, layer, own, mine, sums, block == 0, added, ahead)
            if aside and (added or block + 1 == blocks.end):
                add_rows(sums, count, layer.n_out, Matrix(out.data, out.at + row * out.stride, out.stride))


@kernel
def gather_some(net, data, rows, inputs):
    """Bring in some inputs of rows."""
    layer = net.layers[0]
    for r in range(rows.first, rows.end):
        at, source = layer.input + r * layer.input_stride, sample_at(rows, r) * layer.n_in
        gather_inputs(data, source, inputs.first, inputs.end, net.work, at)


@kernel
def multiply_rows_seen(net, data, rows, key):
    """The first layer of a thread's own rows."""
    layer, inputs = net.layers[0], bring_in(net, data, rows, key)
    sums = Matrix(net.work, weighted_of_first(net) + rows.first * layer.stride, layer.stride)
    multiply_seen(net, data, layer, inputs, sums, rows.end - rows.first, Blocks(0, data.skips), 0)


@kernel
def begins_share(block, blocks, threads):
    """Whether it is the first block that some thread has."""
    share, found = share_out(blocks, threads), False
    for thread in range(threads):
        found |= part_start(share, thread) == block
    return found


@kernel
def join_blocks(net, blocks, rows, partial, team):
    """``Z`` of some rows from the sums over the blocks in ``net.partial``, added up as one thread alone would."""
    layer, work, lanes = net.layers[0], net.work, lane_count(net.work)
    apart, weighted = net.scratch.rows * layer.stride, weighted_of_first(net)
    for block in range(0, blocks, 2):
        both = block + 1 < blocks and begins_share(block + 1, blocks, team.size)
        for r in range(rows.first, rows.end):
            for column in range(r * layer.stride, r * layer.stride + layer.n_out, lanes):
                place = partial + block * apart + column
                z = load(net.partial, place)
                if both:
                    z = z + load(net.partial, place + apart)
                if block > 0:
                    z = load(work, weighted + column) + z
                store(work, weighted + column, z)


@stage
def first_skipping(
    net: Net, data: Data, order: Int64s, start: int, samples: int, first: int, end: int, shrink: float, key: int,
    team: Team,
) -> int:  # fmt: skip
    """Like ``epoch.first_dense``; of several threads each its blocks of inputs of the whole batch, and then they join.

    So no thread needs another one's weights, which would have to come from another core in every batch.
    """
    layer = net.layers[0]
    if data.skips == 1 or team.size == 1:
        multiply_rows_seen(net, data, Rows(order, start, first, end), key)
        return 1
    blocks, partial, apart = blocks_of(data, team), partial_sums(net, team), net.scratch.rows * layer.stride
    if blocks.first < blocks.end:
        mine = inputs_in(words_in(data, layer.n_in, blocks), layer.n_in)
        gather_some(net, data, Rows(order, start, 0, samples), mine)
        inputs = Matrix(net.work, layer.input, layer.input_stride)
        multiply_seen(net, data, layer, inputs, Matrix(net.partial, partial, layer.stride), samples, blocks, apart)
    together = wait_for_all(team)
    join_blocks(net, data.skips, Rows(order, start, first, end), partial, team)
    return int(together)


# --- by weights ---


@kernel
def list_rows_seen(inputs, word, n_in, rows, room, places):
    """For each group of inputs of a word, list the rows in which they are not all zero; see ``steps.Listed``.

    ``room`` is for so many rows.
    """
    stride, groups = room + WIDTH, BITS_PER_WORD // SKIPPED_INPUTS
    marks = moved(places, BITS_PER_WORD + groups * stride)
    mark_rows(inputs, word, n_in, rows, marks)
    for group in range(groups):
        wanted, count = ((1 << SKIPPED_INPUTS) - 1) << group * SKIPPED_INPUTS, 0
        own = moved(places, BITS_PER_WORD + group * stride)
        for r in range(0, rows, WIDTH):
            count += append_marked_rows(marks, wanted, r, rows, own, count)
        places[group] = np.int32(count)
    return stride


@kernel
def fetch_part(data, ahead, inputs, n_in, part, parts):
    """Fetch some of the ``inputs`` that the rows ``ahead`` will need."""
    share = share_out(inputs.end - inputs.first, parts)
    first, end = inputs.first + part_start(share, part), inputs.first + part_start(share, part + 1)
    fetch_inputs(data, ahead, n_in, first, end)


@stage
def update_skipping(
    code: int, listed: int, net: Net, data: Data, target: Numbers, samples: int, stepper: Stepper, order: Int64s,
    n: int, following: int, size: int, team: Team,
) -> None:  # fmt: skip
    """Step the first layer, word by word of its inputs, of which a thread has its own; see ``epoch.update_dense``.

    ``listed`` steps its weights, ``code`` its biases.
    """
    layer, lanes, lists = net.layers[0], lane_count(net.work), net.lists
    places = lists.indices
    ahead, needed = batch_at(order, n, following, size), Inputs(0, layer.n_in)
    words = words_in(data, layer.n_in, blocks_of(data, team))
    if data.skips == 1:
        share = share_out(words.end, team.size)
        words = Words(part_start(share, team.member), part_start(share, team.member + 1))
        ahead = part_of(ahead, team.member, team.size)
    else:
        needed = inputs_in(words, layer.n_in)
    rows = Matrix(net.work, layer.input, layer.input_stride)
    for word in range(words.first, words.end):
        fetch_part(data, ahead, needed, layer.n_in, word - words.first, words.end - words.first)
        stride = list_rows_seen(rows, word, layer.n_in, samples, lists.stride, places)
        first = word * BITS_PER_WORD
        inputs, left = min(BITS_PER_WORD, layer.n_in - first), Matrix(net.work, layer.input + first, layer.input_stride)
        groups = (inputs + SKIPPED_INPUTS - 1) // SKIPPED_INPUTS
        for column in range(0, layer.n_out, SKIPPED_VECTORS * lanes):
            vectors = min(SKIPPED_VECTORS, (layer.n_out - column + lanes - 1) // lanes)
            at = layer.weights + column * (layer.n_in + 1)
            shape = Listed(first, inputs, vectors, groups, stride, (layer.n_in + 1) * PANEL_VECTORS * lanes)
            deltas = Matrix(net.work, layer.delta + column, layer.stride)
            update_listed(
                listed, shape, left, deltas, places, moved(target, at), moved(stepper.state, at), net.params_size,
                moved(stepper.hyper, layer.hyper * HYPER_SIZE),
            )  # fmt: skip
    if words.first == 0 and words.first < words.end:  # the first block's sums begin with them
        for column in range(0, layer.n_out, PANEL_VECTORS * lanes):
            step_biases(code, net, layer, target, column, samples, stepper)


call_update_skipping = caller(update_skipping)
