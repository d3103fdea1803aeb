"""Rings and counters in memory, as a collector hands them over, and positions in them."""

import fcntl
import mmap
import os
import struct
from collections.abc import Mapping
from typing import Any

from agent.channel import Message
from agent.supervisor.hand_over import from_message
from agent.supervisor.rings import Collection

STRIDE = 64
RECORDS = 256
PRODUCER_OFFSET = mmap.PAGESIZE


def memory(size: int = PRODUCER_OFFSET * 2 + STRIDE * RECORDS, seals: int = 15) -> int:
    """A memfd of so many bytes; seals: all by default but those against writing."""
    descriptor = os.memfd_create("ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals & ~fcntl.F_SEAL_WRITE)
    return descriptor


def ring(template_type: int, **different: Any) -> dict[str, Any]:
    """What a collector says of a ring."""
    said = {"template_type": template_type, "bytes": STRIDE * RECORDS, "stride": STRIDE}
    return {**said, "kind": "memfd", "identity": [0, 8], **different}


def produce(descriptor: int, records: int) -> None:
    """Say that so many records were written since the beginning."""
    os.pwrite(descriptor, struct.pack("<Q", records * STRIDE), PRODUCER_OFFSET)


def write_process(descriptor: int, number: int, pid: int, start_time: int) -> None:
    """Write into record number so and so which process it is about."""
    at = 2 * PRODUCER_OFFSET + number % RECORDS * STRIDE
    os.pwrite(descriptor, struct.pack("<QQQ", 0, pid, start_time), at)


def count(descriptor: int, slot: int, number: int) -> None:
    """Put a number into a slot of the counters."""
    os.pwrite(descriptor, struct.pack("<Q", number), slot * 8)


def attached(fields: Mapping[str, Any], descriptors: tuple[int, ...]) -> Message:
    """The collector's message; unless it is said, all attachments are lineage's."""
    said: dict[str, Any] = {"rung": "psutil", "rings": [], "counters": [], "probes": ["p"]}
    said |= {"flooders": [], "shared": [], "more": 0, **fields}
    before = len(said["rings"]) + bool(said["counters"]) + len(said["shared"])
    serves: list[list[int]] = [[]] * max(0, len(descriptors) - before + said["more"])
    return Message("attached", {"serves": serves, **said}, b"", descriptors)


def collection(*numbers: int) -> Collection:
    """A collection with one ring for each of these Template Types."""
    rings = [ring(number) for number in numbers]
    return from_message(attached({"rings": rings}, tuple(memory() for _ in numbers)))
