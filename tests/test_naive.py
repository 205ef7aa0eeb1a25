"""The reference itself, held against hand-worked numbers, central differences and scikit-learn."""

import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import naive
import numpy as np
import pytest
from naive import Array
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

HIDDEN = ["sigmoid", "tanh", "relu", "identity"]
PAIRS = sorted(naive.OUTPUT_DELTAS)
LARGEST = np.finfo(np.float64).max
EXTREMES = np.array([-LARGEST, -1e308, -1e3, -745.2, -40.0, -1e-308, 0.0, 5e-324, 40.0, 710.0, 1e308, LARGEST])


def random_network(sizes: list[int], seed: int = 0) -> tuple[list[Array], list[Array]]:
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(n_out, n_in)) for n_in, n_out in pairwise(sizes)]
    biases = [rng.normal(size=n_out) for n_out in sizes[1:]]
    return weights, biases


# --- Activations ---


def test_activations_by_hand() -> None:
    Z = np.log([[3.0, 1.0, 0.5]])
    np.testing.assert_allclose(naive.sigmoid(Z), [[3 / 4, 1 / 2, 1 / 3]], rtol=1e-15)
    np.testing.assert_allclose(naive.tanh(Z), [[4 / 5, 0, -3 / 5]], rtol=1e-15)
    np.testing.assert_allclose(naive.softmax(Z), [[6 / 9, 2 / 9, 1 / 9]], rtol=1e-15)
    np.testing.assert_array_equal(naive.relu([[-2.0, 0.0, 3.0]]), [[0, 0, 3]])
    np.testing.assert_array_equal(naive.identity([[-2.0, 0.0, 3.0]]), [[-2, 0, 3]])


@pytest.mark.parametrize("name", HIDDEN)
def test_derivatives_by_central_differences(name: str) -> None:
    Z = np.array([[-3.0, -0.5, -0.1, 0.2, 1.0, 2.5]])
    f = naive.ACTIVATIONS[name]
    np.testing.assert_allclose(naive.DERIVATIVES[name](f(Z)), (f(Z + 1e-6) - f(Z - 1e-6)) / 2e-6, rtol=1e-7, atol=1e-9)


def test_relu_derivative_is_zero_at_zero() -> None:
    np.testing.assert_array_equal(naive.DERIVATIVES["relu"](naive.relu([-1.0, 0.0, 1e-300])), [0, 0, 1])


@pytest.mark.parametrize("name", sorted(naive.ACTIVATIONS))
def test_activations_are_finite_at_the_extremes(name: str) -> None:
    Z = np.stack([EXTREMES, EXTREMES[::-1], np.full_like(EXTREMES, -LARGEST), np.full_like(EXTREMES, LARGEST)])
    A = naive.ACTIVATIONS[name](Z)
    assert np.isfinite(A).all()
    if name == "softmax":
        np.testing.assert_allclose(A.sum(axis=1), 1.0, rtol=1e-15)
    else:
        assert (np.diff(A[0]) >= 0).all()
        assert np.isfinite(naive.DERIVATIVES[name](A)).all()


def test_sigmoid_keeps_its_small_values() -> None:
    np.testing.assert_allclose(naive.sigmoid([-40.0, -700.0]), np.exp([-40.0, -700.0]), rtol=1e-15)


def test_softmax_keeps_its_small_values_and_ignores_a_shift() -> None:
    np.testing.assert_allclose(naive.softmax([[-700.0, 0.0]])[0], [np.exp(-700.0), 1.0], rtol=1e-15)
    Z = np.array([[1.0, 2.0, -3.0]])
    np.testing.assert_array_equal(naive.softmax(Z), naive.softmax(Z + 1024.0))


def test_float32_input_is_computed_in_float64() -> None:
    Z = np.array([[0.1, -0.2], [0.3, 5.0]], dtype=np.float32)
    for f in naive.ACTIVATIONS.values():
        assert f(Z).dtype == np.float64
        np.testing.assert_array_equal(f(Z), f(Z.astype(np.float64)))
    for f in naive.DERIVATIVES.values():
        assert f(Z).dtype == np.float64
    for c in naive.COSTS.values():
        assert c(Z, Z, Z).dtype == np.float64
    for d in naive.OUTPUT_DELTAS.values():
        assert d(Z, Z).dtype == np.float64


