"""Formulas: the operations, every row of activations and costs, and what users bring of their own."""

import ast
import copy
import gc
import json
import math
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import scipy.special
from hypothesis import strategies as st

import fastnn
from fastnn.formulas import (
    FormulaError,
    activations,
    checks,
    costs,
    expressions,
    ops,
    specs,
    twins,
)
from fastnn.formulas.expressions import OPERATIONS, derivative, from_data, number, text, to_data, trace, variable

LARGEST = {np.float32: np.float32(3e38), np.float64: 1e308}
Z = np.concatenate([np.linspace(-30, 30, 6001) + 1e-5, np.linspace(-1e-2, 1e-2, 201) + 3e-6])


def ulps(got, exact):
    """Errors in units in the last place of what is exact, in the dtype that came."""
    assert got.dtype in (np.float32, np.float64)
    spacing = np.spacing(np.abs(exact).astype(got.dtype)).astype(np.float64)
    return np.abs(got.astype(np.float64) - exact) / spacing


def differences(formula, values, by, step=1e-6):
    """The derivative from values on both sides, in float64."""
    h = step * np.maximum(1, np.abs(values[by]))
    (above,), (below,) = (ops.compute([formula], {**values, by: values[by] + s * h}) for s in (1, -1))
    return (above - below) / (2 * h)


def agree(slope, formula, values, by, kinks=0.0):
    """Whether a slope is that of the values, but for a share of kinks."""
    found = ops.compute([slope], values)[0]
    wanted = differences(formula, values, by)
    off = np.abs(found - wanted) > 1e-6 * (1 + np.abs(found) + np.abs(ops.compute([formula], values)[0]))
    return np.isfinite(found).all() and off.mean() <= kinks


# --- the room ---


def test_formulas_need_no_compiler():
    root = Path(expressions.__file__).parent
    for path in root.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] in ("numba", "llvmlite") or "kernels" in name for name in names), path


# --- operations ---

REFERENCES = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "negative": lambda x: -x,
    "absolute": np.fabs,
    "sign": lambda x: (x > 0) * 1.0 - (x < 0),
    "maximum": lambda x, y: np.where(x > y, x, y),
    "minimum": lambda x, y: np.where(x < y, x, y),
    "less": lambda x, y: x < y,
    "greater": lambda x, y: x > y,
    "where": lambda mask, x, y: np.array([a if m else b for m, a, b in zip(mask, x, y, strict=True)]),
    "square": lambda x: x * x,
    "sqrt": np.vectorize(math.sqrt),
    "exp": np.vectorize(math.exp),
    "expm1": scipy.special.expm1,
    "log": np.vectorize(math.log),
    "log1p": scipy.special.log1p,
    "tanh": np.vectorize(math.tanh),
    "sigmoid": scipy.special.expit,
    "softplus": lambda x: -scipy.special.log_expit(-x),
    "erf": scipy.special.erf,
}
DOMAINS = {"sqrt": (1e-3, 30), "log": (1e-3, 30), "log1p": (-0.95, 30)}


def arguments_of(name, dtype=np.float64):
    """Arrays to give to an operation."""
    low, high = DOMAINS.get(name, (-30, 30))
    x = np.linspace(low, high, 4001).astype(dtype) + dtype(1e-5)
    y = np.random.default_rng(0).normal(0, 3, x.size).astype(dtype)
    if OPERATIONS[name].takes_mask:
        return [y > 0, x, y]
    return [x, y][: OPERATIONS[name].arity]


def test_every_operation_is_tested_and_public():
    assert REFERENCES.keys() == OPERATIONS.keys()
    for name, row in OPERATIONS.items():
        assert getattr(ops, name).__doc__ == row.doc


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_have_the_right_values(name, dtype):
    arguments = arguments_of(name, dtype)
    got = getattr(ops, name)(*arguments)
    exact = REFERENCES[name](*(x if x.dtype == bool else x.astype(np.float64) for x in arguments))
    if OPERATIONS[name].gives_mask:
        assert got.dtype == bool
        assert (got == exact).all()
    else:
        assert got.dtype == dtype
        assert ulps(got, exact).max() <= 4


@pytest.mark.parametrize("name", [name for name, row in OPERATIONS.items() if not row.gives_mask])
def test_operations_have_the_right_derivatives(name):
    row, values = OPERATIONS[name], arguments_of(name)
    names = ["x", "y", "w"][: row.arity - row.takes_mask]
    mask = [variable("m") > 0] if row.takes_mask else []
    formula = expressions.apply(name, *mask, *map(variable, names))
    given = dict(zip(names, values[row.takes_mask :], strict=True)) | ({"m": values[0] * 1.0} if mask else {})
    for by in names:
        assert agree(derivative(formula, by), formula, given, by, kinks=0.001)
    assert derivative(formula, "another") is number(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["exp", "expm1", "tanh", "sigmoid", "softplus", "erf", "absolute", "sign"])
def test_operations_stay_finite_and_quiet(name, dtype):
    x = np.array([-LARGEST[dtype], -1e5, 0, 1e5, LARGEST[dtype]], dtype)
    assert np.isfinite(getattr(ops, name)(x)).all()  # warnings are errors here
    assert np.isnan(getattr(ops, name)(np.array(np.nan, dtype)))


def test_impossible_arguments_give_what_ieee_says_without_a_warning():
    assert ops.log(0.0) == -math.inf
    assert np.isnan(ops.sqrt(-1.0))
    assert np.isnan(ops.divide(0.0, 0.0))


def test_erf_beyond_its_series():
    x = np.concatenate([np.linspace(-7, 7, 20_001), [1.0, -1.0, 6.0, 1e300]])
    assert ulps(twins.erf(x), scipy.special.erf(x)).max() <= 4


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 7, -1, -2, 0.5, 1.5, -0.5, 100])
def test_powers(exponent):
    x = np.linspace(0.5, 2, 101)
    traced = trace(lambda z: z**exponent, ["z"])
    values, slopes = ops.compute([traced, derivative(traced, "z")], {"z": x})
    np.testing.assert_allclose(values, x**exponent, rtol=1e-13)
    np.testing.assert_allclose(slopes, exponent * x ** (exponent - 1.0), rtol=1e-13)
    np.testing.assert_allclose(ops.power(x, exponent), x**exponent, rtol=1e-15)


