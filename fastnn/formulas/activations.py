"""The activations: one row each, from which kernels, derivatives, NumPy arithmetic and docs are made."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from fastnn import validation
from fastnn.formulas import checks, expressions, ops, specs
from fastnn.formulas.expressions import Expression
from fastnn.formulas.specs import Parameter
from fastnn.initializers import INITIALIZERS

_NONE: Mapping[str, Parameter] = MappingProxyType({})
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


class ActivationRow(NamedTuple):
    """One row of the registry.

    Attributes
    ----------
    name : str
        What users write.
    formula : callable or None
        ``(z, **parameters)`` over ``fastnn.ops``; None for softmax, which works on a whole row.
    summary : str
        What it is good for.
    source : str
        Where it comes from.
    parameters : mapping
        Its numbers that users may choose.
    from_output : callable, optional
        ``(a, **parameters)`` to the derivative, written on the output ``a``, where that is exact and cheaper.
    initializer : str
        The one that suits it.
    hidden : bool
        Whether hidden layers can use it.
    """

    name: str
    formula: Callable[..., Any] | None
    summary: str
    source: str
    parameters: Mapping[str, Parameter] = _NONE
    from_output: Callable[..., Any] | None = None
    initializer: str = "scaled"
    hidden: bool = True


@dataclass(frozen=True)
class Activation:
    """An activation with its parameters: what a name, or :func:`fastnn.activation`, stands for.

    Attributes
    ----------
    spec : str
        How users write it, with the parameters that differ from their defaults.
    name : str
        Its name alone.
    parameters : tuple of (str, float)
        All its parameters; those of a user's own are part of its formula.
    expression : Expression or None
        The function of ``z``; None for softmax.
    derivative : Expression or None
        Its derivative by ``z``.
    output_derivative : Expression or None
        The same as a function of the output ``a``, where the row has one.
    initializer, summary, source : str
        As in the row.
    hidden : bool
        Whether hidden layers can use it.
    own : bool
        Whether a user made it, so that a file must carry its formula.
    """

    spec: str
    name: str
    parameters: specs.Parameters
    expression: Expression | None
    derivative: Expression | None
    output_derivative: Expression | None = None
    initializer: str = "scaled"
    summary: str = ""
    source: str = ""
    hidden: bool = True
    own: bool = False

    def __str__(self) -> str:
        return self.spec

    @property
    def text(self) -> str:
        """The formula for people to read."""
        return "exp(z_j) / sum_k exp(z_k)" if self.expression is None else expressions.text(self.expression)

    def to_data(self) -> Any:
        """What a file keeps: the spec, or the name and formula of a user's own."""
        if not self.own or self.expression is None:
            return self.spec
        return {
            "name": self.name,
            "formula": expressions.to_data([self.expression]),
            "initializer": self.initializer,
        }


def _elu(z: Any, alpha: float) -> Any:
    return ops.where(z > 0, z, alpha * ops.expm1(z))


def _selu(z: Any) -> Any:
    return ops.where(z > 0, _SELU_SCALE * z, _SELU_SCALE * _SELU_ALPHA * ops.expm1(z))


def _gelu_tanh(z: Any) -> Any:
    return 0.5 * z * (1 + ops.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))


