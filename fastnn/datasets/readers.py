"""Readers for the file formats that small data sets come in: IDX, CSV, npz and the book's pickle.

Every reader either returns complete, checked NumPy arrays or raises an error that names the file, the place
in it and what was expected there. None of them runs code that a file brings along, and none takes more memory than a
file of its size can honestly need. Numbers are taken at face value: none of them scales.
"""

from __future__ import annotations  # so that help() shows types by their short names

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastnn.datasets._categories import Categories, Key
from fastnn.datasets._csv import read_csv, read_table
from fastnn.datasets._files import Array, DataFileError, Dataset, PathLike
from fastnn.datasets._idx import read_idx, read_images
from fastnn.datasets._npz import read_archive, read_npz
from fastnn.datasets._pickle import read_book, read_mnist_pickle
from fastnn.datasets._table import Asked, LabelColumn, Missing
from fastnn.validation import check_whole

__all__ = [
    "DataFileError",
    "Dataset",
    "read",
    "read_csv",
    "read_features",
    "read_file",
    "read_idx",
    "read_mnist_pickle",
    "read_npz",
]


def read(path: PathLike) -> tuple[Array, Array]:
    r"""Read samples and their labels from a file, in the format that its ending names.

    `read_file` reads the same and tells more.

    Parameters
    ----------
    path : str or path-like
        See `read_file`. Of a CSV file the label is in the first column; see `read_csv` for others.

    Returns
    -------
    X : ndarray, shape (n, features)
        The samples, one a row. IDX images keep their dtype, so pixels of 0 to 255 stay uint8.
    y : ndarray, shape (n,), or for npz and pickles also (n, outputs)
        The labels or targets. Whole-number labels from IDX and CSV files are int64.

    Raises
    ------
    DataFileError
        If the ending is unknown or the file is malformed.
    FileNotFoundError
        If there is no such file, or no labels file beside an IDX images file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "points.csv")
    ...     _ = path.write_text("label,a,b\n1,0.5,2\n0,1.5,-3\n")
    ...     X, y = read(path)
    >>> X
    array([[ 0.5,  2. ],
           [ 1.5, -3. ]])
    >>> y
    array([1, 0])
    """
    data = read_file(path)
    assert data.y is not None
    return data.X, data.y


def read_file(
    path: PathLike,
    label_column: int | str = 0,
    *,
    missing: Missing = None,
    header: bool | None = None,
    categories: Categories = None,
    leave_out: Sequence[Key] = (),
) -> Dataset:
    r"""Read samples, their labels or targets, and what can be found out about them.

    Parameters
    ----------
    path : str or path-like
        The format is that of the ending:

        - ``.csv`` and ``.tsv``, also with ``.gz``: see `read_csv`.
        - ``.npz``: see `read_npz`. Arrays ``X_test`` and ``y_test`` (``x_test``, ``test_images`` ...) become the test
          part.
        - IDX (``*-idx3-ubyte``, ``*.idx3-ubyte``, ``*.idx`` and the like, also with ``.gz``): files come in pairs.
          Give the images' file; the labels are read from the file beside it that has ``labels`` where this one has
          ``images``, or ``y_`` where this one starts with ``X_``, packed or not. Of labels in 8 columns, as in QMNIST,
          the first counts.
        - ``.pkl`` and ``.pickle``, also with ``.gz``: the book's file, see `read_mnist_pickle`. Its test part becomes
          the test part, and the one for validation is not used.
    label_column : int or str, default 0
        The label's column in a CSV file; see `read_csv`. Other formats have none.
    missing, header, categories, leave_out
        How to read a CSV file; see `read_csv`. With ``categories="onehot"`` the data set's `categories` say how to read
        later files.

    Returns
    -------
    Dataset
        The samples `X` at face value, the labels `y`, names of columns, the task, the classes, a scale that suits,
        notes for the user, and a test part where the file has one.

    Raises
    ------
    DataFileError
        If the ending is unknown or the file is malformed.
    FileNotFoundError
        If there is no such file, or no labels file beside an IDX images file.
    TypeError, ValueError
        If another argument is wrong; see `read_csv`.

    Notes
    -----
    Memory is bounded by what the file can honestly hold. A compressed file, or a part of an archive, may unpack to 100
    times its size, and to 64 MB in any case; what wants more is refused while it is unpacked, or before where a header
    says so, and can be given unpacked. Of what came out, `X` takes 4 times the size from text and once from the other
    formats, and reading it a few times that; with columns for texts `X` may take 64 times the size, or 64 MB.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "flowers.csv")
    ...     _ = path.write_text("length;width;flower\n5,1;3,5;rose\n4,9;3;tulip\n5;3,2;rose\n")
    ...     data = read_file(path, label_column="flower")
    >>> data.X
    array([[5.1, 3.5],
           [4.9, 3. ],
           [5. , 3.2]])
    >>> data.columns, data.task, data.classes.tolist()
    (('length', 'width'), 'classes', ['rose', 'tulip'])
    >>> data.notes
    ('the fields are separated by semicolons',)

    Text among the features, in a file to learn from and in a later one:

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first, later = Path(folder, "first.csv"), Path(folder, "later.csv")
    ...     _ = first.write_text("price,carat,cut\n326,0.23,Ideal\n327,0.2,Good\n")
    ...     _ = later.write_text("price,carat,cut\n340,0.3,Good\n351,0.4,Rough\n")
    ...     data = read_file(first, "price", categories="onehot")
    ...     again = read_file(later, "price", categories=data.categories)
    >>> data.columns, data.categories
    (('carat', 'cut=Good', 'cut=Ideal'), {'cut': ('Good', 'Ideal')})
    >>> again.X
    array([[0.3, 1. , 0. ],
           [0.4, 0. , 0. ]])
    >>> again.notes[0]
    "1 value of column 'cut' was not seen in training, such as 'Rough': none of its inputs is 1 there"
    """
    kind = _format(path)
    if kind == "csv":
        return read_table(path, Asked(label_column, missing, header, categories, leave_out))
    if leave_out and not isinstance(categories, Mapping):
        raise ValueError(f"leave_out names columns of CSV files, and {path} is none: got {leave_out!r}")
    if kind == "npz":
        return read_archive(path, needs_labels=True)
    if kind == "idx":
        return read_images(Path(path), needs_labels=True)
    return read_book(path)


