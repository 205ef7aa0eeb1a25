"""Text tables: comma-separated, or by semicolons or tabs.

A file is read in three steps. Its text is brought into one form (one line end, no separators or line ends within
quotes). The first lines say what there is: a separator, a header, an index column, the label's column. Then the lines
are parsed, a block at a time and all numbers of a block at once; where text is found among them that may stand for
categories, from the beginning again without that column, whose fields become codes.
"""

from __future__ import annotations  # so that help() shows types by their short names

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, overload

import numpy as np

from fastnn.datasets import _categories
from fastnn.datasets._categories import Categories, Coder, Column, Key
from fastnn.datasets._fields import (
    MISSING,
    NO_VALUE,
    QUOTED_SEPARATOR,
    TRUTHS,
    is_number,
    kind_of,
    number_cure,
    shown,
    with_point,
)
from fastnn.datasets._files import Array, DataFileError, Dataset, PathLike, pixel_scale, scale_note, task_of
from fastnn.datasets._labels import labels_of
from fastnn.datasets._table import Asked, LabelColumn, Missing, Table, check_arguments, check_marks, found_table
from fastnn.datasets._text import (
    first_records,
    found_separator,
    holds_something,
    line_number,
    lines_of,
    read_text,
    without_quoted_marks,
)

# Text parsed at a time: large enough to hide the cost of the NumPy calls, small enough to stay in cache.
_CHUNK = 1 << 18

_NEWLINE, _ZERO, _DOT, _MINUS = b"\n0.-"
_VALUES = dict.fromkeys(MISSING | NO_VALUE, np.nan) | TRUTHS

# Whole numbers of so many digits are exact in float64. So is a power of ten up to 22, and what is exact by exact is
# divided to the nearest float64.
_MAX_DIGITS = 15

_MOST_TEXT_COLUMNS = 10_000  # each takes about a kilobyte while it is read
_ENOUGH_TEXTS = 2000  # different texts of a column that are looked at to say what is wrong with it


