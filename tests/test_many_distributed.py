"""Local SGD: one worker is plain training, several are the mean of what each would have become."""

import os
import signal

import numpy as np
import pytest

import fastnn
from fastnn import SGD, Adam, Network, fit_distributed

distributed = pytest.importorskip("distributed", reason="Dask is not installed: the extra dask")
pytestmark = pytest.mark.filterwarnings("ignore")

X, y, Xt, yt = fastnn.datasets.load_digits()
X, y = X[:401], y[:401]
HALVES = [(X[:200], y[:200]), (X[200:], y[200:])]


def make(**arguments):
    return Network([64, 12, 10], **arguments)


@pytest.fixture(scope="module")
def client():
    workers = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    with distributed.LocalCluster(**workers) as cluster, distributed.Client(cluster) as client:
        yield client


@pytest.mark.parametrize("averages", [1, 3])
@pytest.mark.parametrize("optimizer", [SGD(0.5), Adam()])
def test_one_part_is_plain_training(client, optimizer, averages):
    network, alone = make(), make()
    fit = {"batch_size": 10, "optimizer": optimizer, "shuffle": False, "epochs": 2}
    history = fit_distributed(client, network, [(X, y)], averages=averages, **fit)
    slices = np.array_split(np.arange(401), averages)
    courses = []
    for _ in range(2):
        courses.append([alone.fit(X[s], y[s], **{**fit, "epochs": 1}).train_cost[0] for s in slices])
    for name, array in alone._to_record().arrays.items():
        np.testing.assert_array_equal(network._to_record().arrays[name], array)
    sizes = [len(s) for s in slices]
    np.testing.assert_allclose(history.train_cost, [np.average(costs, weights=sizes) for costs in courses])
    assert network.history is history


def test_two_parts_are_averaged_by_their_samples(client):
    network, copies = make(dtype="float64"), [make(dtype="float64") for _ in HALVES]
    fit = {"batch_size": 10, "optimizer": SGD(0.5, momentum=0.5), "shuffle": False}
    history = fit_distributed(client, network, HALVES, epochs=1, **fit)
    costs = [c.fit(*half, epochs=1, **fit).train_cost[0] for c, half in zip(copies, HALVES, strict=True)]
    for name, array in network._to_record().arrays.items():
        one, two = (c._to_record().arrays[name] for c in copies)
        np.testing.assert_allclose(array, (200 * one + 201 * two) / 401, rtol=1e-12)
    np.testing.assert_allclose(history.train_cost, [(200 * costs[0] + 201 * costs[1]) / 401])


def test_classes_and_scale_are_settled_by_the_first_part(client):
    names = np.array(list("abcdefghij"))
    network, alone = make(scale="standard"), make(scale="standard")
    parts = [(X, names[y]) for X, y in HALVES]
    fit_distributed(client, network, parts, epochs=2)
    alone.fit(X[:200], names[y[:200]], epochs=0)
    assert network.classes.tolist() == list("abcdefghij")
    assert np.array_equal(network._reader.scaling.unit, alone._reader.scaling.unit)


def test_it_learns_from_parts_that_workers_read_themselves(client):
    n = 3

    def part(i):
        X, y, _, _ = fastnn.datasets.load_digits()
        return X[i::n], y[i::n]

    parts = [lambda i=i: part(i) for i in range(n)]  # one more than workers
    network, again = make(), make()
    fit = {"epochs": 3, "averages": 2, "validation_data": (Xt, yt)}
    history = fit_distributed(client, network, parts, **fit)
    assert history.val_accuracy[-1] > 0.7
    assert history.val_accuracy[-1] == network.evaluate(Xt, yt)["accuracy"]
    assert history.train_accuracy[-1] > history.train_accuracy[0]
    assert fit_distributed(client, again, parts, **fit).train_cost == history.train_cost
    further = fit_distributed(client, again, parts, epochs=1)
    assert further.train_cost[0] < history.train_cost[0]


