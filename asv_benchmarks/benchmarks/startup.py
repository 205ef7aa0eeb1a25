"""How long a user waits before anything happens, each time in a fresh process."""

import os
import subprocess
import sys
import tempfile
from functools import lru_cache

_FIRST_FIT = """
import fastnn, numpy as np
generator = np.random.default_rng(0)
X, y = generator.random((1000, 784), dtype=np.float32), generator.integers(0, 10, 1000)
fastnn.Network([784, 30, 10]).fit(X, y, epochs=1, progress=False)
"""


def _run(code, cache):
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "FASTNN_CACHE_DIR": cache}, check=True)


class Startup:
    """Python's own start is part of every time."""

    number = 1
    warmup_time = 0
    rounds = 1
    repeat = (2, 5, 20.0)
    timeout = 300

    def setup(self):
        self._empty = tempfile.TemporaryDirectory()
        self._warm = _warm_cache().name

    def teardown(self):
        self._empty.cleanup()

    def time_bare_python(self):
        _run("import numpy", self._empty.name)

    def time_import(self):
        _run("import fastnn", self._empty.name)

    def time_first_fit_with_warm_cache(self):
        _run(_FIRST_FIT, self._warm)

    def time_first_fit_with_empty_cache(self):
        _run(_FIRST_FIT, self._empty.name)


@lru_cache(maxsize=1)
def _warm_cache():
    folder = tempfile.TemporaryDirectory()
    _run(_FIRST_FIT, folder.name)
    return folder
