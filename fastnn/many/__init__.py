"""Many networks at once: populations, ensembles, searches, clusters."""

from fastnn.many.checks import Each, each
from fastnn.many.clients import RayExecutor
from fastnn.many.distributed import fit_distributed
from fastnn.many.ensemble import Ensemble
from fastnn.many.fit import PopulationError, fit_many
from fastnn.many.searches import CrossValidation, SearchResult, Trial, cross_validate, search

__all__ = [
    "CrossValidation",
    "Each",
    "Ensemble",
    "PopulationError",
    "RayExecutor",
    "SearchResult",
    "Trial",
    "cross_validate",
    "each",
    "fit_distributed",
    "fit_many",
    "search",
]
