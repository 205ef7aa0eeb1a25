"""More data than memory: streams of chunks, and arrays in files that go block by block."""

import math
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from itertools import pairwise

import interrupting
import numpy as np
import pytest
from children import run_python
from scipy import sparse
from states import layers, same, state

import fastnn
from fastnn import layout, training
from fastnn.inputs import features, scaling, tables
from fastnn.inputs import streams as rooms

N = 600  # samples

# These data are what they are: that they are far from unit scale, or few, is not what is looked at here.
pytestmark = pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")


@pytest.fixture(scope="module")
def digits():
    X, y, _, _ = fastnn.datasets.load_digits()
    return np.asarray(X[:N], np.float64), np.asarray(y[:N])


def network(**settings):
    return fastnn.Network([64, 16, 10], **settings)


def cut(X, y, *others, rows=200):
    return [tuple(part[i : i + rows] for part in (X, y, *others)) for i in range(0, len(y), rows)]


def trained(*data, net=None, **arguments):
    net = net or network()
    settings = {"epochs": 2, "batch_size": 20, "progress": False, "optimizer": fastnn.SGD(0.3, momentum=0.5)}
    net.fit(*data, **(settings | arguments))
    return net


def assert_same_course(one, other):
    assert same(one, other)
    for name in ("train_cost", "train_accuracy", "val_cost", "learning_rate"):
        np.testing.assert_array_equal(getattr(one.history, name), getattr(other.history, name))  # NaN, too


# --- the same as without a stream ---


def test_a_stream_of_one_chunk_is_fit(digits):
    assert_same_course(trained(stream=[digits]), trained(*digits))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["float64", "float32", "int16", "sparse", "bytes", "frame"])
def test_without_a_shuffle_chunks_are_fit(digits, kind, dtype):
    X, y = digits
    scale = None
    if kind == "sparse":
        X = pytest.importorskip("scipy.sparse").csr_matrix(np.where(X > 0.5, X, 0))
    elif kind == "frame":
        X = pytest.importorskip("pandas").DataFrame(X, columns=[f"x{i}" for i in range(64)])
    elif kind == "bytes":
        X, scale = (255 * X).astype(np.uint8), 255
    else:
        X = (16 * X).astype(kind)
    chunks = [(X[i : i + 200], y[i : i + 200]) for i in range(0, N, 200)]
    nets = [network(scale=scale, dtype=dtype) for _ in range(2)]
    validation = {"validation_data": (X[:50], y[:50]), "shuffle": False}
    trained(X, y, net=nets[0], **validation)
    trained(net=nets[1], stream=chunks, **validation)
    assert_same_course(*nets)
    ways = {net.history.first_layer.partition(":")[0] for net in nets}
    assert ways == {"sparse" if kind == "sparse" else "dense"}


def test_the_same_seed_gives_the_same_bits_however_the_data_come(digits):
    chunks = cut(*digits)
    wanted = trained(stream=chunks)
    assert same(wanted, trained(stream=lambda: iter(chunks), threads=2))
    assert same(wanted, trained(stream=[(X.astype(np.float32), y.tolist()) for X, y in chunks]))
    assert same(wanted, trained(stream=fastnn.streams.Stream(lambda: chunks, (200, 200, 200))))
    assert not same(wanted, trained(stream=chunks, shuffle=False))


def test_arrays_may_be_filled_anew_for_every_chunk(digits):
    X, y = digits[0].astype(np.float32), np.eye(10, dtype=np.float32)[digits[1]]

    def chunks():
        own = np.empty((200, 64), np.float32), np.empty((200, 10), np.float32)
        for i in range(0, N, 200):
            own[0][:], own[1][:] = X[i : i + 200], y[i : i + 200]
            yield own

    assert same(trained(stream=chunks), trained(stream=cut(X, y)))


def test_batches_do_not_cross_chunks(digits):
    X, y = digits
    net = trained(stream=cut(X, y, rows=90), batch_size=20, epochs=1)
    assert net._engine.memory.steps == 6 * 5 + 3  # six chunks of 90 and one of 60
    dropping = trained(stream=cut(X, y, rows=90), batch_size=20, epochs=1, drop_last=True)
    assert dropping._engine.memory.steps == 6 * 4 + 3


def test_a_batch_may_be_larger_than_a_chunk(digits):
    net = trained(stream=cut(*digits), batch_size=100_000, epochs=1)
    assert net._engine.memory.steps == 3
    assert same(net, trained(stream=fastnn.streams.Stream(lambda: cut(*digits), (200,) * 3), batch_size=200, epochs=1))


def test_cost_and_accuracy_are_of_all_samples_of_an_epoch(digits):
    X, y = digits
    net = network()
    before = net.evaluate(X, y)
    # A learning rate so small that the cost of every batch is that of the beginning.
    trained(stream=cut(X, y, rows=90), net=net, epochs=1, optimizer=fastnn.SGD(1e-12))
    assert net.history.train_cost[0] == pytest.approx(before["cost"], rel=1e-5)
    assert net.history.train_accuracy[0] == pytest.approx(before["accuracy"])


