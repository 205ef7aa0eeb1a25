"""Training stays under control: interrupts, time limits, divergence, callbacks, threads, copies."""

import contextlib
import copy
import gc
import io
import json
import os
import pickle
import re
import signal
import sys
import threading
import time
import weakref

import interrupting
import numpy as np
import pytest
from children import run_python
from scipy import sparse
from states import layers, same, state

import fastnn
from fastnn import SGD, Adam, DivergenceError, EarlyStopping, History, Network, layout, pacing, training
from fastnn.engine import Engine
from fastnn.training import Training

# Training returns to Python every 0.05 s, so interrupts and time limits are answered well within 0.5 and 0.2 s.
# Test machines are shared and stall now and then: only what no stall explains fails here.
PATIENCE = 1.5

X, y, Xt, yt = fastnn.datasets.load_digits()


def network(**arguments):
    return Network(**{"sizes": [64, 20, 10], **arguments})


def finite(net):
    return all(np.isfinite(array).all() for array in layers(net))


def assert_usable(net, data=X, labels=y):
    """Finite, and training goes on."""
    assert finite(net)
    assert net.predict(data[:10]).shape == (10,)
    assert net.fit(data[:100], labels[:100], epochs=1, optimizer=SGD(0.01)).stopped_by == "epochs"
    assert finite(net)


@pytest.fixture(scope="module")
def long_epoch():
    """A network and data whose single epoch takes several seconds on any machine."""
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, (60_000, 784), dtype=np.uint8), rng.integers(0, 10, 60_000)
    net = Network([784, 800, 10], scale=255)
    net.fit(data[0][:10], data[1][:10], epochs=1)  # compiling, or loading, is not what is timed here
    return net, *data


# --- interrupts ---


