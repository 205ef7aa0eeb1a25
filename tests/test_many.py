"""Populations: the same bits as one by one, one copy of the data, and nothing lost when something goes wrong."""

import json
import os
import sys
import threading
import time
import warnings

import numpy as np
import pytest
from children import run_python
from states import same

import fastnn
from fastnn import SGD, Adam, Network, each, fit_many
from fastnn.cores import usable_cores
from fastnn.many.fit import populate_from
from fastnn.training import Training

X, y, Xt, yt = fastnn.datasets.load_digits()
X, y = X[:400], y[:400]
# Ctrl-C and time limits are answered within 0.1 s or so; only what no stall of a shared machine explains fails here.
PATIENCE = 1.5

pytestmark = pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")


def small(seed=0, **arguments):
    return Network(**{"sizes": [64, 12, 10], "seed": seed, **arguments})


def assert_same(network, other):
    one, two = network._to_record(), other._to_record()
    assert json.dumps(one.header) == json.dumps(two.header)
    assert all(np.array_equal(one.arrays[name], two.arrays[name]) for name in one.arrays)


def assert_same_course(history, other):
    for name in ("train_cost", "train_accuracy", "val_cost", "val_accuracy"):
        np.testing.assert_array_equal(getattr(history, name), getattr(other, name))
    assert (history.stopped_by, history.first_layer) == (other.stopped_by, other.first_layer)


# --- The same as one by one ---


def motley():
    """Networks that differ in everything."""
    return [
        small(0),
        small(1, sizes=[64, 30, 20, 10], activation=["relu", "tanh"], output="softmax", cost="log_likelihood"),
        small(2, dtype="float64"),
        small(3, sizes=[64, 10], output="identity", cost="quadratic"),
        small(4, dtype="float64", cost="sum_squares"),
    ]


MOTLEY_FIT = {
    "epochs": [4, 1, 2, 3, 2],
    "batch_size": [10, 32, 7, 300, 1],
    "optimizer": [SGD(0.1), Adam(), SGD(0.1, momentum=0.9), SGD(0.01), SGD(0.01)],
    "l2": [0.0, 1e-3, 0.0, 1e-4, 0.0],
    "shuffle": [True, True, False, True, lambda n: np.arange(n)[::-1]],
}


@pytest.mark.parametrize("n_jobs", [1, 2, 5])
def test_networks_that_differ_in_everything(n_jobs):
    networks, alone = motley(), motley()
    weights = np.linspace(0.5, 1.5, len(X))
    own = {name: each(values) for name, values in MOTLEY_FIT.items()}
    common = {"validation_data": (Xt, yt), "sample_weight": weights}
    histories = fit_many(networks, X, y, n_jobs=n_jobs, **own, **common)
    for i, (network, history) in enumerate(zip(alone, histories, strict=True)):
        expected = network.fit(X, y, **{name: values[i] for name, values in MOTLEY_FIT.items()}, **common)
        assert_same_course(history, expected)
        assert_same(network, networks[i])
        assert networks[i].history is history


def as_pixels(data):
    return (data * 255).astype(np.uint8)


def as_sparse(data):
    return pytest.importorskip("scipy.sparse").csr_array(data * (data > 0.5))


@pytest.mark.parametrize("form", [np.asarray, as_pixels, as_sparse, lambda data: data.tolist()])
def test_rows_are_as_if_the_samples_were_cut(form):
    rng = np.random.default_rng(0)
    repeated = rng.integers(0, len(X), 150)
    rows = [repeated, np.arange(len(X)) % 3 != 0, None, [5, 1, 1], np.arange(300)[::-1]]
    held_out = [np.arange(0, 400, 9), np.arange(len(X)) % 3 == 0, None, [7], repeated]
    networks, alone, data = motley(), motley(), form(X)
    histories = fit_many(networks, data, y, epochs=2, rows=rows, validation_rows=held_out, n_jobs=2)
    array = data if hasattr(data, "shape") else np.array(data)
    taken = [slice(None) if mine is None else mine for mine in rows]
    for network, other, history, mine, measured in zip(networks, alone, histories, taken, held_out, strict=True):
        pair = None if measured is None else (array[measured], y[measured])
        assert_same_course(history, other.fit(array[mine], y[mine], epochs=2, validation_data=pair))
        assert_same(network, other)


