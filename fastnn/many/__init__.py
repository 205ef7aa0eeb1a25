"""Many networks at once: populations, ensembles, searches, clusters."""

from fastnn.many.checks import Each, each
from fastnn.many.clients import RayExecutor
from fastnn.many.ensemble import Ensemble
from fastnn.many.fit import PopulationError, fit_many

__all__ = ["Each", "Ensemble", "PopulationError", "RayExecutor", "each", "fit_many"]
