"""Several epochs in one kernel call come to the same as one by one, and are taken only where nobody asks in between."""

import numpy as np
import pytest
from states import state

import fastnn
from fastnn import SGD, Adam, Network, pacing, training
from fastnn.orders import NaturalOrder, RandomOrders
from fastnn.training import Training

X, y, Xt, yt = fastnn.datasets.load_digits()
X, y = X[:150], y[:150]
pytestmark = pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")


@pytest.fixture
def together(monkeypatch):
    """How many epochs every kernel call took; a list that grows."""
    found = []
    run = Training._run_epochs_together

    def noted(self, network, epochs):
        found.append(epochs)
        run(self, network, epochs)

    monkeypatch.setattr(Training, "_run_epochs_together", noted)
    return found


def course(history):
    rates = np.nan_to_num(history.learning_rate, nan=-1.0).tolist()
    return rates, history.train_cost, history.train_accuracy, history.stopped_by, len(history.seconds)


def one_by_one(network, *arguments, **fit):
    """The same training with somebody who is asked after every epoch."""
    return network.fit(*arguments, **fit, callbacks=[lambda network, history: None])


def network(**arguments):
    return Network(**{"sizes": [64, 9, 10], **arguments})


@pytest.mark.parametrize("batch_size", [1, 7, 32, 50, 150, 149])
@pytest.mark.parametrize("optimizer", [SGD(0.1), SGD(0.1, momentum=0.9), Adam()])
def test_the_same_bits(together, batch_size, optimizer):
    grouped, alone = network(), network()
    fit = {"epochs": 40, "batch_size": batch_size, "optimizer": optimizer, "l2": 1e-3, "l1": 1e-4}
    assert course(grouped.fit(X, y, **fit)) == course(one_by_one(alone, X, y, **fit))
    assert state(grouped) == state(alone)
    assert sum(together) > 30


def test_where_one_thread_is_faster_than_two(together):
    grouped, alone = network(), network()
    for net, train in ((grouped, Network.fit), (alone, one_by_one)):
        train(net, X, y, epochs=500, batch_size=10, optimizer=SGD(0.1), threads=2)
    assert course(grouped.history) == course(alone.history)
    assert state(grouped) == state(alone)


@pytest.mark.parametrize("arguments", [{"dtype": "float64"}, {"output": "softmax", "cost": "log_likelihood"}])
@pytest.mark.parametrize("weights", [None, np.linspace(0.1, 2, 150)])
def test_other_networks(together, arguments, weights):
    grouped, alone = network(**arguments), network(**arguments)
    fit = {"epochs": 20, "batch_size": 32, "sample_weight": weights, "optimizer": SGD(0.1)}
    assert course(grouped.fit(X, y, **fit)) == course(one_by_one(alone, X, y, **fit))
    assert state(grouped) == state(alone)
    assert together


def test_a_first_layer_that_skips_zeros(together):
    sparse = X * (np.random.default_rng(0).random(X.shape) < 0.3)
    grouped, alone = network(), network()
    fit = {"epochs": 40, "batch_size": 32, "optimizer": SGD(0.5), "l2": 0.5}  # whose weights shrink by much
    assert course(grouped.fit(sparse, y, **fit)) == course(one_by_one(alone, sparse, y, **fit))
    assert grouped.history.first_layer.startswith("sparse")
    assert state(grouped) == state(alone)
    assert together


@pytest.mark.parametrize(
    "fit",
    [
        {"schedule": "cosine"},
        {"drop_last": True, "batch_size": 32},
        {"dropout": 0.3, "max_norm": 1.0},
        {"clip_norm": 0.1, "weight_average": 0.9},
    ],
)
def test_whatever_else_fit_can_do(together, fit):
    grouped, alone = network(), network()
    fit = {"epochs": 30, "batch_size": 50, **fit}
    assert course(grouped.fit(X, y, **fit)) == course(one_by_one(alone, X, y, **fit))
    assert state(grouped) == state(alone)
    assert together


