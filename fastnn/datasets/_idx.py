"""IDX, the format of the MNIST files."""

from __future__ import annotations  # so that help() shows types by their short names

import math
from pathlib import Path
from typing import Any

import numpy as np

from fastnn.datasets._files import (
    MAX_RATIO,
    Array,
    DataFileError,
    Dataset,
    PathLike,
    Source,
    as_rows,
    finished,
    labels_beside,
    open_bounded,
    read_exactly,
)

# The third byte of an IDX file says what its numbers are; all of them are big-endian.
_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

_QMNIST_LABELS = 8  # columns in QMNIST's extended labels: the class, then where it comes from


def read_idx(path: PathLike) -> Array:
    """Read one array from an IDX file, the format of the MNIST files, raw or gzip-compressed.

    Parameters
    ----------
    path : str or path-like
        The file. Compression is recognised by content, whatever the name.

    Returns
    -------
    ndarray
        The array in the file's shape, writable, in the machine's byte order: uint8, int8, int16, int32,
        float32 or float64, as the file says.

    Raises
    ------
    DataFileError
        If the file is no IDX file, is cut short, has bytes left over, or promises more than a file of its size can
        hold: it is not read then.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "labels-idx1-ubyte")
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    with open_bounded(path) as source:
        dtype, shape = _header(path, source)
        start = 4 + 4 * len(shape)
        # math.prod counts in Python's integers: a forged shape cannot overflow it.
        expected = math.prod(shape) * dtype.itemsize
        data = np.empty(0, np.uint8)
        if start + expected <= source.limit:
            data = read_exactly(source.stream, expected)
        elif source.is_packed:
            raise DataFileError(
                f"{path}, byte {start}: expected at most {MAX_RATIO} times the file's {source.size} bytes, as "
                f"compressed data go, found a header that promises {expected} bytes for {dtype.name} of shape {shape}"
            )
        found = len(data) + _count_rest(source)
    if found != expected:
        problem = "the file is cut short" if found < expected else "the file has bytes left over"
        raise DataFileError(
            f"{path}, byte {start}: expected {expected} bytes for {dtype.name} of shape {shape}, "
            f"found {found}: {problem}"
        )
    try:
        return data.view(dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
    except ValueError as error:  # one dimension is 0, and another more than NumPy can count
        raise DataFileError(f"{path}, byte 4: expected a shape that NumPy can hold, found {shape}") from error


def _header(path: PathLike, source: Source) -> tuple[np.dtype[Any], tuple[int, ...]]:
    start = source.stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0":
        found = start.hex(" ") or "an empty file"
        raise DataFileError(f"{path}, byte 0: expected two zero bytes, a type code and a count, found {found}")
    code, ndim = start[2], start[3]
    if code not in _DTYPES:
        known = ", ".join(f"0x{known:02x}" for known in _DTYPES)
        raise DataFileError(f"{path}, byte 2: expected an IDX type code ({known}), found 0x{code:02x}")
    if not 1 <= ndim <= 32:  # NumPy 1 ends at 32
        raise DataFileError(f"{path}, byte 3: expected 1 to 32 dimensions, found {ndim}")
    sizes = source.stream.read(4 * ndim)
    if len(sizes) < 4 * ndim:
        raise DataFileError(
            f"{path}, byte 4: expected {ndim} dimensions of 4 bytes each, found {len(sizes)} bytes: "
            "the file is cut short"
        )
    shape = tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, 4 * ndim, 4))
    return np.dtype(_DTYPES[code]), shape


def _count_rest(source: Source) -> int:
    if not source.is_packed:
        return source.size - source.stream.tell()
    return sum(map(len, iter(lambda: source.stream.read(1 << 20), b"")))


def read_images(path: Path, needs_labels: bool) -> Dataset:
    """Read images as (n, pixels), and the labels from the file beside them."""
    if not needs_labels:
        return finished(as_rows(read_idx(path)), None)
    labels_path = labels_beside(path)
    if labels_path is None:
        raise DataFileError(
            f"{path}: expected an IDX file with 'images' in its name, so that its labels can be found in the "
            "file with 'labels' there (one IDX file alone is read by read_idx)"
        )
    X, labels = as_rows(read_idx(path)), read_idx(labels_path)
    notes: tuple[str, ...] = ()
    if labels.ndim == 2 and labels.shape[1] == _QMNIST_LABELS:
        labels = labels[:, 0]
        notes = (f"the labels are the first of the {_QMNIST_LABELS} columns in {labels_path.name}, as in QMNIST",)
    if labels.shape != X.shape[:1]:
        raise DataFileError(
            f"{labels_path}: expected {len(X)} labels, one for each image in {path.name}, "
            f"found an array of shape {labels.shape}"
        )
    return finished(X, labels.astype(np.int64) if labels.dtype.kind in "iu" else labels, notes=notes)