# One epoch of this takes several seconds on any machine. The signal comes when training has been going for a while.
INTERRUPTED = """
import _thread, json, sys, threading, time
import fastnn, numpy as np

rng = np.random.default_rng(0)
X, y = rng.integers(0, 256, (60_000, 784), dtype=np.uint8), rng.integers(0, 10, 60_000)
net = fastnn.Network([784, 800, 10], scale=255)
compiled = net.fit(X[:10], y[:10], epochs=1, threads=THREADS)
before, sent = net.copy(), []

def finite():
    return all(bool(np.isfinite(array).all()) for array in [*net.weights, *net.biases])

def interrupt():
    while net.history is compiled:
        time.sleep(0.01)
    time.sleep(0.3)
    sent.append(time.perf_counter())
    _thread.interrupt_main()

threading.Thread(target=interrupt, daemon=True).start()
try:
    net.fit(X, y, epochs=1000, batch_size=1, threads=THREADS)
except KeyboardInterrupt:
    answered = time.perf_counter()
found = {
    "seconds": answered - sent[0],
    "stopped_by": net.history.stopped_by,
    "epochs": net.history.epochs,
    "changed": not np.array_equal(net.weights[1], before.weights[1]),
    "finite": finite(),
    "answers": len(net.predict(X[:10])),
    "later": net.fit(X[:100], y[:100], epochs=1).stopped_by,
    "finite later": finite(),
}
print(json.dumps(found))
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupt_at_any_line_of_a_fit(threads):
    """Whichever line it is: it comes out, nothing is left locked, and training goes on. All lines: scripts/stress."""
    fit, interrupts = interrupting.ShortFit(threads), 0
    fit()
    for place in range(1, interrupting.count_places(fit), 23):
        outcome = interrupting.interrupt_at(fit, place)
        if outcome is not None:  # waiting for threads takes more or fewer lines
            assert fit.problems(outcome) == []
            interrupts += 1
    assert interrupts > 25


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_an_interrupt_while_a_callback_waits():
    def wait(*_):
        signal.raise_signal(signal.SIGINT)
        pytest.fail("waited on")

    net = network()
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y, epochs=2, callbacks=[wait])
    assert net.history.stopped_by == "interrupt"
    assert_usable(net)


def test_an_interrupt_while_a_users_shuffle_is_at_work():
    def wait(_):
        signal.raise_signal(signal.SIGINT)
        pytest.fail("waited on")

    net = network()
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y, epochs=2, shuffle=wait)
    assert net.history.stopped_by == "interrupt"
    assert net.history.epochs == []
    assert_usable(net)


@pytest.mark.parametrize("threads", ["1", "2"])
def test_an_interrupt_is_answered_in_the_middle_of_an_epoch(threads):
    """In a process of its own: an interrupt that goes astray would end all the tests."""
    run = run_python("-c", INTERRUPTED.replace("THREADS", threads))
    assert run.stderr == ""
    found = json.loads(run.stdout)
    assert found.pop("seconds") < PATIENCE
    assert found == {
        "stopped_by": "interrupt",
        "epochs": [],  # it was the middle of the first one
        "changed": True,
        "finite": True,
        "answers": 10,
        "later": "epochs",
        "finite later": True,
    }


def test_an_interrupt_in_a_callback_leaves_what_was_done():
    net, plain = network(), network()

    def interrupt(net, history):
        if len(history.epochs) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y, epochs=5, callbacks=[interrupt])
    assert net.history.stopped_by == "interrupt"
    assert net.history.epochs == [1, 2]
    plain.fit(X, y, epochs=2)
    assert same(net, plain)
    assert_usable(net)


ZEROS = (np.random.default_rng(0).random((200, 100)) < 0.2).astype(np.float32)  # mostly, so that they are skipped


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("optimizer", [SGD(0.3), Adam()], ids=lambda optimizer: optimizer.kernel)
def test_an_interrupt_between_two_kernel_calls_loses_no_step(optimizer, threads, monkeypatch):
    """It shows when a kernel returns: the steps have been taken, and what they were must be known."""
    monkeypatch.setattr(pacing, "STRETCH_SECONDS", 0.0)  # a call is a batch
    interrupted, plain = (network(sizes=[100, 20, 10]) for _ in range(2))
    entry_of, calls = Engine._entry, []

    def interrupt(engine, name):
        def call(*arguments):
            entry_of(engine, name)(*arguments)
            if threading.current_thread() is threading.main_thread() and engine is interrupted._engine:
                calls.append(name)
                if len(calls) == 3:
                    signal.raise_signal(signal.SIGINT)

        return call if name == "run" else entry_of(engine, name)

    monkeypatch.setattr(Engine, "_entry", interrupt)
    settings = {"epochs": 1, "batch_size": 10, "optimizer": optimizer, "l2": 0.1, "shuffle": False, "threads": threads}
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(ZEROS, y[:200], **settings)
    plain.fit(ZEROS[:30], y[:30], **settings)
    assert interrupted._engine.memory.steps == plain._engine.memory.steps == 3
    for one, other in zip(layers(interrupted), layers(plain), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)  # a factor on the weights is multiplied in at another place


# --- time limit ---


@pytest.mark.parametrize("threads", [1, 2])
def test_max_time_ends_training_in_the_middle_of_an_epoch(threads, long_epoch):
    net, data, labels = long_epoch
    before, began = net.copy(), time.perf_counter()
    history = net.fit(data, labels, epochs=1000, batch_size=1, max_time=0.3, threads=threads)
    elapsed = time.perf_counter() - began
    assert 0.3 <= elapsed < 0.3 + PATIENCE
    assert history.stopped_by == "max_time"
    assert history.epochs == []  # shorter than the first epoch
    assert not same(net, before)
    assert_usable(net, data, labels)


def test_a_kernel_call_begins_small_where_batches_grow(monkeypatch):
    """How many of the small ones go into a call says nothing about the large ones, and a call is not cut short."""
    run, calls = Engine.run, {}

    def counted(engine, data, batches, *rest):
        calls.setdefault(batches.size, []).append(batches.last - batches.first)
        return run(engine, data, batches, *rest)

    monkeypatch.setattr(Engine, "run", counted)
    network().fit(X, y, epochs=1, batch_size=[1] * 937 + [50] * 10)
    assert max(calls[1]) > 100
    assert next(count for count in calls[50] if count > 0) < max(calls[1]) / 5  # after one of none, which compiles


def test_max_time_counts_all_epochs():
    began = time.perf_counter()
    history = network().fit(X, y, epochs=10**6, max_time=0.2)
    assert time.perf_counter() - began < 0.2 + PATIENCE
    assert history.stopped_by == "max_time"
    assert len(history.epochs) > 1
    assert sum(history.seconds) <= 0.2 + PATIENCE


def test_a_time_limit_that_is_not_reached_changes_nothing():
    limited, plain = network(), network()
    assert limited.fit(X, y, epochs=2, max_time=1000.0).stopped_by == "epochs"
    plain.fit(X, y, epochs=2)
    assert same(limited, plain)


# --- divergence ---

LINEAR = {"activation": "identity", "output": "identity", "cost": "quadratic"}


@pytest.fixture(params=["two copies", "one copy"])
def copies(request, monkeypatch):
    """Whether a network with what its optimizer keeps is so large that there is one copy of it to go back to."""
    if request.param == "one copy":
        monkeypatch.setattr(training, "_LARGE_STATE", 0)


RELU = {**LINEAR, "activation": "relu"}


@pytest.mark.parametrize("optimizer", [SGD(1e6), SGD(1e6, momentum=0.9), SGD(1e20), SGD(1e300), Adam(1e20)], ids=repr)
@pytest.mark.parametrize("kind", [LINEAR, RELU], ids=["identity", "relu"])
@pytest.mark.parametrize("batch_size", [10, 300])  # the second in pieces, with a gradient in memory
def test_divergence_names_epoch_and_cause(kind, optimizer, batch_size, copies):
    net = network(**kind)
    # A relu network may die before it diverges: then it is at rest, which is no divergence.
    expected = contextlib.suppress(DivergenceError) if kind is RELU else pytest.raises(DivergenceError)
    with expected as caught:
        net.fit(X, y, epochs=30, batch_size=batch_size, optimizer=optimizer)
    assert finite(net)
    if net.history.stopped_by == "divergence" and kind is LINEAR:
        epoch = len(net.history.train_cost) + 1
        message = str(caught.value)
        assert f"in epoch {epoch}, batch " in message
        assert f"learning rate of {optimizer.learning_rate:g}" in message
        assert "last finite weights" in message


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")  # of the inputs
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
@pytest.mark.parametrize(("batch_size", "count"), [(1, 40), (10, 7), (300, 3)])
def test_divergence_names_the_batch_with_the_first_cost_that_is_not_finite(batch_size, count, make, threads):
    """Others after it are no better: all that comes later is worse still, but it began there."""
    net = network(**LINEAR, sizes=[64, 5, 10])
    for bad in (1, count - 1, count):  # the last batch is smaller
        rows = np.ones((batch_size * count - batch_size // 2, 64), np.float32)
        rows[(bad - 1) * batch_size :] = 1e25  # its square is beyond float32
        before = net.copy()
        with pytest.raises(DivergenceError, match=f"in epoch 1, batch {bad};"):
            net.fit(make(rows), np.zeros((len(rows), 10)), 2, batch_size, SGD(1e-6), shuffle=False, threads=threads)
        assert finite(net)
        assert net._engine.memory.steps - before._engine.memory.steps < bad


def test_divergence_in_a_later_epoch():
    net = network(**LINEAR)
    net.fit(X, y, epochs=3, optimizer=SGD(0.01))
    good = net.history
    with pytest.raises(DivergenceError, match="in epoch 1, batch "):  # of this fit
        net.fit(X, y, epochs=3, optimizer=SGD(1e6))
    assert net.history is not good
    assert net.history.epochs == []
    assert net.history.stopped_by == "divergence"


@pytest.mark.filterwarnings("ignore:inputs far from unit scale")
@pytest.mark.parametrize("largest", [1e6, -1e6])
def test_huge_inputs_are_named_as_the_cause(largest):
    data = X.copy()
    data[:, 3] = largest
    with pytest.raises(DivergenceError, match=r"inputs as large as 1e\+06: scale X"):
        network(**LINEAR).fit(data, y, optimizer=SGD(0.1))


def spoiling(array, at):
    """A callback that writes NaN into an array after an epoch."""

    def spoil(_, history):
        if len(history.epochs) == at:
            array[3] = np.nan

    return spoil


def test_samples_that_a_callback_spoils_are_named_as_the_cause():
    """Arrays in the network's dtype are used in place."""
    data, net = X.copy(), network()
    with pytest.raises(
        DivergenceError, match=r"epoch 3, batch .*: X must stay finite, but .* has written NaN"
    ) as caught:
        net.fit(data, y, epochs=5, callbacks=[spoiling(data, at=2)])
    assert "learning rate" not in str(caught.value)
    assert finite(net)


