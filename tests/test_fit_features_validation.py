"""Validation in ``fit``: weights, splits, metrics, keeping the best, and what the history tells of it."""

import pickle
import time
import warnings

import numpy as np
import pytest
import scipy.sparse
from states import same, state

import fastnn
from fastnn import DivergenceError, EarlyStopping, History, Metric, Network
from fastnn.network import complete_arguments

metrics = pytest.importorskip("sklearn.metrics")

X, y, Xt, yt = fastnn.datasets.load_digits()
X, y = X[:300], y[:300]


def network(**arguments):
    return Network(**{"sizes": [64, 12, 10], "dtype": "float64", **arguments})


def keeper(kept):
    """A callback that keeps the network of every epoch."""

    def keep(net, history):
        kept.append(net.copy())

    return keep


# --- weights ---


def test_validation_data_with_weights_are_evaluated_with_them():
    net, weights = network(), np.random.default_rng(0).random(len(Xt))
    seen = []
    history = net.fit(
        X,
        y,
        epochs=2,
        validation_data=(Xt, yt, weights),
        callbacks=[lambda net, _: seen.append(net.evaluate(Xt, yt, weights)["cost"])],
    )
    assert history.val_cost == seen
    assert seen[0] != net.evaluate(Xt, yt)["cost"]


def test_populations_take_weights_too():
    weights = np.random.default_rng(0).random(len(Xt))
    (history,) = fastnn.fit_many([network()], X, y, epochs=2, validation_data=(Xt, yt, weights))
    assert history.val_cost == network().fit(X, y, epochs=2, validation_data=(Xt, yt, weights)).val_cost


# --- splits ---


def held_rows(net, share, labels=y):
    """The rows that a split holds out, told from the numbers themselves: each sample says which one it is."""
    n = len(labels)
    found = []
    marked = np.zeros((n, 64))
    marked[:, 0] = np.arange(n)
    request = net._request(complete_arguments(X=marked, y=labels, optimizer="adam", validation_split=share))
    found = request.held_out.data.features.reshape(-1, 64)[:, 0].astype(int)
    assert sorted([*found, *request.train.rows]) == list(range(n))
    return found


@pytest.mark.parametrize("share", [0.1, 0.25, 0.9])
def test_a_split_holds_every_class_out_in_proportion(share):
    rows = held_rows(network(), share)
    assert len(rows) == round(share * len(y))
    counts, all_counts = np.bincount(y[rows], minlength=10), np.bincount(y)
    assert (abs(counts - share * all_counts) < 1).all()


def test_every_class_keeps_a_sample_for_training():
    labels = np.array([0] * 20 + [1] + [2, 2])
    rows = held_rows(network(), 0.5, labels)
    kept = np.setdiff1d(np.arange(len(labels)), rows)
    assert set(labels[kept]) == {0, 1, 2}
    assert len(rows) == round(0.5 * 23)


def test_the_split_follows_from_the_seed_alone(tmp_path):
    net = network(seed=3)
    first = held_rows(net, 0.2)
    net.fit(X, y, epochs=2, validation_split=0.2)
    net.save(tmp_path / "net.npz")
    for other in (net, network(seed=3), net.copy(), fastnn.load(tmp_path / "net.npz")):
        np.testing.assert_array_equal(held_rows(other, 0.2), first)
    assert not np.array_equal(held_rows(network(seed=4), 0.2), first)
    unseeded = network(seed=None)
    np.testing.assert_array_equal(held_rows(unseeded, 0.2), held_rows(unseeded.copy(), 0.2))
    assert not np.array_equal(held_rows(network(seed=None), 0.2), held_rows(unseeded, 0.2))


@pytest.mark.parametrize("as_data", [np.asarray, scipy.sparse.csr_matrix, lambda data: (255 * data).astype(np.uint8)])
def test_a_split_trains_as_on_the_rest_and_measures_what_was_held_out(as_data):
    data = as_data(X)
    scale = {"scale": 255} if data.dtype == np.uint8 else {}
    net, other = network(**scale), network(**scale)
    held = held_rows(network(), 0.2)
    rest = np.setdiff1d(np.arange(len(y)), held)
    weights = np.random.default_rng(0).random(len(y)) + 0.5
    history = net.fit(data, y, epochs=2, validation_split=0.2, sample_weight=weights)
    expected = other.fit(
        data[rest], y[rest], epochs=2, validation_data=(data[held], y[held], weights[held]), sample_weight=weights[rest]
    )
    assert history.held_out == len(held) == 60
    assert expected.held_out == 0
    for name in ("train_cost", "val_cost", "train_accuracy", "val_accuracy"):
        np.testing.assert_allclose(history.figure(name), expected.figure(name), rtol=1e-9)
    assert "held out for validation: 60 samples" in str(history)


