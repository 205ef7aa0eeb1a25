"""Data sets in the names and shapes that their publishers, and programs that unpack them, gave them."""

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
from files import idx_bytes, refusal, written

from fastnn.datasets import read, read_csv, read_features, read_file, read_mnist_pickle, read_npz

RNG = np.random.default_rng(5)
IMAGES = RNG.integers(0, 256, (7, 8, 9), dtype=np.uint8)
TEST_IMAGES = RNG.integers(0, 256, (4, 8, 9), dtype=np.uint8)
LABELS = np.array([3, 1, 3, 0, 1, 1, 3], np.uint8)
TEST_LABELS = np.array([1, 1, 3, 3], np.uint8)
PIXELS, TEST_PIXELS = IMAGES.reshape(7, 72), TEST_IMAGES.reshape(4, 72)
SCALE_NOTE = "the samples look like images with pixels from 0 to 255: scale=255 suits"


def saved(folder, name, **arrays):
    np.savez(folder / name, **arrays)
    return folder / name


# npz


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),  # Keras
        ("X_train", "y_train", "X_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),  # MedMNIST
        ("X", "y", "X_test", "y_test"),
        ("arr_0", "arr_1", "arr_2", "arr_3"),
    ],
)
def test_archives_with_a_test_part(names, tmp_path):
    arrays = dict(zip(names, (IMAGES, LABELS, TEST_IMAGES, TEST_LABELS), strict=True))
    path = saved(tmp_path, "mnist.npz", **arrays, more=np.zeros(3))
    data = read_file(path)
    assert data.X.dtype == np.uint8
    assert np.array_equal(data.X, PIXELS)
    assert np.array_equal(data.y, LABELS)
    assert np.array_equal(data.test[0], TEST_PIXELS)
    assert np.array_equal(data.test[1], TEST_LABELS)
    assert (data.task, data.classes.tolist(), data.scale, data.notes) == ("classes", [0, 1, 3], 255, (SCALE_NOTE,))
    X, y = read(path)
    assert np.array_equal(X, PIXELS)
    assert np.array_equal(y, LABELS)
    assert np.array_equal(read_features(path, 72).X, TEST_PIXELS)


def test_an_archive_may_be_called_idx(tmp_path):
    for name in ("mnist_idx.npz", "my-idx3.npz"):
        assert np.array_equal(read(saved(tmp_path, name, X=PIXELS, y=LABELS))[0], PIXELS)
    assert read(written(tmp_path, "my_idx.csv", "1,2\n0,3\n"))[0].tolist() == [[2], [3]]


@pytest.mark.parametrize("name", ["X", "x", "X_test", "x_test", "x_train", "images", "arr_0"])
def test_an_archive_to_predict_needs_no_labels(name, tmp_path):
    path = saved(tmp_path, "data.npz", **{name: IMAGES})
    if "test" in name:
        assert "expected arrays named" in refusal(lambda path: read_features(path, 72), path)
        return
    data = read_features(path, 72)
    assert np.array_equal(data.X, PIXELS)
    assert (data.y, data.scale) == (None, 255)
    assert "expected arrays named X and y" in refusal(read_npz, path)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("X_kannada_MNIST_train.npz", "y_kannada_MNIST_train.npz"),
        ("kmnist-train-imgs.npz", "kmnist-train-labels.npz"),
    ],
)
def test_labels_in_an_archive_of_their_own(images, labels, tmp_path):
    path = saved(tmp_path, images, arr_0=IMAGES)
    with pytest.raises(FileNotFoundError, match=labels):
        read_file(path)
    assert np.array_equal(read_features(path, 72).X, PIXELS)
    saved(tmp_path, labels, arr_0=LABELS)
    data = read_file(path)
    assert np.array_equal(data.X, PIXELS)
    assert np.array_equal(data.y, LABELS)
    saved(tmp_path, labels, arr_0=LABELS[:3])
    assert refusal(read_file, path) == ": expected as many labels as samples, found X (7, 8, 9) and y (3,)"
    written(tmp_path, labels, "no archive")
    with pytest.raises(ValueError, match=f"^{tmp_path / labels}: expected an .npz archive"):
        read_file(path)


