"""The operations that formulas are made of, one row each; users import this as ``fastnn.ops``.

On expressions the functions build a formula; on numbers and arrays they compute, with NumPy, in float32 for float32 and
in float64 for everything else, without warnings. Values are what IEEE arithmetic gives, with one exception: exp and
expm1 end near the largest number instead of being infinite. NaN comes out as NaN.

At kinks derivatives follow PyTorch: that of ``absolute`` at 0 is 0, ``maximum`` and ``minimum`` take the slope of their
second argument where both are equal (that of ``maximum(z, 0)`` at 0 is 0), ``where`` that of the branch taken.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from fastnn.formulas import expressions, twins
from fastnn.formulas.expressions import OPERATIONS, Expression, Operation, apply, number

# --- what is simpler and the same ---


def _is(node: Expression, value: float) -> bool:
    return node.operation == "number" and node.value == value


def _simpler_sum(x: Expression, y: Expression) -> Expression | None:
    if _is(x, 0):
        return y
    if _is(y, 0):
        return x
    left, right = _factor(x), _factor(y)
    if left[1] is right[1]:
        return (left[0] + right[0]) * left[1]
    return x - y.arguments[0] if y.operation == "negative" else None


def _simpler_difference(x: Expression, y: Expression) -> Expression | None:
    if _is(y, 0):
        return x
    if _is(x, 0):
        return -y
    if x is y:
        return number(0)
    return x + y.arguments[0] if y.operation == "negative" else None


def _factor(x: Expression) -> tuple[float, Expression]:
    """``x`` as a number times something."""
    if x.operation == "negative":
        return -1.0, x.arguments[0]
    if x.operation == "multiply" and x.arguments[0].operation == "number":
        return x.arguments[0].value, x.arguments[1]
    return 1.0, x


def _simpler_product(x: Expression, y: Expression) -> Expression | None:
    if y.operation == "number":  # numbers come first
        return y * x
    if x.operation == "number":
        if x.value == 0:
            return x
        if abs(x.value) == 1:
            return y if x.value > 0 else -y
        value, rest = _factor(y)
        product = x.value * value
        return product * rest if rest is not y and math.isfinite(product) and product != 0 else None
    left, right = _factor(x), _factor(y)
    product = left[0] * right[0]
    if left[1] is not x and right[1] is not y and math.isfinite(product) and product != 0:
        return product * (left[1] * right[1])
    return square(x) if x is y else None


def _simpler_quotient(x: Expression, y: Expression) -> Expression | None:
    if _is(y, 1) or (_is(x, 0) and not _is(y, 0)):
        return x
    if y.operation == "number" and abs(math.frexp(y.value)[0]) == 0.5 and 1e-30 < abs(y.value) < 1e30:
        return x * (1 / y.value)  # by a power of two: exact
    return None


def _simpler_choice(mask: Expression, yes: Expression, no: Expression) -> Expression | None:
    if yes is no:
        return yes
    x, y = mask.arguments
    if x.operation == y.operation == "number":
        return yes if OPERATIONS[mask.operation].compute(x.value, y.value) else no
    return None


def _simpler_negative(x: Expression) -> Expression | None:
    if x.operation == "subtract":
        return x.arguments[1] - x.arguments[0]
    value, rest = _factor(x)
    return -value * rest if rest is not x else None


def _without_sign(name: str) -> Callable[[Expression], Expression | None]:
    """Even functions do not see the sign of their argument."""

    def simplify(x: Expression) -> Expression | None:
        return apply(name, x.arguments[0]) if x.operation in ("negative", "absolute") else None

    return simplify


# --- the table ---


def _unary(name: str, compute: Callable[..., Any], slope: Callable[..., Any], doc: str, **more: Any) -> Operation:
    """A row of a function of one argument from its ``slope(x, y)`` where ``y`` is its value."""
    return Operation(name, 1, compute, lambda y, x, dx: slope(x, y) * dx, doc, **more)


_ROWS = (
    Operation("add", 2, np.add, lambda v, x, y, dx, dy: dx + dy, "``x + y``.", _simpler_sum, "+"),
    Operation("subtract", 2, np.subtract, lambda v, x, y, dx, dy: dx - dy, "``x - y``.", _simpler_difference, "-"),
    Operation("multiply", 2, np.multiply, lambda v, x, y, dx, dy: dx * y + x * dy, "``x * y``.", _simpler_product, "*"),
    Operation("divide", 2, np.divide, lambda v, x, y, dx, dy: (dx - v * dy) / y, "``x / y``.", _simpler_quotient, "/"),
    _unary("negative", np.negative, lambda x, y: -1.0, "``-x``.", simplify=_simpler_negative),
    _unary(
        "absolute",
        np.abs,
        lambda x, y: sign(x),
        "``|x|``; its derivative at 0 is 0.",
        simplify=_without_sign("absolute"),
    ),
    _unary("sign", np.sign, lambda x, y: 0.0, "-1, 0 or 1 for x below, at or above 0; its derivative is 0."),
    Operation(
        "maximum",
        2,
        np.maximum,
        lambda v, x, y, dx, dy: where(x > y, dx, dy),
        "The larger one; its derivative is y's where both are equal.",
    ),
    Operation(
        "minimum",
        2,
        np.minimum,
        lambda v, x, y, dx, dy: where(x < y, dx, dy),
        "The smaller one; its derivative is y's where both are equal.",
    ),
    Operation("less", 2, np.less, lambda *_: number(0), "The mask ``x < y`` for ``where``.", None, "<", True),
    Operation("greater", 2, np.greater, lambda *_: number(0), "The mask ``x > y`` for ``where``.", None, ">", True),
    Operation(
        "where",
        3,
        np.where,
        lambda v, mask, x, y, dmask, dx, dy: where(mask, dx, dy),
        "``x`` where the mask holds, elsewhere ``y``.",
        _simpler_choice,
        takes_mask=True,
    ),
    _unary("square", np.square, lambda x, y: 2 * x, "``x * x``.", simplify=_without_sign("square")),
    _unary("sqrt", np.sqrt, lambda x, y: 0.5 / y, "The square root, of x >= 0."),
    _unary("exp", twins.exp, lambda x, y: y, "``e ** x``; ends near the largest number."),
    _unary("expm1", twins.expm1, lambda x, y: y + 1, "``exp(x) - 1``, right near 0; ends near the largest number."),
    _unary("log", np.log, lambda x, y: 1 / x, "The natural logarithm, of x > 0; minus infinity at 0."),
    _unary("log1p", np.log1p, lambda x, y: 1 / (1 + x), "``log(1 + x)``, right near 0, for x > -1."),
    _unary("tanh", np.tanh, lambda x, y: 1 - square(y), "The hyperbolic tangent."),
    _unary("sigmoid", twins.sigmoid, lambda x, y: y * (1 - y), "``1 / (1 + exp(-x))``."),
    _unary("softplus", twins.softplus, lambda x, y: sigmoid(x), "``log(1 + exp(x))``."),
    _unary(
        "erf",
        twins.erf,
        lambda x, y: 2 / math.sqrt(math.pi) * exp(-square(x)),
        "The error function, ``2 / sqrt(pi)`` times the integral of ``exp(-u^2)`` from 0 to x.",
    ),
)


# --- computing ---


def _dtype_of(values: Sequence[Any]) -> np.dtype[Any]:
    """float32 if all arrays are, else float64. Python's numbers go along with the rest."""
    kinds = {np.asarray(x).dtype for x in values if not isinstance(x, (bool, int, float))}
    return np.dtype(np.float32 if kinds == {np.dtype(np.float32)} else np.float64)


