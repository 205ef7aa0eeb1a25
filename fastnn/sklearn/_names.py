"""scikit-learn's names for what the engine calls otherwise."""

from collections.abc import Sequence
from typing import NamedTuple

from fastnn import validation
from fastnn.formulas.activations import ROWS as ACTIVATIONS

_ACTIVATIONS = {"logistic": "sigmoid"}
SOLVERS = ("lbfgs", "sgd", "adam")
HIDDEN_ACTIVATIONS = [*_ACTIVATIONS, *(name for name, row in ACTIVATIONS.items() if row.hidden)]


class Loss(NamedTuple):
    """A loss as the engine has it.

    Attributes
    ----------
    output : str
        Activation of the output layer, in scikit-learn's words.
    cost : str
        The engine's cost.
    mean_of_outputs : bool
        Whether the loss curve is the mean over the outputs, where the cost that is trained on is their sum.
    """

    output: str
    cost: str
    mean_of_outputs: bool = False


CLASSES = Loss("softmax", "log_likelihood")
YES_OR_NO = Loss("logistic", "cross_entropy")
REGRESSION = {
    "squared_error": Loss("identity", "quadratic", mean_of_outputs=True),
}


def engine_activation(name: str) -> str:
    """The engine's name of an activation."""
    return _ACTIVATIONS.get(name, name)


def engine_activations(activation: str | Sequence[str], hidden_layers: int) -> tuple[str, ...]:
    """The engine's names for every hidden layer.

    Raises
    ------
    ValueError, TypeError
        If a list has another length, or holds something else.
    """
    names = engine_activation(activation) if isinstance(activation, str) else [*map(engine_activation, activation)]
    return validation.check_activations(names, hidden_layers, [name for name, row in ACTIVATIONS.items() if row.hidden])


def drawing_activations(activation: str | Sequence[str], hidden_layers: int) -> list[str]:
    """Whose activation decides how widely a layer's weights are drawn; the output layer follows the last hidden one."""
    names = engine_activations(activation, hidden_layers)
    last = engine_activation(activation) if isinstance(activation, str) else (names or ["identity"])[-1]
    return [*names, last]