WEIGHTS = np.random.default_rng(1).random(len(X))


@pytest.mark.parametrize("class_weight", [None, "balanced", {3: 0.0, 4: 2.0}])
@pytest.mark.parametrize("sample_weight", [None, WEIGHTS, WEIGHTS * (WEIGHTS > 0.3)])
@pytest.mark.parametrize("rows", [None, np.arange(3, 400, 2), [5, 7, 7, 300, 301]])
def test_weights_go_with_their_rows_and_not_into_validation(rows, sample_weight, class_weight):
    network, alone, held_out = small(), small(), np.arange(0, 400, 5)
    weights = {"sample_weight": sample_weight, "class_weight": class_weight}
    (history,) = fit_many([network], X, y, epochs=2, rows=[rows], validation_rows=[held_out], **weights)
    taken = slice(None) if rows is None else rows
    if sample_weight is not None:
        weights["sample_weight"] = sample_weight[taken]
    expected = alone.fit(X[taken], y[taken], epochs=2, validation_data=(X[held_out], y[held_out]), **weights)
    assert_same_course(history, expected)
    assert_same(network, alone)


def test_many_masks_with_weights_are_told_apart():
    """Arrays that are made of masks must not be taken for others that have come to lie in their place."""
    rng = np.random.default_rng(5)
    masks, weights = list(rng.random((12, 400)) < 0.3), WEIGHTS * (WEIGHTS > 0.3)
    networks = [small(i, sizes=[64, 10]) for i in range(12)]
    histories = fit_many(networks, X, y, epochs=1, rows=masks, sample_weight=weights, class_weight="balanced")
    for i, (mask, history) in enumerate(zip(masks, histories, strict=True)):
        alone = small(i, sizes=[64, 10])
        fit = {"sample_weight": weights[mask], "class_weight": "balanced"}
        assert_same_course(history, alone.fit(X[mask], y[mask], epochs=1, **fit))


def test_the_same_rows_share_a_scale_and_what_it_makes_of_the_data():
    mask = np.arange(400) < 300
    networks = [small(i, scale="standard") for i in range(4)]
    population = populate_from(networks, X, y, [mask, mask, mask, ~mask], None, {})
    assert [member.train.dataset for member in population.members] == [0, 0, 0, 1]


@pytest.mark.parametrize("scale", ["standard", "minmax", "robust"])
def test_a_scale_is_learned_from_a_network_s_own_rows(scale):
    rows, held_out = [np.arange(200), np.arange(200, 400), None], [np.arange(200, 400), np.arange(200), [1, 2]]
    networks, alone = ([small(i, scale=scale) for i in range(3)] for _ in range(2))
    data = X * np.linspace(1, 20, len(X))[:, np.newaxis]
    histories = fit_many(networks, data, y, epochs=2, rows=rows, validation_rows=held_out)
    for network, other, history, mine, measured in zip(networks, alone, histories, rows, held_out, strict=True):
        taken = slice(None) if mine is None else mine
        pair = data[measured], y[measured]
        assert_same_course(history, other.fit(data[taken], y[taken], epochs=2, validation_data=pair))
        assert_same(network, other)
    assert not np.array_equal(networks[0]._reader.scaling.unit, networks[1]._reader.scaling.unit)