def test_labels_of_text_in_an_archive(tmp_path):
    data = read_file(saved(tmp_path, "data.npz", X=PIXELS[:3], y=np.array(["cat", "dog", "cat"])))
    assert data.y.tolist() == ["cat", "dog", "cat"]
    assert (data.task, data.classes.tolist()) == ("classes", ["cat", "dog"])


def test_big_endian_and_fortran_order(tmp_path):
    X, y = read_npz(saved(tmp_path, "data.npz", X=np.asfortranarray(PIXELS.astype(">f4")), y=LABELS.astype(">i2")))
    assert (X.dtype, y.dtype) == (np.float32, np.int16)
    assert X.flags.c_contiguous
    assert np.array_equal(X, PIXELS)
    assert np.array_equal(y, LABELS)


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (np.eye(7), "classes"),
        (np.eye(7)[:, :3], "multilabel"),
        (np.tril(np.ones((7, 7))), "multilabel"),
        (np.eye(7) / 2, "regression"),
        (np.ones((7, 1)), "multilabel"),
        (np.arange(7) * 100.0, "regression"),
        (np.arange(7) / 2, "regression"),
        (np.arange(7) % 2 == 0, "classes"),
        (np.full(7, np.nan), "regression"),
    ],
)
def test_the_task_of_targets(y, task, tmp_path):
    data = read_file(saved(tmp_path, "data.npz", X=PIXELS, y=y))
    assert data.task == task
    assert (data.classes is not None) == (task == "classes" and y.ndim == 1)


@pytest.mark.parametrize(
    ("X", "scale"),
    [
        (PIXELS, 255),
        (PIXELS.astype(np.int32), 255),
        (PIXELS.astype(np.float32), 255),
        (PIXELS.astype(np.float32) + 0.5, None),
        (PIXELS / 255, None),
        (np.full((7, 72), np.nan), None),
        (PIXELS // 200, None),  # one-hot columns and bits are no pixels
        (PIXELS // 16, None),
        (PIXELS[:, :20], None),
        (PIXELS.astype(np.int16) - 1, None),
        (PIXELS.astype(np.int16) + 1, None),
        (PIXELS[:, :0], None),
    ],
)
def test_numbers_come_at_face_value_with_the_scale_that_suits(X, scale, tmp_path):
    data = read_file(saved(tmp_path, "data.npz", X=X, y=LABELS))
    assert data.X.dtype == X.dtype
    assert np.array_equal(data.X, X, equal_nan=True)
    assert data.scale == scale


def test_parts_of_different_widths(tmp_path):
    path = saved(tmp_path, "data.npz", x_train=PIXELS, y_train=LABELS, x_test=TEST_PIXELS[:, 1:], y_test=TEST_LABELS)
    assert refusal(read_file, path) == ": expected as many features to test as to train, found 71 and 72"
    path = saved(tmp_path, "data.npz", x_train=PIXELS, y_train=LABELS, x_test=TEST_PIXELS, y_test=LABELS)
    assert refusal(read_file, path) == ": expected as many labels as samples, found X (4, 72) and y (7,)"


# IDX


def write_idx(folder, name, array):
    content = idx_bytes(array)
    return written(folder, name, gzip.compress(content) if name.endswith(".gz") else content)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"),  # unpacked beside packed
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz"),
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),  # as 7-Zip unpacks them
        ("train-images-idx3-ubyte.gz", "train-labels.idx1-ubyte"),
        ("train-images.idx3-ubyte", "train-labels-idx1-ubyte.gz"),
        ("X_kannada_MNIST_train-idx3-ubyte.gz", "y_kannada_MNIST_train-idx1-ubyte.gz"),
        ("X_dig_MNIST-idx3-ubyte", "y_dig_MNIST-idx1-ubyte.gz"),
        ("emnist-letters-train-images-idx3-ubyte.gz", "emnist-letters-train-labels-idx1-ubyte.gz"),
        ("qmnist-test-images-idx3-ubyte.gz", "qmnist-test-labels-idx1-ubyte.gz"),
    ],
)
def test_labels_beside_images(images, labels, tmp_path):
    path = write_idx(tmp_path, images, IMAGES)
    write_idx(tmp_path, labels, LABELS)
    data = read_file(path)
    assert np.array_equal(data.X, PIXELS)
    assert np.array_equal(data.y, LABELS)
    assert (data.X.dtype, data.y.dtype, data.scale) == (np.uint8, np.int64, 255)


