"""Whether training still leads to the same outputs: a change of the numbers nobody meant to make shows here.

    python -m benchmarks.predictions

in the folder above writes the figures anew, after a change that was meant.
"""

import json
from pathlib import Path

import numpy as np

from .common import Task, fit_settings, load_data, new_network, start_layers

_FIGURES = Path(__file__).with_name("predictions.json")
_CASES = ("H", "sklearn", "policy", "simplechains")
_SAMPLES = 1_000
_EPOCHS = 3
_SHOWN = 3  # rows of outputs that are kept for each case

TOLERANCES = {"float32": 1e-4, "float64": 1e-10}
"""Largest difference of an output, all of which are about 1: the order of sums differs between widths of vectors."""


class SamePrediction:
    """The largest difference between outputs after training and those that are kept; fails beyond the tolerance."""

    params = tuple(TOLERANCES)
    param_names = ("dtype",)
    timeout = 300

    def track_same_prediction(self, dtype):
        kept = json.loads(_FIGURES.read_text(encoding="utf-8"))
        differences = {case: float(np.abs(_outputs(case, dtype) - kept[case]).max()) for case in _CASES}
        # Not a number is no difference below the tolerance either.
        wrong = {case: found for case, found in differences.items() if not found <= TOLERANCES[dtype]}
        if wrong:
            raise AssertionError(f"outputs differ from {_FIGURES.name} by {wrong}, allowed {TOLERANCES[dtype]}")
        return max(differences.values())

    track_same_prediction.unit = "difference"


def _outputs(case, dtype):
    """Of the first samples, after training in the order that the network draws."""
    task = Task(case, dtype=dtype, samples=_SAMPLES)
    data, network = load_data(task, task.n), new_network(task, start_layers(task))
    network.fit(data.X, data.y, epochs=_EPOCHS, **fit_settings(task))
    return network.forward(data.X[:_SHOWN])


if __name__ == "__main__":
    _FIGURES.write_text(json.dumps({case: _outputs(case, "float64").tolist() for case in _CASES}, indent=1) + "\n")
