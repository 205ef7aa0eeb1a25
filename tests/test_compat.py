"""The adapters for well-known teaching code: the same numbers from the same streams, and work where that code fails."""

import copy
import gzip
import json
import pickle
import random
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import naive
import numpy as np
import pytest
from numpy.typing import NDArray

import fastnn
from fastnn.compat import _columns, musings, nielsen
from fastnn.compat._columns import ListShuffle

Array = NDArray[Any]

X, y, Xt, yt = fastnn.datasets.load_mnist("float64")
UNIT = np.eye(10)
N, SIZES = 2000, [784, 30, 10]
# Over three epochs the engine, which rounds after every sample, and the reference, which rounds after every batch,
# part by 5e-11 of the smallest weight.
TOLERANCE = 1e-9


def columns(X: Array, labels: Array) -> list[tuple[Array, Array]]:
    return [(x[:, np.newaxis], UNIT[label][:, np.newaxis]) for x, label in zip(X, labels, strict=True)]


PAIRS = columns(X[:N], y[:N])
SMALL = PAIRS[:50]
TEST = [(x[:, np.newaxis], label) for x, label in zip(Xt[:300], yt[:300], strict=True)]


class Case(NamedTuple):
    """A class, one way to train it, and what that means."""

    make: Callable[[list[int]], Any]
    train: Callable[[Any, Any, int], Any]  # (net, data, epochs), in batches of 10
    step: Callable[[Any, Any], Any]  # (net, batch), as of a data set of N
    gradient: Callable[[Any, Any, Any], tuple[list[Array], list[Array]]]  # (net, x, y): by weights, by biases
    outputs: Callable[[Any, Any], Array]
    cost: str
    learning_rate: float
    lmbda: float
    scaled: bool


def nielsen_case() -> Case:
    return Case(
        make=nielsen.Network,
        train=lambda net, data, epochs: net.SGD(data, epochs, 10, 3.0),
        step=lambda net, batch: net.update_mini_batch(batch, 3.0),
        gradient=lambda net, x, y: net.backprop(x, y)[::-1],
        outputs=nielsen.Network.feedforward,
        cost="quadratic",
        learning_rate=3.0,
        lmbda=0.0,
        scaled=False,
    )


def musings_case(kind: type, cost: str, eta: float, lmbda: float) -> Case:
    return Case(
        make=lambda sizes: musings.NN(sizes, kind),
        train=lambda net, data, epochs: net.trainer(data, epochs, 10, eta, lmbda),
        step=lambda net, batch: net.update_mini_batch(batch, eta, lmbda, N),
        gradient=musings.NN.back_propagation,
        outputs=musings.NN.forward_propagation,
        cost=cost,
        learning_rate=eta,
        lmbda=lmbda,
        scaled=True,
    )


CASES = {
    "nielsen": nielsen_case(),
    "cross-entropy": musings_case(musings.CrossEntropyCost, "cross_entropy", 0.5, 5.0),
    "mse": musings_case(musings.MSE_cost, "quadratic", 3.0, 0.1),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def seed() -> None:
    random.seed(5)
    np.random.seed(7)  # noqa: NPY002


@pytest.fixture(autouse=True)
def _seeded() -> None:
    seed()


def streams() -> tuple[Any, ...]:
    """Where the global generators stand."""
    name, key, *rest = np.random.get_state()  # noqa: NPY002
    return random.getstate(), name, key.tolist(), rest


def layers(net: Any) -> list[Array]:
    return [*net.weights, *net.biases]


def snapshot(net: Any) -> tuple[list[Array], list[Array]]:
    return [w.copy() for w in net.weights], [b.copy() for b in net.biases]


def assert_close(net: Any, weights: list[Array], biases: list[Array], tolerance: float = TOLERANCE) -> None:
    """Every single number, within the tolerance of itself."""
    for got, wanted in zip(layers(net), weights + biases, strict=True):
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=0)


def assert_same_bits(one: list[Array], other: list[Array]) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def reference_outputs(net: Any, data: list[Any]) -> Array:
    """(n, out) outputs for pairs."""
    X = np.array([np.ravel(x) for x, _ in data])
    return naive.forward(net.weights, [b.ravel() for b in net.biases], ["sigmoid"] * len(net.weights), X)[1][-1]


def reference_hits(net: Any, data: list[Any]) -> int:
    labels = [np.argmax(t) if np.size(t) > 1 else t for _, t in data]
    return int((reference_outputs(net, data).argmax(axis=1) == labels).sum())


# --- The same numbers ---


