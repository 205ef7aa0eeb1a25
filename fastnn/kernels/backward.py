"""Backward pass: the output layer's delta, and the delta recursion through the layers below."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnn.kernels.compile import kernel
from fastnn.kernels.formula_parts import times_derivative
from fastnn.kernels.forward import panel_vectors, panel_width, weights_at
from fastnn.kernels.host import PANEL_VECTORS
from fastnn.kernels.pointers import moved
from fastnn.kernels.simd import (
    exchange,
    ir_float,
    join_quarters,
    lane_count,
    lane_sums,
    load_at,
    quarter,
    store_at,
)
from fastnn.kernels.tiles import Matrix, TileShape, matrix_pointer, product


def transposed(rows):
    """Lane i of every vector in vector i, while code is generated; as many vectors as lanes.

    Of fewer of them, 2^k, every group of so many lanes is a square of its own.
    """
    rows, step = list(rows), 1
    while step < len(rows):
        for r in range(len(rows)):
            if not r & step:
                rows[r], rows[r | step] = exchange(rows[r], rows[r | step], step)
        step *= 2
    return rows


def transposed_quarters(builder, vector, rows):
    """The same of rows of a quarter of a register each, as LLVM vectors: a quarter as many vectors."""
    count = vector.lanes // 4
    return transposed([join_quarters(builder, vector, rows[r::count]) for r in range(count)])


def store_rows(target, rows):
    """One vector a row, to where a ``Pointer`` points."""
    for r, row in enumerate(rows):
        store_at(target.vector_at(r, 0), row)


@intrinsic
def transpose_block(_, source, target):
    """``target[j, i] = source[i, j]`` on one block of lanes x lanes, inside the registers."""

    def codegen(context, builder, signature, args):
        a, b = (matrix_pointer(builder, kind, value) for kind, value in zip(signature.args, args, strict=True))
        lanes = a.vector.lanes
        rows = transposed([load_at(builder, a.vector, a.vector_at(r, 0)) for r in range(lanes)])
        store_rows(b, rows)
        return context.get_dummy_value()

    return types.none(source, target), codegen


@intrinsic
def turn_quarter(_, source, target):
    """``target[j, i] = source[i, j]`` for a register's lanes of i and a quarter of them of j, where lanes have one."""

    def codegen(context, builder, signature, args):
        a, b = (matrix_pointer(builder, kind, value) for kind, value in zip(signature.args, args, strict=True))
        if count := a.vector.lanes // 4:
            kind = ir.VectorType(ir_float(a.vector.dtype), count).as_pointer()
            places = [builder.bitcast(a.vector_at(r, 0), kind) for r in range(a.vector.lanes)]
            rows = [builder.load(place, align=a.vector.dtype.bitwidth // 8) for place in places]
            store_rows(b, transposed_quarters(builder, a.vector, rows))
        return context.get_dummy_value()

    return types.none(source, target), codegen


@intrinsic
def turn_quarter_back(_, source, target):
    """``target[i, j] = source[j, i]`` for a register's lanes of i and a quarter of them of j; zero for the others."""

    def codegen(context, builder, signature, args):
        a, b = (matrix_pointer(builder, kind, value) for kind, value in zip(signature.args, args, strict=True))
        count = a.vector.lanes // 4
        rows = transposed([load_at(builder, a.vector, a.vector_at(j, 0)) for j in range(count)])
        for number in range(4):
            for r, row in enumerate(rows):
                store_at(b.vector_at(number * count + r, 0), quarter(row, number))
        return context.get_dummy_value()

    return types.none(source, target), codegen


@kernel
def turn_weights(layer, params, first, vectors, work, turned):
    """``turned[j, i] = W[first + i, j]`` for one panel's width of inputs i; (n_out, vectors * lanes), padded rows too.

    Columns past ``n_in`` hold whatever follows in ``params``: the recursion masks them.
    """
    lanes = lane_count(work)
    width = vectors * lanes
    for column in range(0, layer.n_out, lanes):
        row_width = panel_width(layer, lanes, column)
        for v in range(vectors):
            source = Matrix(params, weights_at(layer, lanes, first + v * lanes, column), row_width)
            transpose_block(source, Matrix(work, turned + column * width + v * lanes, width))


@intrinsic
def multiply_rows(_, source, deltas, target):
    """``target[0, i] = sum_j source[i, j] * deltas[0, j]`` for a register's lanes of rows i, and of columns j."""

    def codegen(context, builder, signature, args):
        a, d, out = (matrix_pointer(builder, kind, value) for kind, value in zip(signature.args, args, strict=True))
        delta = load_at(builder, a.vector, d.vector_at(0, 0))
        sums = [load_at(builder, a.vector, a.vector_at(r, 0)) * delta for r in range(a.vector.lanes)]
        store_at(out.vector_at(0, 0), lane_sums(sums))
        return context.get_dummy_value()

    return types.none(source, deltas, target), codegen


@kernel
def recur_row(net, layer, below, row):
    """``recur`` for the only sample of a batch, through up to a register of outputs: nothing is to be turned."""
    work, lanes = net.work, lane_count(net.work)
    deltas = Matrix(work, layer.delta + row * layer.stride, layer.stride)
    block = Matrix(work, below.delta + row * below.stride, below.stride)
    for first in range(0, layer.n_in, lanes):
        source = Matrix(net.params, weights_at(layer, lanes, first, 0), lanes)
        multiply_rows(source, deltas, Matrix(work, block.at + first, block.stride))
    sources = Matrix(work, below.slope + row * below.stride, below.stride)
    times_derivative(below.derivative, 1, (layer.n_in + lanes - 1) // lanes, block, sources, layer.n_in)


@kernel
def recur_rows(net, layer, below, start, rows):
    """``recur`` for any number of rows and outputs, as products with the weights turned."""
    work, turned = net.work, net.scratch.turned
    lanes = lane_count(work)
    zeros = Matrix(work, net.scratch.zeros, 0)
    deltas = Matrix(work, layer.delta + start * layer.stride, layer.stride)
    for column in range(0, layer.n_in, PANEL_VECTORS * lanes):
        vectors = panel_vectors(layer.n_in - column, lanes)
        turn_weights(layer, net.params, column, vectors, work, turned)
        block = Matrix(work, below.delta + start * below.stride + column, below.stride)
        sources = Matrix(work, below.slope + start * below.stride + column, below.stride)
        shape = TileShape(rows, vectors, layer.n_out)
        product(net.code.product, shape, 0, deltas, moved(work, turned), zeros, block)
        times_derivative(below.derivative, rows, vectors, block, sources, layer.n_in - column)


@kernel
def recur(net, layer, below, start, rows, samples):
    """``delta_below = (delta @ W.T) * f'(Z_below)``; (rows, n_out) by (n_out, n_in) to (rows, n_in).

    The rows are some of a batch of ``samples``.
    """
    if samples == 1 and rows == 1 and layer.n_out <= lane_count(net.work):
        recur_row(net, layer, below, start)
    else:
        recur_rows(net, layer, below, start, rows)
