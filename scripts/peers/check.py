"""Whether a peer does the same mathematics: two epochs of it against the float64 reference of the tests."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from peers import maths
from peers.base import Peer
from peers.cases import CHECKED_SAMPLES, Array, Layers, Task, load_data, start_layers

TOLERANCES = {"float32": 3e-3, "float64": 1e-9}
"""Largest error of a weight, as a part of the largest change in its layer."""
OUTPUT_TOLERANCES = {"float32": 1e-5, "float64": 1e-12}
"""Largest error of an output, which is between 0 and 1."""

_EPOCHS = 2  # where all samples are one batch, one epoch would be one step
_REFERENCE = Path(__file__).parents[2] / "tests" / "naive.py"


def _load_reference() -> Any:
    spec = importlib.util.spec_from_file_location("naive", _REFERENCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _reference_optimizer(naive: Any, task: Task, adds_epsilon_first: bool) -> Any:
    rate = maths.LEARNING_RATES[task.optimizer]
    if task.optimizer != "adam":
        return naive.SGD(rate, maths.MOMENTUM if task.optimizer == "momentum" else 0.0)

    class EpsilonFirst(naive.Adam):  # type: ignore[misc, name-defined]
        """``mhat / ((sqrt(v) + epsilon) / sqrt(1 - beta2^t))``."""

        def step(self, params: Any, grads: Any) -> Any:
            self.epsilon = maths.EPSILON / np.sqrt(1 - maths.BETA2 ** (self.t + 1))
            return super().step(params, grads)

    kind = EpsilonFirst if adds_epsilon_first else naive.Adam
    return kind(rate, maths.BETA1, maths.BETA2, maths.EPSILON)


def expected_weights(task: Task, samples: int, adds_epsilon_first: bool = False) -> Layers:
    """The reference's weights after the checked epochs in natural order.

    Parameters
    ----------
    task : Task
        What to train.
    samples : int
        On how many of the task's first samples.
    adds_epsilon_first : bool
        See Peer.

    Returns
    -------
    Layers
        In float64.
    """
    naive = _load_reference()
    data, layers, formulas = load_data(task, samples), start_layers(task), task.formulas
    optimizer = _reference_optimizer(naive, task, adds_epsilon_first)
    activations = [formulas.activation] * (len(layers) - 1) + [formulas.output]
    weights, biases = [W for W, _ in layers], [b for _, b in layers]
    orders = [np.arange(samples)] * _EPOCHS
    weights, biases, _ = naive.train(
        weights, biases, activations, formulas.cost, optimizer, data.X, data.T, task.batch, orders
    )
    return list(zip(weights, biases, strict=True))


def largest_error(found: Layers, expected: Layers, start: Layers) -> float:
    """The largest error of any weight or bias, relative to the largest change in its array.

    Relative to the change, not to the weight: a peer that did not train at all is wrong by 1.
    """
    errors = [0.0]
    for after, right, before in zip(found, expected, start, strict=True):
        for a, r, b in zip(after, right, before, strict=True):
            errors.append(float(np.max(np.abs(a - r)) / np.max(np.abs(r - b))))
    return max(errors) if np.isfinite(errors).all() else float("inf")


def error_of(peer: Peer, task: Task) -> float:
    """Train a peer on the first samples in their natural order and compare.

    Parameters
    ----------
    peer : Peer
        Prepared or not; it has to be prepared again afterwards.
    task : Task
        What to train.

    Returns
    -------
    float
        See ``largest_error``.
    """
    samples = min(CHECKED_SAMPLES, task.n)
    data, start = load_data(task, samples), start_layers(task)
    peer.prepare(task, data, start)
    for _ in range(_EPOCHS):
        peer.epoch(np.arange(samples))
    return largest_error(peer.weights(), expected_weights(task, samples, peer.adds_epsilon_first), start_layers(task))


def output_error(outputs: Array, X: Array, layers: Layers) -> float:
    """The largest error of any output of a network of sigmoid layers.

    Parameters
    ----------
    outputs : array (n, n_out)
        As a peer predicted them.
    X : array (n, n_in)
        The samples.
    layers : Layers
        The network.

    Returns
    -------
    float
        Absolute.
    """
    naive = _load_reference()
    weights, biases = [W for W, _ in layers], [b for _, b in layers]
    right = naive.forward(weights, biases, ["sigmoid"] * len(layers), X)
    return float(np.max(np.abs(outputs - right[1][-1])))
