"""Compiling ahead what a first training would wait for."""

import warnings
from collections.abc import Iterable
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import validation
from fastnn.diagnostics import TrainingWarning
from fastnn.formulas.activations import resolve
from fastnn.formulas.costs import resolve as resolve_cost
from fastnn.network import Network
from fastnn.optimizers import Optimizer

_SAMPLES, _LARGE = 300, 280  # a batch of the larger size keeps its gradient in memory


def warmup(
    dtypes: str | Iterable[str] = "float32",
    activations: str | Iterable[str] = ("sigmoid", "relu", "tanh"),
    costs: str | Iterable[str] = ("cross_entropy", "log_likelihood", "quadratic"),
    optimizers: str | Optimizer | Iterable[str | Optimizer] = ("sgd", "adam"),
) -> None:
    """Compile what networks of these kinds need, for dense, sparse and byte inputs, small and large batches.

    What is compiled is kept on disk, so that this is worth it once, for example when an image of a container is built.

    Parameters
    ----------
    dtypes, activations, costs, optimizers : name or several, optional
        As for ``Network`` and ``fit``; each cost with the first output activation that goes with it.

    Raises
    ------
    ValueError, TypeError
        If a name is unknown.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.warmup(activations="relu", costs=["log_likelihood"], optimizers="adam")
    """
    hidden = [resolve(name) for name in _several(activations)]
    rng = np.random.default_rng(0)
    dense = rng.random((_SAMPLES, 64))
    data = dense, np.where(dense < 0.2, dense, 0), (255 * dense).astype(np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        for dtype in _several(dtypes):
            validation.check_dtype(dtype)
            for cost in _several(costs):
                for activation, units in product(hidden, (4, 64)):  # samples across the registers, and by rows
                    network = Network([64, units, 3], activation, _output(cost), cost, dtype=dtype)
                    _use(network, data, _several(optimizers))


def _output(cost: str) -> str:
    outputs = resolve_cost(cost).outputs
    return "identity" if "identity" in outputs else outputs[0]


def _use(network: Network, data: tuple[NDArray[Any], ...], optimizers: list[Any]) -> None:
    """Everything that is compiled for a network, on data of every kind."""
    y = np.arange(_SAMPLES) % 3
    targets = y if network.cost in ("cross_entropy", "log_likelihood") else np.eye(3)[y]
    for X in data:
        for optimizer in optimizers:
            for batch_size in (10, _LARGE):
                network.fit(X, targets, 1, batch_size, optimizer, progress=False)
        network.evaluate(X, targets)
        network.forward(X)
    network.gradients(data[0], targets)


def _several(given: Any) -> list[Any]:
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