@pytest.mark.parametrize(
    "fit",
    [
        {"validation_split": 0.2, "metrics": ["f1_macro"]},
        {"schedule": "cosine", "dropout": 0.2, "weight_average": 0.9},
        {"validation_data": (Xt, yt, np.linspace(0, 2, len(yt)))},
        {"drop_last": True, "clip_norm": 1.0, "batch_size": 30},
    ],
)
@pytest.mark.parametrize("initializer", ["scaled", "lsuv"])
def test_whatever_fit_can_do(fit, initializer):
    rows = [np.arange(0, 400, 2), None, [3, 1, 4, 1, 5, 9, 2, 6] * 20]
    networks, alone = ([small(i, initializer=initializer) for i in range(3)] for _ in range(2))
    histories = fit_many(networks, X, y, rows=rows, epochs=3, n_jobs=2, **fit)
    for network, other, history, mine in zip(networks, alone, histories, rows, strict=True):
        taken = slice(None) if mine is None else mine
        expected = other.fit(X[taken], y[taken], epochs=3, **fit)
        assert_same_course(history, expected)
        assert history.metrics == expected.metrics
        assert_same(network, other)


def test_labels_of_any_kind_are_known_to_all():
    names = np.array(list("abcdefghij"))[y]
    rows = [np.flatnonzero(y < 9), np.flatnonzero(y > 0)]  # a class is missing in each
    networks = [small(0), small(1, dtype="float64")]
    fit_many(networks, X, names, epochs=5, rows=rows)
    for network in networks:
        assert network.classes.tolist() == list("abcdefghij")
        assert np.mean(network.predict(X) == names) > 0.5


def test_frames_are_read_by_their_names():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=[f"pixel {i}" for i in range(64)])
    rows = [np.arange(0, 400, 2), np.arange(1, 400, 2)]
    networks = [small(i, scale="standard") for i in range(2)]
    histories = fit_many(networks, frame, y, epochs=1, rows=rows)
    alone = small(1, scale="standard")
    assert_same_course(histories[1], alone.fit(frame.iloc[rows[1]], y[rows[1]], epochs=1))
    assert networks[1].columns == tuple(frame.columns)
    assert_same(networks[1], alone)


def test_what_skips_zeros_is_decided_by_the_rows():
    """As in X[rows]: otherwise sums would be taken in another order."""
    data = np.random.default_rng(0).random((600, 64)).astype(np.float32)
    data[:300] *= np.random.default_rng(1).random((300, 64)) < 0.1
    labels = np.arange(600) % 10
    for rows in (np.arange(300), np.arange(300, 600)):
        network, alone = small(), small()
        (history,) = fit_many([network], data, labels, epochs=1, rows=[rows])
        assert_same_course(history, alone.fit(data[rows], labels[rows], epochs=1))
        assert history.first_layer.startswith("sparse" if rows[0] == 0 else "dense")
        assert_same(network, alone)


def test_training_goes_on_from_where_a_network_stands():
    network, alone = small(), small()
    for epochs in (2, 3):
        fit_many([network], X, y, epochs=epochs, optimizer=Adam())
    alone.fit(X, y, epochs=5, optimizer=Adam())
    for name, array in alone._to_record().arrays.items():
        assert np.array_equal(array, network._to_record().arrays[name])


def test_data_of_their_own():
    networks, alone = [small(0), small(1)], [small(0), small(1)]
    flipped = y[::-1].copy()
    fit_many(networks, each([X, X[:100]]), each([flipped, y[:100]]), epochs=1)
    alone[0].fit(X, flipped, epochs=1)
    alone[1].fit(X[:100], y[:100], epochs=1)
    for network, other in zip(networks, alone, strict=True):
        assert_same(network, other)


# --- One copy of the data ---


def datasets_of(networks, data, labels=y, **fit):
    return populate_from(networks, data, labels, None, None, fit).datasets


def test_data_are_used_where_they_are():
    data = np.ascontiguousarray(X, np.float32)
    rows = [np.arange(0, 400, 2), np.arange(1, 400, 2)]
    population = populate_from([small(0), small(1)], data, y, rows, None, {})
    (samples,) = population.datasets
    assert np.shares_memory(samples.data.features, data)
    for member, mine in zip(population.members, rows, strict=True):
        request = member.request(population.datasets, 1.0, None)
        assert np.shares_memory(request.train.data.features, data)
        assert np.shares_memory(request.train.rows, mine)


