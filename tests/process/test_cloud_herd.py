"""Many agents at once: who is admitted, who is told when to come back, and who holds up whom."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest

from bulkhead.v1.report_pb2 import CONTENT_STATE_ACTIVE, CONTENT_STATE_ROLLED_BACK
from tests.process.cloud_agent import Request, ScriptedAgent, detections, heartbeat, hello
from tests.process.cloud_files import PROCESS, channel_file, write
from tests.process.cloud_process import Cloud, new_cloud
from tests.process.waiting import until

HERD = 24
FOR_EVER = 3600.0


@contextmanager
def served(folder: Path, **limits: float) -> Iterator[Cloud]:
    """A serving cloud."""
    with new_cloud(folder) as cloud:
        cloud.start(unsafe=False, **limits)
        yield cloud


def agent_of(cloud: Cloud, name: str) -> ScriptedAgent:
    """An agent that has not said hello."""
    return ScriptedAgent(cloud.address, cloud.agent_folder(name))


def comes_back(cloud: Cloud, name: str) -> tuple[ScriptedAgent, int]:
    """An agent that tries until it is welcome, as hints say; how often it was refused."""
    refusals = 0
    while True:
        agent = agent_of(cloud, name)
        agent.send(Request(hello=hello(name)))
        until(lambda one=agent: bool(one.of("welcome")) or one.status is not None)  # type: ignore[misc]
        if agent.status is None:
            return agent, refusals
        assert agent.status is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert agent.details.startswith("ADMISSION: ")
        refusals += 1
        hint = agent.hint()
        agent.close()
        assert hint is not None
        time.sleep(hint / 1000)


def test_a_herd_is_refused_with_a_hint_and_gets_in_by_it(tmp_path: Path) -> None:
    """Agents that come back after an outage would take the cloud down, or never get in."""
    limits = {"admissions_per_second": 8.0, "admission_burst": 4.0}
    with served(tmp_path, **limits) as cloud, ExitStack() as stack:
        agents = [stack.enter_context(agent_of(cloud, f"herd-{n}")) for n in range(HERD)]
        for number, agent in enumerate(agents):
            agent.send(Request(hello=hello(f"herd-{number}")))
        until(lambda: all(one.of("welcome") or one.status for one in agents))
        refused = [one for one in agents if one.status is not None]
        assert 0 < len(refused) < HERD
        assert {one.details.partition(":")[0] for one in refused} == {"ADMISSION"}
        assert all((one.hint() or 0) > 0 for one in refused)
        for number in (n for n, one in enumerate(agents) if one in refused):
            again, _ = comes_back(cloud, f"herd-{number}")
            stack.enter_context(again)
        shown = cloud.json("fleet")["hosts"]
        assert sum(host["connected"] for host in shown) == HERD


def test_hellos_that_do_not_come_keep_nobody_out_for_long(tmp_path: Path) -> None:
    """Connections that say nothing would take all places."""
    limits = {"admissions_under_way": 2.0, "hello_seconds": 1.0}
    with served(tmp_path, **limits) as cloud, ExitStack() as stack:
        silent = [stack.enter_context(agent_of(cloud, f"silent-{n}")) for n in range(2)]
        until(lambda: all(one.status for one in silent), 20)
        agent, _ = comes_back(cloud, "good")
        stack.enter_context(agent)
        agent.send(detections(1, "one"))
        until(lambda: agent.receipt() == 1)


def test_agents_of_a_cloud_that_stops_are_told_when_to_come_back(tmp_path: Path) -> None:
    """A planned restart would bring all of them back in the same moment."""
    with served(tmp_path, admissions_per_second=1.0) as cloud, ExitStack() as stack:
        names = [f"host-{number}" for number in range(8)]
        agents = [stack.enter_context(agent_of(cloud, name)).greet(hello(name)) for name in names]
        cloud.stop()
        assert all("CLOUD_STOPPING" in one.ended() for one in agents)
        hints = [one.hint() for one in agents]
        assert None not in hints
        assert len(set(hints)) > 1


def test_a_host_that_fetches_nothing_keeps_no_other_from_content(tmp_path: Path) -> None:
    """Slow hosts would hold up a push for everybody."""
    with served(tmp_path, turns=1, turn_seconds=0.3) as cloud, ExitStack() as stack:
        names = [f"slow-{number}" for number in range(4)]
        slow = [stack.enter_context(agent_of(cloud, name)).greet(hello(name)) for name in names]
        cloud.push(write(tmp_path / "ipc.channel", channel_file(1)))
        until(lambda: all(one.offers() for one in slow), 20)


def test_a_turn_ends_with_the_fetch(tmp_path: Path) -> None:
    """A push would take as long as its slowest hosts may, although all are quick."""
    with served(tmp_path, turns=1, turn_seconds=FOR_EVER) as cloud, ExitStack() as stack:
        names = [f"host-{number}" for number in range(3)]
        agents = [stack.enter_context(agent_of(cloud, name)).greet(hello(name)) for name in names]
        cloud.push(write(tmp_path / "ipc.channel", channel_file(1)))
        left = list(agents)
        while left:
            until(lambda: any(one.offers() for one in left))
            (first,) = [one for one in left if one.offers()]
            first.fetch(first.offers()[0].content_hash)
            left.remove(first)


def test_a_revocation_waits_for_nobodys_turn(tmp_path: Path) -> None:
    """A halt would come after the push that it is to stop."""
    with served(tmp_path, turns=1, turn_seconds=FOR_EVER) as cloud, ExitStack() as stack:
        names = [f"host-{number}" for number in range(3)]
        agents = [stack.enter_context(agent_of(cloud, name)).greet(hello(name)) for name in names]
        cloud.push(write(tmp_path / "ipc.channel", channel_file(1)))
        for _ in agents:
            until(lambda: any(one.offers() and not one.receipt() for one in agents))
            (one,) = [one for one in agents if one.offers() and not one.receipt()]
            content_hash = one.offers()[0].content_hash
            one.fetch(content_hash)
            one.acknowledge(1, content_hash, CONTENT_STATE_ACTIVE)
            until(lambda: one.receipt() == 1)  # noqa: B023
        cloud.push(write(tmp_path / "process.channel", channel_file(1, PROCESS)))
        until(lambda: any(len(one.offers()) == 2 for one in agents))  # it never fetches
        cloud.json("revoke", "ipc", "--key", cloud.key, "--reason", "too eager")
        until(lambda: all(one.of("revocation") for one in agents))
        assert sum(len(one.offers()) == 2 for one in agents) == 1


@pytest.mark.parametrize("late", ["active", "nothing"])
def test_a_revocation_in_the_middle_of_a_hand_over_holds(tmp_path: Path, late: str) -> None:
    """Content would come to life after it was called back, or be offered once more."""
    with served(tmp_path) as cloud, agent_of(cloud, "host") as agent:
        agent.greet(hello("host"))
        cloud.push(write(tmp_path / "ipc.channel", channel_file(1)))
        until(lambda: bool(agent.offers()))
        content_hash = agent.offers()[0].content_hash
        agent.fetch(content_hash)
        cloud.json("revoke", "ipc", "--key", cloud.key, "--reason", "too eager")
        if late == "active":  # said before the order arrived
            agent.acknowledge(1, content_hash, CONTENT_STATE_ACTIVE)
        until(lambda: bool(agent.of("revocation")))
        agent.acknowledge(2, content_hash, CONTENT_STATE_ROLLED_BACK)
        agent.send(heartbeat())
        until(lambda: agent.receipt() == 2)
        until(lambda: not cloud.json("fleet")["hosts"][0]["active"])
        with pytest.raises(grpc.RpcError, match="CONTENT_REVOKED"):
            agent.fetch(content_hash)
        (content,) = cloud.json("fleet")["hosts"][0]["content"]
        assert content["state"] == "rolled_back"
        assert len(agent.offers()) == 1
