"""The life of a Channel File: the whole table, and everything that is not in it."""

import itertools

import pytest

from agent.lifecycle import FINAL, TRANSITIONS, Event, IllegalEventError, State, next_state

EVERYTHING = list(itertools.product(State, Event))


@pytest.mark.parametrize(("state", "event"), sorted(TRANSITIONS))
def test_legal_transition(state: State, event: Event) -> None:
    """A Channel File would not move on though the table says that it does."""
    assert next_state(state, event) is TRANSITIONS[(state, event)]


@pytest.mark.parametrize(
    ("state", "event"), [pair for pair in EVERYTHING if pair not in TRANSITIONS]
)
def test_illegal_event_raises_and_changes_nothing(state: State, event: Event) -> None:
    """An event out of turn would put a Channel File into a state that it has not earned."""
    before = dict(TRANSITIONS)
    with pytest.raises(IllegalEventError, match=str(event)):
        next_state(state, event)
    assert dict(TRANSITIONS) == before


def test_table_can_not_be_changed() -> None:
    """A caller could teach the table a transition that nobody reviewed."""
    with pytest.raises(TypeError):
        TRANSITIONS[(State.REJECTED, Event.TRIAL_PASSED)] = State.ACTIVE  # type: ignore[index]


@pytest.mark.parametrize("state", sorted(FINAL))
def test_final_state_is_never_left(state: State) -> None:
    """A payload that was refused for good could come back into force."""
    assert not [pair for pair in TRANSITIONS if pair[0] is state]


def test_every_other_state_can_be_left() -> None:
    """A Channel File could be stuck in a state that was not meant to be its last."""
    outside = {State.UNDELIVERED}
    assert {state for state, _ in TRANSITIONS} == set(State) - FINAL - outside
    assert outside.isdisjoint(TRANSITIONS.values())


def test_only_a_passed_trial_makes_a_file_active() -> None:
    """A Channel File could be in force without having been tried."""
    assert [pair for pair, after in TRANSITIONS.items() if after is State.ACTIVE] == [
        (State.TRIAL, Event.TRIAL_PASSED)
    ]


def test_whatever_was_in_force_can_be_revoked_and_blamed() -> None:
    """A signed revocation, or the death of an evaluator, would end the supervisor instead."""
    for state in (State.ACTIVE, State.ACCEPTED, State.SUPERSEDED):
        assert next_state(state, Event.REVOKED) is State.ROLLED_BACK
        assert next_state(state, Event.BLAMED) is State.QUARANTINED
