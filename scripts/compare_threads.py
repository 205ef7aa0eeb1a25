"""Training on several threads against one, in turn: a table of the comparison's cases.

    python scripts/compare_threads.py

Where threads do not pay, or another process has the core, training goes on with one: ``--busy`` shows how it fares
beside a process that computes all the time.
"""

import argparse
import statistics
import subprocess
import sys
from contextlib import ExitStack
from typing import NamedTuple

import environment
from arguments import add_output, names_from, output_folder, positive

environment.pin_threads(1)

import markup  # noqa: E402  (NumPy must find the threads pinned)
from limits import Multiplication  # noqa: E402
from peers import report  # noqa: E402
from peers.cases import ALL_CASES, CASES, Task, load_data, start_layers  # noqa: E402
from peers.measure import Effort, Probe, Steady, Timing, measure  # noqa: E402
from peers.ours import FastNN  # noqa: E402

from fastnn.cores import usable_cores  # noqa: E402

_ROUNDS = 6_000_000  # of multiply-adds on all cores, some milliseconds: a probe of whether they are ours
_PATIENCE = 10.0  # seconds for each case, to wait until they are
_WIDE = ["A", "B", "C", "D", "I", "keras", "tabular"]  # the others' batches are over before threads have met


class Row(NamedTuple):
    """One case."""

    case: str
    one: Timing
    several: Timing

    @property
    def ratio(self) -> float:
        """How many times as long one thread takes, round by round."""
        return statistics.median(self.one.ratios(self.several) or [self.one.median / self.several.median])


def prepared(task: Task) -> Steady:
    """Epochs of a task, ready to be timed."""
    peer = FastNN()
    peer.prepare(task, load_data(task, task.n), start_layers(task))
    return Steady(str(task.threads), lambda count: peer.epochs(count, lambda: None))


def compare(case: str, threads: int, effort: Effort, probe: Probe) -> Row:
    """Measure one case."""
    subjects = [prepared(Task(case, threads=count, samples=effort.samples)) for count in (1, threads)]
    for subject in subjects:
        subject.warm_up()
    timings, _ = measure(subjects, effort.repeats, probe, effort.patience)
    return Row(case, *timings.values())


def markdown(rows: list[Row], threads: int, busy: bool) -> str:
    """What was found."""
    beside = ", beside a process that computes all the time" if busy else ""
    lines = [report.machine_line(report.machine()), ""]
    lines += [f"Seconds per epoch, float32, medians (quartiles) of runs in turn{beside}.", ""]
    header = ["case", "layers", "batch", "one thread", f"{threads} threads", "times as fast"]
    cells = []
    for row in rows:
        case = ALL_CASES[row.case]
        cells.append([row.case, case.layers, f"{case.batch:,}", str(row.one), str(row.several), f"{row.ratio:.2f}"])
    return "\n".join([*lines, markup.table(header, cells)]) + "\n"


def main(arguments: list[str]) -> int:
    """Measure and write; see the top of the file.

    Parameters
    ----------
    arguments : list of str
        The command line.

    Returns
    -------
    int
        Exit status.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--cases", type=names_from(list(CASES)), default=_WIDE, help=f"default: {','.join(_WIDE)}")
    parser.add_argument("--threads", type=positive, default=usable_cores(), help="default: all cores")
    parser.add_argument("--repeats", type=positive, default=9, help="measurements of each (default: 9)")
    parser.add_argument("--busy", action="store_true", help="beside a process that computes all the time")
    parser.add_argument("--quick", action="store_true", help="two repeats on some samples: does it work?")
    add_output(parser)
    options = parser.parse_args(arguments)
    effort = Effort(2_000, 2, 0) if options.quick else Effort(None, options.repeats, _PATIENCE)
    loop, rows = Multiplication(1 if options.busy else options.threads), []
    probe = Probe(lambda: loop.run(_ROUNDS))
    with ExitStack() as stack:
        if options.busy:
            other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(other.wait)
            stack.callback(other.kill)
        for case in options.cases:
            rows.append(compare(case, options.threads, effort, probe))
            print(f"{case}: {rows[-1].ratio:.2f} times as fast", flush=True)
    path = output_folder(options) / ("threads-busy.md" if options.busy else "threads.md")
    path.write_text(markdown(rows, options.threads, options.busy), encoding="utf-8")
    print("", path.read_text(encoding="utf-8"), "wrote " + str(path), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
