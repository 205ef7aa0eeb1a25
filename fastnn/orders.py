"""Orders of samples: one after the other, by chance, or as Python or NumPy would shuffle them."""

import ctypes
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.forks import ForkSafeLock
from fastnn.kernels.records import address_of

Array = NDArray[Any]
_SHUFFLED_PER_CALL = 1 << 21  # samples in a piece of a random order: some hundredths of a second
_DRAWN_TOGETHER = 1 << 13  # numbers, which stay in the nearer caches
ORDERED_TOGETHER = 1 << 19
"""Samples of several orders that are asked for at a time: more would come back from memory."""


class Orders(ABC):
    """Orders of samples for one epoch after the other, the same ones however many are asked for at a time."""

    @abstractmethod
    def prepare(self) -> None:
        """Have compiled what it takes."""

    @abstractmethod
    def __call__(self, n: int, between: Callable[[], None] = lambda: None) -> Array:
        """The numbers from 0 to n - 1 in the next order, as int64; ``between`` may be called before pieces of many."""

    @abstractmethod
    def several(self, n: int, count: int) -> Array:
        """The next ``count`` orders as rows; they last until this has been called twice more."""


class NaturalOrder(Orders):
    """Always the samples' own, as int64 on every platform, which is what kernels are compiled for."""

    def __init__(self) -> None:
        self._kept: Array = np.empty((0, 0), np.int64)

    def prepare(self) -> None:
        """Nothing is to be compiled."""

    def __call__(self, n: int, between: Callable[[], None] = lambda: None) -> Array:
        """The numbers from 0 to n - 1."""
        return np.arange(n, dtype=np.int64)

    def several(self, n: int, count: int) -> Array:
        """The same for every epoch, written once."""
        if self._kept.shape[1] != n or len(self._kept) < count:
            self._kept = np.tile(self(n), (count, 1))
        return self._kept[:count]


def natural_order(n: int) -> Array:
    """The numbers from 0 to n - 1."""
    return NaturalOrder()(n)


@dataclass(frozen=True)
class RandomOrders(Orders):
    """Orders by chance."""

    generator: np.random.Generator
    _kept: list[Array] = field(default_factory=list, repr=False, compare=False)

    def prepare(self) -> None:
        """Have compiled what it takes."""
        from fastnn.kernels.shuffle import permute

        permute.code(None)

    def __call__(self, n: int, between: Callable[[], None] = lambda: None) -> Array:
        """The next order; ``between`` is called before every piece."""
        from fastnn.kernels.shuffle import permute

        order, draws, code = np.empty(n, np.int64), np.empty(min(n, _SHUFFLED_PER_CALL)), permute.code(None)
        for first in range(0, n, _SHUFFLED_PER_CALL):
            between()
            end = min(first + _SHUFFLED_PER_CALL, n)
            self.generator.random(out=draws[: end - first])
            code(address_of(order), first, end, address_of(draws))
        return order

    def several(self, n: int, count: int) -> Array:
        """The next ``count`` orders as rows; they last until this has been called twice more."""
        from fastnn.kernels.shuffle import permute

        orders, draws, code = (
            self._room(count * n).reshape(count, n),
            np.empty(min(n, _DRAWN_TOGETHER)),
            permute.code(None),
        )
        place, numbers = address_of(orders), address_of(draws)
        for order in range(place, place + orders.nbytes, n * orders.itemsize):
            for first in range(0, n, _DRAWN_TOGETHER):
                end = min(first + _DRAWN_TOGETHER, n)
                self.generator.random(out=draws[: end - first])
                code(order, first, end, numbers)
        return orders

    def _room(self, size: int) -> Array:
        """Memory for orders, of which two take turns: a training may go back to those before the latest.

        Memory that is new in every call comes from the system page by page.
        """
        oldest = self._kept.pop(0) if len(self._kept) == 2 else np.empty(size, np.int64)
        room = oldest if oldest.size >= size else np.empty(size, np.int64)
        self._kept.append(room)
        return room[:size]


def shuffle_as_python(order: Array, state: Array) -> None:
    """Shuffle ``order`` (n,) int64 in place as ``random.shuffle`` would; Python's ``state`` (625,) uint32 goes on."""
    _shuffle(order.reshape(1, -1), state, highest_bits=True)


def _shuffle(orders: Array, state: Array, highest_bits: bool) -> None:
    from fastnn.kernels.shuffle import ROOM, shuffle

    room = np.empty(ROOM, np.uint32)
    places = address_of(orders), *orders.shape, address_of(state), address_of(room)
    shuffle.code(None)(*places, int(highest_bits))


class NumpyShuffle:
    """What ``random_state.shuffle`` does to an array of int64, draw by draw, in a fifth of its time.

    Parameters
    ----------
    random_state : RandomState
        Drawn from; one that is no Mersenne Twister shuffles by itself.
    """

    def __init__(self, random_state: np.random.RandomState) -> None:
        self._random_state = random_state
        self._lock = ForkSafeLock(awaited=True)  # while a kernel draws, NumPy's own lock is held without Python's

    def prepare(self) -> None:
        """Have compiled what it takes."""
        from fastnn.kernels.shuffle import shuffle

        shuffle.code(None)

    def __call__(self, orders: Array) -> None:
        """Shuffle the first row of ``orders`` (count, n), n < 2^32, and make each other one from that before it."""
        generator = self._random_state._bit_generator  # which somebody may have replaced since
        state = _state_of(generator)
        if state is not None:
            with self._lock.here, generator.lock:
                _shuffle(orders, state, highest_bits=False)
            return
        for row, order in enumerate(orders):
            if row:
                order[:] = orders[row - 1]
            self._random_state.shuffle(order)


_TwisterState = ctypes.c_uint32 * 625  # 624 words, and which of them comes next


def _state_of(generator: Any) -> Array | None:
    """A Mersenne Twister's state (625,) uint32, where NumPy has it as long as it lives; None of any other generator."""
    if type(generator) is not np.random.MT19937 or not _is_state_known():
        return None
    return np.ctypeslib.as_array(_TwisterState.from_address(generator.ctypes.state_address))


@cache
def _is_state_known() -> bool:
    """Whether the state that NumPy gives the address of is what it tells of it."""
    generator = np.random.MT19937(0)
    state = generator.state["state"]
    memory = _TwisterState.from_address(generator.ctypes.state_address)
    return list(memory) == [*state["key"].tolist(), state["pos"]]