@pytest.mark.parametrize("form", ["array", "frame", "list"])
def test_what_is_held_out_has_no_part_in_what_is_learned(form):
    """Neither in a scale, nor in the weights of classes; samples of weight 0 are left out on either side."""
    data = X.copy()
    held = held_rows(network(), 0.2)
    rest = np.setdiff1d(np.arange(len(y)), held)
    data[held] *= 100
    weights = np.random.default_rng(0).integers(0, 3, len(y))
    make = {
        "array": np.asarray,
        "list": np.ndarray.tolist,
        "frame": lambda a: pytest.importorskip("pandas").DataFrame(a),
    }
    net, other = (network(scale="standard", missing="mean") for _ in range(2))
    arguments = {"epochs": 2, "class_weight": "balanced", "shuffle": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = net.fit(make[form](data), y, validation_split=0.2, sample_weight=weights, **arguments)
        expected = other.fit(
            make[form](data[rest]),
            y[rest],
            validation_data=(make[form](data[held]), y[held], weights[held]),
            sample_weight=weights[rest],
            **arguments,
        )
    assert same(net, other)
    assert history.val_cost == pytest.approx(expected.val_cost, rel=1e-9)
    assert history.held_out == np.count_nonzero(weights[held])


def test_populations_hold_out_as_networks_do():
    weights = np.random.default_rng(0).integers(0, 3, len(y))
    arguments = {"epochs": 2, "validation_split": 0.2, "class_weight": "balanced"}
    networks = [network(seed=i, scale="minmax") for i in range(3)]
    rows = [None, np.arange(200), np.arange(100, 300)]
    histories = fastnn.fit_many(networks, X, y, rows=rows, sample_weight=weights, **arguments)
    for i, (net, history) in enumerate(zip(networks, histories, strict=True)):
        own = np.arange(len(y)) if rows[i] is None else rows[i]
        alone = network(seed=i, scale="minmax")
        expected = alone.fit(X[own], y[own], sample_weight=weights[own], **arguments)
        assert history.held_out == expected.held_out > 0
        assert history.val_cost == expected.val_cost
        assert same(net, alone)


def test_quantities_are_split_by_chance():
    net = network(sizes=[64, 5, 1], output="identity", cost="quadratic")
    history = net.fit(X, X[:, 30], epochs=2, validation_split=0.1)
    assert history.held_out == 30
    assert len(history.val_cost) == 2


def test_a_population_is_split_network_by_network():
    networks = [network(seed=i) for i in range(2)]
    histories = fastnn.fit_many(networks, X, y, epochs=2, validation_split=0.2, metrics=["accuracy"])
    for i, history in enumerate(histories):
        alone = network(seed=i).fit(X, y, epochs=2, validation_split=0.2, metrics=["accuracy"])
        assert history.val_cost == alone.val_cost
        assert history.metrics == alone.metrics
        assert history.metrics["accuracy"] == pytest.approx(history.val_accuracy)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"validation_split": 0}, ValueError, "validation_split must be > 0 and < 1"),
        ({"validation_split": 1}, ValueError, "validation_split must be > 0"),
        ({"validation_split": "x"}, TypeError, "validation_split must be a number"),
        ({"validation_split": 0.1, "validation_data": (Xt, yt)}, ValueError, "cannot both be given"),
        ({"validation_split": 0.5, "X": X[:3], "y": [0, 1, 2]}, ValueError, "a class's only sample"),
        ({"metrics": ["accuracy"]}, ValueError, "metrics need validation_data or validation_split"),
        ({"metrics": "accuracy"}, TypeError, "metrics must be a list"),
        ({"metrics": [3]}, TypeError, r"metrics\[0\] must be a name or a function, got int"),
        ({"metrics": ["acuracy"]}, ValueError, r"metrics\[0\] must be one of .* did you mean 'accuracy'"),
        ({"metrics": [len, len], "validation_split": 0.1}, ValueError, "different names, got 'len' twice"),
        (
            {"metrics": ["roc_auc"], "validation_split": 0.1},
            ValueError,
            r"metrics\[0\] 'roc_auc' cannot be measured on the validation data: ValueError: multi_class",
        ),
        ({"metrics": [lambda a, b: "x"], "validation_split": 0.1}, TypeError, "must return a number, got str"),
        (
            {"callbacks": [EarlyStopping("roc_auc")]},
            ValueError,
            "monitor must be one of .*'train_cost'.* got 'roc_auc'",
        ),
        (
            {
                "metrics": [max_error := lambda a, b: 1.0],
                "validation_split": 0.1,
                "callbacks": [EarlyStopping("<lambda>")],
            },
            ValueError,
            "not known whether a larger value is better",
        ),
    ],
)
def test_wrong_arguments_change_nothing(arguments, error, text):
    net = network()
    before = state(net)
    with pytest.raises(error, match=text):
        net.fit(**{"X": X, "y": y, **arguments})
    assert state(net) == before
    assert net.history is None


