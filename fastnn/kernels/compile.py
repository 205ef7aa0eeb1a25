"""How kernels are compiled: what runs is made of a few pieces, each compiled once and kept on disk.

``kernel`` is a function within a piece. A ``stage`` is a piece that other kernels call by its address, an ``entry`` one
that Python calls. So a piece that is not needed is not compiled, and one that several need is compiled once.
"""

import ctypes
import pickle
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import llvmlite.binding as llvm
import numba
from llvmlite.binding import Linkage
from numba import njit, types
from numba.core import compiler, config, typed_passes, untyped_passes
from numba.core.caching import _Cache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_machinery import PassManager

from fastnn.kernels import host, store
from fastnn.kernels.pointers import RecordType, named_intrinsic, type_of
from fastnn.kernels.records import fields_of

# What of Numba's settings shapes code.
_SETTINGS = (
    "OPT",
    "LOOP_VECTORIZE",
    "SLP_VECTORIZE",
    "CPU_NAME",
    "CPU_FEATURES",
    "ENABLE_AVX",
    "DEBUGINFO_DEFAULT",
    "BOUNDSCHECK",
    "LLVM_REFPRUNE_PASS",
    "LLVM_REFPRUNE_FLAGS",
)


class KernelCache(_Cache):
    """Disk cache of one piece, plugged into its Numba dispatcher."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._enabled = True

    @property
    def cache_path(self) -> str:
        """The folder."""
        return str(store.cache_folder())

    def enable(self) -> None:
        """Use the disk again."""
        self._enabled = True

    def disable(self) -> None:
        """Leave the disk alone."""
        self._enabled = False

    def flush(self) -> None:
        """Remove every kept version of this piece."""
        store.forget(self._name)

    def _key(self, signature: Any) -> tuple[Any, ...]:
        return numba.__version__, [str(getattr(config, name, None)) for name in _SETTINGS], str(signature)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The kept code, or None where there is none that is whole.

        Numba's own cache refreshes the target first. Only compiling needs that, and does it itself; here it would
        import SciPy, and triple the time until the first epoch.
        """
        payload = store.read(self._name, self._key(sig)) if self._enabled else None
        if payload is None:
            return None
        try:
            return compiler.CompileResult._rebuild(target_context, *pickle.loads(payload))
        except Exception:  # whatever is wrong with it, compiling again is right
            return None

    def has(self, sig: Any) -> bool:
        """Whether there is something to load."""
        return self._enabled and store.has(self._name, self._key(sig))

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep compiled code."""
        if self._enabled:
            payload = pickle.dumps(data._reduce(), protocol=pickle.HIGHEST_PROTOCOL)
            store.write(self._name, self._key(sig), payload)


class _InnerLibrary(JITCodeLibrary):
    """Code that only other kernels call: neither optimised nor turned into machine code by itself.

    Numba does both for every function, and again for its copy inside every caller above it. Only the piece's copy
    ever runs, so the rest is left out: compiling takes a third of the time.
    """

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    @property
    def codegen(self) -> Any:
        """What Numba tells of the function's globals: nothing is there to be told."""
        return SimpleNamespace(set_env=lambda name, env: None)

    def get_pointer_to_function(self, name: str) -> int:
        """Where a call from Python ends up: a function that raises."""
        return ctypes.cast(ctypes.pythonapi.PyErr_NoMemory, ctypes.c_void_p).value or 0


class _PieceLibrary(JITCodeLibrary):
    """A piece with all the kernels in it, which nobody else can call.

    Of a function whose callers are all known LLVM removes the arguments that it does not use.
    """

    def _optimize_final_module(self) -> None:
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == Linkage.linkonce_odr:
                function.linkage = Linkage.internal
        # Numba's two rounds without the first, which is there for reference counts. Where vectors pay, kernels say so:
        # looking for more of them takes a twentieth of the time, and makes code for loops of a few numbers long.
        manager, builder = self._codegen._module_pass_manager(loop_vectorize=False, slp_vectorize=False)
        manager.run(self._final_module, builder)

    def _get_module_for_linking(self) -> Any:
        """The names alone: a piece is called by its address. Numba keeps this on disk beside the machine code."""
        module, hidden = self._final_module, (Linkage.internal, Linkage.private)
        functions = [f.name for f in module.functions if not f.is_declaration and f.linkage not in hidden]
        numbers = [v.name for v in module.global_variables if not v.is_declaration and v.linkage not in hidden]
        lines = [f'define void @"{name}"() {{\n ret void\n}}' for name in functions]
        lines += [f'@"{name}" = global i8 0' for name in numbers]
        return llvm.parse_assembly("\n".join(lines))


# Of Numba's passes those that kernels need: without closures, contexts, literals, parfors and array expressions to look
# for, and with LLVM to prune branches, compiling takes a tenth less.
_PASSES = (
    untyped_passes.TranslateByteCode,
    untyped_passes.FixupArgs,
    untyped_passes.IRProcessing,
    untyped_passes.InlineInlinables,
    untyped_passes.ReconstructSSA,
    typed_passes.NopythonTypeInference,
    typed_passes.PreLowerStripPhis,
    typed_passes.IRLegalization,
    typed_passes.AnnotateTypes,
    typed_passes.NativeLowering,
    typed_passes.NoPythonBackend,
)


