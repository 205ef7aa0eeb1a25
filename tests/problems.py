"""Data that a network can be trained on, whatever its cost and sizes; made from the number of samples alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastnn

Array = NDArray[Any]


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
