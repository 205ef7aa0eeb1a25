"""Schedules of the learning rate, against plain transcriptions one step at a time."""

import dataclasses
import math

import numpy as np
import pytest

from fastnn.formulas import schedules
from fastnn.formulas.schedules import (
    SCHEDULES,
    Constant,
    CosineDecay,
    ExponentialDecay,
    InverseScaling,
    OneCycle,
    PolynomialDecay,
    ReduceOnPlateau,
    ShareOfTraining,
    StepDecay,
    Warmup,
)

PER_EPOCH, TOTAL = 7, 70


def half_cosine(first, last, share):
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


def restarts(step, period, growth, final):
    length, since = period * PER_EPOCH, step
    while since >= length:
        since, length = since - length, length * growth
    return half_cosine(1, final, since / length)


def one_cycle(step, warmup, start, final):
    top = warmup * TOTAL - 1
    if step <= top:
        return half_cosine(start, 1, step / top)
    return half_cosine(1, final, (step - top) / (TOTAL - 1 - top))


def warmed(step):
    return (0.1 + 0.9 * (step + 1) / 14) if step < 14 else 1 - (step - 14) / (TOTAL - 14)


CASES = [
    (Constant(), lambda step: 1),
    (StepDecay(every=2, factor=0.5), lambda step: 0.5 ** (step // PER_EPOCH // 2)),
    (ExponentialDecay(factor=0.9), lambda step: 0.9 ** (step / PER_EPOCH)),
    (CosineDecay(), lambda step: half_cosine(1, 0, step / TOTAL)),
    (CosineDecay(final=0.1), lambda step: half_cosine(1, 0.1, step / TOTAL)),
    (CosineDecay(period=3), lambda step: restarts(step, 3, 1, 0)),
    (CosineDecay(period=1, growth=2, final=0.01), lambda step: restarts(step, 1, 2, 0.01)),
    (CosineDecay(period=2, growth=1.5), lambda step: restarts(step, 2, 1.5, 0)),
    (OneCycle(), lambda step: one_cycle(step, 0.3, 0.04, 4e-6)),
    (OneCycle(warmup=0.6, start=0.1, final=0), lambda step: one_cycle(step, 0.6, 0.1, 0)),
    (InverseScaling(power=0.25), lambda step: 1 / (step + 1) ** 0.25),
    (PolynomialDecay(), lambda step: 1 - step / TOTAL),
    (PolynomialDecay(power=2, final=0.2), lambda step: 0.2 + 0.8 * (1 - step / TOTAL) ** 2),
    (Warmup(epochs=2, then="polynomial", start=0.1), warmed),
    (Warmup(epochs=1), lambda step: min((step + 1) / 7, 1)),
    (ShareOfTraining(lambda u: np.exp(-u)), lambda step: math.exp(-step / TOTAL)),
    (ShareOfTraining(lambda u: 1 if u < 0.5 else 0.1), lambda step: 1 if step < 35 else 0.1),
    (ShareOfTraining(lambda u: 0.5), lambda step: 0.5),
    (ReduceOnPlateau(), lambda step: 1),
]


@pytest.mark.parametrize(("schedule", "plain"), CASES, ids=lambda x: x.name if hasattr(x, "name") else "")
def test_rates(schedule, plain):
    wanted = [0.3 * plain(step) for step in range(TOTAL)]
    found = schedule.rate(0.3, np.arange(TOTAL), PER_EPOCH, TOTAL)
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-15)
    assert found.dtype == np.float64
    for step in (0, 13, 14, 69):  # a row of the table does not depend on the others
        assert schedule.rate(0.3, [step], PER_EPOCH, TOTAL) == found[step]


def test_every_schedule_is_tested():
    assert {type(schedule) for schedule, _ in CASES} == {*SCHEDULES.values(), ShareOfTraining}


@pytest.mark.parametrize("schedule", [kind() for kind in SCHEDULES.values()], ids=lambda x: x.name)
@pytest.mark.parametrize(("per_epoch", "total"), [(1, 1), (1, 3), (1000, 1), (3, 2)])
def test_short_trainings(schedule, per_epoch, total):
    rates = schedule.rate(1.0, np.arange(total), per_epoch, total)
    assert (rates >= 0).all()
    assert (rates <= 1).all()


def test_after_the_end_rates_stay_usable():
    for kind in SCHEDULES.values():
        assert (kind().rate(1.0, np.arange(200), 10, 100) >= 0).all()


def test_names_with_parameters():
    assert schedules.resolve(None) == Constant()
    assert schedules.resolve("step(every=3, factor=0.5)") == StepDecay(every=3, factor=0.5)
    assert schedules.resolve("warmup(epochs=2, then='cosine(final=0.1)')") == Warmup(2, CosineDecay(final=0.1))
    assert schedules.resolve("plateau(patience=2)").patience == 2
    assert schedules.resolve(abs) == ShareOfTraining(abs)
    for name, kind in SCHEDULES.items():
        assert schedules.resolve(name) == kind()
        assert dataclasses.is_dataclass(kind)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: schedules.resolve("cosin"), ValueError, "did you mean 'cosine'"),
        (lambda: schedules.resolve("cosine(perod=1)"), ValueError, "did you mean 'period'"),
        (lambda: schedules.resolve("constant(a=1)"), ValueError, "constant has no parameters"),
        (lambda: schedules.resolve("cosine(1)"), ValueError, "must look like"),
        (lambda: schedules.resolve(3), TypeError, "schedule must be one of"),
        (lambda: StepDecay(every=0), ValueError, "every must be > 0"),
        (lambda: StepDecay(factor=1), ValueError, "factor must be"),
        (lambda: ExponentialDecay(factor="1"), TypeError, "factor must be a number"),
        (lambda: CosineDecay(period=-1), ValueError, "period must be > 0"),
        (lambda: CosineDecay(growth=0.5), ValueError, "growth must be >= 1"),
        (lambda: OneCycle(warmup=0), ValueError, "warmup must be"),
        (lambda: InverseScaling(power=0), ValueError, "power must be > 0"),
        (lambda: PolynomialDecay(final=-1), ValueError, "final must be >= 0"),
        (lambda: Warmup(epochs=0), ValueError, "epochs must be > 0"),
        (lambda: Warmup(then="plateau"), ValueError, "then must be a schedule of the step"),
        (lambda: Warmup(then="cosin"), ValueError, "then must be one of"),
        (lambda: ShareOfTraining(3), TypeError, "function must be callable"),
        (lambda: ReduceOnPlateau(patience=-1), ValueError, "patience must be >= 0"),
        (lambda: ReduceOnPlateau(patience=1.5), TypeError, "patience must be a whole number"),
        (lambda: ReduceOnPlateau(monitor=3), TypeError, "monitor must be a name"),
        (lambda: ReduceOnPlateau(smallest=1), ValueError, "smallest must be"),
    ],
)
def test_wrong_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("function", [lambda u: -u, lambda u: np.inf, lambda u: u * np.nan])
def test_rates_that_cannot_be(function):
    with pytest.raises(ValueError, match=r"gives the learning rate .* in step"):
        ShareOfTraining(function).rate(0.1, [1, 2], 1, 4)


