"""A supervisor for the real link role: keeps reports until they are stored, sends them again."""

import contextlib
import json
import os
import pwd
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent import channel
from agent.channel import Message, Sender
from agent.supervisor.child import ENVIRONMENT
from bulkhead.v1 import report_pb2
from tests.patience import patient
from tests.process.link_certificates import authority
from tests.process.link_repository import repository

AGENT = "agent-of-the-test"
USER = "bulkhead-link"


def link_user() -> tuple[int, int] | None:
    """The user that the link runs as where this test may change users, else None."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(USER)
    except KeyError:
        return None
    return entry.pw_uid, entry.pw_gid


@contextlib.contextmanager
def link_folders() -> Iterator[tuple[Path, Path]]:
    """State and TLS folder of a link, where its user can reach them."""
    with tempfile.TemporaryDirectory(prefix="bulkhead-link-") as name:
        top = Path(name)
        top.chmod(0o755)
        state, tls = top / "state", top / "tls"
        state.mkdir(mode=0o700)
        tls.mkdir(mode=0o755)
        authority().write_for_agent(tls)
        (tls / "root.json").write_bytes(repository().installed)
        user = link_user()
        if user is not None:
            os.chown(state, *user)
        yield state, tls


@contextlib.contextmanager
def running_link(cloud: str = "") -> Iterator["ScriptedSupervisor"]:
    """A supervisor with a link that has been started."""
    with link_folders() as (state, tls):
        supervisor = ScriptedSupervisor(state, tls, cloud)
        supervisor.start()
        try:
            yield supervisor
        finally:
            supervisor.close()


@dataclass
class ScriptedSupervisor:
    """Starts links and talks to them; `close` ends the last one."""

    state: Path
    tls: Path
    cloud: str = ""
    agent: str = AGENT
    run: str = "run-1"
    rung: str = "bpf_btf"
    received: list[Message] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    stored: int = 0
    reports: int = 0
    last_errors: str = ""
    process: "subprocess.Popen[bytes] | None" = None
    _waiting: dict[int, tuple[str, bytes, dict[str, Any]]] = field(default_factory=dict)
    sent: int = 0
    _channel: socket.socket | None = None

    def start(self) -> None:
        """A link; what its predecessor did not confirm is sent again."""
        ours, theirs = channel.pair()
        arguments = ["--channel-fd", str(theirs.fileno()), "--folder", str(self.state)]
        arguments += ["--agent-id", AGENT]
        if self.cloud:
            arguments += ["--cloud", self.cloud, "--tls", str(self.tls)]
        user, group = link_user() or (None, None)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-m", "agent.link", *arguments],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            user=user,
            group=group,
            extra_groups=[] if user is not None else None,
            umask=0o077,
        )
        theirs.close()
        self._channel = ours
        self.sent = self.stored
        self.introduce()

    def introduce(self) -> None:
        """Say who we are."""
        self.send(
            "identity",
            agent=self.agent,
            run=self.run,
            rung=self.rung,
            refused=[],
            not_collected=[],
            boot_id="boot",
            active=[],
        )

    def send(self, kind: str, *, payload: bytes = b"", **fields: Any) -> None:
        """Send a message, waiting for room, as a patient supervisor would."""
        deadline = time.monotonic() + 10.0
        while not self._try(kind, payload, fields):
            assert time.monotonic() < deadline, "the link does not read"
            assert self.running.poll() is None, f"the link has ended: {self.errors()}"
            select.select([self.sock], [self.sock], [], 0.05)
            self.turn()

    def report(self, kind: str, *, payload: bytes = b"", **facts: Any) -> int:
        """Queue a numbered report; it is sent by `turn`."""
        self.reports += 1
        self._waiting[self.reports] = (kind, payload, facts)
        return self.reports

    def detect(self, *detections: report_pb2.Detection) -> int:
        """Queue a report of detections."""
        batch = report_pb2.DetectionBatch(detections=detections)
        return self.report("detections", payload=batch.SerializeToString())

    def turn(self) -> None:
        """Send what the link takes and read what it has said; never waits."""
        self.feed()
        self.listen()

    def feed(self) -> None:
        """Send what the link takes, and read nothing."""
        while self.sent < self.reports:
            kind, payload, facts = self._waiting[self.sent + 1]
            fields: dict[str, Any] = {"report": self.sent + 1}
            if kind != "detections":
                fields["facts"] = facts
            if not self._try(kind, payload, fields):
                break
            self.sent += 1

    def listen(self) -> None:
        """Read what the link has said."""
        while True:
            try:
                message = channel.receive(self.sock, Sender.LINK)
            except (BlockingIOError, ConnectionResetError):
                return
            if message is None:
                return
            self._take(message)

    def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Take turns until that holds; the test fails where it never does."""
        deadline = time.monotonic() + patient(seconds)
        while not condition():
            assert time.monotonic() < deadline, (
                f"not within {patient(seconds)} s; link said {self.facts}"
            )
            assert self.running.poll() is None, f"the link has ended: {self.errors()}"
            self.turn()
            select.select([self.sock], [], [], 0.01)

    def until_stored(self, seconds: float = 10.0) -> None:
        """Until the link has confirmed all reports."""
        self.until(lambda: self.stored == self.reports, seconds)

    def of_kind(self, kind: str) -> list[Message]:
        """What the link has said, of one kind."""
        return [message for message in self.received if message.kind == kind]

    def log_lines(self) -> list[bytes]:
        """The lines of the local detection log, its predecessor's first."""
        files = [self.state / "detections.jsonl.1", self.state / "detections.jsonl"]
        data = b"".join(file.read_bytes() for file in files if file.exists())
        assert not data or data.endswith(b"\n")
        return data.splitlines()

    def logged(self) -> list[str]:
        """Ids in the local detection log, in order."""
        return [json.loads(line)["id"] for line in self.log_lines()]

    def kill(self) -> None:
        """End the link without a warning, and forget what was on its way to us."""
        self.running.send_signal(signal.SIGKILL)
        self._bury()

    def stop(self) -> int:
        """Ask the link to end; its exit status."""
        self.send("stop")
        return self._bury()

    def hang_up(self) -> int:
        """Close the channel, as a supervisor that died; the link's exit status."""
        self.sock.close()
        return self._bury()

    def hang_up_after_end(self) -> int:
        """Wait for a link that ends by itself; its exit status."""
        self.running.wait(timeout=10.0)
        return self.hang_up()

    def close(self) -> None:
        """End whatever still runs."""
        if self.process is not None:
            self.kill()

    def errors(self) -> str:
        """What an ended link has said on standard error."""
        assert self.running.stderr is not None
        return self.running.stderr.read().decode()

    @property
    def running(self) -> "subprocess.Popen[bytes]":
        """The link's process."""
        assert self.process is not None
        return self.process

    @property
    def sock(self) -> socket.socket:
        """Our end of the channel."""
        assert self._channel is not None
        return self._channel

    def _bury(self) -> int:
        status = self.running.wait(timeout=5.0)
        if self.sock.fileno() >= 0:
            self.listen()
            self.sock.close()
        assert self.running.stderr is not None
        self.last_errors = self.running.stderr.read().decode()
        self.running.stderr.close()
        self.process = None
        return status

    def _try(self, kind: str, payload: bytes, fields: dict[str, Any]) -> bool:
        try:
            channel.send(self.sock, kind, payload=payload, **fields)
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            return False
        return True

    def _take(self, message: Message) -> None:
        if message.kind == "stored":
            number = message["report"]
            assert self.stored <= number <= self.sent, "a report was confirmed that was not sent"
            for stored in range(self.stored + 1, number + 1):
                self._waiting.pop(stored, None)
            self.stored = number
        elif message.kind == "heartbeat":
            self.facts = message["facts"]
        elif message.kind == "locked":
            for descriptor in message.descriptors:
                os.close(descriptor)
        else:
            self.received.append(message)
