"""Alternating measurements that know when the machine was disturbed."""

import statistics
import time
from dataclasses import dataclass, field

import numpy as np

from peers.worker import Worker, WorkerError

_DISTURBED = 1.25  # a probe so many times slower than the fastest one had company
_LEAST_BUSY = 0.9  # an epoch that got less of one processor had to wait for it
_ROUNDS_PER_REPEAT = 3


class Probe:
    """A fixed piece of work of about 10 ms, whose time tells whether the machine is ours."""

    def __init__(self) -> None:
        self._matrix = np.full((64, 64), 1 / 64)
        self.least = float("inf")
        for _ in range(20):
            self.run()

    def run(self) -> float:
        """Seconds that it took this time."""
        began = time.perf_counter()
        for _ in range(800):
            self._matrix @ self._matrix
        seconds = time.perf_counter() - began
        self.least = min(self.least, seconds)
        return seconds

    def quiet(self, *seconds: float) -> bool:
        """Whether none of these times tells of a disturbance."""
        return max(seconds) <= _DISTURBED * self.least


@dataclass
class Timing:
    """The epochs of one peer in one case."""

    error: float
    seconds: list[float] = field(default_factory=list)
    disturbed: list[float] = field(default_factory=list)
    busy: float = 0.0
    """The most processors that were at work during an epoch."""

    @property
    def used(self) -> list[float]:
        """The undisturbed epochs; if there is not one, all of them."""
        return self.seconds or self.disturbed

    @property
    def median(self) -> float:
        """Seconds per epoch."""
        return statistics.median(self.used)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Seconds per epoch that a quarter and three quarters of the epochs stay below."""
        low, high = np.percentile(self.used, [25, 75])
        return float(low), float(high)


def measure(workers: list[Worker], repeats: int, probe: Probe) -> tuple[dict[str, Timing], dict[str, str]]:
    """One epoch of each in turn, again and again; disturbed epochs are put aside and repeated.

    Disturbed is an epoch next to a slow probe, and one whose process did not get a whole processor.

    Parameters
    ----------
    workers : list of Worker
        Who takes part.
    repeats : int
        Undisturbed epochs wanted of each. On a busy machine it stays at fewer after three times as many rounds.
    probe : Probe
        Run between any two epochs.

    Returns
    -------
    timings : dict
        By name.
    failures : dict
        Why somebody is missing from ``timings``.
    """
    timings = {worker.name: Timing(worker.error) for worker in workers}
    failures: dict[str, str] = {}
    for _ in range(_ROUNDS_PER_REPEAT * repeats):
        lacking = [worker for worker in workers if len(timings[worker.name].seconds) < repeats]
        if not lacking:
            break
        before = probe.run()
        for worker in lacking:
            try:
                seconds, busy = worker.epoch()
            except WorkerError as error:
                failures[worker.name] = str(error)
                workers = [other for other in workers if other is not worker]
                continue
            after = probe.run()
            timing = timings[worker.name]
            quiet = probe.quiet(before, after) and busy > _LEAST_BUSY
            (timing.seconds if quiet else timing.disturbed).append(seconds)
            timing.busy = max(timing.busy, busy)
            before = after
    return {name: timing for name, timing in timings.items() if name not in failures}, failures
