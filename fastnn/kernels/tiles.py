"""Register-tiled multiply-accumulate: one generator, a tile for every shape.

A tile holds ``rows x vectors`` sums in registers while it walks along the depth ``k``; each step loads ``vectors``
registers of the right-hand matrix and broadcasts ``rows`` numbers of the left-hand one. The loops over the tile's
shape run in Python while the code is generated, so every shape is straight-line code.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import cgutils

from fastnn.kernels.buffers import CACHE_LINE
from fastnn.kernels.host import PANEL_VECTORS, PRODUCT_ROWS
from fastnn.kernels.parts import Part, part_caller
from fastnn.kernels.pointers import element_pointer
from fastnn.kernels.simd import Vector, VectorType, broadcast, fma, ir_vector, load_at, prefetch_at, store_at

_I32, _I64 = ir.IntType(32), ir.IntType(64)
FETCH_DEPTH = 128  # from so many products in a sum on, reading from afar takes longer than asking for it
_SMALLER = 2  # rows that a tile may have less, where there are several
_ROWS_SHIFT = PRODUCT_ROWS.bit_length()  # 2 to this power is somewhat more than the rows of a tile


class Matrix(NamedTuple):
    """A matrix inside a flat array: element (i, j) is ``data[at + i * stride + j]``."""

    data: Any
    at: int
    stride: int


class TileShape(NamedTuple):
    """Rows and registers per row of the sums, and the number of products in each sum."""

    rows: int
    vectors: int
    depth: int


class Pointer:
    """A matrix while code is generated: gives element pointers."""

    def __init__(self, builder: Any, vector: VectorType, start: Any, stride: Any) -> None:
        self.builder, self.vector, self.start, self.stride = builder, vector, start, stride

    def element(self, row: Any, column: Any) -> Any:
        """Pointer to element (row, column), which are LLVM integers."""
        line = self.builder.gep(self.start, [self.builder.mul(row, self.stride)])
        return self.builder.gep(line, [column])

    def vector_at(self, row: int, number: int) -> Any:
        """Pointer to register ``number`` of row ``row`` of the tile."""
        return self.register(_I64(row), number)

    def register(self, row: Any, number: int) -> Any:
        """Pointer to register ``number`` of row ``row``, an LLVM integer."""
        return self.element(row, _I64(number * self.vector.lanes))

    def along(self, row: Any, column: Any, count: int) -> list[Any]:
        """Pointers to so many elements of a row, from a column on."""
        return [self.element(row, self.builder.add(column, _I64(c))) for c in range(count)]

    def from_row(self, row: Any) -> "Pointer":
        """The matrix without the rows above."""
        return Pointer(self.builder, self.vector, self.element(row, _I64(0)), self.stride)

    def afresh(self) -> "Pointer":
        """The same, see ``afresh``."""
        return Pointer(self.builder, self.vector, self.start, afresh(self.builder, self.stride))


def elements_of_line(vector: VectorType) -> int:
    """How many numbers a cache line holds."""
    return 8 * CACHE_LINE // int(vector.dtype.bitwidth)


class Panels:
    """So many registers side by side in panels of weights while code is generated; the last panel may be narrower."""

    def __init__(self, builder: Any, vector: VectorType, start: Any, stride: Any, vectors: int) -> None:
        self.builder, self.vector, self.start, self._stride, self._vectors = builder, vector, start, stride, vectors

    def place(self, row: Any, number: int) -> Any:
        """Elements from the start to register ``number`` of row ``row``, an LLVM integer."""
        builder, lanes = self.builder, self.vector.lanes
        panel, within = divmod(number, PANEL_VECTORS)
        width = min(PANEL_VECTORS, self._vectors - panel * PANEL_VECTORS) * lanes
        place = builder.add(builder.mul(row, _I64(width)), _I64(within * lanes))
        return builder.add(place, builder.mul(self._stride, _I64(panel))) if panel else place

    def register(self, row: Any, number: int) -> Any:
        """Pointer to it."""
        return self.builder.gep(self.start, [self.place(row, number)])


def matrix_pointer(builder: Any, kind: Any, value: Any) -> Pointer:
    """The pointer to a kernel's ``Matrix``."""
    array, at, stride = (builder.extract_value(value, i) for i in range(3))
    start = element_pointer(builder, kind.types[0], array, at)
    return Pointer(builder, VectorType(kind.types[0].dtype), start, stride)


