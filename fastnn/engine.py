"""The buffers of one network and the kernel calls on them. No validation, no policy.

Kernels are imported when the first network is made, not when ``fastnn`` is: importing compiles and loads nothing.
"""

import threading
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import layout
from fastnn.kernels.buffers import (
    N_TOTALS,
    TOTAL_BATCHES,
    TOTAL_COST,
    TOTAL_HITS,
    Batches,
    Data,
    Net,
    Stepper,
)
from fastnn.kernels.host import WIDTH, lanes_of
from fastnn.validation import Targets

Array = NDArray[Any]
_HYPER_NUMBERS = 16
_DENSITY_SAMPLES = 256
_SPARSE_SHARE = 0.35
_SPARSE_INPUTS = 64


class Penalty(NamedTuple):
    """Strengths of the l1 and l2 penalties on weights."""

    l1: float
    l2: float


class Memory(NamedTuple):
    """What an optimizer remembers between steps."""

    kernel: str  # whose memory it is
    state: Array  # flat, as many params-sized buffers as the kernel keeps
    steps: int  # steps taken so far


class Seen(NamedTuple):
    """What a kernel call saw: summed cost, hits, and completed batches."""

    cost: float
    hits: float
    batches: int


def _empty(dtype: Any) -> Array:
    return np.empty(0, dtype)


class Plan(NamedTuple):
    """How training will go through the first layer, and why."""

    sparse: bool
    reason: str


