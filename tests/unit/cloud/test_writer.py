"""One writer for all: what one job does wrong costs no other job."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from bulkhead.v1.report_pb2 import Detection
from cloud.errors import CloudReason, StoreError
from cloud.limits import LIMITS
from cloud.store import reports
from cloud.store.database import Database
from cloud.store.tables import DETECTIONS
from cloud.store.writer import Together, Writer

Job = Callable[[Connection], Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store's file."""
    Database.create(tmp_path / "cloud.sqlite").close()
    return tmp_path / "cloud.sqlite"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    """The store, impatient about locks."""
    opened = Database.open(path, busy_ms=50)
    yield opened
    opened.close()


def add(name: str) -> Job:
    """A job that stores one detection."""
    return lambda store: reports.add(
        store, DETECTIONS, reports.detection_rows("a", [Detection(id=name)], 1)
    )


def clash(store: Connection) -> None:
    """A job that the database refuses."""
    row = reports.detection_rows("a", [Detection(id="clash")], 1)[0]
    store.execute(insert(DETECTIONS).values([row, row]))


def bug(_: Connection) -> None:
    """A job with a mistake in it."""
    raise KeyError("bug")


def outcomes(database: Database, *jobs: Job, group: int = 256) -> list[Any]:
    """What became of jobs that were all submitted at once."""

    async def run() -> list[Any]:
        writer = Writer(database, replace(LIMITS, group_commit=group))
        waiting = [writer.submit(job) for job in jobs]
        writer.close()
        running = asyncio.create_task(writer.run())
        found = await asyncio.gather(*waiting, return_exceptions=True)
        await running
        return found

    return asyncio.run(run())


def names(database: Database) -> list[str]:
    """The ids of the stored detections."""
    with database.reading() as store:
        return [one.report.id for one in reports.latest_detections(store, 1000)]


@pytest.mark.parametrize("faulty", [clash, bug])
def test_a_faulty_job_fails_alone(database: Database, faulty: Job) -> None:
    """One agent's message would make the cloud forget, or refuse, everybody else's."""
    found = outcomes(database, add("before"), faulty, add("after"))
    assert [found[0], found[2]] == [1, 1]
    assert isinstance(found[1], KeyError if faulty is bug else StoreError)
    assert names(database) == ["before", "after"]


@dataclass(frozen=True)
class Several(Together):
    """Stores detections of one name in one statement; not those that are called off."""

    name: str
    sizes: list[int]

    @classmethod
    def store(cls, connection: Connection, jobs: Sequence["Several"]) -> list[Exception | None]:
        """Notes how many came at once."""
        jobs[0].sizes.append(len(jobs))
        found = [Detection(id=job.name) for job in jobs if job.name != "off"]
        reports.add(connection, DETECTIONS, reports.detection_rows("a", found, 1))
        return [KeyError("off") if job.name == "off" else None for job in jobs]


def test_jobs_of_a_kind_that_follow_each_other_are_stored_together(database: Database) -> None:
    """Each of ten thousand hosts would cost statements of its own; or what came first came last."""
    sizes: list[int] = []
    first = [Several(name, sizes) for name in ("d1", "off", "d2")]
    found = outcomes(database, *first, add("d3"), Several("d4", sizes))
    assert sizes == [3, 1]
    assert [type(one) for one in found] == [type(None), KeyError, type(None), int, type(None)]
    assert names(database) == ["d1", "d2", "d3", "d4"]


def test_one_of_several_that_the_database_refuses_fails_alone(database: Database) -> None:
    """What one agent says would cost all of those that were stored with it."""
    sizes: list[int] = []
    jobs: list[Job] = [Several("d1", sizes), clash, Several("d2", sizes), Several("off", sizes)]
    found = outcomes(database, *jobs)
    assert [type(one) for one in found] == [type(None), StoreError, type(None), KeyError]
    assert names(database) == ["d1", "d2"]


def test_everything_queued_before_the_end_is_stored(database: Database) -> None:
    """A clean stop would lose what sensors had already handed over."""
    jobs = [add(f"d{n}") for n in range(25)]
    assert outcomes(database, *jobs, group=10) == [1] * 25
    assert names(database) == [f"d{n}" for n in range(25)]


def test_a_locked_database_fails_the_group_and_is_tried_again_later(
    database: Database, path: Path
) -> None:
    """A receipt would be given for what was not stored."""
    with sqlite3.connect(path) as locking:
        locking.execute("BEGIN IMMEDIATE")
        found = outcomes(database, add("d1"), add("d2"))
        locking.rollback()
    locking.close()
    assert [one.reason for one in found] == [CloudReason.DATABASE_LOCKED] * 2
    assert outcomes(database, add("d1")) == [1]


def test_who_stops_waiting_does_not_stop_the_writer(database: Database) -> None:
    """A session that ends in mid-commit would take the writer with it."""

    async def run() -> None:
        writer = Writer(database, LIMITS)
        waiting = asyncio.create_task(writer.submit(add("d1")))
        await asyncio.sleep(0)
        waiting.cancel()
        running = asyncio.create_task(writer.run())
        assert await writer.submit(add("d2")) == 1
        writer.close()
        await running

    asyncio.run(run())
    assert names(database) == ["d1", "d2"]
