"""The evaluator role with the unchecked interpreter, and the shipped one, on the same July file."""

import pytest

from agent import attribution, channel
from bulkhead.v1 import report_pb2
from lab import july19
from lab.unchecked import build
from tests import needs
from tests.process import locked
from tests.process.supervised_evaluator import IPC, SHIPPED, TYPES, UNCHECKED, evaluator

PIPE: dict[str, int | bytes] = {
    "operation": 3,
    "path": july19.PIPE_PATH + b"1",
    "image": b"/usr/bin/mkfifo",
    "pid": 7,
}


@pytest.fixture(params=["", locked.NOBODY], ids=["self", "nobody"])
def user(request: pytest.FixtureRequest) -> str:
    """Who runs the evaluator; built beforehand, as the demonstration does."""
    needs.require_command("cc", "gcc")
    build.build()
    name: str = request.param
    if name:
        locked.require_other_user()
    return name


def test_the_july_file_kills_the_uncheckedevaluator(user: str) -> None:
    """The contained crash would be another one, or nobody could say what caused it."""
    payload = july19.channel_file(TYPES, 1, wildcard=False)
    with evaluator(UNCHECKED, payload, trial=True, user=user) as supervised:
        ready = supervised.next()
        assert ready.kind == "ready", ready.fields
        assert ready["sandbox"]["seccomp"].startswith("wait for the supervisor")
        supervised.go()
        supervised.ring.append({"path": b"/run/ordinary", "operation": 1})
        assert locked.how(supervised.process.wait(20)) == "SIGSEGV"
        progress = attribution.read(supervised.record)
    assert (progress.ring, progress.position, progress.row) == (IPC.number, 0, 0)
    assert progress.instance_id == july19.INSTANCE_ID


def test_the_months_before_are_evaluated(user: str) -> None:
    """The unchecked evaluator would not be a working one that has a fault."""
    payload = july19.channel_file(TYPES, 1, wildcard=True)
    with evaluator(UNCHECKED, payload, trial=True, user=user) as supervised:
        assert supervised.next().kind == "ready"
        supervised.ring.append({"path": b"/run/ordinary", "operation": 1})
        supervised.ring.append(PIPE)
        supervised.go()
        frame = supervised.next()
        channel.send(supervised.ours, "stop")
        assert locked.how(supervised.process.wait(20)) == "exit 0"
    batch = report_pb2.DetectionBatch.FromString(frame.payload)
    assert [one.sequence for one in batch.detections] == [1]
    assert (frame["evaluated"], batch.detections[0].channel_file_version) == (2, 1)


@pytest.mark.parametrize("disguised", [False, True])
def test_the_shipped_evaluator_refuses_the_july_file(*, disguised: bool) -> None:
    """The same file would reach the same end in the product."""
    payload = july19.channel_file(TYPES, 1, wildcard=False)
    if disguised:
        payload = july19.disguised_channel_file(TYPES, 1)
    with evaluator(SHIPPED, payload, trial=True) as supervised:
        refused = supervised.next()
    assert refused.kind == "rejected"
    (file,) = refused["files"]
    reasons = {problem["reason"] for problem in file["problems"]}
    assert ("ARITY_MISMATCH" in reasons) is not disguised
    assert "FIELD_OUT_OF_RANGE" in reasons


def test_the_shipped_evaluator_refuses_it_even_if_it_was_tried_before() -> None:
    """A file that got past the trial, by whatever error, would be evaluated."""
    payload = july19.channel_file(TYPES, 1, wildcard=False)
    with evaluator(SHIPPED, payload, trial=False) as supervised:
        assert supervised.next().kind == "rejected"
