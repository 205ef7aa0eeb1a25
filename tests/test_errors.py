"""Every wrong input is refused with a message that names it, before anything changes."""

import re

import numpy as np
import pytest
from children import run_python
from states import state

import fastnn
from fastnn import SGD, Adam, EarlyStopping, Network

RNG = np.random.default_rng(0)
N, N_IN, N_OUT = 20, 3, 4
X = RNG.random((N, N_IN))
Y = np.arange(N) % N_OUT
ONE_HOT = np.eye(N_OUT)[Y]
NAN, INF = float("nan"), float("inf")


class Sparse:
    """Some other library's sparse matrix."""

    def __repr__(self):
        # Tests are named by their arguments, and an address in a name differs between the processes that run them.
        return "Sparse()"

    def toarray(self):
        raise AssertionError("never asked for: it may not fit into memory")


def case(error, *fragments, **arguments):
    """One row of a table: arguments, the error, and pieces of its message in their order."""
    shown = {name: " ".join(repr(value).split())[:40] for name, value in arguments.items()}
    return pytest.param(arguments, error, fragments, id=", ".join(f"{name}={text}" for name, text in shown.items()))


def refused(error, fragments):
    """The context in which ``error`` is raised with a message that has the fragments in this order, on one line."""
    return pytest.raises(error, match="^" + ".*".join(["", *map(re.escape, fragments)]) + r"[^\n]*\Z")


def net(**arguments):
    return Network(**{"sizes": [N_IN, 5, N_OUT], **arguments})


# --- Network(...) ---


@pytest.mark.parametrize(
    ("arguments", "error", "fragments"),
    [
        case(TypeError, "sizes must be a list such as [784, 30, 10]", "str", "'784'", sizes="784"),
        case(TypeError, "sizes must be a list", "int 784", sizes=784),
        case(TypeError, "sizes must be a list", "NoneType None", sizes=None),
        case(TypeError, "sizes must be a list", "ndarray", sizes=np.array(2)),
        case(ValueError, "sizes must hold at least the inputs and the outputs", "got [3]", sizes=[3]),
        case(ValueError, "sizes must hold at least", "got []", sizes=[]),
        case(
            ValueError, "sizes must make at most 281474976710656 weights in a layer", "got 3 x 1000", sizes=[3, 10**20]
        ),
        case(ValueError, "sizes must make at most", "got 4294967296 x 4294967296", sizes=[2, 1 << 32, 1 << 32, 2]),
        case(ValueError, "sizes[1] must be >= 1", "got 0", sizes=[3, 0, 2]),
        case(ValueError, "sizes[0] must be >= 1", "got -3", sizes=[-3, 2]),
        case(TypeError, "sizes[2] must be a whole number", "float 2.0", sizes=[3, 5, 2.0]),
        case(TypeError, "sizes[1] must be a whole number", "bool True", sizes=[3, True]),
        case(TypeError, "sizes[0] must be a whole number", "str '3'", sizes=["3", 2]),
        case(ValueError, "activation must be one of", "'sigmoid'", "got 'swish'", activation="swish"),
        case(ValueError, "activation", "got 'sigmoit'", "did you mean 'sigmoid'?", activation="sigmoit"),
        case(ValueError, "activation", "got 'Relu'", "did you mean 'relu'?", activation=["Relu"]),
        case(ValueError, "activation", "one per hidden layer: expected 1, got 2", activation=["relu", "tanh"]),
        case(ValueError, "activation", "expected 1, got 0", activation=[]),
        case(ValueError, "activation 'softmax' is for the output", "output='softmax'", activation="softmax"),
        case(TypeError, "activation must be a name or a list of names", "got NoneType", activation=None),
        case(TypeError, "activation must be one of", "got int 3", activation=[3]),
        case(ValueError, "activation must be one of", "got 'swish'", sizes=[3, 2], activation="swish"),
        case(ValueError, "output must be one of", "'softmax'", "got 'softmx'", "'softmax'?", output="softmx"),
        case(TypeError, "output must be one of", "got NoneType None", output=None),
        case(ValueError, "cost must be one of", "got 'mse'", cost="mse"),
        case(ValueError, "cost", "got 'crossentropy'", "did you mean 'cross_entropy'?", cost="crossentropy"),
        case(TypeError, "cost must be one of", "got int 1", cost=1),
        case(
            ValueError,
            "cost 'cross_entropy' does not go with output 'softmax'",
            "cost='cross_entropy' with output='sigmoid'",
            "cost='log_likelihood' with output='softmax'",
            output="softmax",
        ),
        case(ValueError, "cost 'log_likelihood' does not go with output 'sigmoid'", cost="log_likelihood"),
        case(ValueError, "cost 'cross_entropy' does not go with output 'relu'", output="relu"),
        case(ValueError, "initializer must be one of", "got 'glorott'", "'glorot'?", initializer="glorott"),
        case(TypeError, "initializer must be a pair (weights, biases), or a name", "NoneType", initializer=None),
        case(TypeError, "initializer must be a pair", "got tuple", initializer=([], [], [])),
        case(ValueError, "weights must hold one array per layer: expected 2, got 0", initializer=([], [])),
        case(
            ValueError,
            "weights[0] must have shape (5, 3), got (3, 5)",
            initializer=([np.zeros((3, 5)), np.zeros((4, 5))], [np.zeros(5), np.zeros(4)]),
        ),
        case(
            ValueError,
            "biases[1] must have shape (4,), got (5,)",
            initializer=([np.zeros((5, 3)), np.zeros((4, 5))], [np.zeros(5), np.zeros(5)]),
        ),
        case(TypeError, "weights", initializer=(5, 5)),
        case(ValueError, "dtype must be one of ['float32', 'float64'], got 'int64'", dtype=int),
        case(ValueError, "dtype must be one of", "got 'float16'", dtype="float16"),
        case(ValueError, "dtype must be one of", "got 'single precision'", dtype="single precision"),
        case(TypeError, "dtype must be one of", "got None", dtype=None),
        case(ValueError, "seed must be >= 0, got -1", seed=-1),
        case(TypeError, "seed must be a whole number", "float 0.5", seed=0.5),
        case(TypeError, "seed must be a whole number", "str 'x'", seed="x"),
    ],
)
def test_network(arguments, error, fragments):
    with refused(error, fragments):
        net(**arguments)