# --- Costs ---


def test_costs_by_hand() -> None:
    A, T = np.array([[1.0, 3.0], [0.0, 0.0]]), np.array([[0.0, 1.0], [0.0, 2.0]])
    np.testing.assert_array_equal(naive.quadratic(A, A, T), [2.5, 2.0])
    np.testing.assert_array_equal(naive.sum_squares(A, A, T), [5.0, 4.0])
    Z = np.log([[3.0, 1.0]])
    cross_entropy = -(np.log(3 / 4) + np.log(1 / 2))  # sigmoid gives 3/4 and 1/2
    np.testing.assert_allclose(naive.cross_entropy(Z, Z, [[1.0, 0.0]]), cross_entropy, rtol=1e-15)
    # softmax gives 3/4 and 1/4
    np.testing.assert_allclose(naive.log_likelihood(Z, Z, [[0.0, 1.0]]), np.log(4), rtol=1e-15)
    np.testing.assert_allclose(naive.log_likelihood(Z, Z, [[1.0, 2.0]]), 3 * np.log(4) - np.log(3), rtol=1e-15)


def test_costs_from_z_agree_with_the_textbook_formulas() -> None:
    rng = np.random.default_rng(1)
    Z, T = rng.normal(size=(20, 4)), rng.uniform(size=(20, 4))
    A = naive.sigmoid(Z)
    textbook = -(T * np.log(A) + (1 - T) * np.log(1 - A)).sum(axis=1)
    np.testing.assert_allclose(naive.cross_entropy(Z, A, T), textbook, rtol=1e-13)
    textbook = -(T * np.log(naive.softmax(Z))).sum(axis=1)
    np.testing.assert_allclose(naive.log_likelihood(Z, naive.softmax(Z), T), textbook, rtol=1e-13)


def test_costs_from_z_do_not_cancel() -> None:
    tiny = 4.248354255291589e-18  # log(1 + exp(-40)), where sigmoid(40) is 1.0 in float64
    Z = np.array([[40.0], [-40.0], [40.0], [-40.0]])
    T = np.array([[1.0], [0.0], [0.0], [1.0]])
    expected = [tiny, tiny, 40.0, 40.0]
    np.testing.assert_allclose(naive.cross_entropy(Z, naive.sigmoid(Z), T), expected, rtol=1e-15)
    Z2, T2 = np.hstack([Z, np.zeros_like(Z)]), np.hstack([T, 1 - T])
    np.testing.assert_allclose(naive.log_likelihood(Z2, naive.softmax(Z2), T2), expected, rtol=1e-15)


def test_log_likelihood_with_tied_maxima() -> None:
    Z = np.array([[5.0, 5.0, 5.0, -900.0]])
    np.testing.assert_allclose(naive.log_likelihood(Z, Z, [[1.0, 0.0, 0.0, 0.0]]), np.log(3), rtol=1e-15)


def test_costs_from_z_are_finite_at_the_extremes() -> None:
    for t in (0.0, 0.25, 1.0):
        Z = EXTREMES.reshape(-1, 1)
        T = np.full_like(Z, t)
        C = naive.cross_entropy(Z, naive.sigmoid(Z), T)
        assert np.isfinite(C).all()
        assert (C >= 0).all()
        Z2, T2 = np.hstack([Z, np.zeros_like(Z)]), np.hstack([T, 1 - T])
        np.testing.assert_allclose(naive.log_likelihood(Z2, naive.softmax(Z2), T2), C, rtol=1e-15)
    # An output without a target adds nothing, even where its gap to the maximum is beyond float64.
    Z = np.array([[LARGEST, -LARGEST]])
    assert naive.log_likelihood(Z, naive.softmax(Z), [[1.0, 0.0]]) == [0.0]


