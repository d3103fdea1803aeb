"""A real collector for tests: start it, take what it hands over, read what a process did."""

import mmap
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Collection as Pids
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agent import channel
from agent.channel import Message, Sender
from content.definitions import Kind, Rung, TemplateType, load_definitions
from content.flooders import PLACE, Flooder, read_place
from content.loss_causes import LossCause
from content.record import LENGTH_SUFFIX
from probes.counters import SLOT, Counters, CounterSlot
from probes.ring import Records, Ring
from tests.patience import patient

SECONDS = patient(50)
"""A processor that is emulated compiles a hundred times slower than a real one."""

MANY = 1 << 20
ENVIRONMENT = {"PATH": os.defpath, "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"}

Event = dict[str, int | bytes]
"""The fields that were supplied, by name; and `truncated_fields`, `time_ns`, `rung`."""


@dataclass(slots=True)
class Collection:
    """What a collector handed over, and its channel."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    message: Message
    descriptors: list[int]
    types: Mapping[int, TemplateType]
    rings: dict[str, Ring] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for ring, descriptor in zip(self.message["rings"], self.descriptors, strict=False):
            template_type = self.types[ring["template_type"]]
            self.rings[template_type.name] = Ring(
                descriptor, ring["stride"], ring["bytes"], ring["kind"], template_type
            )

    @property
    def shared(self) -> list[int]:
        """Descriptors of counters and shared maps; none where this collector joined."""
        begin = len(self.message["rings"])
        return self.descriptors[begin : begin + bool(self.message["counters"]) + self._names]

    def shared_map(self, name: str) -> int:
        """The descriptor of one of them."""
        names: list[str] = self.message["shared"]
        return self.shared[bool(self.message["counters"]) + names.index(name)]

    @property
    def attachments(self) -> list[int]:
        """Descriptors behind the rings, the counters and the shared maps."""
        begin = len(self.message["rings"]) + len(self.shared)
        return self.descriptors[begin:]

    @property
    def _names(self) -> int:
        return len(self.message["shared"])

    def detach(self, *numbers: int) -> int:
        """Close what is there for no other Template Types than these; how many that were."""
        closing = [
            descriptor
            for descriptor, serves in zip(self.attachments, self.message["serves"], strict=True)
            if serves and set(serves) <= set(numbers)
        ]
        for descriptor in closing:
            os.close(descriptor)
        places = [place for place, one in enumerate(self.descriptors) if one in closing]
        kept = len(self.descriptors) - len(self.attachments)
        self.message["serves"][:] = [
            serves
            for place, serves in enumerate(self.message["serves"])
            if place + kept not in places
        ]
        self.descriptors[:] = [one for one in self.descriptors if one not in closing]
        return len(closing)

    @property
    def rung(self) -> Rung:
        """The rung that collects."""
        return Rung(self.message["rung"])

    def promised(self, type_name: str) -> set[str]:
        """Names of the fields that the rung fills in."""
        definition = self.rings[type_name].template_type
        numbers = definition.supplied_fields(self.rung)
        return {field.name for field in definition.fields if field.number in numbers}

    def skip(self) -> None:
        """Forget everything until now."""
        for ring in self.rings.values():
            ring.commit(ring.producer_position)

    def take(self, type_name: str, pids: Pids[int] = (), parents: Pids[int] = ()) -> list[Event]:
        """New events of these processes, or of children of these parents, oldest first."""
        ring = self.rings[type_name]
        events: list[Event] = []
        while len(records := ring.read(ring.consumer_position, MANY)):
            mine = np.isin(records["pid"], list(pids)) | np.isin(
                records["parent_pid"], list(parents)
            )
            events += [decode(ring.template_type, record) for record in records[mine]]
            ring.commit(ring.consumer_position + len(records) * ring.stride)
        return events

    def lost(self) -> dict[CounterSlot, int]:
        """Loss counters that are not zero."""
        slots = tuple(
            CounterSlot(LossCause[slot["cause"]], slot["template_type"])
            for slot in self.message["counters"]
        )
        with Counters(self.descriptors[len(self.rings)], slots) as counters:
            return {slot: count for slot, count in counters.read().items() if count}

    def refused(self) -> dict[Flooder, int]:
        """The processes named for a flood, and how many of their events were refused."""
        first = len(self.message["counters"]) * SLOT.size
        types = self.message["flooders"]
        size = -(-(first + len(types) * PLACE.size) // mmap.PAGESIZE) * mmap.PAGESIZE
        found: Counter[Flooder] = Counter()
        descriptor = self.descriptors[len(self.rings)]
        with mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ) as memory:
            for index, number in enumerate(types):
                place = read_place(memory, first + index * PLACE.size)
                found[place.flooder(number)] += place.refused
        return dict(+found)

    def close(self) -> None:
        """Detach everything, and end the collector if it is still there."""
        for ring in self.rings.values():
            ring.close()
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.channel.close()
        self.process.wait(SECONDS)


def decode(template_type: TemplateType, record: np.void) -> Event:
    """One record as a dictionary of what was supplied."""
    present = int(record["present"])
    event: Event = {
        name: int(record[name]) for name in ("time_ns", "rung", "truncated", "processor")
    }
    for one in template_type.fields:
        if not present >> one.number & 1:
            continue
        value: Any = record[one.name]
        if one.kind is Kind.TEXT:
            event[one.name] = bytes(value[: record[one.name + LENGTH_SUFFIX]])
        else:
            event[one.name] = bytes(value) if one.kind is Kind.ADDRESS else int(value)
    return event


def is_truncated(template_type: TemplateType, event: Event, name: str) -> bool:
    """Whether a field's value was longer than the record holds."""
    number = next(one.number for one in template_type.fields if one.name == name)
    return bool(int(event["truncated"]) >> number & 1)


