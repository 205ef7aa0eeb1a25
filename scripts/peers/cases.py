"""The cases: layer sizes, batch size and data; and the task that a worker is given."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Layers = list[tuple[Array, Array]]
"""Weights (n_out, n_in) and biases (n_out,) of every layer."""

CHECKED_SAMPLES = 503  # prime: the last batch is a smaller one whatever the batch size
_SEED = 20


class Case(NamedTuple):
    """One row of the comparison."""

    name: str
    sizes: tuple[int, ...]
    batch: int
    source: str
    samples: int

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
    optimizer: str = "sgd"
    dtype: str = "float32"
    threads: int = 1
    samples: int | None = None

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
    """Samples, their labels, the labels as one-hot rows, and for images the same samples as bytes."""

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
        pixels, y = images[:n].copy(), labels[:n]
        X = np.divide(pixels, 255, dtype=task.dtype)
    elif case.source == "digits":
        X, y = _tiled_digits(n)
    else:
        X, y = _blobs(n, case.sizes[0], case.sizes[-1])
    return Data(np.ascontiguousarray(X, task.dtype), y, np.eye(case.sizes[-1], dtype=task.dtype)[y], pixels)


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


def start_layers(task: Task) -> Layers:
    """The weights that every peer starts from.

    Parameters
    ----------
    task : Task
        Gives sizes and dtype.

    Returns
    -------
    Layers
        Normal weights scaled by ``1 / sqrt(n_in)``, small normal biases.
    """
    generator = np.random.default_rng(_SEED)
    layers = []
    for n_in, n_out in zip(task.sizes[:-1], task.sizes[1:], strict=True):
        W = generator.standard_normal((n_out, n_in)) / np.sqrt(n_in)
        b = 0.1 * generator.standard_normal(n_out)
        layers.append((W.astype(task.dtype), b.astype(task.dtype)))
    return layers
