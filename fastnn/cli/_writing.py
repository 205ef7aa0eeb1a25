"""What commands write: whole files or nothing, and never over what they read."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from fastnn import persistence
from fastnn.datasets._files import labels_beside
from fastnn.network import Network


class Failure(Exception):  # noqa: N818  (never shown by name)
    """Something other than an argument is wrong; the text is what to tell the user."""


def target(path: Path) -> Path:
    """Where to write: behind a link, and never in the place of a device or a folder."""
    try:
        target = persistence.resolved(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    if path.exists() and not path.is_file():  # of /dev/stdout the way to a pipe leads nowhere
        raise Failure(f"cannot write {path}: it is not a regular file")
    for descriptor, name in enumerate(("input", "output", "error")):
        if _is_behind(descriptor, target):  # under that name, or as /dev/stdout: all that it holds would be lost
            raise Failure(f"cannot write {path}: it is the file of standard {name}: choose another name")
    return target


def _is_behind(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:  # no such file, or no such descriptor
        return False


def _cannot_write(path: Path, error: OSError) -> Failure:
    return Failure(f"cannot write {path}: {error.strerror or error}")


def files_of(data: str) -> list[Path]:
    """The files that are read for an argument: of IDX images their labels too."""
    path = Path(data)
    labels = labels_beside(path)
    return [path] if labels is None else [path, labels]


def check_is_no_input(option: str, path: Path, inputs: Iterable[Path]) -> None:
    """Refuse to write over what is read, under whatever name."""
    for source in inputs:
        with contextlib.suppress(OSError):  # one that is not there is no danger to the other
            if source.samefile(path):
                raise ValueError(f"{option} {path} would replace {source}, which is read: choose another name")


def check_writable(path: Path) -> None:
    """Find out before training, not after."""
    try:
        tempfile.TemporaryFile(dir=target(path).parent).close()
    except OSError as error:
        raise _cannot_write(path, error) from error


def save(network: Network, path: Path | None) -> None:
    if path is None:
        return
    try:
        network.save(target(path))
    except OSError as error:
        raise _cannot_write(path, error) from error


def write_text(path: Path, text: str) -> None:
    try:
        persistence.write_atomically(target(path), lambda file: file.write(text.encode()))
    except OSError as error:
        raise _cannot_write(path, error) from error


def csv_cell(text: str) -> str:
    """A cell of a CSV file: in quotes where it would be read as several, or as none."""
    if text and text == text.strip() and not set(text) & set(',"\r\n'):
        return text
    return '"' + text.replace('"', '""') + '"'


def say(text: str) -> None:
    """One line beside the result: on stderr, if there is one that takes it."""
    if sys.stderr is not None:  # or print would take stdout for it
        with contextlib.suppress(OSError, ValueError):  # closed, or full
            print("fastnn:", " ".join(text.splitlines()), file=sys.stderr, flush=True)


def print_result(text: str) -> None:
    """Print all that a command is for."""
    if sys.stdout is None or sys.stdout.closed:
        raise Failure("standard output is closed")
    sys.stdout.write(text)
