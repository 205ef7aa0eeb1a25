"""The notebook's class: its names, its random numbers, its trajectory, its messages, and its test drive."""
# ruff: noqa: NPY002  (the notebook draws from numpy.random)

import re
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import naive
import numpy as np
import pytest
from numpy.typing import NDArray

import fastnn
from fastnn.compat.notebook import FeedForwardNeuralNetwork

Array = NDArray[Any]
silent = pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")  # the notebook's start is what is being tested


def mnist(n: int) -> tuple[Array, Array]:
    X, y, _, _ = fastnn.datasets.load_mnist("float64")
    return X[:n], np.eye(10)[y[:n]]


def drawn_like_the_notebook(sizes: list[int], n: int, epochs: int, seed: int) -> tuple[list[Array], ...]:
    """Weights, biases and shuffles by the notebook's calls, in their order."""
    np.random.seed(seed)
    weights, biases = [], []
    for n_in, n_out in pairwise(sizes):
        weights.append(np.random.rand(n_in, n_out))
        biases.append(np.random.rand(n_out))
    return weights, biases, [np.random.permutation(n) for _ in range(epochs)]


def relative(got: Array, wanted: Array) -> float:
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())


@silent
@pytest.mark.parametrize(
    ("scale", "n", "batch_size", "rate"),
    [
        (1.0, 2000, 10, 0.5),  # every hidden unit saturated
        (0.02, 2000, 10, 0.5),  # none, so that both layers move
        (0.02, 2000, 1, 0.5),
        (0.02, 2000, 64, 3.0),  # 31 batches, the first 16 of 65 samples
        (0.02, 100, 1000, 3.0),  # one batch
    ],
)
def test_the_same_numbers(scale: float, n: int, batch_size: int, rate: float) -> None:
    X, Y = mnist(n)
    X = X * scale
    weights, biases, orders = drawn_like_the_notebook([784, 30, 10], n, 3, seed=7)
    weights, biases, score = naive.notebook_train(weights, biases, X, Y, rate, min(batch_size, n), orders)
    after = np.random.rand()
    np.random.seed(7)
    ffnn = FeedForwardNeuralNetwork([30])
    ffnn.train(X, Y, learning_rate=rate, batch_size=batch_size, max_epoch=3)
    assert np.random.rand() == after  # nothing else was drawn
    for i in range(2):
        got = ffnn.network["weights"][i + 1], ffnn.network["biases"][i + 1]
        assert got[0].dtype == got[1].dtype == np.float64
        np.testing.assert_allclose(got[0], weights[i], rtol=1e-9)
        np.testing.assert_allclose(got[1], biases[i], rtol=1e-9)
    assert ffnn.score == pytest.approx(score, rel=1e-9)


