"""What the networks of column vectors share: pairs as arrays, layers as lists, and one float64 network that works."""

import random
from collections.abc import Callable, Sized
from dataclasses import replace
from itertools import pairwise
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
from numpy import divide, exp, vdot
from numpy.typing import ArrayLike, NDArray

from fastnn import validation
from fastnn.history import History
from fastnn.inputs.features import as_is
from fastnn.inputs.scaling import Scaling
from fastnn.network import Network, complete_arguments
from fastnn.optimizers import SGD
from fastnn.orders import shuffle_as_python
from fastnn.training import packed

Array = NDArray[Any]


_FLOAT64, _ONE = np.dtype(np.float64), np.array(1.0)  # a number of Python's takes longer to add
_FAR = 700.0**2  # exp of 700 is still a float64
_EPOCHS_THAT_PAY = 8  # for looking whether the data are bytes
_ROWS_CONVERTED = 256  # that fit into a cache


class Samples(NamedTuple):
    """Pairs (x, y) as two matrices."""

    X: Array  # (n, n_in) float64
    Y: Array  # (n, n_out) float64

    @property
    def labels(self) -> Array:
        """The class of every sample: its largest target, or a single target itself."""
        return self.Y.argmax(axis=1) if self.Y.shape[1] > 1 else self.Y[:, 0]


class ListShuffle:
    """The orders that ``random.shuffle(data)`` gives a list of n, once for every epoch, each from the one before.

    Called by ``Network.fit``. It draws from Python's global generator what shuffling the list itself would draw.
    """

    def __init__(self, n: int) -> None:
        self._order = np.arange(n, dtype=np.int64)

    def __call__(self, n: int) -> Array:
        """Shuffle once more."""
        version, words, gauss = random.getstate()
        state = np.array(words, np.uint32)
        shuffle_as_python(self._order, state)
        random.setstate((version, tuple(state.tolist()), gauss))
        return self._order.copy()

    def arrange(self, data: Any) -> None:
        """Leave a list in the order in which shuffling it would have left it; other data stay as they are."""
        if isinstance(data, list):
            data[:] = [data[i] for i in self._order.tolist()]


def _as_bytes(X: Array) -> Array | None:
    """255 times ``X`` as bytes, if it is nothing but such fractions, bit for bit: an eighth of the memory."""
    pixels = np.empty(X.shape, np.uint8)
    for first in range(0, len(X), _ROWS_CONVERTED):
        part = X[first : first + _ROWS_CONVERTED]
        if part.min() < 0 or part.max() > 1:
            return None
        found = np.rint(part * 255).astype(np.uint8)
        if not (found / 255 == part).all():
            return None
        pixels[first : first + len(part)] = found
    return pixels


def _equal(layers: Any, known: list[Array]) -> bool:
    """Whether these are lists of equal arrays."""
    return isinstance(layers, list) and len(layers) == len(known) and all(map(np.array_equal, layers, known))


