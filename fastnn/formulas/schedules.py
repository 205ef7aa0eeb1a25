"""Schedules: how the learning rate changes in training.

A schedule multiplies the optimizer's learning rate by a number in every step. Steps count from 0 here; ``u`` is the
share of training done, ``step / total_steps``, and epochs done are ``step / steps_per_epoch``.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn import validation
from fastnn.formulas import specs

Rates = NDArray[np.float64]
_Bounds = Mapping[str, Mapping[str, float]]
_POSITIVE: Mapping[str, float] = MappingProxyType({"above": 0})
_NONNEGATIVE: Mapping[str, float] = MappingProxyType({"at_least": 0})
_SHARE: Mapping[str, float] = MappingProxyType({"above": 0, "below": 1})


class Schedule:
    """What all schedules have in common; a subclass is a frozen dataclass with a ``multiplier``.

    Attributes
    ----------
    name : str
        What users write; of class.
    """

    name: ClassVar[str]
    _bounds: ClassVar[_Bounds] = {}

    def __post_init__(self) -> None:
        """Keep plain Python numbers within bounds."""
        for field, bounds in self._bounds.items():
            object.__setattr__(self, field, validation.check_number(field, getattr(self, field), **bounds))

    def multiplier(self, step: Rates, steps_per_epoch: int, total_steps: int) -> Rates | float:
        """What the learning rate is multiplied by in each of these steps."""
        raise NotImplementedError

    def rate(self, base: float, step: Any, steps_per_epoch: int, total_steps: int) -> Rates:
        """The learning rates of steps.

        Parameters
        ----------
        base : float
            The optimizer's learning rate.
        step : array-like (n,)
            Numbers of steps, from 0.
        steps_per_epoch : int
            Steps in an epoch.
        total_steps : int
            Steps in the whole training.

        Returns
        -------
        float64 array (n,)

        Raises
        ------
        ValueError
            If the schedule gives a rate that is negative or not finite.

        Examples
        --------
        >>> from fastnn.formulas.schedules import StepDecay
        >>> StepDecay(every=2, factor=0.5).rate(0.1, [0, 10, 20, 40], steps_per_epoch=10, total_steps=50)
        array([0.1  , 0.1  , 0.05 , 0.025])
        """
        at = np.atleast_1d(np.asarray(step, np.float64))
        rates = np.empty(at.shape)
        rates[...] = base * np.asarray(self.multiplier(at, steps_per_epoch, total_steps), np.float64)
        wrong = ~(np.isfinite(rates) & (rates >= 0))
        if wrong.any():
            i = int(np.argmax(wrong))
            raise ValueError(f"schedule {self!r} gives the learning rate {rates[i]} in step {at[i]:.0f}")
        return rates


@dataclass(frozen=True)
class Constant(Schedule):
    """The same learning rate throughout.

    Examples
    --------
    >>> from fastnn.formulas.schedules import Constant
    >>> Constant().rate(0.5, [0, 1], 1, 2)
    array([0.5, 0.5])
    """

    name: ClassVar[str] = "constant"

    def multiplier(self, step: Rates, steps_per_epoch: int, total_steps: int) -> Rates | float:
        """``1``."""
        return 1.0


@dataclass(frozen=True)
class StepDecay(Schedule):
    """Multiply by ``factor`` after every so many epochs: ``factor^floor(epochs done / every)``.

    Parameters
    ----------
    every : float, default 10
        Epochs between changes, > 0.
    factor : float, default 0.1
        In (0, 1).

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong.

    Examples
    --------
    >>> from fastnn.formulas.schedules import StepDecay
    >>> StepDecay(every=1, factor=0.5).rate(1.0, [0, 9, 10], 10, 20)
    array([1. , 1. , 0.5])
    """

    every: float = 10.0
    factor: float = 0.1
    name: ClassVar[str] = "step"
    _bounds: ClassVar[_Bounds] = {"every": _POSITIVE, "factor": _SHARE}

    def multiplier(self, step: Rates, steps_per_epoch: int, total_steps: int) -> Rates | float:
        """``factor^floor(epochs done / every)``."""
        return np.power(self.factor, step // (self.every * steps_per_epoch))


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """Multiply by ``factor`` in every epoch, a little in every step: ``factor^(epochs done)``.

    Parameters
    ----------
    factor : float, default 0.95
        In (0, 1).

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong.

    Examples
    --------
    >>> from fastnn.formulas.schedules import ExponentialDecay
    >>> ExponentialDecay(factor=0.25).rate(1.0, [0, 5, 10], 10, 20)
    array([1.  , 0.5 , 0.25])
    """

    factor: float = 0.95
    name: ClassVar[str] = "exponential"
    _bounds: ClassVar[_Bounds] = {"factor": _SHARE}

    def multiplier(self, step: Rates, steps_per_epoch: int, total_steps: int) -> Rates | float:
        """``factor^(epochs done)``."""
        return np.power(self.factor, step / steps_per_epoch)


@dataclass(frozen=True)
class CosineDecay(Schedule):
    """Half a cosine down, once or again and again (Loshchilov and Hutter, 2017).

    ``final + (1 - final) (1 + cos(pi v)) / 2``, where v goes from 0 to 1 in every cycle.

    Parameters
    ----------
    period : float, optional
        Epochs of the first cycle, > 0; by default the whole training is one cycle.
    growth : float, default 1
        How much longer every cycle is than the one before, >= 1.
    final : float, default 0.0
        Share of the learning rate at the end of a cycle, >= 0.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong.

    Examples
    --------
    >>> from fastnn.formulas.schedules import CosineDecay
    >>> CosineDecay().rate(1.0, [0, 10, 20], 10, 20).round(3)
    array([1. , 0.5, 0. ])
    >>> CosineDecay(period=1, growth=2).rate(1.0, [0, 5, 10, 20, 30], 10, 30).round(3)
    array([1. , 0.5, 1. , 0.5, 1. ])
    """

    period: float | None = None
    growth: float = 1.0
    final: float = 0.0
    name: ClassVar[str] = "cosine"
    _bounds: ClassVar[_Bounds] = {"growth": {"at_least": 1}, "final": _NONNEGATIVE}

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        if self.period is not None:
            object.__setattr__(self, "period", validation.check_number("period", self.period, above=0))

    def multiplier(self, step: Rates, steps_per_epoch: int, total_steps: int) -> Rates | float:
        """``final + (1 - final) (1 + cos(pi v)) / 2``."""
        share = (
            step / total_steps if self.period is None else self._share_of_cycle(step / steps_per_epoch / self.period)
        )
        result: Rates = self.final + (1 - self.final) * 0.5 * (1 + np.cos(np.pi * share))
        return result

    def _share_of_cycle(self, done: Rates) -> Rates:
        """How much of its cycle is over, from time in lengths of the first cycle."""
        if self.growth == 1:
            return done % 1
        # Cycle k begins at (growth^k - 1) / (growth - 1). Its number is taken with care for rounding at the border.
        k = np.floor(np.log1p(done * (self.growth - 1)) / math.log(self.growth) + 1e-9)
        share: Rates = (done - (self.growth**k - 1) / (self.growth - 1)) / self.growth**k
        return np.clip(share, 0, 1)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up to the learning rate and down again along half cosines (Smith and Topin, 2018), as in PyTorch.

    From ``start`` to 1 in the first ``warmup`` of the steps, then to ``final``.

    Parameters
    ----------
    warmup : float, default 0.3
        Share of the steps that goes up, in (0, 1).
    start : float, default 0.04
        Share of the learning rate in the first step, >= 0.
    final : float, default 4e-6
        Share of the learning rate in the last step, >= 0.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong.

    Examples
    --------
    >>> from fastnn.formulas.schedules import OneCycle
    >>> OneCycle(warmup=0.5, start=0.1, final=0).rate(1.0, [0, 4, 9], 10, 10).round(3)
    array([0.1, 1. , 0. ])
    """

    warmup: float = 0.3
    start: float = 0.04
    final: float = 4e-6
    name: ClassVar[str] = "one_cycle"
    _bounds: ClassVar[_Bounds] = {"warmup": _SHARE, "start": _NONNEGATIVE, "final": _NONNEGATIVE}

    def multiplier(self, step: Rates, steps_per_epoch: int, total_steps: int) -> Rates | float:
        """Half a cosine up and half a cosine down."""
        top, last = max(self.warmup * total_steps - 1, 0.0), max(total_steps - 1, 1)
        up = np.clip(step / top if top else np.ones_like(step), 0, 1)
        down = np.clip((step - top) / (last - top), 0, 1) if last > top else np.zeros_like(step)
        rising = 1 + (self.start - 1) * 0.5 * (1 + np.cos(np.pi * up))
        falling: Rates = self.final + (1 - self.final) * 0.5 * (1 + np.cos(np.pi * down))
        return np.where(step <= top, rising, falling)


