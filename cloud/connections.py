"""Connected agents: what waits to be sent to each, and what is known of each.

Everything here belongs to the event loop's thread. What waits is bounded: receipts replace each
other, and an agent that lets more than `outgoing_messages` pile up is disconnected.
"""

import asyncio
import math
import uuid
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from bulkhead.v1.report_pb2 import ActiveChannelFile
from bulkhead.v1.sensor_service_pb2 import Hello, Receipt, Revocation, SessionResponse
from cloud import journal
from cloud.ending import Ending
from cloud.errors import CloudReason, SessionError
from cloud.issuing import AgentCertificate
from cloud.limits import CloudLimits
from cloud.offers import Active, Host, HostContent
from cloud.store.certificates import Expelled
from cloud.store.replicas import SEPARATOR

if TYPE_CHECKING:
    from cloud.refusals import Refusal
    from cloud.turns import Turn


AT_ONCE = 100
SUPPLIES = 256
"""Kinds of sensors whose supply is held once; more than a fleet has releases and rungs."""


class Outgoing:
    """Responses in order; a receipt that still waits is replaced by the next one.

    some: called whenever there is something to send.
    """

    __slots__ = ("_limit", "_receipt", "_waiting", "some")

    def __init__(self, limit: int) -> None:
        self.some: Callable[[], None] = _nothing
        self._limit = limit
        self._waiting: list[SessionResponse] = []  # a deque takes 700 bytes, and few wait
        self._receipt = 0

    def put(self, response: SessionResponse) -> None:
        """Queue a response; SessionError if the agent does not read."""
        if len(self._waiting) >= self._limit:
            raise SessionError(
                CloudReason.OUTGOING_QUEUE_FULL,
                f"{self._limit} messages wait and the agent does not read",
            )
        self._waiting.append(response)
        self.some()

    def confirm(self, delivery: int) -> None:
        """Everything up to this delivery is stored."""
        self._receipt = max(self._receipt, delivery)
        self.some()

    def next(self) -> SessionResponse | None:
        """What to send next, if anything."""
        if self._receipt:
            receipt, self._receipt = Receipt(delivery=self._receipt), 0
            return SessionResponse(receipt=receipt)
        return self._waiting.pop(0) if self._waiting else None


def _nothing() -> None:
    """Before anybody sends or decides."""


@lru_cache(SUPPLIES)
def _supply(told: bytes) -> Hello:
    return Hello.FromString(told)


class AgentConnection:
    """One open session, from its hello on.

    supply: rung and supplied Template Types of the hello, one object for all sensors of a kind.
    decide: called when another decision about this host is due. ending: why it has to end. offered:
    push numbers by content hash, of what this session has settled; withheld: with the reasons.
    fetchable: everything that was offered in it. withdrawn: the orders that it was told, by content
    hash. turn: its turn to get what it was offered, while that lasts. fetches: what ends each of
    its open fetches. certificate: what the session was begun with; renewed: when another one was
    asked for last, by the monotonic clock.
    """

    __slots__ = (
        "_content",
        "_files",
        "agent_id",
        "certificate",
        "decide",
        "ending",
        "fetchable",
        "fetches",
        "offered",
        "outgoing",
        "renewed",
        "session",
        "supply",
        "turn",
        "withdrawn",
        "withheld",
    )

    def __init__(
        self,
        hello: Hello,
        limits: CloudLimits,
        certificate: AgentCertificate | None = None,
        replica: str = "",
    ) -> None:
        self.agent_id = hello.agent_id
        self.certificate = certificate
        self.renewed = -math.inf
        self.supply = _supply(
            Hello(rung=hello.rung, supplied=hello.supplied).SerializeToString(deterministic=True)
        )
        self.session = f"{replica}{SEPARATOR}{uuid.uuid4().hex}"
        self.outgoing = Outgoing(limits.outgoing_messages)
        self.decide: Callable[[], None] = _nothing
        self.ending = Ending()
        self.offered: dict[bytes, int] = {}
        self.withheld: dict[bytes, tuple[int, tuple[Refusal, ...]]] = {}
        self.fetchable: set[bytes] = set()
        self.withdrawn: dict[bytes, Revocation] = {}
        self.fetches: tuple[Ending, ...] = ()
        self.turn: Turn | None = None
        self._files: dict[int, ActiveChannelFile] = {}
        self._content: dict[bytes, HostContent] = {}

    @property
    def host(self) -> Host:
        """What decisions need to know."""
        active = {
            number: Active(file.version, file.content_hash) for number, file in self._files.items()
        }
        return Host(active, self._content)

    def remember(self, host: Host) -> None:
        """Take over what the store knew of this host's content."""
        self._content = dict(host.content)

    def learn_active(self, files: Iterable[ActiveChannelFile]) -> bool:
        """What the agent says is active; whether that is news."""
        told = {file.template_type: file for file in files}
        news = told != self._files
        self._files = told
        return news

    def learn_one_active(self, file: ActiveChannelFile) -> None:
        """The agent has acknowledged this Channel File as active: that offer is done with.

        Should the agent lose the content later in this session, it is offered once more.
        """
        self._files[file.template_type] = file
        self.offered.pop(file.content_hash, None)

    def learn_standing(self, content_hash: bytes, known: HostContent) -> None:
        """Where a release stands on this host."""
        self._content[content_hash] = known

    def end_turn(self) -> None:
        """What was offered has arrived, or won't."""
        turn, self.turn = self.turn, None
        if turn is not None:
            turn.end()

    def begin_fetch(self, most: int) -> Ending:
        """For what a fetch waits in, until `end_fetch`; SessionError if there are too many."""
        if len(self.fetches) >= most:
            raise SessionError(CloudReason.TOO_MANY_FETCHES, f"expected at most {most} at a time")
        ending = Ending()
        self.fetches += (ending,)
        return ending

    def end_fetch(self, ending: Ending) -> None:
        """What was asked for is sent, or won't be."""
        self.fetches = tuple(one for one in self.fetches if one is not ending)
        self.end_turn()

    def close(self) -> None:
        """Nobody sends, decides or waits for content any more; what did so is let go.

        A fetch may wait for a database that hangs, which is why the session ends.
        """
        self.decide = self.outgoing.some = _nothing
        for one in self.fetches:
            one.because(SessionError(CloudReason.NO_SESSION, "the session has ended"))

    def end(self, error: Exception) -> None:
        """Make the session end with this error."""
        self.ending.because(error)


