"""Seconds per epoch."""

from .common import CASES, ready


class _Epoch:
    """One sample is one epoch: every call trains the same network on, from where the last one left it."""

    number = 1
    warmup_time = 0
    rounds = 2
    repeat = (3, 10, 10.0)
    timeout = 300


class Cases(_Epoch):
    """All cases of the comparison with other libraries, in float32."""

    params = tuple(CASES)
    param_names = ("case",)

    def setup(self, case):
        self.trainee = ready(case)

    def time_epoch(self, case):
        self.trainee.epoch()


class Bytes(_Epoch):
    """Images kept as bytes."""

    params = ("A", "I")
    param_names = ("case",)

    def setup(self, case):
        self.trainee = ready(case, pixels=True)

    def time_epoch(self, case):
        self.trainee.epoch()


class TwoThreads(_Epoch):
    """Cases that more than one thread may help."""

    params = ("A", "D", "I")
    param_names = ("case",)

    def setup(self, case):
        self.trainee = ready(case, threads=2)

    def time_epoch(self, case):
        self.trainee.epoch()
