"""The buffers of one network and the kernel calls on them. No validation, no policy.

Kernels are imported when the first network is made, not when ``fastnn`` is: importing compiles and loads nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import Enum
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import layout
from fastnn.cores import usable_cores
from fastnn.forks import ForkSafeLock
from fastnn.formulas.activations import Activation
from fastnn.formulas.averaging import keeps_average
from fastnn.formulas.costs import Cost
from fastnn.formulas.optimizers import Optimizer, Rule
from fastnn.interrupts import held
from fastnn.kernels.buffers import (
    ABORT,
    ALL,
    CACHE_LINE,
    HYPER_SIZE,
    N_TOTALS,
    NOT_FINITE,
    PARTS,
    SYNC_SIZE,
    TOTAL_BATCHES,
    TOTAL_COST,
    TOTAL_HITS,
    TOTAL_SQUARES,
    TOTAL_ZEROS,
    ZEROS,
    Batches,
    Data,
    Layer,
    Lists,
    Net,
    Scratch,
    Stepper,
    Team,
)
from fastnn.kernels.host import lanes_of
from fastnn.kernels.records import Packed, address_of, pack_table
from fastnn.notices import Compiling
from fastnn.orders import natural_order
from fastnn.pacing import Pace
from fastnn.program import FORWARD, FORWARD_ACROSS, MEASURE, TRAINING, TRAINING_ACROSS, Program
from fastnn.samples import empty, pack_data
from fastnn.teamwork import Team as Workforce
from fastnn.validation import Features

Array = NDArray[Any]
_FEATURES = Data._fields.index("features")
_ROOMS_KEPT = 3  # scratch for training, and for validation and prediction in between
_PRODUCTS_PER_CALL = 1 << 29  # multiply-adds: some hundredths of a second
_MOST_CHUNKS_PER_CALL = 64
_PRODUCTS_OF_A_PART = 1 << 31  # forward, of a batch's part in a call: with the way back some tenths of a second
_FEWEST_ROWS = 64  # in such a part: all weights are read for them
_PRODUCTS_PER_THREAD = 500_000  # multiply-adds in a batch that pay for a thread's waiting
_FAR_BYTES = 8 << 20  # of samples that are more than the nearer caches hold
_EPOCHS_TO_PACK = 4  # in which packing pays
_PACKED_PER_CALL = 1 << 24  # numbers; some hundredths of a second
_COPIED_SHARE = 0.1  # of a batch's products, there and back: what threads may do once more each, and not wait
_COPIED_TOGETHER = 1 << 24  # numbers: some hundredths of a second
_AT_REST = nullcontext()


class Penalty(NamedTuple):
    """Strengths of the l1 and l2 penalties on weights."""

    l1: float
    l2: float


class LayerStep(NamedTuple):
    """How a layer is stepped, and held small."""

    penalty: Penalty
    weights_rate: float = 1.0  # times the learning rate
    biases_rate: float = 1.0
    max_norm: float = float("inf")  # of the weights of a unit
    dropout: float = 0.0  # the share of the inputs that is left out of a step


class Stepping(NamedTuple):
    """How gradients become steps."""

    rule: Rule
    layers: tuple[LayerStep, ...]
    clip: float = float("inf")  # the largest that a gradient of a weight may be, after clip_norm
    clip_norm: float = float("inf")  # the largest norm of the whole gradient
    seed: int = 0  # of what is dropped
    scale_rate: float | None = None  # times the learning rate, for a learned scale of the inputs; None: there is none
    tallied: bool = False  # whether the squares of the weights are added up

    @property
    def in_place(self) -> bool:
        """Whether a step only adds to weights and shrinks them, so that a sparse first layer need not see them all."""
        first, none = self.layers[0], float("inf")
        return self.rule.name == "sgd" and first.penalty.l1 == 0 and self.clip == none and first.max_norm == none

    def keeps_gradient(self, batch_size: int) -> bool:
        """Whether the gradient must be complete before the first weight is stepped."""
        return batch_size > layout.MAX_ROWS or self.clip_norm < float("inf") or self.scale_rate is not None

    @property
    def limited(self) -> bool:
        """Whether some layer has a largest norm."""
        return any(layer.max_norm < float("inf") for layer in self.layers)

    @property
    def dropped(self) -> tuple[bool, ...]:
        """Of which layers inputs are dropped; empty if of none."""
        found = tuple(layer.dropout > 0 for layer in self.layers)
        return found if any(found) else ()

    @property
    def variant(self) -> tuple[bool, bool, bool]:
        """What comes to every gradient: l1, l2, clipping."""
        l1, l2 = (any(getattr(layer.penalty, name) > 0 for layer in self.layers) for name in ("l1", "l2"))
        return l1, l2, self.clip < float("inf")


class Memory(NamedTuple):
    """What an optimizer remembers between steps."""

    kernel: str  # whose memory it is
    states: int  # buffers that it keeps
    state: Array  # flat, as many params-sized buffers
    steps: int  # steps taken so far
    shrink: float = 1.0  # the first layer's stored weights times this are its weights; 1 between epochs


class Workers(NamedTuple):
    """Threads to call a kernel on."""

    team: Workforce
    most: int  # how many a call may ever have; the scratch is laid out for them
    threads: int  # how many this call has


class Seen(NamedTuple):
    """What a kernel call saw."""

    cost: float  # summed over the samples
    hits: float
    batches: int  # completed ones
    squares: float = 0.0  # of the weights before every step, times the last number of the step; where that is wanted


NOTHING_SEEN = Seen(0.0, 0.0, 0)


class Stretch(NamedTuple):
    """Some batches of an epoch, or all batches of some epochs."""

    order: Array  # (n,) int64, the samples in the order of the epochs, one after the other
    size: int  # samples in a batch; the last one of an epoch may be smaller
    first: int
    last: int  # one past the last batch
    steps: Array  # (last - first, k) float64 with the numbers of every batch's step, or (1, k) where all are the same
    epochs: int = 1

    def packed(self, seed: int, step: int, part: range) -> Batches:
        """As the kernels see it, with the seed of dropout, the number of the first step, and the part of a batch."""
        rows, columns = self.steps.shape
        return Batches(
            order=self.order,
            n=self.order.size,
            epoch=self.order.size // self.epochs,
            size=self.size,
            first=self.first,
            last=self.last,
            steps=self.steps,
            step_columns=columns * (rows > 1),
            numbers=columns,
            seed=seed,
            step=step,
            begin=part.start,
            end=part.stop,
        )


class _Common(NamedTuple):
    """What all calls of a training have in common."""

    data: Data
    size: int  # of a batch
    stepping: Stepping
    room: layout.Room  # for a batch on one thread
    stepper: Stepper  # but for its arrays
    samples: Packed  # the data's record


def _first_stages(data: Data) -> list[str]:
    """The stages that go through the first layer on these data."""
    if data.skips:
        return ["listed_product", "first_skipping"]
    if not data.blocks:
        return ["first_dense"]
    scaled = ["list_scaled"] if data.pixels.size and data.factor.size else []
    return ["first_sparse", *scaled, *(["list_packed"] if data.bits.size else [])]


def _update_stages(data: Data) -> list[str]:
    """The stages that step the first layer, where it does not go with the others."""
    if data.skips:
        return ["update_skipping"]
    return ["update_lists"] if data.blocks else []


def _copied(array: Array, between: Callable[[], None], copy: Array | None = None) -> Array:
    """A copy of a flat array, in ``copy`` if that is given; ``between`` is called before every piece of a large one."""
    if copy is None:
        copy = np.empty_like(array)
    for first in range(0, array.size, _COPIED_TOGETHER):
        if array.size > _COPIED_TOGETHER:
            between()
        copy[first : first + _COPIED_TOGETHER] = array[first : first + _COPIED_TOGETHER]
    return copy


def _with_own_place(scratch: Scratch, member: int) -> Scratch:
    """The scratch as one of several threads sees it: with places of its own."""
    rows, turned = member * scratch.rows_size, member * scratch.turned_size
    return scratch._replace(
        labels=scratch.labels + rows,
        row_weights=scratch.row_weights + rows,
        costs=scratch.costs + rows,
        turned=scratch.turned + turned,
    )


def _round_counter() -> Array:
    """A number at zero, alone on its cache line."""
    return layout.aligned_zeros(CACHE_LINE // 8, np.dtype(np.int64))


class Place(NamedTuple):
    """A network with scratch memory for some use of it, as one thread sees it."""

    table: Array  # (n_layers, fields) int64, ``Layer`` records
    work: Array
    scratch: Scratch
    lists: Lists
    packed: Packed  # the ``Net`` record
    later: Packed  # the same, or one with parameters of its own for all layers but the first
    copy: Array  # those; or none

    @property
    def layers(self) -> list[Layer]:
        """The layers' records."""
        return [Layer(*row) for row in self.table.tolist()]


