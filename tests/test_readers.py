"""The readers give back what was written, and name file, place and expectation of what they refuse."""

import gzip
import io
import os
import pickle
import re
import struct
import zipfile

import numpy as np
import pytest
from files import IDX_CODES, idx_bytes, read_text, refusal, written
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastnn.datasets import DataFileError, _csv, _pickle, read, read_csv, read_idx, read_mnist_pickle, read_npz


def test_the_error_is_a_value_error():
    assert issubclass(DataFileError, ValueError)


@pytest.mark.parametrize("reader", [read_idx, read_csv, read_npz, read_mnist_pickle])
def test_a_missing_file_is_file_not_found(reader, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        reader(tmp_path / "nowhere")


@pytest.mark.parametrize("reader", [read_idx, read_csv, read_mnist_pickle])
@pytest.mark.parametrize("damage", [lambda z: z[:-9], lambda z: z[:12], lambda z: z[:30] + b"xxxx" + z[34:]])
def test_damaged_gzip(reader, damage, tmp_path):
    path = written(tmp_path, "data.gz", damage(gzip.compress(os.urandom(200))))
    assert refusal(reader, path).startswith(": expected undamaged gzip-compressed data: ")


# IDX


@settings(deadline=None)  # files may take their time
@given(hnp.arrays(st.sampled_from(sorted(IDX_CODES)), hnp.array_shapes(max_dims=4, min_side=0, max_side=5)))
def test_idx_round_trip(array):
    for content in (idx_bytes(array), gzip.compress(idx_bytes(array))):
        found = read_text(read_idx, content)
        assert found.dtype == array.dtype
        assert found.dtype.isnative
        assert found.flags.writeable
        assert found.shape == array.shape
        assert found.tobytes() == array.tobytes()


def test_idx_takes_paths_of_any_kind(tmp_path):
    path = written(tmp_path, "data", idx_bytes(np.arange(3, dtype="u1")))
    for spelling in (path, str(path)):
        assert read_idx(spelling).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ", byte 0: expected two zero bytes, a type code and a count, found an empty file"),
        (b"\0\0\x08", ", byte 0: expected two zero bytes, a type code and a count, found 00 00 08"),
        (b"label,pixel", ", byte 0: expected two zero bytes, a type code and a count, found 6c 61 62 65"),
        (
            b"\0\0\x0a\x01\0\0\0\0",
            ", byte 2: expected an IDX type code (0x08, 0x09, 0x0b, 0x0c, 0x0d, 0x0e), found 0x0a",
        ),
        (b"\0\0\x08\0", ", byte 3: expected 1 to 32 dimensions, found 0"),
        (b"\0\0\x08\x21" + bytes(4 * 33), ", byte 3: expected 1 to 32 dimensions, found 33"),
        (
            b"\0\0\x08\x03\0\0\0\x01\0\0",
            ", byte 4: expected 3 dimensions of 4 bytes each, found 6 bytes: the file is cut short",
        ),
        (
            idx_bytes(np.zeros((2, 3), "i2"))[:-1],
            ", byte 12: expected 12 bytes for int16 of shape (2, 3), found 11: the file is cut short",
        ),
        (
            idx_bytes(np.zeros(2, "f8")) + b"x",
            ", byte 8: expected 16 bytes for float64 of shape (2,), found 17: the file has bytes left over",
        ),
        (
            b"\0\0\x08\x04" + b"\xff" * 16,
            f", byte 20: expected {(2**32 - 1) ** 4} bytes for uint8 of shape {(2**32 - 1,) * 4}, found 0: "
            "the file is cut short",
        ),
        (
            b"\0\0\x0e\x04" + bytes(4) + b"\xff" * 12,
            f", byte 4: expected a shape that NumPy can hold, found {(0, *(2**32 - 1,) * 3)}",
        ),
    ],
)
def test_idx_refusals(content, message, tmp_path):
    assert refusal(read_idx, written(tmp_path, "data", content)) == message


@settings(deadline=None)
@given(st.binary(max_size=40).map(lambda tail: b"\0\0" + tail))
def test_idx_gives_an_array_or_refuses(content):
    try:
        found = read_text(read_idx, content)
    except DataFileError:
        return
    assert content.endswith(found.astype(found.dtype.newbyteorder(">")).tobytes())


# CSV


def csv_text(table, fmt=repr, end="\n"):
    return "".join(",".join(map(fmt, row)) + end for row in table)


