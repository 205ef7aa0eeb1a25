"""Training on workers that others run: Dask's, and those of any executor of ``concurrent.futures``.

A chunk of the population goes to a worker as one task. The data go once: Dask and Ray keep them beside their workers;
where an executor offers no such thing, a worker that gets a task for data it has not seen asks for them, and then keeps
them for its next task.
"""

import pickle
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from fastnn.cores import usable_cores
from fastnn.history import History
from fastnn.many.population import Member, Population
from fastnn.many.progress import Board
from fastnn.training import Company, Samples

_CHUNKS_PER_WORKER = 4
_TRIES = 3  # for a chunk whose data went down with a worker
_SCATTER_TRIES = 30  # some seconds in all, in which Dask finds out which of its workers are gone
_LOOK_SECONDS = 0.1


class Trained(NamedTuple):
    """What comes back of a network."""

    place: int
    record: Any  # the network as it is saved
    history: History | None
    error: Exception | None


class _Chunk(NamedTuple):
    """Some members of a population, and when they have to end by the clock on the wall."""

    members: list[Member]
    deadline: float


class _Delivery(NamedTuple):
    """Data under the name of the population that they belong to."""

    name: str
    datasets: list[Samples] | None  # None: the worker may have them already


_KEPT: dict[str, list[Samples]] = {}
"""On a worker: the data of the latest population."""


def _open(delivery: _Delivery) -> list[Samples] | None:
    if delivery.datasets is not None:
        _KEPT.clear()
        _KEPT[delivery.name] = delivery.datasets
    return _KEPT.get(delivery.name)


def _train_chunk(delivery: _Delivery, chunk: _Chunk) -> list[Trained] | None:
    """On a worker: train some networks one after the other; None if their data are not here."""
    datasets = _open(delivery)
    if datasets is None:
        return None
    return [_train(member, datasets, chunk.deadline) for member in chunk.members]


def _train(member: Member, datasets: Sequence[Samples], deadline: float) -> Trained:
    network, error = member.network, None
    company = Company(threading.Event(), cores=1, looks=False, paces={})
    before = network.history
    try:
        network._train(member.request(datasets, max(0.0, deadline - time.time()), company))
    except Exception as raised:
        error = _portable(raised)
    history = network.history if network.history is not before else None
    return Trained(member.place, network.__getstate__(), history, error)


def _portable(error: Exception) -> Exception:
    """The error, or where it does not survive the journey one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


class Client(Protocol):
    """What is asked of a client: a place for the data, and workers."""

    def workers(self) -> int:
        """How many tasks can run at a time."""

    def share(self, delivery: _Delivery) -> Any:
        """The data where workers find them; what this returns goes with every task."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> "Future[Any]":
        """Start a task."""


class _Pool:
    """An executor, to which data go with the tasks of those who ask for them."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.submit: Callable[..., Future[Any]] = executor.submit

    def workers(self) -> int:
        known = (getattr(self._executor, name, None) for name in ("num_workers", "_max_workers"))
        counts = [count for count in known if isinstance(count, int) and count > 0]
        return counts[0] if counts else usable_cores()

    def share(self, delivery: _Delivery) -> Any:
        return delivery._replace(datasets=None)


def scatter(client: Any, value: Any, where: Callable[[], dict[str, Any]]) -> Any:
    """Put a value on Dask's workers, also while one of them dies; returns the future that stands for it."""
    for _ in range(_SCATTER_TRIES):
        with suppress(OSError, KeyError):  # the connection to a worker, or the worker itself, has gone
            return client.scatter([value], hash=False, **where())[0]
        time.sleep(_LOOK_SECONDS)
    return client.scatter([value], hash=False, **where())[0]


class _DaskClient:
    """A Dask client, which keeps the data on every worker."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.submit: Callable[..., Future[Any]] = client.get_executor(pure=False).submit

    def workers(self) -> int:
        return max(1, sum(int(count) for count in self._client.nthreads().values()))

    def share(self, delivery: _Delivery) -> Any:
        return scatter(self._client, delivery, lambda: {"broadcast": True})


class RayExecutor(Executor):
    """Ray's workers as an executor, for the ``client`` of ``fit_many``; needs the extra ``ray``.

    It connects to the cluster that ``ray.init`` has been called for, or starts Ray on this machine.

    Raises
    ------
    ImportError
        If Ray is not installed.

    Examples
    --------
    >>> import fastnn
    >>> client = fastnn.RayExecutor()  # doctest: +SKIP
    >>> fastnn.fit_many(networks, X, y, client=client)  # doctest: +SKIP
    """

    def __init__(self) -> None:
        try:
            import ray
        except ImportError as error:
            raise ImportError('Ray is not installed: pip install "fastnn-engine[ray]"') from error
        if not ray.is_initialized():
            ray.init()
        self._ray = ray

    @property
    def num_workers(self) -> int:
        """Processors of the cluster."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def share(self, value: Any) -> Any:
        """Put a value where all workers find it; tasks are given what this returns, and see the value."""
        return self._ray.put(value)

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> "Future[Any]":
        """Start a task."""
        future: Future[Any] = self._ray.remote(function).remote(*arguments, **named).future()
        return future


