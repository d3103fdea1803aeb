"""Begin to collect events with BPF programs, or join a collection that runs.

`load` does, in this order:

1. compare integration code and Definitions;
2. find the offsets of kernel structs in BTF, or without it the arguments of tracepoints;
3. make the maps that everything shares, or check those of the collection that it joins;
4. compile and verify, on two processors where it is worth it; assertions check the record layout;
5. unless it joins: attach lineage, then seed it from /proc;
6. attach what reports execs and exits, then the exits of system calls, then their entries, so that
   no exit is ever missed.

What it returns is nothing but file descriptors and their description: they are the caller's, they
work in any process that they are sent to, and collection lasts as long as someone holds them.
"""

import contextlib
import errno
import mmap
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from content.definitions import Rung, TemplateType
from content.flooders import places
from content.loss_causes import LossCause
from probes import program, shared_maps
from probes.attaching import Attached
from probes.bcc_programs import Built, insert
from probes.btf import KernelTypes
from probes.compiling import build_all
from probes.counters import SLOT, CounterSlot, mapped_bytes, slots
from probes.diagnostics import captured_diagnostics
from probes.errors import ProbeError, ProbeReason
from probes.formats import tracepoint_text
from probes.kernel_source import kernel_source
from probes.layout import lineage_dtype
from probes.limits import LIMITS
from probes.plan import Host, Plan, plan
from probes.program import Surroundings
from probes.ring import RingDescription, RingKind, identity, stride
from probes.seed import Insertion, seed
from probes.tracefs import events_folder


@dataclass(frozen=True, slots=True)
class LoadedProbes:
    """What collects events now; every descriptor in it is the caller's.

    flooders: the Template Type of each place behind the counters (content.flooders).
    attachments: perf events and raw tracepoint links; closing one detaches it. programs: by the
    name of their function, for their run counts in /proc/self/fdinfo. serves: the Template Types
    that each of the attachments, then of the programs is there for; none where it keeps lineage.
    shared: maps that whoever joins is given beside the counters. probes: what is attached. missing:
    what this kernel lacks. seeded: how many older processes are known. seconds: from the call of
    `load` until everything was attached.
    """

    rings: tuple[RingDescription, ...]
    counters: int
    counter_slots: tuple[CounterSlot, ...]
    flooders: tuple[int, ...]
    shared: Mapping[str, int]
    attachments: tuple[int, ...]
    programs: Mapping[str, int]
    serves: tuple[tuple[int, ...], ...]
    probes: tuple[str, ...]
    missing: tuple[str, ...]
    seeded: int
    seconds: float

    def close(self) -> None:
        """Detach, and free everything that nobody else holds."""
        for descriptor in (*self.attachments, *self.programs.values(), self.counters):
            os.close(descriptor)
        shared_maps.close(self.shared)
        for ring in self.rings:
            os.close(ring.descriptor)


def load(
    template_types: Sequence[TemplateType],
    ring_bytes: Mapping[int, int],
    rung: Rung = Rung.BPF_BTF,
    joined: Mapping[str, int] | None = None,
) -> LoadedProbes:
    """Start to collect.

    template_types: all Definitions. ring_bytes: Template Type number → bytes of its ring, for the
    types wanted; powers of two, whole pages. rung: one of program.BPF_RUNGS. joined: counters and
    shared maps of a collection that runs, by name (shared_maps.named), which stay the caller's;
    None to begin one. Raises ProbeError with the compiler's or verifier's words; then nothing is
    left attached.
    """
    started = time.monotonic()
    kernel = _known_of_kernel(rung)
    host = Host(events_folder(), len(os.sched_getaffinity(0)), kernel.reads_registers)
    chosen = plan(template_types, ring_bytes, rung, host, keeps_lineage=joined is None)
    counted = slots(kind.number for kind in template_types)
    with contextlib.ExitStack() as undo:
        around = _surroundings(chosen, kernel, template_types, counted, undo, joined)
        with kernel_source():
            built = build_all(chosen.orders(around))
        undo.callback(built.close)
        attached, seeded = _attach(chosen, built, around, undo)
        undo.pop_all()
    counters, shared = _kept(around)
    return LoadedProbes(
        rings=tuple(_ring(kind, ring_bytes[kind.number], built) for kind in chosen.chosen),
        counters=counters,
        counter_slots=counted,
        flooders=places([kind.number for kind in template_types]),
        shared=shared,
        attachments=tuple(attached.descriptors),
        programs=built.programs,
        serves=attached.serves(built.programs),
        probes=attached.names,
        missing=chosen.missing,
        seeded=seeded,
        seconds=time.monotonic() - started,
    )


