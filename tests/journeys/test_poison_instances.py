"""An instance that kills evaluators in native code costs one event, one instance, two deaths."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from lab.demo.processes import run_json, wait_for
from lab.demo.steps import Demonstration, demonstration
from lab.demo.world import World
from lab.poisoned import scenario
from lab.poisoned.content import BULK_POISON, CANARY, HARMLESS, LOAD_POISON, ROW_POISON
from tests.journeys.helpers import status
from tests.needs import require_btf, require_sandbox_users

MANY = 40
"""Harmless instances: more than one throw-away evaluator goes through one by one."""


pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def sensor(tmp_path: Any) -> Iterator[Demonstration]:
    """A sensor whose evaluator dies of poison instances; ended and removed afterwards."""
    require_btf()
    require_sandbox_users()
    with demonstration(tmp_path) as demo:
        scenario.start(demo)
        yield demo


@pytest.mark.parametrize("kind", [ROW_POISON, BULK_POISON])
def test_poison_costs_two_deaths_and_one_instance(sensor: Demonstration, kind: str) -> None:
    """A whole file would be lost to one instance, or evaluators die of it again and again."""
    name = scenario.push(sensor.world, 1, [kind], harmless=MANY)
    found = scenario.until_quarantine(sensor, kind, burst=kind == BULK_POISON)
    assert len(found["deaths"]) == 2
    assert {death["signal"] for death in found["deaths"]} == {11}
    assert found["deaths"][-1]["action"] == "QUARANTINED"
    (one,) = found["content"]["quarantined_instances"]
    assert (one["instance"], one["file"], one["deaths"]) == (kind, name, 2)
    assert found["content"]["quarantine"] == []
    assert [file["hash"] for file in found["content"]["active"]] == [name]
    aside = [loss["count"] for loss in found["losses"] if loss["cause"] == "SUSPECT_EVENT"]
    assert aside == [1]
    _poison_is_harmless_now(sensor, kind)
    scenario.detected(sensor, f"{HARMLESS}-{MANY - 1}", f"{HARMLESS}-{MANY - 1}")
    _cloud_knows(sensor.world, one["digest"], name, kind)


def test_quarantine_lasts_until_the_instance_is_corrected(sensor: Demonstration) -> None:
    """A restart or a new version would let the poison kill again, or a correction be left out."""
    world = sensor.world
    scenario.push(world, 1, [ROW_POISON])
    scenario.until_quarantine(sensor, ROW_POISON)
    # A restart keeps it.
    assert world.agent is not None
    world.agent.stop()
    scenario.start_agent(world)
    _poison_is_harmless_now(sensor, ROW_POISON)
    # A new version with the same instance still has it quarantined.
    name = scenario.push(world, 2, [ROW_POISON], harmless=4)
    _poison_is_harmless_now(sensor, ROW_POISON)
    skipped = status(sensor)["content"]["skipped"]
    assert [each["reason"] for each in skipped[name]] == ["INSTANCE_QUARANTINED"]
    # A corrected one is another instance.
    scenario.push(world, 3, [ROW_POISON], fixed=[ROW_POISON])
    scenario.detected(sensor, ROW_POISON, ROW_POISON)
    assert status(sensor)["content"]["skipped"] == {}


def test_accepted_content_that_kills_whoever_loads_it(sensor: Demonstration) -> None:
    """All content would be off for a minute, again and again, and be called protection."""
    world = sensor.world
    good = scenario.push(world, 1, [])
    deadly = scenario.push(world, 2, [LOAD_POISON])
    assert world.agent is not None
    world.agent.stop()
    # Protecting, it says only once it has content.
    scenario.start_agent(world, scenario.RELEASE)
    worker = status(sensor)["roles"]["evaluator"]
    assert worker["files"] == [good]
    scenario.protected(sensor)
    found = world.wait("end of the search", lambda now: not now["reduced_functionality"], 20.0)
    assert [one["hash"] for one in found["content"]["quarantine"]] == [deadly]
    assert [one["hash"] for one in found["content"]["active"]] == [good]
    assert len(found["deaths"]) <= 6


def test_lifted_instance_is_run_again_without_a_restart(sensor: Demonstration) -> None:
    """An operator who knows better could not lift a quarantine, or only with a gap."""
    world = sensor.world
    name = scenario.push(world, 1, [ROW_POISON])
    (one,) = scenario.until_quarantine(sensor, ROW_POISON)["content"]["quarantined_instances"]
    control = ("--control", str(world.control))
    listed = run_json("agent", "quarantine", *control)[1]
    assert [each["digest"] for each in listed["instances"]] == [one["digest"]]
    refused = run_json("agent", "quarantine", "lift", "0" * 64, *control, allowed=(1,))[2]
    assert "NOT_IN_QUARANTINE" in refused
    pid = status(sensor)["roles"]["supervisor"]["pid"]
    lifted = run_json("agent", "quarantine", "lift", one["digest"][:12], *control)[1]
    assert lifted == {"lifted": one["digest"], "kind": "instance"}
    deaths = len(status(sensor)["deaths"])
    world.wait("a worker with the instance", lambda now: _nothing_skipped(now, name), 20.0)

    def killed() -> bool | None:
        scenario.poison_event(sensor, ROW_POISON)
        return len(status(sensor)["deaths"]) > deaths or None

    wait_for("death of the lifted instance", killed, 20.0, 0.2)
    assert status(sensor)["roles"]["supervisor"]["pid"] == pid


def _poison_is_harmless_now(sensor: Demonstration, word: str) -> None:
    deaths = len(status(sensor)["deaths"])
    scenario.protected(sensor)
    for _ in range(3):
        scenario.poison_event(sensor, word)
    scenario.protected(sensor)
    assert len(status(sensor)["deaths"]) == deaths
    found = [one["instance"] for one in sensor.world.detections()]
    assert CANARY in found
    assert word not in found
    skipped = [each for each in status(sensor)["losses"] if each["cause"] == "INSTANCE_SKIPPED"]
    assert sum(each["count"] for each in skipped) > 0


def _nothing_skipped(now: Mapping[str, Any], name: str) -> bool:
    worker = now["roles"]["evaluator"]
    return not now["content"]["skipped"] and worker is not None and name in worker["files"]


def _cloud_knows(world: World, digest: str, name: str, kind: str) -> None:
    """The crash report, and which instance of which file is skipped and why."""

    def reported() -> Any:
        crashes = world.cloud_json("crashes")["crashes"]
        return [one for one in crashes if one["suspect_instance_digest"] == digest] or None

    crashes = wait_for("crash report in the cloud", reported, 20.0, 0.2)
    assert {one["suspect_instance"] for one in crashes} == {kind}
    assert "QUARANTINED" in {one["action"] for one in crashes}

    def told() -> Any:
        for host in world.cloud_json("fleet")["hosts"]:
            for file in host["content"]:
                if file["content_hash"] == name and file["problems"]:
                    return file["problems"]
        return None

    (problem,) = wait_for("skipped instance in the cloud", told, 20.0, 0.2)
    assert problem["reason"] == "INSTANCE_QUARANTINED"
    assert kind in problem["place"]
    assert digest in problem["found"]
