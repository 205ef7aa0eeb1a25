"""Records: what Python and the kernels share, as named fields at an address.

A record is a ``NamedTuple`` whose annotations say what each field is: ``int``, ``float``, an array of some kind
(``Numbers``, ``Int64s`` ...), another record, or a ``TableOf`` records. ``pack`` writes one to memory, eight bytes a
field, with the addresses of its arrays; ``pointers.py`` lets compiled kernels read it by the same names. A kernel gets
one machine word for a record, however much is in it. Imports nothing heavy.
"""

import struct
from ctypes import c_void_p
from functools import cache
from typing import Annotated, Any, NamedTuple, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class TableOf(NamedTuple):
    """Marks a field that points to the first of several records of a kind, one after the other."""

    row: type


# Arrays by what a kernel sees; "numbers" are of the network's dtype.
Numbers = Annotated[Any, "numbers"]
Float64s = Annotated[Any, "float64"]
Int64s = Annotated[Any, "int64"]
Int32s = Annotated[Any, "int32"]
UInt32s = Annotated[Any, "uint32"]
Bytes = Annotated[Any, "uint8"]


@cache
def fields_of(described: Any) -> dict[str, Any]:
    """Name and kind of a record's fields, or a function's arguments: what their annotations say.

    A kind is int, float, the name of an array's dtype, a ``TableOf``, a record's class, or None.
    """
    hints = get_type_hints(described, include_extras=True)
    return {name: get_args(hint)[1] if get_args(hint) else hint for name, hint in hints.items()}


_TO_DATA = object.__basicsize__  # the first field of an array, behind what every object has


def address_of(array: Array) -> int:
    """Where an array's memory begins; 0 for an empty one, which kernels take for an absent one.

    Read where NumPy's C interface has it, ``PyArrayObject.data``: what Python offers builds a dictionary first, and
    takes as long as a prediction of one sample.
    """
    return c_void_p.from_address(id(array) + _TO_DATA).value or 0 if array.size else 0


@cache
def _form_of(record: Any) -> tuple[struct.Struct, list[int]]:
    """How words are written, floats as they are, anything else as a whole number; and which of them are addresses."""
    kinds = list(fields_of(record).values())
    form = struct.Struct("".join("d" if kind is float else "q" for kind in kinds))
    return form, [place for place, kind in enumerate(kinds) if kind is not float and kind is not int]


class Packed:
    """A record in memory.

    Attributes
    ----------
    address : int
        What a kernel is given.
    words : array (fields,) int64
        The memory. Between calls of kernels a word may be changed.
    """

    __slots__ = ("_keeps", "address", "words")
    address: int
    words: Array

    def __init__(self, record: Any) -> None:
        self._keeps = [record]  # what the words point to must live as long as they do
        kind: Any = type(record)
        form, references = _form_of(kind)
        words = list(record)
        for place in references:
            words[place] = self._address(words[place])
        self.words = np.empty(len(record), np.int64)
        form.pack_into(self.words.data, 0, *words)
        self.address = address_of(self.words)

    def _address(self, value: Any) -> Any:
        """Of an array or a record; numbers stay what they are."""
        if type(value) is np.ndarray:
            return address_of(value)
        if isinstance(value, tuple):
            value = Packed(value)
        if isinstance(value, Packed):
            self._keeps.append(value)
            return value.address
        return value


def pack_table(rows: Any) -> Array:
    """Records of one kind as the rows of an int64 array."""
    row: Any = type(rows[0])
    kinds = list(fields_of(row).values())
    table = np.empty((len(rows), len(kinds)), np.int64)
    floats = table.view(np.float64)
    for i, record in enumerate(rows):
        for j, (value, kind) in enumerate(zip(record, kinds, strict=True)):
            (floats if kind is float else table)[i, j] = value
    return table
