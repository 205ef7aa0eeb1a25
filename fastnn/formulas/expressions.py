"""Formulas as data: a graph of operations on variables and numbers.

A formula is a Python function that is called once, with variables, and leaves its graph behind (:func:`trace`). From
the graph come its derivative (:func:`derivative`), its values on whatever computes (:func:`evaluate`: NumPy arrays,
vectors of machine code), its text, and what a file keeps of it (:func:`to_data`): data, never code.

Equal subexpressions are one and the same object, so that everything is computed once and ``is`` compares. Graphs are
walked without recursion: their depth is not bounded by Python's stack.
"""

import math
import numbers
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn
from weakref import WeakValueDictionary

import numpy as np

MOST_NODES = 10_000
_LONGEST_TEXT = 2_000
_LARGEST_POWER = 64


class FormulaError(ValueError):
    """A formula that cannot be computed, traced or read."""


class Operation(NamedTuple):
    """One row of the table of operations.

    Attributes
    ----------
    name : str
        What it is called: ``fastnn.ops.<name>``.
    arity : int
        How many arguments it takes.
    compute : callable
        Its NumPy twin.
    derivative : callable
        ``(value, *arguments, *tangents)`` to the tangent of the value, all of them expressions; a tangent is the
        derivative of an argument by the variable.
    doc : str
        What it computes.
    simplify : callable, optional
        ``(*arguments)`` to an expression that is the same and simpler, or None.
    symbol : str
        How text writes it between its arguments; empty for a function.
    gives_mask, takes_mask : bool
        Whether its result, or its first argument, is a mask.
    """

    name: str
    arity: int
    compute: Callable[..., Any]
    derivative: Callable[..., "Expression"]
    doc: str
    simplify: Callable[..., "Expression | None"] | None = None
    symbol: str = ""
    gives_mask: bool = False
    takes_mask: bool = False


OPERATIONS: dict[str, Operation] = {}  # ``operations.py`` fills it
_LEAVES = ("number", "variable")


def _unknown(what: str) -> NoReturn:
    raise FormulaError(
        f"a formula cannot use {what}: write fastnn.ops.<operation>(...) with one of {', '.join(sorted(OPERATIONS))}, "
        "or + - * / ** abs < >"
    )


class Expression:
    """A node of a formula's graph. Immutable; made by :func:`variable`, :func:`number`, operators and ``fastnn.ops``.

    Attributes
    ----------
    operation : str
        A name in ``OPERATIONS``, "number" or "variable".
    arguments : tuple of Expression
        What the operation is applied to.
    value : float
        Of a number; 0 elsewhere.
    name : str
        Of a variable; empty elsewhere.

    Examples
    --------
    >>> from fastnn.formulas.expressions import variable
    >>> z = variable("z")
    >>> 2 * z + 1 is 2 * z + 1
    True
    """

    __slots__ = ("__weakref__", "arguments", "name", "operation", "value")
    operation: str
    arguments: tuple["Expression", ...]
    value: float
    name: str

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError("expressions cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("expressions cannot be changed")

    def __repr__(self) -> str:
        return f"<{text(self)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (to_data([self]),)

    def __copy__(self) -> "Expression":
        return self

    def __deepcopy__(self, memo: Any) -> "Expression":
        return self

    @property
    def is_mask(self) -> bool:
        """Whether it is a comparison, which only ``ops.where`` takes."""
        return self.operation in OPERATIONS and OPERATIONS[self.operation].gives_mask

    def __add__(self, other: Any) -> "Expression":
        return apply("add", self, other)

    def __radd__(self, other: Any) -> "Expression":
        return apply("add", other, self)

    def __sub__(self, other: Any) -> "Expression":
        return apply("subtract", self, other)

    def __rsub__(self, other: Any) -> "Expression":
        return apply("subtract", other, self)

    def __mul__(self, other: Any) -> "Expression":
        return apply("multiply", self, other)

    def __rmul__(self, other: Any) -> "Expression":
        return apply("multiply", other, self)

    def __truediv__(self, other: Any) -> "Expression":
        return apply("divide", self, other)

    def __rtruediv__(self, other: Any) -> "Expression":
        return apply("divide", other, self)

    def __neg__(self) -> "Expression":
        return apply("negative", self)

    def __pos__(self) -> "Expression":
        return self

    def __abs__(self) -> "Expression":
        return apply("absolute", self)

    def __pow__(self, exponent: Any) -> "Expression":
        return power(self, exponent)

    def __rpow__(self, base: Any) -> "Expression":
        if number(base).value <= 0:
            _unknown("a power of a number that is not positive")
        return apply("exp", self * math.log(base))

    def __lt__(self, other: Any) -> "Expression":
        return apply("less", self, other)

    def __gt__(self, other: Any) -> "Expression":
        return apply("greater", self, other)

    def __le__(self, other: Any) -> NoReturn:
        raise FormulaError("formulas have no <=: write x > y and exchange the branches of ops.where")

    def __ge__(self, other: Any) -> NoReturn:
        raise FormulaError("formulas have no >=: write x < y and exchange the branches of ops.where")

    def __eq__(self, other: object) -> bool:
        """Whether both are the same node; inside of a formula, where that would decide for all values, refused."""
        if self is not other and _tracing.depth:
            raise FormulaError("formulas have no == or !=, nor in: numbers are compared with < and > in ops.where")
        return self is other

    __hash__ = object.__hash__

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "a formula is traced once for all values, so that it cannot decide with if, and, or, max or min: "
            "write ops.where(z > 0, value, other), ops.maximum or ops.minimum"
        )

    def __float__(self) -> NoReturn:
        _unknown("functions of Python's math module, float() or int()")

    def __iter__(self) -> NoReturn:
        _unknown("indexing or loops over a variable, which stands for one number")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> "Expression":
        """NumPy's numbers may stand beside expressions; NumPy's functions may not."""
        name: str = ufunc.__name__
        operator = {"true_divide": "divide"}.get(name, name)
        plain = all(isinstance(x, (Expression, numbers.Real)) for x in inputs)
        if method == "__call__" and not keywords and plain and operator in _OPERATORS:
            return apply(operator, *inputs)
        hint = f" (fastnn.ops has {name})" if name in OPERATIONS else ""
        _unknown(f"numpy.{name}{hint}")

    def __array_function__(self, function: Any, types: Any, arguments: Any, keywords: Any) -> NoReturn:
        _unknown(f"numpy.{function.__name__}")


