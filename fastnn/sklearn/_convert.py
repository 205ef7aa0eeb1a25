"""Fitted models from scikit-learn's classes to these, and back."""

import copy
import inspect
from typing import Any

from sklearn import neural_network
from sklearn.utils.validation import check_is_fitted

from fastnn.sklearn._classifier import MLPClassifier
from fastnn.sklearn._regressor import MLPRegressor

_PAIRS = (
    (MLPClassifier, neural_network.MLPClassifier),
    (MLPRegressor, neural_network.MLPRegressor),
)
_NAMES = ("solver", "learning_rate")  # that may be the engine's objects here; none of them matters to predictions
_KEPT_APART = (
    "_mirror",
    "_optimizer",
    "_kind",
    "_sparse_labels",
    "_label_binarizer",
    "validation_loss_curve_",
    "stopped_",
)


def from_sklearn(fitted: Any) -> MLPClassifier | MLPRegressor:
    """The estimator of this library with the parameters and attributes of a fitted one of scikit-learn's.

    The optimizer's memory does not come along: ``partial_fit`` goes on as if its first step were still to come.

    Parameters
    ----------
    fitted : sklearn.neural_network.MLPClassifier or MLPRegressor
        Left as it is.

    Returns
    -------
    MLPClassifier or MLPRegressor
        Its predictions are equal to the rounding.

    Raises
    ------
    TypeError
        If it is something else.
    NotFittedError
        If it is not fitted.

    Examples
    --------
    >>> from fastnn.sklearn import from_sklearn
    >>> from sklearn.neural_network import MLPClassifier
    >>> theirs = MLPClassifier(5, solver="lbfgs", random_state=0).fit([[0.0], [1.0]], ["a", "b"])
    >>> from_sklearn(theirs).predict([[0.9]])
    array(['b'], dtype='<U1')
    """
    for ours, theirs in _PAIRS:
        if isinstance(fitted, theirs):
            ours_fitted: MLPClassifier | MLPRegressor = _convert(fitted, ours)
            if isinstance(ours_fitted, MLPClassifier):
                ours_fitted._kind = fitted._label_binarizer.y_type_
                ours_fitted._sparse_labels = fitted._label_binarizer.sparse_input_
            return ours_fitted
    raise TypeError(f"fitted must be scikit-learn's MLPClassifier or MLPRegressor, got {type(fitted).__name__}")


def to_sklearn(estimator: MLPClassifier | MLPRegressor) -> Any:
    """scikit-learn's estimator with the parameters and attributes of a fitted one of this library's.

    What scikit-learn has no parameter for is left out; the optimizer's memory is, too.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Left as it is.

    Returns
    -------
    sklearn.neural_network.MLPClassifier or MLPRegressor
        Its predictions are equal to the rounding.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If scikit-learn could not predict with it: it knows fewer activations and losses.
    NotFittedError
        If it is not fitted.

    Examples
    --------
    >>> from fastnn.sklearn import MLPRegressor, to_sklearn
    >>> ours = MLPRegressor(hidden_layer_sizes=5, solver="lbfgs", random_state=0).fit([[0.0], [1.0]], [1.0, 2.0])
    >>> type(to_sklearn(ours)).__module__
    'sklearn.neural_network._multilayer_perceptron'
    """
    for ours, theirs in _PAIRS:
        if isinstance(estimator, ours):
            converted = _convert(estimator, theirs)
            try:
                converted._validate_params()
            except ValueError as error:
                raise ValueError(f"scikit-learn cannot predict with this estimator: {error}") from None
            if isinstance(estimator, MLPClassifier):
                converted._label_binarizer = estimator._make_binarizer()
            return converted
    raise TypeError(f"estimator must be a fastnn.sklearn estimator, got {type(estimator).__name__}")


def _convert(fitted: Any, kind: Any) -> Any:
    """A ``kind`` with all of its parameters and attributes that it has a use for."""
    check_is_fitted(fitted, "coefs_")
    known, parameters = inspect.signature(kind).parameters, fitted.get_params(deep=False)
    left_out = {name for name in _NAMES if not isinstance(parameters.get(name, ""), str)}
    result = kind(**{name: value for name, value in parameters.items() if name in known and name not in left_out})
    attributes = {name: value for name, value in vars(fitted).items() if name not in {*parameters, *_KEPT_APART}}
    result.__dict__.update(copy.deepcopy(attributes))
    return result
