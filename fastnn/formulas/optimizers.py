"""The optimizers: update equations as formulas, and small frozen objects that carry the numbers in them.

The equations follow PyTorch's conventions. ``g`` is the mean gradient over the batch plus the gradients of the
penalties; steps count from t = 1. The numbers of every step stand in a table of one row per step, so that kernels read
what depends on t and do not compute it.
"""

from __future__ import annotations  # so that help() shows types by their short names

import hashlib
import json
import math
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache, cached_property
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import validation
from fastnn.formulas import checks, expressions, ops
from fastnn.formulas.expressions import Expression, FormulaError

Table = NDArray[np.float64]
SMALLEST_FLOAT32 = 1.1754943508222875e-38  # the smallest that keeps full precision; less is 0 in the kernels
_MOST_STATES, _MOST_NUMBERS = 8, 32


class RuleRow(NamedTuple):
    """The update equations of one kernel.

    Attributes
    ----------
    name : str
        What it is called.
    update : callable
        ``(g, p, s, n)``, gradient, parameter, states and numbers, to ``(p, states)`` after the step. States and
        numbers are named tuples.
    states : tuple of str
        The numbers it keeps for every parameter.
    numbers : tuple of str
        The numbers of a step, the same for all parameters; the first is the learning rate.
    weights_only : tuple of str
        Those of the numbers that are 0 for biases.
    """

    name: str
    update: Callable[..., Any]
    states: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ("rate",)
    weights_only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """Traced update equations.

    Attributes
    ----------
    name : str
        What it is called.
    states, numbers, weights_only : tuple of str
        As in the row.
    expressions : tuple of Expression
        The parameter after the step, then each state after it, in the variables ``g``, ``p``, states and numbers.
    """

    name: str
    states: tuple[str, ...]
    numbers: tuple[str, ...]
    weights_only: tuple[str, ...]
    expressions: tuple[Expression, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """The equations for people to read.

        Examples
        --------
        >>> from fastnn.formulas.optimizers import SGD
        >>> SGD(momentum=0.9).rule.texts
        ('p <- p - rate * (momentum * v + g)', 'v <- momentum * v + g')
        """
        pairs = zip(("p", *self.states), self.expressions, strict=True)
        return tuple(f"{name} <- {expressions.text(value)}" for name, value in pairs)


def _momentum(g: Any, p: Any, s: Any, n: Any) -> Any:
    v = n.momentum * s.v + g
    return p - n.rate * v, (v,)


def _nesterov(g: Any, p: Any, s: Any, n: Any) -> Any:
    v = n.momentum * s.v + g
    return p - n.rate * (n.momentum * v + g), (v,)


def _moments(g: Any, s: Any, n: Any) -> Any:
    """Means of the gradient and of its square, which forget."""
    return n.beta1 * s.m + n.rest1 * g, n.beta2 * s.v + n.rest2 * ops.square(g)


def _adam(g: Any, p: Any, s: Any, n: Any) -> Any:
    m, v = _moments(g, s, n)
    return p - n.rate * n.correction1 * m / (ops.sqrt(v) * n.correction2 + n.epsilon), (m, v)


def _adamw(g: Any, p: Any, s: Any, n: Any) -> Any:
    # One subtraction: 1 - rate * decay would be rounded to a few digits in float32.
    m, v = _moments(g, s, n)
    return p - n.rate * (n.correction1 * m / (ops.sqrt(v) * n.correction2 + n.epsilon) + n.decay * p), (m, v)


def _nadam(g: Any, p: Any, s: Any, n: Any) -> Any:
    m, v = _moments(g, s, n)
    ahead = n.share * g + n.share_next * m
    return p - n.rate * ahead / (ops.sqrt(v) * n.correction2 + n.epsilon), (m, v)


def _rmsprop(centered: bool, momentum: bool) -> Callable[..., Any]:
    def update(g: Any, p: Any, s: Any, n: Any) -> Any:
        v = n.alpha * s.v + n.rest * ops.square(g)
        states, spread = [v], v
        if centered:
            mean = n.alpha * s.mean + n.rest * g
            states.append(mean)
            spread = ops.maximum(v - ops.square(mean), 0)
        step = g / (ops.sqrt(spread) + n.epsilon)
        if momentum:
            step = n.momentum * s.step + step
            states.append(step)
        return p - n.rate * step, states

    return update


def _adagrad(g: Any, p: Any, s: Any, n: Any) -> Any:
    total = s.total + ops.square(g)
    return p - n.rate * n.slowing * g / (ops.sqrt(total) + n.epsilon), (total,)


def _lion(g: Any, p: Any, s: Any, n: Any) -> Any:
    direction = ops.sign(n.beta1 * s.m + n.rest1 * g)
    return p - n.rate * (direction + n.decay * p), (n.beta2 * s.m + n.rest2 * g,)


def _rprop(g: Any, p: Any, s: Any, n: Any) -> Any:
    turned = ops.sign(g) * ops.sign(s.previous)  # the product itself may underflow
    factor = ops.where(turned > 0, n.increase, ops.where(turned < 0, n.decrease, 1))
    size = ops.minimum(ops.maximum(s.size * factor, n.smallest), n.largest)
    taken = ops.where(turned < 0, 0, g)
    return p - ops.sign(taken) * size, (taken, size)


_ADAM = ("rate", "beta1", "rest1", "beta2", "rest2", "correction1", "correction2", "epsilon")
_RMSPROP = ("rate", "alpha", "rest", "epsilon", "momentum")

RULES = {
    row.name: row
    for row in (
        RuleRow("sgd", lambda g, p, s, n: (p - n.rate * g, ())),
        RuleRow("momentum", _momentum, ("v",), ("rate", "momentum")),
        RuleRow("nesterov", _nesterov, ("v",), ("rate", "momentum")),
        RuleRow("adam", _adam, ("m", "v"), _ADAM),
        RuleRow("adamw", _adamw, ("m", "v"), (*_ADAM, "decay"), ("decay",)),
        RuleRow(
            "nadam",
            _nadam,
            ("m", "v"),
            ("rate", "beta1", "rest1", "beta2", "rest2", "share", "share_next", "correction2", "epsilon"),
        ),
        RuleRow("rmsprop", _rmsprop(False, False), ("v",), _RMSPROP),
        RuleRow("rmsprop_momentum", _rmsprop(False, True), ("v", "step"), _RMSPROP),
        RuleRow("rmsprop_centered", _rmsprop(True, False), ("v", "mean"), _RMSPROP),
        RuleRow("rmsprop_centered_momentum", _rmsprop(True, True), ("v", "mean", "step"), _RMSPROP),
        RuleRow("adagrad", _adagrad, ("total",), ("rate", "slowing", "epsilon")),
        RuleRow("lion", _lion, ("m",), ("rate", "beta1", "rest1", "beta2", "rest2", "decay"), ("decay",)),
        RuleRow("rprop", _rprop, ("previous", "size"), ("rate", "decrease", "increase", "smallest", "largest")),
    )
}


def _trace(row: RuleRow) -> Rule:
    """The row's equations as expressions."""
    names = ["g", "p", *row.states, *row.numbers]
    if len(set(names)) < len(names):
        raise FormulaError(f"optimizer {row.name}: g, p, states and numbers need different names, got {names}")
    make_states, make_numbers = namedtuple("States", row.states), namedtuple("Numbers", row.numbers)
    traced: list[Expression] = []

    def first(*values: Expression) -> Any:
        g, p, *rest = values
        s, n = make_states(*rest[: len(row.states)]), make_numbers(*rest[len(row.states) :])
        result = row.update(g, p, s, n)
        if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], (tuple, list)):
            raise FormulaError(
                f"optimizer {row.name}: update must return (p, states), a value and a tuple, got {result}"
            )
        traced.extend(expressions.lift(x) for x in result[1])
        return result[0]

    found = expressions.trace(first, names)
    if len(traced) != len(row.states) or any(state.is_mask for state in traced):
        raise FormulaError(
            f"optimizer {row.name}: update must return p and {len(row.states)} states {list(row.states)}, "
            f"got {len(traced)}"
        )
    return Rule(row.name, row.states, row.numbers, row.weights_only, (found, *traced))


