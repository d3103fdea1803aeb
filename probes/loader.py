"""Compile, load and attach the BPF programs: the only module that imports BCC.

`load` does, in this order:

1. compare integration code and Definitions;
2. find the offsets of kernel structs in BTF, or without it the arguments of tracepoints;
3. compile everything as one program, whose assertions check the record layout;
4. attach lineage and exec, then seed lineage from /proc;
5. attach the exits of system calls, then their entries, so that no exit is ever missed.

What it returns is nothing but file descriptors and their description: they are the caller's, they
work in any process that they are sent to, and collection lasts as long as someone holds them.
"""

import ctypes
import errno
import mmap
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from content.definitions import Rung, TemplateType
from content.escape import safe
from content.loss_causes import LossCause
from probes import program, tracepoints
from probes.btf import KernelTypes
from probes.counters import SLOT, CounterSlot, mapped_bytes, slots
from probes.diagnostics import captured_diagnostics
from probes.errors import ProbeError, ProbeReason
from probes.formats import tracepoint_text
from probes.kernel_source import kernel_source
from probes.layout import MARKER, lineage_dtype
from probes.limits import LIMITS
from probes.ring import RingDescription, RingKind, stride
from probes.seed import Insertion, seed
from probes.supply import check_supply
from probes.tracefs import events_folder

BPF_NOEXIST = 1

COMPILER_FLAGS = ["-g0"]
"""Without debug information the programs compile a fifth faster."""


@dataclass(frozen=True, slots=True)
class LoadedProbes:
    """What collects events now; every descriptor in it is the caller's.

    attachments: perf events and raw tracepoint links; closing one detaches it. programs: by the
    name of their function, for their run counts in /proc/self/fdinfo. shared: further maps by name.
    probes: what is attached.
    missing: what this kernel lacks. seeded: how many older processes are known. seconds: from the
    call of `load` until everything was attached.
    """

    rings: tuple[RingDescription, ...]
    counters: int
    counter_slots: tuple[CounterSlot, ...]
    attachments: tuple[int, ...]
    programs: Mapping[str, int]
    shared: Mapping[str, int]
    probes: tuple[str, ...]
    missing: tuple[str, ...]
    seeded: int
    seconds: float

    def close(self) -> None:
        """Detach, and free everything that nobody else holds."""
        held = (*self.attachments, *self.programs.values(), *self.shared.values(), self.counters)
        for descriptor in held:
            os.close(descriptor)
        for ring in self.rings:
            os.close(ring.descriptor)


def load(
    template_types: Sequence[TemplateType],
    ring_bytes: Mapping[int, int],
    rung: Rung = Rung.BPF_BTF,
) -> LoadedProbes:
    """Start to collect.

    template_types: all Definitions. ring_bytes: Template Type number → bytes of its ring, for the
    types wanted; powers of two, whole pages. rung: one of program.BPF_RUNGS. Raises ProbeError with
    the compiler's or verifier's words; then nothing is left attached.
    """
    started = time.monotonic()
    wanted = {
        kind.name: ring_bytes[kind.number] for kind in template_types if kind.number in ring_bytes
    }
    chosen = [kind for kind in template_types if kind.name in wanted]
    check_supply(chosen, program.sources(wanted, rung), rung)
    counted = slots(kind.number for kind in template_types)
    kernel = _known_of_kernel(rung)
    text = program.program_text(template_types, counted, wanted, kernel, rung)
    events = events_folder()
    with captured_diagnostics(LIMITS.diagnostic_bytes) as diagnostics:
        session = _Session(text, diagnostics)
        try:
            session.attach_lineage(rung)
            seeded = session.seed_lineage(lineage_dtype(template_types, rung), counted)
            calls = list(tracepoints.wanted_calls(wanted))
            known = [call for call in calls if tracepoints.is_known(events, call)]
            session.attach_calls(known)
            return LoadedProbes(
                rings=tuple(session.ring(kind, wanted[kind.name]) for kind in chosen),
                counters=session.descriptor_of_map("loss_counters"),
                counter_slots=counted,
                shared={
                    name: session.descriptor_of_map(name)
                    for name in program.shared_maps(wanted, rung)
                },
                seeded=seeded,
                missing=tuple(call.name for call in calls if call not in known),
                **session.release(),
                seconds=time.monotonic() - started,
            )
        finally:
            session.close()


def _known_of_kernel(rung: Rung) -> str:
    if rung is Rung.BPF_TRACEPOINT:
        return tracepoint_text(events_folder()) + program.registers_text(os.uname().machine)
    types = KernelTypes.of_kernel()
    return program.offsets_text(
        types.offsets(program.KERNEL_MEMBERS, program.OPTIONAL_MEMBERS),
        typed_task=types.has_name(program.TYPED_TASK_HELPER),
    )


