"""Forward pass: matmul, bias and activation of a layer in one sweep over its tiles."""

import numpy as np

from fastnn.kernels.buffers import Layer
from fastnn.kernels.compile import kernel, woven
from fastnn.kernels.functions import IDENTITY, activate
from fastnn.kernels.host import PANEL_VECTORS, PRODUCT_ROWS
from fastnn.kernels.rows import gather_input, output_row
from fastnn.kernels.simd import lane_count, load, store
from fastnn.kernels.tiles import Matrix, TileShape, product_tile


@woven
def layer_at(layers, index):
    """Row ``index`` of the layers table as a ``Layer``."""
    row = layers[index]
    return Layer(row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8])


@woven
def panel_vectors(columns, lanes):
    """Registers in a panel that starts ``columns`` columns before the last one."""
    return min(PANEL_VECTORS, (columns + lanes - 1) // lanes)


@woven
def tile_bounds(rows, most, tile):
    """First row and end of tile number ``tile`` when ``rows`` are shared out evenly over tiles of at most ``most``."""
    tiles = (rows + most - 1) // most
    return rows * tile // tiles, rows * (tile + 1) // tiles


@kernel
def activate_tile(code, block, shape):
    """``block = f(block)``, in place, while it is still in the nearest cache."""
    lanes = lane_count(block.data)
    for r in range(shape.rows):
        at = block.at + r * block.stride
        for v in range(shape.vectors):
            store(block.data, at + v * lanes, activate(code, load(block.data, at + v * lanes)))


@kernel
def forward_layer(layer, activation, params, work, rows, out):
    """``work[out] = f(A_prev @ W + b)`` of one layer; (rows, n_in) by (n_in, n_out) to (rows, n_out)."""
    lanes = lane_count(work)
    panel = PANEL_VECTORS * lanes
    for column in range(0, layer.n_out, panel):
        vectors = panel_vectors(layer.n_out - column, lanes)
        width = vectors * lanes
        weights_at = layer.weights + column * (layer.n_in + 1)
        weights = Matrix(params, weights_at, width)
        biases = Matrix(params, weights_at + layer.n_in * width, 0)
        for tile in range((rows + PRODUCT_ROWS - 1) // PRODUCT_ROWS):
            first, end = tile_bounds(rows, PRODUCT_ROWS, tile)
            shape = TileShape(end - first, vectors, layer.n_in)
            inputs = Matrix(work, layer.input + first * layer.input_stride, layer.input_stride)
            block = Matrix(work, out + first * layer.stride + column, layer.stride)
            product_tile(shape, inputs, weights, biases, block)
            if activation != IDENTITY:
                activate_tile(activation, block, shape)


@woven
def forward_hidden(net, rows, first):
    """Layers from ``first`` on but for the output activation; the weighted outputs go into ``scratch.weighted``."""
    depth = net.layers.shape[0]
    for index in range(first, depth - 1):
        layer = layer_at(net.layers, index)
        forward_layer(layer, layer.activation, net.params, net.work, rows, layer.output)
    if first == depth:
        return
    last = layer_at(net.layers, depth - 1)
    # The output activation waits for the whole row.
    forward_layer(last, np.int64(IDENTITY), net.params, net.work, rows, net.scratch.weighted)


@kernel
def forward_rows(net, data, first, end, out):
    """Outputs of samples ``first`` to ``end`` (at most ``scratch.rows``) into ``out`` (n, n_out)."""
    layer = layer_at(net.layers, 0)
    for r in range(end - first):
        gather_input(data, first + r, layer.n_in, net.work, layer.input + r * layer.input_stride)
    forward_hidden(net, end - first, 0)
    last = layer_at(net.layers, net.layers.shape[0] - 1)
    for r in range(end - first):
        at = last.output + r * last.stride
        output_row(last.activation, net.work, net.scratch.weighted + r * last.stride, at, last.n_out)
        for j in range(last.n_out):
            out[np.uint64(first + r), np.uint64(j)] = net.work[np.uint64(at + j)]
