"""Public calls with arguments of every kind: only documented errors, and no state changed by a refused call."""

import contextlib
import copy
import json
import random
import tempfile
import warnings
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

import fastnn
from campaign.base import text_of

_N, _IN, _OUT = 40, 5, 3
_REFUSALS = (ValueError, TypeError)  # before anything changes
_BROKEN_OFF = (fastnn.DivergenceError,)  # afterwards: the last finite state is kept

# One network per kind of output, cost, activation and dtype; compiled once for all attempts of a process.
_SHAPES = (
    {"output": "sigmoid", "cost": "cross_entropy", "activation": "tanh"},
    {"output": "softmax", "cost": "log_likelihood", "activation": "relu", "dtype": "float64"},
    {"output": "identity", "cost": "quadratic", "activation": "relu"},
)

_JUNK: tuple[Callable[[], Any], ...] = (
    *(
        lambda value=value: value
        for value in (None, True, False, -1, 0, 1, 2, 10**400, 2**63, 0.5, -0.0, 1e-320, 1e300)
    ),
    *(lambda value=value: float(value) for value in ("nan", "inf", "-inf")),
    *(lambda value=value: value for value in ("", "adam", "sigmoidd", b"bytes", (), [], {}, 1j, ..., object, len)),
    *(lambda kind=kind: kind(1) for kind in (np.float16, np.float32, np.int8, np.uint64, np.bool_, np.complex64)),
    lambda: Fraction(1, 3),
    lambda: Decimal("0.1"),
    lambda: np.datetime64("2026-01-01"),
    lambda: np.array(3),
    lambda: np.array([0.1]),
    lambda: np.ones((2, 2, 2)),
    lambda: iter([1, 2]),
    lambda: (i for i in range(3)),
    lambda: [[1], [1, 2]],
    object,
    lambda: set("ab"),
    lambda: range(3),
    lambda: "x" * 10_000,
)


def _numbers(rng: random.Random) -> np.random.Generator:
    return np.random.default_rng(rng.randrange(2**32))


def _good_inputs(rng: random.Random) -> Any:
    return _numbers(rng).random((_N, _IN))


def _with_one(value: float) -> Callable[[random.Random], Any]:
    def make(rng: random.Random) -> Any:
        X = _good_inputs(rng)
        X[rng.randrange(_N), rng.randrange(_IN)] = value
        return X

    return make


def _sparse(kind: str, damage: Callable[[Any], None]) -> Callable[[random.Random], Any]:
    def make(rng: random.Random) -> Any:
        from scipy import sparse

        matrix = sparse.random(_N, _IN, 0.4, format=kind, random_state=rng.randrange(2**32))
        damage(matrix)
        return matrix

    return make


def _set(name: str, place: Any, value: float) -> Callable[[Any], None]:
    def damage(matrix: Any) -> None:
        getattr(matrix, name)[place] = value

    return damage


def _to_float(name: str) -> Callable[[Any], None]:
    return lambda matrix: setattr(matrix, name, getattr(matrix, name).astype(float))


def _frame(rng: random.Random) -> Any:
    import pandas

    return pandas.DataFrame(_good_inputs(rng))


_X_KINDS: tuple[Callable[[random.Random], Any], ...] = (
    *([_good_inputs] * 6),
    *map(_with_one, (float("nan"), float("inf"), 1e300, -3.4e38, 1e30, 1e-42)),
    *(
        lambda rng, kind=kind: _good_inputs(rng).astype(kind)
        for kind in ("f2", "f4", ">f8", "u1", "i8", "?", "O", "c8", "U8")
    ),
    lambda rng: np.asfortranarray(_good_inputs(rng)),
    lambda rng: np.broadcast_to(_good_inputs(rng)[:1], (_N, _IN)),
    lambda rng: _good_inputs(rng)[::-1, ::-1],
    lambda rng: _good_inputs(rng).tolist(),
    lambda rng: _good_inputs(rng)[:0],
    lambda rng: _good_inputs(rng)[:, :-1],
    lambda rng: _good_inputs(rng)[0],
    lambda rng: _good_inputs(rng)[None],
    lambda rng: np.ma.masked_less(_good_inputs(rng), 0.5),
    lambda rng: np.matrix(_good_inputs(rng)),
    _frame,
    *(_sparse(kind, lambda matrix: None) for kind in ("csr", "csc", "coo", "lil", "dok", "bsr")),
    _sparse("csr", _set("indices", 0, 99)),
    _sparse("csr", _set("indices", 0, -7)),
    _sparse("csr", _set("indptr", -1, 9999)),
    _sparse("csr", _set("indptr", 1, -1)),
    _sparse("csr", _set("data", 0, float("nan"))),
    _sparse("csr", _to_float("indptr")),
    _sparse("csr", _to_float("indices")),
)

