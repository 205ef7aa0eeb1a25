"""One network on more data than one machine holds: local SGD.

Each worker trains a copy of the network on its own part of the data; now and then the copies are averaged, and all go
on from the mean. That is not the gradient descent that ``fit`` does on all the data: between two averages the copies
drift apart, the more the longer, and the mean of several networks learns less in an epoch than one that took all the
steps. What it needs is little: the network there and back for every average, instead of a gradient for every step.
"""

from __future__ import annotations  # so that help() shows types by their short names

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import persistence, validation
from fastnn.callbacks import restore_best
from fastnn.history import History
from fastnn.inputs.reader import Reader
from fastnn.many import checks
from fastnn.many.clients import check_client, is_dask_client, scatter
from fastnn.network import FIT_DEFAULTS, Network, complete_arguments
from fastnn.training import Company, DivergenceError, Samples, validation_figures

_TRIES = 3
# What is about all parts together, or about a whole course that a copy does not see.
_ABOUT_ALL = {"sample_weight", "class_weight", "threads", "progress", "schedule", "drop_last"}
_ABOUT_ALL |= {"validation_split", "metrics"}

_PASSED_ON = [name for name in FIT_DEFAULTS if name not in _ABOUT_ALL]


class _Stretch(NamedTuple):
    """What a worker does between two averages: slice ``number`` of ``slices`` of an epoch over its part."""

    arguments: dict[str, Any]
    seed: tuple[int, ...]  # of the epoch's order
    shuffle: bool
    number: int
    slices: int


class _Copy(NamedTuple):
    """A copy of the network that has been trained, and what was seen on the way."""

    record: persistence.Record
    samples: int
    cost: float  # mean over the samples
    accuracy: float


def _pair(source: Any) -> tuple[Any, Any]:
    return validation.check_two("a part", source() if callable(source) else source, "(X, y)")


def _settle(source: Any, reader: Reader) -> Reader:
    """What a network will know of its data after a first fit on this part."""
    return reader.settled(*_pair(source))


def _load(source: Any, network: Network, reader: Reader) -> Samples:
    """On a worker: its part, checked and converted."""
    return network._samples(*_pair(source), reader=reader)


def _size(samples: Samples) -> int:
    return samples.n


def _train(samples: Samples, network: Network, stretch: _Stretch) -> _Copy:
    """On a worker: go through one slice of its part."""
    generator = np.random.default_rng(stretch.seed)
    order = generator.permutation(samples.n) if stretch.shuffle else np.arange(samples.n)
    rows: NDArray[np.int64] = np.array_split(order, stretch.slices)[stretch.number].astype(np.int64)
    data = Samples(samples.data, len(rows), rows)
    own = {"X": data, "y": None, "epochs": 1, "shuffle": False, "progress": False}
    request = network._request(complete_arguments(**{**stretch.arguments, **own}))
    company = Company(threading.Event(), cores=1, looks=False, paces={})
    history = network._train(request._replace(settings=request.settings._replace(company=company)))
    return _Copy(network._to_record(), len(rows), history.train_cost[0], history.train_accuracy[0])


def _mean(copies: Sequence[_Copy], generator: Any) -> persistence.Record:
    """The mean of the copies, each counted by its samples: of the weights, and of what the optimizer remembers."""
    total = sum(copy.samples for copy in copies)
    largest = max(copies, key=lambda copy: copy.samples).record
    arrays = {}
    for name, array in largest.arrays.items():
        if all(np.array_equal(copy.record.arrays[name], array) for copy in copies):
            arrays[name] = array  # such as the scale of the inputs: a mean would change the last bit
            continue
        parts = (copy.samples / total * copy.record.arrays[name].astype(np.float64) for copy in copies)
        arrays[name] = sum(parts, np.zeros(array.shape)).astype(array.dtype)
    return largest._replace(header={**largest.header, "generator": generator}, arrays=arrays)


