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
    classes: Any = None  # an array, when they have been checked
    target_scale: str | float | None = None


class Batch(NamedTuple):
    """Data as a network takes them."""

    X: Features
    targets: Targets
    weights: Array | None  # (n,) of the network's dtype, with a mean of 1


def check_wishes(wishes: Wishes, n_in: int, outputs: Outputs) -> Wishes:
    """What ``Network(...)`` was asked for."""
    missing, task, classes = wishes.missing, wishes.task, wishes.classes
    scale = _check_scale("scale", wishes.scale)
    target_scale = _check_scale("target_scale", wishes.target_scale)
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
    if target_scale is not None:
        _check_scalable(task, classes, outputs)
        task = labels.REGRESSION
    return Wishes(scale, missing, task, classes, target_scale)


def _check_scale(argument: str, scale: Any) -> str | float | None:
    if isinstance(scale, str):
        return validation.check_name(argument, scale, scaling.SCALES)
    return None if scale is None else float(validation.check_number(argument, scale, above=0))


def _check_scalable(task: str | None, classes: Array | None, outputs: Outputs) -> None:
    """Refuse a scale of targets where these are no quantities of any size."""
    if task not in (None, labels.REGRESSION) or classes is not None:
        raise ValueError(f"target_scale must not be given for task {task or labels.CLASSES!r}, only for 'regression'")
    if not labels.can_be_scaled(outputs.activation, outputs.targets, outputs.classifies):
        raise ValueError(
            "target_scale needs output 'identity' and a cost for quantities of any size such as 'quadratic', got "
            f"output {outputs.activation!r} and cost {outputs.cost!r}"
        )


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
    target_scaling : Scaling or None
        Of y; None as long as it is to be learned, and where there is none.
    """

    n_in: int
    outputs: Outputs
    wishes: Wishes
    scaling: Scaling | None = None
    names: Names = None
    targets: Names = None
    task: Task | None = None
    target_scaling: Scaling | None = None

    @classmethod
    def fresh(cls, n_in: int, outputs: Outputs, wishes: Wishes) -> "Reader":
        """Before the first fit; a scale that is a number, or none, need not be learned."""
        known = None
        if wishes.missing is None and not isinstance(wishes.scale, str):
            known = Scaling.by_number(n_in, 1.0 if wishes.scale is None else wishes.scale)
        number = wishes.target_scale
        of_targets = Scaling.by_number(outputs.n, number) if isinstance(number, float) else None
        return cls(n_in, outputs, wishes, known, target_scaling=of_targets)

    @property
    def learns_target_scale(self) -> bool:
        """Whether a scale of the targets is still to be learned."""
        return self.target_scaling is None and self.wishes.target_scale is not None

    @property
    def learns_scale(self) -> bool:
        """Whether any scale is still to be learned."""
        return self.scaling is None or self.learns_target_scale

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

    def settled(self, X: Any, y: Any, sample_weight: Any = None, rows: Array | None = None) -> "Reader":
        """What it is after a first fit on these data; itself if it is settled.

        Scales are learned from samples whose weight is not zero; of ``rows``, if there are any, alone.
        """
        if self.task is not None:
            return self
        answers = labels.read_targets(y, self.outputs.n)
        reader = replace(self, task=self._settled_task(answers.values), targets=answers.names)
        if self.learns_scale:
            rows = _weighing(X, sample_weight, rows)
        if self.learns_target_scale:
            labels.check_count(answers.values, tables.count_samples("X", X))
            reader = replace(reader, target_scaling=reader._learned_of_targets(answers.values, rows))
        if self.scaling is not None:  # the columns themselves are looked at when they are read
            return replace(reader, names=self.names or tables.names_of("X", X))
        table = self.table("X", X if rows is None else tables.cut_samples(X, rows), in_place=True)
        return replace(reader, names=table.names or self.names, scaling=self._learned(table))

    def _settled_task(self, y: Array) -> Task:
        return self.task or labels.settle(y, self.outputs, self.wishes.task, self.wishes.classes)

    def _learned_of_targets(self, y: Array, rows: Array | None) -> Scaling:
        """The scale of targets that are all looked at first."""
        scale = self.wishes.target_scale
        assert self.task is not None
        assert scale is not None
        exact = self.outputs._replace(dtype=np.dtype(np.float64))
        labels.encode(self.task, y, len(y), exact, Scaling.by_number(self.outputs.n))
        return scaling.learn_targets((y if rows is None else y[rows]).reshape(-1, self.outputs.n), scale)

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
        if isinstance(values, tables.Stored):
            features.check_stored("X", values, missing=wishes.missing is not None)
        else:
            features.check_values("X", values, table.names, missing=wishes.missing is not None)
        return scaling.learn(values, wishes.scale, wishes.missing)

    # --- in ---

    def table(self, argument: str, values: Any, in_place: bool = False) -> Table:
        """Samples (n, n_columns) as they are, with their columns in order.

        With ``in_place``, those that are stored elsewhere are not read.
        """
        if self.names is not None and self.task is not None:  # before what is in columns that do not belong there
            tables.check_columns(argument, tables.names_of(argument, values), self.names)
        if in_place and tables.is_stored(values):
            table = Table(tables.Stored(values), None)
        else:
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

    def plain(self, values: Any) -> Array | None:
        """Samples that kernels take from where they are, with NaN and infinity in them if there are any; or None.

        A prediction of one sample takes a few microseconds in all: nothing else is asked here.
        """
        if type(values) is not np.ndarray or self._as_is != (values.dtype, values.shape[1:]):
            return None
        found: Array = values
        return found if found.flags.c_contiguous and len(found) else None

    def features(self, argument: str, values: Any, finite: bool = True) -> Features:
        """Samples (n, n_columns), scaled; with ``finite=False`` those used as they are may hold NaN and infinity."""
        if not finite and (plain := self.plain(values)) is not None:
            return features.as_is(plain)
        return self.converted(argument, self.table(argument, values), finite)

    def converted(self, argument: str, table: Table, finite: bool = True) -> Features:
        """The same of what ``table`` gave."""
        if self.scaling is None:
            wished = f"scale={self.wishes.scale!r}" if isinstance(self.wishes.scale, str) else "missing"
            raise _unlearned(wished)
        if hasattr(table.values, "tocsr"):
            matrix = features.checked_csr(argument, table.values)
            return features.sparse_features(argument, matrix, self.scaling, self.outputs.dtype)
        return features.dense_features(argument, table, self.scaling, self.outputs.dtype, finite)

    def read(self, X: Any, y: Any, sample_weight: Any = None, class_weight: Any = None) -> Batch:
        """Checked samples, targets and weights; where the task is not settled, as a first fit would read them."""
        samples = self.features("X", X)
        tables.check_order(X, {"y": y, "sample_weight": sample_weight})
        return self.answered(samples, y, sample_weight, class_weight)

    def answered(self, samples: Features, y: Any, sample_weight: Any = None, class_weight: Any = None) -> Batch:
        """Samples with their targets and weights, without those that weigh nothing."""
        n_out = self.outputs.n
        answers = self._in_order("y", labels.read_targets(y, n_out), self.targets, n_out).values
        task = self._settled_task(answers)
        if self.learns_target_scale:
            raise _unlearned(f"target_scale={self.wishes.target_scale!r}")
        targets = labels.encode(task, answers, samples.n, self.outputs, self.target_scaling)
        weight = weights.check_sample_weight(sample_weight, samples.n)
        weight = weights.apply_class_weight(class_weight, task, targets, weight)
        samples, targets, weight = weights.without_weightless(samples, targets, weight)
        return Batch(samples, targets, None if weight is None else weight.astype(self.outputs.dtype))

    # --- out ---

    def in_units_of_y(self, outputs: Array) -> Array:
        """Outputs, or targets, (n, n_out) of the network as quantities at the scale of y; themselves without one."""
        if self.wishes.target_scale is None:
            return outputs
        if self.target_scaling is None:
            raise _unlearned(f"target_scale={self.wishes.target_scale!r}")
        return self.target_scaling.undo(outputs)

    def in_units_of_network(self, quantities: Array) -> Array:
        """The other way round."""
        return quantities if self.target_scaling is None else self.target_scaling.apply(quantities, quantities.dtype)

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
            "target_scale": wishes.target_scale,
            "wished_task": wishes.task,
            "wished_classes": _listed(wishes.classes),
            "names": None if self.names is None else list(self.names),
            "targets": None if self.targets is None else list(self.targets),
            "task": None if task is None else [task.kind, _listed(task.classes), task.column],
        }

    def to_arrays(self) -> dict[str, Array]:
        """The scalings, as far as they have been learned."""
        arrays: dict[str, Array] = {}
        for known, names in ((self.scaling, _ARRAYS), (self.target_scaling, _TARGET_ARRAYS)):
            if known is not None:
                arrays |= {name: getattr(known, field) for name, field in names.items()}
        return arrays

    @classmethod
    def from_record(cls, n_in: int, outputs: Outputs, header: dict[str, Any], arrays: dict[str, Array]) -> "Reader":
        """From what was saved, checked like a user's own arguments; takes its arrays out of ``arrays``."""
        task, classes, target_scale = header["wished_task"], header["wished_classes"], header.get("target_scale")
        wishes = check_wishes(Wishes(header["scale"], header["missing"], task, classes, target_scale), n_in, outputs)
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
        if wishes.target_scale is not None and any(name in arrays for name in _TARGET_ARRAYS):
            shift, unit = _saved_numbers(arrays, dict.fromkeys(_TARGET_ARRAYS, outputs.n))
            if np.isinf(unit).any():
                raise ValueError("its scale of targets holds numbers that are out of range")
            reader = replace(reader, target_scaling=Scaling(shift, unit))
        if reader.task is not None and reader.learns_scale:
            raise ValueError("it lacks a scale that its first fit has learned")
        return reader


