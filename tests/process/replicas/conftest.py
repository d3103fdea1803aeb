"""One PostgreSQL server for all tests here that don't break it, and a database for each of them."""

from collections.abc import Iterator

import pytest

from cloud.store.database import Database
from cloud.store.postgresql import PostgresAddress
from tests.process.replicas.postgres import Postgres, new_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server that all tests share; none of them ends it."""
    with new_postgres() as server:
        yield server


@pytest.fixture
def address(postgres: Postgres) -> PostgresAddress:
    """An empty database."""
    return PostgresAddress.parse(postgres.new_database())


@pytest.fixture
def shared(address: PostgresAddress) -> Iterator[Database]:
    """An empty store in a database of its own."""
    made = Database.create(address)
    yield made
    made.close()
