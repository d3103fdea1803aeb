"""Processes that ran already when collection began are put to content, too. Level-triggered.

A collector of Template Type process offers to make an event of each (`seeding`). It is told to
begin as soon as an evaluator works that has content for them, so that none is judged by nothing;
execs that were judged earlier, without content, don't count as judged either. Its events lie in
the ring like all others: judged is who stands before the position that is accounted for.

    offered, and no content for it   → wait; after a while the offer is declined
    offered, and content works       → ordered, once for each ring
    ordered, and silent for too long → the collector is ended, where it is there for nothing else
    left over, or the collector died → NOT_JUDGED in the ledger, and said in log and status

A collector that has nothing else to do is ours from its offer on; one that stays is only spoken
to. Every collection begins anew, after a restart of the sensor as well: nobody knows what an
earlier one judged, and with which content.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.channel import Message, ProtocolViolationError
from agent.supervisor.child import Child
from agent.supervisor.evaluator_process import Evaluator, Stage
from agent.supervisor.ledger import Ledger
from agent.supervisor.limits import LIMITS
from agent.supervisor.log import Log
from agent.supervisor.rings import Collection, RingFacts
from content.loss_causes import LossCause

COUNTS = ("written", "executed", "without_program", "left")
NO_CONTENT, COLLECTOR_DIED = "NO_CONTENT", "COLLECTOR_DIED"


@dataclass(slots=True)
class Look:
    """One collector's look at all processes, into one ring.

    since: when it was offered, or has said something last. asked: whether it was ordered.
    """

    child: Child
    ring: RingFacts
    ours: bool
    since: float
    asked: bool = False
    done: bool = False
    counts: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    reason: str = ""
    # Position of the ring behind so many events of processes that ran already.
    portions: deque[tuple[int, int]] = field(default_factory=deque)
    _judged: int = 0

    @property
    def judged(self) -> int:
        """How many of them are accounted for."""
        while self.portions and self.portions[0][0] <= self.ring.position:
            self._judged = self.portions.popleft()[1]
        return self._judged

    def document(self) -> dict[str, Any]:
        """For the status."""
        counts = self.counts
        waiting = counts["written"] - self.judged
        state = "looking" if self.asked else "waiting for content"
        return {
            "state": "done" if self.done else state,
            "found": counts["written"] + counts["executed"] + counts["left"],
            "judged": self.judged,
            "executed_since": counts["executed"],
            "in_the_ring": waiting,
            "not_judged": counts["left"],
            "because": self.reason,
            "without_program": counts["without_program"],
        }


@dataclass(slots=True)
class Seeding:
    """The look of the collection that runs, if one was offered."""

    ledger: Ledger
    log: Log
    clock: Callable[[], float] = time.monotonic
    look: Look | None = None
    # From which position of which ring (by its name) on events of it were put to content.
    _covered: dict[str, int] = field(default_factory=dict)

    @property
    def child(self) -> Child | None:
        """A collector that is there for nothing else."""
        return self.look.child if self.look is not None and self.look.ours else None

    @property
    def failed(self) -> bool:
        """Whether processes that ran already were not judged though there is content for them."""
        look = self.look
        return look is not None and look.done and look.reason not in ("", NO_CONTENT)

    def offered(
        self, child: Child, message: Message, collection: Collection, *, ours: bool
    ) -> None:
        """A collector can make the events; ours: it is there for nothing else any more."""
        ring = collection.rings.get(message["template_type"])
        if ring is None:
            raise ProtocolViolationError(f"seeding of {message['template_type']}, without a ring")
        self.end()
        self.look = Look(child, ring, ours, self.clock())

    def follow(self, collection: Collection | None) -> None:
        """Rings have come or gone."""
        rings = collection.rings.values() if collection is not None else ()
        if self.look is not None and self.look.ring not in rings:
            self.end()

    def reconcile(self, worker: Evaluator | None) -> None:
        """Order it, decline it, or end a collector that hangs."""
        look, now = self.look, self.clock()
        if worker is not None and worker.stage is Stage.RUNNING:
            self._note_covered(worker)
        if look is None or look.done:
            return
        position = self._covered.get(look.ring.epoch)
        if not look.asked and position is not None:
            look.asked = look.child.send("seed", position=position)
            look.since = now
        elif now >= self._deadline(look):
            self._give_up(look, COLLECTOR_DIED if look.asked else NO_CONTENT)

    def due(self, now: float) -> float:
        """When the next step is due if nobody says anything."""
        if self.look is None or self.look.done:
            return math.inf
        return max(now, self._deadline(self.look))

    def message(self, child: Child, message: Message) -> None:
        """How far it has come; ProtocolViolationError if that can't be."""
        look = self.look
        if look is None or look.child is not child or not look.asked or look.done:
            raise ProtocolViolationError("seeded without an order")
        counts = {name: message[name] for name in COUNTS}
        position = message["position"]
        grown = all(counts[name] >= look.counts[name] for name in COUNTS)
        if not grown or not look.ring.position <= position <= look.ring.produced():
            raise ProtocolViolationError(f"seeded {counts} up to {position}")
        look.since = self.clock()
        look.counts = counts
        look.portions.append((position, counts["written"]))
        if message["done"]:
            self._finish(look, message["reason"], message["detail"])

    def gone(self, child: Child) -> None:
        """A collector has ended; before it was done, somebody may be left."""
        look = self.look
        if look is None or look.child is not child:
            return
        if not look.done:
            self._lost(look, COLLECTOR_DIED if look.asked else NO_CONTENT)
        look.ours = False

    def end(self) -> None:
        """The ring is given up, or the sensor stops."""
        look, self.look = self.look, None
        if look is not None and look.ours:
            look.child.kill()

    def document(self) -> dict[str, Any] | None:
        """For the status; None where no collector has offered it."""
        return self.look.document() if self.look is not None else None

    def _note_covered(self, worker: Evaluator) -> None:
        """Called before the worker has said anything: its rings' positions are where it began."""
        for number in {file.template_type for file in worker.files}:
            ring = worker.rings.get(number)
            if ring is not None:
                self._covered.setdefault(ring.epoch, ring.position)

    def _deadline(self, look: Look) -> float:
        wait = LIMITS.seeding_silence_seconds if look.asked else LIMITS.seeding_content_seconds
        return look.since + wait

    def _give_up(self, look: Look, reason: str) -> None:
        if look.ours:
            look.child.kill()
        self._lost(look, reason)

    def _lost(self, look: Look, reason: str) -> None:
        """Nobody has counted who is left: at least one, where there is content for them."""
        if reason != NO_CONTENT:
            look.counts = {**look.counts, "left": max(1, look.counts["left"])}
        self._finish(look, reason, "")

    def _finish(self, look: Look, reason: str, detail: str) -> None:
        look.done, look.reason = True, reason
        self.ledger.add(LossCause.NOT_JUDGED, look.ring.template_type, look.counts["left"])
        told = {"reason": reason, "detail": detail[-LIMITS.refusal_characters :]} if reason else {}
        self.log.say("processes that ran already", **look.counts, **told)
