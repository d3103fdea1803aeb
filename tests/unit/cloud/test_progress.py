"""When a push or a revocation is settled, and what is told meanwhile."""

import pytest

from cloud.offers import SETTLED, Active, Host, HostContent, Standing
from cloud.progress import (
    NOT_NEEDED,
    WAITING,
    WITHDRAWN,
    Fleet,
    Progress,
    Target,
    follow,
    holders,
    of_pushes,
    of_revocation,
)

HASH = b"h" * 32
TARGET = Target(HASH, template_type=4, version=2, push=5)
OLDER = {4: Active(1, b"o" * 32)}
NEWER = {4: Active(3, b"n" * 32)}


def state(host: Host, target: Target = TARGET) -> tuple[str, bool]:
    """Where the target stands on that host, and whether that is final."""
    (found,) = of_pushes([target], Fleet({"a": host}, {}))
    return found.state, found.settled


def known(standing: Standing, push: int = 5) -> dict[bytes, HostContent]:
    """What the store says of the release on a host."""
    return {HASH: HostContent(standing, push)}


@pytest.mark.parametrize("standing", list(Standing))
def test_an_answer_to_this_push_counts(standing: Standing) -> None:
    """A push would wait for what has happened, or end before it has."""
    assert state(Host(OLDER, known(standing))) == (standing, standing in SETTLED)


def test_an_answer_to_an_earlier_push_does_not_count() -> None:
    """A repeated push would report the refusal of the first one as its own."""
    assert state(Host({}, known(Standing.REJECTED, push=4))) == (WAITING, False)


def test_a_host_that_needs_nothing_is_settled() -> None:
    """A push would wait for hosts to which it offers nothing."""
    assert state(Host(NEWER, {})) == (NOT_NEEDED, True)
    assert state(Host({4: Active(2, HASH)}, {})) == ("active", True)
    assert state(Host(OLDER, {})) == (WAITING, False)
    forced = Target(HASH, template_type=4, version=2, push=5, forced=True)
    assert state(Host(NEWER, {}), forced) == (WAITING, False)


def test_a_revocation_is_settled_when_the_host_has_given_up() -> None:
    """An operator would be told too early that harmful content is gone."""
    hosts = {
        "runs": Host({4: Active(2, HASH)}, {}),
        "on its way": Host({}, known(Standing.OFFERED)),
        "back": Host(OLDER, known(Standing.ROLLED_BACK)),
        "still reports it": Host({4: Active(2, HASH)}, known(Standing.ACTIVE)),
        "gone": Host(OLDER, {}),
    }
    fleet = Fleet(hosts, {})
    assert holders(HASH, fleet) == ["runs", "on its way", "still reports it"]
    found = {one.agent_id: one for one in of_revocation(HASH, [*hosts, "left"], fleet)}
    assert {name: one.settled for name, one in found.items()} == {
        "runs": False,
        "on its way": False,
        "back": True,
        "still reports it": False,
        "gone": True,
    }
    assert found["gone"].state == WITHDRAWN


class _Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_each_change_is_told_once_and_the_end_is_prompt() -> None:
    """An operator would see nothing, or the same line again and again."""
    stages = [Standing.OFFERED, Standing.OFFERED, Standing.TRIAL, Standing.ACTIVE]
    script = iter([[Progress("a", HASH, one, one in SETTLED)] for one in stages])
    told: list[str] = []
    clock = _Clock()
    found = follow(lambda: next(script), 60, lambda one: told.append(one.state), clock, clock.sleep)
    assert told == ["offered", "trial", "active"]
    assert found[0].settled
    assert clock.now < 101


def test_waiting_has_an_end() -> None:
    """A silent host would hold the operator's terminal for ever."""
    clock = _Clock()
    silent = [Progress("a", HASH, WAITING, settled=False)]
    assert follow(lambda: silent, 3, lambda _: None, clock, clock.sleep) == silent
    assert 103 <= clock.now < 104
    assert follow(list, 3, lambda _: None, clock, clock.sleep) == []
