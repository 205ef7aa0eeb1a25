"""Save and load: an ``.npz`` of plain arrays and one JSON header. No pickle, so that reading never executes a file."""

import contextlib
import json
import os
import tempfile
import zipfile
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FORMAT = 1
_HEADER = "fastnn_network"
_SHAPED_BY = {
    "sizes": list,
    "activations": list,
    "cost": str,
    "dtype": str,
    "classifier": bool,
    "optimizer": str,
}
_KEYS = {**_SHAPED_BY, "steps": int, "generator": dict}


class Record(NamedTuple):
    """A network as it stands in a file."""

    header: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def write_atomically(path: str | PathLike[str], write: Any) -> None:
    """Call ``write(file)`` on a temporary file beside ``path`` and move it into place when all is written."""
    target = Path(path)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes files that only their owner can read
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def write(path: str | PathLike[str], record: Record) -> None:
    """Write a record to exactly ``path``."""
    header = json.dumps({"format": FORMAT, **record.header})
    arrays: dict[str, Any] = {_HEADER: np.array(header), **record.arrays}
    write_atomically(path, lambda file: np.savez(file, **arrays))


def read(path: str | PathLike[str]) -> Record:
    """Read a record and check that it is whole."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if not hasattr(file, "files") or _HEADER not in file.files:
                raise ValueError("it is not a saved fastnn network")
            header = json.loads(str(file[_HEADER]))
            arrays = {name: file[name] for name in file.files if name != _HEADER}
        _check(header, arrays)
    except FileNotFoundError:
        raise
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise ValueError(f"cannot load {os.fspath(path)!r}: {error}") from error
    return Record(header, arrays)


def _check(header: Any, arrays: dict[str, NDArray[Any]]) -> None:
    if not isinstance(header, dict) or header.get("format", 0) > FORMAT:
        raise ValueError(f"it was written by a newer version of fastnn (format {FORMAT} is the newest known here)")
    for key, kind in _KEYS.items():
        if not isinstance(header.get(key), kind):
            raise ValueError(f"its header lacks {key!r}")
    sizes = header["sizes"]
    layers = range(len(sizes) - 1)
    shapes: dict[str, tuple[int, ...]] = {f"weights{i}": (sizes[i + 1], sizes[i]) for i in layers}
    shapes |= {f"biases{i}": (sizes[i + 1],) for i in layers}
    for name, array in arrays.items():
        wanted = shapes.get(name.rpartition("_")[2])
        if array.shape != wanted or array.dtype.name != header["dtype"]:
            raise ValueError(
                f"its array {name!r} is {array.dtype.name} {array.shape}, expected {header['dtype']} {wanted}"
            )
    missing = sorted(set(shapes) - set(arrays))
    if missing:
        raise ValueError(f"it lacks the arrays {missing}")
