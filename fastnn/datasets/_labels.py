"""Labels of a table: numbers, or names of classes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from fastnn.datasets import _categories
from fastnn.datasets._fields import ADORNED, DATE, MISSING, PLAIN_CURE, decoded, is_number, shown, with_point
from fastnn.datasets._files import Array, DataFileError, PathLike
from fastnn.datasets._table import Table
from fastnn.datasets._text import holds_something, line_number, lines_of
from fastnn.validation import TIME_CURE

_EXACT = 2**53  # whole numbers up to here are exact in float64
_FEW_NAMES = 20  # classes may be called "10 %" and "20 %", but hardly more of them


def labels_of(path: PathLike, table: Table, fields: list[bytes]) -> Array:
    """Labels as int64 if all are whole numbers, float64 if they are numbers, else as text."""
    y = _label_numbers(fields)
    if y is None:
        plain = [field.strip().strip(b'"').strip() for field in fields]
        for i, field in enumerate(plain):
            if field.lower() in MISSING:
                found = shown(field) if field else "an empty field"
                where = _place(path, table, i)
                raise DataFileError(f"{where}: expected a label, found {found}; leave out samples without one")
        plain = [with_point(field, table.separator) for field in plain]
        y = _label_numbers(plain)
        if y is None:
            _check_stray_labels(path, table, fields, [is_number(field) for field in plain])
            return _names_of_classes(path, table, fields)
        fields = plain
    if not (y == np.floor(y)).all():
        return y
    if (np.abs(y) <= _EXACT).all():
        return y.astype(np.int64)
    try:  # numbers of customers and the like, of which float64 would take some for the same
        return np.array([int(field) for field in fields], np.int64)
    except (ValueError, OverflowError):
        return y


def _label_numbers(fields: list[bytes]) -> Array | None:
    """Fields as numbers, None if some are not."""
    try:
        y = np.fromiter(map(float, fields), np.float64, len(fields))
    except ValueError:
        return None
    return None if np.isnan(y).any() or b"_" in b",".join(fields) else y


def _check_stray_labels(path: PathLike, table: Table, fields: list[bytes], numeric: list[bool]) -> None:
    """Refuse text among numbers."""
    if sum(numeric) > _categories.MOSTLY * len(fields):
        i = numeric.index(False)
        raise DataFileError(
            f"{_place(path, table, i)}: expected a number, as nearly all labels are, found {shown(fields[i])}"
        )


def _names_of_classes(path: PathLike, table: Table, fields: Sequence[bytes]) -> Array:
    """Labels of text; one long label would make all of them long."""
    known = {field: decoded(field, table.separator) for field in set(fields)}
    _check_are_names(path, table, fields, known)
    longest = max(map(len, known.values()))
    if 4 * longest * len(fields) > _categories.MAX_RATIO * len(table.text):
        i = next(i for i, field in enumerate(fields) if len(known[field]) == longest)
        raise DataFileError(f"{_place(path, table, i)}: expected a label, found one of {longest:,} characters")
    return np.array([known[field] for field in fields])


def _check_are_names(path: PathLike, table: Table, fields: Sequence[bytes], known: dict[bytes, str]) -> None:
    """Refuse dates, and numbers as spreadsheets show them, where they would make classes without a word."""
    for pattern, cure in ((DATE, TIME_CURE), (ADORNED, PLAIN_CURE)):
        alike = [field for field, text in known.items() if pattern.fullmatch(text)]
        if len(alike) > max(_FEW_NAMES, _categories.MOSTLY * len(known)):
            adorned = {field for field in alike if not is_number(field.strip())}
            i = next(i for i, field in enumerate(fields) if field in adorned)
            raise DataFileError(f"{_place(path, table, i)}: expected a number, found {known[fields[i]]!r}{cure}")


def _place(path: PathLike, table: Table, row: int) -> str:
    """Where the label of a row stands."""
    assert table.label is not None
    lines = (position for position, line in lines_of(table.text, table.start) if holds_something(line))
    position = next(islice(lines, row, None))
    return f"{path}, line {line_number(table.text, position)}, {table.title(table.label)}"
