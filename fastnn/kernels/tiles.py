"""Register-tiled multiply-accumulate: one generator, a tile for every shape.

A tile holds ``rows x vectors`` sums in registers while it walks along the depth ``k``; each step loads ``vectors``
registers of the right-hand matrix and broadcasts ``rows`` numbers of the left-hand one. The loops over the tile's
shape run in Python while the code is generated, so every shape is straight-line code.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.kernels.buffers import CACHE_LINE
from fastnn.kernels.host import PANEL_VECTORS, PRODUCT_ROWS
from fastnn.kernels.simd import Vector, VectorType, broadcast, fma, ir_vector, load_at, prefetch_at, store_at

_I64 = ir.IntType(64)
_FETCH_DEPTH = 128  # from so many products in a sum on, reading its inputs from afar takes longer than asking for them


class Matrix(NamedTuple):
    """A matrix inside a flat buffer: element (i, j) is ``data[at + i * stride + j]``."""

    data: Any
    at: int
    stride: int


class TileShape(NamedTuple):
    """Rows and registers per row of the sums, and the number of products in each sum."""

    rows: int
    vectors: int
    depth: int


class Pointer:
    """A ``Matrix`` while code is generated: gives element pointers."""

    def __init__(self, context: Any, builder: Any, type_: Any, value: Any) -> None:
        array_type = type_.types[0]
        array = context.make_array(array_type)(context, builder, builder.extract_value(value, 0))
        self.builder = builder
        self.vector = VectorType(array_type.dtype)
        self.start = builder.gep(array.data, [builder.extract_value(value, 1)])
        self.stride = builder.extract_value(value, 2)

    def element(self, row: Any, column: Any) -> Any:
        """Pointer to element (row, column), which are LLVM integers."""
        line = self.builder.gep(self.start, [self.builder.mul(row, self.stride)])
        return self.builder.gep(line, [column])

    def vector_at(self, row: int, number: int) -> Any:
        """Pointer to register ``number`` of row ``row`` of the tile."""
        return self.element(_I64(row), _I64(number * self.vector.lanes))


def for_each_shape(builder: Any, shape: Any, max_rows: int, emit: Callable[[int, int], None]) -> None:
    """Branch on the run-time tile shape to straight-line code made by ``emit(rows, vectors)``."""
    done = builder.append_basic_block("done")
    code = builder.add(
        builder.mul(builder.extract_value(shape, 0), _I64(PANEL_VECTORS + 1)), builder.extract_value(shape, 1)
    )
    switch = builder.switch(code, done)
    for rows in range(1, max_rows + 1):
        for vectors in range(1, PANEL_VECTORS + 1):
            block = builder.append_basic_block(f"tile_{rows}x{vectors}")
            switch.add_case(_I64(rows * (PANEL_VECTORS + 1) + vectors), block)
            builder.position_at_end(block)
            emit(rows, vectors)
            builder.branch(done)
    builder.position_at_end(done)


def keep_rolled(builder: Any) -> None:
    """Tell LLVM not to unroll the loop around: a tile is long enough, and compiling its copies takes seconds.

    Its x86 cost model leaves loops alone that hold a call it cannot see into, such as this empty one.
    """
    builder.asm(ir.FunctionType(ir.VoidType(), []), "", "", [], True)


def accumulate(
    slots: list[list[Any]],
    depth: Any,
    left: Callable[[int, Any], Any],
    right: Pointer,
    ahead: Any = None,
) -> None:
    """``slots[r][v] += sum_k left(r, k) * right[k, v]``; ``left`` gives a pointer to the number to broadcast.

    The slots are stack variables; LLVM turns them into registers. With every step goes a line of the memory ``ahead``,
    to be there when it is needed.
    """
    builder, vector = right.builder, right.vector
    with cgutils.for_range(builder, depth) as loop:
        keep_rolled(builder)
        if ahead is not None:
            line = _I64(8 * CACHE_LINE // vector.dtype.bitwidth)
            prefetch_at(builder, builder.gep(ahead, [builder.mul(loop.index, line)]))
        _add_products(slots, loop.index, left, right)


def accumulate_in_chains(
    slots: list[list[Any]], depth: Any, left: Callable[[int, Any], Any], right: Pointer, chains: int
) -> None:
    """The same for a tile so small that its sums would wait for themselves: ``chains`` sums for each, added at the end.

    Chain c takes the products k = c, c + chains, ...; those of an incomplete last round go to the first.
    """
    builder, zero = right.builder, ir.Constant(ir_vector(right.vector), [0.0] * right.vector.lanes)
    others = [[[cgutils.alloca_once_value(builder, zero) for _ in row] for row in slots] for _ in range(chains - 1)]
    whole = builder.sub(depth, builder.srem(depth, _I64(chains)))
    with cgutils.for_range_slice(builder, _I64(0), whole, _I64(chains), _I64) as (k, _):
        keep_rolled(builder)
        for number, chain in enumerate([slots, *others]):
            _add_products(chain, builder.add(k, _I64(number)), left, right)
    with cgutils.for_range_slice(builder, whole, depth, _I64(1), _I64) as (k, _):
        keep_rolled(builder)
        _add_products(slots, k, left, right)
    for chain in others:
        for row, parts in zip(slots, chain, strict=True):
            for slot, part in zip(row, parts, strict=True):
                total = Vector(builder, right.vector, builder.load(slot))
                builder.store((total + total.wrap(builder.load(part))).value, slot)


def _add_products(slots: list[list[Any]], k: Any, left: Callable[[int, Any], Any], right: Pointer) -> None:
    """``slots[r][v] += left(r, k) * right[k, v]``."""
    builder, vector = right.builder, right.vector
    columns = [load_at(builder, vector, right.element(k, _I64(v * vector.lanes))) for v in range(len(slots[0]))]
    for r, row in enumerate(slots):
        number = broadcast(builder, vector, builder.load(left(r, k)))
        for slot, column in zip(row, columns, strict=True):
            builder.store(fma(number, column, Vector(builder, vector, builder.load(slot))).value, slot)


@intrinsic
def product_tile(_, shape, left, right, start, out):
    """``out[r, :] = start[r, :] + sum_k left[r, k] * right[k, :]`` on one tile.

    shape: TileShape; left: (rows, depth); right: (depth, vectors * lanes); start, out: (rows, vectors * lanes),
    where a ``start`` of stride 0 gives every row the same start, such as the bias.
    """

    def codegen(context, builder, signature, args):
        a, b, s, c = (
            Pointer(context, builder, type_, value) for type_, value in zip(signature.args[1:], args[1:], strict=True)
        )

        def emit(rows: int, vectors: int) -> None:
            slots = [
                [
                    cgutils.alloca_once_value(builder, load_at(builder, s.vector, s.vector_at(r, v)).value)
                    for v in range(vectors)
                ]
                for r in range(rows)
            ]
            depth = builder.extract_value(args[0], 2)
            loop = partial(accumulate, slots, depth, lambda r, k: a.element(_I64(r), k), b)
            if rows == PRODUCT_ROWS:  # the next rows may follow in memory
                with builder.if_else(builder.icmp_signed(">=", depth, _I64(_FETCH_DEPTH))) as (long, short):
                    with long:
                        loop(a.element(_I64(rows), _I64(0)))
                    with short:
                        loop()
            else:
                loop()
            for r in range(rows):
                for v in range(vectors):
                    store_at(c.vector_at(r, v), Vector(builder, c.vector, builder.load(slots[r][v])))

        for_each_shape(builder, args[0], PRODUCT_ROWS, emit)
        return context.get_dummy_value()

    return types.none(shape, left, right, start, out), codegen