@settings(deadline=None)
@given(hnp.arrays("f8", hnp.array_shapes(min_dims=2, max_dims=2, max_side=6)))
def test_csv_round_trip_of_every_float(table):
    found = read_text(read_csv, csv_text(table.tolist()), None, missing="nan")
    assert np.array_equal(found, table, equal_nan=True)
    assert np.array_equal(np.signbit(found), np.signbit(table)) or np.isnan(table).any()


@settings(deadline=None)
@given(hnp.arrays("i8", hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.integers(0, 2**63 - 1)))
def test_csv_round_trip_of_whole_numbers(table):
    found = read_text(read_csv, csv_text(table.tolist(), str), None, header=False)
    assert np.array_equal(found, table.astype(np.float64))


def python_number(field):
    if "_" in field or np.isnan(float(field)):  # Python reads 1_000, the reader does not; NaN is a missing value
        raise ValueError
    return float(field)


@settings(deadline=None)
@given(st.lists(st.lists(st.text("0123456789+-.eE_ naif", max_size=7), min_size=1, max_size=3), min_size=1, max_size=4))
def test_csv_agrees_with_python_on_what_is_a_number(rows):
    rows = [["1"] * len(rows[0]), *rows]  # so that no row is taken for a header
    text = "\n".join(",".join(row) for row in rows).rstrip()
    rows = [line.split(",") for line in text.split("\n") if line.strip(" ,")]  # others are blank lines
    try:
        expected = np.array([[python_number(field) for field in row] for row in rows])
    except ValueError:
        with pytest.raises(DataFileError, match=r"line \d+, column \d+: expected"):
            read_text(read_csv, text, None, header=False)
    else:
        assert np.array_equal(read_text(read_csv, text, None, header=False), expected)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_csv_gives_an_array_or_refuses(content):
    try:
        found = read_text(read_csv, content, None)
    except DataFileError:
        return
    assert found.ndim == 2


FILL = "missing='mean' or a number fills in missing values"
NO_LABEL = "leave out samples without one"

CSV_TABLE = [[7.0, 0.5, -3.0], [2.0, 1e-30, 1200.0]]


@pytest.mark.parametrize(
    "text",
    [
        "7,0.5,-3\n2,1e-30,1.2e3\n",
        "7,0.5,-3\n2,1e-30,1.2e3",
        "7,0.5,-3\r\n2,1e-30,1.2E+3\r\n",
        "7,0.5,-3\r2,1e-30,1.2E+3\r",
        "7,.5,-3.\n2,1e-30,+1200\n\n\r\n",
        "label,a,b\n7,0.5,-3\n2,1e-30,1200\n",
        '"label","width, cm","b"\n7,0.5,-3\n2,1e-30,1200\n',
        "label,0,1\n7,0.5,-3\n2,1e-30,1200\n",
        " 7 , 0.5,-3 \n2,1e-30,\t1200\n",
        "\ufefflabel,a,b\n7,0.5,-3\n2,1e-30,1200\n",
        "\ufeff7,0.5,-3\n2,1e-30,1200\n",
        "étiquette,a,b\n7,0.5,-3\n2,1e-30,1200\n",
    ],
)
def test_csv_in_many_spellings(text, tmp_path):
    for content in (text.encode(), gzip.compress(text.encode())):
        X, y = read_csv(written(tmp_path, "data", content))
        assert X.tolist() == [row[1:] for row in CSV_TABLE]
        assert y.tolist() == [7, 2]
        assert X.dtype == np.float64
        assert y.dtype == np.int64
        assert X.flags.c_contiguous


@pytest.mark.parametrize("label_column", [0, 1, 2, -1, -2, -3])
def test_csv_label_column(label_column, tmp_path):
    X, y = read_csv(written(tmp_path, "data", csv_text(CSV_TABLE)), label_column)
    assert np.array_equal(y, np.array(CSV_TABLE)[:, label_column])
    assert np.array_equal(X, np.delete(np.array(CSV_TABLE), label_column, axis=1))


def test_csv_without_a_label(tmp_path):
    X = read_csv(written(tmp_path, "data", "a,b,c\n" + csv_text(CSV_TABLE)), None)
    assert X.tolist() == CSV_TABLE
    assert read_csv(written(tmp_path, "data", "5"), None).tolist() == [[5.0]]


