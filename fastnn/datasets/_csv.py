"""Text tables: comma-separated, or by semicolons or tabs.

A file is read in three steps. Its text is brought into one form (one line end, no separators or line ends within
quotes). The first lines say what there is: a separator, a header, an index column, the label's column. Then the lines
are parsed, a block at a time and all fields of a block at once.
"""

from __future__ import annotations  # so that help() shows types by their short names

import difflib
import re
from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest
from typing import NamedTuple, overload

import numpy as np

from fastnn.datasets._files import (
    Array,
    DataFileError,
    Dataset,
    PathLike,
    open_bounded,
    pixel_scale,
    scale_note,
    task_of,
)
from fastnn.validation import TEXT_CURE, TIME_CURE, check_flag, check_name, check_number, check_whole

LabelColumn = int | str | None
Missing = float | str | None

# Text parsed at a time: large enough to hide the cost of the NumPy calls, small enough to stay in cache.
_CHUNK = 1 << 18

# Lines looked at to find out how the file is written, those for its separator, and where to stop if they are long.
_SAMPLE, _FEW, _SAMPLE_SIZE = 100, 20, 1 << 20
_SEPARATORS = {b"\t": "tabs", b";": "semicolons", b",": "commas"}  # a comma may also stand in a number

_MAX_GUESSES = 1000  # names looked at to suggest one
_MAX_INDENT = 8  # spaces before a quote

_NEWLINE, _ZERO, _DOT, _MINUS = b"\n0.-"
# What stands for a separator or a line end within quotes. No line holds a carriage return of its own by then.
_QUOTED_SEPARATOR, _QUOTED_NEWLINE = b"\x1f", b"\r"

# Fields that are no numbers by themselves, in lower case. True and False are how pandas writes yes and no.
_MISSING = {b"", b"nan", b"+nan", b"-nan", b"na", b"n/a", b"#n/a", b"<na>", b"?"}
_NO_VALUE = {b"null", b"none"}  # among features a missing value, among names a name
_TRUTHS = {b"true": 1.0, b"false": 0.0}
_VALUES = dict.fromkeys(_MISSING | _NO_VALUE, np.nan) | _TRUTHS

_UNNAMED = ("", "Unnamed: 0")  # what pandas calls an index column, written once and written again

# Whole numbers up to here, and so all of up to 15 digits, are exact in float64. So is a power of ten up to 22, and what
# is exact by exact is divided to the nearest float64.
_EXACT = 2**53
_MAX_DIGITS = 15

# Numbers as spreadsheets show them, and dates; fields of numbers must have neither.
_THOUSANDS = {mark: re.compile(rb'"?[-+]?[1-9]\d{0,2}(%s\d{3})+"?' % re.escape(mark)) for mark in (b",", b".")}
_ADORNED = re.compile(r"[-+(]?\s*[$€£¥]?\s*[0-9][0-9.,'\s]*[%$€£¥]?\)?")
_DATE = re.compile(r"(\d{4}[-./]\d\d?[-./]\d\d?|\d\d?[-./]\d\d?[-./](\d{4}|\d\d))([ T].*)?|\d\d?:\d\d(:.*)?")
_PLAIN = "; write numbers without separators of thousands, %, and signs of currency"
_FEW_NAMES = 20  # classes may be called "10 %" and "20 %", but hardly more of them

_LABEL_NAMES = {"label", "labels", "class", "target", "y"}
_STRAY_LABELS = 0.75  # with more of the labels than this numbers, the others are damage, not names
_MAX_TEXT_RATIO = 64  # bytes that labels of text may take for one of the file


