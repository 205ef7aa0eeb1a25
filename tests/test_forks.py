"""A child process finds its locks free, and what they guard whole."""

import os
import signal
import threading
import time

import pytest
from children import run_python
from numba.core.compiler_lock import global_compiler_lock  # noqa: F401  (what is looked for)

from fastnn import forks
from fastnn.forks import ForkSafeLock

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def answer_of_child(question):
    """What a child process finds; 99 if it hangs."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, lambda *_: os._exit(99))
        signal.alarm(20)
        try:
            os._exit(question())
        finally:
            os._exit(98)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Holder:
    """Another thread that has a lock, and is in the middle of something."""

    def __init__(self, lock, seconds=60.0):
        self.entered, self.end = threading.Event(), threading.Event()
        self.values = [0, 0]  # equal, but for a moment

        def hold():
            with lock:
                self.values[0] += 1
                self.entered.set()
                self.end.wait(seconds)
                self.values[1] += 1

        self.thread = threading.Thread(target=hold)

    def __enter__(self):
        self.thread.start()
        assert self.entered.wait(20)
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()


def test_a_lock_that_another_thread_holds_is_free_in_the_child():
    lock = ForkSafeLock()
    with Holder(lock.here):
        assert answer_of_child(lambda: int(lock.here.acquire(timeout=5))) == 1
        assert lock.here.locked()  # and here it is as it was


def test_a_lock_that_the_forking_thread_holds_can_be_left_in_the_child():
    lock = ForkSafeLock()

    def leave():
        held.release()
        return int(lock.here.acquire(timeout=5))

    with lock.here:
        held = lock.here
        pid = answer_of_child(leave)
    assert pid == 1
    assert not lock.here.locked()


def test_a_fork_waits_for_what_is_to_be_whole():
    lock = ForkSafeLock(awaited=True)
    with Holder(lock.here, seconds=0.2) as holder:
        assert answer_of_child(lambda: int(holder.values == [1, 1]) + 2 * int(lock.here.acquire(timeout=5))) == 3
    assert not lock.here.locked()


def test_a_fork_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(forks, "_PATIENCE", 0.1)
    lock, free = ForkSafeLock(awaited=True), ForkSafeLock(awaited=True)
    with Holder(lock.here):
        assert answer_of_child(lambda: sum(one.here.acquire(timeout=5) for one in (lock, free))) == 2
        assert lock.here.locked()
        assert not free.here.locked()


def test_the_compilers_lock_is_waited_for_and_free():
    (lock,) = forks._compilers_locks()
    with Holder(lock, seconds=0.2) as holder:
        assert answer_of_child(lambda: int(holder.values == [1, 1]) + 2 * int(lock.acquire(timeout=5))) == 3
    with lock:  # the forking thread may have it itself
        assert answer_of_child(lambda: int(lock.acquire(timeout=5))) == 1


LOGGING = """
import os, threading, time
from fastnn.forks import ForkSafeLock
lock, entered = ForkSafeLock(awaited=True), threading.Event()
def work():
    import logging
    with lock.here:
        entered.set()
        time.sleep(0.5)
        logging.getLogger("of somebody")
threading.Thread(target=work).start()
entered.wait()
pid = os.fork()
if pid == 0:
    os._exit(int(lock.here.acquire(timeout=5)))
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_what_is_waited_for_may_log():
    """Every fork takes the lock of logging, too: were that taken first, each would wait for the other."""
    began = time.monotonic()
    run = run_python("-W", "ignore", "-c", LOGGING)
    assert (run.stdout, run.stderr) == ("1\n", "")
    assert time.monotonic() - began < forks._PATIENCE  # which is what ends a deadlock


def test_two_threads_fork_at_the_same_time():
    lock, answers = ForkSafeLock(awaited=True), []

    def fork():
        for _ in range(10):
            answers.append(answer_of_child(lambda: int(lock.here.acquire(timeout=5))))

    def work():
        while len(answers) < 20:
            with lock.here:
                time.sleep(1e-4)

    threads = [threading.Thread(target=target) for target in (fork, fork, work)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [1] * 20


def test_locks_that_are_gone_are_forgotten():
    before = len(forks._known())
    kept = [ForkSafeLock() for _ in range(10)]
    assert len(forks._known()) == before + 10
    del kept
    assert len(forks._known()) == before
