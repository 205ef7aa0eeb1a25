"""The training loop around the kernel: epochs, stretches of batches, stopping rules, callbacks.

One kernel call runs as many batches as fit into some 50 ms. In between, Ctrl-C is answered, the clock looked at, and
the weights checked: a stretch that went wrong is taken back.
"""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastnn import lbfgs, metrics, progress, validation
from fastnn.callbacks import restore_best
from fastnn.cores import usable_cores
from fastnn.diagnostics import Watch, warn
from fastnn.engine import NOTHING_SEEN, Engine, LayerStep, Memory, Seen, Stepping, Stretch, Workers
from fastnn.formulas.averaging import Averaged
from fastnn.formulas.schedules import Constant, ReduceOnPlateau, Schedule
from fastnn.history import History
from fastnn.inputs.reader import Batch, Reader
from fastnn.inputs.streams import Pieces, Source
from fastnn.interrupts import Hold, held
from fastnn.kernels.buffers import Data
from fastnn.notices import Compiling
from fastnn.orders import ORDERED_TOGETHER, Orders, natural_order
from fastnn.pacing import Pace
from fastnn.samples import Outlook, pack_data
from fastnn.teamwork import Team
from fastnn.validation import Features

_LARGE = 100  # inputs or targets beyond this are named before the learning rate
# What a learning rate times the strength of a decay or a penalty must stay below: beyond it a step turns weights round
# and makes them larger, or moves all of them by more than weights are in size.
_STRONGEST = {"weight_decay": 2.0, "l2": 2.0, "l1": 1.0}
_JUDGED = 256  # samples by which the engine plans the first layer
_PATIENCE = 0.1  # seconds that a look may take after the time is up
_ROWS_TOGETHER = 1 << 21  # looked up without a look at the clock
_LARGE_STATE = 32 << 20  # bytes of weights and what an optimizer keeps for them, of which two copies are too many
_NUMBERS_TOGETHER = 1 << 18
_NO_NUMBERS = np.empty((0, 0))


class DivergenceError(ArithmeticError):
    """The cost, or a weight, is no longer finite. The network keeps its last finite weights."""


