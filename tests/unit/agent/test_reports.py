"""Reports: in order, bounded, kept until the link has stored them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.supervisor.limits import LIMITS, SupervisorLimits
from agent.supervisor.reports import Report, Reports


class Link:
    """Takes so many reports and then no more; keeps what it got."""

    def __init__(self, room: int = 10**9) -> None:
        self.room = room
        self.got: list[int] = []

    def take(self, report: Report) -> bool:
        """Whether there was room for it."""
        if self.room <= 0:
            return False
        self.room -= 1
        self.got.append(report.number)
        return True


def filled(count: int) -> Reports:
    """So many reports, numbered from 1."""
    reports = Reports()
    for _ in range(count):
        reports.add("crash", {})
    return reports


def test_sent_in_order_and_once() -> None:
    """Detections would arrive twice or out of order."""
    reports, link = filled(3), Link()
    reports.flush(link.take)
    reports.flush(link.take)
    reports.add("loss", {})
    reports.flush(link.take)
    assert link.got == [1, 2, 3, 4]
    assert reports.waiting == 4


def test_goes_on_where_the_link_had_no_room() -> None:
    """A slow link would lose reports, or get them twice."""
    reports, link = filled(5), Link(room=2)
    reports.flush(link.take)
    link.room = 10
    reports.flush(link.take)
    assert link.got == [1, 2, 3, 4, 5]


def test_next_link_gets_what_was_not_confirmed() -> None:
    """A link that dies would take reports with it."""
    reports, first, second = filled(5), Link(room=4), Link()
    reports.flush(first.take)
    assert reports.confirm(2)
    reports.resend()
    reports.flush(second.take)
    assert second.got == [3, 4, 5]


@pytest.mark.parametrize("number", [4, 10**9, -1, 1])
def test_confirmation_out_of_range_is_refused(number: int) -> None:
    """A broken link could make reports vanish that it never got."""
    reports, link = filled(5), Link(room=3)
    reports.flush(link.take)
    assert reports.confirm(2)
    assert not reports.confirm(number)
    assert reports.waiting == 3


def test_new_link_can_not_confirm_what_it_was_not_sent() -> None:
    """A confirmation for the link before would make reports vanish."""
    reports, link = filled(5), Link()
    reports.flush(link.take)
    reports.resend()
    assert not reports.confirm(3)
    reports.flush(Link(room=3).take)
    assert reports.confirm(3)


@pytest.mark.parametrize(
    ("limits", "accepted"),
    [(replace(LIMITS, reports=3), 3), (replace(LIMITS, report_bytes=2000), 2)],
)
def test_full_queue_refuses_and_counts(
    monkeypatch: pytest.MonkeyPatch, limits: SupervisorLimits, accepted: int
) -> None:
    """A cloud that is away would fill the memory, or detections vanish uncounted."""
    monkeypatch.setattr("agent.supervisor.reports.LIMITS", limits)
    reports = Reports()
    results = [reports.add("detections", {}, bytes(400), weight=7) for _ in range(5)]
    assert results == [True] * accepted + [False] * (5 - accepted)
    assert reports.dropped == 7 * (5 - accepted)
    reports.flush(Link().take)
    assert reports.confirm(accepted)
    assert reports.add("detections", {}, bytes(400))


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "flush", "confirm", "resend"]), st.integers(0, 6)),
    max_size=60,
)


@given(STEPS)
def test_any_order_loses_and_doubles_nothing(steps: list[tuple[str, int]]) -> None:
    """Some order of sending, dying and confirming would lose a report."""
    reports, got, stored, current = Reports(), set[int](), 0, list[int]()
    for step, size in steps:
        if step == "add":
            reports.add("crash", {}, bytes(size))
        elif step == "flush":
            link = Link(size)
            reports.flush(link.take)
            current += link.got
        elif step == "confirm" and current and reports.confirm(current[0]):
            stored = max(stored, current[0])
        elif step == "resend":
            got, current = got | set(current), []
            reports.resend()
        assert current == list(range(current[0], current[0] + len(current))) if current else True
    rest = Link()
    reports.resend()
    reports.flush(rest.take)
    assert rest.got == list(range(stored + 1, reports.last + 1))
    assert reports.confirm(reports.last)
    assert reports.waiting == 0
    assert reports._bytes == 0
