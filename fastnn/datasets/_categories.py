"""Columns of text: every text of a column becomes a column of zeros and ones.

A table with such columns is read twice as wide or more, so its fields are kept as codes of one byte until all of them
are known, and the room is asked for after it was weighed against the size of the file.
"""

from __future__ import annotations  # so that help() shows types by their short names

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn.datasets._fields import DATE, MISSING, decoded, is_adorned, is_number, number_cure, shown_text, with_point
from fastnn.datasets._files import FREE, Array
from fastnn.validation import TIME_CURE, check_name, check_whole

Key = str | int
Categories = Mapping[Key, Sequence[str]] | str | None

MOST_TEXTS = 255
_UNSEEN = 255  # the code of a text that is not known
MAX_RATIO = 64  # bytes that samples with such columns may take for one of the file
MOSTLY = 0.75  # with more of a column than this numbers, the others are damage, not names
_FEW_NAMES = 5  # names that are shown of many


class TooManyTexts(Exception):  # noqa: N818  (never seen outside)
    """A column holds more different texts than categories may be; why is found out afterwards."""


class Column(NamedTuple):
    """A column of text."""

    key: Key  # its name, or its number among the features
    texts: tuple[str, ...]
    codes: Array  # uint8 (n,), the place of each field's text in ``texts``, or ``_UNSEEN``
    unseen: str | None  # the first text that is not among them


def check_categories(categories: Any) -> None:
    """Refuse what is no way to read text.

    Raises
    ------
    TypeError
        If `categories` is neither None, nor text, nor a mapping of names or numbers to sequences of text.
    ValueError
        If it is another word than "onehot", or a column's texts are none, too many or not different.
    """
    if categories is None:
        return
    if not isinstance(categories, Mapping):
        check_name("categories", categories, ["onehot"])
        return
    for key, texts in categories.items():
        if not isinstance(key, str):
            check_whole("categories must name or number columns, and a number", key, at_least=0)
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise TypeError(f"categories[{key!r}] must be a sequence of texts, got {texts!r}")
        if not 0 < len(set(texts)) == len(texts) <= MOST_TEXTS:
            raise ValueError(f"categories[{key!r}] must be 1 to {MOST_TEXTS} different texts, got {len(texts)}")


def check_leave_out(leave_out: Any) -> Sequence[Key]:
    """``leave_out`` if it lists columns.

    Raises
    ------
    TypeError
        If it is no sequence of text and whole numbers.
    """
    if isinstance(leave_out, (str, bytes)) or not isinstance(leave_out, Sequence):
        raise TypeError(f"leave_out must be a sequence of names or numbers of columns, got {leave_out!r}")
    for column in leave_out:
        if not isinstance(column, str):
            check_whole("leave_out must hold names or whole numbers, and a number", column, at_least=None)
    columns: Sequence[Key] = leave_out
    return columns


class Coder(dict[bytes, int]):
    """Gives the fields of one column codes, in the order in which texts come, or of those that are known.

    Parameters
    ----------
    separator : bytes
        What separates the fields.
    known : sequence of str or None
        The texts; None to learn them.
    """

    def __init__(self, separator: bytes, known: Sequence[str] | None) -> None:
        super().__init__()
        self.separator = separator
        self.learns = known is None
        self.unseen: str | None = None
        self.of_texts = {text: code for code, text in enumerate(known or ())}
        self.parts: list[Array] = []

    def add(self, fields: Sequence[bytes]) -> None:
        """The next fields of the column."""
        self.parts.append(np.fromiter(map(self.__getitem__, fields), np.uint8, len(fields)))

    def __missing__(self, field: bytes) -> int:
        text = as_text(field, self.separator)
        code = self.of_texts.get(text)
        if code is None and not self.learns:
            self.unseen = text if self.unseen is None else self.unseen
            return _UNSEEN  # and is not kept: there may be as many of them as fields
        if code is None:
            code = len(self.of_texts)
            if code == MOST_TEXTS:
                raise TooManyTexts
            self.of_texts[text] = code
        self[field] = code
        return code

    def codes(self) -> Array:
        """Those of all that came, uint8 (n,)."""
        return np.concatenate(self.parts) if self.parts else np.empty(0, np.uint8)

    def counts(self) -> dict[str, int]:
        """How often each text came, of those that were learned, in the order in which they did."""
        return dict(zip(self.of_texts, np.bincount(self.codes(), minlength=len(self.of_texts)).tolist(), strict=True))

    def column(self, key: Key) -> Column:
        """All that came; texts that were learned are sorted."""
        codes = self.codes()
        texts = tuple(self.of_texts)
        if self.learns:
            texts = tuple(sorted(texts))
            place = {text: i for i, text in enumerate(texts)}
            codes = np.array([place[text] for text in self.of_texts], np.uint8)[codes]
        return Column(key, texts, codes, self.unseen)


def as_text(field: bytes, separator: bytes) -> str:
    """The text of a field; of one that is missing, none."""
    text = decoded(field, separator)
    return "" if text.strip().lower().encode() in MISSING else text


