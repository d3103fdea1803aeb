"""What evidence means: each gate of a stage has passed, is open, or has failed. Pure.

    1. enough of those who may be reached were reached, on every platform; else it is open
    2. the bake time is over; else it is open
    3. each new Template Instance was put to enough events; else it is open
    4. no sign is shown by more hosts than the control group and chance explain; else it has failed

What is still open at the stage's deadline has failed: missing evidence is not good evidence.

A sign has failed its gate where the hosts that show it are more than

    expected + 6·√expected + 1

(expected: hosts reached times the control group's share of the sign, or the plan's background share
where that is more)
or more than half of all that were reached, and twice the control group's share. So one host alone,
whatever it sends, halts a rollout only where it is all that was reached. Silence needs no majority:
a host may have been switched off, and while most are silent the first gate is open anyway.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from cloud.rollout.evidence import Evidence
from cloud.rollout.plan import GateLimits, StagePlan
from cloud.rollout.sign import Sign

DEVIATIONS = 6.0
"""Standard deviations beyond the expected; looks are repeated, so that three would not do."""

ATTRIBUTABLE = (Sign.BLAMED, Sign.GIVEN_UP)
"""Signs that name the content: they count without a control group, and after the last stage."""


class Outcome(StrEnum):
    """Of one gate."""

    PASSED = "passed"
    OPEN = "open"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One gate: its name, how it stands, what was found and what is expected, for people."""

    gate: str
    outcome: Outcome
    found: str
    expected: str


def judge(
    evidence: Evidence, plan: StagePlan, limits: GateLimits, baked: float, waited: float
) -> tuple[Verdict, ...]:
    """All gates of a stage, after so many seconds of baking and of waiting in all."""
    late = waited >= plan.deadline_seconds
    missing = Outcome.FAILED if late else Outcome.OPEN
    return (
        _verdict("reach", missing, reach(evidence, plan)),
        _verdict("bake_time", missing, _baked(plan, baked)),
        *(
            _verdict(f"evaluations/{name}", missing, _enough(count, plan.evaluations))
            for name, count in sorted(evidence.evaluations.items())
        ),
        *(sign_verdict(sign, evidence, limits) for sign in Sign),
    )


def watch(evidence: Evidence, limits: GateLimits) -> tuple[Verdict, ...]:
    """What is still looked at where no stage is left."""
    return tuple(sign_verdict(sign, evidence, limits) for sign in ATTRIBUTABLE)


Finding = tuple[bool, str, str]
"""Whether it is as expected, what was found, what is expected."""


def reach(evidence: Evidence, plan: StagePlan) -> Finding:
    """Whether the hosts reached and heard can speak for the stage."""
    heard = evidence.reached.heard
    needed = max(1, -(-evidence.seats // 2))
    missing = evidence.platforms_missing if plan.every_platform else 0
    found = f"{heard} of {evidence.seats} hosts, {missing} platforms missing"
    return heard >= needed and not missing, found, f"at least {needed} hosts, all platforms"


def sign_verdict(sign: Sign, evidence: Evidence, limits: GateLimits) -> Verdict:
    """Step 4 for one sign."""
    count, hosts = evidence.reached.signs.get(sign, 0), evidence.reached.hosts
    usual = 0.0 if sign in ATTRIBUTABLE else evidence.control.share(sign)
    allowed = most_by_chance(hosts * max(usual, limits.background[sign]))
    most_of_them = 2 * count > hosts and evidence.reached.share(sign) > 2 * usual
    failed = count > allowed or (most_of_them and sign is not Sign.SILENT)
    outcome = Outcome.FAILED if failed else Outcome.PASSED
    return Verdict(
        sign, outcome, f"{count} of {hosts} hosts", f"at most {allowed}, and no majority"
    )


def most_by_chance(expected: float) -> int:
    """How many hosts may show a sign where so many are expected to; at least one."""
    return math.floor(expected + DEVIATIONS * math.sqrt(expected) + 1)


def _baked(plan: StagePlan, baked: float) -> Finding:
    return baked >= plan.bake_seconds, f"{baked:.0f} s", f"at least {plan.bake_seconds:.0f} s"


def _enough(count: int, needed: int) -> Finding:
    return count >= needed, f"{count}", f"at least {needed}"


def _verdict(gate: str, otherwise: Outcome, finding: Finding) -> Verdict:
    good, found, expected = finding
    return Verdict(gate, Outcome.PASSED if good else otherwise, found, expected)
