"""Training many networks on one copy of the data, on all cores of this machine or on other people's clusters."""

from __future__ import annotations  # so that help() shows types by their short names

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Literal

from numpy.typing import ArrayLike

from fastnn import diagnostics, validation
from fastnn.cores import usable_cores
from fastnn.history import History
from fastnn.interrupts import Hold, held
from fastnn.many import checks
from fastnn.many.clients import train_elsewhere
from fastnn.many.population import DataArguments, Member, Population, populate
from fastnn.many.progress import Board
from fastnn.network import Network
from fastnn.pacing import Pace
from fastnn.training import Company

_WORTH_A_THREAD = 1e6  # samples times parameters times epochs: about as long in a kernel as the rest of a fit takes
_LOOK_SECONDS = 0.1  # between two looks at the progress


class PopulationError(RuntimeError):
    """Some of many networks could not be trained to the end; all the others were.

    Attributes
    ----------
    results : list of History or Exception
        What ``fit_many`` would have returned with ``errors="collect"``.

    Examples
    --------
    >>> import fastnn
    >>> X, y, Xt, yt = fastnn.datasets.load_digits()
    >>> networks = [fastnn.Network([64, 16, 10], output="identity", cost="quadratic") for _ in range(2)]
    >>> try:
    ...     fastnn.fit_many(networks, X, y, epochs=1, optimizer=fastnn.each([fastnn.SGD(0.01), fastnn.SGD(1e6)]))
    ... except fastnn.PopulationError as error:
    ...     [type(result).__name__ for result in error.results]
    ['History', 'DivergenceError']
    """

    def __init__(self, message: str, results: list[History | Exception]) -> None:
        super().__init__(message)
        self.results = results

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.results)


def fit_many(
    networks: Iterable[Network],
    X: ArrayLike,
    y: ArrayLike,
    *,
    rows: Sequence[ArrayLike | None] | None = None,
    validation_rows: Sequence[ArrayLike | None] | None = None,
    n_jobs: int = -1,
    client: Any = None,
    errors: Literal["raise", "collect"] = "raise",
    max_time: float | None = None,
    progress: bool | None = None,
    **fit: Any,
) -> list[History | Exception]:
    """Train many networks, which may differ in everything, on all cores and one copy of the data.

    The results are bit for bit those of ``fit``, network by network, for any number of cores. Threads share the data;
    each has one network at a time, the longest tasks first.

    Parameters
    ----------
    networks : iterable of Network
        All different objects. Each goes on from where it stands.
    X, y : array-like
        As for ``Network.fit``; checked and converted once for all networks of a dtype.
    rows : sequence of array-like, optional
        For every network the numbers of the samples it is trained on, repeats allowed, or a mask (n,), or None for all
        samples. Nothing is copied: the network goes through these places of X, as if trained on ``X[rows]``, but that
        it knows all classes of y. Only where a scale is still to be learned (``scale="standard"`` ...), from these rows
        alone, does each network get a copy of X, scaled as its own rows say.
    validation_rows : sequence of array-like, optional
        For every network the samples of X that it is measured on after every epoch; instead of ``validation_data``.
    n_jobs : int, default -1
        Cores to keep busy. -1 means all that this process may use, of its affinity mask, its container, and inside a
        task of joblib's or Dask's; and one where all tasks are so small that several would wait for each other. With
        more cores than networks, a network gets several where that pays.
    client : Dask Client, concurrent.futures.Executor or RayExecutor, optional
        Train on its workers instead: see Notes.
    errors : "raise" or "collect", default "raise"
        What to do with a network that diverges or fails. The others are trained to the end either way; then
        ``PopulationError`` is raised, or the exception takes the place of its history.
    max_time : float, optional
        Seconds for all networks together. Those whose turn does not come have a history without epochs.
    progress : bool, optional
        Show one progress bar for all; by default only on a terminal.
    **fit
        The other arguments of ``Network.fit``: each is one for all networks, or ``fastnn.each([...])`` with one value
        for every network. ``X`` and ``y`` may be ``each``, too. ``threads`` is "auto" by default. All data, also
        ``validation_data``, come as a whole, not in chunks as ``Network.fit`` takes them.

    Returns
    -------
    list of History, or with errors="collect" of History and Exception
        In the order of the networks.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong, before anything is trained.
    PopulationError
        If a network failed; at the end.
    KeyboardInterrupt
        On Ctrl-C, when all networks have stopped, which they do within some 50 ms; each can be used as it is.

    Warns
    -----
    TrainingWarning
        At the end, once for every kind of finding, with the number of networks. A network's first training is looked
        at as often as 1 % of its time pays for; the longest task's also before and after.

    Notes
    -----
    Callbacks run in the thread that trains their network; each network has a copy of its own of ``EarlyStopping``. Of
    yours, one that keeps something is for one network only: pass ``callbacks=each([[...], [...], ...])``.

    A client's workers get the data once each and then parts of the population, with one thread for each network; the
    bits are the same on processors of one kind. With a Dask client, the networks of a worker that dies run again
    elsewhere. Callbacks are sent to the workers, and what they keep stays there. ``max_time`` is told from the clocks
    of the workers. Ctrl-C drops what has not begun; what a worker has in hand it finishes, and nobody asks for it.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> X, y, Xt, yt = fastnn.datasets.load_digits()
    >>> networks = [fastnn.Network([64, 16, 10], seed=i) for i in range(4)]
    >>> folds = np.arange(len(X)) % 4
    >>> rows, held_out = [folds != i for i in range(4)], [folds == i for i in range(4)]
    >>> histories = fastnn.fit_many(networks, X, y, epochs=5, rows=rows, validation_rows=held_out)
    >>> [history.val_accuracy[-1] > 0.8 for history in histories]
    [True, True, True, True]
    """
    members = checks.check_networks(networks)
    checks.check_different(members)
    validation.check_name("errors", errors, ["raise", "collect"])
    cores = checks.check_cores(n_jobs, usable_cores())
    seconds = validation.check_limit("max_time", max_time)
    if progress is not None:
        validation.check_flag("progress", progress)
    population = populate_from(members, X, y, rows, validation_rows, {"threads": "auto", **fit})
    if n_jobs == -1 and not fit.get("callbacks") and max(m.work for m in population.members) < _WORTH_A_THREAD:
        cores = 1  # threads that only take turns at Python are slower than one
    board = Board(population.members, progress)
    try:
        if client is None:
            results = _train_here(population, cores, seconds, board)
        else:
            results = train_elsewhere(client, population, seconds, board)
    finally:
        board.close()
    _warn(results)
    if errors == "raise":
        _raise(results)
    return results