def test_samples_that_a_callback_spoils_are_named_where_a_line_search_fails():
    data, net = X.copy(), network()
    with pytest.raises(DivergenceError, match="no step has a finite cost any more: X must stay finite"):
        net.fit(data, y, 5, batch_size=len(data), optimizer="lbfgs", callbacks=[spoiling(data, at=1)])
    assert net.history.stopped_by == "divergence"
    assert finite(net)


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")
def test_targets_that_a_callback_spoils_are_named_as_the_cause():
    targets, net = np.sin(X[:, :10]).astype(np.float32), network(**LINEAR)
    with pytest.raises(DivergenceError, match="y must stay finite") as caught:
        net.fit(X, targets, epochs=5, optimizer=SGD(0.001), callbacks=[spoiling(targets, at=1)])
    assert "learning rate" not in str(caught.value)


def test_validation_samples_that_a_callback_spoils_are_named_as_the_cause():
    held = Xt.copy()
    with pytest.raises(
        DivergenceError, match=r"validation data after epoch 2 is not finite: X must stay finite"
    ) as caught:
        network().fit(X, y, epochs=5, validation_data=(held, yt), callbacks=[spoiling(held, at=1)])
    assert "overflow" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")
@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("l2 of 1e+06, which times the learning rate of 0.1 is 100000", {"l2": 1e6}),
        ("l2 of 1e+06", {"l2": [0.0, 1e6]}),
        ("l1 of 1e+10", {"l1": 1e10}),
        ("weight_decay of 1e+06", {"optimizer": fastnn.AdamW(0.1, weight_decay=1e6)}),
        ("weight_decay of 1e+06", {"optimizer": fastnn.Lion(0.1, weight_decay=1e6), "weight_average": 0.9}),
    ],
)
def test_a_penalty_that_is_too_strong_is_named_as_the_cause(text, options):
    net = network(**LINEAR)
    with pytest.raises(DivergenceError, match="epoch 1, batch") as caught:
        net.fit(X, y, epochs=30, **{"optimizer": SGD(0.1), **options})
    assert f"likely cause: {text}" in str(caught.value)
    assert "too high" not in str(caught.value)
    assert finite(net)


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")
@pytest.mark.parametrize("options", [{"optimizer": fastnn.AdamW(1e6)}, {"optimizer": SGD(1e6), "l2": 1e-5, "l1": 1e-5}])
def test_a_penalty_of_a_usual_strength_is_not_named_as_the_cause(options):
    with pytest.raises(DivergenceError, match=r"learning rate of 1e\+06 that is too high"):
        network(**LINEAR).fit(X, y, epochs=30, **options)


@pytest.mark.filterwarnings("ignore:targets far from unit scale")
def test_huge_targets_are_named_as_the_cause():
    with pytest.raises(DivergenceError, match=r"\b(y|targets)\b") as caught:
        Network([64, 1], output="identity", cost="quadratic").fit(X, y * 1e25)
    assert "learning rate" not in str(caught.value)


