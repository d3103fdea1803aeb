"""Who is reached in which stage."""

from dataclasses import replace

import numpy as np

from cloud.rollout.plan import STAGED
from cloud.rollout.seats import Candidates, draw, lot, seats
from cloud.rollout.table import State
from tests.unit.rollout.hosts import candidates


def drawn(state: State, fleet: Candidates) -> list[int]:
    """The hosts that get a seat."""
    return [int(one) for one in np.flatnonzero(draw(state, fleet, STAGED))]


def test_internal_hosts_are_the_first() -> None:
    """Customers would be reached before the makers' own hosts."""
    fleet = candidates(5_000, internal=20, early=100)
    assert len(drawn(State.INTERNAL, fleet)) == 5
    assert max(drawn(State.INTERNAL, fleet)) < 20


def test_one_host_stands_in_where_none_is_internal() -> None:
    """A fleet without internal hosts would never get any content."""
    assert len(drawn(State.INTERNAL, candidates(5_000))) == 1
    assert drawn(State.INTERNAL, candidates(1)) == [0]
    assert drawn(State.INTERNAL, candidates(5_000, seated=[7])) == []


def test_canaries_are_one_percent_and_of_every_platform() -> None:
    """What kills one platform only would be found out by everybody who has it."""
    fleet = candidates(3_000, early=1_000, platforms=7)
    chosen = drawn(State.CANARY, fleet)
    assert len(chosen) == 30
    assert {one % 7 for one in chosen} == set(range(7))
    assert sum(one >= 1_000 for one in chosen) == 0


def test_a_platform_without_volunteers_gives_one_canary() -> None:
    """Its hosts would be reached for the first time all at once."""
    fleet = candidates(3_000, early=1, platforms=3)
    chosen = drawn(State.CANARY, fleet)
    assert 0 in chosen
    assert {one % 3 for one in chosen} == {0, 1, 2}
    assert len(chosen) == 3


def test_in_a_small_fleet_each_platform_still_has_its_canary() -> None:
    """One per cent of ten hosts is none: everybody would be reached at once."""
    assert [seats(State.CANARY, 10, platforms, STAGED) for platforms in (1, 3)] == [1, 3]


def test_some_hosts_are_left_for_comparison_until_the_end() -> None:
    """The last stage would have no control group."""
    fleet = candidates(1_000)
    assert len(drawn(State.GENERAL, fleet)) == 990
    assert len(drawn(State.GENERAL, candidates(50))) == 50


def test_who_has_a_seat_keeps_it() -> None:
    """Each look would reach other hosts, until all of them are."""
    seated = drawn(State.CANARY, candidates(1_000))
    assert drawn(State.CANARY, candidates(1_000, seated=seated, seed=2)) == []


def test_a_platform_whose_canary_is_in_trouble_gets_one_more() -> None:
    """One host could hold up its platform's evidence, or its crash would be taken for chance."""
    first = drawn(State.CANARY, candidates(30, platforms=3))
    well = ~np.isin(np.arange(30), first[:1])
    again = replace(candidates(30, platforms=3, seated=first), well=well)
    (second,) = drawn(State.CANARY, again)
    assert second % 3 == first[0] % 3
    both = replace(candidates(30, platforms=3, seated=[*first, second]), well=well)
    assert drawn(State.CANARY, both) == []


def test_lots_differ_by_release() -> None:
    """The same host would be the canary of everything."""
    first = {name: lot(name, b"one") for name in ("web-1", "web-2", "web-3")}
    assert all(0 <= one < 1 for one in first.values())
    assert first != {name: lot(name, b"two") for name in first}
