"""What commands read: named sets and files, by the rules of `fastnn.datasets`, told in options instead of arguments."""

import os
import re
import shlex
from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np
from numpy.typing import NDArray

from fastnn import datasets, validation
from fastnn.cli._options import HIDDEN_UNITS
from fastnn.cli._writing import Failure
from fastnn.datasets import DataFileError, Dataset
from fastnn.datasets._categories import Categories, Key, check_categories, check_leave_out
from fastnn.datasets._files import scale_note
from fastnn.formulas import activations, costs
from fastnn.inputs import tables
from fastnn.inputs.labels import CLASSES, PROBABILITY_TOLERANCE, REGRESSION, can_be_scaled
from fastnn.network import Network

Array = NDArray[Any]
_USUAL_CLASSES = 26  # of whole numbers: letters; ages and ratings are more
_MOST_CLASSES = 1000  # texts beyond it, of fewer than twice as many samples, are rather names of the samples
_QUANTITIES = "taken for the targets of a regression"  # as a reader's note says it


class Data(NamedTuple):
    """Samples and where they came from."""

    source: str
    X: Array
    y: Array
    columns: tuple[str, ...] | None = None


class Loaded(NamedTuple):
    """What a name or a file stands for; a test part where it brings one."""

    facts: Dataset
    train: Data
    test: Data | None

    @property
    def to_measure(self) -> Data:
        """The test part, or all there is."""
        return self.test or self.train


class Reading(NamedTuple):
    """How a network's files are read; kept with the network, so that all commands do the same.

    Attributes
    ----------
    label_column : int or str
        Of CSV files, see ``fastnn.datasets.read_csv``.
    number : int or None
        The label's column where a file has no header and ``label_column`` is a name.
    missing : float, "nan" or None
        What stands for a missing value; "nan" leaves that to the network.
    categories : "onehot", mapping or None
        Of CSV files: "onehot" to learn them, else the texts of training; None of a network that knows none.
    leave_out : tuple of str or int
        Columns of CSV files that are left out.
    """

    label_column: int | str = 0
    number: int | None = None
    missing: float | str | None = None
    categories: Categories = None
    leave_out: tuple[Key, ...] = ()

    @classmethod
    def asked(cls, label_column: str | None, missing: float | str | None, leave_out: tuple[Key, ...]) -> "Reading":
        """From the options of a training, which learns categories."""
        reading = cls(missing="nan" if missing == "mean" else missing, categories="onehot", leave_out=leave_out)
        return reading.with_label(label_column)

    def with_label(self, label_column: str | None) -> "Reading":
        """The same with the label's column as an option says it; without one it is the first."""
        wanted: int | str = 0 if label_column is None else label_column
        is_number = label_column is None or re.fullmatch(r"-?\d{1,9}", label_column)
        return self._replace(label_column=wanted, number=int(wanted) if is_number else None)

    @classmethod
    def of(cls, network: Network, label_column: str | None) -> "Reading":
        """As the network was trained; options have precedence.

        Raises
        ------
        ValueError
            If what its file says is damaged.
        """
        kept = network._reading
        categories, leave_out = kept.get("categories"), kept.get("leave_out", [])
        reading = cls(
            kept.get("label_column", 0),
            kept.get("number", 0),
            kept.get("missing"),
            None if categories is None else _checked_categories(categories),
            tuple(check_leave_out(leave_out)),
        )
        if not isinstance(reading.label_column, str):
            validation.check_whole("label_column", reading.label_column, at_least=None)
        if reading.number is not None:
            validation.check_whole("number", reading.number, at_least=None)
        if network._reader.wishes.missing is not None:
            reading = reading._replace(missing="nan")
        elif reading.missing is not None:
            validation.check_number("missing", reading.missing)
        return reading if label_column is None else reading.with_label(label_column)

    def after(self, facts: Dataset) -> "Reading":
        """For other files like this one: columns go by their names, if they have any, and categories are known."""
        known = self._replace(categories=facts.categories, leave_out=facts.left_out)
        return known if facts.label is None else known._replace(label_column=facts.label)

    def to_header(self, facts: Dataset) -> dict[str, Any]:
        """What is kept, as JSON has it, with a network that was trained on this file."""
        kept = self.after(facts)
        known = facts.categories
        return {
            **kept._asdict(),
            "missing": None if kept.missing == "nan" else kept.missing,
            "categories": None if known is None else [[key, list(texts)] for key, texts in known.items()],
            "leave_out": list(kept.leave_out),
        }

    def options(self) -> dict[str, Any]:
        """What a reader of files is called with, besides the label's column."""
        return {"missing": self.missing, "categories": self.categories, "leave_out": self.leave_out}


