"""A fleet of simulated hosts, as arrays, to which the cloud's own rollout engine is put.

`Fleet.step` lets time pass on the hosts: they go offline and come back, lose heartbeats, crash for
reasons of their own, get content for which they have a seat, and suffer as its fault says.
`Fleet.columns` is what the cloud would know of them; seats, evidence, gates and engine are those of
`cloud.rollout`, none of it written again here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from bench.rollout_faults import GOOD, MINUTE, Fault, Harm, Kind
from cloud.rollout.evidence import Columns, well
from cloud.rollout.plan import Plan
from cloud.rollout.policy import Ring
from cloud.rollout.seats import RINGS, Candidates
from cloud.rollout.sign import UNWELL, Sign

HOUR = 3600.0

Flags = NDArray[np.bool_]
Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What the simulated hosts do whatever the content is; docs/rollout.md has the same table."""

    platforms: int = 12
    smallest_platform_share: float = 0.005
    internal_share: float = 0.0005
    early_access_share: float = 0.1
    online_share: float = 0.9
    offline_per_hour: float = 0.02
    back_per_hour: float = 0.18
    heartbeat_seconds: float = 5.0
    heartbeats_lost: float = 0.001
    crashes_per_hour: float = 5e-5
    wrongly_blamed_share: float = 0.02
    evaluations_per_hour: float = 2_000.0
    evaluations_spread: float = 1.0
    evaluation_ns: float = 20_000.0
    memory_bytes: float = 60e6
    detections_per_hour: float = 0.01
    trial_seconds: float = 10.0


ASSUMPTIONS = Assumptions()
EXPLAINED: Mapping[str, str] = MappingProxyType(
    {
        "platforms": "platforms (system, kernel series, rung)",
        "smallest_platform_share": "share of hosts on the rarest platform",
        "internal_share": "share of hosts in the internal ring",
        "early_access_share": "share of hosts in the early access ring",
        "online_share": "share of hosts online at the start",
        "offline_per_hour": "chance of an online host to go offline, per hour",
        "back_per_hour": "chance of an offline host to come back, per hour",
        "heartbeat_seconds": "seconds between heartbeats",
        "heartbeats_lost": "share of heartbeats that are lost",
        "crashes_per_hour": "crash reports that are not the content's doing, per host and hour",
        "wrongly_blamed_share": "share of those that name the new content nevertheless",
        "evaluations_per_hour": "events of the Template Type per host and hour, median",
        "evaluations_spread": "standard deviation of their natural logarithm, between hosts",
        "evaluation_ns": "nanoseconds to evaluate an event, median (small batches)",
        "memory_bytes": "bytes of memory of an evaluator, median",
        "detections_per_hour": "detections by good content, per host and hour",
        "trial_seconds": "seconds from the offer to active content",
    }
)


