"""Several threads on one network: the same bits, no hang beside busy processes, and no harm from forks."""

import itertools
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import children
import numpy as np
import pytest
from numpy.typing import NDArray
from states import state

import fastnn
from fastnn import network, pacing, samples
from fastnn.engine import Way

RNG = np.random.default_rng(0)
X = RNG.random((700, 100), np.float32)
SPARSE = X * (RNG.random(X.shape) < 0.2)
Y = RNG.integers(0, 10, 700)


def trained(threads: int | str, features: NDArray[np.float32] = X, **settings: object) -> fastnn.Network:
    net = fastnn.Network([100, 70, 33, 10])
    net.fit(features, Y, **{"epochs": 2, "batch_size": 50, "l2": 1e-4, "threads": threads, **settings})
    return net


def same_bits(a: fastnn.Network, b: fastnn.Network) -> bool:
    layers = zip([*a.weights, *a.biases], [*b.weights, *b.biases], strict=True)
    return all((u == v).all() for u, v in layers) and a.history.train_cost == b.history.train_cost


@pytest.fixture
def always_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the pace from falling back to one thread, which would make the comparison an empty one."""
    monkeypatch.setattr(pacing.Pace, "next_call", lambda self: (max(self._batches), 7))


@pytest.mark.usefixtures("always_together")
@pytest.mark.parametrize("optimizer", [fastnn.SGD(0.3), fastnn.SGD(0.1, 0.9), fastnn.Adam()], ids=lambda o: o.kernel)
@pytest.mark.parametrize("batch_size", [1, 17, 50, 300])
@pytest.mark.parametrize("features", [X, SPARSE], ids=["dense", "sparse"])
def test_same_bits_for_any_number_of_threads(
    features: NDArray[np.float32], batch_size: int, optimizer: fastnn.SGD | fastnn.Adam
) -> None:
    settings = {"optimizer": optimizer, "batch_size": batch_size}
    alone = trained(1, features, **settings)
    for threads in (2, 3):  # three also where there are two cores: more threads than rows, tiles or columns
        assert same_bits(alone, trained(threads, features, **settings))


@pytest.mark.usefixtures("always_together")
@pytest.mark.parametrize("optimizer", [fastnn.SGD(0.3), fastnn.SGD(0.1, 0.9), fastnn.Adam()], ids=lambda o: o.kernel)
@pytest.mark.parametrize("batch_size", [3, 10, 33])
def test_same_bits_where_threads_own_blocks_of_inputs(batch_size: int, optimizer: fastnn.SGD | fastnn.Adam) -> None:
    pixels = (RNG.integers(0, 256, (211, 1000)) * (RNG.random((211, 1000)) < 0.2)).astype(np.uint8)
    nets = [fastnn.Network([1000, 70, 10], scale=255) for _ in range(3)]
    for threads, net in enumerate(nets, 1):
        net.fit(pixels, Y[:211], 2, batch_size, optimizer, l2=1e-4, threads=threads)
    assert nets[0]._engine.latest[0].lists.blocks > 1
    assert same_bits(nets[0], nets[1])
    assert same_bits(nets[0], nets[2])


DEEP, FLAT = (1000, 70, 300, 10), (1000, 70, 10)  # where the layers behind the first one have much to do, and little
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {"optimizer": fastnn.SGD(0.3), "l2": 1e-3},
    "momentum": {"optimizer": fastnn.SGD(0.1, 0.9), "l1": 1e-4},
    "adam": {"optimizer": fastnn.Adam(1e-3), "l2": 1e-3},
    "average": {"optimizer": fastnn.Adam(1e-3), "weight_average": 0.9},
    "dropout": {"optimizer": fastnn.SGD(0.3), "dropout": 0.2},
    "clipped": {"optimizer": fastnn.Adam(1e-3), "clip_value": 1e-3},
    "limited": {"optimizer": fastnn.SGD(0.3), "max_norm": 1.0},
}


@pytest.fixture
def taking_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call on one thread, the next one on all."""
    calls = itertools.count()
    monkeypatch.setattr(pacing.Pace, "next_call", lambda self: ((1, max(self._batches))[next(calls) % 2], 3))


