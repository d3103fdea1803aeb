"""What the supervisor says, and what a link makes of it."""

from typing import Any

import pytest

from agent.channel import Message, ProtocolViolationError
from agent.link.errors import ReportError
from agent.link.intake import Intake, identity
from agent.link.limits import LIMITS
from agent.link.sensor import Identity, Sensor, Software
from agent.link.store import Report
from bulkhead.v1 import report_pb2
from content.definitions import load_definitions

HASH = "ab" * 32
NOW_NS = 77


def sensor(rung: str = "bpf_btf") -> Sensor:
    """A sensor that has been introduced."""
    software = Software(load_definitions(), "1.2.3", "linux/test")
    return Sensor(Identity("agent", "run", rung, (), frozenset(), "boot"), software)


def intake(of: Sensor | None = None) -> Intake:
    """An intake for it."""
    return Intake(of or sensor(), lambda: NOW_NS)


def introduced(**changes: Any) -> Message:
    """An identity message."""
    names = {"agent": "agent", "run": "run", "rung": "bpf_btf", "boot_id": "boot"}
    return Message("identity", names | {"refused": [], "not_collected": [], "active": []} | changes)


def test_reports_are_gathered_in_order() -> None:
    """Reports are mixed up before they are stored."""
    taking = intake()
    payload = report_pb2.DetectionBatch(detections=[report_pb2.Detection(id="d")])
    taking.take(Message("detections", {"report": 1}, payload.SerializeToString()))
    taking.take(Message("crash", {"report": 2, "facts": {"id": "c"}}))
    taking.take(Message("loss", {"report": 3, "facts": {"id": "l", "count": 4}}))
    assert taking.batch.reports == [
        Report(1, payload),
        Report(2, report_pb2.CrashReport(id="c")),
        Report(3, report_pb2.LossReport(id="l", count=4)),
    ]