def for_each_shape(
    builder: Any,
    rows: Any,
    vectors: Any,
    most_rows: int,
    emit: Callable[[int, int], None],
    most_vectors: int = PANEL_VECTORS,
) -> None:
    """Branch on the run-time tile shape to straight-line code made by ``emit(rows, vectors)``."""
    done = builder.append_basic_block("done")
    code = builder.add(builder.mul(rows, _I64(most_vectors + 1)), vectors)
    switch = builder.switch(code, done)
    for r in range(1, most_rows + 1):
        for v in range(1, most_vectors + 1):
            block = builder.append_basic_block(f"tile_{r}x{v}")
            switch.add_case(_I64(r * (most_vectors + 1) + v), block)
            builder.position_at_end(block)
            emit(r, v)
            builder.branch(done)
    builder.position_at_end(done)


def for_each_tile(builder: Any, rows: Any, most_rows: int, emit: Callable[[Any, Any], None]) -> None:
    """Cut rows into as few tiles as can be, of nearly one size; ``emit(first, count)`` for each."""
    tiles = builder.udiv(builder.add(rows, _I64(most_rows - 1)), _I64(most_rows))
    slot = cgutils.alloca_once_value(builder, rows)
    with builder.if_then(builder.icmp_unsigned(">", tiles, _I64(1))):  # a division takes as long as a small tile
        narrow = [builder.trunc(x, _I32) for x in (rows, tiles)]  # and a long one twice that
        builder.store(builder.zext(builder.udiv(*narrow), _I64), slot)
    base = builder.load(slot)
    extra = builder.sub(rows, builder.mul(base, tiles))
    with cgutils.for_range(builder, tiles, intp=_I64) as each:
        keep_rolled(builder)
        larger = builder.icmp_signed("<", each.index, extra)
        before = builder.select(larger, each.index, extra)
        first = builder.add(builder.mul(each.index, base), before)
        emit(first, builder.add(base, builder.zext(larger, _I64)))


def afresh(builder: Any, number: Any) -> Any:
    """The same number, of which LLVM does not know that it is.

    Of a stride it would otherwise prepare every multiple that some tile may want, before it knows which tile is next.
    """
    kind = ir.FunctionType(number.type, [number.type])
    return builder.asm(kind, "", "=r,0", [number], False)


def keep_rolled(builder: Any) -> None:
    """Tell LLVM not to unroll the loop around: a tile is long enough, and compiling its copies takes seconds.

    Its x86 cost model leaves loops alone that hold a call it cannot see into, such as this empty one.
    """
    builder.asm(ir.FunctionType(ir.VoidType(), []), "", "", [], True)


def accumulate(
    slots: list[list[Any]],
    depth: Any,
    left: Callable[[Any], Sequence[Any]],
    right: Pointer | Panels,
    ahead: Callable[[Any], Any] | None = None,
    listed: Any = None,
) -> None:
    """``slots[r][v] += sum_k left(k)[r] * right[k, v]``; ``left`` gives pointers to the numbers to broadcast.

    k goes from 0 to ``depth``, or through as many int32s that are ``listed``. The slots are stack variables; LLVM turns
    them into registers. Every step fetches the line where ``ahead(step)`` points, to be there when it is needed.
    """
    builder, vector = right.builder, right.vector
    # With one register for the row and the numbers' column, LLVM loads all numbers first, and runs out of others.
    again = None if listed is None else afresh(builder, listed)
    with cgutils.for_range(builder, depth) as loop:
        keep_rolled(builder)
        if ahead is not None:
            prefetch_at(builder, ahead(loop.index))
        row, k = (_listed_at(builder, places, loop.index) for places in (again, listed))
        columns = [load_at(builder, vector, right.register(row, v)) for v in range(len(slots[0]))]
        _add_products(slots, left(k), columns)


