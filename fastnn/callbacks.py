"""Ready callbacks for ``Network.fit``. A callback is any callable ``(network, history)``; True stops training."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from fastnn import validation
from fastnn.history import FIGURES, OWN_PREFIXES, History
from fastnn.interrupts import held


def check_monitor(monitor: str, measured: Mapping[str, bool | None]) -> bool | None:
    """Whether a larger value of a figure is better, None where nobody said; refused if ``fit`` will not measure it.

    ``measured`` has what it will measure, and of each of these whether larger is better.
    """
    if monitor in measured:
        return measured[monitor]
    if monitor.startswith("val_") and monitor in FIGURES and "val_cost" not in measured:
        raise ValueError(f"monitor {monitor!r} needs validation_data in fit")
    if monitor in FIGURES:
        raise ValueError(f"monitor {monitor!r} needs classes as targets, got a regression")
    validation.check_name("monitor", monitor, measured)
    return None


def check_direction(monitor: str, measured: Mapping[str, bool | None]) -> bool:
    """Whether a larger value is better of a figure of which that must be known."""
    larger_is_better = check_monitor(monitor, measured)
    if larger_is_better is None:
        raise ValueError(
            f"monitor {monitor!r} is a function of which is not known whether a larger value is better: pass for "
            f"example metrics=[fastnn.Metric({monitor}, larger_is_better=True)]"
        )
    return larger_is_better


def _check_monitor_name(monitor: Any) -> str:
    """A name; whether it is that of a metric turns out in ``fit``."""
    if isinstance(monitor, str) and not monitor.startswith(OWN_PREFIXES):
        return monitor
    return validation.check_name("monitor", monitor, FIGURES)


def _course(monitor: str, history: History) -> list[float]:
    """A figure after every epoch so far; refused where this fit does not measure it."""
    values = history.figure(monitor)
    if not values:
        raise ValueError(f"monitor {monitor!r} is not measured by this fit")
    return values


class EarlyStopping:
    """Stop when a figure has not improved for some epochs, and go back to the best weights.

    Parameters
    ----------
    monitor : str, default "val_cost"
        "train_cost", "val_cost", "train_accuracy" or "val_accuracy", or the name of one of fit's ``metrics``.
    patience : int, default 5
        Epochs without improvement to wait for, >= 1.
    min_delta : float, default 0.0
        An improvement must be larger than this.
    restore_best : bool, default True
        Put the weights of the best epoch back at the end, whatever ended training: this, the last epoch, ``max_time``,
        another callback, Ctrl-C or a divergence. What the optimizer remembers, ``network.averaged()`` among it, goes
        back to the same epoch; ``history.best_epoch`` says which that was. Nothing is put back where no epoch was
        completed.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong; from ``fit``, if it will not measure the monitored figure, or if that is a function of
        which is not known whether a larger value is better.

    Examples
    --------
    >>> import fastnn
    >>> X, y, Xt, yt = fastnn.datasets.load_digits()
    >>> net = fastnn.Network([64, 16, 10])
    >>> stop = fastnn.EarlyStopping(monitor="val_accuracy", patience=3)
    >>> history = net.fit(X, y, epochs=500, validation_data=(Xt, yt), callbacks=[stop])
    >>> history.stopped_by, net.evaluate(Xt, yt)["accuracy"] == max(history.val_accuracy)
    ('callback', True)
    """

    def __init__(
        self, monitor: str = "val_cost", patience: int = 5, min_delta: float = 0.0, restore_best: bool = True
    ) -> None:
        self.monitor = _check_monitor_name(monitor)
        self.patience = validation.check_whole("patience", patience)
        self.min_delta = validation.check_number("min_delta", min_delta, at_least=0)
        self.restore_best = validation.check_flag("restore_best", restore_best)
        self._larger_is_better = FIGURES.get(monitor, True)
        self._best, self._waited, self._best_epoch = float("-inf"), 0, 0
        self._saved: Any = None  # the engine's parameters and memory after the best epoch, and of which fit

    def check(self, measured: Mapping[str, bool | None]) -> None:
        """Refuse to monitor what is not measured."""
        self._larger_is_better = check_direction(self.monitor, measured)

    def __call__(self, network: Any, history: History) -> bool:
        """Look at the latest epoch."""
        values = _course(self.monitor, history)
        if len(values) == 1:  # a new run of fit
            self._best, self._waited = float("-inf"), 0
        score = values[-1] if self._larger_is_better else -values[-1]
        improved = score > self._best + self.min_delta
        if improved or len(values) == 1:  # a first one that is NaN is better than nothing
            self._keep(network, history, len(values))
        if improved:
            self._best, self._waited = score, 0
            return False
        self._waited += 1
        if self._waited < self.patience:
            return False
        self.restore(network, history)
        return True

    def _keep(self, network: Any, history: History, epoch: int) -> None:
        with held():  # never half of one epoch and half of another
            self._best_epoch = epoch
            if self.restore_best:
                own = self._saved[0] if self._saved is not None and self._saved[1] is history else None
                self._saved = network._engine.snapshot(into=own), history

    def restore(self, network: Any, history: History) -> None:
        """Put the best weights back, if that is wanted and has not been done; ``fit`` calls this at its end."""
        if self._saved is not None and self._saved[1] is history:
            network._engine.restore(self._saved[0])
            history.best_epoch = self._best_epoch
        self._saved = None


def restore_best(callbacks: Iterable[Any], network: Any, history: History) -> None:
    """At the end of a training: back to the best weights, where a callback kept them."""
    for callback in callbacks:
        if isinstance(callback, EarlyStopping):
            callback.restore(network, history)


class OptunaPruning:
    """Tell an Optuna trial how training goes, and end it where Optuna sees no hope; needs the extra ``optuna``.

    Parameters
    ----------
    trial : optuna.trial.Trial
        The trial whose objective calls ``fit``. Its study says whether more or less is better.
    monitor : str, default "val_cost"
        What to report after every epoch: "train_cost", "val_cost", "train_accuracy", "val_accuracy", or one of fit's
        ``metrics``.

    Raises
    ------
    ImportError
        If Optuna is not installed.
    ValueError
        If there is no such figure; from ``fit``, if it does not measure it.
    optuna.TrialPruned
        From ``fit``, for Optuna to catch; the network stands where it was after that epoch.

    Examples
    --------
    >>> import fastnn
    >>> X, y, Xt, yt = fastnn.datasets.load_digits()
    >>> def objective(trial):
    ...     net = fastnn.Network([64, trial.suggest_int("units", 4, 32), 10])
    ...     pruning = fastnn.callbacks.OptunaPruning(trial, "val_accuracy")
    ...     return net.fit(X, y, epochs=5, validation_data=(Xt, yt), callbacks=[pruning]).val_accuracy[-1]
    >>> import optuna  # doctest: +SKIP
    >>> optuna.create_study(direction="maximize").optimize(objective, n_trials=20, n_jobs=2)  # doctest: +SKIP
    """

    def __init__(self, trial: Any, monitor: str = "val_cost") -> None:
        try:
            import optuna
        except ImportError as error:
            raise ImportError('Optuna is not installed: pip install "fastnn-engine[optuna]"') from error
        self._pruned = optuna.TrialPruned
        self.trial, self.monitor = trial, _check_monitor_name(monitor)

    def check(self, measured: Mapping[str, bool | None]) -> None:
        """Refuse to report what is not measured."""
        check_monitor(self.monitor, measured)

    def __call__(self, network: Any, history: History) -> None:
        """Report the latest epoch."""
        figures = _course(self.monitor, history)
        if self.monitor.endswith("accuracy") and math.isnan(figures[-1]):
            raise ValueError(f"monitor {self.monitor!r} needs classes as targets, got a regression")
        self.trial.report(figures[-1], len(figures))
        if self.trial.should_prune():
            raise self._pruned(f"{self.monitor} {figures[-1]:.4g} after epoch {len(figures)}")
