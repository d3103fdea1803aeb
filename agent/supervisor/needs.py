"""Which Template Types are to be collected, and why. Pure: times are passed in.

    needed                       = types of content in force, of content that waits or is on trial,
                                   and those of the policy (`--collect`)
    needed, and not collected    → join, all of them at once; one that has failed alone, later
    failed too often             → not to be had, said aloud with the reason, tried now and then
    not supplied by this rung    → the same, but never tried again: content of it is refused by the
                                   Content Validator in its trial, in its own words
    collected, and not needed    → detach, after a grace time, since content may come back

Nothing that is asked here is ever a reason to disturb what is collected already.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from agent.supervisor.limits import LIMITS

NOT_SUPPLIED = "NOT_SUPPLIED"
"""The reason where a collector had no ring for a Template Type: the rung can't see it."""


class Why(StrEnum):
    """What a Template Type is collected for."""

    CONTENT = "content"
    WAITING = "waiting"
    POLICY = "policy"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What stood in the way of a Template Type so far."""

    reason: str
    detail: str
    failures: int
    again_at: float

    @property
    def given_up(self) -> bool:
        """Whether it is reported as not to be had."""
        return self.reason == NOT_SUPPLIED or self.failures >= LIMITS.joins


@dataclass(slots=True)
class Needs:
    """What is needed now, since when, and what could not be had.

    policy: collected whatever the content says. grace: how long (seconds) a type stays attached
    that nothing needs. settle: how long nothing new has to be needed before anything joins.
    """

    policy: frozenset[int] = frozenset()
    grace: float = LIMITS.detach_after_seconds
    settle: float = LIMITS.join_settle_seconds
    why: Mapping[int, tuple[Why, ...]] = field(default_factory=dict)
    trouble: dict[int, Trouble] = field(default_factory=dict)
    _since: dict[int, float] = field(default_factory=dict)
    _idle_since: dict[int, float] = field(default_factory=dict)

    def update(
        self,
        in_force: Iterable[int],
        waiting: Iterable[int],
        collected: Collection[int],
        now: float,
    ) -> None:
        """Template Types of content in force and of content that waits, and what is collected."""
        self.why = reasons({*in_force}, {*waiting}, self.policy)
        self._since = {number: self._since.get(number, now) for number in self.why}
        idle = [number for number in collected if number not in self.why]
        self._idle_since = {number: self._idle_since.get(number, now) for number in idle}

    def to_join(self, collected: Collection[int], now: float) -> tuple[int, ...]:
        """What to join now: what has never failed, else one that has and whose time has come."""
        missing = sorted(number for number in self.why if number not in collected)
        fresh = tuple(number for number in missing if number not in self.trouble)
        if any(now - self._since[number] < self.settle for number in fresh):
            return ()
        again = (number for number in missing if self._due(number, now))
        return fresh or tuple(number for _, number in zip(range(1), again, strict=False))

    def to_detach(self, now: float) -> frozenset[int]:
        """What nothing has needed for the grace time."""
        idle = self._idle_since.items()
        return frozenset(number for number, since in idle if now - since >= self.grace)

    def failed(self, numbers: Iterable[int], reason: str, detail: str, now: float) -> None:
        """These could not be joined; one of them may be to blame, so that each is tried alone."""
        for number in numbers:
            earlier = self.trouble.get(number)
            failures = earlier.failures + 1 if earlier else 1
            wait = LIMITS.join_first_seconds * 2 ** (failures - 1)
            if failures >= LIMITS.joins:
                wait = LIMITS.join_again_seconds
            self.trouble[number] = Trouble(reason, detail, failures, now + wait)

    def not_supplied(self, numbers: Iterable[int]) -> None:
        """This rung has no events of these."""
        for number in numbers:
            self.trouble[number] = Trouble(NOT_SUPPLIED, "", 0, float("inf"))

    def joined(self, numbers: Iterable[int], now: float) -> float:
        """These are collected; returns for how long (seconds) the first of them was waited for."""
        began = [self._since[number] for number in numbers if number in self._since]
        for number in numbers:
            self.trouble.pop(number, None)
        return now - min(began, default=now)

    def forget_trouble(self) -> None:
        """Another collection: what could not be had may be had now."""
        self.trouble.clear()

    def given_up(self) -> dict[int, Trouble]:
        """What is needed and can't be had, although the rung should supply it: by type."""
        return {
            number: trouble
            for number, trouble in self.trouble.items()
            if trouble.given_up and trouble.reason != NOT_SUPPLIED and number in self.why
        }

    def due(self, collected: Collection[int], now: float) -> float:
        """When time alone makes something join or leave; infinity if it never does."""
        missing = [number for number in self.why if number not in collected]
        fresh = [
            self._since[number] + self.settle for number in missing if not self.trouble.get(number)
        ]
        again = [self.trouble[number].again_at for number in missing if number in self.trouble]
        leaving = [since + self.grace for since in self._idle_since.values()]
        return max(now, min([*fresh, *again, *leaving], default=math.inf))

    def undecided(self, number: int, collected: Collection[int]) -> bool:
        """Whether it is neither collected nor known to be not to be had."""
        trouble = self.trouble.get(number)
        return number not in collected and not (trouble is not None and trouble.given_up)

    def _due(self, number: int, now: float) -> bool:
        trouble = self.trouble.get(number)
        return trouble is not None and now >= trouble.again_at


def reasons(
    in_force: Collection[int], waiting: Collection[int], policy: Collection[int]
) -> dict[int, tuple[Why, ...]]:
    """By Template Type, everything that it is needed for."""
    sources = ((Why.CONTENT, in_force), (Why.WAITING, waiting), (Why.POLICY, policy))
    numbers = sorted({number for _, source in sources for number in source})
    return {n: tuple(why for why, source in sources if n in source) for n in numbers}
