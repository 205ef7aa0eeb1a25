"""The costs: one row each, from which kernels, slopes, NumPy arithmetic and docs are made.

A cost is the formula of *one* output unit with target ``t``; costs of a sample are sums over its units. There are three
kinds, by what the formula is written on:

- ``"a"``, the output, for every output activation but softmax;
- ``"z"``, the weighted input, where the output activation is fixed and the formula is more stable so;
- ``"l"``, the logarithm of a softmax output. With ``u_k = dC/dl_k`` the delta is ``u_j - a_j sum_k u_k``.

A formula may also use ``q``, a constant that differs from unit to unit.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from fastnn import validation
from fastnn.formulas import activations, checks, expressions, ops, specs
from fastnn.formulas.activations import Activation
from fastnn.formulas.expressions import Expression
from fastnn.formulas.specs import Parameter

ANY_OUTPUT = "*"  # in place of an output's name: every output activation but softmax
TARGETS = ("any", "probabilities", "nonnegative", "distributions")
_KINDS = ("a", "z", "l")
_NONE: Mapping[str, Parameter] = MappingProxyType({})


class Form(NamedTuple):
    """A cost's formula for an output activation.

    Attributes
    ----------
    on : {"a", "z", "l"}
        What it is written on: output, weighted input, or logarithm of a softmax output.
    formula : callable
        ``(a, t, **parameters)``, or with z or l in place of a, and with q after t where units have constants.
    slope : callable, optional
        Its derivative by what it is written on, of the same arguments, where that is cheaper than the traced one.
    """

    on: str
    formula: Callable[..., Any]
    slope: Callable[..., Any] | None = None


class CostRow(NamedTuple):
    """One row of the registry.

    Attributes
    ----------
    name : str
        What users write.
    forms : mapping
        From an output activation's name, or ``ANY_OUTPUT``, to the formula that goes with it.
    summary : str
        What it is good for.
    source : str
        Where it comes from.
    outputs : tuple of str
        The output activations to choose among, the recommended one first.
    classifies : bool
        Whether it is a cost over classes, so that ``predict`` returns labels whatever the targets looked like.
    targets : {"any", "probabilities", "nonnegative", "distributions"}
        What targets may be: any numbers, numbers in [0, 1], numbers >= 0, or rows of probabilities that sum to one.
    parameters : mapping
        Its numbers that users may choose.
    smoothing : callable, optional
        ``(t, n, smoothing)`` to the target that the cost is given in place of ``t``, of ``n`` outputs.
    units : str
        The parameter that holds one constant ``q`` for each output; empty where there is none.
    probability : callable, optional
        From an output ``a`` to the probability of its class, where that is not the output itself. Over the classes they
        need not sum to one.
    """

    name: str
    forms: Mapping[str, Form]
    summary: str
    source: str
    outputs: tuple[str, ...]
    classifies: bool = False
    targets: str = "any"
    parameters: Mapping[str, Parameter] = _NONE
    smoothing: Callable[..., Any] | None = None
    units: str = ""
    probability: Callable[..., Any] | None = None


@dataclass(frozen=True)
class BoundForm:
    """A form with the numbers of its parameters in place."""

    on: str
    expression: Expression
    slope: Expression


@dataclass(frozen=True)
class Cost:
    """A cost with its parameters: what a name, or :func:`fastnn.cost`, stands for.

    Attributes
    ----------
    spec : str
        How users write it, with the parameters that differ from their defaults.
    name : str
        Its name alone.
    parameters : tuple of (str, float or tuple)
        All its parameters.
    forms : tuple of (str, BoundForm)
        The formulas by output activation, ``ANY_OUTPUT`` for every one but softmax.
    outputs : tuple of str
        The output activations to choose among, the recommended one first.
    classifies, targets, summary, source
        As in the row.
    units : tuple of float
        The constant ``q`` of each output; empty where there is none. A network needs as many outputs.
    own : bool
        Whether a user made it, so that a file must carry its formula.
    """

    spec: str
    name: str
    parameters: specs.Parameters
    forms: tuple[tuple[str, BoundForm], ...]
    outputs: tuple[str, ...]
    classifies: bool = False
    targets: str = "any"
    units: tuple[float, ...] = ()
    summary: str = ""
    source: str = ""
    own: bool = False

    def __str__(self) -> str:
        return self.spec

    @property
    def text(self) -> str:
        """The formula of one output for people to read, the first where there are several."""
        log_a = ops.log(expressions.variable("a"))
        return expressions.text(expressions.substitute(self.forms[0][1].expression, {"l": log_a}))

    @property
    def probability(self) -> Expression | None:
        """The probability of a class as a formula of its output ``a``; None where that is the output itself."""
        row = None if self.own else ROWS[self.name]
        return expressions.trace(row.probability, ["a"]) if row and row.probability else None

    def goes_with(self, output: Activation) -> bool:
        """Whether the cost has a formula for that output activation."""
        return self._form(output) is not None

    def _form(self, output: Activation) -> BoundForm | None:
        forms = dict(self.forms)
        if output.name in forms and not output.own:
            return forms[output.name]
        return forms.get(ANY_OUTPUT) if output.expression is not None else None

    def form(self, output: Activation) -> BoundForm:
        """The formula for an output activation.

        Raises
        ------
        ValueError
            If they do not go together.
        """
        found = self._form(output)
        if found is None:
            raise ValueError(
                f"cost {self.spec!r} goes with output {' or '.join(map(repr, self.outputs))}, got {output.spec!r}"
            )
        return found

    def smoothed(self, t: Expression, n: int) -> Expression:
        """What the formulas are given in place of the target ``t`` in a network of ``n`` outputs."""
        smoothing = dict(self.parameters).get("smoothing", 0.0)
        row = ROWS.get(self.name)
        if self.own or row is None or row.smoothing is None or not smoothing:
            return t
        return expressions.lift(row.smoothing(t, n, smoothing))

    def to_data(self) -> Any:
        """What a file keeps: the spec, or the name and formulas of a user's own."""
        if not self.own:
            return self.spec
        form = self.forms[0][1]
        return {
            "name": self.name,
            "on": form.on,
            "formula": expressions.to_data([form.expression]),
            "outputs": list(self.outputs),
            "classifies": self.classifies,
            "targets": self.targets,
        }


