"""Targets of any size: a network with a scale for them is the same network on scaled targets, in units of one's own."""

import copy
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from states import state

import fastnn
from fastnn.inputs import streams

Array = NDArray[Any]
DTYPES = ["float32", "float64"]
N = 200
EPS = {"float32": 2e-6, "float64": 1e-13}


def samples(n_out: int = 1, n: int = N) -> tuple[Array, Array]:
    """Prices around 200,000 and shares around a millionth."""
    rng = np.random.default_rng(n_out)
    X = rng.normal(size=(n, 5))
    Y = np.tanh(X @ rng.normal(size=(5, n_out)) / 2)
    return X, Y * [5e4, 1e-7, 3.0][:n_out] + [2e5, 1e-6, 0.0][:n_out]


def network(scale: Any = "standard", n_out: int = 1, dtype: str = "float32", **options: Any) -> fastnn.Network:
    given: dict[str, Any] = {"cost": "quadratic", "seed": 3, **options}
    return fastnn.Network([5, 8, n_out], "tanh", "identity", dtype=dtype, target_scale=scale, **given)


def by_hand(scale: Any, Y: Array) -> tuple[Any, Any]:
    """Shift and unit."""
    quartiles = np.quantile(Y, [0.25, 0.5, 0.75], axis=0)
    return {
        "standard": (Y.mean(axis=0), Y.std(axis=0)),
        "minmax": (Y.min(axis=0), np.ptp(Y, axis=0)),
        "robust": (quartiles[1], quartiles[2] - quartiles[0]),
    }.get(scale, (0.0, scale))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_out", [1, 3])
@pytest.mark.parametrize("scale", ["standard", "minmax", "robust", 1e5])
def test_it_trains_as_on_targets_scaled_by_hand(scale: Any, n_out: int, dtype: str) -> None:
    X, Y = samples(n_out)
    shift, unit = by_hand(scale, Y)
    ours, theirs = network(scale, n_out, dtype), network(None, n_out, dtype)
    histories = [
        net.fit(X, y, epochs=5, validation_data=(X, y), sample_weight=np.arange(N) % 2 + 0.5)
        for net, y in ((ours, Y), (theirs, (Y - shift) / unit))
    ]
    tolerance = 100 * EPS[dtype]
    for W, V in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(W, V, tolerance, tolerance)
    np.testing.assert_allclose(histories[0].train_cost, histories[1].train_cost, tolerance)
    np.testing.assert_allclose(histories[0].val_cost, histories[1].val_cost, tolerance)
    np.testing.assert_allclose((ours.forward(X) - shift) / unit, theirs.forward(X), atol=1e3 * tolerance)
    assert ours.forward(X).dtype == np.float64
    assert ours.evaluate(X, Y)["cost"] == pytest.approx(theirs.evaluate(X, (Y - shift) / unit)["cost"], rel=tolerance)
    for mine, other in zip(ours.gradients(X, Y).weights, theirs.gradients(X, (Y - shift) / unit).weights, strict=True):
        np.testing.assert_allclose(mine, other, 10 * tolerance, 10 * tolerance)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [2e5, 1e-6])
def test_targets_of_any_size_are_learned_without_a_warning(size: float) -> None:
    X, Y = samples()
    y = size * (1 + (Y[:, 0] - 2e5) / 2e5)
    net = network()
    cost = net.fit(X, y, epochs=60, batch_size=10).train_cost[-1]
    explained = 1 - np.mean((y - net.predict(X)) ** 2) / y.var()
    assert explained > 0.9
    assert 1 - 2 * net.evaluate(X, y)["cost"] == pytest.approx(explained, abs=1e-4)
    assert cost < 0.1
    assert net.predict(X).shape == (N,)
    assert (net.task, net.target_scale) == ("regression", "standard")
    assert net.diagnose(X, y) == ()


