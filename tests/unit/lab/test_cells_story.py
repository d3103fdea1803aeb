"""What happens next in a cell, and what a cell's story comes to."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from lab.cells.judging import judge
from lab.cells.model import Outcome
from lab.cells.story import RESCUE, SWITCH_OFF, Boot, End, Line, Next, after, panic_of

CONSOLE = """[    9.1] general protection fault, probably for non-canonical address: 0000
[    9.1] RIP: 0010:bulkhead_evaluate+0x9a/0x2b0 [bulkhead_laboratory]
[    9.2] Kernel panic - not syncing: Fatal exception
"""


def _line(at: float, what: str, **facts: object) -> Line:
    said: dict[str, Any] = {"what": what, **facts}
    return Line(at, said)


def _canary(number: int, ran: float, detected: float) -> list[Line]:
    return [_line(ran, "ran", number=number), _line(detected, "detected", number=number)]


def _boot(lines: Sequence[Line], end: End = End.DONE, ended: float = 50.0) -> Boot:
    return Boot((_line(0.5, "boot", id="b1"), *lines), 0.0, ended, end)


def _panicked(point: str = "evaluate+0x9a", ended: float = 10.0) -> Boot:
    boot = _boot([_line(5.0, "fault")], End.PANICKED, ended)
    return replace(boot, point=point, panic="Kernel panic - not syncing: Fatal exception")


FACTS = {"events_lost": 0, "events_uncounted": 0, "said": "", "settled": "in force"}
BEFORE = [*_canary(0, 1.0, 1.2), _line(2.0, "fault")]


def test_a_serial_line_ends_its_lines_with_a_return() -> None:
    """A report would have it in the midst of its words, where it hides what stands before it."""
    _, panic = panic_of(CONSOLE.replace("\n", "\r\n"))
    assert panic == "Kernel panic - not syncing: Fatal exception"


def test_a_host_that_panics_is_started_again() -> None:
    """A reboot that would have helped would be counted as a repair."""
    assert after([_panicked()]) is Next.START_AGAIN
    assert after([_panicked(), _panicked()]) is Next.START_AGAIN


def test_three_panics_at_the_same_point_want_a_rescue() -> None:
    """The laboratory would start a host for ever that never comes back."""
    assert after([_panicked()] * 3) is Next.RESCUE
    assert after([_panicked(), _panicked("elsewhere"), _panicked()]) is Next.START_AGAIN


def test_a_host_whose_witness_is_killed_at_each_boot_wants_a_rescue() -> None:
    """A kernel that has eaten all memory would be started again without end."""
    ended = _boot([_line(2.0, "fault")], End.ENDED)
    assert after([ended, ended]) is Next.START_AGAIN
    assert after([ended, ended, ended]) is Next.RESCUE


def test_a_placement_that_can_not_start_is_given_up() -> None:
    """A host without BPF would be started a dozen times for nothing."""
    failed = _boot([_line(2.0, "failed", why="NOT_LOADED: no")], End.ENDED)
    assert (after([failed]), failed.failure) == (Next.GIVE_UP, "NOT_LOADED: no")


def test_a_silent_host_wants_a_rescue_and_only_one() -> None:
    """A host that hangs would be waited for without end."""
    silent = _boot([_line(2.0, "fault")], End.SILENT)
    assert after([silent]) is Next.RESCUE
    assert after([silent, replace(silent, rescued=True)]) is Next.GIVE_UP


def test_the_point_of_a_panic_is_its_instruction() -> None:
    """Three different panics would be taken for the same."""
    point, words = panic_of(CONSOLE)
    assert point == "bulkhead_evaluate+0x9a/0x2b0"
    assert words == "Kernel panic - not syncing: Fatal exception"
    assert panic_of("all is well") == ("", "")


def test_a_host_that_was_rescued_is_lost_and_each_step_counted() -> None:
    """A boot loop would look as if the host had come back by itself."""
    last = replace(_boot([*_canary(0, 101.0, 102.0)]), rescued=True)
    measured = judge([_panicked()] * 3 + [last], 120.0)
    assert measured.outcome is Outcome.HOST_LOST
    assert (measured.panics, measured.manual_steps) == (3, RESCUE)
    assert measured.restored_seconds is None
    assert measured.died == ("kernel",)


def test_a_silent_host_is_switched_off_first() -> None:
    """A step that a person has to do would not be counted."""
    last = replace(_boot([]), rescued=True)
    measured = judge([_boot([_line(2.0, "fault")], End.SILENT), last], 1.0)
    assert measured.manual_steps == (SWITCH_OFF, *RESCUE)


def test_a_contained_death_is_restored_by_a_canary_that_ran_after_it() -> None:
    """A detection of what ran before the death would count as protection after it."""
    death = _line(3.0, "died", name="evaluator", pid=7, how="SIGSEGV", ago=0.5)
    story = [*BEFORE, _line(2.4, "ran", number=1), death, _line(3.1, "detected", number=1)]
    story += [*_canary(2, 3.2, 3.9), _line(9.0, "after", died=["python (7)"])]
    measured = judge([_boot([*story, _line(9.1, "facts", **FACTS)])], 10.0)
    assert measured.outcome is Outcome.CONTAINED
    assert measured.restored_seconds == pytest.approx(1.4)
    assert measured.gap_seconds == pytest.approx(1.9)
    assert measured.died == ("evaluator (7)",)
    assert measured.host_up


@pytest.mark.parametrize(
    ("lines", "outcome"),
    [
        ([], Outcome.UNAFFECTED),
        ([_line(3.0, "wrong", detection="an ordinary pipe")], Outcome.WRONG_ANSWER),
        ([_line(3.0, "gone", why="died"), _line(4.0, "repair", step="x")], Outcome.AGENT_GONE),
    ],
)
def test_what_a_single_boot_comes_to(lines: list[Line], outcome: Outcome) -> None:
    """Reports would call a wrong answer or a dead agent harmless."""
    boot = _boot([*BEFORE, *lines, *_canary(1, 5.0, 5.5), _line(9.1, "facts", **FACTS)])
    assert judge([boot], 10.0).outcome is outcome


def test_a_refusal_is_told_from_content_that_did_nothing() -> None:
    """What was refused would look as if it had been evaluated."""
    refused = {**FACTS, "settled": "refused: ARITY_MISMATCH"}
    boot = _boot([*BEFORE, *_canary(1, 3.0, 3.1), _line(9.1, "facts", **refused)])
    assert judge([boot], 10.0).outcome is Outcome.REFUSED


def test_a_power_cut_is_a_restart_of_the_host() -> None:
    """A host that came back by itself would count as lost."""
    second = _boot([*_canary(0, 60.0, 61.0), _line(70.0, "facts", **FACTS)])
    measured = judge([_boot(BEFORE, End.CUT, 4.0), second], 80.0)
    assert measured.outcome is Outcome.HOST_RESTARTED
    assert measured.restored_seconds == pytest.approx(57.0)
