"""A whole sensor with the evaluator that dies of poison, and what happens to it.

For journeys and benchmarks: content of the laboratory in force and past its probation, programs
whose execution is a poison event, and what the sensor says about it afterwards.
"""

import json
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from content.channel_file import content_hash
from content.definitions import load_definitions
from lab.demo.processes import run_json, wait_for
from lab.demo.steps import Demonstration
from lab.demo.world import AGENT_ID, World
from lab.poisoned import content

EVALUATOR = "lab.poisoned.evaluator"
RELEASE = "lab.poisoned.release"
WAIT_SECONDS = 40.0
BURST = 40
"""Executions around a poison event, so that it lies in a batch with others."""


def start(demo: Demonstration, evaluator: str = EVALUATOR, *options: str) -> None:
    """Cloud and sensor, with the evaluator that dies."""
    world = demo.world
    folder, operator = str(world.cloud_folder), str(world.operator_folder)
    # One host: there is nobody to go first.
    immediate = ["--plan", "immediate"]
    run_json("cloud", "init", "--folder", folder, "--operator", operator, *immediate)
    tls = str(world.folder / "tls")
    run_json("cloud", "enroll", "--folder", folder, "--agent-id", AGENT_ID, "--output", tls)
    world.start_cloud()
    start_agent(world, evaluator, *options)


def start_agent(world: World, evaluator: str = EVALUATOR, *options: str) -> None:
    """The sensor alone; returns when it evaluates."""
    table = world.folder / "roles.json"
    table.write_text(json.dumps({"evaluator": evaluator}), encoding="ascii")
    table.chmod(0o600)
    world.start_agent("--roles", str(table), *options)
    world.wait("evaluator at work", lambda status: bool(status["protecting"]), WAIT_SECONDS)


def push(
    world: World,
    version: int,
    poison: Sequence[str],
    *,
    harmless: int = 3,
    fixed: Sequence[str] = (),
) -> str:
    """Bring a Channel File into force and wait until it is past its probation; its hash."""
    payload = content.channel_file(
        load_definitions(),
        version,
        poison,
        harmless=harmless,
        fixed=fixed,
        below=str(world.folder),
    )
    path = world.folder / f"poisoned-{version}.channel"
    path.write_bytes(content.unsigned(payload))
    key = str(world.operator_folder / "signing.key")
    run_json("cloud", "push", str(path), "--folder", str(world.cloud_folder), "--key", key)
    name = content_hash(payload).hex()
    world.wait("acceptance", lambda status: _works_with(status, name), WAIT_SECONDS)
    return name


def poison_event(demo: Demonstration, word: str, *, burst: bool = False) -> None:
    """Run a program that a poison instance matches, alone or amid others."""
    program = _program(demo, word)
    if not burst:
        subprocess.run([program], check=False, timeout=10.0)
        return
    half = "/bin/true; " * (BURST // 2)
    subprocess.run(["/bin/sh", "-c", f"{half}{program}; {half}"], check=False, timeout=10.0)


def detected(demo: Demonstration, instance: str, word: str, seconds: float = WAIT_SECONDS) -> None:
    """A program that runs now is detected by an instance."""
    token = secrets.token_hex(6)
    program = _program(demo, f"{word}{token}")

    def seen() -> bool | None:
        subprocess.run([program], check=False, timeout=10.0)
        found = [one for one in demo.world.detections() if one["instance"] == instance]
        return any(token in str(one["inputs"].get("image", "")) for one in found) or None

    wait_for(f"detection by {instance}", seen, seconds, 0.05)


def protected(demo: Demonstration, seconds: float = WAIT_SECONDS) -> None:
    """A canary that runs now is detected."""
    detected(demo, content.CANARY, content.CANARY_WORD, seconds)


def until_quarantine(demo: Demonstration, word: str, *, burst: bool = False) -> Mapping[str, Any]:
    """Poison events, each once protection is back, until an instance is quarantined; the status."""
    world = demo.world
    before = _count(_status(world))
    for _ in range(6):
        _die(demo, word, burst=burst)
        protected(demo)
        if _quarantined_soon(world, before):
            # The worker of before goes on until its successor, without the instance, is ready.
            left_out = "a worker without the instance"
            return world.wait(left_out, lambda now: bool(now["content"]["skipped"]), WAIT_SECONDS)
    raise RuntimeError(f"no quarantine: {_status(world)['deaths']}")


def _die(demo: Demonstration, word: str, *, burst: bool) -> None:
    world = demo.world
    deaths = len(_status(world)["deaths"])
    poison_event(demo, word, burst=burst)
    world.wait("death", lambda now: len(now["deaths"]) > deaths, WAIT_SECONDS)


def _quarantined_soon(world: World, before: int) -> bool:
    """Whether an instance more is in quarantine, once no inquest can be under way any more."""

    def settled() -> Mapping[str, Any] | None:
        now = _status(world)
        return now if _count(now) > before or not now["inquests"] else None

    return _count(wait_for("end of inquests", settled, WAIT_SECONDS, 0.05)) > before


def _count(status: Mapping[str, Any]) -> int:
    return len(status["content"]["quarantined_instances"])


def _status(world: World) -> Mapping[str, Any]:
    found = world.status()
    if found is None:
        raise RuntimeError("the sensor doesn't answer")
    return found


def _program(demo: Demonstration, word: str) -> str:
    path = demo.scratch / word
    if not path.exists():
        shutil.copy("/bin/true", path)
    return str(path)


def _works_with(status: Mapping[str, Any], name: str) -> bool:
    accepted = [file["hash"] for file in status["content"]["active"] if file["state"] == "accepted"]
    worker = status["roles"]["evaluator"]
    return name in accepted and worker is not None and name in worker["files"]
