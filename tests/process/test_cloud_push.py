"""A push reaches every connected agent at once, and only those whose sensor it fits."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import grpc
import pytest

from bulkhead.v1 import report_pb2
from cli.output import ExitCode
from cloud.folder import CloudFolder
from content.template_type import Rung
from tests.process.cloud_agent import ScriptedAgent, heartbeat, hello
from tests.process.cloud_files import IPC, PROCESS, channel_file, july_19, write
from tests.process.cloud_process import Cloud, new_cloud
from tests.process.waiting import until

ACTIVE = report_pb2.CONTENT_STATE_ACTIVE
REJECTED = report_pb2.CONTENT_STATE_REJECTED


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A cloud that is served."""
    with new_cloud(tmp_path) as running:
        running.start()
        yield running


def connect(cloud: Cloud, agent_id: str, rung: Rung = Rung.BPF_BTF) -> ScriptedAgent:
    """An agent with an open session."""
    agent = ScriptedAgent(cloud.address, cloud.agent_folder(agent_id))
    return agent.greet(hello(agent_id, rung))


def answer(
    agent: ScriptedAgent, state: report_pb2.ContentState.ValueType, reason: str = ""
) -> None:
    """Take the first offer and say how it ended."""
    until(lambda: bool(agent.offers()), 20)
    agent.acknowledge(1, agent.offers()[0].content_hash, state, reason)


def test_three_agents_get_a_push_at_once(cloud: Cloud, tmp_path: Path) -> None:
    """Connected agents would have to reconnect, or ask, before they are protected."""
    file = write(tmp_path / "ipc.channel", channel_file(1))
    with ExitStack() as stack:
        agents = [stack.enter_context(connect(cloud, f"host-{n}")) for n in range(3)]
        threads = [Thread(target=answer, args=(agent, ACTIVE)) for agent in agents]
        for thread in threads:
            thread.start()
        done = cloud.push(file, wait=20)
        for thread in threads:
            thread.join()
        assert {(one["agent_id"], one["state"]) for one in done["hosts"]} == {
            (f"host-{n}", "active") for n in range(3)
        }
        signed = agents[2].fetch(agents[2].offers()[0].content_hash)
    offer = agents[0].offers()[0]
    assert (offer.template_type, offer.version) == (IPC.number, 1)
    assert hashlib.sha256(signed.payload).digest() == offer.content_hash
    assert offer.size_bytes == signed.ByteSize()
    (trusted,) = CloudFolder(cloud.folder).trusted_keys()
    assert trusted.signed_channel_file(signed)


def test_what_is_costly_is_pushed_with_a_warning(cloud: Cloud, tmp_path: Path) -> None:
    """An operator would not see at the desk what every host is about to pay for."""
    sound = write(tmp_path / "sound.channel", channel_file(1))
    costly = write(tmp_path / "costly.channel", channel_file(1, PROCESS, "sh"))
    done = cloud.push(sound, costly)
    warnings = {Path(one["file"]).stem: one["warnings"] for one in done["pushed"]}
    assert warnings["sound"] == []
    (warning,) = warnings["costly"]
    assert warning["reason"] == "COSTLY_TO_EVALUATE"
    assert "that is rare in events" in warning["expected"]


def test_an_agent_that_comes_later_gets_it_after_its_hello(cloud: Cloud, tmp_path: Path) -> None:
    """A host that was off during a push would stay unprotected."""
    cloud.push(write(tmp_path / "ipc.channel", channel_file(1)))
    with connect(cloud, "late") as agent:
        until(lambda: len(agent.offers()) == 1)


def test_a_host_that_runs_a_newer_version_is_left_alone(cloud: Cloud, tmp_path: Path) -> None:
    """Agents would be asked to go back to older content."""
    cloud.push(write(tmp_path / "ipc.channel", channel_file(3)))
    said = hello("newer")
    said.active.add(template_type=IPC.number, version=4, content_hash=b"x" * 32, state=ACTIVE)
    with ScriptedAgent(cloud.address, cloud.agent_folder("newer")) as agent:
        agent.greet(said)
        cloud.push(write(tmp_path / "process.channel", channel_file(1, PROCESS)))
        until(lambda: bool(agent.offers()))
        assert [one.template_type for one in agent.offers()] == [PROCESS.number]


def test_a_sensor_on_a_lower_rung_is_not_offered_what_it_can_not_serve(
    cloud: Cloud, tmp_path: Path
) -> None:
    """Content would be silently dead on a sensor that never fills in its fields."""
    file = write(tmp_path / "ipc.channel", channel_file(1))
    with connect(cloud, "poller", Rung.PSUTIL) as agent:
        done = cloud.push(file, wait=20)
        (host,) = done["hosts"]
        assert host["state"] == "withheld"
        assert host["problems"][0]["reason"] == "TEMPLATE_TYPE_NOT_SUPPLIED"
        (shown,) = cloud.json("fleet")["hosts"]
        assert (shown["rung"], shown["best_rung"]) == ("psutil", False)
        assert shown["content"][0]["problems"] == host["problems"]
        assert not agent.offers()
        with pytest.raises(grpc.RpcError) as refused:
            agent.fetch(bytes.fromhex(host["content_hash"]))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    table = cloud.run("fleet")
    assert "withheld" in table


def test_the_file_of_19_july_is_refused_at_the_operators_desk(cloud: Cloud, tmp_path: Path) -> None:
    """The cloud would believe the author's Definition again."""
    good = write(tmp_path / "good.channel", channel_file(1))
    bad = write(tmp_path / "bad.channel", july_19())
    refused = cloud.push(good, bad, status=ExitCode.REFUSED)["refused"]
    assert [Path(one["file"]).name for one in refused] == ["bad.channel"]
    reasons = {problem["reason"] for problem in refused[0]["problems"]}
    assert {"ARITY_MISMATCH", "FINGERPRINT_MISMATCH", "FIELD_OUT_OF_RANGE"} <= reasons
    assert cloud.json("fleet")["content"] == [], "all files or none"


