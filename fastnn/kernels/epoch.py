"""The entries that Python calls: many batches of an epoch in one call, a gradient, an evaluation, a prediction.

One pass over a batch::

    by rows:    gather -> forward, layer by layer -> cost and output delta -> the deltas of the layers below
    (all threads wait for each other)
    by weights: the gradient of every layer, fused with the step
    (all threads wait for each other)

or, where the first layer skips zeros::

    by inputs:  list what is not zero -> sums of the first layer over a thread's inputs
    (all threads wait for each other)
    by rows:    join the sums -> forward -> cost and output delta -> the deltas of the layers below
    (all threads wait for each other)
    by weights: the same, of the first layer a thread's own inputs

Batches of more than ``scratch.rows`` samples are taken in chunks of that size, every thread by itself; their gradients
add up in memory, the threads wait for each other, and one step follows.
"""

import math
from functools import cache
from typing import Any

import numpy as np

from fastnn.kernels.backward import recur
from fastnn.kernels.buffers import SHRINK, TOTAL_BATCHES, TOTAL_COST, TOTAL_SHRINK, Rows, Team
from fastnn.kernels.compile import entry, kernel, woven
from fastnn.kernels.forward import (
    activate_first,
    forward_layer,
    forward_layers,
    layer_at,
    rows_in_place,
    sums_are_finite,
    weighted_of_first,
)
from fastnn.kernels.functions import IDENTITY, activate
from fastnn.kernels.lists import Inputs, group_of, list_inputs
from fastnn.kernels.outputs import Block, activate_outputs, cost_block, cost_factor, measure, softmax_block
from fastnn.kernels.rows import gather_input, gather_target, sample_at
from fastnn.kernels.simd import lane_count, load, splat, store
from fastnn.kernels.sparse import join_sums, make_sparse_update, my_blocks, scale_weights, sum_lists
from fastnn.kernels.team import part_start, share_out, wait_for_all
from fastnn.kernels.tiles import Matrix
from fastnn.kernels.update import OPTIMIZERS, make_layer_step, make_layer_update

SMALLEST_SHRINK = 1e-3  # below it the stored weights are made smaller, before they lose range


@kernel
def gather_rows(net, data, rows):
    """Bring the rows' samples into ``work``, for a dense first layer."""
    layer = layer_at(net.layers, 0)
    for r in range(rows.first, rows.end):
        at = layer.input + r * layer.input_stride
        gather_input(data, sample_at(rows, r), layer.n_in, net.work, at)


@kernel
def gather_targets(net, data, rows):
    """Bring the rows' targets into ``work``."""
    last = layer_at(net.layers, net.layers.shape[0] - 1)
    for r in range(rows.first, rows.end):
        sample = sample_at(rows, r)
        gather_target(data, sample, last.n_out, net, r, net.scratch.targets + r * last.stride)


@woven
def forward_dense(net, data, rows):
    """All layers but the output activation."""
    first = layer_at(net.layers, 0)
    gather_rows(net, data, rows)
    inputs = Matrix(net.work, first.input + rows.first * first.input_stride, first.input_stride)
    forward_layers(net, rows.first, rows.end - rows.first, 0, inputs)


@woven
def sum_inputs(net, data, batch, scale, blocks, threads):
    """The first layer's weighted inputs, or of several threads the sums over some blocks, from lists made here."""
    first = layer_at(net.layers, 0)
    list_inputs(data, batch, first, net, blocks)
    sum_lists(first, net, batch.end, group_of(data), scale, blocks, threads)


@woven
def forward_summed(net, rows):
    """The rest of the forward pass."""
    first = layer_at(net.layers, 0)
    activate_first(first, net, rows)
    hidden = Matrix(net.work, first.output + rows.first * first.stride, first.stride)
    forward_layers(net, rows.first, rows.end - rows.first, 1, hidden)


@woven
def forward_alone(net, data, rows, scale):
    """All layers but the output activation, for one thread."""
    if data.blocks > 0:
        # A plain 1 has a type of its own, for which Numba would compile the kernel once more.
        sum_inputs(net, data, rows, scale, Inputs(0, net.lists.blocks), np.int64(1))
        forward_summed(net, rows)
    else:
        forward_dense(net, data, rows)


