"""A report of an incident says what the records say, and nothing that hosts can slip in."""

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bulkhead.v1 import report_pb2
from bulkhead.v1.report_pb2 import CrashReport, Detection, LossReport
from bulkhead.v1.sensor_service_pb2 import Hello, Revocation
from cloud.errors import CloudReason, RecordsError
from cloud.incident.account import TIMELINE_HOSTS, Account, account
from cloud.incident.document import document
from cloud.incident.pages import Block, Grid, Page, Paragraph, Points, html, markdown
from cloud.incident.records import Records, read
from cloud.incident.telling import page
from cloud.offers import Standing
from cloud.rollout.engine import halt
from cloud.rollout.plan import STAGED
from cloud.store import hosts, releases, reports, rollouts
from cloud.store.database import Database
from cloud.store.hosts import ContentRow
from cloud.store.tables import CRASHES, DETECTIONS, LOSSES
from content.definitions import load_definitions

TYPES = load_definitions()
SECOND = 1_000_000_000
NOW = 1_721_362_140 * SECOND
BAD = b"\x29\x01" * 16
OTHER = b"\x11" * 32
HOSTILE = "\x1b[31m<img src=x onerror=alert(1)>|`rm`\n# [a](http://b) _c_"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty store."""
    made = Database.create(tmp_path / "cloud.sqlite")
    yield made
    made.close()


def push(database: Database) -> None:
    """Content of which an instance kills, with its rollout."""
    started = rollouts.Started(BAD, 4, 291, NOW, ("pipe-21",), prevents=False)
    order = Revocation(content_hash=BAD, expires_unix=2**40).SerializeToString()
    release = releases.NewRelease(BAD, 4, 291, 1, unsafe=False, signed=b"signed", halt_order=order)
    with database.writing() as store:
        releases.push(store, release, NOW)
        rollouts.start(store, started, STAGED, "ada")


def crash(
    name: str, at: float, action: str = "EVENT_SET_ASIDE", suspect: bytes = BAD
) -> CrashReport:
    """An evaluator that died so many seconds after the push."""
    return CrashReport(
        id=name,
        time_unix_ns=NOW + int(at * SECOND),
        role=report_pb2.ROLE_EVALUATOR,
        signal=11,
        cause="SIGNAL",
        suspect_content_hash=suspect,
        suspect_template_type=4,
        suspect_instance_id="pipe-21" if suspect else "",
        suspect_sequence=7,
        action=action,
    )


def loss(name: str, cause: str, at: float, seconds: float, count: int) -> LossReport:
    """A loss from so many seconds after the push, so many seconds long."""
    begin = NOW + int(at * SECOND)
    end = begin + int(seconds * SECOND)
    return LossReport(id=name, cause=cause, count=count, from_unix_ns=begin, to_unix_ns=end)


def tell(database: Database, agent: str, *said: CrashReport | LossReport | Detection) -> None:
    """A host's reports, each stored a second after it happened."""
    with database.writing() as store:
        hosts.say_hello(store, Hello(agent_id=agent, platform="linux"), "session", NOW)
        for one in said:
            match one:
                case CrashReport():
                    row = reports.crash_row(agent, one, one.time_unix_ns + SECOND)
                    reports.add(store, CRASHES, [row])
                case LossReport():
                    row = reports.loss_row(agent, one, one.to_unix_ns + SECOND)
                    reports.add(store, LOSSES, [row])
                case Detection():
                    rows = reports.detection_rows(agent, [one], one.time_unix_ns + SECOND)
                    reports.add(store, DETECTIONS, rows)


def stand(database: Database, agent: str, standing: Standing, at: float) -> None:
    """Where the content stands on a host since then."""
    row = ContentRow(agent, BAD, standing, 1, (), NOW + int(at * SECOND))
    with database.writing() as store:
        hosts.set_content(store, [row])