_ARRAYS = {"input_shift": "shift", "input_unit": "unit", "input_fill": "fill"}
_TARGET_ARRAYS = {"target_shift": "shift", "target_unit": "unit"}


def _unlearned(wished: str) -> ValueError:
    return ValueError(f"{wished} is learned by the first fit: call fit before using the network")


def _weighing(X: Any, sample_weight: Any, rows: Array | None) -> Array | None:
    """Those of the rows whose weight is not zero; None for all samples."""
    if sample_weight is None:
        return rows
    own = weights.check_sample_weight(sample_weight, tables.count_samples("X", X))
    if own is None or own.all():
        return rows
    kept = np.flatnonzero(own) if rows is None else rows[own[rows] > 0]
    if not kept.size:
        raise ValueError("sample_weight must not be all zero")
    return kept


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
    n, filled = reader.n_columns, reader.n_columns if reader.wishes.missing else 0
    shift, unit, fill = _saved_numbers(arrays, dict(zip(_ARRAYS, (n, n, filled), strict=True)))
    if np.isinf(fill).any():
        raise ValueError("its scale holds numbers that are out of range")
    return Scaling(shift, unit, fill, reader.wishes.missing == "indicator")


def _saved_numbers(arrays: dict[str, Array], sizes: dict[str, int]) -> list[Array]:
    """A scale's arrays by their names, of these sizes: its shift and its unit come first."""
    found = [arrays.pop(name) for name in sizes]
    for (name, size), array in zip(sizes.items(), found, strict=True):
        if array.shape != (size,) or array.dtype != np.float64 or np.isnan(array).any():
            raise ValueError(f"its array {name!r} is not of {size} numbers in float64")
    shift, unit = found[:2]
    if not (unit > 0).all() or np.isinf(shift).any():
        raise ValueError("its scale holds numbers that are out of range")
    return found
