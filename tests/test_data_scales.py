"""Scales that kernels apply as they read the data: the numbers that ``Scaling.apply`` gives, up to rounding.

A network's numbers are float32 or float64; with eps the distance from 1 to the next of them, ``(x - shift) * factor``
is within ``eps * (|shift| + 3 |x - shift|) / unit`` of ``(x - shift) / unit``: shift and factor are rounded, and so are
the difference and the product; half an eps each, which leaves as much for what is compared with.
"""

from typing import Any

import numpy as np
import pytest
import scipy.sparse
from numpy.typing import NDArray

import fastnn
from fastnn import layout
from fastnn.inputs import scaling

Array = NDArray[Any]
DTYPES = ["float32", "float64"]
SHIFTING = ["minmax", "standard", "robust"]


def pixels(n_in: int, share: float = 1.0, n: int = 70, dtype: Any = np.uint8) -> Array:
    """Bytes of all sizes, two columns that are constant, and one that is 0 but once."""
    rng = np.random.default_rng(n_in)
    X = rng.integers(0, 256, (n, n_in)) * (rng.random((n, n_in)) < share)
    X[2], X[-1] = 0, 255
    X[:, 0], X[:, 1], X[:, -1] = 77 if share == 1 else 0, 0, 0
    X[5, -1] = 3
    return X.astype(dtype)


def fitted(X: Any, dtype: str, scale: Any, sizes: tuple[int, ...] = (), **settings: Any) -> fastnn.Network:
    """A network that has learned its scale, and nothing else."""
    net = fastnn.Network([X.shape[1], *(sizes or (5, 3))], dtype=dtype, scale=scale, **settings)
    net.fit(X, np.arange(X.shape[0]) % net.sizes[-1], epochs=0)
    return net


def seen(net: fastnn.Network, X: Any) -> Array:
    """What reaches the first layer, by a network whose output it is."""
    n_in = net.sizes[0]
    mirror = fastnn.Network([n_in, n_in], (), "identity", "quadratic", ([np.eye(n_in)], [np.zeros(n_in)]), net.dtype)
    mirror._reader = net._reader
    features = net._reader.features("X", X)
    assert features.values.dtype == (np.uint8 if isinstance(X, np.ndarray) else net.dtype)  # nothing was converted
    return mirror.forward(X)


