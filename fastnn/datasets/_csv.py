"""Text tables: comma-separated, or by semicolons or tabs.

A file is read in three steps. Its text is brought into one form (one line end, no separators or line ends within
quotes). The first lines say what there is: a separator, a header, an index column, the label's column. Then the lines
are parsed, a block at a time and all numbers of a block at once; where text is found among them that may stand for
categories, from the beginning again without that column, whose fields become codes.
"""

from __future__ import annotations  # so that help() shows types by their short names

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from typing import NamedTuple, overload

import numpy as np

from fastnn.datasets import _categories
from fastnn.datasets._categories import Categories, Coder, Column, Key
from fastnn.datasets._fields import (
    ADORNED,
    DATE,
    MISSING,
    NO_VALUE,
    PLAIN_CURE,
    QUOTED_NEWLINE,
    QUOTED_SEPARATOR,
    TRUTHS,
    decoded,
    is_number,
    kind_of,
    number_cure,
    shown,
    shown_text,
)
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
from fastnn.validation import TIME_CURE, check_flag, check_name, check_number, check_whole

LabelColumn = int | str | None
Missing = float | str | None

# Text parsed at a time: large enough to hide the cost of the NumPy calls, small enough to stay in cache.
_CHUNK = 1 << 18

# Lines looked at to find out how the file is written, those for its separator, and where to stop if they are long.
_SAMPLE, _FEW, _SAMPLE_SIZE = 100, 20, 1 << 20
_SEPARATORS = {b"\t": "tabs", b";": "semicolons", b",": "commas"}  # a comma may also stand in a number

_MAX_GUESSES = 1000  # names looked at to suggest one
_NUMBER = r"-?\d{1,9}"  # text that stands for a column's number
_NEAR = 0.6  # how like what was wanted a name must be to be suggested
_FEW_COLUMNS = 5  # names that are shown where none is
_MAX_INDENT = 8  # spaces before a quote

_NEWLINE, _ZERO, _DOT, _MINUS = b"\n0.-"
_VALUES = dict.fromkeys(MISSING | NO_VALUE, np.nan) | TRUTHS

_UNNAMED = ("", "Unnamed: 0")  # what pandas calls an index column, written once and written again

# Whole numbers up to here, and so all of up to 15 digits, are exact in float64. So is a power of ten up to 22, and what
# is exact by exact is divided to the nearest float64.
_EXACT = 2**53
_MAX_DIGITS = 15

# Numbers with separators of thousands.
_THOUSANDS = {mark: re.compile(rb'"?[-+]?[1-9]\d{0,2}(%s\d{3})+"?' % re.escape(mark)) for mark in (b",", b".")}
_FEW_NAMES = 20  # classes may be called "10 %" and "20 %", but hardly more of them

_LABEL_NAMES = {"label", "labels", "class", "target", "y"}
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


class Asked(NamedTuple):
    """How a table is to be read, see `read_csv`.

    With ``n_features`` the labels are not read, and their column may be missing: it is, where there are just so many
    columns, or none of that name.
    """

    label_column: LabelColumn = 0
    missing: Missing = None
    header: bool | None = None
    categories: Categories = None
    leave_out: Sequence[Key] = ()
    n_features: int | None = None

    @property
    def learns(self) -> bool:
        """Whether categories are learned from the file."""
        return self.categories == "onehot"

    @property
    def known(self) -> Mapping[Key, Sequence[str]] | None:
        """Texts of columns, where they are known already."""
        return self.categories if isinstance(self.categories, Mapping) else None

    @property
    def n_columns(self) -> int | None:
        """How many columns of the file the features come from."""
        if self.n_features is None:
            return None
        return self.n_features - sum(len(texts) - 1 for texts in (self.known or {}).values())


def read_table(path: PathLike, asked: Asked) -> Dataset:
    """Read a table with all that is found out about it."""
    _check_arguments(asked)
    text = _read_text(path)
    records = _sample(text)
    if not records:
        raise DataFileError(f"{path}, line 1: expected a line of numbers, found the end of the file")
    separator = _found_separator(records)
    if b'"' in text:
        text = _without_quoted_marks(path, text, separator)
        records = _sample(text)
    table, parsed = _read_lines(path, _found_table(path, text, separator, records, asked))
    notes = [*table.notes, *parsed.notes, *_fill(path, table, parsed.X)]
    columns = _text_columns(path, table, parsed.coders)
    notes += _categories.notes(columns, asked.learns)
    y, task, classes = None, None, None
    if table.label is not None and asked.n_features is None:
        y = _labels(path, table, parsed.labels)
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


