"""Cross-validation and searches: folds, draws, who goes on, and that nobody is trained twice."""

import math

import numpy as np
import pytest

import fastnn
from fastnn import SGD, Network, cross_validate, search
from fastnn.many.searches import _ladder, deal

X, y, Xt, yt = fastnn.datasets.load_digits()
X, y = X[:300], y[:300]


def make(units=12, **arguments):
    return Network([64, units, 10], **arguments)


# --- Folds ---


@pytest.mark.parametrize("n", [7, 100, 301])
@pytest.mark.parametrize("folds", [2, 3, 7])
def test_folds_are_equal_and_so_are_their_shares_of_every_class(n, folds):
    labels = np.random.default_rng(n).choice(["a", "b", "c"], n, p=[0.7, 0.2, 0.1])
    fold = deal(labels, n, folds, np.random.default_rng(0))
    for part in (fold, *(fold[labels == name] for name in "abc")):
        counts = np.bincount(part, minlength=folds)
        assert counts.max() - counts.min() <= 1
    assert not np.array_equal(fold, deal(labels, n, folds, np.random.default_rng(1)))


def test_quantities_are_dealt_out_by_chance():
    fold = deal(np.linspace(0, 1.3, 90), 90, 3, np.random.default_rng(0))
    assert np.bincount(fold).tolist() == [30, 30, 30]
    assert np.bincount(fold[:30], minlength=3).min() > 3


def test_every_network_is_trained_on_the_other_folds():
    result = cross_validate(make, X, y, folds=3, epochs=2, batch_size=20, seed=5)
    assert np.array_equal(np.sort(np.concatenate(result.held_out)), np.arange(300))
    for network, history, fold in zip(result.networks, result.histories, result.held_out, strict=True):
        others = np.setdiff1d(np.arange(300), fold)
        alone = make()
        expected = alone.fit(X[others], y[others], epochs=2, batch_size=20, validation_data=(X[fold], y[fold]))
        assert history.train_cost == expected.train_cost
        assert history.val_cost == expected.val_cost
        assert np.array_equal(network.weights[0], alone.weights[0])
    expected = [history.val_accuracy[-1] for history in result.histories]
    assert result.scores["val_accuracy"].tolist() == expected
    assert result.ensemble.networks == result.networks
    lines = str(result).splitlines()
    assert lines[0].split() == ["fold", "val_cost", "val_accuracy"]
    assert lines[4].split()[::2] == ["mean", f"{np.mean(expected):.4f}"]


def test_a_regression_has_no_accuracy():
    result = cross_validate(
        lambda: Network([64, 1], output="identity", cost="quadratic"), X, X[:, 5] / 2, folds=2, epochs=1
    )
    assert list(result.scores) == ["val_cost"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"folds": 1}, ValueError, "folds must be >= 2"),
        ({"folds": 301}, ValueError, "folds must be at most the number of samples, 300, got 301"),
        ({"seed": -1}, ValueError, "seed must be >= 0"),
        ({"epochz": 3}, ValueError, "did you mean 'epochs'"),
        ({"make_network": lambda: 3}, TypeError, r"what make_network returns\[0\] must be a fastnn.Network"),
    ],
)
def test_bad_input_of_cross_validate(change, error, message):
    with pytest.raises(error, match=message):
        cross_validate(**{"make_network": make, "X": X, "y": y, **change})


# --- Searches ---

SPACE = {
    "units": [4, 8, 16],
    "batch_size": np.array([10, 20]),
    "optimizer": lambda generator: SGD(10 ** generator.uniform(-2, 0)),
}


def settings_of(result):
    return {trial.number: dict(trial.settings) for trial in result.trials}


def test_the_ladder():
    assert _ladder(27, 27, 3) == [(27, 1), (9, 3), (3, 9), (1, 27)]
    assert _ladder(30, 100, 3) == [(30, 3), (10, 11), (3, 33), (1, 100)]
    assert _ladder(30, 2, 3) == [(30, 2)]
    assert _ladder(1, 50, 2) == [(1, 50)]
    assert _ladder(4, 5, 2) == [(4, 1), (2, 2), (1, 5)]


