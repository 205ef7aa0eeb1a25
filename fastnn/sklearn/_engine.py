"""All that the estimators ask of the engine beyond what every user of ``Network`` may."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import diagnostics, training, validation
from fastnn.engine import Penalty, pack_data
from fastnn.history import History
from fastnn.network import Network
from fastnn.sklearn._steps import Steps, Timing
from fastnn.training import FitRequest, FitSettings, Samples
from fastnn.validation import Targets

Array = NDArray[Any]


class Dataset(NamedTuple):
    """Samples, what they are to give, and their weights or None."""

    X: Any
    y: Array
    sample_weight: Array | None

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self.X.shape[0])


class Plan(NamedTuple):
    """How to train."""

    epochs: int
    batch_size: int
    alpha: float
    steps: Steps
    order: "Order"
    max_time: float | None
    callbacks: tuple[Callable[[Network, History], Any], ...]
    threads: Any


class Order:
    """The order of every epoch, and what its batches weigh.

    Parameters
    ----------
    shuffle : callable
        ``shuffle(n)`` gives an epoch's order of n samples, int64.
    size : int
        Number of samples.
    batch_size : int
        Samples in a batch; the last one may be smaller.
    sample_weight : array (n,) or None
        A batch's cost is divided by the sum of its weights, and then counted as often as it has samples.
    """

    def __init__(
        self, shuffle: Callable[[int], Array], size: int, batch_size: int, sample_weight: Array | None
    ) -> None:
        self._shuffle, self.size, self._batch_size = shuffle, size, batch_size
        self._weight = None if sample_weight is None else sample_weight.astype(np.float64)
        self.shares: Array = np.ones(1)  # of every batch: number of samples / sum of weights

    def __call__(self, n: int) -> Array:
        """The next epoch's order."""
        self._latest = self._shuffle(n)
        if self._weight is not None:
            sums = np.add.reduceat(self._weight[self._latest], self._starts)
            if not sums.all():
                raise ZeroDivisionError("Weights sum to zero, can't be normalized")
            self.shares = np.diff([*self._starts, n]) / sums
        return self._latest

    @property
    def _starts(self) -> Array:
        return np.arange(0, self.size, self._batch_size)

    def mean(self, values: Array) -> float:
        """Of values (n,) over the latest epoch, each batch by its weights as its cost is."""
        if self._weight is None:
            return float(values.mean())
        weighted = np.add.reduceat((self._weight * values)[self._latest], self._starts)
        return float(self.shares @ weighted / values.size)


def forget_steps(network: Network, steps: Steps) -> None:
    """Begin with an optimizer that remembers nothing."""
    network._engine.memory = network._engine.fresh_memory(steps.kernel, steps.start)


def take_squares(network: Network) -> float:
    """``sum share ||W||^2`` over the steps since the last time, each with the weights before it."""
    squares = network._engine.state_buffers()[-1]
    total = float(squares.sum(dtype=np.float64))
    squares[:] = 0
    return total


def _pack(network: Network, data: Dataset) -> Samples:
    """As kernels take them; the weights as they are, not their proportions, and also those that are zero."""
    dtype, nothing = network.dtype, data.y[:0]
    labels, matrix = (data.y, nothing) if data.y.ndim == 1 else (nothing, data.y)
    targets = Targets(
        np.ascontiguousarray(labels, np.int64).reshape(-1),
        np.ascontiguousarray(matrix, dtype).reshape(-1, network.sizes[-1]),
        network._reader.answering.kind == "classes",
    )
    weight = None if data.sample_weight is None else np.ascontiguousarray(data.sample_weight, dtype)
    return Samples(pack_data(network._reader.features("X", data.X), targets, weight, dtype), data.n)


def train(network: Network, data: Dataset, held_out: Dataset | None, plan: Plan) -> History:
    """Train as ``Network.fit`` does, with the steps of scikit-learn and without a look at how it goes."""
    engine, steps = network._engine, plan.steps
    per_epoch = -(-data.n // plan.batch_size)
    steps.timing = Timing(engine.memory.steps, per_epoch, per_epoch * plan.epochs)

    def order(n: int) -> Array:
        found = plan.order(n)
        steps.begin_epoch(engine.memory.steps, plan.order.shares)
        return found

    settings = FitSettings(
        epochs=plan.epochs,
        batch_sizes=validation.check_batch_size(plan.batch_size, data.n),
        optimizer=steps,
        penalty=Penalty(0.0, plan.alpha),
        order=order,
        max_time=math.inf if plan.max_time is None else plan.max_time,
        callbacks=validation.check_callbacks(plan.callbacks),
        progress=False,
        threads=validation.check_threads(plan.threads),
        penalty_per_batch=True,
        weights_normalised=True,
    )
    request = FitRequest(_pack(network, data), None if held_out is None else _pack(network, held_out), settings)
    network._budget = diagnostics.Budget(-math.inf)  # which no look can be paid from, and so nothing warns
    try:
        return network._train(request)
    finally:
        network._settings = diagnostics.Settings.of(steps.to_engine(), plan.batch_size, plan.alpha)


class FullBatch:
    """Cost and gradient over all samples, for methods that want nothing else.

    Parameters
    ----------
    network : Network
        Its parameters are set again and again.
    data : Dataset
        The samples.
    """

    def __init__(self, network: Network, data: Dataset) -> None:
        self._engine = network._engine
        self._samples = _pack(network, data)
        self.weight = float(data.n if data.sample_weight is None else data.sample_weight.sum())  # of all samples
        self._share = data.n / self.weight

    def measure(self, coefs: list[Array], intercepts: list[Array]) -> tuple[float, list[tuple[Array, Array]]]:
        """Weighted mean of the cost, and its gradient by coefs (n_in, n_out) and intercepts for every layer."""
        engine = self._engine
        for i, (W, b) in enumerate(zip(coefs, intercepts, strict=True)):
            engine.write(i, W.T, b)
        cost = training.evaluate(engine, self._samples).cost / self._samples.n
        buffer = engine.gradient(self._samples.data, self._samples.n)
        layers = [engine.read(i, buffer) for i in range(len(coefs))]
        return cost * self._share, [(dW.T * self._share, db * self._share) for dW, db in layers]


def sum_of_squares(coefs: list[Array]) -> float:
    """``||W||^2`` over all layers."""
    return float(sum(np.vdot(W, W) for W in coefs))
