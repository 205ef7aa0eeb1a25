"""The compiled engine, through the public Network, against the slow reference: shapes, dtypes, padding, compilation."""

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pytest
from numba import types
from numba.core.errors import NumbaError
from numpy.typing import NDArray
from problems import (
    assert_gradients_close,
    check_against_naive,
    labels,
    naive_network,
    random_network,
    sample_weights,
    samples,
    target_matrix,
)

import fastnn
from fastnn.kernels import epoch, outputs
from fastnn.kernels.buffers import CACHE_LINE, Data
from fastnn.kernels.compile import Piece, entry
from fastnn.kernels.host import PANEL_VECTORS, lanes_of
from fastnn.kernels.lists import Inputs
from fastnn.kernels.records import Int64s, Packed
from fastnn.kernels.rows import stretch_of

Array = NDArray[Any]

DTYPES = ["float32", "float64"]
HIDDEN = ["sigmoid", "tanh", "relu", "identity"]
PAIRS = sorted(naive.OUTPUT_DELTAS)  # every (cost, output activation) that goes together
OPTIMIZERS = {
    "sgd": fastnn.SGD(0.1),
    "momentum": fastnn.SGD(0.1, momentum=0.9),
    "nesterov": fastnn.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": fastnn.Adam(0.01),
}

# Widths around registers of 4, 8 and 16 numbers and panels of two, in networks of one to four layers.
SIZES = [
    [1, 1],
    [3, 1],
    [1, 33],
    [17, 31],
    [70, 3],
    [33, 70, 1],
    [1, 3, 17],
    [31, 1, 33],
    [3, 31, 33],
    [70, 33, 17, 3],
    [17, 70, 31, 1],
    [3, 17, 1, 70, 31],
    [31, 33, 17, 3, 33],
]
# Samples: in one tile, around whole tiles, one chunk (128) and several.
COUNTS = [1, 3, 17, 31, 33, 128, 129, 257, 300]

# --- Against the reference ---


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", COUNTS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_shapes(sizes: list[int], n: int, dtype: str) -> None:
    net = random_network(sizes, dtype)
    check_against_naive(net, samples(net, n), target_matrix(net, n))
    check_against_naive(net, samples(net, n), labels(net, n), sample_weights(net, n))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [[17, 33, 3], [33, 3, 70], [3, 17, 1]], ids=str)
@pytest.mark.parametrize(("cost", "output"), PAIRS)
@pytest.mark.parametrize("activation", HIDDEN)
def test_functions_and_targets(activation: str, cost: str, output: str, sizes: list[int], dtype: str) -> None:
    net = random_network(sizes, dtype, activation, output, cost)
    n = 33
    for y in (labels(net, n), target_matrix(net, n)):
        for weights in (None, sample_weights(net, n)):
            check_against_naive(net, samples(net, n), y, weights)


@pytest.mark.parametrize("dtype", DTYPES)
def test_each_layer_has_its_own_activation(dtype: str) -> None:
    net = random_network([17, 31, 3, 33, 3], dtype, ["relu", "identity", "tanh"])
    check_against_naive(net, samples(net, 31), labels(net, 31))


@pytest.mark.parametrize(("cost", "output"), PAIRS)
@pytest.mark.parametrize("activation", HIDDEN)
def test_gradients_by_central_differences(activation: str, cost: str, output: str) -> None:
    net = random_network([3, 17, 31, 3], "float64", activation, output, cost)
    X, Y, w = samples(net, 17), target_matrix(net, 17), sample_weights(net, 17)
    wanted = naive.numerical_gradients(*naive_network(net), cost, X, Y, w)
    # A step of 1e-6 leaves an error of 1e-12 from the third derivative and 1e-10 from the roundoff of the cost.
    assert_gradients_close(net.gradients(X, Y, w), wanted, "float64", 1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [[17, 33, 3], [70, 31]], ids=str)