def test_a_random_search_trains_every_trial_as_fit_does():
    result = search(make, SPACE, X, y, trials=4, epochs=3, method="random", seed=2, l2=1e-4)
    train = np.setdiff1d(np.arange(300), result.held_out)
    assert len(result.held_out) == 60
    for trial in result.trials:
        settings = dict(trial.settings)
        alone = make(settings.pop("units"))
        held_out = (X[result.held_out], y[result.held_out])
        expected = alone.fit(X[train], y[train], epochs=3, l2=1e-4, validation_data=held_out, **settings)
        assert trial.score == expected.val_cost[-1]
        assert np.array_equal(trial.network.weights[0], alone.weights[0])
    assert [trial.score for trial in result.trials] == sorted(trial.score for trial in result.trials)


def test_halving_goes_on_with_the_best_and_trains_nobody_twice():
    result = search(make, SPACE, X, y, trials=9, epochs=9, seed=2, monitor="val_accuracy")
    everybody = search(make, SPACE, X, y, trials=9, epochs=1, method="random", seed=2, monitor="val_accuracy")
    assert settings_of(result) == settings_of(everybody)
    went_on = [trial.number for trial in everybody.trials[:3]]
    assert sorted(trial.number for trial in result.trials[:3]) == sorted(went_on)
    assert [trial.epochs for trial in result.trials] == [9, 3, 3, 1, 1, 1, 1, 1, 1]
    assert [len(history.epochs) for history in result.best.histories] == [1, 2, 6]
    best = dict(result.best.settings)
    alone = make(best.pop("units"))
    train = np.setdiff1d(np.arange(300), result.held_out)
    alone.fit(X[train], y[train], epochs=9, **best)
    assert np.array_equal(result.best.network.weights[0], alone.weights[0])


def test_one_seed_determines_everything():
    one, same, other, more = (
        search(make, SPACE, X, y, trials=trials, epochs=1, seed=seed, n_jobs=jobs)
        for trials, seed, jobs in ((3, 7, 1), (3, 7, 2), (3, 8, 1), (5, 7, 1))
    )
    assert settings_of(one) == settings_of(same)
    assert [trial.score for trial in one.trials] == [trial.score for trial in same.trials]
    assert settings_of(one) != settings_of(other)
    assert settings_of(one).items() <= settings_of(more).items()
    assert np.array_equal(one.held_out, more.held_out)


def test_distributions_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    space = {"units": stats.randint(4, 20), "l2": stats.loguniform(1e-6, 1e-2)}
    result = search(make, space, X, y, trials=4, epochs=1)
    drawn = settings_of(result).values()
    assert all(isinstance(s["units"], int) and 4 <= s["units"] < 20 and 1e-6 <= s["l2"] <= 1e-2 for s in drawn)
    assert len({s["l2"] for s in drawn}) == 4


def test_a_trial_that_fails_is_last_in_the_table():
    result = search(make, {"optimizer": [SGD(0.1), SGD(1e38)]}, X, y, trials=6, epochs=4, factor=2, seed=1)
    failed = [trial for trial in result.trials if trial.error]
    assert 0 < len(failed) < 6
    assert result.trials[-len(failed) :] == tuple(failed)
    assert math.isnan(failed[0].score)
    assert "DivergenceError" in str(result).splitlines()[-1]
    assert result.rows[0]["val_cost"] == result.best.score
    assert result.rows[-1]["error"] is failed[-1].error
    with pytest.raises(RuntimeError, match="every trial failed; the first one: the cost became infinite"):
        search(make, {"optimizer": [SGD(1e38)]}, X, y, trials=2, epochs=1)


def test_rows_that_are_held_out():
    result = search(make, SPACE, X, y, trials=2, epochs=1, validation_rows=np.arange(10))
    assert result.held_out.tolist() == list(range(10))


