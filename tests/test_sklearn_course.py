"""The same model as scikit-learn's: with the same random_state, training in float64 takes the same course."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import neural_network as theirs
from sklearn.datasets import make_classification, make_multilabel_classification, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import type_of_target

from fastnn import sklearn as ours
from fastnn.orders import NumpyShuffle
from fastnn.sklearn import _classifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
TOLERANCE = 1e-8

_N = 90  # batches of 32 do not divide it, nor what early stopping leaves of it
_X, _CLASSES = make_classification(_N, 8, n_informative=6, n_classes=3, random_state=0)
_, _LABELS = make_multilabel_classification(_N, 8, n_classes=4, random_state=0)
_, _NUMBERS = make_regression(_N, 8, n_targets=2, random_state=0)
_WEIGHTS = np.random.default_rng(0).uniform(0.1, 3.0, _N)

TASKS = {
    "three classes": ("MLPClassifier", _CLASSES),
    "two classes": ("MLPClassifier", np.where(_CLASSES == 1, "yes", "no")),
    "labels": ("MLPClassifier", _LABELS),
    "number": ("MLPRegressor", _NUMBERS[:, 0] / 100),
    "numbers": ("MLPRegressor", _NUMBERS / 100),
}
SOLVERS = {
    "plain": {"solver": "sgd", "momentum": 0.0},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False},
    "nesterov": {"solver": "sgd"},
    "undamped": {"solver": "sgd", "momentum": 1.0, "learning_rate_init": 1e-4},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.05, "power_t": 0.3},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 1e-2, "n_iter_no_change": 1},
    "adam": {"solver": "adam"},
}
VARIANTS = {
    "as it is": {},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 3},
    "in order": {"shuffle": False},
    "strong alpha": {"alpha": 0.3},
    "one batch": {"batch_size": "auto"},
    "more than a piece": {"batch_size": 1000},
}
_COMMON = {
    "hidden_layer_sizes": (7, 5),
    "activation": "tanh",
    "batch_size": 32,
    "max_iter": 15,
    "learning_rate_init": 0.01,
    "random_state": 3,
}


def fit_both(task, sample_weight=None, **parameters):
    """scikit-learn's and our estimator, trained."""
    kind, y = TASKS[task]
    pair = [getattr(module, kind)(**{**_COMMON, **parameters}) for module in (theirs, ours)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a batch size that is clipped
        return [estimator.fit(_X, y, sample_weight) for estimator in pair]


def assert_same_course(expected, got, loss_tolerance=TOLERANCE):
    assert got.n_iter_ == expected.n_iter_
    assert got.t_ == expected.t_
    for name in ("loss_curve_", "loss_", "best_loss_", "validation_scores_", "best_validation_score_"):
        if getattr(expected, name) is None:
            assert getattr(got, name) is None
        else:
            np.testing.assert_allclose(
                getattr(got, name), getattr(expected, name), rtol=0, atol=loss_tolerance, err_msg=name
            )
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(got, name), getattr(expected, name), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE, err_msg=name)
    predictions = got.predict(_X), expected.predict(_X)
    if isinstance(expected, theirs.MLPClassifier):
        np.testing.assert_array_equal(*predictions)
        np.testing.assert_allclose(got.predict_proba(_X), expected.predict_proba(_X), rtol=0, atol=TOLERANCE)
    else:
        np.testing.assert_allclose(*predictions, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("task", TASKS)
def test_solvers(task, solver):
    assert_same_course(*fit_both(task, **SOLVERS[solver]))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("solver", ["nesterov", "adam"])
@pytest.mark.parametrize("task", ["three classes", "numbers"])
def test_variants(task, solver, variant):
    assert_same_course(*fit_both(task, **{**SOLVERS[solver], **VARIANTS[variant]}))


@pytest.mark.parametrize("variant", ["as it is", "early stopping", "strong alpha"])
@pytest.mark.parametrize("solver", ["plain", "invscaling", "adam"])
@pytest.mark.parametrize("task", ["three classes", "two classes", "numbers"])
def test_sample_weights(task, solver, variant):
    assert_same_course(*fit_both(task, _WEIGHTS, **{**SOLVERS[solver], **VARIANTS[variant]}))


@pytest.mark.parametrize("sample_weight", [None, _WEIGHTS], ids=["alike", "weighted"])
@pytest.mark.parametrize("task", TASKS)
def test_lbfgs(task, sample_weight):
    expected, got = fit_both(task, sample_weight, solver="lbfgs", alpha=0.5)
    assert got.n_iter_ == expected.n_iter_
    np.testing.assert_allclose(got.loss_, expected.loss_, rtol=1e-9)
    for a, b in zip(got.coefs_, expected.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)  # line searches magnify the rounding


@pytest.mark.parametrize("sample_weight", [None, _WEIGHTS], ids=["alike", "weighted"])
@pytest.mark.parametrize("variant", [{}, {"early_stopping": True}, {"solver": "lbfgs"}], ids=str)
def test_counts(variant, sample_weight):
    y = np.random.default_rng(0).poisson(np.exp(0.3 * _X[:, :2]))
    parameters = {**_COMMON, "loss": "poisson", "max_iter": 8, **variant}
    expected, got = (module.MLPRegressor(**parameters).fit(_X, y, sample_weight) for module in (theirs, ours))
    if "solver" in variant:
        np.testing.assert_allclose(got.loss_, expected.loss_, rtol=1e-9)
        np.testing.assert_allclose(got.predict(_X), expected.predict(_X), rtol=1e-6)
    else:
        assert_same_course(expected, got)


@pytest.mark.parametrize("form", ["csr_matrix", "csc_array"])
def test_sparse_labels(form):
    import scipy.sparse

    kind, y = TASKS["labels"]
    labels = getattr(scipy.sparse, form)(y)
    expected, got = (getattr(module, kind)(**_COMMON).fit(_X, labels) for module in (theirs, ours))
    np.testing.assert_allclose(got.loss_curve_, expected.loss_curve_, rtol=1e-9)
    predicted, wanted = got.predict(_X), expected.predict(_X)
    assert type(predicted) is type(wanted)
    np.testing.assert_array_equal(predicted.toarray(), wanted.toarray())


def test_the_regressor_goes_on_with_lbfgs():
    pair = [module.MLPRegressor(**_COMMON, solver="lbfgs") for module in (theirs, ours)]
    for estimator in pair:
        estimator.partial_fit(_X, TASKS["number"][1])
        estimator.partial_fit(_X, TASKS["number"][1])
    np.testing.assert_allclose(pair[1].loss_, pair[0].loss_, rtol=1e-6)


@pytest.mark.parametrize("solver", ["invscaling", "adam"])
@pytest.mark.parametrize("task", ["three classes", "number"])
def test_calls_that_go_on(task, solver):
    kind, y = TASKS[task]
    parameters = {**_COMMON, **SOLVERS[solver], "warm_start": True, "max_iter": 3}
    pair = [getattr(module, kind)(**parameters) for module in (theirs, ours)]
    for estimator in pair:
        estimator.fit(_X, y)
        estimator.fit(_X, y)
        estimator.set_params(warm_start=False)
        estimator.partial_fit(_X[:50], y[:50])
        estimator.partial_fit(_X[30:], y[30:])
    assert_same_course(*pair)


@settings(max_examples=25, deadline=None)
@given(
    task=st.sampled_from(sorted(TASKS)),
    solver=st.sampled_from(sorted(set(SOLVERS) - {"undamped"})),
    activation=st.sampled_from(["identity", "logistic", "tanh", "relu"]),
    hidden_layer_sizes=st.lists(st.integers(1, 9), max_size=3),
    alpha=st.sampled_from([0.0, 1e-4, 1.0]),
    batch_size=st.integers(5, _N),
    early_stopping=st.booleans(),
    shuffle=st.booleans(),
    random_state=st.integers(0, 2**32 - 1),
)
def test_any_parameters(task, solver, **parameters):
    cautious = {"learning_rate_init": 1e-3, "max_iter": 4}  # a training that diverges magnifies the rounding
    # Of outputs near 1 scikit-learn takes the logarithm of 1 - p, which has lost digits.
    assert_same_course(*fit_both(task, **{**SOLVERS[solver], **parameters, **cautious}), loss_tolerance=1e-6)


@pytest.mark.parametrize("form", ["csr_matrix", "csc_array"])
def test_sparse_samples(form):
    import scipy.sparse

    kind, y = TASKS["three classes"]
    X = getattr(scipy.sparse, form)(np.where(abs(_X) > 1, _X, 0))
    pair = [getattr(module, kind)(**_COMMON, early_stopping=True).fit(X, y) for module in (theirs, ours)]
    assert_same_course(*pair)
    np.testing.assert_allclose(pair[1].predict_proba(X), pair[0].predict_proba(X), atol=TOLERANCE)


def test_single_precision():
    kind, y = TASKS["three classes"]
    X = _X.astype(np.float32)
    expected, got = (getattr(module, kind)(**_COMMON).fit(X, y) for module in (theirs, ours))
    assert got.coefs_[0].dtype == np.float32
    assert got.predict_proba(X).dtype == expected.predict_proba(X).dtype == np.float32
    np.testing.assert_allclose(got.loss_curve_, expected.loss_curve_, rtol=1e-4)


def test_bytes_are_numbers():
    kind, y = TASKS["three classes"]
    X = np.clip(50 * _X + 128, 0, 255).astype(np.uint8)
    parameters = {**_COMMON, "learning_rate_init": 1e-4, "max_iter": 3}  # such inputs magnify the rounding
    expected, got = (getattr(module, kind)(**parameters).fit(X, y) for module in (theirs, ours))
    np.testing.assert_allclose(got.predict_proba(X), expected.predict_proba(X), atol=TOLERANCE)


def test_float64_is_asked_for():
    kind, y = TASKS["three classes"]
    expected = getattr(theirs, kind)(**_COMMON).fit(_X, y)
    got = getattr(ours, kind)(**_COMMON, dtype="float64").fit(_X.astype(np.float32), y)
    assert got.coefs_[0].dtype == np.float64
    np.testing.assert_allclose(got.loss_curve_, expected.loss_curve_, rtol=1e-4)


def test_what_is_printed(capsys):
    printed = []
    for module in (theirs, ours):
        estimator = module.MLPClassifier(
            solver="sgd",
            learning_rate="adaptive",
            tol=0.1,
            n_iter_no_change=2,
            max_iter=20,
            verbose=True,
            random_state=0,
        )
        estimator.fit(_X, _CLASSES)
        estimator.set_params(early_stopping=True).fit(_X, _CLASSES)
        printed.append(capsys.readouterr().out)
    assert "Setting learning rate" in printed[0]
    assert "Validation score" in printed[0]
    assert printed[1] == printed[0]


def test_nothing_improves_in_the_last_epoch():
    """No warning where the epochs run out in the very epoch in which training stops by itself."""
    stopped = ours.MLPClassifier(max_iter=500, tol=0.05, n_iter_no_change=2, random_state=0).fit(_X, _CLASSES)
    assert stopped.stopped_
    exactly = ours.MLPClassifier(max_iter=stopped.n_iter_, tol=0.05, n_iter_no_change=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exactly.fit(_X, _CLASSES)
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        exactly.set_params(max_iter=stopped.n_iter_ - 1).fit(_X, _CLASSES)


@pytest.mark.parametrize("hidden", [(1,), (3, 17), (31, 33), (100, 1, 65)])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-13)])  # of sums of so few squares
@pytest.mark.parametrize("threads", [1, 2])
def test_the_loss_counts_the_squares_of_all_weights(hidden, dtype, tolerance, threads):
    """In an epoch of three batches that changes no weight: alpha / (2 n) times three times ||W||^2."""
    still = {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 1e-35, "batch_size": 32, "max_iter": 1}
    given = {"hidden_layer_sizes": hidden, "dtype": dtype, "random_state": 0, "threads": threads}
    plain, penalised = (ours.MLPRegressor(**still, **given, alpha=a).fit(_X, _NUMBERS) for a in (0, 1e9))
    squares = sum(np.square(W.astype(np.float64)).sum() for W in penalised.coefs_)
    np.testing.assert_allclose(penalised.loss_ - plain.loss_, 0.5e9 / _N * 3 * squares, rtol=tolerance)


