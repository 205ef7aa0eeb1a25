"""How long compiling takes: every kernel from nothing, and what a user waits for with an empty and a filled cache.

    python scripts/compile_times.py

prints two Markdown tables. Every figure comes from a fresh process; the user's own cache is left alone.
"""

import argparse
import os
import subprocess
import sys
import tempfile

_TYPES = ("float32", "float64")

# --- in a process with an empty cache ---


def _short(kind: object) -> str:
    """A type as a reader wants it: named tuples by their names, with the float that their arrays hold."""
    from numba import types

    if isinstance(kind, types.BaseNamedTuple):
        floats = {str(part.dtype) for part in kind.types if isinstance(part, types.Array)} & set(_TYPES)
        return kind.instance_class.__name__ + (f"[{', '.join(sorted(floats))}]" if floats else "")
    if isinstance(kind, types.Array):
        return f"{kind.dtype}[{', '.join(':' * kind.ndim)}]"
    return str(kind)


def compile_kernels(dtypes: list[str]) -> None:
    """Call everything that is compiled for these dtypes, and print a row for each kernel entry."""
    import numpy as np
    from numba.core import event

    import fastnn
    from fastnn.compat._columns import ListShuffle
    from fastnn.kernels.compile import KernelCache

    with event.install_recorder("numba:compile") as recorder:
        for dtype in dtypes:
            X, y = np.ones((20, 3), dtype), np.arange(20) % 2
            network = fastnn.Network([3, 4, 2], dtype=dtype)
            optimizers = fastnn.SGD(), fastnn.SGD(momentum=0.9), fastnn.SGD(momentum=0.9, nesterov=True), fastnn.Adam()
            for optimizer in optimizers:
                network.fit(X, y, optimizer=optimizer, progress=False)
            network.evaluate(X, y)
            network.predict(X)
            network.gradients(X, y)
            fastnn.functions.sigmoid(X)
            fastnn.functions.softmax(X)
            fastnn.functions.cross_entropy(X, X)
        ListShuffle(3)(3)
    # Kernels within kernels are compiled within them, and shared: an entry pays for those that it meets first.
    began: dict[int, float] = {}
    for moment, found in recorder.buffer:
        dispatcher, signature = found.data["dispatcher"], found.data["args"]
        if found.is_start:
            began[id(dispatcher)] = moment
        elif isinstance(dispatcher._cache, KernelCache):
            seconds = moment - began[id(dispatcher)]
            print(f"| {dispatcher._cache._name} | {', '.join(map(_short, signature))} | {seconds:.2f} |")


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
    print("| process | import | load data | make ready | first MNIST epoch | together |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as cache:
        _print_row("empty cache", [_run(_FIRST_EPOCH, cache)])
        _print_row("filled cache", [_run(_FIRST_EPOCH, cache) for _ in range(repeats)])
        for modules in ("fastnn", "numpy, numba"):
            fastest = min(_run(_IMPORTS.format(modules), cache)[0] for _ in range(repeats))
            print(f"| import {modules} alone | {fastest:.3f} | | | | |")


def _print_row(name: str, runs: list[list[float]]) -> None:
    fastest = min(runs, key=lambda run: run[-1])
    print(f"| {name} | {' | '.join(f'{seconds:.3f}' for seconds in fastest)} |", flush=True)


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
        compile_kernels(options.worker.split(","))
        return 0
    dtypes = _TYPES[:1] if options.quick else _TYPES
    print("| kernel | signature | seconds |", "| --- | --- | --- |", sep="\n", flush=True)
    with tempfile.TemporaryDirectory() as cache:
        worker = [sys.executable, __file__, "--worker", ",".join(dtypes)]
        subprocess.run(worker, check=True, env={**os.environ, "FASTNN_CACHE_DIR": cache})
    print(flush=True)
    print_waits(1 if options.quick else 5)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
