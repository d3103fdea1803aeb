"""Network events by looking: which sockets are there that were not there before.

For the rungs to which the kernel reports no system calls. A socket is reported once, for one
process; accept is told from connect by whether someone listens on the local port. What it misses by
nature is in docs/probes.md: above all, connections that end between two looks.
"""

import ipaddress
import socket
from collections.abc import Callable, Iterator, Mapping

import psutil

from content.definitions import TemplateType
from probes.processes import Process, read_process
from probes.record_writer import Value

Append = Callable[[str, Mapping[str, Value]], None]
"""Writes one record: type name, fields by name."""

NETWORK = "network"
SOCKET_FIELDS = frozenset(
    "operation family remote_address remote_port local_address local_port".split()
)

FAMILIES = {socket.AF_INET: "ipv4", socket.AF_INET6: "ipv6"}

Endpoint = tuple[str, int]
Ends = tuple[int, int, Endpoint, Endpoint]


class SocketPolling:
    """What sockets there were at the last look; `look` reports new ones through `append`.

    types: all Template Types. actor: the fields that say whose socket it is.
    """

    def __init__(
        self,
        types: Mapping[int, TemplateType],
        append: Append,
        actor: Callable[[Process], dict[str, Value]],
    ) -> None:
        kind = next((kind for kind in types.values() if kind.name == NETWORK), None)
        self._values = {field.name: field.values for field in kind.fields} if kind else None
        self._append = append
        self._actor = actor
        self._sockets: set[Ends] = set()
        self.look(report=False)

    def look(self, *, report: bool = True) -> None:
        """Look once, and report what is new."""
        found = list(_sockets())
        listening = {local[1] for (_, _, local, remote), _ in found if not remote[1]}
        now: set[Ends] = set()
        for ends, pid in found:
            if report and ends not in self._sockets and ends not in now:
                self._report(ends, pid, listening)
            now.add(ends)
        self._sockets = now

    def _report(self, ends: Ends, pid: int, listening: set[int]) -> None:
        family, _, local, remote = ends
        process = read_process(pid)
        if process is None or self._values is None:
            return
        operation = "connect"
        if not remote[1]:
            operation = "bind"
        elif local[1] in listening:
            operation = "accept"
        fields = self._actor(process) | {
            "operation": self._values["operation"][operation],
            "family": self._values["family"][FAMILIES[socket.AddressFamily(family)]],
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
