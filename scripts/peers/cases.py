"""The cases: layers, formulas, batch size and data; and the task that a worker is given."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Layers = list[tuple[Array, Array]]
"""Weights (n_out, n_in) and biases (n_out,) of every layer."""

CHECKED_SAMPLES = 503  # prime: the last batch is a smaller one whatever the batch size
_SEED = 20


class Formulas(NamedTuple):
    """Of the hidden layers, of the last one, and what is minimised."""

    activation: str = "sigmoid"
    output: str = "sigmoid"
    cost: str = "cross_entropy"


_SIGMOID = Formulas()
_CLASSES = Formulas("relu", "softmax", "log_likelihood")
_QUANTITIES = Formulas("relu", "identity", "quadratic")
_SMOOTH = Formulas("tanh", "identity", "quadratic")


class Case(NamedTuple):
    """One row of the comparison."""

    name: str
    sizes: tuple[int, ...]
    batch: int
    source: str
    samples: int
    formulas: Formulas = _SIGMOID
    optimizer: str = "sgd"
    task: Literal["classes", "quantities"] = "classes"

    @property
    def layers(self) -> str:
        """The layer sizes as text."""
        return "-".join(map(str, self.sizes))


CASES = {
    case.name: case
    for case in (
        Case("A", (784, 30, 10), 10, "mnist", 50_000),
        Case("B", (784, 100, 10), 10, "mnist", 50_000),
        Case("C", (784, 128, 64, 10), 32, "mnist", 50_000),
        Case("D", (784, 512, 512, 10), 128, "mnist", 50_000),
        Case("E", (784, 30, 10), 1, "mnist", 10_000),
        Case("F", (4, 16, 3), 16, "blobs", 15_000),
        Case("G", (24, 8, 2), 200, "blobs", 20_000),
        Case("H", (64, 64, 10), 32, "digits", 17_952),
        Case("I", (784, 30, 10), 1000, "mnist", 50_000),
        # What people train: a framework's first tutorial, another library's, tables, a robot's policy, a sensor.
        Case("keras", (784, 128, 10), 32, "mnist", 60_000, _CLASSES, "adam"),
        Case("sklearn", (64, 100, 10), 200, "digits", 1_797, _CLASSES, "adam"),
        Case("housing", (8, 64, 64, 1), 64, "teacher", 16_512, _QUANTITIES, "adam", "quantities"),
        Case("tabular", (100, 256, 256, 256, 2), 256, "teacher", 50_000, _CLASSES, "adam"),
        Case("policy", (17, 64, 64, 6), 64, "teacher", 20_480, _QUANTITIES, "adam", "quantities"),
        Case("embedded", (3, 10, 1), 1, "teacher", 5_000, _QUANTITIES, "sgd", "quantities"),
        Case("simplechains", (4, 32, 16, 4), 10_000, "matrices", 10_000, _SMOOTH, "adam", "quantities"),
    )
}
"""Training."""

PREDICTIONS = {
    case.name: case for case in (Case(f"P{rows}", (784, 30, 10), rows, "mnist", rows) for rows in (1, 32, 10_000))
}
"""Prediction of one batch, again and again."""

ALL_CASES = CASES | PREDICTIONS


@dataclass(frozen=True)
class Task:
    """What a peer is to do, the same for every peer of a comparison."""

    case: str
    other_optimizer: str | None = None
    """Instead of the case's own."""
    dtype: str = "float32"
    threads: int = 1
    samples: int | None = None
    """At most so many."""
    isa: str = "native"
    """The widest instructions that a library may use; see ``environment.ISAS``."""

    @property
    def optimizer(self) -> str:
        """The one to train with."""
        return self.other_optimizer or ALL_CASES[self.case].optimizer

    @property
    def formulas(self) -> Formulas:
        """Of the layers and the cost."""
        return ALL_CASES[self.case].formulas

    @property
    def predicts_classes(self) -> bool:
        """Whether the targets are labels."""
        return ALL_CASES[self.case].task == "classes"

    @property
    def sizes(self) -> tuple[int, ...]:
        """Layer sizes."""
        return ALL_CASES[self.case].sizes

    @property
    def batch(self) -> int:
        """Samples per step."""
        return ALL_CASES[self.case].batch

    @property
    def n(self) -> int:
        """Samples per epoch."""
        whole = ALL_CASES[self.case].samples
        return whole if self.samples is None else min(whole, self.samples)