def chain_with_a_bad_step(bad, n):
    """One linear unit, and samples of one batch each: the ``bad``-th step makes the cost of the next batch infinite.

    That step itself sees a finite cost, and leaves finite weights.
    """
    net = Network([1, 1], output="identity", cost="quadratic", initializer=([[[1.0]]], [[0.0]]))
    inputs = np.full((n, 1), 0.1, np.float32)
    inputs[bad - 1] = 1e12
    return net, inputs, np.zeros((n, 1), np.float32)


@pytest.mark.filterwarnings("ignore:inputs far from unit scale", "ignore:constant inputs")
@pytest.mark.parametrize("optimizer", [SGD(0.5), SGD(0.5, momentum=0.5)], ids=["sgd", "momentum"])
@pytest.mark.parametrize("bad", [*range(1, 13), 40])
def test_the_weights_kept_are_those_before_the_step_that_broke(bad, optimizer, copies):
    """Wherever that step lies within a stretch of batches: also at its end, where the next stretch finds out."""
    n = 40
    net, inputs, targets = chain_with_a_bad_step(bad, n)
    sane = net.copy()
    with pytest.raises(DivergenceError):
        net.fit(inputs, targets, epochs=2, batch_size=1, shuffle=False, optimizer=optimizer)
    if bad > 1:
        sane.fit(inputs[: bad - 1], targets[: bad - 1], epochs=1, batch_size=1, shuffle=False, optimizer=optimizer)
    assert same(net, sane)
    net.fit([[0.1]], [[0.0]], epochs=5, optimizer=SGD(0.01))  # a sane rate, and sane data
    assert abs(net.weights[0].item()) <= 1


@pytest.mark.parametrize("bad", [1, 2, 5, 9, 20])
@pytest.mark.parametrize("momentum", [0.0, 1e-30])
def test_an_infinite_weight_is_found_where_no_cost_shows_it(bad, momentum, copies):
    """A saturated sigmoid has a finite cost, whatever the weight: only a look at the weights tells."""
    net = Network([1, 1], cost="quadratic", initializer=([[[0.0]]], [[0.0]]))
    inputs, targets = np.full((20, 1), 1e3, np.float32), np.full((20, 1), 0.5)
    targets[bad - 1] = 1  # all the others are met exactly: this one step makes the weight infinite
    with pytest.raises(DivergenceError):
        net.fit(inputs, targets, batch_size=1, shuffle=False, epochs=1, optimizer=SGD(3e38, momentum))
    assert net.weights[0].item() == net.biases[0].item() == 0


def test_one_copy_and_two_train_the_same_bits(monkeypatch):
    """Also the best weights of a callback, which is released while others of its copies are made."""
    found = []
    for limit in (training._LARGE_STATE, 0):
        monkeypatch.setattr(training, "_LARGE_STATE", limit)
        net = network()
        stop = EarlyStopping("val_accuracy", patience=3)
        net.fit(X, y, epochs=8, optimizer=Adam(0.03), l2=1e-4, validation_data=(Xt, yt), callbacks=[stop])
        found.append(net)
    assert same(*found)
    assert found[0].history.train_cost == found[1].history.train_cost
    assert found[1].evaluate(Xt, yt)["accuracy"] == max(found[1].history.val_accuracy)


@pytest.mark.skipif(sys.platform == "win32", reason="an interrupt that a process sends itself")
def test_an_interrupt_while_the_best_weights_are_kept_tears_nothing(monkeypatch):
    snapshot = Engine.snapshot

    def interrupted(engine, between=lambda: None, into=None):
        found = snapshot(engine, between, into)
        if into is not None:  # that of the callback, from its second time on
            signal.raise_signal(signal.SIGINT)
        return found

    monkeypatch.setattr(Engine, "snapshot", interrupted)
    net, stop = network(), EarlyStopping("train_cost")
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y, epochs=9, optimizer=Adam(), callbacks=[stop])
    assert net.history.best_epoch == 2
    assert net._engine.memory.steps == 2 * 144
    alone = network()
    alone.fit(X, y, epochs=2, optimizer=Adam())
    assert same(net, alone)


def test_training_goes_on_after_divergence():
    net = network(**LINEAR)
    with pytest.raises(DivergenceError):  # within a step or two: the weights kept have not yet been blown up
        net.fit(X, y, epochs=5, optimizer=SGD(1e30))
    history = net.fit(X, y, epochs=5, optimizer=SGD(0.01))
    assert history.stopped_by == "epochs"
    assert history.train_cost[-1] < 1
    assert net.evaluate(Xt, yt)["accuracy"] > 0.7


# --- callbacks ---


def test_callbacks_see_every_epoch_in_their_order():
    net, seen = network(), []

    def first(got, history):
        seen.append(("first", got is net, history is net.history, len(history.epochs), len(history.val_cost)))

    def second(got, history):
        seen.append(("second", got is net, history is net.history, len(history.epochs), len(history.val_cost)))

    net.fit(X, y, epochs=3, validation_data=(Xt, yt), callbacks=[first, second])
    assert seen == [(name, True, True, epoch, epoch) for epoch in (1, 2, 3) for name in ("first", "second")]


