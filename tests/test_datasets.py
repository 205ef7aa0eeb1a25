"""The data sets that come with the library are complete, unchanged and scaled as documented."""

import gzip
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnn.datasets
from fastnn.datasets import load, load_digits, load_mnist

DATA = Path(fastnn.datasets.__file__).parent / "data"


@pytest.fixture(scope="module")
def mnist():
    return load_mnist()


@pytest.fixture(scope="module")
def mnist_bytes():
    return load_mnist("uint8")


@pytest.mark.parametrize(
    ("name", "md5"),
    [
        ("train-images-idx3-ubyte.gz", "6bbc9ace898e44ae57da46a324031adb"),
        ("train-labels-idx1-ubyte.gz", "a25bea736e30d166cdddb491f175f624"),
        ("t10k-images-idx3-ubyte.gz", "2646ac647ad5339dbf082846283269ea"),
        ("t10k-labels-idx1-ubyte.gz", "27ae3e4e09519cfbb04c329615203637"),
    ],
)
def test_mnist_files_hold_the_original_bytes(name, md5):
    data = gzip.decompress((DATA / name).read_bytes())
    assert hashlib.md5(data, usedforsecurity=False).hexdigest() == md5


def test_mnist_shapes_and_dtypes(mnist):
    X, y, Xt, yt = mnist
    assert [a.shape for a in mnist] == [(60000, 784), (60000,), (10000, 784), (10000,)]
    assert X.dtype == Xt.dtype == np.float32
    assert y.dtype == yt.dtype == np.int64
    assert all(a.flags.c_contiguous and a.flags.writeable for a in mnist)


def test_mnist_labels(mnist):
    _, y, _, yt = mnist
    assert y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert yt[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(yt).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_mnist_pixels_are_bytes_over_255(mnist, mnist_bytes):
    for scaled, raw in ((mnist[0], mnist_bytes[0]), (mnist[2], mnist_bytes[2])):
        assert raw.dtype == np.uint8
        assert (raw.min(), raw.max()) == (0, 255)
        table = np.arange(256, dtype=np.float32) / np.float32(255)
        assert np.array_equal(scaled, table[raw])
    # The mean and deviation that everyone knows of the training images.
    assert mnist[0].mean(dtype=np.float64) == pytest.approx(0.1307, abs=1e-4)
    assert mnist_bytes[0].std() / 255 == pytest.approx(0.3081, abs=1e-4)


def test_mnist_in_float64(mnist_bytes):
    _, _, Xt, yt = load_mnist("float64")
    assert Xt.dtype == np.float64
    assert np.array_equal(Xt, mnist_bytes[2] / 255)
    assert np.array_equal(yt, mnist_bytes[3])


def test_mnist_images_stand_upright(mnist):
    # The first training image is a 5: its top bar lies right of the middle, its foot left.
    image = mnist[0][0].reshape(28, 28)
    assert image[5, 14:].sum() > 2 * image[5, :14].sum()
    assert image[24, :14].sum() > 2 * image[24, 14:].sum()


def test_digits_shapes_and_dtypes():
    parts = load_digits()
    assert [a.shape for a in parts] == [(1437, 64), (1437,), (360, 64), (360,)]
    assert [a.dtype for a in parts] == [np.float32, np.int64, np.float32, np.int64]
    assert (parts[0].min(), parts[0].max()) == (0, 1)
    assert load_digits("float64")[0].dtype == np.float64


def test_digits_are_the_source_s_in_its_order():
    datasets = pytest.importorskip("sklearn.datasets")
    images, labels = datasets.load_digits(return_X_y=True)
    X, y, Xt, yt = load_digits("float64")
    assert np.array_equal(np.concatenate([X, Xt]), images / 16)
    assert np.array_equal(np.concatenate([y, yt]), labels)


def test_digits_as_stored():
    X, _, Xt, _ = load_digits("uint8")
    assert X.dtype == Xt.dtype == np.uint8
    assert (X.min(), X.max()) == (0, 16)
    assert np.array_equal(X / np.float32(16), load_digits()[0])


def test_digits_are_the_same_every_time():
    for first, second in zip(load_digits(), load_digits(), strict=True):
        assert np.array_equal(first, second)


@pytest.mark.parametrize("dtype", [np.float64, np.dtype("float64"), "float64"])
def test_dtype_in_all_its_spellings(dtype):
    assert load_digits(dtype)[0].dtype == np.float64


@pytest.mark.parametrize("dtype", ["int8", "float16", "int32", ">f8", "nonsense", None, float])
def test_digits_refuse_other_dtypes(dtype):
    with pytest.raises(ValueError, match=r"^dtype must be one of 'float32', 'float64', 'uint8', not ") as caught:
        load_digits(dtype)
    assert repr(dtype) in str(caught.value)


def test_mnist_refuses_other_dtypes():
    with pytest.raises(ValueError, match=r"^dtype must be one of 'float32', 'float64', 'uint8', not 'int8'$"):
        load_mnist("int8")


def test_load_by_name(mnist):
    for found, expected in zip(load("mnist"), mnist, strict=True):
        assert np.array_equal(found, expected)
    for found, expected in zip(load("digits"), load_digits(), strict=True):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("mnits", "mnist"), ("MNIST", "mnist"), ("digit", "digits"), ("optdigits", "digits")],
)
def test_an_unknown_name_gets_a_suggestion(name, nearest):
    expected = f"^unknown data set '{name}': did you mean '{nearest}'\\? There are 'mnist', 'digits'$"
    with pytest.raises(ValueError, match=expected):
        load(name)


@pytest.mark.parametrize("name", ["", "zzz", 7])
def test_a_name_like_no_other_still_lists_what_there_is(name):
    with pytest.raises(ValueError, match=r"There are 'mnist', 'digits'$"):
        load(name)


def test_the_note_names_sources_and_licences():
    note = (DATA / "NOTE.md").read_text(encoding="utf-8")
    for words in ("CC BY-SA 3.0", "CC BY 4.0", "LeCun", "Cortes", "Burges", "Alpaydin", "Kaynak"):
        assert words in note


def test_the_room_imports_no_more_than_numpy():
    # The folder is imported by itself: what the library around it imports is not this room's affair.
    code = (
        "import sys, types; package = types.ModuleType('fastnn'); package.__path__ = [sys.argv[1]]; "
        "sys.modules['fastnn'] = package; import fastnn.datasets; "
        "print([m for m in ('numba', 'scipy', 'sklearn', 'pandas', 'tqdm') if m in sys.modules])"
    )
    package = Path(fastnn.datasets.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code, package], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
