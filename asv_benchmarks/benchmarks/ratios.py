"""Ratios of what is timed in one process, in turn: they mean something on a noisy machine too."""

import statistics
import time
from functools import partial
from itertools import pairwise

import numpy as np
from threadpoolctl import threadpool_limits

from .common import CASES, NumpyBatch, Task, load_data, ready, start_layers
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
    """The cases of the comparison with other libraries, with fewer samples: plain SGD in float32."""

    params = tuple(CASES)
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
