"""What lies where in the flat buffers: records shared by the Python side and the kernels. Imports nothing heavy.

``params`` holds the weights panel by panel. A panel is a group of output columns as wide as a tile, stored as ``n_in``
rows of weights and one row of biases, so that a tile reads and writes one contiguous stretch::

    panel 0: (n_in + 1, width)   panel 1: (n_in + 1, width)   ...   last panel: (n_in + 1, one or more vectors)

``work`` holds one batch: activations and deltas as (rows, stride) matrices. Strides are an odd number of vectors, so
that the rows of a column do not fall into the same few cache sets. Columns past ``n_out`` are padding: weights and
deltas are kept at zero there. Where samples lie across the registers (``Net.across``), the same places hold blocks of a
register's lanes of samples, (blocks, units, lanes), without padding; of the inputs (blocks, input_stride, lanes).
"""

from typing import Annotated, Any, NamedTuple

from fastnn.kernels.records import Bytes, Float64s, Int32s, Int64s, Numbers, TableOf

CACHE_LINE = 64
"""Bytes."""


class Layer(NamedTuple):
    """One dense layer; a row of the ``layers`` table. Offsets and strides count elements."""

    n_in: int
    n_out: int
    weights: int  # offset in params of panel 0
    input: int  # offset in work of the (rows, input_stride) inputs; every thread's own where it has some of all rows
    input_stride: int
    output: int  # offset in work of the (rows, stride) activations A
    delta: int  # offset in work of the (rows, stride) deltas dC/dZ
    stride: int
    slope: int  # offset in work of the (rows, stride) numbers that f'(Z) is made from: A, or f'(Z) itself
    # Addresses of parts, see formula_parts.py and across.py; 0 where there is nothing to do.
    activate: int  # Z -> A
    activate_sloped: int  # Z -> A and f'(Z), where that is not a function of A
    derivative: int  # delta *= f'(Z)
    backward_across: int  # the delta recursion down to this layer, where samples lie across the registers
    hyper: int  # which of the stepper's blocks of numbers the weights go by
    hyper_biases: int
    dropout: int  # of the inputs: the share of 2^32 that is dropped; 0 for none
    dropout_scale: float  # 1 over the share that is kept
    max_norm: float  # that a unit's weights may have; infinite for none


class Scratch(NamedTuple):
    """Offsets in ``work`` of what belongs to no single layer."""

    rows: int  # how many samples fit
    weighted: int  # (rows, stride of the output layer): the output layer's weighted input Z
    targets: int  # (rows, stride of the output layer), where targets are not labels
    # For every thread places of its own, so that no cache line has two writers. Three of ``rows_size`` numbers each:
    labels: int
    row_weights: int  # the samples' weights, where they have some
    costs: int  # every row's cost, to be added up in one order
    rows_size: int  # rows, and a register more
    # And one of ``turned_size``: a panel of weights transposed, (widest padded layer, panel), or the block of
    # outputs, targets and deltas, three times (padded n_out, lanes), see outputs.py; before that, where samples lie
    # across the registers, the inputs of a block of them, (lanes, input_stride), or sums of skipping.py.
    turned: int
    turned_size: int
    zeros: int  # one panel's width of zeros


class Lists(NamedTuple):
    """A batch's inputs that are not zero, see lists.py; the values beside the numbers are in ``work``.

    Every thread has its own. Of skipping.py: ``indices`` alone, for ``stride`` rows.
    """

    indices: Int32s  # flat (rows * stride): numbers of inputs within their block
    stride: int
    counts: Int64s  # flat (blocks * count_stride): how many, every block on cache lines of its own
    shifts: Int64s  # of the same shape: where a block's list begins within its sample's room
    count_stride: int
    blocks: int  # into which the inputs are cut
    block_size: int  # inputs in a block; the last one may be smaller
    packed: int  # whether one block's list follows on another's; else each has room for all
    squares: Float64s  # (blocks * SQUARES_STRIDE,), shared: of each block's weights after the latest step, if wanted