def plan_first_layer(data: Data, n_in: int, kernel: str, penalty: Penalty) -> Plan:
    """Skip the zeros of the inputs where they are many; judged by up to 256 samples spread over the data."""
    X = (data.pixels if data.pixels.size else data.features).reshape(-1, n_in)
    sample = X[:: max(1, len(X) // _DENSITY_SAMPLES)]
    share = np.count_nonzero(sample) / sample.size
    finding = f"{share:.0%} of the inputs are not zero"
    if n_in < _SPARSE_INPUTS:
        return Plan(False, f"dense: fewer than {_SPARSE_INPUTS} inputs")
    if share > _SPARSE_SHARE:
        return Plan(False, f"dense: {finding}")
    if kernel == "sgd" and penalty.l1 > 0:
        return Plan(False, f"dense: {finding}, but l1 moves every weight in every step")
    return Plan(True, f"sparse: {finding}")


def pack_data(X: Array, targets: Targets | None, sample_weight: Array, dtype: np.dtype[Any]) -> Data:
    """Checked arrays as the kernels take them, without copying; for a dense first layer."""
    flat = X.reshape(-1)
    pixels = X.dtype == np.uint8
    return Data(
        pixels=flat if pixels else _empty(np.uint8),
        features=_empty(dtype) if pixels else flat,
        labels=targets.labels if targets else _empty(np.int64),
        targets=targets.matrix.reshape(-1) if targets else _empty(dtype),
        sample_weight=sample_weight,
        classify=bool(targets and targets.classes),
        sparse=False,
    )


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

        self._kernels = epoch
        self._optimizers = update.OPTIMIZERS
        self._sizes, self.dtype = sizes, dtype
        self._codes = [functions.ACTIVATION_CODES[name] for name in activations]
        self._cost_code = functions.COST_CODES[cost]
        plan = self._plan(1)
        self.layers = plan.layers
        self.params = layout.aligned_zeros(plan.params_size, dtype)
        self.memory = self.fresh_memory("sgd")
        self._net = self._make_net(plan)
        self._gradient: Array = _empty(dtype)
        self._hyper = np.zeros(_HYPER_NUMBERS, dtype)
        self._lock = threading.Lock()  # one kernel at a time on these buffers

    def _plan(self, rows: int) -> layout.Layout:
        return layout.plan_layout(self._sizes, self._codes, rows, self.dtype)

    def _make_net(self, plan: layout.Layout) -> Net:
        rows, stride = plan.scratch.rows, layout.padded(self._sizes[0] + WIDTH, WIDTH)
        return Net(
            layers=plan.table,
            params=self.params,
            work=layout.new_work(plan, self.dtype),
            scratch=plan.scratch,
            cost=self._cost_code,
            indices=np.zeros(rows * stride, np.int32),
            indices_stride=stride,
            counts=np.zeros(rows, np.int64),
        )

    def _net_for(self, rows: int) -> Net:
        """The network with scratch for exactly so many rows at a time; the last one made is kept."""
        if self._net.scratch.rows != rows:
            self._net = self._make_net(self._plan(rows))
        return self._net

    # --- parameters ---

    def read(self, index: int, buffer: Array | None = None) -> tuple[Array, Array]:
        """Copies of a layer's weights (n_out, n_in) and biases, from the parameters or a buffer shaped like them."""
        return layout.read_layer(self.layers[index], self.params if buffer is None else buffer)

    def write(self, index: int, weights: Array | None, biases: Array | None, buffer: Array | None = None) -> None:
        """Put a layer's weights or biases into the parameters or a buffer shaped like them."""
        target = self.params if buffer is None else buffer
        with self._lock:
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
        return self.params.copy(), self.memory._replace(state=self.memory.state.copy())

    def restore(self, saved: tuple[Array, Memory]) -> None:
        """Back to a snapshot."""
        with self._lock:
            self.params[:] = saved[0]
            self.memory.state[:] = saved[1].state
            self.memory = self.memory._replace(steps=saved[1].steps)

    # --- kernel calls ---

    def run(self, data: Data, batches: Batches, settings: tuple[float, ...], penalty: Penalty) -> Seen:
        """Train on a stretch of batches with the optimizer whose memory this is."""
        totals = np.zeros(N_TOTALS)
        with self._lock:
            net = self._net_for(layout.rows_for(batches.size))
            in_memory = batches.size > net.scratch.rows or (data.sparse and self.memory.kernel != "sgd")
            if in_memory and self._gradient.size == 0:
                self._gradient = layout.aligned_zeros(self.params.size, self.dtype)
            stepper = Stepper(
                np.array(settings),
                float(penalty.l1),
                float(penalty.l2),
                self.memory.state,
                self._gradient,
                self.memory.steps,
                self._hyper,
            )
            self._kernels.run_batches(self.memory.kernel)(net, data, batches, stepper, totals)
            done = int(totals[TOTAL_BATCHES])
            self.memory = self.memory._replace(steps=self.memory.steps + done)
        return Seen(totals[TOTAL_COST], totals[TOTAL_HITS], done)

    def evaluate(self, data: Data, order: Array, first: int, end: int) -> Seen:
        """Cost and hits of samples ``order[first:end]``."""
        totals = np.zeros(N_TOTALS)
        with self._lock:
            net = self._net_for(layout.CHUNK_ROWS)
            self._kernels.evaluate(net, data, order, first, end, totals)
        return Seen(totals[TOTAL_COST], totals[TOTAL_HITS], 0)

    def forward(self, data: Data, first: int, end: int, out: Array) -> None:
        """Outputs of samples ``first`` to ``end`` into ``out`` (n, n_out)."""
        with self._lock:
            net = self._net_for(min(layout.CHUNK_ROWS, out.shape[0]))
            self._kernels.predict(net, data, first, end, out)

    def gradient(self, data: Data, n: int) -> Array:
        """Mean gradient over all n samples, in a buffer shaped like the parameters."""
        gradient = layout.aligned_zeros(self.params.size, self.dtype)
        with self._lock:
            net = self._net_for(layout.CHUNK_ROWS)
            stepper = Stepper(np.zeros(1), 0.0, 0.0, self.memory.state, gradient, 0, self._hyper)
            batches = Batches(np.arange(n), n, 0, 1)
            self._kernels.gradient(net, data, batches, stepper, np.zeros(N_TOTALS))
        return gradient

    @property
    def lanes(self) -> int:
        """Numbers in one register."""
        return lanes_of(self.dtype.itemsize)
