"""Readers for the file formats that small data sets come in: IDX, CSV, npz and the book's pickle.

Every reader either returns complete, checked NumPy arrays or raises an error that names the file, the place
in it and what was expected there. None of them runs code that a file brings along.
"""

import gzip
import io
import math
import os
import pickle
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from fastnn.validation import check_whole

__all__ = ["DataFileError", "read", "read_csv", "read_idx", "read_mnist_pickle", "read_npz"]

Array = NDArray[Any]
PathLike = str | os.PathLike[str]


class DataFileError(ValueError):
    r"""A data file does not hold what its format promises.

    The message names the file, the place in it and what was expected there.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "points.csv")
    ...     _ = path.write_text("1,0.5\n0,x\n")
    ...     try:
    ...         X, y = read_csv(path)
    ...     except DataFileError as error:
    ...         print("Error:", error)
    Error: ...points.csv, line 2, column 2: expected a number between commas, found 'x'
    """


def read(path: PathLike) -> tuple[Array, Array]:
    r"""Read samples and their labels from a file, in the format that its ending names.

    Parameters
    ----------
    path : str or path-like
        ``*.npz`` is read by `read_npz`; ``*.csv`` and ``*.csv.gz`` by `read_csv`, with the label in the first
        column. IDX files (``*-idx3-ubyte``, ``*.idx3-ubyte``, ``*.idx`` and the like, also with ``.gz``) come
        in pairs: give the images file, and the labels are read from the file beside it that has ``labels``
        where this one has ``images``, and ``idx1`` where this one has ``idx3``.

    Returns
    -------
    X : ndarray, shape (n, features)
        The samples, one a row. IDX images keep their dtype, so pixels of 0 to 255 stay uint8.
    y : ndarray, shape (n,), or for npz also (n, outputs)
        The labels or targets. Whole-number labels from IDX and CSV files are int64.

    Raises
    ------
    DataFileError
        If the ending is unknown or the file is malformed.
    FileNotFoundError
        If there is no such file, or no labels file beside an IDX images file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "points.csv")
    ...     _ = path.write_text("label,a,b\n1,0.5,2\n0,1.5,-3\n")
    ...     X, y = read(path)
    >>> X
    array([[ 0.5,  2. ],
           [ 1.5, -3. ]])
    >>> y
    array([1, 0])
    """
    name = Path(path).name.lower()
    if name.endswith(".npz"):
        return read_npz(path)
    if name.endswith((".csv", ".csv.gz")):
        return read_csv(path)
    if re.search(r"idx\d*(-ubyte)?(\.gz)?$", name):
        return _read_idx_pair(Path(path))
    raise DataFileError(
        f"{path}: cannot tell the format from the name; expected one that ends in .npz, .csv, .csv.gz or an "
        "IDX ending such as -idx3-ubyte.gz (a pickle such as mnist.pkl.gz is read by read_mnist_pickle)"
    )


# IDX


# The third byte of an IDX file says what its numbers are; all of them are big-endian.
_IDX_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


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
        If the file is no IDX file, is cut short, or has bytes left over.
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
    data = _read_bytes(path)
    dtype, shape = _idx_header(path, data)
    start = 4 + 4 * len(shape)
    # math.prod counts in Python's integers: a forged shape cannot overflow it.
    expected, found = math.prod(shape) * dtype.itemsize, len(data) - start
    if found != expected:
        problem = "the file is cut short" if found < expected else "the file has bytes left over"
        raise DataFileError(
            f"{path}, byte {start}: expected {expected} bytes for {dtype.name} of shape {shape}, "
            f"found {found}: {problem}"
        )
    try:
        flat = np.frombuffer(data, dtype, offset=start) if found else np.empty(0, dtype)
        return flat.reshape(shape).astype(dtype.newbyteorder("="))
    except ValueError as error:  # one dimension is 0, and another more than NumPy can count
        raise DataFileError(f"{path}, byte 4: expected a shape that NumPy can hold, found {shape}") from error


