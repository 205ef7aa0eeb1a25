"""What the processor itself allows: for each case of the comparison the time of its parts alone, beside fastnn's.

    python scripts/limits.py

Three experiments, on one thread, in float32: a loop of nothing but multiply-adds in registers; one that only reads the
samples, in random order; one that only reads and writes what an optimizer steps, batch after batch. No library can be
faster than the first one where it multiplies what has to be multiplied: of a first layer inputs that are not zero.

A fourth one is of two cores: each writes its own numbers, they meet, and each reads the other's, or for comparison its
own. In training on two threads half of all weights and outputs go that way in every step.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import markup
import numpy as np
from arguments import add_output, names_from, output_folder, positive
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from peers import report
from peers.cases import CASES, Array, Case, Task, load_data, start_layers
from peers.measure import Probe
from peers.ours import fit_settings, new_network

from fastnn import layout
from fastnn.cores import usable_cores
from fastnn.kernels.buffers import PARTS, SYNC_SIZE, Team
from fastnn.kernels.compile import entry
from fastnn.kernels.records import Int64s, Numbers, Packed, address_of
from fastnn.kernels.simd import Vector, VectorType, fma, lane_count, load, load_at, prefetch, store
from fastnn.kernels.team import wait_for_all
from fastnn.teamwork import Team as Workforce

_CHAINS = 24  # multiply-adds at work at the same time, more than enough for two units of four cycles
_AHEAD = 2  # samples
_EXCHANGED = (16, 64, 256, 1024)  # KB
_DTYPE = np.dtype(np.float32)


# --- the experiments ---


@intrinsic
def _chains(_: Any, values: Any, count: Any) -> Any:
    """``count`` times ``a <- a x + y`` for each of ``_CHAINS`` registers a; x, y and a begin as the first of values."""
    vector = VectorType(values.dtype)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.bitcast(args[0], ir.FloatType().as_pointer())
        x = load_at(builder, vector, place)
        slots = [cgutils.alloca_once_value(builder, x.value) for _ in range(_CHAINS)]
        with cgutils.for_range(builder, args[1]):
            for slot in slots:
                builder.store(fma(Vector(builder, vector, builder.load(slot)), x, x).value, slot)
        total = x
        for slot in slots:
            total = total + Vector(builder, vector, builder.load(slot))
        builder.store(total.value, builder.bitcast(place, total.value.type.as_pointer())).align = 4
        return context.get_dummy_value()

    return types.none(values, types.int64), codegen


@entry
def _multiply(values: Numbers, count: int) -> None:
    _chains(values, count)


@entry
def _read(values: Numbers, n_in: int, order: Int64s, n: int, out: Numbers) -> None:
    """Add up samples (n, n_in) in an order, and ask for those that come soon."""
    lanes = lane_count(values)
    total = load(out, 0)
    for k in range(n):
        at, ahead = order[k] * n_in, order[min(k + _AHEAD, n - 1)] * n_in
        for i in range(0, n_in - lanes + 1, lanes):
            prefetch(values, ahead + i)
            total = total + load(values, at + i)
    store(out, 0, total)


@entry
def _step(values: Numbers, size: int, buffers: int, steps: int) -> None:
    """Read and write every number of some buffers, so many times."""
    lanes = lane_count(values)
    for _ in range(steps):
        for i in range(0, size, lanes):
            for buffer in range(buffers):
                at = buffer * size + i
                store(values, at, load(values, at) + load(values, 0))


@entry
def _exchange(values: Numbers, mine: int, read: int, size: int, rounds: int, team: Team) -> None:
    """Write so many numbers from ``mine`` on, meet, and read those from ``read`` on, which another may have written."""
    lanes, total = lane_count(values), load(values, mine)
    for _ in range(rounds):
        for i in range(mine, mine + size, lanes):
            store(values, i, load(values, i) + load(values, mine))
        wait_for_all(team)
        for i in range(read, read + size, lanes):
            total = total + load(values, i)
        wait_for_all(team)
    store(values, mine, total)


def _code(piece: Any) -> Callable[..., Any]:
    piece.dispatcher._cache.disable()  # not the user's folder
    code: Callable[..., Any] = piece.code(types.float32)
    return code


def _best(work: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest run: what the processor can do when it is left alone."""
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken)


class Multiplication:
    """Multiply-adds in registers and nothing else, on some threads of which none waits for another.

    Parameters
    ----------
    threads : int
        Each on a core, if it is given one.
    """

    def __init__(self, threads: int) -> None:
        self._values, self._code = [layout.aligned_zeros(64, _DTYPE) for _ in range(threads)], _code(_multiply)
        self._team = Workforce()

    def run(self, rounds: int) -> None:
        """So many multiply-adds in each of ``_CHAINS`` registers, shared out over the threads."""
        share = rounds // len(self._values)
        calls = [(self._code, (address_of(values), share)) for values in self._values]
        self._team.run(calls, on_abort=lambda: None)


def multiply_adds_per_second(repeats: int) -> float:
    """Of float32 numbers, on one core."""
    alone, rounds, lanes = Multiplication(1), 1_000_000, VectorType(types.float32).lanes
    return rounds * _CHAINS * lanes / _best(lambda: alone.run(rounds), repeats)


def seconds_to_read(X: Array, repeats: int) -> float:
    """All samples once, in random order."""
    order, out, code = np.random.default_rng(0).permutation(len(X)), layout.aligned_zeros(64, _DTYPE), _code(_read)
    return _best(lambda: code(address_of(X), X.shape[1], address_of(order), len(X), address_of(out)), repeats)