def test_accuracy_of_classes(sizes: list[int], dtype: str) -> None:
    net = random_network(sizes, dtype)
    X, y = samples(net, 300), labels(net, 300)
    right = naive.forward(*naive_network(net), X)[1][-1].argmax(axis=1) == y
    assert 0 < right.sum() < 300
    assert net.evaluate(X, y)["accuracy"] == right.mean()
    assert net.evaluate(X, np.eye(sizes[-1])[y])["accuracy"] == right.mean()
    np.testing.assert_array_equal(net.predict(X) == y, right)


# --- The same numbers another way, bit for bit ---


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [[17, 33, 3], [70, 31], [1, 3, 1]], ids=str)
@pytest.mark.parametrize("output", ["sigmoid", "softmax"])
def test_a_sample_does_not_depend_on_its_neighbours(output: str, sizes: list[int], dtype: str) -> None:
    net = random_network(sizes, dtype, output=output, cost="quadratic" if output != "softmax" else "log_likelihood")
    X = samples(net, 300)
    together = net.forward(X)
    for n in (1, 7, 129):
        apart = [net.forward(X[start : start + n]) for start in range(0, 300, n)]
        np.testing.assert_array_equal(np.concatenate(apart), together)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_in", [1, 3, 17, 31, 33, 70])
def test_bytes_are_fractions_of_255(n_in: int, dtype: str) -> None:
    """All 256 bytes in every column, seen through an identity layer."""
    start = [np.eye(n_in)], [np.zeros(n_in)]
    net = fastnn.Network([n_in, n_in], (), "identity", "quadratic", initializer=start, dtype=dtype, scale=255)
    pixels = np.add.outer(np.arange(256), np.arange(n_in)).astype(np.uint8)
    fractions = pixels.astype(dtype) / np.dtype(dtype).type(255)
    np.testing.assert_array_equal(net.forward(pixels), fractions)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [[17, 33, 3], [70, 31], [33, 1]], ids=str)
@pytest.mark.parametrize("n", [31, 300])
def test_bytes_and_their_fractions_give_the_same_bits(n: int, sizes: list[int], dtype: str) -> None:
    net, twin = random_network(sizes, dtype, scale=255), random_network(sizes, dtype)
    pixels = np.random.default_rng(0).integers(0, 256, (n, sizes[0]), dtype=np.uint8)
    X, y = pixels.astype(dtype) / np.dtype(dtype).type(255), labels(net, n)
    np.testing.assert_array_equal(net.forward(pixels), twin.forward(X))
    assert net.evaluate(pixels, y) == twin.evaluate(X, y)
    assert_same_layers(net.gradients(pixels, y), twin.gradients(X, y))
    for batch_size in (10, 280):
        assert net.fit(pixels, y, 2, batch_size).train_cost == twin.fit(X, y, 2, batch_size).train_cost
    assert_same_layers((net.weights, net.biases), (twin.weights, twin.biases))


def assert_same_layers(got: Any, wanted: Any) -> None:
    for kind in (0, 1):
        for g, w in zip(got[kind], wanted[kind], strict=True):
            np.testing.assert_array_equal(g, w)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch_size", [10, 300])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_dtype_stays(name: str, batch_size: int, dtype: str) -> None:
    net = random_network([17, 33, 3], dtype)
    net.fit(samples(net, 300), labels(net, 300), 1, batch_size, OPTIMIZERS[name], l1=0.01, l2=0.01)
    arrays = [*net.weights, *net.biases, net.forward(samples(net, 3)), *net._engine.state_buffers()]
    assert {array.dtype.name for array in arrays} == {dtype}


# --- Padding ---


