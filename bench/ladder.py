"""What does each rung of the kernel dependency ladder see, how soon, and at what cost?"""

import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent import channel
from agent.channel import Message, Sender
from bench.harness import Figure, NotMeasurableError, Peer, from_samples, run
from bench.ladder_workload import PARTS, Part, run_part
from content.definitions import Rung, load_definitions
from content.loss_causes import LossCause, Missing
from probes.counters import Counters, CounterSlot
from probes.ring import Records, Ring

LATENCIES = 100
EVENTS = (Missing.EVENT, Missing.PERHAPS_EVENT)
QUICK_DIVISOR = 25
ROUNDS = 3
QUICK_ROUNDS = 1
QUICK_RUNGS = (Rung.BPF_BTF, Rung.PSUTIL)
IDLE_SECONDS, QUICK_IDLE_SECONDS = 5.0, 1.0
CALLS = 100_000
CALL_ROUNDS = 7
SETTLE_SECONDS = 2.0
LATEST_SECONDS = 3.0
PAUSE_SECONDS = 0.0005
MANY = 1 << 16
NANOSECONDS = 1_000_000_000
STATISTICS = Path("/proc/sys/kernel/bpf_stats_enabled")
RUN_TIME = re.compile(r"^run_time_ns:\s*(\d+)$", re.MULTILINE)
ENVIRONMENT = {"PATH": os.defpath, "OPENBLAS_NUM_THREADS": "1"}


class Alone(NamedTuple):
    """What the same costs while nobody collects."""

    workload_seconds: float
    call_nanoseconds: float


class Seen(NamedTuple):
    """How many events, and how many of them with the arguments of the process."""

    events: int
    with_arguments: int


@dataclass(slots=True)
class Collecting:
    """A collector on one rung, and the rings that it has handed over."""

    rung: Rung
    process: subprocess.Popen[bytes]
    channel: socket.socket
    message: Message
    descriptors: list[int]
    rings: dict[str, Ring] = field(default_factory=dict)

    @property
    def stays(self) -> bool:
        """Whether events need the collector."""
        return not self.rung.startswith("bpf")

    def cpu_seconds(self) -> float:
        """Processor time of the collector so far; 0 where it is gone."""
        if not self.stays:
            return 0.0
        line = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii")
        user, system = line[line.rindex(")") + 2 :].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def bpf_seconds(self) -> float:
        """Time in BPF programs since the kernel measures it."""
        facts = (Path(f"/proc/self/fdinfo/{one}").read_text() for one in self.descriptors)
        found = [RUN_TIME.search(text) for text in facts]
        return sum(int(one[1]) for one in found if one) / NANOSECONDS

    def lost(self) -> int:
        """Events that were counted as lost."""
        slots = tuple(
            CounterSlot(LossCause[slot["cause"]], slot["template_type"])
            for slot in self.message["counters"]
        )
        with Counters(self.descriptors[len(self.rings)], slots) as counters:
            return sum(n for slot, n in counters.read().items() if slot.cause.missing in EVENTS)

    def take(self, template_type: str, pid: int, *, children: bool) -> Seen:
        """New events of this process, or of its children."""
        ring = self.rings.get(template_type)
        if ring is None:
            return Seen(0, 0)
        numbers = {one.name: one.number for one in ring.template_type.fields}
        seen = told = 0
        while len(records := ring.read(ring.consumer_position, MANY)):
            mine = records["pid"] == pid
            if children:
                mine = (records["parent_pid"] == pid) & _has(records, numbers["parent_pid"])
            seen += int(np.count_nonzero(mine))
            told += int(np.count_nonzero(mine & _has(records, numbers["command_line"])))
            ring.commit(ring.consumer_position + len(records) * ring.stride)
        return Seen(seen, told)

    def skip(self) -> None:
        """Forget everything until now, and what it has said."""
        for ring in self.rings.values():
            ring.commit(ring.producer_position)
        while self.stays and _is_readable(self.channel):
            channel.receive(self.channel, Sender.COLLECTOR)


