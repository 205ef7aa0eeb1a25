"""Every finding is provoked, its advice is followed and helps, and healthy training is silent."""

import inspect
import re
import warnings
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_info, threadpool_limits

import fastnn
from fastnn import cli, diagnostics
from fastnn.compat import musings, nielsen
from fastnn.compat.notebook import FeedForwardNeuralNetwork
from fastnn.diagnostics import facts, look, rules, watch
from fastnn.diagnostics.wording import Facts
from fastnn.formulas import activations, costs, numeric
from fastnn.formulas.activations import ROWS as ACTIVATIONS
from fastnn.formulas.costs import ROWS as COSTS
from fastnn.initializers import INITIALIZER_NAMES
from fastnn.optimizers import OPTIMIZERS

Array = NDArray[Any]
X, Y, XT, YT = fastnn.datasets.load_digits()
RNG = np.random.default_rng(0)


def normal_layers(sizes: list[int], scale: float, bias: float = 0.0) -> tuple[list[Array], list[Array]]:
    shapes = list(zip(sizes[1:], sizes[:-1], strict=True))
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape) * scale / np.sqrt(shape[1]) for shape in shapes]
    return weights, [np.full(n_out, bias) for n_out, _ in shapes]


def case(name: str, layer: int | None, text: str, change: dict[str, Any], *net: Any, **given: Any) -> Any:
    """What is to be found, and how it comes about: sizes and other arguments of the network, data, arguments of fit."""
    sizes, *rest = net or ([64, 20, 10],)
    arguments = {"sizes": sizes, **(rest[0] if rest else {})}
    data = given.pop("X", X), given.pop("y", Y)
    return pytest.param(name, layer, text, change, arguments, *data, given, id=f"{name}: {text}")


DEEP = [64, *[12] * 8, 10]
PRICES = np.column_stack([X[:, 20:30], RNG.normal(2e5, 5e4, len(X)), RNG.normal(5, 1, len(X))])
CENTRES = RNG.normal(size=(1000, 2)) + np.where(np.arange(1000) < 980, 0, 1.5)[:, np.newaxis]
RARE = (np.arange(1000) >= 980).astype(int)
SHUFFLED = np.random.default_rng(1).permutation(Y)
HE = {"activation": "relu", "output": "softmax", "cost": "log_likelihood", "initializer": "he"}
QUADRATIC = {"cost": "quadratic"}
SAME = ([np.zeros((20, 64)), np.zeros((10, 20))], [np.zeros(20), np.zeros(10)])
THROWN = normal_layers([64, 20, 10], 1.0, 12.0)
STUCK = (THROWN[0], [np.zeros(20), THROWN[1][1]])