@pytest.mark.parametrize("true", [True, np.True_], ids=["bool", "NumPy's"])
def test_a_callback_that_returns_true_stops_but_all_are_asked(true):
    asked = []
    history = network().fit(
        X, y, epochs=9, callbacks=[lambda *_: true, lambda *_: asked.append(1), lambda *_: np.bool_(False)]
    )
    assert history.stopped_by == "callback"
    assert history.epochs == [1]
    assert asked == [1]


@pytest.mark.parametrize("verdict", [None, False, np.False_], ids=repr)
def test_training_goes_on_while_no_callback_objects(verdict):
    assert network().fit(X, y, epochs=2, callbacks=[lambda *_: verdict]).epochs == [1, 2]


@pytest.mark.parametrize("verdict", [0, 1, 1.0, "", "stop", [], np.ones(1), np.zeros(100), np.int64(1)], ids=repr)
def test_what_else_a_callback_returns_is_refused(verdict):
    """It might mean anything, and is more often a mistake than a wish."""
    net, plain = network(), network()
    with pytest.raises(TypeError, match=r"callbacks\[1\] must return True, False or None, got .+") as caught:
        net.fit(X, y, epochs=2, callbacks=[lambda *_: None, lambda *_: verdict])
    assert len(str(caught.value)) < 120
    assert net.history.epochs == [1]
    assert net.history.stopped_by == "error"
    plain.fit(X, y, epochs=1)
    assert same(net, plain)


def test_an_exception_in_a_callback_comes_through():
    net, plain = network(), network()

    def fail(net, history):
        raise ZeroDivisionError("in my own code")

    with pytest.raises(ZeroDivisionError, match="in my own code"):
        net.fit(X, y, epochs=5, callbacks=[fail])
    plain.fit(X, y, epochs=1)
    assert same(net, plain)
    assert net.history.epochs == [1]
    assert net.history.stopped_by != "epochs"
    assert_usable(net)


@pytest.mark.parametrize(
    "remake",
    [lambda net: Network.__init__(net, [64, 20, 10]), lambda net: net.__setstate__(network(seed=1).__getstate__())],
    ids=["__init__", "__setstate__"],
)
def test_a_network_cannot_be_made_anew_while_it_is_trained(remake):
    """Training would go on with buffers that nobody has any more."""
    told = []

    def anew(net, _):
        before = state(net)
        with pytest.raises(RuntimeError, match="is being trained by fit, and cannot be made anew") as caught:
            remake(net)
        told.append(str(caught.value))
        assert state(net) == before

    net, plain = network(), network()
    net.fit(X, y, epochs=2, callbacks=[anew])
    plain.fit(X, y, epochs=2, callbacks=[lambda *_: None])
    assert len(told) == 2
    assert same(net, plain)
    remake(net)  # afterwards anything goes
    assert net.fit(X, y, epochs=1).epochs == [1]


def test_a_callback_that_takes_the_history_away():
    def forget(net, _):
        net.history = None

    net = network()
    history = net.fit(X, y, epochs=2, callbacks=[forget])
    assert history.epochs == [1, 2]
    assert net.history is history


def test_a_callback_may_look_at_and_change_the_network():
    net, seen = network(), []

    def look(net, history):
        seen.append(net.evaluate(Xt, yt)["accuracy"])
        net.predict(Xt)
        net.gradients(X[:5], y[:5])
        net.copy().fit(X[:20], y[:20], epochs=1)

    history = net.fit(X, y, epochs=3, validation_data=(Xt, yt), callbacks=[look])
    assert seen == history.val_accuracy
    plain = network()
    plain.fit(X, y, epochs=3)
    assert same(net, plain)

    def reset(net, history):
        net.weights[0] = np.zeros((20, 64))

    net.fit(X, y, epochs=1, callbacks=[reset])
    assert not net.weights[0].any()


def test_fit_inside_fit_is_refused_and_harmless():
    net, plain, errors = network(), network(), []

    def fit_again(net, history):
        with pytest.raises(RuntimeError, match="another call of fit") as caught:
            net.fit(X, y)
        errors.append(caught.value)

    history = net.fit(X, y, epochs=2, callbacks=[fit_again])
    assert len(errors) == 2
    assert net.history is history
    plain.fit(X, y, epochs=2)
    assert same(net, plain)
    assert_usable(net)


# --- EarlyStopping ---


def run_early_stopping(stop, monitor, values):
    """Epochs trained and the weight left, if the weight is the epoch and the figure is ``values``."""
    net, history = Network([1, 1]), History()
    for epoch, value in enumerate(values, 1):
        net.weights[0] = [[epoch]]
        net.biases[0] = [-epoch]
        getattr(history, monitor).append(value)
        if stop(net, history):
            break
    assert net.weights[0].item() == -net.biases[0].item()
    return epoch, net.weights[0].item()


