"""Batches of one sample in small networks: one stage for the whole step, with the bits of the general way."""

import numpy as np
import pytest

from fastnn import SGD, Adam, DivergenceError, Network, layout

CLASSES = {"output": "softmax", "cost": "log_likelihood"}
PLAIN = {"output": "sigmoid", "cost": "cross_entropy"}
NUMBERS = {"output": "identity", "cost": "quadratic"}
QUANTILES = {"output": "identity", "cost": "pinball(quantiles=[0.1, 0.5, 0.9])"}


def trained(sizes, dtype="float32", activation="tanh", threads=1, data="labels", formulas=PLAIN, **arguments):
    """Weights, biases and history after some epochs of batches of one, and whether the short way was taken."""
    n, rng = 37, np.random.default_rng(1)
    X = rng.normal(size=(n, sizes[0])).astype(dtype)
    y = rng.normal(size=(n, sizes[-1])).astype(dtype) if data == "numbers" else rng.integers(0, max(2, sizes[-1]), n)
    scale = None
    if data == "bytes":
        X, scale = rng.integers(0, 256, X.shape).astype(np.uint8), 255
    network = Network(sizes, activation, dtype=dtype, seed=0, scale=scale, **formulas)
    arguments = {"optimizer": SGD(0.05), "epochs": 3, "batch_size": 1} | arguments
    history = network.fit(X, y, threads=threads, validation_data=(X, y), **arguments)
    arrays = [array.tolist() for array in (*network.weights, *network.biases)]
    found = arrays, history.train_cost, repr(history.train_accuracy)  # which is NaN of quantities
    return found, network._engine.program.has(["one_sample"])


@pytest.fixture
def both(monkeypatch):
    def both(*given, **named):
        """What the short way gives, which must be taken, and the general one."""
        short, taken = trained(*given, **named)
        assert taken
        monkeypatch.setattr(layout, "_FEW_UNITS", 0)
        general, taken = trained(*given, **named)
        assert not taken
        return short, general

    return both


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "sizes",
    [[1, 1], [3, 1], [17, 31], [3, 10, 1], [1, 33, 2], [31, 17, 3], [5, 1, 1], [48, 16, 48, 20], [7, 8, 16, 9, 4]],
)
def test_the_bits_of_the_general_way(both, sizes, dtype):
    short, general = both(sizes, dtype)
    assert short == general


@pytest.mark.parametrize(
    "case",
    [
        {"optimizer": Adam(0.01)},
        {"optimizer": SGD(0.05, momentum=0.9, nesterov=True)},
        {"optimizer": Adam(0.01), "l2": 1e-2, "l1": 1e-3},
        {"l2": 0.1},
        {"clip_value": 0.01},
        {"max_norm": 0.5},
        {"sample_weight": np.linspace(0, 2, 37)},
        {"schedule": "cosine"},
        {"shuffle": False},
        {"data": "bytes"},
        {"data": "numbers", "formulas": NUMBERS},
        {"data": "numbers", "formulas": QUANTILES},
        {"formulas": CLASSES},
        {"formulas": CLASSES, "activation": "mish"},
        {"activation": "identity"},
        {"activation": "relu", "optimizer": "lion"},
    ],
)
def test_whatever_else_is_wanted(both, case):
    short, general = both([20, 18, 12, 3], **case)
    assert short == general


def test_threads_do_not_show():
    assert trained([6, 20, 3], threads=2)[0] == trained([6, 20, 3])[0]


def test_a_cost_that_is_not_finite_changes_nothing():
    network = Network([2, 4, 1], "identity", "identity", "quadratic", seed=0)
    X, y = np.ones((5, 2), "float32"), np.ones(5, "float32")
    y[3] = 1e30  # whose square is none
    before = [array.copy() for array in network.weights]
    with pytest.raises(DivergenceError, match="became infinite"):
        network.fit(X[3:4], y[3:4], epochs=1, batch_size=1, optimizer=SGD(0.1))
    assert all((a == b).all() for a, b in zip(network.weights, before, strict=True))


@pytest.mark.parametrize(
    ("sizes", "arguments"),
    [
        ([49, 4, 2], {}),
        ([4, 64, 2], {}),
        ([4, 8, 2], {"batch_size": 2}),
        ([4, 8, 2], {"clip_norm": 0.1}),
    ],
)
def test_others_do_not_compile_it(sizes, arguments):
    assert not trained(sizes, **arguments)[1]


def test_dropout_goes_the_general_way(monkeypatch):
    dropped = trained([6, 20, 3], dropout=[0.0, 0.5])[0]
    monkeypatch.setattr(layout, "_FEW_UNITS", 0)
    assert trained([6, 20, 3], dropout=[0.0, 0.5])[0] == dropped