@pytest.mark.parametrize(("momentum", "large"), [(0.0, 1 << 30), (0.1, 1 << 30), (0.1, 0)])
def test_where_it_diverges_the_same_is_said(together, momentum, large, monkeypatch):
    monkeypatch.setattr(training, "_LARGE_STATE", large)
    grouped, alone = (network(sizes=[64, 10], output="identity", cost="quadratic") for _ in range(2))
    fit = {
        "epochs": 500,
        "batch_size": 150,
        "optimizer": SGD(0.2, momentum),
    }  # which takes some 165 epochs without momentum
    errors = []
    for train, each in ((Network.fit, grouped), (one_by_one, alone)):
        with pytest.raises(fastnn.DivergenceError) as caught:
            train(each, X, y, **fit)
        errors.append(str(caught.value))
    assert errors[0] == errors[1]
    assert together
    assert len(grouped.history.epochs) > 30
    assert course(grouped.history) == course(alone.history)
    assert state(grouped)[1] == state(alone)[1]


@pytest.mark.parametrize(
    "fit",
    [
        {"callbacks": [lambda network, history: None]},
        {"validation_data": (Xt, yt)},
        {"progress": True},
        {"shuffle": np.arange},
        {"batch_size": [100, 50]},
    ],
)
def test_whoever_wants_to_be_asked_is(together, fit):
    network().fit(X, y, **{"epochs": 20, "batch_size": 50, **fit})
    assert not together


def test_a_call_is_no_longer_than_it_should_be(together, monkeypatch):
    history = network().fit(X, y, epochs=10**6, batch_size=50, max_time=0.5)
    assert history.stopped_by == "max_time"
    assert len(history.epochs) < 10**6
    seconds = np.array(history.seconds)
    assert max(together) * np.median(seconds) < 4 * pacing.STRETCH_SECONDS


def test_members_go_on_at_the_pace_of_those_before_them(together, monkeypatch):
    """How much fits into a call is found out once for all networks of a kind on the same samples."""
    monkeypatch.setattr(pacing, "STRETCH_SECONDS", 1e6)  # all that the first guess, and then its growth, allow
    monkeypatch.setattr(pacing, "_SLOWEST", 2.0)  # products a second, so that the guess is an epoch or two
    monkeypatch.setattr(pacing, "_LIKELY_SHARE", 0.0)  # and stays so
    monkeypatch.setattr(pacing.Pace, "_speed", 2.0)
    kinds = [[64, 9, 10], [64, 9, 10], [64, 9, 10], [64, 8, 10], [64, 9, 10]]
    many, alone = ([network(sizes=sizes, seed=i) for i, sizes in enumerate(kinds)] for _ in range(2))
    fit = {"epochs": 100, "batch_size": 1, "optimizer": SGD(0.1)}
    alone_calls = []
    for net in alone:
        together.clear()
        net.fit(X[:20], y[:20], **fit)
        alone_calls.append(len(together))
    together.clear()
    fastnn.fit_many(many, X[:20], y[:20], n_jobs=1, **fit)
    assert len(together) == sum(alone_calls) - 3  # the first of either kind takes as many as alone
    assert [state(net)[1] for net in many] == [state(net)[1] for net in alone]


def test_the_first_call_goes_by_the_latest_training(monkeypatch):
    """By a quarter of its speed; by the slowest processor's before there was one, and where it was slower still."""
    monkeypatch.setattr(pacing.Pace, "_speed", pacing._SLOWEST)
    (_, slow), earlier = pacing.Pace(1, 10**5).next_call(), pacing.Pace(1, 10**5)
    earlier.record(1, 1000, seconds=0.05)  # 2e9 products a second
    assert pacing.Pace._speed == pytest.approx(5e8)
    _, fast = pacing.Pace(1, 10**5).next_call()
    assert slow < fast < 3 * slow
    earlier.record(1, 1, seconds=10.0)
    assert pacing.Pace(1, 10**5).next_call() == (1, slow)


def test_looks_are_paid_for_by_all_epochs(together):
    found = network(activation="relu", initializer="normal").fit(300 * X, y, epochs=200, optimizer=SGD(1e-9)).findings
    assert "inputs far from unit scale" in [finding.name for finding in found]


