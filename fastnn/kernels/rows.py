"""Work on one sample at a time: bringing it in, softmax, cost and the argmax of an output row."""

import math

import numpy as np

from fastnn.kernels.compile import kernel
from fastnn.kernels.functions import (
    COSTS,
    LOG_LIKELIHOOD,
    SOFTMAX,
    activate,
    activation_derivative,
    cost_slope,
    cost_value,
    exp_difference,
    fraction_of_255,
    keep_first,
    larger,
    one_hot,
)
from fastnn.kernels.simd import (
    first_lane_equal,
    lane_count,
    lane_max,
    lane_sum,
    load,
    load_bytes,
    prefetch,
    splat,
    store,
)

CACHE_LINE = 64
LINE_SHIFT = 6

# Costs from this code on cancel against their output activation: their slope is dC/dZ already.
FIRST_CANONICAL = [cost.canonical for cost in COSTS.values()].index(True)


@kernel
def gather_input(data, sample, n_in, work, at):
    """Copy sample ``sample`` to ``work[at:at + n_in]``, bytes turned into fractions of 255."""
    lanes = lane_count(work)
    source = sample * n_in
    whole = n_in - n_in % lanes
    if data.pixels.size:
        for i in range(0, whole, lanes):
            store(work, at + i, fraction_of_255(load_bytes(data.pixels, source + i, work)))
        for i in range(whole, n_in):
            work[np.uint64(at + i)] = data.pixels[np.uint64(source + i)] / 255
    else:
        for i in range(0, whole, lanes):
            store(work, at + i, load(data.features, source + i))
        for i in range(whole, n_in):
            work[np.uint64(at + i)] = data.features[np.uint64(source + i)]


@kernel
def fetch_inputs(data, ahead, n_in, first, end):
    """Prefetch inputs ``first`` to ``end`` of the samples of the rows ``ahead``, a touch for every line begun there."""
    shift = LINE_SHIFT if data.pixels.size else LINE_SHIFT - 1 - data.features.itemsize // 4
    if first > 0 and (first - 1) >> shift == (end - 1) >> shift:
        return
    for r in range(ahead.start + ahead.first, ahead.start + ahead.end):
        at = ahead.order[np.uint64(r)] * n_in + first
        if data.pixels.size:
            prefetch(data.pixels, at)
        else:
            prefetch(data.features, at)