ROWS = {
    row.name: row
    for row in (
        ActivationRow(
            "identity", lambda z: z, "Outputs of regression.", "linear regression", from_output=lambda a: 1.0
        ),
        ActivationRow(
            "sigmoid",
            ops.sigmoid,
            "Outputs that are probabilities of their own; the books' hidden units.",
            "Rumelhart, Hinton and Williams 1986",
            from_output=lambda a: a * (1 - a),
        ),
        ActivationRow(
            "tanh",
            ops.tanh,
            "Hidden units with outputs around zero.",
            "LeCun et al. 1998",
            from_output=lambda a: 1 - a * a,
            initializer="glorot",
        ),
        ActivationRow(
            "relu",
            lambda z: ops.maximum(z, 0),
            "The usual hidden units: cheap, and they do not saturate above.",
            "Nair and Hinton 2010",
            from_output=lambda a: ops.where(a > 0, 1, 0),
            initializer="he",
        ),
        ActivationRow(
            "leaky_relu",
            lambda z, slope: ops.where(z > 0, z, slope * z),
            "A relu whose units cannot die.",
            "Maas, Hannun and Ng 2013",
            {"slope": Parameter(0.01, "slope below zero", at_least=0, below=1)},
            lambda a, slope: ops.where(a > 0, 1, slope),
            "he",
        ),
        ActivationRow(
            "elu",
            _elu,
            "Smooth below zero, outputs around zero.",
            "Clevert, Unterthiner and Hochreiter 2016",
            {"alpha": Parameter(1.0, "minus the value far below zero", above=0)},
            lambda a, alpha: ops.where(a > 0, 1, a + alpha),
            "he",
        ),
        ActivationRow(
            "selu",
            _selu,
            "Keeps mean 0 and variance 1 through many layers.",
            "Klambauer et al. 2017",
            from_output=lambda a: ops.where(a > 0, _SELU_SCALE, a + _SELU_SCALE * _SELU_ALPHA),
            initializer="scaled",
        ),
        ActivationRow(
            "gelu",
            lambda z: 0.5 * z * (1 + ops.erf(math.sqrt(0.5) * z)),
            "The hidden units of transformers.",
            "Hendrycks and Gimpel 2016",
            initializer="he",
        ),
        ActivationRow(
            "gelu_tanh",
            _gelu_tanh,
            "The approximation of gelu that GPT-2 was trained with.",
            "Hendrycks and Gimpel 2016",
            initializer="he",
        ),
        ActivationRow(
            "silu",
            lambda z: z * ops.sigmoid(z),
            "A smooth relu, also called swish.",
            "Elfwing, Uchibe and Doya 2018",
            initializer="he",
        ),
        ActivationRow(
            "mish",
            lambda z: z * ops.tanh(ops.softplus(z)),
            "A smooth relu; good on tables.",
            "Misra 2020",
            initializer="he",
        ),
        ActivationRow(
            "softplus",
            ops.softplus,
            "Outputs that must be positive.",
            "Dugas et al. 2001",
            from_output=lambda a: -ops.expm1(-a),
            initializer="he",
        ),
        ActivationRow(
            "softsign",
            lambda z: z / (1 + abs(z)),
            "Like tanh, with slower saturation.",
            "Bergstra et al. 2009",
            from_output=lambda a: ops.square(1 - abs(a)),
            initializer="glorot",
        ),
        ActivationRow(
            "hard_sigmoid",
            lambda z: ops.minimum(ops.maximum(z * (1 / 6) + 0.5, 0), 1),
            "A sigmoid of straight lines.",
            "Courbariaux, Bengio and David 2015, with the slope of PyTorch",
            from_output=lambda a: ops.where(a > 0, ops.where(a < 1, 1 / 6, 0), 0),
        ),
        ActivationRow("softmax", None, "Outputs that are the probabilities of classes.", "Bridle 1990", hidden=False),
    )
}


@cache
def _bound(name: str, parameters: specs.Parameters) -> Activation:
    row = ROWS[name]
    spec = specs.canonical(name, row.parameters, parameters)
    expression = slope = output = None
    if row.formula is not None:
        formula, numbers = row.formula, dict(parameters)
        expression = expressions.trace(lambda z: formula(z, **numbers), ["z"])
        slope = expressions.derivative(expression, "z")
        if row.from_output is not None:
            from_output = row.from_output
            output = expressions.trace(lambda a: from_output(a, **numbers), ["a"])
    return Activation(
        spec, name, parameters, expression, slope, output, row.initializer, row.summary, row.source, row.hidden
    )


def resolve(spec: str | Activation, argument: str = "activation") -> Activation:
    """The activation that a name, with parameters or without, or an object of :func:`fastnn.activation` stands for.

    Parameters
    ----------
    spec : str or Activation
        For example "relu" or "leaky_relu(slope=0.1)".
    argument : str
        What the errors call it.

    Returns
    -------
    Activation

    Raises
    ------
    ValueError
        If the name or a parameter is unknown, or a parameter is out of its bounds.
    TypeError
        If it is neither a string nor an Activation.

    Examples
    --------
    >>> from fastnn.formulas import activations
    >>> activations.resolve("leaky_relu(slope=0.1)").text
    'where(z > 0, z, 0.1 * z)'
    >>> activations.resolve("leaky_relu(slope=0.01)").spec
    'leaky_relu'
    """
    return spec if isinstance(spec, Activation) else _bound(*specs.named(argument, spec, ROWS, "activation"))


def resolve_hidden(given: Any, layers: int) -> tuple[Activation, ...]:
    """The activations of the hidden layers: one for all, or one for each.

    Raises
    ------
    ValueError, TypeError
        If there are not as many as layers, or one is unknown or for outputs alone.
    """
    if isinstance(given, (str, Activation)):
        resolve(given)  # also where there is no layer to use it
        given = (given,) * layers
    if not isinstance(given, Sequence):
        raise TypeError(f"activation must be a name or a list of names, got {type(given).__name__}")
    if len(given) != layers:
        raise ValueError(f"activation must be one name, or one per hidden layer: expected {layers}, got {len(given)}")
    found = tuple(resolve(row) for row in given)
    for row in found:
        if not row.hidden:
            raise ValueError(f"activation {row.spec!r} is for the output layer alone: pass output={row.spec!r}")
    return found


