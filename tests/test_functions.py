"""The public functions against 50-digit arithmetic: accuracy, extremes, shapes, dtypes and errors."""

import math
from collections.abc import Callable, Sequence
from decimal import Context, Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastnn import functions

Array = NDArray[Any]

# Fifty digits leave thirty to spare beside a float64, and the exponents reach past exp(-745).
REFERENCE = Context(prec=50)
LOWEST = Decimal(-2000)  # exp of this is zero in either precision

DTYPES = ["float32", "float64"]
WIDTHS = [1, 3, 15, 16, 17, 31, 33]  # around one and two registers of 16, 8, 4 and 2 lanes

# How far a result may lie from the true one, in units in the last place of the true one.
#
# sigmoid, tanh and the units of the costs are an exponential (a polynomial rounded once or twice: 1 ulp) followed by
# two to four operations of half an ulp each, which count double where the result has just passed a power of two.
# The largest errors among 10^7 numbers were 2.4 for sigmoid, 2.9 for tanh (1.0 in float32 with AVX-512), 1.9 for the
# squares and 3.5 for the cross-entropy. Softmax also shares the error of its row's sum: 4.3 at most.
ULPS = {"identity": 0.0, "relu": 0.0, "sigmoid": 4.0, "tanh": 4.0, "softmax": 5.0}
COST_ULPS = 4.0  # of one output
ROW_ULPS = (
    8.0  # of a sum over outputs: 4 ulp of every term can be 8 of the sum where that has just passed a power of two
)

SPECIAL = [0.0, 1e-45, 1e-38, 1e-7, 0.3, 0.5, 0.7, 1.0, 5.0, 16.6, 17.4, 87.4, 88.8, 104.0, 1e4, 1e19, 1e30, 1e38]
SPECIAL_FLOAT64 = [5e-324, 1e-308, 1e-16, 36.8, 37.5, 708.4, 709.8, 745.2, 746.5, 1e150, 1e300]


# --- The reference ---


def exponential(x: Decimal) -> Decimal:
    return max(x, LOWEST).exp()


def log1p(x: Decimal) -> Decimal:
    """log(1 + x), from the series where 1 + x would lose x."""
    return x - x * x / 2 if x < Decimal("1e-25") else (1 + x).ln()


def sigmoid(z: Decimal) -> Decimal:
    return 1 / (1 + exponential(-z)) if z > 0 else exponential(z) / (1 + exponential(z))


def tanh(z: Decimal) -> Decimal:
    if abs(z) < Decimal("1e-17"):  # 1 - exp(-2z) would lose z; the next term is 1e-34 of the first
        return z - z**3 / 3
    e = exponential(-2 * abs(z))
    return ((1 - e) / (1 + e)).copy_sign(z)


def softmax(row: Sequence[Decimal]) -> list[Decimal]:
    terms = [exponential(z - max(row)) for z in row]
    return [term / sum(terms) for term in terms]


def cross_entropy_unit(z: Decimal, t: Decimal) -> Decimal:
    """-t log(a) - (1 - t) log(1 - a)."""
    return (z * (1 - t) if z > 0 else -z * t) + log1p(exponential(-abs(z)))


def log_likelihood(row: Sequence[Decimal], targets: Sequence[Decimal]) -> Decimal:
    """sum_j t_j (log(1 + sum of the others' exp(z_k - z_top)) + z_top - z_j)."""
    top = max(range(len(row)), key=row.__getitem__)
    rest = sum((exponential(z - row[top]) for k, z in enumerate(row) if k != top), Decimal(0))
    return sum((t * (log1p(rest) + (row[top] - z)) for z, t in zip(row, targets, strict=True)), Decimal(0))


def over_outputs(unit: Callable[[Decimal, Decimal], Decimal]) -> Callable[..., Decimal]:
    return lambda row, targets: sum((unit(z, t) for z, t in zip(row, targets, strict=True)), Decimal(0))


ELEMENTWISE: dict[str, Callable[[Decimal], Decimal]] = {
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": lambda z: max(z, Decimal(0)),
    "identity": lambda z: z,
}
COSTS: dict[str, Callable[..., Decimal]] = {
    "cross_entropy": over_outputs(cross_entropy_unit),
    "log_likelihood": log_likelihood,
    "quadratic": over_outputs(lambda a, t: (a - t) ** 2 / 2),
    "sum_squares": over_outputs(lambda a, t: (a - t) ** 2),
}