# --- Gradients ---


def test_forward_and_gradients_by_hand() -> None:
    # Two inputs, two hidden relu units of which the second is off, one linear output.
    weights = [np.array([[1.0, 2.0], [-1.0, 0.0]]), np.array([[3.0, 5.0]])]
    biases = [np.array([1.0, 0.0]), np.array([-2.0])]
    activations = ["relu", "identity"]
    X, T = np.array([[1.0, 1.0]]), np.array([[7.0]])
    Zs, As = naive.forward(weights, biases, activations, X)
    np.testing.assert_array_equal(As[0], X)
    np.testing.assert_array_equal(Zs[0], [[4, -1]])
    np.testing.assert_array_equal(As[1], [[4, 0]])
    np.testing.assert_array_equal(Zs[1], [[10]])
    np.testing.assert_array_equal(As[2], [[10]])
    assert naive.cost(weights, biases, activations, "quadratic", X, T) == 4.5
    dW, db = naive.gradients(weights, biases, activations, "quadratic", X, T)  # deltas: 3, then (9, 0)
    np.testing.assert_array_equal(dW[1], [[12, 0]])
    np.testing.assert_array_equal(db[1], [3])
    np.testing.assert_array_equal(dW[0], [[9, 9], [0, 0]])
    np.testing.assert_array_equal(db[0], [9, 0])


def test_valid_pairs_are_all_there() -> None:
    squares = [(cost, output) for cost in ("quadratic", "sum_squares") for output in HIDDEN]
    assert set(PAIRS) == {*squares, ("cross_entropy", "sigmoid"), ("log_likelihood", "softmax")}
    assert {cost for cost, _ in PAIRS} == set(naive.COSTS)
    assert {output for _, output in PAIRS} == set(naive.ACTIVATIONS)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize(("cost", "output"), PAIRS)
def test_gradients_by_central_differences(cost: str, output: str, hidden: str, weighted: bool) -> None:
    rng = np.random.default_rng(2)
    weights, biases = random_network([4, 5, 3, 2], seed=2)
    activations = [hidden, hidden, output]
    X = rng.normal(size=(6, 4))
    T = rng.uniform(size=(6, 2))  # soft targets, which need not sum to one
    sample_weight = rng.uniform(0, 2, size=6) if weighted else None
    Zs, _ = naive.forward(weights, biases, activations, X)
    assert min(np.abs(Z).min() for Z in Zs) > 1e-3, "too near to relu's kink for differences"
    got = naive.gradients(weights, biases, activations, cost, X, T, sample_weight)
    expected = naive.numerical_gradients(weights, biases, activations, cost, X, T, sample_weight)
    for g, e, parameter in zip(got[0] + got[1], expected[0] + expected[1], weights + biases, strict=True):
        assert g.shape == parameter.shape
        np.testing.assert_allclose(g, e, rtol=1e-7, atol=1e-7)
    assert all(np.abs(g).max() > 1e-3 for g in got[0] + got[1]), "a test on zeros shows nothing"


def test_no_hidden_layer_and_mixed_layers_by_central_differences() -> None:
    rng = np.random.default_rng(3)
    for sizes, activations in (([3, 2], ["softmax"]), ([3, 4, 5, 2], ["tanh", "sigmoid", "softmax"])):
        weights, biases = random_network(sizes, seed=3)
        X, T = rng.normal(size=(7, 3)), naive.one_hot(rng.integers(2, size=7), 2)
        got = naive.gradients(weights, biases, activations, "log_likelihood", X, T)
        expected = naive.numerical_gradients(weights, biases, activations, "log_likelihood", X, T)
        for g, e in zip(got[0] + got[1], expected[0] + expected[1], strict=True):
            np.testing.assert_allclose(g, e, rtol=1e-7, atol=1e-8)