@pytest.mark.parametrize(
    ("text", "label_column"),
    [
        ("0,1,label\n1,2,3\n", -1),  # text in the label's field alone
        (",a,b\n1,2,3\n", 0),  # an empty name, as for an index, beside text
        ("150,4,setosa\n1,2,3\n", 2),
    ],
)
def test_csv_header_rule(text, label_column, tmp_path):
    X, y = read_csv(written(tmp_path, "data", text), label_column)
    assert len(X) == len(y) == 1


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        (["0", "3", "-1"], "int64"),
        (["1.0", "2e0", "-0.0"], "int64"),
        ([str(2**53), "0", "0"], "int64"),
        ([str(2**60), "0", "0"], "int64"),
        ([str(2**70), "0", "0"], "float64"),
        (["0.5", "1", "2"], "float64"),
        (["-inf", "1", "2"], "float64"),
    ],
)
def test_csv_label_dtype(labels, dtype, tmp_path):
    _, y = read_csv(written(tmp_path, "data", "".join(f"{label},9\n" for label in labels)))
    assert y.dtype == dtype
    assert np.array_equal(y, np.array(labels, np.float64), equal_nan=True)


def test_csv_labels_beyond_what_float64_tells_apart(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(f"{2**60},1\n{2**60 + 1},2\n{2**60},3\n")
    assert read_csv(path)[1].tolist() == [2**60, 2**60 + 1, 2**60]
    path.write_text(f'"{2**60}";1,5\n"{2**60 + 1}";2,5\n')
    assert read_csv(path)[1].tolist() == [2**60, 2**60 + 1]


@pytest.mark.parametrize("label_column", [0, 3, None])
@pytest.mark.parametrize("chunk", [1, 50, 1000])
def test_csv_in_chunks(chunk, label_column, tmp_path, monkeypatch):
    monkeypatch.setattr(_csv, "_CHUNK", chunk)
    table = np.arange(1200).reshape(200, 6) % 257
    text = csv_text(table.tolist(), str) + "1.5,2,3,4,-5,6\n"
    found = read_csv(written(tmp_path, "data", "a,b,c,d,e,f\n" + text), label_column)
    table = np.vstack([table, [1.5, 2, 3, 4, -5, 6]])
    if label_column is None:
        assert np.array_equal(found, table)
    else:
        assert np.array_equal(found[0], np.delete(table, label_column, axis=1))
        assert np.array_equal(found[1], table[:, label_column])


def test_csv_larger_than_a_chunk(tmp_path):
    table = np.random.default_rng(0).integers(0, 256, (2000, 101))
    X, y = read_csv(written(tmp_path, "data", csv_text(table.tolist(), str)))
    assert np.array_equal(X, table[:, 1:])
    assert np.array_equal(y, table[:, 0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ", line 1: expected a line of numbers, found the end of the file"),
        ("\n \r\n", ", line 1: expected a line of numbers, found the end of the file"),
        ("label,a\n", ", line 2: expected a line of numbers, found the end of the file"),
        ("1,2\n3,x\n", ", line 2, column 2: expected a number, found 'x'"),
        ("1,2\n3,4x\n5,6\n", ", line 2, column 2: expected a number, found '4x'"),
        ("l,a\n1,2\n3,1_0\n", ", line 3, column 2 ('a'): expected a number, found '1_0'"),
        ("1,2\n3,--4\n", ", line 2, column 2: expected a number, found '--4'"),
        ("1,2\n3,1.2.3\n", ", line 2, column 2: expected a number, found '1.2.3'"),
        ("1,2\n3,0x10\n", ", line 2, column 2: expected a number, found '0x10'"),
        ("1,2\n3,٣\n", ", line 2, column 2: expected a number, found '٣'"),
        ("1,2\r\n3,\r\n", f", line 2, column 2: expected a number, found an empty field; {FILL}"),
        ("1, ,3\n4,5,6\n", f", line 1, column 2: expected a number, found an empty field; {FILL}"),
        ("1,NA\n2,3\n", f", line 1, column 2: expected a number, found 'NA'; {FILL}"),
        ("a,b\n1,2\n\n2, nan \n", f", line 4, column 2 ('b'): expected a number, found 'nan'; {FILL}"),
        (",1,2\n3,4,5\n", f", line 1, column 1: expected a label, found an empty field; {NO_LABEL}"),
        (
            "a,b\n1,2\n\nNaN,2\n",
            f", line 4, column 1 ('a'): expected a label, found 'NaN'; {NO_LABEL}",
        ),
        ("1,x,2\n3,4,5\n", ", line 1, column 2: expected a number, found 'x'"),
        ("a|b\n1|2\n3|4", ": expected a label and at least one feature, found a single column"),
        (
            "1,2\n3," + "y" * 50 + "\n",
            ", line 2, column 2: expected a number, found '" + "y" * 37 + "...'; if this column holds the labels, say "
            'label_column=1, else categories="onehot" makes a column of 0 and 1 of every text, leave_out=[1] leaves '
            "the column out",
        ),
        ("1,2,3\n4,5\n", ", line 2, column 3: expected 3 fields, as on the first line of numbers, found 2"),
        (
            "l,a\n1,2\n3,4,5,6\n",
            ", line 3, column 3: expected 2 fields, as on the first line of numbers, found 4",
        ),
        (
            "1,2\n3,4\n5,6,7\n8\n",
            ", line 3, column 3: expected 2 fields, as on the first line of numbers, found 3",
        ),
        ("1\n2\n", ": expected a label and at least one feature, found a single column"),
    ],
)
def test_csv_refusals(text, message, tmp_path):
    assert refusal(read_csv, written(tmp_path, "data", text)) == message


