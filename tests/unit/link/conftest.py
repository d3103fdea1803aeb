"""What tests of the verifier begin with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.link_repository import Repository, target
from tests.unit.link.verifier_world import OLD, Sensor


@pytest.fixture
def repository() -> Repository:
    """An honest repository with one Channel File."""
    made = Repository()
    made.publish(target(OLD))
    return made


@pytest.fixture
def sensor(tmp_path: Path, repository: Repository) -> Iterator[Sensor]:
    """A sensor that has refreshed once."""
    made = Sensor(tmp_path, repository)
    made.refresh()
    yield made
    made.store.close()
