"""The README's tables of speeds: one for each report of ``compare_peers.py`` that stands in ``scripts/figures``."""

from collections.abc import Callable, Iterator
from pathlib import Path

from markup import table
from peers.cases import PREDICTIONS, Task
from peers.measure import ENOUGH
from peers.report import Result, Run, disturbances, machine_line, read

FIGURES = Path(__file__).parent / "figures"
_HEADS = {
    "numpy_sample": "NumPy, one by one",
    "numpy": "NumPy",
    "torch": "PyTorch",
    "torch_compile": "torch.compile",
    "jax": "JAX scan",
    "jax_grad": "JAX grad",
    "sklearn": "scikit-learn",
    "tensorflow": "TensorFlow",
    "onnxruntime": "onnxruntime",
    "fastnn": "**fastnn**",
    "fastnn (uint8)": "**fastnn, bytes**",
}
"""Who has a column, in the order of the columns."""
_PREDICTING = _HEADS | {"jax": "JAX"}


def tables(folder: Path = FIGURES) -> str:
    """All of them, the newest first, and at the end those that were kept to fewer instructions than there are."""
    runs = [run for path in sorted(folder.glob("peers*.json")) for run in read(path)]
    runs.sort(key=lambda run: ("limited" not in run.where["isa"], run.where["date"]), reverse=True)
    return "\n\n".join(part for run in runs for part in _parts(run))


def _parts(run: Run) -> Iterator[str]:
    """What stands below each other of one run: where, the trainings, the predictions, how often it was disturbed."""
    kind = ", ".join(run.kind)
    yield machine_line(run.where).replace(kind, f"**{kind}**", 1) + "."
    trained = [result for result in run.results if result.task.case not in PREDICTIONS]
    predicted = [result for result in run.results if result.task.case in PREDICTIONS]
    if trained:
        yield f"Seconds per epoch in steady state, {_setting(trained[0].task)}:"
        yield _table(trained, ["case", "layers", "batch", "samples"], _training, _HEADS)
    if predicted:
        yield "Microseconds of one `forward`, called again and again:"
        yield _table(predicted, ["layers", "rows"], _prediction, _PREDICTING, 1e6)
    marks = f"; \\*: fewer than {ENOUGH} undisturbed ones" if any(map(_is_rough, run.results)) else ""
    disturbed, total = disturbances(run.results)
    yield f"{disturbed} of {total} repeats were disturbed, and stand aside where there are others{marks}."


def _setting(task: Task) -> str:
    """What is the same for all cases of a run."""
    threads = "one thread" if task.threads == 1 else f"{task.threads} threads"
    optimizer = f", every case with {task.other_optimizer}" if task.other_optimizer else ""
    return f"{task.dtype}, {threads}{optimizer}"


def _is_rough(result: Result) -> bool:
    return any(not timing.is_enough for timing in result.timings.values())


def _training(result: Result) -> list[str]:
    task = result.task
    return [task.case, result.layers, f"{task.batch:,}", f"{task.n:,}"]


def _prediction(result: Result) -> list[str]:
    return [result.layers, f"{result.task.n:,}"]


def _table(
    results: list[Result],
    head: list[str],
    first: Callable[[Result], list[str]],
    heads: dict[str, str],
    unit: float = 1.0,
) -> str:
    """A row for each result: its ``first`` cells, and everybody's time in seconds times ``unit``."""
    names = [name for name in heads if any(name in result.timings for result in results)]
    rows = ([*first(result), *(_cell(result, name, unit) for name in names), _ratio(result)] for result in results)
    return table([*head, *(heads[name] for name in names), "best peer / fastnn"], rows)


def _cell(result: Result, name: str, unit: float) -> str:
    timing = result.timings.get(name)
    if timing is None:
        return ""
    number = three_digits(timing.median * unit)
    mark = "" if timing.is_enough else " \\*"
    return f"**{number}**{mark}" if name.startswith("fastnn") else f"{number}{mark}"


def _ratio(result: Result) -> str:
    """How many times as long as ours the fastest other one's time is; bold where it is shorter."""
    best = result.best_peer
    ratio = result.ratio(best) if best else None
    if best is None or ratio is None:
        return ""
    text = f"{ratio:.2f}x" if ratio >= 1 else f"**{ratio:.2f}x**"
    of_bytes = result.ratio(best, "fastnn (uint8)")
    return text if of_bytes is None else f"{text}, bytes {of_bytes:.2f}x"


def three_digits(number: float) -> str:
    """A number to three significant digits, without an exponent."""
    digits = f"{number:.3g}"
    if "e" not in digits:
        return digits
    return f"{float(digits):,.0f}" if number >= 1 else f"{float(digits):.9f}".rstrip("0")