def refusal(certificate: AgentCertificate | None, expelled: Expelled) -> SessionError | None:
    """Why nothing is said to whoever shows this certificate, or None."""
    if certificate is None or not expelled.includes(certificate.agent_id, certificate.serial):
        return None
    return SessionError(
        CloudReason.CERTIFICATE_REVOKED,
        f"{certificate.agent_id} was expelled, or its certificate {certificate.serial} revoked",
    )


class Connections:
    """Open sessions by agent id: one per agent, the newest.

    replica: who has them. living: whether it may have any, because it reaches its store.
    """

    def __init__(self, limits: CloudLimits, replica: str = "") -> None:
        self.replica = replica
        self.living: Callable[[], bool] = lambda: True
        self._limits = limits
        self._open: dict[str, AgentConnection] = {}

    def __iter__(self) -> Iterator[AgentConnection]:
        return iter(list(self._open.values()))

    def __len__(self) -> int:
        return len(self._open)

    def join(self, connection: AgentConnection) -> None:
        """Add a session; an older one of the same agent ends. SessionError if there are too many.

        The newer one wins because a dead connection can look alive for a while: an agent that
        comes back must not be locked out by its own past.
        """
        if not self.living():
            raise SessionError(
                CloudReason.REPLICA_EXPIRED, "this replica has not reached its database for a while"
            )
        older = self._open.get(connection.agent_id)
        if older is None and len(self._open) >= self._limits.sessions:
            raise SessionError(
                CloudReason.TOO_MANY_SESSIONS,
                f"{len(self._open)} sessions are open already",
                retry_after_ms=int(self._limits.retry_after_seconds * 1e3),
            )
        if older is not None:
            journal.warning("session_replaced", agent_id=connection.agent_id)
            older.end(
                SessionError(
                    CloudReason.SESSION_REPLACED, "a newer session of this agent has begun"
                )
            )
        self._open[connection.agent_id] = connection

    def leave(self, connection: AgentConnection) -> None:
        """Remove a session, if it is still the agent's current one."""
        if self._open.get(connection.agent_id) is connection:
            del self._open[connection.agent_id]

    def get(self, agent_id: str) -> AgentConnection | None:
        """The agent's open session."""
        return self._open.get(agent_id)

    def expel(self, expelled: Expelled) -> None:
        """End the sessions of whoever is to be refused from now on."""
        for connection in self._open.values():
            if (error := refusal(connection.certificate, expelled)) is not None:
                connection.end(error)

    async def decide_all(self) -> None:
        """Another decision about every connected host is due.

        Some at a time: the first are told before it is decided about the last, which matters where
        thousands have to give something up.
        """
        for number, connection in enumerate(self):
            connection.decide()
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
