"""Samples that lie across the registers: what small networks gain by it is time alone."""

import ctypes
import mmap
import sys

import numpy as np
import pytest
from problems import (
    TOLERANCE,
    WAYS_TO_TRAIN,
    check_against_naive,
    labels,
    random_network,
    sample_weights,
    samples,
    target_matrix,
)
from states import layers, state

from fastnn import SGD, Network, engine, layout

pytestmark = pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")

SIZES = [[1, 1], [3, 1], [3, 17, 2], [17, 31, 3], [33, 3, 17, 1], [5, 40, 33], [31, 1, 64, 16]]
ARGUMENTS = WAYS_TO_TRAIN | {
    "momentum": {"batch_size": 7, "optimizer": SGD(0.1, momentum=0.9)},
    "largest norms": {"batch_size": 17, "max_norm": 1.0},
}


@pytest.fixture
def lie_across(monkeypatch):
    """Settles whether samples do, whatever pays."""

    def settle(across):
        monkeypatch.setattr(layout, "pays_across", lambda *_: across)

    return settle


def train(n=300, sizes=(9, 7, 5, 3), dtype="float32", activation="tanh", quantities=False, **arguments):
    """A network after some epochs, and the course of its training."""
    output, cost = ("identity", "quadratic") if quantities else ("softmax", "log_likelihood")
    net = Network(sizes, activation, output, cost, seed=1, dtype=dtype)
    y = target_matrix(net, n) if quantities else labels(net, n)
    history = net.fit(samples(net, n), y, **{"epochs": 3, "optimizer": SGD(0.1), "progress": False, **arguments})
    return net, history


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("n", [1, 33, 300])
def test_results_are_right(lie_across, sizes, n, dtype):
    lie_across(True)
    net = random_network(sizes, dtype)
    check_against_naive(net, samples(net, n), target_matrix(net, n))
    check_against_naive(net, samples(net, n), labels(net, n), sample_weights(net, n))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("activation", "output", "cost"),
    [
        ("relu", "softmax", "log_likelihood"),
        ("gelu", "identity", "quadratic"),
        ("mish", "sigmoid", "cross_entropy"),
        ("identity", "tanh", "huber"),
    ],
)
def test_formulas_are_right(lie_across, activation, output, cost, dtype):
    lie_across(True)
    net = random_network([17, 19, 3, 5], dtype, activation, output, cost)
    check_against_naive(net, samples(net, 31), target_matrix(net, 31))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ARGUMENTS)
def test_training_is_the_same_but_for_rounding(lie_across, name, dtype):
    ends = []
    for across in (False, True):
        lie_across(across)
        ends.append(train(dtype=dtype, **ARGUMENTS[name]))
    (rows, by_rows), (blocks, by_blocks) = ends
    np.testing.assert_allclose(by_blocks.train_cost, by_rows.train_cost, rtol=TOLERANCE[dtype])
    assert by_blocks.train_accuracy == by_rows.train_accuracy
    # What rounding left grows over some hundred steps.
    for got, wanted in zip(layers(blocks), layers(rows), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=20 * TOLERANCE[dtype], atol=20 * TOLERANCE[dtype])


@pytest.mark.parametrize("arguments", [{"batch_size": 200}, {"batch_size": 300}, {"batch_size": 31, "clip_norm": 0.1}])
@pytest.mark.parametrize("activation", ["tanh", "gelu"])
def test_threads_do_not_show(lie_across, activation, arguments):
    lie_across(True)
    (one, alone), (two, together) = (
        train(activation=activation, quantities=True, threads=threads, **arguments) for threads in (1, 2)
    )
    assert alone.train_cost == together.train_cost
    assert state(one) == state(two)


@pytest.mark.parametrize("threads", [3, 4, 8])
def test_more_threads_than_inputs(lie_across, threads):
    lie_across(True)
    one, many = (
        train(sizes=(2, 3, 1, 3), batch_size=200, optimizer=SGD(0.1, momentum=0.9), threads=number)[0]
        for number in (1, threads)
    )
    assert state(one) == state(many)


