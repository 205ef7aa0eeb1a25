"""Some of the samples: held out of training, weighed among themselves, by themselves."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.inputs import weights
from fastnn.inputs.labels import classes_of
from fastnn.inputs.reader import Reader
from fastnn.kernels.buffers import Data
from fastnn.training import Samples
from fastnn.validation import Targets

Array = NDArray[Any]


def cut_samples(values: Any, rows: Array) -> Any:
    """Some of the samples, or of their answers, in whatever these are."""
    if hasattr(values, "iloc"):
        return values.iloc[rows]
    if hasattr(values, "tocsr"):
        return values.tocsr()[rows]
    if hasattr(values, "column_names"):  # PyArrow
        return values.take(rows)
    return values[rows] if hasattr(values, "shape") else [values[i] for i in rows]


def split_rows(samples: Samples, share: float, generator: np.random.Generator, n_out: int) -> tuple[Array, Array]:
    """The rows of the data to train on, in their order, and those to hold out; there may be none of these.

    Of classes the held-out samples have the same proportions as all, and every class keeps one sample for training at
    least.
    """
    held = np.zeros(samples.n, bool)
    for members, count in _shares(_classes(samples, n_out), share):
        held[generator.permutation(members)[:count]] = True
    order = samples.order()
    return order[~held], order[held]


def _classes(samples: Samples, n_out: int) -> Array:
    """The class of every sample; 0 for all where the task has none."""
    data, order = samples.data, samples.order()
    if not data.classify:
        return np.zeros(samples.n, np.int64)
    if data.labels.size:
        labels: Array = data.labels[order]
        return labels
    return classes_of(data.targets.reshape(-1, n_out)[order])


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


def weighed(samples: Samples, reader: Reader, sample_weight: Any, class_weight: Any) -> Samples:
    """The same samples with weights, which ``fit`` on these rows alone would give them; without those of zero.

    ``samples`` have none; ``sample_weight`` is for all samples of the data.
    """
    if sample_weight is None and class_weight is None:
        return samples
    places, own, data = samples.order(), None, samples.data
    n = data.labels.size or data.targets.size // reader.outputs.n
    if sample_weight is not None:
        weights.check_sample_weight(sample_weight, n)
        own = weights.check_sample_weight(np.asarray(sample_weight)[places], len(places))
    if class_weight is not None:
        assert reader.task is not None
        own = weights.apply_class_weight(class_weight, reader.task, _targets(data, places, reader.outputs.n), own)
    assert own is not None
    rows = samples.rows
    if not own.all():
        kept = np.flatnonzero(own)
        own, places = weights.with_mean_one(own[kept]), places[kept]
        rows = places
    spread = np.zeros(n, reader.outputs.dtype)
    spread[places] = own
    return Samples(data._replace(sample_weight=spread), len(places), rows)


def _targets(data: Data, places: Array, n_out: int) -> Targets:
    if data.labels.size:
        return Targets(data.labels[places], data.targets, bool(data.classify))
    return Targets(data.labels, data.targets.reshape(-1, n_out)[places], bool(data.classify))


def alone(samples: Samples, n_in: int, n_out: int) -> Data:
    """Data that hold these samples and no others."""
    data, rows = samples.data, samples.rows
    if rows is None:
        return data
    changed: dict[str, Any] = {}
    if data.starts.size:
        starts, entries = weights.csr_rows(data.starts, rows)
        changed = {"starts": starts, "columns": data.columns[entries], "features": data.features[entries]}
    widths = {"pixels": n_in, "features": n_in, "labels": 1, "targets": n_out, "sample_weight": 1}
    for name, width in widths.items():
        values = getattr(data, name)
        if values.size and name not in changed:
            changed[name] = values.reshape(-1, width)[rows].reshape(-1)
    return data._replace(**changed)
