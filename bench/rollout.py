"""How many hosts does bad content reach under each plan, and how late does good content come?

8.5 million simulated hosts (`bench.rollout_fleet`) and the cloud's own engine (`cloud.rollout`),
which sees the sums that it sees in the cloud. Three questions, in this order:

    1. the content of July 2024, which kills a host at its first event without a report, to 8.5
       million hosts: how many does it reach under each plan, and how long until it is halted
    2. the same plans with good content: after how many hours half of the hosts have it, and after
       how many the last ones may
    3. rollouts of faulty content of every kind, and of good content, in fleets of 1,000 to 20,000
       hosts: how many get beyond the canary stage, and how many good ones are held back

`docs/images/rollout.svg` shows 1 and 2; the full form writes it.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.harness import CHECKOUT, Figure, Note, run
from bench.rollout_faults import FAULTY, Fault, Kind
from bench.rollout_fleet import HOUR, Fleet
from bench.rollout_picture import Point, picture
from cloud.rollout.engine import Rollout, begin, look
from cloud.rollout.evidence import collect
from cloud.rollout.plan import IMMEDIATE, STAGED, Plan
from cloud.rollout.seats import draw
from cloud.rollout.table import STAGES, State

HOSTS = 8_500_000
GOOD_HOSTS = 100_000
FLEETS = (1_000, 5_000, 20_000)
REVERT_SECONDS = 78 * 60.0
"""Without gates, people noticed and reverted after so long on 19 July 2024."""

FINE_SECONDS, COARSE_SECONDS = 5.0, 60.0
DRAW_SECONDS = 60.0
"""Seats that have become free, and hosts that have come, are looked for so often."""

LONGEST_SECONDS = 30 * HOUR
BEYOND = (State.EARLY_ACCESS, State.GENERAL, State.COMPLETE)
PICTURE = CHECKOUT / "docs" / "images" / "rollout.svg"
FULL_RUNS, QUICK_RUNS = 300, 18


@dataclass(frozen=True, slots=True)
class Run:
    """One simulated rollout: hosts reached; seconds since the push until each moment.

    half: half of the hosts online have it. ended: it is halted or complete.
    """

    rollout: Rollout
    furthest: State
    reached: int
    first_offer: float
    ended: float
    half: float


def variants() -> dict[str, Plan]:
    """Plans by name: 2024's, ours, and ours with other bake times."""
    return {
        "everybody at once (July 2024)": IMMEDIATE,
        "staged, a quarter of the bake times": _baked(0.25),
        "staged": STAGED,
        "staged, four times the bake times": _baked(4.0),
    }


def simulate(fleet: Fleet, plan: Plan, seconds: float, until: Callable[[Rollout], bool]) -> Run:
    """Roll one Channel File out to a fleet, in steps of so many seconds."""
    rollout = begin(plan, 0.0)
    furthest, first_offer, half, drawn = rollout.state, -1.0, np.inf, (rollout.state, -np.inf)
    while fleet.now < LONGEST_SECONDS:
        if rollout.state is not drawn[0] or fleet.now - drawn[1] >= DRAW_SECONDS:
            _seat(fleet, rollout)
            drawn = (rollout.state, fleet.now)
        fleet.step(seconds)
        count = int(np.count_nonzero(fleet.reached))
        first_offer = fleet.now if count and first_offer < 0 else first_offer
        online = int(np.count_nonzero(fleet.online))
        having = int(np.count_nonzero(fleet.reached & fleet.online))
        half = min(half, fleet.now) if 2 * having >= online else half
        rollout = _looked(rollout, fleet, plan, seconds)
        furthest = rollout.state if rollout.state in (*STAGES, State.COMPLETE) else furthest
        if rollout.state is State.HALTED or until(rollout):
            break
        if not plan.gated and fleet.now >= REVERT_SECONDS:
            break
    return Run(rollout, furthest, int(fleet.reached.sum()), first_offer, fleet.now, half)


