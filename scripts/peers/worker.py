"""One process for each peer and case, kept alive with its data and its compiled code.

Parent and worker exchange JSON, one object a line. The first line is the task, and the answer tells whether the
mathematics agrees; every further line asks for one epoch, and the answer tells how long it took.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from peers import EVERYONE
from peers.base import Peer
from peers.cases import Array, Task, load_data, start_layers
from peers.check import TOLERANCES, error_of

_SCRIPT = Path(__file__).parents[1] / "compare_peers.py"

_STEADY_SECONDS = 0.2  # what is timed at a time lasts at least so long


class WorkerError(Exception):
    """A worker cannot do what it was asked; the text says why."""


# --- in the worker ---


def serve(name: str) -> None:
    """Answer the parent until it closes the pipe.

    Parameters
    ----------
    name : str
        The peer.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not get between the answers

    def answer(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    try:
        task = Task(**json.loads(sys.stdin.readline()))
        peer = EVERYONE[name]()
        error = error_of(peer, task)
        if error <= TOLERANCES[task.dtype]:
            epochs = _Epochs(peer, task)
            epochs.run()  # the first one compiles
            epochs.run()  # and the second one tells how long one takes
        answer({"error": error, "tolerance": TOLERANCES[task.dtype]})
        for _ in sys.stdin:
            answer(epochs.run())
    except ImportError as error:
        answer({"failed": f"not installed ({error})"})
    except Exception as error:
        answer({"failed": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"})


class _Epochs:
    """Epochs of one peer on the whole data, timed."""

    def __init__(self, peer: Peer, task: Task) -> None:
        self._peer, self._n = peer, task.n
        self._timed = max(task.batch, round(peer.share * task.n))
        self._timed = min(self._timed, self._n)
        self._generator = np.random.default_rng(0)
        self._count = 1  # epochs timed together
        peer.prepare(task, load_data(task, task.n), start_layers(task))

    def _order(self) -> Array | None:
        return None if self._peer.shuffles else self._generator.permutation(self._n)[: self._timed]

    def run(self) -> dict[str, float]:
        """Seconds of one epoch, and how many processors were busy; of short ones, as many as make a steady state."""
        began, began_cpu = time.perf_counter(), time.process_time()
        self._peer.epochs(self._count, self._order)
        seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
        result = {"seconds": seconds / self._count * self._n / self._timed, "busy": cpu / seconds}
        self._count = max(1, math.ceil(_STEADY_SECONDS * self._count / seconds))
        return result


# --- in the parent ---


class Worker:
    """The parent's end: starts the process, has it check itself, asks it for epochs.

    Parameters
    ----------
    name : str
        The peer.
    task : Task
        What it is to do.
    timeout : float
        Seconds after which an answer is no longer waited for.

    Raises
    ------
    WorkerError
        If the peer is not installed, fails or is too slow.
    """

    def __init__(self, name: str, task: Task, timeout: float) -> None:
        self.name, self._timeout = name, timeout
        self._log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  (lives as long as the process)
        self._process = subprocess.Popen(
            [sys.executable, str(_SCRIPT), "--worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        try:
            reply = self._ask(asdict(task))
        except WorkerError:
            self.close()
            raise
        self.error, self.tolerance = float(reply["error"]), float(reply["tolerance"])

    @property
    def agrees(self) -> bool:
        """Whether the peer does the same mathematics as the reference."""
        return self.error <= self.tolerance

    def epoch(self) -> tuple[float, float]:
        """Seconds of one more epoch, and how many processors were busy."""
        reply = self._ask({})
        return reply["seconds"], reply["busy"]

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watchdog = threading.Timer(self._timeout, self._process.kill)
        watchdog.start()
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watchdog.cancel()
        if not line:
            raise WorkerError(f"its process ended ({self._last_words()}) or took longer than {self._timeout:g} s")
        reply: dict[str, Any] = json.loads(line)
        if "failed" in reply:
            raise WorkerError(reply["failed"])
        return reply

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().strip().splitlines()
        return lines[-1] if lines else "without a word"

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._log.close()