NEVER_NEGATIVE = {
    "abs": (abs, np.abs),
    "square": (lambda z: z * z, np.square),
    "relu": (lambda z: ops.maximum(z, 0), lambda z: np.maximum(z, 0)),
    "zero first": (lambda z: ops.maximum(0, z), lambda z: np.maximum(z, 0)),
    "sum": (lambda z: 3 * abs(z) + z**4 / 2, lambda z: 3 * np.abs(z) + z**4 / 2),
    "least": (lambda z: ops.minimum(ops.sqrt(abs(z)) ** 2 * abs(z), 7), lambda z: np.minimum(z * z, 7)),
    "where": (lambda z: ops.where(z > 0, z * z, abs(z)), lambda z: np.where(z > 0, z * z, np.abs(z))),
    "quotient": (lambda z: abs(z) / (1 + abs(z)), lambda z: np.abs(z) / (1 + np.abs(z))),
    "underflow": (lambda z: ops.exp(-1e6 * z * z), lambda z: np.exp(-1e6 * z * z)),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("exponent", [1.25, 1.5, 2.5, 3.7])
@pytest.mark.parametrize("base", NEVER_NEGATIVE)
def test_powers_of_what_is_never_negative_are_flat_at_0(base, exponent, dtype):
    make, numpy_twin = NEVER_NEGATIVE[base]
    traced = trace(lambda z: make(z) ** exponent, ["z"])
    x = np.array([-3, -1.3, -0.5, -1e-3, -0.0, 0.0, 1e-3, 0.4, 1.2, 2.5], dtype)
    values, slopes = ops.compute([traced, derivative(traced, "z")], {"z": x})
    wide = x.astype(np.float64)
    tolerance = {np.float32: 2e-4, np.float64: 1e-12}[dtype]
    np.testing.assert_allclose(values, numpy_twin(wide) ** exponent, rtol=tolerance, atol=1e-30)
    h = 1e-7
    wanted = (numpy_twin(wide + h) ** exponent - numpy_twin(wide - h) ** exponent) / (2 * h)
    if base != "least":  # whose root has no slope at 0 itself
        at_0 = numpy_twin(x) == 0
        assert (slopes[at_0] == 0).all()
        np.testing.assert_allclose(slopes[~at_0], wanted[~at_0], rtol=1e-3, atol=1e-4)
    (values,) = ops.compute([traced], {"z": np.array([np.nan], dtype)})
    assert np.isnan(values).all()


def test_powers_of_what_may_be_negative_or_never_0_are_as_they_were():
    for base in (variable("z"), variable("z") - 1, ops.maximum(variable("z"), 1e-30), 1 + abs(variable("z"))):
        assert base**1.5 is ops.exp(1.5 * ops.log(base))
    assert (ops.maximum(z, 1e200) ** 4) ** 1.5 is not None  # a bound that overflows says nothing
    (value,) = ops.compute([variable("z") ** 1.5], {"z": -1.0})
    assert np.isnan(value)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_networks_train_with_a_power_that_is_0_at_0(dtype):
    own = activations.activation("three_halves", lambda z: ops.sign(z) * abs(z) ** 1.5)
    error = costs.cost("between", lambda a, t: abs(a - t) ** 1.5 / 1.5, outputs="identity")
    X = np.random.default_rng(0).normal(size=(40, 7))
    X[::4] = 0  # with biases of 0 all units are at 0 there, and the outputs at their targets
    y = X[:, :2].sum(axis=1, keepdims=True) * [1, -1]
    net = fastnn.Network([7, 9, 2], own, "identity", error, dtype=dtype, seed=3)
    for layer in range(2):
        net.biases[layer] = np.zeros(net.biases[layer].shape)
    at_0 = [g for part in net.gradients(X[::4], y[::4]) for g in part]
    assert all((g == 0).all() for g in at_0)
    net.biases[0] = np.linspace(-1, 1, 9)
    before, step = net.weights[0], {"float32": 1e-2, "float64": 1e-6}[dtype]
    wanted, got = np.empty(9), net.gradients(X, y)[0][0][:, 1]
    for i in range(9):
        ends = []
        for side in (step, -step):
            moved = before.copy()
            moved[i, 1] += side
            net.weights[0] = moved
            ends.append(net.evaluate(X, y)["cost"])
        wanted[i] = (ends[0] - ends[1]) / (2 * step)
    np.testing.assert_allclose(got, wanted, atol={"float32": 5e-3, "float64": 1e-7}[dtype])
    history = net.fit(X, y, epochs=30, optimizer="adam")
    assert history.train_cost[-1] < history.train_cost[0]


def test_a_number_to_the_power_of_a_variable():
    (values,) = ops.compute([trace(lambda z: 0.9**z, ["z"])], {"z": np.arange(5.0)})
    np.testing.assert_allclose(values, 0.9 ** np.arange(5), rtol=1e-14)


# --- expressions ---

z, t = variable("z"), variable("t")


def test_equal_expressions_are_one_object():
    assert z * ops.tanh(z) + 1 is variable("z") * ops.tanh(variable("z")) + 1.0
    assert (z + 1) * 2 is not (z + 1) * 3
    assert number(0.0) is not number(-0.0)


def test_expressions_that_nobody_holds_go():
    gc.collect()  # what earlier tests have left
    before = len(expressions._nodes)
    made = ops.tanh(z * 123.456) + 77.7
    assert len(expressions._nodes) > before
    del made
    gc.collect()
    assert len(expressions._nodes) == before


def test_expressions_are_one_object_for_all_threads():
    barrier, found = threading.Barrier(8), []

    def build():
        barrier.wait()
        found.append([ops.tanh(z * float(i)) for i in range(2, 500)])

    threads = [threading.Thread(target=build) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(a is b for each in found for a, b in zip(each, found[0], strict=True))


def test_expressions_survive_copies_and_pickles():
    formula = z * ops.tanh(ops.softplus(z))
    assert pickle.loads(pickle.dumps(formula)) is formula
    assert copy.deepcopy([formula])[0] is formula
    with pytest.raises(AttributeError, match="cannot be changed"):
        formula.value = 2.0


@pytest.mark.parametrize(
    ("formula", "wanted"),
    [
        (z + 0, z),
        (z * 1, z),
        (z * 0, number(0)),
        (z - z, number(0)),
        (ops.negative(ops.negative(z)), z),
        (z * z, ops.square(z)),
        (2 * (3 * z), 6 * z),
        ((2 * z) * (3 * t), 6 * (z * t)),
        (z + z, 2 * z),
        (2 * z + z * 3, 5 * z),
        (z - -t, z + t),
        (-(z - t), t - z),
        (z / 4, 0.25 * z),
        (abs(-z), abs(z)),
        (ops.square(abs(z)), z * z),
        (ops.where(z > 0, t, t), t),
        (ops.where(number(1) > number(2), z, t), t),
        (ops.where(False, z, t), t),
        (ops.exp(number(0)), number(1)),
        (np.float64(2) * z, 2 * z),
        (np.float32(1) - z, 1 - z),
    ],
)
def test_simpler_expressions(formula, wanted):
    assert formula is wanted


def test_derivatives_of_constants_cost_nothing():
    assert derivative(trace(lambda x: 3 * x + 2, ["x"]), "x") is number(3)
    assert text(derivative(ops.maximum(z, 0), "z")) == "where(z > 0, 1, 0)"


def test_shared_parts_are_computed_once():
    calls = []
    backend = {**ops.numpy_backend(np.dtype(np.float64)), "tanh": lambda x: calls.append(1) or np.tanh(x)}
    formula = ops.tanh(z) * ops.tanh(z) + ops.tanh(z)
    expressions.evaluate([formula, derivative(formula, "z")], {"z": np.float64(1)}, backend)
    assert len(calls) == 1


def test_deep_expressions_need_no_stack():
    formula = z
    for _ in range(4_000):
        formula = ops.tanh(formula)
    ((value,), slope) = ops.compute([formula, derivative(formula, "z")], {"z": [0.0]})
    assert value == 0
    assert slope == [1]
    assert "..." in text(formula)


def test_wide_expressions_have_short_texts():
    formula = z
    for i in range(200):
        formula = ops.tanh(formula) * (ops.sigmoid(formula) + i)
    assert len(text(formula)) < 10_000


@pytest.mark.parametrize(
    ("formula", "wanted"),
    [
        (z * (1 - t), "z * (1 - t)"),
        (z - (t - 1), "z - (t - 1)"),
        ((z - t) - 1, "z - t - 1"),
        (z / (t * 3), "z / (3 * t)"),
        (-(z + t), "-(z + t)"),
        (ops.square(z + 1), "(z + 1)^2"),
        (ops.square(ops.tanh(z)), "tanh(z)^2"),
        (ops.where(z > 0, abs(z), -2), "where(z > 0, abs(z), -2)"),
        (1 / (1 + ops.exp(-z)), "1 / (1 + exp(-z))"),
    ],
)
def test_texts(formula, wanted):
    assert text(formula) == wanted
    assert repr(formula) == f"<{wanted}>"


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (np.tanh, r"numpy\.tanh \(fastnn\.ops has tanh\).*sigmoid"),
        (lambda z: np.where(z > 0, z, 0), r"numpy\.where"),
        (lambda z: np.array([1.0, 2.0]) * z, r"numpy\.multiply"),
        (math.tanh, "math module"),
        (lambda z: ops.sinh(z) + 1, r"ops\.sinh.*softplus"),
        (lambda z: z if z > 0 else 0, r"ops\.where"),
        (lambda z: max(z, 0), r"ops\.where"),
        (lambda z: z >= 0, "write x < y"),
        (lambda z: ops.where(z == 1, 0, z), "no == or !="),
        (lambda z: z if z != 0 else 1, "no == or !="),
        (lambda z: z if z in (0, 1) else 1, "no == or !="),
        (lambda z: z > 0, "comparison z > 0"),
        (lambda z: (z > 0) * z, "multiply takes a value"),
        (lambda z: ops.where(z, 1, 0), "where takes a comparison"),
        (lambda z: ops.tanh(z, z), "tanh takes 1 argument"),
        (lambda z: z**z, "no number"),
        (lambda z: (-2.0) ** z, "not positive"),
        (lambda z: z + "1", "str '1'"),
        (lambda z: z + math.inf, "must be finite"),
        (lambda z: z + True, "bool"),
        (lambda z: z + number(1e300) * number(1e300), "is inf"),
        (lambda z: z + number(1) / number(0), "1 / 0 is inf"),
        (lambda z: [z], "returned list"),
        (lambda z: None, "returned NoneType"),
        (lambda z: z[0], "fails"),
        (list, "indexing or loops"),
        (lambda z, t: z, "fails"),
    ],
)
def test_what_is_no_formula(formula, message):
    with pytest.raises(FormulaError, match=message):
        trace(formula, ["z"])


