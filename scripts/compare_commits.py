"""Whether a commit trains slower than another one.

    python scripts/compare_commits.py main .

times both in turn, each in a process of its own, on the cases of the comparison with other libraries. OLD and NEW are
commits, or folders with the project in them. Exit status: 0 if no case became slower, 1 if one did, 2 if a case could
not be measured.
"""

import argparse
import math
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import environment
import markup
from arguments import names_from, positive

environment.pin_threads(1)

from peers.cases import CASES, Task  # noqa: E402  (NumPy must find the threads pinned)
from peers.measure import Probe, Timing, WorkerError, measure  # noqa: E402
from peers.worker import Worker  # noqa: E402

_ROOT = Path(__file__).parents[1]
_LEAST_PAIRS = 3  # with fewer undisturbed rounds nothing is concluded
_PATIENCE = 60.0  # seconds that a busy machine is waited for in each case
_PLANTED_SHARE = 0.15


class Change(NamedTuple):
    """One case before and after."""

    old: Timing
    new: Timing

    @property
    def ratios(self) -> list[float]:
        """The new time as a multiple of the old one, round by round."""
        return self.new.ratios(self.old)

    @property
    def ratio(self) -> float:
        """Their median."""
        return statistics.median(self.ratios)

    def cells(self) -> list[str]:
        """Both timings and their ratio."""
        low, _, high = statistics.quantiles(self.ratios, n=4)
        return [str(self.old), str(self.new), f"{self.ratio:.3f} ({low:.3f}-{high:.3f})"]


@contextmanager
def checkouts(*sources: str, copied: bool = False) -> Iterator[list[Path]]:
    """The folder of each source: itself if it is one, otherwise a temporary worktree of that commit.

    With ``copied`` a folder's package in a temporary place instead, which may be changed.
    """
    folders: list[Path] = []
    worktrees: list[Path] = []
    with TemporaryDirectory(prefix="fastnn-") as temporary:
        try:
            for i, source in enumerate(sources):
                folder = Path(temporary).resolve() / str(i)
                if not (Path(source) / "fastnn").is_dir():
                    _git("worktree", "add", "--quiet", "--detach", str(folder), f"{source}^{{commit}}")
                    worktrees.append(folder)
                elif copied:
                    shutil.copytree(Path(source) / "fastnn", folder / "fastnn")
                else:
                    folder = Path(source).resolve()
                folders.append(folder)
            yield folders
        finally:
            for folder in worktrees:
                _git("worktree", "remove", "--force", str(folder))


def _git(*arguments: str) -> None:
    subprocess.run(["git", "-C", str(_ROOT), *arguments], check=True)


def time_both(case: str, folders: list[Path], repeats: int, probe: Probe) -> Change:
    """Epochs of both in turn, in fresh processes."""
    workers: list[Worker] = []
    try:
        for name, folder in zip(Change._fields, folders, strict=True):
            worker = Worker("fastnn", Task(case), folder)
            worker.name = name
            workers.append(worker)
            if not worker.agrees:
                raise WorkerError(f"{name} disagrees with the reference: error {worker.error:.1e}")
        timings, failures = measure(workers, repeats, probe, _PATIENCE)
    finally:
        for worker in workers:
            worker.close()
    for name, reason in failures.items():
        raise WorkerError(f"{name}: {reason}")
    change = Change(**timings)
    if len(change.ratios) < _LEAST_PAIRS:
        raise WorkerError(f"the machine is too busy: {len(change.ratios)} undisturbed rounds of {_LEAST_PAIRS} needed")
    return change


def compare(case: str, folders: list[Path], repeats: int, threshold: float, probe: Probe) -> Change:
    """The change of one case; a regression must show twice, since where memory lies differs between processes too."""
    change = time_both(case, folders, repeats, probe)
    if change.ratio <= threshold:
        return change
    return min(change, time_both(case, folders, repeats, probe), key=lambda found: found.ratio)


def compare_all(cases: list[str], folders: list[Path], repeats: int, threshold: float) -> int:
    """Print a table; returns the exit status."""
    probe, status = Probe(), 0
    titles = ["case", "layers", "batch", "old, s/epoch", "new, s/epoch", "new / old", "disturbed", ""]
    print(markup.head(titles), flush=True)
    for case in cases:
        shape = [case, CASES[case].layers, f"{CASES[case].batch:,}"]
        try:
            change = compare(case, folders, repeats, threshold, probe)
        except WorkerError as error:
            status = 2
            print(markup.row([*shape, f"could not be measured: {error}"]), flush=True)
            continue
        slower = change.ratio > threshold
        status = max(status, int(slower))
        disturbed = len(change.old.disturbed) + len(change.new.disturbed)
        verdict = "SLOWER" if slower else ""
        print(markup.row([*shape, *change.cells(), str(disturbed), verdict]), flush=True)
    return status