@each_case
def test_draws_shuffles_and_weights_of_three_epochs(case: Case) -> None:
    """In two calls: a list is left as the last shuffle left it, so that the next call goes on from there."""
    biases = [np.random.randn(n, 1) for n in SIZES[1:]]  # noqa: NPY002
    weights = [np.random.randn(m, n) / (np.sqrt(n) if case.scaled else 1) for n, m in pairwise(SIZES)]  # noqa: NPY002
    pairs = PAIRS.copy()
    batches = naive.shuffled_batches(pairs, 10, epochs=3)
    wanted = naive.train_in_columns(weights, biases, case.cost, batches, case.learning_rate, case.lmbda / N)
    after = streams()

    seed()
    net, data = case.make(SIZES), PAIRS.copy()
    assert_same_bits(layers(net), weights + biases)
    case.train(net, data, 2)
    case.train(net, data, 1)
    assert_close(net, *wanted)
    assert streams() == after
    assert all(a is b for a, b in zip(data, pairs, strict=True))


def rows_of_objects() -> Array:
    """What ``df.values`` is of a frame with a column of inputs and one of labels."""
    rows = np.empty((50, 2), object)
    for i in range(50):
        rows[i, 0], rows[i, 1] = X[i], y[i]
    return rows


FORMS: dict[str, Callable[[], Any]] = {
    "rows of objects": rows_of_objects,
    "list of lists": lambda: [[x.ravel(), t] for x, t in SMALL],
    "arrays of two elements": lambda: [*rows_of_objects()],
    "now a column, now flat": lambda: [(x.ravel(), t) if i % 3 else (x, t) for i, (x, t) in enumerate(SMALL)],
    "labels of one kind each": lambda: [(x, int(label)) for (x, _), label in zip(SMALL, y[:50], strict=True)],
    "zip": lambda: zip([x for x, _ in SMALL], [t for _, t in SMALL], strict=True),
    "generator of flat": lambda: ((x.ravel(), t.ravel()) for x, t in SMALL),
    "tuple of lists": lambda: tuple([x.tolist(), t.tolist()] for x, t in SMALL),
    "labels": lambda: zip(X[:50], y[:50], strict=True),
    "labels as floats": lambda: zip(X[:50], y[:50, np.newaxis].astype(float), strict=True),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@each_case
def test_data_in_any_form(case: Case, form: Callable[[], Any]) -> None:
    results = []
    for data in (SMALL.copy(), form()):
        seed()
        net = case.make(SIZES)
        case.train(net, data, 2)
        results.append(layers(net))
    assert_same_bits(*results)


def test_pairs_of_numbers() -> None:
    """An array (n, 2): one input and one target."""
    data = np.array([[0.0, 1.0], [1.0, 0.0]])
    for net, train in ((nielsen.Network([1, 1]), "SGD"), (musings.NN([1, 1]), "trainer")):
        other = copy.deepcopy(net)
        rest = (1, 2, 0.5) if train == "SGD" else (1, 2, 0.5, 0.0)
        getattr(net, train)(data, *rest)
        getattr(other, train)([(np.array([[0.0]]), np.array([[1.0]])), (np.array([[1.0]]), np.array([[0.0]]))], *rest)
        assert_same_bits(layers(net), layers(other))


@each_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int64])
def test_one_sample_in_numpy_and_in_the_engine_are_the_same(case: Case, dtype: type) -> None:
    net = case.make(SIZES)
    x, t = (SMALL[0][0] * 3).astype(dtype), SMALL[0][1]
    lists = case.make(SIZES)
    lists.weights, lists.biases = [w.tolist() for w in net.weights], [b.tolist() for b in net.biases]
    np.testing.assert_allclose(case.outputs(net, x), case.outputs(lists, x), rtol=1e-12)
    for got, wanted in zip(case.gradient(net, x, t), case.gradient(lists, x, t), strict=True):
        for a, b in zip(got, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-15)
    net.weights[0] *= 1e6
    with np.errstate(all="raise"):
        assert np.isfinite(case.outputs(net, x)).all()


@each_case
def test_one_step(case: Case) -> None:
    net = case.make(SIZES)
    wanted = naive.train_in_columns(*snapshot(net), case.cost, [SMALL], case.learning_rate, case.lmbda / N)
    before = streams()
    case.step(net, iter(SMALL))
    assert_close(net, *wanted)
    assert streams() == before


