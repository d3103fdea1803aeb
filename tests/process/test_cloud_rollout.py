"""A real cloud and scripted agents: content goes from stage to stage, or comes back."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from bulkhead.v1 import report_pb2
from bulkhead.v1.report_pb2 import CONTENT_STATE_ACTIVE
from cli.output import ExitCode
from cloud.push import HALTED
from cloud.rollout.plan import STAGED, Plan
from tests.process.cloud_agent import Request, ScriptedAgent, hello
from tests.process.cloud_files import channel_file, write
from tests.process.cloud_process import Cloud, new_cloud
from tests.process.waiting import until

NAMES = ("web-1", "web-2", "web-3")
QUICK = STAGED.quickened(0.0, 10)
BAKING = STAGED.quickened(3600.0, 10)


@contextmanager
def fleet(folder: Path, plan: Plan = QUICK) -> Iterator[tuple[Cloud, dict[str, ScriptedAgent]]]:
    """A serving cloud with three agents connected."""
    with new_cloud(folder, plan) as cloud, ExitStack() as open_ones:
        cloud.start()
        agents = {
            name: open_ones.enter_context(ScriptedAgent(cloud.address, cloud.agent_folder(name)))
            for name in NAMES
        }
        for name, agent in agents.items():
            agent.greet(hello(name))
        yield cloud, agents


def push(cloud: Cloud, version: int = 1) -> bytes:
    """Push a sound Channel File; its hash."""
    file = write(cloud.folder.parent / f"ipc-{version}.channel", channel_file(version))
    return bytes.fromhex(cloud.push(file)["pushed"][0]["content_hash"])


def state(cloud: Cloud) -> str:
    """Where the newest rollout stands."""
    return str(cloud.json("rollout list")["rollouts"][-1]["state"])


def reached(agents: dict[str, ScriptedAgent]) -> list[str]:
    """Who was offered anything."""
    return [name for name, agent in agents.items() if agent.offers()]


def evaluates(agent: ScriptedAgent, name: bytes, delivery: int = 1) -> None:
    """The agent has the content active, and has put events to it."""
    agent.acknowledge(delivery, name, CONTENT_STATE_ACTIVE)
    active = report_pb2.ActiveChannelFile(
        template_type=4, version=1, content_hash=name, state=CONTENT_STATE_ACTIVE
    )
    beat = report_pb2.Heartbeat(
        rung=report_pb2.RUNG_BPF_BTF,
        active=[active],
        evaluations=[report_pb2.Evaluations(content_hash=name, events=1_000)],
        evaluation_ns=900,
        evaluator_memory_bytes=60_000_000,
    )
    agent.send(Request(heartbeat=beat))


def crash(agent: ScriptedAgent, name: bytes, delivery: int) -> None:
    """The agent's evaluator has died on this content."""
    report = report_pb2.CrashReport(
        id=f"crash-{delivery}", role=report_pb2.ROLE_EVALUATOR, signal=11, cause="SIGNAL"
    )
    report.suspect_content_hash = name
    agent.send(Request(delivery=delivery, crash_report=report))


def test_content_goes_up_stage_by_stage_on_evidence(tmp_path: Path) -> None:
    """Content would reach everybody unseen, or would never get beyond the first host."""
    with fleet(tmp_path) as (cloud, agents):
        name = push(cloud)
        until(lambda: len(reached(agents)) == 1)
        (first,) = reached(agents)
        time.sleep(1.0)
        assert reached(agents) == [first]
        assert state(cloud) == "internal"
        reasons = {
            host["agent_id"]: [p["reason"] for one in host["content"] for p in one["problems"]]
            for host in cloud.json("fleet")["hosts"]
        }
        assert [reasons[one] for one in NAMES if one != first] == [["ROLLOUT_STAGE"]] * 2
        evaluates(agents[first], name)
        until(lambda: len(reached(agents)) == 3)
        assert state(cloud) == "general"
        for one in set(NAMES) - {first}:
            evaluates(agents[one], name)
        until(lambda: state(cloud) == "complete")
        actions = [one["action"] for one in cloud.json("audit list")["entries"]]
        assert actions == ["plan", "push", *["advance"] * 4]


