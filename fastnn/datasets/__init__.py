"""Data sets that come with the library, and readers for files of your own.

`load_mnist` and `load_digits` need no download. `read` takes an IDX, CSV, npz or pickle file of yours, and `read_file`
tells more of it: names of columns, the task, a scale that suits, and with ``categories`` takes text for features.
"""

from __future__ import annotations  # so that help() shows types by their short names

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn.datasets.readers import (
    DataFileError,
    Dataset,
    read,
    read_csv,
    read_features,
    read_file,
    read_idx,
    read_mnist_pickle,
    read_npz,
)

__all__ = [
    "DataFileError",
    "Dataset",
    "load",
    "load_digits",
    "load_mnist",
    "read",
    "read_csv",
    "read_features",
    "read_file",
    "read_idx",
    "read_mnist_pickle",
    "read_npz",
]

Split = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]

_DTYPES = ("float32", "float64", "uint8")
_DATA = Path(__file__).parent / "data"


def load(name: str) -> Split:
    """Load a data set by its name.

    Parameters
    ----------
    name : {"mnist", "digits"}
        Which data set.

    Returns
    -------
    X, y, Xt, yt : ndarray
        Training samples and labels, test samples and labels: see `load_mnist` and `load_digits`.

    Raises
    ------
    ValueError
        If there is no data set of this name; the message suggests the nearest.

    Examples
    --------
    >>> X, y, Xt, yt = load("digits")
    >>> X.shape, Xt.shape
    ((1437, 64), (360, 64))
    """
    if not isinstance(name, str) or name not in _LOADERS:
        # A cutoff of 0 finds the nearest name, however far off it is.
        nearest = difflib.get_close_matches(str(name).lower(), _LOADERS, n=1, cutoff=0.0)[0]
        known = ", ".join(map(repr, _LOADERS))
        raise ValueError(f"unknown data set {name!r}: did you mean {nearest!r}? There are {known}")
    return _LOADERS[name]()


def load_mnist(dtype: DTypeLike = "float32") -> Split:
    """Load MNIST: handwritten digits of 28x28 pixels, 60,000 for training and 10,000 for test.

    Parameters
    ----------
    dtype : {"float32", "float64", "uint8"}, default "float32"
        float32 and float64 give pixels scaled to [0, 1]: the stored byte divided by 255. uint8 gives the
        stored bytes 0 to 255 in a quarter of the memory of float32; use ``scale=255`` with a network, and it
        trains on the same values as with float32.

    Returns
    -------
    X : ndarray, shape (60000, 784)
        The training images, one a row, the pixels row by row.
    y : ndarray of int64, shape (60000,)
        Their labels, 0 to 9.
    Xt : ndarray, shape (10000, 784)
        The test images.
    yt : ndarray of int64, shape (10000,)
        Their labels.

    Raises
    ------
    ValueError
        If `dtype` is another one.

    Examples
    --------
    >>> X, y, Xt, yt = load_mnist()
    >>> X.shape, X.dtype, y[:5]
    ((60000, 784), dtype('float32'), array([5, 0, 4, 1, 9]))
    """
    _check_dtype(dtype)
    X, y = read(_DATA / "train-images-idx3-ubyte.gz")
    Xt, yt = read(_DATA / "t10k-images-idx3-ubyte.gz")
    if np.dtype(dtype) != np.uint8:
        X, Xt = np.divide(X, 255, dtype=dtype), np.divide(Xt, 255, dtype=dtype)
    return X, y, Xt, yt


def load_digits(dtype: DTypeLike = "float32") -> Split:
    """Load the small UCI digits: handwritten digits of 8x8 pixels, 1,437 for training and 360 for test.

    The split is always the same: the first 1,437 images, in the order of the source, are for training, and
    the last 360 for test.

    Parameters
    ----------
    dtype : {"float32", "float64", "uint8"}, default "float32"
        Pixels are stored as 0 to 16. float32 and float64 give them divided by 16, so they lie in [0, 1];
        uint8 gives them as stored: use ``scale=16`` with a network.

    Returns
    -------
    X : ndarray, shape (1437, 64)
        The training images, one a row, the pixels row by row.
    y : ndarray of int64, shape (1437,)
        Their labels, 0 to 9.
    Xt : ndarray, shape (360, 64)
        The test images.
    yt : ndarray of int64, shape (360,)
        Their labels.

    Raises
    ------
    ValueError
        If `dtype` is another one.

    Examples
    --------
    >>> X, y, Xt, yt = load_digits()
    >>> X.shape, X.dtype, float(X.max()), yt[:5]
    ((1437, 64), dtype('float32'), 1.0, array([...]))
    """
    _check_dtype(dtype)
    X, labels = read_npz(_DATA / "digits.npz")
    y = labels.astype(np.int64)
    if np.dtype(dtype) != np.uint8:
        X = np.divide(X, 16, dtype=dtype)
    return X[:1437], y[:1437], X[1437:], y[1437:]


def _check_dtype(dtype: DTypeLike) -> None:
    # np.float32 has a __name__; "float32" and np.dtype("float32") are written that way.
    if getattr(dtype, "__name__", str(dtype)) not in _DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(map(repr, _DTYPES))}, not {dtype!r}")


_LOADERS: dict[str, Callable[[], Split]] = {"mnist": load_mnist, "digits": load_digits}
