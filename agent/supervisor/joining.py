"""Template Types come and go while collection runs: collectors that join, probes that leave.

In the BPF rungs only; below them one process sees all that it can. Level-triggered, like the
evaluators:

    needed, and not collected  → a collector joins: it is given counters and shared maps, attaches
                                 the programs of the new types only, hands them over and ends
    not needed for a while     → their attachments are closed, some per turn; when what lies in a
                                 ring has been read, new evaluators go without it, and when none has
                                 it any more it is given up

A join that fails changes nothing: what was handed over is closed, and the type is tried again
later (agent.supervisor.needs). The ledger is told for how long a type was not collected.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agent.channel import Message, ProtocolViolationError
from agent.supervisor.child import Child
from agent.supervisor.hand_over import from_message
from agent.supervisor.ledger import Ledger
from agent.supervisor.limits import LIMITS
from agent.supervisor.log import Log
from agent.supervisor.needs import Needs
from agent.supervisor.rings import Collection, RingFacts
from content.loss_causes import LossCause


@dataclass(slots=True)
class Joining:
    """At most one joining collector, and the Template Types that leave.

    start: a collector for these types. changed: told when rings have come or gone. held: the rings
    that some evaluator may still speak of.
    """

    needs: Needs
    start: Callable[[Sequence[int]], Child]
    held: Callable[[], Sequence[RingFacts]]
    changed: Callable[[], None]
    ledger: Ledger
    log: Log
    clock: Callable[[], float] = time.monotonic
    child: Child | None = None
    asked: tuple[int, ...] = ()
    leaving: frozenset[int] = frozenset()
    _collection: Collection | None = None
    _arriving: Collection | None = None
    _done: bool = False
    _problem: tuple[str, str] | None = None
    _settled_at: float | None = None
    # Since when (nanoseconds since boot) a type is not collected that was collected before.
    _gone_since: dict[int, int] = field(default_factory=dict)
    _collects_since: int = 0

    def collection_changed(self, collection: Collection | None) -> None:
        """Another collection, or none: nothing of the earlier one is joined or leaves any more."""
        self._collection = collection
        self._collects_since = self.ledger.clock()
        self.leaving, self._settled_at = frozenset(), None
        self._gone_since.clear()
        self.needs.forget_trouble()
        if self.child is not None:
            self.child.kill()

    def collected(self) -> frozenset[int]:
        """Template Types whose programs are attached, those that leave left out."""
        return frozenset(self._collection.rings) - self.leaving if self._collection else frozenset()

    def ready_for_trial(self, number: int) -> bool:
        """Whether content of a Template Type can be tried: collected, or known not to be had."""
        collection = self._collection
        if collection is None or not collection.in_kernel:
            return collection is not None
        return not self.needs.undecided(number, self.collected())

    def reconcile(self) -> None:
        """Take the next step towards what is needed."""
        collection, now = self._collection, self.clock()
        child = self.child
        if child is not None and now - child.started > LIMITS.collector_seconds:
            self._problem = self._problem or ("COLLECTOR_HUNG", "it took too long")
            child.kill()
        if collection is None or not collection.in_kernel:
            return
        for number, left in collection.close_retired(self.held()).items():
            self.ledger.add(LossCause.COLLECTION_ENDED, number, left)
        self._leave(collection, now)
        wanted = self.needs.to_join({*collection.rings}, now)
        if child is None and wanted:
            self._join(collection, wanted, now)

    def due(self, now: float) -> float:
        """When the next step is due if nobody says anything; now, while something is under way."""
        collection = self._collection
        if collection is None or not collection.in_kernel:
            return math.inf
        if self.leaving or collection.retired:
            return now
        if self.child is not None:
            return self.child.started + LIMITS.collector_seconds
        return self.needs.due(collection.rings, now)

    def message(self, message: Message) -> None:
        """One message of a joining collector; ProtocolViolationError if it may not say that."""
        if message.kind == "attached":
            self._attached(message)
        elif message.kind == "attachments":
            self._attachments(message)
        elif message.kind == "failed":
            self._problem = (message["reason"], message["detail"][-LIMITS.refusal_characters :])

    def _attached(self, message: Message) -> None:
        if self._arriving is not None or self._done:
            raise ProtocolViolationError("attached twice")
        arriving = from_message(message)
        if not self._fits(arriving):
            arriving.close()
            raise ProtocolViolationError(f"joined {sorted(arriving.rings)}, asked {self.asked}")
        self._arriving = arriving
        self._arrived()

    def _attachments(self, message: Message) -> None:
        if self._arriving is None:
            raise ProtocolViolationError("attachments before attached")
        self._arriving.add_attachments(message)
        self._arrived()

    def let_go(self, child: Child) -> None:
        """A collector has handed everything over and stays for something else."""
        if not self._done:
            raise ProtocolViolationError(f"{child.role} {child.pid} has not handed over")
        self.child = None

    def blamed(self, error: ProtocolViolationError) -> None:
        """It said what it may not say."""
        self._problem = ("PROTOCOL_VIOLATION", f"{error}")

    def ended(self, child: Child) -> None:
        """The joining collector is gone; as it should be, if it has handed everything over."""
        self.child = None
        end = child.reap()
        if self._arriving is not None:
            self._arriving.close()
            self._arriving = None
        if self._done:
            return
        words = f"signal {end.signal}, exit status {end.exit_code}"
        reason, detail = self._problem or ("COLLECTOR_DIED", words)
        self.needs.failed(self.asked, reason, detail, self.clock())
        given_up = sorted(self.needs.given_up())
        self.log.say(
            "not joined",
            template_types=list(self.asked),
            reason=reason,
            detail=detail,
            given_up=given_up,
        )

    def close(self) -> None:
        """The sensor stops: nothing joins any more."""
        self.collection_changed(None)

    def _join(self, collection: Collection, wanted: tuple[int, ...], now: float) -> None:
        self.asked, self._done, self._problem = wanted, False, None
        try:
            self.child = self.start(wanted)
        except OSError as error:
            self.needs.failed(wanted, "NOT_STARTED", error.strerror or "", now)
            return
        counters = collection.counters_descriptor
        descriptors = [*([] if counters is None else [counters]), *collection.shared.values()]
        if not self.child.send("join", descriptors=descriptors, shared=list(collection.shared)):
            self.child.kill()

    def _fits(self, arriving: Collection) -> bool:
        """Whether it is a part that the running collection lacks, and nothing else."""
        collection = self._collection
        serves = [one.serves for one in arriving.attachments]
        serves += [serves for serves, _ in arriving.awaited]
        return (
            collection is not None
            and arriving.rung == collection.rung
            and arriving.rings.keys() <= {*self.asked} - collection.rings.keys()
            and not arriving.counters
            and not arriving.shared
            and all(serves)
        )

    def _arrived(self) -> None:
        arriving, collection = self._arriving, self._collection
        if arriving is None or collection is None or not arriving.complete:
            return
        self._arriving, self._done = None, True
        numbers = sorted(arriving.rings)
        self.needs.not_supplied({*self.asked} - {*numbers})
        waited = self.needs.joined(numbers, self.clock())
        for number in numbers:
            since = self._gone_since.pop(number, self._collects_since)
            self.ledger.add(LossCause.NOT_COLLECTED, number, 1, since)
        attachments = len(arriving.attachments)
        collection.join(arriving)
        self.log.say(
            "joined",
            template_types=numbers,
            not_supplied=sorted({*self.asked} - {*numbers}),
            attachments=attachments,
            waited_ms=int(waited * 1000),
        )
        self.changed()

    def _leave(self, collection: Collection, now: float) -> None:
        """Close attachments of what is not needed, and then give up its rings."""
        if not self.leaving:
            self.leaving = self.needs.to_detach(now)
            if self.leaving:
                self.log.say("not needed", template_types=sorted(self.leaving))
            return
        if self._settled_at is None:
            if self._detach_some(collection):
                return
            self._settled_at = now + LIMITS.settle_seconds
            for number in self.leaving:
                self._gone_since[number] = self.ledger.clock()
        unread = any(collection.rings[number].backlog() for number in self.leaving)
        if now < self._settled_at or unread:
            return
        for number in self.leaving:
            collection.retire(number)
        self.log.say(
            "detached",
            template_types=sorted(self.leaving),
            attachments=len(collection.attachments),
        )
        self.leaving, self._settled_at = frozenset(), None
        self.changed()

    def _detach_some(self, collection: Collection) -> bool:
        """Whether there is more; each one takes the kernel a moment, in which nobody is served."""
        until = self.clock() + LIMITS.detach_seconds_per_turn
        while collection.detach_one(self.leaving):
            if self.clock() >= until:
                return True
        return False
