"""How far a push or a revocation has come on the connected hosts: read from the store, no I/O.

An operator's command asks again and again until everything is settled or its time is over.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from cloud.limits import LIMITS
from cloud.offers import (
    REFUSED,
    SETTLED,
    Active,
    Host,
    HostContent,
    Standing,
    may_have,
)
from cloud.refusals import Refusal
from cloud.store import hosts

WAITING = "waiting"
NOT_NEEDED = "not_needed"
WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Target:
    """What is waited for: a release as of one push.

    forced: it is offered whatever a host runs, because both sides skip the validator.
    """

    content_hash: bytes
    template_type: int
    version: int
    push: int
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a release stands on a connected host: a Standing, or one of the words above."""

    agent_id: str
    content_hash: bytes
    state: str
    settled: bool
    refusals: tuple[Refusal, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the sensor itself has given it up."""
        return self.state in REFUSED | {Standing.UNDELIVERED}


def follow(
    read: Callable[[], list[Progress]],
    seconds: float,
    tell: Callable[[Progress], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Progress]:
    """Read until everything is settled or the time is over; `tell` gets every change once."""
    end = clock() + seconds
    told: dict[tuple[str, bytes], Progress] = {}
    while True:
        found = read()
        for one in found:
            key = (one.agent_id, one.content_hash)
            if told.get(key) != one:
                told[key] = one
                tell(one)
        if all(one.settled for one in found) or clock() >= end:
            return found
        sleep(LIMITS.progress_seconds)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The connected hosts, and where releases stand on them."""

    hosts: Mapping[str, Host]
    refusals: Mapping[tuple[str, bytes], tuple[Refusal, ...]]


def connected(store: Connection) -> Fleet:
    """What the store says of the hosts that are connected."""
    rows = hosts.content_rows(store)
    active = hosts.active_files(store)
    content: dict[str, dict[bytes, HostContent]] = {}
    for row in rows:
        known = HostContent(row.standing, row.push)
        content.setdefault(row.agent_id, {})[row.content_hash] = known
    found = {
        host.hello.agent_id: Host(
            {
                file.template_type: Active(file.version, file.content_hash)
                for file in active.get(host.hello.agent_id, ())
            },
            content.get(host.hello.agent_id, {}),
        )
        for host in hosts.all_hosts(store)
        if host.session
    }
    return Fleet(found, {(row.agent_id, row.content_hash): row.refusals for row in rows})


def of_pushes(targets: Iterable[Target], fleet: Fleet) -> list[Progress]:
    """One entry per target and connected host."""
    return [
        _of_push(target, agent_id, host, fleet.refusals.get((agent_id, target.content_hash), ()))
        for target in targets
        for agent_id, host in fleet.hosts.items()
    ]


def of_revocation(content_hash: bytes, agents: Iterable[str], fleet: Fleet) -> list[Progress]:
    """One entry per connected host among those that may have had the content."""
    return [
        _of_revocation(content_hash, agent_id, fleet.hosts[agent_id])
        for agent_id in agents
        if agent_id in fleet.hosts
    ]


def holders(content_hash: bytes, fleet: Fleet) -> list[str]:
    """Connected hosts that may have this content."""
    return [agent_id for agent_id, host in fleet.hosts.items() if may_have(content_hash, host)]


def _of_push(target: Target, agent_id: str, host: Host, refusals: tuple[Refusal, ...]) -> Progress:
    known = host.content.get(target.content_hash)
    active = host.active.get(target.template_type)
    if known is not None and known.push >= target.push:
        settled = known.standing in SETTLED
        return Progress(agent_id, target.content_hash, known.standing, settled, refusals)
    if active is not None and active.content_hash == target.content_hash:
        return Progress(agent_id, target.content_hash, Standing.ACTIVE, settled=True)
    if active is not None and active.version >= target.version and not target.forced:
        return Progress(agent_id, target.content_hash, NOT_NEEDED, settled=True)
    return Progress(agent_id, target.content_hash, WAITING, settled=False)


def _of_revocation(content_hash: bytes, agent_id: str, host: Host) -> Progress:
    known = host.content.get(content_hash)
    if known is not None and known.standing in REFUSED:
        return Progress(agent_id, content_hash, known.standing, settled=True)
    if not may_have(content_hash, host):
        return Progress(agent_id, content_hash, WITHDRAWN, settled=True)
    return Progress(agent_id, content_hash, WAITING, settled=False)
