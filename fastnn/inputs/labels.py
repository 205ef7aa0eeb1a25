"""What a network is to learn: one of several classes, several labels at once, or quantities.

The first fit settles which (see `settle`), later data must agree, and answers come in the words that y came in.
"""

import contextlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import validation
from fastnn.formulas import ops
from fastnn.formulas.expressions import Expression
from fastnn.inputs.scaling import Scaling
from fastnn.inputs.tables import Table, read_table, with_names
from fastnn.validation import Targets

Array = NDArray[Any]

CLASSES, MULTILABEL, REGRESSION = TASKS = ("classes", "multilabel", "regression")

PROBABILITY_TOLERANCE = 1e-3  # a row of float32 probabilities from elsewhere sums to one about this well
_EXACT = 2**53  # up to here float64 tells whole numbers apart
_ROUNDING = 1e-6  # a few roundings of float32
_RANGES = {"probabilities": (0.0, 1.0), "distributions": (0.0, 1.0), "nonnegative": (0.0, np.inf)}  # of targets


class Outputs(NamedTuple):
    """What a network's last layer is."""

    n: int
    activation: str
    cost: str
    classifies: bool  # whether it is a cost over classes
    targets: str  # what the cost can make sense of, see ``formulas.costs.TARGETS``
    dtype: np.dtype[Any]
    probability: Expression | None = None  # of a class, from its output ``a``, where that is not the output itself

    def chances(self, a: Array) -> Array:
        """For every output how likely what it stands for is; 0.5 is where an answer changes."""
        if self.probability is None:
            return a
        found: Array = ops.compute([self.probability], {"a": a})[0]
        return found


@dataclass(frozen=True)
class Task:
    """What a network learns.

    Attributes
    ----------
    kind : str
        "classes", "multilabel" or "regression".
    classes : array (k,), or None
        What the outputs stand for, in their order; of a single output the two it tells apart. Of "classes" alone.
    column : bool
        Whether y came as (n, 1), so that answers do.
    """

    kind: str
    classes: Array | None = None
    column: bool = False

    @cached_property
    def plain(self) -> bool:
        """Whether the classes are the numbers of the outputs."""
        return self.classes is not None and _are_numbers_from_zero(self.classes)


def _are_numbers_from_zero(classes: Array) -> bool:
    return classes.dtype.kind in "iu" and bool((classes == np.arange(len(classes))).all())


def numbered(n_out: int) -> Array:
    """The classes of outputs that nobody has named."""
    return np.arange(max(n_out, 2))


# --- what y holds ---


def read_targets(values: Any, n_out: int) -> Table:
    """``y`` (n,) or (n, n_out) as numbers, bools or text, and what its columns are called where it has several."""
    array = read_labels("y", values)
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] != n_out):
        hint = "; for labels in one column pass np.ravel(y)" if array.ndim == 2 and array.shape[1] == 1 else ""
        raise ValueError(f"y must have shape (n,) or (n, {n_out}), got {validation.shape_text(array.shape)}{hint}")
    if array.dtype.kind == "U" and array.ndim == 2 and n_out > 1:
        raise ValueError(f"y must be one label for every sample (n,), got text {validation.shape_text(array.shape)}")
    return with_names("y", values, array) if array.ndim == 2 and n_out > 1 else Table(array, None)


def read_labels(argument: str, values: Any) -> Array:
    """Numbers, bools or text of any shape."""
    table = None if _is_text_or_object(values) else read_table(argument, values)
    array = np.asarray(values) if table is None else table.values
    if hasattr(array, "tocsr"):
        kind = type(values).__name__
        raise TypeError(f"{argument} must be a dense array, got a sparse {kind}: pass {argument}.toarray()")
    if array.dtype.kind == "U" and not hasattr(values, "dtype"):
        array = np.asarray(values, object)  # NumPy makes text of numbers and NaN beside text
    if array.dtype.kind in "UT":
        return array.astype(str)
    if array.dtype.kind == "O" and array.ndim > 0:
        return _from_objects(argument, array)
    if array.dtype.kind == "f" and not hasattr(values, "dtype") and (np.abs(array) > _EXACT).any():
        return _from_objects(argument, np.asarray(values, object))  # NumPy makes float64 of int64 beside uint64
    return validation.check_numeric(argument, values) if table is None else array