@pytest.mark.parametrize(
    ("arguments", "monitor", "values", "expected"),
    [
        ({"patience": 2}, "val_cost", [3, 2, 2.5, 2.4, 1], (4, 2)),
        ({"patience": 1}, "val_cost", [3, 2, 2, 1], (3, 2)),
        ({"patience": 2, "restore_best": False}, "val_cost", [3, 2, 2.5, 2.4, 1], (4, 4)),
        ({"patience": 2, "min_delta": 0.5}, "val_cost", [3, 2.6, 2.6, 1], (3, 1)),
        ({"patience": 2, "min_delta": 0.5}, "val_cost", [3, 2.8, 2.4, 2.2, 2.0, 1], (5, 3)),
        ({"patience": 2}, "val_accuracy", [0.5, 0.7, 0.6, 0.7, 0.9], (4, 2)),
        ({"patience": 2}, "train_accuracy", [0.5, 0.7, 0.6, 0.8, 0.7, 0.6], (6, 4)),
        ({"patience": 3}, "train_cost", [1, 2, 3], (3, 3)),
        ({"patience": 1}, "val_cost", [1, float("nan"), 0.5], (2, 1)),
    ],
)
def test_early_stopping(arguments, monitor, values, expected):
    assert run_early_stopping(EarlyStopping(monitor, **arguments), monitor, values) == expected


def test_early_stopping_begins_anew_with_every_fit():
    stop = EarlyStopping("val_cost", patience=1)
    for _ in range(2):
        assert run_early_stopping(stop, "val_cost", [2, 1, 3]) == (3, 2)
    assert run_early_stopping(stop, "val_cost", [9, 8, 9]) == (3, 2)


def test_early_stopping_puts_the_best_weights_back():
    net, kept = network(), {}

    def keep(net, history):
        kept[len(history.epochs)] = net.copy()

    stop = EarlyStopping("val_cost", patience=3)
    history = net.fit(X, y, epochs=500, optimizer=SGD(3.0), validation_data=(Xt, yt), callbacks=[keep, stop])
    assert history.stopped_by == "callback"
    best = int(np.argmin(history.val_cost)) + 1
    assert len(history.epochs) == best + 3
    assert same(net, kept[best])


# --- validation data, history, progress ---


def test_validation_data_are_measured_after_every_epoch():
    net, seen = network(), []
    history = net.fit(
        X, y, epochs=3, validation_data=(Xt, yt), callbacks=[lambda net, _: seen.append(net.evaluate(Xt, yt))]
    )
    assert history.val_cost == [figures["cost"] for figures in seen]
    assert history.val_accuracy == [figures["accuracy"] for figures in seen]
    plain = network()
    plain.fit(X, y, epochs=3)
    assert same(net, plain)


def test_the_history_of_a_regression_has_no_accuracy():
    net = Network([64, 1], output="identity", cost="quadratic")
    history = net.fit(X, y / 10, epochs=2, optimizer=SGD(0.001), validation_data=(Xt, yt / 10))
    assert np.isnan(history.train_accuracy).all()
    assert np.isnan(history.val_accuracy).all()
    assert str(history).splitlines()[1].split()[2::2] == ["-", "-"]


def test_a_history_prints_as_a_table():
    history = network().fit(X, y, epochs=2, validation_data=(Xt, yt))
    head, *rows, last = str(history).splitlines()
    assert head.split("  ") == ["epoch", "train cost", "train accuracy", "val cost", "val accuracy", "seconds"]
    assert [row.split()[0] for row in rows] == ["1", "2"]
    assert rows[1].split()[1:5] == [
        f"{history.train_cost[1]:.4f}",
        f"{history.train_accuracy[1]:.2%}",
        f"{history.val_cost[1]:.4f}",
        f"{history.val_accuracy[1]:.2%}",
    ]
    assert {len(row) for row in rows} == {len(head)}
    assert last == "stopped by: epochs"


@pytest.mark.parametrize(("epochs", "shown"), [(0, 0), (12, 12), (13, 11), (1000, 11)])
def test_a_long_history_prints_its_ends(epochs, shown):
    figures = [float(epoch) for epoch in range(1, epochs + 1)]
    history = History(train_cost=figures, train_accuracy=figures, seconds=figures)
    lines = str(history).splitlines()[1:-1]
    assert len(lines) == shown
    if epochs > 12:
        assert lines[5].strip() == "..."
        assert [line.split()[0] for line in lines[6:]] == [str(epoch) for epoch in history.epochs[-5:]]


def test_progress_is_silent_where_nobody_looks(capfd):
    network().fit(X, y, epochs=2)
    network().fit(X, y, epochs=2, progress=False)
    assert capfd.readouterr() == ("", "")


def test_progress_on_demand(capfd):
    network().fit(X, y, epochs=2, validation_data=(Xt, yt), progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "100%" in err
    assert re.search(r"epoch=2, cost=\d\.\d{4}, val accuracy=\d+\.\d\d%", err)


@pytest.mark.parametrize("progress", [None, True])
@pytest.mark.parametrize("stream", ["None", "closed"])
def test_no_stream_no_bar(stream, progress, monkeypatch):
    """In a service, or under pythonw, there is no stderr."""
    broken = None if stream == "None" else io.StringIO()
    if broken is not None:
        broken.close()
    monkeypatch.setattr(sys, "stderr", broken)
    assert network().fit(X, y, epochs=2, progress=progress).epochs == [1, 2]


class Full(io.StringIO):
    """A stream that takes a little, and then no more."""

    def __init__(self, error):
        super().__init__()
        self.error, self.writes = error, 0

    def write(self, text):
        self.writes += 1
        if self.writes > 3:
            raise self.error
        return super().write(text)


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), OSError(28, "No space"), ValueError("closed")])
def test_a_stream_that_breaks_takes_the_bar_along_and_nothing_else(error, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Full(error))
    assert network().fit(X, y, epochs=30, progress=True).stopped_by == "epochs"
    gc.collect()


