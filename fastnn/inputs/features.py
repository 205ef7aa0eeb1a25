"""Samples as kernels take them: checked, scaled, contiguous."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import validation
from fastnn.inputs.scaling import Scaling
from fastnn.inputs.tables import Names, Stored, Table, describe_place
from fastnn.validation import UINT8, Features

Array = NDArray[Any]

_NO_INDICES, _NO_STARTS = np.empty(0, np.int32), np.empty(0, np.int64)
_LARGEST_BYTE = 255.0
_NUMBERS_TOGETHER = 1 << 20  # numbers that are looked at together


def check_shape(argument: str, table: Table, n_columns: int, note: str = "") -> None:
    """Refuse anything but at least one sample of ``n_columns`` numbers."""
    shape = table.values.shape
    if len(shape) != 2 or shape[1] != n_columns:
        hint = f"; for one sample pass np.atleast_2d({argument})" if shape == (n_columns,) else note
        raise ValueError(f"{argument} must have shape (n, {n_columns}), got {validation.shape_text(shape)}{hint}")
    if shape[0] == 0:
        raise ValueError(f"{argument} must hold at least one sample, got shape {validation.shape_text(shape)}")


def check_values(argument: str, array: Array, names: Names, missing: bool, rows: Any = None) -> None:
    """Refuse infinity and, unless values may be missing, NaN; ``rows`` are the numbers of rows among many."""

    def describe(place: tuple[int, ...]) -> str:
        row, *others = place
        cure = validation.MISSING_CURE if np.isnan(array[place]) else ""
        return describe_place(names, place if rows is None else (rows[row], *others)) + cure

    validation.check_finite(argument, array, describe, missing)


def check_stored(argument: str, values: Stored, missing: bool) -> None:
    """The same for rows that are not in memory, a few at a time."""
    size = max(1, _NUMBERS_TOGETHER // values.shape[1])
    for first in range(0, len(values), size):
        check_values(argument, values[first : first + size], None, missing, range(first, first + size))


def as_is(array: Array) -> Features:
    """Samples in the network's dtype, C-contiguous, that nothing is to be done to."""
    return Features(array, _NO_INDICES, _NO_STARTS, len(array))


def dense_features(argument: str, table: Table, scaling: Scaling, dtype: np.dtype[Any], finite: bool) -> Features:
    """Samples of any numeric dtype, taken at face value and scaled.

    With ``finite=False`` an array that is used as it is may still hold NaN and infinity, and its taker has to look.
    """
    array, scale = table.values, None
    if array.dtype == UINT8:
        scale = scaling.in_kernels(dtype, False, _LARGEST_BYTE)
    if scale is not None:
        kept = np.ascontiguousarray(array)
    elif scaling.common == 1 and array.dtype == dtype:
        kept = np.ascontiguousarray(array)
        if finite:
            check_values(argument, kept, table.names, missing=False)
    else:
        kept = _scaled(argument, table, scaling, dtype)
    return Features(kept, _NO_INDICES, _NO_STARTS, len(array), scale)


def are_used_in_place(array: Array, scaling: Scaling, dtype: np.dtype[Any]) -> bool:
    """Whether kernels take these samples from where they are."""
    bytes_are = array.dtype == UINT8 and scaling.in_kernels(dtype, False, _LARGEST_BYTE) is not None
    ready = bytes_are or (scaling.common == 1 and array.dtype == dtype)
    return ready and array.flags.c_contiguous


def _scaled(argument: str, table: Table, scaling: Scaling, dtype: np.dtype[Any]) -> Array:
    array = table.values
    if scaling.common == 1:
        with np.errstate(all="ignore"):
            result = np.ascontiguousarray(array, dtype=dtype)
    else:
        result = scaling.apply(array, dtype)
    # NaN and infinity come through, so that one look is enough; the user's own numbers make the clearer message.
    _check_range(argument, result, dtype, lambda: check_values(argument, array, table.names, scaling.fills))
    return result


def _check_range(argument: str, result: Array, dtype: np.dtype[Any], explain: Callable[[], None]) -> None:
    """Refuse what is not finite; ``explain`` raises where it was not from the start."""
    try:
        validation.check_finite(argument, result)
    except ValueError:
        explain()
        raise ValueError(f"{argument} must fit into {dtype.name}, but holds numbers beyond its range") from None


def checked_csr(argument: str, matrix: Any) -> Any:
    """A SciPy CSR matrix whose numbers can be trusted, and stay so, with its columns in order.

    Kernels do not look where an index leads: what they are given is a copy that nobody else can change.
    """
    n, n_in = matrix.shape
    for name in ("indices", "indptr"):
        kind = getattr(matrix, name).dtype
        if kind.kind not in "iu":
            raise TypeError(f"{argument}.{name} must hold whole numbers, got dtype {kind}")
    # Looked at after copying. SciPy trusts them, and would take Python down with it.
    values, indices, starts = matrix.data.copy(), matrix.indices.copy(), matrix.indptr.copy()
    broken = indices.size > 0 and (indices.min() < 0 or indices.max() >= n_in)
    room = min(indices.size, values.size)
    if broken or len(starts) != n + 1 or starts[0] != 0 or starts[-1] > room or (np.diff(starts) < 0).any():
        raise ValueError(f"{argument} must be a valid sparse matrix, got one whose indices do not fit its shape")
    validation.check_finite(f"{argument}.data", validation.check_numeric(f"{argument}.data", values))
    matrix = type(matrix)((values, indices, starts), shape=matrix.shape)
    rising = np.diff(indices) > 0
    rising[starts[(starts > 0) & (starts < indices.size)] - 1] = True  # from one row to the next
    if not rising.all():  # a column twice in a row, or columns out of order: allowed, but not what kernels take
        matrix.has_sorted_indices = matrix.has_canonical_format = False  # a note may be older than the indices
        matrix.sum_duplicates()
    return matrix


def sparse_features(argument: str, matrix: Any, scaling: Scaling, dtype: np.dtype[Any]) -> Features:
    """A checked CSR matrix, scaled or to be scaled by kernels; refused where zero would not stay zero."""
    if scaling.shifts:
        raise ValueError(
            f"{argument} must be dense, got a sparse {type(matrix).__name__}: the scale that this network has learned "
            f"shifts its inputs, so that zero does not stay zero; pass {argument}.toarray()"
        )
    if scaling.indicators:
        raise ValueError(f'{argument} must be dense where missing="indicator", got a sparse {type(matrix).__name__}')
    entries = matrix.indptr[-1]
    indices = np.ascontiguousarray(matrix.indices[:entries], np.int32)
    starts, values, scale = np.ascontiguousarray(matrix.indptr, np.int64), matrix.data[:entries], None
    if values.dtype == dtype:
        largest = max(-float(values.min(initial=0)), float(values.max(initial=0)))
        scale = scaling.in_kernels(dtype, True, largest)
    if scale is None:
        values = scaling.apply_sparse(values, indices, dtype)
        _check_range(f"{argument}.data", values, dtype, lambda: None)  # it was finite
    return Features(np.ascontiguousarray(values), indices, starts, matrix.shape[0], scale)
