"""The output layer after its matrix product: activation, cost, hits and delta, a register's lanes of samples at a time.

A block is turned: outputs down, samples across, ``(n, lanes)``. Sums and maxima over the outputs of a sample are then
plain arithmetic on vectors, no lane waits for another, and a network of two outputs fills its registers.
"""

from typing import Any, NamedTuple

import numpy as np

from fastnn.kernels.backward import transpose_block, turn_quarter, turn_quarter_back
from fastnn.kernels.buffers import TOTAL_HITS
from fastnn.kernels.compile import kernel, woven
from fastnn.kernels.elementary import count_from, exp_difference, if_equal, if_larger, keep_first, log1p
from fastnn.kernels.formula_parts import activate, output_units
from fastnn.kernels.pointers import moved
from fastnn.kernels.rows import gather_target, sample_at
from fastnn.kernels.simd import lane_count, lane_sum, load, lowest_number, splat, store
from fastnn.kernels.tiles import Matrix


class Block(NamedTuple):
    """Samples in lanes; offsets in ``work``."""

    work: Any
    z: int  # (n, lanes): the weighted inputs, which become the outputs and then the deltas
    t: int  # (n, lanes): the targets
    n: int


@woven
def delta_at(block):
    """Where the deltas of a block lie: behind its targets, whole squares each."""
    return block.t + (block.t - block.z)


@kernel
def turn_in(work, source, n, block):
    """``block[j, s] = source[s, j]`` for a register's lanes of samples; rows past the last one hold rubbish."""
    lanes = lane_count(work)
    if 4 * n <= lanes:
        turn_quarter(source, Matrix(work, block, lanes))
    else:
        for j in range(0, n, lanes):
            transpose_block(Matrix(work, source.at + j, source.stride), Matrix(work, block + j * lanes, lanes))


