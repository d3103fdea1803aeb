"""One look at a rollout: what advances it, what halts it, what operators may do."""

import pytest

from cloud.rollout.engine import (
    LONGEST_LOOK,
    Rollout,
    begin,
    halt,
    look,
    override,
    passed,
    pause,
    promote,
    supersede,
)
from cloud.rollout.evidence import Evidence
from cloud.rollout.gates import most_by_chance
from cloud.rollout.plan import IMMEDIATE, from_text, to_text
from cloud.rollout.sign import Sign
from cloud.rollout.table import STAGES, IllegalMoveError, State
from tests.unit.rollout.hosts import HOUR, PLAN, at, evidence

NOW = 1_000.0


def looked(rollout: Rollout, found: Evidence, looks: int = 1, seconds: float = 10.0) -> Rollout:
    """After so many looks at the same evidence."""
    for _ in range(looks):
        rollout = look(rollout, found, seconds, NOW)
    return rollout


@pytest.mark.parametrize("state", STAGES)
def test_a_stage_with_good_evidence_is_left_after_its_bake_time(state: State) -> None:
    """Good content would never come to anybody, or before it was watched."""
    baking = looked(at(state), evidence(), seconds=9.0)
    assert baking.state is state
    after = looked(baking, evidence(), seconds=1.0)
    assert after.state is not state
    assert (after.baked, after.waited, after.verdicts) == (0.0, 0.0, ())


def test_five_stages_end_in_complete() -> None:
    """A rollout would hang for good, or go round."""
    rollout = begin(PLAN, NOW)
    seen = [rollout.state]
    while rollout.state is not State.COMPLETE:
        rollout = looked(rollout, evidence())
        seen.append(rollout.state)
    assert seen == [*STAGES, State.COMPLETE]
    assert rollout.general_since == NOW


@pytest.mark.parametrize("sign", Sign)
@pytest.mark.parametrize("state", STAGES)
def test_one_failed_gate_halts_in_every_stage(state: State, sign: Sign) -> None:
    """Harm that one gate sees would be outvoted by the others."""
    after = looked(at(state), evidence({sign: 60}))
    assert after.state is State.HALTED
    assert sign.value in after.reason
    assert not after.offers


@pytest.mark.parametrize("state", STAGES)
def test_one_host_alone_halts_nothing_among_many(state: State) -> None:
    """A single host could stop the protection of all others at will."""
    signs = dict.fromkeys((Sign.DIED, Sign.BLAMED, Sign.GIVEN_UP, Sign.NOISY), 1)
    assert looked(at(state), evidence(signs)).state is not State.HALTED


def test_two_hosts_that_blame_the_content_are_enough() -> None:
    """A crash that is rare would reach the next stage, which is ten times as large."""
    assert looked(at(State.CANARY), evidence({Sign.BLAMED: 2})).state is State.HALTED


def test_the_only_host_reached_is_listened_to() -> None:
    """A fleet of one, or the first internal host, would crash without any consequence."""
    found = evidence({Sign.DIED: 1}, hosts=1)
    assert looked(at(State.INTERNAL), found).state is State.HALTED


def test_what_the_control_group_shows_as_well_is_not_the_contents_doing() -> None:
    """A network outage, or a kernel update on all hosts, would halt good content."""
    signs, control = {Sign.SILENT: 30, Sign.DIED: 10}, {Sign.SILENT: 3_000, Sign.DIED: 1_000}
    assert looked(at(State.CANARY), evidence(signs, control_signs=control)).state is not (
        State.HALTED
    )
    assert looked(at(State.CANARY), evidence(signs)).state is State.HALTED


def test_hosts_that_do_not_answer_are_no_evidence() -> None:
    """A host that hangs would count as one that is well."""
    silent = evidence({Sign.SILENT: 60}, control_signs={Sign.SILENT: 6_000})
    after = looked(at(State.CANARY), silent, looks=100)
    assert after.state is State.CANARY
    assert after.baked == 0.0


@pytest.mark.parametrize(
    "missing", [evidence(evaluated=99), evidence(hosts=0), evidence({Sign.SILENT: 60})]
)
def test_missing_evidence_never_advances(missing: Evidence) -> None:
    """Nobody having looked would count as nothing having been found: July 2024."""
    assert looked(at(State.CANARY), missing, looks=50).state in {State.CANARY, State.HALTED}


