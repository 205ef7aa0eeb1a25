"""Several networks and the data that they share: checked, and converted, once.

What a network trains on is a reference, the number of a data set and some of its rows, so that a member of a
population is small and can be sent to where the data are.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import validation
from fastnn.inputs.reader import Reader
from fastnn.inputs.streams import is_stream
from fastnn.inputs.tables import check_order, count_samples
from fastnn.kernels.buffers import Data
from fastnn.many import checks
from fastnn.network import Network, complete_arguments
from fastnn.splitting import weighed
from fastnn.training import Company, FitRequest, Samples

Array = NDArray[Any]


class Reference(NamedTuple):
    """What to train on, or to measure."""

    dataset: int
    rows: NDArray[np.int64] | None = None  # None: all
    weights: Array | None = None  # of all samples of the data set; those of rows alone mean something

    def samples(self, datasets: Sequence[Samples]) -> Samples:
        """The data as a training takes them."""
        found = datasets[self.dataset]
        if self.weights is not None:
            found = found._replace(data=found.data._replace(sample_weight=self.weights))
        return found if self.rows is None else found._replace(n=len(self.rows), rows=self.rows)


class Member(NamedTuple):
    """A network and its task."""

    place: int
    network: Network
    arguments: dict[str, Any]  # of ``fit``, without data
    reader: Reader  # what the network knows of its data from then on
    train: Reference
    held_out: Reference | None
    work: float  # multiply-adds, roughly: the longest tasks go first

    def request(self, datasets: Sequence[Samples], seconds: float, company: Company | None) -> FitRequest:
        """What to do, checked like a user's own call of ``fit``."""
        held_out = None if self.held_out is None else (self.held_out.samples(datasets), None)
        data = dict.fromkeys(checks.DATA_ARGUMENTS)
        own = {"X": self.train.samples(datasets), "validation_data": held_out, "max_time": None, "progress": False}
        own["validation_split"] = None
        given = complete_arguments(**{**self.arguments, **data, "y": None, **own})
        request = self.network._request(given, reader=self.reader)
        settings = request.settings._replace(max_time=seconds, company=company)
        return request._replace(settings=settings, split=self.arguments["validation_split"] is not None)


class Population(NamedTuple):
    """Networks to be trained, and all their data."""

    members: list[Member]
    datasets: list[Samples]


class DataArguments(NamedTuple):
    """Where the samples come from: of one network, or for every argument one value per network."""

    X: Any
    y: Any
    sample_weight: Any
    class_weight: Any
    validation_data: Any
    rows: Any
    validation_rows: Any


def _fingerprint(reader: Reader) -> tuple[Any, ...]:
    """The same for two networks that read data alike."""
    arrays = (array.tobytes() for array in reader.to_arrays().values())
    return reader.n_in, reader.outputs, json.dumps(reader.to_header()), *arrays


