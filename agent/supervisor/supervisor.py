"""The supervisor: starts, watches and restarts the other roles, and holds what must outlive them.

One thread, one selector. Each turn: hand what is readable to its owner, look at every process that
has ended (after all that it had sent was read), then let each part take its next step towards the
state that it wants. Nothing here parses content, events or network bytes, and nothing gives up.
"""

import os
import random
import secrets
import selectors
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agent.backoff import Backoff
from agent.channel import Message, ProtocolViolationError
from agent.privileges import supervisor_capabilities
from agent.supervisor.child import Child, start
from agent.supervisor.collecting import Collecting
from agent.supervisor.content_flow import ContentFlow, active_documents
from agent.supervisor.control import ControlSocket
from agent.supervisor.evaluators import Evaluators
from agent.supervisor.judging import Judging
from agent.supervisor.ledger import Ledger
from agent.supervisor.limits import LIMITS
from agent.supervisor.link_folder import prepare
from agent.supervisor.linking import Linking
from agent.supervisor.log import Log
from agent.supervisor.quarantine import Quarantine
from agent.supervisor.reports import Reports
from agent.supervisor.roles import Role, ids, load_roles
from agent.supervisor.sealed import sealed
from agent.supervisor.settings import Settings, boot_id
from agent.supervisor.signature import TrustedKey
from agent.supervisor.status import StatusSources, snapshot
from agent.supervisor.store import Store

Handler = Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Launcher:
    """Processes and payloads for the evaluators."""

    supervisor: "Supervisor"

    def start_evaluator(self) -> Child:
        return self.supervisor.spawn(Role.EVALUATOR)

    def payload_descriptor(self, content_hash: str) -> int:
        return sealed(self.supervisor.store.payload(content_hash))