class Data(NamedTuple):
    """Samples, what a user passes beside them, the targets as rows, and for images the samples as bytes.

    ``y`` is labels (n,), whose one-hot rows are ``T``; of quantities it is ``T`` itself.
    """

    X: Array
    y: Array
    T: Array
    pixels: Array | None


def load_data(task: Task, n: int) -> Data:
    """The first ``n`` samples of a task's data, the same in every process.

    Parameters
    ----------
    task : Task
        Names the case and the dtype.
    n : int
        How many samples.

    Returns
    -------
    Data
        X and T in the task's dtype.
    """
    case = ALL_CASES[task.case]
    pixels = None
    if case.source == "mnist":
        from fastnn.datasets import load_mnist

        images, labels, _, _ = load_mnist("uint8")
        pixels, found = images[:n].copy(), labels[:n]
        X = np.divide(pixels, 255, dtype=task.dtype)
    elif case.source == "digits":
        X, found = _tiled_digits(n)
    elif case.source == "blobs":
        X, found = _blobs(n, case.sizes[0], case.sizes[-1])
    elif case.source == "matrices":
        X, found = _matrices(n)
    else:
        X, found = _taught(n, case.sizes[0], case.sizes[-1])
        found = np.argmax(found, axis=1) if task.predicts_classes else found
    T = np.eye(case.sizes[-1], dtype=task.dtype)[found] if task.predicts_classes else found.astype(task.dtype)
    return Data(np.ascontiguousarray(X, task.dtype), found if task.predicts_classes else T, T, pixels)


def _tiled_digits(n: int) -> tuple[Array, Array]:
    """The 1,797 digits again and again."""
    from fastnn.datasets import load_digits

    X, y, Xt, yt = load_digits()
    copies = -(-n // (len(y) + len(yt)))
    return np.tile(np.concatenate([X, Xt]), (copies, 1))[:n], np.tile(np.concatenate([y, yt]), copies)[:n]


def _blobs(n: int, n_in: int, n_classes: int) -> tuple[Array, Array]:
    """Overlapping normal clouds, one for each class."""
    generator = np.random.default_rng(_SEED)
    centres = generator.standard_normal((n_classes, n_in))
    y = generator.integers(0, n_classes, n)
    return centres[y] + generator.standard_normal((n, n_in)), y


def _taught(n: int, n_in: int, n_out: int) -> tuple[Array, Array]:
    """Inputs in [-1, 1], and what a random network makes of them, with noise: mean 0, deviation 1 or so."""
    generator = np.random.default_rng(_SEED)
    W = 3 * generator.standard_normal((n_in, 20)) / np.sqrt(n_in)
    V = generator.standard_normal((20, n_out)) / np.sqrt(8)
    X = generator.uniform(-1, 1, (n, n_in))
    return X, np.tanh(X @ W) @ V + 0.3 * generator.standard_normal((n, n_out))


def _matrices(n: int) -> tuple[Array, Array]:
    """Matrices of two rows and two columns, and their exponentials, both as rows of four."""
    X = np.random.default_rng(_SEED).normal(0, 0.7, (n, 2, 2))
    term = total = np.broadcast_to(np.eye(2), X.shape)
    for i in range(1, 30):
        term = term @ X / i
        total = total + term
    return X.reshape(n, 4), total.reshape(n, 4)


def start_layers(task: Task) -> Layers:
    """The weights that every peer starts from.

    Parameters
    ----------
    task : Task
        Gives sizes and dtype.

    Returns
    -------
    Layers
        Normal weights scaled by ``1 / sqrt(n_in)``, with ReLUs by ``sqrt(2 / n_in)`` (He's); small normal biases.
    """
    generator = np.random.default_rng(_SEED)
    gain = 2 if task.formulas.activation == "relu" else 1
    layers = []
    for n_in, n_out in zip(task.sizes[:-1], task.sizes[1:], strict=True):
        W = generator.standard_normal((n_out, n_in)) / np.sqrt(n_in / gain)
        b = 0.1 * generator.standard_normal(n_out)
        layers.append((W.astype(task.dtype), b.astype(task.dtype)))
    return layers
