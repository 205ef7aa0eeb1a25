"""The output layer after its matrix product: activation, cost, hits and delta, a register's lanes of samples at a time.

A block is turned: outputs down, samples across, ``(n, lanes)``. Sums and maxima over the outputs of a sample are then
plain arithmetic on vectors, no lane waits for another, and a network of two outputs fills its registers.
"""

from typing import Any, NamedTuple

import numpy as np

from fastnn.kernels.backward import transpose_block
from fastnn.kernels.buffers import TOTAL_HITS
from fastnn.kernels.compile import kernel, woven
from fastnn.kernels.forward import layer_at
from fastnn.kernels.functions import (
    FIRST_CANONICAL,
    LOG_LIKELIHOOD,
    PLAIN_ACTIVATIONS,
    SOFTMAX,
    activate,
    count_from,
    exp_difference,
    if_equal,
    if_larger,
    keep_first,
    log1p,
    output_unit,
)
from fastnn.kernels.simd import lane_count, lane_sum, load, splat, store
from fastnn.kernels.tiles import Matrix


class Block(NamedTuple):
    """Samples in lanes; offsets in ``work``."""

    work: Any
    z: int  # (n, lanes): the weighted inputs, which become the outputs and then the deltas
    t: int  # (n, lanes): the targets
    n: int


@woven
def unit_code(cost, activation):
    """Which row of ``functions.OUTPUT_UNITS`` a cost and an output activation are."""
    if cost < FIRST_CANONICAL:
        return cost * PLAIN_ACTIVATIONS + activation
    return FIRST_CANONICAL * PLAIN_ACTIVATIONS + cost - FIRST_CANONICAL


@woven
def delta_at(block):
    """Where the deltas of a block lie: behind its targets, whole squares each."""
    return block.t + (block.t - block.z)


@kernel
def turn_in(work, source, n, block):
    """``block[j, s] = source[s, j]`` for a register's lanes of samples; rows past the last one hold rubbish."""
    lanes = lane_count(work)
    for j in range(0, n, lanes):
        transpose_block(Matrix(work, source.at + j, source.stride), Matrix(work, block + j * lanes, lanes))


@kernel
def turn_out(work, block, n, target, samples):
    """``target[s, j] = block[j, s]`` for the first ``samples``, zero in the padding of a row. Spoils the block."""
    lanes = lane_count(work)
    zero = splat(work, 0)
    for j in range(n, n + -n % lanes):
        store(work, block + j * lanes, zero)
    for j in range(0, n, lanes):
        square = Matrix(work, block + j * lanes, lanes)
        transpose_block(square, square)
        for s in range(samples):
            store(work, target.at + s * target.stride + j, load(work, square.at + s * lanes))


@kernel
def turn_in_targets(net, data, first, block):
    """The targets of samples ``first`` and on; labels become one-hot."""
    work, lanes = net.work, lane_count(net.work)
    if data.labels.size == 0:
        last = layer_at(net.layers, net.layers.shape[0] - 1)
        turn_in(work, Matrix(work, net.scratch.targets + first * last.stride, last.stride), block.n, block.t)
        return
    labels = load(work, net.scratch.labels + first)
    for j in range(block.n):
        number = splat(work, j)
        store(work, block.t + j * lanes, if_equal(labels, number, splat(work, 1), splat(work, 0)))


@kernel
def largest_of(work, at, n):
    """The largest number of every lane, and where in ``0 ... n - 1`` it first stands."""
    lanes = lane_count(work)
    largest, place = load(work, at), splat(work, 0)
    for j in range(1, n):
        x = load(work, at + j * lanes)
        place = if_larger(x, largest, splat(work, j), place)
        largest = if_larger(x, largest, x, largest)
    return largest, place


@kernel
def count_hits(block, samples):
    """In how many samples outputs and targets name the same class; a single output is cut at one half."""
    work = block.work
    if block.n == 1:
        half, one, zero = splat(work, 0.5), splat(work, 1), splat(work, 0)
        said = if_larger(load(work, block.z), half, one, zero)
        meant = if_larger(load(work, block.t), half, one, zero)
    else:
        said = largest_of(work, block.z, block.n)[1]
        meant = largest_of(work, block.t, block.n)[1]
    hit = if_equal(said, meant, splat(work, 1), splat(work, 0))
    return np.int64(lane_sum(keep_first(hit, splat(work, samples), splat(work, 0))))


@kernel
def softmax_block(work, z, n):
    """``z = exp(z - max z) / sum``; returns log(sum), to full precision even where one unit takes nearly all."""
    lanes = lane_count(work)
    zero = splat(work, 0)
    largest, top = largest_of(work, z, n)
    others = zero  # the sum without its largest term, which is 1
    for j in range(n):
        e = exp_difference(load(work, z + j * lanes), largest)
        store(work, z + j * lanes, e)
        others = others + if_equal(top, splat(work, j), zero, e)
    scale = splat(work, 1) / (others + splat(work, 1))
    for j in range(n):
        store(work, z + j * lanes, load(work, z + j * lanes) * scale)
    return log1p(others)


@kernel
def log_likelihood_block(block):
    """Half of ``sum_j t_j (log sum exp z - z_j)``, no term of which is negative, and ``sum_j t_j``; z becomes softmax.

    Halves, because the difference itself may lie beyond the range.
    """
    work, lanes = block.work, lane_count(block.work)
    zero, half = splat(work, 0), splat(work, 0.5)
    largest = largest_of(work, block.z, block.n)[0] * half
    gaps = targets = zero
    for j in range(block.n):
        t = load(work, block.t + j * lanes)
        gap = t * (largest - load(work, block.z + j * lanes) * half)
        gaps = gaps + if_equal(t, zero, zero, gap)  # an output far below, but not asked for, must not give 0 * inf
        targets = targets + t
    return gaps + targets * half * softmax_block(work, block.z, block.n), targets


