"""The NumPy twins of the operations: stable functions on arrays of float32 or float64, of the same dtype.

They are quiet within ``numpy.errstate(all="ignore")``, which their callers hold. NaN comes out as NaN.
"""

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

Array = Any  # NumPy arrays and NumPy's own numbers alike


@cache
def _largest_exponent(dtype: np.dtype[Any]) -> Any:
    """The largest x whose exp is finite."""
    x = np.log(np.finfo(dtype).max)
    with np.errstate(over="ignore"):
        while not np.isfinite(np.exp(x)):
            x = np.nextafter(x, dtype.type(0))
    return x


def exp(x: Array) -> Array:
    """``exp(x)``; near the largest number where the true value is beyond it."""
    return np.exp(np.minimum(x, _largest_exponent(x.dtype)))


def expm1(x: Array) -> Array:
    """``exp(x) - 1``, right near 0; near the largest number where the true value is beyond it."""
    return np.expm1(np.minimum(x, _largest_exponent(x.dtype)))


def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``."""
    e = np.exp(-np.abs(x))
    return np.where(x > 0, x.dtype.type(1), e) / (1 + e)


def softplus(x: Array) -> Array:
    """``log(1 + exp(x))``."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


# erf: a power series where |x| <= 1; beyond it 1 - exp(-x^2) erfcx(x), where erfcx is smooth and slow: a Chebyshev
# series in (x - 3) / (x + 3), through values of math.erfc. At 6 and beyond erf is 1 in either precision.
_ERF_SERIES = [2 / math.sqrt(math.pi) * (-1) ** k / (math.factorial(k) * (2 * k + 1)) for k in range(20)]
_ERF_ONE = 6.0
_ERFCX_DEGREE = 20


def _to_unit(x: Array) -> Array:
    """[1, 6] to [-1, 1]."""
    low, high = (1 - 3) / (1 + 3), (_ERF_ONE - 3) / (_ERF_ONE + 3)
    return (2 * (x - 3) / (x + 3) - low - high) / (high - low)


@cache
def _erfcx_series() -> NDArray[np.float64]:
    """Coefficients of ``exp(x^2) erfc(x)`` in Chebyshev's polynomials of ``_to_unit(x)``."""
    low, high = (1 - 3) / (1 + 3), (_ERF_ONE - 3) / (_ERF_ONE + 3)
    nodes = chebyshev.chebpts1(_ERFCX_DEGREE + 1)
    u = (nodes * (high - low) + low + high) / 2
    x = 3 * (1 + u) / (1 - u)
    values = [math.exp(v * v) * math.erfc(v) for v in x.tolist()]
    return np.asarray(chebyshev.chebfit(nodes, values, _ERFCX_DEGREE), np.float64)


def erf(x: Array) -> Array:
    """The error function, computed in float64."""
    wide = np.asarray(x, np.float64)
    size = np.minimum(np.abs(wide), _ERF_ONE)
    small = np.polynomial.polynomial.polyval(np.minimum(size, 1) ** 2, _ERF_SERIES) * size
    far = np.maximum(size, 1)
    large = 1 - np.exp(-far * far) * chebyshev.chebval(_to_unit(far), _erfcx_series())
    return np.copysign(np.where(size < 1, small, large), wide).astype(x.dtype)[()]