class Samples(NamedTuple):
    """Data with its number of samples, or some of the samples of data that others train on too."""

    data: Data
    n: int
    rows: NDArray[np.int64] | None = None  # the n samples in their order, repeats allowed; None: all there are

    @property
    def classify(self) -> bool:
        """Whether they are classes."""
        return bool(self.data.classify)

    def order(self) -> NDArray[np.int64]:
        """The samples one after the other."""
        return natural_order(self.n) if self.rows is None else self.rows

    def judged(self, n_in: int) -> Data:
        """What tells how many zeros there are: the data, or of some rows as many as would be looked at of all."""
        if self.rows is None:
            return self.data
        data = self.data
        if data.starts.size:
            lengths = np.diff(data.starts)[self.rows]
            starts = np.concatenate([[0], np.cumsum(lengths)])
            return data._replace(starts=starts, features=np.broadcast_to(data.features[:1], (starts[-1],)))
        rows = self.rows[:: max(1, self.n // _JUDGED)]
        pixels, features = (
            values.reshape(-1, n_in)[rows].reshape(-1) if values.size else values
            for values in (data.pixels, data.features)
        )
        return data._replace(pixels=pixels, features=features)


class Company(NamedTuple):
    """What a training is told that is one of several on the same machine."""

    stop: threading.Event  # looked at between kernel calls
    cores: int  # that are its own
    looks: bool  # whether a network's first training is looked at whatever that costs, as it is alone
    paces: dict[Any, Pace]  # of trainings on the same samples, by what they depend on


class Account(Protocol):
    """Who follows a training epoch by epoch, and may end it."""

    def quiet(self) -> float:
        """For how many epochs to come, at least 1, it asks for nothing: training goes on as it does until the last."""

    def after_epochs(self, network: Any, history: History, squares: list[float]) -> bool:
        """Take in the latest epochs, with the squares of the weights of each; True ends training."""


class FitArguments(NamedTuple):
    """What ``Network.fit`` was given, where it is said what each is, but for a stream; not checked yet."""

    X: Any
    y: Any
    epochs: Any
    batch_size: Any
    optimizer: Any
    l2: Any
    l1: Any
    shuffle: Any
    validation_data: Any
    sample_weight: Any
    max_time: Any
    callbacks: Any
    progress: Any
    threads: Any
    class_weight: Any
    schedule: Any
    dropout: Any
    max_norm: Any
    weights_rate: Any
    biases_rate: Any
    clip_value: Any
    clip_norm: Any
    weight_average: Any
    drop_last: Any
    validation_split: Any
    metrics: Any
    input_scale_rate: Any


class FitSettings(NamedTuple):
    """How to train; checked already."""

    epochs: int
    batch_sizes: tuple[tuple[int, int], ...]  # (size, samples): so many samples in batches of that size, then the next
    optimizer: Any  # an Optimizer, or LBFGS
    layers: tuple[LayerStep, ...]  # how each layer is stepped
    # The samples of the next epoch, out of so many; a function of the user's may take any time.
    order: Orders | Callable[[int], NDArray[np.int64]]
    max_time: float
    callbacks: tuple[Callable[..., Any], ...]
    progress: bool | None
    threads: int  # 0: as many as are worth it
    company: Company | None = None  # None: it is alone, and whatever is found is warned of at once
    seed: int = 0  # of dropout
    schedule: Schedule | None = None  # None: the learning rate is the optimizer's
    larger_is_better: bool = False  # of the figure that a ReduceOnPlateau monitors
    clip_value: float = float("inf")  # the largest that a number in a gradient may be, after clip_norm
    average_decay: float | None = None  # of a moving average of the parameters; None: there is none
    clip_norm: float = float("inf")  # the largest norm of the whole gradient
    cut: Callable[[int], tuple[tuple[int, int], ...]] | None = None  # batch sizes of a piece of so many samples
    scale_rate: float | None = None  # factor of the learning rate for a learned scale of the inputs; None: without one
    account: Account | None = None

    @property
    def stepping(self) -> Stepping:
        """How gradients become steps."""
        limits = self.clip_value, self.clip_norm
        return Stepping(self.steps.rule, self.layers, *limits, self.seed, self.scale_rate, self.account is not None)

    @property
    def outlook(self) -> Outlook:
        """What the plan for the first layer depends on."""
        size, drops = self.batch_sizes[0][0], self.layers[0].dropout > 0
        if isinstance(self.optimizer, lbfgs.LBFGS):
            return Outlook(size, drops=drops)
        return Outlook(size, self.stepping.in_place or self.stepping.keeps_gradient(size), drops)

    @property
    def steps(self) -> Any:
        """What steps: the optimizer, with the average beside it where that is wanted."""
        return self.optimizer if self.average_decay is None else Averaged(self.optimizer, self.average_decay)

    @property
    def samples(self) -> int:
        """Samples in an epoch."""
        return sum(samples for _, samples in self.batch_sizes)

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return sum(-(-samples // size) for size, samples in self.batch_sizes)


class FitRequest(NamedTuple):
    """What to train on and how; checked already."""

    train: Samples
    held_out: Samples | Pieces | None
    settings: FitSettings
    reader: Reader | None = None  # what the network knows of its data from then on, if that is not what it knows now
    judge: "Judge | None" = None  # measures the metrics on the validation data
    split: bool = False  # whether the validation data were held out of those to train on
    source: Source | None = None  # where the data come in pieces: ``train`` is some of them, to plan by


class Judge:
    """Measures metrics on validation data.

    Parameters
    ----------
    engine : Engine
        The network.
    reader : Reader
        What its outputs mean.
    held_out : Samples or Pieces
        The validation samples, all that there are.
    wanted : tuple
        What ``metrics.resolve`` made.
    """

    def __init__(self, engine: Engine, reader: Reader, held_out: Samples | Pieces, wanted: tuple[Any, ...]) -> None:
        self._engine, self._reader, self._held_out, self._wanted = engine, reader, held_out, wanted
        self._truth = metrics.truth_of(reader, answers_in(held_out, engine.dtype), engine.layers[-1].n_out)

    @property
    def directions(self) -> dict[str, bool | None]:
        """By name whether a larger value is better; None where nobody said."""
        return {metric.name: metric.larger_is_better for metric in self._wanted}

    def check(self) -> None:
        """Refuse what cannot be measured."""
        outputs = self._reader.in_units_of_y(outputs_of(self._engine, self._held_out))
        metrics.check(self._wanted, self._reader, self._truth, outputs)

    def measure(self, history: History, hold: Hold, between: Callable[[], None]) -> None:
        """Take every metric down in the history."""
        outputs = self._reader.in_units_of_y(outputs_of(self._engine, self._held_out, between))
        for metric in self._wanted:
            with hold.released():
                value = float(metric.measure(self._reader, self._truth, outputs))
            history.metrics.setdefault(metric.name, []).append(value)


class _Saved(NamedTuple):
    """Weights and optimizer memory before a stretch of batches."""

    state: tuple[NDArray[Any], Memory]
    stretch: Stretch
    data: Data


class _Tally(NamedTuple):
    """What was seen in an epoch so far."""

    cost: float = 0.0
    hits: float = 0.0
    batches: int = 0
    samples: int = 0
    weight: float = 0.0  # of all the samples
    rate: float = 0.0  # of the last step
    squares: float = 0.0  # see ``Seen``


class _Stop(Exception):  # noqa: N818  (not an error)
    """Leaves the loops; the argument says why."""


def forward(
    engine: Engine,
    data: Data,
    n: int,
    between: Callable[[], None] = lambda: None,
    out: NDArray[Any] | None = None,
) -> tuple[NDArray[Any], bool]:
    """Outputs (n, n_out) of all n samples, and whether the samples are known to be finite, as ``Engine.forward`` says.

    ``between`` is called before every kernel call. The outputs go to ``out``, if that is given.
    """
    out = np.empty((n, engine.layers[-1].n_out), engine.dtype) if out is None else out
    finite, step = True, engine.samples_in_call(data)
    for first in range(0, n, step):
        between()
        finite &= engine.forward(data, first, min(first + step, n), out)
    return out, finite


def outputs_of(engine: Engine, given: Samples | Pieces, between: Callable[[], None] = lambda: None) -> NDArray[Any]:
    """Outputs (n, n_out) of all samples that there are; ``between`` is called before every kernel call."""
    out, done = np.empty((given.n, engine.layers[-1].n_out), engine.dtype), 0
    for samples in pieces(given, engine.dtype, between):
        forward(engine, samples.data, samples.n, between, out[done : done + samples.n])
        done += samples.n
    return out


def evaluate(engine: Engine, given: Samples | Pieces, between: Callable[[], None] = lambda: None) -> Seen:
    """Summed cost and hits over all samples; ``between`` is called before every kernel call."""
    cost, hits = 0.0, 0.0
    for samples in pieces(given, engine.dtype, between):
        step = engine.samples_in_call(samples.data)
        for first in range(0, samples.n, step):
            between()
            seen = engine.evaluate(samples.data, samples.rows, first, min(first + step, samples.n))
            cost, hits = cost + seen.cost, hits + seen.hits
    return Seen(cost, hits, 0)


def validation_figures(
    engine: Engine, given: Samples | Pieces, epoch: int, between: Callable[[], None] = lambda: None
) -> tuple[float, float]:
    """Mean cost and accuracy on validation data after an epoch; the accuracy is NaN where these are no classes."""
    seen = evaluate(engine, given, between)
    if not np.isfinite(seen.cost):
        measured = f"on the validation data after epoch {epoch}"
        if cause := spoiled(given, engine.dtype):
            raise DivergenceError(f"the cost {measured} is not finite: {cause}")
        raise DivergenceError(infinite_cost(measured, seen.cost / given.n, too_large(given, engine.dtype)))
    return float(seen.cost / given.n), float(seen.hits / given.n) if given.classify else float("nan")


def gradient_of(engine: Engine, given: Samples | Pieces) -> NDArray[Any]:
    """Mean gradient over all samples that there are, in a buffer shaped like the parameters."""
    return engine.gradient_over(((part.data, part.n) for part in pieces(given, engine.dtype)), given.n)


def packed(batch: Batch, dtype: np.dtype[Any]) -> Samples:
    """Checked and converted data as the kernels take them."""
    return Samples(pack_data(*batch, dtype), batch.X.n)


def pieces(
    given: Samples | Pieces, dtype: np.dtype[Any], between: Callable[[], None] = lambda: None
) -> Iterator[Samples]:
    """What is in memory together: all samples, or one piece after the other, waited for with calls of ``between``."""
    if isinstance(given, Samples):
        yield given
    else:
        yield from (packed(batch, dtype) for batch in given.batches(between))


def answers_in(given: Samples | Pieces, dtype: np.dtype[Any]) -> Data:
    """Data with all targets and weights; of what goes by pieces without a sample."""
    if isinstance(given, Samples):
        return given.data
    nothing = Features(np.empty(0, dtype), np.empty(0, np.int32), np.empty(0, np.int64), 0)
    return pack_data(nothing, given.answers.targets, given.answers.weights, dtype)


def infinite_cost(measured: str, cost: float, cause: str = "") -> str:
    """What to say of a cost that is not finite though the data are, and of its cause if that is known."""
    return (
        f"the cost {measured} is {cost}: numbers so large that sums overflow; {cause or 'scale X and y, or clip them'}"
    )


def spoiled(given: Samples | Pieces, dtype: np.dtype[Any]) -> str:
    """Which numbers are not finite, though all were when they were checked; nothing if none."""
    data = answers_in(given, dtype)
    names = [name for name, values in (("X", data.features), ("y", data.targets)) if not _are_finite(values)]
    if not names:
        return ""
    return (
        f"{' and '.join(names)} must stay finite, but something, such as a callback, has written NaN or infinity into "
        "the array during training, which is done on it in place"
    )


def too_large(given: Samples | Pieces, dtype: np.dtype[Any]) -> str:
    """Which numbers are beyond what training is made for, at the network's scale, and what helps; nothing if none."""
    data = answers_in(given, dtype)
    inputs, targets = (float(abs(values).max()) if values.size else 0.0 for values in (data.features, data.targets))
    found = {
        f"inputs as large as {inputs:.3g}: scale X to about [0, 1] or to unit variance": inputs,
        f"targets as large as {targets:.3g} at the network's scale: scale y to about [0, 1] or to unit variance, for "
        'example by fastnn.Network(..., target_scale="standard")': targets,
    }
    return "; ".join(sorted((text for text, size in found.items() if size > _LARGE), key=found.__getitem__)[::-1])


def _are_finite(numbers: NDArray[Any]) -> bool:
    """Whether all numbers of a flat array are; what a look makes of them stays in the cache."""
    firsts = range(0, numbers.size, _NUMBERS_TOGETHER)
    return all(bool(np.isfinite(numbers[first : first + _NUMBERS_TOGETHER]).all()) for first in firsts)


class Training:
    """One run of ``fit``.

    Parameters
    ----------
    engine : Engine
        The network's buffers.
    train : Samples
        Data to train on.
    validation : Samples, Pieces or None
        Data to measure after every epoch.
    settings : FitSettings
        How to train.
    history : History
        Filled in as training goes on.
    watch : Watch
        Looks whether anything is wrong.
    judge : Judge or None
        Measures metrics on the validation data.
    source : Source or None
        Where the data come in pieces; ``train`` is then some of them, to plan by.
    """

    def __init__(
        self,
        engine: Engine,
        train: Samples,
        validation: Samples | Pieces | None,
        settings: FitSettings,
        history: History,
        watch: Watch,
        judge: Judge | None = None,
        source: Source | None = None,
    ) -> None:
        self._engine, self._train, self._validation, self._source = engine, train, validation, source
        self._settings, self._history, self._watch, self._judge = settings, history, watch, judge
        self._steps, self._n = settings.steps, settings.samples
        self._deadline = time.perf_counter() + settings.max_time
        self._team: Team | None = None
        self._copies_once = False  # whether there is but one copy of weights to go back to
        self._before: _Saved | None = None  # the stretch before the one at work
        self._largest_batch = max(size for size, _ in settings.batch_sizes)
        self._threads = settings.threads or self._worthwhile_threads()
        # A large batch takes longer than a small one.
        self._paces: dict[int, Pace] = {}  # by batch size
        self._bar = progress.open_bar(settings.progress, settings.epochs * self._n or None)
        if not isinstance(settings.optimizer, lbfgs.LBFGS):
            self._stepping = settings.stepping
        self._first_step = 0  # how many steps the optimizer had taken before
        self._packed: Data | None = None  # the samples, where it pays to pack them
        self._spent = 0.0  # seconds on that, which are the next epoch's
        self._squares: list[float] = []  # of the epochs that the account has not seen
        self._own_rate: float | None = None  # that a callback has set in place of the optimizer's
        schedule, rises = settings.schedule, settings.larger_is_better
        self._plateau = schedule.begin(rises) if isinstance(schedule, ReduceOnPlateau) else None
        # What gives every step a rate of its own.
        self._schedule = None if isinstance(schedule, (Constant, ReduceOnPlateau)) else schedule
        self._hold = held()  # until there is one that holds: this one does nothing

    def _pace(self, size: int) -> Pace:
        """The pace of batches of a size."""
        if size not in self._paces:
            engine, company = self._engine, self._settings.company
            key = self._threads, size
            alike = (*key, engine.sizes, engine.dtype.name)
            others = None if company is None else company.paces.get(alike)
            products, like = size * engine.products, others or engine.paces.get(key)
            pace = Pace(self._threads, products, like, same_samples=others is not None)
            self._paces[size] = engine.paces[key] = pace
            if company is not None:
                company.paces[alike] = pace
        return self._paces[size]

    def _worthwhile_threads(self) -> int:
        company = self._settings.company
        cores = usable_cores() if company is None else company.cores
        return min(cores, self._engine.worthwhile_threads(self._largest_batch))

    def run(self, network: Any, hold: Hold) -> None:
        """Train to the end, or until something stops it; callbacks are given ``network``.

        An interrupt may come between two kernel calls, and while other people's code runs.
        """
        self._hold = hold
        self._engine.remember(self._steps)
        memory = self._engine.memory
        size = self._engine.params.nbytes + memory.state.nbytes
        self._copies_once = memory.states > 0 and size > _LARGE_STATE
        self._first_step = self._engine.memory.steps
        history = self._history
        self._team = Team() if self._threads > 1 else None
        try:
            if self._settings.epochs > 0:
                history.stopped_by = self._run_epochs(network)
        except DivergenceError:
            history.stopped_by = "divergence"
            raise
        except KeyboardInterrupt:
            history.stopped_by = "interrupt"
            raise
        except BaseException:
            history.stopped_by = "error"
            raise
        finally:
            for source in (self._source, self._validation):
                if isinstance(source, Source):
                    source.close()
            restore_best(self._settings.callbacks, network, history)
            self._engine.settle()
            self._engine.let_go()
            if self._bar is not None:
                self._bar.close()
            if self._team is not None:
                self._team.close()

    def _run_epochs(self, network: Any) -> str:
        """Train to the end of the last epoch, or to what stops it; returns what that was."""
        if isinstance(self._settings.optimizer, lbfgs.LBFGS):
            try:
                return self._descend(network, self._settings.optimizer)
            except _Stop as stop:  # before the first iteration
                return str(stop)
        packs = self._pays_to_pack()
        # Compile or load the kernels, which is no part of the first epoch.
        for size in {size for size, _ in self._settings.batch_sizes}:
            self._engine.prepare(self._train.data, size, self._stepping, packs)
        if isinstance(self._settings.order, Orders):
            with held(), Compiling():
                self._settings.order.prepare()
        if self._engine.trains_across(self._train.data, self._largest_batch, self._stepping):
            self._history.first_layer += ", samples across the registers"
        if self._copies_once:
            self._engine.prepare_evaluation(self._train.data)
        if self._validation is not None:
            self._engine.prepare_evaluation(answers_in(self._validation, self._engine.dtype))
        self._deadline = time.perf_counter() + self._settings.max_time
        self._varies = self._has_own_numbers()
        stopped_by = "epochs"
        try:
            self._watch.begin(self._check_patience)
            if packs:
                self._pack()
            left = self._settings.epochs
            while left > 0:
                self._check_clock()
                together = min(left, self._epochs_together())
                if self._source is not None:
                    self._run_pieces(self._source)
                elif together > 1:
                    self._run_epochs_together(network, together)
                else:
                    self._run_epoch(self._next_order())
                self._after_epochs(network, together)
                left -= together
        except _Stop as stop:
            stopped_by = str(stop)
        with contextlib.suppress(_Stop):
            self._watch.finish(self._check_patience)
        return stopped_by

    def _pays_to_pack(self) -> bool:
        """Whether many epochs will read samples that are mostly zero, and nobody else has a copy of them as well.

        Of some samples of the data all are packed, which so has to be for most of them.
        """
        alone = self._settings.company is None and self._source is None
        most = self._train.rows is None or 2 * self._train.n > self._train.data.features.size // self._engine.sizes[0]
        return alone and most and self._engine.pays_to_pack(self._train.data, self._settings.epochs)

    def _pack(self) -> None:
        began = time.perf_counter()
        self._packed = self._engine.packed(self._train.data, self._check_clock)
        self._history.first_layer += ", packed"
        self._spent = time.perf_counter() - began

    @property
    def _data(self) -> Data:
        """What the kernels that train read."""
        return self._packed or self._train.data

    def _after_epochs(self, network: Any, count: int = 1) -> None:
        """Measure, show and ask whether to go on."""
        self._measure_validation()
        ended = self._tell_account(network)
        if self._plateau is not None:
            self._plateau.after_epoch(self._history.figure(self._plateau.monitor)[-1])
        self._show()
        self._watch.after_epochs(count, self._check_patience)
        if self._is_enough(network) or ended:
            raise _Stop("callback")

    def _tell_account(self, network: Any) -> bool:
        """Whether the account says that it is enough."""
        account, squares, self._squares = self._settings.account, self._squares, []
        if account is None or not squares:
            return False
        with self._hold.released():
            return account.after_epochs(network, self._history, squares)

    def _descend(self, network: Any, method: lbfgs.LBFGS) -> str:
        """All iterations of L-BFGS; returns what ended them."""
        engine, train = self._engine, self._train
        l2 = [layer.penalty.l2 for layer in self._settings.layers]
        objective = lbfgs.Objective(engine, train.data, train.n, l2, self._check_clock)
        accepted, began = objective.read(), time.perf_counter()
        if not np.isfinite(objective.look(accepted).loss):
            cause = too_large(train, engine.dtype) or "scale X and y to about unit size"
            raise DivergenceError(f"the cost is infinite or NaN before the first step: {cause}")
        self._deadline = time.perf_counter() + self._settings.max_time

        def after(vector: NDArray[Any]) -> None:
            nonlocal accepted, began
            accepted, seen = vector, objective.look(vector)
            with engine.alone:
                objective.write(vector)
                engine.memory = engine.memory._replace(steps=engine.memory.steps + 1)
                self._record(seen.cost, seen.hits / train.n, float("nan"), time.perf_counter() - began)
            if self._bar is not None:
                self._bar.update(train.n)
            try:
                self._after_epochs(network)
            finally:
                accepted, began = objective.read(), time.perf_counter()  # a callback may have put others in their place

        try:
            found = lbfgs.minimize(objective, accepted, method, self._settings.epochs, after)
        except _Stop as stop:
            return str(stop)
        finally:
            objective.write(accepted)  # and not what a line search tried last
        if found.status == 2 and (cause := spoiled(train, engine.dtype)):
            raise DivergenceError(
                f"no step has a finite cost any more: {cause}. The network keeps its last finite weights."
            )
        return ("converged", "epochs", "line search")[found.status]

    def _is_enough(self, network: Any) -> bool:
        """Whether a callback says so; every one is asked."""
        verdicts = []
        for number, callback in enumerate(self._settings.callbacks):
            with self._hold.released():
                verdict = callback(network, self._history)
            verdicts.append(validation.check_verdict(number, verdict))
        return any(verdicts)

    def _check_interrupts(self) -> None:
        """End here on Ctrl-C, or if whoever started this among others says so."""
        self._hold.check()
        company = self._settings.company
        if company is not None and company.stop.is_set():
            raise _Stop("interrupt")

    def _check_clock(self) -> None:
        self._check_interrupts()
        if time.perf_counter() >= self._deadline:
            raise _Stop("max_time")

    def _check_patience(self) -> None:
        """The same where a look is at work: the last one comes after the end, when there is hardly any time left."""
        self._check_interrupts()
        if time.perf_counter() >= self._deadline + _PATIENCE:
            raise _Stop("max_time")

    def _next_order(self) -> NDArray[np.int64]:
        make, n = self._settings.order, self._train.n
        if isinstance(make, Orders):
            return self._rows_in(make(n, self._check_clock))
        with self._hold.released():  # it is the user's
            order = make(n)
        return self._rows_in(order)

    def _rows_in(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """The samples of an order, where they are some of others."""
        rows = self._train.rows
        if rows is None:
            return order
        taken = np.empty(order.size, np.int64)
        for first in range(0, order.size, _ROWS_TOGETHER):
            self._check_clock()
            piece = slice(first, first + _ROWS_TOGETHER)
            taken[piece] = rows[order[piece]]
        return taken

    def _next_orders(self, epochs: int) -> NDArray[np.int64]:
        """The orders of several epochs as rows."""
        order = self._settings.order
        assert isinstance(order, Orders)  # a function of the user's is asked epoch by epoch
        orders = order.several(self._train.n, epochs)
        return orders if self._train.rows is None else self._train.rows[orders]

    # --- the learning rate ---

    @property
    def learning_rate(self) -> float:
        """That of the next step."""
        return self._base_rate * self._multiplier

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        share = self._multiplier * (1.0 if self._plateau is None else self._plateau.multiplier)
        self._own_rate = rate if share == 1 else rate / share

    @property
    def _multiplier(self) -> float:
        """What the schedule multiplies by in the next step."""
        if self._schedule is None:
            return 1.0
        return float(self._scheduled(1.0, np.array([self._engine.memory.steps + 1]))[0])

    @property
    def _base_rate(self) -> float:
        """Before the schedule."""
        rate: float = self._steps.learning_rate if self._own_rate is None else self._own_rate
        return rate if self._plateau is None else rate * self._plateau.multiplier

    def _scheduled(self, base: float, steps: NDArray[Any]) -> NDArray[np.float64]:
        """The learning rates of steps, which are numbered as the optimizer does, from 1."""
        assert self._schedule is not None
        per_epoch = self._settings.steps_per_epoch
        done = steps - 1 - self._first_step
        return self._schedule.rate(base, done, per_epoch, per_epoch * self._settings.epochs)

    def _numbers(self, steps: NDArray[Any]) -> NDArray[np.float64]:
        """The table of the steps' numbers."""
        rates: Any = None
        if self._schedule is not None:
            # A stream may be cut into more batches than its sizes say: those go on at the last rate.
            last = self._first_step + self._settings.steps_per_epoch * self._settings.epochs
            rates = self._scheduled(self._base_rate, np.minimum(steps, last))
        elif self._own_rate is not None or self._plateau is not None:
            rates = self._base_rate
        table: NDArray[np.float64] = self._steps.numbers(steps, rates)
        return table

    def _has_own_numbers(self) -> bool:
        """Whether the steps of an epoch differ from each other."""
        return bool(self._schedule is not None or not self._steps.is_constant)

    # --- several epochs ---

    def _epochs_together(self) -> int:
        """How many epochs fit into the next kernel call, where nobody wants to be asked in between."""
        settings = self._settings
        asked = settings.callbacks or not isinstance(settings.order, Orders) or self._bar is not None
        asked = asked or self._validation is not None or self._plateau is not None or self._source is not None
        if asked or len(settings.batch_sizes) > 1:
            return 1
        ((size, _),) = settings.batch_sizes
        threads, batches = self._pace(size).next_call()
        if threads > 1:
            return 1
        most = max(1, min(batches // settings.steps_per_epoch, ORDERED_TOGETHER // self._train.n))
        return most if settings.account is None else int(min(most, settings.account.quiet()))

    def _run_epochs_together(self, network: Any, epochs: int) -> None:
        """Several whole epochs in one kernel call; should they go wrong, once more one by one, to find out where."""
        orders = self._next_orders(epochs)
        ((size, samples),) = self._settings.batch_sizes
        count = epochs * self._settings.steps_per_epoch
        order = np.ascontiguousarray(orders[:, :samples]).reshape(-1)
        stretch = Stretch(order, size, 0, count, self._numbers_of(count), epochs)
        with self._engine.alone:  # nobody sees what is taken back
            saved, began = self._begin(stretch, 0), time.perf_counter()
            seen = self._call(stretch, self._data, 1)
            seconds = time.perf_counter() - began
            good = sum(epoch.batches for epoch in seen) == count and self._is_finite(seen)
            if not good:
                self._engine.restore(saved.state)
        if not good:
            for own in orders:
                self._run_epoch(own)
                self._tell_account(network)
            return
        self._pace(size).record(1, count, seconds)
        self._before = saved
        rates = np.broadcast_to(stretch.steps[:, 0], count)[count // epochs - 1 :: count // epochs]
        costs, accuracies = [epoch.cost / self._n for epoch in seen], [epoch.hits / self._n for epoch in seen]
        self._record_epochs(costs, accuracies, rates.tolist(), [seconds / epochs] * epochs)
        self._squares += [epoch.squares for epoch in seen]

    # --- an epoch ---

    def _run_epoch(self, order: NDArray[np.int64]) -> None:
        began = time.perf_counter()
        tally = self._run_batches(order, self._settings.batch_sizes, _Tally())
        self._squares.append(tally.squares)
        self._record(tally.cost / self._n, tally.hits / self._n, tally.rate, time.perf_counter() - began)

    def _run_pieces(self, source: Source) -> None:
        """An epoch over data that come in pieces."""
        assert self._settings.cut is not None
        began, tally = time.perf_counter(), _Tally()
        source.begin(self._settings.order)
        while (batch := source.take(self._check_clock)) is not None:
            if source.notice:
                warn(source.notice)
                source.notice = ""
            if tally.samples:
                self._check_clock()
            blocks, skips = self._train.data.blocks, self._train.data.skips  # planned once
            samples = packed(batch, self._engine.dtype)
            self._train = samples._replace(data=samples.data._replace(blocks=blocks, skips=skips))
            del batch, samples  # or they would be in memory while the next ones are waited for
            tally = self._run_batches(self._next_order(), self._settings.cut(self._train.n), tally)
        seconds = time.perf_counter() - began
        self._record(tally.cost / tally.weight, tally.hits / tally.samples, tally.rate, seconds)

    def _run_batches(self, order: NDArray[np.int64], batch_sizes: tuple[tuple[int, int], ...], tally: _Tally) -> _Tally:
        """All batches of the data at hand, in this order, after what was seen before them."""
        n = sum(samples for _, samples in batch_sizes)
        done = 0
        for size, samples in batch_sizes:
            part = Stretch(order[done : done + samples], size, 0, -(-samples // size), _NO_NUMBERS)
            pace = self._pace(size)
            while part.first < part.last:
                threads, count = pace.next_call()
                last = min(part.first + count, part.last)
                stretch = part._replace(last=last, steps=self._numbers_of(last - part.first))
                call_began = time.perf_counter()
                seen = self._run_stretch(stretch, threads, tally)
                pace.record(threads, stretch.last - stretch.first, time.perf_counter() - call_began)
                tally = tally._replace(cost=seen.cost, hits=tally.hits + seen.hits, squares=seen.squares)
                if self._bar is not None:
                    self._bar.update(min(stretch.last * size, samples) - stretch.first * size)
                part = part._replace(first=stretch.last)
                if done + stretch.last * size < n:
                    self._check_clock()
            done, tally = done + samples, tally._replace(batches=tally.batches + part.last)
        weight, weights = float(n), self._train.data.sample_weight
        if weights.size and self._source is not None and not self._source.mean_is_one:
            weight = float(weights[order[:n]].sum(dtype=np.float64))
        return tally._replace(samples=tally.samples + n, weight=tally.weight + weight, rate=stretch.steps[-1, 0])

    def _record(self, cost: float, accuracy: float, rate: float, seconds: float) -> None:
        """Take an epoch down in the history."""
        self._record_epochs([float(cost)], [float(accuracy)], [float(rate)], [seconds])

    def _record_epochs(
        self, costs: list[float], accuracies: list[float], rates: list[float], seconds: list[float]
    ) -> None:
        """Take epochs down in the history."""
        history = self._history
        seconds, self._spent = [seconds[0] + self._spent, *seconds[1:]], 0.0
        with self._engine.alone:  # copies that others make have all of it or nothing
            history.train_cost += costs
            history.train_accuracy += accuracies if self._train.data.classify else [float("nan")] * len(costs)
            history.learning_rate += rates
            history.seconds += seconds

    def _numbers_of(self, count: int) -> NDArray[np.float64]:
        """The numbers of the next steps, a row for each where they differ."""
        return self._numbers(np.arange(1, (count if self._varies else 1) + 1) + self._engine.memory.steps)

    def _run_stretch(self, stretch: Stretch, threads: int, tally: _Tally) -> Seen:
        """Some batches in one kernel call, taken back to the last good weights if they go wrong.

        The tally is of the epoch before them, its batches those of other sizes. What is taken back nobody else sees.
        """
        with self._engine.alone:
            return self._run_alone(stretch, threads, tally)

    def _run_alone(self, stretch: Stretch, threads: int, tally: _Tally) -> Seen:
        saved = self._begin(stretch, tally.batches)
        before = Seen(tally.cost, 0.0, 0, tally.squares)
        (seen,) = self._call(stretch, saved.data, threads, before, self._check_clock)
        count = stretch.last - stretch.first
        if seen.batches < count or not self._is_finite([seen]):
            # If the first batch found an infinite cost, it was the step before it that broke.
            self._take_back(saved if seen.batches > 0 else self._before, seen.batches)
            # Batch numbers count from 1: that of the first cost that is not finite, or of the step that broke a weight.
            batch = stretch.first + seen.batches + (seen.batches < count)
            raise DivergenceError(self._explain(tally.batches + batch))
        self._before = saved
        return seen

    def _begin(self, stretch: Stretch, earlier: int) -> _Saved:
        """Keep what a stretch begins with.

        Whether the last step before it was good shows in the cost of its first batch, so that what the stretch before
        it began with is kept, too; but where two copies are much memory, that batch is looked at first, and one copy
        takes the place of the other.
        """
        before, data = self._before, self._data
        if before is None or not self._copies_once:
            return _Saved(self._engine.snapshot(self._check_clock), stretch, data)
        first, end = stretch.first * stretch.size, stretch.order.size // stretch.epochs
        rows = stretch.order[first : min(first + stretch.size, end)]
        if not np.isfinite(evaluate(self._engine, Samples(self._train.data, rows.size, rows), self._check_clock).cost):
            self._take_back(before, 0)
            raise DivergenceError(self._explain(earlier + stretch.first + 1))
        self._before = None
        return _Saved(self._engine.snapshot(self._check_clock, before.state), stretch, data)

    def _is_finite(self, seen: list[Seen]) -> bool:
        """Whether weights and the optimizer's memory are: what is saved can then be loaded.

        So must be the costs seen: each batch's is, where the kernel went on, but their sum over an epoch may overflow.
        """
        sums = all(math.isfinite(epoch.cost) for epoch in seen)
        return sums and _are_finite(self._engine.params) and _are_finite(self._engine.memory.state)

    def _take_back(self, saved: "_Saved | None", done: int) -> None:
        """Go to the weights before the step that broke, by taking the good steps once more, one by one."""
        if saved is None:  # no step has been taken, or none that is to be taken back
            return
        steps = (done or saved.stretch.last - saved.stretch.first) - 1
        good = self._repeat(saved, steps)
        if good < steps:
            self._repeat(saved, good)

    def _repeat(self, saved: "_Saved", steps: int) -> int:
        """Take the first steps of a stretch once more, one by one; returns how many of them are good."""
        self._engine.restore(saved.state)
        stretch = saved.stretch
        for i in range(steps):
            batch, numbers = stretch.first + i, stretch.steps[i : i + 1] if self._varies else stretch.steps
            seen = self._call(stretch._replace(first=batch, last=batch + 1, steps=numbers), saved.data, 1)
            if not self._is_finite(seen):
                return i
        return steps

    def _call(
        self,
        stretch: Stretch,
        data: Data,
        threads: int,
        before: Seen = NOTHING_SEEN,
        between: Callable[[], None] = lambda: None,
    ) -> list[Seen]:
        workers = None if self._team is None else Workers(self._team, self._threads, threads)
        return self._engine.run(data, stretch, self._stepping, workers, before, between)

    def _explain(self, batch: int) -> str:
        read = self._train._replace(data=self._data)
        cause = spoiled(read, self._engine.dtype) or self._too_strong() or too_large(self._train, self._engine.dtype)
        cause = cause or f"a learning rate of {self.learning_rate:g} that is too high: try a tenth of it"
        epoch = len(self._history.train_cost) + 1
        return (
            f"the cost became infinite or NaN in epoch {epoch}, batch {batch}; likely cause: {cause}. "
            "The network keeps its last finite weights."
        )

    def _too_strong(self) -> str:
        """Which decay or penalty makes weights larger step by step; nothing if none."""
        layers, rate = self._settings.layers, self.learning_rate
        shrinking = {
            "weight_decay": [
                getattr(self._settings.optimizer, "weight_decay", 0.0) * own.weights_rate for own in layers
            ],
            "l2": [own.penalty.l2 * own.weights_rate for own in layers],
            "l1": [own.penalty.l1 * own.weights_rate for own in layers],
        }
        for name, strengths in shrinking.items():
            strength, most = max(strengths), _STRONGEST[name]
            if rate * strength > most and strength > rate:  # else it is the rate that is out of proportion
                return (
                    f"{name} of {strength:g}, which times the learning rate of {rate:g} is {rate * strength:g}: beyond "
                    f"{most:g} steps make weights larger, not smaller; take a smaller {name}"
                )
        return ""

    def _measure_validation(self) -> None:
        if self._validation is None:
            return
        epoch = len(self._history.train_cost)
        cost, accuracy = validation_figures(self._engine, self._validation, epoch, self._check_interrupts)
        with self._engine.alone:
            self._history.val_cost.append(cost)
            self._history.val_accuracy.append(accuracy)
        if self._judge is not None:
            self._judge.measure(self._history, self._hold, self._check_interrupts)

    def _show(self) -> None:
        if self._bar is None:
            return
        history = self._history
        figures: dict[str, object] = {"epoch": len(history.train_cost), "cost": f"{history.train_cost[-1]:.4f}"}
        shown = history.val_accuracy or history.train_accuracy
        if shown[-1] == shown[-1]:
            figures["val accuracy" if history.val_accuracy else "accuracy"] = f"{shown[-1]:.2%}"
        figures |= {name: f"{values[-1]:.4g}" for name, values in history.metrics.items()}
        self._bar.describe(figures)
