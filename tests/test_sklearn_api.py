"""scikit-learn's conventions: its own checks of estimators, and the tools that people put estimators into."""

import copy
import inspect
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris, make_regression
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastnn
from fastnn.formulas.schedules import ReduceOnPlateau
from fastnn.sklearn import MLPClassifier, MLPRegressor, from_sklearn, to_sklearn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

_X, _Y = load_iris(return_X_y=True)
_XR, _YR = make_regression(100, 6, n_targets=2, random_state=0)
_SMALL = {"hidden_layer_sizes": 5, "max_iter": 5, "random_state": 0}


@parametrize_with_checks([MLPClassifier(max_iter=100), MLPRegressor(max_iter=100)])
def test_conventions(estimator, check):
    check(estimator)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_parameters_and_defaults_are_theirs(kind):
    expected = list(inspect.signature(getattr(theirs, kind.__name__)).parameters.values())
    got = list(inspect.signature(kind).parameters.values())[: len(expected)]
    assert [(p.name, p.kind, p.default) for p in got] == [(p.name, p.kind, p.default) for p in expected]


def _plain(value):
    return float(value) if isinstance(value, np.float64) else value


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_attributes_are_theirs(kind):
    X, y = (_X, _Y) if kind is MLPClassifier else (_XR, _YR)
    for parameters in ({}, {"early_stopping": True}, {"solver": "lbfgs"}):
        expected = getattr(theirs, kind.__name__)(**_SMALL, **parameters).fit(X, y)
        got = kind(**_SMALL, **parameters).fit(X, y)
        for name in [name for name in vars(expected) if name.endswith("_")]:
            assert type(_plain(getattr(got, name))) is type(_plain(getattr(expected, name))), name


def test_without_scikit_learn():
    """The library works; only this part of it says what it lacks."""
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import fastnn\n"
        "try:\n    import fastnn.sklearn\n"
        "except ImportError as error:\n    print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 'pip install "fastnn-engine[sklearn]"' in said


# --- copies ---


@pytest.mark.parametrize("make", [copy.deepcopy, lambda estimator: pickle.loads(pickle.dumps(estimator))])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_a_copy_goes_on_as_the_original(make, solver):
    original = MLPClassifier(**_SMALL, solver=solver).fit(_X, _Y)
    twin = make(original)
    np.testing.assert_array_equal(twin.predict_proba(_X), original.predict_proba(_X))
    for estimator in (original, twin):
        estimator.partial_fit(_X, _Y)
        estimator.partial_fit(_X, _Y)
    np.testing.assert_array_equal(twin.coefs_[0], original.coefs_[0])
    assert twin.loss_curve_ == original.loss_curve_


def test_a_clone_is_not_fitted():
    estimator = MLPRegressor(solver=fastnn.SGD(0.01), activation=["tanh"], **_SMALL).fit(_XR, _YR)
    twin = clone(estimator)
    assert twin.get_params() == estimator.get_params()
    assert not hasattr(twin, "coefs_")
    assert not hasattr(twin, "network_")


# --- tools ---


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_in_a_searched_pipeline(library):
    frames = pytest.importorskip(library)
    rng = np.random.default_rng(0)
    columns = {"age": rng.normal(40, 9, 80), "height": rng.normal(170, 9, 80), "town": rng.choice(["A", "B", "C"], 80)}
    frame, y = frames.DataFrame(columns), np.where(columns["town"] == "A", "left", "right")
    numbers = ["age", "height"]
    prepared = ColumnTransformer([("numbers", StandardScaler(), numbers), ("town", OneHotEncoder(), ["town"])])
    search = GridSearchCV(
        make_pipeline(prepared, MLPClassifier(**{**_SMALL, "max_iter": 60}, learning_rate_init=0.05)),
        {"mlpclassifier__hidden_layer_sizes": [(3,), (6,)], "mlpclassifier__alpha": [1e-4, 1e-2]},
        cv=3,
    )
    assert search.fit(frame, y).score(frame, y) > 0.95
    plain = MLPClassifier(**_SMALL).fit(frame[numbers], y)
    assert list(plain.feature_names_in_) == numbers
    with pytest.raises(ValueError, match="feature names"):
        plain.predict(frame[["height", "age"]])