@overload
def read_csv(
    path: PathLike,
    label_column: int | str = 0,
    *,
    missing: Missing = None,
    header: bool | None = None,
    categories: Categories = None,
    leave_out: Sequence[Key] = (),
) -> tuple[Array, Array]: ...
@overload
def read_csv(
    path: PathLike,
    label_column: None,
    *,
    missing: Missing = None,
    header: bool | None = None,
    categories: Categories = None,
    leave_out: Sequence[Key] = (),
) -> Array: ...
def read_csv(
    path: PathLike,
    label_column: LabelColumn = 0,
    *,
    missing: Missing = None,
    header: bool | None = None,
    categories: Categories = None,
    leave_out: Sequence[Key] = (),
) -> tuple[Array, Array] | Array:
    r"""Read numbers and labels from a text table: comma-separated, or by semicolons or tabs.

    `read_file` reads the same and tells more: names, notes, and whether the labels are classes.

    Fields may be quoted and have spaces around them. Any kind of line end is fine, and so are blank lines, empty
    columns at the end (trailing commas), a byte order mark, and UTF-16. With semicolons or tabs a comma is a decimal
    comma. Numbers may have signs, fractions and exponents, and each becomes the nearest float64. ``True`` and ``False``
    among the features are 1 and 0, ``inf`` is a number too.

    The first line is a header if

    - its numbers are 0, 1, 2 ..., in all of its fields (three at least), or in two at least and the others are empty or
      text that is not found again below: pandas numbers columns that have no names; or
    - there is text in it above numbers, and no number; or
    - there is text above numbers in its first or last field, or in that of the label; or
    - it holds text alone, in two fields or more, all different, and none of them is found again below in its column,
      within the first 100 lines: so tables of text alone have one. Fields may be empty above empty columns, and the
      first above an index column.

    A first column without a name (or called ``Unnamed: 0``) that holds different whole numbers, or text, is an index
    as pandas and R write it, and is left out.

    Parameters
    ----------
    path : str or path-like
        The file, raw or gzip-compressed (recognised by content).
    label_column : int, str or None, default 0
        The column that holds the label or target: its number, counted from 0 without an index column, from the last
        if negative; or its name (text that is no name, but a whole number, counts as that number). None if there
        is no such column.
    missing : {None, "mean", "nan"} or float, default None
        What becomes of missing features: empty fields and ``NA``, ``NaN``, ``N/A``, ``null``, ``None``, ``?``. None
        refuses them and names the place. "mean" puts the mean of the column's other values there, a number that
        number, and "nan" leaves them NaN. A missing label is always refused.
    header : bool, optional
        Whether the first line is a header, instead of the rule above.
    categories : {None, "onehot"} or mapping, default None
        What becomes of text among the features. None refuses it. "onehot" puts, in the place of a column that holds
        text, a column of 0 and 1 for each of its different texts, in sorted order and called ``cut=Ideal``; missing
        fields of such a column (empty and ``NA`` ...) are one more text, called ``cut=``. A mapping of columns to
        their texts, as `read_file` gives it back, reads later files like the first: text that is not in it is 0 in all
        columns, and every other column must be numbers. Columns go by their names or, where they have none, by their
        numbers among the features, counted from 0.
    leave_out : sequence of str or int, default ()
        Columns that are left out, by names or numbers as `label_column`. With a mapping of `categories` those that go
        by names may be absent.

    Returns
    -------
    X : ndarray of float64, shape (n, features)
        All columns but the label's.
    y : ndarray of int64, float64 or str, shape (n,)
        The label column: int64 if all of it is whole numbers, float64 if it is numbers, else text. With
        ``label_column=None``, `X` is returned alone.

    Raises
    ------
    TypeError
        If `label_column` is neither a whole number, nor text, nor None; or another argument is of a wrong type.
    ValueError
        If `missing` or `categories` is another word, or a number that is not finite, or no texts.
    DataFileError
        If a line has more or fewer fields than the first, a field is not a number, there are no data, or
        there is no such column. Of categories: if more than three quarters of a column's fields are numbers, or its
        texts are dates or numbers as spreadsheets show them, or more than 255.
    FileNotFoundError
        If there is no such file.

    Notes
    -----
    Memory: about 15 times the size of the unpacked file at most, of which `X` takes 4 (8 bytes for two bytes of text).
    A line longer than 256 kB is parsed by itself and takes 40 times its length. Labels of text take up to 64 times the
    size of the file, and one that is much longer than the others is refused. With columns for texts, `X` takes up to 64
    times the size of the unpacked file, or 64 MB in any case, besides the 15 times; what would take more is refused.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "points.csv")
    ...     _ = path.write_text("a,b,label\n0.5,2,1\n1.5,-3e2,0\n")
    ...     X, y = read_csv(path, label_column="label")
    >>> X
    array([[   0.5,    2. ],
           [   1.5, -300. ]])
    >>> y
    array([1, 0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "stones.csv")
    ...     _ = path.write_text("price,carat,cut\n326,0.23,Ideal\n327,0.2,Good\n")
    ...     read_csv(path, label_column="price", categories="onehot")[0]  # carat, cut=Good, cut=Ideal
    array([[0.23, 0.  , 1.  ],
           [0.2 , 1.  , 0.  ]])
    """
    data = read_table(path, Asked(label_column, missing, header, categories, leave_out))
    return data.X if data.y is None else (data.X, data.y)