@pytest.mark.parametrize("classes", [None, {3: 5.0, 7: 0.0}])
def test_weights_count_over_all_chunks(digits, classes):
    X, y = digits
    weight = np.random.default_rng(0).random(N) * np.repeat([1, 100, 0.01], 200)
    weight[::7] = 0
    kept = np.flatnonzero(weight * (y != 7) if classes else weight)
    # The mean over the first chunk is 1, over all the data it would be another number: that is one of the rate.
    factor = np.ones(N) if classes is None else np.where(y == 3, 5.0, 1.0)
    own = (weight * factor)[kept]
    rate = 0.01 * own.mean() / own[kept < 200].mean()
    sizes = np.concatenate([_batches((kept // 200 == i).sum()) for i in range(3)])
    one = trained(
        X[kept], y[kept], shuffle=False, sample_weight=own, batch_size=sizes.tolist(), optimizer=fastnn.SGD(rate)
    )
    chunks = cut(X, y, weight)
    other = trained(stream=chunks, shuffle=False, class_weight=classes, optimizer=fastnn.SGD(0.01))
    for a, b in zip(layers(one), layers(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(one.history.train_cost, other.history.train_cost, rtol=1e-4)
    assert one.history.train_accuracy == pytest.approx(other.history.train_accuracy, abs=0.005)


def _batches(n, size=20):
    return [size] * (n // size) + ([n % size] if n % size else [])


def test_a_chunk_may_come_with_weights_and_another_one_without(digits):
    X, y = digits
    parts = cut(X, y)
    mixed = [(*parts[0], np.full(200, 7.0)), (*parts[1], None), (*parts[2], np.full(200, 7.0))]
    whole = [(*part, np.full(200, weight)) for part, weight in zip(parts, (7.0, 1.0, 7.0), strict=True)]
    assert same(trained(stream=mixed), trained(stream=whole))


def test_what_is_learned_first_comes_from_the_first_chunk(digits):
    X, y = digits
    X = X * 50 + 3
    names = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    net = trained(stream=cut(X, names[y]), net=network(scale="standard"), epochs=10)
    first = network(scale="standard")
    first.fit(X[:200], names[y][:200], epochs=0)
    np.testing.assert_array_equal(net._reader.scaling.shift, first._reader.scaling.shift)
    np.testing.assert_array_equal(net.classes, np.unique(names))
    assert (net.predict(X) == names[y]).mean() > 0.9


def test_samples_of_no_weight_have_no_part_in_a_scale_of_the_first_chunk(digits):
    X, y = digits
    wild, weights = X.copy(), np.ones(len(y))
    wild[::7] *= 1000
    weights[::7] = 0
    one, other = (network(scale="standard") for _ in range(2))
    one.fit(stream=[(X, y, weights)], epochs=2)
    other.fit(stream=[(wild, y, weights)], epochs=2)
    assert same(one, other)


@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_chunk_that_weighs_nothing_is_left_out(digits, place):
    X, y = digits
    full = cut(X, y, np.linspace(1, 2, N))
    # Nothing of it counts: neither labels that nobody knows, nor a scale.
    empty = 1000 * X[:50], np.full(50, 99), np.zeros(50)
    settings = {"scale": "standard", "classes": range(10)}
    alone = trained(stream=full, net=network(**settings), validation_data=full.__iter__)
    others = [*full[:place], empty, *full[place:]]
    assert_same_course(alone, trained(stream=others, net=network(**settings), validation_data=others.__iter__))


def test_a_chunk_whose_classes_weigh_nothing_is_left_out(digits):
    X, y = digits
    order = np.argsort(y == 7, kind="stable")
    chunks = [(X[order][y[order] != 7], y[order][y[order] != 7]), (X[y == 7], y[y == 7])]
    weights = {"class_weight": {7: 0}}
    assert_same_course(trained(stream=chunks[:1], **weights), trained(stream=chunks, **weights))


def test_of_all_chunks_one_must_weigh_something(digits):
    X, y = digits
    nothing = cut(X, y, np.zeros(N))
    with pytest.raises(ValueError, match=r"the weights of all chunks of stream must not be all zero.* in epoch 1"):
        trained(stream=nothing)
    with pytest.raises(ValueError, match=r"all chunks of validation_data must not be all zero"):
        trained(*digits, validation_data=nothing.__iter__)
    wrong = [(X, y, np.zeros(N - 1))]
    with pytest.raises(ValueError, match=r"chunk 0 of stream: sample_weight must have shape \(600,\), got \(599,\)"):
        trained(stream=wrong)


@pytest.mark.parametrize("scale", ["standard", "minmax", "robust"])
def test_a_first_chunk_of_constant_targets_tells_no_scale(scale, digits):
    X, y = digits
    Y = np.column_stack([1000.0 + y, np.repeat([7.0, 9.0], N // 2)])

    def prices(target_scale):
        return fastnn.Network([64, 4, 2], output="identity", cost="quadratic", target_scale=target_scale)

    net = prices(scale)
    before = state(net)
    with pytest.raises(ValueError, match=r"chunk 0 of stream: target_scale='\w+' .* y is 7 in all 200 .* column 1,"):
        trained(stream=cut(X, Y), net=net)
    assert state(net) == before
    trained(stream=cut(X, Y)[1:], net=net)  # a chunk that tells
    trained(stream=cut(X, Y), net=prices(1000.0))
    trained(stream=cut(X, Y), net=net)  # it is known by now
    weight = np.repeat([0.0, 1.0], [N // 2 - 50, N // 2 + 50])  # of the second chunk only the second half
    trained(stream=cut(X, Y, weight, rows=400), net=prices(scale))


@pytest.fixture
def repeated(digits):
    """Three chunks that are the same, with columns that are constant."""
    return digits[0][np.arange(N) % 200], digits[1]


def told(wanted, data, net):
    """What is warned of columns that are not constant, as often as is wanted."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trained(stream=data, net=net, epochs=3)
    found = [warning for warning in caught if "for ever" in str(warning.message)]
    assert len(found) == wanted
    for warning in found:
        assert warning.category is fastnn.TrainingWarning
        assert warning.filename == __file__
    return [str(warning.message) for warning in found]


@pytest.mark.parametrize("scale", ["minmax", "standard", "robust"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "uint8"])
def test_a_column_that_is_constant_in_the_first_chunk_alone_is_told_once(repeated, scale, dtype):
    X, y = repeated[0].astype(dtype), repeated[1]
    X[:, [5, 40]] = 7
    told(0, cut(X, y), network(scale=scale))
    X[450:, 5] = 9
    X[500:, 40] = 9
    (text,) = told(1, cut(X, y), network(scale=scale))
    assert f"column 5 of X was 7 in all samples that scale='{scale}' was learned from" in text
    assert "a later chunk holds 9 there" in text
    told(0, cut(X, y), network(scale=16.0))


def test_a_column_of_a_frame_that_is_constant_in_the_first_chunk_alone_is_told_by_name(repeated):
    pd = pytest.importorskip("pandas")
    X = repeated[0]
    X[:, 5], X[::3, 6] = 7, np.nan  # what is missing is no other value
    frame = pd.DataFrame(X, columns=[f"pixel {i}" for i in range(64)])
    told(0, cut(frame, repeated[1]), network(scale="minmax", missing="mean"))
    frame.iloc[300, 5] = 9
    (text,) = told(1, cut(frame, repeated[1]), network(scale="minmax", missing="mean"))
    assert "column 'pixel 5' of X was 7" in text


def test_a_column_that_differs_where_nothing_weighs_is_constant(repeated):
    (X, y), weight = repeated, np.ones(N)
    X[:, 5] = 7
    X[[3, 300], 5], weight[[3, 300]] = 9, 0
    told(0, cut(X, y, weight), network(scale="standard"))


def test_a_word_that_comes_only_later_is_told(repeated):
    X = repeated[0]
    X[:, 5], X[:, 6] = 0, 1
    for scale in ("minmax", "standard"):
        matrix = sparse.csr_matrix(X)
        told(0, cut(matrix, repeated[1]), network(scale=scale))
        X[300, 5] = 9
        (text,) = told(1, cut(sparse.csr_matrix(X), repeated[1]), network(scale=scale))
        assert "column 5 of X was 0" in text
        assert "holds 9 there" in text
        X[300, 5] = 0


def test_initial_weights_may_be_scaled_by_the_first_chunk(digits):
    assert np.isfinite(trained(stream=cut(*digits), net=network(initializer="lsuv")).history.train_cost).all()


# --- what ends it ---


class Watched:
    """A generator function that knows what it has made, and whether all of it was closed."""

    def __init__(self, chunks, error=None, pause=0.0):
        self.chunks, self.error, self.pause = chunks, error, pause
        self.made, self.open, self.threads = 0, 0, set()

    def __call__(self):
        self.open += 1
        try:
            for number, chunk in enumerate(self.chunks):
                self.threads.add(threading.current_thread())
                if self.error is not None and number == self.error[0]:
                    raise self.error[1]
                if number:
                    time.sleep(self.pause)
                self.made += 1
                yield chunk
        finally:
            self.open -= 1


def comes_true(condition):
    """Whether something is so before long: on a busy machine the other thread may need some time."""
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    return condition()


def threads_left():
    return [thread for thread in threading.enumerate() if thread.name.startswith("fastnn")]


def is_closed(stream):
    return comes_true(lambda: not stream.open and not threads_left())


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert comes_true(lambda: not threads_left())


def test_one_chunk_is_read_ahead_and_no_more(digits):
    stream = Watched(cut(*digits, rows=50))
    seen = []

    def shuffle(n):  # asked for every chunk, before it is trained on
        comes_true(lambda: stream.made >= min(len(seen) + 2, 12))
        time.sleep(0.01)  # as long as it would take to make many more
        seen.append(stream.made)
        return np.arange(n)

    trained(stream=stream, epochs=1, shuffle=shuffle)
    assert seen == [min(i + 2, 12) for i in range(12)]
    assert threading.current_thread() not in stream.threads


@pytest.mark.parametrize("stop", ["callback", "max_time", "error", "divergence", "epochs"])
def test_generators_are_closed_whatever_ends_training(digits, stop):
    stream = Watched(cut(*digits))
    net = network(output="identity", cost="quadratic")

    def callback(net, history):
        if stop == "error":
            raise ZeroDivisionError
        return stop == "callback"

    arguments = {"callbacks": [callback]}
    if stop == "max_time":
        arguments = {"max_time": 1e-9}
    if stop == "divergence":
        arguments = {"optimizer": fastnn.SGD(1e9)}
    errors = {"error": ZeroDivisionError, "divergence": fastnn.DivergenceError}
    settings = {"stream": stream, "epochs": 3, **arguments}
    if stop in errors:
        with pytest.raises(errors[stop]):
            trained(net=net, **settings)
    else:
        trained(net=net, **settings)
    assert is_closed(stream)
    assert net.history.stopped_by == stop


def test_the_users_error_comes_out_with_its_traceback(digits):
    stream = Watched(cut(*digits), error=(1, KeyError("no such file")))
    net = network()
    with pytest.raises(KeyError, match="no such file") as caught:
        trained(net=net, stream=stream)
    assert any(
        frame.name == "__call__" and "test_streams" in frame.filename for frame in traceback.extract_tb(caught.tb)
    )
    assert net.history.stopped_by == "error"
    assert is_closed(stream)
    trained(net=net, stream=cut(*digits))


def test_an_error_in_the_first_chunk_changes_nothing(digits):
    net = network()
    before = state(net)
    with pytest.raises(KeyError):
        trained(net=net, stream=Watched(cut(*digits), error=(0, KeyError())))
    assert state(net) == before
    assert net.task is None


def test_max_time_is_answered_while_a_chunk_is_waited_for(digits):
    stream = Watched(cut(*digits), pause=3.0)
    net = trained(stream=cut(*digits), epochs=1)  # compiled
    trained(net=net, stream=stream, epochs=1, max_time=0.1)
    assert net.history.stopped_by == "max_time"
    assert stream.open == 1  # busy: nobody waits for it
    assert stream.made == 1


def test_ctrl_c_is_answered_while_a_chunk_is_waited_for(digits):
    began, waited = threading.Event(), []

    def shuffle(n):
        began.set()
        return np.arange(n)

    def stream():
        yield digits
        began.wait(20)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(3)
        waited.append(True)
        yield digits

    net = network()
    with pytest.raises(KeyboardInterrupt):
        trained(net=net, stream=stream, epochs=1, shuffle=shuffle)
    assert not waited
    assert net.history.stopped_by == "interrupt"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not net._fitting.here.locked()
    trained(net=net, stream=cut(*digits))


def test_ctrl_c_at_many_places_tears_nothing(digits):
    chunks = [(X[:40], y[:40]) for X, y in cut(*digits)]

    class Fit(interrupting.ShortFit):
        def __call__(self):
            self.stream = Watched(chunks)
            settings = {"validation_data": chunks[0], "callbacks": [lambda *_: None], "class_weight": {1: 2.0}}
            self.net.fit(stream=self.stream, epochs=2, batch_size=20, progress=False, **settings)

    fit = Fit()
    fit()
    places = interrupting.count_places(fit)
    assert places > 500
    for place in range(1, places, places // 100):
        outcome = interrupting.interrupt_at(fit, place)
        if outcome is None:
            continue  # the thread was faster this time, and less was waited for
        assert is_closed(fit.stream), outcome.place
        assert not fit.problems(outcome)


def test_ctrl_c_is_answered_before_the_first_chunk(digits):
    def stream():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(2)
        yield digits

    net = network()
    before = state(net)
    with pytest.raises(KeyboardInterrupt):
        trained(net=net, stream=stream)
    assert state(net) == before


@pytest.mark.parametrize("rate", [3.0, 30.0, 1e4, 1e10])
def test_a_divergence_leaves_what_it_leaves_without_a_stream(digits, rate):
    X, y = digits
    found = []
    for data in ({"X": X, "y": y}, {"stream": cut(X, y, rows=20)}):
        net = network(activation="relu", output="identity", cost="quadratic")
        with pytest.raises(fastnn.DivergenceError) as caught:
            net.fit(**data, epochs=5, batch_size=20, optimizer=fastnn.SGD(rate), shuffle=False, progress=False)
        assert all(np.isfinite(array).all() for array in layers(net))
        found.append((net, str(caught.value)))
    assert same(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


@pytest.mark.parametrize(("momentum", "large"), [(0.0, 1 << 30), (1e-30, 1 << 30), (1e-30, 0)])
def test_a_step_that_broke_in_an_earlier_chunk_is_taken_back(momentum, large, monkeypatch):
    """The cost shows it in the next chunk; the good steps before it are taken once more, on samples that are gone."""
    monkeypatch.setattr(training, "_LARGE_STATE", large)
    rng = np.random.default_rng(0)
    X, y = rng.random((400, 1)) * 1e-3, rng.random(400) * 1e-3
    y[160:180] = 1e18  # the last batch of the first chunk
    X[180:] = 1.0
    found = []
    for data in ({"X": X, "y": y}, {"stream": cut(X, y, rows=180)}):
        net = fastnn.Network([1, 1], output="identity", cost="quadratic", seed=3)
        with pytest.raises(fastnn.DivergenceError) as caught:
            trained(net=net, **data, optimizer=fastnn.SGD(1e5, momentum), biases_rate=0.0, shuffle=False)
        found.append((net, str(caught.value).partition(";")[0]))
    assert same(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
    assert "epoch 1, batch 10" in found[0][1]
    started = fastnn.Network([1, 1], output="identity", cost="quadratic", seed=3)
    assert not same(found[1][0], started)


def test_early_stopping_and_plateaus(digits):
    X, y = digits
    stop = fastnn.EarlyStopping("val_accuracy", patience=2)
    net = trained(
        stream=cut(X[:400], y[:400]),
        epochs=100,
        validation_data=(X[400:], y[400:]),
        callbacks=[stop],
        schedule="plateau(patience=1)",
        metrics=[lambda y, answers: float((y == answers).mean())],
    )
    assert net.history.stopped_by == "callback"
    assert net.evaluate(X[400:], y[400:])["accuracy"] == max(net.history.val_accuracy)


# --- what is refused ---


def test_a_generator_is_for_one_epoch(digits):
    chunks = cut(*digits)
    wanted = trained(stream=chunks, epochs=1)
    assert same(wanted, trained(stream=(chunk for chunk in chunks), epochs=1))
    generator = (chunk for chunk in chunks)
    with pytest.raises(ValueError, match=r"stream must be a function .* 3 epochs.*generator, which .* only once"):
        trained(stream=generator, epochs=3)
    assert len(list(generator)) == 3  # nothing was taken


def test_an_iterator_in_disguise_is_found_out_when_it_is_at_its_end(digits):
    once = iter(cut(*digits))
    net = network()
    with pytest.raises(
        ValueError, match=r"at least one chunk .* got none in epoch 2; what can be gone through only once"
    ):
        trained(net=net, stream=lambda: once)
    assert len(net.history.epochs) == 1


CHUNKS = [
    (0, lambda X, y: X, TypeError, r"must be a pair \(X, y\)"),
    (0, lambda X, y: (X[:, :5], y), ValueError, r"X must have shape \(n, 64\)"),
    (1, lambda X, y: (X[:, :5], y), ValueError, r"X must have shape \(n, 64\)"),
    (2, lambda X, y: (X[:0], y[:0]), ValueError, "at least one sample"),
    (2, lambda X, y: (X, y + 5), ValueError, "y must hold labels from 0 to 9"),
    (1, lambda X, y: (X, y[:-1]), ValueError, "y must have as many rows as X"),
    (1, lambda X, y: (np.where(X > 0.9, np.nan, X), y), ValueError, "X must be finite"),
    (2, lambda X, y: (X, np.random.default_rng(0).random((200, 10))), ValueError, "one class in every row"),
    (1, lambda X, y: (X, y, -np.ones(200)), ValueError, "sample_weight must not be negative"),
    (1, lambda X, y: (X, y, np.full(200, 1e300)), ValueError, "sample_weight must fit into float32"),
]


@pytest.mark.parametrize(("number", "change", "error", "text"), CHUNKS)
def test_errors_name_the_chunk(digits, number, change, error, text):
    chunks = cut(*digits)
    chunks[number] = change(*chunks[number])
    net = network()
    before = state(net)
    with pytest.raises(error, match=f"chunk {number} of stream: .*{text}"):
        trained(net=net, stream=chunks)
    if number == 0:
        assert state(net) == before
    else:
        assert net.history.stopped_by == "error"
        assert net.task == "classes"


def test_chunks_are_all_sparse_or_none(digits):
    sparse = pytest.importorskip("scipy.sparse").csr_matrix
    chunks = cut(*digits)
    for kinds, text in (
        ([sparse, np.asarray], "sparse, as .* got a dense"),
        ([np.asarray, sparse], "dense, as .* a sparse"),
    ):
        mixed = [(kind(X), y) for kind, (X, y) in zip(kinds, chunks, strict=False)]
        with pytest.raises(TypeError, match=f"chunk 1 of stream: X must be {text}"):
            trained(stream=mixed)


def test_columns_of_frames_must_agree(digits):
    frame = pytest.importorskip("pandas").DataFrame
    names = [f"x{i}" for i in range(64)]
    frames = [(frame(X, columns=names), y) for X, y in cut(*digits)]
    turned = [(X[names[::-1]] if i else X, y) for i, (X, y) in enumerate(frames)]
    assert same(trained(stream=frames), trained(stream=turned))
    frames[1] = frames[1][0].rename(columns={"x3": "other"}), frames[1][1]
    with pytest.raises(ValueError, match="chunk 1 of stream: X must have the columns of the first fit"):
        trained(stream=frames)


REFUSED = [
    ({"X": [[0.0] * 64]}, ValueError, "X does not go with stream"),
    ({"y": [1]}, ValueError, "y does not go with stream"),
    ({"sample_weight": [1.0]}, ValueError, "sample_weight does not go with stream"),
    ({"validation_split": 0.1}, ValueError, "validation_split does not go with stream.* validation_data"),
    ({"class_weight": "balanced"}, ValueError, "class_weight must be a mapping"),
    ({"class_weight": "balance"}, ValueError, "class_weight must be one of"),
    ({"batch_size": [300, 300]}, ValueError, "batch_size must be one number"),
    ({"drop_last": 3}, TypeError, "drop_last must be True or False"),
    ({"batch_size": 0}, ValueError, "batch_size must be >= 1"),
    ({"optimizer": "lbfgs"}, ValueError, "optimizer 'lbfgs' needs all samples in one batch"),
    ({"optimizer": "rprop"}, ValueError, "optimizer 'rprop' needs all samples in one batch"),
    ({"schedule": "cosine"}, ValueError, "needs the number of steps.*chunk_sizes"),
    ({"schedule": lambda u: 1.0}, ValueError, "needs the number of steps.*chunk_sizes"),
    ({"epochs": -1}, ValueError, "epochs must be >= 0"),
    ({"l2": -1}, ValueError, "l2 must be >= 0"),
    ({"stream": 3}, TypeError, "stream must be a function .* got int"),
    ({"stream": "file.parquet"}, TypeError, "stream must be a function .* got str"),
    ({"stream": lambda: 3}, TypeError, "stream must return an iterable of chunks .* got int"),
    ({"stream": []}, ValueError, "stream must have at least one chunk .* got none in epoch 1"),
]


@pytest.mark.parametrize(("arguments", "error", "text"), REFUSED)
def test_what_does_not_go_with_a_stream_is_refused(digits, arguments, error, text):
    stream, net = Watched(cut(*digits)), network()
    before = state(net)
    with pytest.raises(error, match=text):
        net.fit(**({"stream": stream, "epochs": 2} | arguments))
    assert state(net) == before
    assert net.history is None
    assert is_closed(stream)


def test_without_data_there_is_an_error():
    with pytest.raises(TypeError, match=r"X must .* got None.* stream"):
        network().fit()
    with pytest.raises(TypeError, match=r"y must .* got None"):
        network().fit([[0.0] * 64])


def test_several_networks_take_no_stream(digits):
    with pytest.raises(ValueError, match="got 'stream'"):
        fastnn.fit_many([network()], *digits, stream=cut(*digits))


def test_a_bar_needs_no_length(digits, capsys):
    trained(stream=cut(*digits), progress=True)
    assert "1.20k samples" in capsys.readouterr().err


# --- schedules ---


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "step(every=1, factor=0.5)", lambda u: 1 - u / 2])
def test_schedules_go_with_streams_that_know_their_sizes(digits, schedule):
    X, y = digits
    stream = fastnn.streams.Stream(lambda: cut(X, y), (200, 200, 200))
    arguments = {"shuffle": False, "schedule": schedule, "epochs": 3}
    assert_same_course(trained(stream=stream, **arguments), trained(X, y, **arguments))


def test_more_samples_than_the_sizes_say_are_refused(digits):
    stream = fastnn.streams.Stream(lambda: cut(*digits), (200, 200))
    net = network()
    with pytest.raises(
        ValueError, match=r"chunk 2 of stream: with its 200 samples .* 600 in a pass, .* say 400 in all"
    ):
        trained(net=net, stream=stream, schedule="cosine")
    assert net._engine.memory.steps == 20  # those of two chunks, which are kept


@pytest.mark.parametrize(
    "schedule", ["cosine", "one_cycle", "polynomial", "step(every=1, factor=0.5)", lambda u: 1 - u]
)
def test_a_schedule_does_not_run_on_beyond_its_end(digits, schedule):
    """Chunks that are smaller than the stream says have a last batch each that is smaller."""
    X, y = digits
    stream = fastnn.streams.Stream(lambda: cut(X, y, rows=50), (600,))
    history = trained(stream=stream, schedule=schedule, epochs=4).history
    planned = trained(X, y, schedule=schedule, epochs=4).history
    assert history.learning_rate[-1] == planned.learning_rate[-1]
    assert min(history.learning_rate) >= 0


def test_sizes_are_looked_at(digits):
    stream = fastnn.streams.Stream(lambda: cut(*digits), (200, 0))
    with pytest.raises(ValueError, match=r"stream.chunk_sizes\[1\] must be >= 1"):
        trained(stream=stream)


# --- memory ---

BOUNDED = """
import sys, resource, warnings, numpy as np, fastnn
from pathlib import Path

warnings.simplefilter("ignore", fastnn.TrainingWarning)
ROWS, COUNT = 8192, 60  # chunks of 64 inputs in float64: 4 MB each
MAPPED = 65536, 4096  # in int16, which would be twice as much in float32

def chunks():
    for seed in range(COUNT):
        X = np.random.default_rng(seed).random((ROWS, 64))
        yield X, X[:, 0] > X[:, 1]

def train_on_stream(small):
    net = fastnn.Network([64, 4, 2])
    net.fit(stream=[next(chunks())] if small else chunks, epochs=1, batch_size=256, progress=False)
    return net.history.train_accuracy[-1] > 0.6

def train_on_map(small):
    X = np.memmap(sys.argv[2], np.int16, "r", shape=MAPPED)[: 4500 if small else None]
    y, net = np.arange(len(X)) % 2, fastnn.Network([MAPPED[1], 4, 2])
    def share(y_true, y_pred):
        return float((y_true == y_pred).mean())
    history = net.fit(X, y, epochs=1, batch_size=256, progress=False, validation_data=(X, y), metrics=[share])
    assert history.val_accuracy == history.metrics["share"] == [0.5]
    assert len(net.gradients(X, y)[0]) == 2 and net.diagnose(X, y) is not None
    return len(net.predict(X)) == len(y) and net.evaluate(X, y)["accuracy"] == 0.5

if sys.argv[1] == "stream":
    train, size = train_on_stream, COUNT * ROWS * 64 * 8
else:
    train, size = train_on_map, 4 * MAPPED[0] * MAPPED[1]
train(small=True)  # whatever is compiled and loaded
status = Path("/proc/self/status").read_text()
used = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (used + size // 10,) * 2)
try:
    np.ones(size, np.uint8)
    print("there is no limit")
except MemoryError:
    print(train(small=False))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know no such limit")
@pytest.mark.parametrize("what", ["stream", "map"])
def test_ten_times_the_data_that_memory_holds(what, tmp_path):
    path = tmp_path / "X.bin"
    with path.open("wb") as file:
        file.truncate(65536 * 4096 * 2)  # zeros, which take no room on the disk
    done = run_python("-c", BOUNDED, what, str(path), timeout=300, MALLOC_ARENA_MAX="1")
    assert done.stdout.strip() == "True", done.stderr


# --- arrays in files ---


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks as small as the data here."""
    monkeypatch.setattr(rooms, "_LARGE_MAP", 1000)
    monkeypatch.setattr(layout, "BLOCK_BYTES", 60 * 64 * 4)


def mapped(path, array):
    np.save(path, array)
    found = np.load(path, mmap_mode="r")
    assert isinstance(found, np.memmap)
    return found


MAPS = ["float64", "float32", "int16", "uint8", "bool", ">f8", "columns", "view"]


@pytest.mark.parametrize("scale", [None, 255, "standard"])
@pytest.mark.parametrize("kind", MAPS)
def test_a_map_is_what_it_is_in_memory(digits, kind, scale, tmp_path, small_blocks):
    X, y = digits
    X = 16 * X
    X = X.astype(kind) if kind not in ("columns", "view") else np.asfortranarray(X) if kind == "columns" else X
    found = mapped(tmp_path / "X.npy", X)
    found = np.asarray(found)[3:] if kind == "view" else found
    X, y = (X[3:], y[3:]) if kind == "view" else (X, y)
    weight = np.arange(len(y)) % 3
    nets = []
    for data in (np.array(X), found):
        nets.append(trained(data, y, net=network(scale=scale), shuffle=False, sample_weight=weight))
    assert_same_course(*nets)
    net = nets[0]
    for use in (net.forward, net.predict, net.predict_proba):
        np.testing.assert_array_equal(use(found), use(np.array(X)))
    for weights in (None, weight):
        assert net.evaluate(found, y, weights) == net.evaluate(np.array(X), y, weights)
        gradients = [net.gradients(data, y, weights) for data in (found, np.array(X))]
        for one, other in zip(*(weights + biases for weights, biases in gradients), strict=True):
            np.testing.assert_array_equal(one, other)
        assert net.diagnose(found, y, weights) == net.diagnose(np.array(X), y, weights)


class Store:
    """An array as libraries of files have them: it hands out slices, and is not to be read as a whole."""

    def __init__(self, array):
        self._array = array
        self.shape, self.dtype, self.most = array.shape, array.dtype, 0

    def __getitem__(self, places):
        rows, columns = places if isinstance(places, tuple) else (places, slice(None))
        assert isinstance(rows, slice)
        found = self._array[rows, columns].copy()
        self.most = max(self.most, found.size)
        return found

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("read as a whole")


@pytest.fixture
def small_looks(monkeypatch, small_blocks):
    monkeypatch.setattr(scaling, "_BLOCK", 60 * 64)
    monkeypatch.setattr(scaling, "_COLUMNS", 5)
    monkeypatch.setattr(features, "_NUMBERS_TOGETHER", 60 * 64)
    monkeypatch.setattr(tables, "_CLOSE", 1)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scale", [None, 255, "standard", "minmax", "robust"])
@pytest.mark.parametrize("dtype", ["float32", "int16", "uint8"])
def test_what_hands_out_slices_is_never_read_as_a_whole(digits, scale, dtype, weighted, small_looks):
    X, y = digits
    X = (16 * X).astype(dtype)
    store, weight = Store(X), np.arange(N) % 3 + 1 if weighted else None
    nets = [
        trained(
            data, y, net=network(scale=scale), shuffle=False, sample_weight=weight, validation_data=(data, y, weight)
        )
        for data in (X, store)
    ]
    assert_same_course(*nets)
    net = nets[0]
    assert net.diagnose(store, y, weight) == net.diagnose(X, y, weight)
    store.most = 0  # a few thousand samples from all over are looked at together, which here are all
    network(scale=scale)._reader.settled(store, y, weight)
    for use in (net.forward, net.predict, net.predict_proba):
        np.testing.assert_array_equal(use(store), use(X))
    assert net.evaluate(store, y, weight) == net.evaluate(X, y, weight)
    assert 0 < store.most <= X.size // 4


def test_what_hands_out_slices_may_lack_values_and_samples(digits, small_looks):
    X, y = digits
    X = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    weight = np.arange(N) % 3
    nets = [
        trained(data, y, net=network(missing="mean", scale="standard"), shuffle=False, sample_weight=weight)
        for data in (X, Store(X))
    ]
    assert_same_course(*nets)
    net = network(scale="standard")
    before = state(net)
    with pytest.raises(ValueError, match=r"X must be finite, got nan at \[\d+, \d+\]"):
        trained(Store(X), y, net=net)
    with pytest.raises(ValueError, match=r"X must have shape \(n, 64\), got \(600, 63\)"):
        trained(Store(X[:, 1:]), y, net=net)
    assert state(net) == before


def test_arrays_in_memory_of_other_libraries_are_taken_as_a_whole():
    class InMemory(Store):
        __dlpack__ = None

    for values in (np.zeros((2, 2)), InMemory(np.zeros((2, 2))), Store(np.zeros(2)), Store(np.array([["a"]])), [[1]]):
        assert not tables.is_stored(values)
    assert tables.is_stored(Store(np.zeros((2, 2))))


def test_what_hands_out_slices_need_not_make_an_array_of_itself(digits):
    X, y = digits
    X = X.astype(np.float32)
    nets = [trained(data, y, net=network(scale="standard"), validation_split=0.2) for data in (X, Store(X))]
    assert_same_course(*nets)
    np.testing.assert_array_equal(nets[0].predict(Store(X[:1])), nets[0].predict(X[:1]))


def test_what_does_not_know_how_many_rows_it_has_is_read_as_a_whole(digits):
    class Unknown(Store):
        def __init__(self, array):
            super().__init__(array)
            self.shape = (math.nan, array.shape[1])

        def __array__(self, dtype=None, copy=None):
            return self._array.astype(dtype or self.dtype)

    X, y = digits
    assert_same_course(*(trained(data, y, sample_weight=np.arange(N) % 3) for data in (X, Unknown(X))))
    scaled = network(scale="standard")
    with pytest.raises(TypeError, match=r"X must have a known number of rows, got shape \(nan, 64\)"):
        trained(Unknown(X), y, net=scaled, sample_weight=np.arange(N) % 3)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["labels", "rows", "quantities"])
def test_validation_data_may_be_a_map(digits, kind, weighted, tmp_path, small_blocks):
    X, y = digits
    cost, output = ("quadratic", "identity") if kind == "quantities" else ("cross_entropy", "sigmoid")
    answers = {"labels": y, "rows": np.eye(10)[y], "quantities": np.eye(10)[y] / 3 + 0.1}[kind]
    others = [np.arange(N) % 3] if weighted else []
    held_out, nets = mapped(tmp_path / "X.npy", X), []
    metrics = ["accuracy"] if kind == "labels" else [lambda y_true, y_pred: float(abs(y_true - y_pred).mean())]
    for own in (np.array(X), held_out):
        net = network(cost=cost, output=output, scale="standard")
        stop = fastnn.EarlyStopping("val_cost", patience=1)
        arguments = {"metrics": metrics, "callbacks": [stop], "schedule": "plateau", "epochs": 4}
        nets.append(trained(X[:300], answers[:300], net=net, validation_data=(own, answers, *others), **arguments))
    assert_same_course(*nets)
    assert nets[0].history.metrics == nets[1].history.metrics
    assert len(nets[1].history.val_cost) == len(nets[1].history.train_cost)


def test_what_is_wrong_with_a_map_to_validate_on_is_said_before_anything_changes(digits, tmp_path, small_blocks):
    X, y = digits
    bad = X.copy()
    bad[577, 5] = np.nan
    net = network()
    before = state(net)
    with pytest.raises(ValueError, match=r"validation_data: X must be finite, got nan at \[577, 5\]"):
        trained(X, y, net=net, validation_data=(mapped(tmp_path / "bad.npy", bad), y))
    with pytest.raises(ValueError, match="validation_data: y must have as many rows as X: expected 600, got 599"):
        trained(X, y, net=net, validation_data=(mapped(tmp_path / "X.npy", X), y[1:]))
    assert state(net) == before


@pytest.mark.parametrize("missing", ["mean", "indicator"])
def test_a_map_may_lack_values(digits, missing, tmp_path, small_blocks):
    X, y = digits
    X = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    found = mapped(tmp_path / "X.npy", X)
    sizes = [128 if missing == "indicator" else 64, 16, 10]
    nets = [trained(data, y, net=fastnn.Network(sizes, missing=missing), shuffle=False) for data in (X, found)]
    assert_same_course(*nets)
    np.testing.assert_array_equal(nets[0].predict(found), nets[0].predict(X))


def test_large_maps_only_and_those_that_must_be_converted(tmp_path):
    reader = network()._reader
    path = tmp_path / "large.bin"
    rows = (rooms._LARGE_MAP // (64 * 4)) + 1
    with path.open("wb") as file:
        file.truncate(rows * 64 * 8)
    for dtype, wanted in (
        ("float64", True),
        ("float32", False),
        ("int16", True),
        ("uint8", False),
    ):  # kernels scale bytes
        X = np.memmap(path, dtype, "r", shape=(rows, 64))
        assert rooms.goes_by_blocks(X, reader) == wanted
        assert not rooms.goes_by_blocks(X[:-1], reader)
        assert rooms.goes_by_blocks(np.asarray(X)[:], reader) == wanted
    assert not rooms.goes_by_blocks(np.memmap(path, "u1", "r", shape=(rows, 64)), network(scale=255)._reader)
    assert not rooms.goes_by_blocks(np.broadcast_to(np.zeros(64), (rows, 64)), reader)


def test_blocks_come_in_random_order_and_samples_within_them_too(digits, tmp_path, small_blocks):
    X, y = mapped(tmp_path / "X.npy", digits[0]), digits[1]
    orders = []

    class Noting(rooms.Blocks):
        def _pieces(self, numbers):
            orders.append(list(numbers))
            return super()._pieces(numbers)

    patched = pytest.MonkeyPatch()
    with patched.context() as patch:
        patch.setattr(fastnn.network, "Blocks", Noting)
        net = trained(X, y, epochs=5)
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in orders}) == 5
    assert same(net, trained(X, y, epochs=5))
    assert net.history.train_cost[-1] < net.history.train_cost[0]
    schedule = trained(X, y, epochs=3, schedule="cosine", threads=2).history.learning_rate
    assert schedule == trained(digits[0], y, epochs=3, schedule="cosine").history.learning_rate


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_a_bad_number_in_a_map_is_found_before_anything_changes(digits, bad, tmp_path, small_blocks):
    X, y = digits[0].copy(), digits[1]
    X[577, 5] = bad
    X = mapped(tmp_path / "X.npy", X)
    net = network()
    before = state(net)
    text = "X must fit into float32" if bad == 1e300 else r"X must be finite, got (nan|inf) at \[577, 5\]"
    with pytest.raises(ValueError, match=text):
        trained(X, y, net=net)
    with pytest.raises(ValueError, match=text):
        net.forward(X)
    for use in (net.gradients, net.diagnose):
        with pytest.raises(ValueError, match=text):
            use(X, y)
    for weight in (None, np.arange(N) % 2):
        with pytest.raises(ValueError, match=text):
            net.evaluate(X, y, weight)
    assert state(net) == before


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda X, y: (X[:, :5], y), r"X must have shape \(n, 64\), got \(600, 5\)"),
        (lambda X, y: (X, y[:-1]), "y must have as many rows as X: expected 600, got 599"),
        (lambda X, y: (X, y + 1), "y must hold 10 different labels|y must hold labels"),
    ],
)
def test_what_is_wrong_with_a_map_is_said(digits, change, text, tmp_path, small_blocks):
    X, y = change(mapped(tmp_path / "X.npy", digits[0]), np.append(digits[1][:-1], 9))
    net = trained(*digits)
    for use in (net.fit, net.evaluate):
        with pytest.raises(ValueError, match=text):
            use(X, y)


@pytest.mark.parametrize(
    "arguments",
    [
        {"validation_split": 0.25},
        {"batch_size": [100, 500]},
        {"shuffle": lambda n: np.arange(n)[::-1]},
        {"optimizer": "rprop", "batch_size": N},
        {"class_weight": "balanced", "shuffle": False},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_where_all_samples_are_wanted_at_once_a_map_is_as_in_memory(digits, arguments, tmp_path, small_blocks):
    X, y = digits
    assert_same_course(trained(mapped(tmp_path / "X.npy", X), y, **arguments), trained(X, y, **arguments))


# --- streams of common sources ---


@pytest.fixture(scope="module")
def table(digits):
    pyarrow = pytest.importorskip("pyarrow")
    X, y = digits
    names = [f"x{i}" for i in range(64)]
    columns = dict(zip(names, X.T, strict=True)) | {"digit": y, "weight": np.arange(N) % 3 + 1.0}
    return pyarrow.table({name: columns[name] for name in ["digit", *names, "weight"]})


def test_parquet(digits, table, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    X, y = digits
    paths = [tmp_path / "a.parquet", str(tmp_path / "b.parquet")]
    for path, part in zip(paths, (table[:450], table[450:]), strict=True):
        parquet.write_table(part, path, row_group_size=130)
    stream = fastnn.streams.parquet(paths, "digit", sample_weight="weight", rows=200)
    assert stream.chunk_sizes == (200, 200, 50, 150)
    assert tuple(len(chunk[1]) for chunk in stream) == stream.chunk_sizes
    net = trained(stream=stream, schedule="cosine")
    assert net.columns == tuple(f"x{i}" for i in range(64))
    ends = [0, 200, 400, 450, 600]
    weight = np.arange(N) % 3 + 1.0
    plain = [(X[i:j], y[i:j], weight[i:j]) for i, j in pairwise(ends)]
    assert same(net, trained(stream=fastnn.streams.Stream(lambda: plain, stream.chunk_sizes), schedule="cosine"))


def test_parquet_with_several_targets_and_text(digits, table, tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    names = [f"x{i}" for i in range(62)]
    parquet.write_table(table.drop_columns(["digit", "weight"]), path)
    net = fastnn.Network([62, 8, 2], output="identity", cost="quadratic")
    net.fit(stream=fastnn.streams.parquet(path, ["x62", "x63"], rows=100), epochs=2)
    assert net.task == "regression"
    assert net.columns == tuple(names)
    text = pyarrow.array([f"digit {i}" for i in digits[1]])
    parquet.write_table(table.drop_columns(["weight"]).set_column(0, "digit", text), path)
    net = trained(stream=fastnn.streams.parquet(path, "digit"))
    assert net.classes[3] == "digit 3"


def test_parquet_refuses(table, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    parquet.write_table(table, path)
    with pytest.raises(ValueError, match=r"target must be one of .* did you mean 'digit'"):
        fastnn.streams.parquet(path, "digits")
    with pytest.raises(ValueError, match=r"sample_weight must be one of .* did you mean 'weight'"):
        fastnn.streams.parquet(path, "digit", sample_weight="weights")
    with pytest.raises(ValueError, match="rows must be >= 1"):
        fastnn.streams.parquet(path, "digit", rows=0)
    with pytest.raises(ValueError, match="at least one file"):
        fastnn.streams.parquet([], "digit")
    with pytest.raises(FileNotFoundError):
        fastnn.streams.parquet(tmp_path / "b.parquet", "digit")


def test_npy_files(digits, tmp_path):
    X, y = digits
    paths = [tmp_path / "X.npy", str(tmp_path / "y.npy")]
    for path, values in zip(paths, (X, y), strict=True):
        np.save(path, values)
    stream = fastnn.streams.arrays(*paths, rows=200)
    assert stream.chunk_sizes == (200, 200, 200)
    assert same(trained(stream=stream), trained(stream=cut(X, y)))
    weighted = fastnn.streams.arrays(X, y.tolist(), np.arange(N) + 1.0, rows=250)
    assert weighted.chunk_sizes == (250, 250, 100)
    assert same(trained(stream=weighted), trained(stream=cut(X, y, np.arange(N) + 1.0, rows=250)))


def test_whatever_gives_rows_for_a_slice(digits):
    class Dataset:
        """As libraries of files have them."""

        def __init__(self, values):
            self.shape, self._values = values.shape, values

        def __getitem__(self, rows):
            assert isinstance(rows, slice)
            return self._values[rows]

    stream = fastnn.streams.arrays(Dataset(digits[0]), Dataset(digits[1]), rows=200)
    assert same(trained(stream=stream), trained(stream=cut(*digits)))


def test_arrays_refuse(digits, tmp_path):
    X, y = digits
    with pytest.raises(ValueError, match="y must have as many rows as X: expected 600, got 599"):
        fastnn.streams.arrays(X, y[:-1])
    with pytest.raises(TypeError, match=r"y must be an array, or the path of an .npy file, got int"):
        fastnn.streams.arrays(X, 3)
    with pytest.raises(FileNotFoundError):
        fastnn.streams.arrays(tmp_path / "X.npy", y)


def test_dask_arrays(digits):
    dask = pytest.importorskip("dask.array")
    X, y = digits
    stream = fastnn.streams.dask(dask.from_array(X, chunks=(200, 30)), dask.from_array(y, chunks=77))
    assert stream.chunk_sizes == (200, 200, 200)
    assert same(trained(stream=stream), trained(stream=cut(X, y)))
    rows = np.eye(10)[y]
    weights = dask.from_array(np.arange(N) + 1.0, chunks=600)
    stream = fastnn.streams.dask(dask.from_array(X, chunks=(200, 64)), dask.from_array(rows, chunks=(99, 3)), weights)
    assert same(trained(stream=stream), trained(stream=cut(X, rows, np.arange(N) + 1.0)))


def test_dask_frames(digits):
    pandas, dask = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    X, y = digits
    frame = pandas.DataFrame(X, columns=[f"x{i}" for i in range(64)])
    wanted = trained(
        stream=[(frame[i : i + 200], y[i : i + 200], np.arange(i, i + 200) + 1.0) for i in range(0, N, 200)]
    )
    whole = dask.from_pandas(frame.assign(digit=y, weight=np.arange(N) + 1.0), npartitions=3)
    stream = fastnn.streams.dask(whole, "digit", "weight")
    assert stream.chunk_sizes is None
    assert same(wanted, trained(stream=stream))
    features = whole.drop(columns=["digit", "weight"])
    assert same(wanted, trained(stream=fastnn.streams.dask(features, whole["digit"], whole["weight"])))
    unknown = fastnn.streams.dask(features.values, whole["digit"].values)
    assert unknown.chunk_sizes is None
    assert same(trained(stream=unknown), trained(stream=cut(X, y)))
    some = whole[whole["x5"] > 2]  # of which there are none
    with pytest.raises(ValueError, match="stream must have at least one chunk"):
        trained(stream=fastnn.streams.dask(some, "digit"))


def test_dask_refuses(digits):
    dask = pytest.importorskip("dask.array")
    X = dask.from_array(digits[0], chunks=200)
    with pytest.raises(TypeError, match="X must be a Dask array or DataFrame, got ndarray"):
        fastnn.streams.dask(*digits)
    with pytest.raises(TypeError, match="y must be one of Dask, or the name of a column of X, got ndarray"):
        fastnn.streams.dask(X, digits[1])
    with pytest.raises(ValueError, match="y must be one of"):
        fastnn.streams.dask(X, "digit")


@pytest.mark.parametrize(
    ("library", "call", "extra"),
    [
        ("pyarrow.parquet", lambda: fastnn.streams.parquet("a", "b"), "arrow"),
        ("dask.base", lambda: fastnn.streams.dask(1, 2), "dask"),
    ],
)
def test_what_is_not_installed_is_named_with_its_extra(library, call, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=rf"not installed: pip install .fastnn-engine\[{extra}\]"):
        call()


def test_importing_fastnn_imports_none_of_these():
    code = "import sys, fastnn; print([name for name in ('pyarrow', 'dask', 'pandas') if name in sys.modules])"
    assert run_python("-c", code).stdout.strip() == "[]"


def test_parquet_of_pandas_in_a_folder(tmp_path):
    """An index, which pandas writes as one more column, is no feature."""
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"a": np.linspace(-1, 1, 60), "b": np.arange(60) % 7, "kind": np.arange(60) % 2})
    for i in range(3):
        part = frame[i::3]
        if i:  # with or without a name
            part = part.rename_axis("number" if i == 1 else None)
        part.to_parquet(tmp_path / f"{2 - i}.parquet")
    (tmp_path / "notes.txt").write_text("no data")
    order = pd.concat([frame[2::3], frame[1::3], frame[0::3]])
    stream = fastnn.streams.parquet(tmp_path, "kind")
    assert stream.chunk_sizes == (20, 20, 20)
    chunks = list(stream)
    assert all(X.schema.names == ["a", "b"] for X, _, _ in chunks)
    found = np.concatenate([np.asarray(y) for _, y, _ in chunks])
    assert np.array_equal(found, order["kind"])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match=r"path must hold at least one file, or a folder with files \*.parquet, got"):
        fastnn.streams.parquet(empty, "kind")