@woven
def forward_together(net, data, batch, rows, scale, team):
    """The same for a thread of several: its blocks of inputs of the whole batch, then its rows of the sums.

    Returns False if the team was called off.
    """
    sum_inputs(net, data, batch, scale, my_blocks(net.lists, team), team.size)
    together = wait_for_all(team)
    join_sums(layer_at(net.layers, 0), net, rows, scale)
    forward_summed(net, rows)
    return together


@kernel
def sum_costs(net, samples, member, threads):
    """The batch's cost, added up in the order of its samples, of which every thread has measured some."""
    share, total = share_out(samples, threads), 0.0
    for other in range(threads):
        place = net.scratch.costs + (other - member) * net.scratch.rows_size
        for r in range(part_start(share, other), part_start(share, other + 1)):
            total += np.float64(net.work[np.uint64(place + r)])
    return total * cost_factor(net.cost)


@woven
def batch_at(order, start, samples):
    """The samples ``order[start:start + samples]``, as far as there are any."""
    return Rows(order, start, 0, max(0, min(samples, order.size - start)))


@woven
def my_rows(order, start, samples, team):
    """The thread's share of the samples ``order[start:start + samples]``; none past the end of the order."""
    here = max(0, min(samples, order.size - start))
    share = share_out(here, team.size)
    return Rows(order, start, part_start(share, team.member), part_start(share, team.member + 1))


@kernel
def pass_over(net, data, order, start, samples, scale, stepper, team, totals):
    """Everything that goes sample by sample: forward, cost, and the deltas of all layers; returns the summed cost.

    Every thread takes some rows. The cost of a team that was called off is NaN.
    """
    rows = my_rows(order, start, samples, team)
    if team.size == 1 or data.blocks == 0:
        forward_alone(net, data, rows, stepper.hyper[SHRINK])
    elif not forward_together(net, data, batch_at(order, start, samples), rows, stepper.hyper[SHRINK], team):
        return np.nan
    gather_targets(net, data, rows)
    measure(net, data, samples, rows, scale, totals)
    for index in range(net.layers.shape[0] - 1, 0, -1):
        layer, below = layer_at(net.layers, index), layer_at(net.layers, index - 1)
        recur(layer, below, net, rows.first, rows.end - rows.first)
    if not wait_for_all(team):
        return np.nan
    return sum_costs(net, samples, team.member, team.size)


@cache
def make_update(optimizer_name: str) -> Any:
    """The kernel ``(net, data, target, samples, stepper, ahead, team)`` that steps all layers, or adds to a buffer.

    ``ahead`` are the rows of the next batch. Where each thread gathers rows of its own, it fetches those.
    """
    optimizer = OPTIMIZERS[optimizer_name]
    update_layer = make_layer_update(optimizer)
    update_by_blocks, descent = make_sparse_update(optimizer, False), optimizer_name == "sgd"
    update_in_place = make_sparse_update(optimizer, True) if descent else update_by_blocks

    @woven
    def update(net, data, target, samples, stepper, ahead, team):
        none, first = Rows(ahead.order, 0, 0, 0), layer_at(net.layers, 0)
        for index in range(net.layers.shape[0] - 1, 0, -1):
            update_layer(layer_at(net.layers, index), net, target, samples, stepper, data, none, team)
        if data.blocks == 0:
            mine = my_rows(ahead.order, ahead.start, ahead.end, team)
            update_layer(first, net, target, samples, stepper, data, mine, team)
        elif descent and stepper.hyper[1] == 0:
            update_in_place(first, net, data, target, samples, stepper, ahead, team)
        else:
            update_by_blocks(first, net, data, target, samples, stepper, ahead, team)

    return update


# Gradient descent on a buffer of gradients, with scale 1 and without penalties, adds the gradient to it.
add_gradient = make_update("sgd")