class _Datasets:
    """Checked data, every array once.

    What a user passes is told apart by ``id``: it lives as long as the call of ``fit_many``, and what is made of rows
    lives here.
    """

    def __init__(self) -> None:
        self.found: list[Samples] = []
        self._rows: dict[tuple[int, int], NDArray[np.int64]] = {}
        self._places: dict[tuple[Any, ...], int] = {}
        self._settled: dict[tuple[Any, ...], Reader] = {}
        self._weights: dict[tuple[Any, ...], Reference] = {}
        self._alive: list[Any] = []  # what keys name by its id, which another object would get otherwise

    def rows(self, argument: str, values: Any, n: int) -> NDArray[np.int64] | None:
        """Numbers of samples, the same array for the same argument; None for all."""
        key = id(values), n
        if key not in self._rows:
            found = checks.check_rows(argument, values, n)
            if found is None:
                return None
            self._rows[key] = found
        return self._rows[key]

    def settle(self, network: Network, data: "DataArguments", rows: NDArray[np.int64] | None) -> Reader:
        """What the network will know of its data.

        Which classes there are is told from all of y, but a scale is learned from the network's own samples alone:
        those that it is measured on must not have a part in it.
        """
        reader, X, sample_weight = network._reader, data.X, data.sample_weight
        learns = reader.learns_scale
        key = id(X), id(data.y), _fingerprint(reader), *((id(rows), id(sample_weight)) if learns else ())
        if key not in self._settled:
            self._settled[key] = reader.settled(X, data.y, sample_weight if learns else None, rows)
            self._alive.append(rows)
        return self._settled[key]

    def place(self, network: Network, reader: Reader, X: Any, y: Any) -> int:
        """The number of these data in the form that this network takes; without weights."""
        key = id(X), id(y), _fingerprint(reader)
        if key not in self._places:
            samples = network._samples(X, y, reader=reader)
            self.found.append(samples._replace(data=self._share(samples.data)))
            self._places[key] = len(self.found) - 1
        return self._places[key]

    def _share(self, data: Data) -> Data:
        """The same numbers, in arrays that are there already as far as possible."""
        known = [array for samples in self.found for array in samples.data if isinstance(array, np.ndarray)]
        twins: dict[str, Any] = {}
        for name, mine in data._asdict().items():
            if isinstance(mine, np.ndarray) and mine.size:
                twins[name] = next((other for other in known if _same(mine, other)), mine)
        return data._replace(**twins)

    def weigh(self, reference: Reference, reader: Reader, sample_weight: Any, class_weight: Any) -> Reference:
        """The same samples with weights, which ``fit`` on these rows alone would give them; without those of zero."""
        if sample_weight is None and class_weight is None:
            return reference
        key = reference.dataset, id(reference.rows), id(sample_weight), id(class_weight)
        if key not in self._weights:
            samples = weighed(reference.samples(self.found), reader, sample_weight, class_weight)
            self._weights[key] = reference._replace(rows=samples.rows, weights=samples.data.sample_weight)
            self._alive.append(reference.rows)
        return self._weights[key]


def _same(array: Array, other: Array) -> bool:
    return array.dtype == other.dtype and array.shape == other.shape and np.array_equal(array, other)


def populate(networks: Sequence[Network], data: Sequence[DataArguments], arguments: Any) -> Population:
    """Check everything, before anything is trained."""
    datasets, members = _Datasets(), []
    for i, network in enumerate(networks):
        try:
            members.append(_member(i, network, data[i], arguments[i], datasets))
            members[-1].request(datasets.found, 1.0, None)
        except (ValueError, TypeError) as error:
            raise type(error)(f"networks[{i}]: {error}") from None
    return Population(members, datasets.found)


def _member(
    place: int, network: Network, data: DataArguments, arguments: dict[str, Any], datasets: _Datasets
) -> Member:
    n = count_samples("X", data.X)
    check_order(data.X, {"y": data.y, "sample_weight": data.sample_weight})
    rows = datasets.rows("rows", data.rows, n)
    reader = datasets.settle(network, data, rows)
    train = Reference(datasets.place(network, reader, data.X, data.y), rows)
    held_out = None
    share = arguments["validation_split"]
    if share is not None:
        if data.validation_data is not None or data.validation_rows is not None:
            raise ValueError("validation_split cannot be given together with other samples to validate on")
        rows, held = network._split(train.samples(datasets.found), share)
        reader = datasets.settle(network, data, rows)
        train = Reference(datasets.place(network, reader, data.X, data.y), rows)
        held_out = datasets.weigh(train._replace(rows=held), reader, data.sample_weight, None)
    elif data.validation_rows is not None:
        if data.validation_data is not None:
            raise ValueError("validation_data and validation_rows cannot both be given")
        held_out = train._replace(rows=datasets.rows("validation_rows", data.validation_rows, n))
    elif data.validation_data is not None:
        if is_stream(data.validation_data):
            raise TypeError(
                "validation_data must be a pair (X, y), or (X, y, sample_weight), which all networks share: chunks go "
                f"with Network.fit alone, got a {type(data.validation_data).__name__}"
            )
        X, y, own_weights = validation.check_held_out("validation_data", data.validation_data)
        try:
            check_order(X, {"y": y, "sample_weight": own_weights})
            held_out = Reference(datasets.place(network, reader, X, y))
            held_out = datasets.weigh(held_out, reader, own_weights, None)
        except (ValueError, TypeError) as error:
            raise type(error)(f"validation_data: {error}") from None
    train = datasets.weigh(train, reader, data.sample_weight, data.class_weight)
    samples = train.samples(datasets.found).n
    epochs = validation.check_whole("epochs", arguments["epochs"], at_least=0)
    return Member(place, network, arguments, reader, train, held_out, float(epochs) * samples * network.n_parameters)