def test_the_advice_is_what_helps() -> None:
    X, Y = samples()
    net = network(None)
    with pytest.warns(fastnn.TrainingWarning, match='Network.*target_scale="standard"'):
        net.fit(X, Y, epochs=3)
    (finding,) = [f for f in net.diagnose(X, Y) if f.name == "targets far from unit scale"]
    assert finding.change == {"target_scale": '"standard"'}


def test_a_second_fit_keeps_the_scale() -> None:
    X, Y = samples()
    net = network()
    net.fit(X, Y, epochs=1)
    before = net._reader.target_scaling
    net.fit(X, 2 * Y, epochs=1)
    assert net._reader.target_scaling is before


def test_only_what_is_trained_on_is_learned_from() -> None:
    X, Y = samples()
    shifted = np.concatenate([Y, Y + 1e7])
    doubled, weights = np.concatenate([X, X]), np.repeat([1.0, 0.0], N)
    net = network()
    net.fit(doubled, shifted, epochs=1, sample_weight=weights)
    alone = network()
    alone.fit(X, Y, epochs=1)
    assert state(net) == state(alone)
    with pytest.raises(ValueError, match="as many rows as X"):
        network().fit(doubled, Y, epochs=1, sample_weight=weights)


@pytest.mark.parametrize("scale", [None, "standard"])
def test_of_a_split_the_samples_held_out_have_no_part(scale: Any) -> None:
    X, Y = samples()
    net = fastnn.Network([5, 8, 1], "tanh", "identity", "quadratic", scale=scale, target_scale="standard")
    net.fit(X, Y, epochs=2, validation_split=0.3)
    rows, _ = net._split(network(None)._samples(X, Y), 0.3)
    scaling = net._reader.target_scaling
    assert scaling is not None
    np.testing.assert_allclose([scaling.shift, scaling.unit], [Y[rows].mean(axis=0), Y[rows].std(axis=0)])


def test_of_many_every_network_learns_from_its_own_rows() -> None:
    X, Y = samples()
    rows = [np.arange(N) % 2 == i for i in range(2)]
    networks = [network() for _ in rows]
    fastnn.fit_many(networks, X, Y, epochs=2, rows=rows, validation_rows=[~own for own in rows])
    for net, own in zip(networks, rows, strict=True):
        alone = network()
        alone.fit(X[own], Y[own], epochs=2)
        assert state(net) == state(alone)
        assert (net.predict(X) == alone.predict(X)).all()
    found = fastnn.cross_validate(network, X, Y, folds=2, epochs=20)
    assert found.scores["val_cost"].mean() < 0.3


def test_an_ensemble_answers_in_units_of_y() -> None:
    X, Y = samples()
    networks = [network(seed=seed) for seed in range(3)]
    fastnn.fit_many(networks, X, Y, epochs=fastnn.each([0, 20, 20]))
    together = fastnn.Ensemble(networks[1:])
    np.testing.assert_allclose(
        together.predict(X), np.mean([net.predict(X) for net in networks[1:]], axis=0), rtol=1e-6
    )
    mean = (together.predict(X) - Y.mean()) / Y.std()
    expected = np.mean((mean - (Y - Y.mean()) / Y.std()) ** 2) / 2
    assert together.evaluate(X, Y)["cost"] == pytest.approx(expected, rel=1e-3)
    assert networks[0] not in fastnn.Ensemble.select(networks, X, Y).networks


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_for_any_number_of_threads(threads: int, dtype: str) -> None:
    X, Y = samples(3)
    one, other = network(n_out=3, dtype=dtype), network(n_out=3, dtype=dtype)
    one.fit(X, Y, epochs=3, batch_size=64)
    other.fit(X.tolist(), Y.tolist(), epochs=3, batch_size=64, threads=threads)
    assert state(one) == state(other)


def test_a_stream_learns_it_from_its_first_chunk() -> None:
    X, Y = samples()

    def chunks() -> Iterator[Any]:
        yield X[:100], Y[:100]
        yield X[100:], Y[100:]

    net = network()
    net.fit(stream=chunks, epochs=2)
    scaling = net._reader.target_scaling
    assert scaling is not None
    np.testing.assert_allclose([scaling.shift, scaling.unit], [Y[:100].mean(axis=0), Y[:100].std(axis=0)])
    assert abs(net.predict(X).mean() - 2e5) < 5e4