SQUARES_STRIDE = CACHE_LINE // 8
SAMPLES_PER_LIST = 2  # at most
BITS_PER_WORD = 16  # of packed samples; blocks of inputs are whole words, and whole registers of bytes
LIST_TAIL = 8  # entries that add nothing, at the end of a list
LIST_SLACK = 16 + LIST_TAIL  # room behind a block's list for a register of rubbish and the tail


class Code(NamedTuple):
    """Addresses of what a network runs beside its activations."""

    product: int  # part, see tiles.py
    listed_product: int  # part, see skipping.py
    forward_across: int  # part, see across.py
    drop_row: int  # part, see dropout.py
    unit: int  # part: cost and delta of one output, see formula_parts.py
    # Stages, see epoch.py; 0 until a use of the network comes to them.
    first_dense: int
    first_sparse: int
    first_skipping: int
    by_rows: int
    by_blocks: int
    update: int
    update_across: int
    update_lists: int
    update_skipping: int
    drop_sparse: int
    list_scaled: int
    list_packed: int
    one_sample: int  # of small networks, see single.py
    whole_batch: int
    limit_norms: int
    split_gradient: int
    fold_scale: int
    sum_squares: int


class Net(NamedTuple):
    """A network as the kernels see it."""

    layers: Annotated[Any, TableOf(Layer)]
    depth: int  # layers; behind them come two more records where the inputs have a learned scale
    scaled: int  # whether they have, see input_scale.py
    across: int  # whether the samples of ``work`` lie across the registers, see across.py
    params: Numbers  # flat weights and biases
    params_size: int
    work: Numbers  # flat scratch
    scratch: Scratch
    # Shared, and twice: (blocks, rows, stride of the first layer), where threads add up their own inputs' share of its
    # sums, and a row for its biases.
    partial: Numbers
    partial_size: int  # of one of the two
    copied: int  # whether every thread goes through all rows from the first layer's sums on, with weights of its own
    lists: Lists
    code: Annotated[Any, Code]
    softmax: int  # whether the outputs are one distribution
    cut: float  # a single output says yes above it
    scales: Numbers  # (depth * lanes,) the layers' ``dropout_scale`` in every lane
    unit_constants: Numbers  # (padded n_out * lanes): a number per output, in every lane; for costs that have them


class Data(NamedTuple):
    """Samples as the kernels see them; ``pixels`` or ``features`` is absent, and so is ``labels`` or ``targets``.

    Where there are ``starts``, ``features`` and ``columns`` are a CSR matrix's values and column numbers.
    """

    pixels: Bytes  # flat (n * n_in)
    divisor: float  # of bytes, and of a CSR matrix's values
    # Or column by column ``(x - shift) * factor``; absent where the divisor does, and ``shift`` also of a CSR matrix.
    shift: Numbers  # (n_in,)
    factor: Numbers  # (n_in,)
    features: Numbers  # flat (n * n_in)
    columns: Int32s  # (entries,)
    starts: Int64s  # (n + 1,)
    labels: Int64s  # (n,)
    targets: Numbers  # flat (n * n_out)
    sample_weight: Numbers  # (n,); absent: all one
    classify: int  # whether argmax hits are worth counting
    blocks: int  # into which the inputs are cut where zeros are skipped, see lists.py; 0 where they are not
    skips: int  # into how many blocks the inputs are cut where zeros in common are skipped, see skipping.py; 0: not
    most_entries: int  # that a sample of a CSR matrix has; 0 for dense data
    # Samples that are packed, see packing.py: each one's bits, and behind them its numbers that are not zero.
    bits: Bytes  # ``features`` as bytes: which inputs are not zero, the first in the lowest bit
    marks: int  # numbers that a sample's bits take the room of
    firsts: Int64s  # (n + 1,): where a sample begins in ``features``
    far: int  # whether small samples are together more than the nearer caches hold, so that fetching them ahead pays


