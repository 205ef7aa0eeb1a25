"""All that the estimators ask of the engine beyond what every user of ``Network`` may."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import diagnostics, training
from fastnn.history import History
from fastnn.network import Network
from fastnn.sklearn._steps import Steps

Array = NDArray[Any]


class Plan(NamedTuple):
    """How to train."""

    epochs: int
    batch_size: int
    alpha: float
    steps: Steps
    order: Callable[[int], Array]  # of every epoch's samples, int64
    max_time: float | None
    callbacks: tuple[Callable[[Network, History], Any], ...]
    threads: Any


class Dataset(NamedTuple):
    """Samples, what they are to give, and their weights or None."""

    X: Any
    y: Array
    sample_weight: Array | None


def forget_steps(network: Network, steps: Steps) -> None:
    """Begin with an optimizer that remembers nothing."""
    network._engine.memory = network._engine.fresh_memory(steps.kernel)


def change_rate(network: Network, before: float, after: float) -> None:
    """Keep the velocity through a change of the learning rate.

    scikit-learn's velocity has the learning rate in it, the engine's is multiplied by it in every step.
    """
    if before != after and network._engine.memory.kernel in ("momentum", "nesterov"):
        network._engine.memory.state[:] *= before / after


def train(network: Network, data: Dataset, held_out: Dataset | None, plan: Plan) -> History:
    """Train as ``Network.fit`` does, with the steps of scikit-learn and without a look at how it goes."""
    request = network._request(
        data.X,
        data.y,
        plan.epochs,
        plan.batch_size,
        plan.steps.to_engine(),
        plan.alpha,
        0.0,
        False,
        None if held_out is None else (held_out.X, held_out.y),
        data.sample_weight,
        plan.max_time,
        plan.callbacks,
        False,
        plan.threads,
    )
    settings = request.settings._replace(optimizer=plan.steps, order=plan.order)
    network._budget = diagnostics.Budget(-math.inf)  # which no look can be paid from, and so nothing warns
    try:
        return network._train(request._replace(settings=settings))
    finally:
        network._settings = diagnostics.Settings.of(plan.steps.to_engine(), plan.batch_size, plan.alpha)


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
        self._samples = network._samples(*data)
        n = self._samples.n
        self._share = 1.0 if data.sample_weight is None else n / float(data.sample_weight.sum())
        self.weight = n / self._share  # of all samples together

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
