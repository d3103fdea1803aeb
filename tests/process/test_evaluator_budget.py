"""The shipped evaluator and an instance that takes too much: named, and nobody else is held up."""

from dataclasses import replace

from bulkhead.v1 import report_pb2
from content.channel_file import content_hash, pack
from content.model import ChannelFile, Clause, Criterion, Operator, Sample
from tests.process.cloud_files import IPC, channel_file
from tests.process.supervised_evaluator import SHIPPED, evaluator

PATH, IMAGE = (next(one.number for one in IPC.fields if one.name == n) for n in ("path", "image"))
EVENTS: list[dict[str, int | bytes]] = [
    {"path": b"/run/%d" % number, "image": b"/usr/bin/mkfifo", "command_line": b"intruder"}
    for number in range(300)
]


def costly() -> ChannelFile:
    """A valid file: one instance that is cheap, and one that judges every image 2,000 times."""
    file = channel_file(1)
    star = Criterion(IMAGE, Operator.GLOB, (b"*",))
    dear = Clause((*[star] * 31, replace(star, negated=True)))
    found = Clause((Criterion(PATH, Operator.EQUALS, (b"/run/7",)),))
    instance = replace(
        file.instances[0],
        id="test-costly",
        clauses=(found, *[dear] * 63),
        samples=(
            Sample("seven", must_match=True, inputs={PATH: b"/run/7"}),
            Sample("eight", must_match=False, inputs={PATH: b"/run/8"}),
        ),
    )
    return replace(file, instances=(instance, *file.instances))


def test_in_a_trial_its_file_is_refused_with_the_reason() -> None:
    """A file would be in force of which an instance is skipped from the first event on."""
    with evaluator(SHIPPED, pack(costly()), trial=True, events=EVENTS) as supervised:
        refused = supervised.next()
    assert refused.kind == "rejected", refused.fields
    (file,) = refused["files"]
    problem, *others = file["problems"]
    # On a slow machine the shadow run as a whole is over its time as well.
    assert {one["place"] for one in others} <= {"shadow run"}
    assert (problem["reason"], problem["place"]) == ("WORK_BUDGET_EXCEEDED", "instances[0]")
    assert "units, expected at most" in problem["found"]


def test_in_force_it_is_named_and_the_others_go_on() -> None:
    """One instance could hold up the evaluator until it is taken for dead."""
    payload = pack(costly())
    with evaluator(SHIPPED, payload, trial=False, events=EVENTS) as supervised:
        assert supervised.next().kind == "ready"
        supervised.go()
        undecided, frame, moved, fault = (supervised.next() for _ in range(4))
    assert (undecided.kind, undecided["ring"], undecided["rows"]) == ("undecided", 4, 299)
    batch = report_pb2.DetectionBatch.FromString(frame.payload)
    found = [(one.sequence, one.instance_id) for one in batch.detections]
    assert [row for row, name in found if name == "test-word"] == list(range(300))
    assert [row for row, name in found if name == "test-costly"] == [7]
    # All of it counts at once, with the position.
    assert (frame["position"], frame["evaluated"]) == (0, 0)
    assert (moved["evaluated"], moved["detections"]) == (len(EVENTS), 0)
    assert fault.kind == "fault"
    assert (fault["instance"], fault["reason"]) == ("test-costly", "WORK_BUDGET_EXCEEDED")
    assert fault["hash"] == content_hash(payload).hex()
