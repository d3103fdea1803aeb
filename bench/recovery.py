"""How long is the host unprotected when the evaluator dies, in every way, and is an event lost?

Each kind of death of lab/deaths/kinds.py, and SIGKILL from outside, really happens in the evaluator
at work, again and again, while programs are executed and 10,000 files a second are opened; each
time once a stand-by is ready and has the same content. Protection counts as restored when the first
exec that happened after the supervisor knew of the death is in the detection log. At the end every
exec has to be there exactly once, and each event that killed has to be counted, once.

What crashes is dead from the moment in which its event is caused: up to 25 ms more than it is. What
hangs, or fills memory, is dead when the supervisor knows of its end, which takes 1.5 seconds of
silence; from the event to protection is a figure of its own there. The full form takes about five
hours.
"""

import os
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.dying_sensor import die, dying_sensor, opens, wait_ready
from bench.harness import Figure, from_samples, run
from bench.sensor import ExecLoad, Seen, Watcher, canary, status
from lab.deaths.kinds import KINDS, Found
from lab.demo.steps import Demonstration
from lab.demo.world import World

DEATHS, QUICK_DEATHS = 300, 2
QUICK_KINDS = tuple(KINDS)[::8]
FROM_OUTSIDE = "SIGKILL from outside"
PAUSE_SECONDS = 1.25
"""After a death. A successor that has worked for a second is in no crash loop, which would be
slowed down; it was put to work within a fraction of one."""
EXEC_PAUSE_SECONDS = 0.001
LAST_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class End:
    """One death. Unix times in nanoseconds: of its cause, and of when the supervisor knew."""

    caused: int
    known: int


def measure(*, quick: bool) -> list[Figure]:
    """Milliseconds from each kind of death to protection; events lost and doubled over all."""
    deaths: dict[str, list[End]] = {
        kind: [] for kind in (FROM_OUTSIDE, *(QUICK_KINDS if quick else KINDS))
    }
    lost = dict.fromkeys(Found, 0)
    with dying_sensor() as demo:
        world = demo.world
        watcher = Watcher(world.state / "link" / "detections.jsonl")
        load = ExecLoad(canary(world), EXEC_PAUSE_SECONDS)
        began = time.monotonic()
        with watcher, opens():
            with load:
                for kind, ends in deaths.items():
                    before = _lost(world)
                    for _ in range(QUICK_DEATHS if quick else DEATHS):
                        ends.append(_die(demo, kind, ends))
                    time.sleep(PAUSE_SECONDS)
                    lost[_found(kind)] += _lost(world) - before
                    _say(kind, ends, watcher.seen)
            produced = status(world)["events"]["produced"]
            seconds = time.monotonic() - began
            watcher.wait(load.started, LAST_SECONDS)
        counted = Counter({one["cause"]: one["count"] for one in status(world)["losses"]})
    times = Counter(one.argument for one in watcher.seen)
    killing = sum(len(ends) for kind, ends in deaths.items() if kind in KINDS)
    figures = [each for kind, ends in deaths.items() for each in _figures(kind, ends, watcher.seen)]
    return [
        *figures,
        Figure("deaths", killing + len(deaths[FROM_OUTSIDE]), "deaths"),
        Figure("execs without a detection", load.started - len(times), "events", "= 0"),
        Figure("execs detected twice", sum(n - 1 for n in times.values()), "events", "= 0"),
        Figure("events that killed, not counted", killing - counted["SUSPECT_EVENT"], "", "= 0"),
        *(
            Figure(f"other events lost, deaths that come {found}", count, "events", "= 0")
            for found, count in lost.items()
        ),
        Figure("exec load", load.started / seconds, "execs/s"),
        Figure("events of all types", produced / seconds, "events/s"),
    ]


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


def _figures(kind: str, ends: Sequence[End], seen: Sequence[Seen]) -> list[Figure]:
    restored = _restored(kind, ends, seen)
    name = f"{kind}, death to protection"
    figures = [
        from_samples(f"{name}, p50", restored, unit="ms", percent=50, bar="<= 100"),
        from_samples(f"{name}, p99", restored, unit="ms", percent=99, bar="<= 500"),
    ]
    if _found(kind) is Found.LATER:
        whole = [_after(one.caused, one.known, seen) for one in ends]
        name = f"{kind}, its cause to protection, p99"
        figures.append(from_samples(name, whole, unit="ms", percent=99))
    return figures


def _restored(kind: str, ends: Sequence[End], seen: Sequence[Seen]) -> list[float]:
    later = _found(kind) is Found.LATER
    return [_after(one.known if later else one.caused, one.known, seen) for one in ends]


def _after(since_ns: int, known_ns: int, seen: Sequence[Seen]) -> float:
    """Milliseconds from `since` until an exec that happened after `known` was detected."""
    after = [one.logged_ns for one in seen if one.happened_ns > known_ns]
    return (min(after) - since_ns) / 1e6 if after else float("inf")


def _say(kind: str, ends: Sequence[End], seen: Sequence[Seen]) -> None:
    median = statistics.median(_restored(kind, ends, seen))
    print(f"recovery: {kind}: {len(ends)} deaths, median {median:.0f} ms", flush=True)


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
