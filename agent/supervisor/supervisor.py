"""The supervisor: starts, watches and restarts the other roles, and holds what must outlive them.

One thread, one selector. Each turn: hand what is readable to its owner, look at every process that
has ended (after all that it had sent was read), then let each part take its next step towards the
state that it wants. Nothing here parses content, events or network bytes, and nothing gives up.
"""

import contextlib
import os
import random
import secrets
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.backoff import Backoff
from agent.privileges import supervisor_capabilities
from agent.supervisor.child import Child
from agent.supervisor.children import Children
from agent.supervisor.collecting import Collecting
from agent.supervisor.content_flow import ContentFlow
from agent.supervisor.control import ControlSocket
from agent.supervisor.evaluators import Evaluators
from agent.supervisor.flooding import words
from agent.supervisor.introduction import identity, state
from agent.supervisor.joining import Joining
from agent.supervisor.judging import Judging
from agent.supervisor.ledger import Ledger
from agent.supervisor.limits import LIMITS
from agent.supervisor.link_folder import prepare
from agent.supervisor.linking import Linking
from agent.supervisor.log import Log
from agent.supervisor.needs import Needs
from agent.supervisor.own_processes import OwnProcesses
from agent.supervisor.owners import Owners
from agent.supervisor.pace import LossWatch, pause
from agent.supervisor.prevention import Policy, Prevention
from agent.supervisor.quarantine import Quarantine
from agent.supervisor.reports import Reports
from agent.supervisor.roles import Role, ids, load_roles
from agent.supervisor.sealed import sealed
from agent.supervisor.seeding import Seeding
from agent.supervisor.service_manager import forget, from_environment
from agent.supervisor.settings import BPF_RUNGS, Settings, boot_id
from agent.supervisor.status import StatusSources, reduced, snapshot
from agent.supervisor.store import Store
from agent.supervisor.trust_files import installed