_OPERATORS = ("add", "subtract", "multiply", "divide", "less", "greater")
_nodes: WeakValueDictionary[Any, Expression] = WeakValueDictionary()
_lock = threading.Lock()


def _node(operation: str, arguments: tuple[Expression, ...] = (), value: float = 0.0, name: str = "") -> Expression:
    """The node, which exists once."""
    key = operation, arguments, value.hex(), name
    with _lock:
        found = _nodes.get(key)
        if found is None:
            found = object.__new__(Expression)
            fields = {"operation": operation, "arguments": arguments, "value": value, "name": name}
            for field, content in fields.items():
                object.__setattr__(found, field, content)
            _nodes[key] = found
    return found


def variable(name: str) -> Expression:
    """The variable of that name, which must be an identifier."""
    if not isinstance(name, str) or not name.isidentifier():
        raise FormulaError(f"a variable's name must be an identifier, got {name!r}")
    return _node("variable", name=name)


def number(x: float) -> Expression:
    """A finite constant."""
    if isinstance(x, bool) or not isinstance(x, numbers.Real):
        raise FormulaError(f"a formula takes expressions and numbers, got {type(x).__name__} {x!r}")
    try:
        value = float(x)
    except OverflowError as error:  # a whole number of hundreds of digits
        raise FormulaError("a number of a formula is too large for a float") from error
    if not math.isfinite(value):
        raise FormulaError(f"the numbers of a formula must be finite, got {x}")
    return _node("number", value=value)


def lift(x: Any) -> Expression:
    """An expression as it is, a number as a constant."""
    return x if isinstance(x, Expression) else number(x)


def apply(name: str, *arguments: Any) -> Expression:
    """The operation on expressions or numbers, simplified where a number says how."""
    row = OPERATIONS[name]
    if len(arguments) != row.arity:
        raise FormulaError(f"{name} takes {row.arity} arguments, got {len(arguments)}")
    if row.takes_mask and isinstance(arguments[0], (bool, np.bool_)):  # a comparison of a formula's parameters
        return lift(arguments[1] if arguments[0] else arguments[2])
    nodes = tuple(lift(x) for x in arguments)
    for i, node in enumerate(nodes):
        if node.is_mask != (row.takes_mask and i == 0):
            what = "a comparison such as z > 0" if row.takes_mask and i == 0 else "a value, not a comparison,"
            raise FormulaError(f"{name} takes {what} as argument {i + 1}, got {text(node)}")
    if not row.gives_mask and all(node.operation == "number" for node in nodes):
        with np.errstate(all="ignore"):
            value = float(row.compute(*(np.float64(node.value) for node in nodes)))
        if not math.isfinite(value):
            raise FormulaError(f"{text(_node(name, nodes))} is {value}; the numbers of a formula must be finite")
        return number(value)
    simple = row.simplify(*nodes) if row.simplify else None
    return _node(name, nodes) if simple is None else simple