def measure(*, quick: bool) -> list[Figure]:
    """The same workload on every rung, and without collection."""
    if os.geteuid() != 0:
        raise NotMeasurableError("needs root")
    figures: list[Figure] = []
    for rung in QUICK_RUNGS if quick else Rung:
        # Before each anew: what else the machine does changes from minute to minute.
        alone = Alone(_workload_cpu(QUICK_ROUNDS if quick else ROUNDS), _call_nanoseconds())
        with collecting(rung) as collector:
            figures += [_named(rung, figure) for figure in _of_rung(collector, alone, quick=quick)]
    return figures


@contextmanager
def collecting(rung: Rung) -> Iterator[Collecting]:
    """A collector on this rung; NotMeasurableError with the words of who refuses it."""
    ours, theirs = channel.pair()
    ours.setblocking(True)
    command = [sys.executable, "-I", "-m", "agent.collector", "--rung", rung]
    command += ["--channel-fd", str(theirs.fileno())]
    process = subprocess.Popen(command, pass_fds=(theirs.fileno(),), env=ENVIRONMENT)
    theirs.close()
    message = channel.receive(ours, Sender.COLLECTOR)
    if message is None or message.kind == "failed":
        process.wait()
        raise NotMeasurableError(f"{rung}: {message['detail'] if message else 'it died'}")
    descriptors, left = list(message.descriptors), message["more"]
    while left:
        further = channel.receive(ours, Sender.COLLECTOR)
        if further is None:
            raise NotMeasurableError(f"{rung}: the collector died")
        descriptors += further.descriptors
        left = further["more"]
    collector = Collecting(rung, process, ours, message, descriptors)
    try:
        types = load_definitions()
        for document, descriptor in zip(message["rings"], descriptors, strict=False):
            kind = types[document["template_type"]]
            shape = document["stride"], document["bytes"], document["kind"]
            collector.rings[kind.name] = Ring(descriptor, *shape, kind)
        time.sleep(SETTLE_SECONDS)
        yield collector
    finally:
        for ring in collector.rings.values():
            ring.close()
        for descriptor in descriptors:
            os.close(descriptor)
        ours.close()
        process.wait()


def _named(rung: Rung, figure: Figure) -> Figure:
    name = f"{rung}: {figure.name}"
    return Figure(name, figure.value, figure.unit, figure.bar, figure.peer, figure.samples)


