"""A first layer that skips zeros, which add nothing to the forward pass nor to the gradient; see lists.py.

Block by block: the weights of a block of inputs stay in the nearest cache while the batch passes over them. Several
threads share out the blocks. What a thread owns it alone lists, multiplies and steps, so that no weight ever moves
between cores, only the sums over a block.
"""

from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.kernels.buffers import CACHE_LINE, HYPER_SIZE, LIST_TAIL, SAMPLES_PER_LIST, SQUARES_STRIDE, Rows
from fastnn.kernels.compile import inlined, kernel, woven
from fastnn.kernels.forward import panel_vectors, weighted_of_first
from fastnn.kernels.host import PANEL_VECTORS
from fastnn.kernels.lists import Inputs, block_inputs, count_at, group_of, list_place
from fastnn.kernels.pointers import element_pointer, moved, number
from fastnn.kernels.rows import Stretch, fetch_lines, sample_at, stretch_of
from fastnn.kernels.simd import (
    Vector,
    broadcast,
    fma,
    ir_vector,
    lane_count,
    lane_sum,
    load,
    load_at,
    multiply_add,
    prefetch_at,
    splat,
    store,
    store_at,
)
from fastnn.kernels.steps import step_run
from fastnn.kernels.team import part_start, partial_sums, share_out
from fastnn.kernels.tiles import Matrix, TileShape, for_each_shape, keep_rolled, matrix_pointer
from fastnn.kernels.update import step_biases

_I64 = ir.IntType(64)
_ENTRIES_PER_LINE = 8  # that are gone through for every line of the next samples that is asked for
_SUMS = 8  # sums at a time: fewer would wait for themselves, since a multiply-add takes some cycles


class Ahead(NamedTuple):
    """Rows of the next batch to fetch, and which of their inputs."""

    rows: Rows
    inputs: Inputs


class _Entries:
    """The entries of a list while code is generated: which row of the weights, and the samples' values."""

    def __init__(self, builder, numbers, values, weights, samples):
        self.builder, self.numbers, self.values, self.weights, self.samples = builder, numbers, values, weights, samples

    def read(self, j):
        """Pointer to entry j's first weight, and the value of every sample in all lanes."""
        builder, w = self.builder, self.weights
        row = builder.zext(builder.load(builder.gep(self.numbers, [j])), _I64)
        values = [
            broadcast(builder, w.vector, builder.load(self.values.element(_I64(k), j))) for k in range(self.samples)
        ]
        return builder.gep(w.start, [builder.mul(row, w.stride)]), values