_LOWEST: dict[str, Callable[..., float]] = {
    "add": lambda x, y: x + y,
    "multiply": lambda x, y: x * y if min(x, y) >= 0 else -math.inf,
    "divide": lambda x, y: 0.0 if min(x, y) >= 0 else -math.inf,
    "maximum": max,
    "minimum": min,
    "where": lambda mask, x, y: min(x, y),
    "absolute": lambda x: max(x, 0.0),
    "square": lambda x: max(x, 0.0) * max(x, 0.0),
    "sqrt": lambda x: math.sqrt(max(x, 0.0)),
    **dict.fromkeys(("exp", "sigmoid", "softplus"), lambda x: 0.0),
}
"""Below what an operation's value never is, by the same of its arguments; the others' may be anything."""


def _lowest(expression: Expression) -> float:
    """Below what its value never is, as far as that is plain to see; minus infinity if it is not."""
    found: dict[Expression, float] = {}
    for node in in_order([expression]):
        if node.operation in _LOWEST:
            found[node] = _LOWEST[node.operation](*(found[argument] for argument in node.arguments))
        else:
            found[node] = node.value if node.operation == "number" else -math.inf
    return found[expression]


def power(base: Expression, exponent: float) -> Expression:
    """``base ** exponent`` for a number; with an exponent that is not whole for ``base >= 0``.

    Where the base can be seen to be 0 at the lowest, the power is 0 there, and so is its derivative if that is finite.
    """
    if isinstance(exponent, (Expression, bool)) or not isinstance(exponent, numbers.Real):
        _unknown("a power whose exponent is no number (ops.exp(y * ops.log(x)) is x ** y for x > 0)")
    if exponent < 0:
        return 1.0 / power(base, -exponent)
    if exponent == int(exponent) and exponent <= _LARGEST_POWER:
        result, square, rest = number(1.0), base, int(exponent)
        while rest:
            result = result * square if rest & 1 else result
            rest >>= 1
            square = apply("square", square) if rest else square
        return result
    if exponent == 0.5:
        return apply("sqrt", base)
    result = apply("exp", exponent * apply("log", base))
    if exponent > 1 and _lowest(base) == 0:  # at 0 the derivative of that is 0 times infinity
        return apply("where", base > 0, result, apply("square", base))  # which is flat, too, and lets NaN through
    return result


def in_order(expressions: Iterable[Expression]) -> list[Expression]:
    """All nodes below and including ``expressions``, each once, arguments before what uses them."""
    done: dict[Expression, None] = {}
    pending = [(node, False) for node in reversed(list(expressions))]
    while pending:
        node, arguments_done = pending.pop()
        if node in done:
            continue
        if arguments_done or not node.arguments:
            done[node] = None
        else:
            pending.append((node, True))
            pending += [(argument, False) for argument in reversed(node.arguments)]
    return list(done)


def variables(expressions: Iterable[Expression]) -> tuple[str, ...]:
    """The names of the variables in ``expressions``, in the order of their use."""
    return tuple(node.name for node in in_order(expressions) if node.operation == "variable")


class _Tracing(threading.local):
    """How many formulas this thread is calling."""

    depth = 0


_tracing = _Tracing()


def trace(function: Callable[..., Any], names: Sequence[str]) -> Expression:
    """What ``function`` computes, seen by calling it once with the variables ``names``.

    Parameters
    ----------
    function : callable
        Of ``len(names)`` arguments, over operators and ``fastnn.ops``.
    names : sequence of str
        The variables.

    Returns
    -------
    Expression

    Raises
    ------
    FormulaError
        If it uses something that is no operation of formulas, decides by a value, or gives no single value.

    Examples
    --------
    >>> from fastnn.formulas import ops
    >>> text(trace(lambda z: z * ops.sigmoid(z), ["z"]))
    'z * sigmoid(z)'
    """
    _tracing.depth += 1
    try:
        result = function(*(variable(name) for name in names))
    except FormulaError:
        raise
    except AttributeError as error:
        if getattr(error.obj, "__name__", "").startswith("fastnn.formulas"):
            _unknown(f"ops.{error.name}, which does not exist")
        raise FormulaError(f"the formula of {', '.join(names)} fails: {error}") from error
    except Exception as error:
        raise FormulaError(f"the formula of {', '.join(names)} fails: {error}") from error
    finally:
        _tracing.depth -= 1
    if not isinstance(result, Expression) and (isinstance(result, bool) or not isinstance(result, numbers.Real)):
        raise FormulaError(f"a formula must return one value, this one returned {type(result).__name__} {result!r}")
    expression = lift(result)
    if expression.is_mask:
        raise FormulaError(f"a formula must return a value, this one returned the comparison {text(expression)}")
    return expression


