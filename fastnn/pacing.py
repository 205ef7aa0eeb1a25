"""How many batches the next kernel call takes, and on how many threads."""

from collections import deque
from typing import ClassVar

STRETCH_SECONDS = 0.05
"""How long a kernel call should last: Ctrl-C and the clock are looked at in between."""
_MAX_GROWTH = 8  # a call takes at most so many times the batches of the one before: its time is only an estimate
_LOOKS_TOGETHER, _LOOKS_ALONE = 6, 2
"""The fastest of so many latest looks counts. A core that is busy makes a look slower, never faster; and one that was
asleep makes several slower: hypervisors were seen to take a fifth of a second until two cores were two."""
_CALL_SECONDS, _SLOWEST = 2e-6, 2e8
"""What a batch takes beside its products, and products a second, there and back, of a processor ten times as slow as
those that this was measured on: the first call of a process is to be short there too."""
_LIKELY_SHARE = 0.25  # of the latest training's products a second: the next one's network may be another
_TRIAL_SECONDS = 0.01  # of a call that is to show how fast one thread is by itself: somewhat more than a look takes
_LOOKS_BETWEEN_TRIALS, _MOST_BETWEEN_TRIALS = 24, 400


class Pace:
    """Learns from the time of every call; the bits of the result do not depend on what it decides.

    Several threads on one small network are fast on idle cores, and slow where other processes hold them. So both
    ways are timed, one alone and all together, the faster one is taken, and the other tried again now and then; the
    more often in vain, the later.

    Parameters
    ----------
    threads : int
        How many threads there are.
    products : int, optional
        Multiply-adds of a batch, forward, for a guess of how many batches the first call may take; else it takes one.
    like : Pace, optional
        That of an earlier training of such a network, with as many threads: which way was faster then need not be
        found out again.
    same_samples : bool, default False
        Whether that was on the same samples. How much fits into a call is found out again for others, which may take
        any time.

    Examples
    --------
    >>> pace = Pace(1)
    >>> pace.next_call()
    (1, 1)
    >>> pace.record(1, 1, seconds=0.01)
    >>> pace.next_call()
    (1, 5)
    """

    _speed: ClassVar[float] = _SLOWEST  # products a second, as far as trainings in this process have shown

    def __init__(
        self, threads: int, products: int | None = None, like: "Pace | None" = None, same_samples: bool = False
    ) -> None:
        first = 1
        if products is not None:
            first = max(1, int(STRETCH_SECONDS / _MAX_GROWTH / (_CALL_SECONDS + products / Pace._speed)))
        self._products = products or 0
        self._batches = dict.fromkeys((threads, 1), first)  # for each number of threads, the batches of its next call
        # And what one batch took, in its latest looks: calls of together some milliseconds, which are enough to tell.
        self._seconds = {
            count: deque[float](maxlen=_LOOKS_TOGETHER if count > 1 else _LOOKS_ALONE) for count in self._batches
        }
        self._open = dict.fromkeys(self._batches, (0, 0.0))  # batches and seconds of a look that has begun
        self._faster, self._looks, self._patience = 0, 0, _LOOKS_BETWEEN_TRIALS
        if like is not None:
            self._seconds = {count: seen.copy() for count, seen in like._seconds.items()}
            self._faster, self._looks, self._patience = like._faster, like._looks, like._patience
            if same_samples:
                self._batches = {count: max(first, batches) for count, batches in like._batches.items()}

    def next_call(self) -> tuple[int, int]:
        """Threads and batches."""
        unknown = [count for count, seen in self._seconds.items() if len(seen) != seen.maxlen]
        threads = unknown[0] if unknown else self._take_turns()
        batches = self._batches[threads]
        if threads == 1 and not unknown and self._faster != 1:  # a trial, for which a look is enough
            batches = min(batches, 1 + int(_TRIAL_SECONDS / min(self._seconds[1])))
        return threads, batches

    def _take_turns(self) -> int:
        """The faster way for some time, then the slower one for as many looks as it is judged by."""
        faster, slower = (rank(self._seconds, key=lambda count: min(self._seconds[count])) for rank in (min, max))
        if faster != self._faster:
            self._faster, self._looks, self._patience = faster, 0, _LOOKS_BETWEEN_TRIALS
        elif self._looks >= self._patience + len(self._seconds[slower]):
            self._looks, self._patience = 0, min(2 * self._patience, _MOST_BETWEEN_TRIALS)
        return faster if self._looks < self._patience else slower

    def record(self, threads: int, batches: int, seconds: float) -> None:
        """Take in how long a call took."""
        growth = min(STRETCH_SECONDS / max(seconds, 1e-9), _MAX_GROWTH)
        self._batches[threads] = max(1, int(batches * growth))
        looked_at, looked_for = self._open[threads]
        looked_at, looked_for = looked_at + batches, looked_for + seconds
        if looked_for > STRETCH_SECONDS / _MAX_GROWTH:
            self._seconds[threads].append(looked_for / looked_at)
            self._looks += 1
            Pace._speed = max(_SLOWEST, _LIKELY_SHARE * self._products * looked_at / looked_for)
            looked_at, looked_for = 0, 0.0
        self._open[threads] = looked_at, looked_for