@kernel
def cost_block(cost, activation, block, factor):
    """Costs of the samples, up to ``cost_factor``; z becomes the outputs, t stays.

    ``factor * dC/dZ`` goes to the n vectors behind t.
    """
    work, lanes = block.work, lane_count(block.work)
    code = unit_code(cost, activation)
    total, share = splat(work, 0), splat(work, 1)  # softmax: dC/dz = a * sum(t) - t
    if cost == LOG_LIKELIHOOD:
        total, share = log_likelihood_block(block)
    for j in range(0, block.n * lanes, lanes):
        a, unit, slope = output_unit(code, load(work, block.z + j), load(work, block.t + j), share)
        store(work, block.z + j, a)
        total = total + unit
        store(work, delta_at(block) + j, slope * factor)
    return total


@woven
def cost_factor(cost):
    """What the costs of ``cost_block`` are to be multiplied by, in float64."""
    return 2.0 if cost == LOG_LIKELIHOOD else 1.0


@kernel
def hits_in_row(work, outputs, targets, n):
    """1 if outputs and targets of one sample name the same class, else 0; a single output is cut at one half."""
    said = meant = 0
    if n == 1:
        said, meant = int(work[np.uint64(outputs)] > 0.5), int(work[np.uint64(targets)] > 0.5)
    for j in range(1, n):
        said = j if work[np.uint64(outputs + j)] > work[np.uint64(outputs + said)] else said
        meant = j if work[np.uint64(targets + j)] > work[np.uint64(targets + meant)] else meant
    return int(said == meant)


@kernel
def measure_row(net, data, r, scale, totals):
    """The same as ``measure`` for one sample, whose outputs lie in lanes as they are: there is nothing to turn.

    Not for softmax, whose sums would have to go across the lanes.
    """
    work, lanes = net.work, lane_count(net.work)
    last = layer_at(net.layers, net.layers.shape[0] - 1)
    code, n = unit_code(net.cost, last.activation), last.n_out
    outputs, targets = net.scratch.weighted + r * last.stride, net.scratch.targets + r * last.stride
    one, zero = splat(work, 1), splat(work, 0)
    weight, cost = one, zero
    if data.sample_weight.size > 0:
        weight = splat(work, work[np.uint64(net.scratch.row_weights + r)])
    factor = weight * splat(work, scale)
    for j in range(0, n, lanes):
        rest = splat(work, n - j)
        if data.labels.size > 0:
            label = splat(work, work[np.uint64(net.scratch.labels + r)])
            store(work, targets + j, if_equal(count_from(splat(work, j)), label, one, zero))
        a, unit, slope = output_unit(code, load(work, outputs + j), load(work, targets + j), one)
        store(work, outputs + j, a)
        store(work, last.delta + r * last.stride + j, keep_first(slope * factor, rest, zero))
        cost = cost + keep_first(unit, rest, zero)
    work[np.uint64(net.scratch.costs + r)] = lane_sum(cost * weight)
    if data.classify:
        totals[TOTAL_HITS] += hits_in_row(work, outputs, targets, n)


@woven
def measure(net, data, samples, rows, scale, totals):
    """Costs and output deltas ``scale * w * dC/dZ`` of the rows; adds their hits to ``totals``."""
    if samples == 1 and rows.first < rows.end and net.cost != LOG_LIKELIHOOD:
        measure_row(net, data, rows.first, scale, totals)
    else:
        measure_blocks(net, data, rows, scale, totals)


@kernel
def measure_blocks(net, data, rows, scale, totals):
    """``measure`` for a register's lanes of samples at a time."""
    work, lanes = net.work, lane_count(net.work)
    last = layer_at(net.layers, net.layers.shape[0] - 1)
    padded = last.n_out + -last.n_out % lanes
    block = Block(work, net.scratch.turned, net.scratch.turned + padded * lanes, last.n_out)
    weighted = data.sample_weight.size > 0
    for first in range(rows.first, rows.end, lanes):
        samples = min(lanes, rows.end - first)
        turn_in(work, Matrix(work, net.scratch.weighted + first * last.stride, last.stride), block.n, block.z)
        turn_in_targets(net, data, first, block)
        factor = splat(work, scale)
        if weighted:
            factor = factor * load(work, net.scratch.row_weights + first)
        costs = cost_block(net.cost, last.activation, block, factor)
        if data.classify:
            totals[TOTAL_HITS] += count_hits(block, samples)
        if weighted:
            costs = costs * load(work, net.scratch.row_weights + first)
        store(work, net.scratch.costs + first, costs)
        deltas = Matrix(work, last.delta + first * last.stride, last.stride)
        turn_out(work, delta_at(block), block.n, deltas, samples)


@kernel
def activate_outputs(last, weighted, outputs, samples, block):
    """``f(Z)`` of some rows of the last layer; only softmax has to see whole rows."""
    work, lanes = weighted.data, lane_count(weighted.data)
    for first in range(0, samples, lanes if last.activation == SOFTMAX else 1):
        z = Matrix(work, weighted.at + first * weighted.stride, weighted.stride)
        a = Matrix(work, outputs.at + first * outputs.stride, outputs.stride)
        if last.activation == SOFTMAX:
            turn_in(work, z, last.n_out, block)
            softmax_block(work, block, last.n_out)
            turn_out(work, block, last.n_out, a, min(lanes, samples - first))
        else:
            for j in range(0, last.n_out, lanes):
                store(work, a.at + j, activate(last.activation, load(work, z.at + j)))
