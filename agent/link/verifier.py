"""TUF's client workflow: what the cloud offers is a target of a repository that we trust, now.

    1. root       each version after the one that we have, signed by as many root keys as the one
                  before it and it itself ask for, until there is no newer one
    2. timestamp  signed, not expired, not older than the last one that we have seen
    3. snapshot   the very one that the timestamp names, not older in any part
    4. targets    the very one that the snapshot names
    5. all of it is stored; only then does it count

python-tuf's trusted metadata set makes the checks and holds no files; what is fetched is passed in.
Whatever fails raises FetchRefusedError with a `DeliveryReason`, and what was trusted before stays.

The clock is the host's. Timestamps are renewed when a third of their life is over (docs/trust.md),
so that a host whose clock is wrong by a day, in either direction, still accepts them.
"""

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any

from tuf.api import exceptions
from tuf.api.metadata import Metadata, Root, TargetFile
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
from tuf.ngclient.config import EnvelopeType

from agent.link.errors import ConfigurationError, FetchRefusedError, StoreError
from agent.link.limits import LIMITS
from agent.link.metadata_store import MetadataStore

Fetch = Callable[[str, int, int], Awaitable[bytes | None]]
"""Role, version (0: the newest), most bytes; None where the cloud has none."""

TRUST_SIGNATURES = "x-bulkhead-trust"
"""Member of root metadata with signatures over the trust record that says the same."""


class DeliveryReason(StrEnum):
    """Why nothing of what was offered was handed over. Codes are never renamed or reused."""

    METADATA_UNSIGNED = "METADATA_UNSIGNED"
    METADATA_EXPIRED = "METADATA_EXPIRED"
    METADATA_VERSION = "METADATA_VERSION"
    METADATA_MISMATCH = "METADATA_MISMATCH"
    METADATA_INVALID = "METADATA_INVALID"
    METADATA_MISSING = "METADATA_MISSING"
    METADATA_TOO_LARGE = "METADATA_TOO_LARGE"
    METADATA_SLOW = "METADATA_SLOW"
    METADATA_KEYS = "METADATA_KEYS"
    METADATA_STORE = "METADATA_STORE"
    TARGET_UNKNOWN = "TARGET_UNKNOWN"
    TARGET_MISMATCH = "TARGET_MISMATCH"
    TARGET_SLOW = "TARGET_SLOW"


EXPECTED: tuple[tuple[type[Exception], DeliveryReason, str], ...] = (
    (
        exceptions.UnsignedMetadataError,
        DeliveryReason.METADATA_UNSIGNED,
        "good signatures by as many keys as root metadata ask for",
    ),
    (
        exceptions.ExpiredMetadataError,
        DeliveryReason.METADATA_EXPIRED,
        "metadata that are valid by this host's clock",
    ),
    (
        exceptions.BadVersionNumberError,
        DeliveryReason.METADATA_VERSION,
        "the version that follows, or was named",
    ),
    (
        exceptions.LengthOrHashMismatchError,
        DeliveryReason.METADATA_MISMATCH,
        "the length and hash that were named",
    ),
    (exceptions.RepositoryError, DeliveryReason.METADATA_INVALID, "TUF metadata of this role"),
)


