"""Gradient and optimizer step in one: the gradient of a tile of weights lives and dies in registers.

An optimizer's kernel is three formulas. ``scale`` multiplies every gradient (and the penalties' gradients). ``start``
is what the sum over the batch begins with, and ``finish`` turns the finished sum into new weights and new state.
Plain gradient descent scales by minus the learning rate, so that its step is one addition. (It could start with the
weights and save that, but every sample would then be rounded to the weight's last place.)
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.kernels.compile import kernel
from fastnn.kernels.forward import panel_vectors
from fastnn.kernels.host import PANEL_VECTORS, UPDATE_ROWS
from fastnn.kernels.rows import fetch_inputs
from fastnn.kernels.simd import (
    Vector,
    VectorType,
    broadcast,
    data_pointer,
    fma,
    ir_vector,
    lane_count,
    load_at,
    store_at,
    where,
)
from fastnn.kernels.team import part_start, share_out
from fastnn.kernels.tiles import Matrix, Pointer, TileShape, accumulate, accumulate_in_chains, for_each_shape

_I64 = ir.IntType(64)
COMMON_HYPER = 3  # hyper[0:3] = scale, scale * l1, scale * l2; an optimizer's own numbers follow
SMALLEST_FLOAT32 = 1.1754943508222875e-38  # the smallest that keeps full precision
# A row of biases has few sums, and they wait for themselves: a multiply-add takes so many cycles. With so many samples
# it pays to take several sums for each.
_CHAINS, _LONG = 4, 16
_SMALLEST = {types.float32: SMALLEST_FLOAT32, types.float64: 2.2250738585072014e-308}
State = list[Vector]


class Run(NamedTuple):
    """Where some registers begin, ``range(first, end, stride)``."""

    first: int
    end: int
    stride: int


class OptimizerKernel(NamedTuple):
    """The formulas of one optimizer, on vectors of parameters ``p``, state ``s`` and own numbers ``h``."""

    states: int  # buffers it keeps, each as large as the parameters
    numbers: int  # how many own numbers ``prepare`` writes to hyper[3:]
    prepare: Any  # (settings, step, hyper): compiled; writes scale to hyper[0] and the own numbers
    start: Callable[[Vector, State, State], Vector]  # (p, s, h)
    finish: Callable[[Vector, Vector, State, State], tuple[Vector, State]]  # (sum, p, s, h)


@kernel
def _prepare_sgd(settings, step, hyper):
    hyper[0] = -settings[0]


@kernel
def _prepare_momentum(settings, step, hyper):
    hyper[0] = 1
    hyper[3] = settings[0]
    hyper[4] = settings[1]


@kernel
def _prepare_adam(settings, step, hyper):
    rate, beta1, beta2, epsilon = settings[0], settings[1], settings[2], settings[3]
    hyper[0] = 1
    hyper[3] = rate / (1 - beta1**step)
    hyper[4] = beta1
    hyper[5] = 1 - beta1
    hyper[6] = beta2
    hyper[7] = 1 - beta2
    hyper[8] = 1 / (1 - beta2**step) ** 0.5
    hyper[9] = epsilon
    if hyper[9] == 0:  # too small for float32, and 0 / 0 is not a step
        hyper[9] = SMALLEST_FLOAT32


def _finish_momentum(g: Vector, p: Vector, s: State, h: State) -> tuple[Vector, State]:
    rate, _ = h
    return p - rate * g, [g]  # the sum began with momentum * v: it is the new v


def _finish_nesterov(g: Vector, p: Vector, s: State, h: State) -> tuple[Vector, State]:
    rate, momentum = h
    v = fma(momentum, s[0], g)
    return p - rate * fma(momentum, v, g), [v]


def _finish_adam(g: Vector, p: Vector, s: State, h: State) -> tuple[Vector, State]:
    rate, beta1, rest1, beta2, rest2, correction, epsilon = h
    m = fma(beta1, s[0], rest1 * g)
    v = fma(beta2, s[1], rest2 * (g * g))
    return p - rate * m / fma(v.call("sqrt"), correction, epsilon), [m, v]


OPTIMIZERS = {
    "sgd": OptimizerKernel(0, 0, _prepare_sgd, lambda p, s, h: p.lift(0.0), lambda g, p, s, h: (p + g, [])),
    "momentum": OptimizerKernel(1, 2, _prepare_momentum, lambda p, s, h: h[1] * s[0], _finish_momentum),
    "nesterov": OptimizerKernel(1, 2, _prepare_momentum, lambda p, s, h: p.lift(0.0), _finish_nesterov),
    "adam": OptimizerKernel(2, 7, _prepare_adam, lambda p, s, h: p.lift(0.0), _finish_adam),
}


class _Hyper:
    """The numbers of one step in registers, while code is generated."""

    def __init__(self, context: Any, builder: Any, type_: Any, array: Any, numbers: int) -> None:
        vector = VectorType(type_.dtype)
        values = [
            broadcast(builder, vector, builder.load(data_pointer(context, builder, type_, array, _I64(i))))
            for i in range(COMMON_HYPER + numbers)
        ]
        _, self.l1, self.l2 = values[:COMMON_HYPER]
        self.own = values[COMMON_HYPER:]

    def penalty(self, p: Vector) -> Vector:
        """Gradient of the l1 and l2 penalties, scaled like every gradient."""
        sign = where(p > 0.0, 1.0, where(p < 0.0, p.lift(-1.0), 0.0))
        return fma(self.l2, p, self.l1 * sign)


class _Cell:
    """One register's worth of parameters with its optimizer state, while code is generated."""

    def __init__(self, pointers: list[Any], vector: VectorType, optimizer: OptimizerKernel, h: _Hyper) -> None:
        self.pointers, self.vector, self.optimizer, self.h = pointers, vector, optimizer, h

    def read(self, builder: Any) -> tuple[Vector, State]:
        p, *s = (load_at(builder, self.vector, pointer) for pointer in self.pointers)
        return p, s

    def start(self, builder: Any) -> Vector:
        p, s = self.read(builder)
        return self.optimizer.start(p, s, self.h.own)

    def penalty(self, builder: Any) -> Vector:
        return self.h.penalty(self.read(builder)[0])

    def finish(self, builder: Any, total: Vector) -> None:
        p, s = self.optimizer.finish(total, *self.read(builder), self.h.own)
        # What decays step by step where no gradient comes ends among the subnormal numbers, for good, since rounding
        # holds the last one up; and processors take a hundred times longer over those.
        s = [where(abs(v) < _SMALLEST[self.vector.dtype], 0.0, v) for v in s]
        for pointer, vector in zip(self.pointers, [p, *s], strict=True):
            store_at(pointer, vector)