@cache
def rule(name: str) -> Rule:
    """The update equations of a built-in kernel."""
    return _trace(RULES[name])


_POSITIVE: Mapping[str, float] = MappingProxyType({"above": 0})
_SHARE: Mapping[str, float] = MappingProxyType({"at_least": 0, "below": 1})
_NONNEGATIVE: Mapping[str, float] = MappingProxyType({"at_least": 0})


class Optimizer:
    """What all optimizers have in common; a subclass is a frozen dataclass.

    Attributes
    ----------
    learning_rate : float
        The step size.
    name : str
        What users write.
    usual_rate : float
        A learning rate that is large for it, of class.
    full_batch : bool
        Whether it needs the gradient over all samples in every step, of class.
    """

    name: ClassVar[str]
    usual_rate: ClassVar[float] = 0.01
    full_batch: ClassVar[bool] = False
    _bounds: ClassVar[Mapping[str, Mapping[str, float]]] = {}
    learning_rate: float

    def __post_init__(self) -> None:
        """Keep plain Python numbers within bounds."""
        for field, bounds in {"learning_rate": _POSITIVE, **self._bounds}.items():
            object.__setattr__(self, field, validation.check_number(field, getattr(self, field), **bounds))

    @property
    def kernel(self) -> str:
        """The name of its update equations."""
        return self.name

    @property
    def rule(self) -> Rule:
        """Its update equations."""
        return rule(self.kernel)

    @property
    def start(self) -> tuple[float, ...]:
        """What each state begins with."""
        return (0.0,) * len(self.rule.states)

    def step_numbers(self, steps: Table) -> Sequence[float | Table]:
        """The rule's numbers after the learning rate, for steps 1, 2, ...; numbers, or one value per step."""
        return ()

    def numbers(self, steps: Any, rates: Any = None) -> Table:
        """The table of numbers that kernels read.

        Parameters
        ----------
        steps : array-like (n,)
            The numbers of the steps, from 1.
        rates : array-like (n,), optional
            Learning rates of the steps, in place of ``learning_rate``.

        Returns
        -------
        float64 array (n, k)
            In the order of ``rule.numbers``.

        Examples
        --------
        >>> from fastnn.formulas.optimizers import SGD
        >>> SGD(learning_rate=0.5, momentum=0.9).numbers([1, 2], rates=[0.5, 0.25])
        array([[0.5 , 0.9 ],
               [0.25, 0.9 ]])
        """
        t = np.asarray(steps, np.float64)
        table = np.empty((t.size, len(self.rule.numbers)))
        for i, column in enumerate((self.learning_rate if rates is None else rates, *self.step_numbers(t))):
            table[:, i] = column
        return table

    @property
    def is_constant(self) -> bool:
        """Whether the numbers of all steps are the same."""
        table = self.numbers([1, 2, 1000])
        return bool((table == table[0]).all())

    def to_data(self) -> dict[str, Any]:
        """Name and numbers, for a file."""
        return {"name": self.name, **asdict(self)}  # type: ignore[call-overload]