# --- metrics ---


@pytest.mark.parametrize("weights", [None, np.random.default_rng(1).random(len(Xt))], ids=["plain", "weighted"])
def test_metrics_are_scikit_learn_s(weights):
    nets = []
    net = network(output="softmax", cost="log_likelihood")
    history = net.fit(
        X,
        y,
        epochs=2,
        validation_data=(Xt, yt) if weights is None else (Xt, yt, weights),
        metrics=["roc_auc_ovr", "f1_macro", "neg_log_loss", metrics.balanced_accuracy_score],
        callbacks=[keeper(nets)],
    )
    for i, net in enumerate(nets):
        answers, shares = net.predict(Xt), net.predict_proba(Xt)
        expected = {
            "roc_auc_ovr": metrics.roc_auc_score(yt, shares, multi_class="ovr", sample_weight=weights),
            "f1_macro": metrics.f1_score(yt, answers, average="macro", sample_weight=weights),
            "neg_log_loss": -metrics.log_loss(yt, shares, sample_weight=weights),
            "balanced_accuracy_score": metrics.balanced_accuracy_score(yt, answers, sample_weight=weights),
        }
        assert {name: values[i] for name, values in history.metrics.items()} == pytest.approx(expected)


def test_metrics_see_the_words_of_the_first_fit():
    words, seen = np.array(["odd", "even"])[(y % 2 == 0).astype(int)], []

    def agreement(y_true, y_pred):
        seen.append((y_true, y_pred))
        return (y_true == y_pred).mean()

    net = network(sizes=[64, 6, 1])
    history = net.fit(X, words, epochs=2, validation_split=0.2, metrics=[agreement, "roc_auc"])
    y_true, y_pred = seen[-1]
    assert set(y_true) == {"odd", "even"}
    assert y_true.shape == y_pred.shape == (60,)
    assert history.metrics["agreement"] == history.val_accuracy
    assert 0.5 < history.metrics["roc_auc"][-1] <= 1


def test_metrics_of_quantities_and_of_columns():
    net = network(sizes=[64, 6, 1], output="identity", cost="quadratic")
    target = X[:, [30]]
    history = net.fit(X, target, epochs=3, validation_data=(X, target), metrics=["r2", metrics.mean_absolute_error])
    assert history.metrics["r2"][-1] == pytest.approx(metrics.r2_score(target, net.predict(X)))
    assert history.metrics["mean_absolute_error"][-1] == pytest.approx(np.abs(target - net.predict(X)).mean())


def test_metrics_of_several_labels_at_once():
    labels = np.column_stack([y % 2, y > 4, y == 3]).astype(int)
    net = network(sizes=[64, 6, 3], task="multilabel")
    history = net.fit(X, labels, epochs=2, validation_split=0.3, metrics=["f1_micro", "roc_auc"])
    assert all(0 < value <= 1 for values in history.metrics.values() for value in values)


def test_metrics_change_nothing_in_training():
    plain, measured = network(), network()
    plain.fit(X, y, epochs=2, validation_data=(Xt, yt))
    measured.fit(X, y, epochs=2, validation_data=(Xt, yt), metrics=["f1_macro"])
    assert state(plain) == state(measured)


