"""A network that holds what the lists ``coefs_`` and ``intercepts_`` hold."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.network import Network

Array = NDArray[Any]
Layers = list[Array]
_FEW = 2048  # numbers, whose bytes are compared sooner than they are


class Shape(NamedTuple):
    """What a network is made of, but for its parameters; in the engine's words."""

    sizes: tuple[int, ...]
    activations: tuple[Any, ...]  # of the hidden layers
    output: str
    cost: str
    dtype: Any
    task: Any


class Mirror:
    """The engine's network behind an estimator.

    The lists are what counts, as with scikit-learn: they may be replaced, and their arrays changed in place. So they
    are compared with what the network was last given, and go there again if they differ.
    """

    def __init__(self) -> None:
        self._shape: Shape | None = None
        self._known: tuple[Layers, Layers] = [], []

    def network(self, shape: Shape, coefs: Layers, intercepts: Layers) -> Network:
        """The network of that shape with these parameters: coefs (n_in, n_out) and intercepts (n_out,) by layer."""
        if shape != self._shape:
            layers = [W.T for W in coefs], intercepts
            sizes, activations, output, cost, dtype, task = shape
            self._network = Network(sizes, activations or "identity", output, cost, layers, dtype, task=task)
            self._shape = shape
            self._remember(coefs, intercepts)
        elif not (_equal(coefs, self._known[0]) and _equal(intercepts, self._known[1])):
            self._network.weights, self._network.biases = [W.T for W in coefs], intercepts
            self._remember(coefs, intercepts)
        return self._network

    def read(self) -> tuple[Layers, Layers]:
        """The network's parameters as new lists of new arrays."""
        coefs = [np.ascontiguousarray(W.T) for W in self._network.weights]
        return coefs, [b.copy() for b in self._network.biases]

    def read_after_training(self) -> tuple[Layers, Layers]:
        """The same, taken note of as what the network holds."""
        coefs, intercepts = self.read()
        self._remember(coefs, intercepts)
        return coefs, intercepts

    def _remember(self, coefs: Layers, intercepts: Layers) -> None:
        self._known = [np.array(W) for W in coefs], [np.array(b) for b in intercepts]

    def __getstate__(self) -> dict[str, Any]:
        """Without the copies: the lists themselves are in the file too."""
        return {**self.__dict__, "_known": ([], [])}


def _equal(layers: Layers, known: Layers) -> bool:
    return len(layers) == len(known) and all(map(_same, layers, known))


def _same(layer: Any, known: Array) -> bool:
    """What ``np.array_equal`` says, in less of the few microseconds that a prediction of one sample takes."""
    array = np.asarray(layer)
    if array.shape != known.shape or array.dtype != known.dtype:
        return False
    if known.size <= _FEW:
        return array.tobytes() == known.tobytes()
    return not np.count_nonzero(array != known)