def test_a_crash_halts_and_takes_back_at_once(tmp_path: Path) -> None:
    """Hosts would go on getting content that kills, and those that have it would keep it."""
    with fleet(tmp_path, BAKING) as (cloud, agents):
        name = push(cloud)
        until(lambda: len(reached(agents)) == 1)
        (first,) = reached(agents)
        evaluates(agents[first], name)
        crash(agents[first], name, 2)
        until(lambda: bool(agents[first].of("revocation")))
        shown = cloud.json("rollout show", name.hex())
        assert shown["state"] == "halted"
        assert "blamed: 1 of 1 hosts" in shown["reason"]
        told = cloud.json("incident", "crash-2")
        assert (told["halt"]["by"], told["hosts"]) == ("rollout engine", {first: 1})
        written = tmp_path / "report"
        cloud.run("incident", "crash-2", "--output", str(written))
        assert sorted(one.name for one in written.iterdir()) == ["incident.html", "incident.md"]
        assert "Incident crash-2" in cloud.run("incident", "crash-2")
        time.sleep(0.5)
        assert reached(agents) == [first]
        assert not [one for one in NAMES if one != first and agents[one].of("revocation")]
        (order,) = agents[first].of("revocation")
        assert order.revocation.signatures
        assert order.revocation.reason == HALTED


def test_an_order_that_was_renewed_reaches_who_is_connected(tmp_path: Path) -> None:
    """A host that has refused an order would keep the content until it connects anew."""
    with fleet(tmp_path, BAKING) as (cloud, agents):
        name = push(cloud)
        until(lambda: len(reached(agents)) == 1)
        (first,) = reached(agents)
        evaluates(agents[first], name)
        assert not cloud.json("rollout halt", name.hex())["order_expired"]
        until(lambda: bool(agents[first].of("revocation")))
        cloud.run("revoke", name.hex(), "--key", cloud.key, "--reason", "once more")
        until(lambda: len(agents[first].of("revocation")) == 2)
        told = [one.revocation.reason for one in agents[first].of("revocation")]
        assert told == [HALTED, "once more"]


def test_who_was_not_reached_can_not_halt_it(tmp_path: Path) -> None:
    """Any host of the fleet could stop all protection by inventing crash reports."""
    with fleet(tmp_path, BAKING) as (cloud, agents):
        name = push(cloud)
        until(lambda: len(reached(agents)) == 1)
        other = next(agent for host, agent in agents.items() if host not in reached(agents))
        for delivery in range(1, 200):
            crash(other, name, delivery)
        until(lambda: other.receipt() == 199)
        time.sleep(0.7)
        assert state(cloud) == "internal"


def test_a_restart_of_the_cloud_neither_advances_nor_forgets(tmp_path: Path) -> None:
    """A stage would be over, or begin anew for other hosts, with every restart."""
    with fleet(tmp_path, BAKING) as (cloud, agents):
        name = push(cloud)
        until(lambda: len(reached(agents)) == 1)
        (first,) = reached(agents)
        cloud.kill()
        cloud.start()
        with ExitStack() as stack:
            again = {
                one: stack.enter_context(ScriptedAgent(cloud.address, cloud.agent_folder(one)))
                for one in NAMES
            }
            for one, agent in again.items():
                agent.greet(hello(one))
            until(lambda: len(reached(again)) == 1)
            time.sleep(0.7)
            assert reached(again) == [first]
            crash(again[first], name, 1)
            until(lambda: state(cloud) == "halted")


