"""Stable elementary functions on vectors: the code of the operations that formulas are made of.

Everything here is finite, and right to a few units in the last place, for every finite input that has a finite result;
NaN comes out as NaN. Written on ``simd.Vector``: plain formulas that emit code.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from math import factorial, log, log2
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.polynomial import chebyshev

from fastnn.kernels.host import HAS_FMA
from fastnn.kernels.simd import (
    Vector,
    estimate,
    exponent_and_mantissa,
    fma,
    lane_numbers,
    leading_bits,
    pick,
    picks,
    polynomial,
    power_of_two,
    times_power_of_two,
    vector_function,
    where,
)


class _Precision(NamedTuple):
    """How far the series go, and the numbers around exp's argument reduction, for one dtype."""

    exp_degree: int  # Taylor's remainder r^(d+1)/(d+1)! for |r| <= ln(2)/2 is below a quarter ulp
    log1p_terms: int  # s^(2k)/(2k+1) for s <= 1/3 is below a quarter ulp
    erf_degrees: tuple[int, int]  # of the two series, so that the first term left out is below a quarter ulp
    exp_lowest: float  # exp of this rounds to zero
    exp_highest: float  # exp of this is the largest number, nearly
    largest_exponent: int  # of a normal number
    newton_steps: int  # from an estimate that is right to 14 bits: each doubles them
    largest_inverse_root: float  # above that of the smallest normal number
    ln2_high: float  # ln 2 with enough trailing zero bits that n * ln2_high is exact
    ln2_low: float


_PRECISION = {
    types.float32: _Precision(
        exp_degree=7,
        log1p_terms=8,
        erf_degrees=(6, 14),
        exp_lowest=-104.0,
        exp_highest=88.72283,
        largest_exponent=127,
        newton_steps=1,
        largest_inverse_root=1e19,
        ln2_high=0.693359375,
        ln2_low=log(2) - 0.693359375,
    ),
    types.float64: _Precision(
        exp_degree=13,
        log1p_terms=16,
        erf_degrees=(11, 30),
        exp_lowest=-746.0,
        exp_highest=709.782712893384,
        largest_exponent=1023,
        newton_steps=2,
        largest_inverse_root=1e154,
        ln2_high=6.93147180369123816490e-01,
        ln2_low=1.90821492927058770002e-10,
    ),
}


def _precision(x: Vector) -> _Precision:
    return _PRECISION[x.type.dtype]


def _reduce_exponent(x: Vector) -> tuple[Vector, Vector]:
    """``(n, r)`` with ``x = n ln 2 + r``, n whole, ``|r| <= ln(2)/2`` (Cody and Waite's reduction)."""
    n = (x * log2(math.e)).call("rint")
    r = fma(n, -_precision(x).ln2_high, x)
    return n, fma(n, -_precision(x).ln2_low, r)


def _taylor_expm1(r: Vector) -> Vector:
    """``exp(r) - 1`` for ``|r| <= ln(2)/2``."""
    return r * polynomial(r, [1 / factorial(k) for k in range(_precision(r).exp_degree + 1, 0, -1)])


def _exp_below(x: Vector) -> Vector:
    """``exp(x)`` for ``x`` up to ``exp_highest``, down into the subnormal numbers."""
    x = where(x < _precision(x).exp_lowest, _precision(x).exp_lowest, x)
    n, r = _reduce_exponent(x)
    taylor = polynomial(r, [1 / factorial(k) for k in range(_precision(x).exp_degree, -1, -1)])
    return times_power_of_two(taylor, n)


exp_nonpositive = _exp_below


def exp(x: Vector) -> Vector:
    """``exp(x)``; it ends near the largest number."""
    return _exp_below(where(x > _precision(x).exp_highest, _precision(x).exp_highest, x))


def expm1(x: Vector) -> Vector:
    """``exp(x) - 1`` without cancellation near 0: ``2^n (e^r - 1 + 1 - 2^-n)``; it ends near the largest number."""
    x = where(x < -60.0, -60.0, x)  # exp(-60) is lost beside 1 in either precision
    x = where(x > _precision(x).exp_highest, _precision(x).exp_highest, x)
    n, r = _reduce_exponent(x)
    most = float(_precision(x).largest_exponent - 1)
    rest = 1.0 - power_of_two(-where(n > most, most, n))
    return times_power_of_two(_taylor_expm1(r) + rest, n)


def log1p_unit(x: Vector) -> Vector:
    """``log(1 + x)`` for ``-0.3 <= x <= 1``: ``2 atanh(x / (2 + x))`` as a series."""
    s = x / (x + 2.0)
    series = polynomial(s * s, [2 / (2 * k + 1) for k in range(_precision(x).log1p_terms, -1, -1)])
    return s * series


