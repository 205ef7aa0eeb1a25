"""Forward pass: matmul, bias and activation of a layer in one sweep over its tiles."""

import math

import numpy as np

from fastnn.kernels.buffers import Layer
from fastnn.kernels.compile import inlined, kernel, woven
from fastnn.kernels.functions import IDENTITY, activate
from fastnn.kernels.host import PANEL_VECTORS, PRODUCT_ROWS
from fastnn.kernels.rows import gather_input
from fastnn.kernels.simd import lane_count, load, store
from fastnn.kernels.team import part_start, share_out
from fastnn.kernels.tiles import Matrix, TileShape, product_tile


@inlined
def layer_at(layers, index):
    """Row ``index`` of the layers table as a ``Layer``."""
    row = layers[index]
    return Layer(row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8])


@inlined
def panel_vectors(columns, lanes):
    """Registers in a panel that starts ``columns`` columns before the last one."""
    return min(PANEL_VECTORS, (columns + lanes - 1) // lanes)


@kernel
def activate_tile(code, block, shape):
    """``block = f(block)``, in place, while it is still in the nearest cache."""
    lanes = lane_count(block.data)
    for r in range(shape.rows):
        at = block.at + r * block.stride
        for v in range(shape.vectors):
            store(block.data, at + v * lanes, activate(code, load(block.data, at + v * lanes)))


@kernel
def forward_layer(layer, activation, params, inputs, out, rows):
    """``out = f(inputs @ W + b)`` of one layer; (rows, n_in) by (n_in, n_out) to (rows, n_out)."""
    lanes = lane_count(params)
    tiles = (rows + PRODUCT_ROWS - 1) // PRODUCT_ROWS
    share = share_out(rows, max(tiles, 1))
    for column in range(0, layer.n_out, PANEL_VECTORS * lanes):
        vectors = panel_vectors(layer.n_out - column, lanes)
        width = vectors * lanes
        weights_at = layer.weights + column * (layer.n_in + 1)
        weights = Matrix(params, weights_at, width)
        biases = Matrix(params, weights_at + layer.n_in * width, 0)
        for tile in range(tiles):
            first = part_start(share, tile)
            shape = TileShape(part_start(share, tile + 1) - first, vectors, layer.n_in)
            left = Matrix(inputs.data, inputs.at + first * inputs.stride, inputs.stride)
            block = Matrix(out.data, out.at + first * out.stride + column, out.stride)
            product_tile(shape, left, weights, biases, block)
            if activation != IDENTITY:
                activate_tile(activation, block, shape)


@woven
def forward_layers(net, first, rows, index, inputs):
    """Rows of ``work`` from ``first`` on through the layers from ``index`` on, which is given ``inputs``.

    The output activation is left out, because softmax has to wait for the whole row: the weighted outputs are in
    ``scratch.weighted``.
    """
    depth = net.layers.shape[0]
    while index < depth:
        layer = layer_at(net.layers, index)
        hidden = index < depth - 1
        place = layer.output if hidden else net.scratch.weighted
        out = Matrix(net.work, place + first * layer.stride, layer.stride)
        forward_layer(layer, layer.activation if hidden else IDENTITY, net.params, inputs, out, rows)
        inputs = out
        index += 1


@kernel
def rows_in_place(net, data, first, rows):
    """Samples ``first`` to ``first + rows`` as a matrix: where they lie, or bytes turned into numbers in ``work``."""
    layer = layer_at(net.layers, 0)
    if data.pixels.size == 0:
        return Matrix(data.features, first * layer.n_in, layer.n_in)
    for r in range(rows):
        gather_input(data, first + r, layer.n_in, net.work, layer.input + r * layer.input_stride)
    return Matrix(net.work, layer.input, layer.input_stride)


@woven
def weighted_of_first(layer, net):
    """Where the weighted inputs of the first layer go, which may be the last one too."""
    return net.scratch.weighted if net.layers.shape[0] == 1 else layer.output


@kernel
def activate_first(layer, net, rows):
    """The activation of the first layer, if it is not the last one."""
    if net.layers.shape[0] > 1 and layer.activation != IDENTITY:
        block = Matrix(net.work, layer.output + rows.first * layer.stride, layer.stride)
        vectors = (layer.n_out + lane_count(net.work) - 1) // lane_count(net.work)
        activate_tile(layer.activation, block, TileShape(rows.end - rows.first, vectors, 0))


@kernel
def sums_are_finite(layer, net, rows):
    """Whether the first layer's weighted inputs are, of one unit of every row.

    That is to know whether the inputs are, without going through them: NaN and infinity come through a sum of products
    even where the weight is zero. A sum may also overflow.
    """
    finite, at = True, weighted_of_first(layer, net)
    for r in range(rows):
        finite &= math.isfinite(net.work[np.uint64(at + r * layer.stride)])
    return finite
