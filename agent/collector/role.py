"""The collector role: acquire → hand over → go, or stay and poll.

In the rungs `bpf_btf` and `bpf_tracepoint` it compiles, loads and attaches, hands every descriptor
to the supervisor and ends: collection goes on in the kernel for as long as the supervisor holds
them, and no process with BPF rights is left. With `--join` it adds Template Types to a collection
that runs, whose maps the supervisor sends it (`join`). In the rungs `process_connector` and
`psutil` it makes its rings, hands them over, gives up what it can, and listens or polls until the
channel closes. A rung that can't be had is a `failed` message with a reason code and exit status 3.

With `--seed` it also makes an event of each process that ran already, once the supervisor says that
content for them is in force (`agent.collector.seeding`).

The collector never sees content.
"""

import argparse
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from agent.channel import LIMITS as CHANNEL_LIMITS
from agent.channel import ProtocolViolationError, Sender, receive, send
from agent.collector.polling import connector_collector, listen, poll, psutil_collector
from agent.collector.seeding import seed_by_kernel, seeder_of_memory
from agent.sandbox import SandboxError
from content.definitions import Rung, TemplateType, load_definitions
from probes.counters import CounterSlot
from probes.errors import ProbeError, ProbeReason
from probes.kernel_source import hide_symbols
from probes.limits import LIMITS
from probes.loader import load
from probes.memory_ring import MemoryRings
from probes.process_connector import ProcessConnector
from probes.program import BPF_RUNGS
from probes.ring import RingDescription
from probes.shared_maps import named
from probes.tracefs import mount_privately

EXIT_FAILED = 3

POLLED = ("psutil/processes", "psutil/sockets")
LISTENED = ("connector/processes", "psutil/sockets")
"""What the rungs psutil and process_connector name as their probes."""

NO_JOIN = "rung {}: one process collects everything, and nothing can join it"
POWER_OF_TWO = "a power of two from {} to {} bytes"


class Handover(NamedTuple):
    """What the supervisor is given.

    common: descriptors of counters and shared maps, none in a join. serves, flooders: see
    agent.channel.
    """

    rung: Rung
    rings: tuple[RingDescription, ...]
    common: tuple[int, ...]
    counter_slots: tuple[CounterSlot, ...]
    probes: tuple[str, ...]
    shared: tuple[str, ...] = ()
    attachments: tuple[int, ...] = ()
    serves: tuple[tuple[int, ...], ...] = ()
    flooders: tuple[int, ...] = ()