def _is_text_or_object(values: Any) -> bool:
    """Whether to look at single labels: in an array, a list, a column of a frame, or a frame of one column."""
    if hasattr(values, "toarray") or (isinstance(values, np.ndarray) and type(values) is not np.ndarray):
        return False
    if hasattr(values, "columns") and len(values.columns) != 1:
        return False
    try:
        return np.asarray(values).dtype.kind in "OUT"
    except ValueError:  # rows of different lengths
        return False


def _from_objects(argument: str, array: Array) -> Array:
    """Objects that are all text, all bools or all numbers."""
    for place, value in np.ndenumerate(array):
        if validation.is_missing(value) or (isinstance(value, float) and math.isnan(value)):
            where = validation.place_text(place)
            raise ValueError(f"{argument} must have an answer for every sample, got {value!r} {where}")
    kinds = {"text" if isinstance(v, str) else "bool" if isinstance(v, (bool, np.bool_)) else "" for v in array.flat}
    if kinds == {"text"}:
        return array.astype(str)
    if kinds == {"bool"}:
        return array.astype(bool)
    if all(isinstance(value, (int, np.integer)) for value in array.flat):
        return _whole(argument, array)
    return validation.numbers_of(argument, array, False, validation.place_text)


def _whole(argument: str, array: Array) -> Array:
    """Whole numbers of Python, which float64 would not tell apart beyond 2**53."""
    for dtype in (np.int64, np.uint64):
        with contextlib.suppress(OverflowError):
            return array.astype(dtype)
    wrong = next(value for value in array.flat if not -(1 << 63) <= value < 1 << 63)
    raise ValueError(f"{argument} must hold whole numbers of 64 bits, or text, got {wrong}")


def _check_whole(array: Array, n_out: int) -> None:
    if array.dtype.kind == "f":
        validation.check_finite("y", array)
        if not (array == np.floor(array)).all():
            raise ValueError(
                f"y must be whole-numbered class labels (n,) or targets (n, {n_out}), got fractions such as "
                f"{array[np.argmax(array != np.floor(array))]}"
            )


def _are_bits(matrix: Array) -> bool:
    return bool(((matrix == 0) | (matrix == 1)).all())


def _not_one_class(matrix: Array, shares: bool) -> Array:
    """For every row whether it is neither one-hot nor, where ``shares`` will do, sums to one."""
    if matrix.shape[1] == 1:
        wrong: Array = ~((matrix[:, 0] == 0) | (matrix[:, 0] == 1))
    elif shares:  # of a cost whose targets lie in [0, 1]
        wrong = ~(abs(matrix.sum(axis=1, dtype=np.float64) - 1) <= PROBABILITY_TOLERANCE)
    else:
        wrong = (np.count_nonzero(matrix, axis=1) != 1) | (matrix.max(axis=1) != 1)
    return wrong


def classes_of(matrix: Array) -> Array:
    """The class of every row of targets or probabilities: the largest, or a single one cut at one half."""
    result: Array = matrix.argmax(axis=1) if matrix.shape[1] > 1 else (matrix[:, 0] > 0.5).astype(np.int64)
    return result


# --- settling ---


