"""Dropout: units that are left out of a step, by numbers that depend on what they are for and on nothing else.

Which inputs of a layer are dropped follows from a key of the batch, the layer, the sample's place in the epoch and the
unit, so that it is the same for any number of threads and any way to cut an epoch into calls. What is kept is scaled
up (inverted dropout: Srivastava et al. 2014), so that nothing changes when nothing is dropped.
"""

from llvmlite import ir
from numba.core import cgutils

from fastnn.kernels.compile import inlined, kernel
from fastnn.kernels.lists import block_inputs, count_at, group_of, list_place
from fastnn.kernels.parts import Part, part_caller
from fastnn.kernels.pointers import number
from fastnn.kernels.simd import Vector, ir_vector, load_at, store_at

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_WORD = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9
# The mixer of 32 bits with the least bias that Wellons's search found ("lowbias32", 2018): shifts and factors in turn.
_SHIFTS, _FACTORS = (16, 15, 16), (0x7FEB352D, 0x846CA68B)


@inlined
def mixed(x):
    """32 bits that look random, from 32 bits."""
    x &= _WORD
    x ^= x >> _SHIFTS[0]
    x = x * _FACTORS[0] & _WORD
    x ^= x >> _SHIFTS[1]
    x = x * _FACTORS[1] & _WORD
    return x ^ x >> _SHIFTS[2]


@inlined
def row_key(key, layer, place):
    """A key for the inputs of a layer, in the sample at a place of the epoch."""
    return mixed(mixed(mixed(key + layer) + (place & _WORD)) + (place >> 32))


@kernel
def batch_key(seed, step):
    """A key for a batch."""
    return mixed(mixed(mixed(seed) + (seed >> 32)) + step)


def _emit_row(builder, vector, vectors, block, slopes, key, threshold, scale):
    """``block = mask / keep * block`` for one row of inputs, and so the slopes of what made them, if there are any.

    Input i is kept where the mixed ``key + i * golden`` is not below the threshold.
    """
    lanes = ir.VectorType(_I32, vector.lanes)
    factor = load_at(builder, vector, scale)

    def splat(x):
        first = builder.insert_element(ir.Constant(lanes, ir.Undefined), x, _I32(0))
        return builder.shuffle_vector(first, ir.Constant(lanes, ir.Undefined), ir.Constant(lanes, [0] * vector.lanes))

    def constant(x):
        return ir.Constant(lanes, [x] * vector.lanes)

    steps = ir.Constant(lanes, [lane * _GOLDEN & _WORD for lane in range(vector.lanes)])
    start, least = builder.add(splat(builder.trunc(key, _I32)), steps), splat(builder.trunc(threshold, _I32))
    given = cgutils.is_not_null(builder, slopes)
    with cgutils.for_range(builder, vectors, intp=_I64) as each:
        at = builder.mul(each.index, _I64(vector.lanes))
        x = builder.add(start, splat(builder.mul(builder.trunc(at, _I32), _I32(_GOLDEN))))
        for shift, by in zip(_SHIFTS, (*_FACTORS, None), strict=True):
            x = builder.xor(x, builder.lshr(x, constant(shift)))
            x = x if by is None else builder.mul(x, constant(by))
        kept = builder.icmp_unsigned(">=", x, least)
        mask = builder.select(kept, factor.value, ir.Constant(ir_vector(vector), None))

        def multiply(start_of):
            place = builder.gep(start_of, [at])
            store_at(place, load_at(builder, vector, place) * Vector(builder, vector, mask))

        multiply(block)
        with builder.if_then(given):
            multiply(slopes)


_ROW = "ippiip"
DROP_ROW = Part("drop_row", _ROW, _emit_row)
drop_row = part_caller("drop_row", ["vectors", "block", "slopes", "key", "threshold", "scale"], _ROW)
"""In kernels: ``drop_row(address, vectors, block, slopes, key, threshold, scale)``; arrays, ``scale`` in every lane."""


@kernel
def drop_lists(net, data, rows, blocks, key):
    """Drop inputs of the lists of rows ``rows.first`` to ``rows.end``; ``rows.start`` is the first sample's place."""
    layer, lists, group = net.layers[0], net.lists, group_of(data)
    for r in range(rows.first, rows.end, group):
        for block in range(blocks.first, blocks.end):
            inputs, place = block_inputs(lists, block, layer.n_in), list_place(lists, layer, r, block)
            for k in range(min(group, rows.end - r)):
                at, own = place.at + k * place.stride, row_key(key, 0, rows.start + r + k)
                for j in range(lists.counts[count_at(lists, r, block)]):
                    unit = inputs.first + lists.indices[place.numbers + j]
                    kept = mixed(own + unit * _GOLDEN) >= layer.dropout
                    value = net.work[at + j] * number(net.work, layer.dropout_scale)
                    net.work[at + j] = value if kept else number(net.work, 0)