# --- proof that it works ---

# Added to a commit's kernels/compile.py: before every call of the training kernel, work for nothing for each batch.
_PLANTED = '''

_honest_entry = entry


def entry(function):
    """A piece that Python calls; the one that trains with work for nothing in front of it."""
    if function.__name__ != "run":
        return _honest_entry(function)

    import math

    run = kernel(function)

    def slower(net, data, batches, stepper, team, alone, totals):
        number = 1.0
        for _ in range((batches.last - batches.first) * {turns}):
            number = math.sqrt(number + 2.0)
        if number <= 2:
            run(net, data, batches, stepper, team, alone, totals)

    slower.__name__, slower.__annotations__ = function.__name__, function.__annotations__
    return _honest_entry(slower)
'''


def seconds_per_turn() -> float:
    """What one turn of the planted loop takes here."""
    import numba

    @numba.njit
    def turn(turns: int) -> float:
        number = 1.0
        for _ in range(turns):
            number = math.sqrt(number + 2.0)
        return number

    def seconds() -> float:
        began = time.perf_counter()
        turn(1_000_000)
        return time.perf_counter() - began

    return min(seconds() for _ in range(10)) / 1_000_000


def self_test(commit: str, cases: list[str], repeats: int, threshold: float) -> int:
    """Compare a commit with itself, and with itself and a slowdown planted; 0 if the one passes, the other is found.

    A WorkerError says that a case could not be measured.
    """
    status = 0
    for case in cases:
        with checkouts(commit, commit, copied=True) as folders:
            print(f"{commit} against itself, case {case}:", flush=True)
            same = compare_all([case], folders, repeats, threshold)
            batches = -(-CASES[case].samples // CASES[case].batch)
            batch_seconds = time_both(case, folders, repeats, Probe()).old.median / batches
            turns = round(_PLANTED_SHARE * batch_seconds / seconds_per_turn())
            with (folders[1] / "fastnn" / "kernels" / "compile.py").open("a") as file:
                file.write(_PLANTED.format(turns=turns))
            print(f"with {_PLANTED_SHARE:.0%} of a batch's time planted, {turns} turns for each batch:", flush=True)
            slowed = compare_all([case], folders, repeats, threshold)
        passed = same == 0 and slowed == 1
        print(f"case {case}: {'as it should be' if passed else 'FAILED'} (exit status {same}, then {slowed})\n")
        status = max(status, int(not passed))
    return status


def main(arguments: list[str]) -> int:
    """Compare; see the top of the file.

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
    parser.add_argument("old", metavar="OLD", nargs="?", default="HEAD", help="default: HEAD")
    parser.add_argument("new", metavar="NEW", nargs="?", default=str(_ROOT), help="default: the working tree")
    parser.add_argument("--threshold", type=float, default=1.10, help="of new / old (default: 1.10)")
    parser.add_argument("--cases", type=names_from(list(CASES)), metavar="A,E", help=f"default: {','.join(CASES)}")
    parser.add_argument("--repeats", type=positive, default=25, help="measurements of each (default: 25)")
    parser.add_argument("--quick", action="store_true", help="5 repeats, and case A unless others are named")
    parser.add_argument(
        "--self-test",
        action="store_true",
        help="is a slowdown of 15 %% planted in OLD's kernels found? Case A by default",
    )
    options = parser.parse_args(arguments)
    usual = ["A"] if options.quick or options.self_test else list(CASES)
    cases, repeats = options.cases or usual, 5 if options.quick else options.repeats
    try:
        if options.self_test:
            return self_test(options.old, cases, repeats, options.threshold)
        with checkouts(options.old, options.new) as folders:
            print(f"old: {options.old}, new: {options.new}, slower is beyond {options.threshold:g}")
            return compare_all(cases, folders, repeats, options.threshold)
    except subprocess.CalledProcessError:  # git has said why
        return 2
    except WorkerError as error:
        print(f"nothing was measured: {error}")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