def _sum_squares(a: Any, t: Any) -> Any:
    return ops.square(a - t)


def _huber(a: Any, t: Any, delta: float) -> Any:
    e = a - t
    return ops.where(abs(e) < delta, 0.5 * ops.square(e), delta * (abs(e) - 0.5 * delta))


def _log_cosh(a: Any, t: Any) -> Any:
    # log cosh e = -1/2 log(1 - tanh^2 e) is right near 0, the other form far away.
    e = abs(a - t)
    far = e + ops.log1p(ops.exp(-2 * e)) - math.log(2)
    return ops.where(e < 1, -0.5 * ops.log1p(-ops.square(ops.tanh(a - t))), far)


def _pinball(a: Any, t: Any, q: Any) -> Any:
    e = t - a
    return ops.maximum(q * e, (q - 1) * e)


def _cross_entropy(z: Any, t: Any) -> Any:
    # -t log a - (1 - t) log(1 - a), from z; both terms are >= 0, so nothing cancels.
    return ops.where(z > 0, z * (1 - t), -(z * t)) + ops.softplus(-abs(z))


def _focal_sigmoid(z: Any, t: Any, gamma: float) -> Any:
    # log a = -softplus(-z) and log(1 - a) = -softplus(z), so (1 - a)^gamma = exp(-gamma softplus(z)).
    wrong, right = ops.softplus(-z), ops.softplus(z)
    return t * ops.exp(-gamma * right) * wrong + (1 - t) * ops.exp(-gamma * wrong) * right


def _focal_softmax(log_a: Any, t: Any, gamma: float) -> Any:
    missing = ops.maximum(-ops.expm1(log_a), 1e-30)  # 1 - a, kept off 0, where a power below 1 has no derivative
    return -t * missing**gamma * log_a


def _hinge(z: Any, t: Any) -> Any:
    return ops.maximum(1 - (2 * t - 1) * z, 0)


def _two_classes(t: Any, n: int, smoothing: float) -> Any:
    # Every output chooses between two classes of its own.
    return t * (1 - smoothing) + smoothing / 2


def _classes(t: Any, n: int, smoothing: float) -> Any:
    return t * (1 - smoothing) + smoothing / n


_REGRESSION = ("identity", "sigmoid", "tanh", "relu", "softplus")
_SMOOTHING = Parameter(0.0, "share of a target that goes to all classes alike", at_least=0, below=1)

