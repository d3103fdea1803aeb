"""A whole sensor under `--respawn`: what the death or the hang of its supervisor leaves behind."""

import os
import signal
from collections.abc import Iterator

import pytest
from rich.console import Console

from lab.demo.claims import Claims
from lab.demo.processes import alive
from lab.demo.steps import Demonstration, accounted, deliver, start
from lab.demo.world import World
from tests.journeys.helpers import in_force, protected, role, status
from tests.needs import require_btf, require_sandbox_users


@pytest.fixture(scope="module")
def respawned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demonstration]:
    """The shipped sensor, started again under a watching parent once its content is in force."""
    require_btf()
    require_sandbox_users()
    world = World(tmp_path_factory.mktemp("respawn"))
    demonstration = Demonstration(world, Claims(Console(quiet=True)))
    try:
        start(demonstration)
        deliver(demonstration)
        assert world.agent is not None
        world.agent.stop()
        world.start_agent("--respawn")
        world.wait("evaluator", lambda now: bool(now["protecting"]), 20.0)
        yield demonstration
    finally:
        world.stop()
        world.remove()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV])
def test_a_supervisor_comes_back(respawned: Demonstration, number: signal.Signals) -> None:
    """Somebody would have to come to the host to start its sensor again."""
    world = respawned.world
    before, content = status(respawned), in_force(respawned)
    pid = before["roles"]["supervisor"]["pid"]
    roles = [role(respawned, name) for name in ("evaluator", "link")]
    os.kill(pid, number)
    world.wait(
        "another supervisor",
        lambda now: now["roles"]["supervisor"]["pid"] != pid and bool(now["protecting"]),
        40.0,
    )
    protected(respawned)
    assert in_force(respawned) == content
    assert not [one for one in (pid, *roles) if alive(one)]
    accounted(respawned)
    causes = {one["cause"] for one in status(respawned)["losses"]}
    assert causes & {"BEFORE_SENSOR", "COLLECTION_GAP"}, "the gap is not in the loss ledger"
