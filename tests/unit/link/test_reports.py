"""From the supervisor's facts to the wire: every kind of field, and everything that is none."""

from typing import Any

import pytest

from agent.link import reports
from agent.link.errors import ReportError
from agent.link.limits import LIMITS
from agent.link.wire_enums import name_of, names, number_of
from bulkhead.v1 import report_pb2

HASH = "ab" * 32


def crash(**facts: Any) -> report_pb2.CrashReport:
    """A crash report from facts."""
    return reports.crash(facts)


def test_each_kind_of_value_is_taken_over() -> None:
    """A fact of the supervisor arrives as something else, or not at all."""
    assert crash(
        id="c", signal=11, exit_code=-1, role="collector", suspect_content_hash=HASH, in_trial=1
    ) == report_pb2.CrashReport(
        id="c",
        signal=11,
        exit_code=-1,
        role=report_pb2.ROLE_COLLECTOR,
        suspect_content_hash=b"\xab" * 32,
        in_trial=True,
    )


def test_attempts_are_named_and_counted() -> None:
    """The cloud would hear that an evaluator died, and not what it tried."""
    many = {f"call {number}": number for number in range(100)}
    (found, *others) = crash(attempts={"openat": 2}).attempts
    assert (found.name, found.count, others) == ("openat", 2, [])
    assert len(crash(attempts=many).attempts) == LIMITS.named_attempts


@pytest.mark.parametrize("attempts", [{"openat": "1"}, {"openat": -1}, {"openat": None}])
def test_an_attempt_without_a_count_is_named(attempts: dict[str, Any]) -> None:
    """A wrong count would end the link."""
    with pytest.raises(ReportError, match="MALFORMED_REPORT: count"):
        crash(attempts=attempts)


@pytest.mark.parametrize(
    "facts",
    [
        {"no_such_field": 1},
        {"id": 7},
        {"id": None},
        {"signal": "11"},
        {"signal": True},
        {"signal": -1},
        {"signal": 2**32},
        {"signal": 1.5},
        {"role": "root"},
        {"role": "unspecified"},
        {"role": 3},
        {"in_trial": 2},
        {"suspect_content_hash": "xyz"},
        {"suspect_content_hash": 5},
        {"attempts": ["openat"]},
    ],
)
def test_whatever_is_not_a_fact_is_named(facts: dict[str, Any]) -> None:
    """A wrong fact is coerced, or ends the link with a foreign error."""
    (name,) = facts
    with pytest.raises(ReportError, match=f"MALFORMED_REPORT: {name}"):
        crash(**facts)


def test_a_repeated_field_is_no_plain_fact() -> None:
    """A structured field is filled with rubbish."""
    with pytest.raises(ReportError, match="problems"):
        reports.from_facts(report_pb2.ContentAcknowledgement(), {"problems": []})


def test_texts_are_capped_and_made_fit_for_the_wire() -> None:
    """A lone surrogate or an endless text from the supervisor ends the link."""
    assert crash(cause="x\udcff").cause == "x\\udcff"
    assert len(crash(cause="x" * 10_000).cause) == LIMITS.text_characters


def test_a_heartbeat_leaves_out_what_the_wire_does_not_know() -> None:
    """A new fact of the supervisor stops all heartbeats."""
    beat = reports.heartbeat({"events_lost": 2, "new": []}, "psutil", [], 5)
    assert beat == report_pb2.Heartbeat(time_unix_ns=5, rung=report_pb2.RUNG_PSUTIL, events_lost=2)


def test_a_heartbeat_says_how_much_content_was_tried() -> None:
    """A rollout would never have evidence, or that of other content."""
    facts = {"evaluations": [[HASH, 7]], "evaluation_ns": 900, "evaluator_memory_bytes": 5}
    beat = reports.heartbeat(facts, "psutil", [], 5)
    (one,) = beat.evaluations
    assert (one.content_hash, one.events) == (b"\xab" * 32, 7)
    assert (beat.evaluation_ns, beat.evaluator_memory_bytes) == (900, 5)


@pytest.mark.parametrize("wrong", [7, [7], [[HASH]], [[HASH, "7"]], [["ab", 7]], [[HASH, 7, 8]]])
def test_evaluations_of_another_form_are_refused(wrong: object) -> None:
    """Whatever the supervisor says would end the link, or be told as something else."""
    with pytest.raises(ReportError):
        reports.heartbeat({"evaluations": wrong}, "psutil", [], 5)


