"""Save and load: an ``.npz`` of plain arrays and one JSON header. No pickle, so that reading never executes a file."""

import contextlib
import errno
import io
import json
import math
import os
import secrets
import stat
import time
import zipfile
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

FORMAT = 2
_HEADER = "fastnn_network"
_ZIP_START = b"PK\x03\x04"
_KEYS: dict[str, Any] = {
    "sizes": list,
    "activations": list,
    "cost": (str, dict),  # a name, or a formula of a user's own
    "dtype": str,
    "data": dict,
    "optimizer": str,
    "steps": int,
    "generator": dict,
    "settings": dict,
}


class Record(NamedTuple):
    """A network as it stands in a file."""

    header: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


class State(NamedTuple):
    """A network as it is copied and pickled: also what a file, which holds only data, cannot keep."""

    record: Record
    attributes: dict[str, Any]  # the history, and whatever a user or a subclass added


def slot_names(kind: type) -> list[str]:
    """Names of a class's ``__slots__``, as attributes are found under them."""
    names = []
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            private = name.startswith("__") and not name.endswith("__")
            names.append(f"_{base.__name__.lstrip('_')}{name}" if private else name)
    return [name for name in names if name not in ("__dict__", "__weakref__")]


def _path(path: Any) -> Path:
    """A path as a Path; a number would be taken for a file descriptor of somebody else's."""
    if not isinstance(path, (str, bytes, PathLike)):
        raise TypeError(f"path must be a str or a path, got {type(path).__name__} {path!r}")
    text = os.fsdecode(path)
    if "\0" in text:
        raise ValueError(f"path must not hold a null character, got {text!r}")
    return Path(text)


# --- files that come into being all at once ---

_PREFIX, _SUFFIX = ".fastnn-", ".tmp"
_IRREPLACEABLE = (errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM)
"""What the system says of a target that nothing can be moved to, though files can be made beside it."""
_OLD = 3600.0
"""Seconds after which a temporary file is left over, where no lock can tell whether somebody is writing it."""


def write_atomically(path: str | bytes | PathLike[Any], write: Callable[[BinaryIO], object]) -> None:
    """Call ``write(file)`` on a temporary file beside ``path`` and move it into place when all is written.

    Where there is no moving it there, the error says where it is kept. What writers that were killed have left in that
    folder is removed.
    """
    try:
        target = resolved(_path(path))
        if target.exists() and not target.is_file():
            raise OSError(f"{os.fspath(path)!r} is not a regular file, and would be replaced by one")
        _remove_leftovers(target.parent)
        _replace(target, write)
    except OSError as error:
        if error.errno is None:
            raise
        # The user knows the name that was given, and not a temporary one.
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def resolved(path: Path) -> Path:
    """Where a path leads: a link is followed, not replaced."""
    try:
        return path.resolve()
    except RuntimeError as error:  # what Python before 3.13 makes of links that lead in a circle
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from error


def _replace(target: Path, write: Callable[[BinaryIO], object]) -> None:
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None  # who may read it: whoever might before
    file, temporary = _create(target.parent, mode)
    try:
        with file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            if mode is not None:
                os.chmod(temporary, mode)
            if fcntl is not None:  # while it is locked, so that nobody takes it for a file left over
                _move(temporary, target)
        if fcntl is None:  # Windows moves no open file
            _move(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _move(temporary: Path, target: Path) -> None:
    """Move a finished file into place; where that cannot be, it is kept beside it under a name that nobody cleans up.

    A file that is mounted by itself, or open on Windows, cannot be replaced. It is not written over in place: whoever
    was interrupted there would have lost what it held.
    """
    try:
        os.replace(temporary, target)
    except OSError as error:
        if error.errno not in _IRREPLACEABLE:
            raise
        # Not the target's own name and more: that may be as long as names may be.
        kept = target.with_name(f"unmoved-{secrets.token_hex(8)}")
        os.rename(temporary, kept)
        raise OSError(error.errno, f"{error.strerror}: what was to be written is in {os.fspath(kept)!r}") from error


def _create(folder: Path, mode: int | None) -> tuple[BinaryIO, Path]:
    """A temporary file that is locked for as long as it is open, and its path; the system takes off what umask says."""
    while True:
        path = folder / f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(path, flags, 0o666 if mode is None else mode), "w+b")
        if _lock(file) is not False and path.exists():
            return file, path
        file.close()  # somebody took it for a file left over, between these two lines
        path.unlink(missing_ok=True)


def _lock(file: BinaryIO) -> bool | None:
    """Lock a file: False if another process, or thread, has it; None where files cannot be locked."""
    try:
        if fcntl is None:
            return None
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some file systems of networks
        return None
    return True


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary files of ours that nobody writes any more; whatever stands in the way of that does not matter.

    The system takes a lock off when its process ends, whichever way that happens.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX):
                with contextlib.suppress(OSError):
                    _remove_leftover(entry)


