"""The entries that Python calls: many batches of an epoch in one call, a gradient, an evaluation, a prediction.

One pass over a batch::

    gather -> forward, layer by layer -> cost and output delta -> for each layer from the last:
        the delta below it (from the weights as they are), then its weights' gradient fused with the step

A batch of more samples than ``scratch.rows`` is taken in chunks of that size, in order; their gradients add up in
memory and one step follows.
"""

import math
from functools import cache
from typing import Any

import numpy as np

from fastnn.kernels.backward import recur
from fastnn.kernels.buffers import TOTAL_BATCHES, TOTAL_COST, TOTAL_HITS, Ahead
from fastnn.kernels.compile import entry, kernel, woven
from fastnn.kernels.forward import forward_layers, layer_at, predict_rows
from fastnn.kernels.functions import IDENTITY, activate
from fastnn.kernels.rows import (
    cost_row,
    delta_row,
    gather_input,
    gather_target,
    is_hit,
    output_row,
    softmax_row,
)
from fastnn.kernels.simd import lane_count, load, store
from fastnn.kernels.sparse import add_sparse, forward_sparse, gather_nonzero, scale_weights
from fastnn.kernels.tiles import Matrix
from fastnn.kernels.update import OPTIMIZERS, make_layer_step, make_layer_update

SHRINK = 15  # place in ``stepper.hyper`` of the factor between a sparse first layer's weights and what is stored
SMALLEST_SHRINK = 1e-3  # below it the stored weights are made smaller, before they lose range


@kernel
def gather(net, data, order, first, rows):
    """Bring samples ``order[first:first + rows]`` and their targets into ``work``."""
    layer = layer_at(net.layers, 0)
    last = layer_at(net.layers, net.layers.shape[0] - 1)
    for r in range(rows):
        sample = order[np.uint64(first + r)]
        at = layer.input + r * layer.input_stride
        if data.sparse:
            gather_nonzero(data, sample, layer.n_in, net, r, at)
        else:
            gather_input(data, sample, layer.n_in, net.work, at)
        gather_target(data, sample, last.n_out, net.work, net.scratch.targets + r * last.stride)


@kernel
def write_out_shrink(net, stepper):
    """Make the first layer's weights what they stand for, see ``run``."""
    if stepper.hyper[SHRINK] != 1:
        scale_weights(layer_at(net.layers, 0), net.params, stepper.hyper[SHRINK])
        stepper.hyper[SHRINK] = 1


@woven
def forward_batch(net, data, rows, scale):
    """All layers but the output activation, the first one from lists if the data are sparse."""
    first = layer_at(net.layers, 0)
    if data.sparse:
        only = net.layers.shape[0] == 1
        forward_sparse(first, IDENTITY if only else first.activation, net, rows, scale)
        forward_layers(net, rows, 1, Matrix(net.work, first.output, first.stride))
    else:
        forward_layers(net, rows, 0, Matrix(net.work, first.input, first.input_stride))


@kernel
def measure(net, data, order, first, rows, totals):
    """Outputs, cost and hits of the rows in ``work``; adds to ``totals`` and returns the summed cost."""
    last = layer_at(net.layers, net.layers.shape[0] - 1)
    total = 0.0
    for r in range(rows):
        z = net.scratch.weighted + r * last.stride
        a = last.output + r * last.stride
        t = net.scratch.targets + r * last.stride
        log_sum = output_row(last.activation, net.work, z, a, last.n_out)
        cost = cost_row(net.cost, net.work, z, a, t, last.n_out, log_sum)
        if data.sample_weight.size:
            cost *= data.sample_weight[np.uint64(order[np.uint64(first + r)])]
        total += cost
        if data.classify and is_hit(net.work, a, t, last.n_out):
            totals[TOTAL_HITS] += 1
    totals[TOTAL_COST] += total
    return total


