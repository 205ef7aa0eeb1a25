"""Everything that must hold before a change is done: style, types, tests, old versions, and that every benchmark runs.

Runs with the interpreter it is started with, which needs ``pip install -e ".[test]"``.
"""

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# What, the module with its arguments, and the folder to run it in.
STEPS = (
    ("lint", ["ruff", "check", "."], ROOT),
    ("format", ["ruff", "format", "--check", "."], ROOT),
    ("types", ["mypy"], ROOT),
    ("tests", ["pytest", "-q", "-n", "auto", "--dist", "loadfile"], ROOT),
    ("oldest", ["scripts.oldest"], ROOT),
    ("attacks", ["scripts.stress", "--short"], ROOT),
    # Once each, without a result kept; asv asks about the machine unless it has been told, here with what it finds.
    ("machine", ["asv", "machine", "--yes"], ROOT / "asv_benchmarks"),
    ("benchmarks", ["asv", "run", "--quick", "--python=same", "--show-stderr"], ROOT / "asv_benchmarks"),
)


def main() -> int:
    """Run every step, also after one has failed; the number of failures is the exit code."""
    # Where this runs in the background of a shell, Ctrl-C is ignored, by all that tests start, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    failed = []
    for name, command, folder in STEPS:
        print(f"--- {name}: {' '.join(command)}", flush=True)
        if subprocess.run([sys.executable, "-m", *command], cwd=folder, check=False).returncode != 0:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all checks passed", flush=True)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
