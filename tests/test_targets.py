"""Code for other processors: no call where an instruction is missing, all registers where there are many."""

import json
import re

import pytest
from children import run_python

from fastnn.kernels import host

# Trains with what multiplies and adds: lists of a sparse first layer, tiles, formulas. Prints the assembly of all parts
# and pieces, compiled anew.
TRAINED = """
import json
import numpy as np, fastnn
from fastnn import program
from fastnn.kernels import epoch, host, parts
from fastnn.kernels.compile import Piece
program.usable_cores = lambda: 1  # all in this process: of what another one leaves on disk nothing is shown
made, optimise = [], parts.optimise
parts.optimise = lambda code: made.append(optimise(code)) or made[-1]
X = np.zeros((40, 70))
X[:, :3] = 1
net = fastnn.Network([70, 5, 3], "gelu", "softmax", "log_likelihood")
net.fit(X, np.arange(40) % 3, 1, optimizer="adam", l2=0.1, progress=False)
pieces = [piece for piece in vars(epoch).values() if isinstance(piece, Piece)]
code = {module.name: host.target_machine().emit_assembly(module) for module in made}
for piece in pieces:
    code |= {piece.name: text for text in piece.dispatcher.inspect_asm().values()}
print(json.dumps({"has_fma": host.HAS_FMA, "code": code}))
"""
FUSED = r"v?fn?m(?:add|sub|la)\w*|\bfmaf?\b"  # instructions of x86 and ARM, and what stands for them elsewhere


@pytest.mark.parametrize("settings", [{}, {"NUMBA_CPU_NAME": "generic"}], ids=str)
def test_where_multiply_and_add_are_two_instructions_no_function_is_called(settings, tmp_path):
    """LLVM would make of every lane a call of the C library's fma, which takes a hundred times as long."""
    run = run_python("-W", "ignore", "-c", TRAINED, FASTNN_CACHE_DIR=str(tmp_path), **settings)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    fused = {name for name, text in found["code"].items() if re.search(FUSED, text)}
    assert {"first_sparse", "update_lists", "run"} <= set(found["code"])
    assert found["has_fma"] == (host.HAS_FMA and (not settings or host.ARM))
    if found["has_fma"]:  # so that this would be seen
        assert {"first_sparse", "update_lists"} < fused
    else:
        assert not fused


# Parts for an ARM processor, on whatever this is.
FOR_ARM = """
import json, platform, sys
import llvmlite.binding as llvm
triple = sys.argv[1]
llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()
platform.machine = lambda: "aarch64"
llvm.get_process_triple = lambda: triple
from numba import types
from fastnn.kernels import host, parts, steps, tiles
wanted = {"product": tiles.PRODUCT, "add": steps.update_part(steps.ADD)}
code = {name: host.target_machine().emit_assembly(parts.optimise(parts.generate(part, types.float32)))
        for name, part in wanted.items()}
tile = host.WIDTH, host.REGISTERS, host.PRODUCT_ROWS, host.UPDATE_ROWS
print(json.dumps({"tile": tile, "code": code}))
"""


@pytest.mark.parametrize(
    ("cpu", "triple"), [("neoverse-n1", "aarch64-unknown-linux-gnu"), ("apple-m1", "arm64-apple-darwin")]
)
def test_tiles_for_arm_fill_its_registers(cpu, triple):
    settings = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""}
    run = run_python("-c", FOR_ARM, triple, **settings)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["tile"] == [4, 32, 12, 8]
    for name, rows in ("product", 12), ("add", 8):
        text = found["code"][name]
        assert len(set(re.findall(r"fmla(?:\.4s)?\s+v(\d+)", text))) >= 2 * rows  # for sixteen registers 12 would do
        assert not re.search(r"\b(?:ldr|str|ldur|stur)\s+q\d+, \[sp", text)  # and none of them spills
        assert not re.search(r"\bbl\s+_?fmaf?\b", text)
