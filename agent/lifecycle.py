"""The life of a Channel File on a sensor, as one table. Pure, standard library only.

    received → verified → trial → active (on probation) → accepted (last known good)

and out of each of these: rejected (never saw an event), quarantined (killed an evaluator),
rolled back (revoked by a signed order) or superseded by a newer version. `next_state` is the only
way from one state to another; an event that the table doesn't have is an error and changes
nothing.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """Where a Channel File stands; the names are those of bulkhead.v1.ContentState."""

    RECEIVED = "received"
    VERIFIED = "verified"
    TRIAL = "trial"
    ACTIVE = "active"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    QUARANTINED = "quarantined"
    ROLLED_BACK = "rolled_back"
    SUPERSEDED = "superseded"
    # Outside of the table: what came was not what was signed, which says nothing of the content.
    UNDELIVERED = "undelivered"


class Event(StrEnum):
    """What may happen to a Channel File."""

    SIGNATURE_GOOD = "signature_good"
    REFUSED = "refused"
    TRIAL_STARTED = "trial_started"
    TRIAL_PASSED = "trial_passed"
    PROBATION_OVER = "probation_over"
    BLAMED = "blamed"
    REVOKED = "revoked"
    REPLACED = "replaced"
    RESTORED = "restored"


class IllegalEventError(Exception):
    """The table has no such transition."""


TRANSITIONS: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        (State.RECEIVED, Event.SIGNATURE_GOOD): State.VERIFIED,
        (State.RECEIVED, Event.REFUSED): State.REJECTED,
        (State.VERIFIED, Event.TRIAL_STARTED): State.TRIAL,
        (State.VERIFIED, Event.REFUSED): State.REJECTED,
        (State.VERIFIED, Event.REVOKED): State.REJECTED,
        (State.TRIAL, Event.TRIAL_PASSED): State.ACTIVE,
        (State.TRIAL, Event.REFUSED): State.REJECTED,
        (State.TRIAL, Event.REVOKED): State.REJECTED,
        (State.ACTIVE, Event.PROBATION_OVER): State.ACCEPTED,
        (State.ACTIVE, Event.BLAMED): State.QUARANTINED,
        (State.ACTIVE, Event.REVOKED): State.ROLLED_BACK,
        (State.ACTIVE, Event.REPLACED): State.SUPERSEDED,
        (State.ACCEPTED, Event.BLAMED): State.QUARANTINED,
        (State.ACCEPTED, Event.REVOKED): State.ROLLED_BACK,
        (State.ACCEPTED, Event.REPLACED): State.SUPERSEDED,
        # An evaluator that still had it died of it, or the order came late.
        (State.SUPERSEDED, Event.BLAMED): State.QUARANTINED,
        (State.SUPERSEDED, Event.REVOKED): State.ROLLED_BACK,
        # The newer version was given up: the one before it is in force again.
        (State.SUPERSEDED, Event.RESTORED): State.ACCEPTED,
    }
)

FINAL = frozenset({State.REJECTED, State.QUARANTINED, State.ROLLED_BACK})
"""States that a payload, known by its hash, never leaves."""


def next_state(state: State, event: Event) -> State:
    """The state after an event; IllegalEventError where the table has none."""
    try:
        return TRANSITIONS[(state, event)]
    except KeyError:
        raise IllegalEventError(f"{event} is not possible in state {state}") from None
