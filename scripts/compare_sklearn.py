"""Times of ``fastnn.sklearn``'s estimators against those of scikit-learn's, in one run: a table for the README.

    python scripts/compare_sklearn.py

Both on one thread, the same data, parameters and ``random_state``; in turn, after a first fit that compiles. Needs
scikit-learn and pandas.
"""

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import environment
import markup
from arguments import add_output, output_folder, positive

environment.pin_threads(1)

import numpy as np  # noqa: E402  (NumPy must find the threads pinned)
from peers import report  # noqa: E402
from sklearn import datasets, neural_network  # noqa: E402
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: E402

import fastnn  # noqa: E402
from fastnn import sklearn as ours  # noqa: E402

Pair = tuple[Any, Any]


class Case(NamedTuple):
    """One row of the table."""

    name: str
    kind: str
    data: Callable[[], Pair]
    parameters: dict[str, Any]


class Row(NamedTuple):
    """What was measured: seconds of scikit-learn and of fastnn."""

    name: str
    dtype: str
    fit: tuple[float, float]
    predict: tuple[float, float]
    predict_one: tuple[float, float]


def _digits() -> Pair:
    X, y = datasets.load_digits(return_X_y=True)
    return X / 16, y


def _mnist() -> Pair:
    X, y, _, _ = fastnn.datasets.load_mnist()
    return X[:50_000], y[:50_000]


def _regression() -> Pair:
    X, y = datasets.make_regression(20_000, 24, noise=10.0, random_state=0)
    return X, y / y.std()


def _breast_cancer() -> Pair:
    X, y = datasets.load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X), y


CASES = (
    Case("digits, defaults", "MLPClassifier", _digits, {}),
    Case(
        "MNIST 784-30-10, batch 10, sgd, 10 epochs",
        "MLPClassifier",
        _mnist,
        {"hidden_layer_sizes": (30,), "batch_size": 10, "solver": "sgd", "learning_rate_init": 0.01, "max_iter": 10},
    ),
    Case(
        "MNIST 784-100-10, batch 200, adam, 10 epochs",
        "MLPClassifier",
        _mnist,
        {"hidden_layer_sizes": (100,), "max_iter": 10},
    ),
    Case(
        "regression 20,000 x 24, (64, 64), 10 epochs",
        "MLPRegressor",
        _regression,
        {"hidden_layer_sizes": (64, 64), "max_iter": 10},
    ),
    Case("breast cancer, defaults", "MLPClassifier", _breast_cancer, {}),
)


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _in_turn(works: tuple[Callable[[], Any], Callable[[], Any]], repeats: int) -> tuple[float, float]:
    """Medians of both, run one after the other."""
    taken = [[_seconds(work) for work in works] for _ in range(repeats)]
    theirs, mine = zip(*taken, strict=True)
    return statistics.median(theirs), statistics.median(mine)


def measure(case: Case, dtype: str, repeats: int, epochs: int | None) -> Row:
    """Time one case; ``epochs`` limits them."""
    X, y = case.data()
    X = np.ascontiguousarray(X, dtype)
    parameters = case.parameters | {"random_state": 0} | ({"max_iter": epochs} if epochs else {})
    pair = [getattr(module, case.kind)(**parameters) for module in (neural_network, ours)]
    for estimator in pair:  # compile, and warm the caches
        estimator.set_params(max_iter=1).fit(X, y)
        estimator.predict(X)
        estimator.set_params(**({"max_iter": 200} | parameters))
    fit = _in_turn(tuple(lambda e=e: e.fit(X, y) for e in pair), repeats)  # type: ignore[misc]
    predict = _in_turn(tuple(lambda e=e: e.predict(X) for e in pair), 5 * repeats)  # type: ignore[misc]
    one = _in_turn(tuple(lambda e=e: e.predict(X[:1]) for e in pair), 200 * repeats)  # type: ignore[misc]
    return Row(case.name, dtype, fit, predict, one)


# --- searches ---


def _tabular(n: int) -> Pair:
    """A table of numbers and categories, and whether something happened."""
    import pandas as pd

    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 12, n),
            "income": rng.lognormal(10, 0.6, n),
            "visits": rng.poisson(3, n),
            "town": rng.choice(list("ABCDEFGH"), n),
            "plan": rng.choice(["free", "basic", "full"], n),
        }
    )
    score = (
        0.05 * (frame["age"] - 40) + 0.4 * (frame["visits"] - 3) + (frame["plan"] == "full") - (frame["town"] == "A")
    )
    return frame, (score + rng.logistic(size=n) > 0).to_numpy()