def _check_arguments(asked: Asked) -> None:
    if asked.label_column is not None and not isinstance(asked.label_column, str):
        check_whole("label_column", asked.label_column, at_least=None)
    if isinstance(asked.missing, str):
        check_name("missing", asked.missing, ("mean", "nan"))
    elif asked.missing is not None:
        check_number("missing", asked.missing)
    if asked.header is not None:
        check_flag("header", asked.header)
    _categories.check_categories(asked.categories)
    _categories.check_leave_out(asked.leave_out)


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
    return 1 + text.count(b"\n", 0, position) + text.count(QUOTED_NEWLINE, 0, position)


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
        return sum(is_number(field) for field in fields) / len(fields), len(fields)

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
    changed[inside & (data == ord(separator))] = ord(QUOTED_SEPARATOR)
    changed[inside & (data == _NEWLINE)] = ord(QUOTED_NEWLINE)
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
    asked: Asked
    left_out: tuple[int, ...] = ()  # columns between these that are, because they are to be
    label: int | None = None
    texts: tuple[int, ...] = ()  # columns of features that hold text
    notes: tuple[str, ...] = ()

    @property
    def features(self) -> list[int]:
        """Columns of the features."""
        others = {self.label, *self.left_out}
        return [column for column in range(self.first, self.last) if column not in others]

    @property
    def numbers(self) -> list[int]:
        """Columns of features that hold numbers."""
        texts = set(self.texts)
        return [column for column in self.features if column not in texts]

    @property
    def kept(self) -> list[int]:
        """Columns whose fields are kept as they stand: that of the label, and those that hold text."""
        return [*(() if self.label is None else (self.label,)), *self.texts]

    @property
    def may_miss(self) -> bool:
        """Whether numbers may be missing."""
        return self.asked.missing is not None

    def title(self, column: int) -> str:
        """A column's number, counted from 1, and its name."""
        named = f" ({self.names[column]!r})" if self.names and self.names[column] else ""
        return f"column {column + 1}{named}"

    def feature_names(self) -> tuple[str, ...] | None:
        """Names of the features."""
        return self.names and tuple(self.names[column] for column in self.features)

    def label_name(self) -> str | int | None:
        """What the label's column is called."""
        return None if self.label is None else self.key(self.label)

    def key(self, column: int) -> Key:
        """Name of a column or, where it has none, its number without an index column."""
        return (self.names and self.names[column]) or column - self.first

    def category_keys(self) -> list[Key]:
        """Of each column of text the name or, where it has none of its own, its number among the features."""
        names = self.feature_names() or ()
        times = Counter(names)
        places = {column: i for i, column in enumerate(self.features)}
        return [
            names[i] if names and names[i] and times[names[i]] == 1 else i
            for i in (places[column] for column in self.texts)
        ]


def _found_table(path: PathLike, text: bytes, separator: bytes, records: list[bytes], asked: Asked) -> _Table:
    lines = [line.split(separator) for line in records]
    has_header = _is_header(lines[0], lines[1:], separator, asked) if asked.header is None else asked.header
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
    first = 1 if last > 1 and names and _is_index(names[:last], rows) else 0
    if first and names:
        shown = f"called {names[0]!r}" if names[0] else "without a name"
        notes.append(f"the first column, {shown}, numbers or names the lines and is left out")
    table = _Table(text, start, separator, names, columns, first, last, asked)
    table = table._replace(left_out=_left_out(path, table))
    table = table._replace(label=_label(path, table))
    if not table.features or table.label in table.left_out:
        raise DataFileError(f"{path}: expected leave_out to leave a feature, and the label, found {asked.leave_out!r}")
    return table._replace(texts=_known_or_seen_texts(path, table, rows), notes=(*notes, *_label_note(table)))


def _left_out(path: PathLike, table: _Table) -> tuple[int, ...]:
    """Columns that are to be left out; only the first file of its kind must have those that go by names."""
    asked, names = table.asked, table.names or ()
    count = table.last - table.first
    named, numbers = set(), []
    for wanted in asked.leave_out:
        if isinstance(wanted, str) and wanted in names[table.first : table.last]:
            named.add(names.index(wanted, table.first))
        elif isinstance(wanted, int) or re.fullmatch(_NUMBER, wanted):
            numbers.append(int(wanted))
        elif asked.known is None and asked.n_features is None:
            raise DataFileError(f"{path}: {_no_such_name(table, wanted, 'column to leave out')}")
    if asked.n_columns is not None and numbers:
        numbers = _numbers_without_label(numbers, count - asked.n_columns - len(named), asked.label_column, count)
    for number in numbers:
        if not -count <= number < count:
            raise DataFileError(
                f"{path}: expected columns to leave out from {-count} to {count - 1}, as there are {count} columns, "
                f"found {number}"
            )
    return tuple(sorted(named | {table.first + number % count for number in numbers}))