def _epsilon(epsilon: float) -> float:
    return max(epsilon, SMALLEST_FLOAT32)


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent, optionally with momentum.

    Parameters
    ----------
    learning_rate : float, default 0.5
        Step size, > 0.
    momentum : float, default 0.0
        In [0, 1). Zero is plain gradient descent, ``w <- w - learning_rate g``. Otherwise
        ``v <- momentum v + g`` and ``w <- w - learning_rate v``, with v starting at zero.
    nesterov : bool, default False
        Step along ``g + momentum v`` instead of ``v``; needs ``momentum > 0``.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If it is no number.

    Examples
    --------
    >>> from fastnn.formulas.optimizers import SGD
    >>> SGD(learning_rate=0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9, nesterov=False)
    """

    learning_rate: float = 0.5
    momentum: float = 0.0
    nesterov: bool = False
    name: ClassVar[str] = "sgd"
    usual_rate: ClassVar[float] = 0.5
    _bounds: ClassVar[Mapping[str, Mapping[str, float]]] = {"momentum": _SHARE}

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        object.__setattr__(self, "nesterov", validation.check_flag("nesterov", self.nesterov))
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=True needs momentum > 0, got momentum=0.0; use for example momentum=0.9")

    @property
    def kernel(self) -> str:
        """The name of its update equations."""
        return "sgd" if self.momentum == 0 else "nesterov" if self.nesterov else "momentum"

    def step_numbers(self, steps: Table) -> Sequence[float | Table]:
        """The momentum where it is used."""
        return (self.momentum,) if self.momentum else ()


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015).

    ``m <- beta1 m + (1 - beta1) g``, ``v <- beta2 v + (1 - beta2) g^2``,
    ``w <- w - learning_rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)`` in step t = 1, 2, ...

    Parameters
    ----------
    learning_rate : float, default 0.001
        Step size, > 0.
    beta1, beta2 : float, default 0.9 and 0.999
        Decay of the two moments, in [0, 1).
    epsilon : float, default 1e-8
        Keeps the division finite, > 0.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If it is no number.

    Examples
    --------
    >>> from fastnn.formulas.optimizers import Adam
    >>> Adam(learning_rate=0.01).beta2
    0.999
    """

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    name: ClassVar[str] = "adam"
    _bounds: ClassVar[Mapping[str, Mapping[str, float]]] = {"beta1": _SHARE, "beta2": _SHARE, "epsilon": _POSITIVE}

    def step_numbers(self, steps: Table) -> Sequence[float | Table]:
        """Decays, what is left of 1, and the corrections for starting at zero."""
        correction1, correction2 = 1 / (1 - self.beta1**steps), 1 / np.sqrt(1 - self.beta2**steps)
        decays = (self.beta1, 1 - self.beta1, self.beta2, 1 - self.beta2)
        return (*decays, correction1, correction2, _epsilon(self.epsilon))


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019).

    Adam's step, and ``w <- w - learning_rate weight_decay w`` with the w before it, for weights and not for biases.

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon
        As for :class:`Adam`.
    weight_decay : float, default 0.01
        Strength of the decay, >= 0.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If it is no number.

    Examples
    --------
    >>> from fastnn.formulas.optimizers import AdamW
    >>> AdamW(weight_decay=0.1).learning_rate
    0.001
    """

    weight_decay: float = 0.01
    name: ClassVar[str] = "adamw"
    _bounds: ClassVar[Mapping[str, Mapping[str, float]]] = {**Adam._bounds, "weight_decay": _NONNEGATIVE}

    def step_numbers(self, steps: Table) -> Sequence[float | Table]:
        """Adam's numbers and the decay."""
        return (*super().step_numbers(steps), self.weight_decay)


