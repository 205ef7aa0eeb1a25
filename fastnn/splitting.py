"""Some of the samples held out of training, and samples by themselves."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.kernels.buffers import Data
from fastnn.training import Samples

Array = NDArray[Any]


def hold_out(samples: Samples, share: float, generator: np.random.Generator, n_out: int) -> tuple[Samples, Samples]:
    """What is left to train on, in the order it came in, and what is held out, by itself.

    Of classes the held-out samples have the same proportions as all, and every class keeps one sample for training at
    least. Weights are brought to a mean of 1 on either side.
    """
    classes = _classes(samples, n_out)
    held = np.zeros(samples.n, bool)
    for members, count in _shares(classes, share):
        held[generator.permutation(members)[:count]] = True
    order = samples.order()
    train, rest = (_weighted(Samples(samples.data, len(rows), rows)) for rows in (order[~held], order[held]))
    return train, rest


def _classes(samples: Samples, n_out: int) -> Array:
    """The class of every sample; 0 for all where the task has none."""
    data, order = samples.data, samples.order()
    if not data.classify:
        return np.zeros(samples.n, np.int64)
    if data.labels.size:
        labels: Array = data.labels[order]
        return labels
    matrix = data.targets.reshape(-1, n_out)[order]
    numbers: Array = matrix.argmax(axis=1) if n_out > 1 else (matrix[:, 0] > 0.5).astype(np.int64)
    return numbers


def _shares(classes: Array, share: float) -> list[tuple[Array, int]]:
    """For every class its samples' places and how many of them to hold out: by largest remainders."""
    members = [np.flatnonzero(classes == label) for label in np.unique(classes)]
    sizes = np.array([len(places) for places in members])
    wanted = sizes * share
    counts = np.minimum(np.floor(wanted), sizes - 1).astype(np.int64)
    total = max(1, round(len(classes) * share))
    for i in np.argsort(counts - wanted, kind="stable"):
        if counts.sum() < total and counts[i] < sizes[i] - 1:
            counts[i] += 1
    return list(zip(members, counts.tolist(), strict=True))


def _weighted(samples: Samples) -> Samples:
    weights = samples.data.sample_weight
    if not weights.size or not samples.n:
        return samples
    mean = float(np.mean(weights[samples.order()], dtype=np.float64))
    return samples._replace(data=samples.data._replace(sample_weight=(weights / mean).astype(weights.dtype)))


def alone(samples: Samples, n_in: int, n_out: int) -> Data:
    """Data that hold these samples and no others."""
    data, rows = samples.data, samples.rows
    if rows is None:
        return data
    changed: dict[str, Any] = {}
    if data.starts.size:
        lengths = np.diff(data.starts)[rows]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        entries = np.arange(starts[-1]) + np.repeat(data.starts[:-1][rows] - starts[:-1], lengths)
        changed = {"starts": starts, "columns": data.columns[entries], "features": data.features[entries]}
    widths = {"pixels": n_in, "features": n_in, "labels": 1, "targets": n_out, "sample_weight": 1}
    for name, width in widths.items():
        values = getattr(data, name)
        if values.size and name not in changed:
            changed[name] = values.reshape(-1, width)[rows].reshape(-1)
    return data._replace(**changed)
