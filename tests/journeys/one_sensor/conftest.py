"""One whole sensor for all journeys here: cloud, agent on BPF, shipped content in force.

To start one and put content in force takes longer than most journeys. So each leaves it protecting,
on the best rung, and compares with what it found.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.demo.steps import Demonstration, deliver, demonstration, start
from tests.needs import require_btf, require_sandbox_users

FOLDER = Path(__file__).parent
SECONDS = 180.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whichever journey is the first waits for the sensor as well."""
    for item in items:
        if FOLDER in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="package")
def sensor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demonstration]:
    """The shipped sensor at work; ended and removed afterwards."""
    require_btf()
    require_sandbox_users()
    with demonstration(tmp_path_factory.mktemp("sensor")) as demo:
        start(demo)
        deliver(demo)
        yield demo
