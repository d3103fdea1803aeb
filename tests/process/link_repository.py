"""A TUF repository for the tests: real keys, real metadata, and everything that can be wrong.

`Repository` signs with the product's own code; a test takes its metadata, or changes them first.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from bulkhead.v1.sensor_service_pb2 import Enclosed
from cloud.repository import (
    Target,
    changed_targets,
    first_root,
    next_root,
    next_snapshot,
    next_timestamp,
    sign_root,
)
from cloud.signing import SigningKey
from content.channel_file import content_hash


@cache
def repository() -> "Repository":
    """The one that links of the tests are enrolled with; tests publish targets, no new root."""
    return Repository()


ROLES = ("root", "targets", "snapshot", "timestamp")


def target(payload: bytes, template_type: int = 4, version: int = 1) -> Target:
    """What the metadata say of a payload."""
    return Target(payload, content_hash(payload), template_type, version)


@dataclass
class Repository:
    """What an honest cloud serves: `metadata` by role and version, 0 for the newest timestamp."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    keys: dict[str, list[SigningKey]] = field(
        default_factory=lambda: {role: [SigningKey.generate()] for role in ROLES}
    )
    metadata: dict[tuple[str, int], bytes] = field(default_factory=dict)
    root: Metadata[Root] = field(init=False)
    targets: Metadata[Targets] | None = None
    snapshot: Metadata[Snapshot] | None = None
    timestamp: Metadata[Timestamp] | None = None

    def __post_init__(self) -> None:
        public = {role: self.keys[role][0].trusted() for role in ROLES}
        self.root = first_root(public, (), self.now)
        self.sign_root(self.keys["root"])
        self.publish()

    @property
    def installed(self) -> bytes:
        """Root metadata as a host is enrolled with."""
        return self.metadata[("root", 1)]

    def sign_root(self, keys: Iterable[SigningKey]) -> None:
        """Put the root metadata out, signed by these."""
        for key in keys:
            sign_root(self.root, key)
        self.put(self.root)

    def rotate(self, role: str, threshold: int = 1, keys: int = 1) -> list[SigningKey]:
        """New keys for a role in the next root, signed by root keys of both versions."""
        before, new = self.keys[role], [SigningKey.generate() for _ in range(keys)]
        signers = self.keys["root"]
        self.root = next_root(self.root, self.now)
        for key in before:
            self.root.signed.revoke_key(key.key_id, role)
        for key in new:
            self.root.signed.add_key(key.trusted().tuf_key(), role)
        self.root.signed.roles[role].threshold = threshold
        self.keys[role] = new
        self.sign_root([*signers, *(new if role == "root" else [])])
        return before

    def publish(self, *add: Target, remove: Iterable[bytes] = ()) -> None:
        """The next targets, snapshot and timestamp."""
        root = self.root.signed
        self.targets = changed_targets(
            root, self.targets, add, remove, self.keys["targets"], self.now
        )
        self.put(self.targets)
        self.freshen()

    def freshen(self) -> None:
        """The next snapshot and timestamp of the targets as they are."""
        root = self.root.signed
        assert self.targets is not None
        targets = self.metadata[("targets", self.targets.signed.version)]
        (key, *_), (timestamp_key, *_) = self.keys["snapshot"], self.keys["timestamp"]
        self.snapshot = next_snapshot(root, self.snapshot, targets, key, self.now)
        data = self.put(self.snapshot)
        self.timestamp = next_timestamp(root, self.timestamp, data, timestamp_key, self.now)
        self.metadata[("timestamp", 0)] = self.put(self.timestamp)

    def put(self, metadata: Metadata[Any]) -> bytes:
        """Serve these metadata."""
        data = metadata.to_bytes()
        self.metadata[(metadata.signed.type, metadata.signed.version)] = data
        return data

    def enclosed(self, channel_file: bytes = b"") -> Enclosed:
        """The newest metadata as they are sent along, with an envelope."""
        assert self.targets is not None
        assert self.snapshot is not None
        return Enclosed(
            root_version=self.root.signed.version,
            timestamp=self.metadata[("timestamp", 0)],
            snapshot=self.metadata[("snapshot", self.snapshot.signed.version)],
            targets=self.metadata[("targets", self.targets.signed.version)],
            channel_file=channel_file,
        )

    def later(self, **time: float) -> None:
        """Some time passes."""
        self.now += timedelta(**time)

    async def fetch(self, role: str, version: int, limit: int) -> bytes | None:
        """As the link's verifier fetches; caps are the fetcher's."""
        del limit
        return self.metadata.get((role, version))