def test_a_newer_version_supersedes_what_is_under_way(tmp_path: Path) -> None:
    """A correction would wait for what it corrects, or jump its stages."""
    with fleet(tmp_path, BAKING) as (cloud, agents):
        push(cloud)
        until(lambda: len(reached(agents)) == 1)
        push(cloud, 2)
        states = [one["state"] for one in cloud.json("rollout list")["rollouts"]]
        assert states == ["superseded", "internal"]
        until(lambda: any(o.version == 2 for a in agents.values() for o in a.offers()))
        assert sum(o.version == 1 for a in agents.values() for o in a.offers()) == 1


def test_pushing_again_changes_nothing_of_a_rollout_under_way(tmp_path: Path) -> None:
    """A repeated command would waive or repeat stages."""
    with fleet(tmp_path, BAKING) as (cloud, _):
        name = push(cloud)
        command = ("--stage", "internal", "--by", "alice", "--by", "bob", "--reason", "a test")
        cloud.run("rollout override", name.hex(), *command)
        assert push(cloud) == name
        assert state(cloud) == "canary"


def test_of_two_overrides_at_once_one_counts(tmp_path: Path) -> None:
    """Two stages would be waived where two pairs of operators each meant the same one."""
    with new_cloud(tmp_path, BAKING) as cloud:
        name = push(cloud).hex()
        order = ("rollout override", name, "--stage", "internal", "--reason", "urgent")
        alone = cloud.run(*order, "--by", "alice", "--by", "alice", status=ExitCode.REFUSED)
        assert "ROLLOUT_REFUSED" in alone
        cloud.run(*order, "--by", "alice", "--by", "bob")
        second = cloud.run(*order, "--by", "carol", "--by", "dave", status=ExitCode.REFUSED)
        assert "ROLLOUT_CHANGED" in second
        assert state(cloud) == "canary"
        entry = cloud.json("audit list")["entries"][-1]
        assert (entry["actor"], entry["action"]) == ("alice and bob", "override")
        assert "urgent" in entry["detail"]


def test_an_operator_pauses_resumes_and_halts(tmp_path: Path) -> None:
    """Nobody could stop a rollout by hand."""
    with fleet(tmp_path, BAKING) as (cloud, agents):
        name = push(cloud).hex()
        cloud.run("rollout pause", name)
        refused = cloud.run("rollout promote", name, "--stage", "internal", status=ExitCode.REFUSED)
        assert "ROLLOUT_REFUSED" in refused
        cloud.run("rollout resume", name)
        until(lambda: len(reached(agents)) == 1)
        cloud.run("rollout halt", name, "--reason", "by hand")
        (first,) = reached(agents)
        until(lambda: bool(agents[first].of("revocation")))
        for command in ("pause", "resume", "halt"):
            cloud.run(f"rollout {command}", name, status=ExitCode.REFUSED)


def test_a_group_that_takes_no_updates_gets_none(tmp_path: Path) -> None:
    """A customer's policy would be for show."""
    with fleet(tmp_path) as (cloud, agents):
        cloud.run("group set", "web-2", "frozen")
        cloud.run("policy set", "frozen", "--paused")
        cloud.run("group set", "web-3", "first")
        cloud.run("policy set", "first", "--ring", "internal", "--category", "ipc")
        name = push(cloud)
        until(lambda: bool(reached(agents)))
        assert reached(agents) == ["web-3"]
        evaluates(agents["web-3"], name)
        until(lambda: len(reached(agents)) == 2)
        assert not agents["web-2"].offers()
        (host,) = [h for h in cloud.json("fleet")["hosts"] if h["agent_id"] == "web-2"]
        assert host["content"][0]["problems"][0]["reason"] == "UPDATES_PAUSED"
        cloud.run("policy set", "frozen", "--running")
        evaluates(agents["web-1"], name)
        until(lambda: bool(agents["web-2"].offers()))


