"""How long is the host unprotected when the evaluator dies, in every way, and is an event lost?

Each kind of death of lab/deaths/kinds.py, and SIGKILL from outside, really happens in the evaluator
at work, again and again, while programs are executed and 10,000 files a second are opened; each
time once a stand-by is ready and has the same content. Protection counts as restored when the first
exec that happened after the supervisor knew of the death is in the detection log. At the end every
exec has to be there exactly once, and each event that killed has to be counted, once.

What crashes is dead from the moment in which its event is caused: up to 25 ms more than it is. What
hangs, or fills memory, is dead when the supervisor knows of its end, which takes 1.5 seconds of
silence; from the event to protection is a figure of its own there. Two sensors run side by side and
share the kinds, first those with deaths at once, then those that come later; each one sees the
files that are opened for the other, too, so each opens its half of them. Most of the time a sensor
waits for a successor to have worked long enough; on two processors a third sensor is one too many.
A kind that is left over, or asked for alone, has a sensor and the whole load for itself. The full
form takes an hour and three quarters, and needs the machine for itself.
"""

import functools
import os
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.dying_sensor import EVENTS_PER_SECOND, die, dying_sensor, opens, wait_ready
from bench.harness import Figure, Note, from_samples, run_parts
from bench.sensor import ExecLoad, Seen, Watcher, canary, status
from bench.side_by_side import side_by_side
from lab.deaths.kinds import KINDS, Found
from lab.demo.steps import Demonstration
from lab.demo.world import World

DEATHS, QUICK_DEATHS = 300, 2
QUICK_KINDS = tuple(KINDS)[::8]
FROM_OUTSIDE = "SIGKILL from outside"
SENSORS = 2
PAUSE_SECONDS = 1.15
"""After a death. A successor that has worked for a second is in no crash loop, which would be
slowed down; it was put to work within a fraction of one."""
EXEC_PAUSE_SECONDS = 0.015
LAST_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class End:
    """One death. Unix times in nanoseconds: of its cause, and of when the supervisor knew."""

    caused: int
    known: int


@dataclass(slots=True)
class Part:
    """What one sensor showed. Milliseconds by kind: from death, and from its cause, to protection.

    lost: events beside those that killed, by when the deaths came. causes: of all losses.
    """

    restored: dict[str, list[float]] = field(default_factory=dict)
    whole: dict[str, list[float]] = field(default_factory=dict)
    lost: Counter[Found] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    undetected: int = 0
    twice: int = 0
    counted: int = 0
    execs_per_second: float = 0.0
    events_per_second: float = 0.0

    def deaths(self, kinds: Sequence[str]) -> int:
        """How many deaths there were of these kinds."""
        return sum(len(self.restored.get(kind, ())) for kind in kinds)


def measure(*, quick: bool, part: str | None = None) -> list[Figure | Note]:
    """Milliseconds from each kind of death to protection; events lost and doubled over all.

    part: a kind of death to measure alone.
    """
    kinds = (FROM_OUTSIDE, *(QUICK_KINDS if quick else KINDS)) if part is None else (part,)
    if quick:
        parts = _parts(kinds, QUICK_DEATHS, 1)
    else:
        groups = [[kind for kind in kinds if _found(kind) is when] for when in Found]
        parts = [one for group in groups for one in _in_pairs(group)]
    causes = sum((one.causes for one in parts), Counter[str]())
    restored = {kind: times for one in parts for kind, times in one.restored.items()}
    whole = {kind: times for one in parts for kind, times in one.whole.items()}
    killing = sum(one.deaths(tuple(KINDS)) for one in parts)
    counted = sum(one.counted for one in parts)
    return [
        *(each for kind in kinds for each in _figures(kind, restored[kind], whole.get(kind))),
        Figure("deaths", sum(one.deaths(kinds) for one in parts), "deaths"),
        Figure("execs without a detection", sum(one.undetected for one in parts), "events", "= 0"),
        Figure("execs detected twice", sum(one.twice for one in parts), "events", "= 0"),
        Figure("events that killed, not counted", killing - counted, "", "= 0"),
        *(
            Figure(
                f"other events lost, deaths that come {found}",
                sum(one.lost[found] for one in parts),
                "events",
                "= 0",
            )
            for found in Found
        ),
        Figure("exec load", min(one.execs_per_second for one in parts), "execs/s"),
        Figure("events of all types", min(one.events_per_second for one in parts), "events/s"),
        Note("Losses by cause: " + ", ".join(f"{one} {n:,}" for one, n in causes.items()) + "."),
    ]


def _in_pairs(kinds: Sequence[str]) -> list[Part]:
    """A kind that is left over has a sensor, and all of the files, for itself."""
    even = len(kinds) - len(kinds) % SENSORS
    return [*_parts(kinds[:even], DEATHS, SENSORS), *_parts(kinds[even:], DEATHS, 1)]


