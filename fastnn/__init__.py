"""fastnn: the fastest way to train small and medium dense neural networks on a CPU."""

from fastnn import datasets, functions
from fastnn._version import __version__
from fastnn.callbacks import EarlyStopping
from fastnn.diagnostics import Findings, TrainingWarning
from fastnn.history import Finding, History
from fastnn.many import (
    Each,
    Ensemble,
    PopulationError,
    RayExecutor,
    cross_validate,
    each,
    fit_distributed,
    fit_many,
    search,
)
from fastnn.network import Network, load
from fastnn.optimizers import SGD, Adam
from fastnn.training import DivergenceError

__all__ = [
    "SGD",
    "Adam",
    "DivergenceError",
    "Each",
    "EarlyStopping",
    "Ensemble",
    "Finding",
    "Findings",
    "History",
    "Network",
    "PopulationError",
    "RayExecutor",
    "TrainingWarning",
    "__version__",
    "cross_validate",
    "datasets",
    "each",
    "fit_distributed",
    "fit_many",
    "functions",
    "load",
    "search",
]
