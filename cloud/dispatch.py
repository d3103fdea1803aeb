"""Carries out what `cloud.offers` decides for one connected agent: store first, then send.

    1. what is withdrawn is told at once: a halt waits for nobody
    2. everything else when it is this host's turn (`cloud.turns`)

Standings are stored before the offer is sent, so that an acknowledgement never meets a store that
does not know of it.
"""

import time

from bulkhead.v1.sensor_service_pb2 import SessionResponse
from cloud import journal
from cloud.catalogue import Catalogue, Library
from cloud.connections import AgentConnection
from cloud.enclosing import Enclosing
from cloud.gate import Gate
from cloud.limits import CloudLimits
from cloud.offers import (
    IN_PROGRESS,
    Decision,
    HostContent,
    Release,
    Standing,
    decide,
    next_to_check,
)
from cloud.refusals import Refusal
from cloud.store.hosts import ContentRow, Stands
from cloud.store.writer import Writer
from cloud.turns import Turn, Turns


class Dispatcher:
    """Decides and sends; `unsafe` skips the validator for what was pushed unsafely."""

    def __init__(
        self,
        library: Library,
        gate: Gate,
        writer: Writer,
        enclosing: Enclosing,
        limits: CloudLimits,
        *,
        unsafe: bool,
    ) -> None:
        self._library = library
        self._gate = gate
        self._writer = writer
        self._enclosing = enclosing
        self._limits = limits
        self._turns = Turns(limits.turns)
        self._unsafe = unsafe

    async def decide(self, connection: AgentConnection) -> None:
        """Decide for this agent, and carry it out if it is its turn."""
        self._withdraw_revoked(connection)  # 1
        if (turn := self._turns.ask(connection, connection.decide)) is not None:
            await self._take(turn, connection)  # 2

    def forget(self, connection: AgentConnection) -> None:
        """Its session is over."""
        self._turns.forget(connection)
        connection.end_turn()

    def _withdraw_revoked(self, connection: AgentConnection) -> None:
        catalogue = self._library.catalogue
        if catalogue.revocations:
            releases = tuple(catalogue.releases.values())
            decision = decide(releases, connection.host, {}, unsafe=self._unsafe)
            _withdraw(decision, connection, catalogue)

    async def _take(self, turn: Turn, connection: AgentConnection) -> None:
        catalogue, goes_on = self._library.catalogue, False
        try:
            decision = await self._decide(connection, catalogue)
            goes_on = await self._carry_out(decision, connection, catalogue)
        finally:
            if not goes_on:
                turn.end()
        if goes_on:
            connection.end_turn()
            connection.turn = turn
            turn.end_later(self._limits.turn_seconds)

    async def _decide(self, connection: AgentConnection, catalogue: Catalogue) -> Decision:
        fits: dict[bytes, tuple[Refusal, ...]] = {}
        unsafe, agent_id, now = self._unsafe, connection.agent_id, time.time()
        # What skips the validator does not skip its rollout.
        releases = [
            one
            for one in catalogue.releases.values()
            if one.revoked or not (unsafe and one.unsafe and catalogue.withheld(one, agent_id, now))
        ]
        while release := next_to_check(releases, connection.host, fits, unsafe=unsafe):
            refusals = await self._gate.refusals(release, connection.supply)
            fits[release.content_hash] = refusals or catalogue.withheld(release, agent_id, now)
        return decide(releases, connection.host, fits, unsafe=unsafe)

    async def _carry_out(
        self, decision: Decision, connection: AgentConnection, catalogue: Catalogue
    ) -> bool:
        """Whether there was anything to offer."""
        offers = [one for one in decision.offers if _is_news(one, connection.offered)]
        withheld = [one for one in decision.withheld if _is_other(one, connection)]
        rows = [
            _row(connection, one, Standing.WITHHELD, why)
            for one, why in withheld
            if not _may_arrive(one, connection)
        ]
        rows += [
            _row(connection, one, Standing.OFFERED)
            for one in offers
            if not _is_in_progress(one, connection)
        ]
        for row in rows:
            connection.learn_standing(row.content_hash, HostContent(row.standing, row.push))
        if rows:
            await self._writer.submit(Stands(connection.agent_id, connection.session, rows))
        for release in offers:
            response = await self._enclosing.offer(release)
            connection.offered[release.content_hash] = release.push
            connection.fetchable.add(release.content_hash)
            connection.outgoing.put(response)
        for release, why in withheld:
            connection.withheld[release.content_hash] = (release.push, why)
        _withdraw(decision, connection, catalogue)
        _note(connection, rows)
        return bool(offers)


def _is_news(release: Release, settled: dict[bytes, int]) -> bool:
    return settled.get(release.content_hash, 0) < release.push


def _is_other(one: tuple[Release, tuple[Refusal, ...]], connection: AgentConnection) -> bool:
    release, why = one
    return connection.withheld.get(release.content_hash) != (release.push, why)


def _may_arrive(release: Release, connection: AgentConnection) -> bool:
    """Whether it was offered before: a revocation has to go there as well."""
    known = connection.host.content.get(release.content_hash)
    return known is not None and known.standing in IN_PROGRESS


def _is_in_progress(release: Release, connection: AgentConnection) -> bool:
    known = connection.host.content.get(release.content_hash)
    return known is not None and known.push == release.push and known.standing in IN_PROGRESS


def _withdraw(decision: Decision, connection: AgentConnection, catalogue: Catalogue) -> None:
    for content_hash in decision.withdrawals:
        revocation = catalogue.revocations[content_hash]
        if connection.withdrawn.get(content_hash) == revocation:
            continue
        connection.withdrawn[content_hash] = revocation  # one that was renewed is told again
        connection.outgoing.put(SessionResponse(revocation=revocation))
        journal.info(
            "revocation_sent", agent_id=connection.agent_id, content_hash=content_hash.hex()
        )


def _row(
    connection: AgentConnection,
    release: Release,
    standing: Standing,
    refusals: tuple[Refusal, ...] = (),
) -> ContentRow:
    return ContentRow(
        connection.agent_id,
        release.content_hash,
        standing,
        release.push,
        refusals,
        time.time_ns(),
    )


def _note(connection: AgentConnection, rows: list[ContentRow]) -> None:
    for row in rows:
        journal.info(
            f"content_{row.standing}",
            agent_id=connection.agent_id,
            content_hash=row.content_hash.hex(),
            reasons=",".join(refusal.reason for refusal in row.refusals),
        )
