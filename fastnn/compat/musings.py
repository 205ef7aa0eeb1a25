"""``NN`` of the blog post "Musings over Backpropagation", doing what the post's code means.

Change the import, ``from fastnn.compat.musings import *``, and keep the cells. Initial weights and shuffles come from
the same global generators (``numpy.random`` and ``random``) in the same order; training follows the post's formulas.

The post's code does not run. Its slips, and how they are read here:

1. ``sigmoid(z)`` computes with ``x``, ``sigmoid_prime(x)`` with ``z``: each means its own argument.
2. ``one_hot_encoding`` calls ``np.zeroes`` and returns ``ohe``, which is not defined: it returns the vector it made.
   ``back_propagation`` calls ``np.zeroes`` too: ``np.zeros``.
3. ``CrossEntropyCost.func`` calls ``np.nan_to_numn``: ``np.nan_to_num``, which makes 0 log 0 zero.
4. ``MSE_cost.func`` is ``norm(a - y) * 0.5 ** 2``, a quarter of the norm: ``0.5 * norm(a - y) ** 2`` is the cost whose
   derivative ``MSE_cost.delta`` is.
5. ``initialize_weight`` pairs ``size[:-1]`` with itself, which makes every layer square: with ``size[1:]``. It draws
   weights before biases, unlike the constructor; so it does here.
6. ``trainer`` counts the data by going through them, which empties a ``zip``; ``random.shuffle`` and slices then need a
   list, and this is where the post ends with its TypeError: any iterable is made a list first.
7. ``'Training : Epoch % complete.' % c`` reads ``% c`` as a format and prints a control character: the epoch's number.
8. ``if print_train_cost`` stands before the accuracy on the training data: ``if print_train_acc``.
9. Cost and accuracy on the evaluation data are announced as "on training data", and the accuracy as a share of the
   training data's size: "on evaluation data", of their own size ``n_data``, which the post counts and never uses.
10. The cost on the evaluation data is appended to ``train_cost``: to ``eval_cost``.
11. ``update_mini_batch`` calls ``self.backprop`` and takes (biases, weights) from it; the method is called
    ``back_propagation`` and returns (weights, biases): both are here, each as it is called.
12. ``accuracy`` and ``total_cost`` call ``self.feedforward``, ``total_cost`` also ``self.cost.fn``: they are called
    ``forward_propagation`` and ``func``: both names are here.
13. ``load_data_wrapper`` promises lists and returns ``zip`` objects, which can be gone through only once: lists.
14. The constructor's docstring says that all start with variance 1; its code divides weights by the root of the number
    of inputs, as the docstring of ``initialize_weight`` says: the code stands.
15. ``convert`` has to be set one way for ``accuracy`` and the other way for ``total_cost``, according to whether y are
    labels or vectors: their shape says so, and ``convert`` is accepted and not needed.

Beyond the slips: ``sigmoid`` does not overflow, and ``total_cost`` is finite where an output is all wrong, because the
engine computes the cross-entropy from the weighted input. The post's cell with the cost classes may be kept: a class
with ``func`` or ``fn`` and one of the two ``delta`` trains as the one here does; costs with another ``delta`` are
refused. The step is the engine's: in a subclass, another ``back_propagation`` does not change how it trains.
"""

from __future__ import annotations  # so that help() shows types by their short names

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import datasets, persistence, validation
from fastnn.compat._columns import ColumnNetwork, ListShuffle, Samples
from fastnn.compat._sigmoid import sigmoid
from fastnn.compat.nielsen import sigmoid_prime
from fastnn.functions import relu

__all__ = [
    "NN",
    "CrossEntropyCost",
    "MSE_cost",
    "load",
    "load_data",
    "load_data_wrapper",
    "one_hot_encoding",
    "relu",
    "sigmoid",
    "sigmoid_prime",
    "vectorized_result",
]

Array = NDArray[Any]
Pairs = Iterable[tuple[ArrayLike, ArrayLike]]
Part = tuple[Array, Array]
_PICKLE = "mnist.pkl.gz"


