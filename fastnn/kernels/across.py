"""Networks so small that a row of units does not fill a register: samples lie across the registers instead.

A block holds a register's lanes of samples, units down and samples across: ``(units, lanes)``, one block of a matrix of
``work`` after the other. A register then holds one unit of many samples, and none is padding: a layer from 24 inputs to
8 units takes 12 multiply-adds a sample instead of 24, its activation half a register instead of a whole one. Sums of a
forward pass run in the same order as by rows, and so have the same bits. Of the gradient each lane sums up its own
samples, and the lanes are added up at the end.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.formulas.expressions import Expression
from fastnn.kernels.backward import store_rows, transposed, transposed_quarters
from fastnn.kernels.buffers import HYPER_SIZE, Rows
from fastnn.kernels.compile import inlined, kernel
from fastnn.kernels.elementary import keep_first
from fastnn.kernels.formula_parts import compute, formula_key
from fastnn.kernels.forward import activate_columns, panel_width, weights_at
from fastnn.kernels.host import PANEL_VECTORS, PRODUCT_ROWS
from fastnn.kernels.outputs import Block, delta_at, measure_block, turn_in, turn_in_targets
from fastnn.kernels.parts import MOST_REMEMBERED, Part, part_caller
from fastnn.kernels.pointers import element_pointer, moved
from fastnn.kernels.rows import fetch_samples, gather_input, gather_target, sample_at
from fastnn.kernels.simd import (
    Vector,
    VectorType,
    broadcast,
    lane_count,
    load,
    load_at,
    load_first_of,
    splat,
    store,
)
from fastnn.kernels.steps import Across, update_lanes
from fastnn.kernels.team import part_start, share_out
from fastnn.kernels.tiles import (
    Matrix,
    Pointer,
    Walk,
    accumulate,
    empty_sums,
    for_each_shape,
    for_each_tile,
    keep_rolled,
    matrix_pointer,
    set_sums,
    store_sums,
)

_I64 = ir.IntType(64)
ROWS_AHEAD = 32
"""Samples from the one that is asked for to the one that is brought in."""


class Products(NamedTuple):
    """Rows of the result, products in each sum, and blocks of samples."""

    rows: int
    depth: int
    blocks: int


class _Blocks(Pointer):
    """Matrices of one register a row, ``size`` rows apart; register v of a row is that of block v."""

    def __init__(self, builder: Any, vector: VectorType, start: Any, size: Any) -> None:
        super().__init__(builder, vector, start, _I64(vector.lanes))
        self._size = size

    def register(self, row: Any, number: int) -> Any:
        block = self.builder.mul(self._size, _I64(number))
        return self.element(self.builder.add(row, block), _I64(0))

    def from_row(self, row: Any) -> "_Blocks":
        return _Blocks(self.builder, self.vector, self.element(row, _I64(0)), self._size)


_MOST_BLOCKS = 4  # together: the sums of few rows would wait for themselves, and of more a broadcast serves several


class _Sums(NamedTuple):
    """How some sums are made: what they begin with, what gives the numbers of step k, and what is done in the end."""

    start: Callable[..., Any]  # (first, count, target, n): of some rows of n blocks of the target
    left: Callable[..., Any]  # (first, count)
    finish: Callable[..., Any] = lambda *_: None  # (slots, place): of rows of the target that begin at a place


def _emit_blocks(
    builder: Any, vector: VectorType, shape: Sequence[Any], sums: _Sums, right: Any, target: Any, right_size: Any,
    target_size: Any,
) -> None:  # fmt: skip
    """``target[b, r, :] = start + sum_k left[r, k] * right[b, k, :]`` for any number of rows r and blocks b.

    Blocks of right and target follow each other after so many registers.
    """
    rows, depth, blocks = shape

    def tile(first: Any, count: Any) -> None:
        def some(block: Any, together: int, r_count: int) -> None:
            own = _Blocks(builder, vector, right, right_size).from_row(builder.mul(block, right_size))
            place = builder.add(builder.mul(block, target_size), first)
            out = _Blocks(builder, vector, target, target_size).from_row(place)
            slots = sums.start(first, r_count, out, together)
            accumulate(slots, depth, sums.left(first, r_count), own)
            sums.finish(slots, place)
            store_sums(out, slots)

        def emit(r_count: int, _: int) -> None:
            together = min(_MOST_BLOCKS, PRODUCT_ROWS * PANEL_VECTORS // r_count)
            whole = builder.sub(blocks, builder.srem(blocks, _I64(together)))
            for begin, end, step in ((_I64(0), whole, together), (whole, blocks, 1)):
                with cgutils.for_range_slice(builder, begin, end, _I64(step), _I64) as (block, _):
                    keep_rolled(builder)
                    some(block, step, r_count)

        for_each_shape(builder, count, _I64(1), PRODUCT_ROWS, emit, most_vectors=1)

    for_each_tile(builder, rows, PRODUCT_ROWS, tile)


def _emit_forward(
    builder: Any, vector: VectorType, rows: Any, depth: Any, blocks: Any, weights: Any, width: Any, inputs: Any,
    inputs_size: Any, out: Any, out_size: Any,
) -> None:  # fmt: skip
    """``out[b, j, :] = weights[depth, j] + sum_k weights[k, j] * inputs[b, k, :]``.

    weights: (depth + 1, width), the biases last; inputs: (blocks, inputs_size, lanes); out: (blocks, out_size, lanes).
    """
    matrix = Pointer(builder, vector, weights, width)

    def biases(first: Any, count: int, _: Any, together: int) -> list[list[Any]]:
        numbers = [broadcast(builder, vector, builder.load(place)) for place in matrix.along(depth, first, count)]
        return [[cgutils.alloca_once_value(builder, number.value) for _ in range(together)] for number in numbers]

    def column(first: Any, count: int) -> Callable[[Any], Sequence[Any]]:
        return partial(matrix.along, column=first, count=count)

    _emit_blocks(builder, vector, (rows, depth, blocks), _Sums(biases, column), inputs, out, inputs_size, out_size)


_FORWARD, _BACKWARD = "iiipipipi", "iiipipippiii"


@lru_cache(maxsize=MOST_REMEMBERED)
def backward_across_part(factor: Expression) -> Part:
    """``out[b, i, :] = factor(a[b, i, :]) * sum_j weights[i, j] * deltas[b, j, :]``.

    weights: (rows, width); deltas: (blocks, deltas_size, lanes); out, a: (blocks, out_size, lanes). Where the sums are
    of several panels, all but the first one ``adds`` to what is there, and the factor comes when one ``ends`` them.
    """

    def emit(
        builder: Any, vector: VectorType, rows: Any, depth: Any, blocks: Any, weights: Any, width: Any, deltas: Any,
        deltas_size: Any, out: Any, a: Any, out_size: Any, adds: Any, ends: Any,
    ) -> None:  # fmt: skip
        matrix, outputs = Pointer(builder, vector, weights, width), _Blocks(builder, vector, a, out_size)
        adding, ending = (builder.icmp_signed("!=", flag, _I64(0)) for flag in (adds, ends))

        def start(_: Any, count: int, target: Pointer, together: int) -> list[list[Any]]:
            slots = empty_sums(builder, vector, count, together)
            with builder.if_then(adding):
                set_sums(slots, lambda r, v: load_at(builder, vector, target.vector_at(r, v)))
            return slots

        def row(first: Any, count: int) -> Callable[[Any], Sequence[Any]]:
            return Walk(matrix.from_row(first).afresh(), count)

        def finish(slots: list[list[Any]], place: Any) -> None:
            def times_factor(r: int, v: int) -> Vector:
                own = load_at(builder, vector, outputs.from_row(place).vector_at(r, v))
                return own.wrap(builder.load(slots[r][v])) * compute([factor], {"a": own})[0]

            with builder.if_then(ending):
                set_sums(slots, times_factor)

        shape, sums = (rows, depth, blocks), _Sums(start, row, finish)
        _emit_blocks(builder, vector, shape, sums, deltas, out, deltas_size, out_size)

    return Part("backward_across", _BACKWARD, emit, formula_key(factor))


FORWARD_ACROSS = Part("forward_across", _FORWARD, _emit_forward)
forward_across = part_caller(
    "forward_across", ["shape", "weights", "inputs", "inputs_size", "out", "out_size"], _FORWARD
)
"""In kernels: ``forward_across(address, shape, weights, inputs, inputs_size, out, out_size)``."""
backward_across = part_caller(
    "backward_across", ["shape", "weights", "deltas", "deltas_size", "out", "a", "out_size", "adds", "ends"], _BACKWARD
)
"""In kernels: ``backward_across(address, shape, weights, deltas, deltas_size, out, a, out_size, adds, ends)``."""


def _sample_rows(builder, lanes, kinds, values, turned):
    """The first ``lanes`` numbers from ``column`` on of as many samples as a register of ``turned`` has lanes."""
    (features, _, order), (source, size, numbers, first, column) = kinds[:3], values[:5]
    rows, count = [], builder.sub(size, column)
    for s in range(turned.vector.lanes):
        sample = builder.load(element_pointer(builder, order, numbers, builder.add(first, _I64(s))))
        at = element_pointer(builder, features, source, builder.add(builder.mul(sample, size), column))
        rows.append(load_first_of(builder, turned.vector.dtype, lanes, at, count))
    return rows


@intrinsic
def turn_samples(_, features, n_in, order, place, column, target):
    """``target[j, s] = features[order[place + s] * n_in + column + j]`` for a register's lanes of samples s and of j.

    Zero past the last input.
    """

    def codegen(context, builder, signature, args):
        turned = matrix_pointer(builder, target, args[-1])
        rows = _sample_rows(builder, turned.vector.lanes, signature.args, args, turned)
        store_rows(turned, transposed([Vector(builder, turned.vector, row) for row in rows]))
        return context.get_dummy_value()

    return types.none(features, n_in, order, place, column, target), codegen


@intrinsic
def turn_few_inputs(_, features, n_in, order, place, column, target):
    """The same for a quarter of a register's lanes of j, if there is such a thing."""

    def codegen(context, builder, signature, args):
        turned = matrix_pointer(builder, target, args[-1])
        if lanes := turned.vector.lanes // 4:
            rows = _sample_rows(builder, lanes, signature.args, args, turned)
            store_rows(turned, transposed_quarters(builder, turned.vector, rows))
        return context.get_dummy_value()

    return types.none(features, n_in, order, place, column, target), codegen