def _state_pointers(context: Any, builder: Any, type_: Any, array: Any, states: int, at: Any) -> list[Any]:
    """Pointers to element ``at`` of each of the optimizer's buffers, which lie one after the other."""
    if not states:
        return []
    size = builder.udiv(context.make_array(type_)(context, builder, array).nitems, _I64(states))
    places = [builder.add(at, builder.mul(_I64(i), size)) for i in range(states)]
    return [data_pointer(context, builder, type_, array, place) for place in places]


@cache
def make_step_run(optimizer: OptimizerKernel, clears: bool) -> Any:
    """An optimizer's steps from gradients in memory, which it leaves alone or ``clears``: an intrinsic.

    Arguments: ``(params, gradient, shift, state, run, hyper, penalise)``.
    """

    @intrinsic
    def step_run(_, params, gradient, shift, state, run, hyper, penalise):
        """Step a run of registers of ``params`` by their gradients, which are scaled already.

        The gradient of ``params[i]`` is ``gradient[i - shift]``; more such buffers may follow, each of the size of
        ``params``, to be added up in order.
        """

        def codegen(context, builder, signature, args):
            types_of, vector = signature.args, VectorType(signature.args[0].dtype)
            h = _Hyper(context, builder, types_of[5], args[5], optimizer.numbers)
            size = context.make_array(types_of[0])(context, builder, args[0]).nitems
            whole = context.make_array(types_of[1])(context, builder, args[1]).nitems
            zero = ir.Constant(ir_vector(vector), None)
            slot = cgutils.alloca_once(builder, zero.type)
            with cgutils.for_range_slice(builder, *cgutils.unpack_tuple(builder, args[4]), _I64) as (at, _n):
                builder.store(zero, slot)
                with cgutils.for_range_slice(builder, builder.sub(at, args[2]), whole, size, _I64) as (index, _m):
                    place = data_pointer(context, builder, types_of[1], args[1], index)
                    part = load_at(builder, vector, place)
                    if clears:
                        store_at(place, part.wrap(zero))
                    builder.store((part.wrap(builder.load(slot)) + part).value, slot)
                p = data_pointer(context, builder, types_of[0], args[0], at)
                states = _state_pointers(context, builder, types_of[3], args[3], optimizer.states, at)
                cell = _Cell([p, *states], vector, optimizer, h)
                start = cell.start(builder)
                builder.store((start + start.wrap(builder.load(slot))).value, slot)
                with builder.if_then(args[6]):
                    total = start.wrap(builder.load(slot)) + cell.penalty(builder)
                    builder.store(total.value, slot)
                cell.finish(builder, start.wrap(builder.load(slot)))
            return context.get_dummy_value()

        return types.none(params, gradient, types.int64, state, run, hyper, penalise), codegen

    return step_run


