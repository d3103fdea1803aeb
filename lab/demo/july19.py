"""Steps 4 and 5: the failure of 19 July 2024, refused, and, where nothing refuses it, contained."""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from content.channel_file import Envelope, content_hash, load_envelope, pack_envelope
from content.definitions import load_definitions
from lab import july19
from lab.demo import scenario
from lab.demo.claims import ClaimError
from lab.demo.processes import run_json, wait_for
from lab.demo.steps import Demonstration, accounted
from lab.demo.world import World, unix_ns
from lab.unchecked import build

IPC = 4
WILDCARD_VERSION = 19
"""The four months in which nobody read the 21st input."""
JULY_VERSION = 21
SEGMENTATION_FAULT = 11


def refuse(demo: Demonstration) -> None:
    """Step 4: the author's check, the cloud and the sensor each refuse the file, by reason."""
    world, claims = demo.world, demo.claims
    claims.heading("4  19 July 2024, strict")
    before = _in_force(world)
    file = _write(world, "july19", JULY_VERSION, wildcard=False)
    claims.verify("the author's check refuses", lambda: _author_refuses(file))
    claims.verify("the cloud refuses", lambda: _cloud_refuses(world, file))
    claims.verify(
        "the sensor refuses what a careless cloud sends", lambda: _sensor_refuses(world, file)
    )
    claims.verify("content in force never changed", lambda: _unchanged(world, before))


def contain(demo: Demonstration) -> None:
    """Step 5: with an unchecked interpreter put in on purpose, one process dies."""
    world, claims = demo.world, demo.claims
    claims.heading("5  19 July 2024, contained")
    claims.require("an unchecked interpreter in C is put in", lambda: _put_in_unchecked(demo))
    claims.require("four months of wildcards pass", lambda: _four_months(demo))
    before = _status(world)
    claims.require("the same file now kills the evaluator", lambda: _kill(demo))
    claims.verify("nobody else died", lambda: _others_live(world, before))
    claims.verify("protection is back", lambda: _protected_again(demo))
    claims.verify("back to last known good, the file quarantined", lambda: _rolled_back(world))
    claims.verify("the cloud has the crash report", lambda: _crash_in_cloud(world))
    claims.verify("no event was lost", lambda: accounted(demo))


def _write(world: World, name: str, version: int, *, wildcard: bool) -> Path:
    payload = july19.channel_file(load_definitions(), version, wildcard=wildcard)
    path = world.folder / f"{name}.channel"
    path.write_bytes(pack_envelope(Envelope(payload)))
    return path


def _author_refuses(file: Path) -> str:
    _, document, _ = run_json("content", "check", str(file), allowed=(1,))
    return _reasons(document["problems"])


def _cloud_refuses(world: World, file: Path) -> str:
    _, document, _ = _push(world, file, allowed=(1,))
    return _reasons([problem for file in document["refused"] for problem in file["problems"]])


def _sensor_refuses(world: World, file: Path) -> str:
    if world.cloud is not None:
        world.cloud.stop()
    world.start_cloud("--unsafe-skip-validator")
    wanted = _hash(file)
    _push(world, file, "--unsafe-skip-validator", "--wait", "20", allowed=(0, 1))

    def refused() -> Sequence[Mapping[str, Any]] | None:
        for host in world.cloud_json("fleet")["hosts"]:
            for one in host["content"]:
                if one["content_hash"] == wanted and one["state"] == "rejected":
                    problems: Sequence[Mapping[str, Any]] = one["problems"]
                    return problems
        return None

    return _reasons(wait_for("acknowledgement with reasons", refused, 15.0, 0.2))


def _unchanged(world: World, before: Sequence[Mapping[str, Any]]) -> str:
    after = _in_force(world)
    if after != before:
        raise ClaimError(f"{before} became {after}")
    return f"{len(after)} Channel Files, the same hashes"


def _put_in_unchecked(demo: Demonstration) -> str:
    world = demo.world
    if world.agent is None or world.agent.stop() != 0:
        raise ClaimError("the shipped agent did not end cleanly")
    build.build()  # Once, as root: the evaluator that loads it may write nowhere.
    table = world.folder / "roles.json"
    table.write_text(json.dumps({"evaluator": "lab.unchecked.evaluator"}), encoding="ascii")
    table.chmod(0o600)
    world.start_agent("--roles", str(table))
    status = world.wait("evaluator at work", lambda status: bool(status["protecting"]), 30.0)
    demo.remember(status)
    world.wait("session", lambda status: bool(status["roles"]["link"].get("connected")), 10.0)
    return "through the supervisor's role table, which only its own user may write"


def _four_months(demo: Demonstration) -> str:
    world = demo.world
    file = _write(world, "wildcards", WILDCARD_VERSION, wildcard=True)
    _push(world, file, "--unsafe-skip-validator")
    wanted = _hash(file)
    world.wait("acceptance of the file", lambda status: _accepted(status, wanted), 20.0)
    for _ in range(10):
        scenario.ipc_event(demo.scratch)
    deaths = len(_status(world)["deaths"])
    if deaths:
        raise ClaimError(f"{deaths} deaths")
    return "a Definition of 21 fields, 20 inputs, nobody reads the 21st: accepted, 0 deaths"