@each_case
@pytest.mark.parametrize("shape", [(-1, 1), (-1,)])
def test_gradients_of_one_sample(case: Case, shape: tuple[int, ...]) -> None:
    net = case.make([784, 20, 30, 10])
    x, t = SMALL[3]
    got = case.gradient(net, x.reshape(shape), t.reshape(shape))
    wanted = naive.column_gradients(*snapshot(net), case.cost, x, t)
    for layer, reference in zip([*got[0], *got[1]], [*wanted[0], *wanted[1]], strict=True):
        np.testing.assert_allclose(layer, reference, rtol=1e-12, atol=1e-15)


@each_case
def test_outputs_of_one_flat_and_many(case: Case) -> None:
    net = case.make(SIZES)
    wanted = reference_outputs(net, SMALL).T
    many = case.outputs(net, np.hstack([x for x, _ in SMALL]))
    np.testing.assert_allclose(many, wanted, rtol=1e-12)
    x = SMALL[0][0]
    one = case.outputs(net, x)
    np.testing.assert_allclose(one, wanted[:, :1], rtol=1e-12)
    np.testing.assert_array_equal(case.outputs(net, x.ravel()), one[:, 0])


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")  # raw pixels are what is being tested
@each_case
def test_bytes_are_the_numbers_they_are(case: Case) -> None:
    """Not fractions of 255, as which the engine takes bytes."""
    data = [((x * 255).astype(np.uint8), t) for x, t in SMALL]
    results = []
    for pairs in (data, [(x.astype(float), t) for x, t in data]):
        seed()
        net = case.make(SIZES)
        case.step(net, pairs)
        results.append([*layers(net), case.outputs(net, pairs[0][0]), *case.gradient(net, *pairs[0])[0]])
    assert_same_bits(*results)


# --- Weights and biases are ordinary lists of ordinary arrays ---


def _assign_lists(net: Any, weights: list[Array], biases: list[Array]) -> None:
    net.weights, net.biases = weights, biases


def _assign_arrays(net: Any, weights: list[Array], biases: list[Array]) -> None:
    net.weights[0], net.weights[1] = weights
    net.biases[:] = biases


def _change_in_place(net: Any, weights: list[Array], biases: list[Array]) -> None:
    net.weights[0] *= 0
    net.weights[0] += weights[0]
    for mine, array in zip(layers(net), weights + biases, strict=True):
        mine[:] = array


@pytest.mark.parametrize("change", [_assign_lists, _assign_arrays, _change_in_place])
@each_case
def test_what_the_lists_hold_is_the_network(case: Case, change: Callable[..., None]) -> None:
    net, other = case.make(SIZES), case.make(SIZES)
    case.train(net, SMALL.copy(), 1)  # the arrays to change are those that training left
    change(net, *snapshot(other))
    x, t = SMALL[0]
    np.testing.assert_array_equal(case.outputs(net, x), case.outputs(other, x))
    change(net, *snapshot(net))
    assert_same_bits(*(case.gradient(n, x, t)[0] for n in (net, other)))
    for n in (net, other):
        case.step(n, SMALL)
    assert_same_bits(layers(net), layers(other))


@each_case
def test_copies_are_independent(case: Case) -> None:
    net = case.make(SIZES)
    twins = copy.deepcopy(net), pickle.loads(pickle.dumps(net))
    before = snapshot(net)
    for twin in twins:
        case.step(twin, SMALL)
    assert_same_bits(layers(net), [*before[0], *before[1]])
    case.step(net, SMALL)
    for twin in twins:
        assert_same_bits(layers(net), layers(twin))