@kernel
def gather_turned(work, features, n_in, rows, at):
    """A whole block of samples, or of targets, that lie in memory as numbers: from there into the registers."""
    lanes, first = lane_count(work), rows.start + rows.first
    if 4 * n_in <= lanes:
        turn_few_inputs(features, n_in, rows.order, first, 0, Matrix(work, at, lanes))
    else:
        for j in range(0, n_in, lanes):
            turn_samples(features, n_in, rows.order, first, j, Matrix(work, at + j * lanes, lanes))


@inlined
def is_whole(work, rows):
    """Whether a block's samples fill the lanes, and have their numbers in a list."""
    return rows.end - rows.first == lane_count(work) if rows.order else False


@inlined
def turns_targets(work, data, rows):
    """Whether a block's targets go straight from memory into the registers."""
    return False if data.labels or data.sample_weight else is_whole(work, rows)


@kernel
def gather_copied(net, data, rows, at, scratch):
    """Any block of samples, of which there may be fewer than lanes: row by row into ``scratch``, and turned there.

    The lanes behind the last one repeat it, so that what goes through the layers there is finite where the samples'
    own numbers are.
    """
    work, layer, lanes = net.work, net.layers[0], lane_count(net.work)
    stride = layer.input_stride
    for r in range(rows.first, rows.end):
        gather_input(data, sample_at(rows, r), layer.n_in, work, scratch + (r - rows.first) * stride)
    for i in range((rows.end - rows.first) * stride, lanes * stride, lanes):
        store(work, scratch + i, load(work, scratch + i - stride))
    turn_in(work, Matrix(work, scratch, stride), layer.n_in, at)


