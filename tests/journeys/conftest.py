"""A whole sensor for the journeys of a module: cloud, agent on BPF, shipped content in force."""

from collections.abc import Iterator

import pytest
from rich.console import Console

from lab.demo.claims import Claims
from lab.demo.steps import Demonstration, deliver, start
from lab.demo.world import World
from tests.needs import require_btf, require_sandbox_users


@pytest.fixture(scope="module")
def sensor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demonstration]:
    """The shipped sensor at work; ended and removed afterwards."""
    require_btf()
    require_sandbox_users()
    world = World(tmp_path_factory.mktemp("sensor"))
    demonstration = Demonstration(world, Claims(Console(quiet=True)))
    try:
        start(demonstration)
        deliver(demonstration)
        yield demonstration
    finally:
        world.stop()
        world.remove()
