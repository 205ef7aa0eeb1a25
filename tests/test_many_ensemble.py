"""Ensembles: means and spreads against NumPy, selection, and one file for all."""

import json

import numpy as np
import pytest

import fastnn
from fastnn import Ensemble, Network
from fastnn.many import ensemble as module

X, y, Xt, yt = fastnn.datasets.load_digits()


@pytest.fixture(scope="module")
def networks():
    found = [
        Network([64, 12, 10], seed=0),
        Network([64, 20, 15, 10], activation=["relu", "tanh"], seed=1, dtype="float64"),
        Network([64, 10], seed=2),
    ]
    fastnn.fit_many(found, X, y, epochs=2)
    return found


def regressors(n_out=2):
    return [Network([64, 8, n_out], output="identity", cost="quadratic", seed=i) for i in range(3)]


def outputs(networks, data=Xt):
    return np.stack([network.forward(data) for network in networks]).astype(np.float64)


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 5.0], [0, 0, 1]])
def test_the_outputs_are_weighted_means(networks, weights):
    ensemble, A = Ensemble(networks, weights), outputs(networks)
    shares = np.ones(3) if weights is None else np.array(weights, float)
    shares = shares / shares.sum()
    mean = np.einsum("i,ijk->jk", shares, A)
    spread = np.sqrt(np.einsum("i,ijk->jk", shares, (A - mean) ** 2))
    assert ensemble.forward(Xt).dtype == np.float64  # of one member
    np.testing.assert_allclose(ensemble.forward(Xt), mean, rtol=1e-12)
    np.testing.assert_allclose(ensemble.spread(Xt), spread, rtol=1e-7, atol=1e-12)
    np.testing.assert_array_equal(ensemble.predict(Xt), mean.argmax(axis=1))
    np.testing.assert_allclose(ensemble.weights, shares)


def test_one_dtype_comes_out_as_it_is(networks):
    assert Ensemble([networks[0], networks[2]]).forward(Xt).dtype == np.float32
    assert Ensemble(regressors()).spread(Xt).dtype == np.float32


@pytest.mark.parametrize("rows", [1, 127, 129, 1000])
def test_blocks_do_not_show(networks, monkeypatch, rows):
    monkeypatch.setattr(module, "_BLOCK_BYTES", 1)
    np.testing.assert_allclose(
        Ensemble(networks).forward(X[:rows]), outputs(networks, X[:rows]).mean(axis=0), rtol=1e-6
    )


def test_data_that_are_no_array(networks):
    sparse = pytest.importorskip("scipy.sparse")
    expected = Ensemble(networks).forward(X[:300])
    for data in (sparse.csr_array(X[:300]), X[:300].tolist()):
        np.testing.assert_allclose(Ensemble(networks).forward(data), expected, atol=1e-6)


def test_a_regressor_predicts_outputs():
    ensemble = Ensemble(regressors())
    np.testing.assert_array_equal(ensemble.predict(Xt), ensemble.forward(Xt))


def test_a_single_output_is_cut_at_one_half():
    networks = [Network([64, 1], seed=i) for i in range(2)]
    predicted = Ensemble(networks).predict(Xt)
    np.testing.assert_array_equal(predicted, outputs(networks).mean(axis=0)[:, 0] > 0.5)
    assert predicted.dtype == np.int64


@pytest.mark.parametrize(
    ("cost", "output"),
    [
        ("quadratic", "identity"),
        ("sum_squares", "tanh"),
        ("cross_entropy", "sigmoid"),
        ("log_likelihood", "softmax"),
        ("log_likelihood(smoothing=0.1)", "softmax"),
        ("focal", "softmax"),
        ("focal", "sigmoid"),
        ("hinge", "identity"),
        ("huber(delta=0.5)", "identity"),
        ("absolute", "sigmoid"),
    ],
)
def test_evaluate_of_one_member_is_its_own(cost, output):
    network = Network([64, 10], output=output, cost=cost, dtype="float64")
    weights = np.linspace(0, 2, len(yt))
    for given in (None, weights):
        found, own = Ensemble([network]).evaluate(Xt, yt, given), network.evaluate(Xt, yt, given)
        assert found == pytest.approx(own)


