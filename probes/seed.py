"""Give the lineage map the processes that are older than the sensor, from /proc.

Runs after the lineage programs are attached. An entry that the kernel has written meanwhile is
fresher and stays: `insert` never replaces. A process may be forked by one that has not been seeded
yet, so passes are repeated until one adds nothing.

    /proc/PID/stat field 22   start time in clock ticks → nanoseconds since boot
    /proc/PID/exe             image
    /proc/PID/cmdline         arguments, NUL-separated
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

import numpy as np

from probes.layout import TRUNCATED
from probes.limits import LIMITS, NANOSECONDS_PER_SECOND

PROC = Path("/proc")
DELETED = b" (deleted)"
UNREADABLE = -1
START_TIME_FIELD = 22
FIRST_FIELD_AFTER_NAME = 3
NANOSECONDS_PER_TICK = NANOSECONDS_PER_SECOND // os.sysconf("SC_CLK_TCK")


class Insertion(Enum):
    """What became of one entry."""

    ADDED = auto()
    KNOWN = auto()
    FULL = auto()


Insert = Callable[[int, bytes], Insertion]


@dataclass(frozen=True, slots=True)
class Seeded:
    """How many processes were added, and how many found no room."""

    added: int
    full: int


def seed(insert: Insert, value_type: np.dtype[np.void], proc: Path = PROC) -> Seeded:
    """Fill the map through `insert(pid, value)`; value_type is `layout.lineage_dtype`."""
    added = 0
    refused: set[int] = set()
    for _ in range(LIMITS.seed_passes):
        outcomes = {
            pid: insert(pid, entry.tobytes()) for pid, entry in _entries(value_type, proc)
        }
        new = sum(outcome is Insertion.ADDED for outcome in outcomes.values())
        refused |= {pid for pid, outcome in outcomes.items() if outcome is Insertion.FULL}
        added += new
        if not new:
            break
    return Seeded(added, len(refused))


def start_time(stat: bytes) -> int:
    """Start of a process from its stat line, in nanoseconds since boot (whole clock ticks)."""
    after_name = stat[stat.rindex(b")") + 2 :].split()
    return int(after_name[START_TIME_FIELD - FIRST_FIELD_AFTER_NAME]) * NANOSECONDS_PER_TICK


def _entries(value_type: np.dtype[np.void], proc: Path) -> Iterator[tuple[int, np.ndarray]]:
    for name in os.listdir(proc):
        if not name.isdecimal():
            continue
        try:
            entry = _entry(proc / name, value_type)
        except (FileNotFoundError, ProcessLookupError):
            continue  # gone meanwhile, or a kernel thread, which has no image
        yield int(name), entry


def _entry(folder: Path, value_type: np.dtype[np.void]) -> np.ndarray:
    entry = np.zeros((), value_type)
    entry["start_time"] = start_time((folder / "stat").read_bytes())
    image = _image(folder / "exe")
    with (folder / "cmdline").open("rb") as file:
        arguments = file.read(LIMITS.command_line_bytes)
    _put(entry, "image", image)
    _put(entry, "command_line", arguments.removesuffix(b"\0"))
    return entry


def _image(link: Path) -> bytes | None:
    try:
        return os.readlink(os.fsencode(link)).removesuffix(DELETED)
    except PermissionError:  # a process with more capabilities than ours
        return None


def _put(entry: np.ndarray, name: str, text: bytes | None) -> None:
    if text is None:
        entry[f"{name}_taken"] = UNREADABLE
        return
    capacity = entry.dtype[name].itemsize
    held = text[:capacity]
    entry[name][: len(held)] = np.frombuffer(held, np.uint8)
    entry[f"{name}_taken"] = len(held) | (TRUNCATED if len(text) > capacity else 0)
