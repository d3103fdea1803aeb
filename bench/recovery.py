"""How long is the host unprotected when the evaluator is killed, and is any event lost or doubled?

The evaluator is killed with SIGKILL again and again while programs are executed as fast as one loop
can, each time once a stand-by is ready and has the same content. Protection counts as restored when
the first exec that happened after the kill is in the detection log. At the end every exec has to be
there exactly once.
"""

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bench.harness import Figure, from_samples, run
from bench.sensor import ExecLoad, Seen, Watcher, canary, sensor, status
from lab.demo.world import World

KILLS = 100
QUICK_KILLS = 10
PAUSE_SECONDS = 1.0


def measure(*, quick: bool) -> list[Figure]:
    """Milliseconds from SIGKILL to the next detection; events lost and doubled over all kills."""
    killed: list[int] = []
    with sensor() as world:
        watcher = Watcher(world.state / "link" / "detections.jsonl")
        load = ExecLoad(canary(world))
        began = time.monotonic()
        with watcher:
            with load:
                for _ in range(QUICK_KILLS if quick else KILLS):
                    time.sleep(PAUSE_SECONDS)
                    killed.append(_kill(world))
                time.sleep(PAUSE_SECONDS)
            rate = load.started / (time.monotonic() - began)
            watcher.wait(load.started, 15.0)
        counted = status(world)["events"]["lost"]
    restored = [_restored(at, watcher.seen) for at in killed]
    times = Counter(one.argument for one in watcher.seen)
    return [
        from_samples("death to protection, p50", restored, unit="ms", percent=50, bar="<= 100"),
        from_samples("death to protection, p99", restored, unit="ms", percent=99, bar="<= 500"),
        Figure("execs without a detection", load.started - len(times), "events", "= 0"),
        Figure("execs detected twice", sum(n - 1 for n in times.values()), "events", "= 0"),
        Figure("events counted as lost", counted, "events", "= 0"),
        Figure("exec load", rate, "execs/s"),
    ]


def _kill(world: World) -> int:
    """SIGKILL the evaluator at work; the Unix time in nanoseconds."""
    worker = world.wait("evaluator and stand-by", _ready, 20.0)
    at = time.time_ns()
    os.kill(worker["roles"]["evaluator"]["pid"], signal.SIGKILL)
    return at


def _ready(found: Mapping[str, Any]) -> bool:
    worker, standby = found["roles"]["evaluator"], found["roles"]["standby"]
    return bool(worker) and any(
        one["stage"] == "ready" and one["files"] == worker["files"] for one in standby
    )


def _restored(killed_ns: int, seen: Sequence[Seen]) -> float:
    """Milliseconds until an exec that happened after the kill was detected."""
    after = [one.logged_ns for one in seen if one.happened_ns > killed_ns]
    if not after:
        return float("inf")
    return (min(after) - killed_ns) / 1e6


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
