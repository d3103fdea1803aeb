"""What there is to offer, as the serving process sees it: a snapshot, and the bytes behind it.

The snapshot is replaced whole when a push or a revocation was committed by anybody; the content
itself is read when it is asked for, and the newest few are held.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from bulkhead.v1.sensor_service_pb2 import Revocation
from cloud.errors import CloudReason, ContentStateError
from cloud.limits import CloudLimits
from cloud.offers import Release
from cloud.refusals import Refusal
from cloud.repository import trusted_keys
from cloud.rollout.policy import RolledOut, Withheld, offer
from cloud.signing import TrustedKey
from cloud.store import certificates, metadata, policies, releases, rollouts
from cloud.store.certificates import Expelled
from cloud.store.database import Database
from cloud.store.policies import Policies
from cloud.store.rollouts import Stored
from cloud.store.watch import Watch


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Releases, revocations, rollouts and seats by content hash, as of one generation of the store.

    Rollouts are as far along as they were when their state last changed. metadata: of the
    repository, by role and version. trusted: keys whose signatures count. expelled: whom nothing is
    said to.
    """

    generation: tuple[int, ...]
    releases: Mapping[bytes, Release]
    revocations: Mapping[bytes, Revocation]
    rollouts: Mapping[bytes, Stored]
    seats: Mapping[bytes, frozenset[str]]
    policies: Policies
    metadata: Mapping[tuple[str, int], bytes]
    trusted: tuple[TrustedKey, ...]
    expelled: Expelled = field(default_factory=Expelled)

    @property
    def delays(self) -> bool:
        """Whether time alone may let a host have something."""
        return any(policy.delay_hours for policy in self.policies.policies.values())

    def withheld(self, release: Release, agent_id: str, now: float) -> tuple[Refusal, ...]:
        """Why rollout or policy keep a release from a host at this time; empty if they don't."""
        stored = self.rollouts.get(release.content_hash)
        rolled_out = RolledOut(
            release.version,
            prevents=stored is not None and stored.started.prevents,
            rollout=stored.rollout if stored else None,
        )
        policy = self.policies.of(agent_id, release.template_type)
        seated = agent_id in self.seats.get(release.content_hash, ())
        told = offer(rolled_out, policy, seated=seated, now=now)
        if isinstance(told, Withheld):
            return (Refusal(told.reason, "rollout", told.found, told.expected),)
        return ()

    def newest_version(self, role: str) -> int:
        """Of the newest metadata of a role; 0 where there are none."""
        return max((number for name, number in self.metadata if name == role), default=0)

    def newest(self, role: str) -> bytes | None:
        """The newest metadata of a role."""
        return self.metadata.get((role, self.newest_version(role)))


_NOTHING: Mapping[Any, Any] = MappingProxyType({})
EMPTY = Catalogue((), _NOTHING, _NOTHING, _NOTHING, _NOTHING, Policies({}, {}), _NOTHING, ())


class Library:
    """Holds the current catalogue; `catalogue` is replaced by `refresh` only.

    publish: called before it is read, so that nothing is offered that the newest timestamp doesn't
    speak of.
    """

    def __init__(
        self, database: Database, limits: CloudLimits, publish: Callable[[], None] | None = None
    ) -> None:
        self._publish = publish
        self.catalogue = EMPTY
        self._database = database
        self._limits = limits
        self._held: OrderedDict[bytes, bytes] = OrderedDict()
        self._watch = Watch(database)
        self._unread = False

    async def refresh(self) -> bool:
        """Look whether anything was pushed or revoked; whether it was. StoreError passes."""
        if not (await asyncio.to_thread(self._watch.changed) or self._unread):
            return False
        self._unread = True
        found = await asyncio.to_thread(self._load)
        self._unread = False
        if found is None:
            return False
        self.catalogue = found
        self._held.clear()
        return True

    def close(self) -> None:
        """Watch no longer."""
        self._watch.close()

    async def signed_bytes(self, content_hash: bytes) -> bytes:
        """The serialised SignedChannelFile; ContentStateError if there is none."""
        if content_hash in self._held:
            self._held.move_to_end(content_hash)
            return self._held[content_hash]
        found = await asyncio.to_thread(self._read, content_hash)
        self._held[content_hash] = found
        if len(self._held) > self._limits.held_payloads:
            self._held.popitem(last=False)
        return found

    def _load(self) -> Catalogue | None:
        with self._database.reading() as connection:
            if releases.generation(connection) == self.catalogue.generation:
                return None
        if self._publish is not None:
            self._publish()
        with self._database.reading() as connection:
            generation = releases.generation(connection)
            known = {one.content_hash: one for one in releases.all_releases(connection)}
            root = metadata.newest_root(connection)
            return Catalogue(
                generation,
                known,
                releases.revocations(connection),
                {one.started.content_hash: one for one in rollouts.all_rollouts(connection)},
                rollouts.seats(connection),
                policies.read(connection),
                metadata.everything(connection),
                trusted_keys(root.signed) if root else (),
                certificates.expelled(connection),
            )

    def _read(self, content_hash: bytes) -> bytes:
        with self._database.reading() as connection:
            found = releases.signed_bytes(connection, content_hash)
        if found is None:
            raise ContentStateError(
                CloudReason.CONTENT_UNKNOWN, f"{content_hash.hex()}: not in the store"
            )
        return found
