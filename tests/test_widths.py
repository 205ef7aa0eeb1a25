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
    "tests/test_compress.py": "test",  # both dtypes: numbers of inputs are half a register beside float64
    "tests/test_training.py": "{dtype} and sgd and (test_shapes or test_functions_and_optimizers or mostly_zeros)",
}


def run_python(settings: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, **settings}
    return subprocess.run(
        [sys.executable, *arguments], check=False, cwd=ROOT, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("path", SELECTED)
@pytest.mark.parametrize("width", DTYPES)
def test_at_width(width: int, path: str) -> None:
    selected = SELECTED[path].format(dtype=DTYPES[width])
    done = run_python(
        {"FASTNN_SIMD_WIDTH": str(width)}, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", path, "-k", selected
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@pytest.mark.skipif(host._target_width() < 8, reason="narrower registers do not pack")
def test_packed_samples_in_registers_of_eight() -> None:
    arguments = "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/test_packing.py", "-k", "bits or together"
    done = run_python({"FASTNN_SIMD_WIDTH": "8"}, *arguments)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@pytest.mark.parametrize("width", [width for width in host.WIDTHS if width <= host._target_width()])
def test_the_width_is_taken_from_the_environment(width: int) -> None:
    done = run_python({"FASTNN_SIMD_WIDTH": str(width)}, "-c", "from fastnn.kernels import host; print(host.WIDTH)")
    assert done.stdout == f"{width}\n"


@pytest.mark.parametrize(("width", "widest"), [(16, 8), (8, 4), (16, 4)])
def test_a_width_beyond_the_processor_is_refused(width: int, widest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would compile, and end the process at the first instruction that is not there."""
    monkeypatch.setenv("FASTNN_SIMD_WIDTH", str(width))
    monkeypatch.setattr(host, "_target_width", lambda: widest)
    with pytest.raises(ValueError, match=f"={width} is more than this processor .+ has: at most {widest}$"):
        host._chosen_width()


@pytest.mark.parametrize("bad", ["5", "32", "0", "-8", "", "eight", "8.0"])
def test_a_bad_width_is_refused(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTNN_SIMD_WIDTH", bad)
    with pytest.raises(ValueError, match=rf"FASTNN_SIMD_WIDTH must be one of \(16, 8, 4\), got '{bad}'"):
        host._chosen_width()


@pytest.mark.parametrize("use", ["Network([3, 2])", "functions.softmax([0.0, 1.0])", "functions.sigmoid(0.5)"])
def test_a_bad_width_is_refused_at_first_use(use: str) -> None:
    done = run_python({"FASTNN_SIMD_WIDTH": "5"}, "-c", f"import fastnn; print('imported'); fastnn.{use}")
    assert (done.returncode, done.stdout) == (1, "imported\n")
    assert done.stderr.endswith("ValueError: FASTNN_SIMD_WIDTH must be one of (16, 8, 4), got '5'\n")


COMMANDS = {"train": ["--data", "digits"], "info": [], "warmup": []}


JUNK = {
    "FASTNN_SIMD_WIDTH": "one of (16, 8, 4)",
    "NUMBA_CPU_FEATURES": "names with + or - before each, like '+avx2,-fma'",  # LLVM would end the process
}


@pytest.mark.parametrize("variable", JUNK)
@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_refuses_junk_in_one_line(command: str, variable: str) -> None:
    done = run_python({variable: "junk"}, "-m", "fastnn", command, *COMMANDS[command])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"fastnn: error: {variable} must be {JUNK[variable]}, got 'junk'\n"


@pytest.mark.parametrize("use", ["Network([3, 2])", "functions.tanh(0.5)", "functions.softmax([0.0, 1.0])"])
@pytest.mark.parametrize("threads", ["0", "-3"])
def test_a_number_of_threads_that_numba_cannot_be_imported_with(threads: str, use: str) -> None:
    done = run_python({"NUMBA_NUM_THREADS": threads}, "-m", "fastnn", "train", *COMMANDS["train"])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"fastnn: error: NUMBA_NUM_THREADS must be a number of threads >= 1, got '{threads}'\n"
    done = run_python({"NUMBA_NUM_THREADS": threads}, "-c", f"import fastnn; fastnn.{use}")
    assert done.stderr.endswith(f"ValueError: NUMBA_NUM_THREADS must be a number of threads >= 1, got '{threads}'\n")


# --- what Numba is told to compile for ---

TRAIN = """
import numpy as np
import fastnn
from fastnn.kernels import host
rng = np.random.default_rng(0)
X, y = rng.normal(size=(50, 70)), rng.integers(0, 3, 50)
X[rng.random(X.shape) > 0.2] = 0
net = fastnn.Network([70, 7, 3], dtype="float64", seed=0)
cost = [net.fit(X, y, 2, 7, "adam").train_cost[-1], net.fit(X[:, :], y, 2, 50).train_cost[-1]]
print(host.WIDTH, host.HAS_FMA, *cost, net.evaluate(X, y)["cost"], float(fastnn.functions.tanh(0.5)))
"""
NARROW = {"NUMBA_CPU_NAME": "generic"}, {"NUMBA_ENABLE_AVX": "0"}
SAME = ({"NUMBA_OPT": "0"},)


@pytest.fixture(scope="module")
def trained() -> list[str]:
    return run_python({}, "-c", TRAIN).stdout.split()


@pytest.mark.parametrize("settings", [*NARROW, *SAME], ids=str)
def test_numbers_do_not_depend_on_what_code_is_compiled_for(settings: dict[str, str], trained: list[str]) -> None:
    done = run_python(settings, "-c", TRAIN)
    assert done.stderr == ""
    width, fma, *numbers = done.stdout.split()
    assert [width, fma] == (trained[:2] if settings in SAME or host.ARM else ["4", "False"])
    for number, wanted in zip(numbers, trained[2:], strict=True):
        assert float(number) == pytest.approx(float(wanted), rel=1e-12)


@pytest.mark.parametrize(
    "use",
    [
        "fastnn.Network([3, 2]).fit(np.zeros((4, 3)), [0, 1, 0, 1])",
        "fastnn.Network([3, 2]).forward(np.zeros((4, 3)))",
        "fastnn.functions.softmax([0.0, 1.0])",
    ],
)
def test_kernels_that_must_not_be_compiled_are_refused_in_one_sentence(use: str) -> None:
    done = run_python({"NUMBA_DISABLE_JIT": "1"}, "-c", f"import numpy as np, fastnn; {use}")
    assert done.returncode == 1
    said = "fastnn's kernels must be compiled, which NUMBA_DISABLE_JIT=1 forbids: unset it"
    assert done.stderr.endswith(f"RuntimeError: {said}\n")