def test_no_bar_leaves_a_thread_behind():
    code = (
        "import threading, fastnn; X, y, _, _ = fastnn.datasets.load_digits()\n"
        "for progress in None, False, True: fastnn.Network([64, 10]).fit(X, y, epochs=2, progress=progress)\n"
        "print([thread.name for thread in threading.enumerate()])"
    )
    run = run_python("-c", code)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "['MainThread']\n"


def test_progress_ends_with_training(capfd):
    with pytest.raises(DivergenceError):
        network(**LINEAR).fit(X, y, optimizer=SGD(1e6), progress=True)
    assert capfd.readouterr().err.endswith("\n")  # what comes next starts on a line of its own


def test_no_epochs_at_all():
    net = network()
    net.fit(X, y, epochs=1, optimizer=SGD(0.1, momentum=0.9))
    before = state(net)
    history = net.fit(X, y, epochs=0, optimizer=SGD(0.1, momentum=0.9), callbacks=[pytest.fail])
    assert history.epochs == []
    assert history.stopped_by == "epochs"
    assert len(str(history).splitlines()) == 2
    assert state(net) == before


# --- threads ---


def in_threads(*functions):
    """Run them all at once; an error in one of them is raised here."""
    errors = []

    def guarded(function):
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_networks_in_threads_get_the_same_bits_as_alone():
    def train(net, i):
        return lambda: net.fit(X, y, epochs=20, batch_size=5 + i, optimizer=SGD(0.1 + 0.1 * i))

    together, alone = ([network(seed=i) for i in range(4)] for _ in range(2))
    in_threads(*(train(net, i) for i, net in enumerate(together)))
    for i, net in enumerate(alone):
        train(net, i)()
    assert all(same(one, other) for one, other in zip(together, alone, strict=True))


@pytest.mark.parametrize("ask", ["forward", "evaluate", "gradients", "weights"])
def test_whoever_waits_for_the_end_of_a_kernel_call_sees_what_it_left(ask):
    """Weight decay may leave weights that are still to be multiplied by a factor."""
    net = network()
    question = {
        "forward": lambda: net.forward(X[:5]),
        "evaluate": lambda: list(net.evaluate(X[:50], y[:50]).values()),
        "gradients": lambda: net.gradients(X[:5], y[:5])[0][0],
        "weights": lambda: net.weights[0],
    }[ask]
    expected, engine, answers = question(), net._engine, []
    waiting = threading.Thread(target=lambda: answers.append(question()))
    with engine._lock.here:  # as a kernel call has it
        waiting.start()
        time.sleep(0.2)
        layout.scale_weights(engine.layers[0], engine.params, 2.0)
        engine.memory = engine.memory._replace(shrink=0.5)
    waiting.join()
    np.testing.assert_allclose(answers[0], expected, rtol=1e-6)


def test_a_network_can_be_asked_while_it_is_trained():
    net, plain = network(), network()
    done, answers = threading.Event(), []

    def train():
        try:
            net.fit(X, y, epochs=150, validation_data=(Xt, yt))
        finally:
            done.set()

    def ask():
        while not done.is_set():
            outputs = net.forward(Xt)
            answers.append(len(net.predict(Xt[:1])))
            assert np.isfinite(outputs).all()
            assert outputs.shape == (360, 10)
            assert 0 <= net.evaluate(Xt, yt)["accuracy"] <= 1
            assert all(np.isfinite(g).all() for g in net.gradients(X[:300], y[:300])[0])

    in_threads(train, ask, ask)
    assert answers
    plain.fit(X, y, epochs=150)
    assert same(net, plain)


@pytest.mark.parametrize("density", [1.0, 0.1], ids=["dense", "sparse"])
def test_what_others_see_in_the_middle_of_an_epoch_is_the_network(density, monkeypatch):
    """Also where the zeros of the inputs are skipped, and the weights' decay is put off until the end of the epoch."""
    rng = np.random.default_rng(0)
    data = rng.random((50, 64)) * (rng.random((50, 64)) < density)
    net, seen, calls = network(), [], []

    def look(self):
        calls.append(1)
        if len(calls) < 3:
            return
        seen.extend([net.copy(), net.weights[:], net.forward(data), net.evaluate(data, y[:50])["cost"]])
        raise KeyboardInterrupt  # then these weights must be the ones that are left

    monkeypatch.setattr(Training, "_check_clock", look)  # between two stretches of batches
    monkeypatch.setattr(pacing, "STRETCH_SECONDS", 0.0)  # of a batch each
    with pytest.raises(KeyboardInterrupt):
        net.fit(data, y[:50], epochs=1, batch_size=1, l2=0.2)
    twin, weights, outputs, cost = seen
    for array, left in zip([*weights, *twin.weights], [*net.weights] * 2, strict=True):
        np.testing.assert_allclose(array, left, rtol=1e-5)
    np.testing.assert_allclose(outputs, net.forward(data), rtol=1e-5)
    assert cost == pytest.approx(net.evaluate(data, y[:50])["cost"], rel=1e-5)


