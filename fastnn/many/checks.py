"""Checks of what is passed in for several networks at once."""

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import validation
from fastnn.callbacks import EarlyStopping
from fastnn.network import FIT_DEFAULTS, Network

OWN_ARGUMENTS = ("X", "y", "max_time", "progress")
"""Arguments of ``fit`` that concern all networks together."""
DATA_ARGUMENTS = ("sample_weight", "class_weight", "validation_data")
"""Arguments of ``fit`` that are data, too."""


class Each(tuple[Any, ...]):
    """Values of one argument, one for every network; made by ``each``."""

    __slots__ = ()


def each(values: Iterable[Any]) -> Each:
    """Give every network of ``fit_many`` a value of its own, where otherwise one would be for all.

    Parameters
    ----------
    values : iterable
        One value for every network, in their order.

    Returns
    -------
    Each
        To be passed as any argument of ``fit_many`` that ``Network.fit`` has too, but ``max_time`` and ``progress``.

    Raises
    ------
    TypeError
        If this is no iterable.

    Examples
    --------
    >>> import fastnn
    >>> X, y, Xt, yt = fastnn.datasets.load_digits()
    >>> networks = [fastnn.Network([64, 16, 10], seed=i) for i in range(2)]
    >>> histories = fastnn.fit_many(networks, X, y, epochs=2, batch_size=fastnn.each([10, 20]))
    >>> [history.epochs for history in histories]
    [[1, 2], [1, 2]]
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"values must be a list with one value for every network, got {type(values).__name__}")
    return Each(values)


def check_networks(networks: Any, argument: str = "networks") -> list[Network]:
    """Networks, at least one, none of them twice."""
    if isinstance(networks, Network) or not isinstance(networks, Iterable):
        raise TypeError(f"{argument} must be a list of networks, got {type(networks).__name__}")
    found = list(networks)
    if not found:
        raise ValueError(f"{argument} must hold at least one network, got none")
    for i, network in enumerate(found):
        if not isinstance(network, Network):
            raise TypeError(f"{argument}[{i}] must be a fastnn.Network, got {type(network).__name__}")
    return found


def check_different(networks: Sequence[Network]) -> None:
    """Refuse a network that would be trained by two threads."""
    places: dict[int, int] = {}
    for i, network in enumerate(networks):
        first = places.setdefault(id(network), i)
        if first != i:
            raise ValueError(f"networks must be different objects, but networks[{i}] is networks[{first}]: use copy()")


def spread(argument: str, value: Any, count: int) -> Sequence[Any]:
    """The value of every network, from one for all or ``each``."""
    if not isinstance(value, Each):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"{argument} must have one value for each of the {count} networks, got {len(value)}")
    return value


def _own_callbacks(callbacks: Any) -> Any:
    """The same callbacks, but those that remember the course of one training as objects of their own."""
    if not isinstance(callbacks, (list, tuple)):
        return callbacks
    return [copy.copy(each) if isinstance(each, EarlyStopping) else each for each in callbacks]


def fit_arguments(given: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """For every network what ``Network.fit`` takes besides the data."""
    known = [name for name in FIT_DEFAULTS if name not in OWN_ARGUMENTS]
    for name in given:
        if name not in known:
            validation.check_name("an argument", name, known)
    columns = {name: spread(name, given.get(name, FIT_DEFAULTS[name]), count) for name in known}
    columns["callbacks"] = [_own_callbacks(callbacks) for callbacks in columns["callbacks"]]
    return [{name: column[i] for name, column in columns.items()} for i in range(count)]


def check_rows(argument: str, values: Any, n: int) -> NDArray[np.int64] | None:
    """Numbers of samples, from indices or a mask; None stands for all."""
    if values is None:
        return None
    array = validation.check_numeric(argument, values)
    if array.dtype == bool and array.shape == (n,):
        array = np.flatnonzero(array)
    if array.size == 0:
        raise ValueError(f"{argument} must hold at least one sample's number, got none")
    if array.ndim != 1 or array.dtype.kind not in "iu":
        shape = "x".join(map(str, array.shape))
        raise TypeError(f"{argument} must hold whole numbers (k,), or be a mask ({n},), got {array.dtype} {shape}")
    if array.min() < 0 or array.max() >= n:
        wrong = array.min() if array.min() < 0 else array.max()
        raise ValueError(f"{argument} must hold numbers from 0 to {n - 1}, got {wrong}")
    return np.ascontiguousarray(array, np.int64)


def check_rows_of_all(argument: str, values: Any, count: int) -> Sequence[Any]:
    """One entry for every network."""
    if values is None:
        return [None] * count
    if isinstance(values, (str, bytes)) or not isinstance(values, (Sequence, np.ndarray)):
        raise TypeError(f"{argument} must be a list with the rows of every network, got {type(values).__name__}")
    if len(values) != count:
        raise ValueError(f"{argument} must have one entry for each of the {count} networks, got {len(values)}")
    return list(values)


def check_cores(n_jobs: Any, usable: int) -> int:
    """How many processors to keep busy; -1 stands for all that may be used, -2 for all but one."""
    number = validation.check_whole("n_jobs", n_jobs, at_least=None)
    if number == 0:
        raise ValueError("n_jobs must be a number of processors, or -1 for all that may be used, got 0")
    return number if number > 0 else max(1, usable + 1 + number)
