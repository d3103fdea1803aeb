"""Detections and reports on their way through the real link to a real gRPC server: exactly once."""

import random
import time
from collections.abc import Iterator

import pytest

from bulkhead.v1 import report_pb2
from tests.process.link_cloud import ScriptedCloud, running_cloud
from tests.process.link_supervisor import ScriptedSupervisor, link_folders, running_link

KILLS_PER_TEST = 15


@pytest.fixture
def cloud() -> Iterator[ScriptedCloud]:
    """A cloud that is there."""
    with running_cloud() as running:
        yield running


@pytest.fixture
def supervisor(cloud: ScriptedCloud) -> Iterator[ScriptedSupervisor]:
    """A supervisor with a link to that cloud."""
    with running_link(cloud.address) as running:
        yield running


def detection(number: int) -> report_pb2.Detection:
    """A detection with that number in its id."""
    return report_pb2.Detection(
        id=f"d{number}", time_unix_ns=1_000_000 + number, template_type=1, title="t" * 200
    )


def detect(supervisor: ScriptedSupervisor, count: int) -> list[str]:
    """Queue that many reports of one detection each; their ids."""
    first = supervisor.reports
    for number in range(first, first + count):
        supervisor.detect(detection(number))
    return [f"d{number}" for number in range(first, first + count)]


def test_detections_are_stored_logged_and_delivered_once(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor
) -> None:
    """The plain way is broken: something is lost, doubled or out of order on a quiet day."""
    expected = detect(supervisor, 500)
    supervisor.until_stored()
    supervisor.until(lambda: len(cloud.detections()) >= 500)
    supervisor.until(lambda: supervisor.facts["outbox"] == 0)
    assert cloud.detections() == expected
    assert supervisor.logged() == expected
    assert cloud.repeated == 0


def test_the_cloud_restarts_under_load(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor
) -> None:
    """A cloud that goes away in mid-stream loses detections or gets them twice."""
    expected = []
    for _ in range(4):
        expected += detect(supervisor, 400)
        enough = len(expected) - 200
        supervisor.until(lambda enough=enough: len(cloud.detections()) >= enough)  # type: ignore[misc]
        cloud.stop()
        expected += detect(supervisor, 50)
        supervisor.until_stored()
        cloud.start()
    supervisor.until(lambda: len(cloud.detections()) >= len(expected))
    assert cloud.detections() == expected
    assert supervisor.logged() == expected


def test_nothing_is_lost_while_there_is_no_cloud() -> None:
    """Storing depends on the cloud, or what was stored before it was reachable is not sent."""
    absent = ScriptedCloud()
    absent.start()
    absent.stop()  # keeps its port
    with running_link(absent.address) as supervisor:
        expected = detect(supervisor, 300)
        supervisor.until_stored()
        supervisor.until(lambda: supervisor.facts.get("outbox") == 300)
        assert supervisor.facts["connected"] == 0
        supervisor.kill()
        supervisor.start()
        absent.start()
        try:
            supervisor.until(lambda: len(absent.detections()) == 300, 15.0)
            supervisor.until(lambda: supervisor.facts["connected"] == 1)
            assert absent.detections() == expected == supervisor.logged()
        finally:
            absent.stop()


@pytest.mark.parametrize("seed", [20260719, 20260806])
def test_sigkill_at_any_moment_loses_and_doubles_nothing(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor, seed: int
) -> None:
    """A kill between log, outbox and confirmation loses or doubles a detection."""
    chance = random.Random(seed)  # noqa: S311 — repeatable, not secret
    expected: list[str] = []
    for _ in range(KILLS_PER_TEST):
        expected += detect(supervisor, 300)
        if chance.random() < 0.7:  # mostly under load, sometimes while starting
            already = supervisor.stored
            supervisor.until(lambda already=already: supervisor.stored > already)  # type: ignore[misc]
        end = time.monotonic() + chance.uniform(0.0, 0.1)
        while time.monotonic() < end:
            supervisor.turn()
        supervisor.kill()
        supervisor.start()
    supervisor.until_stored()
    supervisor.until(lambda: len(cloud.detections()) >= len(expected))
    assert cloud.detections() == expected
    assert supervisor.logged() == expected


