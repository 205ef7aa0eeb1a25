"""Long work is done in pieces, with a look at Ctrl-C and the clock in between; and on no core that it was not given."""

import numpy as np
import pytest
import scipy.sparse
from children import run_python

import fastnn
from fastnn import engine, layout, orders, training
from fastnn.diagnostics import TrainingWarning, look, rules
from fastnn.kernels.buffers import N_TOTALS, TOTAL_COST, TOTAL_HITS
from fastnn.training import Training, _Stop

pytestmark = pytest.mark.filterwarnings(f"ignore::{TrainingWarning.__module__}.{TrainingWarning.__name__}")

RNG = np.random.default_rng(0)
X = RNG.random((700, 100)).astype(np.float32)
Y = RNG.integers(0, 10, 700)


class Ends(Exception):  # noqa: N818
    """What a look at the clock may raise."""


class Clock:
    """Counts how often it is looked at, and ends it all at one of them."""

    def __init__(self, at=None):
        self.looks, self._at = 0, at

    def __call__(self):
        self.looks += 1
        if self.looks == self._at:
            raise Ends


def network(**arguments):
    return fastnn.Network([100, 40, 20, 10], **arguments)


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(orders, "_SHUFFLED_PER_CALL", 50)
    monkeypatch.setattr(training, "_ROWS_TOGETHER", 50)


