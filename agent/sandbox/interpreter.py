"""Makes Python itself fit for a life without files.

Python opens source files to print a traceback and opens modules when they are first used. Where a
filter kills for opening, that would turn every error into SIGSYS and hide its cause. After
`prepare`, tracebacks come without source lines, and an import of something new is an ImportError
that names it.
"""

import codecs
import importlib
import linecache
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from agent.sandbox.errors import SandboxError

LAZY_MODULES = MappingProxyType(
    {
        "numpy": (
            "numpy._core._exceptions",
            "numpy._core._methods",
            "numpy._core._dtype",
            "numpy._core._internal",
            "numpy.ma",
            "numpy.strings",
        ),
        "grpc": (
            "grpc._channel",
            "grpc._auth",
            "grpc._plugin_wrapping",
            "grpc._interceptor",
            "grpc._utilities",
            "grpc.experimental",
        ),
    }
)
"""What a library imports only when it is first used, or when something goes wrong."""

LAZY_CODECS = ("ascii", "latin-1", "utf-8", "unicode_escape", "idna", "punycode")


def prepare() -> None:
    """Load now what Python would load later, and stop it from opening files from here on.

    Raises SandboxError if there are other threads: some locks hold only for the calling one.
    """
    _require_single_thread()
    for library, modules in LAZY_MODULES.items():
        if library in sys.modules:
            for name in modules:
                importlib.import_module(name)
    for name in LAZY_CODECS:
        codecs.lookup(name)
    time.localtime()  # reads the time zone once
    _forgo_source_lines()
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter, _NothingNew()]


class _NothingNew:
    """The last finder: says which import came too late."""

    @staticmethod
    def find_spec(
        name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        raise ImportError(f"{name} was imported after lock-down; import it before", name=name)


def _require_single_thread() -> None:
    with Path("/proc/self/status").open(encoding="ascii", errors="replace") as status:
        threads = next(int(line.split()[1]) for line in status if line.startswith("Threads:"))
    if threads != 1:
        raise SandboxError(
            f"{threads} threads are running, expected 1: Landlock and capabilities would not hold "
            "for the others (numpy's threads: set OPENBLAS_NUM_THREADS=1)"
        )


def _no_source(filename: str, module_globals: dict[str, Any] | None = None) -> list[str]:
    del filename, module_globals
    return []


def _forgo_source_lines() -> None:
    linecache.clearcache()
    # The one place where tracebacks, warnings and logging open source files.
    linecache.updatecache = _no_source
    sys.excepthook = _print_exception
    sys.unraisablehook = _print_unraisable
    threading.excepthook = _print_thread_exception


def _print_exception(kind: type[BaseException], value: BaseException, trace: object) -> None:
    del kind, trace
    traceback.print_exception(value)


def _print_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    if unraisable.exc_value is not None:
        traceback.print_exception(unraisable.exc_value)


def _print_thread_exception(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None:
        traceback.print_exception(arguments.exc_value)
