"""Optimizers, schedules, clipping, averaging and dropped batches in ``fit``, against the same steps in NumPy."""

import itertools
import pickle

import numpy as np
import pytest
import scipy.sparse
from states import layers, state

import fastnn
from fastnn import Network, pacing, schedules
from fastnn.formulas import optimizers
from fastnn.formulas.averaging import Averaged
from fastnn.training import Training

X, y, Xt, yt = fastnn.datasets.load_digits()
X, y = X[:203], y[:203]
DTYPES = ["float32", "float64"]
FORMS = [np.asarray, scipy.sparse.csr_matrix, lambda data: np.rint(data).astype(np.uint8)]
OPTIMIZERS = [
    fastnn.SGD(0.3),
    fastnn.SGD(0.1, momentum=0.9),
    fastnn.Adam(),
    fastnn.AdamW(0.01, weight_decay=0.1),
    fastnn.Nadam(),
    fastnn.RMSprop(),
    fastnn.Adagrad(),
    fastnn.Lion(),
]


def network(**arguments):
    return Network(**{"sizes": [64, 12, 10], "dtype": "float64", **arguments})


def assert_close(net, expected, tolerance=1e-10):
    for found, wanted in zip(layers(net), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


class Steps:
    """The reference: every step in NumPy, from the engine's gradients of one batch."""

    def __init__(self, net, optimizer, clip=np.inf, clip_norm=np.inf):
        self.net, self.optimizer, self.clip, self.clip_norm = net.copy(), optimizer, clip, clip_norm
        self.parameters = [np.array(layer) for layer in layers(net)]
        self.states = [[np.full_like(p, value) for value in optimizer.start] for p in self.parameters]
        self.passed = []

    def take(self, batch, rate):
        count = len(self.net.weights)
        self.net.weights, self.net.biases = self.parameters[:count], self.parameters[count:]
        by_weights, by_biases = self.net.gradients(X[batch], y[batch])
        rule, step = self.optimizer.rule, len(self.passed) + 1
        (numbers,) = self.optimizer.numbers([step], None if rate is None else [rate])
        gradients = [*by_weights, *by_biases]
        factor = min(1.0, self.clip_norm / np.sqrt(sum(np.square(g).sum() for g in gradients)))
        for i, g in enumerate(gradients):
            own = [
                0.0 if i >= count and name in rule.weights_only else number
                for name, number in zip(rule.numbers, numbers, strict=True)
            ]
            g = np.clip(factor * g, -self.clip, self.clip)  # noqa: PLW2901
            self.parameters[i], *self.states[i] = optimizers.step(rule, g, self.parameters[i], self.states[i], own)
        self.passed.append([p.copy() for p in self.parameters])

    def run(self, epochs, size, rates=None, n=203):
        numbers = itertools.count()
        for _ in range(epochs):
            for first in range(0, n, size):
                k = next(numbers)
                self.take(slice(first, min(first + size, n)), None if rates is None else rates[k])
        return self.parameters


# --- public names ---


def test_the_public_names_are_those_of_the_formulas():
    assert fastnn.optimizer is optimizers.optimizer
    assert all(getattr(fastnn, kind.__name__) is kind for kind in optimizers.OPTIMIZERS.values())
    assert all(hasattr(fastnn, name) for name in fastnn.__all__)
    assert fastnn.ops.tanh(0.0) == 0
    assert fastnn.schedules.CosineDecay().name == "cosine"


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_optimizers_step_as_their_equations_say(optimizer):
    net = network()
    expected = Steps(net, optimizer).run(2, 50)
    net.fit(X, y, epochs=2, batch_size=50, optimizer=optimizer, shuffle=False)
    assert_close(net, expected)


@pytest.mark.parametrize("name", sorted(set(optimizers.OPTIMIZERS) - {"rprop"}))
def test_optimizers_by_name_are_those_with_their_defaults(name):
    by_name, by_object = network(dtype="float32"), network(dtype="float32")
    by_name.fit(X, y, epochs=1, batch_size=50, optimizer=name)
    by_object.fit(X, y, epochs=1, batch_size=50, optimizer=optimizers.OPTIMIZERS[name]())
    assert state(by_name) == state(by_object)


def test_rprop_takes_all_samples_at_once():
    net = network()
    expected = Steps(net, fastnn.Rprop()).run(6, len(X))
    history = net.fit(X, y, epochs=6, batch_size=len(X), optimizer="rprop", shuffle=False)
    assert_close(net, expected)
    assert history.train_cost[-1] < history.train_cost[0]


@pytest.mark.parametrize("optimizer", ["rprop", "lbfgs"])
@pytest.mark.parametrize("batch_size", [10, 202, [100, 103]])
def test_full_batch_optimizers_refuse_batches(optimizer, batch_size):
    net = network()
    before = state(net)
    with pytest.raises(ValueError, match=f"'{optimizer}' needs all samples in one batch: pass batch_size=203, got"):
        net.fit(X, y, batch_size=batch_size, optimizer=optimizer)
    assert state(net) == before


# --- schedules ---

SCHEDULES = [
    schedules.StepDecay(every=1, factor=0.5),
    schedules.CosineDecay(),
    schedules.OneCycle(),
    schedules.Warmup(epochs=1, then="inverse_scaling"),
    schedules.ShareOfTraining(lambda u: 1 - u / 2),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)
@pytest.mark.parametrize("optimizer", [fastnn.SGD(0.3), fastnn.Adam(0.01)], ids=["sgd", "adam"])
def test_every_step_has_the_schedule_s_rate(schedule, optimizer):
    net, epochs, per_epoch = network(), 3, 5
    rates = schedule.rate(optimizer.learning_rate, np.arange(epochs * per_epoch), per_epoch, epochs * per_epoch)
    expected = Steps(net, optimizer).run(epochs, 50, rates)
    history = net.fit(X, y, epochs=epochs, batch_size=50, optimizer=optimizer, shuffle=False, schedule=schedule)
    assert_close(net, expected)
    assert history.learning_rate == rates[per_epoch - 1 :: per_epoch].tolist()


def test_a_schedule_counts_steps_of_lists_of_batch_sizes():
    net, sizes = network(), [100, 60, 43]
    schedule = schedules.PolynomialDecay()
    steps, ends = Steps(net, fastnn.SGD(0.3)), np.cumsum([0, *sizes])
    for k in range(6):
        steps.take(slice(ends[k % 3], ends[k % 3 + 1]), 0.3 * (1 - k / 6))
    net.fit(X, y, epochs=2, batch_size=sizes, optimizer=fastnn.SGD(0.3), shuffle=False, schedule=schedule)
    assert_close(net, steps.parameters)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("as_data", FORMS, ids=["dense", "sparse", "bytes"])
def test_neither_calls_nor_threads_show_in_the_bits(dtype, as_data, monkeypatch):
    def trained(threads):
        net = network(dtype=dtype, scale=255)
        net.fit(
            as_data(255 * X),
            y,
            epochs=3,
            batch_size=20,
            optimizer=fastnn.AdamW(0.01),
            schedule="one_cycle",
            clip_value=0.01,
            weight_average=0.9,
            drop_last=True,
            threads=threads,
            l2=1e-4,
        )
        return state(net)

    expected = trained(1)
    assert trained(2) == expected
    monkeypatch.setattr(pacing.Pace, "next_call", lambda self: (1, 3))  # of ten batches
    assert trained(1) == expected


def test_schedules_by_name_and_by_function():
    nets = [network(dtype="float32") for _ in range(3)]
    given = ["polynomial", schedules.PolynomialDecay(), lambda u: 1 - u]
    for net, schedule in zip(nets, given, strict=True):
        net.fit(X, y, epochs=2, schedule=schedule)
    assert state(nets[0]) == state(nets[1])
    for mine, other in zip(layers(nets[0]), layers(nets[2]), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-7)


def test_a_constant_schedule_changes_no_bit():
    plain, scheduled = network(), network()
    plain.fit(X, y, epochs=2)
    scheduled.fit(X, y, epochs=2, schedule="constant")
    assert state(plain) == state(scheduled)


def test_the_rate_falls_on_a_plateau():
    net, rates = network(), []
    schedule = schedules.ReduceOnPlateau("train_cost", factor=0.5, patience=0, threshold=0.9)  # hardly ever met
    history = net.fit(
        X,
        y,
        epochs=4,
        optimizer=fastnn.SGD(0.4),
        schedule=schedule,
        callbacks=[lambda net, _: rates.append(net.learning_rate)],
    )
    assert history.learning_rate == [0.4, 0.4, 0.2, 0.1]
    assert rates == [0.4, 0.2, 0.1, 0.05]


def test_a_plateau_knows_that_accuracies_rise():
    schedule = schedules.ReduceOnPlateau("val_accuracy", factor=0.5, patience=0)
    history = network().fit(X, y, epochs=12, optimizer="adam", validation_data=(Xt, yt), schedule=schedule)
    best, rate = -np.inf, 0.001
    for accuracy, seen in zip(history.val_accuracy, history.learning_rate, strict=True):
        assert seen == rate
        improved = accuracy > best + 1e-4 * abs(best) if np.isfinite(best) else True
        best, rate = (accuracy, rate) if improved else (best, rate * 0.5)


def test_callbacks_read_and_set_the_rate():
    net, seen = network(), []

    def change(net, history):
        seen.append(net.learning_rate)
        net.learning_rate = 0.1 * len(history.epochs)

    rates = np.repeat([0.5, 0.1, 0.2], 5)
    expected = Steps(net, fastnn.SGD(0.5)).run(3, 50, rates)
    history = net.fit(X, y, epochs=3, batch_size=50, optimizer=fastnn.SGD(0.5), shuffle=False, callbacks=[change])
    assert_close(net, expected)
    assert history.learning_rate == [0.5, 0.1, 0.2]
    assert seen == [0.5, 0.1, 0.2]


def test_a_rate_that_is_set_and_a_schedule_multiply():
    def halve(net, history):
        before = net.learning_rate
        net.learning_rate = before / 2
        assert net.learning_rate == pytest.approx(before / 2, rel=1e-14)

    settings = {"epochs": 4, "batch_size": 50, "optimizer": fastnn.SGD(0.4), "schedule": "polynomial(final=0.1)"}
    plain = network().fit(X, y, **settings).learning_rate
    halved = network().fit(X, y, callbacks=[halve], **settings).learning_rate
    np.testing.assert_allclose(halved, np.array(plain) / [1, 2, 4, 8], rtol=1e-13)


def test_the_rate_outside_of_fit():
    net = network()
    assert net.learning_rate == 0.5
    net.fit(X, y, epochs=1, optimizer=fastnn.Adam(0.02))
    assert net.learning_rate == 0.02
    with pytest.raises(RuntimeError, match="learning_rate can be set while fit runs"):
        net.learning_rate = 0.1


@pytest.mark.parametrize(("rate", "error"), [(0, ValueError), (-1, ValueError), (np.nan, ValueError), ("x", TypeError)])
def test_a_rate_must_be_one(rate, error):
    def change(net, history):
        net.learning_rate = rate

    with pytest.raises(error, match="learning_rate must be"):
        network().fit(X, y, epochs=2, callbacks=[change])


def test_a_rate_of_zero_cannot_be_scaled():
    def change(net, history):
        net.learning_rate = 0.1

    with pytest.raises(ValueError, match="schedule has brought it to 0"):
        network().fit(X, y, epochs=1, schedule="polynomial", callbacks=[change])


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"schedule": "cosin"}, ValueError, "schedule must be one of .* did you mean 'cosine'"),
        ({"schedule": 3}, TypeError, "schedule must be one of"),
        ({"schedule": lambda u: -1.0}, ValueError, "gives the learning rate -"),
        ({"schedule": "plateau"}, ValueError, "monitor 'val_cost' needs validation_data in fit"),
        (
            {"schedule": "cosine", "optimizer": "rprop", "batch_size": 203},
            ValueError,
            "schedule does not go with optimizer 'rprop'",
        ),
        ({"clip_value": 0}, ValueError, "clip_value must be > 0"),
        ({"clip_value": "x"}, TypeError, "clip_value must be a number"),
        ({"weight_average": 1.0}, ValueError, "weight_average must be > 0 and < 1"),
        ({"weight_average": True}, TypeError, "weight_average must be a number"),
        ({"drop_last": 1}, TypeError, "drop_last must be True or False"),
        ({"drop_last": True, "batch_size": [100, 103]}, ValueError, "drop_last does not go with a list"),
    ],
)
def test_wrong_arguments_change_nothing(arguments, error, text):
    net = network()
    before = state(net)
    with pytest.raises(error, match=text):
        net.fit(X, y, **arguments)
    assert state(net) == before
    assert net.history is None


