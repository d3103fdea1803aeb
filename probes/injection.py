"""Records that user space has prepared, into a BPF ring: by a program that is run on order.

Only BPF programs write to a BPF ring. inject.bpf.c copies what lies in a map that this process has
mapped; BPF_PROG_TEST_RUN of bpf(2) runs it, for raw tracepoints since kernel 5.10. It is compiled
by itself, after everything else was handed over: if it is refused, nothing else is lost, and
nobody has waited for it.
"""

import ctypes
import mmap
import os
import struct
from collections.abc import Mapping, Sequence

import numpy as np

from content.definitions import Rung, TemplateType
from content.record import dtype, record_size
from probes import bcc_programs, shared_maps
from probes.bcc_programs import ProgramKind
from probes.counters import CounterSlot
from probes.errors import ProbeError, ProbeReason
from probes.kernel_source import kernel_source
from probes.layout import header_text
from probes.limits import LIMITS
from probes.program import FOLDER
from probes.record_writer import RecordWriter, Value
from probes.ring import RingDescription

FUNCTION = "on_order"
SOURCES = ("common.bpf.h", "shared.bpf.h", "inject.bpf.c")
PREPARED, RING = "prepared", "process_ring"

BPF_CALL = {"x86_64": 321, "aarch64": 280}
PROG_TEST_RUN = 10
ATTRIBUTES = struct.Struct("<II72x")
"""union bpf_attr for a test run: program, what it returned; everything else is 0."""
WRITTEN, NO_ROOM = 0, 1
COUNT = struct.Struct("<Q")


class Injection:
    """Puts records of Template Type process into its ring.

    all_types, counted: as for the collection that the ring is part of. ring: its descriptor stays
    the caller's. maps: descriptors of the collection's counters and shared maps, by name. Raises
    ProbeError where compiler or verifier refuse the program.
    """

    def __init__(
        self,
        all_types: Sequence[TemplateType],
        counted: Sequence[CounterSlot],
        rung: Rung,
        ring: RingDescription,
        maps: Mapping[str, int],
    ) -> None:
        kind = next(one for one in all_types if one.number == ring.template_type)
        self.writer = RecordWriter(kind, rung)
        size = COUNT.size + record_size(kind)
        shape = shared_maps.Shape(shared_maps.ARRAY, 4, size, 1, shared_maps.MEMORY_MAPPABLE)
        slot = shared_maps.create(PREPARED, shape)
        try:
            shared = {**maps, PREPARED: slot, RING: ring.descriptor}
            text = _text(all_types, counted, rung, ring, shared)
            with kernel_source():
                built = bcc_programs.build(text, {FUNCTION: ProgramKind.RAW_TRACEPOINT}, ())
            self._program = built.programs[FUNCTION]
            whole_pages = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
            self._memory = mmap.mmap(slot, whole_pages)
        finally:
            os.close(slot)
        self._record = np.ndarray((), dtype(kind), self._memory, COUNT.size)
        self._attributes = ctypes.create_string_buffer(ATTRIBUTES.size)
        self._call = ctypes.CDLL(None, use_errno=True).syscall

    def put(self, values: Mapping[str, Value]) -> bool:
        """Write one record, of those fields that the rung promises; False if there is no room now.

        Raises ProbeError (TEST_RUN_REFUSED) where the kernel does not run the program.
        """
        truncated = self.writer.fill(self._record, self.writer.promised(values))
        COUNT.pack_into(self._memory, 0, truncated)
        ATTRIBUTES.pack_into(self._attributes, 0, self._program, 0)
        number = BPF_CALL[os.uname().machine]
        if self._call(number, PROG_TEST_RUN, self._attributes, ATTRIBUTES.size):
            problem = os.strerror(ctypes.get_errno())
            detail = (
                f"BPF_PROG_TEST_RUN of a raw tracepoint, which kernels have since 5.10: {problem}"
            )
            raise ProbeError(ProbeReason.TEST_RUN_REFUSED, detail)
        _, returned = ATTRIBUTES.unpack(self._attributes)
        if returned not in (WRITTEN, NO_ROOM):
            raise ProbeError(ProbeReason.TEST_RUN_REFUSED, f"the program returned {returned}")
        return bool(returned == WRITTEN)

    def close(self) -> None:
        """Give everything up."""
        del self._record
        self._memory.close()
        os.close(self._program)


def _text(
    all_types: Sequence[TemplateType],
    counted: Sequence[CounterSlot],
    rung: Rung,
    ring: RingDescription,
    shared: Mapping[str, int],
) -> str:
    lines = [
        f"#define MOST_WAITING_BYTES {ring.size // LIMITS.seed_share}ULL",
        *(f"#define SHARED_{name} {descriptor}" for name, descriptor in shared.items()),
    ]
    header = header_text(all_types, counted, rung, ["process"])
    sources = [(FOLDER / name).read_text(encoding="utf-8") for name in SOURCES]
    return "\n".join((*lines, header, *sources))
