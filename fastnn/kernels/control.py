"""The processor's treatment of subnormal numbers, which take it a hundred times as long as others.

Deltas and weights of a network that has converged become subnormal. They are too small to matter: inside a kernel they
count as zero. Python's code outside goes on seeing them.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.kernels.host import ARM, X86

_I32, _I64 = ir.IntType(32), ir.IntType(64)
# x86: flush to zero, denormals are zero. ARM: one bit for both.
_FLUSH = 0x8040 if X86 else 1 << 24


def _read(builder):
    """The control word of this thread."""
    if X86:
        slot = cgutils.alloca_once(builder, _I32)
        _call(builder, "llvm.x86.sse.stmxcsr", ir.VoidType(), [builder.bitcast(slot, ir.IntType(8).as_pointer())])
        return builder.zext(builder.load(slot), _I64)
    return _call(builder, "llvm.aarch64.get.fpcr", _I64, []) if ARM else _I64(0)


def _write(builder, word):
    if X86:
        slot = cgutils.alloca_once(builder, _I32)
        builder.store(builder.trunc(word, _I32), slot)
        _call(builder, "llvm.x86.sse.ldmxcsr", ir.VoidType(), [builder.bitcast(slot, ir.IntType(8).as_pointer())])
    elif ARM:
        _call(builder, "llvm.aarch64.set.fpcr", ir.VoidType(), [word])


def _call(builder, name, returns, arguments):
    kind = ir.FunctionType(returns, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


@intrinsic
def flush_subnormals(_):
    """From now on subnormal numbers count as zero in this thread; returns what ``restore_subnormals`` wants."""

    def codegen(context, builder, signature, args):
        word = _read(builder)
        _write(builder, builder.or_(word, _I64(_FLUSH)))
        return word

    return types.int64(), codegen


@intrinsic
def restore_subnormals(_, word):
    """As it was before ``flush_subnormals``."""

    def codegen(context, builder, signature, args):
        _write(builder, args[0])
        return context.get_dummy_value()

    return types.none(types.int64), codegen
