"""What the serving process signs: snapshot and timestamp, with keys that it holds itself.

Done whenever targets or root metadata have changed, and long before anything expires. Whoever takes
these keys can say that nothing is new, for as long as targets metadata are valid; not what is.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection
from tuf.api.metadata import Metadata, Root, Snapshot, Timestamp

from cloud.errors import CloudReason, KeyFileError
from cloud.repository import is_current, next_snapshot, next_timestamp
from cloud.signing import SigningKey
from cloud.store import metadata
from cloud.store.database import Database


def publish(database: Database, keys: Sequence[SigningKey], now: datetime) -> bool:
    """Sign what has to be signed; whether anything had to. KeyFileError without the right keys."""
    with database.reading() as connection:
        if _is_due(connection, now) is None:
            return False
    with database.writing() as connection:
        due = _is_due(connection, now)
        if due is None:
            return False
        root, targets = due
        snapshot = _snapshot(connection, root, targets, keys, now)
        _timestamp(connection, root, snapshot, keys, now)
    return True


def _is_due(connection: Connection, now: datetime) -> tuple[Root, bytes] | None:
    """Root and targets metadata, if snapshot or timestamp don't fit them or grow old."""
    root, targets = metadata.newest_root(connection), metadata.newest(connection, "targets")
    if root is None or targets is None:
        return None
    snapshot = metadata.newest(connection, "snapshot")
    timestamp = metadata.newest(connection, "timestamp")
    if snapshot is None or timestamp is None:
        return root.signed, targets
    current = (
        _fits(Metadata[Snapshot].from_bytes(snapshot), targets)
        and is_current(root.signed, Metadata[Snapshot].from_bytes(snapshot), now)
        and is_current(root.signed, Metadata[Timestamp].from_bytes(timestamp), now)
    )
    return None if current else (root.signed, targets)


def _fits(snapshot: Metadata[Snapshot], targets: bytes) -> bool:
    named = snapshot.signed.meta["targets.json"]
    return named.length == len(targets) and _version(targets) == named.version


def _version(data: bytes) -> int:
    return int(Metadata.from_bytes(data).signed.version)


def _snapshot(
    connection: Connection, root: Root, targets: bytes, keys: Sequence[SigningKey], now: datetime
) -> bytes:
    data = metadata.newest(connection, "snapshot")
    before = None if data is None else Metadata[Snapshot].from_bytes(data)
    if before and data and _fits(before, targets) and is_current(root, before, now):
        return data
    after = next_snapshot(root, before, targets, _key(keys, root, "snapshot"), now)
    return metadata.add(connection, after)


def _timestamp(
    connection: Connection, root: Root, snapshot: bytes, keys: Sequence[SigningKey], now: datetime
) -> None:
    data = metadata.newest(connection, "timestamp")
    before = None if data is None else Metadata[Timestamp].from_bytes(data)
    after = next_timestamp(root, before, snapshot, _key(keys, root, "timestamp"), now)
    metadata.add(connection, after)


def _key(keys: Sequence[SigningKey], root: Root, role: str) -> SigningKey:
    wanted = root.roles[role].keyids
    for key in keys:
        if key.key_id in wanted:
            return key
    raise KeyFileError(
        CloudReason.KEY_MISSING,
        f"{role}: none of the serving process's keys is named by root {root.version}; "
        f"expected one of {', '.join(wanted)}",
    )