class CrossEntropyCost:
    """Bernoulli cross-entropy of sigmoid outputs.

    Examples
    --------
    >>> round(float(CrossEntropyCost.func([1.0, 0.5], [1.0, 0.0])), 4)
    0.6931
    """

    @staticmethod
    def func(a: ArrayLike, y: ArrayLike) -> Any:
        """``-sum(y log a + (1 - y) log(1 - a))``, with 0 log 0 as zero, and log 0 as the lowest float.

        Parameters
        ----------
        a, y : array-like, any shape
            Outputs and targets, in [0, 1].

        Returns
        -------
        float64
        """
        a, y = np.asarray(a, float), np.asarray(y, float)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.sum(np.nan_to_num(-y * np.log(a) - (1 - y) * np.log(1 - a)))

    fn = func  # as the post's ``total_cost`` calls it

    @staticmethod
    def delta(a: ArrayLike, y: ArrayLike, z: ArrayLike) -> Array:
        """The derivative by the weighted input z: ``a - y``; parameters as for ``func``."""
        return np.subtract(a, y)


class MSE_cost:  # noqa: N801  (the post's name)
    """The quadratic cost.

    Examples
    --------
    >>> float(MSE_cost.func([3.0, 0.0], [1.0, 0.0]))
    2.0
    """

    @staticmethod
    def func(a: ArrayLike, y: ArrayLike) -> Any:
        """``1/2 ||a - y||^2``.

        Parameters
        ----------
        a, y : array-like, any shape
            Outputs and targets.

        Returns
        -------
        float64
        """
        return 0.5 * np.linalg.norm(np.subtract(a, y)) ** 2

    fn = func

    @staticmethod
    def delta(a: ArrayLike, y: ArrayLike, z: ArrayLike) -> Array:
        """The derivative by the weighted input z: ``(a - y) sigmoid'(z)``; a, y and z have one shape."""
        return np.subtract(a, y) * sigmoid_prime(z)


_COSTS = {CrossEntropyCost: "cross_entropy", MSE_cost: "quadratic"}
_BY_NAME = {cost.__name__: name for cost, name in _COSTS.items()} | {"QuadraticCost": "quadratic"}


def _engine_cost(cost: Any) -> str:
    """The engine's name of a cost class: one of these, or another with ``func`` or ``fn``, and ``delta``, as they have.

    What a class means is what its ``delta`` says. Where that cannot be asked, because cells that were kept beside it
    fail, as the post's own do, its name tells.
    """
    if isinstance(cost, type) and cost in _COSTS:
        return _COSTS[cost]
    if not callable(getattr(cost, "delta", None)) or not any(callable(getattr(cost, n, None)) for n in ("func", "fn")):
        raise TypeError(
            f"cost must be the class CrossEntropyCost or MSE_cost, or have func and delta as they have, got {cost!r}"
        )
    z, y = np.array([[-2.0], [0.5], [1.0]]), np.array([[1.0], [0.0], [1.0]])
    a = 1 / (1 + np.exp(-z))
    try:
        found = np.asarray(cost.delta(a, y, z), float)
    except Exception:  # a kept cell can go wrong in any way
        found = np.empty(0)
    for kind, name in _COSTS.items():
        if found.shape == a.shape and np.allclose(found, kind.delta(a, y, z), rtol=1e-9):  # type: ignore[attr-defined]
            return name
    name = getattr(cost, "__name__", "")
    if found.size or name not in _BY_NAME:
        raise TypeError(
            f"cost {name or cost!r} must have the delta of CrossEntropyCost, a - y, or of MSE_cost, "
            "(a - y) sigmoid'(z): others are not trained here"
        )
    return _BY_NAME[name]


