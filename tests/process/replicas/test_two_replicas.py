"""Two replicas and agents on both: whatever dies in the middle of a rollout, all ends well."""

import signal
from pathlib import Path

import grpc
import pytest

from cloud.rollout.plan import IMMEDIATE
from cloud.store.postgresql import PostgresAddress
from cloud.whereabouts import note_address
from tests.process.cloud_agent import ScriptedAgent, detections, heartbeat, hello
from tests.process.replicas.fleet import QUICK_LEASES, new_fleet
from tests.process.replicas.network import new_network
from tests.process.replicas.postgres import Postgres, new_postgres
from tests.process.replicas.relay import new_relay
from tests.process.waiting import until

AGENTS = 4
pytestmark = pytest.mark.timeout(150)


def test_a_killed_replica_costs_nothing(tmp_path: Path, address: PostgresAddress) -> None:
    """Reports would be lost, a stage skipped, or hosts stay on old content or shown as there."""
    with new_fleet(tmp_path, address) as fleet:
        fleet.start()
        fleet.connect(AGENTS)
        fleet.push()
        until(lambda: fleet.state() == "canary", 20)
        leader = fleet.leader()
        other = fleet.b if leader is fleet.a else fleet.a
        leader.kill()
        fleet.require_all_well()
        assert '"replica_gone"' in other.log()
        assert {agent.sessions[-1] for agent in fleet.agents} == {other.address}


def test_a_replica_ends_cleanly_and_hands_over(tmp_path: Path, address: PostgresAddress) -> None:
    """An update of the cloud itself would stop rollouts until a lease has run out."""
    with new_fleet(tmp_path, address) as fleet:
        fleet.start(replica_lease_seconds=3_600.0)
        fleet.connect(AGENTS)
        leader = fleet.leader()
        other = fleet.b if leader is fleet.a else fleet.a
        fleet.push()
        assert leader.stop(signal.SIGTERM) == 0
        until(lambda: '"leading"' in other.log(), 20)
        fleet.require_all_well()


def test_a_database_that_is_gone_for_a_while_costs_nothing(tmp_path: Path) -> None:
    """Reports that wait meanwhile would be lost or doubled, or nobody would lead afterwards."""
    with new_postgres() as postgres:
        address = PostgresAddress.parse(postgres.new_database())
        with new_fleet(tmp_path, address) as fleet:
            fleet.start()
            fleet.connect(AGENTS)
            fleet.push()
            until(lambda: fleet.state() == "canary", 20)
            postgres.stop(signal.SIGQUIT)
            until(lambda: all("DATABASE_UNREACHABLE" in one.log() for one in (fleet.a, fleet.b)))
            postgres.start()
            fleet.require_all_well()
            assert "replica_gone" not in fleet.a.log() + fleet.b.log()


def test_a_replica_that_is_cut_off_costs_nothing(tmp_path: Path) -> None:
    """It would go on to lead, hold the others up, or undo what they did when it comes back."""
    with new_network() as network, new_postgres(listen=network.here) as postgres:
        address = PostgresAddress.parse(postgres.new_database())
        with new_fleet(tmp_path, address, names=[network.there]) as fleet:
            fleet.b.begins_with = network.begins_with
            fleet.b.address = f"{network.there}:7443"
            fleet.b.start(**QUICK_LEASES)
            until(lambda: '"leading"' in fleet.b.log(), 20)
            fleet.a.start(**QUICK_LEASES)
            fleet.connect(AGENTS)
            fleet.push()
            until(lambda: fleet.state() == "canary", 20)
            network.cut()
            fleet.require_all_well()
            assert {agent.sessions[-1] for agent in fleet.agents} == {fleet.a.address}
            network.mend()
            until(lambda: '"replica_expired"' in fleet.b.log(), 40)
            assert '"event": "leading"' in fleet.a.log()
            assert fleet.b.log().count('"event": "leading"') == 1
            fleet.push(2)
            fleet.require_all_well(2)


def test_an_agent_that_has_moved_is_heard_where_it_is(
    tmp_path: Path, address: PostgresAddress
) -> None:
    """What its former session still says would replace what it says now."""
    with new_fleet(tmp_path, address) as fleet:
        fleet.start()
        folder = fleet.a.agent_folder("web-1")
        with (
            ScriptedAgent(fleet.a.address, folder) as former,
            ScriptedAgent(fleet.b.address, folder) as newer,
        ):
            former.greet(hello("web-1"))
            newer.greet(hello("web-1"))
            former.send(detections(1, "late"))
            former.send(heartbeat(events_evaluated=1))
            assert "SESSION_REPLACED" in former.ended()
            newer.send(heartbeat(events_evaluated=2))
            newer.send(detections(1, "new"))
            until(lambda: newer.receipt() == 1)
            assert newer.status is None
            (shown,) = fleet.a.json("fleet")["hosts"]
        assert (shown["connected"], shown["events_evaluated"]) == (True, 2)
        assert fleet.stored_reports() == {"late": 1, "new": 1}


@pytest.mark.parametrize("last", [b"", b"INSERT INTO host_content"], ids=["", "in a pipeline"])
def test_a_database_that_hangs_for_one_replica_costs_nothing(
    last: bytes, tmp_path: Path, postgres: Postgres, address: PostgresAddress
) -> None:
    """Its agents would wait there for ever, and nobody would lead."""
    with new_relay(postgres.port) as relay, new_fleet(tmp_path, address) as fleet:
        through = address.uri.replace(f":{postgres.port}/", f":{relay.port}/")
        note_address(fleet.b.folder, PostgresAddress.parse(through))
        fleet.b.start(**QUICK_LEASES)
        until(lambda: '"leading"' in fleet.b.log(), 20)
        fleet.a.start(**QUICK_LEASES)
        fleet.connect(AGENTS)
        fleet.push()
        until(lambda: fleet.state() == "canary", 20)
        if last:  # of a transaction in which it writes many rows: it keeps the writers' lock
            relay.freeze_after(last)
        else:
            relay.freeze()
        fleet.require_all_well()
        assert {agent.sessions[-1] for agent in fleet.agents} == {fleet.a.address}
        assert "REPLICA_EXPIRED" in fleet.b.log()
        relay.thaw()
        until(lambda: '"lease_renewed"' in fleet.b.log(), 40)
        fleet.push(2)
        fleet.require_all_well(2)


def test_a_fetch_that_a_hanging_database_holds_up_ends_with_its_session(
    tmp_path: Path, postgres: Postgres, address: PostgresAddress
) -> None:
    """An agent would wait where nothing comes, while the other replica has its content."""
    with new_relay(postgres.port) as relay, new_fleet(tmp_path, address, IMMEDIATE) as fleet:
        through = address.uri.replace(f":{postgres.port}/", f":{relay.port}/")
        note_address(fleet.b.folder, PostgresAddress.parse(through))
        fleet.b.start(**QUICK_LEASES, held_payloads=1)
        with ScriptedAgent(fleet.b.address, fleet.b.agent_folder("web-1")) as agent:
            agent.greet(hello("web-1"))
            wanted = bytes.fromhex(fleet.push(1))
            until(lambda: len(agent.offers()) == 1)
            fleet.push(2)  # whose payload takes the place of the first one
            until(lambda: len(agent.offers()) == 2)
            relay.freeze()
            with pytest.raises(grpc.RpcError) as refused:
                agent.fetch(wanted)
            assert "NO_SESSION" in str(refused.value.details())
            assert "REPLICA_EXPIRED" in agent.ended()