@inlined
def are_neighbours(rows):
    """Whether the rows' samples lie one after the other, as far as the first and the last one tell."""
    last = rows.end - 1
    return rows.first < rows.end and sample_at(rows, last) - sample_at(rows, rows.first) == last - rows.first


@kernel
def gather_blocks(net, data, rows, scratch):
    """Bring in the samples of the rows, inputs down."""
    layer, last, lanes = net.layers[0], net.layers[net.depth - 1], lane_count(net.work)
    for first in range(rows.first, rows.end, lanes):
        block = Rows(rows.order, rows.start, first, min(first + lanes, rows.end))
        at = layer.input + first * layer.input_stride
        ahead = Rows(rows.order, rows.start, first + ROWS_AHEAD, min(block.end + ROWS_AHEAD, rows.end))
        if data.far and not are_neighbours(ahead):
            fetch_samples(net, data, ahead)
        if not turns_targets(net.work, data, block):
            for r in range(first, block.end):
                gather_target(data, sample_at(rows, r), last.n_out, net, r, net.scratch.targets + r * last.stride)
        if is_whole(net.work, block) and not data.pixels:
            gather_turned(net.work, data.features, layer.n_in, block, at)
        else:
            gather_copied(net, data, block, at, scratch)


@kernel
def forward_blocks(net, first, blocks, sloped):
    """Blocks of samples from row ``first`` on through all layers; the output layer's sums go to ``weighted``."""
    work, lanes = net.work, lane_count(net.work)
    size = net.layers[0].input_stride  # registers from one block of inputs to the next
    inputs = net.layers[0].input + first * size
    for i in range(net.depth):
        layer = net.layers[i]
        hidden = i < net.depth - 1
        out = (layer.output if hidden else net.scratch.weighted) + first * layer.n_out
        for column in range(0, layer.n_out, PANEL_VECTORS * lanes):
            width = panel_width(layer, lanes, column)
            weights = Matrix(net.params, weights_at(layer, lanes, 0, column), width)
            shape = Products(min(layer.n_out - column, width), layer.n_in, blocks)
            target = moved(work, out + column * lanes)
            forward_across(net.code.forward_across, shape, weights, moved(work, inputs), size, target, layer.n_out)
        if hidden:
            slopes = Matrix(work, layer.slope + first * layer.n_out, lanes)
            activate_columns(layer, Matrix(work, out, lanes), slopes, blocks * layer.n_out, 1, sloped)
        inputs, size = out, layer.n_out


