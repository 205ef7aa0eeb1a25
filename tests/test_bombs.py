"""Small files that ask for gigabytes: each is refused in a process whose memory is limited."""

import gzip
import io
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from files import idx_bytes, refusal, written

import fastnn
from fastnn.datasets import _files, _pickle, read_csv, read_file, read_idx, read_mnist_pickle, read_npz

MB = 1 << 20
MEMORY = 512  # MB, for what a bomb may take: less than any of them asks for

# Reads files with a reader and so many megabytes more than there are when all is imported, and prints a line for each.
# The folder is imported by itself: what the library around it imports would take longer than the tests.
CHILD = """
import resource, sys, types
folder, reader, megabytes, *paths = sys.argv[1:]
package = types.ModuleType("fastnn"); package.__path__ = [folder]; sys.modules["fastnn"] = package
from fastnn.datasets import readers
import gzip, zipfile
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
limit = size + int(megabytes) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for path in paths:
    try:
        getattr(readers, reader)(path)
    except readers.DataFileError as error:
        print(" ".join(str(error).split()))
    except MemoryError:
        print("no memory left")
    else:
        print("it was read")
"""


def read_in_a_child(reader, paths, memory=MEMORY):
    """What the reader says of each file."""
    package = str(Path(fastnn.__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, package, reader, str(memory), *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def many_zeros(megabytes):
    """Zeros as gzip packs them, a thousand to one; quickly made, as one piece many times."""
    return gzip.compress(bytes(16 * MB)) * (megabytes // 16)


def zeros_after(start, megabytes):
    return gzip.compress(start) + many_zeros(megabytes)


def npz_of_zeros(megabytes):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, shape in (("X.npy", (megabytes, MB)), ("y.npy", (3,))):
            with archive.open(name, "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": shape})
                for _ in range(np.prod(shape) // MB):
                    member.write(bytes(MB))
                member.write(bytes(int(np.prod(shape) % MB)))
    return out.getvalue()


def pickled(body):
    return b"\x80\x04" + body + b"."


TEXT = b"X" + MB.to_bytes(4, "little") + b"a" * MB
PICKLES = {
    "a memo index": pickled(b"Nr\xff\xff\xff\x7f"),
    "a memo index in words": pickled(b"Np2147483647\n"),
    "negative memo index": pickled(b"Np-1\n"),
    "bytes that are not there": pickled(b"\x8e" + (1 << 33).to_bytes(8, "little") + b"abc"),
    "an array of bytes that are not there": pickled(b"\x96" + (1 << 33).to_bytes(8, "little") + b"abc"),
    "text that is not there": pickled(b"\x8d" + (1 << 33).to_bytes(8, "little") + b"abc"),
    "a string that is not there": pickled(b"T\xff\xff\xff\x7fabc"),
    "a frame that is not there": pickled(b"\x95" + (1 << 33).to_bytes(8, "little") + b"N"),
    "lists": pickled(b"]" * (16 * MB)),
    "marks": pickled(b"(" * (16 * MB)),
    "memos": pickled(b"N" + b"\x94" * (16 * MB)),
    "nested": pickled(b"N" + b"\x85" * (16 * MB)),
    "nested and memorised": pickled(b"N" + b"\x85\x94" * (8 * MB)),
    "sets": pickled(b"\x8f" * (16 * MB)),
    "dicts": pickled(b"}" * (16 * MB)),
    "bytes made of one text": pickled(
        TEXT + b"\x94" + b"(" + b"c_codecs\nencode\n(h\x00X\x06\x00\x00\x00latin1tR" * 10_000 + b"t"
    ),
    "arrays made of one": pickle.dumps((([np.zeros(MB)] * 10_000, [0] * 10_000),) * 3, 4),
    "packed": gzip.compress(pickled(b"N" + b"\x85\x94" * (32 * MB)), 1),
    "packed bytes": zeros_after(b"\x80\x04\x8e" + (1 << 33).to_bytes(8, "little"), 2048),
    "packed text in a line": zeros_after(b"\x80\x04S'", 2048),
}
WIDE_LINE = b"1," * 250_000 + b"1\n"
TABLES = {
    "ragged": WIDE_LINE + b"1\n" * 250_000,
    "ragged and blank": WIDE_LINE + b"\n" * 500_000 + b"1\n",
    "ragged and packed": gzip.compress(WIDE_LINE + b"1\n" * 30_000_000, 1),
    "empty columns": (b"1" + b"," * 500_000 + b"\n") * 2,
    "names": b"a" + b",a" * 50_000 + b"\n" + b"1" + b",x" * 50_000 + b"\n",
    "one long label": b"l,a\n" + b"x,1\n" * 250_000 + b"y" * 100_000 + b",1\n",
    "an open quote": b'a,"b\n' + b"1,2\n" * 500_000,
    "packed zeros": many_zeros(2048),
    "packed lines": gzip.compress(b"1,2\n" * (4 * MB)) * 100,
    "packed blank lines": gzip.compress(b"\n" * (16 * MB)) * 100,
}
IMAGES = {
    "a header": b"\0\0\x08\x03" + b"\x7f\xff\xff\xff" * 3,
    "a packed header": gzip.compress(b"\0\0\x08\x03" + b"\x7f\xff\xff\xff" * 3),
    "packed zeros": zeros_after(b"\0\0\x08\x02" + (2048).to_bytes(4, "big") + MB.to_bytes(4, "big"), 2048),
    "zeros left over": zeros_after(idx_bytes(np.zeros(3, "u1")), 2048),
}

if sys.platform != "linux":
    pytest.skip("memory is limited and measured as Linux does", allow_module_level=True)


@pytest.mark.parametrize(
    ("reader", "bombs"), [("read_mnist_pickle", PICKLES), ("read_csv", TABLES), ("read_idx", IMAGES)]
)
def test_bombs_are_refused(reader, bombs, tmp_path):
    paths = [written(tmp_path, name, content) for name, content in bombs.items()]
    for path, said in zip(paths, read_in_a_child(reader, paths), strict=True):
        assert said.startswith(f"{path}")
        # That error would say that the limit was met, not that the file was seen through.
        assert "MemoryError" not in said, said


def test_the_limit_is_there(tmp_path):
    """An honest file that needs more than the limit fails in the child."""
    path = tmp_path / "images"
    with path.open("wb") as file:
        file.write(b"\0\0\x08\x02" + (600).to_bytes(4, "big") + MB.to_bytes(4, "big"))
        file.truncate(12 + 600 * MB)
    assert read_in_a_child("read_idx", [path]) == ["no memory left"]
    assert read_in_a_child("read_idx", [path], 1024) == ["it was read"]


def test_archive_of_zeros(tmp_path):
    path = written(tmp_path, "data.npz", npz_of_zeros(100))
    (said,) = read_in_a_child("read_npz", [path], 90)
    assert said.startswith(f"{path}: expected compressed data that unpack to at most 100 times their size (or 64 MB)")


# What is said, and what is let through


def test_a_memo_index_is_named(tmp_path):
    assert refusal(read_mnist_pickle, written(tmp_path, "data", PICKLES["a memo index"])).endswith(
        "it numbers a part 2147483647, more than there can be"
    )


def test_one_array_many_times_is_named(tmp_path):
    assert refusal(read_mnist_pickle, written(tmp_path, "data", PICKLES["arrays made of one"])) == (
        ": expected X to be a list of different arrays, found the same again and again"
    )


def test_the_ratio_and_its_remedy_are_named(tmp_path):
    assert refusal(read_csv, written(tmp_path, "data", many_zeros(96))) == (
        ": expected compressed data that unpack to at most 100 times their size (or 64 MB), found more; if you trust "
        "the file, unpack it with gunzip and give the result"
    )


@pytest.mark.parametrize("free", [0, 1 << 26])
def test_a_packed_file_of_a_high_but_honest_ratio(free, tmp_path, monkeypatch):
    """Forty to one is more than images and one-hot columns have; below the free size any ratio is fine."""
    monkeypatch.setattr(_files, "FREE", free)
    rows = np.random.default_rng(0).integers(0, 256, (2000, 4))
    text = "".join(",".join(map(str, row)) + ",0" * 100 + "\n" for row in rows.tolist()).encode()
    packed = gzip.compress(text)
    assert len(text) > 20 * len(packed)
    X, _ = read_csv(written(tmp_path, "data", packed))
    assert X.shape == (2000, 103)
    zeros = gzip.compress(b"1,0\n" * 100_000)
    if free:
        assert len(read_csv(written(tmp_path, "data", zeros))[0]) == 100_000
    else:
        assert "at most 100 times" in refusal(read_csv, written(tmp_path, "data", zeros))


def test_a_pickle_as_large_as_the_book_s(tmp_path):
    """Its ratio is that of real images: 14 to 1 with 32-bit pixels."""
    X, y, Xt, yt = fastnn.datasets.load_mnist()
    parts = ((X[:3000], y[:3000]), (X[3000:3500], y[3000:3500]), (Xt[:500], yt[:500]))
    path = written(tmp_path, "mnist.pkl.gz", gzip.compress(pickle.dumps(parts, 2), 6))
    found = read_mnist_pickle(path)
    assert np.array_equal(found[0][0], X[:3000])
    assert np.array_equal(found[2][1], yt[:500])


def test_many_small_arrays(tmp_path):
    """More steps than are free, but no more than such a list needs."""
    rows = list(np.arange(20_000.0).reshape(-1, 2))
    content = pickle.dumps(((rows, list(range(10_000))),) * 3, 2)
    (X, _), _, _ = read_mnist_pickle(written(tmp_path, "data", content))
    assert np.array_equal(X, rows)


def test_steps_are_granted_by_what_was_read(tmp_path, monkeypatch):
    rows = list(np.arange(2000.0).reshape(-1, 200))
    path = written(tmp_path, "data", pickle.dumps(((rows, list(range(10))),) * 3, 2))
    monkeypatch.setattr(_pickle, "_FREE_STEPS", 60)
    assert len(read_mnist_pickle(path)[0][0]) == 10
    monkeypatch.setattr(_pickle, "_BYTES_FOR_A_STEP", 10**9)
    assert refusal(read_mnist_pickle, path).endswith("it holds far more parts than arrays of numbers need")


def npz_members(folder, **members):
    """An archive of members as they are given, arrays or bytes."""
    path = folder / "data.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content if isinstance(content, bytes) else npy(content))
    return path


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def test_shapes_are_compared_before_anything_is_read(tmp_path):
    path = npz_members(tmp_path, X=np.ones((400, 3)), y=np.zeros(5))
    content = bytearray(path.read_bytes())
    content[1000] ^= 255  # within X: if it was read, its checksum would be found wrong
    path.write_bytes(content)
    assert refusal(read_npz, path) == ": expected as many labels as samples, found X (400, 3) and y (5,)"


def header_for(shape, descr="'<f8'", start=b"\x93NUMPY\1\0"):
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return start + len(text).to_bytes(2 if start[6] == 1 else 4, "little") + text


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (header_for("(1000000, 1000000)"), "expected 8000000000000 bytes for X, float64 of shape (1000000, 1000000)"),
        (header_for("(-1, -8)") + bytes(64), "expected 64 bytes for X, float64 of shape (-1, -8), found 64"),
        (header_for("(1, 2)", "('<f8', (10**9,))"), "undamaged archive"),
        (header_for("(1, 2)", "('<f8', (100000000,))"), "expected X to hold numbers, found dtype"),
        (header_for("(1, 2)", "'V1000000000'"), "expected X to hold numbers, found dtype |V1000000000"),
        (header_for("(" * 3000 + ")" * 3000), "undamaged archive"),
        (b"\x93NUMPY\2\0" + b"\xff" * 4 + b"{", "undamaged archive"),
        (b"\x93NUMPY\3\0" + b"\xff" * 4 + b"{", "X is not an array of numbers"),
        (b"\x93NUMPY\2\0" + (20_000).to_bytes(4, "little") + b" " * 20_000, "undamaged archive"),
    ],
)
def test_headers_that_lie(X, message, tmp_path):
    assert message in refusal(read_npz, npz_members(tmp_path, X=X, y=np.zeros(1)))


def test_a_directory_that_lies_about_the_unpacked_size(tmp_path):
    path = tmp_path / "data.npz"
    np.savez_compressed(path, X=np.zeros((4, 3)), y=np.zeros(4))
    place = path.read_bytes().index(b"PK\x01\x02") + 24
    assert "expected 96 bytes for X" in refusal(read_npz, forged(path, place))


def test_a_directory_that_lies_about_the_packed_size(tmp_path):
    """As if the zeros had not been packed that well."""
    path = written(tmp_path, "data.npz", npz_of_zeros(100))
    place = path.read_bytes().index(b"PK\x01\x02") + 20
    assert "unpack to at most 100 times" in refusal(read_npz, forged(path, place))


def forged(path, place):
    content = bytearray(path.read_bytes())
    content[place : place + 4] = (60 * MB).to_bytes(4, "little")
    path.write_bytes(content)
    return path


@pytest.mark.skipif(not Path("/dev/zero").is_char_device(), reason="needs a device without an end")
def test_a_device_without_an_end():
    assert refusal(read_idx, Path("/dev/zero")) == ": expected a regular file or a pipe, found a device"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_pipe_is_read(pack, tmp_path):
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    with subprocess.Popen(["sh", "-c", f"cat > '{path}'"], stdin=subprocess.PIPE) as writer:
        writer.stdin.write(pack(b"1,2\n0,4\n"))
        writer.stdin.close()
        assert read_file(path).X.tolist() == [[2], [4]]


def test_gzip_in_parts_is_one_file(tmp_path):
    path = written(tmp_path, "data.csv.gz", gzip.compress(b"1,2\n") + gzip.compress(b"3,4\n") + bytes(8))
    assert read_file(path).X.tolist() == [[2], [4]]
