"""From what a look has seen to a verdict: a table of small functions, and what they have in common."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import validation
from fastnn.callbacks import EarlyStopping
from fastnn.diagnostics import facts
from fastnn.diagnostics.look import FEW, RARE, Model, Sample, State, one_core
from fastnn.diagnostics.wording import Facts
from fastnn.formulas import numeric
from fastnn.formulas.optimizers import from_data
from fastnn.history import Finding, History
from fastnn.inputs.labels import classes_of

Array = NDArray[Any]

_LARGE_INPUT, _SMALL_INPUT = 10.0, 0.01
_MOST = 0.8  # share of the units of a layer, over all samples
_LARGE_Z, _SMALL_Z = 20.0, 1e-3  # rms of a layer's z at the start, beyond which no step size suits all layers
_VANISHED, _EXPLODED = 1e-4, 1e3
_GROWN = 3.0  # times the weights of a layer have grown where steps were too large
_RESTLESS = 4.0  # how far a step may move an output's z; MNIST is learned best at 1 to 2, and two points worse at 5
_PART = 1 << 15  # numbers whose squares are summed together
_LEARNED = 0.2  # unexplained share of the targets below which there is nothing to complain of


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
        rate = self.settings.optimizer.learning_rate
        return f"{self.model.wording.rate} {rate:g} with batches of {self.settings.batch_size}"

    def finding(self, name: str, seen: "Verdict") -> Finding:
        """What a rule has seen, with the calls to make."""
        layer = None if seen.layer is None else seen.layer + 1
        advice = seen.advice or self.model.wording.advise(seen.change, Facts(self.settings.optimizer, self.sample.n))
        return Finding(name, layer, seen.evidence, advice, seen.change)

    def rate(self, factor: float) -> float:
        """The learning rate times a factor, with as many digits as one remembers."""
        return float(f"{self.settings.optimizer.learning_rate * factor:.2g}")


def _rms(values: Array) -> float:
    flat = values.reshape(-1)
    # Summed in float64, a part at a time: a wide layer's weights are many.
    parts = (flat[start : start + _PART].astype(np.float64) for start in range(0, flat.size, _PART))
    return float(np.sqrt(sum(np.einsum("i,i->", part, part) for part in parts) / max(flat.size, 1)))


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
    return Verdict(None, seen, {"scale": _unit_scale(e)})


def _unit_scale(e: Evidence) -> str:
    """The scale that is missing: one number where that is enough, else every input by itself."""
    X, scales = e.sample.X, e.input_scales
    largest = float(abs(X).max())
    if e.model.scaled:  # by what does not suit
        return '"standard"'
    if X.min() >= 0 and 128 <= largest <= 255 and not (X % 1).any():  # bytes
        return "255"
    if e.sample.sparse or (X.min() >= 0 and scales.max() < 10 * np.median(scales)):
        return f"{largest:g}"
    return '"standard"'


def _targets(e: Evidence) -> Verdict | None:
    """Quantities that weights of unit scale are far from; outputs that are bounded have a rule of their own."""
    known, T = facts.activation(e.model.rows[-1]), e.sample.targets
    size, spread = _rms(T), _rms(e.spread)
    bounded = np.isfinite(known.low) and np.isfinite(known.high)
    free = e.model.cost_row.targets == "any"  # to be moved
    if bounded or not free or np.ptp(T, axis=0).max() == 0 or (size <= _LARGE_INPUT and spread >= _SMALL_INPUT):
        return None
    seen = f"targets are typically {size:.3g}, from {T.min():g} to {T.max():g}, and vary by {spread:.2g}"
    if e.model.activations[-1] == "identity" and not e.sample.counts.size:
        return Verdict(None, seen, {"target_scale": '"standard"'})
    return Verdict(None, seen, {"y": "(y - y.mean(axis=0)) / y.std(axis=0)"})


def _constant(e: Evidence) -> Verdict | None:
    if np.ptp(e.sample.X, axis=0).max() > 0:
        return None
    seen = f"{len(e.sample.X)} samples are all the same, so that nothing can be told apart"
    return Verdict(None, seen, {}, "X: look at how it was made")


def _initializer_for(e: Evidence, layer: int) -> str:
    return f'"{facts.activation(e.model.rows[layer]).initializer}"'


def _all_positive(W: Array) -> bool:
    return W.shape[1] >= 16 and bool((W > 0).mean() > 0.95)


def _initializer(e: Evidence) -> Verdict | None:
    for layer, (W, Z) in enumerate(zip(e.state.weights, e.state.Z, strict=True)):
        size = _rms(Z) / (max(1.0, _rms(e.state.A[layer])) if layer else e.input_scale)
        alike = layer in e.hidden and len(W) > 1 and np.ptp(W, axis=0).max() == 0 and np.ptp(Z, axis=1).max() == 0
        if e.learned or not (alike or size > _LARGE_Z or 0 < size < _SMALL_Z or (_all_positive(W) and size > 4)):
            continue
        n_in = e.model.engine.layers[layer].n_in
        seen = f"|z| is typically {_rms(Z):.3g}, with weights of {_rms(W):.2g} from {n_in} inputs"
        if alike:
            seen = f"its {len(W)} units have the same weights, learn the same and stay one unit"
        elif _all_positive(W):
            seen += ", all positive, so that they add up in every unit for every sample"
        return Verdict(layer, seen, {"initializer": _initializer_for(e, layer)})
    return None


def _saturated(e: Evidence) -> Verdict | None:
    for layer in e.hidden:
        name, Z = e.model.activations[layer], abs(e.state.Z[layer])
        limit = facts.activation(e.model.rows[layer]).flat
        share = float((limit < Z).mean())
        if share <= _MOST or e.learned:
            continue
        large, positive = layer == 0 and e.input_scale > _LARGE_INPUT, _all_positive(e.state.weights[layer])
        causes = ["raw inputs"] * large + ["an all-positive start"] * positive
        change: dict[str, Any] = {"scale": _unit_scale(e)} if large else {}
        if positive or np.median(Z) / (e.input_scale if large else 1.0) > limit:
            change["initializer"] = _initializer_for(e, layer)
        if not causes and e.epochs > 0:
            causes, change["learning_rate"] = ["steps that were too large"], e.rate(0.1)
        seen = (
            f"{share:.0%} of its {Z.shape[1]} units over {len(Z)} samples have |z| > {limit:.2g}, typically "
            f"{np.median(Z):.3g}, where the {name} is flat and passes no gradient on; the cause is "
            f"{' with '.join(causes) or 'weights that are too large'}"
        )
        return Verdict(layer, seen, change)
    return None


def _dead(e: Evidence) -> Verdict | None:
    for layer in range(len(e.model.rows)):
        if not facts.activation(e.model.rows[layer]).dies or e.learned:
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
    change: dict[str, Any] = {"scale": _unit_scale(e)} if e.input_scale > _LARGE_INPUT else {}
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
    if facts.by_sign(optimizer):
        weights, biases = np.sign(weights), np.sign(biases)
    else:
        length /= 1 - facts.momentum_of(optimizer)
    return numeric.activate(e.model.rows[-1], e.state.Z[-1] - length * (A @ weights.T + biases))


def _swing(e: Evidence) -> float:
    """How far a step on one batch moves the outputs of all samples, in units of the targets' spread."""
    size, k = min(e.settings.batch_size, len(e.sample.X)), len(e.sample.X)
    moves = [_rms(_stepped(e, slice(i, i + size)) - e.state.A[-1]) for i in range(0, min(8 * size, k - size + 1), size)]
    return _rms(np.array(moves)) / (_rms(e.spread) or 1.0)


