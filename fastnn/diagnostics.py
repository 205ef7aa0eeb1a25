"""What is wrong with this training, and what to do about it.

A look takes up to 256 samples through the network in plain NumPy, there and back, and records what it saw as
``Evidence``. ``RULES`` is a table of small functions from that record to a verdict. ``Network.diagnose`` looks once;
``Watch`` looks while ``fit`` trains, as often as 1 % of the training time pays for, by its own clock. On top of that a
network's first ``fit`` looks before the first step and after the last.
"""

import contextlib
import sys
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from fastnn import validation
from fastnn.callbacks import EarlyStopping
from fastnn.engine import Engine
from fastnn.formulas import numeric
from fastnn.formulas.activations import Activation
from fastnn.formulas.costs import Cost
from fastnn.formulas.optimizers import from_data
from fastnn.history import Finding, History
from fastnn.kernels.buffers import Data

Array = NDArray[Any]

_SAMPLES = 256
_NUMBERS = 1 << 22  # inputs in a look at most, so that very wide samples are few
_RARE_SAMPLES = 4  # of every rare class, besides those that chance brings
_FEW = 32  # samples below which nothing is judged
_SHARE_OF_TIME = 0.01

_LARGE_INPUT, _SMALL_INPUT = 10.0, 0.01
_SATURATED = {"sigmoid": 7.0, "tanh": 4.2}  # |z| beyond which the derivative is less than _FLAT
_FLAT = 1e-3
_MOST = 0.8  # share of the units of a layer, over all samples
_LARGE_Z, _SMALL_Z = 20.0, 1e-3  # rms of a layer's z at the start, beyond which no step size suits all layers
_VANISHED, _EXPLODED = 1e-4, 1e3
_GROWN = 3.0  # times the weights of a layer have grown where steps were too large
_RARE = 20  # times the most common class outnumbers a rare one
_LEARNED = 0.2  # unexplained share of the targets below which there is nothing to complain of
_RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0, np.inf)}
_LARGEST_DELTAS = {"sigmoid": 4 / 27, "tanh": 32 / 27}  # of (a - y) f'(z), for targets within the range
_STARTS = {"relu": "he", "tanh": "glorot"}  # initializer by activation; "scaled" otherwise
_NETWORK_ARGUMENTS = ("activation", "output", "cost", "initializer")


class TrainingWarning(UserWarning):
    """Something is wrong with a training that goes on; the text says what, where, and what to change.

    Examples
    --------
    >>> import warnings, fastnn
    >>> warnings.simplefilter("ignore", fastnn.TrainingWarning)  # to hear nothing of it
    """


class Findings(tuple[Finding, ...]):
    """What ``Network.diagnose`` found, the causes before their effects. It prints as a list.

    Examples
    --------
    >>> Findings()
    nothing found
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "\n".join(f"- {finding}" for finding in self) or "nothing found"

    __str__ = __repr__


class Model(NamedTuple):
    """The network that is looked at."""

    engine: Engine
    rows: tuple[Activation, ...]  # of every layer, the output's last
    cost_row: Cost

    @property
    def activations(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(row.name for row in self.rows)

    @property
    def cost(self) -> str:
        """Its name."""
        return self.cost_row.name


class Settings(NamedTuple):
    """How it is trained."""

    optimizer: Any
    batch_size: int
    l2: float
    stops_early: bool  # whether overfitting is taken care of

    @classmethod
    def of(cls, optimizer: Any, batch_size: int, l2: float = 0.0, callbacks: Iterable[Any] = ()) -> "Settings":
        """From the arguments of ``fit``."""
        return cls(optimizer, batch_size, l2, any(isinstance(callback, EarlyStopping) for callback in callbacks))

    def to_header(self) -> dict[str, Any]:
        """As it is saved with a network."""
        return {**self._asdict(), "optimizer": self.optimizer.to_data()}

    @classmethod
    def from_header(cls, header: dict[str, Any]) -> "Settings":
        """From what was saved, checked like a user's own arguments."""
        optimizer = from_data(header["optimizer"])
        batch_size = validation.check_whole("batch_size", header["batch_size"])
        l2 = validation.check_number("l2", header["l2"], at_least=0)
        return cls(optimizer, batch_size, l2, validation.check_flag("stops_early", header["stops_early"]))