def test_a_margin_of_one_member_is_cut_where_its_own_is():
    """Between 0 and 1/2 the answer is the second class, as ``predict`` has it."""
    net = Network([1, 1], output="identity", cost="hinge", initializer=([[[1.0]]], [[0.0]]))
    assert Ensemble([net]).evaluate([[0.3], [-0.3]], [1, 0])["accuracy"] == 1.0


def test_evaluate_of_several():
    networks = regressors()
    T = np.random.default_rng(0).normal(size=(len(Xt), 2))
    mean = outputs(networks).mean(axis=0)
    expected = {"cost": pytest.approx(0.5 * ((mean - T) ** 2).sum(axis=1).mean(), rel=1e-6)}
    assert Ensemble(networks).evaluate(Xt, T) == expected


def test_certain_outputs_have_a_finite_cost():
    network = Network([1, 1], initializer=([[[1.0]]], [[0.0]]))
    found = Ensemble([network, network]).evaluate([[1e4], [-1e4]], [0.0, 1.0])
    assert 10 < found["cost"] < 20
    assert found["accuracy"] == 0


def test_members_of_different_costs_have_no_common_one(networks):
    other = Network([64, 10], output="softmax", cost="log_likelihood")
    assert list(Ensemble([networks[0], other]).evaluate(Xt, yt)) == ["accuracy"]


# --- Selection ---


def greedy(A, T, rounds, start):
    """Caruana's selection, with the outputs themselves."""
    errors = [((a - T) ** 2).sum() for a in A]
    chosen = [int(i) for i in np.argsort(errors, kind="stable")[:start]]
    path = [list(chosen)]
    while len(chosen) < rounds:
        tried = [((np.mean(A[[*chosen, i]], axis=0) - T) ** 2).sum() for i in range(len(A))]
        chosen.append(int(np.argmin(tried)))
        path.append(list(chosen))
    best = min(path, key=lambda members: ((np.mean(A[members], axis=0) - T) ** 2).sum())
    return np.bincount(best, minlength=len(A))


@pytest.mark.parametrize(("rounds", "start"), [(1, 1), (7, 1), (20, 3)])
def test_selection_against_the_plain_algorithm(rounds, start):
    networks = [Network([64, 10], seed=i, dtype="float64") for i in range(6)]
    fastnn.fit_many(networks, X, y, epochs=1, rows=[np.arange(i, 60, 2) for i in range(6)])
    T = np.eye(10)[yt]
    counts = greedy(outputs(networks), T, rounds, start)
    ensemble = Ensemble.select(networks, Xt, yt, rounds, start)
    assert list(ensemble.networks) == [networks[i] for i in np.flatnonzero(counts)]
    np.testing.assert_allclose(ensemble.weights, counts[counts > 0] / counts.sum())
    assert ((ensemble.forward(Xt) - T) ** 2).sum() <= min(((a - T) ** 2).sum() for a in outputs(networks)) + 1e-9


def test_selection_with_target_matrices():
    networks = regressors(1)
    T = outputs(networks)[1, :, 0]
    ensemble = Ensemble.select(networks, Xt, T)
    assert ensemble.networks == (networks[1],)


# --- Numbers out of the ordinary ---


def slopes(*values):
    """Networks a = w x in float64."""
    return [
        Network([1, 1], output="identity", cost="quadratic", dtype="float64", initializer=([[[w]]], [[0.0]]))
        for w in values
    ]


@pytest.mark.parametrize(
    ("size", "said"), [(np.nan, r"nan at \[999, 0\]"), (1e308, r"1 of 1000 rows are not \(rows 999\)")]
)
def test_errors_name_rows_among_all(monkeypatch, size, said):
    monkeypatch.setattr(module, "_BLOCK_BYTES", 1)
    data = np.zeros((1000, 1))
    data[999] = size
    with pytest.raises(ValueError, match=said):
        Ensemble(slopes(1.0, 20.0)).forward(data)


def test_a_cost_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="the cost of finite data is inf"):
        Ensemble(slopes(1.0, 2.0)).evaluate([[1.0]], [1e160])


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200, 1.5e307])
def test_spreads_and_selections_of_any_size(size):
    """Squares overflow or vanish long before what they are of."""
    networks = slopes(5.0, 1.0, -2.0, 1.5)
    np.testing.assert_allclose(Ensemble(networks[:2]).spread([[size]]), [[2 * size]], rtol=1e-12)
    chosen = Ensemble.select(networks, [[size], [-size]], [1.2 * size, -1.2 * size], rounds=2, start=1)
    assert chosen.networks == (networks[1], networks[3])


