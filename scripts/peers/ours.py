"""fastnn itself, through its public interface."""

from collections.abc import Callable
from typing import Any

from peers import maths
from peers.base import Peer
from peers.cases import Array, Case, Data, Layers, Task


class FastNN(Peer):
    """``Network.fit``, one call per epoch: the checks of its arguments are part of the time."""

    modules = ("fastnn",)
    shuffles = True
    scale: float | None = None

    def prepare(self, task: Task, data: Data, layers: Layers) -> None:
        """See Peer."""
        import fastnn

        initial = [W for W, _ in layers], [b for _, b in layers]
        options: dict[str, Any] = {} if self.scale is None else {"scale": self.scale}  # which old commits do not know
        self._network = fastnn.Network(task.sizes, initializer=initial, dtype=task.dtype, **options)
        self._X, self._y = self._features(data), data.y
        rate = maths.LEARNING_RATES[task.optimizer]
        optimizer: Any
        if task.optimizer == "adam":
            optimizer = fastnn.Adam(rate, maths.BETA1, maths.BETA2, maths.EPSILON)
        else:
            optimizer = fastnn.SGD(rate, momentum=maths.MOMENTUM if task.optimizer == "momentum" else 0.0)
        self._settings = {"batch_size": task.batch, "optimizer": optimizer, "threads": task.threads}

    def _features(self, data: Data) -> Array:
        return data.X

    def epoch(self, order: Array | None) -> None:
        """See Peer; an order is taken to be the natural one."""
        self._network.fit(self._X, self._y, epochs=1, shuffle=order is None, progress=False, **self._settings)

    def epochs(self, count: int, order: Callable[[], Array | None]) -> None:
        """See Peer; one call of ``fit``, as a user would write it."""
        self._network.fit(self._X, self._y, epochs=count, progress=False, **self._settings)

    def weights(self) -> Layers:
        """See Peer."""
        return list(zip(self._network.weights, self._network.biases, strict=True))


class FastNNBytes(FastNN):
    """The same on images kept as bytes, a quarter of the memory."""

    scale = 255

    @staticmethod
    def takes(case: Case) -> bool:
        """See Peer."""
        return case.source == "mnist"

    def _features(self, data: Data) -> Array:
        assert data.pixels is not None
        return data.pixels
