"""Forward pass: matmul, bias and activation of a layer in one sweep over its tiles."""

import math

from fastnn.kernels.compile import inlined, kernel
from fastnn.kernels.dropout import drop_row, row_key
from fastnn.kernels.formula_parts import activate
from fastnn.kernels.host import PANEL_VECTORS
from fastnn.kernels.pointers import moved, nothing
from fastnn.kernels.rows import gather_input, sample_at
from fastnn.kernels.simd import lane_count
from fastnn.kernels.tiles import Matrix, TileShape, product


@inlined
def panel_vectors(columns, lanes):
    """Registers in a panel that starts ``columns`` columns before the last one."""
    return min(PANEL_VECTORS, (columns + lanes - 1) // lanes)


@inlined
def panel_width(layer, lanes, column):
    """Numbers in a row of the panel in which a column is."""
    return panel_vectors(layer.n_out - column + column % (PANEL_VECTORS * lanes), lanes) * lanes


@inlined
def weights_at(layer, lanes, row, column):
    """Where the weights of input ``row`` to the register of units at a column stand; those of row n_in are biases."""
    beside = column % (PANEL_VECTORS * lanes)  # columns in the panel before this one
    return layer.weights + (column - beside) * (layer.n_in + 1) + row * panel_width(layer, lanes, column) + beside


@kernel
def activate_columns(layer, block, slopes, rows, vectors, sloped):
    """``f(Z)`` in place on some columns, and where training wants it f'(Z) beside it."""
    if sloped and layer.activate_sloped != 0:
        activate(layer.activate_sloped, rows, vectors, block, slopes)
    elif layer.activate != 0:
        activate(layer.activate, rows, vectors, block, slopes)


@kernel
def forward_layer(net, layer, inputs, out, first, rows, activated, sloped):
    """``out = inputs @ W + b`` of one layer, then f, panel by panel; (rows, n_in) by (n_in, n_out) to (rows, n_out).

    ``first`` is the row of ``work`` that the rows begin with. Beside a panel it fetches the one behind, be it the next
    layer's: other than those of the first layer's first panel, the inputs are near.
    """
    params, lanes = net.params, lane_count(net.params)
    for column in range(0, layer.n_out, PANEL_VECTORS * lanes):
        vectors = panel_vectors(layer.n_out - column, lanes)
        width = vectors * lanes
        at = layer.weights + column * (layer.n_in + 1)
        biases = Matrix(params, at + layer.n_in * width, 0)
        block = Matrix(out.data, out.at + column, out.stride)
        behind = (layer.n_in + 1) * width if column + layer.weights > 0 else 0
        shape = TileShape(rows, vectors, layer.n_in)
        product(net.code.product, shape, behind, inputs, moved(params, at), biases, block)
        if activated:
            slopes = Matrix(net.work, layer.slope + first * layer.stride + column, layer.stride)
            activate_columns(layer, block, slopes, rows, vectors, sloped)


@kernel
def drop_inputs(net, index, first, rows, start, key):
    """Leave out some inputs of a layer, see dropout.py; row ``first`` holds the sample at place ``start + first``."""
    layer = net.layers[index]
    if index == 0:
        at, stride, slope = layer.input, layer.input_stride, layer.input
    else:
        below = net.layers[index - 1]
        at, stride, slope = below.output, below.stride, below.slope
    lanes = lane_count(net.work)
    vectors = (layer.n_in + lanes - 1) // lanes
    for r in range(first, first + rows):
        slopes = nothing(net.work) if index == 0 else moved(net.work, slope + r * stride)
        drop_row(
            net.code.drop_row, vectors, moved(net.work, at + r * stride), slopes, row_key(key, index, start + r),
            layer.dropout, moved(net.scales, index * lanes),
        )  # fmt: skip


@kernel
def forward_layers(net, first, rows, index, inputs, sloped, start, key):
    """Rows of ``work`` from ``first`` on through the layers from ``index`` on, which is given ``inputs``.

    The output activation is left out, because softmax has to wait for the whole row: the weighted outputs are in
    ``scratch.weighted``.
    """
    for i in range(index, net.depth):
        layer = net.layers[i]
        if sloped and layer.dropout != 0:
            drop_inputs(net, i, first, rows, start, key)
        hidden = i < net.depth - 1
        place = layer.output if hidden else net.scratch.weighted
        out = Matrix(net.work, place + first * layer.stride, layer.stride)
        forward_layer(net, layer, inputs, out, first, rows, hidden, sloped)
        inputs = out


@kernel
def weighted_of_first(net):
    """Where the weighted inputs of the first layer go, which may be the last one too."""
    return net.scratch.weighted if net.depth == 1 else net.layers[0].output


@kernel
def forward_later(net, first, rows, sloped, start, key):
    """The activation of the first layer, if it is not the last one, and the layers after it."""
    layer = net.layers[0]
    hidden = Matrix(net.work, layer.output + first * layer.stride, layer.stride)
    if net.depth > 1:
        slopes = Matrix(net.work, layer.slope + first * layer.stride, layer.stride)
        vectors = (layer.n_out + lane_count(net.work) - 1) // lane_count(net.work)
        activate_columns(layer, hidden, slopes, rows, vectors, sloped)
        forward_layers(net, first, rows, 1, hidden, sloped, start, key)


@kernel
def rows_in_place(net, data, first, rows):
    """Samples ``first`` to ``first + rows`` as a matrix: where they lie, or bytes turned into numbers in ``work``."""
    layer = net.layers[0]
    if not data.pixels:
        return Matrix(data.features, first * layer.n_in, layer.n_in)
    for r in range(rows):
        gather_input(data, first + r, layer.n_in, net.work, layer.input + r * layer.input_stride)
    return Matrix(net.work, layer.input, layer.input_stride)


@kernel
def bring_in(net, data, rows, key):
    """The inputs of rows as a matrix: gathered, and some of them dropped for a ``key``, or in their natural order."""
    layer, first, count = net.layers[0], rows.first, rows.end - rows.first
    if not rows.order:
        return rows_in_place(net, data, rows.start + first, count)
    for r in range(first, rows.end):
        gather_input(data, sample_at(rows, r), layer.n_in, net.work, layer.input + r * layer.input_stride)
    if key != 0 and layer.dropout != 0:
        drop_inputs(net, 0, first, count, rows.start, key)
    return Matrix(net.work, layer.input + first * layer.input_stride, layer.input_stride)


@kernel
def sums_are_finite(net, rows):
    """Whether the first layer's weighted inputs are, of one unit of every row.

    That is to know whether the inputs are, without going through them: NaN and infinity come through a sum of products
    even where the weight is zero. A sum may also overflow.
    """
    finite, at, stride = True, weighted_of_first(net), net.layers[0].stride
    for r in range(rows):
        finite &= math.isfinite(net.work[at + r * stride])
    return finite