@kernel
def output_delta(net, data, order, first, rows, scale):
    """``scale * w * dC/dZ`` of the output layer for every row."""
    last = layer_at(net.layers, net.layers.shape[0] - 1)
    for r in range(rows):
        a = last.output + r * last.stride
        t = net.scratch.targets + r * last.stride
        weight = scale
        if data.sample_weight.size:
            weight = scale * data.sample_weight[np.uint64(order[np.uint64(first + r)])]
        delta = last.delta + r * last.stride
        delta_row(net.cost, last.activation, net.work, a, t, delta, last.n_out, weight)


@cache
def make_backward(optimizer_name: str) -> Any:
    """The kernel ``(net, target, rows, stepper, shrink, ahead)``: recursion and update, from the last layer down.

    A sparse first layer adds its gradient to the weights directly under plain gradient descent, where no step is left
    over; under other optimizers to ``stepper.gradient``, and a step follows. ``shrink`` is explained in ``run``.
    """
    update_layer = make_layer_update(OPTIMIZERS[optimizer_name])
    step_layer = make_layer_step(OPTIMIZERS[optimizer_name])
    in_place = optimizer_name == "sgd"

    @woven
    def backward(net, target, rows, stepper, shrink, ahead):
        for index in range(net.layers.shape[0] - 1, -1, -1):
            layer = layer_at(net.layers, index)
            if index > 0:
                recur(layer, layer_at(net.layers, index - 1), net, rows)
            if index == 0 and ahead.data.sparse:
                if in_place:
                    add_sparse(layer, net, target, rows, 1 / shrink, ahead)
                else:
                    stepper.gradient[:] = 0
                    add_sparse(layer, net, stepper.gradient, rows, 1 / shrink, ahead)
                    step_layer(layer, net.params, stepper.gradient, stepper.state, stepper.hyper)
            else:
                wanted = ahead if index == 0 else Ahead(ahead.data, ahead.order, 0, 0)
                update_layer(layer, target, net.work, net.scratch, rows, stepper.state, stepper.hyper, wanted)

    return backward


# Gradient descent on a buffer of gradients with scale 1 adds the gradient to it.
add_gradient = make_backward("sgd")


@woven
def accumulate_gradient(net, data, order, first, samples, scale, stepper, totals):
    """Add ``scale`` times the gradient, summed over the samples, to ``stepper.gradient``; returns their cost."""
    total = 0.0
    one = net.work.dtype.type(1)
    stepper.hyper[1:3] = 0
    for start in range(first, first + samples, net.scratch.rows):
        rows = min(net.scratch.rows, first + samples - start)
        gather(net, data, order, start, rows)
        forward_batch(net, data, rows, one)
        total += measure(net, data, order, start, rows, totals)
        output_delta(net, data, order, start, rows, scale)
        end = start + rows
        ahead = Ahead(data, order, end, min(net.scratch.rows, order.size - end))
        add_gradient(net, stepper.gradient, rows, stepper, one, ahead)
    return total


