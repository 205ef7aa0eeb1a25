"""Orders of samples: one after the other, by chance, or as Python would shuffle them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.kernels.records import address_of

Array = NDArray[Any]
_SHUFFLED_PER_CALL = 1 << 21  # samples in a piece of a random order: some hundredths of a second
_DRAWN_TOGETHER = 1 << 13  # numbers, which stay in the nearer caches
ORDERED_TOGETHER = 1 << 19
"""Samples of several orders that are asked for at a time: more would come back from memory."""


def natural_order(n: int) -> Array:
    """The numbers from 0 to n - 1, as int64 on every platform, which is what kernels are compiled for."""
    return np.arange(n, dtype=np.int64)


@dataclass(frozen=True)
class RandomOrders:
    """Orders of samples by chance, the same ones however many are asked for at a time."""

    generator: np.random.Generator
    _kept: list[Array] = field(default_factory=list, repr=False, compare=False)

    def __call__(self, n: int, between: Callable[[], None] = lambda: None) -> Array:
        """The numbers from 0 to n - 1 in random order, as int64; ``between`` is called before every piece of many."""
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
    """Shuffle ``order`` (n,) int64 in place as ``random.shuffle`` would; ``state`` (625,) is Python's, and goes on."""
    from fastnn.kernels.shuffle import shuffle

    shuffle.code(None)(address_of(order), order.size, address_of(state))
