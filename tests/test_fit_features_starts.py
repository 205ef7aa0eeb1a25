"""L-BFGS, initializers that look at activations and data, and formulas of a user's own in networks that are kept."""

import json
import math
import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse
from states import same, state

import fastnn
from fastnn import LBFGS, DivergenceError, Network, ops
from fastnn.formulas import numeric
from fastnn.initializers import INITIALIZERS

X, y, Xt, yt = fastnn.datasets.load_digits()
X, y = X[:300], y[:300]
DTYPES = ["float32", "float64"]


def network(**arguments):
    return Network(**{"sizes": [64, 12, 10], "dtype": "float64", **arguments})


# --- L-BFGS ---


def softmax_loss(vector, l2, weights):
    """Cost, with its penalty, of a network without hidden layers in plain NumPy, and its gradient."""
    W, b = vector[:640].reshape(64, 10), vector[640:]
    Z = X @ W + b
    Z -= Z.max(axis=1, keepdims=True)
    L = Z - np.log(np.exp(Z).sum(axis=1, keepdims=True))
    D = (np.exp(L) - np.eye(10)[y]) * (weights / weights.sum())[:, np.newaxis]
    loss = -(weights / weights.sum()) @ L[np.arange(len(y)), y] + 0.5 * l2 * (W**2).sum()
    return loss, np.concatenate([(X.T @ D + l2 * W).ravel(), D.sum(axis=0)])


@pytest.mark.parametrize("weights", [None, np.random.default_rng(0).random(300) + 0.1], ids=["plain", "weighted"])
@pytest.mark.parametrize("as_data", [np.asarray, scipy.sparse.csr_matrix], ids=["dense", "sparse"])
def test_l_bfgs_finds_the_minimum(weights, as_data):
    net = network(sizes=[64, 10], output="softmax", cost="log_likelihood")
    method = LBFGS(tolerance=1e-7, improvement=0)
    history = net.fit(as_data(X), y, 2000, 300, method, l2=1e-2, sample_weight=weights)
    assert history.stopped_by in ("converged", "line search")
    given = np.ones(300) if weights is None else weights
    found = np.concatenate([net.weights[0].T.ravel(), net.biases[0]])
    loss, gradient = softmax_loss(found, 1e-2, given)  # which is convex: where it is flat is its minimum
    assert abs(gradient).max() < 1e-6 < abs(softmax_loss(np.zeros(650), 1e-2, given)[1]).max()
    assert history.train_cost[-1] == pytest.approx(loss - 0.5 * 1e-2 * (net.weights[0] ** 2).sum(), rel=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_iteration_brings_the_cost_down(dtype):
    net, seen = network(dtype=dtype), []

    def look(net, history):
        penalty = 0.5 * 1e-3 * sum(float((W.astype(np.float64) ** 2).sum()) for W in net.weights)
        seen.append(net.evaluate(X, y)["cost"] + penalty)

    history = net.fit(X, y, 20, 300, "lbfgs", l2=1e-3, validation_data=(Xt, yt), callbacks=[look])
    assert history.stopped_by == "epochs"
    assert len(history.epochs) == len(history.seconds) == len(history.val_cost) == 20
    assert (np.diff(seen) < 0).all()
    assert history.train_cost[-1] == pytest.approx(net.evaluate(X, y)["cost"], rel=1e-6)
    assert history.train_accuracy[-1] == net.evaluate(X, y)["accuracy"]
    assert np.isnan(history.learning_rate).all()
    again = network(dtype=dtype)
    again.fit(X, y, 20, 300, "lbfgs", l2=1e-3, threads=2)
    assert same(net, again)


def test_every_layer_may_have_its_penalty():
    def norms(l2):
        net = network()
        net.fit(X, y, 30, 300, "lbfgs", l2=l2)
        return [float((W**2).sum()) for W in net.weights]

    first, last = norms([1.0, 0.0]), norms([0.0, 1.0])
    assert first[0] < last[0] / 10
    assert last[1] < first[1] / 10


def test_what_ends_l_bfgs():
    net = network()
    assert net.fit(X, y, 5, 300, "lbfgs", callbacks=[lambda _, history: len(history.epochs) == 3]).epochs == [1, 2, 3]
    assert net.history.stopped_by == "callback"
    assert network().fit(X, y, 10**6, 300, "lbfgs", max_time=1e-6).stopped_by == "max_time"
    assert network().fit(X, y, 10**6, 300, LBFGS(tolerance=1.0)).stopped_by == "converged"
    before, net = network(), network()
    assert net.fit(X, y, 0, 300, "lbfgs").epochs == []
    assert same(net, before)


def test_an_interrupt_leaves_the_last_iteration():
    net, kept = network(), []

    def interrupt(net, history):
        kept.append(net.copy())
        if len(kept) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y, 10, 300, "lbfgs", callbacks=[interrupt])
    assert same(net, kept[-1])
    assert net.history.stopped_by == "interrupt"


