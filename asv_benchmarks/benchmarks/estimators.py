"""fit and predict of the estimators with scikit-learn's names."""

import warnings
from functools import lru_cache

import numpy as np

from .common import Task, load_data


@lru_cache(maxsize=1)
def _fitted(case, dtype):
    """An estimator whose kernels are compiled, with its data."""
    from fastnn.sklearn import MLPClassifier

    task = Task(case, "adam", dtype)
    data = load_data(task, task.n)
    estimator = MLPClassifier(task.sizes[1:-1], batch_size=task.batch, max_iter=1, tol=0, random_state=0)
    X = np.ascontiguousarray(data.X)
    return estimator.fit(X, data.y), X, data.y


class Classifier:
    """One epoch with the checks and the drawing of weights, and predictions."""

    params = (("F", "H"), ("float32", "float64"))
    param_names = ("case", "dtype")
    warmup_time = 0
    rounds = 2
    repeat = (3, 10, 10.0)
    timeout = 300

    def setup(self, case, dtype):
        warnings.simplefilter("ignore")  # one epoch is not enough to converge
        self.estimator, self.X, self.y = _fitted(case, dtype)

    def time_fit(self, case, dtype):
        self.estimator.fit(self.X, self.y)

    def time_predict(self, case, dtype):
        self.estimator.predict(self.X)

    def time_predict_one_sample(self, case, dtype):
        self.estimator.predict(self.X[:1])
