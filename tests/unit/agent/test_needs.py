"""Which Template Types are to be collected, and why."""

from itertools import combinations, product

import pytest

from agent.supervisor.limits import LIMITS
from agent.supervisor.needs import NOT_SUPPLIED, Needs, Why, reasons

TYPES = (1, 2, 3)
SUBSETS = tuple(frozenset(chosen) for size in range(4) for chosen in combinations(TYPES, size))
GRACE = 60.0


def needing(*numbers: int, collected: frozenset[int] = frozenset(), now: float = 0.0) -> Needs:
    """Needs of content in force for these types."""
    needs = Needs(grace=GRACE, settle=0.0)
    needs.update(numbers, (), collected, now)
    return needs


def failing(needs: Needs, number: int) -> float:
    """Join a type until it is given up; returns when the last of the tries failed."""
    now = 0.0
    for _ in range(LIMITS.joins):
        assert needs.to_join((), now) == (number,)
        needs.failed((number,), "VERIFIER_REFUSED", "words", now)
        assert needs.to_join((), now) == ()
        now = needs.trouble[number].again_at
    return now


@pytest.mark.parametrize(("in_force", "waiting", "policy"), list(product(SUBSETS, repeat=3)))
def test_each_type_is_needed_for_what_names_it(
    in_force: frozenset[int], waiting: frozenset[int], policy: frozenset[int]
) -> None:
    """A type would be collected for nothing, or not be collected, or for a reason that is none."""
    found = reasons(in_force, waiting, policy)
    for number in TYPES:
        expected = [
            why
            for why, source in zip(Why, (in_force, waiting, policy), strict=True)
            if number in source
        ]
        assert list(found.get(number, ())) == expected
    assert found.keys() == in_force | waiting | policy


@pytest.mark.parametrize(("needed", "collected"), list(product(SUBSETS, repeat=2)))
def test_what_is_needed_joins_and_what_is_not_leaves_after_the_grace(
    needed: frozenset[int], collected: frozenset[int]
) -> None:
    """Content would wait for ever, or probes that nobody needs stay, or leave at once."""
    needs = needing(*needed, collected=collected)
    assert set(needs.to_join(collected, 0.0)) == needed - collected
    assert needs.to_detach(GRACE - 0.1) == frozenset()
    assert needs.to_detach(GRACE) == collected - needed


def test_what_is_needed_again_starts_its_grace_anew() -> None:
    """Probes would be detached right after content that needed them was replaced."""
    collected = frozenset({1})
    needs = needing(collected=collected)
    needs.update({1}, (), collected, 50.0)
    needs.update((), (), collected, 55.0)
    assert needs.to_detach(GRACE) == frozenset()
    assert needs.to_detach(55.0 + GRACE) == collected


def test_one_that_cannot_be_had_does_not_hold_up_the_others() -> None:
    """A type that the verifier refuses would keep all others from being collected."""
    needs = needing(1, 2, 3)
    assert needs.to_join((), 0.0) == (1, 2, 3)
    needs.failed((1, 2, 3), "VERIFIER_REFUSED", "words", 0.0)
    assert needs.to_join((), 0.0) == ()
    later = LIMITS.join_first_seconds
    assert needs.to_join((), later) == (1,)
    needs.joined((1,), later)
    assert needs.to_join({1}, later) == (2,)
    needs.failed((2,), "VERIFIER_REFUSED", "words", later)
    assert needs.to_join({1}, later) == (3,)
    needs.update({1, 2, 3, 4}, (), {1}, later)
    assert needs.to_join({1}, later) == (4,)


def test_after_some_tries_a_type_is_not_to_be_had_and_is_tried_now_and_then() -> None:
    """A compiler would run all the time, or a type that could be had be given up for ever."""
    needs = needing(2)
    assert needs.undecided(2, ())
    assert needs.given_up() == {}
    again = failing(needs, 2)
    assert not needs.undecided(2, ())
    assert needs.given_up()[2].reason == "VERIFIER_REFUSED"
    tried_last = sum(LIMITS.join_first_seconds * 2**i for i in range(LIMITS.joins - 1))
    assert again == tried_last + LIMITS.join_again_seconds
    assert needs.to_join((), again) == (2,)
    needs.joined((2,), again)
    assert needs.given_up() == {}


def test_what_nothing_needs_is_not_reported_as_missing() -> None:
    """A sensor would be said to do less than it could, because of content that was revoked."""
    needs = needing(2)
    failing(needs, 2)
    needs.update((), (), (), 0.0)
    assert needs.given_up() == {}


def test_what_the_rung_does_not_supply_is_never_tried_again() -> None:
    """A collector would be started every few minutes for a type that can't come."""
    needs = needing(5)
    needs.not_supplied({5})
    assert needs.to_join((), 1e9) == ()
    assert not needs.undecided(5, ())
    assert needs.given_up() == {}  # the Content Validator says it, in its own words
    assert needs.trouble[5].reason == NOT_SUPPLIED
    needs.forget_trouble()
    assert needs.to_join((), 0.0) == (5,)


def test_how_long_a_type_was_waited_for() -> None:
    """Nobody would know how long content waits for its probes."""
    needs = needing(1, now=10.0)
    needs.update({1, 2}, (), (), 12.0)
    assert needs.joined((1, 2), 13.0) == 3.0


def test_what_arrives_together_joins_together() -> None:
    """Ten Channel Files at once would make ten compilers run, one after the other."""
    needs = Needs(grace=GRACE, settle=0.1)
    needs.update({1}, (), (), 5.0)
    assert needs.to_join((), 5.0) == ()
    needs.update({1, 2}, (), (), 5.08)
    assert needs.to_join((), 5.11) == ()
    assert needs.to_join((), 5.19) == (1, 2)
    needs.failed((1, 2), "VERIFIER_REFUSED", "words", 5.19)
    again = 5.19 + LIMITS.join_first_seconds
    needs.update({1, 2, 3}, (), (), again)
    assert needs.to_join((), again) == ()
    assert needs.to_join((), again + 0.2) == (3,)
