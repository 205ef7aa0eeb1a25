"""Seconds per epoch of fastnn and of what else trains small dense networks on a CPU.

    python scripts/compare_peers.py --env .venv-peers

makes an environment with fastnn and its peers, checks that all of them do the same mathematics, times them in turn on
the same data from the same weights, and writes a table. Without ``--env``, whatever is installed takes part.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import environment

if TYPE_CHECKING:
    from peers.cases import Task
    from peers.measure import Probe
    from peers.report import Result

_TIMEOUT = 900.0  # seconds for any one answer; compiling is the longest


def _parse_environment(arguments: list[str]) -> Path | None:
    """``--env`` alone, before anything but the standard library is needed."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--env", type=Path)
    folder: Path | None = parser.parse_known_args(arguments)[0].env
    return folder


def _positive(text: str) -> int:
    """A type of argument: 1, 2, 3, ..."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return number


def _names_from(known: list[str]) -> Callable[[str], list[str]]:
    """A type of argument: names from a list, with commas between them."""

    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown) or 'nothing'} is not among {', '.join(known)}")
        return names

    return parse


def _parser() -> argparse.ArgumentParser:
    from peers import ON_REQUEST, PEERS
    from peers.cases import CASES
    from peers.maths import LEARNING_RATES

    usual = [name for name in PEERS if name not in ON_REQUEST]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--env", type=Path, metavar="FOLDER", help="environment to make and to run in")
    parser.add_argument(
        "--cases", type=_names_from(list(CASES)), default=list(CASES), metavar="A,C", help="default: all"
    )
    parser.add_argument(
        "--peers", type=_names_from(list(PEERS)), default=usual, metavar="torch,jax", help=f"default: {','.join(usual)}"
    )
    parser.add_argument("--optimizer", choices=list(LEARNING_RATES), default="sgd")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--threads", type=_positive, default=1, help="for every library (default: 1)")
    parser.add_argument("--repeats", type=_positive, default=7, help="epochs timed of each (default: 7)")
    parser.add_argument("--samples", type=_positive, help="at most so many samples per epoch, for a quick try")
    parser.add_argument("--output", type=Path, default=Path("build/peers"), help="folder (default: build/peers)")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser


def _pin_threads(threads: int) -> None:
    """Tell every library how many threads to use, before any of them is imported here or in a worker."""
    pools = ("OMP", "MKL", "OPENBLAS", "BLIS", "NUMEXPR", "NUMBA")
    os.environ |= {f"{pool}_NUM_THREADS": str(threads) for pool in pools}
    os.environ["VECLIB_MAXIMUM_THREADS"] = str(threads)
    eigen = str(threads > 1).lower()
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={eigen} intra_op_parallelism_threads={threads}"
    # The flags do not bind XLA's other pools: without this, JAX keeps a second processor busy.
    os.environ["NPROC"] = str(threads)
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


def _compare(task: "Task", names: list[str], repeats: int, probe: "Probe") -> "Result":
    """One case: start and check everybody, then time in turn."""
    from peers import EVERYONE
    from peers.cases import CASES
    from peers.measure import measure
    from peers.report import Result
    from peers.worker import Worker, WorkerError

    case = CASES[task.case]
    print(f"case {task.case}: {case.layers}, batch {task.batch}, {task.n:,} samples", flush=True)
    workers: list[Worker] = []
    left_out: dict[str, str] = {}
    try:
        for name in names:
            if not EVERYONE[name].takes(case):
                continue
            try:
                worker = Worker(name, task, _TIMEOUT)
            except WorkerError as error:
                left_out[name] = str(error)
                print(f"  {name:14} left out: {error}", flush=True)
                continue
            workers.append(worker)
            print(f"  {name:14} largest error {worker.error:.1e}, allowed {worker.tolerance:.0e}", flush=True)
            if not worker.agrees:
                left_out[name] = f"disagrees with the reference: error {worker.error:.1e}"
                print(f"  {name:14} LEFT OUT: it does not do the same mathematics", flush=True)
        agreeing = [worker for worker in workers if worker.agrees]
        timings, failures = measure(agreeing, repeats, probe)
    finally:
        for worker in workers:
            worker.close()
    for name, timing in timings.items():
        low, high = timing.quartiles
        print(f"  {name:14} {timing.median:.4g} s/epoch, quartiles {low:.4g} to {high:.4g}", flush=True)
    return Result(task, timings, left_out | failures)


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
    _pin_threads(options.threads)
    from peers import OURS, PEERS, report
    from peers.cases import Task
    from peers.measure import Probe

    if folder is not None:
        wanted = [(PEERS[name].modules, PEERS[name].packages) for name in options.peers]
        environment.install([*wanted, (["matplotlib"], ["matplotlib"])])
    where = report.machine()
    print(report.machine_line(where), flush=True)
    probe = Probe()
    results = []
    for case in options.cases:
        task = Task(case, options.optimizer, options.dtype, options.threads, options.samples)
        results.append(_compare(task, [*OURS, *options.peers], options.repeats, probe))
    print("", report.markdown(results, where), sep="\n")
    print("wrote", *report.write(results, where, options.output))
    return 0 if all("fastnn" in result.timings for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
