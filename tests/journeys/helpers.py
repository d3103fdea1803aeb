"""What journeys share: canaries that must be detected, status that must become true."""

import secrets
from collections.abc import Mapping
from typing import Any

from lab.demo import scenario
from lab.demo.processes import wait_for
from lab.demo.steps import Demonstration

CANARY = "bulkhead-exec-canary"


def status(sensor: Demonstration) -> Mapping[str, Any]:
    """What the supervisor says now."""
    found = sensor.world.status()
    assert found is not None, "the supervisor doesn't answer"
    return found


def in_force(sensor: Demonstration) -> set[tuple[int, str]]:
    """Template Type and hash of the content in force, whatever its state."""
    active = status(sensor)["content"]["active"]
    return {(file["template_type"], file["hash"]) for file in active}


def protected(sensor: Demonstration, seconds: float = 10.0) -> None:
    """A canary that runs now is detected."""
    token = secrets.token_hex(6)

    def seen() -> bool | None:
        scenario.exec_canary(sensor.scratch, token)
        images = [str(one["inputs"].get("image", "")) for one in sensor.world.detections()]
        return any(token in image for image in images) or None

    wait_for("detection of a canary", seen, seconds, 0.02)


def settled(sensor: Demonstration) -> None:
    """No evaluator is about to hand over: a stand-by waits with the worker's content."""

    def at_rest(now: Mapping[str, Any]) -> bool:
        worker, standby = now["roles"]["evaluator"], now["roles"]["standby"]
        return bool(worker) and [(one["stage"], one["files"]) for one in standby] == [
            ("ready", worker["files"])
        ]

    sensor.world.wait("stand-by", at_rest, 20.0)


def role(sensor: Demonstration, name: str) -> int:
    """Process id of a role that runs."""
    found = sensor.world.wait(name, lambda now: bool(now["roles"][name]), 10.0)
    return int(found["roles"][name]["pid"])
