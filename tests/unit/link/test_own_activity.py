"""The sensor's own activity: told by pid and start time, and by nothing that can be imitated."""

from typing import Any

import pytest

from agent.channel import Message
from agent.link.errors import ReportError
from agent.link.limits import LIMITS
from agent.link.own_activity import OwnActivity
from bulkhead.v1 import report_pb2
from bulkhead.v1.channel_file_pb2 import FieldInput, Value
from content.definitions import TemplateType, load_definitions
from tests.unit.link.test_intake import intake, introduced, sensor

TYPES = load_definitions()
PID, STARTED = 4711, 1_234_560_000_000


def numbered(kind: TemplateType, name: str) -> int:
    """The number of a field."""
    return next(field.number for field in kind.fields if field.name == name)


def detection(kind: TemplateType, **actor: int) -> report_pb2.Detection:
    """A detection whose event has these fields."""
    inputs = [
        FieldInput(field=numbered(kind, name), value=Value(unsigned=value))
        for name, value in actor.items()
    ]
    return report_pb2.Detection(id="d", template_type=kind.number, inputs=inputs)


def marked(one: report_pb2.Detection, *processes: Any) -> bool:
    """Whether a detection is marked where these processes are ours."""
    own = OwnActivity(TYPES)
    own.know(processes)
    batch = report_pb2.DetectionBatch(detections=[one])
    own.mark(batch)
    assert own.detections == batch.detections[0].own_activity
    return batch.detections[0].own_activity


@pytest.mark.parametrize("kind", TYPES.values(), ids=lambda kind: kind.name)
def test_it_is_the_actor_that_counts_with_both_numbers(kind: TemplateType) -> None:
    """An attacker could look like the sensor, or the sensor like an attacker."""
    ours = [PID, STARTED]
    assert marked(detection(kind, pid=PID, start_time=STARTED), ours)
    assert not marked(detection(kind, pid=PID, start_time=STARTED + 10_000_000), ours)
    assert not marked(detection(kind, pid=PID + 1, start_time=STARTED), ours)
    assert not marked(detection(kind, start_time=PID, pid=STARTED), ours)
    assert not marked(detection(kind, pid=PID), ours)  # the rung knows no start times
    assert not marked(detection(kind, pid=PID, start_time=STARTED))


def test_what_the_evaluator_says_itself_does_not_count() -> None:
    """An evaluator that was taken over could call an attack the sensor's own."""
    one = detection(TYPES[1], pid=1, start_time=1)
    one.own_activity = True
    assert not marked(one, [PID, STARTED])


def test_a_type_that_is_unknown_here_is_not_marked() -> None:
    """A detection of a newer evaluator would end the link."""
    unknown = report_pb2.Detection(id="d", template_type=9999)
    assert not marked(unknown, [PID, STARTED])


@pytest.mark.parametrize("entry", [None, 5, [1], [1, 2, 3], ["1", 2], {"pid": 1}])
def test_rubbish_is_refused(entry: Any) -> None:
    """The link would end, or take something for a process of ours."""
    with pytest.raises(ReportError):
        OwnActivity(TYPES).know([entry])


def test_only_so_many_are_known() -> None:
    """The link's memory would grow with every process that the sensor ever starts."""
    many = [[pid, STARTED] for pid in range(1, LIMITS.own_processes + 2)]
    assert marked(detection(TYPES[1], pid=2, start_time=STARTED), *many)
    assert not marked(detection(TYPES[1], pid=1, start_time=STARTED), *many)


def test_what_the_supervisor_tells_marks_what_it_reports_afterwards() -> None:
    """The mark would never come into the log."""
    taking = intake()
    taking.take(Message("own", {"processes": [[PID, STARTED]]}))
    one = detection(TYPES[2], pid=PID, start_time=STARTED)
    batch = report_pb2.DetectionBatch(detections=[one])
    taking.take(Message("detections", {"report": 1}, batch.SerializeToString()))
    stored = taking.batch.reports[0].message
    assert isinstance(stored, report_pb2.DetectionBatch)
    assert stored.detections[0].own_activity
    assert taking.own_activity.detections == 1


def test_what_could_be_collected_is_supplied_and_what_can_not_be_had_is_not() -> None:
    """The cloud would offer no content for what is not attached yet, or for what never comes."""
    told = sensor()
    everything = {one.template_type.number for one in told.hello().supplied}
    assert everything == set(TYPES)
    taking = intake(told)
    taking.take(introduced(not_collected=[2, 9999]))
    assert {one.template_type.number for one in told.hello().supplied} == everything - {2}
    assert taking.identity_changed


def test_types_that_can_not_be_had_are_numbers() -> None:
    """The link would end at the session's next hello."""
    told = sensor()
    intake(told).take(introduced(not_collected=["2"]))
    assert {one.template_type.number for one in told.hello().supplied} == set(TYPES)