def test_validation_data_may_come_in_chunks(client):
    weight = np.linspace(0, 1, len(yt))
    chunks = [(Xt[i : i + 100], yt[i : i + 100], weight[i : i + 100]) for i in range(0, len(yt), 100)]
    network = make()
    history = fit_distributed(client, network, HALVES, epochs=2, validation_data=lambda: iter(chunks))
    found = network.evaluate(Xt, yt, weight)
    assert history.val_cost[-1] == pytest.approx(found["cost"], rel=1e-5)
    assert history.val_accuracy[-1] == pytest.approx(found["accuracy"], rel=1e-5)
    with pytest.raises(ValueError, match="chunk 1 of validation_data: y must have as many rows"):
        fit_distributed(client, network, HALVES, validation_data=[chunks[0], (Xt, yt[:3])].__iter__)


def test_a_worker_that_dies_loses_nothing(client, tmp_path):
    mark, kill = str(tmp_path / "killed"), (os.kill, signal.SIGKILL)

    def die_once(X, y):
        import os

        if not os.path.exists(mark):
            with open(mark, "w"):
                pass
            kill[0](os.getpid(), kill[1])
        return X, y

    half = HALVES[0]
    plain, network = make(), make()
    expected = fit_distributed(client, plain, HALVES, epochs=2)
    processes = list(client.run(os.getpid).values())

    def kill_one(network, history):
        if len(history.epochs) == 1:
            os.kill(processes[0], signal.SIGKILL)

    history = fit_distributed(client, network, HALVES, epochs=2, callbacks=[kill_one])
    assert history.train_cost == expected.train_cost
    network = make()
    history = fit_distributed(client, network, [lambda: die_once(*half), HALVES[1]], epochs=2)
    assert os.path.exists(mark)
    assert history.train_cost == expected.train_cost
    assert np.array_equal(network.weights[0], plain.weights[0])


def test_callbacks_are_asked_after_every_epoch(client):
    network, seen = make(), []

    def stop(network, history):
        seen.append(network.weights[0])
        return len(history.epochs) == 2

    history = fit_distributed(client, network, HALVES, epochs=5, callbacks=[stop])
    assert (history.stopped_by, history.epochs) == ("callback", [1, 2])
    assert np.array_equal(seen[-1], network.weights[0])
    assert not np.array_equal(seen[0], seen[1])


def test_time_is_limited(client):
    history = fit_distributed(client, make(), HALVES, epochs=10**6, max_time=0.3)
    assert history.stopped_by == "max_time"


def test_a_copy_that_diverges_leaves_the_last_average(client):
    network = make()
    with pytest.raises(fastnn.DivergenceError):
        fit_distributed(client, network, HALVES, optimizer=SGD(1e38))
    assert network.history.stopped_by == "divergence"
    assert np.array_equal(network.weights[0], make().weights[0])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"client": 3}, TypeError, "client must be a Dask Client, got int"),
        ({"network": 3}, TypeError, r"network\[0\] must be a fastnn.Network"),
        ({"parts": []}, TypeError, "parts must be a list of pairs"),
        ({"parts": [HALVES[0], (X, y[:3])]}, ValueError, r"parts\[1\]: y must have as many rows"),
        ({"parts": [lambda: 3]}, TypeError, r"parts\[0\]: a part must be a pair"),
        ({"averages": 500}, ValueError, "averages must be at most the samples of the smallest part, 200"),
        ({"batch_size": -1}, ValueError, "batch_size must be >= 1"),
        ({"threads": 2}, ValueError, "an argument must be one of"),
        ({"validation_data": (X, y[:3])}, ValueError, "y must have as many rows"),
    ],
)
def test_bad_input_changes_nothing(client, change, error, message):
    network = make()
    arguments = {"client": client, "network": network, "parts": HALVES, "epochs": 1, **change}
    with pytest.raises(error, match=message):
        fit_distributed(**arguments)
    assert np.array_equal(network.weights[0], make().weights[0])
