"""Compile the parts of a load at the same time: the first in this process, each other in a fork.

Compiler and verifier take most of the time until a collection is attached, and each works on one
processor. A worker sends back descriptors, or why it was refused, and is gone; it dies with this
process.
"""

import ctypes
import json
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from probes.bcc_programs import Built, ProgramKind, build, imported
from probes.errors import ProbeError, ProbeReason

PR_SET_PDEATHSIG = 1
MESSAGE_BYTES = 64 * 1024
DESCRIPTORS = 253
"""As many as one message carries."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be compiled: a translation unit, its programs, and the maps that are wanted."""

    text: str
    functions: dict[str, ProgramKind]
    maps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Worker:
    pid: int
    channel: socket.socket

    def result(self) -> Built:
        data, descriptors, _, _ = socket.recv_fds(self.channel, MESSAGE_BYTES, DESCRIPTORS)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        if not data:
            raise ProbeError(ProbeReason.COMPILE_FAILED, "the compiler's process died")
        told = json.loads(data)
        if "reason" in told:
            raise ProbeError(ProbeReason(told["reason"]), told["detail"])
        programs = len(told["programs"])
        return Built(
            dict(zip(told["programs"], descriptors[:programs], strict=True)),
            dict(zip(told["maps"], descriptors[programs:], strict=True)),
        )

    def end(self) -> None:
        """Also where nobody waits for its result any more."""
        self.channel.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def build_all(orders: Sequence[Order]) -> Built:
    """Everything that was ordered, put together; ProbeError if any part was refused."""
    imported()  # before the fork, so that it is done once
    first, *others = orders
    workers = [_start(order) for order in others]
    built: list[Built] = []
    try:
        built.append(build(first.text, first.functions, first.maps))
        built.extend(worker.result() for worker in workers)
    except BaseException:
        for one in built:
            one.close()
        raise
    finally:
        for worker in workers:
            worker.end()
    return Built(
        {name: descriptor for one in built for name, descriptor in one.programs.items()},
        {name: descriptor for one in built for name, descriptor in one.maps.items()},
    )


def _start(order: Order) -> _Worker:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    pid = os.fork()
    if pid:
        theirs.close()
        return _Worker(pid, ours)
    status = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            _work(order, theirs)
            status = 0
    finally:
        os._exit(status)  # nothing of the parent's is to be flushed, detached or cleaned up here


def _work(order: Order, channel: socket.socket) -> None:
    try:
        built = build(order.text, order.functions, order.maps)
    except ProbeError as error:
        told = {"reason": str(error.reason), "detail": error.detail}
        channel.send(json.dumps(told).encode())
        return
    names = {"programs": list(built.programs), "maps": list(built.maps)}
    descriptors = [*built.programs.values(), *built.maps.values()]
    socket.send_fds(channel, [json.dumps(names).encode()], descriptors)