def derivative(expression: Expression, name: str) -> Expression:
    """The derivative by the variable ``name``. At a kink it is that of one side, see ``fastnn.ops``.

    Examples
    --------
    >>> from fastnn.formulas import ops
    >>> text(derivative(ops.tanh(2 * variable("z")), "z"))
    '2 * (1 - tanh(2 * z)^2)'
    """
    zero, one = number(0.0), number(1.0)
    tangents: dict[Expression, Expression] = {}
    for node in in_order([expression]):
        of_arguments = [tangents[argument] for argument in node.arguments]
        if node.operation == "variable":
            tangents[node] = one if node.name == name else zero
        elif node.is_mask or all(tangent is zero for tangent in of_arguments):
            tangents[node] = zero
        else:
            tangents[node] = OPERATIONS[node.operation].derivative(node, *node.arguments, *of_arguments)
    return tangents[expression]


def substitute(expression: Expression, values: Mapping[str, Expression | float]) -> Expression:
    """``expression`` with expressions or numbers in the place of variables."""
    built: dict[Expression, Expression] = {}
    for node in in_order([expression]):
        if node.operation == "variable":
            built[node] = lift(values.get(node.name, node))
        elif node.operation == "number":
            built[node] = node
        else:
            built[node] = apply(node.operation, *(built[argument] for argument in node.arguments))
    return built[expression]


def evaluate(
    expressions: Sequence[Expression], values: Mapping[str, Any], backend: Mapping[str, Callable[..., Any]]
) -> list[Any]:
    """The values of ``expressions``, every node computed once.

    Parameters
    ----------
    expressions : sequence of Expression
        What to compute; shared parts are shared.
    values : mapping
        The variables by name, as values of the backend.
    backend : mapping
        Operation names to functions on the backend's values, and "number" to a function that makes such a value of a
        Python float.

    Returns
    -------
    list
        One value per expression.

    Raises
    ------
    FormulaError
        If a variable has no value or the backend lacks an operation.

    Examples
    --------
    >>> z = variable("z")
    >>> evaluate([2 * z + 1], {"z": 3.0}, {"number": float, "multiply": lambda x, y: x * y, "add": lambda x, y: x + y})
    [7.0]
    """
    found: dict[Expression, Any] = {}
    order = in_order(expressions)
    last_use = {argument: node for node in order for argument in node.arguments}
    for result in expressions:
        last_use.pop(result, None)
    for node in order:
        try:
            if node.operation == "variable":
                found[node] = values[node.name]
                continue
            function = backend[node.operation]
        except KeyError as error:
            what = f"variable {node.name}" if node.operation == "variable" else f"operation {node.operation}"
            raise FormulaError(f"there is nothing to compute the {what} with in {text(expressions[0])}") from error
        if node.operation == "number":
            found[node] = function(node.value)
        else:
            found[node] = function(*(found[argument] for argument in node.arguments))
            for argument in set(node.arguments):  # arrays may be large
                if last_use.get(argument) is node:
                    del found[argument]
    return [found[expression] for expression in expressions]


def to_data(expressions: Sequence[Expression]) -> list[Any]:
    """Expressions as nested lists for JSON: ``[nodes, results]``.

    A node is ``["variable", name]``, ``["number", value]`` or ``[operation, i, ...]`` with the places of earlier nodes;
    ``results`` are the places of the expressions.

    Examples
    --------
    >>> to_data([variable("z") * 2.0])
    [[['number', 2.0], ['variable', 'z'], ['multiply', 0, 1]], [2]]
    """
    nodes: list[list[Any]] = []
    places: dict[Expression, int] = {}
    for node in in_order(expressions):
        places[node] = len(nodes)
        if node.operation == "variable":
            nodes.append(["variable", node.name])
        elif node.operation == "number":
            nodes.append(["number", node.value])
        else:
            nodes.append([node.operation, *(places[argument] for argument in node.arguments)])
    return [nodes, [places[expression] for expression in expressions]]