def test_errors_of_a_users_function_come_through():
    def broken(u):
        raise ValueError("my own")

    with pytest.raises(ValueError, match="my own"):
        ShareOfTraining(broken).rate(0.1, [1, 2], 1, 4)


def plateau(values, larger_is_better=False, **settings):
    state = ReduceOnPlateau(**settings).begin(larger_is_better)
    return [state.after_epoch(value) for value in values]


def test_plateaus():
    costs = [1.0, 0.9, 0.9, 0.9, 0.8, 0.8, 0.8, 0.8]
    assert plateau(costs, factor=0.5, patience=1) == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]
    assert plateau(costs, factor=0.5, patience=0) == [1, 1, 0.5, 0.25, 0.25, 0.125, 0.0625, 0.03125]
    assert plateau(costs, factor=0.5, patience=0, cooldown=2) == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    assert plateau(costs, factor=0.5, patience=0, smallest=0.25)[-1] == 0.25
    assert plateau(costs, factor=0.5, patience=10) == [1] * 8
    assert plateau([0.5, 0.6, 0.7], larger_is_better=True, factor=0.5, patience=0) == [1, 1, 1]
    assert plateau([0.5, 0.6, 0.7], factor=0.5, patience=0) == [1, 0.5, 0.25]
    assert plateau([1, 0.95, 0.89], factor=0.5, patience=0, threshold=0.1) == [1, 0.5, 0.5]
    assert plateau([1, 0.95, 0.9], factor=0.5, patience=0, threshold=0) == [1, 1, 1]
    assert plateau([math.nan, 1, math.nan], factor=0.5, patience=0) == [0.5, 0.5, 0.25]


def test_plateaus_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for settings in ({"patience": 1}, {"patience": 3, "cooldown": 2}, {"patience": 0, "threshold": 0.05}):
        p = torch.zeros(1, requires_grad=True)
        method = torch.optim.SGD([p], lr=1.0)
        other = torch.optim.lr_scheduler.ReduceLROnPlateau(method, factor=0.5, **settings)
        values = 1 / (1 + np.arange(40)) + rng.normal(0, 0.1, 40)
        wanted = []
        for value in values:
            other.step(value)
            wanted.append(method.param_groups[0]["lr"])
        assert plateau(values, factor=0.5, **settings) == pytest.approx(wanted, rel=1e-6)