CASES = [
    case("inputs far from unit scale", None, "from 0 to 255", {"scale": "255"}, X=np.floor(X * 255)),
    case("inputs far from unit scale", None, "typically 0.00392", {"scale": '"standard"'},
         [64, 20, 10], {"scale": 255}, X=(X > 0.5).astype(np.uint8)),
    case("targets far from unit scale", None, "from 0 to 9000", {"target_scale": '"standard"'},
         [64, 20, 1], {"output": "identity", **QUADRATIC}, y=Y * 1000.0, optimizer=fastnn.Adam(0.01)),
    case("targets far from unit scale", None, "vary by 0.0", {"target_scale": '"standard"'},
         [64, 20, 1], {"output": "identity", **QUADRATIC}, y=Y * 1e-3, optimizer=fastnn.Adam(0.01)),
    case("targets far from unit scale", None, "from 0 to 9000", {"y": "(y - y.mean(axis=0)) / y.std(axis=0)"},
         [64, 20, 1], {"output": "leaky_relu", **QUADRATIC}, y=Y * 1000.0, optimizer=fastnn.Adam(0.01)),
    case("constant inputs", None, "samples are all the same", {}, X=np.full(X.shape, 0.1, np.float32)),
    case("inputs far from unit scale", None, "from 0 to 0.0001", {"scale": "0.0001"}, X=X * 1e-4),
    case("inputs far from unit scale", None, "typically 2", {"scale": '"standard"'},
         [12, 20, 10], X=PRICES),
    case("inputs far from unit scale", None, "to 500", {"scale": "500"}, X=sparse.csr_matrix(X * 500)),
    case("unsuitable initializer", 1, "have the same weights", {"initializer": '"scaled"'},
         [64, 20, 10], {"initializer": SAME}),
    case("unsuitable initializer", 1, "all positive", {"initializer": '"glorot"'},
         [64, 20, 10], {"initializer": "uniform", "activation": "tanh"}),
    case("unsuitable initializer", 1, "weights of 25 from 64", {"initializer": '"he"'},
         [64, 20, 10], {**HE, "initializer": normal_layers([64, 20, 10], 200)}, optimizer=fastnn.SGD(1e-4)),
    case("saturated units", 1, "is weights that are too large", {"initializer": '"scaled"'},
         [64, 20, 10], {"initializer": normal_layers([64, 20, 10], 200)}),
    case("saturated units", 1, "the cause is raw inputs", {"scale": "255"}, X=np.floor(X * 255)),
    case("saturated units", 1, "steps that were too large", {"initializer": '"scaled"', "learning_rate": 1.0},
         optimizer=fastnn.SGD(10), batch_size=1),
    case("dead ReLUs", 1, "20 of 20 units", {"initializer": '"he"'},
         [64, 20, 10], {**HE, "initializer": normal_layers([64, 20, 10], 1.0, -9.0)}),
    case("dead ReLUs", 1, "begin with new weights", {"initializer": '"he"', "learning_rate": 0.5},
         [64, 20, 10], HE, optimizer=fastnn.SGD(5)),
    case("vanishing gradients", 2, "in the first", {"activation": '"relu"', "initializer": '"he"'}, DEEP),
    case("exploding gradients", 1, "in the first", {"initializer": '"he"', "learning_rate": 1e-5},
         DEEP, {**HE, "initializer": normal_layers(DEEP, 8.0)}, optimizer=fastnn.SGD(1e-4)),
    case("cost and output activation fight", 2, "lie beyond the sigmoid's reach", {"output": '"identity"'},
         [64, 20, 1], QUADRATIC, y=Y - 4.5, optimizer=fastnn.SGD(0.01)),
    case("cost and output activation fight", 2, "wrong and saturated",
         {"output": '"sigmoid"', "cost": '"cross_entropy"'},
         [64, 20, 10], {**QUADRATIC, "initializer": STUCK}),
    case("labels look shuffled", None, "nearest neighbour", {}, y=SHUFFLED, validation_data=(XT, YT)),
    case("every output the same vector", None, "pulled to 0 by l2", {"l2": "0.005"}, l2=0.5),
    case("every output the same vector", None, "tells none of them apart",
         {"initializer": '"scaled"', "learning_rate": 0.05},
         [64, 20, 10], {**QUADRATIC, "initializer": "uniform"}, epochs=6),
    case("learning rate too high", None, "with batches of 1 is too much", {"learning_rate": 0.5},
         [64, 20, 10], {"cost": "sum_squares"}, optimizer=fastnn.SGD(5), batch_size=1),
    case("learning rate too high", None, "moves the outputs by", {"learning_rate": 0.3},
         [64, 1], {"output": "identity", **QUADRATIC}, optimizer=fastnn.Adam(3.0), y=X @ RNG.normal(size=64)),
    case("learning rate too high", None, "is too much to settle", {"learning_rate": 0.79}, optimizer=fastnn.SGD(4),
         epochs=30),
    case("learning rate too low", None, "is too little", {"learning_rate": 0.5}, optimizer=fastnn.SGD(1e-6)),
    case("learning rate too low", None, "is too little", {"learning_rate": 0.01},
         [64, 20, 10], HE, optimizer=fastnn.Adam(1e-7)),
    case("class imbalance", None, "class 0 has 980 of 1,000", {"class_weight": '"balanced"'},
         [2, 4, 2], X=CENTRES, y=RARE),
    case("class imbalance", None, "right in 98.0%",
         {"class_weight": '"balanced"'},
         [2, 4, 1], X=CENTRES, y=RARE.astype(float)),
    case("overfitting", None, "since epoch", {"callbacks": "[fastnn.EarlyStopping()]"},
         X=X[:150], y=np.where(RNG.random(150) < 0.2, 3, Y[:150]), validation_data=(XT, YT), epochs=200),
]  # fmt: skip