@pytest.mark.parametrize("dtype", [">f4", ">f8"])
def test_a_dtype_in_the_order_of_another_machine_is_refused_or_understood(dtype):
    try:
        network = net(dtype=dtype)
    except ValueError as error:
        assert "dtype" in str(error)  # noqa: PT017  (either way is fine)
    else:
        assert np.isfinite(network.forward(X)).all()


# --- settings of fit ---


SETTINGS = [
    case(ValueError, "epochs must be >= 0, got -1", epochs=-1),
    case(TypeError, "epochs must be a whole number", "float 1.5", epochs=1.5),
    case(TypeError, "epochs must be a whole number", "NoneType", epochs=None),
    case(ValueError, "batch_size must be >= 1, got 0", batch_size=0),
    case(ValueError, "batch_size must be one number, or sizes that sum to", "got a sum of 3", batch_size=[1, 2]),
    case(TypeError, "batch_size[1] must be a whole number", batch_size=[1, 2.0]),
    case(TypeError, "batch_size must be a whole number", "bool True", batch_size=True),
    case(TypeError, "batch_size must be a whole number", "str '10'", batch_size="10"),
    case(TypeError, "batch_size must be a whole number", "bytes", batch_size=bytes([50])),
    case(TypeError, "batch_size must be a whole number", "ndarray", batch_size=np.array(10)),
    case(ValueError, "optimizer must be one of ['sgd', 'adam', ", "got 'adm'", "did you mean 'adam'?", optimizer="adm"),
    case(TypeError, "optimizer must be one of", "an object such as fastnn.SGD", "got float", optimizer=0.1),
    case(TypeError, "optimizer must be one of", "got type", optimizer=SGD),
    case(ValueError, "l2 must be >= 0", "got -0.1", l2=-0.1),
    case(ValueError, "l2 must be", "finite, got inf", l2=INF),
    case(ValueError, "l1 must be", "finite, got nan", l1=NAN),
    case(TypeError, "l1 must be a number", "str '0.1'", l1="0.1"),
    case(TypeError, "l1 must be a number", "bool True", l1=True),
    case(TypeError, "l2 must be a number", "complex", l2=1j),
    case(ValueError, "l2 must be", l2=10**400),  # no float is as large
    case(TypeError, "shuffle must be True, False or a function", "str 'no'", shuffle="no"),
    case(TypeError, "shuffle must be True, False or a function", "int 1", shuffle=1),
    case(ValueError, "max_time must be > 0", "got 0", max_time=0),
    case(ValueError, "max_time must be > 0", "got nan", max_time=NAN),
    case(TypeError, "max_time must be a number", "str", max_time="1 h"),
    case(TypeError, "callbacks must be a list", "callbacks=[callback]", callbacks=print),
    case(TypeError, "callbacks[1] must be callable, got int", callbacks=[print, 3]),
    case(TypeError, "callbacks", callbacks=None),
    case(TypeError, "callbacks must be a list", "got ndarray", callbacks=np.array(2)),
    case(TypeError, "callbacks[0] must be an object, such as EarlyStopping()", callbacks=[EarlyStopping]),
    case(ValueError, "monitor 'val_cost' needs validation_data in fit", callbacks=[EarlyStopping()]),
    case(TypeError, "progress must be True or False", "str 'yes'", progress="yes"),
    case(ValueError, "threads must be >= 1, got 0", threads=0),
    case(TypeError, "threads must be a whole number", "float", threads=1.0),
    case(ValueError, "threads must be one of ['auto'], got 'aut'", "did you mean 'auto'?", threads="aut"),
    case(TypeError, "validation_data must be a pair (X, y), or", "got ndarray", validation_data=X),
    case(TypeError, "validation_data must be a pair (X, y), or (X, y, sample_weight)", validation_data=(X, Y, Y, Y)),
    case(ValueError, "validation_data: sample_weight must have shape (20,), got (19,)", validation_data=(X, Y, Y[1:])),
    case(ValueError, "validation_data", "(n, 3), got (20, 2)", validation_data=(X[:, :2], Y)),
    case(ValueError, "validation_data", "from 0 to 3", "got 4", validation_data=(X, Y + 1)),
]


