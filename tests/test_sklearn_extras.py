"""What scikit-learn's classes have no parameter for."""

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.datasets import load_iris, make_regression
from sklearn.metrics import f1_score, log_loss, make_scorer, mean_poisson_deviance

import fastnn
from fastnn.formulas.activations import activation as activation_of_ones_own
from fastnn.formulas.optimizers import Lion, RMSprop
from fastnn.formulas.schedules import Constant, ReduceOnPlateau, StepDecay
from fastnn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

_X, _Y = load_iris(return_X_y=True)
_XR, _YR = make_regression(100, 6, n_targets=2, random_state=0)
_SMALL = {"hidden_layer_sizes": 5, "max_iter": 8, "random_state": 0}


def test_class_weights_are_sample_weights():
    by_class = {0: 0.5, 1: 3.0, 2: 1.0}
    weights = np.array([by_class[label] for label in _Y])
    expected = MLPClassifier(**_SMALL).fit(_X, _Y, weights)
    got = MLPClassifier(**_SMALL, class_weight=by_class).fit(_X, _Y)
    np.testing.assert_array_equal(got.coefs_[0], expected.coefs_[0])
    both = MLPClassifier(**_SMALL, class_weight=by_class).fit(_X, _Y, weights)
    np.testing.assert_array_equal(both.coefs_[0], MLPClassifier(**_SMALL).fit(_X, _Y, weights**2).coefs_[0])


def test_balanced_classes():
    rows = np.r_[0:50, 50:60, 100:105]
    X, y = _X[rows], np.array(["a", "b", "c"])[_Y[rows]]
    balanced = MLPClassifier(**_SMALL, class_weight="balanced").fit(X, y)
    by_hand = {"a": 65 / 150, "b": 65 / 30, "c": 65 / 15}
    np.testing.assert_allclose(
        balanced.coefs_[0], MLPClassifier(**_SMALL, class_weight=by_hand).fit(X, y).coefs_[0], rtol=1e-12
    )
    with pytest.raises(ValueError, match="balanced"):
        MLPClassifier(class_weight="balanced").partial_fit(X, y, classes=["a", "b", "c"])


def test_class_weights_do_not_count_in_the_score():
    parameters = {**_SMALL, "early_stopping": True, "max_iter": 3}
    estimator = MLPClassifier(**parameters, class_weight={0: 100.0, 1: 1.0, 2: 1.0}).fit(_X, _Y)
    fifteenths = np.array(estimator.validation_scores_) * 15  # samples that were set aside
    np.testing.assert_allclose(fifteenths, fifteenths.round(), atol=1e-9)


def test_own_validation_data():
    estimator = MLPClassifier(**_SMALL).fit(_X[::2], _Y[::2], validation_data=(_X[1::2], _Y[1::2]))
    assert len(estimator.validation_loss_curve_) == 8
    expected = log_loss(_Y[1::2], estimator.predict_proba(_X[1::2]))
    np.testing.assert_allclose(estimator.validation_loss_curve_[-1], expected, rtol=1e-9)
    assert estimator.validation_scores_ is None
    alone = MLPClassifier(**_SMALL).fit(_X[::2], _Y[::2])
    np.testing.assert_array_equal(estimator.coefs_[0], alone.coefs_[0])
    assert not hasattr(alone, "validation_loss_curve_")


def test_own_validation_data_of_a_regression():
    estimator = MLPRegressor(**_SMALL).fit(_XR[::2], _YR[::2], validation_data=(_XR[1::2], _YR[1::2]))
    expected = 0.5 * ((estimator.predict(_XR[1::2]) - _YR[1::2]) ** 2).mean()
    np.testing.assert_allclose(estimator.validation_loss_curve_[-1], expected, rtol=1e-9)


def test_early_stopping_on_own_validation_data():
    held_out = _X[1::2], _Y[1::2]
    parameters = {**_SMALL, "max_iter": 300, "learning_rate_init": 0.02, "n_iter_no_change": 5}
    estimator = MLPClassifier(**parameters, early_stopping=True)
    estimator.fit(_X[::2], _Y[::2], validation_data=held_out)
    assert estimator.stopped_
    assert estimator.t_ == 75 * estimator.n_iter_  # none of the samples was set aside
    assert estimator.score(*held_out) == estimator.best_validation_score_ == max(estimator.validation_scores_)


