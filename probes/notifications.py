"""What the kernel's process connector sends: forks, execs, changes of user and exits. Pure.

A datagram is a netlink header, a connector header and one event, each in the machine's byte order:

    length u32 | type u16 | flags u16 | sequence u32 | port u32
    index u32 | value u32 | sequence u32 | acknowledged u32 | length u16 | flags u16
    what u32 | processor u32 | nanoseconds u64 | up to six numbers u32

The connector's sequence is counted per processor, so a gap says how many were lost. Format:
include/uapi/linux/cn_proc.h of the kernel.
"""

import struct
from dataclasses import dataclass, field
from enum import IntEnum

CONNECTOR_INDEX = 1
"""Index and value of the process connector, and its multicast group."""

_NETLINK = struct.Struct("=IHHII")
_CONNECTOR = struct.Struct("=IIIIHH")
_EVENT = struct.Struct("=IIQ4I")
_DONE = 3
_NO_PROCESSOR = 0xFFFFFFFF
_WORD = 1 << 32


class What(IntEnum):
    """The events that are of use; others are told apart only by their number."""

    ACKNOWLEDGEMENT = 0
    FORK = 0x00000001
    EXEC = 0x00000002
    USER = 0x00000004
    GROUP = 0x00000040
    EXIT = 0x80000000


class Order(IntEnum):
    """What a listener says to the kernel."""

    LISTEN = 1
    IGNORE = 2


@dataclass(frozen=True, slots=True)
class Notification:
    """One event.

    numbers: thread and process that it is about, and for USER and GROUP the real and effective id.
    FORK: thread and process of the parent, then those of the child. ACKNOWLEDGEMENT: an error
    number, or 0.
    """

    what: int
    processor: int
    sequence: int
    numbers: tuple[int, int, int, int]

    @property
    def is_of_process(self) -> bool:
        """Whether it is about a process as a whole: its thread is the first one."""
        return self.numbers[0] == self.numbers[1]


def parse(datagram: bytes) -> Notification | None:
    """The notification in a datagram; None if it is another connector's, or not whole."""
    start = _NETLINK.size + _CONNECTOR.size
    if len(datagram) < start + _EVENT.size:
        return None
    index, value, sequence, *_ = _CONNECTOR.unpack_from(datagram, _NETLINK.size)
    if (index, value) != (CONNECTOR_INDEX, CONNECTOR_INDEX):
        return None
    what, processor, _, *numbers = _EVENT.unpack_from(datagram, start)
    first, second, third, fourth = numbers
    return Notification(what, processor, sequence, (first, second, third, fourth))


def request(order: Order) -> bytes:
    """The datagram that begins or ends the kernel's notifications."""
    payload = struct.pack("=I", order)
    message = _CONNECTOR.pack(CONNECTOR_INDEX, CONNECTOR_INDEX, 0, 0, len(payload), 0) + payload
    return _NETLINK.pack(_NETLINK.size + len(message), _DONE, 0, 0, 0) + message


@dataclass(slots=True)
class Sequences:
    """Counts what was lost: gaps in the sequence of each processor, and overruns.

    An overrun is known before its gap is: it counts as one at once, and the gap that shows it later
    as one less.
    """

    _next: dict[int, int] = field(default_factory=dict)
    _counted_ahead: int = 0

    def overrun(self) -> int:
        """The kernel says that it had no room: how many to count now."""
        self._counted_ahead += 1
        return 1

    def lost_before(self, notification: Notification) -> int:
        """How many to count that should have come before this one."""
        processor, sequence = notification.processor, notification.sequence
        if processor == _NO_PROCESSOR:  # an acknowledgement of older kernels is in no sequence
            return 0
        gap = (sequence - self._next.get(processor, sequence)) % _WORD
        self._next[processor] = (sequence + 1) % _WORD
        if gap >= _WORD // 2:  # the kernel counts anew
            return 0
        ahead = min(gap, self._counted_ahead)
        self._counted_ahead -= ahead
        return gap - ahead