def _compute(row: Operation, values: Sequence[Any]) -> Any:
    numeric = values[1:] if row.takes_mask else values
    dtype = _dtype_of(numeric)
    converted = [np.asarray(x, dtype)[()] for x in numeric]
    mask = [np.asarray(values[0], bool)] if row.takes_mask else []
    with np.errstate(all="ignore"):
        return np.asarray(row.compute(*mask, *converted))[()]


def _function(name: str) -> Callable[..., Any]:
    """The public function of a row."""
    row = OPERATIONS[name]

    def function(*arguments: Any) -> Any:
        if len(arguments) != row.arity:
            raise TypeError(f"ops.{name} takes {row.arity} arguments, got {len(arguments)}")
        if any(isinstance(x, Expression) for x in arguments):
            return apply(name, *arguments)
        return _compute(row, arguments)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = row.doc
    return function


OPERATIONS.update({row.name: row for row in _ROWS})

add: Callable[..., Any] = _function("add")
subtract: Callable[..., Any] = _function("subtract")
multiply: Callable[..., Any] = _function("multiply")
divide: Callable[..., Any] = _function("divide")
negative: Callable[..., Any] = _function("negative")
absolute: Callable[..., Any] = _function("absolute")
sign: Callable[..., Any] = _function("sign")
maximum: Callable[..., Any] = _function("maximum")
minimum: Callable[..., Any] = _function("minimum")
less: Callable[..., Any] = _function("less")
greater: Callable[..., Any] = _function("greater")
where: Callable[..., Any] = _function("where")
square: Callable[..., Any] = _function("square")
sqrt: Callable[..., Any] = _function("sqrt")
exp: Callable[..., Any] = _function("exp")
expm1: Callable[..., Any] = _function("expm1")
log: Callable[..., Any] = _function("log")
log1p: Callable[..., Any] = _function("log1p")
tanh: Callable[..., Any] = _function("tanh")
sigmoid: Callable[..., Any] = _function("sigmoid")
softplus: Callable[..., Any] = _function("softplus")
erf: Callable[..., Any] = _function("erf")


