"""Bringing one sample into ``work``: its inputs and its target."""

from typing import NamedTuple

from fastnn.kernels.buffers import CACHE_LINE, Rows
from fastnn.kernels.compile import inlined, kernel, woven
from fastnn.kernels.elementary import fraction
from fastnn.kernels.pointers import number
from fastnn.kernels.simd import (
    address_of,
    item_size,
    lane_count,
    load,
    load_bytes,
    load_first,
    prefetch,
    prefetch_address,
    prefetch_soon,
    splat,
    store,
)

LINE_SHIFT = 6


@inlined
def sample_at(rows, r):
    """The sample that belongs in row r."""
    return rows.order[rows.start + r] if rows.order else rows.start + r


@woven
def batch_at(order, n, start, samples):
    """The samples ``order[start:start + samples]``, as far as there are any."""
    return Rows(order, start, 0, max(0, min(samples, n - start)))


@kernel
def gather_scaled(data, source, first, end, work, at):
    """``(x - shift) * factor`` of a sample's bytes, column by column."""
    lanes = lane_count(work)
    whole = end - (end - first) % lanes
    for i in range(first, whole, lanes):
        x = load_bytes(data.pixels, source + i, work)
        store(work, at + i, (x - load(data.shift, i)) * load(data.factor, i))
    for i in range(whole, end):
        work[at + i] = (number(work, data.pixels[source + i]) - data.shift[i]) * data.factor[i]


@kernel
def gather_inputs(data, source, first, end, work, at):
    """Copy inputs ``first`` to ``end`` of the sample that begins at ``source`` to ``work[at + first:at + end]``."""
    lanes = lane_count(work)
    whole = end - (end - first) % lanes
    if data.factor:
        gather_scaled(data, source, first, end, work, at)
    elif data.pixels:
        divisor, reciprocal = splat(work, data.divisor), splat(work, 1 / data.divisor)
        for i in range(first, whole, lanes):
            store(work, at + i, fraction(load_bytes(data.pixels, source + i, work), divisor, reciprocal))
        for i in range(whole, end):
            work[at + i] = number(work, data.pixels[source + i] / data.divisor)
    else:
        for i in range(first, whole, lanes):
            store(work, at + i, load(data.features, source + i))
        if whole == first:
            for i in range(first, end):
                work[at + i] = data.features[source + i]
        elif whole < end:  # one more register, over some numbers that are there already
            store(work, at + end - lanes, load(data.features, source + end - lanes))


@kernel
def gather_input(data, sample, n_in, work, at):
    """Copy sample ``sample`` to ``work[at:at + n_in]``, bytes scaled."""
    gather_inputs(data, sample * n_in, 0, n_in, work, at)


@kernel
def fetch_label(data, sample):
    """Prefetch a sample's label and weight: each is a miss of its own, as dear as the first line of the inputs."""
    if data.labels:
        prefetch(data.labels, sample)
    if data.sample_weight:
        prefetch(data.sample_weight, sample)


@inlined
def fetch_input(data, at):
    """Prefetch the line of one number of the samples."""
    if data.pixels:
        prefetch(data.pixels, at)
    else:
        prefetch(data.features, at)


@kernel
def fetch_inputs(data, ahead, n_in, first, end):
    """Prefetch inputs ``first`` to ``end`` of the samples of the rows ``ahead``, a touch for every line begun there.

    With the first inputs come the labels, with the last ones the line they lie in: a sample's first input may be in the
    middle of one.
    """
    shift = LINE_SHIFT if data.pixels else LINE_SHIFT - 1 - item_size(data.features) // 4
    if first > 0 and end < n_in and (first - 1) >> shift == (end - 1) >> shift:
        return
    for r in range(ahead.first, ahead.end):
        sample = sample_at(ahead, r)
        if first == 0:
            fetch_label(data, sample)
        fetch_input(data, sample * n_in + first)
        if end == n_in:
            fetch_input(data, sample * n_in + end - 1)


@inlined
def fetch_input_soon(data, at):
    """The same into the nearest cache."""
    if data.pixels:
        prefetch_soon(data.pixels, at)
    else:
        prefetch_soon(data.features, at)


@kernel
def fetch_samples(net, data, rows):
    """Prefetch all of the rows' samples, which are small and needed soon, into the nearest cache."""
    line = CACHE_LINE if data.pixels else CACHE_LINE // item_size(data.features)
    n_in, n_out = net.layers[0].n_in, net.layers[net.depth - 1].n_out
    for r in range(rows.first, rows.end):
        sample = sample_at(rows, r)
        if data.labels:
            prefetch_soon(data.labels, sample)
        else:
            prefetch_soon(data.targets, sample * n_out)
        if data.sample_weight:
            prefetch_soon(data.sample_weight, sample)
        first, last = sample * n_in, (sample + 1) * n_in - 1
        fetch_input_soon(data, last)
        fetch_input_soon(data, first)
        for at in range(first + line, last, line):
            fetch_input_soon(data, at)


class Stretch(NamedTuple):
    """Cache lines one after the other."""

    address: int
    lines: int


@kernel
def fetch_places(data, rows):
    """Prefetch where the samples of some rows begin, if they are sparse or packed: ``stretch_of`` would wait for it."""
    if data.starts or data.bits:
        for r in range(rows.first, rows.end):
            if data.starts:
                prefetch(data.starts, sample_at(rows, r))
            else:
                prefetch(data.firsts, sample_at(rows, r))


@kernel
def fetch_lines(stretch, first):
    """Prefetch a stretch from line ``first`` on."""
    for line in range(first, stretch.lines):
        prefetch_address(stretch.address + line * CACHE_LINE)


@kernel
def stretch_of(data, sample, n_in, inputs):
    """Where some inputs of a sample lie, or all entries of a sparse or packed one: to be fetched, line by line.

    The rest of it is fetched here.
    """
    fetch_label(data, sample)
    start, end = sample * n_in + inputs.first, sample * n_in + inputs.end
    if data.bits:
        start, end = data.firsts[sample], data.firsts[sample + 1]
    if data.starts:
        start, end = data.starts[sample], data.starts[sample + 1]
        for i in range(start, end, CACHE_LINE // 4):
            prefetch(data.columns, i)
        prefetch(data.columns, end - 1)
    if data.pixels:
        address, past = address_of(data.pixels, start), address_of(data.pixels, end)
    else:
        address, past = address_of(data.features, start), address_of(data.features, end)
    line = address & -CACHE_LINE  # NumPy's arrays begin in the middle of one
    return Stretch(line, (past - line + CACHE_LINE - 1) // CACHE_LINE)


@kernel
def gather_target(data, sample, n_out, net, row, at):
    """Bring in a sample's label, or its targets to ``work[at:at + n_out]``, and its weight if samples have one."""
    if data.labels:
        net.work[net.scratch.labels + row] = number(net.work, data.labels[sample])
    else:
        for j in range(0, n_out, lane_count(net.work)):
            store(net.work, at + j, load_first(data.targets, sample * n_out + j, n_out - j))
    if data.sample_weight:
        net.work[net.scratch.row_weights + row] = data.sample_weight[sample]
