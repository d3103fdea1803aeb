"""What each role may do once it is locked down: profiles as data.

A profile names the system calls (agent/sandbox/syscalls.py has the reason of each), the resource
limits, the files and TCP ports that Landlock lets through, and the capabilities that stay.
"""

import resource
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from agent.linux import Capability
from agent.privileges import COLLECTOR_PSUTIL as PSUTIL_CAPABILITIES
from agent.sandbox import syscalls
from agent.sandbox.syscalls import Call

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """Budgets per role."""

    evaluator_data_bytes: int = 1024 * MIB
    """Private memory; rings and other shared mappings do not count."""
    evaluator_address_space_bytes: int = 4096 * MIB
    """Everything, rings included: each is mapped twice."""
    link_data_bytes: int = 1024 * MIB
    written_file_bytes: int = 64 * MIB
    """Standard error, where it is a file: with 0, tracebacks would vanish."""
    link_file_bytes: int = 1024 * MIB
    """Size of one file, the outbox."""
    collector_data_bytes: int = 512 * MIB
    stack_bytes: int = 8 * MIB
    evaluator_descriptors: int = 256
    link_descriptors: int = 1024
    collector_descriptors: int = 256


LIMITS = SandboxLimits()


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything that a role keeps.

    limits: by RLIMIT number; both soft and hard are lowered to it, never raised.
    readable, writable: what Landlock lets through, files or folders with all below them.
    connect_ports, bind_ports: TCP.
    capabilities: stay permitted and effective, as far as they were there.
    landlock: empty, or why this role can't have it.
    """

    name: str
    calls: tuple[Call, ...]
    limits: Mapping[int, int]
    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    connect_ports: tuple[int, ...] = ()
    bind_ports: tuple[int, ...] = ()
    capabilities: frozenset[Capability] = field(default=frozenset())
    no_landlock: str = ""

    def with_state(self, folder: Path, ports: Collection[int]) -> "Profile":
        """The same with one folder to read and write, and TCP ports to connect to."""
        return replace(
            self,
            writable=(*self.writable, folder),
            connect_ports=(*self.connect_ports, *ports),
        )


EVALUATOR = Profile(
    name="evaluator",
    calls=syscalls.EVERY_ROLE,
    limits=MappingProxyType(
        {
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_DATA: LIMITS.evaluator_data_bytes,
            resource.RLIMIT_AS: LIMITS.evaluator_address_space_bytes,
            resource.RLIMIT_FSIZE: LIMITS.written_file_bytes,
            resource.RLIMIT_NOFILE: LIMITS.evaluator_descriptors,
            resource.RLIMIT_NPROC: 0,
            resource.RLIMIT_STACK: LIMITS.stack_bytes,
            resource.RLIMIT_MEMLOCK: 0,
            resource.RLIMIT_MSGQUEUE: 0,
        }
    ),
)
"""Interprets content: no files, no network, no processes, no threads, no executable memory."""

DNS_PORT = 53
ANY_FREE_PORT = 0
RESOLVER_FILES = tuple(
    Path("/etc", name)
    for name in ("resolv.conf", "hosts", "nsswitch.conf", "host.conf", "gai.conf", "services")
)

LINK = Profile(
    name="link",
    calls=(
        *syscalls.EVERY_ROLE,
        *syscalls.THREADS,
        *syscalls.STATE_FOLDER,
        *syscalls.NETWORK_CLIENT,
    ),
    # No RLIMIT_NPROC: it counts per user, which without root is a whole desktop.
    limits=MappingProxyType(
        {
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_DATA: LIMITS.link_data_bytes,
            resource.RLIMIT_FSIZE: LIMITS.link_file_bytes,
            resource.RLIMIT_NOFILE: LIMITS.link_descriptors,
            resource.RLIMIT_STACK: LIMITS.stack_bytes,
            resource.RLIMIT_MEMLOCK: 0,
            resource.RLIMIT_MSGQUEUE: 0,
        }
    ),
    readable=(*RESOLVER_FILES, Path("/dev/urandom"), Path("/sys/devices/system/cpu")),
    connect_ports=(DNS_PORT,),
    bind_ports=(ANY_FREE_PORT,),
)
"""Talks to the cloud; use `LINK.with_state(folder, ports)`. No exec, no listening."""

COLLECTOR_PSUTIL = Profile(
    name="collector-psutil",
    calls=(*syscalls.EVERY_ROLE, *syscalls.READ_FILES),
    limits=MappingProxyType(
        {
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_DATA: LIMITS.collector_data_bytes,
            resource.RLIMIT_FSIZE: LIMITS.written_file_bytes,
            resource.RLIMIT_NOFILE: LIMITS.collector_descriptors,
            resource.RLIMIT_NPROC: 0,
            resource.RLIMIT_STACK: LIMITS.stack_bytes,
            resource.RLIMIT_MEMLOCK: 0,
            resource.RLIMIT_MSGQUEUE: 0,
        }
    ),
    capabilities=PSUTIL_CAPABILITIES,
    no_landlock="not used: it would hide /proc/PID/exe of every other process",
)
"""Polls /proc: reads files, writes none, no network, no processes."""

COLLECTOR_SEEDING = replace(
    COLLECTOR_PSUTIL,
    name="collector-seeding",
    calls=(*COLLECTOR_PSUTIL.calls, *syscalls.RUN_PROGRAM),
    capabilities=PSUTIL_CAPABILITIES | {Capability.BPF},
)
"""Reads /proc and runs the one BPF program that puts an event into the ring: for some seconds."""

COLLECTOR_CONNECTOR = replace(COLLECTOR_PSUTIL, name="collector-connector")
"""Listens to the process connector and reads /proc: its socket is open, so it needs no more."""
