"""Where training starts: initial weights and biases by name."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Draw = Callable[[np.random.Generator, int, int], NDArray[np.float64]]
DrawRows = Callable[[np.random.Generator, int, int, int], NDArray[np.float64]]
_BLOCK = 1 << 20  # weights drawn together, so that float64 takes little memory


class Initializer(NamedTuple):
    """One row of the registry.

    Attributes
    ----------
    name : str
        What users write.
    formula : str
        The distributions of weights and biases; U is uniform, N normal with a standard deviation.
    rows : callable
        ``(generator, n_in, n_out, units)`` to the weights (units, n_in) of some of the n_out units, the next ones.
    biases : callable
        ``(generator, n_in, n_out)`` to an array (n_out,).
    """

    name: str
    formula: str
    rows: DrawRows
    biases: Draw

    def weights(self, rng: np.random.Generator, n_in: int, n_out: int, dtype: Any = np.float64) -> NDArray[Any]:
        """Weights (n_out, n_in), the same for any dtype but for its rounding."""
        found, together = np.empty((n_out, n_in), dtype), max(1, _BLOCK // n_in)
        for first in range(0, n_out, together):
            found[first : first + together] = self.rows(rng, n_in, n_out, min(together, n_out - first))
        return found


def _zeros(rng: np.random.Generator, n_in: int, n_out: int) -> NDArray[np.float64]:
    return np.zeros(n_out)


def _normal(scale: Callable[[int, int], float]) -> DrawRows:
    return lambda rng, n_in, n_out, units: rng.normal(0.0, scale(n_in, n_out), (units, n_in))


def _glorot(rng: np.random.Generator, n_in: int, n_out: int, units: int) -> NDArray[np.float64]:
    limit = (6 / (n_in + n_out)) ** 0.5
    return rng.uniform(-limit, limit, (units, n_in))


INITIALIZERS = {
    row.name: row
    for row in (
        Initializer("scaled", "W ~ N(0, 1/sqrt(n_in)), b = 0", _normal(lambda i, o: i**-0.5), _zeros),
        Initializer("normal", "W, b ~ N(0, 1)", _normal(lambda i, o: 1.0), lambda rng, i, o: rng.normal(size=o)),
        Initializer(
            "uniform",
            "W, b ~ U(0, 1)",
            lambda rng, i, o, units: rng.random((units, i)),
            lambda rng, i, o: rng.random(o),
        ),
        Initializer("glorot", "W ~ U(+-sqrt(6 / (n_in + n_out))), b = 0", _glorot, _zeros),
        Initializer("he", "W ~ N(0, sqrt(2 / n_in)), b = 0", _normal(lambda i, o: (2 / i) ** 0.5), _zeros),
    )
}


AUTO, LSUV = "auto", "lsuv"
INITIALIZER_NAMES = (*INITIALIZERS, AUTO, LSUV)
"""What ``Network(initializer=...)`` takes: the rows; each layer's by its activation; and the one that sees data."""


def draw_layers(
    name: str,
    rng: np.random.Generator,
    sizes: tuple[int, ...],
    suited: Sequence[str] = (),
    dtype: Any = np.float64,
) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Weights (n_out, n_in) and biases (n_out,) of every layer, drawn layer by layer in float64 and kept in ``dtype``.

    ``suited`` are the initializers that suit the layers' activations, which "auto" needs. What "lsuv" begins with has
    orthonormal rows or columns.
    """
    weights, biases = [], []
    for (n_in, n_out), own in zip(pairwise(sizes), suited or [name] * (len(sizes) - 1), strict=True):
        if name == LSUV:
            weights.append(_orthonormal(rng, n_in, n_out).astype(dtype))
            biases.append(np.zeros(n_out))
            continue
        row = INITIALIZERS[own if name == AUTO else name]
        weights.append(row.weights(rng, n_in, n_out, dtype))
        biases.append(row.biases(rng, n_in, n_out))
    return weights, biases


def _orthonormal(rng: np.random.Generator, n_in: int, n_out: int) -> NDArray[np.float64]:
    """Rows, or columns if these are fewer, that are orthogonal and of length 1 (Saxe et al., 2014)."""
    q, r = np.linalg.qr(rng.normal(size=(max(n_in, n_out), min(n_in, n_out))))
    q *= np.where(np.diag(r) < 0, -1.0, 1.0)  # or the factorisation's signs, which are nobody's choice, would show
    return q if n_out >= n_in else q.T
