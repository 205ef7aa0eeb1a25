"""The training loop around the kernel: epochs, stretches of batches, stopping rules, callbacks.

One kernel call runs as many batches as fit into some 50 ms. In between, Ctrl-C is answered, the clock looked at, and
the weights checked: a stretch that went wrong is taken back.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fastnn.diagnostics import Watch
from fastnn.engine import Engine, Memory, Penalty, Seen, Workers, natural_order
from fastnn.history import History
from fastnn.kernels.buffers import Batches, Data
from fastnn.pacing import Pace

_LARGE = 100  # inputs or targets beyond this are named before the learning rate


class DivergenceError(ArithmeticError):
    """The cost, or a weight, is no longer finite. The network keeps its last finite weights."""


class Samples(NamedTuple):
    """Data with its number of samples."""

    data: Data
    n: int


class FitSettings(NamedTuple):
    """How to train; checked already."""

    epochs: int
    batch_sizes: tuple[tuple[int, int], ...]  # (size, samples): so many samples in batches of that size, then the next
    optimizer: Any
    penalty: Penalty
    order: Callable[[int], NDArray[np.int64]]  # the samples of the next epoch, out of so many
    max_time: float
    callbacks: tuple[Callable[..., Any], ...]
    progress: bool | None
    threads: int  # 0: as many as are worth it


class FitRequest(NamedTuple):
    """What to train on and how; checked already."""

    train: Samples
    held_out: Samples | None
    settings: FitSettings
    reader: Any = None  # what the network knows of its data from then on, if that is not what it knows already


class _Saved(NamedTuple):
    """Weights and optimizer memory before a stretch of batches."""

    state: tuple[NDArray[Any], Memory]
    stretch: Batches


class _Stop(Exception):  # noqa: N818  (not an error)
    """Leaves the loops; the argument says why."""


def evaluate(engine: Engine, samples: Samples) -> Seen:
    """Summed cost and hits over all samples."""
    order = natural_order(samples.n)
    cost = hits = 0.0
    for first in range(0, samples.n, engine.samples_per_call):
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
        self._threads = settings.threads or engine.worthwhile_threads(self._largest_batch)
        # A large batch takes longer than a small one.
        self._paces = {size: Pace(self._threads) for size, _ in settings.batch_sizes}
        shown = None if settings.progress is None else not settings.progress  # None: only on a terminal
        self._bar = tqdm(
            total=settings.epochs * train.n,
            unit=" samples",
            unit_scale=True,
            disable=shown,
            dynamic_ncols=True,
        )

    def run(self, network: Any) -> None:
        """Train to the end, or until something stops it; callbacks are given ``network``."""
        if self._engine.memory.kernel != self._settings.optimizer.kernel:
            self._engine.memory = self._engine.fresh_memory(self._settings.optimizer.kernel)
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
            self._bar.close()
            if self._pool is not None:
                self._pool.shutdown()

    def _run_epochs(self, network: Any) -> str:
        """Train to the end of the last epoch, or to what stops it; returns what that was."""
        # Compile or load the kernel, which is no part of the first epoch.
        self._call(Batches(natural_order(self._train.n), self._largest_batch, 0, 0), 1, 0.0)
        self._watch.begin()
        stopped_by = "epochs"
        try:
            for _ in range(self._settings.epochs):
                self._check_clock()
                self._run_epoch()
                self._measure_validation()
                self._show()
                self._watch.after_epoch()
                verdicts = [callback(network, self._history) is True for callback in self._settings.callbacks]
                if any(verdicts):  # every one has been asked
                    raise _Stop("callback")
        except _Stop as stop:
            stopped_by = str(stop)
        self._watch.finish()
        return stopped_by

    def _check_clock(self) -> None:
        if time.perf_counter() >= self._deadline:
            raise _Stop("max_time")

    def _run_epoch(self) -> None:
        n = self._train.n
        order = self._settings.order(n)
        began = time.perf_counter()
        cost = hits = 0.0
        done = batches = 0
        for size, samples in self._settings.batch_sizes:
            part = Batches(order[done : done + samples], size, 0, -(-samples // size))
            pace = self._paces[size]
            while part.first < part.last:
                threads, count = pace.next_call()
                stretch = part._replace(last=min(part.first + count, part.last))
                call_began = time.perf_counter()
                seen = self._run_stretch(stretch, threads, cost, batches)
                pace.record(threads, stretch.last - stretch.first, time.perf_counter() - call_began)
                cost, hits = seen.cost, hits + seen.hits
                self._bar.update(min(stretch.last * size, samples) - stretch.first * size)
                part = part._replace(first=stretch.last)
                if done + stretch.last * size < n:
                    self._check_clock()
            done, batches = done + samples, batches + part.last
        self._history.train_cost.append(float(cost / n))
        self._history.train_accuracy.append(float(hits / n) if self._train.data.classify else float("nan"))
        self._history.seconds.append(time.perf_counter() - began)

    def _run_stretch(self, stretch: Batches, threads: int, cost: float, earlier: int) -> Seen:
        """Some batches in one kernel call, taken back to the last good weights if they go wrong.

        ``cost`` is the sum over the epoch before them, ``earlier`` the number of batches of other sizes.
        """
        saved = _Saved(self._engine.snapshot(), stretch)
        seen = self._call(stretch, threads, cost)
        count = stretch.last - stretch.first
        if seen.batches < count or not self._is_finite():
            # If the first batch found an infinite cost, it was the step before it that broke.
            self._take_back(saved if seen.batches > 0 else self._before, seen.batches)
            raise DivergenceError(self._explain(earlier + stretch.first + seen.batches))
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
            self._call(saved.stretch._replace(first=batch, last=batch + 1), 1, 0.0)
            if not self._is_finite():
                self._engine.restore(before)
                return

    def _call(self, stretch: Batches, threads: int, cost: float) -> Seen:
        workers = None if self._pool is None else Workers(self._pool, self._threads, threads)
        settings = self._settings
        return self._engine.run(self._train.data, stretch, settings.optimizer.settings, settings.penalty, workers, cost)

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
            f"the cost became infinite or NaN in epoch {epoch}, batch {max(batch, 1)}; likely cause: {cause}. "
            "The network keeps its last finite weights."
        )

    def _measure_validation(self) -> None:
        if self._validation is None:
            return
        seen = evaluate(self._engine, self._validation)
        n = self._validation.n
        self._history.val_cost.append(float(seen.cost / n))
        self._history.val_accuracy.append(float(seen.hits / n) if self._validation.data.classify else float("nan"))

    def _show(self) -> None:
        history = self._history
        figures = {"epoch": len(history.train_cost), "cost": f"{history.train_cost[-1]:.4f}"}
        shown = history.val_accuracy or history.train_accuracy
        if shown[-1] == shown[-1]:
            figures["val accuracy" if history.val_accuracy else "accuracy"] = f"{shown[-1]:.2%}"
        self._bar.set_postfix(figures)