def _checked_categories(pairs: Any) -> Mapping[Key, tuple[str, ...]]:
    """Categories from what a file says.

    Raises
    ------
    ValueError, TypeError
        If it is damaged.
    """
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise ValueError("its categories are not pairs of a column and its texts")
    found = {}
    for key, texts in pairs:
        if not isinstance(texts, list) or key in found:
            raise ValueError(f"its categories do not list the texts of column {key!r} once")
        found[key] = tuple(texts)
    check_categories(found)
    return found


def is_name(data: str) -> bool:
    """Whether this is meant as the name of a data set: no such file, and nothing of a path about it."""
    is_path = Path(data).suffix or os.sep in data or (os.altsep and os.altsep in data) or Path(data).exists()
    return data in datasets._LOADERS or not is_path


def in_words_of_command(text: str, command: str) -> str:
    """A reader's advice with options in place of arguments."""
    text = re.sub(r'fastnn\.Network\(\.\.\., missing="mean"\)', "missing=mean", text)
    again = "" if command == "train" else "fastnn train "
    text = text.replace('categories="onehot" makes', "fastnn train makes")
    text = re.sub(r"\bleave_out=\[(.*?)\](?= leaves| with)", lambda found: again + _leave_out_option(found[1]), text)
    text = re.sub(r"\bmissing='?", "--missing " if command == "train" else "fastnn train --missing ", text)
    return re.sub(r"\blabel_column=", "--label-column ", text).replace("--missing mean'", "--missing mean")


def _leave_out_option(listed: str) -> str:
    """The option for columns as Python lists them."""
    columns = [a or b or c for a, b, c in re.findall(r"""'([^']*)'|"([^"]*)"|(\d+)""", listed)]
    return f"--leave-out {shlex.quote(','.join(columns))}"


def load(data: str, reading: Reading, command: str) -> Loaded:
    """Samples with their labels; a file may be all for training."""
    if is_name(data):
        if reading.leave_out and reading.categories == "onehot":
            raise ValueError(f"leave_out goes with CSV files: {data} has no names of columns")
        X, y, Xt, yt = datasets.load(data)
        facts = Dataset(X, y, task=CLASSES, classes=np.unique(y), test=(Xt, yt))
        return Loaded(facts, Data(data, X, y), Data(data, Xt, yt))
    return load_file(data, reading, command)


def load_file(data: str, reading: Reading, command: str) -> Loaded:
    """Samples with their labels from what can only be a file."""
    facts = _read(data, reading, command, lambda column: _labelled(data, column, reading))
    assert facts.y is not None
    test = None if facts.test is None else Data(data, _filled(facts.test[0], reading), facts.test[1], facts.columns)
    return Loaded(facts, Data(data, facts.X, facts.y, facts.columns), test)


def load_inputs(data: str, network: Network, reading: Reading) -> Dataset:
    """Samples to predict, whose labels are not needed, in the order of the network's columns."""
    if is_name(data):
        return Dataset(datasets.load(data)[2])
    n = network._reader.n_columns
    facts = _read(data, reading, "predict", lambda column: _unlabelled(data, n, column, reading))
    return replace(facts, X=in_order(Data(data, facts.X, np.empty(0), facts.columns), network.columns).X)


def _labelled(data: str, column: int | str, reading: Reading) -> tuple[Dataset, bool]:
    return datasets.read_file(data, column, **reading.options()), True


