"""Learning rates as scikit-learn moves them, in the shape of the engine's optimizers.

One such object is an estimator's ``_optimizer``; between calls of ``partial_fit`` it goes on with its learning rate,
and the engine with its memory.
"""

from typing import Any

from fastnn.optimizers import SGD, Adam

_SMALLEST_RATE = 1e-6
_SLOWER = 5.0


class Steps:
    """How the engine steps: what it reads of an optimizer, with numbers that may change from epoch to epoch.

    Attributes
    ----------
    kernel : str
        The engine's kernel.
    learning_rate : float
        The present one.
    """

    kernel: str
    learning_rate: float

    @property
    def settings(self) -> tuple[float, ...]:
        """The numbers that the kernel reads."""
        raise NotImplementedError

    def to_engine(self) -> Any:
        """The engine's own optimizer that comes nearest, for whoever looks at the network."""
        raise NotImplementedError

    def end_epoch(self, samples: int) -> None:
        """Go on after so many samples in all."""

    def stagnate(self) -> tuple[bool, str]:
        """Whether to stop where nothing improves any more, and what to say."""
        return True, "Stopping."


class SGDSteps(Steps):
    """Gradient descent with the learning rates "constant", "invscaling" and "adaptive"."""

    def __init__(self, rate: float, schedule: str, momentum: float, nesterov: bool, power_t: float) -> None:
        self.learning_rate, self._initial = float(rate), float(rate)
        self._schedule, self._momentum, self._power_t = schedule, float(momentum), power_t
        self.kernel = "sgd" if momentum == 0 else "nesterov" if nesterov else "momentum"

    @property
    def settings(self) -> tuple[float, ...]:
        """The numbers that the kernel reads."""
        return self.learning_rate, self._momentum

    def to_engine(self) -> SGD:
        """The same, as far as its momentum is one that the engine takes."""
        if not 0 < self._momentum < 1:
            return SGD(self.learning_rate)
        return SGD(self.learning_rate, self._momentum, self.kernel == "nesterov")

    def end_epoch(self, samples: int) -> None:
        """Go on after so many samples in all."""
        if self._schedule == "invscaling":
            self.learning_rate = self._initial / (samples + 1) ** self._power_t

    def stagnate(self) -> tuple[bool, str]:
        """Whether to stop where nothing improves any more, and what to say."""
        if self._schedule != "adaptive":
            return super().stagnate()
        if self.learning_rate <= _SMALLEST_RATE:
            return True, "Learning rate too small. Stopping."
        self.learning_rate /= _SLOWER
        return False, f"Setting learning rate to {self.learning_rate:f}"


class AdamSteps(Steps):
    """Adam."""

    kernel = "adam"

    def __init__(self, rate: float, beta_1: float, beta_2: float, epsilon: float) -> None:
        self.learning_rate = float(rate)
        self._numbers = float(beta_1), float(beta_2), float(epsilon)

    @property
    def settings(self) -> tuple[float, ...]:
        """The numbers that the kernel reads."""
        return self.learning_rate, *self._numbers

    def to_engine(self) -> Adam:
        """The same, but for where epsilon stands."""
        return Adam(self.learning_rate, *self._numbers)


class EngineSteps(Steps):
    """An optimizer of the engine as it is."""

    def __init__(self, optimizer: Any) -> None:
        self._optimizer = optimizer
        self.kernel, self.learning_rate = optimizer.kernel, optimizer.learning_rate

    @property
    def settings(self) -> tuple[float, ...]:
        """The numbers that the kernel reads."""
        numbers: tuple[float, ...] = self._optimizer.settings
        return numbers

    def to_engine(self) -> Any:
        """The optimizer itself."""
        return self._optimizer