def _parts(kinds: Sequence[str], deaths: int, sensors: int) -> list[Part]:
    if not kinds:
        return []
    share = functools.partial(_part, deaths=deaths, rate=EVENTS_PER_SECOND // sensors)
    return side_by_side(share, kinds, sensors)


def _part(kinds: Sequence[str], deaths: int, rate: int) -> Part:
    """All deaths of some kinds, on a sensor for them alone."""
    part = Part()
    with dying_sensor() as demo:
        world = demo.world
        program = canary(world)
        watcher = Watcher(world, program)
        load = ExecLoad(program, EXEC_PAUSE_SECONDS)
        began, produced = time.monotonic(), status(world)["events"]["produced"]
        with watcher, opens(rate):
            with load:
                for kind in kinds:
                    _kill_often(demo, kind, deaths, watcher.seen, part)
            seconds = time.monotonic() - began
            part.events_per_second = (status(world)["events"]["produced"] - produced) / seconds
            watcher.wait(load.started, LAST_SECONDS)
        losses = Counter[str]()
        for one in status(world)["losses"]:
            losses[one["cause"]] += one["count"]
    times = Counter(one.argument for one in watcher.seen)
    part.undetected = load.started - len(times)
    part.twice = sum(n - 1 for n in times.values())
    part.counted, part.execs_per_second = losses["SUSPECT_EVENT"], load.started / seconds
    part.causes = losses
    return part


def _kill_often(
    demo: Demonstration, kind: str, deaths: int, seen: Sequence[Seen], part: Part
) -> None:
    before, ends, first = _lost(demo.world), list[End](), len(seen)
    for _ in range(deaths):
        ends.append(_die(demo, kind, ends))
    time.sleep(PAUSE_SECONDS)
    later = _found(kind) is Found.LATER
    since = seen[first:]
    lost = _lost(demo.world) - before
    part.lost[_found(kind)] += lost
    part.restored[kind] = _times([(e.known if later else e.caused, e.known) for e in ends], since)
    if later:
        part.whole[kind] = _times([(one.caused, one.known) for one in ends], since)
    median = statistics.median(part.restored[kind])
    print(f"recovery: {kind}: {len(ends)} deaths, median {median:.0f} ms, lost {lost}", flush=True)


def _times(ends: Sequence[tuple[int, int]], seen: Sequence[Seen]) -> list[float]:
    return [_after(since, known, seen) for since, known in ends]


def _found(kind: str) -> Found:
    return KINDS[kind].found if kind in KINDS else Found.AT_ONCE


def _lost(world: World) -> int:
    """Events that were lost, without those that killed."""
    found = status(world)
    aside = sum(int(one["count"]) for one in found["losses"] if one["cause"] == "SUSPECT_EVENT")
    return int(found["events"]["lost"]) - aside


def _die(demo: Demonstration, kind: str, earlier: Sequence[End]) -> End:
    found = wait_ready(demo.world)
    worked = (time.time_ns() - earlier[-1].known) / 1e9 if earlier else 0.0
    time.sleep(max(PAUSE_SECONDS - worked, 0.0))
    caused = time.time_ns()
    if kind in KINDS:
        return End(caused, die(demo, kind)["time_unix_ns"])
    pid = found["roles"]["evaluator"]["pid"]
    os.kill(pid, signal.SIGKILL)
    _wait_for_another(demo.world, pid)
    return End(caused, caused)


def _wait_for_another(world: World, pid: int) -> None:
    world.wait(
        "another worker",
        lambda now: (now["roles"]["evaluator"] or {"pid": pid})["pid"] != pid,
        LAST_SECONDS,
    )


def _figures(kind: str, restored: Sequence[float], whole: Sequence[float] | None) -> list[Figure]:
    name = f"{kind}, death to protection"
    figures = [
        from_samples(f"{name}, p50", restored, unit="ms", percent=50, bar="<= 100"),
        from_samples(f"{name}, p99", restored, unit="ms", percent=99, bar="<= 500"),
    ]
    if whole is not None:
        name = f"{kind}, its cause to protection, p99"
        figures.append(from_samples(name, whole, unit="ms", percent=99))
    return figures


def _after(since_ns: int, known_ns: int, seen: Sequence[Seen]) -> float:
    """Milliseconds from `since` until an exec that happened after `known` was detected."""
    after = [one.logged_ns for one in seen if one.happened_ns > known_ns]
    return (min(after) - since_ns) / 1e6 if after else float("inf")


if __name__ == "__main__":
    sys.exit(run_parts(__spec__.name, measure, (FROM_OUTSIDE, *KINDS)))
