"""The operator's side of a revocation: find the release, sign the order, store it.

A revocation is an order to every host that may have the content to give it up and to return to
what it had before. It can't be taken back: the same content is never offered again.
"""

from collections.abc import Mapping, Sequence

from bulkhead.v1.sensor_service_pb2 import Revocation
from cloud.errors import CloudReason, ContentStateError
from cloud.limits import LIMITS
from cloud.offers import Release
from cloud.push import UNNAMED
from cloud.rollout.engine import halt
from cloud.rollout.table import State
from cloud.signing import SigningKey
from cloud.store import releases, rollouts
from cloud.store.database import Database
from cloud.store.rollouts import NANOSECONDS
from content.template_type import TemplateType

SHORTEST_PREFIX = 8
"""Hexadecimal digits of a hash that are enough to name a release."""


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
    key: SigningKey,
    reason: str,
    now_ns: int,
    by: str = UNNAMED,
) -> bool:
    """Store the signed order, which halts the rollout; False if there was one already."""
    order = Revocation(
        content_hash=release.content_hash,
        reason=reason[: LIMITS.reason_characters],
        signatures=[key.sign_revocation(release.content_hash)],
    )
    with database.writing() as connection:
        news = releases.revoke(connection, order, now_ns)
        stored = rollouts.find(connection, release.content_hash)
        if stored is not None and stored.rollout.state is not State.HALTED:
            halted = halt(stored.rollout, f"revoked: {order.reason}", now_ns / NANOSECONDS)
            rollouts.change(connection, stored, halted, by, "revoke", now_ns)
        return news
