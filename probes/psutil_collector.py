"""The rung without any kernel support: look at /proc through psutil, and report what is new.

`PsutilCollector.poll` compares what runs and which sockets there are with what it saw before. It
works for root and for an ordinary user, who sees less of other users' processes. What it misses by
nature is listed in docs/probes.md: above all, whatever lives shorter than the interval.

A program was executed where a process shows another image or command line than it had, or than
its parent has if it is new: a fork alone is no event. New processes are looked at in every poll
until they settle, old ones in every tenth.
"""

import ipaddress
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

import psutil

from content.definitions import Rung, TemplateType
from probes.errors import ProbeError, ProbeReason
from probes.memory_ring import Value
from probes.processes import Process, read_process
from probes.surroundings import read_surroundings

Append = Callable[[str, Mapping[str, Value]], None]

SETTLING_POLLS = 10
"""Polls during which a new process may still turn into another program."""
SWEEP_POLLS = 10
"""Every so many polls all processes are looked at."""
SOCKET_POLLS = 2
"""Every so many polls sockets are listed, which costs more than processes do."""

PROCESS = "process"
NETWORK = "network"

ACTOR_FIELDS = frozenset(
    "image command_line name pid parent_pid user_id group_id start_time parent_image"
    " parent_command_line parent_user_id parent_start_time".split()
)
SUPPLIED = {
    PROCESS: ACTOR_FIELDS
    | set("argument_count current_directory login_user_id session_id cgroup_name".split()),
    NETWORK: ACTOR_FIELDS
    | set("operation family remote_address remote_port local_address local_port".split()),
}
"""What this code fills in, compared with the Definitions at start."""

FAMILIES = {socket.AF_INET: "ipv4", socket.AF_INET6: "ipv6"}

Endpoint = tuple[str, int]
Ends = tuple[int, int, Endpoint, Endpoint]


@dataclass(slots=True)
class _Seen:
    process: Process
    settles: int


class PsutilCollector:
    """What was seen last; `poll` reports through `append(type name, fields)`.

    Raises ProbeError (SUPPLY_MISMATCH) where the Definitions promise something else than this
    code supplies.
    """

    def __init__(self, types: Mapping[int, TemplateType], append: Append) -> None:
        self._types = {kind.name: kind for kind in types.values()}
        self._append = append
        self._polls = 0
        self._seen: dict[int, _Seen] = {}
        self._sockets: set[Ends] = set()
        for kind in types.values():
            check_supply(kind)
        self._look_at_processes(report=False)
        self._look_at_sockets(report=False)

    @property
    def processes(self) -> int:
        """How many processes were there at the last look."""
        return len(self._seen)

    def poll(self) -> None:
        """Look once, and report what is new."""
        self._polls += 1
        self._look_at_processes(report=True)
        if self._polls % SOCKET_POLLS == 0:
            self._look_at_sockets(report=True)

    def _look_at_processes(self, *, report: bool) -> None:
        running = set(psutil.pids())
        for pid in self._seen.keys() - running:
            del self._seen[pid]
        sweep = self._polls % SWEEP_POLLS == 0
        for pid in running:
            seen = self._seen.get(pid)
            if seen is not None and self._polls > seen.settles and not sweep:
                continue
            process = read_process(pid)
            if process is None:
                continue
            settles = self._polls + SETTLING_POLLS if report else 0
            if seen is None or seen.process.start_time != process.start_time:
                before = self._seen_as(process.parent_pid)
            else:
                before, settles = seen.process, seen.settles
            self._seen[pid] = _Seen(process, settles)
            if report and not process.runs_nothing and not process.runs_the_same(before):
                self._append(PROCESS, self._process_fields(process))

    def _seen_as(self, pid: int) -> Process | None:
        seen = self._seen.get(pid)
        return seen.process if seen else None

    def _process_fields(self, process: Process) -> dict[str, Value]:
        extra = asdict(read_surroundings(process.pid))
        extra["argument_count"] = process.argument_count
        return self._actor(process) | {
            name: value for name, value in extra.items() if value is not None
        }

    def _actor(self, process: Process) -> dict[str, Value]:
        fields: dict[str, Value | None] = {
            "image": process.image,
            "command_line": process.command_line,
            "name": process.name,
            "pid": process.pid,
            "parent_pid": process.parent_pid,
            "user_id": process.user_id,
            "group_id": process.group_id,
            "start_time": process.start_time,
        }
        parent = self._seen_as(process.parent_pid) or read_process(process.parent_pid)
        if parent is not None:
            fields |= {
                "parent_image": parent.image,
                "parent_command_line": parent.command_line,
                "parent_user_id": parent.user_id,
                "parent_start_time": parent.start_time,
            }
        return {name: value for name, value in fields.items() if value is not None}

    def _look_at_sockets(self, *, report: bool) -> None:
        found = list(_sockets())
        listening = {local[1] for (_, _, local, remote), _ in found if not remote[1]}
        now: set[Ends] = set()
        for ends, pid in found:
            if report and ends not in self._sockets and ends not in now:
                self._report_socket(ends, pid, listening)
            now.add(ends)
        self._sockets = now

    def _report_socket(self, ends: Ends, pid: int, listening: set[int]) -> None:
        family, _, local, remote = ends
        process = read_process(pid)
        if process is None or NETWORK not in self._types:
            return
        operation = "connect"
        if not remote[1]:
            operation = "bind"
        elif local[1] in listening:
            operation = "accept"
        kind = self._types[NETWORK]
        values = {field.name: field.values for field in kind.fields}
        fields = self._actor(process) | {
            "operation": values["operation"][operation],
            "family": values["family"][FAMILIES[socket.AddressFamily(family)]],
        }
        if operation != "connect":
            fields |= _endpoint("local", local)
        if operation != "bind":
            fields |= _endpoint("remote", remote)
        self._append(NETWORK, fields)


def _sockets() -> Iterator[tuple[Ends, int]]:
    """Family, type, local and remote end, and the process, of every IP socket that has one."""
    for found in psutil.net_connections("inet"):
        if found.pid is None or not found.laddr:
            continue
        remote = (found.raddr.ip, found.raddr.port) if found.raddr else ("", 0)
        local = (found.laddr.ip, found.laddr.port)
        yield (int(found.family), int(found.type), local, remote), found.pid


def _endpoint(which: str, end: Endpoint) -> dict[str, Value]:
    address = ipaddress.ip_address(end[0])
    if isinstance(address, ipaddress.IPv4Address):
        address = ipaddress.IPv6Address(f"::ffff:{address}")
    return {f"{which}_address": address.packed, f"{which}_port": end[1]}


def check_supply(kind: TemplateType) -> None:
    """Compare code and Definition; ProbeError (SUPPLY_MISMATCH) names the fields that differ."""
    numbers = kind.supplied_fields(Rung.PSUTIL)
    defined = {field.name for field in kind.fields if field.number in numbers}
    supplied = SUPPLIED.get(kind.name, frozenset())
    if defined != supplied:
        raise ProbeError(
            ProbeReason.SUPPLY_MISMATCH,
            f"Template Type {kind.name}, rung {Rung.PSUTIL}: the Definition and the collector"
            f" differ in {', '.join(sorted(defined ^ supplied))}",
        )
