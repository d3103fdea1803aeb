"""An evaluator process, unchecked or shipped, and what a supervisor holds of it."""

import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from agent import attribution, channel
from agent.channel import Sender
from content.channel_file import content_hash
from content.definitions import load_definitions
from content.template_type import Rung
from probes.memory_ring import MemoryRing
from tests.process import locked

SHIPPED = "agent.evaluator"
UNCHECKED = "lab.unchecked.evaluator"
TYPES = load_definitions()
IPC = next(one for one in TYPES.values() if one.name == "ipc")
RING_BYTES = 1024 * 1024


@dataclass(slots=True)
class Supervised:
    """An evaluator and what a supervisor holds of it."""

    process: subprocess.Popen[bytes]
    ours: socket.socket
    ring: MemoryRing
    record: int

    def next(self) -> channel.Message:
        """What it says next, heartbeats aside."""
        while True:
            message = channel.receive(self.ours, Sender.EVALUATOR)
            assert message is not None, self.process.stderr and self.process.stderr.read()
            for descriptor in message.descriptors:
                os.close(descriptor)
            if message.kind not in ("heartbeat", "locked"):
                return message

    def go(self) -> None:
        """Let it work from the ring's beginning."""
        channel.send(
            self.ours, "go", positions={str(IPC.number): 0}, careful={}, aside={}, prevention=1
        )


@contextmanager
def evaluator(
    module: str,
    payload: bytes,
    *,
    trial: bool,
    user: str = "",
    events: Sequence[dict[str, int | bytes]] = (),
    quarantined: Sequence[str] = (),
) -> Iterator[Supervised]:
    """One that was told to load a payload; `events` were in its ring before."""
    ours, theirs = channel.pair()
    ours.settimeout(20)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", module, "--channel-fd", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stderr=subprocess.PIPE,
        env=locked.environment(),
        user=user or None,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
    )
    theirs.close()
    ring = MemoryRing(IPC, RING_BYTES, Rung.BPF_BTF)
    for event in events:
        ring.append(event)
    record, content = attribution.create(), os.memfd_create("content")
    os.write(content, payload)
    supervised = Supervised(process, ours, ring, record)
    try:
        channel.send(
            ours,
            "load",
            rung=str(Rung.BPF_BTF),
            rings=[ring.description.document()],
            files=[_described(payload, quarantined, trial=trial)],
            epochs={str(IPC.number): "test"},
            descriptors=[record, ring.description.descriptor, content],
        )
        yield supervised
    finally:
        process.kill()
        process.communicate()
        ours.close()
        for descriptor in (record, content, ring.description.descriptor):
            os.close(descriptor)


def _described(
    payload: bytes, quarantined: Sequence[str], *, trial: bool
) -> Mapping[str, str | int | list[str]]:
    return {
        "hash": content_hash(payload).hex(),
        "template_type": IPC.number,
        "trial": int(trial),
        "active_version": 0,
        "quarantined": list(quarantined),
    }
