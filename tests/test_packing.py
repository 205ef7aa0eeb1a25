"""Samples that are mostly zero are packed for many epochs: other memory, the same bits."""

import numpy as np
import pytest
from problems import PACKED_DTYPES
from states import state

import fastnn
from fastnn import SGD, Adam, Network, engine, training
from fastnn.kernels.buffers import CACHE_LINE

pytestmark = [
    pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning"),
    pytest.mark.skipif(not PACKED_DTYPES, reason="this processor, or width, has no way to do it"),
]


def samples(n_in, dtype="float32", n=41, share=0.2):
    """Mostly zeros: some negative, some samples without anything, and one with everything."""
    rng = np.random.default_rng(n_in)
    X = (rng.normal(size=(n, n_in)) * (rng.random((n, n_in)) < share)).astype(dtype)
    X[3], X[7] = 0, rng.normal(size=n_in)
    X[5, ::2] *= -0.0
    return X, rng.integers(0, 3, n)


@pytest.fixture
def fitted(monkeypatch):
    """Trains a network, packed or not; gives its state and its course."""

    def fit(packed, X, y, threads=1, **arguments):
        monkeypatch.setattr(engine, "_FAR_BYTES", 0 if packed else 1 << 60)
        network = Network([X.shape[1], 9, 3], dtype=X.dtype, seed=1)
        given = {"epochs": 4, "batch_size": 8, "optimizer": SGD(0.3), "threads": threads, **arguments}
        history = network.fit(X, y, **given)
        assert history.first_layer.endswith(", packed") == packed
        return state(network), history.train_cost

    return fit


@pytest.mark.parametrize("n_in", [64, 65, 79, 80, 97, 784, 1800])
@pytest.mark.parametrize("dtype", PACKED_DTYPES)
@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_bits(fitted, n_in, dtype, threads):
    X, y = samples(n_in, dtype)
    assert fitted(True, X, y, threads) == fitted(False, X, y)


@pytest.mark.parametrize("n_in", [256, 257, 512, 513, 1024, 1800])
@pytest.mark.parametrize("dtype", PACKED_DTYPES)
@pytest.mark.parametrize("batch_size", [1, 2])
def test_more_inputs_in_a_block_than_are_looked_through_together(fitted, n_in, dtype, batch_size):
    X, y = samples(n_in, dtype)
    X[11, :-1], X[12, 1:] = 0, 0
    X[11, -1], X[12, 0] = 1, 2
    assert fitted(True, X, y, batch_size=batch_size) == fitted(False, X, y, batch_size=batch_size)


@pytest.mark.parametrize(
    "arguments",
    [
        {"batch_size": 1},
        {"batch_size": 41},
        {"batch_size": 500},
        {"optimizer": Adam(), "l2": 1e-3},
        {"dropout": [0.3, 0.0]},
        {"l2": 0.1, "sample_weight": np.linspace(0.5, 2, 41)},
        {"clip_norm": 0.1},
        {"shuffle": False},
        {"batch_size": 8, "drop_last": True, "schedule": "cosine"},
    ],
)
def test_whatever_else_is_wanted(fitted, arguments):
    X, y = samples(131)
    assert fitted(True, X, y, **arguments) == fitted(False, X, y, **arguments)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_large_batch_in_chunks(fitted, threads):
    X, y = samples(131, n=600)
    assert fitted(True, X, y, threads, batch_size=600) == fitted(False, X, y, batch_size=600)


def test_memory_is_what_is_not_zero(monkeypatch):
    found = []
    packed = engine.Engine.packed
    monkeypatch.setattr(engine, "_FAR_BYTES", 0)
    monkeypatch.setattr(engine.Engine, "packed", lambda *given: found.append(packed(*given)) or found[-1])
    X, y = samples(784)
    Network([784, 3], seed=0).fit(X, y, epochs=4)
    (data,) = found
    words = 784 // 32 + 1  # of 32 bits
    assert data.features.size == np.count_nonzero(X) + len(X) * words + CACHE_LINE // 4
    for x, first, end in zip(X, data.firsts, data.firsts[1:], strict=False):
        bits = np.unpackbits(data.features[first : first + words].view(np.uint8), bitorder="little")
        np.testing.assert_array_equal(np.flatnonzero(bits), np.flatnonzero(x))
        np.testing.assert_array_equal(data.features[first + words : end], x[x != 0])
    assert data.features.base is None  # no view of all that might have been


def test_most_samples_of_the_data(fitted):
    """Those held out are packed with the others, if they are fewer."""
    X, y = samples(131)
    assert fitted(True, X, y, validation_split=0.2) == fitted(False, X, y, validation_split=0.2)


@pytest.mark.parametrize("case", ["few epochs", "near", "bytes", "dense", "several networks", "few samples", "tiles"])
def test_nobody_packs_in_vain(monkeypatch, case):
    monkeypatch.setattr(engine, "_FAR_BYTES", 1 << 60 if case == "near" else 0)
    monkeypatch.setattr(engine.Engine, "packed", lambda *given: pytest.fail("packed"))
    X, y = samples(70, share=0.9 if case == "dense" else 0.2)
    if case == "bytes":
        X = (X != 0).astype(np.uint8)
    network = Network([70, 3], seed=0)
    if case == "tiles":
        X, y, *_ = fastnn.datasets.load_mnist()
        history = Network([784, 128, 10], seed=0).fit(X[:500], y[:500], epochs=9, batch_size=32, optimizer=Adam())
        assert "neighbours" in history.first_layer
    elif case == "several networks":
        fastnn.fit_many([network, Network([70, 3], seed=1)], X, y, epochs=5)
    else:
        split = 0.6 if case == "few samples" else None
        network.fit(X, y, epochs=3 if case == "few epochs" else 9, validation_split=split)


def test_the_clock_runs(monkeypatch):
    """Packing is a part of the training: of its time, and of what max_time and Ctrl-C can end."""
    monkeypatch.setattr(engine, "_FAR_BYTES", 0)
    monkeypatch.setattr(engine, "_PACKED_PER_CALL", 1)
    looks = []
    look = training.Training._check_clock
    monkeypatch.setattr(training.Training, "_check_clock", lambda self: looks.append(1) or look(self))
    X, y = samples(70)
    Network([70, 3], seed=0).fit(X, y, epochs=4)
    assert len(looks) > len(X)
