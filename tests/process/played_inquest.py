"""A throw-away evaluator that does what a test wants: `--channel-fd N WHAT`.

Each play gets the order and the attribution record; most end in a crash.
"""

import os
import resource
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

from agent.attribution import MAX_INSTANCES, RECORD_BYTES, Attribution, Phase
from agent.channel import Message, Sender, checksum, receive, send
from agent.sandbox import EVALUATOR, lock_down

LONG_SECONDS = 60.0
NAMES = [("first", b"\x01" * 32), ("second", b"\x02" * 32)]
ALL = MAX_INSTANCES


def honest(order: Message, record: Attribution, _channel: socket.socket) -> None:
    """Name both, then the second one."""
    part = (0, 2) if order["count"] == ALL else (1, 1)
    record.batch(1, *part, Phase.INQUEST)


def private(order: Message, record: Attribution, _channel: socket.socket) -> None:
    """Name an instance if the copy of the event can be read, and by no means be changed."""
    _, event, _ = order.descriptors
    if os.pread(event, 100, 0) != b"an event":
        return
    for change in (lambda: os.pwrite(event, b"x", 0), lambda: os.ftruncate(event, 0)):
        try:
            change()
        except PermissionError:
            continue
        return
    record.batch(1, 0, 1, Phase.INQUEST)


def outside(_order: Message, record: Attribution, _channel: socket.socket) -> None:
    """Name an instance beyond all slots."""
    record.batch(1, MAX_INSTANCES, 1, Phase.INQUEST)


def same(_order: Message, record: Attribution, _channel: socket.socket) -> None:
    """Name the part that was asked for, as it was."""
    record.batch(1, 0, ALL, Phase.INQUEST)


def endless(order: Message, record: Attribution, _channel: socket.socket) -> None:
    """Leave out one instance at a time."""
    record.batch(1, order["first"], order["count"] - 1, Phase.INQUEST)


def another_part(order: Message, record: Attribution, _channel: socket.socket) -> None:
    """Name a part, then an instance that does not lie in it."""
    part = (10, 2) if order["count"] == ALL else (0, 1)
    record.batch(1, *part, Phase.INQUEST)


def nameless(_order: Message, record: Attribution, _channel: socket.socket) -> None:
    """Name an instance without a digest."""
    record.name_instances([("first", b"")])
    record.batch(1, 0, 1, Phase.INQUEST)


def rubbish(order: Message, _record: Attribution, _channel: socket.socket) -> None:
    """Write over the words of the record."""
    os.pwrite(order.descriptors[0], struct.pack("<Q", Phase.INQUEST) + b"\xff" * 56, 0)


def shrinks(order: Message, record: Attribution, _channel: socket.socket) -> None:
    """Take the record away; name an instance if that works."""
    for size in (0, RECORD_BYTES * 2):
        try:
            os.ftruncate(order.descriptors[0], size)
        except PermissionError:
            continue
        record.batch(1, 0, 1, Phase.INQUEST)


def speaks(_order: Message, record: Attribution, channel: socket.socket) -> None:
    """Report a detection, having named an instance."""
    record.batch(1, 0, 1, Phase.INQUEST)
    send(
        channel,
        "frame",
        payload=b"x",
        crc32=checksum(b"x"),
        ring=1,
        position=64,
        evaluated=1,
        detections=1,
        verdicts=[],
    )
    time.sleep(LONG_SECONDS)


def survives_first(_order: Message, record: Attribution, channel: socket.socket) -> None:
    """Say that it has survived, then die."""
    record.batch(1, 0, 1, Phase.INQUEST)
    send(channel, "survived", instances=2)


def forbidden(_order: Message, record: Attribution, channel: socket.socket) -> None:
    """Make a system call that is not permitted, as broken native code might."""
    record.batch(1, 0, 1, Phase.INQUEST)
    lock_down(EVALUATOR, channel)
    Path("/etc/hostname").read_bytes()


def killed(_order: Message, record: Attribution, _channel: socket.socket) -> None:
    """End by a kill that is nobody's of ours."""
    record.batch(1, 0, 1, Phase.INQUEST)
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(_order: Message, record: Attribution, _channel: socket.socket) -> None:
    """Come to no end with an instance."""
    record.batch(1, 1, 1, Phase.INQUEST)
    time.sleep(LONG_SECONDS)


PLAYS: dict[str, Callable[[Message, Attribution, socket.socket], None]] = {
    play.__name__: play
    for play in (
        honest,
        private,
        outside,
        same,
        endless,
        another_part,
        nameless,
        rubbish,
        shrinks,
        speaks,
        survives_first,
        forbidden,
        killed,
        hangs,
    )
}


def main() -> None:
    """Play, then die of a signal."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    channel = socket.socket(fileno=int(sys.argv[2]))
    order = receive(channel, Sender.SUPERVISOR)
    if order is None:
        sys.exit(7)
    record = Attribution(order.descriptors[0])
    record.name_instances(NAMES)
    PLAYS[sys.argv[3]](order, record, channel)
    os.kill(os.getpid(), signal.SIGSEGV)


if __name__ == "__main__":
    main()
