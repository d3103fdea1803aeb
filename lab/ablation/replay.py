"""February to July 2024, once for each combination of safeguards.

The sensor release comes first: a check of the build, or a test of every field, can stop the
Template Type. Then each Channel File goes through the validator and the interpreter trial, as far
as they are there, and to the fleet: to all hosts at once, or in stages, of which the first in which
a host crashes is the last. A host has the unchecked interpreter, or with the run-time check the
product's.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from lab.ablation import checks, sensor
from lab.ablation.history import RELEASES, TYPE_RELEASED, Release
from lab.ablation.safeguards import Combination, Safeguard, every_combination

STAGES = (0.01, 0.1, 1.0)
"""Shares of the fleet that have a file after each stage: canary, early access, all."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one replay.

    reached: hosts that were given the file of July. crashed: hosts that crashed, on any file.
    stopped_by: the safeguard that was the first to stop something; stopped_on: when; reason: its
    reason code, "" where the fleet's health was the reason.
    """

    safeguards: Combination
    hosts: int
    reached: int = 0
    crashed: int = 0
    stopped_by: Safeguard | None = None
    stopped_on: date | None = None
    reason: str = ""

    @property
    def incident(self) -> bool:
        """Whether it happened, if only on a few hosts."""
        return self.crashed > 0


@dataclass(frozen=True, slots=True)
class Stop:
    """A safeguard that refused."""

    safeguard: Safeguard
    day: date
    reason: str


def replay_all(hosts: int) -> list[Outcome]:
    """Every combination on a fleet of so many hosts."""
    return [replay(combination, hosts) for combination in every_combination()]


def replay(safeguards: Combination, hosts: int) -> Outcome:
    """One combination."""
    stop = _before_the_sensor(safeguards)
    reached = crashed = 0
    for release in RELEASES if stop is None else ():
        refused = _before_the_fleet(safeguards, release)
        stop = stop or refused
        if refused is not None:
            continue
        given, lost, halted = _roll_out(safeguards, release, hosts)
        stop = stop or halted
        crashed += lost
        reached += 0 if release.wildcard else given
    return Outcome(
        safeguards,
        hosts,
        reached,
        crashed,
        stop.safeguard if stop else None,
        stop.day if stop else None,
        stop.reason if stop else "",
    )


def _before_the_sensor(safeguards: Combination) -> Stop | None:
    """What keeps the Template Type from being released."""
    checked = Safeguard.BOUNDS_CHECK in safeguards
    if Safeguard.BUILD_CHECK in safeguards and (reason := _build_check()):
        return Stop(Safeguard.BUILD_CHECK, TYPE_RELEASED, reason)
    if Safeguard.FIELD_TESTS in safeguards and (reason := _field_tests(checked=checked)):
        return Stop(Safeguard.FIELD_TESTS, TYPE_RELEASED, reason)
    return None


def _before_the_fleet(safeguards: Combination, release: Release) -> Stop | None:
    """What keeps a Channel File from being offered."""
    checked = Safeguard.BOUNDS_CHECK in safeguards
    if Safeguard.VALIDATOR in safeguards and (reason := _validator(release)):
        return Stop(Safeguard.VALIDATOR, release.day, reason)
    if Safeguard.TRIAL in safeguards and (reason := _trial(release, checked=checked)):
        return Stop(Safeguard.TRIAL, release.day, reason)
    return None


def _roll_out(
    safeguards: Combination, release: Release, hosts: int
) -> tuple[int, int, Stop | None]:
    """Hosts that were given the file, hosts of them that crashed, and what stopped it."""
    checked = Safeguard.BOUNDS_CHECK in safeguards
    stages: Sequence[float] = STAGES if Safeguard.STAGES in safeguards else (1.0,)
    given = crashed = 0
    stop: Stop | None = None
    for share in stages:
        upto = max(1, round(hosts * share))
        met = [_host(release, host, checked=checked) for host in range(given, upto)]
        given = upto
        crashed += sum(bool(one.crash) for one in met)
        refused = next((one.refused for one in met if one.refused), "")
        if refused:
            stop = stop or Stop(Safeguard.BOUNDS_CHECK, release.day, refused)
        if crashed and Safeguard.STAGES in safeguards:
            return given, crashed, stop or Stop(Safeguard.STAGES, release.day, "")
    return given, crashed, stop


# A check or a host does the same whatever else is there: each is run once.
_build_check = functools.cache(checks.build_check)
_field_tests = functools.cache(checks.field_tests)


@functools.cache
def _validator(release: Release) -> str:
    return checks.validator(release.channel_file())


@functools.cache
def _trial(release: Release, *, checked: bool) -> str:
    return checks.trial(release.channel_file(), checked=checked)


@functools.cache
def _host(release: Release, host: int, *, checked: bool) -> sensor.Behaviour:
    return sensor.behaviour(release.channel_file(), host, checked=checked)


def alone(outcomes: Sequence[Outcome]) -> Mapping[Safeguard, Outcome]:
    """What each safeguard does by itself."""
    return {next(iter(one.safeguards)): one for one in outcomes if len(one.safeguards) == 1}


def redundant(outcomes: Sequence[Outcome]) -> list[tuple[Safeguard, Safeguard]]:
    """Pairs (one, other): where `one` is there, `other` never changes how many hosts crash."""
    crashed = {one.safeguards: one.crashed for one in outcomes}
    return [
        (one, other)
        for one in Safeguard
        for other in Safeguard
        if one is not other
        and all(
            crashed[combination] == crashed[combination | {other}]
            for combination in crashed
            if one in combination
        )
    ]
