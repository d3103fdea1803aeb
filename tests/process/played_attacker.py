"""An evaluator that an attacker controls, in the sandbox that every evaluator is in.

`python -m tests.process.played_attacker --channel-fd N`, through the role table. It locks itself
down and gets ready as the shipped one does, keeps every descriptor that it was given, and once it
is at work does what the file `attack` in the state folder says: it has that open since before it
was locked down.
"""

import ctypes
import json
import mmap
import os
import resource
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import seccomp

from agent.attribution import Attribution
from agent.channel import Message, Sender, checksum, encode, receive, send
from agent.linux import system_call
from agent.sandbox import EVALUATOR, lock_down

LOOK_SECONDS = 0.01
BEAT_SECONDS = 0.5
X32_GETPID = 0x40000000 | 39
BLOCK = 1 << 20


@dataclass(slots=True)
class Prey:
    """What the attacker has, and whom it is after."""

    channel: socket.socket
    order: Message
    record: Attribution
    consumer: mmap.mmap
    victim: int = 0
    victim_start: int = 0

    @property
    def ring(self) -> int:
        """The descriptor of its ring."""
        return self.order.descriptors[1]

    @property
    def stride(self) -> int:
        """Bytes per record."""
        return int(self.order["rings"][0]["stride"])

    def frame(self, payload: bytes = b"", **different: Any) -> None:
        """A frame in which nothing is wrong, unless something is different."""
        plain: dict[str, Any] = {"ring": 1, "position": 0, "evaluated": 0, "detections": 0}
        fields = {**plain, "verdicts": [], "crc32": checksum(payload), **different}
        send(self.channel, "frame", payload=payload, **fields)

    def verdict(self, **different: Any) -> None:
        """A frame with a verdict on the victim, as if the first event were about it."""
        said = {"pid": self.victim, "start_time": self.victim_start, "sequence": 0}
        self.frame(verdicts=[{**said, "instance": "forged", **different}])


Attack = Callable[[Prey], object]


def call(name: str, *arguments: int) -> Attack:
    """A system call by its name, with these arguments."""
    number = seccomp.resolve_syscall(seccomp.Arch(), name)
    return lambda _: system_call(name, number, *arguments, *[0] * (6 - len(arguments)))


def on_ring(command: int) -> Attack:
    """bpf(2) on the ring's descriptor: update (2) or delete (3) an element, freeze (22)."""
    number = seccomp.resolve_syscall(seccomp.Arch(), "bpf")

    def attack(prey: Prey) -> int:
        attributes = ctypes.create_string_buffer(struct.pack("<IIQQQ", prey.ring, 0, 0, 0, 0))
        return system_call("bpf", number, command, attributes, len(attributes))

    return attack


def on_supervisor(name: str, *after: int) -> Attack:
    """A system call that takes a process id first, or as its second argument with PTRACE_SEIZE."""
    number = seccomp.resolve_syscall(seccomp.Arch(), name)
    before = [0x4206] if name == "ptrace" else []
    return lambda _: system_call(name, number, *before, os.getppid(), *after)


def fill_memory(prey: Prey) -> None:
    """Take memory in ever smaller pieces until there is none, and seem to be alive meanwhile."""
    held, size = [], 16 * BLOCK
    while size > BLOCK:
        try:
            held.append(b"x" * size)
            send(prey.channel, "heartbeat", facts={})
        except MemoryError:
            size //= 2
    os._exit(0)


def flood_output(_prey: Prey) -> None:
    """Write ten megabytes to standard error, and end."""
    for _ in range(10):
        os.write(2, b"x" * BLOCK)
    os._exit(0)


def give_back(prey: Prey) -> None:
    """Let the events be overwritten that nobody has evaluated, and go on as if nothing was."""
    prey.consumer[:8] = struct.pack("<Q", 3 * prey.stride)
    _work(prey, lambda: False)


def shut_ring(prey: Prey) -> None:
    """A position that keeps the ring from ever taking an event again."""
    prey.consumer[:8] = struct.pack("<Q", 2**63)
    _work(prey, lambda: False)


def raw(datagram: bytes) -> Attack:
    """A datagram as it is."""
    return lambda prey: prey.channel.send(datagram)


def message(kind: str, **fields: Any) -> Attack:
    """A message that somebody may send."""
    return lambda prey: prey.channel.send(encode(kind, fields))


