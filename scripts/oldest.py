"""The kernels' tests with the oldest versions of everything that ``pyproject.toml`` says are enough.

They are installed into a virtual environment that is thrown away. Where there is no Python that has wheels for them, or
nowhere to get them from, it says so and is content.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # which pytest brings along

ROOT = Path(__file__).resolve().parent.parent
TESTS = ("tests/test_kernels.py", "tests/test_training.py")
RUNNERS = ("pytest", "hypothesis")  # of the tests' own requirements
PYTHONS = ("python3.10", "python3.11", "python3.12")


def oldest(requirements: Iterable[str]) -> list[str]:
    """What to ask pip for so that it takes the oldest versions.

    >>> oldest(["numpy>=1.26", "tqdm>=4.60"])
    ['numpy==1.26', 'tqdm==4.60']
    """
    return [requirement.replace(">=", "==") for requirement in requirements]


def stated() -> list[str]:
    """Requirements of the library, and of what runs its tests."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = project["optional-dependencies"]["test"]
    return [*project["dependencies"], *(one for one in extra if one.partition(">=")[0] in RUNNERS)]


def install(python: str, folder: Path, wanted: list[str]) -> str:
    """Make the environment; returns what is in the way of that, if anything is."""
    made = [python, "-m", "venv", "--clear", str(folder)]
    pip = [str(interpreter(folder)), "-m", "pip", "install", "--quiet", "--only-binary", ":all:", *wanted]
    for command in (made, pip):
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            errors = [line for line in (run.stderr or run.stdout).splitlines() if "ERROR" in line]
            return errors[-1] if errors else f"{' '.join(command[:4])} ended with {run.returncode}"
    return ""


def interpreter(folder: Path) -> Path:
    """The Python of an environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def main() -> int:
    """Install and run; the exit code is that of pytest, or 0 where there is nothing to run."""
    wanted = oldest(stated())
    found = [path for path in map(shutil.which, PYTHONS) if path]
    with tempfile.TemporaryDirectory() as temporary:
        folder, obstacle = Path(temporary) / "environment", ""
        for python in [sys.executable, *found]:
            obstacle = install(python, folder, wanted)
            if not obstacle:
                break
        if obstacle:
            print(f"skipped: {', '.join(wanted)} cannot be had here: {obstacle}")
            return 0
        # Kernels are compiled anew: by this Numba, not loaded from what another one left.
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "FASTNN_CACHE_DIR": str(Path(temporary) / "cache")}
        print(", ".join(wanted), flush=True)
        command = [interpreter(folder), "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
        return subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
