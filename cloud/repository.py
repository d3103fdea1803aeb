"""The TUF repository whose targets are the Channel Files: what its metadata say. Pure.

    root       keys and thresholds of all roles; signed offline, by root keys
    targets    length and hash of each Channel File that is offered; signed offline, at a push
    snapshot   which targets metadata are the newest; signed by the serving process
    timestamp  which snapshot is the newest, good for days; signed by the serving process

A target is named HASH.channel and stands for the payload, so that signatures may be added to the
envelope later. Root metadata carry signatures over a trust record as well, which says the same to
who reads no JSON (content/signing_domains.py). Keys that `cloud init` has made are marked.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, TypeAlias

from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    T,
    TargetFile,
    Targets,
    Timestamp,
)

from cloud.errors import CloudReason, KeyFileError
from cloud.signing import Signer, SigningKey, TrustedKey
from content.signing_domains import KeySet, TrustRecord

TRUST_SIGNATURES = "x-bulkhead-trust"
"""Member beside `signed` and `signatures`: key id → signature over the trust record."""
DEVELOPMENT = "x-bulkhead-development"
"""Member of root metadata: ids of keys that `cloud init` has made, on one machine, unprotected."""

LIFETIME: Mapping[str, timedelta] = MappingProxyType(
    {
        "root": timedelta(days=3 * 365),
        "targets": timedelta(days=365),
        "snapshot": timedelta(days=30),
        "timestamp": timedelta(days=3),
    }
)
RENEWED_AFTER = 1 / 3
"""Of its lifetime: a timestamp has two days left at least, which a clock may be wrong by."""


RootMetadata: TypeAlias = Metadata[Root]


@dataclass(frozen=True, slots=True)
class Target:
    """A Channel File as the targets metadata name it."""

    payload: bytes
    content_hash: bytes
    template_type: int
    version: int

    @property
    def name(self) -> str:
        """HASH.channel."""
        return target_name(self.content_hash)

    def file(self) -> TargetFile:
        """Length, hash, and what it is content for."""
        found = TargetFile.from_data(self.name, self.payload, ["sha256"])
        named = {"template_type": self.template_type, "version": self.version}
        found.unrecognized_fields["custom"] = named
        return found


def target_name(content_hash: bytes) -> str:
    """What a payload is called in the repository."""
    return f"{content_hash.hex()}.channel"


def first_root(
    keys: Mapping[str, TrustedKey], development: Iterable[str], now: datetime
) -> Metadata[Root]:
    """Version 1, one key for each role, threshold 1; not signed."""
    root = Root(version=1, expires=_expiry("root", now), consistent_snapshot=True)
    root.unrecognized_fields[DEVELOPMENT] = sorted(development)
    for role, key in keys.items():
        root.add_key(key.tuf_key(), role)
    return Metadata(root)


def next_root(before: Metadata[Root], now: datetime) -> Metadata[Root]:
    """The version that follows, with the same keys; not signed."""
    after = Metadata[Root].from_bytes(before.to_bytes())
    after.signed.version += 1
    after.signed.expires = _expiry("root", now)
    after.signatures.clear()
    after.unrecognized_fields.pop(TRUST_SIGNATURES, None)
    return after


def sign_root(metadata: Metadata[Root], key: SigningKey) -> None:
    """Add a signature over the metadata and one over the trust record."""
    metadata.sign(key.tuf_signer(), append=True)
    over_record: dict[str, str] = metadata.unrecognized_fields.setdefault(TRUST_SIGNATURES, {})
    over_record[key.key_id] = key.sign(trust_record(metadata.signed).signed_bytes()).hex()


def trust_record(root: Root) -> TrustRecord:
    """What the root metadata say about root and targets keys."""
    return TrustRecord(root.version, _key_set(root, "root"), _key_set(root, "targets"))


def require_follows(before: Metadata[Root] | None, after: Metadata[Root]) -> None:
    """KeyFileError unless enough keys of both versions have signed, metadata and record."""
    for judge in filter(None, (before, after)):
        _require_signed(judge.signed, after)
        wanted = judge.signed.roles["root"]
        record = trust_record(after.signed).signed_bytes()
        over_record = after.unrecognized_fields.get(TRUST_SIGNATURES, {})
        good = sum(
            _trusted(judge.signed, key).signed(record, _signature(over_record, key))
            for key in wanted.keyids
        )
        if good < wanted.threshold:
            raise _unsigned(f"{good} of {wanted.threshold} signatures over the trust record")


def trusted_keys(root: Root, role: str = "targets") -> tuple[TrustedKey, ...]:
    """The keys of a role."""
    return tuple(_trusted(root, key) for key in root.roles[role].keyids)


def changed_targets(
    root: Root,
    before: Metadata[Targets] | None,
    add: Iterable[Target],
    remove: Iterable[bytes],
    keys: Sequence[Signer],
    now: datetime,
) -> Metadata[Targets]:
    """The next version, with and without these, signed; KeyFileError for too few of its keys."""
    targets = Targets(version=1, expires=_expiry("targets", now))
    if before is not None:
        targets = copy.deepcopy(before.signed)
        targets.version += 1
        targets.expires = _expiry("targets", now)
    for content_hash in remove:
        targets.targets.pop(target_name(content_hash), None)
    for one in add:
        targets.targets[one.name] = one.file()
    return _signed(root, targets, keys)


def next_snapshot(
    root: Root, before: Metadata[Snapshot] | None, targets: bytes, key: SigningKey, now: datetime
) -> Metadata[Snapshot]:
    """The snapshot of these targets metadata."""
    version = before.signed.version + 1 if before else 1
    named = Metadata[Targets].from_bytes(targets).signed.version
    meta = {"targets.json": MetaFile.from_data(named, targets, ["sha256"])}
    snapshot = Snapshot(version=version, expires=_expiry("snapshot", now), meta=meta)
    return _signed(root, snapshot, [key])


def next_timestamp(
    root: Root, before: Metadata[Timestamp] | None, snapshot: bytes, key: SigningKey, now: datetime
) -> Metadata[Timestamp]:
    """The timestamp of this snapshot."""
    version = before.signed.version + 1 if before else 1
    named = Metadata[Snapshot].from_bytes(snapshot).signed.version
    meta = MetaFile.from_data(named, snapshot, ["sha256"])
    timestamp = Timestamp(version=version, expires=_expiry("timestamp", now), snapshot_meta=meta)
    return _signed(root, timestamp, [key])


def is_current(root: Root, metadata: Metadata[Any], now: datetime) -> bool:
    """Whether it is signed by keys of this root, and more than a part of its life is left."""
    role = metadata.signed.type
    try:
        root.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except UnsignedMetadataError:
        return False
    left: timedelta = metadata.signed.expires - now
    return left > LIFETIME[role] * (1 - RENEWED_AFTER)


def described(metadata: Metadata[Root]) -> dict[str, Any]:
    """What root metadata say, for people and programs."""
    root = metadata.signed
    return {
        "version": root.version,
        "expires": f"{root.expires:%Y-%m-%dT%H:%M:%SZ}",
        "signed_by": sorted(metadata.signatures),
        "development": sorted(root.unrecognized_fields.get(DEVELOPMENT, ())),
        "roles": {
            name: {"threshold": role.threshold, "keys": sorted(role.keyids)}
            for name, role in root.roles.items()
        },
    }


def root_from(data: bytes, where: str) -> Metadata[Root]:
    """Root metadata from bytes; KeyFileError where they are none."""
    try:
        return Metadata[Root].from_bytes(data)
    except (RepositoryError, ValueError) as error:
        raise KeyFileError(
            CloudReason.ROOT_INVALID, f"{where}: {str(error)[:300]}; expected root metadata"
        ) from error


def _signed(root: Root, signed: T, keys: Sequence[Signer]) -> Metadata[T]:
    metadata = Metadata(signed)
    for key in keys:
        metadata.signatures[key.key_id] = key.sign_metadata(metadata.signed_bytes)
    _require_signed(root, metadata)
    return metadata


def _require_signed(root: Root, metadata: Metadata[Any]) -> None:
    role = metadata.signed.type
    try:
        root.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except UnsignedMetadataError as error:
        raise _unsigned(f"{role}: {error}") from error


def _unsigned(found: str) -> KeyFileError:
    return KeyFileError(
        CloudReason.KEY_THRESHOLD,
        f"{found}; expected signatures by as many keys as the root metadata ask for",
    )


def _expiry(role: str, now: datetime) -> datetime:
    return now.replace(microsecond=0) + LIFETIME[role]


def _key_set(root: Root, role: str) -> KeySet:
    raw = sorted(key.raw for key in trusted_keys(root, role))
    return KeySet(tuple(raw), root.roles[role].threshold)


def _trusted(root: Root, key_id: str) -> TrustedKey:
    try:
        return TrustedKey.from_raw(bytes.fromhex(root.keys[key_id].keyval["public"]))
    except (KeyError, TypeError, ValueError) as error:
        raise KeyFileError(
            CloudReason.ROOT_INVALID,
            f"root {root.version}: key {key_id:.64} is no Ed25519 key; expected one",
        ) from error


def _signature(over_record: Any, key_id: str) -> bytes:
    """A signature of a draft, which may have been edited; empty for what is none."""
    found = over_record.get(key_id) if isinstance(over_record, dict) else None
    try:
        return bytes.fromhex(found or "")
    except (TypeError, ValueError):
        return b""