class _RayClient(_Pool):
    """Ray, which keeps the data where all workers of a machine read them."""

    def __init__(self, executor: RayExecutor) -> None:
        super().__init__(executor)
        self._put = executor.share

    def share(self, delivery: _Delivery) -> Any:
        return self._put(delivery)


def is_dask_client(client: Any) -> bool:
    """Whether this is Dask's, without importing Dask."""
    return any(
        kind.__module__.startswith("distributed.") and kind.__name__ == "Client" for kind in type(client).__mro__
    )


def check_client(client: Any) -> Client:
    """A client that is open."""
    if is_dask_client(client):
        if client.status != "running":
            raise ValueError(f"client must be open, got a Dask client that is {client.status}")
        if client.asynchronous:
            raise ValueError("client must not be asynchronous: make it with Client(asynchronous=False)")
        return _DaskClient(client)
    if not isinstance(client, Executor):
        raise TypeError(
            "client must be a Dask Client, a concurrent.futures.Executor or a fastnn.RayExecutor, "
            f"got {type(client).__name__}"
        )
    try:
        client.submit(usable_cores).result()  # any task will do
    except Exception as error:  # after its shutdown, and where its workers have died
        raise ValueError(f"client must be open, got a {type(client).__name__} that takes no tasks: {error}") from error
    return _RayClient(client) if isinstance(client, RayExecutor) else _Pool(client)


def _cut(members: Sequence[Member], count: int) -> list[list[Member]]:
    """Chunks of about equal work, each member where there is least so far; the longest chunk first."""
    chunks: list[list[Member]] = [[] for _ in range(min(count, len(members)))]
    load = [0.0] * len(chunks)
    for member in sorted(members, key=lambda member: -member.work):
        lightest = load.index(min(load))
        chunks[lightest].append(member)
        load[lightest] += member.work or 1.0
    return sorted(chunks, key=lambda chunk: -sum(member.work for member in chunk))


class _Dispatch:
    """The chunks of a population on their way, and what has come back."""

    def __init__(self, client: Client, population: Population, deadline: float, board: Board) -> None:
        self._client, self._population, self._deadline, self._board = client, population, deadline, board
        self._delivery = _Delivery(uuid.uuid4().hex, population.datasets)
        self._shared = client.share(self._delivery)
        self._running: dict[Future[Any], _Chunk] = {}
        self._tries: dict[int, int] = {}  # by the place of a chunk's first member
        self.results: dict[int, History | Exception] = {}

    def run(self) -> None:
        """Train all of it."""
        for members in _cut(self._population.members, _CHUNKS_PER_WORKER * self._client.workers()):
            self._send(_Chunk(members, self._deadline), self._shared)
        try:
            while self._running:
                for future in wait(self._running, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED).done:
                    self._receive(future, self._running.pop(future))
                self._board.refresh()
        finally:
            for future in self._running:
                future.cancel()

    def _send(self, chunk: _Chunk, shared: Any) -> None:
        try:
            self._running[self._client.submit(_train_chunk, shared, chunk)] = chunk
        except RuntimeError as error:  # the executor has broken down
            self._give_up(chunk, error)

    def _receive(self, future: "Future[Any]", chunk: _Chunk) -> None:
        try:
            trained = future.result()
        except CancelledError as error:  # not by us: the data went down with a worker
            first = chunk.members[0].place
            self._tries[first] = self._tries.get(first, 1) + 1
            if self._tries[first] > _TRIES:
                self._give_up(chunk, RuntimeError(f"its worker was lost {_TRIES} times: {error}"))
            else:
                self._shared = self._client.share(self._delivery)
                self._send(chunk, self._shared)
        except Exception as error:
            self._give_up(chunk, error)
        else:
            if trained is None:
                self._send(chunk, self._delivery)
            else:
                self._take(chunk, trained)

    def _take(self, chunk: _Chunk, trained: list[Trained]) -> None:
        """Make the networks here what they have become there."""
        for member, (place, record, history, error) in zip(chunk.members, trained, strict=True):
            if history is not None:
                member.network.__setstate__(record)
                member.network.history = history
            self.results[place] = error or history or RuntimeError("it was not trained")
            self._board.finish(place)

    def _give_up(self, chunk: _Chunk, error: Exception) -> None:
        for member in chunk.members:
            self.results[member.place] = error
            self._board.finish(member.place)


def train_elsewhere(client: Any, population: Population, seconds: float, board: Board) -> list[History | Exception]:
    """Train a population on a client's workers."""
    dispatch = _Dispatch(check_client(client), population, time.time() + seconds, board)
    dispatch.run()
    return [dispatch.results[place] for place in range(len(population.members))]