def run(arguments: Sequence[str]) -> int:
    """Be the collector; returns the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to handle.
    options = _parse(arguments)
    types = load_definitions()
    sizes = _ring_bytes(types, options.types, options.ring_bytes)
    channel = socket.socket(fileno=options.channel_fd)
    try:
        if options.rung in BPF_RUNGS:
            seen = _seen(types, sizes, options.rung)
            joined = _joined(channel, options.rung) if options.join else None
            return _attach(channel, types, seen, options, joined)
        if options.join:
            raise ProbeError(ProbeReason.RUNG_NOT_SUPPORTED, NO_JOIN.format(options.rung))
        if options.rung is Rung.PROCESS_CONNECTOR:
            return _listen(channel, types, sizes, options)
        return _poll(channel, types, sizes, options)
    except ProbeError as error:
        send(
            channel, "failed", rung=str(options.rung), reason=str(error.reason), detail=error.detail
        )
        return EXIT_FAILED
    except (SandboxError, ProtocolViolationError) as error:
        sys.stderr.write(f"agent.collector: {error}\n")
        return EXIT_FAILED
    except (BrokenPipeError, ConnectionResetError):
        return 0  # the supervisor is gone, and with it the need for us


def hand_over(channel: socket.socket, handover: Handover) -> None:
    """Send `attached`, and as many `attachments` as the descriptors take."""
    descriptors = [
        *(ring.descriptor for ring in handover.rings),
        *handover.common,
        *handover.attachments,
    ]
    size = CHANNEL_LIMITS.descriptors
    send(
        channel,
        "attached",
        descriptors=descriptors[:size],
        rung=str(handover.rung),
        rings=[ring.document() for ring in handover.rings],
        counters=[slot.document() for slot in handover.counter_slots],
        flooders=list(handover.flooders),
        shared=list(handover.shared),
        serves=[list(numbers) for numbers in handover.serves],
        probes=list(handover.probes),
        more=max(0, len(descriptors) - size),
    )
    for start in range(size, len(descriptors), size):
        left = max(0, len(descriptors) - start - size)
        send(channel, "attachments", descriptors=descriptors[start : start + size], more=left)


def _attach(
    channel: socket.socket,
    types: Mapping[int, TemplateType],
    sizes: Mapping[int, int],
    options: argparse.Namespace,
    joined: Mapping[str, int] | None,
) -> int:
    mount_privately()
    hide_symbols()
    rung: Rung = options.rung
    every = tuple(types.values())
    loaded = load(every, sizes, rung, joined)
    begins = joined is None
    hand_over(
        channel,
        Handover(
            rung,
            loaded.rings,
            common=(loaded.counters, *loaded.shared.values()) if begins else (),
            counter_slots=loaded.counter_slots if begins else (),
            probes=(*loaded.probes, *(f"missing/{name}" for name in loaded.missing)),
            shared=tuple(loaded.shared) if begins else (),
            attachments=(*loaded.attachments, *loaded.programs.values()),
            serves=loaded.serves,
            flooders=loaded.flooders if begins else (),
        ),
    )
    if options.seed:
        seed_by_kernel(channel, every, rung, loaded)
    else:
        loaded.close()
    return 0


def _joined(channel: socket.socket, rung: Rung) -> Mapping[str, int]:
    """Counters and shared maps of the collection that runs, as the supervisor sends them."""
    message = receive(channel, Sender.SUPERVISOR)
    if message is None:
        raise BrokenPipeError
    if message.kind != "join":
        raise ProtocolViolationError(f"{message.kind} instead of join")
    return named(message["shared"], message.descriptors, rung)


def _poll(
    channel: socket.socket,
    types: Mapping[int, TemplateType],
    sizes: Mapping[int, int],
    options: argparse.Namespace,
) -> int:
    rings = MemoryRings(types, _seen(types, sizes, Rung.PSUTIL), Rung.PSUTIL)
    collector = psutil_collector(types, rings)
    hand_over(channel, _from_memory(Rung.PSUTIL, rings, POLLED))
    seeder = seeder_of_memory(channel, types, Rung.PSUTIL, rings) if options.seed else None
    return poll(channel, collector, seeder)


def _listen(
    channel: socket.socket,
    types: Mapping[int, TemplateType],
    sizes: Mapping[int, int],
    options: argparse.Namespace,
) -> int:
    rung = Rung.PROCESS_CONNECTOR
    rings = MemoryRings(types, _seen(types, sizes, rung), rung)
    connector = ProcessConnector()  # before /proc is read, so that nobody is missed in between
    collector = connector_collector(types, rings)
    hand_over(channel, _from_memory(rung, rings, LISTENED))
    seeder = seeder_of_memory(channel, types, rung, rings) if options.seed else None
    return listen(channel, connector, collector, rings, seeder)


def _from_memory(rung: Rung, rings: MemoryRings, probes: tuple[str, ...]) -> Handover:
    return Handover(rung, rings.descriptions, (rings.counters,), rings.counter_slots, probes)


def _seen(
    types: Mapping[int, TemplateType], sizes: Mapping[int, int], rung: Rung
) -> dict[int, int]:
    """The rings of those Template Types that a rung can see."""
    return {number: size for number, size in sizes.items() if types[number].supplied_fields(rung)}


def _ring_bytes(
    types: Mapping[int, TemplateType], wanted: Sequence[int] | None, same: int | None
) -> dict[int, int]:
    """Bytes by number for the types wanted: all of them where nobody says which.

    One that is not known here (content of a newer release wants it) must not cost the others: it is
    left out, like one that the rung can't see.
    """
    unknown = set(wanted or ()) - set(types)
    if unknown:
        sys.stderr.write(f"agent.collector: --types: no Template Type {sorted(unknown)}\n")
    return {
        number: same or LIMITS.ring_bytes.get(number, LIMITS.other_ring_bytes)
        for number in (types if wanted is None else wanted)
        if number not in unknown
    }


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="agent.collector", allow_abbrev=False)
    parser.add_argument("--rung", type=Rung, choices=list(Rung), required=True)
    parser.add_argument("--channel-fd", type=int, required=True)
    parser.add_argument("--ring-bytes", type=_power_of_two, help="for every ring")
    parser.add_argument(
        "--types", type=_numbers, help="numbers, separated by commas; empty for lineage alone"
    )
    parser.add_argument("--join", action="store_true", help="add them to a collection that runs")
    parser.add_argument(
        "--seed", action="store_true", help="make events of processes that ran already, on order"
    )
    options = parser.parse_args(arguments)
    if options.join and not options.types:
        parser.error("--join needs --types")
    return options


def _power_of_two(text: str) -> int:
    value = int(text)
    smallest, largest = LIMITS.smallest_ring_bytes, LIMITS.largest_ring_bytes
    if value & (value - 1) or not smallest <= value <= largest:
        raise argparse.ArgumentTypeError(POWER_OF_TWO.format(smallest, largest))
    return value


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(",")) if text else ()
