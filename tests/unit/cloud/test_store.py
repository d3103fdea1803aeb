"""What the cloud keeps: hosts once, reports once, and rows that hold whatever the wire can."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from bulkhead.v1.report_pb2 import (
    CONTENT_STATE_ACCEPTED,
    RUNG_BPF_BTF,
    RUNG_PSUTIL,
    ActiveChannelFile,
    Detection,
    Heartbeat,
    LossReport,
)
from bulkhead.v1.sensor_service_pb2 import Hello
from cloud.errors import CloudReason, StoreError
from cloud.offers import Active, HostContent, Standing
from cloud.refusals import Refusal
from cloud.store import hosts, releases, reports
from cloud.store.database import Database
from cloud.store.tables import DETECTIONS, HOSTS, LOSSES

NOW_NS = 1_700_000_000_000_000_000
LARGEST = 2**64 - 1
REFUSALS = (Refusal("SAMPLE_FAILED", "instances[0]", "\x1b\u2603", "a match"),)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty store."""
    made = Database.create(tmp_path / "cloud.sqlite")
    yield made
    made.close()


def hello(**changes: object) -> Hello:
    """A hello with some fields changed."""
    fields = {"agent_id": "a", "sensor_version": "1", "rung": RUNG_BPF_BTF} | changes
    return Hello(**fields)  # type: ignore[arg-type]


def content(standing: Standing, name: bytes = b"h" * 32) -> hosts.ContentRow:
    """Where a release stands on host a."""
    return hosts.ContentRow("a", name, standing, 1, REFUSALS, NOW_NS)


def test_a_host_is_one_row_however_often_it_comes(database: Database) -> None:
    """The fleet view would show a host once per connection."""
    for moment in range(3):
        with database.writing() as store:
            hosts.say_hello(store, hello(boot_id=str(moment)), f"s{moment}", NOW_NS + moment)
            beat = Heartbeat(uptime_ms=moment)
            hosts.Beats("a", f"s{moment}", beat, NOW_NS + moment)(store)
    with database.reading() as store:
        (row,) = hosts.all_hosts(store)
    assert (row.hello.boot_id, row.heartbeat.uptime_ms, row.session) == ("2", 2, "s2")
    assert (row.first_seen_unix_ns, row.last_seen_unix_ns) == (NOW_NS, NOW_NS + 2)


def test_what_is_stored_together_counts_only_for_the_newest_session(database: Database) -> None:
    """What a host said before it came back would replace what it says now, or hold up others."""
    with database.writing() as store:
        for agent, session in (("a", "old"), ("a", "new"), ("b", "only")):
            hosts.say_hello(store, hello(agent_id=agent), session, NOW_NS)
        told = [
            hosts.Beats(agent, session, Heartbeat(uptime_ms=number), NOW_NS + number)
            for number, (agent, session) in enumerate(
                [("a", "new"), ("b", "only"), ("a", "old"), ("a", "new"), ("c", "none"), ("b", "x")]
            )
        ]
        errors = hosts.Beats.store(store, told)
        rows = {row.hello.agent_id: row.heartbeat.uptime_ms for row in hosts.all_hosts(store)}
    assert [error is None for error in errors] == [True, True, False, True, False, False]
    assert rows == {"a": 3, "b": 1}


def test_where_releases_stand_is_stored_in_the_order_in_which_it_was_told(
    database: Database,
) -> None:
    """A host would stay on its way for ever, though it has said that it runs the content."""
    file = ActiveChannelFile(template_type=4, version=1, content_hash=b"h" * 32)
    with database.writing() as store:
        hosts.say_hello(store, hello(), "s", NOW_NS)
        steps = [(Standing.RECEIVED, ()), (Standing.TRIAL, ()), (Standing.ACTIVE, (file,))]
        told = [hosts.Stands("a", "s", [content(standing)], files) for standing, files in steps]
        assert hosts.Stands.store(store, told) == [None, None, None]
        (row,) = hosts.content_rows(store, "a")
        assert row.standing is Standing.ACTIVE
        assert hosts.active_files(store) == {"a": [file]}


