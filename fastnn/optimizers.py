"""The optimizers that users pass to ``fit``; their equations are in ``fastnn.formulas.optimizers``."""

from fastnn.formulas.optimizers import OPTIMIZERS, SGD, Adam, Optimizer
from fastnn.formulas.optimizers import resolve as resolve_optimizer

__all__ = ["OPTIMIZERS", "SGD", "Adam", "Optimizer", "resolve_optimizer"]
