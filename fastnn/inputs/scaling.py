"""How inputs, and targets, are brought to unit scale: part of a network, learned once, applied to whatever comes in.

Every column x becomes ``(x - shift) / unit``. Missing values take the place of the column's mean.

Dense numbers are converted, in float64. Bytes, and a sparse matrix's numbers that are of the network's dtype, stay as
they are, and kernels apply the scale as they read them, in that dtype: ``x / divisor``, rounded once, where one number
divides all; else ``(x - shift) * factor`` with shift and factor = 1 / unit rounded to it. With eps half the distance
from 1 to the next number that is within ``eps * (|shift| + 3 |x - shift|) / unit`` of the exact value, and where shifts
are whole numbers, as "minmax" has for bytes, within ``3 eps`` of it, relatively.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.validation import InputScale

Array = NDArray[Any]

SCALES = ("minmax", "standard", "robust")
MISSING = ("mean", "indicator")
_MOST = 2.0**60  # products of two such numbers are far from the ends of float32
_BLOCK = 1 << 20  # numbers converted together, so that float64 takes little memory
_COLUMNS = 32  # whose quartiles are looked for together, fewer of very many samples
_SORTED = 1 << 21  # numbers in them at most


@dataclass(frozen=True)
class Scaling:
    """Shift and unit of every column, and what stands for a missing value.

    Attributes
    ----------
    shift : array (n,) float64
        Taken off first.
    unit : array (n,) float64
        Divides what is left: > 0, infinite for a column that is constant, which becomes 0.
    fill : array (n,) float64
        What a missing value is taken for, in the column's own units; empty where missing values are refused.
    indicators : bool
        Whether for every column another one follows, behind all of them, that is 1 where a value was missing.

    Examples
    --------
    >>> import numpy as np
    >>> Scaling(np.array([1.0]), np.array([2.0])).apply(np.array([[3], [5]]), np.dtype("float32"))
    array([[1.],
           [2.]], dtype=float32)
    """

    shift: Array
    unit: Array
    fill: Array = field(default_factory=lambda: np.empty(0))
    indicators: bool = False

    @classmethod
    def by_number(cls, n: int, number: float = 1.0) -> "Scaling":
        """Every column divided by the same number, which takes no memory for each."""
        return cls(np.broadcast_to(0.0, n), np.broadcast_to(float(number), n))

    @cached_property
    def _columns(self) -> tuple[Array, Array]:
        """Shift and factor as kernels take them: constant columns, whose factor is 0, are not shifted."""
        factor = 1 / self.unit
        return np.where(factor == 0, 0.0, self.shift), factor

    @cached_property
    def shifts(self) -> bool:
        """Whether zero does not stay zero."""
        return bool(self.shift.any())

    @cached_property
    def common(self) -> float | None:
        """The one number that all is divided by, where that is all there is to do."""
        return None if self.fills else self._divisor

    @cached_property
    def _divisor(self) -> float | None:
        """The one number that all is divided by that is not missing."""
        return None if self.shifts or not (self.unit == self.unit[0]).all() else float(self.unit[0])

    @cached_property
    def _is_moderate(self) -> bool:
        """Whether in either dtype nothing that kernels compute of bytes is out of range, nor nearly."""
        shift, factor = self._columns
        used = factor[factor != 0]
        return bool((abs(shift) <= _MOST).all() and (used <= _MOST).all() and (used >= 1 / _MOST).all())

    def in_kernels(self, dtype: np.dtype[Any], sparse: bool, largest: float) -> InputScale | None:
        """What kernels of a dtype are to do, to a sparse matrix or to bytes up to ``largest``.

        None where the data must be converted: numbers are out of the ordinary, or there are columns of indicators.
        """
        if self.indicators or largest > _MOST:
            return None
        if self._divisor is not None:
            return InputScale(self._divisor) if 1 / _MOST <= self._divisor <= _MOST else None
        if not self._is_moderate:
            return None
        shift, factor = (numbers.astype(dtype) for numbers in self._columns)
        return InputScale(1.0, None if sparse else shift, factor)

    @property
    def fills(self) -> bool:
        """Whether missing values are filled in."""
        return self.fill.size > 0

    def apply(self, values: Array, dtype: np.dtype[Any]) -> Array:
        """Scaled samples.

        Parameters
        ----------
        values : array (m, n)
            Samples of any numeric dtype.
        dtype : dtype
            Of the result.

        Returns
        -------
        array (m, n), or (m, 2 n) with indicators
            Contiguous; infinite where a number does not fit.
        """
        n = values.shape[1]
        result = np.empty((len(values), 2 * n if self.indicators else n), dtype)
        for rows in _row_blocks(values):
            block = values[rows].astype(np.float64)
            if self.fills:
                missing = np.isnan(block)
                block = np.where(missing, self.fill, block)
                if self.indicators:
                    result[rows, n:] = missing
            with np.errstate(all="ignore"):
                block -= self.shift
                block /= self.unit
                result[rows, :n] = block
        return result

    def undo(self, values: Array) -> Array:
        """What ``apply`` would make these of, (m, n), in float64: small differences between large numbers stay."""
        with np.errstate(all="ignore"):
            result: Array = values.astype(np.float64) * self.unit + self.shift
        return result

    def apply_sparse(self, values: Array, columns: Array, dtype: np.dtype[Any]) -> Array:
        """Scaled entries of a sparse matrix that lie in these columns; only where nothing is shifted."""
        unit: Any = self.common or self.unit[columns]
        with np.errstate(all="ignore"):
            scaled: Array = (values / unit).astype(dtype, copy=False)
        return scaled


def _row_blocks(values: Any) -> Iterator[slice]:
    rows = max(1, _BLOCK // max(1, values.shape[1]))
    for first in range(0, len(values), rows):
        yield slice(first, first + rows)


@np.errstate(all="ignore")
def learn(values: Any, scale: str | float | None, missing: str | None) -> Scaling:
    """The scaling of dense samples (m, n) of any numeric dtype; NaN is missing, if that is allowed.

    ``values`` are an array, or ``Stored`` ones, of which never all are in memory.
    """
    n = values.shape[1]
    low, high = _extremes(values)
    mean = _means(values) if missing or scale == "standard" else np.zeros(n)
    empty = np.isnan(low)  # a column without a single value
    low, high, mean = (np.where(empty, 0.0, numbers) for numbers in (low, high, mean))
    mean = np.clip(mean, low, high)  # of a constant column exactly its value
    if not isinstance(scale, str):
        shift, unit = np.zeros(n), np.full(n, 1.0 if scale is None else scale)
    else:
        shift, unit = _shift_and_unit(values, scale, low, high, mean)
        unit = np.where((low == high) | ~(unit > 0), np.inf, unit)
    return Scaling(shift, unit, mean if missing else np.empty(0), missing == "indicator")


def learn_targets(values: Array, scale: str | float) -> Scaling:
    """The scaling of targets (m, n), all finite: one that can be undone, so that a constant column is only shifted."""
    found = learn(values, scale, None)
    return replace(found, unit=np.where(np.isinf(found.unit), 1.0, found.unit))


def _shift_and_unit(values: Any, scale: str, low: Array, high: Array, mean: Array) -> tuple[Array, Array]:
    if scale == "minmax":
        return low, high - low
    if scale == "standard":
        return mean, _deviations(values, mean, np.maximum(high - mean, mean - low))
    lower, median, upper = _quartiles(values)
    # Where half of all values are the same, the whole range is what is left to go by.
    return median, np.where(upper > lower, upper - lower, (high - low) / 2)


def _extremes(values: Any) -> tuple[Array, Array]:
    """Of every column the least and the largest value, in float64; NaN where there is none."""
    found = [(np.fmin.reduce(block), np.fmax.reduce(block)) for block in map(values.__getitem__, _row_blocks(values))]
    lows, highs = zip(*found, strict=True)
    return np.fmin.reduce(lows).astype(np.float64), np.fmax.reduce(highs).astype(np.float64)  # which pass over NaN


def _means(values: Any) -> Array:
    total, count = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for rows in _row_blocks(values):
        block = values[rows].astype(np.float64)
        total += np.nansum(block, axis=0)
        count += (~np.isnan(block)).sum(axis=0)
    return total / np.maximum(count, 1)


def _deviations(values: Any, mean: Array, reach: Array) -> Array:
    """Root of the mean square about the mean, from which no value is further than ``reach``."""
    unit = np.where(reach > 0, reach, 1.0)  # so that squares neither overflow nor vanish
    total, count = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for rows in _row_blocks(values):
        distance = (values[rows].astype(np.float64) - mean) / unit
        total += np.nansum(distance * distance, axis=0)
        count += (~np.isnan(distance)).sum(axis=0)
    deviations: Array = unit * np.sqrt(total / np.maximum(count, 1))
    return deviations


def _quartiles(values: Any) -> Array:
    parts, step = [], max(1, min(_COLUMNS, _SORTED // len(values)))
    for first in range(0, values.shape[1], step):
        block = values[:, first : first + step].astype(np.float64)
        block[:, np.isnan(block).all(axis=0)] = 0
        parts.append(np.nanquantile(block, [0.25, 0.5, 0.75], axis=0))
    return np.concatenate(parts, axis=1)


def learn_sparse(values: Array, columns: Array, shape: tuple[int, int], scale: str) -> Scaling:
    """The scaling of a sparse matrix, from its entries and their columns: units alone, so that zero stays zero.

    "standard" divides by the standard deviation, "minmax" by the largest absolute value.
    """
    m, n = shape
    values = values.astype(np.float64)
    stored = np.bincount(columns, minlength=n)
    low, high = np.where(stored < m, 0.0, np.inf), np.where(stored < m, 0.0, -np.inf)
    np.minimum.at(low, columns, values)
    np.maximum.at(high, columns, values)
    if scale == "minmax":
        unit = np.maximum(abs(low), abs(high))
    else:
        # By a power of two, which rounds nothing, so that squares neither overflow nor vanish.
        _, power = np.frexp(np.maximum(abs(low), abs(high)))
        values = np.ldexp(values, -power[columns])
        mean = np.bincount(columns, values, minlength=n) / m
        squares = np.bincount(columns, (values - mean[columns]) ** 2, minlength=n)
        unit = np.ldexp(np.sqrt((squares + (m - stored) * mean**2) / m), power)
        unit[low == high] = np.inf
    unit[~(unit > 0)] = np.inf
    return Scaling(np.zeros(n), unit)