def seconds_to_step(parameters: int, buffers: int, steps: int, repeats: int) -> float:
    """So many steps of parameters and the optimizer's memory, without any arithmetic."""
    size = -(-parameters // 64) * 64
    values, code, some = layout.aligned_zeros(size * buffers, _DTYPE), _code(_step), min(steps, 500)
    return _best(lambda: code(address_of(values), size, buffers, some), repeats) * steps / some


def seconds_to_exchange(kilobytes: int, others: bool, repeats: int) -> float:
    """Of two cores, for each to write so much and to read as much: what the other one has written, or its own."""
    size, rounds, code, workforce = kilobytes * 1024 // _DTYPE.itemsize, 100, _code(_exchange), Workforce()
    values = layout.aligned_zeros(2 * size, _DTYPE)

    def work() -> None:
        team = Team(0, 2, np.zeros(SYNC_SIZE, np.int64), np.zeros(PARTS))
        members = [Packed(team._replace(member=t)) for t in range(2)]
        places = [(t * size, (1 - t if others else t) * size) for t in range(2)]
        calls = [
            (code, (address_of(values), *place, size, rounds, member.address))
            for place, member in zip(places, members, strict=True)
        ]
        workforce.run(calls, on_abort=lambda: None)

    return _best(work, repeats) / rounds


def exchange_table(repeats: int) -> str:
    """What it costs two cores to read each other's numbers."""
    rows = []
    for kilobytes in _EXCHANGED:
        taken = [1e6 * seconds_to_exchange(kilobytes, which, repeats) for which in (False, True)]
        rows.append([f"{kilobytes:,}", *(f"{microseconds:.3g}" for microseconds in taken)])
    return markup.table(["each core writes and reads, KB", "its own, us", "the other's, us"], rows)


# --- the cases ---


class Row(NamedTuple):
    """Seconds of an epoch, and of its parts alone."""

    case: Case
    ours: float
    products: float
    reading: float
    stepping: float


def needed_products(case: Case, X: Array) -> float:
    """Multiply-adds of an epoch: forward, of the deltas, of the gradients; of zero inputs none."""
    layers = [n_in * n_out for n_in, n_out in zip(case.sizes, case.sizes[1:], strict=False)]
    first = layers[0] * np.count_nonzero(X) / X.size
    return float(len(X) * (2 * first + 3 * sum(layers[1:])))


def measure(case: Case, peak: float, repeats: int, probe: Probe) -> Row:
    """Time a case's parts, and fastnn, of whose fits those count beside which the machine was quiet."""
    task = Task(case.name)
    data = load_data(task, task.n)
    network, settings = new_network(task, start_layers(task)), fit_settings(task)
    taken: list[tuple[bool, float]] = []
    epochs = 2
    for _ in range(repeats + 1):
        before = probe.run()
        seconds = network.fit(data.X, data.y, epochs=epochs, **settings).seconds
        taken.append((probe.quiet(before, probe.run()), statistics.median(seconds[1:])))
        epochs = min(200, max(5, int(0.5 / taken[-1][1])))
    quiet = [seconds for is_quiet, seconds in taken[1:] if is_quiet] or [seconds for _, seconds in taken[1:]]
    parameters = sum((n_in + 1) * n_out for n_in, n_out in zip(case.sizes, case.sizes[1:], strict=False))
    steps, buffers = -(-task.n // case.batch), 1 + len(settings["optimizer"].start)  # parameters, and what it keeps
    return Row(
        case,
        statistics.median(quiet),
        needed_products(case, data.X) / peak,
        seconds_to_read(data.X, repeats),
        seconds_to_step(parameters, buffers, steps, repeats),
    )


def markdown(rows: list[Row], peak: float) -> str:
    """The table."""
    lines = [report.machine_line(report.machine()), ""]
    lines += [f"{peak / 1e9:.0f} billion multiply-adds of float32 a second in registers, on one core.", ""]
    lines += ["Seconds per epoch: fastnn's, and what some parts take by themselves.", ""]
    heads = "case", "layers", "batch", "fastnn", "multiply-adds", "reading samples", "stepping", "of the peak"
    cells = []
    for row in rows:
        parts = [f"{seconds:.3g}" for seconds in (row.ours, row.products, row.reading, row.stepping)]
        cells.append([row.case.name, row.case.layers, f"{row.case.batch:,}", *parts, f"{row.products / row.ours:.0%}"])
    return "\n".join([*lines, markup.table(heads, cells)]) + "\n"


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
    parser.add_argument("--cases", type=names_from(list(CASES)), default=list(CASES), help="default: all")
    parser.add_argument("--repeats", type=positive, default=5, help="of each measurement (default: 5)")
    parser.add_argument("--quick", action="store_true", help="one repeat: does it work?")
    add_output(parser)
    options = parser.parse_args(arguments)
    repeats = 1 if options.quick else options.repeats
    probe, peak = Probe(), multiply_adds_per_second(10 * repeats)
    rows = []
    for name in options.cases:
        rows.append(measure(CASES[name], peak, repeats, probe))
        print(name, *(f"{seconds:.3g}" for seconds in rows[-1][1:5]), flush=True)
    path = output_folder(options) / "limits.md"
    text = markdown(rows, peak)
    if usable_cores() > 1:
        text += "\n" + exchange_table(10 * repeats) + "\n"
    path.write_text(text, encoding="utf-8")
    print("", path.read_text(encoding="utf-8"), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