def findings(net: dict[str, Any], X: Any, y: Any, fit: dict[str, Any]) -> list[fastnn.Finding]:
    """What ten epochs warn of."""
    network = fastnn.Network(**net)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = network.fit(X, y, **{"epochs": 10, **fit})
    assert [str(warning.message) for warning in caught] == [str(finding) for finding in history.findings]
    assert all((warning.category, warning.filename) == (fastnn.TrainingWarning, __file__) for warning in caught)
    return history.findings


def followed(finding: fastnn.Finding, net: dict[str, Any], X: Any, y: Any, fit: dict[str, Any]) -> tuple[Any, ...]:
    """The same with what the finding says, from its Python source."""
    net, fit = dict(net), dict(fit)
    for name, source in finding.change.items():
        if name == "learning_rate":
            fit["optimizer"] = eval(finding.advice.partition("optimizer=")[2].partition(")")[0] + ")")
            assert fit["optimizer"].learning_rate == source
        elif name == "y":
            y = eval(source)
        else:
            built = ("scale", "target_scale", "activation", "output", "cost", "initializer")
            (net if name in built else fit)[name] = eval(source)
    return net, X, y, fit


@pytest.mark.parametrize(("name", "layer", "text", "change", "net", "data", "y", "fit"), CASES)
def test_every_finding(
    name: str, layer: int | None, text: str, change: dict[str, Any], net: Any, data: Any, y: Array, fit: Any
) -> None:
    found = {finding.name: finding for finding in findings(net, data, y, fit)}
    assert name in found
    finding = found[name]
    assert (finding.layer, finding.change) == (layer, change)
    assert text in finding.evidence
    made_anew = name in ("labels look shuffled", "constant inputs")
    again = findings(*((net, X, Y, fit) if made_anew else followed(finding, net, data, y, fit)))
    assert name not in {finding.name for finding in again}


def test_every_rule_is_provoked() -> None:
    assert {parameters.values[0] for parameters in CASES} == set(diagnostics.RULES)


# --- Names ---


@pytest.mark.parametrize("name", [name for name, row in ACTIVATIONS.items() if row.hidden])
def test_what_is_known_of_an_activation_is_so(name: str) -> None:
    row = activations.resolve(name)
    known = facts.activation(row)
    assert known.initializer in INITIALIZER_NAMES
    Z = np.linspace(-9, 9, 1801)[:, np.newaxis] + 1e-3  # not at a kink
    A = numeric.activate(row, Z)
    slope = (numeric.activate(row, Z + 1e-6) - numeric.activate(row, Z - 1e-6)) / 2e-6
    np.testing.assert_allclose(numeric.slope(row, Z), slope, rtol=1e-6, atol=1e-8)
    assert known.low <= A.min() + 1e-3  # found on a grid
    assert A.max() <= known.high
    flat = abs(slope) < facts.FLAT
    if np.isfinite(known.flat):
        assert flat[abs(Z) > known.flat + 0.01].all()  # found on a grid
        assert not flat[abs(Z) < 0.95 * known.flat].any()
        targets = np.array([[known.low, known.high]])
        assert abs((A - targets) * slope).max() == pytest.approx(known.largest_delta, rel=1e-2)
    assert known.dies == bool((A[Z < 0] == 0).all())


