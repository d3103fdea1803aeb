"""Who lives, who leads, and what is refused of those that only believe it; on both databases."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Connection

from bulkhead.v1.report_pb2 import Detection, Heartbeat
from bulkhead.v1.sensor_service_pb2 import Hello
from cloud.errors import CloudError, CloudReason, ContentStateError, SessionError
from cloud.limits import LIMITS
from cloud.membership import Membership
from cloud.rollout.plan import STAGED
from cloud.rollout.table import State
from cloud.store import audit, hosts, replicas, reports, rollouts
from cloud.store.database import Database
from cloud.store.replicas import ROLLOUTS, Replica
from cloud.store.tables import DETECTIONS
from cloud.store.writer import Writer
from tests.unit.cloud.test_conductor import NAME, Cloud

LONG = 3_600.0
OVER = -1.0
"""A lease that has ended when it begins."""

A = Replica("aaaa", "host:/a", "127.0.0.1:1", unsafe=False)
B = Replica("bbbb", "host:/b", "127.0.0.1:2", unsafe=False)
QUICK = STAGED.quickened(0.0, 0)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty store of each kind."""
    if request.param == "postgresql":
        yield request.getfixturevalue("shared")
        return
    made = Database.create(tmp_path / "cloud.sqlite")
    yield made
    made.close()


