"""Every activation, cost and optimizer in the kernels, against plain transcriptions that do not know the formulas."""

import math
import re
from collections.abc import Callable
from typing import Any

import naive
import numpy as np
import pytest
from numpy.typing import NDArray
from problems import (
    TOLERANCE,
    assert_close,
    assert_gradients_close,
    check_against_naive,
    naive_network,
    random_network,
    sample_weights,
    samples,
)
from scipy import sparse

import fastnn
from fastnn.formulas import activations, costs, optimizers
from fastnn.kernels import host

Array = NDArray[Any]

DTYPES = ["float32", "float64"]
N_IN, N_OUT = 70, 3
HIDDEN = [name for name in [*naive.ACTIVATIONS, *naive.FURTHER_ACTIVATIONS] if name != "softmax"]
PAIRS = [
    *((cost, "identity") for cost in naive.FURTHER_COSTS_OF_A),
    *(("quadratic", output) for output in HIDDEN if output != "identity"),
    # The other costs of an output, each with an activation whose slope is one of a and one whose slope is of z.
    *((cost, output) for cost in ("absolute", "huber", "log_cosh", "pinball") for output in ("softplus", "gelu")),
    *naive.FURTHER_COSTS_OF_Z,
    ("cross_entropy", "sigmoid"),
    *((cost, "softmax") for cost in ("log_likelihood", *naive.FURTHER_COSTS_OF_SOFTMAX)),
]


def targets(cost: str, n: int, n_out: int, dtype: Any) -> Array:
    """Targets that the cost allows."""
    Y = np.random.default_rng(n + 1).random((n, n_out))
    kind = costs.resolve(cost).targets
    if kind == "distributions":
        Y /= Y.sum(axis=1, keepdims=True)
    elif kind == "any":
        Y = 2 * Y - 0.5
    return Y.astype(dtype)


def no_zeros(net: fastnn.Network, n: int) -> tuple[Any, Array]:
    X = samples(net, n)
    return X, X


def some_zeros(net: fastnn.Network, n: int) -> tuple[Any, Array]:
    X = samples(net, n)
    X[np.random.default_rng(n).random(X.shape) > 0.2] = 0
    return sparse.csr_matrix(X), X


def pixels(net: fastnn.Network, n: int) -> tuple[Any, Array]:
    X = np.random.default_rng(n).integers(0, 256, (n, net.sizes[0]), dtype=np.uint8)
    return X, (X / 255).astype(net.dtype)


# What a network is given, and what the reference is.
INPUTS: dict[str, Callable[[fastnn.Network, int], tuple[Any, Array]]] = {
    "dense": no_zeros,
    "sparse": some_zeros,
    "bytes": pixels,
}


def test_every_row_has_a_transcription() -> None:
    names = {re.split(r"\(", name)[0] for name in (*naive.ACTIVATIONS, *naive.FURTHER_ACTIVATIONS)}
    assert names == set(activations.ROWS)
    for row in costs.ROWS.values():
        transcribed = {output for cost, output in PAIRS if cost.split("(")[0] == row.name}
        assert transcribed & set(row.outputs)
        for output in row.outputs:  # one formula of a, joined to any output's, or one for each output
            assert row.name in naive.FURTHER_COSTS_OF_A or output in transcribed


def check_row(net: fastnn.Network, n: int, kind: str) -> None:
    """Forward, cost, gradients, and one epoch of plain gradient descent."""
    X, reference = INPUTS[kind](net, n)
    Y, w = targets(net.cost, n, net.sizes[-1], net.dtype), sample_weights(net, n)
    dtype = net.dtype.name
    assert_close(net.forward(X), naive.forward(*naive_network(net), reference)[1][-1], dtype)
    wanted = naive.cost(*naive_network(net), net.cost, reference, Y, w)
    assert_close(net.evaluate(X, Y, w)["cost"], wanted, dtype)
    gradients = naive.gradients(*naive_network(net), net.cost, reference, Y, w)
    assert_gradients_close(net.gradients(X, Y, w), gradients, dtype)
    before = naive_network(net)
    weights, biases, running = naive.train(
        *before, net.cost, naive.SGD(0.01), reference, Y, 7, [np.arange(n)], l2=1e-2, sample_weight=w
    )
    history = net.fit(X, Y, 1, 7, fastnn.SGD(0.01), 1e-2, shuffle=False, sample_weight=w, progress=False)
    for got, expected in zip([*net.weights, *net.biases], weights + biases, strict=True):
        assert_close(got, expected, dtype)
    assert_close(history.train_cost[0], running[0], dtype)


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")  # random networks on random targets
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("activation", HIDDEN)
def test_hidden_activations(activation: str, kind: str, dtype: str) -> None:
    scale = 255 if kind == "bytes" else None
    net = random_network([N_IN, 17, 9, N_OUT], dtype, activation, "identity", "quadratic", scale)
    check_row(net, 33, kind)


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize(("cost", "output"), PAIRS)
def test_costs_and_outputs(cost: str, output: str, kind: str, dtype: str) -> None:
    scale = 255 if kind == "bytes" else None
    check_row(random_network([N_IN, 9, N_OUT], dtype, "tanh", output, cost, scale), 33, kind)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 17, 128, 300])