# --- estimators, which follow every epoch, and know how long nothing can happen ---

ASKED = {"callbacks": [lambda network, history: None]}
FOLLOWED = ("n_iter_", "t_", "loss_", "best_loss_", "loss_curve_", "stopped_", "_no_improvement_count")


def estimators(**parameters):
    """Two that differ in whether they are asked after every epoch."""
    sklearn = pytest.importorskip("fastnn.sklearn", exc_type=ImportError)
    given = {"hidden_layer_sizes": (9,), "batch_size": 40, "random_state": 0, "max_iter": 60, **parameters}
    return sklearn.MLPClassifier(**given), sklearn.MLPClassifier(**given, **ASKED)


def followed(estimator):
    layers = [layer.tobytes() for layer in (*estimator.coefs_, *estimator.intercepts_)]
    return [getattr(estimator, name) for name in FOLLOWED], layers


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.1, "tol": 0.05, "n_iter_no_change": 2},
        {"solver": "sgd", "learning_rate_init": 0.2, "tol": 0.05, "n_iter_no_change": 3},
        {"solver": "sgd", "momentum": 0.0, "n_iter_no_change": np.inf, "alpha": 1.0},
        {"tol": 0.2, "warm_start": True},
        {"dropout": 0.2, "shuffle": False},
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_estimator_ends_where_it_would(together, parameters, dtype):
    grouped, alone = estimators(**parameters, dtype=dtype)
    for _ in range(2):
        grouped.fit(X, y)
        assert sum(together) > 0.5 * grouped.n_iter_ - 1
        together.clear()
        alone.fit(X, y)
        assert not together
        assert followed(grouped) == followed(alone)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "parameters",
    [{"solver": "sgd", "learning_rate": "invscaling"}, {"early_stopping": True, "batch_size": 30}],
)
def test_an_estimator_with_something_to_do_between_epochs_is_asked(together, parameters):
    estimator, _ = estimators(**parameters)
    estimator.set_params(max_iter=20).fit(X, y)
    assert not together


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_weights_of_samples_are_another_matter_in_every_epoch(together):
    estimator, _ = estimators(max_iter=20)
    estimator.fit(X, y, sample_weight=np.linspace(0.1, 2, 150))
    assert not together


def test_an_estimator_that_diverges_has_followed_until_then(together):
    diverging = {"solver": "sgd", "learning_rate_init": 0.2, "n_iter_no_change": 1000, "max_iter": 1000}
    sklearn = pytest.importorskip("fastnn.sklearn", exc_type=ImportError)
    given = {"hidden_layer_sizes": (9,), "batch_size": 150, "random_state": 0, "activation": "identity", **diverging}
    grouped, alone = sklearn.MLPRegressor(**given), sklearn.MLPRegressor(**given, **ASKED)
    for estimator in (grouped, alone):
        with pytest.raises(ValueError, match="non-finite"):
            estimator.fit(100 * X, y)
    assert grouped.loss_curve_ == alone.loss_curve_
    assert grouped.n_iter_ == alone.n_iter_


def test_orders_last_until_those_after_the_next():
    orders = RandomOrders(np.random.default_rng(0))
    latest = orders.several(50, 4)
    for count in (4, 2, 5, 5):
        kept, following = latest.copy(), orders.several(50, count)
        np.testing.assert_array_equal(latest, kept)  # a training may still go back to them
        np.testing.assert_array_equal(np.sort(following), np.tile(np.arange(50), (count, 1)))
        latest = following


def test_orders_are_the_same_however_many_are_asked_for_at_a_time():
    one, many = (RandomOrders(np.random.default_rng(1)) for _ in range(2))
    n = 10_000  # drawn in two pieces
    np.testing.assert_array_equal(np.concatenate([many.several(n, 2), many.several(n, 1)]), [one(n) for _ in range(3)])


def test_the_natural_order_of_several_epochs() -> None:
    order = NaturalOrder()
    for n, count in ((5, 2), (5, 3), (5, 1), (7, 2)):
        np.testing.assert_array_equal(order.several(n, count), np.tile(np.arange(n), (count, 1)))
