"""Channel Files as pushed, and the orders to give them up."""

from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from bulkhead.v1.sensor_service_pb2 import Revocation
from cloud.offers import Release
from cloud.store import metadata
from cloud.store.database import put
from cloud.store.tables import AUDIT, RELEASES, REVOCATIONS, ROLLOUT_SEATS


@dataclass(frozen=True, slots=True)
class NewRelease:
    """A Channel File that is being pushed; `signed` is the serialised SignedChannelFile.

    halt_order: a serialised Revocation that withdraws it.
    """

    content_hash: bytes
    template_type: int
    version: int
    instances: int
    unsafe: bool
    signed: bytes
    halt_order: bytes


def push(connection: Connection, new: NewRelease, now_ns: int) -> int:
    """Store a release, or offer one that is there already once more; returns its push number."""
    number = int(connection.execute(select(func.max(RELEASES.c.push))).scalar() or 0) + 1
    moment = {
        "push": number,
        "pushed_unix_ns": now_ns,
        "unsafe": new.unsafe,
        "signed": new.signed,
        "halt_order": new.halt_order,
    }
    known = connection.execute(
        update(RELEASES).where(RELEASES.c.content_hash == new.content_hash).values(moment)
    )
    if not known.rowcount:
        connection.execute(
            insert(RELEASES).values(
                content_hash=new.content_hash,
                template_type=new.template_type,
                version=new.version,
                instances=new.instances,
                **moment,
            )
        )
    return number


def all_releases(connection: Connection) -> tuple[Release, ...]:
    """Every release, in the order of its last push, without its content."""
    found = connection.execute(
        select(
            RELEASES.c.content_hash,
            RELEASES.c.template_type,
            RELEASES.c.version,
            func.length(RELEASES.c.signed).label("size_bytes"),
            RELEASES.c.push,
            RELEASES.c.unsafe,
            REVOCATIONS.c.revoked_unix_ns,
        )
        .outerjoin(REVOCATIONS, REVOCATIONS.c.content_hash == RELEASES.c.content_hash)
        .order_by(RELEASES.c.push)
    )
    return tuple(map(_release, found.mappings()))


def newest_version(connection: Connection, template_type: int) -> int:
    """The highest version pushed for a Template Type, revoked ones included, unsafe ones not."""
    found = connection.execute(
        select(func.max(RELEASES.c.version, type_=RELEASES.c.version.type)).where(
            RELEASES.c.template_type == template_type, ~RELEASES.c.unsafe
        )
    ).scalar()
    return found or 0


def generation(connection: Connection) -> tuple[int, ...]:
    """Numbers of which one changes with whatever decides what is offered to whom, or verified."""
    pushes = select(func.coalesce(func.max(RELEASES.c.push), 0)).scalar_subquery()
    revoked = func.coalesce(func.max(REVOCATIONS.c.revoked_unix_ns), 0) + func.count()
    revocations = select(revoked).select_from(REVOCATIONS).scalar_subquery()
    orders = select(func.coalesce(func.max(AUDIT.c.number), 0)).scalar_subquery()
    seats = select(func.count()).select_from(ROLLOUT_SEATS).scalar_subquery()
    row = connection.execute(select(pushes, revocations, orders, seats)).one()
    return (*(int(number) for number in row), metadata.versions(connection))


def signed_bytes(connection: Connection, content_hash: bytes) -> bytes | None:
    """The serialised SignedChannelFile of a release."""
    found = connection.execute(
        select(RELEASES.c.signed).where(RELEASES.c.content_hash == content_hash)
    ).scalar()
    return None if found is None else bytes(found)


def instance_counts(connection: Connection) -> dict[bytes, tuple[int, int]]:
    """By content hash: how many Template Instances, and when it was pushed (ns since the epoch)."""
    columns = (RELEASES.c.content_hash, RELEASES.c.instances, RELEASES.c.pushed_unix_ns)
    return {row[0]: (row[1], row[2]) for row in connection.execute(select(*columns))}


def revoke(connection: Connection, revocation: Revocation, now_ns: int) -> bool:
    """Store an order to give a release up; it renews one that is there. Whether there was none."""
    row = {
        "content_hash": revocation.content_hash,
        "revoked_unix_ns": now_ns,
        "revocation": revocation.SerializeToString(),
    }
    there = select(REVOCATIONS.c.content_hash).where(
        REVOCATIONS.c.content_hash == revocation.content_hash
    )
    news = connection.execute(there).first() is None
    put(connection, REVOCATIONS, [row])
    return news


def renew_order(connection: Connection, revocation: Revocation) -> None:
    """The same order with other signatures."""
    connection.execute(
        update(REVOCATIONS)
        .where(REVOCATIONS.c.content_hash == revocation.content_hash)
        .values(revocation=revocation.SerializeToString())
    )


def sign_anew(
    connection: Connection, content_hash: bytes, signed: bytes, halt_order: bytes | None = None
) -> None:
    """The same release with other signatures; nobody is offered it again for that."""
    values = {"signed": signed} | ({} if halt_order is None else {"halt_order": halt_order})
    connection.execute(
        update(RELEASES).where(RELEASES.c.content_hash == content_hash).values(values)
    )


def offer_again(connection: Connection, content_hash: bytes, now_ns: int) -> None:
    """Count a release as pushed once more: hosts that had not taken it are offered it again."""
    number = int(connection.execute(select(func.max(RELEASES.c.push))).scalar() or 0) + 1
    connection.execute(
        update(RELEASES)
        .where(RELEASES.c.content_hash == content_hash)
        .values(push=number, pushed_unix_ns=now_ns)
    )


def halt_order(connection: Connection, content_hash: bytes) -> Revocation | None:
    """The order that was signed with a release, if there is such a release."""
    query = select(RELEASES.c.halt_order).where(RELEASES.c.content_hash == content_hash)
    order = connection.execute(query).scalar()
    return Revocation.FromString(bytes(order)) if order else None


def halt(connection: Connection, content_hash: bytes, now_ns: int) -> bool:
    """Withdraw a release by the order that was signed with it; whether that is news.

    For who has to act within a second and holds no key. False as well where the release is unknown.
    """
    order = halt_order(connection, content_hash)
    revoked = {one.content_hash for one in all_releases(connection) if one.revoked}
    if order is None or content_hash in revoked:
        return False
    return revoke(connection, order, now_ns)


def revocations(connection: Connection) -> dict[bytes, Revocation]:
    """All orders, by content hash."""
    rows = connection.execute(select(REVOCATIONS.c.content_hash, REVOCATIONS.c.revocation))
    return {content_hash: Revocation.FromString(order) for content_hash, order in rows}


def _release(row: RowMapping) -> Release:
    return Release(
        content_hash=row["content_hash"],
        template_type=row["template_type"],
        version=row["version"],
        size_bytes=row["size_bytes"],
        push=row["push"],
        unsafe=row["unsafe"],
        revoked=row["revoked_unix_ns"] is not None,
    )