def _kept(around: Surroundings) -> tuple[int, dict[str, int]]:
    """The counters and what else a collection shares; the maps of this load alone are given up."""
    shared = {name: around.shared[name] for name in shared_maps.shared(around.rung)}
    counters = around.shared[shared_maps.COUNTERS]
    for descriptor in set(around.shared.values()) - {counters, *shared.values()}:
        os.close(descriptor)
    return counters, shared


def _attach(
    chosen: Plan, built: Built, around: Surroundings, undo: contextlib.ExitStack
) -> tuple[Attached, int]:
    """Attach everything in order; how many older processes were seeded."""
    attached = Attached({kind.name: kind.number for kind in chosen.chosen}, around.shared)
    undo.callback(attached.detach)
    with captured_diagnostics(LIMITS.diagnostic_bytes):  # the error says all that BCC prints
        attached.attach(built.programs, chosen.lineage)
        seeded = _seed(around) if chosen.lineage else 0
        attached.attach(built.programs, chosen.placements)
    return attached, seeded


@dataclass(frozen=True, slots=True)
class _Kernel:
    """What is known of this kernel: as C, and whether programs can read a call's registers."""

    text: str
    reads_registers: bool = False


def _surroundings(
    chosen: Plan,
    kernel: _Kernel,
    template_types: Sequence[TemplateType],
    counted: Sequence[CounterSlot],
    undo: contextlib.ExitStack,
    joined: Mapping[str, int] | None,
) -> Surroundings:
    """What a load needs besides, with the maps of a collection that runs, or new ones."""
    rung = chosen.rung
    shapes = shared_maps.shapes(template_types, counted, rung)
    if joined is not None:
        shared_maps.check(joined, shapes)
    maps: dict[str, int] = {}
    undo.callback(shared_maps.close, maps)
    for name, shape in shapes.items():
        maps[name] = os.dup(joined[name]) if joined else shared_maps.create(name, shape)
    if chosen.watches_calls:
        maps[shared_maps.PENDING] = shared_maps.create(
            shared_maps.PENDING, shared_maps.pending_shape()
        )
    for call in chosen.called:
        maps[call.function] = shared_maps.create(call.function, shared_maps.program_shape())
    ipc = any(kind.name == "ipc" for kind in chosen.chosen)
    forgets = ipc and not kernel.reads_registers
    return Surroundings(template_types, counted, kernel.text, maps, rung, forgets_ipc=forgets)


def _known_of_kernel(rung: Rung) -> _Kernel:
    if rung is Rung.BPF_TRACEPOINT:
        registers = program.registers_text(os.uname().machine)
        return _Kernel(tracepoint_text(events_folder()) + registers)
    types = KernelTypes.of_kernel()
    offsets = types.offsets(program.KERNEL_MEMBERS, program.OPTIONAL_MEMBERS)
    has_helper = types.has_name(program.CALL_REGISTERS_HELPER)
    has_registers = has_helper and bool(offsets["pt_regs", "r10"])
    text = program.offsets_text(
        offsets,
        typed_task=types.has_name(program.TYPED_TASK_HELPER),
        call_registers=has_registers,
    )
    return _Kernel(text, has_registers)


def _seed(around: Surroundings) -> int:
    """Add older processes to lineage; what finds no room is counted in the slot SEED_FULL."""
    counted = around.counted
    lineage = around.shared[shared_maps.LINEAGE]
    outcome = seed(
        lambda pid, value: _insert(lineage, pid, value),
        lineage_dtype(around.template_types, around.rung),
    )
    if outcome.full:
        slot = next(i for i, kind in enumerate(counted) if kind.cause is LossCause.SEED_FULL)
        descriptor = around.shared[shared_maps.COUNTERS]
        with mmap.mmap(descriptor, mapped_bytes(len(counted)), mmap.MAP_SHARED) as memory:
            SLOT.pack_into(memory, slot * SLOT.size, outcome.full)
    return outcome.added


def _insert(lineage: int, pid: int, value: bytes) -> Insertion:
    problem = insert(lineage, pid, value)
    if not problem:
        return Insertion.ADDED
    if problem == errno.EEXIST:
        return Insertion.KNOWN
    if problem in (errno.E2BIG, errno.ENOMEM):
        return Insertion.FULL
    raise ProbeError(ProbeReason.ATTACH_FAILED, f"lineage map: {os.strerror(problem)}")


def _ring(template_type: TemplateType, size: int, built: Built) -> RingDescription:
    descriptor = built.maps[f"{template_type.name}_ring"]
    return RingDescription(
        template_type.number,
        size,
        stride(template_type),
        RingKind.BPF,
        descriptor,
        identity(template_type),
    )
