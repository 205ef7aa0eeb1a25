"""What was found, for people and for programs."""

import datetime
import json
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import figures
import markup

from fastnn.kernels import host
from peers import OURS, PEERS, TRAINERS
from peers.cases import ALL_CASES, PREDICTIONS, Task
from peers.measure import ENOUGH, Timing

_LIBRARIES = ("fastnn-engine", "numpy", "numba", "torch", "jax", "jaxlib", "scikit-learn", "tensorflow", "onnxruntime")


@dataclass
class Result:
    """One case."""

    task: Task
    errors: dict[str, float]
    timings: dict[str, Timing]
    left_out: dict[str, str]
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def disturbed(self) -> tuple[int, int]:
        """How many samples were disturbed, and how many there are."""
        disturbed = sum(len(timing.disturbed) for timing in self.timings.values())
        return disturbed, disturbed + sum(len(timing.seconds) for timing in self.timings.values())

    @property
    def layers(self) -> str:
        """The layer sizes as text."""
        return ALL_CASES[self.task.case].layers

    @property
    def peers(self) -> dict[str, float]:
        """Seconds per epoch of everybody else."""
        return {name: timing.median for name, timing in self.timings.items() if name not in OURS}

    def ratio(self, peer: str, ours: str = "fastnn") -> float | None:
        """How many times as long as one of ours a peer's epoch takes."""
        if peer not in self.timings or ours not in self.timings:
            return None
        return self.timings[peer].median / self.timings[ours].median

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


def _isa(limit: str) -> str:
    """The instruction set that everybody uses."""
    if limit != "native":
        return f"limited to {limit.upper()}"
    return {16: "AVX-512", 8: "AVX2"}.get(host.WIDTH, "vectors of 128 bits")


def machine(isa: str = "native") -> dict[str, Any]:
    """Where and with what the comparison runs, everybody kept to ``isa``."""
    return {
        "processor": f"{_processor()} ({host.CPU})",  # virtual machines keep the model's name to themselves
        "isa": _isa(isa),
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
        f"{where['processor']}, {where['isa']}, {where['cores']} cores, {where['system']}, "
        f"Python {where['python']}, {libraries}; "
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


def disturbances(results: list[Result]) -> tuple[int, int]:
    """How many repeats were disturbed, and how many there were."""
    disturbed, total = zip(*(result.disturbed for result in results), strict=True)
    return sum(disturbed), sum(total)


def remarks(results: list[Result]) -> Iterator[str]:
    """What a reader has to know of single numbers."""
    for result in results:
        case = result.task.case
        for name, reason in result.left_out.items():
            yield f"case {case}: {name} left out: {reason}"
        for name, note in result.notes.items():
            yield f"case {case}: {name}: {note}"
        for name, timing in result.timings.items():
            if not timing.seconds:
                yield f"case {case}: every repeat of {name} was disturbed; its number is of disturbed ones"
            if timing.busy > 1.2 * result.task.threads:
                yield f"case {case}: {name} kept {timing.busy:.1f} processors busy"
        yield "case {}: {} of {} repeats were disturbed".format(case, *result.disturbed)
    disturbed, total = disturbances(results)
    yield f"in all, {disturbed} of {total} repeats were disturbed, and stand aside where there are others"
    if any(not timing.is_enough for result in results for timing in result.timings.values()):
        yield f"{_MARK}: fewer than {ENOUGH} undisturbed repeats"


_MARK = "\\*"  # a star in Markdown


def _cell(timing: Timing | None) -> str:
    if timing is None:
        return ""
    return str(timing) if timing.is_enough else f"{timing} {_MARK}"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}x"


def _formulas(task: Task) -> str:
    """Of hidden layers, output and cost, and the optimizer; prediction knows the first two only."""
    activation, output, cost = task.formulas
    return ", ".join([activation, output, *([] if task.case in PREDICTIONS else [cost, task.optimizer])])


def table(results: list[Result]) -> str:
    """The comparison as a Markdown table; quartiles in brackets."""
    names = [name for name in (*PEERS, *OURS) if any(name in result.timings for result in results)]
    head = ["case", "layers", "formulas", "batch", "samples", *names, "best peer / fastnn", "torch / fastnn"]
    rows = []
    for result in results:
        task, best = result.task, result.best_peer
        ratio = f"{_times(result.ratio(best))} ({best})" if best and "fastnn" in result.timings else ""
        rows.append(
            [
                task.case,
                result.layers,
                _formulas(task),
                f"{task.batch:,}",
                f"{task.n:,}",
                *(_cell(result.timings.get(name)) for name in names),
                ratio,
                _times(result.ratio("torch")),
            ]
        )
    return markup.table(head, rows)


class Run(NamedTuple):
    """All cases on one machine, kept to one instruction set."""

    where: dict[str, Any]
    results: list[Result]

    @property
    def kind(self) -> tuple[str, str]:
        """What a later run takes the place of."""
        return self.where["processor"], self.where["isa"]


def markdown(runs: list[Run]) -> str:
    """The whole report: tables of their own for every kind of processor and instruction set."""
    return "\n".join(line for run in runs for line in _section(run))


