"""The evaluator role with the unchecked interpreter, and the shipped one, on the same July file."""

import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from agent import attribution, channel
from agent.channel import Sender
from bulkhead.v1 import report_pb2
from content.channel_file import content_hash
from content.definitions import load_definitions
from content.template_type import Rung
from lab import july19
from lab.unchecked import build
from probes.memory_ring import MemoryRing
from tests import needs
from tests.process import locked

SHIPPED = "agent.evaluator"
UNCHECKED = "lab.unchecked.evaluator"
TYPES = load_definitions()
IPC = next(one for one in TYPES.values() if one.name == "ipc")
RING_BYTES = 1024 * 1024
PIPE: dict[str, int | bytes] = {
    "operation": 3,
    "path": july19.PIPE_PATH + b"1",
    "image": b"/usr/bin/mkfifo",
    "pid": 7,
}


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
            if message.kind != "heartbeat":
                return message

    def go(self) -> None:
        """Let it work from the ring's beginning."""
        channel.send(self.ours, "go", positions={str(IPC.number): 0}, careful={}, aside={})


@contextmanager
def _evaluator(module: str, payload: bytes, *, trial: bool, user: str = "") -> Iterator[Supervised]:
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
    record, content = attribution.create(), os.memfd_create("content")
    os.write(content, payload)
    supervised = Supervised(process, ours, ring, record)
    try:
        channel.send(
            ours,
            "load",
            rung=str(Rung.BPF_BTF),
            rings=[ring.description.document()],
            files=[_described(payload, trial=trial)],
            epoch="test",
            descriptors=[record, ring.description.descriptor, content],
        )
        yield supervised
    finally:
        process.kill()
        process.communicate()
        ours.close()
        for descriptor in (record, content, ring.description.descriptor):
            os.close(descriptor)


def _described(payload: bytes, *, trial: bool) -> Mapping[str, str | int]:
    return {
        "hash": content_hash(payload).hex(),
        "template_type": IPC.number,
        "trial": int(trial),
        "active_version": 0,
    }


@pytest.fixture(params=["", locked.NOBODY], ids=["self", "nobody"])
def user(request: pytest.FixtureRequest) -> str:
    """Who runs the evaluator; built beforehand, as the demonstration does."""
    needs.require_command("cc", "gcc")
    build.build()
    name: str = request.param
    if name:
        locked.require_other_user()
    return name


def test_the_july_file_kills_the_unchecked_evaluator(user: str) -> None:
    """The contained crash would be another one, or nobody could say what caused it."""
    payload = july19.channel_file(TYPES, 1, wildcard=False)
    with _evaluator(UNCHECKED, payload, trial=True, user=user) as supervised:
        ready = supervised.next()
        assert ready.kind == "ready", ready.fields
        assert ready["sandbox"]["seccomp"].startswith("kill")
        supervised.go()
        supervised.ring.append({"path": b"/run/ordinary", "operation": 1})
        assert locked.how(supervised.process.wait(20)) == "SIGSEGV"
        progress = attribution.read(supervised.record)
    assert (progress.ring, progress.position, progress.row) == (IPC.number, 0, 0)
    assert progress.instance_id == july19.INSTANCE_ID


def test_the_months_before_are_evaluated(user: str) -> None:
    """The unchecked evaluator would not be a working one that has a fault."""
    payload = july19.channel_file(TYPES, 1, wildcard=True)
    with _evaluator(UNCHECKED, payload, trial=True, user=user) as supervised:
        assert supervised.next().kind == "ready"
        supervised.ring.append({"path": b"/run/ordinary", "operation": 1})
        supervised.ring.append(PIPE)
        supervised.go()
        frame = supervised.next()
        channel.send(supervised.ours, "stop")
        assert locked.how(supervised.process.wait(20)) == "exit 0"
    batch = report_pb2.DetectionBatch.FromString(frame.payload)
    assert [one.sequence for one in batch.detections] == [1]
    assert (frame["evaluated"], batch.detections[0].channel_file_version) == (2, 1)


@pytest.mark.parametrize("disguised", [False, True])
def test_the_shipped_evaluator_refuses_the_july_file(*, disguised: bool) -> None:
    """The same file would reach the same end in the product."""
    payload = july19.channel_file(TYPES, 1, wildcard=False)
    if disguised:
        payload = july19.disguised_channel_file(TYPES, 1)
    with _evaluator(SHIPPED, payload, trial=True) as supervised:
        refused = supervised.next()
    assert refused.kind == "rejected"
    (file,) = refused["files"]
    reasons = {problem["reason"] for problem in file["problems"]}
    assert ("ARITY_MISMATCH" in reasons) is not disguised
    assert "FIELD_OUT_OF_RANGE" in reasons


def test_the_shipped_evaluator_refuses_it_even_if_it_was_tried_before() -> None:
    """A file that got past the trial, by whatever error, would be evaluated."""
    payload = july19.channel_file(TYPES, 1, wildcard=False)
    with _evaluator(SHIPPED, payload, trial=False) as supervised:
        said = channel.receive(supervised.ours, Sender.EVALUATOR)
        assert said is None or said.kind != "ready"
