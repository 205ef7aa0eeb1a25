"""The most multiply-adds that this processor does in a second, with the library's own vectors."""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.kernels.simd import Vector, VectorType, data_pointer, fma, load_at, store_at

_CHAINS = 12  # more than the latency of a multiply-add times those begun in a cycle, fewer than there are registers
_TURNS = 1_000_000
_NUMBERS = np.zeros(_CHAINS * VectorType(types.float32).lanes, np.float32)

PEAK_FLOPS = 2 * _NUMBERS.size * _TURNS
"""What ``run_at_peak`` computes."""


@intrinsic
def _chains(_, numbers, turns):
    """``x = x / 2 + 1`` again and again on registers that do not wait for each other."""
    vector = VectorType(numbers.dtype)

    def codegen(context, builder, signature, args):
        places = [ir.Constant(args[1].type, i * vector.lanes) for i in range(_CHAINS)]
        pointers = [data_pointer(context, builder, numbers, args[0], place) for place in places]
        slots = [cgutils.alloca_once_value(builder, load_at(builder, vector, pointer).value) for pointer in pointers]
        with cgutils.for_range(builder, args[1]):
            for slot in slots:
                builder.store(fma(Vector(builder, vector, builder.load(slot)), 0.5, 1.0).value, slot)
        for pointer, slot in zip(pointers, slots, strict=True):
            store_at(pointer, Vector(builder, vector, builder.load(slot)))
        return context.get_dummy_value()

    return types.none(numbers, turns), codegen


@njit
def _run(numbers, turns):
    _chains(numbers, turns)


def run_at_peak():
    """Some milliseconds of multiply-adds in registers."""
    _run(_NUMBERS, _TURNS)


run_at_peak()  # compiles