def test_what_was_pushed_unsafely_is_still_kept_from_sensors(cloud: Cloud, tmp_path: Path) -> None:
    """One careless flag at the operator's desk would reach every host."""
    bad = write(tmp_path / "bad.channel", july_19())
    with connect(cloud, "host-1") as agent:
        done = cloud.json(
            "push", bad, "--key", cloud.key, "--wait", "20", "--unsafe-skip-validator"
        )
        assert done["hosts"][0]["state"] == "withheld"
        assert "ARITY_MISMATCH" in {p["reason"] for p in done["hosts"][0]["problems"]}
        assert not agent.offers()


def test_a_cloud_that_skips_its_validator_sends_it_and_shows_the_sensors_refusal(
    tmp_path: Path,
) -> None:
    """The sensor's own refusal could not be tried, nor be seen by the operator."""
    bad = write(tmp_path / "bad.channel", july_19())
    options = ("--wait", "20", "--unsafe-skip-validator")
    with new_cloud(tmp_path) as cloud:
        cloud.start(unsafe=True)
        with connect(cloud, "host-1") as agent:
            thread = Thread(target=answer, args=(agent, REJECTED, "ARITY_MISMATCH"))
            thread.start()
            done = cloud.json("push", bad, "--key", cloud.key, *options, status=ExitCode.REFUSED)
            thread.join()
            assert done["hosts"][0]["state"] == "rejected"
            assert done["hosts"][0]["problems"][0]["reason"] == "ARITY_MISMATCH"
            until(lambda: agent.receipt() == 1)
            cloud.json("push", bad, "--key", cloud.key, "--unsafe-skip-validator")
            until(lambda: len(agent.offers()) == 2)


def test_an_instance_that_a_sensor_skips_is_shown_with_its_content(
    cloud: Cloud, tmp_path: Path
) -> None:
    """Content would pass for active of which an instance detects nothing any more."""
    file = write(tmp_path / "ipc.channel", channel_file(1))
    with connect(cloud, "host-1") as agent:
        thread = Thread(target=answer, args=(agent, ACTIVE, "WORK_BUDGET_EXCEEDED"))
        thread.start()
        done = cloud.push(file, wait=20)
        thread.join()
        (host,) = done["hosts"]
        assert (host["state"], host["problems"][0]["reason"]) == ("active", "WORK_BUDGET_EXCEEDED")
        (shown,) = cloud.json("fleet")["hosts"]
        assert shown["content"][0]["problems"] == host["problems"]
        assert "WORK_BUDGET" in cloud.run("fleet")


def test_a_push_says_who_has_not_answered(cloud: Cloud, tmp_path: Path) -> None:
    """A silent host would pass for a protected one."""
    file = write(tmp_path / "ipc.channel", channel_file(1))
    with connect(cloud, "silent"):
        done = cloud.finished("push", str(file), "--key", str(cloud.key), "--wait", "1")
    assert done.exit_code == ExitCode.UNREACHABLE
    assert "silent: ipc 1 offered" in done.stdout
    assert "NO_ANSWER after 1 s from silent" in done.stderr


def test_an_agent_that_loses_content_is_offered_it_again(cloud: Cloud, tmp_path: Path) -> None:
    """A host whose store was damaged would stay unprotected until it reconnects."""
    cloud.push(write(tmp_path / "ipc.channel", channel_file(1)))
    with connect(cloud, "forgetful") as agent:
        answer(agent, ACTIVE)
        until(lambda: agent.receipt() == 1)
        agent.send(heartbeat())
        until(lambda: len(agent.offers()) == 2)
        assert agent.offers()[0] == agent.offers()[1]


def test_revoke_reaches_every_agent_that_has_it_and_ends_the_offer(
    cloud: Cloud, tmp_path: Path
) -> None:
    """Harmful content could not be called back, or would come back with the next host."""
    cloud.push(write(tmp_path / "ipc.channel", channel_file(1)))
    with connect(cloud, "host-1") as agent, connect(cloud, "host-2") as other:
        answer(agent, ACTIVE)
        answer(other, ACTIVE)
        until(lambda: agent.receipt() == other.receipt() == 1)
        content_hash = agent.offers()[0].content_hash
        cloud.json("revoke", "ipc", "--key", cloud.key, "--reason", "too eager")
        for one in (agent, other):
            until(lambda one=one: bool(one.of("revocation")))  # type: ignore[misc]
            revocation = one.of("revocation")[0].revocation
            assert (revocation.content_hash, revocation.reason) == (content_hash, "too eager")
            one.acknowledge(2, content_hash, report_pb2.CONTENT_STATE_ROLLED_BACK)
        done = cloud.json("revoke", content_hash.hex(), "--key", cloud.key, "--wait", "20")
        assert {one["state"] for one in done["hosts"]} <= {"rolled_back"}
        with pytest.raises(grpc.RpcError) as refused:
            agent.fetch(content_hash)
    assert "CONTENT_REVOKED" in str(refused.value)
    with connect(cloud, "host-3") as newcomer:
        newcomer.send(heartbeat())
        time.sleep(0.3)
        assert not newcomer.offers()
    assert "CONTENT_REVOKED" in cloud.run(
        "push", tmp_path / "ipc.channel", "--key", cloud.key, status=ExitCode.REFUSED
    )