def _listed_at(builder: Any, listed: Any, index: Any) -> Any:
    """A number of a list, or without one the index itself."""
    return index if listed is None else builder.sext(builder.load(builder.gep(listed, [index])), _I64)


def _add_products(slots: list[list[Any]], places: Sequence[Any], columns: list[Vector]) -> None:
    """``slots[r][v] += number[r] * columns[v]``, where the numbers stand in memory."""
    builder, like = columns[0].builder, columns[0]
    for place, row in zip(places, slots, strict=True):
        number = broadcast(builder, like.type, builder.load(place))
        for slot, column in zip(row, columns, strict=True):
            builder.store(fma(number, column, like.wrap(builder.load(slot))).value, slot)


class Walk:
    """Pointers to a number in each of several rows of a matrix, that go from column to column while code is generated.

    One pointer reaches a few rows: what lies a stride, or twice that, behind it takes x86 no instruction to find, nor
    does three times, if that is known. LLVM must not see through: it would compute every place from the matrix's start.
    """

    _REACH = 4

    def __init__(self, matrix: Pointer, rows: int) -> None:
        self._builder = builder = matrix.builder
        stride = afresh(builder, matrix.stride)
        self._strides = [_I64(0), stride, builder.shl(stride, _I64(1)), afresh(builder, builder.mul(stride, _I64(3)))]
        firsts = [matrix.element(_I64(r), _I64(0)) for r in range(0, rows, self._REACH)]
        self._places, self._rows = [cgutils.alloca_once_value(builder, first) for first in firsts], rows

    def __call__(self, k: Any) -> list[Any]:
        """Those in the next column: in column 0 the first time, whatever ``k`` is called then."""
        builder, found = self._builder, []
        for number, place in enumerate(self._places):
            first = afresh(builder, builder.load(place))
            builder.store(builder.gep(first, [_I64(1)]), place)
            reached = min(self._REACH, self._rows - number * self._REACH)
            found += [builder.gep(first, [stride]) for stride in self._strides[:reached]]
        return found


def empty_sums(builder: Any, vector: VectorType, rows: int, vectors: int) -> list[list[Any]]:
    """Slots that begin with zero."""
    zero = ir.Constant(ir_vector(vector), None)
    return [[cgutils.alloca_once_value(builder, zero) for _ in range(vectors)] for _ in range(rows)]


def load_sums(start: Callable[[int, int], Any], like: Pointer, rows: int, vectors: int) -> list[list[Any]]:
    """Slots that begin with what is where ``start(row, register)`` points."""
    builder, vector = like.builder, like.vector
    return [
        [cgutils.alloca_once_value(builder, load_at(builder, vector, start(r, v)).value) for v in range(vectors)]
        for r in range(rows)
    ]


def set_sums(slots: list[list[Any]], sums: Callable[[int, int], Vector]) -> None:
    """Give every slot a new content, ``sums(r, v)``."""
    for r, row in enumerate(slots):
        for v, slot in enumerate(row):
            total = sums(r, v)
            total.builder.store(total.value, slot)


def store_sums(out: Pointer, slots: list[list[Any]]) -> None:
    """Write slots to where they belong."""
    builder, vector = out.builder, out.vector
    for r, row in enumerate(slots):
        for v, slot in enumerate(row):
            store_at(out.vector_at(r, v), Vector(builder, vector, builder.load(slot)))


