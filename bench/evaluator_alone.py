"""The shipped evaluator, in its sandbox, on rings of real probes, with the bench as its supervisor.

Pinned to one core. `stopped` holds it back with SIGSTOP while rings are filled, so that draining
them can be timed; what it says is read as the supervisor does, frame by frame.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent import attribution
from agent.supervisor import child
from agent.supervisor.child import Child
from agent.supervisor.roles import SHIPPED, Role
from bench.harness import NotMeasurableError
from content.channel_file import content_hash, pack
from content.definitions import load_definitions
from content.loss_causes import counts_as_lost
from content.model import ChannelFile
from content.template_type import Rung
from probes.counters import Counters
from probes.errors import ProbeError
from probes.limits import LIMITS
from probes.loader import LoadedProbes, load
from probes.ring import Ring
from probes.tracefs import mount_privately

READY_SECONDS = 60.0
DRAIN_SECONDS = 60.0


@contextmanager
def collecting(names: Sequence[str], ring_bytes: int | None = None) -> Iterator[LoadedProbes]:
    """Probes of these Template Types, with rings of the shipped sizes or of another one."""
    if os.geteuid() != 0:
        raise NotMeasurableError("needs root, for BPF")
    types = load_definitions()
    sizes = {
        number: ring_bytes or LIMITS.ring_bytes.get(number, LIMITS.other_ring_bytes)
        for number, kind in types.items()
        if kind.name in names
    }
    try:
        mount_privately()
        probes = load(tuple(types.values()), sizes)
    except ProbeError as error:
        raise NotMeasurableError(error.detail) from error
    try:
        yield probes
    finally:
        probes.close()


def lost_events(probes: LoadedProbes) -> int:
    """Events that found no room, of all Template Types, since the probes were loaded."""
    counters = Counters(probes.counters, probes.counter_slots)
    return sum(count for slot, count in counters.read().items() if counts_as_lost(slot.cause))


@dataclass(slots=True)
class EvaluatorAlone:
    """An evaluator at work, and what it has said until now."""

    child: Child
    rings: Sequence[Ring]
    started_at: int
    evaluated: int = 0
    detections: int = 0

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.child.pid

    def produced(self) -> int:
        """Events that were written to its rings since it went to work."""
        written = sum(ring.producer_position // ring.stride for ring in self.rings)
        return written - self.started_at

    def drain(self) -> None:
        """Read what it says until it has evaluated all that was produced."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while self.evaluated < self.produced():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.evaluated} of {self.produced()} events evaluated")
            self.listen(0.1)

    def listen(self, seconds: float) -> None:
        """Take what it has sent, waiting at most so long for the first message."""
        select.select([self.child.channel], [], [], seconds)
        for message in self.child.messages():
            if message.kind == "frame":
                self.evaluated += message["evaluated"]
                self.detections += message["detections"]
            elif message.kind == "progress":
                self.evaluated += sum(evaluated for _, _, evaluated in message["rings"])
        if self.child.closed:
            raise RuntimeError(f"the evaluator ended: {self.child.output(time.monotonic())}")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Hold it back meanwhile; it has drained its rings before."""
        self.drain()
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)


@contextmanager
def evaluator(
    probes: LoadedProbes, files: Sequence[ChannelFile], core: int | None = None
) -> Iterator[EvaluatorAlone]:
    """An evaluator that works on all rings of these probes with these Channel Files."""
    types = load_definitions()
    started = child.start(Role.EVALUATOR, SHIPPED[Role.EVALUATOR])
    with contextlib.ExitStack() as stack:
        stack.callback(_end, started)
        if core is not None:
            os.sched_setaffinity(started.pid, {core})
        _load(started, probes, [pack(file) for file in files], files, stack)
        _await_ready(started)
        rings = [
            stack.enter_context(
                Ring(
                    one.descriptor,
                    one.stride,
                    one.size,
                    one.kind,
                    types[one.template_type],
                    read_only=True,
                )
            )
            for one in probes.rings
        ]
        places = {one.template_type: ring for one, ring in zip(probes.rings, rings, strict=True)}
        positions = {str(number): ring.producer_position for number, ring in places.items()}
        begun = sum(positions[str(number)] // ring.stride for number, ring in places.items())
        started.send("go", positions=positions, careful={}, aside={}, prevention=1)
        yield EvaluatorAlone(started, rings, begun)


def _load(
    started: Child,
    probes: LoadedProbes,
    payloads: Sequence[bytes],
    files: Sequence[ChannelFile],
    stack: contextlib.ExitStack,
) -> None:
    descriptors = [attribution.create()]
    stack.callback(os.close, descriptors[0])
    contents = []
    for payload in payloads:
        descriptor = os.memfd_create("content")
        stack.callback(os.close, descriptor)
        os.write(descriptor, payload)
        contents.append(descriptor)
    described: list[dict[str, Any]] = [
        {
            "hash": content_hash(payload).hex(),
            "template_type": file.template_type.number,
            "trial": 0,
            "active_version": 0,
            "quarantined": [],
        }
        for payload, file in zip(payloads, files, strict=True)
    ]
    started.send(
        "load",
        rung=str(Rung.BPF_BTF),
        rings=[one.document() for one in probes.rings],
        files=described,
        epochs={str(one.template_type): "bench" for one in probes.rings},
        descriptors=[*descriptors, *(one.descriptor for one in probes.rings), *contents],
    )


def _await_ready(started: Child) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        select.select([started.channel], [], [], 0.1)
        for message in started.messages():
            if message.kind == "ready":
                return
            raise RuntimeError(f"the evaluator said {message.kind}: {dict(message.fields)}")
        if started.closed:
            raise RuntimeError(f"the evaluator ended: {started.output(time.monotonic())}")
    raise RuntimeError(f"the evaluator was not ready within {READY_SECONDS:.0f} s")


def _end(started: Child) -> None:
    started.kill()
    started.reap()
    started.close()


def cpu_seconds(pid: int) -> float:
    """Processor time of a process's threads, in the scheduler's nanoseconds; 0 if it has ended."""
    total = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            total += int((thread / "schedstat").read_text(encoding="ascii").split()[0])
    return total / 1e9


def pss_without_rings(pid: int) -> int:
    """Bytes of memory that are this process's share (PSS), mappings of BPF maps left out."""
    total, counted = 0, True
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
        first = line.split(maxsplit=1)[0]
        if "-" in first and not first.endswith(":"):
            counted = not line.endswith("anon_inode:bpf-map")
        elif first == "Pss:" and counted:
            total += int(line.split()[1])
    return total * 1024
