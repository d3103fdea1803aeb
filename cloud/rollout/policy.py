"""The Content Update Policy of a host group, and what one host is offered of one release. Pure.

A policy holds for a group and a category of content, which is a Template Type; a policy without a
category holds for all that have none of their own. It can only withhold: nothing in it makes a
stage come earlier than the rollout allows.

Whether a sensor supplies what content needs, on the rung that it is on, is the Content Validator's
to say (`cloud.gate`), which is asked first.
"""

from dataclasses import dataclass
from enum import StrEnum

from cloud.rollout.engine import Rollout
from cloud.rollout.table import State

HOUR = 3600.0


class Ring(StrEnum):
    """When a group wants content, first to last."""

    INTERNAL = "internal"
    EARLY_ACCESS = "early_access"
    GENERAL = "general"


class WithheldReason(StrEnum):
    """Why a host is not offered a release. Codes are never renamed or reused."""

    ROLLOUT_MISSING = "ROLLOUT_MISSING"
    ROLLOUT_HALTED = "ROLLOUT_HALTED"
    ROLLOUT_PAUSED = "ROLLOUT_PAUSED"
    ROLLOUT_SUPERSEDED = "ROLLOUT_SUPERSEDED"
    ROLLOUT_STAGE = "ROLLOUT_STAGE"
    UPDATES_PAUSED = "UPDATES_PAUSED"
    UPDATES_DELAYED = "UPDATES_DELAYED"
    VERSION_PINNED = "VERSION_PINNED"
    PREVENTION_OFF = "PREVENTION_OFF"


@dataclass(frozen=True, slots=True)
class ContentUpdatePolicy:
    """pinned: the one version that is wanted (0: any). prevention: whether content may prevent."""

    ring: Ring = Ring.GENERAL
    delay_hours: float = 0.0
    pinned: int = 0
    paused: bool = False
    prevention: bool = True

    def takes(self, version: int, *, prevents: bool) -> bool:
        """Whether a host of this group can be among the first that are reached."""
        refused = _by_policy(self, version, prevents=prevents)
        return refused is None and not self.delay_hours


DEFAULT_POLICY = ContentUpdatePolicy()


@dataclass(frozen=True, slots=True)
class RolledOut:
    """What a policy has to know of a release; prevents: one of its instances wants to."""

    version: int
    prevents: bool
    rollout: Rollout | None


@dataclass(frozen=True, slots=True)
class Offer:
    """The host may have it."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """It may not, now: a reason code, what was found, and what would be needed."""

    reason: WithheldReason
    found: str
    expected: str


def offer(
    release: RolledOut, policy: ContentUpdatePolicy, *, seated: bool, now: float
) -> Offer | Withheld:
    """Whether a host is offered a release; seated: it may be reached in the rollout's stage.

    1. the rollout offers at all  2. the policy wants it  3. it is the host's turn
    """
    rollout = release.rollout
    if rollout is None:
        return Withheld(WithheldReason.ROLLOUT_MISSING, "no rollout", "a rollout")
    if not rollout.offers:
        return Withheld(_not_offered(rollout), rollout.reason or rollout.state, "a running rollout")
    refused = _by_policy(policy, release.version, prevents=release.prevents)
    if refused is not None:
        return refused
    if policy.delay_hours:
        return _delayed(rollout, policy, now)
    if not seated and rollout.state is not State.COMPLETE:
        return Withheld(WithheldReason.ROLLOUT_STAGE, rollout.state, "a stage that has this host")
    return Offer()


def _not_offered(rollout: Rollout) -> WithheldReason:
    if rollout.state is State.HALTED:
        return WithheldReason.ROLLOUT_HALTED
    if rollout.state is State.SUPERSEDED:
        return WithheldReason.ROLLOUT_SUPERSEDED
    return WithheldReason.ROLLOUT_PAUSED


def _by_policy(policy: ContentUpdatePolicy, version: int, *, prevents: bool) -> Withheld | None:
    if policy.paused:
        return Withheld(WithheldReason.UPDATES_PAUSED, "paused", "a policy that takes updates")
    if policy.pinned not in (0, version):
        return Withheld(WithheldReason.VERSION_PINNED, f"{version}", f"{policy.pinned}")
    if prevents and not policy.prevention:
        return Withheld(
            WithheldReason.PREVENTION_OFF, "an instance that prevents", "content that only detects"
        )
    return None


def _delayed(rollout: Rollout, policy: ContentUpdatePolicy, now: float) -> Offer | Withheld:
    """The delay runs from general availability, and lasts beyond the last stage."""
    due = rollout.general_since + policy.delay_hours * HOUR
    general = rollout.state in (State.GENERAL, State.COMPLETE) and rollout.general_since
    if general and now >= due:
        return Offer()
    wanted = f"general for {policy.delay_hours:g} hours"
    return Withheld(WithheldReason.UPDATES_DELAYED, rollout.state, wanted)
