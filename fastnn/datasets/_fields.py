"""Fields of text tables: what a single one says, and what is to be told of it."""

from __future__ import annotations

import re

from fastnn.validation import TIME_CURE

# What stands for a separator or a line end within quotes. No line holds a carriage return of its own by then.
QUOTED_SEPARATOR, QUOTED_NEWLINE = b"\x1f", b"\r"

# Fields that are no numbers by themselves, in lower case. True and False are how pandas writes yes and no.
MISSING = {b"", b"nan", b"+nan", b"-nan", b"na", b"n/a", b"#n/a", b"<na>", b"?"}
NO_VALUE = {b"null", b"none"}  # among numbers a missing value, among names a name
TRUTHS = {b"true": 1.0, b"false": 0.0}

# Numbers as spreadsheets show them, and dates; fields of numbers must have neither.
ADORNED = re.compile(r"[-+(]?\s*[$€£¥]?\s*[0-9][0-9.,'\s]*[%$€£¥]?\)?")
DATE = re.compile(r"(\d{4}[-./]\d\d?[-./]\d\d?|\d\d?[-./]\d\d?[-./](\d{4}|\d\d))([ T].*)?|\d\d?:\d\d(:.*)?")
PLAIN_CURE = "; write numbers without separators of thousands, %, and signs of currency"


def is_number(field: bytes) -> bool:
    """Whether a field, with a decimal point, is a number."""
    try:
        float(field)
    except ValueError:
        return False
    return b"_" not in field  # Python takes 1_000 for a number; in a data file it is damage


def with_point(field: bytes, separator: bytes) -> bytes:
    """A field as Python writes numbers: between other separators than commas, a comma is a decimal mark."""
    return field if separator == b"," else field.replace(b",", b".")


def kind_of(field: bytes) -> str:
    """What a field is: a number, text, or nothing."""
    field = field.strip().strip(b'"').strip().lower()
    if field in MISSING or field in NO_VALUE:
        return "nothing"
    return "number" if field in TRUTHS or is_number(field.replace(b",", b".", 1)) else "text"


def decoded(field: bytes, separator: bytes) -> str:
    """A name, as it was within its quotes."""
    field = field.strip().replace(QUOTED_SEPARATOR, separator)
    if len(field) > 1 and field[:1] == field[-1:] == b'"':
        field = field[1:-1].replace(b'""', b'"').strip()
    field = field.replace(QUOTED_NEWLINE, b" ")
    try:
        return field.decode()
    except UnicodeDecodeError:
        return field.decode("latin-1")  # as older programs write it; there every byte is a letter


def shown(field: bytes) -> str:
    """Text of a file as it may stand in a message: on one line, and not too long."""
    return shown_text(field.decode("utf-8", "replace"))


def shown_text(text: str) -> str:
    """The same of text that is decoded."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def number_cure(text: str) -> str:
    """What to do about a field that ought to be a number."""
    text = text.strip()
    if DATE.fullmatch(text):
        return TIME_CURE
    if is_adorned(text):
        return PLAIN_CURE
    if text.startswith("#") or (text and not text.strip("-.")):
        return "; leave the field empty where there is no value"
    return ""


def is_adorned(text: str) -> bool:
    """Whether this is a number as spreadsheets show it, which is none as it stands."""
    return bool(ADORNED.fullmatch(text)) and not is_number(re.sub(r"[\d.]+", "0", text).encode())