class Way(Enum):
    """How several threads share the work of a batch."""

    TOGETHER = "some rows each, and then some weights"
    COPIED = "some inputs of the first layer each, and all else as if alone"  # see ``kernels.epoch.run``
    APART = "some samples each, whose gradients are added up"


class _Shared(NamedTuple):
    """What the threads have in common, beside the weights."""

    partial: Array  # two places for the sums of the first layer over each block of its inputs
    copied: bool
    first: Place | None = None  # the first thread's, if this is for others, with parameters of their own


def _samples_per_call(products: int, most: int = _MOST_CHUNKS_PER_CALL * layout.CHUNK_ROWS) -> int:
    """Of so many multiply-adds each, in a forward pass, so that Ctrl-C is soon seen; whole chunks, at least one."""
    samples = min(_PRODUCTS_PER_CALL // products, most, _MOST_CHUNKS_PER_CALL * layout.CHUNK_ROWS)
    return max(1, samples // layout.CHUNK_ROWS) * layout.CHUNK_ROWS


class _Predicting(NamedTuple):
    """What predictions of plain numbers go on with."""

    rows: int  # at a time
    net: Packed
    data: Packed  # samples whose address is written into it
    code: Callable[..., Any]


class Engine:
    """Parameters, optimizer memory and scratch of one network, and what can be done with them.

    Parameters
    ----------
    sizes : tuple of int
        Layer sizes from inputs to outputs.
    activations : tuple of Activation
        One per layer, the output's last.
    cost : Cost
        The cost.
    dtype : numpy dtype
        float32 or float64.
    scaled : bool
        Whether the inputs have a learned scale.
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        activations: tuple[Activation, ...],
        cost: Cost,
        dtype: np.dtype[Any],
        scaled: bool = False,
    ) -> None:
        self.sizes, self.dtype, self._scaled = sizes, dtype, scaled
        self._formulas = activations, cost
        self.program = Program(activations, cost, sizes, dtype)
        self._entries: dict[str, Callable[..., Any]] = {}
        plan = self._plan(layout.Room())
        self.layers = plan.layers
        self._scale = plan.scale
        self._trained = (*plan.scale[:1], *plan.layers[scaled:])  # the layers whose weights are stepped
        self.params = layout.aligned_zeros(plan.params_size, dtype)
        self.memory = Memory("sgd", 0, layout.aligned_zeros(0, dtype), 0)
        self._scales = np.ones((len(plan.layers) + len(plan.scale)) * self.lanes, dtype)
        self._places: dict[tuple[layout.Room, Way], list[Place]] = {}  # the last ones made
        self._stepped: tuple[Any, ...] = ()  # the last stepping with its places and numbers
        self._gradient: Array = np.empty((1, 0), dtype)
        self._second_layer = plan.layers[1].weights if len(plan.layers) > 1 else plan.params_size
        self._states: Array = np.empty(0, dtype)  # copies of the optimizer's memory, from there on
        self._kept: _Common | None = None  # while a training runs
        self._predicting: _Predicting | None = None
        self._skips = False  # whether samples that came to be predicted had zeros to skip
        self._alone = Packed(self._new_team(1))
        self.paces: dict[tuple[int, int], Pace] = {}  # the latest trainings' by threads and batch size
        self.products = sum(layer.n_in * layer.n_out for layer in self.layers)  # of one sample, forward
        # No more than are in a block of an array in a file: sums over blocks are then the same bits as over an array.
        self.samples_per_call = _samples_per_call(self.products, layout.rows_in_block(sizes[0], dtype))
        # One kernel at a time, and nobody reads meanwhile, nor between calls that belong together.
        self._lock = ForkSafeLock(awaited=True, again=True)

    # --- scratch ---

    def _plan(self, room: layout.Room) -> layout.Layout:
        return layout.plan_layout(self.sizes, self.program.sloped, room, self.dtype, self._scaled)

    def _make_places(self, room: layout.Room, shared: _Shared) -> list[Place]:
        """Scratch for a room, and for each of its threads a view of that."""
        plan = self._plan(room)
        work = layout.aligned_zeros(plan.work_size, self.dtype)
        squares = None if shared.first is None else shared.first.lists.squares
        places: list[Place] = []
        for thread in range(room.threads):
            scratch, below = _with_own_place(plan.scratch, thread), plan.layers[0]
            if room.by_inputs:
                below = below._replace(input=below.input + thread * room.rows * below.input_stride)
            table = pack_table((below, *plan.layers[1:], *plan.scale))
            self.program.fill(table)
            lists = layout.new_lists(self.sizes[0], room)
            squares = lists.squares if squares is None else squares
            lists = lists._replace(squares=squares)
            net = Net(
                layers=table,
                depth=len(plan.layers),
                scaled=self._scaled,
                across=room.across,
                params=self.params,
                params_size=self.params.size,
                work=work,
                scratch=scratch,
                partial=shared.partial,
                partial_size=shared.partial.size // 2,
                copied=shared.copied,
                lists=lists,
                code=self.program.code,
                softmax=self.program.softmax,
                cut=self.program.cut,
                scales=self._scales,
                unit_constants=self.program.unit_constants,
            )
            packed = later = Packed(net)
            copy = empty(self.dtype)
            if shared.first is not None:
                copy = layout.aligned_zeros(self.params.size - self._second_layer, self.dtype)
                later = Packed(net._replace(params=self._behind_first(copy), params_size=copy.size))
            places.append(Place(table, work, scratch, lists, packed, later, copy))
        return places

    def _room(self, rows: int, data: Data) -> layout.Room:
        """Room for so many samples of these data on one thread."""
        entries = layout.room_for_entries(data.most_entries)
        across = not data.blocks and not data.skips and layout.pays_across(self.sizes, rows, self.lanes)
        return layout.Room(rows, blocks=data.blocks, skips=data.skips, entries=entries, across=across)

    def _places_for(self, room: layout.Room, way: Way = Way.TOGETHER) -> list[Place]:
        """For every thread the network with scratch for exactly that; the last ones made are kept."""
        if (room, way) not in self._places:
            self._predicting = None  # it would keep the memory of its own
            while len(self._places) >= _ROOMS_KEPT:
                del self._places[next(iter(self._places))]
            partial = layout.aligned_zeros(2 * layout.partial_size(self.sizes, room, self.lanes), self.dtype)
            shared = _Shared(partial, way is Way.COPIED)
            if way is Way.TOGETHER:
                places = self._make_places(room, shared)
            else:
                places = []
                for _ in range(room.threads):
                    places += self._make_places(room._replace(threads=1), shared)
                    if way is Way.COPIED:
                        shared = shared._replace(first=places[0])
            self._places[room, way] = places
        return self._places[room, way]

    @property
    def latest(self) -> list[Place]:
        """The scratch that was made last."""
        return list(self._places.values())[-1]

    def _require(self, *names: str, entry: str = "") -> None:
        """Have code compiled or loaded, and known to the kernels. Ctrl-C waits: Numba is not made for it."""
        if self.program.has(names):
            return
        with held(), Compiling():
            self.program.require(names, entry)
            for places in self._places.values():
                for place in places:
                    self.program.fill(place.table)

    def _entry(self, name: str) -> Callable[..., Any]:
        """An entry's machine code."""
        if name not in self._entries:
            with held(), Compiling():
                self._entries[name] = self.program.entry(name)
        return self._entries[name]

    def _packed(self, data: Data) -> Packed:
        """The data's record, which takes as long to write as a short call takes in all."""
        kept = self._kept
        return kept.samples if kept is not None and kept.data is data else Packed(data)

    def let_go(self) -> None:
        """Keep no data, where a training has ended: they may be the user's own memory."""
        with self._lock.here:
            self._kept = None

    def _new_team(self, size: int) -> Team:
        """A team as its first member sees it, with the counter of one that has no others."""
        sync = layout.aligned_zeros(SYNC_SIZE, np.dtype(np.int64)) if size > 1 else np.zeros(SYNC_SIZE, np.int64)
        return Team(0, size, sync, np.zeros(1, np.int64), np.zeros(PARTS))

    # --- parameters ---

    @property
    def alone(self) -> AbstractContextManager[Any]:
        """A context in which no other thread reads or writes, so that several calls are one to them."""
        here: AbstractContextManager[Any] = self._lock.here
        return here

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """The same for reading: also in the middle of an epoch the weights are what is stored."""
        with self._lock.here, self._settled():
            yield

    def _settled(self) -> AbstractContextManager[None]:
        """Make the stored weights the weights, for whoever has the lock, and put back what was there.

        Training must go on with the very numbers it left: were the factor on the weights multiplied in wherever
        somebody happens to look, they would be rounded there.
        """
        return _AT_REST if self.memory.shrink == 1 else self._settled_meanwhile()

    @contextmanager
    def _settled_meanwhile(self) -> Iterator[None]:
        with held():
            stored, memory = self.params.copy(), self.memory
            try:
                self._settle()
                yield
            finally:
                self.params[:], self.memory = stored, memory

    def read(self, index: int, buffer: Array | None = None) -> tuple[Array, Array]:
        """Copies of a layer's weights (n_out, n_in) and biases, from the parameters or a buffer shaped like them."""
        with self._lock.here, self._settled():
            return layout.read_layer(self._trained[index], self.params if buffer is None else buffer)

    def read_all(
        self,
        buffer: Array | None = None,
        between: Callable[[], None] = lambda: None,
        columns: Array | None = None,
    ) -> tuple[list[Array], list[Array]]:
        """Copies of all layers' weights and biases, of one moment; or of a buffer shaped like the parameters.

        ``between`` is called before every piece of the work; ``columns`` are the inputs whose weights are wanted, if
        not all.
        """
        with self.at_rest():
            source = self.params if buffer is None else buffer
            first, *others = self._trained
            layers = [layout.read_layer(first, source, between, columns)]
            layers += [layout.read_layer(layer, source, between) for layer in others]
        return [weights for weights, _ in layers], [biases for _, biases in layers]

    def write(self, index: int, weights: Array | None, biases: Array | None, buffer: Array | None = None) -> None:
        """Put a layer's weights or biases into the parameters or a buffer shaped like them."""
        target = self.params if buffer is None else buffer
        with self._lock.here:
            self._settle()
            if weights is not None:
                layout.write_weights(self._trained[index], target, weights)
            if biases is not None:
                layout.write_biases(self._trained[index], target, biases)
            if index == 0 and buffer is None:
                self.fold_scale()

    def read_scale(self, buffer: Array | None = None) -> Array | None:
        """A copy of the learned scale of the inputs (n_in,), or of what a buffer has there; None if there is none."""
        if not self._scaled:
            return None
        with self._lock.here:
            return layout.read_layer(self._scale[1], self.params if buffer is None else buffer)[1]

    def scale_inputs(self, X: Array, columns: Array | None = None) -> Array:
        """Samples (n, n_in), or in some columns, times the learned scale; as they are where there is none."""
        scale = self.read_scale()
        return X if scale is None else X * (scale if columns is None else scale[columns])

    def write_scale(self, values: Array, buffer: Array | None = None) -> None:
        """Put a scale of the inputs (n_in,) into the parameters or a buffer shaped like them."""
        with self._lock.here:
            layout.write_biases(self._scale[1], self.params if buffer is None else buffer, values)
            if buffer is None:
                self.fold_scale()

    def fold_scale(self) -> None:
        """Bring the first layer's weights up to date with those that are trained, and the scale."""
        if self._scaled:
            own, scale = self._scale
            layout.fold_scale(self.layers[0], own, scale, self.params)

    def twin(self) -> "Engine":
        """Another engine with the weights of this moment, which no training of this one changes."""
        other = Engine(self.sizes, *self._formulas, self.dtype, self._scaled)
        with self.at_rest():
            other.params[:] = self.params
        return other

    def fresh_memory(self, kernel: str, start: tuple[float, ...]) -> Memory:
        """An optimizer's memory before its first step: a buffer for each of the numbers that its states start with."""
        state = layout.aligned_zeros(len(start) * self.params.size, self.dtype)
        for i, value in enumerate(start):
            state[i * self.params.size : (i + 1) * self.params.size] = value
        return Memory(kernel, len(start), state, 0)

    def remember(self, optimizer: Optimizer) -> None:
        """Go on with the memory that is there, or if it is of another kind, with a fresh one."""
        with self._lock.here:
            if (self.memory.kernel, self.memory.states) != (optimizer.kernel, len(optimizer.start)):
                self.memory = self.fresh_memory(optimizer.kernel, optimizer.start)

    def state_buffers(self) -> list[Array]:
        """The optimizer's memory as buffers shaped like the parameters."""
        size = self.params.size
        return [self.memory.state[i * size : (i + 1) * size] for i in range(self.memory.states)]

    def snapshot(
        self, between: Callable[[], None] = lambda: None, into: tuple[Array, Memory] | None = None
    ) -> tuple[Array, Memory]:
        """Copies of parameters and optimizer memory; ``between`` is called before every piece of large ones.

        ``into`` is an earlier one to take the place of.
        """
        with self._lock.here:
            params, state = (None, None) if into is None else (into[0], into[1].state)
            copies = _copied(self.params, between, params), _copied(self.memory.state, between, state)
            return copies[0], self.memory._replace(state=copies[1])

    def restore(self, saved: tuple[Array, Memory]) -> None:
        """Back to a snapshot."""
        with self._lock.here:
            self.params[:] = saved[0]
            self.memory.state[:] = saved[1].state
            self.memory = self.memory._replace(steps=saved[1].steps, shrink=saved[1].shrink)

    def settle(self) -> None:
        """Make the stored weights the weights, where training ends in the middle of an epoch."""
        with self._lock.here:
            self._settle()

    def _settle(self) -> None:
        if self.memory.shrink != 1:
            layout.scale_weights(self.layers[0], self.params, self.memory.shrink)
            self.memory = self.memory._replace(shrink=1.0)

    def pays_to_pack(self, data: Data, epochs: int) -> bool:
        """Whether so many epochs are faster on ``packed`` data: dense ones that are listed, too many for nearer caches.

        Zeros that neighbours have in common are skipped as fast, or faster, in samples as they are.
        """
        dense = data.features.size > 0 and data.starts.size == 0
        return (
            self.lanes % 8 == 0  # so a register's marks are whole bytes
            and data.blocks > 0
            and dense
            and data.features.nbytes >= _FAR_BYTES
            and epochs >= _EPOCHS_TO_PACK
        )

    def packed(self, data: Data, between: Callable[[], None]) -> Data:
        """The same samples, packed as kernels/packing.py says; ``between`` is called before every piece."""
        n_in, size = self.sizes[0], self.dtype.itemsize
        n, marks = data.features.size // n_in, -(-n_in // (8 * size))
        slack = CACHE_LINE // size  # bits are read a line at a time, and numbers a register
        firsts = np.zeros(n + 1, np.int64)
        values = np.empty(n * (marks + n_in) + slack, self.dtype)  # memory that is not written to is never there
        code, step = self._entry("pack"), max(1, _PACKED_PER_CALL // n_in)
        for first in range(0, n, step):
            between()
            source, target = address_of(data.features), address_of(values)
            code(source, n_in, first, min(first + step, n), target, marks, address_of(firsts), target)
        values.resize(firsts[-1] + slack, refcheck=False)
        return data._replace(features=values, bits=values.view(np.uint8), marks=marks, firsts=firsts)

    # --- kernel calls ---

    def prepare(self, data: Data, batch_size: int, stepping: Stepping, packs: bool = False) -> None:
        """Have everything compiled that training on these data needs, or on what they become when they are packed."""
        with self._lock.here, held(), Compiling():
            self._common(data, batch_size, stepping)
            if packs:
                self._require("list_packed")
                self._entry("pack")

    def prepare_evaluation(self, data: Data) -> None:
        """Have everything compiled that evaluating on these data needs."""
        with self._lock.here, held(), Compiling():
            self._require(*self._measuring_code(self._room(layout.CHUNK_ROWS, data), data))
            self._entry("evaluate")

    def _measuring_code(self, room: layout.Room, data: Data) -> list[str]:
        """Names of the code that evaluates on these data in a room."""
        return [*FORWARD_ACROSS, *MEASURE] if room.across else [*FORWARD, *MEASURE, *_first_stages(data)]

    def _training_code(self, room: layout.Room, data: Data) -> list[str]:
        """Names of the code that trains on these data in a room."""
        return list(TRAINING_ACROSS) if room.across else [*TRAINING, *_first_stages(data), *_update_stages(data)]

    def trains_across(self, data: Data, batch_size: int, stepping: Stepping) -> bool:
        """Whether the samples of a batch lie across the registers, see kernels/across.py."""
        return self._training_room(data, batch_size, stepping).across

    def _training_room(self, data: Data, batch_size: int, stepping: Stepping) -> layout.Room:
        """Room for a batch on one thread."""
        room, dropped = self._room(layout.rows_for(batch_size), data), stepping.dropped
        return room._replace(dropped=dropped, across=room.across and not dropped)

    def _prepare(self, data: Data, batch_size: int, stepping: Stepping) -> layout.Room:
        """Have the code; returns the room for a batch on one thread."""
        room = self._training_room(data, batch_size, stepping)
        wanted = self._training_code(room, data)
        if stepping.keeps_gradient(batch_size):
            wanted.append("whole_batch")
        elif batch_size == 1 and not data.blocks and not data.skips and layout.is_small(self.sizes):
            wanted.append("one_sample")
        if stepping.dropped:
            wanted += ["drop_row", "drop_sparse"] if data.blocks and stepping.dropped[0] else ["drop_row"]
        if stepping.limited:
            wanted.append("limit_norms")
        if stepping.tallied:
            wanted.append("sum_squares")
        if self._scaled:
            wanted += ["split_gradient", "fold_scale"]
        self._require(*wanted, entry="run")
        self._entry("run")
        return room

    def _set_layers(self, stepping: Stepping, places: list[Place]) -> Array:
        """Tell the layers which of the stepper's numbers they go by; returns those, a row for each kind of layer."""
        if self._stepped and self._stepped[0] is stepping and self._stepped[1] is places:
            factors: Array = self._stepped[2]
            return factors
        rule, kinds = stepping.rule, {}  # type: Rule, dict[tuple[float, ...], int]

        def kind(penalty: Penalty, rate: float, weights: bool) -> int:
            own = [1.0 if weights or name not in rule.weights_only else 0.0 for name in rule.numbers]
            return kinds.setdefault((*penalty, rate, *own[1:]), len(kinds))

        extra: tuple[LayerStep, ...] = ()
        if stepping.scale_rate is not None:
            nothing = Penalty(0.0, 0.0)
            extra = stepping.layers[0], LayerStep(nothing, biases_rate=stepping.scale_rate)
        for i, layer in enumerate((*stepping.layers, *extra)):
            scale = 1 / (1 - layer.dropout)
            self._scales[i * self.lanes : (i + 1) * self.lanes] = scale
            words = {
                "hyper": kind(layer.penalty, layer.weights_rate, True),
                "hyper_biases": kind(Penalty(0.0, 0.0), layer.biases_rate, False),
                "dropout": int(layer.dropout * 2**32),
            }
            for place in places:
                for name, word in words.items():
                    place.table[i, Layer._fields.index(name)] = word
                floats = place.table.view(np.float64)
                floats[i, Layer._fields.index("dropout_scale")] = scale
                floats[i, Layer._fields.index("max_norm")] = layer.max_norm
        self._stepped = stepping, places, np.array(list(kinds))
        return self._stepped[2]

    def _common(self, data: Data, size: int, stepping: Stepping) -> _Common:
        """What the calls of a training have in common, found out by the first one."""
        kept = self._kept
        if kept is None or kept.data is not data or kept.size != size or kept.stepping is not stepping:
            room = self._prepare(data, size, stepping)
            stepper = self._stepper(stepping, data, size, room.across)
            kept = self._kept = _Common(data, size, stepping, room, stepper, self._packed(data))
        return kept

    def _stepper(self, stepping: Stepping, data: Data, batch_size: int, across: bool) -> Stepper:
        """The optimizer as kernels see it, but for arrays that may be others in the next call."""
        rule, step = (stepping.rule, stepping.variant), self.program.step
        whole = stepping.keeps_gradient(batch_size)
        way = "_across" if across else ""
        by_blocks = data.blocks > 0 and not stepping.in_place and not whole
        clearing = "step_and_tally" if stepping.tallied else "step_and_clear"
        return Stepper(
            state=empty(self.dtype),
            gradient=empty(self.dtype),
            gradient_size=0,
            hyper=empty(self.dtype),
            factors=empty(np.dtype(np.float64)),
            factor_columns=0,
            blocks=0,
            clip=stepping.clip,
            clip_norm=stepping.clip_norm,
            whole=whole,
            limited=stepping.limited,
            tallied=stepping.tallied,
            average=(self.memory.states - 1) * self.params.size if keeps_average(rule[0].name) else -1,
            shrink=empty(np.dtype(np.float64)),
            in_place=stepping.in_place,
            update=step("update" + way, rule),
            step=step("step", rule) if whole else 0,
            step_and_clear=step(clearing, rule) if by_blocks else 0,
            add=step("add" + way, None) if whole else 0,
            update_listed=step("update_listed", rule) if data.skips and not whole else 0,
            add_listed=step("add_listed", None) if data.skips and whole else 0,
        )

    def run(
        self,
        data: Data,
        stretch: "Stretch",
        stepping: Stepping,
        workers: Workers | None = None,
        before: Seen = NOTHING_SEEN,
        between: Callable[[], None] = lambda: None,
    ) -> list[Seen]:
        """Train on a stretch of batches with the optimizer whose memory this is; returns what was seen in every epoch.

        Cost and squares go on from what was seen before: they are added up batch by batch, so that stretches do not
        show in them. A single batch that takes long is taken in several calls, before each of which ``between`` is
        called. If that raises, it is as if the batch had not begun: the step is made by the last call.
        """
        threads, most = (workers.threads, workers.most) if workers else (1, 1)
        with self._lock.here:
            _, _, _, room, stepper, samples = self._common(data, stretch.size, stepping)
            room = room._replace(threads=most)
            apart = stepping.keeps_gradient(stretch.size)
            spans = self._parts(stretch, apart, threads)
            # Between parts a handler of Ctrl-C may use the network: with other scratch than the batch stands in.
            way = self._way(room, stepping, apart, len(spans))
            places = self._places_for(room, way)
            gradients = self._room_for_gradients(data, stretch.size, stepping, most)
            factors = self._set_layers(stepping, places)
            stepper = stepper._replace(
                state=self.memory.state,
                gradient_size=gradients[0].size,
                factors=factors,
                factor_columns=factors.shape[1],
                blocks=len(factors),
            )
            seed, step = stepping.seed if stepping.dropped else 0, self.memory.steps + 1
            parts = [Packed(stretch.packed(seed, step, span)) for span in spans]
            team, totals = self._new_team(threads), np.zeros((threads, stretch.epochs, N_TOTALS))
            states = [self.memory.state, *self._copied_states(places[1:threads], way)]
            totals[:, 0, TOTAL_COST], totals[:, 0, TOTAL_SQUARES] = before.cost, before.squares
            shrinks = np.full((threads, CACHE_LINE // 8), self.memory.shrink)
            nets, calls = [], []
            keeps: list[Any] = [samples]
            for t in range(threads):
                hyper = layout.aligned_zeros(HYPER_SIZE * stepper.blocks, self.dtype)
                own = stepper._replace(gradient=gradients[t], hyper=hyper, shrink=shrinks[t])
                steps = Packed(own)
                later = steps if states[t] is own.state else Packed(own._replace(state=states[t]))
                together = team if threads == 1 else team._replace(member=t, rounds=_round_counter())
                records = steps, later, Packed(together), Packed(self._new_team(1))
                keeps.append(records)
                calls.append((*(record.address for record in records), address_of(totals[t])))
                nets.append((places[t].packed.address, places[t].later.address, samples.address))
            kernel = self._entry("run")
            try:
                for part in parts:
                    if len(parts) > 1:
                        between()
                    work = [(kernel, (*net, part.address, *call)) for net, call in zip(nets, calls, strict=True)]
                    if workers is None or threads == 1:
                        kernel(*work[0][1])
                    else:
                        # Nobody waits for those that never come: there may be no more threads to be had.
                        workers.team.run(work, lambda: team.sync.__setitem__(ABORT, 1))
            finally:  # Ctrl-C shows when the kernel returns, and the steps have been taken
                done = int(totals[0, :, TOTAL_BATCHES].sum())
                self.memory = self.memory._replace(steps=self.memory.steps + done, shrink=float(shrinks[0, 0]))
        counted = totals[:1] if way is Way.COPIED else totals  # else every thread has seen samples of its own
        hits = counted[:, :, TOTAL_HITS].sum(axis=0)
        costs, batches, squares = totals[0, :, TOTAL_COST], totals[0, :, TOTAL_BATCHES], totals[0, :, TOTAL_SQUARES]
        found = costs, hits, batches.astype(np.int64), squares
        return list(map(Seen._make, zip(*(column.tolist() for column in found), strict=True)))

    def _way(self, room: layout.Room, stepping: Stepping, apart: bool, parts: int) -> Way:
        """How the threads of a room share the work of a batch that is taken in some parts."""
        if apart or (room.threads == 1 and parts > 1):
            return Way.APART
        if not room.by_inputs or parts > 1 or stepping.limited or self._scaled:
            return Way.TOGETHER
        later = self.products - self.layers[0].n_in * self.layers[0].n_out
        return Way.COPIED if (room.threads - 1) * later <= _COPIED_SHARE * self.products else Way.TOGETHER

    def _copied_states(self, places: list[Place], way: Way) -> list[Any]:
        """The optimizer's memory for the threads of these places, as it is, and with it their parameters."""
        if way is not Way.COPIED or not places:
            return [self.memory.state] * len(places)
        state = self.memory.state.reshape(self.memory.states, self.params.size)[:, self._second_layer :]
        shape = len(places), *state.shape
        if self._states.shape != shape:
            self._states = layout.aligned_zeros(len(places) * state.size, self.dtype).reshape(shape)
        self._states[:] = state
        for place in places:
            place.copy[:] = self.params[self._second_layer :]
        return [self._behind_first(copy) for copy in self._states]

    def _behind_first(self, copy: Array) -> Any:
        """What kernels take for a buffer like the parameters, of which there is only what is behind the first layer."""
        return address_of(copy) - self._second_layer * self.dtype.itemsize

    def _parts(self, stretch: Stretch, apart: bool, threads: int) -> list[range]:
        """What every thread does in each call for a stretch: pieces of a batch that takes long, else all there is.

        The pieces are a thread's rows, and then the step; where the gradient is added up ``apart`` from the weights,
        every chunk's rows and the adding of what they give, and then the step.
        """
        samples = min(stretch.size, stretch.order.size - stretch.first * stretch.size)
        chunk = layout.rows_for(stretch.size) if apart else samples
        sums = min(PARTS, -(-stretch.size // chunk))  # of which a thread adds up some by itself
        busy = min(threads, sums) if apart else threads
        if stretch.last - stretch.first != 1 or samples * self.products <= _PRODUCTS_OF_A_PART * busy:
            return [range(ALL)]
        rows = max(_FEWEST_ROWS, _PRODUCTS_OF_A_PART // self.products)
        if apart:
            chunks = -(-samples // chunk)
            most = -(-sums // threads) * -(-chunks // sums)  # of one thread
            within = [*range(0, chunk, rows), chunk] if rows < chunk else [0]
            firsts = range(0, most * (chunk + 1), max(1, rows // chunk) * (chunk + 1))
            begins = [first + row for first in firsts for row in within] + [most * (chunk + 1)]
        else:
            share = -(-samples // threads)
            begins = [*range(0, share, rows), share]
        return [range(begin, end) for begin, end in pairwise([*begins, ALL])]

    def _room_for_gradients(self, data: Data, batch_size: int, stepping: Stepping, threads: int) -> list[Array]:
        """For every thread buffers for the gradient, where this way of training keeps it in memory.

        What is for a block of a sparse first layer is at zero; a large batch's buffers are cleared in their turn.
        """
        large = stepping.keeps_gradient(batch_size)
        if large:
            size, own = self.params.size * min(PARTS, -(-batch_size // layout.CHUNK_ROWS)), 1
        elif data.blocks > 0 and not stepping.in_place:
            size, own = layout.block_weights(self.layers[0], data.blocks, self.lanes), threads
        else:
            size, own = 0, 1
        if self._gradient.shape != (own, size):
            self._gradient = layout.aligned_zeros(own * size, self.dtype).reshape(own, size)
        if not large:
            self._gradient[:] = 0  # a block's steps leave it so, but not one that was broken off, nor a large batch
        return [self._gradient[t % own] for t in range(threads)]

    def evaluate(self, data: Data, order: Array | None, first: int, end: int) -> Seen:
        """Cost and hits of samples ``order[first:end]``, or without an order of samples ``first`` to ``end``."""
        totals = np.zeros(N_TOTALS)
        with self._lock.here, self._settled():
            room = self._room(layout.CHUNK_ROWS, data)
            if room.across:
                order = natural_order(end) if order is None else order
            else:
                data = self._skipping(data)
                room = self._room(layout.CHUNK_ROWS, data)
            self._require(*self._measuring_code(room, data))
            (place,) = self._places_for(room)
            samples = self._packed(data)
            records = place.packed.address, samples.address, 0 if order is None else address_of(order)
            self._entry("evaluate")(*records, first, end, self._alone.address, address_of(totals))
            if not room.across and not data.blocks:
                self._skips = bool(totals[TOTAL_ZEROS])
        return Seen(totals[TOTAL_COST], totals[TOTAL_HITS], 0)

    def forward(self, data: Data, first: int, end: int, out: Array) -> bool:
        """Outputs of samples ``first`` to ``end`` into ``out`` (n, n_out).

        Returns True if the outputs are finite, and the samples are known to hold neither NaN nor infinity: by their
        sums, which may also overflow.
        """
        with self._lock.here, self._settled():
            self._require(*FORWARD)
            data = self._skipping(data)
            if data.blocks or data.skips:
                self._require(*_first_stages(data))
            (place,) = self._places_for(self._room(min(layout.CHUNK_ROWS, out.shape[0]), data)._replace(across=False))
            samples = self._packed(data)
            records = place.packed.address, samples.address
            found = self._entry("predict")(*records, first, end, address_of(out), self._alone.address)
            self._skips |= bool(found & ZEROS)
        return not found & NOT_FINITE

    def _skipping(self, data: Data) -> Data:
        """Samples to be predicted whose zeros are skipped, if some that came before had zeros.

        The bits are those of a dense layer, as long as all inputs are in one block; where the samples are numbers, one
        after the other, the kernel looks first whether these have zeros, too.
        """
        plain = self._skips and not data.blocks and not data.starts.size
        return data._replace(skips=1) if plain or data.skips else data

    def samples_in_call(self, data: Data) -> int:
        """Samples of these data that one kernel call takes forward, at most; sparse ones do not come in blocks."""
        return _samples_per_call(self.products) if data.starts.size else self.samples_per_call

    def forward_numbers(self, X: Array, out: Array) -> bool:
        """The same for all of some dense samples (n, n_in) in the network's dtype, one after the other in memory.

        With a record that is there already, and a place that was used the last time: one sample takes microseconds.
        """
        n, step, finite = len(out), self.samples_per_call, True
        for first in range(0, n, step):
            with self._lock.here:
                if self.memory.shrink == 1:
                    finite &= self._forward_some(X, first, min(first + step, n), out)
                    continue
                with self._settled_meanwhile():
                    finite &= self._forward_some(X, first, min(first + step, n), out)
        return finite

    def _forward_some(self, X: Array, first: int, end: int, out: Array) -> bool:
        rows, known = min(layout.CHUNK_ROWS, len(out)), self._predicting
        if known is None or known.rows != rows:
            known = self._predicting = self._prepare_prediction(rows)
        known.data.words[_FEATURES] = address_of(X)
        net, data = known.net.address, known.data.address
        found = known.code(net, data, first, end, address_of(out), self._alone.address)
        if found & ZEROS:
            self._skips, self._predicting = True, None
        return not found & NOT_FINITE

    def _prepare_prediction(self, rows: int) -> _Predicting:
        self._require(*FORWARD)
        none = Features(empty(self.dtype), empty(np.dtype(np.int32)), empty(np.dtype(np.int64)), 0)
        nothing = self._skipping(pack_data(none, None, None, self.dtype))
        if nothing.skips:
            self._require(*_first_stages(nothing))
        (place,) = self._places_for(layout.Room(rows, skips=nothing.skips))
        return _Predicting(rows, place.packed, Packed(nothing), self._entry("predict"))

    def gradient(
        self, data: Data, n: int, between: Callable[[], None] = lambda: None, totals: Array | None = None
    ) -> Array:
        """Mean gradient over all n samples, in a buffer shaped like the parameters.

        ``between`` is called before every kernel call. Summed cost and hits are added to ``totals`` (N_TOTALS,), if
        that is given.
        """
        return self.gradient_over([(data, n)], n, between, totals)

    def gradient_over(
        self,
        pieces: Iterable[tuple[Data, int]],
        n: int,
        between: Callable[[], None] = lambda: None,
        totals: Array | None = None,
    ) -> Array:
        """The same over pieces of data with their numbers of samples, n in all.

        The same bits as over all in one piece where every piece but the last has whole kernel calls.
        """
        gradient: Array | None = None
        for data, size in pieces:
            order, step = natural_order(size), self._samples_in_gradient(data)
            for first in range(0, size, step):
                between()
                rows = order[first : first + step]
                part = self._gradient_of(data, rows, totals)
                if rows.size < n:
                    part *= self.dtype.type(rows.size / n)
                gradient = part if gradient is None else np.add(gradient, part, out=gradient)
        assert gradient is not None
        return gradient

    def _samples_in_gradient(self, data: Data) -> int:
        """Samples whose gradient is added up in one kernel call."""
        step, first_layer = self.samples_in_call(data), self.layers[0]
        if step * self.products > _PRODUCTS_OF_A_PART:
            step = _FEWEST_ROWS
        if data.starts.size:  # what is zero is not multiplied
            zeros = first_layer.n_in - min(first_layer.n_in, data.most_entries)
            products = self.products - zeros * first_layer.n_out
            step = max(step, _samples_per_call(products))
        return step

    def _gradient_of(self, data: Data, order: Array, totals: Array | None) -> Array:
        """The same over some samples."""
        gradient, seen = layout.aligned_zeros(self.params.size, self.dtype), np.zeros(N_TOTALS)
        with self._lock.here, self._settled():
            own = ["split_gradient"] if self._scaled else []
            room = self._room(layout.CHUNK_ROWS, data)
            self._require(*self._training_code(room, data), "whole_batch", *own, entry="gradient")
            (place,) = self._places_for(room)
            stepper, samples = self._adder(gradient, data, room.across), self._packed(data)
            records = place.packed.address, samples.address, address_of(order)
            self._entry("gradient")(*records, order.size, stepper.address, self._alone.address, address_of(seen))
        if totals is not None:
            totals += seen
        return gradient

    def _adder(self, gradient: Array, data: Data, across: bool) -> Packed:
        """A stepper that only adds up a gradient."""
        nothing = empty(self.dtype)
        hyper = layout.aligned_zeros(2 * HYPER_SIZE, self.dtype)
        numbers: dict[str, Any] = dict.fromkeys(Stepper._fields, 0)
        numbers |= {
            "gradient_size": gradient.size,
            "in_place": 1,
            "add": self.program.step("add_across" if across else "add", None),
        }
        numbers["add_listed"] = self.program.step("add_listed", None) if data.skips else 0
        arrays = {"state": nothing, "gradient": gradient, "hyper": hyper, "factors": np.zeros(1), "shrink": np.ones(1)}
        stepper = Stepper(**{**numbers, **arrays})
        return Packed(stepper)

    def worthwhile_threads(self, batch_size: int) -> int:
        """Cores, as far as a batch holds enough work for each."""
        return max(1, min(usable_cores(), batch_size * self.products // _PRODUCTS_PER_THREAD))

    @property
    def lanes(self) -> int:
        """Numbers in one register."""
        return lanes_of(self.dtype.itemsize)
