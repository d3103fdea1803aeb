"""What must be the same before and after: processes, mounts, pinned maps, namespaces, programs."""

import ctypes
import os
import struct
from dataclasses import dataclass
from pathlib import Path

_BPF_SYSCALL = {"x86_64": 321, "aarch64": 280}
_BPF_PROG_GET_NEXT_ID = 11
_libc = ctypes.CDLL(None, use_errno=True)

ROLE_MODULES = ("agent.supervisor", "agent.collector", "agent.evaluator", "agent.link")


@dataclass(frozen=True, slots=True)
class Traces:
    """What a run could leave behind on this host."""

    mounts: frozenset[str]
    pins: frozenset[str]
    namespaces: frozenset[str]
    programs: int

    def added_since(self, before: "Traces") -> list[str]:
        """What is there now and was not before, in words."""
        return [
            *(f"mount {mount}" for mount in sorted(self.mounts - before.mounts)),
            *(f"pin {pin}" for pin in sorted(self.pins - before.pins)),
            *(f"network namespace {name}" for name in sorted(self.namespaces - before.namespaces)),
            *(["BPF programs"] if self.programs > before.programs else []),
        ]


def look() -> Traces:
    """Take stock."""
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    return Traces(
        mounts=frozenset(line.split()[1] for line in mounts),
        pins=_names(Path("/sys/fs/bpf")),
        namespaces=_names(Path("/run/netns")),
        programs=_loaded_programs(),
    )


def role_processes(marker: str) -> list[int]:
    """Processes that are roles of ours and have `marker` (a folder of ours) in their command line.

    Roles without it in their command line belong to a supervisor that has; they end with it.
    """
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if marker in line and any(module in line for module in ROLE_MODULES):
            found.append(int(folder.name))
    return found


def _names(folder: Path) -> frozenset[str]:
    try:
        return frozenset(str(path) for path in folder.iterdir())
    except OSError:
        return frozenset()


def _loaded_programs() -> int:
    """How many BPF programs the kernel holds; 0 where we may not ask."""
    number = _BPF_SYSCALL.get(os.uname().machine)
    count, last = 0, 0
    while number is not None:
        attribute = ctypes.create_string_buffer(struct.pack("<3I", last, 0, 0), 12)
        if _libc.syscall(number, _BPF_PROG_GET_NEXT_ID, attribute, len(attribute)) != 0:
            break
        last = struct.unpack_from("<I", attribute, 4)[0]
        count += 1
    return count
