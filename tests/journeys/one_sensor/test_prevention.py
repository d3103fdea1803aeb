"""A path that content prevents, from the author's file to the kernel; and the owner's switch."""

from pathlib import Path
from typing import Any

import pytest

from bench.witness import KILLED, is_possible, run_witness, write_witness
from lab.demo import scenario
from lab.demo.processes import run_json, wait_for
from lab.demo.steps import SHIPPED_CONTENT, Demonstration
from tests.journeys.helpers import protected, status
from tests.needs import skip_unavoidable

INSTANCE = "witness-by-its-path"
CANARY = "bulkhead-prevent-canary"
VERSION = 7
YAML = """
id: witness-by-its-path
template_type: process
schema: "4.0"
title: The witness was started
description: For tests.
disposition: prevent
severity: high
clauses:
  - - field: executable_path
      operator: equals
      values: [{path}]
      case_sensitive: true
samples:
  - name: the witness
    matches: true
    inputs: {{image: ./witness, executable_path: {path}}}
  - name: its neighbour
    matches: false
    inputs: {{image: ./witness, executable_path: {path}2}}
"""


@pytest.fixture(scope="module")
def witness(sensor: Demonstration) -> Path:
    """A program that content in force prevents by its path."""
    if not is_possible():
        skip_unavoidable("the witness is an x86-64 program")
    world = sensor.world
    program = write_witness(sensor.scratch / "witness")
    source = world.folder / "witness.yaml"
    source.write_text(YAML.format(path=program), encoding="utf-8")
    packed = str(world.folder / "packed")
    content = (str(SHIPPED_CONTENT / "process"), str(source))
    run_json("content", "pack", *content, "--version", str(VERSION), "--output", packed)
    key, folder = str(world.operator_folder / "signing.key"), str(world.cloud_folder)
    run_json("cloud", "push", f"{packed}/process.channel", "--folder", folder, "--key", key)
    world.wait("the path in the kernel", lambda now: now["prevention"]["kernel_paths"] == 1, 20.0)
    return program


def switch(sensor: Demonstration, order: str) -> Any:
    """What the command says."""
    return run_json("agent", "prevention", order, "--control", str(sensor.world.control))[1]


def outcomes(sensor: Demonstration, instance: str) -> list[str]:
    """What the cloud says was done, for each detection of an instance, oldest first."""
    found = sensor.world.cloud_json("detections", "--limit", "10000")["detections"]
    return [one["prevention"] for one in found if one["instance"] == instance]


def await_outcome(sensor: Demonstration, instance: str, outcome: str, count: int = 1) -> None:
    """So many detections with that outcome are in the cloud."""
    wait_for(
        f"{count} detections of {instance} with {outcome}",
        lambda: outcomes(sensor, instance).count(outcome) >= count or None,
        20.0,
        0.3,
    )


def test_stopped_in_the_kernel_and_told(sensor: Demonstration, witness: Path) -> None:
    """A prevented program would run, or nobody would hear that it was stopped."""
    verdicts = status(sensor)["verdicts"]
    before = outcomes(sensor, INSTANCE).count("kernel")
    for _ in range(10):
        ended = run_witness(witness)
        assert (ended.signal, ended.writes) == (KILLED, 0)
    await_outcome(sensor, INSTANCE, "kernel", before + 10)
    assert status(sensor)["prevention"]["kernel_stopped"] == {f"executable_path {witness}": 10}
    assert status(sensor)["verdicts"] == verdicts, "the same program was stopped twice"
    logged = [one for one in sensor.world.detections() if one["instance"] == INSTANCE]
    assert {one["prevention"] for one in logged} == {"kernel"}
    assert {one["inputs"]["prevention"] for one in logged} == {"kernel"}
    protected(sensor)


def test_everything_else_is_stopped_by_a_verdict(sensor: Demonstration, witness: Path) -> None:
    """Content that the kernel can't judge would prevent nothing any more."""
    del witness
    assert scenario.prevented(sensor.scratch) == -KILLED
    await_outcome(sensor, CANARY, "verdict")


def test_the_switch(sensor: Demonstration, witness: Path) -> None:
    """The owner of a host could not make prevention stop, or it would come back by itself."""
    world = sensor.world
    assert switch(sensor, "off")["policy"] == "off"
    assert status(sensor)["prevention"]["kernel_paths"] == 0
    ran = run_witness(witness)
    assert (ran.signal, ran.writes) == (0, 1)
    await_outcome(sensor, INSTANCE, "off")
    host = wait_for("the switch in the cloud", lambda: _host(sensor, "off"), 20.0, 0.3)
    assert host["programs_stopped"] >= 1
    assert world.agent is not None
    assert world.agent.stop() == 0
    world.start_agent()
    world.wait("evaluator", lambda now: bool(now["protecting"]), 30.0)
    assert switch(sensor, "status")["policy"] == "off"
    assert run_witness(witness).writes == 1
    assert switch(sensor, "on")["policy"] == "on"
    world.wait("the path in the kernel", lambda now: now["prevention"]["kernel_paths"] == 1, 20.0)
    assert run_witness(witness).signal == KILLED


def test_a_dead_evaluator_opens_no_gap(sensor: Demonstration, witness: Path) -> None:
    """Whoever kills the evaluator would run what is prevented."""
    found = sensor.world.wait("evaluator", lambda now: bool(now["roles"]["evaluator"]), 20.0)
    scenario.shell(f"kill -KILL {found['roles']['evaluator']['pid']}", sensor.scratch)
    for _ in range(50):
        assert run_witness(witness).signal == KILLED
    protected(sensor)


def _host(sensor: Demonstration, policy: str) -> Any:
    (host,) = sensor.world.cloud_json("fleet")["hosts"]
    return host if host["prevention"] == policy else None
