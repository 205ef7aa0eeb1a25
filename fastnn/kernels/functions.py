"""Stable elementary functions on vectors, and the tables of activations and costs.

Everything here is finite, and right to a few units in the last place, for every finite input; NaN comes out as NaN.
Written on ``simd.Vector``: plain formulas that emit code.
"""

from collections.abc import Callable
from math import factorial, log, log2
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types

from fastnn.kernels.simd import (
    Vector,
    exponent_and_mantissa,
    fma,
    ir_vector,
    lane_numbers,
    named_intrinsic,
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
    exp_lowest: float  # exp of this rounds to zero
    ln2_high: float  # ln 2 with enough trailing zero bits that n * ln2_high is exact
    ln2_low: float


_PRECISION = {
    types.float32: _Precision(7, 8, -104.0, 0.693359375, log(2) - 0.693359375),
    types.float64: _Precision(13, 16, -746.0, 6.93147180369123816490e-01, 1.90821492927058770002e-10),
}


def _precision(x: Vector) -> _Precision:
    return _PRECISION[x.type.dtype]


def _reduce_exponent(x: Vector) -> tuple[Vector, Vector]:
    """``(n, r)`` with ``x = n ln 2 + r``, n whole, ``|r| <= ln(2)/2`` (Cody and Waite's reduction)."""
    n = (x * log2(2.718281828459045)).call("rint")
    r = fma(n, -_precision(x).ln2_high, x)
    return n, fma(n, -_precision(x).ln2_low, r)


def exp_nonpositive(x: Vector) -> Vector:
    """``exp(x)`` for ``x <= 0``, down into the subnormal numbers."""
    x = where(x < _precision(x).exp_lowest, _precision(x).exp_lowest, x)
    n, r = _reduce_exponent(x)
    taylor = polynomial(r, [1 / factorial(k) for k in range(_precision(x).exp_degree, -1, -1)])
    return times_power_of_two(taylor, n)


def expm1_nonpositive(x: Vector) -> Vector:
    """``exp(x) - 1`` for ``x <= 0`` without cancellation near 0."""
    x = where(x < -60.0, -60.0, x)  # exp(-60) is lost beside 1 in either precision
    n, r = _reduce_exponent(x)
    taylor = r * polynomial(r, [1 / factorial(k) for k in range(_precision(x).exp_degree + 1, 0, -1)])
    scale = power_of_two(n)
    return fma(taylor, scale, scale - 1.0)


def log1p_unit(x: Vector) -> Vector:
    """``log(1 + x)`` for ``0 <= x <= 1``: ``2 atanh(x / (2 + x))`` as a series."""
    s = x / (x + 2.0)
    series = polynomial(s * s, [2 / (2 * k + 1) for k in range(_precision(x).log1p_terms, -1, -1)])
    return s * series


def softplus(z: Vector) -> Vector:
    """``log(1 + exp(z)) - max(z, 0)``, the part of softplus that needs an exponential."""
    return log1p_unit(exp_nonpositive(-abs(z)))


# --- activations: f(z), and f' written on the output a = f(z) ---


class Activation(NamedTuple):
    """An activation's kernel: the function, and its derivative written on its output."""

    value: Callable[[Vector], Vector]
    derivative: Callable[[Vector], Vector]


def _sigmoid(z: Vector) -> Vector:
    e = exp_nonpositive(-abs(z))
    return where(z > 0.0, 1.0, e) / (e + 1.0)


def _tanh(z: Vector) -> Vector:
    e = expm1_nonpositive(abs(z) * -2.0)
    return (-e / (e + 2.0)).call("copysign", z)


def _relu(z: Vector) -> Vector:
    return where(z < 0.0, 0.0, z)  # this way round NaN stays NaN


ACTIVATIONS = {
    "identity": Activation(lambda z: z, lambda a: a.lift(1.0)),
    "sigmoid": Activation(_sigmoid, lambda a: a * (1.0 - a)),
    "tanh": Activation(_tanh, lambda a: 1.0 - a * a),
    "relu": Activation(_relu, lambda a: where(a > 0.0, 1.0, 0.0 * a)),
}
PLAIN_ACTIVATIONS = len(ACTIVATIONS)
SOFTMAX = PLAIN_ACTIVATIONS  # the one activation that works on a row, not on a number: ``outputs.softmax_block``
ACTIVATION_CODES = {name: code for code, name in enumerate([*ACTIVATIONS, "softmax"])}
IDENTITY = ACTIVATION_CODES["identity"]


# --- costs of one output unit: C(z, a, t), and the slope that starts the delta recursion ---


class Cost(NamedTuple):
    """A cost's kernel on weighted input z, output a and target t of one unit."""

    value: Callable[[Vector, Vector, Vector], Vector]
    slope: Callable[[Vector, Vector], Vector]  # dC/da, or dC/dz where ``canonical``
    canonical: bool  # cost and output activation cancel: the slope is the delta already


def _cross_entropy(z: Vector, a: Vector, t: Vector) -> Vector:
    # -t log a - (1 - t) log(1 - a), from z; both terms are >= 0, so nothing cancels.
    return where(z > 0.0, z * (1.0 - t), -(z * t)) + softplus(z)


# Costs whose slope still needs the activation's derivative come first.
COSTS = {
    "quadratic": Cost(lambda z, a, t: (a - t) * ((a - t) * 0.5), lambda a, t: a - t, False),
    "sum_squares": Cost(lambda z, a, t: (a - t) * (a - t), lambda a, t: (a - t) * 2.0, False),
    "cross_entropy": Cost(_cross_entropy, lambda a, t: a - t, True),
    # Its value needs the whole row: ``outputs.log_likelihood_block``. Its slope is that of one unit.
    "log_likelihood": Cost(lambda z, a, t: z.lift(0.0), lambda a, t: a - t, True),
}
COST_CODES = {name: code for code, name in enumerate(COSTS)}
LOG_LIKELIHOOD = COST_CODES["log_likelihood"]
FIRST_CANONICAL = [cost.canonical for cost in COSTS.values()].index(True)


def _output_unit(cost: Cost, activation: Activation) -> Callable[[Vector, Vector, Vector], tuple[Vector, ...]]:
    def unit(z: Vector, t: Vector, share: Vector) -> tuple[Vector, ...]:
        a = activation.value(z)
        slope = cost.slope(a, t)
        return a, cost.value(z, a, t), slope if cost.canonical else slope * activation.derivative(a)

    return unit


def _softmax_unit(a: Vector, t: Vector, share: Vector) -> tuple[Vector, ...]:
    return a, a.lift(0.0), a * share - t


# (z, t, share) -> (a, C, dC/dz) of one output unit for every pair that may be; ``outputs.unit_code`` finds the row.
# Softmax comes as outputs, with its cost known, because both need the whole row.
OUTPUT_UNITS = [
    *(_output_unit(cost, f) for cost in COSTS.values() if not cost.canonical for f in ACTIVATIONS.values()),
    _output_unit(COSTS["cross_entropy"], ACTIVATIONS["sigmoid"]),
    _softmax_unit,
]


def _switch(name: str, functions: list[Callable[..., tuple[Vector, ...]]], arity: int, results: int) -> Any:
    """An intrinsic ``name(code, *vectors)`` that runs function number ``code``; a tuple if it has several results."""

    def typing(_: Any, *args: Any) -> Any:
        vector = args[1]

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            vectors = [Vector(builder, vector, value) for value in values[1:]]
            done = builder.append_basic_block("done")
            blocks = [builder.append_basic_block(f"case{code}") for code in range(len(functions))]
            switch = builder.switch(values[0], blocks[0])
            ends = []
            for code, (function, block) in enumerate(zip(functions, blocks, strict=True)):
                switch.add_case(ir.IntType(64)(code), block)
                builder.position_at_end(block)
                ends.append((function(*vectors), builder.block))
                builder.branch(done)
            builder.position_at_end(done)
            phis = []
            for i in range(results):
                phi = builder.phi(ir_vector(vector))
                for found, block in ends:
                    phi.add_incoming(found[i].value, block)
                phis.append(phi)
            return phis[0] if results == 1 else context.make_tuple(builder, signature.return_type, phis)

        returned = vector if results == 1 else types.UniTuple(vector, results)
        return returned(types.intp, *args[1:]), codegen

    return named_intrinsic(name, ["code", "x", "y", "z"][: arity + 1], typing)


activate = _switch("activate", [lambda z, f=f: (f.value(z),) for f in ACTIVATIONS.values()], 1, 1)
activation_derivative = _switch(
    "activation_derivative", [lambda a, f=f: (f.derivative(a),) for f in ACTIVATIONS.values()], 1, 1
)
output_unit = _switch("output_unit", OUTPUT_UNITS, 3, 3)


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
def fraction_of_255(x: Vector) -> Vector:
    """``x / 255`` for whole ``x`` in 0..255, rounded as a division rounds, without its cost."""
    quotient = x * (1 / 255)
    remainder = fma(quotient, -255.0, x)
    return fma(remainder, 1 / 255, quotient)