class _Parts:
    """The parts of the data on a client's workers."""

    def __init__(self, client: Any, network: Network, sources: Sequence[Any]) -> None:
        self._client, self._network, self._sources = client, network, sources
        if not client.nthreads():
            raise ValueError("client must have at least one worker, got none")
        self.reader = self._settled(network._reader)
        self._held = [self._place(i) for i in range(len(sources))]

    def _settled(self, reader: Reader) -> Reader:
        """What the network will know of its data: by the first part, which may be for a worker to read."""
        first = self._sources[0]
        try:
            if not callable(first):
                return _settle(first, reader)
            settled: Reader = self._client.submit(_settle, first, reader, pure=False).result()
            return settled
        except (ValueError, TypeError) as error:
            raise type(error)(f"parts[0]: {error}") from None

    def _home(self, i: int) -> dict[str, Any]:
        """The worker that a part is sent to; tasks go where their part is, by Dask's own choice.

        They are not bound to a worker: one that is waits for ever where all workers died and others came.
        """
        workers = sorted(self._client.nthreads())
        return {"workers": [workers[i % len(workers)]] if workers else None}

    def _place(self, i: int) -> Any:
        source = self._sources[i]
        if not callable(source):
            source = scatter(self._client, source, lambda: self._home(i))
        return self._client.submit(_load, source, self._network, self.reader, pure=False)

    def __len__(self) -> int:
        return len(self._held)

    def run(self, function: Callable[..., Any], *arguments: Sequence[Any]) -> list[Any]:
        """Call ``function(part, *own arguments)`` where every part is; a part that was lost is placed again."""
        own = list(zip(*arguments, strict=True)) or [()] * len(self._held)
        start = [self._submit(i, function, own[i]) for i in range(len(self._held))]
        return [self._result(i, future, function, own[i]) for i, future in enumerate(start)]

    def _submit(self, i: int, function: Callable[..., Any], arguments: Any) -> Any:
        return self._client.submit(function, self._held[i], *arguments, pure=False)

    def _result(self, i: int, future: Any, function: Callable[..., Any], arguments: Any) -> Any:
        for _ in range(_TRIES):
            try:
                return future.result()
            except CancelledError:  # not by us: it went down with its worker
                self._held[i] = self._place(i)
                future = self._submit(i, function, arguments)
            except (ValueError, TypeError) as error:
                raise type(error)(f"parts[{i}]: {error}") from None
        raise RuntimeError(f"the worker of parts[{i}] was lost {_TRIES} times")


def fit_distributed(
    client: Any,
    network: Network,
    parts: Sequence[tuple[ArrayLike, ArrayLike] | Callable[[], tuple[ArrayLike, ArrayLike]]],
    *,
    epochs: int = 30,
    averages: int = 1,
    shuffle: bool = True,
    validation_data: tuple[ArrayLike, ...] | Callable[[], Iterable[Any]] | Iterable[Any] | None = None,
    max_time: float | None = None,
    callbacks: Sequence[Callable[[Network, History], Any]] = (),
    **fit: Any,
) -> History:
    """Train one network on parts of the data that lie on different workers: local SGD.

    Every worker trains a copy of the network on its part; after every ``1/averages`` of an epoch the copies' weights,
    and what the optimizer remembers, are averaged, and all go on from the mean (Stich, 2019; McMahan et al., 2017).
    The more averages, the nearer it comes to training on all the data with batches that are larger by the number of
    parts; it never is the same as ``fit`` on all of it. Use it where the data do not fit into one machine's memory:
    on one machine ``fit`` with ``threads`` is faster and exact.

    Parameters
    ----------
    client : Dask Client
        Of the workers; needs the extra ``dask``.
    network : Network
        It stands where all copies' mean stands, after every epoch.
    parts : sequence of (X, y) or of functions
        For every worker its samples, as for ``Network.fit``, or a function without arguments that the worker calls to
        get them, so that they never are on this machine. With more parts than workers, a worker holds several. What a
        first ``fit`` settles (classes, a scale that is learned, names of columns) is settled by the first part.
    epochs : int, default 30
        Passes over all parts, >= 0.
    averages : int, default 1
        How often the copies are averaged in an epoch, >= 1.
    shuffle : bool, default True
        Go through every part in a fresh random order every epoch.
    validation_data : (X, y), (X, y, sample_weight) or chunks of them, optional
        As for ``Network.fit``, from a function or a stream, too; measured here after every epoch.
    max_time : float, optional
        Stop after so many seconds, between two averages.
    callbacks : sequence of callables, default ()
        As for ``Network.fit``; called here.
    **fit
        Other arguments of ``Network.fit``: ``batch_size`` (one number), ``optimizer``, ``l2`` ...

    Returns
    -------
    History
        Cost and accuracy over all parts, of the copies while they were trained. A worker that dies is replaced, where
        the parts are functions or still held here; its work since the last average is done again.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong.
    DivergenceError
        If a copy diverges, or the cost on the validation data is not finite; the network stays at the last average.

    Notes
    -----
    When it pays. A step of ``[784, 128, 64, 10]`` takes some 75 us on one core. Its 437 KB of weights take at least
    350 us over a network of 10 Gbit/s, one way: with an average after every step, several machines would be five times
    as slow as one. Averaged once in an epoch of 400 steps, 30 ms of training stand against the few milliseconds that
    the network takes there and back. So it pays for data, and hardly for time: with k workers an epoch
    takes a k-th of the time, but each average is of k networks that have each taken a k-th of the steps. On MNIST,
    batch 32, ``SGD(0.1)``, three epochs: 97.3 % of the test images with ``fit``; on two halves averaged 1, 4 and 16
    times an epoch 96.3, 96.6 and 96.8 %. ``scripts/local_sgd.py`` measures that.

    Examples
    --------
    >>> import fastnn
    >>> from distributed import Client  # doctest: +SKIP
    >>> client = Client("scheduler:8786")  # doctest: +SKIP
    >>> parts = [lambda i=i: read_part(i) for i in range(8)]  # doctest: +SKIP
    >>> fastnn.fit_distributed(client, fastnn.Network([784, 128, 64, 10]), parts, averages=4)  # doctest: +SKIP
    """
    if not is_dask_client(client):
        raise TypeError(f"client must be a Dask Client, got {type(client).__name__}")
    check_client(client)
    (network,) = checks.check_networks([network], "network")
    if isinstance(parts, (str, bytes)) or not isinstance(parts, Sequence) or not parts:
        raise TypeError(f"parts must be a list of pairs (X, y) or of functions that return one, got {parts!r}")
    epochs = validation.check_whole("epochs", epochs, at_least=0)
    averages = validation.check_whole("averages", averages)
    shuffle = validation.check_flag("shuffle", shuffle)
    callbacks = validation.check_callbacks(callbacks)
    seconds = validation.check_limit("max_time", max_time)
    for name in fit:
        validation.check_name("an argument", name, _PASSED_ON)
    held = _Parts(client, network.copy(), parts)
    smallest = min(held.run(_size))
    if smallest < averages:
        raise ValueError(f"averages must be at most the samples of the smallest part, {smallest}, got {averages}")
    held_out = network._held_out(held.reader, validation_data)
    network._reader = held.reader
    history = network.history = History(first_layer="on the workers")
    deadline = time.perf_counter() + seconds
    run = _Run(network, held, fit, shuffle, averages)
    try:
        history.stopped_by = run.train(epochs, deadline, held_out, callbacks)
    except BaseException as error:
        causes = {DivergenceError: "divergence", KeyboardInterrupt: "interrupt"}
        history.stopped_by = causes.get(type(error), "error")
        raise
    finally:
        restore_best(callbacks, network, history)
    return history