class NN(ColumnNetwork):
    """A network of sigmoid layers with a choice of cost and an L2 penalty, trained by mini-batch gradient descent.

    Parameters
    ----------
    size : sequence of int
        Units in each layer, the inputs first.
    cost : CrossEntropyCost, MSE_cost or a class like them, default CrossEntropyCost
        The class itself. A kept cell's class will do that has ``func`` or ``fn``, and the ``delta`` of one of the two.

    Attributes
    ----------
    size : list of int
    n_layers : int
    cost : class
    weights : list of array (out, in) float64
    biases : list of array (out, 1) float64
        Ordinary lists of ordinary arrays: assign a list or an array, or change an array in place; the network is what
        they hold. They start as N(0, 1 / in) and N(0, 1), all biases drawn first. Training puts new ones there.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong. Wrong weights and biases are refused by the next method that needs them.

    Examples
    --------
    >>> from fastnn.compat.musings import *
    >>> learner = NN([1, 2])
    >>> data = [([0.0], vectorized_result(0)[:2]), ([1.0], vectorized_result(1)[:2])]
    >>> learner.trainer(data, 1, 2, 0.5, 0.0, eval_data=data, print_eval_acc=True)
    Training : Epoch 0 complete.
    Accuracy on evaluation data : ... / 2
    <BLANKLINE>
    ([], [...], [], [])
    """

    def __init__(self, size: Sequence[int], cost: type = CrossEntropyCost) -> None:
        self._prepare(size, cost)
        self.biases = self._draw_biases()
        self.weights = self._draw_weights()

    @property
    def _cost_name(self) -> str:
        """What a file says: the cost's own name, if it is known, else that of the class here that means the same."""
        name = str(getattr(self.cost, "__name__", ""))
        means = self._network.cost
        return name if _BY_NAME.get(name) == means else next(kind.__name__ for kind, n in _COSTS.items() if n == means)

    def _prepare(self, size: Sequence[int], cost: type) -> None:
        """All but the weights and biases."""
        checked = validation.check_sizes(size)
        self.n_layers, self.size, self.cost = len(checked), list(checked), cost
        self._attach(checked, _engine_cost(cost), "musings")

    # The global generator on purpose: a script that seeds it gets the numbers it always got.

    def _draw_weights(self) -> list[Array]:
        return [np.random.randn(n_out, n_in) / np.sqrt(n_in) for n_in, n_out in pairwise(self.size)]  # noqa: NPY002

    def _draw_biases(self) -> list[Array]:
        return [np.random.randn(n_out, 1) for n_out in self.size[1:]]  # noqa: NPY002

    def initialize_weight(self) -> None:
        """Draw all weights, and then all biases, anew.

        Examples
        --------
        >>> learner = NN([3, 2])
        >>> np.random.seed(0)
        >>> learner.initialize_weight()
        >>> np.random.seed(0)
        >>> bool((learner.weights[0] == np.random.randn(2, 3) / np.sqrt(3)).all())
        True
        """
        self.weights = self._draw_weights()
        self.biases = self._draw_biases()

    def forward_propagation(self, a: ArrayLike) -> Array:
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
        >>> NN([3, 2]).forward_propagation(np.zeros((3, 1))).shape
        (2, 1)
        """
        return self._forward(a)

    def back_propagation(self, x: ArrayLike, y: ArrayLike) -> tuple[list[Array], list[Array]]:
        """The gradient of one sample's cost.

        Parameters
        ----------
        x, y : array-like
            As for `trainer`.

        Returns
        -------
        del_w, del_b : list of array
            For every layer (out, in) and (out, 1), like ``weights`` and ``biases``.

        Raises
        ------
        ValueError, TypeError
            If x or y is wrong.

        Examples
        --------
        >>> learner = NN([1, 1])
        >>> learner.weights, learner.biases = [np.zeros((1, 1))], [np.zeros((1, 1))]
        >>> learner.back_propagation([2.0], [1.0])
        ([array([[-1.]])], [array([[-0.5]])])
        """
        return self._gradients(x, y)

    def feedforward(self, a: ArrayLike) -> Array:
        """`forward_propagation`, as the post's ``accuracy`` and ``total_cost`` call it.

        Examples
        --------
        >>> NN([3, 2]).feedforward(np.zeros((3, 1))).shape
        (2, 1)
        """
        return self._forward(a)

    def backprop(self, x: ArrayLike, y: ArrayLike) -> tuple[list[Array], list[Array]]:
        """`back_propagation` with biases first, as the post's ``update_mini_batch`` calls it.

        Examples
        --------
        >>> learner = NN([1, 1])
        >>> learner.weights, learner.biases = [np.zeros((1, 1))], [np.zeros((1, 1))]
        >>> learner.backprop([2.0], [1.0])
        ([array([[-0.5]])], [array([[-1.]])])
        """
        del_w, del_b = self._gradients(x, y)
        return del_b, del_w

    def trainer(
        self,
        training_data: Pairs,
        epochs: int,
        m_bs: int,
        eta: float,
        lmbda: float,
        eval_data: Pairs | None = None,
        print_eval_cost: bool = False,
        print_eval_acc: bool = False,
        print_train_cost: bool = False,
        print_train_acc: bool = False,
    ) -> tuple[list[float], list[int], list[float], list[int]]:
        """Train by mini-batch stochastic gradient descent; measure and print after every epoch what is asked for.

        Every epoch shuffles the data as ``random.shuffle(training_data)`` would, and a list is left so.

        Parameters
        ----------
        training_data : iterable of (x, y)
            x (in, 1) or (in,); y (out, 1) or (out,), or a label from 0 to out - 1 that stands for its unit vector.
        epochs : int
            Passes over the data, >= 0.
        m_bs : int
            Samples in a step; the last batch of an epoch may be smaller.
        eta : float
            Learning rate of the mean gradient over a batch, > 0.
        lmbda : float
            Strength of the penalty ``lmbda / (2 n) ||W||^2`` over n samples, >= 0; not on biases.
        eval_data : iterable of (x, y), optional
            An empty list is none.
        print_eval_cost, print_eval_acc, print_train_cost, print_train_acc : bool, default False
            What to measure; the first two need ``eval_data``.

        Returns
        -------
        eval_cost, eval_acc, train_cost, train_acc : list
            One number per epoch, or none where it was not asked for. Costs are those of `total_cost`, accuracies
            numbers of samples.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong, before anything is drawn or trained.
        DivergenceError
            If eta times lmbda is so large that the weights grow beyond all bounds.

        Examples
        --------
        >>> learner = NN([1, 2])
        >>> learner.trainer([([0.0], 0), ([1.0], 1)], 2, 2, 0.5, 0.0)
        Training : Epoch 0 complete.
        <BLANKLINE>
        Training : Epoch 1 complete.
        <BLANKLINE>
        ([], [], [], [])
        """
        epochs = validation.check_whole("epochs", epochs, at_least=0)
        m_bs = validation.check_whole("m_bs", m_bs)
        eta = validation.check_number("eta", eta, above=0)
        lmbda = validation.check_number("lmbda", lmbda, at_least=0)
        train, held_out = self._samples("training_data", training_data), self._held_out("eval_data", eval_data)
        if held_out is None and (print_eval_cost or print_eval_acc):
            raise ValueError("print_eval_cost and print_eval_acc need eval_data, got none")
        eval_cost: list[float] = []
        eval_acc: list[int] = []
        train_cost: list[float] = []
        train_acc: list[int] = []

        def report(epoch: int) -> None:
            print(f"Training : Epoch {epoch} complete.")
            for samples, name, accuracies, wants_accuracy, costs, wants_cost in (
                (train, "training", train_acc, print_train_acc, train_cost, print_train_cost),
                (held_out, "evaluation", eval_acc, print_eval_acc, eval_cost, print_eval_cost),
            ):
                if samples is not None and wants_accuracy:
                    accuracies.append(self._hits(samples))
                    print(f"Accuracy on {name} data : {accuracies[-1]} / {len(samples.X)}")
                if samples is not None and wants_cost:
                    costs.append(self._total_cost(samples, lmbda))
                    print(f"Cost on {name} data : {costs[-1]}")
            print()

        n = len(train.X)
        shuffle = ListShuffle(n)
        try:
            self._descend(train, epochs, m_bs, eta, lmbda / n, shuffle, report)
        finally:
            shuffle.arrange(training_data)
        return eval_cost, eval_acc, train_cost, train_acc

    def update_mini_batch(self, mini_batch: Pairs, eta: float, lmbda: float, n: int) -> None:
        """One step along the mean gradient over a batch, and of the penalty.

        Parameters
        ----------
        mini_batch : iterable of (x, y)
            As for `trainer`.
        eta, lmbda : float
            As for `trainer`.
        n : int
            Size of the whole training data, >= 1.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong, before anything changes.

        Examples
        --------
        >>> learner = NN([1, 1])
        >>> learner.weights, learner.biases = [np.ones((1, 1))], [np.zeros((1, 1))]
        >>> learner.update_mini_batch([([0.0], [1.0])], eta=1.0, lmbda=2.0, n=4)
        >>> learner.weights, learner.biases
        ([array([[0.5]])], [array([[0.5]])])
        """
        eta = validation.check_number("eta", eta, above=0)
        lmbda = validation.check_number("lmbda", lmbda, at_least=0)
        self._step(self._samples("mini_batch", mini_batch), eta, lmbda / validation.check_whole("n", n))

    def accuracy(self, data: Pairs, convert: bool = False) -> int:
        """How many inputs have their largest output at their label.

        Parameters
        ----------
        data : iterable of (x, y)
            y is a label, or a vector whose largest number is at the label.
        convert : bool, default False
            Not needed.

        Returns
        -------
        int

        Raises
        ------
        ValueError, TypeError
            If the data are wrong.

        Examples
        --------
        >>> learner = NN([2, 2])
        >>> learner.weights, learner.biases = [np.eye(2)], [np.zeros((2, 1))]
        >>> learner.accuracy([([0.1, 0.9], 1), ([0.1, 0.9], 0), ([[5], [-1]], [[1], [0]])])
        2
        """
        return self._hits(self._samples("data", data))

    def total_cost(self, data: Pairs, lmbda: float, convert: bool = False) -> float:
        """Mean cost of the data, and the penalty ``lmbda / (2 n) ||W||^2``.

        Parameters
        ----------
        data : iterable of (x, y)
            As for `trainer`; n is their number.
        lmbda : float
            Strength of the penalty, >= 0.
        convert : bool, default False
            Not needed.

        Returns
        -------
        float

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong.

        Examples
        --------
        >>> learner = NN([1, 1], MSE_cost)
        >>> learner.weights, learner.biases = [np.full((1, 1), 2.0)], [np.zeros((1, 1))]
        >>> learner.total_cost([([0.0], [1.0])], lmbda=0.5)
        1.125
        """
        return self._total_cost(self._samples("data", data), validation.check_number("lmbda", lmbda, at_least=0))

    def _total_cost(self, samples: Samples, lmbda: float) -> float:
        network = self._push()
        cost = network.evaluate(*samples)["cost"]
        return cost + 0.5 * lmbda / len(samples.X) * float(sum(np.square(w).sum() for w in network.weights))

    def save(self, filename: str | PathLike[str]) -> None:
        """Write size, weights, biases and the cost's name as JSON, moved into place when complete.

        Parameters
        ----------
        filename : path-like

        Raises
        ------
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "learner.json")
        >>> learner = NN([3, 2])
        >>> learner.save(path)
        >>> bool((load(path).weights[0] == learner.weights[0]).all())
        True
        """
        self._push()  # what cannot be loaded again is not written
        record = {
            "size": self.size,
            "weights": [np.asarray(w).tolist() for w in self.weights],
            "biases": [np.asarray(b).tolist() for b in self.biases],
            "cost": self._cost_name,
        }
        persistence.write_atomically(filename, lambda file: file.write(json.dumps(record).encode()))


def load(filename: str | PathLike[str]) -> NN:
    """Read a network that ``NN.save`` wrote, here or in the post.

    Parameters
    ----------
    filename : path-like

    Returns
    -------
    NN

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it does not hold such a network.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "learner.json")
    >>> NN([3, 2], MSE_cost).save(path)
    >>> load(path).cost
    <class 'fastnn.compat.musings.MSE_cost'>
    """
    text = Path(filename).read_bytes()
    with persistence.naming(filename):
        record = json.loads(text)
        if not isinstance(record, dict) or not {"size", "weights", "biases", "cost"} <= record.keys():
            raise ValueError("it is not a saved NN")
        costs = {name: cost for cost, name in _COSTS.items()}
        cost = costs[_BY_NAME[validation.check_name("cost", record["cost"], _BY_NAME)]]
        network = NN.__new__(NN)
        network._prepare(record["size"], cost)
        network.weights, network.biases = record["weights"], record["biases"]
        network._push()
        network._pull()
        return network


def vectorized_result(j: int) -> Array:
    """The unit vector of a digit.

    Parameters
    ----------
    j : int
        From 0 to 9.

    Returns
    -------
    array (10, 1) float64

    Raises
    ------
    ValueError, TypeError
        If j is no digit.

    Examples
    --------
    >>> vectorized_result(2).T
    array([[0., 0., 1., 0., 0., 0., 0., 0., 0., 0.]])
    """
    if validation.check_whole("j", j, at_least=0) > 9:
        raise ValueError(f"j must be a digit from 0 to 9, got {j}")
    unit = np.zeros((10, 1))
    unit[j] = 1.0
    return unit


one_hot_encoding = vectorized_result


def load_data(path: str | PathLike[str] | None = None) -> tuple[Part, Part, Part]:
    """MNIST in three parts.

    Parameters
    ----------
    path : path-like, optional
        The book's ``mnist.pkl.gz``, read without executing it. By default the file of that name in the current folder,
        as in the post; if there is none, the MNIST that comes with fastnn, of whose 60,000 training images the last
        10,000 are for validation.

    Returns
    -------
    training_data, validation_data, test_data : (X, y)
        Images (n, 784) float32 with pixels from 0 to 1, and labels (n,) int64.

    Raises
    ------
    DataFileError
        If the file is damaged or holds something else.
    FileNotFoundError
        If ``path`` is given and there is no such file.

    Examples
    --------
    >>> training_data, validation_data, test_data = load_data()
    >>> training_data[0].shape, validation_data[1].shape, test_data[1][:3]
    ((50000, 784), (10000,), array([7, 2, 1]))
    """
    if path is None and Path(_PICKLE).is_file():
        path = _PICKLE
    if path is not None:
        return datasets.read_mnist_pickle(path)
    X, y, Xt, yt = datasets.load_mnist()
    return (X[:50_000], y[:50_000]), (X[50_000:], y[50_000:]), (Xt, yt)


def load_data_wrapper(path: str | PathLike[str] | None = None) -> tuple[list[Any], list[Any], list[Any]]:
    """MNIST as lists of pairs.

    Parameters
    ----------
    path : path-like, optional
        As for `load_data`.

    Returns
    -------
    training_data, validation_data, test_data : list of (x, y)
        x (784, 1) float32; y is a unit vector (10, 1) in the training data, a label in the others.

    Raises
    ------
    DataFileError, FileNotFoundError
        As `load_data`.

    Examples
    --------
    >>> training_data, validation_data, test_data = load_data_wrapper()
    >>> x, y = training_data[0]
    >>> x.shape, y.shape, int(test_data[0][1])
    ((784, 1), (10, 1), 7)
    """
    (X, y), *others = load_data(path)
    training_data = [(x[:, np.newaxis], vectorized_result(j)) for x, j in zip(X, y, strict=True)]
    validation_data, test_data = ([(x[:, np.newaxis], j) for x, j in zip(*part, strict=True)] for part in others)
    return training_data, validation_data, test_data