def power(x: Any, exponent: float) -> Any:
    """``x ** exponent`` for a number ``exponent``; with one that is not whole for x >= 0.

    In a formula x may also become 0 with an exponent above 1 if x is plainly never negative, such as
    ``abs(z) ** 1.5``. Below 1 the derivative at 0 is infinite: keep x away from it, by ``ops.maximum(x, 1e-6)``.

    Parameters
    ----------
    x : Expression, number or array
        The base.
    exponent : float
        A number, the same for all.

    Returns
    -------
    Expression, or array of x's shape

    Raises
    ------
    FormulaError
        If the exponent is no number.

    Examples
    --------
    >>> from fastnn.formulas import ops
    >>> float(ops.power(3.0, 2))
    9.0
    """
    if isinstance(x, Expression) or isinstance(exponent, Expression):
        return expressions.power(expressions.lift(x), exponent)
    with np.errstate(all="ignore"):
        return np.power(np.asarray(x, _dtype_of([x])), float(exponent))[()]


@cache
def numpy_backend(dtype: np.dtype[Any]) -> Mapping[str, Callable[..., Any]]:
    """What :func:`fastnn.formulas.expressions.evaluate` computes with on arrays of one floating-point dtype."""
    return {"number": dtype.type, **{row.name: row.compute for row in _ROWS}}


def compute(formulas: Sequence[Expression], values: Mapping[str, Any]) -> list[Any]:
    """The values of expressions on NumPy arrays, without warnings.

    Parameters
    ----------
    formulas : sequence of Expression
        What to compute.
    values : mapping
        The variables by name: numbers or arrays that broadcast.

    Returns
    -------
    list of array
        One per expression, all of the shape that the variables have together; float32 if all arrays are, else float64.

    Examples
    --------
    >>> from fastnn.formulas.expressions import derivative, variable
    >>> z = variable("z")
    >>> compute([z * z, derivative(z * z, "z")], {"z": [1.0, 3.0]})
    [array([1., 9.]), array([2., 6.])]
    """
    dtype = _dtype_of(list(values.values()))
    arrays = {name: np.asarray(x, dtype) for name, x in values.items()}
    shape = np.broadcast_shapes(*(array.shape for array in arrays.values()))
    with np.errstate(all="ignore"):
        found = expressions.evaluate(formulas, arrays, numpy_backend(dtype))
    return [np.broadcast_to(x, shape) if np.shape(x) != shape else np.asarray(x) for x in found]
