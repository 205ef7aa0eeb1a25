"""Subnormal numbers: zero inside kernels, where they cost a hundred times as much; themselves to everybody else."""

import signal
import threading
from collections.abc import Callable
from typing import Any

import naive
import numpy as np
import pytest
from numpy.typing import NDArray
from problems import assert_close, naive_network, random_network
from scipy import sparse

import fastnn
from fastnn import engine, functions, pacing
from fastnn.kernels import host

Array = NDArray[Any]

SUBNORMAL = {"float32": np.float32(1e-41), "float64": np.float64(1e-310)}
DTYPES = list(SUBNORMAL)
X = np.random.default_rng(0).normal(size=(300, 20)).astype(np.float32)
y = np.random.default_rng(1).integers(0, 3, 300)

flushes = pytest.mark.skipif(not (host.X86 or host.ARM), reason="no control word is known here")


def seen() -> bool:
    """Whether this thread's arithmetic takes in subnormal numbers, and gives them."""
    found = []
    for tiny in SUBNORMAL.values():
        smallest_normal = np.full(3, np.finfo(tiny.dtype).tiny)
        found += [bool((np.full(3, tiny) * 2 > 0).all()), bool((smallest_normal / 2 > 0).all())]
    assert len(set(found)) == 1  # never one without the other
    return found[0]


def network(dtype: str = "float32", **options: Any) -> fastnn.Network:
    return fastnn.Network([20, 8, 3], dtype=dtype, seed=0, **options)


# --- seen again after every entry ---


def fit_own_thread(net: fastnn.Network) -> None:
    """And not only in the main thread."""
    found: list[bool] = []

    def work() -> None:
        found.append(seen())
        net.fit(X, y, 1)
        found.append(seen())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [True, True]


