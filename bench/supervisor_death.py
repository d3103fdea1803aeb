"""How long is the host unprotected when the supervisor is killed, and a watching parent is there?

The sensor runs under `--respawn`. Its supervisor is killed with SIGKILL, and its roles and
attachments go with it; the parent starts another one, which attaches everything again. Programs are
executed all the time meanwhile: protection counts as restored when the first exec that happened
after the kill is in the detection log. What happened in between was not seen: it has to be in the
loss ledger, as a stretch of time.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any

from bench.harness import Figure, from_samples, run
from bench.sensor import ExecLoad, Watcher, canary, sensor, settle, status
from lab.demo.world import World

KILLS, QUICK_KILLS = 20, 2
PAUSE_SECONDS = 0.02
WAIT_SECONDS = 60.0


def measure(*, quick: bool) -> list[Figure]:
    """Seconds from SIGKILL to the next detection, and kills after which nobody came back."""
    with sensor() as world:
        if world.agent is None:
            raise RuntimeError("there is no agent")
        world.agent.stop()
        world.start_agent("--respawn")
        settle(world)
        load = ExecLoad(canary(world), pause_seconds=PAUSE_SECONDS)
        restored, told = [], 0
        with Watcher(world, load.program) as watcher, load:
            for _ in range(QUICK_KILLS if quick else KILLS):
                restored.append(_kill(world, watcher))
                told += "BEFORE_SENSOR" in {one["cause"] for one in status(world)["losses"]}
    return [
        from_samples("supervisor killed to protection, p50", restored, unit="s", percent=50),
        from_samples(
            "supervisor killed to protection, p99", restored, unit="s", percent=99, bar="<= 10"
        ),
        Figure("kills that protection came back from, by itself", len(restored), "kills"),
        Figure("gaps that are not in the loss ledger", len(restored) - told, "gaps", "= 0"),
    ]


def _kill(world: World, watcher: Watcher) -> float:
    """Seconds until an exec that happened after the kill was detected."""
    before = world.wait("evaluator and stand-by", _whole, WAIT_SECONDS)
    pid = before["roles"]["supervisor"]["pid"]
    at = time.time_ns()
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        after = [one.logged_ns for one in watcher.seen if one.happened_ns > at]
        if after:
            return (min(after) - at) / 1e9
        time.sleep(PAUSE_SECONDS)
    raise RuntimeError(f"no detection within {WAIT_SECONDS:.0f} s of the supervisor's death")


def _whole(found: Mapping[str, Any]) -> bool:
    return bool(found["protecting"]) and bool(found["roles"]["standby"])


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