def test_two_fits_at_once_on_one_network():
    net, plain, started, end = network(), network(), threading.Event(), threading.Event()

    def hold(net, history):
        started.set()
        assert end.wait(60)

    thread = threading.Thread(target=lambda: net.fit(X, y, epochs=1, callbacks=[hold]))
    thread.start()
    try:
        assert started.wait(60)
        with pytest.raises(RuntimeError, match="another call of fit"):
            net.fit(X, y)
    finally:
        end.set()
        thread.join()
    plain.fit(X, y, epochs=1)
    assert same(net, plain)


# --- copies ---

COPIES = {
    "copy": lambda net: net.copy(),
    "copy.copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
}


@pytest.mark.parametrize("optimizer", [SGD(0.1), SGD(0.1, momentum=0.9), Adam(0.01)], ids=repr)
@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES.keys())
def test_a_copy_goes_on_bit_for_bit_and_by_itself(make, optimizer):
    net = network(activation="tanh", seed=3)
    net.fit(X, y, epochs=2, optimizer=optimizer)
    twin = make(net)
    assert repr(twin) == repr(net)
    assert same(twin, net)
    first = net.fit(X, y, epochs=2, optimizer=optimizer)
    assert not same(twin, net)
    second = twin.fit(X, y, epochs=2, optimizer=optimizer)
    assert same(twin, net)
    assert first.train_cost == second.train_cost
    assert twin.evaluate(Xt, yt) == net.evaluate(Xt, yt)


class Mine(Network):
    __slots__ = ("__secret", "tag")

    def __init__(self, sizes, name):
        super().__init__(sizes)
        self.name, self.tag = name, "of mine"
        self.__secret = [name]

    def secret(self):
        return self.__secret


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES.keys())
def test_a_copy_has_the_history_and_all_attributes(make):
    net = Mine([64, 10], "first")
    net.notes = ["zero", "one"]
    with pytest.warns(fastnn.TrainingWarning):
        net.fit(1000 * X, y, epochs=2)
    twin = make(net)
    assert type(twin) is Mine
    assert twin.history == net.history
    assert [str(finding) for finding in twin.history.findings] == [str(finding) for finding in net.history.findings]
    assert twin.history.findings
    assert (twin.name, twin.tag, twin.secret(), twin.notes) == ("first", "of mine", ["first"], ["zero", "one"])
    assert same(twin, net)
    twin.fit(X, y, epochs=1)
    assert len(net.history.epochs) == 2  # its own


def test_a_deep_copy_shares_nothing():
    net = network()
    net.notes = {"seen": []}
    net.fit(X, y, epochs=1)
    twin = net.copy()
    twin.notes["seen"].append(1)
    twin.history.train_cost.append(0.0)
    assert net.notes == {"seen": []}
    assert len(net.history.train_cost) == 1


def test_what_a_copy_cannot_copy_is_named():
    net = network()
    net.lock = threading.Lock()
    with pytest.raises(TypeError, match="lock"):
        net.copy()


def test_the_attributes_that_are_not_copied_are_those_that_come_back_by_themselves():
    net = network()
    assert set(vars(net)) - {"history"} == set(fastnn.network._REBUILT)


def test_a_pickle_of_an_earlier_version_is_read():
    """It held what a file holds, and no more."""
    net = network()
    net.fit(X, y, epochs=1)
    twin = Network.__new__(Network)
    twin.__setstate__(pickle.loads(pickle.dumps(net._to_record())))
    assert same(twin, net)
    assert twin.history is None


def test_a_copy_made_during_training_can_be_trained():
    copies = []
    network().fit(X, y, epochs=1, callbacks=[lambda net, _: copies.append(net.copy())])
    assert_usable(copies[0])


def use_once(optimizer, is_sparse, threads):
    """All that takes data, called with data of its own; returns references to these."""
    rng = np.random.default_rng(0)
    samples, weight = rng.random((300, 100), dtype=np.float32), np.ones(300, np.float32)
    labels = rng.integers(0, 3, 300)
    held = [weakref.ref(array) for array in (samples, labels, weight)]
    if is_sparse:
        samples = sparse.csr_matrix(samples * (samples < 0.1))
        held += [weakref.ref(array) for array in (samples, samples.data, samples.indices)]
    net = Network([100, 9, 3], "tanh", seed=1)
    settings = {"epochs": 3, "batch_size": 300, "optimizer": optimizer, "threads": threads}
    net.fit(samples, labels, sample_weight=weight, validation_data=(samples, labels), **settings)
    net.evaluate(samples, labels)
    net.gradients(samples, labels)
    net.predict(samples)
    net.diagnose(samples, labels)
    return net, held


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lbfgs"])
def test_no_data_are_kept_when_a_call_has_ended(optimizer, is_sparse, threads):
    """Not even until garbage is collected: they may be most of a machine's memory."""
    use_once(optimizer, is_sparse, threads)  # while Numba compiles it makes garbage that knows its callers
    gc.collect()
    gc.disable()
    try:
        net, held = use_once(optimizer, is_sparse, threads)
        assert net.history.epochs
        assert all(reference() is None for reference in held)
    finally:
        gc.enable()
