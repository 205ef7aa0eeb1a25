"""What y may be, what the first fit makes of it, and answers in the same words and shape."""

import numpy as np
import pytest
from states import same

import fastnn
from fastnn import Network, persistence

RNG = np.random.default_rng(0)
N = 60
NUMBERS = np.arange(N) % 3
X = np.eye(3)[NUMBERS] + RNG.normal(0, 0.05, (N, 3))


def trained(y, n_out=3, **arguments):
    net = Network([3, 8, n_out], seed=1, **arguments)
    net.fit(X, y, epochs=60)
    return net


def pandas():
    return pytest.importorskip("pandas")


LABELS = {
    "from 0": NUMBERS,
    "from 1": NUMBERS + 1,
    "floats from 1": NUMBERS + 1.0,
    "any integers": np.array([7, -3, 1000])[NUMBERS],
    "unsigned": (NUMBERS + 1).astype(np.uint8),
    "text": np.array(["cat", "ant", "bear"])[NUMBERS],
    "list of text": np.array(["cat", "ant", "bear"])[NUMBERS].tolist(),
    "objects of text": np.array(["cat", "ant", "bear"])[NUMBERS].astype(object),
    "objects of numbers": (NUMBERS + 5).astype(object),
}


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("softmax", [False, True])
def test_answers_come_in_the_labels_of_y(y, softmax, tmp_path):
    arguments = {"output": "softmax", "cost": "log_likelihood"} if softmax else {}
    net = trained(y, **arguments)
    assert net.task == "classes"
    np.testing.assert_array_equal(net.classes, sorted(set(np.asarray(y).tolist())))
    assert net.evaluate(X, y)["accuracy"] == 1
    net.save(tmp_path / "net")
    for one in (net, fastnn.load(tmp_path / "net"), net.copy()):
        assert one.predict(X).shape == (N,)
        np.testing.assert_array_equal(one.predict(X), np.asarray(y))
        np.testing.assert_array_equal(one.classes, net.classes)
        np.testing.assert_array_equal(one.classes[one.predict_proba(X).argmax(axis=1)], np.asarray(y))


@pytest.mark.parametrize("kind", ["string", "category", "object", "Int64", "boolean of two"])
def test_series_of_pandas(kind):
    pd = pandas()
    words = pd.Series(np.array(["cat", "ant", "bear"])[NUMBERS])
    y = {
        "string": lambda: words.astype("string"),
        "category": lambda: words.astype("category"),
        "object": lambda: words.astype(object),
        "Int64": lambda: pd.Series(NUMBERS + 1).astype("Int64"),
        "boolean of two": lambda: (words == "cat").astype("boolean"),
    }[kind]()
    net = trained(y, 1 if kind == "boolean of two" else 3)
    assert (net.predict(X) == y.to_numpy()).all()


def test_a_frame_of_one_column_and_series_of_others():
    pd, pl = pandas(), pytest.importorskip("polars")
    words = np.array(["cat", "ant"])[NUMBERS % 2]
    net = trained(pd.DataFrame({"kind": words}), 1)
    assert (net.predict(X) == words[:, np.newaxis]).all()
    net = trained(pl.Series(words), 1)
    assert (net.predict(X) == words).all()


TWO = NUMBERS == 0


@pytest.mark.parametrize(
    "y",
    [TWO, TWO.astype(int), TWO + 1, 2 * TWO - 1.0, np.where(TWO, "yes", "no"), TWO.tolist(), TWO.astype(object)],
    ids=["bool", "0 and 1", "1 and 2", "-1.0 and 1.0", "text", "list", "objects"],
)
@pytest.mark.parametrize("n_out", [1, 2])
def test_two_classes(y, n_out):
    net = trained(y, n_out)
    assert net.task == "classes"
    np.testing.assert_array_equal(net.predict(X), np.asarray(y))
    assert net.evaluate(X, y)["accuracy"] == 1
    shares = net.predict_proba(X)
    assert shares.shape == (N, 2)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    assert ((shares[:, 1] > 0.5) == (np.asarray(y) == net.classes[1])).all()