def test_sample_weight_divides_by_the_number_of_samples() -> None:
    weights, biases = random_network([3, 2])
    X = np.random.default_rng(4).normal(size=(2, 3))
    T = np.eye(2)
    # Weights (2, 0) over two samples are the first sample alone.
    pair = naive.cost(weights, biases, ["sigmoid"], "cross_entropy", X, T, [2.0, 0.0])
    alone = naive.cost(weights, biases, ["sigmoid"], "cross_entropy", X[:1], T[:1])
    assert pair == pytest.approx(alone, rel=1e-14)
    dW, db = naive.gradients(weights, biases, ["sigmoid"], "cross_entropy", X, T, [2.0, 0.0])
    dW_alone, db_alone = naive.gradients(weights, biases, ["sigmoid"], "cross_entropy", X[:1], T[:1])
    np.testing.assert_allclose(dW[0], dW_alone[0], rtol=1e-14)
    np.testing.assert_allclose(db[0], db_alone[0], rtol=1e-14)


# --- Optimizers ---


def steps(optimizer: naive.Optimizer, start: float, grads: list[float]) -> list[float]:
    params = [np.array([start])]
    optimizer.init(params)
    path = []
    for g in grads:
        params = optimizer.step(params, [np.array([g])])
        path.append(float(params[0][0]))
    return path


def test_sgd_by_hand() -> None:
    assert steps(naive.SGD(0.5), 1.0, [2.0, 2.0]) == [0.0, -1.0]
    # v = 2, then 0.5 * 2 + 4 = 5
    assert steps(naive.SGD(1.0, momentum=0.5), 0.0, [2.0, 4.0]) == [-2.0, -7.0]
    # g + 0.5 v = 2 + 1, then 4 + 2.5
    assert steps(naive.SGD(1.0, momentum=0.5, nesterov=True), 0.0, [2.0, 4.0]) == [-3.0, -9.5]


def test_adam_by_hand() -> None:
    # A constant gradient g: mhat = g and vhat = g^2 in every step.
    path = steps(naive.Adam(0.1, epsilon=1.0), 0.0, [3.0, 3.0, 3.0])
    np.testing.assert_allclose(path, [-0.075, -0.15, -0.225], rtol=1e-12)
    # 1, then -1: mhat = (0.09 - 0.1) / 0.19 = -1/19, vhat = 1.
    path = steps(naive.Adam(0.1, epsilon=0.0), 0.0, [1.0, -1.0])
    np.testing.assert_allclose(path, [-0.1, -0.1 + 0.1 / 19], rtol=1e-12)
    # Magnitudes 1, then 2: mhat = 0.29/0.19, vhat = 0.004999/0.001999.
    path = steps(naive.Adam(0.1, epsilon=0.0), 0.0, [1.0, 2.0])
    np.testing.assert_allclose(path[1], -0.1 - 0.1 * (29 / 19) / np.sqrt(4999 / 1999), rtol=1e-12)


def test_init_forgets_the_past() -> None:
    for optimizer in (naive.SGD(0.1, momentum=0.9), naive.Adam(0.1)):
        assert steps(optimizer, 1.0, [1.0, 3.0, -2.0]) == steps(optimizer, 1.0, [1.0, 3.0, -2.0])


# --- Training ---