class _Run:
    """One call of ``fit_distributed``."""

    def __init__(self, network: Network, held: _Parts, fit: dict[str, Any], shuffle: bool, averages: int) -> None:
        self._network, self._held, self._fit = network, held, fit
        self._shuffle, self._averages = shuffle, averages
        # A further call draws other orders; one with the same seed the same.
        self._seed = int(network._generator.integers(2**63))

    def train(self, epochs: int, deadline: float, held_out: Any, callbacks: Sequence[Callable[..., Any]]) -> str:
        """Epoch by epoch; returns what ended it."""
        history = self._network.history
        assert history is not None
        for epoch in range(epochs):
            began, seen = time.perf_counter(), list[_Copy]()
            for number in range(self._averages):
                if time.perf_counter() >= deadline:
                    return "max_time"
                seen += self._average(epoch, number)
            shares = np.array([copy.samples for copy in seen], float)
            for figures, name in ((history.train_cost, "cost"), (history.train_accuracy, "accuracy")):
                figures.append(float(np.average([getattr(copy, name) for copy in seen], weights=shares)))
            history.seconds.append(time.perf_counter() - began)
            if held_out is not None:
                cost, accuracy = validation_figures(self._network._engine, held_out, epoch + 1)
                history.val_cost.append(cost)
                history.val_accuracy.append(accuracy)
            verdicts = [
                validation.check_verdict(number, callback(self._network, history))
                for number, callback in enumerate(callbacks)
            ]
            if any(verdicts):
                return "callback"
        return "epochs"

    def _average(self, epoch: int, number: int) -> list[_Copy]:
        """Let all copies go through a slice of their parts, and make the network their mean."""
        network, history, count = self._network, self._network.history, len(self._held)
        stretches = [
            _Stretch(self._fit, (self._seed, epoch, part), self._shuffle, number, self._averages)
            for part in range(count)
        ]
        copies = self._held.run(_train, [network.copy()] * count, stretches)
        network.__setstate__(_mean(copies, network._generator.bit_generator.state))
        network.history = history
        return copies