ROWS = {
    row.name: row
    for row in (
        CostRow(
            "quadratic",
            {ANY_OUTPUT: Form("a", lambda a, t: (a - t) * (0.5 * (a - t)))},
            "Half the squared error: the books' cost.",
            "Nielsen 2015",
            ("sigmoid", "identity", "tanh", "relu", "softplus"),
        ),
        CostRow(
            "sum_squares",
            {ANY_OUTPUT: Form("a", _sum_squares)},
            "The squared error.",
            "Gauss 1809",
            ("sigmoid", "identity", "tanh", "relu", "softplus"),
        ),
        CostRow(
            "absolute",
            {ANY_OUTPUT: Form("a", lambda a, t: abs(a - t))},
            "The absolute error: fits the median, hardly moved by outliers.",
            "Boscovich 1757",
            _REGRESSION,
        ),
        CostRow(
            "huber",
            {ANY_OUTPUT: Form("a", _huber)},
            "Squared error for small errors, absolute for large ones.",
            "Huber 1964",
            _REGRESSION,
            parameters={"delta": Parameter(1.0, "the error from which on the cost is straight", above=0)},
        ),
        CostRow(
            "log_cosh",
            {ANY_OUTPUT: Form("a", _log_cosh, lambda a, t: ops.tanh(a - t))},
            "A smooth Huber cost.",
            "Green 1990",
            _REGRESSION,
        ),
        CostRow(
            "pinball",
            {ANY_OUTPUT: Form("a", _pinball)},
            "Fits quantiles of the target, one per output.",
            "Koenker and Bassett 1978",
            _REGRESSION,
            parameters={
                "quantiles": Parameter((0.1, 0.5, 0.9), "the share of targets below each output", above=0, below=1)
            },
            units="quantiles",
        ),
        CostRow(
            "poisson",
            {"identity": Form("z", lambda z, t: ops.exp(z) - t * z)},
            "Counts: the output is the logarithm of their mean. Without the constant log(t!).",
            "Nelder and Wedderburn 1972",
            ("identity",),
            targets="nonnegative",
        ),
        CostRow(
            "cross_entropy",
            {"sigmoid": Form("z", _cross_entropy, lambda z, t: ops.sigmoid(z) - t)},
            "Outputs that are probabilities, each of its own.",
            "Solla, Levin and Fleisher 1988; smoothing: Szegedy et al. 2016",
            ("sigmoid",),
            True,
            "probabilities",
            {"smoothing": _SMOOTHING},
            _two_classes,
        ),
        CostRow(
            "log_likelihood",
            {"softmax": Form("l", lambda log_a, t: -t * log_a)},
            "Classes that exclude each other.",
            "Bridle 1990; smoothing: Szegedy et al. 2016",
            ("softmax",),
            True,
            "distributions",
            {"smoothing": _SMOOTHING},
            _classes,
        ),
        CostRow(
            "focal",
            {"softmax": Form("l", _focal_softmax), "sigmoid": Form("z", _focal_sigmoid)},
            "Classes of very different frequency: weighs samples that are hard.",
            "Lin et al. 2017",
            ("softmax", "sigmoid"),
            True,
            "probabilities",
            {"gamma": Parameter(2.0, "how much less easy samples count; 0 is no focus", at_least=0)},
        ),
        CostRow(
            "hinge",
            {"identity": Form("z", _hinge)},
            "Margins between classes, one against the rest; outputs are no probabilities.",
            "Cortes and Vapnik 1995",
            ("identity",),
            True,
            "probabilities",
            probability=lambda a: ops.minimum(ops.maximum(0.5 * a + 0.5, 0), 1),
        ),
    )
}


def _bind_form(form: Form, numbers: Mapping[str, Any], units: bool) -> BoundForm:
    names = [form.on, "t", *(["q"] if units else [])]
    expression = expressions.trace(lambda *x: form.formula(*x, **numbers), names)
    if form.slope is None:
        return BoundForm(form.on, expression, expressions.derivative(expression, form.on))
    slope = form.slope
    return BoundForm(form.on, expression, expressions.trace(lambda *x: slope(*x, **numbers), names))


@cache
def _bound(name: str, parameters: specs.Parameters) -> Cost:
    row = ROWS[name]
    numbers = dict(parameters)
    units = numbers.pop(row.units) if row.units else ()
    numbers.pop("smoothing", None)
    return Cost(
        specs.canonical(name, row.parameters, parameters),
        name,
        parameters,
        tuple((output, _bind_form(form, numbers, bool(row.units))) for output, form in row.forms.items()),
        row.outputs,
        row.classifies,
        row.targets,
        units if isinstance(units, tuple) else (units,),
        row.summary,
        row.source,
    )


