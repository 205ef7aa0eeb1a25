"""A row of a registry with its parameters, as people write it: ``leaky_relu(slope=0.1)``."""

import ast
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from fastnn import validation

Value = float | tuple[float, ...]
Parameters = tuple[tuple[str, Value], ...]
_LONGEST = 1_000
_SHAPE = re.compile(r"\s*(\w+)\s*(?:\((.*)\)\s*)?", re.DOTALL)


class Parameter(NamedTuple):
    """A number of a formula that users may choose, or several where the default is a tuple.

    Attributes
    ----------
    default : float or tuple of float
        What it is if nobody says.
    doc : str
        What it does.
    above, at_least, below : float, optional
        Its bounds.
    """

    default: Value
    doc: str
    above: float | None = None
    at_least: float | None = None
    below: float | None = None

    @property
    def bounds(self) -> dict[str, float | None]:
        """Its bounds, by the names that checks give them."""
        return {"above": self.above, "at_least": self.at_least, "below": self.below}

    def check(self, argument: str, value: Any) -> Value:
        """``value`` as a float, or a tuple of them, within bounds."""
        if not isinstance(self.default, tuple):
            return validation.check_number(argument, value, **self.bounds)
        if not isinstance(value, (list, tuple)) or not value:
            raise TypeError(f"{argument} must be a list of numbers such as {list(self.default)}, got {value!r}")
        return tuple(validation.check_number(f"{argument}[{i}]", x, **self.bounds) for i, x in enumerate(value))


def parse(argument: str, spec: str) -> tuple[str, dict[str, Any]]:
    """The name and the parameters in a spec such as ``"elu(alpha=0.5)"``. Values are literals, never code."""
    shape = _SHAPE.fullmatch(spec) if len(spec) <= _LONGEST else None
    if shape is None:
        raise ValueError(f"{argument} must look like 'name' or 'name(parameter=1.0)', got {spec[:80]!r}")
    name, inside = shape.groups()
    if not inside:
        return name, {}
    try:
        call = ast.parse(f"row({inside})", mode="eval").body
        if not isinstance(call, ast.Call) or call.args or any(keyword.arg is None for keyword in call.keywords):
            raise ValueError("parameters need their names")
        names = [str(keyword.arg) for keyword in call.keywords]
        if len(set(names)) < len(names):
            raise ValueError("a parameter stands twice")
        return name, {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(
            f"{argument} must look like 'name' or 'name(parameter=1.0)' with numbers or lists of numbers, got {spec!r}"
        ) from error


def check_given(argument: str, name: str, known: Collection[str], given: Iterable[str]) -> None:
    """Refuse parameters that a row does not have."""
    for parameter in given:
        if not known:
            raise ValueError(f"{argument}: {name} has no parameters, got {parameter!r}")
        validation.check_name(f"{argument}: a parameter of {name}", parameter, known)


def bind(argument: str, name: str, known: Mapping[str, Parameter], given: Mapping[str, Any]) -> Parameters:
    """All parameters of a row in its order, the given ones checked."""
    check_given(argument, name, known, given)
    return tuple(
        (key, row.check(f"{argument}: {key} of {name}", given[key]) if key in given else row.default)
        for key, row in known.items()
    )


def named(argument: str, spec: Any, rows: Mapping[str, Any], maker: str) -> tuple[str, Parameters]:
    """The row that a spec names, with all its parameters, checked; ``maker`` is what makes such rows for users."""
    if not isinstance(spec, str):
        raise TypeError(
            f"{argument} must be one of {list(rows)} or an object of fastnn.{maker}(...), "
            f"got {type(spec).__name__} {spec!r}"
        )
    name, given = parse(argument, spec)
    validation.check_name(argument, name, rows)
    return name, bind(argument, name, rows[name].parameters, given)


def _shown(value: Value) -> str:
    return f"[{', '.join(map(repr, value))}]" if isinstance(value, tuple) else repr(value)


def canonical(name: str, known: Mapping[str, Parameter], parameters: Parameters) -> str:
    """The spec that names what differs from the defaults, and nothing else."""
    given = [f"{key}={_shown(value)}" for key, value in parameters if value != known[key].default]
    return f"{name}({', '.join(given)})" if given else name
