"""What is done about the death of an evaluator, once agent.deaths has decided.

Each death becomes one crash report. Where an inquest is to be held, its report waits until that has
come to an end, and says what was done then.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.deaths import Action, Death, DeathHistory, Decision, Finding, conclude
from agent.supervisor.content_flow import ContentFlow
from agent.supervisor.evaluator_process import Evaluator, FileSet, Stage
from agent.supervisor.evaluators import Evaluators
from agent.supervisor.evidence import record_at
from agent.supervisor.inquests import Case, Inquests
from agent.supervisor.ledger import Ledger
from agent.supervisor.limits import LIMITS
from agent.supervisor.log import Log
from agent.supervisor.payload import problem
from agent.supervisor.quarantine import leave_out, lift
from agent.supervisor.reports import Reports
from agent.supervisor.search import DEATHS_OF_A_FILE_ALONE
from content.loss_causes import LossCause

NO_STRIDE = 8
"""Bytes of a record of a ring that is not there: any number but zero."""


@dataclass(slots=True)
class Consequences:
    """Carries decisions out, on content, on the next evaluator, in the ledger and in reports."""

    evaluators: Evaluators
    flow: ContentFlow
    reports: Reports
    ledger: Ledger
    log: Log
    history: DeathHistory
    inquests: Inquests = field(init=False)
    _cautious_until: float = 0.0

    def __post_init__(self) -> None:
        self.inquests = Inquests(
            self.evaluators.launcher, self.log, self.concluded, self.evaluators.clock
        )

    def of_death(
        self, decision: Decision, death: Death, one: Evaluator, facts: dict[str, Any]
    ) -> None:
        """An evaluator has died. facts: of its report, whose action may become another one."""
        reason = f"{death.cause} {death.signal}"
        if decision.acquitted:
            self.log.say("quarantine lifted", digest=decision.acquitted, because="it was another")
            lift(self.flow, decision.acquitted)
        if decision.suspect_digest:
            self._suspect()
        if decision.inquest:
            self._set_aside(decision)
            self._open_inquest(decision, one, facts)
            return
        self._act(decision, death, reason)
        self.reports.add("crash", facts)

    def search_on(self) -> None:
        """Before each step of the pool: whoever is ready has loaded what the search waits for.

        Who works already has not: it is the next one that may die of the same files.
        """
        working = self.flow.working
        if working.search is not None:
            wanted = working.wanted()
            if any(
                one.files == wanted and one.stage is Stage.READY and not one.finished
                for one in self.evaluators.members
            ):
                working.loaded(wanted)
        self.evaluators.interim = working.known_to_load()

    def searched(self, death: Death, one: Evaluator) -> Decision | None:
        """A death that the search for a deadly file has waited for; None for any other."""
        working, search = self.flow.working, self.flow.working.search
        if search is None or death.running or death.on_trial or one.files != working.wanted():
            return None
        guilty = search.died({file.hash for file in one.files})
        if guilty is None:
            return Decision(Action.DEGRADE)
        # Each death brings the search on, and so it has an end: no crash loop to slow down.
        self.evaluators.go_on()
        if not guilty:
            return Decision(Action.RESTART)
        return Decision(
            Action.QUARANTINE, hashes=(guilty,), suspect_hash=guilty, deaths=DEATHS_OF_A_FILE_ALONE
        )

    def concluded(self, case: Case, finding: Finding) -> None:
        """An inquest has come to its end, or none could be held."""
        decision = conclude(finding, self.history)
        facts = case.facts
        reason = f"{facts['cause']} {facts['signal']}"
        self._suspect()
        if decision.action is Action.QUARANTINE_INSTANCE:
            self._quarantine_instance(decision, case.file.template_type, reason)
        elif decision.action is Action.QUARANTINE:
            self.flow.blame(decision, reason)
            self.history.forget()
        facts["action"] = decision.action.told
        facts["suspect_instance_id"] = decision.suspect_instance
        facts["suspect_instance_digest"] = decision.suspect_digest
        self.reports.add("crash", facts)
        self.log.say(
            "inquest over",
            action=facts["action"],
            instance=decision.suspect_instance or "none",
            digest=decision.suspect_digest,
        )

    def cautious(self) -> FileSet | None:
        """The wanted set without the instance that killed last, for a while; None if none did.

        A stand-by that has it loaded takes over at once if the instance kills again.
        """
        if self.evaluators.clock() > self._cautious_until or not self.history.instances:
            return None
        digest, named = next(reversed(self.history.instances.items()))
        return frozenset(
            file._replace(quarantined=file.quarantined | {digest})
            if file.hash == named.file
            else file
            for file in self.evaluators.wanted
        )

    def due(self, now: float) -> float:
        """When time alone makes the next step due; now, while an inquest can begin."""
        cautious = self._cautious_until if self._cautious_until > now else math.inf
        return min(cautious, self.inquests.due(now))

    def close(self) -> None:
        """The sensor stops: deaths whose inquest was not over are reported as they are."""
        for case in self.inquests.close():
            self.reports.add("crash", case.facts)

    def _act(self, decision: Decision, death: Death, reason: str) -> None:
        take_over = self.evaluators.take_over
        if decision.action is Action.REJECT_CANDIDATE:
            found = f"{death.cause} {death.signal or ''}".strip()
            self.flow.rejected(
                [problem("TRIAL_DIED", str(death.progress.phase.name), found, "a trial that ends")]
            )
        elif decision.action in (Action.ROLL_BACK, Action.QUARANTINE):
            self.flow.blame(decision, reason)
            self.history.forget()
        elif decision.action is Action.QUARANTINE_INSTANCE:
            if decision.ring:
                take_over.careful[decision.ring] = decision.position
            self._quarantine_instance(decision, death.progress.ring, reason)
        elif decision.action is Action.SET_ASIDE:
            self._set_aside(decision)
        elif decision.action is Action.RETRY_WITH_CARE:
            take_over.careful[decision.ring] = decision.position
        elif decision.action is Action.DEGRADE and death.files and not death.running:
            self.flow.working.find_deadly()
            self.evaluators.go_on()
            self.log.say("REDUCED FUNCTIONALITY", because="evaluators die while they load content")
        elif decision.action is Action.DEGRADE:
            self.flow.degrade()
            self.log.say("REDUCED FUNCTIONALITY", because="evaluators die without a suspect")

    def _suspect(self) -> None:
        self._cautious_until = self.evaluators.clock() + LIMITS.cautious_seconds

    def _set_aside(self, decision: Decision) -> None:
        aside = self.evaluators.take_over.aside
        aside.setdefault(decision.ring, set()).add(decision.position)
        self.ledger.add(LossCause.SUSPECT_EVENT, decision.ring, 1)

    def _quarantine_instance(self, decision: Decision, template_type: int, reason: str) -> None:
        for case in self.inquests.explained(decision.suspect_hash):
            self.reports.add("crash", case.facts)
        if not leave_out(self.flow, decision, template_type, reason):
            file = Decision(Action.QUARANTINE, hashes=(decision.suspect_hash,))
            self.flow.blame(file, reason)

    def _open_inquest(self, decision: Decision, one: Evaluator, facts: dict[str, Any]) -> None:
        """The event is copied now: the next evaluator steps over it, and it is gone."""
        ring = one.rings.get(decision.ring)
        file = next((file for file in one.files if file.hash == decision.suspect_hash), None)
        record = record_at(ring, decision.position) if ring else None
        case = Case(file, record or b"", decision.deaths, facts) if file else None
        if case is None or record is None or not self.inquests.open(case):
            self.log.say("no inquest", because="the event can't be had, or too many wait")
            if case is not None:
                self.concluded(case, Finding(case.file.hash, case.deaths))


def stride_of(one: Evaluator, number: int) -> int:
    """Bytes per record of a ring that it was given."""
    return one.rings[number].stride if number in one.rings else NO_STRIDE


def crash_facts(
    identity: str, one: Evaluator, death: Death, decision: Decision, *, exit_code: int, stride: int
) -> dict[str, Any]:
    """The crash report of one death; stride: bytes per record of the suspect ring."""
    progress = death.progress
    candidate = one.candidate.hash if one.candidate else ""
    return {
        "id": identity,
        "time_unix_ns": time.time_ns(),
        "role": "evaluator",
        "signal": death.signal,
        "exit_code": exit_code,
        "cause": str(death.cause),
        "suspect_content_hash": decision.suspect_hash or candidate,
        "suspect_template_type": progress.ring,
        "suspect_instance_id": decision.suspect_instance,
        "suspect_instance_digest": decision.suspect_digest,
        "suspect_sequence": progress.position // stride + (progress.row or 0),
        "action": decision.action.told,
        "in_trial": death.on_trial,
        "attempts": dict(sorted(one.child.attempts.items())),
    }


def told(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the log says of a death."""
    wanted = ("cause", "signal", "exit_code", "action", "suspect_content_hash")
    said = {name: facts[name] for name in wanted if facts[name]}
    if facts["attempts"]:
        said["attempts"] = ", ".join(f"{name} {n}" for name, n in facts["attempts"].items())
    if facts["suspect_instance_id"]:
        said["instance"] = facts["suspect_instance_id"]
    return said