def test_csv_refuses_what_is_no_text(tmp_path):
    path = written(tmp_path, "data", b"1,2\n3,\xff\x00\n")
    assert refusal(read_csv, path) == ", line 2, column 2: expected a number, found '\ufffd\\x00'"


@pytest.mark.parametrize("label_column", [3, -4])
def test_csv_refuses_a_label_column_that_is_not_there(label_column, tmp_path):
    message = refusal(read_csv, written(tmp_path, "data", csv_text(CSV_TABLE)), label_column)
    assert message == f": expected a label column from -3 to 2, as there are 3 columns, found {label_column}"


@pytest.mark.parametrize("chunk", [1, 40, 1 << 18])
def test_csv_names_the_line_in_a_later_chunk(chunk, tmp_path, monkeypatch):
    monkeypatch.setattr(_csv, "_CHUNK", chunk)
    lines = ["label,a,b"] + ["1,2,3"] * 500
    lines[321] = "1,2,?"
    message = refusal(read_csv, written(tmp_path, "data", "\n".join(lines)))
    assert message == f", line 322, column 3 ('b'): expected a number, found '?'; {FILL}"


# npz


def npz(folder, **arrays):
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return path


NAMES = "arrays named X and y, x and y, or x_train and y_train"
PAIR = {"X": np.arange(6, dtype=np.float32).reshape(3, 2), "y": np.array([1, 0, 2], np.int8)}


@pytest.mark.parametrize("names", [("X", "y"), ("x", "y")])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_round_trip(names, save, tmp_path):
    path = tmp_path / "data.npz"
    save(path, **dict(zip(names, PAIR.values(), strict=True)), more=np.zeros(9))
    X, y = read_npz(path)
    assert X.dtype == np.float32
    assert y.dtype == np.int8
    assert np.array_equal(X, PAIR["X"])
    assert np.array_equal(y, PAIR["y"])


def test_npz_prefers_the_capital_and_takes_targets_in_columns(tmp_path):
    X, y = read_npz(npz(tmp_path, X=PAIR["X"], x=np.zeros((9, 9)), y=np.eye(3)))
    assert X.shape == (3, 2)
    assert y.shape == (3, 3)


class Marker:
    """Leaves a file behind when a pickle of it is loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, f": expected {NAMES}, found no arrays"),
        ({"x_tram": PAIR["X"], "y_tram": PAIR["y"]}, f": expected {NAMES}, found x_tram, y_tram"),
        ({"X": PAIR["X"]}, f": expected {NAMES}, found X"),
        ({"X": PAIR["X"], "y": np.array([b"a", b"b", b"c"])}, ": expected y to hold numbers, found dtype |S1"),
        ({"X": PAIR["X"].astype(str), "y": PAIR["y"]}, ": expected X to hold numbers, found dtype <U32"),
        (
            {"X": np.zeros((3, 2), [("a", "f4")]), "y": PAIR["y"]},
            ": expected X to hold numbers, found dtype [('a', '<f4')]",
        ),
        ({"X": PAIR["X"] * 1j, "y": PAIR["y"]}, ": expected X to hold numbers, found dtype complex64"),
        ({"X": np.zeros(3), "y": PAIR["y"]}, ": expected X to have 2 dimensions, found shape (3,)"),
        ({"X": PAIR["X"], "y": np.array(1)}, ": expected y to have 1 or 2 dimensions, found shape ()"),
        (
            {"X": PAIR["X"], "y": np.zeros(4)},
            ": expected as many labels as samples, found X (3, 2) and y (4,)",
        ),
    ],
)
def test_npz_refusals(arrays, message, tmp_path):
    assert refusal(read_npz, npz(tmp_path, **arrays)) == message


def test_npz_refuses_object_arrays_unread(tmp_path):
    marker = tmp_path / "ran"
    path = npz(tmp_path, X=np.array([[Marker(marker)]]), y=np.zeros(1))
    assert refusal(read_npz, path) == ": expected X to hold numbers, found dtype object"
    assert not marker.exists()


def test_npz_refuses_other_formats(tmp_path):
    for content in (b"", b"1,2\n", pickle.dumps(1), gzip.compress(b"x")):
        message = refusal(read_npz, written(tmp_path, "data.npz", content))
        assert message == ": expected an .npz archive, which is a zip file; this is none"


def test_npz_refuses_damage(tmp_path):
    content = bytearray(npz(tmp_path, X=np.ones((50, 9)), y=np.zeros(50)).read_bytes())
    content[400] ^= 255
    message = refusal(read_npz, written(tmp_path, "data.npz", bytes(content)))
    assert message.startswith(": expected an undamaged archive of arrays of numbers: Bad CRC-32")


def test_npz_refuses_members_that_are_no_arrays(tmp_path):
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", "hello")
        archive.writestr("y.npy", "hello")
    assert refusal(read_npz, path).startswith(": expected ")


# The pickle


def book_data(dtype=np.float32):
    """Three pairs as in the book's file, small, with values that no other array has by chance."""
    rng = np.random.default_rng(3)
    return tuple((rng.random((n, 5)).astype(dtype), rng.integers(0, 10, n)) for n in (4, 3, 2))