def test_a_stop_in_a_line_search_leaves_the_last_iteration(monkeypatch):
    net, kept = network(), []
    looks = iter(range(1000))
    gradient = type(net._engine).gradient

    def slow(*arguments):
        if next(looks) == 12:
            raise KeyboardInterrupt
        return gradient(*arguments)

    monkeypatch.setattr(type(net._engine), "gradient", slow)
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y, 100, 300, "lbfgs", callbacks=[lambda net, _: kept.append(net.copy())])
    assert 0 < len(kept) < 12
    assert same(net, kept[-1])


def test_other_optimizers_go_on_after_l_bfgs(tmp_path):
    net = network()
    net.fit(X, y, 5, 300, "lbfgs")
    net.save(tmp_path / "net.npz")
    loaded = fastnn.load(tmp_path / "net.npz")
    for each in (net, loaded):
        each.fit(X, y, epochs=2, optimizer="adam")
    assert state(net) == state(loaded)
    assert loaded.diagnose(X, y) is not None


def test_l_bfgs_in_a_population_takes_the_rows_of_each_network():
    rows = np.arange(0, 300, 2)
    networks = [network(), network()]
    fastnn.fit_many(networks, X, y, rows=[rows, None], epochs=5, batch_size=300, optimizer="lbfgs")
    alone = network()
    alone.fit(X[rows], y[rows], 5, 150, "lbfgs")
    assert same(networks[0], alone)
    split = network()
    assert split.fit(X, y, 5, 300, "lbfgs", validation_split=0.2).held_out == 60


def test_l_bfgs_of_a_cost_that_is_infinite():
    net = network(sizes=[64, 1], output="identity", cost="quadratic", dtype="float32")
    with pytest.raises(DivergenceError, match="before the first step"):
        net.fit(X * 1e30, y * 1e30, 5, 300, "lbfgs")
    assert np.isfinite(net.weights[0]).all()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"l1": 0.1}, "l1"),
        ({"l1": [0.0, 0.1]}, "l1"),
        ({"schedule": "cosine"}, "schedule"),
        ({"clip_value": 1.0}, "clip_value"),
        ({"clip_norm": 1.0}, "clip_norm"),
        ({"dropout": 0.5}, "dropout"),
        ({"max_norm": 1.0}, "max_norm"),
        ({"weights_rate": 0.5}, "weights_rate"),
        ({"weight_average": 0.9}, "weight_average"),
    ],
)
def test_what_does_not_go_with_l_bfgs(arguments, name):
    with pytest.raises(ValueError, match=f"{name}.* does not go with optimizer 'lbfgs'"):
        network().fit(X, y, 5, 300, "lbfgs", **arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"memory": 0}, ValueError, "memory must be >= 1"),
        ({"tolerance": -1}, ValueError, "tolerance must be >= 0"),
        ({"improvement": "x"}, TypeError, "improvement must be a number"),
    ],
)
def test_l_bfgs_checks_its_numbers(arguments, error, text):
    with pytest.raises(error, match=text):
        LBFGS(**arguments)


def test_scipy_is_asked_for_before_anything_changes(monkeypatch):
    net = network()
    before = state(net)
    monkeypatch.setitem(__import__("sys").modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match=r"fastnn-engine\[scipy\]"):
        net.fit(X, y, 5, 300, "lbfgs")
    assert state(net) == before


# --- initializers ---


def test_auto_takes_for_every_layer_the_one_that_suits_its_activation():
    net = network(sizes=[64, 300, 200, 10], activation=["relu", "tanh"], initializer="auto")
    rng = np.random.default_rng(0)
    for i, name in enumerate(["he", "glorot", "scaled"]):
        n_out, n_in = net.weights[i].shape
        np.testing.assert_array_equal(net.weights[i], INITIALIZERS[name].weights(rng, n_in, n_out))
        INITIALIZERS[name].biases(rng, n_in, n_out)
    selu = network(activation="selu", initializer="auto")
    assert selu.weights[0].std() == pytest.approx(1 / math.sqrt(64), rel=0.1)


def weighted_inputs(net, samples):
    """Of every layer, on these samples, in plain NumPy."""
    A, found = samples, []
    for W, b, activation in zip(net.weights, net.biases, net._activations, strict=True):
        found.append(A @ W.T.astype(np.float64) + b)
        A = numeric.activate(activation, found[-1])
    return found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ["relu", "tanh", "selu"])
def test_lsuv_gives_every_layer_unit_variance(dtype, activation):
    net = network(sizes=[64, 30, 30, 30, 10], activation=activation, dtype=dtype, initializer="lsuv")
    W = net.weights[1].astype(np.float64)
    np.testing.assert_allclose(W @ W.T, np.eye(30), atol=1e-6)
    net.fit(X, y, epochs=1, optimizer=fastnn.SGD(1e-12))
    for Z in weighted_inputs(net, X):
        assert Z.std() == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("as_data", [scipy.sparse.csr_matrix, lambda data: np.rint(16 * data).astype(np.uint8)])
