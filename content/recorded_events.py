"""Recorded events: real records of a sensor in one file, to try content against.

`bulkhead agent record` writes such a file (`agent.recording`), `bulkhead content test` reads it.
It is a compressed numpy archive (npz) whose arrays hold bytes and nothing else:

    header.npy          JSON: when, on which rung, which Template Types, what was lost
    type_NUMBER.npy     uint8, shape (records, bytes of a record): what the ring held

A recording may be somebody else's, so nothing in it is believed: names and sizes are compared with
limits before anything is unpacked, no object is ever unpickled, and records are looked at only
where number, version, arity and fingerprint of the Template Type are those of this release
(`content.recorded_events_reader`).

Records are cleaned before they are kept: bytes beyond a text's length and fields that were not
supplied are stale memory of the ring, which holds other events' secrets. They become zero.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from content.files import replace_file
from content.record import HEADER, LENGTH_SUFFIX, Records, dtype, header_problem, record_size
from content.template_type import Kind, Rung, TemplateType

FORMAT = 1
"""Number of the form above; another form gets another number."""

FILE_MODE = 0o600
"""Arguments of programs may hold passwords: a recording is for its owner."""

HEADER_MEMBER = "header"
"""Name of the array that holds the header, without suffix."""

_ROWS_AT_ONCE = 4096
"""Records that are cleaned at once: some 20 MiB of scratch memory each."""


@dataclass(frozen=True, slots=True)
class RecordingLimits:
    """Caps on a recording, enforced while it is made and while it is read."""

    # Bytes of all records, unpacked: they are held in memory.
    record_bytes: int = 512 * 1024 * 1024
    # Bytes of the file, enough for records that can't be compressed; and of its JSON header.
    file_bytes: int = 516 * 1024 * 1024
    header_bytes: int = 256 * 1024
    # Members of the archive: one per Template Type, and the header.
    members: int = 1024
    losses: int = 1024
    loss_cause_characters: int = 64


LIMITS = RecordingLimits()


@dataclass(frozen=True, slots=True)
class Loss:
    """Events that the sensor had to drop while recording, or that lack fields."""

    cause: str
    template_type: int
    count: int


@dataclass(frozen=True, slots=True)
class Recording:
    """What was recorded.

    started: when recording began. seconds: how long it went on.
    boot_time_ns: UTC of the host's CLOCK_BOOTTIME zero, in nanoseconds since 1970; added to a
    record's time_ns it gives the time of the event, on whatever host that is asked.
    ended: why recording ended: TIME, LIMIT, INTERRUPTED, COLLECTOR_ENDED.
    events: cleaned records by Template Type number, oldest first.
    """

    rung: Rung
    started: datetime
    seconds: float
    boot_time_ns: int
    ended: str
    events: Mapping[int, Records]
    losses: tuple[Loss, ...] = ()

    @property
    def count(self) -> int:
        """Events of all Template Types."""
        return sum(map(len, self.events.values()))

    def time_of(self, time_ns: int) -> datetime:
        """When an event happened, in UTC, to the microsecond."""
        return _EPOCH + timedelta(microseconds=(self.boot_time_ns + time_ns) // 1000)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def clean(template_type: TemplateType, records: Records) -> Records:
    """A copy in which everything that was not supplied is zero; wrong headers are left out."""
    kept = records[~header_problem(template_type, records)]
    cleaned = np.zeros(len(kept), dtype(template_type))
    for start in range(0, len(kept), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        _copy_supplied(template_type, kept[rows], cleaned[rows])
    return cleaned


def _copy_supplied(template_type: TemplateType, kept: Records, cleaned: Records) -> None:
    for name, _ in HEADER:
        cleaned[name] = kept[name]
    for field in template_type.fields:
        supplied = (kept["present"] >> np.uint64(field.number) & np.uint64(1)).astype(bool)
        if field.kind is not Kind.TEXT:
            cleaned[field.name][supplied] = kept[field.name][supplied]
            continue
        lengths = np.minimum(kept[field.name + LENGTH_SUFFIX], field.capacity) * supplied
        within = np.arange(field.capacity) < lengths[:, np.newaxis]
        cleaned[field.name] = kept[field.name] * within
        cleaned[field.name + LENGTH_SUFFIX] = lengths


def save(recording: Recording, types: Mapping[int, TemplateType], path: Path) -> int:
    """Write the file, whole or not at all, readable by its owner only; returns its bytes.

    OSError passes through; ValueError for a recording that `load` would refuse.
    """
    header = json.dumps(_header(recording, types)).encode()
    size = sum(records.nbytes for records in recording.events.values())
    if size > LIMITS.record_bytes or len(header) > LIMITS.header_bytes:
        raise ValueError(f"a recording of {size} bytes and {len(header)} bytes of header")
    arrays = {HEADER_MEMBER: np.frombuffer(header, np.uint8)}
    for number, records in recording.events.items():
        arrays[member(number)] = records.view(np.uint8).reshape(len(records), records.itemsize)
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    data = file.getvalue()
    if len(data) > LIMITS.file_bytes:
        raise ValueError(f"a recording that takes {len(data)} bytes in its file")
    replace_file(path, data, FILE_MODE)
    return len(data)


def _header(recording: Recording, types: Mapping[int, TemplateType]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "rung": str(recording.rung),
        "started": recording.started.isoformat(timespec="milliseconds"),
        "seconds": float(recording.seconds),
        "boot_time_ns": recording.boot_time_ns,
        "ended": recording.ended,
        "types": [
            {
                "number": number,
                "name": types[number].name,
                "schema": str(types[number].version),
                "arity": types[number].arity,
                "fingerprint": types[number].fingerprint.hex(),
                "record_bytes": record_size(types[number]),
                "records": len(records),
            }
            for number, records in recording.events.items()
        ],
        "losses": [
            {"cause": loss.cause, "template_type": loss.template_type, "count": loss.count}
            for loss in recording.losses
        ],
    }


def member(number: int) -> str:
    """Name of the array of a Template Type, without suffix."""
    return f"type_{number}"
