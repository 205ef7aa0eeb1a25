"""How many processors this call may keep busy."""

import math
import os
import sys
import threading
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

_QUOTA_V2 = Path("/sys/fs/cgroup/cpu.max")
_QUOTA_V1 = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")


def _affinity() -> int:
    """Processors that the operating system lets this process run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=1)
def _quota() -> float:
    """Processors' worth of time that a container gets, rounded up."""
    with suppress(OSError, ValueError):
        words = _QUOTA_V2.read_text().split()
        return math.ceil(float(words[0]) / float(words[1])) if words[0] != "max" else math.inf
    with suppress(OSError, ValueError):
        quota, period = (float(path.read_text()) for path in _QUOTA_V1)
        return math.ceil(quota / period) if quota > 0 else math.inf
    return math.inf


def _variable(name: str) -> float:
    """A limit from the environment."""
    with suppress(KeyError, ValueError):
        return int(os.environ[name])
    return math.inf


def _in_joblib() -> float:
    """In a task of joblib's: of a worker process what joblib told it, of one thread among several that thread."""
    parallel = sys.modules.get("joblib.parallel")
    if parallel is None or not getattr(parallel.get_active_backend()[0], "nesting_level", 0):
        return math.inf
    return _variable("OMP_NUM_THREADS") if threading.current_thread() is threading.main_thread() else 1


def _in_dask() -> float:
    """In a task of Dask's: its thread; the worker has others for other tasks."""
    worker = sys.modules.get("distributed.worker")
    if worker is None:
        return math.inf
    try:
        worker.get_worker()
    except ValueError:
        return math.inf
    return 1


def usable_cores() -> int:
    """Processors that this call may use, never simply all that exist.

    The least of: the process's affinity, a container's quota, ``LOKY_MAX_CPU_COUNT``, and inside a task of joblib's or
    Dask's its share.

    Returns
    -------
    int
        At least 1.

    Examples
    --------
    >>> usable_cores() >= 1
    True
    """
    limits = _affinity(), _quota(), _variable("LOKY_MAX_CPU_COUNT"), _in_joblib(), _in_dask()
    return max(1, int(min(limits)))
