"""The first layer that skips zeros: same mathematics as the dense one, and sparse matrices without densifying."""

import naive
import numpy as np
import pytest
import scipy.sparse
from numpy.typing import NDArray

import fastnn

OPTIMIZERS = {
    "sgd": (fastnn.SGD(0.05), naive.SGD(0.05)),
    "momentum": (fastnn.SGD(0.02, 0.9), naive.SGD(0.02, 0.9)),
    "nesterov": (fastnn.SGD(0.02, 0.9, nesterov=True), naive.SGD(0.02, 0.9, nesterov=True)),
    "adam": (fastnn.Adam(0.003), naive.Adam(0.003)),
}
SIZES = ([64, 3], [131, 33, 3], [70, 17, 5, 3])


def sparse_data(n_in: int, n: int = 211, share: float = 0.2) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mostly zeros, one sample all zeros, one without any."""
    rng = np.random.default_rng(n_in)
    X = rng.normal(size=(n, n_in)) * (rng.random((n, n_in)) < share)
    X[0], X[1] = 0, rng.normal(size=n_in)
    return X, rng.integers(0, 3, n)


@pytest.mark.parametrize("batch_size", [1, 10, 300])
@pytest.mark.parametrize("l1", [0.0, 0.001])
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_training_agrees_with_naive(sizes: list[int], name: str, l1: float, batch_size: int) -> None:
    X, y = sparse_data(sizes[0])
    ours, reference = OPTIMIZERS[name]
    net = fastnn.Network(sizes, dtype="float64")
    start = [list(net.weights), list(net.biases)]
    history = net.fit(X, y, epochs=2, batch_size=batch_size, optimizer=ours, l1=l1, l2=0.01, shuffle=False)
    assert history.first_layer.startswith("sparse")
    orders = [np.arange(len(X))] * 2
    T = naive.one_hot(y, 3)
    weights, biases, costs = naive.train(
        *start, net.activations, "cross_entropy", reference, X, T, batch_size, orders, l1=l1, l2=0.01
    )
    # Rounding of some 400 steps; l1's sign makes no difference here because no weight comes to rest at zero.
    for got, expected in zip([*net.weights, *net.biases], [*weights, *biases], strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(history.train_cost, costs, rtol=1e-11)


def test_l2_that_shrinks_weights_out_of_range_and_back() -> None:
    """The factor that stands for pending l2 is written out before it vanishes: 0.5 ** 211 would not fit float32."""
    X, y = sparse_data(64)
    nets = [fastnn.Network([64, 3], dtype=dtype) for dtype in ("float32", "float64")]
    for net in nets:
        net.fit(X, y, epochs=1, batch_size=1, optimizer=fastnn.SGD(0.1), l2=5.0, shuffle=False)
    # float32 rounding of 211 strongly contracting steps
    np.testing.assert_allclose(nets[0].weights[0], nets[1].weights[0], rtol=1e-4, atol=1e-6)
    assert np.abs(nets[0].weights[0]).max() > 0


@pytest.mark.parametrize("n_in", [64, 70, 127, 784])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bytes_give_the_bits_of_floats(n_in: int, dtype: str) -> None:
    rng = np.random.default_rng(0)
    X = (rng.integers(0, 256, (50, n_in)) * (rng.random((50, n_in)) < 0.2)).astype(np.uint8)
    y = rng.integers(0, 5, 50)
    nets = [fastnn.Network([n_in, 33, 5], dtype=dtype, scale=scale) for scale in (255, None)]
    for net, samples in zip(nets, (X, X.astype(dtype) / np.dtype(dtype).type(255)), strict=True):
        assert net.fit(samples, y, epochs=2).first_layer.startswith("sparse")
    assert all((a == b).all() for a, b in zip(nets[0].weights, nets[1].weights, strict=True))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_sparse_matrix_of_bytes_is_scaled_like_any_other(dtype: str) -> None:
    rng = np.random.default_rng(0)
    X = (rng.integers(0, 256, (50, 100)) * (rng.random((50, 100)) < 0.2)).astype(np.uint8)
    y = rng.integers(0, 5, 50)
    nets = [fastnn.Network([100, 33, 5], dtype=dtype, scale=scale) for scale in (255, None)]
    for net, samples in zip(nets, (X, X.astype(dtype) / np.dtype(dtype).type(255)), strict=True):
        net.fit(scipy.sparse.csr_array(samples), y, epochs=2)
    assert all((a == b).all() for a, b in zip(nets[0].weights, nets[1].weights, strict=True))


@pytest.mark.parametrize("make", [scipy.sparse.csr_array, scipy.sparse.csr_matrix, scipy.sparse.coo_array])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_sparse_matrices(sizes: list[int], make: type) -> None:
    X, y = sparse_data(sizes[0])
    dense, sparse = fastnn.Network(sizes, dtype="float64"), fastnn.Network(sizes, dtype="float64")
    dense.fit(X, y, epochs=2, validation_data=(X, y))
    history = sparse.fit(make(X), y, epochs=2, validation_data=(make(X), y))
    assert history.first_layer.startswith("sparse: X is a sparse matrix")
    # Two dense samples share a list, and so sums go in another order; rounding of some 40 steps.
    for a, b in zip(dense.weights, sparse.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    # Forward passes add in another order than the dense ones.
    np.testing.assert_allclose(sparse.forward(make(X)), dense.forward(X), rtol=1e-12)
    assert sparse.evaluate(make(X), y) == pytest.approx(dense.evaluate(X, y), rel=1e-12)
    for a, b in zip(sparse.gradients(make(X), y)[0], dense.gradients(X, y)[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-14)


def test_duplicates_and_stored_zeros_of_a_sparse_matrix() -> None:
    parts = (np.ones(200), (np.zeros(200, int), np.repeat([0, 2], 100)))  # 100 entries each for two cells
    X = scipy.sparse.coo_array(parts, shape=(2, 3))
    net = fastnn.Network([3, 2], dtype="float64")
    np.testing.assert_allclose(net.forward(X), net.forward([[100, 0, 100], [0, 0, 0]]), rtol=1e-14)
    raw = scipy.sparse.csr_array((np.ones(200), np.repeat([0, 2], 100), [0, 200, 200]), shape=(2, 3))
    np.testing.assert_allclose(net.forward(raw), net.forward(X), rtol=1e-14)


def test_columns_out_of_order_behind_a_note_that_says_otherwise() -> None:
    tidy = scipy.sparse.csr_array(sparse_data(64)[0])
    assert tidy.has_canonical_format
    for row in range(tidy.shape[0]):
        here = slice(tidy.indptr[row], tidy.indptr[row + 1])
        tidy.indices[here], tidy.data[here] = tidy.indices[here][::-1].copy(), tidy.data[here][::-1].copy()
    net = fastnn.Network([64, 3], dtype="float64")
    net.fit(tidy, np.zeros(tidy.shape[0], int), epochs=1)
    twin = fastnn.Network([64, 3], dtype="float64")
    twin.fit(scipy.sparse.csr_array(tidy.toarray()), np.zeros(tidy.shape[0], int), epochs=1)
    assert (net.weights[0] == twin.weights[0]).all()


@pytest.mark.parametrize("kind", ["bytes", "numbers", "csr"])
@pytest.mark.parametrize("batch_size", [3, 10, 300])
@pytest.mark.parametrize("n_in", [784, 1001])
def test_blocks_of_inputs_agree_with_naive(
    monkeypatch: pytest.MonkeyPatch, n_in: int, batch_size: int, kind: str
) -> None:
    """Several blocks of inputs, the last one smaller, and lists of two samples and of one."""
    monkeypatch.setattr("fastnn.samples._BLOCK_BYTES", 20 << 10)
    rng = np.random.default_rng(n_in)
    pixels = (rng.integers(0, 256, (61, n_in)) * (rng.random((61, n_in)) < 0.3)).astype(np.uint8)
    X, y = pixels / 255, rng.integers(0, 3, 61)
    net = fastnn.Network([n_in, 33, 3], dtype="float64", scale=255 if kind == "bytes" else None)
    start = [list(net.weights), list(net.biases)]
    data = {"bytes": pixels, "numbers": X, "csr": scipy.sparse.csr_array(X)}[kind]
    net.fit(data, y, epochs=2, batch_size=batch_size, optimizer=fastnn.SGD(0.05), shuffle=False)
    assert net._engine.latest[0].lists.blocks > 1
    weights, biases, _ = naive.train(
        *start,
        net.activations,
        "cross_entropy",
        naive.SGD(0.05),
        X,
        naive.one_hot(y, 3),
        batch_size,
        [np.arange(61)] * 2,
    )
    for got, expected in zip([*net.weights, *net.biases], [*weights, *biases], strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)  # rounding of some 40 steps


def test_broken_sparse_matrices_are_refused() -> None:
    net = fastnn.Network([3, 2])
    matrix = scipy.sparse.csr_array(np.eye(3))
    with pytest.raises(ValueError, match=r"X must have shape \(n, 3\), got \(3, 4\)"):
        net.forward(scipy.sparse.csr_array(np.ones((3, 4))))
    bad_number = matrix.copy()
    bad_number.data[1] = np.nan
    with pytest.raises(ValueError, match=r"X.data must be finite, got nan"):
        net.forward(bad_number)
    bad_column = matrix.copy()
    bad_column.has_canonical_format = True
    bad_column.indices[2] = 7
    with pytest.raises(ValueError, match="X must be a valid sparse matrix"):
        net.forward(bad_column)


def test_dense_data_take_the_dense_layer() -> None:
    rng = np.random.default_rng(0)
    net = fastnn.Network([100, 2])
    assert net.fit(rng.random((20, 100)), rng.integers(0, 2, 20), epochs=1).first_layer.startswith("dense: 100%")
    small = fastnn.Network([4, 2])
    assert small.fit(np.zeros((20, 4)), rng.integers(0, 2, 20), epochs=1).first_layer.startswith("dense: fewer than")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_wide_sparse_data_agree_with_their_columns_alone(dtype: str, threads: int) -> None:
    """A row of many entries among short and empty ones, in blocks that several threads own, up to either end."""
    rng, n_in = np.random.default_rng(0), 100_003
    columns = np.sort(rng.choice(n_in, 700, replace=False))
    columns[0], columns[-1] = 0, n_in - 1
    narrow = rng.normal(size=(90, 700)) * (rng.random((90, 700)) < 0.02)
    narrow[3], narrow[4] = rng.normal(size=700), 0
    y = rng.integers(0, 3, 90)
    cells = scipy.sparse.coo_array(narrow)
    wide = scipy.sparse.csr_array((cells.data, (cells.row, columns[cells.col])), (90, n_in))
    net = fastnn.Network([n_in, 33, 3], dtype=dtype)
    twin = fastnn.Network([700, 33, 3], dtype=dtype)
    twin.weights, twin.biases = [net.weights[0][:, columns], net.weights[1]], list(net.biases)
    for _ in range(2):
        settings = {
            "epochs": 2,
            "batch_size": 20,
            "optimizer": fastnn.Adam(0.003),
            "threads": threads,
            "shuffle": False,
        }
        net.fit(wide, y, **settings)
        twin.fit(narrow, y, **settings)
    tolerance = {"float32": 2e-3, "float64": 1e-9}[dtype]  # sums in another order; Adam divides by small numbers
    np.testing.assert_allclose(net.weights[0][:, columns], twin.weights[0], atol=tolerance)
    np.testing.assert_allclose(net.forward(wide), twin.forward(narrow), atol=tolerance)
    assert net.evaluate(wide, y)["cost"] == pytest.approx(twin.evaluate(narrow, y)["cost"], rel=tolerance)
    gradient, expected = (n.gradients(X, y)[0][0] for n, X in ((net, wide), (twin, narrow)))
    np.testing.assert_allclose(gradient[:, columns], expected, atol=tolerance)


def test_wide_sparse_data_give_the_same_bits_for_any_number_of_threads() -> None:
    """Each thread lists the next batch while others may still read their lists of this one."""
    rng, n_in = np.random.default_rng(0), 200_000
    X = scipy.sparse.random(400, n_in, 2e-4, "csr", np.float32, rng)
    y, nets = rng.integers(0, 3, 400), [fastnn.Network([n_in, 17, 3]) for _ in range(3)]
    for net, threads in zip(nets, (1, 2, 3), strict=True):
        net.fit(X, y, epochs=3, batch_size=16, optimizer=fastnn.Adam(0.01), threads=threads)
    assert all((net.weights[0] == nets[0].weights[0]).all() for net in nets)


@pytest.mark.parametrize("input_scale", [False, True])
def test_wide_sparse_data_are_diagnosed_like_dense_ones(input_scale: bool) -> None:
    rng, n_in = np.random.default_rng(0), 20_000
    X = scipy.sparse.random(200, n_in, 1e-3, "csr", np.float32, rng)
    X.data[:] = 1000 * (1 + X.data)
    y = rng.integers(0, 3, 200)
    net = fastnn.Network([n_in, 8, 3], initializer="normal", input_scale=input_scale)
    found, wanted = (net.diagnose(data, y) for data in (X, X.toarray()))
    assert [finding.name for finding in found] == [finding.name for finding in wanted] != []
    assert "from 0 to 2000 in all" in found[0].evidence