class _Session:
    """One BCC object and what is attached through it, until `release` hands that out."""

    def __init__(self, text: str, diagnostics: Callable[[], str]) -> None:
        self._diagnostics = diagnostics
        self._attached: list[str] = []
        self._functions: dict[str, Any] = {}
        bcc = _import_bcc()
        self._bcc = bcc
        with kernel_source():
            self._bpf = self._call(
                ProbeReason.COMPILE_FAILED, bcc.BPF, text=text, cflags=COMPILER_FLAGS
            )

    def attach_lineage(self, rung: Rung) -> None:
        """Attach what keeps lineage, and with it the reports of execs."""
        points = tracepoints.LINEAGE[rung]
        kinds = self._bcc.BPF
        for point in points:
            raw = isinstance(point, tracepoints.RawTracepoint)
            self._load(point.function, kinds.RAW_TRACEPOINT if raw else kinds.TRACEPOINT)
        for point in points:
            if isinstance(point, tracepoints.RawTracepoint):
                attach = self._bpf.attach_raw_tracepoint
                self._call(ProbeReason.ATTACH_FAILED, attach, point.event, point.function)
                self._attached.append(f"raw_tracepoint/{point.event}")
            else:
                self._attach_tracepoint(f"{point.category}:{point.event}", point.function)

    def seed_lineage(self, value: np.dtype[np.void], counted: Sequence[CounterSlot]) -> int:
        """Add older processes; what finds no room is counted in the slot SEED_FULL."""
        outcome = seed(self._insert_lineage, value)
        if outcome.full:
            slot = next(i for i, kind in enumerate(counted) if kind.cause is LossCause.SEED_FULL)
            descriptor = self._map("loss_counters")
            with mmap.mmap(descriptor, mapped_bytes(len(counted)), mmap.MAP_SHARED) as memory:
                SLOT.pack_into(memory, slot * SLOT.size, outcome.full)
        return outcome.added

    def attach_calls(self, calls: Sequence[tracepoints.SystemCall]) -> None:
        """Attach the exits first, then the entries."""
        points = [(f"sys_exit_{call.name}", call.exit) for call in calls]
        points += [(f"sys_enter_{call.name}", call.enter) for call in calls]
        for _, function in points:
            self._load(function, self._bcc.BPF.TRACEPOINT)
        for event, function in points:
            self._attach_tracepoint(f"{tracepoints.CATEGORY}:{event}", function)

    def ring(self, template_type: TemplateType, size: int) -> RingDescription:
        """Description of the ring of a Template Type, with a descriptor of its own."""
        descriptor = self.descriptor_of_map(f"{template_type.name}_ring")
        number, length = template_type.number, stride(template_type)
        return RingDescription(number, size, length, RingKind.BPF, descriptor)

    def descriptor_of_map(self, name: str) -> int:
        """A descriptor of a map that outlives this session."""
        return os.dup(self._map(name))

    def release(self) -> dict[str, Any]:
        """Hand out attachments and programs: from now on closing the session detaches nothing."""
        attachments = [*self._bpf.raw_tracepoint_fds.values(), *self._bpf.tracepoint_fds.values()]
        self._bpf.raw_tracepoint_fds.clear()
        self._bpf.tracepoint_fds.clear()
        return {
            "attachments": tuple(attachments),
            "programs": {name: os.dup(one.fd) for name, one in self._functions.items()},
            "probes": tuple(self._attached),
        }

    def close(self) -> None:
        """Detach what was not released, and free the compiler's memory."""
        self._bpf.cleanup()

    def _attach_tracepoint(self, name: str, function: str) -> None:
        attach = self._bpf.attach_tracepoint
        self._call(ProbeReason.ATTACH_FAILED, attach, tp=name, fn_name=function)
        self._attached.append(f"tracepoint/{name}")

    def _load(self, name: str, kind: int) -> None:
        if name not in self._functions:
            self._functions[name] = self._call(
                ProbeReason.VERIFIER_REFUSED, self._bpf.load_func, name, kind
            )

    def _map(self, name: str) -> int:
        return int(self._bcc.lib.bpf_table_fd(self._bpf.module, name.encode()))

    def _insert_lineage(self, pid: int, value: bytes) -> Insertion:
        key = ctypes.byref(ctypes.c_uint32(pid))
        held = ctypes.create_string_buffer(value, len(value))
        if not self._bcc.lib.bpf_update_elem(self._map("lineage"), key, held, BPF_NOEXIST):
            return Insertion.ADDED
        problem = ctypes.get_errno()
        if problem == errno.EEXIST:
            return Insertion.KNOWN
        if problem in (errno.E2BIG, errno.ENOMEM):
            return Insertion.FULL
        raise ProbeError(ProbeReason.ATTACH_FAILED, f"lineage map: {os.strerror(problem)}")

    def _call(
        self, reason: ProbeReason, function: Callable[..., Any], *args: Any, **kw: Any
    ) -> Any:
        """Call BCC, which raises bare Exception and explains itself on standard error."""
        try:
            return function(*args, **kw)
        except Exception as error:
            raise _translated(reason, str(error), self._diagnostics()) from error


def _import_bcc() -> Any:
    try:
        import bcc  # noqa: PLC0415 — in this rung only
    except ImportError as error:
        detail = f"{error}: install Debian's python3-bpfcc"
        raise ProbeError(ProbeReason.BCC_MISSING, detail) from error
    return bcc


def _translated(reason: ProbeReason, message: str, diagnostics: str) -> ProbeError:
    if MARKER in diagnostics:
        reason = ProbeReason.LAYOUT_MISMATCH
    elif "Operation not permitted" in message + diagnostics:
        reason = ProbeReason.NOT_PERMITTED
    lines = [safe(line) for line in (message, *diagnostics.splitlines()) if line.strip()]
    return ProbeError(reason, "\n".join(lines))