def test_what_is_known_of_costs_is_so() -> None:
    found = {
        name: facts.error_factor(costs.resolve(name), activations.resolve(row.outputs[0]))
        for name, row in COSTS.items()
    }
    assert found["quadratic"] == 1
    assert found["sum_squares"] == 2
    assert found["cross_entropy"] is found["log_likelihood"] is None


HIDDEN = [name for name, row in ACTIVATIONS.items() if row.hidden]
NETWORKS = [
    *((name, "softmax", "log_likelihood", "sgd") for name in HIDDEN),
    *(("tanh", output, name, "adam") for name, row in COSTS.items() for output in row.outputs),
    *(("relu", "sigmoid", "cross_entropy", name) for name in OPTIMIZERS),
]


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")
@pytest.mark.parametrize(("activation", "output", "cost", "optimizer"), NETWORKS)
def test_every_network_can_be_looked_at(activation: str, output: str, cost: str, optimizer: str) -> None:
    """Every name once with each that it goes with; also through the rules that ask for the course of a training."""
    net = fastnn.Network([64, 8, 6, 3], activation, output, cost)
    inputs, targets = X[:300], np.eye(3)[Y[:300] % 3]
    net.fit(inputs, targets, 5, 300, replace(OPTIMIZERS[optimizer](), learning_rate=1e-3))
    sample = look.draw(net._model, net._samples(inputs, targets).data, 300)
    state = look.look(net._model, sample)
    np.testing.assert_allclose(state.A[-1], net.forward(sample.X), rtol=1e-3, atol=1e-4)
    history = fastnn.History(train_cost=[1.0] * 9, train_accuracy=[0.1] * 9, val_cost=[1.0] * 4 + [2.0] * 5)
    e = rules.Evidence(net._model, net._settings, sample, state, state.weights, 9, history)
    for rule in rules.RULES.values():
        rule.check(e)