def test_the_shape_of_y_is_the_shape_of_answers():
    for y in (TWO.astype(float), TWO.astype(float)[:, np.newaxis]):
        assert trained(y, 1).predict(X).shape == y.shape
        assert trained(y, 1, output="identity", cost="quadratic").predict(X).shape == y.shape
    assert trained(X, 3, output="identity", cost="quadratic").predict(X[:1]).shape == (1, 3)


# --- the task is settled once ---


def test_the_task_does_not_change_with_the_last_chunk():
    Y = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 1]])[NUMBERS]
    net = Network([3, 8, 3], seed=1)
    net.fit(X, Y, epochs=30)
    assert net.task == "multilabel"
    assert net.classes is None
    for row in range(6):
        history = net.fit(X[row : row + 1], Y[row : row + 1], epochs=1)
        assert np.isnan(history.train_accuracy).all()
        assert net.predict(X).shape == (N, 3)
    net.fit(X, np.eye(3)[NUMBERS], epochs=0)
    np.testing.assert_array_equal(net.predict(X[:1]).shape, (1, 3))


def test_a_task_that_is_given_holds_for_a_single_row():
    net = Network([3, 8, 3], task="multilabel")
    net.fit(X[:1], [[0, 1, 0]], epochs=0)
    assert net.predict(X).shape == (N, 3)
    assert Network([3, 8, 3], task="regression").predict(X).dtype == np.float32
    assert Network([3, 8, 3], "relu", "identity", "quadratic", task="classes").predict(X).shape == (N,)


def test_later_data_must_agree():
    net = trained(NUMBERS)
    with pytest.raises(ValueError, match=r"y must hold one class in every row.*got \[1.0, 1.0, 0.0\] in row 1.*multil"):
        net.fit(X[:2], [[1, 0, 0], [1, 1, 0]])
    with pytest.raises(ValueError, match="y must hold one of the classes 0, 1, 2, got 'a' in row 0"):
        net.fit(X[:2], ["a", "b"])
    assert (net.predict(X) == NUMBERS).all()
    several = Network([3, 3], task="multilabel")
    with pytest.raises(ValueError, match=r"y must hold zeros and ones for task 'multilabel', got 0.5 at \[0, 1\]"):
        several.fit(X[:1], [[1, 0.5, 0]])
    quantities = trained(X[:, 0], 1, output="identity", cost="quadratic")
    with pytest.raises(TypeError, match="y must hold real numbers for task 'regression', got text such as 'a'"):
        quantities.fit(X[:2], ["a", "b"])
    words = trained(LABELS["text"])
    with pytest.raises(ValueError, match=r"validation_data: y must hold one of the classes .*, got 'dog' in row 2"):
        words.fit(X[:3], ["ant", "cat", "bear"], validation_data=(X[:3], ["ant", "ant", "dog"]))
    with pytest.raises(ValueError, match="y must hold one of the classes 'ant', 'bear', 'cat', got 3 in row 0"):
        words.evaluate(X[:1], [3])


def test_one_hot_rows_of_a_network_with_words():
    net = trained(LABELS["text"])
    rows = np.eye(3)[np.searchsorted(net.classes, LABELS["text"])]
    assert net.evaluate(X, rows) == net.evaluate(X, LABELS["text"])


def test_classes_that_the_first_fit_does_not_see():
    net = Network([3, 8, 3], classes=["cat", "ant", "dog"], seed=1)
    assert net.task is None
    net.fit(X[:1], ["ant"], epochs=0)
    net.fit(X, np.array(["cat", "ant", "dog"])[NUMBERS], epochs=60)
    np.testing.assert_array_equal(net.predict(X), np.array(["cat", "ant", "dog"])[NUMBERS])
    np.testing.assert_array_equal(net.classes, ["cat", "ant", "dog"])  # in the order of the outputs


