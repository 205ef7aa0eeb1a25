"""Optimizers: their equations step by step against plain transcriptions and PyTorch, and whether they go downhill."""

import dataclasses
import json
import math
import pickle

import numpy as np
import pytest
from naive import (
    plain_adagrad,
    plain_adam,
    plain_adamw,
    plain_lion,
    plain_nadam,
    plain_rmsprop,
    plain_rprop,
    plain_sgd,
)

import fastnn
from fastnn.formulas import FormulaError, ops, optimizers
from fastnn.formulas.expressions import variables
from fastnn.formulas.optimizers import (
    OPTIMIZERS,
    RULES,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    Nadam,
    OwnOptimizer,
    RMSprop,
    Rprop,
    optimizer,
    step,
)

STEPS = 60


def course(method, gradient, p, steps=STEPS, rates=None):
    """The parameters after every step, as a kernel computes them."""
    p = np.array(p, np.float64)
    states = [np.full_like(p, value) for value in method.start]
    passed = []
    for row in method.numbers(np.arange(1, steps + 1), rates):
        p, *states = step(method.rule, gradient(p), p, states, row)
        passed.append(p)
    return np.array(passed)


CASES = [
    (SGD(learning_rate=0.01), plain_sgd),
    (SGD(learning_rate=0.01, momentum=0.9), plain_sgd),
    (SGD(learning_rate=0.01, momentum=0.9, nesterov=True), plain_sgd),
    (Adam(learning_rate=0.05), plain_adam),
    (Adam(learning_rate=0.05, beta1=0, beta2=0.5, epsilon=0.1), plain_adam),
    (AdamW(learning_rate=0.05), plain_adamw),
    (AdamW(learning_rate=0.05, weight_decay=0.3), plain_adamw),
    (Nadam(learning_rate=0.05), plain_nadam),
    (Nadam(learning_rate=0.05, beta1=0.5, momentum_decay=0.1), plain_nadam),
    (Nadam(learning_rate=0.05, beta1=0), plain_nadam),
    (RMSprop(), plain_rmsprop),
    (RMSprop(momentum=0.9), plain_rmsprop),
    (RMSprop(centered=True, epsilon=1e-3), plain_rmsprop),
    (RMSprop(alpha=0.9, momentum=0.5, centered=True, epsilon=1e-3), plain_rmsprop),
    (Adagrad(learning_rate=0.1), plain_adagrad),
    (Adagrad(learning_rate=0.1, rate_decay=0.1, initial_accumulator=0.5), plain_adagrad),
    (Lion(learning_rate=0.01), plain_lion),
    (Lion(learning_rate=0.01, weight_decay=0.5), plain_lion),
    (Rprop(learning_rate=0.1), plain_rprop),
    (Rprop(learning_rate=0.1, decrease=0.3, increase=2, smallest=0.01, largest=0.3), plain_rprop),
]
FIRST = {method.kernel: method for method, _ in reversed(CASES)}
PARABOLA = np.array([1.0, 0.1, 4.0])


def bowl(p):
    return PARABOLA * p


def rosenbrock(p):
    x, y = p
    return np.array([2 * (x - 1) - 40 * x * (y - x * x), 20 * (y - x * x)])


def rosenbrock_value(p):
    return (1 - p[0]) ** 2 + 10 * (p[1] - p[0] ** 2) ** 2


def test_every_rule_is_tested():
    assert {method.kernel for method, _ in CASES} == RULES.keys()
    assert {method.name for method, _ in CASES} == OPTIMIZERS.keys()