def _of_rung(collector: Collecting, alone: Alone, *, quick: bool) -> Iterator[Figure]:
    yield from _fields(collector.rung)
    lost = collector.lost()
    yield from _shares(collector)
    # Afterwards nobody reads all rings any more.
    yield Figure("events counted as lost meanwhile", collector.lost() - lost, "events")
    yield from _latency(collector, LATENCIES // (QUICK_DIVISOR if quick else 1))
    idle = QUICK_IDLE_SECONDS if quick else IDLE_SECONDS
    yield from _cost(collector, alone, QUICK_ROUNDS if quick else ROUNDS, idle)


def _fields(rung: Rung) -> Iterator[Figure]:
    """How many inputs the rung supplies, in all and of each Template Type."""
    types = load_definitions().values()
    supplied = {kind: len(kind.supplied_fields(rung)) for kind in types}
    arity = sum(kind.arity for kind in types)
    yield Figure(f"fields supplied, of {arity}", sum(supplied.values()), "fields")
    for kind, count in supplied.items():
        yield Figure(f"fields of {kind.name} supplied, of {kind.arity}", count, "fields")


def _shares(collector: Collecting) -> Iterator[Figure]:
    """How many of the events of each part were seen; more than all would be doubles."""
    for name, part in PARTS.items():
        found = _seen(collector, part)
        yield Figure(f"{name}, seen", 100 * found.events / part.expected, "%")
        if part.template_type == "process":
            told = 100 * found.with_arguments / part.expected
            yield Figure(f"{name}, seen with their arguments", told, "%")


def _seen(collector: Collecting, part: Part) -> Seen:
    collector.skip()
    with tempfile.TemporaryDirectory() as folder:
        pid = run_part(part, Path(folder))
        time.sleep(SETTLE_SECONDS if collector.stays else 0)
    return collector.take(part.template_type, pid, children=part.children)


def _latency(collector: Collecting, count: int) -> Iterator[Figure]:
    """From the return of posix_spawn, when the program runs, until its event can be read."""
    samples = [sample for _ in range(count) if (sample := _one_latency(collector)) is not None]
    yield Figure("events awaited for their latency, seen", 100 * len(samples) / count, "%")
    if samples:
        milliseconds = [1000 * sample for sample in samples]
        yield from_samples("exec to readable, p50", milliseconds, unit="ms", percent=50)
        yield from_samples("exec to readable, p99", milliseconds, unit="ms", percent=99)


def _one_latency(collector: Collecting) -> float | None:
    collector.skip()
    pid = os.posix_spawn("/bin/sleep", ["sleep", str(LATEST_SECONDS + 1)], {})
    began = time.monotonic()
    try:
        while time.monotonic() - began < LATEST_SECONDS:
            if collector.take("process", pid, children=False).events:
                return time.monotonic() - began
            time.sleep(PAUSE_SECONDS)
        return None
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def _cost(
    collector: Collecting, alone: Alone, rounds: int, idle_seconds: float
) -> Iterator[Figure]:
    """Processor time: of the collector, idle and at work; in BPF; and of those who are watched."""
    before = collector.cpu_seconds()
    time.sleep(idle_seconds)
    idle = 100 * (collector.cpu_seconds() - before) / idle_seconds
    yield Figure("collector, idle", idle, "% of a core")
    kept = STATISTICS.read_text(encoding="ascii")
    if not collector.stays:
        STATISTICS.write_text("1", encoding="ascii")
    try:
        before, in_bpf = collector.cpu_seconds(), collector.bpf_seconds()
        _run_all()
        time.sleep(SETTLE_SECONDS if collector.stays else 0)
        at_work = collector.cpu_seconds() - before
        in_bpf = collector.bpf_seconds() - in_bpf
    finally:
        STATISTICS.write_text(kept, encoding="ascii")
    yield Figure("collector, during the workload", 1000 * at_work, "ms")
    yield Figure("in BPF, during the workload", 1000 * in_bpf, "ms")
    during = _workload_cpu(rounds)
    peer = Peer("without collection", 1000 * alone.workload_seconds)
    yield Figure("workload's own processor time, least", 1000 * during, "ms", None, peer)
    peer = Peer("without collection", alone.call_nanoseconds)
    call = _call_nanoseconds()
    yield Figure("a system call that nobody watches, from Python, least", call, "ns", None, peer)


def _workload_cpu(rounds: int) -> float:
    """Processor time of the workload, the least of some rounds: what it pays for being watched."""
    samples = []
    for _ in range(rounds):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        _run_all()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        samples.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(samples)


def _call_nanoseconds() -> float:
    """One call that returns 0, which costs the tracepoint rung most; Python's own time included."""
    pid = os.getpid()
    samples = []
    for _ in range(CALL_ROUNDS):
        began = time.process_time_ns()
        for _ in range(CALLS):
            os.kill(pid, 0)
        samples.append((time.process_time_ns() - began) / CALLS)
    return min(samples)


def _run_all() -> None:
    for part in PARTS.values():
        with tempfile.TemporaryDirectory() as folder:
            run_part(part, Path(folder))


def _has(records: Records, number: int) -> NDArray[np.bool_]:
    """Which records have the field of that number."""
    present: NDArray[np.bool_] = records["present"] >> np.uint64(number) & np.uint64(1) == 1
    return present


def _is_readable(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        sock.setblocking(True)


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
