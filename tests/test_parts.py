"""A batch that takes long is taken in several kernel calls: the same bits, and it can be broken off in between."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import states

import fastnn
from fastnn import engine, layout
from fastnn.diagnostics import TrainingWarning

pytestmark = pytest.mark.filterwarnings(f"ignore::{TrainingWarning.__module__}.{TrainingWarning.__name__}")

N = 700
RNG = np.random.default_rng(0)
DENSE = RNG.random((N, 100)).astype(np.float32)
SPARSE = DENSE * (RNG.random(DENSE.shape) < 0.1)
INPUTS = {"dense": DENSE, "sparse": SPARSE}
Y = RNG.integers(0, 10, N)
WAYS = {
    "sgd": {"optimizer": "sgd", "l2": 0.1},
    "adam": {"optimizer": "adam", "dropout": 0.2},
    "clip": {"optimizer": "sgd", "clip_norm": 0.1},
}


def fitted(X, batch_size, scaled=False, **rest):
    net = fastnn.Network([100, 40, 20, 10], ["relu", "gelu"], input_scale=scaled)
    net.fit(X, Y, epochs=2, batch_size=batch_size, sample_weight=1 + np.arange(N) % 3, **rest)
    return net


@pytest.fixture
def in_parts(monkeypatch):
    """Has batches taken in small parts; returns what is called before each of them."""
    calls: list[Callable[[], object]] = []
    monkeypatch.setattr(engine, "_PRODUCTS_OF_A_PART", 1)
    monkeypatch.setattr(engine, "_FEWEST_ROWS", 7)
    run = engine.Engine.run

    def listened(self, data, stretch, stepping, workers, cost, between):
        return run(self, data, stretch, stepping, workers, cost, lambda: [between(), *(call() for call in calls)])

    monkeypatch.setattr(engine.Engine, "run", listened)
    monkeypatch.setattr("fastnn.pacing.Pace.next_call", lambda self: (max(self._batches), 1))
    return calls


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [50, 200, 256, 300, 700], ids=str)
@pytest.mark.parametrize("X", INPUTS.values(), ids=INPUTS)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_bits_are_those_of_whole_batches(way, X, batch_size, threads, in_parts, monkeypatch):
    seen = []
    in_parts.append(lambda: seen.append(1))
    net = fitted(X, batch_size, **way, threads=threads)
    busy = 1 if "clip_norm" in way and batch_size <= layout.MAX_ROWS else threads  # a single chunk is one thread's
    at_once = layout.CHUNK_ROWS * busy if batch_size > layout.MAX_ROWS else busy * 7
    if batch_size > at_once:
        assert len(seen) > 2 * N / batch_size
    monkeypatch.undo()
    whole = fitted(X, batch_size, **way)
    assert states.state(net) == states.state(whole)
    assert net.history.train_cost == whole.history.train_cost
    assert net.history.train_accuracy == whole.history.train_accuracy


def test_the_bits_are_the_same_with_a_learned_scale(in_parts, monkeypatch):
    net = fitted(DENSE, 300, scaled=True)
    monkeypatch.undo()
    assert states.state(net) == states.state(fitted(DENSE, 300, scaled=True))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch_size", [50, 128, 300])
@pytest.mark.parametrize("X", INPUTS.values(), ids=INPUTS)
def test_a_handler_that_uses_the_network_disturbs_nothing(X, batch_size, threads, in_parts, monkeypatch):
    """Ctrl-C may mean to somebody that they want to know how far it is."""
    net = fastnn.Network([100, 40, 10])
    settings = {"epochs": 1, "batch_size": batch_size, "l2": 0.1}

    def use():
        net.forward(X[:batch_size])
        net.evaluate(X, Y)
        net.gradients(X[:batch_size], Y[:batch_size])

    in_parts.append(use)
    net.fit(X, Y, **settings, threads=threads)
    monkeypatch.undo()
    undisturbed = fastnn.Network([100, 40, 10])
    undisturbed.fit(X, Y, **settings)
    assert states.progress(net) == states.progress(undisturbed)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch_size", [200, 700])
@pytest.mark.parametrize("X", INPUTS.values(), ids=INPUTS)
def test_a_batch_that_is_broken_off_has_not_begun(X, batch_size, threads, in_parts):
    """Wherever the interrupt comes; and training goes on."""
    started, left = [], []

    def interrupt():
        started.append(1)
        if len(started) == left[0]:
            raise KeyboardInterrupt

    net = fastnn.Network([100, 40, 10])
    rest = {"epochs": 1, "batch_size": batch_size, "optimizer": fastnn.SGD(0.1, 0.9), "threads": threads}
    net.fit(X, Y, **rest, shuffle=False)
    before = states.progress(net)
    in_parts.append(interrupt)
    for number in itertools.count(1):
        started.clear()
        left[:] = [number]
        other = net.copy()
        try:
            other.fit(X[:batch_size], Y[:batch_size], **rest)
        except KeyboardInterrupt:
            assert states.progress(other) == before
            assert other.history.stopped_by == "interrupt"
        else:
            assert number > 2
            assert states.progress(other) != before
            break