def _remove_leftover(entry: "os.DirEntry[str]") -> None:
    if not entry.is_file(follow_symlinks=False):
        return
    with open(entry.path, "rb") as file:
        locked = _lock(file)
        old = time.time() - entry.stat(follow_symlinks=False).st_mtime > _OLD
        if locked:
            os.unlink(entry.path)
    if locked is None and old:
        os.unlink(entry.path)


# --- the file of a network ---


def write(path: str | bytes | PathLike[Any], record: Record) -> None:
    """Write a record to exactly ``path``."""
    write_atomically(path, lambda file: np.savez(file, **_content(record)))


def _content(record: Record) -> dict[str, Any]:
    header = json.dumps({"format": FORMAT, **record.header})
    return {_HEADER: np.array(header), **record.arrays}


@contextlib.contextmanager
def naming(path: str | bytes | PathLike[Any]) -> Iterator[None]:
    """Turn whatever goes wrong with the content of a file into a ValueError that names the file."""
    try:
        yield
    except Exception as error:  # a damaged file can go wrong in a hundred ways, all of them its own
        text = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"cannot load {os.fspath(path)!r}: {text}") from error


@contextlib.contextmanager
def reading(path: str | bytes | PathLike[Any]) -> Iterator[BinaryIO]:
    """A file to read from; whatever is wrong with its content becomes a ValueError that names it."""
    with open(_path(path), "rb") as file, naming(path):
        yield file


def read(path: str | bytes | PathLike[Any]) -> Record:
    """Read a record; what it says is for the network to check."""
    with reading(path) as file:
        return _parse(file)


def to_bytes(record: Record) -> bytes:
    """What ``write`` would write, to become part of another file."""
    file = io.BytesIO()
    np.savez(file, **_content(record))
    return file.getvalue()


def from_bytes(content: bytes) -> Record:
    """The record that ``to_bytes`` made this of."""
    return _parse(io.BytesIO(content))


def check_start(file: BinaryIO, kind: str) -> None:
    """Refuse what is not even an ``.npz`` file."""
    if file.read(len(_ZIP_START)) != _ZIP_START:
        raise ValueError(f"it is not a saved fastnn {kind}")
    file.seek(0)


def unpack(file: BinaryIO, kind: str) -> dict[str, NDArray[Any]]:
    """All arrays of an ``.npz`` file that was not compressed; it takes no more memory than twice the file's size."""
    check_start(file, kind)
    size = file.seek(0, os.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        unpacked = sum(member.file_size for member in members)
        if unpacked > size:  # two may well be made of the same bytes, and one of a few
            raise ValueError(f"its arrays would take {unpacked:,} bytes, which is more than the {size:,} of the file")
        arrays = {member.filename.removesuffix(".npy"): _array(archive.read(member)) for member in members}
    if len(arrays) != len(members):
        raise ValueError("it holds two arrays of the same name")
    return arrays


def _parse(file: BinaryIO) -> Record:
    arrays = unpack(file, "network")
    if _HEADER not in arrays:
        raise ValueError("it is not a saved fastnn network")
    header = json.loads(str(arrays.pop(_HEADER)))
    if not isinstance(header, dict) or not isinstance(header.get("format"), int):
        raise ValueError("it is not a saved fastnn network")
    if header["format"] > FORMAT:
        raise ValueError(f"it was written by a newer version of fastnn (format {FORMAT} is the newest known here)")
    if header["format"] < FORMAT:
        raise ValueError(
            f"it was written by an earlier version of fastnn (format {header['format']}), which did not keep how data "
            "are to be read. To go on with its weights: file = numpy.load(path); fastnn.Network(sizes, ..., "
            "initializer=([file['weights0'], ...], [file['biases0'], ...])), with scale=255 if it was trained on uint8"
        )
    for key, kind in _KEYS.items():
        if not isinstance(header.get(key), kind):
            raise ValueError(f"its header lacks {key!r}")
    return Record(header, arrays)


def _array(content: bytes) -> NDArray[Any]:
    """An array of numbers or text in NumPy's format 1.0, whose bytes must be as many as it says."""
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("it holds an array in a format that fastnn does not write")
    shape, in_columns, dtype = np.lib.format.read_array_header_1_0(stream)
    expected, there = math.prod(shape) * dtype.itemsize, len(content) - stream.tell()
    if dtype.kind not in "fuU" or min(shape, default=0) < 0 or expected != there:
        raise ValueError(f"it holds {there} bytes for an array of {dtype} {shape}, expected {expected}")
    flat = np.frombuffer(bytearray(content), dtype, offset=stream.tell())  # which can be written to
    return flat.reshape(shape, order="F" if in_columns else "C")