@pytest.mark.usefixtures("taking_turns")
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("sizes", [DEEP, FLAT], ids=["deep", "flat"])
@pytest.mark.parametrize("skips", [0, 4], ids=["lists", "in-common"])
def test_same_bits_when_threads_come_and_go(
    monkeypatch: pytest.MonkeyPatch, skips: int, sizes: tuple[int, ...], settings: dict[str, Any]
) -> None:
    """Where every thread has small later layers for itself, no call may begin with those of an earlier one."""
    if skips:
        monkeypatch.setattr(network, "plan_first_layer", lambda *_: samples.Plan(0, "settled", skips))
    values = RNG.random((211, sizes[0]), np.float32) * (RNG.random((211, sizes[0])) < 0.2)
    nets = [fastnn.Network(list(sizes), seed=1) for _ in range(3)]
    for threads, net in enumerate(nets, 1):
        net.fit(values, Y[:211], 3, 20, threads=threads, **settings)
        net.fit(values, Y[:211], 1, 20, threads=threads, **settings)
    copied = sizes == FLAT and "max_norm" not in settings
    assert (Way.COPIED in {way for _, way in nets[1]._engine._places}) == copied
    for net in nets[1:]:
        assert same_bits(nets[0], net)
        assert net.history.train_accuracy == nets[0].history.train_accuracy


def test_auto_is_one_of_them() -> None:
    assert same_bits(trained(1), trained("auto"))


