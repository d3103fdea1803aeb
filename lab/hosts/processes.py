"""Processes of this host, as /proc shows them: for the question which of them died."""

from collections.abc import Mapping
from pathlib import Path

PROC = Path("/proc")
KERNEL_THREAD = 0x00200000
"""PF_KTHREAD in the flags of /proc/PID/stat: no process that anybody would miss."""


def alive(proc: Path = PROC) -> dict[str, str]:
    """Name by identity (pid and start time), without the kernel's own threads."""
    found = {}
    for folder in proc.iterdir():
        if folder.name.isdecimal():
            try:
                text = (folder / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            name, start, flags = parsed(text)
            if not flags & KERNEL_THREAD:
                found[f"{folder.name}-{start}"] = name
    return found


def parsed(stat: str) -> tuple[str, int, int]:
    """Name, start time and flags of a process, from its stat; a name may have brackets in it."""
    head, _, tail = stat.rpartition(")")
    fields = tail.split()
    return head.partition("(")[2], int(fields[19]), int(fields[6])


def died(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Those that are not there any more, as "name (pid)"."""
    gone = [key for key in before if key not in after]
    return sorted(f"{before[key]} ({key.partition('-')[0]})" for key in gone)
