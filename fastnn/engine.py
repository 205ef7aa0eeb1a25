"""The buffers of one network and the kernel calls on them. No validation, no policy.

Kernels are imported when the first network is made, not when ``fastnn`` is: importing compiles and loads nothing.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import layout
from fastnn.kernels.buffers import (
    ABORT,
    N_TOTALS,
    PARTS,
    SAMPLES_PER_LIST,
    SYNC_SIZE,
    TOTAL_BATCHES,
    TOTAL_COST,
    TOTAL_HITS,
    TOTAL_SHRINK,
    Batches,
    Data,
    Net,
    Stepper,
    Team,
)
from fastnn.kernels.host import PANEL_VECTORS, lanes_of
from fastnn.validation import UINT8, Features, Targets

Array = NDArray[Any]
_INT64 = np.dtype(np.int64)
_HYPER_NUMBERS = 16
_DENSITY_SAMPLES = 256
_SPARSE_SHARE = 0.35
_SPARSE_INPUTS = 64
_BLOCK_BYTES = 56 << 10  # of weights, of which a batch touches about half: what fits into a cache of 32 KB
_BLOCK_ENTRIES = 16  # in a block of a sample's list: what a list costs by itself should not show
_MOST_BLOCK_INPUTS = 1 << 15  # while a list of bytes is made, an input's number has 16 bits beside those of two samples
_PRODUCTS_PER_CALL = 1 << 29  # multiply-adds: some hundredths of a second
_MOST_CHUNKS_PER_CALL = 64
_PRODUCTS_PER_THREAD = 500_000  # multiply-adds in a batch that pay for a thread's waiting


class Penalty(NamedTuple):
    """Strengths of the l1 and l2 penalties on weights."""

    l1: float
    l2: float


class Memory(NamedTuple):
    """What an optimizer remembers between steps."""

    kernel: str  # whose memory it is
    state: Array  # flat, as many params-sized buffers as the kernel keeps
    steps: int  # steps taken so far
    shrink: float = 1.0  # the first layer's stored weights times this are its weights; 1 between epochs


class Workers(NamedTuple):
    """Threads to call a kernel on."""

    pool: Executor
    most: int  # how many a call may ever have; the scratch is laid out for them
    threads: int  # how many this call has


class Seen(NamedTuple):
    """What a kernel call saw: summed cost, hits, and completed batches."""

    cost: float
    hits: float
    batches: int


@lru_cache
def _empty(dtype: Any) -> Array:
    return np.empty(0, dtype)


class Plan(NamedTuple):
    """How training will go through the first layer, and why."""

    blocks: int  # into which the inputs are cut; 0: dense
    reason: str


def plan_first_layer(data: Data, n_in: int, batch_size: int) -> Plan:
    """Skip the zeros of the inputs where they are many; judged by up to 256 samples spread over the data."""
    itemsize = data.features.itemsize  # of the network's dtype, also where the data are bytes
    if data.starts.size > 0:
        share = data.features.size / ((data.starts.size - 1) * n_in)
        finding = f"X is a sparse matrix with {share:.1%} of its entries"
        return Plan(_blocks(n_in, share, batch_size, itemsize), f"sparse: {finding}")
    X = (data.pixels if data.pixels.size else data.features).reshape(-1, n_in)
    sample = X[:: max(1, len(X) // _DENSITY_SAMPLES)]
    share = np.count_nonzero(sample) / sample.size
    if n_in < _SPARSE_INPUTS:
        return Plan(0, f"dense: fewer than {_SPARSE_INPUTS} inputs")
    finding = f"{share:.0%} of the inputs are not zero"
    if share > _SPARSE_SHARE:
        return Plan(0, f"dense: {finding}")
    return Plan(_blocks(n_in, share, batch_size, itemsize), f"sparse: {finding}")


def _blocks(n_in: int, share: float, batch_size: int, itemsize: int) -> int:
    """Into how many blocks to cut the inputs: weights of one should fit into the nearest cache, and lists be long."""
    weights = n_in * PANEL_VECTORS * lanes_of(itemsize) * itemsize
    fitting = -(-weights // _BLOCK_BYTES)
    wanted = 1 if batch_size <= SAMPLES_PER_LIST else min(fitting, int(share * n_in) // _BLOCK_ENTRIES)
    wanted = max(wanted, -(-n_in // _MOST_BLOCK_INPUTS))
    return -(-n_in // layout.block_size(n_in, wanted))


def random_order(generator: np.random.Generator, n: int) -> Array:
    """The numbers from 0 to n - 1 in random order, as int64."""
    from fastnn.kernels.shuffle import permute

    order = np.empty(n, np.int64)
    permute(order, generator.random(n))
    return order


def natural_order(n: int) -> Array:
    """The numbers from 0 to n - 1, as int64 on every platform, which is what kernels are compiled for."""
    return np.arange(n, dtype=np.int64)


class _Borrowed:
    """Memory of an array, without the note that it is read-only."""

    def __init__(self, array: Array) -> None:
        self._owner = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


def _writeable(array: Array) -> Array:
    """The same memory in the one kind of array that kernels are compiled for; they never write to data."""
    return array if array.flags.writeable else np.asarray(_Borrowed(array))


def pack_data(X: Features, targets: Targets | None, sample_weight: Array | None, dtype: np.dtype[Any]) -> Data:
    """Checked arrays as the kernels take them, without copying; dense data for a dense first layer."""
    flat, numbers = _writeable(X.values.reshape(-1)), _empty(dtype)
    # By place, not by name, and nothing asked twice: a prediction of one sample takes a few microseconds in all.
    inputs = (flat, numbers) if flat.dtype == UINT8 else (_empty(UINT8), flat)
    entries = _writeable(X.indices), _writeable(X.starts)
    wanted = (_empty(_INT64), numbers)
    if targets:
        wanted = _writeable(targets.labels), _writeable(targets.matrix.reshape(-1))
    weights = numbers if sample_weight is None else _writeable(sample_weight)
    return Data(*inputs, *entries, *wanted, weights, bool(targets and targets.classes), int(X.starts.size > 0))


def _run_together(kernel: Any, calls: list[tuple[Any, ...]], pool: Executor, sync: Array) -> None:
    """Call a kernel on several threads that wait for each other, and see all of them home whatever happens here.

    This thread is one of them: were it to wake all the others and then sleep, two could find themselves on one core.
    """
    running: list[Future[None]] = []
    went_through = False
    try:
        for call in calls[1:]:
            running.append(pool.submit(kernel, *call))
        kernel(*calls[0])
        went_through = True
    finally:
        if not went_through:  # Ctrl-C, or no more threads to be had: nobody waits for those that never come
            sync[ABORT] = 1
        interrupted = _wait(running)
    if interrupted:
        raise KeyboardInterrupt
    for future in running:
        future.result()


def _wait(running: list["Future[None]"]) -> bool:
    """Wait to the end of a stretch, also through Ctrl-C; returns whether there was one."""
    interrupted = False
    while True:
        try:
            wait(running)
            return interrupted
        except KeyboardInterrupt:
            interrupted = True


def _with_own_place(net: Net, member: int) -> Net:
    """The network as one of several threads sees it: with places of its own."""
    scratch = net.scratch
    rows, turned = member * scratch.rows_size, member * scratch.turned_size
    own = scratch._replace(
        labels=scratch.labels + rows,
        row_weights=scratch.row_weights + rows,
        costs=scratch.costs + rows,
        turned=scratch.turned + turned,
    )
    return net._replace(scratch=own)


class Engine:
    """Parameters, optimizer memory and scratch of one network, and what can be done with them.

    Parameters
    ----------
    sizes : tuple of int
        Layer sizes from inputs to outputs.
    activations : tuple of str
        One per layer, the output's last.
    cost : str
        Name of the cost.
    dtype : numpy dtype
        float32 or float64.
    """

    def __init__(self, sizes: tuple[int, ...], activations: tuple[str, ...], cost: str, dtype: np.dtype[Any]) -> None:
        from fastnn.kernels import epoch, functions, update
        from fastnn.kernels.compile import machine_code

        self._kernels, self._machine_code = epoch, machine_code
        self._code: dict[Any, Callable[..., Any]] = {}  # of the entries that have been compiled or loaded
        self._optimizers = update.OPTIMIZERS
        self._sizes, self.dtype = sizes, dtype
        self._codes = [functions.ACTIVATION_CODES[name] for name in activations]
        self._cost_code = functions.COST_CODES[cost]
        plan = self._plan(layout.Room())
        self.layers = plan.layers
        self.params = layout.aligned_zeros(plan.params_size, dtype)
        self.memory = self.fresh_memory("sgd")
        self._room, self._apart = layout.Room(), False
        self._nets = [self._make_net(self._room)]
        self._gradient: Array = np.empty((1, 0), dtype)
        self._products = sum(layer.n_in * layer.n_out for layer in self.layers)  # of one sample, forward
        # In a forward pass, so that Ctrl-C is soon seen; whole chunks.
        chunks = _PRODUCTS_PER_CALL // (layout.CHUNK_ROWS * self._products)
        self.samples_per_call = layout.CHUNK_ROWS * min(max(chunks, 1), _MOST_CHUNKS_PER_CALL)
        self._lock = threading.Lock()  # one kernel at a time on these buffers, and nobody reads them meanwhile

    def _plan(self, room: layout.Room) -> layout.Layout:
        return layout.plan_layout(self._sizes, self._codes, room, self.dtype)

    def _make_net(self, room: layout.Room) -> Net:
        plan = self._plan(room)
        return Net(
            layers=plan.table,
            params=self.params,
            work=layout.new_work(plan, self.dtype),
            scratch=plan.scratch,
            cost=self._cost_code,
            lists=layout.new_lists(self._sizes[0], room),
        )

    def _nets_for(self, room: layout.Room, apart: bool = False) -> list[Net]:
        """For every thread the network with scratch for exactly that; the last ones made are kept.

        All threads work on the same rows, unless they go ``apart``.
        """
        if (self._room, self._apart) != (room, apart):
            if apart:
                nets = [self._make_net(room._replace(threads=1)) for _ in range(room.threads)]
            else:
                shared = self._make_net(room)
                nets = [_with_own_place(shared, t) for t in range(room.threads)]
            self._nets, self._room, self._apart = nets, room, apart
        return self._nets

    # --- parameters ---

    def read(self, index: int, buffer: Array | None = None) -> tuple[Array, Array]:
        """Copies of a layer's weights (n_out, n_in) and biases, from the parameters or a buffer shaped like them."""
        with self._lock:
            self._settle()
            return layout.read_layer(self.layers[index], self.params if buffer is None else buffer)

    def write(self, index: int, weights: Array | None, biases: Array | None, buffer: Array | None = None) -> None:
        """Put a layer's weights or biases into the parameters or a buffer shaped like them."""
        target = self.params if buffer is None else buffer
        with self._lock:
            self._settle()
            if weights is not None:
                layout.write_weights(self.layers[index], target, weights)
            if biases is not None:
                layout.write_biases(self.layers[index], target, biases)

    def fresh_memory(self, kernel: str) -> Memory:
        """An optimizer's memory before its first step."""
        size = self._optimizers[kernel].states * self.params.size
        return Memory(kernel, layout.aligned_zeros(size, self.dtype), 0)

    def state_buffers(self) -> list[Array]:
        """The optimizer's memory as buffers shaped like the parameters."""
        count = self._optimizers[self.memory.kernel].states
        return [self.memory.state[i * self.params.size : (i + 1) * self.params.size] for i in range(count)]

    def snapshot(self) -> tuple[Array, Memory]:
        """Copies of parameters and optimizer memory."""
        with self._lock:
            return self.params.copy(), self.memory._replace(state=self.memory.state.copy())

    def restore(self, saved: tuple[Array, Memory]) -> None:
        """Back to a snapshot."""
        with self._lock:
            self.params[:] = saved[0]
            self.memory.state[:] = saved[1].state
            self.memory = self.memory._replace(steps=saved[1].steps, shrink=saved[1].shrink)

    def settle(self) -> None:
        """Make the stored weights the weights, where they are wanted in the middle of an epoch."""
        with self._lock:
            self._settle()

    def _settle(self) -> None:
        if self.memory.shrink != 1:
            layout.scale_weights(self.layers[0], self.params, self.memory.shrink)
            self.memory = self.memory._replace(shrink=1.0)

    # --- kernel calls ---

    def run(
        self,
        data: Data,
        batches: Batches,
        settings: tuple[float, ...],
        penalty: Penalty,
        workers: Workers | None = None,
        cost: float = 0.0,
    ) -> Seen:
        """Train on a stretch of batches with the optimizer whose memory this is.

        ``cost`` is the sum before them: it is added up batch by batch, so that stretches do not show in it.
        """
        threads, most = (workers.threads, workers.most) if workers else (1, 1)
        with self._lock:
            apart = batches.size > layout.MAX_ROWS
            nets = self._nets_for(layout.Room(layout.rows_for(batches.size), most, data.blocks), apart)
            gradients = self._room_for_gradients(data, batches, penalty, most)
            memory = self.memory
            stepper = Stepper(
                np.array(settings, np.float64),
                *penalty,
                memory.state,
                gradients[0],
                memory.steps,
                memory.shrink,
                _empty(self.dtype),
            )
            team = Team(0, threads, np.zeros(SYNC_SIZE, np.int64), np.zeros(PARTS))
            totals = np.zeros((threads, N_TOTALS))
            totals[:, TOTAL_COST] = cost
            calls = [
                (nets[t], data, batches, self._own(stepper, gradients[t]), team._replace(member=t), totals[t])
                for t in range(threads)
            ]
            kernel = self._code_of(self._kernels.run_batches(self.memory.kernel), calls[0])
            try:
                if workers is None or threads == 1:
                    kernel(*calls[0])
                else:
                    _run_together(kernel, calls, workers.pool, team.sync)
            finally:  # Ctrl-C shows when the kernel returns, and the steps have been taken
                done = int(totals[0, TOTAL_BATCHES])
                self.memory = self.memory._replace(
                    steps=self.memory.steps + done, shrink=float(totals[0, TOTAL_SHRINK]) or self.memory.shrink
                )
        return Seen(totals[0, TOTAL_COST], totals[:, TOTAL_HITS].sum(), done)

    def _code_of(self, entry: Any, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        """An entry's machine code; its arguments are of the same types every time."""
        if entry not in self._code:
            self._code[entry] = self._machine_code(entry, arguments)
        return self._code[entry]

    def _own(self, stepper: Stepper, gradient: Array) -> Stepper:
        """A thread's own stepper."""
        return stepper._replace(gradient=gradient, hyper=np.zeros(_HYPER_NUMBERS, self.dtype))

    def _room_for_gradients(self, data: Data, batches: Batches, penalty: Penalty, threads: int) -> list[Array]:
        """For every thread buffers for the gradient, where this way of training keeps it in memory.

        What is for a block of a sparse first layer is at zero; a large batch's buffers are cleared in their turn.
        """
        large = batches.size > layout.MAX_ROWS
        if large:
            size, own = self.params.size * min(PARTS, -(-batches.size // layout.CHUNK_ROWS)), 1
        elif data.blocks > 0 and (self.memory.kernel != "sgd" or penalty.l1 > 0):
            size, own = layout.block_weights(self.layers[0], data.blocks, self.lanes), threads
        else:
            size, own = 0, 1
        if self._gradient.shape != (own, size):
            self._gradient = layout.aligned_zeros(own * size, self.dtype).reshape(own, size)
        if not large:
            self._gradient[:] = 0  # a block's steps leave it so, but not one that was broken off, nor a large batch
        return [self._gradient[t % own] for t in range(threads)]

    def evaluate(self, data: Data, order: Array, first: int, end: int) -> Seen:
        """Cost and hits of samples ``order[first:end]``."""
        totals = np.zeros(N_TOTALS)
        with self._lock:
            self._settle()
            (net,) = self._nets_for(layout.Room(layout.CHUNK_ROWS, 1, data.blocks))
            arguments = net, data, order, first, end, totals
            self._code_of(self._kernels.evaluate, arguments)(*arguments)
        return Seen(totals[TOTAL_COST], totals[TOTAL_HITS], 0)

    def forward(self, data: Data, first: int, end: int, out: Array) -> bool:
        """Outputs of samples ``first`` to ``end`` into ``out`` (n, n_out).

        Returns True if the samples are known to hold neither NaN nor infinity: by their sums, which may also overflow.
        """
        with self._lock:
            self._settle()
            (net,) = self._nets_for(layout.Room(min(layout.CHUNK_ROWS, out.shape[0]), 1, data.blocks))
            arguments = net, data, first, end, out
            finite: bool = self._code_of(self._kernels.predict, arguments)(*arguments)
        return finite

    def gradient(self, data: Data, n: int) -> Array:
        """Mean gradient over all n samples, in a buffer shaped like the parameters."""
        gradient = layout.aligned_zeros(self.params.size, self.dtype)
        with self._lock:
            self._settle()
            (net,) = self._nets_for(layout.Room(layout.CHUNK_ROWS, 1, data.blocks))
            stepper = Stepper(np.zeros(1), 0.0, 0.0, self.memory.state, gradient, 0, 1.0, _empty(self.dtype))
            stepper = self._own(stepper, gradient)
            alone = Team(0, 1, np.zeros(SYNC_SIZE, np.int64), np.zeros(PARTS))
            arguments = net, data, Batches(natural_order(n), n, 0, 1), stepper, alone, np.zeros(N_TOTALS)
            self._code_of(self._kernels.gradient, arguments)(*arguments)
        return gradient

    @property
    def optimizer_kernels(self) -> list[str]:
        """Names of the optimizers' kernels."""
        return list(self._optimizers)

    def worthwhile_threads(self, batch_size: int) -> int:
        """Cores, as far as a batch holds enough work for each."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(1, min(cores, batch_size * self._products // _PRODUCTS_PER_THREAD))

    @property
    def lanes(self) -> int:
        """Numbers in one register."""
        return lanes_of(self.dtype.itemsize)
