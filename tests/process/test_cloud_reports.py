"""Reports are stored exactly once, whatever dies when; receipts say only what is on the disk."""

import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkhead.v1 import report_pb2
from bulkhead.v1.channel_file_pb2 import FieldInput, Value
from cli.output import ExitCode
from cloud.views import PROCESSES_SHOWN
from tests.process.cloud_agent import Request, ScriptedAgent, detections, heartbeat, hello
from tests.process.cloud_files import IPC
from tests.process.cloud_process import BULKHEAD, Cloud, new_cloud
from tests.process.waiting import until

DELIVERIES = 300
KILLS = 4
SEED = 291
HOSTILE = "\x1b[31mred\x1b[0m\n[bold]\u202egnp.exe"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A cloud that is served."""
    with new_cloud(tmp_path) as running:
        running.start()
        yield running


def connect(cloud: Cloud, agent_id: str = "host-1") -> ScriptedAgent:
    """An agent with an open session."""
    return ScriptedAgent(cloud.address, cloud.agent_folder(agent_id)).greet(hello(agent_id))


def stored(cloud: Cloud) -> list[str]:
    """The ids of all stored detections, in the order of storing."""
    found = cloud.json("detections", "--limit", "100000")["detections"]
    return [one["id"] for one in found]


def test_a_killed_cloud_loses_and_doubles_nothing(cloud: Cloud) -> None:
    """Detections would vanish, or be counted twice, when the cloud dies at a bad moment."""
    random.seed(SEED)
    confirmed, attempts = 0, 0
    kill_at = sorted(random.sample(range(20, DELIVERIES - 20), KILLS))
    while confirmed < DELIVERIES:
        attempts += 1
        assert attempts <= KILLS + 1
        with connect(cloud) as agent:
            # As a sensor does: everything without a receipt is sent again, in order.
            for number in range(confirmed + 1, DELIVERIES + 1):
                agent.send(detections(number, f"{number}-a", f"{number}-b"))
            goal = kill_at.pop(0) if kill_at else DELIVERIES
            until(lambda: agent.receipt() >= goal or agent.status is not None, 20)  # noqa: B023
            if goal < DELIVERIES:
                cloud.kill()
                agent.ended()
            confirmed = agent.receipt()
        if confirmed < DELIVERIES:
            cloud.start()
    assert attempts > 1
    names = stored(cloud)
    assert names == [f"{n}-{part}" for n in range(1, DELIVERIES + 1) for part in "ab"]


def test_what_was_confirmed_is_on_the_disk(cloud: Cloud) -> None:
    """A receipt would make the sensor forget what the cloud has not stored."""
    with connect(cloud) as agent:
        for number in range(1, 51):
            agent.send(detections(number, f"d{number}"))
        until(lambda: agent.receipt() > 0)
        os.kill(cloud.pid(), signal.SIGKILL)
        agent.ended()
        confirmed = agent.receipt()
    names = stored(cloud)
    assert names[:confirmed] == [f"d{number}" for number in range(1, confirmed + 1)]


def test_the_same_report_ids_of_two_agents_are_two_reports(cloud: Cloud) -> None:
    """One host's detection would hide another's."""
    with connect(cloud, "host-1") as one, connect(cloud, "host-2") as two:
        for agent in (one, two, one):
            agent.send(detections(1, "same"))
            until(lambda agent=agent: agent.receipt() == 1)  # type: ignore[misc]
    found = cloud.json("detections")["detections"]
    assert sorted(one["agent_id"] for one in found) == ["host-1", "host-2"]


def test_crashes_and_losses_are_kept_once_and_shown(cloud: Cloud) -> None:
    """An operator could not see what died, on what, and what was missed."""
    crash = report_pb2.CrashReport(
        id="c1",
        role=report_pb2.ROLE_EVALUATOR,
        signal=11,
        cause="SIGNAL",
        suspect_template_type=IPC.number,
        suspect_instance_id="test-word",
        suspect_instance_digest=b"\x07" * 32,
        suspect_content_hash=b"\x11" * 32,
        suspect_sequence=7,
        action="ROLLED_BACK",
        attempts=[report_pb2.Attempt(name="openat", count=3)],
    )
    flooder = report_pb2.RefusedProcess(pid=4711, start_time=10_000_000, refused=99)
    loss = report_pb2.LossReport(
        id="l1",
        cause="RING_FULL",
        template_type=IPC.number,
        count=2**64 - 1,
        processes=[flooder] * 1000,
    )
    with connect(cloud) as agent:
        for number in (1, 2):
            agent.send(Request(delivery=2 * number, crash_report=crash))
            agent.send(Request(delivery=2 * number + 1, loss_report=loss))
        until(lambda: agent.receipt() == 5)
    (shown,) = cloud.json("crashes")["crashes"]
    assert (shown["role"], shown["signal"], shown["cause"]) == ("evaluator", 11, "SIGNAL")
    assert (shown["suspect_instance"], shown["suspect_template_type"]) == ("test-word", "ipc")
    assert shown["suspect_instance_digest"] == "07" * 32
    assert shown["attempts"] == {"openat": 3}
    (lost,) = cloud.json("losses")["losses"]
    assert (lost["cause"], lost["count"]) == ("RING_FULL", 2**64 - 1)
    named = {"pid": 4711, "start_time": 10_000_000, "refused": 99}
    assert lost["processes"] == [named] * PROCESSES_SHOWN
    (host,) = cloud.json("fleet")["hosts"]
    assert host["crash_reports"] == 1
    assert "evaluator" in cloud.run("crashes")
    (total,) = cloud.json("losses")["totals"]
    assert (total["cause"], total["count"]) == ("RING_FULL", 2**64 - 1)
    assert (total["template_type"], total["missing"]) == ("ipc", "an event")
    assert "RING_FULL" in cloud.run("losses")
    assert "4711" in cloud.run("losses")


def test_heartbeats_keep_one_row_current(cloud: Cloud) -> None:
    """The store would grow with every beat, or the fleet view show yesterday's health."""
    active = report_pb2.ActiveChannelFile(
        template_type=IPC.number,
        version=3,
        content_hash=b"a" * 32,
        state=report_pb2.CONTENT_STATE_ACCEPTED,
    )
    with connect(cloud) as agent:
        for count in range(1, 201):
            agent.send(heartbeat(active, events_evaluated=count, evaluator_deaths=2))
        agent.send(detections(1, "last"))
        until(lambda: agent.receipt() == 1)
        (host,) = cloud.json("fleet")["hosts"]
    assert (host["events_evaluated"], host["evaluator_deaths"]) == (200, 2)
    assert host["active"] == [
        {
            "template_type": "ipc",
            "version": 3,
            "content_hash": (b"a" * 32).hex(),
            "state": "accepted",
        }
    ]
    assert host["connected"]
    assert host["heartbeat_age_seconds"] < 10
    with sqlite3.connect(cloud.folder / "cloud.sqlite") as database:
        for table in ("hosts", "host_active"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,)  # noqa: S608
    database.close()