def _numbers_without_label(numbers: list[int], others: int, label: LabelColumn, count: int) -> list[int]:
    """Numbers of columns to leave out in a file to predict, of whose columns so many are no features.

    Numbers count the label's column, which may be absent, and so may be the columns.
    """
    if others < len(numbers):
        return []
    if others > len(numbers) or not isinstance(label, int):
        return numbers
    total = count + 1
    return [number - (number > label % total) for number in (number % total for number in numbers)]


def _known_or_seen_texts(path: PathLike, table: _Table, rows: list[list[bytes]]) -> tuple[int, ...]:
    """Columns of text, as far as the first lines tell, or as they are known to be."""
    if table.asked.known is not None:
        return tuple(_known_texts(path, table, table.asked.known))
    if not table.asked.learns:
        return ()
    return tuple(
        column for column in table.features if any(kind_of(row[column]) == "text" for row in rows if len(row) > column)
    )


def _known_texts(path: PathLike, table: _Table, known: Iterable[Key]) -> Iterator[int]:
    """Columns that held text in the first file of their kind."""
    features = table.features
    # Of two columns of a name the first, as everywhere.
    places = dict(zip(reversed(table.feature_names() or ()), reversed(features), strict=False))
    for key in known:
        if isinstance(key, int) and key < len(features):
            yield features[key]
        elif isinstance(key, str) and key in places:
            yield places[key]
        else:
            named = f"the column {key!r}" if isinstance(key, str) else f"a feature of number {key}"
            found = "no such column" if table.names or isinstance(key, int) else "no header"
            raise DataFileError(f"{path}: expected {named}, which holds text by the categories, found {found}")


def _check_marks(path: PathLike, table: _Table) -> None:
    """Refuse a column of numbers with separators of thousands, where another one has these marks for decimals.

    Without a word 1.234 would be taken for one and a bit among numbers such as 0,5.
    """
    found: dict[int, _Marks] = {}
    others = {*table.texts, *table.left_out}
    columns = [column for column in range(table.last) if column not in others]
    for _, line in _lines(table.text, table.start):
        fields = line.split(table.separator)
        for column in columns if b"." in line or b"," in line else ():
            field = fields[column].strip() if column < len(fields) else b""
            for mark in (b".", b","):
                if mark in field and is_number(field.strip(b'"').replace(b",", b".")):
                    marks = found.setdefault(column, _Marks({}, set()))
                    marks.first.setdefault(mark, field)
                    if not _THOUSANDS[mark].fullmatch(field):
                        marks.decimal.add(mark)
    for mark, other in ((b".", b","), (b",", b".")):
        decimals = [marks.first[other] for marks in found.values() if other in marks.first]
        for column, marks in found.items() if decimals else ():
            if mark in marks.first and mark not in marks.decimal and other not in marks.first:
                raise DataFileError(
                    f"{path}, {table.title(column)}: expected the same decimal mark in all numbers, found "
                    f"{shown(marks.first[mark])} here and {shown(decimals[0])} elsewhere{PLAIN_CURE}"
                )


class _Marks(NamedTuple):
    """Marks in the numbers of one column."""

    first: dict[bytes, bytes]  # the first field with a mark
    decimal: set[bytes]  # marks that do not separate thousands in all of them


def _is_header(first: list[bytes], rows: list[list[bytes]], separator: bytes, asked: Asked) -> bool:
    """The rule that `read_csv` states."""
    label_column = asked.label_column
    kinds = [kind_of(field) for field in first]
    names = [i for i, kind in enumerate(kinds) if kind == "text"]
    numbers = [first[i].strip().strip(b'"') for i, kind in enumerate(kinds) if kind == "number"]
    wanted = {label_column, *(asked.known or ()), *asked.leave_out}
    if any(decoded(first[i], separator) in wanted for i in names):
        return True
    if not any(isinstance(key, str) for key in asked.known or ("",)):  # the first file had no header
        known = {text for texts in (asked.known or {}).values() for text in texts}
        if any(decoded(first[i], separator) in known for i in names):
            return False
    if not rows:
        return bool(names) and not numbers
    if numbers == [b"%d" % i for i in range(len(numbers))] and len(numbers) >= (3 if len(numbers) == len(first) else 2):
        # A class stands in many lines, a name in one.
        return not any(len(row) > i and row[i].strip() == first[i].strip() for row in rows for i in names)
    above = [i for i in names if _kind_below(rows, i) == "number"]
    if not numbers:
        return bool(above) or _are_names_of_text(first, names, rows)
    outer = {0, len(first) - 1}
    if isinstance(label_column, int):
        outer.add(label_column % len(first))
    return not outer.isdisjoint(above)


