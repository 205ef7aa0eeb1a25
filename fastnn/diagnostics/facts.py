"""What looks and rules need to know of activations, costs and optimizers: computed from their formulas."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.formulas import activations, ops
from fastnn.formulas.costs import Cost

Array = NDArray[Any]

FLAT = 1e-3  # a derivative below this passes next to nothing on


class Activation(NamedTuple):
    """What an activation does to numbers."""

    flat: float = np.inf  # |z| beyond which the derivative is below FLAT, on both sides
    low: float = -np.inf
    high: float = np.inf
    largest_delta: float = 0.0  # of (a - y) f'(z), for targets within the range; 0: grows without bound
    dies: bool = False  # whether a unit can be 0 for every sample, with no gradient to bring it back
    initializer: str = "scaled"  # that suits it


@cache
def activation(row: activations.Activation) -> Activation:
    """The facts about an activation."""
    if row.expression is None or row.derivative is None:
        return Activation(low=0.0, high=1.0, initializer=row.initializer)
    found = activations.facts(row)
    low, high = found.lowest, found.highest
    z = np.linspace(-30, 30, 60_001)
    value, slope, below, slope_below = (
        np.broadcast_to(result, at.shape)
        for at in (z, np.array([-0.01]))
        for result in ops.compute([row.expression, row.derivative], {"z": at})
    )
    bounded = np.isfinite(low) and np.isfinite(high)
    largest = float((np.maximum(value - low, high - value) * abs(slope)).max()) if bounded else 0.0
    flat = max(found.saturates_below, found.saturates_above) if bounded else np.inf
    return Activation(flat, low, high, largest, bool(below[0] == 0 == slope_below[0]), row.initializer)


def error_factor(cost: Cost, output: activations.Activation) -> float | None:
    """Of a cost on outputs the largest ``dC/da`` for an error of 1; None where dC/dZ is bounded by itself."""
    form = cost.form(output)
    if form.on != "a":
        return None
    ends = {"a": np.array([1.0, 0.0]), "t": np.array([0.0, 1.0]), "q": np.array([0.5, 0.5])}
    (slopes,) = ops.compute([form.slope], ends)
    return float(np.abs(slopes).max())


def by_sign(optimizer: Any) -> bool:
    """Whether every weight moves by about the learning rate, however large its gradient."""
    return bool(optimizer.name != "sgd")


def momentum_of(optimizer: Any) -> float:
    """How much of a step goes into the next, where a sum of steps is the step divided by 1 minus this."""
    return float(getattr(optimizer, "momentum", 0.0))