@pytest.mark.parametrize("name", ["sizes", "activations", "cost", "dtype"])
def test_what_a_network_is_cannot_be_changed(name):
    """The buffers are laid out for it: with other sizes a kernel would write past their ends."""
    network = net()
    with pytest.raises(AttributeError, match=name):
        setattr(network, name, getattr(net(sizes=[N_IN, 2], dtype="float64"), name))
    assert network.forward(X).shape == (N, N_OUT)


# --- data, for fit, evaluate and gradients alike ---

with_nan, with_inf = X.copy(), X.copy()
with_nan[-1, -1], with_inf[0, 1] = NAN, -INF
far_rows = np.repeat(ONE_HOT, 2, axis=0)[:N] * 1.5

FEATURES = [
    case(ValueError, "X must have shape (n, 3), got (20, 4)", X=np.ones((N, 4))),
    case(ValueError, "X must have shape (n, 3), got (3,)", "for one sample pass np.atleast_2d(X)", X=[1.0, 2.0, 3.0]),
    case(ValueError, "X must have shape (n, 3), got (20,)", X=np.ones(N)),
    case(ValueError, "X must have shape (n, 3), got ()", X=3.0),
    case(ValueError, "X must have shape (n, 3), got (20, 3, 1)", X=X[:, :, None]),
    case(ValueError, "X must hold at least one sample", "(0, 3)", X=np.empty((0, 3))),
    case(ValueError, "X must have shape (n, 3), got (0,)", X=[]),
    case(ValueError, "X must be finite, got nan at [19, 2]", 'fastnn.Network(..., missing="mean")', X=with_nan),
    case(ValueError, "X must be finite, got -inf at [0, 1]", X=with_inf),
    case(ValueError, "X must be finite, got nan at [19, 2]", X=with_nan.astype(np.float16)),
    case(ValueError, "X must fit into float32", X=np.full((N, 3), 1e39)),
    case(TypeError, "X must hold real numbers, got None at [0, 2]", 'missing="mean"', X=np.array([[1, 2, None]] * N)),
    case(TypeError, "X must hold real numbers, got 'a' at [0, 1]", X=np.array([[1, "a", 3]] * N, object)),
    case(TypeError, "X must hold real numbers, got dtype <U1", X=[["a", "b", "c"]] * N),
    case(TypeError, "X must hold real numbers, got dtype complex128", X=X * 1j),
    case(TypeError, "X must hold real numbers, got dtype datetime64", X=np.zeros((N, 3), "M8[s]")),
    case(TypeError, "X must hold real numbers", X=None),
    case(TypeError, "X must not be masked, got a MaskedArray", X=np.ma.masked_less(X, X.mean())),
    case(ValueError, "X must be a rectangular array", X=[[1.0, 2.0, 3.0], [1.0, 2.0]]),
    case(TypeError, "X must be a dense array, got a sparse Sparse: pass X.toarray()", X=Sparse()),
]
TARGETS = [
    case(ValueError, "y must have shape (n,) or (n, 4), got (20, 3)", y=np.zeros((N, 3))),
    case(ValueError, "y must have shape (n,) or (n, 4), got ()", y=1),
    case(ValueError, "y must have shape (n,) or (n, 4), got (20, 1)", "pass np.ravel(y)", y=Y[:, None]),
    case(ValueError, "y must have shape (n,) or (n, 4)", "(20, 4, 1)", y=ONE_HOT[:, :, None]),
    case(ValueError, "y must have as many rows as X: expected 20, got 19", y=Y[:-1]),
    case(ValueError, "y must have as many rows as X: expected 20, got 0", y=[]),
    case(ValueError, "y must hold labels from 0 to 3 for 4 outputs, got 4", y=Y + 1),
    case(ValueError, "y must hold labels from 0 to 3", "got -1", y=Y - 1),
    case(ValueError, "y must hold labels from 0 to 3", "got 4.0", y=Y + 1.0),
    case(ValueError, "y must hold labels from 0 to 3", "got 18446744073709551615", y=np.full(N, 2**64 - 1, "u8")),
    case(ValueError, "y must be whole-numbered class labels", "fractions such as 0.5", y=Y * 0.5),
    case(ValueError, "y must be finite, got nan at [19]", y=np.where(np.arange(N) == N - 1, NAN, Y)),
    case(ValueError, "y must be finite, got inf at [19, 3]", y=np.where(np.arange(N * 4).reshape(N, 4) == 79, INF, 0)),
    case(ValueError, "y must lie in [0, 1] for cost 'cross_entropy', got 1.5", y=far_rows),
    case(ValueError, "y must lie in [0, 1] for cost 'cross_entropy', got -1.0", y=-ONE_HOT),
    case(ValueError, "y must have an answer for every sample, got None at [0]", y=[None] * N),
    case(TypeError, "y must not be masked", y=np.ma.masked_equal(Y, 0)),
    case(ValueError, "y must hold one of the classes 0, 1, 2, 3, got 'cat' in row 0", y=["cat"] * N),
    case(TypeError, "y must hold real numbers, got dtype complex128", y=Y * 1j),
    case(ValueError, "y must be a rectangular array", y=[[0, 1], [0]]),
    case(TypeError, "y must be a dense array, got a sparse Sparse", y=Sparse()),
]
WEIGHTS = [
    case(ValueError, "sample_weight must have shape (20,), got (19,)", sample_weight=np.ones(N - 1)),
    case(ValueError, "sample_weight must have shape (20,), got (20, 1)", sample_weight=np.ones((N, 1))),
    case(ValueError, "sample_weight must have shape (20,), got ()", sample_weight=2.0),
    case(ValueError, "sample_weight must not be negative, got -1.0", sample_weight=-np.ones(N)),
    case(ValueError, "sample_weight must not be all zero", sample_weight=np.zeros(N)),
    case(ValueError, "sample_weight must be finite, got nan at [0]", sample_weight=np.full(N, NAN)),
    case(TypeError, "sample_weight must hold real numbers, got dtype <U1", sample_weight=["a"] * N),
]


