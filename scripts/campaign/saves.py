"""Processes killed while they save: the file is always whole, and nothing is left behind."""

import os
import random
import signal
import tempfile
import time
from pathlib import Path

import fastnn
from campaign.base import Limits, Result, numbers, text_of


def _save_for_ever(nets: list[fastnn.Network], path: Path) -> None:
    while True:
        for net in nets:
            net.save(path)


def _kill_in_save(nets: list[fastnn.Network], path: Path, seconds: float) -> None:
    child = os.fork()
    if child == 0:
        try:
            _save_for_ever(nets, path)
        finally:
            os._exit(1)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def run(limits: Limits) -> Result:
    """Kill at random times, and read what is there."""
    result, generator = Result(), random.Random(0)
    nets = [fastnn.Network([784, 100, 10], seed=seed) for seed in (0, 1)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "net"
        nets[0].save(path)
        for _ in numbers(limits):
            _kill_in_save(nets, path, generator.uniform(0, 0.03))
            result.counts["kills in save"] += 1
            result.counts["of them in the middle of a file"] += len(os.listdir(folder)) - 1
            try:
                first = fastnn.load(path).weights[0]
            except Exception as error:
                result.failures.append(f"torn file: {text_of(error)}")
                continue
            if not any((first == net.weights[0]).all() for net in nets):
                result.failures.append("the file holds neither network")
            nets[0].save(path)
            if os.listdir(folder) != ["net"]:
                result.failures.append(f"left behind: {sorted(os.listdir(folder))}")
    return result