def assert_same_pairs(found, expected):
    assert isinstance(found, tuple)
    for pair, (X, y) in zip(found, expected, strict=True):
        for part, array in zip(pair, (X, y), strict=True):
            assert type(part) is np.ndarray
            assert part.dtype == array.dtype
            assert part.dtype.isnative
            assert part.flags.writeable
            assert part.flags.c_contiguous
            assert np.array_equal(part, array)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_pickle_round_trip(protocol, pack, tmp_path):
    path = written(tmp_path, "mnist.pkl.gz", pack(pickle.dumps(book_data(), protocol)))
    assert_same_pairs(read_mnist_pickle(path), book_data())


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("core", [b"numpy.core", b"numpy._core"])
def test_pickle_of_either_numpy(protocol, core, tmp_path):
    content = re.sub(rb"numpy\._?core", core, pickle.dumps(book_data(), min(protocol, 3)))
    assert_same_pairs(read_mnist_pickle(written(tmp_path, "data", content)), book_data())


def python_2_pickle(pairs):
    """The bytes that Python 2 and its NumPy wrote: str for bytes, arrays by _reconstruct and a state."""

    def text(value):
        return b"T" + struct.pack("<I", len(value)) + value

    def array(a):
        dtype = b"cnumpy\ndtype\n(" + text(a.dtype.str[1:].encode()) + b"K\0K\1tR(K\3" + text(b"<") + b"NNN"
        dtype += b"J\xff\xff\xff\xff" * 2 + b"K\0tb"
        shape = b"(" + b"".join(b"K" + bytes([n]) for n in a.shape) + b"t"
        new = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\0t" + text(b"b") + b"tR"
        return new + b"(K\1" + shape + dtype + b"I00\n" + text(a.tobytes()) + b"tb"

    return b"\x80\x02(" + b"".join(b"(" + array(X) + array(y) + b"t" for X, y in pairs) + b"t."


def test_pickle_of_python_2(tmp_path):
    content = python_2_pickle(book_data())
    # Python's own unpickler agrees that these bytes are such a file.
    assert_same_pairs(pickle.loads(content.replace(b"numpy.core", np_core()), encoding="latin1"), book_data())
    assert_same_pairs(read_mnist_pickle(written(tmp_path, "mnist.pkl.gz", gzip.compress(content))), book_data())


def np_core():
    return type(np.zeros(1)).__reduce_ex__(np.zeros(1), 2)[0].__module__.rpartition(".")[0].encode()


@pytest.mark.parametrize("protocol", [2, 5])
def test_pickle_of_odd_layouts(protocol, tmp_path):
    pairs = book_data()
    expected = [(X.astype(np.float64), y.astype(np.int16)) for X, y in pairs]
    odd = [[np.asfortranarray(X.astype(">f8")), np.repeat(y.astype(">i2"), 2)[::2]] for X, y in pairs]
    assert_same_pairs(read_mnist_pickle(written(tmp_path, "data", pickle.dumps(odd, protocol))), expected)


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("labels", [lambda y: y.tolist(), tuple, list])
def test_pickle_of_labels_one_by_one(protocol, labels, tmp_path):
    pairs = [(X, labels(y)) for X, y in book_data()]
    found = read_mnist_pickle(written(tmp_path, "data", pickle.dumps(pairs, protocol)))
    for (_, y), (_, expected) in zip(found, book_data(), strict=True):
        assert np.array_equal(y, expected)