def real_parameters(net: fastnn.Network) -> Array:
    """Which places of a buffer shaped like the parameters hold a weight or a bias."""
    engine = net._engine
    marks = np.zeros_like(engine.params)
    for i, (n_in, n_out) in enumerate(pairwise(net.sizes)):
        engine.write(i, np.ones((n_out, n_in)), np.ones(n_out), marks)
    assert marks.sum() == net.n_parameters
    return marks == 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch_size", [10, 280])
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("sizes", [[3, 17, 1], [33, 70, 31], [1, 1], [17, 3, 33, 3]], ids=str)
def test_padding_of_parameters_stays_zero(sizes: list[int], name: str, batch_size: int, dtype: str) -> None:
    net = random_network(sizes, dtype)
    net.fit(samples(net, 300), labels(net, 300), 2, batch_size, OPTIMIZERS[name], l1=0.01, l2=0.01)
    padding = ~real_parameters(net)
    for buffer in (net._engine.params, *net._engine.state_buffers()):
        assert (buffer[padding] == 0).all()
        assert (buffer[~padding] != 0).any()


def poison(net: fastnn.Network, value: float) -> None:
    """Fill the scratch buffer, but for its constant: a run of zeros."""
    place = net._engine.latest[0]
    place.work[:] = value
    place.work[place.scratch.zeros : place.scratch.zeros + PANEL_VECTORS * net._engine.lanes] = 0
    place.lists.indices[:] = net.sizes[0] - 1  # lists of inputs that are not zero
    place.lists.counts[:] = 1


def fit(batch_size: int, name: str, **options: Any) -> Callable[[fastnn.Network], Any]:
    def run(net: fastnn.Network) -> Any:
        history = net.fit(samples(net, 300), labels(net, 300), 2, batch_size, OPTIMIZERS[name], l2=0.01, **options)
        return history.train_accuracy

    return run


def fit_mostly_zeros(net: fastnn.Network) -> Any:
    """From 64 inputs on the first layer skips zeros."""
    X = samples(net, 300)
    X[:, 1:] *= X[:, 1:] > 1
    history = net.fit(X, labels(net, 300), 2, 7, OPTIMIZERS["sgd"])
    assert history.first_layer.startswith("sparse" if net.sizes[0] >= 64 else "dense")
    return history.train_accuracy


USES: dict[str, Callable[[fastnn.Network], Any]] = {
    "forward 1": lambda net: net.forward(samples(net, 1)),
    "forward 33": lambda net: net.forward(samples(net, 33)),
    "forward 300": lambda net: net.forward(samples(net, 300)),
    "evaluate labels": lambda net: net.evaluate(samples(net, 33), labels(net, 33)),
    "evaluate targets": lambda net: net.evaluate(samples(net, 300), target_matrix(net, 300)),
    "gradients labels": lambda net: net.gradients(samples(net, 300), labels(net, 300)),
    "gradients targets": lambda net: net.gradients(samples(net, 33), target_matrix(net, 33)),
    "fit": fit(7, "sgd"),
    "fit weighted": lambda net: fit(31, "momentum", sample_weight=sample_weights(net, 300))(net),
    "fit chunks": fit(280, "adam", l1=0.01),
    "fit mostly zeros": fit_mostly_zeros,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.nan, 1e30])
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("cost", ["cross_entropy", "log_likelihood", "quadratic"])
@pytest.mark.parametrize("sizes", [[3, 17, 3], [70, 33, 31, 1], [64, 33]], ids=str)
def test_nothing_left_in_scratch_matters(sizes: list[int], cost: str, use: str, value: float, dtype: str) -> None:
    """NaN would show up wherever it is added, a large number wherever it is compared."""
    output = {"cross_entropy": "sigmoid", "log_likelihood": "softmax", "quadratic": "identity"}[cost]
    net = random_network(sizes, dtype, "relu", output, cost)
    twin = net.copy()
    USES[use](net), USES[use](twin)  # scratch is made for the number of rows that a use needs
    poison(twin, value)
    np.testing.assert_equal(USES[use](twin), USES[use](net))
    np.testing.assert_array_equal(twin._engine.params, net._engine.params)
    np.testing.assert_array_equal(twin._engine.memory.state, net._engine.memory.state)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_list_of_inputs_stays_within_its_row(dtype: str) -> None:
    """Threads fill the rows of scratch at the same time: one without zeros must not spill into the next one."""
    lanes = fastnn.Network([1, 1], dtype=dtype)._engine.lanes
    net = random_network([64 + lanes, 3], dtype)  # an odd number of registers, so that no row needs padding
    X = np.zeros((21, net.sizes[0]))
    X[:20, :lanes] = 5
    X[20] = 7  # alone in the last batch: the second row still holds the list of the batch before
    assert net.fit(X, labels(net, 21), 1, 20, shuffle=False).first_layer.startswith("sparse")
    layer, work = net._engine.latest[0].layers[0], net._engine.latest[0].work
    second = layer.input + layer.input_stride
    np.testing.assert_array_equal(work[layer.input : layer.input + net.sizes[0]], 7)
    np.testing.assert_array_equal(work[second : second + lanes], 5)


