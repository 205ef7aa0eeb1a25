"""NumPy alone: a batch at a time, and a sample at a time as a well-known book on neural networks does it."""

import numpy as np

from peers import maths
from peers.base import Peer, batches, flat, paired
from peers.cases import Array, Case, Data, Formulas, Layers, Task


def sigmoid(z: Array) -> Array:
    """``1 / (1 + exp(-z))``; weights stay small here, so nothing overflows."""
    return 1 / (1 + np.exp(-z))


def _softmax(z: Array) -> Array:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


FUNCTIONS = {"sigmoid": sigmoid, "tanh": np.tanh, "relu": lambda z: np.maximum(z, 0), "softmax": _softmax}


class NumpyBatch(Peer):
    """Matrix products over whole batches."""

    packages = ("numpy",)
    modules = ("numpy",)

    def prepare(self, task: Task, data: Data, layers: Layers) -> None:
        """See Peer."""
        self._task, self._data = task, data
        self._parameters, self._count = flat(layers), 0
        self._memory = maths.fresh_memory(task.optimizer, self._parameters)

    def epoch(self, order: Array | None) -> None:
        """See Peer."""
        assert order is not None
        for x, t in batches(self._data.X, self._data.T, order, self._task.batch):
            self._step(self._gradients(x, t))

    def _gradients(self, x: Array, t: Array) -> list[Array]:
        return maths.gradients(self._task.formulas, FUNCTIONS, self._parameters, x, t)

    def _step(self, found: list[Array]) -> None:
        self._count += 1
        self._parameters, self._memory = maths.step(
            self._task.optimizer, self._parameters, found, self._memory, self._count
        )

    def weights(self) -> Layers:
        """See Peer."""
        return paired(self._parameters)


class NumpySample(NumpyBatch):
    """Column vectors, and a sum of gradients over the samples of a batch in a Python loop."""

    share = 0.05

    @staticmethod
    def takes(case: Case) -> bool:
        """See Peer; the book's layers are sigmoid ones."""
        return case.formulas == Formulas()

    def _gradients(self, x: Array, t: Array) -> list[Array]:
        sums = [np.zeros_like(w) for w in self._parameters]
        for row, target in zip(x, t, strict=True):
            one = self._sample_gradients(row[:, np.newaxis], target[:, np.newaxis])
            sums = [total + g for total, g in zip(sums, one, strict=True)]
        return [total / len(x) for total in sums]

    def _sample_gradients(self, a: Array, target: Array) -> list[Array]:
        outputs = [a]
        for W, b in paired(self._parameters):
            a = sigmoid(W @ a + b[:, np.newaxis])
            outputs.append(a)
        delta = outputs[-1] - target
        found: list[Array] = []
        for i in reversed(range(len(outputs) - 1)):
            found = [delta @ outputs[i].T, delta[:, 0], *found]
            delta = (self._parameters[2 * i].T @ delta) * outputs[i] * (1 - outputs[i])
        return found
