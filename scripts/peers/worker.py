"""One process for each peer and case, kept alive with its data and its compiled code.

Parent and worker exchange JSON, one object a line. The first line is the task, and the answer tells whether the
mathematics agrees; every further line asks for one more measurement, and the answer tells how long it took.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from environment import isa_variables

import fastnn
from peers import PREDICTORS, TRAINERS
from peers.cases import PREDICTIONS, Array, Task, load_data, start_layers
from peers.check import OUTPUT_TOLERANCES, TOLERANCES, error_of, output_error
from peers.measure import Sample, Steady, WorkerError

_SCRIPT = Path(__file__).parents[1] / "compare_peers.py"
_TIMEOUT = 900.0  # seconds for any one answer; compiling is the longest


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
        ready = _ready_to_predict if task.case in PREDICTIONS else _ready_to_train
        found = ready(name, task)
        subject = found.subject
        if subject:
            subject.warm_up()
        source = str(Path(fastnn.__file__).parents[1])
        answer({"error": found.error, "tolerance": found.tolerance, "note": found.note, "source": source})
        for _ in sys.stdin:
            assert subject is not None
            answer(subject.sample()._asdict())
    except ImportError as error:
        answer({"failed": f"not installed ({error})"})
    except WorkerError as error:
        answer({"failed": str(error)})
    except Exception as error:
        answer({"failed": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"})


class _Ready(NamedTuple):
    """A peer's error, what is allowed, what is to be timed if the error is within it, and a word about the peer."""

    error: float
    tolerance: float
    subject: Steady | None
    note: str = ""


def _ready_to_train(name: str, task: Task) -> _Ready:
    """Epochs on all data."""
    peer, tolerance = TRAINERS[name](), TOLERANCES[task.dtype]
    error = error_of(peer, task)
    if error > tolerance:
        return _Ready(error, tolerance, None)
    timed = min(max(task.batch, round(peer.share * task.n)), task.n)
    generator = np.random.default_rng(0)
    peer.prepare(task, load_data(task, task.n), start_layers(task))

    def order() -> Array | None:
        return None if peer.shuffles else generator.permutation(task.n)[:timed]

    subject = Steady(name, lambda count: peer.epochs(count, order), timed / task.n)
    return _Ready(error, tolerance, subject, peer.note)


def _ready_to_predict(name: str, task: Task) -> _Ready:
    """One batch."""
    peer, tolerance = PREDICTORS[name](), OUTPUT_TOLERANCES[task.dtype]
    if task.isa != "native" and not peer.limited:
        raise WorkerError(f"nothing keeps it to {task.isa}")
    X, layers = load_data(task, task.n).X, start_layers(task)
    peer.prepare(X, layers, task.threads)
    error = output_error(np.asarray(peer.forward()), X, layers)
    return _Ready(error, tolerance, Steady(name, peer.forwards) if error <= tolerance else None)


# --- in the parent ---


class Worker:
    """The parent's end: starts the process, has it check itself, asks it for epochs.

    Parameters
    ----------
    peer : str
        Which one.
    task : Task
        What it is to do.
    source : Path, optional
        Folder of the fastnn to use; without it the one that this script belongs to, whatever is installed.

    Raises
    ------
    WorkerError
        If the peer is not installed, fails or is too slow.
    """

    def __init__(self, peer: str, task: Task, source: Path | None = None) -> None:
        self.name, source = str(source or peer), source or _SCRIPT.parents[1]
        self._log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  (lives as long as the process)
        self._process = subprocess.Popen(
            [sys.executable, str(_SCRIPT), "--worker", peer],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, **isa_variables(task.isa), "PYTHONPATH": str(source)},
        )
        try:
            reply = self._ask(asdict(task))
            if Path(reply["source"]) != source.resolve():
                raise WorkerError(f"it uses the fastnn in {reply['source']}, not the one in {source}")
        except WorkerError:
            self.close()
            raise
        self.error, self.tolerance = float(reply["error"]), float(reply["tolerance"])
        self.note = str(reply["note"])

    @property
    def agrees(self) -> bool:
        """Whether the peer does the same mathematics as the reference."""
        return self.error <= self.tolerance

    def sample(self) -> Sample:
        """See Measurable."""
        return Sample(**self._ask({}))

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watchdog = threading.Timer(_TIMEOUT, self._process.kill)
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
            raise WorkerError(f"its process ended ({self._last_words()}) or took longer than {_TIMEOUT:g} s")
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
