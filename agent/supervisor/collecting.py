"""Keeping collection going: start a collector, keep what it hands over, go down a rung loudly.

In the BPF rungs the collector is gone as soon as everything is attached: the descriptors that we
hold keep programs attached and rings alive, and nobody is left who could be attacked. In the rungs
below it stays, and a new one takes its place when it dies or falls silent. Which rungs were
refused, and in whose words, is kept for the status and for the cloud. The ledger is told of every
stretch in which nothing was collected, the one from boot to our start included.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agent.backoff import Backoff
from agent.channel import Message, ProtocolViolationError
from agent.supervisor.child import Child
from agent.supervisor.hand_over import from_message
from agent.supervisor.ledger import SECOND, Ledger
from agent.supervisor.limits import LIMITS
from agent.supervisor.log import Log
from agent.supervisor.rings import Collection
from agent.supervisor.settings import BPF_RUNGS
from content.loss_causes import LossCause

PERHAPS_ONE_TYPE = frozenset(
    {"COMPILE_FAILED", "VERIFIER_REFUSED", "ATTACH_FAILED", "COLLECTOR_DIED"}
)
"""Reasons for which one Template Type may be to blame, and not the rung."""

ANY_TEMPLATE_TYPE = 0
BOOT_NS = 0
"""Since boot."""


@dataclass(slots=True)
class Collecting:
    """The collection of events: at most one collector, and what it has attached."""

    rungs: Sequence[str]
    start: Callable[[str], Child]
    ledger: Ledger
    log: Log
    backoff: Backoff
    changed: Callable[[], None]
    clock: Callable[[], float] = time.monotonic
    child: Child | None = None
    collection: Collection | None = None
    refused: list[dict[str, str]] = field(default_factory=list)
    # Whether the next collector begins without any Template Type: these join one by one then, so
    # that one which is refused does not cost the rung.
    lineage_alone: bool = False
    _level: int = 0
    _deaths: int = 0
    _not_before: float = 0.0
    _heard: float = 0.0
    # Since when nothing is collected (nanoseconds since boot); None while something is.
    _blind_since: int | None = BOOT_NS
    _arriving: Collection | None = field(default=None)

    @property
    def rung(self) -> str:
        """The rung in use, or the one that is being tried."""
        return self.collection.rung if self.collection else self.rungs[self._level]

    @property
    def lowered(self) -> bool:
        """Whether this is less than the best rung."""
        return self.rung != "bpf_btf"

    def reconcile(self) -> None:
        """Start a collector where one is missing; end one that takes too long."""
        now = self.clock()
        if self.child is not None:
            if self._overdue(self.child, now):
                self.child.kill()
            return
        held = self.collection is not None and self.collection.in_kernel
        if held or now < self._not_before:
            return
        try:
            self.child = self.start(self.rungs[self._level])
        except OSError:
            self._not_before = now + self.backoff.next_delay()

    def due(self, now: float) -> float:
        """When the next step is due if nobody says anything; now, while something is under way."""
        if self.collection is None or self._blind_since is not None:
            return now
        if self.collection.rung.startswith("bpf"):
            return now if self.child is not None else math.inf
        return self._heard + LIMITS.collector_silence_seconds if self.child is not None else now

    def attached(self, child: Child, message: Message) -> None:
        """First message of a collector that has succeeded; more descriptors may follow."""
        if self._arriving is not None:
            raise ProtocolViolationError("attached twice")
        self._arriving = from_message(message)
        self._arrived(child)

    def let_go(self, child: Child) -> bool:
        """A collector has handed everything over and stays for something else; whether we need it.

        ProtocolViolationError where it has not.
        """
        if self.collection is None or self._arriving is not None:
            raise ProtocolViolationError(f"{child.role} {child.pid} has not handed over")
        if self.collection.in_kernel:
            self.child = None
        return self.child is not None

    def attachments(self, child: Child, message: Message) -> None:
        """Further descriptors."""
        if self._arriving is None:
            raise ProtocolViolationError("attachments before attached")
        self._arriving.add_attachments(message)
        self._arrived(child)

    def failed(self, message: Message) -> None:
        """The rung can't be had here: the next one, loudly."""
        told = {name: message[name] for name in ("rung", "reason", "detail")}
        self.log.say("rung failed", **told)
        self._next_rung(told["reason"], told["detail"])

    def heard(self) -> None:
        """The collector lives."""
        self._heard = self.clock()

    def late(self, message: Message) -> None:
        """A polling collector came later than it should have."""
        since, until, missed = message["from_ns"], message["to_ns"], message["missed"]
        if not (0 <= since <= until and missed > 0):
            raise ProtocolViolationError(f"late from {since} to {until} by {missed}")
        self.ledger.add(LossCause.POLL_GAP, ANY_TEMPLATE_TYPE, missed, since, until)

    def ended(self, child: Child) -> None:
        """The collector is gone; with everything attached and in BPF, that is as it should be."""
        self.child = None
        end = child.reap()
        if self._arriving is not None:
            self._arriving.close()
            self._arriving = None
        collection = self.collection
        if collection is not None and collection.in_kernel:
            self.log.say("collector gone", pid=child.pid, attachments=len(collection.attachments))
            return
        if collection is not None and self._blind_since is None:
            silent = self.clock() - self._heard if child.killed_by_us else 0.0
            self._blind_since = self.ledger.clock() - int(silent * SECOND)
        self._deaths += 1
        self._not_before = self.clock() + self.backoff.next_delay()
        self.log.say("collector died", pid=child.pid, signal=end.signal, status=end.exit_code)
        if collection is None and self._deaths >= LIMITS.collector_deaths_per_rung:
            words = f"signal {end.signal}, exit status {end.exit_code}"
            self._next_rung("COLLECTOR_DIED", words)

    def close(self) -> None:
        """Detach everything."""
        self._replace(None)

    def _arrived(self, child: Child) -> None:
        arriving = self._arriving
        if arriving is None or not arriving.complete:
            return
        self._arriving = None
        self._deaths = 0
        self.backoff.reset()
        self._replace(arriving)
        self._sees_again()
        self.log.say(
            "collection",
            rung=arriving.rung,
            probes=len(arriving.probes),
            attachments=len(arriving.attachments),
            collector=child.pid,
        )

    def _sees_again(self) -> None:
        since, self._blind_since = self._blind_since, None
        self.heard()
        if since is not None:
            cause = LossCause.BEFORE_SENSOR if since == BOOT_NS else LossCause.COLLECTION_GAP
            self.ledger.add(cause, ANY_TEMPLATE_TYPE, 1, since)

    def _overdue(self, child: Child, now: float) -> bool:
        if self.collection is None or self._blind_since is not None:
            return now - child.started > LIMITS.collector_seconds
        polls = not self.collection.in_kernel
        return polls and now - self._heard > LIMITS.collector_silence_seconds

    def _replace(self, new: Collection | None) -> None:
        old, self.collection = self.collection, new
        if old is not None:
            self.ledger.watch(old)
            for number, ring in old.rings.items():
                self.ledger.add(LossCause.COLLECTION_ENDED, number, ring.backlog())
            self.ledger.collection_ended()
            old.close()
        self.changed()

    def _next_rung(self, reason: str, detail: str) -> None:
        self._deaths = 0
        rung = self.rungs[self._level]
        if rung in BPF_RUNGS and reason in PERHAPS_ONE_TYPE and not self.lineage_alone:
            self.lineage_alone = True
            self.log.say("rung again, with lineage alone", rung=rung, because=f"{reason}: {detail}")
            return
        self.lineage_alone = False
        refused = {
            "rung": rung,
            "reason": reason,
            "detail": detail[-LIMITS.refusal_characters :],
        }
        self.refused = [one for one in self.refused if one["rung"] != refused["rung"]] + [refused]
        if self._level + 1 < len(self.rungs):
            self._level += 1
            because = f"{reason}: {detail}"
            self.log.say("REDUCED FUNCTIONALITY", rung=self.rungs[self._level], because=because)
