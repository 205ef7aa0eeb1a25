"""The pickle of the book "Neural Networks and Deep Learning", and of its expanded training data.

A pickle is a program. The one carried out here knows only the steps that build arrays of numbers, calls only the
stand-ins below, and keeps no more than a file of its size can honestly ask for.
"""

from __future__ import annotations  # so that help() shows types by their short names

import functools
import pickle
import pickletools
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.datasets._files import (
    Array,
    DataFileError,
    Dataset,
    PathLike,
    Source,
    check_numbers,
    check_shapes,
    finished,
    open_bounded,
)

Pair = tuple[Array, Array]


def read_mnist_pickle(path: PathLike) -> tuple[Pair, Pair, Pair]:
    """Read ``mnist.pkl.gz``, the file of the book "Neural Networks and Deep Learning", without trusting it.

    A pickle is a program, and `pickle.load` runs it, whatever it does. This reader carries out only the steps
    that build arrays of numbers, and it does so itself: a pickle can call no function of NumPy or any other
    module.

    Parameters
    ----------
    path : str or path-like
        The file, raw or gzip-compressed (recognised by content), written by Python 2 or 3: three pairs (X,
        y), for training, validation and test. Each may also be a list of arrays, one a sample, as in
        ``mnist_expanded.pkl.gz``.

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
        included) or for more memory than a file of its size can need, or holds something other than three pairs.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import tempfile
    >>> import gzip
    >>> from pathlib import Path
    >>> pair = (np.zeros((2, 784), np.float32), np.array([5, 0]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "mnist.pkl.gz")
    ...     _ = path.write_bytes(gzip.compress(pickle.dumps((pair, pair, pair), protocol=2)))
    ...     (X, y), validation, test = read_mnist_pickle(path)
    >>> X.shape, y
    ((2, 784), array([5, 0]))
    """
    with open_bounded(path) as source:
        try:
            parts = _ArrayUnpickler(source).load()
        except DataFileError:
            raise
        except Exception as error:  # what a malformed pickle raises depends on where it breaks
            reason = str(error) or type(error).__name__
            raise DataFileError(f"{path}: expected a pickle of arrays of numbers and nothing else: {reason}") from error
        room = source.position()
    if not (_is_sequence(parts, 3) and all(_is_sequence(pair, 2) for pair in parts)):
        raise DataFileError(f"{path}: expected three pairs (X, y), for training, validation and test")
    training, validation, test = (_finish_pair(path, X, y, room) for X, y in parts)
    return training, validation, test


def read_book(path: PathLike) -> Dataset:
    """The training and the test part of the book's file."""
    (X, y), (unused, _), test = read_mnist_pickle(path)
    return finished(X, y, test, (f"the file's {len(unused):,} samples for validation are not used",))


def _is_sequence(value: object, length: int) -> bool:
    return isinstance(value, tuple | list) and len(value) == length


def _finish_pair(path: PathLike, X: object, y: object, room: int) -> Pair:
    arrays = _finish_array(path, "X", X, room), _finish_array(path, "y", y, room)
    for name, array in zip("Xy", arrays, strict=True):
        check_numbers(path, name, array.dtype)
    if arrays[0].ndim > 2:
        raise DataFileError(f"{path}: expected X to have 2 dimensions, found shape {arrays[0].shape}")
    check_shapes(path, arrays[0].shape, arrays[1].shape)
    return arrays


def _finish_array(path: PathLike, name: str, part: object, room: int) -> Array:
    """An array that is nobody else's, from one in the pickle, numbers one by one, or arrays one by one."""
    if isinstance(part, _PickledArray) and part.value is not None:
        return _native(part.value)
    if isinstance(part, tuple | list):
        if all(isinstance(item, int | float) for item in part):
            return np.array(part)
        arrays = [item.value for item in part if isinstance(item, _PickledArray) and item.value is not None]
        if len(arrays) == len(part):
            return _stacked(path, name, arrays, room)
    raise DataFileError(f"{path}: expected {name} to be an array, found {type(part).__name__}")


