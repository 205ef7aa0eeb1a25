"""The classifier."""

from __future__ import annotations  # so that help() shows types by their short names

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, issparse
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels

from fastnn.sklearn._base import BaseMLP
from fastnn.sklearn._names import Loss, class_loss, known_class_losses

Array = NDArray[Any]
_LABELS = "multilabel-indicator"  # scikit-learn's word for a matrix of 0 and 1


class MLPClassifier(ClassifierMixin, BaseMLP):
    """scikit-learn's ``MLPClassifier`` on the engine.

    It minimises the log-loss plus ``alpha / (2 n) ||W||^2``, n being the number of samples in the batch: with softmax
    outputs for several classes, one sigmoid output for two, one for each label where there may be several.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default (100,)
        Units of every hidden layer.
    activation : str, Activation, or a list of them, default "relu"
        Of the hidden layers: "identity", "logistic", "tanh", "relu", or any other of the engine such as
        "leaky_relu(slope=0.1)"; or one for each layer.
    solver : "adam", "sgd", "lbfgs" or an optimizer, default "adam"
        What steps. An object such as ``fastnn.SGD(0.1)`` is used as it is; the parameters here for its numbers then
        mean nothing.
    alpha : float, default 0.0001
        Strength of the l2 penalty on weights.
    batch_size : int, default "auto"
        Samples per step; "auto" is 200, or all where there are fewer. "lbfgs" takes all.
    learning_rate : "constant", "invscaling", "adaptive" or a schedule, default "constant"
        Of "sgd": stays; is ``learning_rate_init / (samples seen + 1)^power_t`` from the second epoch on; is divided by
        5 whenever nothing improves. A schedule of the engine, over the ``max_iter`` epochs of a fit, goes with every
        solver but "lbfgs".
    learning_rate_init : float, default 0.001
        Step size of "sgd" and "adam".
    power_t : float, default 0.5
        The exponent of "invscaling".
    max_iter : int, default 200
        Epochs at most; iterations of "lbfgs".
    shuffle : bool, default True
        Take the samples in a fresh order every epoch.
    random_state : int, RandomState or None, default None
        Draws the initial parameters, the validation split and the shuffles, in the order in which scikit-learn does.
    tol : float, default 0.0001
        What counts as an improvement of the loss, or of the score; for "lbfgs" the largest number in the gradient.
    verbose : bool, default False
        Print the loss of every epoch.
    warm_start : bool, default False
        Let ``fit`` go on from where the last one ended.
    momentum, nesterovs_momentum : float and bool, default 0.9 and True
        Of "sgd".
    early_stopping : bool, default False
        Set samples aside, stop when their score does not improve any more, and keep the best parameters.
    validation_fraction : float, default 0.1
        The share that is set aside.
    beta_1, beta_2, epsilon : float, default 0.9, 0.999 and 1e-8
        Of "adam".
    n_iter_no_change : int, default 10
        Epochs without improvement to wait for.
    max_fun : int, default 15000
        Evaluations of the loss by "lbfgs" at most.
    loss : str, default "log_loss"
        Also "focal", or with parameters "focal(gamma=1)" and "log_loss(smoothing=0.1)".
    class_weight : dict, "balanced" or None, default None
        Weights of the classes, multiplied with the weights of the samples while training.
    dropout : float or list of float, default 0.0
        Share of the hidden units that is left out of a step by chance, or one for the inputs and for each hidden layer;
        see ``fastnn.Network.fit``.
    dtype : "float32", "float64" or None, default None
        Of parameters and arithmetic; None is the dtype of X, or float64 for whole numbers.
    scoring : str, callable or None, default None
        Scorer of early stopping, by scikit-learn's name or ``(estimator, X, y)``; None is the accuracy.
    callbacks : list or tuple of callables, default ()
        Called as ``callback(network, history)`` after every epoch; one that returns True stops training.
    max_time : float or None, default None
        Seconds to train for at most.
    threads : int or "auto", default 1
        Threads that work on the network together; see ``fastnn.Network.fit``.

    Attributes
    ----------
    classes_ : array
        The classes.
    coefs_, intercepts_ : list of array
        By layer (n_in, n_out) and (n_out,). They may be replaced, and changed in place.
    loss_, loss_curve_, best_loss_ : float, list of float, float or None
        Loss of the last epoch, of every epoch, and the smallest one; None with early stopping.
    validation_scores_, best_validation_score_ : list of float and float, or None
        Of every epoch, and the highest one; None without early stopping.
    validation_loss_curve_ : list of float
        Loss on ``validation_data`` after every epoch, without the penalty; only where there were such data.
    stopped_ : bool
        Whether the last training ended because nothing improved any more.
    n_iter_, t_ : int
        Epochs of the last fit, and samples seen in all.
    n_features_in_, feature_names_in_, n_layers_, n_outputs_, out_activation_
        As with scikit-learn.
    network_ : fastnn.Network
        With these parameters. What is done to it shows here only where it is done to ``coefs_`` and ``intercepts_``.

    Examples
    --------
    >>> from fastnn.sklearn import MLPClassifier
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MLPClassifier(solver="lbfgs", max_iter=1000, random_state=1).fit(X, y)
    >>> clf.score(X, y) > 0.95
    True
    """

    classes_: Array

    _parameter_constraints = {  # noqa: RUF012
        **BaseMLP._parameter_constraints,
        "loss": [known_class_losses()],
        "class_weight": [None, dict, list, StrOptions({"balanced"})],
    }

    def __init__(
        self,
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
        loss: str = "log_loss",
        class_weight: Any = None,
        dropout: Any = 0.0,
        dtype: Any = None,
        scoring: Any = None,
        callbacks: Any = (),
        max_time: float | None = None,
        threads: Any = 1,
    ) -> None:
        self._keep(locals())

    def __sklearn_tags__(self) -> Any:
        """Several labels at once are welcome."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None) -> MLPClassifier:
        """Train.

        Parameters
        ----------
        X : array-like or sparse matrix (n, n_features)
            Samples; numbers of any dtype at face value.
        y : array-like (n,) or (n, n_classes)
            Classes, or 0 and 1 for each of several labels.
        sample_weight : array-like (n,), optional
            Weights. A batch's loss is their weighted mean.
        validation_data : (X, y), optional
            Measured after every epoch; early stopping uses them instead of setting samples aside.

        Returns
        -------
        MLPClassifier
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
        >>> MLPClassifier(5, solver="lbfgs", random_state=0).fit([[0.0], [1.0]], ["a", "b"]).classes_
        array(['a', 'b'], dtype='<U1')
        """
        return self._fit(X, y, sample_weight, validation_data, incremental=False)  # type: ignore[no-any-return]

    @available_if(lambda estimator: estimator._steps_by_epochs())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None, *, validation_data: Any = None
    ) -> MLPClassifier:
        """Train for one epoch, going on from where the last one ended.

        Parameters
        ----------
        X, y, sample_weight
            As for ``fit``.
        classes : array-like, optional
            All classes there will be; needed in the first call.
        validation_data : (X, y), optional
            As for ``fit``. With them ``early_stopping`` works here too: each call is one epoch, and when none has
            improved the score for ``n_iter_no_change`` calls, ``stopped_`` is True and the best parameters are back.

        Returns
        -------
        MLPClassifier
            This one.

        Raises
        ------
        AttributeError
            With ``solver="lbfgs"``.
        ValueError, TypeError
            As ``fit``.

        Examples
        --------
        >>> MLPClassifier(5, random_state=0).partial_fit([[0.0], [1.0]], [0, 1], classes=[0, 1]).n_iter_
        1
        """
        if self.class_weight == "balanced":
            raise ValueError("class_weight 'balanced' needs all the data, and partial_fit sees a part: pass a dict")
        if _check_partial_fit_first_call(self, classes):
            labels = type_of_target(y) == _LABELS
            self._kind = _LABELS if labels else "binary" if len(self.classes_) <= 2 else "multiclass"
            self._sparse_labels = issparse(y)
        return self._fit(X, y, sample_weight, validation_data, incremental=True)  # type: ignore[no-any-return]

    def predict(self, X: Any) -> Array:
        """The most probable class, or all labels more probable than one half.

        Parameters
        ----------
        X : array-like or sparse matrix (n, n_features)
            Samples.

        Returns
        -------
        array (n,) or (n, n_classes)

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError, TypeError
            If X is wrong.

        Examples
        --------
        >>> clf = MLPClassifier(5, solver="lbfgs", random_state=0).fit([[0.0], [1.0]], ["a", "b"])
        >>> clf.predict([[0.9]])
        array(['b'], dtype='<U1')
        """
        outputs = self._outputs(X)
        # Labels that came in a sparse matrix go out in one, of whichever kind scikit-learn has today.
        return self._make_binarizer().inverse_transform(outputs) if self._sparse_labels else self._decode(outputs)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of samples whose class, or whose every label, is predicted.

        Parameters
        ----------
        X : array-like or sparse matrix (n, n_features)
            Samples.
        y : array-like (n,) or (n, n_classes)
            Their classes or labels.
        sample_weight : array-like (n,), optional
            Weights.

        Returns
        -------
        float

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As ``predict``, and if y does not go with X.

        Examples
        --------
        >>> X, y = [[0.0], [1.0]], ["a", "b"]
        >>> MLPClassifier(5, solver="lbfgs", random_state=0).fit(X, y).score(X, y)
        1.0
        """
        return _accuracy(y, self.predict(X), sample_weight)

    def predict_proba(self, X: Any) -> Array:
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like or sparse matrix (n, n_features)
            Samples.

        Returns
        -------
        array (n, n_classes)
            In the order of ``classes_``; rows sum to one unless there may be several labels.

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As ``predict``.

        Examples
        --------
        >>> clf = MLPClassifier(5, solver="lbfgs", random_state=0).fit([[0.0], [1.0]], ["a", "b"])
        >>> clf.predict_proba([[0.9]]).shape
        (1, 2)
        """
        outputs = self._outputs(X)
        return np.hstack([1 - outputs, outputs]) if self.n_outputs_ == 1 else outputs

    def predict_log_proba(self, X: Any) -> Array:
        """Logarithms of ``predict_proba``.

        Parameters
        ----------
        X : array-like or sparse matrix (n, n_features)
            Samples.

        Returns
        -------
        array (n, n_classes)

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As ``predict``.

        Examples
        --------
        >>> clf = MLPClassifier(5, solver="lbfgs", random_state=0).fit([[0.0], [1.0]], ["a", "b"])
        >>> bool((clf.predict_log_proba([[0.9]]) <= 0).all())
        True
        """
        probabilities = self.predict_proba(X)
        logarithms: Array = np.log(probabilities, out=probabilities)
        return logarithms

    def _steps_by_epochs(self) -> bool:
        """Whether there is a ``partial_fit``."""
        if self.solver == "lbfgs":
            raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
        return True

    def _make_binarizer(self) -> Any:
        """scikit-learn's encoder of these classes."""
        if self._kind != _LABELS:
            return LabelBinarizer().fit(self.classes_)
        labels = np.eye(2, len(self.classes_), dtype=int)
        return LabelBinarizer().fit(csr_matrix(labels) if self._sparse_labels else labels)

    # --- what BaseMLP asks for ---

    def _check_targets(self, y: Array, incremental: bool) -> tuple[Array, Array | None]:
        y = _column(y)
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._kind, self.classes_ = _look_at(y)
            self._sparse_labels = issparse(y)
        elif self.warm_start:
            _, classes = _look_at(y)
            if set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                    f"Previously got {self.classes_}, `y` has {classes}"
                )
        else:
            self._check_classes(y)
        emphasis = None if self.class_weight is None else compute_sample_weight(self.class_weight, y)
        return self._to_engine(y), emphasis

    def _check_classes(self, y: Array) -> None:
        kind, classes = _look_at(y)
        if np.setdiff1d(classes, self.classes_, assume_unique=True).size > 0:
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
            )
        if (kind == _LABELS) != (self._kind == _LABELS):
            raise ValueError(f"y must be {self._kind} as in the previous call, got {kind}")

    def _encode(self, y: Array) -> Array:
        y = _column(y)
        self._check_classes(y)
        return self._to_engine(y)

    def _to_engine(self, y: Any) -> Array:
        """Numbers of the classes (n,) where there are several, else 0 and 1 (n, n_out)."""
        if self._kind == _LABELS:
            matrix: Array = (y.toarray() if issparse(y) else y).astype(bool)
            return matrix
        numbers: Array = np.searchsorted(self.classes_, y)
        return numbers if self._kind == "multiclass" else numbers[:, np.newaxis].astype(bool)

    def _decode(self, outputs: Array) -> Array:
        labels: Array
        if self._kind == _LABELS:
            labels = (outputs > 0.5).astype(int)
        elif self._kind == "multiclass":
            labels = self.classes_[outputs.argmax(axis=1) if outputs.ndim == 2 else outputs]
        else:
            labels = self.classes_[np.minimum(outputs[:, 0] > 0.5, len(self.classes_) - 1)]
        return labels

    def _count_outputs(self, y: Array) -> int:
        return len(self.classes_) if self._kind == "multiclass" else y.shape[1]

    @property
    def _loss_row(self) -> Loss:
        return class_loss(self.loss, "softmax" if self._kind == "multiclass" else "logistic")

    @property
    def _task(self) -> str:
        return "multilabel" if self._kind == _LABELS else "classes"

    @property
    def _metric(self) -> Callable[..., float]:
        return _accuracy


def _accuracy(y_true: Any, y_pred: Array, sample_weight: Any = None) -> float:
    """scikit-learn's ``accuracy_score``; it looks at whole numbers for longer than a small network trains an epoch."""
    plain = all(type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind in "biu" for y in (y_true, y_pred))
    if plain and sample_weight is None and len(y_true) == len(y_pred):
        return float((y_true == y_pred).mean())
    score: float = accuracy_score(y_true, y_pred, sample_weight=sample_weight)
    return score


def _column(y: Array) -> Array:
    column: Array = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
    return column


def _look_at(y: Array) -> tuple[str, Array]:
    """scikit-learn's word for the kind of the targets, and their classes."""
    if y.ndim == 1 and y.dtype.kind in "biu":  # what it would say of most targets, after a longer look
        classes = np.unique(y)
        if 2 * len(classes) <= len(y):  # else some releases warn
            return "multiclass" if len(classes) > 2 else "binary", classes
    kind = type_of_target(y, input_name="y")
    if "multioutput" in kind:
        raise ValueError("Multioutput target data is not supported with label binarization")
    # Where it will do, NumPy's function: the other one asks for the kind once more.
    return kind, np.unique(y) if kind in ("binary", "multiclass") else unique_labels(y)