# --- Measuring ---


def last_place(value: Decimal, dtype: str) -> Decimal:
    """The distance of the floats around a number."""
    info = np.finfo(dtype)
    exponent = math.frexp(float(value))[1] - 1
    return Decimal(2) ** (max(exponent, int(info.minexp)) - int(info.nmant))


def worst_ulps(got: Array, wanted: Sequence[Decimal]) -> float:
    """The largest error; a true value beyond the dtype's range counts as its largest number."""
    assert np.isfinite(got).all()
    limit = Decimal(float(np.finfo(got.dtype).max))
    with localcontext(REFERENCE):
        clipped = [min(value, limit) for value in wanted]
        return max(
            float(abs(Decimal(float(number)) - value) / last_place(value, got.dtype.name))
            for number, value in zip(got.reshape(-1), clipped, strict=True)
        )


def decimals(values: Array) -> list[Decimal]:
    return [Decimal(float(value)) for value in values.reshape(-1)]


def check_elementwise(name: str, z: Array) -> None:
    got = getattr(functions, name)(z)
    assert got.dtype == z.dtype
    with localcontext(REFERENCE):
        wanted = [ELEMENTWISE[name](value) for value in decimals(z)]
    assert worst_ulps(got, wanted) <= ULPS[name]


def check_softmax(z: Array) -> None:
    got = functions.softmax(z)
    assert got.dtype == z.dtype
    with localcontext(REFERENCE):
        wanted = [value for row in z for value in softmax(decimals(row))]
    assert worst_ulps(got, wanted) <= ULPS["softmax"]
    check_sums(got)


def check_sums(probabilities: Array) -> None:
    """Rows sum to 1: n terms, each wrong by at most the bound, and none of the sums' own roundings beside that."""
    n = probabilities.shape[-1]
    sums = np.sum(probabilities, axis=-1, dtype=np.float64)
    assert (probabilities >= 0).all()
    # Relative errors of n positive terms are the relative error of their sum; NumPy adds n roundings in float64.
    tolerance = ULPS["softmax"] * np.finfo(probabilities.dtype).eps + n * np.finfo(np.float64).eps
    np.testing.assert_allclose(sums, 1.0, rtol=0, atol=tolerance)


def check_cost(name: str, z: Array, y: Array) -> None:
    got = getattr(functions, name)(z, y)
    assert got.dtype == z.dtype
    assert got.shape == z.shape[:-1]
    with localcontext(REFERENCE):
        wanted = [COSTS[name](decimals(row), decimals(targets)) for row, targets in zip(z, y, strict=True)]
    # Summing n terms adds half an ulp for every addition.
    n = z.shape[-1]
    assert worst_ulps(got, wanted) <= (COST_ULPS if n == 1 else ROW_ULPS + n / 2)


def special_numbers(dtype: str) -> Array:
    info = np.finfo(dtype)
    positive = SPECIAL + (SPECIAL_FLOAT64 if dtype == "float64" else []) + [float(info.tiny), float(info.max)]
    return np.array(positive + [-x for x in positive], dtype)


