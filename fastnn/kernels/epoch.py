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

or, where samples lie across the registers, the same as by rows, a register's lanes of samples at a time.

Batches of more than ``scratch.rows`` samples are taken in chunks of that size, every thread by itself; their gradients
add up in memory, the threads wait for each other, and one step follows.
"""

import math
from typing import NamedTuple

import numpy as np

from fastnn.kernels.across import ROWS_AHEAD, pass_across, update_layer_across
from fastnn.kernels.backward import recur
from fastnn.kernels.buffers import (
    ALL,
    CLIP,
    FACTOR_L1,
    FACTOR_L2,
    FACTOR_NUMBERS,
    HYPER_SIZE,
    L1,
    L2,
    N_TOTALS,
    NOT_FINITE,
    SQUARES_STRIDE,
    TOTAL_BATCHES,
    TOTAL_COST,
    TOTAL_SQUARES,
    TOTAL_ZEROS,
    ZEROS,
    Batches,
    Data,
    Net,
    Rows,
    Stepper,
    Team,
)
from fastnn.kernels.compile import caller, entry, inlined, kernel, stage, woven
from fastnn.kernels.control import flush_subnormals, restore_subnormals
from fastnn.kernels.dropout import batch_key, drop_lists
from fastnn.kernels.forward import (
    bring_in,
    forward_later,
    forward_layer,
    rows_in_place,
    sums_are_finite,
    weighted_of_first,
)
from fastnn.kernels.input_scale import fold_scale, split_gradient
from fastnn.kernels.lists import Inputs, group_of, list_inputs, list_scaled
from fastnn.kernels.outputs import Block, activate_outputs, cost_block, measure, softmax_block
from fastnn.kernels.packing import list_packed, pack
from fastnn.kernels.pointers import moved, nothing, number
from fastnn.kernels.records import Float64s, Int64s, Numbers
from fastnn.kernels.rows import batch_at, fetch_places, fetch_samples
from fastnn.kernels.simd import lane_count, lane_sum, load, splat, store
from fastnn.kernels.single import call_one_sample, one_sample
from fastnn.kernels.skipping import call_update_skipping, first_skipping, pays_to_skip, update_skipping
from fastnn.kernels.sparse import (
    join_sums,
    my_blocks,
    part_of,
    scale_weights,
    sum_lists,
    tally_blocks,
    update_sparse,
)
from fastnn.kernels.team import part_start, partial_sums, share_out, wait_for_all
from fastnn.kernels.tiles import Matrix
from fastnn.kernels.update import layer_squares, limit_columns, step_layer, update_layer

PREDICT, EVALUATE, TRAIN = range(3)


class Span(NamedTuple):
    """Some pieces of a thread's share: see ``Batches.begin``."""

    begin: int
    end: int


class Trained(NamedTuple):
    """A network and its optimizer, as some layers are trained."""

    net: Net
    stepper: Stepper


SMALLEST_SHRINK = 1e-3  # below it the stored weights are made smaller, before they lose range


# --- the first layer, one way or the other: samples -> weighted inputs of rows ``first`` to ``end`` of a batch ---
# Row r holds sample ``order[start + r]``. They return 0 if the team was called off.


@stage
def first_dense(
    net: Net, data: Data, order: Int64s, start: int, samples: int, first: int, end: int, shrink: float, key: int,
    team: Team,
) -> int:  # fmt: skip
    """Bring in the rows, and multiply."""
    layer, inputs = net.layers[0], bring_in(net, data, Rows(order, start, first, end), key)
    sums = Matrix(net.work, weighted_of_first(net) + first * layer.stride, layer.stride)
    forward_layer(net, layer, inputs, sums, first, end - first, False, False)
    return 1


@stage
def drop_sparse(net: Net, data: Data, start: int, samples: int, first: int, end: int, key: int) -> None:
    """Leave out some inputs of a sparse first layer, in the blocks ``first`` to ``end``."""
    drop_lists(net, data, Rows(nothing(net.lists.counts), start, 0, samples), Inputs(first, end), key)


call_list_packed, call_drop_sparse = caller(list_packed), caller(drop_sparse)