class Supervisor:
    """Everything that the supervisor holds, wired together."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.run_id = secrets.token_hex(8)
        self.boot_id = boot_id()
        self.started = time.monotonic()
        self.log = Log(as_json=settings.json_log)
        self.roles = load_roles(settings.roles)
        keys = [TrustedKey.from_file(path) for path in settings.trust]
        self.store = Store(settings.state)
        owner = ids(self.roles[Role.LINK])
        self.link_tls = prepare(settings.link_folder, settings.tls, owner)
        self.selector = selectors.DefaultSelector()
        self.children: dict[int, Child] = {}
        self.reports = Reports()
        self.ledger = Ledger(self.run_id, lambda facts: self.reports.add("loss", facts))
        self.linking = Linking(
            self._start_link, self._identity, self._state, self.reports, self.log, _backoff()
        )
        self.flow = ContentFlow(self.store, keys, settings.probation_seconds, self.linking.say)
        self.evaluators = Evaluators(_Launcher(self), _backoff(), self.flow.missing)
        self.collecting = Collecting(
            settings.rungs,
            self._start_collector,
            self.ledger,
            self.log,
            _backoff(),
            self._collection_changed,
        )
        self.judging = Judging(
            self.run_id,
            self.evaluators,
            self.flow,
            self.reports,
            self.ledger,
            self.log,
            self._protected,
        )
        quarantine = Quarantine(self.flow, self.judging.history, self.log)
        self.control = ControlSocket(settings.control, self.status, quarantine.commands())
        self._stopping = False
        self._watched_losses = 0.0

    def run(self) -> int:
        """Protect until told to stop; returns the exit status."""
        self._prepare()
        try:
            while not self._stopping:
                self._turn(LIMITS.tick_seconds)
        finally:
            self._shut_down()
        return 0

    def spawn(self, role: Role, *arguments: str) -> Child:
        """Start a role and watch it; OSError where the system can't."""
        try:
            child = start(role, self.roles[role], arguments)
        except OSError as error:
            self.log.say("can't start", role=role, because=error)
            raise
        self.children[child.pidfd] = child
        self._watch(child.channel.fileno(), lambda: self._read(child))
        self._watch(child.stderr, lambda: self._read_output(child))
        self._watch(child.pidfd, lambda: self._ended(child))
        return child

    def status(self) -> dict[str, Any]:
        """How the sensor is, for people and programs."""
        return snapshot(
            StatusSources(
                settings=self.settings,
                run=self.run_id,
                boot_id=self.boot_id,
                uptime_seconds=time.monotonic() - self.started,
                flow=self.flow,
                evaluators=self.evaluators,
                collecting=self.collecting,
                linking=self.linking,
                judging=self.judging,
                ledger=self.ledger,
                reports=self.reports,
            )
        )

    def _prepare(self) -> None:
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self._watch(reading, lambda: _discard(reading))
        self._watch(self.control.fileno(), self.control.answer)
        for sentence in self.flow.open():
            self.log.say("store", left_out=sentence)
        self.evaluators.wanted = self.flow.wanted()
        if os.geteuid() == 0:
            supervisor_capabilities()
        self.log.say("supervisor", pid=os.getpid(), agent=self.settings.agent_id, run=self.run_id)
        if self.settings.ready_fd is not None:
            os.write(self.settings.ready_fd, b"ready\n")
            os.close(self.settings.ready_fd)

    def _turn(self, timeout: float) -> None:
        ready = self.selector.select(timeout)
        # Ends come last, so that a child's messages are never read after its end was judged.
        for key, _ in sorted(ready, key=lambda pair: pair[0].fd in self.children):
            handler: Handler = key.data
            if key.fileobj in self.selector.get_map():
                handler()
        self._reconcile()

    def _reconcile(self) -> None:
        now = time.monotonic()
        if now - self._watched_losses >= LIMITS.losses_seconds:
            self._watched_losses = now
            if self.collecting.collection is not None:
                self.ledger.watch(self.collecting.collection)
        self.collecting.reconcile()
        if self.flow.accept_due():
            self.judging.history.forget()
        self.flow.retry_commit()
        if self.flow.recover_due():
            self.log.say("content on again", files=len(self.flow.wanted()))
        self._end_lingering(now)
        self._start_trial()
        self.evaluators.wanted = self.flow.wanted()
        self.evaluators.fallback = self.flow.fallback() or self.judging.consequences.cautious()
        self.evaluators.reconcile()
        self.judging.resumed()
        self.judging.inquests.reconcile()
        self.control.expire()
        self.linking.reconcile()

    def _end_lingering(self, now: float) -> None:
        """A role that has closed its channel and lives on is of no use, and may do harm."""
        for child in self.children.values():
            if child.lingering(now):
                child.kill()

    def _start_trial(self) -> None:
        """One file at a time, and only while there are events to try it on."""
        collection = self.collecting.collection
        if collection is None or not collection.complete or self.evaluators.on_trial is not None:
            return
        trial = self.flow.candidate_set()
        if trial is not None:
            files, candidate = trial
            version = self.flow.active_version(candidate.template_type)
            self.evaluators.start(files, candidate, version)

    def _read(self, child: Child) -> None:
        try:
            for message in child.messages():
                self._dispatch(child, message)
        except ProtocolViolationError as error:
            self.log.say("protocol violation", role=child.role, pid=child.pid, error=error)
            self._blame_protocol(child)
        if child.closed and child.channel.fileno() in self.selector.get_map():
            self.selector.unregister(child.channel.fileno())

    def _dispatch(self, child: Child, message: Message) -> None:
        if child.role is Role.EVALUATOR:
            self.judging.message(child, message)
        elif child.role is Role.LINK:
            self.linking.message(message, self.flow)
        elif message.kind == "attached":
            self.collecting.attached(child, message)
        elif message.kind == "attachments":
            self.collecting.attachments(child, message)
        elif message.kind == "failed":
            self.collecting.failed(message)
        elif message.kind == "late":
            self.collecting.late(message)
        elif message.kind == "heartbeat":
            self.collecting.heard()

    def _blame_protocol(self, child: Child) -> None:
        one = self.evaluators.by_child(child)
        if one is not None:
            self.evaluators.blame_protocol(one)
        child.kill()

    def _read_output(self, child: Child) -> None:
        for line in child.output(time.monotonic()).splitlines():
            self.log.say(f"{child.role} says", pid=child.pid, line=line)
        if child.silent and child.stderr in self.selector.get_map():
            self.selector.unregister(child.stderr)

    def _ended(self, child: Child) -> None:
        """Read what a child said last, then let its owner judge its end."""
        while child.pending():
            self._read(child)
        self._read_output(child)
        for descriptor in (child.channel.fileno(), child.stderr, child.pidfd):
            if descriptor in self.selector.get_map():
                self.selector.unregister(descriptor)
        del self.children[child.pidfd]
        child.reap()
        one = self.evaluators.by_child(child)
        if one is not None:
            self.judging.ended(one)
        elif self.judging.inquests.child is child:
            self.judging.inquests.ended()
        elif child is self.collecting.child:
            self.collecting.ended(child)
        elif child is self.linking.child:
            self.linking.ended(child)
        child.close()

    def _shut_down(self) -> None:
        """Detach, evaluate what is in the rings, let the link store it, end everybody."""
        self._empty_rings()
        self.judging.consequences.close()
        self.collecting.close()
        self.ledger.report_pending(all_of_it=True)
        self.linking.flush()
        if self.linking.child is not None:
            self.linking.child.send("stop")
        deadline = time.monotonic() + LIMITS.stop_seconds
        while self.children and time.monotonic() < deadline:
            for key, _ in self.selector.select(LIMITS.tick_seconds):
                key.data()
            self.linking.flush()
        for child in list(self.children.values()):
            child.kill()
            self._ended(child)
        self.control.close()
        self.store.close()
        self.log.say("stopped", evaluated=self.judging.evaluated, lost=self.ledger.events)

    def _empty_rings(self) -> None:
        """Stop collecting, then wait a moment for the evaluator to come to the rings' end."""
        collection = self.collecting.collection
        if self.collecting.child is not None:
            self.collecting.child.send("stop")
        if collection is None:
            return
        self.ledger.watch(collection)
        collection.detach()
        deadline = time.monotonic() + LIMITS.drain_seconds
        while collection.backlog_events() and time.monotonic() < deadline:
            for key, _ in self.selector.select(LIMITS.tick_seconds):
                key.data()
            self.linking.flush()

    def _start_collector(self, rung: str) -> Child:
        size = ["--ring-bytes", str(self.settings.ring_bytes)] if self.settings.ring_bytes else []
        return self.spawn(Role.COLLECTOR, "--rung", rung, *size)

    def _start_link(self) -> Child:
        arguments = [
            "--folder",
            str(self.settings.link_folder),
            "--agent-id",
            self.settings.agent_id,
        ]
        if self.settings.cloud:
            arguments += ["--cloud", self.settings.cloud, "--tls", str(self.link_tls)]
        return self.spawn(Role.LINK, *arguments)

    def _collection_changed(self) -> None:
        self.evaluators.change_rings(self.collecting.collection)
        self.judging.history.rings_changed()
        self.flow.supply_changed()
        self.linking.introduce_again()

    def _identity(self) -> dict[str, Any]:
        return {
            "agent": self.settings.agent_id,
            "run": self.run_id,
            "rung": self.collecting.rung,
            "refused": list(self.collecting.refused),
            "boot_id": self.boot_id,
            "active": active_documents(self.flow.manifest),
        }

    def _state(self) -> dict[str, Any]:
        status = self.status()
        facts = {
            "events_evaluated": self.judging.evaluated,
            "events_lost": self.ledger.events,
            "evaluator_deaths": self.judging.deaths,
            "reduced_functionality": int(status["reduced_functionality"]),
            "uptime_ms": status["uptime_ms"],
        }
        return {"facts": facts, "active": status["content"]["active"]}

    def _protected(self) -> frozenset[int]:
        return frozenset({os.getpid(), os.getppid(), *(c.pid for c in self.children.values())})

    def _watch(self, descriptor: int, handler: Handler) -> None:
        self.selector.register(descriptor, selectors.EVENT_READ, handler)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._stopping = True


def _discard(descriptor: int) -> None:
    os.read(descriptor, 4096)


def _backoff() -> Backoff:
    return Backoff(
        LIMITS.restart_first_seconds, LIMITS.restart_cap_seconds, random.SystemRandom().random
    )
