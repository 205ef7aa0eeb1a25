"""What was found, for people and for programs."""

import datetime
import json
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from peers import EVERYONE, OURS
from peers.cases import CASES, Task
from peers.measure import Timing

_LIBRARIES = ("numpy", "numba", "torch", "jax", "jaxlib", "scikit-learn", "tensorflow")


@dataclass
class Result:
    """One case."""

    task: Task
    timings: dict[str, Timing]
    left_out: dict[str, str]

    @property
    def peers(self) -> dict[str, float]:
        """Seconds per epoch of everybody else."""
        return {name: timing.median for name, timing in self.timings.items() if name not in OURS}

    def ratio(self, peer: str) -> float | None:
        """How many times as long as ours a peer's epoch takes."""
        if peer not in self.timings or "fastnn" not in self.timings:
            return None
        return self.timings[peer].median / self.timings["fastnn"].median

    @property
    def best_peer(self) -> str | None:
        """The fastest of the others."""
        return min(self.peers, key=self.peers.__getitem__, default=None)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def machine() -> dict[str, Any]:
    """Where and with what the comparison runs."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
        "libraries": {library: _version(library) for library in _LIBRARIES if _version(library)},
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "date": datetime.datetime.now().astimezone().isoformat(timespec="minutes"),
    }


def machine_line(where: dict[str, Any]) -> str:
    """The same in one line of text."""
    libraries = ", ".join(f"{name} {version}" for name, version in where["libraries"].items())
    return (
        f"{where['processor']}, {where['cores']} cores, {where['system']}, Python {where['python']}, {libraries}; "
        f"load average {where['load']} at the start; {where['date']}"
    )


def verdicts(results: list[Result]) -> Iterator[str]:
    """A line for every peer that fastnn is not faster than."""
    for result in results:
        for peer in result.peers:
            ratio = result.ratio(peer)
            if ratio is None or ratio > 1:
                continue
            _, ours_high = result.timings["fastnn"].quartiles
            ours_low, _ = result.timings["fastnn"].quartiles
            low, high = result.timings[peer].quartiles
            close = " (the middle halves of the measurements overlap)" if low <= ours_high and ours_low <= high else ""
            yield f"NOT AHEAD: case {result.task.case}, {peer} {ratio:.2f}x{close}"


def remarks(results: list[Result]) -> Iterator[str]:
    """What a reader has to know of single numbers."""
    for result in results:
        case = result.task.case
        for name, reason in result.left_out.items():
            yield f"case {case}: {name} left out: {reason}"
        for name, timing in result.timings.items():
            if not timing.seconds:
                yield f"case {case}: every epoch of {name} was disturbed; its number is of disturbed epochs"
            if timing.busy > 1.2 * result.task.threads:
                yield f"case {case}: {name} kept {timing.busy:.1f} processors busy"
        dropped = sum(len(timing.disturbed) for timing in result.timings.values() if timing.seconds)
        total = sum(len(timing.seconds) + len(timing.disturbed) for timing in result.timings.values())
        yield f"case {case}: {dropped} of {total} epochs dropped because the machine was disturbed"


def _seconds(timing: Timing | None) -> str:
    if timing is None:
        return ""
    low, high = timing.quartiles
    return f"{timing.median:.3g} ({low:.3g}-{high:.3g})"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}x"


def table(results: list[Result]) -> str:
    """The comparison as a Markdown table; quartiles in brackets."""
    names = [name for name in EVERYONE if any(name in result.timings for result in results)]
    names.sort(key=lambda name: name in OURS)  # ours stand last
    head = ["case", "layers", "batch", "samples", *names, "best peer / fastnn", "torch / fastnn"]
    rows = [head, ["---"] * len(head)]
    for result in results:
        task, best = result.task, result.best_peer
        ratio = f"{_times(result.ratio(best))} ({best})" if best and "fastnn" in result.timings else ""
        rows.append(
            [
                task.case,
                CASES[task.case].layers,
                f"{task.batch:,}",
                f"{task.n:,}",
                *(_seconds(result.timings.get(name)) for name in names),
                ratio,
                _times(result.ratio("torch")),
            ]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def markdown(results: list[Result], where: dict[str, Any]) -> str:
    """The whole report."""
    task = results[0].task
    scaled = "".join(
        f" `{name}` is timed on {peer.share:.0%} of an epoch and scaled up."
        for name, peer in EVERYONE.items()
        if peer.share < 1 and any(name in result.timings for result in results)
    )
    lines = [
        f"Seconds per epoch in steady state: median (quartiles). {task.optimizer}, {task.dtype}, "
        f"threads: {task.threads}; sigmoid layers, Bernoulli cross-entropy.{scaled}",
        "",
        machine_line(where),
        "",
        table(results),
        "",
        *(f"- {line}" for line in (*verdicts(results), *remarks(results))),
    ]
    return "\n".join(lines) + "\n"


def _as_json(results: list[Result], where: dict[str, Any]) -> str:
    cases = [
        {
            **asdict(result.task),
            "layers": CASES[result.task.case].layers,
            "batch": result.task.batch,
            "samples": result.task.n,
            "left_out": result.left_out,
            "ratios": {name: result.ratio(name) for name in result.peers},
            "timings": {
                name: {**asdict(timing), "median": timing.median, "quartiles": timing.quartiles}
                for name, timing in result.timings.items()
            },
        }
        for result in results
    ]
    return json.dumps({"machine": where, "cases": cases}, indent=2) + "\n"


def _draw(results: list[Result], path: Path) -> bool:
    """A bar chart of how many times as long as fastnn everybody takes, where matplotlib is installed."""
    try:
        import matplotlib as mpl

        mpl.use("agg")
        from matplotlib import pyplot as plt
    except ImportError:
        return False
    drawn = [result for result in results if "fastnn" in result.timings]
    names = [name for name in EVERYONE if any(name in result.peers for result in drawn)]
    if not names:
        return False
    figure, axes = plt.subplots(figsize=(2 + 1.2 * len(drawn), 4), layout="constrained")
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        places = [place + (i - (len(names) - 1) / 2) * width for place in range(len(drawn))]
        axes.bar(places, [result.ratio(name) or float("nan") for result in drawn], width, label=name)
    axes.axhline(1, color="black", linewidth=1)
    axes.set_yscale("log")
    axes.set_ylabel("time per epoch / fastnn's")
    axes.set_xticks(range(len(drawn)), [f"{r.task.case}\n{CASES[r.task.case].layers}\nx{r.task.batch}" for r in drawn])
    axes.legend(fontsize="small", ncols=3)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return True


def write(results: list[Result], where: dict[str, Any], folder: Path) -> list[Path]:
    """Write the report.

    Parameters
    ----------
    results : list of Result
        At least one.
    where : dict
        From ``machine``.
    folder : Path
        Made if need be.

    Returns
    -------
    list of Path
        What was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "peers.json", folder / "peers.md"]
    paths[0].write_text(_as_json(results, where), encoding="utf-8")
    paths[1].write_text(markdown(results, where), encoding="utf-8")
    chart = folder / "peers.png"
    return [*paths, chart] if _draw(results, chart) else paths
