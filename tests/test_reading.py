"""Whoever reads a network that another thread trains sees it as it stood at one step, and changes nothing."""

import pickle
import threading

import numpy as np
import pytest
import states

import fastnn
from fastnn import layout, lbfgs, pacing
from fastnn.diagnostics import TrainingWarning
from fastnn.training import Training

pytestmark = pytest.mark.filterwarnings(f"ignore::{TrainingWarning.__module__}.{TrainingWarning.__name__}")

RNG = np.random.default_rng(0)
DENSE = RNG.random((300, 100)).astype(np.float32)
SPARSE = DENSE * (RNG.random(DENSE.shape) < 0.1)  # so that zeros are skipped, and the weights' decay is put off
Y = RNG.integers(0, 10, 300)
RULES = {"sgd": fastnn.SGD(0.3), "momentum": fastnn.SGD(0.1, 0.9), "adam": fastnn.Adam()}


def network():
    return fastnn.Network([100, 40, 20, 10])


def train(net, X=SPARSE, optimizer=RULES["sgd"], threads=1, epochs=2):
    net.fit(X, Y, epochs=epochs, batch_size=10, optimizer=optimizer, l2=0.1, threads=threads)


def elsewhere(action):
    """Do it in another thread, to its end."""
    results, thread = [], threading.Thread(target=lambda: results.append(action()))
    thread.start()
    thread.join()
    return results[0]


def others_may_enter(net):
    """Whether another thread would find the lock free."""
    lock = net._engine._lock.here
    return elsewhere(lambda: lock.acquire(blocking=False) and not lock.release())


def use(net, path):
    """All that reads."""
    net.save(path)
    net.forward(DENSE)
    net.predict(SPARSE[:1])
    net.evaluate(SPARSE, Y)
    net.gradients(SPARSE[:30], Y[:30])
    net.diagnose(SPARSE, Y)
    return [*net.weights, net.biases[0], net.copy(), pickle.dumps(net)]


@pytest.fixture
def between(monkeypatch):
    """What to do between two kernel calls; each takes a few batches."""
    actions, check = [], Training._check_clock
    monkeypatch.setattr(pacing.Pace, "next_call", lambda self: (max(self._batches), 4))

    def act(training):
        check(training)
        for action in actions:
            action()

    monkeypatch.setattr(Training, "_check_clock", act)
    return actions


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("optimizer", RULES.values(), ids=RULES)
@pytest.mark.parametrize("X", [DENSE, SPARSE], ids=["dense", "sparse"])
def test_training_has_the_same_bits_whether_or_not_somebody_reads(X, optimizer, threads, between, tmp_path):
    read, unread = network(), network()
    train(unread, X, optimizer, threads)
    shrunk = []
    between.append(lambda: shrunk.append(read._engine.memory.shrink != 1))
    between.append(lambda: elsewhere(lambda: use(read, tmp_path / "net.npz")))
    train(read, X, optimizer, threads)
    assert any(shrunk) == (X is SPARSE and optimizer is RULES["sgd"])  # else there was nothing to disturb
    assert states.state(read) == states.state(unread)
    assert read.history.train_cost == unread.history.train_cost


def test_what_is_read_is_the_network(between):
    """The weights, not those that are stored with a factor put off; and all ways of asking agree."""
    net, seen = network(), []

    def look():
        if net._engine.memory.shrink != 1:
            seen.append(elsewhere(lambda: (net.copy(), net.weights[:], net.forward(SPARSE), net.gradients(SPARSE, Y))))

    between.append(look)
    train(net, epochs=1)
    assert seen
    for copied, weights, outputs, gradients in seen:
        assert all((one == other).all() for one, other in zip(copied.weights, weights, strict=True))
        assert (copied.forward(SPARSE) == outputs).all()
        for one, other in zip(copied.gradients(SPARSE, Y)[0], gradients[0], strict=True):
            assert (one == other).all()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("optimizer", RULES.values(), ids=RULES)
def test_what_is_saved_is_one_step(optimizer, threads, between, monkeypatch, tmp_path):
    recorded, told = [], network()
    recorded.append(states.progress(told))  # and of step 0 with a fresh memory, before the first kernel call
    between.append(lambda: recorded.append(states.progress(told)))
    train(told, optimizer=optimizer, threads=threads)
    recorded.append(states.progress(told))
    between.clear()
    net, read, found, entered = network(), layout.read_layer, [], threading.Event()

    def slowly(*arguments):
        entered.set()
        threading.Event().wait(1e-3)  # time enough for a step between two layers
        return read(*arguments)

    monkeypatch.setattr(layout, "read_layer", slowly)
    thread = threading.Thread(target=lambda: train(net, optimizer=optimizer, threads=threads))
    # Or nobody else would have the lock before the end.
    between.append(lambda: (entered.clear(), entered.wait(10)))
    thread.start()
    while thread.is_alive():
        net.save(tmp_path / "net.npz")
        found += [
            states.progress(fastnn.load(tmp_path / "net.npz")),
            states.progress(net.copy()),
            states.progress(pickle.loads(pickle.dumps(net))),
        ]
    thread.join()
    assert len({steps for steps, _ in found}) > 2
    assert all(one in recorded for one in found)