def populate_from(
    networks: list[Network], X: Any, y: Any, rows: Any, validation_rows: Any, fit: dict[str, Any]
) -> Population:
    """The population from the arguments of ``fit_many``, all of them checked."""
    count = len(networks)
    arguments = checks.fit_arguments(fit, count)
    columns = {
        "X": checks.spread("X", X, count),
        "y": checks.spread("y", y, count),
        "rows": checks.check_rows_of_all("rows", rows, count),
        "validation_rows": checks.check_rows_of_all("validation_rows", validation_rows, count),
        **{name: [own.pop(name) for own in arguments] for name in checks.DATA_ARGUMENTS},
    }
    data = [DataArguments(**{name: column[i] for name, column in columns.items()}) for i in range(count)]
    return populate(networks, data, arguments)


def _train_here(population: Population, cores: int, seconds: float, board: Board) -> list[History | Exception]:
    """Train on threads of this process, which share the data."""
    deadline = time.perf_counter() + seconds
    queue = deque(sorted(population.members, key=lambda member: -member.work))
    results: dict[int, History | Exception] = {}
    jobs = min(cores, len(queue))
    stop, longest = threading.Event(), queue[0].place
    paces: defaultdict[int, dict[Any, Pace]] = defaultdict(dict)  # by data set

    def next_member() -> Member | None:
        try:
            return queue.popleft()
        except IndexError:
            return None

    def train(member: Member) -> None:
        company = Company(stop, cores // jobs, member.place == longest, paces[member.train.dataset])
        try:
            request = member.request(population.datasets, max(0.0, deadline - time.perf_counter()), company)
            results[member.place] = member.network._train(request)
        except Exception as error:
            results[member.place] = error
        board.finish(member.place)

    def work() -> None:
        try:
            while not stop.is_set() and (member := next_member()) is not None:
                train(member)
        except BaseException:  # a callback wants to end the program
            stop.set()
            raise

    with held() as hold, ThreadPoolExecutor(jobs, "fastnn") as pool:
        try:
            _wait([pool.submit(work) for _ in range(jobs)], stop, board.refresh, hold)
        finally:
            stop.set()
    return [results[place] for place in range(len(results))]


def _wait(running: list[Future[None]], stop: threading.Event, meanwhile: Callable[[], None], hold: Hold) -> None:
    """Wait until all are done; Ctrl-C makes them stop, and is passed on when they have."""
    interrupt: BaseException | None = None
    while wait(running, timeout=_LOOK_SECONDS).not_done:
        meanwhile()
        try:
            hold.check()
        except BaseException as error:
            interrupt = error
            stop.set()
    if interrupt is not None:
        raise interrupt
    for future in running:
        future.result()


def _warn(results: Sequence[History | Exception]) -> None:
    """One warning for every kind of finding."""
    found: dict[str, list[tuple[int, Any]]] = {}
    for place, result in enumerate(results):
        for finding in result.findings if isinstance(result, History) else ():
            found.setdefault(finding.name, []).append((place, finding))
    for name, places in found.items():
        place, first = places[0]
        diagnostics.warn(f"{name} in {len(places)} of {len(results)} networks, networks[{place}]: {first}")


def _raise(results: list[History | Exception]) -> None:
    failed = [(place, result) for place, result in enumerate(results) if isinstance(result, Exception)]
    if failed:
        place, first = failed[0]
        count = f"{len(failed)} of {len(results)} networks failed"
        raise PopulationError(
            f"{count}; networks[{place}]: {type(first).__name__}: {first} The others are trained; "
            'errors="collect" returns the errors in their places.',
            results,
        ) from first
