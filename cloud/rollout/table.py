"""The states of a rollout as one table: a pair that is not in it is refused and changes nothing.

A rollout goes up one stage at a time. HALTED has no way out: what was halted is never offered
again, and a corrected Channel File is another rollout, from the first stage.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """Where a rollout stands; the first four are stages, in their order."""

    INTERNAL = "internal"
    CANARY = "canary"
    EARLY_ACCESS = "early_access"
    GENERAL = "general"
    COMPLETE = "complete"
    SUPERSEDED = "superseded"
    HALTED = "halted"


class Event(StrEnum):
    """What may happen to a rollout."""

    PASS = "pass"  # noqa: S105  all gates of the stage have passed
    OVERRIDE = "override"
    HALT = "halt"
    SUPERSEDE = "supersede"


STAGES = (State.INTERNAL, State.CANARY, State.EARLY_ACCESS, State.GENERAL)
WATCHED = frozenset({State.COMPLETE, State.SUPERSEDED})
"""No stage is left to pass, and what is blamed on the content still halts it."""

FOLLOWING = MappingProxyType(dict(zip(STAGES, (*STAGES[1:], State.COMPLETE), strict=True)))

TABLE: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        (State.INTERNAL, Event.PASS): State.CANARY,
        (State.INTERNAL, Event.OVERRIDE): State.CANARY,
        (State.INTERNAL, Event.SUPERSEDE): State.SUPERSEDED,
        (State.INTERNAL, Event.HALT): State.HALTED,
        (State.CANARY, Event.PASS): State.EARLY_ACCESS,
        (State.CANARY, Event.OVERRIDE): State.EARLY_ACCESS,
        (State.CANARY, Event.SUPERSEDE): State.SUPERSEDED,
        (State.CANARY, Event.HALT): State.HALTED,
        (State.EARLY_ACCESS, Event.PASS): State.GENERAL,
        (State.EARLY_ACCESS, Event.OVERRIDE): State.GENERAL,
        (State.EARLY_ACCESS, Event.SUPERSEDE): State.SUPERSEDED,
        (State.EARLY_ACCESS, Event.HALT): State.HALTED,
        (State.GENERAL, Event.PASS): State.COMPLETE,
        (State.GENERAL, Event.OVERRIDE): State.COMPLETE,
        (State.GENERAL, Event.SUPERSEDE): State.SUPERSEDED,
        (State.GENERAL, Event.HALT): State.HALTED,
        (State.COMPLETE, Event.HALT): State.HALTED,
        (State.SUPERSEDED, Event.HALT): State.HALTED,
    }
)


class IllegalMoveError(ValueError):
    """This event can't happen in this state."""


def follow(state: State, event: Event) -> State:
    """The next state; IllegalMoveError where the table has none."""
    try:
        return TABLE[state, event]
    except KeyError:
        raise IllegalMoveError(f"{event} while {state}") from None