def _idx_header(path: PathLike, data: bytes) -> tuple[np.dtype[Any], tuple[int, ...]]:
    if len(data) < 4 or data[:2] != b"\0\0":
        found = data[:4].hex(" ") or "an empty file"
        raise DataFileError(f"{path}, byte 0: expected two zero bytes, a type code and a count, found {found}")
    code, ndim = data[2], data[3]
    if code not in _IDX_DTYPES:
        known = ", ".join(f"0x{known:02x}" for known in _IDX_DTYPES)
        raise DataFileError(f"{path}, byte 2: expected an IDX type code ({known}), found 0x{code:02x}")
    if not 1 <= ndim <= 32:  # NumPy 1 ends at 32
        raise DataFileError(f"{path}, byte 3: expected 1 to 32 dimensions, found {ndim}")
    stop = 4 + 4 * ndim
    if len(data) < stop:
        raise DataFileError(
            f"{path}, byte 4: expected {ndim} dimensions of 4 bytes each, found {len(data) - 4} bytes: "
            "the file is cut short"
        )
    shape = tuple(int.from_bytes(data[i : i + 4], "big") for i in range(4, stop, 4))
    return np.dtype(_IDX_DTYPES[code]), shape


def _read_idx_pair(path: Path) -> tuple[Array, Array]:
    """Read images as (n, pixels), and the labels from the file beside them."""
    if "images" not in path.name:
        raise DataFileError(
            f"{path}: expected an IDX file with 'images' in its name, so that its labels can be found in the "
            "file with 'labels' there (one IDX file alone is read by read_idx)"
        )
    labels_path = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    images, labels = read_idx(path), read_idx(labels_path)
    if labels.shape != images.shape[:1]:
        raise DataFileError(
            f"{labels_path}: expected {len(images)} labels, one for each image in {path.name}, "
            f"found an array of shape {labels.shape}"
        )
    # Not reshape(n, -1), which cannot tell the width of no rows.
    X = images.reshape(len(images), math.prod(images.shape[1:]))
    return X, labels.astype(np.int64) if labels.dtype.kind in "iu" else labels


# CSV


# Text parsed at a time: large enough to hide the cost of the NumPy calls, small enough to stay in cache.
_CHUNK = 1 << 18

_NEWLINE, _COMMA, _ZERO = b"\n,0"

# Whole numbers up to here, and so all of up to 15 digits, are exact in float64.
_EXACT = 2**53
_MAX_DIGITS = 15


@overload
def read_csv(path: PathLike, label_column: int = 0) -> tuple[Array, Array]: ...
@overload
def read_csv(path: PathLike, label_column: None) -> Array: ...
def read_csv(path: PathLike, label_column: int | None = 0) -> tuple[Array, Array] | Array:
    r"""Read numbers from a comma-separated text file, with or without a header line.

    The first line is a header, and skipped, if there is text in its label field, or text somewhere and a
    number nowhere. Spaces around numbers, any kind of line end, a byte order mark, a missing final line end
    and blank lines at the end are fine. Numbers may have signs, fractions and exponents, and each becomes the
    nearest float64; ``nan`` and ``inf`` are numbers too, an empty field is not.

    Parameters
    ----------
    path : str or path-like
        The file, raw or gzip-compressed (recognised by content).
    label_column : int or None, default 0
        The column that holds the label or target, counted from 0; negative numbers count from the last
        column. None if there is no such column.

    Returns
    -------
    X : ndarray of float64, shape (n, features)
        All columns but the label's.
    y : ndarray of int64 or float64, shape (n,)
        The label column: int64 if all of it is whole numbers, else float64. With ``label_column=None``, `X`
        is returned alone.

    Raises
    ------
    TypeError
        If `label_column` is neither a whole number nor None.
    DataFileError
        If a line has more or fewer fields than the first, a field is not a number, there are no data, or
        there is no such column.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "points.csv")
    ...     _ = path.write_text("a,b,label\n0.5,2,1\n1.5,-3e2,0\n")
    ...     X, y = read_csv(path, label_column=-1)
    >>> X
    array([[   0.5,    2. ],
           [   1.5, -300. ]])
    >>> y
    array([1, 0])
    """
    if label_column is not None:
        check_whole("label_column", label_column, at_least=None)
    text = _read_csv_text(path)
    start = text.index(b"\n") + 1
    if not _is_header(text[: start - 1].split(b","), label_column):
        start = 0
    if start == len(text) or text == b"\n":
        line = 2 if start else 1
        raise DataFileError(f"{path}, line {line}: expected a line of numbers, found the end of the file")
    rows = text.count(b"\n", start)
    columns = text.count(b",", start, text.index(b"\n", start)) + 1
    blocks = _parse_csv(path, text, start, columns)
    if label_column is None:
        X = np.empty((rows, columns))
        for row, values in blocks:
            X[row : row + len(values)] = values
        return X
    label = _label_index(path, label_column, columns)
    X, y = np.empty((rows, columns - 1)), np.empty(rows)
    for row, values in blocks:
        here = slice(row, row + len(values))
        X[here, :label] = values[:, :label]
        X[here, label:] = values[:, label + 1 :]
        y[here] = values[:, label]
    is_whole = bool(np.all(y == np.floor(y)) and np.all(np.abs(y) <= _EXACT))
    return X, y.astype(np.int64) if is_whole else y


