"""Benchmarks that compare commits of fastnn; ``scripts/compare_peers.py`` compares it with other libraries.

In an environment of asv's own the commit that is installed there is measured, elsewhere the working tree around this
file: asv takes ``PYTHONPATH`` away, and without it the fastnn that Python finds may be another one.
"""

import os
import sys
from pathlib import Path

_TREE = Path(__file__).resolve().parents[2]


def _use(tree: Path) -> None:
    """Have this process, and those that it starts, import the fastnn of a working tree."""
    sys.path.insert(0, str(tree))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(tree), *filter(None, [os.environ.get("PYTHONPATH")])])

    import fastnn

    found = Path(fastnn.__file__).resolve().parents[1]
    if found != tree:
        raise ImportError(f"fastnn was imported from {found} already, expected that of {tree}: nothing is measured")


if "ASV_ENV_DIR" not in os.environ:
    _use(_TREE)