def test_calibration_and_importance_in_threads():
    fitted = CalibratedClassifierCV(MLPClassifier(solver="lbfgs", random_state=0), cv=3).fit(_X, _Y)
    assert fitted.score(_X, _Y) > 0.9
    estimator = MLPClassifier(hidden_layer_sizes=10, solver="lbfgs", random_state=0).fit(_X, _Y)
    with joblib.parallel_backend("threading", n_jobs=2):
        together = permutation_importance(estimator, _X, _Y, n_repeats=3, random_state=0)
    alone = permutation_importance(estimator, _X, _Y, n_repeats=3, random_state=0)
    np.testing.assert_array_equal(together.importances, alone.importances)


def test_trainings_in_threads_do_not_meet():
    estimator = MLPClassifier(**_SMALL)
    alone = cross_val_score(estimator, _X, _Y, cv=4)
    with joblib.parallel_backend("threading", n_jobs=4):
        np.testing.assert_array_equal(cross_val_score(estimator, _X, _Y, cv=4), alone)


def test_it_shows_as_html():
    assert "MLPClassifier" in MLPClassifier()._repr_html_()


# --- lists and network ---


def test_lists_are_what_counts():
    estimator = MLPRegressor(**_SMALL).fit(_XR, _YR)
    before = estimator.predict(_XR)
    estimator.coefs_[-1][:] = 0
    estimator.intercepts_[-1] = np.array([1.0, 2.0])
    np.testing.assert_array_equal(estimator.predict(_XR), np.tile([1.0, 2.0], (len(_XR), 1)))
    assert not np.array_equal(before, estimator.predict(_XR))
    np.testing.assert_array_equal(estimator.network_.biases[-1], [1.0, 2.0])


def test_the_network_is_the_model():
    estimator = MLPClassifier(**_SMALL).fit(_X, _Y)
    assert isinstance(estimator.network_, fastnn.Network)
    np.testing.assert_array_equal(estimator.network_.forward(_X), estimator.predict_proba(_X))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize(
    ("kind", "X", "y"),
    [
        (MLPClassifier, _X, _Y),
        (MLPClassifier, _X, _Y > 0),
        (MLPClassifier, _X, np.stack([_Y > 0, _Y > 1], 1)),
        (MLPRegressor, _XR, _YR),
        (MLPRegressor, _XR, _YR[:, 0]),
    ],
)
def test_conversion(kind, X, y, solver):
    fitted = getattr(theirs, kind.__name__)(**_SMALL, solver=solver).fit(X, y)
    ours = from_sklearn(fitted)
    assert isinstance(ours, kind)
    back = to_sklearn(ours)
    assert type(back) is type(fitted)
    assert back.get_params() == fitted.get_params()
    for method in ("predict", "predict_proba"):
        if hasattr(fitted, method):
            expected = getattr(fitted, method)(X)
            np.testing.assert_allclose(getattr(ours, method)(X), expected, rtol=1e-10, atol=1e-12)
            np.testing.assert_array_equal(getattr(back, method)(X), expected)
    ours.coefs_[0][:] = 0
    assert fitted.coefs_[0].any()


def test_conversion_of_something_else():
    with pytest.raises(TypeError, match="scikit-learn's MLPClassifier or MLPRegressor, got StandardScaler"):
        from_sklearn(StandardScaler())
    with pytest.raises(TypeError, match=r"fastnn\.sklearn estimator, got MLPClassifier"):
        to_sklearn(theirs.MLPClassifier())
    with pytest.raises(ValueError, match="not fitted"):
        to_sklearn(MLPClassifier())
    unknown = MLPClassifier(activation=["tanh"], **_SMALL).fit(_X, _Y)
    with pytest.raises(ValueError, match=r"scikit-learn cannot.*'activation'"):
        to_sklearn(unknown)


def test_conversion_leaves_out_what_only_training_needs():
    estimator = MLPClassifier(**_SMALL, solver=fastnn.SGD(0.1), dtype="float32", class_weight="balanced").fit(_X, _Y)
    converted = to_sklearn(estimator)
    assert converted.solver == "adam"
    np.testing.assert_allclose(converted.predict_proba(_X), estimator.predict_proba(_X), rtol=1e-4)


# --- bad input ---