@pytest.fixture
def other(database: Database, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """The same store, by somebody who hardly waits."""
    place = request.getfixturevalue("address") if database.shared else tmp_path / "cloud.sqlite"
    opened = Database.open(place, busy_ms=100)
    yield opened
    opened.close()


def sessions(database: Database) -> dict[str, str]:
    """Which session each host has."""
    with database.reading() as store:
        return {one.hello.agent_id: one.session for one in hosts.all_hosts(store)}


def test_one_leads_until_its_lease_ends(database: Database) -> None:
    """Two would judge the same gates, or nobody after the leader's death."""
    with database.writing() as store:
        assert replicas.lead(store, ROLLOUTS, "aaaa", LONG) == 1
        assert replicas.lead(store, ROLLOUTS, "bbbb", LONG) is None
        assert replicas.lead(store, ROLLOUTS, "aaaa", OVER) == 1
        assert replicas.lead(store, ROLLOUTS, "bbbb", LONG) == 2
        assert replicas.lead(store, ROLLOUTS, "aaaa", LONG) is None
        replicas.require_leader(store, ROLLOUTS, "bbbb", 2)
        for replica, term in (("aaaa", 1), ("bbbb", 1), ("aaaa", 2)):
            with pytest.raises(ContentStateError) as refused:
                replicas.require_leader(store, ROLLOUTS, replica, term)
            assert refused.value.reason is CloudReason.NOT_LEADER


def test_only_the_hosts_of_a_dead_replica_are_disconnected(database: Database) -> None:
    """A start or a death would make the hosts of all others look lost."""
    with database.writing() as store:
        replicas.join(store, A, OVER)
        replicas.join(store, B, LONG)
        for name, replica in (("web-1", A), ("web-2", B)):
            hosts.say_hello(store, Hello(agent_id=name), f"{replica.replica}/1", 1)
        assert replicas.bury_expired(store) == [A.name]
        assert not replicas.renew(store, A, LONG)
        assert [one.name for one in replicas.alive(store)] == [B.name]
    assert sessions(database) == {"web-1": "", "web-2": "bbbb/1"}
    with database.writing() as store:
        again = Replica("cccc", B.name, B.address, unsafe=False)
        assert replicas.join(store, again, LONG) == [B.name]
    assert sessions(database) == {"web-1": "", "web-2": ""}


def test_two_replicas_of_the_same_name_leave_each_other_alone(database: Database) -> None:
    """Copies on hosts of the same name would end each other's sessions for ever."""
    twin = Replica("dddd", A.name, "127.0.0.1:3", unsafe=False)
    with database.writing() as store:
        replicas.join(store, A, LONG)
        assert replicas.join(store, twin, LONG) == [A.name]
        assert not replicas.renew(store, A, LONG)
        replicas.enter(store, A, LONG)
        assert replicas.renew(store, twin, LONG)
        assert replicas.renew(store, A, LONG)


def test_an_older_session_on_another_replica_stores_nothing(database: Database) -> None:
    """What a host said before it moved would replace what it says now."""
    with database.writing() as store:
        for session in ("aaaa/1", "bbbb/1"):
            hosts.say_hello(store, Hello(agent_id="web-1"), session, 1)
        hosts.Beats("web-1", "bbbb/1", Heartbeat(), 1)(store)
        with pytest.raises(SessionError) as refused:
            hosts.Beats("web-1", "aaaa/1", Heartbeat(), 2)(store)
        assert refused.value.reason is CloudReason.SESSION_REPLACED


def test_two_conductors_advance_a_stage_once(database: Database) -> None:
    """A stage would be advanced twice: its hosts would not have been looked at."""
    one, other = Cloud(database), Cloud(database)
    one.begin(QUICK, "web-1", "web-2")
    both: list[list[object]] = []
    for cloud in (one, other):
        cloud.now += 1.0
        cloud.beat("web-1", "web-2")
    one.activate("web-1")
    for _ in range(2):  # verdicts are of the look before
        both = [_look(cloud) for cloud in (one, other)]
    assert all(both)
    refused = [_store(database, jobs) for jobs in both]
    assert refused[0] == []
    assert CloudReason.ROLLOUT_CHANGED in refused[1]
    assert _advances(database) == [("internal", "canary")]


def test_two_conductors_in_a_race_advance_each_stage_once(database: Database) -> None:
    """The same, wherever in a look the other one comes between."""
    clouds = [Cloud(database), Cloud(database)]
    clouds[0].begin(QUICK, "web-1", "web-2", "web-3")
    for name in ("web-1", "web-2", "web-3"):
        clouds[0].activate(name)
    complete = threading.Event()

    def conduct(cloud: Cloud) -> None:
        while not complete.is_set():
            cloud.now += 1.0
            with suppress(CloudError):
                _store(database, _look(cloud))
            with database.reading() as store:
                found = rollouts.find(store, NAME)
            if found is not None and found.rollout.state is State.COMPLETE:
                complete.set()

    clouds[0].beat("web-1", "web-2", "web-3")
    threads = [threading.Thread(target=conduct, args=(cloud,)) for cloud in clouds]
    for thread in threads:
        thread.start()
    assert complete.wait(40)
    for thread in threads:
        thread.join(10)
    names = ["internal", "canary", "early_access", "general", "complete"]
    assert _advances(database) == list(pairwise(names))


def test_what_a_former_leader_decides_is_not_stored(shared: Database) -> None:
    """It was cut off, and looked at the gates of a stage that is over."""

    async def cut_off() -> None:
        writer = Writer(shared, LIMITS)
        running = asyncio.create_task(writer.run())
        former, later = (
            Membership(
                writer,
                replace(LIMITS, replica_lease_seconds=seconds),
                one,
                shared,
                expired=lambda: None,
            )
            for one, seconds in ((A, OVER), (B, LONG))
        )
        await former.join()
        assert former.term == 1
        await writer.submit(former.led(_nothing, 1))
        await later.join()
        assert later.term == 2
        with pytest.raises(ContentStateError) as refused:
            await writer.submit(former.led(_nothing, 1))
        assert refused.value.reason is CloudReason.NOT_LEADER
        await writer.submit(later.led(_nothing, 2))
        writer.close()
        await running

    asyncio.run(cut_off())


def test_a_writer_waits_for_the_other(database: Database, other: Database) -> None:
    """What a transaction has read would no longer be so when it commits."""
    with database.writing(), pytest.raises(CloudError) as refused, other.writing():
        pass
    assert refused.value.reason is CloudReason.DATABASE_LOCKED
    with other.writing() as store, database.reading():
        assert replicas.lead(store, ROLLOUTS, "aaaa", LONG) == 1


def test_numbers_rise_in_the_order_of_commits(database: Database) -> None:
    """Whoever reads what is above the last number would never see some reports."""
    seen: list[int] = []

    def write(name: str) -> None:
        for turn in range(40):
            rows = reports.detection_rows(name, [Detection(id=f"{name}-{turn}")], 1)
            with database.writing() as store:
                assert reports.add(store, DETECTIONS, rows) == 1

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or not seen or len(seen) < 120:
        with database.reading() as store:
            after = seen[-1] if seen else 0
            seen += [one.number for one in reports.latest_detections(store, 1_000, after)]
    for thread in threads:
        thread.join()
    assert len(seen) == 120


def _nothing(store: Connection) -> None:
    del store


def _look(cloud: Cloud) -> list[object]:
    return list(cloud.conductor.look())


def _store(database: Database, jobs: list[object]) -> list[CloudReason]:
    refused = []
    for job in jobs:
        try:
            with database.writing() as store:
                job(store)  # type: ignore[operator]
        except CloudError as error:
            refused.append(error.reason)
    return refused


def _advances(database: Database) -> list[tuple[str, str]]:
    with database.reading() as store:
        details = [
            json.loads(one.detail) for one in audit.entries(store) if one.action == "advance"
        ]
    return [(one["from"], one["to"]) for one in details]
