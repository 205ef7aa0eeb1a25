"""What this processor can do: vector width and register count. Imports llvmlite, not Numba."""

import os

import llvmlite.binding as llvm

WIDTHS = (16, 8, 4)


def _host_width() -> int:
    features = llvm.get_host_cpu_features()
    if all(features.get(name) for name in ("avx512f", "avx512vl", "avx512bw", "avx512dq")):
        return 16
    return 8 if features.get("avx2") and features.get("fma") else 4


def _chosen_width() -> int:
    forced = os.environ.get("FASTNN_SIMD_WIDTH")
    if forced is None:
        return _host_width()
    if forced not in {str(width) for width in WIDTHS}:
        raise ValueError(f"FASTNN_SIMD_WIDTH must be one of {WIDTHS}, got {forced!r}")
    return int(forced)


WIDTH = _chosen_width()
"""float32 lanes in one register: 16 with AVX-512, 8 with AVX2, else 4; FASTNN_SIMD_WIDTH forces it."""

PANEL_VECTORS = 2
"""Registers side by side in one row of a tile, and so the width of a weight panel."""

# A tile of R rows keeps 2 R sums in registers, beside 2 weights and 1 input: AVX-512 has 32 registers, others 16.
PRODUCT_ROWS = 12 if WIDTH == 16 else 6
UPDATE_ROWS = 8 if WIDTH == 16 else 6


def lanes_of(itemsize: int) -> int:
    """Elements of ``itemsize`` bytes in one register of the chosen width."""
    return WIDTH * 4 // itemsize