_BAD_PARAMETERS = [
    {"hidden_layer_sizes": -1},
    {"hidden_layer_sizes": (4, 0)},
    {"activation": "reluu"},
    {"solver": "sgdd"},
    {"alpha": -1},
    {"batch_size": 0},
    {"batch_size": "car"},
    {"learning_rate": "slow"},
    {"learning_rate_init": 0.0},
    {"power_t": -1.0},
    {"max_iter": 0},
    {"shuffle": "yes"},
    {"random_state": "x"},
    {"tol": -1e-3},
    {"verbose": -1},
    {"warm_start": "no"},
    {"momentum": 1.5},
    {"nesterovs_momentum": None},
    {"early_stopping": "yes"},
    {"validation_fraction": 1.0},
    {"early_stopping": True, "validation_fraction": 0.001},
    {"beta_1": 1.0},
    {"beta_2": -0.5},
    {"epsilon": 0},
    {"n_iter_no_change": 0},
    {"max_fun": 0},
]


@pytest.mark.parametrize("parameters", _BAD_PARAMETERS, ids=str)
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_bad_parameters_are_refused_as_theirs(kind, parameters):
    with pytest.raises((ValueError, TypeError)) as expected:
        getattr(theirs, kind.__name__)(**parameters).fit(_X, _Y)
    with pytest.raises(type(expected.value)) as got:
        kind(**parameters).fit(_X, _Y)
    if not {"activation", "solver", "learning_rate"} & set(parameters):  # of which there are more here
        assert str(got.value) == str(expected.value)


_BAD_DATA = [
    (_X[:, 0], _Y, None),
    (_X[:-1], _Y, None),
    (np.where(_X > 7, np.nan, _X), _Y, None),
    (_X[:0], _Y[:0], None),
    (_X.astype(str).astype(object) + "x", _Y, None),
    (_X, np.full(len(_Y), np.nan), None),
    (_X, _Y, _Y[:-1]),
    (_X, _Y, np.full(len(_Y), np.inf)),
    (_X, _Y[:, np.newaxis, np.newaxis], None),
]


@pytest.mark.parametrize("data", _BAD_DATA, ids=range(len(_BAD_DATA)))
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_bad_data_are_refused_as_theirs(kind, data):
    with pytest.raises((ValueError, TypeError)) as expected:
        getattr(theirs, kind.__name__)().fit(*data)
    with pytest.raises(type(expected.value)) as got:
        kind().fit(*data)
    assert str(got.value) == str(expected.value)


def test_other_features_are_refused_as_theirs():
    for method in ("predict", "predict_proba", "predict_log_proba"):
        messages = []
        for kind in (theirs.MLPClassifier, MLPClassifier):
            with pytest.raises(ValueError, match="features") as error:
                getattr(kind(**_SMALL).fit(_X, _Y), method)(_X[:, 1:])
            messages.append(str(error.value))
        assert messages[0] == messages[1]


def test_bad_extra_parameters_are_named():
    for parameters, message in [
        ({"dtype": "float16"}, "dtype"),
        ({"callbacks": 3}, "callbacks"),
        ({"callbacks": [3]}, r"callbacks\[0\] must be callable, got int"),
        ({"learning_rate": ReduceOnPlateau()}, "val_cost"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": [0.1, 0.2, 0.3]}, "dropout must be .* expected 2, got 3"),
        ({"dropout": 0.5, "solver": "lbfgs"}, "dropout needs"),
        ({"max_time": 0}, "max_time"),
        ({"threads": 0}, "threads"),
        ({"scoring": 3}, "scoring"),
        ({"class_weight": "even"}, "class_weight"),
        ({"activation": ["relu", "relu"]}, "activation must be .* expected 1, got 2"),
        ({"activation": ["softmax"]}, "softmax"),
        ({"activation": [["relu"]]}, "activation must be .* got list"),
        ({"activation": ["reluu"]}, "did you mean 'relu'"),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            MLPClassifier(**_SMALL, **parameters).fit(_X, _Y)
    for data, message in [
        (_X, r"validation_data must be a pair"),
        ((_X[:5], _Y[:4]), "expected 5, got 4"),
        ((_X[:5], [7] * 5), "classes"),
        ((_X[:, 1:], _Y), "features"),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            MLPClassifier(**_SMALL).fit(_X, _Y, validation_data=data)


@pytest.mark.parametrize("arguments", [{"loss": 5}, {"loss": None}, {"activation": 5}, {"loss": (7,)}], ids=str)
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_what_is_no_name_is_refused_as_scikit_learn_refuses_it(kind, arguments):
    with pytest.raises(InvalidParameterError, match=f"The '{next(iter(arguments))}' parameter of {kind.__name__}"):
        kind(**arguments).fit([[0.0], [1.0]], [0, 1])