@pytest.mark.parametrize("rows", [1, 5, 16, 37])
@pytest.mark.parametrize("arguments", [{"batch_size": 200}, {"batch_size": 300}, {"batch_size": 200, "threads": 2}])
def test_pieces_of_a_batch_do_not_show(lie_across, monkeypatch, rows, arguments):
    lie_across(True)
    whole, course = train(**arguments)
    monkeypatch.setattr(engine, "_PRODUCTS_OF_A_PART", 1)
    monkeypatch.setattr(engine, "_FEWEST_ROWS", rows)
    pieces, other = train(callbacks=[lambda *_: None], **arguments)
    assert course.train_cost == other.train_cost
    assert state(whole) == state(pieces)


def test_bytes_and_a_scale_of_columns_come_in_as_by_rows(lie_across):
    rng = np.random.default_rng(3)
    X, y = rng.integers(0, 255, (200, 21)).astype(np.uint8), rng.integers(0, 3, 200)
    for scale in (255, "standard"):
        costs = []
        for across in (False, True):
            lie_across(across)
            net = Network([21, 6, 3], scale=scale, seed=0)
            costs.append(
                [*net.fit(X, y, epochs=2, batch_size=32, progress=False).train_cost, net.evaluate(X, y)["cost"]]
            )
        np.testing.assert_allclose(costs[1], costs[0], rtol=TOLERANCE["float32"])


def test_dropped_inputs_go_by_rows(lie_across):
    ends = []
    for across in (False, True):
        lie_across(across)
        ends.append(state(train(batch_size=32, dropout=[0.2, 0.3, 0.1])[0]))
    assert ends[0] == ends[1]


def test_a_learned_scale_of_the_inputs(lie_across):
    costs = []
    for across in (False, True):
        lie_across(across)
        net = Network([9, 7, 3], input_scale=True, seed=0)
        costs.append(net.fit(samples(net, 100), labels(net, 100), epochs=3, batch_size=31, progress=False).train_cost)
    np.testing.assert_allclose(costs[1], costs[0], rtol=TOLERANCE["float32"])


def test_history_says_so(lie_across):
    for across in (False, True):
        lie_across(across)
        assert train(batch_size=32)[1].first_layer.endswith("across the registers") == across


@pytest.mark.parametrize(
    ("sizes", "batch", "lanes", "pays"),
    [
        ((24, 8, 2), 200, 16, True),  # half a register is padding
        ((4, 32, 16, 4), 128, 16, True),
        ((64, 64, 10), 32, 16, False),
        ((784, 128, 10), 32, 16, False),
        ((24, 8, 2), 1, 16, False),  # 15 of 16 lanes would be empty
        ((64, 10, 10), 200, 8, True),
        ((64, 40, 10), 200, 8, False),
    ],
)
def test_small_networks_gain(sizes, batch, lanes, pays):
    assert layout.pays_across(sizes, batch, lanes) == pays


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for a page that nobody may read")
@pytest.mark.parametrize("n_in", [1, 3, 9, 17, 31])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_behind_the_samples_is_read(lie_across, n_in, dtype):
    lie_across(True)
    n = 160
    memory = mmap.mmap(-1, -(-n * n_in * 8 // mmap.PAGESIZE) * mmap.PAGESIZE + mmap.PAGESIZE)
    readable = len(memory) - mmap.PAGESIZE
    whole = np.frombuffer(memory, np.uint8)
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(whole.ctypes.data + readable), mmap.PAGESIZE, 0) == 0
    net = Network([n_in, 5, 3], seed=1, dtype=dtype)
    X = samples(net, n)
    at_the_end = whole[readable - X.nbytes : readable].view(dtype).reshape(X.shape)
    at_the_end[:] = X
    history = net.fit(at_the_end, labels(net, n), epochs=2, batch_size=32)
    assert history.first_layer.endswith("samples across the registers")
    other = Network([n_in, 5, 3], seed=1, dtype=dtype)
    other.fit(X, labels(net, n), epochs=2, batch_size=32)
    assert state(net) == state(other)