class Sample(NamedTuple):
    """The samples that are looked at, as dense matrices, and what is known of all the data."""

    X: Array  # (k, n_in), fractions where the data are bytes
    targets: Array  # (k, n_out)
    weights: Array  # (k, 1)
    counts: Array  # how many of each class there are in all the data; empty: these are no classes
    weighted: bool
    sparse: bool
    pixels: bool  # whether the data are bytes
    labels: bool  # whether y came as labels, not as a matrix

    @property
    def answers(self) -> Array:
        """The class of every sample."""
        return _classes(self.targets)


class State(NamedTuple):
    """A network's numbers on the samples, layer by layer."""

    weights: list[Array]  # (n_out, n_in)
    Z: list[Array]  # weighted inputs
    A: list[Array]  # activations; one more than layers, the samples themselves come first
    deltas: list[Array]  # dC/dZ


@dataclass(frozen=True)
class Evidence:
    """All that a rule may look at.

    ``epochs`` have been trained since the weights were ``start``, with the course of ``history``. Where a network is
    looked at as it stands, epochs are infinite, and the start is what it is now.
    """

    model: Model
    settings: Settings
    sample: Sample
    state: State
    start: list[Array]  # weights (n_out, n_in)
    epochs: float
    history: History = field(default_factory=History)

    @cached_property
    def spread(self) -> Array:
        """The targets' distance from their mean."""
        targets, weights = self.sample.targets, self.sample.weights
        distance: Array = targets - (weights * targets).sum(axis=0) / weights.sum()
        return distance

    def left(self, outputs: Array) -> float:
        """Squared error of some outputs over that of the best constant output: 1 and more is nothing learned."""
        weights = self.sample.weights
        best = float((weights * self.spread**2).sum())
        return float((weights * (outputs - self.sample.targets) ** 2).sum()) / best if best > 0 else 0.0

    @cached_property
    def unexplained(self) -> float:
        """What is left of the squared error now."""
        return self.left(self.state.A[-1])

    @property
    def learned(self) -> bool:
        """Whether the network is good enough, whatever else is to be seen in it."""
        return self.unexplained < _LEARNED

    @cached_property
    def input_scales(self) -> Array:
        """Root mean square of the entries that are not zero, for every input that has any."""
        X = self.sample.X
        counts = np.count_nonzero(X, axis=0)
        scales: Array = np.sqrt(np.einsum("ij,ij->j", X, X, dtype=np.float64)[counts > 0] / counts[counts > 0])
        return scales

    @cached_property
    def input_scale(self) -> float:
        """The largest of them; 1 where all is zero."""
        return float(self.input_scales.max(initial=0.0)) or 1.0

    @property
    def hidden(self) -> range:
        """Numbers of the hidden layers, from 0."""
        return range(len(self.state.Z) - 1)

    @property
    def steps_text(self) -> str:
        """The learning rate and the size of the batches."""
        return f"learning rate {self.settings.optimizer.learning_rate:g} with batches of {self.settings.batch_size}"

    def finding(self, name: str, seen: "Verdict") -> Finding:
        """What a rule has seen, with the calls to make."""
        layer = None if seen.layer is None else seen.layer + 1
        return Finding(name, layer, seen.evidence, seen.advice or self._calls(seen.change), seen.change)

    def _calls(self, change: dict[str, Any]) -> str:
        built = [f"{name}={change[name]}" for name in _NETWORK_ARGUMENTS if name in change]
        given = [f"{name}={source}" for name, source in change.items() if name not in (*_NETWORK_ARGUMENTS, "X")]
        if "learning_rate" in change:
            at = given.index(f"learning_rate={change['learning_rate']}")
            given[at] = f"optimizer={_source(replace(self.settings.optimizer, learning_rate=change['learning_rate']))}"
        calls = [f"fastnn.Network(..., {', '.join(built)})"] if built else []
        if given or "X" in change:
            calls.append(f"fit({', '.join([change.get('X', 'X'), 'y', *given])})")
        return " and ".join(calls)

    def rate(self, factor: float) -> float:
        """The learning rate times a factor, with as many digits as one remembers."""
        return float(f"{self.settings.optimizer.learning_rate * factor:.2g}")


def _source(optimizer: Any) -> str:
    """The call that makes this optimizer."""
    shown = [
        f"{part.name}={getattr(optimizer, part.name)!r}"
        for part in fields(optimizer)
        if part.name == "learning_rate" or getattr(optimizer, part.name) != part.default
    ]
    return f"fastnn.{type(optimizer).__name__}({', '.join(shown)})"


def _rms(values: Array) -> float:
    flat = values.reshape(-1).astype(np.float64)
    return float(np.sqrt(flat @ flat / max(flat.size, 1)))