def global_call(module, name, *args):
    """A pickle that calls any importable function, as an attacker writes it."""
    out = io.BytesIO()
    pickle.Pickler(out, 2).dump(args)
    arguments = out.getvalue()[2:-1]  # without the header and the final stop
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + arguments + b"R."


@pytest.mark.parametrize(
    ("module", "name", "args"),
    [
        ("os", "system", ("mkdir {}",)),
        ("posix", "system", ("mkdir {}",)),
        ("nt", "system", ("mkdir {}",)),
        ("os", "mkdir", ("{}",)),
        ("subprocess", "check_call", (["mkdir", "{}"],)),
        ("builtins", "eval", ("__import__('os').mkdir('{}')",)),
        ("builtins", "exec", ("__import__('os').mkdir('{}')",)),
        ("__builtin__", "eval", ("__import__('os').mkdir('{}')",)),
        ("builtins", "getattr", ("numpy", "load")),
        ("builtins", "__import__", ("os",)),
        ("builtins", "open", ("{}", "w")),
        ("operator", "attrgetter", ("system",)),
        ("functools", "partial", (print,)),
        ("importlib", "import_module", ("antigravity",)),
        ("numpy", "load", ("{}",)),
        ("numpy", "save", ("{}", 1)),
        ("numpy", "memmap", ("{}", "uint8", "w+", 0, 10)),
        ("numpy", "fromfile", ("{}",)),
        ("numpy", "f2py", ()),
        ("numpy.f2py", "compile", ("",)),
        ("numpy.testing._private.utils", "runstring", ("__import__('os').mkdir('{}')", {})),
        ("numpy", "matrix", ([1],)),
        ("numpy", "recarray", (1,)),
        ("numpy", "array", ([1],)),
        ("numpy.core.multiarray", "array", ([1],)),
        ("numpy.core.multiarray", "fromfile", ("{}",)),
        ("numpy._core.multiarray", "_reconstruct.__globals__", ()),
        ("numpy", "ndarray.tofile", ("{}",)),
        ("numpy", "dtype.__init__", ()),
        ("_codecs", "decode", (b"x", "latin1")),
        ("_codecs", "lookup", ("latin1",)),
        ("codecs", "encode", ("x", "latin1")),
        ("fastnn.datasets.readers", "_Callable", (print,)),
    ],
)
def test_pickle_refuses_every_other_name(module, name, args, tmp_path):
    marker = tmp_path / "ran"
    args = [a.replace("{}", str(marker)) if isinstance(a, str) else a for a in args if a is not print]
    message = refusal(read_mnist_pickle, written(tmp_path, "data", global_call(module, name, *args)))
    assert message == (
        ": expected a pickle of arrays of numbers and nothing else: "
        f"it asks for {module}.{name}, which no array of numbers needs"
    )
    assert not marker.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_runs_nothing_by_reduce(protocol, tmp_path):
    marker = tmp_path / "ran"
    X, y = book_data()[0]
    for hostile in (Marker(marker), [Marker(marker)], ((X, y), (X, y), (X, Marker(marker)))):
        path = written(tmp_path, "data", pickle.dumps(hostile, protocol))
        assert f"it asks for {os.mkdir.__module__}.mkdir" in refusal(read_mnist_pickle, path)
    assert not marker.exists()


def test_pickle_runs_nothing_by_dotted_names(tmp_path):
    # Protocol 4 resolves dots in a name: numpy -> f2py -> os -> system.
    content = b"\x80\x04\x8c\x05numpy\x8c\x0ef2py.os.system\x93\x8c\x04true\x85R."
    message = refusal(read_mnist_pickle, written(tmp_path, "data", content))
    assert message.endswith("it asks for numpy.f2py.os.system, which no array of numbers needs")


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize(
    ("array", "code"),
    [
        (np.array([[None, "x"]]), "O8"),
        (np.array([["a", "b"]]), "U1"),
        (np.array([[b"a", b"b"]]), "S1"),
        (np.array([[1j]]), "c16"),
        (np.zeros((1, 1), "M8[s]"), "M8"),
        (np.zeros((1, 1), [("a", "f4")]), "V4"),
        (np.zeros((1, 1), "f2,f2"), "V4"),
    ],
)
def test_pickle_refuses_arrays_of_other_things(protocol, array, code, tmp_path):
    pairs = ((array, np.zeros(1)),) * 3
    message = refusal(read_mnist_pickle, written(tmp_path, "data", pickle.dumps(pairs, protocol)))
    assert message.endswith(f"it holds an array of dtype '{code}', which is not one of numbers")


