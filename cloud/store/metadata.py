"""The repository's metadata in the store: every root, and the newest few versions of the others."""

from typing import Any

from sqlalchemy import Connection, delete, func, select
from tuf.api.metadata import Metadata, Root

from cloud.store.database import put
from cloud.store.tables import TRUST_METADATA

KEPT_VERSIONS = 8
"""A sensor in the middle of a refresh still gets what the timestamp that it has seen names."""


def newest(connection: Connection, role: str) -> bytes | None:
    """The newest metadata of a role, as signed."""
    query = select(TRUST_METADATA.c.data).where(TRUST_METADATA.c.role == role)
    row = connection.execute(query.order_by(TRUST_METADATA.c.version.desc()).limit(1)).scalar()
    return None if row is None else bytes(row)


def newest_root(connection: Connection) -> Metadata[Root] | None:
    """The root metadata in force; None in a store that has no repository."""
    data = newest(connection, "root")
    return None if data is None else Metadata[Root].from_bytes(data)


def everything(connection: Connection) -> dict[tuple[str, int], bytes]:
    """All that is kept, by role and version."""
    columns = (TRUST_METADATA.c.role, TRUST_METADATA.c.version, TRUST_METADATA.c.data)
    return {(row[0], row[1]): bytes(row[2]) for row in connection.execute(select(*columns))}


def add(connection: Connection, metadata: Metadata[Any]) -> bytes:
    """Store the next version of a role; returns it as signed."""
    role, version = metadata.signed.type, metadata.signed.version
    data = metadata.to_bytes()
    put(connection, TRUST_METADATA, [{"role": role, "version": version, "data": data}])
    if role != Root.type:
        connection.execute(
            delete(TRUST_METADATA).where(
                TRUST_METADATA.c.role == role, TRUST_METADATA.c.version <= version - KEPT_VERSIONS
            )
        )
    return data


def versions(connection: Connection) -> int:
    """A number that changes with every new root and every new timestamp."""
    query = select(func.max(TRUST_METADATA.c.version)).group_by(TRUST_METADATA.c.role)
    return sum(int(row[0]) for row in connection.execute(query))