def _classes(outputs: Array) -> Array:
    result: Array = outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0.5).astype(np.int64)
    return result


def _are_classes(targets: Array) -> bool:
    """Whether targets say one class each, and not several or shares."""
    whole = ((targets == 0) | (targets == 1)).all()
    return bool(whole and (targets.shape[1] == 1 or (targets.sum(axis=1) == 1).all()))


# --- Looking ---

_ONE_CORE = threading.Lock()


@cache
def _linear_algebra() -> Any:
    """The libraries that NumPy's products are made by; finding them takes milliseconds."""
    return ThreadpoolController().select(user_api="blas")


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    """Keep NumPy's products on this core: threads of theirs spin on for tens of milliseconds, beside ours in training.

    How many there are is one number for the whole process. While one look has set it, others leave it alone: each
    putting back what it found would leave what the first one set. One that outlasts the first is merely less
    considerate from then on.
    """
    if not _ONE_CORE.acquire(blocking=False):
        yield
        return
    try:
        with _linear_algebra().limit(limits=1):
            yield
    finally:
        _ONE_CORE.release()


_ERROR_FACTORS = {"quadratic": 1, "sum_squares": 2}  # dC/dA = factor (a - y); with the other costs dC/dZ = a - y


@_one_core()
def look(model: Model, sample: Sample) -> State:
    """Take the samples through the network, there and back, in plain NumPy: a look must not disturb the scratch."""
    weights, Z, A = [], [], [sample.X]
    with np.errstate(all="ignore"):
        for i, row in enumerate(model.rows):
            W, b = model.engine.read(i)
            weights.append(W)
            Z.append(A[-1] @ W.T + b)
            A.append(numeric.activate(row, Z[-1]))
        deltas = [numeric.output_delta(model.cost_row, model.rows[-1], Z[-1], sample.targets)]
        for i in range(len(weights) - 1, 0, -1):
            deltas.insert(0, (deltas[0] @ weights[i]) * numeric.slope(model.rows[i - 1], Z[i - 1]))
    return State(weights, Z, A, deltas)