@dataclass(frozen=True)
class Nadam(Adam):
    """Adam with Nesterov's momentum (Dozat, 2016), with a schedule of the momentum as in PyTorch.

    m and v as in Adam; ``mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)``, ``M_t = mu_1 mu_2 ... mu_t``,
    ``w <- w - learning_rate (g (1 - mu_t) / (1 - M_t) + m mu_{t+1} / (1 - M_{t+1})) / (sqrt(v / (1 - beta2^t)) +
    epsilon)``.

    Parameters
    ----------
    learning_rate : float, default 0.002
        Step size, > 0.
    beta1, beta2, epsilon
        As for :class:`Adam`.
    momentum_decay : float, default 0.004
        How fast the momentum grows to beta1, >= 0.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If it is no number.

    Examples
    --------
    >>> from fastnn.formulas.optimizers import Nadam
    >>> Nadam().numbers([1]).shape
    (1, 9)
    """

    learning_rate: float = 0.002
    momentum_decay: float = 0.004
    name: ClassVar[str] = "nadam"
    _bounds: ClassVar[Mapping[str, Mapping[str, float]]] = {**Adam._bounds, "momentum_decay": _NONNEGATIVE}

    def step_numbers(self, steps: Table) -> Sequence[float | Table]:
        """Decays, what is left of 1, the shares of gradient and mean, correction and epsilon."""
        # Beyond this step the product of the momenta, at most beta1^t, is lost beside 1.
        last = 1 if self.beta1 == 0 else math.ceil(math.log(1e-20) / math.log(self.beta1)) + 1
        known = np.arange(1, min(int(steps.max(initial=1)) + 1, last) + 1)
        products = np.cumprod(self._momentum(known))
        at = np.minimum(steps.astype(np.int64), known.size) - 1
        after = np.minimum(at + 1, known.size - 1)
        share = (1 - self._momentum(steps)) / (1 - products[at])
        share_next = self._momentum(steps + 1) / (1 - products[after])
        decays = (self.beta1, 1 - self.beta1, self.beta2, 1 - self.beta2)
        return (*decays, share, share_next, 1 / np.sqrt(1 - self.beta2**steps), _epsilon(self.epsilon))

    def _momentum(self, steps: NDArray[Any]) -> Table:
        result: Table = self.beta1 * (1 - 0.5 * 0.96 ** (steps * self.momentum_decay))
        return result


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton, 2012), as in PyTorch.

    ``v <- alpha v + (1 - alpha) g^2``, ``u = g / (sqrt(v) + epsilon)``, ``w <- w - learning_rate u``.
    With ``centered``, ``c <- alpha c + (1 - alpha) g`` and ``v - c^2`` stands in place of v under the root.
    With momentum, ``b <- momentum b + u`` and ``w <- w - learning_rate b``.

    Parameters
    ----------
    learning_rate : float, default 0.01
        Step size, > 0.
    alpha : float, default 0.99
        Decay of the mean square, in [0, 1).
    epsilon : float, default 1e-8
        Keeps the division finite, > 0.
    momentum : float, default 0.0
        In [0, 1).
    centered : bool, default False
        Whether to divide by the standard deviation of the gradient in place of its root mean square.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If it is no number.

    Examples
    --------
    >>> from fastnn.formulas.optimizers import RMSprop
    >>> RMSprop(momentum=0.9).kernel
    'rmsprop_momentum'
    """

    learning_rate: float = 0.01
    alpha: float = 0.99
    epsilon: float = 1e-8
    momentum: float = 0.0
    centered: bool = False
    name: ClassVar[str] = "rmsprop"
    _bounds: ClassVar[Mapping[str, Mapping[str, float]]] = {
        "alpha": _SHARE,
        "epsilon": _POSITIVE,
        "momentum": _SHARE,
    }

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        object.__setattr__(self, "centered", validation.check_flag("centered", self.centered))

    @property
    def kernel(self) -> str:
        """The name of its update equations."""
        return "rmsprop" + "_centered" * self.centered + "_momentum" * (self.momentum > 0)

    def step_numbers(self, steps: Table) -> Sequence[float | Table]:
        """Decay, what is left of 1, epsilon and momentum."""
        return (self.alpha, 1 - self.alpha, _epsilon(self.epsilon), self.momentum)


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan and Singer, 2011), as in PyTorch.

    ``s <- s + g^2``, ``w <- w - learning_rate / (1 + (t - 1) rate_decay) g / (sqrt(s) + epsilon)``.

    Parameters
    ----------
    learning_rate : float, default 0.01
        Step size, > 0.
    rate_decay : float, default 0.0
        How fast the learning rate falls, >= 0.
    initial_accumulator : float, default 0.0
        What s starts with, >= 0.
    epsilon : float, default 1e-10
        Keeps the division finite, > 0.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If it is no number.

    Examples
    --------
    >>> from fastnn.formulas.optimizers import Adagrad
    >>> Adagrad(initial_accumulator=0.1).start
    (0.1,)
    """

    learning_rate: float = 0.01
    rate_decay: float = 0.0
    initial_accumulator: float = 0.0
    epsilon: float = 1e-10
    name: ClassVar[str] = "adagrad"
    usual_rate: ClassVar[float] = 0.1
    _bounds: ClassVar[Mapping[str, Mapping[str, float]]] = {
        "rate_decay": _NONNEGATIVE,
        "initial_accumulator": _NONNEGATIVE,
        "epsilon": _POSITIVE,
    }

    @property
    def start(self) -> tuple[float, ...]:
        """What the sum begins with."""
        return (self.initial_accumulator,)

    def step_numbers(self, steps: Table) -> Sequence[float | Table]:
        """How much slower the step is, and epsilon."""
        return (1 / (1 + (steps - 1) * self.rate_decay), _epsilon(self.epsilon))