def _kick(e: Evidence) -> float:
    """How far a step can move an output's z: for a typical sample, with errors as large as they get, but unlike."""
    optimizer, inputs = e.settings.optimizer, e.state.A[-2].astype(np.float64)
    if facts.by_sign(optimizer):
        return float(optimizer.learning_rate * (1 + np.median(abs(inputs).sum(axis=1))))
    factor = facts.error_factor(e.model.cost_row, e.model.rows[-1])
    largest = 1.0 if factor is None else factor * facts.activation(e.model.rows[-1]).largest_delta
    largest /= e.settings.batch_size**0.5 * (1 - facts.momentum_of(optimizer))
    return float(optimizer.learning_rate * largest * (1 + np.median((inputs**2).sum(axis=1))))


def _rate_too_high(e: Evidence) -> Verdict | None:
    costs = e.history.train_cost
    if len(costs) < 4:
        return None
    if e.unexplained < 0.3:
        return _restless(e)
    earlier, recent = min(costs[:-3]), sum(costs[-3:]) / 3
    if recent < 0.98 * earlier:
        return None
    kick, swing, limit = _kick(e), _swing(e), facts.activation(e.model.rows[-1]).flat
    thrown = kick > limit and e.unexplained > 0.6
    if not thrown and swing < 0.3:
        return None
    way = f"rose from {earlier:.3g} to {recent:.3g}" if recent > 1.1 * earlier else f"stays at {recent:.3g}"
    seen = f"{e.steps_text} is too much: the cost {way} in {len(costs)} epochs, {e.unexplained:.0%} of the error"
    seen += " that the best constant output makes, and "
    if thrown:
        seen += f"one step can move an output's z by {kick:.2g}, from one flat end (|z| > {limit:.2g}) to the other"
    else:
        seen += f"a step on one batch moves the outputs by {swing:.0%} of the targets' spread"
    return Verdict(None, seen, {"learning_rate": e.rate(0.1)})