def read_table(path: PathLike, asked: Asked) -> Dataset:
    """Read a table with all that is found out about it."""
    check_arguments(asked)
    text = read_text(path)
    records = first_records(text)
    if not records:
        raise DataFileError(f"{path}, line 1: expected a line of numbers, found the end of the file")
    separator = found_separator(records)
    if b'"' in text:
        text = without_quoted_marks(path, text, separator)
        records = first_records(text)
    table, parsed = _read_lines(path, found_table(path, text, separator, records, asked))
    notes = [*table.notes, *parsed.notes, *_fill(path, table, parsed.X)]
    columns = _text_columns(path, table, parsed.coders)
    notes += _categories.notes(columns, asked.learns)
    y, task, classes = None, None, None
    if table.label is not None and asked.n_features is None:
        y = labels_of(path, table, parsed.labels)
        task, task_notes = task_of(y, table.title(table.label))
        classes = np.unique(y) if task == "classes" else None
        notes += task_notes
    X, names = _with_texts(path, table, parsed.X, columns)
    scale = pixel_scale(*parsed.bounds, X.shape[1]) if parsed.bounds and not columns else None
    notes += scale_note(scale)
    return Dataset(
        X,
        y,
        names,
        table.label_name(),
        task,
        classes,
        scale,
        tuple(notes),
        categories=None if asked.categories is None else {column.key: column.texts for column in columns},
        left_out=tuple(map(table.key, table.left_out)),
    )


# --- the numbers ---


class _Fault(Exception):  # noqa: N818  (never seen outside)
    """Something in a block cannot be read; what and where is found out afterwards."""


class _Parsed(NamedTuple):
    """The lines of a table."""

    X: Array  # (n, features that are numbers)
    labels: list[bytes]  # fields
    coders: list[Coder]  # one for each column of text
    bounds: tuple[float, float] | None  # the lowest and the highest number, where all are whole and not negative
    notes: list[str]


class _MoreText(Exception):  # noqa: N818  (never seen outside)
    """There is text in columns that were taken for numbers.

    Parameters
    ----------
    columns : set of int
        Which columns these are.
    """

    def __init__(self, columns: set[int]) -> None:
        super().__init__(columns)
        self.columns = columns


def _read_lines(path: PathLike, table: Table) -> tuple[Table, _Parsed]:
    """The lines; columns whose first text stands further down are found on the way, and then all is read again."""
    try:
        return table, _parse(path, table)
    except _MoreText as more:
        table = table._replace(texts=tuple(sorted({*table.texts, *more.columns})))
        return table, _parse(path, table)


def _parse(path: PathLike, table: Table) -> _Parsed:
    text, known = table.text, table.asked.known
    if len(table.texts) > _MOST_TEXT_COLUMNS:
        found = f"found {len(table.texts):,}"
        raise DataFileError(f"{path}: expected at most {_MOST_TEXT_COLUMNS:,} columns of text, {found}")
    X = np.empty((_most_rows(table), len(table.numbers)))
    labels: list[bytes] = []
    coders = [
        Coder(table.separator, texts) for texts in (known.values() if known is not None else [None] * len(table.texts))
    ]
    row, start, skipped = 0, table.start, 0
    is_whole, lowest, highest = True, np.inf, -np.inf
    points = commas = False
    while start < len(text):
        stop = _block_end(text, start)
        try:
            block = _parse_block(text[start:stop], table)
        except _Fault:
            if table.asked.learns and (columns := _columns_of_text(table, start)):
                raise _MoreText(columns) from None
            raise DataFileError(f"{path}, {_first_fault(table, start, stop)}") from None
        start, skipped = stop, skipped + block.skipped
        if not len(block.values):  # blank lines
            continue
        X[row : row + len(block.values)] = block.values
        fields = block.fields
        if table.label is not None:
            labels += fields[0]
            fields = fields[1:]
        _add_texts(path, table, coders, fields)
        row += len(block.values)
        if is_whole := is_whole and block.values.dtype.kind == "u":
            lowest, highest = min(lowest, block.values.min()), max(highest, block.values.max())
        points, commas = points or block.points, commas or block.commas
    if points and commas:
        check_marks(path, table)
    notes = [f"{skipped:,} lines that hold separators alone are left out"] if skipped else []
    return _Parsed(X[:row], labels, coders, (lowest, highest) if is_whole else None, notes)