def _unlabelled(data: str, n: int, column: int | str, reading: Reading) -> tuple[Dataset, bool]:
    """What was read, and whether it has as many features as there should be."""
    facts = datasets.read_features(data, n, column, **reading.options())
    return facts, facts.X.shape[1] == n


def _read(data: str, reading: Reading, command: str, read: Callable[[int | str], tuple[Dataset, bool]]) -> Dataset:
    """Read a file; one without a header has the label where the training's file had it."""
    failure: DataFileError | None = None
    facts: Dataset | None = None
    fits = False
    try:
        facts, fits = read(reading.label_column)
    except DataFileError as error:
        failure = error
    if not fits and isinstance(reading.label_column, str) and reading.number is not None:
        try:
            other, _ = read(reading.number)
        except DataFileError:  # the first failure says more
            pass
        else:
            facts = other if other.columns is None else facts
    if facts is None:
        raise Failure(in_words_of_command(str(failure), command)) from failure
    if len(facts.X) == 0:
        raise Failure(f"{data}: expected at least one sample, found none")
    return replace(facts, X=_filled(facts.X, reading))


def _filled(X: Array, reading: Reading) -> Array:
    """Samples of other formats than CSV, too, with a number in place of NaN, if one was given."""
    if reading.missing in (None, "nan") or X.dtype.kind != "f" or not np.isnan(X).any():
        return X
    return np.where(np.isnan(X), X.dtype.type(reading.missing), X)


def in_order(data: Data, known: tuple[str, ...] | None) -> Data:
    """The same samples with their columns in the order of those that training saw."""
    try:
        table = tables.in_order("X", tables.Table(data.X, data.columns), known)
    except ValueError as error:
        raise Failure(f"{data.source}: {error}") from error
    return data._replace(X=table.values, columns=table.names)


def in_words_of_network(data: Data, network: Network) -> Data:
    """The same labels as text, where they are numbers by chance and the network's are text."""
    classes = network.classes
    if classes is not None and classes.dtype.kind == "U" and data.y.dtype.kind == "i" and data.y.ndim == 1:
        return data._replace(y=data.y.astype(str))
    return data


def check_data(network: Network, command: str, *sources: Data) -> None:
    """Refuse data that do not go with the network, before anything is trained: here the file can be named."""
    reader = network._reader
    for data in sources:
        try:
            reader = reader.settled(data.X, data.y)
            reader.read(data.X, data.y)
        except (ValueError, TypeError) as error:
            raise Failure(f"{data.source}: {in_words_of_command(str(error), command)}") from error


# --- the network that data want ---


def network_arguments(loaded: Loaded, layers: list[int] | None, given: dict[str, Any]) -> dict[str, Any]:
    """What to call ``fastnn.Network`` with: what was given, the rest as the data want it."""
    facts, source = loaded.facts, loaded.train.source
    options = dict(given)
    if facts.scale is not None:
        options.setdefault("scale", facts.scale)
    task = given.get("task")
    if task == CLASSES and facts.y is not None and facts.y.ndim == 1:
        facts = replace(facts, classes=np.unique(facts.y))
    quantities = _are_quantities(facts, layers, task)
    if quantities:
        options = _for_regression(options)
    options["sizes"] = layers or [facts.X.shape[1], HIDDEN_UNITS, _n_outputs(source, facts, quantities)]
    if not quantities and _are_to_be_named(facts.classes, options["sizes"][-1]):
        options["classes"] = facts.classes
    return options


def label_note(facts: Dataset, label_column: str | None) -> list[str]:
    """Which column the labels were read from, where nobody has said so and the reader has not either."""
    if label_column is not None or not isinstance(facts.label, str) or any("labels are read" in n for n in facts.notes):
        return []
    assert facts.columns is not None
    example = shlex.quote(facts.columns[-1].partition("=")[0]) if facts.columns else "NAME"
    return [f"labels are read from the first column, {facts.label!r}; --label-column names another, such as {example}"]