def _read_csv_text(path: PathLike) -> bytes:
    """Read the file as lines that all end in one newline, without blank ones at the end."""
    text = _read_bytes(path).removeprefix(b"\xef\xbb\xbf")
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return text.rstrip() + b"\n"


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return b"_" not in field  # Python takes 1_000 for a number; in a data file it is damage


def _is_header(fields: list[bytes], label_column: int | None) -> bool:
    # An empty field is no text: a missing value must not make the first line of data vanish as a header.
    is_text = [bool(field.strip()) and not _is_number(field) for field in fields]
    if label_column is not None and -len(fields) <= label_column < len(fields) and is_text[label_column]:
        return True
    return any(is_text) and not any(map(_is_number, fields))


def _label_index(path: PathLike, label_column: int, columns: int) -> int:
    if columns < 2:
        raise DataFileError(f"{path}: expected a label and at least one feature, found a single column")
    if not -columns <= label_column < columns:
        raise DataFileError(
            f"{path}: expected a label column from {-columns} to {columns - 1}, as there are {columns} "
            f"columns, found {label_column}"
        )
    return label_column % columns


def _parse_csv(path: PathLike, text: bytes, start: int, columns: int) -> Iterator[tuple[int, Array]]:
    """Yield the index of the first row and the values of one stretch of lines after the other."""
    row, first_line = 0, 2 if start else 1
    while start < len(text):
        # As many whole lines as fit into a chunk, or one if none fits.
        stop = text.rfind(b"\n", start, start + _CHUNK) + 1 or text.index(b"\n", start) + 1
        block = text[start:stop]
        try:
            values = _parse_lines(block, columns)
        except ValueError:
            raise DataFileError(f"{path}, {_first_fault(block, first_line + row, columns)}") from None
        yield row, values
        start, row = stop, row + len(values)


def _parse_lines(block: bytes, columns: int) -> Array:
    """Parse whole lines to (rows, columns). A ValueError says that something is wrong, not what or where."""
    data = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero((data == _COMMA) | (data == _NEWLINE))
    is_line_end = data[ends] == _NEWLINE
    rows = np.count_nonzero(is_line_end)
    if rows * columns != len(ends) or not is_line_end[columns - 1 :: columns].all() or b"_" in block:
        raise ValueError
    digits = data - _ZERO  # uint8 wraps around: all that is no digit comes out above 9
    widths = np.diff(ends, prepend=-1) - 1
    is_whole = np.count_nonzero(digits <= 9) + len(ends) == len(data)
    if is_whole and widths.min() >= 1 and widths.max() <= _MAX_DIGITS:
        values = _whole_numbers(digits, ends, widths)
    else:
        fields = block[:-1].replace(b"\n", b",").split(b",")
        values = np.fromiter(map(float, fields), np.float64, len(fields))
    return values.reshape(rows, columns)


def _whole_numbers(digits: Array, ends: Array, widths: Array) -> Array:
    """Values of fields of digits alone, as int64: the pixels of images, say.

    All fields are summed up at once, from the last digit on. One at a time, as Python and NumPy parse
    numbers, takes ten times as long.
    """
    values: Array = digits[ends - 1].astype(np.int64)
    for k in range(1, int(widths.max())):
        wide = np.flatnonzero(widths > k)
        values[wide] += digits[ends[wide] - 1 - k].astype(np.int64) * 10**k
    return values


def _first_fault(block: bytes, first_line: int, columns: int) -> str:
    """Place and description of the first thing wrong in a block that starts with the line of this number."""
    for line, text in enumerate(block.split(b"\n")[:-1], first_line):
        fields = text.split(b",")
        for column, field in enumerate(fields[:columns], 1):
            if not _is_number(field):
                found = _shown(field) if field.strip() else "an empty field"
                return f"line {line}, column {column}: expected a number between commas, found {found}"
        if len(fields) != columns:
            column = min(len(fields), columns) + 1
            expected = f"expected {columns} fields, as on the first line of numbers"
            return f"line {line}, column {column}: {expected}, found {len(fields)}"
    raise AssertionError("a block that cannot be parsed has a fault")


