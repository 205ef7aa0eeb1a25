"""Streams of common sources for ``Network.fit(stream=...)``: data that need not fit into memory.

Each can be gone through again and again, reads a chunk when it is wanted, and says how many samples its chunks hold
where that is known, so that every schedule goes with it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import validation

_ROWS = 65536


@dataclass(frozen=True)
class Stream:
    """Chunks that are made when they are wanted.

    Parameters
    ----------
    make : callable
        Returns an iterable of chunks ``(X, y)`` or ``(X, y, sample_weight)``, anew for every pass.
    chunk_sizes : tuple of int, optional
        How many samples every chunk holds. ``fit`` needs to know for schedules that count steps, and refuses more
        samples than that.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> def make():
    ...     for seed in range(3):
    ...         X = np.random.default_rng(seed).normal(size=(100, 2))
    ...         yield X, X[:, 0] > X[:, 1]
    >>> stream = fastnn.streams.Stream(make, chunk_sizes=(100, 100, 100))
    >>> fastnn.Network([2, 8, 2]).fit(stream=stream, epochs=5, schedule="cosine").stopped_by
    'epochs'
    """

    make: Callable[[], Iterable[Any]]
    chunk_sizes: tuple[int, ...] | None = None

    def __iter__(self) -> Iterator[Any]:
        return iter(self.make())


def _sizes(n: int, rows: int) -> tuple[int, ...]:
    """Chunks of so many rows, and a last one of what is left."""
    return (rows,) * (n // rows) + ((n % rows,) if n % rows else ())


def _missing(library: str, extra: str) -> ImportError:
    return ImportError(f'{library} is not installed: pip install "fastnn-engine[{extra}]"')


# --- Parquet ---


def parquet(
    path: str | PathLike[str] | Sequence[str | PathLike[str]],
    target: str | Sequence[str],
    *,
    sample_weight: str | None = None,
    rows: int = _ROWS,
) -> Stream:
    """The rows of Parquet files; needs the extra ``arrow``.

    Parameters
    ----------
    path : path-like or sequence of them
        The files, one after the other, with the same columns. A folder stands for the files in it that end in
        ``.parquet``, by their names.
    target : str or sequence of str
        The column that is y, or several for a y of that many columns. All other columns are X, but for an index of
        pandas, which it writes as a column, too.
    sample_weight : str, optional
        The column of weights.
    rows : int, default 65536
        In a chunk; the last one of a file may be smaller. A file's row groups should not be much larger: of these one
        is read at a time, as it is in the file.

    Returns
    -------
    Stream
        For ``Network.fit(stream=...)``; columns are known by their names.

    Raises
    ------
    ImportError
        If PyArrow is not installed.
    ValueError, TypeError
        If an argument is wrong, or there is no such column.
    OSError
        If a file cannot be read.

    Examples
    --------
    >>> import fastnn, pyarrow, pyarrow.parquet, tempfile, os  # doctest: +SKIP
    >>> path = os.path.join(tempfile.mkdtemp(), "flowers.parquet")  # doctest: +SKIP
    >>> table = pyarrow.table({"width": [1.0, 2.0, 3.0, 4.0], "kind": ["a", "a", "b", "b"]})  # doctest: +SKIP
    >>> pyarrow.parquet.write_table(table, path)  # doctest: +SKIP
    >>> net = fastnn.Network([1, 8, 2], scale="standard")  # doctest: +SKIP
    >>> net.fit(stream=fastnn.streams.parquet(path, target="kind"), epochs=5).epochs  # doctest: +SKIP
    [1, 2, 3, 4, 5]
    """
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise _missing("PyArrow", "arrow") from error
    validation.check_whole("rows", rows)
    given = [path] if isinstance(path, (str, PathLike)) else list(path)
    paths = [file for part in given for file in _files(part)]
    if not paths:
        raise ValueError(f"path must hold at least one file, or a folder with files *.parquet, got {path!r}")
    answers = [target] if isinstance(target, str) else list(target)
    own = [*answers, *([] if sample_weight is None else [sample_weight])]
    sizes: tuple[int, ...] = ()
    for part in paths:
        with ParquetFile(part) as file:
            names, n = file.schema_arrow.names, file.metadata.num_rows
        for argument, name in zip(("target",) * len(answers) + ("sample_weight",), own, strict=False):
            validation.check_name(argument, name, names)
        sizes += _sizes(n, rows)

    def make() -> Iterator[Any]:
        for part in paths:
            with ParquetFile(part) as file:
                for batch in file.iter_batches(batch_size=rows):
                    y = batch.column(target) if isinstance(target, str) else batch.select(answers)
                    weight = None if sample_weight is None else batch.column(sample_weight)
                    others = {*own, *_index_of_pandas(batch.schema)}
                    yield batch.select([name for name in batch.schema.names if name not in others]), y, weight

    return Stream(make, sizes)


def _files(path: str | PathLike[str]) -> list[Path]:
    """The file itself, or those in a folder."""
    return sorted(Path(path).glob("*.parquet")) if Path(path).is_dir() else [Path(path)]


def _index_of_pandas(schema: Any) -> list[str]:
    """The columns that a frame of pandas had as its index, which says nothing of the samples."""
    found = (schema.pandas_metadata or {}).get("index_columns", [])
    return [name for name in found if isinstance(name, str)]  # others are not stored as columns


# --- arrays ---


def arrays(X: Any, y: Any, sample_weight: Any = None, *, rows: int = _ROWS) -> Stream:
    """Slices of arrays: of ``.npy`` files, memory maps, or whatever has a shape and gives rows for a slice.

    Parameters
    ----------
    X : path-like or array-like (n, n_in)
        A path is one of an ``.npy`` file, which is mapped into memory and not loaded.
    y : path-like or array-like (n,) or (n, n_out)
        Likewise.
    sample_weight : path-like or array-like (n,), optional
        Likewise.
    rows : int, default 65536
        In a chunk; the last one may be smaller.

    Returns
    -------
    Stream
        For ``Network.fit(stream=...)``. Chunks come in the order of the arrays; to ``fit`` a memory map may also be
        passed as X itself, which puts its blocks in random order.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong, or the arrays do not have the same number of rows.
    OSError
        If a file cannot be read.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> X, y, Xt, yt = fastnn.datasets.load_digits()
    >>> stream = fastnn.streams.arrays(X, y, rows=500)
    >>> stream.chunk_sizes
    (500, 500, 437)
    >>> net = fastnn.Network([64, 30, 10])
    >>> history = net.fit(stream=stream, epochs=20)
    >>> net.evaluate(Xt, yt)["accuracy"] > 0.9
    True
    """
    validation.check_whole("rows", rows)
    given = {"X": X, "y": y} | ({} if sample_weight is None else {"sample_weight": sample_weight})
    columns = [_opened(name, values) for name, values in given.items()]
    n = columns[0].shape[0]
    for name, column in zip(given, columns, strict=True):
        if column.shape[0] != n:
            raise ValueError(f"{name} must have as many rows as X: expected {n}, got {column.shape[0]}")

    def make() -> Iterator[Any]:
        for first in range(0, n, rows):
            yield tuple(column[first : first + rows] for column in columns)

    return Stream(make, _sizes(n, rows))


def _opened(argument: str, values: Any) -> Any:
    """Something with rows that can be sliced."""
    if isinstance(values, (str, PathLike)):
        return np.load(values, mmap_mode="r", allow_pickle=False)
    found = values if hasattr(values, "shape") and hasattr(values, "__getitem__") else np.asarray(values)
    if not found.shape:
        raise TypeError(f"{argument} must be an array, or the path of an .npy file, got {type(values).__name__}")
    return found


# --- Dask ---


def dask(X: Any, y: Any, sample_weight: Any = None) -> Stream:
    """The blocks of Dask arrays, or the partitions of Dask frames, computed one at a time; needs the extra ``dask``.

    Parameters
    ----------
    X : Dask array (n, n_in) or DataFrame
        A block of rows is a chunk; columns are brought together.
    y : Dask array (n,) or (n, n_out), Series, or name of a column of X
        Cut where X is: an array is cut anew, a Series must have the partitions of X.
    sample_weight : Dask array (n,) or Series, or name of a column of X, optional
        Likewise.

    Returns
    -------
    Stream
        For ``Network.fit(stream=...)``. It is computed by Dask's own scheduler, or that of your client, in every
        epoch again. Blocks without a row are passed over.

    Raises
    ------
    ImportError
        If Dask is not installed.
    ValueError, TypeError
        If an argument is wrong.

    Examples
    --------
    >>> import dask.array, fastnn  # doctest: +SKIP
    >>> X = dask.array.random.normal(size=(10_000, 4), chunks=(1_000, 2))  # doctest: +SKIP
    >>> net = fastnn.Network([4, 16, 2])  # doctest: +SKIP
    >>> net.fit(stream=fastnn.streams.dask(X, X[:, 0] > 0), epochs=3).epochs  # doctest: +SKIP
    [1, 2, 3]
    """
    try:
        from dask.base import compute, is_dask_collection
    except ImportError as error:
        raise _missing("Dask", "dask") from error
    names = {name: values for name, values in (("y", y), ("sample_weight", sample_weight)) if isinstance(values, str)}
    given = {"X": X, "y": y, "sample_weight": sample_weight}
    for argument, values in given.items():
        if not (is_dask_collection(values) or argument in names or (argument == "sample_weight" and values is None)):
            wanted = "a Dask array or DataFrame" if argument == "X" else "one of Dask, or the name of a column of X"
            raise TypeError(f"{argument} must be {wanted}, got {type(values).__name__}")
    for argument, name in names.items():
        validation.check_name(argument, name, getattr(X, "columns", ()))
    cuts = X.chunks[0] if hasattr(X, "chunks") else None
    if cuts is not None and np.isnan(cuts).any():
        cuts = None  # a frame's array does not know
    parts = {argument: _blocks(given[argument], cuts) for argument in given if is_dask_collection(given[argument])}
    for argument, blocks in parts.items():
        if len(blocks) != len(parts["X"]):
            raise ValueError(f"{argument} must be cut where X is, into {len(parts['X'])} blocks, got {len(blocks)}")

    def make() -> Iterator[Any]:
        columns = [parts.get(argument, repeat(None)) for argument in given]
        for blocks in zip(*columns, strict=False):
            part, *others = compute(*blocks)
            if len(part):
                kept = part.drop(columns=list(names.values())) if names else part
                yield (
                    kept,
                    *(
                        part[names[argument]] if argument in names else values
                        for argument, values in zip(("y", "sample_weight"), others, strict=True)
                    ),
                )

    return Stream(make, None if cuts is None else tuple(int(size) for size in cuts if size))


def _blocks(values: Any, cuts: Any) -> list[Any]:
    """The blocks of rows, each still to be computed."""
    if hasattr(values, "chunks"):
        wanted = dict.fromkeys(range(1, values.ndim), -1)
        values = values.rechunk(wanted if cuts is None else {0: cuts, **wanted})
        return list(values.to_delayed().ravel())
    return list(values.to_delayed())