def test_train_by_hand() -> None:
    # a = w x + b with targets 0: two samples x = 1 make the first batch, one x = 2 the last, smaller one.
    W, b, X, T = np.ones((1, 1)), np.zeros(1), [[2.0], [1.0], [1.0]], np.zeros((3, 1))
    order = np.array([1, 2, 0])
    weights, biases, costs = naive.train(
        [W], [b], ["identity"], "quadratic", naive.SGD(0.5), X, T, batch_size=2, orders=[order]
    )
    # First batch: a = 1, costs 1/2 and 1/2, gradients 1 and 1, so w = 1/2, b = -1/2.
    # Last batch: a = 1/2, cost 1/8, gradients 1 and 1/2, so w = 0, b = -3/4.
    np.testing.assert_array_equal(weights[0], [[0.0]])
    np.testing.assert_array_equal(biases[0], [-0.75])
    assert costs == [1.125 / 3]
    assert (W[0, 0], b[0]) == (1.0, 0.0), "the arguments are left alone"


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (naive.SGD(1.0), [4 - (2 + 0.25), -2 + (1 + 0.25), 0]),
        (naive.Adam(0.5, epsilon=1e-30), [3.5, -1.5, 0]),  # its first step is learning_rate * sign(g)
    ],
)
def test_train_regularises_weights_alone(optimizer: naive.Optimizer, expected: list[float]) -> None:
    # The target is met, so that l1 and l2 are the whole gradient.
    W, b, X, T = np.array([[4.0, -2.0, 0.0]]), np.array([3.0]), np.zeros((1, 3)), np.array([[3.0]])
    orders = [np.array([0])]
    weights, biases, costs = naive.train(
        [W], [b], ["identity"], "quadratic", optimizer, X, T, 1, orders, l1=0.25, l2=0.5
    )
    np.testing.assert_allclose(weights[0], [expected], rtol=1e-12)
    np.testing.assert_array_equal(biases[0], [3.0])
    assert costs == [0.0]