def settle(y: Array, outputs: Outputs, kind: str | None, classes: Array | None) -> Task:
    """The task that the values which `read_targets` gives make it; ``kind`` and ``classes`` if given.

    Text, bools and, with several outputs, flat numbers are classes. So are one-hot rows and, of a cost over classes,
    rows that sum to one, and zeros and ones for a single output. Other zeros and ones in rows are labels of which
    several may hold at once, if the cost is one over classes. The rest are quantities.
    """
    flat = y.ndim == 1 or y.shape[-1] == 1
    column = y.ndim == 2 and outputs.n == 1
    if not len(y):  # refused when it is compared with X
        return Task(REGRESSION)
    kind = kind or (CLASSES if classes is not None else _kind_of(y, outputs))
    if kind != CLASSES:
        return Task(kind, None, column)
    if classes is None:
        labels = y.reshape(-1) if flat else np.empty(0, np.int64)
        classes = _classes_of(labels, outputs.n)
    return Task(CLASSES, classes, column)


def _kind_of(y: Array, outputs: Outputs) -> str:
    if y.dtype.kind == "U" or (y.dtype.kind == "b" and y.ndim == 1):
        return CLASSES
    if outputs.n > 1 and y.ndim == 1:
        return CLASSES
    if outputs.n == 1:
        return CLASSES if outputs.classifies and _are_two_labels(y) else REGRESSION
    if not _not_one_class(y, outputs.classifies).any():
        return CLASSES
    return MULTILABEL if outputs.classifies and _are_bits(y) else REGRESSION


def _are_two_labels(y: Array) -> bool:
    """Whether these are zeros and ones, or two other whole numbers."""
    if _are_bits(y):
        return True
    return bool(np.isfinite(y).all() and (y == np.floor(y)).all()) and len(np.unique(y)) == 2


def _classes_of(labels: Array, n_out: int) -> Array:
    """What the outputs stand for, where these labels are learned; empty labels are rows of a matrix."""
    expected = max(n_out, 2)
    if labels.dtype.kind in "iuf" and labels.size:
        _check_whole(labels, n_out)
        if labels.min() >= 0 and labels.max() < expected:
            return numbered(n_out)
    elif not labels.size:
        return numbered(n_out)
    found = np.unique(labels)
    if found.dtype.kind == "b":
        found = np.array([False, True])
    if len(found) != expected:
        shown = ", ".join(map(str, found[:6].tolist())) + (" ..." if len(found) > 6 else "")
        outputs = f"{n_out} outputs" if n_out > 1 else "a single output"
        cure = f"let sizes end with {len(found)}, or say which there are by " if len(found) > 1 else "say which by "
        numbers = validation.NUMBER_CURE if found.dtype.kind == "U" and _are_written_numbers(found) else ""
        raise ValueError(
            f"y must hold {expected} different labels for {outputs}, got {len(found)} ({shown}): "
            f"{cure}fastnn.Network(..., classes=[...]){numbers}"
        )
    return _plain_classes(found)


def _are_written_numbers(labels: Array) -> bool:
    """Whether all of these texts are numbers."""
    try:
        labels.astype(np.float64)
    except ValueError:
        return False
    return True


def _plain_classes(labels: Array) -> Array:
    """Whole numbers as int64, if they fit; other labels as they are."""
    if labels.dtype.kind in "Ub" or (labels.dtype.kind == "u" and labels.max() > np.iinfo(np.int64).max):
        return labels
    return labels.astype(np.int64)


def check_classes(values: Any, n_out: int) -> Array:
    """Classes that a user names: different ones, as many as the outputs tell apart."""
    array = read_labels("classes", values)
    expected = max(n_out, 2)
    if array.ndim != 1 or len(array) != expected:
        raise ValueError(
            f"classes must be a list of {expected} labels for {n_out} outputs, got shape "
            f"{validation.shape_text(array.shape)}"
        )
    if array.dtype.kind in "iuf":
        _check_whole(array, n_out)
        array = _plain_classes(array)
    if len(np.unique(array)) < expected:
        raise ValueError("classes must be different from each other")
    return array


# --- in and out ---