USES: dict[str, Callable[[fastnn.Network], Any]] = {
    "forward": lambda net: net.forward(X),
    "forward of one": lambda net: net.forward(X[:1]),
    "predict": lambda net: net.predict(sparse.csr_matrix(X)),
    "evaluate": lambda net: net.evaluate(X, y),
    "gradients": lambda net: net.gradients(X, y),
    "fit": lambda net: net.fit(X, y, 2),
    "fit large batches": lambda net: net.fit(X, y, 2, 300, "adam"),
    "fit sparse": lambda net: net.fit(sparse.csr_matrix(X), y, 2, l2=1e-3),
    "fit on two threads": lambda net: net.fit(X, y, 2, threads=2),
    "fit large batches on two threads": lambda net: net.fit(X, y, 2, 300, threads=2),
    "fit in another thread": fit_own_thread,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("use", USES)
def test_they_are_seen_after_every_use(use: str, dtype: str) -> None:
    assert seen()
    USES[use](network(dtype))
    assert seen()


@pytest.fixture
def team_threads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """After every kernel call, on which thread it ran and whether that one sees subnormal numbers."""
    calls: list[tuple[str, bool]] = []
    entry = engine.Engine._entry

    def watched(self: engine.Engine, name: str) -> Callable[..., Any]:
        def call(*records: int) -> Any:
            result = entry(self, name)(*records)
            calls.append((threading.current_thread().name, seen()))
            return result

        return call

    monkeypatch.setattr(engine.Engine, "_entry", watched)
    return calls


@pytest.mark.parametrize("batch_size", [20, 300])
def test_they_are_seen_on_every_thread_of_a_team(batch_size: int, team_threads: list[tuple[str, bool]]) -> None:
    network().fit(X, y, 2, batch_size, threads=2)
    assert len({name for name, _ in team_threads}) == 2
    assert all(found for _, found in team_threads)


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")  # there is nothing to learn
@pytest.mark.parametrize("threads", [1, 2])
def test_they_are_seen_after_an_interrupt(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle of a call."""
    monkeypatch.setattr(pacing, "STRETCH_SECONDS", 0.2)
    many = np.resize(X, (60_000, 20))
    net = network()
    net.fit(X, y, 1, threads=threads)  # compiled
    if not hasattr(signal, "setitimer"):
        pytest.skip("no timer that interrupts")

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            net.fit(many, np.resize(y, 60_000), 1000, 1, fastnn.SGD(1e-3), threads=threads)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert seen()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch_size", [10, 300])
def test_they_are_seen_after_a_divergence(batch_size: int, threads: int, team_threads: list[tuple[str, bool]]) -> None:
    net = network(activation="identity", output="identity", cost="quadratic")
    with pytest.raises(fastnn.DivergenceError):
        net.fit(X, X[:, :3], 30, batch_size, fastnn.SGD(1e9), threads=threads)
    assert seen()
    assert all(found for _, found in team_threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_they_are_seen_after_a_callback_that_raised(threads: int) -> None:
    def callback(*_: Any) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        network().fit(X, y, 3, callbacks=[callback], threads=threads)
    assert seen()


def test_they_are_seen_by_callbacks() -> None:
    found: list[bool] = []
    network().fit(X, y, 3, callbacks=[lambda *_: found.append(seen())])
    assert found == [True] * 3


@flushes
def test_who_does_not_want_them_goes_on_not_seeing_them() -> None:
    """The control word is put back as it was, whatever that was."""
    from fastnn.kernels.compile import entry
    from fastnn.kernels.control import flush_subnormals, restore_subnormals

    def flush() -> int:
        return flush_subnormals()

    def restore(word: int) -> None:
        restore_subnormals(word)

    pieces = [entry(flush), entry(restore)]
    for piece in pieces:
        piece.dispatcher._cache.disable()  # not the user's folder
    begin, end = (piece.code(None) for piece in pieces)
    net = network()
    net.fit(X, y, 1)
    word = begin()
    try:
        for use in ("forward", "evaluate", "gradients", "fit"):
            USES[use](net)
            found = seen()
            assert not found
    finally:
        end(word)
    assert seen()


# --- zero inside kernels ---


def line(weight: Any, dtype: str, output: str = "identity") -> fastnn.Network:
    """One input, one output, one weight."""
    return fastnn.Network([1, 1], output=output, cost="quadratic", initializer=([[[weight]]], [[0.0]]), dtype=dtype)


@flushes
@pytest.mark.parametrize("dtype", DTYPES)
def test_they_count_as_zero(dtype: str) -> None:
    tiny, smallest = SUBNORMAL[dtype], np.finfo(dtype).tiny
    ones = np.ones((1, 1), dtype)
    assert line(1e5, dtype).forward(ones * tiny).item() == 0  # what comes in
    assert line(tiny, dtype).forward(ones * 1e5).item() == 0
    assert line(0.25, dtype).forward(ones * smallest).item() == 0  # what comes out
    assert line(1.0, dtype).forward(ones * smallest).item() == smallest
    assert line(1.0, dtype).gradients(ones * tiny, ones)[0][0].item() == 0
    assert line(1.0, dtype).evaluate(ones * tiny, 0 * ones)["cost"] == 0


@flushes
@pytest.mark.filterwarnings("ignore:constant inputs")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", [1, 2])
def test_no_weight_becomes_one(threads: int, dtype: str) -> None:
    """l2 halves weights that no sample touches until nothing is left of them."""
    net = random_network([20, 3], dtype, output="identity", cost="quadratic")
    n = 2000 if dtype == "float64" else 300
    net.fit(np.zeros((n, 20), dtype), np.tile(net.biases[0], (n, 1)), 1, 1, fastnn.SGD(0.5), l2=1.0, threads=threads)
    np.testing.assert_array_equal(net.weights[0], 0)


# --- functions on plain arrays ---


@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_still_give_them(dtype: str) -> None:
    tiny = SUBNORMAL[dtype]
    z = np.log(tiny, dtype=dtype)
    for found in (functions.sigmoid(np.full(3, z)), functions.softmax(np.array([[z, 0]] * 3))[:, 0]):
        np.testing.assert_allclose(found.astype(float), float(tiny), rtol=0.01)
    for function in (functions.tanh, functions.relu, functions.identity):
        np.testing.assert_array_equal(function(np.full(3, tiny)), tiny)
    assert functions.sum_squares(np.sqrt(np.full(3, tiny)), np.zeros(3, dtype)) > 0
    assert functions.cross_entropy(np.array([-z]), np.ones(1, dtype)) == pytest.approx(float(tiny), rel=0.01)
    assert seen()


@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_give_them_after_a_network_was_trained(dtype: str) -> None:
    network(dtype).fit(X, y, 1, threads=2)
    test_functions_still_give_them(dtype)


# --- a network that has converged ---


def converged(dtype: str) -> tuple[fastnn.Network, Array, Array]:
    """It is so sure of every sample that the deltas of most are subnormal, or nothing."""
    net = fastnn.Network([2, 8, 2], "tanh", "softmax", "log_likelihood", dtype=dtype, seed=0)
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    inputs = (rng.normal(size=(400, 2)) + 6 * (2 * labels[:, None] - 1)).astype(dtype)
    net.fit(inputs, labels, 20, optimizer=fastnn.SGD(0.5))
    sure = 45 if dtype == "float32" else 362.5  # exp(-2 * that) is subnormal
    margin = np.abs(np.diff(np.log(net.forward(inputs).astype(float)))).mean()
    net.weights = [net.weights[0], net.weights[1] * (2 * sure / margin)]
    net.biases = [net.biases[0], net.biases[1] * (2 * sure / margin)]
    return net, inputs, labels


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")  # it cannot be better
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_epoch_of_a_converged_network(dtype: str) -> None:
    net, inputs, labels = converged(dtype)
    deltas = net.forward(inputs).min(axis=1).astype(float)
    tiny = np.finfo(dtype).tiny
    assert ((naive.forward(*naive_network(net), inputs)[1][-1].min(axis=1) < tiny).mean()) > 0.2
    assert not ((deltas > 0) & (deltas < tiny)).any()
    before = naive_network(net)
    weights, biases, costs = naive.train(
        *before, net.cost, naive.SGD(0.5), inputs, naive.one_hot(labels, 2), 10, [np.arange(400)]
    )
    history = net.fit(inputs, labels, 1, optimizer=fastnn.SGD(0.5), shuffle=False)
    for got, wanted in zip([*net.weights, *net.biases], weights + biases, strict=True):
        assert_close(got, wanted, dtype)
        size = np.abs(got[got != 0])
        assert (size >= tiny).all()
    np.testing.assert_allclose(history.train_cost, costs, rtol=1e-4, atol=tiny)
    assert history.train_accuracy == [1.0]
    assert seen()