@dataclass(frozen=True)
class Lion(Optimizer):
    """Lion (Chen et al., 2023): steps of equal size along signs.

    ``w <- w - learning_rate (sign(beta1 m + (1 - beta1) g) + weight_decay w)``, ``m <- beta2 m + (1 - beta2) g``;
    biases do not decay.

    Parameters
    ----------
    learning_rate : float, default 0.0001
        Step size, > 0; about a tenth of Adam's.
    beta1, beta2 : float, default 0.9 and 0.99
        In [0, 1).
    weight_decay : float, default 0.0
        Strength of the decay, >= 0; about ten times AdamW's.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If it is no number.

    Examples
    --------
    >>> from fastnn.formulas.optimizers import Lion
    >>> Lion().rule.states
    ('m',)
    """

    learning_rate: float = 0.0001
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0
    name: ClassVar[str] = "lion"
    usual_rate: ClassVar[float] = 0.001
    _bounds: ClassVar[Mapping[str, Mapping[str, float]]] = {
        "beta1": _SHARE,
        "beta2": _SHARE,
        "weight_decay": _NONNEGATIVE,
    }

    def step_numbers(self, steps: Table) -> Sequence[float | Table]:
        """Decays, what is left of 1, and the decay of weights."""
        return (self.beta1, 1 - self.beta1, self.beta2, 1 - self.beta2, self.weight_decay)