def _shown(field: bytes) -> str:
    """Text of a file as it may stand in a message: on one line, and not too long."""
    text = field.decode("utf-8", "replace")
    return repr(text if len(text) <= 40 else text[:37] + "...")


# npz


def read_npz(path: PathLike) -> tuple[Array, Array]:
    """Read samples and labels from a NumPy ``.npz`` archive.

    Parameters
    ----------
    path : str or path-like
        The archive, as written by `numpy.savez` or `numpy.savez_compressed`. Its arrays are named ``X`` and
        ``y``, or ``x`` and ``y``; others are not read.

    Returns
    -------
    X : ndarray, shape (n, features)
        The samples, in the dtype they were stored in.
    y : ndarray, shape (n,) or (n, outputs)
        The labels or targets, in the dtype they were stored in.

    Raises
    ------
    DataFileError
        If the file is no archive or is damaged, an array is missing, or the arrays do not hold numbers
        (object arrays, which could run code, are not loaded) or do not fit together.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "points.npz")
    ...     np.savez(path, X=[[0.5, 2.0], [1.5, -3.0]], y=[1, 0])
    ...     X, y = read_npz(path)
    >>> X.shape, y
    ((2, 2), array([1, 0]))
    """
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            raise DataFileError(f"{path}: expected an .npz archive, which is a zip file; this is none")
        file.seek(0)
        try:
            with np.load(file, allow_pickle=False) as archive:
                names = list(archive.files)
                wanted = "X" if "X" in names else "x", "y"
                arrays = [np.asarray(archive[name]) for name in wanted if name in names]
        except Exception as error:  # damage shows in as many exceptions as the zip format has parts
            problem = f"expected an undamaged archive of arrays of numbers: {error}"
            raise DataFileError(f"{path}: {problem}") from error
    if len(arrays) != 2:
        found = ", ".join(names) or "no arrays"
        raise DataFileError(f"{path}: expected arrays named X and y, or x and y, found {found}")
    X, y = arrays
    _check_pair(path, X, y)
    return X, y


# The pickle of the book "Neural Networks and Deep Learning"


def read_mnist_pickle(path: PathLike) -> tuple[tuple[Array, Array], tuple[Array, Array], tuple[Array, Array]]:
    """Read ``mnist.pkl.gz``, the file of the book "Neural Networks and Deep Learning", without trusting it.

    A pickle is a program, and `pickle.load` runs it, whatever it does. This reader carries out only the steps
    that build arrays of numbers, and it does so itself: a pickle can call no function of NumPy or any other
    module.

    Parameters
    ----------
    path : str or path-like
        The file, raw or gzip-compressed (recognised by content), written by Python 2 or 3: three pairs (X,
        y), for training, validation and test.

    Returns
    -------
    training, validation, test : (ndarray, ndarray)
        Each a pair of X, shape (n, features), and y, shape (n,) or (n, outputs), in the dtypes they were
        stored in. The book's file holds float32 X of 50,000, 10,000 and 10,000 rows of 784 pixels, and int64
        labels.

    Raises
    ------
    DataFileError
        If the file is no pickle, is damaged, asks for anything but arrays and numbers (object arrays
        included), or holds something other than three pairs.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import tempfile
    >>> pair = (np.zeros((2, 784), np.float32), np.array([5, 0]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "mnist.pkl.gz")
    ...     _ = path.write_bytes(gzip.compress(pickle.dumps((pair, pair, pair), protocol=2)))
    ...     (X, y), validation, test = read_mnist_pickle(path)
    >>> X.shape, y
    ((2, 784), array([5, 0]))
    """
    data = _read_bytes(path)
    try:
        # Python 2 wrote the bytes of an array as a string. "bytes" hands them over as they are.
        parts = _ArrayUnpickler(io.BytesIO(data), encoding="bytes").load()
    except Exception as error:  # what a malformed pickle raises depends on where it breaks
        reason = str(error) or type(error).__name__
        raise DataFileError(f"{path}: expected a pickle of arrays of numbers and nothing else: {reason}") from error
    if not (_is_sequence(parts, 3) and all(_is_sequence(pair, 2) for pair in parts)):
        raise DataFileError(f"{path}: expected three pairs (X, y), for training, validation and test")
    training, validation, test = (_finish_pair(path, *pair) for pair in parts)
    return training, validation, test


def _is_sequence(value: object, length: int) -> bool:
    return isinstance(value, tuple | list) and len(value) == length