@cache
def run_batches(optimizer_name: str) -> Any:
    """The entry ``(net, data, batches, stepper, totals)`` that trains on a stretch of batches of one epoch.

    It stops before the step of a batch whose cost is not finite: ``totals[TOTAL_BATCHES]`` counts completed ones.
    """
    optimizer = OPTIMIZERS[optimizer_name]
    prepare = optimizer.prepare
    backward = make_backward(optimizer_name)
    step_layer = make_layer_step(optimizer)
    in_place = optimizer_name == "sgd"

    @kernel
    def prepare_step(stepper, step):
        prepare(stepper.settings, step, stepper.hyper)
        stepper.hyper[1] = stepper.hyper[0] * stepper.l1
        stepper.hyper[2] = stepper.hyper[0] * stepper.l2

    @woven
    def run_small(net, data, order, first, samples, stepper, totals):
        gather(net, data, order, first, samples)
        forward_batch(net, data, samples, stepper.hyper[SHRINK])
        cost = measure(net, data, order, first, samples, totals)
        if math.isfinite(cost):
            output_delta(net, data, order, first, samples, stepper.hyper[0] / samples)
            end = first + samples
            ahead = Ahead(data, order, end, min(samples, order.size - end))
            if in_place and data.sparse:
                stepper.hyper[SHRINK] *= 1 + stepper.hyper[2]
                if abs(stepper.hyper[SHRINK]) < SMALLEST_SHRINK:
                    write_out_shrink(net, stepper)
            backward(net, net.params, samples, stepper, stepper.hyper[SHRINK], ahead)
        return cost

    @woven
    def run_large(net, data, order, first, samples, step, stepper, totals):
        stepper.gradient[:] = 0
        scale = stepper.hyper[0] / samples
        cost = accumulate_gradient(net, data, order, first, samples, scale, stepper, totals)
        if math.isfinite(cost):
            prepare_step(stepper, step)
            for index in range(net.layers.shape[0]):
                layer = layer_at(net.layers, index)
                step_layer(layer, net.params, stepper.gradient, stepper.state, stepper.hyper)
        return cost

    @entry(f"run_batches_{optimizer_name}")
    def run(net, data, batches, stepper, totals):
        # Under plain gradient descent l2 shrinks every weight in every step, also those that no sample touches. A
        # sparse first layer keeps W / shrink instead of W, so that shrinking all of it is one multiplication.
        stepper.hyper[SHRINK] = 1
        for batch in range(batches.first, batches.last):
            first = batch * batches.size
            samples = min(batches.size, batches.order.size - first)
            step = stepper.step + batch - batches.first + 1
            prepare_step(stepper, step)
            if samples <= net.scratch.rows:
                cost = run_small(net, data, batches.order, first, samples, stepper, totals)
            else:
                cost = run_large(net, data, batches.order, first, samples, step, stepper, totals)
            if not math.isfinite(cost):
                return
            totals[TOTAL_BATCHES] += 1
        write_out_shrink(net, stepper)

    return run


@entry("gradient")
def gradient(net, data, batches, stepper, totals):
    """Add the mean gradient of one batch of ``batches.size`` samples to ``stepper.gradient``."""
    scale = stepper.hyper.dtype.type(1) / batches.size
    accumulate_gradient(net, data, batches.order, 0, batches.size, scale, stepper, totals)


@entry("evaluate")
def evaluate(net, data, order, first, end, totals):
    """Add up cost and hits of samples ``order[first:end]``."""
    for start in range(first, end, net.scratch.rows):
        rows = min(net.scratch.rows, end - start)
        gather(net, data, order, start, rows)
        forward_batch(net, data, rows, net.work.dtype.type(1))
        measure(net, data, order, start, rows, totals)


@entry("predict")
def predict(net, data, first, end, out):
    """Outputs of samples ``first`` to ``end`` into ``out`` (n, n_out)."""
    for start in range(first, end, net.scratch.rows):
        predict_rows(net, data, start, min(start + net.scratch.rows, end), out)


@entry("apply_activation")
def apply_activation(code, z):
    """``z = f(z)`` for a flat buffer of whole registers."""
    for i in range(0, z.size, lane_count(z)):
        store(z, i, activate(code, load(z, i)))


@entry("apply_softmax")
def apply_softmax(z, n, stride):
    """Softmax of every row of ``n`` numbers, in place; rows start ``stride`` apart."""
    for at in range(0, z.size, stride):
        softmax_row(z, at, at, n)


@entry("apply_cost")
def apply_cost(cost, activation, work, rows, n, stride, out):
    """Cost of every row into ``out``; ``work`` holds Z, room for A, and T, each (rows, stride)."""
    a, t = rows * stride, 2 * rows * stride
    for r in range(rows):
        at = r * stride
        log_sum = output_row(activation, work, at, a + at, n)
        out[np.uint64(r)] = cost_row(cost, work, at, a + at, t + at, n, log_sum)
