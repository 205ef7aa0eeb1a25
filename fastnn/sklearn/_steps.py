"""scikit-learn's steps in the shape of the engine's optimizers: update equations, and the numbers of every step.

One such object is an estimator's ``_optimizer``; between calls of ``partial_fit`` it goes on with its learning rate,
and the engine with its memory.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.formulas import expressions, ops
from fastnn.formulas.optimizers import SGD, SMALLEST_FLOAT32, Adam, Optimizer, Rule, optimizer

Array = NDArray[Any]
_SMALLEST_RATE = 1e-6
_SLOWER = 5.0


# --- update equations: the learning rate is part of the velocity, and Adam's epsilon is not corrected ---


def _momentum(g: Any, p: Any, s: Any, n: Any) -> Any:
    v = n.momentum * s.v - n.rate * g
    return p + v, (v,)


def _nesterov(g: Any, p: Any, s: Any, n: Any) -> Any:
    v = n.momentum * s.v - n.rate * g
    return p + (n.momentum * v - n.rate * g), (v,)


def _adam(g: Any, p: Any, s: Any, n: Any) -> Any:
    m = n.beta_1 * s.m + n.rest_1 * g
    v = n.beta_2 * s.v + n.rest_2 * ops.square(g)
    return p - n.rate * m / (ops.sqrt(v) + n.epsilon), (m, v)


_EQUATIONS: dict[str, tuple[Callable[..., Any], tuple[str, ...], dict[str, float]]] = {
    "sgd": (lambda g, p, s, n: (p - n.rate * g, ()), (), {}),
    "momentum": (_momentum, ("v",), {"momentum": 0.9}),
    "nesterov": (_nesterov, ("v",), {"momentum": 0.9}),
    "adam": (_adam, ("m", "v"), {"beta_1": 0.9, "rest_1": 0.1, "beta_2": 0.99, "rest_2": 0.01, "epsilon": 1e-8}),
}


@cache
def _rule(name: str) -> Rule:
    update, states, numbers = _EQUATIONS[name]
    make: Any = optimizer  # which takes numbers by any name
    rule: Rule = make(f"sklearn_{name}", update, learning_rate=0.1, states=states, **numbers).rule
    return rule


@cache
def _penalised(rule: Rule) -> Rule:
    """The same with ``decay p`` added to the gradient of weights, and a last number that no equation has.

    By that share the squares of the weights before the step count in the loss curve.
    """
    g = expressions.variable("g") + expressions.variable("decay") * expressions.variable("p")
    stepped = (expressions.substitute(expression, {"g": g}) for expression in rule.expressions)
    return Rule(
        f"{rule.name}_penalised",
        rule.states,
        (*rule.numbers, "decay", "share"),
        (*rule.weights_only, "decay", "share"),
        tuple(stepped),
    )


class Epoch(NamedTuple):
    """What the steps of an epoch go by, or of several that are alike."""

    first: int  # steps taken before it
    shares: Array  # how often the squares of every batch count
    decays: Array  # the strength of its penalty


class Steps(Optimizer):
    """What the engine reads of an optimizer, with numbers that may change from epoch to epoch.

    The penalty of a batch depends on what it weighs, so it is part of the equations. The loss curve has it too, with
    the weights before every step.

    Attributes
    ----------
    learning_rate : float
        The present one, before a schedule.
    """

    def __init__(self, rule: Rule, start: tuple[float, ...], learning_rate: float) -> None:
        self._rule, self._start, self.learning_rate = _penalised(rule), start, float(learning_rate)
        self._epoch = Epoch(0, np.zeros(1), np.zeros(1))

    @property
    def rule(self) -> Rule:
        """The update equations."""
        return self._rule

    @property
    def kernel(self) -> str:
        """Their name."""
        return self._rule.name

    @property
    def start(self) -> tuple[float, ...]:
        """What each state begins with."""
        return self._start

    @property
    def is_constant(self) -> bool:
        """Not as far as anybody should rely on it."""
        return False

    def begin_epoch(self, epoch: Epoch) -> None:
        """Go on with the batches of another epoch."""
        self._epoch = epoch

    def numbers(self, steps: Any, rates: Any = None) -> Array:
        """The table that the kernels read: a row for every step, which count from 1."""
        t = np.asarray(steps, np.float64)
        table = np.empty((t.size, len(self.rule.numbers)))
        table[:, 0] = self.learning_rate if rates is None else rates
        self._fill(table[:, :-2], t)
        first, shares, decays = self._epoch
        batch = (t.astype(int) - 1 - first) % len(shares)  # in any of several epochs that are alike
        table[:, -2], table[:, -1] = decays[batch], shares[batch]
        return table

    def _fill(self, table: Array, t: Array) -> None:
        """Fill in all but decay and share, where there are but the learning rates."""
        raise NotImplementedError

    def to_engine(self) -> Optimizer:
        """The engine's own optimizer that comes nearest, for whoever looks at the network."""
        raise NotImplementedError

    @property
    def is_steady(self) -> bool:
        """Whether the end of an epoch changes nothing by itself."""
        return True

    def end_epoch(self, samples: int) -> None:
        """Go on after so many samples in all."""

    def stagnate(self) -> tuple[bool, str]:
        """Whether to stop where nothing improves any more, and what to say."""
        return True, "Stopping."