def _finish_pair(path: PathLike, X: object, y: object) -> tuple[Array, Array]:
    arrays = _finish_array(path, "X", X), _finish_array(path, "y", y)
    _check_pair(path, *arrays)
    return arrays


def _finish_array(path: PathLike, name: str, part: object) -> Array:
    if isinstance(part, _PickledArray) and part.value is not None:
        return part.value
    if isinstance(part, tuple | list) and all(isinstance(item, int | float) for item in part):
        return np.array(part)
    raise DataFileError(f"{path}: expected {name} to be an array, found {type(part).__name__}")


# The rest of this section stands in for what NumPy's pickles call. NumPy's own functions would trust a pickle
# too much: numpy.dtype, for one, lets it set flags under which bytes are read as pointers.


class _Callable:
    """A function that a pickle may call but, unlike a plain function, cannot change."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def __call__(self, *args: object) -> object:
        return self._function(*args)

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("it tries to change a function")


class _PickledDtype:
    """A dtype of plain numbers."""

    __slots__ = ("dtype",)

    def __init__(self, code: str | bytes, *_flags: object) -> None:
        code = code.decode("ascii") if isinstance(code, bytes) else code
        if not re.fullmatch("[biuf][1248]", code):
            raise pickle.UnpicklingError(f"it holds an array of dtype {code!r}, which is not one of numbers")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        # (version, byte order, ...): the rest describes records and sub-arrays, which the code rules out.
        order: Any = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        self.dtype = self.dtype.newbyteorder(order)


class _PickledArray:
    """An array, which a pickle makes first and fills afterwards."""

    __slots__ = ("value",)

    def __init__(self, value: Array | None = None) -> None:
        self.value = value

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, dtype, is_fortran, data = state
        self.value = _array_from_bytes(data, dtype, shape, "F" if is_fortran else "C")


def _array_from_bytes(data: object, dtype: object, shape: tuple[int, ...], order: Any) -> Array:
    if not isinstance(dtype, _PickledDtype) or not isinstance(data, bytes | bytearray):
        raise pickle.UnpicklingError("it holds an array that is not made of the bytes of numbers")
    flat = np.frombuffer(data, dtype.dtype)
    return flat.reshape(shape, order=order).astype(dtype.dtype.newbyteorder("="), order="C")


def _reconstruct(kind: object, _shape: object, _code: object) -> _PickledArray:
    if kind != _NDARRAY:
        raise pickle.UnpicklingError("it holds an array of an unknown kind")
    return _PickledArray()


def _frombuffer(data: object, dtype: object, shape: tuple[int, ...], order: str) -> _PickledArray:
    return _PickledArray(_array_from_bytes(data, dtype, shape, order))


def _scalar(dtype: object, data: object) -> object:
    return _array_from_bytes(data, dtype, (), "C").item()


def _encode(text: str, _encoding: object) -> bytes:
    return text.encode("latin-1")  # how Python 3 spells bytes in a pickle that Python 2 can read


_NDARRAY = "numpy.ndarray"
_ALLOWED: dict[tuple[str, str], object] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Callable(_PickledDtype),
    ("_codecs", "encode"): _Callable(_encode),
}
for _core in ("numpy.core", "numpy._core"):  # NumPy 1 and 2
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _Callable(_reconstruct)
    _ALLOWED[f"{_core}.multiarray", "scalar"] = _Callable(_scalar)
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = _Callable(_frombuffer)


class _ArrayUnpickler(pickle.Unpickler):
    """Answers the few names in a pickle of plain arrays with stand-ins, refuses all others, imports none."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array of numbers needs")
        return _ALLOWED[module, name]


# Shared by the readers


def _read_bytes(path: PathLike) -> bytes:
    """Read a whole file, unpacked if it is gzip-compressed."""
    data = Path(path).read_bytes()
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataFileError(f"{path}: expected undamaged gzip-compressed data: {error}") from error


def _check_pair(path: PathLike, X: Array, y: Array) -> None:
    for name, array, dims in (("X", X, (2,)), ("y", y, (1, 2))):
        if array.dtype.kind not in "biuf":
            raise DataFileError(f"{path}: expected {name} to hold numbers, found dtype {array.dtype}")
        if array.ndim not in dims:
            expected = " or ".join(map(str, dims))
            raise DataFileError(f"{path}: expected {name} to have {expected} dimensions, found shape {array.shape}")
    if len(X) != len(y):
        raise DataFileError(f"{path}: expected as many labels as samples, found X {X.shape} and y {y.shape}")