def resolve(spec: str | Cost, argument: str = "cost") -> Cost:
    """The cost that a name, with parameters or without, or an object of :func:`fastnn.cost` stands for.

    Parameters
    ----------
    spec : str or Cost
        For example "cross_entropy" or "huber(delta=2)".
    argument : str
        What the errors call it.

    Returns
    -------
    Cost

    Raises
    ------
    ValueError
        If the name or a parameter is unknown, or a parameter is out of its bounds.
    TypeError
        If it is neither a string nor a Cost.

    Examples
    --------
    >>> from fastnn.formulas import costs
    >>> costs.resolve("pinball(quantiles=[0.1, 0.9])").units
    (0.1, 0.9)
    """
    return spec if isinstance(spec, Cost) else _bound(*specs.named(argument, spec, ROWS, "cost"))


def check_pair(cost: Cost, output: Activation, n_out: int) -> None:
    """Refuse a cost with an output activation that it does not go with, or with another number of outputs.

    Raises
    ------
    ValueError
        Naming costs and outputs that go together.
    """
    if not cost.goes_with(output):
        better = next(name for name in ROWS if resolve(name).goes_with(output))
        raise ValueError(
            f"cost {cost.spec!r} does not go with output {output.spec!r}: use cost={cost.spec!r} with "
            f"output={cost.outputs[0]!r}, or cost={better!r} with output={output.spec!r}"
        )
    if cost.units and len(cost.units) != n_out:
        raise ValueError(f"cost {cost.spec!r} has a number for each of {len(cost.units)} outputs, got {n_out} outputs")


class OutputUnit(NamedTuple):
    """What the kernels compute at one output unit.

    Attributes
    ----------
    softmax : bool
        Whether the expressions are written on the logarithm ``l`` of a softmax output, else on the weighted input
        ``z``; both on the target ``t`` and, where units have constants, ``q``.
    output : Expression
        The output ``a``; ``exp(l)`` for softmax.
    cost : Expression
        The cost.
    slope : Expression
        ``dC/dz``, the delta; for softmax ``u = dC/dl``, of which ``u_j - a_j sum_k u_k`` is the delta.
    """

    softmax: bool
    output: Expression
    cost: Expression
    slope: Expression


@cache
def output_unit(cost: Cost, output: Activation, n: int) -> OutputUnit:
    """The formulas of an output unit of a cost with an output activation, in a network of ``n`` outputs.

    Raises
    ------
    ValueError
        If they do not go together, or a user's own cost is not finite for this output.

    Examples
    --------
    >>> from fastnn.formulas import activations, costs
    >>> unit = costs.output_unit(costs.resolve("quadratic"), activations.resolve("sigmoid"), 10)
    >>> unit.slope
    <(sigmoid(z) - t) * sigmoid(z) * (1 - sigmoid(z))>
    """
    form = cost.form(output)
    if cost.own and output.spec not in cost.outputs:
        _check_own(cost.name, form.expression, form.on, output, cost.targets)
    t = cost.smoothed(expressions.variable("t"), n)
    value, slope = (expressions.substitute(x, {"t": t}) for x in (form.expression, form.slope))
    if output.expression is None or output.derivative is None:
        return OutputUnit(True, ops.exp(expressions.variable("l")), value, slope)
    a = output.expression
    if form.on == "a":
        steepness = output.derivative
        if output.output_derivative is not None:
            steepness = expressions.substitute(output.output_derivative, {"a": a})
        value, slope = expressions.substitute(value, {"a": a}), expressions.substitute(slope, {"a": a}) * steepness
    return OutputUnit(False, a, value, slope)


