"""Who may be reached in a stage: so many seats, taken in order of ring and of lot. Pure.

A stage has at most its share of all hosts, those of the stages before included; internal has at
least one, canary at least one of each platform. Hosts keep the seats that they have. The lot is
drawn anew for each release, so that no host is always the first.

Where all hosts of a platform that have a seat are in trouble, one more gets one: either it is in
trouble as well, which halts the rollout, or it speaks for its platform instead of them.

Where no host is internal, one of the others stands in. Where nobody takes early access, canaries
and early access are drawn from all hosts: somebody has to be first.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cloud.rollout.evidence import different
from cloud.rollout.plan import Plan
from cloud.rollout.policy import Ring
from cloud.rollout.table import STAGES, State

RINGS = tuple(Ring)
GENERAL_RING = RINGS.index(Ring.GENERAL)
LOT_BYTES = 8
LOTS = float(256**LOT_BYTES)


@dataclass(frozen=True, slots=True)
class Candidates:
    """Hosts whose policy lets them be reached without delay: one entry per host in each array.

    rings: an index into RINGS. lots: from 0 to 1. seated: may be reached already. well: heard, and
    without trouble.
    """

    rings: NDArray[np.int64]
    platforms: NDArray[np.int64]
    lots: NDArray[np.float64]
    seated: NDArray[np.bool_]
    well: NDArray[np.bool_]


def lot(agent_id: str, release: bytes) -> float:
    """A host's lot for one release, from 0 to 1; nobody can choose it."""
    digest = hashlib.sha256(release + agent_id.encode()).digest()
    return int.from_bytes(digest[:LOT_BYTES], "big") / LOTS


def seats(state: State, hosts: int, platforms: int, plan: Plan) -> int:
    """How many hosts may be reached in this state."""
    if state not in STAGES:
        return hosts if state is State.COMPLETE else 0
    share = int(plan.stages[state].share * hosts + 1e-9)
    if state is State.INTERNAL:
        return min(hosts, max(1, share))
    if state is State.GENERAL:
        return hosts - int((1 - plan.stages[state].share) * hosts + 1e-9)
    canaries = int(plan.stages[State.CANARY].share * hosts + 1e-9)
    return min(hosts, max(1, platforms, canaries, share))


def draw(state: State, candidates: Candidates, plan: Plan) -> NDArray[np.bool_]:
    """Who gets a seat now, besides those who have one."""
    hosts = len(candidates.rings)
    platforms = different(candidates.platforms)
    room = seats(state, hosts, platforms, plan) - int(np.count_nonzero(candidates.seated))
    if state in (State.CANARY, State.EARLY_ACCESS):
        room = max(room, 0) + _platforms_in_trouble(candidates)
    chosen = np.zeros(hosts, dtype=np.bool_)
    if room <= 0:
        return chosen
    order = np.lexsort((candidates.lots, candidates.rings))
    order = order[~candidates.seated[order]]
    if state is State.INTERNAL:
        order = _internal(order, candidates)
    elif state is not State.GENERAL:
        order = _with_platforms_first(order, candidates)
    chosen[order[:room]] = True
    return chosen


def _internal(order: NDArray[np.int64], candidates: Candidates) -> NDArray[np.int64]:
    internal: NDArray[np.int64] = order[candidates.rings[order] == RINGS.index(Ring.INTERNAL)]
    if len(internal) or candidates.seated.any():
        return internal
    return order[:1]


def _with_platforms_first(order: NDArray[np.int64], candidates: Candidates) -> NDArray[np.int64]:
    """One of each platform that nobody speaks for, then those who take early access."""
    spoken_for = np.unique(candidates.platforms[candidates.seated & candidates.well])
    missing = ~np.isin(candidates.platforms[order], spoken_for)
    unseated = order[missing]
    _, first = np.unique(candidates.platforms[unseated], return_index=True)
    firsts = unseated[np.sort(first)]
    rest = order[~np.isin(order, firsts)]
    willing = candidates.rings < GENERAL_RING
    if np.any(candidates.rings == RINGS.index(Ring.EARLY_ACCESS)):
        rest = rest[willing[rest]]
    return np.concatenate((firsts, rest))


def _platforms_in_trouble(candidates: Candidates) -> int:
    seated = candidates.seated
    speak = seated & candidates.well
    return different(candidates.platforms[seated]) - different(candidates.platforms[speak])
