"""An agent that keeps what it has not got a receipt for, and goes to the next replica in trouble.

As the link does: reports are sent again in the next session until their receipt has come; a hello
says what is active.
"""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import grpc

from bulkhead.v1 import report_pb2
from bulkhead.v1.report_pb2 import CONTENT_STATE_ACCEPTED, ActiveChannelFile
from tests.process.cloud_agent import Request, ScriptedAgent, detections, hello

NOTICING = (("grpc.keepalive_time_ms", 1_000), ("grpc.keepalive_timeout_ms", 2_000))
PAUSE_SECONDS = 0.05
BEATS_EVERY = 10


@dataclass
class SteadyAgent:
    """Runs from `start` to `stop`. reported: ids of all reports that it ever made."""

    agent_id: str
    folder: Path
    addresses: list[str]
    reported: list[str] = field(default_factory=list)
    active: dict[int, ActiveChannelFile] = field(default_factory=dict)
    sessions: list[str] = field(default_factory=list)
    most: int = 10_000
    _unconfirmed: dict[int, Request] = field(default_factory=dict)
    _delivery: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _quiet: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> Self:
        """Begin with the first address."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def quieten(self) -> None:
        """Report nothing new; go on delivering."""
        self._quiet.set()

    def delivered(self) -> bool:
        """Whether all reports have their receipts."""
        return not self._unconfirmed

    def stop(self) -> None:
        """End the session."""
        self._stop.set()
        assert self._thread is not None
        self._thread.join(20)

    def version(self, template_type: int = 4) -> int:
        """What is active here."""
        file = self.active.get(template_type)
        return file.version if file else 0

    def _run(self) -> None:
        turn = 0
        while not self._stop.wait(PAUSE_SECONDS):
            address = self.addresses[turn % len(self.addresses)]
            with ScriptedAgent(address, self.folder, NOTICING) as session:
                self._converse(session, address)
            turn += 1

    def _converse(self, session: ScriptedAgent, address: str) -> None:
        said = hello(self.agent_id)
        said.active.extend(self.active.values())
        session.send(Request(hello=said))
        while not session.of("welcome"):
            if session.status is not None or self._stop.wait(PAUSE_SECONDS):
                return
        self.sessions.append(address)
        for request in list(self._unconfirmed.values()):
            session.send(request)
        seen = turn = 0
        while session.status is None and not self._stop.wait(PAUSE_SECONDS):
            self._confirm(session.receipt())
            offers = session.offers()
            for offer in offers[seen:]:
                self._take(session, offer.content_hash, offer.template_type, offer.version)
            seen = len(offers)
            if not self._quiet.is_set() and len(self.reported) < self.most:
                self._report(session)
            if turn % BEATS_EVERY == 0:
                session.send(self._beat())
            turn += 1

    def _take(self, session: ScriptedAgent, name: bytes, number: int, version: int) -> None:
        try:
            session.fetch(name)
        except grpc.RpcError:  # the replica dies; another one offers it again
            return
        self.active[number] = ActiveChannelFile(
            template_type=number, version=version, content_hash=name, state=CONTENT_STATE_ACCEPTED
        )
        session.acknowledge(0, name, CONTENT_STATE_ACCEPTED)
        session.send(self._beat())

    def _report(self, session: ScriptedAgent) -> None:
        self._delivery += 1
        name = f"{self.agent_id}-{self._delivery}"
        request = detections(self._delivery, name)
        self.reported.append(name)
        self._unconfirmed[self._delivery] = request
        session.send(request)

    def _confirm(self, receipt: int) -> None:
        for delivery in [one for one in self._unconfirmed if one <= receipt]:
            del self._unconfirmed[delivery]

    def _beat(self) -> Request:
        beat = report_pb2.Heartbeat(
            rung=report_pb2.RUNG_BPF_BTF,
            active=self.active.values(),
            evaluations=[
                report_pb2.Evaluations(content_hash=one.content_hash, events=1_000)
                for one in self.active.values()
            ],
            evaluation_ns=900,
            evaluator_memory_bytes=60_000_000,
        )
        return Request(heartbeat=beat)
