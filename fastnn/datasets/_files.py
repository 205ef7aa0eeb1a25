"""What all readers share: files opened with a bound on their memory, and the form in which data are handed over.

No reader takes more memory than its file can honestly need. An uncompressed file holds what its size says. A compressed
one may unpack to `MAX_RATIO` times its size, and to `FREE` bytes in any case; what wants more is refused while it is
unpacked, or before where a header says so. Images and the book's pickle unpack to 5 to 30 times their size.
"""

from __future__ import annotations  # so that help() shows types by their short names

import contextlib
import gzip
import io
import math
import os
import re
import stat
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
PathLike = str | os.PathLike[str]

MAX_RATIO = 100
FREE = 1 << 26

_STEP = 1 << 20  # bytes read at a time

# What pixels look like: whole numbers of a byte's range, some of them bright, and as many as a small image has.
_PIXEL_MAX, _BRIGHT, _MIN_PIXELS = 255, 128, 64

_MANY_CLASSES = 100  # more than so many are numbered with few gaps, or are quantities
_MOST_CLASSES = 1000  # more than so many are numbered without any
_FEW_CLASSES = 10  # labels below this are classes, however few samples there are


class DataFileError(ValueError):
    r"""A data file does not hold what its format promises.

    The message names the file, the place in it and what was expected there.

    Examples
    --------
    >>> import tempfile
    >>> from fastnn.datasets import DataFileError, read_csv
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "points.csv")
    ...     _ = path.write_text("1,0.5\n0,x\n1,2\n")
    ...     try:
    ...         X, y = read_csv(path)
    ...     except DataFileError as error:
    ...         print("Error:", error)
    Error: ...points.csv, line 2, column 2: expected a number, found 'x'
    """


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples from a file, and what the reader found out about them.

    Attributes
    ----------
    X : ndarray, shape (n, features)
        The samples as the file holds them, not scaled: float64 from CSV, else in the file's dtype.
    y : ndarray, shape (n,) or (n, outputs), or None
        Labels or targets: numbers, or text for labels that are names. None if there are none or they were not asked
        for.
    columns : tuple of str or None
        Names of the features, where the file names them.
    label : str, int or None
        The label's column in a CSV file: its name, or where there are no names its number, counted from 0.
    task : {"classes", "multilabel", "regression"} or None
        What `y` asks for. Text is classes. Fractions are a regression, and so are whole numbers with more different
        values than half the samples, unless all of them lie in 0 to 9, or with more than 100 that are scattered: the
        largest less the smallest is more than twice their count, or of more than 1000 not less than it. One-hot rows
        are classes, other rows of 0 and 1 are several labels at once, and other rows a regression. None without `y`.
    classes : ndarray or None
        The different labels in rising order, if the task is "classes" and `y` is flat.
    scale : float or None
        What to divide `X` by so that it lies in [0, 1]: 255 for what looks like images of bytes (64 features or more,
        whole numbers from 0 to 255 with some of at least 128), else None, as nothing is known.
    notes : tuple of str
        One line for each thing that a user may want to know: what was left out, filled in or taken for something.
    test : (X, y) or None
        The samples and labels for testing that some files bring along.
    categories : mapping or None
        Of a CSV file read with ``categories``: the columns of text by name (by number among the features where they
        have no names of their own), and for each the tuple of its texts, in the order of their columns in `X`. Give it
        to read later files in the same way.
    left_out : tuple of str or int
        The columns of a CSV file that were left out because they were to be: names, or where there are none numbers.
    """

    X: Array
    y: Array | None = None
    columns: tuple[str, ...] | None = None
    label: str | int | None = None
    task: str | None = None
    classes: Array | None = None
    scale: float | None = None
    notes: tuple[str, ...] = ()
    test: tuple[Array, Array] | None = None
    categories: Mapping[str | int, tuple[str, ...]] | None = None
    left_out: tuple[str | int, ...] = ()


# --- bounds ---


class Source:
    """An open file that may be compressed, and how much it can honestly hold."""

    def __init__(self, stream: BinaryIO, size: int, unpacked: _Unpacked | None = None) -> None:
        self.stream = stream
        self.size = size  # bytes of the file as it lies on the disk
        self._unpacked = unpacked

    @property
    def limit(self) -> int:
        """The most bytes that may come out of it; without compression, the bytes that will."""
        return unpacked_limit(self.size) if self._unpacked else self.size

    @property
    def is_packed(self) -> bool:
        """Whether it is compressed, so that its length shows at its end only."""
        return self._unpacked is not None

    def position(self) -> int:
        """How many bytes have come out of it, or a few more."""
        return self._unpacked.size if self._unpacked else self.stream.tell()

    def read_all(self) -> bytes:
        """What is left."""
        if not self.is_packed:
            return self.stream.read()
        return b"".join(iter(lambda: self.stream.read(_STEP), b""))


class _Unpacked(io.RawIOBase):
    """Reads gzip and stops where far more comes out than goes in."""

    def __init__(self, path: PathLike, packed: BinaryIO) -> None:
        self.size = 0
        self._path, self._packed = path, packed
        self._unpacked = gzip.GzipFile(fileobj=packed, mode="rb")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            count = self._unpacked.readinto(buffer)
        except (OSError, EOFError, zlib.error) as error:
            raise DataFileError(f"{self._path}: expected undamaged gzip-compressed data: {error}") from error
        self.size += count
        if self.size > unpacked_limit(self._packed.tell()):
            raise DataFileError(f"{self._path}: {_out_of_proportion('gunzip')}")
        return count


def unpacked_limit(size: int) -> int:
    """How many bytes may come out of so many compressed ones."""
    return max(FREE, MAX_RATIO * size)


def _out_of_proportion(remedy: str) -> str:
    return (
        f"expected compressed data that unpack to at most {MAX_RATIO} times their size (or {FREE >> 20} MB), "
        f"found more; if you trust the file, unpack it with {remedy} and give the result"
    )


def check_proportion(path: PathLike, unpacked: int, size: int, remedy: str) -> None:
    """Refuse what a header promises to unpack to, before it is unpacked."""
    if unpacked > unpacked_limit(size):
        raise DataFileError(f"{path}: {_out_of_proportion(remedy)}")


@contextlib.contextmanager
def open_bounded(path: PathLike) -> Iterator[Source]:
    """Open a file, unpacked while it is read if its content says that it is gzip-compressed."""
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode):
            packed: BinaryIO = file
            size = status.st_size
        elif stat.S_ISFIFO(status.st_mode):  # as from a shell's <(...); its writer answers for its length
            content = file.read()
            packed, size = io.BytesIO(content), len(content)
        else:
            raise DataFileError(f"{path}: expected a regular file or a pipe, found a device")
        start = packed.read(2)
        packed.seek(0)
        if start == b"\x1f\x8b":
            unpacked = _Unpacked(path, packed)
            yield Source(io.BufferedReader(unpacked, 1 << 16), size, unpacked)
        else:
            yield Source(packed, size)


def read_exactly(stream: Any, count: int) -> Array:
    """The next ``count`` bytes of a stream, or fewer if it ends before."""
    data = np.empty(count, np.uint8)
    view, filled = memoryview(data.data), 0
    while filled < count:
        got = stream.readinto(view[filled : filled + _STEP])
        if not got:
            break
        filled += got
    return data[:filled]


# --- checks and findings ---


def as_rows(X: Array) -> Array:
    """Images (n, height, width) and the like as (n, pixels)."""
    return X.reshape(len(X), math.prod(X.shape[1:]))  # not (n, -1), which cannot tell the width of no rows


def check_numbers(path: PathLike, name: str, dtype: Any, kinds: str = "biuf") -> None:
    """Refuse an array of anything else."""
    if dtype.kind not in kinds or dtype.subdtype is not None:
        raise DataFileError(f"{path}: expected {name} to hold numbers, found dtype {dtype}")


def check_shapes(path: PathLike, X: tuple[int, ...], y: tuple[int, ...] | None) -> None:
    """Refuse shapes that are no samples, or no labels for them. Images (n, height, width) are samples."""
    if len(X) < 2:
        raise DataFileError(f"{path}: expected X to have 2 dimensions, found shape {X}")
    if y is None:
        return
    if len(y) not in (1, 2):
        raise DataFileError(f"{path}: expected y to have 1 or 2 dimensions, found shape {y}")
    if X[0] != y[0]:
        raise DataFileError(f"{path}: expected as many labels as samples, found X {X} and y {y}")


def pixel_scale(lowest: float, highest: float, features: int) -> float | None:
    """What to divide whole numbers within these bounds by if they look like images of bytes."""
    looks_like_it = lowest >= 0 and _BRIGHT <= highest <= _PIXEL_MAX and features >= _MIN_PIXELS
    return float(_PIXEL_MAX) if looks_like_it else None


def scale_of(X: Array) -> float | None:
    """What to divide an array by if it looks like images of bytes."""
    if X.size == 0 or X.dtype.kind == "b":
        return None
    scale = pixel_scale(X.min(), X.max(), X.shape[1])
    return None if scale and X.dtype.kind == "f" and (np.floor(X) != X).any() else scale


def scale_note(scale: float | None) -> tuple[str, ...]:
    """What to tell about the scale."""
    return (f"the samples look like images with pixels from 0 to 255: scale={scale:g} suits",) if scale else ()


def task_of(y: Array, name: str = "y") -> tuple[str, tuple[str, ...]]:
    """What labels or targets ask for, and what to tell about it."""
    if y.ndim == 2:
        return _task_of_rows(y), ()
    if y.dtype.kind in "bUS" or y.size == 0:
        return "classes", ()
    fractions = np.flatnonzero(y != np.floor(y)) if y.dtype.kind == "f" else y[:0]
    if fractions.size or not np.isfinite(y).all():
        found = f" such as {y[fractions[0]]}" if fractions.size else ""
        return "regression", (f"{name} holds fractions{found}: taken for the targets of a regression",)
    different = len(np.unique(y))
    if (different > len(y) / 2 and not (y.min() >= 0 and y.max() < _FEW_CLASSES)) or _are_scattered(y, different):
        values = f"{different:,} different whole numbers among {len(y):,} samples"
        return "regression", (f"{name} holds {values}: taken for the targets of a regression, not for classes",)
    return "classes", ()


def _are_scattered(y: Array, different: int) -> bool:
    """Whether these are too many whole numbers with too much between them to be names of classes: prices, minutes."""
    spread = float(y.max()) - float(y.min())
    return different > _MANY_CLASSES and spread > (2 * different if different <= _MOST_CLASSES else different - 1)


def _task_of_rows(y: Array) -> str:
    if not ((y == 0) | (y == 1)).all():
        return "regression"
    is_one_hot = y.shape[1] > 1 and (np.count_nonzero(y, axis=1) == 1).all()
    return "classes" if is_one_hot else "multilabel"


def finished(
    X: Array, y: Array | None, test: tuple[Array, Array] | None = None, notes: tuple[str, ...] = ()
) -> Dataset:
    """A data set of arrays whose columns have no names."""
    scale = scale_of(X)
    task, task_notes = (None, ()) if y is None else task_of(y)
    classes = np.unique(y) if y is not None and y.ndim == 1 and task == "classes" else None
    return Dataset(
        X, y, task=task, classes=classes, scale=scale, notes=(*notes, *task_notes, *scale_note(scale)), test=test
    )


# --- labels in a file of their own ---

# What stands in the name of a file of images, and what in that of its labels.
_RENAMED = ((r"images", "labels"), (r"imgs", "labels"), (r"^X_", "y_"), (r"^x_", "y_"))
_IDX_ENDING = re.compile(r"[-.]idx\d*([-.][a-z]+)?(\.gz)?$", re.IGNORECASE)
_IDX_ENDINGS = [
    f"{mark}{ending}{packing}"
    for ending in ("idx1-ubyte", "idx1-int", "idx2-int", "idx1", "idx")
    for mark in "-."  # 7-Zip writes a dot, as the file was called before it was packed
    for packing in ("", ".gz")
]


def labels_beside(path: Path) -> Path | None:
    """The file with the labels for a file of images, None if this is not called like images.

    Labels may be packed or not, whatever the images are. The path returned need not exist.
    """
    for pattern, word in _RENAMED:
        renamed, count = re.subn(pattern, word, path.name)
        if count:
            break
    else:
        return None
    first = path.with_name(renamed.replace("idx3", "idx1"))
    stem = _IDX_ENDING.sub("", renamed)
    others = [path.with_name(stem + ending) for ending in _IDX_ENDINGS] if stem != renamed else []
    return next((candidate for candidate in (first, *others) if candidate.is_file()), first)