def test_time_is_for_all_rungs():
    result = search(make, {"units": [4]}, X, y, trials=3, epochs=10**7, factor=10**3, max_time=0.3)
    assert 0 < result.best.epochs < 10**7


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"space": {}}, TypeError, "space must be a dict with at least one name"),
        ({"space": {"units": []}}, ValueError, r"space\['units'\] must hold at least one value"),
        ({"space": {"units": 3}}, TypeError, r"space\['units'\] must be a list, a function or a distribution"),
        ({"space": {"epochs": [3]}}, ValueError, "space must not hold 'epochs'"),
        ({"space": {"l2": [0.1]}, "l2": 0.2}, ValueError, "space must not hold 'l2', which is an argument of search"),
        ({"space": {"max_time": [1]}}, ValueError, "space must not hold 'max_time', which is one for all"),
        ({"method": "grid"}, ValueError, "method must be one of"),
        ({"monitor": "val_loss"}, ValueError, "did you mean 'val_cost'"),
        ({"factor": 1}, ValueError, "factor must be >= 2"),
        ({"trials": 0}, ValueError, "trials must be >= 1"),
        ({"validation_rows": np.arange(300)}, ValueError, "validation_rows must leave some samples"),
        ({"validation_rows": [300]}, ValueError, "validation_rows must hold numbers from 0 to 299, got 300"),
    ],
)
def test_bad_input_of_search(change, error, message):
    with pytest.raises(error, match=message):
        search(**{"make_network": make, "space": SPACE, "X": X, "y": y, "trials": 2, "epochs": 1, **change})


# --- Optuna ---


@pytest.fixture
def optuna():
    found = pytest.importorskip("optuna", reason="Optuna is not installed: the extra optuna")
    found.logging.set_verbosity(found.logging.ERROR)
    return found


def test_optuna_prunes_trials_that_run_side_by_side(optuna):
    networks = {}

    def objective(trial):
        rate = (0.5, 1e-7)[trial.number % 2]
        network = networks[trial.number] = make(8, seed=trial.number)
        pruning = fastnn.callbacks.OptunaPruning(trial, "val_accuracy")
        history = network.fit(
            X, y, epochs=6, optimizer=SGD(rate), validation_data=(Xt, yt), callbacks=[pruning], progress=False
        )
        return history.val_accuracy[-1]

    study = optuna.create_study(
        direction="maximize",
        pruner=optuna.pruners.ThresholdPruner(lower=0.4, n_warmup_steps=4),
    )
    study.optimize(objective, n_trials=8, n_jobs=2)
    for trial in study.trials:
        assert trial.state.name == ("COMPLETE", "PRUNED")[trial.number % 2]
        epochs = len(trial.intermediate_values)
        assert networks[trial.number].history.val_accuracy == list(trial.intermediate_values.values())
        assert list(trial.intermediate_values) == list(range(1, epochs + 1))
        assert epochs == (6, 4)[trial.number % 2]


def test_optuna_is_told_what_is_measured(optuna):
    trial = optuna.trial.FixedTrial({})
    with pytest.raises(ValueError, match="did you mean 'val_cost'"):
        fastnn.callbacks.OptunaPruning(trial, "val_loss")
    with pytest.raises(ValueError, match="monitor 'val_cost' needs validation_data in fit"):
        make().fit(X, y, epochs=1, callbacks=[fastnn.callbacks.OptunaPruning(trial)])
    regressor = Network([64, 1], output="identity", cost="quadratic")
    with pytest.raises(ValueError, match="needs classes as targets"):
        regressor.fit(
            X,
            X[:, 3],
            epochs=1,
            optimizer=SGD(1e-3),
            callbacks=[fastnn.callbacks.OptunaPruning(trial, "train_accuracy")],
        )


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(ImportError, match=r'pip install "fastnn-engine\[optuna\]"'):
        fastnn.callbacks.OptunaPruning(None)
