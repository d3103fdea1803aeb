"""How many events a second does one core take from the ring through the interpreter to frames?

The events are the kernel's own, of a real load. While the evaluator is held back its ring is
filled; then it is let go on a core of its own, and drains the ring: read, match, frame, commit. Of
opens, one in a thousand matches. Events per second of processor time count, because that is what a
core gives; seconds that passed are shown beside it. Then opens come at full rate while the
evaluator works, with the ring as it is shipped.
"""

import sys
import time
from dataclasses import dataclass

from bench.evaluator_alone import (
    collecting,
    cpu_seconds,
    evaluator,
    lost_events,
    pss_without_rings,
)
from bench.event_content import file_content, process_content
from bench.event_load import CANARY_EVERY, Kind, Loads, loads, two_cores
from bench.harness import Figure, from_samples, run
from content.model import ChannelFile
from probes.limits import MEBIBYTE

INSTANCES = 1000
RING_BYTES = 256 * MEBIBYTE
"""So that what lies in it is less than three quarters: above, one process gets but its share."""

OPENS, EXECS = 50_000, 1_500
ROUNDS = 9
QUICK_ROUNDS = 3
AT_ONCE_SECONDS = 4.0
QUICK_AT_ONCE_SECONDS = 1.0
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Case:
    """So many events of a kind, the Template Type that reports them, and its content."""

    kind: Kind
    count: int
    template_type: str
    file: ChannelFile
    bar: str | None = None


def measure(*, quick: bool) -> list[Figure]:
    """Events per second drained, events lost and detections missed, memory."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    seconds = QUICK_AT_ONCE_SECONDS if quick else AT_ONCE_SECONDS
    files = file_content(INSTANCES)
    opens = Case(Kind.OPEN, OPENS, "file", files, ">= 600000")
    execs = Case(Kind.EXEC, EXECS, "process", process_content(INSTANCES))
    with loads() as load:
        return [
            *_drained(load, opens, rounds),
            *_drained(load, execs, rounds),
            *_at_once(load, files, seconds),
        ]


def _drained(load: Loads, case: Case, rounds: int) -> list[Figure]:
    """What it takes to drain a ring in which a load's events lie."""
    producer, consumer = two_cores()
    with (
        collecting((case.template_type,), RING_BYTES) as probes,
        evaluator(probes, [case.file], consumer) as worker,
    ):
        per_cpu_second, per_second = [], []
        for _ in range(rounds):
            with worker.stopped():
                load.run(case.kind, count=case.count, core=producer)
                before, used, began = worker.evaluated, cpu_seconds(worker.pid), time.monotonic()
            worker.drain()
            events = worker.evaluated - before
            per_second.append(events / (time.monotonic() - began))
            per_cpu_second.append(events / (cpu_seconds(worker.pid) - used))
        memory = pss_without_rings(worker.pid) / MIB
        told = f"{case.kind}s, {INSTANCES:,} instances"
        return [
            from_samples(
                f"{told}: events per second of processor time, median",
                per_cpu_second,
                unit="events/s",
                bar=case.bar,
            ),
            from_samples(
                f"{told}: events per second that passed, median", per_second, unit="events/s"
            ),
            Figure(f"{told}: events lost", lost_events(probes), "events", "= 0"),
            Figure(f"{told}: evaluator's memory without rings (PSS)", memory, "MiB", "<= 120"),
        ]


def _at_once(load: Loads, files: ChannelFile, seconds: float) -> list[Figure]:
    """Opens as fast as one core can, the evaluator at work on the other."""
    producer, consumer = two_cores()
    with collecting(("file",)) as probes, evaluator(probes, [files], consumer) as worker:
        used = cpu_seconds(worker.pid)
        outcome = load.run(Kind.OPEN, seconds=seconds, core=producer)
        worker.drain()
        used = cpu_seconds(worker.pid) - used
        lost = lost_events(probes)
        missed = outcome.events // CANARY_EVERY - worker.detections
    told = f"opens at full rate, {INSTANCES:,} instances"
    return [
        Figure(f"{told}: rate reached", outcome.rate, "events/s"),
        Figure(f"{told}: evaluator", used / outcome.seconds * 100, "% of a core"),
        Figure(f"{told}: events lost", lost, "events", "= 0"),
        Figure(f"{told}: canaries not detected", missed, "events", "= 0"),
    ]


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