def can_be_scaled(activation: str, targets: str, classifies: bool) -> bool:
    """Whether targets may be shifted and stretched: any output can be reached, and the cost takes any numbers."""
    return activation == "identity" and targets == "any" and not classifies


def check_count(y: Array, n: int) -> None:
    """Refuse more or fewer targets than samples."""
    if len(y) != n:
        raise ValueError(f"y must have as many rows as X: expected {n}, got {len(y)}")


def encode(task: Task, y: Array, n: int, outputs: Outputs, scaling: Scaling | None = None) -> Targets:
    """Targets (n,) or (n, n_out) as the kernels take them; refused where they do not agree with the task.

    ``scaling`` is that of quantities, which must be in the dtype's range when they are scaled; so that answers, which
    come in float64, may be beyond it.
    """
    check_count(y, n)
    if task.kind == CLASSES and (y.ndim == 1 or y.dtype.kind == "U" or outputs.n == 1):
        return _encode_labels(task, y.reshape(-1), outputs)
    if y.dtype.kind == "U":
        raise TypeError(f"y must hold real numbers for task {task.kind!r}, got text such as {str(y.flat[0])!r}")
    given = y.reshape(n, -1)
    if given.shape[1] != outputs.n:
        raise ValueError(
            f"y must have shape (n, {outputs.n}) for task {task.kind!r}, got {validation.shape_text(y.shape)}"
        )
    if scaling is not None:
        validation.check_finite("y", given)
        return Targets(np.empty(0, np.int64), _scaled(given, scaling, outputs.dtype), False)
    matrix = _in_range(outputs, validation.cast("y", given, outputs.dtype))
    _check_not_lost(given, matrix)
    if task.kind == MULTILABEL and not _are_bits(matrix):
        place = tuple(map(int, np.argwhere((matrix != 0) & (matrix != 1))[0]))
        raise ValueError(f"y must hold zeros and ones for task 'multilabel', got {y[place]} at {list(place)}")
    if task.kind == CLASSES:
        wrong = _not_one_class(matrix, outputs.classifies)
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(
                f"y must hold one class in every row, as in the first fit, got {matrix[row].tolist()} in row {row}; "
                "for several labels at once pass fastnn.Network(..., task='multilabel'), for quantities "
                "task='regression'"
            )
    return Targets(np.empty(0, np.int64), matrix, task.kind == CLASSES)


def _check_not_lost(given: Array, matrix: Array) -> None:
    """Refuse targets of which nothing is left in the network's dtype."""
    if not matrix.any() and given.any():
        raise ValueError(
            f"y holds numbers such as {given[given != 0][0]}, which are all 0 in {matrix.dtype.name}: "
            'pass fastnn.Network(..., target_scale="standard"), or multiply y'
        )


def _scaled(matrix: Array, scaling: Scaling, dtype: np.dtype[Any]) -> Array:
    """Finite targets at the network's scale."""
    scaled = scaling.apply(matrix, dtype)
    if not np.isfinite(scaled).all():
        row = int(np.argmin(np.isfinite(scaled).all(axis=1)))
        raise ValueError(
            f"y must fit into {dtype.name} at the network's target_scale, got {matrix[row].tolist()} in row {row}"
        )
    return scaled


def _encode_labels(task: Task, labels: Array, outputs: Outputs) -> Targets:
    assert task.classes is not None
    numbers = _numbers_of_labels(task, labels, outputs.n)
    if outputs.n == 1:
        return Targets(np.empty(0, np.int64), numbers[:, np.newaxis].astype(outputs.dtype), True)
    return Targets(numbers, np.empty((0, outputs.n), outputs.dtype), True)


