"""Weights of samples and of classes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import validation
from fastnn.inputs.labels import CLASSES, Task, classes_of
from fastnn.validation import Features, Targets

Array = NDArray[Any]

BALANCED = "balanced"


def check_sample_weight(values: Any, n: int) -> Array | None:
    """Weights (n,) in float64, none negative, not all zero, with a mean of 1; None where there are none.

    So a weighted mean over all samples is the mean of weight times what is weighed. A batch's share of the weights is
    1 on average only: an engine that divides by the sum of a batch's weights takes these as they are.
    """
    if values is None:
        return None
    own = check_as_they_are(values, n)
    if not own.any():
        raise ValueError("sample_weight must not be all zero")
    return with_mean_one(own)


def check_as_they_are(values: Any, n: int) -> Array:
    """Weights (n,) in float64, none negative; they may all be zero, as those of a part of the data."""
    array = validation.check_numeric("sample_weight", values)
    if array.shape != (n,):
        raise ValueError(f"sample_weight must have shape ({n},), got {validation.shape_text(array.shape)}")
    array = validation.cast("sample_weight", array, np.dtype(np.float64))
    if n and array.min() < 0:
        raise ValueError(f"sample_weight must not be negative, got {array.min()}")
    return array


def with_mean_one(weights: Array) -> Array:
    """Weights times the number that makes their mean 1."""
    with np.errstate(under="ignore"):
        relative = weights / weights.max()  # so that no sum overflows
        result: Array = relative * (len(relative) / relative.sum())
    return result


def check_class_weight(class_weight: Any) -> None:
    """Refuse what is neither "balanced" nor a mapping."""
    if isinstance(class_weight, str):
        validation.check_name("class_weight", class_weight, [BALANCED])
    elif not isinstance(class_weight, Mapping):
        cure = "; pass class_weight.to_dict()" if hasattr(class_weight, "to_dict") else ""
        raise TypeError(
            f"class_weight must be {BALANCED!r} or a mapping of classes to weights, got a "
            f"{type(class_weight).__name__}{cure}"
        )


def apply_class_weight(class_weight: Any, task: Task, targets: Targets, sample_weight: Array | None) -> Array | None:
    """Sample weights times those of their classes; "balanced" gives every class the same sum."""
    if class_weight is None:
        return sample_weight
    classes = _classes_to_weigh(task)
    check_class_weight(class_weight)
    numbers = _class_numbers(targets)
    weights = np.ones(len(numbers)) if sample_weight is None else sample_weight
    if isinstance(class_weight, Mapping):
        by_class = _from_mapping(class_weight, classes)
    else:
        sums = np.bincount(numbers, weights, minlength=len(classes))
        least = sums.min(where=sums > 0, initial=np.inf)
        by_class = np.divide(least, sums, out=np.zeros(len(sums)), where=sums > 0)
    factors = by_class[numbers]
    product = _share_of_largest(factors) * _share_of_largest(weights)  # neither overflows, nor are both tiny
    if not product.any():
        raise ValueError("class_weight must not make every sample's weight zero")
    return with_mean_one(product)


def _share_of_largest(weights: Array) -> Array:
    """Weights as shares of the largest one that there is; themselves where all are zero."""
    with np.errstate(under="ignore"):
        shares: Array = weights / (weights.max() or 1.0)
    return shares


def of_part(
    sample_weight: Any, class_weight: Mapping[Any, Any] | None, task: Task, targets: Targets, n: int
) -> Array | None:
    """Weights (n,) of a part of the data, in float64, as they are: the mean of all the data is not known here.

    They may all be zero: other parts need not be.
    """
    own = None if sample_weight is None else check_as_they_are(sample_weight, n)
    if class_weight is None:
        return own
    by_class: Array = _from_mapping(class_weight, _classes_to_weigh(task))[_class_numbers(targets)]
    with np.errstate(over="ignore", under="ignore"):
        weights = by_class if own is None else by_class * own
    if not np.isfinite(weights).all():
        raise ValueError("class_weight times sample_weight must be finite, but overflows: make either smaller")
    return weights


def _classes_to_weigh(task: Task) -> Array:
    """The classes that weights are for; refused where the task has none."""
    if task.kind != CLASSES or task.classes is None:
        raise ValueError(f"class_weight needs classes as targets, but the task is {task.kind!r}")
    return task.classes


def _class_numbers(targets: Targets) -> Array:
    return targets.labels if targets.labels.size else classes_of(targets.matrix)


def _from_mapping(class_weight: Mapping[Any, Any], classes: Array) -> Array:
    result, places = np.ones(len(classes)), {label: i for i, label in enumerate(classes.tolist())}
    for label, weight in class_weight.items():
        plain = label.item() if isinstance(label, np.generic) else label
        if plain not in places:
            raise ValueError(f"class_weight must be for the classes {list(places)}, got one for {plain!r}")
        result[places[plain]] = validation.check_number(f"class_weight[{plain!r}]", weight, at_least=0)
    return result


def without_weightless(X: Features, targets: Targets, weights: Array | None) -> tuple[Features, Targets, Array | None]:
    """The samples whose weight is not zero: a weight of zero is the same as absence."""
    if weights is None or weights.all():
        return X, targets, weights
    kept = np.flatnonzero(weights)
    return take_features(X, kept), take_targets(targets, kept), with_mean_one(weights[kept])


def csr_rows(starts: Array, rows: Array) -> tuple[Array, Array]:
    """Of some rows of a CSR matrix with these row starts: their own, and the places of their entries."""
    lengths = np.diff(starts)[rows]
    own = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return own, np.arange(own[-1]) + np.repeat(starts[:-1][rows] - own[:-1], lengths)


def take_features(X: Features, rows: Array) -> Features:
    """Some of the samples, as copies."""
    if not X.starts.size:
        return X._replace(values=X.values[rows], n=len(rows))
    starts, entries = csr_rows(X.starts, rows)
    return X._replace(values=X.values[entries], indices=X.indices[entries], starts=starts, n=len(rows))


def take_targets(targets: Targets, rows: Array | slice) -> Targets:
    """The targets of some samples, as copies."""
    labels, matrix = (values[rows] if values.size else values for values in (targets.labels, targets.matrix))
    return targets._replace(labels=labels, matrix=matrix)