def test_lsuv_sees_what_the_network_sees(as_data):
    plain, other = network(initializer="lsuv"), network(initializer="lsuv", scale=None)
    data = as_data(X)
    scaled = data.dtype == np.uint8
    other = network(initializer="lsuv", scale=16 if scaled else None)
    plain.fit(X, y, epochs=1, optimizer=fastnn.SGD(1e-12))
    other.fit(data, y, epochs=1, optimizer=fastnn.SGD(1e-12))
    for mine, its in zip(plain.weights, other.weights, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-6, atol=1e-9)


def test_lsuv_acts_once_and_waits_in_files(tmp_path):
    net = network(initializer="lsuv")
    net.save(tmp_path / "net.npz")
    others = [fastnn.load(tmp_path / "net.npz"), net.copy(), pickle.loads(pickle.dumps(net))]
    net.fit(X, y, epochs=1)
    for other in others:
        other.fit(X, y, epochs=1)
        assert state(other) == state(net)
    before = net.copy()
    net.fit(3 * X, y, epochs=1, optimizer=fastnn.SGD(1e-300))
    assert same(net, before)


def test_lsuv_leaves_alone_what_says_nothing():
    net = network(initializer="lsuv")
    before = [np.array(W) for W in net.weights]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net.fit(np.zeros((40, 64)), y[:40], epochs=1, optimizer=fastnn.SGD(1e-300))
    np.testing.assert_array_equal(net.weights[0], before[0])
    assert np.isfinite(net.weights[1]).all()


def test_unknown_initializers_are_refused():
    with pytest.raises(ValueError, match="did you mean 'lsuv'"):
        network(initializer="lsvu")


# --- formulas of one's own ---

SWISH = fastnn.activation("swish2", lambda z, beta: z * ops.sigmoid(beta * z), beta=2.0, initializer="he")
CAUCHY = fastnn.cost("cauchy", lambda a, t: ops.log1p(ops.square(a - t)), outputs="identity")


def mean_step(g, p, s, n):
    m = n.decay * s.m + (1 - n.decay) * g
    return p - n.rate * n.correction * m, (m,)


MEAN = fastnn.optimizer(
    "mean", mean_step, learning_rate=0.05, states=["m"], decay=0.9, correction=lambda step: 1 / (1 - 0.9**step)
)


@pytest.mark.parametrize("dtype", DTYPES)
def test_own_formulas_are_kept_and_go_on(dtype, tmp_path):
    net = network(activation=SWISH, output="identity", cost=CAUCHY, dtype=dtype, task="classes", initializer="auto")
    first = net.fit(X, y, epochs=3, optimizer=MEAN, weight_average=0.9)
    assert first.train_cost[-1] < first.train_cost[0]
    path = tmp_path / "net.npz"
    net.save(path)
    others = [fastnn.load(path), net.copy(), pickle.loads(pickle.dumps(net))]
    net.fit(X, y, epochs=2, optimizer=MEAN, weight_average=0.9)
    for other in others:
        assert other.activations == ("swish2", "identity")
        assert other.cost == "cauchy"
        assert other.learning_rate == 0.05
        other.fit(X, y, epochs=2, optimizer=MEAN, weight_average=0.9)
        assert state(other) == state(net)
        np.testing.assert_array_equal(other.forward(Xt), net.forward(Xt))


def test_files_hold_formulas_as_data(tmp_path):
    net = network(activation=SWISH, output="identity", cost=CAUCHY)
    net.save(tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz", allow_pickle=False) as arrays:
        header = json.loads(str(arrays["fastnn_network"]))
    assert header["cost"]["name"] == "cauchy"
    assert "sigmoid" in json.dumps(header["activations"][0])


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")
def test_own_formulas_in_populations():
    networks = [network(activation=SWISH, output="identity", cost=CAUCHY, seed=i) for i in range(2)]
    fastnn.fit_many(networks, X, X[:, :10], epochs=2, optimizer=MEAN)
    alone = network(activation=SWISH, output="identity", cost=CAUCHY, seed=1)
    alone.fit(X, X[:, :10], epochs=2, optimizer=MEAN)
    assert same(networks[1], alone)


def test_optimizers_of_one_name_have_memories_of_their_own():
    """Such as one that is written anew in a notebook: what the first one kept means nothing to the second."""
    X, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    heavy = fastnn.optimizer("mine", lambda g, p, s, n: (p - n.rate * s.m, (s.m + g,)), learning_rate=0.1, states=["m"])
    other = fastnn.optimizer("mine", lambda g, p, s, n: (p - n.rate * g, (s.m + 1,)), learning_rate=0.1, states=["m"])
    net = fastnn.Network([3, 2])
    net.fit(X, y, epochs=2, optimizer=heavy)
    net.fit(X, y, epochs=1, batch_size=40, optimizer=other)
    np.testing.assert_array_equal(net._engine.read(0, net._engine.state_buffers()[0])[0], np.ones((2, 3)))
    faster = fastnn.optimizer("mine", lambda g, p, s, n: (p - n.rate * g, (s.m + 1,)), learning_rate=0.5, states=["m"])
    net.fit(X, y, epochs=1, batch_size=40, optimizer=faster)  # the same equations
    np.testing.assert_array_equal(net._engine.read(0, net._engine.state_buffers()[0])[0], np.full((2, 3), 2))
