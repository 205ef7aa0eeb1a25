"""Gradient and optimizer step in one: the gradient of a tile of weights lives and dies in registers.

An optimizer is a formula: new parameters and new memory from the gradient ``g``, the parameters ``p``, the memory, and
the numbers of the step. Here it becomes parts: for the gradient of a batch as it is summed up, and for one in memory.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils

from fastnn.formulas.expressions import Expression, to_data, variable
from fastnn.kernels.buffers import BITS_PER_WORD, CLIP, L1, L2
from fastnn.kernels.elementary import STEP_OPERATIONS, maximum, minimum, sign
from fastnn.kernels.formula_parts import compute
from fastnn.kernels.host import REGISTERS, SKIPPED_INPUTS, SKIPPED_VECTORS, UPDATE_ROWS
from fastnn.kernels.parts import MOST_REMEMBERED, Part, part_caller
from fastnn.kernels.simd import (
    NEAREST,
    Vector,
    VectorType,
    broadcast,
    fma,
    ir_vector,
    lane_sums,
    load_at,
    prefetch_at,
    store_at,
)
from fastnn.kernels.tiles import (
    FETCH_DEPTH,
    Panels,
    Pointer,
    accumulate,
    add_rows_in_chains,
    elements_of_line,
    empty_sums,
    for_each_shape,
    for_each_tile,
    keep_rolled,
)

_I64 = ir.IntType(64)
# A row of biases has few sums, and they wait for themselves: an addition takes so many cycles. With so many samples it
# pays to take several sums for each.
_CHAINS, _LONG = 4, 16
# Of every sample a tile reads a line of its own, from rows that lie too far apart for the processor to guess.
_SAMPLES_AHEAD = 16
_MOST_TOGETHER = 8  # inputs, where samples lie across the registers


class Rule(NamedTuple):
    """How parameters are stepped: an optimizer's formulas, and what may come to every gradient."""

    update: tuple[Expression, ...]  # the new p, then the new states, of g, p, the states and the numbers
    states: tuple[str, ...]
    numbers: tuple[str, ...]  # in the order of their places in ``Stepper.hyper``
    l1: bool = False
    l2: bool = False
    clipped: bool = False  # to +- hyper[CLIP], before the penalties

    @property
    def key(self) -> str:
        """What shapes the code."""
        return repr((to_data(list(self.update)), *self[1:]))


ADD = Rule((variable("p") + variable("g"),), (), ())
"""Adds a gradient to a buffer shaped like the parameters."""


class _Cells:
    """Registers of parameters with the optimizer's memory, while code is generated."""

    def __init__(self, builder: Any, vector: VectorType, rule: Rule, p: Any, s: Any, state_size: Any) -> None:
        self.builder, self.vector, self.rule = builder, vector, rule
        offsets = [builder.mul(_I64(i), state_size) for i in range(len(rule.states))]
        self.starts = [p, *(builder.gep(s, [offset]) for offset in offsets)]

    def hyper(self, numbers: Any) -> Mapping[int, Vector]:
        """The numbers of the step, each in all lanes."""
        rule, builder = self.rule, self.builder
        wanted = [*range(len(rule.numbers))]
        wanted += [place for place, on in ((L1, rule.l1), (L2, rule.l2), (CLIP, rule.clipped)) if on]
        return {i: broadcast(builder, self.vector, builder.load(builder.gep(numbers, [_I64(i)]))) for i in wanted}

    def fetch(self, at: Any, elements: Any) -> None:
        """Ask for so many numbers and their memory, to be written: another core may have them."""
        builder, line = self.builder, elements_of_line(self.vector)
        with cgutils.for_range(builder, builder.udiv(elements, _I64(line)), intp=_I64) as each:
            keep_rolled(builder)
            for start in self.starts:
                place = builder.gep(start, [builder.add(at, builder.mul(each.index, _I64(line)))])
                prefetch_at(builder, place, NEAREST, for_writing=True)

    def step(self, at: Any, g: Vector, hyper: Mapping[int, Vector]) -> Vector:
        """Step the register ``at`` elements from the start by its gradient; returns the new parameters."""
        rule, builder = self.rule, self.builder
        places = [builder.gep(start, [at]) for start in self.starts]
        p, *states = (load_at(builder, self.vector, place) for place in places)
        if rule.clipped:
            g = maximum(minimum(g, hyper[CLIP]), -hyper[CLIP])
        if rule.l1:
            g = fma(hyper[L1], sign(p), g)
        if rule.l2:
            g = fma(hyper[L2], p, g)
        own = {name: hyper[i] for i, name in enumerate(rule.numbers)}
        values = {"g": g, "p": p, **dict(zip(rule.states, states, strict=True)), **own}
        found = compute(list(rule.update), values, STEP_OPERATIONS)
        for place, new in zip(places, found, strict=True):
            store_at(place, new)
        return found[0]

    def step_tile(self, place: Callable[[int, int], Any], slots: list[list[Any]], numbers: Any) -> None:
        """Step a tile by the gradients in its slots; ``place(row, register)`` is how far from the start."""
        found = self.hyper(numbers)
        for r, row in enumerate(slots):
            for v, slot in enumerate(row):
                self.step(place(r, v), Vector(self.builder, self.vector, self.builder.load(slot)), found)