@pytest.mark.parametrize(
    "message",
    [
        Message("detections", {"report": 9}, b"\xff"),
        Message("crash", {"report": 9, "facts": {"unknown": 1}}),
        Message("loss", {"report": 9, "facts": {"count": "x"}}),
        Message("loss", {"report": 9, "facts": {"processes": {"pid": 1}}}),
        Message("loss", {"report": 9, "facts": {"processes": [1]}}),
        Message("loss", {"report": 9, "facts": {"processes": [{"pid": -1}]}}),
        Message("loss", {"report": 9, "facts": {"processes": [{"name": "x"}]}}),
    ],
)
def test_a_report_that_cannot_be_read_is_kept_as_a_loss(
    message: Message, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is sent again for ever, because nobody ever confirms it."""
    taking = intake()
    taking.take(message)
    assert taking.batch.reports == [Report(9, None, 1)]
    assert "MALFORMED_REPORT" in capsys.readouterr().err


def test_other_messages_that_cannot_be_read_are_left(capsys: pytest.CaptureFixture[str]) -> None:
    """A state that the wire does not know ends the link."""
    taking = intake()
    taking.take(Message("outcome", {"hash": HASH, "state": "forgotten", "problems": []}))
    taking.take(Message("state", {"facts": {"uptime_ms": "x"}, "active": []}))
    assert not taking.batch
    assert capsys.readouterr().err.count("MALFORMED_REPORT") == 2


def test_state_becomes_the_heartbeat_and_what_is_active() -> None:
    """The cloud sees an old state, or offers what is active already."""
    of = sensor()
    entry = {"template_type": 1, "version": 2, "hash": HASH, "state": "active"}
    intake(of).take(Message("state", {"facts": {"uptime_ms": 3}, "active": [entry]}))
    assert of.heartbeat is not None
    assert (of.heartbeat.time_unix_ns, of.heartbeat.uptime_ms) == (NOW_NS, 3)
    assert of.is_here(bytes.fromhex(HASH))
    assert of.hello().active[0].version == 2


def test_no_heartbeat_without_a_rung() -> None:
    """The cloud refuses a heartbeat that names no rung, and the session with it."""
    of = sensor(rung="")
    intake(of).take(Message("state", {"facts": {}, "active": []}))
    assert of.heartbeat is None


@pytest.mark.parametrize(
    ("state", "here"),
    [
        ("received", True),
        ("verified", True),
        ("trial", True),
        ("active", False),
        ("rejected", False),
        ("quarantined", False),
        ("rolled_back", False),
    ],
)
def test_an_outcome_says_whether_an_offer_needs_a_fetch(state: str, here: bool) -> None:  # noqa: FBT001 — a table
    """Content on trial is fetched again, or content that is gone is never fetched again.

    What is active is known from `state`, which forgets it again when something newer replaces it.
    """
    of = sensor()
    taking = intake(of)
    taking.take(Message("outcome", {"hash": HASH, "state": state, "problems": []}))
    assert of.is_here(bytes.fromhex(HASH)) is here
    assert taking.batch.acknowledgements[0].content_hash == bytes.fromhex(HASH)


def test_outcomes_are_forgotten_in_the_end() -> None:
    """A cloud that offers endlessly makes the link's memory grow."""
    of = sensor()
    for number in range(2000):
        of.note_outcome(number.to_bytes(32, "big"), "trial")
    assert not of.is_here((0).to_bytes(32, "big"))
    assert of.is_here((1999).to_bytes(32, "big"))


def test_a_changed_rung_is_noticed() -> None:
    """The session goes on with a hello that is no longer true, or is renewed for nothing."""
    of = sensor()
    same, other = intake(of), intake(of)
    same.take(introduced())
    other.take(introduced(rung="psutil"))
    assert (same.identity_changed, other.identity_changed) == (False, True)
    assert of.hello().rung == report_pb2.RUNG_PSUTIL


def test_the_cloud_is_told_who_refused_a_better_rung() -> None:
    """The cloud sees a lower rung and not why."""
    of = sensor()
    refused = {"rung": "bpf_btf", "reason": "BTF_MISSING", "detail": "vmlinux: No such file"}
    intake(of).take(introduced(rung="bpf_tracepoint", refused=[refused]))
    (told,) = of.hello().refused_rungs
    assert (told.rung, told.reason) == (report_pb2.RUNG_BPF_BTF, "BTF_MISSING")
    assert told.detail == "vmlinux: No such file"


@pytest.mark.parametrize("refused", ["bpf_btf", {"rung": "none"}, {"rung": ["bpf_btf"]}, 7])
def test_a_refusal_that_is_none_is_not_passed_on(refused: object) -> None:
    """A malformed entry ends the link, or every session with the cloud."""
    of = sensor()
    taking = intake(of)
    taking.take(introduced(rung="psutil", refused=[refused]))
    assert not taking.identity_changed
    assert of.hello().refused_rungs == []


@pytest.mark.parametrize("changed", [{"run": "other"}, {"agent": "other"}])
def test_another_run_or_agent_on_one_channel_is_a_violation(changed: dict[str, str]) -> None:
    """Reports of two runs are numbered alike and taken for each other."""
    with pytest.raises(ProtocolViolationError):
        intake().take(introduced(**changed))


def test_a_rung_that_the_ladder_does_not_have_is_named() -> None:
    """A misspelt rung ends in a foreign error."""
    with pytest.raises(ReportError, match="IDENTITY: rung 'bpf'"):
        identity(introduced(rung="bpf"))


def test_a_loss_names_processes_but_not_any_number() -> None:
    """The cloud would not learn who flooded a ring, or one report could hold any number."""
    named = [{"pid": pid, "start_time": 10, "refused": 100 - pid} for pid in range(1, 60)]
    taking = intake()
    taking.take(Message("loss", {"report": 1, "facts": {"id": "l", "processes": named}}))
    (report,) = taking.batch.reports
    assert isinstance(report.message, report_pb2.LossReport)
    told = report.message.processes
    assert [(one.pid, one.start_time, one.refused) for one in told[:2]] == [
        (1, 10, 99),
        (2, 10, 98),
    ]
    assert len(told) == LIMITS.named_processes


def test_what_a_link_is_not_told_is_a_violation() -> None:
    """A message for another role is passed over."""
    with pytest.raises(ProtocolViolationError, match="drain"):
        intake().take(Message("drain", {}))


def test_stop_is_noted() -> None:
    """A link goes on after it was told to stop."""
    taking = intake()
    taking.take(Message("stop", {}))
    assert taking.stopping