def test_what_is_missing_at_the_deadline_has_failed() -> None:
    """A rollout without evidence would stay open for good, and seem to be under way."""
    looks = int(24 * HOUR / LONGEST_LOOK)
    missing = evidence(evaluated=0)
    assert looked(at(State.CANARY), missing, looks - 1, LONGEST_LOOK).state is State.CANARY
    after = looked(at(State.CANARY), missing, looks, LONGEST_LOOK)
    assert after.state is State.HALTED
    assert "evaluations/new" in after.reason


@pytest.mark.parametrize("jump", [24 * HOUR, -24 * HOUR])
def test_a_clock_that_jumps_a_day_bakes_nothing(jump: float) -> None:
    """A stage would be over because somebody has set a clock."""
    plan = PLAN.quickened(2 * LONGEST_LOOK, None)
    after = looked(at(State.CANARY, plan), evidence(), seconds=jump)
    assert after.state is State.CANARY
    assert 0.0 <= after.baked <= LONGEST_LOOK


def test_paused_it_offers_nothing_and_still_can_be_halted() -> None:
    """A pause would go on offering, or blind the gates."""
    paused = pause(at(State.CANARY), paused=True)
    assert not paused.offers
    assert looked(paused, evidence(), looks=20).state is State.CANARY
    assert looked(paused, evidence({Sign.DIED: 50})).state is State.HALTED
    assert looked(pause(paused, paused=False), evidence()).state is State.EARLY_ACCESS


def test_an_override_needs_two_operators_and_waives_one_stage_only() -> None:
    """One person, or one mistake, could send content to everybody."""
    with pytest.raises(IllegalMoveError):
        override(at(State.CANARY), frozenset({"alice"}), NOW)
    after = override(at(State.CANARY), frozenset({"alice", "bob"}), NOW)
    assert after.state is State.EARLY_ACCESS
    assert looked(after, evidence(evaluated=0), looks=5).state is State.EARLY_ACCESS


def test_a_halted_rollout_takes_no_order() -> None:
    """Two operators could offer again what did harm."""
    halted = halt(at(State.CANARY), "by hand", NOW)
    with pytest.raises(IllegalMoveError):
        override(halted, frozenset({"alice", "bob"}), NOW)
    with pytest.raises(IllegalMoveError):
        promote(halted, NOW)
    with pytest.raises(IllegalMoveError):
        pause(halted, paused=False)
    with pytest.raises(IllegalMoveError):
        supersede(halted, NOW)
    assert looked(halted, evidence(), looks=10) == halted


def test_promotion_waits_for_the_gates() -> None:
    """An operator's approval would stand in for evidence."""
    with pytest.raises(IllegalMoveError, match="not looked at"):
        promote(at(State.CANARY), NOW)
    baking = looked(at(State.CANARY), evidence(), seconds=1.0)
    with pytest.raises(IllegalMoveError, match="bake_time"):
        promote(baking, NOW)


@pytest.mark.parametrize("state", [State.COMPLETE, State.SUPERSEDED])
def test_what_is_over_is_halted_by_what_names_the_content(state: State) -> None:
    """Content that begins to kill hosts after its last stage would never be taken back."""
    assert looked(at(state), evidence({Sign.SILENT: 90, Sign.DIED: 90})).state is state
    assert looked(at(state), evidence({Sign.BLAMED: 2})).state is State.HALTED


def test_a_new_rollout_begins_at_the_beginning() -> None:
    """Four months without trouble would waive the gate, as they did in 2024."""
    assert begin(PLAN, NOW) == Rollout(PLAN, State.INTERNAL)


def test_without_gates_it_is_complete_and_nothing_is_judged() -> None:
    """The plan for single hosts would wait for hosts that do not exist."""
    rollout = begin(IMMEDIATE, NOW)
    assert rollout.state is State.COMPLETE
    assert rollout.offers
    assert looked(rollout, evidence({Sign.BLAMED: 90})) == rollout


def test_a_plan_comes_back_from_the_store_as_it_was() -> None:
    """A rollout would go on by other rules after a restart."""
    assert from_text(to_text(PLAN)) == PLAN
    assert from_text(to_text(IMMEDIATE)) == IMMEDIATE


def test_a_gate_never_fails_for_one_host_more_than_expected() -> None:
    """Chance alone would halt rollouts."""
    assert [most_by_chance(one) for one in (0.0, 0.01, 1.0, 100.0)] == [1, 1, 8, 161]
    assert not passed(at(State.CANARY))
