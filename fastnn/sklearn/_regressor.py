"""The regressor."""

from __future__ import annotations  # so that help() shows types by their short names

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d

from fastnn.network import Network
from fastnn.sklearn._base import BaseMLP
from fastnn.sklearn._names import Loss, known_regression_losses, quantiles, regression_loss

Array = NDArray[Any]


class MLPRegressor(RegressorMixin, BaseMLP):
    """scikit-learn's ``MLPRegressor`` on the engine.

    It minimises a loss plus ``alpha / (2 n) ||W||^2``, n being the number of samples in the batch.

    Parameters
    ----------
    loss : str, default "squared_error"
        "squared_error", which is half of it; "poisson" of counts >= 0, half their deviance, with outputs ``exp(z)``;
        "absolute_error", "huber", "log_cosh", or with parameters "huber(delta=2)"; "quantile(quantiles=[0.1, 0.9])",
        which gives one output for each.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter
        As for :class:`MLPClassifier`, as are all that follow.
    shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, validation_fraction
        As there.
    beta_1, beta_2, epsilon, n_iter_no_change, max_fun, dropout, dtype, callbacks, max_time, threads
        As there.
    scoring : str, callable or None, default None
        Scorer of early stopping; None is the coefficient of determination.

    Attributes
    ----------
    coefs_, intercepts_, loss_, loss_curve_, best_loss_, validation_scores_, best_validation_score_
        As for :class:`MLPClassifier`. The squared error of several outputs is their mean here; what is descended is
        their sum, as with scikit-learn.
    validation_loss_curve_, stopped_, n_iter_, t_, n_features_in_, feature_names_in_, n_layers_, n_outputs_
        As there.
    out_activation_, network_
        As there.

    Examples
    --------
    >>> from fastnn.sklearn import MLPRegressor
    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(n_samples=200, n_features=4, random_state=1)
    >>> MLPRegressor(solver="lbfgs", random_state=1, max_iter=500, tol=0.1).fit(X, y).score(X, y) > 0.99
    True
    """

    _parameter_constraints = {  # noqa: RUF012
        **BaseMLP._parameter_constraints,
        "loss": [known_regression_losses()],
    }

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        dtype: Any = None,
        scoring: Any = None,
        callbacks: Any = (),
        max_time: float | None = None,
        threads: Any = 1,
    ) -> None:
        self._keep(locals())

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None) -> MLPRegressor:
        """Train.

        Parameters
        ----------
        X : array-like or sparse matrix (n, n_features)
            Samples; numbers of any dtype at face value.
        y : array-like (n,) or (n, n_outputs)
            Targets.
        sample_weight : array-like (n,), optional
            Weights. A batch's loss is their weighted mean.
        validation_data : (X, y), optional
            Measured after every epoch; early stopping uses them instead of setting samples aside.

        Returns
        -------
        MLPRegressor
            This one.

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data are wrong, or if training leads to infinite numbers.

        Warns
        -----
        ConvergenceWarning
            If the epochs run out before nothing improves any more.

        Examples
        --------
        >>> MLPRegressor(hidden_layer_sizes=5, solver="lbfgs").fit([[0.0], [1.0]], [1.0, 2.0]).n_outputs_
        1
        """
        return self._fit(X, y, sample_weight, validation_data, incremental=False)  # type: ignore[no-any-return]

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None) -> MLPRegressor:
        """Train for one epoch, going on from where the last one ended; with "lbfgs" to the end, as scikit-learn's does.

        Parameters
        ----------
        X, y, sample_weight
            As for ``fit``.
        validation_data : (X, y), optional
            As for ``fit``. With them ``early_stopping`` works here too: each call is one epoch, and when none has
            improved the score for ``n_iter_no_change`` calls, ``stopped_`` is True and the best parameters are back.

        Returns
        -------
        MLPRegressor
            This one.

        Raises
        ------
        ValueError, TypeError
            As ``fit``.

        Examples
        --------
        >>> MLPRegressor(hidden_layer_sizes=5, random_state=0).partial_fit([[0.0], [1.0]], [1.0, 2.0]).n_iter_
        1
        """
        return self._fit(X, y, sample_weight, validation_data, incremental=True)  # type: ignore[no-any-return]

    def predict(self, X: Any) -> Array:
        """The expected targets.

        Parameters
        ----------
        X : array-like or sparse matrix (n, n_features)
            Samples.

        Returns
        -------
        array (n,) or (n, n_outputs)

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError, TypeError
            If X is wrong.

        Examples
        --------
        >>> reg = MLPRegressor(hidden_layer_sizes=5, solver="lbfgs", random_state=0).fit([[0.0], [1.0]], [1.0, 2.0])
        >>> reg.predict([[0.5]]).shape
        (1,)
        """
        return self._decode(self._outputs(X))

    # --- what BaseMLP asks for ---

    def _check_targets(self, y: Array, incremental: bool) -> tuple[Array, Array | None]:
        return self._encode(y), None

    def _encode(self, y: Array) -> Array:
        column: Array = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        targets = column.reshape(len(y), -1)
        if self._loss_row.of_counts and (targets < 0).any():
            raise ValueError(f"loss 'poisson' needs y >= 0, got {targets.min()}")
        asked = quantiles(self._loss_row)
        return np.repeat(targets, asked, axis=1) if asked and targets.shape[1] == 1 else targets

    def _decode(self, outputs: Array) -> Array:
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def _run(self, network: Network, X: Any) -> Array:
        outputs = super()._run(network, X)
        return np.exp(outputs) if self.out_activation_ == "exp" else outputs

    def _count_outputs(self, y: Array) -> int:
        return int(y.shape[1])

    @property
    def _loss_row(self) -> Loss:
        return regression_loss(self.loss)

    @property
    def _task(self) -> str:
        return "regression"

    @property
    def _metric(self) -> Callable[..., float]:
        return _r2


def _r2(y: Array, predicted: Array, sample_weight: Array | None) -> float:
    return float(r2_score(y, predicted, sample_weight=sample_weight))
