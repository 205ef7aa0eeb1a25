"""Functions on several threads: all of them come home, whatever happens."""

import contextlib
import gc
import os
import signal
import sys
import threading

import interrupting
import pytest
from children import run_python

from fastnn.teamwork import Team


def nothing():
    pass


class Meeting:
    """Calls that wait for each other, as kernels do, and let go of the GIL."""

    def __init__(self, members):
        self.barrier = threading.Barrier(members, timeout=20)
        self.done = []

    def calls(self):
        return [(self.attend, (number,)) for number in range(self.barrier.parties)]

    def attend(self, number):
        with contextlib.suppress(threading.BrokenBarrierError):  # as kernels return when they are called off
            self.barrier.wait()
            self.done.append(number)

    def abort(self):
        self.barrier.abort()


def workers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("fastnn-")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert workers() == []


@pytest.mark.parametrize("members", [1, 2, 5])
def test_all_run_at_the_same_time(members):
    with Team() as team:
        for _ in range(50):
            meeting = Meeting(members)
            team.run(meeting.calls(), meeting.abort)
            assert sorted(meeting.done) == list(range(members))
        assert len(workers()) == members - 1  # the same ones every time


def test_the_first_call_is_made_in_this_thread():
    seen = []
    with Team() as team:
        team.run([(lambda: seen.append(threading.current_thread()), ()), (nothing, ())], nothing)
    assert seen == [threading.current_thread()]


def test_the_number_of_calls_may_change():
    with Team() as team:
        for members in (2, 4, 1, 3):
            meeting = Meeting(members)
            team.run(meeting.calls(), meeting.abort)
            assert len(meeting.done) == members
        assert len(workers()) == 3


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("error", [ZeroDivisionError, MemoryError, SystemExit, KeyboardInterrupt])
def test_an_error_ends_the_others_waiting_and_comes_out(error, number):
    meeting = Meeting(3)

    def fail(*_):
        raise error("in a call")

    with Team() as team:
        calls = meeting.calls()
        calls[number] = (fail, ())
        with pytest.raises(error, match="in a call"):
            team.run(calls, meeting.abort)
        meeting = Meeting(3)  # nothing is left of it
        team.run(meeting.calls(), meeting.abort)
        assert len(meeting.done) == 3


def test_where_there_are_no_more_threads_no_call_is_made(monkeypatch):
    start, started, made = threading.Thread.start, [], []

    def scarce(thread):
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    with Team() as team:
        monkeypatch.setattr(threading.Thread, "start", scarce)
        with pytest.raises(RuntimeError, match=r"no more than 3 of 5 threads.*smaller number as threads"):
            team.run([(made.append, (i,)) for i in range(5)], lambda: made.append("abort"))
        assert made == []
        team.run([(made.append, (i,)) for i in range(3)], nothing)
        assert sorted(made) == [0, 1, 2]


def test_arrays_are_not_kept():
    class Big:
        pass

    big, seen = Big(), []
    with Team() as team:
        team.run([(nothing, ()), (lambda it: seen.append(sys.getrefcount(it)), (big,))], nothing)
        gc.collect()
        assert sys.getrefcount(big) == 2


def test_a_team_that_nobody_knows_ends():
    team = Team()
    team.run([(nothing, ()), (nothing, ())], nothing)
    (thread,) = workers()
    del team
    thread.join(20)


def test_it_may_be_closed_twice_and_used_again():
    team = Team()
    for _ in range(2):
        team.run([(nothing, ()), (nothing, ())], nothing)
        team.close()
        team.close()
        assert workers() == []


# --- interrupts ---


@pytest.mark.parametrize("instructions", [False, True], ids=["lines", "instructions"])
@pytest.mark.parametrize("first", [False, True], ids=["ready", "first"])
def test_an_interrupt_at_every_place(instructions, first):
    """In the run that starts the threads, and in one that finds them ready."""
    team = Team()

    def run():
        meeting = Meeting(2)
        team.run([(nothing, ()), (meeting.done.append, (1,))], meeting.abort)

    try:
        if not first:
            run()
        places = interrupting.count_places(run, instructions)
        for place in range(1, places + 1):
            if first:
                team.close()
            outcome = interrupting.interrupt_at(run, place, instructions)
            if outcome is None:  # starting a thread waits for it in a loop, more or less often
                continue
            assert outcome.interrupted, f"lost at {outcome.place}"
            meeting = Meeting(3)
            team.run(meeting.calls(), meeting.abort)
            assert len(meeting.done) == 3, outcome.place
    finally:
        team.close()


# Signals from outside, at random times, to a process that does nothing but run and close teams, in its main thread or
# in another one. Prints how many runs there were and how many interrupts came out; a hang is for whoever waits.
HAILED = """
import os, signal, subprocess, sys, threading, time
from fastnn.teamwork import Team

HAIL = "; ".join([
    "import os, random, sys, time",
    "me = os.getppid()",
    "[(time.sleep(random.uniform(0, 2e-3)), os.kill(me, 2)) for _ in range(int(sys.argv[1]))]",
])
over, caught, runs, team = [], [], [], Team()

def call_all():
    runs.append(1)
    calls, done = [(time.sleep, (1e-4,)), (lambda: done.append(1), ()), (time.sleep, (2e-4,))], []
    try:
        team.run(calls, lambda: None)
    finally:
        if len(done) > 1:
            os._exit(1)
    if len(runs) % 7 == 0:
        team.close()

wait = call_all if sys.argv[2] == "main" else lambda: time.sleep(1)

def interrupt(number, frame):  # what comes elsewhere is no attack, but would end this
    while frame is not None and frame.f_code is not wait.__code__:
        frame = frame.f_back
    if frame is not None:
        raise KeyboardInterrupt

def call_until_over():
    while not over:
        call_all()

signal.signal(signal.SIGINT, interrupt)
hail = subprocess.Popen([sys.executable, "-c", HAIL, sys.argv[1]])
worker = threading.Thread(target=call_until_over, daemon=True)
if wait is not call_all:
    worker.start()
while hail.poll() is None:
    try:
        wait()
    except KeyboardInterrupt:
        caught.append(1)
over.append(1)
if wait is not call_all:
    worker.join()
print(len(runs), len(caught))
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("where", ["main", "another thread"])
def test_two_thousand_interrupts_at_random_times(where):
    run = run_python("-c", HAILED, "2000" if where == "main" else "300", where)
    assert run.stderr == ""
    runs, caught = map(int, run.stdout.split())
    assert runs > 50
    assert caught > 50


# --- forks ---


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_a_child_process_makes_its_own_threads(busy):
    """Also where another thread's run was going on at the fork."""
    entered, leave, team = threading.Event(), threading.Event(), Team()
    team.run([(nothing, ()), (nothing, ())], nothing)
    run = threading.Thread(
        target=team.run, args=([(entered.set, ()), (leave.wait, (20,))] if busy else [(entered.set, ())], nothing)
    )
    run.start()
    assert entered.wait(20)
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        meeting = Meeting(3)
        team.run(meeting.calls(), meeting.abort)
        team.close()
        os._exit(len(meeting.done))
    leave.set()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    run.join()
    team.close()


def test_the_threads_are_daemons():
    """An idle team must not keep a process from ending."""
    code = (
        "from fastnn.teamwork import Team\n"
        "team, seen = Team(), []\n"
        "team.run([(seen.append, (1,)), (seen.append, (2,))], lambda: None)\n"
        "print(*sorted(seen))"
    )
    run = run_python("-c", code, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "1 2\n", "")