def _block_end(text: bytes, start: int) -> int:
    """Where as many whole lines end as fit into a chunk, or one if none fits."""
    return text.rfind(b"\n", start, start + _CHUNK) + 1 or text.index(b"\n", start) + 1


def _add_texts(path: PathLike, table: Table, coders: list[Coder], fields: list[list[bytes]]) -> None:
    for coder, texts in zip(coders, fields, strict=True):
        try:
            coder.add(texts)
        except _categories.TooManyTexts:
            _check_are_categories(path, table, _counted(table))


def _columns_of_text(table: Table, start: int) -> set[int]:
    """Columns that were taken for numbers and hold text, from a block on that could not be read.

    Where there is no text in that block, nothing further down could mend it but for missing fields, which stand for one
    more text in such a column.
    """
    found: set[int] = set()
    mendable = {"text"} if table.may_miss else {"text", "nothing"}
    is_first = True
    while start < len(table.text):
        stop = _block_end(table.text, start)
        rows = [line.split(table.separator) for line in table.text[start:stop].split(b"\n")]
        rows = [row for row in rows if len(row) == table.columns]
        kinds = {
            column: set(map(kind_of, {row[column] for row in rows})) for column in table.numbers if column not in found
        }
        if is_first and not any(kind & mendable for kind in kinds.values()):
            break
        found |= {column for column, kind in kinds.items() if "text" in kind}
        start, is_first = stop, False
    return found


