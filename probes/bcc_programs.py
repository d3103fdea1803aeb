"""Compile, verify, make maps and attach: the only module that imports BCC.

Everything here takes and returns file descriptors, which are the caller's. What BCC or the kernel
refuses is a ProbeError with the words of compiler or verifier, which they write to standard error.
"""

import ctypes
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from content.escape import safe
from probes.diagnostics import captured_diagnostics
from probes.errors import ProbeError, ProbeReason
from probes.layout import MARKER
from probes.limits import LIMITS
from probes.tracepoints import Point, RawTracepoint, TailCall, Tracepoint

COMPILER_FLAGS = ["-g0", "-O1", "-Xclang", "-disable-llvm-passes"]
"""Without debug information, and optimised once: BCC does that itself, at the highest level, after
the compiler would have. Programs are not slower for it, and compile in two thirds of the time."""

BPF_ANY = 0
BPF_NOEXIST = 1


class ProgramKind(IntEnum):
    """What the kernel calls the two kinds of programs."""

    TRACEPOINT = 5
    RAW_TRACEPOINT = 17


def kind_at(point: Point | TailCall) -> ProgramKind:
    """The kind of the program that is attached there."""
    described = isinstance(point.caller if isinstance(point, TailCall) else point, Tracepoint)
    return ProgramKind.TRACEPOINT if described else ProgramKind.RAW_TRACEPOINT


@dataclass(frozen=True, slots=True)
class Built:
    """Descriptors of programs that the kernel has accepted, and of maps, by name."""

    programs: Mapping[str, int]
    maps: Mapping[str, int]

    def close(self) -> None:
        """Give them up."""
        for descriptor in (*self.programs.values(), *self.maps.values()):
            os.close(descriptor)


def build(text: str, functions: Mapping[str, ProgramKind], maps: tuple[str, ...]) -> Built:
    """Compile a translation unit and load these of its functions; ProbeError says who refused."""
    bcc = imported()
    with captured_diagnostics(LIMITS.diagnostic_bytes) as diagnostics:
        unit = _told(
            diagnostics, ProbeReason.COMPILE_FAILED, bcc.BPF, text=text, cflags=COMPILER_FLAGS
        )
        try:
            loaded = {
                name: _told(diagnostics, ProbeReason.VERIFIER_REFUSED, unit.load_func, name, kind)
                for name, kind in functions.items()
            }
            return Built(
                {name: os.dup(one.fd) for name, one in loaded.items()},
                {name: os.dup(bcc.lib.bpf_table_fd(unit.module, name.encode())) for name in maps},
            )
        finally:
            unit.cleanup()


def attach(program: int, point: Point) -> int:
    """Descriptor of an attachment, which lasts until it is closed."""
    library = imported().lib
    if isinstance(point, RawTracepoint):
        descriptor = library.bpf_attach_raw_tracepoint(program, point.event.encode())
    else:
        place = (point.category.encode(), point.event.encode())
        descriptor = library.bpf_attach_tracepoint(program, *place)
    if descriptor < 0:
        raise _refused(f"{point.function} at {point.event}")
    return int(descriptor)


def put_program(program: int, call: TailCall, held_by: int) -> int:
    """Descriptor of an attachment, as of `attach`: the program is called while it is open.

    held_by: a map for one program, of which nobody else may keep a descriptor.
    """
    place, value = ctypes.c_uint32(0), ctypes.c_uint32(program)
    update = imported().lib.bpf_update_elem
    if update(held_by, ctypes.byref(place), ctypes.byref(value), BPF_ANY):
        raise _refused(f"{call.function}, called at {call.caller.event}")
    return os.dup(held_by)


def create_map(
    kind: int, name: str, *, key_bytes: int, value_bytes: int, entries: int, flags: int
) -> int:
    """Descriptor of a new map. BCC raises the limit of locked memory where the kernel has one."""
    create = imported().lib.bcc_create_map
    descriptor = create(kind, name.encode(), key_bytes, value_bytes, entries, flags)
    if descriptor < 0:
        raise _refused(f"map {name}")
    return int(descriptor)


def insert(descriptor: int, key: int, value: bytes) -> int:
    """Put a value into a map with keys of 32 bits if the key is new; 0, or the error's number."""
    held = ctypes.create_string_buffer(value, len(value))
    place = ctypes.byref(ctypes.c_uint32(key))
    if not imported().lib.bpf_update_elem(descriptor, place, held, BPF_NOEXIST):
        return 0
    return ctypes.get_errno()


def imported() -> Any:
    """BCC; ProbeError (BCC_MISSING) where it is not installed."""
    try:
        import bcc  # noqa: PLC0415 — in this rung only
    except ImportError as error:
        detail = f"{error}: install Debian's python3-bpfcc"
        raise ProbeError(ProbeReason.BCC_MISSING, detail) from error
    return bcc


def _refused(what: str) -> ProbeError:
    problem = os.strerror(ctypes.get_errno())
    return _translated(ProbeReason.ATTACH_FAILED, f"{what}: {problem}", "")


def _told(
    diagnostics: Callable[[], str],
    reason: ProbeReason,
    function: Callable[..., Any],
    *args: Any,
    **kw: Any,
) -> Any:
    """Call BCC, which raises bare Exception and explains itself on standard error."""
    try:
        return function(*args, **kw)
    except Exception as error:
        raise _translated(reason, str(error), diagnostics()) from error


def _translated(reason: ProbeReason, message: str, diagnostics: str) -> ProbeError:
    if MARKER in diagnostics:
        reason = ProbeReason.LAYOUT_MISMATCH
    elif "Operation not permitted" in message + diagnostics:
        reason = ProbeReason.NOT_PERMITTED
    lines = [safe(line) for line in (message, *diagnostics.splitlines()) if line.strip()]
    return ProbeError(reason, "\n".join(lines))
