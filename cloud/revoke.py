"""The operator's side of a rollback order: find the release, sign the order, store it.

It orders every host that may have the content to give it up and to return to an earlier version,
and is valid for a time: whoever comes back later needs a new one (revoke again). It can't be taken
back: the same content is never offered again, and is no target of the repository any more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bulkhead.v1.sensor_service_pb2 import Revocation
from cloud.errors import CloudReason, ContentStateError
from cloud.limits import LIMITS
from cloud.offers import Release
from cloud.rollout.engine import halt
from cloud.rollout.table import State
from cloud.signing import Signer, SigningKey
from cloud.store import audit, releases, rollouts
from cloud.store.audit import UNNAMED
from cloud.store.database import Database
from cloud.targets import change_targets
from content.signing_domains import RollbackOrder
from content.template_type import TemplateType

NANOSECONDS = 1_000_000_000
SECONDS_PER_DAY = 86_400

SHORTEST_PREFIX = 8
"""Hexadecimal digits of a hash that are enough to name a release."""


@dataclass(frozen=True, slots=True)
class Why:
    """What an operator says of a revocation. days: for how long hosts follow it."""

    reason: str
    by: str = UNNAMED
    days: int = LIMITS.order_days


def find(known: Sequence[Release], target: str, types: Mapping[int, TemplateType]) -> Release:
    """The release that `target` names: a Template Type's newest, or a hash or its beginning.

    What was pushed unsafely is a Template Type's newest only where there is nothing else.
    Raises ContentStateError if there is none, or several.
    """
    numbers = {one.name: number for number, one in types.items()}
    if target in numbers or (target.isdecimal() and len(target) < SHORTEST_PREFIX):
        number = numbers.get(target) or int(target)
        of_type = [one for one in known if one.template_type == number and not one.revoked]
        of_type = [one for one in of_type if not one.unsafe] or of_type
        if not of_type:
            raise ContentStateError(
                CloudReason.CONTENT_UNKNOWN,
                f"{target!a}: nothing of this Template Type is offered",
            )
        return max(of_type, key=lambda one: (one.version, one.push))
    wanted = target.lower()
    found = [one for one in known if one.content_hash.hex().startswith(wanted)]
    if len(target) < SHORTEST_PREFIX or not found:
        raise ContentStateError(
            CloudReason.CONTENT_UNKNOWN,
            f"{target[:80]!a}: expected a Template Type ({', '.join(numbers)}) or at least "
            f"{SHORTEST_PREFIX} hexadecimal digits of the hash of a pushed Channel File",
        )
    if len(found) > 1:
        raise ContentStateError(
            CloudReason.CONTENT_AMBIGUOUS, f"{target!a}: {len(found)} Channel Files begin so"
        )
    return found[0]


def revoke(
    database: Database,
    release: Release,
    keys: Sequence[SigningKey],
    why: Why,
    now_ns: int,
) -> bool:
    """Store the signed order, which halts the rollout; False if it renews one.

    KeyFileError where the keys don't suffice, StoreError where the store refuses: nothing is stored
    then.
    """
    with database.writing() as connection:
        to_version = version_before(releases.all_releases(connection), release)
        told = order_of(release, to_version, why.reason, now_ns, why.days)
        order = signed_order(told, keys)
        removed = [release.content_hash]
        change_targets(connection, keys, now_ns, add=(), remove=removed, unsafe=release.unsafe)
        news = releases.revoke(connection, order, now_ns)
        stored = rollouts.find(connection, release.content_hash)
        if stored is not None and stored.rollout.state is not State.HALTED:
            halted = halt(stored.rollout, f"revoked: {order.reason}", now_ns / NANOSECONDS)
            rollouts.change(connection, stored, halted, why.by, "revoke", now_ns)
        elif stored is not None:
            detail = {"reason": order.reason, "expires_unix": order.expires_unix}
            audit.append(connection, why.by, "renew", stored.started.subject, detail, now_ns)
        return news


def version_before(known: Sequence[Release], release: Release) -> int:
    """The newest version of the same Template Type that hosts may go back to; 0 for none."""
    earlier = [
        one.version
        for one in known
        if one.template_type == release.template_type
        and one.version < release.version
        and not (one.revoked or one.unsafe)
    ]
    return max(earlier, default=0)


def order_of(
    release: Release, to_version: int, reason: str, now_ns: int, days: int = LIMITS.order_days
) -> RollbackOrder:
    """An order to every host to give this release up."""
    now = now_ns // NANOSECONDS
    return RollbackOrder(
        release.content_hash,
        release.template_type,
        release.version,
        to_version,
        "",
        now,
        now + days * SECONDS_PER_DAY,
        reason[: LIMITS.reason_characters],
    )


def signed_order(order: RollbackOrder, keys: Sequence[Signer]) -> Revocation:
    """The order as it travels."""
    return Revocation(
        content_hash=order.content_hash,
        template_type=order.template_type,
        from_version=order.from_version,
        to_version=order.to_version,
        group=order.group,
        issued_unix=order.issued_unix,
        expires_unix=order.expires_unix,
        reason=order.reason,
        signatures=[key.sign_order(order) for key in keys],
    )


def told_order(order: Revocation) -> RollbackOrder:
    """What a stored order says."""
    return RollbackOrder(
        order.content_hash,
        order.template_type,
        order.from_version,
        order.to_version,
        order.group,
        order.issued_unix,
        order.expires_unix,
        order.reason,
    )