def natural_log(x: Vector) -> Vector:
    """``log(x)``; minus infinity at 0, NaN below."""
    n, m = exponent_and_mantissa(x)
    high = m > math.sqrt(2)
    n, m = where(high, n + 1.0, n), where(high, m * 0.5, m)
    found = fma(n, _precision(x).ln2_high, fma(n, _precision(x).ln2_low, log1p_unit(m - 1.0)))
    found = where(x.equal(math.inf), math.inf, found)
    return where(x > 0.0, found, where(x.equal(0.0), x.lift(-math.inf), math.nan))


def general_log1p(x: Vector) -> Vector:
    """``log(1 + x)``, right near 0: the logarithm of the rounded sum, and what rounding took."""
    u = x + 1.0
    found = natural_log(u) + (x - (u - 1.0)) / u
    return where(x.equal(math.inf), math.inf, where(x > -1.0, found, natural_log(u)))


def _reciprocal(y: Vector) -> Vector | None:
    """``1 / y`` by AVX-512's estimate and steps of Newton's method; None where there is no estimate."""
    r = estimate("rcp14", y)
    if r is not None:
        for _ in range(_precision(y).newton_steps):
            r = fma(r, fma(-y, r, y.lift(1.0)), r)
    return r


def quotient(x: Vector, y: Vector) -> Vector:
    """``x / y``, right to a unit in the last place where y and 1/y are normal numbers; NaN where y is 0 or infinite.

    With AVX-512, whose division of 16 numbers keeps its unit busy for 16 cycles, by 1/y, and the product corrected by
    what it leaves. In float64 what is divided here takes so much else that a division passes unnoticed.
    """
    r = _reciprocal(y) if y.type.dtype == types.float32 else None
    if r is None:
        return x / y
    q = x * r
    return fma(fma(-y, q, x), r, q)


def near_quotient(x: Vector, y: Vector) -> Vector:
    """The same without the correction, right to two units; a sum takes the product in, see ``_Product``."""
    r = _reciprocal(y)
    return x / y if r is None else _Product(x, r)


def sigmoid(z: Vector) -> Vector:
    """``1 / (1 + exp(-z))``."""
    e = exp_nonpositive(-abs(z))
    return quotient(where(z > 0.0, 1.0, e), e + 1.0)


_TANH_OCTAVES = range(-4, 4)  # 2^-4 to 2^4: below, tanh(x) = x (1 - x^2/3 + 2x^4/15)
_TANH_ONE = 10.0  # where it has long been rounded to 1
_TANH_PIECES, _TANH_BITS = 4, 2  # to an octave, and the bits of the mantissa that tell them apart
_TANH_DEGREE = 5  # the first term left out is below a quarter ulp in every piece


def _tanh_piece(number: int) -> list[float]:
    """A piece's middle, and tanh's coefficients in powers of the distance from it, the highest first.

    The middle is moved to where tanh is nearly a float32, so that the constant is not rounded. The first piece begins
    at 0, where only an odd polynomial is right to a few units in the last place.
    """
    if number == 0:
        return [0.0, 2 / 15, 0.0, -1 / 3, 0.0, 1.0, 0.0]
    octave, within = divmod(number, _TANH_PIECES)
    unit = 2.0 ** _TANH_OCTAVES[octave] / _TANH_PIECES
    half = unit / 2
    candidates = unit * (_TANH_PIECES + within + 0.5 + np.arange(64) / 2**14)
    middle = min(candidates.tolist(), key=lambda x: abs(float(np.float32(math.tanh(x))) - math.tanh(x)))

    def around(u: Any) -> Any:
        return np.tanh(middle + half * u)

    series = chebyshev.cheb2poly(chebyshev.chebinterpolate(around, _TANH_DEGREE))
    return [middle, *(float(series[k] / half**k) for k in range(_TANH_DEGREE, -1, -1))]


@lru_cache
def _tanh_tables() -> list[list[float]]:
    """The numbers of all pieces, one table for each kind; a piece's place is what ``leading_bits`` say, modulo 32."""
    count, first = len(_TANH_OCTAVES) * _TANH_PIECES, (_TANH_OCTAVES.start + 127) * _TANH_PIECES
    rows = [_tanh_piece((place - first) % count) for place in range(count)]
    return [list(column) for column in zip(*rows, strict=True)]


def _tanh_by_pieces(z: Vector) -> Vector:
    """A polynomial for every piece of the axis, in half the instructions of the other way, and without a division."""
    x = minimum(abs(z), z.lift(_TANH_ONE))
    places = leading_bits(maximum(x, z.lift(2.0**_TANH_OCTAVES.start)), _TANH_BITS)
    middle, *coefficients = (pick(table, places, z) for table in _tanh_tables())
    distance, total = x - middle, coefficients[0]
    for coefficient in coefficients[1:]:
        total = fma(total, distance, coefficient)
    return total.call("copysign", z)