def draw(model: Model, data: Data, n: int, among: Array | None = None) -> Sample:
    """Samples to look at: all there are, or some by chance, always the same ones, with a few of every rare class.

    ``among`` are the n samples that count, where these are not all of the data.
    """
    n_in, n_out = model.engine.layers[0].n_in, model.engine.layers[-1].n_out
    at_most = int(np.clip(_NUMBERS // n_in, _FEW, _SAMPLES))
    matrix = data.targets.reshape(-1, n_out)
    classes = data.labels
    if not classes.size and data.classify and _are_classes(matrix[:at_most]):
        classes = _classes(matrix)
    if among is not None and classes.size:
        classes = classes[among]
    counts = np.bincount(classes, minlength=max(n_out, 2)) if classes.size else np.empty(0, np.int64)
    rows, generator = np.arange(n), np.random.default_rng(0)
    if n > at_most:
        chosen = [generator.integers(0, n, at_most)]
        rare = np.flatnonzero((counts > 0) & (counts < counts.max(initial=0) / _RARE))
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
    weights = data.sample_weight[rows, np.newaxis] if weighted else np.ones((len(rows), 1), dtype)
    X = _inputs_of(data, rows, n_in, dtype)
    return Sample(
        X, targets, weights, counts, weighted, data.starts.size > 0, data.pixels.size > 0, data.labels.size > 0
    )


def _inputs_of(data: Data, rows: Array, n_in: int, dtype: Any) -> Array:
    if data.starts.size:
        X = np.zeros((len(rows), n_in), dtype)
        for i, row in enumerate(rows):
            entries = slice(data.starts[row], data.starts[row + 1])
            X[i, data.columns[entries]] = data.features[entries]
        return X
    if data.pixels.size:
        fractions: Array = data.pixels.reshape(-1, n_in)[rows].astype(dtype) / dtype.type(255)
        return fractions
    dense: Array = data.features.reshape(-1, n_in)[rows]
    return dense


# --- Rules ---


class Verdict(NamedTuple):
    """What a rule found."""

    layer: int | None  # from 0
    evidence: str
    change: dict[str, Any]
    advice: str = ""  # where it is not the calls that ``change`` makes


def _inputs(e: Evidence) -> Verdict | None:
    scale = e.input_scale
    if _SMALL_INPUT <= scale <= _LARGE_INPUT:
        return None
    X = e.sample.X
    seen = f"an input is typically {scale:.3g} where it is not 0, from {X.min():g} to {X.max():g} in all"
    if e.sample.pixels:
        seen += ", because bytes stand for fractions of 255"
    return Verdict(None, seen, {"X": _unit_scale(e)})


def _unit_scale(e: Evidence) -> str:
    """The expression that brings X to unit scale: one division where that is enough, else every input by itself."""
    X, scales = e.sample.X, e.input_scales
    largest = float(abs(X).max())
    if e.sample.pixels:  # dividing bytes makes other numbers of them
        return f"X / {round(255 * largest)}" if largest > 1.5 / 255 else "X.astype(float)"
    if X.min() >= 0 and 128 <= largest <= 255 and not (X % 1).any():  # bytes
        return "X / 255"
    if e.sample.sparse or (X.min() >= 0 and scales.max() < 10 * np.median(scales)):
        return f"X / {largest:g}"
    return "(X - X.mean(axis=0)) / (X.std(axis=0) + 1e-9)"


def _initializer_for(e: Evidence, layer: int) -> str:
    return f'"{_STARTS.get(e.model.activations[layer], "scaled")}"'


def _all_positive(W: Array) -> bool:
    return W.shape[1] >= 16 and bool((W > 0).mean() > 0.95)


def _initializer(e: Evidence) -> Verdict | None:
    for layer, (W, Z) in enumerate(zip(e.state.weights, e.state.Z, strict=True)):
        size = _rms(Z) / (max(1.0, _rms(e.state.A[layer])) if layer else e.input_scale)
        alike = layer in e.hidden and len(W) > 1 and np.ptp(W, axis=0).max() == 0 and np.ptp(Z, axis=1).max() == 0
        if e.learned or not (alike or size > _LARGE_Z or 0 < size < _SMALL_Z or (_all_positive(W) and size > 4)):
            continue
        seen = f"|z| is typically {_rms(Z):.3g}, with weights of {_rms(W):.2g} from {W.shape[1]} inputs"
        if alike:
            seen = f"its {len(W)} units have the same weights, learn the same and stay one unit"
        elif _all_positive(W):
            seen += ", all positive, so that they add up in every unit for every sample"
        return Verdict(layer, seen, {"initializer": _initializer_for(e, layer)})
    return None


def _saturated(e: Evidence) -> Verdict | None:
    for layer in e.hidden:
        name, Z = e.model.activations[layer], abs(e.state.Z[layer])
        limit = _SATURATED.get(name, np.inf)
        share = float((limit < Z).mean())
        if share <= _MOST or e.learned:
            continue
        large, positive = layer == 0 and e.input_scale > _LARGE_INPUT, _all_positive(e.state.weights[layer])
        causes = ["raw inputs"] * large + ["an all-positive start"] * positive
        change: dict[str, Any] = {"X": _unit_scale(e)} if large else {}
        if positive or np.median(Z) / (e.input_scale if large else 1.0) > limit:
            change["initializer"] = _initializer_for(e, layer)
        if not causes and e.epochs > 0:
            causes, change["learning_rate"] = ["steps that were too large"], e.rate(0.1)
        seen = (
            f"{share:.0%} of its {Z.shape[1]} units over {len(Z)} samples have |z| > {limit:g}, typically "
            f"{np.median(Z):.3g}, where the {name} is flat and passes no gradient on; the cause is "
            f"{' with '.join(causes) or 'weights that are too large'}"
        )
        return Verdict(layer, seen, change)
    return None


def _dead(e: Evidence) -> Verdict | None:
    for layer, name in enumerate(e.model.activations):
        if name != "relu" or e.learned:
            continue
        wanted = np.ones(e.state.Z[layer].shape[1], bool) if layer in e.hidden else e.sample.targets.max(axis=0) > 0
        dead = (e.state.A[layer + 1].max(axis=0) <= 0) & wanted
        if dead.sum() <= wanted.sum() / 2:
            continue
        rate = {"learning_rate": e.rate(0.1)} if e.epochs > 0 else {}
        seen = (
            f"{dead.sum()} of {wanted.sum()} units give 0 for each of {len(e.sample.X)} samples, get no gradient and "
            "will not come back: begin with new weights"
        )
        return Verdict(layer, seen, {"initializer": '"he"', **rate})
    return None


def _gradients(e: Evidence) -> tuple[list[float], str]:
    """Size of dC/dz by layer, and the same in words; none where there is nothing to compare."""
    sizes = [_rms(delta) for delta in e.state.deltas]
    if e.learned or sizes[-1] == 0 or not np.isfinite(sizes).all():
        return [], ""
    by_layer = ", ".join(f"{size:.1e}" for size in sizes)
    return sizes, f"dC/dz by layer is {by_layer}, in the first {sizes[0] / sizes[-1]:.1e} of the last"


def _vanishing(e: Evidence) -> Verdict | None:
    sizes, seen = _gradients(e)
    if not sizes or sizes[0] > _VANISHED * sizes[-1]:
        return None
    layer = next(i for i, size in enumerate(sizes) if size > _VANISHED * sizes[-1]) - 1
    return Verdict(layer, seen, {"activation": '"relu"', "initializer": '"he"'})


def _exploding(e: Evidence) -> Verdict | None:
    sizes, seen = _gradients(e)
    layer = next((i for i, Z in enumerate(e.state.Z) if not np.isfinite(Z).all()), 0)
    if not np.isfinite(e.state.Z[layer]).all():
        seen = f"its weighted inputs are beyond the range of {e.state.Z[layer].dtype}"
    elif not sizes or sizes[0] < _EXPLODED * sizes[-1]:
        return None
    return Verdict(layer, seen, {"initializer": _initializer_for(e, layer), "learning_rate": e.rate(0.1)})


def _same_output(e: Evidence) -> Verdict | None:
    varies = _rms(e.spread) > 0 and np.ptp(e.sample.X, axis=0).max() > 0
    if e.epochs < 5 or e.learned or not varies:
        return None
    deviation = float(e.state.A[-1].std(axis=0).max())
    if not deviation <= 0.01 * float(e.sample.targets.std(axis=0).max()):  # nor if it is NaN
        return None
    stds = [float(A.std(axis=0).max()) for A in e.state.A[1:]]
    layer = next(i for i, std in enumerate(stds) if std <= max(0.01, deviation))
    first = np.array2string(e.state.A[-1][0][:4].astype(np.float64), precision=3, separator=", ")
    seen = (
        f"{len(e.sample.X)} samples all come out as {first}{' ...' if e.state.A[-1].shape[1] > 4 else ''}, "
        f"within {deviation:.1e}; layer {layer + 1} is the first that tells none of them apart"
    )
    if e.settings.l2 > 0 and _rms(e.state.weights[layer]) < 0.1 * _rms(e.start[layer]):
        return Verdict(None, f"{seen}, its weights pulled to 0 by l2", {"l2": f"{e.settings.l2 / 100:g}"})
    change: dict[str, Any] = {"X": _unit_scale(e)} if e.input_scale > _LARGE_INPUT else {}
    if (
        change
        or _saturated(e)
        or any(_rms(W) > _GROWN * _rms(S) for W, S in zip(e.state.weights, e.start, strict=True))
    ):
        change |= {"initializer": _initializer_for(e, layer), "learning_rate": e.rate(0.1)}
    else:
        seen += "; nothing is saturated and no weight has grown much: this is a plateau, to be left by larger steps"
        change |= {"learning_rate": e.rate(10.0)}
    return Verdict(None, seen, change)


def _stepped(e: Evidence, rows: slice, factor: float = 1.0) -> Array:
    """Outputs after a step of the output layer on some of the samples, ``factor`` times as long as the steps taken."""
    optimizer, A, delta = e.settings.optimizer, e.state.A[-2], e.state.deltas[-1][rows]
    weights, biases = delta.T @ A[rows] / len(delta), delta.mean(axis=0)
    length = factor * optimizer.learning_rate
    if optimizer.name != "sgd":  # every weight moves by about the learning rate
        weights, biases = np.sign(weights), np.sign(biases)
    else:
        length /= 1 - optimizer.momentum
    return numeric.activate(e.model.rows[-1], e.state.Z[-1] - length * (A @ weights.T + biases))


def _swing(e: Evidence) -> float:
    """How far a step on one batch moves the outputs of all samples, in units of the targets' spread."""
    size, k = min(e.settings.batch_size, len(e.sample.X)), len(e.sample.X)
    moves = [_rms(_stepped(e, slice(i, i + size)) - e.state.A[-1]) for i in range(0, min(8 * size, k - size + 1), size)]
    return _rms(np.array(moves)) / (_rms(e.spread) or 1.0)


def _kick(e: Evidence) -> float:
    """How far a step can move an output's z: for a typical sample, with errors as large as they get, but unlike."""
    optimizer, inputs = e.settings.optimizer, e.state.A[-2].astype(np.float64)
    if optimizer.name != "sgd":  # every weight moves by about the learning rate
        return float(optimizer.learning_rate * (1 + np.median(abs(inputs).sum(axis=1))))
    factor = _ERROR_FACTORS.get(e.model.cost)
    largest = 1.0 if factor is None else factor * _LARGEST_DELTAS.get(e.model.activations[-1], 0.0)
    largest /= e.settings.batch_size**0.5 * (1 - optimizer.momentum)
    return float(optimizer.learning_rate * largest * (1 + np.median((inputs**2).sum(axis=1))))


def _rate_too_high(e: Evidence) -> Verdict | None:
    costs = e.history.train_cost
    if len(costs) < 4 or e.unexplained < 0.3:
        return None
    earlier, recent = min(costs[:-3]), sum(costs[-3:]) / 3
    if recent < 0.98 * earlier:
        return None
    kick, swing, limit = _kick(e), _swing(e), _SATURATED.get(e.model.activations[-1], np.inf)
    thrown = kick > limit and e.unexplained > 0.6
    if not thrown and swing < 0.3:
        return None
    way = f"rose from {earlier:.3g} to {recent:.3g}" if recent > 1.1 * earlier else f"stays at {recent:.3g}"
    seen = f"{e.steps_text} is too much: the cost {way} in {len(costs)} epochs, {e.unexplained:.0%} of the error"
    seen += " that the best constant output makes, and "
    if thrown:
        seen += f"one step can move an output's z by {kick:.2g}, from one flat end (|z| > {limit:g}) to the other"
    else:
        seen += f"a step on one batch moves the outputs by {swing:.0%} of the targets' spread"
    return Verdict(None, seen, {"learning_rate": e.rate(0.1)})


def _rate_too_low(e: Evidence) -> Verdict | None:
    costs = e.history.train_cost
    if len(costs) < 5 or e.unexplained < 0.9 or abs(costs[-1] - costs[0]) > 0.01 * costs[0]:
        return None
    moved = max(_rms(W - S) / (_rms(S) or 1.0) for W, S in zip(e.state.weights, e.start, strict=True))
    gain, factor = max((1 - e.left(_stepped(e, slice(None), 10.0**i)) / e.unexplained, 10.0**i) for i in range(1, 8))
    if moved > 0.01 or gain < 0.05:
        return None
    usual = e.settings.optimizer.usual_rate / e.settings.optimizer.learning_rate
    seen = (
        f"{e.steps_text} is too little: after {len(costs)} epochs the cost is {costs[-1]:.4g}, from {costs[0]:.4g}, "
        f"and weights moved by {moved:.1e} of their size, while one step {factor:g} times as long takes {gain:.0%} off "
        "the squared error"
    )
    return Verdict(None, seen, {"learning_rate": e.rate(max(10.0, min(factor, usual)))})


def _cost_and_output(e: Evidence) -> Verdict | None:
    output, T, A = e.model.activations[-1], e.sample.targets, e.state.A[-1]
    low, high = _RANGES.get(output, (-np.inf, np.inf))
    margin = 0.01 * _rms(e.spread)
    beyond = float(((low - margin > T) | (high + margin < T)).mean())
    layer = len(e.state.Z) - 1
    if beyond > 0.05:
        seen = f"{beyond:.0%} of the targets, from {T.min():.3g} to {T.max():.3g}, lie beyond the {output}'s reach"
        return Verdict(layer, seen, {"output": '"identity"'})
    if e.model.cost not in _ERROR_FACTORS or output not in _SATURATED or T.min() < 0 or T.max() > 1 or e.learned:
        return None
    stuck = (abs(A - T) > 0.5) & (numeric.slope(e.model.rows[-1], e.state.Z[-1]) < _FLAT)
    share = float(stuck.any(axis=1).mean())
    if share < 0.3:
        return None
    seen = (
        f"for {share:.0%} of the samples an output is wrong and saturated (typically |z| = "
        f"{np.median(abs(e.state.Z[-1][stuck])):.3g}), where the gradient of cost {e.model.cost!r} vanishes with the "
        f"{output}'s derivative"
    )
    return Verdict(layer, seen, {"output": '"sigmoid"', "cost": '"cross_entropy"'})


def _imbalance(e: Evidence) -> Verdict | None:
    counts = e.sample.counts
    if counts.size == 0 or e.sample.weighted or e.epochs < 3:
        return None
    common = int(counts.max())
    rare = np.flatnonzero((counts > 0) & (counts < common / _RARE))
    if not np.isin(e.sample.answers, rare).any() or np.isin(_classes(e.state.A[-1]), rare).any():
        return None
    shown = ", ".join(str(label) for label in rare[:5])
    seen = (
        f"class {counts.argmax()} has {common:,} of {counts.sum():,} samples, class {shown} only "
        f"{counts[rare].sum():,}, and is never predicted; always answering {counts.argmax()} is right in "
        f"{common / counts.sum():.1%}"
    )
    y = (
        "y"
        if e.sample.labels
        else "y.argmax(axis=1)"
        if len(counts) == e.sample.targets.shape[1]
        else "(y > 0.5).astype(int)"
    )
    balanced = f"(len(y) / ({np.count_nonzero(counts)} * np.maximum(np.bincount({y}), 1)))[{y}]"
    return Verdict(None, seen, {"sample_weight": balanced})


def _overfitting(e: Evidence) -> Verdict | None:
    train, held_out = e.history.train_cost, e.history.val_cost
    if len(held_out) < 5 or e.settings.stops_early:
        return None
    best = int(np.argmin(held_out))
    if min(held_out[-3:]) < 1.2 * held_out[best] or train[-1] > 0.8 * train[best]:
        return None
    seen = (
        f"since epoch {best + 1} the cost on the validation data rose from {held_out[best]:.3g} to {held_out[-1]:.3g}, "
        f"while that on the training data fell from {train[best]:.3g} to {train[-1]:.3g}"
    )
    return Verdict(None, seen, {"callbacks": "[fastnn.EarlyStopping()]"})


def _shuffled(e: Evidence) -> Verdict | None:
    counts, k = e.sample.counts, len(e.sample.X)
    accuracies = e.history.val_accuracy or e.history.train_accuracy
    if counts.size == 0 or k < 100 or len(accuracies) < 5:
        return None
    chance, expected = counts.max() / counts.sum(), float(((counts / counts.sum()) ** 2).sum())
    better = accuracies[-1] - chance > min(0.05, 3 * np.sqrt(chance * (1 - chance) / counts.sum()))
    if better or expected > 0.8:  # where nearly all have one label, agreeing says nothing
        return None
    X = e.sample.X.astype(np.float64)
    squares = np.einsum("ij,ij->i", X, X)
    distances = squares[:, np.newaxis] + squares - 2 * X @ X.T
    np.fill_diagonal(distances, np.inf)
    answers = e.sample.answers
    agree = float((answers[distances.argmin(axis=1)] == answers).mean())
    if abs(agree - expected) > 3 * np.sqrt(expected * (1 - expected) / k):  # never to agree is a relation too
        return None
    seen = (
        f"after {len(accuracies)} epochs the accuracy {'on the validation data ' if e.history.val_accuracy else ''}is "
        f"{accuracies[-1]:.1%}, that of always giving the most common answer {chance:.1%}, and of {k} samples "
        f"{agree:.1%} have the label of their nearest neighbour, by chance {expected:.1%}"
    )
    advice = "X and y together: order = np.random.permutation(len(X)); X, y = X[order], y[order]"
    return Verdict(None, seen, {}, advice)


class Rule(NamedTuple):
    """One row of the table."""

    name: str
    check: Callable[[Evidence], Verdict | None]
    kind: str  # "data" and "start": before the first step; "state": at every look; "course": as training goes on
    unless: tuple[str, ...] = ()  # findings that already explain this one


_NO_GRADIENT = ("saturated units", "dead ReLUs", "vanishing gradients")
_NO_SIGNAL = ("labels look shuffled", "every output the same vector")

RULES = {
    rule.name: rule
    for rule in (
        Rule("inputs far from unit scale", _inputs, "data"),
        Rule("unsuitable initializer", _initializer, "start"),
        Rule("saturated units", _saturated, "state"),
        Rule("dead ReLUs", _dead, "state"),
        Rule("vanishing gradients", _vanishing, "state", ("saturated units", "dead ReLUs")),
        Rule("exploding gradients", _exploding, "state"),
        Rule("cost and output activation fight", _cost_and_output, "state", _NO_GRADIENT),
        Rule("labels look shuffled", _shuffled, "course"),
        Rule("every output the same vector", _same_output, "state", ("labels look shuffled",)),
        Rule("learning rate too high", _rate_too_high, "course"),
        Rule("learning rate too low", _rate_too_low, "course", (*_NO_GRADIENT, *_NO_SIGNAL)),
        Rule("class imbalance", _imbalance, "state", _NO_SIGNAL),
        Rule("overfitting", _overfitting, "course"),
    )
}


@_one_core()
def judge(evidence: Evidence, kinds: Collection[str], known: Iterable[Finding]) -> Findings:
    """What the rules of these kinds find that is not known yet."""
    found: list[Finding] = []
    names = {finding.name for finding in known}
    for rule in RULES.values() if len(evidence.sample.X) >= _FEW else ():
        if rule.kind in kinds and names.isdisjoint((rule.name, *rule.unless)):
            with np.errstate(all="ignore"):  # numbers beyond the range of the dtype are judged as infinite
                seen = rule.check(evidence)
            if seen is not None:
                found.append(evidence.finding(rule.name, seen))
                names.add(rule.name)
    return Findings(found)


def diagnose(model: Model, data: Data, n: int, settings: Settings, history: History | None) -> Findings:
    """Judge a network as it stands, on these data; of the course of its last training, what was found then."""
    sample = draw(model, data, n)
    state = look(model, sample)
    evidence = Evidence(model, settings, sample, state, state.weights, np.inf)
    course = [finding for finding in (history.findings if history else ()) if RULES[finding.name].kind == "course"]
    trained = history or model.engine.memory.steps > 0
    kinds = ("data", "state") if trained else ("data", "start", "state")
    return Findings((*judge(evidence, kinds, course), *course))


@dataclass
class Budget:
    """What looking may cost: seconds that training has paid in, and what the cheapest look took."""

    balance: float = 0.0
    price: float = 1e-3  # a guess, before the first look


class Watch:
    """Looks at a network while it is trained, and warns of every finding once.

    Parameters
    ----------
    model : Model
        The network.
    data : Data
        What it is trained on.
    n : int
        Number of samples.
    settings : Settings
        How it is trained.
    budget : Budget or None
        Of earlier trainings of this network, to go on with. None where there are none: then there is a look before the
        first step and one after the last, whatever they cost.
    history : History
        Of this training; findings are added to it.
    among : array (n,) int64 or None
        The samples it is trained on, where these are not all of the data.
    warns : bool, default True
        Say what is found, besides keeping it in the history.
    """

    def __init__(
        self,
        model: Model,
        data: Data,
        n: int,
        settings: Settings,
        budget: Budget | None,
        history: History,
        among: Array | None = None,
        warns: bool = True,
    ) -> None:
        self._model, self._settings, self._history = model, settings, history
        self._data, self._n, self._among, self._warns = data, n, among, warns
        self._judges = n >= _FEW
        self._fresh, self.budget = budget is None and self._judges, budget or Budget()
        self._untrained = model.engine.memory.steps == 0
        self._sample: Sample | None = None
        self._looked = 0  # epochs before the latest look

    def begin(self) -> None:
        """Note where training starts."""
        if self._judges:
            self._start = self._model.engine.params.copy()
        if self._fresh:
            self.look()

    def after_epoch(self) -> None:
        """Look, if training has paid for it."""
        self.budget.balance += _SHARE_OF_TIME * self._history.seconds[-1]
        if self._judges and self.budget.balance >= self.budget.price:
            self.look()

    def finish(self) -> None:
        """Look at what training came to."""
        if self._fresh and self._looked < len(self._history.train_cost):
            self.look()

    @property
    def has_looked(self) -> bool:
        """Whether there was a look."""
        return self._sample is not None

    def look(self) -> None:
        """Look and warn, whatever it costs."""
        began, epochs, kinds = time.perf_counter(), len(self._history.train_cost), ["state", "course"]
        if self._sample is None:
            self._sample = draw(self._model, self._data, self._n, self._among)
            kinds += ["data"] + ["start"] * (epochs == 0 and self._untrained)
        state, read = look(self._model, self._sample), self._model.engine.read
        start = [read(i, self._start)[0] for i in range(len(self._model.activations))]
        evidence = Evidence(self._model, self._settings, self._sample, state, start, epochs, self._history)
        found = judge(evidence, kinds, self._history.findings)
        took = time.perf_counter() - began
        self.budget.balance -= took
        self.budget.price = min(took, self.budget.price)
        self._looked = epochs
        for finding in found:
            self._history.findings.append(finding)
            if self._warns:
                warn(str(finding))


def warn(text: str) -> None:
    """Warn of a training, at the line of the nearest caller that is not part of this library."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == __package__:
        level, frame = level + 1, frame.f_back
    warnings.warn(text, TrainingWarning, stacklevel=level)