def test_decisions_are_type_errors_that_name_where():
    with pytest.raises(TypeError, match=r"ops\.where"):
        bool(z > 0)


def test_data_of_what_is_missing():
    with pytest.raises(FormulaError, match="variable t"):
        ops.compute([z + t], {"z": 1.0})
    with pytest.raises(FormulaError, match="operation tanh"):
        expressions.evaluate([ops.tanh(z)], {"z": 1.0}, {"number": float})


# --- any formula ---

UNARY = ["negative", "absolute", "square", "tanh", "sigmoid", "softplus", "erf", "sign"]
BINARY = ["add", "subtract", "multiply", "maximum", "minimum"]
LEAVES = st.sampled_from(["z", "t", 0.0, 1.0, -1.0, 2.0, 0.5, -3.0])


def grow(inner):
    return st.one_of(
        st.tuples(st.sampled_from(UNARY), inner),
        st.tuples(st.sampled_from(BINARY), inner, inner),
        st.tuples(st.just("divide"), inner, st.sampled_from([1.0, 2.0, -4.0, 3.0])),
        st.tuples(st.just("where"), st.tuples(st.sampled_from(["less", "greater"]), inner, inner), inner, inner),
    )


TREES = st.recursive(LEAVES, grow, max_leaves=12)


def build(tree, leaves):
    """A tree of names of operations as what the operations give on these leaves."""
    if isinstance(tree, tuple):
        return getattr(ops, tree[0])(*(build(part, leaves) for part in tree[1:]))
    return leaves.get(tree, tree)


