"""A look: some samples taken through the network in plain NumPy, there and back, and what was seen."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from fastnn.diagnostics.wording import LIBRARY, Wording
from fastnn.engine import Engine
from fastnn.formulas import numeric
from fastnn.formulas.activations import Activation
from fastnn.formulas.costs import Cost
from fastnn.inputs.labels import classes_of
from fastnn.kernels.buffers import Data
from fastnn.samples import dense_rows

Array = NDArray[Any]

FEW = 32  # samples below which nothing is judged
RARE = 20  # times the most common class outnumbers a rare one
_SAMPLES = 256
_NUMBERS = 1 << 22  # inputs in a look at most, so that very wide samples are few
_PRODUCTS = 1 << 31  # multiply-adds on the way there at most, so that a large network's look takes little time
_RARE_SAMPLES = 4  # of every rare class, besides those that chance brings


class Model(NamedTuple):
    """The network that is looked at."""

    engine: Engine
    rows: tuple[Activation, ...]  # of every layer, the output's last
    cost_row: Cost
    wording: Wording = LIBRARY  # of advice
    scaled: bool = False  # whether its inputs are scaled by the network itself

    @property
    def activations(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(row.name for row in self.rows)

    @property
    def cost(self) -> str:
        """Its name."""
        return self.cost_row.name


class Sample(NamedTuple):
    """The samples that are looked at, as dense matrices, and what is known of all the data."""

    X: Array  # (k, n_in), or (k, len(columns)), as the network sees them
    targets: Array  # (k, n_out)
    weights: Array  # (k, 1)
    counts: Array  # how many of each class there are in all the data; empty: these are no classes
    weighted: bool
    sparse: bool
    n: int  # samples of all the data
    columns: Array | None = None  # of very wide sparse data those that these samples have, and one of zeros

    @property
    def answers(self) -> Array:
        """The class of every sample."""
        return classes_of(self.targets)


class State(NamedTuple):
    """A network's numbers on the samples, layer by layer."""

    weights: list[Array]  # (n_out, n_in), of the first layer those of the sample's columns
    Z: list[Array]  # weighted inputs
    A: list[Array]  # activations; one more than layers, the samples themselves come first
    deltas: list[Array]  # dC/dZ


def _are_classes(targets: Array) -> bool:
    """Whether targets say one class each, and not several or shares."""
    whole = ((targets == 0) | (targets == 1)).all()
    return bool(whole and (targets.shape[1] == 1 or (targets.sum(axis=1) == 1).all()))


_LOCK = threading.Lock()


@cache
def _linear_algebra() -> Any:
    """The libraries that NumPy's products are made by; finding them takes milliseconds."""
    return ThreadpoolController().select(user_api="blas")


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Keep NumPy's products on this core: threads of theirs spin on for tens of milliseconds, beside ours in training.

    How many there are is one number for the whole process. While one look has set it, others leave it alone: each
    putting back what it found would leave what the first one set. One that outlasts the first is merely less
    considerate from then on.
    """
    if not _LOCK.acquire(blocking=False):
        yield
        return
    try:
        with _linear_algebra().limit(limits=1):
            yield
    finally:
        _LOCK.release()


@one_core()
def look(model: Model, sample: Sample, between: Callable[[], None] = lambda: None) -> State:
    """Take the samples through the network, there and back, in plain NumPy: a look must not disturb the scratch.

    ``between`` is called before every piece of the work, and may raise to end it.
    """
    weights, biases = model.engine.read_all(between=between, columns=sample.columns)
    Z, A = [], [model.engine.scale_inputs(sample.X, sample.columns)]
    with np.errstate(all="ignore"):
        for W, b, row in zip(weights, biases, model.rows, strict=True):
            between()
            Z.append(A[-1] @ W.T + b)
            A.append(numeric.activate(row, Z[-1]))
        deltas = [numeric.output_delta(model.cost_row, model.rows[-1], Z[-1], sample.targets)]
        for i in range(len(weights) - 1, 0, -1):
            between()
            deltas.insert(0, (deltas[0] @ weights[i]) * numeric.slope(model.rows[i - 1], Z[i - 1]))
    return State(weights, Z, A, deltas)


def draw(
    model: Model, data: Data, n: int, among: Array | None = None, read: Callable[[Array], Array] | None = None
) -> Sample:
    """Samples to look at: all there are, or some by chance, always the same ones, with a few of every rare class.

    ``among`` are the n samples that count, where these are not all of the data. ``read`` gives some of them as the
    network sees them, where the data hold the answers alone.
    """
    n_in, n_out = model.engine.layers[0].n_in, model.engine.layers[-1].n_out
    weights = sum(layer.n_in * layer.n_out for layer in model.engine.layers)
    at_most = int(np.clip(min(_NUMBERS // n_in, _PRODUCTS // weights), FEW, _SAMPLES))
    matrix = data.targets.reshape(-1, n_out)
    classes = data.labels
    if not classes.size and data.classify and _are_classes(matrix[:at_most]):
        classes = classes_of(matrix)
    if among is not None and classes.size:
        classes = classes[among]
    counts = np.bincount(classes, minlength=max(n_out, 2)) if classes.size else np.empty(0, np.int64)
    rows, generator = np.arange(n), np.random.default_rng(0)
    if n > at_most:
        chosen = [generator.integers(0, n, at_most)]
        rare = np.flatnonzero((counts > 0) & (counts < counts.max(initial=0) / RARE))
        chosen += [np.flatnonzero(classes == label)[:_RARE_SAMPLES] for label in rare[: at_most // 16]]
        rows = np.unique(np.concatenate(chosen))
    rows = generator.permutation(rows)  # as in training: data sorted by class must not make batches of one class
    rows = rows if among is None else among[rows]
    dtype = model.engine.dtype
    if data.labels.size:
        targets = np.zeros((len(rows), n_out), dtype)
        targets[np.arange(len(rows)), data.labels[rows]] = 1
    else:
        targets = matrix[rows]
    weighted = data.sample_weight.size > 0
    sample_weights = data.sample_weight[rows, np.newaxis] if weighted else np.ones((len(rows), 1), dtype)
    columns = _columns_of(data, rows, n_in) if is_wide(model, data) else None
    X = dense_rows(data, rows, n_in, dtype, columns) if read is None else read(rows)
    return Sample(X, targets, sample_weights, counts, weighted, data.starts.size > 0, n, columns)


def is_wide(model: Model, data: Data) -> bool:
    """Whether the samples are looked at in their own columns alone: a dense matrix would dwarf the network."""
    return data.starts.size > 0 and model.engine.layers[0].n_in > _NUMBERS // _SAMPLES


def _columns_of(data: Data, rows: Array, n_in: int) -> Array:
    """The columns in which some of the rows have entries, and where there are others the first of those."""
    found = np.unique(np.concatenate([data.columns[data.starts[row] : data.starts[row + 1]] for row in rows]))
    lacking = np.append(np.flatnonzero(found != np.arange(len(found))), len(found))[0]
    return found if lacking == n_in else np.insert(found, lacking, lacking)
