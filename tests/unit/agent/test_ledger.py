"""The loss ledger: every loss is counted once and reported once, sooner or later."""

import os
from collections.abc import Mapping
from typing import Any

from agent.supervisor.ledger import Ledger
from agent.supervisor.rings import from_message
from tests.unit.agent.ring_memory import attached, count, memory, ring


class Desk:
    """Takes loss reports while it is open."""

    def __init__(self) -> None:
        self.open = True
        self.taken: list[Mapping[str, Any]] = []

    def take(self, facts: Mapping[str, Any]) -> bool:
        """Whether there was room for it."""
        if self.open:
            self.taken.append(facts)
        return self.open


def told(desk: Desk) -> list[tuple[str, int, int]]:
    """Cause, Template Type and count of what was reported."""
    return [(one["cause"], one["template_type"], one["count"]) for one in desk.taken]


def test_each_loss_is_reported() -> None:
    """Events would be lost without anybody knowing."""
    desk = Desk()
    ledger = Ledger("run", desk.take)
    ledger.add("SUSPECT_EVENT", 4, 1)
    ledger.add("SUSPECT_EVENT", 4, 2)
    ledger.add("RING_FULL", 1, 10)
    assert told(desk) == [("SUSPECT_EVENT", 4, 1), ("SUSPECT_EVENT", 4, 2), ("RING_FULL", 1, 10)]
    assert ledger.totals == {("SUSPECT_EVENT", 4): 3, ("RING_FULL", 1): 10}
    assert ledger.events == 13
    assert ledger.documents() == [
        {"cause": "RING_FULL", "template_type": 1, "count": 10},
        {"cause": "SUSPECT_EVENT", "template_type": 4, "count": 3},
    ]


def test_reports_have_names_of_their_own() -> None:
    """The cloud would take one loss for a repetition of another."""
    desk = Desk()
    ledger = Ledger("run", desk.take)
    for _ in range(3):
        ledger.add("X", 1, 1)
    assert [one["id"] for one in desk.taken] == ["run-loss-1", "run-loss-2", "run-loss-3"]
    assert all(one["from_unix_ns"] <= one["to_unix_ns"] for one in desk.taken)


def test_nothing_lost_is_nothing_reported() -> None:
    """The cloud would be told of losses that never were."""
    desk = Desk()
    ledger = Ledger("run", desk.take)
    ledger.add("X", 1, 0)
    ledger.add("X", 1, -5)
    assert not desk.taken
    assert not ledger.totals


def test_loss_without_room_is_reported_later_with_the_rest() -> None:
    """A loss while the cloud is away would never be told."""
    desk = Desk()
    ledger = Ledger("run", desk.take)
    desk.open = False
    ledger.add("X", 1, 2, since=1000)
    ledger.add("X", 1, 3)
    ledger.add("Y", 2, 1)
    desk.open = True
    ledger.report_pending()
    ledger.report_pending()
    assert told(desk) == [("X", 1, 5), ("Y", 2, 1)]
    assert desk.taken[0]["from_unix_ns"] == 1000
    assert ledger.events == 6


def test_counters_of_the_kernel_are_taken_over_as_differences() -> None:
    """Losses in the kernel would be counted again at every look, or not at all."""
    desk, counters = Desk(), memory(4096)
    kept = os.dup(counters)
    said = [
        {"cause": "RING_FULL", "template_type": 1},
        {"cause": "LINEAGE_FULL", "template_type": 0},
    ]
    found = from_message(attached({"rings": [ring(1)], "counters": said}, (memory(), counters)))
    ledger = Ledger("run", desk.take)
    ledger.watch(found)
    count(kept, 0, 5)
    ledger.watch(found)
    ledger.watch(found)
    count(kept, 0, 8)
    count(kept, 1, 100)
    ledger.watch(found)
    assert told(desk) == [("RING_FULL", 1, 5), ("RING_FULL", 1, 3), ("LINEAGE_FULL", 0, 100)]
    assert ledger.events == 8  # A full lineage map costs no event.
    ledger.collection_ended()
    count(kept, 0, 2)
    count(kept, 1, 0)
    ledger.watch(found)
    assert told(desk)[3:] == [("RING_FULL", 1, 2)]
    found.close()
    os.close(kept)


def test_a_look_reports_what_found_no_room() -> None:
    """A loss would wait for the next one before it is told."""
    desk = Desk()
    found = from_message(attached({"rings": [ring(1)]}, (memory(),)))
    ledger = Ledger("run", desk.take)
    desk.open = False
    ledger.add("X", 1, 2)
    desk.open = True
    ledger.watch(found)
    assert told(desk) == [("X", 1, 2)]
    found.close()
