"""The training loop around the kernel: epochs, stretches of batches, stopping rules, callbacks.

One kernel call runs as many batches as fit into some 50 ms. In between, Ctrl-C is answered, the clock looked at, and
the weights checked: a stretch that went wrong is taken back.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import progress, validation
from fastnn.cores import usable_cores
from fastnn.diagnostics import Watch
from fastnn.engine import Engine, LayerStep, Memory, Penalty, Seen, Stepping, Stretch, Workers, natural_order
from fastnn.formulas.optimizers import Optimizer
from fastnn.history import History
from fastnn.interrupts import Hold, held
from fastnn.kernels.buffers import STEP_NUMBERS, STEP_PENALTY, STEP_SCALE, Data
from fastnn.pacing import Pace

_LARGE = 100  # inputs or targets beyond this are named before the learning rate
_JUDGED = 256  # samples by which the engine plans the first layer


class DivergenceError(ArithmeticError):
    """The cost, or a weight, is no longer finite. The network keeps its last finite weights."""


class Samples(NamedTuple):
    """Data with its number of samples, or some of the samples of data that others train on too."""

    data: Data
    n: int
    rows: NDArray[np.int64] | None = None  # the n samples in their order, repeats allowed; None: all there are

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


class FitSettings(NamedTuple):
    """How to train; checked already."""

    epochs: int
    batch_sizes: tuple[tuple[int, int], ...]  # (size, samples): so many samples in batches of that size, then the next
    optimizer: Optimizer
    penalty: Penalty
    order: Callable[[int], NDArray[np.int64]]  # the samples of the next epoch, out of so many
    max_time: float
    callbacks: tuple[Callable[..., Any], ...]
    progress: bool | None
    threads: int  # 0: as many as are worth it
    penalty_per_batch: bool = False  # l1 and l2 are divided by the number of samples of the batch
    weights_normalised: bool = False  # cost and gradient are divided by the batch's sum of sample weights
    order_is_theirs: bool = False  # a function of the user's, which may take any time
    company: Company | None = None  # None: it is alone, and whatever is found is warned of at once
    layers: tuple[LayerStep, ...] = ()  # how each layer is stepped; empty: all alike
    penalised: bool = False  # whether the cost is counted with its l2 penalty
    seed: int = 0  # of dropout

    def stepping(self, n_layers: int) -> Stepping:
        """How gradients become steps."""
        layers = self.layers or (LayerStep(self.penalty),) * n_layers
        return Stepping(self.optimizer.rule, layers, seed=self.seed, penalised=self.penalised)


class FitRequest(NamedTuple):
    """What to train on and how; checked already."""

    train: Samples
    held_out: Samples | None
    settings: FitSettings
    reader: Any = None  # what the network knows of its data from then on, if that is not what it knows already


class _Saved(NamedTuple):
    """Weights and optimizer memory before a stretch of batches."""

    state: tuple[NDArray[Any], Memory]
    stretch: Stretch


class _Stop(Exception):  # noqa: N818  (not an error)
    """Leaves the loops; the argument says why."""


def evaluate(engine: Engine, samples: Samples, between: Callable[[], None] = lambda: None) -> Seen:
    """Summed cost and hits over all samples; ``between`` is called before every kernel call."""
    order = samples.order()
    cost = hits = 0.0
    for first in range(0, samples.n, engine.samples_per_call):
        between()
        seen = engine.evaluate(samples.data, order, first, min(first + engine.samples_per_call, samples.n))
        cost, hits = cost + seen.cost, hits + seen.hits
    return Seen(cost, hits, 0)


class Training:
    """One run of ``fit``.

    Parameters
    ----------
    engine : Engine
        The network's buffers.
    train, validation : Samples
        Data; ``validation`` may be None.
    settings : FitSettings
        How to train.
    history : History
        Filled in as training goes on.
    watch : Watch
        Looks whether anything is wrong.
    """

    def __init__(
        self,
        engine: Engine,
        train: Samples,
        validation: Samples | None,
        settings: FitSettings,
        history: History,
        watch: Watch,
    ) -> None:
        self._engine, self._train, self._validation = engine, train, validation
        self._settings, self._history, self._watch = settings, history, watch
        self._deadline = time.perf_counter() + settings.max_time
        self._pool: ThreadPoolExecutor | None = None
        self._before: _Saved | None = None  # the stretch before the one at work
        self._largest_batch = max(size for size, _ in settings.batch_sizes)
        self._threads = settings.threads or self._worthwhile_threads()
        # A large batch takes longer than a small one.
        self._paces = {size: Pace(self._threads) for size, _ in settings.batch_sizes}
        self._bar = progress.open_bar(settings.progress, settings.epochs * train.n)
        self._stepping = settings.stepping(len(engine.layers))
        self._hold = held()  # until there is one that holds: this one does nothing

    def _worthwhile_threads(self) -> int:
        company = self._settings.company
        cores = usable_cores() if company is None else company.cores
        return min(cores, self._engine.worthwhile_threads(self._largest_batch))

    def run(self, network: Any, hold: Hold) -> None:
        """Train to the end, or until something stops it; callbacks are given ``network``.

        An interrupt may come between two kernel calls, and while other people's code runs.
        """
        self._hold = hold
        self._engine.remember(self._settings.optimizer)
        history = self._history
        self._pool = ThreadPoolExecutor(self._threads - 1, "fastnn") if self._threads > 1 else None
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
            self._engine.settle()
            if self._bar is not None:
                self._bar.close()
            if self._pool is not None:
                self._pool.shutdown()

    def _run_epochs(self, network: Any) -> str:
        """Train to the end of the last epoch, or to what stops it; returns what that was."""
        # Compile or load the kernels, which is no part of the first epoch.
        self._engine.prepare(self._train.data, self._largest_batch, self._stepping)
        self._watch.begin()
        stopped_by = "epochs"
        try:
            for _ in range(self._settings.epochs):
                self._check_clock()
                self._run_epoch()
                self._measure_validation()
                self._show()
                self._watch.after_epoch()
                if self._is_enough(network):
                    raise _Stop("callback")
        except _Stop as stop:
            stopped_by = str(stop)
        self._watch.finish()
        return stopped_by

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

    def _next_order(self) -> NDArray[np.int64]:
        with self._hold.released() if self._settings.order_is_theirs else contextlib.nullcontext():
            order = self._settings.order(self._train.n)
        return order if self._train.rows is None else self._train.rows[order]

    def _run_epoch(self) -> None:
        n = self._train.n
        order = self._next_order()
        began = time.perf_counter()
        cost = hits = 0.0
        done = batches = 0
        for size, samples in self._settings.batch_sizes:
            part = Stretch(order[done : done + samples], size, 0, -(-samples // size), self._constant_numbers)
            pace = self._paces[size]
            while part.first < part.last:
                threads, count = pace.next_call()
                stretch = self._with_numbers(part._replace(last=min(part.first + count, part.last)))
                call_began = time.perf_counter()
                seen = self._run_stretch(stretch, threads, cost, batches)
                pace.record(threads, stretch.last - stretch.first, time.perf_counter() - call_began)
                cost, hits = seen.cost, hits + seen.hits
                if self._bar is not None:
                    self._bar.update(min(stretch.last * size, samples) - stretch.first * size)
                part = part._replace(first=stretch.last)
                if done + stretch.last * size < n:
                    self._check_clock()
            done, batches = done + samples, batches + part.last
        self._history.train_cost.append(float(cost / n))
        self._history.train_accuracy.append(float(hits / n) if self._train.data.classify else float("nan"))
        self._history.seconds.append(time.perf_counter() - began)

    @property
    def _constant_numbers(self) -> NDArray[np.float64]:
        """The numbers of the next step, as the only row of a table."""
        numbers = self._settings.optimizer.numbers([self._engine.memory.steps + 1])
        return np.hstack([np.ones((1, STEP_NUMBERS)), numbers])

    def _with_numbers(self, stretch: Stretch) -> Stretch:
        """A stretch with the numbers of its steps, a row for each where they differ."""
        settings, count = self._settings, stretch.last - stretch.first
        if not (settings.penalty_per_batch or settings.weights_normalised) and settings.optimizer.is_constant:
            return stretch
        table = np.ones((count, stretch.steps.shape[1]))
        table[:, STEP_NUMBERS:] = settings.optimizer.numbers(self._engine.memory.steps + np.arange(1, count + 1))
        starts = np.arange(stretch.first, stretch.last) * stretch.size
        samples = np.minimum(stretch.size, stretch.order.size - starts)
        if settings.penalty_per_batch:
            table[:, STEP_PENALTY] = 1 / samples
        weights = self._train.data.sample_weight
        if settings.weights_normalised and weights.size:
            end = min(stretch.last * stretch.size, stretch.order.size)
            chosen = weights[stretch.order[starts[0] : end]].astype(np.float64)
            table[:, STEP_SCALE] = samples / np.add.reduceat(chosen, starts - starts[0])
        return stretch._replace(steps=table)

    def _run_stretch(self, stretch: Stretch, threads: int, cost: float, earlier: int) -> Seen:
        """Some batches in one kernel call, taken back to the last good weights if they go wrong.

        ``cost`` is the sum over the epoch before them, ``earlier`` the number of batches of other sizes.
        """
        saved = _Saved(self._engine.snapshot(), stretch)
        seen = self._call(stretch, threads, cost)
        count = stretch.last - stretch.first
        if seen.batches < count or not self._is_finite():
            # If the first batch found an infinite cost, it was the step before it that broke.
            self._take_back(saved if seen.batches > 0 else self._before, seen.batches)
            # Batch numbers count from 1: that of the first cost that is not finite, or of the step that broke a weight.
            batch = stretch.first + seen.batches + (seen.batches < count)
            raise DivergenceError(self._explain(earlier + batch))
        self._before = saved
        return seen

    def _is_finite(self) -> bool:
        return bool(np.isfinite(self._engine.params).all())

    def _take_back(self, saved: "_Saved | None", done: int) -> None:
        """Go to the weights before the step that broke, by taking the good steps once more, one by one."""
        if saved is None:  # the very first batch: no step has been taken
            return
        self._engine.restore(saved.state)
        good = (done or saved.stretch.last - saved.stretch.first) - 1
        for batch in range(saved.stretch.first, saved.stretch.first + good):
            before = self._engine.snapshot()
            self._call(self._with_numbers(saved.stretch._replace(first=batch, last=batch + 1)), 1, 0.0)
            if not self._is_finite():
                self._engine.restore(before)
                return

    def _call(self, stretch: Stretch, threads: int, cost: float) -> Seen:
        workers = None if self._pool is None else Workers(self._pool, self._threads, threads)
        return self._engine.run(self._train.data, stretch, self._stepping, workers, cost)

    def _explain(self, batch: int) -> str:
        data = self._train.data
        inputs, targets = (float(abs(values).max()) if values.size else 1.0 for values in (data.features, data.targets))
        if inputs > _LARGE:
            cause = f"inputs as large as {inputs:.3g}: scale X to about [0, 1] or to unit variance"
        elif targets > _LARGE:
            cause = f"targets as large as {targets:.3g}: scale y to about [0, 1] or to unit variance"
        else:
            rate = self._settings.optimizer.learning_rate
            cause = f"a learning rate of {rate:g} that is too high: try a tenth of it"
        epoch = len(self._history.train_cost) + 1
        return (
            f"the cost became infinite or NaN in epoch {epoch}, batch {batch}; likely cause: {cause}. "
            "The network keeps its last finite weights."
        )

    def _measure_validation(self) -> None:
        if self._validation is None:
            return
        seen = evaluate(self._engine, self._validation, self._check_interrupts)
        n = self._validation.n
        self._history.val_cost.append(float(seen.cost / n))
        self._history.val_accuracy.append(float(seen.hits / n) if self._validation.data.classify else float("nan"))

    def _show(self) -> None:
        if self._bar is None:
            return
        history = self._history
        figures = {"epoch": len(history.train_cost), "cost": f"{history.train_cost[-1]:.4f}"}
        shown = history.val_accuracy or history.train_accuracy
        if shown[-1] == shown[-1]:
            figures["val accuracy" if history.val_accuracy else "accuracy"] = f"{shown[-1]:.2%}"
        self._bar.describe(figures)
