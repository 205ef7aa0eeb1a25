"""Zeros that neighbours have in common are skipped: fewer products, the same bits as of a dense first layer."""

import numpy as np
import pytest
from problems import WAYS_TO_TRAIN
from states import state

from fastnn import SGD, Network, datasets, engine, layout, network, samples
from fastnn.kernels.host import SKIPPED_INPUTS, SKIPPED_SAMPLES, WIDTH

pytestmark = pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")

ARGUMENTS = WAYS_TO_TRAIN | {
    "dropout": {"batch_size": 17, "dropout": [0.3, 0.2], "max_norm": 1.0},
}


def images(n_in, dtype="float32", n=300):
    """Runs of numbers, some negative or -0; a sample without anything, and one with everything."""
    rng = np.random.default_rng(n_in)
    X = rng.integers(-3, 255, (n, n_in)).astype(dtype)
    starts = rng.integers(0, n_in, n)
    places = np.arange(n_in) - starts[:, np.newaxis]
    X[(places < 0) | (places > n_in // 5)] = 0
    X[3], X[7] = 0, rng.integers(1, 255, n_in)
    X[5, ::2] *= -0.0
    return X, rng.integers(0, 3, n)


@pytest.fixture
def way(monkeypatch):
    """Settles how first layers go, whatever pays."""

    monkeypatch.setattr(layout, "pays_across", lambda *_: False)  # which has sums of another order

    def settle(skips):
        monkeypatch.setattr(network, "plan_first_layer", lambda *_: samples.Plan(0, "settled", int(skips)))

    return settle


@pytest.fixture
def fitted(way):
    """Trains a network one way or the other; gives its state and the course of its training."""

    def fit(skips, X, y, units=9, scale=None, **arguments):
        way(skips)
        dtype = "float64" if X.dtype == np.float64 else "float32"
        net = Network([X.shape[1], units, 3], "relu", "softmax", "log_likelihood", scale=scale, seed=1, dtype=dtype)
        history = net.fit(X, y, **{"epochs": 2, "optimizer": SGD(0.1), **arguments})
        return state(net), history.train_cost

    return fit


@pytest.mark.parametrize("arguments", ARGUMENTS.values(), ids=ARGUMENTS)
@pytest.mark.parametrize("n_in", [1, 15, 16, 17, 33, 64, 100])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_as_of_a_dense_first_layer(fitted, n_in, dtype, arguments):
    X, y = images(n_in, dtype)
    arguments = {**arguments, "sample_weight": arguments.get("sample_weight")}
    assert fitted(True, X / 255, y, **arguments) == fitted(False, X / 255, y, **arguments)


@pytest.mark.parametrize("units", [1, 3, 17, 31, 33, 49, 70, 130])
@pytest.mark.parametrize("threads", [1, 2])
def test_any_number_of_units_and_threads(fitted, units, threads):
    X, y = images(83)
    skipped = fitted(True, X / 255, y, units, batch_size=32, threads=threads)
    assert skipped == fitted(False, X / 255, y, units, batch_size=32)


@pytest.mark.parametrize("scale", [None, 255, "minmax"])
def test_bytes(fitted, scale):
    X, y = images(83)
    X = np.clip(X, 0, 255).astype(np.uint8)
    assert fitted(True, X, y, scale=scale, batch_size=32) == fitted(False, X, y, scale=scale, batch_size=32)


@pytest.mark.parametrize("arguments", [{"batch_size": 140}, {"batch_size": 280}, {"batch_size": 60, "clip_norm": 0.1}])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_batch_in_parts(fitted, monkeypatch, arguments, threads):
    X, y = images(83)
    whole = fitted(False, X / 255, y, **arguments)
    monkeypatch.setattr(engine, "_PRODUCTS_OF_A_PART", 1)
    monkeypatch.setattr(engine, "_FEWEST_ROWS", 7)
    monkeypatch.setattr("fastnn.pacing.Pace.next_call", lambda self: (max(self._batches), 1))
    assert fitted(True, X / 255, y, threads=threads, **arguments) == whole


def test_a_learned_scale_of_the_inputs(way):
    X, y = images(83)
    nets = []
    for skips in (True, False):
        way(skips)
        nets.append(Network([83, 9, 3], input_scale=True, seed=2))
        nets[-1].fit(X / 255, y, epochs=2, batch_size=32)
    assert state(nets[0]) == state(nets[1])


def test_what_is_left_in_scratch_does_not_matter(way):
    """Marks and lists of a longer batch stay there, and not even NaN behind a row may show."""
    way(True)
    X, y = images(83)
    nets = [Network([83, 9, 3], seed=1) for _ in range(2)]
    for net in nets:
        net.fit(X / 255, y, epochs=1, batch_size=140)
    place = nets[1]._engine.latest[0]
    place.work[:], place.lists.indices[:] = np.nan, -1
    place.work[place.scratch.zeros : place.scratch.zeros + 64] = 0
    for net in nets:
        net.fit(X[:130] / 255, y[:130], epochs=1, batch_size=140)
    assert state(nets[0]) == state(nets[1])


def test_images_share_zeros_and_scattered_numbers_do_not():
    X, *_ = datasets.load_mnist()
    marks = X[:: len(X) // 256] != 0
    scattered = np.random.default_rng(0).random(marks.shape) < marks.mean()
    assert samples._share_zeros(marks)
    assert not samples._share_zeros(scattered)
    # as counted one by one
    rows = np.mean([marks[i : i + SKIPPED_SAMPLES].any(0) for i in range(0, len(marks), SKIPPED_SAMPLES)])
    columns = np.mean([marks[:, i : i + SKIPPED_INPUTS].any(1) for i in range(0, marks.shape[1], SKIPPED_INPUTS)])
    assert rows < 0.5
    assert columns < 0.33


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_where_it_pays(lanes):
    """By what was measured: of units, batch size, and whether steps are made in place, in registers of some width."""
    for n_out, batch_size, adds, wanted in (
        *((128, 32, True, 16), (64, 64, True, 16), (64, 32, True, 0), (128, 16, True, 0), (40, 256, True, 0)),
        *((128, 10, False, 8), (64, 32, False, 8), (64, 33, False, 16), (33, 200, False, 16), (32, 16, False, 16)),
        *((32, 17, False, 0), (16, 10, False, 0)),
    ):
        outlook = samples.Outlook(batch_size, adds)
        assert samples._pays_in_common(n_out, lanes, outlook) == (0 < wanted <= lanes)


@pytest.mark.skipif(WIDTH < 16, reason="elsewhere lists are as fast")
def test_plans_for_images():
    X, y, *_ = datasets.load_mnist()
    X, y = X[:2000], y[:2000]
    for units, optimizer, arguments, skips in (
        (128, SGD(0.1), {"batch_size": 32}, True),
        (128, SGD(0.1), {"batch_size": 10}, False),
        (30, SGD(0.1, momentum=0.9), {"batch_size": 10}, True),
        (30, SGD(0.1, momentum=0.9), {"batch_size": 10, "clip_norm": 1.0}, False),  # whole gradients are added up
        (30, SGD(0.1), {"batch_size": 10, "l1": 1e-5}, True),
    ):
        history = Network([784, units, 10], seed=0).fit(X, y, epochs=1, optimizer=optimizer, **arguments)
        assert history.first_layer.startswith("sparse: 1")
        assert history.first_layer.endswith("neighbours in common") == skips


# --- blocks of inputs, which threads share out ---


@pytest.mark.parametrize("arguments", WAYS_TO_TRAIN.values(), ids=WAYS_TO_TRAIN)
@pytest.mark.parametrize("blocks", [2, 3, 7])
def test_threads_share_out_the_inputs(fitted, blocks, arguments):
    X, y = images(203)
    alone = fitted(blocks, X / 255, y, 33, **arguments)
    for threads in (2, 3):
        assert fitted(blocks, X / 255, y, 33, threads=threads, **arguments) == alone


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("units", [3, 17, 70])
def test_blocks_add_up_to_the_same(way, units, dtype):
    """Another order of summation, with steps of one epoch in between: some roundings of weights of about 1."""
    X, y = images(203, dtype)
    weights = []
    for blocks in (1, 4):
        way(blocks)
        net = Network([203, units, 3], "tanh", "softmax", "log_likelihood", seed=1, dtype=dtype)
        net.fit(X / 255, y, epochs=1, batch_size=31, optimizer=SGD(0.1, momentum=0.9))
        weights.append(np.concatenate([W.ravel() for W in net.weights]))
    tolerance = 2e-5 if dtype == "float32" else 2e-14
    np.testing.assert_allclose(*weights, rtol=tolerance, atol=tolerance)
    assert (weights[0] != weights[1]).any()


@pytest.mark.parametrize("threads", [1, 2])
def test_blocks_of_bytes_and_of_parts(fitted, monkeypatch, threads):
    X, y = images(203)
    X = np.clip(X, 0, 255)
    plain = fitted(4, X / 255, y, 33, batch_size=32, epochs=4)
    pixels = fitted(4, X.astype(np.uint8), y, 33, scale=255, batch_size=32, epochs=4, threads=threads)
    assert pixels[1] == plain[1]
    monkeypatch.setattr(engine, "_PRODUCTS_OF_A_PART", 1)
    monkeypatch.setattr(engine, "_FEWEST_ROWS", 7)
    monkeypatch.setattr("fastnn.pacing.Pace.next_call", lambda self: (max(self._batches), 1))
    assert fitted(4, X / 255, y, 33, batch_size=32, epochs=4, threads=threads) == plain


@pytest.mark.skipif(WIDTH < 16, reason="elsewhere lists are as fast")
def test_rows_are_shared_out_where_inputs_are_dropped(monkeypatch):
    X, y, *_ = datasets.load_mnist()
    plans, plan = [], samples.plan_first_layer
    monkeypatch.setattr(network, "plan_first_layer", lambda *given: plans.append(plan(*given)) or plans[-1])
    for dropout in (0, 0.2):
        Network([784, 128, 10], seed=0).fit(X[:500], y[:500], epochs=1, batch_size=32, dropout=[dropout, 0])
    assert [plan.skips for plan in plans] == [4, 1]


# --- predictions ---


@pytest.fixture
def predicting(monkeypatch):
    """Makes networks with the same weights, of whose predictions nothing is known yet."""

    monkeypatch.setattr(layout, "pays_across", lambda *_: False)  # then no zeros are skipped

    def make(dtype="float32", n_in=100):
        return Network([n_in, 70, 3], "relu", "softmax", "log_likelihood", seed=1, dtype=dtype)

    return make


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_in", [64, 100, 131])
def test_predictions_have_the_same_bits_when_zeros_are_skipped(predicting, n_in, dtype):
    X, _ = images(n_in, dtype)
    net, dense = predicting(dtype, n_in), predicting(dtype, n_in).forward(X)
    assert not net._engine._skips
    net.forward(X)
    assert net._engine._skips
    for n in (300, 257, 33, 31, 17, 7, 3, 1):
        np.testing.assert_array_equal(net.forward(X[:n]), dense[:n])
        np.testing.assert_array_equal(net.forward(X[5 : 5 + n : 2]), dense[5 : 5 + n : 2])


def test_bytes_and_evaluations_skip_zeros_with_the_same_bits(predicting):
    X, y = images(100)
    for data in (np.clip(X, 0, 255).astype(np.uint8), X):
        net, fresh = predicting(), predicting()
        seen, outputs = fresh.evaluate(data, y), predicting().forward(data)
        net.forward(X)
        net.evaluate(data, y)
        assert net._engine._skips
        assert net.evaluate(data, y) == seen
        np.testing.assert_array_equal(net.forward(data), outputs)


def test_data_without_zeros_go_as_before(predicting):
    X, y = images(100)
    full = np.random.default_rng(0).normal(size=X.shape).astype("float32")
    net, outputs, seen = predicting(), predicting().forward(full), predicting().evaluate(full, y)
    net.forward(full)
    assert not net._engine._skips
    for _ in range(2):
        net.forward(X)
    np.testing.assert_array_equal(net.forward(full), outputs)
    for _ in range(2):
        assert net.evaluate(full, y) == seen
    assert not net._engine._skips


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 50, 99])
def test_what_is_not_finite_is_found_where_zeros_are_skipped(predicting, bad, place):
    X, _ = images(100)
    net = predicting()
    net.forward(X)
    X[211, place] = bad
    for first in (0, 211):
        with pytest.raises(ValueError, match="finite"):
            net.forward(X[first:])