class Fleet:
    """So many hosts; `now` is in seconds since the push."""

    def __init__(
        self, hosts: int, seed: int, fault: Fault = GOOD, assumed: Assumptions = ASSUMPTIONS
    ) -> None:
        self.random = np.random.default_rng(seed)
        self.hosts, self.fault, self.assumed, self.now = hosts, fault, assumed, 0.0
        chance = self.random.random
        self.rings = np.full(hosts, RINGS.index(Ring.GENERAL), dtype=np.int64)
        drawn = chance(hosts, dtype=np.float32)
        early = assumed.internal_share + assumed.early_access_share
        self.rings[drawn < early] = RINGS.index(Ring.EARLY_ACCESS)
        self.rings[drawn < assumed.internal_share] = RINGS.index(Ring.INTERNAL)
        self.platforms = self._platforms()
        self.lots = chance(hosts)
        self.online: Flags = chance(hosts, dtype=np.float32) < assumed.online_share
        self.known: Flags = self.online.copy()
        self.heard_at: Values = np.zeros(hosts, dtype=np.float32)
        self.seated: Flags = np.zeros(hosts, dtype=np.bool_)
        self.reached: Flags = np.zeros(hosts, dtype=np.bool_)
        self.active_at: Values = np.full(hosts, np.inf, dtype=np.float32)
        spread = self.random.standard_normal(hosts, dtype=np.float32) * assumed.evaluations_spread
        self.rates: Values = np.exp(spread) * np.float32(assumed.evaluations_per_hour / HOUR)
        self.evaluation_ns: Values = self._around(assumed.evaluation_ns)
        self.memory_bytes: Values = self._around(assumed.memory_bytes)
        self.died, self.blamed, self.given_up, self.dead = (
            np.zeros(hosts, dtype=np.bool_) for _ in range(4)
        )
        self.detections: Values = np.zeros(hosts, dtype=np.float32)
        self.harm = Harm.draw(fault, self.platforms, self.random)

    def step(self, seconds: float) -> None:
        """Let time pass; offers that were made are taken up by who is online."""
        self.now += seconds
        self._come_and_go(seconds)
        new = self.seated & ~self.reached & self.online & ~self.dead
        self.reached |= new
        self.active_at[new] = self.now + self.assumed.trial_seconds
        has_it = self.reached & (self.active_at <= self.now)
        self._background(has_it, seconds)
        self._suffer(has_it, seconds)
        up = self.online & ~self.dead
        beats = max(1.0, seconds / self.assumed.heartbeat_seconds)
        up[self._some(self.assumed.heartbeats_lost**beats)] = False
        self.heard_at[up] = self.now
        self.known |= up

    def _suffer(self, has_it: Flags, seconds: float) -> None:
        """What happens in this step on hosts that have the content."""
        harm = self.harm
        kind = harm.fault.kind
        if kind is Kind.NOTHING:
            return
        due = has_it & harm.victims & (self.now - self.active_at >= harm.after)
        if kind in (Kind.JULY_2024, Kind.SILENT):
            self.dead |= due
        elif kind in (Kind.CRASH, Kind.PLATFORM, Kind.LATER):
            reported = due & self.online
            self.died |= reported
            self.blamed |= reported
        elif kind is Kind.SLOW:
            usual = self.assumed.evaluation_ns
            self.evaluation_ns[due] = np.maximum(self.evaluation_ns[due], usual * harm.strength)
        elif kind is Kind.MEMORY:
            self.memory_bytes[due] += np.float32(2**30 / (10 * MINUTE) * seconds)
        elif kind is Kind.FLOOD:
            self.detections[due] += np.float32(harm.strength * seconds / MINUTE)
        elif kind is Kind.REFUSED:
            self.given_up |= due

    def columns(self, plan: Plan) -> Columns:
        """What the cloud knows."""
        limits = plan.limits
        ran = np.clip(self.now - self.active_at, 0, None)
        signs = {
            Sign.DIED: self.died,
            Sign.BLAMED: self.blamed,
            Sign.GIVEN_UP: self.given_up,
            Sign.SILENT: self.now - self.heard_at > limits.silence_seconds,
            Sign.NOISY: self.detections > limits.detections,
        }
        unwell = np.any([signs[one] for one in UNWELL], axis=0)
        possible = self.reached | (self.known & ~signs[Sign.SILENT])
        evaluations = np.where(unwell & self.dead, 0, self.rates * ran).astype(np.int64)
        return Columns(
            reached=self.reached,
            control=self.known & ~self.reached,
            signs=signs,
            evaluation_ns=self.evaluation_ns,  # type: ignore[arg-type]  # half the memory
            memory_bytes=self.memory_bytes,  # type: ignore[arg-type]
            evaluations={"new": evaluations},
            platforms=np.where(possible, self.platforms, -1),
        )

    def candidates(self, columns: Columns) -> tuple[NDArray[np.int64], Candidates]:
        """Who may get a seat, by index: hosts that the cloud hears, and those that have one."""
        within = np.flatnonzero(self.seated | (self.known & ~columns.signs[Sign.SILENT]))
        return within, Candidates(
            rings=self.rings[within],
            platforms=self.platforms[within],
            lots=self.lots[within],
            seated=self.seated[within],
            well=well(columns.signs)[within],
        )

    def _come_and_go(self, seconds: float) -> None:
        leave = self._some(self.assumed.offline_per_hour * seconds / HOUR)
        come = self._some(self.assumed.back_per_hour * seconds / HOUR)
        come = come[~self.online[come]]
        self.online[leave] = False
        self.online[come] = True

    def _background(self, has_it: Flags, seconds: float) -> None:
        hours = seconds / HOUR
        who = self._some(self.assumed.crashes_per_hour * hours)
        who = who[self.online[who]]
        self.died[who] = True
        blamed = self.random.random(len(who)) < self.assumed.wrongly_blamed_share
        self.blamed[who[blamed & has_it[who]]] = True
        lucky = self._some(self.assumed.detections_per_hour * hours)
        np.add.at(self.detections, lucky[has_it[lucky]], 1)

    def _some(self, chance: float) -> NDArray[np.int64]:
        """Hosts to whom something happens that happens to each with this chance."""
        count = self.random.binomial(self.hosts, chance)
        return self.random.integers(0, self.hosts, count)

    def _platforms(self) -> NDArray[np.int64]:
        """Shares that fall by a constant factor, down to that of the rarest."""
        count, least = self.assumed.platforms, self.assumed.smallest_platform_share
        weights = np.geomspace(0.5, least, count)
        drawn = self.random.choice(count, self.hosts, p=weights / weights.sum())
        return drawn.astype(np.int64)

    def _around(self, median: float) -> Values:
        spread = self.random.standard_normal(self.hosts, dtype=np.float32) * 0.25
        values: Values = (np.exp(spread) * median).astype(np.float32)
        return values
