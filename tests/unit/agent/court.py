"""The judging of evaluators with everything that it acts on, and played evaluators."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.attribution import Attribution, Phase
from agent.channel import Message, checksum
from agent.supervisor.child import End
from agent.supervisor.evaluator_process import Evaluator, Stage
from agent.supervisor.judging import Judging
from agent.supervisor.ledger import SECOND, Ledger
from agent.supervisor.log import Log
from agent.supervisor.reports import Reports
from tests.unit.agent.evaluator_world import DIGEST_ONE, DIGEST_TWO, Played, Theatre, played
from tests.unit.agent.flow_world import World, content
from tests.unit.agent.ring_memory import STRIDE, produce

PRODUCED = 100


@dataclass(slots=True)
class Court:
    """The judging, with everything that it acts on."""

    theatre: Theatre
    world: World
    reports: Reports
    ledger: Ledger
    judging: Judging
    up: int = 3600 * SECOND

    def clock(self) -> int:
        """Nanoseconds since boot, for the ledger."""
        return self.up

    def turn(self) -> None:
        """As the supervisor's turn."""
        trial = self.world.flow.candidate_set() if self.theatre.pool.on_trial is None else None
        if trial is not None:
            self.theatre.pool.start(*trial)
        self.judging.consequences.search_on()
        self.theatre.pool.wanted = self.world.flow.working.wanted()
        fallback = self.world.flow.working.fallback() or self.judging.consequences.cautious()
        self.theatre.pool.fallback = fallback
        self.theatre.turn()

    def says(self, one: Evaluator, kind: str, payload: bytes = b"", **fields: Any) -> None:
        """An evaluator's message."""
        self.judging.message(one.child, Message(kind, fields, payload))

    def frame(self, one: Evaluator, payload: bytes = b"", **different: Any) -> None:
        """Ten events of ring 1 evaluated, unless something is different."""
        plain = {"ring": 1, "position": 10 * STRIDE, "evaluated": 10, "detections": 0}
        fields = {**plain, "verdicts": [], "crc32": checksum(payload), **different}
        self.says(one, "frame", payload, **fields)

    def dies(self, one: Evaluator, signal: int = 11) -> dict[str, Any]:
        """An evaluator ends; returns the crash report."""
        child = played(one)
        child.end = child.end or End(signal, 0)
        self.judging.ended(one)
        return dict(self.judging.recent[-1])

    def worker(self, payload: bytes = b"one") -> Evaluator:
        """An evaluator at work with an accepted file of Template Type 1."""
        self.world.accepted(payload, 1)
        self.turn()
        (one,) = self.theatre.pool.members
        self.says(one, "ready", files=[], sandbox={})
        self.turn()
        assert self.theatre.pool.worker is one
        return one

    def successor(self) -> Evaluator:
        """Whoever is at work once there was time to load; with an empty set nobody has to be."""
        self.theatre.now += 10
        for _ in range(2):
            self.turn()
            for other in self.theatre.pool.members:
                if other.stage is Stage.LOADING and not other.finished:
                    self.says(other, "ready", files=[], sandbox={})
        self.turn()
        one = self.theatre.pool.worker
        assert one is not None
        return one

    def inquest(self, *, part: tuple[int, int] = (0, 0), survives: bool = False) -> None:
        """A throw-away evaluator of an inquest: what it is asked, and how it ends."""
        inquests = self.judging.inquests
        inquests.reconcile()
        child = inquests.child
        assert isinstance(child, Played)
        kind, asked = child.sent[-1]
        assert (kind, child.descriptors, asked["template_type"]) == ("inquest", 3, 1)
        record = Attribution(inquests._record)
        record.name_instances([("first", DIGEST_ONE), ("second", DIGEST_TWO)])
        record.batch(1, *part, Phase.INQUEST)
        if survives:
            self.judging.message(child, Message("survived", {"instances": 2}))
        child.end = End(0 if survives else 11, 0)
        inquests.ended()

    def close(self) -> None:
        """Give back what the test still holds."""
        self.theatre.close()
        self.world.flow.store.close()

    def candidate(self, payload: bytes = b"two") -> Evaluator:
        """An evaluator with a file on trial."""
        self.world.flow.receive(content(payload))
        self.turn()
        one = self.theatre.pool.on_trial
        assert one is not None
        return one


def open_court(folder: Path) -> Court:
    """Two rings, of which the first has events."""
    theatre, world, reports = Theatre(), World(folder), Reports()
    produce(theatre.rings.rings[1].descriptor, PRODUCED)
    ledger = Ledger("run", lambda facts: reports.add("loss", facts))
    log = Log(stream=io.StringIO())
    judging = Judging("run", theatre.pool, world.flow, reports, ledger, log, lambda: ())
    court = Court(theatre, world, reports, ledger, judging)
    ledger.clock = court.clock
    return court