def test_an_array_in_a_file_is_the_same_as_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    X, Y = samples()
    net = network()
    net.fit(X, Y, epochs=2)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    expected = net.forward(X), net.evaluate(X, Y)
    monkeypatch.setattr(streams, "_LARGE_MAP", 0)
    assert (net.forward(mapped) == expected[0]).all()
    assert net.evaluate(mapped, Y) == expected[1]
    other = network()
    other.fit(mapped, Y, epochs=20)
    assert other.evaluate(X, Y)["cost"] < 0.5


def test_metrics_are_of_quantities_as_they_came() -> None:
    X, Y = samples()

    def mean_error(y_true: Array, y_pred: Array) -> float:
        np.testing.assert_allclose(y_true, Y[:, 0], rtol=1e-6)
        return float(np.abs(y_true - y_pred).mean())

    net = network()
    history = net.fit(X, Y, epochs=2, validation_data=(X, Y), metrics=[mean_error])
    assert history.metrics["mean_error"][-1] == pytest.approx(abs(Y - net.predict(X)).mean(), rel=1e-4)


def test_it_is_kept(tmp_path: Path) -> None:
    X, Y = samples(3)
    net = network(n_out=3)
    net.fit(X, Y, epochs=2)
    net.save(tmp_path / "net.npz")
    for other in (fastnn.load(tmp_path / "net.npz"), net.copy(), copy.copy(net), pickle.loads(pickle.dumps(net))):
        assert other.target_scale == "standard"
        assert (other.forward(X) == net.forward(X)).all()
        assert other.evaluate(X, Y) == net.evaluate(X, Y)
    assert "target_scale='standard'" in repr(net)
    assert "target_scale" not in repr(network(None))
    number = network(1e5)
    number.save(tmp_path / "number.npz")
    assert fastnn.load(tmp_path / "number.npz").target_scale == 1e5
    untrained = network()
    untrained.save(tmp_path / "untrained.npz")
    other = fastnn.load(tmp_path / "untrained.npz")
    other.fit(X, Y[:, :1], epochs=2)
    untrained.fit(X, Y[:, :1], epochs=2)
    assert state(other) == state(untrained)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"target_unit": None}, "target_unit"),
        ({"target_shift": None, "target_unit": None}, "lacks a scale"),
        ({"target_unit": np.zeros(1)}, "out of range"),
        ({"target_unit": np.full(1, np.inf)}, "out of range"),
        ({"target_shift": np.zeros(2)}, "not of 1 numbers"),
    ],
)
def test_a_damaged_file_is_refused(change: dict[str, Any], text: str, tmp_path: Path) -> None:
    X, Y = samples()
    net = network()
    net.fit(X, Y, epochs=1)
    net.save(tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz") as file:
        arrays = {**file, **change}
    np.savez(tmp_path / "damaged.npz", **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(ValueError, match=text):
        fastnn.load(tmp_path / "damaged.npz")


def test_off_it_changes_no_bit_and_keeps_nothing() -> None:
    X, Y = samples()
    net = network(None)
    net.fit(X, Y / 1e5, epochs=1)
    outputs = net.forward(X)
    assert net._reader.in_units_of_y(outputs) is outputs
    assert not [name for name in net._to_record().arrays if name.startswith("target")]


def test_a_constant_column_is_shifted_only() -> None:
    X, Y = samples(3)
    Y[:, 1] = 7e5
    net = network(n_out=3)
    net.fit(X, Y, epochs=30)
    np.testing.assert_allclose(net.predict(X)[:, 1], 7e5, atol=1)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"target_scale": "huge"}, ValueError, "target_scale must be one of"),
        ({"target_scale": 0}, ValueError, "target_scale must be > 0"),
        ({"target_scale": [1]}, TypeError, "target_scale must be a number"),
        ({"output": "sigmoid"}, ValueError, "needs output 'identity'.*got output 'sigmoid' and cost 'quadratic'"),
        ({"output": "relu"}, ValueError, "needs output 'identity'"),
        ({"output": "softmax", "cost": "log_likelihood"}, ValueError, "needs output 'identity'"),
        (
            {"cost": "poisson"},
            ValueError,
            "a cost for quantities of any size.*got output 'identity' and cost 'poisson'",
        ),
        ({"task": "classes"}, ValueError, "target_scale must not be given for task 'classes'"),
        ({"task": "multilabel"}, ValueError, "target_scale must not be given for task 'multilabel'"),
        ({"classes": ["a", "b"]}, ValueError, "target_scale must not be given for task 'classes'"),
    ],
    ids=str,
)
def test_where_it_makes_no_sense_it_is_refused(options: dict[str, Any], error: type[Exception], text: str) -> None:
    given = {"output": "identity", "cost": "quadratic", "target_scale": "standard", **options}
    with pytest.raises(error, match=text):
        fastnn.Network([5, 2], **given)


