"""What the first lines of a table tell: whether there is a header, an index, where labels and texts are."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from fastnn.datasets import _categories
from fastnn.datasets._categories import Categories, Key
from fastnn.datasets._fields import PLAIN_CURE, decoded, is_number, kind_of, shown, shown_text
from fastnn.datasets._files import DataFileError, PathLike
from fastnn.datasets._text import SEPARATORS, first_line, line_number, lines_of
from fastnn.validation import check_flag, check_name, check_number, check_whole

LabelColumn = int | str | None
Missing = float | str | None

_MAX_GUESSES = 1000  # names looked at to suggest one
_NUMBER = r"-?\d{1,9}"  # text that stands for a column's number
_NEAR = 0.6  # how like what was wanted a name must be to be suggested
_FEW_COLUMNS = 5  # names that are shown where none is
_UNNAMED = ("", "Unnamed: 0")  # what pandas calls an index column, written once and written again

# Numbers with separators of thousands.
_THOUSANDS = {mark: re.compile(rb'"?[-+]?[1-9]\d{0,2}(%s\d{3})+"?' % re.escape(mark)) for mark in (b",", b".")}
_LABEL_NAMES = {"label", "labels", "class", "target", "y"}


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


def check_arguments(asked: Asked) -> None:
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


class Table(NamedTuple):
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


def found_table(path: PathLike, text: bytes, separator: bytes, records: list[bytes], asked: Asked) -> Table:
    lines = [line.split(separator) for line in records]
    has_header = _is_header(lines[0], lines[1:], separator, asked) if asked.header is None else asked.header
    start = first_line(text)
    if has_header:
        start += len(records[0]) + 1
    rows = lines[1:] if has_header else lines
    if not rows:
        line = line_number(text, start)
        raise DataFileError(f"{path}, line {line}: expected a line of numbers, found the end of the file")
    columns = len(rows[0])
    last = min(_full_columns(rows), columns)
    names, notes = None, []
    if has_header:
        names = _names(f"{path}, line {line_number(text, start - 1)}", lines[0], separator, last, columns)
        notes += _header_notes(lines[0], names)
        last = max(last, *(i + 1 for i, name in enumerate(names) if name), 1)
    if separator != b",":
        notes.append(f"the fields are separated by {SEPARATORS[separator]}")
    first = 1 if last > 1 and names and _is_index(names[:last], rows) else 0
    if first and names:
        shown = f"called {names[0]!r}" if names[0] else "without a name"
        notes.append(f"the first column, {shown}, numbers or names the lines and is left out")
    table = Table(text, start, separator, names, columns, first, last, asked)
    table = table._replace(left_out=_left_out(path, table))
    table = table._replace(label=_label(path, table))
    if not table.features or table.label in table.left_out:
        raise DataFileError(f"{path}: expected leave_out to leave a feature, and the label, found {asked.leave_out!r}")
    return table._replace(texts=_known_or_seen_texts(path, table, rows), notes=(*notes, *_label_note(table)))


def _left_out(path: PathLike, table: Table) -> tuple[int, ...]:
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


def _known_or_seen_texts(path: PathLike, table: Table, rows: list[list[bytes]]) -> tuple[int, ...]:
    """Columns of text, as far as the first lines tell, or as they are known to be."""
    if table.asked.known is not None:
        return tuple(_known_texts(path, table, table.asked.known))
    if not table.asked.learns:
        return ()
    return tuple(
        column for column in table.features if any(kind_of(row[column]) == "text" for row in rows if len(row) > column)
    )


def _known_texts(path: PathLike, table: Table, known: Iterable[Key]) -> Iterator[int]:
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


def check_marks(path: PathLike, table: Table) -> None:
    """Refuse a column of numbers with separators of thousands, where another one has these marks for decimals.

    Without a word 1.234 would be taken for one and a bit among numbers such as 0,5.
    """
    found: dict[int, _Marks] = {}
    others = {*table.texts, *table.left_out}
    columns = [column for column in range(table.last) if column not in others]
    for _, line in lines_of(table.text, table.start):
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


def _label(path: PathLike, table: Table) -> int | None:
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


def _label_note(table: Table) -> list[str]:
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


def _no_such_name(table: Table, wanted: str, what: str) -> str:
    if not table.names:
        return f"expected a header with the {what} {wanted!r}, found none; give the column's number, from 0"
    names = [name for name in table.names[table.first : table.last] if name]
    same = [name for name in names[:_MAX_GUESSES] if name.lower() == wanted.lower()]
    nearest = same or difflib.get_close_matches(wanted, names[:_MAX_GUESSES], n=1, cutoff=_NEAR)
    if nearest:
        return f"expected a {what} {wanted!r}, found none; did you mean {nearest[0]!r}?"
    listed = ", ".join(map(shown_text, names[:_FEW_COLUMNS])) + (", ..." if len(names) > _FEW_COLUMNS else "")
    return f"expected a {what} {wanted!r}, found none; there are {listed}"