# --- Accuracy on fixed numbers ---


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(ELEMENTWISE))
def test_elementwise_on_ordinary_and_special_numbers(name: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    ordinary = [rng.normal(size=300) * scale for scale in (1e-3, 1.0, 10.0, 300.0)]
    check_elementwise(name, np.concatenate(ordinary).astype(dtype))
    check_elementwise(name, special_numbers(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", WIDTHS)
@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0])
def test_softmax_at_every_width(scale: float, n: int, dtype: str) -> None:
    z = np.random.default_rng(n).normal(size=(20, n)) * scale
    check_softmax(z.astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_of_special_numbers(dtype: str) -> None:
    z = special_numbers(dtype)
    pairs = np.stack(np.meshgrid(z, z), axis=-1).reshape(-1, 2)
    check_softmax(pairs[:: 1 + len(pairs) // 500])
    check_softmax(z.reshape(1, -1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_keeps_small_probabilities(dtype: str) -> None:
    """The rounding of z_j - max z is a relative error of exp: 50.2 has an error of 2e-6 in float32."""
    z = np.array([[0.1, -50.1], [0.3, -20.1], [3.3, -80.7]], dtype)
    check_softmax(z)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", WIDTHS)
@pytest.mark.parametrize("name", sorted(COSTS))
def test_costs_at_every_width(name: str, n: int, dtype: str) -> None:
    rng = np.random.default_rng(n)
    one_hot = np.eye(n)[rng.integers(0, n, 10)]
    shares = rng.random((10, n))
    z = rng.normal(size=(20, n)) * np.repeat([1.0, 10.0], 10).reshape(-1, 1)
    y = np.concatenate([one_hot, shares / shares.sum(axis=1, keepdims=True)])
    check_cost(name, z.astype(dtype), y.astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", [0.0, 1.0, 0.1, 0.5])
@pytest.mark.parametrize("name", sorted(COSTS))
def test_costs_of_special_numbers(name: str, target: float, dtype: str) -> None:
    z = special_numbers(dtype).reshape(-1, 1)
    check_cost(name, z, np.full_like(z, target))


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_likelihood_of_a_class_that_wins_or_loses(dtype: str) -> None:
    z = np.array([[0.1, -50.1], [-50.1, 0.1], [0.3, -20.1], [1e30, -1e30], [-1e30, 1e30]], dtype)
    check_cost("log_likelihood", z, np.tile(np.array([1, 0], dtype), (5, 1)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_likelihood_is_exact_where_half_of_the_range_is_not(dtype: str) -> None:
    """A tenth of a gap that is itself beyond the dtype's range."""
    largest = np.finfo(dtype).max
    z = np.array([[largest * 0.9, -largest * 0.9]], dtype)
    check_cost("log_likelihood", z, np.array([[0.9, 0.1]], dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_quadratic_just_below_the_largest_number(dtype: str) -> None:
    """Half of a square that is itself beyond the dtype's range."""
    a = np.sqrt(np.finfo(dtype).max) * np.array([[0.9], [1.1], [1.3], [1.5]], dtype)
    check_cost("quadratic", a.astype(dtype), np.zeros((4, 1), dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(COSTS))
def test_a_cost_beyond_the_range_is_the_largest_number(name: str, dtype: str) -> None:
    largest = np.finfo(dtype).max
    z = np.array([[-largest, largest, largest]], dtype)
    y = np.array([[1, 0, 0]], dtype)
    assert getattr(functions, name)(z, y) == [largest]


# --- Accuracy on whatever hypothesis finds ---


def numbers(dtype: str, largest: float | None = None) -> st.SearchStrategy[float]:
    """Every finite float up to a size, subnormal ones and -0.0 too."""
    width = 32 if dtype == "float32" else 64
    bound = float(np.finfo(dtype).max) if largest is None else largest
    bound = float(np.dtype(dtype).type(bound))
    return st.floats(-bound, bound, width=width, allow_subnormal=True)


def arrays(dtype: str, *columns: st.SearchStrategy[float]) -> st.SearchStrategy[list[Array]]:
    """Equally long rows, one from each strategy."""
    rows = st.lists(st.tuples(*columns), min_size=1, max_size=33)
    return rows.map(lambda values: [np.array(column, dtype) for column in zip(*values, strict=True)])


SIZES = {"float32": [None, 1e38, 100.0, 1.0], "float64": [None, 1e300, 1000.0, 1.0]}
FAST = settings(max_examples=40, deadline=None)  # the first call loads or compiles a kernel


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(ELEMENTWISE))
@FAST
@given(data=st.data())
def test_elementwise_on_every_finite_number(name: str, dtype: str, data: st.DataObject) -> None:
    largest = data.draw(st.sampled_from(SIZES[dtype]))
    (z,) = data.draw(arrays(dtype, numbers(dtype, largest)))
    check_elementwise(name, z)


@pytest.mark.parametrize("dtype", DTYPES)
@FAST
@given(data=st.data())
def test_softmax_on_every_finite_row(dtype: str, data: st.DataObject) -> None:
    largest = data.draw(st.sampled_from(SIZES[dtype]))
    (z,) = data.draw(arrays(dtype, numbers(dtype, largest)))
    check_softmax(z.reshape(1, -1))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(COSTS))
@FAST
@given(data=st.data())
def test_costs_on_every_finite_row(name: str, dtype: str, data: st.DataObject) -> None:
    largest = data.draw(st.sampled_from(SIZES[dtype]))
    width = 32 if dtype == "float32" else 64
    z, y = data.draw(arrays(dtype, numbers(dtype, largest), st.floats(0, 1, width=width)))
    check_cost(name, z.reshape(1, -1), y.reshape(1, -1))
    check_cost(name, z.reshape(-1, 1), y.reshape(-1, 1))


# --- Signs, NaN and infinity ---


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["tanh", "identity"])
def test_odd_functions_keep_the_sign_of_zero(name: str, dtype: str) -> None:
    got = getattr(functions, name)(np.array([0.0, -0.0], dtype))
    np.testing.assert_array_equal(np.signbit(got), [False, True])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(ELEMENTWISE))
def test_nan_comes_out_as_nan_and_stays_alone(name: str, dtype: str) -> None:
    for place in range(17):
        z = np.ones(17, dtype)
        z[place] = np.nan
        np.testing.assert_array_equal(np.isnan(getattr(functions, name)(z)), np.isnan(z))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 17])
def test_nan_spoils_its_softmax_row_only(n: int, dtype: str) -> None:
    for place in range(n):
        z = np.ones((3, n), dtype)
        z[1, place] = np.nan
        got = functions.softmax(z)
        assert np.isnan(got[1]).all()
        np.testing.assert_allclose(got[[0, 2]], 1 / n, rtol=4 * np.finfo(dtype).eps)  # n times the same term


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("where", ["z", "y"])
@pytest.mark.parametrize("name", sorted(COSTS))
def test_nan_spoils_the_cost_of_its_row_only(name: str, where: str, dtype: str) -> None:
    for place in range(17):
        values = {"z": np.ones((3, 17), dtype), "y": np.full((3, 17), 1 / 17, dtype)}
        values[where][1, place] = np.nan
        got = getattr(functions, name)(values["z"], values["y"])
        np.testing.assert_array_equal(np.isnan(got), [False, True, False])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("place", range(3))
def test_nan_of_an_output_that_is_not_asked_for_spoils_the_log_likelihood(place: int, dtype: str) -> None:
    z = np.zeros(3, dtype)
    z[place] = np.nan
    assert np.isnan(functions.log_likelihood(z, np.roll([1, 0, 0], place + 1)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "limits"), [("sigmoid", [0, 1]), ("tanh", [-1, 1]), ("relu", [0, np.inf]), ("identity", [-np.inf, np.inf])]
)
def test_infinity_goes_to_the_limit(name: str, limits: list[float], dtype: str) -> None:
    np.testing.assert_array_equal(getattr(functions, name)(np.array([-np.inf, np.inf], dtype)), limits)


# --- Shapes and dtypes ---

SHAPES: list[tuple[int, ...]] = [(), (0,), (1,), (17,), (0, 3), (3, 17), (2, 0, 5), (2, 3, 4)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", sorted(ELEMENTWISE))
def test_elementwise_keeps_shape_and_dtype(name: str, shape: tuple[int, ...], dtype: str) -> None:
    z = np.random.default_rng(0).normal(size=shape).astype(dtype)
    before = z.copy()
    got = getattr(functions, name)(z)
    assert (got.shape, got.dtype) == (shape, np.dtype(dtype))
    one_by_one = [getattr(functions, name)(value) for value in z.reshape(-1)]
    np.testing.assert_array_equal(got.reshape(-1), np.array(one_by_one, dtype))
    np.testing.assert_array_equal(z, before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1,), (17,), (0, 3), (5, 1), (3, 17), (2, 0, 5), (2, 3, 33)], ids=str)
def test_rows_are_independent_and_keep_their_shape(shape: tuple[int, ...], dtype: str) -> None:
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=shape).astype(dtype), rng.random(shape).astype(dtype)
    got = functions.softmax(z)
    assert (got.shape, got.dtype) == (shape, np.dtype(dtype))
    for place in np.ndindex(shape[:-1]):
        np.testing.assert_array_equal(got[place], functions.softmax(z[place]))
    for name in COSTS:
        cost = getattr(functions, name)
        costs = cost(z, y)
        assert (costs.shape, costs.dtype) == (shape[:-1], np.dtype(dtype))
        for place in np.ndindex(shape[:-1]):
            assert costs[place] == cost(z[place], y[place])


VIEWS: dict[str, Callable[[Array], Array]] = {
    "reversed": lambda a: a[::-1, ::-1],
    "every other": lambda a: a[::2, ::2],
    "transposed": lambda a: a.T,
    "read-only": lambda a: np.broadcast_to(a[:1], (3, a.shape[1])),
}


@pytest.mark.parametrize("view", sorted(VIEWS))
@pytest.mark.parametrize("dtype", DTYPES)
def test_non_contiguous_arrays(dtype: str, view: str) -> None:
    z = VIEWS[view](np.random.default_rng(0).normal(size=(9, 21)).astype(dtype))
    plain = np.ascontiguousarray(z)
    for name in [*ELEMENTWISE, "softmax"]:
        np.testing.assert_array_equal(getattr(functions, name)(z), getattr(functions, name)(plain))
    for name in COSTS:
        y = np.abs(z) / 10
        np.testing.assert_array_equal(getattr(functions, name)(z, y), getattr(functions, name)(plain, y.copy()))


@pytest.mark.parametrize("z", [[1, -2], (0, 3), np.array([1, 2], np.int8), np.array([0, 3], np.uint8), [True, False]])
def test_whole_numbers_become_float64(z: Any) -> None:
    exact = np.asarray(z, np.float64)
    for name in [*ELEMENTWISE, "softmax"]:
        got = getattr(functions, name)(z)
        assert got.dtype == np.float64
        np.testing.assert_array_equal(got, getattr(functions, name)(exact))
    for name in COSTS:
        assert getattr(functions, name)(z, [0, 1]).dtype == np.float64


@pytest.mark.parametrize("dtype", ["float16", "longdouble", ">f8"])
def test_other_floats_become_float64(dtype: str) -> None:
    z = np.array([0.5, -2.0], dtype)
    for name in [*ELEMENTWISE, "softmax"]:
        got = getattr(functions, name)(z)
        assert got.dtype == np.float64
        np.testing.assert_array_equal(got, getattr(functions, name)([0.5, -2.0]))


@pytest.mark.parametrize("name", sorted(COSTS))
def test_costs_follow_the_dtype_of_their_first_argument(name: str) -> None:
    z, y = np.array([0.5, -2.0]), np.array([0.0, 1.0])
    cost = getattr(functions, name)
    assert cost(z.astype(np.float32), y).dtype == np.float32
    assert cost(z, y.astype(np.float32)).dtype == np.float64
    assert cost(z.astype(np.float32), y) == cost(z.astype(np.float32), y.astype(np.float32))


@pytest.mark.parametrize("name", ["quadratic", "sum_squares"])
def test_targets_beyond_the_range_of_float32_do_not_warn(name: str) -> None:
    got = getattr(functions, name)(np.zeros((1, 1), np.float32), np.array([[1e300]]))
    np.testing.assert_array_equal(got, np.finfo(np.float32).max)


# --- Errors ---

NOT_NUMERIC: list[Any] = [["a"], [1j], [None], np.array(["2020-01-01"], "datetime64[D]")]


@pytest.mark.parametrize("bad", NOT_NUMERIC, ids=["text", "complex", "object", "dates"])
def test_what_is_not_numeric_is_refused(bad: Any) -> None:
    for name in [*ELEMENTWISE, "softmax"]:
        with pytest.raises(TypeError, match="z must hold real numbers"):
            getattr(functions, name)(bad)
    for name in COSTS:
        with pytest.raises(TypeError, match="z must hold real numbers"):
            getattr(functions, name)(bad, [1.0])
        with pytest.raises(TypeError, match="y must hold real numbers"):
            getattr(functions, name)([1.0], bad)


@pytest.mark.parametrize("name", [*sorted(ELEMENTWISE), "softmax"])
def test_ragged_lists_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="z must be a rectangular array"):
        getattr(functions, name)([[1.0], [1.0, 2.0]])


@pytest.mark.parametrize("shape", [(0,), (3, 0)], ids=str)
def test_rows_need_an_output(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least one output"):
        functions.softmax(np.zeros(shape))
    for name in COSTS:
        with pytest.raises(ValueError, match="at least one output"):
            getattr(functions, name)(np.zeros(shape), np.zeros(shape))


@pytest.mark.parametrize("name", sorted(COSTS))
@pytest.mark.parametrize("shape", [(3,), (1, 2), (2, 2), (2, 3, 1)], ids=str)
def test_costs_refuse_targets_of_another_shape(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="y must have the shape of z"):
        getattr(functions, name)(np.zeros((2, 3)), np.zeros(shape))
