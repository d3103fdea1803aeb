"""The table of a rollout's states, all of it."""

import itertools

import pytest

from cloud.rollout.table import (
    FOLLOWING,
    STAGES,
    TABLE,
    WATCHED,
    Event,
    IllegalMoveError,
    State,
    follow,
)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_what_is_not_in_the_table_is_refused(state: State, event: Event) -> None:
    """A rollout would come to a state that nobody has thought of."""
    if (state, event) in TABLE:
        assert follow(state, event) is TABLE[state, event]
        return
    with pytest.raises(IllegalMoveError):
        follow(state, event)


def test_what_was_halted_stays_halted() -> None:
    """Content that did harm could be offered again."""
    assert not [state for state, _ in TABLE if state is State.HALTED]


def test_everything_else_can_be_halted() -> None:
    """There would be a state in which bad content can't be stopped."""
    assert {state for state, event in TABLE if event is Event.HALT} == set(State) - {State.HALTED}


@pytest.mark.parametrize("event", [Event.PASS, Event.OVERRIDE])
def test_stages_are_gone_up_one_by_one(event: Event) -> None:
    """A stage could be left out, and whoever it protects would be the first."""
    moves = {state: after for (state, what), after in TABLE.items() if what is event}
    assert moves == dict(FOLLOWING)
    assert moves == dict(zip(STAGES, (*STAGES[1:], State.COMPLETE), strict=True))


def test_states_without_a_stage_only_lead_to_a_halt() -> None:
    """What is over would begin again without passing the stages."""
    after = [TABLE[state, event] for state, event in TABLE if state in WATCHED]
    assert set(after) == {State.HALTED}