@dataclass(frozen=True)
class InverseScaling(Schedule):
    """``1 / (step + 1)^power``.

    Parameters
    ----------
    power : float, default 0.5
        How fast it falls, > 0.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong.

    Examples
    --------
    >>> from fastnn.formulas.schedules import InverseScaling
    >>> InverseScaling().rate(1.0, [0, 3], 10, 10)
    array([1. , 0.5])
    """

    power: float = 0.5
    name: ClassVar[str] = "inverse_scaling"
    _bounds: ClassVar[_Bounds] = {"power": _POSITIVE}

    def multiplier(self, step: Rates, steps_per_epoch: int, total_steps: int) -> Rates | float:
        """``1 / (step + 1)^power``."""
        return np.power(step + 1, -self.power)


@dataclass(frozen=True)
class PolynomialDecay(Schedule):
    """``final + (1 - final) (1 - u)^power``, a straight line by default.

    Parameters
    ----------
    power : float, default 1.0
        The shape, > 0.
    final : float, default 0.0
        Share of the learning rate at the end of training, >= 0.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong.

    Examples
    --------
    >>> from fastnn.formulas.schedules import PolynomialDecay
    >>> PolynomialDecay().rate(1.0, [0, 5, 10], 10, 10)
    array([1. , 0.5, 0. ])
    """

    power: float = 1.0
    final: float = 0.0
    name: ClassVar[str] = "polynomial"
    _bounds: ClassVar[_Bounds] = {"power": _POSITIVE, "final": _NONNEGATIVE}

    def multiplier(self, step: Rates, steps_per_epoch: int, total_steps: int) -> Rates | float:
        """``final + (1 - final) (1 - u)^power``."""
        left = 1 - np.minimum(step / total_steps, 1)
        result: Rates = self.final + (1 - self.final) * np.power(left, self.power)
        return result