@cache
def make_update_tile(optimizer: OptimizerKernel, max_rows: int) -> Any:
    """The fused tile of an optimizer, of up to so many rows: an intrinsic.

    Arguments: ``(shape, inputs, deltas, params, state, hyper, penalise)``.
    """

    @intrinsic
    def update_tile(_, shape, inputs, deltas, params, state, hyper, penalise):
        """One step for ``params[k, :]``, whose gradient is ``sum_b inputs[b, k] * deltas[b, :]``.

        shape: (rows k, vectors, batch); inputs: (batch, rows); deltas: (batch, vectors * lanes);
        params: (rows, vectors * lanes); state: flat, buffers the size of all parameters.
        """

        def codegen(context, builder, signature, args):
            x, d, p = (
                Pointer(context, builder, type_, value)
                for type_, value in zip(signature.args[1:4], args[1:4], strict=True)
            )
            h = _Hyper(context, builder, signature.args[5], args[5], optimizer.numbers)
            at = builder.extract_value(args[3], 1)
            states = _state_pointers(context, builder, signature.args[4], args[4], optimizer.states, at)

            def emit(rows: int, vectors: int) -> None:
                def cell(r: int, v: int) -> _Cell:
                    offset = builder.add(builder.mul(_I64(r), p.stride), _I64(v * p.vector.lanes))
                    pointers = [builder.gep(start, [offset]) for start in (p.start, *states)]
                    return _Cell(pointers, p.vector, optimizer, h)

                cells = [[cell(r, v) for v in range(vectors)] for r in range(rows)]
                sums = [[cgutils.alloca_once_value(builder, c.start(builder).value) for c in row] for row in cells]
                with builder.if_then(args[6], likely=False):
                    for row, slots in zip(cells, sums, strict=True):
                        for c, slot in zip(row, slots, strict=True):
                            total = Vector(builder, p.vector, builder.load(slot)) + c.penalty(builder)
                            builder.store(total.value, slot)
                depth, left = builder.extract_value(args[0], 2), lambda r, k: x.element(k, _I64(r))
                if max_rows == 1:
                    with builder.if_else(builder.icmp_signed(">=", depth, _I64(_LONG))) as (long, short):
                        with long:
                            accumulate_in_chains(sums, depth, left, d, _CHAINS)
                        with short:
                            accumulate(sums, depth, left, d)
                else:
                    accumulate(sums, depth, left, d)
                for row, slots in zip(cells, sums, strict=True):
                    for c, slot in zip(row, slots, strict=True):
                        c.finish(builder, Vector(builder, p.vector, builder.load(slot)))

            for_each_shape(builder, args[0], max_rows, emit)
            return context.get_dummy_value()

        return types.none(shape, inputs, deltas, params, state, hyper, penalise), codegen

    return update_tile