def _section(run: Run) -> Iterator[str]:
    where, results = run
    task = results[0].task
    setting = f"{task.dtype}, threads: {task.threads}"
    scaled = "".join(
        f" `{name}` is timed on {peer.share:.0%} of an epoch and scaled up."
        for name, peer in TRAINERS.items()
        if peer.share < 1 and any(name in result.timings for result in results)
    )
    training = f"Seconds per epoch in steady state: {setting}.{scaled}"
    prediction = f"Seconds per call that predicts one batch, again and again: {setting}."
    yield from (f"## {', '.join(run.kind)}", "", machine_line(where), "")
    for heading, predicts in ((training, False), (prediction, True)):
        rows = [result for result in results if (result.task.case in PREDICTIONS) == predicts]
        if rows:
            yield from (f"{heading} Medians (quartiles).", "", table(rows), "")
    yield from (f"- {line}" for line in (*verdicts(results), *remarks(results)))
    yield ""


def _as_json(runs: list[Run]) -> str:
    found = [{"machine": where, "cases": [_case_as_json(result) for result in results]} for where, results in runs]
    return json.dumps({"runs": found}, indent=2) + "\n"


def _case_as_json(result: Result) -> dict[str, Any]:
    return {
        "task": asdict(result.task),
        **ALL_CASES[result.task.case].formulas._asdict(),
        "optimizer": result.task.optimizer,
        "layers": result.layers,
        "batch": result.task.batch,
        "samples": result.task.n,
        "left_out": result.left_out,
        "notes": result.notes,
        "errors": result.errors,
        "ratios": {name: result.ratio(name) for name in result.peers},
        "medians": {name: timing.median for name, timing in result.timings.items()},
        "quartiles": {name: timing.quartiles for name, timing in result.timings.items()},
        "timings": {name: asdict(timing) for name, timing in result.timings.items()},
    }


def read(path: Path) -> list[Run]:
    """The runs of an earlier report; none if there is not one, or one that had room for a single run."""
    if not path.exists():
        return []
    runs = json.loads(path.read_text(encoding="utf-8")).get("runs", [])
    return [Run(run["machine"], [_case_from_json(case) for case in run["cases"]]) for run in runs]


def _case_from_json(case: dict[str, Any]) -> Result:
    timings = {name: Timing(**timing) for name, timing in case["timings"].items()}
    return Result(Task(**case["task"]), case["errors"], timings, case["left_out"], case["notes"])


def _draw(results: list[Result], path: Path) -> bool:
    """Bars of how many times as long as fastnn everybody takes, a panel for each case."""
    drawn = [result for result in results if "fastnn" in result.timings and result.peers]
    pyplot = figures.pyplot()
    if pyplot is None or not drawn:
        return False
    all_ratios = [result.ratio(name) or 1 for result in drawn for name in result.peers]
    columns = min(3, len(drawn))
    most = max(len(result.peers) for result in drawn)
    rows = -(-len(drawn) // columns)
    figure, axes = pyplot.subplots(
        rows, columns, sharex=True, squeeze=False, figsize=(4 * columns, rows * (0.7 + 0.24 * most))
    )
    for panel in axes.flat[len(drawn) :]:
        panel.remove()
    for panel, result in zip(axes.flat, drawn, strict=False):
        ratios = sorted((result.ratio(name) or 0.0, name) for name in result.peers)[::-1]
        panel.barh([name for _, name in ratios], [ratio - 1 for ratio, _ in ratios], left=1, color="0.7", edgecolor="0")
        for place, (ratio, _) in enumerate(ratios):
            panel.text(1.15 * max(ratio, 1), place, f"{ratio:.3g}x", va="center", fontsize="small")
        panel.axvline(1, color="black", linewidth=1.5)
        panel.set_xscale("log")
        panel.set_xlim(min(0.8, 0.8 * min(all_ratios)), 5 * max(all_ratios))
        panel.xaxis.set_major_formatter("{x:g}x")
        work = f"predict {result.task.n:,}" if result.task.case in PREDICTIONS else f"batch {result.task.batch:,}"
        panel.set_title(f"{result.task.case}: {result.layers}, {work}", fontsize="medium")
        panel.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("time / fastnn's time, which is the line")
    figures.save(figure, path)
    return True


def write(run: Run, stem: Path) -> list[Path]:
    """Write the report, together with earlier runs on other kinds of processors; the picture shows this run alone.

    Parameters
    ----------
    run : Run
        At least one case.
    stem : Path
        Of the files; the endings are added.

    Returns
    -------
    list of Path
        What was written.
    """
    data, text, chart = (stem.with_name(f"{stem.name}.{ending}") for ending in ("json", "md", "svg"))
    runs = [*(earlier for earlier in read(data) if earlier.kind != run.kind), run]
    data.write_text(_as_json(runs), encoding="utf-8")
    text.write_text(markdown(runs), encoding="utf-8")
    return [data, text, *([chart] if _draw(run.results, chart) else [])]
