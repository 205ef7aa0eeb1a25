"""The mean of the weights over the steps of training, beside any optimizer."""

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np

from fastnn.formulas.expressions import variable
from fastnn.formulas.optimizers import Optimizer, Rule, Table

_STATE, _SHARE = "average", "average_share"
_SUFFIX = "+average"


@cache
def averaged(rule: Rule) -> Rule:
    """A rule that keeps the mean as one more state: ``average <- average + share (p - average)`` with the new p."""
    p, mean, share = rule.expressions[0], variable(_STATE), variable(_SHARE)
    return Rule(
        rule.name + _SUFFIX,
        (*rule.states, _STATE),
        (*rule.numbers, _SHARE),
        rule.weights_only,
        (*rule.expressions, mean + share * (p - mean)),
    )


def keeps_average(kernel: str) -> bool:
    """Whether an optimizer's memory, by its name, ends with a mean of the weights."""
    return kernel.endswith(_SUFFIX)


@dataclass(frozen=True)
class Averaged(Optimizer):
    """An optimizer, with an exponential moving average of the parameters.

    ``average <- d average + (1 - d) w`` after every step, divided by ``1 - d^t``, the sum of the factors: so the mean
    is one over the steps taken, and not pulled toward what it started with. In step t the share of the new w is
    therefore ``(1 - d) / (1 - d^t)``.

    Parameters
    ----------
    optimizer : Optimizer
        What steps.
    decay : float
        d, in (0, 1).

    Examples
    --------
    >>> from fastnn.formulas.averaging import Averaged
    >>> from fastnn.formulas.optimizers import SGD
    >>> Averaged(SGD(0.5), 0.9).rule.texts
    ('p <- p - rate * g', 'average <- average + average_share * (p - rate * g - average)')
    """

    optimizer: Any
    decay: float
    name: ClassVar[str] = "averaged"

    def __post_init__(self) -> None:
        """Both were checked already."""

    @property
    def learning_rate(self) -> float:  # type: ignore[override]
        """The step size."""
        rate: float = self.optimizer.learning_rate
        return rate

    @property
    def kernel(self) -> str:
        """The name of its update equations."""
        return str(self.optimizer.kernel) + _SUFFIX

    @property
    def rule(self) -> Rule:
        """Its update equations."""
        return averaged(self.optimizer.rule)

    @property
    def start(self) -> tuple[float, ...]:
        """What each state begins with; the first step replaces the mean."""
        return (*self.optimizer.start, 0.0)

    def numbers(self, steps: Any, rates: Any = None) -> Table:
        """The optimizer's numbers, and the share of the newest parameters."""
        t = np.asarray(steps, np.float64)
        share = (1 - self.decay) / -np.expm1(t * np.log(self.decay))
        return np.column_stack([self.optimizer.numbers(steps, rates), share])