@cache
def make_bias_step(optimizer: OptimizerKernel) -> Any:
    """The kernel ``(layer, net, target, samples, stepper, column)`` that steps the biases of the panel at a column."""
    update_tile = make_update_tile(optimizer, 1)

    @kernel
    def step_biases(layer, net, target, samples, stepper, column):
        vectors = panel_vectors(layer.n_out - column, lane_count(net.work))
        width = vectors * lane_count(net.work)
        at = layer.weights + column * (layer.n_in + 1) + layer.n_in * width
        ones, deltas = Matrix(net.work, net.scratch.one, 0), Matrix(net.work, layer.delta + column, layer.stride)
        shape = TileShape(1, vectors, samples)
        update_tile(shape, ones, deltas, Matrix(target, at, width), stepper.state, stepper.hyper, False)

    return step_biases


@cache
def make_layer_update(optimizer: OptimizerKernel) -> Any:
    """The kernel ``(layer, net, target, samples, stepper, data, ahead, team)`` that steps one layer.

    ``target`` is the parameters, or a buffer shaped like them. The tiles of all panels are shared out over the team.
    Beside them it fetches the inputs of the rows ``ahead``, if there are any.
    """
    update_tile, step_biases = make_update_tile(optimizer, UPDATE_ROWS), make_bias_step(optimizer)

    @kernel
    def update_layer(layer, net, target, samples, stepper, data, ahead, team):
        lanes = lane_count(net.work)
        state, hyper = stepper.state, stepper.hyper
        penalised = hyper[1] != 0 or hyper[2] != 0
        tiles = (layer.n_in + UPDATE_ROWS - 1) // UPDATE_ROWS
        rows = share_out(layer.n_in, tiles)
        panels = (layer.n_out + PANEL_VECTORS * lanes - 1) // (PANEL_VECTORS * lanes)
        mine = share_out(panels * (tiles + 1), team.size)  # a panel's biases are one more tile
        first_tile, end_tile = part_start(mine, team.member), part_start(mine, team.member + 1)
        for panel in range(panels):
            column = panel * PANEL_VECTORS * lanes
            vectors = panel_vectors(layer.n_out - column, lanes)
            width = vectors * lanes
            at = layer.weights + column * (layer.n_in + 1)
            deltas = Matrix(net.work, layer.delta + column, layer.stride)
            for tile in range(max(first_tile, 0), min(end_tile, tiles)):
                first, end = part_start(rows, tile), part_start(rows, tile + 1)
                if panel == 0 and ahead.end > 0:
                    fetch_inputs(data, ahead, layer.n_in, first, end)
                inputs = Matrix(net.work, layer.input + first, layer.input_stride)
                block = Matrix(target, at + first * width, width)
                update_tile(TileShape(end - first, vectors, samples), inputs, deltas, block, state, hyper, penalised)
            if first_tile <= tiles < end_tile:
                step_biases(layer, net, target, samples, stepper, column)
            first_tile, end_tile = first_tile - tiles - 1, end_tile - tiles - 1

    return update_layer


@cache
def make_layer_step(optimizer: OptimizerKernel) -> Any:
    """The kernel ``(layer, params, stepper, team)`` that steps one layer by ``stepper.gradient``.

    The columns, a register wide each, are shared out over the team.
    """
    step_run = make_step_run(optimizer, False)

    @kernel
    def step_layer(layer, params, stepper, team):
        lanes = lane_count(params)
        state, hyper, gradient = stepper.state, stepper.hyper, stepper.gradient
        penalised = hyper[1] != 0 or hyper[2] != 0
        mine = share_out((layer.n_out + lanes - 1) // lanes, team.size)
        number, last = part_start(mine, team.member), part_start(mine, team.member + 1)
        while number < last:
            panel = number // PANEL_VECTORS * PANEL_VECTORS
            columns = min(last, panel + PANEL_VECTORS) - number
            width = panel_vectors(layer.n_out - panel * lanes, lanes) * lanes
            at = layer.weights + panel * lanes * (layer.n_in + 1)
            biases, end = at + layer.n_in * width, at + (layer.n_in + 1) * width
            together = columns * lanes == width  # a whole panel is one stretch of memory
            for column in range(number - panel, number - panel + columns, columns if together else 1):
                stride = lanes if together else width
                weights_run = Run(at + column * lanes, biases, stride)
                step_run(params, gradient, 0, state, weights_run, hyper, penalised)
                step_run(params, gradient, 0, state, Run(biases + column * lanes, end, stride), hyper, False)
            number += columns

    return step_layer