def as_python(written):
    return eval(written.replace("^", "**"), {name: getattr(ops, name) for name in OPERATIONS} | {"z": ZS, "t": TS})


ZS, TS = np.array([-2.3, -0.7, 0.4, 1.9]), np.array([0.3, 1.2, -0.8, 0.6])


@hypothesis.given(TREES)
@hypothesis.settings(max_examples=300, deadline=None, derandomize=True)
def test_simplified_formulas_and_their_texts_have_the_values_of_the_plain_ones(tree):
    hypothesis.assume(isinstance(tree, tuple))
    plain = np.broadcast_to(build(tree, {"z": ZS, "t": TS}), ZS.shape)
    hypothesis.assume(np.abs(plain).max() < 1e6)
    formula = expressions.lift(build(tree, {"z": z, "t": t}))
    (found,) = ops.compute([formula], {"z": ZS, "t": TS})
    close = {"rtol": 1e-9, "atol": 1e-9}
    np.testing.assert_allclose(found, plain, **close)
    np.testing.assert_allclose(np.broadcast_to(as_python(text(formula)), ZS.shape), plain, rtol=1e-4, atol=1e-4)
    assert from_data(to_data([formula]))[0] is formula


@hypothesis.given(TREES)
@hypothesis.settings(max_examples=300, deadline=None, derandomize=True)
def test_derivatives_of_any_formula_are_those_of_its_values(tree):
    formula = expressions.lift(build(tree, {"z": z, "t": t}))
    values = {"z": ZS, "t": TS}
    slope = derivative(formula, "z")
    (found,) = ops.compute([slope], values)
    # A kink or jump between the two sides makes differences that depend on how far apart they are.
    near, far = differences(formula, values, "z", 1e-6), differences(formula, values, "z", 2e-6)
    smooth = (np.abs(near - far) < 1e-5 * (1 + np.abs(near))) & (np.abs(near) < 1e4)
    kinks = np.abs(found - near) > 1e-4 * (1 + np.abs(near))
    assert not (kinks & smooth).any()


# --- formulas as data ---

FORMULAS = [
    *(derivative(row.expression, "z") for row in map(activations.resolve, activations.ROWS) if row.hidden),
    *(form.slope for row in map(costs.resolve, costs.ROWS) for _, form in row.forms),
    number(0.1),
    z + 1e-300,
]


def test_formulas_go_through_json():
    again = from_data(json.loads(json.dumps(to_data(FORMULAS))))
    assert all(a is b for a, b in zip(again, FORMULAS, strict=True))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "nodes, results"),
        ("__import__('os')", "nodes, results"),
        ([[["variable", "z"]]], "nodes, results"),
        ([[["variable", "z"]], [1]], "results"),
        ([[["variable", "z"]], [-1]], "results"),
        ([[["variable", "z"]], [True]], "results"),
        ([[["variable", "x"]], [0]], "may use the variables"),
        ([[["variable", "__class__.z"]], [0]], "identifier"),
        ([[["variable", ["z"]]], [0]], "identifier"),
        ([[["variable"]], [0]], "one entry"),
        ([[["number", math.inf]], [0]], "finite"),
        ([[["number", "1"]], [0]], "str '1'"),
        ([[["number", True]], [0]], "bool"),
        ([[["number", 10**400]], [0]], "too large"),
        ([[["system", 0]], [0]], "system"),
        ([[["variable", "z"], ["__add__", 0, 0]], [1]], "__add__"),
        ([[["variable", "z"], ["tanh"]], [1]], "takes 1 argument"),
        ([[["variable", "z"], ["tanh", 0, 0]], [1]], "takes 1 argument"),
        ([[["variable", "z"], ["where"]], [1]], "takes 3 argument"),
        ([[["variable", "z"], ["tanh", 1]], [1]], "not an earlier node"),
        ([[["variable", "z"], ["tanh", -1]], [1]], "not an earlier node"),
        ([[["variable", "z"], ["tanh", 0.0]], [1]], "not an earlier node"),
        ([[["variable", "z"], ["less", 0, 0], ["tanh", 1]], [2]], "not a comparison"),
        ([["variable"], [0]], "a list that begins"),
        ([[[]], [0]], "a list that begins"),
        ([[[["tanh"], 0]], [0]], "a list that begins"),
        ([[["variable", "z"]] * 10_001, [0]], "10,000"),
    ],
)
def test_data_that_is_no_formula(data, message):
    with pytest.raises(FormulaError, match=message):
        from_data(data, ["z"])


# --- specs ---


def test_specs_name_what_differs():
    assert activations.resolve(" leaky_relu ( slope = 1e-1 ) ").spec == "leaky_relu(slope=0.1)"
    assert activations.resolve("leaky_relu(slope=0.01)") is activations.resolve("leaky_relu()")
    assert costs.resolve("pinball(quantiles=(0.25, 0.75))").spec == "pinball(quantiles=[0.25, 0.75])"
    assert costs.resolve("huber(delta=2)").spec == "huber(delta=2.0)"