def search_digits(module: Any, quick: bool, dtype: str) -> Callable[[], Any]:
    """Five folds of 24 candidates on the digits, two processes."""
    X, y = _digits()
    X = X.astype(dtype)
    grid = {
        "hidden_layer_sizes": [(10,), (20,), (40,), (60,), (80,), (100,)][: 2 if quick else 6],
        "alpha": [1e-5, 1e-4, 1e-3, 1e-2][: 1 if quick else 4],
    }
    estimator = module.MLPClassifier(max_iter=5 if quick else 50, random_state=0)
    return lambda: GridSearchCV(estimator, grid, cv=5, n_jobs=2).fit(X, y)


def search_table(module: Any, quick: bool) -> Callable[[], Any]:
    """Five folds over widths and alpha, with the table's columns prepared in a pipeline."""
    X, y = _tabular(500 if quick else 4000)
    prepared = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["age", "income", "visits"]),
            ("categories", OneHotEncoder(), ["town", "plan"]),
        ]
    )
    grid = {
        "mlpclassifier__hidden_layer_sizes": [(16,), (32,), (64,), (32, 32)][: 1 if quick else 4],
        "mlpclassifier__alpha": [1e-4, 1e-2, 1.0],
    }
    pipeline = make_pipeline(prepared, module.MLPClassifier(max_iter=5 if quick else 50, random_state=0))
    return lambda: GridSearchCV(pipeline, grid, cv=5).fit(X, y)


_DIGITS = "grid search on digits in {}: 24 candidates, 5 folds, at most 50 epochs, n_jobs=2"
SEARCHES = {
    **{_DIGITS.format(dtype): partial(search_digits, dtype=dtype) for dtype in ("float32", "float64")},
    "grid search of a table's pipeline: 12 candidates, 5 folds, at most 50 epochs": search_table,
}


# --- the table ---


def _cells(pair: tuple[float, float]) -> list[str]:
    theirs, mine = pair
    return [f"{theirs:.3g}", f"{mine:.3g}", f"{theirs / mine:.1f}x"]


def markdown(rows: list[Row], searches: dict[str, tuple[float, float]]) -> str:
    """The tables."""
    lines = [report.machine_line(report.machine()), "", "Seconds, medians of runs in turn, one thread each.", ""]
    titles = ["what", "dtype"]
    for work in ("fit", "predict", "one row, us"):
        titles += [f"{work}: scikit-learn", "fastnn", "ratio"]
    cells = []
    for row in rows:
        theirs, mine = row.predict_one
        one = 1e6 * theirs, 1e6 * mine
        cells.append([row.name, row.dtype, *_cells(row.fit), *_cells(row.predict), *_cells(one)])
    found = [[name, *_cells(pair)] for name, pair in searches.items()]
    lines += [markup.table(titles, cells), "", markup.table(["search", "scikit-learn", "fastnn", "ratio"], found)]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Measure and write; see the top of the file.

    Parameters
    ----------
    arguments : list of str
        The command line.

    Returns
    -------
    int
        Exit status.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--repeats", type=positive, default=3, help="fits of each (default: 3)")
    parser.add_argument("--quick", action="store_true", help="one repeat of one epoch: does it work?")
    add_output(parser)
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore", ConvergenceWarning)
    repeats = 1 if options.quick else options.repeats
    rows = []
    for case in CASES:
        for dtype in ("float32", "float64"):
            print(f"{case.name}, {dtype}", flush=True)
            rows.append(measure(case, dtype, repeats, 1 if options.quick else None))
    searches = {}
    for name, make in SEARCHES.items():
        print(name, flush=True)
        pair = make(neural_network, options.quick), make(ours, options.quick)
        make(ours, True)()  # compile
        searches[name] = _in_turn(pair, repeats)
    text = output_folder(options) / "sklearn.md"
    text.write_text(markdown(rows, searches), encoding="utf-8")
    print("", text.read_text(encoding="utf-8"), sep="\n")
    print("wrote", text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
