"""Ctrl-C never lands where it would do harm, and is never lost."""

import os
import signal
import threading

import interrupting
import pytest
from children import run_python

from fastnn import interrupts
from fastnn.interrupts import held


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


@pytest.fixture
def handler():
    """A handler of somebody's own, which notes what comes and does not raise."""
    came = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append((number, frame)))
    yield came
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def nothing_is_left():
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before
    assert interrupts.Hold.innermost is None


def interrupted(action):
    """The interrupt that comes out of a call, and what the call noted until then."""
    done = []
    with pytest.raises(KeyboardInterrupt) as caught:
        action(done)
    return caught.value, done


def test_an_interrupt_waits_for_the_end():
    def action(done):
        with held():
            ctrl_c()
            ctrl_c()
            done.append(1)

    assert interrupted(action)[1] == [1]


def test_inside_of_another_hold_it_waits_for_the_end_of_that():
    def action(done):
        with held():
            with held() as inner:
                ctrl_c()
                inner.check()
                with inner.released():
                    done.append("inner")
            done.append("outer")

    assert interrupted(action)[1] == ["inner", "outer"]


def test_a_check_lets_it_come():
    def action(done):
        with held() as hold:
            hold.check()
            ctrl_c()
            done.append(1)
            hold.check()
            done.append(2)

    assert interrupted(action)[1] == [1]


@pytest.mark.parametrize("early", [False, True])
def test_other_peoples_code_is_interrupted_at_once_and_what_follows_is_held_again(early):
    """Also by what came before it began."""

    def action(done):
        with held() as hold:
            if early:
                ctrl_c()
            try:
                with hold.released():
                    ctrl_c()
                    done.append("too late")
            finally:
                ctrl_c()
                done.append("cleaned up")

    assert interrupted(action)[1] == ["cleaned up"]


def test_a_hold_in_a_released_stretch_holds():
    def inner(done):
        with held():
            ctrl_c()
            done.append(1)

    def action(done):
        with held() as outer, outer.released():
            done += interrupted(inner)[1]
            ctrl_c()
            done.append(2)

    assert interrupted(action)[1] == [1]


def test_an_error_is_not_lost_behind_an_interrupt():
    def action(_):
        with held():
            ctrl_c()
            raise ZeroDivisionError

    assert isinstance(interrupted(action)[0].__context__, ZeroDivisionError)


def test_a_handler_of_ones_own_is_asked_once_and_later(handler):
    with held() as hold:
        ctrl_c()
        assert handler == []
        hold.check()
        assert len(handler) == 1
        with hold.released():
            ctrl_c()
            assert len(handler) == 2
        ctrl_c()
        assert len(handler) == 2
    assert len(handler) == 3
    assert {number for number, _ in handler} == {signal.SIGINT}
    assert all(frame is not None for _, frame in handler)


@pytest.mark.parametrize("disposition", [signal.SIG_IGN, signal.SIG_DFL], ids=["ignored", "default"])
def test_without_a_handler_there_is_nothing_to_hold(disposition):
    before = signal.signal(signal.SIGINT, disposition)
    try:
        with held() as hold, hold.released():
            hold.check()
            assert signal.getsignal(signal.SIGINT) is disposition
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_set_inside_stays(handler):
    later = []

    def other(*_):
        later.append(1)

    before = signal.getsignal(signal.SIGINT)
    with held():
        ctrl_c()
        signal.signal(signal.SIGINT, other)
    assert signal.getsignal(signal.SIGINT) is other
    assert len(handler) == 1
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name != "posix", reason="pipes do not block only on POSIX")
def test_an_event_loop_that_watches_a_descriptor_hears_of_it_at_once(handler):
    reading, writing = os.pipe2(os.O_NONBLOCK)
    before = signal.set_wakeup_fd(writing)
    try:
        with held():
            ctrl_c()
            assert os.read(reading, 9) == bytes([signal.SIGINT])
        assert len(handler) == 1
        with pytest.raises(BlockingIOError):
            os.read(reading, 9)  # and of the same one not again
    finally:
        signal.set_wakeup_fd(before)
        os.close(reading)
        os.close(writing)


def test_another_thread_holds_nothing():
    answers = []

    def hold():
        with held() as hold, hold.released():
            hold.check()
            answers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert answers == [signal.getsignal(signal.SIGINT)]


class Guarded:
    """A lock and a count that must agree, with other people's code in the middle."""

    def __init__(self):
        self.lock, self.count, self.held = threading.Lock(), 0, True

    def work(self):
        with held() as hold:
            self.lock.acquire()
            self.count += 1
            try:
                with hold.released():
                    sum(range(3))
                hold.check()
            finally:
                self.held = hold._closed
                self.count -= 1
                self.lock.release()


@pytest.mark.parametrize("instructions", [False, True], ids=["lines", "instructions"])
def test_at_every_place(instructions):
    """Python sees signals at fewer places than these."""
    guarded = Guarded()
    places = interrupting.count_places(guarded.work, instructions)
    for place in range(1, places + 1):
        outcome = interrupting.interrupt_at(guarded.work, place, instructions)
        assert outcome is not None
        assert outcome.interrupted, f"lost at {outcome.place}"
        assert not guarded.lock.locked(), outcome.place
        assert guarded.held, outcome.place  # for a second one
        assert guarded.count == 0, outcome.place
        assert interrupts.Hold.innermost is None, outcome.place
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, outcome.place
    assert places > 20


FORKED = """
import os, signal, sys, threading
from fastnn.interrupts import Hold, held

def answer():
    # What a child makes of Ctrl-C.
    try:
        signal.raise_signal(signal.SIGINT)
        os._exit(3)
    except KeyboardInterrupt:
        os._exit(7)

def child_of(fork):
    pid = fork()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def fork_and_answer():
    pid = os.fork()
    if pid == 0:
        answer()
    return pid

found = []
with held():
    thread = threading.Thread(target=lambda: found.append(child_of(fork_and_answer)))
    thread.start()
    thread.join()

with held():
    pid = os.fork()
    if pid == 0:
        try:
            with held():
                signal.raise_signal(signal.SIGINT)
                inside = True
            inside = inside and Hold.innermost is not None
        except KeyboardInterrupt:
            inside = False
        # The hold goes on in the child: its end is not seen here, so only that nothing came out.
        os._exit(7 if inside else 3)
    found.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

try:
    with held():
        signal.raise_signal(signal.SIGINT)
        pid = os.fork()
        if pid == 0:
            try:
                Hold.innermost.check()
            except KeyboardInterrupt:
                os._exit(3)
            os._exit(7)
        found.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
except KeyboardInterrupt:
    found.append("interrupt")
print(found)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_process_can_be_interrupted():
    """Also where another thread forked than the one that held; and what came before was for the parent."""
    run = run_python("-W", "ignore", "-c", FORKED, timeout=60)
    assert (run.stdout, run.stderr) == ("[7, 7, 7, 'interrupt']\n", "")
