"""The campaign: attacks on the library that anyone can repeat. Prints counts; exits with 1 if anything failed.

python scripts/stress.py                    everything, for an hour or two
python scripts/stress.py --short            a little of everything, in a minute: for continuous integration
python scripts/stress.py --parts saves,files
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "scripts")]

from arguments import names_from  # noqa: E402
from campaign import files, interrupts, lines, processes, saves  # noqa: E402
from campaign.base import Limits, Result, hosted  # noqa: E402


class Part(NamedTuple):
    """An attack, and how far it goes in full and in short."""

    attack: Callable[[Limits], Result]
    full: Limits
    short: Limits
    text: str


def _lines(threads: int, step: int) -> Callable[[Limits], Result]:
    def attack(limits: Limits) -> Result:
        stride = step if limits == _SHORT_LINES else 1
        amount = min(-(-lines.places(threads) // stride), limits.amount)
        return hosted("campaign.lines", limits._replace(amount=amount), threads, stride)

    return attack


_SHORT_LINES = Limits(40, 6)

PARTS = {
    "calls": Part(
        lambda limits: hosted("campaign.calls", limits), Limits(10_000, 1800), Limits(300, 8), "fuzzed public calls"
    ),
    "saves": Part(saves.run, Limits(200, 600), Limits(30, 4), "processes killed while they save"),
    "lines1": Part(_lines(1, 40), Limits(10**6, 1800), _SHORT_LINES, "SIGINT at every line of a fit on one thread"),
    "lines2": Part(_lines(2, 40), Limits(10**6, 1800), _SHORT_LINES, "the same on two threads"),
    "warm1": Part(lambda x: interrupts.run_warm(x, 1), Limits(200, 300), Limits(50, 3), "SIGINT at random, one thread"),
    "warm2": Part(
        lambda x: interrupts.run_warm(x, 2), Limits(200, 300), Limits(50, 3), "SIGINT at random, two threads"
    ),
    "cold1": Part(lambda x: interrupts.run_cold(x, 1), Limits(200, 1600), Limits(1, 1), "the same while compiling"),
    "cold2": Part(lambda x: interrupts.run_cold(x, 2), Limits(200, 1600), Limits(0, 0), "the same, two threads"),
    "files": Part(
        lambda limits: hosted("campaign.files", limits, "damaged"), Limits(5000, 1200), Limits(400, 6), "damaged files"
    ),
    "bombs": Part(
        # Memory and processor time are bounded there; a busy machine takes its time over megabytes of text.
        lambda limits: hosted("campaign.files", limits._replace(amount=files.n_bombs()), "bombs", seconds_each=120.0),
        Limits(100, 300),
        Limits(100, 8),
        "small files that ask for much memory",
    ),
    "together": Part(processes.run_together, Limits(3, 600), Limits(0, 0), "eight processes on an empty cache"),
    "forks": Part(processes.run_forks, Limits(5, 900), Limits(0, 0), "forks and spawned children"),
}


def main() -> int:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--parts", type=names_from(list(PARTS)), default=list(PARTS), metavar="NAME,...")
    parser.add_argument("--short", action="store_true", help="a little of each, some seconds long")
    parser.add_argument("--list", action="store_true", help="say what parts there are, and end")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{name:9} {part.text}" for name, part in PARTS.items()))
        return 0
    # A shell that starts this in the background has it ignored, here and in all children: then nothing is interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    failed = 0
    for name in options.parts:
        part = PARTS[name]
        limits = part.short if options.short else part.full
        if limits.amount == 0:
            continue
        began = time.monotonic()
        result = part.attack(limits)
        failed += len(result.failures)
        print(f"{name}: {result} ({time.monotonic() - began:.0f} s)", flush=True)
    print(f"{failed} failures" if failed else "nothing failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