def trained(**arguments: Any) -> FeedForwardNeuralNetwork:
    np.random.seed(0)
    ffnn = FeedForwardNeuralNetwork(perceptrons_per_hidden_layer=[5])
    ffnn.train(np.eye(4), np.eye(4), **{"learning_rate": 3, "batch_size": 1, **arguments})
    return ffnn


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_epoch": 3}, "Maximum epoch encountered.\n"),
        ({"max_epoch": 0}, "Maximum epoch encountered.\n"),  # one is made
        ({"max_time": 0, "max_epoch": 10**6}, "Maximum runtime encountered.\n"),
        ({"max_time": 0, "max_epoch": 1}, "Maximum runtime encountered.\n"),  # asked first
        ({"convergence": 1.0, "max_epoch": 10**6}, ""),
    ],
)
def test_what_ends_training(arguments: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    trained(**arguments)
    assert capsys.readouterr().out == message


def test_converged_means_the_norm_of_the_last_epoch_s_gradient() -> None:
    """The notebook's sum of ``norm(grad_a) ** 2``, taken before every step."""
    sizes = [4, 5, 4]
    ends = []
    for epochs in range(1, 40):
        weights, biases, orders = drawn_like_the_notebook(sizes, 4, epochs, seed=0)
        weights, biases, _ = naive.notebook_train(weights, biases, np.eye(4), np.eye(4), 3, 4, orders[:-1])
        outputs = naive.sigmoid(naive.sigmoid(np.eye(4) @ weights[0] + biases[0]) @ weights[1] + biases[1])
        ends.append(np.linalg.norm(2 * (outputs - np.eye(4))))
    wanted = next(i for i, norm in enumerate(ends) if norm <= 3.0) + 1
    assert 3 < wanted < 39
    weights, biases, orders = drawn_like_the_notebook(sizes, 4, wanted, seed=0)
    weights, _, _ = naive.notebook_train(weights, biases, np.eye(4), np.eye(4), 3, 4, orders)
    assert relative(trained(convergence=3.0, batch_size=4).network["weights"][1], weights[0]) < 1e-9


def test_the_pieces() -> None:
    """What the notebook does by hand: forward, gradient by gradient from the top."""
    ffnn = trained(max_epoch=5)
    X, Y = np.random.default_rng(0).normal(size=(6, 4)), np.eye(4)[[0, 1, 2, 3, 0, 1]]
    weights = [ffnn.network["weights"][layer].T for layer in (1, 2)]
    biases = [ffnn.network["biases"][layer] for layer in (1, 2)]
    Zs, As = naive.forward(weights, biases, ["sigmoid"] * 2, X)
    np.testing.assert_allclose(ffnn.forwardpropagation(X), As[-1], rtol=1e-14)
    np.testing.assert_allclose(ffnn.forwardpropagation(X[2]), As[-1][2], rtol=1e-14)
    assert ffnn.cost(As[-1], Y) == pytest.approx(naive.sum_squares(Zs[-1], As[-1], Y).sum())
    dW, db = naive.gradients(weights, biases, ["sigmoid"] * 2, "sum_squares", X, Y)
    A, Z = dict(enumerate(As)), dict(enumerate(Zs, start=1))
    grad_z = ffnn.derivative(Z[2]) * ffnn.grad(A[2], Y)
    for layer in (2, 1):
        grad_z, grad_w, grad_b = ffnn.backpropagate(grad_z, A, Z, layer)
        np.testing.assert_allclose(grad_w, dW[layer - 1].T, rtol=1e-12)
        np.testing.assert_allclose(grad_b, db[layer - 1], rtol=1e-12)


def test_nothing_overflows_and_weights_can_be_set() -> None:
    ffnn = FeedForwardNeuralNetwork()
    ffnn.initialize(np.zeros((1, 2)), np.zeros((1, 1)))
    ffnn.network["weights"][1][:] = 1e6
    ffnn.network["biases"][1] = np.zeros(1)
    np.testing.assert_array_equal(ffnn.forwardpropagation([[-1, -1], [0, 0], [1, 1]]), [[0], [0.5], [1]])
    np.testing.assert_array_equal(ffnn.derivative(np.array([-1e4, 0, 1e4])), [0, 0.25, 0])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"X": np.zeros(4)}, ValueError, r"X must have shape \(n, m\)"),
        ({"Y": np.zeros((3, 4))}, ValueError, r"Y must have shape \(4, m\)"),
        ({"X": np.full((4, 4), np.nan)}, ValueError, "X must be finite"),
        ({"learning_rate": 0}, ValueError, "learning_rate must be > 0"),
        ({"batch_size": 0}, ValueError, "batch_size must be >= 1"),
        ({"max_epoch": 1.5}, TypeError, "max_epoch must be a whole number"),
        ({"max_time": "long"}, TypeError, "max_time must be a number"),
        ({"initializer": "uniforn"}, ValueError, "did you mean 'uniform'"),
    ],
)
def test_bad_arguments_are_refused_and_nothing_is_drawn(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    ffnn = trained(max_epoch=1)
    network, state = ffnn.network, np.random.get_state()[2]
    with pytest.raises(error, match=message):
        ffnn.train(**{"X": np.eye(4), "Y": np.eye(4), **arguments})
    assert ffnn.network is network
    assert np.random.get_state()[2] == state


# --- The test drive ---


def write_csv(path: Any, labels: Array, pixels: Array) -> None:
    """A header and a line of label and pixels for every image."""
    digits = np.array([list(f"{value:3d},".encode()) for value in range(256)], np.uint8)
    with open(path, "wb") as file:
        file.write(",".join(["label", *(f"{i}x{j}" for i in range(1, 29) for j in range(1, 29))]).encode() + b"\n")
        for first in range(0, len(labels), 10_000):
            rows = slice(first, first + 10_000)
            text = digits[np.column_stack([labels[rows].astype(np.uint8), pixels[rows]])]
            text[:, -1, -1] = ord("\n")
            file.write(text[text != ord(" ")].tobytes())


def test_the_test_drive(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    pixels, labels, test_pixels, test_labels = fastnn.datasets.load_mnist("uint8")
    write_csv(tmp_path / "mnist_train.csv", labels, pixels)

    train = np.loadtxt(tmp_path / "mnist_train.csv", delimiter=",", skiprows=1)
    X = train[:, 1:]
    Y = np.zeros((len(train), 10))
    Y[np.arange(len(train)), train[:, 0].astype(int)] = 1.0
    assert X.shape == (60000, 784)
    assert X.max() == 255

    np.random.seed(1)
    FFNN = FeedForwardNeuralNetwork(perceptrons_per_hidden_layer=[30])
    with np.errstate(over="raise"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        FFNN.train(X, Y, learning_rate=3, convergence=0.01, batch_size=1, max_epoch=30, max_time=60)
    assert re.fullmatch("Maximum (epoch|runtime) encountered.\n", capsys.readouterr().out)  # the first, within 60 s
    assert (FFNN.forwardpropagation(test_pixels).argmax(axis=1) == test_labels).mean() < 0.15
    assert {warning.category for warning in caught} == {fastnn.TrainingWarning}
    assert {warning.filename for warning in caught} == {__file__}
    told = [str(warning.message) for warning in caught]
    assert any(
        re.match("saturated units in layer 1: 100%.* raw inputs with an all-positive start", text) for text in told
    )
    assert any(re.match("learning rate too high: learning rate 3 with batches of 1 is too much", text) for text in told)

    call = told[-1].partition("Call instead: ")[2]
    assert call.startswith("FFNN.train(X / 255, Y, learning_rate=0.3, ")
    exec(call, {"FFNN": FFNN, "X": X, "Y": Y})  # without a warning: they are errors here
    assert (FFNN.forwardpropagation(test_pixels / 255).argmax(axis=1) == test_labels).mean() > 0.94


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: FeedForwardNeuralNetwork(5), TypeError, "perceptrons_per_hidden_layer must be a list such as"),
        (lambda: FeedForwardNeuralNetwork([0]), ValueError, "perceptrons_per_hidden_layer.0. must be >= 1, got 0"),
        (lambda: FeedForwardNeuralNetwork([5]).forwardpropagation(np.ones((2, 3))), ValueError, "call train"),
        (
            lambda: FeedForwardNeuralNetwork([5]).initialize(np.ones(3), np.ones((3, 1))),
            ValueError,
            "X must have shape",
        ),
        (
            lambda: FeedForwardNeuralNetwork([5]).initialize(np.ones((3, 1)), np.ones(3)),
            ValueError,
            "Y must have shape",
        ),
    ],
)
def test_what_cannot_be_is_refused(use: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        use()