def entry(**changes: Any) -> dict[str, Any]:
    """An active file as the supervisor tells it."""
    return {"template_type": 1, "version": 2, "hash": HASH, "state": "accepted"} | changes


def test_active_files_are_taken_over() -> None:
    """The cloud believes other content active than is."""
    (file,) = reports.active_files([entry()])
    assert file == report_pb2.ActiveChannelFile(
        template_type=1,
        version=2,
        content_hash=b"\xab" * 32,
        state=report_pb2.CONTENT_STATE_ACCEPTED,
    )


@pytest.mark.parametrize(
    "wrong",
    [
        entry(hash="ab"),
        entry(hash=None),
        entry(state="forgotten"),
        entry(version=-1),
        entry(version="2"),
        entry(template_type=2**40),
        {"hash": HASH},
        "not an object",
    ],
)
def test_an_entry_that_is_none_is_refused(wrong: Any) -> None:
    """Half an entry is told to the cloud."""
    with pytest.raises(ReportError, match="MALFORMED_REPORT"):
        reports.active_files([wrong])


def problem(**changes: Any) -> dict[str, Any]:
    """A problem as the supervisor tells it."""
    return {"reason": "R", "place": "p", "found": "f", "expected": "e"} | changes


def test_an_acknowledgement_is_bounded() -> None:
    """An evaluator that finds endless problems fills the outbox."""
    told = reports.acknowledgement(HASH, "rejected", [problem(found="x" * 10**6)] * 1000)
    assert len(told.problems) == LIMITS.problems
    assert len(told.problems[0].found) == LIMITS.text_characters


@pytest.mark.parametrize("wrong", [problem(reason=1), {"reason": "R"}, None])
def test_a_problem_that_is_none_is_refused(wrong: Any) -> None:
    """The author is told half a reason."""
    with pytest.raises(ReportError):
        reports.acknowledgement(HASH, "rejected", [wrong])


def batch(*ids: str) -> bytes:
    """A serialised batch."""
    detections = [report_pb2.Detection(id=one) for one in ids]
    return report_pb2.DetectionBatch(detections=detections).SerializeToString()


def test_a_batch_is_read() -> None:
    """Detections don't leave the host."""
    assert [one.id for one in reports.detections(batch("a", "b" * 128)).detections] == [
        "a",
        "b" * 128,
    ]


@pytest.mark.parametrize(
    ("payload", "count"),
    [
        (b"", 1),
        (b"\xff\xff", 1),
        (batch("ok", ""), 2),
        (batch("with space"), 1),
        (batch("line\n"), 1),
        (batch("x" * 129), 1),
        (batch("ok") + b"\x7a\x01x", 1),
        (batch("a", "b", "c") + b"\xfa\x01\x00", 3),
    ],
)
def test_what_the_cloud_would_refuse_is_refused_here(payload: bytes, count: int) -> None:
    """One bad batch blocks the outbox for ever, or is lost without being counted in full."""
    with pytest.raises(ReportError, match="MALFORMED_REPORT") as caught:
        reports.detections(payload)
    assert caught.value.count == count


def test_unknown_fields_deep_inside_are_found() -> None:
    """A field that the cloud does not know hides within a detection."""
    inner = report_pb2.Detection(id="a").SerializeToString() + b"\xfa\x01\x00"
    payload = b"\x0a" + bytes([len(inner)]) + inner
    with pytest.raises(ReportError, match="does not know"):
        reports.detections(payload)


def test_enum_names_lead_there_and_back() -> None:
    """A state or a rung is told under another's name."""
    for enum in (report_pb2.Rung.DESCRIPTOR, report_pb2.ContentState.DESCRIPTOR):
        for name in names(enum):
            number = number_of(enum, name)
            assert number
            assert name_of(enum, number) == name
        assert number_of(enum, "unspecified") is None
        assert number_of(enum, "") is None
        assert name_of(enum, 0) is None
        assert name_of(enum, 999) is None
    assert names(report_pb2.Rung.DESCRIPTOR)[0] == "bpf_btf"