def cost(
    name: str,
    formula: Callable[..., Any],
    *,
    outputs: str | Sequence[str] = ("identity",),
    on: str = "a",
    classifies: bool = False,
    targets: str = "any",
    **parameters: float,
) -> Cost:
    """A cost of your own, trained as fast as the built-in ones.

    Parameters
    ----------
    name : str
        What files and messages call it; an identifier that no built-in cost has.
    formula : callable
        ``(a, t, **parameters)``: the cost of one output ``a`` with target ``t``, over operators and ``fastnn.ops``.
        It must be finite for the outputs that the output activation can give.
    outputs : str or sequence of str, default ("identity",)
        The output activations it is meant for, the recommended one first.
    on : {"a", "z", "l"}, default "a"
        What the formula is written on: the output; the weighted input, with the only output that ``outputs`` names; or
        the logarithm of a softmax output.
    classifies : bool, default False
        Whether ``predict`` returns classes.
    targets : {"any", "probabilities", "nonnegative", "distributions"}, default "any"
        What targets may be, see the rows.
    **parameters : float
        Numbers that the formula takes.

    Returns
    -------
    Cost
        To be given wherever the name of a cost may stand. Nothing is registered. Saved networks carry the formula as
        data.

    Raises
    ------
    FormulaError
        If the formula uses what is no operation, is not finite, or its derivative is not that of its values.
    ValueError
        If another argument is not one of its choices.

    Examples
    --------
    >>> from fastnn.formulas import ops
    >>> from fastnn.formulas.costs import cost
    >>> cost("cauchy", lambda a, t, scale: ops.log1p(ops.square((a - t) / scale)), scale=2.0).text
    'log1p((0.5 * (a - t))^2)'
    """
    checks.check_own_name("cost", name, ROWS)
    validation.check_name("on", on, _KINDS)
    numbers = checks.check_own_numbers(name, parameters)
    expression = expressions.trace(lambda x, t: formula(x, t, **numbers), [on, "t"])
    names = (outputs,) if isinstance(outputs, str) else tuple(outputs)
    return _own(name, expression, on, names, validation.check_flag("classifies", classifies), targets)


def _own(name: str, expression: Expression, on: str, outputs: tuple[Any, ...], classifies: bool, targets: str) -> Cost:
    validation.check_name("targets", targets, TARGETS)
    if not outputs:
        raise ValueError(f"cost {name} must go with at least one output")
    found = [activations.resolve(output, f"an output of cost {name}") for output in outputs]
    if any(output.own for output in found):
        raise ValueError(
            f"outputs of cost {name} must be names of built-in activations, got {list(map(str, found))}; "
            "a cost written on 'a' goes with your own ones too"
        )
    softmax = [output.name == "softmax" for output in found]
    if any(softmax) != (on == "l") or (on != "a" and len(found) > 1):
        wanted = {"a": "any outputs but softmax", "z": "one output other than softmax", "l": "the output softmax"}
        raise ValueError(f"cost {name}, written on {on!r}, goes with {wanted[on]}, got outputs {list(outputs)}")
    for output in found:
        _check_own(name, expression, on, output, targets)
    form = BoundForm(on, expression, expressions.derivative(expression, on))
    keys = [ANY_OUTPUT] if on == "a" else [output.name for output in found]
    names = tuple(output.spec for output in found)
    return Cost(name, name, (), tuple((key, form) for key in keys), names, classifies, targets, own=True)


def _check_own(name: str, expression: Expression, on: str, output: Activation, targets: str) -> None:
    """Refuse a cost that is not finite for what an output activation gives."""
    x = checks.wide_grid()[::3]
    if on == "l":
        x = -np.abs(x)
    elif on == "a" and output.expression is not None:
        (x,) = ops.compute([output.expression], {"z": x})
    chosen = {"any": np.linspace(-9.9, 9.9, 7), "nonnegative": np.array([0, 0.5, 1, 7.0])}
    t = chosen.get(targets, np.array([0, 0.25, 1.0]))
    grid = {on: np.tile(x, t.size), "t": np.repeat(t, x.size)}
    checks.check_function(f"cost {name} with output {output.spec}", expression, on, grid)


def from_data(data: Any, argument: str = "cost") -> Cost:
    """The cost that :meth:`Cost.to_data` described; checked like any other.

    Raises
    ------
    ValueError
        If the description is not one.
    """
    if isinstance(data, str):
        return resolve(data, argument)
    fields = {"name": str, "on": str, "formula": list, "outputs": list, "classifies": bool, "targets": str}
    name, on, formula, outputs, classifies, targets = checks.read_fields(argument, data, fields)
    checks.check_own_name(argument, name, ROWS)
    validation.check_name(f"on of a stored {argument}", on, _KINDS)
    return _own(name, checks.read_formula(argument, formula, [on, "t"]), on, tuple(outputs), classifies, targets)
