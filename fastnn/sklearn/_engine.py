"""All that the estimators ask of the engine beyond what every user of ``Network`` may."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import diagnostics, lbfgs, validation
from fastnn.formulas.schedules import Schedule
from fastnn.history import History
from fastnn.network import Network
from fastnn.orders import Orders
from fastnn.regularisation import Wishes, layer_steps
from fastnn.samples import pack_data
from fastnn.sklearn._steps import Epoch, Steps
from fastnn.training import Account, FitRequest, FitSettings, Samples
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

    @property
    def weight(self) -> float:
        """Of all samples."""
        return float(self.n if self.sample_weight is None else self.sample_weight.sum())


class Plan(NamedTuple):
    """How to train."""

    epochs: int
    batch_size: int
    alpha: float
    steps: Steps
    order: "WeighedOrders"
    max_time: float | None
    account: Account
    callbacks: tuple[Callable[[Network, History], Any], ...]
    threads: Any
    schedule: Schedule | None
    dropout: Any
    seed: int  # of dropout


class WeighedOrders(Orders):
    """The order of every epoch, and what its batches weigh.

    Parameters
    ----------
    shuffle : Orders
        Gives the order of every epoch.
    size : int
        Number of samples.
    batch_size : int
        Samples in a batch; the last one may be smaller.
    sample_weight : array (n,) or None
        A batch's cost is divided by the sum of its weights, and then counted as often as it has samples.

    Attributes
    ----------
    sums : array
        Of every batch of the latest epoch, the sum of its weights.
    weights : array (n,) or None
        Of the samples, so scaled that those of every batch have a mean of 1.
    """

    def __init__(self, shuffle: Orders, size: int, batch_size: int, sample_weight: Array | None) -> None:
        self._shuffle, self.size = shuffle, size
        self._starts = np.arange(0, size, batch_size)
        self._samples = np.diff([*self._starts, size])  # in every batch
        self._given = None if sample_weight is None else sample_weight.astype(np.float64)
        self.sums: Array = self._samples.astype(np.float64)
        self.weights: Array | None = None

    @property
    def is_alike(self) -> bool:
        """Whether batches weigh the same in every epoch."""
        return self._given is None

    @property
    def shares(self) -> Array:
        """How often a batch's weighted mean counts for each of its weights."""
        return self._samples / self.sums

    def prepare(self) -> None:
        """Have compiled what it takes."""
        self._shuffle.prepare()

    def __call__(self, n: int, between: Callable[[], None] = lambda: None) -> Array:
        """The next epoch's order."""
        order = self._shuffle(n, between)
        if self._given is not None:
            in_order = self._given[order]
            self.sums = np.add.reduceat(in_order, self._starts)
            if not self.sums.all():
                raise ZeroDivisionError("Weights sum to zero, can't be normalized")
            self.weights = np.empty(n)
            self.weights[order] = in_order * np.repeat(self.shares, self._samples)
        return order

    def several(self, n: int, count: int) -> Array:
        """Those of so many epochs, which are alike."""
        assert self.is_alike
        return self._shuffle.several(n, count)

    def mean(self, values: Array) -> float:
        """Of values (n,) over the latest epoch, each batch by its weights as its cost is."""
        return float((values if self.weights is None else values * self.weights).mean())


class _Course(Orders):
    """The order of every epoch; with it come the weights of its samples, and what its steps go by."""

    def __init__(self, network: Network, plan: Plan, samples: Samples) -> None:
        self._engine, self._plan, self._samples = network._engine, plan, samples

    def prepare(self) -> None:
        """Have compiled what it takes."""
        self._plan.order.prepare()

    def __call__(self, n: int, between: Callable[[], None] = lambda: None) -> Array:
        """The next epoch's."""
        found = self._plan.order(n, between)
        if self._plan.order.weights is not None:
            self._samples.data.sample_weight[:] = self._plan.order.weights
        self._begin()
        return found

    def several(self, n: int, count: int) -> Array:
        """Those of so many epochs, which are alike."""
        self._begin()
        return self._plan.order.several(n, count)

    def _begin(self) -> None:
        order = self._plan.order
        decays = self._plan.alpha / order.sums
        self._plan.steps.begin_epoch(Epoch(self._engine.memory.steps, order.shares, decays))


def forget_steps(network: Network, steps: Steps) -> None:
    """Begin with an optimizer that remembers nothing."""
    network._engine.memory = network._engine.fresh_memory(steps.kernel, steps.start)


def _pack(network: Network, data: Dataset) -> Samples:
    """As kernels take them; the weights as they are, not their proportions, and also those that are zero.

    scikit-learn has looked for what is not finite.
    """
    dtype, nothing = network.dtype, data.y[:0]
    labels, matrix = (data.y, nothing) if data.y.ndim == 1 else (nothing, data.y)
    targets = Targets(
        np.ascontiguousarray(labels, np.int64).reshape(-1),
        np.ascontiguousarray(matrix, dtype).reshape(-1, network.sizes[-1]),
        network._reader.answering.kind == "classes",
    )
    weight = None if data.sample_weight is None else np.array(data.sample_weight, dtype)
    features = network._reader.features("X", data.X, finite=False)
    return Samples(pack_data(features, targets, weight, dtype), data.n)


def train(network: Network, data: Dataset, held_out: Dataset | None, plan: Plan) -> History:
    """Train as ``Network.fit`` does, with the steps of scikit-learn and without a look at how it goes."""
    steps, samples = plan.steps, _pack(network, data)
    held = None if held_out is None else _pack(network, held_out)

    settings = FitSettings(
        epochs=plan.epochs,
        batch_sizes=validation.check_batch_size(plan.batch_size, data.n),
        optimizer=steps,
        order=_Course(network, plan, samples),
        max_time=math.inf if plan.max_time is None else plan.max_time,
        callbacks=plan.callbacks,
        progress=False,
        threads=validation.check_threads(plan.threads),
        # Without a penalty: the steps have one of their own for every batch.
        layers=layer_steps(Wishes(dropout=plan.dropout), len(network.sizes) - 1),
        schedule=plan.schedule,
        seed=plan.seed,
        account=plan.account,
    )
    settings = network._check_monitors(settings, samples, held, None)
    network._budget = diagnostics.Budget(-math.inf)  # which no look can be paid from, and so nothing warns
    try:
        return network._train(FitRequest(samples, held, settings))
    finally:
        network._settings = diagnostics.Settings.of(steps.to_engine(), plan.batch_size, plan.alpha / plan.batch_size)


def full_batch(network: Network, data: Dataset, alpha: float) -> lbfgs.Objective:
    """Mean over all n samples of weight times cost, plus ``alpha / (2 n) ||W||^2``, of the network's parameters."""
    samples = _pack(network, data)
    return lbfgs.Objective(network._engine, samples.data, samples.n, [alpha / samples.n] * (len(network.sizes) - 1))
