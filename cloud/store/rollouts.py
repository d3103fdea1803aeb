"""Rollouts: where each pushed Channel File stands, and who has a seat.

Every change of state is written to the audit log in the same transaction; a halt puts the rollback
order in force, which the operator signed together with the content (`cloud.store.releases`). A
change that was decided on what is no longer so is refused (`ROLLOUT_CHANGED`): of two at once, one
counts.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace

from sqlalchemy import Connection, RowMapping, func, select, update

from cloud.errors import CloudReason, ContentStateError
from cloud.rollout.engine import Rollout, begin, supersede
from cloud.rollout.gates import Outcome, Verdict
from cloud.rollout.plan import Plan, from_text, to_text
from cloud.rollout.table import STAGES, State
from cloud.store import audit, releases
from cloud.store.database import insert_once, put
from cloud.store.tables import CRASHES, DETECTIONS, ROLLOUT_SEATS, ROLLOUTS

NANOSECONDS = 1e9


@dataclass(frozen=True, slots=True)
class Started:
    """What is known of a rollout from its beginning.

    new_instances: ids of the Template Instances that no complete version has. after_crash,
    after_detection: numbers of the latest reports before it began.
    """

    content_hash: bytes
    template_type: int
    version: int
    started_unix_ns: int
    new_instances: tuple[str, ...]
    prevents: bool
    after_crash: int = 0
    after_detection: int = 0

    @property
    def subject(self) -> str:
        """What the audit log calls it."""
        return f"{self.template_type}/{self.version} {self.content_hash.hex()}"


@dataclass(frozen=True, slots=True)
class Stored:
    """A rollout as of one revision, which rises with every change of its state."""

    started: Started
    rollout: Rollout
    revision: int
    looked_unix_ns: int


def start(connection: Connection, started: Started, plan: Plan, by: str) -> None:
    """Begin anew; older versions of the same Template Type that are under way are superseded."""
    now_ns = started.started_unix_ns
    for older in all_rollouts(connection):
        same = older.started.template_type == started.template_type
        if same and older.rollout.state in STAGES:
            after = supersede(older.rollout, now_ns / NANOSECONDS)
            change(connection, older, after, by, "supersede", now_ns)
    latest = [
        int(connection.execute(select(func.max(table.c.number))).scalar() or 0)
        for table in (CRASHES, DETECTIONS)
    ]
    started = replace(started, after_crash=latest[0], after_detection=latest[1])
    rollout = begin(plan, now_ns / NANOSECONDS)
    row = {
        **asdict(started),
        "new_instances": json.dumps(started.new_instances),
        "plan": to_text(plan),
        "revision": 1,
        "looked_unix_ns": 0,
        **_changing(rollout),
    }
    put(connection, ROLLOUTS, [row])
    detail = {"state": rollout.state, "plan": plan.name, "new_instances": started.new_instances}
    audit.append(connection, by, "push", started.subject, detail, now_ns)


def change(
    connection: Connection,
    before: Stored,
    after: Rollout,
    by: str,
    action: str,
    now_ns: int,
    **detail: object,
) -> None:
    """A new state; ContentStateError where somebody else has changed it since it was read."""
    ours = (ROLLOUTS.c.content_hash == before.started.content_hash) & (
        ROLLOUTS.c.revision == before.revision
    )
    row = {**_changing(after), "revision": before.revision + 1}
    if not connection.execute(update(ROLLOUTS).where(ours).values(row)).rowcount:
        raise changed(before.started.subject, "another order or look came first")
    if after.state is State.HALTED and before.rollout.state is not State.HALTED:
        releases.halt(connection, before.started.content_hash, now_ns)
    facts = {"from": before.rollout.state, "to": after.state, "paused": after.paused}
    told = {**facts, "reason": after.reason, **detail}
    audit.append(connection, by, action, before.started.subject, told, now_ns)


def note_look(connection: Connection, before: Stored, after: Rollout, now_ns: int) -> None:
    """How the gates stand; nothing where the state has changed meanwhile."""
    ours = (ROLLOUTS.c.content_hash == before.started.content_hash) & (
        ROLLOUTS.c.revision == before.revision
    )
    row = {**_changing(after), "looked_unix_ns": now_ns}
    connection.execute(update(ROLLOUTS).where(ours).values(row))


def all_rollouts(connection: Connection) -> tuple[Stored, ...]:
    """Every rollout, oldest first."""
    rows = connection.execute(select(ROLLOUTS).order_by(ROLLOUTS.c.started_unix_ns)).mappings()
    return tuple(map(_stored, rows))


def find(connection: Connection, content_hash: bytes) -> Stored | None:
    """The rollout of one Channel File."""
    query = select(ROLLOUTS).where(ROLLOUTS.c.content_hash == content_hash)
    row = connection.execute(query).mappings().first()
    return None if row is None else _stored(row)


def seats(connection: Connection) -> Mapping[bytes, frozenset[str]]:
    """Who may be reached, by content hash."""
    found: dict[bytes, set[str]] = {}
    for content_hash, agent_id in connection.execute(select(ROLLOUT_SEATS)):
        found.setdefault(content_hash, set()).add(agent_id)
    return {name: frozenset(agents) for name, agents in found.items()}


def add_seats(connection: Connection, content_hash: bytes, agents: Iterable[str]) -> None:
    """These may be reached from now on."""
    rows = [{"content_hash": content_hash, "agent_id": one} for one in agents]
    insert_once(connection, ROLLOUT_SEATS, rows)


def changed(subject: str, found: str) -> ContentStateError:
    """Somebody was faster, or the operator believes something else."""
    return ContentStateError(CloudReason.ROLLOUT_CHANGED, f"rollout of {subject}: {found}")


def _changing(rollout: Rollout) -> dict[str, object]:
    return {
        "state": rollout.state.value,
        "paused": rollout.paused,
        "baked": rollout.baked,
        "waited": rollout.waited,
        "general_since": rollout.general_since,
        "reason": rollout.reason,
        "verdicts": json.dumps([asdict(one) for one in rollout.verdicts]),
    }


def _stored(row: RowMapping) -> Stored:
    verdicts = tuple(
        Verdict(**{**one, "outcome": Outcome(one["outcome"])})
        for one in json.loads(row["verdicts"])
    )
    rollout = Rollout(
        from_text(row["plan"]),
        State(row["state"]),
        row["paused"],
        row["baked"],
        row["waited"],
        row["general_since"],
        row["reason"],
        verdicts,
    )
    started = Started(
        row["content_hash"],
        row["template_type"],
        row["version"],
        row["started_unix_ns"],
        tuple(json.loads(row["new_instances"])),
        row["prevents"],
        row["after_crash"],
        row["after_detection"],
    )
    return Stored(started, rollout, row["revision"], row["looked_unix_ns"])
