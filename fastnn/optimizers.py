"""The optimizers that users pass to ``fit``; their equations are in ``fastnn.formulas.optimizers``."""

from typing import Any

from fastnn import validation
from fastnn.formulas.optimizers import (
    OPTIMIZERS,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    Nadam,
    Optimizer,
    RMSprop,
    Rprop,
    resolve,
)
from fastnn.lbfgs import LBFGS

__all__ = [
    "LBFGS",
    "OPTIMIZERS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "Rprop",
    "resolve_optimizer",
]


def resolve_optimizer(optimizer: Any, argument: str = "optimizer") -> Optimizer | LBFGS:
    """An optimizer object as it is, or the one of that name with its defaults.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If it is neither a name nor an optimizer.

    Examples
    --------
    >>> from fastnn.optimizers import resolve_optimizer
    >>> resolve_optimizer("lbfgs")
    LBFGS(memory=10, tolerance=1e-05, improvement=1e-09)
    """
    if isinstance(optimizer, LBFGS):
        return optimizer
    if isinstance(optimizer, str) and validation.check_name(argument, optimizer, [*OPTIMIZERS, LBFGS.name]) == "lbfgs":
        return LBFGS()
    return resolve(optimizer, argument)
