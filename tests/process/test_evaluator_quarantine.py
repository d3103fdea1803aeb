"""The shipped evaluator with an instance in quarantine: it is not run, told, and counted."""

from dataclasses import replace

from agent import attribution
from bulkhead.v1 import report_pb2
from content.channel_file import content_hash, pack
from content.instance_digest import instance_digests
from content.model import ChannelFile, Sample
from tests.process.cloud_files import IPC, channel_file
from tests.process.supervised_evaluator import SHIPPED, evaluator

PATH = next(one.number for one in IPC.fields if one.name == "path")
EVENTS: list[dict[str, int | bytes]] = [
    {"path": b"/run/%d" % number, "image": b"/usr/bin/mkfifo", "command_line": b"intruder"}
    for number in range(20)
]


def two() -> ChannelFile:
    """A valid file with two instances that match the same events; the first has a false sample."""
    file = channel_file(1)
    wrong = (
        Sample("not so", must_match=True, inputs={PATH: b"/run/8"}),
        Sample("nor so", must_match=False, inputs={PATH: b"/run/9"}),
    )
    bad = replace(file.instances[0], id="test-bad", samples=wrong)
    return replace(file, instances=(bad, *file.instances))


PAYLOAD = pack(two())
DIGESTS = [one.hex() for one in instance_digests(PAYLOAD, two())]


def test_it_is_left_out_and_the_others_go_on() -> None:
    """Poison would be run again, or nobody know what was not decided because it is not."""
    with evaluator(
        SHIPPED, PAYLOAD, trial=False, events=EVENTS, quarantined=DIGESTS[:1]
    ) as supervised:
        ready = supervised.next()
        assert ready.kind == "ready", ready.fields
        assert ready["files"][0]["instances"] == 1
        supervised.go()
        fault, undecided, frame = (supervised.next() for _ in range(3))
        name, digest = attribution.named(supervised.record, 0)
    assert (fault["instance"], fault["reason"]) == ("test-bad", "INSTANCE_QUARANTINED")
    assert (fault["hash"], fault["detail"]) == (content_hash(PAYLOAD).hex(), DIGESTS[0])
    assert (undecided["ring"], undecided["rows"]) == (IPC.number, len(EVENTS))
    batch = report_pb2.DetectionBatch.FromString(frame.payload)
    assert [one.instance_id for one in batch.detections] == ["test-word"] * len(EVENTS)
    assert (name, digest) == ("test-word", DIGESTS[1])


def test_in_a_trial_its_samples_are_not_run() -> None:
    """A new version of a file could never be active while it carries one poison instance."""
    with evaluator(SHIPPED, PAYLOAD, trial=True) as supervised:
        assert supervised.next().kind == "rejected"
    with evaluator(SHIPPED, PAYLOAD, trial=True, quarantined=DIGESTS[:1]) as supervised:
        assert supervised.next().kind == "ready"


def test_all_instances_may_be_left_out() -> None:
    """The last instance of a file that is quarantined would cost the whole file, with an error."""
    with evaluator(SHIPPED, PAYLOAD, trial=True, events=EVENTS, quarantined=DIGESTS) as supervised:
        ready = supervised.next()
        assert ready.kind == "ready", ready.fields
        supervised.go()
        kinds = [supervised.next() for _ in range(4)]
    assert [one.kind for one in kinds] == ["fault", "fault", "undecided", "frame"]
    assert kinds[2]["rows"] == 2 * len(EVENTS)
