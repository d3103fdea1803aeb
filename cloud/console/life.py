"""A rollout's life, from what is stored of it and its entries in the audit log. Pure.

Only what was written down is told: when it came to a stage, when and by whom it left it, and how
its gates stand. The entries before its last push are those of an earlier rollout of that content.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cloud.rollout.audit import Entry
from cloud.rollout.gates import Verdict
from cloud.rollout.plan import StagePlan
from cloud.rollout.table import STAGES, State
from cloud.store.rollouts import Stored

PUSH = "push"
OVERRIDE = "override"


class Standing(StrEnum):
    """Of one stage of one rollout."""

    PASSED = "passed"
    WAIVED = "waived"
    HERE = "here"
    STOPPED = "stopped"
    LEFT = "left"
    AHEAD = "ahead"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: what it asks for, and what became of it. Times: ns; 0: not yet, or not written."""

    state: State
    plan: StagePlan
    standing: Standing
    entered: int
    left: int
    by: str
    baked: float


@dataclass(frozen=True, slots=True)
class Moment:
    """What happened to it, by whom, and why."""

    time_unix_ns: int
    by: str
    action: str
    came_from: str
    went_to: str
    reason: str


@dataclass(frozen=True, slots=True)
class Life:
    """All of it. gates: as of the last look, in the state that it is in or was halted in."""

    state: State
    paused: bool
    reason: str
    stages: Sequence[Stage]
    gates: Sequence[Verdict]
    moments: Sequence[Moment]

    @property
    def last(self) -> Moment | None:
        """What happened last."""
        return self.moments[-1] if self.moments else None

    @property
    def where(self) -> State:
        """The stage that its gates are of; without one, its state."""
        here = (Standing.HERE, Standing.STOPPED)
        return next((one.state for one in self.stages if one.standing in here), self.state)


def life(stored: Stored, entries: Iterable[Entry]) -> Life:
    """entries: those of the audit log that name this rollout, in their order."""
    moments = _since_push([_moment(one) for one in entries])
    moves = {one.came_from: one for one in moments if one.came_from != one.went_to}
    rollout = stored.rollout
    arrivals = {one.went_to: one.time_unix_ns for one in moments if one.came_from != one.went_to}
    stages = [
        _stage(state, plan, stored, moves.get(state), arrivals)
        for state in STAGES
        if (plan := rollout.plan.stages.get(state)) is not None
    ]
    return Life(rollout.state, rollout.paused, rollout.reason, stages, rollout.verdicts, moments)


def _stage(
    state: State,
    plan: StagePlan,
    stored: Stored,
    move: Moment | None,
    arrivals: Mapping[str, int],
) -> Stage:
    here = stored.rollout.state is state
    halted_here = move is not None and move.went_to == State.HALTED
    return Stage(
        state,
        plan,
        Standing.HERE if here else _standing(move),
        arrivals.get(state, 0),
        move.time_unix_ns if move and not here else 0,
        move.by if move and not here else "",
        stored.rollout.baked if here or halted_here else 0.0,
    )


def _standing(move: Moment | None) -> Standing:
    if move is None:
        return Standing.AHEAD
    if move.went_to == State.HALTED:
        return Standing.STOPPED
    if move.went_to == State.SUPERSEDED:
        return Standing.LEFT
    return Standing.WAIVED if move.action == OVERRIDE else Standing.PASSED


def _since_push(moments: list[Moment]) -> list[Moment]:
    pushes = [index for index, one in enumerate(moments) if one.action == PUSH]
    return moments[pushes[-1] :] if pushes else moments


def _moment(entry: Entry) -> Moment:
    detail = json.loads(entry.detail)
    went_to = str(detail.get("to", detail.get("state", "")))
    came_from = str(detail.get("from", ""))
    reason = str(detail.get("waived_because") or detail.get("reason", ""))
    return Moment(entry.time_unix_ns, entry.actor, entry.action, came_from, went_to, reason)
