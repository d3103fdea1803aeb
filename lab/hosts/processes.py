"""Processes of this host, as /proc shows them: for the question which others died of a fault.

What we have started ourselves, and what that has started, is the placement: it says itself which of
its processes died, and others of them come and go.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
KERNEL_THREAD = 0x00200000
"""PF_KTHREAD in the flags of /proc/PID/stat: no process that anybody would miss."""


@dataclass(frozen=True, slots=True)
class Process:
    """Of a process: start: clock ticks since boot."""

    name: str
    parent: int
    start: int
    flags: int


def alive(without: int, proc: Path = PROC) -> dict[str, str]:
    """Name by identity (pid and start time), without the kernel's own threads.

    without: the pid of a process that is left out, with all that descend from it.
    """
    found = {}
    for folder in proc.iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                text = (folder / "stat").read_text(encoding="utf-8", errors="replace")
                found[int(folder.name)] = parsed(text)
    return {
        f"{pid}-{one.start}": one.name
        for pid, one in found.items()
        if not one.flags & KERNEL_THREAD and not _descends(pid, without, found)
    }


def _descends(pid: int, ancestor: int, found: Mapping[int, Process]) -> bool:
    while pid != ancestor and pid in found:
        pid = found[pid].parent
    return pid == ancestor


def parsed(stat: str) -> Process:
    """A process, from its stat; a name may have brackets in it."""
    head, _, tail = stat.rpartition(")")
    fields = tail.split()
    return Process(head.partition("(")[2], int(fields[1]), int(fields[19]), int(fields[6]))


def died(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Those that are not there any more, as "name (pid)"."""
    gone = [key for key in before if key not in after]
    return sorted(f"{before[key]} ({key.partition('-')[0]})" for key in gone)
