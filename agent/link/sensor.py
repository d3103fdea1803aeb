"""What this sensor is, as the supervisor has told it: shared between main thread and session.

The main thread replaces values, the session's thread reads them; each value is replaced as a whole.
Outcomes are noted by both, under a lock.
"""

import importlib.metadata
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.link.limits import LIMITS
from agent.link.reports import rung
from bulkhead.v1 import report_pb2, sensor_service_pb2
from content.definitions import Rung, TemplateType
from content.supply import Supply
from content.wire import supply_to_proto

ON_ITS_WAY = frozenset({"received", "verified", "trial"})
"""States in which the supervisor has a Channel File that is not active yet."""


@dataclass(frozen=True, slots=True)
class Software:
    """What can only be found out while files can still be read: before lock-down."""

    types: Mapping[int, TemplateType]
    version: str
    platform: str


def installed(types: Mapping[int, TemplateType]) -> Software:
    """This release on this machine."""
    system = os.uname()
    return Software(
        types=types,
        version=importlib.metadata.version("bulkhead"),
        platform=f"linux/{system.machine}/{system.release}",
    )


@dataclass(frozen=True, slots=True)
class RefusedRung:
    """A better rung that this host can't have, with a reason code and the words of who refused."""

    rung: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Identity:
    """The supervisor's `identity` message."""

    agent: str
    run: str
    rung: str
    refused: tuple[RefusedRung, ...]
    # Template Types that the rung should supply and that this host can't have.
    not_collected: frozenset[int]
    boot_id: str


@dataclass(frozen=True, slots=True)
class TrustNote:
    """How it stands with the repository: root in use, refusals since the start, and the last one.

    because: reason of the last refusal; empty as long as there was none. good: whether the last
    refresh was.
    """

    root: int = 0
    refused: int = 0
    because: str = ""
    good: bool = False


@dataclass(frozen=True, slots=True)
class CertificateNote:
    """When the certificate in use ends (Unix, 0: there is none), and why it was not renewed last.

    because: a reason code; empty as long as nothing was refused.
    """

    ends: int = 0
    because: str = ""


@dataclass(slots=True)
class Sensor:
    """Identity, active content, outcomes so far, the latest heartbeat, repository, certificate."""

    identity: Identity
    software: Software
    active: tuple[report_pb2.ActiveChannelFile, ...] = ()
    heartbeat: report_pb2.Heartbeat | None = None
    trust: TrustNote = TrustNote()
    certificate: CertificateNote = CertificateNote()
    _outcomes: dict[bytes, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note_outcome(self, content_hash: bytes, state: str) -> None:
        """Where a Channel File stands now."""
        with self._lock:
            self._outcomes.pop(content_hash, None)
            self._outcomes[content_hash] = state
            if len(self._outcomes) > LIMITS.known_outcomes:
                del self._outcomes[next(iter(self._outcomes))]

    def is_here(self, content_hash: bytes) -> bool:
        """Whether that content is active or on its way to be: an offer of it needs no fetch."""
        if any(file.content_hash == content_hash for file in self.active):
            return True
        return self._outcomes.get(content_hash) in ON_ITS_WAY

    def hello(self) -> sensor_service_pb2.Hello:
        """The first message of a session.

        Supplied is what could be collected, whether anything needs it now or not: content that is
        offered is what makes the sensor attach its probes.
        """
        identity = self.identity
        types = self.software.types.items()
        had = {number: one for number, one in types if number not in identity.not_collected}
        supply = Supply.of(had, Rung(identity.rung))
        return sensor_service_pb2.Hello(
            agent_id=identity.agent,
            sensor_version=self.software.version,
            platform=self.software.platform,
            rung=rung(identity.rung),
            refused_rungs=[
                sensor_service_pb2.RefusedRung(
                    rung=rung(one.rung), reason=one.reason, detail=one.detail
                )
                for one in identity.refused
            ],
            supplied=supply_to_proto(supply),
            active=self.active,
            boot_id=identity.boot_id,
        )