def _tanh_by_exponent(z: Vector) -> Vector:
    """``(1 - E) / (1 + E)`` with ``E = exp(-2|z|)``; beyond |z| = 1 ``1 - 2E / (1 + E)``, where 1 - E would round."""
    x = abs(z) * -2.0
    x = where(x < -60.0, -60.0, x)
    n, r = _reduce_exponent(x)
    taylor, scale = _taylor_expm1(r), power_of_two(n)
    less_one = fma(taylor, scale, scale - 1.0)  # E - 1
    large = x < -2.0
    share = quotient(where(large, 2.0 * (taylor * scale + scale), -less_one), less_one + 2.0)
    return where(large, 1.0 - share, share).call("copysign", z)


def tanh(z: Vector) -> Vector:
    """``tanh(z)``."""
    return _tanh_by_pieces(z) if picks(z) else _tanh_by_exponent(z)


def softplus(z: Vector) -> Vector:
    """``log(1 + exp(z))``."""
    return where(z < 0.0, 0.0, z) + log1p_unit(exp_nonpositive(-abs(z)))


_ERF_SPLIT = 0.5
_ERFCX_ASYMPTOTIC = 8.0  # from here on the 40 first terms of the asymptotic series fall, to nothing
_ERFCX_MIDDLE = 3.75  # where t of ``_scaled_erfc`` is 0 (Shepherd and Laframboise, 1981)


def _scaled_erfc(x: float) -> float:
    """``exp(x^2) erfc(x)`` for x >= 0, right to a few roundings."""
    if x > _ERFCX_ASYMPTOTIC:
        term = total = 1.0
        for k in range(1, 40):
            term *= -(2 * k - 1) / (2 * x * x)
            total += term
        return total / (x * math.sqrt(math.pi))
    square = x * x
    lost = float(Fraction(x) ** 2 - Fraction(square))  # exp would make 100 roundings of one of a square of 100
    return math.exp(square) * (1 + lost) * math.erfc(x)


@lru_cache
def _erf_series(small: int, large: int) -> tuple[list[float], list[float]]:
    """Chebyshev coefficients of ``erf(x)/x`` in x^2 / split^2, and of ``(1 + 2x) exp(x^2) erfc(x)`` in (x-K)/(x+K)."""

    def near(u: Any) -> Any:
        x = _ERF_SPLIT * np.sqrt((u + 1) / 2)
        return np.array([math.erf(v) / v if v > 0 else 2 / math.sqrt(math.pi) for v in x])

    def far(t: Any) -> Any:
        x = _ERFCX_MIDDLE * (1 + t) / (1 - t)
        return np.array([(1 + 2 * v) * _scaled_erfc(v) for v in x])

    return list(chebyshev.chebinterpolate(near, small)), list(chebyshev.chebinterpolate(far, large))


def _clenshaw(t: Vector, coefficients: list[float]) -> Vector:
    """``sum_k c_k T_k(t)``."""
    above, here, twice = t.lift(0.0), t.lift(coefficients[-1]), t * 2.0
    for coefficient in coefficients[-2:0:-1]:
        above, here = here, fma(twice, here, t.lift(coefficient) - above)
    return fma(t, here, t.lift(coefficients[0]) - above)


def erf(z: Vector) -> Vector:
    """The error function: a series near 0, beyond ``1 - exp(-x^2) erfcx(x)``."""
    near, far = _erf_series(*_precision(z).erf_degrees)
    x = abs(z)
    bounded = where(x > 10.0, 10.0, x)
    small = where(x > _ERF_SPLIT, _ERF_SPLIT, x)
    series = z * _clenshaw(small * small * (2 / _ERF_SPLIT**2) - 1.0, near)
    t = (bounded - _ERFCX_MIDDLE) / (bounded + _ERFCX_MIDDLE)
    rest = exp_nonpositive(-(bounded * bounded)) * (_clenshaw(t, far) / fma(bounded, 2.0, 1.0))
    large = (1.0 - rest).call("copysign", z)
    return where(x < _ERF_SPLIT, series, where(x < math.inf, large, z.lift(1.0).call("copysign", z) + z * 0.0))


def sign(x: Vector) -> Vector:
    """-1, 0 or 1; NaN stays."""
    return where(x > 0.0, 1.0, where(x < 0.0, -1.0, x))


def maximum(x: Vector, y: Vector) -> Vector:
    """The larger one; x where it is NaN."""
    return where(x.builder.fcmp_unordered(">", x.value, y.value), x, y)


def minimum(x: Vector, y: Vector) -> Vector:
    """The smaller one; x where it is NaN."""
    return where(x.builder.fcmp_unordered("<", x.value, y.value), x, y)