@pytest.mark.parametrize(
    ("y", "n_out", "message"),
    [
        (NUMBERS + 2, 4, r"y must hold 4 different labels for 4 outputs, got 3 \(2, 3, 4\).*end with 3.*classes="),
        (NUMBERS + 1, 2, r"y must hold 2 different labels for 2 outputs, got 3"),
        (LABELS["text"], 1, r"y must hold 2 different labels for a single output, got 3 \(ant, bear, cat\)"),
        (["a"] * N, 1, r"y must hold 2 different labels for a single output, got 1 \(a\)"),
        (["a", None] * (N // 2), 2, r"y must have an answer for every sample, got None at \[1\]"),
        ([1.0, float("nan")] * (N // 2), 2, r"y must be finite, got nan at \[1\]"),
        (NUMBERS[:, np.newaxis], 3, r"y must have shape \(n,\) or \(n, 3\), got \(60, 1\); .*pass np.ravel\(y\)"),
        (NUMBERS / 2, 3, "whole-numbered class labels"),
    ],
)
def test_labels_that_do_not_fit(y, n_out, message):
    with pytest.raises(ValueError, match=message):
        Network([3, n_out]).fit(X, y)


def test_labels_are_all_of_one_kind():
    with pytest.raises(TypeError, match="y must hold real numbers, got 'a' at"):
        Network([3, 2]).fit(X[:2], np.array([1, "a"], object))


def test_targets_one_rounding_outside_are_taken_for_the_end():
    y = np.array([0, 1 + 1.2e-7, -6e-8, 0.5], np.float32)
    net = Network([3, 1])
    clipped = np.clip(y, 0, 1)
    assert net.evaluate(X[:4], y) == net.evaluate(X[:4], clipped)
    with pytest.raises(ValueError, match=r"y must lie in \[0, 1\] for cost 'cross_entropy', got 1.5"):
        net.evaluate(X[:4], y * 1.5)
    with pytest.raises(ValueError, match=r"y must lie in \[0, 1\]"):
        net.evaluate(X[:4], y + 1e-4)


# --- probabilities ---


def test_independent_sigmoids_become_proper_shares():
    net = trained(NUMBERS)
    outputs = net.forward(X)
    np.testing.assert_allclose(net.predict_proba(X), outputs / outputs.sum(axis=1, keepdims=True), rtol=1e-6)
    assert not np.allclose(outputs.sum(axis=1), 1, atol=1e-3)
    far = Network([3, 3], initializer=([np.zeros((3, 3))], [np.full(3, -1e4)]))
    np.testing.assert_allclose(far.predict_proba(X), 1 / 3, rtol=1e-6)


def test_several_labels_have_probabilities_of_their_own():
    net = trained(np.array([[1, 1, 0], [0, 1, 0], [0, 1, 1]])[NUMBERS])
    np.testing.assert_array_equal(net.predict_proba(X), net.forward(X))


@pytest.mark.parametrize("n_out", [1, 2, 3])
def test_margins_have_probabilities_too(n_out):
    y = TWO if n_out < 3 else NUMBERS
    net = trained(y, n_out, output="identity", cost="hinge")
    shares = net.predict_proba(X)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(net.classes[shares.argmax(axis=1)], net.predict(X))
    np.testing.assert_array_equal(net.predict(X), y)
    if n_out == 1:
        np.testing.assert_array_equal(net.predict(X), net.forward(X)[:, 0] > 0)  # where the margin changes sides


def test_no_probabilities():
    with pytest.raises(ValueError, match="predict_proba is for classifiers"):
        trained(X[:, 0], 1, output="identity", cost="quadratic").predict_proba(X)
    with pytest.raises(ValueError, match="needs output 'sigmoid' or 'softmax', got 'identity'"):
        Network([3, 3], (), "identity", "quadratic", task="classes").predict_proba(X)


# --- weights ---


def layers(net):
    return [*net.weights, *net.biases]


@pytest.mark.parametrize("batch_size", [7, N])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_weight_of_zero_is_absence(sparse, batch_size):
    from scipy.sparse import csr_matrix

    data = csr_matrix(X) if sparse else X
    weights = np.where(np.arange(N) % 4 == 0, 0.0, 3.0)
    kept = weights > 0
    one, other = Network([3, 5, 3], dtype="float64"), Network([3, 5, 3], dtype="float64")
    histories = [
        one.fit(data, NUMBERS, 3, batch_size, sample_weight=weights),
        other.fit(data[kept], NUMBERS[kept], 3, batch_size, sample_weight=np.full(kept.sum(), 1.0)),
    ]
    for a, b in zip(layers(one), layers(other), strict=True):
        np.testing.assert_array_equal(a, b)
    assert histories[0].train_cost == histories[1].train_cost
    assert histories[0].train_accuracy == histories[1].train_accuracy
    assert one.evaluate(data, NUMBERS, weights) == one.evaluate(data[kept], NUMBERS[kept])


def test_a_weight_of_two_is_twice():
    weights = np.where(np.arange(N) % 4 == 0, 2.0, 1.0)
    rows = np.repeat(np.arange(N), weights.astype(int))
    one, other = Network([3, 5, 3], dtype="float64"), Network([3, 5, 3], dtype="float64")
    one.fit(X, NUMBERS, 5, N, sample_weight=weights)
    other.fit(X[rows], NUMBERS[rows], 5, len(rows))
    for a, b in zip(layers(one), layers(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-14)
    for got, wanted in zip(
        one.gradients(X, NUMBERS, weights)[0], one.gradients(X[rows], NUMBERS[rows])[0], strict=True
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-15)
    assert one.evaluate(X, NUMBERS, weights)["cost"] == pytest.approx(one.evaluate(X[rows], NUMBERS[rows])["cost"])


@pytest.mark.parametrize("factor", [1e-300, 1.0, 1e308])
def test_only_proportions_of_weights_count(factor):
    weights = (1 + np.arange(N) % 4) / 4 * factor
    one, other = Network([3, 5, 3]), Network([3, 5, 3])
    one.fit(X, NUMBERS, 2, sample_weight=weights)
    other.fit(X, NUMBERS, 2, sample_weight=1 + np.arange(N) % 4)
    for a, b in zip(layers(one), layers(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


SKEWED = np.where(np.arange(N) < 50, "common", "rare")


@pytest.mark.parametrize("y", [SKEWED, (SKEWED == "rare").astype(int), np.eye(2)[(SKEWED == "rare").astype(int)]])
@pytest.mark.parametrize("sample_weight", [None, np.arange(1.0, N + 1)])
def test_class_weights(y, sample_weight):
    weights = np.ones(N) if sample_weight is None else sample_weight
    rare = SKEWED == "rare"
    by_hand = np.where(rare, weights / weights[rare].sum(), weights / weights[~rare].sum())
    labels = ["common", "rare"] if y is SKEWED else [0, 1]
    mapping = {labels[0]: 1 / weights[~rare].sum(), labels[1]: 1 / weights[rare].sum()}
    nets = [Network([3, 5, 2], dtype="float64") for _ in range(3)]
    for net, kind in zip(nets, ("balanced", mapping, None), strict=True):
        net.fit(X, y, 3, sample_weight=by_hand if kind is None else sample_weight, class_weight=kind)
    for a, b, c in zip(*map(layers, nets), strict=True):
        np.testing.assert_allclose(a, c, rtol=1e-9)
        np.testing.assert_allclose(b, c, rtol=1e-9)


@pytest.mark.parametrize(
    ("class_weight", "y", "error", "message"),
    [
        ("balancd", NUMBERS, ValueError, "class_weight must be one of .*did you mean 'balanced'"),
        ([1.0, 2.0, 1.0], NUMBERS, TypeError, "class_weight must be 'balanced' or a mapping .* got a list"),
        ({7: 2.0}, NUMBERS, ValueError, r"class_weight must be for the classes \[0, 1, 2\], got one for 7"),
        ({0: -1}, NUMBERS, ValueError, r"class_weight\[0\] must be >= 0"),
        ({0: 0, 1: 0, 2: 0}, NUMBERS, ValueError, "class_weight must not make every sample's weight zero"),
        ("balanced", X, ValueError, "class_weight needs classes as targets, but the task is 'regression'"),
    ],
)
def test_class_weights_that_cannot_be(class_weight, y, error, message):
    net = Network([3, 3], (), "identity", "quadratic")
    with pytest.raises(error, match=message):
        net.fit(X, y, class_weight=class_weight)


TINY = np.where(SKEWED == "rare", 1e-310, 2.0)


@pytest.mark.parametrize(
    ("given", "equal"),
    [
        ({"class_weight": "balanced", "sample_weight": TINY}, {"class_weight": "balanced"}),
        ({"class_weight": {"common": 1.7e308, "rare": 1.7e308}, "sample_weight": TINY}, {"sample_weight": TINY}),
    ],
    ids=["balanced", "mapping"],
)
def test_class_weights_out_of_the_ordinary(given, equal):
    """Only proportions count: none is lost where a product, or an inverse, has no number."""
    nets = [Network([3, 5, 2], dtype="float64") for _ in range(2)]
    for net, arguments in zip(nets, (given, equal), strict=True):
        net.fit(X, SKEWED, 3, **arguments)
    for a, b in zip(*map(layers, nets), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


def test_class_weights_of_a_stream_that_overflow():
    """They are to be compared with those of later chunks, and so stay as they are."""
    with pytest.raises(ValueError, match="chunk 0 of stream: class_weight times sample_weight must be finite"):
        Network([3, 2]).fit(stream=[(X, NUMBERS % 2, np.full(N, 1e300))], class_weight={0: 1e300})


# --- files ---


@pytest.mark.parametrize(
    "change",
    [
        {"task": ["classes", ["a"], False]},
        {"task": ["classes", None, False]},
        {"task": ["regression", [0, 1, 2], False]},
        {"task": ["guess", None, False]},
        {"task": ["classes", [0, 1, 2], 1]},
        {"task": 5},
        {"names": ["a"]},
        {"names": [1, 2, 3]},
        {"scale": "none"},
        {"wished_task": "none"},
        {"wished_classes": [1, 1, 1]},
    ],
    ids=str,
)
def test_a_file_that_says_wrong_things_of_the_data(change, tmp_path):
    trained(NUMBERS).save(tmp_path / "net")
    record = persistence.read(tmp_path / "net")
    persistence.write(
        tmp_path / "net", record._replace(header={**record.header, "data": record.header["data"] | change})
    )
    with pytest.raises(ValueError, match="net"):
        fastnn.load(tmp_path / "net")


# --- labels that NumPy would turn into others ---


def test_whole_numbers_beyond_what_float64_tells_apart():
    y = np.array([2**60, 2**60 + 1, 7] * 20, object)
    net = Network([1, 3]).copy()
    net.fit(np.tile([[0.0], [1.0], [2.0]], (20, 1)), y, epochs=1)
    assert net.classes.tolist() == [7, 2**60, 2**60 + 1]
    y = np.array([3, 2**63 + 5] * 10, np.uint64)
    net = Network([1, 1])
    net.fit(np.tile([[0.0], [5.0]], (10, 1)), y, epochs=50)
    for one in (net, net.copy()):
        assert one.predict([[0.0], [5.0]]).tolist() == [3, 2**63 + 5]
        assert one.evaluate([[0.0], [5.0]], np.array([3, 2**63 + 5], np.uint64))["accuracy"] == 1
        assert one.evaluate([[0.0]], np.array([3], np.int64))["accuracy"] == 1
    with pytest.raises(ValueError, match="64 bits"):
        Network([1, 3]).fit([[0.0], [1.0], [2.0]], np.array([2**70, 1, 2], object))


@pytest.mark.parametrize("y", [["a", float("nan"), "b"], ["a", 1, "b"], [None, "a", "b"]])
def test_a_list_of_text_and_something_else_is_refused(y):
    with pytest.raises((ValueError, TypeError), match="y must"):
        Network([1, 3]).fit([[0.0], [1.0], [2.0]], y)


def test_text_in_a_matrix_is_refused():
    net = Network([1, 2])
    net.fit([[0.0], [1.0]], ["a", "b"])
    for use in (net.fit, net.evaluate, net.gradients):
        with pytest.raises(ValueError, match=r"one label for every sample \(n,\)"):
            use([[0.0], [1.0]], [["a", "b"], ["b", "a"]])


# --- frames whose columns are numbers ---


def test_columns_that_nobody_has_named_are_put_right_by_their_numbers():
    pd = pytest.importorskip("pandas")
    data, answers = pd.DataFrame(RNG.normal(size=(40, 3))), np.arange(40) % 2
    moved = data[[2, 0, 1]]
    for first, second in ((data, moved), (moved, data), (data.to_numpy(), data), (data, data.to_numpy())):
        net = Network([3, 2])
        net.fit(first, answers, epochs=1)
        np.testing.assert_array_equal(net.forward(first), net.forward(second))
    net = Network([3, 2], scale="standard")
    net.fit(data, answers, epochs=1)
    np.testing.assert_array_equal(net.forward(data), net.forward(moved))


# --- defaults ---


def test_defaults_train_a_plain_regression_and_a_plain_classification():
    inputs = RNG.normal(size=(400, 6))
    quantity = np.sin(2 * inputs[:, 0]) + inputs[:, 1] + 0.1 * RNG.normal(size=400)
    for activation in ("sigmoid", "tanh", "relu"):
        net = Network([6, 30, 1], activation, "identity", "quadratic", scale="standard")
        net.fit(inputs[:300] * 1000, quantity[:300])
        left = ((net.predict(inputs[300:] * 1000) - quantity[300:]) ** 2).mean()
        assert left < 0.5 * quantity.var(), activation
    kinds = np.array(["low", "high"])[(quantity > 0).astype(int)]
    for output, cost in (("sigmoid", "cross_entropy"), ("softmax", "log_likelihood")):
        net = Network([6, 30, 2], "tanh", output, cost, scale="standard")
        net.fit(inputs[:300], kinds[:300])
        assert (net.predict(inputs[300:]) == kinds[300:]).mean() > 0.75


# --- names of columns ---

NAMED = np.column_stack([X[:, 0] > 0.5, X[:, 1] > 0.5, X[:, 0] < 2])  # several may hold


def framed(kind, columns=("sweet", "sour", "salty")):
    """Targets as a frame: what the network is that learns it, and the frame by columns."""
    values = {"multilabel": NAMED, "regression": NAMED / 3 + X / 9, "classes": np.eye(3)[NUMBERS]}[kind]
    return {name: values[:, i] for i, name in enumerate(columns)}


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize("kind", ["multilabel", "regression", "classes"])
def test_columns_of_y_are_known_by_their_names(kind, library, tmp_path):
    module = pytest.importorskip(library)
    make = module.table if library == "pyarrow" else module.DataFrame
    columns = framed(kind)
    y = make(columns)
    turned = make({name: columns[name] for name in ("salty", "sweet", "sour")})
    others = make(framed(kind, ("sweet", "sour", "bitter")))
    settings = {"output": "identity", "cost": "quadratic"} if kind == "regression" else {}
    net = trained(y, **settings)
    assert net.targets == ("sweet", "sour", "salty")
    net.save(tmp_path / "net")
    for one in (net, fastnn.load(tmp_path / "net"), net.copy()):
        assert one.task == kind
        assert one.targets == net.targets
        assert one.evaluate(X, turned) == one.evaluate(X, y) == one.evaluate(X, np.column_stack(list(columns.values())))
        for use in (one.evaluate, one.gradients, one.fit):
            with pytest.raises(
                ValueError, match=r"y must have the columns of the first fit.*lacks 'salty' and has 'bit"
            ):
                use(X, others)
        with pytest.raises(ValueError, match="validation_data: y must have the columns of the first fit"):
            one.fit(X, y, validation_data=(X, others))
    again, expected = net.copy(), net.copy()
    expected.fit(X, y, epochs=2, validation_data=(X, y))
    again.fit(X, turned, epochs=2, validation_data=(X, turned))
    assert same(again, expected)
    assert again.history.val_cost == expected.history.val_cost
    streamed = net.copy()
    streamed.fit(stream=[(X, turned)], epochs=2, validation_data=(X, y))
    assert same(streamed, expected)


def test_targets_without_names_have_none():
    pd = pandas()
    assert trained(NUMBERS).targets is None
    assert trained(NAMED).targets is None
    assert trained(pd.DataFrame(NAMED)).targets is None
    assert trained(pd.DataFrame({"only": NUMBERS % 2}), 1).targets is None  # it cannot be mistaken for another one
    net = trained(pd.DataFrame(NAMED))
    assert net.evaluate(X, pd.DataFrame(NAMED)[[2, 0, 1]]) == net.evaluate(X, NAMED)