@stage
def first_sparse(
    net: Net, data: Data, order: Int64s, start: int, samples: int, first: int, end: int, shrink: float, key: int,
    team: Team,
) -> int:  # fmt: skip
    """List what is not zero, and add up; a thread of several its blocks of inputs of the whole batch, then join."""
    blocks = Inputs(0, net.lists.blocks) if team.size == 1 else my_blocks(net.lists, team)
    batch = Rows(order, start, 0, samples)
    if data.bits:
        call_list_packed(net.code.list_packed, net, data, order, start, samples, blocks.first, blocks.end)
    else:
        list_inputs(data, batch, net.layers[0], net, blocks)
    if key != 0 and net.layers[0].dropout != 0:
        call_drop_sparse(net.code.drop_sparse, net, data, start, samples, blocks.first, blocks.end, key)
    sum_lists(net, samples, group_of(data), number(net.work, shrink), blocks, team)
    if team.size == 1:
        return 1
    partial = partial_sums(net, team)
    together = wait_for_all(team)
    join_sums(net, Rows(order, start, first, end), shrink, partial)
    return int(together)


_call_first = caller(first_dense)


@kernel
def forward_first(net, data, order, start, samples, first, end, shrink, key, team):
    """The first layer, whichever way it goes."""
    code = net.code.first_dense
    if data.blocks or data.skips:
        code = net.code.first_sparse if data.blocks else net.code.first_skipping
    return _call_first(code, net, data, order, start, samples, first, end, shrink, key, team)


@stage
def by_rows(
    net: Net, data: Data, order: Int64s, start: int, samples: int, first: int, end: int, scale: float, use: int,
    key: int, totals: Float64s,
) -> None:  # fmt: skip
    """What follows the first layer's sums, row by row, for one ``use`` or another: PREDICT, EVALUATE or TRAIN."""
    rows = end - first
    forward_later(net, first, rows, use == TRAIN, start, key)
    if use == PREDICT:
        activate_outputs(net, rows)
        return
    measure(net, data, Rows(order, start, first, end), samples, scale, totals)
    if use == TRAIN:
        for index in range(net.depth - 1, 0, -1):
            recur(net, net.layers[index], net.layers[index - 1], first, rows, samples)


call_by_rows = caller(by_rows)


@stage
def by_blocks(
    net: Net, data: Data, order: Int64s, start: int, samples: int, first: int, end: int, scale: float, use: int,
    key: int, totals: Float64s,
) -> None:  # fmt: skip
    """The first layer and what follows, where samples lie across the registers: EVALUATE or TRAIN."""
    pass_across(net, data, Rows(order, start, first, end), scale, use == TRAIN, totals)


@inlined
def grain_of(net):
    """Rows that stay together, however a batch is cut."""
    return lane_count(net.work) if net.across else 1


@inlined
def grains_in(net, rows):
    """Grains that hold so many rows; a division by what ``grain_of`` gives would take long."""
    lanes = lane_count(net.work)
    return (rows + lanes - 1) // lanes if net.across else rows


@inlined
def share_rows(net, samples, threads):
    """A batch's rows shared out over the threads, grain by grain."""
    return share_out(grains_in(net, samples), threads)


@inlined
def row_at(net, share, part, samples):
    """Where a thread's rows begin."""
    return min(samples, part_start(share, part) * grain_of(net))


@inlined
def goes_by_inputs(data):
    """Whether a thread may have some inputs of all rows, and not all inputs of some rows."""
    return data.blocks > 0 or data.skips > 1


@kernel
def sum_costs(net, samples, member, threads):
    """The batch's cost, added up in the order of its samples, of which every thread has measured some.

    Every fourth one goes to the same sum: a single one would wait for itself.
    """
    share = share_rows(net, samples, threads)
    a = b = c = d = 0.0
    for other in range(threads):
        place = net.scratch.costs + (other - member) * net.scratch.rows_size
        for r in range(row_at(net, share, other, samples), row_at(net, share, other + 1, samples)):
            a, b, c, d = b, c, d, a + np.float64(net.work[place + r])
    return (a + b) + (c + d)