def measure(*, quick: bool) -> Sequence[Figure | Note]:
    """The figures of the three questions."""
    hosts = HOSTS // 10 if quick else HOSTS
    figures: list[Figure | Note] = []
    points = []
    for name, plan in variants().items():
        bad = _bad(hosts, plan)
        good = simulate(Fleet(GOOD_HOSTS, 2), plan, COARSE_SECONDS, _is_over)
        end = good.ended if plan.gated else good.half
        figures += [
            Figure(
                f"July 2024's content to {hosts:,} hosts, {name}: reached", bad.reached, "hosts"
            ),
            Figure(f"the same: from first offer to halt, {name}", bad.ended - bad.first_offer, "s"),
            Figure(f"good content, {name}: half of the hosts have it after", good.half / HOUR, "h"),
            Figure(f"good content, {name}: the last hosts may have it after", end / HOUR, "h"),
        ]
        points.append(Point(name, bad.reached, good.half / HOUR, end / HOUR))
    crash = simulate(Fleet(hosts, 1, Fault(Kind.CRASH)), STAGED, FINE_SECONDS, _never)
    figures += [
        Figure(
            f"content that crashes the evaluator, {hosts:,} hosts: reached", crash.reached, "hosts"
        ),
        Figure("the same: from first offer to halt", crash.ended - crash.first_offer, "s"),
    ]
    figures += _many(QUICK_RUNS if quick else FULL_RUNS)
    if not quick:
        PICTURE.write_text(picture(points, hosts), encoding="utf-8")
    figures.append(Note("simulated hosts; what they are assumed to do is in docs/rollout.md"))
    figures.append(
        Note(f"time is simulated in steps of {FINE_SECONDS:g} s and {COARSE_SECONDS:g} s")
    )
    return figures


def _many(runs: int) -> list[Figure]:
    """Rollouts of faulty content and as many of good content, in fleets of several sizes."""
    beyond, harmed, held = [], [], 0
    for number in range(runs):
        fault, hosts = FAULTY[number % len(FAULTY)], FLEETS[number % len(FLEETS)]
        one = simulate(Fleet(hosts, number, fault), STAGED, COARSE_SECONDS, _is_beyond)
        if one.furthest in BEYOND:
            beyond.append((fault.kind, hosts, number))
        harmed.append(one.reached / hosts)
    for number in range(runs):
        hosts = FLEETS[number % len(FLEETS)]
        one = simulate(Fleet(hosts, 10_000 + number), STAGED, COARSE_SECONDS, _is_over)
        if one.rollout.state is not State.COMPLETE:
            held += 1
            print(f"bench: rollout: held back: {hosts} hosts: {one.rollout.reason or one.rollout}")
    for kind, hosts, number in beyond:
        print(f"bench: rollout: beyond the canary stage: {kind}, {hosts} hosts, run {number}")
    return [
        Figure(
            f"faulty content beyond the canary stage, of {runs} rollouts", len(beyond), "", "= 0"
        ),
        Figure("the same: most of a fleet reached", 100 * max(harmed), "% of hosts"),
        Figure(f"good content held back wrongly, of {runs} rollouts", held, ""),
    ]


def _bad(hosts: int, plan: Plan) -> Run:
    fleet = Fleet(hosts, 1, Fault(Kind.JULY_2024))
    return simulate(fleet, plan, FINE_SECONDS if plan.gated else COARSE_SECONDS, _never)


def _seat(fleet: Fleet, rollout: Rollout) -> None:
    if rollout.state is State.COMPLETE:
        fleet.seated[:] = True
    elif rollout.state in STAGES:
        within, candidates = fleet.candidates(fleet.columns(rollout.plan))
        fleet.seated[within[draw(rollout.state, candidates, rollout.plan)]] = True


def _looked(rollout: Rollout, fleet: Fleet, plan: Plan, seconds: float) -> Rollout:
    if not plan.gated:
        return rollout
    needed = plan.stages[rollout.state].evaluations if rollout.state in STAGES else 0
    seats = int(np.count_nonzero(fleet.seated))
    evidence = collect(fleet.columns(plan), seats, needed, plan.limits)
    return look(rollout, evidence, seconds, fleet.now)


def _baked(factor: float) -> Plan:
    stages = {
        state: replace(one, bake_seconds=one.bake_seconds * factor)
        for state, one in STAGED.stages.items()
    }
    return replace(STAGED, stages=stages)


def _never(_: Rollout) -> bool:
    return False


def _is_over(rollout: Rollout) -> bool:
    return rollout.plan.gated and rollout.state is State.COMPLETE


def _is_beyond(rollout: Rollout) -> bool:
    return rollout.state in BEYOND


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