def _are_names_of_text(first: list[bytes], names: list[int], rows: list[list[bytes]]) -> bool:
    """Whether a line without numbers names columns of text: it is of different texts, and none stands below again."""
    below = list(zip_longest(*(row[: len(first)] for row in rows), fillvalue=b""))
    texts = {first[i].strip() for i in names}
    others = [i for i in range(len(first)) if i not in names]
    if len(texts) < max(2, len(names)) or any(first[i].strip() for i in others):
        return False
    if any(field.strip() for i in others if 0 < i < len(below) for field in below[i]):  # not an index, nor empty
        return False
    return not any(field.strip() == first[i].strip() for i in names if i < len(below) for field in below[i])


def _kind_below(rows: list[list[bytes]], column: int) -> str:
    kinds = (kind_of(row[column]) for row in rows if len(row) > column)
    return next((kind for kind in kinds if kind != "nothing"), "nothing")


def _names(place: str, fields: list[bytes], separator: bytes, least: int, columns: int) -> tuple[str, ...]:
    """Names of all columns; those at the end, that are empty, may lack theirs."""
    names = [decoded(field, separator) for field in fields]
    names[0] = re.sub(r"^#\s*", "", names[0])  # numpy.savetxt writes a header as a comment
    while len(names) > columns and not names[-1]:
        names.pop()
    if not least <= len(names) <= columns:
        raise DataFileError(f"{place}: expected {least} names, as many as fields below, found {len(names)}")
    return (*names, *[""] * (columns - len(names)))


def _header_notes(first: list[bytes], names: tuple[str, ...] | None) -> list[str]:
    """What to tell of a header that might have been meant as data."""
    if not names or not any(kind_of(field) == "number" for field in first):
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
    kinds = {kind_of(value) for value in values}
    is_whole = all(re.fullmatch(rb'"?-?\d+"?', value) for value in values)
    return len(set(values)) == len(values) and (is_whole or kinds == {"text"})


def _label(path: PathLike, table: _Table) -> int | None:
    """The label's column, None if there is none."""
    label_column, n_columns = table.asked.label_column, table.asked.n_columns
    count = table.last - table.first
    names = table.names[table.first : table.last] if table.names else ()
    if isinstance(label_column, str) and label_column in names:
        wanted = names.index(label_column)
    elif label_column is None or (n_columns is not None and count - len(table.left_out) != n_columns + 1):
        return None
    elif isinstance(label_column, str) and not re.fullmatch(_NUMBER, label_column):
        if n_columns is not None:
            return None
        raise DataFileError(f"{path}: {_no_such_name(table, label_column, 'label column')}")
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


def _label_note(table: _Table) -> list[str]:
    """What to tell where the label is read from the first column though another is called like one."""
    if table.label != table.first or table.asked.label_column != 0 or not table.names:
        return []
    names = table.names[table.first : table.last]
    likely = [name for name in names if name.lower() in _LABEL_NAMES]
    if not likely or names[0] in likely:
        return []
    return [
        f"labels are read from {table.title(table.label)}; for those in {likely[0]!r} say label_column={likely[0]!r}"
    ]


def _no_such_name(table: _Table, wanted: str, what: str) -> str:
    if not table.names:
        return f"expected a header with the {what} {wanted!r}, found none; give the column's number, from 0"
    names = [name for name in table.names[table.first : table.last] if name]
    same = [name for name in names[:_MAX_GUESSES] if name.lower() == wanted.lower()]
    nearest = same or difflib.get_close_matches(wanted, names[:_MAX_GUESSES], n=1, cutoff=_NEAR)
    if nearest:
        return f"expected a {what} {wanted!r}, found none; did you mean {nearest[0]!r}?"
    listed = ", ".join(map(shown_text, names[:_FEW_COLUMNS])) + (", ..." if len(names) > _FEW_COLUMNS else "")
    return f"expected a {what} {wanted!r}, found none; there are {listed}"


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


