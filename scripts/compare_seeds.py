"""How much faster the classes of ``fastnn.compat`` train than the per-sample NumPy code whose names they carry.

    python scripts/compare_seeds.py

times each in turn with a plain transcription of its mathematics (``tests/naive.py``) on MNIST, and prints a table.
"""

import argparse
import contextlib
import io
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import markup
import numpy as np
from numpy.typing import NDArray

import fastnn
from fastnn.compat import musings, nielsen, notebook
from fastnn.training import Training

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import naive

SIZES, BATCH = [784, 30, 10], 10
Array = NDArray[Any]


class Row(NamedTuple):
    """One class of ours and what it is compared with."""

    name: str
    numpy: Callable[[], object]  # one epoch
    ours: Callable[[int], object]  # a call for so many epochs, on data in the form that the original takes


class Timing(NamedTuple):
    """Seconds."""

    numpy: float  # an epoch
    later: float  # an epoch of ours from the second one on, from its shuffle to the next one's
    call: float  # a call for all epochs, with the conversion of the data


def columns_row(
    name: str, net: Any, cost: str, eta: float, train: Callable[[Any, int], object], X: Array, y: Array
) -> Row:
    """A class that takes a list of pairs of columns."""
    pairs = [(x[:, np.newaxis], t[:, np.newaxis]) for x, t in zip(X, np.eye(10)[y], strict=True)]
    weights, biases = list(net.weights), list(net.biases)

    def epoch() -> object:
        return naive.train_in_columns(weights, biases, cost, naive.shuffled_batches(pairs.copy(), BATCH), eta)

    return Row(name, epoch, lambda epochs: train(pairs.copy(), epochs))


def nielsen_row(X: Array, y: Array) -> Row:
    """The book's class."""
    net = nielsen.Network(SIZES)
    name = "compat.nielsen.Network.SGD"
    return columns_row(name, net, "quadratic", 3.0, lambda data, epochs: net.SGD(data, epochs, BATCH, 3.0), X, y)


def musings_row(X: Array, y: Array) -> Row:
    """The blog post's class."""
    net = musings.NN(SIZES)
    name = "compat.musings.NN.trainer"
    train = lambda data, epochs: net.trainer(data, epochs, BATCH, 0.5, 0.0)  # noqa: E731
    return columns_row(name, net, "cross_entropy", 0.5, train, X, y)


def notebook_row(X: Array, y: Array) -> Row:
    """The notebook's class, whose own code takes a batch at a time."""
    net, targets = notebook.FeedForwardNeuralNetwork(SIZES[1:-1]), np.eye(10)[y]
    weights, biases = (
        [np.zeros(shape) for shape in pairwise(SIZES)],
        [np.zeros(n) for n in SIZES[1:]],
    )

    def epoch() -> object:
        order = np.random.default_rng(0).permutation(len(X))
        return naive.notebook_train(weights, biases, X, targets, 0.5, BATCH, [order])

    def ours(epochs: int) -> object:
        return net.train(X, targets, 0.5, 0.0, BATCH, epochs, max_time=600, initializer="scaled")

    return Row("compat.notebook.FeedForwardNeuralNetwork.train", epoch, ours)


ROWS: list[Callable[[Array, Array], Row]] = [nielsen_row, musings_row, notebook_row]


def seconds(work: Callable[[], object]) -> float:
    """How long it takes; what it prints is not shown."""
    with contextlib.redirect_stdout(io.StringIO()):
        began = time.perf_counter()
        work()
        return time.perf_counter() - began


@contextlib.contextmanager
def epochs_begin() -> Iterator[list[float]]:
    """The times at which epochs of any network begin, as they come."""
    times: list[float] = []
    run_epoch = Training._run_epoch

    def noted(self: Training, order: Array) -> None:
        times.append(time.perf_counter())
        run_epoch(self, order)

    Training._run_epoch = noted  # type: ignore[method-assign]
    try:
        yield times
    finally:
        Training._run_epoch = run_epoch  # type: ignore[method-assign]


def measure(row: Row, rounds: int, epochs: int) -> Timing:
    """Medians of alternating runs, after one that compiles."""
    seconds(lambda: row.ours(1))
    runs = []
    for _ in range(rounds):
        numpy = seconds(row.numpy)
        with epochs_begin() as times:
            call = seconds(lambda: row.ours(epochs))
        runs.append(Timing(numpy, (times[-1] - times[1]) / (epochs - 2), call))
    return Timing(*map(statistics.median, zip(*runs, strict=True)))


def main() -> None:
    """Measure every row and print it as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=50_000, help="of MNIST's training images (default: 50,000)")
    parser.add_argument("--epochs", type=int, default=30, help="of a call of ours, at least 3 (default: 30)")
    parser.add_argument("--rounds", type=int, default=3, help="repeats, of which the median counts (default: 3)")
    args = parser.parse_args()
    if args.epochs < 3 or args.rounds < 1 or args.samples < BATCH:
        parser.error(f"--epochs must be at least 3, --rounds at least 1, --samples at least {BATCH}")
    X, y, _, _ = fastnn.datasets.load_mnist("float64")
    print(f"seconds per epoch, {SIZES}, batch {BATCH}, {min(args.samples, len(X)):,} samples, float64, one thread")
    titles = ["class", "NumPy", "ours from epoch 2 on", "ratio", f"ours in a call of {args.epochs} epochs", "ratio"]
    print(markup.head(titles))
    for make in ROWS:
        row = make(X[: args.samples], y[: args.samples])
        timing = measure(row, args.rounds, args.epochs)
        later, mean = timing.later, timing.call / args.epochs
        cells = [f"`{row.name}`", f"{timing.numpy:.2f}"]
        for epoch in (later, mean):
            cells += [f"{epoch:.4f}", f"{timing.numpy / epoch:.0f}x"]
        print(markup.row(cells), flush=True)


if __name__ == "__main__":
    main()
