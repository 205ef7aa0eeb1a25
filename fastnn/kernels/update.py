"""Stepping a layer: by the gradient of a batch, fused with the step, or by a gradient in memory."""

import numpy as np

from fastnn.kernels.buffers import HYPER_SIZE
from fastnn.kernels.compile import kernel
from fastnn.kernels.elementary import if_larger
from fastnn.kernels.forward import panel_vectors, panel_width, weights_at
from fastnn.kernels.host import PANEL_VECTORS, UPDATE_ROWS
from fastnn.kernels.pointers import moved
from fastnn.kernels.rows import fetch_inputs
from fastnn.kernels.simd import lane_count, lane_sum, load, multiply_add, splat, square_root, store
from fastnn.kernels.steps import step_run, update_weights
from fastnn.kernels.team import part_start, share_out
from fastnn.kernels.tiles import Matrix, TileShape

FETCHED_ROWS = 8 * UPDATE_ROWS  # inputs that are stepped between two looks ahead


@kernel
def step_biases(code, net, layer, target, column, samples, stepper):
    """Step the biases of the panel at a column."""
    vectors = panel_vectors(layer.n_out - column, lane_count(net.work))
    at = layer.weights + column * (layer.n_in + 1) + layer.n_in * vectors * lane_count(net.work)
    deltas = Matrix(net.work, layer.delta + column, layer.stride)
    hyper = moved(stepper.hyper, layer.hyper_biases * HYPER_SIZE)
    shape, params, state = TileShape(0, vectors, samples), moved(target, at), moved(stepper.state, at)
    update_weights(code, shape, deltas, deltas, params, state, net.params_size, hyper, hyper, 1)


@kernel
def update_panel(code, net, layer, target, column, first, end, samples, stepper):
    """Step the weights of inputs ``first`` to ``end`` in the panel at a column; one more stands for the biases."""
    lanes = lane_count(net.work)
    vectors = panel_vectors(layer.n_out - column, lanes)
    at = layer.weights + column * (layer.n_in + 1) + first * vectors * lanes
    inputs = Matrix(net.work, layer.input + first, layer.input_stride)
    deltas = Matrix(net.work, layer.delta + column, layer.stride)
    weights, biases = layer.hyper * HYPER_SIZE, layer.hyper_biases * HYPER_SIZE
    shape = TileShape(min(end, layer.n_in) - first, vectors, samples)
    update_weights(
        code, shape, inputs, deltas, moved(target, at), moved(stepper.state, at), net.params_size,
        moved(stepper.hyper, weights), moved(stepper.hyper, biases), int(end > layer.n_in),
    )  # fmt: skip


@kernel
def update_layer(code, net, layer, target, samples, stepper, data, ahead, team):
    """Step one layer, or with the code that adds, add its gradient to a buffer shaped like the parameters.

    Inputs and biases of all panels are shared out over the team. Beside them it fetches the inputs of the rows
    ``ahead``, if there are any.
    """
    panel_width = PANEL_VECTORS * lane_count(net.work)
    panels = (layer.n_out + panel_width - 1) // panel_width
    tiles = (layer.n_in + UPDATE_ROWS) // UPDATE_ROWS  # of a panel, its biases with the last inputs
    mine = share_out(panels * tiles, team.size)
    first_tile, end_tile = part_start(mine, team.member), part_start(mine, team.member + 1)
    for panel in range(panels):
        first = max(first_tile, 0) * UPDATE_ROWS
        end = min(min(end_tile, tiles) * UPDATE_ROWS, layer.n_in + 1)
        while first < end:
            stop = end
            if panel == 0 and ahead.end > 0:
                stop = min(end, first + FETCHED_ROWS)
                if stop == layer.n_in:
                    stop = end
                fetch_inputs(data, ahead, layer.n_in, first, min(stop, layer.n_in))
            update_panel(code, net, layer, target, panel * panel_width, first, stop, samples, stepper)
            first = stop
        first_tile, end_tile = first_tile - tiles, end_tile - tiles


@kernel
def step_registers(net, stepper, at, count, hyper):
    """Step so many registers of parameters from a place on by ``stepper.gradient``, by the numbers of a block."""
    step_run(
        stepper.step, count, moved(net.params, at), moved(stepper.gradient, at),
        stepper.gradient_size // net.params_size, net.params_size, moved(stepper.state, at), net.params_size,
        moved(stepper.hyper, hyper * HYPER_SIZE),
    )  # fmt: skip


@kernel
def step_layer(net, layer, stepper, team):
    """Step one layer by ``stepper.gradient``; its inputs are shared out over the team, the last thread has the biases.

    So what a thread writes lies together: of lines in turn, the processor would fetch the other ones as well.
    """
    lanes, mine = lane_count(net.params), share_out(layer.n_in, team.size)
    first, end = part_start(mine, team.member), part_start(mine, team.member + 1)
    for column in range(0, layer.n_out, PANEL_VECTORS * lanes):
        vectors, at = panel_vectors(layer.n_out - column, lanes), layer.weights + column * (layer.n_in + 1)
        step_registers(net, stepper, at + first * vectors * lanes, (end - first) * vectors, layer.hyper)
        if team.member == team.size - 1:
            step_registers(net, stepper, at + layer.n_in * vectors * lanes, vectors, layer.hyper_biases)


@kernel
def limit_columns(net, layer, column, stepper, share):
    """``w *= min(1, max_norm / ||w||)`` for the incoming weights of a register of units.

    A mean of the weights has taken in ``share`` of what they were before.
    """
    params, lanes = net.params, lane_count(net.params)
    width, at = panel_width(layer, lanes, column), weights_at(layer, lanes, 0, column)
    squares, one, limit = splat(params, 0), splat(params, 1), splat(params, layer.max_norm)
    for i in range(at, at + layer.n_in * width, width):
        w = load(params, i)
        squares = multiply_add(w, w, squares)
    most = limit * limit
    too_large = if_larger(squares, most, one, splat(params, 0))
    if lane_sum(too_large) > 0:
        factor = if_larger(squares, most, limit / square_root(if_larger(squares, most, squares, one)), one)
        for i in range(at, at + layer.n_in * width, width):
            w = load(params, i)
            store(params, i, w * factor)
            if stepper.average >= 0:
                mean = load(stepper.state, stepper.average + i)
                change = w * factor - w
                store(stepper.state, stepper.average + i, multiply_add(splat(params, share), change, mean))


@kernel
def layer_squares(net, layer):
    """``||W||^2`` of one layer without its biases; in four sums, of which none waits for another."""
    params, lanes, total = net.params, lane_count(net.params), 0.0
    for column in range(0, layer.n_out, PANEL_VECTORS * lanes):
        at, size = weights_at(layer, lanes, 0, column), layer.n_in * panel_width(layer, lanes, column)
        whole = at + size - size % (4 * lanes)
        a = b = c = d = splat(params, 0)
        for i in range(at, whole, 4 * lanes):
            p, q, r, s = (
                load(params, i),
                load(params, i + lanes),
                load(params, i + 2 * lanes),
                load(params, i + 3 * lanes),
            )
            a, b, c, d = multiply_add(p, p, a), multiply_add(q, q, b), multiply_add(r, r, c), multiply_add(s, s, d)
        for i in range(whole, at + size, lanes):
            p = load(params, i)
            a = multiply_add(p, p, a)
        total += np.float64(lane_sum((a + b) + (c + d)))
    return total
