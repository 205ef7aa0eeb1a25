"""Save and load: an ``.npz`` of plain arrays and one JSON header. No pickle, so that reading never executes a file."""

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

FORMAT = 2
_HEADER = "fastnn_network"
_ZIP_START = b"PK\x03\x04"
_KEYS = {
    "sizes": list,
    "activations": list,
    "cost": str,
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


def write_atomically(path: str | PathLike[str], write: Any) -> None:
    """Call ``write(file)`` on a temporary file beside ``path`` and move it into place when all is written."""
    target = Path(path).resolve()  # a link is followed, not replaced
    if target.exists() and not target.is_file():
        raise OSError(f"{os.fspath(path)!r} is not a regular file, and would be replaced by one")
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode_for(target))  # mkstemp makes files that only their owner can read
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _mode_for(target: Path) -> int:
    """Who may read a file: whoever might read the one that it replaces."""
    if target.exists():
        return stat.S_IMODE(target.stat().st_mode)
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def write(path: str | PathLike[str], record: Record) -> None:
    """Write a record to exactly ``path``."""
    header = json.dumps({"format": FORMAT, **record.header})
    arrays: dict[str, Any] = {_HEADER: np.array(header), **record.arrays}
    write_atomically(path, lambda file: np.savez(file, **arrays))


@contextlib.contextmanager
def naming(path: str | PathLike[str]) -> Iterator[None]:
    """Turn whatever goes wrong with the content of a file into a ValueError that names the file."""
    try:
        yield
    except Exception as error:  # a damaged file can go wrong in a hundred ways, all of them its own
        text = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"cannot load {os.fspath(path)!r}: {text}") from error


def read(path: str | PathLike[str]) -> Record:
    """Read a record; what it says is for the network to check."""
    with open(path, "rb") as file, naming(path):
        return _parse(file)


def _parse(file: BinaryIO) -> Record:
    if file.read(len(_ZIP_START)) != _ZIP_START:
        raise ValueError("it is not a saved fastnn network")
    file.seek(0)
    with np.load(file, allow_pickle=False) as content:
        if _HEADER not in content.files:
            raise ValueError("it is not a saved fastnn network")
        header = json.loads(str(content[_HEADER]))
        arrays = {name: content[name] for name in content.files if name != _HEADER}
    if not isinstance(header, dict) or not isinstance(header.get("format"), int):
        raise ValueError("it is not a saved fastnn network")
    if header["format"] > FORMAT:
        raise ValueError(f"it was written by a newer version of fastnn (format {FORMAT} is the newest known here)")
    for key, kind in _KEYS.items():
        if not isinstance(header.get(key), kind):
            raise ValueError(f"its header lacks {key!r}")
    return Record(header, arrays)
