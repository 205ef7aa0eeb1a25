"""Parts made of formulas: activations on tiles, and the outputs' cost and delta."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from fastnn.formulas.expressions import Expression, evaluate, to_data, variables
from fastnn.kernels.elementary import OPERATIONS
from fastnn.kernels.parts import MOST_REMEMBERED, Part, part_caller
from fastnn.kernels.simd import Vector, VectorType, broadcast, ir_float, lane_numbers, load_at, store_at, where

_I64 = ir.IntType(64)


def compute(
    formulas: list[Expression], values: Mapping[str, Vector], operations: Mapping[str, Any] = OPERATIONS
) -> list[Vector]:
    """Code for formulas of vectors; what they share is computed once."""
    like = next(iter(values.values()))
    backend = {**operations, "number": like.lift}
    return evaluate(formulas, values, backend)


def _for_each_vector(builder: Any, rows: Any, vectors: Any, emit: Any) -> None:
    """``emit(r, v)`` for every register of a tile, column by column: rows are many, and the last column may differ."""
    with cgutils.for_range(builder, vectors, intp=_I64) as v, cgutils.for_range(builder, rows, intp=_I64) as r:
        emit(r.index, v.index)


def _place(builder: Any, vector: VectorType, start: Any, stride: Any, r: Any, v: Any) -> Any:
    column = builder.mul(v, _I64(vector.lanes))
    return builder.gep(start, [builder.add(builder.mul(r, stride), column)])


def formula_key(*formulas: Expression | None) -> str:
    """What tells a part of these formulas from others."""
    return repr(to_data([formula for formula in formulas if formula is not None]))


_ACTIVATE = "iipipi"


@lru_cache(maxsize=MOST_REMEMBERED)
def activation_part(value: Expression, slope: Expression | None = None) -> Part:
    """``Z -> f(Z)`` in place on a tile, and where wanted the ``slope`` f'(Z) beside it; both formulas of ``z``."""

    def emit(
        builder: Any, vector: VectorType, rows: Any, vectors: Any, block: Any, stride: Any, slopes: Any, beside: Any
    ) -> None:
        def one(r: Any, v: Any) -> None:
            place = _place(builder, vector, block, stride, r, v)
            found = compute([value] if slope is None else [value, slope], {"z": load_at(builder, vector, place)})
            store_at(place, found[0])
            if slope is not None:
                store_at(_place(builder, vector, slopes, beside, r, v), found[1])

        _for_each_vector(builder, rows, vectors, one)

    return Part("activate", _ACTIVATE, emit, formula_key(value, slope))


activate = part_caller("activate", ["rows", "vectors", "block", "slopes"], _ACTIVATE)
"""In kernels: ``activate(address, rows, vectors, block, slopes)``."""

_DERIVATIVE = "iipipii"


@lru_cache(maxsize=MOST_REMEMBERED)
def derivative_part(factor: Expression) -> Part:
    """``delta *= factor(a)`` on a tile, zero past the last column; a formula of ``a``, what stands in ``sources``."""

    def emit(
        builder: Any,
        vector: VectorType,
        rows: Any,
        vectors: Any,
        deltas: Any,
        stride: Any,
        sources: Any,
        beside: Any,
        columns: Any,
    ) -> None:
        def one(r: Any, v: Any) -> None:
            place = _place(builder, vector, deltas, stride, r, v)
            a = load_at(builder, vector, _place(builder, vector, sources, beside, r, v))
            product = load_at(builder, vector, place) * compute([factor], {"a": a})[0]
            left = builder.sub(columns, builder.mul(v, _I64(vector.lanes)))
            store_at(place, where(_inside(builder, vector, left), product, 0.0))

        _for_each_vector(builder, rows, vectors, one)

    return Part("derivative", _DERIVATIVE, emit, formula_key(factor))


def _inside(builder: Any, vector: VectorType, columns: Any) -> Any:
    """Mask of the first ``columns`` lanes."""
    count = broadcast(builder, vector, builder.sitofp(columns, ir_float(vector.dtype)))
    return lane_numbers(count) < count


times_derivative = part_caller("times_derivative", ["rows", "vectors", "deltas", "sources", "columns"], _DERIVATIVE)
"""In kernels: ``times_derivative(address, rows, vectors, deltas, sources, columns)``."""

_UNIT = ">iippppvv"


@lru_cache(maxsize=MOST_REMEMBERED)
def unit_part(outputs: Expression, cost: Expression, delta: Expression) -> Part:
    """Output, cost and delta of ``n`` registers of output units; returns the costs added to ``total``.

    The formulas are of ``z``, or where the outputs are one distribution of ``a`` and ``l``, its logarithm; of the
    target ``t``, and a constant ``q`` of the unit. What stands in ``z`` (z or a) becomes the outputs; what stands in
    ``d`` (l or nothing) becomes ``factor * delta``. Of the last register only ``rest`` lanes count.
    """

    def emit(
        builder: Any,
        vector: VectorType,
        n: Any,
        rest: Any,
        z: Any,
        t: Any,
        d: Any,
        q: Any,
        factor: Any,
        total: Any,
    ) -> Vector:
        slot = cgutils.alloca_once_value(builder, total)
        like = Vector(builder, vector, factor)
        last = builder.sub(n, _I64(1))
        constants = "q" in variables([outputs, cost, delta])
        with cgutils.for_range(builder, n, intp=_I64) as each:
            at = [builder.mul(each.index, _I64(vector.lanes))]
            places = {"z": z, "a": z, "l": d, "t": t} | ({"q": q} if constants else {})
            values = {name: load_at(builder, vector, builder.gep(start, at)) for name, start in places.items()}
            a, c, slope = compute([outputs, cost, delta], values)
            count = builder.select(builder.icmp_signed("==", each.index, last), rest, _I64(vector.lanes))
            inside = _inside(builder, vector, count)
            store_at(builder.gep(z, at), a)
            store_at(builder.gep(d, at), where(inside, slope * like, 0.0))
            builder.store((like.wrap(builder.load(slot)) + where(inside, c, 0.0)).value, slot)
        return like.wrap(builder.load(slot))

    return Part("unit", _UNIT, emit, formula_key(outputs, cost, delta))


output_units = part_caller("output_units", ["n", "rest", "z", "t", "d", "q", "factor", "total"], _UNIT)
"""In kernels: ``output_units(address, n, rest, z, t, d, q, factor, total)``; z, t, d, q are arrays."""