def _stacked(path: PathLike, name: str, arrays: list[Array], room: int) -> Array:
    """Samples, one an array of any shape, as (n, features)."""
    first = arrays[0]
    for i, array in enumerate(arrays):
        if array.shape != first.shape or array.dtype != first.dtype:
            found = f"{first.dtype} {first.shape} and, at [{i}], {array.dtype} {array.shape}"
            raise DataFileError(f"{path}: expected {name} to be a list of arrays of one shape, found {found}")
    if first.nbytes * len(arrays) > room:  # one array many times over: more than was ever in the file
        raise DataFileError(f"{path}: expected {name} to be a list of different arrays, found the same again and again")
    rows = _native(np.stack(arrays))
    return rows if first.ndim == 0 else rows.reshape(len(rows), first.size)


def _native(array: Array) -> Array:
    return np.array(array, array.dtype.newbyteorder("="), order="C")


# --- stand-ins for what NumPy's pickles call ---

# NumPy's own functions would trust a pickle too much: numpy.dtype, for one, lets it set flags under which bytes are
# read as pointers.


class _Callable:
    """A function that a pickle may call."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., object]) -> None:
        self.function = function


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
    """An array, which a pickle makes first and fills afterwards. It looks at the pickle's bytes and copies none."""

    __slots__ = ("value",)

    def __init__(self, value: Array | None = None) -> None:
        self.value = value

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, dtype, is_fortran, data = state
        self.value = _array_from_bytes(data, dtype, shape, "F" if is_fortran else "C")


def _array_from_bytes(data: object, dtype: object, shape: tuple[int, ...], order: Any) -> Array:
    if not isinstance(dtype, _PickledDtype) or not isinstance(data, bytes | bytearray):
        raise pickle.UnpicklingError("it holds an array that is not made of the bytes of numbers")
    return np.frombuffer(data, dtype.dtype).reshape(shape, order=order)


def _reconstruct(kind: object, _shape: object, _code: object) -> _PickledArray:
    if kind != _NDARRAY:
        raise pickle.UnpicklingError("it holds an array of an unknown kind")
    return _PickledArray()


def _frombuffer(data: object, dtype: object, shape: tuple[int, ...], order: str) -> _PickledArray:
    return _PickledArray(_array_from_bytes(data, dtype, shape, order))


def _scalar(dtype: object, data: object) -> object:
    return _array_from_bytes(data, dtype, (), "C").item()


_NDARRAY = "numpy.ndarray"
_ENCODE = ("_codecs", "encode")
_ALLOWED: dict[tuple[str, str], object] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Callable(_PickledDtype),
}
for _core in ("numpy.core", "numpy._core"):  # NumPy 1 and 2
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _Callable(_reconstruct)
    _ALLOWED[f"{_core}.multiarray", "scalar"] = _Callable(_scalar)
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = _Callable(_frombuffer)


# --- the steps of a pickle ---

# Steps by their names in the module pickle. The first make nothing, or numbers and bytes not much larger than what
# stands in the file. The others make containers, arrays and entries of the memo, of up to 200 bytes for a byte or two.
_SMALL_STEPS = """
    PROTO FRAME STOP POP POP_MARK DUP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT
    STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8
    GET BINGET LONG_BINGET EMPTY_TUPLE APPEND APPENDS
"""
_LARGE_STEPS = """
    MARK EMPTY_LIST LIST TUPLE TUPLE1 TUPLE2 TUPLE3 PUT BINPUT LONG_BINPUT MEMOIZE GLOBAL STACK_GLOBAL REDUCE BUILD
    BYTEARRAY8
"""

# Large steps granted to every file, and for how many bytes that came out of it one more is. A list of arrays takes
# about ten of them for an array.
_FREE_STEPS, _BYTES_FOR_A_STEP = 500_000, 32


