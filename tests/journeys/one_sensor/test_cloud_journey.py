"""The cloud goes away for a minute, and content is revoked."""

import secrets
import time
from collections.abc import Mapping
from typing import Any

import pytest

from lab.demo import scenario
from lab.demo.processes import run_json, wait_for
from lab.demo.steps import SHIPPED_CONTENT, Demonstration
from tests.journeys.helpers import protected, status

MINUTE = 60.0
CANARIES = 20
IPC = 4


@pytest.mark.timeout(180)
def test_a_cloud_that_is_gone_for_a_minute_misses_nothing(sensor: Demonstration) -> None:
    """Detections made while the cloud is away would be lost, or arrive twice."""
    world = sensor.world
    assert world.cloud is not None
    world.cloud.stop()
    began = time.monotonic()
    tokens = [secrets.token_hex(6) for _ in range(CANARIES)]
    for token in tokens:
        scenario.exec_canary(sensor.scratch, token)
    protected(sensor)
    time.sleep(max(0.0, MINUTE - (time.monotonic() - began)))
    world.start_cloud()

    def arrived() -> list[str] | None:
        found = world.cloud_json("detections", "--limit", "10000")["detections"]
        images = [str(one["inputs"].get("image", "")) for one in found]
        seen = [token for token in tokens for image in images if token in image]
        return seen if set(seen) == set(tokens) else None

    assert sorted(wait_for("all detections", arrived, 40.0, 0.5)) == sorted(tokens)


def test_revoked_content_is_given_up_for_the_version_before(sensor: Demonstration) -> None:
    """An operator could not take bad content back, or would leave hosts without any."""
    world = sensor.world
    packed = world.folder / "second"
    before = _ipc(status(sensor))["hash"]
    run_json(
        "content", "pack", str(SHIPPED_CONTENT / "ipc"), "--version", "2", "--output", str(packed)
    )
    key = str(world.operator_folder / "signing.key")
    folder = str(world.cloud_folder)
    run_json("cloud", "push", str(packed / "ipc.channel"), "--folder", folder, "--key", key)
    world.wait("version 2", lambda now: _ipc(now)["version"] == 2, 20.0)
    world.wait("acceptance", lambda now: _ipc(now)["state"] == "accepted", 20.0)
    run_json("cloud", "revoke", "ipc", "--folder", folder, "--key", key, "--reason", "a test")
    world.wait("version before", lambda now: _ipc(now)["version"] == 1, 20.0)
    assert _ipc(status(sensor))["hash"] == before
    assert status(sensor)["content"]["quarantine"][-1]["reason"] == "REVOKED"
    protected(sensor)


def _ipc(now: Mapping[str, Any]) -> Mapping[str, Any]:
    files: list[Mapping[str, Any]] = now["content"]["active"]
    return next(file for file in files if file["template_type"] == IPC)
