"""When each part of the supervisor has to be woken although nobody has said anything."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from agent.backoff import Backoff
from agent.lifecycle import State
from agent.supervisor.limits import LIMITS
from agent.supervisor.linking import Linking
from agent.supervisor.own_processes import OwnProcesses
from agent.supervisor.reports import Reports
from tests.unit.agent.evaluator_world import NEW, Played, Theatre
from tests.unit.agent.flow_world import PROBATION, World, content

DEGRADED = LIMITS.degraded_seconds


class Desk:
    """A link that is only played, the state that it is told of, and a clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.facts = {"events_evaluated": 0, "uptime_ms": 0, "evaluator_deaths": 0}
        self.link = Played(7)
        log: Any = SimpleNamespace(say=lambda *_, **__: None)
        self.linking = Linking(
            lambda: self.link,
            lambda: {"agent": "a"},
            lambda: {"facts": dict(self.facts), "active": []},
            OwnProcesses(),
            Reports(),
            log,
            Backoff(1.0, 8.0, lambda: 0.0),
            clock=lambda: self.now,
        )

    def turn(self, seconds: float = 0.0) -> list[str]:
        """Time passes and the next step is taken; what the link was told in it."""
        self.now += seconds
        before = len(self.link.sent)
        self.linking.reconcile()
        return self.link.told()[before:]


def test_a_silent_worker_is_due_when_its_silence_means_death() -> None:
    """An evaluator that hangs would be noticed late, or an idle host be woken for nothing."""
    theatre = Theatre()
    assert theatre.pool.due(theatre.now) == theatre.now
    worker, _ = theatre.working()
    assert theatre.pool.due(theatre.now) == theatre.now + LIMITS.heartbeat_seconds
    worker.heard = theatre.now + 1.0
    assert theatre.pool.due(theatre.now) == theatre.now + 1.0 + LIMITS.heartbeat_seconds
    theatre.close()


def test_a_pool_that_is_not_as_wanted_is_due_at_once() -> None:
    """A stand-by, a promotion or a new worker would come late."""
    theatre = Theatre()
    theatre.working()
    theatre.pool.wanted = NEW
    assert theatre.pool.due(theatre.now) == theatre.now
    theatre.close()
    theatre = Theatre()
    worker, standby = theatre.working()
    theatre.dies(standby)
    assert theatre.pool.due(theatre.now) == theatre.now
    theatre.turn(LIMITS.restart_first_seconds)  # The next one loads.
    assert theatre.pool.due(theatre.now) == theatre.now
    theatre.ready()
    assert theatre.pool.due(theatre.now) > theatre.now
    theatre.dies(worker)
    assert theatre.pool.due(theatre.now) == theatre.now
    theatre.close()


def test_content_is_due_when_its_probation_ends(tmp_path: Path) -> None:
    """Content would stay on probation until somebody happens to say something."""
    world = World(tmp_path)
    assert world.flow.due(world.now) == math.inf
    world.flow.receive(content(b"first"))
    assert world.flow.due(world.now) == world.now
    world.flow.candidate_set()
    assert world.flow.due(world.now) == world.now
    world.flow.passed(1)
    assert world.flow.due(world.now) == world.now + PROBATION
    world.now += PROBATION
    assert world.flow.accept_due()
    assert world.flow.due(world.now) == math.inf
    world.flow.degrade()
    assert world.flow.due(world.now) == world.now + DEGRADED


def test_the_link_is_told_soon_of_what_matters_and_rarely_of_the_rest() -> None:
    """A cloud would hear late of a death, or an idle host talk for nothing."""
    desk = Desk()
    desk.turn()
    assert desk.turn() == ["identity"]
    assert desk.turn() == ["state"]
    desk.facts["events_evaluated"] = 5
    assert desk.turn(LIMITS.state_seconds) == []
    desk.facts["evaluator_deaths"] = 1
    assert desk.turn() == ["state"]
    assert desk.linking.due(desk.now) == desk.now + LIMITS.state_idle_seconds
    desk.facts["evaluator_deaths"] = 2
    assert desk.turn(LIMITS.state_seconds / 2) == []
    assert desk.turn(LIMITS.state_seconds / 2) == ["state"]
    assert desk.turn(LIMITS.state_idle_seconds) == ["state"]


def test_what_the_link_did_not_take_is_due_at_once() -> None:
    """Reports and outcomes would wait until somebody happens to say something."""
    desk = Desk()
    assert desk.linking.due(desk.now) == desk.now
    desk.turn()
    assert desk.linking.due(desk.now) == desk.now
    desk.turn()
    desk.turn()
    assert desk.linking.due(desk.now) > desk.now
    desk.link.room = False
    desk.linking.reports.add("crash", {})
    desk.turn()
    assert desk.linking.due(desk.now) == desk.now
    desk.link.room = True
    desk.turn()
    assert desk.linking.due(desk.now) > desk.now
    desk.link.room = False
    desk.linking.say("a" * 64, State.REJECTED, [])
    assert desk.linking.due(desk.now) == desk.now