_Y_KINDS: tuple[Callable[[random.Random], Any], ...] = (
    *([lambda rng: _numbers(rng).integers(0, _OUT, _N)] * 6),
    lambda rng: np.eye(_OUT)[_numbers(rng).integers(0, _OUT, _N)],
    lambda rng: _numbers(rng).random((_N, _OUT)),
    lambda rng: _numbers(rng).normal(size=(_N, _OUT)) * 1e30,
    lambda rng: np.full(_N, _OUT),
    lambda rng: np.full(_N, -1),
    lambda rng: np.full(_N, 0.5),
    lambda rng: np.full(_N, np.inf),
    lambda rng: np.zeros(_N - 1, int),
    lambda rng: ["cat"] * _N,
    lambda rng: [None] * _N,
    lambda rng: np.zeros((_N, _OUT + 1)),
    lambda rng: np.zeros((_N, 1), int),
)


def _junk(rng: random.Random) -> Any:
    return rng.choice(_JUNK)()


def _inputs(rng: random.Random) -> Any:
    return _junk(rng) if rng.random() < 0.1 else rng.choice(_X_KINDS)(rng)


def _targets(rng: random.Random) -> Any:
    return _junk(rng) if rng.random() < 0.1 else rng.choice(_Y_KINDS)(rng)


def _optimizer(rng: random.Random) -> Any:
    if rng.random() < 0.5:
        return rng.choice(["sgd", "adam"])
    rate = rng.choice([0.1, 0.001, 1e6, 1e300, 1e-320])
    return rng.choice([fastnn.SGD(rate), fastnn.SGD(rate, 0.9), fastnn.SGD(rate, 0.9, True), fastnn.Adam(rate)])


def _early_stopping(rng: random.Random) -> Any:
    monitor = rng.choice(["train_cost", "val_cost", "val_accuracy"])
    return fastnn.EarlyStopping(monitor, patience=rng.choice([1, 2]))


_FIT: dict[str, Callable[[random.Random], Any]] = {
    "epochs": lambda rng: rng.choice([0, 1, 3]),
    "batch_size": lambda rng: rng.choice([1, 10, 40, 10**9, [10, 30], [40]]),
    "optimizer": _optimizer,
    "l2": lambda rng: rng.choice([0, 1e-3, 1.0]),
    "l1": lambda rng: rng.choice([0, 1e-3]),
    "shuffle": lambda rng: rng.choice([True, False, np.random.permutation]),
    "validation_data": lambda rng: (_inputs(rng), _targets(rng)),
    "sample_weight": lambda rng: rng.choice([None, np.ones(_N), np.zeros(_N), -np.ones(_N), np.full(_N, np.nan)]),
    "max_time": lambda rng: rng.choice([0.001, 10.0]),
    "callbacks": lambda rng: [rng.choice([lambda *_: None, lambda *_: np.True_, _early_stopping(rng)])],
    "progress": lambda rng: False,
    "threads": lambda rng: rng.choice([1, 2, "auto"]),
}

_NETWORK: dict[str, Callable[[random.Random], Any]] = {
    "activation": lambda rng: rng.choice(["sigmoid", "tanh", ["relu"], ["relu", "tanh"], "softmax"]),
    "output": lambda rng: rng.choice(["sigmoid", "softmax", "identity", "tanh"]),
    "cost": lambda rng: rng.choice(["quadratic", "sum_squares", "cross_entropy", "log_likelihood"]),
    "initializer": lambda rng: rng.choice(["scaled", "he", ([], []), ([np.ones((_OUT, _IN))], [np.ones(_OUT)])]),
    "dtype": lambda rng: rng.choice(["float32", "float64", np.float32, "float16", ",", "f4,f4", ">f4"]),
    "seed": lambda rng: rng.choice([0, 1, None, 2**70]),
}


def _some(rng: random.Random, makers: dict[str, Callable[[random.Random], Any]]) -> dict[str, Any]:
    """A few of the arguments, now and then of a kind that makes no sense."""
    chosen = rng.sample(list(makers), rng.randrange(min(5, len(makers))))
    return {name: _junk(rng) if rng.random() < 0.2 else makers[name](rng) for name in chosen}


