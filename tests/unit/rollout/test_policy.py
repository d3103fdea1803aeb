"""What one host is offered, and the reason where it is not."""

from dataclasses import replace

import pytest

from cloud.rollout.engine import Rollout, begin, pause
from cloud.rollout.plan import IMMEDIATE
from cloud.rollout.policy import ContentUpdatePolicy, Offer, RolledOut, Withheld, offer
from cloud.rollout.table import State
from tests.unit.rollout.hosts import HOUR, PLAN

GENERAL = Rollout(PLAN, State.GENERAL, general_since=1_000.0)
COMPLETE = replace(GENERAL, state=State.COMPLETE)
DEFAULT = ContentUpdatePolicy()


def told(
    rollout: Rollout | None,
    policy: ContentUpdatePolicy = DEFAULT,
    *,
    seated: bool = True,
    prevents: bool = False,
    now: float = 1_000.0,
) -> str:
    """The reason why version 2 is withheld; empty if it is offered."""
    found = offer(RolledOut(2, prevents, rollout), policy, seated=seated, now=now)
    return found.reason if isinstance(found, Withheld) else ""


@pytest.mark.parametrize(
    ("rollout", "reason"),
    [
        (None, "ROLLOUT_MISSING"),
        (Rollout(PLAN, State.HALTED), "ROLLOUT_HALTED"),
        (Rollout(PLAN, State.SUPERSEDED), "ROLLOUT_SUPERSEDED"),
        (pause(GENERAL, paused=True), "ROLLOUT_PAUSED"),
        (GENERAL, ""),
    ],
)
def test_the_rollout_comes_first(rollout: Rollout | None, reason: str) -> None:
    """A host would be offered what is halted, paused or outdated."""
    assert told(rollout) == reason


def test_a_host_without_a_seat_waits() -> None:
    """Stages would be for show."""
    assert told(Rollout(PLAN, State.CANARY), seated=False) == "ROLLOUT_STAGE"
    assert told(COMPLETE, seated=False) == ""
    assert told(begin(IMMEDIATE, 1_000.0), seated=False) == ""


@pytest.mark.parametrize(
    ("policy", "prevents", "reason"),
    [
        (ContentUpdatePolicy(paused=True), False, "UPDATES_PAUSED"),
        (ContentUpdatePolicy(pinned=1), False, "VERSION_PINNED"),
        (ContentUpdatePolicy(pinned=2), False, ""),
        (ContentUpdatePolicy(prevention=False), True, "PREVENTION_OFF"),
        (ContentUpdatePolicy(prevention=False), False, ""),
    ],
)
def test_the_customer_decides(policy: ContentUpdatePolicy, prevents: bool, reason: str) -> None:  # noqa: FBT001
    """A customer's policy would be ignored."""
    assert told(COMPLETE, policy, prevents=prevents) == reason


def test_a_delay_runs_from_general_availability() -> None:
    """Who wants others to go first would be among them, or would wait for good."""
    policy = ContentUpdatePolicy(delay_hours=48)
    assert told(Rollout(PLAN, State.EARLY_ACCESS), policy) == "UPDATES_DELAYED"
    assert told(COMPLETE, policy, now=1_000.0 + 47 * HOUR) == "UPDATES_DELAYED"
    assert told(COMPLETE, policy, now=1_000.0 + 48 * HOUR) == ""


def test_an_offer_is_no_refusal() -> None:
    """A host that may have content would be shown as one that may not."""
    assert offer(RolledOut(2, False, COMPLETE), DEFAULT, seated=False, now=0.0) == Offer()