@pytest.mark.parametrize(
    ("resolve", "spec", "message"),
    [
        (activations.resolve, "reluu", "did you mean 'relu'"),
        (activations.resolve, "leaky_relu(slop=0.1)", "did you mean 'slope'"),
        (activations.resolve, "leaky_relu(slope=1.5)", "slope of leaky_relu must be >= 0 and < 1"),
        (activations.resolve, "leaky_relu(0.1)", "must look like"),
        (activations.resolve, "leaky_relu(slope=0.1, slope=0.2)", "must look like"),
        (activations.resolve, "leaky_relu(**{'slope': 1})", "must look like"),
        (activations.resolve, "elu(alpha=__import__('os').getpid())", "must look like"),
        (activations.resolve, "elu(alpha=1); 2", "must look like"),
        (activations.resolve, "elu(alpha=1)(2)", "must look like"),
        (activations.resolve, "elu(alpha=" + "(" * 2000, "must look like"),
        (activations.resolve, "elu(alpha=" + "(" * 400 + ")", "must look like"),
        (activations.resolve, "relu(alpha=1)", "relu has no parameters"),
        (activations.resolve, "", "must look like"),
        (costs.resolve, "crossentropy", "did you mean 'cross_entropy'"),
        (costs.resolve, "huber(delta=0)", "> 0"),
        (costs.resolve, "huber(delta=1e400)", "finite"),
        (costs.resolve, "pinball(quantiles=[0.1, 1.0])", r"quantiles of pinball\[1\] must be > 0 and < 1"),
        (costs.resolve, "log_likelihood(smoothing=1)", "< 1"),
    ],
)
def test_wrong_specs(resolve, spec, message):
    with pytest.raises(ValueError, match=message):
        resolve(spec)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (None, "must be one of .* got NoneType None"),
        (3, "must be one of .* got int 3"),
        (["relu"], "must be one of .* got list"),
        ("elu(alpha='1')", "alpha of elu must be a number, got str '1'"),
        ("elu(alpha=True)", "alpha of elu must be a number, got bool True"),
        ("pinball(quantiles=0.5)", "quantiles of pinball must be a list of numbers .* got 0.5"),
    ],
)
def test_specs_of_the_wrong_type(wrong, message):
    with pytest.raises(TypeError, match=message):
        (costs if str(wrong).startswith("pinball") else activations).resolve(wrong)


def test_parameters_hold_their_own_defaults():
    for rows in (activations.ROWS, costs.ROWS):
        for row in rows.values():
            for key, parameter in row.parameters.items():
                assert parameter.check(key, parameter.default) == parameter.default
                assert parameter.doc


# --- activations ---

ACTIVATIONS = [name for name in activations.ROWS if name != "softmax"]
SPECS = [*ACTIVATIONS, "leaky_relu(slope=0.3)", "leaky_relu(slope=0)", "elu(alpha=0.5)"]
PLAIN = {
    "identity": lambda z: z,
    "sigmoid": scipy.special.expit,
    "tanh": np.tanh,
    "relu": lambda z: z * (z > 0),
    "leaky_relu": lambda z: z * np.where(z > 0, 1, 0.01),
    "leaky_relu(slope=0.3)": lambda z: z * np.where(z > 0, 1, 0.3),
    "leaky_relu(slope=0)": lambda z: z * (z > 0),
    "elu": lambda z: np.where(z > 0, z, np.expm1(z * (z < 0))),
    "elu(alpha=0.5)": lambda z: np.where(z > 0, z, 0.5 * np.expm1(z * (z < 0))),
    "selu": lambda z: 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * np.expm1(z * (z < 0))),
    "gelu": lambda z: z * scipy.special.ndtr(z),
    "gelu_tanh": lambda z: z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
    "silu": lambda z: z * scipy.special.expit(z),
    "mish": lambda z: z * np.tanh(np.log1p(np.exp(z))),
    "softplus": lambda z: np.log1p(np.exp(z)),
    "softsign": lambda z: z / (1 + np.abs(z)),
    "hard_sigmoid": lambda z: np.clip(z / 6 + 0.5, 0, 1),
}


@pytest.mark.parametrize("spec", SPECS)
def test_activations(spec):
    row = activations.resolve(spec)
    (value,) = ops.compute([row.expression], {"z": Z})
    np.testing.assert_allclose(value, PLAIN[spec](Z), rtol=1e-12, atol=1e-15)
    assert agree(row.derivative, row.expression, {"z": Z}, "z", kinks=0.001)
    if row.output_derivative is not None:
        (slope,), (wanted,) = (
            ops.compute([row.output_derivative], {"a": value}),
            ops.compute([row.derivative], {"z": Z}),
        )
        np.testing.assert_allclose(slope, wanted, rtol=1e-9, atol=1e-15)
    checks.check_function(spec, row.expression, "z", {"z": checks.wide_grid()})
    assert row.text
    assert row.summary
    assert row.source
    assert activations.from_data(json.loads(json.dumps(row.to_data()))) is row


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spec", ACTIVATIONS)
def test_activations_of_huge_numbers_are_finite(spec, dtype):
    row = activations.resolve(spec)
    huge = np.array([-LARGEST[dtype], LARGEST[dtype]]) if spec != "gelu_tanh" else np.array([-1e12, 1e12])
    for found in ops.compute([row.expression, row.derivative], {"z": huge.astype(dtype) / dtype(2)}):
        assert found.dtype == dtype
        assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("spec", "at", "slope"),
    [
        ("relu", 0, 0),
        ("leaky_relu(slope=0.3)", 0, 0.3),
        ("elu(alpha=0.5)", 0, 0.5),
        ("selu", 0, 1.0507009873554805 * 1.6732632423543772),
        ("hard_sigmoid", -3, 0),
        ("hard_sigmoid", 3, 0),
        ("softsign", 0, 1),
    ],
)
def test_slopes_at_kinks_are_those_of_pytorch(spec, at, slope):
    row = activations.resolve(spec)
    value, found = ops.compute([row.expression, row.derivative], {"z": np.array([at, at * 1.0])})
    assert found[0] == pytest.approx(slope, rel=1e-15)
    assert ops.compute([row.output_derivative], {"a": value})[0][0] == pytest.approx(slope, rel=1e-15)


def test_rectifiers_let_nan_through():
    for spec in ("relu", "leaky_relu", "elu", "hard_sigmoid"):
        assert np.isnan(ops.compute([activations.resolve(spec).expression], {"z": [np.nan]})[0])


