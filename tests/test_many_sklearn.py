"""scikit-learn's searches over our estimators find the same on one core, in threads and on a Dask cluster."""

import numpy as np
import pytest

import fastnn

model_selection = pytest.importorskip("sklearn.model_selection")
joblib = pytest.importorskip("joblib")

X, y, _, _ = fastnn.datasets.load_digits()
X, y = X[:300], y[:300]


def search(n_jobs=None):
    from fastnn.sklearn import MLPClassifier

    model = MLPClassifier((8,), max_iter=3, random_state=0, threads="auto")
    grid = {"alpha": [1e-4, 0.5], "learning_rate_init": [1e-3, 1e-2]}
    return model_selection.GridSearchCV(model, grid, cv=2, n_jobs=n_jobs).fit(X, y)


@pytest.fixture(scope="module")
def alone():
    pytest.importorskip("fastnn.sklearn")
    return search()


def assert_same(found, alone):
    np.testing.assert_array_equal(found.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
    assert found.best_params_ == alone.best_params_


@pytest.mark.filterwarnings("ignore")
def test_in_threads(alone):
    with joblib.parallel_backend("threading", n_jobs=2):
        assert_same(search(), alone)


@pytest.mark.filterwarnings("ignore")
def test_in_processes(alone):
    assert_same(search(n_jobs=2), alone)


@pytest.mark.filterwarnings("ignore")
def test_on_a_dask_cluster(alone):
    distributed = pytest.importorskip("distributed", reason="Dask is not installed: the extra dask")
    workers = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    with distributed.LocalCluster(**workers) as cluster, distributed.Client(cluster), joblib.parallel_backend("dask"):
        assert_same(search(), alone)
