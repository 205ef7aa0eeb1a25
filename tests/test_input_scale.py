"""A learned scale of the inputs: against plain NumPy, at every way in, and kept like all that is learned."""

import copy
import pickle
from typing import Any

import naive
import numpy as np
import pytest
import scipy.sparse
from children import run_python
from numpy.typing import NDArray
from states import same, state

import fastnn

Array = NDArray[Any]
SIZES = [33, 17, 3]
TOLERANCE = {"float64": 1e-11, "float32": 5e-5}  # of numbers of order one after some dozens of steps


def network(dtype: str, sizes: list[int] = SIZES, **options: Any) -> fastnn.Network:
    """With a scale that is not all ones, and holds a zero."""
    net = fastnn.Network(sizes, "tanh", "identity", "quadratic", dtype=dtype, input_scale=True, **options)
    scale = np.random.default_rng(5).normal(1, 0.5, sizes[0])
    scale[sizes[0] // 2] = 0
    net.input_scale = scale
    return net


def data(n: int, dtype: str, share: float = 1.0, sizes: list[int] = SIZES) -> tuple[Array, Array]:
    rng = np.random.default_rng(n)
    X = rng.integers(0, 256, (n, sizes[0])) * (rng.random((n, sizes[0])) < share) / 255
    return X.astype(dtype), rng.normal(size=(n, sizes[-1])).astype(dtype)


Parts = tuple[list[Array], list[Array], Array]


def parts(net: fastnn.Network) -> Parts:
    return [naive.float64(W) for W in net.weights], [naive.float64(b) for b in net.biases], naive.float64(scale_of(net))


def scale_of(net: fastnn.Network) -> Array:
    scale = net.input_scale
    assert scale is not None
    return scale


def reference_gradients(
    net: fastnn.Network, found: Parts, X: Array, T: Array
) -> tuple[list[Array], list[Array], Array]:
    """By the chain rule: z = W (s x), so that dC/ds sums over units and samples."""
    weights, biases, s = found
    Zs, As = naive.forward(weights, biases, net.activations, X * s)
    dW, db = naive.gradients(weights, biases, net.activations, net.cost, X * s, T)
    # The delta of the first layer's units, from its gradient by a constant input of each sample: dC/d(s x).
    delta = As[-1] - T
    for layer in range(len(weights) - 1, 0, -1):
        delta = delta @ weights[layer] * naive.slope(net.activations[layer - 1], Zs[layer - 1], As[layer])
    return dW, db, (X * (delta @ weights[0])).mean(axis=0)


def reference_train(
    net: fastnn.Network, optimizer: Any, X: Array, T: Array, batch: int, epochs: int, l2: float, rate: float = 1.0
) -> Parts:
    weights, biases, s = parts(net)
    count = len(weights)
    optimizer.init([*weights, *biases, s])
    for _ in range(epochs):
        for first in range(0, len(X), batch):
            rows = slice(first, first + batch)
            dW, db, ds = reference_gradients(net, (weights, biases, s), X[rows], T[rows])
            dW = [g + l2 * W for g, W in zip(dW, weights, strict=True)]
            before = s
            *rest, s = optimizer.step([*weights, *biases, s], [*dW, *db, ds])
            s = before + rate * (s - before)
            weights, biases = rest[:count], rest[count:]
    return weights, biases, s


def assert_parts(net: fastnn.Network, wanted: Parts) -> None:
    got = [*net.weights, *net.biases, scale_of(net)]
    for one, other in zip(got, [*wanted[0], *wanted[1], wanted[2]], strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE[net.dtype.name])


def as_given(X: Array, kind: str) -> Any:
    if kind == "bytes":
        return np.rint(255 * X).astype(np.uint8)
    return scipy.sparse.csr_matrix(X) if kind == "csr" else X


OPTIMIZERS: dict[str, tuple[Any, Any]] = {
    "sgd": (fastnn.SGD(0.2), naive.SGD(0.2)),
    "nesterov": (fastnn.SGD(0.1, 0.9, True), naive.SGD(0.1, 0.9, True)),
    "adam": (fastnn.Adam(0.01), naive.Adam(0.01)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["dense", "bytes", "lists", "csr"])
@pytest.mark.parametrize("sizes", [[1, 1], [3, 17, 1], [31, 33, 5], [100, 33, 3]])
def test_outputs_and_gradients_are_those_of_scaled_inputs(sizes: list[int], kind: str, dtype: str) -> None:
    net = network(dtype, sizes, scale=255 if kind == "bytes" else None)
    X, T = data(19, dtype, 1.0 if kind in ("dense", "bytes") else 0.2, sizes)
    given, found = as_given(X, kind), parts(net)
    outputs = naive.forward(found[0], found[1], net.activations, X * found[2])[1][-1]
    np.testing.assert_allclose(net.forward(given), outputs, atol=TOLERANCE[dtype])
    dW, db, ds = reference_gradients(net, found, X, T)
    got = net.gradients(given, T)
    assert got.input_scale is not None
    assert got.input_scale.dtype == dtype
    for one, other in zip([*got.weights, *got.biases, got.input_scale], [*dW, *db, ds], strict=True):
        np.testing.assert_allclose(one, other, atol=TOLERANCE[dtype])


def test_the_gradient_of_the_scale_is_that_of_the_cost_by_central_differences() -> None:
    net, (X, T), step = network("float64"), data(300, "float64"), 1e-5  # more samples than one chunk has
    weight = np.random.default_rng(1).random(300)
    got, scale = net.gradients(X, T, weight).input_scale, scale_of(net)
    assert got is not None
    for i in range(len(scale)):
        costs = []
        for side in (step, -step):
            moved = scale.copy()
            moved[i] += side
            net.input_scale = moved
            costs.append(net.evaluate(X, T, weight)["cost"])
        assert (costs[0] - costs[1]) / (2 * step) == pytest.approx(got[i], abs=1e-8)


def test_gradients_are_a_pair_that_can_be_copied_and_knows_of_a_scale_where_there_is_one() -> None:
    X, T = data(19, "float32")
    found = network("float32").gradients(X, T)
    dW, db = found
    assert found == (dW, db)
    for again in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        np.testing.assert_array_equal(again.input_scale, found.input_scale)
        np.testing.assert_array_equal(again.weights[0], dW[0])
    assert fastnn.Network(SIZES, "tanh", "identity", "quadratic").gradients(X, T).input_scale is None


def test_the_reference_is_right_by_central_differences() -> None:
    net, (X, T) = network("float64"), data(7, "float64")
    weights, biases, s = parts(net)
    wanted, step = reference_gradients(net, (weights, biases, s), X, T)[2], 1e-6
    for i in range(len(s)):
        costs = []
        for side in (step, -step):
            moved = s.copy()
            moved[i] += side
            costs.append(naive.sample_costs(weights, biases, net.activations, net.cost, X * moved, T).mean())
        assert (costs[0] - costs[1]) / (2 * step) == pytest.approx(wanted[i], abs=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["dense", "bytes", "lists", "csr"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("n", "batch"), [(31, 10), (3, 1), (300, 300)])
def test_training_is_that_of_plain_numpy(n: int, batch: int, optimizer: str, kind: str, dtype: str) -> None:
    sizes = [100, 33, 3] if kind in ("lists", "bytes") else SIZES
    net = network(dtype, sizes, scale=255 if kind == "bytes" else None)
    X, T = data(n, dtype, 0.2, sizes)
    ours, theirs = OPTIMIZERS[optimizer]
    wanted = reference_train(net, theirs, X, T, batch, 3, 1e-2)
    net.fit(as_given(X, kind), T, epochs=3, batch_size=batch, optimizer=ours, l2=1e-2, shuffle=False)
    assert_parts(net, wanted)


def test_the_scale_has_a_rate_of_its_own_and_no_decay() -> None:
    X, T = data(40, "float64")
    net = network("float64")
    wanted = reference_train(net, naive.SGD(0.1), X, T, 10, 2, 0.0, rate=6.0)
    net.fit(X, T, epochs=2, batch_size=10, optimizer=fastnn.SGD(0.1), shuffle=False, input_scale_rate=6.0)
    assert_parts(net, wanted)
    still = network("float64")
    before = scale_of(still)
    still.fit(X, T, epochs=1, optimizer=fastnn.AdamW(0.01, weight_decay=0.5), input_scale_rate=0.0)
    np.testing.assert_array_equal(scale_of(still), before)


@pytest.mark.parametrize("options", [{}, {"dropout": 0.3}, {"clip_norm": 0.1}, {"max_norm": 0.5}, {"batch_size": 700}])
def test_the_same_bits_for_any_number_of_threads(options: dict[str, Any]) -> None:
    X, T = data(700, "float32")
    nets = []
    for threads in (1, 2, 3):
        net = network("float32")
        net.fit(X, T, **{"epochs": 2, "batch_size": 50, "optimizer": "adam", "threads": threads, "l2": 1e-4, **options})
        nets.append(net)
    assert state(nets[0]) == state(nets[1]) == state(nets[2])


def test_max_norm_holds_the_weights_that_are_trained() -> None:
    net, (X, T) = network("float32"), data(200, "float32")
    net.fit(X, T, epochs=3, optimizer=fastnn.SGD(0.05), max_norm=0.4)
    norms = np.linalg.norm(net.weights[0], axis=1)
    assert 0.3 < norms.min() <= norms.max() <= 0.4 * (1 + 1e-6)  # of about 1 at the start
    np.testing.assert_allclose(net.forward(X[:1]), plain_twin(net).forward(X[:1] * scale_of(net)), atol=1e-5)


def plain_twin(net: fastnn.Network) -> fastnn.Network:
    start = list(net.weights), list(net.biases)
    return fastnn.Network(list(net.sizes), "tanh", "identity", "quadratic", start, dtype=net.dtype)


def test_saved_copied_and_pickled_networks_go_on_bit_for_bit(tmp_path: Any) -> None:
    X, T = data(60, "float32")
    net = network("float32")
    settings = {"epochs": 2, "optimizer": "adam", "weight_average": 0.9}
    net.fit(X, T, **settings)
    path = tmp_path / "net.npz"
    net.save(path)
    others = [fastnn.load(path), net.copy(), copy.copy(net), pickle.loads(pickle.dumps(net))]
    net.fit(X, T, **settings)
    for other in others:
        other.fit(X, T, **settings)
        assert same(other, net)
        np.testing.assert_array_equal(other.input_scale, scale_of(net))
        np.testing.assert_array_equal(other.forward(X), net.forward(X))


def test_the_average_has_a_scale_too() -> None:
    X, T = data(60, "float64")
    net, seen = network("float64"), []
    net.fit(X, T, epochs=1, batch_size=20, weight_average=0.5, callbacks=[lambda n, h: seen.append(scale_of(n))])
    average = net.averaged()
    assert not np.array_equal(scale_of(average), scale_of(net))
    twin = plain_twin(average)
    np.testing.assert_allclose(average.forward(X), twin.forward(X * scale_of(average)), atol=1e-12)


def test_a_column_that_says_nothing_is_turned_down() -> None:
    """What the scale is for: of ten columns two matter."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 10)).astype(np.float32)
    net = fastnn.Network([10, 32, 1], "relu", "identity", "quadratic", "he", input_scale=True)
    net.fit(X, X[:, 0] * X[:, 1], epochs=30, batch_size=50, optimizer=fastnn.Adam(0.003), input_scale_rate=6.0)
    size = abs(scale_of(net))
    assert size[:2].min() > 2 * np.median(size[2:])


def test_lbfgs_finds_a_scale() -> None:
    X, T = data(50, "float64")
    net = network("float64")
    before, start = net.evaluate(X, T)["cost"], scale_of(net)
    net.fit(X, T, epochs=20, batch_size=50, optimizer="lbfgs")
    assert net.evaluate(X, T)["cost"] < before / 2
    assert not np.array_equal(scale_of(net), start)


def test_data_dependent_start_and_looks_see_scaled_inputs() -> None:
    X, T = data(400, "float64")
    net = network("float64", initializer="lsuv")
    net.fit(X, T, epochs=1, optimizer=fastnn.SGD(1e-12))
    Z = X * scale_of(net) @ net.weights[0].T + net.biases[0]
    assert Z.std() == pytest.approx(1, abs=1e-6)
    net.input_scale = np.full(SIZES[0], 1e4)
    assert "saturated units" in {finding.name for finding in net.diagnose(X, T)}


def test_what_is_refused() -> None:
    net = fastnn.Network([3, 2])
    assert net.input_scale is None
    with pytest.raises(ValueError, match="input_scale=True"):
        net.input_scale = [1, 1, 1]
    with pytest.raises(ValueError, match="input_scale_rate"):
        net.fit(np.zeros((2, 3)), [0, 1], input_scale_rate=2.0)
    with pytest.raises(TypeError, match="input_scale"):
        fastnn.Network([3, 2], input_scale=2)  # type: ignore[arg-type]
    scaled = fastnn.Network([3, 2], input_scale=True)
    with pytest.raises(ValueError, match=r"input_scale.*\(3,\)"):
        scaled.input_scale = [1, 1]
    with pytest.raises(ValueError, match="read-only"):
        scale_of(scaled)[0] = 2
    with pytest.raises(ValueError, match="input_scale_rate"):
        scaled.fit(np.zeros((2, 3)), [0, 1], input_scale_rate=-1.0)
    assert scaled.n_parameters == net.n_parameters + 3


def test_first_uses_in_an_empty_cache(tmp_path: Any) -> None:
    code = (
        "import numpy as np, fastnn; X = np.ones((40, 5), np.float32);"
        "net = fastnn.Network([5, 4, 2], input_scale=True); net.gradients(X, np.arange(40) % 2);"
        "net.fit(X, np.arange(40) % 2, epochs=1, progress=False); print(net.input_scale.shape)"
    )
    found = run_python("-W", "ignore", "-c", code, FASTNN_CACHE_DIR=str(tmp_path))
    assert found.stdout.strip() == "(5,)", found.stderr