_UPDATE = "iiipipippippi"


@lru_cache(maxsize=MOST_REMEMBERED)
def update_part(rule: Rule) -> Part:
    """One step for ``params[k, :]``, whose gradient is ``sum_b inputs[b, k] * deltas[b, :]``, tile by tile.

    shape: (rows k, vectors, batch); inputs: (batch, rows); deltas: (batch, vectors * lanes); params: (rows, vectors *
    lanes) without gaps, and where there are ``biases`` a row of those behind, whose inputs are 1; states: at the
    same place in buffers ``state_size`` apart; hyper: the numbers for weights and for biases.
    """

    def emit(
        builder: Any, vector: VectorType, rows: Any, vectors: Any, depth: Any, x: Any, x_stride: Any, d: Any,
        d_stride: Any, p: Any, s: Any, state_size: Any, hyper: Any, bias_hyper: Any, biases: Any,
    ) -> None:  # fmt: skip
        inputs, deltas = Pointer(builder, vector, x, x_stride), Pointer(builder, vector, d, d_stride)
        cells = _Cells(builder, vector, rule, p, s, state_size)

        def places(first: Any, v_count: int) -> Callable[[int, int], Any]:
            width, at = v_count * vector.lanes, builder.mul(first, _I64(v_count * vector.lanes))
            return lambda r, v: builder.add(at, _I64(r * width + v * vector.lanes))

        def tile(first: Any, count: Any) -> None:
            with builder.if_then(builder.icmp_signed(">=", depth, _I64(FETCH_DEPTH))):
                width = builder.mul(vectors, _I64(vector.lanes))
                cells.fetch(builder.mul(first, width), builder.mul(count, width))

            def emit_shape(r_count: int, v_count: int) -> None:
                slots = empty_sums(builder, vector, r_count, v_count)

                def ahead(k: Any) -> Any:
                    return inputs.element(builder.add(k, _I64(_SAMPLES_AHEAD)), first)

                accumulate(slots, depth, lambda k: inputs.along(k, first, r_count), deltas, ahead)
                cells.step_tile(places(first, v_count), slots, hyper)

            for_each_shape(builder, count, vectors, UPDATE_ROWS, emit_shape)

        def bias_row(_: int, v_count: int) -> None:
            (slots,) = empty_sums(builder, vector, 1, v_count)
            with builder.if_else(builder.icmp_signed(">=", depth, _I64(_LONG))) as (long, short):
                with long:
                    add_rows_in_chains(slots, depth, deltas, _CHAINS)
                with short:
                    add_rows_in_chains(slots, depth, deltas, 1)
            cells.step_tile(places(rows, v_count), [slots], bias_hyper)

        for_each_tile(builder, rows, UPDATE_ROWS, tile)
        with builder.if_then(builder.icmp_signed("!=", biases, _I64(0))):
            for_each_shape(builder, _I64(1), vectors, 1, bias_row)

    return Part("update", _UPDATE, emit, rule.key)


update_weights = part_caller(
    "update_weights",
    ["shape", "inputs", "deltas", "params", "state", "state_size", "hyper", "bias_hyper", "biases"],
    _UPDATE,
)
"""In kernels: ``update_weights(address, shape, inputs, deltas, params, state, state_size, hyper, bias_hyper, biases)``;
``params`` and ``state`` are arrays that begin with the first row."""


class Across(NamedTuple):
    """Inputs, outputs of one register, and blocks of samples."""

    rows: int
    columns: int
    blocks: int


_ACROSS = "iiipipipipippi"
_MOST_SUMS = 24 if REGISTERS == 32 else 12  # in registers


