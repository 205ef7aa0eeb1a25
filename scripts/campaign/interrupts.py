"""Interrupts at random moments of a fit that has everything to compile, and of fits that have nothing to compile."""

import json
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from subprocess import Popen

from campaign.base import Clock, Limits, Result, last_words, start

_PATIENCE = 300.0
_GUESS = 5.0  # seconds that a fit takes which has everything to compile
_AT_A_TIME = 2  # processes that compile

# Waits for an interrupt also after the fit, so that one that comes late is none that is lost.
_COLD = """
import json, sys, time
import numpy as np, fastnn
X, y, _, _ = fastnn.datasets.load_digits()
net, threads = fastnn.Network([64, 30, 10]), int(sys.argv[1])
def fit():
    return net.fit(X, y, epochs=3, batch_size=50, threads=threads, validation_data=(X, y)).stopped_by
found = {"interrupted": False, "late": False}
try:
    print("ready", flush=True)
    fit()
    found["late"] = True
    print("fitted", flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    found["interrupted"] = True
found["later"] = fit()
found["finite"] = all(bool(np.isfinite(a).all()) for a in [*net.weights, *net.biases, net.forward(X)])
print(json.dumps(found))
"""

# A process of its own sends the signals: a thread would send them where this one lets go of the GIL, and only there.
_WARM = """
import json, os, signal, subprocess, sys, time
import numpy as np, fastnn
HAIL = ("import os, random, sys, time\\n"
        "for _ in range(int(sys.argv[1])): time.sleep(random.uniform(0, 0.03)); os.kill(os.getppid(), 2)\\n"
        "os.kill(os.getppid(), 10)")
X, y, _, _ = fastnn.datasets.load_digits()
net, threads, wanted, seconds = fastnn.Network([64, 30, 10]), int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
def fit():
    return net.fit(X, y, epochs=2, batch_size=50, threads=threads, validation_data=(X, y), l2=1e-3)
fit()
over, caught, rounds, failures, end = [], 0, 0, [], time.monotonic() + seconds
def check():
    if net.history.stopped_by not in ("interrupt", "epochs"):
        failures.append(net.history.stopped_by)
    if not all(np.isfinite(a).all() for a in [*net.weights, *net.biases]):
        failures.append("not finite")
    if net._fitting.here.locked():
        failures.append("left locked")
def interrupt(number, frame):  # what comes elsewhere is no attack, but would end this
    while frame is not None and frame.f_code is not fit.__code__:
        frame = frame.f_back
    if frame is not None:
        raise KeyboardInterrupt
signal.signal(signal.SIGINT, interrupt)
signal.signal(signal.SIGUSR1, lambda *_: over.append(1))
hail = subprocess.Popen([sys.executable, "-c", HAIL, str(4 * wanted)])  # some come in one
while not over and caught < wanted and time.monotonic() < end:
    try:
        rounds += 1
        fit()
    except KeyboardInterrupt:
        caught += 1
        check()
signal.signal(signal.SIGINT, signal.SIG_IGN)
hail.kill(); hail.wait()
if fit().stopped_by != "epochs":
    failures.append("does not go on")
print(json.dumps([rounds, caught, failures]))
"""


@contextmanager
def _cold_process(threads: int) -> Iterator["Popen[str]"]:
    with tempfile.TemporaryDirectory() as cache:
        process = start(_COLD, threads, FASTNN_CACHE_DIR=cache)
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process
        finally:
            process.kill()
            process.wait()


def _seconds_of_a_cold_fit(threads: int) -> float:
    with _cold_process(threads) as process:
        began = time.monotonic()
        assert process.stdout is not None
        process.stdout.readline()
        return time.monotonic() - began


def _problem(out: str) -> str | None:
    found = json.loads(out.splitlines()[-1])
    expected = {"interrupted": True, "later": "epochs", "finite": True}
    wrong = {name: found[name] for name, value in expected.items() if found[name] != value}
    return f"found {wrong}" if wrong else None


def _interrupt_cold(threads: int, moment: float) -> str | None:
    """Interrupt a fit whose kernels are in no cache so many seconds after its beginning; what is wrong then."""
    with _cold_process(threads) as process:
        time.sleep(moment)
        os.kill(process.pid, signal.SIGINT)
        out, problem = last_words(process, _PATIENCE)
    return problem or _problem(out)


def run_cold(limits: Limits, threads: int) -> Result:
    """Interrupt fits whose kernels are in no cache, two of them at a time."""
    # To find out how long it takes costs as much as an interrupt.
    longest = _seconds_of_a_cold_fit(threads) if limits.amount > 1 else _GUESS
    result, generator, clock = Result(), random.Random(threads), Clock(limits.seconds)

    def attempt(moment: float) -> tuple[dict[str, int], list[str]]:
        if not clock:
            return {}, []
        problem = _interrupt_cold(threads, moment)
        told = [] if problem is None else [f"after {moment:.3f} of {longest:.1f} s: {problem}"]
        return {f"cold interrupts on {threads} threads": 1}, told

    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        for found in pool.map(attempt, [generator.uniform(0, longest) for _ in range(limits.amount)]):
            result.add(*found)
    return result


def run_warm(limits: Limits, threads: int) -> Result:
    """Interrupt fits, one after the other, in one process."""
    result = Result()
    process = start(_WARM, threads, limits.amount, limits.seconds)
    out, problem = last_words(process, limits.seconds + _PATIENCE)
    if problem is not None:
        result.failures.append(problem)
        return result
    rounds, caught, failures = json.loads(out.splitlines()[-1])
    result.add({f"warm interrupts on {threads} threads": caught, "fits": rounds}, failures)
    return result
