"""One look at a rollout: what was known of it and the evidence of now give what it is next. Pure.

Time is what the caller says has passed since its last look. A look that comes late counts for no
more than LONGEST_LOOK: while nobody looks, nothing bakes, and a clock that jumps bakes nothing.

An order of an operator is a function as well: it returns the rollout that follows, or raises
`IllegalMoveError` and changes nothing.
"""

from dataclasses import dataclass, replace

from cloud.rollout.evidence import Evidence
from cloud.rollout.gates import Outcome, Verdict, judge, reach, watch
from cloud.rollout.plan import Plan
from cloud.rollout.table import STAGES, Event, IllegalMoveError, State, follow

LONGEST_LOOK = 60.0
"""Seconds that one look may count for."""

OVERRIDING_OPERATORS = 2


@dataclass(frozen=True, slots=True)
class Rollout:
    """Where one Channel File stands on its way.

    baked, waited: seconds in this stage, with enough hosts reached and in all. general_since: when
    it became generally available (seconds since the epoch; 0: not yet), which policies count delays
    from. reason: why it was halted.
    """

    plan: Plan
    state: State
    paused: bool = False
    baked: float = 0.0
    waited: float = 0.0
    general_since: float = 0.0
    reason: str = ""
    verdicts: tuple[Verdict, ...] = ()

    @property
    def offers(self) -> bool:
        """Whether anybody may be offered the content at all."""
        return not self.paused and self.state in (*STAGES, State.COMPLETE)


def begin(plan: Plan, now: float) -> Rollout:
    """A new rollout; whatever came before it, it begins where its plan begins."""
    general_since = 0.0 if plan.gated else now
    return Rollout(plan, plan.first, general_since=general_since)


def look(rollout: Rollout, evidence: Evidence, elapsed: float, now: float) -> Rollout:
    """What a rollout is after a look, `elapsed` seconds after the last one.

    1. without gates, or halted, nothing is looked at
    2. one failed gate halts, in every state
    3. where all have passed it goes up one stage, unless it is paused or an operator has to approve
    """
    if not rollout.plan.gated or rollout.state is State.HALTED:
        return rollout
    aged = _aged(rollout, evidence, min(max(elapsed, 0.0), LONGEST_LOOK))
    if failed := [one for one in aged.verdicts if one.outcome is Outcome.FAILED]:
        return halt(aged, "; ".join(_words(one) for one in failed), now)
    if rollout.state in STAGES and passed(aged) and not (rollout.paused or rollout.plan.approval):
        return _moved(aged, Event.PASS, now)
    return aged


def passed(rollout: Rollout) -> bool:
    """Whether every gate of the stage has passed, as of the last look."""
    return bool(rollout.verdicts) and all(one.outcome is Outcome.PASSED for one in rollout.verdicts)


def promote(rollout: Rollout, now: float) -> Rollout:
    """An operator approves a stage whose gates have all passed."""
    _require_stage(rollout, Event.PASS)
    if rollout.paused or not passed(rollout):
        waiting = [one.gate for one in rollout.verdicts if one.outcome is not Outcome.PASSED]
        raise IllegalMoveError(
            f"not passed: {', '.join(waiting) or 'paused, or not looked at yet'}"
        )
    return _moved(rollout, Event.PASS, now)


def override(rollout: Rollout, operators: frozenset[str], now: float) -> Rollout:
    """Two operators take a stage as passed; those that follow are gated as ever."""
    if len(operators) < OVERRIDING_OPERATORS:
        raise IllegalMoveError(f"{len(operators)} operator, expected two different ones")
    return _moved(rollout, Event.OVERRIDE, now)


def halt(rollout: Rollout, reason: str, now: float) -> Rollout:
    """Stop for good; the caller sends the rollback order to all who may have the content."""
    return replace(_moved(rollout, Event.HALT, now), reason=reason, verdicts=rollout.verdicts)


def supersede(rollout: Rollout, now: float) -> Rollout:
    """A newer version of the same Channel File was pushed: nobody else is offered this one."""
    return _moved(rollout, Event.SUPERSEDE, now)


def pause(rollout: Rollout, *, paused: bool) -> Rollout:
    """Offer nothing and advance no further until resumed; gates are judged all the while."""
    _require_stage(rollout, "pause or resume")
    return replace(rollout, paused=paused)


def _aged(rollout: Rollout, evidence: Evidence, seconds: float) -> Rollout:
    limits = rollout.plan.limits
    if rollout.state not in STAGES:
        return replace(rollout, verdicts=watch(evidence, limits))
    waited = rollout.waited + (seconds if evidence.seats else 0.0)
    stage = rollout.plan.stages[rollout.state]
    baked = rollout.baked + (seconds if reach(evidence, stage)[0] else 0.0)
    verdicts = judge(evidence, stage, limits, baked, waited)
    return replace(rollout, baked=baked, waited=waited, verdicts=verdicts)


def _moved(rollout: Rollout, event: Event, now: float) -> Rollout:
    state = follow(rollout.state, event)
    general_since = now if state is State.GENERAL else rollout.general_since
    return Rollout(rollout.plan, state, general_since=general_since)


def _require_stage(rollout: Rollout, what: str) -> None:
    if rollout.state not in STAGES:
        raise IllegalMoveError(f"{what} while {rollout.state}")


def _words(verdict: Verdict) -> str:
    return f"{verdict.gate}: {verdict.found}, expected {verdict.expected}"