@dataclass(frozen=True)
class Rprop(Optimizer):
    """Resilient propagation (Riedmiller and Braun, 1993), as in PyTorch: a step size for every parameter.

    Where the gradient keeps its sign the step size is multiplied by ``increase``; where it changes, by ``decrease``,
    and the gradient counts as 0 in this step. Then ``w <- w - sign(g) size``. It needs the gradient over all samples:
    ``batch_size`` must be their number.

    Parameters
    ----------
    learning_rate : float, default 0.01
        The first step size, > 0.
    decrease : float, default 0.5
        In (0, 1).
    increase : float, default 1.2
        At least 1.
    smallest, largest : float, default 1e-6 and 50
        Bounds of the step sizes, > 0.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If it is no number.

    Examples
    --------
    >>> from fastnn.formulas.optimizers import Rprop
    >>> Rprop(learning_rate=0.1).start
    (0.0, 0.1)
    """

    learning_rate: float = 0.01
    decrease: float = 0.5
    increase: float = 1.2
    smallest: float = 1e-6
    largest: float = 50.0
    name: ClassVar[str] = "rprop"
    full_batch: ClassVar[bool] = True
    _bounds: ClassVar[Mapping[str, Mapping[str, float]]] = {
        "decrease": {"above": 0, "below": 1},
        "increase": {"at_least": 1},
        "smallest": _POSITIVE,
        "largest": _POSITIVE,
    }

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        if self.smallest > self.largest:
            raise ValueError(f"smallest must be at most largest, got {self.smallest} and {self.largest}")

    @property
    def start(self) -> tuple[float, ...]:
        """The gradient before, and the first step size."""
        return (0.0, self.learning_rate)

    def step_numbers(self, steps: Table) -> Sequence[float | Table]:
        """Factors and bounds of the step sizes."""
        return (self.decrease, self.increase, self.smallest, self.largest)


OPTIMIZERS: dict[str, type[Any]] = {
    kind.name: kind for kind in (SGD, Adam, AdamW, Nadam, RMSprop, Adagrad, Lion, Rprop)
}


@dataclass(frozen=True)
class OwnOptimizer(Optimizer):
    """What :func:`fastnn.optimizer` returns: update equations of a user's own, with their numbers.

    Attributes
    ----------
    learning_rate : float
        The step size.
    own_name : str
        What files and messages call it.
    equations : Rule
        The update equations.
    number_formulas : tuple of Expression
        The numbers after the learning rate, in the variable ``step``.
    first_states : tuple of float
        What each state begins with.
    """

    learning_rate: float
    own_name: str
    equations: Rule
    number_formulas: tuple[Expression, ...]
    first_states: tuple[float, ...]
    name: ClassVar[str] = "own"

    @cached_property
    def kernel(self) -> str:
        """The name of its update equations, and what tells them from others of that name: memory is theirs alone."""
        content = json.dumps([self.rule.states, self.rule.numbers, expressions.to_data(self.rule.expressions)])
        return f"{self.own_name} {hashlib.sha256(content.encode()).hexdigest()[:16]}"

    @property
    def rule(self) -> Rule:
        """Its update equations."""
        return self.equations

    @property
    def start(self) -> tuple[float, ...]:
        """What each state begins with."""
        return self.first_states

    def step_numbers(self, steps: Table) -> Sequence[float | Table]:
        """The numbers after the learning rate."""
        return ops.compute(self.number_formulas, {"step": steps})

    def to_data(self) -> dict[str, Any]:
        """Equations and numbers, for a file."""
        return {
            "name": self.name,
            "own_name": self.own_name,
            "learning_rate": self.learning_rate,
            "states": list(self.rule.states),
            "numbers": list(self.rule.numbers),
            "weights_only": list(self.rule.weights_only),
            "update": expressions.to_data(self.rule.expressions),
            "number_formulas": expressions.to_data(self.number_formulas),
            "first_states": list(self.first_states),
        }


