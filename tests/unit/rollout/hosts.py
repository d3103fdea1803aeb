"""Evidence and hosts for the tests of the rollout engine."""

from collections.abc import Mapping, Sequence

import numpy as np

from cloud.rollout.engine import Rollout, begin
from cloud.rollout.evidence import Columns, Evidence, Group
from cloud.rollout.plan import STAGED, Plan
from cloud.rollout.policy import Ring
from cloud.rollout.seats import RINGS, Candidates
from cloud.rollout.sign import Sign
from cloud.rollout.table import State

PLAN = STAGED.quickened(10.0, 100)
HOUR = 3600.0


def evidence(
    signs: Mapping[Sign, int] | None = None,
    *,
    hosts: int = 100,
    evaluated: int = 1_000,
    control: int = 10_000,
    control_signs: Mapping[Sign, int] | None = None,
) -> Evidence:
    """Good evidence of so many hosts, but for the signs given."""
    shown = dict(signs or {})
    reached = Group(hosts, hosts - shown.get(Sign.SILENT, 0), shown)
    return Evidence(
        hosts, reached, Group(control, control, dict(control_signs or {})), {"new": evaluated}
    )


def at(state: State, plan: Plan = PLAN) -> Rollout:
    """A rollout that has just come to this state."""
    return Rollout(plan, state) if state is not plan.first else begin(plan, 0.0)


def columns(hosts: int, reached: int, **signs: Sequence[int]) -> Columns:
    """The first `reached` of so many hosts have the content; hosts that show a sign, by number."""
    has_it = np.arange(hosts) < reached
    found = {sign: np.isin(np.arange(hosts), signs.get(sign.value, ())) for sign in Sign}
    return Columns(
        reached=has_it,
        control=~has_it,
        signs=found,
        evaluation_ns=np.full(hosts, 1_000.0),
        memory_bytes=np.full(hosts, 50e6),
        evaluations={"new": np.where(has_it, 1_000, 0)},
        platforms=np.arange(hosts) % 3,
    )


def candidates(
    hosts: int,
    *,
    internal: int = 0,
    early: int = 0,
    platforms: int = 1,
    seated: Sequence[int] = (),
    seed: int = 1,
) -> Candidates:
    """Hosts of which the first are internal, and those after them take early access."""
    number = np.arange(hosts)
    rings = np.full(hosts, RINGS.index(Ring.GENERAL))
    rings[: internal + early] = RINGS.index(Ring.EARLY_ACCESS)
    rings[:internal] = RINGS.index(Ring.INTERNAL)
    lots = np.random.default_rng(seed).random(hosts)
    return Candidates(
        rings, number % platforms, lots, np.isin(number, seated), np.full(hosts, fill_value=True)
    )
