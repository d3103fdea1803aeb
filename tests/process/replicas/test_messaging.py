"""Hints and reports through NATS: nothing is lost or doubled, whoever of them is gone."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cloud.rollout.plan import IMMEDIATE, Plan
from cloud.store.postgresql import PostgresAddress
from tests.process.replicas.fleet import QUICK_LEASES, SLOW, Fleet, new_fleet
from tests.process.replicas.nats_server import NatsServer, new_nats
from tests.process.replicas.postgres import new_postgres
from tests.process.waiting import until

AGENTS = 4
pytestmark = pytest.mark.timeout(150)


@contextmanager
def queued_fleet(
    folder: Path, address: PostgresAddress, plan: Plan = SLOW, **limits: float
) -> Iterator[tuple[Fleet, NatsServer]]:
    """Two replicas that hear of each other."""
    with new_nats() as nats, new_fleet(folder, address, plan) as fleet:
        for one in (fleet.a, fleet.b):
            one.options = (nats.url,)
        fleet.start(**limits)
        for one in (fleet.a, fleet.b):
            until(lambda one=one: '"nats_reached"' in one.log())  # type: ignore[misc]
        yield fleet, nats


def test_a_killed_replica_costs_no_report_in_the_stream(
    tmp_path: Path, address: PostgresAddress
) -> None:
    """What it had fetched and not stored would be lost, or what it had stored be stored again."""
    with queued_fleet(tmp_path, address) as (fleet, nats):
        fleet.connect(AGENTS)
        fleet.push()
        until(lambda: fleet.state() == "canary", 20)
        fleet.leader().kill()
        fleet.require_all_well()
        assert nats.queued() >= sum(fleet.stored_reports().values())
        assert "report_not_queued" not in fleet.a.log() + fleet.b.log()


def test_nats_that_is_gone_for_a_while_costs_nothing(
    tmp_path: Path, address: PostgresAddress
) -> None:
    """Reports would wait for ever, and replicas would not hear of each other."""
    with queued_fleet(tmp_path, address) as (fleet, nats):
        fleet.connect(AGENTS)
        fleet.push()
        until(lambda: fleet.state() == "canary", 20)
        nats.stop()
        until(lambda: all('"nats_unreachable"' in one.log() for one in (fleet.a, fleet.b)))
        until(lambda: fleet.state() in {"general", "complete"}, 20)
        nats.start()
        until(lambda: all(one.log().count('"nats_reached"') == 2 for one in (fleet.a, fleet.b)), 20)
        fleet.require_all_well()
        assert all(one.log().count('"nats_unreachable"') == 1 for one in (fleet.a, fleet.b))


def test_reports_wait_in_the_stream_while_the_database_is_gone(tmp_path: Path) -> None:
    """A receipt that was given would not hold."""
    with new_postgres() as postgres:
        address = PostgresAddress.parse(postgres.new_database())
        with queued_fleet(tmp_path, address) as (fleet, _):
            fleet.connect(AGENTS)
            until(lambda: sum(fleet.stored_reports().values()) > 20)
            postgres.stop(signal.SIGQUIT)
            until(lambda: '"report_not_stored"' in fleet.a.log() + fleet.b.log(), 20)
            postgres.start()
            fleet.push()
            fleet.require_all_well()


def test_replicas_hear_of_a_change_before_they_ask(
    tmp_path: Path, address: PostgresAddress
) -> None:
    """A halt would take as long as the slowest replica takes to look."""
    with queued_fleet(tmp_path, address, IMMEDIATE, announced_watch_seconds=3_600.0) as (fleet, _):
        fleet.connect(2)
        fleet.b.stop()
        fleet.b.start(**(QUICK_LEASES | {"announced_watch_seconds": 1.0}))
        fleet.connect(4)
        name = fleet.push()
        until(lambda: {agent.version() for agent in fleet.agents} == {1})
        fleet.a.json("rollout halt", name)
        until(lambda: all('"revocation_sent"' in one.log() for one in (fleet.a, fleet.b)))


def test_a_stream_that_is_full_stands_in_nobodys_way(
    tmp_path: Path, address: PostgresAddress
) -> None:
    """Agents would keep their reports until somebody looks after NATS."""
    with queued_fleet(tmp_path, address, nats_stream_bytes=1, nats_rest_seconds=0.0) as (fleet, _):
        fleet.connect(AGENTS)
        fleet.push()
        fleet.require_all_well()
        assert "report_not_queued" in fleet.a.log() + fleet.b.log()


def test_a_cloud_serves_and_ends_whether_nats_is_there_or_not(
    tmp_path: Path, address: PostgresAddress
) -> None:
    """A restart of NATS at the wrong moment would keep the cloud from starting, or from ending."""
    with new_nats() as nats, new_fleet(tmp_path, address) as fleet:
        nats.stop()
        fleet.a.options = (nats.url,)
        fleet.a.start(**QUICK_LEASES)
        until(lambda: '"nats_unreachable"' in fleet.a.log())
        assert fleet.a.stop() == 0
        fleet.a.start(**QUICK_LEASES)
        nats.start()
        until(lambda: '"nats_reached"' in fleet.a.log())
        assert fleet.a.stop() == 0
        assert "Traceback" not in fleet.a.log()


def test_a_wrong_password_for_nats_is_said_and_the_right_one_works(
    tmp_path: Path, address: PostgresAddress
) -> None:
    """Who may publish reports would be everybody, or nobody."""
    password = tmp_path / "password"
    password.touch(mode=0o600)
    with new_nats() as nats, new_fleet(tmp_path, address) as fleet:
        nats.stop()
        nats.options = ("--user", "bulkhead", "--pass", "correct")
        nats.start()
        fleet.a.options = (nats.url, str(password))
        for word, event in (("wrong", "nats_unreachable"), ("correct", "nats_reached")):
            password.write_text(f"bulkhead:{word}\n", encoding="ascii")
            fleet.a.start(**QUICK_LEASES)
            until(lambda event=event: f'"{event}"' in fleet.a.log())  # type: ignore[misc]
            assert fleet.a.stop() == 0
        assert "Traceback" not in fleet.a.log()
        assert "correct" not in fleet.a.log()
