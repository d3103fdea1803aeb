"""What a collector hands over, checked: from an `attached` message to a Collection.

Nothing is taken on trust: numbers of descriptors, sizes, names and kinds must add up, and memory
that could be cut short while it is read is refused. What does not add up is closed and a
ProtocolViolationError.
"""

import fcntl
import mmap
import os
import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from agent.channel import Message, ProtocolViolationError
from agent.supervisor.limits import LIMITS
from agent.supervisor.rings import WORD, Collection, Counter, RingFacts
from agent.supervisor.settings import BPF_RUNGS
from content.flooders import PLACE

PAGE = mmap.PAGESIZE
MAX_RING_BYTES = 1 << 32
MISSING = "missing/"
"""How the name of a probe begins that this kernel lacks."""

_KINDS = ("bpf", "memfd")


def from_message(message: Message) -> Collection:
    """What an `attached` message hands over; ProtocolViolationError if it doesn't add up."""
    try:
        with ExitStack() as mapped:
            collection = _collection(message, mapped)
            mapped.pop_all()
            return collection
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        for descriptor in message.descriptors:
            os.close(descriptor)
        raise ProtocolViolationError(f"attached: {error!r:.200}") from error


def _collection(message: Message, mapped: ExitStack) -> Collection:
    documents, rung = message["rings"], str(message["rung"])
    counters = tuple(Counter(str(c["cause"]), int(c["template_type"])) for c in message["counters"])
    flooders = _flooders(message["flooders"])
    shared = _names(message["shared"])
    in_order = iter(message.descriptors)
    before_attachments = len(documents) + bool(counters) + len(shared)
    attached = message.descriptors[before_attachments:]
    if len(message.descriptors) < before_attachments or not (documents or rung in BPF_RUNGS):
        raise ValueError(f"{len(message.descriptors)} descriptors for {len(documents)} rings")
    epoch = secrets.token_hex(8)
    checked = [_ring(one, next(in_order), epoch, mapped) for one in documents]
    rings = {ring.template_type: ring for ring in checked}
    if len(rings) < len(checked):
        raise ValueError("two rings of one Template Type")
    serves = [_served(one, rings) for one in message["serves"]]
    if message["more"] < 0 or len(serves) != len(attached) + message["more"]:
        raise ValueError(f"{len(attached)} attachments, {message['more']} to come")
    probes, others = _probes(message["probes"], len(serves))
    counters_descriptor = next(in_order) if counters else None
    collection = Collection(
        rung=rung,
        rings=rings,
        counters=counters,
        counters_map=_map_counters(
            counters_descriptor, len(counters) * WORD.size + len(flooders) * PLACE.size, mapped
        ),
        counters_descriptor=counters_descriptor,
        shared=dict(zip(shared, in_order, strict=False)),
        awaited=deque(zip(serves, probes, strict=True)),
        absent=others,
        epoch=epoch,
        flooders=flooders,
    )
    collection.attach(attached)
    return collection


def _names(values: Sequence[Any]) -> list[str]:
    if any(type(value) is not str for value in values) or len(set(values)) < len(values):
        raise ValueError(f"shared maps {values!r:.120}")
    return list(values)


def _probes(names: Sequence[Any], attachments: int) -> tuple[list[str], tuple[str, ...]]:
    """What each attachment is attached to, programs last and without any; and all other names."""
    said = [str(name) for name in names]
    probes = [name for name in said if not name.startswith(MISSING)]
    others = (*probes[attachments:], *(name for name in said if name.startswith(MISSING)))
    return [*probes[:attachments], *[""] * (attachments - len(probes))], others


def _served(numbers: Any, rings: Mapping[int, RingFacts]) -> frozenset[int]:
    if not isinstance(numbers, list) or any(type(number) is not int for number in numbers):
        raise ValueError(f"an attachment for {numbers!r:.80}")
    if not rings.keys() >= set(numbers):
        raise ValueError(f"an attachment for Template Types {numbers!r:.80}, which have no ring")
    return frozenset(numbers)


def _map_counters(descriptor: int | None, size: int, mapped: ExitStack) -> mmap.mmap | None:
    if descriptor is None:
        return None
    return mapped.enter_context(_map(descriptor, -(-size // PAGE) * PAGE))


def _flooders(numbers: Sequence[Any]) -> tuple[int, ...]:
    """The Template Type of each place in which processes are named."""
    right = all(type(number) is int and number > 0 for number in numbers)
    if not right or len(numbers) > LIMITS.flooder_places:
        raise ValueError(f"flooders {numbers!r:.120}")
    return tuple(numbers)


def _ring(document: Mapping[str, Any], descriptor: int, epoch: str, mapped: ExitStack) -> RingFacts:
    size, stride, kind = document["bytes"], document["stride"], document["kind"]
    number = document["template_type"]
    for value in (size, stride, number):
        if type(value) is not int or value <= 0:
            raise ValueError(f"ring {document!r:.120}")
    if kind not in _KINDS or stride % 8 or size < stride or size > MAX_RING_BYTES:
        raise ValueError(f"ring {document!r:.120}")
    producer = mapped.enter_context(_map(descriptor, PAGE, PAGE))
    consumer = mapped.enter_context(_map(descriptor, PAGE, writable=True))
    identity = _identity(document["identity"], stride)
    return RingFacts(number, size, stride, kind, descriptor, producer, consumer, identity, epoch)


def _identity(offsets: Any, stride: int) -> tuple[int, ...]:
    """Where two words of 8 bytes lie in a record; empty where no process is named."""
    if not isinstance(offsets, list) or len(offsets) not in (0, 2):
        raise TypeError(f"identity {offsets!r:.80}")
    if any(type(one) is not int or not 0 <= one <= stride - 2 * WORD.size for one in offsets):
        raise ValueError(f"identity {offsets!r:.80}")
    return tuple(offsets)


def _map(descriptor: int, size: int, offset: int = 0, *, writable: bool = False) -> mmap.mmap:
    """Map memory; a memfd only if it can't be cut short, as reading it then would end us."""
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    except OSError:  # not a memfd: a BPF map
        seals = fcntl.F_SEAL_SHRINK
    if not seals & fcntl.F_SEAL_SHRINK:
        raise ValueError("memory that is not sealed against shrinking")
    rights = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    return mmap.mmap(descriptor, size, offset=offset, prot=rights)