def test_facts_are_found_from_the_formula():
    sigmoid, tanh, relu = (activations.facts(activations.resolve(name)) for name in ("sigmoid", "tanh", "relu"))
    assert sigmoid[:2] == (0, 1)
    assert sigmoid.saturates_below == sigmoid.saturates_above == pytest.approx(6.906, abs=0.01)
    assert sigmoid.largest_slope == 0.25
    assert tanh[:2] == (-1, 1)
    assert tanh.saturates_above == pytest.approx(4.147, abs=0.01)
    assert relu == (0, math.inf, 0, math.inf, 1)
    assert activations.facts(activations.resolve("softsign"))[:2] == (-1, 1)
    assert activations.facts(activations.resolve("leaky_relu"))[:2] == (-math.inf, math.inf)
    assert activations.facts(activations.resolve("mish")).lowest == pytest.approx(-0.30884, abs=1e-5)
    with pytest.raises(ValueError, match="whole row"):
        activations.facts(activations.resolve("softmax"))


# --- costs ---


def log_softmax(z):
    return z - scipy.special.logsumexp(z, axis=-1, keepdims=True)


def quantiles(a, t, q):
    return np.where(t > a, q * (t - a), (1 - q) * (a - t))


LOG_EXPIT = scipy.special.log_expit
# (cost, output) to the cost of units, written on z and t as plainly as it goes.
PLAIN_COSTS = {
    ("quadratic", "sigmoid"): lambda z, t: (scipy.special.expit(z) - t) ** 2 / 2,
    ("quadratic", "mish"): lambda z, t: (PLAIN["mish"](z) - t) ** 2 / 2,
    ("sum_squares", "tanh"): lambda z, t: (np.tanh(z) - t) ** 2,
    ("absolute", "identity"): lambda z, t: np.abs(z - t),
    ("huber", "identity"): lambda z, t: scipy.special.huber(1.0, z - t),
    ("huber(delta=0.5)", "softplus"): lambda z, t: scipy.special.huber(0.5, PLAIN["softplus"](z) - t),
    ("log_cosh", "identity"): lambda z, t: np.log(np.cosh(z - t)),
    ("pinball", "identity"): lambda z, t: quantiles(z, t, np.array([0.1, 0.5, 0.9])),
    ("poisson", "identity"): lambda z, t: np.exp(z) - t * z,
    ("cross_entropy", "sigmoid"): lambda z, t: -t * LOG_EXPIT(z) - (1 - t) * LOG_EXPIT(-z),
    ("cross_entropy(smoothing=0.2)", "sigmoid"): lambda z, t: (
        -(0.8 * t + 0.1) * LOG_EXPIT(z) - (0.9 - 0.8 * t) * LOG_EXPIT(-z)
    ),
    ("log_likelihood", "softmax"): lambda z, t: -t * log_softmax(z),
    ("log_likelihood(smoothing=0.3)", "softmax"): lambda z, t: -(0.7 * t + 0.1) * log_softmax(z),
    ("focal", "softmax"): lambda z, t: -t * (1 - np.exp(log_softmax(z))) ** 2 * log_softmax(z),
    ("focal(gamma=0.5)", "softmax"): lambda z, t: -t * (1 - np.exp(log_softmax(z))) ** 0.5 * log_softmax(z),
    ("focal", "sigmoid"): lambda z, t: (
        -t * scipy.special.expit(-z) ** 2 * LOG_EXPIT(z) - (1 - t) * scipy.special.expit(z) ** 2 * LOG_EXPIT(-z)
    ),
    ("focal(gamma=0)", "sigmoid"): lambda z, t: -t * LOG_EXPIT(z) - (1 - t) * LOG_EXPIT(-z),
    ("hinge", "identity"): lambda z, t: np.maximum(0, 1 - np.where(t > 0.5, 1, -1) * z),
}


def cost_cases():
    rng = np.random.default_rng(1)
    z = rng.normal(0, 3, (400, 3))
    return z, {
        "any": rng.normal(0, 2, z.shape),
        "nonnegative": rng.poisson(3, z.shape).astype(float),
        "probabilities": np.eye(3)[rng.integers(0, 3, len(z))],
        "distributions": rng.dirichlet(np.ones(3), len(z)),
    }


def unit_values(unit, z, t, constants):
    """Outputs, costs and deltas of a batch, as a kernel computes them."""
    values = {"l": log_softmax(z)} if unit.softmax else {"z": z}
    a, cost, slope = ops.compute(unit[1:], values | {"t": t} | constants)
    return a, cost, slope - a * slope.sum(axis=1, keepdims=True) if unit.softmax else slope


def test_every_cost_is_tested_with_every_output_of_its_own():
    tested = {(specs.parse("cost", spec)[0], output) for spec, output in PLAIN_COSTS}
    for name, row in costs.ROWS.items():
        for output in row.forms:
            assert output == costs.ANY_OUTPUT or (name, output) in tested
        assert any(cost == name for cost, _ in tested)


@pytest.mark.parametrize(("spec", "output"), PLAIN_COSTS)
def test_costs(spec, output):
    cost, activation = costs.resolve(spec), activations.resolve(output)
    z, targets = cost_cases()
    t = targets[cost.targets]
    constants = {"q": np.array(cost.units)} if cost.units else {}
    unit = costs.output_unit(cost, activation, 3)
    a, value, delta = unit_values(unit, z, t, constants)
    np.testing.assert_allclose(a, PLAIN[output](z) if not unit.softmax else np.exp(log_softmax(z)), rtol=1e-12)
    np.testing.assert_allclose(value, PLAIN_COSTS[spec, output](z, t), rtol=1e-9, atol=1e-12)
    for j in range(3):
        h = 1e-6 * np.eye(3)[j]
        above, below = (PLAIN_COSTS[spec, output](z + s * h, t).sum(axis=1) for s in (1, -1))
        off = np.abs(delta[:, j] - (above - below) / 2e-6) > 1e-6 * (1 + np.abs(delta[:, j]))
        assert off.mean() < 0.01
    assert cost.text
    assert cost.summary
    assert cost.source
    assert costs.from_data(json.loads(json.dumps(cost.to_data()))) is cost


