"""What lies where in the flat buffers: plain records shared by the Python side and the kernels. Imports nothing heavy.

``params`` holds the weights panel by panel. A panel is a group of output columns as wide as a tile, stored as ``n_in``
rows of weights and one row of biases, so that a tile reads and writes one contiguous stretch::

    panel 0: (n_in + 1, width)   panel 1: (n_in + 1, width)   ...   last panel: (n_in + 1, one or more vectors)

``work`` holds one batch: activations and deltas as (rows, stride) matrices. Strides are an odd number of vectors, so
that the rows of a column do not fall into the same few cache sets. Columns past ``n_out`` are padding: weights and
deltas are kept at zero there.
"""

from typing import Any, NamedTuple

CACHE_LINE = 64
"""Bytes."""


class Layer(NamedTuple):
    """One dense layer; a row of the ``layers`` table. Offsets and strides count elements."""

    n_in: int
    n_out: int
    activation: int  # code, see functions.ACTIVATION_CODES
    weights: int  # offset in params of panel 0
    input: int  # offset in work of the (rows, input_stride) inputs
    input_stride: int
    output: int  # offset in work of the (rows, stride) activations
    delta: int  # offset in work of the (rows, stride) deltas
    stride: int


class Scratch(NamedTuple):
    """Offsets in ``work`` of what belongs to no single layer."""

    rows: int  # how many samples fit
    weighted: int  # (rows, stride of the output layer): the output layer's weighted input Z
    targets: int  # (rows, stride of the output layer), where targets are not labels
    # For every thread places of its own, so that no cache line has two writers. Three of ``rows_size`` numbers each:
    labels: int
    row_weights: int  # the samples' weights, where they have some
    costs: int  # every row's cost up to outputs.cost_factor, to be added up in one order
    rows_size: int  # rows, and a register more
    # And one of ``turned_size``: a panel of weights transposed, (widest padded layer, panel), or the block of
    # outputs, targets and deltas, three times (padded n_out, lanes), see outputs.py.
    turned: int
    turned_size: int
    partial: int  # (blocks, rows, stride of the first layer), where several threads add up a sparse first layer
    zeros: int  # one panel's width of zeros
    one: int  # the number 1: the input that a bias sees


class Lists(NamedTuple):
    """A batch's inputs that are not zero, see lists.py; the values beside the numbers are in ``work``."""

    indices: Any  # flat (rows * stride) int32: numbers of inputs within their block
    stride: int
    counts: Any  # flat (blocks * count_stride) int64: how many, every block on cache lines of its own
    count_stride: int
    blocks: int  # into which the inputs are cut
    block_size: int  # inputs in a block; the last one may be smaller


SAMPLES_PER_LIST = 2  # at most
LIST_TAIL = 8  # entries that add nothing, at the end of a list
LIST_SLACK = 16 + LIST_TAIL  # room behind a block's list for a register of rubbish and the tail


class Net(NamedTuple):
    """A network as the kernels see it."""

    layers: Any  # (n_layers, len(Layer._fields)) int64
    params: Any  # flat weights and biases
    work: Any  # flat scratch
    scratch: Scratch
    cost: int  # code, see functions.COST_CODES
    lists: Lists


class Data(NamedTuple):
    """Samples as the kernels see them; ``pixels`` or ``features`` is empty, and so is ``labels`` or ``targets``.

    Where ``starts`` is not empty, ``features`` and ``columns`` are a CSR matrix's values and column numbers.
    """

    pixels: Any  # flat (n * n_in) uint8, fractions of 255
    features: Any  # flat (n * n_in) of the network's dtype
    columns: Any  # (entries,) int32, or empty
    starts: Any  # (n + 1,) int64, or empty
    labels: Any  # (n,) int64
    targets: Any  # flat (n * n_out) of the network's dtype
    sample_weight: Any  # (n,) of the network's dtype, or empty: all one
    classify: bool  # whether argmax hits are worth counting
    blocks: int  # into which the inputs are cut where zeros are skipped, see lists.py; 0 where they are not


class Batches(NamedTuple):
    """Which batches of an epoch to run."""

    order: Any  # (n,) int64, the samples in the order of the epoch
    size: int  # samples in a batch; the last one may be smaller
    first: int
    last: int  # one past the last batch to run


class Rows(NamedTuple):
    """Some rows of ``work``, and the samples that belong there."""

    order: Any  # (n,) int64, or empty for the natural order
    start: int  # row r holds sample order[start + r]
    first: int
    end: int


class Stepper(NamedTuple):
    """The optimizer's numbers and memory."""

    settings: Any  # (k,) float64, the optimizer's own, see optimizers.py
    l1: float
    l2: float
    state: Any  # flat, as many params-sized buffers as the optimizer keeps
    # Flat: one or more params-sized buffers whose sum is the gradient of a large batch; or one block of a sparse first
    # layer's, of each thread its own; or empty, where the gradient is never kept.
    gradient: Any
    step: int  # steps taken before this call
    shrink: float  # factor between a sparse first layer's weights and what is stored, see epoch.run_batches
    hyper: Any  # (16,) scratch for the numbers of one step


SHRINK = 15  # place in ``Stepper.hyper`` of the factor between a sparse first layer's weights and what is stored


class Team(NamedTuple):
    """The threads that run a kernel together, and which of them this is."""

    member: int
    size: int
    sync: Any  # (SYNC_SIZE,) int64, zero at first, shared
    costs: Any  # (PARTS,) float64, shared: the costs of the parts of a large batch


# Places in ``Team.sync``, on cache lines of their own: how often a thread has arrived, and whether to give up waiting.
ARRIVALS, ABORT, SYNC_SIZE = 0, 8, 16

PARTS = 4
"""A batch that is taken in chunks is summed up in so many parts, and so by up to as many threads."""

# Where in the float64 array ``totals`` a kernel adds up what it saw.
TOTAL_COST = 0  # over samples
TOTAL_HITS = 1  # samples whose largest output is the target's
TOTAL_BATCHES = 2  # batches completed
TOTAL_SHRINK = 3  # the shrink after the last step
N_TOTALS = 16  # two cache lines: every thread has ``totals`` of its own
