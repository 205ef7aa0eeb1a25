"""Data that a network can be trained on, whatever its cost and sizes; made from the number of samples alone."""

from itertools import pairwise
from typing import Any

import naive
import numpy as np
import pytest
from numpy.typing import NDArray

import fastnn
from fastnn import SGD, Adam
from fastnn.kernels.host import lanes_of

Array = NDArray[Any]

# Both sides round every one of at most 300 additions on the way of a number, and their orders differ: a few dozen
# roundings of the largest number of an array. float64 is allowed 4500 of them, float32 80.
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
# All numbers here are made of some of order one: where a sum of those cancels, their rounding is left.
SMALLEST_SCALE = 0.01

# Samples are packed where a register's marks are whole bytes.
PACKED_DTYPES = [name for name in TOLERANCE if lanes_of(np.dtype(name).itemsize) >= 8]

# Arguments of ``fit`` by which 300 samples go through different code.
WAYS_TO_TRAIN: dict[str, dict[str, Any]] = {
    "one by one": {"batch_size": 1},
    "short batches": {"batch_size": 7},
    "a batch not divided": {"batch_size": 33, "optimizer": Adam(1e-2)},
    "all at once": {"batch_size": 150},
    "in chunks": {"batch_size": 280, "optimizer": SGD(0.1, momentum=0.9)},
    "whole gradient": {"batch_size": 31, "clip_norm": 0.1},
    "penalties": {"batch_size": 32, "l1": 1e-3, "l2": 1e-2},
    "clipping": {"batch_size": 32, "clip_value": 0.01},
    "weights": {"batch_size": 20, "sample_weight": np.linspace(0.5, 2, 300)},
}


def samples(net: fastnn.Network, n: int) -> Array:
    return np.random.default_rng(n).normal(size=(n, net.sizes[0])).astype(net.dtype)


def target_matrix(net: fastnn.Network, n: int) -> Array:
    """Targets that the cost allows: any numbers, shares in [0, 1], or shares that sum to one."""
    Y = np.random.default_rng(n + 1).random((n, net.sizes[-1]))
    if net.cost == "log_likelihood":
        Y /= Y.sum(axis=1, keepdims=True)
    elif net.cost != "cross_entropy":
        Y = 2 * Y - 0.5
    return Y.astype(net.dtype)


def sample_weights(net: fastnn.Network, n: int) -> Array:
    """All different, with a mean of 1, to which a network brings them."""
    weights = np.random.default_rng(n + 3).random(n) + 0.01
    return (weights / weights.mean()).astype(net.dtype)


def random_network(
    sizes: list[int],
    dtype: str,
    activation: str = "tanh",
    output: str = "sigmoid",
    cost: str = "cross_entropy",
    scale: float | None = None,
) -> fastnn.Network:
    rng = np.random.default_rng(sum(sizes))
    weights = [rng.normal(size=(n_out, n_in)) / np.sqrt(n_in) for n_in, n_out in pairwise(sizes)]
    biases = [rng.normal(size=n_out) / 2 for n_out in sizes[1:]]
    return fastnn.Network(sizes, activation, output, cost, initializer=(weights, biases), dtype=dtype, scale=scale)


def labels(net: fastnn.Network, n: int) -> Array:
    """Class labels; for one output 0 and 1, or 1 where targets must sum to one."""
    n_out = net.sizes[-1]
    if n_out == 1:
        return np.ones(n, int) if net.cost == "log_likelihood" else np.arange(n) % 2
    return np.random.default_rng(n + 2).integers(0, n_out, n)


def naive_network(net: fastnn.Network) -> tuple[Any, ...]:
    return list(net.weights), list(net.biases), net.activations


def assert_close(got: Any, wanted: Any, dtype: str, tolerance: float | None = None) -> None:
    """Within the tolerance, relative to the largest number of the array."""
    got, wanted = np.asarray(got), np.asarray(wanted)
    assert got.shape == wanted.shape
    error = np.abs(got.astype(np.float64) - wanted).max()
    assert error <= (tolerance or TOLERANCE[dtype]) * max(np.abs(wanted).max(), SMALLEST_SCALE)


def assert_gradients_close(got: Any, wanted: Any, dtype: str, tolerance: float | None = None) -> None:
    for kind in (0, 1):
        for g, w in zip(got[kind], wanted[kind], strict=True):
            assert g.dtype == dtype
            assert_close(g, w, dtype, tolerance)


def hits(outputs: Array, T: Array) -> Array:
    """Which samples count for the accuracy."""
    if T.shape[1] == 1:
        return (outputs[:, 0] > 0.5) == (T[:, 0] > 0.5)
    return outputs.argmax(axis=1) == T.argmax(axis=1)


def check_against_naive(net: fastnn.Network, X: Array, y: Array, sample_weight: Array | None = None) -> None:
    """Forward, evaluate and gradients."""
    dtype = net.dtype.name
    T = naive.one_hot(y, net.sizes[-1]) if y.ndim == 1 else y
    outputs = naive.forward(*naive_network(net), X)[1][-1]
    got = net.forward(X)
    assert got.dtype == dtype
    assert_close(got, outputs, dtype)
    seen = net.evaluate(X, y, sample_weight)
    assert_close(seen["cost"], naive.cost(*naive_network(net), net.cost, X, T, sample_weight), dtype)
    if "accuracy" in seen:
        assert seen["accuracy"] == pytest.approx(hits(outputs, T).mean(), rel=1e-15)
    wanted = naive.gradients(*naive_network(net), net.cost, X, T, sample_weight)
    assert_gradients_close(net.gradients(X, y, sample_weight), wanted, dtype)