@pytest.fixture(scope="module")
def trained():
    """A network with a history, momentum and shuffles behind it: a state in which a change would show."""
    network = net()
    network.fit(X, Y, epochs=2, optimizer=SGD(0.1, momentum=0.9))
    return network


@pytest.mark.parametrize(("arguments", "error", "fragments"), [*SETTINGS, *FEATURES, *TARGETS, *WEIGHTS])
def test_fit_refuses_and_nothing_changes(arguments, error, fragments, trained):
    before, history = state(trained), trained.history
    with refused(error, fragments):
        trained.fit(**{"X": X, "y": Y, **arguments})
    assert state(trained) == before
    assert trained.history is history
    assert trained.history.epochs == [1, 2]


@pytest.mark.parametrize(("arguments", "error", "fragments"), [*FEATURES, *TARGETS, *WEIGHTS])
@pytest.mark.parametrize("method", ["evaluate", "gradients"])
def test_evaluate_and_gradients(method, arguments, error, fragments, trained):
    with refused(error, fragments):
        getattr(trained, method)(**{"X": X, "y": Y, **arguments})


@pytest.mark.parametrize(("arguments", "error", "fragments"), FEATURES)
@pytest.mark.parametrize("method", ["forward", "predict"])
def test_forward_and_predict(method, arguments, error, fragments, trained):
    with refused(error, fragments):
        getattr(trained, method)(**arguments)


@pytest.mark.parametrize("batch_size", [2**31, 2**63 - 1, 2**63, 2**70])
def test_a_batch_larger_than_the_data_takes_all_of_them(batch_size):
    network, whole = net(), net()
    network.fit(X, Y, epochs=1, batch_size=batch_size)
    whole.fit(X, Y, epochs=1, batch_size=N)
    np.testing.assert_allclose(network.weights[0], whole.weights[0], rtol=1e-5)


def test_a_refused_validation_set_does_not_hide_behind_a_good_one(trained):
    before = state(trained)
    for X_bad in (with_nan, with_inf):
        with refused(ValueError, ["validation_data", "finite"]):
            trained.fit(X, Y, validation_data=(X_bad, Y))
    assert state(trained) == before


# --- sparse matrices ---