def test_early_stopping_in_partial_fit():
    parameters = {**_SMALL, "learning_rate_init": 0.02, "n_iter_no_change": 5, "early_stopping": True}
    held_out, classes = (_X[1::2], _Y[1::2]), [0, 1, 2]
    estimator = MLPClassifier(**parameters)
    calls = 0
    while not calls or not estimator.stopped_:
        estimator.partial_fit(_X[::2], _Y[::2], classes=classes, validation_data=held_out)
        calls += 1
        assert calls < 300
    assert calls > 5
    assert len(estimator.validation_scores_) == len(estimator.validation_loss_curve_) == calls
    assert estimator.score(*held_out) == max(estimator.validation_scores_)
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        estimator.partial_fit(_X, _Y)


@pytest.mark.parametrize(
    "scoring",
    ["f1_macro", make_scorer(f1_score, average="macro"), lambda e, X, y: f1_score(y, e.predict(X), average="macro")],
)
def test_scorer_of_early_stopping(scoring):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(_X, columns=list("abcd"))
    estimator = MLPClassifier(**_SMALL, early_stopping=True, scoring=scoring)
    estimator.fit(frame[::2], _Y[::2], validation_data=(frame[1::2], _Y[1::2]))
    expected = f1_score(_Y[1::2], estimator.predict(frame[1::2]), average="macro")
    assert estimator.best_validation_score_ == pytest.approx(expected)
    assert list(estimator.feature_names_in_) == list("abcd")


def test_an_optimizer_of_the_engine():
    optimizer = fastnn.SGD(0.03, momentum=0.8)
    got = MLPClassifier(**_SMALL, solver=optimizer).fit(_X, _Y)
    named = MLPClassifier(**_SMALL, solver="sgd", learning_rate_init=0.03, momentum=0.8, nesterovs_momentum=False).fit(
        _X, _Y
    )
    np.testing.assert_allclose(got.coefs_[0], named.coefs_[0], rtol=1e-9)
    np.testing.assert_allclose(got.loss_curve_, named.loss_curve_, rtol=1e-12)


def test_an_activation_for_each_layer():
    parameters = {**_SMALL, "hidden_layer_sizes": (5, 4)}
    same = MLPClassifier(**parameters, activation=["tanh", "tanh"]).fit(_X, _Y)
    np.testing.assert_array_equal(same.coefs_[0], MLPClassifier(**parameters, activation="tanh").fit(_X, _Y).coefs_[0])
    mixed = MLPClassifier(**parameters, activation=("logistic", "relu")).fit(_X, _Y)
    assert mixed.network_.activations == ("sigmoid", "relu", "softmax")


@pytest.mark.parametrize(
    "activation", ["leaky_relu(slope=0.2)", "mish", activation_of_ones_own("bent", lambda z: z + 0.1 * z * z)]
)
def test_activations_of_the_engine(activation):
    estimator = MLPRegressor(**_SMALL, activation=activation).fit(_XR, _YR)
    assert estimator.network_.activations[0] == (activation if isinstance(activation, str) else activation.spec)
    assert estimator.loss_curve_[-1] < estimator.loss_curve_[0]


@pytest.mark.parametrize("optimizer", [fastnn.Adam(0.02), Lion(0.01), RMSprop(0.01, momentum=0.5)], ids=repr)
def test_every_loss_curve_has_the_penalty(optimizer):
    """The curve of alpha=0 is that of the cost alone; one step with a batch of all is enough to tell."""
    parameters = {**_SMALL, "max_iter": 1, "solver": optimizer}
    without, with_alpha = (MLPRegressor(**parameters, alpha=alpha).fit(_XR, _YR) for alpha in (0.0, 3.0))
    start = MLPRegressor(**parameters, alpha=0.0, learning_rate=Constant()).fit(_XR, _YR)
    np.testing.assert_array_equal(start.coefs_[0], without.coefs_[0])
    drawn = MLPRegressor(**{**_SMALL, "max_iter": 1}, solver="sgd", learning_rate_init=1e-300).fit(_XR, _YR)
    squares = sum((W**2).sum() for W in drawn.coefs_)
    assert with_alpha.loss_ - without.loss_ == pytest.approx(3.0 / (2 * len(_XR)) * squares, rel=1e-9)


