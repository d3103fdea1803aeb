"""What do ten thousand sessions cost one cloud process, and what becomes of them after an outage?

`bulkhead cloud run` as it is, and light agents before it (`bench.session_agents`): gRPC's wire over
mutual TLS, a key, a certificate and a TCP connection each. In this order:

    1. all connect: memory per session
    2. a push to everybody at once: seconds until all have it active
    3. ordinary life: processor time at one heartbeat per host and 30 s; a sensor's look at metadata
       that have not changed
    4. 100 more agents that send and never read: how soon others get their receipts
    5. a staged rollout has reached nearly all hosts, and crash reports decide against it
    6. the cloud is killed, is away for a while, and comes back: seconds until all are connected

Agents take processor time of the same machine; how much is shown with the cloud's. It is little,
because they speak HTTP/2 themselves (`bench.session_wire`): gRPC's own client would need as much as
the cloud, and be what is measured. Nobody holds them back: all come and answer when a sensor would.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.harness import Figure, Note, from_samples, run
from bench.session_load import Herd, Serving, SessionsError, herd, raise_descriptor_limit
from bench.session_refresh import refreshes
from cloud.folder import CloudFolder
from cloud.rollout.plan import STAGED, Plan
from cloud.rollout.table import State
from cloud.store import policies
from tests.process.cloud_agent import ScriptedAgent, detections, hello
from tests.process.cloud_files import channel_file, write
from tests.process.cloud_process import new_cloud

KIBIBYTE, MEBIBYTE = 1024, 1024 * 1024
CONNECTS_PER_SECOND = 150.0
RECEIPTS = 50
LOOKS = 50
PATIENCE_SECONDS = 600.0
RETURN_SECONDS = 300.0

PUSH_BAR, MEMORY_BAR, HALT_BAR, ROLLBACK_BAR = "<= 10", "<= 100", "<= 1", "<= 60"
REFRESH_BAR = "<= 5"


@dataclass(frozen=True, slots=True)
class Size:
    """How large a run is; away_seconds: how long there is no cloud in step 6.

    evaluate_seconds: 0, or how often all send a heartbeat at once while the rollout of step 5 goes
    up; their usual ones speak for the content as well.
    """

    sessions: int
    processes: int
    beat_seconds: float
    watch_seconds: float
    deaf: int
    away_seconds: float
    settle_seconds: float
    evaluate_seconds: float


FULL = Size(10_000, 4, 30.0, 60.0, 100, 20.0, 2.0, 0.0)
QUICK = Size(200, 2, 30.0, 1.0, 20, 0.2, 0.5, 1.0)


def measure(*, quick: bool) -> Sequence[Figure | Note]:
    """The figures of the six steps."""
    size = QUICK if quick else FULL
    raise_descriptor_limit()
    with serving() as one, herd(one, size.processes) as many:
        figures: list[Figure | Note] = [
            *_memory(one, many, size),
            *_push(one, many, size),
            *_idle(one, many, size),
            *_deaf(one, many, size),
            *_halt(one, many, size),
            *_outage(one, many, size),
        ]
    return [
        *figures,
        Note(f"{size.sessions} sessions by {size.processes} processes on the same machine"),
        Note(
            "agents do what a sensor's link does in calls and messages; left out: verification of "
            "metadata, trial, supervisor, disk"
        ),
    ]


@contextmanager
def serving() -> Iterator[Serving]:
    """A new cloud that offers to everybody at once, served by the command."""
    with tempfile.TemporaryDirectory(prefix="bulkhead-sessions-") as name:
        folder = Path(name)
        with new_cloud(folder) as cloud:
            one = Serving(cloud, folder / "log")
            one.start()
            try:
                yield one
            finally:
                one.end()


def _memory(one: Serving, many: Herd, size: Size) -> list[Figure]:
    used = []
    for sessions in (size.sessions // 10, size.sessions):
        many.order("connect", agents=sessions, seconds=sessions / CONNECTS_PER_SECOND)
        _until_connected(many, sessions)
        time.sleep(size.settle_seconds)
        used.append(one.memory())
    slope = (used[1] - used[0]) / (size.sessions - size.sessions // 10)
    return [
        Figure("memory per session (PSS)", slope / KIBIBYTE, "KiB", MEMORY_BAR),
        Figure(f"memory of the process, {size.sessions} sessions", used[1] / MEBIBYTE, "MiB"),
    ]


def _push(one: Serving, many: Herd, size: Size) -> list[Figure]:
    before, others = one.processor_seconds(), many.order("forget")["processor_seconds"]
    began = time.monotonic()
    _push_version(one, 1)
    found = _until_active(many, size.sessions)
    used = one.processor_seconds() - before
    return [
        Figure(
            f"push, until active on {size.sessions} hosts",
            found["last_active"] - began,
            "s",
            PUSH_BAR,
        ),
        Figure("the same: processor time of the cloud", used, "CPU s"),
        Figure(
            "the same: processor time of the agents", found["processor_seconds"] - others, "CPU s"
        ),
        Figure("the same: sessions that broke off", sum(found["ends"].values()), "", "= 0"),
    ]


def _idle(one: Serving, many: Herd, size: Size) -> list[Figure]:
    many.order("beat", seconds=size.beat_seconds)
    time.sleep(size.settle_seconds + size.watch_seconds / 2)  # what was pushed is on probation
    before, began = one.processor_seconds(), time.monotonic()
    time.sleep(size.watch_seconds)
    share = (one.processor_seconds() - before) / (time.monotonic() - began)
    looks = refreshes(one.cloud.address, one.cloud.agent_folder("well-behaved"), LOOKS)
    return [
        Figure("a heartbeat per host and 30 s: processor", 100 * share, "% of a core"),
        from_samples("refresh without change, p50", looks, unit="ms", bar=REFRESH_BAR),
        from_samples("refresh without change, p99", looks, unit="ms", percent=99),
    ]


def _deaf(one: Serving, many: Herd, size: Size) -> list[Figure]:
    name = "well-behaved"
    with closing(ScriptedAgent(one.cloud.address, one.cloud.agent_folder(name))) as agent:
        agent.greet(hello(name))
        alone = _receipts(agent, 0)
        many.order("deafen", agents=size.deaf)
        many.until(lambda now: now["deaf"] >= size.deaf, PATIENCE_SECONDS, "deaf agents")
        among = _receipts(agent, RECEIPTS)
    many.order("hush")
    return [
        from_samples("receipt, p50", alone, unit="ms"),
        from_samples("receipt, p99", alone, unit="ms", percent=99),
        from_samples(f"receipt beside {size.deaf} agents that don't read, p50", among, unit="ms"),
        from_samples(
            f"receipt beside {size.deaf} agents that don't read, p99",
            among,
            unit="ms",
            percent=99,
        ),
    ]


def _outage(one: Serving, many: Herd, size: Size) -> list[Figure]:
    many.order("forget")
    one.end()
    many.order("come_back")
    time.sleep(size.away_seconds)
    others = many.order("status")["processor_seconds"]
    one.start()
    began = time.monotonic()
    try:
        found = _until_connected(many, size.sessions, RETURN_SECONDS)
    except SessionsError:  # a figure like any other, and not a good one
        found = many.order("status")
    tries = found["tries"]
    return [
        Figure(
            f"killed and away for {size.away_seconds:g} s: back within {RETURN_SECONDS:g} s",
            100 * found["connected"] / size.sessions,
            "% of sessions",
            "= 100",
        ),
        Figure("the same: until the last of them is back", found["last_connected"] - began, "s"),
        Figure("the same: processor time of the cloud", one.processor_seconds(), "CPU s"),
        Figure(
            "the same: processor time of the agents", found["processor_seconds"] - others, "CPU s"
        ),
        Figure("the same: most memory (RSS)", one.most_memory() / MEBIBYTE, "MiB"),
        Figure("the same: tries per agent", tries / size.sessions, ""),
        Figure("the same: refused by admission", found["ends"].get("ADMISSION", 0), "sessions"),
        Figure("the same: left without a welcome", found["ends"].get("NO_WELCOME", 0), "sessions"),
    ]


def _halt(one: Serving, many: Herd, size: Size) -> list[Figure]:
    many.order("forget")
    database = CloudFolder(one.cloud.folder).open()
    with closing(database), database.writing() as store:
        policies.set_plan(store, _plan(), "bench", time.time_ns())
    name = _push_version(one, 2)
    most = int(0.98 * size.sessions)
    _until_active(many, most, size.evaluate_seconds)
    time.sleep(3 * size.settle_seconds)  # what was just said is to be stored before
    reached = many.order("status")["active"]
    began = time.monotonic()
    many.order("crash", agents=40, content=name)
    found = many.until(
        lambda now: now["withdrawn"] >= now["active"], PATIENCE_SECONDS, "taken back"
    )
    return [
        Figure("hosts that a staged rollout had reached", reached, "hosts"),
        Figure(
            "deciding crash report to the first order",
            found["first_withdrawn"] - began,
            "s",
            HALT_BAR,
        ),
        Figure(
            "deciding crash report to the last host's order",
            found["last_withdrawn"] - began,
            "s",
            ROLLBACK_BAR,
        ),
    ]


def _plan() -> Plan:
    """Quick up to the general stage, which then bakes for longer than this takes."""
    quick = STAGED.quickened(0.0, 10)
    general = replace(quick.stages[State.GENERAL], bake_seconds=3600.0)
    return replace(quick, stages={**quick.stages, State.GENERAL: general})


def _push_version(one: Serving, version: int) -> str:
    file = write(one.log.parent / f"ipc-{version}.channel", channel_file(version))
    return str(one.cloud.push(file)["pushed"][0]["content_hash"])


def _receipts(agent: ScriptedAgent, first: int) -> list[float]:
    """Milliseconds from sending a detection to its receipt, one after the other."""
    samples = []
    for number in range(first + 1, first + RECEIPTS + 1):
        began = time.perf_counter()
        agent.send(detections(number, f"{began}"))
        while agent.receipt() < number:
            time.sleep(0.0005)
        samples.append((time.perf_counter() - began) * 1e3)
    return samples


def _until_connected(
    many: Herd, sessions: int, seconds: float = PATIENCE_SECONDS
) -> dict[str, Any]:
    return many.until(lambda now: now["connected"] >= sessions, seconds, "connected")


def _until_active(many: Herd, hosts: int, evaluate_seconds: float = 0.0) -> dict[str, Any]:
    next_beat = 0.0

    def enough(now: dict[str, Any]) -> bool:
        nonlocal next_beat
        if evaluate_seconds and time.monotonic() >= next_beat:
            next_beat = time.monotonic() + evaluate_seconds
            many.order("evaluate")
        return bool(now["active"] >= hosts)

    return many.until(enough, PATIENCE_SECONDS, "active")


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