def test_a_cloud_that_reads_nothing_does_not_hold_up_storing(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor
) -> None:
    """A stalled cloud blocks the supervisor's reports, or the link's heartbeats."""
    cloud.reading = False
    supervisor.until(lambda: supervisor.facts.get("connected") == 1)
    expected = [f"d{n}" for n in range(600)]
    for number in range(600):
        one = detection(number)
        one.title = "t" * 20_000
        supervisor.detect(one)
    supervisor.until_stored(15.0)
    supervisor.until(lambda: supervisor.facts["outbox"] == 600)
    assert not cloud.detections()
    cloud.reading = True
    supervisor.until(lambda: len(cloud.detections()) == 600)
    assert cloud.detections() == expected == supervisor.logged()


def test_a_supervisor_that_reads_nothing_does_not_hold_up_delivery(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor
) -> None:
    """A stalled supervisor stops the link from sending, or makes the two wait for each other."""
    expected = detect(supervisor, 50)
    supervisor.until_stored()
    # More heartbeats and confirmations than a queue holds would come; nobody reads them.
    end = time.monotonic() + 2.0
    while time.monotonic() < end:
        expected += detect(supervisor, 20)
        supervisor.feed()
        time.sleep(0.02)
    cloud.wait(lambda: len(cloud.detections()) == len(expected))
    supervisor.until_stored()
    assert cloud.detections() == expected == supervisor.logged()


def test_crash_and_loss_reports_arrive_whole(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor
) -> None:
    """A fact is dropped, or lands in another field, between supervisor and cloud."""
    supervisor.report(
        "crash",
        id="c1",
        time_unix_ns=7,
        role="evaluator",
        signal=11,
        exit_code=0,
        cause="SIGNAL",
        suspect_content_hash="ab" * 32,
        suspect_template_type=4,
        suspect_instance_id="ipc-1",
        suspect_sequence=9,
        action="ROLLED_BACK",
        in_trial=True,
    )
    supervisor.report(
        "loss", id="l1", from_unix_ns=1, to_unix_ns=2, cause="RING_FULL", template_type=1, count=5
    )
    supervisor.until_stored()
    supervisor.until(lambda: len(cloud.stored) == 2)
    assert cloud.stored[0].crash_report == report_pb2.CrashReport(
        id="c1",
        time_unix_ns=7,
        role=report_pb2.ROLE_EVALUATOR,
        signal=11,
        cause="SIGNAL",
        suspect_content_hash=b"\xab" * 32,
        suspect_template_type=4,
        suspect_instance_id="ipc-1",
        suspect_sequence=9,
        action="ROLLED_BACK",
        in_trial=True,
    )
    assert cloud.stored[1].loss_report == report_pb2.LossReport(
        id="l1", from_unix_ns=1, to_unix_ns=2, cause="RING_FULL", template_type=1, count=5
    )


def test_a_report_that_cannot_be_read_is_counted_and_does_no_harm(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor
) -> None:
    """A poisonous report ends the link, which gets it again and again, or vanishes uncounted."""
    supervisor.report("detections", payload=b"\xff not a batch")
    supervisor.report("crash", no_such_field=1)
    supervisor.detect(detection(0), report_pb2.Detection(id="not an id"))
    expected = detect(supervisor, 3)
    supervisor.until_stored()
    supervisor.until(lambda: len(cloud.of_kind("loss_report")) == 1)
    loss = cloud.of_kind("loss_report")[0].loss_report
    assert (loss.cause, loss.count) == ("MALFORMED_REPORT", 4)
    cloud.wait(lambda: cloud.detections() == expected[-3:])
    supervisor.until(lambda: supervisor.facts["dropped"] == 4)