def test_the_gradients_of_a_look_are_the_network_s() -> None:
    quantiles = "pinball(quantiles=[0.5, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95])"  # one for each output
    for name, row in COSTS.items():
        cost, targets = (quantiles, np.eye(10)[Y[:100]]) if name == "pinball" else (name, Y[:100])
        for output in row.outputs:
            net = fastnn.Network([64, 8, 10], "tanh", output, cost, dtype="float64")
            sample = look.draw(net._model, net._samples(X[:100], targets).data, 100)
            state = look.look(net._model, sample)
            by_weights, by_biases = net.gradients(X[:100], targets)
            np.testing.assert_allclose(state.deltas[0].mean(axis=0), by_biases[0], rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(state.deltas[1].T @ state.A[1] / 100, by_weights[1], rtol=1e-9, atol=1e-12)


# --- Words ---


PLACES = {
    "library": [fastnn.Network, fastnn.Network.fit, fastnn.SGD],
    "nielsen": [nielsen.Network.SGD],
    "musings": [musings.NN.trainer],
    "notebook": [FeedForwardNeuralNetwork.train],
    "command": [],
}


@pytest.mark.parametrize("change", [p.values[3] for p in CASES if p.values[3]], ids=str)
@pytest.mark.parametrize("place", diagnostics.WORDINGS)
def test_advice_names_what_exists_where_training_was_started(
    place: str, change: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    said = diagnostics.WORDINGS[place].advise(change, Facts(fastnn.SGD(0.5), 1000))
    assert said
    elsewhere = re.search(r"fastnn\.Network\(.*, which can do what this class cannot|fit\(.*, which can", said)
    own = said if place == "library" or elsewhere is None else said[: elsewhere.start()]
    known = {name for call in PLACES[place] for name in inspect.signature(call).parameters}
    assert set(re.findall(r"(\w+)=", own)) <= known | {"axis"}
    assert place in ("library", "command") or "--" not in said
    if place == "command":
        with pytest.raises(SystemExit):
            cli.main(["train", "--help"])
        options = re.findall(r"--[a-z0-9-]+", capsys.readouterr().out)
        assert set(re.findall(r"--[a-z0-9-]+", said)) <= set(options)


@pytest.mark.filterwarnings("ignore:saturated units")
def test_warnings_of_the_classes_of_old_say_it_in_their_words() -> None:
    data = [(x[:, np.newaxis] * 255, np.eye(10)[y][:, np.newaxis]) for x, y in zip(X[:200], Y[:200], strict=True)]
    with pytest.warns(fastnn.TrainingWarning, match="inputs far from unit scale.*Change: divide every x by 255"):
        nielsen.Network([64, 20, 10]).SGD(data, 1, 10, 0.1)
    with pytest.warns(
        fastnn.TrainingWarning, match=r"eta 1e-06 with batches of 10.*Change: trainer\(\.\.\., eta=0.5\)"
    ):
        musings.NN([64, 20, 10]).trainer([(x / 255, y) for x, y in data], 8, 10, 1e-6, 0.0)


HEALTHY = {
    "as it comes": ([64, 30, 10], {}, {}),
    # Up to here: by epoch 100 the cost on the test data has risen by a fifth, and overfitting is what it is.
    "for long": ([64, 30, 10], {}, {"epochs": 60}),
    "samples one by one": ([64, 30, 10], {}, {"optimizer": fastnn.SGD(0.05), "batch_size": 1}),
    "all samples at once": ([64, 30, 10], {}, {"optimizer": fastnn.SGD(3), "batch_size": len(X), "epochs": 100}),
    "the book's start": ([64, 30, 10], {"initializer": "normal", **QUADRATIC}, {"optimizer": fastnn.SGD(3)}),
    "deep sigmoid": ([64, 30, 30, 10], {"initializer": "glorot"}, {"epochs": 30}),
    "relu, softmax and Adam": ([64, 40, 20, 10], HE, {"optimizer": "adam"}),
    "tanh and momentum": ([64, 30, 10], {"activation": "tanh"}, {"optimizer": fastnn.SGD(0.02, momentum=0.9)}),
    "no hidden layer": ([64, 10], {"output": "softmax", "cost": "log_likelihood"}, {"l2": 1e-3}),
}


@pytest.mark.parametrize(("sizes", "net", "fit"), HEALTHY.values(), ids=HEALTHY)
def test_healthy_training_is_silent(sizes: list[int], net: Any, fit: Any) -> None:
    """Warnings are errors in these tests."""
    network = fastnn.Network(sizes, **net)
    assert network.diagnose(X, Y) == ()
    history = network.fit(X, Y, **{"epochs": 10, **fit}, validation_data=(XT, YT))
    assert history.val_accuracy[-1] > 0.85
    assert history.findings == []
    assert network.diagnose(X, Y) == network.diagnose(XT, YT) == ()


def test_healthy_regression_is_silent() -> None:
    inputs = RNG.normal(size=(500, 3))
    targets = inputs @ RNG.normal(size=(3, 2)) + RNG.normal(size=(500, 2))
    for activation in ("tanh", "relu", "sigmoid"):
        net = fastnn.Network([3, 20, 2], activation, "identity", "quadratic")
        net.fit(inputs, targets, 50, optimizer=fastnn.SGD(0.02))
        assert net.diagnose(inputs, targets) == ()


@pytest.mark.parametrize("n", [31, 32])
def test_too_few_samples_to_judge(n: int) -> None:
    net = fastnn.Network([64, 20, 10])
    assert len(net.diagnose(X[:n] * 1000, Y[:n])) == (0 if n < 32 else 2)


def test_bytes_are_numbers_and_matrices_may_be_sparse() -> None:
    net = fastnn.Network([64, 20, 10])
    assert fastnn.Network([64, 20, 10], scale=255).diagnose((X * 255).astype(np.uint8), Y) == ()
    assert net.diagnose((X * 255).astype(np.uint8), Y)[0].change == {"scale": "255"}
    assert net.diagnose(sparse.csr_matrix(X), Y) == ()
    assert net.diagnose(X, np.eye(10)[Y]) == ()
    shares = fastnn.Network([64, 20, 64])  # no classes, whatever output is the largest
    assert shares.fit(X, X, 10).findings == []
    assert look.draw(shares._model, shares._samples(X, X).data, len(X)).counts.size == 0
    assert net.diagnose(X * 300, Y)[0].evidence == net.diagnose(sparse.csr_matrix(X * 300), Y)[0].evidence


def test_diagnose_looks_at_now_and_remembers_the_course() -> None:
    net = fastnn.Network([64, 20, 10])
    with pytest.warns(fastnn.TrainingWarning, match="learning rate too low"):
        net.fit(X, Y, 6, optimizer=fastnn.SGD(1e-6))
    assert [finding.name for finding in net.diagnose(X, Y)] == ["learning rate too low"]
    assert [finding.name for finding in net.diagnose(X * 1000, Y)] == [
        "inputs far from unit scale",
        "saturated units",
        "learning rate too low",
    ]
    assert str(net.diagnose(X, Y)) == f"- {net.history.findings[0]}"
    net.fit(X, Y, 10)
    assert str(net.diagnose(X, Y)) == "nothing found"
    with pytest.raises(ValueError, match="X must have shape"):
        net.diagnose(X[:, :3], Y)


@pytest.mark.parametrize("activation", ["relu", "identity", "sigmoid"])
@pytest.mark.parametrize(("output", "cost"), [("softmax", "log_likelihood"), ("identity", "quadratic")])
def test_numbers_beyond_the_range_are_no_obstacle(activation: str, output: str, cost: str) -> None:
    net = fastnn.Network(DEEP, activation, output, cost, initializer=normal_layers(DEEP, 1e20))
    net.history = fastnn.History(train_cost=[1.0] * 9, train_accuracy=[0.1] * 9)
    assert net.diagnose(X, Y)
    data, history = net._samples(X, Y).data, net.history
    watching = diagnostics.Watch(net._model, data, len(X), diagnostics.Settings.of(fastnn.SGD(), 10), None, history)
    with pytest.warns(fastnn.TrainingWarning):
        watching.begin()


def test_rare_classes_are_always_looked_at() -> None:
    y = np.zeros(100_000, int)
    y[77_777] = 1
    net = fastnn.Network([2, 2])
    data = net._samples(RNG.normal(size=(len(y), 2)), y).data
    assert look.draw(net._model, data, len(y)).answers.sum() == 1


def test_a_filter_switches_warnings_off_and_an_error_leaves_the_network_usable() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastnn.TrainingWarning)
        history = fastnn.Network([64, 20, 10]).fit(X * 1000, Y, 1)
    assert [finding.name for finding in history.findings] == ["inputs far from unit scale", "saturated units"]
    net = fastnn.Network([64, 20, 10])
    with pytest.raises(fastnn.TrainingWarning, match="inputs far from unit scale"):  # as in these tests
        net.fit(X * 1000, Y, 1)
    assert net.history.stopped_by == "error"
    assert net.fit(X, Y, 1).stopped_by == "epochs"


def test_looking_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def trained() -> fastnn.Network:
        net = fastnn.Network([64, 20, 10])
        net.fit(X, Y, 3, optimizer=fastnn.SGD(0.1, momentum=0.9), l2=1e-4)
        return net

    watched = trained()
    monkeypatch.setattr(diagnostics.Watch, "look", lambda self, between: None)
    monkeypatch.setattr(diagnostics.Watch, "begin", lambda self, between: None)
    for one, other in zip(watched.weights, trained().weights, strict=True):
        np.testing.assert_array_equal(one, other)


def cores_of_numpy() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_looks_leave_the_other_cores_to_training(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, activate = [], numeric.activate
    noted = lambda row, Z: (seen.append(cores_of_numpy()), activate(row, Z))[1]  # noqa: E731
    monkeypatch.setattr(numeric, "activate", noted)
    look._linear_algebra.cache_clear()  # SciPy's own, which other tests load, is counted here too
    with threadpool_limits(2, user_api="blas"):
        before = cores_of_numpy()  # empty where NumPy has a library that nobody can ask
        fastnn.Network([64, 20, 10], seed=0).fit(X, Y, epochs=1)
        with look.one_core():  # as another thread's look may, which is over later
            fastnn.Network([64, 20, 10], seed=0).diagnose(X, Y)
            assert cores_of_numpy() <= {1}
        assert cores_of_numpy() == before
    assert len(seen) >= 6
    assert set().union(*seen) <= {1}


@pytest.mark.parametrize(("seconds", "looks"), [(1.0, 200), (0.05, 100), (0.001, 2)])
def test_looks_take_one_percent_of_the_time(seconds: float, looks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock on which every look takes a millisecond; the first and the last are free."""
    net, history = fastnn.Network([64, 20, 10]), fastnn.History()
    settings = diagnostics.Settings.of(fastnn.SGD(), 10)
    watching = diagnostics.Watch(net._model, net._samples(X, Y).data, len(X), settings, None, history)
    ticks, looked = iter(np.arange(10_000) * 1e-3), []
    monkeypatch.setattr(watch, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    real = look.look
    monkeypatch.setattr(look, "look", lambda *arguments: looked.append(1) or real(*arguments))
    watching.begin()
    for _ in range(199):
        history.seconds.append(seconds)
        history.train_cost.append(0.5 ** len(history.seconds))
        watching.after_epochs(1)
    watching.finish()
    assert looks - 1 <= len(looked) <= looks + 1


def test_never_to_agree_with_a_neighbour_is_no_sign_of_shuffling() -> None:
    """Of parity every neighbour has the other label, and nothing is learned for long."""
    bits = (np.arange(256)[:, np.newaxis] >> np.arange(8) & 1).astype(float)
    history = fastnn.Network([8, 16, 2], activation="tanh").fit(bits, bits.sum(axis=1).astype(int) % 2, epochs=20)
    assert not history.findings


def test_a_plateau_is_not_left_by_smaller_steps() -> None:
    bits = np.tile([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], (25, 1))
    net = fastnn.Network([2, 3, 1], cost="quadratic")
    with pytest.warns(fastnn.TrainingWarning, match="plateau"):
        (finding,) = net.fit(bits, bits[:, 0] != bits[:, 1], epochs=200, batch_size=4).findings
    assert finding.change == {"learning_rate": 5.0}
    better = fastnn.Network([2, 3, 1], cost="quadratic")
    better.fit(bits, bits[:, 0] != bits[:, 1], epochs=200, batch_size=4, optimizer=fastnn.SGD(5.0))
    assert better.history.train_cost[-1] < 0.01


@pytest.mark.parametrize("order", [np.argsort(Y[:250], kind="stable"), np.arange(250)], ids=["sorted", "shuffled"])
def test_the_order_of_the_data_is_nothing_to_judge(order: Array) -> None:
    sample = look.draw(*sampled(order))
    assert len(np.unique(sample.answers[:25])) > 4


def sampled(order: Array) -> tuple[diagnostics.Model, Any, int]:
    net = fastnn.Network([64, 20, 10])
    return net._model, net._samples(X[:250][order], Y[:250][order]).data, 250


def test_a_fit_that_trains_nothing_leaves_the_first_look_to_the_next() -> None:
    net = fastnn.Network([64, 20, 10])
    net.fit(1000 * X, Y, epochs=0)
    with pytest.warns(fastnn.TrainingWarning):
        history = net.fit(1000 * X, Y, epochs=1)
    assert history.findings[0].name == "inputs far from unit scale"


def test_a_copy_remembers_how_it_was_trained() -> None:
    net = fastnn.Network([64, 20, 10])
    net.fit(X, Y, epochs=1, batch_size=20, optimizer=fastnn.Adam(0.01), l2=1e-4)
    assert net.copy()._settings == net._settings
    assert net.copy().diagnose(X, Y) == net.diagnose(X, Y)
