"""What looks and rules need to know of activations, costs and optimizers by name.

The one place to change where these come from: everything else here asks `activation`, `output_deltas` and `optimizer`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

FLAT = 1e-3  # a derivative below this passes next to nothing on


class Activation(NamedTuple):
    """One activation in plain NumPy, because a look must not disturb the kernels' scratch, nor compile anything."""

    value: Callable[[Array], Array]  # of the weighted inputs Z
    derivative: Callable[[Array, Array], Array]  # of Z and the outputs A
    flat: float = np.inf  # |z| beyond which the derivative is below FLAT
    low: float = -np.inf
    high: float = np.inf
    largest_delta: float = 0.0  # of (a - y) f'(z), for targets within the range; 0: grows without bound
    dies: bool = False  # whether a unit can be 0 for every sample, with no gradient to bring it back
    initializer: str = "scaled"  # that suits it


def _softmax(Z: Array) -> Array:
    exponentials = np.exp(Z - Z.max(axis=1, keepdims=True))
    shares: Array = exponentials / exponentials.sum(axis=1, keepdims=True)
    return shares


ACTIVATIONS = {
    "identity": Activation(lambda Z: Z, lambda Z, A: np.ones_like(A)),
    "sigmoid": Activation(
        lambda Z: 0.5 + 0.5 * np.tanh(0.5 * Z), lambda Z, A: A * (1 - A), 7.0, 0.0, 1.0, largest_delta=4 / 27
    ),
    "tanh": Activation(np.tanh, lambda Z, A: 1 - A * A, 4.2, -1.0, 1.0, largest_delta=32 / 27, initializer="glorot"),
    "relu": Activation(
        lambda Z: np.maximum(Z, 0), lambda Z, A: (A > 0).astype(A.dtype), low=0.0, dies=True, initializer="he"
    ),
    "softmax": Activation(_softmax, lambda Z, A: A * (1 - A), low=0.0, high=1.0),
}


class Cost(NamedTuple):
    """One cost."""

    error_factor: float | None  # dC/dA = factor (a - y); None: dC/dZ = a - y, whatever the outputs' activation


COSTS = {
    "quadratic": Cost(1.0),
    "sum_squares": Cost(2.0),
    "cross_entropy": Cost(None),
    "log_likelihood": Cost(None),
}


class Optimizer(NamedTuple):
    """One optimizer."""

    usual_rate: float  # what a rate that is too low is raised to at most, if that is tenfold
    by_sign: bool  # whether every weight moves by about the learning rate, however large its gradient


OPTIMIZERS = {"sgd": Optimizer(0.5, by_sign=False), "adam": Optimizer(0.01, by_sign=True)}


def activation(name: str) -> Activation:
    """The activation of this name."""
    return ACTIVATIONS[name]


def cost(name: str) -> Cost:
    """The cost of this name."""
    return COSTS[name]


def optimizer(settings: Any) -> Optimizer:
    """What an optimizer object is."""
    return OPTIMIZERS[settings.name]


def momentum_of(settings: Any) -> float:
    """How much of a step goes into the next, where a sum of steps is the step divided by 1 minus this."""
    return float(getattr(settings, "momentum", 0.0))


def output_deltas(cost_name: str, activation_name: str, Z: Array, A: Array, targets: Array) -> Array:
    """dC/dZ of the output layer (n, n_out)."""
    factor = cost(cost_name).error_factor
    if factor is None:
        return A - targets
    deltas: Array = factor * (A - targets) * activation(activation_name).derivative(Z, A)
    return deltas
