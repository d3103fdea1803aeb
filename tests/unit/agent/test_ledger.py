"""The loss ledger: every loss is counted once and reported once, sooner or later."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from agent.supervisor.hand_over import from_message
from agent.supervisor.ledger import SECOND, Ledger
from agent.supervisor.limits import LIMITS
from content.flooders import PID_BITS, TICK_NANOSECONDS
from tests.unit.agent.ring_memory import attached, count, memory, ring

THEIR_START = {"start_time": 6 * TICK_NANOSECONDS}
UP_NS = 3600 * SECOND
WALL_NS = 1_800_000_000 * SECOND


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


@dataclass(slots=True)
class Times:
    """Clocks of the test's: since boot, and on the wall."""

    up: int = UP_NS
    on_the_wall: int = WALL_NS

    def clock(self) -> int:
        """Nanoseconds since boot."""
        return self.up

    def wall(self) -> int:
        """Unix time, which somebody may set."""
        return self.on_the_wall

    def pass_by(self, nanoseconds: int) -> None:
        """Time passes for both."""
        self.up += nanoseconds
        self.on_the_wall += nanoseconds


@pytest.fixture
def times() -> Times:
    """An hour after boot."""
    return Times()


def told(desk: Desk) -> list[tuple[str, int, int]]:
    """Cause, Template Type and count of what was reported."""
    return [(one["cause"], one["template_type"], one["count"]) for one in desk.taken]


def test_each_loss_is_reported(times: Times) -> None:
    """Events would be lost without anybody knowing."""
    desk = Desk()
    ledger = Ledger("run", desk.take, times.clock, times.wall)
    ledger.add("SUSPECT_EVENT", 4, 1)
    ledger.add("SUSPECT_EVENT", 4, 2)
    ledger.add("RING_FULL", 1, 10)
    assert told(desk) == [("SUSPECT_EVENT", 4, 1), ("SUSPECT_EVENT", 4, 2), ("RING_FULL", 1, 10)]
    assert ledger.totals == {("SUSPECT_EVENT", 4): 3, ("RING_FULL", 1): 10}
    assert ledger.events == 13
    assert ledger.documents() == [
        {
            "from_unix_ns": WALL_NS,
            "to_unix_ns": WALL_NS,
            "cause": cause,
            "template_type": number,
            "count": count,
            "missing": "an event",
        }
        for cause, number, count in (("RING_FULL", 1, 10), ("SUSPECT_EVENT", 4, 3))
    ]
    assert [one["id"] for one in ledger.records] == [f"run-loss-{n}" for n in (1, 2, 3)]


def test_reports_have_names_of_their_own(times: Times) -> None:
    """The cloud would take one loss for a repetition of another."""
    desk = Desk()
    ledger = Ledger("run", desk.take, times.clock, times.wall)
    for _ in range(3):
        ledger.add("X", 1, 1)
    assert [one["id"] for one in desk.taken] == ["run-loss-1", "run-loss-2", "run-loss-3"]
    assert all(one["from_unix_ns"] <= one["to_unix_ns"] for one in desk.taken)


def test_nothing_lost_is_nothing_reported(times: Times) -> None:
    """The cloud would be told of losses that never were."""
    desk = Desk()
    ledger = Ledger("run", desk.take, times.clock, times.wall)
    ledger.add("X", 1, 0)
    ledger.add("X", 1, -5)
    assert not desk.taken
    assert not ledger.totals


def test_loss_without_room_is_reported_later_with_the_rest(times: Times) -> None:
    """A loss while the cloud is away would never be told."""
    desk = Desk()
    ledger = Ledger("run", desk.take, times.clock, times.wall)
    desk.open = False
    ledger.add("X", 1, 2, since=1000)
    ledger.add("X", 1, 3)
    ledger.add("Y", 2, 1)
    desk.open = True
    ledger.report_pending()
    ledger.report_pending()
    assert told(desk) == [("X", 1, 5), ("Y", 2, 1)]
    assert desk.taken[0]["from_unix_ns"] == WALL_NS - UP_NS + 1000
    assert ledger.events == 6


def test_counters_of_the_kernel_are_taken_over_as_differences(times: Times) -> None:
    """Losses in the kernel would be counted again at every look, or not at all."""
    desk, counters = Desk(), memory(4096)
    kept = os.dup(counters)
    said = [
        {"cause": "RING_FULL", "template_type": 1},
        {"cause": "LINEAGE_FULL", "template_type": 0},
    ]
    found = from_message(attached({"rings": [ring(1)], "counters": said}, (memory(), counters)))
    ledger = Ledger("run", desk.take, times.clock, times.wall)
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


