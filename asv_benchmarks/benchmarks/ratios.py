"""fastnn against NumPy in one process, in turn: the ratio means something on a noisy machine too."""

import statistics
import time

import numpy as np
from threadpoolctl import threadpool_limits

from .common import CASES, NumpyBatch, Task, load_data, ready, start_layers

_SAMPLES = 5_000
_TURNS = 9


class Ratios:
    """How many times as long the same epoch takes with matrix products in NumPy."""

    params = tuple(CASES)
    param_names = ("case",)
    timeout = 300

    def track_numpy_over_fastnn(self, case):
        trainee = ready(case, samples=_SAMPLES)
        task = Task(case, samples=_SAMPLES)
        reference = NumpyBatch()
        reference.prepare(task, load_data(task, task.n), start_layers(task))
        order = np.random.default_rng(0).permutation(task.n)
        ours, theirs = [], []
        with threadpool_limits(1):  # asv imports NumPy first: too late for environment variables
            for _ in range(_TURNS):
                ours.append(_seconds(trainee.epoch))
                theirs.append(_seconds(reference.epoch, order))
        return statistics.median(theirs) / statistics.median(ours)

    track_numpy_over_fastnn.unit = "times"


def _seconds(work, *arguments):
    began = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - began