def _restless(e: Evidence) -> Verdict | None:
    """Steps too large to settle, though much is learned; of costs whose gradient does not vanish with the output."""
    optimizer = e.settings.optimizer
    plain = facts.error_factor(e.model.cost_row, e.model.rows[-1]) is None and not facts.by_sign(optimizer)
    if not e.hidden or not plain:
        return None
    limit = facts.activation(e.model.rows[-2]).flat
    kick, share = _kick(e), float((abs(e.state.Z[-2]) > limit).mean())
    if kick < _RESTLESS or share < 0.5:
        return None
    seen = (
        f"{e.steps_text} is too much to settle: one step can move an output's z by {kick:.2g}, and {share:.0%} of the "
        f"last hidden layer's units have been driven to |z| > {limit:.2g}, where they learn next to nothing"
    )
    return Verdict(None, seen, {"learning_rate": e.rate(1 / kick)})


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
    known = facts.activation(e.model.rows[-1])
    low, high = known.low, known.high
    margin = 0.01 * _rms(e.spread)
    beyond = float(((low - margin > T) | (high + margin < T)).mean())
    layer = len(e.state.Z) - 1
    if beyond > 0.05:
        seen = f"{beyond:.0%} of the targets, from {T.min():.3g} to {T.max():.3g}, lie beyond the {output}'s reach"
        return Verdict(layer, seen, {"output": '"identity"'})
    flattens = facts.error_factor(e.model.cost_row, e.model.rows[-1]) is not None and np.isfinite(known.flat)
    if not flattens or T.min() < 0 or T.max() > 1 or e.learned:
        return None
    stuck = (abs(A - T) > 0.5) & (numeric.slope(e.model.rows[-1], e.state.Z[-1]) < facts.FLAT)
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
    rare = np.flatnonzero((counts > 0) & (counts < common / RARE))
    if not np.isin(e.sample.answers, rare).any() or np.isin(classes_of(e.state.A[-1]), rare).any():
        return None
    shown = ", ".join(str(label) for label in rare[:5])
    seen = (
        f"class {counts.argmax()} has {common:,} of {counts.sum():,} samples, class {shown} only "
        f"{counts[rare].sum():,}, and is never predicted; always answering {counts.argmax()} is right in "
        f"{common / counts.sum():.1%}"
    )
    return Verdict(None, seen, {"class_weight": '"balanced"'})


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
_NO_SIGNAL = ("constant inputs", "labels look shuffled", "every output the same vector")

RULES = {
    rule.name: rule
    for rule in (
        Rule("inputs far from unit scale", _inputs, "data"),
        Rule("targets far from unit scale", _targets, "data"),
        Rule("constant inputs", _constant, "data"),
        Rule("unsuitable initializer", _initializer, "start"),
        Rule("saturated units", _saturated, "state"),
        Rule("dead ReLUs", _dead, "state"),
        Rule("vanishing gradients", _vanishing, "state", ("saturated units", "dead ReLUs")),
        Rule("exploding gradients", _exploding, "state"),
        Rule("cost and output activation fight", _cost_and_output, "state", _NO_GRADIENT),
        Rule("labels look shuffled", _shuffled, "course", ("constant inputs",)),
        Rule("every output the same vector", _same_output, "state", ("labels look shuffled",)),
        Rule("learning rate too high", _rate_too_high, "course"),
        Rule("learning rate too low", _rate_too_low, "course", (*_NO_GRADIENT, *_NO_SIGNAL)),
        Rule("class imbalance", _imbalance, "state", _NO_SIGNAL),
        Rule("overfitting", _overfitting, "course"),
    )
}


@one_core()
def judge(
    evidence: Evidence,
    kinds: Collection[str],
    known: Iterable[Finding],
    between: Callable[[], None] = lambda: None,
) -> Findings:
    """What the rules of these kinds find that is not known yet; ``between`` is called before every rule."""
    found: list[Finding] = []
    names = {finding.name for finding in known}
    for rule in RULES.values() if len(evidence.sample.X) >= FEW else ():
        if rule.kind in kinds and names.isdisjoint((rule.name, *rule.unless)):
            between()
            with np.errstate(all="ignore"):  # numbers beyond the range of the dtype are judged as infinite
                seen = rule.check(evidence)
            if seen is not None:
                found.append(evidence.finding(rule.name, seen))
                names.add(rule.name)
    return Findings(found)