@woven
def accumulate_gradient(net, data, order, first, samples, scale, stepper, team, totals):
    """Set ``stepper.gradient`` to ``scale`` times the gradient, summed over the samples; returns their cost.

    The samples are cut into chunks that fit into ``work``, and the chunks into as many parts as there are buffers. Of
    these a thread takes some for itself, with a ``work`` of its own: which sample goes to which buffer does not depend
    on the number of threads.
    """
    size, chunk = net.params.size, net.scratch.rows
    parts = stepper.gradient.size // size
    chunks = share_out((samples + chunk - 1) // chunk, parts)
    mine = share_out(parts, team.size)
    alone = Team(0, 1, team.sync, team.costs)
    stepper.hyper[1:3] = 0
    first_part, end_part = part_start(mine, team.member), part_start(mine, team.member + 1)
    my_first = first + part_start(chunks, first_part) * chunk
    my_end = first + min(samples, part_start(chunks, end_part) * chunk)
    for part in range(first_part, end_part):
        buffer = stepper.gradient[part * size : (part + 1) * size]
        buffer[:] = 0  # by the thread that will add to it: what another one has written comes from afar
        end = first + min(samples, part_start(chunks, part + 1) * chunk)
        cost = 0.0
        for start in range(first + part_start(chunks, part) * chunk, end, chunk):
            rows = min(chunk, end - start)
            cost += pass_over(net, data, order, start, rows, scale, stepper, alone, totals)
            following = start + rows if start + rows < my_end else my_first + samples  # in the next batch
            add_gradient(net, data, buffer, rows, stepper, batch_at(order, following, chunk), alone)
        team.costs[np.uint64(part)] = cost
    if not wait_for_all(team):
        return np.nan
    total = 0.0
    for part in range(parts):
        total += team.costs[np.uint64(part)]
    return total


@kernel
def write_out_shrink(net, stepper, team):
    """Make the first layer's weights what they stand for, see ``run``."""
    if stepper.hyper[SHRINK] != 1:
        wait_for_all(team)
        if team.member == 0:
            scale_weights(layer_at(net.layers, 0), net.params, stepper.hyper[SHRINK])
        stepper.hyper[SHRINK] = 1
        wait_for_all(team)


@cache
def run_batches(optimizer_name: str) -> Any:
    """The entry ``(net, data, batches, stepper, team, totals)`` that trains on a stretch of batches of one epoch.

    It stops before the step of a batch whose cost is not finite: ``totals[TOTAL_BATCHES]`` counts completed ones. Every
    thread of the team calls it, with ``totals`` of its own, and a ``net`` and a ``stepper`` with scratch of its own.
    """
    prepare = OPTIMIZERS[optimizer_name].prepare
    update = make_update(optimizer_name)
    step_layer = make_layer_step(OPTIMIZERS[optimizer_name])
    descent = optimizer_name == "sgd"

    @kernel
    def prepare_step(stepper, step):
        prepare(stepper.settings, step, stepper.hyper)
        stepper.hyper[1] = stepper.hyper[0] * stepper.l1
        stepper.hyper[2] = stepper.hyper[0] * stepper.l2

    @woven
    def run_small(net, data, order, first, samples, stepper, team, totals):
        cost = pass_over(net, data, order, first, samples, stepper.hyper[0] / samples, stepper, team, totals)
        if math.isfinite(cost):
            if descent and data.blocks > 0 and stepper.hyper[1] == 0:
                stepper.hyper[SHRINK] *= 1 + stepper.hyper[2]
                if abs(stepper.hyper[SHRINK]) < SMALLEST_SHRINK:
                    write_out_shrink(net, stepper, team)
            update(net, data, net.params, samples, stepper, batch_at(order, first + samples, samples), team)
        # Threads that own blocks of inputs need not wait here: whatever another one may still be reading or stepping
        # is next touched only after all have met to join their sums.
        if data.blocks == 0 and not wait_for_all(team):
            return np.nan
        return cost

    @woven
    def run_large(net, data, order, first, samples, step, stepper, team, totals):
        scale = stepper.hyper[0] / samples
        cost = accumulate_gradient(net, data, order, first, samples, scale, stepper, team, totals)
        if math.isfinite(cost):
            prepare_step(stepper, step)
            for index in range(net.layers.shape[0]):
                step_layer(layer_at(net.layers, index), net.params, stepper, team)
        if not wait_for_all(team):
            return np.nan
        return cost

    @entry(f"run_batches_{optimizer_name}")
    def run(net, data, batches, stepper, team, totals):
        # Under plain gradient descent l2 shrinks every weight in every step, also those that no sample touches. A
        # sparse first layer keeps W / shrink instead of W, so that shrinking all of it is one multiplication. It is
        # undone at the end of an epoch, not of a call: how long a call is must not show in the bits.
        stepper.hyper[SHRINK] = stepper.shrink
        for batch in range(batches.first, batches.last):
            first = batch * batches.size
            samples = min(batches.size, batches.order.size - first)
            step = stepper.step + batch - batches.first + 1
            prepare_step(stepper, step)
            if batches.size <= net.scratch.rows:
                cost = run_small(net, data, batches.order, first, samples, stepper, team, totals)
            else:
                cost = run_large(net, data, batches.order, first, samples, step, stepper, team, totals)
            if not math.isfinite(cost):
                return
            totals[TOTAL_COST] += cost
            totals[TOTAL_BATCHES] += 1
        if batches.last * batches.size >= batches.order.size:
            write_out_shrink(net, stepper, team)
        totals[TOTAL_SHRINK] = stepper.hyper[SHRINK]

    return run


@entry("gradient")
def gradient(net, data, batches, stepper, team, totals):
    """Set ``stepper.gradient`` to the mean gradient of one batch of ``batches.size`` samples."""
    scale = stepper.hyper.dtype.type(1) / batches.size
    stepper.hyper[SHRINK] = 1
    accumulate_gradient(net, data, batches.order, 0, batches.size, scale, stepper, team, totals)


@entry("evaluate")
def evaluate(net, data, order, first, end, totals):
    """Add up cost and hits of samples ``order[first:end]``."""
    one = net.work.dtype.type(1)
    for start in range(first, end, net.scratch.rows):
        samples = min(net.scratch.rows, end - start)
        rows = Rows(order, start, 0, samples)
        forward_alone(net, data, rows, one)
        gather_targets(net, data, rows)
        measure(net, data, samples, rows, one, totals)
        totals[TOTAL_COST] += sum_costs(net, samples, np.int64(0), np.int64(1))


@kernel
def predict_rows(net, data, first, samples, out):
    """Outputs of ``samples`` samples (at most ``scratch.rows``) from ``first`` on into ``out`` (n, n_out).

    Returns whether the weighted inputs of the first layer are finite, see ``sums_are_finite``.
    """
    rows, below = Rows(data.starts[:0], first, 0, samples), layer_at(net.layers, 0)
    if data.blocks > 0:
        sum_inputs(net, data, rows, net.work.dtype.type(1), Inputs(0, net.lists.blocks), np.int64(1))
    else:
        sums = Matrix(net.work, weighted_of_first(below, net), below.stride)
        forward_layer(below, IDENTITY, net.params, rows_in_place(net, data, first, samples), sums, samples)
    finite = sums_are_finite(below, net, samples)
    forward_summed(net, rows)
    last = layer_at(net.layers, net.layers.shape[0] - 1)
    weighted = Matrix(net.work, net.scratch.weighted, last.stride)
    outputs = Matrix(net.work, last.output, last.stride)
    activate_outputs(last, weighted, outputs, samples, net.scratch.turned)
    for r in range(samples):
        for j in range(last.n_out):
            out[np.uint64(first + r), np.uint64(j)] = net.work[np.uint64(outputs.at + r * last.stride + j)]
    return finite


@entry("predict")
def predict(net, data, first, end, out):
    """Outputs of samples ``first`` to ``end`` into ``out`` (n, n_out); False if some of them may not be finite."""
    finite = True
    for start in range(first, end, net.scratch.rows):
        finite &= predict_rows(net, data, start, min(net.scratch.rows, end - start), out)
    return finite


@entry("apply_activation")
def apply_activation(code, z):
    """``z = f(z)`` for a flat buffer of whole registers."""
    for i in range(0, z.size, lane_count(z)):
        store(z, i, activate(code, load(z, i)))


@entry("apply_softmax")
def apply_softmax(z, n):
    """Softmax of every sample, in place; ``z`` holds blocks of (n, lanes)."""
    for at in range(0, z.size, n * lane_count(z)):
        softmax_block(z, at, n)


@entry("apply_cost")
def apply_cost(cost, activation, work, n, out):
    """Cost of every sample into ``out``; ``work`` holds blocks of (3, n, lanes): z, t, and room."""
    lanes = lane_count(work)
    for first in range(0, out.size, lanes):
        at = first * 3 * n
        block = Block(work, at, at + n * lanes, n)
        costs = cost_block(cost, activation, block, splat(work, 1))
        store(work, block.t, costs)
        for s in range(min(lanes, out.size - first)):
            out[np.uint64(first + s)] = np.float64(work[np.uint64(block.t + s)]) * cost_factor(cost)
