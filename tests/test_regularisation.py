"""Dropout, max-norm, clipping, and rates and penalties layer by layer, against plain NumPy with the same masks."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from numpy.typing import NDArray

import fastnn
from fastnn.network import complete_arguments
from fastnn.regularisation import Wishes, layer_steps

Array = NDArray[Any]
WORD, GOLDEN = 0xFFFFFFFF, 0x9E3779B9
SEED = 0x1234567890
TOLERANCE = {"float64": 1e-12, "float32": 2e-5}  # of numbers of order one, some dozens of roundings


def mixed(x: Any) -> Any:
    """The 32-bit mixer of fastnn.kernels.dropout, on NumPy's uint64."""
    x = np.asarray(x, np.uint64) & np.uint64(WORD)
    x ^= x >> np.uint64(16)
    x = x * np.uint64(0x7FEB352D) & np.uint64(WORD)
    x ^= x >> np.uint64(15)
    x = x * np.uint64(0x846CA68B) & np.uint64(WORD)
    return x ^ (x >> np.uint64(16))


def mask(step: int, layer: int, places: Array, units: int, dropout: float) -> Array:
    """1 over the share that is kept, or 0, for the inputs of a layer: (len(places), units)."""
    if dropout == 0:
        return np.ones((len(places), units))
    key = int(mixed(int(mixed(int(mixed(SEED)) + (SEED >> 32))) + step)) | 1
    rows = np.array([int(mixed(int(mixed(int(mixed(key + layer)) + int(p))))) for p in places], np.uint64)
    numbers = mixed(rows[:, np.newaxis] + np.arange(units, dtype=np.uint64) * np.uint64(GOLDEN))
    return (numbers >= np.uint64(int(dropout * 2**32))) / (1 - dropout)


def fit(net: fastnn.Network, X: Any, y: Array, wishes: Wishes, **options: Any) -> fastnn.Network:
    """Train in natural order with the engine's settings as they are."""
    more = options.pop("settings", {})
    given = {"X": X, "y": y, "epochs": 1, "optimizer": fastnn.SGD(0.1), "shuffle": False, "progress": False, **options}
    request = net._request(complete_arguments(**given))
    layers = layer_steps(wishes, len(net.sizes) - 1)
    settings = request.settings._replace(layers=layers, seed=SEED, **more)
    net._train(request._replace(settings=settings))
    return net


class Reference:
    """A tanh network with identity outputs and half squared errors, in float64."""

    def __init__(self, net: fastnn.Network) -> None:
        self.weights = [np.array(W, np.float64) for W in net.weights]
        self.biases = [np.array(b, np.float64) for b in net.biases]

    def gradients(self, X: Array, Y: Array, masks: list[Array]) -> tuple[list[Array], list[Array]]:
        A, kept = [], X * masks[0]
        for i, (W, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            A.append(kept)
            z = kept @ W.T + b
            kept = np.tanh(z) * masks[i + 1] if i + 1 < len(self.weights) else z
        delta, n = (kept - Y) / len(X), len(self.weights)
        dW, db = [np.empty(0)] * n, [np.empty(0)] * n
        for i in range(n - 1, -1, -1):
            dW[i], db[i] = delta.T @ A[i], delta.sum(axis=0)
            if i:
                with np.errstate(divide="ignore", invalid="ignore"):
                    a = np.where(masks[i] > 0, A[i] / masks[i], 0)
                delta = delta @ self.weights[i] * masks[i] * (1 - a * a)
        return dW, db


def problem(n: int, sizes: list[int], dtype: str, sparse: bool = False) -> tuple[fastnn.Network, Array, Array]:
    rng = np.random.default_rng(n)
    weights = [rng.normal(size=(b, a)) / np.sqrt(a) for a, b in pairwise(sizes)]
    start = weights, [rng.normal(size=b) / 3 for b in sizes[1:]]
    net = fastnn.Network(sizes, "tanh", "identity", "quadratic", start, dtype=dtype)
    X = rng.normal(size=(n, sizes[0])) * (rng.random((n, sizes[0])) < 0.3 if sparse else 1)
    return net, X.astype(dtype), rng.normal(size=(n, sizes[-1])).astype(dtype)


def assert_layers(net: fastnn.Network, weights: list[Array], biases: list[Array]) -> None:
    for got, wanted in zip([*net.weights, *net.biases], [*weights, *biases], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=TOLERANCE[net.dtype.name])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["dense", "lists", "csr"])
@pytest.mark.parametrize(("n", "batch_size"), [(21, 10), (3, 1), (300, 300)])
def test_dropout_is_that_of_plain_numpy(n: int, batch_size: int, kind: str, dtype: str) -> None:
    sizes, dropout = ([70, 33, 17, 3] if kind != "dense" else [31, 33, 17, 3]), [0.2, 0.5, 0.3]
    net, X, Y = problem(n, sizes, dtype, sparse=kind != "dense")
    reference = Reference(net)
    for step, first in enumerate(range(0, n, batch_size), 1):
        places = np.arange(first, min(n, first + batch_size))
        masks = [mask(step, i, places, sizes[i], dropout[i]) for i in range(3)]
        dW, db = reference.gradients(X[places].astype(np.float64), Y[places].astype(np.float64), masks)
        reference.weights = [W - 0.1 * g for W, g in zip(reference.weights, dW, strict=True)]
        reference.biases = [b - 0.1 * g for b, g in zip(reference.biases, db, strict=True)]
    data = scipy.sparse.csr_array(X) if kind == "csr" else X
    fit(net, data, Y, Wishes(dropout=dropout), batch_size=batch_size)
    assert net.history is not None
    assert net.history.first_layer.startswith("dense" if kind == "dense" else "sparse")
    assert_layers(net, reference.weights, reference.biases)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("batch_size", [17, 300])