def read_features(
    path: PathLike,
    n_features: int,
    label_column: LabelColumn = 0,
    *,
    missing: Missing = None,
    header: bool | None = None,
    categories: Mapping[Key, Sequence[str]] | None = None,
    leave_out: Sequence[Key] = (),
) -> Dataset:
    r"""Read samples to predict, whose labels are not needed.

    Parameters
    ----------
    path : str or path-like
        See `read_file`. An npz archive may come without ``y``, of IDX the images alone are read, and of a file with a
        test part that is taken.
    n_features : int
        How many features the network takes, with one for every text of `categories`. A CSV file with one column more
        holds the labels in `label_column`, which is left out; or, if that is a name, in the column of that name.
    label_column, missing, header
        See `read_csv`.
    categories : mapping or None, default None
        The texts that are known from training; see `read_csv`.
    leave_out : sequence of str or int, default ()
        Columns that are left out, and may be absent; see `read_csv`.

    Returns
    -------
    Dataset
        As from `read_file`, without labels. If the file does not hold `n_features` features, `X` has as many as it
        holds.

    Raises
    ------
    DataFileError, FileNotFoundError, TypeError, ValueError
        As `read_file`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "points.csv")
    ...     _ = path.write_text("1,0.5,2\n0,1.5,-3\n")
    ...     read_features(path, 2).X.shape, read_features(path, 3).X.shape
    ((2, 2), (2, 3))
    """
    check_whole("n_features", n_features)
    if isinstance(categories, str):
        raise ValueError(f"categories must be those of training, a mapping, for samples to predict, got {categories!r}")
    kind = _format(path)
    if kind == "csv":
        return read_table(path, Asked(label_column, missing, header, categories, leave_out, n_features))
    if kind == "idx":
        return read_images(Path(path), needs_labels=False)
    data = read_archive(path, needs_labels=False) if kind == "npz" else read_book(path)
    return Dataset(data.X if data.test is None else data.test[0], scale=data.scale)


# Endings of the formats. That of IDX is looked for last: it may stand before another one.
_FORMATS = (
    ("npz", r"\.npz$"),
    ("csv", r"\.(csv|tsv)(\.gz)?$"),
    ("pickle", r"\.(pkl|pickle)(\.gz)?$"),
    ("idx", r"idx\d*([-.][a-z]+)?(\.gz)?$"),
)


def _format(path: PathLike) -> str:
    name = Path(path).name.lower()
    for kind, ending in _FORMATS:
        if re.search(ending, name):
            return kind
    raise DataFileError(
        f"{path}: cannot tell the format from the name; expected one that ends in .npz, .csv, .csv.gz, .tsv, "
        ".pkl.gz or an IDX ending such as -idx3-ubyte.gz"
    )
