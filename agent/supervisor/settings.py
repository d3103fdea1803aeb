"""What the supervisor is told at start: folders, the cloud, the trusted keys, the rung."""

import argparse
import os
import platform
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.supervisor.limits import LIMITS

RUNGS = ("bpf_btf", "bpf_tracepoint", "process_connector", "psutil")
"""The kernel dependency ladder, best rung first."""

BPF_RUNGS = ("bpf_btf", "bpf_tracepoint")
"""Where what is collected stays in the kernel without its collector, and can be joined."""

RUNGS_WITHOUT_START_TIME = ("bpf_tracepoint",)
"""Where an event doesn't say when its process was started, so that none can be stopped for it."""

DEFAULT_STATE = Path("/var/lib/bulkhead")
MACHINE_ID = Path("/etc/machine-id")
_MACHINE_ID = re.compile(r"[0-9a-f]{32}")
DEFAULT_CONTROL = Path("/run/bulkhead/control.sock")


@dataclass(frozen=True, slots=True)
class Settings:
    """The supervisor's settings, checked as far as that is possible without acting."""

    state: Path
    control: Path
    cloud: str
    tls: Path | None
    trust: tuple[Path, ...]
    counter_trust: tuple[Path, ...]
    group: str
    agent_id: str
    roles: Path | None
    rungs: tuple[str, ...]
    ring_bytes: int
    probation_seconds: float
    collect: frozenset[int]
    detach_after_seconds: float
    json_log: bool
    ready_fd: int | None
    prevention: str = ""

    @property
    def link_folder(self) -> Path:
        """Where the link keeps its outbox and the detection log."""
        return self.state / "link"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agent.supervisor", description="Bulkhead's supervisor.", allow_abbrev=False
    )
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE)
    parser.add_argument("--control", type=Path, default=DEFAULT_CONTROL)
    parser.add_argument("--cloud", default="", metavar="HOST:PORT")
    parser.add_argument("--tls", type=Path, metavar="FOLDER")
    parser.add_argument("--trust", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--counter-trust", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--group", default="")
    parser.add_argument("--agent-id", default="")
    parser.add_argument("--roles", type=Path, metavar="FILE")
    parser.add_argument("--rung", choices=RUNGS, help="start at this rung (default: the best)")
    parser.add_argument("--ring-bytes", type=int, default=0)
    parser.add_argument("--probation-seconds", type=float, default=30.0)
    parser.add_argument(
        "--collect", type=_template_types, default=frozenset(), metavar="NUMBER,...",
        help="Template Types to collect whether content needs them or not",
    )  # fmt: skip
    parser.add_argument("--detach-after-seconds", type=float, default=LIMITS.detach_after_seconds)
    parser.add_argument("--prevention", choices=("", "on", "off"), default="")
    parser.add_argument("--json-log", action="store_true")
    parser.add_argument("--ready-fd", type=int)
    return parser


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Settings from a command line; ends with status 2 and usage if they don't fit."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if bool(chosen.cloud) != (chosen.tls is not None):
        parser.error("--cloud and --tls go together")
    if not 0 <= chosen.probation_seconds < float("inf"):
        parser.error(f"--probation-seconds {chosen.probation_seconds}: expected seconds, 0 or more")
    if not 0 <= chosen.detach_after_seconds < float("inf"):
        seconds = chosen.detach_after_seconds
        parser.error(f"--detach-after-seconds {seconds}: expected seconds, 0 or more")
    if chosen.ring_bytes < 0:
        parser.error(f"--ring-bytes {chosen.ring_bytes}: expected bytes, 0 for the best size")
    return Settings(
        state=chosen.state.absolute(),
        control=chosen.control.absolute(),
        cloud=chosen.cloud,
        tls=chosen.tls.absolute() if chosen.tls else None,
        trust=tuple(chosen.trust),
        counter_trust=tuple(chosen.counter_trust),
        group=chosen.group,
        agent_id=chosen.agent_id or host_id(),
        roles=chosen.roles,
        rungs=RUNGS[RUNGS.index(chosen.rung) :] if chosen.rung else _usable_rungs(),
        ring_bytes=chosen.ring_bytes,
        probation_seconds=chosen.probation_seconds,
        collect=chosen.collect,
        detach_after_seconds=chosen.detach_after_seconds,
        json_log=chosen.json_log,
        ready_fd=chosen.ready_fd,
        prevention=chosen.prevention,
    )


def _template_types(text: str) -> frozenset[int]:
    """Numbers of Template Types; which of them there are, only the collector knows."""
    numbers = [int(part) for part in text.split(",")]
    for number in numbers:
        if not 0 < number <= LIMITS.template_type:
            raise argparse.ArgumentTypeError(f"{number} is no number of a Template Type")
    return frozenset(numbers)


def host_id() -> str:
    """A name for this host that stays and gives nothing away: derived from the machine id."""
    try:
        seed = MACHINE_ID.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        seed = ""
    # Empty or "uninitialized" in an image that many hosts are made of.
    seed = seed if _MACHINE_ID.fullmatch(seed) else platform.node()
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"bulkhead agent {seed}"))


def boot_id() -> str:
    """The kernel's random id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _usable_rungs() -> tuple[str, ...]:
    return RUNGS if os.geteuid() == 0 else ("psutil",)
