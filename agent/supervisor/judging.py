"""What evaluators say, and what is done when one of them ends.

Every message is checked against what its sender may say in its stage; whoever breaks that is
ended. A frame moves the position of its ring and passes its detections on; one that moves nothing
waits for the next one that does (agent.supervisor.held). A verdict is acted on after the target was
checked again. The end of an evaluator is put to `agent.deaths`; what that decides is done in
agent.supervisor.consequences.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.channel import Message, ProtocolViolationError, Violation, checksum
from agent.deaths import Cause, DeathHistory, decide
from agent.supervisor import quarantine
from agent.supervisor.child import Child
from agent.supervisor.claims import Verdict, check_advance, verdict_of
from agent.supervisor.consequences import Consequences, crash_facts, stride_of, told
from agent.supervisor.content_flow import ContentFlow
from agent.supervisor.downtime import Downtime
from agent.supervisor.evaluations import Evaluations
from agent.supervisor.evaluator_process import Evaluator, Stage
from agent.supervisor.evaluators import Evaluators
from agent.supervisor.held import Found, Held
from agent.supervisor.inquests import Inquests
from agent.supervisor.ledger import Ledger
from agent.supervisor.log import Log
from agent.supervisor.reports import Reports
from agent.supervisor.rings import RingFacts
from agent.supervisor.verdicts import Outcome, stop
from content.loss_causes import LossCause
from content.prevention_table import unpack_entries

MAX_VERSION = 2**63 - 1
"""Versions are 64-bit on the wire; the link could not tell of a greater one."""

MAX_REFUSED = 100
MAX_PROBLEMS = 100
"""Files and problems of each that are taken from one message."""

KEPT_DEATHS = 50
"""How many deaths the status shows."""


@dataclass(slots=True)
class Judging:
    """The supervisor's dealings with its evaluators."""

    run: str
    evaluators: Evaluators
    flow: ContentFlow
    reports: Reports
    ledger: Ledger
    log: Log
    protected: Callable[[], Collection[int]]
    history: DeathHistory = field(default_factory=DeathHistory)
    evaluated: int = 0
    evaluations: Evaluations = field(default_factory=Evaluations)
    detections: int = 0
    deaths: int = 0
    recent: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT_DEATHS))
    verdicts: Counter[str] = field(default_factory=Counter)
    downtime: Downtime = field(init=False)
    consequences: Consequences = field(init=False)

    def __post_init__(self) -> None:
        self.downtime = Downtime(self.ledger)
        self.consequences = Consequences(
            self.evaluators, self.flow, self.reports, self.ledger, self.log, self.history
        )

    @property
    def inquests(self) -> Inquests:
        """The throw-away evaluators, which are none of the pool's."""
        return self.consequences.inquests

    def message(self, child: Child, message: Message) -> None:
        """One message of an evaluator; ProtocolViolationError if it may not say that now."""
        if child is self.inquests.child:
            self.inquests.message(message)
            return
        one = self.evaluators.by_child(child)
        if one is None or one.finished:
            return  # Its rings, or its place, may be somebody else's by now.
        one.hear(self.evaluators.clock())
        permitted: Mapping[str, tuple[tuple[Stage, ...], Callable[[Evaluator, Message], None]]] = {
            "ready": ((Stage.LOADING,), self._ready),
            "rejected": ((Stage.LOADING,), self._rejected),
            "frame": ((Stage.RUNNING, Stage.DRAINING), self._frame),
            "progress": ((Stage.RUNNING, Stage.DRAINING), self._progress),
            "fault": ((Stage.RUNNING, Stage.DRAINING), self._fault),
            "undecided": ((Stage.RUNNING, Stage.DRAINING), self._undecided),
            "drained": ((Stage.DRAINING,), self._drained),
            "heartbeat": ((Stage.RUNNING, Stage.DRAINING), self._heartbeat),
        }
        stages, handler = permitted.get(message.kind, ((), self._heartbeat))
        if one.stage not in stages:
            raise ProtocolViolationError(f"{message.kind} while {one.stage}", Violation.OUT_OF_TURN)
        handler(one, message)

    def ended(self, one: Evaluator) -> None:
        """An evaluator's process is gone and all that it said has been read."""
        end = one.child.reap()
        if one.finished:
            self.evaluators.remove(one)
            self._repair(one)
            return
        death = one.death(self.flow.manifest.probation())
        if death.running:
            # Killed for its silence, it has done nothing since it was heard last.
            silent = death.cause is Cause.HEARTBEAT_MISSED
            self.downtime.begin(self.evaluators.clock() - one.heard if silent else 0.0)
        if self.evaluators.calm(one):
            self.history.calm()
        # A worker that is killed from outside is in no crash loop: nothing is gained by waiting.
        if not (death.foreign_kill and death.running):
            self.evaluators.slow_down(one)
        self.evaluators.remove(one)
        self._repair(one)
        stride = stride_of(one, death.progress.ring)
        decision = self.consequences.searched(death, one) or decide(death, self.history, stride)
        self.deaths += 1
        name = f"{self.run}-crash-{self.deaths}"
        facts = crash_facts(name, one, death, decision, exit_code=end.exit_code, stride=stride)
        self.recent.append(facts)
        self.log.say("evaluator died", pid=one.child.pid, **told(facts))
        self.consequences.of_death(decision, death, one, facts)
        if one.child.log_dropped:
            self.log.say("output dropped", pid=one.child.pid, bytes=one.child.log_dropped)

    def watch_rings(self) -> None:
        """End everybody who can write to a ring of which more was given back than was told.

        A frame is sent before its records are given back: once all that was sent is read, its
        position is the greater one, or somebody wants records to be overwritten unseen.
        """
        worker = self.evaluators.worker
        if worker is None or worker.cause is not None or worker.finished:
            return
        ahead = [one for one in worker.rings.values() if one.given_back() > one.position]
        if not ahead or worker.child.pending():
            return
        worker.child.attempts[Violation.FORGED_POSITION] += 1
        self.log.say("ring given back unread", pid=worker.child.pid, ring=ahead[0].template_type)
        self.evaluators.blame_rings(worker)

    def resumed(self) -> None:
        """After the pool's step: tell of a stretch without an evaluator if it has ended."""
        if self.evaluators.worker is not None and self.evaluators.collection is not None:
            self.downtime.end(self.evaluators.collection)

    def _repair(self, one: Evaluator) -> None:
        """Before the next one goes: what this one had, whatever it has written to it."""
        if self.evaluators.worker is None:
            for ring in one.rings.values():
                self.ledger.add(LossCause.NOT_EVALUATED, ring.template_type, ring.repair())

    def _ready(self, one: Evaluator, message: Message) -> None:
        version = _version(message, one.candidate.hash) if one.candidate else 0
        try:
            one.prevented = unpack_entries(message.payload)
        except ValueError as error:
            raise ProtocolViolationError(f"ready: {error}") from error
        one.facts = dict(message.fields)
        one.enter(Stage.READY, self.evaluators.clock())
        candidate, one.candidate = one.candidate, None
        if candidate is None:
            return
        if self.flow.on_trial is None or self.flow.on_trial.hash != candidate.hash:
            self.evaluators.dismiss(one)  # Revoked meanwhile.
            return
        self.flow.passed(version)
        self.history.forget()
        self.evaluators.backoff.reset()
        self.log.say("trial passed", hash=candidate.hash, version=version)

    def _rejected(self, one: Evaluator, message: Message) -> None:
        refused = _refused(message["files"])
        if not refused or not refused.keys() <= {file.hash for file in one.files}:
            raise ProtocolViolationError(
                "rejected a file that it was not given", Violation.NOT_ITS_FILE
            )
        self.evaluators.dismiss(one)
        for content_hash, problems in refused.items():
            self.log.say("content rejected", hash=content_hash, problems=problems)
        if one.candidate is not None:
            self.flow.rejected(next(iter(refused.values())))
            return
        self.evaluators.slow_down(one)
        # They passed their trial and are signed: what has changed is what this sensor supplies.
        for content_hash, problems in refused.items():
            self.flow.cannot_serve(content_hash, problems)

    def _frame(self, one: Evaluator, message: Message) -> None:
        ring = _ring(one, message["ring"])
        if not 0 <= message["detections"] <= len(message.payload):
            raise ProtocolViolationError(
                f"{message['detections']!r:.20} detections in a frame", Violation.FORGED_COUNT
            )
        if message["crc32"] != checksum(message.payload):
            raise ProtocolViolationError("checksum of a frame", Violation.FORGED_CHECKSUM)
        position, evaluated = message["position"], message["evaluated"]
        check_advance(ring, position, evaluated)
        verdicts = [verdict_of(ring, position, verdict) for verdict in message["verdicts"]]
        found = Found(message.payload, message["detections"], verdicts)
        moves = position != ring.position
        self._advance(one, ring, position, evaluated)
        if moves:
            self._found(one, ring, found)
        elif found.payload or found.verdicts:
            _held(one, ring).keep(found)

    def _found(self, one: Evaluator, ring: RingFacts, found: Found) -> None:
        """Something counts: its detections go on, its verdicts are acted upon."""
        if found.payload:
            count = found.detections
            self.detections += count
            if not self.reports.add("detections", {}, found.payload, weight=count):
                self.ledger.add(LossCause.REPORTS_FULL, ring.template_type, count)
        for verdict in found.verdicts:
            self._act_on(one, verdict)

    def _progress(self, one: Evaluator, message: Message) -> None:
        for entry in message["rings"]:
            if not isinstance(entry, list) or [type(value) for value in entry] != [int] * 3:
                raise ProtocolViolationError("progress that is not a ring, a position and a count")
            number, position, evaluated = entry
            self._advance(one, _ring(one, number), position, evaluated)

    def _advance(self, one: Evaluator, ring: RingFacts, position: int, evaluated: int) -> None:
        """So many events more of a ring are evaluated, up to a position: what was held counts."""
        check_advance(ring, position, evaluated)
        # Who goes further than it has evaluated leaves events out; those set aside are counted.
        passed = (position - ring.position) // ring.stride
        aside = self.evaluators.take_over.aside_between(ring.template_type, ring.position, position)
        self.ledger.add(LossCause.NOT_EVALUATED, ring.template_type, passed - evaluated - aside)
        if not passed:
            return
        ring.position = position
        self.evaluated += evaluated
        self.evaluations.add(one.files, ring.template_type, evaluated)
        self._release(one, ring)

    def _release(self, one: Evaluator, ring: RingFacts) -> None:
        held = _held(one, ring)
        self.ledger.add(LossCause.INSTANCE_SKIPPED, ring.template_type, held.undecided)
        self.ledger.add(LossCause.REPORTS_FULL, ring.template_type, held.dropped)
        for found in held.release():
            self._found(one, ring, found)

    def _act_on(self, one: Evaluator, verdict: Verdict) -> None:
        pid, start_time = verdict.pid, verdict.start_time
        if not self.evaluators.prevents:
            outcome = Outcome.POLICY_OFF
        elif verdict.event_gone:
            outcome = Outcome.EVENT_GONE
        else:
            outcome = stop(pid, start_time, self.protected())
        self.verdicts[outcome] += 1
        self.log.say(
            "prevent", pid=pid, instance=verdict.instance, outcome=outcome, by=one.child.pid
        )

    def _fault(self, one: Evaluator, message: Message) -> None:
        content_hash = message["hash"]
        if content_hash not in {file.hash for file in one.files}:
            raise ProtocolViolationError(
                "a fault in a file that it was not given", Violation.NOT_ITS_FILE
            )
        self.log.say("instance fault", **message.fields)
        reason, detail = message["reason"], message["detail"]
        detail = quarantine.told(self.flow, reason, detail)
        self.flow.instance_skipped(content_hash, message["instance"], reason, detail)

    def _undecided(self, one: Evaluator, message: Message) -> None:
        rows = message["rows"]
        if rows < 0:
            raise ProtocolViolationError(f"{rows} undecided rows", Violation.FORGED_COUNT)
        _held(one, _ring(one, message["ring"])).undecided += rows

    def _drained(self, one: Evaluator, _message: Message) -> None:
        # It has nothing more to do, and nobody follows before it is gone.
        self.evaluators.dismiss(one)

    def _heartbeat(self, one: Evaluator, message: Message) -> None:
        one.facts = {**one.facts, "heartbeat": message["facts"]}


