"""``FeedForwardNeuralNetwork``, the class of a notebook that is written in NumPy, on fastnn's engine.

Names, argument orders, stopping messages and the use of ``numpy.random`` are the notebook's, and so is the mathematics:
sigmoid layers, the sum of squares as cost, weights and biases drawn from U(0, 1), the order of the samples drawn anew
every epoch. With the same ``numpy.random.seed`` training takes the same steps, up to the last digits of float64.

What differs:

- Nothing overflows. The notebook's ``exp(-z)`` does for z < -709, and its ``derivative`` also for its square.
- ``train`` takes an ``initializer``, because no learning rate helps the notebook's own where inputs are many: weights
  that are all positive saturate every hidden unit. Where training fails, warnings say why, and the last one prints the
  call that works.
- A ``batch_size`` beyond the number of samples means all of them; the notebook fails.
"""

from __future__ import annotations  # so that help() shows types by their short names

from collections.abc import Sequence
from itertools import pairwise
from time import time
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import fastnn
from fastnn import diagnostics, validation
from fastnn.compat._sigmoid import sigmoid
from fastnn.diagnostics.wording import scaled_inputs
from fastnn.history import Finding, History
from fastnn.initializers import INITIALIZERS, draw_layers

Array = NDArray[Any]
Layers = dict[str, dict[int, Array]]