# --- clipping ---


@pytest.mark.parametrize("optimizer", [fastnn.SGD(0.5), fastnn.Adam(0.01)], ids=["sgd", "adam"])
@pytest.mark.parametrize("size", [50, 203])
def test_every_number_of_the_gradient_is_clipped(optimizer, size):
    net, clip = network(), 0.003
    by_weights, by_biases = net.gradients(X[:size], y[:size])
    assert min(abs(g).max() for g in [*by_weights, *by_biases]) > clip
    expected = Steps(net, optimizer, clip).run(2, size)
    net.fit(X, y, epochs=2, batch_size=size, optimizer=optimizer, shuffle=False, clip_value=clip)
    assert_close(net, expected)


@pytest.mark.parametrize("optimizer", [fastnn.SGD(0.5, momentum=0.5), fastnn.Adam(0.01)], ids=["sgd", "adam"])
@pytest.mark.parametrize("size", [50, 203])
def test_the_norm_is_clipped_before_the_numbers(optimizer, size):
    net, clip, norm = network(), 0.003, 0.05
    gradients = np.concatenate([g.ravel() for part in net.gradients(X[:size], y[:size]) for g in part])
    length, largest = np.linalg.norm(gradients), abs(gradients).max()
    # Both have work to do, and the other order would give something else.
    assert length > np.linalg.norm(np.clip(gradients, -clip, clip)) > norm
    assert largest * norm / length > clip
    expected = Steps(net, optimizer, clip, norm).run(2, size)
    net.fit(X, y, epochs=2, batch_size=size, optimizer=optimizer, shuffle=False, clip_value=clip, clip_norm=norm)
    assert_close(net, expected)