@pytest.mark.parametrize(("cost", "output"), PAIRS)
def test_numbers_of_samples(cost: str, output: str, n: int, dtype: str) -> None:
    """One sample goes another way than several, a register's lanes another than less, chunks another than rows."""
    net = random_network([5, N_OUT], dtype, output=output, cost=cost)
    check_against_naive(net, samples(net, n), targets(cost, n, N_OUT, net.dtype), sample_weights(net, n))


@pytest.mark.parametrize("n_out", [1, 2, 16, 33])
@pytest.mark.parametrize(("cost", "output"), [pair for pair in PAIRS if not pair[0].startswith("pinball")])
def test_numbers_of_outputs(cost: str, output: str, n_out: int) -> None:
    if (cost, n_out) == ("focal(gamma=0.5)", 1):
        pytest.skip("its slope is infinite where the only class has all the probability")
    net = random_network([5, n_out], "float64", output=output, cost=cost)
    for n in (1, 9):
        check_against_naive(net, samples(net, n), targets(cost, n, n_out, net.dtype))


# --- Against central differences ---


def check_slopes(net: fastnn.Network, cost: str) -> None:
    """Along random directions: (C(w + h d) - C(w - h d)) / 2h is the gradient times d."""
    X, Y, h = samples(net, 21), targets(cost, 21, net.sizes[-1], net.dtype), 1e-5
    rng = np.random.default_rng(0)
    before = [*net.weights, *net.biases]
    dW, db = net.gradients(X, Y)
    for _ in range(3):
        direction = [rng.normal(size=layer.shape) for layer in before]
        ends = []
        for side in (h, -h):
            moved = [layer + side * d for layer, d in zip(before, direction, strict=True)]
            net.weights, net.biases = moved[: len(dW)], moved[len(dW) :]
            ends.append(net.evaluate(X, Y)["cost"])
        slope = sum(float((g * d).sum()) for g, d in zip([*dW, *db], direction, strict=True))
        # The differences' own error is of the order of h^2, and 1e-16 of rounding over h.
        assert (ends[0] - ends[1]) / (2 * h) == pytest.approx(slope, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("activation", HIDDEN)
def test_slopes_of_hidden_activations(activation: str) -> None:
    check_slopes(random_network([5, 7, 4, N_OUT], "float64", activation, "identity", "quadratic"), "quadratic")


@pytest.mark.parametrize(("cost", "output"), PAIRS)
def test_slopes_of_costs_and_outputs(cost: str, output: str) -> None:
    check_slopes(random_network([5, 7, N_OUT], "float64", "tanh", output, cost), cost)


# --- Optimizers ---

PLAIN: list[tuple[Any, Callable[..., Any]]] = [
    (optimizers.SGD(0.01), naive.plain_sgd),
    (optimizers.SGD(0.01, momentum=0.9), naive.plain_sgd),
    (optimizers.SGD(0.01, momentum=0.9, nesterov=True), naive.plain_sgd),
    # Epsilons keep a gradient that is nothing but rounding from having a direction.
    (optimizers.Adam(0.01, epsilon=1e-3), naive.plain_adam),
    (optimizers.AdamW(0.01, epsilon=1e-3, weight_decay=0.3), naive.plain_adamw),
    (optimizers.Nadam(0.01, epsilon=1e-3, momentum_decay=0.1), naive.plain_nadam),
    (optimizers.RMSprop(epsilon=1e-3), naive.plain_rmsprop),
    (optimizers.RMSprop(epsilon=1e-3, momentum=0.5), naive.plain_rmsprop),
    (optimizers.RMSprop(epsilon=1e-2, centered=True), naive.plain_rmsprop),
    (optimizers.RMSprop(epsilon=1e-2, momentum=0.5, centered=True), naive.plain_rmsprop),
    (optimizers.Adagrad(0.1, rate_decay=0.1, initial_accumulator=0.01), naive.plain_adagrad),
    (optimizers.Lion(0.001, weight_decay=0.5), naive.plain_lion),
    (optimizers.Rprop(0.01, decrease=0.3, increase=2, smallest=1e-3, largest=0.05), naive.plain_rprop),
]
STEP_BY_SIGN = ("lion", "rprop")  # where rounding turns the sign of a gradient near zero, a whole step is another
# Samples for some batches of a size; the last batch is smaller.
COUNTS = {1: 6, 3: 17, 17: 60, 300: 650}


def test_every_optimizer_is_held_against_a_transcription() -> None:
    assert {optimizer.kernel for optimizer, _ in PLAIN} == set(optimizers.RULES)


def check_steps(
    optimizer: Any, step: Callable[..., Any], batch_size: int, kind: str, dtype: str, **penalties: float
) -> None:
    net = random_network([N_IN, 9, N_OUT], dtype, scale=255 if kind == "bytes" else None)
    n = batch_size if optimizer.full_batch else COUNTS[batch_size]
    X, reference = INPUTS[kind](net, n)
    Y, epochs = targets(net.cost, n, N_OUT, net.dtype), 3
    plain = naive.Plain(optimizer, step, weights=2)
    weights, biases, running = naive.train(
        *naive_network(net), net.cost, plain, reference, Y, batch_size, [np.arange(n)] * epochs, **penalties
    )
    history = net.fit(X, Y, epochs, batch_size, optimizer, shuffle=False, progress=False, **penalties)
    assert history.first_layer.startswith("sparse" if kind == "sparse" else "dense")
    tolerance = 5 * TOLERANCE[dtype]  # a step's rounding is seen by the ones that follow
    for got, expected in zip([*net.weights, *net.biases], weights + biases, strict=True):
        assert_close(got, expected, dtype, tolerance)
    assert_close(history.train_cost, np.array(running), dtype, tolerance)


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")
@pytest.mark.parametrize("penalties", [{}, {"l1": 1e-3, "l2": 1e-2}], ids=["plain", "l1 and l2"])
@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("batch_size", COUNTS)
@pytest.mark.parametrize(("optimizer", "step"), PLAIN, ids=lambda x: getattr(x, "kernel", ""))
def test_optimizers(
    optimizer: Any, step: Callable[..., Any], batch_size: int, kind: str, penalties: dict[str, float]
) -> None:
    check_steps(optimizer, step, batch_size, kind, "float64", **penalties)


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")
@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize(
    ("optimizer", "step"),
    [pair for pair in PLAIN if pair[0].kernel not in STEP_BY_SIGN],
    ids=lambda x: getattr(x, "kernel", ""),
)
def test_optimizers_in_float32(optimizer: Any, step: Callable[..., Any], kind: str) -> None:
    check_steps(optimizer, step, 17, kind, "float32", l2=1e-2)


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")
@pytest.mark.parametrize("batch_size", [3, 300])
@pytest.mark.parametrize("make", [optimizers.AdamW, optimizers.Lion])
def test_biases_do_not_decay(make: Any, batch_size: int) -> None:
    """Where no sample says anything, weights shrink by what the equations say, and biases stay."""
    net = random_network([N_IN, N_OUT], "float64", output="identity", cost="quadratic")
    W, b = net.weights[0], net.biases[0]
    net.fit(np.zeros((300, N_IN)), np.tile(b, (300, 1)), 1, batch_size, make(0.01, weight_decay=0.1), shuffle=False)
    np.testing.assert_array_equal(net.biases[0], b)
    np.testing.assert_allclose(net.weights[0], W * (1 - 0.01 * 0.1) ** (300 // batch_size), rtol=1e-13)


# --- Numbers ---


def ulps(got: Array, wanted: Array) -> float:
    return float((np.abs(got - wanted) / np.spacing(np.abs(wanted).astype(got.dtype))).max())


@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_near_one(dtype: str) -> None:
    """Right to one ulp where its values come near 1, and to two around |z| = 1, where its formula changes."""
    if dtype == "float64" and np.finfo(np.longdouble).nmant < 60:
        pytest.skip("nothing more precise is at hand to compare with")
    precise = np.float64 if dtype == "float32" else np.longdouble
    around = np.concatenate([np.linspace(0.9, 1.1, 20_001), 1 + np.arange(-50, 51) * np.finfo(dtype).eps])
    near_one = np.linspace(1.1, 25, 20_001)
    for z, most in ((around.astype(dtype), 2), (near_one.astype(dtype), 1)):
        for signed in (z, -z):
            tanh = fastnn.functions.tanh(signed)
            assert ulps(tanh, np.tanh(signed.astype(precise))) <= most
            assert (np.abs(tanh) <= 1).all()


def test_tanh_in_and_between_its_pieces() -> None:
    """Measured over 2 * 10^7 numbers: 1.03 ulp by pieces, of sixteen lanes, 2.49 by the exponential."""
    most = 1.1 if host.lanes_of(4) == 16 else 3.0
    edges = np.ldexp(1.0, np.arange(-5, 5))[:, None] * (1 + np.arange(4) / 4)
    edges = edges.astype("float32").reshape(-1)
    beside = [np.nextafter(edges, np.float32(0)), np.nextafter(edges, np.float32(99))]
    within = np.exp2(np.linspace(-30, 4.5, 400_001)).astype("float32")
    z = np.concatenate([edges, *beside, within, np.float32([10, 15.99, 17, 1e10, 3e38])])
    tanh = fastnn.functions.tanh(z)
    assert ulps(tanh, np.tanh(z.astype("float64"))) <= most
    np.testing.assert_array_equal(fastnn.functions.tanh(-z), -tanh)
    assert (tanh <= 1).all()
    assert np.signbit(fastnn.functions.tanh(np.float32([-0.0])))[0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_gelu_sees_an_exact_error_function(dtype: str) -> None:
    """Its error is that of 1 + erf beside 1, times z: a few roundings of z."""
    net = fastnn.Network([1, 1], output="gelu", cost="quadratic", initializer=([[[1.0]]], [[0.0]]), dtype=dtype)
    z = np.linspace(-9, 9, 20_001).astype(dtype)
    wanted = [float(x) / 2 * math.erfc(-float(x) / math.sqrt(2)) for x in z]
    assert (np.abs(net.forward(z[:, None])[:, 0] - wanted) <= 4 * np.finfo(dtype).eps * np.abs(z)).all()


@pytest.mark.filterwarnings("ignore:constant inputs")
@pytest.mark.parametrize("batch_size", [1, 10])
def test_weak_l2_on_a_sparse_first_layer_is_not_lost_to_rounding(batch_size: int) -> None:
    """1 - 0.5 * 3e-8 is 1 in float32, and all the same 20,000 steps shrink a weight by 3e-4 of itself."""
    net = random_network([N_IN, N_OUT], "float32", output="identity", cost="quadratic")
    W, b = net.weights[0], net.biases[0]
    n, l2, rate = 1000 * batch_size, 3e-8, 0.5
    history = net.fit(
        sparse.csr_matrix((n, N_IN), dtype=np.float32), np.tile(b, (n, 1)), 20, batch_size, fastnn.SGD(rate), l2
    )
    assert history.first_layer.startswith("sparse")
    shrunk = 1 - net.weights[0].astype(float) / W
    # Each of 20 epochs rounds a weight once: 20 * 6e-8 at most, of 3e-4.
    np.testing.assert_allclose(shrunk, 20_000 * rate * l2, rtol=0.01)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cost", ["hinge", "cross_entropy"])
def test_accuracy_of_a_single_output_is_that_of_its_answers(cost: str, dtype: str) -> None:
    """Margins are cut at 0, probabilities at one half."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 3)), rng.integers(0, 2, 200)
    net = fastnn.Network([3, 1], output="identity" if cost == "hinge" else "sigmoid", cost=cost, dtype=dtype)
    net.fit(X, y, epochs=1, optimizer=fastnn.SGD(0.01))
    for n in (1, 200):
        assert net.evaluate(X[:n], y[:n])["accuracy"] == pytest.approx((net.predict(X[:n]) == y[:n]).mean())