def add_rows_in_chains(slots: list[Any], depth: Any, right: Pointer, chains: int) -> None:
    """``slots[v] += sum_k right[k, v]``, ``chains`` sums for each, added at the end: one would wait for itself.

    Chain c takes the rows k = c, c + chains, ...; those of an incomplete last round go to the first.
    """
    builder, vector = right.builder, right.vector
    zero = ir.Constant(ir_vector(vector), None)
    others = [[cgutils.alloca_once_value(builder, zero) for _ in slots] for _ in range(chains - 1)]
    whole = builder.sub(depth, builder.srem(depth, _I64(chains)))

    def add(chain: list[Any], k: Any) -> None:
        for v, slot in enumerate(chain):
            total = Vector(builder, vector, builder.load(slot))
            builder.store((total + load_at(builder, vector, right.element(k, _I64(v * vector.lanes)))).value, slot)

    with cgutils.for_range_slice(builder, _I64(0), whole, _I64(chains), _I64) as (k, _):
        keep_rolled(builder)
        for number, chain in enumerate([slots, *others]):
            add(chain, builder.add(k, _I64(number)))
    with cgutils.for_range_slice(builder, whole, depth, _I64(1), _I64) as (k, _):
        keep_rolled(builder)
        add(slots, k)
    for chain in others:
        for slot, part in zip(slots, chain, strict=True):
            total = Vector(builder, vector, builder.load(slot))
            builder.store((total + total.wrap(builder.load(part))).value, slot)


def _emit_product(
    builder: Any, vector: VectorType, rows: Any, vectors: Any, depth: Any, next_right: Any, *pointers: Any
) -> None:  # fmt: skip
    """``out[r, :] = start[r, :] + sum_k left[r, k] * right[k, :]`` for any number of rows, tile by tile.

    left: (rows, depth); right: (depth, vectors * lanes), without gaps; start, out: (rows, vectors * lanes), where a
    ``start`` of stride 0 gives every row the same start, such as the bias. The first tiles fetch what lies
    ``next_right`` behind ``right``, if that is not 0: as much as that holds; the others the next rows of ``left``.
    """
    left, left_stride, right, start, start_stride, out, out_stride = pointers
    line = _I64(elements_of_line(vector))
    whole = [Pointer(builder, vector, left, left_stride), Pointer(builder, vector, start, start_stride)]
    target = Pointer(builder, vector, out, out_stride)

    def tile(first: Any, count: Any) -> None:
        def emit(r_count: int, v_count: int) -> None:
            a, s, c = (matrix.from_row(first).afresh() for matrix in (*whole, target))
            b = Pointer(builder, vector, right, _I64(v_count * vector.lanes))
            slots = load_sums(s.vector_at, s, r_count, v_count)
            run = partial(accumulate, slots, depth, Walk(a, r_count), b)
            if r_count >= PRODUCT_ROWS - _SMALLER:
                lines = builder.lshr(builder.mul(first, depth), _I64(_ROWS_SHIFT))  # that the tiles before have fetched
                wanted = builder.icmp_signed("<", lines, builder.mul(depth, _I64(v_count)))
                wanted = builder.and_(wanted, builder.icmp_signed("!=", next_right, _I64(0)))
                behind = builder.gep(right, [builder.add(next_right, builder.mul(lines, line))])
                following = afresh(builder, builder.select(wanted, behind, a.element(_I64(r_count), _I64(0))))
                with builder.if_else(builder.icmp_signed(">=", depth, _I64(FETCH_DEPTH))) as (long, short):
                    with long:
                        run(lambda step: builder.gep(following, [builder.mul(step, line)]))
                    with short:
                        run()
            else:
                run()
            store_sums(c, slots)

        for_each_shape(builder, count, vectors, PRODUCT_ROWS, emit)

    for_each_tile(builder, rows, PRODUCT_ROWS, tile)


_PRODUCT = "iiiipippipi"
PRODUCT = Part("product", _PRODUCT, _emit_product)
product = part_caller("product", ["shape", "next_right", "left", "right", "start", "out"], _PRODUCT)
"""In kernels: ``product(address, shape, next_right, left, right, start, out)``, see ``_emit_product``.

``right`` is an array."""