@kernel
def pass_over(net, later, data, order, start, samples, scale, shrink, key, part, team, alone, totals):
    """Everything that goes sample by sample: forward, cost, and the deltas of all layers; returns the summed cost.

    Every thread takes some rows, of which this is for a ``part``, or behind the sums of the first layer all of them,
    see ``run``. The cost of a team that was called off is NaN.
    """
    sharing = alone if net.copied else team
    share, grain = share_rows(net, samples, sharing.size), grain_of(net)
    first, end = row_at(net, share, sharing.member, samples), row_at(net, share, sharing.member + 1, samples)
    begin = min(first + grains_in(net, part.begin) * grain, end)
    stop = min(first + grains_in(net, part.end) * grain, end)
    code = net.code.by_blocks if net.across else net.code.by_rows
    if not goes_by_inputs(data) and not net.across:
        forward_first(net, data, order, start, samples, begin, stop, shrink, key, team)
    fresh = goes_by_inputs(data) and part.begin == 0
    if fresh and not forward_first(net, data, order, start, samples, first, end, shrink, key, team):
        return np.nan
    call_by_rows(code, later, data, order, start, samples, begin, stop, scale, TRAIN, key, totals)
    if not wait_for_all(sharing) or part.end < ALL:
        return np.nan
    return sum_costs(net, samples, sharing.member, sharing.size)


# --- by weights ---


@stage
def update_dense(
    code: int, net: Net, data: Data, target: Numbers, samples: int, stepper: Stepper, order: Int64s, n: int,
    following: int, size: int, team: Team,
) -> None:  # fmt: skip
    """Step all layers but a first one that skips zeros, or with the code that adds, add the gradient to a buffer.

    ``following`` is where the next batch begins, whose first inputs are fetched: a thread's own rows, which it gathers.
    """
    none = Rows(order, 0, 0, 0)
    for index in range(net.depth - 1, 0, -1):
        update_layer(code, net, net.layers[index], target, samples, stepper, data, none, team)
    if not data.blocks and not data.skips:
        mine = part_of(batch_at(order, n, following, size), team.member, team.size)
        update_layer(code, net, net.layers[0], target, samples, stepper, data, mine, team)


@stage
def update_lists(
    code: int, net: Net, data: Data, target: Numbers, samples: int, stepper: Stepper, straight: int, factor: float,
    order: Int64s, n: int, following: int, size: int, team: Team,
) -> None:  # fmt: skip
    """Step a sparse first layer, see ``sparse.update_sparse``."""
    ahead = batch_at(order, n, following, size)
    fetch_places(data, batch_at(order, n, following + size, size))
    update_sparse(code, net, data, target, samples, stepper, straight, factor, ahead, team)


@stage
def update_across(
    code: int, net: Net, data: Data, target: Numbers, samples: int, stepper: Stepper, order: Int64s, n: int,
    following: int, size: int, team: Team,
) -> None:  # fmt: skip
    """The same where samples lie across the registers."""
    if data.far:
        mine = part_of(batch_at(order, n, following, size), team.member, team.size)
        fetch_samples(net, data, Rows(mine.order, mine.start, mine.first, min(mine.end, mine.first + ROWS_AHEAD)))
    for index in range(net.depth - 1, -1, -1):
        update_layer_across(code, net, net.layers[index], target, samples, stepper, team)


@inlined
def update_code(net):
    """The stage that steps all layers, or all that do not skip zeros."""
    return net.code.update_across if net.across else net.code.update


call_update = caller(update_dense)
call_update_lists = caller(update_lists)


@kernel
def clear(buffer, size):
    """``buffer[:size] = 0``; whole registers."""
    zero = splat(buffer, 0)
    for i in range(0, size, lane_count(buffer)):
        store(buffer, i, zero)


@kernel
def clip_gradient(net, stepper):
    """Add up the parts of the gradient, and scale it down if its norm is larger than allowed; l1 and l2 left out."""
    gradient, size, lanes = stepper.gradient, net.params_size, lane_count(net.params)
    squares = 0.0
    for i in range(0, size, lanes):
        total = load(gradient, i)
        for part in range(size, stepper.gradient_size, size):
            total = total + load(gradient, part + i)
            store(gradient, part + i, splat(gradient, 0))
        store(gradient, i, total)
        squares += lane_sum(total * total)
    if squares > stepper.clip_norm * stepper.clip_norm:
        factor = splat(gradient, stepper.clip_norm / math.sqrt(squares))
        for i in range(0, size, lanes):
            store(gradient, i, load(gradient, i) * factor)


