"""Lanes moved together and put back, under any mask."""

import ctypes
import inspect

import numpy as np
import pytest
from llvmlite import ir
from numba import types

from fastnn.kernels import compress, parts
from fastnn.kernels.host import CAN_COMPRESS, lanes_of
from fastnn.kernels.lists import numbers_from
from fastnn.kernels.simd import load_at, store_at

_I64 = ir.IntType(64)
NUMBERS = [1.5, -2.0, np.nan, -0.0, np.inf, 3.0, -np.inf, 1e-30, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0]


def emit(builder, vector, bits, source, together, places, back):
    """Numbers and the lanes' own numbers moved together, where something does that, and numbers put back."""
    data = load_at(builder, vector, source)
    mask = builder.trunc(bits, compress.bits_of(builder, data > 0.0).type)
    if CAN_COMPRESS:
        store_at(together, data.wrap(compress.moved_together(builder, data.value, mask)))
        lanes = compress.moved_together(builder, numbers_from(builder, _I64(0), vector.lanes), mask)
        store_at(places, data.wrap(builder.sitofp(lanes, data.value.type)))
    store_at(back, data.wrap(compress.put_back(builder, data.value, mask)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_masks(dtype):
    lanes = lanes_of(np.dtype(dtype).itemsize)
    address = parts.address(parts.Part("compress", "ipppp", emit, inspect.getsource(emit)), getattr(types, dtype))
    function = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * 4)(address)
    numbers, found = np.array(NUMBERS[:lanes], dtype), np.empty((3, lanes), dtype)
    for mask in np.random.default_rng(0).permutation(1 << lanes)[:2000]:
        function(mask, *(array.ctypes.data for array in (numbers, *found)))
        kept = np.flatnonzero([mask >> lane & 1 for lane in range(lanes)])
        together, back = numbers[kept], np.zeros(lanes, dtype)
        back[kept] = numbers[: len(kept)]
        if CAN_COMPRESS:
            np.testing.assert_array_equal(found[0, : len(kept)], together)
            np.testing.assert_array_equal(found[1, : len(kept)], kept)
        np.testing.assert_array_equal(found[2], back)


@pytest.mark.skipif(not CAN_COMPRESS, reason="nothing moves lanes together")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_some_among_others(dtype):
    lanes = lanes_of(np.dtype(dtype).itemsize)

    def emit_among(builder, vector, bits, all_bits, source, target):
        data = load_at(builder, vector, source)
        kind = compress.bits_of(builder, data > 0.0).type
        own, every = (builder.trunc(given, kind) for given in (bits, all_bits))
        store_at(target, data.wrap(compress.put_among(builder, data.value, own, every)))

    address = parts.address(
        parts.Part("among", "iipp", emit_among, inspect.getsource(emit_among)), getattr(types, dtype)
    )
    function = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(address)
    numbers, found = np.array(NUMBERS[:lanes], dtype), np.empty(lanes, dtype)
    rng = np.random.default_rng(0)
    for own, others in rng.integers(0, 1 << lanes, (2000, 2)):
        every = own | others
        function(own, every, numbers.ctypes.data, found.ctypes.data)
        wanted = np.zeros(lanes, dtype)
        wanted[np.flatnonzero([own >> lane & 1 for lane in range(lanes)])] = numbers[: int(own).bit_count()]
        listed = [lane for lane in range(lanes) if every >> lane & 1]
        np.testing.assert_array_equal(found[: len(listed)], wanted[listed])