def wanted(net: fastnn.Network, X: Array) -> tuple[Array, Array]:
    """What ``Scaling.apply`` makes of it, and how far rounding may lead from there."""
    known = net._reader.scaling
    assert known is not None
    far = abs(known.shift) + 3 * abs(X.astype(float) - known.shift)
    return known.apply(X, np.dtype(float)), np.finfo(net.dtype).eps * far / known.unit


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [*SHIFTING, 7.3, 16, 255])
@pytest.mark.parametrize("n_in", [3, 16, 17, 100])
def test_bytes_are_scaled_column_by_column(n_in: int, scale: Any, dtype: str) -> None:
    X = pixels(n_in)
    net = fitted(X, dtype, scale)
    for rows in (slice(None), slice(7, 8)):
        (expected, tolerance), got = wanted(net, X[rows]), seen(net, X[rows])
        assert (abs(got - expected) <= tolerance).all()
        if isinstance(scale, str):
            assert not got[:, :2].any()  # constant columns
    kept = net._reader.features("X", X).values
    assert np.shares_memory(kept, X)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_divisor_is_rounded_once(dtype: str) -> None:
    X = np.arange(256, dtype=np.uint8).reshape(-1, 1)
    for divisor in (1, 3, 16, 100, 255, 1000):
        net = fitted(X, dtype, divisor)
        assert (seen(net, X) == X.astype(dtype) / np.dtype(dtype).type(divisor)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", ["minmax", "standard", 3.0, 255])
@pytest.mark.parametrize("n_in", [3, 65, 130])
def test_sparse_values_are_scaled_column_by_column(n_in: int, scale: Any, dtype: str) -> None:
    X = pixels(n_in, 0.3, dtype=dtype) / 7
    net = fitted(scipy.sparse.csr_array(X), dtype, scale)
    expected, tolerance = wanted(net, X)
    assert (abs(seen(net, scipy.sparse.csr_array(X)) - expected) <= tolerance).all()


def twins(X: Array, dtype: str, scale: Any, sizes: tuple[int, ...]) -> tuple[fastnn.Network, fastnn.Network, Array]:
    """A network with a scale, the same one without, and what that needs instead of X."""
    net = fitted(X, dtype, scale, sizes)
    plain = fastnn.Network(net.sizes, dtype=dtype)
    dense = X.toarray() if scipy.sparse.issparse(X) else X
    return net, plain, net._reader.scaling.apply(dense, np.dtype(dtype))  # type: ignore[union-attr]


CASES = {
    "bytes, dense": (pixels(37), SHIFTING),
    "bytes, dense and wide": (pixels(131), SHIFTING),
    "bytes, lists": (pixels(131, 0.2), ["minmax"]),
    "bytes, lists in blocks": (pixels(1001, 0.3), ["minmax"]),
    "CSR": (scipy.sparse.csr_array(pixels(131, 0.2) / 7), ["minmax", "standard", 3.0]),
    "CSR in blocks": (scipy.sparse.csr_array(pixels(1001, 0.3) / 7), ["minmax", "standard", 3.0]),
}


def case(name: str, dtype: str) -> Any:
    """Bytes, or a sparse matrix of a dtype."""
    X = CASES[name][0]
    return X.astype(dtype) if scipy.sparse.issparse(X) else X


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "scale"), [(name, scale) for name, (_, scales) in CASES.items() for scale in scales])
def test_everything_agrees_with_data_scaled_before(name: str, scale: Any, dtype: str) -> None:
    X = case(name, dtype)
    net, plain, scaled = twins(X, dtype, scale, (33, 3))
    y = np.arange(X.shape[0]) % 3
    if scipy.sparse.issparse(X):
        scaled = scipy.sparse.csr_array(scaled)
    relative = {"float32": 2e-4, "float64": 1e-11}[dtype]  # a few roundings of inputs, and those of sums
    np.testing.assert_allclose(net.forward(X), plain.forward(scaled), rtol=relative, atol=relative)
    assert net.evaluate(X, y)["cost"] == pytest.approx(plain.evaluate(scaled, y)["cost"], rel=relative)
    for got, expected in zip(net.gradients(X, y)[0], plain.gradients(scaled, y)[0], strict=True):
        np.testing.assert_allclose(got, expected, rtol=relative, atol=relative * abs(expected).max())
    for batch_size in (1, 7, 300):
        settings = {"batch_size": batch_size, "optimizer": fastnn.SGD(0.01), "shuffle": False}
        ours, theirs = (one.fit(data, y, epochs=2, **settings) for one, data in ((net, X), (plain, scaled)))
        assert ours.first_layer.partition(":")[0] == ("dense" if "dense" in name else "sparse")
        np.testing.assert_allclose(ours.train_cost, theirs.train_cost, rtol=10 * relative)
        for got, expected in zip(net.weights, plain.weights, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1, atol=10 * relative * abs(expected).max())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "scale"), [(name, scales[len(scales) // 2]) for name, (_, scales) in CASES.items()])
def test_any_number_of_threads_gives_the_same_bits(name: str, scale: Any, dtype: str) -> None:
    X, trained = case(name, dtype), []
    for threads in (1, 2, 3):
        net = fastnn.Network([X.shape[1], 33, 3], dtype=dtype, scale=scale)
        net.fit(X, np.arange(X.shape[0]) % 3, epochs=3, batch_size=16, optimizer=fastnn.Adam(0.01), threads=threads)
        trained.append(net)
    assert all((net.weights[0] == trained[0].weights[0]).all() for net in trained)


def test_dropout_of_scaled_lists() -> None:
    X, y = pixels(131, 0.2), np.arange(70) % 3
    net, plain, scaled = twins(X, "float64", "minmax", (33, 3))
    for one, data in ((net, X), (plain, scaled)):
        history = one.fit(data, y, epochs=2, dropout=[0.3, 0.0], optimizer=fastnn.SGD(0.05))
        assert history.first_layer.startswith("sparse")
    np.testing.assert_allclose(net.weights[0], plain.weights[0], rtol=1e-9, atol=1e-12)


def test_shifted_bytes_are_dense_whatever_their_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "pays_across", lambda *_: False)
    X = pixels(131, 0.2)
    history = fastnn.Network([131, 3], scale="standard").fit(X, np.arange(70) % 3, epochs=1)
    assert history.first_layer == "dense: the scale shifts inputs, so that zero does not stay zero"


def test_a_look_sees_what_kernels_see() -> None:
    X, y = 255 - pixels(37) // 16, np.arange(70) % 3
    names = [
        {finding.name for finding in fitted(X, "float32", scale).diagnose(X, y)}
        for scale in (None, "minmax", "standard")
    ]
    assert "inputs far from unit scale" in names[0]
    assert not any("inputs far from unit scale" in found for found in names[1:])


@pytest.mark.parametrize("scale", ["minmax", "standard"])
def test_where_training_starts_by_the_data(scale: str) -> None:
    X, y = pixels(37), np.arange(70) % 3
    nets = [fastnn.Network([37, 9, 3], dtype="float64", scale=scale, initializer="lsuv") for _ in range(2)]
    for net, data in zip(nets, (X, X.astype(float)), strict=True):
        net.fit(data, y, epochs=1)
    np.testing.assert_allclose(nets[0].weights[0], nets[1].weights[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("divisor", [1e-30, 1e30])
def test_a_divisor_out_of_the_ordinary_converts(divisor: float) -> None:
    X = pixels(5)
    net = fastnn.Network([5, 3], dtype="float64", scale=divisor)
    assert net._reader.features("X", X).values.dtype == np.float64
    np.testing.assert_allclose(net._reader.features("X", X).values, X / divisor)


def test_sparse_numbers_that_scaling_takes_out_of_range_are_refused() -> None:
    X = scipy.sparse.csr_array(np.full((3, 2), 1e30, np.float32))
    with pytest.raises(ValueError, match=r"X.data must fit into float32, but holds numbers beyond its range"):
        fastnn.Network([2, 3], scale=1e-15).forward(X)
    tame = scaling.Scaling.by_number(2, 1e-15)
    assert tame.in_kernels(np.dtype("float32"), True, 1.0) is not None


@pytest.mark.parametrize("size", [1e-300, 1e-170, 1e160, 1e300])
def test_sparse_numbers_whose_squares_are_out_of_range_have_a_deviation(size: float) -> None:
    """Not an infinite one, by which the column would count for constant and become 0."""
    X = scipy.sparse.csr_array(np.arange(12.0).reshape(6, 2) * [size, 1.0])
    unit = fitted(X, "float64", "standard")._reader.scaling.unit  # type: ignore[union-attr]
    np.testing.assert_allclose(unit, np.arange(0, 12, 2.0).std() * np.array([size, 1.0]), rtol=1e-12)


def test_sparse_values_are_copied_once() -> None:
    X = scipy.sparse.csr_array(pixels(9, 0.3, dtype="float32"))
    net = fitted(X, "float32", "minmax")
    assert (net._reader.features("X", X).values == X.data).all()
    assert not np.shares_memory(net._reader.features("X", X).values, X.data)