class FeedForwardNeuralNetwork:
    """A network of sigmoid layers that learns by gradient descent on the sum of squares.

    Parameters
    ----------
    perceptrons_per_hidden_layer : sequence of int, default ()
        Units of every hidden layer; inputs and outputs are known from the data.

    Attributes
    ----------
    network : dict
        ``network["weights"][layer]`` (in, out) and ``network["biases"][layer]`` (out,), float64, layers from 1. Empty
        until ``initialize`` or ``train``; arrays may be changed or replaced.
    score : float
        Sum of squares over all samples after training.

    Raises
    ------
    ValueError, TypeError
        If a number of units is none.

    Examples
    --------
    >>> import numpy as np
    >>> np.random.seed(0)
    >>> X, Y = np.eye(4), np.eye(4)[:, ::-1]
    >>> ffnn = FeedForwardNeuralNetwork([5])
    >>> ffnn.train(X, Y, learning_rate=3, batch_size=2, max_epoch=300)
    Maximum epoch encountered.
    >>> ffnn.score < 0.1
    True
    >>> ffnn.forwardpropagation(X).argmax(axis=1)
    array([3, 2, 1, 0])
    """

    def __init__(self, perceptrons_per_hidden_layer: Sequence[int] = ()) -> None:
        self.score = 0.0
        units = validation.check_counts("perceptrons_per_hidden_layer", perceptrons_per_hidden_layer, "[30]")
        self.perlayer = list(units)
        self.network: Layers = {"weights": {}, "biases": {}}

    def initialize(self, X: Array, Y: Array, initializer: str = "uniform") -> None:
        """Draw new weights and biases from the stream of ``numpy.random``, for these data.

        Parameters
        ----------
        X : array (n, n_in)
            Samples.
        Y : array (n, n_out)
            Targets.
        initializer : str, default "uniform"
            "uniform", U(0, 1) by ``numpy.random.rand`` as in the notebook, or another name that ``fastnn.Network``
            takes.

        Raises
        ------
        ValueError, TypeError
            If the initializer is unknown, or X or Y is no matrix.
        """
        validation.check_name("initializer", initializer, INITIALIZERS)
        for name, values in (("X", X), ("Y", Y)):
            if np.ndim(values) != 2:
                raise ValueError(f"{name} must have shape (n, m), got {np.shape(values)}")
        sizes = (np.shape(X)[1], *self.perlayer, np.shape(Y)[1])
        self.network = {"weights": {}, "biases": {}}
        if initializer != "uniform":
            generator = np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002  (the stream of the notebook)
            weights, biases = draw_layers(initializer, generator, sizes)
            self._keep([W.T for W in weights], biases)
            return
        for layer, (inputs, perceptrons) in enumerate(pairwise(sizes), start=1):
            self.network["weights"][layer] = np.random.rand(inputs, perceptrons)  # noqa: NPY002
            self.network["biases"][layer] = np.random.rand(perceptrons)  # noqa: NPY002

    def activation(self, L: ArrayLike) -> Array:
        """The sigmoid, of any shape.

        Examples
        --------
        >>> FeedForwardNeuralNetwork().activation([-1000.0, 0.0])
        array([0. , 0.5])
        """
        return sigmoid(L)

    def derivative(self, L: ArrayLike) -> Array:
        """The sigmoid's derivative, of any shape.

        Examples
        --------
        >>> FeedForwardNeuralNetwork().derivative([-1000.0, 0.0])
        array([0. , 0.25])
        """
        z = validation.check_numeric("L", L)
        return sigmoid(z) * sigmoid(-z)

    def cost(self, A: Array, Y: Array) -> float:
        """The sum of squares of ``A - Y``, over outputs and samples.

        Examples
        --------
        >>> FeedForwardNeuralNetwork().cost(np.array([[1.0, 2.0]]), np.array([[0.0, 0.0]]))
        5.0
        """
        return float(np.square(A - Y).sum())

    def grad(self, A: Array, Y: Array) -> Array:
        """The cost's gradient with respect to the outputs.

        Examples
        --------
        >>> FeedForwardNeuralNetwork().grad(np.array([1.0, 2.0]), np.array([0.0, 0.0]))
        array([2., 4.])
        """
        return 2 * (A - Y)

    def forwardpropagation(self, L: ArrayLike) -> Array:
        """Outputs for samples.

        Parameters
        ----------
        L : array (n, n_in) or (n_in,)
            Samples, or one of them.

        Returns
        -------
        array (n, n_out) or (n_out,)
            Outputs, float64.

        Raises
        ------
        ValueError, TypeError
            If the shape is wrong, or there are no weights yet.
        """
        samples = validation.check_numeric("L", L).astype(np.float64)
        quick = self._forward(samples)
        if quick is not None:
            return quick
        outputs = self._engine().forward(np.atleast_2d(samples))
        return outputs if samples.ndim > 1 else outputs[0]

    def _forward(self, samples: Array) -> Array | None:
        """Outputs in NumPy, as the notebook does it; None where anything is wrong, for the engine to say what."""
        weights, biases = self.network["weights"], self.network["biases"]
        a = samples
        try:
            for layer in range(1, len(weights) + 1):
                with np.errstate(all="ignore"):
                    z = a @ weights[layer] + biases[layer]
                if z.shape != (*samples.shape[:-1], *np.shape(biases[layer])) or not np.isfinite(z).all():
                    return None
                a = sigmoid(z)
        except (KeyError, TypeError, ValueError):
            return None
        return a if weights and samples.ndim in (1, 2) and samples.size else None

    def backpropagate(
        self, grad_z: Array, A: dict[int, Array], Z: dict[int, Array], layer: int
    ) -> tuple[Array, Array, Array]:
        """One layer's gradients, as a mean over samples.

        Parameters
        ----------
        grad_z : array (n, out)
            Gradient with respect to the layer's weighted input.
        A, Z : dict of array (n, units)
            Outputs and weighted inputs by layer; ``A[0]`` are the samples.
        layer : int
            From 1.

        Returns
        -------
        array (n, in), array (in, out), array (out,)
            Gradients with respect to the weighted input of the layer before (in layer 1, grad_z again), the weights and
            the biases.
        """
        grad_w, grad_b = A[layer - 1].T @ grad_z / len(grad_z), grad_z.mean(axis=0)
        if layer > 1:
            grad_z = self.derivative(Z[layer - 1]) * (grad_z @ self.network["weights"][layer].T)
        return grad_z, grad_w, grad_b

    def train(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        learning_rate: float = 1.0,
        convergence: float = 0.01,
        batch_size: int = 100,
        max_epoch: int = 500,
        max_time: float = 60,
        initializer: str = "uniform",
    ) -> None:
        """Draw new weights and train them by stochastic gradient descent.

        Prints "Maximum runtime encountered." or "Maximum epoch encountered." if that is what ends training.

        Parameters
        ----------
        X : array (n, n_in)
            Samples, taken as the numbers that they are, bytes too.
        Y : array (n, n_out)
            Targets.
        learning_rate : float, default 1.0
            Step size, > 0.
        convergence : float, default 0.01
            Training ends when the gradient with respect to the outputs, over all samples of an epoch, has a norm of at
            most this.
        batch_size : int, default 100
            Samples per step. Where it does not divide n, the batches are a little larger, as ``numpy.array_split``
            makes them.
        max_epoch : int, default 500
            Passes over the data; at least one is made.
        max_time : float, default 60
            Seconds after which no further pass is begun.
        initializer : str, default "uniform"
            As for ``initialize``; this is not in the notebook.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong, before anything is drawn.

        Warns
        -----
        fastnn.TrainingWarning
            If something goes wrong, as ``fastnn.Network.fit`` does; the last one prints the call that works, in the
            notebook's own names for network and data. The learning rate in it is judged from the fourth epoch on.
        """
        start = time()
        samples = validation.check_matrix("X", X)
        targets = validation.check_matrix("Y", Y, len(samples))
        validation.check_number("convergence", convergence, at_least=0)
        if max_time != np.inf:
            validation.check_number("max_time", max_time, at_least=0)
        epochs = max(1, validation.check_whole("max_epoch", max_epoch, at_least=0))
        optimizer = fastnn.SGD(learning_rate)
        n, size = len(samples), min(validation.check_whole("batch_size", batch_size), len(samples))
        self.initialize(samples, targets, initializer)
        engine, order = self._engine(), np.arange(n)

        def shuffle(n: int) -> Array:
            order[:] = order[np.random.permutation(n)]  # noqa: NPY002  (the notebook shuffles what it has shuffled)
            return order

        def ends(engine: fastnn.Network, history: History) -> bool:
            messages = {
                "Maximum runtime encountered.": time() - start > max_time,
                "Maximum epoch encountered.": len(history.epochs) == epochs,
            }
            for message in [text for text, reached in messages.items() if reached][:1]:
                print(message)
            return any(messages.values()) or bool(2 * np.sqrt(n * history.train_cost[-1]) <= convergence)

        sizes = [n // (n // size) + (i < n % (n // size)) for i in range(n // size)]  # what numpy.array_split does
        try:
            history = engine.fit(
                samples, targets, epochs, sizes, optimizer, shuffle=shuffle, callbacks=[ends], progress=False
            )
        finally:  # also what an interrupt leaves
            self._keep([W.T for W in engine.weights], engine.biases)
        self.score = n * engine.evaluate(samples, targets)["cost"]
        given = {
            "learning_rate": learning_rate,
            "convergence": convergence,
            "batch_size": batch_size,
            "max_epoch": max_epoch,
            "max_time": max_time,
            "initializer": initializer,
        }
        _advise(history.findings, given)

    def _keep(self, weights: Any, biases: Any) -> None:
        for name, arrays in (("weights", weights), ("biases", biases)):
            self.network[name] = {layer: np.array(array) for layer, array in enumerate(arrays, start=1)}

    def _engine(self) -> fastnn.Network:
        """A network of these weights."""
        weights, biases = self.network["weights"], self.network["biases"]
        if not weights:
            raise ValueError("network must hold weights: call train, or initialize, first")
        layers = [np.asarray(weights[layer]).T for layer in range(1, len(weights) + 1)]
        network = fastnn.Network(
            [layers[0].shape[1], *(len(W) for W in layers)],
            cost="sum_squares",
            initializer=(layers, [biases[layer] for layer in range(1, len(layers) + 1)]),
            dtype="float64",
        )
        network._wording = "notebook"
        return network


def _advise(findings: Sequence[Finding], given: dict[str, Any]) -> None:
    """Warn with the whole call, where other arguments than those given would help."""
    arguments = {"X": "X", "Y": "Y", **{name: repr(value) for name, value in given.items()}}
    found = {name: str(source) for finding in findings for name, source in finding.change.items()}
    change = {name: source for name, source in found.items() if name in arguments}
    if "scale" in found:
        change["X"] = scaled_inputs(found["scale"])
    if change:
        data, *others = (arguments | change).items()
        call = ", ".join([data[1], "Y", *(f"{name}={source}" for name, source in others if name != "Y")])
        names = ", ".join(finding.name for finding in findings)
        diagnostics.warn(f"training was held back by {names}. Call instead: FFNN.train({call})")
