"""Memory of a training run."""

import subprocess
import sys
from pathlib import Path

from .common import ready

_MEASURE = Path(__file__).parents[2] / "scripts" / "memory_use.py"


class Memory:
    timeout = 300

    def peakmem_case_a(self):
        """Of the process, with Python, the libraries and 150 MB of data in it."""
        ready("A")


class Growth:
    """What an epoch of case A needs beyond the data and the loaded kernels."""

    params = ("float32", "uint8")
    param_names = ("dtype",)
    timeout = 300

    def track_growth_in_fit(self, dtype):
        if sys.platform != "linux":
            raise NotImplementedError
        found = subprocess.run([sys.executable, _MEASURE, dtype], capture_output=True, text=True, check=True)
        return int(found.stdout)

    track_growth_in_fit.unit = "bytes"