def _fit(rng: random.Random, net: fastnn.Network) -> Any:
    return net.fit(_inputs(rng), _targets(rng), **{"epochs": 1, "progress": False, **_some(rng, _FIT)})


def _make(rng: random.Random, _: fastnn.Network) -> Any:
    sizes = rng.choice([[_IN, 4, _OUT], [_IN, _OUT], [_IN], [], [0, 1], [_IN, 4.0, _OUT], (_IN, np.int8(4), _OUT)])
    fastnn.Network(_junk(rng) if rng.random() < 0.2 else sizes, **_some(rng, _NETWORK))


def _assign(rng: random.Random, net: fastnn.Network) -> Any:
    arrays = net.weights if rng.random() < 0.5 else net.biases
    place = rng.choice([0, -1, 1, 2, -3, slice(None), slice(0, 1), None, "0", 0.0])
    if isinstance(place, int) and -2 <= place < 2:
        value = rng.choice([np.ones(arrays.shapes[place]), np.full(arrays.shapes[place], np.nan), _junk(rng)])
    else:
        value = _junk(rng)
    with contextlib.suppress(IndexError):  # a list's own error
        arrays[place] = value


def _use(rng: random.Random, net: fastnn.Network) -> Any:
    name = rng.choice(["forward", "predict", "evaluate", "gradients", "diagnose"])
    arguments = [_inputs(rng)] if name in ("forward", "predict") else [_inputs(rng), _targets(rng)]
    return getattr(net, name)(*arguments)


def _optimizers(rng: random.Random, _: fastnn.Network) -> Any:
    kind = rng.choice([fastnn.SGD, fastnn.Adam, fastnn.EarlyStopping])
    kind(*(_junk(rng) for _ in range(rng.randrange(4))))


def _files(rng: random.Random, net: fastnn.Network) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, rng.choice(["net", "näme", "n" * 255]))
        wrong = [_junk(rng), folder, Path(folder, "nowhere", "net"), "a\0b", ""]
        given = path if rng.random() < 0.5 else rng.choice(wrong)
        # A name of something that is none of ours must not be written to the current folder.
        given = given if not isinstance(given, str | bytes) or str(given).startswith(folder) else Path(folder, "x", "y")
        try:
            net.save(given)
            fastnn.load(given)
        except OSError:
            pass


def _copy(rng: random.Random, net: fastnn.Network) -> Any:
    rng.choice([copy.copy, copy.deepcopy, fastnn.Network.copy])(net)


_CALLS = (*[_fit] * 6, *[_use] * 6, *[_make] * 3, *[_assign] * 2, _optimizers, _files, _copy)


def _state(net: fastnn.Network) -> tuple[str, dict[str, bytes], int]:
    header, arrays = net._to_record()
    return json.dumps(header, sort_keys=True), {key: a.tobytes() for key, a in arrays.items()}, id(net.history)


def _is_finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, tuple | list):
        return all(map(_is_finite, value))
    return not isinstance(value, np.ndarray | float) or bool(np.isfinite(value).all())


def attempts() -> Callable[[int], tuple[dict[str, int], list[str]]]:
    """Makes calls; the number of the attempt is the seed of all its choices."""
    warnings.simplefilter("ignore")
    nets = [fastnn.Network([_IN, 4, _OUT], **shape) for shape in _SHAPES]  # type: ignore[arg-type]

    def attempt(number: int) -> tuple[dict[str, int], list[str]]:
        rng = random.Random(number)
        net = rng.choice(nets).copy()
        call, before = rng.choice(_CALLS), _state(net)
        counts, failures = {"calls": 1}, []
        try:
            with np.errstate(all=rng.choice(["warn", "ignore", "raise"])):
                value = call(rng, net)
        except _REFUSALS as error:
            counts["refused"] = 1
            if _state(net) != before:
                failures.append(f"a refused call changed something: {text_of(error)}")
            if len(str(error)) < 10:
                failures.append(f"an error that says nothing: {text_of(error)}")
        except _BROKEN_OFF:
            counts["diverged"] = 1
        except BaseException as error:
            failures.append(f"undocumented {text_of(error)}")
        else:
            if not _is_finite(value):
                failures.append(f"{call.__name__} gave what is not finite, without a word")
        if not _is_finite(list(net._to_record().arrays.values())):
            failures.append(f"{call.__name__} left what is not finite")
        return counts, failures

    return attempt