@pytest.mark.parametrize("name", costs.ROWS)
def test_slopes_that_are_written_agree_with_traced_ones(name):
    row, cost = costs.ROWS[name], costs.resolve(name)
    z, targets = cost_cases()
    for output, form in cost.forms:
        x = -np.abs(z) - 1e-3 if form.on == "l" else z
        values = {form.on: x, "t": targets[cost.targets], "q": np.array([0.1, 0.5, 0.9])}
        written, traced = ops.compute([form.slope, derivative(form.expression, form.on)], values)
        np.testing.assert_allclose(written, traced, rtol=1e-9, atol=1e-12)
        assert (form.slope is derivative(form.expression, form.on)) == (row.forms[output].slope is None)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "spec", ["cross_entropy", "cross_entropy(smoothing=0.1)", "focal", "focal(gamma=0.5)", "hinge"]
)
def test_costs_on_weighted_inputs_are_finite_and_not_negative(spec, dtype):
    cost = costs.resolve(spec)
    output = activations.resolve("identity" if spec == "hinge" else "sigmoid")
    sizes = np.array([0, 1e-30, 1, 50, 1e5, LARGEST[dtype]])
    z, t = np.meshgrid(np.concatenate([-sizes, sizes]).astype(dtype), np.array([0, 1], dtype))
    _, value, slope = ops.compute(costs.output_unit(cost, output, 2)[1:], {"z": z, "t": t})
    assert value.dtype == dtype
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()
    assert (value >= 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spec", ["log_likelihood", "focal", "focal(gamma=0.3)", "focal(gamma=1.5)", "focal(gamma=0)"])
def test_costs_on_log_probabilities_are_finite(spec, dtype):
    log_a, t = np.meshgrid(-np.array([0, 1e-40, 1e-20, 1e-3, 1, 100, 1e30]).astype(dtype), np.array([0, 1], dtype))
    unit = costs.output_unit(costs.resolve(spec), activations.resolve("softmax"), 2)
    for found in ops.compute(unit[1:], {"l": log_a, "t": t}):
        assert found.dtype == dtype
        assert np.isfinite(found).all()


def test_log_cosh_is_right_for_small_errors_in_float32():
    e = np.float32(10) ** np.linspace(-6, 1, 500, dtype=np.float32)
    unit = costs.output_unit(costs.resolve("log_cosh"), activations.resolve("identity"), 1)
    (got,) = ops.compute([unit.cost], {"z": e, "t": np.zeros_like(e)})
    wide = e.astype(np.float64)
    exact = np.where(wide < 1e-3, wide**2 / 2 - wide**4 / 12, np.log(np.cosh(np.maximum(wide, 1e-3))))
    np.testing.assert_allclose(got, exact, rtol=1e-6)


def test_smoothing_leaves_targets_that_sum_to_one():
    t = np.eye(4)
    for spec in ("log_likelihood(smoothing=0.1)",):
        (smoothed,) = ops.compute([costs.resolve(spec).smoothed(variable("t"), 4)], {"t": t})
        np.testing.assert_allclose(smoothed.sum(axis=1), 1)
        assert smoothed.min() == pytest.approx(0.025)
    assert costs.resolve("log_likelihood").smoothed(variable("t"), 4) is variable("t")


def test_costs_and_outputs_that_do_not_go_together():
    softmax, sigmoid = activations.resolve("softmax"), activations.resolve("sigmoid")
    for name in ("quadratic", "cross_entropy", "poisson", "hinge"):
        with pytest.raises(ValueError, match=f"cost '{name}' goes with output"):
            costs.output_unit(costs.resolve(name), softmax, 3)
    with pytest.raises(ValueError, match="'softmax', got 'sigmoid'"):
        costs.output_unit(costs.resolve("log_likelihood"), sigmoid, 3)
    own = activations.activation("own", ops.tanh)
    assert costs.resolve("huber").goes_with(own)
    assert not costs.resolve("cross_entropy").goes_with(own)


def test_every_recommended_output_goes_with_its_cost():
    for name, row in costs.ROWS.items():
        for output in row.outputs:
            assert costs.resolve(name).goes_with(activations.resolve(output))


def test_margins_become_probabilities():
    (found,) = ops.compute([costs.resolve("hinge").probability], {"a": [-2.0, -1.0, 0.0, 0.5, 3.0]})
    np.testing.assert_array_equal(found, [0, 0, 0.5, 0.75, 1])
    assert costs.resolve("log_likelihood").probability is None


# --- users' own ---


def test_an_activation_of_ones_own():
    own = activations.activation("swish2", lambda z, beta: z * ops.sigmoid(beta * z), beta=2, initializer="he")
    (value,) = ops.compute([own.expression], {"z": Z})
    np.testing.assert_allclose(value, Z * scipy.special.expit(2 * Z), rtol=1e-12)
    again = activations.from_data(json.loads(json.dumps(own.to_data())))
    assert again == own == pickle.loads(pickle.dumps(own))
    assert hash(again) == hash(own)
    assert again.expression is own.expression
    assert activations.resolve(own) is own
    assert str(own) == "swish2"
    with pytest.raises(ValueError, match="must be one of"):
        activations.resolve("swish2")  # nothing was registered


def test_an_activation_of_ones_own_in_another_process():
    own = activations.activation("mine", lambda z: z * ops.tanh(ops.softplus(z)))
    code = (
        "import json, sys; from fastnn.formulas import activations;"
        "print(activations.from_data(json.loads(sys.argv[1])).text)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, json.dumps(own.to_data())],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert found.stdout.strip() == "z * tanh(softplus(z))"


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (ops.sqrt, r"activation bad: the value is nan in float64 at z = -1000"),
        (lambda z: ops.log(z * z), "the value is -inf in float64 at z = 0"),
        (lambda z: 1 / z, "at z = 0"),
        (lambda z: ops.sqrt(abs(z)), "the derivative is nan in float64 at z = 0"),
        (lambda z: z**20, "inf in float32"),
        (lambda z: z + ops.log(0.0 * z), "log\\(0\\) is -inf"),
        (lambda z: ops.log(1 + ops.exp(z)), "in float32"),
        (
            lambda z: z + ops.sign(ops.tanh(1000 * ops.square(z) % 1 if False else z * 1e9 - 1)) * ops.cosh(z),
            "ops.cosh",
        ),
        (lambda z: z * np.tanh(z), "numpy.tanh"),
        (lambda z: z + variable("x"), "may use z, got x"),
    ],
)
def test_activations_that_cannot_be_trained_with(formula, message):
    with pytest.raises(FormulaError, match=message):
        activations.activation("bad", formula)