def _ring(one: Evaluator, number: int) -> RingFacts:
    """A ring that it was given, which may be retired by now."""
    if number not in one.rings:
        raise ProtocolViolationError(f"there is no ring {number}", Violation.NOT_ITS_RING)
    return one.rings[number]


def _held(one: Evaluator, ring: RingFacts) -> Held:
    return one.held.setdefault(ring.template_type, Held())


def _version(message: Message, content_hash: str) -> int:
    """The version of the file on trial, which only an evaluator reads."""
    for file in message["files"]:
        if isinstance(file, dict) and file.get("hash") == content_hash:
            version = file.get("version")
            if type(version) is int and 0 < version <= MAX_VERSION:
                return version
    raise ProtocolViolationError("ready without the version of the file on trial")


def _refused(entries: Sequence[Any]) -> dict[str, list[dict[str, str]]]:
    """Hash → problems of the files that an evaluator refuses; ProtocolViolationError if odd."""
    refused = {}
    for entry in entries[:MAX_REFUSED]:
        problems = entry.get("problems") if isinstance(entry, dict) else None
        if not isinstance(problems, list):
            raise ProtocolViolationError("rejected something that is no file with problems")
        refused[str(entry.get("hash"))] = [_problem(one) for one in problems[:MAX_PROBLEMS]]
    return refused


def _problem(entry: Any) -> dict[str, str]:
    names = ("reason", "place", "found", "expected")
    fields = entry if isinstance(entry, dict) else {}
    return {name: str(fields.get(name, ""))[:500] for name in names}
