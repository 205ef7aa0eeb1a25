"""What overflows is never silent: memory that cannot be saved, outputs and figures that are no numbers."""

import numpy as np
import pytest

import fastnn


def test_an_optimizer_memory_that_overflows_is_a_divergence(tmp_path):
    net = fastnn.Network([1, 1], output="identity", cost="quadratic")
    with pytest.warns(fastnn.TrainingWarning), pytest.raises(fastnn.DivergenceError):
        net.fit(np.full((40, 1), 1e12), np.zeros(40), optimizer="adam")
    net.save(tmp_path / "net.npz")
    again = fastnn.load(tmp_path / "net.npz")
    np.testing.assert_array_equal(again.weights[0], net.weights[0])


def wide() -> fastnn.Network:
    weights = [np.full((4, 2), 3.0), np.ones((1, 4))], [np.zeros(4), np.zeros(1)]
    return fastnn.Network([2, 4, 1], "relu", "identity", "quadratic", weights)


@pytest.mark.parametrize("method", ["forward", "predict"])
def test_outputs_that_are_no_numbers_are_refused_with_their_rows(method):
    X = np.ones((3, 2), np.float32)
    X[1] = 3e38
    with pytest.raises(ValueError, match=r"outputs of 1 of 3 rows are not \(rows 1\)"):
        getattr(wide(), method)(X)


def test_a_cost_that_is_no_number_is_refused():
    X = np.ones((3, 2), np.float32)
    X[2] = 3e38
    with pytest.raises(ValueError, match=r"rows 2|overflow"):
        wide().evaluate(X, np.zeros(3))


@pytest.mark.parametrize(("size", "said"), [(1e30, "the gradient of finite data is not finite"), (3e38, "rows 2")])
def test_a_gradient_that_is_no_number_is_refused(size, said):
    """Also where outputs are: it is their product with the inputs."""
    X = np.ones((3, 2), np.float32)
    X[2] = size
    with pytest.raises(ValueError, match=said):
        wide().gradients(X, np.zeros(3))


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")
def test_validation_that_overflows_ends_training():
    X, y = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32), np.zeros(50)
    bad = np.full((5, 2), 3e38, np.float32)
    net = wide()
    with pytest.raises(fastnn.DivergenceError, match="validation"):
        net.fit(X, y, epochs=3, optimizer=fastnn.SGD(1e-3), validation_data=(bad, np.zeros(5)))
    assert np.isfinite(net.weights[0]).all()


@pytest.mark.filterwarnings("ignore::fastnn.TrainingWarning")
@pytest.mark.parametrize("callbacks", [[], [lambda network, history: None]], ids=["together", "one by one"])
def test_an_epoch_whose_costs_sum_to_infinity_is_a_divergence(callbacks):
    """Each batch's cost is finite: it is their sum that is not, as a monitor would see it."""
    net = fastnn.Network([1, 1], output="identity", cost="quadratic", dtype="float64")
    X, y = np.linspace(-1, 1, 40)[:, np.newaxis], np.full(40, 1e154)
    with pytest.raises(fastnn.DivergenceError, match="targets as large as"):
        net.fit(X, y, epochs=50, batch_size=1, optimizer=fastnn.SGD(1e-6), callbacks=callbacks)
    assert net.history is not None
    assert np.isfinite(net.history.train_cost).all()
    assert all(np.isfinite(layer).all() for layer in (*net.weights, *net.biases))
