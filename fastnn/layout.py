"""From layer sizes to flat buffers: offsets, padding and alignment, and the views people see.

The picture of the buffers is in ``fastnn.kernels.buffers``; here are the numbers.
"""

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.kernels.buffers import BITS_PER_WORD, CACHE_LINE, LIST_SLACK, SQUARES_STRIDE, Layer, Lists, Scratch
from fastnn.kernels.host import PANEL_VECTORS, SKIPPED_INPUTS, SKIPPED_SAMPLES, WIDTH, lanes_of

MAX_ROWS = 256
"""A batch of up to this many samples is taken in one piece."""
CHUNK_ROWS = 128
"""A larger one in chunks of up to this many."""
BLOCK_BYTES = 16 << 20
"""Of a block of an array in a file, as the network takes it."""


class Layout(NamedTuple):
    """Where everything lies, in elements."""

    layers: tuple[Layer, ...]
    scale: tuple[Layer, ...]  # the first layer's own weights, and the scale of its inputs; empty where there is none
    scratch: Scratch
    params_size: int
    work_size: int


def aligned_zeros(size: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Zeros that begin on a cache line; NumPy alone promises 16 bytes."""
    raw = np.zeros(size * dtype.itemsize + CACHE_LINE, dtype=np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + size * dtype.itemsize].view(dtype)


def padded(columns: int, lanes: int) -> int:
    """``columns`` rounded up to whole registers."""
    return -(-columns // lanes) * lanes


def row_stride(columns: int, lanes: int) -> int:
    """Distance of the rows of an activation matrix: an odd number of registers, so that rows spread over cache sets."""
    return (padded(columns, lanes) // lanes | 1) * lanes


def partial_size(sizes: tuple[int, ...], room: "Room", lanes: int) -> int:
    """Room for the sums of the first layer over each block of its inputs, and a row, where several threads add up."""
    blocks = max(room.blocks, room.skips)
    return (blocks * room.rows + 1) * row_stride(sizes[1], lanes) if room.by_inputs else 0


def rows_for(batch_size: int) -> int:
    """How many samples ``work`` holds at a time for batches of this size: chunks of one size, for threads to share."""
    if batch_size <= MAX_ROWS:
        return batch_size
    chunks = -(-batch_size // CHUNK_ROWS)
    return -(-batch_size // chunks)


def rows_in_block(n_in: int, dtype: np.dtype[Any]) -> int:
    """How many samples of so many inputs fit into a block of an array in a file."""
    return BLOCK_BYTES // (n_in * dtype.itemsize)


_PAGE = 4096  # bytes
_ACROSS_SHARE = 0.94  # of the products by rows; with more nothing is gained
_FEW_UNITS = 48  # of every layer: with 64 the tiles are as fast
_LANES_ADDED = 3  # what takes as long as so many of them is to add up the lanes of a register's sums


@lru_cache(maxsize=64)
def pays_across(sizes: tuple[int, ...], batch: int, lanes: int) -> bool:
    """Whether samples should lie across the registers: by the multiply-adds of a batch, padding included.

    On 50 networks with 16 and 8 lanes, this sum's share of the one by rows and the share of the time went together.
    """
    by_rows = across = 0
    for index, (n_in, n_out) in enumerate(pairwise(sizes)):
        registers, registers_in = (padded(n, lanes) // lanes for n in (n_out, n_in))
        by_rows += batch * ((2 * n_in + 1) * registers + (index > 0) * n_out * registers_in)
        sums = padded(batch, lanes) // lanes * (2 + (index > 0)) * n_in * n_out
        across += sums + (n_in + 1) * n_out * _LANES_ADDED
    return across < _ACROSS_SHARE * by_rows


def is_small(sizes: tuple[int, ...]) -> bool:
    """Whether a step on one sample is little arithmetic beside finding out what there is to be done."""
    return max(sizes) <= _FEW_UNITS


class _Cursor:
    """Hands out stretches of a buffer, each on a cache line."""

    def __init__(self, line: int) -> None:
        self.line, self.size = line, 0

    def take(self, size: int) -> int:
        start, self.size = self.size, self.size + padded(size, self.line)
        return start


class Room(NamedTuple):
    """What a ``work`` is made for."""

    rows: int = 1  # samples at a time
    threads: int = 1  # that share it
    blocks: int = 0  # of the inputs, where zeros are skipped
    dropped: tuple[bool, ...] = ()  # of the layers whose inputs are dropped now and then; empty: of none
    skips: int = 0  # blocks of inputs, where zeros are skipped that neighbours have in common
    entries: int = 0  # of a CSR matrix that a sample may have; 0: the data are dense
    across: bool = False  # whether samples lie across the registers

    @property
    def by_inputs(self) -> bool:
        """Whether a thread of several has some inputs of all rows, and not all inputs of some rows."""
        return self.threads > 1 and (self.blocks > 0 or self.skips > 1)


def block_size(n_in: int, blocks: int) -> int:
    """Inputs in a block: whole registers of bytes whatever their width, and whole words of bits."""
    return padded(-(-n_in // blocks), BITS_PER_WORD)


def block_weights(layer: Layer, blocks: int, lanes: int) -> int:
    """Weights of a block of inputs in one panel."""
    width = min(PANEL_VECTORS * lanes, padded(layer.n_out, lanes))
    return min(layer.n_in, block_size(layer.n_in, blocks)) * width


def room_for_entries(most: int) -> int:
    """Somewhat more than ``most``, so that matrices whose largest rows differ little find the room of another one."""
    return 1 << (most - 1).bit_length() if most else 0


def _are_packed(n_in: int, room: Room) -> bool:
    """Whether the lists of a sample's blocks follow on one another; else every block may as well have room for all."""
    return 0 < room.entries < n_in


def list_stride(n_in: int, room: Room) -> int:
    """Room for the lists of one sample."""
    entries = room.entries if _are_packed(n_in, room) else room.blocks * block_size(n_in, room.blocks)
    return entries + room.blocks * LIST_SLACK


def new_lists(n_in: int, room: Room) -> Lists:
    """A thread's empty lists, and no memory at all for a dense first layer."""
    if room.skips:
        return _places(n_in, room)
    stride, size = (list_stride(n_in, room), block_size(n_in, room.blocks)) if room.blocks else (0, 0)
    count_stride = padded(room.rows, CACHE_LINE // np.dtype(np.int64).itemsize)
    counts, shifts = (aligned_zeros(room.blocks * count_stride, np.dtype(np.int64)) for _ in range(2))
    indices, packed = np.zeros(room.rows * stride, np.int32), _are_packed(n_in, room)
    squares = aligned_zeros(room.blocks * SQUARES_STRIDE, np.dtype(np.float64))
    return Lists(indices, stride, counts, shifts, count_stride, room.blocks, size, packed, squares)


def _places(n_in: int, room: Room) -> Lists:
    """Room for a thread's list of inputs, or of a word's samples and their marks, see skipping.py."""
    rows, groups = padded(room.rows, WIDTH), BITS_PER_WORD // SKIPPED_INPUTS
    own = max(n_in, BITS_PER_WORD + groups * (rows + WIDTH) + rows) + WIDTH
    none = np.zeros(0, np.int64)
    return Lists(np.zeros(own, np.int32), rows, none, none, 0, 0, 0, 0, np.zeros(0))


def _spread(size: int, itemsize: int) -> int:
    """A larger size, so that buffers one after the other lie a third of a page apart, modulo a page.

    To the processor a store may hit every later load that lies whole pages away from it, and Adam reads and writes
    its two side by side.
    """
    third = _PAGE // 3 // CACHE_LINE * CACHE_LINE
    return size + (third - size * itemsize) % _PAGE // itemsize


@lru_cache(maxsize=64)
def plan_layout(
    sizes: tuple[int, ...], sloped: tuple[bool, ...], room: Room, dtype: np.dtype[Any], scaled: bool = False
) -> Layout:
    """The layout of a network of ``sizes``, in which the ``sloped`` layers keep f'(Z) beside their outputs.

    With ``scaled``, its inputs have a learned scale, see ``kernels.input_scale``.
    """
    lanes = lanes_of(dtype.itemsize)
    rows, threads, blocks, dropped, *_ = room
    if room.across:
        rows = padded(rows, lanes)
    # What is dropped must be known on the way back.
    kept = zip(sloped, [*dropped[1:], False] if dropped else [False] * len(sloped), strict=True)
    sloped = tuple(own or after for own, after in kept)
    panel = PANEL_VECTORS * lanes
    work = _Cursor(CACHE_LINE // dtype.itemsize)
    params = _Cursor(CACHE_LINE // dtype.itemsize)
    # The values of a sparse first layer's lists take more room than the inputs themselves.
    inputs = list_stride(sizes[0], room) if blocks else sizes[0]
    strides = [row_stride(inputs, lanes), *(row_stride(size, lanes) for size in sizes[1:])]
    # Transpositions read whole squares: of weights up to a panel past a layer's last row, of outputs and targets up to
    # a register's lanes of rows past the last one. They must find memory there.
    many = threads if room.by_inputs else 1  # what several threads have for themselves of the inputs
    outputs = [work.take(many * rows * strides[0]), *(work.take(rows * stride) for stride in strides[1:])]
    deltas = [work.take(rows * stride) for stride in strides[1:]]
    slopes = [
        work.take(rows * stride) if keeps else output
        for stride, keeps, output in zip(strides[1:], sloped, outputs[1:], strict=True)
    ]
    layers = tuple(
        Layer(
            n_in=n_in,
            n_out=n_out,
            weights=params.take((n_in + 1) * padded(n_out, lanes)),
            input=outputs[i],
            input_stride=strides[i],
            output=outputs[i + 1],
            delta=deltas[i],
            stride=strides[i + 1],
            slope=slopes[i],
            activate=0,
            activate_sloped=0,
            derivative=0,
            backward_across=0,
            hyper=0,
            hyper_biases=1,
            dropout=0,
            dropout_scale=1.0,
            max_norm=float("inf"),
        )
        for i, (n_in, n_out) in enumerate(pairwise(sizes))
    )
    scale: tuple[Layer, ...] = ()
    if scaled:
        own = layers[0]._replace(weights=params.take((sizes[0] + 1) * padded(sizes[1], lanes)))
        scale = own, own._replace(n_in=0, n_out=sizes[0], weights=params.take(padded(sizes[0], lanes)))
    widest = max(padded(size, lanes) for size in sizes[1:])
    rows_size = padded(rows + lanes, CACHE_LINE // dtype.itemsize)
    turned_size = max(
        widest * panel,
        padded(sizes[-1], lanes) * 3 * lanes,
        room.across * lanes * strides[0],
        min(room.skips, 1) * SKIPPED_SAMPLES * strides[1],
    )
    scratch = Scratch(
        rows=room.rows,
        weighted=work.take(rows * strides[-1]),
        targets=work.take(rows * strides[-1]),
        labels=work.take(threads * rows_size),
        row_weights=work.take(threads * rows_size),
        costs=work.take(threads * rows_size),
        rows_size=rows_size,
        turned=work.take(threads * turned_size),
        turned_size=turned_size,
        zeros=work.take(panel),
    )
    return Layout(layers, scale, scratch, _spread(params.size + panel * panel, dtype.itemsize), work.size)


def _panels(layer: Layer, params: NDArray[Any]) -> list[tuple[int, NDArray[Any]]]:
    """First column and (n_in + 1, columns) view of each panel of a layer, padding left out."""
    lanes = lanes_of(params.itemsize)
    panel = PANEL_VECTORS * lanes
    views = []
    for column in range(0, layer.n_out, panel):
        columns = min(panel, layer.n_out - column)
        width = padded(columns, lanes)
        start = layer.weights + column * (layer.n_in + 1)
        block = params[start : start + (layer.n_in + 1) * width].reshape(layer.n_in + 1, width)
        views.append((column, block[:, :columns]))
    return views


def read_layer(
    layer: Layer,
    params: NDArray[Any],
    between: Callable[[], None] = lambda: None,
    inputs: NDArray[Any] | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Copies of a layer's weights (n_out, n_in), or of some ``inputs`` (n_out, inputs), and biases (n_out,).

    ``between`` is called before every panel.
    """
    weights = np.empty((layer.n_out, layer.n_in if inputs is None else len(inputs)), params.dtype)
    biases = np.empty(layer.n_out, params.dtype)
    for column, block in _panels(layer, params):
        between()
        weights[column : column + block.shape[1]] = (block[:-1] if inputs is None else block[inputs]).T
        biases[column : column + block.shape[1]] = block[-1]
    return weights, biases


def write_weights(layer: Layer, params: NDArray[Any], weights: NDArray[Any]) -> None:
    """Put weights (n_out, n_in) into the buffer."""
    for column, block in _panels(layer, params):
        block[:-1] = weights[column : column + block.shape[1]].T


def fold_scale(layer: Layer, own: Layer, scale: Layer, params: NDArray[Any]) -> None:
    """Make a first layer's weights its own ones times the scale of its inputs, and its biases its own ones."""
    factor = np.append(params[scale.weights : scale.weights + layer.n_in], params.dtype.type(1))[:, np.newaxis]
    for (_, block), (_, source) in zip(_panels(layer, params), _panels(own, params), strict=True):
        np.multiply(source, factor, out=block)


def scale_weights(layer: Layer, params: NDArray[Any], factor: float) -> None:
    """Multiply a layer's weights, not its biases."""
    for _, block in _panels(layer, params):
        block[:-1] *= params.dtype.type(factor)


def write_biases(layer: Layer, params: NDArray[Any], biases: NDArray[Any]) -> None:
    """Put biases (n_out,) into the buffer."""
    for column, block in _panels(layer, params):
        block[-1] = biases[column : column + block.shape[1]]
