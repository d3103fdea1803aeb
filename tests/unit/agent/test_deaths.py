"""The rules about a dying evaluator, one by one; test_deaths_exhaustive.py tries them all."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from agent.attribution import Phase, Progress
from agent.death_facts import KEPT_INSTANCES
from agent.deaths import (
    DEATHS_OF_A_FILE,
    Action,
    Cause,
    Death,
    DeathHistory,
    Decision,
    Finding,
    conclude,
    decide,
)

STRIDE = 100
RING = 4
HASH = "a" * 64
OTHER = "b" * 64


def death(
    position: int = 0, count: int = 1, row: int | None = 0, probation: Iterable[str] = ()
) -> Death:
    """A segmentation fault of the working evaluator, with file `a` on ring 4 and `b` on ring 1."""
    return Death(
        cause=Cause.SIGNAL,
        signal=11,
        on_trial=False,
        running=True,
        foreign_kill=False,
        progress=Progress(Phase.EVALUATING, RING, position, count, row, 3, "instance"),
        files={RING: HASH, 1: OTHER},
        probation=frozenset(probation),
    )


def idle(probation: Iterable[str] = ()) -> Death:
    """The end of an evaluator that worked on no event."""
    progress = Progress(Phase.IDLE, 0, 0, 0, None, None, "")
    return replace(death(probation=probation), progress=progress)


def hog(position: int, count: int, row: int | None, probation: Iterable[str] = ()) -> Death:
    """The worker is killed by somebody else, perhaps because memory ran out."""
    return replace(death(position, count, row, probation), foreign_kill=True, signal=9)


def test_candidate_is_rejected_whatever_killed_it() -> None:
    """A file that kills its trial would be blamed on active content, or tried for ever."""
    history = DeathHistory()
    for one in (death(), idle(), replace(death(), foreign_kill=True)):
        decision = decide(replace(one, on_trial=True), history, STRIDE)
        assert decision == Decision(Action.REJECT_CANDIDATE)
    assert history == DeathHistory()


def test_file_on_probation_is_rolled_back_at_the_first_death() -> None:
    """New content that kills evaluators would stay in force for a second death."""
    decision = decide(death(500, 10, 2, [HASH]), DeathHistory(), STRIDE)
    assert decision.action is Action.ROLL_BACK
    assert decision.hashes == (HASH,)
    assert (decision.ring, decision.position) == (RING, 700)
    assert decision.suspect_instance == "instance"


def test_only_the_suspect_is_rolled_back() -> None:
    """Innocent new content of another Template Type would be thrown out as well."""
    assert decide(death(0, 1, 0, [HASH, OTHER]), DeathHistory(), STRIDE).hashes == (HASH,)
    decision = decide(death(0, 1, 0, [OTHER]), DeathHistory(), STRIDE)
    assert decision.action is Action.SET_ASIDE


def test_everything_on_probation_goes_where_nobody_is_suspect() -> None:
    """New content that kills evaluators between events would never be rolled back."""
    decision = decide(idle([OTHER, HASH, "c" * 64]), DeathHistory(), STRIDE)
    assert decision.action is Action.ROLL_BACK
    assert decision.hashes == (HASH, OTHER)


def test_poison_event_is_set_aside_exactly() -> None:
    """The next evaluator would die on the same event, or an innocent event would be lost."""
    decision = decide(death(1000, 50, 7), DeathHistory(), STRIDE)
    assert decision.action is Action.SET_ASIDE
    assert (decision.ring, decision.position, decision.count) == (RING, 1700, 1)
    assert (decision.suspect_hash, decision.suspect_instance) == (HASH, "instance")


@pytest.mark.parametrize("position", [0, 900])
def test_file_of_which_no_instance_is_found_again_is_quarantined(position: int) -> None:
    """A poison file would kill one evaluator for each of its events, one lost event at a time."""
    history = DeathHistory()
    assert decide(death(0), history, STRIDE).inquest
    assert conclude(Finding(HASH, 1), history).action is Action.SET_ASIDE
    assert decide(death(position), history, STRIDE).inquest
    decision = conclude(Finding(HASH, 1), history)
    assert decision.action is Action.QUARANTINE
    assert decision.hashes == (HASH,)


def test_two_files_are_not_blamed_for_each_other() -> None:
    """One poison event for each of two files would quarantine an innocent one."""
    history = DeathHistory()
    conclude(Finding(HASH, 1), history)
    assert conclude(Finding(OTHER, 1), history).action is Action.SET_ASIDE


def test_new_set_starts_innocent() -> None:
    """What an earlier version of a file did would be held against its successor."""
    history = DeathHistory()
    decide(death(0), history, STRIDE)
    conclude(Finding(HASH, 1), history)
    decide(death(0, 50, None), history, STRIDE)
    history.forget()
    assert history == DeathHistory()
    assert conclude(Finding(HASH, 1), history).action is Action.SET_ASIDE


def test_unknown_row_is_found_with_care() -> None:
    """A whole batch of innocent events would be lost, or the poison event never be found."""
    history = DeathHistory()
    first = decide(death(1000, 50, None), history, STRIDE)
    assert first.action is Action.RETRY_WITH_CARE
    assert (first.ring, first.position, first.count) == (RING, 6000, 50)
    second = decide(death(1700, 1, None), history, STRIDE)
    assert second.action is Action.SET_ASIDE
    assert second.position == 1700


def test_care_that_is_not_heeded_ends_in_fewer_files() -> None:
    """An evaluator that never says where it died would be restarted on the same batch for ever."""
    history = DeathHistory()
    actions = [decide(death(1000, 50, None), history, STRIDE).action for _ in range(5)]
    assert actions == [Action.RETRY_WITH_CARE, *[Action.RESTART] * 3, Action.DEGRADE]


def test_positions_of_another_ring_mean_nothing() -> None:
    """After a new collection a batch would be thought retried that never was."""
    history = DeathHistory()
    decide(death(10**6, 50, None), history, STRIDE)
    history.rings_changed()
    assert decide(death(0, 50, None), history, STRIDE).action is Action.RETRY_WITH_CARE


def test_event_of_a_type_without_content_blames_no_file() -> None:
    """A death on a ring that no Channel File is for would put a nameless file in quarantine."""
    history = DeathHistory()
    for position in (0, 100, 200):
        one = replace(death(position), files={1: OTHER})
        decision = decide(one, history, STRIDE)
        assert decision.action is Action.SET_ASIDE
        assert decision.suspect_hash == ""


def test_random_kills_blame_nobody() -> None:
    """Somebody who kills evaluators at random could switch content off, one file after another."""
    history = DeathHistory()
    for position in range(0, 100_000, 1000):
        assert decide(hog(position, 10, 3), history, STRIDE).action is Action.RETRY_WITH_CARE
        waiting = replace(idle(), foreign_kill=True)
        assert decide(waiting, history, STRIDE).action is Action.RESTART


def test_kill_on_the_same_event_again_is_evidence() -> None:
    """Content on which memory runs out, again and again, would stay in force."""
    history = DeathHistory()
    story = [(0, 10, None), (0, 12, None), (300, 1, 0), (300, 1, 0)]
    story += [(2000, 10, 4), (2400, 1, None)]
    assert [decide(hog(*one), history, STRIDE).action for one in story] == [
        Action.RESTART,
        *[Action.RETRY_WITH_CARE] * 2,
        Action.SET_ASIDE,
        Action.RETRY_WITH_CARE,
        Action.SET_ASIDE,
    ]


def test_kills_while_a_file_is_on_probation_count() -> None:
    """New content that eats all memory at a different event each time would stay in force."""
    history = DeathHistory()
    story = [hog(position, 10, None, [HASH]) for position in (0, 5000, 9000)]
    assert [decide(one, history, STRIDE).action for one in story] == [
        *[Action.RESTART] * 2,
        Action.ROLL_BACK,
    ]


def test_care_asked_for_is_never_taken_back() -> None:
    """A kill amid the careful events would let the rest of the batch be evaluated at once."""
    history = DeathHistory()
    decide(death(1000, 50, None), history, STRIDE)
    assert decide(hog(1200, 1, 0), history, STRIDE).position == 6000


def test_stand_by_killed_while_loading_again_and_again_ends_in_fewer_files() -> None:
    """Content that never fits into memory would be loaded in vain for ever."""
    history = DeathHistory()
    loading = Progress(Phase.LOADING, 0, 0, 0, None, None, "")
    one = replace(idle(), running=False, foreign_kill=True, progress=loading)
    actions = [decide(one, history, STRIDE).action for _ in range(5)]
    assert actions == [*[Action.RESTART] * 4, Action.DEGRADE]


def test_unexplained_deaths_in_a_row_mean_fewer_files() -> None:
    """An evaluator that dies without a trace would do so for ever, and nothing be protected."""
    history = DeathHistory()
    actions = [decide(idle(), history, STRIDE).action for _ in range(8)]
    assert actions == [*[Action.RESTART] * 3, Action.DEGRADE] * 2


@pytest.mark.parametrize("between", [(1000, 1, 0), (1000, 5, None)])
def test_a_death_with_a_suspect_breaks_the_row(between: tuple[int, int, int | None]) -> None:
    """Content would be switched off while its poison events are being found."""
    history = DeathHistory()
    for _ in range(3):
        assert decide(idle(), history, STRIDE).action is Action.RESTART
    decide(death(*between), history, STRIDE)
    assert decide(idle(), history, STRIDE).action is Action.RESTART


def test_a_good_while_breaks_the_row() -> None:
    """One death a month would switch all content off within four months."""
    history = DeathHistory()
    for _ in range(20):
        assert decide(idle(), history, STRIDE).action is Action.RESTART
        history.calm()


def test_a_good_while_does_not_acquit() -> None:
    """A poison file whose events come once a minute would never be quarantined."""
    history = DeathHistory()
    conclude(Finding(HASH, 1), history)
    history.calm()
    assert conclude(Finding(HASH, 1), history).action is Action.QUARANTINE


def on_instance(position: int, digest: str = "1" * 64) -> Death:
    """A death on a known event, while working on a known instance."""
    one = death(position)
    return replace(one, progress=replace(one.progress, instance_digest=digest))


def test_instance_is_quarantined_at_its_second_death_and_not_before() -> None:
    """Poison would kill a third evaluator, or one coincidence cost an innocent instance."""
    history = DeathHistory()
    first = decide(on_instance(0), history, STRIDE)
    assert (first.action, first.position, first.inquest) == (Action.SET_ASIDE, 0, False)
    assert decide(on_instance(100, "2" * 64), history, STRIDE).action is Action.SET_ASIDE
    second = decide(on_instance(200), history, STRIDE)
    assert second.action is Action.QUARANTINE_INSTANCE
    assert (second.suspect_digest, second.suspect_instance) == ("1" * 64, "instance")
    assert (second.hashes, second.deaths) == ((), 2)


def test_instance_is_known_in_whatever_file_it_comes() -> None:
    """A new version with the same poison would have two more evaluators die."""
    history = DeathHistory()
    decide(on_instance(0), history, STRIDE)
    history.forget()
    again = replace(on_instance(100), files={RING: "c" * 64})
    assert decide(again, history, STRIDE).action is Action.QUARANTINE_INSTANCE


def test_instance_of_a_file_on_probation_is_not_quarantined() -> None:
    """New content that kills would stay in force, short of one instance."""
    history = DeathHistory()
    for position in (0, 100):
        one = replace(on_instance(position), probation=frozenset({HASH}))
        assert decide(one, history, STRIDE).action is Action.ROLL_BACK


def test_kills_from_outside_do_not_count_against_an_instance() -> None:
    """Whoever kills evaluators at random could switch off one instance after another."""
    history = DeathHistory()
    for position in range(0, 100_000, 1000):
        one = replace(on_instance(position), foreign_kill=True, signal=9)
        assert decide(one, history, STRIDE).action is Action.RETRY_WITH_CARE
    assert history.instances == {}


def test_file_whose_instances_kill_without_end_is_quarantined() -> None:
    """A record that is never true would cost one event after another, for ever."""
    history = DeathHistory()
    actions = []
    for number in range(DEATHS_OF_A_FILE + 1):
        one = decide(on_instance(100 * number, f"{number:064x}"), history, STRIDE)
        actions.append(one.action)
    assert actions == [*[Action.SET_ASIDE] * DEATHS_OF_A_FILE, Action.QUARANTINE]
    assert one.hashes == (HASH,)


def test_what_is_remembered_has_a_bound() -> None:
    """Forged digests would fill the supervisor's memory."""
    history = DeathHistory()
    for number in range(3 * KEPT_INSTANCES):
        conclude(Finding(HASH, 1, f"{number:064x}", "x"), history)
    assert len(history.instances) == KEPT_INSTANCES
    assert f"{3 * KEPT_INSTANCES - 1:064x}" in history.instances


def test_instance_without_a_file_is_nobodys() -> None:
    """A record of a ring that has no content could quarantine an instance of another type."""
    history = DeathHistory()
    for position in (0, 100, 200):
        one = replace(on_instance(position), files={1: OTHER})
        decision = decide(one, history, STRIDE)
        assert (decision.action, decision.inquest) == (Action.SET_ASIDE, False)
    assert history.instances == {}