def complaint(counts: Mapping[str, int], separator: bytes) -> tuple[str, str] | None:
    """One of a column's texts that says that they are no categories, and what to say of it; None if they may be.

    Parameters
    ----------
    counts : mapping of str to int
        How often each text stands in the column.
    separator : bytes
        What separates the fields: with another one than a comma, that is a decimal mark.
    """
    texts = [text for text in counts if text]
    numbers = {text for text in texts if is_number(with_point(text.encode(), separator))}
    others = [text for text in texts if text not in numbers]
    times = [text for text in others if DATE.fullmatch(text)]
    if 2 * len(times) > len(texts):
        return times[0], f"expected numbers or names, found {shown_text(times[0])}{TIME_CURE}"
    adorned = [text for text in others if is_adorned(text)]
    if adorned and len(adorned) + len(numbers) > MOSTLY * len(texts):
        return adorned[0], f"expected a number, found {shown_text(adorned[0])}{number_cure(adorned[0])}"
    if sum(counts[text] for text in numbers) > MOSTLY * sum(counts[text] for text in texts):
        cure = number_cure(others[0]) or "; mend the field, or leave it empty"
        return others[0], f"expected a number, as nearly all of the column are, found {shown_text(others[0])}{cure}"
    if len(counts) > MOST_TEXTS:
        text = others[min(MOST_TEXTS, len(others) - 1)]
        return text, (
            f"expected at most {MOST_TEXTS} different texts in a column, found more, such as {shown_text(text)}: "
            "names or other text that tells lines apart"
        )
    return None


# --- the samples ---


def width(columns: Sequence[Column]) -> int:
    """How many columns of zeros and ones they make."""
    return sum(len(column.texts) for column in columns)


def too_large(rows: int, n_features: int, columns: Sequence[Column], size: int) -> str | None:
    """What to say where so many samples would take far more room than a file of this size should ask for."""
    room = 8 * rows * n_features
    if room <= max(FREE, MAX_RATIO * size):
        return None
    largest = max(columns, key=lambda column: len(column.texts))
    return (
        f"expected samples that take at most {MAX_RATIO} times the size of the text (or {FREE >> 20} MB), but with a "
        f"column for each of {width(columns):,} texts they would take {room >> 20:,} MB; leave columns out, "
        f"for example leave_out=[{largest.key!r}] with its {len(largest.texts)} texts"
    )


def joined(numbers: Array, is_text: Sequence[bool], columns: Sequence[Column]) -> Array:
    """The samples, float64 (n, features), with zeros and ones where columns of text stood.

    Parameters
    ----------
    numbers : ndarray of float64, shape (n, numeric)
        The columns of numbers.
    is_text : sequence of bool
        Of each feature in the file, whether its column is one of text.
    columns : sequence of Column
        Those of text, as they stand in the file.
    """
    X = np.zeros((len(numbers), numbers.shape[1] + width(columns)))
    texts, number, place = iter(columns), 0, 0
    for text in is_text:
        if text:
            column = next(texts)
            rows = np.flatnonzero(column.codes != _UNSEEN)
            X[rows, place + column.codes[rows].astype(np.intp)] = 1.0
            place += len(column.texts)
        else:
            X[:, place] = numbers[:, number]
            number, place = number + 1, place + 1
    return X


def expanded(names: Sequence[str], is_text: Sequence[bool], columns: Sequence[Column]) -> tuple[str, ...]:
    """Names of the samples' columns: 'cut=Ideal' for the text 'Ideal' of the column 'cut'."""
    texts = iter(columns)
    found: list[str] = []
    for name, text in zip(names, is_text, strict=True):
        found += [f"{name}={value}" for value in next(texts).texts] if text else [name]
    return tuple(found)


def notes(columns: Sequence[Column], learns: bool) -> list[str]:
    """What to tell of columns of text: that there are some, or of later files what was not seen before."""
    if learns:
        return [_found_note(columns)] if columns else []
    return [_unseen_note(column) for column in columns if column.unseen is not None]


def _found_note(columns: Sequence[Column]) -> str:
    names = [repr(column.key) if isinstance(column.key, str) else f"feature {column.key}" for column in columns]
    listed = ", ".join(names[:_FEW_NAMES]) + (", ..." if len(names) > _FEW_NAMES else "")
    hold = "1 column holds" if len(columns) == 1 else f"{len(columns)} columns hold"
    whose = "its" if len(columns) == 1 else "their"
    return f"{hold} text ({listed}): each of {whose} {width(columns)} values becomes an input of 0 or 1"


def _unseen_note(column: Column) -> str:
    count = int(np.count_nonzero(column.codes == _UNSEEN))
    values, were = ("value", "was") if count == 1 else ("values", "were")
    example = shown_text(column.unseen) if column.unseen else "an empty field"
    return (
        f"{count:,} {values} of column {column.key!r} {were} not seen in training, such as {example}: "
        "none of its inputs is 1 there"
    )