class ColumnNetwork:
    """A network of sigmoid layers whose weights (out, in) and biases (out, 1) are plain lists of arrays.

    The lists are what counts: they go to the engine's network before it works, and come back after training. So
    anything may be done to them: new lists, new arrays, arrays changed in place.
    """

    weights: list[Array]
    biases: list[Array]

    @property
    def _vanishing(self) -> bool:
        """Whether the output's error is multiplied with the slope of its sigmoid."""
        return self._network.cost == "quadratic"

    def _attach(self, sizes: tuple[int, ...], cost: str, wording: str) -> None:
        self._network = Network(sizes, cost=cost, dtype="float64")
        self._network._wording, self._trains = wording, False
        self._shapes = [((n_out, n_in), (n_out, 1), (n_in, 1)) for n_in, n_out in pairwise(sizes)]
        self._remember()

    def _samples(self, argument: str, pairs: Any) -> Samples:
        sizes = self._network.sizes
        return Samples(*validation.check_pairs(argument, pairs, sizes[0], sizes[-1]))

    def _held_out(self, argument: str, pairs: Any) -> Samples | None:
        """Samples, or None for None and for an empty list."""
        if pairs is None or (isinstance(pairs, Sized) and len(pairs) == 0):
            return None
        return self._samples(argument, pairs)

    # --- the lists and the engine's network ---

    def _push(self) -> Network:
        """The engine's network, with what the lists hold now; while it trains, as it is."""
        network = self._network
        if not self._trains and not all(map(_equal, (self.weights, self.biases), self._known)):
            shapes = [(n_out, 1) for n_out in network.sizes[1:]]
            biases = validation.check_layers("biases", self.biases, shapes, network.dtype)
            network.weights = self.weights
            network.biases = [b[:, 0] for b in biases]
            self._remember()
        return network

    def _pull(self) -> None:
        """What the engine's network holds now, as new lists."""
        self._remember()
        self.weights, self.biases = ([array.copy() for array in layers] for layers in self._known)

    def _remember(self) -> None:
        weights, biases = self._network._engine.read_all()
        self._known = weights, [b[:, np.newaxis] for b in biases]

    # --- work ---

    def _activations(self, x: Any) -> list[Array] | None:
        """What every layer gives for one input, the input first, in NumPy: for one sample a kernel is a long way.

        None where anything is out of the ordinary, for the engine's network to say what.
        """
        try:
            a = x if x.ndim == 2 else x[:, np.newaxis]
            activations = [a]
            for w, b, shapes in zip(self.weights, self.biases, self._shapes, strict=True):
                if (w.shape, b.shape, a.shape) != shapes or not w.dtype is b.dtype is _FLOAT64:
                    return None
                a = w.dot(a)
                a += b
                flat = a.reshape(-1)  # whose product with itself takes half as long as ``vdot``
                if not flat.dot(flat) < _FAR:  # where exp may overflow, or a number is not finite
                    return None
                exp(a, a)
                divide(a, a + _ONE, a)
                activations.append(a)
        except (AttributeError, TypeError, IndexError, ValueError):  # no arrays, or not one for every layer
            return None
        return activations

    def _forward(self, a: ArrayLike) -> Array:
        activations = self._activations(a)
        if activations is not None:
            return activations[-1] if activations[0] is a else activations[-1][:, 0]
        columns = validation.check_columns("a", a, self._network.sizes[0])
        outputs: Array = self._push().forward(columns.T).T
        return outputs[:, 0] if np.ndim(a) == 1 else outputs

    def _gradients(self, x: ArrayLike, y: ArrayLike) -> tuple[list[Array], list[Array]]:
        """The gradients of one sample's cost by weights and by biases."""
        sizes, activations = self._network.sizes, self._activations(x)
        if activations is not None and getattr(y, "shape", None) in ((sizes[-1], 1), sizes[-1:]):
            delta = activations[-1] - validation.check_numeric("y", y).reshape(-1, 1)
            if isfinite(vdot(delta, delta)):
                return self._gradients_of(activations, delta)
        X = validation.check_column("x", x, sizes[0]).astype(np.float64)
        Y = validation.check_target_column("y", y, sizes[-1])
        by_weights, by_biases = self._push().gradients(X[np.newaxis], Y[np.newaxis])
        return by_weights, [b[:, np.newaxis] for b in by_biases]

    def _gradients_of(self, activations: list[Array], delta: Array) -> tuple[list[Array], list[Array]]:
        """Back through the layers from the error of the output."""
        if self._vanishing:
            delta *= activations[-1] * (1 - activations[-1])
        by_weights, by_biases = [delta.dot(activations[-2].T)], [delta]
        for layer in range(len(activations) - 2, 0, -1):
            a = activations[layer]
            delta = self.weights[layer].T.dot(delta)
            delta *= a * (1 - a)
            by_weights.insert(0, delta.dot(activations[layer - 1].T))
            by_biases.insert(0, delta)
        return by_weights, by_biases

    def _descend(
        self,
        samples: Samples,
        epochs: int,
        batch_size: int,
        eta: float,
        l2: float = 0.0,
        shuffle: bool | ListShuffle = False,
        after_epoch: Callable[[int], None] | None = None,
    ) -> None:
        """Train; ``after_epoch`` is called with the number of every epoch, from 0."""

        def look(_: Network, history: History) -> None:
            if after_epoch is not None:
                after_epoch(len(history.epochs) - 1)

        network, pixels = self._push(), _as_bytes(samples.X) if epochs >= _EPOCHS_THAT_PAY else None
        reader = network._reader
        if pixels is None:
            features = as_is(samples.X)  # looked at when the pairs were read
        else:
            features = replace(reader, scaling=Scaling.by_number(reader.n_in, 255.0)).features("X", pixels)
        given = complete_arguments(
            X=packed(reader.answered(features, samples.Y), network.dtype),
            y=None,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=SGD(eta),
            l2=l2,
            shuffle=shuffle,
            callbacks=[look],
            progress=False,
        )
        request = network._request(given)
        self._trains = True
        try:  # not settled on what Y is: that may change from one call to the next
            network._train(request._replace(reader=None))
        finally:
            self._trains = False
            self._pull()

    def _step(self, samples: Samples, eta: float, l2: float = 0.0) -> None:
        self._descend(samples, 1, len(samples.X), eta, l2)

    def _hits(self, samples: Samples) -> int:
        """Samples whose largest output is that of their class."""
        return int((self._push().forward(samples.X).argmax(axis=1) == samples.labels).sum())
