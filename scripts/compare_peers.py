"""Times of fastnn and of what else trains and uses small dense networks on a CPU.

    python scripts/compare_peers.py --env .venv-peers

makes an environment with fastnn and its peers, checks that all of them do the same mathematics, times them in turn on
the same data from the same weights, and writes a table and a picture. Without ``--env``, whatever is installed takes
part.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import environment
from arguments import add_output, names_from, output_folder, positive

if TYPE_CHECKING:
    from peers.cases import Task
    from peers.measure import Effort, Probe
    from peers.report import Result

_QUICK_SAMPLES = 2000


def _parse_environment(arguments: list[str]) -> Path | None:
    """``--env`` alone, before anything but the standard library is needed."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--env", type=Path)
    folder: Path | None = parser.parse_known_args(arguments)[0].env
    return folder


def _parser() -> argparse.ArgumentParser:
    from peers import ON_REQUEST, PEERS
    from peers.cases import ALL_CASES
    from peers.maths import LEARNING_RATES

    usual = [name for name in PEERS if name not in ON_REQUEST]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--env", type=Path, metavar="FOLDER", help="environment to make and to run in")
    parser.add_argument(
        "--cases", type=names_from(list(ALL_CASES)), metavar="A,P32", help=f"default: {','.join(ALL_CASES)}"
    )
    parser.add_argument(
        "--peers", type=names_from(PEERS), default=usual, metavar="torch,jax", help=f"default: {','.join(usual)}"
    )
    parser.add_argument("--optimizer", choices=list(LEARNING_RATES), help="for every case (default: the case's own)")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument(
        "--isa", choices=environment.ISAS, default="native", help="for every library (default: the processor's own)"
    )
    parser.add_argument("--threads", type=positive, default=1, help="for every library (default: 1)")
    parser.add_argument("--repeats", type=positive, default=7, help="measurements of each (default: 7)")
    parser.add_argument(
        "--patience",
        type=positive,
        default=300,
        metavar="SECONDS",
        help="how long a busy machine is waited for in each case (default: 300)",
    )
    parser.add_argument("--quick", action="store_true", help="few samples and repeats: does it work?")
    add_output(parser)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser


def _unusual(options: argparse.Namespace) -> list[str]:
    """What sets this comparison apart from the usual one, for the names of its files."""
    threads = f"{options.threads}-threads" if options.threads > 1 else ""
    names = options.optimizer, options.dtype, options.isa, threads
    return [name for name in names if name not in {None, "float32", "native", ""}]


def _compare(task: "Task", names: list[str], effort: "Effort", probe: "Probe") -> "Result":
    """One case: start and check everybody, then time in turn."""
    from peers import participants
    from peers.cases import ALL_CASES
    from peers.measure import WorkerError, measure
    from peers.report import Result
    from peers.worker import Worker

    case = ALL_CASES[task.case]
    work = f"{', '.join(case.formulas)}, {task.optimizer}, batch {task.batch}, {task.n:,} samples"
    print(f"case {task.case}: {case.layers}, {work}", flush=True)
    workers: list[Worker] = []
    left_out: dict[str, str] = {}
    try:
        for name in participants(case):
            if name not in names:
                continue
            try:
                worker = Worker(name, task)
            except WorkerError as error:
                left_out[name] = str(error)
                print(f"  {name:14} left out: {error}", flush=True)
                continue
            workers.append(worker)
            print(f"  {name:14} largest error {worker.error:.1e}, allowed {worker.tolerance:.0e}", flush=True)
            if not worker.agrees:
                left_out[name] = f"disagrees with the reference: error {worker.error:.1e}"
                print(f"  {name:14} LEFT OUT: it does not do the same mathematics", flush=True)
        timings, failures = measure(
            [worker for worker in workers if worker.agrees], effort.repeats, probe, effort.patience
        )
    finally:
        for worker in workers:
            worker.close()
    for name, timing in timings.items():
        print(f"  {name:14} {timing} s", flush=True)
    errors = {worker.name: worker.error for worker in workers}
    notes = {worker.name: worker.note for worker in workers if worker.note}
    return Result(task, errors, timings, left_out | failures, notes)


def main(arguments: list[str]) -> int:
    """Run the comparison; 1 if fastnn itself could not take part.

    Parameters
    ----------
    arguments : list of str
        The command line.

    Returns
    -------
    int
        Exit status.
    """
    folder = _parse_environment(arguments)
    if folder is not None and not environment.is_active(folder):
        return environment.run_inside(folder, Path(__file__), arguments)
    options = _parser().parse_args(arguments)
    if options.worker:
        from peers.worker import serve

        serve(options.worker)
        return 0
    environment.pin_threads(options.threads)
    from peers import OURS, report, requirements
    from peers.cases import ALL_CASES, CASES, Task
    from peers.measure import Effort, Probe

    if folder is not None:
        environment.install(
            [need for name in options.peers for need in requirements(name)] + [(["matplotlib"], ["matplotlib"])]
        )
    where = report.machine(options.isa)
    print(report.machine_line(where), flush=True)
    probe = Probe()
    effort = Effort(_QUICK_SAMPLES, 2, 0) if options.quick else Effort(None, options.repeats, options.patience)
    results = []
    # Prediction knows no optimizers: it is part of the usual run only.
    for case in options.cases or (CASES if options.optimizer else ALL_CASES):
        task = Task(case, options.optimizer, options.dtype, options.threads, effort.samples, options.isa)
        results.append(_compare(task, [*OURS, *options.peers], effort, probe))
    name = "-".join(["peers", *_unusual(options)])
    run = report.Run(where, results)
    print("", report.markdown([run]), sep="\n")
    print("wrote", *report.write(run, output_folder(options) / name))
    return 0 if all("fastnn" in result.timings for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