@pytest.mark.parametrize("before", [{"solver": "lbfgs"}, {"early_stopping": True}, {}], ids=str)
@pytest.mark.parametrize("after", [{}, {"early_stopping": True}], ids=str)
def test_a_warm_start_that_goes_by_something_else(before, after):
    """scikit-learn's fail on what the first fit has not kept."""
    estimator = MLPClassifier(**_SMALL, warm_start=True, **before).fit(_X, _Y)
    curve = list(getattr(estimator, "loss_curve_", []))
    settings = {"solver": "adam", "early_stopping": False, "max_iter": 3, **after}
    estimator.set_params(**settings).fit(_X, _Y)
    assert estimator.loss_curve_[: len(curve)] == curve
    assert len(estimator.loss_curve_) == len(curve) + 3
    if after == before:
        return  # the account goes on
    if after:
        assert estimator.best_validation_score_ == max(estimator.validation_scores_)
        assert len(estimator.validation_scores_) == 3
    else:
        assert estimator.best_loss_ == min(estimator.loss_curve_[len(curve) :])


def test_a_schedule_as_learning_rate():
    schedule = StepDecay(every=2, factor=0.1)
    parameters = {**_SMALL, "solver": "sgd", "learning_rate_init": 0.05, "momentum": 0.0}
    scheduled = MLPClassifier(**{**parameters, "max_iter": 4}, learning_rate=schedule).fit(_X, _Y)
    by_hand = MLPClassifier(**{**parameters, "max_iter": 2, "warm_start": True}).fit(_X, _Y)
    orders = by_hand._random_state  # the second fit goes on with it
    by_hand.set_params(random_state=orders, learning_rate_init=0.005).fit(_X, _Y)
    # The second fit's shuffles begin with the natural order again: with one batch the order does not matter.
    np.testing.assert_allclose(scheduled.loss_curve_, by_hand.loss_curve_, rtol=1e-12)


def test_reducing_the_rate_on_a_plateau():
    parameters = {**_SMALL, "solver": "sgd", "momentum": 0.0, "max_iter": 6}
    schedule = ReduceOnPlateau(patience=0, factor=0.5, threshold=0.99)
    estimator = MLPClassifier(**parameters, learning_rate=schedule).fit(_X, _Y, validation_data=(_X, _Y))
    rates = estimator.network_.history.learning_rate
    assert rates == pytest.approx([0.001 * 0.5 ** max(0, i - 1) for i in range(6)])


def test_dropout():
    parameters = {**_SMALL, "hidden_layer_sizes": 40, "learning_rate_init": 0.01}
    plain, first, second = (MLPClassifier(**parameters, dropout=d).fit(_X, _Y) for d in (0.0, 0.5, 0.5))
    np.testing.assert_array_equal(first.coefs_[0], second.coefs_[0])
    assert abs(first.coefs_[0] - plain.coefs_[0]).max() > 1e-3
    np.testing.assert_array_equal(first.predict_proba(_X), first.predict_proba(_X))
    assert not np.array_equal(first.partial_fit(_X, _Y).coefs_[0], second.coefs_[0])


@pytest.mark.parametrize(
    ("loss", "cost", "by_hand"),
    [
        ("absolute_error", "absolute", abs),
        ("huber(delta=0.5)", "huber(delta=0.5)", lambda e: np.where(abs(e) < 0.5, e**2 / 2, 0.5 * (abs(e) - 0.25))),
        ("log_cosh", "log_cosh", lambda e: np.log(np.cosh(e))),
    ],
)
def test_losses_of_the_engine(loss, cost, by_hand):
    y = _YR / 100
    estimator = MLPRegressor(loss, **_SMALL).fit(_XR[::2], y[::2], validation_data=(_XR[1::2], y[1::2]))
    assert estimator.network_.cost == cost
    errors = estimator.predict(_XR[1::2]) - y[1::2]
    assert estimator.validation_loss_curve_[-1] == pytest.approx(by_hand(errors).mean(), rel=1e-9)


def test_counts():
    y = np.random.default_rng(0).poisson(np.exp(_XR[:, 0]))
    estimator = MLPRegressor("poisson", hidden_layer_sizes=8, learning_rate_init=0.02, max_iter=150, random_state=0)
    estimator.fit(_XR, y, validation_data=(_XR, y))
    predicted = estimator.predict(_XR)
    assert predicted.min() > 0
    expected = mean_poisson_deviance(y, predicted) / 2
    assert estimator.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-9)
    with pytest.raises(ValueError, match="'poisson' needs y >= 0, got -1"):
        estimator.fit(_XR, y - y.min() - 1)


