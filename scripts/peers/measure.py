"""Alternating measurements that know when the machine was disturbed."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from tqdm import tqdm

_DISTURBED = 1.25  # a probe so many times slower than the fastest one had company
_LEAST_BUSY = 0.9  # a sample that got less of one processor had to wait for it
_ROUNDS_PER_REPEAT = 3
ENOUGH = 5  # undisturbed samples that make a number
_PAUSE = 1.0  # seconds between two looks at a busy machine
_STEADY_SECONDS = 0.5  # what is timed at a time lasts at least so long


class WorkerError(Exception):
    """A worker cannot do what it was asked; the text says why."""


class Effort(NamedTuple):
    """What is invested in a case."""

    samples: int | None
    repeats: int
    patience: float


class Sample(NamedTuple):
    """One measurement: seconds of one piece of work, and how many processors were at it."""

    seconds: float
    busy: float


class Measurable(Protocol):
    """What can be measured in turn with others."""

    name: str

    def sample(self) -> Sample:
        """Do the work once more."""


class Steady:
    """Times one kind of work in this process; short pieces as many together as make a steady state.

    Parameters
    ----------
    name : str
        What is measured.
    work : callable
        Does as many pieces as it is told.
    share : float
        How much of what is asked for a piece is; the time is scaled up.
    """

    def __init__(self, name: str, work: Callable[[int], object], share: float = 1.0) -> None:
        self.name, self._work, self._share, self._count = name, work, share, 1

    def warm_up(self) -> None:
        """Two samples that do not count: the first compiles or loads, the second one tells how long a piece takes."""
        self.sample()
        self.sample()

    def sample(self) -> Sample:
        """See Measurable."""
        began, began_cpu = time.perf_counter(), time.process_time()
        self._work(self._count)
        seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
        found = Sample(seconds / self._count / self._share, cpu / seconds)
        self._count = max(1, math.ceil(_STEADY_SECONDS * self._count / seconds))
        return found


def _multiply_matrices() -> None:
    matrix = np.full((64, 64), 1 / 64)
    for _ in range(800):
        matrix @ matrix


class Probe:
    """A fixed piece of work of about 10 ms, whose time tells whether the machine is ours.

    Parameters
    ----------
    work : callable, optional
        On all cores that matter; by default small products of matrices, on one.
    """

    def __init__(self, work: Callable[[], object] = _multiply_matrices) -> None:
        self._work = work
        self.least = float("inf")
        for _ in range(20):
            self.run()

    def run(self) -> float:
        """Seconds that it took this time."""
        began = time.perf_counter()
        self._work()
        seconds = time.perf_counter() - began
        self.least = min(self.least, seconds)
        return seconds

    def quiet(self, *seconds: float) -> bool:
        """Whether none of these times tells of a disturbance."""
        return max(seconds) <= _DISTURBED * self.least


@dataclass
class Timing:
    """The samples of one participant."""

    seconds: list[float] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    """In which round each of them was taken."""
    disturbed: list[float] = field(default_factory=list)
    busy: float = 0.0
    """The most processors that were at work during a sample."""

    def add(self, sample: Sample, number: int, quiet: bool) -> None:
        """Take a sample of a round."""
        if quiet:
            self.seconds.append(sample.seconds)
            self.rounds.append(number)
        else:
            self.disturbed.append(sample.seconds)
        self.busy = max(self.busy, sample.busy)

    @property
    def used(self) -> list[float]:
        """The undisturbed samples; if there is not one, all of them."""
        return self.seconds or self.disturbed

    @property
    def is_enough(self) -> bool:
        """Whether the undisturbed samples make a number."""
        return len(self.seconds) >= ENOUGH

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.used)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Seconds that a quarter and three quarters of the samples stay below."""
        low, high = np.percentile(self.used, [25, 75])
        return float(low), float(high)

    def ratios(self, other: "Timing") -> list[float]:
        """Seconds over another one's, round by round: what changes slowly on the machine changes both."""
        others = dict(zip(other.rounds, other.seconds, strict=True))
        pairs = zip(self.rounds, self.seconds, strict=True)
        return [seconds / others[i] for i, seconds in pairs if i in others]

    def __str__(self) -> str:
        low, high = self.quartiles
        return f"{self.median:.3g} ({low:.3g}-{high:.3g})"


def measure(
    subjects: Sequence[Measurable], repeats: int, probe: Probe, patience: float = 0.0
) -> tuple[dict[str, Timing], dict[str, str]]:
    """One sample of each in turn, again and again; disturbed ones are put aside and repeated.

    Disturbed is a sample next to a slow probe, and one whose process did not get a whole processor. A bar shows the
    progress on a terminal.

    Parameters
    ----------
    subjects : sequence of Measurable
        Who takes part, under names of their own.
    repeats : int
        Undisturbed samples wanted of each. After three times as many rounds ``ENOUGH`` of them will do.
    probe : Probe
        Run between any two samples.
    patience : float
        Seconds to go on after those rounds, each begun when the machine is quiet, while somebody has not enough.

    Returns
    -------
    timings : dict
        By name.
    failures : dict
        Why somebody is missing from ``timings``.
    """
    timings = {subject.name: Timing() for subject in subjects}
    failures: dict[str, str] = {}

    def take_turns(i: int, wanted: int, bar: "tqdm[Any]") -> bool:
        """Round ``i`` of those who have fewer samples than wanted; whether there was anybody."""
        lacking = [s for s in subjects if s.name not in failures and len(timings[s.name].seconds) < wanted]
        before = probe.run()
        for subject in lacking:
            try:
                found = subject.sample()
            except WorkerError as error:
                failures[subject.name] = str(error)
                continue
            after = probe.run()
            quiet = probe.quiet(before, after) and found.busy > _LEAST_BUSY
            timings[subject.name].add(found, i, quiet)
            bar.update(quiet)
            before = after
        return bool(lacking)

    with tqdm(total=repeats * len(subjects), unit=" samples", disable=None, leave=False) as bar:
        i, rounds = 0, _ROUNDS_PER_REPEAT * repeats
        while i < rounds and take_turns(i, repeats, bar):
            i += 1
        until = time.monotonic() + patience
        while _wait_for_quiet(probe, until) and take_turns(i, min(ENOUGH, repeats), bar):
            i += 1
    return {name: timing for name, timing in timings.items() if name not in failures}, failures


def _wait_for_quiet(probe: Probe, until: float) -> bool:
    """Wait until the machine is ours; False if it was not by then."""
    while time.monotonic() < until:
        if probe.quiet(probe.run(), probe.run()):
            return True
        time.sleep(_PAUSE)
    return False
