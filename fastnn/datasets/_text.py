"""The text of a table in one form, its lines, and what separates their fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

import numpy as np

from fastnn.datasets._fields import QUOTED_NEWLINE, QUOTED_SEPARATOR, is_number, with_point
from fastnn.datasets._files import DataFileError, PathLike, open_bounded

# Lines looked at to find out how the file is written, those for its separator, and where to stop if they are long.
_SAMPLE, _FEW, _SAMPLE_SIZE = 100, 20, 1 << 20
SEPARATORS = {b"\t": "tabs", b";": "semicolons", b",": "commas"}  # a comma may also stand in a number
_MAX_INDENT = 8  # spaces before a quote
_NEWLINE = ord("\n")


def read_text(path: PathLike) -> bytes:
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


def lines_of(text: bytes, start: int = 0) -> Iterator[tuple[int, bytes]]:
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


def line_number(text: bytes, position: int) -> int:
    return 1 + text.count(b"\n", 0, position) + text.count(QUOTED_NEWLINE, 0, position)


def first_line(text: bytes) -> int:
    """Where the first line starts that is not blank."""
    blank = re.match(rb"[\s,;]*", text)
    return text.rfind(b"\n", 0, blank.end()) + 1 if blank and blank.end() < len(text) else len(text)


def first_records(text: bytes) -> list[bytes]:
    """The first lines that are not blank."""
    found: list[bytes] = []
    for start, line in islice(lines_of(text, first_line(text)), 2 * _SAMPLE):
        if len(found) == _SAMPLE or (len(found) > 1 and start > _SAMPLE_SIZE):
            break
        if holds_something(line):
            found.append(line)
    return found


def holds_something(line: bytes) -> bool:
    """Whether a line is more than blanks and separators, as programs for spreadsheets write below a table."""
    return bool(line.strip(b" \t,;"))


def found_separator(records: list[bytes]) -> bytes:
    """The separator that makes numbers of the most fields, and of those the one that makes the most fields."""
    lines = [re.sub(rb'"[^"]*"', b"0", line) for line in records[:_FEW]]
    # One that is not in all lines would be none, or make one number of two where there are commas alone.
    candidates = [mark for mark in SEPARATORS if all(mark in line for line in lines)]

    def merit(separator: bytes) -> tuple[float, int]:
        fields = [with_point(field, separator) for line in lines[1:] or lines for field in line.split(separator)]
        return sum(is_number(field) for field in fields) / len(fields), len(fields)

    return max(candidates, key=merit, default=b",")


def without_quoted_marks(path: PathLike, text: bytes, separator: bytes) -> bytes:
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
        line = line_number(text, int(odd.min()))
        raise DataFileError(
            f"{path}, line {line}: expected quotes around whole fields, found one in a field or never closed"
        )
    inside = np.bitwise_xor.accumulate(is_quote)
    changed = data.copy()
    changed[inside & (data == ord(separator))] = ord(QUOTED_SEPARATOR)
    changed[inside & (data == _NEWLINE)] = ord(QUOTED_NEWLINE)
    return changed.tobytes()
