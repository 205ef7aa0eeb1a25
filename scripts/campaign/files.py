"""Files of every kind, damaged: refused or read, within a second, in memory that the file accounts for."""

import gzip
import io
import json
import pickle
import random
import resource
import struct
import tempfile
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastnn
from campaign.base import text_of
from fastnn.datasets import _files, readers

_SECONDS = 3.0  # of processor time; a second on a machine that has nothing else to do
_READING_SECONDS = 30.0  # what is honest may be large
_FLOOR = 64 << 20  # bytes of memory that nobody counts
_OF_TEXT, _OF_NETWORKS = 16, 4  # times the size of what is unpacked: as the readers say, and as a network is read
_ROOM = 12 << 30  # of address space: what asks for more fails instead of taking the machine along


class _Kind(NamedTuple):
    """A kind of file."""

    name: str
    content: bytes
    read: Callable[[Path], Any]


def _saved(save: Callable[[str], None]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        save(str(path))
        return path.read_bytes()


def _zipped(save: Callable[..., None]) -> bytes:
    file = io.BytesIO()
    generator = np.random.default_rng(0)
    save(file, X=generator.random((50, 20)), y=generator.integers(0, 3, 50))
    return file.getvalue()


def _trained() -> fastnn.Network:
    X, y, _, _ = fastnn.datasets.load_digits()
    net = fastnn.Network([64, 8, 10])
    net.fit(X[:100], y[:100], epochs=1, optimizer=fastnn.SGD(0.1, momentum=0.9))
    return net


def _idx() -> bytes:
    return bytes([0, 0, 8, 3, 0, 0, 0, 20, 0, 0, 0, 8, 0, 0, 0, 8]) + bytes(i % 256 for i in range(20 * 64))


def _csv() -> bytes:
    lines = [",".join([str(i % 3), *(f"{j * i / 7:.4g}" for j in range(20))]) for i in range(80)]
    return "\n".join(["label," + ",".join("abcdefghijklmnopqrst"), *lines]).encode()


def _book() -> bytes:
    pair = np.random.default_rng(0).random((10, 784), np.float32), np.arange(10)
    return pickle.dumps((pair, pair, pair), protocol=2)


def _kinds() -> list[_Kind]:
    net = _trained()
    return [
        _Kind("net", _saved(net.save), fastnn.load),
        _Kind("ensemble", _saved(fastnn.Ensemble([net, net.copy()]).save), fastnn.Ensemble.load),
        _Kind("data.npz", _zipped(np.savez), readers.read_npz),
        _Kind("small.npz", _zipped(np.savez_compressed), readers.read_npz),
        _Kind("data.csv", _csv(), readers.read_csv),
        _Kind("data.csv.gz", gzip.compress(_csv()), readers.read_csv),
        _Kind("data-idx3-ubyte", _idx(), readers.read_idx),
        _Kind("data-idx3-ubyte.gz", gzip.compress(_idx()), readers.read_idx),
        _Kind("mnist.pkl", _book(), readers.read_mnist_pickle),
        _Kind("mnist.pkl.gz", gzip.compress(_book()), readers.read_mnist_pickle),
    ]


# --- what is done to them ---


def _flip(content: bytearray, rng: random.Random, _: bytes) -> bytearray:
    for _flips in range(rng.choice([1, 1, 2, 20])):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return content


def _cut(content: bytearray, rng: random.Random, _: bytes) -> bytearray:
    return content[: rng.randrange(len(content))]


def _remove(content: bytearray, rng: random.Random, _: bytes) -> bytearray:
    first = rng.randrange(len(content))
    return content[:first] + content[first + rng.randrange(1, 64) :]


def _repeat(content: bytearray, rng: random.Random, _: bytes) -> bytearray:
    first = rng.randrange(len(content))
    return content[:first] + content[first : first + rng.randrange(1, 256)] * rng.choice([2, 3, 50]) + content[first:]


def _insert(content: bytearray, rng: random.Random, _: bytes) -> bytearray:
    first = rng.randrange(len(content))
    return content[:first] + rng.randbytes(rng.randrange(1, 32)) + content[first:]


def _extreme(content: bytearray, rng: random.Random, _: bytes) -> bytearray:
    """A number of two, four or eight bytes that is as large as it can be, or nearly."""
    kind = rng.choice("HIQ")
    value = (1 << 8 * struct.calcsize(kind)) - rng.choice([1, 2, 1 << 7])
    packed = struct.pack(rng.choice("<>") + kind, value >> rng.choice([0, 1, 4, 9]))
    first = rng.randrange(max(len(content) - len(packed), 1))
    content[first : first + len(packed)] = packed
    return content


def _splice(content: bytearray, rng: random.Random, other: bytes) -> bytearray:
    return content[: rng.randrange(len(content))] + other[rng.randrange(len(other)) :]


def _digits(content: bytearray, rng: random.Random, _: bytes) -> bytearray:
    """Somewhere in the text a number that is longer than any."""
    first = rng.randrange(len(content))
    return content[:first] + b"9" * rng.choice([3, 20, 400, 5000]) + content[first:]


_DAMAGES = (*[_flip] * 4, _cut, _remove, _repeat, _insert, *[_extreme] * 3, _splice, _digits)


# --- small files that ask for much ---


def _npz_bomb(size: int) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, X=np.zeros((size, 1)), y=np.zeros(3))
    return file.getvalue()


