"""Bytes of memory that training needs, in a fresh process; Linux with glibc only.

python scripts/memory_use.py float32   how far the peak of an epoch of case A is above what was in use before it
python scripts/memory_use.py uint8     the same on images kept as bytes
python scripts/memory_use.py standard  the same with a scale that shifts every column, learned, and used in every way
python scripts/memory_use.py wide      what a network of 64 MB of weights takes beyond the wide sparse data
python scripts/memory_use.py adam      the same with an optimizer that keeps two numbers for every weight
python scripts/memory_use.py fits      what 1,000 fits of a small network leave behind

Kernels are loaded or compiled before the count begins.
"""

import ctypes
import sys
from functools import partial
from pathlib import Path

import numpy as np
import scipy.sparse

import fastnn

_WARM_UP_FITS = 100  # by then every free list and pool is as large as it gets
_FITS = 1000


def _bytes(field: str) -> int:
    """``VmRSS``, what is in use, or ``VmHWM``, its peak. The peak that ``getrusage`` gives is a parent's, if larger."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def _reset_peak() -> int:
    """Let the peak begin anew, where what was freed before does not hide what is needed; bytes in use."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _bytes("VmRSS")


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
    before = _reset_peak()
    network.fit(X, y, epochs=1, progress=False)
    return _bytes("VmHWM") - before


def growth_with_shifts() -> int:
    """Bytes of which a scale takes off the mean or the median, learned, trained on, and used in every way."""
    generator = np.random.default_rng(0)
    X, y = generator.integers(1, 256, (100_000, 784), np.uint8), generator.integers(0, 10, 100_000)

    def use(n: int) -> None:
        for scale in ("minmax", "standard", "robust"):
            network = fastnn.Network([784, 30, 10], scale=scale)
            network.fit(X[:n], y[:n], epochs=1, progress=False, validation_data=(X[:n], y[:n]))
            for method in (network.evaluate, network.gradients, network.diagnose):
                method(X[:n], y[:n])
            network.predict(X[:n])

    use(1000)
    before = _reset_peak()
    use(len(X))
    return _bytes("VmHWM") - before


def _sparse(n_in: int) -> scipy.sparse.csr_array:
    """5,000 samples of 30 entries, one of them of 3,000."""
    generator = np.random.default_rng(0)
    lengths = np.full(5000, 30)
    lengths[1] = 3000
    starts = np.concatenate([[0], np.cumsum(lengths)])
    columns = np.concatenate([np.sort(generator.choice(n_in, n, replace=False)) for n in lengths])
    return scipy.sparse.csr_array((generator.random(starts[-1], np.float32), columns, starts), (5000, n_in))


def growth_with_wide_data(optimizer: fastnn.SGD | fastnn.Adam) -> int:
    """A network made, trained, and used in every way, on a million columns."""
    y = np.arange(5000) % 2

    def use(X: scipy.sparse.csr_array) -> None:
        network = fastnn.Network([X.shape[1], 16, 2])
        network.fit(X, y, epochs=1, batch_size=32, optimizer=optimizer, progress=False)
        network.evaluate(X, y)
        network.predict(X)
        network.gradients(X, y)

    use(_sparse(1 << 12))
    wide = _sparse(1 << 20)
    before = _reset_peak()
    use(wide)
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
    others = {
        "fits": growth_over_fits,
        "standard": growth_with_shifts,
        "wide": partial(growth_with_wide_data, fastnn.SGD(0.1)),
        "adam": partial(growth_with_wide_data, fastnn.Adam(0.001)),
    }
    print(others[sys.argv[1]]() if sys.argv[1] in others else growth_in_epoch(sys.argv[1]))