@pytest.mark.parametrize("n", [1, 49, 50, 51, 700])
def test_a_random_order_in_pieces_is_the_same(n, monkeypatch):
    whole = orders.RandomOrders(np.random.default_rng(1))
    expected, after = whole(n), whole.generator.random()
    monkeypatch.setattr(orders, "_SHUFFLED_PER_CALL", 50)
    pieces, clock = orders.RandomOrders(np.random.default_rng(1)), Clock()
    np.testing.assert_array_equal(pieces(n, clock), expected)
    assert clock.looks == -(-n // 50)
    assert pieces.generator.random() == after
    assert sorted(expected) == list(range(n))


@pytest.mark.parametrize("settings", [{}, {"validation_split": 0.2}], ids=["all", "some"])
@pytest.mark.usefixtures("small_pieces")
def test_shuffling_ends_in_its_middle(settings, monkeypatch):
    net, looks = network(), []

    def stop(self):
        looks.append(1)
        if len(looks) == 5:
            raise _Stop("max_time")

    monkeypatch.setattr(Training, "_check_clock", stop)
    history = net.fit(X, Y, epochs=3, **settings)
    assert history.stopped_by == "max_time"
    assert (len(looks), net._engine.memory.steps, history.epochs) == (5, 0, [])


def test_pieces_of_a_shuffle_do_not_show(request):
    nets = [network() for _ in range(2)]
    for net in nets:
        net.fit(X, Y, epochs=2, validation_split=0.2)
        if net is nets[0]:
            request.getfixturevalue("small_pieces")
    assert all((a == b).all() for a, b in zip(nets[0].weights, nets[1].weights, strict=True))


@pytest.mark.parametrize("n", [127, 128, 129, 700])
def test_a_gradient_in_pieces(n):
    net, clock = network(dtype="float64"), Clock()
    expected = net.gradients(X[:n], Y[:n])
    net._engine.samples_per_call = 128
    data = net._samples(X[:n], Y[:n]).data
    got = net._engine.read_all(net._engine.gradient(data, n, clock))
    assert clock.looks == -(-n // 128)
    for one, other in zip([*got[0], *got[1]], [*expected[0], *expected[1]], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-14)
    assert all((a == b).all() for a, b in zip(net.gradients(X[:n], Y[:n])[0], got[0], strict=True))
    with pytest.raises(Ends):
        net._engine.gradient(data, n, Clock(clock.looks))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("share", [1.0, 0.1], ids=["dense", "sparse"])
def test_a_gradient_knows_what_it_saw(share, dtype):
    given = X if share == 1 else scipy.sparse.csr_matrix(X * np.less(X, share))
    net = network(dtype=dtype)
    net.fit(given, Y, epochs=1)
    net._engine.samples_per_call = 128
    samples, totals = net._samples(given, Y), np.zeros(N_TOTALS)
    net._engine.gradient(samples.data, samples.n, totals=totals)
    wanted = training.evaluate(net._engine, samples)
    assert totals[TOTAL_COST] == pytest.approx(wanted.cost, rel=1e-14)
    assert totals[TOTAL_HITS] == wanted.hits > 0


def test_lbfgs_goes_over_the_samples_once_for_cost_and_gradient(monkeypatch):
    pytest.importorskip("scipy")
    monkeypatch.setattr(engine.Engine, "evaluate", pytest.fail)
    net = network(dtype="float64")
    before, history = net.copy(), net.fit(X, Y, 5, len(X), "lbfgs", l2=1e-3)
    monkeypatch.undo()
    assert history.train_cost[-1] < before.evaluate(X, Y)["cost"]
    found = net.evaluate(X, Y)
    assert (history.train_cost[-1], history.train_accuracy[-1]) == (pytest.approx(found["cost"]), found["accuracy"])


def test_lbfgs_looks_at_the_clock_in_a_gradient(monkeypatch):
    pytest.importorskip("scipy")
    monkeypatch.setattr(engine, "_samples_per_call", lambda *given: 128)
    net, clock, gradient = network(), Clock(), engine.Engine.gradient

    def counted(self, data, n, between, totals):
        before = clock.looks
        try:
            return gradient(self, data, n, between, totals)
        finally:
            assert clock.looks - before == 6

    monkeypatch.setattr(Training, "_check_clock", lambda self: clock())
    monkeypatch.setattr(engine.Engine, "gradient", counted)
    net.fit(X, Y, epochs=2, batch_size=700, optimizer=fastnn.LBFGS())
    assert clock.looks


def test_a_look_can_end_between_any_two_of_its_pieces():
    net, clock = network(), Clock()
    sample = look.draw(net._model, net._samples(X, Y).data, 700)
    state = look.look(net._model, sample, clock)
    panels = sum(len(layout._panels(layer, net._engine.params)) for layer in net._engine.layers)
    assert clock.looks == panels + 3 + 2  # reading, there, and back
    for at in range(1, clock.looks + 1):
        with pytest.raises(Ends):
            look.look(net._model, sample, Clock(at))
    evidence, clock = rules.Evidence(net._model, net._settings, sample, state, state.weights, np.inf), Clock()
    rules.judge(evidence, ("data", "start", "state"), (), clock)
    assert clock.looks >= 5


@pytest.mark.parametrize("weights", [4800, 96_000])
def test_a_look_at_a_large_network_takes_few_samples(weights, monkeypatch):
    monkeypatch.setattr(look, "_PRODUCTS", 100 * weights)
    net = network()
    assert sum(W.size for W in net.weights) == 5000
    expected = min(256, max(look.FEW, 100 * weights // 5000))
    drawn = len(look.draw(net._model, net._samples(X, Y).data, 700).X)
    assert expected * 0.8 < drawn <= expected  # of those drawn twice one is taken


def test_a_first_look_that_takes_too_long_ends_training(monkeypatch):
    monkeypatch.setattr(training, "_PATIENCE", float("-inf"))
    net = network()
    history = net.fit(X, Y, epochs=3, max_time=1000.0)
    assert (history.stopped_by, history.epochs, net._engine.memory.steps) == ("max_time", [], 0)


def test_a_last_look_that_takes_too_long_is_given_up(monkeypatch):
    net, unlooked = network(), network()
    history, looked = net.fit(X, Y, epochs=3), []

    def out_of_patience(self):
        looked.append(len(self._history.epochs))
        if looked[-1] == 3:
            raise _Stop("max_time")

    monkeypatch.setattr(Training, "_check_patience", out_of_patience)
    history = unlooked.fit(X, Y, epochs=3)
    assert (history.stopped_by, history.epochs) == ("epochs", [1, 2, 3])
    assert looked.count(3) == 1  # it is asked at the first piece, and that was that
    assert all((a == b).all() for a, b in zip(net.weights, unlooked.weights, strict=True))


def test_an_interrupt_comes_in_the_middle_of_a_look(monkeypatch):
    net, looked = network(), Clock(4)
    monkeypatch.setattr(Training, "_check_patience", lambda self: looked())
    with pytest.raises(Ends):
        net.fit(X, Y, epochs=3)
    assert net.history.stopped_by == "error"
    assert net._engine.memory.steps == 0
    net.fit(X, Y, epochs=1)


OTHERS = """
import os, time
from pathlib import Path
import numpy as np
import fastnn

def busy():
    "Nanoseconds that each of the threads which NumPy came with has run, when it has gone to sleep again."
    time.sleep(0.3)
    return [int(Path(f"/proc/self/task/{task}/schedstat").read_text().split()[0]) for task in others]

others = [task for task in os.listdir("/proc/self/task") if int(task) != os.getpid()]
a = np.ones(1_000_000)
before = busy()
np.vdot(a, a)
print(busy() != before)
X, y = np.random.default_rng(0).random((4000, 300)), np.arange(4000) % 10
net = fastnn.Network([300, 60, 10], dtype="float64")
net.fit(X, y, epochs=2, batch_size=100, threads=1, l2=0.01)  # which also looks at the network
before = busy()
net.fit(X, y, epochs=2, batch_size=100, threads=1, l2=0.01, validation_data=(X, y))
net.fit(X, y, epochs=2, batch_size=2000, threads=1, clip_norm=1.0)
net.predict(X), net.evaluate(X, y), net.gradients(X, y), net.diagnose(X, y)
net.weights = net.weights[:]
print(busy() == before)
"""


def test_threads_of_linear_algebra_sleep():
    """They would spin on beside ours, on cores that somebody else may have been given."""
    run = run_python("-W", "ignore", "-c", OTHERS, OPENBLAS_NUM_THREADS="2")
    if run.stdout.startswith("False") or "No such file" in run.stderr:
        pytest.skip("NumPy's linear algebra has no threads here, or the system does not say what they do")
    assert (run.stdout, run.stderr) == ("True\nTrue\n", "")


def test_pieces_of_a_gradient_through_a_large_network_are_small(monkeypatch):
    monkeypatch.setattr(engine, "_PRODUCTS_OF_A_PART", 1)
    net, clock = network(), Clock()
    data = net._samples(X, Y).data
    net._engine.gradient(data, 700, clock)
    assert clock.looks == 11  # of 64 samples


def test_a_large_snapshot_is_made_in_pieces(monkeypatch):
    monkeypatch.setattr(engine, "_COPIED_TOGETHER", 1000)
    net, clock = network(), Clock()
    net.fit(X, Y, epochs=1, optimizer="adam")
    params, memory = net._engine.snapshot(clock)
    assert clock.looks == -(-params.size // 1000) + -(-memory.state.size // 1000)
    assert (params == net._engine.params).all()
    assert (memory.state == net._engine.memory.state).all()
    with pytest.raises(Ends):
        net._engine.snapshot(Clock(clock.looks))


@pytest.mark.parametrize("place", [0, 1 << 18, -1])
def test_finiteness_is_looked_at_everywhere(place):
    numbers = np.zeros((1 << 18) + 100, np.float32)
    assert training._are_finite(numbers)
    numbers[place] = np.inf
    assert not training._are_finite(numbers)
