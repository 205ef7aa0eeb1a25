"""How long a user waits before anything happens, each time in a fresh process."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

_FIRST_FIT = """
import fastnn, numpy as np
generator = np.random.default_rng(0)
X, y = generator.random((1000, 784), dtype=np.float32), generator.integers(0, 10, 1000)
fastnn.Network([784, 30, 10]).fit(X, y, epochs=1, progress=False)
"""


def _run(code, cache):
    environment = {**os.environ, "FASTNN_CACHE_DIR": str(cache)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


# The first call compiles, the second one does not.
_USES = {
    "fit": "network.fit(X, y, epochs=1, progress=False)",
    "fit adam": 'network.fit(X, y, epochs=1, optimizer="adam", progress=False)',
    "fit large batches": "network.fit(X, y, epochs=1, batch_size=1000, progress=False)",
    "forward": "network.forward(X)",
    "evaluate": "network.evaluate(X, y)",
    "gradients": "network.gradients(X, y)",
}
_COMPILE = """
import time, fastnn, numpy as np
generator = np.random.default_rng(0)
X, y = generator.random((1000, 20), dtype=np.float32), generator.integers(0, 10, 1000)
network = fastnn.Network([20, 30, 10])
times = [time.perf_counter()]
for _ in range(2):
    {use}
    times.append(time.perf_counter())
print(times[1] - times[0] - (times[2] - times[1]))
"""


class Compile:
    """How long each entry and all that it needs take to compile, with an empty cache; Numba's start is part of it."""

    params = tuple(_USES)
    param_names = ("use",)
    timeout = 300

    def track_compile_seconds(self, use):
        with tempfile.TemporaryDirectory() as empty:
            return float(_run(_COMPILE.format(use=_USES[use]), empty))

    track_compile_seconds.unit = "seconds"


class Startup:
    """Python's own start is part of every time."""

    number = 1
    warmup_time = 0
    rounds = 1
    repeat = (2, 5, 20.0)
    timeout = 300

    def setup_cache(self):
        warm = Path("warm").absolute()  # asv keeps the folder in which this runs for the benchmarks
        _run(_FIRST_FIT, warm)
        return warm

    setup_cache.timeout = 300

    def time_bare_python(self, warm):
        _run("import numpy", warm)

    def time_import(self, warm):
        _run("import fastnn", warm)

    def time_first_fit_with_warm_cache(self, warm):
        _run(_FIRST_FIT, warm)

    def time_first_fit_with_empty_cache(self, warm):
        with tempfile.TemporaryDirectory() as empty:
            _run(_FIRST_FIT, empty)
