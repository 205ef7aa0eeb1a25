"""Cross-validation, random search and successive halving, all networks at once."""

from __future__ import annotations  # so that help() shows types by their short names

import inspect
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import validation
from fastnn.history import FIGURES, History
from fastnn.inputs.tables import count_samples
from fastnn.many import checks
from fastnn.many.ensemble import Ensemble
from fastnn.many.fit import fit_many
from fastnn.network import FIT_DEFAULTS, Network

Rows = NDArray[np.int64]

_MEASURED = ("val_cost", "val_accuracy")
_OF_POPULATION = [
    name
    for name, part in inspect.signature(fit_many).parameters.items()
    if part.kind is part.KEYWORD_ONLY and name not in ("rows", "validation_rows", "errors")
]


def _strata(y: Any) -> NDArray[np.int64] | None:
    """The class of every sample; None where y holds quantities."""
    array = np.asarray(y)
    if array.ndim != 1 or (array.dtype.kind == "f" and not (array == np.floor(array)).all()):
        return None
    return np.unique(array, return_inverse=True)[1]


def deal(y: Any, n: int, folds: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """The fold of every sample: by chance, folds of equal size, and of equal shares of every class."""
    order, strata = generator.permutation(n), _strata(y)
    if strata is not None:
        order = order[np.argsort(strata[order], kind="stable")]
    found = np.empty(n, np.int64)
    found[order] = np.arange(n) % folds
    return found


@dataclass(frozen=True)
class CrossValidation:
    """What ``cross_validate`` found. It prints as a table.

    Attributes
    ----------
    networks : tuple of Network
        One for each fold, trained on all the others.
    histories : tuple of History
        Of their trainings; "val" is their own fold.
    held_out : tuple of array of int64
        The samples of every fold.

    Examples
    --------
    >>> import fastnn
    >>> X, y, Xt, yt = fastnn.datasets.load_digits()
    >>> result = fastnn.cross_validate(lambda: fastnn.Network([64, 16, 10]), X, y, folds=3, epochs=5)
    >>> result.scores["val_accuracy"].shape
    (3,)
    """

    networks: tuple[Network, ...]
    histories: tuple[History, ...]
    held_out: tuple[Rows, ...]

    @property
    def scores(self) -> dict[str, NDArray[np.float64]]:
        """For "val_cost", and with classes "val_accuracy", the figure of every fold after the last epoch."""
        columns = {name: np.array([getattr(h, name)[-1] for h in self.histories if h.epochs]) for name in _MEASURED}
        return {name: column for name, column in columns.items() if not np.isnan(column).all()}

    @property
    def ensemble(self) -> Ensemble:
        """All the networks together."""
        return Ensemble(self.networks)

    def __str__(self) -> str:
        scores = self.scores
        rows = [("fold", *scores)]
        rows += [(f"{i + 1}", *(f"{c[i]:.4f}" for c in scores.values())) for i in range(len(self.networks))]
        rows += [("mean", *(f"{column.mean():.4f}" for column in scores.values()))]
        rows += [("std", *(f"{column.std():.4f}" for column in scores.values()))]
        return _table(rows)


def cross_validate(
    make_network: Callable[[], Network],
    X: ArrayLike,
    y: ArrayLike,
    folds: int = 5,
    *,
    seed: int = 0,
    **arguments: Any,
) -> CrossValidation:
    """Train a network for every fold of the data on all the other folds, and measure it on its own.

    Parameters
    ----------
    make_network : callable
        ``make_network()`` returns a new network.
    X, y : array-like
        As for ``Network.fit``.
    folds : int, default 5
        >= 2. The samples are dealt out by chance; where y holds classes, every fold gets an equal share of each.
    seed : int, default 0
        Of the dealing.
    **arguments
        Of ``fit_many``: ``n_jobs``, ``client``, ``max_time``, ``progress``, and those of ``Network.fit``.

    Returns
    -------
    CrossValidation
        Networks, histories and scores, fold by fold.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong, before anything is trained.
    PopulationError
        If a network failed; at the end.

    Examples
    --------
    >>> import fastnn
    >>> X, y, Xt, yt = fastnn.datasets.load_digits()
    >>> result = fastnn.cross_validate(lambda: fastnn.Network([64, 16, 10]), X, y, epochs=5)
    >>> bool(result.scores["val_accuracy"].mean() > 0.8)
    True
    """
    n = count_samples("X", X)
    folds = validation.check_whole("folds", folds, at_least=2)
    if folds > n:
        raise ValueError(f"folds must be at most the number of samples, {n}, got {folds}")
    fold = deal(y, n, folds, np.random.default_rng(validation.check_whole("seed", seed, at_least=0)))
    networks = checks.check_networks((make_network() for _ in range(folds)), "what make_network returns")
    held_out = tuple(np.flatnonzero(fold == i) for i in range(folds))
    rows = [np.flatnonzero(fold != i) for i in range(folds)]
    histories = fit_many(networks, X, y, rows=rows, validation_rows=held_out, **arguments)
    return CrossValidation(tuple(networks), tuple(h for h in histories if isinstance(h, History)), held_out)


@dataclass
class Trial:
    """One row of a search.

    Attributes
    ----------
    number : int
        From 0; with the search's seed it determines the settings.
    settings : mapping
        What was drawn from the space.
    network : Network
        As far as it was trained.
    score : float
        The monitored figure after the last epoch; NaN if training failed.
    histories : list of History
        Of every stretch of training.
    error : Exception or None
        Why it failed.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.many.Trial(0, {"units": 16}, fastnn.Network([2, 16, 1])).epochs
    0
    """

    number: int
    settings: Mapping[str, Any]
    network: Network
    score: float = math.nan
    histories: list[History] = field(default_factory=list)
    error: Exception | None = None

    @property
    def epochs(self) -> int:
        """Completed ones."""
        return sum(len(history.epochs) for history in self.histories)


@dataclass(frozen=True)
class SearchResult:
    """What ``search`` found. It prints as a table, the best first.

    Attributes
    ----------
    trials : tuple of Trial
        Those that were trained longest come first, and among them the best.
    monitor : str
        The figure they were judged by.
    held_out : array of int64
        The samples that they were judged on.

    Examples
    --------
    >>> import fastnn
    >>> X, y, Xt, yt = fastnn.datasets.load_digits()
    >>> make = lambda units: fastnn.Network([64, units, 10])
    >>> result = fastnn.search(make, {"units": [2, 16]}, X, y, trials=4, epochs=4)
    >>> result.best.epochs
    4
    """

    trials: tuple[Trial, ...]
    monitor: str
    held_out: Rows

    @property
    def best(self) -> Trial:
        """The first one."""
        return self.trials[0]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The table for programs, such as ``pandas.DataFrame(result.rows)``."""
        return [
            {"trial": t.number, **t.settings, "epochs": t.epochs, self.monitor: t.score, "error": t.error}
            for t in self.trials
        ]

    def __str__(self) -> str:
        names = list(self.trials[0].settings)
        table = [("trial", *names, "epochs", self.monitor)]
        for t in self.trials:
            outcome = f"{t.score:.4f}" if t.error is None else type(t.error).__name__
            table.append((f"{t.number}", *(_text(t.settings[name]) for name in names), f"{t.epochs}", outcome))
        return _table(table)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


class _Rung(NamedTuple):
    """How many trials go on, and for how many epochs in all."""

    trials: int
    epochs: int


def _ladder(trials: int, epochs: int, factor: int) -> list[_Rung]:
    """Successive halving: of every rung the best 1/factor go on to the next, for factor times as many epochs."""
    steps = 0
    while factor ** (steps + 1) <= min(trials, epochs):
        steps += 1
    return [_Rung(trials // factor**i, epochs // factor ** (steps - i)) for i in range(steps + 1)]


def search(
    make_network: Callable[..., Network],
    space: Mapping[str, Any],
    X: ArrayLike,
    y: ArrayLike,
    trials: int = 30,
    *,
    epochs: int = 30,
    method: Literal["halving", "random"] = "halving",
    factor: int = 3,
    monitor: str = "val_cost",
    validation_rows: ArrayLike | None = None,
    seed: int = 0,
    **arguments: Any,
) -> SearchResult:
    """Look for good settings: draw some by chance, train a network with each, and keep the best.

    With ``method="halving"`` (successive halving, Jamieson and Talwalkar, 2016) all trials are trained for a few
    epochs, then the best 1/factor of them go on for factor times as many, and so on. Networks go on from where they
    stand, they are not trained again.

    Parameters
    ----------
    make_network : callable
        ``make_network(**settings)`` returns a new network; it gets what was drawn for names that are not arguments of
        ``Network.fit``.
    space : mapping
        For every name what to draw from: a list, of which each value is as likely; a function of a NumPy generator; or
        a distribution with ``rvs(random_state=generator)``, as SciPy's. Names of ``Network.fit``'s arguments, such as
        "batch_size" and "optimizer", go there.
    X, y : array-like
        As for ``Network.fit``.
    trials : int, default 30
        Settings to draw, >= 1.
    epochs : int, default 30
        For those that are trained to the end, >= 1.
    method : "halving" or "random", default "halving"
        "random" trains every trial for all epochs.
    factor : int, default 3
        Of the halving, >= 2.
    monitor : str, default "val_cost"
        What to judge by: "val_cost", "val_accuracy", "train_cost" or "train_accuracy".
    validation_rows : array-like of int, optional
        The samples that are held out; by default a fifth of them by chance, of every class alike.
    seed : int, default 0
        Of the settings and the samples held out. Trial i is the same whatever ``trials`` is.
    **arguments
        Of ``fit_many``: ``n_jobs``, ``client``, ``max_time`` (for all), ``progress``, and those of ``Network.fit``.

    Returns
    -------
    SearchResult
        All trials in a table, with their networks.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong, before anything is trained.
    RuntimeError
        If every trial failed.

    Examples
    --------
    >>> import fastnn
    >>> X, y, Xt, yt = fastnn.datasets.load_digits()
    >>> space = {
    ...     "units": [8, 16, 32],
    ...     "batch_size": [10, 32],
    ...     "optimizer": lambda generator: fastnn.SGD(10 ** generator.uniform(-2, 0)),
    ... }
    >>> result = fastnn.search(lambda units: fastnn.Network([64, units, 10]), space, X, y, trials=9, epochs=9)
    >>> sorted(trial.epochs for trial in result.trials)
    [1, 1, 1, 1, 1, 1, 3, 3, 9]
    """
    validation.check_name("method", method, ["halving", "random"])
    validation.check_name("monitor", monitor, FIGURES)
    trials, epochs = validation.check_whole("trials", trials), validation.check_whole("epochs", epochs)
    factor = validation.check_whole("factor", factor, at_least=2)
    seed = validation.check_whole("seed", seed, at_least=0)
    _check_space(space, arguments)
    n = count_samples("X", X)
    held_out = checks.check_rows("validation_rows", validation_rows, n)
    if held_out is None:
        held_out = np.flatnonzero(deal(y, n, 5, np.random.default_rng(seed)) == 0)
    rows = np.setdiff1d(np.arange(n), held_out)
    if not rows.size:
        raise ValueError("validation_rows must leave some samples to train on, got all of them")
    drawn = [_draw(space, np.random.default_rng([seed, i])) for i in range(trials)]
    networks = checks.check_networks((make_network(**_built(settings)) for settings in drawn), "make_network's results")
    race = _Race(
        [Trial(i, *pair) for i, pair in enumerate(zip(drawn, networks, strict=True))],
        _Split(X, y, rows, held_out),
        monitor,
        arguments,
    )
    race.run([_Rung(trials, epochs)] if method == "random" else _ladder(trials, epochs, factor))
    return SearchResult(tuple(race.ranked()), monitor, held_out)


def _check_space(space: Any, arguments: Mapping[str, Any]) -> None:
    if not isinstance(space, Mapping) or not space:
        raise TypeError(f"space must be a dict with at least one name, got {space!r}")
    for name, source in space.items():
        if name in arguments or name == "epochs":
            raise ValueError(f"space must not hold {name!r}, which is an argument of search here")
        if name in _OF_POPULATION or name in checks.OWN_ARGUMENTS:
            raise ValueError(f"space must not hold {name!r}, which is one for all trials")
        if not callable(source) and not hasattr(source, "rvs"):
            if isinstance(source, (str, bytes)) or not isinstance(source, (Sequence, np.ndarray)):
                raise TypeError(f"space[{name!r}] must be a list, a function or a distribution, got {source!r}")
            if len(source) == 0:
                raise ValueError(f"space[{name!r}] must hold at least one value, got none")


def _draw(space: Mapping[str, Any], generator: np.random.Generator) -> dict[str, Any]:
    """One value for every name."""

    def one(source: Any) -> Any:
        if hasattr(source, "rvs"):
            value = source.rvs(random_state=generator)
            return value.item() if isinstance(value, np.generic) else value
        return source(generator) if callable(source) else source[generator.integers(len(source))]

    return {name: one(source) for name, source in space.items()}


def _built(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What is for ``make_network``."""
    return {name: value for name, value in settings.items() if name not in FIT_DEFAULTS}


class _Race:
    """Trials on their way up the ladder."""

    def __init__(self, trials: Sequence[Trial], data: _Split, monitor: str, arguments: Mapping[str, Any]) -> None:
        self._trials, self._data, self._monitor = trials, data, monitor
        self._arguments = {name: value for name, value in arguments.items() if name != "max_time"}
        self._deadline = time.perf_counter() + validation.check_limit("max_time", arguments.get("max_time"))

    def run(self, ladder: Sequence[_Rung]) -> None:
        """Rung by rung, the best of each."""
        done = 0
        for rung in ladder:
            left = self._deadline - time.perf_counter()
            survivors = [trial for trial in self.ranked() if trial.error is None][: rung.trials]
            if not survivors or left <= 0:
                break
            self._train(survivors, rung.epochs - done, None if math.isinf(left) else left)
            done = rung.epochs
        errors = [trial.error for trial in self._trials]
        if all(errors):
            raise RuntimeError(f"every trial failed; the first one: {errors[0]}") from errors[0]

    def ranked(self) -> list[Trial]:
        """Those trained longest first, and among them the best; those that failed last."""
        sign = 1 if FIGURES[self._monitor] else -1

        def place(trial: Trial) -> tuple[bool, int, float]:
            score = trial.score if not math.isnan(trial.score) else -sign * math.inf
            return trial.error is not None, -trial.epochs, -sign * score

        return sorted(self._trials, key=place)

    def _train(self, trials: Sequence[Trial], epochs: int, max_time: float | None) -> None:
        names = [name for name in trials[0].settings if name in FIT_DEFAULTS]
        own: dict[str, Any] = {name: checks.each(trial.settings[name] for trial in trials) for name in names}
        results = fit_many(
            [trial.network for trial in trials],
            self._data.X,
            self._data.y,
            rows=[self._data.rows] * len(trials),
            validation_rows=[self._data.held_out] * len(trials),
            errors="collect",
            epochs=epochs,
            max_time=max_time,
            **own,
            **self._arguments,
        )
        for trial, result in zip(trials, results, strict=True):
            trial.error = result if isinstance(result, Exception) else None
            if isinstance(result, History):
                trial.histories.append(result)
                trial.score = (getattr(result, self._monitor) or [trial.score])[-1]


class _Split(NamedTuple):
    """Data, and which of the samples are for what."""

    X: Any
    y: Any
    rows: Rows
    held_out: Rows
