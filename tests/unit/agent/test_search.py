"""The file that kills whoever loads it is found, whichever and how many, in few deaths."""

from itertools import combinations

import pytest

from agent.supervisor.search import Search

FILES = frozenset("abcdefg")


def searched(files: frozenset[str], deadly: frozenset[str]) -> tuple[frozenset[str], int]:
    """What is given up, and how many evaluators died of the search."""
    search, in_force, deaths = Search.of(files), set(files), 0
    while not search.over:
        wanted = search.wanted(in_force)
        if not wanted & deadly:
            search.loaded(wanted)
            continue
        deaths += 1
        assert deaths < 50
        guilty = search.died(wanted)
        assert guilty is not None
        in_force.discard(guilty)
    assert search.wanted(in_force) == in_force
    return files - in_force, deaths


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_exactly_those_that_kill_are_given_up(count: int) -> None:
    """An innocent file would be given up, or a deadly one stay and kill again."""
    for deadly in combinations(sorted(FILES), count):
        assert searched(FILES, frozenset(deadly))[0] == frozenset(deadly)


def test_one_of_many_costs_few_deaths() -> None:
    """Each death is time without protection."""
    assert max(searched(FILES, frozenset(one))[1] for one in FILES) <= 4


def test_a_pair_costs_one_of_it() -> None:
    """Two files that only kill together would be tried for ever."""
    search, in_force = Search.of(FILES), set(FILES)
    for _ in range(50):
        wanted = search.wanted(in_force)
        if not {"a", "f"} <= wanted:
            search.loaded(wanted)
        elif guilty := search.died(wanted):
            in_force.discard(guilty)
    assert search.over
    assert FILES - in_force in ({"a"}, {"f"})


def test_content_is_not_blamed_where_everybody_dies() -> None:
    """A host without memory would throw all its content out."""
    search = Search.of(FILES)
    assert search.wanted(FILES) == frozenset()
    assert [search.died(frozenset()) for _ in range(2)] == ["", None]


def test_one_death_alone_gives_nothing_up() -> None:
    """A single kill at random would cost a file."""
    search = Search.of(frozenset("a"))
    search.loaded(frozenset())
    assert search.died(frozenset("a")) == ""
    search.loaded(search.wanted(frozenset("a")))
    assert search.over


def test_an_evaluator_of_before_says_nothing() -> None:
    """One that loaded another set would clear, or accuse, what it never had."""
    search = Search.of(frozenset("ab"))
    search.loaded(frozenset("ab"))
    assert not search.sound
    search.loaded(frozenset())
    assert search.died(frozenset("ab")) == ""
    search.loaded(frozenset("b"))
    assert search.wanted(frozenset("ab")) == frozenset("a")


def test_the_version_before_is_tried_as_well() -> None:
    """Last known good would be taken for good without having been loaded, or never be."""
    search = Search.of(frozenset("ab"))
    search.loaded(frozenset())
    search.loaded(search.wanted(frozenset("ab")))
    for _ in range(2):
        guilty = search.died(search.wanted(frozenset("ab")))
    assert guilty == "b"
    assert search.wanted(frozenset("ac")) == frozenset("ac")
    assert not search.over
    search.loaded(frozenset("ac"))
    assert search.over
