"""Probes come with the content that needs them, and go with it; what the sensor does is told."""

import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lab.demo import scenario
from lab.demo.processes import run_json, wait_for
from lab.demo.steps import SHIPPED_CONTENT, Demonstration, demonstration, start
from tests.journeys.helpers import status
from tests.needs import require_btf, require_sandbox_users
from tests.patience import patient

PROCESS, FILE = "1", "2"
GRACE_SECONDS = 1.0
OWN = "own-evaluator-executed"
INSTANCE = f"""
id: {OWN}
template_type: process
schema: "4.0"
title: An evaluator was executed, or something that calls itself one
description: Executions of the sensor's evaluator, and of whatever looks the same.
disposition: detect
severity: informational
clauses:
  - - field: command_line
      operator: contains
      values: ["-m agent.evaluator --channel-fd"]
samples:
  - name: an evaluator
    matches: true
    inputs: {{command_line: python3 -I -m agent.evaluator --channel-fd 9}}
  - name: a collector
    matches: false
    inputs: {{command_line: python3 -I -m agent.collector --channel-fd 9}}
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demonstration]:
    """Cloud and agent without any content; probes leave a second after they are needed."""
    require_btf()
    require_sandbox_users()
    with demonstration(tmp_path_factory.mktemp("bare")) as demo:
        start(demo)
        world = demo.world
        assert world.agent is not None
        world.agent.stop()
        world.start_agent("--detach-after-seconds", str(GRACE_SECONDS))
        world.wait("evaluator", lambda now: bool(now["protecting"]), patient(30.0))
        yield demo


def attached(sensor: Demonstration) -> tuple[list[str], int]:
    """Of the kernel itself: raw tracepoints, and how many others, that the supervisor holds."""
    pid = status(sensor)["roles"]["supervisor"]["pid"]
    raw, others = [], 0
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            kind = str(path.readlink())
            facts = Path(f"/proc/{pid}/fdinfo/{path.name}").read_text(encoding="ascii")
        except FileNotFoundError:
            continue
        others += kind == "anon_inode:[perf_event]"
        found = re.search(r"^tp_name:\s*(\S+)$", facts, re.MULTILINE)
        raw += [found[1]] if found else []
    return sorted(raw), others


def push(sensor: Demonstration, source: Path, name: str, version: int) -> None:
    """Pack and push one Channel File."""
    world = sensor.world
    packed = world.folder / f"{name}-{version}"
    run_json("content", "pack", str(source), "--version", str(version), "--output", str(packed))
    key = str(world.operator_folder / "signing.key")
    folder = str(world.cloud_folder)
    run_json("cloud", "push", str(packed / f"{name}.channel"), "--folder", folder, "--key", key)


def revoke(sensor: Demonstration, name: str) -> None:
    """Take back what was pushed."""
    key = str(sensor.world.operator_folder / "signing.key")
    folder = str(sensor.world.cloud_folder)
    run_json("cloud", "revoke", name, "--folder", folder, "--key", key, "--reason", "a test")


def in_force(now: Mapping[str, Any], number: str) -> bool:
    """Whether content of a Template Type is in force, and at work."""
    worker = now["roles"]["evaluator"]
    hashes = {f["hash"] for f in now["content"]["active"] if str(f["template_type"]) == number}
    return bool(hashes) and worker is not None and hashes <= set(worker["files"])


def detected(sensor: Demonstration, instance: str) -> list[dict[str, Any]]:
    """What an instance has detected so far."""
    return [one for one in sensor.world.detections() if one["instance"] == instance]


def test_without_content_only_lineage_is_attached(bare: Demonstration) -> None:
    """Every host would pay for probes that nothing needs."""
    now = status(bare)
    assert now["template_types"] == {"collected": {}, "leaving": [], "missing": {}}
    assert now["collection"]["rings"] == {}
    lineage = ["sched_process_exec", "sched_process_fork", "sched_process_free"]
    assert attached(bare) == (lineage, 0)
    assert now["reduced_because"] == []
    supplied = bare.world.cloud_json("fleet")["hosts"][0]
    assert supplied["rung"] == "bpf_btf"


def test_content_brings_its_probes_and_takes_them_along(bare: Demonstration) -> None:
    """Content would need a restart of the sensor, or leave its probes behind when it is revoked."""
    world, before = bare.world, status(bare)
    push(bare, SHIPPED_CONTENT / "file", "file", 1)
    now = world.wait("file content", lambda now: in_force(now, FILE), patient(40.0))
    assert now["template_types"]["collected"] == {FILE: ["content"]}
    assert now["collection"]["epoch"] == before["collection"]["epoch"]
    raw, others = attached(bare)
    assert others > 0
    assert raw.count("sched_process_exec") == 1  # lineage's own: nothing for process events
    scenario.shell("mkdir -p etc/cron.d; echo '# nothing' > etc/cron.d/job", bare.scratch)
    wait_for(
        "detection of a file event",
        lambda: detected(bare, "cron-entry-written") or None,
        patient(10.0),
    )
    assert status(bare)["events"]["lost"] == 0
    log = (world.output / "agent.log").read_text(encoding="utf-8")
    assert re.search(r"joined .*template_types=\[2\].*waited_ms=\d+", log)
    revoke(bare, "file")
    world.wait(
        "probes that leave",
        lambda now: not now["collection"]["rings"] and now["collection"]["attachments"] == 6,
        patient(30.0),
    )
    assert attached(bare)[1] == 0
    now = status(bare)
    assert (now["deaths"], now["events"]["lost"]) == ([], 0)
    assert {
        loss["template_type"] for loss in now["losses"] if loss["cause"] == "NOT_COLLECTED"
    } == {int(FILE)}


def test_what_looks_like_the_sensor_is_detected_and_what_is_the_sensor_is_told(
    bare: Demonstration, tmp_path: Path
) -> None:
    """An attacker could hide behind the sensor's name, or its own activity look like an attack."""
    world = bare.world
    source = tmp_path / "process" / f"{OWN}.yaml"
    shutil.copytree(SHIPPED_CONTENT / "process", source.parent)
    source.write_text(INSTANCE, encoding="utf-8")
    push(bare, source.parent, "process", 1)
    now = world.wait("process content", lambda now: in_force(now, PROCESS), patient(40.0))
    # A stand-by that takes over is followed by a new one, which is executed under our eyes.
    subprocess.run(["kill", "-KILL", str(now["roles"]["evaluator"]["pid"])], check=True)
    supervisor = now["roles"]["supervisor"]["pid"]

    def children() -> list[dict[str, Any]] | None:
        found = [one["inputs"] | one for one in detected(bare, OWN)]
        return [one for one in found if one.get("parent_pid") == supervisor] or None

    ours = wait_for("own evaluator", children, patient(20.0))[0]
    command = ours["command_line"].split(" ")
    imitator = subprocess.Popen(command, executable=ours["image"], stderr=subprocess.DEVNULL)
    imitator.wait(patient(20.0))

    def imitated() -> dict[str, Any] | None:
        found = detected(bare, OWN)
        return next((one for one in found if one["inputs"]["pid"] == imitator.pid), None)

    theirs = wait_for("detection of the imitator", imitated, patient(10.0))
    looks = ("image", "command_line", "name")
    assert [theirs["inputs"][name] for name in looks] == [ours[name] for name in looks]
    assert theirs["own_activity"] is False
    own = [one for one in detected(bare, OWN) if one["own_activity"]]
    assert {one["inputs"]["parent_pid"] for one in own} == {supervisor}
    assert all(one["own_activity"] for one in children() or [])
    world.wait(
        "count of own activity",
        lambda now: now["roles"]["link"].get("own_activity", 0) >= len(own),
        patient(10.0),
    )
    everything = world.cloud_json("detections", "--limit", "1000")["detections"]
    assert {one["own_activity"] for one in everything if one["instance"] == OWN} == {True, False}


def test_a_sensor_that_starts_collects_what_its_store_needs(bare: Demonstration) -> None:
    """After a restart a host would be unprotected until each type has joined, or for ever."""
    world = bare.world
    assert world.agent is not None
    world.agent.stop()
    world.start_agent("--collect", "dns")
    now = world.wait("evaluator", lambda now: bool(now["protecting"]), patient(30.0))
    assert now["template_types"]["collected"] == {PROCESS: ["content"], "10": ["policy"]}
    scenario.exec_canary(bare.scratch, secrets.token_hex(6))
    canary = "bulkhead-exec-canary"
    wait_for("canary", lambda: detected(bare, canary) or None, patient(10.0))
    log = (world.output / "agent.log").read_text(encoding="utf-8")
    assert "joined" not in log[log.rindex(" run=") :]
