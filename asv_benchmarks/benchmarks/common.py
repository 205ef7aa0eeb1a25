"""Cases and data, the same ones that the comparison with other libraries uses.

asv runs ``setup`` before every sample, so what is costly is kept here for as long as the process lives: asv gives every
benchmark and every parameter a process of its own. The kernels on disk are keyed by a hash of all kernel sources: two
commits never share machine code.
"""

import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import fastnn

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from peers.cases import CASES, Array, Task, load_data, start_layers
from peers.ours import fit_settings, new_network
from peers.with_numpy import NumpyBatch
from peers.worker import Worker

__all__ = [
    "CASES",
    "NumpyBatch",
    "Task",
    "Trainee",
    "Worker",
    "fit_settings",
    "load_data",
    "new_network",
    "ready",
    "start_layers",
]


class Trainee(NamedTuple):
    """A network with its data and settings."""

    network: fastnn.Network
    X: Array
    y: Array
    settings: dict[str, Any]

    def epoch(self) -> None:
        """Train for one epoch."""
        self.network.fit(self.X, self.y, epochs=1, **self.settings)


@lru_cache(maxsize=2)
def ready(
    case: str,
    dtype: str = "float32",
    optimizer: str | None = None,
    pixels: bool = False,
    samples: int | None = None,
    threads: int = 1,
) -> Trainee:
    """A network that has been through an epoch: its kernels are compiled for exactly these types.

    Parameters
    ----------
    case : str
        One of CASES.
    dtype : str
        Of the network.
    optimizer : str, optional
        Instead of the case's own.
    pixels : bool
        Whether X is an array of bytes.
    samples : int, optional
        At most so many.
    threads : int
        To train on.

    Returns
    -------
    Trainee
        Kept until two others have been asked for.
    """
    task = Task(case, optimizer, dtype, threads, samples)
    data = load_data(task, task.n)
    network = new_network(task, start_layers(task), 255 if pixels else None)
    trainee = Trainee(network, data.pixels if pixels else data.X, data.y, fit_settings(task))
    trainee.epoch()
    return trainee
