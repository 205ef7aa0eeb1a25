"""Populations on other people's workers: the same bits as here, nothing lost when a worker dies."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from importlib.util import find_spec
from shutil import which

import numpy as np
import pytest
from children import environment

import fastnn
from fastnn.many import clients

X, y, Xt, yt = fastnn.datasets.load_digits()
X, y = X[:300], y[:300]
ROWS = [np.arange(i, 300, 2) for i in range(6)]
HELD_OUT = [np.arange(0, 300, 7)] * 6

needs_dask = pytest.mark.skipif(find_spec("distributed") is None, reason="Dask is not installed: the extra dask")
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: the extra ray")
needs_mpi = pytest.mark.skipif(
    find_spec("mpi4py") is None or which("mpiexec") is None, reason="mpi4py or mpiexec is not installed"
)


def population():
    return [fastnn.Network([64, 8 + i, 10], seed=i, dtype=("float32", "float64")[i % 2]) for i in range(6)]


def fit(networks, **arguments):
    return fastnn.fit_many(networks, X, y, epochs=3, rows=ROWS, validation_rows=HELD_OUT, **arguments)


@pytest.fixture(scope="module")
def trained():
    networks = population()
    return networks, fit(networks)


def assert_same(networks, histories, trained):
    for network, history, expected, course in zip(networks, histories, *trained, strict=True):
        assert history.train_cost == course.train_cost
        assert history.val_accuracy == course.val_accuracy
        assert network.history is history
        for name, array in expected._to_record().arrays.items():
            assert np.array_equal(network._to_record().arrays[name], array)
        # the generator and the optimizer's memory came along
        assert network.fit(X, y, epochs=1).train_cost == expected.copy().fit(X, y, epochs=1).train_cost


# --- Executors ---


def test_a_pool_of_threads(trained):
    networks = population()
    with ThreadPoolExecutor(2) as pool:
        assert_same(networks, fit(networks, client=pool), trained)


def test_a_pool_of_processes_gets_the_data_once_each(trained, monkeypatch):
    sent = []
    open_delivery = clients._Dispatch._send

    def noted(self, chunk, shared):
        sent.append(shared.datasets is not None)
        open_delivery(self, chunk, shared)

    monkeypatch.setattr(clients._Dispatch, "_send", noted)
    networks = population()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert_same(networks, fit(networks, client=pool), trained)
        count = len(sent)
        assert 1 <= sum(sent) < count  # not with every chunk
        sent.clear()
        again = population()
        assert_same(again, fit(again, client=pool), trained)  # another population is not taken for the first one
        assert sum(sent) >= 1


def test_loky(trained):
    loky = pytest.importorskip("joblib.externals.loky")
    networks = population()
    pool = loky.get_reusable_executor(max_workers=2)
    try:
        assert_same(networks, fit(networks, client=pool), trained)
    finally:
        pool.shutdown(wait=True)


def test_a_pool_that_breaks_down_keeps_what_came_back():
    networks, before = population(), population()
    deadly = fastnn.each([[Deadly()] if i == 0 else [] for i in range(6)])
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        results = fit(networks, client=pool, callbacks=deadly, errors="collect")
    assert any(isinstance(result, Exception) for result in results)
    for network, start, result in zip(networks, before, results, strict=True):
        changed = not np.array_equal(network.weights[0], start.weights[0])
        assert changed == isinstance(result, fastnn.History)
        network.fit(X, y, epochs=1)


class Deadly:
    """Something whose arrival ends a process."""

    def __call__(self, network, history):
        raise AssertionError("it never gets so far")

    def __reduce__(self):
        return os._exit, (1,)


def test_an_error_on_a_worker_is_reported_in_its_place(trained):
    networks = population()
    rates = fastnn.each([fastnn.SGD(0.5)] * 5 + [fastnn.SGD(1e308)])
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        results = fit(networks, client=pool, optimizer=rates, errors="collect")
    assert isinstance(results[5], fastnn.DivergenceError)
    assert networks[5].history.stopped_by == "divergence"
    assert_same(networks[:5], results[:5], [part[:5] for part in trained])


def test_a_client_that_is_closed():
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    networks = population()
    with pytest.raises(ValueError, match="client must be open"):
        fit(networks, client=pool)
    assert networks[0].history is None


def test_what_is_no_client():
    with pytest.raises(TypeError, match="client must be a Dask Client"):
        fit(population(), client="localhost:8786")


def test_a_time_limit_holds_on_workers():
    networks = population()
    with ThreadPoolExecutor(1) as pool:
        results = fastnn.fit_many(networks, X, y, epochs=10**6, client=pool, max_time=0.3)
    assert {result.stopped_by for result in results} == {"max_time"}


def test_an_interrupt_drops_what_has_not_begun():
    networks, sent = population(), []

    def interrupt(network, history):
        if not sent:
            sent.append(signal.raise_signal(signal.SIGINT))
        time.sleep(0.1)

    with ThreadPoolExecutor(1) as pool, pytest.raises(KeyboardInterrupt):
        fit(networks, client=pool, callbacks=[interrupt])
    trained = [network for network in networks if network.history]
    assert 0 < len(trained) < len(networks)
    for network in networks:
        assert network.fit(X, y, epochs=1).stopped_by == "epochs"


# --- Dask ---


@pytest.fixture(scope="module")
def dask_client():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@needs_dask
@pytest.mark.filterwarnings("ignore")
def test_dask(dask_client, trained):
    networks = population()
    assert_same(networks, fit(networks, client=dask_client), trained)


@needs_dask
@pytest.mark.filterwarnings("ignore")
def test_a_dask_worker_dies_and_nothing_is_lost(dask_client, trained, tmp_path):
    mark, kill = str(tmp_path / "killed"), (os.kill, signal.SIGKILL)

    def die_once(network, history):
        """In the middle of a training, once in all."""
        import os

        if len(history.epochs) == 2 and not os.path.exists(mark):
            with open(mark, "w"):
                pass
            kill[0](os.getpid(), kill[1])

    networks = population()
    before = set(dask_client.nthreads())
    histories = fit(networks, client=dask_client, callbacks=fastnn.each([[die_once]] + [[]] * 5))
    assert os.path.exists(mark)
    assert set(dask_client.nthreads()) != before  # another one has taken its place, or nobody has yet
    assert_same(networks, histories, trained)


@needs_dask
@pytest.mark.filterwarnings("ignore")
def test_data_that_went_down_with_their_workers_are_sent_again(dask_client, trained, monkeypatch):
    shared = []
    share = clients._DaskClient.share

    def lose_the_first(self, delivery):
        future = share(self, delivery)
        shared.append(future)
        if len(shared) == 1:
            self._client.cancel([future], force=True)
        return future

    monkeypatch.setattr(clients._DaskClient, "share", lose_the_first)
    networks = population()
    assert_same(networks, fit(networks, client=dask_client), trained)
    assert len(shared) > 1


@needs_dask
@pytest.mark.filterwarnings("ignore")
def test_a_dask_client_that_is_closed(dask_client):
    import distributed

    client = distributed.Client(dask_client.scheduler.address, set_as_default=False)
    client.close()
    with pytest.raises(ValueError, match="client must be open, got a Dask client that is closed"):
        fit(population(), client=client)


@needs_dask
@pytest.mark.filterwarnings("ignore")
def test_a_task_of_dask_may_use_its_thread(dask_client):
    from fastnn.cores import usable_cores

    assert dask_client.submit(usable_cores, pure=False).result() == 1


# --- MPI and Ray, in processes of their own ---

SCRIPT = """
import numpy as np, fastnn

