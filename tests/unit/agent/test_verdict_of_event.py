"""Who is to be stopped, as an event says it."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from agent.evaluator.detections import Frame, Source, frames, verdict
from bulkhead.v1 import report_pb2
from content.definitions import Rung, load_definitions
from content.interpreter import Match
from content.kernel_prevention import PROCESS as PROCESS_NAME
from content.model import Disposition
from content.record import encode
from tests.unit.content.examples import INSTANCE
from tests.unit.content.examples import channel_file as file_of

PROCESS = load_definitions()[1]
MATCH: Any = SimpleNamespace(row=0, instance=SimpleNamespace(id="instance"))


def number(name: str) -> int:
    """The number of a field."""
    return next(field.number for field in PROCESS.fields if field.name == name)


def test_pid_and_start_time() -> None:
    """Nobody, or another process, would be stopped."""
    inputs = {number("pid"): 77, number("start_time"): 5_000}
    found = verdict(MATCH, PROCESS, encode(PROCESS, inputs, rung=Rung.BPF_BTF), 9)
    assert (found["pid"], found["start_time"], found["instance"]) == (77, 5_000, "instance")
    assert found["sequence"] == 9


def test_what_an_earlier_record_left_behind_is_no_start_time() -> None:
    """On a rung without start times, another event's would be taken from the ring's memory."""
    records = encode(PROCESS, {number("pid"): 77}, rung=Rung.BPF_TRACEPOINT)
    records["start_time"] = 9_999
    assert verdict(MATCH, PROCESS, records, 0)["start_time"] == 0


def frame_of(
    outcome: str | None,
    disposition: Disposition,
    *,
    prevents: bool = True,
    observed: str | None = "exec",
) -> Frame:
    """The frame of one event that an instance has matched; outcome: as the kernel reports it."""
    assert PROCESS.name == PROCESS_NAME
    inputs = {number("pid"): 77, number("start_time"): 5_000}
    if outcome is not None:
        values = PROCESS.field(number("prevention")).values
        inputs[number("prevention")] = values[outcome]
    if observed is not None:
        inputs[number("observed")] = PROCESS.field(number("observed")).values[observed]
    file = file_of(replace(INSTANCE, disposition=disposition))
    match = Match(row=0, channel_file=file, instance=file.instances[0], clause=0)
    records = encode(PROCESS, inputs, rung=Rung.BPF_BTF)
    (frame,) = frames([match], PROCESS, records, Source("epoch", 0, 0, prevents=prevents), 10_000)
    return frame


@pytest.mark.parametrize(
    ("outcome", "prevents", "told", "verdicts"),
    [
        ("none", True, report_pb2.PREVENTION_VERDICT, 1),
        (None, True, report_pb2.PREVENTION_VERDICT, 1),
        ("kernel", True, report_pb2.PREVENTION_KERNEL, 0),
        ("kernel", False, report_pb2.PREVENTION_KERNEL, 0),
        ("none", False, report_pb2.PREVENTION_OFF, 0),
    ],
)
def test_what_is_done_about_a_match(
    outcome: str | None, *, prevents: bool, told: int, verdicts: int
) -> None:
    """A program would be stopped twice, or against the policy, or nobody would hear of it."""
    frame = frame_of(outcome, Disposition.PREVENT, prevents=prevents)
    (found,) = report_pb2.DetectionBatch.FromString(frame.payload).detections
    assert (found.prevention, len(frame.verdicts)) == (told, verdicts)


@pytest.mark.parametrize("prevents", [True, False])
def test_what_ran_already_is_never_stopped(*, prevents: bool) -> None:
    """A restart of the sensor would kill programs that have run for weeks."""
    frame = frame_of("none", Disposition.PREVENT, prevents=prevents, observed="already_running")
    (found,) = report_pb2.DetectionBatch.FromString(frame.payload).detections
    told = (found.prevention, frame.verdicts)
    assert told == (report_pb2.PREVENTION_ALREADY_RUNNING, ())


def test_an_instance_that_detects_says_nothing_of_prevention() -> None:
    """It would seem to have stopped what another instance stopped."""
    frame = frame_of("kernel", Disposition.DETECT)
    (found,) = report_pb2.DetectionBatch.FromString(frame.payload).detections
    assert (found.prevention, frame.verdicts) == (report_pb2.PREVENTION_UNSPECIFIED, ())


def test_an_outcome_that_an_earlier_record_left_behind_is_none() -> None:
    """A rung that can't prevent would seem to have done so."""
    records = encode(PROCESS, {number("pid"): 77}, rung=Rung.PSUTIL)
    records["prevention"] = PROCESS.field(number("prevention")).values["kernel"]
    records["observed"] = PROCESS.field(number("observed")).values["already_running"]
    file = file_of(replace(INSTANCE, disposition=Disposition.PREVENT))
    match = Match(row=0, channel_file=file, instance=file.instances[0], clause=0)
    (frame,) = frames([match], PROCESS, records, Source("epoch", 0, 0), 10_000)
    assert len(frame.verdicts) == 1
