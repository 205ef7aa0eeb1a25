"""Ready callbacks for ``Network.fit``. A callback is any callable ``(network, history)``; True stops training."""

import math
from typing import Any

from fastnn import validation
from fastnn.history import History

_MONITORS = {
    "train_cost": -1,
    "val_cost": -1,
    "train_accuracy": 1,
    "val_accuracy": 1,
}  # sign: what counts as better


class EarlyStopping:
    """Stop when a figure has not improved for some epochs, and then go back to the best weights.

    Parameters
    ----------
    monitor : str, default "val_cost"
        "train_cost", "val_cost", "train_accuracy" or "val_accuracy".
    patience : int, default 5
        Epochs without improvement to wait for, >= 1.
    min_delta : float, default 0.0
        An improvement must be larger than this.
    restore_best : bool, default True
        Put the weights of the best epoch back when this stops training; not where the epochs run out before.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong; from ``fit``, if it will not measure the monitored figure.

    Examples
    --------
    >>> import fastnn
    >>> X, y, Xt, yt = fastnn.datasets.load_digits()
    >>> net = fastnn.Network([64, 16, 10])
    >>> stop = fastnn.EarlyStopping(monitor="val_accuracy", patience=3)
    >>> net.fit(X, y, epochs=500, validation_data=(Xt, yt), callbacks=[stop]).stopped_by
    'callback'
    """

    def __init__(
        self, monitor: str = "val_cost", patience: int = 5, min_delta: float = 0.0, restore_best: bool = True
    ) -> None:
        self.monitor = validation.check_name("monitor", monitor, _MONITORS)
        self.patience = validation.check_whole("patience", patience)
        self.min_delta = validation.check_number("min_delta", min_delta, at_least=0)
        self.restore_best = validation.check_flag("restore_best", restore_best)
        self._best, self._waited, self._layers = float("-inf"), 0, ([], [])  # type: tuple[float, int, Any]

    @property
    def _part(self) -> str:
        return self.monitor.split("_")[0]

    def check(self, measured: dict[str, bool]) -> None:
        """Refuse to monitor what is not measured: on "train" and "val" data, and whether those have classes."""
        if self._part not in measured:
            raise ValueError(f"monitor {self.monitor!r} needs validation_data in fit")
        if self.monitor.endswith("accuracy") and not measured[self._part]:
            raise ValueError(f"monitor {self.monitor!r} needs classes as targets, got a regression")

    def __call__(self, network: Any, history: History) -> bool:
        """Look at the latest epoch."""
        values = getattr(history, self.monitor)
        self.check({self._part: values[-1] == values[-1]} if values else {})
        if len(values) == 1:  # a new run of fit
            self._best, self._waited, self._layers = float("-inf"), 0, (network.weights[:], network.biases[:])
        score = _MONITORS[self.monitor] * values[-1]
        if score > self._best + self.min_delta:
            self._best, self._waited = score, 0
            self._layers = network.weights[:], network.biases[:]
            return False
        self._waited += 1
        if self._waited < self.patience:
            return False
        if self.restore_best:
            network.weights, network.biases = self._layers
        return True


class OptunaPruning:
    """Tell an Optuna trial how training goes, and end it where Optuna sees no hope; needs the extra ``optuna``.

    Parameters
    ----------
    trial : optuna.trial.Trial
        The trial whose objective calls ``fit``. Its study says whether more or less is better.
    monitor : str, default "val_cost"
        What to report after every epoch: "train_cost", "val_cost", "train_accuracy" or "val_accuracy".

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
        self.trial, self.monitor = trial, validation.check_name("monitor", monitor, _MONITORS)

    def __call__(self, network: Any, history: History) -> None:
        """Report the latest epoch."""
        figures = getattr(history, self.monitor)
        if not figures:
            raise ValueError(f"monitor {self.monitor!r} needs validation_data in fit")
        if self.monitor.endswith("accuracy") and math.isnan(figures[-1]):
            raise ValueError(f"monitor {self.monitor!r} needs classes as targets, got a regression")
        self.trial.report(figures[-1], len(figures))
        if self.trial.should_prune():
            raise self._pruned(f"{self.monitor} {figures[-1]:.4g} after epoch {len(figures)}")
