"""Formulas written once: activations, costs, optimizers and schedules, and the operations they are made of."""

from fastnn.formulas import operations as ops
from fastnn.formulas.expressions import Expression, FormulaError

__all__ = ["Expression", "FormulaError", "ops"]
