"""scikit-learn's names for what the engine calls otherwise."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

from sklearn.utils._param_validation import StrOptions

from fastnn.formulas import activations, costs
from fastnn.formulas.activations import Activation

SOLVERS = ("lbfgs", "sgd", "adam")
_ACTIVATIONS = {"logistic": "sigmoid"}
_OUTPUTS = {**_ACTIVATIONS, "exp": "identity"}  # the engine's outputs of counts are logarithms
_REGRESSION = {
    "squared_error": "quadratic",
    "absolute_error": "absolute",
    "quantile": "pinball",
}
_CLASSES = {
    "softmax": {"log_loss": "log_likelihood"},
    "logistic": {"log_loss": "cross_entropy"},
}
CLASS_LOSSES = ("log_loss", "focal")


class Loss(NamedTuple):
    """A loss as the engine has it.

    Attributes
    ----------
    output : str
        Activation of the output layer, in scikit-learn's words.
    cost : str
        The engine's cost.
    mean_of_outputs : bool
        Whether the loss is the mean over the outputs, where the cost that is descended is their sum.
    of_counts : bool
        Whether the loss has the terms that depend on the targets alone, which the cost leaves out.
    """

    output: str
    cost: str
    mean_of_outputs: bool = False
    of_counts: bool = False


def _renamed(spec: str, names: dict[str, str]) -> str:
    """A name in the engine's words, with its parameters as they are."""
    name, bracket, rest = spec.partition("(")
    return names.get(name.strip(), name) + bracket + rest


@cache
def class_loss(spec: str, output: str) -> Loss:
    """Of a classifier with this output."""
    return Loss(output, _renamed(spec, _CLASSES[output]))


@cache
def regression_loss(spec: str) -> Loss:
    """Of a regressor.

    Raises
    ------
    ValueError
        If there is none of that name, or it is one of classes.
    """
    if spec == "poisson":
        return Loss("exp", "poisson", of_counts=True)
    cost = costs.resolve(_renamed(spec, _REGRESSION), "loss")
    identity = activations.resolve("identity")
    if cost.classifies or cost.name == "poisson" or not cost.goes_with(identity):
        raise ValueError(f"loss {spec!r} is not one of a regression")
    return Loss("identity", cost.spec, mean_of_outputs=True)


def quantiles(loss: Loss) -> int:
    """How many quantiles of one target such a loss fits; 0 for all others."""
    return len(costs.resolve(loss.cost).units)


def engine_output(name: str) -> str:
    """The engine's activation of the output layer."""
    return _OUTPUTS.get(name, name)


def hidden_activations(activation: Any, layers: int) -> tuple[Activation, ...]:
    """The engine's activations of the hidden layers.

    Raises
    ------
    ValueError, TypeError
        If a list has another length, or something in it is unknown.
    """
    if isinstance(activation, str):
        return _same_for_all(activation, layers)
    one = isinstance(activation, Activation)
    return activations.resolve_hidden(activation if one else [*map(_engine_word, activation)], layers)


@cache
def _same_for_all(name: str, layers: int) -> tuple[Activation, ...]:
    return activations.resolve_hidden(_engine_word(name), layers)


def _engine_word(activation: Any) -> Any:
    return _ACTIVATIONS.get(activation, activation) if isinstance(activation, str) else activation


def draws_narrowly(activation: Any, layers: int) -> list[bool]:
    """For every layer whether its parameters are drawn for the logistic function.

    The output layer follows the parameter ``activation`` too, or the last of a list.
    """
    named = list(activation) if isinstance(activation, Sequence) and not isinstance(activation, str) else [activation]
    hidden = hidden_activations(activation, layers)
    (last,) = hidden_activations(named[-1], 1) if named else (None,)
    return [row is not None and row.name == "sigmoid" for row in (*hidden, last)]


class Known(StrOptions):
    """A constraint on a parameter: these names, or others that the engine knows, with their parameters."""

    def __init__(self, names: Sequence[str], resolve: Callable[[str], Any]) -> None:
        super().__init__(set(names))
        self._resolve = resolve

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether the engine takes it."""
        if not isinstance(val, str):
            return False
        try:
            self._resolve(val)
        except (ValueError, TypeError):
            return False
        return True


def known_activations() -> Known:
    """The constraint on the parameter ``activation``."""
    names = [*_ACTIVATIONS, *(name for name, row in activations.ROWS.items() if row.hidden)]
    return Known(names, lambda name: hidden_activations(name, 1))


def known_class_losses() -> Known:
    """The constraint on a classifier's loss."""
    return Known(CLASS_LOSSES, _resolve_class_loss)


def _resolve_class_loss(spec: str) -> None:
    for output in _CLASSES:
        cost = costs.resolve(class_loss(spec, output).cost, "loss")
        if not cost.goes_with(activations.resolve(engine_output(output))):
            raise ValueError(f"loss {spec!r} is not one of classes")


def known_regression_losses() -> Known:
    """The constraint on a regressor's loss."""
    return Known([*_REGRESSION, "poisson", "huber", "log_cosh"], regression_loss)
