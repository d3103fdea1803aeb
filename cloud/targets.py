"""The targets metadata in the store, changed in the transaction of the push that they speak of."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection
from tuf.api.metadata import Metadata, Targets

from cloud.errors import KeyFileError
from cloud.repository import Target, changed_targets
from cloud.signing import Signer
from cloud.store import metadata, releases

NANOSECONDS = 1_000_000_000


def change_targets(
    connection: Connection,
    keys: Sequence[Signer],
    now_ns: int,
    *,
    add: Iterable[Target],
    remove: Iterable[bytes],
    unsafe: bool = False,
) -> None:
    """Store the next targets metadata; KeyFileError where the keys don't suffice.

    What is pushed unsafely with keys that nobody trusts becomes no target: a sensor has to refuse
    it, and only it. A store without a repository has no targets.
    """
    try:
        after = next_targets(connection, keys, now_ns, add=add, remove=remove)
    except KeyFileError:
        if unsafe:
            return
        raise
    if after is not None:
        metadata.add(connection, after)


def next_targets(
    connection: Connection,
    keys: Sequence[Signer],
    now_ns: int,
    *,
    add: Iterable[Target],
    remove: Iterable[bytes],
) -> Metadata[Targets] | None:
    """The next targets metadata, signed; KeyFileError where the keys don't suffice.

    Whatever was withdrawn since the last ones, as by a halt, which has no key, is no target either.
    None in a store without a repository.
    """
    root = metadata.newest_root(connection)
    if root is None:
        return None
    data = metadata.newest(connection, "targets")
    before = None if data is None else Metadata[Targets].from_bytes(data)
    now = datetime.fromtimestamp(now_ns // NANOSECONDS, UTC)
    withdrawn = [one.content_hash for one in releases.all_releases(connection) if one.revoked]
    return changed_targets(root.signed, before, add, [*remove, *withdrawn], keys, now)