def broken_csr(**changes):
    """A CSR matrix of the right shape with something wrong inside; SciPy itself checks only when it makes one."""
    matrix = pytest.importorskip("scipy.sparse").csr_matrix(np.eye(N, N_IN))
    for name, value in changes.items():
        setattr(matrix, name, np.asarray(value, getattr(matrix, name).dtype))
    return matrix


@pytest.mark.parametrize(
    ("changes", "fragments"),
    [
        ({"data": [1, 2, NAN]}, ["X.data must be finite, got nan at [2]"]),
        ({"data": [1, 2, 1e39]}, ["X.data must fit into float32"]),
        ({"indices": [0, 1, 3]}, ["X must be a valid sparse matrix", "indices do not fit its shape"]),
        ({"indices": [0, -1, 2]}, ["X must be a valid sparse matrix"]),
    ],
)
def test_broken_sparse_matrices(changes, fragments):
    for method in ("forward", "predict"):
        with refused(ValueError, fragments):
            getattr(net(), method)(broken_csr(**changes))


@pytest.mark.parametrize("indptr", [[0, 1, 9, 3], [0, 2, 1, 3], [0, 1, 2, 9000], [0, -1, 2, 3], [1, 1, 2, 3]], ids=str)
def test_broken_rows_of_a_sparse_matrix(indptr):
    """In a process of its own: SciPy's routines trust the row starts, and take Python down with them."""
    pytest.importorskip("scipy.sparse")
    code = f"""
import fastnn, numpy, scipy.sparse
matrix = scipy.sparse.csr_matrix(numpy.eye(3))
matrix.indptr = numpy.array({indptr}, matrix.indptr.dtype)
try:
    fastnn.Network([3, 2]).forward(matrix)
except ValueError as error:
    print(error)
"""
    run = run_python("-c", code)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("X must be a valid sparse matrix")


def test_sparse_matrices_of_the_wrong_kind(trained):
    sparse = pytest.importorskip("scipy.sparse")
    before = state(trained)
    with refused(ValueError, ["X must have shape (n, 3), got (20, 4)"]):
        trained.fit(sparse.csr_matrix((N, 4)), Y)
    with refused(ValueError, ["X must hold at least one sample", "(0, 3)"]):
        trained.forward(sparse.csr_matrix((0, 3)))
    with refused(TypeError, ["X.data must hold real numbers, got dtype complex128"]):
        trained.forward(sparse.csr_matrix((N, 3), dtype=complex))
    with refused(TypeError, ["y must be a dense array, got a sparse csr_matrix: pass y.toarray()"]):
        trained.fit(X, sparse.csr_matrix(ONE_HOT))
    assert state(trained) == before


# --- other costs ---


def test_probabilities_sum_to_one():
    network = net(output="softmax", cost="log_likelihood")
    rows = ONE_HOT.copy()
    rows[7] = [0.5, 0.2, 0.0, 0.0]
    with refused(ValueError, ["y must hold probabilities that sum to 1 in every row, got 0.69", "in row 7"]):
        network.fit(X, rows)
    with refused(ValueError, ["y must lie in [0, 1] for cost 'log_likelihood', got 2.0"]):
        network.fit(X, 2 * ONE_HOT)


@pytest.mark.parametrize("cost", ["quadratic", "sum_squares"])
def test_costs_of_regression_take_any_finite_target(cost):
    network = net(output="identity", cost=cost)
    network.fit(X, 100 * ONE_HOT - 50, epochs=1, optimizer=SGD(1e-4))
    with refused(ValueError, ["y must fit into float32"]):
        network.fit(X, ONE_HOT * 1e39)


def test_a_single_output_takes_targets_in_one_column_or_none():
    network = Network([N_IN, 1])
    fractions = np.linspace(0, 1, N)
    assert network.evaluate(X, fractions)["cost"] == network.evaluate(X, fractions[:, None])["cost"]
    with refused(ValueError, ["y must lie in [0, 1]", "got 1.5"]):
        network.evaluate(X, fractions * 1.5)
    with refused(ValueError, ["y must have shape (n,) or (n, 1), got (20, 2)"]):
        network.evaluate(X, np.zeros((N, 2)))


# --- NaN and infinity, wherever they are ---


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_place_is_looked_at(bad, dtype):
    network, data = Network([2, 1]), np.zeros((50, 2), dtype)
    for place in np.ndindex(data.shape):
        data[place] = bad
        with refused(ValueError, [f"X must be finite, got {bad} at [{place[0]}, {place[1]}]"]):
            network.forward(data)
        data[place] = 0


