"""Machine code kept on disk between processes.

One file for each piece of code, named by a hash of everything that shaped it: the kernel sources as this process has
imported them, versions, target, width, settings of Numba. Files are written under a temporary name and moved into
place, with a checksum in front: a damaged file is a miss, never an error. Whatever is wrong with the folder only means
compiling again. Since what is read here is run, folder and files belong to the user alone.
"""

import contextlib
import hashlib
import os
import sys
import tempfile
import time
from functools import lru_cache
from pathlib import Path

import llvmlite
import platformdirs

from fastnn._version import __version__
from fastnn.kernels import host

_DIGEST_BYTES = 32
_UNUSED_SECONDS = 90 * 24 * 3600
_MOST_BYTES = 256 << 20
_TOUCH_SECONDS = 24 * 3600  # a file's last use is noted once a day


def _hash_sources(kernels: Path) -> bytes:
    """A hash of every kernel source file, and of how formulas are evaluated; where only compiled ones are, of those."""
    digest = hashlib.sha256(__version__.encode())
    for path in sorted([*kernels.glob("*.py*"), *kernels.parent.glob("formulas/expressions.py*")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.digest()


# Now, and not at the first call: by then the files may be those of an upgrade, while the code that runs is not.
_SOURCES = _hash_sources(Path(__file__).parent)


@lru_cache(maxsize=1)
def cache_folder() -> Path:
    """Where machine code is kept: ``$FASTNN_CACHE_DIR``, else the user's cache folder."""
    forced = os.environ.get("FASTNN_CACHE_DIR")
    return Path(forced).expanduser() if forced else platformdirs.user_cache_path("fastnn") / "kernels"


def _is_ours(path: Path) -> bool:
    """Whether nobody else can write to a file or folder."""
    if os.name != "posix":
        return True
    found = path.stat()
    return found.st_uid == os.geteuid() and found.st_mode & 0o022 == 0


def _path(name: str, key: object) -> Path:
    identity = repr((sys.version, llvmlite.__version__, host.CPU, host.FEATURES, host.WIDTH, name, key))
    return cache_folder() / f"{name}-{hashlib.sha256(_SOURCES + identity.encode()).hexdigest()[:32]}.bin"


def read(name: str, key: object) -> bytes | None:
    """The code kept under a name and whatever else shaped it; None where there is none that is whole and ours."""
    try:
        path = _path(name, key)
        if not (_is_ours(path.parent) and _is_ours(path)):
            return None
        content = path.read_bytes()
        if time.time() - path.stat().st_mtime > _TOUCH_SECONDS:
            with contextlib.suppress(OSError):
                os.utime(path)
    except (OSError, RuntimeError):  # RuntimeError: no home to be found
        return None
    digest, payload = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return payload if hashlib.sha256(payload).digest() == digest else None


def has(name: str, key: object) -> bool:
    """Whether there is a file for this; it may turn out to be damaged."""
    try:
        return _path(name, key).is_file()
    except (OSError, RuntimeError):
        return False


def is_usable() -> bool:
    """Whether what is written will be read."""
    try:
        folder = cache_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _is_ours(folder) and os.access(folder, os.W_OK)
    except (OSError, RuntimeError):
        return False


def write(name: str, key: object, payload: bytes) -> None:
    """Keep code; where that is impossible, go on without."""
    try:
        path = _path(name, key)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(path.parent):
            return
        _tidy(path.parent)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    except (OSError, RuntimeError):
        return
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(payload).digest() + payload)
        os.replace(temporary, path)
    except OSError:
        pass
    finally:  # also after Ctrl-C; a file that was moved into place is no longer there
        Path(temporary).unlink(missing_ok=True)


@lru_cache(maxsize=1)
def _tidy(folder: Path) -> None:
    """Once in a process that compiles: remove what was not used for long, and the oldest beyond a limit."""
    with contextlib.suppress(OSError):
        found = sorted(((p.stat().st_mtime, p.stat().st_size, p) for p in folder.iterdir()), reverse=True)
        room = _MOST_BYTES
        for used, size, path in found:
            room -= size
            if path.suffix in (".bin", ".tmp") and (room < 0 or time.time() - used > _UNUSED_SECONDS):
                path.unlink(missing_ok=True)


def forget(name: str) -> None:
    """Remove everything kept under a name."""
    for path in cache_folder().glob(f"{name}-*.bin"):
        path.unlink(missing_ok=True)