@kernel
def turn_out(work, block, n, target, samples):
    """``target[s, j] = block[j, s]`` for the first ``samples``, zero in the padding of a row. Spoils the block."""
    lanes = lane_count(work)
    zero, few = splat(work, 0), 4 * n <= lanes
    for j in range(n, n + -n % (lanes // 4 if few else lanes)):
        store(work, block + j * lanes, zero)
    for j in range(0, n, lanes):
        square = Matrix(work, block + j * lanes, lanes)
        if few:
            turn_quarter_back(square, square)
        else:
            transpose_block(square, square)
        for s in range(samples):
            store(work, target.at + s * target.stride + j, load(work, square.at + s * lanes))


@kernel
def turn_in_targets(net, data, first, block):
    """The targets of samples ``first`` and on; labels become one-hot."""
    work, lanes = net.work, lane_count(net.work)
    if not data.labels:
        last = net.layers[net.depth - 1]
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
def classes_said(block, cut):
    """The class that the outputs of every lane's sample name; a single output is cut."""
    work = block.work
    if block.n == 1:
        return if_larger(load(work, block.z), splat(work, cut), splat(work, 1), splat(work, 0))
    return largest_of(work, block.z, block.n)[1]


@kernel
def classes_meant(net, data, first, block):
    """The class that the labels or targets of the samples from ``first`` on name; a single one is cut at half."""
    work = block.work
    if data.labels:
        return load(work, net.scratch.labels + first)
    if block.n == 1:
        return if_larger(load(work, block.t), splat(work, 0.5), splat(work, 1), splat(work, 0))
    return largest_of(work, block.t, block.n)[1]


@kernel
def softmax_block(work, z, logarithms, n):
    """``z = exp(z - max z) / sum``, and its logarithm beside it, right where a unit takes nearly all; n registers."""
    lanes = lane_count(work)
    zero, lowest = splat(work, 0), lowest_number(work)
    largest, top = largest_of(work, z, n)
    others = zero  # the sum without its largest term, which is 1
    for j in range(0, n * lanes, lanes):
        below = load(work, z + j)
        e = exp_difference(below, largest)
        gap = below - largest
        store(work, logarithms + j, if_larger(gap, lowest, gap, lowest))
        store(work, z + j, e)
        others = others + if_equal(top, splat(work, j // lanes), zero, e)
    scale, log_sum = splat(work, 1) / (others + splat(work, 1)), log1p(others)
    for j in range(0, n * lanes, lanes):
        store(work, logarithms + j, load(work, logarithms + j) - log_sum)
        store(work, z + j, load(work, z + j) * scale)


@kernel
def cost_beyond_range(block):
    """``sum_j t_j (largest - z_j)`` as far as those gaps are beyond the dtype's range, where costs of log a are linear.

    Halves, because a gap itself would be infinite.
    """
    work, lanes = block.work, lane_count(block.work)
    zero, half, lowest = splat(work, 0), splat(work, 0.5), lowest_number(work) * splat(work, 0.5)
    largest = smallest = load(work, block.z)
    for j in range(lanes, block.n * lanes, lanes):
        z = load(work, block.z + j)
        largest, smallest = if_larger(z, largest, z, largest), if_larger(smallest, z, z, smallest)
    beyond = zero
    if lane_sum(if_larger(lowest, (smallest - largest) * half, splat(work, 1), zero)) > 0:
        for j in range(0, block.n * lanes, lanes):
            gap = largest * half - load(work, block.z + j) * half + lowest
            beyond = beyond + if_larger(gap, zero, load(work, block.t + j) * gap, zero)
    return beyond + beyond


@kernel
def cost_block(net, block, factor):
    """Costs of the samples; z becomes the outputs, t stays, ``factor * dC/dZ`` goes to the n vectors behind t.

    Where the outputs are one distribution, the cost is one of ``l = log a``, and ``dC/dz_j = u_j - a_j sum_k u_k``
    with ``u = dC/dl``.
    """
    work, lanes, n, d = block.work, lane_count(block.work), block.n, delta_at(block)
    zero = total = splat(work, 0)
    if net.softmax:
        total = cost_beyond_range(block)
        softmax_block(work, block.z, d, n)
    places = moved(work, block.z), moved(work, block.t), moved(work, d)
    total = output_units(net.code.unit, n, lanes, *places, net.unit_constants, factor, total)
    if net.softmax:
        u = zero
        for j in range(0, n * lanes, lanes):
            u = u + load(work, d + j)
        for j in range(0, n * lanes, lanes):
            store(work, d + j, load(work, d + j) - load(work, block.z + j) * u)
    return total


@kernel
def hits_in_row(work, outputs, targets, n, cut):
    """1 if outputs and targets of one sample name the same class, else 0; a single output is cut at one half."""
    said = meant = 0
    if n == 1:
        said, meant = int(work[outputs] > cut), int(work[targets] > 0.5)
    for j in range(1, n):
        said = j if work[outputs + j] > work[outputs + said] else said
        meant = j if work[targets + j] > work[targets + meant] else meant
    return int(said == meant)


@kernel
def measure_row(net, data, r, scale, totals):
    """The same as ``measure_blocks`` for one sample, whose outputs lie in lanes as they are: nothing is to be turned.

    Not for softmax, whose sums would have to go across the lanes.
    """
    work, lanes = net.work, lane_count(net.work)
    last = net.layers[net.depth - 1]
    n = last.n_out
    outputs, targets = net.scratch.weighted + r * last.stride, net.scratch.targets + r * last.stride
    one, zero = splat(work, 1), splat(work, 0)
    weight = one
    if data.sample_weight:
        weight = splat(work, work[net.scratch.row_weights + r])
    if data.labels:
        label = splat(work, work[net.scratch.labels + r])
        for j in range(0, n, lanes):
            store(work, targets + j, if_equal(count_from(splat(work, j)), label, one, zero))
    vectors = (n + lanes - 1) // lanes
    places = moved(work, outputs), moved(work, targets), moved(work, last.delta + r * last.stride)
    rest = n - (vectors - 1) * lanes
    factor = weight * splat(work, scale)
    cost = output_units(net.code.unit, vectors, rest, *places, net.unit_constants, factor, zero)
    work[net.scratch.costs + r] = lane_sum(cost * weight)
    if data.classify:
        totals[TOTAL_HITS] += hits_in_row(work, outputs, targets, n, net.cut)


@kernel
def measure_block(net, data, block, first, samples, scale, totals):
    """Costs and deltas of a block whose first sample is in row ``first``; adds hits to ``totals``."""
    work = block.work
    factor = splat(work, scale)
    if data.sample_weight:
        factor = factor * load(work, net.scratch.row_weights + first)
    costs = cost_block(net, block, factor)
    if data.classify:
        hit = if_equal(
            classes_said(block, net.cut), classes_meant(net, data, first, block), splat(work, 1), splat(work, 0)
        )
        totals[TOTAL_HITS] += np.int64(lane_sum(keep_first(hit, splat(work, samples), splat(work, 0))))
    if data.sample_weight:
        costs = costs * load(work, net.scratch.row_weights + first)
    store(work, net.scratch.costs + first, costs)


@kernel
def measure_blocks(net, data, first_row, end_row, scale, totals):
    """Costs and output deltas of rows, a register's lanes of samples at a time."""
    work, lanes = net.work, lane_count(net.work)
    last = net.layers[net.depth - 1]
    padded = last.n_out + -last.n_out % lanes
    block = Block(work, net.scratch.turned, net.scratch.turned + padded * lanes, last.n_out)
    for first in range(first_row, end_row, lanes):
        samples = min(lanes, end_row - first)
        turn_in(work, Matrix(work, net.scratch.weighted + first * last.stride, last.stride), block.n, block.z)
        turn_in_targets(net, data, first, block)
        measure_block(net, data, block, first, samples, scale, totals)
        deltas = Matrix(work, last.delta + first * last.stride, last.stride)
        turn_out(work, delta_at(block), block.n, deltas, samples)


@kernel
def measure(net, data, rows, samples, scale, totals):
    """Costs and output deltas ``scale * w * dC/dZ`` of some rows of a batch of ``samples``; adds hits to ``totals``."""
    last = net.layers[net.depth - 1]
    for r in range(rows.first, rows.end):
        gather_target(data, sample_at(rows, r), last.n_out, net, r, net.scratch.targets + r * last.stride)
    if samples == 1 and rows.first < rows.end and not net.softmax and not net.unit_constants:
        measure_row(net, data, rows.first, scale, totals)
    else:
        measure_blocks(net, data, rows.first, rows.end, scale, totals)


@kernel
def activate_outputs(net, samples):
    """``f(Z)`` of the first rows of the last layer; only softmax has to see whole rows."""
    work, last, lanes = net.work, net.layers[net.depth - 1], lane_count(net.work)
    weighted, block = Matrix(work, net.scratch.weighted, last.stride), net.scratch.turned
    if net.softmax:
        for first in range(0, samples, lanes):
            rows = min(lanes, samples - first)
            z = Matrix(work, weighted.at + first * last.stride, last.stride)
            turn_in(work, z, last.n_out, block)
            softmax_block(work, block, block + (last.n_out + -last.n_out % lanes) * lanes, last.n_out)
            turn_out(work, block, last.n_out, z, rows)
    elif last.activate != 0:
        activate(last.activate, samples, (last.n_out + lanes - 1) // lanes, weighted, weighted)