ATTACKS: Mapping[str, Attack] = {
    # Files.
    "open a file": lambda _: Path("/etc/hostname").read_bytes(),
    "open to write": lambda _: Path("/tmp/x").write_bytes(b""),  # noqa: S108
    "look at a file": lambda _: Path("/etc/shadow").stat(),
    "list a folder": lambda _: os.listdir("/"),  # noqa: PTH208
    "delete a file": lambda _: Path("/tmp/x").unlink(),  # noqa: S108
    "memory file": lambda _: os.memfd_create("x"),
    "grow the record": lambda prey: os.ftruncate(prey.order.descriptors[0], 1 << 40),
    "write to the ring": lambda prey: os.pwrite(prey.ring, b"x", 8192),
    # Network.
    "internet": lambda _: socket.socket(socket.AF_INET),
    "unix socket": lambda _: socket.socket(socket.AF_UNIX),
    "connect the channel": lambda prey: prey.channel.connect("\0x"),
    # Processes.
    "exec": lambda _: os.execv("/bin/true", ["true"]),  # noqa: S606
    "fork": lambda _: os.fork(),
    "ptrace the supervisor": on_supervisor("ptrace"),
    "read the supervisor": on_supervisor("process_vm_readv"),
    "pidfd of the supervisor": on_supervisor("pidfd_open"),
    "kill the supervisor": lambda _: os.kill(os.getppid(), 9),
    "kill its thread": on_supervisor("tgkill", 1, 9),
    "kill a stranger": lambda prey: os.kill(prey.victim, 9),
    "kill everybody": lambda _: os.kill(-1, 9),
    # The sandbox itself.
    "raise a limit": lambda _: resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096)),
    "become dumpable": call("prctl", 4, 1),
    "another filter": call("seccomp", 1),
    "another user": call("setuid", 0),
    "a namespace": call("unshare", 0x10000000),
    "executable memory": lambda _: mmap.mmap(-1, 4096, mmap.MAP_PRIVATE, mmap.PROT_EXEC),
    "uncounted memory": lambda _: mmap.mmap(-1, 4096),
    "io_uring": call("io_uring_setup", 8),
    "load a module": call("finit_module"),
    "a key": call("keyctl"),
    "type on the terminal": call("ioctl", 2, 0x5412),
    "answer for the supervisor": call("ioctl", 3, 0xC0182101),
    "foreign architecture": lambda _: system_call("getpid", X32_GETPID),
    # The ring's descriptor.
    "update the ring": on_ring(2),
    "delete from the ring": on_ring(3),
    "freeze the ring": on_ring(22),
    "copy the ring": lambda prey: call("dup2", prey.ring, 100)(prey),
    "send the ring away": lambda prey: send(
        prey.channel, "heartbeat", facts={}, descriptors=[prey.ring]
    ),
    "give back unread": give_back,
    "shut the ring": shut_ring,
    # Memory and disk.
    "fill memory": fill_memory,
    "flood the log": flood_output,
    # Messages.
    "rubbish": raw(b"rubbish"),
    "no JSON": raw(struct.pack("!I", 4) + b"{{{{"),
    "a header without end": raw(struct.pack("!I", 2**32 - 1) + b"{}"),
    "deep nesting": raw(struct.pack("!I", 100_004) + b"[" * 100_004),
    "oversized": raw(b"x" * (130 * 1024)),
    "too many descriptors": lambda prey: socket.send_fds(
        prey.channel, [encode("heartbeat", {"facts": {}})], [prey.ring] * 100
    ),
    "the link's message": message("stored", report=1),
    "the supervisor's message": message("stop"),
    "the collector's message": message("late", from_ns=0, to_ns=1, missed=1),
    "ready again": message("ready", files=[], sandbox={}),
    "leave unasked": message("drained", positions={}),
    "locked again": lambda prey: send(prey.channel, "locked", descriptors=[prey.ring]),
    # Forgeries.
    "events that never were": lambda prey: prey.frame(position=10**6 * prey.stride),
    "between two events": lambda prey: prey.frame(position=1),
    "more than there were": lambda prey: prey.frame(position=prey.stride, evaluated=2),
    "progress that never was": lambda prey: send(prey.channel, "progress", rings=[[1, 2**60, 1]]),
    "detections in nothing": lambda prey: prey.frame(detections=5),
    "a wrong checksum": lambda prey: prey.frame(b"x", detections=1, crc32=0),
    "another's ring": lambda prey: prey.frame(ring=4),
    "fewer than no events": message("undecided", ring=1, rows=-1),
    "another's file": message("fault", hash="f" * 64, instance="i", reason="R", detail="d"),
    "a verdict on a stranger": lambda prey: prey.verdict(),
    "a verdict on the supervisor": lambda prey: prey.verdict(pid=os.getppid()),
    "a verdict on what comes": lambda prey: prey.verdict(sequence=10**9),
}


def main() -> None:
    """Get ready as the shipped evaluator does, then attack."""
    channel = socket.socket(fileno=int(sys.argv[2]))
    orders = os.open(_state_folder() / "attack", os.O_RDONLY)
    order = receive(channel, Sender.SUPERVISOR)
    if order is None:
        return
    record = Attribution(order.descriptors[0])
    consumer = mmap.mmap(order.descriptors[1], mmap.PAGESIZE)
    prey = Prey(channel, order, record, consumer)
    sandbox = lock_down(EVALUATOR, channel)
    send(channel, "ready", files=[], sandbox=sandbox)
    if receive(channel, Sender.SUPERVISOR) is None:
        return
    told: list[dict[str, Any]] = []
    _work(prey, lambda: _told(orders, told))
    prey.victim, prey.victim_start = told[0]["victim"], told[0]["victim_start"]
    with suppress(OSError, ValueError):
        ATTACKS[told[0]["attack"]](prey)
    # Whoever gets here was refused by an error, or let through: the test tells which.
    _work(prey, lambda: False)


def _work(prey: Prey, over: Callable[[], bool]) -> None:
    """Be an evaluator that has nothing to say, until it is over."""
    beaten = 0.0
    while not over():
        if time.monotonic() - beaten > BEAT_SECONDS:
            beaten = time.monotonic()
            send(prey.channel, "heartbeat", facts={})
        time.sleep(LOOK_SECONDS)


def _told(orders: int, told: list[dict[str, Any]]) -> bool:
    """Whether there is an order for this process; the next one at work has the same file."""
    with suppress(ValueError):
        order = json.loads(os.pread(orders, 4096, 0))
        if order["attacker"] == os.getpid():
            told.append(order)
    return bool(told)


def _state_folder() -> Path:
    """From the command line of the supervisor."""
    words = Path(f"/proc/{os.getppid()}/cmdline").read_bytes().split(b"\0")
    return Path(os.fsdecode(words[words.index(b"--state") + 1]))


if __name__ == "__main__":
    main()