def test_train_with_sample_weight_skips_what_weighs_nothing() -> None:
    rng = np.random.default_rng(5)
    weights, biases = random_network([3, 4, 2])
    X, T = rng.normal(size=(6, 3)), naive.one_hot([0, 1, 0, 1, 1, 0], 2)
    network = (weights, biases, ["tanh", "softmax"], "log_likelihood")
    order, w = np.arange(6), [2.0, 0.0] * 3
    weighted = naive.train(*network, naive.SGD(0.1, 0.9), X, T, 2, [order] * 3, sample_weight=w)
    alone = naive.train(*network, naive.SGD(0.1, 0.9), X, T, 1, [order[::2]] * 3)
    for got, expected in zip(weighted[0] + weighted[1], alone[0] + alone[1], strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    np.testing.assert_allclose(weighted[2], alone[2], rtol=1e-12)


@pytest.mark.parametrize("cost", ["quadratic", "sum_squares", "cross_entropy"])
def test_training_in_columns_agrees_with_training_in_rows(cost: str) -> None:
    weights, biases = random_network([4, 5, 3, 2])
    rng = np.random.default_rng(3)
    X, T = rng.normal(size=(10, 4)), rng.random((10, 2))
    order = np.arange(10)
    activations = ["sigmoid"] * 3
    rows = naive.train(weights, biases, activations, cost, naive.SGD(0.5), X, T, 4, [order, order], l2=0.1)
    pairs = [(x[:, np.newaxis], t[:, np.newaxis]) for x, t in zip(X, T, strict=True)]
    batches = [pairs[:4], pairs[4:8], pairs[8:]] * 2
    columns = naive.train_in_columns(weights, [b[:, np.newaxis] for b in biases], cost, batches, 0.5, l2=0.1)
    for got, wanted in zip([*columns[0], *columns[1]], [*rows[0], *(b[:, np.newaxis] for b in rows[1])], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-13, atol=1e-15)


def test_one_hot() -> None:
    np.testing.assert_array_equal(naive.one_hot([2, 0], 3), [[0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(naive.one_hot([1, 0, 1], 1), [[1], [0], [1]])
    np.testing.assert_array_equal(naive.one_hot([1, 0], 2), [[0, 1], [1, 0]])
    assert naive.one_hot(np.array([1], dtype=np.uint8), 2).dtype == np.float64


# --- scikit-learn ---

SOLVERS: dict[str, tuple[dict[str, Any], Callable[[], naive.Optimizer]]] = {
    "sgd": ({"solver": "sgd", "momentum": 0.0}, lambda: naive.SGD(0.05)),
    "momentum": (
        {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": False},
        lambda: naive.SGD(0.05, momentum=0.9),
    ),
    "nesterov": (
        {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": True},
        lambda: naive.SGD(0.05, momentum=0.9, nesterov=True),
    ),
    # scikit-learn adds epsilon to sqrt(v), not to sqrt(vhat): small enough, it shows in neither.
    "adam": ({"solver": "adam", "epsilon": 1e-30}, lambda: naive.Adam(0.05, epsilon=1e-30)),
}


@pytest.mark.parametrize("solver", sorted(SOLVERS))
@pytest.mark.parametrize("task", ["classes", "binary", "regression"])
@pytest.mark.parametrize(("hidden", "name"), [("tanh", "tanh"), ("logistic", "sigmoid"), ("relu", "relu")])
def test_training_agrees_with_scikit_learn(task: str, solver: str, hidden: str, name: str) -> None:
    rng = np.random.default_rng(6)
    n, batch_size, epochs, l2 = 24, 8, 4, 0.01
    X = rng.normal(size=(n, 5))
    y, n_out, output, cost = {
        "classes": (rng.integers(3, size=n), 3, "softmax", "log_likelihood"),
        "binary": (rng.integers(2, size=n), 1, "sigmoid", "cross_entropy"),
        "regression": (rng.normal(size=n), 1, "identity", "quadratic"),
    }[task]
    T = naive.one_hot(y, n_out)
    options, optimizer = SOLVERS[solver]
    model = (MLPRegressor if task == "regression" else MLPClassifier)(
        hidden_layer_sizes=(6, 4),
        activation=hidden,
        learning_rate_init=0.05,
        alpha=l2 * batch_size,  # scikit-learn divides alpha by the batch's size
        batch_size=batch_size,
        max_iter=1,
        shuffle=False,
        warm_start=True,
        n_iter_no_change=1000,
        random_state=0,
        **options,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)  # this draws the weights; a warm start goes on from them with a fresh optimizer
        weights = [W.T.copy() for W in model.coefs_]
        biases = [b.copy() for b in model.intercepts_]
        model.set_params(max_iter=epochs).fit(X, y)
    got_weights, got_biases, costs = naive.train(
        weights,
        biases,
        [name, name, output],
        cost,
        optimizer(),
        X,
        T,
        batch_size,
        [np.arange(n)] * epochs,
        l2=l2,
    )
    for W, coef in zip(got_weights, model.coefs_, strict=True):
        np.testing.assert_allclose(W, coef.T, rtol=1e-9, atol=1e-11)
    for b, intercept in zip(got_biases, model.intercepts_, strict=True):
        np.testing.assert_allclose(b, intercept, rtol=1e-9, atol=1e-11)
    _, As = naive.forward(got_weights, got_biases, [name, name, output], X)
    predicted = model.predict(X) if task == "regression" else model.predict_proba(X)[:, -1]
    np.testing.assert_allclose(As[-1][:, -1], predicted, rtol=1e-9)
    assert len(costs) == epochs


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_running_costs_agree_with_scikit_learn(output: str) -> None:
    rng = np.random.default_rng(7)
    n, epochs = 25, 5  # the last batch holds one sample
    X = rng.normal(size=(n, 4))
    y = rng.integers(3 if output == "softmax" else 2, size=n)
    T = naive.one_hot(y, 3 if output == "softmax" else 1)
    model = MLPClassifier(
        hidden_layer_sizes=(5,),
        activation="tanh",
        solver="sgd",
        momentum=0.0,
        learning_rate_init=0.1,
        alpha=0.0,
        batch_size=8,
        max_iter=1,
        shuffle=False,
        warm_start=True,
        n_iter_no_change=1000,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
        weights, biases = [W.T.copy() for W in model.coefs_], [b.copy() for b in model.intercepts_]
        model.set_params(max_iter=epochs).fit(X, y)
    cost = "log_likelihood" if output == "softmax" else "cross_entropy"
    got_weights, _, costs = naive.train(
        weights, biases, ["tanh", output], cost, naive.SGD(0.1), X, T, 8, [np.arange(n)] * epochs
    )
    np.testing.assert_allclose(costs, model.loss_curve_[-epochs:], rtol=1e-9)
    np.testing.assert_allclose(got_weights[1], model.coefs_[1].T, rtol=1e-9)