@pytest.mark.parametrize(
    "arguments",
    [
        ("policy set", "web", "--category", "no such type"),
        ("policy set", "web", "--delay-hours", "-1"),
        ("policy set", "web", "--pin", "3"),
        ("policy set", "../web", "--paused"),
        ("group set", "web-1", "\x1b[31m"),
    ],
)
def test_policies_that_can_not_be_meant_are_refused(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """A mistyped policy would be taken for another one, and nobody told."""
    with new_cloud(tmp_path, BAKING) as cloud:
        said = cloud.run(*arguments, status=ExitCode.USAGE)
        assert "POLICY_INVALID" in said
        assert "\x1b" not in said


def test_the_audit_log_can_only_grow_and_tells_of_forgery(tmp_path: Path) -> None:
    """Who waived a gate could be made to look like somebody else."""
    with new_cloud(tmp_path, BAKING) as cloud:
        cloud.run("group set", "web-1", "one")
        cloud.run("group set", "web-1", "two")
        head = cloud.json("audit verify")
        assert head["entries"] == 3
        with closing(sqlite3.connect(cloud.folder / "cloud.sqlite")) as store:
            for verb in ("UPDATE audit SET actor = 'mallory'", "DELETE FROM audit"):
                with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                    store.execute(verb)
            store.execute("DROP TRIGGER audit_no_update")
            store.execute("UPDATE audit SET actor = 'mallory' WHERE number = 2")
            store.commit()
        assert "entry 2" in cloud.run("audit verify", status=ExitCode.REFUSED)


def test_a_log_without_its_end_is_told_from_the_whole_one(tmp_path: Path) -> None:
    """The latest orders could be dropped unseen by whoever has noted the digest."""
    with new_cloud(tmp_path, BAKING) as cloud:
        cloud.run("group set", "web-1", "one")
        head = cloud.json("audit verify")["head"]
        cloud.run("audit verify", "--head", head)
        with closing(sqlite3.connect(cloud.folder / "cloud.sqlite")) as store:
            store.execute("DROP TRIGGER audit_no_delete")
            store.execute("DELETE FROM audit WHERE number = 2")
            store.commit()
        cloud.run("audit verify")
        assert "AUDIT_BROKEN" in cloud.run("audit verify", "--head", head, status=ExitCode.REFUSED)


def test_a_flood_of_reports_by_one_host_halts_nothing(tmp_path: Path) -> None:
    """One host that crashes, or lies, could keep content from the whole world."""
    with fleet(tmp_path, STAGED.quickened(0.0, 10)) as (cloud, agents):
        name = push(cloud)
        left = set(NAMES)
        while left:
            until(lambda: any(agents[one].offers() for one in left))
            for one in [one for one in left if agents[one].offers()]:
                evaluates(agents[one], name)
                left.remove(one)
        until(lambda: state(cloud) == "complete")
        flooding, other, _ = agents.values()
        for number in range(2, 302):
            crash(flooding, name, number)
        until(lambda: flooding.receipt() == 301)
        crash(other, name, 2)
        until(lambda: state(cloud) == "halted")
        assert "blamed: 2 of 3 hosts" in cloud.json("rollout show", name.hex())["reason"]


def test_a_host_that_claims_every_version_is_alone_with_it(tmp_path: Path) -> None:
    """Content would pass its stages on a lie, or be kept from others as outdated."""
    with new_cloud(tmp_path, QUICK) as cloud, ExitStack() as stack:
        cloud.start()
        folder = cloud.agent_folder
        liar = stack.enter_context(ScriptedAgent(cloud.address, folder("liar")))
        claims = hello("liar")
        for number in range(1, 11):
            claims.active.add(
                template_type=number,
                version=2**64 - 1,
                content_hash=bytes([number]) * 32,
                state=CONTENT_STATE_ACTIVE,
            )
        liar.greet(claims)
        honest = stack.enter_context(ScriptedAgent(cloud.address, folder("honest")))
        honest.greet(hello("honest"))
        name = push(cloud)
        liar.acknowledge(1, name, CONTENT_STATE_ACTIVE)
        evaluates(liar, name, 2)
        until(lambda: liar.receipt() == 2)
        until(lambda: bool(honest.offers()))
        assert not liar.offers()
        assert honest.offers()[0].version == 1
