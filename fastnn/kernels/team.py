"""Several threads at work on one batch: shares of the work, and the barrier between its phases.

Who computes a number never changes how it is computed, so results are the same bits for every number of threads.
"""

import sys
from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.kernels.buffers import ABORT, ARRIVALS
from fastnn.kernels.compile import inlined, kernel
from fastnn.kernels.host import X86
from fastnn.kernels.pointers import element_pointer

SPINS = 1000  # some microseconds of waiting awake; longer waits mean that another process has the core
_I64 = ir.IntType(64)


class Share(NamedTuple):
    """``total`` things shared out evenly: part i begins at ``i * base + min(i, extra)``."""

    base: int
    extra: int


@inlined
def share_out(total, parts):
    """Divide once, so that no loop has to; a division takes as long as some twenty other instructions."""
    if parts == 1:
        return Share(total, 0)
    base = total // parts
    return Share(base, total - base * parts)


@inlined
def part_start(share, part):
    """Where a part begins; where it ends is where the next one begins."""
    return part * share.base + min(part, share.extra)


@intrinsic
def _arrive(_, sync):
    """Count this thread in."""

    def codegen(context, builder, signature, args):
        pointer = element_pointer(builder, sync, args[0], _I64(ARRIVALS))
        builder.atomic_rmw("add", pointer, _I64(1), "seq_cst")
        return context.get_dummy_value()

    return types.none(sync), codegen


@intrinsic
def _look(_, sync, place):
    """Read a number that other threads write."""

    def codegen(context, builder, signature, args):
        return builder.load_atomic(element_pointer(builder, sync, *args), "acquire", 8)

    return types.int64(sync, types.int64), codegen


def _plain_call(name, returns):
    """An intrinsic that calls a function without arguments and drops what it returns."""

    @intrinsic
    def call(_):
        def codegen(context, builder, signature, args):
            kind = ir.FunctionType(returns, [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])
            return context.get_dummy_value()

        return types.none(), codegen

    return call


# Let another thread have the core.
_give_way = _plain_call("SwitchToThread" if sys.platform == "win32" else "sched_yield", ir.IntType(32))
# Tell the processor that this is a waiting loop; elsewhere than on x86 there is no such intrinsic.
_breathe = _plain_call("llvm.x86.sse2.pause", ir.VoidType()) if X86 else _give_way


@inlined
def partial_sums(net, team):
    """Where in ``net.partial`` this round's sums go; the other place is where slower threads may still be reading."""
    return (team.rounds[0] & 1) * net.partial_size


@kernel
def wait_for_all(team):
    """Wait until every thread of the team is here; False if the team was called off."""
    if team.size == 1:
        return True
    team.rounds[0] += 1
    goal, waited = team.rounds[0] * team.size, 0
    _arrive(team.sync)
    while _look(team.sync, ARRIVALS) < goal:
        if _look(team.sync, ABORT) != 0:
            return False
        waited += 1
        if waited < SPINS:
            _breathe()
        else:
            _give_way()
    return True
