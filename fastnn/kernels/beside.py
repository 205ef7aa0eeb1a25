"""Compiling on a second core: a process of its own leaves pieces on disk, while this one compiles others.

Numba compiles one function at a time in a process, whatever the number of threads. Where the disk or a second core is
not to be had, nothing happens here, and pieces are compiled one after the other.
"""

import atexit
import contextlib
import os
import subprocess
import sys
from typing import Any

from numba import types

from fastnn.kernels import store
from fastnn.kernels.compile import Piece

_KINDS = {"float32": types.float32, "float64": types.float64}
# The folder that a process happens to be in is no place to import from, unless it is one for this process.
_CODE = (
    "import sys; sys.path[:] = filter(None, sys.path); from fastnn.kernels.beside import compile_pieces; "
    "compile_pieces()"
)
_AHEAD = ("evaluate", "predict")  # what is wanted next, and may be compiled when all else is done


class Compilation:
    """A process that compiles pieces; it ends with this one.

    Parameters
    ----------
    pieces : sequence of Piece
        Those that this process will not compile itself, in the order in which they are wanted.
    dtype : Numba type
        Of the numbers.
    """

    def __init__(self, pieces: list[Piece], dtype: Any) -> None:
        self._pieces = pieces
        self._process: subprocess.Popen[bytes] | None = None
        command = [sys.executable, "-c", _CODE, str(dtype), *(piece.name for piece in pieces), *_AHEAD]
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        nothing = subprocess.DEVNULL
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                command,
                env={**os.environ, "PYTHONPATH": paths},
                stdin=nothing,
                stdout=nothing,
                stderr=nothing,
                start_new_session=True,  # Ctrl-C is not for it
            )
            atexit.register(self._process.kill)

    def has(self, piece: Piece | None) -> bool:
        """Whether the piece is one of them."""
        return piece in self._pieces

    def wait(self, piece: Piece, dtype: Any) -> None:
        """Until the piece is on disk, or will not come."""
        while self._process is not None and not piece.is_kept(dtype):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.02)
                self._process = None


def split(pieces: list[Piece], dtype: Any) -> Compilation | None:
    """Have the first of several pieces compiled by another process, if it and others must be, and that is possible.

    That process has to begin, and the first piece is the largest: so it takes less than half of their number.
    """
    missing = [piece for piece in pieces if not piece.is_ready(dtype) and not piece.is_kept(dtype)]
    if len(missing) < 3 or missing[0] is not pieces[0] or not sys.executable or not store.is_usable():
        return None
    return Compilation(missing[: (len(missing) - 1) // 2], dtype)


def compile_pieces() -> None:
    """What the other process does."""
    from fastnn.kernels import epoch

    kind, *names = sys.argv[1:]
    for name in names:
        epoch.PIECES[name].compile(_KINDS[kind])
