"""Memory of a training run."""

import subprocess
import sys

from .common import ready

# The data is drawn in place and a first fit loads the kernels: what the peak grows by after that is the fit's own.
_GROWTH = """
import resource, fastnn, numpy as np
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
generator = np.random.default_rng(0)
X = np.empty((50000, 784), np.float32)
generator.random(out=X, dtype=np.float32)
y = generator.integers(0, 10, 50000)
network = fastnn.Network([784, 30, 10])
network.fit(X[:1000], y[:1000], epochs=1, progress=False)
before = peak()
network.fit(X, y, epochs=1, progress=False)
print(peak() - before)
"""


class Memory:
    timeout = 300

    def peakmem_case_a(self):
        """Of the process, with Python, the libraries and 150 MB of data in it."""
        ready("A")

    def track_growth_in_fit(self):
        """What a fit needs beyond the data."""
        if sys.platform == "win32":
            raise NotImplementedError
        found = subprocess.run([sys.executable, "-c", _GROWTH], capture_output=True, text=True, check=True)
        return int(found.stdout) * (1 if sys.platform == "darwin" else 1024)

    track_growth_in_fit.unit = "bytes"