def root(x: Vector) -> Vector:
    """``sqrt(x)``, right to two units in the last place for normal x, 0 for 0; NaN where x is infinite or below 0.

    With AVX-512 by an estimate y of 1/sqrt(x), and steps of Newton's method for ``g = x y`` and ``h = y / 2``.
    """
    y = estimate("rsqrt14", x)
    if y is None:
        return x.call("sqrt")
    largest = _precision(x).largest_inverse_root
    y = where(y > largest, largest, y)  # of 0, infinite
    g, h = x * y, y * 0.5
    for _ in range(_precision(x).newton_steps):
        error = fma(-g, h, x.lift(0.5))
        g, h = fma(g, error, g), fma(h, error, h)
    return g


class _Product(Vector):
    """A product that remembers its factors: a sum with it becomes one instruction, and is rounded once.

    Which of two products a sum takes in is settled here, the first one. LLVM, allowed to contract by itself, settles it
    differently in the code of one shape of a tile and another, and so bits would depend on how work is shared out.
    """

    def __init__(self, x: Vector, y: Vector) -> None:
        super().__init__(x.builder, x.type, x.builder.fmul(x.value, y.value))
        self.factors = x, y


def _sum(x: Vector, y: Vector) -> Vector:
    if isinstance(x, _Product):
        return fma(*x.factors, y)
    return fma(*y.factors, x) if isinstance(y, _Product) else x + y


def _difference(x: Vector, y: Vector) -> Vector:
    if isinstance(x, _Product):
        return fma(*x.factors, -y)
    if isinstance(y, _Product):
        a, b = y.factors
        return fma(-a, b, x)
    return x - y


OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": _sum,
    "subtract": _difference,
    "multiply": _Product,
    "divide": lambda x, y: x / y,
    "negative": lambda x: -x,
    "absolute": abs,
    "sign": sign,
    "maximum": maximum,
    "minimum": minimum,
    "less": lambda x, y: x < y,
    "greater": lambda x, y: x > y,
    "where": where,
    "square": lambda x: _Product(x, x),
    "sqrt": lambda x: x.call("sqrt"),
    "exp": exp,
    "expm1": expm1,
    "log": natural_log,
    "log1p": general_log1p,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "erf": erf,
}
"""Code for every operation of ``fastnn.formulas.operations``."""

STEP_OPERATIONS = {**OPERATIONS, "divide": near_quotient, "sqrt": root}
"""The same for optimizers, which divide and take roots for every parameter, and of numbers that are no extremes."""


@vector_function
def keep_first(x: Vector, count: Vector, filler: Vector) -> Vector:
    """``x`` in the first ``count`` lanes, ``filler`` in the others: padding must not leak."""
    return where(lane_numbers(x) < count, x, filler)


@vector_function
def count_from(first: Vector) -> Vector:
    """``first, first + 1, ...``, one per lane; the argument in every lane."""
    return first + lane_numbers(first)


@vector_function
def if_larger(x: Vector, y: Vector, yes: Vector, no: Vector) -> Vector:
    """``yes`` in the lanes where ``x > y``, ``no`` in the others."""
    return where(x > y, yes, no)


@vector_function
def if_equal(x: Vector, y: Vector, yes: Vector, no: Vector) -> Vector:
    """``yes`` in the lanes where ``x == y``, ``no`` in the others."""
    return where(x.equal(y), yes, no)


@vector_function
def log1p(x: Vector) -> Vector:
    """``log(1 + x)`` for ``x >= 0``: beyond 1 the logarithm of ``2^n m`` with ``1 <= m < 2``."""
    n, m = exponent_and_mantissa(x + 1.0)
    large = x > 1.0  # false for NaN, whose bits would make a number
    return fma(where(large, n, 0.0), log(2), log1p_unit(where(large, m - 1.0, x)))


@vector_function
def exp_difference(x: Vector, y: Vector) -> Vector:
    """``exp(x - y)`` for ``x <= y``, also where the difference has to be rounded.

    An error of half a unit in the last place of -50 would be one of 25 in the result. The rounding error of a
    difference can be had exactly (Knuth's two-sum), and ``exp(d + error) = exp(d) (1 + error)``.
    """
    d = x - y
    rounded_off = d - x
    error = (x - (d - rounded_off)) - (y + rounded_off)
    e = exp_nonpositive(d)
    return where(d < _precision(x).exp_lowest, e, fma(e, error, e))


@vector_function
def fraction(x: Vector, divisor: Vector, reciprocal: Vector) -> Vector:
    """``x / divisor`` for whole ``x`` in 0..255, rounded as a division rounds, without its cost."""
    if not HAS_FMA:
        return x / divisor
    quotient = x * reciprocal
    remainder = fma(quotient, -divisor, x)
    return fma(remainder, reciprocal, quotient)