def _is_place(x: Any, below: int) -> bool:
    return isinstance(x, int) and not isinstance(x, bool) and 0 <= x < below


def _read_node(entry: Any, built: list[Expression], names: Iterable[str] | None) -> Expression:
    if not isinstance(entry, list) or not entry or not isinstance(entry[0], str):
        raise FormulaError(f"a stored formula's node must be a list that begins with a name, got {str(entry)[:80]}")
    operation, *arguments = entry
    if operation in _LEAVES:
        if len(arguments) != 1:
            raise FormulaError(f"a stored {operation} must have one entry, got {len(arguments)}")
        if operation == "number":
            return number(arguments[0])
        node = variable(arguments[0])
        if names is not None and node.name not in names:
            raise FormulaError(f"a stored formula may use the variables {list(names)}, got {node.name!r}")
        return node
    if operation not in OPERATIONS:
        _unknown(f"the stored operation {operation[:80]!r}")
    for place in arguments:
        if not _is_place(place, len(built)):
            raise FormulaError(
                f"node {len(built)} of a stored formula refers to {str(place)[:80]}, not an earlier node"
            )
    return apply(operation, *(built[place] for place in arguments))


def from_data(data: Any, names: Sequence[str] | None = None) -> list[Expression]:
    """The expressions that :func:`to_data` described. Whatever comes is only ever data.

    Parameters
    ----------
    data : nested lists
        ``[nodes, results]``.
    names : sequence of str, optional
        The variables that may occur; by default any.

    Returns
    -------
    list of Expression

    Raises
    ------
    FormulaError
        If operations, arities, references, names or numbers are not what they must be, or there are more than 10,000
        nodes.
    """
    if not isinstance(data, (list, tuple)) or len(data) != 2 or not all(isinstance(part, list) for part in data):
        raise FormulaError("a stored formula must be [nodes, results]")
    entries, results = data
    if len(entries) > MOST_NODES or len(results) > MOST_NODES:
        raise FormulaError(f"a stored formula may have at most {MOST_NODES:,} nodes, got {len(entries):,}")
    built: list[Expression] = []
    for entry in entries:
        built.append(_read_node(entry, built, names))
    if not all(_is_place(place, len(built)) for place in results):
        raise FormulaError(f"the results of a stored formula must be among its {len(built)} nodes")
    return [built[place] for place in results]


def _restore(data: Any) -> Expression:
    return from_data(data)[0]


# How tightly an operation binds, for parentheses: a function or name binds tightest.
_BINDING = {"less": 1, "greater": 1, "add": 2, "subtract": 2, "multiply": 3, "divide": 3, "negative": 3, "square": 4}
_TIGHTEST = 9


def _node_text(node: Expression, texts: dict[Expression, str]) -> str:
    if node.operation == "variable":
        return node.name
    if node.operation == "number":
        return f"{node.value:.7g}"
    row, binding = OPERATIONS[node.operation], _BINDING.get(node.operation, _TIGHTEST)

    def wrapped(argument: Expression, looser: bool) -> str:
        inner = _BINDING.get(argument.operation, _TIGHTEST)
        if argument.operation == "number" and argument.value < 0:
            inner = _BINDING["negative"]
        fits = inner > binding or (inner == binding and looser)
        return texts[argument] if fits else f"({texts[argument]})"

    if node.operation == "square":
        return f"{wrapped(node.arguments[0], False)}^2"
    if node.operation == "negative":
        return f"-{wrapped(node.arguments[0], False)}"
    if not row.symbol:
        name = "abs" if node.operation == "absolute" else node.operation
        return f"{name}({', '.join(texts[argument] for argument in node.arguments)})"
    left, right = node.arguments
    return f"{wrapped(left, True)} {row.symbol} {wrapped(right, node.operation in ('add', 'multiply'))}"


def text(expression: Expression) -> str:
    """The formula for people to read; a part whose text is longer than 2,000 characters is written as ``...``.

    Examples
    --------
    >>> from fastnn.formulas import ops
    >>> z = variable("z")
    >>> text(z * (1 - ops.tanh(ops.softplus(z))))
    'z * (1 - tanh(softplus(z)))'
    """
    texts: dict[Expression, str] = {}
    for node in in_order([expression]):
        written = _node_text(node, texts)
        texts[node] = written if len(written) <= _LONGEST_TEXT else "..."
    return texts[expression]