# --- One file ---


def test_save_and_load(networks, tmp_path):
    path = tmp_path / "together"
    ensemble = Ensemble([*networks, networks[0]], [1, 2, 3, 4])
    ensemble.save(path)
    loaded = Ensemble.load(path)
    np.testing.assert_array_equal(loaded.weights, ensemble.weights)
    np.testing.assert_array_equal(loaded.forward(Xt), ensemble.forward(Xt))
    assert loaded.networks[3] is loaded.networks[0]
    assert [path.name] == [found.name for found in tmp_path.iterdir()]
    one, other = networks[1].copy(), loaded.networks[1]
    assert one.fit(X, y, epochs=1).train_cost == other.fit(X, y, epochs=1).train_cost


def rewritten(path, **changes):
    with np.load(path) as content:
        arrays = dict(content)
    header = {**json.loads(str(arrays["fastnn_ensemble"])), **changes}
    with path.open("wb") as file:
        np.savez(file, **{**arrays, "fastnn_ensemble": np.array(json.dumps(header))})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "newer version"),
        ({"weights": [1.0]}, "weights must have shape"),
        ({"weights": "many"}, "weights"),
        ({"members": [0, 1, 7]}, "cannot load"),
        ({"networks": 4}, "cannot load"),
    ],
)
def test_a_file_that_makes_no_sense(networks, tmp_path, change, message):
    path = tmp_path / "ensemble"
    Ensemble(networks).save(path)
    rewritten(path, **change)
    with pytest.raises(ValueError, match=message):
        Ensemble.load(path)


def test_files_of_other_kinds(networks, tmp_path):
    path = tmp_path / "net"
    networks[0].save(path)
    with pytest.raises(ValueError, match="it is not a saved fastnn ensemble"):
        Ensemble.load(path)
    Ensemble(networks).save(path)
    with pytest.raises(ValueError, match="it is not a saved fastnn network"):
        fastnn.load(path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ValueError, match="cannot load"):
        Ensemble.load(path)
    path.write_text("something else")
    with pytest.raises(ValueError, match="it is not a saved fastnn ensemble"):
        Ensemble.load(path)
    with pytest.raises(FileNotFoundError):
        Ensemble.load(tmp_path / "nothing")


# --- Bad input ---


@pytest.mark.parametrize(
    ("members", "weights", "error", "message"),
    [
        ([], None, ValueError, "networks must hold at least one network"),
        ([Network([64, 10]), Network([63, 10])], None, ValueError, r"networks\[1\] must have as many inputs"),
        ([Network([64, 10]), Network([64, 9])], None, ValueError, r"networks\[1\] must have as many inputs"),
        (
            [Network([64, 2]), regressors()[0]],
            None,
            ValueError,
            r"networks\[1\] must answer as networks\[0\] does",
        ),
        ([Network([64, 2])] * 2, [1.0], ValueError, r"weights must have shape \(2,\)"),
        ([Network([64, 2])] * 2, [1.0, -1.0], ValueError, "weights must not be negative"),
        ([Network([64, 2])] * 2, [0, 0], ValueError, "nor all zero"),
        ([Network([64, 2])] * 2, [np.nan, 0], ValueError, "weights must be finite"),
        ([Network([64, 2])] * 2, ["a", "b"], TypeError, "weights must hold real numbers"),
    ],
)
def test_bad_input(members, weights, error, message):
    with pytest.raises(error, match=message):
        Ensemble(members, weights)


def test_samples_that_do_not_fit(networks):
    with pytest.raises(ValueError, match=r"X must have shape \(n, 64\)"):
        Ensemble(networks).forward(X[:, :3])
    with pytest.raises(ValueError, match="X must hold at least one sample"):
        Ensemble(networks).forward(X[:0])
    with pytest.raises(ValueError, match="y must have as many rows as X"):
        Ensemble(networks).evaluate(X, y[:3])
    with pytest.raises(ValueError, match="rounds must be >= 1"):
        Ensemble.select(networks, X, y, rounds=0)