def main(client):
    X, y, _, _ = fastnn.datasets.load_digits()
    def train(client):
        networks = [fastnn.Network([64, 8 + i, 10], seed=i) for i in range(6)]
        rows = [np.arange(i, 300, 2) for i in range(6)]
        histories = fastnn.fit_many(networks, X, y, epochs=3, rows=rows, client=client)
        return [array for network in networks for array in network.weights], histories
    here, there = train(None), train(client)
    assert all(np.array_equal(a, b) for a, b in zip(here[0], there[0], strict=True))
    assert [h.train_cost for h in here[1]] == [h.train_cost for h in there[1]]
    print("the same bits")
"""


@needs_mpi
def test_mpi(tmp_path):
    script = tmp_path / "population.py"
    script.write_text(
        SCRIPT
        + """
if __name__ == "__main__":
    from mpi4py.futures import MPIPoolExecutor
    with MPIPoolExecutor() as pool:
        main(pool)
"""
    )
    found = start("mpiexec", "-n", "3", sys.executable, "-m", "mpi4py.futures", str(script))
    assert found.stdout.splitlines()[-1:] == ["the same bits"], found.stderr


@needs_ray
def test_ray():
    code = """
import ray
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
main(fastnn.RayExecutor())
"""
    found = start(sys.executable, "-c", SCRIPT + code)
    assert found.stdout.splitlines()[-1:] == ["the same bits"], found.stderr


# Open MPI refuses to run as root, as containers do, and to start more processes than there are cores.
OPEN_MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
}


def start(*command):
    return subprocess.run(
        command,
        env=environment(**OPEN_MPI),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