def _kill(demo: Demonstration) -> str:
    world = demo.world
    file = _write(world, "july19-unchecked", JULY_VERSION, wildcard=False)
    wanted = _hash(file)
    _push(world, file, "--unsafe-skip-validator")
    status = world.wait(
        "activation of the file",
        lambda status: _runs(status, wanted) or bool(status["deaths"]),
        20.0,
    )
    demo.remember(status)
    scenario.ipc_event(demo.scratch)
    status = world.wait("death of the evaluator", lambda status: bool(status["deaths"]), 10.0)
    death = status["deaths"][-1]
    if death["signal"] != SEGMENTATION_FAULT or death["suspect_content_hash"] != wanted:
        raise ClaimError(f"died otherwise: {death}")
    return (
        f"SIGSEGV at instance {death['suspect_instance_id']}, ipc event {death['suspect_sequence']}"
    )


def _others_live(world: World, before: Mapping[str, Any]) -> str:
    after = _status(world)
    for name, was in _identities(before).items():
        now = _identities(after)[name]
        if was != now:
            raise ClaimError(f"{name}: {was} became {now}")
    uptime = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    return (
        f"supervisor {after['roles']['supervisor']['pid']} and link the same, "
        f"{after['collection']['attachments']} attachments and boot id the same, up {uptime:.0f} s"
    )


def _identities(status: Mapping[str, Any]) -> dict[str, object]:
    """What must survive the death of an evaluator."""
    return {
        "supervisor": status["roles"]["supervisor"]["pid"],
        "link": status["roles"]["link"]["pid"],
        "collection": status["collection"]["epoch"],
        "attachments": status["collection"]["attachments"],
        "boot": status["boot_id"],
    }


def _protected_again(demo: Demonstration) -> str:
    """From the death (as reported) to the first detection of a canary that ran after it."""
    world = demo.world
    died = _status(world)["deaths"][-1]["time_unix_ns"]
    token = secrets.token_hex(4)

    def canary() -> int | None:
        scenario.exec_canary(demo.scratch, token)
        for one in reversed(world.detections()):
            if token in one["inputs"].get("image", "") and unix_ns(one["time"]) > died:
                return time.time_ns()
        return None

    seen = wait_for("detection of a canary", canary, 10.0, 0.005)
    return f"a canary exec was detected {(seen - died) / 1e6:.0f} ms after the death"


def _rolled_back(world: World) -> str:
    status = world.wait("quarantine", lambda status: bool(status["content"]["quarantine"]), 5.0)
    quarantined = status["content"]["quarantine"][-1]
    ipc = [file for file in status["content"]["active"] if file["template_type"] == IPC]
    if not ipc or ipc[0]["version"] != WILDCARD_VERSION or ipc[0]["state"] != "accepted":
        raise ClaimError(f"in force for ipc: {ipc}")
    return f"ipc back to v{ipc[0]['version']}; {quarantined['hash'][:12]} {quarantined['reason']}"


def _crash_in_cloud(world: World) -> str:
    def look() -> Mapping[str, Any] | None:
        crashes = world.cloud_json("crashes")["crashes"]
        found: Mapping[str, Any] | None = next(
            (one for one in crashes if one["signal"] == SEGMENTATION_FAULT), None
        )
        return found

    crash = wait_for("crash report in the cloud", look, 10.0, 0.2)
    return f"{crash['role']}, signal {crash['signal']}, action {crash['action']}"


def _push(
    world: World, file: Path, *options: str, allowed: Sequence[int] = (0,)
) -> tuple[int, Any, str]:
    key = str(world.operator_folder / "signing.key")
    folder = str(world.cloud_folder)
    return run_json(
        "cloud", "push", str(file), "--folder", folder, "--key", key, *options, allowed=allowed
    )


def _hash(file: Path) -> str:
    return content_hash(load_envelope(file.read_bytes()).payload).hex()


def _status(world: World) -> Mapping[str, Any]:
    status = world.status()
    if status is None:
        raise ClaimError("the agent doesn't answer")
    return status


def _in_force(world: World) -> list[Mapping[str, Any]]:
    return [
        {"template_type": file["template_type"], "hash": file["hash"]}
        for file in _status(world)["content"]["active"]
    ]


def _accepted(status: Mapping[str, Any], wanted: str) -> bool:
    return any(
        file["hash"] == wanted and file["state"] == "accepted"
        for file in status["content"]["active"]
    )


def _runs(status: Mapping[str, Any], wanted: str) -> bool:
    worker = status["roles"]["evaluator"]
    return worker is not None and wanted in worker["files"]


def _reasons(problems: Sequence[Mapping[str, Any]]) -> str:
    """The reason codes, most telling first; none is a failed claim."""
    codes = list(dict.fromkeys(problem["reason"] for problem in problems))
    if "ARITY_MISMATCH" not in codes:
        raise ClaimError(f"refused with {codes}, expected ARITY_MISMATCH among them")
    return ", ".join(codes)
