"""How much of a core does the whole sensor take, idle and while 100,000 files a second are opened?

All roles count: supervisor, evaluator, stand-by and link (a collector ends once it has attached).
Idle is with shipped content, under load with 10,000 instances for files, one of which matches one
open in a thousand. What else runs on the machine makes events as well: events per second are shown.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.evaluator_alone import cpu_seconds, pss_without_rings
from bench.event_content import file_content
from bench.event_load import Kind, loads, two_cores
from bench.harness import Figure, Peer, run
from bench.sensor import put_in_force, sensor, settle, status
from lab.demo.world import World

INSTANCES, FEWER_INSTANCES = 10_000, 1_000
RATE = 100_000
IDLE_SECONDS, QUICK_IDLE_SECONDS = 20.0, 4.0
LOAD_SECONDS, QUICK_LOAD_SECONDS = 10.0, 2.0
SETTLE_SECONDS = 2.0
MIB = 1 << 20


@dataclass(slots=True)
class Span:
    """What the sensor did in a while: seconds, its processor time by role, events, losses."""

    seconds: float = 0.0
    cpu: dict[str, float] | None = None
    events: int = 0
    lost: int = 0

    def percent(self) -> float:
        """Of one core, all roles together."""
        return sum((self.cpu or {}).values()) / self.seconds * 100

    def roles(self) -> tuple[Peer, ...]:
        """The same for each role."""
        shares = (self.cpu or {}).items()
        return tuple(Peer(f"of it {name}", used / self.seconds * 100) for name, used in shares)


def measure(*, quick: bool) -> list[Figure]:
    """Percent of a core, events lost, memory of the evaluator."""
    idle_seconds = QUICK_IDLE_SECONDS if quick else IDLE_SECONDS
    load_seconds = QUICK_LOAD_SECONDS if quick else LOAD_SECONDS
    with sensor() as world, loads() as load:
        settle(world)
        time.sleep(SETTLE_SECONDS)
        with _watched(world) as idle:
            time.sleep(idle_seconds)
        figures = [
            Figure("sensor, idle", idle.percent(), "% of a core", "<= 0.5", idle.roles()),
            Figure("events meanwhile, idle", idle.events / idle.seconds, "events/s"),
        ]
        put_in_force(world, file_content(FEWER_INSTANCES, version=2))
        figures.append(_memory(world))
        put_in_force(world, file_content(INSTANCES, version=3))
        time.sleep(SETTLE_SECONDS)
        with _watched(world) as busy:
            outcome = load.run(Kind.OPEN, seconds=load_seconds, rate=RATE, core=two_cores()[0])
    told = f"{RATE:,} opens/s, {INSTANCES:,} instances"
    return [
        *figures,
        Figure(f"{told}: sensor", busy.percent(), "% of a core", "<= 25", busy.roles()),
        Figure(f"{told}: rate reached", outcome.rate, "events/s"),
        Figure(f"{told}: events in all", busy.events / busy.seconds, "events/s"),
        Figure(f"{told}: events lost", busy.lost, "events", "= 0"),
    ]


@contextmanager
def _watched(world: World) -> Iterator[Span]:
    """What the sensor does meanwhile; the span is filled in at the end."""
    span, before, pids = Span(), status(world), _pids(world)
    used = {name: cpu_seconds(pid) for name, pid in pids.items()}
    began = time.monotonic()
    yield span
    span.seconds = time.monotonic() - began
    span.cpu = {name: cpu_seconds(pid) - used[name] for name, pid in pids.items()}
    after = status(world)
    if _pids(world) != pids:
        raise RuntimeError("a role was replaced while its processor time was taken")
    span.events = after["events"]["evaluated"] - before["events"]["evaluated"]
    span.lost = after["events"]["lost"] - before["events"]["lost"]


def _pids(world: World) -> dict[str, int]:
    roles = status(world)["roles"]
    found = {name: roles[name] for name in ("supervisor", "evaluator", "link", "collector")}
    found["stand-by"] = roles["standby"][0] if roles["standby"] else None
    return {name: one["pid"] for name, one in found.items() if one and one["pid"]}


def _memory(world: World) -> Figure:
    evaluator = status(world)["roles"]["evaluator"]["pid"]
    return Figure(
        f"evaluator's memory without rings (PSS), {FEWER_INSTANCES:,} instances and shipped ones",
        pss_without_rings(evaluator) / MIB,
        "MiB",
        "<= 120",
    )


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