class _Compiler(compiler.CompilerBase):
    """What Numba needs for kernels, and the library that the code goes into."""

    library: type[JITCodeLibrary]

    def define_pipelines(self) -> Any:
        self.state.library = self.library(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        self.state.library.enable_object_caching()
        passes = PassManager("kernel")
        for each in _PASSES:
            passes.add_pass(each, each.__name__)
        passes.finalize()
        return [passes]


class _InnerCompiler(_Compiler):
    library = _InnerLibrary


class _PieceCompiler(_Compiler):
    library = _PieceLibrary


# No Python, no bounds checks, IEEE division; and without Numba's run-time neither reference counts nor any allocation:
# a kernel that allocates does not compile. Wrappers are for calls from outside: from C, or of inner code by Python.
_OPTIONS = {"nogil": True, "error_model": "numpy", "_nrt": False, "no_cfunc_wrapper": True}
_INNER_OPTIONS = {**_OPTIONS, "pipeline_class": _InnerCompiler, "no_cpython_wrapper": True}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that other kernels of the same piece call."""
    return njit(**_INNER_OPTIONS)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Like ``kernel``, for a line or two that many kernels use: compiled once, and always inlined by LLVM."""
    return njit(forceinline=True, **_INNER_OPTIONS)(function)


def woven(function: Callable[..., Any]) -> Any:
    """Like ``kernel``, for a thin layer of control around heavy kernels: woven into its caller before compiling.

    A function that is called from one place only need not be a function to the compiler.
    """
    return njit(inline="always", **_OPTIONS)(function)


class Piece:
    """A function that is compiled by itself, for networks of one dtype or the other, and kept on disk.

    Parameters
    ----------
    function : callable
        In the language of kernels. Its annotations say what arguments and result are: ``int``, ``float``, a record's
        class, or an array of ``records``.
    called_by_python : bool
        Or by other kernels alone.
    """

    def __init__(self, function: Callable[..., Any], called_by_python: bool) -> None:
        self.name = function.__name__
        self._kinds = dict(fields_of(function))
        self._returns = self._kinds.pop("return")
        self.dispatcher = njit(pipeline_class=_PieceCompiler, no_cpython_wrapper=not called_by_python, **_OPTIONS)(
            function
        )
        self.dispatcher._cache = KernelCache(self.name)
        self._compiled: dict[Any, Any] = {}
        self._addresses: dict[Any, int] = {}

    def signature(self, dtype: Any) -> Any:
        """Types of result and arguments, where numbers are of a dtype."""
        return type_of(self._returns, dtype)(*(type_of(kind, dtype) for kind in self._kinds.values()))

    def _result(self, dtype: Any) -> Any:
        """What Numba makes of it, compiled or loaded now."""
        found = self._compiled.get(dtype)
        if found is None:
            if config.DISABLE_JIT:
                host.refuse_interpreted_kernels()
            arguments = self.signature(dtype).args
            self.dispatcher.compile(arguments)
            found = self._compiled[dtype] = self.dispatcher.overloads[arguments]
        return found

    def compile(self, dtype: Any) -> None:
        """Have it compiled or loaded now."""
        self._result(dtype)

    def is_ready(self, dtype: Any) -> bool:
        """Whether it has been compiled or loaded."""
        return dtype in self._compiled

    def is_kept(self, dtype: Any) -> bool:
        """Whether it can be loaded."""
        return self.dispatcher._cache.has(self.signature(dtype).args)

    def code(self, dtype: Any) -> Callable[..., Any]:
        """To be called from Python, with numbers and addresses."""
        code: Callable[..., Any] = self._result(dtype).entry_point
        return code

    def address(self, dtype: Any) -> int:
        """To be called by a kernel."""
        if dtype not in self._addresses:  # LLVM takes its time to look a name up
            found = self._result(dtype)
            self._addresses[dtype] = found.library.get_pointer_to_function(found.fndesc.llvm_func_name)
        return self._addresses[dtype]


def entry(function: Callable[..., Any]) -> Piece:
    """A piece that Python calls."""
    return Piece(function, called_by_python=True)


def stage(function: Callable[..., Any]) -> Piece:
    """A piece that other kernels call, through ``caller``."""
    return Piece(function, called_by_python=False)


def caller(piece: Piece) -> Any:
    """What kernels call a stage with: its address, and its arguments."""

    def typing(_: Any, address: Any, *args: Any) -> Any:
        dtype = next(arg.dtype for arg in args if isinstance(arg, RecordType))
        wanted = piece.signature(dtype)

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            kind = context.call_conv.get_function_type(wanted.return_type, wanted.args)
            code = builder.inttoptr(values[0], kind.as_pointer())
            _, result = context.call_conv.call_function(builder, code, wanted.return_type, wanted.args, values[1:])
            return context.get_dummy_value() if wanted.return_type == types.none else result

        return wanted.return_type(types.int64, *wanted.args), codegen

    return named_intrinsic(f"call_{piece.name}", ["address", *piece._kinds], typing)
