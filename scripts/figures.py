"""Pictures for the README: plain SVG that does not change when the numbers do not."""

from pathlib import Path
from typing import Any


def pyplot() -> Any:
    """Matplotlib's pyplot, drawing to files; None, and a word about it, where it is not installed."""
    try:
        import matplotlib as mpl
    except ImportError:
        print("no picture: it needs matplotlib, which is in the extra 'bench'")
        return None
    mpl.use("agg")
    mpl.rcParams.update({"svg.hashsalt": "fastnn", "font.size": 9, "figure.constrained_layout.use": True})
    from matplotlib import pyplot

    return pyplot


def save(figure: Any, path: Path) -> None:
    """Write a figure without the date, which would make every file a new one."""
    figure.savefig(path, metadata={"Date": None}, facecolor="white")