def test_metrics_are_monitored():
    def errors(y_true, y_pred):
        return np.count_nonzero(y_true != y_pred)

    net, kept = network(), []
    history = net.fit(
        X,
        y,
        epochs=60,
        optimizer=fastnn.SGD(3.0),
        validation_data=(Xt, yt),
        metrics=[Metric(errors, name="wrong", larger_is_better=False), "f1_macro"],
        callbacks=[keeper(kept), EarlyStopping("wrong", patience=2)],
        schedule="plateau(monitor='f1_macro', patience=0, factor=0.5)",
    )
    assert history.best_epoch == int(np.argmin(history.metrics["wrong"])) + 1
    assert same(net, kept[history.best_epoch - 1])
    assert history.learning_rate[-1] < 3.0


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"function": 3}, TypeError, "function must be callable"),
        ({"function": max, "name": "val_cost"}, ValueError, "name must not begin with 'train_' or 'val_'"),
        ({"function": max, "name": 3}, TypeError, "name must be a string"),
        ({"function": max, "larger_is_better": 1}, TypeError, "larger_is_better must be True or False"),
    ],
)
def test_a_metric_is_checked(arguments, error, text):
    with pytest.raises(error, match=text):
        Metric(**arguments)


# --- keeping the best ---


def ends(kind):
    """Arguments of ``fit`` for a training that ends in one way or another, in its fourth epoch or later."""

    def late(net, history):
        if len(history.epochs) == 4:
            if kind == "interrupt":
                raise KeyboardInterrupt
            if kind == "error":
                raise ZeroDivisionError
            if kind == "divergence":
                net.learning_rate = 1e300
            if kind == "max_time":
                time.sleep(1.2)
            return kind == "callback"
        return False

    return {
        "epochs": 4 if kind == "epochs" else 500,
        "callbacks": [late],
        "max_time": 1.0 if kind == "max_time" else None,
    }


RAISED = {"interrupt": KeyboardInterrupt, "error": ZeroDivisionError, "divergence": DivergenceError}


