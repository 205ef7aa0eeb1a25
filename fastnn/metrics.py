"""Figures of a user's choice, measured on validation data after every epoch."""

from __future__ import annotations  # so that help() shows types by their short names

import contextlib
import inspect
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import validation
from fastnn.history import FIGURES, OWN_PREFIXES
from fastnn.inputs.labels import MULTILABEL, REGRESSION
from fastnn.inputs.reader import Reader
from fastnn.kernels.buffers import Data

Array = NDArray[Any]
_LONGEST = 200  # characters of other people's messages


@dataclass(frozen=True)
class Metric:
    """A function of true and predicted answers, with what ``fit`` must know of it to monitor it.

    Parameters
    ----------
    function : callable
        ``function(y_true, y_pred)`` to a number. Both are as ``predict`` answers: labels (n,), zeros and ones
        (n, n_out), or quantities. If it has a parameter ``sample_weight``, it gets the weights of the validation data
        where there are any.
    name : str, optional
        Under which ``history.metrics`` keeps it; by default the function's own. It may not begin with "train_" or
        "val_".
    larger_is_better : bool, optional
        Needed where ``EarlyStopping`` or a schedule monitors it.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> X, y, Xt, yt = fastnn.datasets.load_digits()
    >>> def errors(y_true, y_pred):
    ...     return int(np.count_nonzero(y_true != y_pred))
    >>> metric = fastnn.Metric(errors, larger_is_better=False)
    >>> stop = fastnn.EarlyStopping("errors", patience=2)
    >>> net = fastnn.Network([64, 16, 10])
    >>> history = net.fit(X, y, validation_data=(Xt, yt), metrics=[metric], callbacks=[stop])
    >>> bool(min(history.metrics["errors"]) == errors(yt, net.predict(Xt)))
    True
    """

    function: Callable[..., Any]
    name: str = ""
    larger_is_better: bool | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        if not callable(self.function):
            raise TypeError(f"function must be callable, got {type(self.function).__name__} {self.function!r}")
        name = self.name or getattr(self.function, "__name__", type(self.function).__name__)
        if not isinstance(name, str):
            raise TypeError(f"name must be a string, got {type(name).__name__} {name!r}")
        if name in FIGURES or name.startswith(OWN_PREFIXES):
            raise ValueError(f"name must not begin with {' or '.join(map(repr, OWN_PREFIXES))}, got {name!r}")
        object.__setattr__(self, "name", name)
        if self.larger_is_better is not None:
            validation.check_flag("larger_is_better", self.larger_is_better)

    def measure(self, reader: Reader, truth: Truth, outputs: Array) -> Any:
        """Its value for outputs (n, n_out)."""
        weights = {} if truth.weights is None or not _takes_weights(self.function) else {"sample_weight": truth.weights}
        return self.function(truth.answers, _flat(reader).answers(outputs), **weights)


class Truth(NamedTuple):
    """What is known of validation data."""

    answers: Array  # in the words of the first fit, flat where there is one output
    weights: Array | None


def _takes_weights(function: Callable[..., Any]) -> bool:
    with contextlib.suppress(TypeError, ValueError):  # some built-in functions do not tell
        return "sample_weight" in inspect.signature(function).parameters
    return False


def _flat(reader: Reader) -> Reader:
    """One that answers (n,) where the first fit's y was a column."""
    return replace(reader, task=replace(reader.answering, column=False))


def truth_of(reader: Reader, data: Data, n_out: int) -> Truth:
    """The right answers in checked data."""
    weights = data.sample_weight if data.sample_weight.size else None
    if not data.labels.size:
        return Truth(_flat(reader).answers(reader.in_units_of_y(data.targets.reshape(-1, n_out))), weights)
    task = reader.answering
    return Truth(data.labels if task.plain or task.classes is None else task.classes[data.labels], weights)


@dataclass(frozen=True)
class _Scorer:
    """One of scikit-learn's, of which larger values are always better."""

    name: str
    score: Any
    larger_is_better: bool | None = True

    def measure(self, reader: Reader, truth: Truth, outputs: Array) -> Any:
        """Its value for outputs (n, n_out)."""
        weights = {} if truth.weights is None else {"sample_weight": truth.weights}
        return self.score(_estimator(_flat(reader)), outputs, truth.answers, **weights)


def _estimator(reader: Reader) -> Any:
    """What scikit-learn asks for predictions; its samples are a network's outputs."""
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

    def predict(_: Any, outputs: Array) -> Array:
        return reader.answers(outputs)

    task = reader.answering
    classes = np.arange(reader.outputs.n) if task.classes is None else task.classes
    order = np.argsort(classes, kind="stable")  # scikit-learn takes classes, and their columns, to be sorted
    known = classes[order]
    if task.kind == MULTILABEL:  # of every label the two answers: a matrix is what scikit-learn knows it by
        known = np.tile([0, 1], (reader.outputs.n, 1))

    def predict_proba(_: Any, outputs: Array) -> Array:
        return reader.probabilities(outputs)[:, order]

    answers: dict[str, Any] = {"predict": predict}
    if task.kind != REGRESSION:
        answers |= {"predict_proba": predict_proba, "classes_": known}
    mixin = RegressorMixin if task.kind == REGRESSION else ClassifierMixin
    made: Any = type("Answers", (mixin, BaseEstimator), answers)
    return made()


def resolve(metrics: Any) -> tuple[Any, ...]:
    """What ``fit(metrics=...)`` was given, checked, as objects with ``name``, ``larger_is_better`` and ``measure``."""
    if isinstance(metrics, str) or callable(metrics) or not isinstance(metrics, Iterable):
        raise TypeError(
            f"metrics must be a list of names and functions, such as metrics=['roc_auc'], "
            f"got {type(metrics).__name__} {metrics!r}"
        )
    found = tuple(_resolve_one(f"metrics[{i}]", metric) for i, metric in enumerate(metrics))
    names = [metric.name for metric in found]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise ValueError(
                f"metrics must have different names, got {name!r} twice: pass fastnn.Metric(..., name=...)"
            )
    return found


def _resolve_one(argument: str, metric: Any) -> Any:
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        try:
            from sklearn.metrics import get_scorer, get_scorer_names
        except ImportError as error:
            raise ImportError(
                f"{argument} {metric!r} is scikit-learn's, which is not installed: "
                'pip install "fastnn-engine[sklearn]"'
            ) from error
        return _Scorer(metric, get_scorer(validation.check_name(argument, metric, get_scorer_names())))
    if callable(metric):
        return Metric(metric)
    raise TypeError(f"{argument} must be a name or a function, got {type(metric).__name__} {metric!r}")


def check(metrics: Iterable[Any], reader: Reader, truth: Truth, outputs: Array) -> None:
    """Measure once, before anything is trained: what cannot be measured is refused."""
    for i, metric in enumerate(metrics):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an untrained network's answers may be odd
            try:
                value = metric.measure(reader, truth, outputs)
            except Exception as error:
                raise ValueError(
                    f"metrics[{i}] {metric.name!r} cannot be measured on the validation data: "
                    f"{type(error).__name__}: {' '.join(str(error).split())[:_LONGEST]}"
                ) from error
        if isinstance(value, (bool, np.bool_)) or not validation.is_number(value):
            raise TypeError(f"metrics[{i}] {metric.name!r} must return a number, got {type(value).__name__}")