# --- Compilation ---


def all_uses(net: fastnn.Network, X: Any, y: Any, **options: Any) -> None:
    net.forward(X)
    net.evaluate(X, y)
    net.gradients(X, y)
    for batch_size in (3, 280):
        net.fit(X, y, 1, batch_size, **options)


PIECES = [piece for room in (epoch, outputs) for piece in vars(room).values() if isinstance(piece, Piece)]


def signatures() -> dict[str, int]:
    """For how many kinds of arguments each piece has been compiled, in either dtype."""
    return {piece.name: len(piece.dispatcher.signatures) for piece in PIECES}


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")  # data are random
def test_one_signature_for_all_shapes_and_options() -> None:
    n = 300
    for dtype in DTYPES:
        for sizes in ([3, 17, 3], [33, 3], [17, 3, 31, 1]):
            for cost, output in PAIRS:
                net, other = (random_network(sizes, dtype, "relu", output, cost, scale) for scale in (None, 255))
                w = sample_weights(net, n)
                pixels = np.random.default_rng(0).integers(0, 256, (n, sizes[0]), dtype=np.uint8)
                all_uses(net, samples(net, n), labels(net, n), optimizer=OPTIMIZERS["adam"], sample_weight=w)
                all_uses(other, pixels, target_matrix(net, n), optimizer=OPTIMIZERS["adam"], l2=1e-4)
        for optimizer in OPTIMIZERS.values():
            net.fit(samples(net, n), labels(net, n), 1, optimizer=optimizer)
            other.fit(pixels, target_matrix(net, n), 1, 280, optimizer, l1=1e-4)
    assert max(signatures().values()) == len(DTYPES)


def unaligned(array: Array) -> Array:
    raw = np.zeros(array.nbytes + 1, np.uint8)
    result = raw[1:].view(array.dtype).reshape(array.shape)
    result[:] = array
    return result


def read_only(array: Array) -> Array:
    result = array.copy()
    result.flags.writeable = False
    return result


def use_plain(net: fastnn.Network) -> dict[str, int]:
    """Compile what contiguous arrays and floats need; returns how many signatures every piece has then."""
    all_uses(net, samples(net, 33), labels(net, 33), sample_weight=sample_weights(net, 33))
    return signatures()