@pytest.mark.parametrize(("method", "plain"), CASES, ids=lambda x: x.kernel if hasattr(x, "kernel") else "")
def test_steps_are_those_of_a_plain_transcription(method, plain):
    p, memory, wanted = np.array([3.0, -2.0, 1.0]), {}, []
    for t in range(1, STEPS + 1):
        p = plain(method, bowl(p), p, t, memory)
        wanted.append(p)
    np.testing.assert_allclose(course(method, bowl, [3.0, -2.0, 1.0]), wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kernel", RULES)
def test_they_find_the_bottom_of_a_parabola(kernel):
    found = course(FIRST[kernel], bowl, [3.0, -2.0, 1.0], steps=2000)[-1]
    assert np.abs(found).max() < (0.3 if kernel in ("sgd", "adagrad", "lion") else 0.05)


@pytest.mark.parametrize("kernel", RULES)
def test_they_go_down_the_valley_of_rosenbrock(kernel):
    method = FIRST[kernel]
    if method.name == "sgd":  # it diverges where the others only oscillate
        method = dataclasses.replace(method, learning_rate=0.002)
    found = course(method, rosenbrock, [-1.0, 1.5], steps=4000)[-1]
    assert rosenbrock_value(found) < 0.05


TORCH = {
    SGD: lambda torch, p, o: torch.optim.SGD(p, lr=o.learning_rate, momentum=o.momentum, nesterov=o.nesterov),
    Adam: lambda torch, p, o: torch.optim.Adam(p, lr=o.learning_rate, betas=(o.beta1, o.beta2), eps=o.epsilon),
    AdamW: lambda torch, p, o: torch.optim.AdamW(
        p, lr=o.learning_rate, betas=(o.beta1, o.beta2), eps=o.epsilon, weight_decay=o.weight_decay
    ),
    Nadam: lambda torch, p, o: torch.optim.NAdam(
        p, lr=o.learning_rate, betas=(o.beta1, o.beta2), eps=o.epsilon, momentum_decay=o.momentum_decay
    ),
    RMSprop: lambda torch, p, o: torch.optim.RMSprop(
        p, lr=o.learning_rate, alpha=o.alpha, eps=o.epsilon, momentum=o.momentum, centered=o.centered
    ),
    Adagrad: lambda torch, p, o: torch.optim.Adagrad(
        p,
        lr=o.learning_rate,
        lr_decay=o.rate_decay,
        initial_accumulator_value=o.initial_accumulator,
        eps=o.epsilon,
    ),
    Rprop: lambda torch, p, o: torch.optim.Rprop(
        p, lr=o.learning_rate, etas=(o.decrease, o.increase), step_sizes=(o.smallest, o.largest)
    ),
}


@pytest.mark.parametrize("method", [m for m, _ in CASES if type(m) in TORCH], ids=lambda m: m.kernel)
def test_steps_are_those_of_pytorch(method):
    torch = pytest.importorskip("torch")
    p = torch.tensor([3.0, -2.0, 1.0], dtype=torch.float64, requires_grad=True)
    other = TORCH[type(method)](torch, [p], method)
    wanted = []
    for _ in range(STEPS):
        p.grad = torch.tensor(PARABOLA) * p.detach()
        other.step()
        wanted.append(p.detach().numpy().copy())
    np.testing.assert_allclose(course(method, bowl, [3.0, -2.0, 1.0]), wanted, rtol=1e-9, atol=1e-12)


# --- tables ---


@pytest.mark.parametrize(("method", "plain"), CASES, ids=lambda x: x.kernel if hasattr(x, "kernel") else "")
def test_tables_have_a_row_for_every_step(method, plain):
    rule, table = method.rule, method.numbers(np.arange(1, 101))
    assert table.shape == (100, len(rule.numbers))
    assert table.dtype == np.float64
    assert np.isfinite(table).all()
    assert rule.numbers[0] == "rate"
    assert (table[:, 0] == method.learning_rate).all()
    assert len(method.start) == len(rule.states)
    np.testing.assert_array_equal(method.numbers([7, 90]), table[[6, 89]])
    assert (method.numbers([1, 2], rates=[0.25, 0.5])[:, 0] == [0.25, 0.5]).all()
    assert method.numbers([]).shape == (0, len(rule.numbers))
    used = set(variables(rule.expressions))
    assert used <= {"g", "p", *rule.states, *rule.numbers}
    assert {"g", "p"} <= used
    assert set(rule.weights_only) <= set(rule.numbers)
    assert method.numbers([10**9])[0].tolist() == pytest.approx(method.numbers([10**9 + 1])[0].tolist(), rel=1e-6)


def test_momentum_products_of_nadam_far_from_the_start():
    method, product = Nadam(beta1=0.99), 1.0
    table = method.numbers(np.arange(1, 6001))
    for t in range(1, 6001):
        mu, mu_next = (0.99 * (1 - 0.5 * 0.96 ** (k * 0.004)) for k in (t, t + 1))
        product *= mu
        shares = (1 - mu) / (1 - product), mu_next / (1 - product * mu_next)
        assert table[t - 1, 5:7] == pytest.approx(shares, rel=1e-12)


def test_epsilons_that_kernels_would_flush_are_raised():
    for method in (Adam(epsilon=1e-300), RMSprop(epsilon=1e-300), Adagrad(epsilon=1e-300)):
        assert np.float32(method.numbers([1])[0][method.rule.numbers.index("epsilon")]) >= np.finfo(np.float32).tiny
        assert method.epsilon == 1e-300


def test_equations_are_texts():
    assert Adam().rule.texts[1:] == ("m <- beta1 * m + rest1 * g", "v <- beta2 * v + rest2 * g^2")
    assert AdamW().rule.weights_only == ("decay",)


def test_rprop_needs_the_whole_gradient():
    assert [kind.name for kind in OPTIMIZERS.values() if kind.full_batch] == ["rprop"]


# --- objects ---


@pytest.mark.parametrize(("method", "plain"), CASES, ids=lambda x: x.kernel if hasattr(x, "kernel") else "")
def test_optimizers_go_through_files_and_pickles(method, plain):
    assert optimizers.from_data(json.loads(json.dumps(method.to_data()))) == method
    assert pickle.loads(pickle.dumps(method)) == method
    assert optimizers.resolve(method) is method
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.learning_rate = 1.0


def test_names():
    assert optimizers.resolve("adamw") == AdamW()
    with pytest.raises(ValueError, match="did you mean 'adam'"):
        optimizers.resolve("adm")
    with pytest.raises(TypeError, match="optimizer must be one of"):
        optimizers.resolve(3)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD(learning_rate=0), ValueError, "learning_rate must be > 0"),
        (lambda: SGD(momentum=1), ValueError, "momentum must be >= 0 and < 1"),
        (lambda: SGD(nesterov=True), ValueError, "needs momentum > 0"),
        (lambda: SGD(nesterov=1), TypeError, "nesterov must be True or False"),
        (lambda: Adam(learning_rate="1"), TypeError, "learning_rate must be a number"),
        (lambda: Adam(beta2=1.0), ValueError, "beta2 must be"),
        (lambda: AdamW(weight_decay=-1), ValueError, "weight_decay must be >= 0"),
        (lambda: Nadam(momentum_decay=-1), ValueError, "momentum_decay must be >= 0"),
        (lambda: RMSprop(alpha=1), ValueError, "alpha must be"),
        (lambda: RMSprop(centered="no"), TypeError, "centered must be True or False"),
        (lambda: Adagrad(epsilon=0), ValueError, "epsilon must be > 0"),
        (lambda: Lion(beta1=-0.1), ValueError, "beta1 must be"),
        (lambda: Rprop(decrease=1), ValueError, "decrease must be > 0 and < 1"),
        (lambda: Rprop(increase=0.9), ValueError, "increase must be >= 1"),
        (lambda: Rprop(smallest=2, largest=1), ValueError, "smallest must be at most largest"),
    ],
)
def test_wrong_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