@overload
def read_csv(
    path: PathLike, label_column: int | str = 0, *, missing: Missing = None, header: bool | None = None
) -> tuple[Array, Array]: ...
@overload
def read_csv(path: PathLike, label_column: None, *, missing: Missing = None, header: bool | None = None) -> Array: ...
def read_csv(
    path: PathLike, label_column: LabelColumn = 0, *, missing: Missing = None, header: bool | None = None
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
    - there is text above numbers in its first or last field, or in that of the label.

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
        If `label_column` is neither a whole number, nor text, nor None; or `missing` or `header` is of a wrong type.
    ValueError
        If `missing` is another word or not finite.
    DataFileError
        If a line has more or fewer fields than the first, a field is not a number, there are no data, or
        there is no such column.
    FileNotFoundError
        If there is no such file.

    Notes
    -----
    Memory: about 15 times the size of the unpacked file at most, of which `X` takes 4 (8 bytes for two bytes of text).
    A line longer than 256 kB is parsed by itself and takes 40 times its length. Labels of text take up to 64 times the
    size of the file, and one that is much longer than the others is refused.

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
    """
    data = read_table(path, label_column, missing=missing, header=header)
    return data.X if data.y is None else (data.X, data.y)


def read_table(
    path: PathLike,
    label_column: LabelColumn = 0,
    *,
    missing: Missing = None,
    header: bool | None = None,
    n_features: int | None = None,
) -> Dataset:
    """Read a table with all that is found out about it; see `read_csv`.

    With ``n_features`` the labels are not read, and their column may be missing: it is, where there are just so many
    columns, or none of that name.
    """
    _check_arguments(label_column, missing, header)
    text = _read_text(path)
    records = _sample(text)
    if not records:
        raise DataFileError(f"{path}, line 1: expected a line of numbers, found the end of the file")
    separator = _found_separator(records)
    if b'"' in text:
        text = _without_quoted_marks(path, text, separator)
        records = _sample(text)
    table = _found_table(path, text, separator, records, label_column, header, n_features)
    X, fields, bounds, notes = _parse(path, table, missing is not None)
    y, task, classes = None, None, None
    notes = [*table.notes, *notes, *_fill(path, table, X, missing)]
    if table.label is not None and n_features is None:
        y = _labels(path, table, fields)
        task, task_notes = task_of(y, table.title(table.label))
        classes = np.unique(y) if task == "classes" else None
        notes += task_notes
    scale = pixel_scale(*bounds, X.shape[1]) if bounds else None
    notes += scale_note(scale)
    return Dataset(X, y, table.feature_names(), table.label_name(), task, classes, scale, tuple(notes))


def _check_arguments(label_column: LabelColumn, missing: Missing, header: bool | None) -> None:
    if label_column is not None and not isinstance(label_column, str):
        check_whole("label_column", label_column, at_least=None)
    if isinstance(missing, str):
        check_name("missing", missing, ("mean", "nan"))
    elif missing is not None:
        check_number("missing", missing)
    if header is not None:
        check_flag("header", header)


# --- the text ---


def _read_text(path: PathLike) -> bytes:
    """Read the file as UTF-8 with lines that all end in one newline, without blank ones at the end."""
    with open_bounded(path) as source:
        text = source.read_all()
    text = _as_utf8(path, text)
    if b"\r" in text:
        # A file with \r\n that was written as text on Windows once more has \r\r\n.
        text = text.replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    # Without a copy where there is nothing to do.
    return text if text[-1:] == b"\n" and text[-2:-1] not in b" \n" else text.rstrip(b" \n") + b"\n"


def _as_utf8(path: PathLike, text: bytes) -> bytes:
    start = text[:4]
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif re.match(rb"[^\0]\0[^\0]\0", start, re.DOTALL):
        encoding = "utf-16-le"
    elif re.match(rb"\0[^\0]\0[^\0]", start, re.DOTALL):
        encoding = "utf-16-be"
    else:
        return text.removeprefix(b"\xef\xbb\xbf")
    try:
        return text.decode(encoding).encode()
    except UnicodeError as error:
        raise DataFileError(f"{path}: expected undamaged text in UTF-16: {error}") from error


def _decoded(field: bytes, separator: bytes) -> str:
    """A name or a label, as it was within its quotes."""
    field = field.strip().replace(_QUOTED_SEPARATOR, separator)
    if len(field) > 1 and field[:1] == field[-1:] == b'"':
        field = field[1:-1].replace(b'""', b'"').strip()
    field = field.replace(_QUOTED_NEWLINE, b" ")
    try:
        return field.decode()
    except UnicodeDecodeError:
        return field.decode("latin-1")  # as older programs write it; there every byte is a letter


def _shown(field: bytes) -> str:
    """Text of a file as it may stand in a message: on one line, and not too long."""
    text = field.decode("utf-8", "replace")
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _lines(text: bytes, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Start and content of one line after the other; line ends within quotes are no ends."""
    while start < len(text):
        stop = text.index(b"\n", start)
        quotes = text.count(b'"', start, stop)
        while quotes % 2 and stop + 1 < len(text):
            further = text.index(b"\n", stop + 1)
            quotes += text.count(b'"', stop, further)
            stop = further
        yield start, text[start:stop]
        start = stop + 1


def _line_number(text: bytes, position: int) -> int:
    return 1 + text.count(b"\n", 0, position) + text.count(_QUOTED_NEWLINE, 0, position)


def _first_line(text: bytes) -> int:
    """Where the first line starts that is not blank."""
    blank = re.match(rb"[\s,;]*", text)
    return text.rfind(b"\n", 0, blank.end()) + 1 if blank and blank.end() < len(text) else len(text)


def _sample(text: bytes) -> list[bytes]:
    """The first lines that are not blank."""
    found: list[bytes] = []
    for start, line in islice(_lines(text, _first_line(text)), 2 * _SAMPLE):
        if len(found) == _SAMPLE or (len(found) > 1 and start > _SAMPLE_SIZE):
            break
        if _holds_something(line):
            found.append(line)
    return found


def _holds_something(line: bytes) -> bool:
    """Whether a line is more than blanks and separators, as programs for spreadsheets write below a table."""
    return bool(line.strip(b" \t,;"))


def _found_separator(records: list[bytes]) -> bytes:
    """The separator that makes numbers of the most fields, and of those the one that makes the most fields."""
    lines = [re.sub(rb'"[^"]*"', b"0", line) for line in records[:_FEW]]
    # One that is not in all lines would be none, or make one number of two where there are commas alone.
    candidates = [mark for mark in _SEPARATORS if all(mark in line for line in lines)]

    def merit(separator: bytes) -> tuple[float, int]:
        fields = [field for line in lines[1:] or lines for field in line.split(separator)]
        if separator != b",":
            fields = [field.replace(b",", b".") for field in fields]
        return sum(_is_number(field) for field in fields) / len(fields), len(fields)

    return max(candidates, key=merit, default=b",")


def _without_quoted_marks(path: PathLike, text: bytes, separator: bytes) -> bytes:
    """Put other characters in the place of separators and line ends within quotes."""
    data = np.frombuffer(text, np.uint8)
    is_quote = data == ord('"')
    places = np.flatnonzero(is_quote)
    marks = list(b'\n"' + separator)
    opening, closing = places[::2], places[1::2]
    # An opening quote stands at the start of a field, a closing one at its end, and two of them in it for one.
    before = opening - 1
    for _ in range(_MAX_INDENT):
        before -= (before >= 0) & (data[before] == ord(" "))
    odd = opening[(before >= 0) & ~np.isin(data[before], marks)]
    odd = np.append(odd, closing[~np.isin(data[closing + 1], [*marks, ord(" ")])])
    if len(places) % 2 and not odd.size:
        odd = places[-1:]
    if odd.size:
        line = _line_number(text, int(odd.min()))
        raise DataFileError(
            f"{path}, line {line}: expected quotes around whole fields, found one in a field or never closed"
        )
    inside = np.bitwise_xor.accumulate(is_quote)
    changed = data.copy()
    changed[inside & (data == ord(separator))] = ord(_QUOTED_SEPARATOR)
    changed[inside & (data == _NEWLINE)] = ord(_QUOTED_NEWLINE)
    return changed.tobytes()


# --- what there is ---


class _Table(NamedTuple):
    """A file's text and how it is to be read."""

    text: bytes
    start: int  # where the lines of numbers begin
    separator: bytes
    names: tuple[str, ...] | None  # of all columns
    columns: int
    first: int  # the first column that is not left out
    last: int  # one more than the last such column
    label: int | None
    notes: tuple[str, ...]

    @property
    def features(self) -> list[int]:
        """Columns of the features."""
        return [column for column in range(self.first, self.last) if column != self.label]

    def title(self, column: int) -> str:
        """A column's number, counted from 1, and its name."""
        named = f" ({self.names[column]!r})" if self.names and self.names[column] else ""
        return f"column {column + 1}{named}"

    def feature_names(self) -> tuple[str, ...] | None:
        """Names of the features."""
        return self.names and tuple(self.names[column] for column in self.features)

    def label_name(self) -> str | int | None:
        """Name of the label's column or, where it has none, its number without an index column."""
        if self.label is None:
            return None
        return (self.names and self.names[self.label]) or self.label - self.first


def _found_table(
    path: PathLike,
    text: bytes,
    separator: bytes,
    records: list[bytes],
    label_column: LabelColumn,
    header: bool | None,
    n_features: int | None,
) -> _Table:
    lines = [line.split(separator) for line in records]
    has_header = _is_header(lines[0], lines[1:], separator, label_column) if header is None else header
    start = _first_line(text)
    if has_header:
        start += len(records[0]) + 1
    rows = lines[1:] if has_header else lines
    if not rows:
        line = _line_number(text, start)
        raise DataFileError(f"{path}, line {line}: expected a line of numbers, found the end of the file")
    columns = len(rows[0])
    last = min(_full_columns(rows), columns)
    names, notes = None, []
    if has_header:
        names = _names(f"{path}, line {_line_number(text, start - 1)}", lines[0], separator, last, columns)
        notes += _header_notes(lines[0], names)
        last = max(last, *(i + 1 for i, name in enumerate(names) if name), 1)
    if separator != b",":
        notes.append(f"the fields are separated by {_SEPARATORS[separator]}")
        _check_marks(path, rows, names)
    first = 1 if last > 1 and names and _is_index(names[:last], rows) else 0
    if first and names:
        shown = f"called {names[0]!r}" if names[0] else "without a name"
        notes.append(f"the first column, {shown}, numbers or names the lines and is left out")
    table = _Table(text, start, separator, names, columns, first, last, None, ())
    table = table._replace(label=_label(path, table, label_column, n_features))
    return table._replace(notes=(*notes, *_label_note(table, label_column)))


def _check_marks(path: PathLike, rows: list[list[bytes]], names: tuple[str, ...] | None) -> None:
    """Refuse a column of numbers with separators of thousands, where another one has these marks for decimals.

    Without a word 1.234 would be taken for one and a bit among numbers such as 0,5.
    """
    numbers = [
        [field.strip() for field in column if _is_number(field.strip(b' "').replace(b",", b"."))]
        for column in zip_longest(*rows, fillvalue=b"")
    ]
    for mark, other in ((b".", b","), (b",", b".")):
        decimals = [field for column in numbers for field in column if other in field]
        for i, column in enumerate(numbers if decimals else ()):
            marked = [field for field in column if mark in field]
            if marked and all(map(_THOUSANDS[mark].fullmatch, marked)) and not any(other in field for field in column):
                named = f" ({names[i]!r})" if names and names[i] else ""
                raise DataFileError(
                    f"{path}, column {i + 1}{named}: expected the same decimal mark in all numbers, found "
                    f"{_shown(marked[0])} here and {_shown(decimals[0])} elsewhere{_PLAIN}"
                )


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return b"_" not in field  # Python takes 1_000 for a number; in a data file it is damage


def _kind(field: bytes) -> str:
    """What a field is: a number, text, or nothing."""
    field = field.strip().strip(b'"').strip().lower()
    if field in _MISSING or field in _NO_VALUE:
        return "nothing"
    return "number" if field in _TRUTHS or _is_number(field.replace(b",", b".", 1)) else "text"


def _is_header(first: list[bytes], rows: list[list[bytes]], separator: bytes, label_column: LabelColumn) -> bool:
    """The rule that `read_csv` states."""
    kinds = [_kind(field) for field in first]
    names = [i for i, kind in enumerate(kinds) if kind == "text"]
    numbers = [first[i].strip().strip(b'"') for i, kind in enumerate(kinds) if kind == "number"]
    if isinstance(label_column, str) and any(_decoded(first[i], separator) == label_column for i in names):
        return True
    if not rows:
        return bool(names) and not numbers
    if numbers == [b"%d" % i for i in range(len(numbers))] and len(numbers) >= (3 if len(numbers) == len(first) else 2):
        # A class stands in many lines, a name in one.
        return not any(len(row) > i and row[i].strip() == first[i].strip() for row in rows for i in names)
    above = [i for i in names if _kind_below(rows, i) == "number"]
    if not numbers:
        return bool(above)
    outer = {0, len(first) - 1}
    if isinstance(label_column, int):
        outer.add(label_column % len(first))
    return not outer.isdisjoint(above)


def _kind_below(rows: list[list[bytes]], column: int) -> str:
    kinds = (_kind(row[column]) for row in rows if len(row) > column)
    return next((kind for kind in kinds if kind != "nothing"), "nothing")


def _names(place: str, fields: list[bytes], separator: bytes, least: int, columns: int) -> tuple[str, ...]:
    """Names of all columns; those at the end, that are empty, may lack theirs."""
    names = [_decoded(field, separator) for field in fields]
    names[0] = re.sub(r"^#\s*", "", names[0])  # numpy.savetxt writes a header as a comment
    while len(names) > columns and not names[-1]:
        names.pop()
    if not least <= len(names) <= columns:
        raise DataFileError(f"{place}: expected {least} names, as many as fields below, found {len(names)}")
    return (*names, *[""] * (columns - len(names)))


def _header_notes(first: list[bytes], names: tuple[str, ...] | None) -> list[str]:
    """What to tell of a header that might have been meant as data."""
    if not names or not any(_kind(field) == "number" for field in first):
        return []
    shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    return [f"the first line is taken for the names of the columns: {shown}"]


def _full_columns(rows: list[list[bytes]]) -> int:
    """How many columns there are up to the last that is not empty; lines that end in commas make more."""
    return max(next((i for i in range(len(row), 0, -1) if row[i - 1].strip()), 1) for row in rows)


def _is_index(names: tuple[str, ...], rows: list[list[bytes]]) -> bool:
    """Whether the first column is one as pandas and R write it before the others."""
    if names[0] not in _UNNAMED or not all(names[1:]):
        return False
    values = [row[0].strip() for row in rows]
    kinds = {_kind(value) for value in values}
    is_whole = all(re.fullmatch(rb'"?-?\d+"?', value) for value in values)
    return len(set(values)) == len(values) and (is_whole or kinds == {"text"})


def _label(path: PathLike, table: _Table, label_column: LabelColumn, n_features: int | None) -> int | None:
    """The label's column, None if there is none."""
    count = table.last - table.first
    names = table.names[table.first : table.last] if table.names else ()
    if isinstance(label_column, str) and label_column in names:
        wanted = names.index(label_column)
    elif label_column is None or (n_features is not None and count != n_features + 1):
        return None
    elif isinstance(label_column, str) and not re.fullmatch(r"-?\d{1,9}", label_column):
        if n_features is not None:
            return None
        raise DataFileError(f"{path}: {_no_such_name(names, label_column)}")
    else:
        wanted = int(label_column)
    if count < 2:
        raise DataFileError(f"{path}: expected a label and at least one feature, found a single column")
    if not -count <= wanted < count:
        raise DataFileError(
            f"{path}: expected a label column from {-count} to {count - 1}, as there are {count} "
            f"columns, found {wanted}"
        )
    return table.first + wanted % count


def _label_note(table: _Table, label_column: LabelColumn) -> list[str]:
    """What to tell where the label is read from the first column though another is called like one."""
    if table.label != table.first or label_column != 0 or not table.names:
        return []
    names = table.names[table.first : table.last]
    likely = [name for name in names if name.lower() in _LABEL_NAMES]
    if not likely or names[0] in likely:
        return []
    return [
        f"labels are read from {table.title(table.label)}; for those in {likely[0]!r} say label_column={likely[0]!r}"
    ]


def _no_such_name(names: tuple[str, ...], wanted: str) -> str:
    if not names:
        return f"expected a header with the label column {wanted!r}, found none; give the column's number, from 0"
    nearest = difflib.get_close_matches(wanted, names[:_MAX_GUESSES], n=1, cutoff=0.0)
    return f"expected a label column {wanted!r}, found none; did you mean {nearest[0]!r}?"


# --- the numbers ---


class _Fault(Exception):  # noqa: N818  (never seen outside)
    """Something in a block cannot be read; what and where is found out afterwards."""


class _Parsed(NamedTuple):
    """The lines of a table."""

    X: Array  # (n, features)
    labels: list[bytes]  # fields
    bounds: tuple[float, float] | None  # the lowest and the highest feature, where all are whole and not negative
    notes: list[str]


def _parse(path: PathLike, table: _Table, may_miss: bool) -> _Parsed:
    text, width = table.text, len(table.features)
    X = np.empty((_most_rows(table, may_miss), width))
    labels: list[bytes] = []
    row, start, skipped = 0, table.start, 0
    is_whole, lowest, highest = True, np.inf, -np.inf
    while start < len(text):
        # As many whole lines as fit into a chunk, or one if none fits.
        stop = text.rfind(b"\n", start, start + _CHUNK) + 1 or text.index(b"\n", start) + 1
        try:
            values, fields, left = _parse_block(text[start:stop], table, may_miss)
        except _Fault:
            raise DataFileError(f"{path}, {_first_fault(table, start, stop, may_miss)}") from None
        start, skipped = stop, skipped + left
        if not values.size:  # blank lines
            continue
        X[row : row + len(values)] = values
        labels += fields
        row += len(values)
        if is_whole := is_whole and values.dtype.kind == "u":
            lowest, highest = min(lowest, values.min()), max(highest, values.max())
    notes = [f"{skipped:,} lines that hold separators alone are left out"] if skipped else []
    return _Parsed(X[:row], labels, (lowest, highest) if is_whole else None, notes)


def _most_rows(table: _Table, may_miss: bool) -> int:
    """How many full lines there can be at most.

    Lines alone would not do: a wide one and many short ones ask for far more numbers than the file holds.
    """
    least = table.columns + (0 if may_miss else len(table.features))  # bytes in a line
    return min(table.text.count(b"\n", table.start), (len(table.text) - table.start) // least)


def _parse_block(block: bytes, table: _Table, may_miss: bool) -> tuple[Array, list[bytes], int]:
    """Values (rows, features) of whole lines, the fields of the labels, and how many lines held separators alone."""
    try:
        return *_parse_lines(block, table, may_miss), 0
    except _Fault:  # perhaps only because of blank lines
        lines = block.split(b"\n")[:-1]
        full = [line + b"\n" for line in lines if _holds_something(line)]
        if len(full) == len(lines):
            raise
    skipped = sum(bool(line.strip()) for line in lines) - len(full)
    if not full:
        return np.empty((0, len(table.features))), [], skipped
    return *_parse_lines(b"".join(full), table, may_miss), skipped


def _parse_lines(block: bytes, table: _Table, may_miss: bool) -> tuple[Array, list[bytes]]:
    ends = _field_ends(block, table)
    numbers, labels = _without_other_columns(block, ends, table)
    if b'"' in numbers:
        numbers = numbers.replace(b'"', b"")
    if table.separator != b",":
        numbers = numbers.replace(b",", b".")
    width = len(table.features)
    count = len(ends) * width
    values = _pixels(numbers, count)
    if values is None:
        values = _decimals(numbers, count)
    if values is None:
        values = _any_numbers(numbers, table.separator, may_miss)
    return values.reshape(len(ends), width), labels


def _field_ends(block: bytes, table: _Table) -> Array:
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


def _without_other_columns(block: bytes, ends: Array, table: _Table) -> tuple[bytes, list[bytes]]:
    """The features' part of a block, and the fields of the label."""
    if table.label is None and table.last - table.first == table.columns:
        return block, []
    line_starts = np.append(0, ends[:-1, -1] + 1)

    def part(first: int, last: int) -> list[bytes]:
        starts = ends[:, first - 1] + 1 if first else line_starts
        return [block[start:end] for start, end in zip(starts.tolist(), ends[:, last].tolist(), strict=True)]

    labels: list[bytes] = []
    runs = [(table.first, table.last - 1)]
    if table.label is not None:
        labels = part(table.label, table.label)
        runs = [(table.first, table.label - 1), (table.label + 1, table.last - 1)]
    parts = [part(first, last) for first, last in runs if first <= last]
    lines = parts[0] if len(parts) == 1 else map(table.separator.join, zip(*parts, strict=True))
    return b"\n".join(lines) + b"\n", labels


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


def _first_fault(table: _Table, start: int, stop: int, may_miss: bool) -> str:
    """Place and description of the first thing wrong between two places in the text."""
    for position, text in _lines(table.text, start):
        if position >= stop:
            break
        if not _holds_something(text):
            continue
        fields = text.split(table.separator)
        line = f"line {_line_number(table.text, position)}"
        for column in table.features:
            problem = _field_problem(table, column, fields[column], may_miss) if column < len(fields) else None
            if problem:
                return f"{line}, {table.title(column)}: {problem}"
        if len(fields) != table.columns:
            column = min(len(fields), table.columns) + 1
            expected = f"expected {table.columns} fields, as on the first line of numbers"
            return f"{line}, column {column}: {expected}, found {len(fields)}"
        for column in range(table.last, table.columns):
            if fields[column]:
                expected = "expected an empty field, as on the first lines"
                return f"{line}, column {column + 1}: {expected}, found {_shown(fields[column])}"
    raise AssertionError("a block that cannot be parsed has a fault")


def _field_problem(table: _Table, column: int, field: bytes, may_miss: bool) -> str | None:
    field = field.replace(b'"', b"")
    plain = field if table.separator == b"," else field.replace(b",", b".")
    key = field.strip().lower()
    if key in _MISSING or key in _NO_VALUE:
        if may_miss:
            return None
        found = _shown(field.strip()) if key else "an empty field"
        return f"expected a number, found {found}; missing='mean' or a number fills in missing values"
    if key in _TRUTHS or _is_number(plain):
        return None
    whole = field.replace(_QUOTED_SEPARATOR, table.separator)
    return f"expected a number, found {_shown(whole)}{_cure(table, column, whole)}"


def _cure(table: _Table, column: int, field: bytes) -> str:
    """What to do about a feature that is no number."""
    text = field.strip().decode("utf-8", "replace")
    if _DATE.fullmatch(text):
        return TIME_CURE
    if _ADORNED.fullmatch(text) and not _is_number(re.sub(rb"[\d.]+", b"0", field)):
        return _PLAIN
    if text.startswith("#") or (text and not text.strip("-.")):
        return "; leave the field empty where there is no value"
    if not re.match(r"[^\W\d_]" if table.names else r"[^\W\d_]{2}", text):
        return ""
    if table.label not in (None, table.first):  # somebody has said where the labels are
        return TEXT_CURE
    label = repr(table.names[column]) if table.names and table.names[column] else column - table.first
    return f"; if this column holds the labels, say label_column={label}, else {TEXT_CURE.removeprefix('; ')}"


# --- missing values and labels ---


def _fill(path: PathLike, table: _Table, X: Array, missing: Missing) -> list[str]:
    """Fill in what is missing, in place, and tell how much it was."""
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
            title = table.title(table.features[j])
            raise DataFileError(f"{path}: expected a value in {title} to take the mean of, found none")
    if not found:
        return []
    done = {"mean": "filled with their column's mean", "nan": "left NaN"}.get(str(missing), f"filled with {missing}")
    return [f"{found:,} missing values are {done}"]


def _labels(path: PathLike, table: _Table, fields: list[bytes]) -> Array:
    """Labels as int64 if all are whole numbers, float64 if they are numbers, else as text."""
    y = _label_numbers(fields)
    if y is None:
        plain = [field.strip().strip(b'"').strip() for field in fields]
        for i, field in enumerate(plain):
            if field.lower() in _MISSING:
                found = _shown(field) if field else "an empty field"
                where = _place(path, table, i)
                raise DataFileError(f"{where}: expected a label, found {found}; leave out samples without one")
        if table.separator != b",":
            plain = [field.replace(b",", b".") for field in plain]
        y = _label_numbers(plain)
        if y is None:
            _check_stray_labels(path, table, fields, [_is_number(field) for field in plain])
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


def _check_stray_labels(path: PathLike, table: _Table, fields: list[bytes], is_number: list[bool]) -> None:
    """Refuse text among numbers."""
    if sum(is_number) > _STRAY_LABELS * len(fields):
        i = is_number.index(False)
        raise DataFileError(
            f"{_place(path, table, i)}: expected a number, as nearly all labels are, found {_shown(fields[i])}"
        )


def _names_of_classes(path: PathLike, table: _Table, fields: Sequence[bytes]) -> Array:
    """Labels of text; one long label would make all of them long."""
    known = {field: _decoded(field, table.separator) for field in set(fields)}
    _check_are_names(path, table, fields, known)
    longest = max(map(len, known.values()))
    if 4 * longest * len(fields) > _MAX_TEXT_RATIO * len(table.text):
        i = next(i for i, field in enumerate(fields) if len(known[field]) == longest)
        raise DataFileError(f"{_place(path, table, i)}: expected a label, found one of {longest:,} characters")
    return np.array([known[field] for field in fields])


def _check_are_names(path: PathLike, table: _Table, fields: Sequence[bytes], known: dict[bytes, str]) -> None:
    """Refuse dates, and numbers as spreadsheets show them, where they would make classes without a word."""
    for pattern, cure in ((_DATE, TIME_CURE), (_ADORNED, _PLAIN)):
        alike = [field for field, text in known.items() if pattern.fullmatch(text)]
        if len(alike) > max(_FEW_NAMES, _STRAY_LABELS * len(known)):
            adorned = {field for field in alike if not _is_number(field.strip())}
            i = next(i for i, field in enumerate(fields) if field in adorned)
            raise DataFileError(f"{_place(path, table, i)}: expected a number, found {known[fields[i]]!r}{cure}")


def _place(path: PathLike, table: _Table, row: int) -> str:
    """Where the label of a row stands."""
    assert table.label is not None
    lines = (position for position, line in _lines(table.text, table.start) if _holds_something(line))
    position = next(islice(lines, row, None))
    return f"{path}, line {_line_number(table.text, position)}, {table.title(table.label)}"