def test_hostile_names_stay_text(cloud: Cloud) -> None:
    """A process could repaint the operator's terminal through its name."""
    hostile = HOSTILE.encode() + b"\xff"
    detection = report_pb2.Detection(
        id="d1",
        template_type=IPC.number,
        instance_id=HOSTILE,
        title=HOSTILE,
        inputs=[FieldInput(field=number, value=Value(text=hostile)) for number in (2, 8, 18)],
    )
    batch = report_pb2.DetectionBatch(detections=[detection])
    with connect(cloud) as agent:
        agent.send(Request(delivery=1, detections=batch))
        until(lambda: agent.receipt() == 1)
    for view in ((), ("--json",)):
        printed = cloud.run("detections", *view)
        assert "\x1b" not in printed
        assert "\u202e" not in printed
    (shown,) = cloud.json("detections")["detections"]
    assert shown["title"] == HOSTILE
    assert shown["inputs"]["command_line"].endswith("\\xff")


def test_follow_prints_detections_as_they_come(cloud: Cloud) -> None:
    """An operator would have to ask again and again."""
    command = [*BULKHEAD, "cloud", "detections", "--folder", str(cloud.folder), "--follow"]
    with (
        connect(cloud) as agent,
        subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE) as follower,
    ):
        assert follower.stdout is not None
        try:
            for number in (1, 2):
                agent.send(detections(number, f"d{number}"))
                assert f'"id": "d{number}"'.encode() in follower.stdout.readline()
        finally:
            follower.send_signal(signal.SIGINT)
        assert follower.wait(10) == ExitCode.INTERRUPTED


def test_a_locked_database_delays_reports_and_loses_none(cloud: Cloud) -> None:
    """A receipt would be given for what could not be stored, or the cloud would hang."""
    with connect(cloud) as agent, sqlite3.connect(cloud.folder / "cloud.sqlite") as locking:
        locking.execute("BEGIN IMMEDIATE")
        agent.send(detections(1, "d1"))
        assert "DATABASE_LOCKED" in agent.ended()
        assert agent.receipt() == 0
        locking.rollback()
    locking.close()
    with connect(cloud) as agent:
        agent.send(detections(1, "d1"))
        until(lambda: agent.receipt() == 1)
    assert stored(cloud) == ["d1"]


def test_the_end_comes_soon_and_leaves_no_host_connected(cloud: Cloud) -> None:
    """A stop would hang on open sessions, or the fleet view lie afterwards."""
    with connect(cloud) as agent:
        began = time.monotonic()
        assert cloud.stop(signal.SIGTERM) == 0
        assert time.monotonic() - began < 10
        assert "CLOUD_STOPPING" in agent.ended()
    found = cloud.json("fleet")
    assert not found["serving"]
    assert [host["connected"] for host in found["hosts"]] == [False]
    assert not (cloud.folder / "serving.json").exists()
    assert "Traceback" not in cloud.log()


def test_a_killed_cloud_leaves_nobody_connected_in_the_view(cloud: Cloud) -> None:
    """The operator would see a fleet that nobody serves."""
    with connect(cloud):
        cloud.kill()
        found = cloud.json("fleet")
        assert not found["serving"]
        assert [host["connected"] for host in found["hosts"]] == [False]
