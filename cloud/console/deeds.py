"""The orders that the console takes: each is one function of `cloud.orders`, or of its neighbours.

An operator gives one on what the page has shown: the form carries the stage and the revision of the
rollout, and if either is another one by now, the order is refused. A halt carries none, because it
is right in every stage. Whether an order is possible is decided where it always is.
"""

import tempfile
import time
from pathlib import Path

from cloud import orders, presigned, push
from cloud.authority import require_agent_id
from cloud.console.forms import Form, invalid
from cloud.console.pages import EVERY
from cloud.console.visit import Answer, Elsewhere, Visit
from cloud.errors import CloudReason, ContentStateError, PolicyError
from cloud.limits import LIMITS
from cloud.push import PushRefusedError
from cloud.rollout.policy import ContentUpdatePolicy, Ring
from cloud.rollout.table import State
from cloud.store import policies
from cloud.views import type_name

UPLOADED = "uploaded.channel"
PROBLEMS_TOLD = 5


def promote(visit: Visit) -> Answer:
    """Go up from the stage that was shown."""
    try:
        stage = State(visit.form.text("stage"))
    except ValueError as error:
        raise invalid("field stage: expected a stage") from error
    content_hash, seen = visit.hash_asked_for(), _seen(visit.form)
    after = orders.promote(visit.desk.database, content_hash, stage, visit.operator, seen)
    return _rollout(visit, f"Promoted to {after.rollout.state}.")


def pause(visit: Visit) -> Answer:
    """Offer nothing more for now."""
    return _pause(visit, paused=True)


def resume(visit: Visit) -> Answer:
    """Go on."""
    return _pause(visit, paused=False)


def halt(visit: Visit) -> Answer:
    """Stop for good, and take it back."""
    if not visit.form.ticked("sure"):
        raise invalid("the box that says that a halt is for good is not ticked")
    reason = visit.form.text("reason").strip()[: LIMITS.reason_characters]
    orders.halt(visit.desk.database, visit.hash_asked_for(), visit.operator, reason)
    return _rollout(visit, "Halted: it is taken back from every host that may have it.")


def set_policy(visit: Visit) -> Answer:
    """Replace the policy of a group for one category, or for all others."""
    form = visit.form
    group = orders.require_group(form.text("group"))
    number = _category(visit, form.text("category"))
    try:
        policy = ContentUpdatePolicy(
            ring=Ring(form.text("ring")),
            delay_hours=form.number("delay_hours"),
            pinned=int(form.number("pin", int)),
            paused=form.ticked("paused"),
            prevention=form.ticked("prevention"),
        )
    except ValueError as error:
        raise invalid("field ring: expected a ring") from error
    if not 0 <= policy.pinned < 2**64:
        raise invalid("field pin: expected a version, or 0 for any")
    orders.require_policy(policy, every_category=number == policies.EVERY_CATEGORY)
    with visit.desk.database.writing() as store:
        policies.set_policy(store, group, number, policy, visit.operator, time.time_ns())
    return Elsewhere("/policies", f"Policy of {group} set.")


def set_group(visit: Visit) -> Answer:
    """Put a host into a group."""
    agent_id = visit.form.text("agent_id")
    require_agent_id(agent_id)
    group = orders.require_group(visit.form.text("group"))
    with visit.desk.database.writing() as store:
        policies.set_group(store, agent_id, group, visit.operator, time.time_ns())
    return Elsewhere("/policies", f"{agent_id} is in group {group}.")


def push_signed(visit: Visit) -> Answer:
    """Push a release that was signed at a desk.

    1. its signatures, before anything else is looked at  2. the Content Validator  3. the push,
    which stores it only if the repository is still what it was signed for
    """
    desk = visit.desk
    if "release" not in visit.form.files:
        raise invalid("field release: expected a file that `bulkhead cloud sign` has written")
    # 1. Signatures.
    now_ns = time.time_ns()
    release = presigned.read(visit.form.files["release"], desk.cloud.trusted_keys(), now_ns)
    try:
        # 2. Validator.
        with tempfile.TemporaryDirectory(prefix="bulkhead-console-") as folder:
            file = Path(folder) / UPLOADED
            file.write_bytes(release.signed.SerializeToString())
            (candidate,) = push.read_candidates([file], desk.types, unsafe=False)
        # 3. Push.
        pushed = push.store_presigned(
            desk.database, candidate, release.keys, release.signed_ns, now_ns, visit.operator
        )
    except PushRefusedError as error:
        raise _refused(error) from error
    name = f"{type_name(pushed.template_type, desk.types)} {pushed.version}"
    again = " again" if pushed.repeated else ""
    return Elsewhere(f"/rollouts/{pushed.content_hash.hex()}", f"Pushed {name}{again}.")


def _pause(visit: Visit, *, paused: bool) -> Answer:
    database, content_hash = visit.desk.database, visit.hash_asked_for()
    orders.pause(database, content_hash, visit.operator, paused=paused, seen=_seen(visit.form))
    return _rollout(visit, "Paused." if paused else "Resumed.")


def _rollout(visit: Visit, note: str) -> Answer:
    return Elsewhere(f"/rollouts/{visit.hash_asked_for().hex()}", note)


def _seen(form: Form) -> int:
    return int(form.number("revision", int))


def _category(visit: Visit, name: str) -> int:
    numbers = {one.name: number for number, one in visit.desk.types.items()}
    if name == EVERY:
        return policies.EVERY_CATEGORY
    if name not in numbers:
        raise PolicyError(
            CloudReason.POLICY_INVALID, f"category {name!a:.100}: expected {EVERY} or a known one"
        )
    return numbers[name]


def _refused(error: PushRefusedError) -> ContentStateError:
    refusals = error.files[0].refusals
    told = "; ".join(
        f"{one.reason} at {one.place}: found {one.found}, expected {one.expected}"
        for one in refusals[:PROBLEMS_TOLD]
    )
    return ContentStateError(CloudReason.CONTENT_REFUSED, f"nothing was pushed: {told}")
