"""L-BFGS: SciPy's, on the engine's gradient."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import scipy.optimize
from numpy.typing import NDArray
from sklearn.utils.optimize import _check_optimize_result

from fastnn.sklearn._engine import FullBatch, sum_of_squares

Array = NDArray[Any]
Layers = list[Array]


class Limits(NamedTuple):
    """When to stop."""

    iterations: int
    evaluations: int
    tolerance: float  # of the largest number in the gradient


class Result(NamedTuple):
    """Where it ended."""

    coefs: Layers
    intercepts: Layers
    loss: float
    iterations: int


def pack(coefs: Layers, intercepts: Layers) -> Array:
    """All parameters in one vector: the coefs of all layers, then the intercepts."""
    return np.concatenate([array.ravel() for array in (*coefs, *intercepts)])


def unpack(packed: Array, sizes: tuple[int, ...]) -> tuple[Layers, Layers]:
    """Views of the vector as layers."""
    shapes = [*pairwise(sizes), *((n_out,) for n_out in sizes[1:])]
    ends = np.cumsum([np.prod(shape) for shape in shapes])[:-1]
    layers = [part.reshape(shape) for part, shape in zip(np.split(packed, ends), shapes, strict=True)]
    return layers[: len(sizes) - 1], layers[len(sizes) - 1 :]


class Objective:
    """Loss with its penalty ``alpha / (2 w) ||W||^2``, w being the weight of all samples, and its gradient.

    The loss has that share of the cost, and a constant.
    """

    def __init__(
        self, batch: FullBatch, sizes: tuple[int, ...], alpha: float, cost_share: float, constant: float
    ) -> None:
        self._batch, self._sizes, self._l2 = batch, sizes, alpha / batch.weight
        self._cost_share, self._constant = cost_share, constant

    def __call__(self, packed: Array) -> tuple[float, Array]:
        """At one vector of parameters."""
        coefs, intercepts = unpack(packed, self._sizes)
        cost, gradient = self._batch.measure(coefs, intercepts)
        by_coefs = [dW + self._l2 * W for W, (dW, _) in zip(coefs, gradient, strict=True)]
        loss = self._cost_share * cost + self._constant + 0.5 * self._l2 * sum_of_squares(coefs)
        return loss, pack(by_coefs, [db for _, db in gradient])


def minimize(objective: Objective, coefs: Layers, intercepts: Layers, limits: Limits) -> Result:
    """Go down from these parameters; warns like scikit-learn where it does not converge."""
    found = scipy.optimize.minimize(
        objective,
        pack(coefs, intercepts),
        method="L-BFGS-B",
        jac=True,
        options={"maxfun": limits.evaluations, "maxiter": limits.iterations, "gtol": limits.tolerance},
    )
    iterations = _check_optimize_result("lbfgs", found, limits.iterations)
    sizes = (coefs[0].shape[0], *(W.shape[1] for W in coefs))
    layers = unpack(found.x, sizes)
    return Result(*layers, found.fun, iterations)