def halted(database: Database, at: float) -> None:
    """The engine halts the rollout."""
    with database.writing() as store:
        before = rollouts.find(store, BAD)
        assert before is not None
        now = NOW + int(at * SECOND)
        after = halt(before.rollout, "blamed: 2 of 2 hosts", now / SECOND)
        rollouts.change(store, before, after, "rollout engine", "halt", now)


def found(database: Database, name: str, agent: str | None = None) -> tuple[Records, Account]:
    """The incident of a crash report."""
    with database.reading() as store:
        records = read(store, name, agent)
    return records, account(records)


def the_incident(database: Database) -> Account:
    """Two hosts die twice each, a third is spared: the content is halted after four seconds."""
    push(database)
    down = "EVALUATOR_DOWN"
    tell(
        database,
        "web-1",
        crash("c1", 10),
        loss("l1", down, 9.9, 0.2, 3),
        Detection(id="d1", time_unix_ns=NOW + int(9.95 * SECOND)),
        Detection(id="d2", time_unix_ns=NOW + int(10.2 * SECOND)),
        crash("c2", 12, "QUARANTINED"),
        loss("l2", down, 11.9, 0.3, 0),
        loss("l3", "SUSPECT_EVENT", 10, 0, 1),
        loss("l4", "RING_FULL", 500, 1, 99),
        loss("l5", down, 300, 60, 5),
    )
    tell(database, "web-2", crash("c3", 11), crash("c4", 13, "QUARANTINED"))
    tell(database, "web-3", crash("x1", 12, suspect=OTHER), loss("l1", "RING_FULL", 11, 1, 50))
    halted(database, 15)
    stand(database, "web-1", Standing.ROLLED_BACK, 16)
    stand(database, "web-2", Standing.QUARANTINED, 14)
    stand(database, "web-3", Standing.WITHHELD, 15)
    return found(database, "c3")[1]


def test_who_was_hit_and_by_what(database: Database) -> None:
    """Deaths of other content would be counted in, or hosts forgotten."""
    told = the_incident(database)
    assert (told.deaths, dict(told.hosts), told.fleet) == (4, {"web-1": 2, "web-2": 2}, 3)
    assert dict(told.instances) == {"pipe-21": 4}
    assert dict(told.roles) == {"evaluator": 4}
    assert (told.reached, told.given_up, told.running) == (2, 2, 0)
    assert dict(told.platforms) == {"linux": 2}


def test_what_stopped_it(database: Database) -> None:
    """Nobody could say whether hosts or the cloud ended it, and how fast."""
    told = the_incident(database)
    assert told.worst == 2
    assert told.halt is not None
    assert (told.halt.seconds, told.halt.by) == (4.0, "rollout engine")
    assert "blamed" in told.halt.reason


def test_what_it_cost(database: Database) -> None:
    """Stretches and losses of another day or another host would be laid at its door."""
    told = the_incident(database)
    assert [(one.agent_id, round(one.seconds, 3), one.waited) for one in told.outages] == [
        ("web-1", 0.2, 3),
        ("web-1", 0.3, 0),
    ]
    assert dict(told.lost) == {"SUSPECT_EVENT": 1}
    assert (told.late, round(told.longest_wait, 3)) == (1, 0.15)


def test_the_timeline_is_in_order(database: Database) -> None:
    """Effects would stand before their causes."""
    told = the_incident(database)
    times = [one.time_unix_ns for one in told.timeline]
    assert times == sorted(times)
    assert [(one.who, one.what.partition(":")[0]) for one in told.timeline] == [
        ("operator ada", "push"),
        ("host web-1", "evaluator died of SIGNAL"),
        ("host web-2", "evaluator died of SIGNAL"),
        ("host web-1", "evaluator died of SIGNAL"),
        ("host web-2", "evaluator died of SIGNAL"),
        ("cloud", "quarantined on one host"),
        ("rollout engine", "halt"),
        ("cloud", "the content was ordered back"),
        ("cloud", "rolled back on one host"),
    ]


