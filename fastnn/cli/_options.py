"""Options that are passed on to the library's parameters of the same names."""

import argparse
import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from fastnn import validation
from fastnn.formulas.activations import ROWS as ACTIVATIONS
from fastnn.formulas.costs import ROWS as COSTS
from fastnn.formulas.schedules import SCHEDULES
from fastnn.initializers import INITIALIZER_NAMES
from fastnn.inputs.labels import TASKS
from fastnn.inputs.scaling import SCALES
from fastnn.optimizers import LBFGS, OPTIMIZERS

EPOCHS = 10  # fit's own default is for patient users of a library; a command should come back soon
HIDDEN_UNITS = 30


class Option(NamedTuple):
    """An option that is passed on to the library's parameter of that name."""

    name: str
    kind: Callable[[str], Any]
    help: str


def sizes(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected whole numbers such as 784,30,10, got {text!r}") from None


def names(text: str) -> str | list[str]:
    return text.split(",") if "," in text else text


def columns(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _listed_names(text: str) -> list[str]:
    return text.split(",")


def _numbers(text: str) -> float | list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, or one for each layer, got {text!r}") from None
    return found if len(found) > 1 else found[0]


def _scale(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _target_scale(text: str) -> float | str | None:
    return None if text == "none" else _scale(text)


def missing(text: str) -> float | str:
    """What takes the place of missing values."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if text != "mean" and not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"expected mean or a number, got {text!r}")
    return text if text == "mean" else number


def _threads(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _listed(names: Iterable[str]) -> str:
    return " ".join(names)


_HIDDEN_NAMES = [name for name, row in ACTIVATIONS.items() if row.hidden]
NETWORK_OPTIONS = (
    Option("activation", names, f"of the hidden layers, one for all or A,B,... for each: {_listed(_HIDDEN_NAMES)}"),
    Option("output", str, f"activation of the output layer: {_listed(ACTIVATIONS)}"),
    Option("cost", str, f"what training minimises: {_listed(COSTS)}"),
    Option("initializer", str, f"how the weights start: {_listed(INITIALIZER_NAMES)}"),
    Option("scale", _scale, f"how inputs are scaled: a number that divides them, or {_listed(SCALES)}"),
    Option(
        "target_scale", _target_scale, f"of a regression how targets are scaled: a number, {_listed(SCALES)} or none"
    ),
    Option("task", str, f"what the labels are: {_listed(TASKS)}"),
    Option("input_scale", bool, "learn a scale for every input"),
    Option("dtype", str, f"of the weights and the arithmetic: {_listed(validation.DTYPES)}"),
    Option("seed", int, "start of the random numbers"),
)
FIT_OPTIONS = (
    Option("batch_size", int, "samples per step"),
    Option("schedule", str, f"how the learning rate changes, such as 'step(every=5)': {_listed(SCHEDULES)}"),
    Option("l1", _numbers, "strength of the l1 penalty, or A,B,... for each layer"),
    Option("l2", _numbers, "strength of the l2 penalty, or A,B,... for each layer"),
    Option("dropout", _numbers, "share of hidden units left out of every step, or A,B,... for each layer's inputs"),
    Option("max_norm", _numbers, "largest norm of a hidden unit's weights, or A,B,... for each layer"),
    Option("clip_value", float, "largest that a number of the gradient may be, after clip_norm"),
    Option("clip_norm", float, "largest norm of the whole gradient, before clip_value"),
    Option("class_weight", str, "balanced: all classes weigh the same"),
    Option("validation_split", float, "share of the samples to hold out and validate on, in place of test data"),
    Option("metrics", _listed_names, "A,B,... more figures on the validation data, by scikit-learn's names"),
    Option("max_time", float, "stop after so many seconds"),
    Option("threads", _threads, "threads that train together, or auto"),
)
OPTIMIZER_OPTIONS = (
    Option("learning_rate", float, "step size"),
    Option("momentum", float, "how much of the last step goes into the next"),
    Option("weight_decay", float, "strength of the decoupled decay of weights"),
)


KINDS: dict[str, Any] = {**OPTIMIZERS, LBFGS.name: LBFGS}
"""Classes of optimizers by name."""


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Default of every parameter that has one."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def _default_text(name: str, owners: Sequence[Callable[..., Any]]) -> str:
    """The default of a parameter for the help: one value, or one for each owner that has it."""
    found = [(owner.__name__.lower(), defaults(owner)[name]) for owner in owners if name in defaults(owner)]
    if len(found) == 1:
        none = {"max_time": "no limit", "target_scale": "standard where that can be", "task": "by looking"}
        return none.get(name, "none") if found[0][1] in (None, ()) else str(found[0][1])
    return ", ".join(f"{value} for {owner}" for owner, value in found)


def add_options(group: Any, options: Iterable[Option], owners: Sequence[Callable[..., Any]]) -> None:
    for option in options:
        text = f"{option.help} (default: {_default_text(option.name, owners)})"
        kind: dict[str, Any] = {"action": "store_true"} if option.kind is bool else {"type": option.kind}
        group.add_argument(flag(option.name), default=argparse.SUPPRESS, help=text, **kind)


def given(args: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Those of the options that the user gave."""
    return {name: getattr(args, name) for name in names if hasattr(args, name)}


def option_names(options: Iterable[Option]) -> list[str]:
    return [option.name for option in options]
