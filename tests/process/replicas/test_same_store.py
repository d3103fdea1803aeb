"""What is tested of the store on SQLite, tested on PostgreSQL: the same tests, another fixture."""

from types import ModuleType

import pytest

from cloud.store.database import Database
from tests.unit.cloud import test_conductor, test_push, test_store

SQLITE_ONLY = "test_a_database_that_was_not_made_is_not_made_by_opening_it"


def _tests_of(module: ModuleType) -> dict[str, object]:
    names = [name for name in vars(module) if name.startswith("test_") and name != SQLITE_ONLY]
    return {name: getattr(module, name) for name in names}


key = test_push.key
for _module in (test_conductor, test_push, test_store):
    globals().update(_tests_of(_module))


@pytest.fixture
def database(shared: Database) -> Database:
    """In the place of a file of SQLite."""
    return shared


@pytest.fixture
def cloud(shared: Database) -> test_conductor.Cloud:
    """An empty store and its conductor."""
    return test_conductor.Cloud(shared)