@pytest.mark.parametrize("solver", ["plain", "nesterov", "adam"])
@pytest.mark.parametrize("batch_size", [1, 31, 90])
def test_the_course_of_samples_that_are_mostly_zero(solver, batch_size):
    """Where zeros are skipped, the squares of the weights are added up as they are stepped, block by block."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 3000)) * (rng.random((90, 3000)) < 0.2)
    y = X[:, :3].argmax(axis=1)
    given = {**_COMMON, **SOLVERS[solver], "hidden_layer_sizes": (19,), "batch_size": batch_size, "alpha": 0.5}
    given["max_iter"] = 4
    expected = theirs.MLPClassifier(**given).fit(X, y)
    found = [ours.MLPClassifier(**given, threads=threads).fit(X, y) for threads in (1, 2)]
    for got in found:
        np.testing.assert_allclose(got.loss_curve_, expected.loss_curve_, rtol=TOLERANCE)
        np.testing.assert_allclose(got.coefs_[0], expected.coefs_[0], rtol=0, atol=TOLERANCE)
    assert found[0].loss_curve_ == found[1].loss_curve_
    goes_on = [module.MLPClassifier(**given, warm_start=True).fit(X, y) for module in (theirs, ours)]
    for estimator in goes_on:  # with weights that no step has left
        estimator.coefs_[0][:] *= 2
        estimator.fit(X, y)
    np.testing.assert_allclose(goes_on[1].loss_curve_, goes_on[0].loss_curve_, rtol=TOLERANCE)


@pytest.mark.parametrize("generator", [np.random.MT19937, np.random.PCG64])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 17, 64, 65, 1000])
def test_shuffles_are_numpys(n, generator):
    """Each order from the one before; what is drawn next is the same, too. 1,000 use up the words more than once."""
    expected, mine = (np.random.RandomState(generator(3)) for _ in range(2))
    for random_state in (expected, mine):
        random_state.random_sample(n)  # begin in the middle of the words
    order, rows = np.arange(n), []
    for _ in range(5):
        expected.shuffle(order)
        rows.append(order.copy())
    orders = np.empty((2, n), np.int64), np.empty((3, n), np.int64)
    shuffle = NumpyShuffle(mine)
    orders[0][0] = np.arange(n)
    shuffle(orders[0])
    orders[1][0] = orders[0][-1]
    shuffle(orders[1])
    np.testing.assert_array_equal(np.vstack(orders), rows)
    assert mine.randint(1 << 30) == expected.randint(1 << 30)


def test_any_random_state_will_do():
    """One that is shared goes on where scikit-learn leaves it; one of another generator shuffles by itself."""
    for generator in (np.random.MT19937, np.random.PCG64):
        states = [np.random.RandomState(generator(1)) for _ in range(2)]
        pair = [
            module.MLPClassifier((3,), solver="sgd", max_iter=4, random_state=state).fit(_X, _CLASSES)
            for module, state in zip((theirs, ours), states, strict=True)
        ]
        np.testing.assert_allclose(pair[1].loss_curve_, pair[0].loss_curve_, rtol=TOLERANCE)
        assert states[0].random_sample() == states[1].random_sample()


@pytest.mark.parametrize(
    "y",
    [
        [0, 1] * 9,
        [3, -1, 7] * 9,
        [True, False] * 9,
        [5] * 18,
        list(range(18)),
        [0, 1],
        [*range(11)] * 2,
        [*range(10), *range(11)],
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool])
def test_kinds_of_targets_are_scikit_learns(y, dtype):
    y = np.array(y).astype(dtype)
    kind, classes = _classifier._look_at(y)
    assert kind == type_of_target(y)
    np.testing.assert_array_equal(classes, np.unique(y))


def test_a_generator_that_was_replaced_is_drawn_from():
    """As NumPy's global one may be, by ``np.random.set_bit_generator``."""
    expected, mine = (np.random.RandomState(np.random.MT19937(5)) for _ in range(2))
    shuffle, order, orders = NumpyShuffle(mine), np.arange(50), np.arange(50).reshape(1, 50)
    shuffle(orders)
    expected.shuffle(order)
    for random_state in (expected, mine):
        random_state.__init__(np.random.MT19937(6))
    shuffle(orders)
    expected.shuffle(order)
    np.testing.assert_array_equal(orders[0], order)


