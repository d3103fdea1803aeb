"""What each stage of a rollout asks for, and the limits of its gates: data, kept with the rollout.

A rollout keeps the plan that it began with: nobody can make a gate wider while it is being passed.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from cloud.rollout.sign import Sign
from cloud.rollout.table import STAGES, State

MINUTE = 60.0
HOUR = 3600.0
MEBIBYTE = 1024.0 * 1024.0


class PlanName(StrEnum):
    """The plans that there are."""

    STAGED = "staged"
    IMMEDIATE = "immediate"


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage.

    share: of all hosts that can take the content, with those of the stages before. bake_seconds:
    how long the hosts reached have to be watched. evaluations: events that each new Template
    Instance has to be put to, in all. deadline_seconds: what is not known by then counts as failed.
    every_platform: whether hosts of each platform have to be among those reached.
    """

    share: float
    bake_seconds: float
    evaluations: int
    deadline_seconds: float
    every_platform: bool = True


BACKGROUND: Mapping[Sign, float] = MappingProxyType(
    {
        Sign.DIED: 5e-4,
        Sign.BLAMED: 1e-5,
        Sign.GIVEN_UP: 1e-5,
        Sign.SILENT: 1e-2,
        Sign.SLOW: 1e-2,
        Sign.HEAVY: 1e-2,
        Sign.NOISY: 1e-3,
    }
)
"""The share of hosts that shows a sign whatever the content; used where the control's is less."""


@dataclass(frozen=True, slots=True)
class GateLimits:
    """When a host shows a sign; latency and memory also have to exceed the control group's."""

    silence_seconds: float = 60.0
    evaluation_ns: float = 1_000_000.0
    memory_bytes: float = 512 * MEBIBYTE
    times_control: float = 2.0
    detections: int = 100
    background: Mapping[Sign, float] = field(default_factory=lambda: BACKGROUND)


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole rollout.

    gated: whether there are stages and gates at all. approval: an operator has to promote each
    stage after its gates have passed.
    """

    name: str
    stages: Mapping[State, StagePlan]
    limits: GateLimits = GateLimits()
    gated: bool = True
    approval: bool = False

    @property
    def first(self) -> State:
        """Where a rollout by this plan begins."""
        return State.INTERNAL if self.gated else State.COMPLETE

    def quickened(
        self, bake_seconds: float | None, evaluations: int | None, *, approval: bool = False
    ) -> "Plan":
        """With another bake time or minimum of evaluations in all stages, for a small fleet."""
        stages = {
            state: replace(
                one,
                bake_seconds=one.bake_seconds if bake_seconds is None else bake_seconds,
                evaluations=one.evaluations if evaluations is None else evaluations,
            )
            for state, one in self.stages.items()
        }
        return replace(self, stages=stages, approval=approval)


STAGED = Plan(
    PlanName.STAGED.value,
    MappingProxyType(
        {
            State.INTERNAL: StagePlan(0.001, 15 * MINUTE, 1_000, 24 * HOUR, every_platform=False),
            State.CANARY: StagePlan(0.01, 30 * MINUTE, 10_000, 24 * HOUR),
            State.EARLY_ACCESS: StagePlan(0.1, 60 * MINUTE, 100_000, 24 * HOUR),
            State.GENERAL: StagePlan(0.99, 120 * MINUTE, 100_000, 24 * HOUR),
        }
    ),
)
IMMEDIATE = Plan(PlanName.IMMEDIATE.value, MappingProxyType({}), gated=False)
"""Everybody at once and no gates, as in July 2024: for a single host or a demonstration."""

PLANS: Mapping[PlanName, Plan] = MappingProxyType(
    {PlanName.STAGED: STAGED, PlanName.IMMEDIATE: IMMEDIATE}
)


def to_text(plan: Plan) -> str:
    """As the store keeps it."""
    document = asdict(replace(plan, stages={}, limits=replace(plan.limits, background={})))
    document["stages"] = {state.value: asdict(one) for state, one in plan.stages.items()}
    document["limits"]["background"] = {
        sign.value: share for sign, share in plan.limits.background.items()
    }
    return json.dumps(document, sort_keys=True)


def from_text(text: str) -> Plan:
    """What `to_text` wrote."""
    document: dict[str, Any] = json.loads(text)
    limits = document.pop("limits")
    background = {Sign(name): share for name, share in limits.pop("background").items()}
    stages = document.pop("stages")
    found = {state: StagePlan(**stages[state.value]) for state in STAGES if state.value in stages}
    return Plan(**document, stages=found, limits=GateLimits(**limits, background=background))
