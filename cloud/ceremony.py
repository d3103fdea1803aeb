"""How keys are replaced: propose, sign, publish. The server is asked for nothing secret.

    propose   the next root metadata: keys added and removed, another threshold; nothing is signed
    sign      wherever a root key is: the metadata, and the trust record that says the same
    publish   one transaction: enough root keys of both versions have signed; if targets keys have
              changed, the targets metadata, the Channel Files that they name and the orders in
              force are signed anew with the keys that count from now on

A draft is a root.json that lacks signatures; it may travel on any medium and needs no secrecy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata, Root, Targets

from bulkhead.v1.channel_file_pb2 import Signature, SignedChannelFile
from bulkhead.v1.sensor_service_pb2 import Revocation
from cloud.errors import CloudReason, KeyFileError
from cloud.repository import (
    DEVELOPMENT,
    next_root,
    require_follows,
    target_name,
    trusted_keys,
)
from cloud.revoke import told_order
from cloud.signing import SigningKey, TrustedKey
from cloud.store import audit, metadata, releases
from cloud.store.audit import UNNAMED
from cloud.targets import change_targets


@dataclass(frozen=True, slots=True)
class Change:
    """To the keys of one role; threshold 0 leaves it as it is."""

    role: str
    add: tuple[TrustedKey, ...] = ()
    remove: tuple[str, ...] = ()
    threshold: int = 0


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing came to; signed_anew: Channel Files and orders."""

    version: int
    signed_anew: int


def proposed(before: Metadata[Root], change: Change, now: datetime) -> Metadata[Root]:
    """The next root metadata, without signatures; KeyFileError for a change that can't be."""
    after = next_root(before, now)
    root, role = after.signed, after.signed.roles[change.role]
    for prefix in change.remove:
        found = [name for name in role.keyids if name.startswith(prefix)]
        if len(found) != 1:
            raise KeyFileError(
                CloudReason.KEY_MISSING,
                f"key {prefix!a:.80}: {len(found)} keys of {change.role} begin so; expected one of "
                f"{', '.join(role.keyids)}",
            )
        root.revoke_key(found[0], change.role)
    for key in change.add:
        root.add_key(key.tuf_key(), change.role)
    role.threshold = change.threshold or role.threshold
    if not 1 <= role.threshold <= len(role.keyids):
        raise KeyFileError(
            CloudReason.KEY_THRESHOLD,
            f"{change.role}: threshold {role.threshold} with {len(role.keyids)} keys; expected 1 "
            "to as many as there are keys",
        )
    marked = set(root.unrecognized_fields.get(DEVELOPMENT, ()))
    root.unrecognized_fields[DEVELOPMENT] = sorted(marked & root.keys.keys())
    return after


def publish(
    connection: Connection,
    draft: Metadata[Root],
    keys: Sequence[SigningKey],
    now_ns: int,
    by: str = UNNAMED,
) -> Published:
    """Put root metadata in force; KeyFileError where they don't follow or a key is missing."""
    before = metadata.newest_root(connection)
    if before is None or draft.signed.version != before.signed.version + 1:
        found = "no repository" if before is None else f"root {before.signed.version} in force"
        raise KeyFileError(
            CloudReason.ROOT_INVALID,
            f"root {draft.signed.version}: {found}; expected the version that follows it",
        )
    require_follows(before, draft)
    targets = _targets(connection)
    metadata.add(connection, draft)
    signed_by = sorted(draft.signatures)
    subject = f"root {draft.signed.version}"
    audit.append(connection, by, "keys", subject, {"signed_by": signed_by}, now_ns)
    if targets is None or _still_signed(draft.signed, targets):
        return Published(draft.signed.version, 0)
    change_targets(connection, keys, now_ns, add=(), remove=())
    counting = {key.key_id for key in trusted_keys(draft.signed)}
    signers = [key for key in keys if key.key_id in counting]
    count = _sign_files(connection, targets.signed, signers) + _sign_orders(connection, signers)
    return Published(draft.signed.version, count)


def countersign(
    connection: Connection, content_hash: bytes, key: SigningKey, now_ns: int, by: str = UNNAMED
) -> None:
    """Add a customer's signature to a Channel File, which is offered once more by that."""
    data = releases.signed_bytes(connection, content_hash)
    if data is None:
        raise KeyFileError(CloudReason.CONTENT_UNKNOWN, f"{content_hash.hex()}: not in the store")
    envelope = SignedChannelFile.FromString(data)
    _add_signature(envelope, key.sign_channel_file(envelope.payload))
    releases.sign_anew(connection, content_hash, envelope.SerializeToString())
    releases.offer_again(connection, content_hash, now_ns)
    detail = {"key": key.key_id}
    audit.append(connection, by, "countersign", content_hash.hex(), detail, now_ns)


def _targets(connection: Connection) -> Metadata[Targets] | None:
    data = metadata.newest(connection, "targets")
    return None if data is None else Metadata[Targets].from_bytes(data)


def _still_signed(root: Root, targets: Metadata[Targets]) -> bool:
    try:
        root.verify_delegate("targets", targets.signed_bytes, targets.signatures)
    except UnsignedMetadataError:
        return False
    return True


def _sign_files(connection: Connection, targets: Targets, keys: Sequence[SigningKey]) -> int:
    named = [
        one.content_hash
        for one in releases.all_releases(connection)
        if target_name(one.content_hash) in targets.targets and not one.revoked
    ]
    for content_hash in named:
        envelope = SignedChannelFile.FromString(
            releases.signed_bytes(connection, content_hash) or b""
        )
        for key in keys:
            _add_signature(envelope, key.sign_channel_file(envelope.payload))
        order = releases.halt_order(connection, content_hash) or Revocation()
        _sign_order(order, keys)
        releases.sign_anew(
            connection, content_hash, envelope.SerializeToString(), order.SerializeToString()
        )
    return len(named)


def _sign_orders(connection: Connection, keys: Sequence[SigningKey]) -> int:
    orders = releases.revocations(connection)
    for order in orders.values():
        _sign_order(order, keys)
        releases.renew_order(connection, order)
    return len(orders)


def _sign_order(order: Revocation, keys: Sequence[SigningKey]) -> None:
    for key in keys:
        _add_signature(order, key.sign_order(told_order(order)))


def _add_signature(message: SignedChannelFile | Revocation, new: Signature) -> None:
    """Once per key, the newest first: sensors look at a limited number."""
    kept = [one for one in message.signatures if one.key_id != new.key_id]
    del message.signatures[:]
    message.signatures.extend([new, *kept])
