"""The narrower registers of other processors: the same tests again, in a process that is told to use those."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastnn.kernels import host

ROOT = Path(__file__).parent.parent

# Every kernel of the forward and the backward pass and of one optimizer, in registers of eight and of two numbers:
# compiling all of them for each width and dtype would take minutes and show nothing new.
DTYPES = {8: "float32", 4: "float64"}
SELECTED = {
    "tests/test_functions.py": "width or special or nan or keep",
    "tests/test_kernels.py": "{dtype} and (test_shapes or test_functions_and_targets or bytes or neighbours or a_list)",
    "tests/test_training.py": "{dtype} and sgd and (test_shapes or test_functions_and_optimizers or mostly_zeros)",
}


def run_python(width: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "FASTNN_SIMD_WIDTH": width}
    return subprocess.run(
        [sys.executable, *arguments], check=False, cwd=ROOT, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("path", SELECTED)
@pytest.mark.parametrize("width", DTYPES)
def test_at_width(width: int, path: str) -> None:
    selected = SELECTED[path].format(dtype=DTYPES[width])
    done = run_python(str(width), "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", path, "-k", selected)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@pytest.mark.parametrize("width", host.WIDTHS)
def test_the_width_is_taken_from_the_environment(width: int) -> None:
    done = run_python(str(width), "-c", "from fastnn.kernels import host; print(host.WIDTH)")
    assert done.stdout == f"{width}\n"


@pytest.mark.parametrize("bad", ["5", "32", "0", "-8", "", "eight", "8.0"])
def test_a_bad_width_is_refused(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTNN_SIMD_WIDTH", bad)
    with pytest.raises(ValueError, match=rf"FASTNN_SIMD_WIDTH must be one of \(16, 8, 4\), got '{bad}'"):
        host._chosen_width()


def test_a_bad_width_is_refused_on_import() -> None:
    done = run_python("5", "-c", "import fastnn")
    assert done.returncode == 1
    assert done.stderr.endswith("ValueError: FASTNN_SIMD_WIDTH must be one of (16, 8, 4), got '5'\n")