def test_what_a_line_search_tries_nobody_sees(monkeypatch):
    """L-BFGS looks at points of which most are no step of the training."""
    pytest.importorskip("scipy")
    net, tried, found = network(), lbfgs.Objective.look, []
    accepted = [(*states.progress(net), 0)]

    def now():
        copied = net.copy()
        return *states.progress(copied), len(copied.history.train_cost)

    def look(objective, vector):
        seen = tried(objective, vector)
        found.append(elsewhere(now))
        return seen

    monkeypatch.setattr(lbfgs.Objective, "look", look)
    callback = lambda *_: accepted.append(now())  # noqa: E731
    net.fit(DENSE, Y, 10, len(Y), fastnn.LBFGS(), l2=1e-3, callbacks=[callback])
    assert len(accepted) == 11
    assert all(one in accepted for one in found)
    assert {steps for steps, *_ in found} == set(range(10))
    assert states.progress(net) == accepted[-1][:2]


def test_a_list_of_all_layers_is_of_one_step(monkeypatch):
    """Read or written."""
    net, entered = network(), []
    write, read = net._engine.write, layout.read_layer

    def look_and(action):
        return lambda *arguments: (entered.append(others_may_enter(net)), action(*arguments))[1]

    monkeypatch.setattr(net._engine, "write", look_and(write))
    monkeypatch.setattr(layout, "read_layer", look_and(read))
    net.weights = net.weights[:]
    assert len(list(net.biases)) == 3
    assert entered == [False] * 9
    for _ in net.weights:
        assert others_may_enter(net)  # the list was made before


def test_answers_for_many_samples_are_those_of_one_step(between, monkeypatch):
    """Several kernel calls, between which the training goes on."""
    net, forward, evaluate = network(), fastnn.engine.Engine.forward, fastnn.engine.Engine.evaluate
    seen = []

    def stepped(method):
        def call(engine, *arguments):
            result = method(engine, *arguments)
            net.weights[2] = np.zeros((10, 20))
            return result

        return call

    def look():
        weights = net.weights[2]
        expected = net.forward(DENSE), net.evaluate(DENSE, Y)
        net._engine.samples_per_call = 128
        with monkeypatch.context() as patch:
            patch.setattr(fastnn.engine.Engine, "forward", stepped(forward))
            patch.setattr(fastnn.engine.Engine, "evaluate", stepped(evaluate))
            seen.append((net.forward(DENSE) == expected[0]).all())
            net.weights[2] = weights
            seen.append(net.evaluate(DENSE, Y) == expected[1])
        net.weights[2] = weights

    between.append(look)
    train(net, X=DENSE, epochs=1)
    assert seen
    assert all(seen)


@pytest.mark.parametrize("epochs", [1, 5])
def test_nobody_sees_weights_that_are_taken_back(epochs, monkeypatch):
    net = fastnn.Network([100, 10], output="identity", cost="quadratic")
    seen, restore = [], type(net._engine).restore

    def look(engine, saved):
        seen.append(others_may_enter(net))
        restore(engine, saved)
        seen.append(others_may_enter(net))

    monkeypatch.setattr(type(net._engine), "restore", look)
    with pytest.raises(fastnn.DivergenceError):
        net.fit(DENSE, Y, epochs, optimizer=fastnn.SGD(1e30), batch_size=100)
    assert seen
    assert not any(seen)


def test_a_copy_in_training_has_whole_epochs_in_its_history():
    net, lengths, done = network(), set(), threading.Event()

    def copy():
        while not done.is_set():
            history = net.copy().history or fastnn.History()
            lengths.add((len(history.train_cost), len(history.train_accuracy), len(history.seconds)))
            lengths.add((len(history.val_cost), len(history.val_accuracy), len(history.val_cost)))

    thread = threading.Thread(target=copy)
    thread.start()
    try:
        net.fit(DENSE, Y, epochs=200, validation_data=(DENSE, Y))
    finally:
        done.set()
        thread.join()
    assert all(len(set(found)) == 1 for found in lengths)
