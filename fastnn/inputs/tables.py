"""Frames and arrays as one numeric array, with the names of its columns.

No library of frames is imported: a frame is what has columns and hands them out one by one.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import validation

Array = NDArray[Any]
Names = tuple[str, ...] | None

_NOT_STORED = ("__array_interface__", "__dlpack__", "tocsr", "toarray", "columns", "column_names")
_CLOSE = 4  # rows that lie within so many times as many are read together


class Table(NamedTuple):
    """Numbers, or a sparse matrix, and what its columns are called."""

    values: Any
    names: Names
    numbered: bool = False  # whether it is a frame whose columns nobody has named: pandas numbers them


class Stored:
    """Rows of something that keeps them elsewhere and hands slices of them out: a data set of h5py, an array of zarr.

    Parameters
    ----------
    given : object
        See ``is_stored``.
    """

    def __init__(self, given: Any) -> None:
        self._given = given
        self.shape, self.dtype = tuple(map(int, given.shape)), given.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, places: Any) -> Array:
        """By slices, or by the numbers of rows, of which not every library takes any."""
        if not isinstance(places, np.ndarray):
            return np.asarray(self._given[places])
        first, end = int(places.min()), int(places.max()) + 1
        if end - first <= _CLOSE * len(places):
            together: Array = np.asarray(self._given[first:end])[places - first]
            return together
        return np.concatenate([np.asarray(self._given[row : row + 1]) for row in places.tolist()])


def is_stored(values: Any) -> bool:
    """Whether values are shaped like samples and hand out slices, but are no array in memory, no frame, not sparse."""
    dtype, shape = getattr(values, "dtype", None), getattr(values, "shape", None)
    if isinstance(values, np.ndarray) or not isinstance(dtype, np.dtype) or not isinstance(shape, tuple):
        return False
    numbers = dtype.kind in "fiub" and len(shape) == 2 and hasattr(values, "__getitem__")
    numbers = numbers and all(isinstance(size, (int, np.integer)) for size in shape)  # Dask may not know how many
    return numbers and not any(hasattr(values, name) for name in _NOT_STORED)


class _Frame(NamedTuple):
    names: tuple[Any, ...]
    column: Callable[[int], Any]


def _frame(argument: str, values: Any) -> _Frame | None:
    """Names and columns of a frame of pandas, Polars, PyArrow or of their kind."""
    if hasattr(values, "column_names") and hasattr(values, "column"):  # PyArrow: its ``columns`` are the data
        return _Frame(tuple(values.column_names), values.column)
    if not hasattr(values, "to_numpy") and not hasattr(values, "__array__"):
        for method in ("collect", "compute"):
            if hasattr(values, method):
                raise TypeError(
                    f"{argument} must be in memory, got a {type(values).__name__}: pass {argument}.{method}()"
                )
        return None
    if not hasattr(values, "columns"):
        return None
    names = tuple(values.columns)
    if hasattr(values, "iloc"):
        return _Frame(names, lambda i: values.iloc[:, i])
    return _Frame(names, lambda i: values[:, i])


def names_of(argument: str, values: Any) -> Names:
    """What the columns of a frame are called; None of anything else, and where nobody has named them."""
    return with_names(argument, values, None).names


def with_names(argument: str, values: Any, array: Any) -> Table:
    """What was read from values, with the names of their columns."""
    frame = None if type(values) is np.ndarray or hasattr(values, "tocsr") else _frame(argument, values)
    if frame is None:
        return Table(array, None)
    names = _names(frame)
    return Table(array, names, names is None)


def _names(frame: _Frame) -> Names:
    named = frame.names != tuple(range(len(frame.names)))  # pandas numbers what nobody has named
    return tuple(map(str, frame.names)) if named else None


def read_table(argument: str, values: Any, missing: bool = False) -> Table:
    """A numeric array of any dtype, or a sparse matrix as CSR; with ``missing``, NaN where there is no value."""
    if type(values) is np.ndarray:
        return Table(validation.check_numeric(argument, values, missing), None)
    if hasattr(values, "tocsr"):
        return Table(values.tocsr(), None)
    if is_stored(values):
        values = Stored(values)[:]  # it need not make an array of itself
    frame = _frame(argument, values)
    if frame is None:
        return Table(validation.check_numeric(argument, values, missing), None)
    names = _names(frame)
    if _is_uniform(values):
        return Table(np.asarray(values), names, names is None)
    columns = [_column(argument, name, frame.column(i), missing) for i, name in enumerate(frame.names)]
    if not columns:
        return Table(np.empty((len(values), 0)), names)
    return Table(np.column_stack(columns), names, names is None)


def count_samples(argument: str, values: Any) -> int:
    """How many there are, in whatever they come in."""
    try:
        return int(values.shape[0]) if hasattr(values, "shape") else len(values)
    except ValueError:  # not a number: Dask does not know before it has computed them
        raise TypeError(f"{argument} must have a known number of rows, got shape {values.shape}") from None
    except (TypeError, IndexError):
        raise TypeError(f"{argument} must hold samples (n, n_in), got {type(values).__name__}") from None


def check_order(X: Any, given: Mapping[str, Any]) -> None:
    """Refuse what has the index of X in another order: pandas would put it right, here rows go by their places."""
    index = _index(X)
    for argument, values in given.items():
        other = _index(values)
        if index is None or other is None or len(index) != len(other) or index.equals(other):
            continue
        if index.is_unique and other.is_unique and other.isin(index).all():
            raise ValueError(
                f"{argument} must have its rows in the order of X, got the index of X in another order: pass "
                f"{argument}.loc[X.index], or {argument}.to_numpy() if its rows are meant in this order"
            )


def _index(values: Any) -> Any:
    """The index of what pandas has made, None of anything else."""
    return values.index if hasattr(values, "iloc") else None


def cut_samples(values: Any, rows: Array) -> Any:
    """Some of the samples, or of their answers, in whatever these are."""
    if hasattr(values, "iloc"):
        return values.iloc[rows]
    if hasattr(values, "tocsr"):
        return values.tocsr()[rows]
    if hasattr(values, "column_names"):  # PyArrow
        return values.take(rows)
    if is_stored(values):
        return Stored(values)[rows]
    return values[rows] if hasattr(values, "shape") else [values[i] for i in rows]


def _is_uniform(values: Any) -> bool:
    """Whether the frame itself makes a numeric array, without a detour by objects."""
    dtypes = list(getattr(values, "dtypes", [None]))
    return all(isinstance(dtype, np.dtype) and dtype.kind in "fiu" for dtype in dtypes)


def _column(argument: str, name: Any, column: Any, missing: bool) -> Array:
    array = np.asarray(column)
    if array.ndim != 1:
        raise ValueError(f"{argument} must hold one number in a cell, got shape {array.shape} in column {name!r}")
    if array.dtype.kind in "fiub":
        return array
    if array.dtype.kind in "OUT":
        return validation.numbers_of(argument, array.astype(object), missing, lambda place: _place(name, place[0]))
    cure = validation.TIME_CURE if array.dtype.kind in "mM" else validation.TEXT_CURE
    raise TypeError(f"{argument} must hold real numbers, got {array.dtype} in column {name!r}{cure}")


def _place(name: Any, row: int) -> str:
    return f"in column {name!r}, row {row}"


def describe_place(names: Names, place: tuple[int, ...]) -> str:
    """Where something stands: by column name and row, or by numbers."""
    if names is not None and len(place) == 2:
        return _place(names[place[1]], place[0])
    return validation.place_text(place)


def put_right(argument: str, table: Table, known: Names, n_columns: int) -> Table:
    """The table with its columns in the order of the first fit's, as far as either is known.

    Numbers of columns that nobody has named count as names where some frame has them in another order.
    """
    numbers = tuple(map(str, range(n_columns)))
    if table.numbered and known is not None and sorted(known) == sorted(numbers):
        table = table._replace(names=numbers)
    elif known is None and table.names is not None and sorted(table.names) == sorted(numbers):
        known = numbers
    return in_order(argument, table, known)


def in_order(argument: str, table: Table, known: Names) -> Table:
    """The table with its columns in the order of ``known``; other columns are refused."""
    if known is None or table.names is None or table.names == known:
        return table
    check_columns(argument, table.names, known)
    order = [table.names.index(name) for name in known]
    return Table(table.values[:, order], known)


def check_columns(argument: str, names: Names, known: Names) -> None:
    """Refuse other columns than those that are known, in whatever order; nothing is said of those without a name."""
    if known is None or names is None or names == known:
        return
    lacking = [name for name in known if name not in names]
    unknown = [name for name in names if name not in known]
    if lacking or unknown or len(set(known)) < len(known) or len(names) != len(known):
        wrong = [f"{word} {_listed(names)}" for word, names in (("lacks", lacking), ("has", unknown)) if names]
        raise ValueError(
            f"{argument} must have the columns of the first fit, {_listed(known)}, but "
            f"{' and '.join(wrong) or f'has {_listed(names)}'}"
        )


def _listed(names: Any) -> str:
    shown = ", ".join(map(repr, names[:8]))
    return shown + (f" and {len(names) - 8} more" if len(names) > 8 else "")