def test_a_high_clip_changes_nothing_that_matters():
    plain, clipped = network(), network()
    plain.fit(X, y, epochs=2, l2=1e-3)
    clipped.fit(X, y, epochs=2, l2=1e-3, clip_value=1e6)
    assert_close(clipped, layers(plain), 1e-12)


# --- the average of the weights ---


@pytest.mark.parametrize("optimizer", [fastnn.SGD(0.3), fastnn.AdamW(0.01)], ids=["sgd", "adamw"])
def test_the_average_is_that_of_the_weights_after_every_step(optimizer):
    net, decay = network(), 0.8
    steps = Steps(net, optimizer)
    steps.run(2, 50)
    net.fit(X, y, epochs=2, batch_size=50, optimizer=optimizer, shuffle=False, weight_average=decay)
    assert_close(net, steps.parameters)
    shares = decay ** np.arange(len(steps.passed))[::-1]
    expected = [
        sum(share * p for share, p in zip(shares, course, strict=True)) / shares.sum()
        for course in zip(*steps.passed, strict=True)
    ]
    assert_close(net.averaged(), expected)


@pytest.mark.parametrize("as_data", FORMS[1:], ids=["sparse", "bytes"])
@pytest.mark.parametrize("optimizer", [fastnn.SGD(0.3), fastnn.Lion(0.01)], ids=["sgd", "lion"])
def test_the_average_of_data_that_are_mostly_zero(as_data, optimizer):
    pixels = np.rint(255 * X)
    pixels[pixels < 200] = 0  # so that the first layer skips zeros
    nets = [network(scale=255) for _ in range(2)]
    arguments = {"epochs": 2, "optimizer": optimizer, "l2": 1e-3, "weight_average": 0.9, "schedule": "cosine"}
    histories = [net.fit(form(pixels), y, **arguments) for net, form in zip(nets, (as_data, np.asarray), strict=True)]
    assert histories[0].first_layer.startswith("sparse")
    assert_close(nets[0], layers(nets[1]), 1e-7)
    assert_close(nets[0].averaged(), layers(nets[1].averaged()), 1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
def test_training_goes_on_bit_for_bit_after_a_file_a_copy_and_a_pickle(dtype, tmp_path):
    settings = {"epochs": 2, "optimizer": fastnn.AdamW(0.01), "weight_average": 0.95, "clip_value": 0.05}
    net = network(dtype=dtype)
    net.fit(X, y, schedule="cosine", **settings)
    net.save(tmp_path / "net.npz")
    others = [net.copy(), pickle.loads(pickle.dumps(net)), fastnn.load(tmp_path / "net.npz")]
    averages = [layer.tobytes() for layer in layers(net.averaged())]
    assert all([layer.tobytes() for layer in layers(other.averaged())] == averages for other in others)
    net.fit(X, y, drop_last=True, **settings)
    for other in others:
        other.fit(X, y, drop_last=True, **settings)
        assert state(other) == state(net)


def test_two_fits_are_one_as_far_as_the_average_goes():
    once, twice = network(), network()
    once.fit(X, y, epochs=4, weight_average=0.9, optimizer="adam")
    for _ in range(2):
        twice.fit(X, y, epochs=2, weight_average=0.9, optimizer="adam")
    assert state(once) == state(twice)


def test_the_average_leaves_training_and_the_network_alone():
    net, plain = network(), network()
    net.fit(X, y, epochs=2, weight_average=0.9, optimizer="adam")
    plain.fit(X, y, epochs=2, optimizer="adam")
    assert_close(net, layers(plain), 1e-12)
    before = state(net)
    average = net.averaged()
    assert state(net) == before
    assert not np.array_equal(average.weights[0], net.weights[0])
    average.fit(X, y, epochs=1)  # it is a network like any other


def test_there_is_no_average_where_none_was_kept():
    net = network()
    with pytest.raises(ValueError, match="no average of the weights"):
        net.averaged()
    net.fit(X, y, epochs=1)
    with pytest.raises(ValueError, match="no average of the weights"):
        net.averaged()


def test_the_share_of_the_newest_weights():
    shares = Averaged(fastnn.SGD(0.5), 0.9).numbers([1, 2, 3, 10_000])[:, -1]
    np.testing.assert_allclose(shares, [1, 0.1 / 0.19, 0.1 / 0.271, 0.1], rtol=1e-14)


# --- dropped batches ---


def test_the_smaller_last_batch_is_dropped():
    net = network()
    expected = Steps(net, fastnn.SGD(0.3)).run(2, 50, n=200)
    net.fit(X, y, epochs=2, batch_size=50, optimizer=fastnn.SGD(0.3), shuffle=False, drop_last=True)
    assert_close(net, expected)
    again = network()
    history = again.fit(X, y, epochs=2, batch_size=50, optimizer=fastnn.SGD(0.3), shuffle=False, drop_last=True)
    shorter = network().fit(X[:200], y[:200], epochs=2, batch_size=50, optimizer=fastnn.SGD(0.3), shuffle=False)
    assert history.train_cost == shorter.train_cost
    assert history.train_accuracy == shorter.train_accuracy


def test_others_are_dropped_in_every_epoch(monkeypatch):
    seen = []
    run = Training._call

    def call(self, stretch, *rest):
        end = min(stretch.last * stretch.size, stretch.order.size)
        seen.extend(stretch.order[stretch.first * stretch.size : end].tolist())
        return run(self, stretch, *rest)

    monkeypatch.setattr(Training, "_call", call)
    network().fit(X, y, epochs=20, batch_size=200, drop_last=True)
    assert len(seen) == 20 * 200
    assert set(seen) == set(range(len(X)))


@pytest.mark.parametrize("batch_size", [203, 500, 29])
def test_where_nothing_is_left_over_nothing_is_dropped(batch_size):
    plain, dropping = network(), network()
    plain.fit(X, y, epochs=2, batch_size=batch_size)
    dropping.fit(X, y, epochs=2, batch_size=batch_size, drop_last=True)
    assert state(plain) == state(dropping)
