"""Orders of samples: one after the other, by chance, or as Python would shuffle them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.kernels.records import address_of

Array = NDArray[Any]
_SHUFFLED_PER_CALL = 1 << 21  # samples in a piece of a random order: some hundredths of a second


def natural_order(n: int) -> Array:
    """The numbers from 0 to n - 1, as int64 on every platform, which is what kernels are compiled for."""
    return np.arange(n, dtype=np.int64)


@dataclass(frozen=True)
class RandomOrders:
    """Orders of samples by chance, the same ones however many are asked for at a time."""

    generator: np.random.Generator

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
        """The next ``count`` orders as rows."""
        from fastnn.kernels.shuffle import permute

        orders, draws = np.empty((count, n), np.int64), self.generator.random((count, n))
        code, order, draw = permute.code(None), address_of(orders), address_of(draws)
        for at in range(0, orders.nbytes, n * orders.itemsize):
            code(order + at, 0, n, draw + at)  # draws have eight bytes, too
        return orders


def shuffle_as_python(order: Array, state: Array) -> None:
    """Shuffle ``order`` (n,) int64 in place as ``random.shuffle`` would; ``state`` (625,) is Python's, and goes on."""
    from fastnn.kernels.shuffle import shuffle

    shuffle.code(None)(address_of(order), order.size, address_of(state))
