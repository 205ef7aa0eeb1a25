"""Batches of one sample in a small network: the whole step in one stage.

By rows such a step is three stages and nine calls of parts, each made for any number of rows, and finding out each time
that there is one takes longer than the arithmetic. Sums run in the same order as there, and so have the same bits.
"""

import math

import numpy as np

from fastnn.kernels.backward import recur
from fastnn.kernels.buffers import Data, Net, Rows, Stepper
from fastnn.kernels.compile import caller, kernel, stage
from fastnn.kernels.forward import activate_columns, panel_width, weighted_of_first, weights_at
from fastnn.kernels.host import PANEL_VECTORS
from fastnn.kernels.outputs import measure
from fastnn.kernels.records import Float64s, Int64s
from fastnn.kernels.rows import batch_at, fetch_samples, gather_input, sample_at
from fastnn.kernels.simd import lane_count, load, multiply_add, splat, store
from fastnn.kernels.tiles import Matrix
from fastnn.kernels.update import update_panel

_AHEAD = 8  # samples from the one that is asked for to the one at hand


@kernel
def multiply_row(net, layer, inputs, out):
    """``out = inputs @ W + b``; (n_in,) at ``work[inputs:]`` by (n_in, n_out) to (n_out,) at ``work[out:]``."""
    params, work, lanes = net.params, net.work, lane_count(net.params)
    for column in range(0, layer.n_out, lanes):
        width, at = panel_width(layer, lanes, column), weights_at(layer, lanes, 0, column)
        z = load(params, at + layer.n_in * width)
        for k in range(layer.n_in):
            z = multiply_add(splat(work, work[inputs + k]), load(params, at + k * width), z)
        store(work, out + column, z)


@kernel
def forward_row(net):
    """From the inputs of row 0 to the weighted inputs of the last layer, with f and f' of the layers between."""
    work, lanes = net.work, lane_count(net.work)
    multiply_row(net, net.layers[0], net.layers[0].input, weighted_of_first(net))
    for index in range(1, net.depth):
        below, layer = net.layers[index - 1], net.layers[index]
        hidden, slopes = Matrix(work, below.output, below.stride), Matrix(work, below.slope, below.stride)
        activate_columns(below, hidden, slopes, 1, (below.n_out + lanes - 1) // lanes, True)
        last = index == net.depth - 1
        multiply_row(net, layer, below.output, net.scratch.weighted if last else layer.output)


@stage
def one_sample(net: Net, data: Data, order: Int64s, n: int, start: int, stepper: Stepper, totals: Float64s) -> float:
    """One step on the sample ``order[start]``, unless its cost is not finite; returns the cost."""
    rows, first_layer = Rows(order, start, 0, 1), net.layers[0]
    if data.far:
        fetch_samples(net, data, batch_at(order, n, start + _AHEAD, 1))
    gather_input(data, sample_at(rows, 0), first_layer.n_in, net.work, first_layer.input)
    forward_row(net)
    measure(net, data, rows, 1, 1.0, totals)
    for index in range(net.depth - 1, 0, -1):
        recur(net, net.layers[index], net.layers[index - 1], 0, 1, 1)
    cost, panel = np.float64(net.work[net.scratch.costs]), PANEL_VECTORS * lane_count(net.work)
    if math.isfinite(cost):
        for index in range(net.depth):
            layer = net.layers[index]
            for column in range(0, layer.n_out, panel):
                update_panel(stepper.update, net, layer, net.params, column, 0, layer.n_in + 1, 1, stepper)
    return cost


call_one_sample = caller(one_sample)