@dataclass(slots=True)
class _Launcher:
    """Processes and payloads for the evaluators.

    early: an evaluator that was started while nothing is collected yet, and loads its modules
    beside the collector's compiler: it waits for its rings, and the first who asks gets it.
    """

    supervisor: "Supervisor"
    early: Child | None = None

    def start_early(self) -> None:
        with contextlib.suppress(OSError):  # it was logged, and will be tried again
            self.early = self.supervisor.children.start(Role.EVALUATOR)

    def start_evaluator(self) -> Child:
        early, self.early = self.early, None
        if early is not None and early.end is None:
            return early
        return self.supervisor.children.start(Role.EVALUATOR)

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
        roles = load_roles(settings.roles)
        trust = installed(settings.trust, settings.counter_trust)
        self.store = Store(settings.state)
        owner = ids(roles[Role.LINK])
        self.link_tls = prepare(settings.link_folder, settings.tls, owner)
        self.reports = Reports()
        self.ledger = Ledger(self.run_id, self._report_loss)
        self.own = OwnProcesses()
        self.own.add(os.getpid())
        self.children = Children(roles, self.own, self.log)
        self.losses = LossWatch(self.ledger)
        self.linking = Linking(
            self._start_link,
            lambda: identity(self._sources()),
            lambda: state(self._sources()),
            self.own,
            self.reports,
            self.log,
            _backoff(),
        )
        self.flow = ContentFlow(
            self.store, trust, settings.probation_seconds, self.linking.say, group=settings.group
        )
        self.launcher = _Launcher(self)
        self.evaluators = Evaluators(self.launcher, _backoff(), self.flow.missing)
        self.collecting = Collecting(
            settings.rungs,
            self._start_first_collector,
            self.ledger,
            self.log,
            _backoff(),
            self._collection_changed,
        )
        self.needs = Needs(settings.collect, settings.detach_after_seconds)
        self.joining = Joining(
            self.needs,
            lambda numbers: self._start_collector(self.collecting.rung, numbers, "--join"),
            self.evaluators.held_rings,
            self._rings_changed,
            self.ledger,
            self.log,
        )
        self.seeding = Seeding(self.ledger, self.log)
        self.judging = Judging(
            self.run_id,
            self.evaluators,
            self.flow,
            self.reports,
            self.ledger,
            self.log,
            self.children.pids,
        )
        self.children.owners = Owners(
            self.flow,
            self.evaluators,
            self.judging,
            self.collecting,
            self.joining,
            self.seeding,
            self.linking,
        )
        self.prevention = Prevention(self.store, self.log, os.getpid())
        quarantine = Quarantine(self.flow, self.judging.history, self.log)
        commands = {**quarantine.commands(), **self.prevention.commands()}
        self.control = ControlSocket(settings.control, self.status, commands)
        self.manager = from_environment(os.environ, os.getpid())
        forget()
        self._stopping = False

    def run(self) -> int:
        """Protect until told to stop; returns the exit status."""
        self._prepare()
        try:
            while not self._stopping:
                self.children.step(self._pause())
                self._reconcile()
        finally:
            self._shut_down()
        return 0

    def status(self) -> dict[str, Any]:
        """How the sensor is, for people and programs."""
        if self.collecting.collection is not None:
            self.ledger.watch(self.collecting.collection)
        return snapshot(self._sources())

    def _sources(self) -> StatusSources:
        return StatusSources(
            settings=self.settings,
            run=self.run_id,
            boot_id=self.boot_id,
            uptime_seconds=time.monotonic() - self.started,
            flow=self.flow,
            evaluators=self.evaluators,
            collecting=self.collecting,
            joining=self.joining,
            seeding=self.seeding,
            linking=self.linking,
            judging=self.judging,
            ledger=self.ledger,
            prevention=self.prevention,
            reports=self.reports,
            attempts=self.children.attempts + self.control.refused,
        )

    def _prepare(self) -> None:
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self.children.watch(reading, lambda: _discard(reading))
        self.children.watch(self.control.fileno(), self.control.answer)
        for sentence in self.flow.open():
            self.log.say("store", left_out=sentence)
        self.evaluators.wanted = self.flow.working.wanted()
        self.prevention.open(Policy(self.settings.prevention) if self.settings.prevention else None)
        if os.geteuid() == 0:
            supervisor_capabilities()
        self.log.say("supervisor", pid=os.getpid(), agent=self.settings.agent_id, run=self.run_id)
        if self.settings.ready_fd is not None:
            os.write(self.settings.ready_fd, b"ready\n")
            os.close(self.settings.ready_fd)
        self.launcher.start_early()

    def _pause(self) -> float:
        parts = (
            self.losses,
            self.collecting,
            self.joining,
            self.seeding,
            self.flow,
            self.evaluators,
            self.linking,
            self.manager,
            self.control,
            self.judging.consequences,
        )
        return pause(time.monotonic(), [*parts, *self.children])

    def _reconcile(self) -> None:
        now = time.monotonic()
        if self.collecting.collection is not None:
            self.losses.reconcile(self.collecting.collection, now)
        self._collect_what_is_needed(now)
        if self.flow.accept_due():
            self.judging.history.forget()
        self.flow.retry_commit()
        working = self.flow.working
        if working.recover_due():
            self.log.say("content on again", files=len(working.wanted()))
        self.children.end_lingering(now)
        self._start_trial()
        self.judging.consequences.search_on()
        self.evaluators.wanted = working.wanted()
        self.evaluators.fallback = working.fallback() or self.judging.consequences.cautious()
        self.evaluators.prevents = self.prevention.policy is Policy.ON
        self.judging.watch_rings()
        self.evaluators.reconcile()
        self.seeding.reconcile(self.evaluators.worker)
        self.prevention.reconcile(
            self.collecting.collection, self.evaluators.worker, self.evaluators.wanted
        )
        self.judging.resumed()
        self.judging.inquests.reconcile()
        self.control.expire()
        self.linking.reconcile()
        sources = self._sources()
        reasons = reduced(sources)
        self.manager.look(protecting=sources.protecting, reduced=reasons)
        self.log.condition(reasons)

    def _collect_what_is_needed(self, now: float) -> None:
        told = self.needs.given_up().keys()
        in_force, on_their_way = self.flow.types_in_force(), self.flow.types_on_their_way()
        self.needs.update(in_force, on_their_way, self.joining.collected(), now)
        self.collecting.reconcile()
        self.joining.reconcile()
        for number, trouble in self.needs.given_up().items():
            self.flow.cannot_collect(number, trouble.reason, trouble.detail)
        if self.needs.given_up().keys() != told:
            self.linking.introduce_again()

    def _start_trial(self) -> None:
        """One file at a time, and only while there are events to try it on."""
        collection = self.collecting.collection
        if collection is None or not collection.complete or self.evaluators.on_trial is not None:
            return
        trial = self.flow.candidate_set(self.joining.ready_for_trial)
        if trial is not None:
            files, candidate = trial
            version = self.flow.active_version(candidate.template_type)
            self.evaluators.start(files, candidate, version)

    def _report_loss(self, facts: Mapping[str, Any]) -> bool:
        reported = self.reports.add("loss", facts)
        named = facts.get("processes")
        if reported and named:
            by = words(named)
            self.log.say("flood", template_type=facts["template_type"], lost=facts["count"], by=by)
        return reported

    def _shut_down(self) -> None:
        """Detach, evaluate what is in the rings, let the link store it, end everybody."""
        self.manager.stopping()
        self.joining.close()
        self.seeding.end()
        self.prevention.close()
        self._empty_rings()
        self.judging.consequences.close()
        self.collecting.close()
        self.ledger.report_pending(all_of_it=True)
        self.linking.flush()
        if self.linking.child is not None:
            self.linking.child.send("stop")
        deadline = time.monotonic() + LIMITS.stop_seconds
        while self.children and time.monotonic() < deadline:
            self.children.step(LIMITS.tick_seconds)
            self.linking.flush()
        self.children.end_all()
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
            self.children.step(LIMITS.tick_seconds)
            self.linking.flush()

    def _start_first_collector(self, rung: str) -> Child:
        return self._start_collector(
            rung, [] if self.collecting.lineage_alone else sorted(self.needs.why)
        )

    def _start_collector(self, rung: str, numbers: Sequence[int], *more: str) -> Child:
        """A collector of these Template Types; below BPF, of all that the rung can see."""
        size = ["--ring-bytes", str(self.settings.ring_bytes)] if self.settings.ring_bytes else []
        types = ["--types", ",".join(map(str, numbers))] if rung in BPF_RUNGS else []
        return self.children.start(Role.COLLECTOR, "--rung", rung, *types, *size, "--seed", *more)

    def _start_link(self) -> Child:
        arguments = [
            "--folder",
            str(self.settings.link_folder),
            "--agent-id",
            self.settings.agent_id,
        ]
        if self.settings.cloud:
            arguments += ["--cloud", self.settings.cloud, "--tls", str(self.link_tls)]
        return self.children.start(Role.LINK, *arguments)

    def _collection_changed(self) -> None:
        self.seeding.follow(self.collecting.collection)
        self.evaluators.change_rings(self.collecting.collection)
        self.joining.collection_changed(self.collecting.collection)
        self.judging.history.rings_changed()
        self.flow.supply_changed()
        self.linking.introduce_again()

    def _rings_changed(self) -> None:
        """Template Types came or went, and collection goes on: evaluators follow one by one."""
        self.seeding.follow(self.collecting.collection)
        self.evaluators.change_some_rings()
        self.judging.history.rings_changed()
        self.flow.supply_changed()

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._stopping = True


def _discard(descriptor: int) -> None:
    os.read(descriptor, 4096)


def _backoff() -> Backoff:
    return Backoff(
        LIMITS.restart_first_seconds, LIMITS.restart_cap_seconds, random.SystemRandom().random
    )
