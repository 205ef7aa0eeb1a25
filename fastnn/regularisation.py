"""What holds each layer small, from the arguments of ``fit``: one number for all layers, or one for each."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from fastnn import validation
from fastnn.engine import LayerStep, Penalty

_NONE = float("inf")


class Wishes(NamedTuple):
    """The arguments of ``fit`` that may differ from layer to layer, as they came."""

    l1: Any = 0.0
    l2: Any = 0.0
    dropout: Any = 0.0
    max_norm: Any = None
    weights_rate: Any = 1.0
    biases_rate: Any = 1.0


def layer_steps(wishes: Wishes, n_layers: int) -> tuple[LayerStep, ...]:
    """How each layer is stepped and held small.

    A single number is for every layer; that of dropout for the units of hidden layers, and so for the inputs of every
    layer but the first; that of max_norm for the units of hidden layers, and so for every layer but the last.

    Raises
    ------
    ValueError, TypeError
        If a number is out of bounds, or a sequence has not one for each layer.
    """
    every = [True] * n_layers
    l1 = _numbers("l1", wishes.l1, every, 0.0, at_least=0)
    l2 = _numbers("l2", wishes.l2, every, 0.0, at_least=0)
    dropout = _numbers("dropout", wishes.dropout, [False, *every[1:]], 0.0, at_least=0, below=1)
    max_norm = _numbers("max_norm", wishes.max_norm, [*every[:-1], False], _NONE, above=0)
    weights = _numbers("weights_rate", wishes.weights_rate, every, 1.0, at_least=0)
    biases = _numbers("biases_rate", wishes.biases_rate, every, 1.0, at_least=0)
    rows = zip(l1, l2, weights, biases, max_norm, dropout, strict=True)
    return tuple(LayerStep(Penalty(a, b), *rest) for a, b, *rest in rows)


def _numbers(argument: str, given: Any, single: Sequence[bool], none: float, **bounds: float) -> list[float]:
    """A number for each layer; one alone is for the layers marked in ``single``, ``none`` for the others."""

    def number(name: str, value: Any) -> float:
        return none if value is None else validation.check_number(name, value, **bounds)

    if not isinstance(given, Sequence) or isinstance(given, str):
        value = number(argument, given)
        return [value if marked else none for marked in single]
    if len(given) != len(single):
        raise ValueError(f"{argument} must be one number, or one per layer: expected {len(single)}, got {len(given)}")
    return [number(f"{argument}[{i}]", value) for i, value in enumerate(given)]