@each_case
def test_after_an_interrupt_all_is_as_it_stood(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The epoch that was done counts, and so does its shuffle."""
    net, data = case.make(SIZES), SMALL.copy()
    weights, biases = snapshot(net)
    shuffle, calls = ListShuffle.__call__, []

    def interrupt(self: ListShuffle, n: int) -> Any:
        calls.append(n)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return shuffle(self, n)

    monkeypatch.setattr(ListShuffle, "__call__", interrupt)
    with pytest.raises(KeyboardInterrupt):
        case.train(net, data, 5)
    monkeypatch.undo()
    seed()
    case.make(SIZES)
    pairs = SMALL.copy()
    batches = naive.shuffled_batches(pairs, 10)
    assert_close(net, *naive.train_in_columns(weights, biases, case.cost, batches, case.learning_rate, case.lmbda / 50))
    assert all(a is b for a, b in zip(data, pairs, strict=True))


# --- Where the originals overflow ---


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")  # raw pixels are what is being tested
@each_case
def test_raw_pixels(case: Case) -> None:
    """Like the notebook's last cells, where the first sample overflows; the small rate keeps rounding from growing."""
    raw = [(x.ravel() * 255, t.ravel()) for x, t in PAIRS[:300]]
    as_columns = [(x[:, np.newaxis], t[:, np.newaxis]) for x, t in raw]
    net = case.make(SIZES)
    weights, biases = snapshot(net)
    z = weights[0] @ as_columns[0][0] + biases[0]
    if not case.scaled:
        assert z.min() < -710  # exp(-z) is beyond float64
    with np.errstate(all="raise"):
        case.step(net, raw)
        net.weights, net.biases = snapshot(net)
    wanted = naive.train_in_columns(weights, biases, case.cost, [as_columns], case.learning_rate, case.lmbda / N)
    assert_close(net, *wanted)
    with np.errstate(all="raise"):
        case.train(net, raw, 3)
    assert all(np.isfinite(array).all() for array in layers(net))


def test_functions_do_not_overflow() -> None:
    z = np.array([[-1e4], [-1.0], [0.0], [1e4]])
    wanted = naive.sigmoid(z)
    for module in (nielsen, musings):
        with np.errstate(all="raise"):
            got, slope = module.sigmoid(z), module.sigmoid_prime(z)
        np.testing.assert_allclose(got, wanted, rtol=1e-14, atol=1e-300)
        np.testing.assert_allclose(slope, naive.DERIVATIVES["sigmoid"](wanted), rtol=1e-14, atol=1e-300)


def test_a_cost_is_finite_where_an_output_is_all_wrong() -> None:
    learner = musings.NN([1, 1])
    learner.weights, learner.biases = [np.array([[-1000.0]])], [np.zeros((1, 1))]
    assert learner.total_cost([([1.0], [1.0])], lmbda=0.0) == 1000.0


# --- What is printed and returned ---


@pytest.mark.parametrize("none", [None, []])
def test_lines_without_test_data(none: Any, capsys: pytest.CaptureFixture[str]) -> None:
    nielsen.Network(SIZES).SGD(SMALL.copy(), 3, 10, 3.0, test_data=none)
    assert capsys.readouterr().out == "Epoch 0 complete\nEpoch 1 complete\nEpoch 2 complete\n"


def test_lines_with_test_data(capsys: pytest.CaptureFixture[str]) -> None:
    net, data, wanted = nielsen.Network(SIZES), PAIRS[:1500], []
    for epoch in range(3):
        net.SGD(data, 1, 10, 3.0)
        wanted.append(f"Epoch {epoch}: {reference_hits(net, TEST)} / 300\n")
    assert 150 < net.evaluate(TEST) == reference_hits(net, TEST) == net.evaluate(columns(Xt[:300], yt[:300]))
    capsys.readouterr()
    seed()
    nielsen.Network(SIZES).SGD(PAIRS[:1500], 3, 10, 3.0, test_data=iter(TEST))
    assert capsys.readouterr().out == "".join(wanted)


@pytest.mark.parametrize("cost", [musings.CrossEntropyCost, musings.MSE_cost])
def test_lines_and_lists_of_the_trainer(cost: type, capsys: pytest.CaptureFixture[str]) -> None:
    net, data, lmbda = musings.NN(SIZES, cost), PAIRS[:500], 2.0
    flags = dict.fromkeys(["print_eval_cost", "print_eval_acc", "print_train_cost", "print_train_acc"], True)
    name = "quadratic" if cost is musings.MSE_cost else "cross_entropy"

    def reference_cost(pairs: list[Any]) -> float:
        rows = np.array([np.ravel(x) for x, _ in pairs])
        targets = np.array([np.ravel(t) if np.size(t) > 1 else UNIT[t] for _, t in pairs])
        mean = naive.cost(net.weights, [b.ravel() for b in net.biases], ["sigmoid"] * 2, name, rows, targets)
        return mean + 0.5 * lmbda / len(pairs) * sum(np.linalg.norm(w) ** 2 for w in net.weights)

    for epoch in range(2):
        lists = net.trainer(data, 1, 10, 0.5, lmbda, iter(TEST), **flags)
        eval_cost, eval_acc, train_cost, train_acc = (values[0] for values in lists)
        assert [len(values) for values in lists] == [1] * 4
        assert (train_acc, eval_acc) == (reference_hits(net, data), reference_hits(net, TEST))
        np.testing.assert_allclose([train_cost, eval_cost], [reference_cost(data), reference_cost(TEST)], rtol=1e-12)
        assert net.total_cost(TEST, lmbda, convert=True) == eval_cost
        assert net.accuracy(data, convert=True) == train_acc
        assert capsys.readouterr().out == (
            "Training : Epoch 0 complete.\n"
            f"Accuracy on training data : {train_acc} / 500\n"
            f"Cost on training data : {train_cost}\n"
            f"Accuracy on evaluation data : {eval_acc} / 300\n"
            f"Cost on evaluation data : {eval_cost}\n\n"
        ), epoch


@pytest.mark.parametrize("flag", range(4))
def test_what_was_not_asked_for_is_not_measured(flag: int, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["print_eval_cost", "print_eval_acc", "print_train_cost", "print_train_acc"]
    lists = musings.NN(SIZES).trainer(SMALL.copy(), 3, 10, 0.5, 0.0, eval_data=TEST, **{names[flag]: True})
    assert [len(values) for values in lists] == [3 * (i == flag) for i in range(4)]
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("Training")] == [
        f"Training : Epoch {e} complete." for e in range(3)
    ]
    assert len(lines) == 9


def test_the_cost_classes() -> None:
    a, t, z = np.array([[0.2], [1.0]]), np.array([[1.0], [1.0]]), np.array([[-1.0], [2.0]])
    np.testing.assert_allclose(musings.CrossEntropyCost.func(a, t), -np.log(0.2))
    np.testing.assert_allclose(musings.MSE_cost.func(a, t), 0.32)
    np.testing.assert_allclose(musings.CrossEntropyCost.delta(a, t, z), a - t)
    np.testing.assert_allclose(
        musings.MSE_cost.delta(a, t, z), (a - t) * naive.DERIVATIVES["sigmoid"](naive.sigmoid(z)), rtol=1e-14
    )


def test_weights_are_drawn_before_biases_when_drawn_again() -> None:
    learner = musings.NN(SIZES)
    seed()
    learner.initialize_weight()
    seed()
    wanted = [np.random.randn(m, n) / np.sqrt(n) for n, m in pairwise(SIZES)]  # noqa: NPY002
    wanted += [np.random.randn(n, 1) for n in SIZES[1:]]  # noqa: NPY002
    assert_same_bits(layers(learner), wanted)


def test_unit_vectors() -> None:
    for function in (musings.one_hot_encoding, musings.vectorized_result):
        np.testing.assert_array_equal(np.hstack([function(j) for j in range(10)]), UNIT)


# --- The post's data, file and last cells ---

LAST_CELLS = """
training_data, validation_data, test_data = load_data_wrapper()

learner = NN([784, 30, 10])

learner.trainer(training_data, 30, 10, 3.0, 0.1, eval_data=test_data)
"""


def test_the_last_cells_of_the_post(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # no mnist.pkl.gz here
    names: dict[str, Any] = {}
    with pytest.warns(fastnn.TrainingWarning, match="eta 3 with batches of 10 is too much to settle") as told:
        exec("from fastnn.compat.musings import *" + LAST_CELLS, names)
    assert capsys.readouterr().out.count("complete.\n\n") == 30
    assert [len(names[part]) for part in ("training_data", "validation_data", "test_data")] == [50_000, 10_000, 10_000]
    reached = names["learner"].accuracy(names["test_data"])
    assert reached > 9_000
    advice = re.search(r"Change: trainer\(..., eta=(0\.\d+)\)$", str(told[0].message))
    assert advice
    exec(LAST_CELLS.replace("30, 10, 3.0", f"10, 10, {advice[1]}"), names)  # without a warning: they are errors here
    assert names["learner"].accuracy(names["test_data"]) > reached + 100


KEPT_COSTS = """
class CrossEntropyCost(object):
    @staticmethod
    def func(a, y):
        return np.sum(np.nan_to_numn(-y * np.log(a) - (1-y) * np.log(1-a)))

    @staticmethod
    def delta(a, y, z):
        return (a - y)

class MSE_cost(object):
    @staticmethod
    def func(a, y):
        return np.linalg.norm(a - y) * 0.5 ** 2

    @staticmethod
    def delta(a, y, z):
        return (a - y) * sigmoid_prime(z)
"""
KEPT_HELPERS = """
def sigmoid(z):
    return 1/(1+np.exp(-1*x))

def sigmoid_prime(x):
    return sigmoid(z)*(1-sigmoid(z))

def one_hot_encoding(j):
    encoded_vec = np.zeroes((10, 1))
    encoded_vec[j] = 1.0
    return ohe
"""


@pytest.mark.parametrize("kept", [KEPT_COSTS, KEPT_HELPERS + KEPT_COSTS], ids=["costs", "costs and helpers"])
@pytest.mark.parametrize("cost", ["CrossEntropyCost", "MSE_cost"])
def test_kept_cells_of_the_post_that_shadow_ours(cost: str, kept: str, tmp_path: Path) -> None:
    names: dict[str, Any] = {"np": np}
    exec("from fastnn.compat.musings import *" + kept, names)
    seed()
    learner = names["NN"]([784, 30, 10], cost=names[cost])
    assert learner.cost is names[cost]
    learner.trainer(SMALL.copy(), 2, 10, 0.5, 0.1, eval_data=TEST, print_eval_cost=True)
    seed()
    ours = musings.NN([784, 30, 10], getattr(musings, cost))
    ours.trainer(SMALL.copy(), 2, 10, 0.5, 0.1, eval_data=TEST, print_eval_cost=True)
    assert_same_bits(layers(learner), layers(ours))
    learner.save(tmp_path / "learner")
    assert musings.load(tmp_path / "learner").cost is getattr(musings, cost)


def test_a_cost_is_what_its_delta_says(tmp_path: Path) -> None:
    class MyCost:
        @staticmethod
        def fn(a: Array, y: Array) -> float:
            return 0.0

        @staticmethod
        def delta(a: Array, y: Array, z: Array) -> Array:
            return a - y

    learner = musings.NN([2, 1], MyCost)
    assert learner._network.cost == "cross_entropy"
    learner.save(tmp_path / "learner")
    assert musings.load(tmp_path / "learner").cost is musings.CrossEntropyCost

    class Twice(MyCost):
        @staticmethod
        def delta(a: Array, y: Array, z: Array) -> Array:
            return 2 * (a - y)

    with pytest.raises(TypeError, match="cost 'Twice' must have the delta of CrossEntropyCost, a - y, or of MSE_cost"):
        musings.NN([2, 1], Twice)


def test_the_names_of_the_post_s_slips() -> None:
    learner = musings.NN(SIZES)
    x, t = SMALL[0]
    np.testing.assert_array_equal(learner.feedforward(x), learner.forward_propagation(x))
    for got, wanted in zip(learner.backprop(x, t), learner.back_propagation(x, t)[::-1], strict=True):
        assert_same_bits(got, wanted)
    assert musings.CrossEntropyCost.fn(0.5, 1.0) == musings.CrossEntropyCost.func(0.5, 1.0)
    assert musings.MSE_cost.fn(0.5, 1.0) == musings.MSE_cost.func(0.5, 1.0)


def write_book_pickle(path: Path, n: int) -> None:
    parts = [(X[i * n : i * n + n].astype(np.float32), y[i * n : i * n + n]) for i in range(3)]
    path.write_bytes(gzip.compress(pickle.dumps(tuple(parts), protocol=2)))


def test_the_book_s_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the current folder, as in the post, or where it is said to be."""
    write_book_pickle(tmp_path / "mnist.pkl.gz", 4)
    write_book_pickle(tmp_path / "other", 3)
    monkeypatch.chdir(tmp_path)
    for arguments, n in (((), 4), (("other",), 3)):
        for i, part in enumerate(musings.load_data(*arguments)):
            np.testing.assert_array_equal(part[0], X[i * n : i * n + n].astype(np.float32))
            np.testing.assert_array_equal(part[1], y[i * n : i * n + n])
        training, *others = musings.load_data_wrapper(*arguments)
        assert [(x.shape, t.shape, int(t.argmax())) for x, t in training] == [((784, 1), (10, 1), j) for j in y[:n]]
        assert [t for part in others for _, t in part] == y[n : 3 * n].tolist()
    with pytest.raises(FileNotFoundError):
        musings.load_data("nowhere")
    (tmp_path / "bad").write_bytes(pickle.dumps((1, 2)))
    with pytest.raises(fastnn.datasets.DataFileError, match="bad"):
        musings.load_data_wrapper("bad")


@pytest.mark.parametrize("cost", [musings.CrossEntropyCost, musings.MSE_cost])
def test_save_and_load(cost: type, tmp_path: Path) -> None:
    learner = musings.NN([3, 4, 2], cost)
    learner.trainer([([0.0, 1.0, 2.0], 1)], 1, 1, 0.5, 0.0)
    learner.save(tmp_path / "learner.json")
    record = json.loads((tmp_path / "learner.json").read_text())
    assert sorted(record) == ["biases", "cost", "size", "weights"]
    assert (record["size"], record["cost"]) == ([3, 4, 2], cost.__name__)
    before = streams()
    again = musings.load(tmp_path / "learner.json")
    assert streams() == before
    assert (again.size, again.n_layers, again.cost) == ([3, 4, 2], 3, cost)
    assert_same_bits(layers(again), layers(learner))


RECORD = {"size": [2, 1], "weights": [[[1.0, 2.0]]], "biases": [[[3.0]]], "cost": "MSE_cost"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no JSON", "Expecting value"),
        ("[]", "not a saved NN"),
        (json.dumps({key: value for key, value in RECORD.items() if key != "biases"}), "not a saved NN"),
        (json.dumps(RECORD | {"cost": "eval"}), "cost must be one of"),
        (json.dumps(RECORD | {"size": [2, 0]}), "sizes[1] must be >= 1"),
        (json.dumps(RECORD | {"weights": [[[1.0]]]}), "weights[0] must have shape (1, 2), got (1, 1)"),
        (json.dumps(RECORD | {"biases": [[3.0]]}), "biases[0] must have shape (1, 1), got (1,)"),
        (json.dumps(RECORD | {"biases": [[[float("nan")]]]}), "biases[0] must be finite"),
    ],
)
def test_files_that_cannot_be_loaded(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "learner.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"cannot load .*learner\.json.*" + re.escape(message)):
        musings.load(path)


# --- Bad input ---


def changed(x: Any = SMALL[0][0], t: Any = SMALL[0][1]) -> list[Any]:
    return [*SMALL[:3], (x, t)]


BAD_DATA = [
    (7, TypeError, "{} must be a list, or another iterable, of pairs (x, y), got int"),
    (iter(()), ValueError, "{} must hold at least one pair (x, y), got none"),
    ([*SMALL[:3], 7], TypeError, "{}[3] must be a pair (x, y), got int"),
    ([*SMALL[:3], (1, 2, 3)], TypeError, "{}[3] must be a pair (x, y), got tuple"),
    (changed(x=np.zeros(783)), ValueError, "{}[3][0] must have shape (784, 1) or (784,), got (783,)"),
    (changed(x=np.zeros((28, 28))), ValueError, "{}[3][0] must have shape (784, 1) or (784,), got (28, 28)"),
    (changed(x=np.zeros((1, 784))), ValueError, "{}[3][0] must have shape (784, 1) or (784,), got (1, 784)"),
    (changed(x="text"), TypeError, "{}[3][0] must hold real numbers"),
    (changed(x=np.full(784, np.nan)), ValueError, "the x of {} must be finite, got nan at [3, 0]"),
    (changed(t=np.zeros(9)), ValueError, "{}[3][1] must have shape (10, 1) or (10,), got (9,)"),
    (changed(t=10), ValueError, "{}[3][1] must be a label from 0 to 9"),
    (changed(t=2.5), ValueError, "{}[3][1] must be a label from 0 to 9"),
    (changed(t=np.full(10, np.inf)), ValueError, "the y of {} must be finite, got inf at [3, 0]"),
]


@pytest.mark.parametrize(("data", "error", "message"), BAD_DATA)
def test_bad_data(data: Any, error: type[Exception], message: str) -> None:
    """Whatever takes data refuses it before anything changes or is drawn; a generator serves one call."""
    net, learner = nielsen.Network(SIZES), musings.NN(SIZES)
    before, stood = snapshot(net), streams()
    calls: dict[str, Callable[[Any], Any]] = {
        "training_data": lambda d: net.SGD(d, 1, 10, 3.0),
        "test_data": lambda d: net.SGD(SMALL.copy(), 1, 10, 3.0, test_data=d),
        "mini_batch": lambda d: learner.update_mini_batch(d, 3.0, 0.0, 50),
        "eval_data": lambda d: learner.trainer(SMALL.copy(), 1, 10, 3.0, 0.0, eval_data=d),
        "data": lambda d: learner.total_cost(d, 0.0),
    }
    for argument, call in calls.items():
        with pytest.raises(error, match="^" + re.escape(message.format(argument))):
            call(data)
    assert_same_bits(layers(net), [*before[0], *before[1]])
    assert streams() == stood


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nielsen.Network([784]), ValueError, "sizes must hold at least the inputs and the outputs"),
        (lambda: musings.NN([784, 0]), ValueError, "sizes[1] must be >= 1"),
        (lambda: musings.NN(SIZES, "MSE"), TypeError, "cost must be the class CrossEntropyCost or MSE_cost, or have"),
        (lambda: nielsen.Network(SIZES).SGD(SMALL, -1, 10, 3.0), ValueError, "epochs must be >= 0"),
        (lambda: nielsen.Network(SIZES).SGD(SMALL, 1, 0, 3.0), ValueError, "mini_batch_size must be >= 1"),
        (lambda: nielsen.Network(SIZES).SGD(SMALL, 1, 10, 0.0), ValueError, "eta must be > 0"),
        (lambda: nielsen.Network(SIZES).update_mini_batch(SMALL, "1"), TypeError, "eta must be a number"),
        (lambda: nielsen.Network(SIZES).feedforward(np.zeros(3)), ValueError, "a must have shape (784, 1), (784,) or"),
        (lambda: nielsen.Network(SIZES).feedforward(np.full(784, np.nan)), ValueError, "a must be finite"),
        (lambda: nielsen.Network(SIZES).backprop(SMALL[0][0], 11), ValueError, "y must be a label from 0 to 9"),
        (lambda: nielsen.Network(SIZES).backprop(np.zeros(3), 1), ValueError, "x must have shape (784, 1) or (784,)"),
        (lambda: musings.NN(SIZES).trainer(SMALL, 1, 0, 3.0, 0.1), ValueError, "m_bs must be >= 1"),
        (lambda: musings.NN(SIZES).trainer(SMALL, 1, 10, 3.0, -0.1), ValueError, "lmbda must be >= 0"),
        (
            lambda: musings.NN(SIZES).trainer(SMALL, 1, 10, 3.0, 0.1, print_eval_acc=True),
            ValueError,
            "print_eval_cost and print_eval_acc need eval_data",
        ),
        (lambda: musings.NN(SIZES).update_mini_batch(SMALL, 1.0, 0.1, 0), ValueError, "n must be >= 1"),
        (lambda: musings.vectorized_result(10), ValueError, "j must be a digit from 0 to 9, got 10"),
        (lambda: musings.vectorized_result(1.0), TypeError, "j must be a whole number"),
    ],
)
def test_bad_arguments(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match="^" + re.escape(message)):
        call()


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("weights", 3, TypeError, "weights must be a list of arrays"),
        ("weights", [np.zeros((30, 784))], ValueError, "weights must hold one array per layer: expected 2, got 1"),
        ("weights", [np.zeros((784, 30)), np.zeros((10, 30))], ValueError, "weights[0] must have shape (30, 784)"),
        ("biases", [np.zeros(30), np.zeros(10)], ValueError, "biases[0] must have shape (30, 1), got (30,)"),
        ("biases", [np.full((30, 1), np.nan), np.zeros((10, 1))], ValueError, "biases[0] must be finite"),
    ],
)
def test_bad_layers(name: str, value: Any, error: type[Exception], message: str) -> None:
    """Refused where they are first needed; the network works again when they are mended."""
    net = nielsen.Network(SIZES)
    good = getattr(net, name)
    setattr(net, name, value)
    for call in (lambda: net.feedforward(SMALL[0][0]), lambda: net.SGD(SMALL.copy(), 1, 10, 3.0)):
        with pytest.raises(error, match="^" + re.escape(message)):
            call()
    setattr(net, name, good)
    np.testing.assert_allclose(net.feedforward(SMALL[0][0]), reference_outputs(net, SMALL[:1]).T, rtol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 17, 64, 65, 1000])
def test_shuffles_are_those_of_the_random_module(n: int) -> None:
    """Also the generator is left where shuffling the list itself leaves it; 1,000 use up its words more than once."""
    random.seed(n)
    expected = list(range(n))
    orders = []
    for _ in range(3):
        random.shuffle(expected)
        orders.append(expected.copy())
    following = random.random()
    random.seed(n)
    shuffle = ListShuffle(n)
    assert [shuffle(n).tolist() for _ in range(3)] == orders
    assert random.random() == following
    data = list(range(n))
    shuffle.arrange(data)
    assert data == orders[-1]


@pytest.mark.parametrize("data", ["fractions of 255", "others"])
def test_pixels_kept_as_bytes_give_the_same_bits(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (40, 100)) * (rng.random((40, 100)) < 0.3) / 255
    X = X if data == "fractions of 255" else X * 1.0000001
    pairs = [(x[:, np.newaxis], np.eye(3)[[i % 3]].T) for i, x in enumerate(X)]
    assert (_columns._as_bytes(X) is not None) == (data == "fractions of 255")
    weights = []
    for as_bytes in (_columns._as_bytes, lambda X: None):
        monkeypatch.setattr(_columns, "_as_bytes", as_bytes)
        seed()
        net = nielsen.Network([100, 5, 3])
        net.SGD(pairs.copy(), 8, 7, 1.0)
        weights.append(net.weights)
    assert all((a == b).all() for a, b in zip(*weights, strict=True))