def test_data_are_checked_once_for_all_networks_of_a_kind(monkeypatch):
    asked = []
    take = Network._samples

    def counted(self, X, *others, **named):
        asked.append(not isinstance(X, tuple))
        return take(self, X, *others, **named)

    monkeypatch.setattr(Network, "_samples", counted)
    fit_many([small(i, dtype=("float32", "float64")[i % 2]) for i in range(10)], X, y, epochs=0)
    assert sum(asked) == 2


def test_both_dtypes_share_what_they_can():
    pixels = as_pixels(X)
    one, two = datasets_of([small(0, scale=255), small(1, dtype="float64", scale=255)], pixels)
    assert one.data.pixels.ctypes.data == two.data.pixels.ctypes.data == pixels.ctypes.data
    assert one.data.labels.ctypes.data == two.data.labels.ctypes.data


def test_networks_that_differ_in_cost_share_converted_samples():
    data = X.astype(np.float64)
    one, two = datasets_of([small(0), small(1, output="identity", cost="quadratic")], data, np.eye(10)[y])
    assert one.data.features.ctypes.data == two.data.features.ctypes.data
    assert one.data.targets.ctypes.data == two.data.targets.ctypes.data


# --- How the work is shared out ---


def companies(monkeypatch):
    """What the trainings are told, in the order in which they begin."""
    told = []
    train = Network._train

    def noted(self, request):
        told.append((self, request.settings.company))
        return train(self, request)

    monkeypatch.setattr(Network, "_train", noted)
    return told


def test_the_longest_come_first(monkeypatch):
    told = companies(monkeypatch)
    networks = [small(0), small(1, sizes=[64, 50, 10]), small(2), small(3)]
    rows = [None, None, None, np.arange(10)]
    fit_many(networks, X, y, epochs=each([1, 1, 20, 1]), rows=rows, n_jobs=1)
    assert [networks.index(network) for network, _ in told] == [2, 1, 0, 3]
    assert [company.looks for _, company in told] == [True, False, False, False]


@pytest.mark.parametrize(("count", "cores"), [(1, 4), (2, 2), (3, 1), (9, 1)])
def test_cores_that_are_left_over_work_inside_of_networks(monkeypatch, count, cores):
    told = companies(monkeypatch)
    fit_many([small(i) for i in range(count)], X, y, epochs=1, n_jobs=4)
    assert {company.cores for _, company in told} == {cores}


def test_threads_inside_change_no_bit(monkeypatch):
    threads = []
    begin = Training.run

    def noted(self, *arguments):
        threads.append(self._threads)
        begin(self, *arguments)

    monkeypatch.setattr(Training, "run", noted)
    networks = [Network([64, 300, 10], seed=1), Network([64, 300, 10], seed=1)]
    monkeypatch.setattr(type(networks[0]._engine), "worthwhile_threads", lambda self, size: 8)
    fit_many(networks[:1], X, y, epochs=2, batch_size=100, n_jobs=2)
    fit_many(networks[1:], X, y, epochs=2, batch_size=100, n_jobs=1)
    assert threads == [2, 1]
    assert_same(*networks)


def test_as_many_at_a_time_as_there_are_jobs():
    together, most, lock = set(), [], threading.Lock()

    def watch(network, history):
        with lock:
            together.add(id(network))
            most.append(len(together))
        time.sleep(0.02)
        with lock:
            together.discard(id(network))

    fit_many([small(i) for i in range(6)], X, y, epochs=2, n_jobs=3, callbacks=[watch])
    assert max(most) == 3


USABLE = "from fastnn.cores import usable_cores; print(usable_cores())"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity masks")
def test_cores_beyond_the_affinity_mask_are_left_alone():
    run = run_python("-c", f"import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); {USABLE}")
    assert run.stdout == "1\n", run.stderr