def test_a_flood_is_told_with_the_processes_behind_it(times: Times) -> None:
    """An operator would learn that events are missing, but not who has made them so."""
    desk, counters = Desk(), memory(4096)
    kept = os.dup(counters)
    fields = {
        "rings": [ring(1)],
        "counters": [{"cause": "FLOOD", "template_type": 1}],
        "flooders": [1, 1],
    }
    found = from_message(attached(fields, (memory(), counters)))
    ledger = Ledger("run", desk.take, times.clock, times.wall)
    count(kept, 0, 10)
    for slot, word in enumerate((5 << PID_BITS | 42, 7, 0, 6 << PID_BITS | 43, 2, 0), 1):
        count(kept, slot, word)
    ledger.watch(found)
    first = {"pid": 42, "start_time": 5 * TICK_NANOSECONDS, "refused": 7}
    assert desk.taken[0]["processes"] == [first, {**first, "pid": 43, **THEIR_START, "refused": 2}]
    count(kept, 0, 14)
    count(kept, 2, 11)
    ledger.watch(found)
    assert desk.taken[1]["processes"] == [{**first, "refused": 4}]
    (total,) = ledger.documents()
    assert (total["count"], total["processes"][0]) == (14, {**first, "refused": 11})
    ledger.collection_ended()
    count(kept, 0, 1)
    count(kept, 2, 0)
    count(kept, 5, 1)
    ledger.watch(found)
    assert [one["pid"] for one in desk.taken[2]["processes"]] == [43]
    found.close()
    os.close(kept)


def test_a_look_reports_what_found_no_room(times: Times) -> None:
    """A loss would wait for the next one before it is told."""
    desk = Desk()
    found = from_message(attached({"rings": [ring(1)]}, (memory(),)))
    ledger = Ledger("run", desk.take, times.clock, times.wall)
    desk.open = False
    ledger.add("X", 1, 2)
    desk.open = True
    ledger.watch(found)
    assert told(desk) == [("X", 1, 2)]
    found.close()


def test_a_clock_that_is_set_back_turns_no_span_around(times: Times) -> None:
    """A loss would end before it began, or seem to have lasted for years."""
    desk = Desk()
    ledger = Ledger("run", desk.take, times.clock, times.wall)
    began = times.up
    times.pass_by(5 * SECOND)
    times.on_the_wall -= 3600 * SECOND
    ledger.add("RING_FULL", 1, 2, began)
    times.on_the_wall += 7200 * SECOND
    ledger.add("SUSPECT_EVENT", 1, 2, began)
    assert [one["to_unix_ns"] - one["from_unix_ns"] for one in desk.taken] == [5 * SECOND] * 2
    assert desk.taken[0]["to_unix_ns"] == WALL_NS + 5 * SECOND - 3600 * SECOND


@pytest.mark.parametrize(("since", "until"), [(9, 3), (-5, 4), (UP_NS + 9, UP_NS + 20), (7, None)])
def test_whatever_is_given_a_span_is_one(times: Times, since: int, until: int | None) -> None:
    """A collector's nonsense would make a loss that ends before it began, or in the future."""
    desk = Desk()
    ledger = Ledger("run", desk.take, times.clock, times.wall)
    ledger.add("POLL_GAP", 0, 1, since, until)
    (report,) = desk.taken
    assert WALL_NS - UP_NS <= report["from_unix_ns"] <= report["to_unix_ns"] <= WALL_NS


def test_what_is_less_than_an_event_is_gathered(times: Times) -> None:
    """A host with long command lines would send the cloud two reports a second, for ever."""
    desk = Desk()
    ledger = Ledger("run", desk.take, times.clock, times.wall)
    for _ in range(10):
        ledger.add("FIELD_TRUNCATED", 1, 3)
        times.pass_by(SECOND)
    assert told(desk) == []
    assert ledger.totals == {("FIELD_TRUNCATED", 1): 30}
    times.pass_by(int(LIMITS.small_losses_seconds) * SECOND)
    ledger.report_pending()
    assert told(desk) == [("FIELD_TRUNCATED", 1, 30)]
    assert desk.taken[0]["from_unix_ns"] == WALL_NS
    assert desk.taken[0]["to_unix_ns"] == WALL_NS + 9 * SECOND
    assert ledger.events == 0


def test_nothing_is_left_when_the_sensor_stops(times: Times) -> None:
    """What was gathered would be forgotten with the supervisor."""
    desk = Desk()
    ledger = Ledger("run", desk.take, times.clock, times.wall)
    ledger.add("READ_FAULT", 2, 1)
    ledger.report_pending()
    assert told(desk) == []
    ledger.report_pending(all_of_it=True)
    assert told(desk) == [("READ_FAULT", 2, 1)]


def test_a_stretch_that_cost_nothing_is_told(times: Times) -> None:
    """Nobody would learn that there was no evaluator, only because nothing happened then."""
    desk = Desk()
    ledger = Ledger("run", desk.take, times.clock, times.wall)
    ledger.record("EVALUATOR_DOWN", 0, 0, times.up - SECOND)
    assert told(desk) == [("EVALUATOR_DOWN", 0, 0)]
