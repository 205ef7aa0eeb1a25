"""Where training starts: initial weights and biases by name."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Draw = Callable[[np.random.Generator, int, int], NDArray[np.float64]]


class Initializer(NamedTuple):
    """One row of the registry.

    Attributes
    ----------
    name : str
        What users write.
    formula : str
        The distributions of weights and biases; U is uniform, N normal with a standard deviation.
    weights, biases : callable
        ``(generator, n_in, n_out)`` to an array (n_out, n_in) or (n_out,).
    """

    name: str
    formula: str
    weights: Draw
    biases: Draw


def _zeros(rng: np.random.Generator, n_in: int, n_out: int) -> NDArray[np.float64]:
    return np.zeros(n_out)


def _normal(scale: Callable[[int, int], float]) -> Draw:
    return lambda rng, n_in, n_out: rng.normal(0.0, scale(n_in, n_out), (n_out, n_in))


def _glorot(rng: np.random.Generator, n_in: int, n_out: int) -> NDArray[np.float64]:
    limit = (6 / (n_in + n_out)) ** 0.5
    return rng.uniform(-limit, limit, (n_out, n_in))


INITIALIZERS = {
    row.name: row
    for row in (
        Initializer("scaled", "W ~ N(0, 1/sqrt(n_in)), b = 0", _normal(lambda i, o: i**-0.5), _zeros),
        Initializer("normal", "W, b ~ N(0, 1)", _normal(lambda i, o: 1.0), lambda rng, i, o: rng.normal(size=o)),
        Initializer(
            "uniform",
            "W, b ~ U(0, 1)",
            lambda rng, i, o: rng.random((o, i)),
            lambda rng, i, o: rng.random(o),
        ),
        Initializer("glorot", "W ~ U(+-sqrt(6 / (n_in + n_out))), b = 0", _glorot, _zeros),
        Initializer("he", "W ~ N(0, sqrt(2 / n_in)), b = 0", _normal(lambda i, o: (2 / i) ** 0.5), _zeros),
    )
}


def draw_layers(
    name: str, rng: np.random.Generator, sizes: tuple[int, ...]
) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Weights (n_out, n_in) and biases (n_out,) of every layer, drawn layer by layer in float64."""
    row = INITIALIZERS[name]
    weights, biases = [], []
    for n_in, n_out in pairwise(sizes):
        weights.append(row.weights(rng, n_in, n_out))
        biases.append(row.biases(rng, n_in, n_out))
    return weights, biases