@dataclass(frozen=True)
class ShareOfTraining(Schedule):
    """Any function of the share of training done.

    Parameters
    ----------
    function : callable
        From u in [0, 1] to what the learning rate is multiplied by; on arrays if it can, else number by number.

    Raises
    ------
    TypeError
        If it is not callable.

    Examples
    --------
    >>> from fastnn.formulas.schedules import ShareOfTraining
    >>> ShareOfTraining(lambda u: 1.0 if u < 0.5 else 0.1).rate(1.0, [0, 5], 10, 10)
    array([1. , 0.1])
    """

    function: Callable[[Any], Any]
    name: ClassVar[str] = "share_of_training"

    def __post_init__(self) -> None:
        """Check the argument."""
        if not callable(self.function):
            raise TypeError(f"function must be callable, got {type(self.function).__name__} {self.function!r}")

    def multiplier(self, step: Rates, steps_per_epoch: int, total_steps: int) -> Rates | float:
        """``function(u)``."""
        share = step / total_steps
        try:
            found = np.asarray(self.function(share), np.float64)
        except (TypeError, ValueError):  # it decides by a number
            found = np.empty(0)
        if found.shape in ((), share.shape):
            return found
        return np.array([float(self.function(u)) for u in share.tolist()])


@dataclass(frozen=True)
class Warmup(Schedule):
    """Begin small: a straight line up in the first steps, then another schedule over the rest.

    Parameters
    ----------
    epochs : float, default 1.0
        How long it takes, > 0. The n-th of N steps has ``start + (1 - start) n / N`` of the rate that comes after.
    then : Schedule, str or callable, default "constant"
        What comes after, as for ``fit``.
    start : float, default 0.0
        Share to begin from, in [0, 1).

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong.

    Examples
    --------
    >>> from fastnn.formulas.schedules import Warmup
    >>> Warmup(epochs=1, then="polynomial").rate(1.0, [0, 1, 2, 3, 4, 8], 4, 12)
    array([0.25, 0.5 , 0.75, 1.  , 1.  , 0.5 ])
    """

    epochs: float = 1.0
    then: Any = "constant"
    start: float = 0.0
    name: ClassVar[str] = "warmup"
    _bounds: ClassVar[_Bounds] = {"epochs": _POSITIVE, "start": {"at_least": 0, "below": 1}}

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        object.__setattr__(self, "then", resolve(self.then, "then"))
        if isinstance(self.then, ReduceOnPlateau):
            raise ValueError("then must be a schedule of the step, got ReduceOnPlateau")

    def multiplier(self, step: Rates, steps_per_epoch: int, total_steps: int) -> Rates | float:
        """A straight line up to what comes after."""
        steps = max(round(self.epochs * steps_per_epoch), 1)
        after = self.then.multiplier(np.maximum(step - steps, 0), steps_per_epoch, max(total_steps - steps, 1))
        rising = self.start + (1 - self.start) * np.minimum((step + 1) / steps, 1)
        result: Rates = after * rising
        return result


