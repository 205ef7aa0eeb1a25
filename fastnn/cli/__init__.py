"""The command line: ``fastnn train``, ``evaluate``, ``predict`` and ``info``.

Options carry the names of the library's parameters and are passed on only where they are given, so the defaults are
the library's own. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted; a failure is one line on stderr.
"""

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from fastnn.cli._parser import parser
from fastnn.cli._writing import Failure, say
from fastnn.datasets import DataFileError
from fastnn.training import DivergenceError

__all__ = ["main"]


def _reason(error: OSError) -> str:
    if error.filename is None:
        return error.strerror or str(error)
    return f"{error.filename}: {error.strerror}"


def _complain(text: str, code: int) -> int:
    say(text)
    return code


def _occupy_descriptors() -> None:
    """Open what is closed of descriptors 0 to 2, or a file would get one of them, and whatever a library complains."""
    descriptor = 0
    while descriptor <= 2:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


def _flush_stdout() -> None:
    if sys.stdout is not None and not sys.stdout.closed:
        sys.stdout.flush()


def _warn(
    message: Any, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    """A warning in one line; where the program stands that shows it is of no interest."""
    say(f"warning: {message}")


def _settle_stdout() -> None:
    """Drop what stdout cannot take, or Python's flush at exit would fail once more, with a traceback."""
    try:
        _flush_stdout()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command ``fastnn``.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; by default those of the process.

    Returns
    -------
    int
        Exit code: 0 done (also if whoever read the output has gone), 1 failed (a file that is missing, broken or
        cannot be written, data that do not fit the network, training that diverged), 2 a wrong argument,
        130 interrupted.

    Raises
    ------
    SystemExit
        By argparse: after ``--help`` and ``--version``, and with 2 for arguments that it cannot read.

    Examples
    --------
    >>> from fastnn.cli import main
    >>> main(["train", "--data", "digits", "--epochs", "2", "--quiet"])
    test accuracy ... % (360 samples), ... s of training
    0
    """
    _occupy_descriptors()
    args = parser().parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            args.run(args)
        _flush_stdout()
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except BrokenPipeError:
        _settle_stdout()
    except OSError as error:
        _settle_stdout()
        return _complain(f"error: {_reason(error)}", 1)
    # RuntimeError: no more threads to be had; ImportError: a library that an option needs
    except (Failure, DataFileError, DivergenceError, RuntimeError, ImportError) as error:
        return _complain(f"error: {error}", 1)
    except MemoryError as error:
        return _complain(f"error: not enough memory: {error}", 1)
    except (ValueError, TypeError) as error:
        return _complain(f"error: {error}", 2)
    return 0
