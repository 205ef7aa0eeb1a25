"""``Network`` of M. Nielsen's book "Neural Networks and Deep Learning", as a notebook's last cells have it in Python 3.

Change the import and keep the script: the same names and argument orders, the same initial weights and shuffles from
the same global generators (``numpy.random`` and ``random``), the same trajectory to the rounding, the same progress
lines. What is different, and why:

- The progress lines are printed. ``print("Epoch {0} complete").format(j)`` formats what ``print`` returns, an error.
- ``sigmoid`` does not overflow. ``np.exp(-z)`` does for large negative z, as it did on pixels from 0 to 255.
- Data may be any iterable of pairs, also a generator or a ``zip``; x and y columns or flat; y also a class label. A
  list is still left in the order of the last shuffle.
- The step is the engine's: in a subclass, another ``backprop`` or ``cost_derivative`` does not change how it trains.
"""

from __future__ import annotations  # so that help() shows types by their short names

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import validation
from fastnn.compat._columns import ColumnNetwork, ListShuffle
from fastnn.compat._sigmoid import sigmoid

__all__ = ["Network", "sigmoid", "sigmoid_prime"]

Array = NDArray[Any]


class Network(ColumnNetwork):
    """A network of sigmoid layers with the quadratic cost ``1/2 ||a - y||^2``, trained by mini-batch gradient descent.

    Parameters
    ----------
    sizes : sequence of int
        Units in each layer, the inputs first. Weights and biases are drawn from N(0, 1), all biases first.

    Attributes
    ----------
    sizes : list of int
    num_layers : int
    weights : list of array (out, in) float64
    biases : list of array (out, 1) float64
        Ordinary lists of ordinary arrays: assign a list or an array, or change an array in place
        (``net.weights[0] -= 1``); the network is what they hold. Training puts new lists and arrays there.

    Raises
    ------
    ValueError, TypeError
        If sizes are wrong. Wrong weights and biases are refused by the next method that needs them.

    Examples
    --------
    >>> import random
    >>> import numpy as np
    >>> from fastnn.compat.nielsen import Network
    >>> np.random.seed(0), random.seed(0)
    (None, None)
    >>> net = Network([2, 3, 1])
    >>> data = [(np.array([[a], [b]]), np.array([[a ^ b]])) for a in (0, 1) for b in (0, 1)]
    >>> net.SGD(zip(*zip(*data)), 2, 4, 3.0)
    Epoch 0 complete
    Epoch 1 complete
    >>> net.feedforward(np.array([[0], [1]])).shape
    (1, 1)
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        checked = validation.check_sizes(sizes)
        self.num_layers, self.sizes = len(checked), list(checked)
        self._attach(checked, "quadratic", "nielsen")
        # The global generator on purpose: a script that seeds it gets the numbers it always got.
        self.biases = [np.random.randn(n_out, 1) for n_out in checked[1:]]  # noqa: NPY002
        self.weights = [np.random.randn(n_out, n_in) for n_in, n_out in pairwise(checked)]  # noqa: NPY002

    def feedforward(self, a: ArrayLike) -> Array:
        """The output for the input ``a``.

        Parameters
        ----------
        a : array-like (in, 1), (in,) or (in, m)
            One input, or m of them side by side, which is much faster than m calls.

        Returns
        -------
        array (out, 1), (out,) or (out, m) float64

        Raises
        ------
        ValueError, TypeError
            If ``a`` has another shape, or is not numeric or not finite.

        Examples
        --------
        >>> net = Network([2, 1])
        >>> net.weights, net.biases = [np.array([[1.0, -1.0]])], [np.array([[0.0]])]
        >>> net.feedforward([[3], [3]])
        array([[0.5]])
        """
        return self._forward(a)

    def SGD(  # noqa: N802  (the book's name)
        self,
        training_data: Iterable[tuple[ArrayLike, ArrayLike]],
        epochs: int,
        mini_batch_size: int,
        eta: float,
        test_data: Iterable[tuple[ArrayLike, ArrayLike]] | None = None,
    ) -> None:
        """Train by mini-batch stochastic gradient descent, and print a line after every epoch.

        Every epoch shuffles the data as ``random.shuffle(training_data)`` would, and a list is left so.

        Parameters
        ----------
        training_data : iterable of (x, y)
            x (in, 1) or (in,); y (out, 1) or (out,), or a label from 0 to out - 1 that stands for its unit vector.
        epochs : int
            Passes over the data, >= 0.
        mini_batch_size : int
            Samples in a step; the last batch of an epoch may be smaller.
        eta : float
            Learning rate of the mean gradient over a batch, > 0.
        test_data : iterable of (x, y), optional
            Counted by `evaluate` after every epoch; an empty list is none.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong, before anything is drawn or trained.

        Examples
        --------
        >>> net = Network([1, 2])
        >>> net.SGD([([0.0], 0), ([1.0], 1)], epochs=500, mini_batch_size=2, eta=5.0)
        Epoch 0 complete
        ...
        Epoch 499 complete
        >>> net.evaluate([([0.0], 0), ([1.0], 1)])
        2
        """
        epochs = validation.check_whole("epochs", epochs, at_least=0)
        mini_batch_size = validation.check_whole("mini_batch_size", mini_batch_size)
        eta = validation.check_number("eta", eta, above=0)
        train, test = self._samples("training_data", training_data), self._held_out("test_data", test_data)

        def report(epoch: int) -> None:
            print(f"Epoch {epoch}" + (" complete" if test is None else f": {self._hits(test)} / {len(test.X)}"))

        shuffle = ListShuffle(len(train.X))
        try:
            self._descend(train, epochs, mini_batch_size, eta, shuffle=shuffle, after_epoch=report)
        finally:
            shuffle.arrange(training_data)

    def update_mini_batch(self, mini_batch: Iterable[tuple[ArrayLike, ArrayLike]], eta: float) -> None:
        """One step along the mean gradient over a batch.

        Parameters
        ----------
        mini_batch : iterable of (x, y)
            As for `SGD`.
        eta : float
            Learning rate, > 0.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong, before anything changes.

        Examples
        --------
        >>> net = Network([1, 1])
        >>> net.weights, net.biases = [np.zeros((1, 1))], [np.zeros((1, 1))]
        >>> net.update_mini_batch([([1.0], [1.0])], eta=8.0)
        >>> net.weights, net.biases
        ([array([[1.]])], [array([[1.]])])
        """
        eta = validation.check_number("eta", eta, above=0)
        self._step(self._samples("mini_batch", mini_batch), eta)

    def backprop(self, x: ArrayLike, y: ArrayLike) -> tuple[list[Array], list[Array]]:
        """The gradient of one sample's cost.

        Parameters
        ----------
        x, y : array-like
            As for `SGD`.

        Returns
        -------
        nabla_b, nabla_w : list of array
            For every layer (out, 1) and (out, in), like ``biases`` and ``weights``.

        Raises
        ------
        ValueError, TypeError
            If x or y is wrong.

        Examples
        --------
        >>> net = Network([1, 1])
        >>> net.weights, net.biases = [np.zeros((1, 1))], [np.zeros((1, 1))]
        >>> net.backprop([2.0], [1.0])
        ([array([[-0.125]])], [array([[-0.25]])])
        """
        nabla_w, nabla_b = self._gradients(x, y)
        return nabla_b, nabla_w

    def evaluate(self, test_data: Iterable[tuple[ArrayLike, ArrayLike]]) -> int:
        """How many inputs have their largest output at their label.

        Parameters
        ----------
        test_data : iterable of (x, y)
            y is a label, or a vector whose largest number is at the label.

        Returns
        -------
        int

        Raises
        ------
        ValueError, TypeError
            If the data are wrong.

        Examples
        --------
        >>> net = Network([2, 2])
        >>> net.weights, net.biases = [np.eye(2)], [np.zeros((2, 1))]
        >>> net.evaluate([([0.1, 0.9], 1), ([0.1, 0.9], 0), ([[5], [-1]], [[1], [0]])])
        2
        """
        return self._hits(self._samples("test_data", test_data))

    def cost_derivative(self, output_activations: ArrayLike, y: ArrayLike) -> Array:
        """The derivative of the cost by the outputs, ``a - y``.

        Parameters
        ----------
        output_activations, y : array-like, any shape

        Returns
        -------
        array

        Examples
        --------
        >>> Network([1, 1]).cost_derivative([[0.75]], [[1.0]])
        array([[-0.25]])
        """
        return np.subtract(output_activations, y)


def sigmoid_prime(z: ArrayLike) -> Array:
    """The derivative of the sigmoid, ``sigmoid(z) (1 - sigmoid(z))``.

    Parameters
    ----------
    z : array-like, any shape

    Returns
    -------
    array of z's shape

    Raises
    ------
    TypeError
        If z is not numeric.

    Examples
    --------
    >>> sigmoid_prime(np.array([-1000.0, 0.0]))
    array([0.  , 0.25])
    """
    a = sigmoid(z)
    derivative: Array = a * (1 - a)
    return derivative
