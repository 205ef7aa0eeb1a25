"""Training, through the public Network, against the slow reference; determinism; and problems with known answers."""

import warnings
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from problems import sample_weights, samples, target_matrix

import fastnn
from fastnn import engine, orders, pacing
from fastnn.kernels.shuffle import permute

Array = NDArray[Any]

DTYPES = ["float32", "float64"]
HIDDEN = ["sigmoid", "tanh", "relu", "identity"]
PAIRS = sorted(naive.OUTPUT_DELTAS)  # every (cost, output activation) that goes together
# Hidden activations in turn: they, output units and optimizers are parts of their own, whatever else is in a network.
TRIPLES = [(*pair, HIDDEN[i % len(HIDDEN)]) for i, pair in enumerate(PAIRS)]

# The same optimizer twice. Steps are small, so that a rounding error does not grow from one to the next. Adam divides a
# gradient by its own size plus epsilon: with the default of 1e-8 the direction of a step along a gradient that is zero
# but for float32's rounding would be arbitrary.
RATE, MOMENTUM, EPSILON = 0.02, 0.9, 1e-3
OPTIMIZERS: dict[str, tuple[Any, Callable[[], naive.Optimizer]]] = {
    "sgd": (fastnn.SGD(RATE), lambda: naive.SGD(RATE)),
    "momentum": (fastnn.SGD(RATE, MOMENTUM), lambda: naive.SGD(RATE, MOMENTUM)),
    "nesterov": (fastnn.SGD(RATE, MOMENTUM, nesterov=True), lambda: naive.SGD(RATE, MOMENTUM, nesterov=True)),
    "adam": (fastnn.Adam(0.003, epsilon=EPSILON), lambda: naive.Adam(0.003, epsilon=EPSILON)),
}

# Every step rounds a weight once and its gradient a few dozen times, in another order than the reference. Over at most
# 600 small steps, with momentum that adds up ten of them, the differences stay below 1e-14 and 8e-6 of the largest
# number of an array; allowed is some thousand roundings in float64 and, because of relu's kink, fewer in float32.
TOLERANCE = {"float64": 1e-12, "float32": 5e-5}


# --- Problems ---


def random_network(
    sizes: list[int],
    dtype: str,
    activation: str = "tanh",
    output: str = "sigmoid",
    cost: str = "cross_entropy",
    seed: int = 0,
    scale: float | None = None,
) -> fastnn.Network:
    rng = np.random.default_rng(sum(sizes))
    weights = [rng.normal(size=(n_out, n_in)) / np.sqrt(n_in) for n_in, n_out in pairwise(sizes)]
    biases = [rng.normal(size=n_out) / 2 for n_out in sizes[1:]]
    start = weights, biases
    return fastnn.Network(sizes, activation, output, cost, initializer=start, dtype=dtype, seed=seed, scale=scale)


