"""Turns: so many at a time, in order, each ended once, nobody's for ever."""

import asyncio

from cloud.turns import Turn, Turns


def taken(turns: Turns, who: str, woken: list[str]) -> Turn:
    """A turn that is there."""
    turn = turns.ask(who, lambda: woken.append(who))
    assert turn is not None
    return turn


def test_turns_are_limited_and_given_in_order() -> None:
    """Too many hosts would fetch at once, or some never."""
    turns, woken = Turns(2), list[str]()
    first, _ = taken(turns, "a", woken), taken(turns, "b", woken)
    for who in ("c", "d", "c"):
        assert turns.ask(who, lambda who=who: woken.append(who)) is None  # type: ignore[misc]
    first.end()
    first.end()
    assert woken == ["c"]
    taken(turns, "c", woken).end()
    assert woken == ["c", "d"]


def test_whoever_is_not_woken_gets_no_turn_out_of_order() -> None:
    """A host that is woken for another reason would take the turn of who came before it."""
    turns, woken = Turns(1), list[str]()
    first = taken(turns, "a", woken)
    assert turns.ask("b", lambda: woken.append("b")) is None
    assert turns.ask("c", lambda: woken.append("c")) is None
    first.end()
    assert turns.ask("c", lambda: woken.append("c")) is None
    taken(turns, "b", woken)


def test_who_goes_leaves_its_turn_to_the_next() -> None:
    """A session that ends would take a turn away for good."""
    turns, woken = Turns(1), list[str]()
    first = taken(turns, "a", woken)
    for who in ("b", "c", "d"):
        turns.ask(who, lambda who=who: woken.append(who))  # type: ignore[misc]
    turns.forget("c")
    first.end()
    turns.forget("b")  # given, and not asked for any more
    assert woken == ["b", "d"]
    taken(turns, "d", woken).end()
    taken(turns, "e", woken)


def test_a_turn_ends_by_itself() -> None:
    """Hosts that never fetch what they are offered would keep all others from it."""

    async def story() -> None:
        turns, woken = Turns(1), asyncio.Event()
        first = turns.ask("a", woken.set)
        assert first is not None
        first.end_later(0.01)
        assert turns.ask("b", woken.set) is None
        async with asyncio.timeout(20):
            await woken.wait()
        assert turns.ask("b", woken.set) is not None

    asyncio.run(story())
