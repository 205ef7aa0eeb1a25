"""The comparison's own environment: made, filled and used. Needs nothing but the standard library."""

import importlib.util
import os
import subprocess
import sys
import venv
from collections.abc import Iterable, Sequence
from pathlib import Path

_ROOT = Path(__file__).parents[1]


def is_active(folder: Path) -> bool:
    """Whether this Python is the environment's."""
    return Path(sys.prefix).resolve() == folder.resolve()


def run_inside(folder: Path, script: Path, arguments: Sequence[str]) -> int:
    """Run a script again with the environment's Python, after making the environment with this project in it.

    Parameters
    ----------
    folder : Path
        Of the environment; one that is there is used as it is.
    script : Path
        What to run.
    arguments : sequence of str
        Its command line.

    Returns
    -------
    int
        The script's exit status.
    """
    folder = folder.resolve()  # the import below runs elsewhere, where a relative path would lead astray
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        print(f"creating the environment {folder}", flush=True)
        venv.create(folder, with_pip=True)
    if subprocess.run([python, "-c", "import fastnn"], cwd=folder, capture_output=True, check=False).returncode:
        print("installing this project there", flush=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--editable", str(_ROOT)], check=True)
    return subprocess.run([python, str(script), *arguments], check=False).returncode


def install(wanted: Iterable[tuple[Sequence[str], Sequence[str]]]) -> None:
    """Install into this Python what is missing; what cannot be installed is reported, and no error.

    Parameters
    ----------
    wanted : iterable of (modules, packages)
        What must be importable, and what pip installs to make it so.
    """
    for modules, packages in wanted:
        if all(importlib.util.find_spec(module) for module in modules):
            continue
        print(f"installing {', '.join(packages)}", flush=True)
        if subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *packages], check=False).returncode:
            print(f"could not install {', '.join(packages)}: going on without", flush=True)


def pin_threads(threads: int) -> None:
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


ISAS = ("native", "avx2")
_AVX2 = {
    # Numba and fastnn: the processor's model alone would not take its further features away.
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+avx,+avx2,+bmi,+bmi2,+cx16,+f16c,+fma,+lzcnt,+movbe,+popcnt,+sse4.2",
    "FASTNN_SIMD_WIDTH": "8",
    # NumPy and SciPy: OpenBLAS, and NumPy's own loops.
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4,AVX512_ICL,AVX512_SPR",
    # PyTorch: its own loops, the libraries in it, and what its compiler makes.
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "TORCHINDUCTOR_CPP_MARCH": "haswell",
}


def isa_variables(isa: str) -> dict[str, str]:
    """Environment variables that keep every library to an instruction set; they must be there before any import.

    Parameters
    ----------
    isa : {"native", "avx2"}
        With "native", none.

    Returns
    -------
    dict of str to str
        XLA's flags among them, with those that are set already.
    """
    if isa == "native":
        return {}
    return {**_AVX2, "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_max_isa=AVX2".strip()}