@kernel
def measure_across(net, data, rows, scale, trains, totals):
    """Costs and hits of the rows, and where it ``trains`` the output layer's deltas, zero where there is no sample."""
    work, last, lanes = net.work, net.layers[net.depth - 1], lane_count(net.work)
    n = last.n_out
    block = Block(work, net.scratch.turned, net.scratch.turned + (n + -n % lanes) * lanes, n)
    zero = splat(work, 0)
    for first in range(rows.first, rows.end, lanes):
        samples, count = min(lanes, rows.end - first), splat(work, rows.end - first)
        for i in range(0, n * lanes, lanes):
            store(work, block.z + i, load(work, net.scratch.weighted + first * n + i))
        mine = Rows(rows.order, rows.start, first, first + samples)
        if turns_targets(work, data, mine):
            gather_turned(work, data.targets, n, mine, block.t)
        else:
            turn_in_targets(net, data, first, block)
        measure_block(net, data, block, first, samples, scale, totals)
        if trains:
            for i in range(0, n * lanes, lanes):
                delta = load(work, delta_at(block) + i)
                store(work, last.delta + first * n + i, keep_first(delta, count, zero) if samples < lanes else delta)


@kernel
def recur_across(net, layer, below, first, blocks):
    """``delta_below = (W @ delta) * f'(Z_below)``; (n_in, n_out) by (blocks, n_out, lanes) to (blocks, n_in, lanes)."""
    work, lanes = net.work, lane_count(net.work)
    deltas, out = layer.delta + first * layer.n_out, below.delta + first * layer.n_in
    for column in range(0, layer.n_out, PANEL_VECTORS * lanes):
        width = panel_width(layer, lanes, column)
        weights = Matrix(net.params, weights_at(layer, lanes, 0, column), width)
        shape = Products(layer.n_in, min(layer.n_out - column, width), blocks)
        source, target = moved(work, deltas + column * lanes), moved(work, out)
        outputs, ends = moved(work, below.slope + first * layer.n_in), column + width >= layer.n_out
        backward_across(
            below.backward_across, shape, weights, source, layer.n_out, target, outputs, layer.n_in, int(column > 0),
            int(ends),
        )  # fmt: skip


@kernel
def pass_across(net, data, rows, scale, trains, totals):
    """Samples forward, their costs, and where it ``trains`` the deltas of all layers; the first row begins a block."""
    lanes, first = lane_count(net.work), rows.first
    blocks = (rows.end - first + lanes - 1) // lanes
    gather_blocks(net, data, rows, net.scratch.turned)
    forward_blocks(net, first, blocks, trains)
    measure_across(net, data, rows, scale, trains, totals)
    if trains:
        for index in range(net.depth - 1, 0, -1):
            recur_across(net, net.layers[index], net.layers[index - 1], first, blocks)


@kernel
def update_layer_across(code, net, layer, target, samples, stepper, team):
    """Step one layer, or with the code that adds, add its gradient to a buffer; a thread takes some of its inputs."""
    lanes = lane_count(net.work)
    mine = share_out(layer.n_in + 1, team.size)  # the biases are the last one
    first, end = part_start(mine, team.member), part_start(mine, team.member + 1)
    if first == end:  # more threads than inputs
        return
    size = layer.n_in if layer.input != net.layers[0].input else layer.input_stride
    inputs = Matrix(net.work, layer.input + first * lanes, size * lanes)
    weights, biases = layer.hyper * HYPER_SIZE, layer.hyper_biases * HYPER_SIZE
    for column in range(0, layer.n_out, lanes):
        shape = Across(min(end, layer.n_in) - first, min(lanes, layer.n_out - column), (samples + lanes - 1) // lanes)
        deltas = Matrix(net.work, layer.delta + column * lanes, layer.n_out * lanes)
        at = weights_at(layer, lanes, first, column)
        update_lanes(
            code, shape, inputs, deltas, Matrix(target, at, panel_width(layer, lanes, column)),
            moved(stepper.state, at), net.params_size, moved(stepper.hyper, weights), moved(stepper.hyper, biases),
            int(end > layer.n_in),
        )  # fmt: skip