def notes_on_training(facts: Dataset, options: dict[str, Any], given: Container[str]) -> list[str]:
    """What to tell of data to train on, one line each, and of options but those that were given."""
    quantities = _are_quantities(facts, options["sizes"], options.get("task"))
    said = _notes_on_file(facts, "train", quantities)
    if not quantities and "task" not in given and _may_be_quantities(facts.classes):
        said.append(
            f"{len(facts.classes):,} different whole numbers such as {facts.classes[-1]} are taken for classes "
            "(--task regression takes them for quantities)"
        )
    if facts.scale is not None and "scale" not in given:
        said.append(f"the samples look like images: pixels are divided by {facts.scale:g}")
    if options.get("target_scale") is not None and "target_scale" not in given:
        said.append(
            "targets are brought to a mean of 0 and a standard deviation of 1, of which costs are told; predictions "
            "are in the file's units (--target-scale none leaves targets as they are)"
        )
    return said


def notes_on_use(facts: Dataset, command: str) -> list[str]:
    """What to tell of data for a network that is trained: what they are to be taken for is known."""
    return _notes_on_file(facts, command, False)


def _notes_on_file(facts: Dataset, command: str, quantities: bool) -> list[str]:
    said = [note for note in facts.notes if quantities or _QUANTITIES not in note]
    # What the reader says of scales is no advice here: either it is followed, or the user knows better.
    said = [note for note in said if note not in scale_note(facts.scale)]
    filled = f"are filled with their column's mean{'' if command == 'train' else ' in training'}"
    return [in_words_of_command(note.replace("are left NaN", filled), command) for note in said]


def _may_be_quantities(classes: Array | None) -> TypeGuard[Array]:
    """Whether these are more numbers than classes usually have."""
    return classes is not None and classes.dtype.kind in "iuf" and len(classes) > _USUAL_CLASSES


def _are_quantities(facts: Dataset, layers: list[int] | None, task: str | None) -> bool:
    """Whether to learn a regression: a user's word, else a reader's opinion, but several outputs are classes."""
    y = facts.y
    if task is not None:
        return task == REGRESSION
    if facts.task != REGRESSION or y is None:
        return False
    if y.ndim == 2:
        return not _are_shares(y)
    return layers is None or layers[-1] == 1 or not np.array_equal(y, np.floor(y))


def _are_shares(y: Array) -> bool:
    """Whether every row holds probabilities of classes."""
    return y.shape[1] > 1 and bool((y >= 0).all() and (abs(y.sum(axis=1) - 1) <= PROBABILITY_TOLERANCE).all())


def _for_regression(given: dict[str, Any]) -> dict[str, Any]:
    """Output, cost and scale of the targets of a regression, where they are not given."""
    options = dict(given)
    if "output" not in options:
        output = activations.resolve("identity", "output")
        if "cost" not in options or costs.resolve(options["cost"]).goes_with(output):
            options["output"] = "identity"
    options.setdefault("cost", "quadratic")
    if "target_scale" not in options and _can_be_scaled(options):
        options["target_scale"] = "standard"
    return options


def _can_be_scaled(options: dict[str, Any]) -> bool:
    """Whether targets may be scaled with this output and this cost."""
    cost = costs.resolve(options["cost"])
    return can_be_scaled(options.get("output", ""), cost.targets, cost.classifies)


def _n_outputs(source: str, facts: Dataset, quantities: bool) -> int:
    y, classes = facts.y, facts.classes
    assert y is not None
    if y.ndim == 2:
        return len(y[0])
    if quantities or classes is None:
        return 1
    if len(classes) > max(_MOST_CLASSES, len(y) / 2):
        raise Failure(
            f"{source}: {len(classes):,} different labels such as {str(classes[0])!r} are too many classes for "
            f"{len(y):,} samples; for labels in another column say --label-column NAME"
        )
    return max(len(classes), 2)


def _are_to_be_named(classes: Array | None, n_out: int) -> bool:
    """Whether outputs stand for these classes; the first samples may not hold all, and the library would miss some."""
    if classes is None or len(classes) != max(n_out, 2):
        return False
    if classes.dtype.kind == "U":
        return True
    return n_out > 1 and not np.array_equal(classes, np.arange(n_out))