@pytest.mark.parametrize(
    "y", [[0, 1, 1, 2], [True, False, True, True], ["a", "b", "b", "c"], [[0, 1], [1, 1], [0, 0], [1, 0]]], ids=str
)
@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 0.5, 3.0]])
@pytest.mark.parametrize("form", [np.array, list])
def test_scores_are_accuracies(y, weight, form):
    X = np.eye(4)
    found = ours.MLPClassifier((3,), max_iter=5, random_state=0).fit(X, y)
    truth = found.predict(X)[::-1]
    truth = truth if form is np.array else truth.tolist()
    assert found.score(X, truth, weight) == ours.to_sklearn(found).score(X, truth, weight)


def test_a_score_refuses_what_scikit_learn_refuses():
    found = ours.MLPClassifier((3,), max_iter=5, random_state=0).fit(_X, _CLASSES)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        found.score(_X, _CLASSES[1:])
    assert found.score(_X, _CLASSES.astype(np.int8)) == found.score(_X, _CLASSES)


def test_names_of_parameters_are_each_classes_own():
    class Wider(ours.MLPClassifier):
        def __init__(self, width=3):
            super().__init__((width,))
            self.width = width

    names = ours.MLPClassifier._get_param_names()
    names.append("x")
    assert "x" not in ours.MLPClassifier._get_param_names()
    assert Wider._get_param_names() == ["width"]
    assert Wider(5).get_params() == {"width": 5}