@kernel
def fetch_sample(data, sample, n_in):
    """Prefetch all inputs of a sample."""
    start, end = sample * n_in, (sample + 1) * n_in
    if data.starts.size:
        start, end = data.starts[np.uint64(sample)], data.starts[np.uint64(sample + 1)]
        for i in range(start, end, CACHE_LINE // data.columns.itemsize):
            prefetch(data.columns, i)
    if data.pixels.size:
        for i in range(start, end, CACHE_LINE):
            prefetch(data.pixels, i)
    else:
        for i in range(start, end, CACHE_LINE // data.features.itemsize):
            prefetch(data.features, i)


@kernel
def gather_target(data, sample, n_out, work, at):
    """Write the target row of a sample: its targets, or its label one-hot (a single output takes the label itself)."""
    lanes = lane_count(work)
    if data.labels.size == 0:
        for j in range(n_out):
            work[np.uint64(at + j)] = data.targets[np.uint64(sample * n_out + j)]
    elif n_out == 1:
        work[np.uint64(at)] = data.labels[np.uint64(sample)]
    else:
        for j in range(0, n_out, lanes):
            store(work, at + j, one_hot(splat(work, data.labels[np.uint64(sample)] - j)))


@kernel
def row_max(work, at, n):
    """The largest of ``work[at:at + n]``."""
    lanes = lane_count(work)
    lowest = splat(work, -np.inf)
    result = lowest
    for j in range(0, n, lanes):
        result = larger(result, keep_first(load(work, at + j), splat(work, n - j), lowest))
    return lane_max(result)


@kernel
def row_argmax(work, at, n):
    """Index of the first largest of ``work[at:at + n]``."""
    lanes = lane_count(work)
    largest = splat(work, row_max(work, at, n))
    for j in range(0, n, lanes):
        lane = first_lane_equal(load(work, at + j), largest)
        if lane < lanes:
            return min(j + lane, n - 1)
    return 0  # no lane equals NaN


@kernel
def is_hit(work, output, target, n):
    """Whether an output row names the class of its target row; a single output is cut at one half."""
    if n == 1:
        return (work[np.uint64(output)] > 0.5) == (work[np.uint64(target)] > 0.5)
    return row_argmax(work, output, n) == row_argmax(work, target, n)


@kernel
def softmax_row(work, z, a, n):
    """``a = exp(z - max z) / sum``; returns log(sum), to full precision even where one unit takes nearly all."""
    lanes = lane_count(work)
    top = row_argmax(work, z, n)
    largest = splat(work, work[np.uint64(z + top)])
    zero = splat(work, 0)
    one = splat(work, 1)
    others = zero  # the sum without its largest term, which is 1
    for j in range(0, n, lanes):
        e = keep_first(exp_difference(load(work, z + j), largest), splat(work, n - j), zero)
        store(work, a + j, e)
        others = others + e * (one - one_hot(splat(work, top - j)))
    rest = lane_sum(others)
    scale = splat(work, 1 / (1 + rest))
    for j in range(0, n, lanes):
        store(work, a + j, load(work, a + j) * scale)
    return math.log1p(rest)


@kernel
def output_row(activation, work, z, a, n):
    """The output activation of one sample, from its weighted input; returns softmax's log of the sum, else 0."""
    if activation == SOFTMAX:
        return softmax_row(work, z, a, n)
    for j in range(0, n, lane_count(work)):
        store(work, a + j, activate(activation, load(work, z + j)))
    return 0.0


@kernel
def log_likelihood_row(work, z, t, n, log_sum):
    """``sum_j t_j (log sum exp z - z_j)``, a sum of terms none of which is negative."""
    largest = row_max(work, z, n)
    total = 0.0
    for j in range(n):
        target = work[np.uint64(t + j)]
        if target != 0:  # an output far below, but not asked for, must not give 0 * inf
            # Halves, because the difference itself may lie beyond the range.
            half = np.float64(largest) * 0.5 - np.float64(work[np.uint64(z + j)]) * 0.5
            total += target * log_sum + 2 * (target * half)
    return total


@kernel
def cost_row(cost, work, z, a, t, n, log_sum):
    """The cost of one sample, a float64; ``log_sum`` is what ``output_row`` returned."""
    if cost == LOG_LIKELIHOOD:
        return log_likelihood_row(work, z, t, n, log_sum)
    lanes = lane_count(work)
    zero = splat(work, 0)
    total = zero
    for j in range(0, n, lanes):
        unit = cost_value(cost, load(work, z + j), load(work, a + j), load(work, t + j))
        total = total + keep_first(unit, splat(work, n - j), zero)
    return np.float64(lane_sum(total))


@kernel
def delta_row(cost, activation, work, a, t, delta, n, scale):
    """``delta = scale * dC/dZ`` of the output layer, zero in the padding."""
    lanes = lane_count(work)
    zero = splat(work, 0)
    factor = splat(work, scale)
    share = splat(work, 1)  # softmax: dC/dz = a * sum(t) - t
    if cost == LOG_LIKELIHOOD:
        total = zero
        for j in range(0, n, lanes):
            total = total + keep_first(load(work, t + j), splat(work, n - j), zero)
        share = splat(work, lane_sum(total))
    for j in range(0, n, lanes):
        output = load(work, a + j)
        slope = cost_slope(cost, output * share, load(work, t + j))
        if cost < FIRST_CANONICAL:
            slope = slope * activation_derivative(activation, output)
        store(work, delta + j, keep_first(slope * factor, splat(work, n - j), zero))
