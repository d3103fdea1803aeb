"""Every limit of event collection, with its unit."""

import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

MEBIBYTE = 1024 * 1024

NANOSECONDS_PER_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ProbeLimits:
    """Sizes of maps and rings, and how often the psutil rung looks."""

    # Bytes of ring per Template Type (number); a power of two for the kernel. A ring must hold
    # what happens while an evaluator is replaced, and between two looks of an idle one what a busy
    # loop can do: 700,000 connects a second; and files opened at 10,000 a second until an evaluator
    # that hangs is known to hang.
    ring_bytes: Mapping[int, int] = field(
        default_factory=lambda: MappingProxyType(
            {
                1: 32 * MEBIBYTE,
                2: 64 * MEBIBYTE,
                3: 32 * MEBIBYTE,
                4: 8 * MEBIBYTE,
                5: 8 * MEBIBYTE,
                6: 4 * MEBIBYTE,
                7: 1 * MEBIBYTE,
            }
        )
    )
    other_ring_bytes: int = 8 * MEBIBYTE
    smallest_ring_bytes: int = 4 * mmap.PAGESIZE
    largest_ring_bytes: int = 1024 * MEBIBYTE
    # Processes whose image and command line are remembered for their children.
    lineage_entries: int = 16_384
    # A fair share of each ring (share.bpf.h): how full it is when shares begin to count, in eighths
    # (what a busy loop does between two looks of an idle reader must fit below); into how many
    # parts the room left is divided for one process; pairs of process and ring that are counted.
    crowded_eighths: int = 6
    share_parts: int = 8
    shares: int = 8_192
    # Threads that are inside a watched system call at one moment.
    pending_calls: int = 16_384
    # Processes with threads that ended last, so that each is reported by one of them only.
    ended_processes: int = 4096
    # Threads that are inside a call on another process at one moment; such calls don't wait long.
    pending_accesses: int = 4_096
    # Programs between their exec and their first instruction (rung bpf_tracepoint).
    starting_processes: int = 4_096
    # One more compiler works at the same time for every so many Template Types.
    types_per_compiler: int = 3
    # Passes over /proc that fill the lineage map at start, or that find processes which ran
    # already; two are usual.
    seed_passes: int = 5
    # Processes that ran already: looks at one that changes, how many are looked at in a portion,
    # seconds between two portions, and for all of them. One part of so many of the ring may wait
    # to be read while another is written, so that what happens meanwhile finds room.
    seed_looks: int = 3
    seed_portion: int = 256
    seed_pause: float = 0.01
    seed_seconds: float = 60.0
    seed_share: int = 4
    # Programs that were executed meanwhile, and how many records are read at once to find them.
    seed_executed: int = 100_000
    seed_records: int = 4_096
    # Bytes of /sys/kernel/btf/vmlinux (5 to 10 MiB on a distribution's kernel).
    btf_bytes: int = 64 * MEBIBYTE
    # Bytes of compiler or verifier output that travel in an error.
    diagnostic_bytes: int = 16 * 1024
    # Seconds between two looks of the psutil rung, and between two heartbeats.
    psutil_interval: float = 0.1
    heartbeat_interval: float = 0.5
    # Seconds between two looks at sockets in rung process_connector.
    socket_interval: float = 0.2
    # Notifications of the process connector: bytes that the kernel may keep (about 10,000), how
    # many are taken at once, seconds until the kernel must have answered, and between two looks.
    connector_bytes: int = 8 * MEBIBYTE
    notifications: int = 256
    connector_seconds: float = 2.0
    connector_pause: float = 0.01
    # Bytes read of /proc/PID/cmdline.
    command_line_bytes: int = 8192


LIMITS = ProbeLimits()