ARRAYS: dict[str, Callable[[Array], Any]] = {
    "list": lambda array: array.tolist(),
    "Fortran order": np.asfortranarray,
    "reversed": lambda array: array[::-1],
    "every other": lambda array: np.repeat(array, 2, axis=0)[::2],
    "other byte order": lambda array: array.astype(array.dtype.newbyteorder()),
    "float64": lambda array: array.astype(np.float64),
    "read-only": read_only,
    "unaligned": unaligned,
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_no_kind_of_array_compiles_again(kind: str) -> None:
    """Another memory order, or a flag, of the user's array must not cost seconds of compiling."""
    net = random_network([3, 17, 3], "float32")
    before = use_plain(net)
    make = ARRAYS[kind]
    X, w = make(samples(net, 33)), make(sample_weights(net, 33))
    all_uses(net, X, make(labels(net, 33)), sample_weight=w)
    all_uses(random_network([3, 17, 3], "float32"), X, make(target_matrix(net, 33)), sample_weight=w)
    assert signatures() == before


@pytest.mark.parametrize("number", [int, np.float32, np.float64, np.int64])
def test_no_kind_of_number_compiles_again(number: Callable[[float], Any]) -> None:
    """A learning rate of 1 is as good as one of 1.0."""
    net = random_network([3, 17, 3], "float32")
    before = use_plain(net)
    optimizer = fastnn.SGD(number(1), number(0))
    all_uses(net, samples(net, 33), labels(net, 33), optimizer=optimizer, l1=number(0), l2=number(1))
    assert signatures() == before


def allocate_array(n: int) -> int:
    return np.zeros(n).size


def allocate_by_arithmetic(n: int) -> float:
    return (np.arange(n) + np.arange(n)).sum()


def allocate_list(n: int) -> int:
    return len([n])


@pytest.mark.parametrize("function", [allocate_array, allocate_by_arithmetic, allocate_list])
def test_an_entry_that_allocates_does_not_compile(function: Callable[..., Any]) -> None:
    with pytest.raises(NumbaError):
        entry(function).code(None)


@pytest.mark.parametrize("n_in", [1, 7, 16, 100, 784])
@pytest.mark.parametrize(
    ("dtype", "kind"), [("u1", "bytes"), ("f4", "numbers"), ("f8", "numbers"), ("f4", "CSR"), ("f4", "packed")]
)
def test_a_stretch_is_every_line_that_inputs_lie_on(n_in: int, dtype: str, kind: str) -> None:
    """A line left out shows in nothing but the time: it is a miss for every sample."""

    def stretch(data: Data, sample: int, n_in: int, first: int, end: int, out: Int64s) -> None:
        out[0], out[1] = stretch_of(data, sample, n_in, Inputs(first, end))

    find = entry(stretch)
    find.dispatcher._cache.disable()  # not the user's folder
    n, itemsize = 20, np.dtype(dtype).itemsize
    values, start, end = np.zeros(n * n_in, dtype), n_in // 3, n_in - n_in // 4
    bytes_, floats, integers, offsets = (np.empty(0, kind) for kind in ("u1", "f4", "i4", "i8"))
    labels = np.zeros(n, np.int64)
    packed = bytes_, 0, offsets, 1
    data = Data(
        bytes_, 255.0, floats, floats, floats, integers, offsets, labels, floats, floats, True, 1, 0, 0, *packed
    )
    data = data._replace(pixels=values) if kind == "bytes" else data._replace(features=values)
    if kind == "CSR":  # all of a sample's entries, whichever inputs are asked for
        data = data._replace(columns=np.zeros(n * n_in, "i4"), starts=n_in * np.arange(n + 1))
        start, end = 0, n_in
    if kind == "packed":  # likewise
        data = data._replace(bits=values.view("u1"), firsts=n_in * np.arange(n + 1))
        start, end = 0, n_in
    record, code = Packed(data), find.code(types.float64 if dtype == "f8" else types.float32)
    for sample in range(n):
        out = np.empty(2, np.int64)
        code(record.address, sample, n_in, n_in // 3, n_in - n_in // 4, out.ctypes.data)
        first, past = (values.ctypes.data + (sample * n_in + i) * itemsize for i in (start, end))
        assert out[0] == first // CACHE_LINE * CACHE_LINE
        assert out[1] == -(-past // CACHE_LINE) - first // CACHE_LINE


PRINT_IR = """
import numpy as np, fastnn
from fastnn import program
from fastnn.kernels import epoch, outputs, parts
from fastnn.kernels.compile import Piece
program.usable_cores = lambda: 1  # all in this process: of what another one leaves on disk nothing is shown
made = []
optimise = parts.optimise
parts.optimise = lambda code: made.append(optimise(code)) or made[-1]
net = fastnn.Network([17, 5, 3])
net.fit(np.zeros((5, 17)), np.zeros(5, int), 1, progress=False)
print("lanes", net._engine.lanes)
for room in (epoch, outputs):
    for piece in vars(room).values():
        if isinstance(piece, Piece):
            for signature in piece.dispatcher.signatures:
                print(piece.dispatcher.inspect_llvm(signature))
for module in made:
    print(module)
"""


@pytest.fixture(scope="module")
def epoch_ir(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The optimised LLVM code of a freshly compiled float32 epoch: what is read from disk shows none."""
    empty: Path = tmp_path_factory.mktemp("cache")
    environment = {**os.environ, "FASTNN_CACHE_DIR": str(empty)}
    done = subprocess.run([sys.executable, "-c", PRINT_IR], env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def test_an_epoch_never_allocates(epoch_ir: str) -> None:
    for piece in ("run", "first_dense", "by_rows", "update_dense"):
        body = re.search(rf"define [^\n]*{piece}[^\n]*{{\n(.*?)^}}", epoch_ir, re.DOTALL | re.MULTILINE)
        assert body is not None
        assert len(body[1].splitlines()) > 50  # the code, and not the name alone
    assert "NRT_" not in epoch_ir


def test_an_epoch_of_float32_stays_in_float32_vectors(epoch_ir: str) -> None:
    lanes = epoch_ir.split()[1]
    assert f"call <{lanes} x float> @llvm.fma" in epoch_ir.replace("tail ", "")
    assert "fpext <" not in epoch_ir
    assert f"<{lanes} x double>" not in epoch_ir


def test_address_of_is_what_numpy_says(tmp_path):
    from fastnn.kernels.records import address_of

    whole = np.arange(60.0).reshape(6, 10)
    frozen = whole.copy()
    frozen.flags.writeable = False
    mapped = np.memmap(tmp_path / "m", np.int32, "w+", shape=(5,))
    for array in (whole, whole[2:, 3:], whole[::-1], frozen, mapped, mapped[1:], np.array(3.0), whole.astype(">f4")):
        assert address_of(array) == array.__array_interface__["data"][0]
    assert address_of(np.empty(0)) == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_divisions_and_roots_of_steps_are_right_to_two_units_in_the_last_place(dtype):
    from fastnn.formulas import ops
    from fastnn.formulas.expressions import variable
    from fastnn.kernels import parts, steps

    g, p = variable("g"), variable("p")
    part = steps.step_part(steps.Rule((g / p, ops.sqrt(p)), ("root",), ()), clears=False)
    i64, pointer = ctypes.c_int64, ctypes.c_void_p
    kind = ctypes.CFUNCTYPE(None, i64, pointer, pointer, i64, i64, pointer, i64, pointer)
    step = kind(parts.address(part, getattr(types, dtype)))
    rng, n, lanes = np.random.default_rng(0), 1 << 16, lanes_of(np.dtype(dtype).itemsize)
    top = np.float64(2.0) ** (62 if dtype == "float32" else 500)  # quotients must be normal numbers, too
    below = np.exp(rng.uniform(-np.log(top), np.log(top), n)).astype(dtype)
    above = (np.exp(rng.uniform(-np.log(top), np.log(top), n)) * rng.choice([-1, 1], n)).astype(dtype)
    below[:3], above[:3] = [1, 2, 0.25], [0, -0.0, 3]
    params, states, hyper = below.copy(), np.zeros(n, dtype), np.zeros(1, dtype)
    addresses = (array.ctypes.data for array in (params, above, states, hyper))
    p_at, g_at, s_at, h_at = addresses
    step(n // lanes, p_at, g_at, 1, 0, s_at, 0, h_at)
    for found, wanted in (
        (params, above.astype(np.longdouble) / below),
        (states, np.sqrt(below.astype(np.longdouble))),
    ):
        assert (abs(found - wanted) <= 2 * np.spacing(abs(wanted).astype(dtype))).all()
    params[:], states[:] = 0, 1
    step(n // lanes, p_at, g_at, 1, 0, s_at, 0, h_at)
    assert not states.any()  # the root of 0 is 0
    assert not np.isfinite(params).any()