def test_the_environment_can_limit_the_cores():
    assert run_python("-c", USABLE, LOKY_MAX_CPU_COUNT="1").stdout == "1\n"
    assert run_python("-c", USABLE, LOKY_MAX_CPU_COUNT="many").stdout == f"{usable_cores()}\n"


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_a_task_of_joblib_uses_its_share(backend):
    joblib = pytest.importorskip("joblib")
    cores = usable_cores()
    found = joblib.Parallel(2, backend=backend)(joblib.delayed(usable_cores)() for _ in range(2))
    share = 1 if backend == "threading" else max(1, cores // 2)
    assert found == [share, share]
    assert usable_cores() == cores


# --- What goes wrong ---


def with_one_that_fails(errors, **arguments):
    networks = [small(i, dtype="float32") for i in range(3)]
    fit = {"epochs": 3, "optimizer": each([SGD(0.1), SGD(1e38), SGD(0.1)]), "errors": errors, "n_jobs": 2}
    return networks, lambda: fit_many(networks, X, y, **fit, **arguments)


def assert_others_are_trained(networks):
    for i in (0, 2):
        alone = small(i)
        alone.fit(X, y, epochs=3, optimizer=SGD(0.1))
        assert_same(networks[i], alone)


def test_a_network_that_diverges_loses_no_other():
    networks, train = with_one_that_fails("collect")
    first, second, third = train()
    assert first.stopped_by == third.stopped_by == "epochs"
    assert isinstance(second, fastnn.DivergenceError)
    assert networks[1].history.stopped_by == "divergence"
    assert all(np.isfinite(weights).all() for weights in networks[1].weights)
    assert_others_are_trained(networks)


def test_an_error_is_raised_when_all_are_done():
    networks, train = with_one_that_fails("raise")
    with pytest.raises(
        fastnn.PopulationError, match=r"1 of 3 networks failed; networks\[1\]: DivergenceError"
    ) as caught:
        train()
    assert isinstance(caught.value.__cause__, fastnn.DivergenceError)
    assert [type(result).__name__ for result in caught.value.results] == ["History", "DivergenceError", "History"]
    assert_others_are_trained(networks)


def test_an_error_in_a_callback_is_that_network_s():
    def fail(network, history):
        raise OSError("no room")

    results = fit_many([small(0), small(1)], X, y, epochs=1, callbacks=each([[fail], []]), errors="collect", n_jobs=1)
    assert [type(result).__name__ for result in results] == ["OSError", "History"]


def test_a_network_in_the_middle_of_another_fit_is_left_to_it():
    busy, free = small(0), small(1)
    found = []

    def meanwhile(network, history):
        found.append(fit_many([busy, free], X, y, epochs=1, errors="collect"))

    busy.fit(X, y, epochs=1, callbacks=[meanwhile])
    assert [type(result).__name__ for result in found[0]] == ["RuntimeError", "History"]


def test_a_callback_that_ends_the_program_stops_all():
    def leave(network, history):
        sys.exit(3)

    networks = [small(0), small(1, sizes=[64, 300, 10])]
    with pytest.raises(SystemExit):
        fit_many(networks, X, y, epochs=each([1, 10**6]), callbacks=each([[leave], []]), n_jobs=2)
    assert networks[1].history.stopped_by == "interrupt"


def test_a_time_limit_is_for_all():
    networks, before = [small(i) for i in range(4)], [small(i) for i in range(4)]
    began = time.perf_counter()
    histories = fit_many(networks, X, y, epochs=10**6, n_jobs=2, max_time=0.3)
    assert time.perf_counter() - began < PATIENCE
    assert {history.stopped_by for history in histories} == {"max_time"}
    begun = [bool(history.epochs) for history in histories]
    assert begun == [True, True, False, False]
    assert [not np.array_equal(a.weights[0], b.weights[0]) for a, b in zip(networks, before, strict=True)] == begun


INTERRUPTED = """
import _thread, json, threading, time
import fastnn, numpy as np

rng = np.random.default_rng(0)
X, y = rng.integers(0, 256, (20_000, 784), dtype=np.uint8), rng.integers(0, 10, 20_000)
make = lambda i: fastnn.Network([784, 400, 10], seed=i)
fastnn.fit_many([make(0)], X[:10], y[:10], epochs=1, validation_rows=[np.arange(10)])  # compiles
networks, sent = [make(i) for i in range(4)], []

def interrupt():
    while not all(network._engine.memory.steps for network in networks[:2]):  # both have begun
        time.sleep(0.01)
    time.sleep(0.2)
    sent.append(time.perf_counter())
    _thread.interrupt_main()

threading.Thread(target=interrupt, daemon=True).start()
try:
    fastnn.fit_many(networks, X, y, epochs=100, batch_size=1, n_jobs=2, validation_rows=[np.arange(20_000)] * 4)
except KeyboardInterrupt:
    answered = time.perf_counter()
finite = all(bool(np.isfinite(weights).all()) for network in networks for weights in network.weights)
print(json.dumps({
    "seconds": answered - sent[0],
    "stopped_by": [network.history and network.history.stopped_by for network in networks],
    "changed": [not np.array_equal(network.weights[0], make(i).weights[0]) for i, network in enumerate(networks)],
    "finite": finite,
    "threads": threading.active_count(),
    "later": [network.fit(X[:100], y[:100], epochs=1).stopped_by for network in networks],
}))
"""


def test_an_interrupt_stops_all_and_leaves_every_network_usable():
    """In a process of its own: an interrupt that goes astray would end all the tests."""
    run = run_python("-c", INTERRUPTED)
    found = json.loads(run.stdout or run.stderr)
    assert found.pop("seconds") < PATIENCE
    assert found == {
        "stopped_by": ["interrupt", "interrupt", None, None],
        "changed": [True, True, False, False],
        "finite": True,
        "threads": 1,
        "later": ["epochs"] * 4,
    }


# --- What is said ---


def test_findings_are_told_once_for_all(recwarn):
    warnings.simplefilter("always")
    networks = [small(i, activation="relu", initializer="normal") for i in range(3)]
    fit = {"epochs": 40, "optimizer": SGD(1e-7), "n_jobs": 1, "batch_size": 1}
    histories = fit_many(networks, 300 * X, y, **fit)
    told = [str(warning.message) for warning in recwarn if warning.category is fastnn.TrainingWarning]
    names = {finding.name for history in histories for finding in history.findings}
    assert "inputs far from unit scale" in names
    assert len(told) == len(names)
    (scale,) = [text for text in told if text.startswith("inputs far from unit scale")]
    assert "of 3 networks, networks[" in scale
    assert all(warning.filename == __file__ for warning in recwarn if warning.category is fastnn.TrainingWarning)


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")
def test_only_the_rows_are_looked_at():
    data = X.copy()
    data[200:] *= 1000
    rows = [np.arange(200), np.arange(200, 400)]
    for mine in rows:
        (history,) = fit_many([small()], data, y, epochs=1, rows=[mine], optimizer=SGD(1e-9))
        found = [finding.name for finding in history.findings]
        assert ("inputs far from unit scale" in found) == (mine[0] == 200)


def test_one_bar_for_all(capsys):
    fit_many([small(i) for i in range(3)], X, y, epochs=2, progress=True, validation_data=(Xt, yt))
    last = capsys.readouterr().err.split("\r")[-1]
    assert "100%" in last
    assert "3/3 networks, best val_accuracy " in last


def test_no_bar_where_there_is_no_terminal(capsys):
    fit_many([small()], X, y, epochs=1)
    assert capsys.readouterr().err == ""


# --- Bad input ---

TWICE = small()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"networks": []}, ValueError, "networks must hold at least one network, got none"),
        ({"networks": small()}, TypeError, "networks must be a list of networks, got Network"),
        ({"networks": [small(), "net"]}, TypeError, r"networks\[1\] must be a fastnn.Network, got str"),
        ({"networks": [TWICE, small(), TWICE]}, ValueError, r"networks\[2\] is networks\[0\]"),
        ({"epochs": each([1])}, ValueError, "epochs must have one value for each of the 2 networks, got 1"),
        ({"epochs": each([1, -1])}, ValueError, r"networks\[1\]: epochs must be >= 0, got -1"),
        ({"batch_sise": 3}, ValueError, "did you mean 'batch_size'"),
        ({"rows": [None]}, ValueError, "rows must have one entry for each of the 2 networks, got 1"),
        ({"rows": 3}, TypeError, "rows must be a list with the rows of every network, got int"),
        ({"rows": [None, [0, 400]]}, ValueError, r"networks\[1\]: rows must hold numbers from 0 to 399, got 400"),
        ({"rows": [None, [-1]]}, ValueError, r"networks\[1\]: rows must hold numbers from 0 to 399, got -1"),
        ({"rows": [[], None]}, ValueError, r"networks\[0\]: rows must hold at least one"),
        ({"rows": [[0.5], None]}, TypeError, r"networks\[0\]: rows must hold whole numbers"),
        ({"rows": [np.ones(3, bool), None]}, TypeError, r"networks\[0\]: rows must hold whole numbers"),
        ({"rows": [np.zeros(400, bool), None]}, ValueError, r"networks\[0\]: rows must hold at least one"),
        ({"rows": [None, [1, 2]], "batch_size": [200, 200]}, ValueError, r"networks\[1\]: batch_size"),
        ({"validation_rows": [[400], None]}, ValueError, r"networks\[0\]: validation_rows must hold numbers"),
        ({"validation_rows": [[1], [2]], "validation_data": (X, y)}, ValueError, "cannot both be given"),
        ({"validation_data": (X, y[:3])}, ValueError, "validation_data: y must have as many rows as X"),
        (
            {"validation_data": lambda: [(X, y)]},
            TypeError,
            "chunks go with Network.fit alone, got a function",
        ),
        ({"networks": [small(), small(sizes=[63, 10])]}, ValueError, r"networks\[1\]: X must have shape \(n, 63\)"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be a number of processors"),
        ({"n_jobs": 1.5}, TypeError, "n_jobs must be a whole number"),
        ({"errors": "ignore"}, ValueError, "errors must be one of"),
        ({"max_time": 0}, ValueError, "max_time must be > 0"),
        ({"progress": 1}, TypeError, "progress must be True or False"),
        (
            {"callbacks": [fastnn.EarlyStopping()]},
            ValueError,
            r"networks\[0\]: monitor 'val_cost' needs validation_data",
        ),
    ],
)
def test_bad_input_changes_nothing(change, error, message):
    arguments = {"networks": [small(0), small(1)], "epochs": 1, **change}
    networks = arguments.pop("networks")
    with pytest.raises(error, match=message):
        fit_many(networks, X, y, **arguments)
    for network in networks if isinstance(networks, list) else []:
        assert getattr(network, "history", None) is None


