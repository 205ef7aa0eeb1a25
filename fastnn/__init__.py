"""fastnn: the fastest way to train small and medium dense neural networks on a CPU."""

from fastnn import datasets, functions, streams
from fastnn._version import __version__
from fastnn.callbacks import EarlyStopping
from fastnn.diagnostics import Findings, TrainingWarning
from fastnn.formulas import FormulaError, ops, schedules
from fastnn.formulas.activations import activation
from fastnn.formulas.costs import cost
from fastnn.formulas.optimizers import optimizer
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
from fastnn.metrics import Metric
from fastnn.network import Network, load
from fastnn.optimizers import LBFGS, SGD, Adagrad, Adam, AdamW, Lion, Nadam, RMSprop, Rprop
from fastnn.training import DivergenceError
from fastnn.warming import warmup

__all__ = [
    "LBFGS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "DivergenceError",
    "Each",
    "EarlyStopping",
    "Ensemble",
    "Finding",
    "Findings",
    "FormulaError",
    "History",
    "Lion",
    "Metric",
    "Nadam",
    "Network",
    "PopulationError",
    "RMSprop",
    "RayExecutor",
    "Rprop",
    "TrainingWarning",
    "__version__",
    "activation",
    "cost",
    "cross_validate",
    "datasets",
    "each",
    "fit_distributed",
    "fit_many",
    "functions",
    "load",
    "ops",
    "optimizer",
    "schedules",
    "search",
    "streams",
    "warmup",
]
