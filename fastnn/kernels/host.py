"""What code is generated for: processor, vector width, registers. Imports llvmlite, not Numba.

Numba compiles for the processor at hand unless it is told otherwise; whatever it is told holds here as well.
"""

import os
import platform
from functools import lru_cache

import llvmlite.binding as llvm

WIDTHS = (16, 8, 4)


def _feature_dict() -> dict[str, bool]:
    """Names of the target's features, and whether it has them."""
    given = os.environ.get("NUMBA_CPU_FEATURES")
    if given is None and os.environ.get("NUMBA_CPU_NAME", "").lower() == "generic":
        given = ""
    if given is not None:
        return {word[1:]: word[0] == "+" for word in given.split(",") if word}
    try:
        features = dict(llvm.get_host_cpu_features())
    except RuntimeError:  # LLVM does not know this host
        return {}
    if os.environ.get("NUMBA_ENABLE_AVX") == "0":
        # The multiply-adds are AVX's.
        return {name: has and not name.startswith(("avx", "fma", "f16c")) for name, has in features.items()}
    return features


_FEATURES = _feature_dict()
CPU = os.environ.get("NUMBA_CPU_NAME") or llvm.get_host_cpu_name()
"""LLVM's name of the processor that code is generated for."""
FEATURES = ",".join(("+" if has else "-") + name for name, has in _FEATURES.items())
"""Its features, as LLVM wants to be told."""
ARM = platform.machine().lower() in ("aarch64", "arm64")
X86 = platform.machine().lower() in ("x86_64", "amd64", "i686", "i386")
HAS_FMA = ARM or bool(_FEATURES.get("fma"))
"""Whether multiply-add is one instruction; without one, LLVM would call a function for every lane."""


def _target_width() -> int:
    if all(_FEATURES.get(name) for name in ("avx512f", "avx512vl", "avx512bw", "avx512dq", "bmi2")):
        return 16
    return 8 if _FEATURES.get("avx2") and HAS_FMA else 4


def _chosen_width() -> int:
    forced = os.environ.get("FASTNN_SIMD_WIDTH")
    widest = _target_width()
    if forced is None:
        return widest
    if forced not in {str(width) for width in WIDTHS}:
        raise ValueError(f"FASTNN_SIMD_WIDTH must be one of {WIDTHS}, got {forced!r}")
    if int(forced) > widest:
        raise ValueError(f"FASTNN_SIMD_WIDTH={forced} is more than this processor ({CPU}) has: at most {widest}")
    return int(forced)


def _check_settings() -> None:
    """Refuse what LLVM would end the process for, and Numba refuses in words that do not say what it is about."""
    threads = os.environ.get("NUMBA_NUM_THREADS", "")
    if threads.strip().removeprefix("-").isdecimal() and int(threads) < 1:
        raise ValueError(f"NUMBA_NUM_THREADS must be a number of threads >= 1, got {threads!r}")
    given = os.environ.get("NUMBA_CPU_FEATURES", "")
    if any(word[0] not in "+-" for word in given.split(",") if word):
        raise ValueError(f"NUMBA_CPU_FEATURES must be names with + or - before each, like '+avx2,-fma', got {given!r}")


def _width_or_mistake() -> tuple[int, str]:
    """The width, and what is wrong with what was asked for: an import is no place to say so."""
    try:
        _check_settings()
        return _chosen_width(), ""
    except ValueError as error:
        return _target_width(), str(error)


WIDTH, _MISTAKE = _width_or_mistake()
"""float32 lanes in one register: 16 with AVX-512, 8 with AVX2, else 4; FASTNN_SIMD_WIDTH forces it."""

REGISTERS = 32 if WIDTH == 16 or ARM else 16
"""Vector registers."""

CAN_COMPRESS = WIDTH >= 8
"""Whether there is a way to move some lanes of a register together, and to put them back; see compress.py."""

PANEL_VECTORS = 2
"""Registers side by side in one row of a tile, and so the width of a weight panel."""

# A tile of R rows keeps 2 R sums in registers, beside 2 weights and 1 input.
PRODUCT_ROWS = 12 if REGISTERS == 32 else 6
UPDATE_ROWS = 8 if REGISTERS == 32 else 6

# Where neighbours share their zeros: the more of them, the fewer those are.
SKIPPED_SAMPLES, SKIPPED_INPUTS = 6, 4
SKIPPED_VECTORS = 4 if REGISTERS == 32 else 2
"""Registers side by side there: of one panel, or of two."""


def lanes_of(itemsize: int) -> int:
    """Elements of ``itemsize`` bytes in one register of the chosen width.

    Whatever lays out memory or generates code asks for them first.

    Raises
    ------
    ValueError
        If FASTNN_SIMD_WIDTH is no width, or more than the processor has; NUMBA_CPU_FEATURES no features; or
        NUMBA_NUM_THREADS no number of threads.
    """
    if _MISTAKE:
        raise ValueError(_MISTAKE)
    return WIDTH * 4 // itemsize


def refuse_interpreted_kernels() -> None:
    """Kernels are no Python: say so where Numba was told to run them as such."""
    raise RuntimeError("fastnn's kernels must be compiled, which NUMBA_DISABLE_JIT=1 forbids: unset it")


@lru_cache(maxsize=1)
def target_machine() -> llvm.TargetMachine:
    """LLVM's generator of machine code for this target."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    reloc = "static" if X86 else "default"
    return target.create_target_machine(cpu=CPU, features=FEATURES, opt=3, reloc=reloc, codemodel="jitdefault")