class Verifier:
    """One per process; `refresh` is for one session at a time."""

    def __init__(self, installed: bytes, store: MetadataStore, now: Callable[[], datetime]) -> None:
        try:
            self._trusted = TrustedMetadataSet(installed, EnvelopeType.METADATA)
        except exceptions.RepositoryError as error:
            raise ConfigurationError(
                "ROOT_METADATA", f"root.json: {error}; expected root metadata"
            ) from error
        self._store = store
        self._now = now
        # The bytes from which everything in self._trusted was verified; None where nothing was yet.
        self._timestamp: bytes | None = None
        self._roots: dict[int, bytes] = {self._trusted.root.version: installed}
        for data in store.roots():
            with contextlib.suppress(exceptions.RepositoryError):  # of another installation
                version = self._trusted.update_root(data).version
                self._roots[version] = data

    @property
    def root_version(self) -> int:
        """The newest root that is trusted."""
        return max(self._roots)

    async def refresh(self, fetch: Fetch) -> None:
        """Steps 1 to 5; FetchRefusedError, or what `fetch` raises, and nothing has changed then.

        New root metadata count even where a later step fails: they are how a lost key is replaced.
        """
        trusted = TrustedMetadataSet(self._roots[self.root_version], EnvelopeType.METADATA)
        trusted.reference_time = self._now()
        await self._follow_root(trusted, fetch)  # 1
        timestamp = await _fetched(fetch, "timestamp", 0, LIMITS.timestamp_bytes)
        if self._is_verified(trusted, timestamp):
            return
        fresh: dict[str, bytes] = {}
        self._follow_timestamp(trusted, timestamp, fresh)  # 2
        await self._snapshot(trusted, fetch, fresh)  # 3
        await self._targets(trusted, fetch, fresh)  # 4
        self._keep({}, fresh)  # 5
        self._trusted, self._timestamp = trusted, timestamp

    def target(self, content_hash: bytes) -> TargetFile:
        """What the targets metadata say of a payload; FetchRefusedError where they don't."""
        name = f"{content_hash.hex()}.channel"
        targets = self._trusted.targets.targets if "targets" in self._trusted else {}
        if name not in targets:
            raise FetchRefusedError(
                DeliveryReason.TARGET_UNKNOWN, "metadata.targets", "no such target", name
            )
        return targets[name]

    def records(self, after: int) -> Iterator[dict[str, Any]]:
        """For the supervisor: what root metadata say about keys, for each version after that."""
        for version in sorted(self._roots):
            if version > max(after, min(self._roots)):
                yield _record(self._roots[version])

    async def _follow_root(self, trusted: TrustedMetadataSet, fetch: Fetch) -> None:
        for _ in range(LIMITS.root_rotations):
            version = trusted.root.version + 1
            data = await fetch("root", version, LIMITS.root_bytes)
            if data is None:
                return
            with _translated("root"):
                root = trusted.update_root(data)
            _require_different_keys(root)
            self._keep({version: data}, {})
            self._roots[version] = data

    def _is_verified(self, trusted: TrustedMetadataSet, timestamp: bytes) -> bool:
        """Whether all was verified by this process, by the same root, and is good for now, still.

        The same bytes name the same snapshot, and that the same targets: time alone has gone by.
        """
        before, now = self._trusted, trusted.reference_time
        if timestamp != self._timestamp or before.root.version != trusted.root.version:
            return False
        parts = (before.root, before.timestamp, before.snapshot, before.targets)
        return not any(part.is_expired(now) for part in parts)

    def _follow_timestamp(
        self, trusted: TrustedMetadataSet, data: bytes, fresh: dict[str, bytes]
    ) -> None:
        if (known := self._store.newest("timestamp")) is not None:
            with contextlib.suppress(exceptions.RepositoryError):  # expired, or by a key of before
                trusted.update_timestamp(known)
        with _translated("timestamp"), contextlib.suppress(exceptions.EqualVersionNumberError):
            trusted.update_timestamp(data)
            fresh["timestamp"] = data
        if trusted.timestamp.is_expired(trusted.reference_time):  # the one that we had, still
            raise FetchRefusedError(
                DeliveryReason.METADATA_EXPIRED,
                "metadata.timestamp",
                f"expired at {trusted.timestamp.expires:%Y-%m-%dT%H:%M:%SZ}",
                f"one that is valid at {trusted.reference_time:%Y-%m-%dT%H:%M:%SZ}",
            )

    async def _snapshot(
        self, trusted: TrustedMetadataSet, fetch: Fetch, fresh: dict[str, bytes]
    ) -> None:
        if (known := self._store.newest("snapshot")) is not None:
            with contextlib.suppress(exceptions.RepositoryError):
                trusted.update_snapshot(known, trusted=True)
                return
        with _translated("timestamp"):
            named = trusted.timestamp.snapshot_meta
        limit = min(named.length or LIMITS.snapshot_bytes, LIMITS.snapshot_bytes)
        data = await _fetched(fetch, "snapshot", named.version, limit)
        with _translated("snapshot"):
            trusted.update_snapshot(data)
        fresh["snapshot"] = data

    async def _targets(
        self, trusted: TrustedMetadataSet, fetch: Fetch, fresh: dict[str, bytes]
    ) -> None:
        if (known := self._store.newest("targets")) is not None:
            with contextlib.suppress(exceptions.RepositoryError):
                trusted.update_targets(known)
                return
        named = trusted.snapshot.meta.get("targets.json")
        if named is None:
            raise FetchRefusedError(
                DeliveryReason.METADATA_MISMATCH, "metadata.snapshot", "no targets.json", "one"
            )
        limit = min(named.length or LIMITS.targets_bytes, LIMITS.targets_bytes)
        data = await _fetched(fetch, "targets", named.version, limit)
        with _translated("targets"):
            trusted.update_targets(data)
        fresh["targets"] = data

    def _keep(self, roots: dict[int, bytes], others: dict[str, bytes]) -> None:
        if not roots and not others:
            return
        try:
            self._store.replace(roots, others)
        except StoreError as error:
            raise FetchRefusedError(
                DeliveryReason.METADATA_STORE, "metadata", str(error), "room in the state folder"
            ) from error


async def _fetched(fetch: Fetch, role: str, version: int, limit: int) -> bytes:
    data = await fetch(role, version, limit)
    if data is None:
        raise FetchRefusedError(
            DeliveryReason.METADATA_MISSING,
            f"metadata.{role}",
            "none",
            f"version {version}" if version else "the newest",
        )
    return data


def _require_different_keys(root: Root) -> None:
    """One key under two names would count twice."""
    for name, role in root.roles.items():
        publics = [root.keys[key].keyval.get("public") for key in role.keyids]
        if len(set(publics)) != len(publics):
            raise FetchRefusedError(
                DeliveryReason.METADATA_KEYS,
                f"metadata.root.roles.{name}",
                "one key under two names",
                "each key once",
            )


@contextlib.contextmanager
def _translated(role: str) -> Iterator[None]:
    try:
        yield
    except exceptions.EqualVersionNumberError:
        raise
    except exceptions.RepositoryError as error:
        reason, expected = next(
            (reason, expected) for kind, reason, expected in EXPECTED if isinstance(error, kind)
        )
        raise FetchRefusedError(
            reason, f"metadata.{role}", str(error)[: LIMITS.text_characters], expected
        ) from error


def _record(data: bytes) -> dict[str, Any]:
    """The fields of the message `trust` (agent.channel)."""
    metadata = Metadata[Root].from_bytes(data)
    root = metadata.signed
    signatures = metadata.unrecognized_fields.get(TRUST_SIGNATURES, {})
    pairs = list(signatures.items()) if isinstance(signatures, dict) else []
    return {
        "version": root.version,
        "root_keys": _publics(root, "root"),
        "root_threshold": root.roles["root"].threshold,
        "targets_keys": _publics(root, "targets"),
        "targets_threshold": root.roles["targets"].threshold,
        "signatures": [[str(key), str(value)] for key, value in pairs[: LIMITS.signatures]],
    }


def _publics(root: Root, role: str) -> list[str]:
    keys = [root.keys[name] for name in root.roles[role].keyids]
    return sorted({str(key.keyval.get("public")) for key in keys})