def test_an_older_session_does_not_disconnect_the_newer_one(database: Database) -> None:
    """A late good-bye would make a connected host look lost."""
    with database.writing() as store:
        hosts.say_hello(store, hello(), "older", NOW_NS)
        hosts.say_hello(store, hello(), "newer", NOW_NS)
        hosts.disconnect(store, "a", "older")
        assert hosts.all_hosts(store)[0].session == "newer"
        hosts.disconnect(store, "a", "newer")
        assert hosts.all_hosts(store)[0].session == ""


@pytest.mark.parametrize("change", [{"sensor_version": "2"}, {"rung": RUNG_PSUTIL}])
def test_a_changed_sensor_gets_another_chance(
    database: Database, change: dict[str, object]
) -> None:
    """An update of the sensor would never get what the old one had rejected."""
    with database.writing() as store:
        hosts.say_hello(store, hello(), "s1", NOW_NS)
        rows = [content(Standing.REJECTED), content(Standing.QUARANTINED, b"q" * 32)]
        hosts.set_content(store, rows)
        same = hosts.say_hello(store, hello(boot_id="another"), "s2", NOW_NS)
        assert set(same.content) == {b"h" * 32, b"q" * 32}
        changed = hosts.say_hello(store, hello(**change), "s3", NOW_NS)
    assert changed.content == {b"q" * 32: HostContent(Standing.QUARANTINED, 1)}


def test_what_is_known_of_a_host_comes_back_whole(database: Database) -> None:
    """Decisions after a restart would be made on less than was known."""
    file = ActiveChannelFile(
        template_type=2**32 - 1,
        version=LARGEST,
        content_hash=b"v" * 32,
        state=CONTENT_STATE_ACCEPTED,
    )
    with database.writing() as store:
        hosts.say_hello(store, hello(active=[file]), "s", NOW_NS)
        hosts.set_content(store, [content(Standing.TRIAL)])
        hosts.set_content(store, [content(Standing.REJECTED)])
    with database.reading() as store:
        known = hosts.host(store, "a")
        (row,) = hosts.content_rows(store)
        active = hosts.active_files(store)
    assert known.active == {2**32 - 1: Active(LARGEST, b"v" * 32)}
    assert row == content(Standing.REJECTED)
    assert active == {"a": [file]}


def test_versions_keep_their_order_over_all_64_bits(database: Database) -> None:
    """A version beyond 63 bits would count as older than version 1."""
    versions = [1, 2**63 - 1, 2**63, LARGEST]
    for version in versions:
        with database.writing() as store:
            new = releases.NewRelease(
                version.to_bytes(32, "big"),
                4,
                version,
                1,
                unsafe=False,
                signed=b"x",
                halt_order=b"",
            )
            releases.push(store, new, NOW_NS)
            assert releases.newest_version(store, 4) == version
    with database.reading() as store:
        assert [one.version for one in releases.all_releases(store)] == versions


def test_a_push_and_a_revocation_change_the_generation(database: Database) -> None:
    """The serving process would not notice."""
    new = releases.NewRelease(b"h" * 32, 4, 1, 1, unsafe=False, signed=b"x", halt_order=b"")
    seen = []
    for _ in range(2):
        with database.writing() as store:
            releases.push(store, new, NOW_NS)
            seen.append(releases.generation(store))
    assert len(set(seen)) == len(seen)


def test_reports_are_stored_once_per_agent_and_id(database: Database) -> None:
    """A report that is sent again would be counted again, or hide another agent's."""
    batch = [Detection(id=f"d{n}", sequence=LARGEST) for n in (1, 2, 2, 3)]
    with database.writing() as store:
        for agent_id, new in (("a", 3), ("a", 0), ("b", 3)):
            rows = reports.detection_rows(agent_id, batch, NOW_NS)
            assert reports.add(store, DETECTIONS, rows) == new
    with database.reading() as store:
        latest = reports.latest_detections(store, limit=4)
        later = reports.latest_detections(store, limit=10, after=latest[0].number)
    assert [(one.agent_id, one.report.id) for one in latest] == [
        ("a", "d3"),
        ("b", "d1"),
        ("b", "d2"),
        ("b", "d3"),
    ]
    assert later == latest[1:]
    assert latest[0].report.sequence == LARGEST