@intrinsic
def list_product(_, shape, values, indices, numbers, weights, start, scale, out):
    """``out[k, :] = start[k, :] + scale * sum_j values[k, j] * weights[indices[numbers + j], :]``.

    shape: (samples, vectors, entries); a ``start`` of stride 0 gives every sample the same start, such as the bias.
    """

    def codegen(context, builder, signature, args):
        x, w, s, z = (matrix_pointer(builder, signature.args[i], args[i]) for i in (1, 4, 5, 7))
        lanes = w.vector.lanes
        index = element_pointer(builder, indices, args[2], args[3])
        factor = broadcast(builder, w.vector, args[6])
        count = builder.extract_value(args[0], 2)
        zero = ir.Constant(ir_vector(w.vector), [0.0] * lanes)

        def emit(samples: int, vectors: int) -> None:
            entries = _Entries(builder, index, x, w, samples)
            chains = min(_SUMS // (samples * vectors), LIST_TAIL)
            sums = {
                (chain, k, v): cgutils.alloca_once(builder, zero.type)
                for chain in range(chains)
                for k in range(samples)
                for v in range(vectors)
            }
            for slot in sums.values():
                builder.store(zero, slot)
            with cgutils.for_range_slice(builder, _I64(0), count, _I64(chains), _I64) as (j, _n):
                keep_rolled(builder)
                for chain in range(chains):
                    row, numbers = entries.read(builder.add(j, _I64(chain)))
                    for v in range(vectors):
                        weight = load_at(builder, w.vector, builder.gep(row, [_I64(v * lanes)]))
                        for k, number in enumerate(numbers):
                            slot = sums[chain, k, v]
                            total = fma(number, weight, Vector(builder, w.vector, builder.load(slot)))
                            builder.store(total.value, slot)
            for k in range(samples):
                for v in range(vectors):
                    parts = [Vector(builder, w.vector, builder.load(sums[chain, k, v])) for chain in range(chains)]
                    while len(parts) > 1:
                        parts = [parts[i] + parts[i + 1] for i in range(0, len(parts), 2)]
                    begin = load_at(builder, w.vector, s.vector_at(k, v))
                    store_at(z.vector_at(k, v), fma(parts[0], factor, begin))

        rows, vectors = (builder.extract_value(args[0], i) for i in range(2))
        for_each_shape(builder, rows, vectors, SAMPLES_PER_LIST, emit)
        return context.get_dummy_value()

    scalar = weights.types[0].dtype
    return types.none(shape, values, indices, types.int64, weights, start, scalar, out), codegen


@intrinsic
def list_outer(_, shape, values, indices, numbers, deltas, scale, target, ahead):
    """``target[indices[numbers + j], :] += sum_k values[k, j] * scale * deltas[k, :]``.

    shape: (samples, vectors, entries). With every few entries a line of the stretch ``ahead`` is fetched, as far as
    that goes: all at once they would stop up the way to memory, which the weights need, too.
    """

    def codegen(context, builder, signature, args):
        x, d, p = (matrix_pointer(builder, signature.args[i], args[i]) for i in (1, 4, 6))
        index = element_pointer(builder, indices, args[2], args[3])
        factor = broadcast(builder, p.vector, args[5])
        address, lines = (builder.extract_value(args[7], i) for i in range(2))
        entries_end = builder.extract_value(args[0], 2)
        most = builder.udiv(entries_end, _I64(_ENTRIES_PER_LINE))
        lines = builder.select(builder.icmp_signed("<", lines, most), lines, most)
        both_end = builder.mul(lines, _I64(_ENTRIES_PER_LINE))

        def emit(samples: int, vectors: int) -> None:
            entries = _Entries(builder, index, x, p, samples)
            scaled = [
                [load_at(builder, p.vector, d.vector_at(k, v)) * factor for v in range(vectors)] for k in range(samples)
            ]

            def add(j):
                row, values = entries.read(j)
                for v in range(vectors):
                    cell = builder.gep(row, [_I64(v * p.vector.lanes)])
                    total = load_at(builder, p.vector, cell)
                    for value, delta in zip(values, scaled, strict=True):
                        total = fma(value, delta[v], total)
                    store_at(cell, total)

            with cgutils.for_range_slice(builder, _I64(0), both_end, _I64(_ENTRIES_PER_LINE), _I64) as (j, line):
                keep_rolled(builder)
                at = builder.add(address, builder.mul(line, _I64(CACHE_LINE)))
                prefetch_at(builder, builder.inttoptr(at, ir.IntType(8).as_pointer()))
                with cgutils.for_range(builder, _I64(_ENTRIES_PER_LINE), intp=_I64) as k:
                    keep_rolled(builder)
                    add(builder.add(j, k.index))
            with cgutils.for_range_slice(builder, both_end, entries_end, _I64(1), _I64) as (j, _):
                keep_rolled(builder)
                add(j)

        rows, vectors = (builder.extract_value(args[0], i) for i in range(2))
        for_each_shape(builder, rows, vectors, SAMPLES_PER_LIST, emit)
        return context.get_dummy_value()

    scalar = target.types[0].dtype
    return types.none(shape, values, indices, types.int64, deltas, scalar, target, ahead), codegen


@woven
def my_blocks(lists, team):
    """The blocks of inputs that a thread owns."""
    share = share_out(lists.blocks, team.size)
    return Inputs(part_start(share, team.member), part_start(share, team.member + 1))


@inlined
def steps_biases(lists, blocks):
    """Whether a thread with these blocks steps the first layer's biases."""
    return blocks.first < blocks.end and blocks.end == lists.blocks


@inlined
def biases_at(net, partial):
    """Where the first layer's biases go, behind the sums over all blocks."""
    return partial + net.lists.blocks * net.scratch.rows * net.layers[0].stride


@kernel
def sum_lists(net, samples, group, scale, blocks, team):
    """``Z = scale * X @ W + b`` of the first layer, (rows, n_out); of several threads the sums over each block.

    Those are for ``join_sums``, with the biases behind, and no thread needs another one's weights.
    """
    layer, lanes, lists = net.layers[0], lane_count(net.work), net.lists
    weighted, alone, partial = weighted_of_first(net), team.size == 1, partial_sums(net, team)
    target = net.work if alone else net.partial
    zeros, one = Matrix(net.work, net.scratch.zeros, 0), number(net.work, 1)
    for column in range(0, layer.n_out, PANEL_VECTORS * lanes):
        vectors = panel_vectors(layer.n_out - column, lanes)
        width = vectors * lanes
        at = layer.weights + column * (layer.n_in + 1)
        biases = Matrix(net.params, at + layer.n_in * width, 0)
        if not alone and steps_biases(lists, blocks):  # perhaps before all others have read them
            for beside in range(0, width, lanes):
                store(target, biases_at(net, partial) + column + beside, load(net.params, biases.at + beside))
        for block in range(blocks.first, blocks.end):
            weights = Matrix(net.params, at + block * lists.block_size * width, width)
            sums = weighted if alone else partial + block * net.scratch.rows * layer.stride
            for r in range(0, samples, group):
                place = list_place(lists, layer, r, block)
                shape = TileShape(min(group, samples - r), vectors, lists.counts[count_at(lists, r, block)])
                values = Matrix(net.work, place.at, place.stride)
                out = Matrix(target, sums + r * layer.stride + column, layer.stride)
                begin = (biases if block == 0 else out) if alone else zeros
                factor = scale if alone else one
                list_product(shape, values, lists.indices, place.numbers, weights, begin, factor, out)


@kernel
def join_sums(net, rows, scale, partial):
    """``Z = scale * X @ W + b`` of some rows from the sums over each block, added up as one thread alone would.

    ``partial`` is where in ``net.partial`` those are.
    """
    layer, lanes, lists = net.layers[0], lane_count(net.work), net.lists
    weighted, factor = weighted_of_first(net), splat(net.work, scale)
    for column in range(0, layer.n_out, lanes):
        bias = load(net.partial, biases_at(net, partial) + column)
        for r in range(rows.first, rows.end):
            z = bias
            for block in range(lists.blocks):
                own = partial + (block * net.scratch.rows + r) * layer.stride + column
                z = multiply_add(load(net.partial, own), factor, z)
            store(net.work, weighted + r * layer.stride + column, z)


@kernel
def add_lists(layer, net, data, samples, scale, block, column, target, ahead):
    """``target += scale * X.T @ delta`` for the inputs of a block and the panel of outputs at a column.

    With each list one of the samples ``ahead`` is fetched, and with the last one all that are left.
    """
    lanes, lists, group = lane_count(net.work), net.lists, group_of(data)
    vectors = panel_vectors(layer.n_out - column, lanes)
    fetched = ahead.rows.first
    for r in range(0, samples, group):
        stretch = Stretch(0, 0)
        if fetched < ahead.rows.end:
            stretch = stretch_of(data, sample_at(ahead.rows, fetched), layer.n_in, ahead.inputs)
            fetched += 1
        place = list_place(lists, layer, r, block)
        shape = TileShape(min(group, samples - r), vectors, lists.counts[count_at(lists, r, block)])
        values = Matrix(net.work, place.at, place.stride)
        deltas = Matrix(net.work, layer.delta + r * layer.stride + column, layer.stride)
        list_outer(shape, values, lists.indices, place.numbers, deltas, scale, target, stretch)
        fetch_lines(stretch, shape.depth // _ENTRIES_PER_LINE)
    for r in range(fetched, ahead.rows.end):
        fetch_lines(stretch_of(data, sample_at(ahead.rows, r), layer.n_in, ahead.inputs), 0)


@woven
def part_of(rows, part, parts):
    """One of several parts of some rows."""
    share = share_out(rows.end - rows.first, parts)
    return Rows(rows.order, rows.start, rows.first + part_start(share, part), rows.first + part_start(share, part + 1))


@kernel
def note_squares(lists, block, panel, squares):
    """Keep what a panel adds to the squares of a block's weights."""
    at = block * SQUARES_STRIDE
    before = lists.squares[at] if panel > 0 else 0.0
    lists.squares[at] = before + lane_sum(squares)


@kernel
def tally_blocks(net):
    """The squares of all blocks' weights as they are, with the bits that stepping them would have left."""
    layer, lanes, lists = net.layers[0], lane_count(net.params), net.lists
    for column in range(0, layer.n_out, PANEL_VECTORS * lanes):
        width = panel_vectors(layer.n_out - column, lanes) * lanes
        at = layer.weights + column * (layer.n_in + 1)
        for block in range(lists.blocks):
            inputs, squares = block_inputs(lists, block, layer.n_in), splat(net.params, 0)
            for i in range(at + inputs.first * width, at + inputs.end * width, lanes):
                w = load(net.params, i)
                squares = multiply_add(w, w, squares)
            note_squares(lists, block, column // (PANEL_VECTORS * lanes), squares)


@kernel
def update_sparse(code, net, data, target, samples, stepper, straight, factor, ahead, team):
    """Step a sparse first layer: of every thread the blocks that it owns, and it fetches the rows ``ahead``.

    Plain gradient descent adds ``factor`` times the gradient ``straight`` to the weights, which are stored divided by
    the shrink of ``epoch.run``. Otherwise the gradient of a block is added up in ``stepper.gradient``, where it stays
    in the nearest cache, and a step follows.
    """
    layer, lanes, lists = net.layers[0], lane_count(net.work), net.lists
    mine = my_blocks(lists, team)
    panels = (layer.n_out + PANEL_VECTORS * lanes - 1) // (PANEL_VECTORS * lanes)
    hyper, one = moved(stepper.hyper, layer.hyper * HYPER_SIZE), number(net.work, 1)
    owned = Inputs(mine.first * lists.block_size, min(layer.n_in, mine.end * lists.block_size))
    parts, done = panels * (mine.end - mine.first), 0
    for panel in range(panels):
        column = panel * PANEL_VECTORS * lanes
        width = panel_vectors(layer.n_out - column, lanes) * lanes
        at = layer.weights + column * (layer.n_in + 1)
        for block in range(mine.first, mine.end):
            part, done = Ahead(part_of(ahead, done, parts), owned), done + 1
            inputs = block_inputs(lists, block, layer.n_in)
            first = at + inputs.first * width
            if straight:
                weights = Matrix(target, first, width)
                add_lists(layer, net, data, samples, number(net.work, factor), block, column, weights, part)
            else:
                sums = Matrix(stepper.gradient, 0, width)
                add_lists(layer, net, data, samples, one, block, column, sums, part)
                count = (inputs.end - inputs.first) * width // lanes
                params, state = moved(target, first), moved(stepper.state, first)
                squares = step_run(
                    stepper.step_and_clear, count, params, stepper.gradient, 1, 0, state, net.params_size, hyper
                )  # fmt: skip
                if stepper.tallied:
                    note_squares(lists, block, panel, squares)
        if steps_biases(lists, mine):
            step_biases(code, net, layer, target, column, samples, stepper)


@kernel
def scale_weights(net, factor):
    """``W *= factor`` of the first layer, biases left alone."""
    layer, lanes = net.layers[0], lane_count(net.params)
    for column in range(0, layer.n_out, PANEL_VECTORS * lanes):
        width = panel_vectors(layer.n_out - column, lanes) * lanes
        at = layer.weights + column * (layer.n_in + 1)
        for i in range(at, at + layer.n_in * width, lanes):
            store(net.params, i, load(net.params, i) * splat(net.params, factor))
