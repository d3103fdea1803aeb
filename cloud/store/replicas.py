"""Serving processes that share a store: which of them live, and which one looks at rollouts.

A replica lives as long as it says so before its lease ends, by the database's clock: no other clock
counts, and all replicas have that one in common. The lease of a task is held in the same way, by
one of them; its term rises with each change of hands. What its holder stores is stored only while
the term is still its own (`require_leader`, in the same transaction): who was cut off and believes
to lead can't store anything.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, extract, func, insert, select, update

from cloud.errors import CloudReason, ContentStateError
from cloud.store.database import put
from cloud.store.tables import HOSTS, LEADERS, REPLICAS

ROLLOUTS = "rollouts"
"""The task of looking at rollouts."""

SEPARATOR = "/"
"""Between a replica and what it calls a session: a host's session says whose it is."""


@dataclass(frozen=True, slots=True)
class Replica:
    """A serving process: `replica` is new with every start, `name` says which folder it serves.

    unsafe: it skips the validator for what was pushed unsafely.
    """

    replica: str
    name: str
    address: str
    unsafe: bool


def join(connection: Connection, ours: Replica, lease_seconds: float) -> list[str]:
    """Begin to live; former processes that served the same folder are over. Their names."""
    former = (REPLICAS.c.name == ours.name) & (REPLICAS.c.replica != ours.replica)
    gone = _bury(connection, list(connection.execute(select(REPLICAS.c.replica).where(former))))
    enter(connection, ours, lease_seconds)
    return gone


def enter(connection: Connection, ours: Replica, lease_seconds: float) -> None:
    """Live, again after being taken for dead as well.

    Nobody else is over for that: a copy of the folder may have the same name by mistake.
    """
    row = {
        "replica": ours.replica,
        "name": ours.name,
        "address": ours.address,
        "unsafe": ours.unsafe,
        "expires": now(connection) + lease_seconds,
    }
    put(connection, REPLICAS, [row])


def renew(connection: Connection, ours: Replica, lease_seconds: float) -> bool:
    """Go on living; False for who was taken for dead meanwhile."""
    row = {"address": ours.address, "expires": now(connection) + lease_seconds}
    living = update(REPLICAS).where(REPLICAS.c.replica == ours.replica).values(row)
    return bool(connection.execute(living).rowcount)


def leave(connection: Connection, replica: str) -> None:
    """Live no longer: no host is connected to it, and another one may lead at once."""
    _bury(connection, [(replica,)])


def bury_expired(connection: Connection) -> list[str]:
    """No host is connected to replicas whose lease has ended; their names."""
    expired = select(REPLICAS.c.replica).where(REPLICAS.c.expires < now(connection))
    return _bury(connection, list(connection.execute(expired)))


def alive(connection: Connection) -> tuple[Replica, ...]:
    """Replicas whose lease has not ended, by name."""
    query = select(REPLICAS).where(REPLICAS.c.expires >= now(connection)).order_by(REPLICAS.c.name)
    return tuple(
        Replica(row["replica"], row["name"], row["address"], row["unsafe"])
        for row in connection.execute(query).mappings()
    )


def lead(connection: Connection, task: str, replica: str, lease_seconds: float) -> int | None:
    """Take or keep a task, unless somebody else has it; the term."""
    ours = LEADERS.c.task == task
    moment = now(connection)
    held = connection.execute(select(LEADERS).where(ours)).mappings().first()
    lease = {"replica": replica, "expires": moment + lease_seconds}
    if held is None:
        connection.execute(insert(LEADERS).values(task=task, term=1, **lease))
        return 1
    if held["replica"] != replica and held["expires"] >= moment:
        return None
    term = int(held["term"]) + int(held["replica"] != replica)
    connection.execute(update(LEADERS).where(ours).values(term=term, **lease))
    return term


def require_leader(connection: Connection, task: str, replica: str, term: int) -> None:
    """ContentStateError where somebody else has the task by now."""
    query = select(LEADERS.c.replica, LEADERS.c.term).where(LEADERS.c.task == task)
    held = connection.execute(query).first()
    if held is None or tuple(held) != (replica, term):
        raise ContentStateError(
            CloudReason.NOT_LEADER, f"{task}: another replica leads; expected term {term}"
        )


def now(connection: Connection) -> float:
    """Seconds since the epoch by the database's clock."""
    if connection.dialect.name == "postgresql":
        moment = extract("epoch", func.clock_timestamp())
        return float(connection.execute(select(moment)).scalar_one())
    days = func.julianday("now") - 2_440_587.5  # the epoch's own
    return float(connection.execute(select(days)).scalar_one()) * 86_400.0


def _bury(connection: Connection, replicas: list[tuple[str]]) -> list[str]:
    names: list[str] = []
    for (replica,) in replicas:
        ours = REPLICAS.c.replica == replica
        names += connection.execute(select(REPLICAS.c.name).where(ours)).scalars().all()
        connection.execute(delete(REPLICAS).where(ours))
        sessions = HOSTS.c.session.startswith(replica + SEPARATOR, autoescape=True)
        connection.execute(update(HOSTS).where(sessions).values(session=None))
        led = LEADERS.c.replica == replica
        connection.execute(update(LEADERS).where(led).values(expires=0.0))
    return names
