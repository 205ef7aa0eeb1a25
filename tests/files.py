"""Files to read in tests: written, read and refused."""

import struct
import tempfile
from pathlib import Path

import pytest

from fastnn.datasets import DataFileError

IDX_CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array):
    header = bytes([0, 0, IDX_CODES[array.dtype.str[1:]], array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def written(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read_text(reader, content, *args, name="data", **options):
    """Read through a file of its own: hypothesis does not go with the tmp_path fixture."""
    with tempfile.TemporaryDirectory() as folder:
        return reader(written(Path(folder), name, content), *args, **options)


def refusal(reader, path, *args):
    """The message of the error, without the path that it has to start with."""
    with pytest.raises(DataFileError) as caught:
        reader(path, *args)
    message = str(caught.value)
    assert message.startswith(str(path))
    return message[len(str(path)) :]
