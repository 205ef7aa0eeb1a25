"""Bytes of memory that training needs, in a fresh process; Linux with glibc only.

python scripts/memory_use.py float32   how far the peak of an epoch of case A is above what was in use before it
python scripts/memory_use.py uint8     the same on images kept as bytes
python scripts/memory_use.py fits      what 1,000 fits of a small network leave behind

Kernels are loaded or compiled before the count begins.
"""

import ctypes
import sys
from pathlib import Path

import numpy as np

import fastnn

_WARM_UP_FITS = 100  # by then every free list and pool is as large as it gets
_FITS = 1000


def _bytes(field: str) -> int:
    """``VmRSS``, what is in use, or ``VmHWM``, its peak. The peak that ``getrusage`` gives is a parent's, if larger."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def growth_in_epoch(dtype: str) -> int:
    """Case A's shape, a fifth of the inputs not zero as in MNIST."""
    generator = np.random.default_rng(0)
    X = np.zeros((50_000, 784), dtype)
    X[:, ::5] = generator.integers(1, 256, X[:, ::5].shape, np.uint8)
    if dtype != "uint8":
        X /= 255
    y = generator.integers(0, 10, len(X))
    network = fastnn.Network([784, 30, 10], scale=255 if dtype == "uint8" else None)
    network.fit(X[:1000], y[:1000], epochs=1, progress=False)
    ctypes.CDLL(None).malloc_trim(0)  # what was freed above must not hide what is needed below
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _bytes("VmRSS")
    network.fit(X, y, epochs=1, progress=False)
    return _bytes("VmHWM") - before


def growth_over_fits() -> int:
    """Networks made, trained and dropped, one after the other."""
    generator = np.random.default_rng(0)
    X, y = generator.random((64, 20), dtype=np.float32), np.arange(64) % 3

    def fit(times: int) -> int:
        for _ in range(times):
            fastnn.Network([20, 16, 3]).fit(X, y, epochs=1, progress=False, validation_data=(X, y))
        return _bytes("VmRSS")

    return -fit(_WARM_UP_FITS) + fit(_FITS)


if __name__ == "__main__":
    print(growth_over_fits() if sys.argv[1] == "fits" else growth_in_epoch(sys.argv[1]))
