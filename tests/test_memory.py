"""Memory of training, each time in a process of its own: others' peaks and pools are not ours."""

import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = Path(__file__).parents[1] / "scripts" / "memory_use.py"
MB = 2**20

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")

# The data are 150 MB of float32 or 37 MB of bytes: a copy, or bytes made to floats, would be far beyond the limits.
# The first 1,500 fits leave about 1 MB in the interpreter's pools, further ones nothing; 4 MB are 4 KB for each fit,
# less than the buffers of one network.
# With a scale that shifts columns the bytes are 75 MB; what is learned from them is in pieces, in float64.
# A network for a million sparse columns has 64 MB of weights: those, what training may have to be taken back to, twice,
# and a gradient, not all of them at once. Samples as wide as the data, for the lists of their entries or for a look at
# them, would be ten times the weights.
# Adam's memory is twice the weights, and is to be taken back with them, but is kept once.
LIMITS = {
    "float32": 60 * MB,
    "uint8": 8 * MB,
    "standard": 60 * MB,
    "fits": 4 * MB,
    "wide": 4 * 64 * MB,
    "adam": int(7.5 * 64 * MB),
}


@pytest.mark.parametrize("what", LIMITS)
def test_training_needs_little_memory(what: str) -> None:
    found = subprocess.run([sys.executable, MEASURE, what], capture_output=True, text=True, check=True, timeout=120)
    assert int(found.stdout) < LIMITS[what]
