"""A writer that hangs in the middle of a pipeline, which the server would wait for without end."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cloud.store.database import Database
from cloud.store.postgresql import SILENCE_MS, WRITERS, PostgresAddress
from tests.process.cloud_agent import ScriptedAgent, hello
from tests.process.replicas.fleet import new_fleet
from tests.process.waiting import until

SILENCE = SILENCE_MS / 1e3
pytestmark = pytest.mark.timeout(90)


@contextmanager
def hanging_writer(address: PostgresAddress) -> Iterator[psycopg.Connection[Any]]:
    """It has the writers' lock, has begun a pipeline, and says nothing more."""
    with closing(address.dialect(1_000).connect()) as connection:
        connection.execute(f"SELECT pg_advisory_xact_lock({WRITERS})")
        connection.pgconn.enter_pipeline_mode()
        connection.pgconn.send_query_params(b"SELECT 1", None)
        connection.pgconn.flush()
        yield connection


def test_it_is_ended_by_who_looks_for_it(shared: Database, address: PostgresAddress) -> None:
    """Nobody could write any more: no report is stored, no lease renewed, nobody leads."""
    with hanging_writer(address):
        began = time.monotonic()
        assert shared.end_silent_writer() == 0, "it may go on yet"
        until(lambda: shared.end_silent_writer() == 1, 3 * SILENCE)
        assert time.monotonic() - began > 0.9 * SILENCE
        with shared.writing():
            pass
    assert shared.end_silent_writer() == 0


def test_one_that_works_is_left_alone(shared: Database) -> None:
    """A large transaction would be ended again and again, and never be stored."""
    found = []
    with shared.writing() as store:
        raw = store.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)
        raw.pgconn.send_query(f"SELECT pg_sleep({SILENCE + 1})".encode())
        raw.pgconn.flush()
        while not _answered(raw):
            found.append(shared.end_silent_writer())
            time.sleep(0.1)
        assert raw.pgconn.get_result() is not None
        assert raw.pgconn.get_result() is None
    assert len(found) > SILENCE
    assert not any(found)


def test_a_replica_looks_for_it(tmp_path: Path, address: PostgresAddress) -> None:
    """An agent would get no welcome, on any replica."""
    with new_fleet(tmp_path, address) as fleet:
        fleet.a.start(replica_beat_seconds=0.5)
        folder = fleet.a.agent_folder("web-1")
        with hanging_writer(address), ScriptedAgent(fleet.a.address, folder) as agent:
            agent.greet(hello("web-1"))
            assert "silent_writer_ended" in fleet.a.log()


def _answered(raw: psycopg.Connection[Any]) -> bool:
    raw.pgconn.consume_input()
    return not raw.pgconn.is_busy()