def optimizer(
    name: str,
    update: Callable[..., Any],
    *,
    learning_rate: float,
    states: Sequence[str] | Mapping[str, float] = (),
    weights_only: Sequence[str] = (),
    **numbers: float | Callable[..., Any],
) -> OwnOptimizer:
    """An optimizer of your own, as fast as the built-in ones.

    Parameters
    ----------
    name : str
        What files and messages call it; an identifier that no built-in optimizer has.
    update : callable
        ``(g, p, s, n)``, gradient, parameter, states and numbers, to ``(p, states)`` after the step, over operators
        and ``fastnn.ops``. States and numbers are named tuples; ``n.rate`` is the learning rate.
    learning_rate : float
        Step size, > 0; schedules change it.
    states : sequence of str, or mapping of str to float
        Names of what is kept for every parameter, with the value it begins with, 0 by default.
    weights_only : sequence of str
        Names of numbers that are 0 for biases.
    **numbers : float or callable
        Further numbers; a callable is a formula of the number of the step, 1, 2, ...

    Returns
    -------
    OwnOptimizer
        To be given to ``fit``. Nothing is registered. Saved networks carry the equations as data.

    Raises
    ------
    FormulaError
        If the equations use what is no operation, or do not stay finite.
    ValueError
        If another argument is not what it must be.

    Examples
    --------
    >>> from fastnn.formulas.optimizers import optimizer
    >>> def update(g, p, s, n):
    ...     m = n.decay * s.m + (1 - n.decay) * g
    ...     return p - n.rate * n.correction * m, (m,)
    >>> mean = optimizer("mean", update, learning_rate=0.1, states=["m"], decay=0.9,
    ...                  correction=lambda step: 1 / (1 - 0.9**step))
    >>> mean.rule.states, mean.numbers([1, 2]).round(4).tolist()
    (('m',), [[0.1, 0.9, 10.0], [0.1, 0.9, 5.2632]])
    """
    checks.check_own_name("optimizer", name, OPTIMIZERS)
    begin = dict(states) if isinstance(states, Mapping) else dict.fromkeys(states, 0.0)
    first = tuple(validation.check_number(f"state {key} of {name}", value) for key, value in begin.items())
    formulas = []
    for key, value in numbers.items():
        if callable(value):
            formulas.append(expressions.trace(value, ["step"]))
        else:
            formulas.append(expressions.number(validation.check_number(f"{key} of {name}", value)))
    for key in weights_only:
        validation.check_name(f"weights_only of {name}", key, numbers)
    row = RuleRow(name, update, tuple(begin), ("rate", *numbers), tuple(weights_only))
    return _own(learning_rate, _trace(row), tuple(formulas), first)


def _own(rate: Any, equations: Rule, formulas: tuple[Expression, ...], first: tuple[float, ...]) -> OwnOptimizer:
    """The optimizer, once its equations have been seen to keep finite numbers finite."""
    if len(equations.states) > _MOST_STATES or len(equations.numbers) > _MOST_NUMBERS:
        raise ValueError(f"an optimizer has at most {_MOST_STATES} states and {_MOST_NUMBERS} numbers")
    made = OwnOptimizer(
        validation.check_number("learning_rate", rate, above=0), equations.name, equations, formulas, first
    )
    names = ("g", "p", *equations.states, *equations.numbers)
    for expression in equations.expressions:
        for used in expressions.variables([expression]):
            validation.check_name(f"a variable of optimizer {equations.name}", used, names)
    table = made.numbers([1, 2, 3, 1000])
    if not np.isfinite(table).all():
        i, column = np.argwhere(~np.isfinite(table))[0]
        raise FormulaError(f"optimizer {equations.name}: {equations.numbers[column]} is {table[i, column]}")
    gradients = np.array([0.0, 1e-6, -1e-3, 1.0, -30.0])
    p: Any = np.linspace(-1, 1, gradients.size)
    states: list[Any] = [np.full_like(p, value) for value in first]
    for t, row in enumerate(table[:3], 1):
        p, *states = step(equations, gradients, p, states, row)
        for what, value in zip(("p", *equations.states), (p, *states), strict=True):
            if not np.isfinite(value).all():
                g = gradients[~np.isfinite(value)][0]
                raise FormulaError(f"optimizer {equations.name}: {what} is not finite after step {t} with g = {g}")
    return made


