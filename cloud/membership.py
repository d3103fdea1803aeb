"""This serving process among the others that share its store: that it lives, and whether it leads.

    1. before it serves: its own former sessions are over, whatever became of them
    2. every two seconds it says that it lives, and takes the lead if nobody has it
    3. who leads marks the hosts of replicas that have not said so in time as not connected
    4. it ends a writer that hangs and holds all the others up
    5. at the end: its hosts are not connected, and another one may lead at once

A store in a file has one serving process, which leads. Who can't reach the store does not lead; nor
does who has lost a lease without noticing: what it stores is refused (`cloud.store.replicas`). A
replica whose lease has run out ends its sessions: agents come back, to it or to another.
"""

import asyncio
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import Connection

from cloud import journal
from cloud.errors import CloudReason, StoreError
from cloud.limits import CloudLimits
from cloud.store import hosts, replicas
from cloud.store.database import Database
from cloud.store.replicas import ROLLOUTS, Replica
from cloud.store.writer import Job, Writer

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class _Renewed:
    """What came of it: taken for dead before, the term if it leads, who was found dead."""

    buried: bool
    term: int | None
    gone: list[str]


class Membership:
    """One serving process. term: of its lead; None while it does not lead.

    expired: called when it was taken for dead, or has to expect that.
    """

    def __init__(
        self,
        writer: Writer,
        limits: CloudLimits,
        ours: Replica,
        database: Database,
        *,
        expired: Callable[[], None],
    ) -> None:
        self.term: int | None = None
        self._writer = writer
        self._limits = limits
        self._ours = ours
        self._database = database
        self._shared = database.shared
        self._expired = expired
        self._reached_since = self._renewed_at = time.monotonic()

    async def join(self) -> None:
        """Begin; StoreError where the store refuses."""
        if not self._shared:
            await self._writer.submit(hosts.disconnect_all)
            self.term = 0
            return
        ours, lease = self._ours, self._limits.replica_lease_seconds
        await self._writer.submit(lambda store: replicas.join(store, ours, lease))
        journal.info("replica_joined", replica=ours.replica, name=ours.name)
        await self._renew()

    def living(self) -> bool:
        """Whether its lease can't have run out."""
        age = time.monotonic() - self._renewed_at
        return not self._shared or age < self._limits.replica_lease_seconds

    def serves(self, address: str) -> None:
        """Where agents connect; the others learn of it with the next beat."""
        self._ours = replace(self._ours, address=address)

    async def run(self, stop: asyncio.Event) -> None:
        """Live and lead until the end is asked for."""
        while self._shared and not stop.is_set():
            try:
                async with asyncio.timeout(self._limits.replica_lease_seconds):
                    await self._renew()
            except StoreError as error:
                self._unreached(error.reason, str(error))
            except TimeoutError:
                self._unreached(CloudReason.DATABASE_UNREACHABLE, "no answer for a whole lease")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.replica_beat_seconds):
                    await stop.wait()

    async def watch(self, stop: asyncio.Event) -> None:
        """End writers that hang, until the end is asked for; ours may be among those held up."""
        while self._shared and not stop.is_set():
            with suppress(StoreError):  # who leads, and who lives, says so
                if await asyncio.to_thread(self._database.end_silent_writer):
                    journal.warning("silent_writer_ended")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.replica_beat_seconds):
                    await stop.wait()

    def leave(self) -> None:
        """The end: queued for the writer."""
        self.term = None
        replica = self._ours.replica
        self._writer.post(
            (lambda store: replicas.leave(store, replica)) if self._shared else hosts.disconnect_all
        )

    def led(self, job: Job, term: int) -> Job:
        """The job, refused unless this replica still leads when it is stored."""
        if not self._shared:
            return job
        replica = self._ours.replica

        def fenced(store: Connection) -> None:
            replicas.require_leader(store, ROLLOUTS, replica, term)
            job(store)

        return fenced

    def _unreached(self, reason: CloudReason, message: str) -> None:
        if self._reached_since < NEVER:
            journal.warning("lease_not_renewed", reason=reason, message=message)
        self.term = None
        self._reached_since = NEVER
        if not self.living():
            self._expired()

    async def _renew(self) -> None:
        now = time.monotonic()
        # After the database was gone nobody's lease is good: all get time to say that they live.
        settled = now - self._reached_since > self._limits.replica_lease_seconds
        renewed = await self._writer.submit(lambda store: self._beat(store, bury=settled))
        if self._reached_since == NEVER:
            journal.info("lease_renewed", replica=self._ours.replica)
        self._reached_since = min(self._reached_since, now)
        self._renewed_at = now
        for name in renewed.gone:
            journal.warning("replica_gone", name=name)
        if renewed.buried:
            journal.warning("replica_expired", replica=self._ours.replica)
            self._expired()
        if renewed.term != self.term:
            journal.info("leading" if renewed.term else "not_leading", term=renewed.term)
        self.term = renewed.term

    def _beat(self, store: Connection, *, bury: bool) -> _Renewed:
        ours, lease = self._ours, self._limits.replica_lease_seconds
        buried = not replicas.renew(store, ours, lease)
        if buried:
            replicas.enter(store, ours, lease)
        term = replicas.lead(store, ROLLOUTS, ours.replica, lease)
        gone = replicas.bury_expired(store) if bury and term is not None else []
        return _Renewed(buried, term, gone)


def new_replica(folder: Path, *, unsafe: bool) -> Replica:
    """A name for this process, and one for all that ever serve this folder on this host."""
    name = f"{socket.gethostname()}:{folder.resolve()}"
    return Replica(uuid.uuid4().hex, name, "", unsafe)
