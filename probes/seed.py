"""Give the lineage map the processes that are older than the sensor, from /proc.

Runs after the lineage programs are attached. An entry that the kernel has written meanwhile is
fresher and stays: `insert` never replaces. A process may be forked by one that has not been seeded
yet, so passes are repeated until one adds nothing. A process that ends while it is read leaves an
entry behind; its start time keeps it from being taken for a successor with the same pid.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from probes.layout import TRUNCATED
from probes.limits import LIMITS
from probes.processes import PROC, Process, read_process

UNREADABLE = -1


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
            process.pid: insert(process.pid, _entry(process, value_type, proc).tobytes())
            for process in _processes(proc)
        }
        new = sum(outcome is Insertion.ADDED for outcome in outcomes.values())
        refused |= {pid for pid, outcome in outcomes.items() if outcome is Insertion.FULL}
        added += new
        if not new:
            break
    return Seeded(added, len(refused))


def _processes(proc: Path) -> Iterator[Process]:
    for folder in proc.iterdir():
        process = read_process(int(folder.name), proc) if folder.name.isdecimal() else None
        if process is not None and not process.runs_nothing:
            yield process


def _entry(process: Process, value_type: np.dtype[np.void], proc: Path) -> NDArray[np.void]:
    entry: NDArray[np.void] = np.zeros((), value_type)
    entry["start_time"] = process.start_time
    if "parent_pid" in (value_type.names or ()):
        parent = read_process(process.parent_pid, proc)
        entry["parent_pid"] = process.parent_pid
        entry["parent_start_time"] = parent.start_time if parent else 0
    _put(entry, "image", process.image)
    _put(entry, "command_line", process.command_line)
    return entry


def _put(entry: NDArray[np.void], name: str, text: bytes | None) -> None:
    if text is None:
        entry[f"{name}_taken"] = UNREADABLE
        return
    capacity = entry.dtype[name].itemsize
    held = text[:capacity]
    entry[name][: len(held)] = np.frombuffer(held, np.uint8)
    entry[f"{name}_taken"] = len(held) | (TRUNCATED if len(text) > capacity else 0)