@kernel
def accumulate_gradient(net, data, order, n, first, samples, key, wanted, stepper, team, alone, totals):
    """Set ``stepper.gradient`` to the mean gradient of the samples; returns their summed cost.

    The samples are cut into chunks that fit into ``work``, and the chunks into as many parts as there are buffers. Of
    these a thread takes some for itself, with a ``work`` of its own: which sample goes to which buffer does not depend
    on the number of threads. ``alone`` is a team of one. Of a thread's pieces this is for those that are ``wanted``:
    every chunk's are its rows, and behind them the one that adds its gradient.
    """
    size, chunk, scale = net.params_size, net.scratch.rows, 1.0 / samples
    parts = stepper.gradient_size // size
    chunks = share_out((samples + chunk - 1) // chunk, parts)
    mine = share_out(parts, team.size)
    first_part, end_part = part_start(mine, team.member), part_start(mine, team.member + 1)
    my_first = first + part_start(chunks, first_part) * chunk
    my_end = first + min(samples, part_start(chunks, end_part) * chunk)
    piece = 0  # the first one of this thread's next chunk
    for part in range(first_part, end_part):
        buffer = moved(stepper.gradient, part * size)
        if wanted.begin <= piece < wanted.end:
            clear(buffer, size)  # by the thread that will add to it: what another one has written comes from afar
            team.costs[part] = 0.0
        end = first + min(samples, part_start(chunks, part + 1) * chunk)
        for start in range(first + part_start(chunks, part) * chunk, end, chunk):
            own, piece = Span(max(0, wanted.begin - piece), wanted.end - piece), piece + chunk + 1
            if own.end <= 0 or own.begin > chunk:
                continue
            rows, adds = min(chunk, end - start), own.end > chunk
            own = Span(own.begin, ALL if adds else own.end)
            cost = pass_over(net, net, data, order, start, rows, scale, 1.0, key, own, alone, alone, totals)
            if not adds:
                continue
            team.costs[part] += cost
            following = start + rows if start + rows < my_end else my_first + samples  # in the next batch
            call_update(
                update_code(net), stepper.add, net, data, buffer, rows, stepper, order, n, following, chunk, alone
            )  # fmt: skip
            if data.blocks:
                call_update_lists(
                    net.code.update_lists, stepper.add, net, data, buffer, rows, stepper, 1, 1.0, order, n, following,
                    chunk, alone,
                )  # fmt: skip
            if data.skips:
                call_update_skipping(
                    net.code.update_skipping, stepper.add, stepper.add_listed, net, data, buffer, rows, stepper, order,
                    n, following, chunk, alone,
                )  # fmt: skip
    if not wait_for_all(team) or wanted.end < ALL:
        return np.nan
    total = 0.0
    for part in range(parts):
        total += team.costs[part]
    return total


call_split, call_fold = caller(split_gradient), caller(fold_scale)


@stage
def whole_batch(
    net: Net, data: Data, order: Int64s, n: int, first: int, samples: int, key: int, begin: int, end: int,
    stepper: Stepper, team: Team, alone: Team, totals: Float64s,
) -> float:  # fmt: skip
    """One batch whose gradient is complete before the first weight is stepped, if it is to be; returns its cost.

    Of some of every thread's pieces, ``begin`` to ``end``, if these are not all: then the cost is NaN.
    """
    wanted = Span(begin, end)
    cost = accumulate_gradient(net, data, order, n, first, samples, key, wanted, stepper, team, alone, totals)
    if end < ALL:
        return cost
    if net.scaled:
        call_split(net.code.split_gradient, net, stepper, team)
        if not wait_for_all(team):
            return np.nan
    if stepper.step == 0:
        return cost
    if stepper.clip_norm < math.inf:
        if team.member == 0:
            clip_gradient(net, stepper)
        if not wait_for_all(team):
            return np.nan
    if math.isfinite(cost):
        for index in range(net.scaled, net.depth + 2 * net.scaled):
            step_layer(net, net.layers[index], stepper, team)
    if not wait_for_all(team):
        return np.nan
    return cost


call_whole = caller(whole_batch)


# --- many batches in one call ---


@kernel
def write_out_shrink(net, stepper, team):
    """Make the first layer's weights what they stand for, see ``run``."""
    if stepper.shrink[0] != 1:
        wait_for_all(team)
        if team.member == 0:
            scale_weights(net, stepper.shrink[0])
        stepper.shrink[0] = 1.0
        wait_for_all(team)


@stage
def limit_norms(net: Net, stepper: Stepper, share: float, team: Team) -> None:
    """Scale down the weights of every unit whose norm is larger than its layer allows; a thread takes some columns.

    ``share`` is that of the newest weights in their mean over the steps, where there is one.
    """
    lanes = lane_count(net.params)
    for index in range(net.scaled, net.depth + net.scaled):
        layer = net.layers[index]
        mine = share_out((layer.n_out + lanes - 1) // lanes, team.size)
        for column in range(part_start(mine, team.member), part_start(mine, team.member + 1)):
            if layer.max_norm < math.inf:
                limit_columns(net, layer, column * lanes, stepper, number(net.params, share))


call_limit_norms = caller(limit_norms)


@stage
def sum_squares(net: Net, by_blocks: int, afresh: int) -> float:
    """``||W||^2`` over all layers; ``by_blocks``: of a sparse first one as its latest steps noted it, or ``afresh``."""
    total = 0.0
    if by_blocks:
        if afresh:
            tally_blocks(net)
        for block in range(net.lists.blocks):
            total += net.lists.squares[block * SQUARES_STRIDE]
    for index in range(min(by_blocks, 1), net.depth):
        total += layer_squares(net, net.layers[index])
    return total


call_sum_squares = caller(sum_squares)


@inlined
def key_of(batches, batch):
    """The key of a batch's dropout; 0 where nothing is dropped."""
    return batch_key(batches.seed, batches.step + batch - batches.first) | 1 if batches.seed != 0 else 0


@inlined
def numbers_of(batches, batch):
    """The row of a batch's numbers."""
    return moved(batches.steps, (batch - batches.first) * batches.step_columns)


@kernel
def prepare_step(batches, batch, stepper):
    """Bring in the numbers of a batch's step."""
    row = numbers_of(batches, batch)
    for block in range(stepper.blocks):
        hyper = moved(stepper.hyper, block * HYPER_SIZE)
        factors = moved(stepper.factors, block * stepper.factor_columns)
        for i in range(batches.numbers):
            hyper[i] = number(hyper, row[i] * factors[FACTOR_NUMBERS + i])
        hyper[L1] = number(hyper, factors[FACTOR_L1])
        hyper[L2] = number(hyper, factors[FACTOR_L2])
        hyper[CLIP] = number(hyper, stepper.clip)


@kernel
def shrink_weights(net, batches, batch, stepper, team):
    """What l2 does to the weights of a sparse first layer that is stepped in place; returns the step's factor."""
    row = numbers_of(batches, batch)
    factors = moved(stepper.factors, net.layers[0].hyper * stepper.factor_columns)
    rate = row[0] * factors[FACTOR_NUMBERS]
    stepper.shrink[0] *= 1 - rate * factors[FACTOR_L2]
    if abs(stepper.shrink[0]) < SMALLEST_SHRINK:
        write_out_shrink(net, stepper, team)
    return -rate / stepper.shrink[0]


@inlined
def is_for_one_stage(net, data, key, team):
    """Whether a batch of one sample is for ``one_sample``."""
    plain = not data.blocks and not data.skips and not net.across and key == 0
    return plain and net.code.one_sample != 0 and team.size == 1


@woven
def run_small(net, later, data, batches, batch, order, n, first, samples, stepper, team, alone, totals):
    """One batch whose samples all fit into ``work``; returns its cost. ``later`` is what ``run`` says."""
    scale, key, part = 1.0 / samples, key_of(batches, batch), Span(batches.begin, batches.end)
    if batches.size == 1 and is_for_one_stage(net, data, key, team):
        return call_one_sample(net.code.one_sample, net, data, order, n, first, stepper, totals)
    shrink = stepper.shrink[0]
    cost = pass_over(net, later.net, data, order, first, samples, scale, shrink, key, part, team, alone, totals)
    if math.isfinite(cost):
        following, size = first + samples, batches.size
        call_update(
            update_code(net), stepper.update, later.net, data, later.net.params, samples, later.stepper, order, n,
            following, size, alone if net.copied else team,
        )  # fmt: skip
        if data.blocks:
            factor = 1.0
            if stepper.in_place:
                factor = shrink_weights(net, batches, batch, stepper, team)
            call_update_lists(
                net.code.update_lists, stepper.update, net, data, net.params, samples, stepper, stepper.in_place,
                factor, order, n, following, size, team,
            )  # fmt: skip
        if data.skips:
            call_update_skipping(
                net.code.update_skipping, stepper.update, stepper.update_listed, net, data, net.params, samples,
                stepper, order, n, following, size, team,
            )  # fmt: skip
    # Threads that own blocks of inputs need not wait here: whatever another one may still be reading or stepping
    # is next touched only after all have met to join their sums.
    if not goes_by_inputs(data) and not wait_for_all(team):
        return np.nan
    return cost


@kernel
def run_stretch(net, later, data, batches, stepper, team, alone, totals):
    """See ``run``."""
    each = (batches.epoch + batches.size - 1) // batches.size  # batches in an epoch
    start = batches.first // each * batches.epoch
    order, n = moved(batches.order, start), batches.n - start  # from this epoch on
    first = batches.first % each * batches.size
    by_blocks = int(data.blocks > 0 and not stepper.whole and not stepper.in_place and not stepper.limited)
    for batch in range(batches.first, batches.last):
        samples = min(batches.size, batches.epoch - first)
        prepare_step(batches, batch, stepper)
        squares = 0.0
        if stepper.tallied and batches.end == ALL:
            if goes_by_inputs(data):  # of which another thread may still be stepping its own
                wait_for_all(team)
            if team.member == 0:
                squares = call_sum_squares(net.code.sum_squares, net, by_blocks, int(batch == batches.first))
        if not stepper.whole:
            cost = run_small(net, later, data, batches, batch, order, n, first, samples, stepper, team, alone, totals)
        else:
            cost = call_whole(
                net.code.whole_batch, net, data, order, n, first, samples, key_of(batches, batch), batches.begin,
                batches.end, stepper, team, alone, totals,
            )  # fmt: skip
        if not math.isfinite(cost):
            return
        if stepper.limited:
            wait_for_all(team)
            share = numbers_of(batches, batch)[batches.numbers - 1]  # the last number, where there is a mean
            call_limit_norms(net.code.limit_norms, net, stepper, share, team)
            wait_for_all(team)
        if net.scaled:
            call_fold(net.code.fold_scale, net, team)
            wait_for_all(team)
        totals[TOTAL_COST] += cost
        totals[TOTAL_BATCHES] += 1
        if stepper.tallied:
            totals[TOTAL_SQUARES] += squares * numbers_of(batches, batch)[batches.numbers - 1]
        first += samples
        if first == batches.epoch:
            write_out_shrink(net, stepper, team)
            order, n, first, totals = moved(order, first), n - first, 0, moved(totals, N_TOTALS)


@entry
def run(
    net: Net, later_net: Net, data: Data, batches: Batches, stepper: Stepper, later_stepper: Stepper, team: Team,
    alone: Team, totals: Float64s,
) -> None:  # fmt: skip
    """Train on a stretch of batches of one epoch, or of some whole epochs, each of which has ``totals`` of its own.

    It stops before the step of a batch whose cost is not finite, or of which this call is for a part that is not the
    last: ``totals[TOTAL_BATCHES]`` counts completed ones. Every
    thread of the team calls it, with ``totals`` of its own, and a ``net`` and a ``stepper`` with scratch of its own;
    ``alone`` is a team of this thread only.

    Where the first layer has most of the work and goes by inputs, every thread takes all rows through the later layers,
    and steps these, by itself (``net.copied``): what it would have to fetch from another core takes longer. So every
    thread has parameters and optimizer's memory of its own for them, in ``later_net`` and ``later_stepper``, but for
    the first one, whose are those of all; else these are ``net`` and ``stepper`` once more. They all come to the same
    bits.

    Under plain gradient descent l2 shrinks every weight in every step, also those that no sample touches. A sparse
    first layer keeps W / shrink instead of W, so that shrinking all of it is one multiplication. It is undone at the
    end of an epoch, not of a call: how long a call is must not show in the bits.
    """
    word = flush_subnormals()
    run_stretch(net, Trained(later_net, later_stepper), data, batches, stepper, team, alone, totals)
    restore_subnormals(word)


@entry
def gradient(net: Net, data: Data, order: Int64s, n: int, stepper: Stepper, alone: Team, totals: Float64s) -> None:
    """Set ``stepper.gradient`` to the mean gradient of n samples."""
    word = flush_subnormals()
    totals[TOTAL_COST] = call_whole(
        net.code.whole_batch, net, data, order, n, 0, n, 0, 0, ALL, stepper, alone, alone, totals
    )
    restore_subnormals(word)


@kernel
def rows_gone_through(net, data, order, start):
    """Where the inputs lie that the first layer has just gone through: dense, or skipping zeros."""
    layer = net.layers[0]
    if order or data.pixels:
        return Matrix(net.work, layer.input, layer.input_stride)
    return Matrix(data.features, start * layer.n_in, layer.n_in)


@entry
def evaluate(net: Net, data: Data, order: Int64s, first: int, end: int, alone: Team, totals: Float64s) -> None:
    """Add up cost and hits of samples ``order[first:end]``, or without an order of samples ``first`` to ``end``."""
    word = flush_subnormals()
    for start in range(first, end, net.scratch.rows):
        samples = min(net.scratch.rows, end - start)
        if not net.across:
            forward_first(net, data, order, start, samples, 0, samples, 1.0, 0, alone)
            if not data.blocks:
                inputs = rows_gone_through(net, data, order, start)
                totals[TOTAL_ZEROS] += pays_to_skip(inputs, net.layers[0], samples)
        code = net.code.by_blocks if net.across else net.code.by_rows
        call_by_rows(code, net, data, order, start, samples, 0, samples, 1.0, EVALUATE, 0, totals)
        totals[TOTAL_COST] += sum_costs(net, samples, 0, 1)
    restore_subnormals(word)


@kernel
def predict_rows(net, data, first, samples, out, alone):
    """Outputs of ``samples`` samples (at most ``scratch.rows``) from ``first`` on into ``out`` (n, n_out).

    Returns whether the weighted inputs of the first layer are finite, see ``sums_are_finite``, and the outputs; and
    whether there are zeros that should have been skipped.
    """
    below, last, zeros = net.layers[0], net.layers[net.depth - 1], False
    order, totals = nothing(net.lists.counts), nothing(alone.costs)
    if data.blocks or (data.skips and data.pixels):
        forward_first(net, data, order, first, samples, 0, samples, 1.0, 0, alone)
    else:
        inputs = rows_in_place(net, data, first, samples)
        zeros = pays_to_skip(inputs, below, samples)
        if zeros and data.skips:
            forward_first(net, data, order, first, samples, 0, samples, 1.0, 0, alone)
        else:
            sums = Matrix(net.work, weighted_of_first(net), below.stride)
            forward_layer(net, below, inputs, sums, 0, samples, False, False)
    finite = sums_are_finite(net, samples)
    call_by_rows(net.code.by_rows, net, data, order, first, samples, 0, samples, 1.0, PREDICT, 0, totals)
    for r in range(samples):
        for j in range(last.n_out):
            output = net.work[net.scratch.weighted + r * last.stride + j]
            out[(first + r) * last.n_out + j] = output
            finite &= math.isfinite(output)
    return finite, zeros and not data.skips


@entry
def predict(net: Net, data: Data, first: int, end: int, out: Numbers, alone: Team) -> int:
    """Outputs of samples ``first`` to ``end`` into ``out`` (n, n_out).

    Returns NOT_FINITE if they, or samples, may not be finite, and ZEROS if zeros should be skipped the next time.
    """
    word, finite, zeros = flush_subnormals(), True, False
    for start in range(first, end, net.scratch.rows):
        own = predict_rows(net, data, start, min(net.scratch.rows, end - start), out, alone)
        finite, zeros = finite and own[0], zeros or own[1]
    restore_subnormals(word)
    return (0 if finite else NOT_FINITE) + (ZEROS if zeros else 0)


@entry
def apply_softmax(z: Numbers, size: int, n: int) -> None:
    """Softmax of every sample, in place; ``z`` holds blocks of (2, n, lanes): the samples, and room."""
    block = n * lane_count(z)
    for at in range(0, size, 2 * block):
        softmax_block(z, at, at + block, n)


@entry
def apply_cost(net: Net, samples: int, out: Float64s) -> None:
    """Cost of every sample into ``out``; ``net.work`` holds blocks of (3, n, lanes): z, t, and room."""
    work, lanes, n = net.work, lane_count(net.work), net.layers[0].n_out
    for first in range(0, samples, lanes):
        at = first * 3 * n
        block = Block(work, at, at + n * lanes, n)
        costs = cost_block(net, block, splat(work, 1))
        store(work, block.t, costs)
        for s in range(min(lanes, samples - first)):
            out[first + s] = np.float64(work[block.t + s])


PIECES = {
    piece.name: piece
    for piece in (
        *(first_dense, list_scaled, list_packed, drop_sparse, first_sparse, first_skipping, by_rows, by_blocks),
        *(update_dense, update_across, update_lists, update_skipping),
        *(one_sample, whole_batch, split_gradient, fold_scale, limit_norms, sum_squares),
        *(run, gradient, evaluate, predict, apply_softmax, apply_cost, pack),
    )
}
"""All that is compiled by itself, by name."""