def test_a_derivative_that_is_not_that_of_the_values_is_refused():
    steps = trace(lambda z: sum(ops.sign(z - k / 4) for k in range(-80, 80)), ["z"])  # a staircase
    with pytest.raises(FormulaError, match=r"derivative at z = .* is 0, but the values around it say"):
        checks.check_derivative("stairs", steps, derivative(steps, "z"), "z", {"z": np.linspace(-20, 20, 161)})
    wrong = trace(ops.tanh, ["z"])
    with pytest.raises(FormulaError, match="derivative"):
        checks.check_derivative("wrong", wrong, 2 * derivative(wrong, "z"), "z", {"z": Z})


@pytest.mark.parametrize("name", ["relu", "no identifier", "", "x" * 101])
def test_names_that_cannot_be_ones_own(name):
    with pytest.raises(ValueError, match=r"built-in|identifier"):
        activations.activation(name, lambda z: z)


def test_other_arguments_of_ones_own():
    with pytest.raises(ValueError, match="did you mean 'glorot'"):
        activations.activation("mine", lambda z: z, initializer="gloro")
    with pytest.raises(TypeError, match="beta of mine must be a number"):
        activations.activation("mine", lambda z, beta: z * beta, beta="2")
    with pytest.raises(TypeError, match="must be a string"):
        activations.activation(3, lambda z: z)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "relu"},
        {"name": 3},
        {"formula": "z"},
        {"formula": [[["variable", "x"]], [0]]},
        {"formula": [[["variable", "z"]], [0, 0]]},
        {"formula": [[["variable", "z"], ["sqrt", 0]], [1]]},
        {"initializer": "os"},
        {"more": 1},
    ],
)
def test_stored_activations_that_are_none(change):
    data = activations.activation("mine", ops.tanh).to_data()
    with pytest.raises(ValueError, match=r"stored|built-in|finite|variables|nan"):
        activations.from_data(data | change)


def cauchy(a, t, scale=1.0):
    return ops.log1p(ops.square((a - t) / scale))


def test_a_cost_of_ones_own():
    own = costs.cost("cauchy", cauchy, scale=2.0, outputs=["identity", "tanh"])
    assert costs.from_data(json.loads(json.dumps(own.to_data()))) == own == pickle.loads(pickle.dumps(own))
    z, targets = cost_cases()
    unit = costs.output_unit(own, activations.resolve("tanh"), 3)
    _, value, delta = unit_values(unit, z, targets["any"], {})
    np.testing.assert_allclose(value, np.log1p(((np.tanh(z) - targets["any"]) / 2) ** 2), rtol=1e-12)
    assert agree(unit.slope, unit.cost, {"z": z, "t": targets["any"]}, "z")
    assert delta.shape == z.shape
    with pytest.raises(ValueError, match="goes with output 'identity' or 'tanh', got 'softmax'"):
        own.form(activations.resolve("softmax"))


def test_a_cost_of_ones_own_with_outputs_it_was_not_meant_for():
    own = costs.cost("gamma", lambda a, t: t / (a + 1) + ops.log(a + 1), outputs="softplus", targets="nonnegative")
    costs.output_unit(own, activations.activation("mine", ops.softplus), 2)
    with pytest.raises(FormulaError, match="cost gamma with output tanh: the value is"):
        costs.output_unit(own, activations.resolve("tanh"), 2)


def test_costs_of_ones_own_on_inputs_and_log_probabilities():
    logistic = costs.cost(
        "logistic",
        lambda z, t: ops.softplus(-(2 * t - 1) * z),
        on="z",
        outputs="sigmoid",
        classifies=True,
        targets="probabilities",
    )
    assert logistic.classifies
    assert logistic.goes_with(activations.resolve("sigmoid"))
    assert not logistic.goes_with(activations.resolve("tanh"))
    entropy = costs.cost("entropy", lambda log_a, t: -t * log_a, on="l", outputs="softmax", targets="distributions")
    z, targets = cost_cases()
    softmax = activations.resolve("softmax")
    _, value, delta = unit_values(costs.output_unit(entropy, softmax, 3), z, targets["distributions"], {})
    _, wanted, wanted_delta = unit_values(
        costs.output_unit(costs.resolve("log_likelihood"), softmax, 3), z, targets["distributions"], {}
    )
    np.testing.assert_array_equal(value, wanted)
    np.testing.assert_array_equal(delta, wanted_delta)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"formula": lambda a, t: ops.log(a) * t}, "cost mine with output identity: the value"),
        ({"formula": lambda a, t: ops.sqrt(a - t)}, "at a = .*, t = "),
        ({"formula": lambda a: a}, "fails"),
        ({"on": "x"}, "on must be one of"),
        ({"on": "l"}, "goes with the output softmax"),
        ({"on": "z", "outputs": ["identity", "tanh"]}, "goes with one output"),
        ({"outputs": "softmax"}, "any outputs but softmax"),
        ({"outputs": "sigmoidd"}, "did you mean 'sigmoid'"),
        ({"outputs": []}, "at least one output"),
        ({"targets": "all"}, "targets must be one of"),
        ({"name": "huber"}, "built-in"),
    ],
)
def test_costs_that_cannot_be_trained_with(arguments, message):
    settings = {"name": "mine", "formula": cauchy} | arguments
    with pytest.raises(ValueError, match=message):
        costs.cost(settings.pop("name"), settings.pop("formula"), **settings)


def test_costs_are_not_made_for_activations_of_ones_own():
    own = activations.activation("mine", ops.tanh)
    with pytest.raises(ValueError, match="names of built-in activations"):
        costs.cost("cauchy", cauchy, outputs=[own])