def test_reports_of_several_agents_are_stored_together_each_once(database: Database) -> None:
    """A flood of a hundred agents would take a statement for each report."""
    both = [
        reports.Reported(DETECTIONS, reports.detection_rows(agent, [Detection(id="d")], NOW_NS))
        for agent in ("a", "b", "a")
    ]
    loss = reports.Reported(LOSSES, [reports.loss_row("a", LossReport(id="l"), NOW_NS)])
    with database.writing() as store:
        assert reports.Reported.store(store, [both[0], loss, *both[1:]]) == [None] * 4
        found = reports.latest_detections(store, 9)
        assert [one.agent_id for one in found] == ["a", "b"]
        assert len(reports.latest_losses(store, 9)) == 1


def test_absurd_loss_counts_neither_overflow_nor_hide_the_report(database: Database) -> None:
    """One agent's nonsense would break the fleet view for everybody."""
    with database.writing() as store:
        for agent_id, count in (("a", LARGEST), ("b", 5)):
            for name in ("l1", "l2"):
                row = reports.loss_row(agent_id, LossReport(id=name, count=count), NOW_NS)
                reports.add(store, LOSSES, [row])
    with database.reading() as store:
        totals = reports.totals(store, LOSSES)
        assert reports.latest_losses(store, 1)[0].report.count == 5
    assert totals["b"] == 10
    assert totals["a"] >= 2**63


def test_what_is_less_than_an_event_is_not_summed_with_events(database: Database) -> None:
    """A host with long command lines would seem to lose events; or one that does, would not."""
    counted = {"RING_FULL": 3, "FIELD_TRUNCATED": 1000, "EVALUATOR_DOWN": 50, "NEWER": 1}
    with database.writing() as store:
        for cause, count in counted.items():
            loss = LossReport(id=cause, cause=cause, count=count)
            reports.add(store, LOSSES, [reports.loss_row("a", loss, NOW_NS)])
    with database.reading() as store:
        assert reports.totals(store, LOSSES) == {"a": 4}


def test_losses_are_summed_by_host_cause_and_type(database: Database) -> None:
    """An operator would see single reports, and not which host loses how much by what."""
    told = [
        ("b", "RING_FULL", 1, 5, 10, 20),
        ("a", "RING_FULL", 2, 1, 30, 40),
        ("a", "RING_FULL", 1, LARGEST, 30, 40),
        ("a", "RING_FULL", 1, 4, 5, 50),
        ("a", "POLL_GAP", 0, 2, 7, 8),
    ]
    with database.writing() as store:
        for number, (host, cause, kind, count, since, until) in enumerate(told):
            loss = LossReport(id=str(number), cause=cause, template_type=kind, count=count)
            loss.from_unix_ns, loss.to_unix_ns = since, until
            reports.add(store, LOSSES, [reports.loss_row(host, loss, NOW_NS)])
    with database.reading() as store:
        assert reports.loss_totals(store) == [
            reports.LossTotal("a", "POLL_GAP", 0, 2, 7, 8),
            reports.LossTotal("a", "RING_FULL", 1, LARGEST + 4, 5, 50),
            reports.LossTotal("a", "RING_FULL", 2, 1, 30, 40),
            reports.LossTotal("b", "RING_FULL", 1, 5, 10, 20),
        ]


def test_a_failed_transaction_stores_nothing(database: Database) -> None:
    """Half of a message would be stored and then confirmed."""
    row = reports.detection_rows("a", [Detection(id="d1")], NOW_NS)[0]

    def add_twice() -> None:
        with database.writing() as store:
            reports.add(store, DETECTIONS, [row])
            store.execute(insert(DETECTIONS).values(row))

    with pytest.raises(StoreError) as failed:
        add_twice()
    assert failed.value.reason is CloudReason.DATABASE_ERROR
    with database.reading() as store:
        assert reports.latest_detections(store, 10) == []


def test_nobody_closes_what_another_thread_reads_from(database: Database) -> None:
    """A session would end for no reason while the serving process has much to do."""
    threads = 8
    together = threading.Barrier(threads)

    def read(_: int) -> int:
        with database.reading() as connection:
            together.wait(30)
            return int(connection.execute(select(func.count()).select_from(HOSTS)).scalar_one())

    with ThreadPoolExecutor(threads) as pool:
        assert list(pool.map(read, range(threads))) == [0] * threads
