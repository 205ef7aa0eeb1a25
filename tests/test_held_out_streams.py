"""Validation data in chunks: the figures of the same data in memory, in memory for a chunk at a time."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from numpy.typing import NDArray
from states import state

import fastnn

Array = NDArray[Any]
N = 120
RNG = np.random.default_rng(4)
X = RNG.normal(size=(N, 6))
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
QUANTITIES = np.tanh(X[:, :2])
WEIGHTS = RNG.integers(0, 3, N).astype(float)


def cut(*arrays: Any, rows: int = 50) -> Callable[[], Iterator[Any]]:
    """A function that makes chunks of arrays."""

    def chunks() -> Iterator[Any]:
        for first in range(0, N, rows):
            yield tuple(array[first : first + rows] for array in arrays)

    return chunks


def classifier(**options: Any) -> fastnn.Network:
    return fastnn.Network([6, 8, 3], output="softmax", cost="log_likelihood", **options)


def fitted(net: fastnn.Network, y: Array, held_out: Any, **options: Any) -> fastnn.History:
    return net.fit(X, y, **{"epochs": 3, "validation_data": held_out, "progress": False, **options})


@pytest.mark.parametrize("kind", [np.asarray, scipy.sparse.csr_matrix])
@pytest.mark.parametrize("arrays", [(LABELS,), (LABELS, WEIGHTS), (np.eye(3)[LABELS],)])
def test_classes_are_measured_as_in_memory(arrays: tuple[Array, ...], kind: Any) -> None:
    one, other = classifier(), classifier()
    held = kind(X)
    expected, found = fitted(one, LABELS, (held, *arrays)), fitted(other, LABELS, cut(held, *arrays))
    np.testing.assert_allclose(found.val_cost, expected.val_cost, 1e-5)
    assert found.val_accuracy == expected.val_accuracy
    assert state(one) == state(other)  # training does not know of it


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target_scale", [None, "standard"])
@pytest.mark.parametrize("weights", [(), (WEIGHTS,)])
def test_quantities_and_metrics(weights: tuple[Array, ...], target_scale: Any, dtype: str) -> None:
    def error(y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> float:
        return float(np.average(abs(y_true - y_pred).mean(axis=1), weights=sample_weight))

    histories = []
    for held_out in ((X, QUANTITIES, *weights), cut(X, QUANTITIES, *weights)):
        net = fastnn.Network([6, 8, 2], "tanh", "identity", "quadratic", dtype=dtype, target_scale=target_scale)
        histories.append(fitted(net, QUANTITIES, held_out, metrics=[error]))
    expected, found = histories
    np.testing.assert_allclose(found.val_cost, expected.val_cost, 1e-5)
    np.testing.assert_allclose(found.metrics["error"], expected.metrics["error"], 1e-5)


def test_streams_of_common_sources_and_a_stream_to_train_on(tmp_path: Any) -> None:
    np.save(tmp_path / "X.npy", X)
    stream = fastnn.streams.arrays(tmp_path / "X.npy", LABELS, rows=50)
    expected = fitted(classifier(), LABELS, (X, LABELS), shuffle=False)
    stop = fastnn.EarlyStopping(patience=5)
    net = classifier()
    found = net.fit(
        stream=cut(X, LABELS, rows=N), epochs=3, validation_data=stream, shuffle=False, callbacks=[stop], progress=False
    )
    np.testing.assert_allclose(found.val_cost, expected.val_cost, 1e-5)


def test_dask_arrays() -> None:
    array = pytest.importorskip("dask.array")
    stream = fastnn.streams.dask(array.from_array(X, chunks=(50, 6)), array.from_array(LABELS, chunks=50))
    expected = fitted(classifier(), LABELS, (X, LABELS))
    np.testing.assert_allclose(fitted(classifier(), LABELS, stream).val_cost, expected.val_cost, 1e-5)


def test_a_pass_before_training_and_one_in_every_epoch_each_closed() -> None:
    begun, closed = [], []

    def chunks() -> Iterator[Any]:
        begun.append(len(begun))
        try:
            yield X[:60], LABELS[:60]
            yield X[60:], LABELS[60:]
        finally:
            closed.append(len(closed))

    fitted(classifier(), LABELS, chunks)
    assert (len(begun), len(closed)) == (4, 4)


def test_the_same_arrays_may_be_filled_anew() -> None:
    def chunks() -> Iterator[Any]:
        own, targets = np.empty((40, 6)), np.empty((40, 2))
        for first in range(0, N, 40):
            own[:], targets[:] = X[first : first + 40], QUANTITIES[first : first + 40]
            yield own, targets

    options = {"output": "identity", "cost": "quadratic", "dtype": "float64"}
    expected = fitted(fastnn.Network([6, 8, 2], **options), QUANTITIES, (X, QUANTITIES))
    found = fitted(fastnn.Network([6, 8, 2], **options), QUANTITIES, chunks)
    np.testing.assert_allclose(found.val_cost, expected.val_cost, 1e-12)


def with_bad_chunk() -> Iterator[Any]:
    yield X, LABELS
    yield X, LABELS + 7


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "a generator": (cut(X, LABELS)(), ValueError, "validation_data must be a function.*got a generator.*only once"),
    "an iterator": (iter([(X, LABELS)]), ValueError, "validation_data must be a function.*got a list_iterator"),
    "nothing": (lambda: iter([]), ValueError, "validation_data must have at least one chunk"),
    "no iterable": (lambda: 3, TypeError, "validation_data must return an iterable of chunks"),
    "no pairs": (lambda: [X], TypeError, "chunk 0 of validation_data: it must be a pair"),
    "a bad chunk": (with_bad_chunk, ValueError, "chunk 1 of validation_data: y must hold labels from 0 to 2"),
    "other columns": (lambda: [(X[:, :5], LABELS)], ValueError, "chunk 0 of validation_data: X must have shape"),
    "two shapes of y": (lambda: [(X, LABELS), (X, np.eye(3)[LABELS])], ValueError, "y of one shape in all its chunks"),
    "a list of many": ([(X, LABELS)] * 4, TypeError, "validation_data must be a pair"),
    "an array": (X, TypeError, "validation_data must be a pair"),
    "text": ("held_out.csv", TypeError, "validation_data must be a pair"),
}


@pytest.mark.parametrize(("held_out", "error", "text"), REFUSED.values(), ids=REFUSED)
def test_what_will_not_do_is_refused_before_training(held_out: Any, error: type[Exception], text: str) -> None:
    net = classifier()
    before = state(net)
    with pytest.raises(error, match=text):
        fitted(net, LABELS, held_out)
    assert state(net) == before


def changing(*passes: Any) -> Callable[[], Any]:
    """A function that makes other chunks every time."""
    left = iter(passes)
    return lambda: next(left)


@pytest.mark.parametrize(
    ("second", "text"),
    [
        ([(X, LABELS[::-1])], "must hold the same samples in the same order"),
        ([(X[:50], LABELS[:50])], "must hold the same samples in the same order"),
        ([(X, LABELS), (X, LABELS)], "must hold the same samples in the same order"),
        ([], "got none in epoch 2"),
    ],
)
def test_other_samples_in_another_pass_are_refused(second: Any, text: str) -> None:
    net = classifier()
    with pytest.raises(ValueError, match=text):
        fitted(net, LABELS, changing([(X, LABELS)], second))
    assert net.history is not None
    assert net.history.stopped_by == "error"


def test_what_it_raises_comes_out_as_it_is() -> None:
    class GoneError(Exception):
        pass

    calls = []

    def chunks() -> Iterator[Any]:
        calls.append(1)
        yield X[:60], LABELS[:60]
        if len(calls) == 3:
            raise GoneError
        yield X[60:], LABELS[60:]

    net = classifier()
    with pytest.raises(GoneError):
        fitted(net, LABELS, chunks)
    assert len(net.history.train_cost) == 2  # type: ignore[union-attr]


def test_several_networks_want_arrays() -> None:
    with pytest.raises(TypeError, match="validation_data must be a pair"):
        fastnn.fit_many([classifier()], X, LABELS, epochs=1, validation_data=cut(X, LABELS))


def test_ctrl_c_is_answered_while_a_chunk_is_waited_for() -> None:
    calls, waited, answered = [], [], threading.Event()

    def chunks() -> Iterator[Any]:
        calls.append(1)
        yield X[:60], LABELS[:60]
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
            answered.wait(20)
            waited.append(answered.is_set())
        yield X[60:], LABELS[60:]

    net = classifier()
    with pytest.raises(KeyboardInterrupt):
        fitted(net, LABELS, chunks)
    assert not waited
    answered.set()
    for thread in threading.enumerate():  # that of the reader ends with its chunk
        if thread.name == "fastnn-stream":
            thread.join()
    assert net.history is not None
    assert net.history.stopped_by == "interrupt"
    fitted(net, LABELS, cut(X, LABELS))
