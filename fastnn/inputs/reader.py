"""What one network knows of its data: how they are scaled, what their columns are called, what is learned from them."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import validation
from fastnn.inputs import features, labels, scaling, tables, weights
from fastnn.inputs.labels import Outputs, Task
from fastnn.inputs.scaling import Scaling
from fastnn.inputs.tables import Names, Table
from fastnn.validation import Features, Targets

Array = NDArray[Any]


class Wishes(NamedTuple):
    """What a user asked for; None leaves it to the data."""

    scale: str | float | None = None
    missing: str | None = None
    task: str | None = None
    classes: Array | None = None


class Batch(NamedTuple):
    """Data as a network takes them."""

    X: Features
    targets: Targets
    weights: Array | None  # (n,) of the network's dtype, with a mean of 1


def check_wishes(scale: Any, missing: Any, task: Any, classes: Any, n_in: int, outputs: Outputs) -> Wishes:
    """What ``Network(...)`` was asked for."""
    if isinstance(scale, str):
        validation.check_name("scale", scale, scaling.SCALES)
    elif scale is not None:
        scale = validation.check_number("scale", scale, above=0)
    if missing is not None:
        validation.check_name("missing", missing, scaling.MISSING)
    if missing == "indicator" and n_in % 2:
        raise ValueError(
            'sizes must begin with an even number where missing="indicator", every column of X and once more as many '
            f"indicators, got {n_in}"
        )
    if task is not None:
        validation.check_name("task", task, labels.TASKS)
    if task == labels.MULTILABEL and outputs.activation == "softmax":
        raise ValueError("task 'multilabel' needs independent outputs such as output='sigmoid', got 'softmax'")
    if classes is not None:
        if task not in (None, labels.CLASSES):
            raise ValueError(f"classes must not be given for task {task!r}")
        classes = labels.check_classes(classes, outputs.n)
    return Wishes(scale, missing, task, classes)


@dataclass(frozen=True)
class Reader:
    """How data become what a network takes, and outputs answers.

    Attributes
    ----------
    n_in : int
        Inputs of the network.
    outputs : Outputs
        Its last layer.
    wishes : Wishes
        What its user asked for.
    scaling : Scaling or None
        None as long as it is to be learned.
    names : tuple of str or None
        Of the columns, if the first fit came with a frame.
    targets : tuple of str or None
        Names of the columns of y, if the first fit came with a frame of several.
    task : Task or None
        None before the first fit.
    """

    n_in: int
    outputs: Outputs
    wishes: Wishes
    scaling: Scaling | None = None
    names: Names = None
    targets: Names = None
    task: Task | None = None

    @classmethod
    def fresh(cls, n_in: int, outputs: Outputs, wishes: Wishes) -> "Reader":
        """Before the first fit; a scale that is a number, or none, need not be learned."""
        known = None
        if wishes.missing is None and not isinstance(wishes.scale, str):
            known = Scaling.by_number(n_in, 1.0 if wishes.scale is None else wishes.scale)
        return cls(n_in, outputs, wishes, known)

    @property
    def n_columns(self) -> int:
        """Columns of X."""
        return self.n_in // 2 if self.wishes.missing == "indicator" else self.n_in

    @cached_property
    def answering(self) -> Task:
        """The task, or what it would be before the first fit."""
        if self.task is not None:
            return self.task
        kind = self.wishes.task
        if kind is None:
            known = self.outputs.classifies or self.wishes.classes is not None
            kind = labels.CLASSES if known else labels.REGRESSION
        classes = self.wishes.classes
        if kind == labels.CLASSES and classes is None:
            classes = labels.numbered(self.outputs.n)
        return Task(kind, classes, column=kind == labels.REGRESSION)

    # --- the first fit ---

    def settled(self, X: Any, y: Any, sample_weight: Any = None) -> "Reader":
        """What it is after a first fit on these data; itself if it is settled.

        A scale is learned from samples whose weight is not zero.
        """
        if self.task is not None:
            return self
        answers = labels.read_targets(y, self.outputs.n)
        reader = replace(self, task=self._settled_task(answers.values), targets=answers.names)
        if self.scaling is not None:  # the columns themselves are looked at when they are read
            return replace(reader, names=self.names or tables.names_of("X", X))
        if sample_weight is not None:
            own = weights.check_sample_weight(sample_weight, tables.count_samples("X", X))
            X = X if own is None or own.all() else tables.cut_samples(X, np.flatnonzero(own))
        table = self.table("X", X)
        return replace(reader, names=table.names or self.names, scaling=self._learned(table))

    def _settled_task(self, y: Array) -> Task:
        return self.task or labels.settle(y, self.outputs, self.wishes.task, self.wishes.classes)

    def _learned(self, table: Table) -> Scaling:
        wishes, values = self.wishes, table.values
        if hasattr(values, "tocsr"):
            matrix = features.checked_csr("X", values)
            if wishes.scale == "robust":
                raise ValueError(
                    "scale 'robust' needs dense X: a sparse column's quartiles are 0; use 'standard' or 'minmax'"
                )
            if wishes.missing is not None:
                raise ValueError(f"missing {wishes.missing!r} needs dense X, got a sparse {type(values).__name__}")
            entries = matrix.indptr[-1]
            return scaling.learn_sparse(
                matrix.data[:entries], matrix.indices[:entries], matrix.shape, str(wishes.scale)
            )
        features.check_values("X", values, table.names, missing=wishes.missing is not None)
        return scaling.learn(values, wishes.scale, wishes.missing)

    # --- in ---

    def table(self, argument: str, values: Any) -> Table:
        """Samples (n, n_columns) as they are, with their columns in order."""
        if self.names is not None and self.task is not None:  # before what is in columns that do not belong there
            tables.check_columns(argument, tables.names_of(argument, values), self.names)
        table = tables.read_table(argument, values, self.wishes.missing is not None)
        table = self._in_order(argument, table, self.names, self.n_columns)
        note = ""
        if self.wishes.missing == "indicator":
            note = f': half of the {self.n_in} inputs say where a value is missing, because missing="indicator"'
        features.check_shape(argument, table, self.n_columns, note)
        return table

    def _in_order(self, argument: str, table: Table, known: Names, n_columns: int) -> Table:
        """With its columns as the first fit had them."""
        if self.task is None or not (table.numbered or table.names is not None):
            return table
        return tables.put_right(argument, table, known, n_columns)

    @cached_property
    def _as_is(self) -> tuple[np.dtype[Any], tuple[int]] | None:
        """Dtype and shape, but for the number of samples, of arrays that are used as they are."""
        plain = self.scaling is not None and self.scaling.common == 1
        return (self.outputs.dtype, (self.n_columns,)) if plain else None

    def features(self, argument: str, values: Any, finite: bool = True) -> Features:
        """Samples (n, n_columns), scaled; with ``finite=False`` those used as they are may hold NaN and infinity."""
        plain = not finite and type(values) is np.ndarray and self._as_is == (values.dtype, values.shape[1:])
        if plain and len(values):
            return features.as_is(values)  # a prediction of one sample takes a few microseconds in all
        if self.scaling is None:
            wished = f"scale={self.wishes.scale!r}" if isinstance(self.wishes.scale, str) else "missing"
            raise ValueError(f"{wished} is learned by the first fit: call fit before using the network")
        table = self.table(argument, values)
        if hasattr(table.values, "tocsr"):
            matrix = features.checked_csr(argument, table.values)
            return features.sparse_features(argument, matrix, self.scaling, self.outputs.dtype)
        return features.dense_features(argument, table, self.scaling, self.outputs.dtype, finite)

    def read(self, X: Any, y: Any, sample_weight: Any = None, class_weight: Any = None) -> Batch:
        """Checked samples, targets and weights; where the task is not settled, as a first fit would read them."""
        samples = self.features("X", X)
        return self.answered(samples, y, sample_weight, class_weight)

    def answered(self, samples: Features, y: Any, sample_weight: Any = None, class_weight: Any = None) -> Batch:
        """Samples with their targets and weights, without those that weigh nothing."""
        n_out = self.outputs.n
        answers = self._in_order("y", labels.read_targets(y, n_out), self.targets, n_out).values
        task = self._settled_task(answers)
        targets = labels.encode(task, answers, samples.n, self.outputs)
        weight = weights.check_sample_weight(sample_weight, samples.n)
        weight = weights.apply_class_weight(class_weight, task, targets, weight)
        samples, targets, weight = weights.without_weightless(samples, targets, weight)
        return Batch(samples, targets, None if weight is None else weight.astype(self.outputs.dtype))

    # --- out ---

    def answers(self, outputs: Array) -> Array:
        """What ``predict`` says."""
        return labels.decode(self.answering, outputs, self.outputs)

    def probabilities(self, outputs: Array) -> Array:
        """What ``predict_proba`` says."""
        return labels.probabilities(self.answering, outputs, self.outputs)

    # --- in a file ---

    def to_header(self) -> dict[str, Any]:
        """All but the scaling, for JSON."""
        wishes, task = self.wishes, self.task
        return {
            "scale": wishes.scale,
            "missing": wishes.missing,
            "wished_task": wishes.task,
            "wished_classes": _listed(wishes.classes),
            "names": None if self.names is None else list(self.names),
            "targets": None if self.targets is None else list(self.targets),
            "task": None if task is None else [task.kind, _listed(task.classes), task.column],
        }

    def to_arrays(self) -> dict[str, Array]:
        """The scaling, if it has been learned."""
        if self.scaling is None:
            return {}
        return {name: getattr(self.scaling, field) for name, field in _ARRAYS.items()}

    @classmethod
    def from_record(cls, n_in: int, outputs: Outputs, header: dict[str, Any], arrays: dict[str, Array]) -> "Reader":
        """From what was saved, checked like a user's own arguments; takes its arrays out of ``arrays``."""
        wished = header["wished_classes"]
        wishes = check_wishes(header["scale"], header["missing"], header["wished_task"], wished, n_in, outputs)
        reader = cls.fresh(n_in, outputs, wishes)
        if header["task"] is not None:
            kind, classes, column = header["task"]
            validation.check_name("task", kind, labels.TASKS)
            known = None if classes is None else labels.check_classes(classes, outputs.n)
            if (known is None) != (kind != labels.CLASSES):
                raise ValueError("its classes do not go with its task")
            reader = replace(reader, task=Task(kind, known, validation.check_flag("column", column)))
        names = _saved_names(header["names"], reader.n_columns)
        reader = replace(reader, names=names, targets=_saved_names(header.get("targets"), outputs.n))
        if any(name in arrays for name in _ARRAYS):
            reader = replace(reader, scaling=_saved_scaling(reader, arrays))
        return reader


_ARRAYS = {"input_shift": "shift", "input_unit": "unit", "input_fill": "fill"}


def _listed(classes: Array | None) -> list[Any] | None:
    return None if classes is None else classes.tolist()


def _saved_names(saved: Any, n: int) -> Names:
    if saved is None:
        return None
    names = tuple(saved)
    if len(names) != n or not all(isinstance(name, str) for name in names):
        raise ValueError(f"it lacks the names of {n} columns")
    return names


def _saved_scaling(reader: Reader, arrays: dict[str, Array]) -> Scaling:
    shift, unit, fill = (arrays.pop(name) for name in _ARRAYS)
    n, filled = reader.n_columns, reader.n_columns if reader.wishes.missing else 0
    for name, array, size in zip(_ARRAYS, (shift, unit, fill), (n, n, filled), strict=True):
        if array.shape != (size,) or array.dtype != np.float64 or np.isnan(array).any():
            raise ValueError(f"its array {name!r} is not of {size} numbers in float64")
    if not (unit > 0).all() or np.isinf(shift).any() or np.isinf(fill).any():
        raise ValueError("its scale holds numbers that are out of range")
    return Scaling(shift, unit, fill, reader.wishes.missing == "indicator")