def test_threads_of_python_and_of_the_network_together() -> None:
    nets: list[fastnn.Network] = []
    workers = [threading.Thread(target=lambda: nets.append(trained(2))) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(nets) == 3
    assert all(same_bits(nets[0], net) for net in [*nets, trained(1)])


def test_divergence_is_noticed_by_all() -> None:
    net = fastnn.Network([100, 70, 10], activation="relu", output="identity", cost="quadratic")
    with pytest.raises(fastnn.DivergenceError, match="learning rate"):
        net.fit(X, Y, epochs=50, batch_size=50, optimizer=fastnn.SGD(1e4), threads=2)
    assert all(np.isfinite(weights).all() for weights in net.weights)


@pytest.mark.filterwarnings("ignore:labels look shuffled")  # they are random
def test_beside_busy_processes() -> None:
    """A barrier that only spins was seen to take two hundred times as long here."""
    cores = os.cpu_count() or 1
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    try:
        trained(1)
        seconds = {}
        for threads in (1, 2):
            began = time.perf_counter()
            trained(threads, epochs=20)
            seconds[threads] = time.perf_counter() - began
    finally:
        for process in busy:
            process.kill()
            process.wait()
    # Half of the cores' time is lost to either; the factor leaves room for the scheduler's whims, not for a live-lock.
    assert seconds[2] < 10 * seconds[1] + 1


def test_interrupt_while_threads_are_at_work() -> None:
    code = (
        "import numpy as np, fastnn, signal, threading, os, time\n"
        "X = np.random.default_rng(0).random((20000, 100), np.float32); y = np.arange(20000) % 10\n"
        "net = fastnn.Network([100, 70, 10])\n"
        "net.fit(X[:100], y[:100], epochs=1, batch_size=50, threads=2)\n"
        "threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        "began = time.perf_counter()\n"
        "try:\n"
        "    net.fit(X, y, epochs=100000, batch_size=50, threads=2)\n"
        "except KeyboardInterrupt:\n"
        "    print(time.perf_counter() - began, np.isfinite(net.forward(X)).all(), net.history.stopped_by)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    waited, finite, stopped_by = done.stdout.split()
    assert float(waited) < 2.0  # 0.5 s to the signal, 0.05 s to the end of a kernel call; the rest is for slow machines
    assert (finite, stopped_by) == ("True", "interrupt")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", [m for m in ("fork", "spawn") if m in multiprocessing.get_all_start_methods()])
def test_in_a_child_process(method: str) -> None:
    expected = children.sum_of_trained_weights()
    context = multiprocessing.get_context(method)
    answer: multiprocessing.Queue[float] = context.Queue()
    child = context.Process(target=children.answer_with_weights, args=(answer,))
    child.start()
    assert answer.get(timeout=120) == expected
    child.join(timeout=30)
    assert child.exitcode == 0


@pytest.mark.parametrize(
    ("threads", "error", "message"),
    [
        (0, ValueError, "threads must be >= 1, got 0"),
        (1.5, TypeError, "threads must be a whole number, got float 1.5"),
        ("all", ValueError, r"threads must be one of \['auto'\], got 'all'"),
    ],
)
def test_wrong_numbers_of_threads(threads: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        trained(threads)  # type: ignore[arg-type]


def threads_of_calls(pace: pacing.Pace, seconds: Callable[[int], float], calls: int) -> list[int]:
    """On how many threads each of so many calls goes, where a batch takes ``seconds(threads)``."""
    taken = []
    for _ in range(calls):
        threads, batches = pace.next_call()
        pace.record(threads, batches, batches * seconds(threads))
        taken.append(threads)
    return taken


def together_is_twice_as_fast(threads: int) -> float:
    return 1e-5 / threads


def together_is_half_as_fast(threads: int) -> float:
    return 1e-5 * threads


def test_pace_takes_the_faster_way_and_changes_its_mind() -> None:
    pace = pacing.Pace(2)
    assert threads_of_calls(pace, together_is_twice_as_fast, 30)[-1] == 2
    assert threads_of_calls(pace, together_is_half_as_fast, 10)[-1] == 1
    assert threads_of_calls(pace, together_is_twice_as_fast, 40)[-1] == 2


def test_pace_is_short_about_trying_one_thread() -> None:
    pace, alone = pacing.Pace(2), []
    threads_of_calls(pace, together_is_twice_as_fast, 20)
    for _ in range(100):
        threads, batches = pace.next_call()
        seconds = batches * together_is_twice_as_fast(threads)
        pace.record(threads, batches, seconds)
        alone += [seconds] * (threads == 1)
    assert len(alone) > 2
    assert max(alone) < pacing.STRETCH_SECONDS / 4


def test_pace_waits_for_a_core_that_was_asleep() -> None:
    pace, running = pacing.Pace(2), 0

    def seconds(threads: int) -> float:
        nonlocal running
        running = running + 1 if threads == 2 else 0
        return 1e-5 if threads == 1 else 1.2e-5 if running < 4 else 0.6e-5

    assert threads_of_calls(pace, seconds, 30)[-1] == 2
    assert threads_of_calls(pace, together_is_half_as_fast, 10)[-1] == 1
    assert threads_of_calls(pace, seconds, 40)[-1] == 2


def test_pace_tries_in_vain_less_and_less_often() -> None:
    pace = pacing.Pace(2)
    first, later = (threads_of_calls(pace, together_is_half_as_fast, 1000).count(2) for _ in range(2))
    assert 0 < later < first < 50


def test_pace_goes_on_with_what_an_earlier_training_found() -> None:
    pace, again = pacing.Pace(2), []
    threads_of_calls(pace, together_is_half_as_fast, 100)
    for _ in range(20):  # short ones: a trial in each of them would be most of it
        pace = pacing.Pace(2, like=pace)
        assert pace.next_call()[1] == 1  # however many batches fitted into the other one's calls
        again += threads_of_calls(pace, together_is_half_as_fast, 5)
    assert again.count(2) < 10
    assert threads_of_calls(pace, together_is_twice_as_fast, 500)[-1] == 2


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")
def test_a_network_knows_which_way_was_faster() -> None:
    X, y = np.random.default_rng(0).random((300, 20)), np.arange(300) % 3
    net = fastnn.Network([20, 8, 3])
    net.fit(X, y, epochs=1, batch_size=10, threads=2)
    pace = net._engine.paces[2, 10]
    net.fit(X, y, epochs=1, batch_size=10, threads=2)
    assert set(net._engine.paces) == {(2, 10)}
    assert net._engine.paces[2, 10] is not pace
    assert fastnn.pacing.Pace(2, like=pace)._seconds == pace._seconds


@pytest.mark.parametrize("most", [10, 700])
def test_pace_judges_by_calls_as_short_as_an_epoch(most: int) -> None:
    """``most`` batches: 0.1 ms, or 7 ms."""
    pace = pacing.Pace(2)
    for _ in range(3000):
        threads, batches = pace.next_call()
        pace.record(threads, min(batches, most), min(batches, most) * together_is_half_as_fast(threads))
    assert pace.next_call()[0] == 1


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")  # of units that die
@pytest.mark.parametrize(
    "options", [{"clip_value": 1.0}, {"l2": 1e-3}, {"l1": 1e-3, "l2": 1e-3}, {"weight_average": 0.9}]
)
@pytest.mark.parametrize(
    "optimizer",
    [
        *("sgd", "adam", "adamw", "nadam", "rmsprop", "adagrad", "lion"),
        fastnn.SGD(0.1, 0.9, True),
        fastnn.RMSprop(0.01, momentum=0.5, centered=True),
    ],
    ids=str,
)
def test_every_optimizer_makes_the_same_bits_for_any_number_of_threads(optimizer, options):
    """Formulas with several products in a sum: which of them a multiply-add takes in is the same in every tile."""
    rng = np.random.default_rng(0)
    X, y, states = rng.random((150, 20)), np.arange(150) % 3, []
    for threads in (1, 2, 3):
        net = fastnn.Network([20, 20, 12, 3], "relu", "softmax", "log_likelihood")
        net.fit(X, y, epochs=1, batch_size=32, optimizer=optimizer, threads=threads, **options)
        states.append(state(net))
    assert states[0] == states[1] == states[2]