class SGDSteps(Steps):
    """Gradient descent with the learning rates "constant", "invscaling" and "adaptive"."""

    def __init__(self, rate: float, course: str, momentum: float, nesterov: bool, power_t: float) -> None:
        self._name = "sgd" if momentum == 0 else "nesterov" if nesterov else "momentum"
        rule = _rule(self._name)
        super().__init__(rule, (0.0,) * len(rule.states), rate)
        self._initial, self._course, self._momentum, self._power_t = float(rate), course, float(momentum), power_t

    def _fill(self, table: Array, t: Array) -> None:
        table[:, 1:] = self._momentum  # where there is a column for it

    def to_engine(self) -> SGD:
        """The same, as far as its momentum is one that the engine takes."""
        if not 0 < self._momentum < 1:
            return SGD(self.learning_rate)
        return SGD(self.learning_rate, self._momentum, self._name == "nesterov")

    @property
    def is_steady(self) -> bool:
        """Whether the end of an epoch changes nothing by itself."""
        return self._course != "invscaling"

    def end_epoch(self, samples: int) -> None:
        """Go on after so many samples in all."""
        if not self.is_steady:
            self.learning_rate = self._initial / (samples + 1) ** self._power_t

    def stagnate(self) -> tuple[bool, str]:
        """Whether to stop where nothing improves any more, and what to say."""
        if self._course != "adaptive":
            return super().stagnate()
        if self.learning_rate <= _SMALLEST_RATE:
            return True, "Learning rate too small. Stopping."
        self.learning_rate /= _SLOWER
        return False, f"Setting learning rate to {self.learning_rate:f}"


class AdamSteps(Steps):
    """Adam."""

    def __init__(self, rate: float, beta_1: float, beta_2: float, epsilon: float) -> None:
        super().__init__(_rule("adam"), (0.0, 0.0), rate)
        self._numbers = float(beta_1), float(beta_2), float(epsilon)

    def _fill(self, table: Array, t: Array) -> None:
        beta_1, beta_2, epsilon = self._numbers
        table[:, 0] *= np.sqrt(1 - beta_2**t)
        table[:, 0] /= 1 - beta_1**t
        table[:, 1:] = beta_1, 1 - beta_1, beta_2, 1 - beta_2, max(epsilon, SMALLEST_FLOAT32)

    def to_engine(self) -> Adam:
        """The same, but for where epsilon stands."""
        return Adam(self.learning_rate, *self._numbers)


class EngineSteps(Steps):
    """An optimizer of the engine as it is."""

    def __init__(self, given: Optimizer) -> None:
        super().__init__(given.rule, given.start, given.learning_rate)
        self._given = given

    def _fill(self, table: Array, t: Array) -> None:
        table[:] = self._given.numbers(t, table[:, 0].copy())

    def to_engine(self) -> Optimizer:
        """The optimizer itself."""
        return self._given