# Opcodes for hand-made pickles: what the allowed names can be made to do.
DTYPE = b"cnumpy\ndtype\n(%sI00\nI01\ntR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
NEW = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
F4 = DTYPE % b"U\x02f4"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (NEW + b"(K\x01(K\x01t" + F4 + b"I00\n](K\x01etb", "is not made of the bytes of numbers"),
        (NEW + b"(K\x01(K\x01tU\x02f4I00\nU\x04abcdtb", "is not made of the bytes of numbers"),
        (NEW + b"(K\x01(K\x02t" + F4 + b"I00\nU\x04abcdtb", "cannot reshape array of size 1 into shape (2,)"),
        (NEW + b"(K\x01(K\x01t" + F4 + b"I00\nU\x03abctb", "buffer size must be a multiple of element size"),
        (DTYPE % b"U\x02O8", "it holds an array of dtype 'O8', which is not one of numbers"),
        (DTYPE % b"U\x0210", "it holds an array of dtype '10', which is not one of numbers"),
        (DTYPE % b"U\x02i3", "it holds an array of dtype 'i3', which is not one of numbers"),
        (DTYPE % b"U\x02f1", "data type 'f1' not understood"),
        (b"cnumpy.core.multiarray\nscalar\n(" + DTYPE % b"U\x02O8" + b"U\x08AAAAAAAAtR", "dtype 'O8'"),
        (b"cnumpy.core.multiarray\nscalar\n(" + F4 + b"U\x08AAAAAAAAtR", "cannot reshape"),
        (
            b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(K\x00tU\x01btR",
            "an array of an unknown kind",
        ),
        (b"cnumpy.core.multiarray\n_reconstruct\nNb", "it tries to change something that is no array"),
        (b"]Nb", "it tries to change something that is no array"),
        (b"cnumpy\nndarray\n)R", "it calls something that is no function"),
        (b"])R", "it calls something that is no function"),
        (b"}U\x05aaaaaNsb", "it takes the step EMPTY_DICT, which no array of numbers needs"),
        (b"(U\x05aaaaaNd", "it takes the step DICT,"),
        (b"\x8f", "it takes the step EMPTY_SET,"),
        (b"\xff", "it takes the step 0xff,"),
        (b"cnumpy\ndtype\n)\x81", "NEWOBJ"),
        (NEW + b"K\x01a", "append"),
        (NEW + b"K\x01K\x01s", "SETITEM"),
        (b"Pos\n", "PERSID"),
        (b"\x82\x01", "EXT1"),
        (b"\x97", "NEXT_BUFFER"),
    ],
)
def test_pickle_refuses_misuse_of_the_allowed_names(body, reason, tmp_path):
    before = dict(_pickle._ALLOWED)
    message = refusal(read_mnist_pickle, written(tmp_path, "data", b"\x80\x02" + body + b"."))
    assert message.startswith(": expected a pickle of arrays of numbers and nothing else: ")
    assert reason in message
    assert before == _pickle._ALLOWED
    test_pickle_of_python_2(tmp_path)  # nothing that was refused has left a mark on the reader


def test_pickle_builds_nothing_of_numpy_before_it_is_checked(tmp_path):
    # A dtype whose flags lie: NumPy's own unpickling would take these bytes for pointers to objects.
    state = b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    content = b"\x80\x02" + NEW + b"(K\x01(K\x01tcnumpy\ndtype\n(U\x02O8I00\nI01\ntR" + state
    content += b"I00\nU\x08AAAAAAAAtb."
    message = refusal(read_mnist_pickle, written(tmp_path, "data", content))
    assert message.endswith("it holds an array of dtype 'O8', which is not one of numbers")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (1, ": expected three pairs (X, y), for training, validation and test"),
        (book_data()[:2], ": expected three pairs (X, y), for training, validation and test"),
        (((), (), ()), ": expected three pairs (X, y), for training, validation and test"),
        ([1, 2, 3], ": expected three pairs (X, y), for training, validation and test"),
        (((1, 2),) * 3, ": expected X to be an array, found int"),
        (((np.zeros((2, 2)), "text"),) * 3, ": expected y to be an array, found str"),
        (((np.zeros((2, 2)), ["a", "b"]),) * 3, ": expected y to be an array, found list"),
        (((np.zeros(2), np.zeros(2)),) * 3, ": expected X to have 2 dimensions, found shape (2,)"),
        (
            ((np.zeros((2, 2)), np.zeros((2, 2, 2))),) * 3,
            ": expected y to have 1 or 2 dimensions, found shape (2, 2, 2)",
        ),
        (
            ((np.zeros((2, 2)), np.zeros(3)),) * 3,
            ": expected as many labels as samples, found X (2, 2) and y (3,)",
        ),
        (((np.zeros((1, 2)), [2**70]),) * 3, ": expected y to hold numbers, found dtype object"),
    ],
)
def test_pickle_of_other_contents(content, message, tmp_path):
    assert refusal(read_mnist_pickle, written(tmp_path, "data", pickle.dumps(content, 4))) == message


