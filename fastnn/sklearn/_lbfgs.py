"""L-BFGS: SciPy's, on the engine's gradient, with scikit-learn's loss, limits and warnings."""

from typing import Any, NamedTuple

import scipy.optimize
from numpy.typing import NDArray
from sklearn.utils.optimize import _check_optimize_result

from fastnn import lbfgs

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


class Objective(NamedTuple):
    """Loss with its penalty ``alpha / (2 w) ||W||^2``, w being the weight of all samples, and its gradient.

    The loss has a share of the cost; the gradient, as in scikit-learn, that of all of it.
    """

    mean: lbfgs.Objective  # over the n samples, as ``full_batch`` makes it
    weighting: float  # n / w
    cost_share: float
    constant: float

    def __call__(self, packed: Array) -> tuple[float, Array]:
        """At one vector of parameters."""
        _, gradient = self.mean(packed)
        seen = self.mean.look(packed)
        loss = self.weighting * (self.cost_share * seen.cost + seen.penalty) + self.constant
        return loss, self.weighting * gradient


def minimize(objective: Objective, limits: Limits) -> Result:
    """Go down from the engine's parameters; warns like scikit-learn where it does not converge."""
    found = scipy.optimize.minimize(
        objective,
        objective.mean.read(),
        method="L-BFGS-B",
        jac=True,
        options={"maxfun": limits.evaluations, "maxiter": limits.iterations, "gtol": limits.tolerance},
    )
    iterations = _check_optimize_result("lbfgs", found, limits.iterations)
    layers = objective.mean.split(found.x)
    half = len(layers) // 2
    return Result(layers[:half], layers[half:], found.fun, iterations)