def test_many_hosts_are_summed_up(database: Database) -> None:
    """A report of July 2024 would have eight million lines."""
    push(database)
    for number in range(TIMELINE_HOSTS + 15):
        tell(database, f"web-{number}", *(crash(f"c{n}", number + n / 10) for n in range(3)))
    told = found(database, "c0", "web-3")[1]
    what = [one.what for one in told.timeline]
    assert "evaluator died of SIGNAL, 3 times: EVENT_SET_ASIDE" in what
    assert "deaths on 15 more hosts, from here on" in what
    shown = markdown(page(told, None, TYPES))
    assert "| 15 more | 45 |" in shown
    assert len(shown.splitlines()) < 120


def test_a_death_without_a_suspect_is_an_incident_of_its_own(database: Database) -> None:
    """All deaths that nobody is blamed for would be told as one."""
    push(database)
    tell(database, "web-1", crash("c1", 1, "RESTARTED", b""), crash("c2", 2, "RESTARTED", b""))
    records, told = found(database, "c1")
    assert (told.deaths, told.reached, told.halt) == (1, 0, None)
    shown = markdown(page(told, records.release, TYPES))
    assert "No content is suspected" in shown
    assert "No host says that nobody evaluated" in shown


def test_reports_that_are_not_there_or_not_one(database: Database) -> None:
    """An operator would read about another host's crash."""
    push(database)
    for agent in ("web-1", "web-2"):
        tell(database, agent, crash("same", 1))
    wrong: tuple[tuple[str, str | None, CloudReason], ...] = (
        ("other", None, CloudReason.REPORT_UNKNOWN),
        ("same", "web-3", CloudReason.REPORT_UNKNOWN),
        ("same", None, CloudReason.REPORT_AMBIGUOUS),
    )
    for name, whose, reason in wrong:
        with pytest.raises(RecordsError) as caught:
            found(database, name, whose)
        assert caught.value.reason == reason
    assert found(database, "same", "web-2")[1].crash.agent_id == "web-2"


def test_a_document_is_json(database: Database) -> None:
    """What other programs read would not be readable."""
    told = the_incident(database)
    shown = json.loads(json.dumps(document(told, None, TYPES)))
    assert (shown["deaths"], shown["deaths_until_quarantine"]) == (4, 2)
    assert shown["halt"]["seconds"] == 4.0
    assert shown["outages"][0]["waited"] == 3


class Elements(HTMLParser):
    """Which elements and attributes a page has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.seen |= {tag, *(f"{tag} {name}" for name, _ in attrs)}


def test_hostile_texts_are_no_markup() -> None:
    """A process on any host could put a script, a link or a heading into the report."""
    blocks: list[Block] = [
        Paragraph(HOSTILE),
        Points([HOSTILE]),
        Grid(HOSTILE, [HOSTILE], [[HOSTILE]]),
    ]
    made = Page(HOSTILE, blocks)
    elements = Elements(html(made)).seen
    assert not elements & {"img", "script", "a", "img src", "p onerror"}
    assert "\x1b" not in html(made)
    lines = markdown(made).splitlines()
    assert len(lines) == 11
    assert all("\x1b" not in line and "<img" not in line.replace(r"\<", "") for line in lines)
    unescaped = [line for line in lines if "](" in line.replace(r"\]", "")]
    assert unescaped == []
    assert lines[-1].replace(r"\|", "").count("|") == 2


def test_hostile_reports_are_told(database: Database) -> None:
    """One odd report would hide an incident."""
    odd = crash("odd", 1)
    odd.cause = odd.action = odd.suspect_instance_id = HOSTILE
    odd.attempts.add(name=HOSTILE, count=2)
    odd.time_unix_ns = 2**63 - 1
    push(database)
    tell(database, "web-1", crash("c1", 1))
    with database.writing() as store:
        reports.add(store, CRASHES, [reports.crash_row("web-1", odd, NOW)])
    records, told = found(database, "odd")
    shown = page(told, records.release, TYPES)
    assert "img" not in Elements(html(shown)).seen
    assert "alert" in markdown(shown)
