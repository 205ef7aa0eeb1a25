"""Which fastnn the benchmarks measure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WHICH = "import benchmarks, fastnn; print(fastnn.__file__)"


@pytest.fixture
def another(tmp_path):
    """A folder with a package that has fastnn's name, as an installed one would."""
    (tmp_path / "fastnn").mkdir()
    (tmp_path / "fastnn" / "__init__.py").write_text("")
    return tmp_path


def measured(code, path, **variables):
    """What a process says that finds packages in ``path`` first."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ASV_")}
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "asv_benchmarks",
        env={**environment, "PYTHONPATH": str(path), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or found.stderr.strip().splitlines()[-1]


def test_the_working_tree_is_measured_whatever_is_installed(another):
    assert Path(measured(WHICH, another)) == ROOT / "fastnn" / "__init__.py"
    which = "'import fastnn; print(fastnn.__file__)'"
    child = f"import benchmarks, subprocess, sys; subprocess.run([sys.executable, '-c', {which}])"
    assert Path(measured(child, another)) == ROOT / "fastnn" / "__init__.py"


def test_in_an_environment_of_asv_what_is_installed_there(another):
    assert Path(measured(WHICH, another, ASV_ENV_DIR="anywhere")) == another / "fastnn" / "__init__.py"


def test_another_fastnn_is_not_measured_by_mistake(another):
    told = measured(f"import fastnn; {WHICH}", another)
    assert told.startswith(f"ImportError: fastnn was imported from {another} already, expected that of {ROOT}:")