# --- users' own ---


def heavy(g, p, s, n):
    m = n.decay * s.m + (1 - n.decay) * g
    return p - n.rate * n.correction * m, (m,)


def make_heavy(**changes):
    settings = {"learning_rate": 0.1, "states": ["m"], "decay": 0.9, "correction": lambda step: 1 / (1 - 0.9**step)}
    return optimizer("heavy", heavy, **(settings | changes))


def test_an_optimizer_of_ones_own():
    own = make_heavy()
    assert isinstance(own, OwnOptimizer)
    assert own.rule.numbers == ("rate", "decay", "correction")
    m, p, wanted = 0, np.array([3.0, -2.0, 1.0]), []
    for t in range(1, STEPS + 1):
        m = 0.9 * m + 0.1 * bowl(p)
        p = p - 0.1 / (1 - 0.9**t) * m
        wanted.append(p)
    np.testing.assert_allclose(course(own, bowl, [3.0, -2.0, 1.0]), wanted, rtol=1e-10)
    again = optimizers.from_data(json.loads(json.dumps(own.to_data())))
    assert again == own == pickle.loads(pickle.dumps(own))
    assert hash(again) == hash(own)
    assert (again.numbers([1, 2, 3]) == own.numbers([1, 2, 3])).all()


@pytest.mark.parametrize("count", [1, 12, 13, 16, 20, 31])
@pytest.mark.parametrize("more", [{}, {"l1": 0.01, "l2": 0.02, "clip_value": 0.05, "weight_average": 0.9}], ids=str)
def test_many_numbers_of_ones_own(count, more):
    """Each counts, and stands in nobody else's place: steps of SGD in as many parts."""
    names = [f"part{i}" for i in range(count)]
    own = optimizer(
        "parts",
        lambda g, p, s, n: (p - n.rate * sum(getattr(n, name) for name in names) * g, ()),
        learning_rate=0.25,
        **dict.fromkeys(names, 1 / count),
    )
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 5)), np.arange(40) % 3
    mine, its = (fastnn.Network([5, 7, 3], dtype="float64", seed=1) for _ in range(2))
    mine.fit(X, y, epochs=3, optimizer=own, **more)
    its.fit(X, y, epochs=3, optimizer=SGD(0.25), **more)
    if more:
        mine, its = mine.averaged(), its.averaged()
    for a, b in zip([*mine.weights, *mine.biases], [*its.weights, *its.biases], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)  # a few roundings in each of 12 steps of numbers below 1


