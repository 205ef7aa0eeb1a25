"""What a peer is."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from peers.cases import Array, Case, Data, Layers, Task

_GATHERED = 1000


class Peer(ABC):
    """One library, or one way to use it.

    A peer imports its library in ``prepare``, never before: it may not be installed.
    """

    packages: ClassVar[tuple[str, ...]] = ()
    """What pip has to install."""
    modules: ClassVar[tuple[str, ...]] = ()
    """What can be imported then."""
    share: ClassVar[float] = 1.0
    """The part of an epoch that is timed, and scaled up; less than 1 for the very slow."""
    shuffles: ClassVar[bool] = False
    """Whether the library draws its own order; NumPy draws it for the others, in the timed region too."""
    adds_epsilon_first: ClassVar[bool] = False
    """Whether its Adam adds epsilon before the moments are corrected: other steps where gradients are tiny."""
    note: str = ""
    """What a reader has to know of how it did the task, once it is prepared."""

    @staticmethod
    def takes(case: Case) -> bool:
        """Whether the case is one for this peer."""
        return True

    @abstractmethod
    def prepare(self, task: Task, data: Data, layers: Layers) -> None:
        """Forget everything and stand ready to train on ``data`` from the weights ``layers``."""

    @abstractmethod
    def epoch(self, order: Array | None) -> None:
        """Train on the samples in this order, one step per batch; the last batch may be smaller.

        With None, which comes only to a peer that ``shuffles``, on all samples in a fresh random order.
        """

    def epochs(self, count: int, order: Callable[[], Array | None]) -> None:
        """Train for several epochs, each in an order of its own."""
        for _ in range(count):
            self.epoch(order())

    @abstractmethod
    def weights(self) -> Layers:
        """The weights as they are now."""


def batches(X: Any, T: Any, order: Any, size: int) -> Iterator[tuple[Any, Any]]:
    """Samples and targets batch by batch, of NumPy arrays or tensors.

    They are put in order about a thousand at a time. One by one is slower for small batches, and all at once for large
    ones, which have left the caches when their turn comes.
    """
    block = -(-_GATHERED // size) * size
    for start in range(0, len(order), block):
        rows = order[start : start + block]
        x, t = X[rows], T[rows]
        for first in range(0, len(rows), size):
            yield x[first : first + size], t[first : first + size]


def flat(layers: Layers) -> list[Array]:
    """Copies of weights and biases in turn: W1, b1, W2, b2, ..."""
    return [array.copy() for layer in layers for array in layer]


def paired(parameters: list[Array]) -> Layers:
    """The inverse of ``flat``."""
    return list(zip(parameters[::2], parameters[1::2], strict=True))