def _read_lines(path: PathLike, table: _Table) -> tuple[_Table, _Parsed]:
    """The lines; columns whose first text stands further down are found on the way, and then all is read again."""
    try:
        return table, _parse(path, table)
    except _MoreText as more:
        table = table._replace(texts=tuple(sorted({*table.texts, *more.columns})))
        return table, _parse(path, table)


def _parse(path: PathLike, table: _Table) -> _Parsed:
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
        _check_marks(path, table)
    notes = [f"{skipped:,} lines that hold separators alone are left out"] if skipped else []
    return _Parsed(X[:row], labels, coders, (lowest, highest) if is_whole else None, notes)


def _block_end(text: bytes, start: int) -> int:
    """Where as many whole lines end as fit into a chunk, or one if none fits."""
    return text.rfind(b"\n", start, start + _CHUNK) + 1 or text.index(b"\n", start) + 1


def _add_texts(path: PathLike, table: _Table, coders: list[Coder], fields: list[list[bytes]]) -> None:
    for coder, texts in zip(coders, fields, strict=True):
        try:
            coder.add(texts)
        except _categories.TooManyTexts:
            _check_are_categories(path, table, _counted(table))


def _columns_of_text(table: _Table, start: int) -> set[int]:
    """Columns that were taken for numbers and hold text, from a block on that could not be read."""
    found: set[int] = set()
    while start < len(table.text):
        stop = _block_end(table.text, start)
        rows = [line.split(table.separator) for line in table.text[start:stop].split(b"\n")]
        rows = [row for row in rows if len(row) == table.columns]
        for column in set(table.numbers) - found:
            if any(kind_of(field) == "text" for field in {row[column] for row in rows}):
                found.add(column)
        if not found:  # something else is wrong with the block
            break
        start = stop
    return found


def _most_rows(table: _Table) -> int:
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


def _parse_block(block: bytes, table: _Table) -> _Block:
    try:
        return _parse_lines(block, table)
    except _Fault:  # perhaps only because of blank lines
        lines = block.split(b"\n")[:-1]
        full = [line + b"\n" for line in lines if _holds_something(line)]
        if len(full) == len(lines):
            raise
    skipped = sum(bool(line.strip()) for line in lines) - len(full)
    if not full:
        return _Block(np.empty((0, len(table.numbers))), [], skipped=skipped)
    return _parse_lines(b"".join(full), table)._replace(skipped=skipped)


def _parse_lines(block: bytes, table: _Table) -> _Block:
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


def _values(numbers: bytes, rows: int, table: _Table) -> Array:
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


def _divided(block: bytes, ends: Array, table: _Table) -> tuple[bytes, list[list[bytes]]]:
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


def _first_fault(table: _Table, start: int, stop: int) -> str:
    """Place and description of the first thing wrong between two places in the text."""
    for position, text in _lines(table.text, start):
        if position >= stop:
            break
        if not _holds_something(text):
            continue
        fields = text.split(table.separator)
        line = f"line {_line_number(table.text, position)}"
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


def _field_problem(table: _Table, column: int, field: bytes) -> str | None:
    field = field.replace(b'"', b"")
    plain = field if table.separator == b"," else field.replace(b",", b".")
    key = field.strip().lower()
    if key in MISSING or key in NO_VALUE:
        if table.may_miss:
            return None
        found = shown(field.strip()) if key else "an empty field"
        return f"expected a number, found {found}; missing='mean' or a number fills in missing values"
    if key in TRUTHS or is_number(plain):
        return None
    whole = field.replace(QUOTED_SEPARATOR, table.separator)
    return f"expected a number, found {shown(whole)}{_cure(table, column, whole)}"


def _cure(table: _Table, column: int, field: bytes) -> str:
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


def _leaving_out(table: _Table, columns: list[int]) -> str:
    leaves = "leaves the column out" if len(columns) == 1 else "leaves them out"
    return f"leave_out={[table.key(column) for column in columns]} {leaves}"


# --- categories ---


def _text_columns(path: PathLike, table: _Table, coders: list[Coder]) -> list[Column]:
    """The columns of text; where they are learned, checked for what they are."""
    if table.asked.known is not None:
        return [coder.column(key) for key, coder in zip(table.asked.known, coders, strict=True)]
    _check_are_categories(path, table, {i: coder.counts() for i, coder in zip(table.texts, coders, strict=True)})
    return [coder.column(key) for key, coder in zip(table.category_keys(), coders, strict=True)]


