"""Whether a rollback order is to be carried out, and what is in force afterwards. Pure.

A downgrade happens only by such an order (and by what kills evaluators here: last known good).
The checks, each with its reason code:

    1. signed by as many targets keys as the trust record asks for     SIGNATURE_INVALID
    2. not expired, and not valid for longer than an order may be      ORDER_EXPIRED, ORDER_LIFETIME
    3. for this host's group, or for every host                        ORDER_FOREIGN
    4. not carried out before                                          ORDER_REPLAYED
    5. about this content: Template Type and version fit its hash      ORDER_OTHER_CONTENT

An order that was carried out before and whose content is still given up is no replay, but the same
order told again, as after a reconnection: it changes nothing and is answered with the state.
"""

from collections.abc import Mapping
from typing import Any

from agent.lifecycle import Event
from agent.supervisor.limits import LIMITS
from agent.supervisor.manifest import Manifest, StoredFile
from agent.supervisor.payload import Problem, problem
from agent.supervisor.trust import Trust, signatures_of
from content.signing_domains import RollbackOrder

SECONDS_PER_DAY = 86_400


def told_order(content_hash: str, message: Mapping[str, Any]) -> RollbackOrder:
    """The order as the link tells it; nothing of it is believed yet."""
    return RollbackOrder(
        bytes.fromhex(content_hash),
        message["template_type"],
        message["from_version"],
        message["to_version"],
        message["group"],
        message["issued"],
        message["expires"],
        message["reason"],
    )


def refusal(
    order: RollbackOrder,
    signatures: list[Any],
    trust: Trust,
    manifest: Manifest,
    *,
    group: str,
    now: float,
) -> Problem | None:
    """Why the order is not carried out, or None."""
    # 1. Signed.
    try:
        signed = trust.signed_order(order, signatures_of(signatures))
    except ValueError:  # no order at all: numbers or texts that can't be written
        signed = False
    if not signed:
        return _problem("SIGNATURE_INVALID", "no good signature", "a signed order")
    # 2. In its time.
    if order.expires_unix <= now:
        late = f"expired {int(now) - order.expires_unix} s ago"
        return _problem("ORDER_EXPIRED", late, "an order that is valid by this host's clock")
    if order.expires_unix > now + LIMITS.order_days * SECONDS_PER_DAY:
        days = f"{(order.expires_unix - now) / SECONDS_PER_DAY:.0f} days"
        return _problem("ORDER_LIFETIME", days, f"at most {LIMITS.order_days} days")
    # 3. For this host.
    if order.group not in ("", group):
        return _problem("ORDER_FOREIGN", f"group {order.group:.64}", f"group {group:.64} or all")
    # 4. Not a replay.
    given_up = manifest.refusal(order.content_hash.hex()) is not None
    if order.order_id in manifest.orders and not given_up:
        return _problem("ORDER_REPLAYED", f"order {order.order_id:.16}", "an order of its own")
    # 5. About what it says.
    file = _file(order, manifest)
    if file and (file.template_type, file.version) != (order.template_type, order.from_version):
        found = f"Template Type {order.template_type} version {order.from_version}"
        expected = f"Template Type {file.template_type} version {file.version}"
        return _problem("ORDER_OTHER_CONTENT", found, expected)
    return None


def carried_out(order: RollbackOrder, manifest: Manifest, now: float) -> Manifest:
    """What is in force and refused afterwards."""
    if order.order_id in manifest.orders:
        return manifest
    if order.to_version:
        manifest = manifest.not_above(order.template_type, order.to_version)
    content_hash = order.content_hash.hex()
    manifest = manifest.give_up(content_hash, Event.REVOKED, "REVOKED", "", since=int(now))
    return manifest.carried_out(order.order_id)


def _file(order: RollbackOrder, manifest: Manifest) -> StoredFile | None:
    previous = [file for files in manifest.previous.values() for file in files]
    content_hash = order.content_hash.hex()
    files = [*manifest.active.values(), *previous]
    return next((file for file in files if file.hash == content_hash), None)


def _problem(reason: str, found: str, expected: str) -> Problem:
    return problem(reason, "revocation", found, expected)