def test_the_last_element_of_much_data():
    data = np.zeros((3_000_000, 2), np.float32)  # more than are looked at together
    data[-1, -1] = NAN
    with refused(ValueError, ["X must be finite, got nan at [2999999, 1]"]):
        Network([2, 1]).forward(data)


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 33, 300])
@pytest.mark.parametrize("sizes", [[70, 33, 3], [70, 32, 3], [3, 1]], ids=str)
def test_a_prediction_notices_by_its_sums(sizes, n, dtype, bad):
    """Whatever the weights: most of them are zero here, and the others of either sign."""
    network = Network(sizes, activation="relu", dtype=dtype)
    network.weights = [W * (abs(W) > np.quantile(abs(W), 0.8)) for W in network.weights]
    data = np.random.default_rng(0).random((n, sizes[0])).astype(dtype)
    for place in [(0, 0), (n // 2, sizes[0] // 2), (n - 1, sizes[0] - 1)]:
        wrong = data.copy()
        wrong[place] = bad
        with refused(ValueError, [f"X must be finite, got {bad} at [{place[0]}, {place[1]}]"]):
            network.forward(wrong)


def test_sums_that_overflow_are_no_error():
    """The first layer's sums are infinite, the data are not: saturated units."""
    network = Network([2, 2], initializer=([[[3.0, 0.0], [-3.0, 0.0]]], [[0.0, 0.0]]))
    np.testing.assert_array_equal(network.forward(np.full((3, 2), 3e38, np.float32)), [[1, 0]] * 3)


def test_numbers_whose_sum_overflows_are_fine():
    data = np.full((100, 2), 3e38, np.float32)
    weights = ([np.full((1, 2), 1e-39)], [np.zeros(1)])
    assert np.isfinite(Network([2, 1], initializer=weights).forward(data)).all()


def test_opposite_infinities_do_not_cancel():
    with refused(ValueError, ["X must be finite, got inf at [0, 0]"]):
        Network([2, 1]).forward([[INF, -INF]])


# --- input that is right, in unusual clothes ---


@pytest.mark.parametrize(
    "dress",
    [
        np.asfortranarray,
        lambda X: np.repeat(X, 2, axis=0)[::2],
        lambda X: X[::-1][::-1],
        lambda X: X.astype(">f4"),
        lambda X: X.tolist(),
        lambda X: X.astype(np.longdouble),
        lambda X: np.frombuffer(X.tobytes(), X.dtype).reshape(X.shape),
        lambda X: np.frombuffer(bytearray(b"x" + X.tobytes()), X.dtype, offset=1).reshape(X.shape),
    ],
    ids=[
        "Fortran order",
        "every second row",
        "reversed twice",
        "big-endian",
        "lists",
        "longdouble",
        "read-only",
        "unaligned",
    ],
)
def test_layout_and_type_of_the_input_make_no_difference(dress):
    networks, plain = [net(), net()], X.astype(np.float32)
    for network, data in zip(networks, (plain, dress(plain)), strict=True):
        network.fit(data, Y, epochs=2)
    assert state(networks[0]) == state(networks[1])
    assert np.array_equal(networks[0].forward(dress(plain)), networks[0].forward(plain))
    assert networks[0].evaluate(dress(plain), Y) == networks[0].evaluate(plain, Y)


def test_input_that_is_read_only_does_not_compile_a_second_kernel():
    """Compiling takes seconds, and Numba has a type of its own for an array that cannot be written to."""
    from fastnn.kernels import epoch

    network = net()
    data = [X.astype(np.float32), Y.copy(), np.ones(N, np.float32), ONE_HOT.astype(np.float32)]
    kernels = [epoch.predict, epoch.evaluate]
    for writeable in (True, False):
        for array in data:
            array.flags.writeable = writeable
        network.forward(data[0])
        network.evaluate(data[0], data[1], data[2])
        network.evaluate(data[0], data[3], data[2])
        if writeable:
            before = [len(kernel.dispatcher.signatures) for kernel in kernels]
    assert [len(kernel.dispatcher.signatures) for kernel in kernels] == before


# --- optimizers ---


@pytest.mark.parametrize(
    ("kind", "arguments", "error", "fragments"),
    [
        pytest.param(kind, *row.values, id=f"{kind.__name__}({row.id})")
        for kind, rows in {
            SGD: [
                case(ValueError, "learning_rate must be > 0", "got 0", learning_rate=0),
                case(ValueError, "learning_rate must be > 0", "got -0.1", learning_rate=-0.1),
                case(ValueError, "learning_rate must be > 0", "finite, got nan", learning_rate=NAN),
                case(ValueError, "learning_rate", "finite, got inf", learning_rate=INF),
                case(ValueError, "learning_rate", learning_rate=10**400),
                case(TypeError, "learning_rate must be a number", "str '0.1'", learning_rate="0.1"),
                case(TypeError, "learning_rate must be a number", "NoneType", learning_rate=None),
                case(TypeError, "learning_rate must be a number", "bool", learning_rate=True),
                case(ValueError, "momentum must be >= 0 and < 1", "got 1", momentum=1),
                case(ValueError, "momentum must be >= 0", "got -0.5", momentum=-0.5),
                case(ValueError, "momentum must be", "got nan", momentum=NAN),
                case(TypeError, "momentum must be a number", "str", momentum="0.9"),
                case(ValueError, "nesterov=True needs momentum > 0", "momentum=0.9", nesterov=True),
                case(TypeError, "nesterov must be True or False", "'yes'", nesterov="yes", momentum=0.9),
            ],
            Adam: [
                case(ValueError, "learning_rate must be > 0", "got 0", learning_rate=0),
                case(ValueError, "beta1 must be >= 0 and < 1", "got 1", beta1=1),
                case(ValueError, "beta1 must be >= 0", "got -0.1", beta1=-0.1),
                case(ValueError, "beta2 must be", "got 1.5", beta2=1.5),
                case(ValueError, "beta2 must be", "got nan", beta2=NAN),
                case(TypeError, "beta2 must be a number", "list", beta2=[0.9]),
                case(ValueError, "epsilon must be > 0", "got 0", epsilon=0),
                case(TypeError, "epsilon must be a number", "str", epsilon="1e-8"),
            ],
        }.items()
        for row in rows
    ],
)
def test_optimizers(kind, arguments, error, fragments):
    with refused(error, fragments):
        kind(**arguments)


@pytest.mark.parametrize("optimizer", [SGD(), Adam()])
def test_optimizers_are_frozen(optimizer):
    with pytest.raises(AttributeError, match="learning_rate"):
        optimizer.learning_rate = 1


# --- EarlyStopping ---


@pytest.mark.parametrize(
    ("arguments", "error", "fragments"),
    [
        case(ValueError, "monitor must be one of", "'val_cost'", "got 'val_loss'", monitor="val_loss"),
        case(ValueError, "monitor", "did you mean 'val_accuracy'?", monitor="val_acuracy"),
        case(TypeError, "monitor must be one of", "NoneType", monitor=None),
        case(ValueError, "patience must be >= 1, got 0", patience=0),
        case(TypeError, "patience must be a whole number", "float", patience=2.5),
        case(ValueError, "min_delta must be >= 0", "got -1", min_delta=-1),
        case(TypeError, "min_delta must be a number", "str", min_delta="0"),
        case(TypeError, "restore_best must be True or False", "int", restore_best=1),
    ],
)
def test_early_stopping(arguments, error, fragments):
    with refused(error, fragments):
        EarlyStopping(**arguments)


@pytest.mark.parametrize("monitor", ["val_cost", "val_accuracy"])
def test_early_stopping_without_the_figure_it_watches(monitor):
    with refused(ValueError, ["monitor", repr(monitor), "needs validation_data"]):
        net().fit(X, Y, epochs=5, callbacks=[EarlyStopping(monitor)])


def test_early_stopping_on_an_accuracy_that_regression_does_not_have():
    network = net(output="identity", cost="quadratic")
    with refused(ValueError, ["monitor", "train_accuracy"]):
        network.fit(X, ONE_HOT / 2, epochs=9, optimizer=SGD(1e-3), callbacks=[EarlyStopping("train_accuracy")])


# --- an order of one's own ---


@pytest.mark.parametrize(
    ("order", "error", "fragments"),
    [
        (np.zeros(N - 1, int), ValueError, [f"shuffle must return ({N},) whole numbers", f"int64 ({N - 1},)"]),
        (np.arange(float(N)), ValueError, [f"shuffle must return ({N},) whole numbers", f"float64 ({N},)"]),
        (np.arange(N) + 1, ValueError, [f"every number from 0 to {N - 1} once"]),
        (np.arange(N) - 1, ValueError, [f"every number from 0 to {N - 1} once"]),
        (np.arange(N) // 2, ValueError, [f"every number from 0 to {N - 1} once"]),
        (None, TypeError, ["shuffle's result must hold real numbers"]),
    ],
)
def test_an_order_that_is_none(order, error, fragments):
    network = net()
    before = state(network)
    with refused(error, fragments):
        network.fit(X, Y, shuffle=lambda n: order)
    assert state(network) == before


# --- weights and biases ---


@pytest.mark.parametrize(
    ("key", "value", "error", "fragments"),
    [
        (0, np.zeros((3, 5)), ValueError, ["weights[0] must have shape (5, 3), got (3, 5)"]),
        (1, np.zeros(4), ValueError, ["weights[1] must have shape (4, 5), got (4,)"]),
        (-1, np.zeros((5, 3)), ValueError, ["weights[1] must have shape (4, 5), got (5, 3)"]),
        (-2, np.zeros((4, 5)), ValueError, ["weights[0] must have shape (5, 3), got (4, 5)"]),
        (0, np.full((5, 3), NAN), ValueError, ["weights[0] must be finite, got nan at [0, 0]"]),
        (0, np.full((5, 3), 1e39), ValueError, ["weights[0] must fit into float32"]),
        (0, None, TypeError, ["weights[0] must hold real numbers"]),
        (0, [[1.0], [1.0, 2.0]], ValueError, ["weights[0] must be a rectangular array"]),
        (0, np.full((5, 3), "a"), TypeError, ["weights[0] must hold real numbers, got dtype <U1"]),
        (0, Sparse(), TypeError, ["weights[0] must be a dense array, got a sparse Sparse"]),
        (slice(None), [np.zeros((5, 3))], ValueError, ["weights must hold one array per layer: expected 2, got 1"]),
        (slice(0, 1), [], ValueError, ["weights must hold one array per layer: expected 1, got 0"]),
        (slice(None), [np.zeros((5, 3)), np.zeros(5)], ValueError, ["weights[1] must have shape (4, 5), got (5,)"]),
        (2, np.zeros((4, 5)), IndexError, []),
        (-3, np.zeros((5, 3)), IndexError, []),
        ("first", np.zeros((5, 3)), TypeError, []),
    ],
)
def test_weights_that_do_not_fit_change_nothing(key, value, error, fragments, trained):
    before = state(trained)
    with refused(error, fragments):
        trained.weights[key] = value
    assert state(trained) == before


@pytest.mark.parametrize("value", [None, 5, []])
@pytest.mark.parametrize("name", ["weights", "biases"])
def test_all_weights_at_once(name, value, trained):
    before = state(trained)
    with refused((TypeError, ValueError), [name]):
        setattr(trained, name, value)
    assert state(trained) == before


def test_biases_are_named_as_such(trained):
    with refused(ValueError, ["biases[0] must have shape (5,), got (4,)"]):
        trained.biases[0] = np.zeros(4)


def test_layers_can_neither_be_added_nor_removed(trained):
    for change in (lambda w: w.append(w[0]), lambda w: w.insert(0, w[0]), lambda w: w.pop(), lambda w: w.clear()):
        with refused(TypeError, ["layers cannot be"]):
            change(trained.weights)


@pytest.mark.parametrize("name", ["weights", "biases"])
def test_what_is_read_is_a_copy_that_cannot_be_written(name):
    network = net()
    array = getattr(network, name)[0]
    with pytest.raises(ValueError, match="read-only"):
        array += 1
    kept = array.copy()
    getattr(network, name)[0] = array + 1
    assert np.array_equal(array, kept)
    assert np.array_equal(getattr(network, name)[0], kept + 1)


def test_what_is_assigned_is_copied():
    network, values = net(), np.ones((5, 3), np.float32)
    network.weights[0] = values
    values[:] = 7
    assert (network.weights[0] == 1).all()


def test_a_slice_of_layers_is_a_list():
    network = net()
    assert [w.shape for w in network.weights[:]] == [(5, 3), (4, 5)]
    network.weights[1:] = [np.ones((4, 5))]
    assert (network.weights[-1] == 1).all()
    assert [b.shape for b in network.biases] == [(5,), (4,)]
    assert len(network.weights) == 2


# --- functions and files ---


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu", "identity", "softmax"])
def test_functions_take_numbers_only(name):
    function = getattr(fastnn.functions, name)
    with refused(TypeError, ["z must hold real numbers, got dtype <U1"]):
        function(["a"])
    with refused(ValueError, ["z must be a rectangular array"]):
        function([[1.0], [1.0, 2.0]])


@pytest.mark.parametrize("name", ["quadratic", "sum_squares", "cross_entropy", "log_likelihood"])
def test_costs_need_one_target_per_output(name):
    with refused(ValueError, ["y must have the shape of z, (2,), got (3,)"]):
        getattr(fastnn.functions, name)([0.0, 1.0], [0.0, 1.0, 0.0])


def test_data_sets_are_suggested_by_name():
    with refused(ValueError, ["unknown data set 'mnits'", "did you mean 'mnist'?"]):
        fastnn.datasets.load("mnits")


def test_what_numpy_is_told_to_raise_does_not_matter():
    """Tiny numbers underflow where float64 becomes float32, which is as it should be."""
    net = Network([3, 2])
    tiny = np.full((N, 3), 1e-300)
    with np.errstate(all="raise"):
        assert net.fit(tiny, [0, 1] * (N // 2), epochs=1).epochs == [1]
        assert np.isfinite(net.forward(tiny)).all()
