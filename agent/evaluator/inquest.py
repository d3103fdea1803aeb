"""An inquest: on which of a file's instances does an evaluator die, on one event?

Held by a throw-away evaluator in the same sandbox. It gets a sealed copy of one record's bytes and
one Channel File, never a ring, and says nothing but that it survived. It goes through the instances
in parts, and writes each part down before anything is built from it: if it dies, the record in
shared memory says on which part, and the next one goes through that part in smaller ones, down to a
single instance. So many parts at a time cost a throw-away evaluator for each power of PARTS.
"""

import mmap
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from agent.attribution import Attribution, Phase
from agent.channel import Message, send
from agent.evaluator.leaving_out import KeptFile, leave_out
from content.channel_file import ChannelFile, load
from content.interpreter import Engine, Note
from content.record import Records, dtype, record_size
from content.template_type import TemplateType

PARTS = 32
"""Into how many parts the instances in question are divided."""

EngineBuilder = Callable[[Sequence[ChannelFile], Mapping[int, TemplateType], Note], Engine]
"""Builds what evaluates; the laboratory has others than the product."""


@dataclass(frozen=True, slots=True)
class Inquest:
    """What a throw-away evaluator was given, before anybody has looked into it."""

    attribution: Attribution
    template_type: TemplateType
    record: bytes
    payload: bytes
    quarantined: frozenset[str]
    first: int
    count: int


def acquire(order: Message, types: Mapping[int, TemplateType]) -> Inquest:
    """Take over what the descriptors stand for, and close them."""
    record, event, payload = order.descriptors
    found = Inquest(
        Attribution(record),
        types[order["template_type"]],
        read_all(event),
        read_all(payload),
        frozenset(order["quarantined"]),
        order["first"],
        order["count"],
    )
    for descriptor in order.descriptors:
        os.close(descriptor)
    return found


def hold(
    inquest: Inquest,
    types: Mapping[int, TemplateType],
    build: EngineBuilder,
    channel: socket.socket,
) -> None:
    """Go through the parts; whoever comes to the end says so."""
    file = leave_out(inquest.payload, load(inquest.payload), inquest.quarantined)
    inquest.attribution.name_instances(file.named())
    event = _event(inquest)
    for first, count in parts(inquest.first, _within(inquest, file)):
        inquest.attribution.batch(inquest.template_type.number, first, count, Phase.INQUEST)
        part = replace(file.kept, instances=file.kept.instances[first : first + count])
        build([part], types, _unnoted).evaluate(inquest.template_type, event)
    send(channel, "survived", instances=len(file.kept.instances))


def parts(first: int, count: int) -> Iterator[tuple[int, int]]:
    """First instance and count of each part, which differ by one at most."""
    number = min(PARTS, count)
    edges = [first + count * part // number for part in range(number + 1)] if number > 0 else []
    for start, end in pairwise(edges):
        yield start, end - start


def read_all(descriptor: int) -> bytes:
    """The bytes of a memfd."""
    size = os.fstat(descriptor).st_size
    if size == 0:
        return b""
    with mmap.mmap(descriptor, size, prot=mmap.PROT_READ) as mapped:
        return mapped[:]


def _within(inquest: Inquest, file: KeptFile) -> int:
    return max(0, min(inquest.count, len(file.kept.instances) - inquest.first))


def _event(inquest: Inquest) -> Records:
    size = record_size(inquest.template_type)
    if len(inquest.record) < size:
        raise ValueError(f"a record of {len(inquest.record)} bytes, expected {size}")
    return np.frombuffer(inquest.record[:size], dtype(inquest.template_type))


def _unnoted(_row: int, _instance: int) -> None:
    """The part is written down already."""