def step(rule: Rule, g: Any, p: Any, states: Sequence[Any], numbers: Any) -> list[Any]:
    """One step in NumPy: the parameter and the states after it.

    Parameters
    ----------
    rule : Rule
        The update equations.
    g, p : array
        Gradient and parameters.
    states : sequence of array
        The states, in the order of ``rule.states``.
    numbers : array (k,)
        A row of :meth:`Optimizer.numbers`.

    Returns
    -------
    list of array
        ``[p, *states]``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.formulas.optimizers import SGD, step
    >>> sgd = SGD(learning_rate=0.5)
    >>> step(sgd.rule, np.array([1.0]), np.array([3.0]), [], sgd.numbers([1])[0])
    [array([2.5])]
    """
    values = {"g": g, "p": p, **dict(zip(rule.states, states, strict=True))}
    values |= {name: float(value) for name, value in zip(rule.numbers, numbers, strict=True)}
    return ops.compute(rule.expressions, values)


def resolve(optimizer: Any, argument: str = "optimizer") -> Optimizer:
    """An optimizer object as it is, or the one of that name with its defaults.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If it is neither a name nor an optimizer.

    Examples
    --------
    >>> from fastnn.formulas import optimizers
    >>> optimizers.resolve("adam").learning_rate
    0.001
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(optimizer, str):
        found: Optimizer = OPTIMIZERS[validation.check_name(argument, optimizer, OPTIMIZERS)]()
        return found
    raise TypeError(
        f"{argument} must be one of {sorted(OPTIMIZERS)} or an object such as fastnn.SGD(learning_rate=0.1), "
        f"got {type(optimizer).__name__}"
    )


def from_data(data: Any, argument: str = "optimizer") -> Optimizer:
    """The optimizer that :meth:`Optimizer.to_data` described; checked like any other.

    Raises
    ------
    ValueError, TypeError
        If the description is not one.

    Examples
    --------
    >>> from fastnn.formulas import optimizers
    >>> optimizers.from_data(optimizers.Adam(learning_rate=0.01).to_data())
    Adam(learning_rate=0.01, beta1=0.9, beta2=0.999, epsilon=1e-08)
    """
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        raise ValueError(f"a stored {argument} must have a name and numbers, got {str(data)[:80]}")
    if data["name"] != OwnOptimizer.name:
        kind = OPTIMIZERS[validation.check_name(argument, data["name"], OPTIMIZERS)]
        settings = {key: value for key, value in data.items() if key != "name"}
        for key in settings:
            validation.check_name(f"a number of a stored {argument}", key, [field.name for field in fields(kind)])
        found: Optimizer = kind(**settings)
        return found
    kinds = dict.fromkeys(("states", "numbers", "weights_only", "update", "number_formulas", "first_states"), list)
    content = checks.read_fields(argument, data, {"name": str, "own_name": str, "learning_rate": float, **kinds})
    _, name, rate, states, numbers, weights_only, update, number_formulas, first = content
    checks.check_own_name(argument, name, OPTIMIZERS)
    names = ["g", "p", *states, *numbers]
    for key in names:
        expressions.variable(key)
    for key in weights_only:
        validation.check_name(f"weights_only of a stored {argument}", key, numbers[1:])
    formulas = tuple(expressions.from_data(number_formulas, ["step"]))
    equations = tuple(expressions.from_data(update, names))
    sizes = len(equations) - 1, len(formulas) + 1, len(first)
    if sizes != (len(states), len(numbers), len(states)) or numbers[0] != "rate" or len(set(names)) < len(names):
        raise ValueError(f"states, numbers and equations of a stored {argument} do not belong together")
    starts = tuple(validation.check_number(f"a first state of a stored {argument}", x) for x in first)
    rule_ = Rule(name, tuple(states), tuple(numbers), tuple(weights_only), equations)
    return _own(rate, rule_, formulas, starts)