def test_dropout_and_norms_are_the_same_bits_for_any_number_of_threads(batch_size: int, sparse: bool) -> None:
    nets = []
    for threads in (1, 2, 3):
        net, X, Y = problem(307, [100, 70, 33, 3], "float32", sparse)
        wishes = Wishes(dropout=[0.2, 0.5, 0.5], max_norm=1.0, l2=1e-3)
        nets.append(fit(net, X, Y, wishes, batch_size=batch_size, threads=threads, epochs=2))
    for other in nets[1:]:
        for got, wanted in zip([*other.weights, *other.biases], [*nets[0].weights, *nets[0].biases], strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_a_share_is_dropped_and_neighbours_do_not_go_together() -> None:
    drawn = mask(7, 1, np.arange(2000), 100, 0.3) > 0
    assert abs(drawn.mean() - 0.7) < 5 * np.sqrt(0.21 / drawn.size)
    for axis in (0, 1):  # correlation of neighbours: five standard deviations of a mean of products
        a, b = (
            (drawn - 0.7).take(range(drawn.shape[axis] - 1), axis),
            (drawn - 0.7).take(range(1, drawn.shape[axis]), axis),
        )
        assert abs((a * b).mean() / 0.21) < 5 / np.sqrt(drawn.size)


def test_nothing_is_dropped_outside_of_training() -> None:
    net, X, Y = problem(50, [31, 33, 3], "float64")
    before = net.forward(X), net.evaluate(X, Y)
    fit(net, X, Y, Wishes(dropout=0.5), optimizer=fastnn.SGD(1e-300))
    np.testing.assert_array_equal(net.forward(X), before[0])
    assert net.evaluate(X, Y) == before[1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", [fastnn.SGD(0.1), fastnn.Adam(0.01)], ids=lambda o: o.kernel)
@pytest.mark.parametrize("sparse", [False, True])
def test_max_norm_holds_every_unit(sparse: bool, optimizer: Any, dtype: str) -> None:
    net, X, Y = problem(40, [70, 33, 3], dtype, sparse)
    fit(net, X, Y, Wishes(max_norm=[0.9, None]), optimizer=optimizer)
    norms = [np.linalg.norm(W, axis=1) for W in net.weights]
    assert norms[0].max() <= 0.9 * (1 + 1e-5)
    assert (norms[0] > 0.89).sum() > 10  # most would be larger
    assert norms[1].max() > 0.9


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_each_layer_has_rates_and_penalties_of_its_own(dtype: str) -> None:
    net, X, Y = problem(20, [31, 17, 3], dtype)
    reference = Reference(net)
    dW, db = reference.gradients(X.astype(float), Y.astype(float), [np.ones(1)] * 3)
    rates, biases, l1, l2 = (0.5, 2.0), (0.0, 3.0), (0.01, 0.0), (0.0, 0.1)
    layers = zip(reference.weights, dW, rates, l1, l2, strict=True)
    weights = [W - 0.1 * r * (g + b * W + a * np.sign(W)) for W, g, r, a, b in layers]
    moved = [b - 0.1 * r * g for b, g, r in zip(reference.biases, db, biases, strict=True)]
    fit(net, X, Y, Wishes(l1=l1, l2=l2, weights_rate=rates, biases_rate=biases), batch_size=20)
    assert_layers(net, weights, moved)


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        (Wishes(dropout=1.0), "dropout must be >= 0 and < 1"),
        (Wishes(dropout=[0.1]), "dropout must be one number, or one per layer: expected 2, got 1"),
        (Wishes(max_norm=[1, -1]), r"max_norm\[1\] must be > 0"),
        (Wishes(l2=-1), "l2 must be >= 0"),
    ],
)
def test_what_is_refused(wishes: Wishes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer_steps(wishes, 2)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("optimizer", [fastnn.SGD(0.3), fastnn.Adam(0.05)])
def test_an_average_is_of_weights_as_max_norm_leaves_them(sparse: bool, optimizer: Any) -> None:
    net, X, Y = problem(60, [70, 33, 3], "float64", sparse)
    decay, seen = 0.7, []
    net.fit(
        scipy.sparse.csr_matrix(X) if sparse else X,
        Y,
        epochs=4,
        batch_size=60,  # a step an epoch
        optimizer=optimizer,
        max_norm=[0.5, 0.4],
        weight_average=decay,
        callbacks=[lambda network, history: seen.append([np.array(W) for W in network.weights])],
    )
    shares = decay ** np.arange(len(seen) - 1, -1, -1)
    for layer, found in enumerate(net.averaged().weights):
        wanted = sum(share * step[layer] for share, step in zip(shares, seen, strict=True)) / shares.sum()
        np.testing.assert_allclose(found, wanted, atol=1e-12)