def test_states_of_ones_own_begin_where_they_are_said_to():
    own = optimizer("waits", lambda g, p, s, n: (p - n.rate * g / s.k, [s.k]), learning_rate=1.0, states={"k": 4.0})
    assert own.start == (4.0,)
    assert course(own, lambda p: p * 0 + 2, [1.0], steps=1) == 0.5


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"name": "adam"}, ValueError, "built-in"),
        ({"learning_rate": 0}, ValueError, "learning_rate must be > 0"),
        ({"decay": "0.9"}, TypeError, "decay of mine must be a number"),
        ({"update": lambda g, p, s, n: p - n.rate * g}, FormulaError, r"must return \(p, states\)"),
        ({"update": lambda g, p, s, n: (p, ())}, FormulaError, "1 states"),
        ({"update": lambda g, p, s, n: (p, (s.m > 0,))}, FormulaError, "comparison|states"),
        ({"update": lambda g, p, s, n: (p - n.speed * g, (s.m,))}, FormulaError, "speed"),
        ({"update": lambda g, p, s, n: (p - np.sign(g), (s.m,))}, FormulaError, r"numpy\.sign"),
        ({"update": lambda g, p, s, n: (p - g / s.m, (s.m,))}, FormulaError, "p is not finite after step 1"),
        ({"update": lambda g, p, s, n: (p - g, (ops.log(g),))}, FormulaError, "m is not finite after step 1"),
        ({"states": ["g"]}, FormulaError, "different names"),
        ({"states": ["m", "rate"]}, FormulaError, "different names"),
        ({"states": ["1m"]}, ValueError, "identifier|valid"),
        ({"correction": math.sqrt}, FormulaError, "math module"),
        ({"correction": lambda step: 1 / (step - 2)}, FormulaError, "correction is inf"),
        ({"weights_only": ["dekay"]}, ValueError, "did you mean 'decay'"),
    ],
)
def test_optimizers_that_cannot_be(changes, error, message):
    settings = {"name": "mine", "update": heavy, "learning_rate": 0.1, "states": ["m"], "decay": 0.9, "correction": 1.0}
    settings |= changes
    with pytest.raises(error, match=message):
        optimizer(settings.pop("name"), settings.pop("update"), **settings)


@pytest.mark.parametrize(
    "change",
    [
        {"own_name": "adam"},
        {"own_name": "__x y"},
        {"learning_rate": -1.0},
        {"learning_rate": "0.1"},
        {"states": []},
        {"states": ["m", "k"]},
        {"states": [3]},
        {"states": ["g"]},
        {"numbers": []},
        {"numbers": ["decay", "rate", "correction"]},
        {"numbers": ["rate", "rate", "correction"]},
        {"weights_only": ["x y"]},
        {"weights_only": ["other"]},
        {"update": [[["variable", "os"]], [0]]},
        {"update": [[["variable", "p"], ["system", 0]], [1, 0]]},
        {"number_formulas": [[["variable", "g"]], [0, 0]]},
        {"first_states": ["0"]},
        {"first_states": []},
        {"more": 1},
        {"name": "owner"},
    ],
)
def test_stored_optimizers_that_are_none(change):
    with pytest.raises((ValueError, TypeError)):
        optimizers.from_data(make_heavy().to_data() | change)


@pytest.mark.parametrize(
    "data", [None, [], {}, {"name": 3}, {"name": "adam", "beta3": 1}, {"name": "adam", "beta1": "x"}]
)
def test_stored_built_in_optimizers_that_are_none(data):
    with pytest.raises((ValueError, TypeError)):
        optimizers.from_data(data)
