"""How long compiling takes: each piece of code from nothing, and what users wait for with an empty and a filled cache.

    python scripts/compile_times.py

prints two Markdown tables. Every figure comes from a fresh process; the user's own cache is left alone. Numba's start
counts with the piece that comes first.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import markup

_TYPES = ("float32", "float64")

# --- in a process with an empty cache ---


def _timed(what: str, compile_one: Callable[..., Any], is_new: Callable[[Any, Any], bool]) -> Callable[..., Any]:
    """The same function, which prints a row for everything that it compiles."""

    def compile_and_print(made: Any, dtype: Any) -> Any:
        new, began = is_new(made, dtype), time.perf_counter()
        result = compile_one(made, dtype)
        if new:
            print(markup.row([what, made.name, str(dtype or ""), f"{time.perf_counter() - began:.3f}"]))
        return result

    return compile_and_print


def compile_kernels(dtypes: list[str]) -> None:
    """Use everything that is compiled for these dtypes, and print a row for each piece of code."""
    import numpy as np

    import fastnn
    from fastnn import program
    from fastnn.compat._columns import ListShuffle
    from fastnn.formulas.optimizers import OPTIMIZERS
    from fastnn.kernels import parts
    from fastnn.kernels.compile import Piece

    program.usable_cores = lambda: 1  # every piece in this process
    Piece._result = _timed(  # type: ignore[method-assign]
        "piece", Piece._result, lambda piece, dtype: dtype not in piece._compiled
    )
    parts._load = _timed("part", parts._load, lambda part, dtype: True)
    for dtype in dtypes:
        X, y = np.ones((300, 70), dtype), np.arange(300) % 2
        X[:, 20:] = 0
        network = fastnn.Network([70, 4, 2], dtype=dtype)
        for optimizer in (*OPTIMIZERS, fastnn.SGD(momentum=0.9), fastnn.SGD(momentum=0.9, nesterov=True)):
            network.fit(X, y, epochs=1, batch_size=300, optimizer=optimizer, progress=False)
        for data, size in ((X, 10), (X + 1, 10), (X + 1, 300)):
            network.fit(data, y, epochs=1, batch_size=size, l2=1e-3, progress=False)
        network.evaluate(X, y)
        network.predict(X)
        network.gradients(X, y)
        fastnn.functions.sigmoid(X)
        fastnn.functions.softmax(X)
        fastnn.functions.cross_entropy(X, X)
    ListShuffle(3)(3)


# --- what a user waits for ---

_FIRST_EPOCH = """
import time
began = time.perf_counter()
import fastnn
imported = time.perf_counter()
X, y, _, _ = fastnn.datasets.load_mnist()
loaded = time.perf_counter()
network = fastnn.Network([784, 30, 10])
network.fit(X, y, epochs=1, batch_size=10, progress=False)
ended = time.perf_counter()
started = ended - network.history.seconds[0]
print(imported - began, loaded - imported, started - loaded, ended - started, ended - began)
"""
_IMPORTS = "import time\nbegan = time.perf_counter()\nimport {}\nprint(time.perf_counter() - began)"


def _run(code: str, cache: str) -> list[float]:
    """The numbers that a fresh process prints."""
    environment = {**os.environ, "FASTNN_CACHE_DIR": cache}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return [float(number) for number in run.stdout.split()]


def print_waits(repeats: int) -> None:
    """The second table: the first run with an empty cache, the others with what it left there."""
    print(markup.head(["process", "import", "load data", "make ready", "first MNIST epoch", "together"]))
    with tempfile.TemporaryDirectory() as cache:
        _print_row("empty cache", [_run(_FIRST_EPOCH, cache)])
        _print_row("filled cache", [_run(_FIRST_EPOCH, cache) for _ in range(repeats)])
        for modules in ("fastnn", "numpy, numba"):
            fastest = min(_run(_IMPORTS.format(modules), cache)[0] for _ in range(repeats))
            print(markup.row([f"import {modules} alone", f"{fastest:.3f}", *[""] * 4]))


def _print_row(name: str, runs: list[list[float]]) -> None:
    fastest = min(runs, key=lambda run: run[-1])
    print(markup.row([name, *(f"{seconds:.3f}" for seconds in fastest)]), flush=True)


def main(arguments: list[str]) -> int:
    """Print both tables.

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
    parser.add_argument("--quick", action="store_true", help="float32 alone, and one repeat instead of five")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        warnings.simplefilter("ignore")  # there is nothing to learn
        compile_kernels(options.worker.split(","))
        return 0
    dtypes = _TYPES[:1] if options.quick else _TYPES
    print(markup.head(["", "code", "dtype", "seconds"]), flush=True)
    with tempfile.TemporaryDirectory() as cache:
        worker = [sys.executable, __file__, "--worker", ",".join(dtypes)]
        subprocess.run(worker, check=True, env={**os.environ, "FASTNN_CACHE_DIR": cache})
    print(flush=True)
    print_waits(1 if options.quick else 5)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
