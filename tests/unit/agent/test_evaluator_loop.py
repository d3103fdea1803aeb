"""What the evaluator tells of a batch beside its detections."""

import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from agent.channel import Message, Sender, receive, send
from agent.evaluator.limits import LIMITS
from agent.evaluator.loop import Cursor, EventLoop
from agent.evaluator.waiting import Waiter
from content.interpreter import Engine, Evaluation, InstanceFault, Undecided
from content.reasons import Reason
from content.record import Records
from content.template_type import TemplateType
from tests.unit.content.event_strategies import EVERY_KIND, channel_file
from tests.unit.content.interpreter_helpers import SIZE, clauses, is_one, records

FILE = channel_file(clauses(is_one(SIZE, 1)), clauses(is_one(SIZE, 2)))
BATCH = records({SIZE: 1}, {SIZE: 2}, {SIZE: 3})
STRIDE = 64


class SkippingEngine:
    """Says of every batch that both instances were skipped."""

    def evaluate(self, _template_type: TemplateType, _records: Records) -> Evaluation:
        """A fault of the second instance, and rows that neither decided."""
        one, two = FILE.instances
        fault = InstanceFault(FILE, two, 0, Reason.WORK_BUDGET_EXCEEDED, "too much")
        return Evaluation([], [fault], 0, [Undecided(FILE, one, 2), Undecided(FILE, two, 3)])


def looped(
    ours: socket.socket,
    engine: Engine,
    commit: Callable[[int], None],
    clock: Callable[[], float],
) -> tuple[EventLoop, Cursor]:
    """A loop over one ring, in which there are always three records more."""
    ring: Any = SimpleNamespace(
        stride=STRIDE,
        consumer_position=0,
        producer_position=len(BATCH) * STRIDE,
        commit=commit,
        read=lambda *_: BATCH,
    )
    cursor = Cursor(ring, EVERY_KIND, "epoch")
    attribution: Any = SimpleNamespace(batch=lambda *_: None, phase=lambda _: None)
    number = EVERY_KIND.number
    hashes = {number: "ab" * 32}
    cursors = {number: cursor}
    waiter = Waiter(ours)
    return EventLoop(ours, engine, attribution, cursors, hashes, waiter, clock=clock), cursor


def said() -> list[Message]:
    """All that a loop says of one batch of three records."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        loop, cursor = looped(ours, SkippingEngine(), lambda _: None, lambda: 0.0)
        loop._step(cursor)
        ours.shutdown(socket.SHUT_WR)
        messages: list[Message] = []
        while (message := receive(theirs, Sender.EVALUATOR)) is not None:
            messages.append(message)
        return messages


class Bored:
    """Finds nothing in any batch."""

    def evaluate(self, _template_type: TemplateType, _records: Records) -> Evaluation:
        """Nothing."""
        return Evaluation([], [], 0, [])


def test_what_matched_nothing_is_told_together_and_before_it_ends() -> None:
    """An idle host would send a message for each event, or a successor count events twice."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setblocking(False)
    committed: list[int] = []
    now = 1000.0
    with ours, theirs:
        loop, cursor = looped(ours, Bored(), committed.append, lambda: now)
        loop._tell_progress(at_once=False)
        assert heard(theirs).kind == "heartbeat"
        for _ in range(2):
            loop._step(cursor)
        loop._tell_progress(at_once=False)
        assert (cursor.position, committed) == (2 * len(BATCH) * STRIDE, [])
        now += LIMITS.progress_seconds
        loop._tell_progress(at_once=False)
        told = heard(theirs)
        assert told.kind == "progress"
        assert told["rings"] == [[EVERY_KIND.number, cursor.position, 2 * len(BATCH)]]
        assert committed == [cursor.position]
        loop._step(cursor)
        loop._finish()
        assert [heard(theirs).kind for _ in range(2)] == ["progress", "drained"]
        with pytest.raises(BlockingIOError):
            heard(theirs)


def test_what_it_costs_is_told_however_busy_it_is() -> None:
    """The cloud would not learn that new content is slow where that matters most."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    now = 1000.0
    with ours, theirs:
        loop, cursor = looped(ours, Bored(), lambda _: None, lambda: now)
        loop._told_facts = loop._told_progress = now
        cursor.untold = LIMITS.progress_records
        loop._step(cursor)
        assert heard(theirs).kind == "frame"
        now += LIMITS.facts_seconds
        loop._last_said = loop._told_progress = now
        loop._tell_progress(at_once=False)
        facts = heard(theirs)["facts"]
    assert facts["evaluated"] == LIMITS.progress_records + len(BATCH)
    assert facts["evaluation_ns"] > 0
    assert facts["memory_bytes"] > 1_000_000


def test_much_that_matched_nothing_is_told_at_once() -> None:
    """After a death, a successor would have all that to do again."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        loop, cursor = looped(ours, Bored(), lambda _: None, lambda: 0.0)
        cursor.untold = LIMITS.progress_records
        loop._step(cursor)
        told = heard(theirs)
        assert (told.kind, told["evaluated"]) == ("frame", LIMITS.progress_records + len(BATCH))
        assert cursor.untold == 0


def heard(sock: socket.socket) -> Message:
    """What the evaluator said next."""
    message = receive(sock, Sender.EVALUATOR)
    assert message is not None
    return message


def test_what_was_not_decided_is_told_before_the_position_moves_on() -> None:
    """A death in between would leave a gap that nobody counted."""
    kinds = [message.kind for message in said()]
    assert kinds == ["undecided", "frame", "fault"]


def test_faults_and_undecided_rows_say_what_they_are_about() -> None:
    """An operator could not tell which instance is skipped, or how large the gap is."""
    undecided, _, fault = said()
    assert (undecided["ring"], undecided["rows"]) == (EVERY_KIND.number, 5)
    assert (fault["hash"], fault["instance"]) == ("ab" * 32, "i1")
    assert (fault["reason"], fault["detail"]) == ("WORK_BUDGET_EXCEEDED", "too much")


@pytest.mark.parametrize("at_first", [0, 1])
def test_the_policy_is_heard_at_once(at_first: int) -> None:
    """Detections would say that a program was stopped when its host does not want that."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        attribution: Any = SimpleNamespace(phase=lambda _: None)
        loop = EventLoop(ours, SkippingEngine(), attribution, {}, {}, Waiter(ours))
        send(theirs, "prevention", prevention=1 - at_first)
        send(theirs, "drain")
        fields = {"positions": {}, "careful": {}, "aside": {}, "prevention": at_first}
        loop._take_over(Message("go", fields))
        assert loop.prevents is bool(at_first)
        loop.run(Message("go", fields))
        assert loop.prevents is not bool(at_first)
