"""What watches the host in `bench.host_cost`: nobody, our sensor, and peers, each started alike.

A subject is started, watches loads, and is ended; what it has seen of each kind of event and lost
is known then. Its processor time is that of its processes while they run.
"""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.event_load import Kind
from bench.harness import CHECKOUT, NotMeasurableError
from bench.peer_auditd import EXECVE, OPENAT, auditd
from bench.peer_bpftrace import COUNTING, PRINTING, bpftrace
from bench.sensor import settle, status
from lab.demo.world import World

SENSOR = "sensor"
NOBODY = "no sensor"
NUMBERS = {Kind.EXEC: "1", Kind.OPEN: "2", Kind.CONNECT: "3"}
"""Template Types of the sensor that report each kind."""

READY_SECONDS, ACCOUNTED_SECONDS = 30.0, 30.0


@dataclass(slots=True)
class Watching:
    """A subject at work; `seen` and `lost` are filled in when it has ended."""

    pids: tuple[int, ...] = ()
    seen: Mapping[str, int] = field(default_factory=dict)
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Subject:
    """Its name in the figures, the kinds of event that it reports, and how it is had."""

    name: str
    kinds: tuple[Kind, ...]
    watch: Callable[[], AbstractContextManager[Watching]]


def subjects(world: World) -> list[Subject]:
    """All but nobody; auditd last, because it leaves a cost behind."""
    every = tuple(Kind)
    execs, both = (Kind.EXEC,), (Kind.EXEC, Kind.OPEN)
    return [
        Subject(SENSOR, every, lambda: _sensor(world)),
        Subject("BCC callback", every, _callback),
        Subject("bpftrace, counting", every, lambda: _bpftrace(COUNTING)),
        Subject("bpftrace, printing", every, lambda: _bpftrace(PRINTING)),
        Subject("auditd, execve", execs, lambda: _auditd(EXECVE)),
        Subject("auditd, execve and openat", both, lambda: _auditd(EXECVE, OPENAT)),
    ]


@contextmanager
def nobody() -> Iterator[Watching]:
    """No sensor at all."""
    yield Watching()


@contextmanager
def _sensor(world: World) -> Iterator[Watching]:
    world.start_agent()
    try:
        settle(world)
        roles = status(world)["roles"]
        entries = (
            *(roles[name] for name in ("supervisor", "evaluator", "link")),
            *roles["standby"],
        )
        before = _accounted(world)
        watching = Watching(tuple(one["pid"] for one in entries if one and one["pid"]))
        lost = int(status(world)["events"]["lost"])
        yield watching
        _all_accounted(world)
        after = _accounted(world)
        watching.seen = {kind: after[kind] - before[kind] for kind in after}
        watching.lost = int(status(world)["events"]["lost"]) - lost
    finally:
        if world.agent is not None:
            world.agent.stop()


def _accounted(world: World) -> dict[str, int]:
    rings = status(world)["collection"]["rings"]
    return {kind: int(rings[number]["accounted"]) for kind, number in NUMBERS.items()}


def _all_accounted(world: World) -> None:
    """Until what is in the rings now has been evaluated."""
    rings = status(world)["collection"]["rings"]
    wanted = {number: rings[number]["produced"] for number in NUMBERS.values()}

    def done(found: Mapping[str, Any]) -> bool:
        now = found["collection"]["rings"]
        return all(now[number]["accounted"] >= count for number, count in wanted.items())

    world.wait("rings that were read", done, ACCOUNTED_SECONDS)


@contextmanager
def _callback() -> Iterator[Watching]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.peer_callback"],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise NotMeasurableError("the BCC callback sensor did not start")
        watching = Watching((process.pid,))
        yield watching
        process.send_signal(signal.SIGTERM)
        told = json.loads(process.communicate(timeout=READY_SECONDS)[0])
        watching.seen, watching.lost = told["seen"], told["lost"]
    finally:
        process.kill()
        process.wait()


@contextmanager
def _bpftrace(script: str) -> Iterator[Watching]:
    with contextlib.ExitStack() as stack:
        peer = stack.enter_context(bpftrace(script))
        watching = Watching((peer.pid,))
        yield watching
        stack.close()
        watching.seen, watching.lost = peer.seen or {}, peer.lost


@contextmanager
def _auditd(*rules: tuple[str, ...]) -> Iterator[Watching]:
    with contextlib.ExitStack() as stack:
        peer = stack.enter_context(auditd(rules))
        watching = Watching((peer.pid, _kernel_thread("kauditd")))
        yield watching
        stack.close()
        watching.seen, watching.lost = peer.seen or {}, peer.lost


def _kernel_thread(name: str) -> int:
    """Process id of a thread of the kernel."""
    ended = subprocess.run(["pgrep", "-x", name], check=False, capture_output=True, text=True)
    return int(ended.stdout.split()[0]) if ended.stdout else 0