def _counted(table: _Table) -> dict[int, Counter[str]]:
    """How often each text stands in the columns of text, of so many that more would say nothing new."""
    counts: dict[int, Counter[str]] = {column: Counter() for column in table.texts}
    for _, line in _lines(table.text, table.start):
        fields = line.split(table.separator)
        for column in table.texts if len(fields) == table.columns else ():
            if len(counts[column]) < _ENOUGH_TEXTS:
                counts[column][_categories.as_text(fields[column], table.separator)] += 1
    return counts


def _check_are_categories(path: PathLike, table: _Table, counts: Mapping[int, Mapping[str, int]]) -> None:
    """Refuse damaged numbers, times, and texts that tell lines apart; all such columns are named at once."""
    found = {column: _categories.complaint(texts, table.separator) for column, texts in counts.items()}
    refused = {column: complaint for column, complaint in found.items() if complaint}
    if not refused:
        return
    column, (text, problem) = next(iter(refused.items()))
    place = f"{path}, line {_line_of_text(table, column, text)}, {table.title(column)}"
    others = f"; there are {len(refused)} such columns" if len(refused) > 1 else ""
    raise DataFileError(f"{place}: {problem}{others}; {_leaving_out(table, list(refused))}")


def _line_of_text(table: _Table, column: int, text: str) -> int:
    """The first line that has a text in a column."""

    def has_it(line: bytes) -> bool:
        fields = line.split(table.separator)
        return len(fields) == table.columns and _categories.as_text(fields[column], table.separator) == text

    lines = _lines(table.text, table.start)
    return _line_number(table.text, next(position for position, line in lines if has_it(line)))


def _with_texts(
    path: PathLike, table: _Table, numbers: Array, columns: list[Column]
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


# --- missing values and labels ---


def _fill(path: PathLike, table: _Table, X: Array) -> list[str]:
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


def _labels(path: PathLike, table: _Table, fields: list[bytes]) -> Array:
    """Labels as int64 if all are whole numbers, float64 if they are numbers, else as text."""
    y = _label_numbers(fields)
    if y is None:
        plain = [field.strip().strip(b'"').strip() for field in fields]
        for i, field in enumerate(plain):
            if field.lower() in MISSING:
                found = shown(field) if field else "an empty field"
                where = _place(path, table, i)
                raise DataFileError(f"{where}: expected a label, found {found}; leave out samples without one")
        if table.separator != b",":
            plain = [field.replace(b",", b".") for field in plain]
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


def _check_stray_labels(path: PathLike, table: _Table, fields: list[bytes], numeric: list[bool]) -> None:
    """Refuse text among numbers."""
    if sum(numeric) > _categories.MOSTLY * len(fields):
        i = numeric.index(False)
        raise DataFileError(
            f"{_place(path, table, i)}: expected a number, as nearly all labels are, found {shown(fields[i])}"
        )


def _names_of_classes(path: PathLike, table: _Table, fields: Sequence[bytes]) -> Array:
    """Labels of text; one long label would make all of them long."""
    known = {field: decoded(field, table.separator) for field in set(fields)}
    _check_are_names(path, table, fields, known)
    longest = max(map(len, known.values()))
    if 4 * longest * len(fields) > _categories.MAX_RATIO * len(table.text):
        i = next(i for i, field in enumerate(fields) if len(known[field]) == longest)
        raise DataFileError(f"{_place(path, table, i)}: expected a label, found one of {longest:,} characters")
    return np.array([known[field] for field in fields])


def _check_are_names(path: PathLike, table: _Table, fields: Sequence[bytes], known: dict[bytes, str]) -> None:
    """Refuse dates, and numbers as spreadsheets show them, where they would make classes without a word."""
    for pattern, cure in ((DATE, TIME_CURE), (ADORNED, PLAIN_CURE)):
        alike = [field for field, text in known.items() if pattern.fullmatch(text)]
        if len(alike) > max(_FEW_NAMES, _categories.MOSTLY * len(known)):
            adorned = {field for field in alike if not is_number(field.strip())}
            i = next(i for i, field in enumerate(fields) if field in adorned)
            raise DataFileError(f"{_place(path, table, i)}: expected a number, found {known[fields[i]]!r}{cure}")


def _place(path: PathLike, table: _Table, row: int) -> str:
    """Where the label of a row stands."""
    assert table.label is not None
    lines = (position for position, line in _lines(table.text, table.start) if _holds_something(line))
    position = next(islice(lines, row, None))
    return f"{path}, line {_line_number(table.text, position)}, {table.title(table.label)}"
