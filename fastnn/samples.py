"""Samples as the kernels take them: from checked arrays, and how training will go through them."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import layout
from fastnn.kernels.buffers import SAMPLES_PER_LIST, Data
from fastnn.kernels.host import PANEL_VECTORS, SKIPPED_INPUTS, SKIPPED_SAMPLES, lanes_of
from fastnn.validation import UINT8, Features, InputScale, Targets

Array = NDArray[Any]
_INT64 = np.dtype(np.int64)
_UNSCALED = InputScale()
_NEAR_BYTES = 1 << 20  # of samples that a second-level cache may hold: there, asking ahead took longer than it spared
_DENSITY_SAMPLES = 256
_SPARSE_SHARE = 0.35
_SPARSE_INPUTS = 64
# Measured on images. Where steps add to weights in place, lists need not touch all of them: skipping zeros in common
# pays for many products, with AVX-512 alone. Other steps are then made on the way, and not in a pass of their own.
_COMMON_PRODUCTS, _COMMON_BATCH, _COMMON_UNITS = 3000, 32, 48  # of a batch and an input
_COMMON_STEPPED = {16: ((33, 1 << 62), (17, 16)), 8: ((64, 32),)}  # by lanes: so many units, and at most such a batch
_MOST_LANES = 16
_COMMON_BLOCKS, _COMMON_BLOCK = 4, 128  # of inputs, so that several threads have some; and inputs in a block, about
_COMMON_SAMPLES, _COMMON_INPUTS = 0.5, 0.33  # left of the inputs and of the samples, see kernels/skipping.py
_BLOCK_BYTES = 56 << 10  # of weights, of which a batch touches about half: what fits into a cache of 32 KB
_BLOCK_ENTRIES = 16  # in a block of a sample's list: what a list costs by itself should not show
_MOST_BLOCK_INPUTS = 1 << 15  # while a list of bytes is made, an input's number has 16 bits beside those of two samples


@lru_cache
def empty(dtype: Any) -> Array:
    """What kernels take for an absent array; one for each dtype."""
    return np.empty(0, dtype)


class _Borrowed:
    """Memory of an array, without the note that it is read-only."""

    def __init__(self, array: Array) -> None:
        self._owner = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


def _writeable(array: Array) -> Array:
    """The same memory in the one kind of array that kernels are compiled for; they never write to data."""
    return array if array.flags.writeable else np.asarray(_Borrowed(array))


def pack_data(X: Features, targets: Targets | None, sample_weight: Array | None, dtype: np.dtype[Any]) -> Data:
    """Checked arrays as the kernels take them, without copying; dense data for a dense first layer."""
    flat, numbers = _writeable(X.values.reshape(-1)), empty(dtype)
    # By place, not by name, and nothing asked twice: a prediction of one sample takes a few microseconds in all.
    inputs = (flat, numbers) if flat.dtype == UINT8 else (empty(UINT8), flat)
    entries = _writeable(X.indices), _writeable(X.starts)
    wanted = (empty(_INT64), numbers)
    if targets:
        wanted = _writeable(targets.labels), _writeable(targets.matrix.reshape(-1))
    weights = numbers if sample_weight is None else _writeable(sample_weight)
    pixels, features = inputs
    divisor, shift, factor = X.scale or _UNSCALED
    scale = divisor, numbers if shift is None else shift, numbers if factor is None else factor
    most = max(1, int(np.diff(X.starts).max())) if X.starts.size else 0
    classify = bool(targets and targets.classes)
    bits, blocks = empty(UINT8), int(most > 0)
    far, firsts = int(flat.nbytes > _NEAR_BYTES), empty(_INT64)
    return Data(pixels, *scale, features, *entries, *wanted, weights, classify, blocks, 0, most, bits, 0, firsts, far)


def dense_rows(data: Data, rows: Array, n_in: int, dtype: Any, columns: Array | None = None) -> Array:
    """Some samples (k, n_in) as a network sees them; of sparse ones (k, len(columns)) if only those have entries."""
    if data.starts.size:
        X = np.zeros((len(rows), n_in if columns is None else len(columns)), dtype)
        for i, row in enumerate(rows):
            entries = slice(data.starts[row], data.starts[row + 1])
            own, values = data.columns[entries], data.features[entries].astype(dtype)
            X[i, own if columns is None else np.searchsorted(columns, own)] = _as_read(data, values, own)
        return X
    if data.pixels.size:
        return _as_read(data, data.pixels.reshape(-1, n_in)[rows].astype(dtype))
    dense: Array = data.features.reshape(-1, n_in)[rows].astype(dtype, copy=False)
    return dense


def _as_read(data: Data, values: Array, columns: Any = slice(None)) -> Array:
    """Bytes, or entries of a sparse matrix in these columns, as kernels make of them."""
    if not data.factor.size:
        divided: Array = values / values.dtype.type(data.divisor)
        return divided
    shifted = values - data.shift[columns] if data.shift.size else values
    result: Array = shifted * data.factor[columns]
    return result


class Plan(NamedTuple):
    """How training will go through the first layer, and why."""

    blocks: int  # into which the inputs are cut; 0: dense
    reason: str
    skips: int = 0  # blocks of inputs, where zeros are skipped that neighbours have in common


class Outlook(NamedTuple):
    """What is known of a training before it begins."""

    batch_size: int
    adds: bool = True  # whether steps add to weights in place, or gradients to a buffer
    drops: bool = False  # whether inputs are left out by chance


def plan_first_layer(data: Data, sizes: tuple[int, ...], outlook: Outlook) -> Plan:
    """Skip the zeros of the inputs where they are many; judged by up to 256 samples spread over the data."""
    n_in, n_out = sizes[:2]
    batch_size, itemsize = outlook.batch_size, data.features.itemsize  # of the dtype, also where the data are bytes
    if data.starts.size > 0:
        share = data.features.size / ((data.starts.size - 1) * n_in)
        finding = f"X is a sparse matrix with {share:.1%} of its entries"
        return Plan(_blocks(n_in, share, batch_size, itemsize), f"sparse: {finding}")
    if data.shift.any():
        return Plan(0, "dense: the scale shifts inputs, so that zero does not stay zero")
    X = (data.pixels if data.pixels.size else data.features).reshape(-1, n_in)
    sample = X[:: max(1, len(X) // _DENSITY_SAMPLES)]
    share = np.count_nonzero(sample) / sample.size
    if n_in < _SPARSE_INPUTS:
        return Plan(0, f"dense: fewer than {_SPARSE_INPUTS} inputs")
    finding = f"{share:.0%} of the inputs are not zero"
    if share > _SPARSE_SHARE:
        return Plan(0, f"dense: {finding}")
    if _pays_in_common(n_out, lanes_of(itemsize), outlook) and _share_zeros(sample != 0):
        # What is left out is known row by row.
        blocks = 1 if outlook.drops else min(_COMMON_BLOCKS, -(-n_in // _COMMON_BLOCK))
        return Plan(0, f"sparse: {finding}, neighbours in common", blocks)
    return Plan(_blocks(n_in, share, batch_size, itemsize), f"sparse: {finding}")


def _pays_in_common(n_out: int, lanes: int, outlook: Outlook) -> bool:
    """Whether skipping zeros that neighbours share is faster than lists, if there are many such zeros."""
    batch_size = outlook.batch_size
    if outlook.adds:
        large = n_out >= _COMMON_UNITS and batch_size >= _COMMON_BATCH and n_out * batch_size >= _COMMON_PRODUCTS
        return large and lanes == _MOST_LANES
    return any(n_out >= units and batch_size <= most for units, most in _COMMON_STEPPED.get(lanes, ()))


def _share_zeros(marks: Array) -> bool:
    """Whether neighbours share so many of their zeros as those of images do."""
    samples, inputs = (
        np.logical_or.reduceat(marks, range(0, marks.shape[axis], count), axis).mean()
        for axis, count in enumerate((SKIPPED_SAMPLES, SKIPPED_INPUTS))
    )
    return bool(samples <= _COMMON_SAMPLES and inputs <= _COMMON_INPUTS)


def _blocks(n_in: int, share: float, batch_size: int, itemsize: int) -> int:
    """Into how many blocks to cut the inputs: weights of one should fit into the nearest cache, and lists be long."""
    weights = n_in * PANEL_VECTORS * lanes_of(itemsize) * itemsize
    fitting = -(-weights // _BLOCK_BYTES)
    wanted = 1 if batch_size <= SAMPLES_PER_LIST else min(fitting, int(share * n_in) // _BLOCK_ENTRIES)
    wanted = max(wanted, -(-n_in // _MOST_BLOCK_INPUTS))
    return -(-n_in // layout.block_size(n_in, wanted))
