"""Child processes, and what tests have them do: they find it by this module's name, not by that of a test."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import fastnn


def environment(**variables: str) -> dict[str, str]:
    """Variables of a child that is to import the library under test."""
    return {**os.environ, "PYTHONPATH": str(Path(fastnn.__file__).parents[1]), **variables}


def run_python(*arguments: str, timeout: float = 120, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run Python on its own, to its end, with these arguments and environment variables."""
    command = [sys.executable, *arguments]
    env = environment(**variables)
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout, check=False)


def sum_of_trained_weights() -> float:
    """Of a network that was trained on two threads."""
    generator = np.random.default_rng(0)
    X, y = generator.random((700, 100), np.float32), generator.integers(0, 10, 700)
    net = fastnn.Network([100, 70, 33, 10])
    net.fit(X, y, epochs=2, batch_size=50, l2=1e-4, threads=2)
    return float(net.weights[0].sum())


def answer_with_weights(answer: "multiprocessing.Queue[float]") -> None:
    answer.put(sum_of_trained_weights())