def records_of(ring: Ring) -> Records:
    """Everything that a ring holds now, without committing it."""
    return ring.read(ring.consumer_position, MANY)


def start_process(
    arguments: Sequence[str], theirs: socket.socket, **options: Any
) -> subprocess.Popen[bytes]:
    """`python -m agent.collector` with one end of a channel."""
    command = [sys.executable, "-I", "-m", "agent.collector", *arguments]
    return subprocess.Popen(
        [*command, "--channel-fd", str(theirs.fileno())],
        pass_fds=(theirs.fileno(),),
        env=ENVIRONMENT,
        cwd="/",
        **options,
    )


def first_messages(ours: socket.socket) -> tuple[Message, list[int]]:
    """`attached` or `failed`, and the descriptors of it and of all `attachments`."""
    message = channel.receive(ours, Sender.COLLECTOR)
    assert message is not None, "the collector ended without a word"
    descriptors = list(message.descriptors)
    left = message.fields.get("more", 0)
    while left:
        further = channel.receive(ours, Sender.COLLECTOR)
        assert further is not None
        descriptors += further.descriptors
        left = further["more"]
    return message, descriptors


@contextmanager
def collecting(
    *arguments: str, given: Sequence[int] = (), shared: Sequence[str] | None = None, **options: Any
) -> Iterator[Collection]:
    """A running collection, gone afterwards.

    shared: names of maps that a joining collector is sent, with the descriptors `given`. options:
    for subprocess.Popen.
    """
    ours, theirs = channel.pair()
    ours.settimeout(SECONDS)
    process = start_process(arguments, theirs, **options)
    theirs.close()
    try:
        if shared is not None:
            channel.send(ours, "join", descriptors=given, shared=list(shared))
        message, descriptors = first_messages(ours)
        assert message.kind == "attached", message.fields
    except BaseException:
        ours.close()
        process.kill()
        process.wait()
        raise
    collection = Collection(process, ours, message, descriptors, load_definitions())
    try:
        yield collection
    finally:
        collection.close()


@contextmanager
def joining(running: Collection, types: str, *arguments: str) -> Iterator[Collection]:
    """What a collector has added to a collection, detached afterwards."""
    command = ("--rung", running.message["rung"], "--types", types, "--join", *arguments)
    with collecting(*command, given=running.shared, shared=running.message["shared"]) as collection:
        yield collection


def refused(
    *arguments: str, given: Sequence[int] = (), shared: Sequence[str] | None = None, **options: Any
) -> Message:
    """The `failed` message of a collector that can't have its rung, or can't join."""
    ours, theirs = channel.pair()
    ours.settimeout(SECONDS)
    with ours, start_process(arguments, theirs, **options):
        theirs.close()
        if shared is not None:
            channel.send(ours, "join", descriptors=given, shared=list(shared))
        message, descriptors = first_messages(ours)
    assert not descriptors
    assert message.kind == "failed"
    return message