def _most_rows(table: Table) -> int:
    """How many full lines there can be at most.

    Lines alone would not do: a wide one and many short ones ask for far more numbers than the file holds.
    """
    least = table.columns + (0 if table.may_miss else len(table.numbers))  # bytes in a line
    return min(table.text.count(b"\n", table.start), (len(table.text) - table.start) // least)


class _Block(NamedTuple):
    """Some whole lines of a table."""

    values: Array  # (lines, features that are numbers)
    fields: list[list[bytes]]  # of each column that is kept as it stands
    points: bool = False  # whether there are points and commas in numbers that may have decimal commas
    commas: bool = False
    skipped: int = 0  # lines that held separators alone


def _parse_block(block: bytes, table: Table) -> _Block:
    try:
        return _parse_lines(block, table)
    except _Fault:  # perhaps only because of blank lines
        lines = block.split(b"\n")[:-1]
        full = [line + b"\n" for line in lines if holds_something(line)]
        if len(full) == len(lines):
            raise
    skipped = sum(bool(line.strip()) for line in lines) - len(full)
    if not full:
        return _Block(np.empty((0, len(table.numbers))), [], skipped=skipped)
    return _parse_lines(b"".join(full), table)._replace(skipped=skipped)


def _parse_lines(block: bytes, table: Table) -> _Block:
    ends = _field_ends(block, table)
    numbers, fields = _divided(block, ends, table)
    if b'"' in numbers:
        numbers = numbers.replace(b'"', b"")
    points = commas = False
    if table.separator != b",":
        marked = (numbers, *(fields[0] if table.label is not None else ()))
        points, commas = (any(mark in part for part in marked) for mark in (b".", b","))
        numbers = numbers.replace(b",", b".")
    return _Block(_values(numbers, len(ends), table), fields, points, commas)


def _values(numbers: bytes, rows: int, table: Table) -> Array:
    """The numbers of lines that hold nothing else, (rows, features that are numbers)."""
    width = len(table.numbers)
    if width == 0:
        return np.empty((rows, 0))
    values = _pixels(numbers, rows * width)
    if values is None:
        values = _decimals(numbers, rows * width)
    if values is None:
        values = _any_numbers(numbers, table.separator, table.may_miss)
    return values.reshape(rows, width)


def _field_ends(block: bytes, table: Table) -> Array:
    """Where the fields end, (lines, columns)."""
    data = np.frombuffer(block, np.uint8)
    is_line_end = data == _NEWLINE
    flat = np.flatnonzero((data == ord(table.separator)) | is_line_end)
    if len(flat) % table.columns:
        raise _Fault
    ends = flat.reshape(-1, table.columns)
    nothing = table.separator * (table.columns - 1) + b"\n"
    if (
        not np.array_equal(ends[:, -1], np.flatnonzero(is_line_end))
        or block.startswith(nothing)
        or b"\n" + nothing in block
        or (ends[:, table.last :] - ends[:, table.last - 1 : -1] != 1).any()  # a column left out as empty is not
    ):
        raise _Fault
    return ends


def _divided(block: bytes, ends: Array, table: Table) -> tuple[bytes, list[list[bytes]]]:
    """The numbers of a block, and the fields of the columns that are kept as they stand."""
    numbers = table.numbers
    if len(numbers) == table.columns:
        return block, []
    line_starts = np.append(0, ends[:-1, -1] + 1)

    def part(first: int, last: int) -> list[bytes]:
        starts = ends[:, first - 1] + 1 if first else line_starts
        return [block[start:end] for start, end in zip(starts.tolist(), ends[:, last].tolist(), strict=True)]

    kept = [part(column, column) for column in table.kept]
    parts = [part(first, last) for first, last in _runs(numbers)]
    if not parts:
        return b"", kept
    lines = parts[0] if len(parts) == 1 else map(table.separator.join, zip(*parts, strict=True))
    return b"\n".join(lines) + b"\n", kept


def _runs(columns: list[int]) -> list[tuple[int, int]]:
    """First and last of columns that stand side by side."""
    starts = [column for i, column in enumerate(columns) if i == 0 or columns[i - 1] != column - 1]
    stops = [column for i, column in enumerate(columns) if i + 1 == len(columns) or columns[i + 1] != column + 1]
    return list(zip(starts, stops, strict=True))


def _pixels(block: bytes, count: int) -> Array | None:
    """Values of fields of one to three digits, None if there are others.

    The value of what ends at each byte is summed up for all bytes at once, and then taken where the fields end. One
    field at a time, as Python and NumPy parse numbers, takes twenty times as long.
    """
    digits = np.frombuffer(block, np.uint8) - np.uint8(_ZERO)  # wraps around: all that is no digit comes out above 9
    is_digit = digits <= 9
    is_end = ~is_digit
    ends = np.flatnonzero(is_end)
    is_empty_or_long = is_end[0] or (is_end[1:] & is_end[:-1]).any() or _has_run_of_four(is_digit)
    if len(ends) != count or is_empty_or_long:
        return None
    digits *= is_digit
    ones = digits.astype(np.uint16)
    values = ones.copy()
    values[1:] += ones[:-1] * 10
    values[2:] += ones[:-2] * is_digit[1:-1] * 100  # a digit that another one follows
    return values[ends - 1]


def _has_run_of_four(flags: Array) -> bool:
    two = flags[1:] & flags[:-1]
    return bool((two[2:] & two[:-2]).any())


def _decimals(block: bytes, count: int) -> Array | None:
    """Values of fields of up to 15 digits with a sign and a point, None if there are others."""
    data = np.frombuffer(block, np.uint8)
    digits = data - np.uint8(_ZERO)
    is_digit, is_dot, is_minus = digits <= 9, data == _DOT, data == _MINUS
    is_end = ~(is_digit | is_dot | is_minus)
    ends, dots, signs = np.flatnonzero(is_end), np.flatnonzero(is_dot), np.flatnonzero(is_minus)
    if len(ends) != count:
        return None
    with_dot = np.searchsorted(ends, dots)
    if (np.diff(with_dot) == 0).any() or not is_end[signs[signs > 0] - 1].all():
        return None
    stops = np.cumsum(is_digit)[ends]  # as if there were nothing but digits
    widths = np.diff(stops, prepend=0)
    if count == 0 or widths.min() < 1 or widths.max() > _MAX_DIGITS:
        return None
    values = _whole_numbers(digits[is_digit], stops, widths).astype(np.float64)
    values[with_dot] /= 10.0 ** (ends[with_dot] - dots - 1)
    values[np.searchsorted(ends, signs)] *= -1.0
    return values


def _whole_numbers(digits: Array, ends: Array, widths: Array) -> Array:
    """Values of fields of digits alone, as int64, summed up from the last digit on."""
    values: Array = digits[ends - 1].astype(np.int64)
    for k in range(1, int(widths.max())):
        wide = np.flatnonzero(widths > k)
        values[wide] += digits[ends[wide] - 1 - k].astype(np.int64) * 10**k
    return values


def _any_numbers(block: bytes, separator: bytes, may_miss: bool) -> Array:
    """Values of fields of any kind, one at a time."""
    fields = block[:-1].replace(b"\n", separator).split(separator)
    if b"_" in block:
        raise _Fault
    try:
        values = np.fromiter(map(float, fields), np.float64, len(fields))
    except ValueError:
        try:
            values = np.fromiter(map(_value, fields), np.float64, len(fields))
        except ValueError:
            raise _Fault from None
    if not may_miss and np.isnan(values).any():
        raise _Fault
    return values


def _value(field: bytes) -> float:
    value = _VALUES.get(field.strip().lower())
    return float(field) if value is None else value


def _first_fault(table: Table, start: int, stop: int) -> str:
    """Place and description of the first thing wrong between two places in the text."""
    for position, text in lines_of(table.text, start):
        if position >= stop:
            break
        if not holds_something(text):
            continue
        fields = text.split(table.separator)
        line = f"line {line_number(table.text, position)}"
        for column in table.numbers:
            problem = _field_problem(table, column, fields[column]) if column < len(fields) else None
            if problem:
                return f"{line}, {table.title(column)}: {problem}"
        if len(fields) != table.columns:
            column = min(len(fields), table.columns) + 1
            expected = f"expected {table.columns} fields, as on the first line of numbers"
            return f"{line}, column {column}: {expected}, found {len(fields)}"
        for column in range(table.last, table.columns):
            if fields[column]:
                expected = "expected an empty field, as on the first lines"
                return f"{line}, column {column + 1}: {expected}, found {shown(fields[column])}"
    raise AssertionError("a block that cannot be parsed has a fault")


def _field_problem(table: Table, column: int, field: bytes) -> str | None:
    field = field.replace(b'"', b"")
    key = field.strip().lower()
    if key in MISSING or key in NO_VALUE:
        if table.may_miss:
            return None
        found = shown(field.strip()) if key else "an empty field"
        return f"expected a number, found {found}; missing='mean' or a number fills in missing values"
    if key in TRUTHS or is_number(with_point(field, table.separator)):
        return None
    whole = field.replace(QUOTED_SEPARATOR, table.separator)
    return f"expected a number, found {shown(whole)}{_cure(table, column, whole)}"


def _cure(table: Table, column: int, field: bytes) -> str:
    """What to do about a feature that is no number."""
    text = field.strip().decode("utf-8", "replace")
    if cure := number_cure(text):
        return cure
    if not re.match(r"[^\W\d_]" if table.names else r"[^\W\d_]{2}", text):
        return ""
    if table.asked.known is not None:
        return ", in a column that held numbers in training"
    cure = f'categories="onehot" makes a column of 0 and 1 of every text, {_leaving_out(table, [column])}'
    if table.label not in (None, table.first):  # somebody has said where the labels are
        return f"; {cure}"
    label = repr(table.names[column]) if table.names and table.names[column] else column - table.first
    return f"; if this column holds the labels, say label_column={label}, else {cure}"


def _leaving_out(table: Table, columns: list[int]) -> str:
    leaves = "leaves the column out" if len(columns) == 1 else "leaves them out"
    return f"leave_out={[table.key(column) for column in columns]} {leaves}"


# --- categories ---


def _text_columns(path: PathLike, table: Table, coders: list[Coder]) -> list[Column]:
    """The columns of text; where they are learned, checked for what they are."""
    if table.asked.known is not None:
        return [coder.column(key) for key, coder in zip(table.asked.known, coders, strict=True)]
    _check_are_categories(path, table, {i: coder.counts() for i, coder in zip(table.texts, coders, strict=True)})
    return [coder.column(key) for key, coder in zip(table.category_keys(), coders, strict=True)]


def _counted(table: Table) -> dict[int, Counter[str]]:
    """How often each text stands in the columns of text, of so many that more would say nothing new."""
    counts: dict[int, Counter[str]] = {column: Counter() for column in table.texts}
    for _, line in lines_of(table.text, table.start):
        fields = line.split(table.separator)
        for column in table.texts if len(fields) == table.columns else ():
            if len(counts[column]) < _ENOUGH_TEXTS:
                counts[column][_categories.as_text(fields[column], table.separator)] += 1
    return counts


def _check_are_categories(path: PathLike, table: Table, counts: Mapping[int, Mapping[str, int]]) -> None:
    """Refuse damaged numbers, times, and texts that tell lines apart; all such columns are named at once."""
    found = {column: _categories.complaint(texts, table.separator) for column, texts in counts.items()}
    refused = {column: complaint for column, complaint in found.items() if complaint}
    if not refused:
        return
    column, (text, problem) = next(iter(refused.items()))
    place = f"{path}, line {_line_of_text(table, column, text)}, {table.title(column)}"
    others = f"; there are {len(refused)} such columns" if len(refused) > 1 else ""
    raise DataFileError(f"{place}: {problem}{others}; {_leaving_out(table, list(refused))}")


def _line_of_text(table: Table, column: int, text: str) -> int:
    """The first line that has a text in a column."""

    def has_it(line: bytes) -> bool:
        fields = line.split(table.separator)
        return len(fields) == table.columns and _categories.as_text(fields[column], table.separator) == text

    lines = lines_of(table.text, table.start)
    return line_number(table.text, next(position for position, line in lines if has_it(line)))


def _with_texts(
    path: PathLike, table: Table, numbers: Array, columns: list[Column]
) -> tuple[Array, tuple[str, ...] | None]:
    """The samples and the names of their columns."""
    names = table.feature_names()
    if not columns:
        return numbers, names
    in_order = [column for _, column in sorted(zip(table.texts, columns, strict=True), key=lambda pair: pair[0])]
    n_features = numbers.shape[1] + _categories.width(columns)
    if refusal := _categories.too_large(len(numbers), n_features, columns, len(table.text)):
        raise DataFileError(f"{path}: {refusal}")
    texts = set(table.texts)
    is_text = [column in texts for column in table.features]
    X = _categories.joined(numbers, is_text, in_order)
    return X, names and _categories.expanded(names, is_text, in_order)


# --- missing values ---


def _fill(path: PathLike, table: Table, X: Array) -> list[str]:
    """Fill in what is missing, in place, and tell how much it was."""
    missing = table.asked.missing
    if missing is None:
        return []
    is_missing = np.isnan(X)
    counts = np.count_nonzero(is_missing, axis=0)
    found = int(counts.sum())
    for j in np.flatnonzero(counts) if missing != "nan" else ():
        if missing != "mean":
            X[is_missing[:, j], j] = missing
        elif counts[j] < len(X):
            X[is_missing[:, j], j] = X[~is_missing[:, j], j].mean()
        else:
            title = table.title(table.numbers[j])
            raise DataFileError(f"{path}: expected a value in {title} to take the mean of, found none")
    if not found:
        return []
    done = {"mean": "filled with their column's mean", "nan": "left NaN"}.get(str(missing), f"filled with {missing}")
    return [f"{found:,} missing values are {done}"]
