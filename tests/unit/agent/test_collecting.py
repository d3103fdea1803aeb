"""Going down the ladder: one rung at a time, and never without a word."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.backoff import Backoff
from agent.channel import Message
from agent.supervisor.child import Child, End
from agent.supervisor.collecting import Collecting
from agent.supervisor.ledger import Ledger
from agent.supervisor.limits import LIMITS
from agent.supervisor.settings import RUNGS


class Ladder:
    """A collection whose collectors are made up."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.now = 0.0
        log: Any = SimpleNamespace(say=self._say)
        self.collecting = Collecting(
            rungs=RUNGS,
            start=self._start,
            ledger=Ledger("run", lambda _facts: True),
            log=log,
            backoff=Backoff(1.0, 8.0, lambda: 0.0),
            changed=lambda: None,
            clock=lambda: self.now,
        )
        self.said: list[tuple[str, dict[str, Any]]] = []

    def _start(self, rung: str) -> Child:
        self.started.append(rung)
        ended = End(signal=11, exit_code=0)
        child = SimpleNamespace(pid=7, started=self.now, reap=lambda: ended)
        return cast("Child", child)

    def _say(self, what: str, **fields: Any) -> None:
        self.said.append((what, fields))

    def refuse(self, reason: str, detail: str) -> None:
        """The collector that is tried now says that it can't have its rung, and ends."""
        self.collecting.reconcile()
        child = self.collecting.child
        assert child is not None
        fields = {"rung": self.collecting.rung, "reason": reason, "detail": detail}
        self.collecting.failed(Message("failed", fields))
        self.collecting.child = None

    def die(self) -> None:
        """The collector that is tried now dies without a word."""
        self.now += 100.0
        self.collecting.reconcile()
        child = self.collecting.child
        assert child is not None
        self.collecting.ended(child)


@pytest.fixture
def ladder() -> Ladder:
    """Nothing tried yet."""
    return Ladder()


def test_every_rung_is_tried_in_order(ladder: Ladder) -> None:
    """A host would lose more than it has to."""
    for rung in RUNGS[:-1]:
        ladder.refuse("NOT_PERMITTED", f"no {rung}")
    ladder.collecting.reconcile()
    assert ladder.started == list(RUNGS)


def test_each_fall_is_said_with_the_words_of_who_refused(ladder: Ladder) -> None:
    """Nobody would know why a host sees less."""
    for _ in range(2):
        ladder.refuse("VERIFIER_REFUSED", "R1 invalid mem access")
    ladder.refuse("CONNECTOR_MISSING", "no answer")
    assert ladder.collecting.refused == [
        {"rung": "bpf_btf", "reason": "VERIFIER_REFUSED", "detail": "R1 invalid mem access"},
        {"rung": "bpf_tracepoint", "reason": "CONNECTOR_MISSING", "detail": "no answer"},
    ]
    falls = [fields for what, fields in ladder.said if what == "REDUCED FUNCTIONALITY"]
    assert [fall["rung"] for fall in falls] == ["bpf_tracepoint", "process_connector"]
    assert falls[0]["because"] == "VERIFIER_REFUSED: R1 invalid mem access"


def test_dying_is_a_refusal_after_some_tries(ladder: Ladder) -> None:
    """A compiler that crashes would be tried for ever, on a rung that never comes."""
    for _ in range(2 * LIMITS.collector_deaths_per_rung):
        assert ladder.collecting.rung == "bpf_btf"
        ladder.die()
    assert ladder.collecting.rung == "bpf_tracepoint"
    (refused,) = ladder.collecting.refused
    assert (refused["rung"], refused["reason"]) == ("bpf_btf", "COLLECTOR_DIED")
    assert "signal 11" in refused["detail"]


def test_the_last_rung_is_never_given_up(ladder: Ladder) -> None:
    """A sensor would end, or fall off the ladder."""
    for _ in range(len(RUNGS) + 3):
        ladder.refuse("PSUTIL_MISSING", "none")
        ladder.now += 100.0
    assert ladder.collecting.rung == RUNGS[-1]
    assert [one["rung"] for one in ladder.collecting.refused] == list(RUNGS)


def test_words_are_kept_to_their_end(ladder: Ladder) -> None:
    """A verifier's log would not fit into a message, and its last line says what is wrong."""
    for _ in range(2):
        ladder.refuse("VERIFIER_REFUSED", "x" * 50_000 + " the reason")
    (refused,) = ladder.collecting.refused
    assert len(refused["detail"]) == LIMITS.refusal_characters
    assert refused["detail"].endswith(" the reason")


@pytest.mark.parametrize(
    ("reason", "alone"),
    [
        ("VERIFIER_REFUSED", True),
        ("COMPILE_FAILED", True),
        ("ATTACH_FAILED", True),
        ("BTF_MISSING", False),
        ("NOT_PERMITTED", False),
    ],
)
def test_one_type_does_not_cost_the_rung(ladder: Ladder, reason: str, alone: bool) -> None:  # noqa: FBT001 — a table's column
    """A kernel that refuses one program would cost a host six Template Types and prevention."""
    ladder.refuse(reason, "words")
    assert ladder.collecting.lineage_alone is alone
    assert ladder.collecting.rung == ("bpf_btf" if alone else "bpf_tracepoint")
    assert bool(ladder.collecting.refused) is not alone
    if alone:
        ladder.refuse(reason, "words")
    assert (ladder.collecting.rung, ladder.collecting.lineage_alone) == ("bpf_tracepoint", False)