@pytest.mark.parametrize("scale", ["standard", "minmax", "robust", 1e39])
@pytest.mark.parametrize("data", ["whole", "a stream"])
def test_targets_may_be_beyond_the_range_of_the_network(scale: Any, data: str) -> None:
    """They are brought into it in float64, in which answers come, too."""
    X, y = samples()
    y = 1e39 * (1 + y[:, 0] / 1e6)
    net, small = network(scale), network(scale if isinstance(scale, str) else 1.0)
    for trained, targets in ((net, y), (small, y / 1e39)):
        given: dict[str, Any] = {"stream": [(X, targets)]} if data == "a stream" else {"X": X, "y": targets}
        trained.fit(epochs=3, **given)
    answers = net.predict(X)
    assert answers.dtype == np.float64
    np.testing.assert_allclose(answers / 1e39, small.predict(X), rtol=1e-5)
    assert net.evaluate(X, y)["cost"] == pytest.approx(small.evaluate(X, y / 1e39)["cost"], rel=1e-4)
    assert network(scale, dtype="float64").fit(X, y, epochs=1).epochs == [1]
    with pytest.raises(ValueError, match="y must fit into float32"):
        network(None).fit(X, y)


@pytest.mark.parametrize(
    ("y", "error", "text"),
    [
        (["a", "b"] * (N // 2), TypeError, "real numbers for task 'regression'"),
        ([np.nan] * N, ValueError, "y must be finite"),
        ([np.inf] * N, ValueError, "y must be finite"),
        (np.arange(N - 1), ValueError, "as many rows as X"),
    ],
)
def test_targets_that_are_none_change_nothing(y: Any, error: type[Exception], text: str) -> None:
    X, _ = samples()
    net = network()
    before = state(net)
    with pytest.raises(error, match=text):
        net.fit(X, y, epochs=1)
    assert state(net) == before
    assert net._reader.target_scaling is None


def test_later_targets_beyond_the_scale_are_refused() -> None:
    X, Y = samples()
    net = network()
    net.fit(X, Y * 1e-30, epochs=1)
    with pytest.raises(ValueError, match=r"at the network's target_scale, got .* in row 0"):
        net.evaluate(X, Y * 1e20)


def test_targets_beyond_a_scale_that_was_given_are_refused() -> None:
    X, y = samples()
    with pytest.raises(ValueError, match=r"y must fit into float32 at the network's target_scale, got \["):
        network(1e-320).fit(X, y, epochs=1)


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")
def test_what_is_said_of_an_overflow_names_what_is_too_large() -> None:
    X, y = samples()
    net = network(1e-10)  # makes of prices 2e15
    text = r"targets as large as \d.*e\+15 at the network's scale: scale y .* target_scale=\"standard\""
    with pytest.raises(fastnn.DivergenceError, match=text):
        net.fit(X, y, epochs=1, optimizer=fastnn.SGD(1.0))
    with pytest.raises(fastnn.DivergenceError, match=rf"{text}.*; inputs as large as \d.*e\+05: scale X"):
        net.fit(1e5 * X, y, epochs=1, optimizer=fastnn.SGD(1.0))
    net = network(1e-15)
    net.weights[1] = np.full((1, 8), 100.0)
    for use in (net.evaluate, net.gradients):
        with pytest.raises(ValueError, match=r"overflow; targets as large as \d.*e\+38 at the network's scale"):
            use(X, 1e18 * y)
    with pytest.raises(fastnn.DivergenceError, match=r"on the validation data .* targets as large as \d.*e\+33"):
        net.fit(X, y / 1e20, epochs=1, validation_data=(X, 1e13 * y))


def test_targets_that_become_zero_in_the_dtype_are_refused() -> None:
    X, Y = samples()
    net = network(None)
    before = state(net)
    with pytest.raises(ValueError, match=r"y holds numbers such as .*e-300, which are all 0 in float32.*target_scale"):
        net.fit(X, 1e-305 * Y, epochs=1)
    assert state(net) == before
    net.fit(X, 0 * Y, epochs=1)  # which are what they are
    with pytest.warns(fastnn.TrainingWarning, match="targets far from unit scale"):
        network(None, dtype="float64").fit(X, 1e-305 * Y, epochs=1)


@pytest.mark.parametrize("size", [1e-40, 1e-300, 1e-315])
@pytest.mark.parametrize("scale", ["standard", "minmax", "robust", 1.0])
def test_targets_below_the_normal_range_of_float32_are_learned(scale: Any, size: float) -> None:
    X, Y = samples()
    small = Y[:, 0] * (size / 2e5)
    net = network(scale if isinstance(scale, str) else size)
    net.fit(X, small, epochs=60, batch_size=10)
    with np.errstate(all="raise"):
        error = (small - net.predict(X)) / size
    assert np.mean(error**2) < 0.1 * np.var(Y[:, 0] / 2e5)


def test_it_is_used_when_it_has_been_learned() -> None:
    X, Y = samples()
    net = network()
    calls: list[Any] = [lambda: net.predict(X), lambda: net.evaluate(X, Y), lambda: net.gradients(X, Y)]
    for call in calls:
        with pytest.raises(ValueError, match="target_scale='standard' is learned by the first fit"):
            call()
    assert np.isfinite(network(1e5).predict(X)).all()


def test_small_differences_between_large_quantities_stay() -> None:
    """float32 tells 1e8 from 1e8 + 8; what is scaled it tells to seven digits."""
    X, Y = samples()
    Y = 1e8 + (Y - Y.mean()) / Y.std()
    net = network()
    net.fit(X, Y, epochs=30)
    distances = net.predict(X) - Y
    own, both = net.evaluate(X, Y)["cost"], fastnn.Ensemble([net, net]).evaluate(X, Y)["cost"]
    assert own == pytest.approx(np.mean(distances**2) / 2, rel=1e-4)  # the scale has unit 1
    assert both == pytest.approx(own, rel=1e-4)


def test_outputs_beyond_the_dtype_are_named() -> None:
    X, _ = samples()
    net = network(1e300)
    net.biases[-1] = [1e9]
    with pytest.raises(ValueError, match=r"target_scale=1e\+300 makes of the outputs \[.*\] in row 0 numbers beyond"):
        net.predict(X)


@pytest.mark.parametrize("cost", ["sum_squares", "absolute", "huber", "log_cosh"])
def test_other_costs_for_quantities(cost: str) -> None:
    X, Y = samples()
    net = network(cost=cost)
    net.fit(X, Y, epochs=30)
    assert np.corrcoef(net.predict(X)[:, 0], Y[:, 0])[0, 1] > 0.9


def test_methods_of_full_batches() -> None:
    pytest.importorskip("scipy")
    X, Y = samples()
    net = network(dtype="float64")
    net.fit(X, Y, epochs=30, batch_size=N, optimizer="lbfgs")
    assert net.evaluate(X, Y)["cost"] < 0.05