def test_a_delivery_that_the_cloud_calls_invalid_holds_up_no_other(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor
) -> None:
    """One delivery that a cloud refuses blocks the outbox for ever, or takes others with it."""
    cloud.invalid = "d70"
    expected = detect(supervisor, 200)
    expected.remove("d70")
    supervisor.until(lambda: len(cloud.detections()) == 199)
    assert cloud.detections() == expected
    supervisor.until(lambda: supervisor.facts["dropped"] == 1)
    supervisor.until(lambda: bool(cloud.of_kind("loss_report")))
    loss = cloud.of_kind("loss_report")[0].loss_report
    assert (loss.cause, loss.template_type, loss.count) == ("REFUSED_BY_CLOUD", 1, 1)


def test_a_cloud_that_confirms_nothing_is_left_and_tried_again(
    cloud: ScriptedCloud, supervisor: ScriptedSupervisor
) -> None:
    """What was sent without a receipt is forgotten with the session."""
    cloud.receipts = False
    expected = detect(supervisor, 100)
    supervisor.until(lambda: len(cloud.detections()) == 100)
    assert supervisor.facts["outbox"] == 100
    cloud.stop()
    cloud.receipts = True
    cloud.start()
    supervisor.until(lambda: supervisor.facts["outbox"] == 0)
    assert cloud.repeated == 100
    assert cloud.detections() == expected


def test_a_full_outbox_refuses_counts_and_reports() -> None:
    """Events that found no room disappear without a word, or the log loses them as well."""
    absent = ScriptedCloud()
    absent.start()
    absent.stop()
    with running_link(absent.address) as supervisor:
        total = 800
        for number in range(total):
            one = detection(number)
            one.title = "t" * 100_000
            supervisor.detect(one)
            if number % 20 == 0:
                supervisor.turn()
        supervisor.until_stored(15.0)
        supervisor.until(lambda: supervisor.facts["outbox"] + supervisor.facts["dropped"] == total)
        kept, dropped = supervisor.facts["outbox"], supervisor.facts["dropped"]
        assert dropped > 0
        supervisor.report("crash", id="c1", cause="SIGNAL")  # what is kept free is for this
        supervisor.until_stored()
        absent.start()
        try:
            supervisor.until(lambda: len(absent.of_kind("loss_report")) == 1, 15.0)
            loss = absent.of_kind("loss_report")[0].loss_report
            assert (loss.cause, loss.template_type, loss.count) == ("OUTBOX_FULL", 1, dropped)
            assert (loss.from_unix_ns, loss.to_unix_ns) == (1_000_000 + kept, 1_000_000 + total - 1)
            assert len(absent.detections()) == kept
            assert len(absent.of_kind("crash_report")) == 1
        finally:
            absent.stop()


def test_a_new_outbox_never_uses_an_old_delivery_number(cloud: ScriptedCloud) -> None:
    """After the state folder was lost, the cloud takes new detections for old ones."""
    for number in range(2):
        with link_folders() as (state, tls):
            supervisor = ScriptedSupervisor(state, tls, cloud.address, run=f"run-{number}")
            supervisor.start()
            try:
                supervisor.detect(detection(number))
                supervisor.until_stored()
                supervisor.until(lambda number=number: len(cloud.detections()) == number + 1)  # type: ignore[misc]
            finally:
                supervisor.close()
    assert cloud.detections() == ["d0", "d1"]


def test_a_damaged_outbox_is_set_aside_and_said(cloud: ScriptedCloud) -> None:
    """A link with a damaged file never starts again, or hides that something was lost."""
    with link_folders() as (state, tls):
        (state / "outbox.db").write_bytes(b"this is no database" * 1000)
        (state / "outbox.db").chmod(0o666)
        supervisor = ScriptedSupervisor(state, tls, cloud.address)
        supervisor.start()
        try:
            expected = detect(supervisor, 1)
            supervisor.until_stored()
            supervisor.until(lambda: len(cloud.stored) == 2)
            assert cloud.detections() == expected
            assert cloud.of_kind("loss_report")[0].loss_report.cause == "OUTBOX_DAMAGED"
            assert (state / "outbox.damaged.db").exists()
        finally:
            supervisor.close()