def _ensemble_bomb(size: int) -> bytes:
    file, header = io.BytesIO(), {"format": 1, "weights": [1.0], "members": [0], "networks": 1}
    arrays = {"fastnn_ensemble": np.array(json.dumps(header)), "network0": np.zeros(size, np.uint8)}
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def _npz_promise() -> bytes:
    header, file = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 37, 4)})
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("X.npy", header.getvalue())
        archive.writestr("y.npy", header.getvalue())
    return file.getvalue()


_OWN = (fastnn.load, fastnn.Ensemble.load)
_FAR = 1 << 28
_BOMBS: tuple[tuple[str, Callable[[], bytes], Callable[[Path], Any]], ...] = (
    ("bomb.pkl", lambda: b"\x80\x02Nr" + struct.pack("<I", _FAR) + b".", readers.read_mnist_pickle),
    ("text.pkl", lambda: b"Np%d\n." % _FAR, readers.read_mnist_pickle),
    ("bomb.csv.gz", lambda: gzip.compress(b"1,2\n" * (30 << 18), 1), readers.read_csv),
    ("bomb-idx3-ubyte.gz", lambda: gzip.compress(bytes(1 << 28), 1), readers.read_idx),
    ("bomb.pkl.gz", lambda: gzip.compress(bytes(1 << 28), 1), readers.read_mnist_pickle),
    ("bomb.npz", lambda: _npz_bomb(1 << 25), readers.read_npz),
    ("promise.npz", _npz_promise, readers.read_npz),
    ("promise", _npz_promise, fastnn.load),
    ("bomb", lambda: _npz_bomb(1 << 25), fastnn.load),
    ("ensemble", lambda: _ensemble_bomb(1 << 28), fastnn.Ensemble.load),
    ("ragged.csv", lambda: b"1" + b",1" * 500_000 + b"\n1" * 500_000, readers.read_csv),
)


# --- reading them ---


def _peak() -> int:
    """Bytes of memory at the highest, since the last call of ``_forget_peak``; Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _bound(kind: _Kind) -> int:
    """Bytes of memory that reading a file may take."""
    size = len(kind.content)
    if kind.read in _OWN:
        return _OF_NETWORKS * size + _FLOOR
    return _OF_TEXT * max(_files.FREE, _files.MAX_RATIO * size) + _FLOOR


def _read(kind: _Kind, path: Path) -> tuple[str, list[str]]:
    """Read a file; what came of it, and what was wrong with that."""
    path.write_bytes(kind.content)
    _forget_peak()
    before, began, failures = _peak(), time.process_time(), []
    try:
        kind.read(path)
        end = "read"
    except ValueError as error:
        end = "refused"
        if path.name not in str(error):
            failures.append(f"the message does not name the file: {text_of(error)}")
    except BaseException as error:
        end = "refused"
        failures.append(f"undocumented {text_of(error)}")
    seconds, grown = time.process_time() - began, _peak() - before
    if seconds > (_SECONDS if end == "refused" else _READING_SECONDS):
        failures.append(f"took {seconds:.1f} s")
    if grown > _bound(kind):
        failures.append(f"{len(kind.content):,} bytes took {grown >> 20:,} MB of memory")
    return end, failures


def attempts(which: str) -> Callable[[int], tuple[dict[str, int], list[str]]]:
    """Reads "damaged" files, which the number of the attempt chooses, or the "bombs" in turn."""
    kinds = _kinds()
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:  # whatever is imported and compiled for that is no part of an attempt
            path = Path(folder, kind.name)
            path.write_bytes(kind.content)
            kind.read(path)
    resource.setrlimit(resource.RLIMIT_AS, (_ROOM, resource.RLIM_INFINITY))
    make = partial(_damaged, kinds) if which == "damaged" else _bomb

    def attempt(number: int) -> tuple[dict[str, int], list[str]]:
        kind = make(number)
        with tempfile.TemporaryDirectory() as folder:
            end, failures = _read(kind, Path(folder, kind.name))
        return {f"{which} files": 1, end: 1}, [f"{kind.name}: {text}" for text in failures]

    return attempt


def _damaged(kinds: list[_Kind], number: int) -> _Kind:
    rng, kind = random.Random(number), kinds[number % len(kinds)]
    content = bytearray(kind.content)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        content = rng.choice(_DAMAGES)(content or bytearray(b"0"), rng, rng.choice(kinds).content)
    return kind._replace(content=bytes(content))


def _bomb(number: int) -> _Kind:
    name, make, read = _BOMBS[number]
    return _Kind(name, make(), read)


def n_bombs() -> int:
    """How many there are."""
    return len(_BOMBS)