def mostly_zeros(net: fastnn.Network, n: int) -> Array:
    """A fifth of the inputs is not zero, but in one sample all are, and in another none."""
    X = samples(net, n)
    X[np.random.default_rng(n).random(X.shape) > 0.2] = 0
    X[n // 2] = 1
    X[n // 3] = 0
    return X


def bytes_mostly_zero(net: fastnn.Network, n: int) -> Array:
    return np.clip(np.abs(mostly_zeros(net, n)) * 100, 0, 255).astype(np.uint8)


def fraction(X: Array) -> Array:
    """What the reference sees."""
    return X / 255 if X.dtype == np.uint8 else X


def labels(net: fastnn.Network, n: int) -> Array:
    return np.random.default_rng(n + 2).integers(0, max(2, net.sizes[-1]), n)


def layers(net: fastnn.Network) -> list[Array]:
    return [*net.weights, *net.biases]


def assert_close(got: Any, wanted: Any, tolerance: float) -> None:
    """Within the tolerance, relative to the largest number."""
    assert np.shape(got) == np.shape(wanted)
    assert np.abs(np.asarray(got, float) - wanted).max() <= tolerance * np.abs(wanted).max()


def assert_same_bits(one: fastnn.Network, other: fastnn.Network) -> None:
    for a, b in zip(layers(one), layers(other), strict=True):
        np.testing.assert_array_equal(a, b)


def check_fit(
    net: fastnn.Network,
    name: str,
    X: Array,
    y: Array,
    batch_size: int,
    epochs: int = 2,
    sample_weight: Array | None = None,
    **penalties: float,
) -> fastnn.History:
    """Train in given order and compare weights, biases and running cost with the reference's."""
    ours, theirs = OPTIMIZERS[name]
    T = naive.one_hot(y, net.sizes[-1]) if y.ndim == 1 else y
    before = list(net.weights), list(net.biases), net.activations, net.cost
    order = np.arange(len(X))
    weights, biases, costs = naive.train(
        *before, theirs(), fraction(X), T, batch_size, [order] * epochs, sample_weight=sample_weight, **penalties
    )
    with warnings.catch_warnings():  # of random targets beyond the output's range: the arithmetic is what counts here
        warnings.simplefilter("ignore", fastnn.TrainingWarning)
        history = net.fit(
            X, y, epochs, batch_size, ours, shuffle=False, sample_weight=sample_weight, progress=False, **penalties
        )
    tolerance = TOLERANCE[net.dtype.name]
    for got, wanted, start in zip(layers(net), weights + biases, before[0] + before[1], strict=True):
        assert_close(got, wanted, tolerance)
        assert not np.array_equal(got, start)
    assert_close(history.train_cost, np.array(costs), tolerance)
    return history


# --- Against the reference ---


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(("cost", "output", "activation"), TRIPLES)
def test_functions_and_optimizers(activation: str, cost: str, output: str, name: str, dtype: str) -> None:
    net = random_network([17, 33, 3], dtype, activation, output, cost)
    w = sample_weights(net, 50)
    check_fit(net, name, samples(net, 50), target_matrix(net, 50), 16, 3, w, l1=1e-3, l2=1e-2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("batch_size", [1, 7, 31, 128, 129, 256, 257, 299, 300, 1000])
def test_batch_sizes(batch_size: int, name: str, dtype: str) -> None:
    """Above 256 a batch is taken in chunks of 128; the last one of an epoch is smaller."""
    net = random_network([3, 17, 2], dtype)
    check_fit(net, name, samples(net, 300), labels(net, 300), batch_size, l2=1e-2)


@pytest.mark.parametrize("n", [600, 728, 729, 770, 899])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_last_batch_beside_chunks(name: str, n: int) -> None:
    """Batches of 300 are taken in chunks; what remains of an epoch fits into one chunk, or just not."""
    net = random_network([3, 17, 2], "float64")
    check_fit(net, name, samples(net, n), target_matrix(net, n), 300, sample_weight=sample_weights(net, n), l1=1e-3)


def test_adam_with_its_defaults() -> None:
    """Epsilon of 1e-8 asks for gradients with an error far below it: float64."""
    net = random_network([17, 33, 3], "float64")
    X, T = samples(net, 300), target_matrix(net, 300)
    before = list(net.weights), list(net.biases), net.activations, net.cost
    weights, biases, costs = naive.train(*before, naive.Adam(), X, T, 10, [np.arange(300)] * 3)
    history = net.fit(X, T, 3, optimizer="adam", shuffle=False)
    for got, wanted in zip(layers(net), weights + biases, strict=True):
        assert_close(got, wanted, 1e-11)  # 1e-16 of rounding over 1e-8 is 1e-8 of a step of 1e-3
    assert_close(history.train_cost, np.array(costs), 1e-11)


def test_adam_with_an_epsilon_that_float32_rounds_to_zero() -> None:
    """Where a gradient has always been zero, as in padding, nothing may move: least of all by 0/0."""
    net = random_network([3, 5, 2], "float32", "relu")
    X, y = samples(net, 20), labels(net, 20)
    X[:, 0] = 0
    before = net.weights[0]
    net.fit(X, y, 2, optimizer=fastnn.Adam(epsilon=1e-60))
    np.testing.assert_array_equal(net.weights[0][:, 0], before[:, 0])
    assert (net.weights[0][:, 1:] != before[:, 1:]).any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("sizes", [[1, 1], [3, 70], [33, 3, 1], [17, 31, 33, 2], [3, 33, 1, 17, 31]], ids=str)
def test_shapes(sizes: list[int], name: str, dtype: str) -> None:
    for batch_size in (10, 280):
        net = random_network(sizes, dtype, "sigmoid", "identity", "quadratic")
        check_fit(net, name, samples(net, 300), target_matrix(net, 300), batch_size)


PENALTIES = [{"l1": 0.0, "l2": 0.1}, {"l1": 0.01, "l2": 0.0}, {"l1": 0.01, "l2": 0.1}]


@pytest.mark.filterwarnings("ignore:constant inputs")  # none at all
@pytest.mark.parametrize("penalties", PENALTIES, ids=str)
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("batch_size", [20, 280])
def test_penalties_are_for_weights_only(batch_size: int, name: str, penalties: dict[str, float]) -> None:
    """Targets that are the outputs, up to rounding: only the penalties move weights, and biases only by these."""
    net = random_network([17, 3], "float64", output="identity", cost="quadratic")
    check_fit(net, name, samples(net, 300), target_matrix(net, 300), batch_size, **penalties)
    net = random_network([17, 3], "float64", output="identity", cost="quadratic")
    before = net.biases[0]
    X = np.zeros((300, 17))
    ours, _ = OPTIMIZERS[name]
    net.fit(X, np.tile(before, (300, 1)), 1, batch_size, ours, **penalties)
    np.testing.assert_array_equal(net.biases[0], before)
    assert (np.abs(net.weights[0]) < np.abs(random_network([17, 3], "float64").weights[0])).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", [mostly_zeros, bytes_mostly_zero])
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("sizes", [[70, 17, 3], [72, 33], [80, 3, 1]], ids=str)
def test_inputs_that_are_mostly_zeros(sizes: list[int], name: str, make: Callable[..., Array], dtype: str) -> None:
    """From 64 inputs on a first layer skips zeros; one sample has none to skip."""
    scale = 255 if make is bytes_mostly_zero else None
    for batch_size in (10, 280):
        net = random_network(sizes, dtype, scale=scale)
        history = check_fit(net, name, make(net, 300), target_matrix(net, 300), batch_size, l2=1e-2)
        assert history.first_layer.startswith("sparse")
        net = random_network(sizes, dtype, scale=scale)
        w = sample_weights(net, 300)
        check_fit(net, name, make(net, 300), target_matrix(net, 300), batch_size, sample_weight=w, l1=1e-3)


@pytest.mark.parametrize("l2", [10.0, 49.0, 50.0, 51.0])
def test_strong_l2_on_inputs_that_are_mostly_zeros(l2: float) -> None:
    """Every step multiplies the weights by 1 - RATE * l2: 0.8, 0.02, 0 and -0.02."""
    net = random_network([70, 17, 3], "float64")
    check_fit(net, "sgd", mostly_zeros(net, 300), target_matrix(net, 300), 10, l2=l2)


def running_hits(net: fastnn.Network, X: Array, T: Array, batch_size: int) -> int:
    """Samples that are right just before their own batch's step of plain gradient descent."""
    weights, biases, hits = list(net.weights), list(net.biases), 0
    for start in range(0, len(X), batch_size):
        batch = np.arange(start, min(start + batch_size, len(X)))
        A = naive.forward(weights, biases, net.activations, X[batch])[1][-1]
        if T.shape[1] == 1:
            hits += ((A > 0.5) == (T[batch] > 0.5)).sum()
        else:
            hits += (A.argmax(axis=1) == T[batch].argmax(axis=1)).sum()
        weights, biases, _ = naive.train(
            weights, biases, net.activations, net.cost, naive.SGD(0.5), X, T, batch_size, [batch]
        )
    return int(hits)


@pytest.mark.parametrize("batch_size", [10, 299])
@pytest.mark.parametrize("n_out", [1, 3, 33])
@pytest.mark.parametrize(("cost", "output"), [("cross_entropy", "sigmoid"), ("log_likelihood", "softmax")])
def test_running_accuracy(cost: str, output: str, n_out: int, batch_size: int) -> None:
    net = random_network([17, 7, n_out], "float64", "tanh", output, cost)
    X = samples(net, 300)
    y = np.ones(300, int) if (cost, n_out) == ("log_likelihood", 1) else labels(net, 300)
    wanted = running_hits(net, X, naive.one_hot(y, n_out), batch_size)
    history = net.fit(X, y, 1, batch_size, fastnn.SGD(0.5), shuffle=False)
    assert history.train_accuracy == [wanted / 300]


def test_regression_has_no_accuracy() -> None:
    net = random_network([3, 1], "float32", output="identity", cost="quadratic")
    history = net.fit(samples(net, 20), target_matrix(net, 20), 2, validation_data=(samples(net, 5), np.zeros(5)))
    assert np.isnan(history.train_accuracy).all()
    assert np.isnan(history.val_accuracy).all()


@pytest.mark.parametrize("cost", ["cross_entropy", "quadratic"])
def test_several_answers_at_once_have_no_accuracy(cost: str) -> None:
    X = np.random.default_rng(0).random((40, 3))
    net = fastnn.Network([3, 5, 3], cost=cost)
    for targets in (X, (X > 0.5).astype(float), np.ones((40, 3))):
        assert np.isnan(net.fit(X, targets, epochs=1).train_accuracy).all()
        assert net.predict(X).shape == (40, 3)
        assert set(net.evaluate(X, targets)) == {"cost"}


def test_quantities_beyond_what_can_be_squared_are_no_cost() -> None:
    net = fastnn.Network([3, 2], output="identity", cost="quadratic")
    assert set(net.evaluate(np.zeros((2, 3)), np.full((2, 2), 1e18))) == {"cost"}
    with pytest.raises(ValueError, match=r"cost of finite data is inf.*targets as large as 3e\+38 .*: scale y"):
        net.evaluate(np.zeros((2, 3)), np.full((2, 2), 3e38))


def test_shares_of_classes_have_an_accuracy() -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(3), 40)
    net = fastnn.Network([3, 5, 3])
    net.fit(shares, shares, epochs=200, batch_size=4)
    assert net.evaluate(shares, shares)["accuracy"] > 0.9
    assert net.predict(shares).shape == (40,)


def test_a_quantity_that_cross_entropy_learns_has_no_accuracy() -> None:
    X = np.random.default_rng(0).random((40, 3))
    assert np.isnan(fastnn.Network([3, 5, 1]).fit(X, X[:, 0], epochs=1).train_accuracy).all()
    assert fastnn.Network([3, 5, 1]).fit(X, X[:, 0] > 0.5, epochs=1).train_accuracy[0] >= 0


def test_validation_is_measured_after_each_epoch() -> None:
    net = random_network([17, 7, 3], "float64")
    X, y = samples(net, 33), labels(net, 33)
    seen: list[dict[str, float]] = []
    history = net.fit(
        samples(net, 300),
        labels(net, 300),
        3,
        validation_data=(X, y),
        callbacks=[lambda net, history: seen.append(net.evaluate(X, y))],
    )
    assert [s["cost"] for s in seen] == history.val_cost
    assert [s["accuracy"] for s in seen] == history.val_accuracy


def test_every_sample_once_in_an_epoch_and_in_another_order_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    run = engine.Engine.run

    def spy(self: engine.Engine, data: Any, batches: Any, *rest: Any) -> Any:
        calls.append(batches)
        return run(self, data, batches, *rest)

    monkeypatch.setattr(engine.Engine, "run", spy)
    net = random_network([3, 2], "float32")
    net.fit(samples(net, 300), labels(net, 300), 4, 7)
    seen: dict[tuple[int, ...], list[int]] = {}
    for batches in calls:
        for i in range(batches.first, batches.last):
            epoch, batch = divmod(i, 43)
            seen.setdefault(tuple(batches.order[300 * epoch : 300 * (epoch + 1)]), []).append(batch)
    assert len(seen) == 4
    assert all(sorted(order) == list(range(300)) for order in seen)
    assert all(done == list(range(43)) for done in seen.values())


# --- The same seed, the same bits ---

INPUTS: dict[str, Callable[..., Array]] = {
    "dense": samples,
    "mostly zeros": mostly_zeros,
    "bytes mostly zero": bytes_mostly_zero,
}


def network_for(make: Callable[..., Array], **arguments: Any) -> fastnn.Network:
    return fastnn.Network([70, 17, 3], scale=255 if make is bytes_mostly_zero else None, **arguments)


def fit(net: fastnn.Network, name: str, make: Callable[..., Array], epochs: int, **options: Any) -> fastnn.History:
    return net.fit(make(net, 700), labels(net, 700), epochs, optimizer=OPTIMIZERS[name][0], l2=1e-3, **options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", INPUTS.values(), ids=INPUTS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_same_seed_gives_the_same_bits(name: str, make: Callable[..., Array], dtype: str) -> None:
    histories, nets = [], []
    for seed in (1, 1, 2):
        net = network_for(make, seed=seed, dtype=dtype)
        histories.append(fit(net, name, make, 4))
        nets.append(net)
    assert_same_bits(nets[0], nets[1])
    assert histories[0].train_cost == histories[1].train_cost
    assert histories[0].train_accuracy == histories[1].train_accuracy
    assert all((a != b).any() for a, b in zip(nets[0].weights, nets[2].weights, strict=True))


def test_the_seed_is_for_shuffles_too() -> None:
    first, second = (random_network([17, 3], "float64", seed=seed) for seed in (1, 2))
    assert_same_bits(first, second)
    for net in (first, second):
        net.fit(samples(net, 50), labels(net, 50), 1)
    assert (first.weights[0] != second.weights[0]).any()


def test_an_order_of_one_s_own() -> None:
    """Asked for once an epoch, and copied: here the same array is shuffled again and again."""
    rng, order = np.random.default_rng(0), np.arange(50)
    seen: list[Array] = []

    def shuffle(n: int) -> Array:
        rng.shuffle(order[:n])
        seen.append(order.copy())
        return order

    net = random_network([17, 3], "float64")
    X, T = samples(net, 50), naive.one_hot(labels(net, 50), 3)
    start = list(net.weights), list(net.biases)
    net.fit(X, T, 3, 7, fastnn.SGD(RATE), shuffle=shuffle)
    assert len(seen) == 3
    weights, biases, _ = naive.train(*start, net.activations, net.cost, naive.SGD(RATE), X, T, 7, seen)
    for got, wanted in zip(layers(net), weights + biases, strict=True):
        assert_close(got, wanted, TOLERANCE["float64"])


def test_no_seed_is_another_one_each_time() -> None:
    first, second = fastnn.Network([17, 3], seed=None), fastnn.Network([17, 3], seed=None)
    assert (first.weights[0] != second.weights[0]).any()


@pytest.mark.filterwarnings("ignore:labels look shuffled")  # they are random
@pytest.mark.parametrize("make", INPUTS.values(), ids=INPUTS)
@pytest.mark.parametrize("batch_size", [10, 300])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_five_epochs_and_five_more_are_ten(name: str, batch_size: int, make: Callable[..., Array]) -> None:
    """The optimizer's memory, its step count and the generator carry over."""
    once, twice = (network_for(make, seed=3) for _ in range(2))
    whole = fit(once, name, make, 10, batch_size=batch_size)
    parts = [fit(twice, name, make, 5, batch_size=batch_size) for _ in range(2)]
    assert_same_bits(once, twice)
    assert whole.train_cost == parts[0].train_cost + parts[1].train_cost


def fit_in_stretches(
    seconds: float, monkeypatch: pytest.MonkeyPatch, name: str, make: Callable[..., Array], dtype: str
) -> tuple[fastnn.Network, fastnn.History]:
    """Let a kernel call run as many batches as fit into so many seconds, going by the one before."""
    monkeypatch.setattr(pacing, "STRETCH_SECONDS", seconds)
    net = network_for(make, seed=3, dtype=dtype)
    return net, fit(net, name, make, 3)


STRETCHES = [1e9, pacing.STRETCH_SECONDS]  # against one batch in every call


@pytest.mark.parametrize("seconds", STRETCHES)
@pytest.mark.parametrize("make", INPUTS.values(), ids=INPUTS)
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_do_not_depend_on_the_clock(
    dtype: str, name: str, make: Callable[..., Array], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_by_one, _ = fit_in_stretches(0.0, monkeypatch, name, make, dtype)
    net, _ = fit_in_stretches(seconds, monkeypatch, name, make, dtype)
    assert_same_bits(net, one_by_one)


@pytest.mark.parametrize("seconds", STRETCHES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_history_does_not_depend_on_the_clock(dtype: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    _, one_by_one = fit_in_stretches(0.0, monkeypatch, "sgd", samples, dtype)
    _, history = fit_in_stretches(seconds, monkeypatch, "sgd", samples, dtype)
    assert history.train_cost == one_by_one.train_cost
    assert history.train_accuracy == one_by_one.train_accuracy


@pytest.mark.parametrize("batch_size", [10, 300])
def test_looking_does_not_change_training(batch_size: int) -> None:
    """Between epochs the same scratch serves predictions of other sizes."""
    alone, watched = (fastnn.Network([17, 7, 3], seed=3) for _ in range(2))
    X, y = samples(alone, 300), labels(alone, 300)

    def look(net: fastnn.Network, history: fastnn.History) -> None:
        net.forward(X[:5])
        net.evaluate(X[:200], y[:200])
        net.gradients(X[:1], y[:1])

    alone.fit(X, y, 3, batch_size)
    watched.fit(X, y, 3, batch_size, validation_data=(X[:9], y[:9]), callbacks=[look])
    assert_same_bits(alone, watched)


# --- Problems with a known answer ---

# By how fast they may go: on a parabola whose curvature is at most one this is 1.
SOLVERS: dict[str, Callable[[float], Any]] = {
    "sgd": lambda speed: fastnn.SGD(0.5 * speed),
    "momentum": lambda speed: fastnn.SGD(0.1 * speed, momentum=0.9),
    "nesterov": lambda speed: fastnn.SGD(0.1 * speed, momentum=0.9, nesterov=True),
    "adam": lambda speed: fastnn.Adam(0.02 * speed),
}
SLOWER_AND_SLOWER = [(4000, 1.0), (1000, 0.1), (1000, 0.01)]  # epochs and speed: Adam must slow down to come to rest


def least_squares(X: Array, Y: Array, l2: float) -> tuple[Array, Array]:
    """Weights (n_out, n_in) and biases that minimise 1/2 mean ||X w + b - y||^2 + l2/2 ||w||^2."""
    Xc, Yc = X - X.mean(axis=0), Y - Y.mean(axis=0)
    w = np.linalg.solve(Xc.T @ Xc / len(X) + l2 * np.eye(X.shape[1]), Xc.T @ Yc / len(X))
    return w.T, Y.mean(axis=0) - X.mean(axis=0) @ w


@pytest.mark.parametrize(("condition", "l2"), [(1, 0.1), (100, 0.0)])
@pytest.mark.parametrize("name", SOLVERS)
def test_linear_regression_reaches_its_closed_form(name: str, condition: float, l2: float) -> None:
    """A round parabola, and one that is a hundred times as steep one way as the other."""
    rng = np.random.default_rng(0)
    X = np.linalg.qr(rng.normal(size=(50, 3)))[0] * np.sqrt(50 * np.array([1, 0.5, 1 / condition]))
    Y = rng.normal(size=(50, 2))
    net = fastnn.Network([3, 2], output="identity", cost="quadratic", dtype="float64")
    for epochs, speed in SLOWER_AND_SLOWER:
        net.fit(X, Y, epochs, 50, SOLVERS[name](speed), l2=l2)
    weights, biases = least_squares(X, Y, l2)
    # Gradient descent multiplies the error in the flattest direction by 1 - 0.5/100 in every fast step: by 2e-9 in all.
    assert_close(net.weights[0], weights, 1e-6)
    assert_close(net.biases[0], biases, 1e-6)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_curved_valley(name: str) -> None:
    """Rosenbrock's kind: y = u v x has its minima along the hyperbola u v = 1; start where that is steep."""
    net = fastnn.Network(
        [1, 1, 1],
        activation="identity",
        output="identity",
        cost="quadratic",
        initializer=([[[4.0]], [[-0.5]]], [[0.0], [0.0]]),
        dtype="float64",
    )
    X = np.array([[-1.0], [1.0]])
    for epochs, speed in SLOWER_AND_SLOWER:
        net.fit(X, X, epochs, 2, SOLVERS[name](speed / 10))  # the curvature across the valley is 16
    assert net.evaluate(X, X)["cost"] < 1e-10
    np.testing.assert_allclose(net.forward(X), X, rtol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize(
    ("output", "cost", "n_out"),
    [("sigmoid", "cross_entropy", 1), ("sigmoid", "quadratic", 1), ("softmax", "log_likelihood", 2)],
)
def test_exclusive_or(output: str, cost: str, n_out: int, activation: str, dtype: str) -> None:
    X, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    net = fastnn.Network([2, 8, n_out], activation, output, cost, dtype=dtype, seed=1)
    net.fit(X, y, 1500, 4, fastnn.Adam(0.03))
    np.testing.assert_allclose(net.forward(X)[:, -1], y, atol=0.1)
    if cost != "quadratic":
        assert net.evaluate(X, y)["accuracy"] == 1.0
        np.testing.assert_array_equal(net.predict(X), y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
def test_regression_of_a_sine(activation: str, dtype: str) -> None:
    X = np.linspace(-3, 3, 200).reshape(-1, 1)
    Y = np.sin(2 * X)
    net = fastnn.Network([1, 32, 32, 1], activation, "identity", "quadratic", dtype=dtype, initializer="glorot")
    for rate, epochs in ((0.02, 300), (0.002, 50)):  # large steps to get there, small ones to come to rest
        net.fit(X, Y, epochs, 20, fastnn.Adam(rate))
    assert np.mean((net.predict(X) - Y) ** 2) < 0.01 * Y.var()  # 99 % explained


# --- Digits ---


def test_mnist() -> None:
    X, y, Xt, yt = fastnn.datasets.load_mnist()
    net = fastnn.Network([784, 30, 10])
    history = net.fit(X, y, 10)
    assert net.evaluate(Xt, yt)["accuracy"] >= 0.95
    assert (net.predict(Xt) == yt).mean() == net.evaluate(Xt, yt)["accuracy"]
    assert history.train_accuracy[-1] > history.train_accuracy[0] > 0.8
    assert {array.dtype.name for array in layers(net)} == {"float32"}


def test_mnist_by_bytes_relu_softmax_and_adam() -> None:
    X, y, Xt, yt = fastnn.datasets.load_mnist("uint8")
    net = fastnn.Network([784, 30, 10], "relu", "softmax", "log_likelihood", initializer="he", scale=255)
    net.fit(X, y, 3, 32, fastnn.Adam(), l2=1e-5, validation_data=(Xt, yt))
    assert net.evaluate(Xt, yt)["accuracy"] >= 0.95
    np.testing.assert_allclose(net.forward(Xt).sum(axis=1), 1, atol=1e-6)  # ten float32 shares


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_digits(name: str, dtype: str) -> None:
    X, y, Xt, yt = fastnn.datasets.load_digits(dtype)
    net = fastnn.Network([64, 30, 10], dtype=dtype)
    net.fit(X, y, 40, optimizer=SOLVERS[name](0.5))
    assert net.evaluate(Xt, yt)["accuracy"] > 0.9


# --- Any small network ---

SIZE = st.integers(1, 40)


@st.composite
def networks(draw: st.DrawFn) -> fastnn.Network:
    sizes = draw(st.lists(SIZE, min_size=2, max_size=5))
    hidden = draw(st.lists(st.sampled_from(HIDDEN), min_size=len(sizes) - 2, max_size=len(sizes) - 2))
    cost, output = draw(st.sampled_from(PAIRS))
    seed = draw(st.integers(0, 1000))
    return fastnn.Network(sizes, hidden, output, cost, initializer="glorot", dtype="float64", seed=seed)


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")  # any network, on random targets
@settings(max_examples=100, deadline=None)  # the first call loads or compiles a kernel
@given(net=networks(), n=SIZE, batch_size=SIZE, l1=st.floats(0, 0.1), l2=st.floats(0, 1))
def test_one_epoch_of_any_network(net: fastnn.Network, n: int, batch_size: int, l1: float, l2: float) -> None:
    # Glorot's weights at most double what goes through them. So with samples of length one the steepest curvature, of
    # four linear layers and the sum of squares, is below 2 * 4 * 4^3 = 512: such small steps cannot diverge.
    X, Y = samples(net, n), target_matrix(net, n)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    rate = 1 / 512
    weights, biases, costs = naive.train(
        net.weights, net.biases, net.activations, net.cost, naive.SGD(rate), X, Y, batch_size, [np.arange(n)], l1, l2
    )
    history = net.fit(X, Y, 1, batch_size, fastnn.SGD(rate), l1=l1, l2=l2, shuffle=False)
    for got, wanted in zip(layers(net), weights + biases, strict=True):
        # At most forty steps of numbers of order one, each rounded a few dozen times, in different orders.
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-11)
    np.testing.assert_allclose(history.train_cost, costs, rtol=1e-11, atol=1e-13)


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")  # there is nothing to learn
@pytest.mark.parametrize("share", [1.0, 0.2], ids=["dense", "mostly zeros"])
@pytest.mark.parametrize("optimizer", [fastnn.SGD(0.01, 0.5), fastnn.Adam(0.01, 0.5, 0.5)], ids=lambda o: o.kernel)
def test_no_memory_of_an_optimizer_decays_into_subnormal_numbers(optimizer: Any, share: float) -> None:
    """An input that is never seen again: its momentum would halve 600 times, where a float32 has room for 126."""
    rng = np.random.default_rng(0)
    X = (rng.random((600, 100)) * (rng.random((600, 100)) < share)).astype(np.float32)
    X[:, 3] = 0
    X[0, 3] = 1
    net = fastnn.Network([100, 5, 2])
    net.fit(X, rng.integers(0, 2, 600), epochs=1, batch_size=1, optimizer=optimizer, shuffle=False)
    state = np.abs(net._engine.memory.state)
    assert (state > 0).any()
    assert not ((state > 0) & (state < np.finfo(np.float32).tiny)).any()


# --- The order of the samples ---


@pytest.mark.parametrize("n", [1, 2, 3, 17, 1000])
def test_a_random_order_holds_every_sample_once(n: int) -> None:
    generator, same = np.random.default_rng(0), np.random.default_rng(0)
    drawn = [orders.RandomOrders(generator)(n) for _ in range(3)]
    assert all(np.array_equal(np.sort(order), np.arange(n)) for order in drawn)
    assert all(order.tolist() == naive.permutation(same.random(n)) for order in drawn)


def test_every_order_is_equally_likely() -> None:
    """24 orders of 4 samples, 1,000 of each expected: chi-squared of 23 degrees of freedom is below 60 but for 4e-5."""
    generator = np.random.default_rng(0)
    counts = Counter(tuple(orders.RandomOrders(generator)(4).tolist()) for _ in range(24_000))
    assert len(counts) == 24
    assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 60


def test_draws_at_either_end_of_their_range_stay_inside() -> None:
    for draw in (0.0, np.nextafter(1.0, 0.0)):
        order = np.empty(1000, np.int64)
        draws = np.full(1000, draw)
        permute.code(None)(order.ctypes.data, 0, 1000, draws.ctypes.data)
        np.testing.assert_array_equal(np.sort(order), np.arange(1000))
