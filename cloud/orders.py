"""The operators' side of rollouts, policies and audit log: find, decide with the engine, store.

Each order is one transaction: what it was decided on is what is changed. An order that names the
stage it is meant for is refused if the rollout has gone on meanwhile, so that two operators can't
waive two stages by believing that they waive one. `seen`, where given, is the revision that whoever
gives the order has looked at: if there is a newer one, the order is refused as well.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from cloud.errors import AuditError, CloudReason, ContentStateError, PolicyError
from cloud.limits import LIMITS
from cloud.rollout import audit as chain
from cloud.rollout import engine
from cloud.rollout.engine import Rollout
from cloud.rollout.policy import ContentUpdatePolicy
from cloud.rollout.table import IllegalMoveError, State
from cloud.store import audit, releases, rollouts
from cloud.store.database import Database
from cloud.store.rollouts import NANOSECONDS, Stored

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
LONGEST_DELAY_HOURS = 24.0 * 365
FRESH_SECONDS = 15.0
"""Gates as of an older look than that say nothing: nobody serves the cloud."""


def promote(
    database: Database, content_hash: bytes, stage: State, by: str, seen: int | None = None
) -> Stored:
    """Go up from this stage, whose gates have all passed as of a look of now."""

    def decide(stored: Stored, now_ns: int) -> Rollout:
        _require_seen(stored, seen)
        _require_stage(stored, stage)
        age = (now_ns - stored.looked_unix_ns) / NANOSECONDS
        if abs(age) > FRESH_SECONDS:
            raise _refused(stored, "nobody has looked at its gates lately; is the cloud served?")
        return engine.promote(stored.rollout, now_ns / NANOSECONDS)

    return _order(database, content_hash, by, "promote", decide)


def override(
    database: Database, content_hash: bytes, stage: State, by: Sequence[str], reason: str
) -> Stored:
    """Two operators take this stage as passed; both names are written down, with the reason."""

    def decide(stored: Stored, now_ns: int) -> Rollout:
        _require_stage(stored, stage)
        return engine.override(stored.rollout, frozenset(by), now_ns / NANOSECONDS)

    named = " and ".join(sorted(frozenset(by)))
    return _order(database, content_hash, named, "override", decide, waived_because=reason)


def pause(
    database: Database, content_hash: bytes, by: str, *, paused: bool, seen: int | None = None
) -> Stored:
    """Offer nothing more for now, or go on."""

    def decide(stored: Stored, _: int) -> Rollout:
        _require_seen(stored, seen)
        return engine.pause(stored.rollout, paused=paused)

    return _order(database, content_hash, by, "pause" if paused else "resume", decide)


def halt(database: Database, content_hash: bytes, by: str, reason: str) -> Stored:
    """Stop for good, and take it back from all who have it."""
    return _order(
        database,
        content_hash,
        by,
        "halt",
        lambda stored, now_ns: engine.halt(
            stored.rollout, reason or f"by {by}", now_ns / NANOSECONDS
        ),
    )


def order_expired(connection: Connection, content_hash: bytes, now_ns: int) -> bool:
    """Whether hosts that come back now keep what was withdrawn: no order for it is valid any more.

    The order of a push is good for some weeks; `revoke` signs a new one.
    """
    order = releases.revocations(connection).get(content_hash)
    return order is not None and order.expires_unix * NANOSECONDS <= now_ns


def require_group(name: str) -> str:
    """The name of a group; PolicyError if it is none."""
    if not NAME.fullmatch(name):
        raise PolicyError(
            CloudReason.POLICY_INVALID,
            f"group {name!a:.100}: expected 1 to 63 of a-z 0-9 . _ -, a letter or digit first",
        )
    return name


def require_policy(policy: ContentUpdatePolicy, *, every_category: bool) -> ContentUpdatePolicy:
    """A policy that can be meant; PolicyError otherwise."""
    if not 0 <= policy.delay_hours <= LONGEST_DELAY_HOURS:
        raise PolicyError(
            CloudReason.POLICY_INVALID,
            f"delay of {policy.delay_hours:g} hours: expected 0 to {LONGEST_DELAY_HOURS:g}",
        )
    if policy.pinned and every_category:
        raise PolicyError(
            CloudReason.POLICY_INVALID,
            f"pinned to {policy.pinned} for every Template Type: expected one Template Type",
        )
    return policy


def verify(connection: Connection, head: bytes | None) -> int:
    """How many entries the audit log has; AuditError names the first that is broken."""
    broken = chain.first_broken(audit.entries(connection), head)
    if broken is not None:
        raise AuditError(
            CloudReason.AUDIT_BROKEN,
            f"entry {broken.number}: found {broken.found}, expected {broken.expected}",
        )
    return audit.newest_number(connection)


def _order(
    database: Database,
    content_hash: bytes,
    by: str,
    action: str,
    decide: Callable[[Stored, int], Rollout],
    **detail: str,
) -> Stored:
    now_ns = time.time_ns()
    with database.writing() as connection:
        stored = rollouts.find(connection, content_hash)
        if stored is None:
            raise ContentStateError(
                CloudReason.ROLLOUT_UNKNOWN, f"{content_hash.hex()}: has no rollout"
            )
        try:
            after = decide(stored, now_ns)
        except IllegalMoveError as error:
            raise _refused(stored, str(error)) from error
        told = {name: text[: LIMITS.reason_characters] for name, text in detail.items()}
        rollouts.change(connection, stored, after, by, action, now_ns, **told)
    return replace(stored, rollout=after, revision=stored.revision + 1)


def _require_seen(stored: Stored, seen: int | None) -> None:
    if seen not in (None, stored.revision):
        raise rollouts.changed(
            stored.started.subject,
            f"is {stored.rollout.state} in revision {stored.revision}, and {seen} was looked at",
        )


def _require_stage(stored: Stored, stage: State) -> None:
    if stored.rollout.state is not stage:
        raise rollouts.changed(
            stored.started.subject, f"is {stored.rollout.state}, expected {stage}"
        )


def _refused(stored: Stored, why: str) -> ContentStateError:
    return ContentStateError(
        CloudReason.ROLLOUT_REFUSED, f"rollout of {stored.started.subject}: {why}"
    )