@dataclass(frozen=True)
class ReduceOnPlateau(Schedule):
    """Multiply by ``factor`` when a figure has not improved for more than ``patience`` epochs, as in PyTorch.

    Within one ``fit``; :meth:`begin` makes what keeps count.

    Parameters
    ----------
    monitor : str, default "val_cost"
        The figure, as for ``EarlyStopping``.
    factor : float, default 0.1
        In (0, 1).
    patience : int, default 10
        Epochs without improvement that are allowed, >= 0.
    threshold : float, default 1e-4
        What an improvement must be, as a share of the best value, >= 0.
    cooldown : int, default 0
        Epochs after a change that are not counted, >= 0.
    smallest : float, default 0.0
        Share of the learning rate that it never goes below, in [0, 1).

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong.

    Examples
    --------
    >>> from fastnn.formulas.schedules import ReduceOnPlateau
    >>> plateau = ReduceOnPlateau(factor=0.5, patience=1).begin()
    >>> [plateau.after_epoch(cost) for cost in (1.0, 0.9, 0.9, 0.9, 0.9, 0.9)]
    [1.0, 1.0, 1.0, 0.5, 0.5, 0.25]
    """

    monitor: str = "val_cost"
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    cooldown: int = 0
    smallest: float = 0.0
    name: ClassVar[str] = "plateau"
    _bounds: ClassVar[_Bounds] = {
        "factor": _SHARE,
        "threshold": _NONNEGATIVE,
        "smallest": {"at_least": 0, "below": 1},
    }

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        if not isinstance(self.monitor, str):
            raise TypeError(f"monitor must be a name such as 'val_cost', got {type(self.monitor).__name__}")
        for field in ("patience", "cooldown"):
            object.__setattr__(self, field, validation.check_whole(field, getattr(self, field), at_least=0))

    def multiplier(self, step: Rates, steps_per_epoch: int, total_steps: int) -> Rates | float:
        """``1``: what has been seen decides, see :class:`Plateau`."""
        return 1.0

    def begin(self, larger_is_better: bool = False) -> "Plateau":
        """What keeps count within one fit, of a figure that should fall or rise."""
        return Plateau(self, larger_is_better)


class Plateau:
    """The state of a :class:`ReduceOnPlateau` within one fit.

    Attributes
    ----------
    multiplier : float
        What the learning rate is multiplied by now.
    monitor : str
        The figure.
    """

    def __init__(self, settings: ReduceOnPlateau, larger_is_better: bool) -> None:
        self.multiplier, self.monitor = 1.0, settings.monitor
        self._settings, self._sign = settings, -1 if larger_is_better else 1
        self._best, self._waited, self._cooling = math.inf, 0, 0

    def after_epoch(self, value: float) -> float:
        """Count an epoch with this value of the figure; returns what the learning rate is multiplied by from now on."""
        settings, cost = self._settings, self._sign * value
        if cost < self._best - settings.threshold * abs(self._best) or self._best == math.inf > cost:
            self._best, self._waited = cost, 0
        else:
            self._waited += 1
        if self._cooling:
            self._cooling, self._waited = self._cooling - 1, 0
        if self._waited > settings.patience:
            self.multiplier = max(self.multiplier * settings.factor, settings.smallest)
            self._waited, self._cooling = 0, settings.cooldown
        return self.multiplier


SCHEDULES: dict[str, type[Any]] = {
    kind.name: kind
    for kind in (
        Constant,
        StepDecay,
        ExponentialDecay,
        CosineDecay,
        OneCycle,
        InverseScaling,
        PolynomialDecay,
        Warmup,
        ReduceOnPlateau,
    )
}


def resolve(schedule: Any, argument: str = "schedule") -> Schedule:
    """A schedule object as it is, the one of a name with its parameters, or a function of the share of training done.

    Parameters
    ----------
    schedule : Schedule, str, callable or None
        None stands for a constant rate.
    argument : str
        What the errors call it.

    Returns
    -------
    Schedule

    Raises
    ------
    ValueError
        If the name or a parameter is unknown or out of bounds.
    TypeError
        If it is none of these.

    Examples
    --------
    >>> from fastnn.formulas import schedules
    >>> schedules.resolve("cosine(period=5)")
    CosineDecay(period=5.0, growth=1.0, final=0.0)
    """
    if schedule is None:
        return Constant()
    if isinstance(schedule, Schedule):
        return schedule
    if isinstance(schedule, str):
        name, given = specs.parse(argument, schedule)
        kind = SCHEDULES[validation.check_name(argument, name, SCHEDULES)]
        specs.check_given(argument, name, asdict(kind()), given)
        found: Schedule = kind(**given)
        return found
    if callable(schedule):
        return ShareOfTraining(schedule)
    raise TypeError(
        f"{argument} must be one of {sorted(SCHEDULES)}, an object such as fastnn.schedules.CosineDecay(), or a "
        f"function of the share of training done, got {type(schedule).__name__} {schedule!r}"
    )
