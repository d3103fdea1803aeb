"""A real collector for tests: start it, take what it hands over, read what a process did."""

import os
import socket
import subprocess
import sys
from collections.abc import Collection as Pids
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agent import channel
from agent.channel import Message, Sender
from content.definitions import Kind, Rung, TemplateType, load_definitions
from content.loss_causes import LossCause
from content.record import LENGTH_SUFFIX
from probes.counters import Counters, CounterSlot
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
    def attachments(self) -> list[int]:
        """Descriptors behind the rings, the counters and the shared maps."""
        return self.descriptors[len(self.rings) + 1 + len(self.message["shared"]) :]

    def shared(self, name: str) -> int:
        """The descriptor of a shared map."""
        names: list[str] = self.message["shared"]
        return self.descriptors[len(self.rings) + 1 + names.index(name)]

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
def collecting(*arguments: str, **options: Any) -> Iterator[Collection]:
    """A running collection, gone afterwards. options: for subprocess.Popen."""
    ours, theirs = channel.pair()
    ours.settimeout(SECONDS)
    process = start_process(arguments, theirs, **options)
    theirs.close()
    try:
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


def refused(*arguments: str, **options: Any) -> Message:
    """The `failed` message of a collector that can't have its rung."""
    ours, theirs = channel.pair()
    ours.settimeout(SECONDS)
    with ours, start_process(arguments, theirs, **options):
        theirs.close()
        message, descriptors = first_messages(ours)
    assert not descriptors
    assert message.kind == "failed"
    return message