def _numbers_of_labels(task: Task, labels: Array, n_out: int) -> Array:
    """For every label the number of its class, as int64."""
    classes: Any = task.classes
    if labels.dtype.kind == "f":
        _check_whole(labels, n_out)
    if task.plain and labels.dtype.kind != "U":
        wrong = (labels < 0) | (labels >= len(classes))
        if wrong.any():
            shown = labels[int(wrong.argmax())]
            outputs = f"{n_out} outputs" if n_out > 1 else "a single output"
            raise ValueError(f"y must hold labels from 0 to {len(classes) - 1} for {outputs}, got {shown}")
        return np.array(labels, np.int64)  # nobody else's: kernels do not check them again
    if {labels.dtype.kind, classes.dtype.kind} == {"i", "u"}:  # which NumPy would compare as float64
        labels, classes = labels.astype(object), classes.astype(object)
    if (labels.dtype.kind == "U") == (classes.dtype.kind == "U"):
        order = np.argsort(classes, kind="stable")
        found = order[np.minimum(np.searchsorted(classes, labels, sorter=order), len(classes) - 1)]
        wrong = classes[found] != labels
    else:
        found, wrong = np.zeros(len(labels), np.int64), np.ones(len(labels), bool)
    if wrong.any():
        row = int(wrong.argmax())
        shown = ", ".join(map(repr, classes[:6].tolist())) + (" ..." if len(classes) > 6 else "")
        raise ValueError(
            f"y must hold one of the classes {shown}, got {labels[row : row + 1].tolist()[0]!r} in row {row}"
        )
    return np.ascontiguousarray(found, np.int64)


def _in_range(outputs: Outputs, matrix: Array) -> Array:
    """Targets that the cost can make sense of; one rounding outside of the range is taken for its end."""
    if outputs.targets in _RANGES:
        low, high = _RANGES[outputs.targets]
        least, most = matrix.min(), matrix.max()
        if least < low - _ROUNDING or most > high + _ROUNDING:
            wrong = least if least < low - _ROUNDING else most
            raise ValueError(f"y must lie in [{low:g}, {high:g}] for cost {outputs.cost!r}, got {wrong}")
        if least < low or most > high:
            matrix = np.clip(matrix, low, high)
    if outputs.targets == "distributions":
        sums = matrix.sum(axis=1)
        worst = int(np.argmax(abs(sums - 1)))
        if abs(sums[worst] - 1) > PROBABILITY_TOLERANCE:
            raise ValueError(f"y must hold probabilities that sum to 1 in every row, got {sums[worst]} in row {worst}")
    return matrix


def decode(task: Task, a: Array, outputs: Outputs) -> Array:
    """Answers from output activations: labels, zeros and ones, or the outputs themselves; of the shape that y had."""
    if task.kind == REGRESSION:
        return a if task.column or outputs.n > 1 else a[:, 0]
    if task.kind == MULTILABEL:
        return (outputs.chances(a) > 0.5).astype(np.int64)
    numbers = (outputs.chances(a)[:, 0] > 0.5).astype(np.int64) if outputs.n == 1 else a.argmax(axis=1)
    answers: Array = numbers if task.plain or task.classes is None else task.classes[numbers]
    return answers[:, np.newaxis] if task.column else answers


def probabilities(task: Task, a: Array, outputs: Outputs) -> Array:
    """Probabilities (n, k) of every class, or of every label of several that may hold at once."""
    if task.kind == REGRESSION:
        raise ValueError("predict_proba is for classifiers, but this network's task is 'regression': use predict")
    if outputs.probability is None and outputs.activation not in ("sigmoid", "softmax"):
        raise ValueError(f"predict_proba needs output 'sigmoid' or 'softmax', got {outputs.activation!r}")
    chances = outputs.chances(a)
    if outputs.activation == "softmax" or task.kind == MULTILABEL:
        return chances
    if outputs.n == 1:
        return np.hstack([1 - chances, chances])
    sums = chances.sum(axis=1, keepdims=True, dtype=np.float64)
    even = np.full_like(chances, 1 / outputs.n, dtype=np.float64)  # where all have underflowed
    shares: Array = np.divide(chances, sums, out=even, where=sums > 0).astype(a.dtype)
    return shares