def activation(
    name: str, formula: Callable[..., Any], *, initializer: str = "scaled", **parameters: float
) -> Activation:
    """An activation of your own, trained as fast as the built-in ones.

    Parameters
    ----------
    name : str
        What files and messages call it; an identifier that no built-in activation has.
    formula : callable
        ``(z, **parameters)`` over operators and ``fastnn.ops``.
    initializer : str, default "scaled"
        The initializer that suits it.
    **parameters : float
        Numbers that the formula takes.

    Returns
    -------
    Activation
        To be given wherever the name of an activation may stand. Nothing is registered. Saved networks carry the
        formula as data.

    Raises
    ------
    FormulaError
        If the formula uses what is no operation, is not finite for every z in [-1000, 1000], or its derivative
        is not that of its values.
    ValueError
        If the name is no identifier or a built-in one.

    Examples
    --------
    >>> from fastnn.formulas import ops
    >>> from fastnn.formulas.activations import activation
    >>> activation("swish2", lambda z, beta: z * ops.sigmoid(beta * z), beta=2.0).text
    'z * sigmoid(2 * z)'
    """
    checks.check_own_name("activation", name, ROWS)
    validation.check_name("initializer", initializer, INITIALIZERS)
    numbers = checks.check_own_numbers(name, parameters)
    expression = expressions.trace(lambda z: formula(z, **numbers), ["z"])
    return _own(name, expression, initializer)


def _own(name: str, expression: Expression, initializer: str) -> Activation:
    checks.check_function(f"activation {name}", expression, "z", {"z": checks.wide_grid()})
    slope = expressions.derivative(expression, "z")
    return Activation(name, name, (), expression, slope, initializer=initializer, own=True)


def from_data(data: Any, argument: str = "activation") -> Activation:
    """The activation that :meth:`Activation.to_data` described; checked like any other.

    Raises
    ------
    ValueError
        If the description is not one.
    """
    if isinstance(data, str):
        return resolve(data, argument)
    name, formula, initializer = checks.read_fields(argument, data, {"name": str, "formula": list, "initializer": str})
    checks.check_own_name(argument, name, ROWS)
    validation.check_name(f"initializer of a stored {argument}", initializer, INITIALIZERS)
    return _own(name, checks.read_formula(argument, formula, ["z"]), initializer)


class Facts(NamedTuple):
    """What an activation does to numbers, found from its formula.

    Attributes
    ----------
    lowest, highest : float
        Its range; infinite where it grows without bound.
    saturates_below, saturates_above : float
        The smallest ``|z|`` on either side beyond which ``|f'| < 1e-3``; infinite where there is none.
    largest_slope : float
        The largest ``|f'|``.
    """

    lowest: float
    highest: float
    saturates_below: float
    saturates_above: float
    largest_slope: float


_FLAT = 1e-3
_FAR = 1e4  # what has not become flat up to here does not
_END, _ENDLESS = 1e30, 1e10  # a function that is so large there has no bound


@cache
def facts(activation: Activation) -> Facts:
    """The facts about an activation that works on single numbers.

    Examples
    --------
    >>> from fastnn.formulas.activations import facts, resolve
    >>> found = facts(resolve("sigmoid"))
    >>> found.lowest, found.highest, found.largest_slope, round(found.saturates_above, 2)
    (0.0, 1.0, 0.25, 6.91)
    """
    if activation.expression is None or activation.derivative is None:
        raise ValueError(f"{activation.name} works on a whole row")
    half = np.concatenate([np.linspace(0, 100, 20_001), np.geomspace(100, _FAR, 2_001)[1:]])
    z = np.concatenate([-half[:0:-1], half])
    value, slope = ops.compute([activation.expression, activation.derivative], {"z": z})
    (ends,) = ops.compute([activation.expression], {"z": np.array([-_END, _END])})
    value = np.concatenate([value, np.where(np.abs(ends) > _ENDLESS, np.copysign(np.inf, ends), ends)])
    steep = np.abs(slope) >= _FLAT

    def beyond(side: Any) -> float:
        found = np.flatnonzero(steep & side)
        if not found.size:
            return 0.0
        far = float(np.abs(z[found]).max())
        return math.inf if far == _FAR else far

    return Facts(
        float(value.min()),
        float(value.max()),
        beyond(z <= 0),
        beyond(z >= 0),
        float(np.abs(slope).max()),
    )
