"""Keeping the link going: start it, tell it who we are, pass reports and outcomes on.

The link may die or be slow at any time: reports wait in a bounded queue until it has stored them,
outcomes of content are kept by hash with their latest state, and a new link is told everything
again.
"""

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from agent.backoff import Backoff
from agent.channel import Message, ProtocolViolationError
from agent.lifecycle import State
from agent.supervisor.child import Child
from agent.supervisor.content_flow import ContentFlow
from agent.supervisor.limits import LIMITS
from agent.supervisor.log import Log
from agent.supervisor.own_processes import OwnProcesses
from agent.supervisor.payload import Problem
from agent.supervisor.reports import Report, Reports
from agent.supervisor.trust import TrustRecordError

KEPT_OUTCOMES = 1000
KEPT_PROBLEMS = 50

ALWAYS_CHANGING = (
    "events_evaluated",
    "uptime_ms",
    "evaluations",
    "evaluation_ns",
    "evaluator_memory_bytes",
)
"""Facts of the state that no message is worth for their own sake."""


@dataclass(slots=True)
class Linking:
    """The link's process and what it is told.

    identity: the fields of the first message; state: facts and active files.
    """

    start: Callable[[], Child]
    identity: Callable[[], Mapping[str, Any]]
    state: Callable[[], Mapping[str, Any]]
    own: OwnProcesses
    reports: Reports
    log: Log
    backoff: Backoff
    clock: Callable[[], float] = time.monotonic
    child: Child | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    _heard: float = 0.0
    _not_before: float = 0.0
    _told_state: float = 0.0
    _told: Mapping[str, Any] = field(default_factory=dict)
    _introduced: bool = False
    _told_own: int = 0
    _outcomes: OrderedDict[str, Mapping[str, Any]] = field(default_factory=OrderedDict)
    _untold: set[str] = field(default_factory=set)

    def say(self, content_hash: str, state: State, problems: Sequence[Problem]) -> None:
        """A payload's new state, for the cloud and for the log."""
        told = list(problems)[:KEPT_PROBLEMS]
        while len(json.dumps(told)) > LIMITS.outcome_bytes:
            told.pop()
        fields = {"hash": content_hash, "state": str(state), "problems": told}
        self.log.say("content", **fields)
        self._outcomes[content_hash] = fields
        self._outcomes.move_to_end(content_hash)
        self._untold.add(content_hash)
        if len(self._outcomes) > KEPT_OUTCOMES:
            oldest, _ = self._outcomes.popitem(last=False)
            self._untold.discard(oldest)
        self.flush()

    def reconcile(self) -> None:
        """Start a link where none is; end one that is silent; tell it what is new."""
        now = self.clock()
        if self.child is None:
            if now >= self._not_before and self._start(now):
                self._heard, self._introduced, self._told_state = now, False, 0.0
                self._told_own = 0
                self._untold = set(self._outcomes)
                self.reports.resend()
            return
        if now - self._heard > LIMITS.load_seconds:
            self.child.kill()
        if self._introduced:
            self._tell_state(self.child, now)
        self.flush()

    def due(self, now: float) -> float:
        """When the next step is due if nobody says anything; now, while something is under way."""
        if self.child is None or not self._introduced or self._untold or self.reports.unsent:
            return now
        silence = self._heard + LIMITS.load_seconds
        return min(self._told_state + LIMITS.state_idle_seconds, silence)

    def _tell_state(self, child: Child, now: float) -> None:
        """A change that matters soon, and everything else once in a while."""
        age = now - self._told_state
        if age < LIMITS.state_seconds:
            return
        state = self.state()
        matters = {**state, "facts": {**state["facts"], **dict.fromkeys(ALWAYS_CHANGING)}}
        if age >= LIMITS.state_idle_seconds or matters != self._told:
            self._told_state, self._told = now, matters
            child.send("state", **state)

    def _start(self, now: float) -> bool:
        try:
            self.child = self.start()
        except OSError:
            self._not_before = now + self.backoff.next_delay()
            return False
        return True

    def flush(self) -> None:
        """Send what waits, as far as the link takes it."""
        child = self.child
        if child is None:
            return
        if not self._introduced:
            self._introduced = child.send("identity", **self.identity())
            if not self._introduced:
                return
        if not self._tell_own(child):
            return
        for content_hash in [one for one in self._outcomes if one in self._untold]:
            if not child.send("outcome", **self._outcomes[content_hash]):
                return
            self._untold.discard(content_hash)
        self.reports.flush(lambda report: _send_report(child, report))

    def _tell_own(self, child: Child) -> bool:
        """Tell of new processes of ours, before any report about them."""
        while self._told_own < self.own.count:
            new = list(islice(self.own.since(self._told_own), LIMITS.own_processes_per_message))
            if not child.send("own", processes=new):
                return False
            self._told_own = max(self._told_own, self.own.count - len(self.own.known)) + len(new)
        return True

    def message(self, message: Message, flow: ContentFlow) -> None:
        """One message of the link."""
        self._heard = self.clock()
        if message.kind == "heartbeat":
            self.facts = dict(message["facts"])
        elif message.kind == "stored":
            if not self.reports.confirm(message["report"]):
                raise ProtocolViolationError(f"stored report {message['report']}")
        elif message.kind == "content":
            flow.receive(message)
        elif message.kind == "revoke":
            flow.revoke(message)
        elif message.kind == "trust":
            self._trust(message, flow)

    def _trust(self, message: Message, flow: ContentFlow) -> None:
        """Keys have been replaced: in force once it is on the disk, and said either way."""
        try:
            news = flow.follow(message)
        except TrustRecordError as error:
            self.log.say("trust", refused=error)
        except OSError as error:
            self.log.say("trust", refused=f"STORE_FAILED: {error.strerror}")
        else:
            if news:
                self.log.say("trust", version=flow.trust.version)

    def introduce_again(self) -> None:
        """The rung has changed: the link and the cloud must know."""
        self._introduced = False

    def ended(self, child: Child) -> None:
        """The link is gone; another one follows."""
        self.child, self.facts = None, {}
        end = child.reap()
        if self.clock() - child.started > LIMITS.stable_seconds:
            self.backoff.reset()
        self._not_before = self.clock() + self.backoff.next_delay()
        self.log.say("link ended", pid=child.pid, signal=end.signal, status=end.exit_code)


def _send_report(child: Child, report: Report) -> bool:
    if report.kind == "detections":
        return child.send("detections", payload=report.payload, report=report.number)
    return child.send(report.kind, report=report.number, facts=dict(report.facts))