def test_labels_of_the_same_form_come_first(tmp_path):
    path = write_idx(tmp_path, "train-images-idx3-ubyte.gz", IMAGES)
    write_idx(tmp_path, "train-labels-idx1-ubyte", np.zeros(7, "u1"))
    write_idx(tmp_path, "train-labels.idx1-ubyte", np.zeros(7, "u1"))
    write_idx(tmp_path, "train-labels-idx1-ubyte.gz", LABELS)
    assert np.array_equal(read_file(path).y, LABELS)


@pytest.mark.parametrize("packing", ["", ".gz"])
def test_the_labels_of_qmnist(packing, tmp_path):
    path = write_idx(tmp_path, "qmnist-train-images-idx3-ubyte.gz", IMAGES)
    rows = RNG.integers(0, 10**6, (7, 8)).astype("i4")
    rows[:, 0] = LABELS
    write_idx(tmp_path, f"qmnist-train-labels-idx2-int{packing}", rows)
    data = read_file(path)
    assert np.array_equal(data.y, LABELS)
    assert data.notes[0] == (
        f"the labels are the first of the 8 columns in qmnist-train-labels-idx2-int{packing}, as in QMNIST"
    )
    write_idx(tmp_path, f"qmnist-train-labels-idx2-int{packing}", rows[:, :7])
    with pytest.raises(ValueError, match=r"expected 7 labels.*found an array of shape \(7, 7\)"):
        read_file(path)


def test_images_to_predict_stand_alone(tmp_path):
    for name in ("some-images-idx3-ubyte", "unseen.idx3-ubyte.gz"):
        data = read_features(write_idx(tmp_path, name, IMAGES), 72)
        assert np.array_equal(data.X, PIXELS)
        assert (data.y, data.scale) == (None, 255)


# The pickle


def test_the_book_s_expanded_data(tmp_path):
    """Written by expand_mnist.py: lists of one array, and one number, a sample."""
    rows = [row.astype(np.float32) / np.float32(255) for row in PIXELS]
    pair = (TEST_PIXELS, TEST_LABELS.astype(np.int64))
    parts = ([rows, list(LABELS.astype(np.int64))], pair, pair)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path = written(tmp_path, "mnist_expanded.pkl.gz", gzip.compress(pickle.dumps(parts, protocol)))
        (X, y), validation, _ = read_mnist_pickle(path)
        assert (X.shape, X.dtype, y.dtype) == ((7, 72), np.float32, np.int64)
        assert np.array_equal(X, rows)
        assert np.array_equal(y, LABELS)
        assert np.array_equal(validation[0], TEST_PIXELS)
        assert X.flags.writeable


def test_the_book_s_expanded_data_of_python_2(tmp_path):
    """In words, as its cPickle wrote by default: a text with escapes for an array's bytes."""

    def text(value):
        return b"S'" + b"".join(b"\\x%02x" % byte for byte in value) + b"'\np15\n"

    def dtype(code):
        return b"cnumpy\ndtype\np9\n(S'%s'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\ntp14\nb" % code

    def array(values, code):
        new = b"cnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\ntp6\nRp7\n"
        state = b"(I1\n(I%d\ntp8\n" % len(values) + dtype(code) + b"I00\n" + text(values.tobytes()) + b"tp16\nb"
        return new + state

    def scalar(value):
        return b"cnumpy.core.multiarray\nscalar\np17\n(" + dtype(b"i8") + text(value.tobytes()) + b"tp18\nRp19\n"

    rows = (PIXELS / 255).astype("<f4")
    training = b"(lp20\n(lp21\n" + b"".join(array(row, b"f4") + b"a" for row in rows) + b"a(lp22\n"
    training += b"".join(scalar(label) + b"a" for label in LABELS.astype("<i8")) + b"a"
    path = written(tmp_path, "mnist_expanded.pkl.gz", gzip.compress(b"(" + training * 3 + b"tp1\n."))
    (X, y), _, test = read_mnist_pickle(path)
    assert X.dtype == np.float32
    assert np.array_equal(X, rows)
    assert np.array_equal(y, LABELS)
    assert np.array_equal(test[0], rows)


