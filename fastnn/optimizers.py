"""The optimizers: small frozen objects that name a kernel and carry its numbers.

The update equations follow PyTorch's conventions. ``g`` is the mean gradient over the batch plus
``l2 * w + l1 * sign(w)`` for weights (never for biases). The kernels are in ``fastnn.kernels.update``.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from fastnn import validation


def _keep(optimizer: Any, name: str, check: Callable[..., Any], **bounds: float) -> None:
    """What a check makes of an argument: plain Python numbers, which go into every file."""
    object.__setattr__(optimizer, name, check(name, getattr(optimizer, name), **bounds))


@dataclass(frozen=True)
class SGD:
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
    >>> import fastnn
    >>> fastnn.SGD(learning_rate=0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9, nesterov=False)
    """

    learning_rate: float = 0.5
    momentum: float = 0.0
    nesterov: bool = False
    name: ClassVar[str] = "sgd"

    def __post_init__(self) -> None:
        _keep(self, "learning_rate", validation.check_number, above=0)
        _keep(self, "momentum", validation.check_number, at_least=0, below=1)
        _keep(self, "nesterov", validation.check_flag)
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=True needs momentum > 0, got momentum=0.0; use for example momentum=0.9")

    @property
    def kernel(self) -> str:
        """The row of ``fastnn.kernels.update.OPTIMIZERS`` that does the work."""
        return "sgd" if self.momentum == 0 else "nesterov" if self.nesterov else "momentum"

    @property
    def settings(self) -> tuple[float, ...]:
        """The numbers that the kernel reads."""
        return (self.learning_rate, self.momentum)


@dataclass(frozen=True)
class Adam:
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
    >>> import fastnn
    >>> fastnn.Adam(learning_rate=0.01).beta2
    0.999
    """

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    name: ClassVar[str] = "adam"
    kernel: ClassVar[str] = "adam"

    def __post_init__(self) -> None:
        _keep(self, "learning_rate", validation.check_number, above=0)
        _keep(self, "beta1", validation.check_number, at_least=0, below=1)
        _keep(self, "beta2", validation.check_number, at_least=0, below=1)
        _keep(self, "epsilon", validation.check_number, above=0)

    @property
    def settings(self) -> tuple[float, ...]:
        """The numbers that the kernel reads."""
        return (self.learning_rate, self.beta1, self.beta2, self.epsilon)


Optimizer = SGD | Adam
OPTIMIZERS: dict[str, type[SGD] | type[Adam]] = {cls.name: cls for cls in (SGD, Adam)}


def resolve_optimizer(optimizer: Any) -> Optimizer:
    """An optimizer object as it is, or the one of that name with its defaults."""
    if isinstance(optimizer, (SGD, Adam)):
        return optimizer
    if isinstance(optimizer, str):
        return OPTIMIZERS[validation.check_name("optimizer", optimizer, OPTIMIZERS)]()
    raise TypeError(
        f"optimizer must be one of {sorted(OPTIMIZERS)} or an object such as fastnn.SGD(learning_rate=0.1), "
        f"got {type(optimizer).__name__}"
    )


def optimizer_config(optimizer: Optimizer) -> dict[str, Any]:
    """Name and numbers, for a file."""
    return {"name": optimizer.name, **asdict(optimizer)}
