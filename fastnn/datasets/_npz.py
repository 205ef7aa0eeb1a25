"""NumPy's ``.npz`` archives."""

from __future__ import annotations  # so that help() shows types by their short names

import contextlib
import math
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastnn.datasets._files import (
    Array,
    DataFileError,
    Dataset,
    PathLike,
    as_rows,
    check_numbers,
    check_proportion,
    check_shapes,
    finished,
    labels_beside,
    read_exactly,
)

# Names of samples and labels, for training and for test, as they are found in archives: ours, scikit-learn's habit,
# Keras's mnist.npz, MedMNIST's, and arrays that were given to numpy.savez without names.
_NAMES = (
    ("X", "y", "X_test", "y_test"),
    ("x", "y", "x_test", "y_test"),
    ("X_train", "y_train", "X_test", "y_test"),
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("images", "labels", "test_images", "test_labels"),
    ("arr_0", "arr_1", "arr_2", "arr_3"),
)
_ALONE = "arr_0"  # the only array in an archive of samples alone, or of labels alone
_WANTED = "arrays named X and y, x and y, or x_train and y_train"


class _Header(NamedTuple):
    """What a member of the archive says of itself."""

    member: zipfile.ZipInfo
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    is_fortran: bool
    start: int  # where its numbers begin


def read_npz(path: PathLike) -> tuple[Array, Array]:
    """Read samples and labels from a NumPy ``.npz`` archive.

    Parameters
    ----------
    path : str or path-like
        The archive, as written by `numpy.savez` or `numpy.savez_compressed`. Its arrays are named ``X`` and ``y``,
        ``x`` and ``y``, ``X_train`` and ``y_train``, ``x_train`` and ``y_train`` (Keras's ``mnist.npz``),
        ``train_images`` and ``train_labels``, ``images`` and ``labels``, or ``arr_0`` and ``arr_1``. With ``arr_0``
        alone in ``X_name.npz`` the labels are in ``y_name.npz`` (Kannada-MNIST), and likewise with ``imgs`` and
        ``labels`` in the name. Other arrays are not read.

    Returns
    -------
    X : ndarray, shape (n, features)
        The samples, in the dtype they were stored in; images (n, height, width) become rows of pixels.
    y : ndarray, shape (n,) or (n, outputs)
        The labels or targets, in the dtype they were stored in: numbers, or text for labels that are names.

    Raises
    ------
    DataFileError
        If the file is no archive or is damaged, an array is missing, or the arrays do not hold numbers
        (object arrays, which could run code, are not loaded), do not fit together, or promise more than a file of this
        size can hold. Headers are checked before any array is read.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "points.npz")
    ...     np.savez(path, X=[[0.5, 2.0], [1.5, -3.0]], y=[1, 0])
    ...     X, y = read_npz(path)
    >>> X.shape, y
    ((2, 2), array([1, 0]))
    """
    data = read_archive(path, True)
    assert data.y is not None
    return data.X, data.y


def read_archive(path: PathLike, needs_labels: bool) -> Dataset:
    """The arrays of an archive, with a test part where it has one."""
    with _opened(path) as archive:
        return _read(path, archive, needs_labels)


@contextlib.contextmanager
def _opened(path: PathLike) -> Iterator[zipfile.ZipFile]:
    """Open an archive; whatever is wrong with it is a DataFileError."""
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            raise DataFileError(f"{path}: expected an .npz archive, which is a zip file; this is none")
        file.seek(0)
        try:
            with zipfile.ZipFile(file) as archive:
                yield archive
        except (DataFileError, FileNotFoundError):
            raise
        except Exception as error:  # damage shows in as many exceptions as the zip format has parts
            problem = f"expected an undamaged archive of arrays of numbers: {error or type(error).__name__}"
            raise DataFileError(f"{path}: {problem}") from error


def _read(path: PathLike, archive: zipfile.ZipFile, needs_labels: bool) -> Dataset:
    members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
    names = _found_names(path, members, needs_labels)
    headers = [_header(path, archive, name, members[name]) for name in names]
    labels = _labels_alone(path) if names == [_ALONE] and needs_labels else None
    shapes = [header.shape for header in headers]
    if labels is not None:
        shapes.append(labels.shape)
    for i in range(0, len(shapes), 2):
        check_shapes(path, shapes[i], shapes[i + 1] if i + 1 < len(shapes) else None)
    arrays = [_array(archive, header) for header in headers]
    if labels is not None:
        arrays.append(labels)
    X, y, test = as_rows(arrays[0]), arrays[1] if len(arrays) > 1 else None, None
    if len(arrays) == 4:
        test = as_rows(arrays[2]), arrays[3]
        if test[0].shape[1] != X.shape[1]:
            raise DataFileError(
                f"{path}: expected as many features to test as to train, found {test[0].shape[1]} and {X.shape[1]}"
            )
    return finished(X, y, test)


def _found_names(path: PathLike, members: dict[str, zipfile.ZipInfo], needs_labels: bool) -> list[str]:
    """Names of X and, where they are there, of y, of the test's X and of its y."""
    for X, y, test_X, test_y in _NAMES:
        if X in members and y in members:
            return [X, y, test_X, test_y] if test_X in members and test_y in members else [X, y]
    alone = [names[0] for names in _NAMES if names[0] in members]
    if alone and (not needs_labels or (list(members) == [_ALONE] and labels_beside(Path(path)) is not None)):
        return alone[:1]
    found = ", ".join(members) or "no arrays"
    raise DataFileError(f"{path}: expected {_WANTED}, found {found}")


def _labels_alone(path: PathLike) -> Array:
    """The labels of an archive that holds samples alone, from the archive beside it."""
    labels_path = labels_beside(Path(path))
    assert labels_path is not None
    with _opened(labels_path) as archive:
        header = _header(labels_path, archive, _ALONE, archive.getinfo(f"{_ALONE}.npy"))
        return _array(archive, header)


def _header(path: PathLike, archive: zipfile.ZipFile, name: str, member: zipfile.ZipInfo) -> _Header:
    """Read the header alone, and see whether the numbers that it promises can be there."""
    packed = min(member.compress_size, os.path.getsize(path))  # the directory may lie
    check_proportion(path, member.file_size, packed, "numpy.load and numpy.savez")
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):  # 3.0 is for records with names beyond Latin-1
            raise ValueError(f"{name} is not an array of numbers")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read(stream)
        start = stream.tell()
    check_numbers(path, name, dtype, "biufU" if name in {names[i] for names in _NAMES for i in (1, 3)} else "biuf")
    promised = math.prod(shape) * dtype.itemsize
    if min(shape, default=1) < 0 or start + promised != member.file_size:
        raise DataFileError(
            f"{path}: expected {promised} bytes for {name}, {dtype} of shape {shape}, found {member.file_size - start}"
        )
    return _Header(member, dtype, shape, is_fortran, start)


def _array(archive: zipfile.ZipFile, header: _Header) -> Array:
    with archive.open(header.member) as stream:
        stream.read(header.start)
        data = read_exactly(stream, header.member.file_size - header.start)
        stream.read(1)  # at the end the checksum is looked at
    flat = data.view(header.dtype) if data.size else np.empty(0, header.dtype)
    array = flat.reshape(header.shape, order="F" if header.is_fortran else "C")
    return array.astype(header.dtype.newbyteorder("="), order="C", copy=False)