def test_quantiles():
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(600, 1))
    y = rng.exponential(1, 600)
    estimator = MLPRegressor(
        "quantile(quantiles=[0.1, 0.5, 0.9])",
        hidden_layer_sizes=4,
        learning_rate_init=0.02,
        max_iter=60,
        random_state=0,
    ).fit(X, y)
    predicted = estimator.predict(X)
    assert predicted.shape == (600, 3)
    np.testing.assert_allclose((y[:, np.newaxis] <= predicted).mean(axis=0), [0.1, 0.5, 0.9], atol=0.06)


def test_losses_of_classes():
    focal = MLPClassifier(**_SMALL, loss="focal(gamma=1.0)").fit(_X, _Y)
    assert focal.network_.cost == "focal(gamma=1.0)"
    assert MLPClassifier(**_SMALL, loss="focal").fit(_X, _Y > 0).network_.activations[-1] == "sigmoid"
    smooth = MLPClassifier(**_SMALL, loss="log_loss(smoothing=0.1)").fit(_X, _Y)
    assert smooth.network_.cost == "log_likelihood(smoothing=0.1)"
    for loss in ("squared_error", "hinge", "poisson", "log_loss(gamma=2)"):
        with pytest.raises(ValueError, match="loss"):
            MLPClassifier(loss=loss).fit(_X, _Y)
    for loss in ("log_loss", "focal", "cross_entropy", "squared"):
        with pytest.raises(ValueError, match="loss"):
            MLPRegressor(loss=loss).fit(_XR, _YR)


def test_weights_of_zero_and_below():
    """As with scikit-learn they are weights like any other, unless a batch has no sum to divide by."""
    weights = np.where(np.arange(150) % 3 == 0, 0.0, 1.0)
    expected = neural_network.MLPClassifier(**_SMALL, batch_size=40).fit(_X, _Y, weights)
    got = MLPClassifier(**_SMALL, batch_size=40).fit(_X, _Y, weights)
    np.testing.assert_allclose(got.loss_curve_, expected.loss_curve_, atol=1e-10)
    for kind in (neural_network.MLPClassifier, MLPClassifier):
        with pytest.raises(ZeroDivisionError):
            kind(**_SMALL, batch_size=1).fit(_X, _Y, weights)


def test_callbacks_and_time():
    seen = []

    def stop_at_three(network, history):
        seen.append(len(history.epochs))
        return len(seen) == 3

    estimator = MLPClassifier(**_SMALL, callbacks=[stop_at_three]).fit(_X, _Y)
    assert seen == [1, 2, 3]
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 3
    hurried = MLPClassifier(hidden_layer_sizes=5, max_iter=10**9, tol=0, max_time=0.05, random_state=0).fit(_X, _Y)
    assert hurried.n_iter_ < 10**9
    assert hurried.network_.history.stopped_by == "max_time"


def test_threads_give_the_same_bits():
    alone, together = (MLPRegressor(**_SMALL, threads=threads).fit(_XR, _YR) for threads in (1, 2))
    np.testing.assert_array_equal(together.coefs_[0], alone.coefs_[0])


def test_interruption_keeps_what_there_is():
    def interrupt(network, history):
        if len(history.epochs) == 2:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted by user"):
        estimator = MLPClassifier(**_SMALL, callbacks=[interrupt]).fit(_X, _Y)
    assert estimator.n_iter_ == 2
    np.testing.assert_array_equal(estimator.coefs_[0], estimator.network_.weights[0].T)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")  # in the score
def test_divergence_is_told_like_theirs():
    reckless = MLPRegressor(**{**_SMALL, "max_iter": 50}, solver="sgd", learning_rate_init=1e6, activation="identity")
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        reckless.fit(_XR, _YR)
    with pytest.warns(UserWarning, match="diverged"):
        reckless.set_params(early_stopping=True).fit(_XR, _YR)
    assert np.isnan(reckless.validation_scores_[-1])
    assert np.isfinite(reckless.predict(_XR)).all()


def test_no_diagnosis_is_warned_of():
    """The engine warns of inputs far from unit scale; scikit-learn's classes do not."""
    MLPClassifier(**_SMALL).fit(1000 * _X, _Y)
