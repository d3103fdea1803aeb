"""Events of the processes that ran already, made when the supervisor says that content is in force.

A collector in the BPF rungs has handed everything else over by then, and locks itself down for it:
it reads files and runs one BPF program, and ends when all is done. A collector that stays does it
between two looks. Events are written in portions, as the ring is read.
"""

import os
import select
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from agent.channel import Message, ProtocolViolationError, Sender, receive, send
from agent.sandbox import COLLECTOR_SEEDING, lock_down
from content.definitions import Rung, TemplateType
from probes.already_running import AlreadyRunning, Put
from probes.errors import ProbeError
from probes.injection import Injection
from probes.limits import LIMITS
from probes.loader import LoadedProbes
from probes.memory_ring import MemoryRings
from probes.record_writer import RecordWriter, Value
from probes.ring import Ring, RingDescription
from probes.shared_maps import COUNTERS

PROCESS = "process"
NOT_IN_TIME = "NOT_IN_TIME"
MEMORY_RING_FREE = 0.75
"""How much of a ring of memory has to be free, as a part of 1."""


class Seeder:
    """One look at all processes, offered at once, begun by `order`, taken further by `turn`.

    prepare: makes what writes the events, when they are ordered.
    """

    def __init__(
        self, channel: socket.socket, ring: Ring, rung: Rung, prepare: Callable[[], Put]
    ) -> None:
        self._channel = channel
        self._ring = ring
        self._rung = rung
        self._prepare = prepare
        self._look: AlreadyRunning | None = None
        self._until = 0.0
        self._told = -1
        self.done = False
        send(channel, "seeding", template_type=ring.template_type.number)

    def order(self, message: Message) -> None:
        """Begin; ProtocolViolationError for anything but the first `seed`."""
        if message.kind != "seed" or self._look is not None:
            raise ProtocolViolationError(f"{message.kind} instead of seed, once")
        position = message["position"]
        if position < 0 or position % self._ring.stride:
            raise ProtocolViolationError(f"seed from {position}")
        self._look = AlreadyRunning(self._ring, self._rung, self._prepare(), position)
        self._until = time.monotonic() + LIMITS.seed_seconds

    def turn(self) -> None:
        """A portion, if there is anything to do."""
        look = self._look
        if look is None or self.done:
            return
        reason = detail = ""
        try:
            self.done = look.step(LIMITS.seed_portion)
        except ProbeError as error:
            reason, detail = str(error.reason), error.detail
        if not self.done and time.monotonic() >= self._until:
            reason, detail = NOT_IN_TIME, f"{LIMITS.seed_seconds:g} seconds"
        if reason:
            look.give_up()
            self.done = True
        if self.done or look.counts.written > self._told:
            self._told = look.counts.written
            self._tell(look, reason, detail)

    def _tell(self, look: AlreadyRunning, reason: str, detail: str) -> None:
        counts = look.counts
        send(
            self._channel,
            "seeded",
            position=self._ring.producer_position,
            written=counts.written,
            executed=counts.executed,
            without_program=counts.without_program,
            left=counts.left,
            reason=reason,
            detail=detail,
            done=int(self.done),
        )


def seed_by_kernel(
    channel: socket.socket, types: Sequence[TemplateType], rung: Rung, loaded: LoadedProbes
) -> None:
    """Wait for the order, carry it out, return; at once where no process is an event of a ring.

    Gives up what was loaded, because it has been handed over. Before /proc is read, this process is
    locked down; before that it waits and reads nothing. The program is compiled when it is needed:
    until then the compiler would only hold up an evaluator that starts.
    """
    with ExitStack() as kept:
        ring = _kept_ring(types, loaded, kept)
        maps = {COUNTERS: loaded.counters, **loaded.shared}
        maps = {name: _kept(descriptor, kept) for name, descriptor in maps.items()}
        loaded.close()
        if ring is None:
            return

        def prepare() -> Put:
            put: Put
            try:
                put = Injection(types, loaded.counter_slots, rung, ring, maps).put
            except ProbeError as error:
                put = _refusing(error)
            lock_down(COLLECTOR_SEEDING)
            return put

        _carry_out(channel, Seeder(channel, _cursor(types, ring), rung, prepare))


def _carry_out(channel: socket.socket, seeder: Seeder) -> None:
    wait: float | None = None
    while not seeder.done:
        if select.select([channel], [], [], wait)[0]:
            message = receive(channel, Sender.SUPERVISOR)
            if message is None or message.kind == "stop":
                return
            seeder.order(message)
        seeder.turn()
        wait = LIMITS.seed_pause


def _kept_ring(
    types: Sequence[TemplateType], loaded: LoadedProbes, kept: ExitStack
) -> RingDescription | None:
    numbers = {kind.number for kind in types if kind.name == PROCESS}
    ring = next((one for one in loaded.rings if one.template_type in numbers), None)
    return replace(ring, descriptor=_kept(ring.descriptor, kept)) if ring is not None else None


def _kept(descriptor: int, kept: ExitStack) -> int:
    ours = os.dup(descriptor)
    kept.callback(os.close, ours)
    return ours


def seeder_of_memory(
    channel: socket.socket, types: Mapping[int, TemplateType], rung: Rung, rings: MemoryRings
) -> Seeder | None:
    """For a collector that writes its rings itself; None where no process is an event of a ring."""
    ring = next((r for r in rings.descriptions if types[r.template_type].name == PROCESS), None)
    if ring is None:
        return None
    writer = RecordWriter(types[ring.template_type], rung)

    def put(values: Mapping[str, Value]) -> bool:
        if rings.room(PROCESS) < MEMORY_RING_FREE:
            return False
        rings.append(PROCESS, writer.promised(values))
        return True

    return Seeder(channel, _cursor(tuple(types.values()), ring), rung, lambda: put)


def _cursor(types: Sequence[TemplateType], ring: RingDescription) -> Ring:
    kind = next(one for one in types if one.number == ring.template_type)
    return Ring(ring.descriptor, ring.stride, ring.size, ring.kind, kind, read_only=True)


def _refusing(error: ProbeError) -> Callable[[Mapping[str, Value]], bool]:
    def put(_values: Mapping[str, Value]) -> bool:
        raise error

    return put