@pytest.mark.parametrize("shape", [(72,), (72, 1), (8, 9)])
def test_lists_of_columns_and_of_images(shape, tmp_path):
    targets = [np.eye(4)[label].reshape(4, 1) for label in LABELS]
    parts = (([row.reshape(shape) for row in PIXELS], targets),) * 3
    (X, y), _, _ = read_mnist_pickle(written(tmp_path, "data", pickle.dumps(parts, 2)))
    assert np.array_equal(X, PIXELS)
    assert np.array_equal(y, np.eye(4)[LABELS])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([np.zeros(2), np.zeros(3)], "found float64 (2,) and, at [1], float64 (3,)"),
        ([np.zeros(2), np.zeros(2, "f4")], "found float64 (2,) and, at [1], float32 (2,)"),
    ],
)
def test_lists_of_different_arrays(rows, message, tmp_path):
    path = written(tmp_path, "data", pickle.dumps(((rows, [1, 2]),) * 3))
    assert refusal(read_mnist_pickle, path) == f": expected X to be a list of arrays of one shape, {message}"


def test_lists_of_arrays_and_numbers(tmp_path):
    path = written(tmp_path, "data", pickle.dumps((([np.zeros(2), 5], [1, 2]),) * 3))
    assert refusal(read_mnist_pickle, path) == ": expected X to be an array, found list"


@pytest.mark.parametrize("name", ["mnist.pkl.gz", "mnist.pkl", "MNIST.PICKLE"])
def test_a_pickle_by_its_ending(name, tmp_path):
    parts = ((PIXELS, LABELS), (PIXELS[:2], LABELS[:2]), (TEST_PIXELS, TEST_LABELS))
    content = pickle.dumps(parts)
    path = written(tmp_path, name, gzip.compress(content) if name.endswith(".gz") else content)
    data = read_file(path)
    assert np.array_equal(data.X, PIXELS)
    assert np.array_equal(data.test[1], TEST_LABELS)
    assert data.notes == ("the file's 2 samples for validation are not used", SCALE_NOTE)
    assert np.array_equal(read_features(path, 72).X, TEST_PIXELS)


# The same numbers in every format


def test_the_same_in_every_format(tmp_path):
    text = "".join(",".join(map(str, [label, *row])) + "\n" for label, row in zip(LABELS, PIXELS, strict=True))
    paths = [
        written(tmp_path, "data.csv", text),
        written(tmp_path, "data.tsv.gz", gzip.compress(text.replace(",", "\t").encode())),
        saved(tmp_path, "data.npz", X=IMAGES, y=LABELS),
        write_idx(tmp_path, "images.idx", IMAGES),
        written(tmp_path, "data.pkl", pickle.dumps(((PIXELS, LABELS),) * 3)),
    ]
    write_idx(tmp_path, "labels.idx", LABELS)
    for path in paths:
        data = read_file(path)
        assert np.array_equal(data.X, PIXELS)
        assert np.array_equal(data.y, LABELS)
        assert (data.scale, data.task, data.classes.tolist()) == (255, "classes", [0, 1, 3])
        X, y = read(path)
        assert np.array_equal(X, PIXELS)
        assert np.array_equal(y, LABELS)


def test_the_bundled_files_say_their_scale():
    folder = Path(read_csv.__code__.co_filename).parent / "data"
    assert read_file(folder / "t10k-images-idx3-ubyte.gz").scale == 255
    assert read_file(folder / "digits.npz").scale is None  # its brightest is 16


@pytest.mark.parametrize("n_features", [0, 1.5, "3"])
def test_the_number_of_features_is_checked(n_features, tmp_path):
    with pytest.raises((TypeError, ValueError), match="n_features must be"):
        read_features(written(tmp_path, "data.csv", "1,2\n"), n_features)