class _ArrayUnpickler(pickle._Unpickler):
    """Carries out the few steps that arrays of numbers need, answers their names with stand-ins, imports nothing.

    It is Python's own unpickler in its form in Python, as the one in C takes memory for any index of the memo.
    """

    stack: list[Any]
    memo: dict[int, Any]
    append: Callable[[object], None]
    read: Callable[[int], bytes]

    def __init__(self, source: Source) -> None:
        # Python 2 wrote the bytes of an array as a string. "bytes" hands them over as they are.
        super().__init__(_Lengths(source), encoding="bytes")
        self._source = source
        self._steps, self._granted = 0, _FREE_STEPS
        self._encoded = 0

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == _ENCODE:
            return _Callable(self._encode)
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array of numbers needs")
        return _ALLOWED[module, name]

    def _encode(self, text: str, _encoding: object) -> bytes:
        """How Python 3 spells bytes in a pickle that Python 2 can read."""
        self._encoded += len(text)
        if self._encoded > self._source.position():  # one text many times over
            raise pickle.UnpicklingError("it makes more bytes than it holds")
        return text.encode("latin-1")

    def count_step(self) -> None:
        """Refuse more large steps than what was read so far can honestly hold."""
        self._steps += 1
        if self._steps > self._granted:
            self._granted = _FREE_STEPS + self._source.position() // _BYTES_FOR_A_STEP
            if self._steps > self._granted:
                raise pickle.UnpicklingError("it holds far more parts than arrays of numbers need")

    def check_index(self, index: int) -> None:
        """Refuse an index of the memo that counting cannot have reached."""
        if not 0 <= index <= 2 * self._granted:
            raise pickle.UnpicklingError(f"it numbers a part {index}, more than there can be")

    def call(self) -> None:
        """REDUCE."""
        arguments = self.stack.pop()
        function = self.stack[-1]
        if not isinstance(function, _Callable):
            raise pickle.UnpicklingError("it calls something that is no function")
        self.stack[-1] = function.function(*arguments)

    def fill(self) -> None:
        """BUILD."""
        state = self.stack.pop()
        if not isinstance(self.stack[-1], _PickledDtype | _PickledArray):
            raise pickle.UnpicklingError("it tries to change something that is no array")
        self.stack[-1].__setstate__(state)

    def take_bytearray(self) -> None:
        """BYTEARRAY8, as bytes: what is promised is read, not made room for."""
        length = int.from_bytes(self.read(8), "little")
        self.append(self.read(length))


class _Lengths:
    """The stream of a pickle, which hands out no more at a time than the file can hold."""

    def __init__(self, source: Source) -> None:
        self._read, self._limit = source.stream.read, source.limit
        self.readline = source.stream.readline

    def read(self, count: int) -> bytes:
        if count > self._limit:
            raise pickle.UnpicklingError(f"it promises {count} bytes in one piece, more than the file can hold")
        return self._read(count)

    def readinto(self, buffer: Any) -> int:  # Python asks for it to be there
        raise pickle.UnpicklingError("it holds buffers outside of the pickle")


class _Steps(dict[int, Callable[[Any], None]]):
    """What carries out a step, by its code; others are refused."""

    def __missing__(self, code: int) -> Callable[[Any], None]:
        return functools.partial(_refuse, code)


def _refuse(code: int, _unpickler: object) -> None:
    known = [step.name for step in pickletools.opcodes if step.code == chr(code)]
    name = known[0] if known else f"0x{code:02x}"
    raise pickle.UnpicklingError(f"it takes the step {name}, which no array of numbers needs")


def _counted(step: Callable[[Any], None]) -> Callable[[Any], None]:
    def counted(unpickler: _ArrayUnpickler) -> None:
        unpickler.count_step()
        step(unpickler)

    return counted


def _put(index_of: Callable[[Any], int]) -> Callable[[Any], None]:
    """A step that stores the top of the stack in the memo."""

    def put(unpickler: _ArrayUnpickler) -> None:
        index = index_of(unpickler)
        unpickler.check_index(index)
        unpickler.memo[index] = unpickler.stack[-1]

    return put


def _code(name: str) -> int:
    return getattr(pickle, name)[0]  # type: ignore[no-any-return]


_OWN_STEPS: dict[str, Callable[[Any], None]] = {
    "REDUCE": _ArrayUnpickler.call,
    "BUILD": _ArrayUnpickler.fill,
    "BYTEARRAY8": _ArrayUnpickler.take_bytearray,
    "PUT": _put(lambda unpickler: int(unpickler.readline())),
    "BINPUT": _put(lambda unpickler: unpickler.read(1)[0]),
    "LONG_BINPUT": _put(lambda unpickler: int.from_bytes(unpickler.read(4), "little")),
}
_standard = pickle._Unpickler.dispatch
_ArrayUnpickler.dispatch = _Steps({_code(name): _standard[_code(name)] for name in _SMALL_STEPS.split()})
_ArrayUnpickler.dispatch |= {
    _code(name): _counted(_OWN_STEPS.get(name, _standard[_code(name)])) for name in _LARGE_STEPS.split()
}
