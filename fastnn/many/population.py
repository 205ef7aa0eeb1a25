"""Several networks and the data that they share: checked, and converted, once.

What a network trains on is a reference, the number of a data set and some of its rows, so that a member of a
population is small and can be sent to where the data are.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import validation
from fastnn.kernels.buffers import Data
from fastnn.many import checks
from fastnn.network import Network
from fastnn.training import Company, FitRequest, Samples


class Reference(NamedTuple):
    """What to train on, or to measure."""

    dataset: int
    rows: NDArray[np.int64] | None


class Member(NamedTuple):
    """A network and its task."""

    place: int
    network: Network
    arguments: dict[str, Any]  # of ``fit``, without data
    train: Reference
    held_out: Reference | None
    work: float  # multiply-adds, roughly: the longest tasks go first

    def request(self, datasets: Sequence[Samples], seconds: float, company: Company | None) -> FitRequest:
        """What to do, checked like a user's own call of ``fit``."""
        held_out = None if self.held_out is None else (_taken(self.held_out, datasets, weighted=False), None)
        request = self.network._request(
            **{
                **self.arguments,
                "X": _taken(self.train, datasets),
                "y": None,
                "sample_weight": None,
                "validation_data": held_out,
                "max_time": None,
                "progress": False,
            }
        )
        return request._replace(settings=request.settings._replace(max_time=seconds, company=company))


class Population(NamedTuple):
    """Networks to be trained, and all their data."""

    members: list[Member]
    datasets: list[Samples]


class DataArguments(NamedTuple):
    """Where the samples come from: for every argument one value per network."""

    X: Sequence[Any]
    y: Sequence[Any]
    sample_weight: Sequence[Any]
    validation_data: Sequence[Any]
    rows: Sequence[Any]
    validation_rows: Sequence[Any]


def _taken(reference: Reference, datasets: Sequence[Samples], weighted: bool = True) -> Samples:
    samples, rows = datasets[reference.dataset], reference.rows
    if not weighted:  # validation has no weights
        samples = samples._replace(data=samples.data._replace(sample_weight=samples.data.sample_weight[:0]))
    return samples if rows is None else Samples(samples.data, len(rows), rows)


class _Datasets:
    """Checked data, every array once."""

    def __init__(self) -> None:
        self.found: list[Samples] = []
        self._places: dict[tuple[Any, ...], int] = {}
        self._converted: dict[tuple[Any, ...], Any] = {}

    def place(self, network: Network, X: Any, y: Any, sample_weight: Any) -> int:
        """The number of these data in the form that this network takes."""
        inputs = id(X), network.dtype, network.sizes[0]
        key = *inputs, id(y), id(sample_weight), network.sizes[-1], network.cost
        if key not in self._places:
            samples = network._samples(self._converted.get(inputs, X), y, sample_weight)
            data = self._share(samples.data)
            if not data.starts.size and not data.pixels.size:  # for networks that differ in y or cost alone
                self._converted[inputs] = data.features.reshape(samples.n, -1)
            self.found.append(samples._replace(data=data))
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


def _same(array: NDArray[Any], other: NDArray[Any]) -> bool:
    return array.dtype == other.dtype and array.shape == other.shape and np.array_equal(array, other)


def populate(networks: Sequence[Network], data: DataArguments, arguments: Sequence[dict[str, Any]]) -> Population:
    """Check everything, before anything is trained."""
    datasets, members = _Datasets(), []
    for i, network in enumerate(networks):
        try:
            members.append(_member(i, network, DataArguments(*(column[i] for column in data)), arguments[i], datasets))
            members[-1].request(datasets.found, 1.0, None)
        except (ValueError, TypeError) as error:
            raise type(error)(f"networks[{i}]: {error}") from None
    return Population(members, datasets.found)


def _member(
    place: int, network: Network, data: DataArguments, arguments: dict[str, Any], datasets: _Datasets
) -> Member:
    X, y, sample_weight, validation_data, rows, validation_rows = data
    number = datasets.place(network, X, y, sample_weight)
    n = datasets.found[number].n
    train = Reference(number, checks.check_rows("rows", rows, n))
    held_out = None
    if validation_rows is not None:
        if validation_data is not None:
            raise ValueError("validation_data and validation_rows cannot both be given")
        held_out = Reference(number, checks.check_rows("validation_rows", validation_rows, n))
    elif validation_data is not None:
        pair = validation.check_two("validation_data", validation_data, "(X, y)")
        try:
            held_out = Reference(datasets.place(network, *pair, None), None)
        except (ValueError, TypeError) as error:
            raise type(error)(f"validation_data: {error}") from None
    samples = n if train.rows is None else len(train.rows)
    epochs = validation.check_whole("epochs", arguments["epochs"], at_least=0)
    return Member(place, network, arguments, train, held_out, float(epochs) * samples * network.n_parameters)