def test_each_wants_a_list():
    with pytest.raises(TypeError, match="values must be a list with one value for every network, got int"):
        each(3)


def test_all_but_one_core():
    from fastnn.many.checks import check_cores

    assert [check_cores(n, 8) for n in (1, 3, 20, -1, -2, -100)] == [1, 3, 20, 8, 7, 1]


class Full:
    """A stderr on a full disk."""

    def write(self, text):
        raise OSError("no space left")

    def flush(self):
        pass


@pytest.mark.parametrize("stream", [None, Full()], ids=["none", "full"])
@pytest.mark.parametrize("progress", [None, True])
def test_training_does_not_need_a_stderr(stream, progress, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    histories = fit_many([small(i) for i in range(2)], X, y, epochs=2, progress=progress)
    assert [history.stopped_by for history in histories] == ["epochs", "epochs"]


def test_one_early_stopping_for_all_is_one_for_each():
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(120, 4)), rng.integers(0, 2, 120)
    settings = {"epochs": 30, "validation_data": (X[60:], y[60:])}

    def stop():
        return fastnn.EarlyStopping("val_cost", patience=2)

    alone = [Network([4, 8, 2], seed=i) for i in range(6)]
    for network in alone:
        network.fit(X[:60], y[:60], callbacks=[stop()], **settings)
    together = [Network([4, 8, 2], seed=i) for i in range(6)]
    fit_many(together, X[:60], y[:60], callbacks=[stop()], n_jobs=3, **settings)
    for one, other in zip(alone, together, strict=True):
        assert same(one, other)
        assert one.history.best_epoch == other.history.best_epoch