class Batches(NamedTuple):
    """Which batches of an epoch, or of some whole epochs, to run, and with which numbers."""

    order: Int64s  # (n,), the samples in the order of the epochs, one after the other
    n: int
    epoch: int  # samples in an epoch, of which ``n`` is a multiple; its last batch may be smaller
    size: int  # samples in a batch
    first: int
    last: int  # one past the last batch to run
    steps: Float64s  # a row of the optimizer's numbers for every batch from ``first`` on, the learning rate first
    step_columns: int  # from one row to the next; 0 where all are the same
    numbers: int  # in a row
    seed: int  # of dropout
    step: int  # number of the first batch's step, from 1
    # Where a single batch takes long: which pieces of every thread's share this call is for. They are its rows; where
    # the gradient adds up in memory, behind those of every chunk comes one for adding. The step comes with those that
    # end at ALL.
    begin: int
    end: int


ALL = 1 << 40
"""Where the last part of a batch ends."""


class Rows(NamedTuple):
    """Some rows of ``work``, and the samples that belong there."""

    order: Any  # Int64s, or absent for the natural order
    start: int  # row r holds sample order[start + r]
    first: int
    end: int


class Stepper(NamedTuple):
    """An optimizer's numbers and memory, of one thread."""

    state: Numbers  # flat, as many buffers of ``Net.params_size`` as the optimizer keeps
    # Flat: one or more params-sized buffers whose sum is the gradient of a large batch; or one block of a sparse first
    # layer's, of each thread its own; or absent, where the gradient is never kept.
    gradient: Numbers
    gradient_size: int
    hyper: Numbers  # (blocks * HYPER_SIZE,) the numbers of one step, for the layers that go by them
    factors: Float64s  # (blocks, factor_columns): of l1, l2, and each of the optimizer's own numbers
    factor_columns: int
    blocks: int
    clip: float  # the largest a gradient of a weight may be
    clip_norm: float  # the largest norm of the whole gradient
    whole: int  # whether the gradient is kept in memory, and stepped by when it is complete
    limited: int  # whether some layer has a ``max_norm``
    tallied: int  # whether the squares of all weights before every step are wanted
    average: int  # where in ``state`` a mean of the weights over the steps begins; negative where there is none
    shrink: Float64s  # (1,) factor between a sparse first layer's weights and what is stored, see epoch.run
    in_place: int  # whether a sparse first layer's gradient goes straight into the weights
    # Addresses of parts, see steps.py.
    update: int
    step: int
    step_and_clear: int
    add: int  # adds a gradient to a buffer
    update_listed: int
    add_listed: int


# Places in a row of ``Stepper.factors``.
FACTOR_L1, FACTOR_L2, FACTOR_NUMBERS = 0, 1, 2

# Places in a block of ``Stepper.hyper``: the optimizer's own numbers, the learning rate first, and these. There is room
# for all that ``formulas.optimizers`` lets users have, and one more of an average; blocks are whole cache lines.
L1, L2, CLIP, HYPER_SIZE = 45, 46, 47, 48
MOST_NUMBERS = L1


class Team(NamedTuple):
    """The threads that run a kernel together, and which of them this is."""

    member: int
    size: int
    sync: Int64s  # (SYNC_SIZE,), zero at first, shared
    rounds: Int64s  # (1,), zero at first: how often this thread has waited for the others
    costs: Float64s  # (PARTS,), shared: the costs of the parts of a large batch


# Places in ``Team.sync``, on cache lines of their own: how often a thread has arrived, and whether to give up waiting.
ARRIVALS, ABORT, SYNC_SIZE = 0, 16, 32

PARTS = 4
"""A batch that is taken in chunks is summed up in so many parts, and so by up to as many threads."""

# Where in the float64 array ``totals`` a kernel adds up what it saw.
TOTAL_COST = 0  # over samples
TOTAL_HITS = 1  # samples whose largest output is the target's
TOTAL_BATCHES = 2  # batches completed
TOTAL_SQUARES = 3  # of the weights before every step, each step's times the last of its numbers; where that is wanted
TOTAL_ZEROS = 4  # pieces of the samples with zeros that could have been skipped
N_TOTALS = 32  # four cache lines: every thread has ``totals`` of its own

# What a prediction came upon.
NOT_FINITE, ZEROS = 1, 2
