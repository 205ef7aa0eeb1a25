"""What the parts share: how far they go, what they found, and processes that may die or hang at any item."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 300.0  # until a process has imported and compiled what its first item needs, beside others
_MOST_FAILURES = 20  # that are told in words


class Limits(NamedTuple):
    """How far a part goes, whichever comes first."""

    amount: int
    seconds: float


class Result:
    """What a part did and found."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []

    def add(self, counts: dict[str, int], failures: list[str]) -> None:
        """Take in what was done and found elsewhere."""
        self.counts.update(counts)
        self.failures += failures

    def __str__(self) -> str:
        done = ", ".join(f"{count:,} {what}" for what, count in self.counts.items())
        told = [f"  FAILED {text}" for text in self.failures[:_MOST_FAILURES]]
        more = len(self.failures) - len(told)
        return "\n".join([f"{done}, {len(self.failures)} failed", *told, *([f"  and {more} more"] if more > 0 else [])])


class Clock:
    """Goes off after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def __bool__(self) -> bool:
        return time.monotonic() < self._end


def environment(**more: str) -> dict[str, str]:
    """The variables of a child process that imports this tree, the tests' helpers and the campaign."""
    path = os.pathsep.join([*map(str, (ROOT, ROOT / "tests", ROOT / "scripts")), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore", **more}


def start(code: str, *arguments: object, **variables: str) -> "subprocess.Popen[str]":
    """A child process that runs this code."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment(**variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def last_words(process: "subprocess.Popen[str]", seconds: float) -> tuple[str, str | None]:
    """What a process prints until its end, and what is wrong with that end."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return "", f"still running after {seconds:.0f} s"
    if process.returncode != 0:
        return out, f"exit code {process.returncode}: {' '.join(err.split()[-40:])}"
    return out, None


_HOST = """
import importlib, json, sys
part, first, end = importlib.import_module(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
attempt = part.attempts(*sys.argv[4:])
for number in range(first, end):
    counts, failures = attempt(number)
    print(json.dumps([number, counts, failures]), flush=True)
"""


class _Host:
    """A child process that makes the attempts of a part, one after the other, and a queue of what it says."""

    def __init__(self, module: str, first: int, end: int, arguments: tuple[object, ...]) -> None:
        self._process = start(_HOST, module, first, end, *arguments)
        self._lines: queue.Queue[str] = queue.Queue()
        self._errors: list[str] = []
        self._listeners = [threading.Thread(target=listen) for listen in (self._listen, self._listen_to_errors)]
        for listener in self._listeners:
            listener.start()

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put(line)
        self._lines.put("")

    def _listen_to_errors(self) -> None:
        self._errors += list(self._process.stderr or ())[-3:]

    def next_line(self, seconds: float) -> str:
        """The next line, or what kept it from coming."""
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            return f"hangs for {seconds:.0f} s"
        return line or f"exit code {self._process.wait()}: {' '.join(''.join(self._errors).split())}"

    def end(self) -> None:
        """Kill it, and close what led to it."""
        self._process.kill()
        for listener in self._listeners:
            listener.join()
        with self._process:
            pass


def hosted(module: str, limits: Limits, *arguments: object, seconds_each: float = 30.0) -> Result:
    """Make a part's attempts in child processes; one that dies or hangs is a failure, and a new one goes on."""
    result, clock, number = Result(), Clock(limits.seconds), 0
    while number < limits.amount and clock:
        host = _Host(module, number, limits.amount, arguments)
        try:
            patience = _START_SECONDS
            while number < limits.amount and clock:
                line = host.next_line(patience)
                number, patience = number + 1, seconds_each
                if not line.startswith("["):
                    result.failures.append(f"{module} {number - 1}: {line}")
                    break
                _, counts, failures = json.loads(line)
                result.add(counts, [f"{module} {number - 1}: {text}" for text in failures])
        finally:
            host.end()
    return result


def numbers(limits: Limits) -> Iterator[int]:
    """From 0, until one of the limits is reached."""
    clock = Clock(limits.seconds)
    for number in range(limits.amount):
        if not clock:
            return
        yield number


def text_of(error: BaseException) -> str:
    """An error in a few words, with the place that raised it."""
    trace: Any = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:150]}{place}"