@lru_cache(maxsize=MOST_REMEMBERED)
def across_update_part(rule: Rule, counts: tuple[int, ...]) -> Part:
    """One step for ``params[k, :columns]``, whose gradient is ``sum_b sum_lanes inputs[b, k, :] * deltas[b, j, :]``.

    shape: (rows k, columns j, blocks b), with one of the ``counts`` of columns, at most a register's lanes; inputs:
    (blocks, rows, lanes) and deltas: (blocks, columns, lanes), with the stride of a block; params: (rows, stride), and
    where there are ``biases`` a row of those behind, whose inputs are 1. Otherwise as ``update_part``.
    """

    def emit(
        builder: Any, vector: VectorType, rows: Any, columns: Any, blocks: Any, x: Any, x_stride: Any, d: Any,
        d_stride: Any, p: Any, stride: Any, s: Any, state_size: Any, hyper: Any, bias_hyper: Any, biases: Any,
    ) -> None:  # fmt: skip
        inputs, deltas = Pointer(builder, vector, x, x_stride), Pointer(builder, vector, d, d_stride)
        cells = _Cells(builder, vector, rule, p, s, state_size)

        def step(slots: list[list[Any]], first: Any, numbers: Any) -> None:
            found = cells.hyper(numbers)
            for r, row in enumerate(slots):
                g = lane_sums([Vector(builder, vector, builder.load(slot)) for slot in row])
                cells.step(builder.mul(builder.add(first, _I64(r)), stride), g, found)

        def tile(first: Any, count: int, width: int) -> None:
            slots = empty_sums(builder, vector, count, width)
            lane = builder.mul(first, _I64(vector.lanes))
            with cgutils.for_range(builder, blocks, intp=_I64) as block:
                keep_rolled(builder)
                numbers = [
                    load_at(builder, vector, inputs.element(block.index, builder.add(lane, _I64(r * vector.lanes))))
                    for r in range(count)
                ]
                for j in range(width):
                    delta = load_at(builder, vector, deltas.register(block.index, j))
                    for number, row in zip(numbers, slots, strict=True):
                        builder.store(fma(number, delta, delta.wrap(builder.load(row[j]))).value, row[j])
            step(slots, first, hyper)

        def bias_row(width: int) -> None:
            slots = empty_sums(builder, vector, 1, width)
            with cgutils.for_range(builder, blocks, intp=_I64) as block:
                keep_rolled(builder)
                for j, slot in enumerate(slots[0]):
                    delta = load_at(builder, vector, deltas.register(block.index, j))
                    builder.store((delta.wrap(builder.load(slot)) + delta).value, slot)
            step(slots, rows, bias_hyper)

        def all_rows(width: int) -> None:
            together = max(1, min(_MOST_TOGETHER, _MOST_SUMS // width))
            whole = builder.sub(rows, builder.srem(rows, _I64(together)))
            with cgutils.for_range_slice(builder, _I64(0), whole, _I64(together), _I64) as (first, _):
                keep_rolled(builder)
                tile(first, together, width)
            if together > 1:
                with cgutils.for_range_slice(builder, whole, rows, _I64(1), _I64) as (first, _):
                    keep_rolled(builder)
                    tile(first, 1, width)
            with builder.if_then(builder.icmp_signed("!=", biases, _I64(0))):
                bias_row(width)

        for width in counts:
            with builder.if_then(builder.icmp_signed("==", columns, _I64(width))):
                all_rows(width)

    return Part("across_update", _ACROSS, emit, (rule.key, counts))


update_lanes = part_caller(
    "update_lanes",
    ["shape", "inputs", "deltas", "params", "state", "state_size", "hyper", "bias_hyper", "biases"],
    _ACROSS,
)
"""In kernels: ``update_lanes(address, shape, inputs, deltas, params, state, state_size, hyper, bias_hyper, biases)``;
``params`` is a matrix, ``state`` an array, and both begin with the first row."""

_LISTED = "iiiiiipipinppip"


class Listed(NamedTuple):
    """Some inputs, registers in a row of their weights, groups of inputs, and strides: of lists, and of panels."""

    first: int
    rows: int
    vectors: int
    groups: int
    list_stride: int
    panel_stride: int


@lru_cache(maxsize=MOST_REMEMBERED)
def listed_update_part(rule: Rule) -> Part:
    """One step for ``params[first:first + rows, :]``, by the gradient of those samples alone that are listed.

    Rows k go in ``groups`` of ``SKIPPED_INPUTS``; ``listed`` has how many samples there are for each, and
    ``BITS_PER_WORD`` places on the lists. The registers of a row may be of two panels. Otherwise as ``update_part``.
    """

    def emit(
        builder: Any, vector: VectorType, first: Any, rows: Any, vectors: Any, groups: Any, list_stride: Any,
        panel_stride: Any, x: Any, x_stride: Any, d: Any, d_stride: Any, listed: Any, p: Any, s: Any,
        state_size: Any, hyper: Any,
    ) -> None:  # fmt: skip
        inputs, deltas = Pointer(builder, vector, x, x_stride), Pointer(builder, vector, d, d_stride)
        cells = _Cells(builder, vector, rule, p, s, state_size)
        lists = builder.gep(listed, [_I64(BITS_PER_WORD)])
        with cgutils.for_range(builder, groups, intp=_I64) as group:
            keep_rolled(builder)
            row = builder.mul(group.index, _I64(SKIPPED_INPUTS))
            left = builder.sub(rows, row)
            count = builder.select(builder.icmp_signed("<", left, _I64(SKIPPED_INPUTS)), left, _I64(SKIPPED_INPUTS))
            depth = builder.sext(builder.load(builder.gep(listed, [group.index])), _I64)
            own = builder.gep(lists, [builder.mul(group.index, list_stride)])

            def emit_shape(r_count: int, v_count: int) -> None:
                panels = Panels(builder, vector, p, panel_stride, v_count)
                slots = empty_sums(builder, vector, r_count, v_count)
                accumulate(slots, depth, lambda k: inputs.along(k, row, r_count), deltas, listed=own)
                at = builder.add(first, row)
                cells.step_tile(lambda r, v: panels.place(builder.add(at, _I64(r)), v), slots, hyper)

            for_each_shape(builder, count, vectors, SKIPPED_INPUTS, emit_shape, SKIPPED_VECTORS)

    return Part("listed_update", _LISTED, emit, rule.key)


update_listed = part_caller(
    "update_listed",
    ["shape", "inputs", "deltas", "listed", "params", "state", "state_size", "hyper"],
    _LISTED,
)
"""In kernels: ``update_listed(address, shape, inputs, deltas, listed, params, state, state_size, hyper)``."""

_STEP = ">ippiipip"


@lru_cache(maxsize=MOST_REMEMBERED)
def step_part(rule: Rule, clears: bool, tallies: bool = False) -> Part:
    """Step ``count`` registers by gradients in memory, which it leaves alone or ``clears``.

    The gradient is the sum of ``parts`` buffers ``part_size`` elements apart, added up in order. Returns the squares of
    the new parameters, added up lane by lane, if it ``tallies`` them, or else zero.
    """

    def emit(
        builder: Any, vector: VectorType, count: Any, p: Any, g: Any, parts: Any, part_size: Any,
        s: Any, state_size: Any, hyper: Any,
    ) -> Vector:  # fmt: skip
        cells = _Cells(builder, vector, rule, p, s, state_size)
        numbers = cells.hyper(hyper)
        zero = ir.Constant(ir_vector(vector), None)
        slot, squares = cgutils.alloca_once(builder, zero.type), cgutils.alloca_once_value(builder, zero)

        def taken(place: Any) -> Vector:
            found = load_at(builder, vector, place)
            if clears:
                store_at(place, found.wrap(zero))
            return found

        with cgutils.for_range(builder, count, intp=_I64) as each:
            keep_rolled(builder)
            at = builder.mul(each.index, _I64(vector.lanes))
            first = builder.gep(g, [at])
            builder.store(taken(first).value, slot)
            with cgutils.for_range_slice(builder, _I64(1), parts, _I64(1), _I64) as (part, _):
                found = taken(builder.gep(first, [builder.mul(part, part_size)]))
                builder.store((found.wrap(builder.load(slot)) + found).value, slot)
            new = cells.step(at, Vector(builder, vector, builder.load(slot)), numbers)
            if tallies:
                builder.store(fma(new, new, new.wrap(builder.load(squares))).value, squares)
        return Vector(builder, vector, builder.load(squares))

    return Part("step", _STEP, emit, (rule.key, clears, tallies))


step_run = part_caller(
    "step_run", ["count", "params", "gradient", "parts", "part_size", "state", "state_size", "hyper"], _STEP
)
"""In kernels: ``step_run(address, count, params, gradient, parts, part_size, state, state_size, hyper)``, see above."""


def number_type(dtype: Any) -> Any:
    """Numba's type for a NumPy dtype."""
    return types.float32 if dtype.itemsize == 4 else types.float64
