"""fastnn itself, through its public interface."""

from collections.abc import Callable
from typing import Any

from peers import maths
from peers.base import Peer
from peers.cases import Array, Case, Data, Layers, Task


def new_network(task: Task, layers: Layers, scale: float | None = None) -> Any:
    """A network of a task's formulas that starts from ``layers``."""
    import fastnn

    initial = [W for W, _ in layers], [b for _, b in layers]
    options: dict[str, Any] = {**task.formulas._asdict(), "initializer": initial, "dtype": task.dtype}
    if scale is not None:  # old commits do not know it
        options["scale"] = scale
    return fastnn.Network(task.sizes, **options)


def fit_settings(task: Task) -> dict[str, Any]:
    """Arguments of ``fit``."""
    import fastnn

    rate = maths.LEARNING_RATES[task.optimizer]
    optimizer: Any
    if task.optimizer == "adam":
        optimizer = fastnn.Adam(rate, maths.BETA1, maths.BETA2, maths.EPSILON)
    else:
        optimizer = fastnn.SGD(rate, momentum=maths.MOMENTUM if task.optimizer == "momentum" else 0.0)
    return {"batch_size": task.batch, "optimizer": optimizer, "threads": task.threads, "progress": False}


class FastNN(Peer):
    """``Network.fit``, one call per epoch: the checks of its arguments are part of the time."""

    modules = ("fastnn",)
    shuffles = True
    scale: float | None = None

    def prepare(self, task: Task, data: Data, layers: Layers) -> None:
        """See Peer."""
        self._network = new_network(task, layers, self.scale)
        self._X, self._y = self._features(data), data.y
        self._settings = fit_settings(task)

    def _features(self, data: Data) -> Array:
        return data.X

    def epoch(self, order: Array | None) -> None:
        """See Peer; an order is taken to be the natural one."""
        self._network.fit(self._X, self._y, epochs=1, shuffle=order is None, **self._settings)

    def epochs(self, count: int, order: Callable[[], Array | None]) -> None:
        """See Peer; one call of ``fit``, as a user would write it."""
        self._network.fit(self._X, self._y, epochs=count, **self._settings)

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
