"""Several processes on an empty cache, and children of a process that is in the middle of things."""

import multiprocessing
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from campaign.base import Clock, Limits, Result, last_words, numbers, start

_PATIENCE = 600.0
_TOGETHER = 8

_TRAIN = """
import hashlib, fastnn
X, y, _, _ = fastnn.datasets.load_digits()
net = fastnn.Network([64, 30, 10])
net.fit(X, y, epochs=2)
print(hashlib.sha256(b"".join(a.tobytes() for a in net.weights)).hexdigest())
"""

# A child answers by its exit code, and is given four minutes: it may have to compile, beside others.
_FORK = """
import os, signal, sys, threading, time
import numpy as np, fastnn
X, y, _, _ = fastnn.datasets.load_digits()
net = fastnn.Network([64, 200, 10])

def child(threads=1):
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, lambda *_: os._exit(9))
        signal.alarm(240)
        try:
            finite = np.isfinite(net.forward(X)).all() and np.isfinite(net.weights[0]).all()
            history = net.fit(X[:100], y[:100], epochs=1, batch_size=50, threads=threads)
            again = fastnn.Network([64, 30, 10]).fit(X[:100], y[:100], epochs=1, batch_size=50, threads=threads)
            os._exit(0 if finite and history.epochs == again.epochs == [1] else 8)
        except BaseException as error:
            print(type(error).__name__, error, file=sys.stderr, flush=True)
            os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def in_callback(threads):
    codes = []
    net.fit(X, y, epochs=2, batch_size=50, threads=threads, callbacks=[lambda *_: codes.append(child(threads))])
    return codes

def beside_a_fit(threads):
    stop = threading.Event()
    def work():
        net.fit(X, y, epochs=10**6, batch_size=50, threads=threads, callbacks=[lambda *_: stop.is_set()])
    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(float(sys.argv[3]))
    codes = [child(threads)]
    stop.set()
    thread.join()
    return codes

how, threads = sys.argv[1], int(sys.argv[2])
if how != "beside a compiler":
    net.fit(X[:100], y[:100], epochs=1, batch_size=50, threads=threads)
codes = in_callback(threads) if how == "in a callback" else beside_a_fit(threads)
sys.exit(next((abs(code) for code in codes if code), 0))
"""

_CHILD = """
import multiprocessing, sys
import fastnn
X, y, _, _ = fastnn.datasets.load_digits()

def work(net, answers):
    net.fit(X, y, epochs=1, threads=2, batch_size=50)
    answers.put([a.tobytes() for a in net.weights])

if __name__ == "__main__":
    net = fastnn.Network([64, 30, 10])
    net.fit(X, y, epochs=1, threads=2, batch_size=50)
    context = multiprocessing.get_context(sys.argv[1])
    answers = context.Queue()
    process = context.Process(target=work, args=(net, answers))
    process.start()
    found = answers.get(timeout=120)
    process.join(60)
    net.fit(X, y, epochs=1, threads=2, batch_size=50)
    sys.exit(0 if found == [a.tobytes() for a in net.weights] and process.exitcode == 0 else 5)
"""


def run_together(limits: Limits) -> Result:
    """Eight processes that all find nothing compiled; the same bits, and a cache that the ninth can read."""
    result = Result()
    for _ in numbers(limits):
        with tempfile.TemporaryDirectory() as cache:
            processes = [start(_TRAIN, FASTNN_CACHE_DIR=cache) for _ in range(_TOGETHER)]
            ends = [last_words(process, _PATIENCE) for process in processes]
            ends.append(last_words(start(_TRAIN, FASTNN_CACHE_DIR=cache), _PATIENCE))
            left = [path.name for path in Path(cache).rglob("*.tmp")]
        result.counts["processes on an empty cache"] += len(ends) - 1
        result.failures += [problem for _, problem in ends if problem is not None]
        if len({out for out, _ in ends}) != 1:
            result.failures.append("not the same bits everywhere")
        if left:
            result.failures.append(f"left behind in the cache: {left}")
    return result


def _fork(how: str, threads: int, number: int) -> str | None:
    """What went wrong in a process that forks, and in its child."""
    with tempfile.TemporaryDirectory() as cache:
        own = {"FASTNN_CACHE_DIR": cache} if how == "beside a compiler" else {}
        return last_words(start(_FORK, how, threads, 0.05 + 0.37 * number % 5, **own), _PATIENCE)[1]


def _child(method: str) -> str | None:
    """What went wrong in a process that starts a child, and in that; "spawn" imports the file anew."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "child.py")
        script.write_text(_CHILD)
        code = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
        return last_words(start(code, script, method), _PATIENCE)[1]


def run_forks(limits: Limits) -> Result:
    """Forks in a callback, beside a fit and beside a compiler; children by fork and spawn."""
    result, clock = Result(), Clock(limits.seconds)
    ways = ("in a callback", "beside a fit", "beside a compiler") if hasattr(os, "fork") else ()
    attempts: list[tuple[str, Callable[[int], str | None]]] = [
        (f"forks {how}, {threads} threads", lambda number, how=how, threads=threads: _fork(how, threads, number))
        for how in ways
        for threads in (1, 2)
    ]
    methods = multiprocessing.get_all_start_methods()
    attempts += [(f"children by {method}", lambda _, method=method: _child(method)) for method in methods]
    for number in range(limits.amount):
        for what, attempt in attempts:
            if not clock:
                return result
            problem = attempt(number)
            result.counts[what] += 1
            if problem is not None:
                result.failures.append(f"{what}: {problem}")
    return result
