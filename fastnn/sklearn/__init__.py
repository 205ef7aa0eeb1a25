"""scikit-learn's ``MLPClassifier`` and ``MLPRegressor`` on this library's engine: change the import, keep the script.

The parameters, defaults, attributes, warnings and errors are scikit-learn's. With the same ``random_state`` the same
weights, shuffles and validation split are drawn, so that in float64 training takes the same course to the rounding.
Needs scikit-learn: ``pip install "fastnn-engine[sklearn]"``.
"""

try:
    import sklearn  # the real one: imports are absolute
except ImportError as error:
    raise ImportError('fastnn.sklearn needs scikit-learn: pip install "fastnn-engine[sklearn]"') from error

from fastnn.sklearn._classifier import MLPClassifier
from fastnn.sklearn._convert import from_sklearn, to_sklearn
from fastnn.sklearn._regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "from_sklearn", "to_sklearn"]

del sklearn
