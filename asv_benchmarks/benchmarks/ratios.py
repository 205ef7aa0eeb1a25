"""Ratios of what is timed in one process, in turn: they mean something on a noisy machine too."""

import statistics
import time
import warnings
from functools import partial
from itertools import pairwise

import numpy as np
from threadpoolctl import threadpool_limits

import fastnn
from fastnn.kernels import host

from .common import CASES, NumpyBatch, Task, Worker, load_data, ready, start_layers
from .peak import PEAK_FLOPS, run_at_peak

_SAMPLES = 5_000
_TURNS = 5


def _medians(*works):
    """Median seconds of each."""
    seconds = [[] for _ in works]
    for _ in range(_TURNS):
        for work, found in zip(works, seconds, strict=True):
            began = time.perf_counter()
            work()
            found.append(time.perf_counter() - began)
    return [statistics.median(found) for found in seconds]


def _epoch_flops(case):
    """Of the multiply-adds of an epoch on dense data: forward, gradient, and the deltas of all layers but the first."""
    sizes = CASES[case].sizes
    products = [n_in * n_out for n_in, n_out in pairwise(sizes)]
    return 2 * _SAMPLES * (3 * sum(products) - products[0])


class Cases:
    """The cases of the comparison that take plain steps, with fewer samples, in float32."""

    params = tuple(name for name, case in CASES.items() if case.optimizer == "sgd")
    param_names = ("case",)
    timeout = 300

    def track_numpy_over_fastnn(self, case):
        """How many times as long the same epoch takes with matrix products in NumPy."""
        task = Task(case, samples=_SAMPLES)
        reference = NumpyBatch()
        reference.prepare(task, load_data(task, task.n), start_layers(task))
        order = np.random.default_rng(0).permutation(task.n)
        with threadpool_limits(1):  # asv imports NumPy first: too late for environment variables
            ours, theirs = _medians(ready(case, samples=_SAMPLES).epoch, partial(reference.epoch, order))
        return theirs / ours

    def track_share_of_fma_peak(self, case):
        """How much of the processor's arithmetic training uses; skipped zeros count, so that 1 is not the limit."""
        epoch, peak = _medians(ready(case, samples=_SAMPLES).epoch, run_at_peak)
        return _epoch_flops(case) / epoch / (PEAK_FLOPS / peak)

    track_numpy_over_fastnn.unit = "times"
    track_share_of_fma_peak.unit = "share"


class Widths:
    """Vectors of eight floats over the widest ones, each in a process of its own, in turn."""

    params = ("tabular",)  # mostly multiply-adds
    param_names = ("case",)
    timeout = 300

    def setup(self, case):
        if host.WIDTH <= 8:
            raise NotImplementedError  # nothing to compare

    def track_avx2_over_widest(self, case):
        workers = []
        try:
            for isa in ("native", "avx2"):
                workers.append(Worker("fastnn", Task(case, samples=_SAMPLES, isa=isa)))
            widest, narrower = (
                [found.seconds for found in samples]
                for samples in zip(*([worker.sample() for worker in workers] for _ in range(_TURNS)), strict=True)
            )
        finally:
            for worker in workers:
                worker.close()
        return statistics.median(narrower) / statistics.median(widest)

    track_avx2_over_widest.unit = "times"


_SETTINGS = {
    "momentum": {"optimizer": "momentum"},
    "adam": {"optimizer": "adam"},
    "float64": {"dtype": "float64"},
    "two threads": {"threads": 2},
}


class Settings:
    """Other ways to train, over plain SGD in float32 on one thread."""

    params = (("A", "C", "D"), tuple(_SETTINGS))
    param_names = ("case", "setting")
    timeout = 300

    def track_over_plain(self, case, setting):
        plain, other = _medians(
            ready(case, samples=_SAMPLES).epoch, ready(case, samples=_SAMPLES, **_SETTINGS[setting]).epoch
        )
        return other / plain

    track_over_plain.unit = "times"


_CONVERGING = {"case A": ("A", "sgd", 0.5), "relu adam": ("relu", "adam", 0.003)}


class Converged:
    """An epoch of a network that is right about everything, over one of a fresh network: its deltas underflow."""

    params = tuple(_CONVERGING)
    param_names = ("network",)
    timeout = 300

    def track_converged_over_fresh(self, network):
        fresh, done = _fresh_and_converged(*_CONVERGING[network])
        fresh_seconds, done_seconds = _medians(fresh, done)
        return done_seconds / fresh_seconds

    track_converged_over_fresh.unit = "times"


def _fresh_and_converged(kind, optimizer, rate):
    """Epochs of either, one at a time; the fresh network begins anew every time."""
    task = Task("A", samples=20_000)
    data = load_data(task, task.n)
    sizes, batch = task.sizes, task.batch
    options = {} if kind == "A" else {"activation": "relu", "output": "softmax", "cost": "log_likelihood"}
    steps = {"sgd": fastnn.SGD, "adam": fastnn.Adam}[optimizer](rate)
    networks = [fastnn.Network(sizes, seed=0, **options) for _ in range(2 * _TURNS + 1)]
    fresh, done = iter(networks[:-1]), networks[-1]

    def epoch(network, epochs=1):
        network.fit(data.X, data.y, epochs, batch, steps, progress=False)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what an overfitted network does
        epoch(done, 20)
        # Ever surer of itself, as after very many epochs, until float32 has no normal numbers left for its doubts.
        done.weights = [*done.weights[:-1], done.weights[-1] * 20]
        done.biases = [*done.biases[:-1], done.biases[-1] * 20]
    return (lambda: epoch(next(fresh))), (lambda: epoch(done))
