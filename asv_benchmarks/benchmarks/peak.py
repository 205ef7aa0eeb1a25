"""The most multiply-adds that this processor does in a second, with the library's own vectors."""

import ctypes

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from fastnn.kernels.parts import Part, address, loop
from fastnn.kernels.simd import Vector, VectorType, fma, load_at, store_at

_CHAINS = 12  # more than the latency of a multiply-add times those begun in a cycle, fewer than there are registers
_TURNS = 1_000_000
_NUMBERS = np.zeros(_CHAINS * VectorType(types.float32).lanes, np.float32)

PEAK_FLOPS = 2 * _NUMBERS.size * _TURNS
"""What ``run_at_peak`` computes."""


def _chains(builder, vector, numbers, turns):
    """``x = x / 2 + 1`` again and again on registers that do not wait for each other."""
    pointers = [builder.gep(numbers, [ir.Constant(turns.type, i * vector.lanes)]) for i in range(_CHAINS)]
    slots = [cgutils.alloca_once_value(builder, load_at(builder, vector, pointer).value) for pointer in pointers]
    with loop(builder, turns):
        for slot in slots:
            builder.store(fma(Vector(builder, vector, builder.load(slot)), 0.5, 1.0).value, slot)
    for pointer, slot in zip(pointers, slots, strict=True):
        store_at(pointer, Vector(builder, vector, builder.load(slot)))


_run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(address(Part("peak", "pi", _chains), types.float32))


def run_at_peak():
    """Some milliseconds of multiply-adds in registers."""
    _run(_NUMBERS.ctypes.data, _TURNS)