def test_pickle_of_an_array_never_filled(tmp_path):
    content = b"\x80\x02((" + NEW + NEW + b"t" + b"(K\x00K\x00t" * 2 + b"t."
    message = refusal(read_mnist_pickle, written(tmp_path, "data", content))
    assert message == ": expected X to be an array, found _PickledArray"


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80", b"\x80\x02", pickle.dumps(book_data(), 2)[:-40]])
def test_pickle_cut_short_or_none_at_all(content, tmp_path):
    message = refusal(read_mnist_pickle, written(tmp_path, "data", content))
    assert message.startswith(": expected a pickle of arrays of numbers and nothing else: ")


def test_pickle_too_large_for_memory(tmp_path, monkeypatch):
    def load(self):
        raise MemoryError  # it comes without a message

    monkeypatch.setattr(_pickle._ArrayUnpickler, "load", load)
    message = refusal(read_mnist_pickle, written(tmp_path, "data", b""))
    assert message == ": expected a pickle of arrays of numbers and nothing else: MemoryError"


# By file ending


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
        ("t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte"),
        ("images.idx", "labels.idx"),
        ("my-images.idx3.gz", "my-labels.idx1.gz"),
    ],
)
def test_read_idx_pair(images, labels, tmp_path):
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    for name, array in ((images, pixels), (labels, np.array([3, 9], np.uint8))):
        content = idx_bytes(array)
        written(tmp_path, name, gzip.compress(content) if name.endswith(".gz") else content)
    X, y = read(tmp_path / images)
    assert X.dtype == np.uint8
    assert np.array_equal(X, pixels.reshape(2, 12))
    assert y.dtype == np.int64
    assert y.tolist() == [3, 9]


def test_read_idx_pair_of_floats_and_of_nothing(tmp_path):
    written(tmp_path, "labels.idx", idx_bytes(np.array([0.5])))
    path = written(tmp_path, "images.idx", idx_bytes(np.array([2.5], np.float32)))
    X, y = read(path)
    assert X.tolist() == [[2.5]]
    assert y.tolist() == [0.5]
    written(tmp_path, "labels.idx", idx_bytes(np.zeros(0, "u1")))
    written(tmp_path, "images.idx", idx_bytes(np.zeros((0, 5, 6), "u1")))
    assert read(path)[0].shape == (0, 30)


def test_read_idx_pair_refusals(tmp_path):
    path = written(tmp_path, "images.idx", idx_bytes(np.zeros((2, 3), "u1")))
    with pytest.raises(FileNotFoundError, match=r"labels\.idx"):
        read(path)
    labels = written(tmp_path, "labels.idx", idx_bytes(np.zeros(3, "u1")))
    with pytest.raises(DataFileError) as caught:
        read(path)
    expected = "expected 2 labels, one for each image in images.idx, found an array of shape (3,)"
    assert str(caught.value) == f"{labels}: {expected}"
    assert refusal(read, labels) == (
        ": expected an IDX file with 'images' in its name, so that its labels can be found in the file "
        "with 'labels' there (one IDX file alone is read by read_idx)"
    )


def test_read_csv_and_npz_by_ending(tmp_path):
    text = csv_text(CSV_TABLE).encode()
    for name, content in (("a.csv", text), ("b.CSV", text), ("c.csv.gz", gzip.compress(text))):
        X, y = read(str(written(tmp_path, name, content)))
        assert X.shape == (2, 2)
        assert y.tolist() == [7, 2]
    X, y = read(npz(tmp_path, **PAIR))
    assert X.shape == (3, 2)


@pytest.mark.parametrize("name", ["data.txt", "csv", "data", "train-images-idx3-ubyte.zip", "idx/data"])
def test_read_refuses_unknown_endings(name, tmp_path):
    assert refusal(read, tmp_path / name) == (
        ": cannot tell the format from the name; expected one that ends in .npz, .csv, .csv.gz, .tsv, .pkl.gz or an "
        "IDX ending such as -idx3-ubyte.gz"
    )
