"""What a formula must hold to be trained with, checked when it is made or read."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import validation
from fastnn.formulas import expressions, ops
from fastnn.formulas.expressions import Expression, FormulaError

Array = NDArray[Any]
_STEP = 1e-6  # of central differences, in float64
_TOLERANCE = 1e-4
_MOST_KINKS = 0.01
_FLOAT32_RANGE, _FLOAT32_TOLERANCE = 1e37, 0.01


def wide_grid() -> Array:
    """Numbers from -1000 to 1000, most of them near 0, few of them round, so that they miss most kinks."""
    near = np.linspace(-20, 20, 2_001) + 1.23456e-4
    far = np.geomspace(20, 1000, 200)
    return np.concatenate([-far[::-1], near, far, np.linspace(-1e-3, 1e-3, 21) + 1.7e-7, [0.0]])


def check_own_name(argument: str, name: Any, taken: Collection[str]) -> None:
    """Refuse a name that is no identifier, or that is a built-in one."""
    if not isinstance(name, str):
        raise TypeError(f"the name of an own {argument} must be a string, got {type(name).__name__} {name!r}")
    if not name.isidentifier() or len(name) > 100:
        raise ValueError(f"the name of an own {argument} must be an identifier such as 'swish2', got {name[:120]!r}")
    if name in taken:
        raise ValueError(f"there is a built-in {argument} {name!r} already; choose another name")


def check_own_numbers(name: str, values: Mapping[str, Any]) -> dict[str, float]:
    """The numbers that a user's own formula takes."""
    return {key: validation.check_number(f"{key} of {name}", value) for key, value in values.items()}


def _where_bad(grid: Mapping[str, Array], bad: Array) -> str:
    i = int(np.argmax(bad))
    return ", ".join(f"{key} = {values[i]:.6g}" for key, values in grid.items())


def check_finite(name: str, found: Mapping[str, Expression], grid: Mapping[str, Array]) -> None:
    """Refuse formulas that are not finite somewhere on the grid, or far off in float32."""
    narrow = {key: x.astype(np.float32) for key, x in grid.items()}
    wide = {key: x.astype(np.float64) for key, x in narrow.items()}
    results = {
        values[next(iter(grid))].dtype.name: ops.compute(list(found.values()), values) for values in (wide, narrow)
    }
    for dtype, values in results.items():
        for what, result in zip(found, values, strict=True):
            bad = ~np.isfinite(result)
            if bad.any():
                raise FormulaError(
                    f"{name}: the {what} is {result[np.argmax(bad)]} in {dtype} at {_where_bad(grid, bad)}; "
                    "it must be finite (a stable formula has no log of 0, 0 / 0 or products of large numbers)"
                )
    for what, exact, result in zip(found, results["float64"], results["float32"], strict=True):
        # Rounding makes a steep function jump from one side of a step to the other here and there.
        bad = (np.abs(exact) < _FLOAT32_RANGE) & (np.abs(result - exact) > _FLOAT32_TOLERANCE * (1 + np.abs(exact)))
        if bad.mean() > _MOST_KINKS:
            raise FormulaError(
                f"{name}: the {what} at {_where_bad(grid, bad)} is {exact[np.argmax(bad)]:.6g}, but in float32 "
                f"{result[np.argmax(bad)]:.6g}: large numbers in between are lost (exp of large numbers?)"
            )


def check_derivative(name: str, expression: Expression, slope: Expression, by: str, grid: Mapping[str, Array]) -> None:
    """Refuse a slope that differs from central differences at more than 1 % of the grid."""
    step = _STEP * np.maximum(1, np.abs(grid[by]))
    (there,) = ops.compute([expression], {**grid, by: grid[by] + step})
    (here,) = ops.compute([expression], {**grid, by: grid[by] - step})
    (traced,) = ops.compute([slope], grid)
    differences = (there - here) / (2 * step)
    # The rounding of the values is that of the differences divided by the step.
    rounding = 1e-15 * np.maximum(np.abs(there), np.abs(here)) / step
    off = np.abs(traced - differences) > _TOLERANCE * (1 + np.abs(traced)) + 100 * rounding
    if off.mean() > _MOST_KINKS:
        i = int(np.argmax(off))
        raise FormulaError(
            f"{name}: the derivative at {_where_bad(grid, off)} is {traced[i]:.6g}, but the values around it "
            f"say {differences[i]:.6g}; either the formula jumps or its values are lost in rounding there"
        )


def check_function(name: str, expression: Expression, by: str, grid: Mapping[str, Array]) -> None:
    """Refuse a formula that is not finite on a grid, or whose derivative is not that of its values."""
    for used in expressions.variables([expression]):
        if used not in grid:
            raise FormulaError(f"{name}: the formula may use {', '.join(grid)}, got {used}")
    slope = expressions.derivative(expression, by)
    check_finite(name, {"value": expression, "derivative": slope}, grid)
    check_derivative(name, expression, slope, by, grid)


def read_fields(argument: str, data: Any, fields: Mapping[str, type]) -> list[Any]:
    """The entries of a stored description, each of its type."""
    if not isinstance(data, dict) or data.keys() != fields.keys():
        raise ValueError(f"a stored {argument} must be a name or have the entries {list(fields)}, got {str(data)[:80]}")
    for key, kind in fields.items():
        if not isinstance(data[key], kind):
            raise ValueError(f"{key} of a stored {argument} must be a {kind.__name__}, got {str(data[key])[:80]}")
    return [data[key] for key in fields]


def read_formula(argument: str, data: Any, names: Sequence[str]) -> Expression:
    """The one expression in a stored formula."""
    found = expressions.from_data(data, names)
    if len(found) != 1 or found[0].is_mask:
        raise FormulaError(f"a stored {argument} must hold the formula of one value")
    return found[0]
