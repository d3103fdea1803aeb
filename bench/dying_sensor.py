"""A whole sensor whose evaluator dies of an event, as its name asks (lab/deaths); and a canary.

Content in force knows the canary, and nothing of the events that kill. Beside that the sensor
collects opens, so that a load of them can be put on it.
"""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.event_load import Kind as LoadKind
from bench.event_load import loads
from bench.harness import NotMeasurableError
from lab.deaths import trigger
from lab.demo.claims import ClaimError, Claims
from lab.demo.steps import Demonstration
from lab.demo.world import World, is_root
from lab.poisoned import scenario

EVALUATOR = "lab.deaths.evaluator"
COLLECTED = "process,ipc,file"
EVENTS_PER_SECOND = 10_000
WAIT_SECONDS = 120.0
"""Longer than all content stays off where evaluators are starved, and die without a suspect."""
SHOWN_LINES = 30


@contextlib.contextmanager
def dying_sensor(*options: str) -> Iterator[Demonstration]:
    """With the canary's content in force and a stand-by; ended and removed afterwards."""
    if not is_root():
        raise NotMeasurableError("needs root, for BPF")
    output = Path(tempfile.mkdtemp(prefix="bulkhead-bench-"))
    world = World(output)
    demo = Demonstration(world, Claims(Console(quiet=True)))
    try:
        scenario.start(demo, EVALUATOR, "--collect", COLLECTED, *options)
        scenario.push(world, 1, [])
        wait_ready(world)
        yield demo
    except ClaimError as error:
        raise RuntimeError(f"{error}; the agent's log:\n{_said(world)}") from error
    finally:
        world.stop()
        world.remove()
        shutil.rmtree(output, ignore_errors=True)


@contextlib.contextmanager
def opens(rate: int = EVENTS_PER_SECOND) -> Iterator[None]:
    """So many opens a second meanwhile."""
    with loads() as load:
        process = subprocess.Popen(
            load.command(LoadKind.OPEN, rate=rate), stdout=subprocess.DEVNULL
        )
        try:
            yield
        finally:
            process.kill()
            process.wait()


def wait_ready(world: World) -> Mapping[str, Any]:
    """Until a worker protects and a stand-by with the same content is ready; the status."""
    return world.wait("evaluator and stand-by", ready, WAIT_SECONDS)


def ready(found: Mapping[str, Any]) -> bool:
    """Whether a worker protects and a stand-by with the same content is ready."""
    worker, standby = found["roles"]["evaluator"], found["roles"]["standby"]
    return bool(found["protecting"] and worker and worker["files"]) and any(
        one["stage"] == "ready" and one["files"] == worker["files"] for one in standby
    )


def die(demo: Demonstration, kind: str) -> Mapping[str, Any]:
    """Let the worker die in that way; the supervisor's report of the death."""
    world = demo.world
    found = world.status() or {"deaths": [], "roles": wait_ready(world)["roles"]}
    before = {one["id"] for one in found["deaths"]}
    trigger.pull(demo.scratch, kind, found["roles"]["supervisor"]["pid"])

    def reported(now: Mapping[str, Any]) -> bool:
        return any(one["id"] not in before for one in now["deaths"])

    deaths = world.wait(f"death by {kind}", reported, WAIT_SECONDS)["deaths"]
    return next(one for one in deaths if one["id"] not in before)


def _said(world: World) -> str:
    """The end of the agent's log, without the floods that a load is for."""
    lines = world.agent.tail(2000).splitlines() if world.agent else []
    return "\n".join([one for one in lines if "  flood  " not in one][-SHOWN_LINES:])