@pytest.mark.parametrize("kind", ["epochs", "max_time", "callback", *RAISED])
def test_the_best_comes_back_whatever_ended_training(kind):
    net, kept = network(output="identity", cost="quadratic", task="classes"), []
    calls = iter([3.0, 1.0, 2.0, 2.5, *[3.0] * 500])
    metric = Metric(lambda y_true, y_pred: next(calls), name="planned", larger_is_better=False)
    next_value = next(calls)
    assert next_value == 3.0  # which the check before training would have taken
    settings = ends(kind)
    stop = EarlyStopping("planned", patience=100)
    arguments = {
        **settings,
        "callbacks": [keeper(kept), stop, *settings["callbacks"]],
        "optimizer": fastnn.SGD(0.01, momentum=0.5),
        "validation_data": (Xt, yt),
        "metrics": [metric],
        "weight_average": 0.9,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind in RAISED:
            with pytest.raises(RAISED[kind]):
                net.fit(X, y, **arguments)
        else:
            net.fit(X, y, **arguments)
    assert net.history.stopped_by == kind
    best = int(np.argmin(net.history.metrics["planned"]))
    assert net.history.best_epoch == best + 1 < len(kept)
    assert same(net, kept[best])
    assert same(net.averaged(), kept[best].averaged())
    assert f"weights of epoch {best + 1} put back" in str(net.history)


def test_nothing_comes_back_that_is_not_wanted():
    net, kept = network(), []
    stop = EarlyStopping("train_cost", restore_best=False)
    history = net.fit(X, y, epochs=3, callbacks=[keeper(kept), stop])
    assert history.best_epoch is None
    assert same(net, kept[-1])


def test_a_fit_without_a_whole_epoch_puts_nothing_back():
    stop, net = EarlyStopping("train_cost"), network()
    net.fit(X, y, epochs=2, callbacks=[stop])
    before = net.copy()
    history = net.fit(X, y, epochs=0, callbacks=[stop])
    assert history.best_epoch is None
    assert same(net, before)


def test_what_was_kept_of_another_fit_stays_away():
    """Where a callback of the user's own asks it, nobody tells it that a fit has ended."""
    stop, other = EarlyStopping("train_cost"), network(sizes=[64, 3, 10])
    network().fit(X, y, epochs=2, callbacks=[stop.__call__])
    before = other.copy()
    assert other.fit(X, y, epochs=0, callbacks=[stop]).best_epoch is None
    assert other.fit(X, y, epochs=1, max_time=1e-9, callbacks=[stop]).best_epoch is None
    assert same(other, before)


def test_the_best_of_l_bfgs_comes_back():
    net, kept = network(), []
    stop = EarlyStopping("val_cost", patience=3)
    history = net.fit(
        X, y, 200, len(X), "lbfgs", validation_data=(Xt, yt), callbacks=[keeper(kept), stop], shuffle=False
    )
    assert history.stopped_by == "callback"
    assert history.best_epoch == int(np.argmin(history.val_cost)) + 1 == len(history.epochs) - 3
    assert same(net, kept[history.best_epoch - 1])


# --- what the history tells ---


def example():
    return network().fit(X, y, epochs=3, validation_data=(Xt, yt), metrics=["f1_macro"])


def test_a_history_prints_its_metrics():
    history = example()
    head, *rows, last = str(history).splitlines()
    assert "f1_macro" in head
    assert {len(row) for row in rows} == {len(head)}
    assert rows[2].split()[5] == f"{history.metrics['f1_macro'][2]:.4f}"
    assert last == "stopped by: epochs"


def test_a_history_as_html():
    history = History(
        train_cost=[0.5] * 20, train_accuracy=[0.25] * 20, seconds=[1.0] * 20, metrics={"a<b": [1.0] * 20}
    )
    text = history._repr_html_()
    assert text.count("<tr>") == 1 + 11
    assert "a&lt;b" in text
    assert "a<b" not in text
    assert "<td>0.5000</td><td>25.00%</td><td>-</td><td>-</td><td>1.0000</td>" in text
    assert "stopped by: epochs" in text


def test_a_history_as_a_frame():
    pytest.importorskip("pandas")
    history = example()
    frame = history.to_frame()
    assert frame.index.tolist() == [1, 2, 3]
    assert list(frame) == [
        *("train_cost", "val_cost", "train_accuracy", "val_accuracy", "f1_macro", "learning_rate", "seconds")
    ]
    assert all(
        frame[name].tolist() == history.figure(name) for name in frame if name not in ("learning_rate", "seconds")
    )
    assert frame["learning_rate"].tolist() == [0.5] * 3
    short = History(train_cost=[0.5, 0.4], train_accuracy=[0.8, 0.9], val_cost=[0.7], seconds=[1, 1]).to_frame()
    assert np.isnan(short["val_cost"][2])
    assert len(History().to_frame()) == 0


class Growing(list):
    """A list to which a training in another thread adds whenever somebody looks how long it is."""

    def __len__(self):
        self.append(0.5)
        return super().__len__()


@pytest.mark.parametrize("show", [str, History._repr_html_, History.to_frame], ids=["text", "html", "frame"])
def test_a_history_is_shown_while_it_grows(show):
    if show is History.to_frame:
        pytest.importorskip("pandas")
    history = History(train_cost=Growing([0.5]), train_accuracy=[0.8], val_cost=Growing([0.5] * 20), seconds=[1.0])
    assert len(show(history)) > 0


def test_a_history_is_drawn():
    pytest.importorskip("matplotlib")
    history = example()
    figure = history.plot()
    lines = {line.get_label(): line for axes in figure.axes for line in axes.lines}
    assert list(lines) == ["train_cost", "val_cost", "train_accuracy", "val_accuracy", "f1_macro"]
    assert lines["val_cost"].get_xydata().tolist() == [[i + 1, cost] for i, cost in enumerate(history.val_cost)]
    assert not History().plot().axes[0].lines


@pytest.mark.parametrize(("method", "module"), [("to_frame", "pandas"), ("plot", "matplotlib.figure")])
def test_what_is_missing_is_named(method, module, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(ImportError, match=r"fastnn-engine\["):
        getattr(History(), method)()


def test_histories_are_pickled():
    history = example()
    assert pickle.loads(pickle.dumps(history)) == history
    earlier = History.__new__(History)
    earlier.__setstate__({"train_cost": [0.5], "train_accuracy": [0.9], "seconds": [1.0], "stopped_by": "callback"})
    assert earlier == History(train_cost=[0.5], train_accuracy=[0.9], seconds=[1.0], stopped_by="callback")


@pytest.mark.parametrize("form", ["coo", "bsr", "dia", "arrow"])
def test_samples_are_held_out_of_whatever_holds_them_before_a_scale_is_learned(form):
    rng = np.random.default_rng(0)
    dense, labels = np.rint(4 * rng.random((60, 4))) + 1, np.arange(60) % 2
    if form == "arrow":
        pa = pytest.importorskip("pyarrow")
        given = pa.table({f"c{i}": dense[:, i] for i in range(4)})
    else:
        given = getattr(scipy.sparse, f"{form}_matrix")(dense)
    networks = [Network([4, 2], scale="standard") for _ in range(2)]
    networks[0].fit(given, labels, epochs=2, validation_split=0.2)
    networks[1].fit(
        dense if form == "arrow" else scipy.sparse.csr_matrix(dense), labels, epochs=2, validation_split=0.2
    )
    assert same(*networks)


@pytest.mark.parametrize("classes", [["pos", "neg"], ["c", "a", "b"]])
def test_metrics_know_which_class_is_which_in_any_order(classes):
    rng = np.random.default_rng(0)
    data, k = rng.normal(size=(300, 5)), len(classes)
    numbers = (data[:, :k] + 2 * np.eye(k)[rng.integers(0, k, 300)]).argmax(axis=1)
    labels, name = np.array(classes)[numbers], "roc_auc" if k == 2 else "roc_auc_ovr"
    found = []
    for order in (classes, sorted(classes)):
        net = Network([5, 8, 1 if k == 2 else k], classes=order)
        wanted = [name, "neg_log_loss"]
        history = net.fit(data[:200], labels[:200], 20, validation_data=(data[200:], labels[200:]), metrics=wanted)
        assert history.metrics[name][-1] > 0.6
        assert history.metrics["neg_log_loss"][-1] > -1.2
        truth, places = labels[200:], np.argsort(order)
        chances = net.predict_proba(data[200:])[:, places]
        right = metrics.roc_auc_score(truth, chances[:, 1] if k == 2 else chances, multi_class="ovr")
        assert history.metrics[name][-1] == pytest.approx(right)
        found.append(history.metrics[name][-1])


def test_two_labels_at_once_have_metrics_by_probability():
    rng = np.random.default_rng(0)
    data = rng.normal(size=(200, 4))
    labels = (data[:, :2] > 0.3).astype(int)
    net = Network([4, 8, 2])
    history = net.fit(data[:150], labels[:150], 5, validation_data=(data[150:], labels[150:]), metrics=["roc_auc"])
    right = metrics.roc_auc_score(labels[150:], net.predict_proba(data[150:]))
    assert history.metrics["roc_auc"][-1] == pytest.approx(right)


@pytest.mark.parametrize("way", ["plain", "split", "many"])
def test_samples_of_no_weight_have_no_part_in_a_scale(way):
    rng = np.random.default_rng(0)
    data, labels, weights = rng.normal(size=(60, 3)), np.arange(60) % 2, np.ones(60)
    weights[::5], wild = 0, data.copy()
    wild[::5] *= 1000
    networks = [Network([3, 2], scale="standard") for _ in range(2)]
    for net, given in zip(networks, (data, wild), strict=True):
        if way == "many":
            fastnn.fit_many([net], given, labels, epochs=2, sample_weight=weights, rows=[np.arange(50)])
        else:
            split = {"validation_split": 0.2} if way == "split" else {}
            net.fit(given, labels, epochs=2, sample_weight=weights, **split)
    assert same(*networks)


def test_nothing_of_this_listens_to_numpy_s_error_settings():
    rng = np.random.default_rng(0)
    data, labels = rng.normal(size=(40, 3)) * [1e170, 1e-170, 1], np.arange(40) % 2
    weights = np.where(np.arange(40) % 3, 1e300, 1e-300)
    with np.errstate(all="raise"):
        net = Network([3, 2], scale="standard", dtype="float64")
        net.fit(data, labels, epochs=2, sample_weight=weights)
    data = data[weights > 1]  # beside the others these weigh nothing
    scaled = (data - data.mean(axis=0)) / np.abs(data).max(axis=0)
    unit = scaled.std(axis=0) * np.abs(data).max(axis=0)
    np.testing.assert_allclose(net._reader.scaling.unit, unit, rtol=1e-12)
