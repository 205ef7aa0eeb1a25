"""How advice is worded where a training was started: by a call, an option, or in the words of a seed's document.

A finding's ``change`` says for programs what to pass to ``fastnn.Network`` and its ``fit``; here it becomes a sentence.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, NamedTuple

NETWORK_ARGUMENTS = ("scale", "target_scale", "activation", "output", "cost", "initializer")

Phrase = Callable[[str, "Facts"], str]


class Facts(NamedTuple):
    """What a sentence may need besides the change itself."""

    optimizer: Any
    n: int  # samples of the data


class Wording(NamedTuple):
    """The words of one place."""

    rate: str  # what the learning rate is called
    advise: Callable[[Mapping[str, Any], Facts], str]


def _source(optimizer: Any) -> str:
    """The call that makes this optimizer."""
    shown = [
        f"{part.name}={getattr(optimizer, part.name)!r}"
        for part in fields(optimizer)
        if part.name == "learning_rate" or getattr(optimizer, part.name) != part.default
    ]
    return f"fastnn.{type(optimizer).__name__}({', '.join(shown)})"


def _library(change: Mapping[str, Any], facts: Facts) -> str:
    built = [f"{name}={change[name]}" for name in NETWORK_ARGUMENTS if name in change]
    given = {name: str(source) for name, source in change.items() if name not in (*NETWORK_ARGUMENTS, "y")}
    if "learning_rate" in given:
        slower = replace(facts.optimizer, learning_rate=change["learning_rate"])
        given = {("optimizer" if k == "learning_rate" else k): v for k, v in given.items()} | {
            "optimizer": _source(slower)
        }
    calls = [f"fastnn.Network(..., {', '.join(built)})"] if built else []
    if given or "y" in change:
        arguments = [str(change.get("y", "y")), *(f"{name}={source}" for name, source in given.items())]
        calls.append(f"fit(X, {', '.join(arguments)})")
    return " and ".join(calls)


def _plain(source: Any) -> str:
    return str(source).strip('"')


def scaled_inputs(source: str) -> str:
    """The expression for X that a scale stands for."""
    if _plain(source) == "standard":
        return "(X - X.mean(axis=0)) / np.where(np.ptp(X, axis=0) > 0, X.std(axis=0), np.inf)"
    return f"X / {source}"


def _by_phrases(phrases: Mapping[str, Phrase], elsewhere: str) -> Callable[[Mapping[str, Any], Facts], str]:
    """Advice from a phrase for every argument; for others it is said where they can be set."""

    def advise(change: Mapping[str, Any], facts: Facts) -> str:
        said = [phrases[name](_plain(source), facts) for name, source in change.items() if name in phrases]
        other = {name: source for name, source in change.items() if name not in phrases}
        if other:
            said.append(f"{_library(other, facts)}, {elsewhere}")
        return " and ".join(said)

    return advise


def _divided(what: str) -> Phrase:
    def phrase(scale: str, facts: Facts) -> str:
        if scale == "standard":
            return f"bring every input of {what} to a mean of 0 and a standard deviation of 1"
        return f"divide {what} by {scale}"

    return phrase


_OFTEN: Phrase = lambda value, facts: "samples of the rare classes several times over"  # noqa: E731
_FEWER_EPOCHS: Phrase = lambda value, facts: "fewer epochs"  # noqa: E731

_NIELSEN: dict[str, Phrase] = {
    "learning_rate": lambda rate, facts: f"SGD(..., eta={rate})",
    "scale": _divided("every x"),
    "initializer": lambda name, facts: "weights = [w / np.sqrt(w.shape[1]) for w in weights] before training",
    "callbacks": _FEWER_EPOCHS,
    "class_weight": _OFTEN,
}
_MUSINGS: dict[str, Phrase] = _NIELSEN | {
    "learning_rate": lambda rate, facts: f"trainer(..., eta={rate})",
    "initializer": lambda name, facts: "initialize_weight() before training",
    "l2": lambda l2, facts: f"trainer(..., lmbda={float(l2) * facts.n:.2g})",
}
_NOTEBOOK: dict[str, Phrase] = {
    "learning_rate": lambda rate, facts: f"train(..., learning_rate={rate})",
    "scale": lambda scale, facts: f"train({scaled_inputs(scale)}, ...)",
    "initializer": lambda name, facts: f'train(..., initializer="{name}")',
    "callbacks": _FEWER_EPOCHS,
    "class_weight": _OFTEN,
}


def _option(name: str) -> Phrase:
    return lambda value, facts: f"--{name.replace('_', '-')} {value}"


_COMMAND: dict[str, Phrase] = {
    name: _option(name) for name in (*NETWORK_ARGUMENTS, "learning_rate", "l2", "class_weight")
} | {"callbacks": lambda value, facts: "fewer --epochs"}

_NO_ARGUMENT = "which can do what this class cannot"

LIBRARY = Wording("learning rate", _library)
WORDINGS = {
    "library": LIBRARY,
    "command": Wording("learning rate", _by_phrases(_COMMAND, "from Python")),
    "nielsen": Wording("eta", _by_phrases(_NIELSEN, _NO_ARGUMENT)),
    "musings": Wording("eta", _by_phrases(_MUSINGS, _NO_ARGUMENT)),
    "notebook": Wording("learning rate", _by_phrases(_NOTEBOOK, _NO_ARGUMENT)),
}
