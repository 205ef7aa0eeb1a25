"""How kernels are compiled, and kept on disk between processes.

Numba's own cache watches the one file that holds a function. Our kernels are spread over several files and depend on
the vector width, so here an entry's key is a hash of *everything* that shapes the machine code: every kernel source,
the versions of Python, Numba and llvmlite, the processor and the width. One file per kernel and signature, written
under a temporary name and moved into place, with a checksum in front: a damaged file is a miss, never an error, and a
folder that cannot be written only means compiling again.
"""

import ctypes
import hashlib
import os
import pickle
import sys
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import llvmlite
import numba
import platformdirs
from llvmlite.binding import Linkage
from numba import njit
from numba.core import compiler
from numba.core.caching import _Cache
from numba.core.codegen import JITCodeLibrary

from fastnn.kernels.host import WIDTH

_DIGEST_BYTES = 32


@lru_cache(maxsize=1)
def cache_folder() -> Path:
    """Where machine code is kept: ``$FASTNN_CACHE_DIR``, else the user's cache folder."""
    forced = os.environ.get("FASTNN_CACHE_DIR")
    return Path(forced) if forced else platformdirs.user_cache_path("fastnn") / "kernels"


@lru_cache(maxsize=1)
def source_digest() -> bytes:
    """A hash of every kernel source file."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.digest()


class KernelCache(_Cache):
    """Disk cache of one kernel, plugged into its Numba dispatcher."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._enabled = True

    @property
    def cache_path(self) -> str:
        """The folder."""
        return str(cache_folder())

    def enable(self) -> None:
        """Use the disk again."""
        self._enabled = True

    def disable(self) -> None:
        """Leave the disk alone."""
        self._enabled = False

    def flush(self) -> None:
        """Remove every kept version of this kernel."""
        for path in cache_folder().glob(f"{self._name}-*.bin"):
            path.unlink(missing_ok=True)

    def _path(self, signature: Any, codegen: Any) -> Path:
        identity = (
            sys.version,
            numba.__version__,
            llvmlite.__version__,
            codegen.magic_tuple(),
            WIDTH,
            self._name,
            str(signature),
        )
        digest = hashlib.sha256(source_digest() + repr(identity).encode()).hexdigest()
        return cache_folder() / f"{self._name}-{digest[:32]}.bin"

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The kept kernel, or None where there is none that is whole.

        Numba's own cache refreshes the target first. Only compiling needs that, and does it itself; here it would
        import SciPy, and triple the time until the first epoch.
        """
        if not self._enabled:
            return None
        try:
            content = self._path(sig, target_context.codegen()).read_bytes()
            digest, payload = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
            if hashlib.sha256(payload).digest() != digest:
                return None
            return compiler.CompileResult._rebuild(target_context, *pickle.loads(payload))
        except Exception:  # whatever is wrong with the file, compiling again is right
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled kernel; where that is impossible, go on without."""
        if not self._enabled:
            return
        payload = pickle.dumps(data._reduce(), protocol=pickle.HIGHEST_PROTOCOL)
        path = self._path(sig, data.codegen)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
        except OSError:
            return
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(payload).digest() + payload)
            os.replace(temporary, path)
        except OSError:
            pass
        finally:  # also after Ctrl-C; a file that was moved into place is no longer there
            Path(temporary).unlink(missing_ok=True)


class _InnerLibrary(JITCodeLibrary):
    """Code that only other kernels call: neither optimised nor turned into machine code by itself.

    Numba does both for every function, and again for its copy inside every caller above it. Only the entry's copy
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


class _EntryLibrary(JITCodeLibrary):
    """An entry with all the kernels below it, which nobody else can call.

    A record of arrays is some fifty machine words, and a call hands over several records. Of a function whose callers
    are all known LLVM removes the arguments that it does not use.
    """

    def _optimize_final_module(self) -> None:
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == Linkage.linkonce_odr:
                function.linkage = Linkage.internal
        # Numba's two rounds without the first, which is there for reference counts.
        manager, builder = self._codegen._module_pass_manager()
        manager.run(self._final_module, builder)


class _Compiler(compiler.Compiler):
    """Numba's pipeline, but for the library that the code goes into."""

    library: type[JITCodeLibrary]

    def define_pipelines(self) -> Any:
        self.state.library = self.library(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        self.state.library.enable_object_caching()
        return super().define_pipelines()


class _InnerCompiler(_Compiler):
    library = _InnerLibrary


class _EntryCompiler(_Compiler):
    library = _EntryLibrary


# No Python, no bounds checks, IEEE division; and without Numba's run-time neither reference counts nor any allocation:
# a kernel that allocates does not compile. Wrappers are for calls from outside: from C, or of inner code by Python.
_OPTIONS = {"nogil": True, "error_model": "numpy", "_nrt": False, "no_cfunc_wrapper": True}
_INNER_OPTIONS = {**_OPTIONS, "pipeline_class": _InnerCompiler, "no_cpython_wrapper": True}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that other kernels call."""
    return njit(**_INNER_OPTIONS)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Like ``kernel``, for a line or two that many kernels use: compiled once, and always inlined by LLVM."""
    return njit(forceinline=True, **_INNER_OPTIONS)(function)


def woven(function: Callable[..., Any]) -> Any:
    """Like ``kernel``, for a thin layer of control around heavy kernels: woven into its caller before compiling.

    A function that is called from one place only need not be a function to the compiler.
    """
    return njit(inline="always", **_OPTIONS)(function)


def machine_code(dispatcher: Any, arguments: tuple[Any, ...]) -> Callable[..., Any]:
    """An entry's code for arguments of these types and no others, compiled or loaded now.

    Calling an entry makes Numba look at the type of every array, which takes longer than a small prediction.
    """
    types = tuple(dispatcher.typeof_pyval(argument) for argument in arguments)
    dispatcher.compile(types)
    code: Callable[..., Any] = dispatcher.overloads[types].entry_point
    return code


def entry(name: str) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function that Python calls; it is kept on disk under ``name``."""

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = njit(pipeline_class=_EntryCompiler, **_OPTIONS)(function)
        dispatcher._cache = KernelCache(name)
        return dispatcher

    return decorate
